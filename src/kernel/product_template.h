/* The product that all others are: ROWS x PANEL accumulators stay in registers while k runs, a is broadcast element by
 * element, b comes by panels, which are contiguous in k where they are packed (the inner loops of Goto and van de
 * Geijn, 2008).
 *
 * The including file defines T, what is summed, V, a vector of it, E, an element of the operands, B, a vector of as
 * many, MULTIPLY_ADD(sum, element, vector), ROWS (2 ROWS accumulators and 4 more vectors fit the registers), FN(lanes),
 * FN(panel) and FN(name). */

/* Element (i, k) of the left operand lies at start[i * row + k / panel * chunk + k % panel * column]. */
typedef struct FN(left) {
    const E *start;
    int64_t row, chunk, column;
} FN(left);

/* c[0..rows)[0..panel) = or += the sum over k in rising order; rows is a constant at every call, so that the loops
 * unroll and the accumulators are registers. They start from c, so that a sum cut into several calls has the bits of
 * one. */
LGT_INLINE void FN(block)(int rows, int64_t k, FN(left) a, const E *b, int64_t b_row, T *c, int64_t ldc,
                          int accumulate) {
    V left[ROWS], right[ROWS];
    for (int i = 0; i < rows; i++) {
        left[i] = accumulate ? *(const V *)(c + i * ldc) : (V){0};
        right[i] = accumulate ? *(const V *)(c + i * ldc + FN(lanes)) : (V){0};
    }
    for (; k > 0; k -= FN(panel), a.start += a.chunk) {
        const E *at = a.start;
        int64_t steps = k < FN(panel) ? k : FN(panel);
        for (int64_t l = 0; l < steps; l++, b += b_row, at += a.column) {
            B b_left = *(const B *)b, b_right = *(const B *)(b + FN(lanes));
            for (int i = 0; i < rows; i++) {
                E factor = at[i * a.row];
                left[i] = MULTIPLY_ADD(left[i], factor, b_left);
                right[i] = MULTIPLY_ADD(right[i], factor, b_right);
            }
        }
    }
    for (int i = 0; i < rows; i++) {
        *(V *)(c + i * ldc) = left[i];
        *(V *)(c + i * ldc + FN(lanes)) = right[i];
    }
}

/* rows <= ROWS. */
LGT_INLINE void FN(strip)(int64_t rows, int64_t k, FN(left) a, const E *b, int64_t b_row, T *c, int64_t ldc,
                          int accumulate) {
#define HEIGHT(n)                                                                                                      \
    case n:                                                                                                            \
        FN(block)(n <= ROWS ? n : 0, k, a, b, b_row, c, ldc, accumulate);                                              \
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
LGT_INLINE void FN(multiply)(int64_t m, int64_t panels, int64_t k, FN(left) a, const E *b, int64_t b_panel,
                             int64_t b_row, T *c, int64_t ldc, int accumulate) {
    int64_t strips = (m + ROWS - 1) / ROWS;
    for (int64_t s = 0; s < strips; s++) {
        int64_t first = m * s / strips, next = m * (s + 1) / strips;
        FN(left) part = a;
        part.start += first * a.row;
        for (int64_t p = 0; p < panels; p++) FN(strip)
        (next - first, k, part, b + p * b_panel, b_row, c + first * ldc + p * FN(panel), ldc, accumulate);
    }
}
