/* One step of SGD or AdamW over a vector of parameters, with PyTorch's semantics. */
#ifndef LGT_TRAIN_OPTIMIZER_H
#define LGT_TRAIN_OPTIMIZER_H

#include "kernel/kernels.h"
#include "logitude/train.h"

/* Parameters with their gradient and the optimiser's memory of them, all (count). */
typedef struct lgt_param_group {
    float *value;
    float *gradient; /* NULL: it is taken where it is made */
    float *momentum; /* SGD: the buffer; ADAMW: the first moment; starts at 0 */
    float *square;   /* ADAMW: the second moment, starts at 0; SGD: NULL */
    int64_t count;
} lgt_param_group;

/* |gradient|^2, that of l2 included, and |value|^2 of what was stepped. */
typedef struct lgt_squares {
    double gradient, value;
} lgt_squares;

/* The update number t >= 1 at learning rate lr. */
lgt_update lgt_update_at(const lgt_train_options *options, double lr, double l2, int64_t t);

/* Steps parameters [at, at + n) of a group with their gradient (n), which must pass lgt_in_range. */
lgt_squares lgt_update_some(lgt_update_kernel kernel, const lgt_update *update, const lgt_param_group *group,
                            int64_t at, int64_t n, const float *gradient);

/* Of an optimiser on the processor. */
lgt_update_kernel lgt_update_kernel_of(const lgt_context *context, lgt_optimizer optimizer);

/* Whether no entry is NaN, infinite, or so large (2^63) that its square leaves the range of float. */
int lgt_in_range(lgt_context *context, const float *values, int64_t count);
int lgt_some_in_range(const float *values, int64_t count);

/* The least number out of range. */
#define LGT_GRADIENT_MOST 0x1p63

/* Learning rates, decays and penalties beyond this are slips of the pen, and overflow float within a step; eps below
 * that would be 0 in float. */
#define LGT_RATE_MOST 1e6
#define LGT_EPS_LEAST 1e-30

#endif
