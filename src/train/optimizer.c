/* SGD with momentum (Polyak 1964, as PyTorch writes it) and AdamW (Loshchilov, Hutter, "Decoupled weight decay
 * regularization", ICLR 2019), in fixed ranges of parameters: each entry is on its own, so threads change nothing. */
#include "train/optimizer.h"

#include <math.h>
#include <stdatomic.h>

#include "base/parallel.h"
#include "base/sizes.h"
#include "math/magnitude.h"

enum { RANGE = 8192 };

/* With c1 = 1 - beta1^t and c2 = sqrt(1 - beta2^t),  lr (m/c1) / (sqrt(v)/c2 + eps) = (lr c2/c1) m / (sqrt(v) + eps
 * c2): one division an entry. */
static lgt_update adamw_at(const lgt_train_options *o, double lr, double l2, int64_t t) {
    double c1 = 1 - pow(o->beta1, (double)t), rest = 1 - pow(o->beta2, (double)t), c2 = sqrt(rest);
    lgt_update u = {.l2 = (float)l2};
    u.rate = (float)(lr * c2 / c1);
    u.decay = (float)(1 - lr * o->weight_decay);
    u.first = (float)(1 - o->beta1);
    u.second = (float)(1 - o->beta2);
    u.eps = (float)(o->eps * c2);
    return u;
}

lgt_update lgt_update_at(const lgt_train_options *options, double lr, double l2, int64_t t) {
    if (options->optimizer == LGT_OPTIMIZER_ADAMW) return adamw_at(options, lr, l2, t);
    lgt_update u = {.l2 = (float)l2};
    u.rate = (float)lr;
    u.decay = (float)options->weight_decay;
    u.momentum = (float)options->momentum;
    return u;
}

lgt_update_kernel lgt_update_kernel_of(const lgt_context *context, lgt_optimizer optimizer) {
    const lgt_update_kernels *kernels = lgt_update_kernels_of(lgt_context_isa(context));
    return optimizer == LGT_OPTIMIZER_ADAMW ? kernels->adamw : kernels->sgd;
}

lgt_squares lgt_update_some(lgt_update_kernel kernel, const lgt_update *update, const lgt_param_group *group,
                            int64_t at, int64_t n, const float *gradient) {
    double squares[2];
    kernel(update, 1, n, group->value + at, gradient, group->momentum + at, group->square ? group->square + at : NULL,
           squares);
    return (lgt_squares){squares[0], squares[1]};
}

int lgt_some_in_range(const float *values, int64_t count) {
    return lgt_all_below_f32(values, count, (float)LGT_GRADIENT_MOST);
}

typedef struct range_call {
    const float *values;
    int64_t count;
    _Atomic int outside;
} range_call;

static void check_range(void *argument, int64_t index, int worker) {
    range_call *call = argument;
    int64_t at = index * RANGE, n = lgt_min64(RANGE, call->count - at);
    (void)worker;
    if (!lgt_some_in_range(call->values + at, n)) atomic_store_explicit(&call->outside, 1, memory_order_relaxed);
}

int lgt_in_range(lgt_context *context, const float *values, int64_t count) {
    range_call call = {.values = values, .count = count};
    lgt_parallel_for(context, lgt_ceil_div(count, RANGE), check_range, &call);
    return !call.outside;
}
