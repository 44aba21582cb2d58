/* The kernels over AMX tiles: products of bfloat16 numbers, or of sums of two, accumulated in float, and float's own
 * products in slices of 8 bits. The elementwise kernels are those of AVX-512. */
#include "kernel/amx_slices_product.h"
#include "kernel/avx512_members.h"
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
    static int64_t kept_size_##name(const lgt_extent *e) {                                                             \
        return parts == 1 ? operand_size(e->tile, e->block, 1) : 0;                                                    \
    }                                                                                                                  \
    static void pack_features_##name(const lgt_extent *e, const float *const *x, const double *factor, int64_t n,      \
                                     void *out) {                                                                      \
        amx_operand by_number = first_of(out, e->dim, parts);                                                          \
        amx_pack_vectors(x, factor, n, e->dim, parts, by_number);                                                      \
        amx_pair_vectors(n, e->dim, parts, 1, by_number, second_of(out, e->block, e->dim, parts));                     \
    }                                                                                                                  \
    static void pack_classes_##name(const lgt_extent *e, const float *const *w, const double *factor, int64_t n,       \
                                    void *out) {                                                                       \
        amx_pack_vectors(w, factor, n, e->dim, parts, first_of(out, e->dim, parts));                                   \
    }                                                                                                                  \
    static void turn_classes_##name(const lgt_extent *e, int64_t n, void *classes) {                                   \
        amx_pair_vectors(n, e->dim, parts, 0, first_of(classes, e->dim, parts),                                        \
                         second_of(classes, e->tile, e->dim, parts));                                                  \
    }                                                                                                                  \
    static void pack_weights_##name(const lgt_extent *e, const float *u, int64_t n_classes, int64_t n_rows,            \
                                    const void *classes, const void *features, void *out) {                            \
        (void)classes, (void)features;                                                                                 \
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
        .kept_size = kept_size_##name,                                                                                 \
        .pack_features = pack_features_##name,                                                                         \
        .pack_classes = pack_classes_##name,                                                                           \
        .turn_classes = turn_classes_##name,                                                                           \
        .pack_weights = pack_weights_##name,                                                                           \
        .logits = logits_##name,                                                                                       \
        .gather_x = gather_x_##name,                                                                                   \
        .gather_w = gather_w_##name,                                                                                   \
        ELEMENTWISE,                                                                                                   \
        .project = project_in_float,                                                                                   \
        .peak = peak_##name,                                                                                           \
    }

AMX_SET(bf16, 1);
AMX_SET(bf16x3, 2);

/* Operands in slices: of `count` vectors, rounded up to whole AMX_DEPTHs, the exponents and what they are below the
 * largest, which follows; the operand of sums over the numbers and that of sums over the vectors. */
typedef struct sliced {
    float *exponents, *below, *largest;
    amx_sliced by_number, by_vector;
} sliced;

static int64_t whole(int64_t count) {
    return amx_steps(count) * AMX_DEPTH;
}

static int64_t sliced_size(int64_t count, int64_t depth) {
    return whole(count) / AMX_SIDE * amx_steps(depth) * AMX_SLICED;
}

static int64_t header_size(int64_t count) {
    return 2 * whole(count) * (int64_t)sizeof(float) + AMX_ROW;
}

static sliced sliced_vectors(const void *packed, int64_t count, int64_t dim) {
    float *exponents = (float *)packed, *below = exponents + whole(count);
    char *base = (char *)packed + header_size(count);
    return (sliced){exponents,
                    below,
                    below + whole(count),
                    {base, amx_steps(dim)},
                    {base + sliced_size(count, dim), amx_steps(count)}};
}

static int64_t features_size_f32(const lgt_extent *e) {
    return header_size(e->block) + 2 * sliced_size(e->block, e->dim);
}

static int64_t classes_size_f32(const lgt_extent *e) {
    return header_size(e->tile) + 2 * sliced_size(e->tile, e->dim);
}

static void pack_sliced(const float *const *v, const double *factor, int64_t n, int64_t dim, const sliced *out) {
    float largest = AMX_NO_EXPONENT;
    int64_t all = whole(n);
    amx_slice_vectors(v, factor, n, dim, out->by_number, out->exponents);
    for (int64_t i = n; i < all; i++) out->exponents[i] = AMX_NO_EXPONENT;
    for (int64_t i = 0; i < n; i++) largest = fmaxf(largest, out->exponents[i]);
    for (int64_t i = 0; i < all; i++) out->below[i] = out->exponents[i] - largest;
    *out->largest = largest;
}

static void pack_features_f32(const lgt_extent *e, const float *const *x, const double *factor, int64_t n, void *out) {
    sliced to = sliced_vectors(out, e->block, e->dim);
    pack_sliced(x, factor, n, e->dim, &to);
    amx_four_vectors(n, 1, to.by_number, to.by_vector);
}

static void pack_classes_f32(const lgt_extent *e, const float *const *w, const double *factor, int64_t n, void *out) {
    sliced to = sliced_vectors(out, e->tile, e->dim);
    pack_sliced(w, factor, n, e->dim, &to);
}

static void turn_classes_f32(const lgt_extent *e, int64_t n, void *classes) {
    sliced w = sliced_vectors(classes, e->tile, e->dim);
    amx_four_vectors(n, 0, w.by_number, w.by_vector);
}

/* Exponents of the classes and of the rows, the operand of sums over rows and that of sums over classes. */
typedef struct sliced_weights {
    float *classes, *rows;
    amx_sliced by_row, by_class;
} sliced_weights;

static sliced_weights weights_of(const lgt_extent *e, const void *packed) {
    float *classes = (float *)packed, *rows = classes + whole(e->tile);
    char *base = (char *)(rows + whole(e->block));
    return (sliced_weights){
        classes, rows, {base, amx_steps(e->block)}, {base + sliced_size(e->tile, e->block), amx_steps(e->tile)}};
}

static int64_t weights_size_f32(const lgt_extent *e) {
    return (whole(e->tile) + whole(e->block)) * (int64_t)sizeof(float) + sliced_size(e->tile, e->block) +
           sliced_size(e->block, e->tile);
}

/* They are scaled by the features they are packed for. */
static int64_t kept_size_f32(const lgt_extent *e) {
    (void)e;
    return 0;
}

static void pack_weights_f32(const lgt_extent *e, const float *u, int64_t n_classes, int64_t n_rows,
                             const void *classes, const void *features, void *out) {
    sliced_weights to = weights_of(e, out);
    if (features) {
        sliced x = sliced_vectors(features, e->block, e->dim);
        amx_slice_by_row(u, e->ld, n_classes, n_rows, x.below, to.by_row, to.classes);
    }
    if (classes) {
        sliced w = sliced_vectors(classes, e->tile, e->dim);
        amx_slice_by_class(u, e->ld, n_classes, n_rows, w.below, to.by_class, to.rows);
    }
}

static void logits_f32(const lgt_extent *e, const void *classes, int64_t n_classes, const void *features,
                       int64_t n_rows, float *u) {
    sliced w = sliced_vectors(classes, e->tile, e->dim), x = sliced_vectors(features, e->block, e->dim);
    amx_multiply_slices(w.by_number, x.by_number, n_classes, n_rows, e->dim, &(amx_scales){w.exponents, x.exponents, 0},
                        u, e->ld, 0);
}

static void gather_x_f32(const lgt_extent *e, const void *weights, int64_t n_classes, int64_t n_rows,
                         const void *classes, float *dx, int64_t ld, int accumulate) {
    sliced_weights p = weights_of(e, weights);
    sliced w = sliced_vectors(classes, e->tile, e->dim);
    amx_multiply_slices(p.by_class, w.by_vector, n_rows, e->dim, n_classes, &(amx_scales){p.rows, NULL, *w.largest}, dx,
                        ld, accumulate);
}

static void gather_w_f32(const lgt_extent *e, const void *weights, int64_t n_classes, int64_t n_rows,
                         const void *features, float *dw, int64_t ld, int accumulate) {
    sliced_weights p = weights_of(e, weights);
    sliced x = sliced_vectors(features, e->block, e->dim);
    amx_multiply_slices(p.by_row, x.by_vector, n_classes, e->dim, n_rows, &(amx_scales){p.classes, NULL, *x.largest},
                        dw, ld, accumulate);
}

static double peak_f32(int64_t turns, float *out) {
    return amx_peak_of_slices(turns, out);
}

extern const lgt_kernels_f32 lgt_kernels_f32_amx;
const lgt_kernels_f32 lgt_kernels_f32_amx = {
    .features_size = features_size_f32,
    .classes_size = classes_size_f32,
    .weights_size = weights_size_f32,
    .kept_size = kept_size_f32,
    .pack_features = pack_features_f32,
    .pack_classes = pack_classes_f32,
    .turn_classes = turn_classes_f32,
    .pack_weights = pack_weights_f32,
    .logits = logits_f32,
    .gather_x = gather_x_f32,
    .gather_w = gather_w_f32,
    ELEMENTWISE,
    .project = project,
    .peak = peak_f32,
};
