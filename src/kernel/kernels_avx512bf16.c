/* The kernels of bfloat16 numbers with AVX512_BF16, whose products of pairs (VDPBF16PS) are summed in float at twice
 * the rate of float's own. All else is the set of AVX-512's.
 *
 * An element of an operand is a pair of numbers, two neighbours of the sum; left operands have the pairs one by one,
 * right ones 32 to a row. With p(n) = n / 2, rounded up:
 *
 *   features  by number  [block / 32][p(dim)][32]              right operand of logits
 *             by vector  [dim / 32][p(block)][32]              right operand of gather_w
 *   classes   by number  [p(dim) / 32][tile + ROWS][32]        left operand of logits
 *             by vector  [dim / 32][p(tile)][32]               right operand of gather_x
 *   weights   by row     [tile][p(block)]                      left operand of gather_w
 *             by class   [p(tile)][ld]                         left operand of gather_x
 *
 * The instruction takes numbers below 2^-126 for zeros, in operands and in sums. */
#include <string.h>

#include "kernel/avx512_members.h"

enum { SIDE = 32, LINE = SIDE * 4, SQUARE = 16 * LINE, ROWS = 14 };

LGT_VECTOR(vector_f32, float, 64);
LGT_VECTOR(vector_i32, int32_t, 64);

#define T        float
#define V        vector_f32
#define E        int32_t
#define B        vector_i32
#define FN(name) name##_pairs
#define MULTIPLY_ADD(sum, factor, b)                                                                                   \
    ((V)_mm512_dpbf16_ps((__m512)(sum), (__m512bh)_mm512_set1_epi32(factor), (__m512bh)(b)))
enum { FN(lanes) = 16, FN(panel) = SIDE };
#include "kernel/product_template.h"

static int64_t squares(int64_t n) {
    return (n + SIDE - 1) / SIDE;
}

static int64_t pairs(int64_t n) {
    return (n + 1) / 2;
}

/* ---- vectors ---- */

/* Step s of vector i lies at base + s / together * chunk + s % together * 64 + i * row. */
typedef struct rows {
    char *base;
    int64_t chunk, row;
    int together;
} rows;

static char *row_at(const rows *r, int64_t step, int64_t i) {
    return r->base + step / r->together * r->chunk + step % r->together * 64 + i * r->row;
}

/* n vectors times their factors, 32 numbers a step, and zeros up to the `all`-th vector. One by one: 32 streams at
 * distances of a power of two would push each other out of the first cache. */
static void round_vectors(const float *const *v, const double *factor, int64_t n, int64_t all, int64_t dim, rows to) {
    for (int64_t i = 0; i < all; i++) {
        bf16_factor f = bf16_factor_of(i < n ? factor[i] : 0);
        for (int64_t s = 0; s < squares(dim); s++) {
            __m512 part[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
            if (i < n) {
                bf16_load(v[i] + s * SIDE, dim - s * SIDE, part);
                for (int h = 0; h < 2; h++) part[h] = bf16_scaled(part[h], &f);
            }
            _mm512_store_si512(row_at(&to, s, i), bf16_round(part));
        }
    }
}

/* Vectors by pairs: what sums over the vectors want of those of sums over their numbers. */
static void pair_vectors(int64_t n, int64_t dim, const rows *from, char *to, int64_t panel_bytes) {
    for (int64_t s = 0; s < squares(dim); s++)
        for (int64_t i = 0; i < n; i += 2) {
            __m512i *out = (__m512i *)(to + s * panel_bytes + i / 2 * LINE);
            bf16_pair(_mm512_load_si512(row_at(from, s, i)), _mm512_load_si512(row_at(from, s, i + 1)), out, out + 1);
        }
}

/* 32 vectors of 16 pairs as 16 lines of 32. */
static void turn_square(__m512i *square) {
    __m512i part[2][16];
    memcpy(part, square, sizeof part);
    for (int h = 0; h < 2; h++) bf16_transpose(part[h]);
    for (int k = 0; k < 16; k++)
        for (int h = 0; h < 2; h++) square[2 * k + h] = part[h][k];
}

/* ---- features ---- */

static int64_t features_by_number(const lgt_extent *e) {
    return squares(e->block) * squares(e->dim) * SQUARE;
}

static int64_t feature_panel(const lgt_extent *e) {
    return pairs(e->block) * LINE;
}

static int64_t features_size(const lgt_extent *e) {
    return features_by_number(e) + squares(e->dim) * feature_panel(e);
}

static void pack_features(const lgt_extent *e, const float *const *x, const double *factor, int64_t n, void *out) {
    char *by_number = out, *by_vector = by_number + features_by_number(e);
    int64_t steps = squares(e->dim);
    for (int64_t i = 0; i < n; i += SIDE) {
        rows r = {by_number + i / SIDE * steps * SQUARE, SQUARE, 64, 1};
        round_vectors(x + i, factor + i, n - i < SIDE ? n - i : SIDE, SIDE, e->dim, r);
        pair_vectors(SIDE, e->dim, &r, by_vector + i / 2 * LINE, feature_panel(e));
        for (int64_t s = 0; s < steps; s++) turn_square((__m512i *)(r.base + s * SQUARE));
    }
}

/* ---- classes ---- */

static rows classes_by_number(const lgt_extent *e, const void *classes) {
    return (rows){(char *)classes, (e->tile + ROWS) * LINE, LINE, 2};
}

static int64_t classes_by_number_size(const lgt_extent *e) {
    return squares(pairs(e->dim)) * (e->tile + ROWS) * LINE;
}

static int64_t class_panel(const lgt_extent *e) {
    return pairs(e->tile) * LINE;
}

static int64_t classes_size(const lgt_extent *e) {
    return classes_by_number_size(e) + squares(e->dim) * class_panel(e);
}

static void pack_classes(const lgt_extent *e, const float *const *w, const double *factor, int64_t n, void *out) {
    round_vectors(w, factor, n, 2 * pairs(n), e->dim, classes_by_number(e, out));
}

static void turn_classes(const lgt_extent *e, int64_t n, void *classes) {
    rows r = classes_by_number(e, classes);
    pair_vectors(n, e->dim, &r, r.base + classes_by_number_size(e), class_panel(e));
}

/* ---- weights ---- */

static int64_t weights_by_row(const lgt_extent *e) {
    return e->tile * pairs(e->block) * 4;
}

static int64_t weights_size(const lgt_extent *e) {
    return weights_by_row(e) + (pairs(e->tile) * e->ld * 4 + 63) / 64 * 64;
}

/* 32 weights of a class, none of one that is not there. */
static __m512i round_weights(const float *u, int64_t count, int there) {
    __m512 part[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    if (there) bf16_load(u, count, part);
    return bf16_round(part);
}

static void pack_weights(const lgt_extent *e, const float *u, int64_t n_classes, int64_t n_rows, const void *classes,
                         const void *features, void *out) {
    char *by_row = out, *by_class = by_row + weights_by_row(e);
    (void)classes, (void)features;
    for (int64_t j = 0; j < n_classes; j += 2)
        for (int64_t i = 0; i < n_rows; i += SIDE) {
            __m512i even = round_weights(u + j * e->ld + i, n_rows - i, 1);
            __m512i odd = round_weights(u + (j + 1) * e->ld + i, n_rows - i, j + 1 < n_classes), low, high;
            char *line = by_row + (j * pairs(e->block) + i / 2) * 4, *turned = by_class + (j / 2 * e->ld + i) * 4;
            _mm512_storeu_si512(line, even);
            _mm512_storeu_si512(line + pairs(e->block) * 4, odd);
            bf16_pair(even, odd, &low, &high);
            _mm512_storeu_si512(turned, low);
            _mm512_storeu_si512(turned + 64, high);
        }
}

/* ---- products ---- */

static void logits(const lgt_extent *e, const void *classes, int64_t n_classes, const void *features, int64_t n_rows,
                   float *u) {
    left_pairs a = {classes, SIDE, (e->tile + ROWS) * SIDE, 1};
    multiply_pairs(n_classes, squares(n_rows), pairs(e->dim), a, features, squares(e->dim) * SQUARE / 4, SIDE, u, e->ld,
                   0);
}

static void gather_x(const lgt_extent *e, const void *weights, int64_t n_classes, int64_t n_rows, const void *classes,
                     float *dx, int64_t ld, int accumulate) {
    left_pairs a = {(const int32_t *)((const char *)weights + weights_by_row(e)), 1, e->ld * SIDE, e->ld};
    const void *b = (const char *)classes + classes_by_number_size(e);
    multiply_pairs(n_rows, squares(e->dim), pairs(n_classes), a, b, class_panel(e) / 4, SIDE, dx, ld, accumulate);
}

static void gather_w(const lgt_extent *e, const void *weights, int64_t n_classes, int64_t n_rows, const void *features,
                     float *dw, int64_t ld, int accumulate) {
    left_pairs a = {weights, pairs(e->block), SIDE, 1};
    const void *b = (const char *)features + features_by_number(e);
    multiply_pairs(n_classes, squares(e->dim), pairs(n_rows), a, b, feature_panel(e) / 4, SIDE, dw, ld, accumulate);
}

/* Twelve independent chains of products of ones; they differ, or gcc would make one of them. */
static double peak(int64_t turns, float *out) {
    enum { CHAINS = 12 };
    V chain[CHAINS];
    B ones = (B){0} + 0x3f803f80;
    for (int i = 0; i < CHAINS; i++) chain[i] = (V){0} + (*out + (float)i);
    for (int64_t n = 0; n < turns; n++)
        for (int i = 0; i < CHAINS; i++) chain[i] = MULTIPLY_ADD(chain[i], 0x3f803f80, ones);
    *out = 0;
    for (int i = 0; i < CHAINS; i++) *out += chain[i][0];
    return 4.0 * CHAINS * FN(lanes) * (double)turns;
}

extern const lgt_kernels_f32 lgt_kernels_bf16_avx512bf16;
const lgt_kernels_f32 lgt_kernels_bf16_avx512bf16 = {
    .features_size = features_size,
    .classes_size = classes_size,
    .weights_size = weights_size,
    .kept_size = weights_by_row,
    .pack_features = pack_features,
    .pack_classes = pack_classes,
    .turn_classes = turn_classes,
    .pack_weights = pack_weights,
    .logits = logits,
    .gather_x = gather_x,
    .gather_w = gather_w,
    ELEMENTWISE,
    .project = project_in_float,
    .peak = peak,
};
