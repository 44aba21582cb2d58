/* Members of kernel sets of AVX-512 with products of their own: elementwise they are the plain set's, compiled once. A
 * constant set cannot be made of another's members, hence the functions. */
#ifndef LGT_KERNEL_AVX512_MEMBERS_H
#define LGT_KERNEL_AVX512_MEMBERS_H

#include "kernel/bf16_vectors.h"
#include "kernel/kernels.h"

extern const lgt_kernels_f32 lgt_kernels_f32_avx512;

static void exp_sum(const lgt_extent *e, const float *u, int64_t n_classes, int64_t n_rows, float scale,
                    const float *bias, float *max, float *sum, float *top) {
    lgt_kernels_f32_avx512.exp_sum(e, u, n_classes, n_rows, scale, bias, max, sum, top);
}

static void find_most(const lgt_extent *e, const float *u, int64_t n_classes, int64_t n_rows, float scale,
                      const float *bias, float *max, float *top) {
    lgt_kernels_f32_avx512.find_most(e, u, n_classes, n_rows, scale, bias, max, top);
}

static void exp_over(const lgt_extent *e, float *u, int64_t n_classes, int64_t n_rows, float scale, const float *bias,
                     const float *high, float *sum) {
    lgt_kernels_f32_avx512.exp_over(e, u, n_classes, n_rows, scale, bias, high, sum);
}

static void exp_weights(const lgt_extent *e, float *u, int64_t n_classes, int64_t n_rows, float scale,
                        const float *bias, const float *high, const float *low, const float *multiplier,
                        const float *shift) {
    lgt_kernels_f32_avx512.exp_weights(e, u, n_classes, n_rows, scale, bias, high, low, multiplier, shift);
}

static void class_sums(const lgt_extent *e, const float *u, int64_t n_classes, int64_t n_rows, double *sum) {
    lgt_kernels_f32_avx512.class_sums(e, u, n_classes, n_rows, sum);
}

static void product(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_col, const float *b,
                    int64_t ldb, float *c, int64_t ldc, int accumulate) {
    lgt_kernels_f32_avx512.product(m, n, k, a, a_row, a_col, b, ldb, c, ldc, accumulate);
}

static double dot(const float *a, const float *b, int64_t n) {
    return lgt_kernels_f32_avx512.dot(a, b, n);
}

static void project_sums(double *g, const float *v, int64_t n, double over) {
    lgt_kernels_f32_avx512.project_sums(g, v, n, over);
}

static void add_pair(double *g, double a, const float *u, double b, const float *v, int64_t n) {
    lgt_kernels_f32_avx512.add_pair(g, a, u, b, v, n);
}

static void sum_parts(const float *v, const double *shares, int64_t parts, int64_t stride, int64_t n, double *out) {
    lgt_kernels_f32_avx512.sum_parts(v, shares, parts, stride, n, out);
}

static double square_sum(const float *v, int64_t n) {
    return lgt_kernels_f32_avx512.square_sum(v, n);
}

static int project(const float *g, const float *v, int64_t n, double over, float *out, int away) {
    return lgt_kernels_f32_avx512.project(g, v, n, over, out, away);
}

/* For VFPCLASSPS: NaN, quiet or not, and infinity of either sign. */
enum { NOT_FINITE = 0x99 };

/* The same beside products of bfloat16 numbers: past the caches where it may, for dw is a fifth of all that such a pass
 * reads and writes, and a line that is written as a whole need not be read. v |v|^-1 and what is left of g stay in
 * range where g does; vectors whose own length does not are left to `project`. */
static int project_in_float(const float *g, const float *v, int64_t n, double over, float *out, int away) {
    if (!(over > 1e-30 && over < 1e30) || n == 1) return project(g, v, n, over, out, away);
    int stream = away && (uintptr_t)out % 64 == 0 && n % 16 == 0;
    const __m512 factor = _mm512_set1_ps((float)over);
    __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int64_t k = 0; k < n; k += 32)
        for (int h = 0; h < 2; h++) {
            __mmask16 there = bf16_mask(n - k, h);
            __m512 unit = _mm512_mul_ps(_mm512_maskz_loadu_ps(there, v + k + 16 * h), factor);
            sum[h] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(there, g + k + 16 * h), unit, sum[h]);
        }
    const __m512 along = _mm512_set1_ps(_mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1])));
    __mmask16 outside = 0; /* of the range of float */
    for (int64_t k = 0; k < n; k += 16) {
        __mmask16 there = bf16_mask(n - k, 0);
        __m512 unit = _mm512_mul_ps(_mm512_maskz_loadu_ps(there, v + k), factor);
        __m512 rest = _mm512_mul_ps(_mm512_fnmadd_ps(along, unit, _mm512_maskz_loadu_ps(there, g + k)), factor);
        outside |= _mm512_fpclass_ps_mask(rest, NOT_FINITE);
        if (stream)
            _mm512_stream_ps(out + k, rest);
        else
            _mm512_mask_storeu_ps(out + k, there, rest);
    }
    if (stream) _mm_sfence(); /* other threads may read it as they read all else */
    return !outside;
}

/* The members that are those of AVX-512. */
#define ELEMENTWISE                                                                                                    \
    .exp_sum = exp_sum, .find_most = find_most, .exp_over = exp_over, .exp_weights = exp_weights,                      \
    .class_sums = class_sums, .product = product, .square_sum = square_sum, .dot = dot, .project_sums = project_sums,  \
    .sum_parts = sum_parts, .add_pair = add_pair

#endif
