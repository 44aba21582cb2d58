/* The tests of one element type's kernels but for the products. The including file defines T, KERNELS, the type of a
 * set, its EPSILON, LEAST (the least normal number) and SPACING (of the subnormals), EXP_LOW (the sweep of exp goes
 * from there to 0), FN(name), and SET(isa), the set of full precision. */

/* ---- exponentials ---- */

/* A crossing of a few classes, rows in vectors and part of one. */
enum { FN(CLASSES) = 21, FN(ROWS) = 75, FN(LD) = 107, FN(CELLS) = FN(CLASSES) * FN(LD), FN(WIDE) = 96 };

static const lgt_extent FN(extent) = {1, 32, 96, FN(LD)};

/* u with a guard on either side; what lies beyond the rows is NaN and does not count. */
typedef struct FN(crossing) {
    T before[1], u[FN(CELLS)], behind[1];
} FN(crossing);

static void FN(frame)(FN(crossing) * c) {
    c->before[0] = c->behind[0] = 777;
    for (int64_t j = 0; j < FN(CLASSES); j++)
        for (int64_t i = FN(ROWS); i < FN(LD); i++) c->u[j * FN(LD) + i] = i < FN(WIDE) ? (T)NAN : 777;
}

static int FN(frame_is_whole)(const FN(crossing) * c) {
    for (int64_t j = 0; j < FN(CLASSES); j++)
        for (int64_t i = FN(WIDE); i < FN(LD); i++)
            if (c->u[j * FN(LD) + i] != 777) return 0;
    return c->before[0] == 777 && c->behind[0] == 777;
}

/* The error in units of the last place of the exact value; subnormals count in their spacing. */
static double FN(ulps)(T found, long double exact) {
    int exponent;
    frexpl(exact, &exponent);
    long double ulp = exact < LEAST ? SPACING : ldexpl(EPSILON, exponent - 1);
    return (double)(fabsl(found - exact) / ulp);
}

static const T FN(zeros)[FN(WIDE)];

/* out = exp(x) for one class of FN(WIDE) rows. */
static void FN(exponentials)(lgt_isa isa, const T *x, T *out) {
    T ones[FN(WIDE)];
    for (int i = 0; i < FN(WIDE); i++) ones[i] = 1;
    memcpy(out, x, FN(WIDE) * sizeof *x);
    SET(isa)->exp_weights(&FN(extent), out, 1, FN(WIDE), 1, FN(zeros), FN(zeros), FN(zeros), ones, FN(zeros));
}

static void FN(check_exp)(const T *x, double *worst) {
    T found[FN(WIDE)];
    long double exact[FN(WIDE)];
    for (int i = 0; i < FN(WIDE); i++) exact[i] = expl(x[i]);
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++) {
        FN(exponentials)(isa, x, found);
        for (int i = 0; i < FN(WIDE); i++) {
            double error = FN(ulps)(found[i], exact[i]), limit = exact[i] < LEAST ? 1 : 1.5;
            if (!(error <= limit))
                fail_msg("isa %d: exp(%.17g) is %.17g, off by %g ULP", (int)isa, (double)x[i], (double)found[i], error);
            if (exact[i] >= LEAST && error > worst[isa]) worst[isa] = error;
        }
    }
}

/* Evenly over the whole range, then by magnitude down to 0. */
static void FN(exp_is_within_one_and_a_half_ulp)(void **state) {
    enum { TURNS = 8000 };
    T x[FN(WIDE)];
    double worst[LGT_ISA_AMX + 1] = {0};
    (void)state;
    for (int64_t turn = 0; turn < TURNS; turn++) {
        for (int64_t i = 0; i < FN(WIDE); i++) {
            T part = (T)(turn * FN(WIDE) + i) / (TURNS * FN(WIDE) - 1);
            x[i] = (T)(EXP_LOW) * (1 - part);
        }
        FN(check_exp)(x, worst);
    }
    for (int64_t turn = 0; turn < TURNS / 10; turn++) {
        for (int64_t i = 0; i < FN(WIDE); i++) {
            double small = exp2(-60.0 * (double)(turn * FN(WIDE) + i) / (TURNS / 10 * FN(WIDE)));
            x[i] = (T)(EXP_LOW * small);
        }
        FN(check_exp)(x, worst);
    }
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++)
        print_message("isa %d, exp of %d bytes: at most %.3f ULP\n", (int)isa, (int)sizeof(T), worst[isa]);
}

/* Above 0, where only rounding leads, exp stays at 1. */
static void FN(exp_has_its_exact_values_and_fades_out)(void **state) {
    static const T at[] = {0, -0.0, -INFINITY, (T)(-1e30), (T)(EXP_LOW - 2), -LEAST, SPACING, 1e-3f, 5, INFINITY};
    static const T wanted[] = {1, 1, 0, 0, 0, 1, 1, 1, 1, 1};
    T x[FN(WIDE)], found[FN(WIDE)];
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++) {
        for (int i = 0; i < FN(WIDE); i++) x[i] = at[i % 10];
        FN(exponentials)(isa, x, found);
        for (int i = 0; i < FN(WIDE); i++) assert_true(found[i] == wanted[i % 10]);
    }
}

/* Random logits, some of them masked one by one, some with their class in the bias, some rows whole. */
static void FN(make_crossing)(FN(crossing) * c, T *bias, uint64_t seed, double size, double masked) {
    lgt_rng rng = {61, seed};
    FN(fill)(c->u, FN(CELLS), 2 * seed);
    FN(fill)(bias, FN(CLASSES), 2 * seed + 1);
    for (uint64_t at = 0; at < FN(CELLS); at++) {
        c->u[at] *= (T)size;
        int whole = masked > 0 && at % FN(LD) % 13 == 5;
        if (whole || lgt_rng_uniform(&rng, at) < masked) c->u[at] = -INFINITY;
    }
    for (uint64_t j = 0; j < FN(CLASSES); j++)
        if (lgt_rng_uniform(&rng, FN(CELLS) + j) < masked / 2) bias[j] = -INFINITY;
    FN(frame)(c);
}

static void FN(check_row_sum)(const T *u, T scale, const T *bias, T max, T sum, T top) {
    long double most = -INFINITY, exact = 0, limit = 0, most_limit = 0;
    for (int j = 0; j < FN(CLASSES); j++) {
        long double product = (long double)scale * u[j * FN(LD)], z = product + bias[j];
        if (z == -INFINITY) continue;
        most = fmaxl(most, z);
        most_limit = fmaxl(most_limit, EPSILON * (fabsl(product) + fabsl(z)));
    }
    if (most == -INFINITY) {
        assert_true(max == -INFINITY && sum == 0);
        return;
    }
    /* The place is that of the maximum as the kernel sees it, with or without a fused multiply-add. */
    int64_t j_top = (int64_t)top;
    assert_true(j_top >= 0 && j_top < FN(CLASSES) && (T)j_top == top);
    long double at_top = (long double)scale * u[j_top * FN(LD)] + bias[j_top];
    assert_at_most((double)fabsl(max - at_top), (double)most_limit, "the top's error");
    assert_at_most((double)fabsl(max - most), (double)most_limit, "the largest logit's error");
    for (int j = 0; j < FN(CLASSES); j++) {
        long double product = (long double)scale * u[j * FN(LD)], z = product + bias[j];
        long double e = z == -INFINITY ? 0 : expl(z - max);
        exact += e;
        /* Two roundings of z and one of z - max move the exponent; exp's 1.5 ULP, and an addition a class. */
        if (e > 0) limit += e * EPSILON * (fabsl(product) + fabsl(z) + fabsl(z - max) + 2 + FN(CLASSES) / 2.0);
    }
    assert_at_most((double)fabsl(sum - exact), (double)limit + FN(CLASSES) * SPACING, "the sum's error");
    assert_true(sum >= 1);
}

static void FN(check_exp_sum)(const KERNELS *set, const FN(crossing) * c, int64_t n_rows, T scale, const T *bias) {
    T max[FN(WIDE) + 1], sum[FN(WIDE) + 1], top[FN(WIDE) + 1], other_max[FN(WIDE)], other_sum[FN(WIDE)];
    int64_t wide = (n_rows + LGT_LANES - 1) / LGT_LANES * LGT_LANES;
    max[wide] = sum[wide] = top[wide] = 777;
    set->exp_sum(&FN(extent), c->u, FN(CLASSES), n_rows, scale, bias, max, sum, top);
    set->exp_sum(&FN(extent), c->u, FN(CLASSES), n_rows, scale, bias, other_max, other_sum, top);
    assert_true(max[wide] == 777 && sum[wide] == 777 && top[wide] == 777);
    assert_memory_equal(max, other_max, (size_t)n_rows * sizeof *max);
    assert_memory_equal(sum, other_sum, (size_t)n_rows * sizeof *sum);
    for (int64_t i = 0; i < n_rows; i++) FN(check_row_sum)(c->u + i, scale, bias, max[i], sum[i], top[i]);
}

static void FN(sums_of_exponentials_agree_with_long_double)(void **state) {
    static const double sizes[] = {0, 1e-3, 1, 30, 1e4, 1e36}, masked[] = {0, 0.2, 0.97, 2};
    static const T scales[] = {1, 16, 0.25};
    static const int64_t rows[] = {1, 2, 15, 33, 64, FN(ROWS)};
    FN(crossing) c;
    T bias[FN(CLASSES)];
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++) {
        for (uint64_t at = 0; at < 6 * 4 * 3; at++) {
            FN(make_crossing)(&c, bias, at, sizes[at % 6], masked[at / 6 % 4]);
            for (int r = 0; r < 6; r++) FN(check_exp_sum)(SET(isa), &c, rows[r], scales[at / 24 % 3], bias);
        }
    }
}

static void FN(check_weights)(const KERNELS *set, FN(crossing) * c, int64_t n_rows, T scale, const T *bias,
                              const T *high, const T *low, const T *multiplier, const T *shift) {
    static FN(crossing) found, again;
    found = again = *c;
    set->exp_weights(&FN(extent), found.u, FN(CLASSES), n_rows, scale, bias, high, low, multiplier, shift);
    set->exp_weights(&FN(extent), again.u, FN(CLASSES), n_rows, scale, bias, high, low, multiplier, shift);
    assert_true(FN(frame_is_whole)(&found));
    for (int64_t at = 0; at < FN(CELLS); at++) {
        int64_t i = at % FN(LD), j = at / FN(LD);
        if (i >= n_rows) continue;
        assert_memory_equal(&found.u[at], &again.u[at], sizeof(T));
        long double product = (long double)scale * c->u[at], z = product + bias[j], lowered = z - high[i] - low[i];
        if (z == -INFINITY) {
            assert_true(found.u[at] == shift[i]);
            continue;
        }
        /* As for the sum, then a product and an addition. */
        long double moved = fabsl(product) + fabsl(z) + fabsl(z - high[i]) + fabsl(lowered);
        long double part = multiplier[i] * expl(fminl(lowered, 0));
        long double limit = fabsl(part) * EPSILON * (moved + 3) + EPSILON * fabsl(shift[i]) + 2 * SPACING;
        assert_at_most((double)fabsl(found.u[at] - (part + shift[i])), (double)limit, "a weight's error");
    }
}

static void FN(weights_agree_with_long_double)(void **state) {
    static const double sizes[] = {0, 1, 30, 1e4}, masked[] = {0, 0.2, 2};
    static const T multipliers[] = {1, -3, 0, 1e-20f}, shifts[] = {0, -0.125, 1e-3f};
    static const int64_t rows[] = {1, 33, FN(ROWS)};
    FN(crossing) c;
    T bias[FN(CLASSES)], high[FN(WIDE)], sum[FN(WIDE)], low[FN(WIDE)], multiplier[FN(WIDE)], shift[FN(WIDE)];
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++) {
        for (uint64_t at = 0; at < 4 * 3 * 2 * 3; at++) {
            T scale = at % 2 ? 1 : 16;
            FN(make_crossing)(&c, bias, at, sizes[at % 4], masked[at / 4 % 3]);
            SET(isa)->exp_sum(&FN(extent), c.u, FN(CLASSES), FN(WIDE), scale, bias, high, sum, low);
            for (int i = 0; i < FN(WIDE); i++) {
                if (high[i] == -INFINITY) high[i] = 3;
                low[i] = i % 3 ? high[i] * (T)EPSILON / 3 : i % 2 ? (T)0.25 : -(T)0.25;
                multiplier[i] = multipliers[i % 4], shift[i] = shifts[i % 3];
            }
            FN(check_weights)(SET(isa), &c, rows[at % 3], scale, bias, high, low, multiplier, shift);
        }
    }
}

/* ---- rows ---- */

static void FN(squares_agree_with_long_double)(void **state) {
    static const double sizes[] = {1, 1e-18, 1e18, 1e-36, 1e36};
    T v[513];
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++) {
        for (int64_t n = 0; n <= 512; n += n < 70 ? 1 : 17) {
            FN(fill)(v, n, (uint64_t)n);
            v[n] = (T)NAN; /* not to be read */
            long double exact = 0;
            for (int64_t k = 0; k < n; k++) v[k] *= (T)sizes[n % 5];
            for (int64_t k = 0; k < n; k++) exact += (long double)v[k] * v[k];
            double error = (double)fabsl(SET(isa)->square_sum(v, n) - exact);
            /* Each square is rounded, and passes n / 16 additions in its lane and 16 across lanes. */
            assert_at_most(error, (double)(n / 16 + 18) * DBL_EPSILON / 2 * (double)exact, "the squares' error");
        }
    }
}

static void FN(squares_tell_whether_a_row_is_finite)(void **state) {
    static const T wrong[] = {(T)NAN, INFINITY, -INFINITY};
    T v[67], largest = sizeof(T) == 4 ? (T)FLT_MAX : (T)1e150;
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++) {
        for (int64_t n = 1; n <= 67; n++) {
            for (int64_t k = 0; k < n; k++) v[k] = k % 2 ? largest : -largest;
            double square = (double)largest * (double)largest;
            assert_at_most(fabs(SET(isa)->square_sum(v, n) / ((double)n * square) - 1), 1e-14, "the largest squares");
            for (int64_t k = 0; k < n; k++) {
                T kept = v[k];
                for (int i = 0; i < 3; i++) {
                    v[k] = wrong[i];
                    assert_true(!(SET(isa)->square_sum(v, n) <= DBL_MAX));
                }
                v[k] = kept;
            }
        }
        v[0] = SPACING; /* float's squares reach double's range whole, double's do not */
        assert_true(SET(isa)->square_sum(v, 1) == (double)SPACING * (double)SPACING);
    }
}

/* over is 1 / |v|, rounded. */
static double FN(check_project)(const T *g, const T *v, int64_t n, double over, const T *found) {
    long double along = 0, size = 0, worst = 0;
    for (int64_t k = 0; k < n; k++) along += (long double)g[k] * v[k] * over, size += fabsl((long double)g[k] * v[k]);
    size *= over;
    for (int64_t k = 0; k < n; k++) {
        long double unit = (long double)v[k] * over, exact = (g[k] - along * unit) * over;
        /* In T, `over` rounded to it. A term of the sum passes 4 roundings, n / 16 additions in its lane and 16 across
         * lanes; then a unit, a product, a difference and a product. */
        long double sum = (long double)(n / 16 + 20) * EPSILON / 2 * size * fabsl(unit);
        long double limit = over * (sum + 3 * EPSILON * (fabsl(g[k]) + fabsl(along * unit)));
        limit += EPSILON * fabsl(exact) + SPACING;
        worst = fmaxl(worst, fabsl(found[k] - exact) / limit);
    }
    return (double)worst;
}

static void FN(projections_agree_with_long_double)(void **state) {
    /* 1 / |v| of the last ones leaves the range of float, or has few digits there. */
    static const double sizes[] = {1, 1e-15, 1e15, 1e-39, 5e37}, of_g[] = {1, 1, 1, 1e-6, 1e30};
    T g[514], v[514], out[514];
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++) {
        const KERNELS *set = SET(isa);
        for (int64_t n = 0; n <= 513; n += n < 70 ? 1 : 17) {
            FN(fill)(g, n, (uint64_t)n), FN(fill)(v, n, (uint64_t)n + 1000);
            for (int64_t k = 0; k < n; k++) v[k] *= (T)sizes[n % 5], g[k] *= (T)of_g[n % 5];
            g[n] = v[n] = (T)NAN, out[n] = 777; /* neither to be read nor to be written */
            double over = n > 0 ? 1 / sqrt(set->square_sum(v, n)) : 1;
            assert_true(set->project(g, v, n, over, out, n % 2 == 0));
            assert_true(out[n] == 777);
            assert_at_most(FN(check_project)(g, v, n, over, out), 1, "a projection's error over its bound");
            set->project(g, v, n, over, g, 0); /* in place */
            assert_memory_equal(g, out, (size_t)n * sizeof *g);
        }
    }
}

/* Any one entry of the projection, twice that of g, which lies across v. */
static void FN(projections_tell_of_what_does_not_fit)(void **state) {
    enum { N = 77 };
    static const T most = sizeof(T) == 4 ? (T)3e38 : (T)1.7e308, at_fault[] = {most, -most, (T)INFINITY, (T)NAN};
    T g[N], v[N], out[N];
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++)
        for (int64_t n = 2; n <= N; n += 15)
            for (int64_t at = 0; at < n; at++)
                for (int f = 0; f < 4; f++) {
                    memset(g, 0, sizeof g), memset(v, 0, sizeof v);
                    v[(at + 1) % n] = (T)0.5;
                    g[at] = at_fault[f];
                    assert_false(SET(isa)->project(g, v, n, 2, out, n % 2 == 0));
                    g[at] = most / 4;
                    assert_true(SET(isa)->project(g, v, n, 2, out, n % 2 == 0));
                }
}

/* All of g along v: <g, v^> leaves the range of float, what is left of g does not. */
static void FN(projections_of_large_sums_are_finite)(void **state) {
    enum { N = 77 };
    T g[N], v[N], out[N];
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++) {
        for (int64_t k = 0; k < N; k++) g[k] = (T)(k % 2 ? 1e38 : -1e38), v[k] = (T)(k % 2 ? 1 : -1);
        assert_true(SET(isa)->project(g, v, N, 1 / sqrt(N), out, 0));
        for (int64_t k = 0; k < N; k++) assert_at_most(fabs((double)out[k]), 1e38 * EPSILON, "what is left");
    }
}

static void FN(class_sums_agree_with_long_double)(void **state) {
    enum { ROWS = 200 };
    T u[3 * ROWS + 1];
    lgt_extent e = {1, 32, 160, ROWS};
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++) {
        for (int64_t n = 0; n <= 160; n += n < 40 ? 1 : 8) {
            double sum[4] = {0.5, 1.5, -2.5, 777};
            FN(fill)(u, 3 * ROWS, (uint64_t)n);
            for (int64_t j = 0; j < 3; j++)
                for (int64_t i = n; i < ROWS; i++) u[j * ROWS + i] = (T)NAN; /* do not count */
            SET(isa)->class_sums(&e, u, 3, n, sum);
            for (int64_t j = 0; j < 3; j++) {
                static const double before[] = {0.5, 1.5, -2.5};
                long double exact = before[j], size = fabs(before[j]);
                for (int64_t i = 0; i < n; i++) exact += u[j * ROWS + i], size += fabsl((long double)u[j * ROWS + i]);
                double limit = (double)(n / 16 + 18) * DBL_EPSILON / 2 * (double)size; /* as for the squares */
                assert_at_most((double)fabsl(sum[j] - exact), limit, "a class sum's error");
            }
            assert_true(sum[3] == 777);
        }
    }
}

/* ---- tops, unpacked products and sums in double ---- */

static void FN(the_first_of_equal_logits_is_the_top)(void **state) {
    static T u[FN(CLASSES) * FN(LD)];
    T bias[FN(CLASSES)] = {0}, max[FN(WIDE)], sum[FN(WIDE)], top[FN(WIDE)];
    (void)state;
    for (int64_t j = 0; j < FN(CLASSES); j++)
        for (int64_t i = 0; i < FN(LD); i++) u[j * FN(LD) + i] = (T)(j % 5 >= i % 5); /* 1 from i % 5 on */
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++) {
        SET(isa)->exp_sum(&FN(extent), u, FN(CLASSES), FN(ROWS), 2, bias, max, sum, top);
        for (int64_t i = 0; i < FN(ROWS); i++) assert_true(max[i] == 2 && top[i] == (T)(i % 5));
    }
}

enum { FN(PRODUCT_M) = 29, FN(PRODUCT_N) = 96, FN(PRODUCT_K) = 70, FN(BEYOND) = 3 };

/* One call with a by rows or by columns, and every element against long double. */
static void FN(check_product)(const KERNELS *set, int64_t m, int64_t n, int64_t k, int turned, int accumulate) {
    static T a[FN(PRODUCT_M) * FN(PRODUCT_K)], b[FN(PRODUCT_K) * (FN(PRODUCT_N) + FN(BEYOND))];
    static T c[FN(PRODUCT_M) * (FN(PRODUCT_N) + FN(BEYOND))];
    int64_t ld = FN(PRODUCT_N) + FN(BEYOND), a_row = turned ? 1 : k, a_col = turned ? m : 1;
    FN(fill)(a, m * k, 1);
    FN(fill)(b, k * ld, 2);
    for (int64_t at = 0; at < m * ld; at++) c[at] = 777;
    set->product(m, n, k, a, a_row, a_col, b, ld, c, ld, accumulate);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < ld; j++) {
            long double before = accumulate ? 777 : 0, exact = before, size = fabsl(before);
            if (j >= n) {
                assert_true(c[i * ld + j] == 777);
                continue;
            }
            for (int64_t l = 0; l < k; l++) {
                long double term = (long double)a[i * a_row + l * a_col] * b[l * ld + j];
                exact += term, size += fabsl(term);
            }
            /* k products and k additions in sequence, each rounded to half a unit of at most the whole. */
            long double limit = (long double)(k + 2) * EPSILON / 2 * size;
            assert_at_most((double)fabsl(c[i * ld + j] - exact), (double)limit, "a product's error");
        }
}

static void FN(unpacked_products_agree_with_long_double)(void **state) {
    static const int64_t ms[] = {0, 1, 13, 14, FN(PRODUCT_M)}, ns[] = {32, FN(PRODUCT_N)},
                         ks[] = {0, 1, 33, FN(PRODUCT_K)};
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++)
        for (int at = 0; at < 5 * 2 * 4 * 4; at++)
            FN(check_product)(SET(isa), ms[at % 5], ns[at / 5 % 2], ks[at / 10 % 4], at / 40 & 1, at / 80);
}

static void FN(parts_are_added_in_double)(void **state) {
    enum { PARTS = 3, STRIDE = 41 };
    static const double some[PARTS] = {0.5, -4, 2}; /* products are exact, fused with the sum or not */
    T v[PARTS * STRIDE];
    double out[38];
    (void)state;
    FN(fill)(v, PARTS * STRIDE, 9);
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++)
        for (int64_t at = 0; at < 2 * 38 * (PARTS + 1); at++) {
            int64_t n = at / 2 / (PARTS + 1), parts = at / 2 % (PARTS + 1);
            const double *shares = at % 2 ? some : NULL;
            for (int k = 0; k < 38; k++) out[k] = 1e10 + k;
            SET(isa)->sum_parts(v, shares, parts, STRIDE, n, out);
            for (int k = 0; k < 38; k++) {
                double sum = 0;
                for (int64_t p = 0; p < parts && k < n; p++)
                    sum += (shares ? shares[p] : 1) * (double)v[p * STRIDE + k];
                assert_true(out[k] == (k < n ? sum : 1e10 + k));
            }
        }
}

static void FN(pairs_are_added_in_double)(void **state) {
    enum { MOST = 38 };
    T u[MOST], v[MOST];
    double g[MOST];
    (void)state;
    FN(fill)(u, MOST, 10);
    FN(fill)(v, MOST, 11);
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++)
        for (int64_t n = 0; n <= MOST; n++) {
            for (int k = 0; k < MOST; k++) g[k] = k - 7.5;
            SET(isa)->add_pair(g, -3, u, 0.7, v, n);
            for (int k = 0; k < MOST; k++) { /* fused or not: two roundings in double */
                double sum = k < n ? -3 * (double)u[k] + 0.7 * (double)v[k] : 0;
                assert_true(fabs(g[k] - (k - 7.5 + sum)) <= 1e-14);
            }
        }
}

#undef T
#undef KERNELS
#undef EPSILON
#undef LEAST
#undef SPACING
#undef EXP_LOW
#undef FN
#undef SET
