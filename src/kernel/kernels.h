/* Tile kernels, single-threaded: one set for each instruction set and arithmetic.
 *
 * The engine cuts the classes into tiles and the rows of a batch into blocks. Where a tile meets a block there is a
 * crossing u (tile, ld): one class a row, the block's rows along it, so that sums over classes go lane by lane. Three
 * products are all the work there is,
 *
 *   logits     u  = W X^T      (classes, rows)
 *   gather_w   dw = P X        (classes, dim)
 *   gather_x   dx += P^T W     (rows, dim)
 *
 * and their operands are packed once each, features for a block, classes for a tile, weights P for a crossing. What a
 * packed operand looks like is the affair of its set: bytes, aligned to 64. The same call gives the same bits on the
 * same set; sums over k, classes and rows run in rising order, with one rounding a term or better, or in integers,
 * with errors relative to whole vectors (docs/kernels.md). */
#ifndef LGT_KERNEL_KERNELS_H
#define LGT_KERNEL_KERNELS_H

#include <stdint.h>

#include "logitude/context.h"
#include "logitude/head.h"

/* Tiles and blocks are multiples of this, and so are the widths of dx and dw. */
enum { LGT_LANES = 32 };

/* The largest crossing and the length of its vectors. ld is not a power of two, whose rows would share cache sets. */
typedef struct lgt_extent {
    int64_t dim, tile, block, ld;
} lgt_extent;

/* Declares struct lgt_kernels_<suffix> over elements T. Of a crossing the first n_classes rows and n_rows columns
 * count; kernels may read and write the others, up to the next multiple of LGT_LANES, but no count depends on what is
 * there. */
#define LGT_KERNELS(T, suffix)                                                                                         \
    typedef struct lgt_kernels_##suffix {                                                                              \
        /* Bytes of packed operands, a multiple of 64. weights_size is 0 where P is u itself. */                       \
        int64_t (*features_size)(const lgt_extent *e);                                                                 \
        int64_t (*classes_size)(const lgt_extent *e);                                                                  \
        int64_t (*weights_size)(const lgt_extent *e);                                                                  \
        /* Bytes at the beginning of packed weights that gather_w reads, whatever classes and features they were       \
         * packed for; of n classes, a multiple of LGT_LANES, the first n / tile of them. 0 where there                \
         * are none such, or where results must not depend on what is kept. */                                         \
        int64_t (*kept_size)(const lgt_extent *e);                                                                     \
        /* n vectors of dim elements, the i-th times factor[i] and rounded once to T. */                               \
        void (*pack_features)(const lgt_extent *e, const T *const *x, const double *factor, int64_t n, void *out);     \
        void (*pack_classes)(const lgt_extent *e, const T *const *w, const double *factor, int64_t n, void *out);      \
        /* What pack_classes made of n vectors, for gather_x as well. */                                               \
        void (*turn_classes)(const lgt_extent *e, int64_t n, void *classes);                                           \
        /* The weights u of a crossing for gather_x with these packed classes and for gather_w with these features; an \
         * operand that is NULL will not be asked for. */                                                              \
        void (*pack_weights)(const lgt_extent *e, const T *u, int64_t n_classes, int64_t n_rows, const void *classes,  \
                             const void *features, void *out);                                                         \
        void (*logits)(const lgt_extent *e, const void *classes, int64_t n_classes, const void *features,              \
                       int64_t n_rows, T *u);                                                                          \
        /* dx (n_rows; ld) and dw (n_classes; ld), whose first dim columns, rounded up to LGT_LANES, are set, or       \
         * added to with accumulate. `weights` is what pack_weights made, or u where weights_size is 0. */             \
        void (*gather_x)(const lgt_extent *e, const void *weights, int64_t n_classes, int64_t n_rows,                  \
                         const void *classes, T *dx, int64_t ld, int accumulate);                                      \
        void (*gather_w)(const lgt_extent *e, const void *weights, int64_t n_classes, int64_t n_rows,                  \
                         const void *features, T *dw, int64_t ld, int accumulate);                                     \
        /* z_ji = scale u_ji + bias_j: max_i = max_j z_ji, top_i the first such j and sum_i = sum_j exp(z_ji - max_i). \
         * u_ji = -inf drops out; where all do, max_i = -inf and sum_i = 0. max, sum and top have room for a multiple  \
         * of LGT_LANES. */                                                                                            \
        void (*exp_sum)(const lgt_extent *e, const T *u, int64_t n_classes, int64_t n_rows, T scale, const T *bias,    \
                        T *max, T *sum, T *top);                                                                       \
        /* max_i and top_i alone. */                                                                                   \
        void (*find_most)(const lgt_extent *e, const T *u, int64_t n_classes, int64_t n_rows, T scale, const T *bias,  \
                          T *max, T *top);                                                                             \
        /* u_ji = exp(min(z_ji - high_i, 0)) and sum_i their sum; high as in exp_weights. */                           \
        void (*exp_over)(const lgt_extent *e, T *u, int64_t n_classes, int64_t n_rows, T scale, const T *bias,         \
                         const T *high, T *sum);                                                                       \
        /* u_ji = multiplier_i exp(min(z_ji - high_i - low_i, 0)) + shift_i. The four arrays are readable up to a      \
         * multiple of LGT_LANES. */                                                                                   \
        void (*exp_weights)(const lgt_extent *e, T *u, int64_t n_classes, int64_t n_rows, T scale, const T *bias,      \
                            const T *high, const T *low, const T *multiplier, const T *shift);                         \
        /* sum_j += sum_i u_ji in double. */                                                                           \
        void (*class_sums)(const lgt_extent *e, const T *u, int64_t n_classes, int64_t n_rows, double *sum);           \
        /* c (m, n; ldc) = or += a (m, k) b (k, n; ldb), a element (i, l) at a[i * a_row + l * a_col], nothing packed; \
         * n a multiple of LGT_LANES. An element's sum runs over k in rising order, whatever m and n are. */           \
        void (*product)(int64_t m, int64_t n, int64_t k, const T *a, int64_t a_row, int64_t a_col, const T *b,         \
                        int64_t ldb, T *c, int64_t ldc, int accumulate);                                               \
        /* sum v_k^2 in double; not finite exactly when v holds a NaN or infinity, or (f64) the squares overflow. */   \
        double (*square_sum)(const T *v, int64_t n);                                                                   \
        /* sum a_k b_k in double. */                                                                                   \
        double (*dot)(const T *a, const T *b, int64_t n);                                                              \
        /* out_k = sum over parts p of shares_p v_(p stride + k) in double, in rising order; shares NULL: 1. */        \
        void (*sum_parts)(const T *v, const double *shares, int64_t parts, int64_t stride, int64_t n, double *out);    \
        /* out_k = (g_k - <g, v^> v^_k) / |v|, v^ = v / |v|, in T, or in double where that would leave the range of T; \
         * `over` is 1 / |v|. out may be g; away: it is not, nor will it be read soon. Returns whether all of out are  \
         * finite. */                                                                                                  \
        int (*project)(const T *g, const T *v, int64_t n, double over, T *out, int away);                              \
        /* The same of sums in double, in place. */                                                                    \
        void (*project_sums)(double *g, const T *v, int64_t n, double over);                                           \
        /* g_k += a u_k + b v_k in double. */                                                                          \
        void (*add_pair)(double *g, double a, const T *u, double b, const T *v, int64_t n);                            \
        /* Multiply-adds on registers, `turns` times a few dozen: the roof of the products. The operations of a        \
         * product that they stand for, two a multiply-add; *out, any number, is moved by all. */                      \
        double (*peak)(int64_t turns, T *out);                                                                         \
    } lgt_kernels_##suffix

LGT_KERNELS(float, f32);
LGT_KERNELS(double, f64);

/* The set for an instruction set and an arithmetic of products (for double LGT_PRECISION_FULL alone). What was not
 * compiled for this processor family gives the generic one. */
const lgt_kernels_f32 *lgt_kernels_f32_of(lgt_isa isa, lgt_precision precision);
const lgt_kernels_f64 *lgt_kernels_f64_of(lgt_isa isa);

/* The numbers of one step of an optimizer. */
typedef struct lgt_update {
    float rate;          /* what the direction is multiplied by */
    float decay;         /* SGD: weight decay; ADAMW: 1 - lr * weight decay */
    float l2;            /* gradient += l2 * parameter */
    float momentum;      /* SGD */
    float first, second; /* ADAMW: 1 - beta1, 1 - beta2 */
    float eps;           /* ADAMW: in units of the uncorrected moment */
} lgt_update;

/* Steps the parameters p (n), with their momentum or first moment m and, in ADAMW, their second moment v, n_updates
 * times. The last has the gradient g, those before it none; g NULL: none has. squares, unless NULL, is set to the last
 * update's sum (g + l2 p)^2 and sum p^2 of the new p, in double. Numbers do not depend on their place in the vector,
 * nor on whether updates come one by one or together. */
typedef void (*lgt_update_kernel)(const lgt_update *updates, int64_t n_updates, int64_t n, float *p, const float *g,
                                  float *m, float *v, double *squares);
typedef struct lgt_update_kernels {
    lgt_update_kernel sgd, adamw;
} lgt_update_kernels;

const lgt_update_kernels *lgt_update_kernels_of(lgt_isa isa);

#endif
