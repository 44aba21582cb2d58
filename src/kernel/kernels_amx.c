/* The kernels over AMX tiles: products of bfloat16 numbers, or of sums of two, accumulated in float. The elementwise
 * kernels are those of AVX-512. */
#include "kernel/amx_product.h"
#include "kernel/kernels.h"

/* Bytes of one of the two operands that `count` vectors of `depth` numbers become. */
static int64_t operand_size(int64_t count, int64_t depth, int parts) {
    return amx_squares(count) * amx_squares(depth) * parts * AMX_SQUARE;
}

/* The second operand follows the first. */
static amx_operand first_of(const void *packed, int64_t depth, int parts) {
    return amx_operand_at((char *)packed, depth, parts);
}

static amx_operand second_of(const void *packed, int64_t count, int64_t depth, int parts) {
    return amx_operand_at((char *)packed + operand_size(count, depth, parts), count, parts);
}

extern const lgt_kernels_f32 lgt_kernels_f32_avx512;

static void exp_sum(const lgt_extent *e, const float *u, int64_t n_classes, int64_t n_rows, float scale,
                    const float *bias, float *max, float *sum, float *top) {
    lgt_kernels_f32_avx512.exp_sum(e, u, n_classes, n_rows, scale, bias, max, sum, top);
}

static void exp_weights(const lgt_extent *e, float *u, int64_t n_classes, int64_t n_rows, float scale,
                        const float *bias, const float *high, const float *low, const float *multiplier,
                        const float *shift) {
    lgt_kernels_f32_avx512.exp_weights(e, u, n_classes, n_rows, scale, bias, high, low, multiplier, shift);
}

static void class_sums(const lgt_extent *e, const float *u, int64_t n_classes, int64_t n_rows, double *sum) {
    lgt_kernels_f32_avx512.class_sums(e, u, n_classes, n_rows, sum);
}

static void product(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_col, const float *b,
                    int64_t ldb, float *c, int64_t ldc, int accumulate) {
    lgt_kernels_f32_avx512.product(m, n, k, a, a_row, a_col, b, ldb, c, ldc, accumulate);
}

static double dot(const float *a, const float *b, int64_t n) {
    return lgt_kernels_f32_avx512.dot(a, b, n);
}

static void project_sums(double *g, const float *v, int64_t n, double over) {
    lgt_kernels_f32_avx512.project_sums(g, v, n, over);
}

static void widen(const float *v, int64_t n, double *out) {
    lgt_kernels_f32_avx512.widen(v, n, out);
}

static double square_sum(const float *v, int64_t n) {
    return lgt_kernels_f32_avx512.square_sum(v, n);
}

static void project(const float *g, const float *v, int64_t n, double over, float *out) {
    lgt_kernels_f32_avx512.project(g, v, n, over, out);
}

#define AMX_SET(name, parts)                                                                                           \
    static int64_t features_size_##name(const lgt_extent *e) {                                                         \
        return 2 * operand_size(e->block, e->dim, parts);                                                              \
    }                                                                                                                  \
    static int64_t classes_size_##name(const lgt_extent *e) {                                                          \
        return 2 * operand_size(e->tile, e->dim, parts);                                                               \
    }                                                                                                                  \
    static int64_t weights_size_##name(const lgt_extent *e) {                                                          \
        return 2 * operand_size(e->tile, e->block, parts);                                                             \
    }                                                                                                                  \
    static void pack_features_##name(const lgt_extent *e, const float *const *x, const double *factor, int64_t n,      \
                                     void *out) {                                                                      \
        amx_pack_vectors(x, factor, n, e->dim, parts, 1, first_of(out, e->dim, parts),                                 \
                         second_of(out, e->block, e->dim, parts));                                                     \
    }                                                                                                                  \
    static void pack_classes_##name(const lgt_extent *e, const float *const *w, const double *factor, int64_t n,       \
                                    void *out) {                                                                       \
        amx_pack_vectors(w, factor, n, e->dim, parts, 0, first_of(out, e->dim, parts),                                 \
                         second_of(out, e->tile, e->dim, parts));                                                      \
    }                                                                                                                  \
    static void pack_weights_##name(const lgt_extent *e, const float *u, int64_t n_classes, int64_t n_rows,            \
                                    void *out) {                                                                       \
        amx_pack_crossing(u, e->ld, n_classes, n_rows, parts, first_of(out, e->block, parts),                          \
                          second_of(out, e->tile, e->block, parts));                                                   \
    }                                                                                                                  \
    static void logits_##name(const lgt_extent *e, const void *classes, int64_t n_classes, const void *features,       \
                              int64_t n_rows, float *u) {                                                              \
        amx_multiply(first_of(classes, e->dim, parts), first_of(features, e->dim, parts), n_classes, n_rows, e->dim,   \
                     parts, u, e->ld, 0);                                                                              \
    }                                                                                                                  \
    static void gather_x_##name(const lgt_extent *e, const void *weights, int64_t n_classes, int64_t n_rows,           \
                                const void *classes, float *dx, int64_t ld, int accumulate) {                          \
        amx_multiply(second_of(weights, e->tile, e->block, parts), second_of(classes, e->tile, e->dim, parts), n_rows, \
                     e->dim, n_classes, parts, dx, ld, accumulate);                                                    \
    }                                                                                                                  \
    static void gather_w_##name(const lgt_extent *e, const void *weights, int64_t n_classes, int64_t n_rows,           \
                                const void *features, float *dw, int64_t ld, int accumulate) {                         \
        amx_multiply(first_of(weights, e->block, parts), second_of(features, e->block, e->dim, parts), n_classes,      \
                     e->dim, n_rows, parts, dw, ld, accumulate);                                                       \
    }                                                                                                                  \
    static double peak_##name(int64_t turns, float *out) {                                                             \
        return amx_peak(turns, parts, out);                                                                            \
    }                                                                                                                  \
    extern const lgt_kernels_f32 lgt_kernels_##name##_amx;                                                             \
    const lgt_kernels_f32 lgt_kernels_##name##_amx = {                                                                 \
        .features_size = features_size_##name,                                                                         \
        .classes_size = classes_size_##name,                                                                           \
        .weights_size = weights_size_##name,                                                                           \
        .pack_features = pack_features_##name,                                                                         \
        .pack_classes = pack_classes_##name,                                                                           \
        .pack_weights = pack_weights_##name,                                                                           \
        .logits = logits_##name,                                                                                       \
        .gather_x = gather_x_##name,                                                                                   \
        .gather_w = gather_w_##name,                                                                                   \
        .exp_sum = exp_sum,                                                                                            \
        .exp_weights = exp_weights,                                                                                    \
        .class_sums = class_sums,                                                                                      \
        .product = product,                                                                                            \
        .square_sum = square_sum,                                                                                      \
        .dot = dot,                                                                                                    \
        .project_sums = project_sums,                                                                                  \
        .widen = widen,                                                                                                \
        .project = project,                                                                                            \
        .peak = peak_##name,                                                                                           \
    }

AMX_SET(bf16, 1);
AMX_SET(bf16x3, 2);
