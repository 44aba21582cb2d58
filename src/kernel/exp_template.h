/* Exponentials of a crossing, lane by lane over its rows.
 *
 * exp(x) = 2^n e^r, n = round(x / ln 2), r = x - n ln 2 in two parts (Cody and Waite, 1980), e^r by its Taylor
 * polynomial: on |r| <= ln(2)/2 degree 7 leaves 6e-9 in float and degree 13 leaves 5e-18 in double, below half an ULP
 * of either. n + LIFT is added to the exponent field of e^r, which stays a normal number, and a multiplication by
 * 2^-LIFT lets results fade out through the subnormals and end at 0.
 *
 * The including file defines T, V, I (a vector of integers as wide as T), FN(name) and the constants of T:
 * MAGIC 1.5 * 2^(digits - 1) + LIFT: adding it rounds to an integer and leaves that integer, and LIFT, in the low bits;
 * LN2_HIGH with trailing zeros, so that n LN2_HIGH is exact, LN2_LOW the rest; EXP_LEAST below which exp is 0; UNLIFT
 * 2^-LIFT; BITS below the exponent field; TERMS of the polynomial. */

LGT_INLINE V FN(splat)(T value) {
    return (V){0} + value;
}

LGT_INLINE V FN(select)(I where, V yes, V no) {
    return (V)(((I)yes & where) | ((I)no & ~where));
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
    V r = (x - n * LN2_HIGH) - n * LN2_LOW;
    V p = FN(splat)((T)(1 / factorial[TERMS]));
    for (int i = TERMS - 1; i >= 0; i--) p = p * r + (T)(1 / factorial[i]);
    return (V)((I)p + ((I)shifted << BITS)) * (T)UNLIFT;
}

/* Strips of columns as wide as four vectors: a cache line or more of each class, and four independent sums. */
enum { FN(strip_vectors) = 4, FN(strip_width) = FN(strip_vectors) * FN(lanes) };

/* The maxima of a strip and where they are first. */
LGT_INLINE void FN(most_of_strip)(const lgt_extent *e, const T *u, int64_t n_classes, int vectors, T scale,
                                  const T *bias, T *max, T *top) {
    V most[FN(strip_vectors)], first[FN(strip_vectors)];
    for (int v = 0; v < vectors; v++) most[v] = FN(splat)(-INFINITY), first[v] = FN(splat)(0);
    for (int64_t j = 0; j < n_classes; j++) {
        for (int v = 0; v < vectors; v++) {
            V z = *(const V *)(u + j * e->ld + v * FN(lanes)) * scale + bias[j];
            first[v] = FN(select)(z > most[v], FN(splat)((T)j), first[v]);
            most[v] = FN(select)(z > most[v], z, most[v]);
        }
    }
    for (int v = 0; v < vectors; v++) {
        *(V *)(max + v * FN(lanes)) = most[v];
        *(V *)(top + v * FN(lanes)) = first[v];
    }
}

/* The first sweep finds the maxima, the second sums; where every z is -inf the second subtracts 0 instead. */
LGT_INLINE void FN(exp_sum_strip)(const lgt_extent *e, const T *u, int64_t n_classes, int vectors, T scale,
                                  const T *bias, T *max, T *sum, T *top) {
    V less[FN(strip_vectors)], total[FN(strip_vectors)];
    FN(most_of_strip)(e, u, n_classes, vectors, scale, bias, max, top);
    for (int v = 0; v < vectors; v++) {
        V most = *(const V *)(max + v * FN(lanes));
        less[v] = FN(select)(most > -INFINITY, most, FN(splat)(0));
        total[v] = FN(splat)(0);
    }
    for (int64_t j = 0; j < n_classes; j++)
        for (int v = 0; v < vectors; v++)
            total[v] += FN(exp)(*(const V *)(u + j * e->ld + v * FN(lanes)) * scale + bias[j] - less[v]);
    for (int v = 0; v < vectors; v++) *(V *)(sum + v * FN(lanes)) = total[v];
}

static void FN(exp_sum)(const lgt_extent *e, const T *u, int64_t n_classes, int64_t n_rows, T scale, const T *bias,
                        T *max, T *sum, T *top) {
    int64_t i = 0;
    for (; i + FN(strip_width) <= n_rows; i += FN(strip_width))
        FN(exp_sum_strip)(e, u + i, n_classes, FN(strip_vectors), scale, bias, max + i, sum + i, top + i);
    for (; i < n_rows; i += FN(lanes))
        FN(exp_sum_strip)(e, u + i, n_classes, 1, scale, bias, max + i, sum + i, top + i);
}

static void FN(find_most)(const lgt_extent *e, const T *u, int64_t n_classes, int64_t n_rows, T scale, const T *bias,
                          T *max, T *top) {
    int64_t i = 0;
    for (; i + FN(strip_width) <= n_rows; i += FN(strip_width))
        FN(most_of_strip)(e, u + i, n_classes, FN(strip_vectors), scale, bias, max + i, top + i);
    for (; i < n_rows; i += FN(lanes)) FN(most_of_strip)(e, u + i, n_classes, 1, scale, bias, max + i, top + i);
}

LGT_INLINE void FN(exp_over_strip)(const lgt_extent *e, T *u, int64_t n_classes, int vectors, T scale, const T *bias,
                                   const T *high, T *sum) {
    V total[FN(strip_vectors)];
    for (int v = 0; v < vectors; v++) total[v] = FN(splat)(0);
    for (int64_t j = 0; j < n_classes; j++)
        for (int v = 0; v < vectors; v++) {
            V *place = (V *)(u + j * e->ld + v * FN(lanes));
            V q = FN(exp)(*place * scale + bias[j] - *(const V *)(high + v * FN(lanes)));
            *place = q;
            total[v] += q;
        }
    for (int v = 0; v < vectors; v++) *(V *)(sum + v * FN(lanes)) = total[v];
}

static void FN(exp_over)(const lgt_extent *e, T *u, int64_t n_classes, int64_t n_rows, T scale, const T *bias,
                         const T *high, T *sum) {
    int64_t i = 0;
    for (; i + FN(strip_width) <= n_rows; i += FN(strip_width))
        FN(exp_over_strip)(e, u + i, n_classes, FN(strip_vectors), scale, bias, high + i, sum + i);
    for (; i < n_rows; i += FN(lanes)) FN(exp_over_strip)(e, u + i, n_classes, 1, scale, bias, high + i, sum + i);
}

static void FN(exp_weights)(const lgt_extent *e, T *u, int64_t n_classes, int64_t n_rows, T scale, const T *bias,
                            const T *high, const T *low, const T *multiplier, const T *shift) {
    for (int64_t j = 0; j < n_classes; j++, u += e->ld) {
        for (int64_t i = 0; i < n_rows; i += FN(lanes)) {
            V z = *(V *)(u + i) * scale + bias[j] - *(const V *)(high + i) - *(const V *)(low + i);
            *(V *)(u + i) = FN(exp)(z) * *(const V *)(multiplier + i) + *(const V *)(shift + i);
        }
    }
}
