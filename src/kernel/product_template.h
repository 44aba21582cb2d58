/* The tile product: an m x n block of c is kept in registers while k runs (the loop order of Goto and van de Geijn,
 * 2008, without packing: the engine's tiles fit the caches as they are).
 *
 * The including file defines T, V (a vector of T), ROWS (the block's height: ROWS * 2 accumulators and 3 more vectors
 * must fit the registers) and FN(name). */

enum { FN(lanes) = (int)(sizeof(V) / sizeof(T)), FN(width) = 2 * FN(lanes) };

/* c[0..rows)[0..2 vectors) over k; rows is a constant at every call, so that the loops unroll. */
LGT_INLINE void FN(block)(int rows, int64_t k, const T *a, int64_t a_row, int64_t a_col, const T *b, int64_t ldb, T *c,
                          int64_t ldc, int accumulate) {
    V left[ROWS], right[ROWS];
    for (int i = 0; i < rows; i++) left[i] = right[i] = (V){0};
    for (int64_t l = 0; l < k; l++) {
        V b_left = *(const V *)(b + l * ldb), b_right = *(const V *)(b + l * ldb + FN(lanes));
        const T *column = a + l * a_col;
        for (int i = 0; i < rows; i++) {
            left[i] += column[i * a_row] * b_left;
            right[i] += column[i * a_row] * b_right;
        }
    }
    for (int i = 0; i < rows; i++) {
        V *out = (V *)(c + i * ldc), *next = (V *)(c + i * ldc + FN(lanes));
        if (accumulate) left[i] += *out, right[i] += *next;
        *out = left[i], *next = right[i];
    }
}

static void FN(product)(int64_t m, int64_t n, int64_t k, const T *a, int64_t a_row, int64_t a_col, const T *b,
                        int64_t ldb, T *c, int64_t ldc, int accumulate) {
    for (int64_t j = 0; j < n; j += FN(width)) {
        int64_t i = 0;
        for (; i + ROWS <= m; i += ROWS)
            FN(block)(ROWS, k, a + i * a_row, a_row, a_col, b + j, ldb, c + i * ldc + j, ldc, accumulate);
        for (; i + 2 <= m; i += 2)
            FN(block)(2, k, a + i * a_row, a_row, a_col, b + j, ldb, c + i * ldc + j, ldc, accumulate);
        for (; i < m; i++) FN(block)(1, k, a + i * a_row, a_row, a_col, b + j, ldb, c + i * ldc + j, ldc, accumulate);
    }
}
