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

#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#include "base/compiler.h"

enum { AMX_SIDE = 32, AMX_TILE = 1024, AMX_SQUARE = 2 * AMX_TILE };

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

/* A 16 x 16 matrix of dwords, transposed from rows `in` to rows `out`. */
static inline void amx_transpose(const __m512i *in, __m512i *out) {
    __m512i a[16], b[16];
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_epi32(in[i], in[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(in[i], in[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            b[i + 2 * j] = _mm512_unpacklo_epi64(a[i + j], a[i + j + 2]);
            b[i + 2 * j + 1] = _mm512_unpackhi_epi64(a[i + j], a[i + j + 2]);
        }
    for (int j = 0; j < 4; j++) {
        __m512i even = _mm512_shuffle_i32x4(b[j], b[j + 4], 0x88), odd = _mm512_shuffle_i32x4(b[j], b[j + 4], 0xdd);
        __m512i even2 = _mm512_shuffle_i32x4(b[j + 8], b[j + 12], 0x88);
        __m512i odd2 = _mm512_shuffle_i32x4(b[j + 8], b[j + 12], 0xdd);
        out[j] = _mm512_shuffle_i32x4(even, even2, 0x88);
        out[j + 4] = _mm512_shuffle_i32x4(odd, odd2, 0x88);
        out[j + 8] = _mm512_shuffle_i32x4(even, even2, 0xdd);
        out[j + 12] = _mm512_shuffle_i32x4(odd, odd2, 0xdd);
    }
}

static inline void amx_put_rows(const __m512i *square, __m512i *out) {
    for (int i = 0; i < AMX_SIDE; i++) out[i] = square[i];
}

static inline void amx_put_transposed(const __m512i *square, __m512i *out) {
    amx_transpose(square, out);
    amx_transpose(square + 16, out + 16);
}

static inline void amx_put_pairs(const __m512i *square, __m512i *out) {
    for (int i = 0; i < 16; i++) { /* within lanes of 128 bits first: two shuffles of words across lanes cost more */
        __m512i low = _mm512_unpacklo_epi16(square[2 * i], square[2 * i + 1]);
        __m512i high = _mm512_unpackhi_epi16(square[2 * i], square[2 * i + 1]);
        out[i] = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high);
        out[i + 16] = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), high);
    }
}

/* 32 numbers in bfloat16, rounded to nearest, and what that leaves out of them. */
static inline __m512i amx_round(const __m512 v[2]) {
    return (__m512i)_mm512_cvtne2ps_pbh(v[1], v[0]);
}

static inline __m512i amx_round_rest(const __m512 v[2], __m512i high) {
    __m512i first = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(high)), 16);
    __m512i second = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(high, 1)), 16);
    const __m512 rest[2] = {_mm512_sub_ps(v[0], _mm512_castsi512_ps(first)),
                            _mm512_sub_ps(v[1], _mm512_castsi512_ps(second))};
    return amx_round(rest);
}

/* factor = mantissa * 2^exponent: as one float it could overflow where the scaled vector does not. */
typedef struct amx_factor {
    __m512 mantissa, exponent;
} amx_factor;

static inline amx_factor amx_factor_of(double factor) {
    int exponent;
    double mantissa = frexp(factor, &exponent);
    return (amx_factor){_mm512_set1_ps((float)(2 * mantissa)), _mm512_set1_ps((float)(exponent - 1))};
}

static inline __m512 amx_scaled(__m512 v, const amx_factor *f) {
    return _mm512_mul_ps(_mm512_scalef_ps(v, f->exponent), f->mantissa);
}

/* The first `count` of 32 numbers, zeros after them. */
static inline void amx_load(const float *x, int64_t count, __m512 v[2]) {
    uint32_t mask = count >= AMX_SIDE ? UINT32_MAX : (UINT32_C(1) << count) - 1;
    v[0] = _mm512_maskz_loadu_ps((__mmask16)mask, x);
    v[1] = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), x + 16);
}

/* A square of vectors in bfloat16: part 0 the high, part 1 the low parts. */
typedef struct amx_vectors {
    __m512i part[2][AMX_SIDE];
} amx_vectors;

/* Numbers [k, k + 32) of `count` <= 32 vectors of dim; the rest of the square is zero. The hardware follows few streams
 * at once: lines that the next squares want are asked for here. */
LGT_INLINE void amx_read_vectors(const float *const *x, const amx_factor *factor, int64_t count, int64_t dim, int64_t k,
                                 int parts, amx_vectors *out) {
    enum { AHEAD = 64 };
    for (int64_t i = 0; i < AMX_SIDE; i++) {
        __m512 v[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
        if (i < count) {
            amx_load(x[i] + k, dim - k, v);
            if (k + AHEAD + AMX_SIDE <= dim) {
                _mm_prefetch((const char *)(x[i] + k + AHEAD), _MM_HINT_T0);
                _mm_prefetch((const char *)(x[i] + k + AHEAD + 16), _MM_HINT_T0);
            }
            v[0] = amx_scaled(v[0], &factor[i]);
            v[1] = amx_scaled(v[1], &factor[i]);
        }
        out->part[0][i] = amx_round(v);
        if (parts == 2) out->part[1][i] = amx_round_rest(v, out->part[0][i]);
    }
}

/* n vectors of dim as an operand of sums over k (`by_number`: `rows` or, turned, transposed) and one of sums over the
 * vectors (pairs). */
LGT_INLINE void amx_pack_vectors(const float *const *x, const double *factor, int64_t n, int64_t dim, int parts,
                                 int turned, amx_operand by_number, amx_operand by_vector) {
    amx_vectors square;
    for (int64_t i = 0; i < n; i += AMX_SIDE) {
        int64_t count = n - i < AMX_SIDE ? n - i : AMX_SIDE;
        amx_factor factors[AMX_SIDE];
        for (int64_t r = 0; r < count; r++) factors[r] = amx_factor_of(factor[i + r]);
        for (int64_t k = 0; k < dim; k += AMX_SIDE) {
            amx_read_vectors(x + i, factors, count, dim, k, parts, &square);
            char *rows = amx_square(&by_number, i / AMX_SIDE, k / AMX_SIDE);
            char *pairs = amx_square(&by_vector, k / AMX_SIDE, i / AMX_SIDE);
            for (int p = 0; p < parts; p++) {
                (turned ? amx_put_transposed : amx_put_rows)(square.part[p], (__m512i *)(rows + p * AMX_SQUARE));
                amx_put_pairs(square.part[p], (__m512i *)(pairs + p * AMX_SQUARE));
            }
        }
    }
}

/* The weights u (n_classes, n_rows; ld) as an operand of sums over rows (rows) and one of sums over classes
 * (pairs, transposed). */
LGT_INLINE void amx_pack_crossing(const float *u, int64_t ld, int64_t n_classes, int64_t n_rows, int parts,
                                  amx_operand by_row, amx_operand by_class) {
    amx_vectors square;
    __m512i pairs[AMX_SIDE];
    for (int64_t j = 0; j < n_classes; j += AMX_SIDE)
        for (int64_t i = 0; i < n_rows; i += AMX_SIDE) {
            for (int64_t r = 0; r < AMX_SIDE; r++) {
                __m512 v[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
                if (j + r < n_classes) amx_load(u + (j + r) * ld + i, n_rows - i, v);
                square.part[0][r] = amx_round(v);
                if (parts == 2) square.part[1][r] = amx_round_rest(v, square.part[0][r]);
            }
            char *rows = amx_square(&by_row, j / AMX_SIDE, i / AMX_SIDE);
            char *turned = amx_square(&by_class, i / AMX_SIDE, j / AMX_SIDE);
            for (int p = 0; p < parts; p++) {
                amx_put_rows(square.part[p], (__m512i *)(rows + p * AMX_SQUARE));
                amx_put_pairs(square.part[p], pairs);
                amx_put_transposed(pairs, (__m512i *)(turned + p * AMX_SQUARE));
            }
        }
}

#endif
