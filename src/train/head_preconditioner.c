/* A preconditioner of softmax heads (Eq. 161): the Hessian at W = 0, b = 0, where every class has the probability 1/C,
 *     (I - 11^T/C) (x) M,   M = X~^T X~ / (C N) + diag(l2, ..., l2, 0),   X~ = (X, 1),
 * of which M^-1 is applied to every class. C/2 times its first part bounds the Hessian everywhere (Boehning,
 * "Multinomial logistic regression algorithm", Ann. Inst. Statist. Math. 1992). Evenly spaced rows stand for all of
 * them. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "kernel/kernels.h"
#include "math/cholesky.h"
#include "train/head_objective.h"

enum { SAMPLE = 8, CHUNK = 512, STRIPE = 64, LARGEST = 4096, WORTH = 100 };

/* Added to the diagonal, in units of its mean: float32 sums are not exact, and without l2 M may be singular. */
static const double least_ridge = 1e-6;

typedef struct gram_call {
    const lgt_head_objective *objective;
    const lgt_kernels_f32 *kernels;
    int64_t n_sample, padded, first, count; /* rows first .. first + count of the sample */
    float *rows, *gram;                     /* (CHUNK, padded), (padded, padded) */
} gram_call;

/* One row of the sample with a 1 for the bias behind it, times the root of its weight. */
static void copy_row(void *argument, int64_t index, int worker) {
    const gram_call *call = argument;
    const lgt_head_objective *o = call->objective;
    int64_t row = (call->first + index) * o->n_rows / call->n_sample;
    float *to = call->rows + index * call->padded;
    (void)worker;
    memcpy(to, o->x + row * o->dim, (size_t)o->dim * sizeof *to);
    to[o->dim] = o->n_bias > 0;
    if (!o->trainer->weights) return;
    float root = (float)sqrt(o->trainer->weights[row]);
    for (int64_t k = 0; k <= o->dim; k++) to[k] *= root;
}

static void add_stripe(void *argument, int64_t index, int worker) {
    const gram_call *call = argument;
    int64_t at = index * STRIPE;
    (void)worker;
    call->kernels->product(STRIPE, at + STRIPE, call->count, call->rows + at, 1, call->padded, call->rows, call->padded,
                           call->gram + at * call->padded, call->padded, 1);
}

static void make_gram(lgt_context *context, gram_call *call) {
    for (call->first = 0; call->first < call->n_sample; call->first += CHUNK) {
        call->count = lgt_min64(CHUNK, call->n_sample - call->first);
        lgt_parallel_for(context, call->count, copy_row, call);
        lgt_parallel_for(context, call->padded / STRIPE, add_stripe, call);
    }
}

/* factor = M with that ridge, its lower triangle. */
static void fill(const lgt_head_objective *o, const gram_call *call, double ridge) {
    int64_t n = o->dim + 1;
    double share = 1 / ((double)call->n_sample * (double)o->trainer->model.n_classes), trace = 0;
    for (int64_t i = 0; i < n; i++) trace += share * (double)call->gram[i * call->padded + i];
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j <= i; j++) o->factor[i * n + j] = share * (double)call->gram[i * call->padded + j];
        o->factor[i * n + i] += ridge * trace / (double)n + (i < o->dim ? o->trainer->options.l2 : 0);
    }
    if (o->n_bias == 0) o->factor[n * n - 1] = 1;
}

/* Whether it costs less than WORTH evaluations. */
static int pays(const lgt_head_objective *o, int64_t n_sample) {
    double d = (double)o->dim + 1, evaluation = 4 * (double)o->n_rows * (double)o->n_weights;
    return o->dim < LARGEST && d * d * ((double)n_sample + d / 3) < WORTH * evaluation;
}

lgt_status lgt_head_objective_prepare(lgt_head_objective *objective, lgt_error *err) {
    lgt_head_objective *o = objective;
    lgt_context *context = o->trainer->context;
    int64_t n = o->dim + 1, n_sample = lgt_min64(o->n_rows, SAMPLE * n);
    gram_call call = {.objective = o, .n_sample = n_sample, .padded = lgt_round_up(n, STRIPE)};
    if (!lgt_head_objective_is_convex(o->trainer) || !pays(o, n_sample)) return LGT_OK;
    call.kernels = lgt_kernels_f32_of(lgt_context_isa(context), LGT_PRECISION_FULL);
    lgt_status status = LGT_NEW_ZERO(context, &call.rows, CHUNK * call.padded, err);
    if (!status) status = LGT_NEW_ZERO(context, &call.gram, call.padded * call.padded, err);
    if (!status) status = LGT_NEW(context, &o->factor, n * n, err);
    if (!status) status = LGT_NEW(context, &o->gathered, o->trainer->model.n_classes * n, err);
    if (!status) {
        int done = 0;
        make_gram(context, &call);
        for (double ridge = least_ridge; !done && ridge < 1; ridge *= 100) {
            fill(o, &call, ridge);
            done = lgt_cholesky(context, o->factor, n);
        }
        if (!done) { /* features beyond float32: an evaluation will tell */
            lgt_release(context, o->factor);
            o->factor = NULL;
        }
    }
    lgt_release(context, call.gram);
    lgt_release(context, call.rows);
    return status;
}

typedef struct solve_call {
    const lgt_head_objective *objective;
    const double *in;
    double *out;
} solve_call;

static void solve_class(void *argument, int64_t j, int worker) {
    const solve_call *call = argument;
    const lgt_head_objective *o = call->objective;
    int64_t dim = o->dim, n = dim + 1;
    double *x = o->gathered + j * n;
    (void)worker;
    memcpy(x, call->in + j * dim, (size_t)dim * sizeof *x);
    x[dim] = o->n_bias ? call->in[o->n_weights + j] : 0;
    lgt_cholesky_solve(o->factor, n, x);
    memcpy(call->out + j * dim, x, (size_t)dim * sizeof *x);
    if (o->n_bias) call->out[o->n_weights + j] = x[dim];
}

void lgt_head_objective_precondition(void *user, const double *in, double *out) {
    const lgt_head_objective *o = user;
    solve_call call = {o, in, out};
    lgt_parallel_for(o->trainer->context, o->trainer->model.n_classes, solve_class, &call);
}
