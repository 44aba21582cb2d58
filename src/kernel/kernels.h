/* Tile kernels, single-threaded, one set per instruction set: a matrix product, the two
 * exponential passes, and what makes directions of rows.
 *
 * A tile is LGT_TILE classes wide. Matrices are padded so that widths are multiples of LGT_TILE_PAD elements; padding
 * is zero and stays so. The same call gives the same bits on the same instruction set. */
#ifndef LGT_KERNEL_KERNELS_H
#define LGT_KERNEL_KERNELS_H

#include <stdint.h>

#include "logitude/context.h"

enum { LGT_TILE = 64, LGT_TILE_PAD = 32 };

/* Declares struct lgt_kernels_<suffix> over elements T. */
#define LGT_KERNELS(T, suffix)                                                                                         \
    typedef struct lgt_kernels_##suffix {                                                                              \
        /* c (m, n; ldc) = or += a (m, k) b (k, n; ldb), a element (i, l) at a[i * a_row + l * a_col]; n a multiple of \
         * LGT_TILE_PAD. 2 m n k flops. */                                                                             \
        void (*product)(int64_t m, int64_t n, int64_t k, const T *a, int64_t a_row, int64_t a_col, const T *b,         \
                        int64_t ldb, T *c, int64_t ldc, int accumulate);                                               \
        /* z_j = scale u_j + b_j over the tile: *max = max z_j, returns sum exp(z_j - max). u_j = -inf drops out; when \
         * all do, *max = -inf and the sum is 0. */                                                                    \
        T (*exp_sum)(const T *u, T scale, const T *b, T *max);                                                         \
        /* u_j = multiplier exp(min(scale u_j + b_j - high - low, 0)) + shift over the tile. */                        \
        void (*exp_weights)(T * u, T scale, const T *b, T high, T low, T multiplier, T shift);                         \
        /* sum v_k^2 in double; not finite exactly when v holds a NaN or infinity, or (f64) the squares overflow. */   \
        double (*square_sum)(const T *v, int64_t n);                                                                   \
        /* out_k = v_k factor, rounded once to T. */                                                                   \
        void (*scaled)(const T *v, int64_t n, double factor, T *out);                                                  \
    } lgt_kernels_##suffix

LGT_KERNELS(float, f32);
LGT_KERNELS(double, f64);

/* The set for an instruction set; a set that was not compiled for this processor family gives the generic one. */
const lgt_kernels_f32 *lgt_kernels_f32_of(lgt_isa isa);
const lgt_kernels_f64 *lgt_kernels_f64_of(lgt_isa isa);

#endif
