/* The three products of a crossing whose operands are numbers of the type itself, packed as pack_template.h does. The
 * including file defines T and FN(name). */
#define E                            T
#define B                            V
#define MULTIPLY_ADD(sum, factor, b) ((sum) + (factor) * (b))
#include "kernel/product_template.h"

static void FN(logits)(const lgt_extent *e, const void *classes, int64_t n_classes, const void *features,
                       int64_t n_rows, T *u) {
    FN(left) a = {classes, FN(panel), FN(class_panel)(e), 1};
    FN(multiply)
    (n_classes, FN(panels)(n_rows), e->dim, a, features, e->dim * FN(panel), FN(panel), u, e->ld, 0);
}

static void FN(gather_x)(const lgt_extent *e, const void *weights, int64_t n_classes, int64_t n_rows,
                         const void *classes, T *dx, int64_t ld, int accumulate) {
    FN(left) a = {weights, 1, e->ld * FN(panel), e->ld};
    FN(multiply)
    (n_rows, FN(wide_panels)(e->dim), n_classes, a, classes, FN(class_panel)(e), FN(panel), dx, ld, accumulate);
}

static void FN(gather_w)(const lgt_extent *e, const void *weights, int64_t n_classes, int64_t n_rows,
                         const void *features, T *dw, int64_t ld, int accumulate) {
    FN(left) a = {weights, e->ld, FN(panel), 1};
    const T *b = (const T *)features + e->dim * e->block;
    FN(multiply)
    (n_classes, FN(wide_panels)(e->dim), n_rows, a, b, e->block * FN(panel), FN(panel), dw, ld, accumulate);
}

static void FN(product)(int64_t m, int64_t n, int64_t k, const T *a, int64_t a_row, int64_t a_col, const T *b,
                        int64_t ldb, T *c, int64_t ldc, int accumulate) {
    FN(left) left = {a, a_row, a_col * FN(panel), a_col};
    FN(multiply)(m, n / FN(panel), k, left, b, FN(panel), ldb, c, ldc, accumulate);
}

#undef E
#undef B
#undef MULTIPLY_ADD
