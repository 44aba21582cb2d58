/* The tile product C (m, n) += A (m, depth) B (depth, n) of packed bfloat16 operands, accumulated in float.
 *
 * Four tiles of C, 32 x 32, stay in registers while the squares of a panel of A and a panel of B go by. The panel of A
 * is read from the first cache but for the first time, that of B comes from the second: hence the limit on the depth
 * between two visits to C. Two parts: C += A_high B_low + A_high B_high + A_low B_high; A_low B_low is below 2^-16 of
 * the product and left out. The unit takes numbers below 2^-126 for zeros, in operands and in sums. */
#ifndef LGT_KERNEL_AMX_PRODUCT_H
#define LGT_KERNEL_AMX_PRODUCT_H

#include <stdatomic.h>
#include <string.h>

#include "kernel/amx_pack.h"

/* Palette 1, then for each of eight tiles its bytes in a row (64, words from byte 16) and its rows (16, bytes from 48).
 */
typedef struct amx_configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} amx_configuration;

static inline void amx_begin(void) {
    static const amx_configuration configuration = {
        .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&configuration);
    atomic_signal_fence(memory_order_seq_cst); /* gcc does not know that tile loads read memory */
}

static inline void amx_end(void) {
    _tile_release();
}

static inline void amx_load_c(const float *c, int64_t ld) {
    atomic_signal_fence(memory_order_seq_cst);
    _tile_loadd(0, c, ld * 4);
    _tile_loadd(1, c + 16, ld * 4);
    _tile_loadd(2, c + 16 * ld, ld * 4);
    _tile_loadd(3, c + 16 * ld + 16, ld * 4);
}

static inline void amx_store_c(float *c, int64_t ld) {
    _tile_stored(0, c, ld * 4);
    _tile_stored(1, c + 16, ld * 4);
    _tile_stored(2, c + 16 * ld, ld * 4);
    _tile_stored(3, c + 16 * ld + 16, ld * 4);
}

static inline void amx_zero_c(void) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

/* C += A B for tiles 4 and 5 of A, 6 and 7 of B. */
static inline void amx_multiply_tiles(void) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

static inline void amx_load_a(const char *square) {
    _tile_loadd(4, square, 64);
    _tile_loadd(5, square + AMX_TILE, 64);
}

static inline void amx_load_b(const char *square) {
    _tile_loadd(6, square, 64);
    _tile_loadd(7, square + AMX_TILE, 64);
}

/* Asks for half of the square after `square`. Between the multiplications, and not all at once: docs/kernels.md. */
static inline void amx_ask(const char *square, int half) {
    const char *next = square + AMX_SQUARE + half * AMX_TILE;
    for (int i = 0; i < AMX_TILE / 64; i++) _mm_prefetch(next + i * 64, _MM_HINT_T0);
}

static inline void amx_multiply_squares(const char *a, const char *b) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b, 64);
    amx_ask(b, 0);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + AMX_TILE, 64);
    amx_ask(b, 1);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + AMX_TILE, 64);
    amx_ask(a, 0);
    _tile_dpbf16ps(2, 5, 6);
    amx_ask(a, 1);
    _tile_dpbf16ps(3, 5, 7);
}

LGT_INLINE void amx_multiply_panels(const char *a, const char *b, int64_t steps, int parts) {
    for (int64_t s = 0; s < steps; s++) {
        if (parts == 1) {
            amx_multiply_squares(a, b);
        } else {
            amx_load_a(a);
            amx_load_b(b + AMX_SQUARE);
            amx_multiply_tiles();
            amx_load_b(b);
            amx_multiply_tiles();
            amx_load_a(a + AMX_SQUARE);
            amx_multiply_tiles();
        }
        a += parts * AMX_SQUARE;
        b += parts * AMX_SQUARE;
    }
}

/* `count` < 32 rows of 32 columns. */
static inline void amx_copy_rows(const float *from, int64_t from_ld, int64_t count, float *to, int64_t to_ld) {
    for (int64_t i = 0; i < count; i++) memcpy(to + i * to_ld, from + i * from_ld, AMX_SIDE * sizeof *to);
}

/* One square of C with `count` rows in memory, over `steps` squares. */
LGT_INLINE void amx_multiply_square(const char *a, const char *b, int64_t steps, int parts, float *c, int64_t ld,
                                    int64_t count, int accumulate) {
    _Alignas(64) float edge[AMX_SIDE * AMX_SIDE];
    int whole = count >= AMX_SIDE;
    if (accumulate && !whole) {
        memset(edge, 0, sizeof edge);
        amx_copy_rows(c, ld, count, edge, AMX_SIDE);
    }
    float *target = whole ? c : edge;
    int64_t target_ld = whole ? ld : AMX_SIDE;
    if (accumulate)
        amx_load_c(target, target_ld);
    else
        amx_zero_c();
    amx_multiply_panels(a, b, steps, parts);
    amx_store_c(target, target_ld);
    if (!whole) amx_copy_rows(edge, AMX_SIDE, count, c, ld);
}

/* C (m; ld) = or += A B; the columns of C are n rounded up to 32. */
LGT_INLINE void amx_multiply(amx_operand a, amx_operand b, int64_t m, int64_t n, int64_t depth, int parts, float *c,
                             int64_t ld, int accumulate) {
    enum { MOST_STEPS = 16 };
    int64_t all = amx_squares(depth);
    amx_begin();
    for (int64_t s = 0; s < all; s += MOST_STEPS) {
        int64_t steps = all - s < MOST_STEPS ? all - s : MOST_STEPS;
        for (int64_t i = 0; i < m; i += AMX_SIDE)
            for (int64_t j = 0; j < n; j += AMX_SIDE)
                amx_multiply_square(amx_square(&a, i / AMX_SIDE, s), amx_square(&b, j / AMX_SIDE, s), steps, parts,
                                    c + i * ld + j, ld, m - i, accumulate || s > 0);
    }
    amx_end();
}

/* Tile products of ones on registers; two parts take three products where one takes one. */
static inline double amx_peak(int64_t turns, int parts, float *out) {
    _Alignas(64) uint16_t ones[AMX_SQUARE / 2];
    _Alignas(64) float sums[AMX_SIDE * AMX_SIDE];
    for (int i = 0; i < AMX_SQUARE / 2; i++) ones[i] = 0x3f80;
    amx_begin();
    amx_zero_c();
    amx_load_a((const char *)ones);
    amx_load_b((const char *)ones);
    for (int64_t n = 0; n < turns; n++) amx_multiply_tiles();
    amx_store_c(sums, AMX_SIDE);
    amx_end();
    *out = sums[0];
    return 2.0 * AMX_SIDE * AMX_SIDE * AMX_SIDE * (double)turns / (parts == 2 ? 3 : 1);
}

#endif
