/* The three products of a crossing, all of one micro-kernel: ROWS x PANEL accumulators stay in registers while k runs,
 * a is broadcast element by element, b comes from a packed panel, PANEL wide and contiguous in k (the inner loops of
 * Goto and van de Geijn, 2008).
 *
 * The including file defines T, V (a vector of T), ROWS (2 ROWS accumulators and 4 more vectors fit the registers) and
 * FN(name). */

/* Element (i, k) of the left operand lies at start[i * row + k / panel * chunk + k % panel * column]. */
typedef struct FN(left) {
    const T *start;
    int64_t row, chunk, column;
} FN(left);

/* c[0..rows)[0..panel) = or += the sum over k in rising order; rows is a constant at every call, so that the loops
 * unroll and the accumulators are registers. They start from c, so that a sum cut into several calls has the bits of
 * one. */
LGT_INLINE void FN(block)(int rows, int64_t k, FN(left) a, const T *b, T *c, int64_t ldc, int accumulate) {
    V left[ROWS], right[ROWS];
    for (int i = 0; i < rows; i++) {
        left[i] = accumulate ? *(const V *)(c + i * ldc) : (V){0};
        right[i] = accumulate ? *(const V *)(c + i * ldc + FN(lanes)) : (V){0};
    }
    for (; k > 0; k -= FN(panel), a.start += a.chunk) {
        const T *at = a.start, *end = b + (k < FN(panel) ? k : FN(panel)) * FN(panel);
        for (; b < end; b += FN(panel), at += a.column) {
            V b_left = *(const V *)b, b_right = *(const V *)(b + FN(lanes));
            for (int i = 0; i < rows; i++) {
                T factor = at[i * a.row];
                left[i] += factor * b_left;
                right[i] += factor * b_right;
            }
        }
    }
    for (int i = 0; i < rows; i++) {
        *(V *)(c + i * ldc) = left[i];
        *(V *)(c + i * ldc + FN(lanes)) = right[i];
    }
}

/* rows <= ROWS. */
LGT_INLINE void FN(strip)(int64_t rows, int64_t k, FN(left) a, const T *b, T *c, int64_t ldc, int accumulate) {
#define HEIGHT(n)                                                                                                      \
    case n:                                                                                                            \
        FN(block)(n <= ROWS ? n : 0, k, a, b, c, ldc, accumulate);                                                     \
        break
    switch (rows) {
        HEIGHT(1);
        HEIGHT(2);
        HEIGHT(3);
        HEIGHT(4);
        HEIGHT(5);
        HEIGHT(6);
        HEIGHT(7);
        HEIGHT(8);
        HEIGHT(9);
        HEIGHT(10);
        HEIGHT(11);
        HEIGHT(12);
        HEIGHT(13);
        HEIGHT(14);
    }
#undef HEIGHT
}

/* c (m, panels * panel; ldc), the p-th panel of b at b + p * b_panel. A strip of a stays in the first cache while the
 * panels stream past it. Strips differ by at most one in height: a low last one would wait for its own multiply-adds.
 */
LGT_INLINE void FN(multiply)(int64_t m, int64_t panels, int64_t k, FN(left) a, const T *b, int64_t b_panel, T *c,
                             int64_t ldc, int accumulate) {
    int64_t strips = (m + ROWS - 1) / ROWS;
    for (int64_t s = 0; s < strips; s++) {
        int64_t first = m * s / strips, next = m * (s + 1) / strips;
        FN(left) part = a;
        part.start += first * a.row;
        for (int64_t p = 0; p < panels; p++)
            FN(strip)(next - first, k, part, b + p * b_panel, c + first * ldc + p * FN(panel), ldc, accumulate);
    }
}

static void FN(logits)(const lgt_extent *e, const void *classes, int64_t n_classes, const void *features,
                       int64_t n_rows, T *u) {
    FN(left) a = {classes, FN(panel), FN(class_panel)(e), 1};
    FN(multiply)(n_classes, FN(panels)(n_rows), e->dim, a, features, e->dim * FN(panel), u, e->ld, 0);
}

static void FN(gather_x)(const lgt_extent *e, const void *weights, int64_t n_classes, int64_t n_rows,
                         const void *classes, T *dx, int64_t ld, int accumulate) {
    FN(left) a = {weights, 1, e->ld * FN(panel), e->ld};
    FN(multiply)(n_rows, FN(wide_panels)(e->dim), n_classes, a, classes, FN(class_panel)(e), dx, ld, accumulate);
}

static void FN(gather_w)(const lgt_extent *e, const void *weights, int64_t n_classes, int64_t n_rows,
                         const void *features, T *dw, int64_t ld, int accumulate) {
    FN(left) a = {weights, e->ld, FN(panel), 1};
    const T *b = (const T *)features + e->dim * e->block;
    FN(multiply)(n_classes, FN(wide_panels)(e->dim), n_rows, a, b, e->block * FN(panel), dw, ld, accumulate);
}
