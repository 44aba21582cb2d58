/* The tile product C (m, n) = or += A (m, depth) B (depth, n) of operands in slices of 8 bits.
 *
 * With A = 2^-7 (A_1 + 2^-8 A_2 + 2^-16 A_3) and B alike, every vector in units of its 2^e,
 *
 *   2^14 C = A_1 B_1 + 2^-8 (A_1 B_2 + A_2 B_1) + 2^-16 (A_1 B_3 + A_2 B_2 + A_3 B_1) + ...
 *
 * and what is left out is below 2^-23 of the largest product a term. The three levels are summed in integers, exactly
 * and so in any order; only their sum is rounded to float. */
#ifndef LGT_KERNEL_AMX_SLICES_PRODUCT_H
#define LGT_KERNEL_AMX_SLICES_PRODUCT_H

#include "kernel/amx_product.h"
#include "kernel/amx_slices.h"

/* Sums of the three levels of a square of C. */
typedef struct amx_levels {
    _Alignas(64) int32_t sum[AMX_SLICES][AMX_SIDE * AMX_SIDE];
} amx_levels;

static inline void amx_multiply_bytes(void) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
}

/* sum over k of A_(k + 1) B_(level + 1 - k). */
LGT_INLINE void amx_multiply_level(const char *a, const char *b, int64_t steps, int level, int32_t *sum) {
    amx_zero_c();
    for (int64_t s = 0; s < steps; s++, a += AMX_SLICED, b += AMX_SLICED)
        for (int k = 0; k <= level; k++) {
            amx_load_a(a + k * AMX_SQUARE);
            amx_load_b(b + (level - k) * AMX_SQUARE);
            amx_multiply_bytes();
        }
    amx_store_c((float *)sum, AMX_SIDE);
}

/* Where the exponents of the rows and columns of C are; columns NULL: 0. */
typedef struct amx_scales {
    const float *rows, *columns;
    float common; /* of all */
} amx_scales;

LGT_INLINE void amx_join_levels(const amx_levels *l, const amx_scales *scales, int64_t row, int64_t column,
                                int64_t count, float *c, int64_t ld, int accumulate) {
    const __m512 eighth = _mm512_set1_ps(0x1p-8f);
    for (int half = 0; half < 2; half++) {
        __m512 by_column =
            scales->columns ? _mm512_loadu_ps(scales->columns + column + 16 * half) : _mm512_setzero_ps();
        by_column = _mm512_add_ps(by_column, _mm512_set1_ps(scales->common - 14));
        for (int64_t r = 0; r < count; r++) {
            int64_t at = r * AMX_SIDE + 16 * half;
            __m512 first = _mm512_cvtepi32_ps(_mm512_load_si512(&l->sum[0][at]));
            __m512 second = _mm512_cvtepi32_ps(_mm512_load_si512(&l->sum[1][at]));
            __m512 third = _mm512_cvtepi32_ps(_mm512_load_si512(&l->sum[2][at]));
            __m512 sum = _mm512_fmadd_ps(_mm512_fmadd_ps(third, eighth, second), eighth, first);
            float *to = c + r * ld + 16 * half;
            sum = _mm512_scalef_ps(sum, _mm512_add_ps(by_column, _mm512_set1_ps(scales->rows[row + r])));
            _mm512_storeu_ps(to, accumulate ? _mm512_add_ps(_mm512_loadu_ps(to), sum) : sum);
        }
    }
}

/* C (m; ld) = or += A B; the columns of C are n rounded up to 32. Integers hold 2^31 / 3 / 2^14 terms, and the first
 * cache a panel of A and one of B of fewer. */
LGT_INLINE void amx_multiply_slices(amx_sliced a, amx_sliced b, int64_t m, int64_t n, int64_t depth,
                                    const amx_scales *scales, float *c, int64_t ld, int accumulate) {
    enum { MOST_STEPS = 4 };
    amx_levels levels;
    int64_t all = amx_steps(depth);
    amx_begin();
    for (int64_t s = 0; s < all; s += MOST_STEPS) {
        int64_t steps = all - s < MOST_STEPS ? all - s : MOST_STEPS;
        for (int64_t i = 0; i < m; i += AMX_SIDE)
            for (int64_t j = 0; j < n; j += AMX_SIDE) {
                const char *left = amx_sliced_at(&a, i / AMX_SIDE, s), *right = amx_sliced_at(&b, j / AMX_SIDE, s);
                for (int level = 0; level < AMX_SLICES; level++)
                    amx_multiply_level(left, right, steps, level, levels.sum[level]);
                amx_join_levels(&levels, scales, i, j, m - i < AMX_SIDE ? m - i : AMX_SIDE, c + i * ld + j, ld,
                                accumulate || s > 0);
            }
    }
    amx_end();
}

/* Tile products of ones on registers, six of which make one of float32. */
static inline double amx_peak_of_slices(int64_t turns, float *out) {
    _Alignas(64) int8_t ones[AMX_SQUARE];
    _Alignas(64) int32_t sums[AMX_SIDE * AMX_SIDE];
    memset(ones, 1, sizeof ones);
    amx_begin();
    amx_zero_c();
    amx_load_a((const char *)ones);
    amx_load_b((const char *)ones);
    for (int64_t n = 0; n < turns; n++) amx_multiply_bytes();
    amx_store_c((float *)sums, AMX_SIDE);
    amx_end();
    *out = (float)sums[0];
    return 2.0 * AMX_SIDE * AMX_SIDE * AMX_DEPTH * (double)turns / 6;
}

#endif
