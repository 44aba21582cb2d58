/* Vectors of float as bfloat16 numbers, with AVX512_BF16: parts of vectors, scaling, rounding, pairs and transposes.
 * Conversions take numbers below 2^-126 for zeros. */
#ifndef LGT_KERNEL_BF16_VECTORS_H
#define LGT_KERNEL_BF16_VECTORS_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#include "base/compiler.h"

/* Which of the t-th 16 of 64 numbers are among the first `count`. */
static inline __mmask16 bf16_mask(int64_t count, int t) {
    int64_t left = count - 16 * t;
    return (__mmask16)(left >= 16 ? 0xffffu : left <= 0 ? 0 : (1u << left) - 1);
}

/* factor = mantissa * 2^exponent: as one float it could overflow where the scaled vector does not. The mantissa and the
 * product are rounded to float, 2^-24 each: nothing beside the rounding to bfloat16, and a hundredth of that of two. */
typedef struct bf16_factor {
    __m512 mantissa, exponent;
} bf16_factor;

static inline bf16_factor bf16_factor_of(double factor) {
    int exponent;
    double mantissa = frexp(factor, &exponent);
    return (bf16_factor){_mm512_set1_ps((float)(2 * mantissa)), _mm512_set1_ps((float)(exponent - 1))};
}

static inline __m512 bf16_scaled(__m512 v, const bf16_factor *f) {
    return _mm512_mul_ps(_mm512_scalef_ps(v, f->exponent), f->mantissa);
}

/* The first `count` of 32 numbers, zeros after them. */
static inline void bf16_load(const float *x, int64_t count, __m512 v[2]) {
    for (int h = 0; h < 2; h++) v[h] = _mm512_maskz_loadu_ps(bf16_mask(count, h), x + 16 * h);
}

/* 32 numbers in bfloat16, rounded to nearest. */
static inline __m512i bf16_round(const __m512 v[2]) {
    return (__m512i)_mm512_cvtne2ps_pbh(v[1], v[0]);
}

/* Two vectors of 32 words, number by number: pairs 0 to 15 in low, 16 to 31 in high. Words are paired within lanes and
 * the lanes ordered after: words across lanes cost more. */
LGT_INLINE void bf16_pair(__m512i even, __m512i odd, __m512i *low, __m512i *high) {
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                  second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    __m512i below = _mm512_unpacklo_epi16(even, odd), above = _mm512_unpackhi_epi16(even, odd);
    *low = _mm512_permutex2var_epi64(below, first, above);
    *high = _mm512_permutex2var_epi64(below, second, above);
}

/* A 16 x 16 matrix of dwords (pairs), transposed in place: within lanes of 128 bits, then the lanes. */
static inline void bf16_transpose(__m512i *tile) {
    __m512i a[16], b[16];
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_epi32(tile[i], tile[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(tile[i], tile[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            b[i + 2 * j] = _mm512_unpacklo_epi64(a[i + j], a[i + j + 2]);
            b[i + 2 * j + 1] = _mm512_unpackhi_epi64(a[i + j], a[i + j + 2]);
        }
    for (int j = 0; j < 4; j++) {
        __m512i even = _mm512_shuffle_i32x4(b[j], b[j + 4], 0x88), odd = _mm512_shuffle_i32x4(b[j], b[j + 4], 0xdd);
        __m512i next_even = _mm512_shuffle_i32x4(b[j + 8], b[j + 12], 0x88);
        __m512i next_odd = _mm512_shuffle_i32x4(b[j + 8], b[j + 12], 0xdd);
        tile[j] = _mm512_shuffle_i32x4(even, next_even, 0x88);
        tile[j + 4] = _mm512_shuffle_i32x4(odd, next_odd, 0x88);
        tile[j + 8] = _mm512_shuffle_i32x4(even, next_even, 0xdd);
        tile[j + 12] = _mm512_shuffle_i32x4(odd, next_odd, 0xdd);
    }
}

#endif
