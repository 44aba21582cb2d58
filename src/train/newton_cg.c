/* Newton's method in a trust region, its steps by preconditioned conjugate gradients (Steihaug, "The conjugate gradient
 * method and trust regions in large scale optimization", SIAM J. Numer. Anal. 1983): negative curvature and steps that
 * leave the region go to its boundary. The region is a ball in the norm of the preconditioner's inverse. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "math/sphere.h"
#include "train/descent.h"

enum { MOST_PRODUCTS = 250, MOST_REJECTED = 12 };

typedef struct newton {
    lgt_smooth *f;
    lgt_descent *d;
    double *step, *rest, *direction, *image, *scaled; /* (size) rest: the gradient of the model at step */
    double *trial, *gradient;
    double radius, predicted;
    int on_boundary;
    int rejected; /* steps in a row */
} newton;

/* step += t direction, rest += t H direction. */
static void advance(newton *s, double t) {
    for (int64_t i = 0; i < s->f->size; i++) {
        s->step[i] += t * s->direction[i];
        s->rest[i] += t * s->image[i];
    }
}

/* Minimises the quadratic model within the region until its gradient has fallen by `goal`. ss, sd, dd: products of step
 * and direction in the norm of the region, by recurrence. */
static lgt_status solve(newton *s, double goal, lgt_error *err) {
    int64_t n = s->f->size;
    double ss = 0, sd = 0;
    memset(s->step, 0, (size_t)n * sizeof(double));
    memcpy(s->rest, s->d->g, (size_t)n * sizeof(double));
    lgt_descent_precondition(s->f, s->rest, s->scaled);
    double size = lgt_dot(s->rest, s->scaled, n), dd = size, least = goal * goal * size;
    if (s->radius == 0) s->radius = 4 * sqrt(size);
    for (int64_t i = 0; i < n; i++) s->direction[i] = -s->scaled[i];
    s->on_boundary = 0;
    for (int k = 0; k < MOST_PRODUCTS && size > least; k++) {
        lgt_status status = s->f->product(s->f->user, s->d->v, s->direction, s->image, err);
        if (status) return status;
        s->d->products++;
        double bend = lgt_dot(s->direction, s->image, n), t = size / bend;
        if (!(bend > 0) || ss + t * (2 * sd + t * dd) >= s->radius * s->radius) {
            t = (sqrt(sd * sd + dd * (s->radius * s->radius - ss)) - sd) / dd;
            advance(s, t);
            s->on_boundary = 1;
            break;
        }
        advance(s, t);
        ss += t * (2 * sd + t * dd);
        lgt_descent_precondition(s->f, s->rest, s->scaled);
        double before = size;
        size = lgt_dot(s->rest, s->scaled, n);
        double beta = size / before;
        for (int64_t i = 0; i < n; i++) s->direction[i] = beta * s->direction[i] - s->scaled[i];
        sd = beta * (sd + t * dd);
        dd = size + beta * beta * dd;
    }
    s->predicted = -(lgt_dot(s->d->g, s->step, n) + lgt_dot(s->rest, s->step, n)) / 2;
    return LGT_OK;
}

/* How well the model told the decrease: 1 is exact. Below the noise of values the gradient decides. */
static double agreement(const newton *s, double value) {
    double noise = 10 * s->f->noise * fabs(s->d->value);
    if (!isfinite(value)) return -1;
    if (s->predicted > noise) return (s->d->value - value) / s->predicted;
    double norm = sqrt(lgt_dot(s->gradient, s->gradient, s->f->size));
    return norm < s->d->norm && value <= s->d->value + noise ? 1 : -1;
}

static lgt_status iterate(newton *s, int *at_end, lgt_error *err) {
    int64_t n = s->f->size;
    double value = 0, ratio = s->d->norm / s->d->first_norm;
    int refined = 0;
    lgt_status status = solve(s, fmin(0.5, sqrt(ratio)), err);
    if (status == LGT_ERR_NONFINITE) { /* a product beyond float, which double may hold */
        lgt_status again = lgt_descent_refine(s->f, s->d, &refined, err);
        return refined ? again : status;
    }
    if (status) return status;
    for (int64_t i = 0; i < n; i++) s->trial[i] = s->d->v[i] + s->step[i];
    if ((status = s->f->evaluate(s->f->user, s->trial, &value, s->gradient, err))) return status;
    s->d->evaluations++;
    s->d->iterations++;
    double rho = agreement(s, value);
    int below_noise = s->predicted <= 10 * s->f->noise * fabs(s->d->value); /* then the region is not to blame */
    if (rho < 0.25 && !below_noise) s->radius /= 4;
    if (rho > 0.75 && s->on_boundary) s->radius *= 2;
    s->rejected = rho > 1e-4 ? 0 : s->rejected + 1;
    if (!s->rejected) lgt_descent_move(s->f, s->d, s->trial, s->gradient, value);
    if (s->rejected < MOST_REJECTED && !(s->rejected && below_noise)) return LGT_OK;
    status = lgt_descent_refine(s->f, s->d, &refined, err);
    *at_end = !status && !refined;
    s->rejected = 0;
    return status;
}

static lgt_status run(newton *s, const lgt_descent_limits *limits, lgt_error *err) {
    int at_end = 0, stuck = 0;
    lgt_status status = lgt_descent_evaluate(s->f, s->d, err);
    s->d->first_norm = s->d->norm;
    if (!status) status = lgt_descent_check(s->f, limits, s->d, &at_end, err);
    while (!status && !at_end && !stuck) {
        status = iterate(s, &stuck, err);
        if (!status) status = lgt_descent_check(s->f, limits, s->d, &at_end, err);
    }
    return status;
}

lgt_status lgt_newton_cg(lgt_smooth *f, const lgt_descent_limits *limits, lgt_descent *d, lgt_error *err) {
    newton s = {.f = f, .d = d};
    int64_t n = f->size;
    lgt_status status = LGT_NEW(f->context, &s.step, 7 * n, err);
    if (!status) {
        s.rest = s.step + n, s.direction = s.rest + n, s.image = s.direction + n, s.scaled = s.image + n;
        s.trial = s.scaled + n, s.gradient = s.trial + n;
        status = run(&s, limits, err);
    }
    lgt_release(f->context, s.step);
    return status;
}
