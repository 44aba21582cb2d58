/* Packing and products of the sets with products of their own (AVX512_BF16, AMX), against double: exactly where numbers
 * are small integers, else within bounds that follow from the formats. bfloat16 has 8 significant bits; float32's
 * slices have 24 of a vector's largest. */
#include "support.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu_features.h"
#include "base/philox.h"
#include "kernel/kernels.h"

enum { TILE = 96, BLOCK = 64, LD = BLOCK + 16, MOST_DIM = 544, MOST_LD = MOST_DIM + 16, GUARDS = 3 };

/* Of kernels_amx_emulated.c, which packs and sums as the kernels of AMX do, because it is them. */
#ifdef LGT_EMULATED_TILES
extern const lgt_kernels_f32 emulated_bf16_amx, emulated_bf16x3_amx, emulated_f32_amx;
#define EMULATED(name) &emulated_##name##_amx
#else
#define EMULATED(name) NULL
#endif

/* In the order of instruction sets: a machine has the first of them. */
static const struct {
    lgt_isa isa;
    lgt_precision precision;
    const char *name;
    double unit;     /* a packed number is off by at most this times itself, with the rounding of its factor */
    double term;     /* a product of two is off by at most this times itself */
    int roundings;   /* of the sum, a term: one for each product */
    double of_entry; /* what is promised of normal numbers, relative to the largest entry */
    int sliced;      /* errors are relative to the largest number of a vector, and of a sum to its largest vectors */
    const lgt_kernels_f32 *emulated; /* for processors that have all but its products */
} modes[] = {
    /* half a unit of 8 bits; (1 + 2^-8)^2 - 1; and each time what rounding the factors adds */
    {LGT_ISA_AVX512BF16, LGT_PRECISION_BF16, "bf16 by pairs", 0x1.001p-8, 0x1.01p-7, 1, 2e-2, 0, NULL},
    {LGT_ISA_AMX, LGT_PRECISION_BF16, "bf16", 0x1.001p-8, 0x1.01p-7, 1, 2e-2, 0, EMULATED(bf16)},
    /* the low part is at most 2^-8 of the number, so half a unit of it 2^-17; two of those and the product of the low
     * parts, 2^-16, that is left out */
    {LGT_ISA_AMX, LGT_PRECISION_BF16X3, "bf16x3", 0x1.04p-17, 0x1.04p-15, 3, 5e-5, 0, EMULATED(bf16x3)},
    /* half a unit of 24 bits, of which the largest number fills all but the sign and 1.01 more; two of those, and of
     * the slices' products, 2^-14 of (2.02)^2 each, two times 2^-24 2^14 and 2^-32 2^14 that are left out; three levels
     * are rounded */
    {LGT_ISA_AMX, LGT_PRECISION_FULL, "f32", 0x1.04p-23, 0x1.04p-22 + 0x1.06p-21, 3, 5e-6, 1, EMULATED(f32)},
};
enum { N_MODES = sizeof modes / sizeof *modes };
static int n_modes; /* that this machine has, or can emulate */

static const int64_t dims[] = {1, 2, 31, 32, 33, 100, 512, 513}, counts[] = {1, 2, 15, 16, 17, 31, 32, 33, BLOCK, TILE};
enum { N_DIMS = sizeof dims / sizeof *dims, N_COUNTS = sizeof counts / sizeof *counts };

/* One crossing with its operands; vectors lie `dim + GUARDS` apart with NaN between them, as no kernel may read on. */
typedef struct crossing {
    lgt_extent e;
    int64_t n_classes, n_rows;
    float w[TILE * MOST_LD], x[BLOCK * MOST_LD], p[TILE * LD];
    double w_factor[TILE], x_factor[BLOCK];
    const float *w_rows[TILE], *x_rows[BLOCK];
    float u[TILE * LD], dx[(BLOCK + 1) * MOST_LD], dw[(TILE + 1) * MOST_LD];
    void *features, *classes, *weights;
} crossing;

static crossing c;

static void *packed_room(int64_t bytes) {
    void *room = NULL;
    assert_int_equal(bytes % 64, 0);
    assert_int_equal(posix_memalign(&room, 64, (size_t)bytes), 0);
    memset(room, 0xff, (size_t)bytes); /* NaN, for what packing forgets */
    return room;
}

/* All operands NaN, all factors 1. */
static void start(const lgt_kernels_f32 *k, int64_t dim, int64_t n_classes, int64_t n_rows) {
    c.e = (lgt_extent){dim, TILE, BLOCK, LD};
    c.n_classes = n_classes, c.n_rows = n_rows;
    for (int64_t i = 0; i < TILE * MOST_LD; i++) c.w[i] = NAN;
    for (int64_t i = 0; i < BLOCK * MOST_LD; i++) c.x[i] = NAN;
    for (int64_t i = 0; i < TILE * LD; i++) c.p[i] = NAN;
    for (int64_t j = 0; j < TILE; j++) c.w_rows[j] = c.w + j * (dim + GUARDS), c.w_factor[j] = 1;
    for (int64_t i = 0; i < BLOCK; i++) c.x_rows[i] = c.x + i * (dim + GUARDS), c.x_factor[i] = 1;
    c.features = packed_room(k->features_size(&c.e));
    c.classes = packed_room(k->classes_size(&c.e));
    c.weights = packed_room(k->weights_size(&c.e));
}

static void finish(void) {
    free(c.features);
    free(c.classes);
    free(c.weights);
}

typedef struct source {
    uint64_t seed;
    int64_t integers; /* uniform in [-integers, integers]; 0: normal numbers */
} source;

static float number(const source *s, int64_t i) {
    lgt_rng rng = {71, s->seed};
    if (s->integers == 0) return (float)lgt_rng_normal(&rng, (uint64_t)i);
    return (float)((int64_t)lgt_rng_below(&rng, (uint64_t)i, (uint64_t)(2 * s->integers + 1)) - s->integers);
}

static void fill(source w, source x, source p) {
    int64_t stride = c.e.dim + GUARDS;
    for (int64_t j = 0; j < c.n_classes; j++)
        for (int64_t k = 0; k < c.e.dim; k++) c.w[j * stride + k] = number(&w, j * stride + k);
    for (int64_t i = 0; i < c.n_rows; i++)
        for (int64_t k = 0; k < c.e.dim; k++) c.x[i * stride + k] = number(&x, i * stride + k);
    for (int64_t j = 0; j < c.n_classes; j++)
        for (int64_t i = 0; i < c.n_rows; i++) c.p[j * LD + i] = number(&p, j * LD + i);
}

/* Everything once: dx and dw are poisoned, or hold `before` with accumulate. */
static void run(const lgt_kernels_f32 *k, int accumulate, float before) {
    int64_t ld = (c.e.dim + 31) / 32 * 32;
    for (int64_t i = 0; i < (BLOCK + 1) * MOST_LD; i++) c.dx[i] = i < c.n_rows * ld && !accumulate ? NAN : before;
    for (int64_t i = 0; i < (TILE + 1) * MOST_LD; i++) c.dw[i] = i < c.n_classes * ld && !accumulate ? NAN : before;
    for (int64_t i = 0; i < TILE * LD; i++) c.u[i] = NAN;
    k->pack_features(&c.e, c.x_rows, c.x_factor, c.n_rows, c.features);
    k->pack_classes(&c.e, c.w_rows, c.w_factor, c.n_classes, c.classes);
    k->turn_classes(&c.e, c.n_classes, c.classes);
    k->pack_weights(&c.e, c.p, c.n_classes, c.n_rows, c.classes, c.features, c.weights);
    k->logits(&c.e, c.classes, c.n_classes, c.features, c.n_rows, c.u);
    k->gather_x(&c.e, c.weights, c.n_classes, c.n_rows, c.classes, c.dx, ld, accumulate);
    k->gather_w(&c.e, c.weights, c.n_classes, c.n_rows, c.features, c.dw, ld, accumulate);
}

static double w_at(int64_t j, int64_t k) {
    return c.w_factor[j] * (double)c.w_rows[j][k];
}

static double x_at(int64_t i, int64_t k) {
    return c.x_factor[i] * (double)c.x_rows[i][k];
}

/* The worst of |found - exact| / (the bound of its sum) over the three products, in units where 1 is the bound:
 * `term` of every term and the roundings of the sum, with what is flushed to zero below 2^-126. */
typedef struct verdict {
    double worst, largest, difference;
} verdict;

static void judge(verdict *v, double found, double exact, double size, int64_t n_terms, double term, int roundings) {
    double off = fabs(found - exact);
    double bound = size * (term + (double)(roundings * n_terms + 2) * 0x1p-24) + (double)(4 * n_terms) * 0x1p-126;
    if (!(off / bound <= v->worst)) v->worst = off / bound;
    if (!(off <= v->difference)) v->difference = off;
    if (!(fabs(exact) <= v->largest)) v->largest = fabs(exact);
}

/* The largest of n numbers. */
static double largest(const float *v, int64_t n, double factor) {
    double most = 0;
    for (int64_t k = 0; k < n; k++) most = fmax(most, fabs(factor * (double)v[k]));
    return most;
}

/* The size of a sum of n terms: that of the terms, or n times what their largest could be. */
static double size_of(int sliced, double terms, double most, int64_t n) {
    return sliced ? (double)n * most : terms;
}

static void judge_all(verdict v[3], double before, int m) {
    int64_t dim = c.e.dim, ld = (dim + 31) / 32 * 32;
    double term = modes[m].term, w_most[TILE], x_most[BLOCK];
    int roundings = modes[m].roundings, sliced = modes[m].sliced;
    for (int64_t j = 0; j < c.n_classes; j++) w_most[j] = largest(c.w_rows[j], dim, c.w_factor[j]);
    for (int64_t i = 0; i < c.n_rows; i++) x_most[i] = largest(c.x_rows[i], dim, c.x_factor[i]);
    memset(v, 0, 3 * sizeof *v);
    for (int64_t j = 0; j < c.n_classes; j++)
        for (int64_t i = 0; i < c.n_rows; i++) {
            double sum = 0, size = 0;
            for (int64_t k = 0; k < dim; k++) sum += w_at(j, k) * x_at(i, k), size += fabs(w_at(j, k) * x_at(i, k));
            size = size_of(sliced, size, w_most[j] * x_most[i], dim);
            judge(&v[0], (double)c.u[j * LD + i], sum, size, dim, term, roundings);
        }
    for (int64_t i = 0; i < c.n_rows; i++)
        for (int64_t k = 0; k < dim; k++) {
            double sum = before, size = 0, most = 0;
            for (int64_t j = 0; j < c.n_classes; j++) {
                double p = (double)c.p[j * LD + i], t = p * w_at(j, k);
                sum += t, size += fabs(t), most = fmax(most, fabs(p) * w_most[j]);
            }
            size = fabs(before) + size_of(sliced, size, most, c.n_classes);
            judge(&v[1], (double)c.dx[i * ld + k], sum, size, c.n_classes, term, roundings);
        }
    for (int64_t j = 0; j < c.n_classes; j++)
        for (int64_t k = 0; k < dim; k++) {
            double sum = before, size = 0, most = 0;
            for (int64_t i = 0; i < c.n_rows; i++) {
                double p = (double)c.p[j * LD + i], t = p * x_at(i, k);
                sum += t, size += fabs(t), most = fmax(most, fabs(p) * x_most[i]);
            }
            size = fabs(before) + size_of(sliced, size, most, c.n_rows);
            judge(&v[2], (double)c.dw[j * ld + k], sum, size, c.n_rows, term, roundings);
        }
}

static const char *const products[] = {"logits", "gather_x", "gather_w"};

static void assert_within(const verdict v[3], const char *mode, const char *what) {
    for (int i = 0; i < 3; i++)
        if (!(v[i].worst <= 1))
            fail_msg("%s %s, dim %d, %d classes, %d rows, %s: off by %g of its bound (%g of %g)", mode, products[i],
                     (int)c.e.dim, (int)c.n_classes, (int)c.n_rows, what, v[i].worst, v[i].difference, v[i].largest);
}

/* Behind the last row of dx and dw, and in the padding of their rows (exact zeros were added), nothing has changed. */
static void assert_nothing_beyond_written(float before) {
    int64_t ld = (c.e.dim + 31) / 32 * 32;
    for (int64_t i = c.n_rows * ld; i < (BLOCK + 1) * MOST_LD; i++) assert_true(c.dx[i] == before);
    for (int64_t i = c.n_classes * ld; i < (TILE + 1) * MOST_LD; i++) assert_true(c.dw[i] == before);
}

static const lgt_kernels_f32 *set_of(int mode) {
    if (modes[mode].isa > lgt_cpu_best_isa()) return modes[mode].emulated;
    return lgt_kernels_f32_of(modes[mode].isa, modes[mode].precision);
}

/* Integers of at most 9 bits against integers of 4: every product is exact, the low part of the one times the high part
 * of the other included, and every sum is below 2^24; so each number has to be the exact one. */
static void products_of_small_integers_are_exact(void **state) {
    (void)state;
    for (int m = 0; m < n_modes; m++)
        for (int d = 0; d < N_DIMS; d++)
            for (int a = 0; a < N_COUNTS; a++)
                for (int b = 0; b < N_COUNTS && counts[b] <= BLOCK; b++) {
                    int64_t fine = modes[m].precision == LGT_PRECISION_BF16 ? 127 : 511;
                    int turn = (d + a + b) % 3, accumulate = (a + b) % 2;
                    source s[3] = {{1, 15}, {2, 15}, {3, 15}};
                    s[turn].integers = fine;
                    verdict v[3];
                    start(set_of(m), dims[d], counts[a], counts[b]);
                    fill(s[0], s[1], s[2]);
                    run(set_of(m), accumulate, accumulate ? 3 : 7);
                    judge_all(v, accumulate ? 3 : 0, m);
                    for (int i = 0; i < 3; i++)
                        if (!(v[i].difference == 0)) assert_within(v, modes[m].name, "integers"), fail();
                    assert_nothing_beyond_written(accumulate ? 3 : 7);
                    finish();
                }
}

static void products_of_normal_numbers_are_within_the_bound_of_their_terms(void **state) {
    (void)state;
    double worst = 0;
    for (int m = 0; m < n_modes; m++)
        for (int d = 0; d < N_DIMS; d++)
            for (int a = 0; a < N_COUNTS; a += 3) {
                int64_t n_rows = counts[(a + d) % (N_COUNTS - 1)];
                verdict v[3];
                start(set_of(m), dims[d], counts[a], n_rows);
                fill((source){4, 0}, (source){5, 0}, (source){6, 0});
                for (int64_t j = 0; j < counts[a]; j++) c.w_factor[j] = 1 / (3 + (double)j);
                for (int64_t i = 0; i < n_rows; i++) c.x_factor[i] = -exp(0.7 * (double)i);
                run(set_of(m), a % 2, 0.5f);
                judge_all(v, a % 2 ? 0.5 : 0, m);
                assert_within(v, modes[m].name, "normal numbers");
                for (int i = 0; i < 3; i++) worst = fmax(worst, v[i].worst);
                finish();
            }
    assert_true(worst > 0.1); /* else the bound says nothing */
}

/* The numbers that a mode's documentation promises. */
static void entries_are_as_exact_as_promised(void **state) {
    (void)state;
    for (int m = 0; m < n_modes; m++)
        for (int64_t dim = 128; dim <= 512; dim *= 2) {
            verdict v[3];
            start(set_of(m), dim, TILE, BLOCK);
            fill((source){7, 0}, (source){8, 0}, (source){9, 0});
            run(set_of(m), 0, 0);
            judge_all(v, 0, m);
            for (int i = 0; i < 3; i++) {
                print_message("%s %s dim %d: %.2e of the largest entry\n", modes[m].name, products[i], (int)dim,
                              v[i].difference / v[i].largest);
                assert_at_most(v[i].difference / v[i].largest, modes[m].of_entry, products[i]);
            }
            finish();
        }
}

/* Class j is the unit vector j, and so is row j of the weights: u is X^T, dx is W and dw is X, as they were packed. */
static void packed_numbers_are_rounded_once(void **state) {
    static const double factors[] = {1, -0.3, 1e-30, 3e37, 0x1p-120, 7e44};
    (void)state;
    for (int m = 0; m < n_modes; m++)
        for (int f = 0; f < 6; f++) {
            const lgt_kernels_f32 *k = set_of(m);
            start(k, 60, 60, 60);
            fill((source){10, 0}, (source){11, 0}, (source){12, 0});
            for (int64_t i = 0; i < 60; i++) {
                /* vectors as long as their factor is short, even where the factor is no float */
                for (int64_t l = 0; l < 60; l++) c.x[i * 63 + l] = (float)((double)c.x[i * 63 + l] / factors[f]);
                c.x_factor[i] = factors[f];
                for (int64_t l = 0; l < 60; l++) c.w[i * 63 + l] = i == l, c.p[i * LD + l] = i == l;
            }
            run(k, 0, 0);
            for (int64_t i = 0; i < 60; i++)
                for (int64_t l = 0; l < 60; l++) {
                    double most = largest(c.x_rows[i], 60, c.x_factor[i]);
                    double limit = modes[m].unit * (modes[m].sliced ? most : fabs(x_at(i, l)));
                    assert_at_most(fabs((double)c.u[l * LD + i] - x_at(i, l)), limit, "a feature's error in u");
                    assert_at_most(fabs((double)c.dw[i * 64 + l] - x_at(i, l)), limit, "a feature's error in dw");
                    assert_true(c.dx[i * 64 + l] == (i == l));
                }
            finish();
        }
}

static void weights_are_rounded_once(void **state) {
    (void)state;
    for (int m = 0; m < n_modes; m++) {
        start(set_of(m), 60, 60, 60);
        fill((source){13, 0}, (source){14, 0}, (source){15, 0});
        for (int64_t i = 0; i < 60; i++)
            for (int64_t l = 0; l < 60; l++) c.w[i * 63 + l] = i == l, c.x[i * 63 + l] = i == l;
        run(set_of(m), 0, 0);
        for (int64_t j = 0; j < 60; j++)
            for (int64_t i = 0; i < 60; i++) {
                double p = (double)c.p[j * LD + i], of_row = fabs(p), of_class = fabs(p);
                for (int64_t k = 0; k < 60 && modes[m].sliced; k++) {
                    of_row = fmax(of_row, fabs((double)c.p[k * LD + i]));
                    of_class = fmax(of_class, fabs((double)c.p[j * LD + k]));
                }
                assert_at_most(fabs((double)c.dx[i * 64 + j] - p), modes[m].unit * of_row, "a weight's error in dx");
                assert_at_most(fabs((double)c.dw[j * 64 + i] - p), modes[m].unit * of_class, "a weight's error in dw");
            }
        finish();
    }
}

/* The unit takes what is below 2^-126 for zero, in operands, products and sums: an error of so much, no more. */
static void subnormal_numbers_are_lost_and_nothing_else(void **state) {
    (void)state;
    for (int m = 0; m < n_modes; m++)
        for (int exponent = -149; exponent <= -50; exponent += 11) {
            verdict v[3];
            start(set_of(m), 33, 33, 33);
            fill((source){16, 0}, (source){17, 0}, (source){18, 0});
            for (int64_t i = 0; i < 33; i++)
                for (int64_t l = 0; l < 33; l++) {
                    c.w[i * 36 + l] = ldexpf(c.w[i * 36 + l] + 2, exponent / 2);
                    c.x[i * 36 + l] = ldexpf(c.x[i * 36 + l] + 2, exponent / 2);
                    c.p[i * LD + l] = ldexpf(c.p[i * LD + l] + 2, exponent);
                }
            run(set_of(m), 0, 0);
            judge_all(v, 0, m);
            assert_within(v, modes[m].name, "subnormal");
            finish();
        }
}

static void the_same_call_gives_the_same_bits(void **state) {
    static float u[TILE * LD], dx[BLOCK * MOST_LD], dw[TILE * MOST_LD];
    (void)state;
    for (int m = 0; m < n_modes; m++) {
        start(set_of(m), 500, 90, 50);
        fill((source){19, 0}, (source){20, 0}, (source){21, 0});
        for (int again = 0; again < 3; again++) {
            run(set_of(m), 1, 0.1f);
            for (int64_t j = 0; j < 90 && again; j++) assert_memory_equal(c.u + j * LD, u + j * LD, 50 * sizeof *u);
            if (again) assert_memory_equal(c.dx, dx, sizeof dx);
            if (again) assert_memory_equal(c.dw, dw, sizeof dw);
            memcpy(u, c.u, sizeof u);
            memcpy(dx, c.dx, sizeof dx);
            memcpy(dw, c.dw, sizeof dw);
        }
        finish();
    }
}

/* Each argument is another array or number, so that none can take another's place. */
static void elementwise_kernels_are_those_of_avx512(void **state) {
    enum { N = 37, ROOM = 64 };
    enum { SETS = N_MODES + 1 };
    const lgt_kernels_f32 *sets[SETS] = {lgt_kernels_f32_of(LGT_ISA_AVX512, LGT_PRECISION_FULL)};
    static float numbers[5][TILE], u[SETS][TILE * LD], out[SETS][4][ROOM];
    static double sums[SETS][TILE], wide[SETS][ROOM], squares[SETS];
    const lgt_extent e = {100, TILE, BLOCK, LD};
    (void)state;
    for (int64_t i = 0; i < 5 * TILE; i++) numbers[i / TILE][i % TILE] = number(&(source){22, 0}, i);
    for (int m = 0; m < n_modes; m++) sets[m + 1] = set_of(m);
    for (int s = 0; s <= n_modes; s++) {
        for (int64_t i = 0; i < TILE * LD; i++) u[s][i] = number(&(source){23, 0}, i);
        sets[s]->exp_sum(&e, u[s], TILE, N, 1.5f, numbers[0], out[s][0], out[s][1], out[s][3]);
        sets[s]->exp_weights(&e, u[s], TILE, N, 1.5f, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]);
        sets[s]->class_sums(&e, u[s], TILE, N, sums[s]);
        squares[s] = sets[s]->square_sum(numbers[0], N);
        sets[s]->product(2, LGT_LANES, 5, numbers[0], 1, 3, numbers[1], LGT_LANES + 1, out[s][2], LGT_LANES, 0);
        sets[s]->sum_parts(numbers[0], NULL, 3, TILE, N, wide[s]);
        sets[s]->add_pair(wide[s], -3, numbers[1], 0.7, numbers[2], N);
        assert_memory_equal(wide[s], wide[0], sizeof wide[s]);
        assert_true(squares[s] == squares[0]);
        for (int64_t j = 0; j < TILE; j++) assert_memory_equal(u[s] + j * LD, u[0] + j * LD, N * sizeof **u);
        for (int o = 0; o < 4; o++) assert_memory_equal(out[s][o], out[0][o], N * sizeof ***out);
        assert_memory_equal(sums[s], sums[0], sizeof sums[s]);
    }
}

/* In float or in double: off by a few roundings of the largest term, in place as well, and nothing behind the vector.
 */
static void projections_agree_with_double(void **state) {
    enum { MOST = 70 };
    static const double overs[] = {0.7, 1e-20, 1e20, 1e-35, 1e35, 1e39};
    (void)state;
    for (int m = 0; m < n_modes; m++)
        for (int64_t at = 0; at < 6 * MOST; at++) {
            int64_t n = at % MOST + 1;
            double over = overs[at / MOST], along = 0, most = 0, square = 0;
            float g[MOST + 1], v[MOST + 1], out[MOST + 1];
            for (int64_t k = 0; k <= MOST; k++) {
                g[k] = number(&(source){24, 0}, k) * (over > 1e38 ? 1e-6f : 1), out[k] = 777;
                v[k] = number(&(source){25, 0}, k);
                square += k < n ? (double)v[k] * (double)v[k] : 0;
            }
            for (int64_t k = 0; k < n; k++) v[k] = (float)((double)v[k] / sqrt(square) / over);
            for (int64_t k = 0; k < n; k++) along += (double)g[k] * ((double)v[k] * over);
            for (int64_t k = 0; k < n; k++) most = fmax(most, fabs((double)g[k]) + fabs(along));
            assert_true(set_of(m)->project(g, v, n, over, out, n % 2 == 0));
            assert_true(out[n] == 777);
            for (int64_t k = 0; k < n; k++) {
                double exact = n == 1 ? 0 : ((double)g[k] - along * ((double)v[k] * over)) * over;
                assert_at_most(fabs((double)out[k] - exact), 0x1p-20 * most * over + 1e-38, "a projection");
            }
            set_of(m)->project(g, v, n, over, g, 0);
            assert_memory_equal(g, out, (size_t)n * sizeof *g);
        }
}

/* Any one entry of the projection, twice that of g, which lies across v; past the caches and not. */
static void projections_tell_of_what_does_not_fit(void **state) {
    enum { MOST = 64 };
    static const float at_fault[] = {3e38f, -3e38f, INFINITY, NAN};
    (void)state;
    for (int m = 0; m < n_modes; m++)
        for (int64_t at = 0; at < 2 * 4 * MOST; at++) {
            int64_t n = at % 2 ? MOST : MOST - 9, k = at / 8 % n;
            _Alignas(64) float g[MOST] = {0}, v[MOST] = {0}, out[MOST];
            v[(k + 1) % n] = 0.5f;
            g[k] = at_fault[at / 2 % 4];
            assert_false(set_of(m)->project(g, v, n, 2, out, at / MOST % 2 == 0));
            g[k] = 1e38f;
            assert_true(set_of(m)->project(g, v, n, 2, out, at / MOST % 2 == 0));
        }
}

/* What the kernels of AMX are made of beside tiles. */
static int packs_for_tiles(void) {
#ifdef LGT_EMULATED_TILES
    return lgt_cpu_best_isa() == LGT_ISA_AVX512BF16 && __builtin_cpu_supports("avx512vbmi");
#else
    return 0;
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_small_integers_are_exact),
        cmocka_unit_test(products_of_normal_numbers_are_within_the_bound_of_their_terms),
        cmocka_unit_test(entries_are_as_exact_as_promised),
        cmocka_unit_test(packed_numbers_are_rounded_once),
        cmocka_unit_test(weights_are_rounded_once),
        cmocka_unit_test(subnormal_numbers_are_lost_and_nothing_else),
        cmocka_unit_test(the_same_call_gives_the_same_bits),
        cmocka_unit_test(elementwise_kernels_are_those_of_avx512),
        cmocka_unit_test(projections_agree_with_double),
        cmocka_unit_test(projections_tell_of_what_does_not_fit),
    };
    while (n_modes < N_MODES && modes[n_modes].isa <= lgt_cpu_best_isa()) n_modes++;
    if (packs_for_tiles()) {
        n_modes = N_MODES;
        printf("tiles are emulated\n");
    }
    if (n_modes < N_MODES)
        printf("skipped: %d of %d arithmetics, of which this processor or system has no products; its best is %s\n",
               N_MODES - n_modes, N_MODES, lgt_isa_name(lgt_cpu_best_isa()));
    if (n_modes == 0) return 0;
    return cmocka_run_group_tests_name("kernels_packed", tests, NULL, NULL);
}
