/* Packed bfloat16 operands of the AMX tile products: squares of 32 x 32 numbers, each two tiles of 1 KiB.
 *
 * A tile product C += A B takes A as 16 rows of 32 numbers and B as 16 rows of 16 pairs, a pair being two neighbours of
 * the sum. So one square of vectors (32 vectors, 32 of their numbers each) is written in one or two of four ways:
 *
 *   rows        A of a sum over the numbers: the vectors as they are        pairs          B of a sum over the vectors
 *   rows'       B of a sum over the numbers: each tile of `rows`            pairs'         A of a sum over the vectors
 *               transposed by pairs
 *
 * Squares of one panel (32 rows of C or columns of C) follow each other along the sum, so that a product reads memory
 * in one stream; strided tiles would collide in the first cache. With two parts a square is followed by that of the low
 * parts: v = high + low + error, high = bf16(v), low = bf16(v - high), |error| <= 2^-17 |v| (and at most 2^-126, below
 * which the conversion flushes). */
#ifndef LGT_KERNEL_AMX_PACK_H
#define LGT_KERNEL_AMX_PACK_H

#include <string.h>

#include "kernel/bf16_vectors.h"

enum { AMX_SIDE = 32, AMX_ROW = 64, AMX_TILE = 16 * AMX_ROW, AMX_SQUARE = 2 * AMX_TILE };

static inline int64_t amx_squares(int64_t n) {
    return (n + AMX_SIDE - 1) / AMX_SIDE;
}

/* Where the squares of an operand go: square (panel, step) lies at base + panel * panel_bytes + step * step_bytes. */
typedef struct amx_operand {
    char *base;
    int64_t panel_bytes, step_bytes;
} amx_operand;

static inline amx_operand amx_operand_at(void *base, int64_t depth, int parts) {
    int64_t step_bytes = parts * (int64_t)AMX_SQUARE;
    return (amx_operand){base, amx_squares(depth) * step_bytes, step_bytes};
}

static inline char *amx_square(const amx_operand *o, int64_t panel, int64_t step) {
    return o->base + panel * o->panel_bytes + step * o->step_bytes;
}

static inline void amx_transpose(char *square) {
    bf16_transpose((__m512i *)square);
    bf16_transpose((__m512i *)(square + AMX_TILE));
}

/* The vectors 2 p and 2 p + 1 of `rows`, number by number, are row p of the first tile (numbers 0 to 15) and of the
 * second (16 to 31). */
static inline void amx_pair(const char *rows, char *out) {
    const __m512i *in = (const __m512i *)rows;
    __m512i *tiles = (__m512i *)out;
    for (int p = 0; p < 16; p++) bf16_pair(in[2 * p], in[2 * p + 1], &tiles[p], &tiles[p + 16]);
}

/* What rounding 32 numbers to bfloat16 leaves out of them, in bfloat16. */
static inline __m512i amx_round_rest(const __m512 v[2], __m512i high) {
    __m512i first = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(high)), 16);
    __m512i second = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(high, 1)), 16);
    const __m512 rest[2] = {_mm512_sub_ps(v[0], _mm512_castsi512_ps(first)),
                            _mm512_sub_ps(v[1], _mm512_castsi512_ps(second))};
    return bf16_round(rest);
}

/* Numbers v in bfloat16 at `out`, and at the same place of the square of low parts what that leaves. */
LGT_INLINE void amx_put(const __m512 v[2], int parts, char *out) {
    __m512i high = bf16_round(v);
    _mm512_store_si512((__m512i *)out, high);
    if (parts == 2) _mm512_store_si512((__m512i *)(out + AMX_SQUARE), amx_round_rest(v, high));
}

/* The first 32 of n vectors of dim as the panel `rows`, zeros where there are fewer: vector by vector, since 32 streams
 * at distances of a power of two would push each other out of the first cache. The next panel's vectors are asked for
 * meanwhile, or memory would rest while pairs are made. */
LGT_INLINE void amx_pack_panel(const float *const *x, const double *factor, int64_t n, int64_t dim, int parts,
                               char *panel) {
    int64_t count = n < AMX_SIDE ? n : AMX_SIDE, steps = amx_squares(dim), step_bytes = parts * AMX_SQUARE;
    if (count < AMX_SIDE) memset(panel, 0, (size_t)(steps * step_bytes));
    for (int64_t i = 0; i < count; i++) {
        bf16_factor f = bf16_factor_of(factor[i]);
        const float *next = i + AMX_SIDE < n ? x[i + AMX_SIDE] : x[i];
        for (int64_t s = 0; s < steps; s++) {
            __m512 v[2];
            _mm_prefetch((const char *)(next + s * AMX_SIDE), _MM_HINT_T1);
            _mm_prefetch((const char *)(next + s * AMX_SIDE) + 64, _MM_HINT_T1);
            bf16_load(x[i] + s * AMX_SIDE, dim - s * AMX_SIDE, v);
            v[0] = bf16_scaled(v[0], &f);
            v[1] = bf16_scaled(v[1], &f);
            amx_put(v, parts, panel + s * step_bytes + i * AMX_ROW);
        }
    }
}

/* n vectors of dim as the operand of sums over the numbers, `rows`. */
LGT_INLINE void amx_pack_vectors(const float *const *x, const double *factor, int64_t n, int64_t dim, int parts,
                                 amx_operand by_number) {
    for (int64_t i = 0; i < amx_squares(n); i++)
        amx_pack_panel(x + i * AMX_SIDE, factor + i * AMX_SIDE, n - i * AMX_SIDE, dim, parts,
                       amx_square(&by_number, i, 0));
}

/* The operand of sums over n vectors, `pairs`, of that of sums over their numbers; with `turned` the latter becomes
 * rows'. */
LGT_INLINE void amx_pair_vectors(int64_t n, int64_t dim, int parts, int turned, amx_operand by_number,
                                 amx_operand by_vector) {
    for (int64_t i = 0; i < amx_squares(n); i++)
        for (int64_t s = 0; s < amx_squares(dim); s++)
            for (int p = 0; p < parts; p++) {
                char *rows = amx_square(&by_number, i, s) + p * AMX_SQUARE;
                amx_pair(rows, amx_square(&by_vector, s, i) + p * AMX_SQUARE);
                if (turned) amx_transpose(rows);
            }
}

/* The weights u (n_classes, n_rows; ld) as an operand of sums over rows (`rows`) and one of sums over classes
 * (pairs'). */
LGT_INLINE void amx_pack_crossing(const float *u, int64_t ld, int64_t n_classes, int64_t n_rows, int parts,
                                  amx_operand by_row, amx_operand by_class) {
    for (int64_t j = 0; j < amx_squares(n_classes); j++)
        for (int64_t i = 0; i < amx_squares(n_rows); i++) {
            char *rows = amx_square(&by_row, j, i), *turned = amx_square(&by_class, i, j);
            for (int64_t r = 0; r < AMX_SIDE; r++) {
                __m512 v[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
                int64_t row = j * AMX_SIDE + r;
                if (row < n_classes) bf16_load(u + row * ld + i * AMX_SIDE, n_rows - i * AMX_SIDE, v);
                amx_put(v, parts, rows + r * AMX_ROW);
            }
            for (int p = 0; p < parts; p++) {
                amx_pair(rows + p * AMX_SQUARE, turned + p * AMX_SQUARE);
                amx_transpose(turned + p * AMX_SQUARE);
            }
        }
}

#endif
