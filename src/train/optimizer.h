/* One step of SGD or AdamW over a vector of parameters, with PyTorch's semantics. */
#ifndef LGT_TRAIN_OPTIMIZER_H
#define LGT_TRAIN_OPTIMIZER_H

#include "logitude/train.h"

/* Parameters with their gradient and the optimiser's memory of them, all (count). */
typedef struct lgt_param_group {
    float *value;
    float *gradient;
    float *momentum; /* SGD: the buffer; ADAMW: the first moment; starts at 0 */
    float *square;   /* ADAMW: the second moment, starts at 0; SGD: NULL */
    int64_t count;
} lgt_param_group;

/* The numbers of one step. */
typedef struct lgt_update {
    lgt_optimizer optimizer;
    float rate;          /* what the direction is multiplied by */
    float decay;         /* SGD: weight decay; ADAMW: 1 - lr * weight decay */
    float momentum;      /* SGD */
    float first, second; /* ADAMW: 1 - beta1, 1 - beta2 */
    float eps;           /* ADAMW: in units of the uncorrected moment */
} lgt_update;

/* The update number t >= 1 at learning rate lr. */
lgt_update lgt_update_at(const lgt_train_options *options, double lr, int64_t t);

/* Moves the parameters. Gradients must pass lgt_in_range. */
void lgt_update_apply(lgt_context *context, const lgt_update *update, const lgt_param_group *group);

/* gradient += l2 * value, the gradient of l2/2 |value|^2. */
void lgt_add_l2(lgt_context *context, double l2, const lgt_param_group *group);

/* Whether no entry is NaN, infinite, or so large (2^63) that its square leaves the range of float. */
int lgt_in_range(lgt_context *context, const float *values, int64_t count);

#endif
