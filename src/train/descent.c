/* What L-BFGS and Newton-CG share: evaluation, the end of a descent, refining. */
#include "train/descent.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "math/sphere.h"

static void measure(const lgt_smooth *f, lgt_descent *d) {
    d->largest = 0;
    for (int64_t i = 0; i < f->size; i++) d->largest = fmax(d->largest, fabs(d->g[i]));
    d->norm = sqrt(lgt_dot(d->g, d->g, f->size));
}

lgt_status lgt_descent_evaluate(lgt_smooth *f, lgt_descent *d, lgt_error *err) {
    lgt_status status = f->evaluate(f->user, d->v, &d->value, d->g, err);
    d->evaluations++;
    if (status) return status;
    if (!isfinite(d->value)) /* there is no gradient then */
        return lgt_fail(err, LGT_ERR_NONFINITE, "the objective is %g after %lld iterations", d->value,
                        (long long)d->iterations);
    measure(f, d);
    if (!isfinite(d->norm))
        return lgt_fail(err, LGT_ERR_NONFINITE, "the gradient's norm is %g after %lld iterations", d->norm,
                        (long long)d->iterations);
    return LGT_OK;
}

void lgt_descent_move(const lgt_smooth *f, lgt_descent *d, const double *v, const double *g, double value) {
    memcpy(d->v, v, (size_t)f->size * sizeof *v);
    memcpy(d->g, g, (size_t)f->size * sizeof *g);
    d->value = value;
    measure(f, d);
}

lgt_status lgt_descent_refine(lgt_smooth *f, lgt_descent *d, int *refined, lgt_error *err) {
    *refined = f->refine && f->refine(f->user);
    if (!*refined) return LGT_OK;
    f->noise = 64 * DBL_EPSILON; /* of sums over many rows */
    return lgt_descent_evaluate(f, d, err);
}

lgt_status lgt_descent_check(lgt_smooth *f, const lgt_descent_limits *limits, lgt_descent *d, int *at_end,
                             lgt_error *err) {
    double goal = limits->tolerance * fmax(1, d->first_norm);
    int refined = 1;
    lgt_status status = LGT_OK;
    *at_end = 1;
    if (d->watched <= d->iterations) {
        d->watched = d->iterations + 1;
        d->stopped = f->watch && f->watch(f->user, d);
        if (d->stopped) return LGT_OK;
    }
    while (d->norm <= goal && refined && !status) status = lgt_descent_refine(f, d, &refined, err);
    d->converged = !status && d->norm <= goal;
    *at_end = d->converged || d->iterations >= limits->max_iterations;
    return status;
}

void lgt_descent_precondition(const lgt_smooth *f, const double *in, double *out) {
    if (f->precondition)
        f->precondition(f->user, in, out);
    else
        memcpy(out, in, (size_t)f->size * sizeof *in);
}
