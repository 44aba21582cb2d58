/* Packed operands of float32 products on AMX tiles of 8-bit integers.
 *
 * A vector v is written with one exponent e for all its numbers, |v_k| < 2^e, as integers of 24 bits,
 *
 *   q_k = round(v_k 2^(23-e)) = 2^16 a_k + 2^8 b_k + c_k,      a, b, c in [-128, 127],
 *
 * which leaves |v_k - 2^(e-23) q_k| <= 2^(e-24): no more than half a unit in the last place of a float beside the
 * largest entry. The slices a, b and c are bytes, and products of bytes are summed in 32-bit integers, without
 * rounding (the scheme of Ozaki, Ogita, Oishi and Rump, 2012, with one exponent a vector).
 *
 * Squares are 32 vectors by 64 numbers (or, of sums over the vectors, 32 numbers by 64 vectors), two tiles of 1 KiB,
 * once for each slice, and lie in four ways as in amx_pack.h, with fours of bytes where that has pairs of words. */
#ifndef LGT_KERNEL_AMX_SLICES_H
#define LGT_KERNEL_AMX_SLICES_H

#include "kernel/amx_pack.h"

enum { AMX_SLICES = 3, AMX_DEPTH = 64, AMX_SLICED = AMX_SLICES * AMX_SQUARE, AMX_NO_EXPONENT = -1000 };

/* Square (panel, step) lies at base + (panel * steps + step) * AMX_SLICED. */
typedef struct amx_sliced {
    char *base;
    int64_t steps;
} amx_sliced;

static inline int64_t amx_steps(int64_t depth) {
    return (depth + AMX_DEPTH - 1) / AMX_DEPTH;
}

static inline char *amx_sliced_at(const amx_sliced *o, int64_t panel, int64_t step) {
    return o->base + (panel * o->steps + step) * AMX_SLICED;
}

/* The least e with |v| < 127/128 2^e wherever |v| <= most: so that no slice leaves its byte. */
static inline int amx_exponent(double most) {
    int e;
    if (!(most > 0)) return AMX_NO_EXPONENT;
    return frexp(most, &e) > 0.992 ? e + 1 : e;
}

/* The same of 16 numbers; not finite where they are not. */
static inline __m512 amx_exponents(__m512 most) {
    __m512 e = _mm512_add_ps(_mm512_getexp_ps(_mm512_mul_ps(most, _mm512_set1_ps(1.008f))), _mm512_set1_ps(1));
    return _mm512_max_ps(e, _mm512_set1_ps(AMX_NO_EXPONENT));
}

/* 64 integers of 24 bits as one row of each slice. Adding 0x808080 makes bytes unsigned digits, from which the signed
 * ones differ by their top bits. */
LGT_INLINE void amx_put_slices(const __m512i q[4], char *row) {
    static const uint8_t of_lane[64] = {2, 6, 10, 14, 18, 22, 26, 30, 34, 38, 42, 46, 50, 54, 58, 62,
                                        1, 5, 9,  13, 17, 21, 25, 29, 33, 37, 41, 45, 49, 53, 57, 61,
                                        0, 4, 8,  12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60};
    const __m512i digits = _mm512_set1_epi32(0x808080), top = _mm512_set1_epi8((char)0x80);
    const __m512i order = _mm512_loadu_si512(of_lane);
    __m512i part[4]; /* lanes of a, b and c */
    for (int t = 0; t < 4; t++) part[t] = _mm512_permutexvar_epi8(order, _mm512_add_epi32(q[t], digits));
    __m512i ab = _mm512_shuffle_i32x4(part[0], part[1], 0x44), ab_next = _mm512_shuffle_i32x4(part[2], part[3], 0x44);
    __m512i c = _mm512_shuffle_i32x4(part[0], part[1], 0xee), c_next = _mm512_shuffle_i32x4(part[2], part[3], 0xee);
    const __m512i slice[AMX_SLICES] = {_mm512_shuffle_i32x4(ab, ab_next, 0x88), _mm512_shuffle_i32x4(ab, ab_next, 0xdd),
                                       _mm512_shuffle_i32x4(c, c_next, 0x88)};
    for (int k = 0; k < AMX_SLICES; k++)
        _mm512_store_si512((__m512i *)(row + k * AMX_SQUARE), _mm512_xor_si512(slice[k], top));
}

static inline float amx_largest(const float *x, int64_t n) {
    __m512 most = _mm512_setzero_ps();
    for (int64_t k = 0; k < n; k += 16)
        most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_maskz_loadu_ps(bf16_mask(n - k, 0), x + k)));
    return _mm512_reduce_max_ps(most);
}

/* The vector x times factor as rows of slices; returns its exponent. Scaled in double: one rounding in all. */
static inline int amx_slice_vector(const float *x, double factor, int64_t dim, char *row) {
    int e = amx_exponent(fabs((double)amx_largest(x, dim) * factor));
    const __m512d scale = _mm512_set1_pd(e == AMX_NO_EXPONENT ? 0 : ldexp(factor, 23 - e));
    for (int64_t k = 0; k < dim; k += AMX_DEPTH, row += AMX_SLICED) {
        __m512i q[4];
        for (int t = 0; t < 4; t++) {
            __m512 v = _mm512_maskz_loadu_ps(bf16_mask(dim - k, t), x + k + 16 * t);
            __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
            __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
            q[t] = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtpd_epi32(_mm512_mul_pd(low, scale))),
                                      _mm512_cvtpd_epi32(_mm512_mul_pd(high, scale)), 1);
        }
        amx_put_slices(q, row);
    }
    return e;
}

/* Four rows of 64 bytes, byte by byte, are row `four` of four tiles: of bytes 0 to 15, 16 to 31 and so on. */
static inline void amx_four(const __m512i *in, int four, char *const tile[4]) {
    __m512i ab_low = _mm512_unpacklo_epi8(in[0], in[1]), ab_high = _mm512_unpackhi_epi8(in[0], in[1]);
    __m512i cd_low = _mm512_unpacklo_epi8(in[2], in[3]), cd_high = _mm512_unpackhi_epi8(in[2], in[3]);
    __m512i a = _mm512_unpacklo_epi16(ab_low, cd_low), b = _mm512_unpackhi_epi16(ab_low, cd_low);
    __m512i c = _mm512_unpacklo_epi16(ab_high, cd_high), d = _mm512_unpackhi_epi16(ab_high, cd_high);
    /* Lane l of a, b, c and d holds the columns 16 l to 16 l + 15. */
    __m512i ab_even = _mm512_shuffle_i32x4(a, b, 0x88), ab_odd = _mm512_shuffle_i32x4(a, b, 0xdd);
    __m512i cd_even = _mm512_shuffle_i32x4(c, d, 0x88), cd_odd = _mm512_shuffle_i32x4(c, d, 0xdd);
    __m512i *out[4] = {(__m512i *)tile[0], (__m512i *)tile[1], (__m512i *)tile[2], (__m512i *)tile[3]};
    _mm512_store_si512(out[0] + four, _mm512_shuffle_i32x4(ab_even, cd_even, 0x88));
    _mm512_store_si512(out[1] + four, _mm512_shuffle_i32x4(ab_odd, cd_odd, 0x88));
    _mm512_store_si512(out[2] + four, _mm512_shuffle_i32x4(ab_even, cd_even, 0xdd));
    _mm512_store_si512(out[3] + four, _mm512_shuffle_i32x4(ab_odd, cd_odd, 0xdd));
}

/* One slice of 64 vectors, those of two squares, by fours into the two squares of their numbers. */
static inline void amx_fours(const char *first, const char *second, char *low, char *high) {
    char *const tile[4] = {low, low + AMX_TILE, high, high + AMX_TILE};
    for (int four = 0; four < 8; four++) {
        amx_four((const __m512i *)first + 4 * four, four, tile);
        amx_four((const __m512i *)second + 4 * four, four + 8, tile);
    }
}

/* n vectors of dim as the operand of sums over the numbers, `rows`, and their exponents. What is in the places of
 * vectors that are not there meets weights of 0, or gives sums that nobody reads. */
static inline void amx_slice_vectors(const float *const *x, const double *factor, int64_t n, int64_t dim,
                                     amx_sliced by_number, float *exponents) {
    for (int64_t i = 0; i < n; i++) {
        char *row = amx_sliced_at(&by_number, i / AMX_SIDE, 0) + i % AMX_SIDE * AMX_ROW;
        exponents[i] = (float)amx_slice_vector(x[i], factor[i], dim, row);
    }
}

/* The operand of sums over n vectors, `fours`, of that of sums over their numbers; with `turned` the latter becomes
 * rows'. */
LGT_INLINE void amx_four_vectors(int64_t n, int turned, amx_sliced by_number, amx_sliced by_vector) {
    for (int64_t i = 0; i < amx_steps(n); i++)
        for (int64_t s = 0; s < by_number.steps; s++)
            for (int k = 0; k < AMX_SLICES; k++) {
                char *first = amx_sliced_at(&by_number, 2 * i, s) + k * AMX_SQUARE;
                char *second = amx_sliced_at(&by_number, 2 * i + 1, s) + k * AMX_SQUARE;
                char *low = amx_sliced_at(&by_vector, 2 * s, i) + k * AMX_SQUARE;
                char *high = amx_sliced_at(&by_vector, 2 * s + 1, i) + k * AMX_SQUARE;
                amx_fours(first, second, low, high);
                if (turned) amx_transpose(first), amx_transpose(second);
            }
}

/* 64 weights times 2^exponent as rows of slices. */
LGT_INLINE void amx_slice_weights(const float *u, int64_t count, const __m512 exponent[4], char *row) {
    __m512i q[4];
    for (int t = 0; t < 4; t++)
        q[t] =
            _mm512_cvtps_epi32(_mm512_scalef_ps(_mm512_maskz_loadu_ps(bf16_mask(count, t), u + 16 * t), exponent[t]));
    amx_put_slices(q, row);
}

/* Weights u (n_classes, n_rows; ld) for sums over the rows, row i times 2^below[i]: `rows`, and the classes'
 * exponents. */
static inline void amx_slice_by_row(const float *u, int64_t ld, int64_t n_classes, int64_t n_rows, const float *below,
                                    amx_sliced out, float *exponents) {
    for (int64_t j = 0; j < n_classes; j++) {
        const float *row = u + j * ld;
        char *to = amx_sliced_at(&out, j / AMX_SIDE, 0) + j % AMX_SIDE * AMX_ROW;
        __m512 most = _mm512_setzero_ps();
        for (int64_t i = 0; i < n_rows; i += 16) {
            __m512 v = _mm512_maskz_loadu_ps(bf16_mask(n_rows - i, 0), row + i);
            most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_scalef_ps(v, _mm512_loadu_ps(below + i))));
        }
        __m512 e = amx_exponents(_mm512_set1_ps(_mm512_reduce_max_ps(most)));
        exponents[j] = _mm512_cvtss_f32(e);
        e = _mm512_sub_ps(_mm512_set1_ps(23), e);
        for (int64_t i = 0; i < n_rows; i += AMX_DEPTH, to += AMX_SLICED) {
            __m512 exponent[4];
            for (int t = 0; t < 4; t++) exponent[t] = _mm512_add_ps(e, _mm512_loadu_ps(below + i + 16 * t));
            amx_slice_weights(row + i, n_rows - i, exponent, to);
        }
    }
}

/* The same for sums over the classes, class j times 2^below[j]: fours', and the rows' exponents. */
static inline void amx_slice_by_class(const float *u, int64_t ld, int64_t n_classes, int64_t n_rows, const float *below,
                                      amx_sliced out, float *exponents) {
    _Alignas(64) char rows[2 * AMX_SLICED];
    for (int64_t i = 0; i < n_rows; i += AMX_DEPTH) {
        __m512 most[4], exponent[4];
        for (int t = 0; t < 4; t++) most[t] = _mm512_setzero_ps();
        for (int64_t j = 0; j < n_classes; j++)
            for (int t = 0; t < 4; t++) {
                __m512 v = _mm512_maskz_loadu_ps(bf16_mask(n_rows - i, t), u + j * ld + i + 16 * t);
                most[t] = _mm512_max_ps(most[t], _mm512_abs_ps(_mm512_scalef_ps(v, _mm512_set1_ps(below[j]))));
            }
        for (int t = 0; t < 4; t++) {
            exponent[t] = amx_exponents(most[t]);
            _mm512_storeu_ps(exponents + i + 16 * t, exponent[t]);
            exponent[t] = _mm512_sub_ps(_mm512_set1_ps(23), exponent[t]);
        }
        for (int64_t j = 0; j < n_classes; j += AMX_DEPTH) {
            for (int64_t r = 0; r < AMX_DEPTH; r++) {
                char *to = rows + r / AMX_SIDE * AMX_SLICED + r % AMX_SIDE * AMX_ROW;
                int there = j + r < n_classes;
                __m512 moved[4];
                for (int t = 0; t < 4; t++)
                    moved[t] = _mm512_add_ps(exponent[t], _mm512_set1_ps(there ? below[j + r] : 0));
                amx_slice_weights(there ? u + (j + r) * ld + i : u, there ? n_rows - i : 0, moved, to);
            }
            for (int k = 0; k < AMX_SLICES; k++) {
                char *low = amx_sliced_at(&out, i / AMX_SIDE, j / AMX_DEPTH) + k * AMX_SQUARE;
                char *high = amx_sliced_at(&out, i / AMX_SIDE + 1, j / AMX_DEPTH) + k * AMX_SQUARE;
                amx_fours(rows + k * AMX_SQUARE, rows + AMX_SLICED + k * AMX_SQUARE, low, high);
                amx_transpose(low), amx_transpose(high);
            }
        }
    }
}

#endif
