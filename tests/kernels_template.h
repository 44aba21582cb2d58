/* The tests of one element type's kernels. The including file defines T, its EPSILON, LEAST (the least normal number)
 * and SPACING (of the subnormals), EXP_LOW (the sweep of exp goes from there to 0), FN(name), and SETS(isa). */

static void FN(fill)(T *out, int64_t n, uint64_t seed) {
    lgt_rng rng = {60, seed};
    for (int64_t i = 0; i < n; i++) out[i] = (T)lgt_rng_normal(&rng, (uint64_t)i);
}

/* ---- product ---- */

/* A matrix inside a larger buffer: `before` elements of guard, rows of ld, of which the first n count, and as many
 * behind. */
enum { FN(GUARD) = 64, FN(ROOM) = (256 + 8) * (129 + 96 + 16) };

typedef struct FN(matrix) {
    T buffer[FN(ROOM)];
    int64_t m, n, ld, shift;
} FN(matrix);

static T *FN(start)(FN(matrix) * c) {
    return c->buffer + FN(GUARD) + c->shift;
}

static void FN(frame)(FN(matrix) * c, int64_t m, int64_t n, int64_t ld, int64_t shift, T guard) {
    c->m = m, c->n = n, c->ld = ld, c->shift = shift;
    assert_true(2 * FN(GUARD) + m * ld + shift <= FN(ROOM));
    for (int64_t i = 0; i < 2 * FN(GUARD) + m * ld + shift; i++) c->buffer[i] = guard;
}

static void FN(set)(FN(matrix) * c, const T *values, int transposed) {
    for (int64_t i = 0; i < c->m; i++)
        for (int64_t j = 0; j < c->n; j++)
            FN(start)(c)[i * c->ld + j] = transposed ? values[j * c->m + i] : values[i * c->n + j];
}

/* Whether everything but the matrix itself still holds the guard. */
static int FN(frame_is_whole)(FN(matrix) * c, T guard) {
    T *first = FN(start)(c), *end = c->buffer + 2 * FN(GUARD) + c->m * c->ld + c->shift;
    for (T *at = c->buffer; at < end; at++) {
        int64_t offset = at - first;
        int inside = offset >= 0 && offset < c->m * c->ld && offset % c->ld < c->n;
        if (!inside && *at != guard) return 0;
    }
    return 1;
}

static T FN(a_values)[256 * 129], FN(b_values)[129 * 96], FN(c_values)[256 * 96];
static long double FN(exact)[256 * 96], FN(sizes)[256 * 96];

static void FN(multiply_exactly)(int64_t m, int64_t n, int64_t k) {
    memset(FN(exact), 0, sizeof FN(exact));
    memset(FN(sizes), 0, sizeof FN(sizes));
    for (int64_t i = 0; i < m; i++) {
        for (int64_t l = 0; l < k; l++) {
            for (int64_t j = 0; j < n; j++) {
                long double term = (long double)FN(a_values)[i * k + l] * FN(b_values)[l * n + j];
                FN(exact)[i * n + j] += term;
                FN(sizes)[i * n + j] += fabsl(term);
            }
        }
    }
}

/* One call; a's and b's guards are NaN, so that reading one shows; c's is a number, so that writing one shows. The
 * result, without its frame, to `out`. */
static void FN(run_product)(lgt_isa isa, int64_t m, int64_t n, int64_t k, int transposed, int accumulate, int64_t shift,
                            T *out) {
    static FN(matrix) a, b, c;
    if (transposed)
        FN(frame)(&a, k, m, m + 5, shift, (T)NAN);
    else
        FN(frame)(&a, m, k, k + 3, shift, (T)NAN);
    FN(set)(&a, FN(a_values), transposed);
    FN(frame)(&b, k, n, n + 7, shift, (T)NAN);
    FN(set)(&b, FN(b_values), 0);
    FN(frame)(&c, m, n, n + 9, shift, 12345);
    FN(set)(&c, FN(c_values), 0);
    SETS(isa)->product(m, n, k, FN(start)(&a), transposed ? 1 : a.ld, transposed ? a.ld : 1, FN(start)(&b), b.ld,
                       FN(start)(&c), c.ld, accumulate);
    assert_true(FN(frame_is_whole)(&c, 12345));
    for (int64_t i = 0; i < m * n; i++) out[i] = FN(start)(&c)[i / n * c.ld + i % n];
}

static void FN(check_product)(lgt_isa isa, int64_t m, int64_t n, int64_t k, int variant) {
    static T found[256 * 96], again[256 * 96];
    int transposed = variant & 1, accumulate = variant >> 1;
    FN(run_product)(isa, m, n, k, transposed, accumulate, 0, found);
    FN(run_product)(isa, m, n, k, transposed, accumulate, 1, again); /* other alignment, same bits */
    assert_memory_equal(found, again, (size_t)(m * n) * sizeof *found);
    for (int64_t i = 0; i < m * n; i++) {
        long double before = accumulate ? FN(c_values)[i] : 0;
        double error = (double)fabsl(found[i] - (FN(exact)[i] + before));
        /* k products and k additions in sequence, one more for c: each term passes k + 1 roundings of EPSILON / 2. */
        double limit = (double)(k + 2) * EPSILON / 2 * (double)(FN(sizes)[i] + fabsl(before));
        if (!(error <= limit))
            fail_msg("%s: (%d, %d, %d) variant %d is off by %g at %d, expected at most %g", lgt_isa_name(isa), (int)m,
                     (int)n, (int)k, variant, error, (int)i, limit);
    }
}

static void FN(products_agree_with_naive_ones)(void **state) {
    static const int64_t ms[] = {0, 1, 2, 3, 5, 6, 11, 12, 13, 25, 64, 256}, ns[] = {32, 64, 96};
    static const int64_t ks[] = {0, 1, 2, 17, 64, 129};
    (void)state;
    FN(fill)(FN(a_values), 256 * 129, 1);
    FN(fill)(FN(b_values), 129 * 96, 2);
    FN(fill)(FN(c_values), 256 * 96, 3);
    for (size_t at = 0; at < 12 * 3 * 6; at++) {
        int64_t m = ms[at / 18], n = ns[at / 6 % 3], k = ks[at % 6];
        FN(multiply_exactly)(m, n, k);
        for (lgt_isa isa = LGT_ISA_GENERIC; isa <= lgt_cpu_best_isa(); isa++)
            for (int variant = 0; variant < 4; variant++) FN(check_product)(isa, m, n, k, variant);
    }
}

/* ---- exponentials ---- */

static const T FN(no_bias)[LGT_TILE];

static void FN(exponentials)(lgt_isa isa, const T *x, T *out) {
    T u[LGT_TILE + 2];
    u[0] = u[LGT_TILE + 1] = 777;
    memcpy(u + 1, x, LGT_TILE * sizeof *x);
    SETS(isa)->exp_weights(u + 1, 1, FN(no_bias), 0, 0, 1, 0);
    assert_true(u[0] == 777 && u[LGT_TILE + 1] == 777);
    memcpy(out, u + 1, LGT_TILE * sizeof *x);
}

/* The error in units of the last place of the exact value; subnormals count in their spacing. */
static double FN(ulps)(T found, long double exact) {
    int exponent;
    frexpl(exact, &exponent);
    long double ulp = exact < LEAST ? SPACING : ldexpl(EPSILON, exponent - 1);
    return (double)(fabsl(found - exact) / ulp);
}

static void FN(check_exp)(const T *x, double *worst) {
    T found[LGT_TILE];
    long double exact[LGT_TILE];
    for (int j = 0; j < LGT_TILE; j++) exact[j] = expl(x[j]);
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= lgt_cpu_best_isa(); isa++) {
        FN(exponentials)(isa, x, found);
        for (int j = 0; j < LGT_TILE; j++) {
            double error = FN(ulps)(found[j], exact[j]), limit = exact[j] < LEAST ? 1 : 1.5;
            if (!(error <= limit))
                fail_msg("%s: exp(%.17g) is %.17g, off by %g ULP", lgt_isa_name(isa), (double)x[j], (double)found[j],
                         error);
            if (exact[j] >= LEAST && error > worst[isa]) worst[isa] = error;
        }
    }
}

/* Evenly over the whole range, then by magnitude down to 0. */
static void FN(exp_is_within_one_and_a_half_ulp)(void **state) {
    enum { TILES = 12000 };
    T x[LGT_TILE];
    double worst[LGT_ISA_AVX512 + 1] = {0};
    (void)state;
    for (int64_t tile = 0; tile < TILES; tile++) {
        for (int64_t j = 0; j < LGT_TILE; j++) {
            T part = (T)(tile * LGT_TILE + j) / (TILES * LGT_TILE - 1);
            x[j] = (T)(EXP_LOW) * (1 - part);
        }
        FN(check_exp)(x, worst);
    }
    for (int64_t tile = 0; tile < TILES / 10; tile++) {
        for (int64_t j = 0; j < LGT_TILE; j++) {
            double small = exp2(-60.0 * (double)(tile * LGT_TILE + j) / (TILES / 10 * LGT_TILE));
            x[j] = (T)(EXP_LOW * small);
        }
        FN(check_exp)(x, worst);
    }
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= lgt_cpu_best_isa(); isa++)
        print_message("%s exp of %d bytes: at most %.3f ULP\n", lgt_isa_name(isa), (int)sizeof(T), worst[isa]);
}

/* Above 0, where only rounding leads, exp stays at 1. */
static void FN(exp_has_its_exact_values_and_fades_out)(void **state) {
    static const T at[] = {0, -0.0, -INFINITY, (T)(-1e30), (T)(EXP_LOW - 2), -LEAST, SPACING, 1e-3f, 5, INFINITY};
    static const T wanted[] = {1, 1, 0, 0, 0, 1, 1, 1, 1, 1};
    T x[LGT_TILE], found[LGT_TILE];
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= lgt_cpu_best_isa(); isa++) {
        for (int j = 0; j < LGT_TILE; j++) x[j] = at[j % 10];
        FN(exponentials)(isa, x, found);
        for (int j = 0; j < LGT_TILE; j++) assert_true(found[j] == wanted[j % 10]);
    }
}

/* A tile of random logits, some of them masked in u and, as the engine does, some in the bias. */
static void FN(make_tile)(T *u, T *b, uint64_t seed, double size, double masked) {
    lgt_rng rng = {61, seed};
    FN(fill)(u, LGT_TILE, 2 * seed);
    FN(fill)(b, LGT_TILE, 2 * seed + 1);
    for (uint64_t j = 0; j < LGT_TILE; j++) {
        u[j] *= (T)size;
        if (lgt_rng_uniform(&rng, j) < masked) *(j % 2 ? &u[j] : &b[j]) = -INFINITY;
    }
}

static void FN(check_exp_sum)(lgt_isa isa, const T *u, T scale, const T *b) {
    T max = 777, sum = SETS(isa)->exp_sum(u, scale, b, &max), again = 0;
    long double most = -INFINITY, exact = 0, limit = 0, most_limit = 0;
    for (int j = 0; j < LGT_TILE; j++) {
        long double z = (long double)scale * u[j] + b[j];
        if (z == -INFINITY) continue;
        most = fmaxl(most, z);
        most_limit = fmaxl(most_limit, EPSILON * (fabsl((long double)scale * u[j]) + fabsl(z)));
    }
    if (most == -INFINITY) {
        assert_true(max == -INFINITY && sum == 0);
        return;
    }
    assert_at_most((double)fabsl(max - most), (double)most_limit, "the largest logit's error");
    for (int j = 0; j < LGT_TILE; j++) {
        long double product = (long double)scale * u[j], z = product + b[j], e = z == -INFINITY ? 0 : expl(z - max);
        exact += e;
        /* Two roundings of z and one of z - max move the exponent; exp's 1.5 ULP, and 64 additions. */
        if (e > 0) limit += e * EPSILON * (fabsl(product) + fabsl(z) + fabsl(z - max) + 2 + LGT_TILE / 2.0);
    }
    assert_at_most((double)fabsl(sum - exact), (double)limit + LGT_TILE * SPACING, "the sum's error");
    assert_true(sum >= 1);
    assert_true(SETS(isa)->exp_sum(u, scale, b, &again) == sum && again == max);
}

static void FN(sums_of_exponentials_agree_with_long_double)(void **state) {
    static const double sizes[] = {0, 1e-3, 1, 30, 1e4, 1e36}, masked[] = {0, 0.2, 0.97, 2};
    static const T scales[] = {1, 16, 0.25};
    T u[LGT_TILE], b[LGT_TILE];
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= lgt_cpu_best_isa(); isa++) {
        for (uint64_t at = 0; at < 6 * 4 * 3 * 10; at++) {
            FN(make_tile)(u, b, at, sizes[at % 6], masked[at / 6 % 4]);
            FN(check_exp_sum)(isa, u, scales[at / 24 % 3], b);
        }
        for (int alone = 0; alone < LGT_TILE; alone++) { /* one logit left, in every lane */
            T max;
            for (int j = 0; j < LGT_TILE; j++) u[j] = j == alone ? -7 : -INFINITY, b[j] = 0;
            assert_true(SETS(isa)->exp_sum(u, 2, b, &max) == 1 && max == -14);
            for (int j = 0; j < LGT_TILE; j++) u[j] = -7, b[j] = j == alone ? 0 : -INFINITY;
            assert_true(SETS(isa)->exp_sum(u, 2, b, &max) == 1 && max == -14);
            for (int j = 0; j < LGT_TILE; j++) u[j] = j == alone ? 3 : -2000, b[j] = 1;
            assert_true(SETS(isa)->exp_sum(u, 1, b, &max) == 1 && max == 4);
        }
    }
}

static void FN(check_weights)(lgt_isa isa, const T *u, T scale, const T *b, T high, T low, T multiplier, T shift) {
    T found[LGT_TILE + 2], again[LGT_TILE];
    found[0] = found[LGT_TILE + 1] = 777;
    memcpy(found + 1, u, LGT_TILE * sizeof *u);
    memcpy(again, u, LGT_TILE * sizeof *u);
    SETS(isa)->exp_weights(found + 1, scale, b, high, low, multiplier, shift);
    SETS(isa)->exp_weights(again, scale, b, high, low, multiplier, shift);
    assert_memory_equal(found + 1, again, sizeof again);
    assert_true(found[0] == 777 && found[LGT_TILE + 1] == 777);
    for (int j = 0; j < LGT_TILE; j++) {
        long double product = (long double)scale * u[j], z = product + b[j], lowered = z - high - low;
        if (z == -INFINITY) {
            assert_true(found[j + 1] == shift);
            continue;
        }
        /* As for the sum, then a product and an addition. */
        long double moved = fabsl(product) + fabsl(z) + fabsl(z - high) + fabsl(lowered), e = expl(fminl(lowered, 0));
        long double limit = fabsl(multiplier) * e * EPSILON * (moved + 3) + EPSILON * fabsl(shift) + 2 * SPACING;
        assert_at_most((double)fabsl(found[j + 1] - (multiplier * e + shift)), (double)limit, "a weight's error");
    }
}

static void FN(weights_agree_with_long_double)(void **state) {
    static const double sizes[] = {0, 1, 30, 1e4}, masked[] = {0, 0.2, 2};
    static const T multipliers[] = {1, -3, 0, 1e-20f}, shifts[] = {0, -0.125, 1e-3f};
    T u[LGT_TILE], b[LGT_TILE];
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= lgt_cpu_best_isa(); isa++) {
        for (uint64_t at = 0; at < 4 * 3 * 4 * 3 * 4; at++) {
            T scale = at % 2 ? 1 : 16, most;
            FN(make_tile)(u, b, at, sizes[at % 4], masked[at / 4 % 3]);
            SETS(isa)->exp_sum(u, scale, b, &most);
            T high = most == -INFINITY ? 3 : most, low = at % 5 ? high * (T)EPSILON / 3 : at % 2 ? (T)0.25 : -(T)0.25;
            FN(check_weights)(isa, u, scale, b, high, low, multipliers[at / 12 % 4], shifts[at / 48 % 3]);
        }
    }
}

/* ---- rows ---- */

static void FN(squares_agree_with_long_double)(void **state) {
    static const double sizes[] = {1, 1e-18, 1e18, 1e-36, 1e36};
    T v[513];
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= lgt_cpu_best_isa(); isa++) {
        for (int64_t n = 0; n <= 512; n += n < 70 ? 1 : 17) {
            FN(fill)(v, n, (uint64_t)n);
            v[n] = (T)NAN; /* not to be read */
            long double exact = 0;
            for (int64_t k = 0; k < n; k++) v[k] *= (T)sizes[n % 5];
            for (int64_t k = 0; k < n; k++) exact += (long double)v[k] * v[k];
            double error = (double)fabsl(SETS(isa)->square_sum(v, n) - exact);
            /* Each square is rounded, and passes n / 16 additions in its lane and 16 across lanes. */
            assert_at_most(error, (double)(n / 16 + 18) * DBL_EPSILON / 2 * (double)exact, "the squares' error");
        }
    }
}

static void FN(squares_tell_whether_a_row_is_finite)(void **state) {
    static const T wrong[] = {(T)NAN, INFINITY, -INFINITY};
    T v[67], largest = sizeof(T) == 4 ? (T)FLT_MAX : (T)1e150;
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= lgt_cpu_best_isa(); isa++) {
        for (int64_t n = 1; n <= 67; n++) {
            for (int64_t k = 0; k < n; k++) v[k] = k % 2 ? largest : -largest;
            double square = (double)largest * (double)largest;
            assert_at_most(fabs(SETS(isa)->square_sum(v, n) / ((double)n * square) - 1), 1e-14, "the largest squares");
            for (int64_t k = 0; k < n; k++) {
                T kept = v[k];
                for (int i = 0; i < 3; i++) {
                    v[k] = wrong[i];
                    assert_true(!(SETS(isa)->square_sum(v, n) <= DBL_MAX));
                }
                v[k] = kept;
            }
        }
        v[0] = SPACING; /* float's squares reach double's range whole, double's do not */
        assert_true(SETS(isa)->square_sum(v, 1) == (double)SPACING * (double)SPACING);
    }
}

static void FN(scaled_rows_are_rounded_once)(void **state) {
    static const double factors[] = {1, -1, 0, 0.3, 1e-30, 1e30, 0x1p-100, 3e-320};
    T v[80], out[81];
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= lgt_cpu_best_isa(); isa++) {
        for (int64_t n = 0; n <= 79; n++) {
            double factor = factors[n % 8];
            FN(fill)(v, n, (uint64_t)n);
            for (int k = 0; k <= 80; k++) out[k] = 777;
            SETS(isa)->scaled(v, n, factor, out);
            for (int64_t k = 0; k < n; k++) {
                long double exact = (long double)v[k] * factor;
                /* Half a unit; float's goes through a double, whose own rounding may push it a hair further. */
                long double limit = fmaxl(fabsl(exact) * EPSILON, SPACING) / 2 * (1 + 0x1p-28L);
                assert_at_most((double)fabsl(out[k] - exact), (double)limit, "a scaled element's error");
            }
            for (int64_t k = n; k <= 80; k++) assert_true(out[k] == 777);
        }
        T odd[] = {INFINITY, -INFINITY, (T)NAN};
        SETS(isa)->scaled(odd, 3, 0.5, out);
        assert_true(out[0] == INFINITY && out[1] == -INFINITY && isnan(out[2]));
    }
}

#undef T
#undef EPSILON
#undef LEAST
#undef SPACING
#undef EXP_LOW
#undef FN
#undef SETS
