/* Exponentials of a tile row.
 *
 * exp(x) = 2^n e^r, n = round(x / ln 2), r = x - n ln 2 in two parts (Cody and Waite, 1980), e^r by its Taylor
 * polynomial: on |r| <= ln(2)/2 degree 7 leaves 6e-9 in float and degree 13 leaves 5e-18 in double, below half an ULP
 * of either. 2^n is applied as two factors, so that results fade out through the subnormals and end at 0.
 *
 * The including file defines T, V, I (a vector of integers as wide as T), FN(name) and the constants of T:
 * MAGIC 1.5 * 2^(digits - 1): adding it rounds to an integer and leaves that integer in the low bits; LN2_HIGH with
 * trailing zeros, so that n LN2_HIGH is exact, LN2_LOW the rest; EXP_LEAST below which exp is 0; BITS and BIAS of the
 * exponent field; TERMS of the polynomial. */

LGT_INLINE V FN(splat)(T value) {
    return (V){0} + value;
}

LGT_INLINE V FN(select)(I where, V yes, V no) {
    return (V)(((I)yes & where) | ((I)no & ~where));
}

LGT_INLINE V FN(power_of_two)(I n) {
    return (V)((n + BIAS) << BITS);
}

/* Of min(x, 0): every argument here is a logit less its row's lse or maximum, and above 0 only by rounding, which with
 * logits of 1e30 would be an infinite weight. -inf gives 0. */
LGT_INLINE V FN(exp)(V x) {
    static const double factorial[] = {1,    1,     2,      6,       24,       120,       720,
                                       5040, 40320, 362880, 3628800, 39916800, 479001600, 6227020800.0};
    x = FN(select)(x > EXP_LEAST, x, FN(splat)(EXP_LEAST));
    x = FN(select)(x < 0, x, FN(splat)(0));
    V shifted = x * (T)1.44269504088896340736 + MAGIC;
    V n = shifted - MAGIC;
    I exponent = (I)shifted - (I)FN(splat)(MAGIC);
    V r = (x - n * LN2_HIGH) - n * LN2_LOW;
    V p = FN(splat)((T)(1 / factorial[TERMS]));
    for (int i = TERMS - 1; i >= 0; i--) p = p * r + (T)(1 / factorial[i]);
    I half = exponent >> 1;
    return p * FN(power_of_two)(half) * FN(power_of_two)(exponent - half);
}

static T FN(exp_sum)(const T *u, T scale, const T *b, T *max) {
    enum { VECTORS = LGT_TILE / FN(lanes) };
    V z[VECTORS], most = FN(splat)(-INFINITY), total = {0};
    for (int v = 0; v < VECTORS; v++) {
        z[v] = *(const V *)(u + v * FN(lanes)) * scale + *(const V *)(b + v * FN(lanes));
        most = FN(select)(z[v] > most, z[v], most);
    }
    T largest = most[0];
    for (int l = 1; l < FN(lanes); l++) largest = most[l] > largest ? most[l] : largest;
    *max = largest;
    if (largest == -INFINITY) return 0;
    for (int v = 0; v < VECTORS; v++) total += FN(exp)(z[v] - largest);
    T sum = 0;
    for (int l = 0; l < FN(lanes); l++) sum += total[l];
    return sum;
}

static void FN(exp_weights)(T *u, T scale, const T *b, T high, T low, T multiplier, T shift) {
    for (int j = 0; j < LGT_TILE; j += FN(lanes)) {
        V *out = (V *)(u + j);
        V z = (*out * scale + *(const V *)(b + j) - high) - low;
        *out = FN(exp)(z) * multiplier + shift;
    }
}
