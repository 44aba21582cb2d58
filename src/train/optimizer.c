/* SGD with momentum (Polyak 1964, as PyTorch writes it) and AdamW (Loshchilov, Hutter, "Decoupled weight decay
 * regularization", ICLR 2019), in fixed ranges of parameters: each entry is on its own, so threads change nothing. */
#include "train/optimizer.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/parallel.h"
#include "base/sizes.h"

enum { RANGE = 8192 };

/* With c1 = 1 - beta1^t and c2 = sqrt(1 - beta2^t),  lr (m/c1) / (sqrt(v)/c2 + eps) = (lr c2/c1) m / (sqrt(v) + eps
 * c2): one division an entry. */
static lgt_update adamw_at(const lgt_train_options *o, double lr, int64_t t) {
    double c1 = 1 - pow(o->beta1, (double)t), rest = 1 - pow(o->beta2, (double)t), c2 = sqrt(rest);
    lgt_update u = {.optimizer = LGT_OPTIMIZER_ADAMW};
    u.rate = (float)(lr * c2 / c1);
    u.decay = (float)(1 - lr * o->weight_decay);
    u.first = (float)(1 - o->beta1);
    u.second = (float)(1 - o->beta2);
    u.eps = (float)(o->eps * c2);
    return u;
}

lgt_update lgt_update_at(const lgt_train_options *options, double lr, int64_t t) {
    if (options->optimizer == LGT_OPTIMIZER_ADAMW) return adamw_at(options, lr, t);
    lgt_update u = {.optimizer = LGT_OPTIMIZER_SGD};
    u.rate = (float)lr;
    u.decay = (float)options->weight_decay;
    u.momentum = (float)options->momentum;
    return u;
}

/* Moments of a parameter that no longer moves decay for ever; below this they are cut to 0, because arithmetic on
 * subnormal numbers is slow and a moment of this size moves nothing. */
static const float smallest_moment = 1e-36f;

static void adamw(const lgt_update *u, int64_t count, float *restrict p, const float *restrict g, float *restrict m,
                  float *restrict v) {
    float rate = u->rate, decay = u->decay, first = u->first, second = u->second, eps = u->eps, least = smallest_moment;
    for (int64_t i = 0; i < count; i++) {
        float mean = m[i] + first * (g[i] - m[i]), square = v[i] + second * (g[i] * g[i] - v[i]);
        mean = fabsf(mean) < least ? 0.0f : mean;
        square = square < least ? 0.0f : square;
        m[i] = mean;
        v[i] = square;
        p[i] = p[i] * decay - rate * mean / (sqrtf(square) + eps);
    }
}

static void sgd(const lgt_update *u, int64_t count, float *restrict p, const float *restrict g, float *restrict m) {
    float rate = u->rate, decay = u->decay, momentum = u->momentum, least = smallest_moment;
    for (int64_t i = 0; i < count; i++) {
        float buffer = momentum * m[i] + (g[i] + decay * p[i]);
        buffer = fabsf(buffer) < least ? 0.0f : buffer;
        m[i] = buffer;
        p[i] -= rate * buffer;
    }
}

typedef struct update_call {
    const lgt_update *update;
    const lgt_param_group *group;
} update_call;

static void update_range(void *argument, int64_t index, int worker) {
    const update_call *call = argument;
    const lgt_param_group *g = call->group;
    int64_t at = index * RANGE, n = lgt_min64(RANGE, g->count - at);
    (void)worker;
    if (call->update->optimizer == LGT_OPTIMIZER_ADAMW)
        adamw(call->update, n, g->value + at, g->gradient + at, g->momentum + at, g->square + at);
    else
        sgd(call->update, n, g->value + at, g->gradient + at, g->momentum + at);
}

void lgt_update_apply(lgt_context *context, const lgt_update *update, const lgt_param_group *group) {
    update_call call = {update, group};
    lgt_parallel_for(context, lgt_ceil_div(group->count, RANGE), update_range, &call);
}

typedef struct l2_call {
    float l2;
    const lgt_param_group *group;
} l2_call;

static void add_l2_range(void *argument, int64_t index, int worker) {
    const l2_call *call = argument;
    int64_t at = index * RANGE, n = lgt_min64(RANGE, call->group->count - at);
    float *restrict gradient = call->group->gradient + at, l2 = call->l2;
    const float *restrict value = call->group->value + at;
    (void)worker;
    for (int64_t i = 0; i < n; i++) gradient[i] += l2 * value[i];
}

void lgt_add_l2(lgt_context *context, double l2, const lgt_param_group *group) {
    l2_call call = {(float)l2, group};
    lgt_parallel_for(context, lgt_ceil_div(group->count, RANGE), add_l2_range, &call);
}

typedef struct range_call {
    const float *values;
    int64_t count;
    _Atomic int outside;
} range_call;

/* On the bits, as integers: without their signs floats are ordered like them, and NaN and infinity come last. */
static void check_range(void *argument, int64_t index, int worker) {
    static const int32_t limit = 0x5F000000; /* 2^63 */
    range_call *call = argument;
    int64_t at = index * RANGE, n = lgt_min64(RANGE, call->count - at);
    const float *values = call->values + at;
    int outside = 0;
    (void)worker;
    for (int64_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        outside |= (bits & INT32_MAX) >= limit;
    }
    if (outside) atomic_store_explicit(&call->outside, 1, memory_order_relaxed);
}

int lgt_in_range(lgt_context *context, const float *values, int64_t count) {
    range_call call = {.values = values, .count = count};
    lgt_parallel_for(context, lgt_ceil_div(count, RANGE), check_range, &call);
    return !call.outside;
}
