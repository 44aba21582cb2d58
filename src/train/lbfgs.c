/* L-BFGS (Nocedal and Wright, "Numerical optimization", 2nd edition, algorithms 7.4, 7.5; strong Wolfe line search
 * after 3.5 and 3.6), scaled by a fixed preconditioner P: H_0 = gamma P with gamma = <s, y> / <y, P y>. Where values
 * differ by less than their noise a step is judged by slopes alone (Hager and Zhang, "A new conjugate gradient method
 * with guaranteed descent and an efficient line search", SIAM J. Optim. 2005, the approximate Wolfe condition). */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/sizes.h"
#include "math/sphere.h"
#include "train/descent.h"

enum { MEMORY = 10, MOST_TRIALS = 30, TRIALS_WITH_PAIRS = 10, MOST_IDLE = 4 };

static const double sufficient = 1e-4, curvature = 0.9; /* c_1 and c_2 of the Wolfe conditions */

typedef struct lbfgs {
    lgt_smooth *f;
    lgt_descent *d;
    double *direction, *trial, *gradient, *scratch; /* (size) */
    double *steps, *changes;                        /* (MEMORY, size), rings */
    double inverse[MEMORY];                         /* 1 / <s, y> */
    double gamma;
    int64_t n_pairs; /* taken since the memory was cleared */
    double value;    /* at trial */
    double best;     /* the least norm so far */
    int64_t idle;    /* iterations that changed nothing beyond noise */
} lbfgs;

static void add(double *out, double factor, const double *v, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] += factor * v[i];
}

/* direction = -H g by the two loops. */
static void find_direction(lbfgs *s) {
    int64_t n = s->f->size, kept = lgt_min64(s->n_pairs, MEMORY);
    double alpha[MEMORY];
    memcpy(s->scratch, s->d->g, (size_t)n * sizeof(double));
    for (int64_t i = s->n_pairs - 1; i >= s->n_pairs - kept; i--) {
        int64_t at = i % MEMORY;
        alpha[at] = s->inverse[at] * lgt_dot(s->steps + at * n, s->scratch, n);
        add(s->scratch, -alpha[at], s->changes + at * n, n);
    }
    lgt_descent_precondition(s->f, s->scratch, s->direction);
    for (int64_t k = 0; k < n; k++) s->direction[k] *= s->gamma;
    for (int64_t i = s->n_pairs - kept; i < s->n_pairs; i++) {
        int64_t at = i % MEMORY;
        double beta = s->inverse[at] * lgt_dot(s->changes + at * n, s->direction, n);
        add(s->direction, alpha[at] - beta, s->steps + at * n, n);
    }
    for (int64_t k = 0; k < n; k++) s->direction[k] = -s->direction[k];
}

/* A point of the line: step, value, slope. */
typedef struct line_point {
    double t, value, slope;
} line_point;

static lgt_status try_step(lbfgs *s, line_point *p, lgt_error *err) {
    int64_t n = s->f->size;
    for (int64_t i = 0; i < n; i++) s->trial[i] = s->d->v[i] + p->t * s->direction[i];
    lgt_status status = s->f->evaluate(s->f->user, s->trial, &s->value, s->gradient, err);
    s->d->evaluations++;
    p->value = s->value;
    p->slope = isfinite(s->value) ? lgt_dot(s->gradient, s->direction, n) : NAN;
    return status;
}

/* The minimum of the cubic through both points and slopes, kept off the ends; the middle where there is none. */
static double interpolate(line_point a, line_point b) {
    double width = b.t - a.t, d1 = a.slope + b.slope - 3 * (b.value - a.value) / width;
    double root = sqrt(d1 * d1 - a.slope * b.slope);
    double d2 = width < 0 ? -root : root, share = 1 - (b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2);
    if (!(share >= 0 && share <= 1)) share = 0.5;
    return a.t + width * fmin(fmax(share, 0.1), 0.9);
}

static int is_good(const lbfgs *s, line_point start, line_point p) {
    double noise = s->f->noise * fabs(start.value);
    if (!isfinite(p.value) || !isfinite(p.slope)) return 0;
    if (p.value <= start.value + sufficient * p.t * start.slope && fabs(p.slope) <= -curvature * start.slope) return 1;
    return p.value <= start.value + noise && p.slope >= curvature * start.slope &&
           p.slope <= (2 * sufficient - 1) * start.slope;
}

/* *found: trial, gradient and value hold a good step of length *length. */
static lgt_status search(lbfgs *s, double first, double *length, int *found, lgt_error *err) {
    line_point start = {0, s->d->value, lgt_dot(s->d->g, s->direction, s->f->size)}, low = start, high = start;
    line_point p = {.t = first};
    double noise = s->f->noise * fabs(start.value);
    int bracketed = 0, most = s->n_pairs > 0 ? TRIALS_WITH_PAIRS : MOST_TRIALS;
    *found = 0;
    for (int i = 0; i < most; i++) {
        lgt_status status = try_step(s, &p, err);
        if (status) return status;
        *length = p.t;
        if (is_good(s, start, p)) {
            *found = 1;
            return LGT_OK;
        }
        double bound = start.value + sufficient * p.t * start.slope + noise;
        if (!isfinite(p.value) || !isfinite(p.slope) || p.value > bound || (low.t > 0 && p.value > low.value + noise)) {
            high = p, bracketed = 1;
        } else {
            double towards = bracketed ? high.t - low.t : 1;
            if (p.slope * towards >= 0) high = low, bracketed = 1;
            low = p;
        }
        if (!bracketed)
            p.t *= 2;
        else
            p.t = isfinite(high.value) && isfinite(high.slope) ? interpolate(low, high) : low.t + (high.t - low.t) / 8;
    }
    return LGT_OK;
}

/* Keeps step and change of gradient where the curvature along the step is positive. */
static void remember(lbfgs *s, double length) {
    int64_t n = s->f->size, at = s->n_pairs % MEMORY;
    double *step = s->steps + at * n, *change = s->changes + at * n;
    for (int64_t i = 0; i < n; i++) step[i] = length * s->direction[i], change[i] = s->gradient[i] - s->d->g[i];
    double product = lgt_dot(step, change, n);
    lgt_descent_precondition(s->f, change, s->scratch);
    double size = lgt_dot(change, s->scratch, n);
    if (!(product > 1e-14 * sqrt(lgt_dot(step, step, n) * lgt_dot(change, change, n))) || !(size > 0)) return;
    s->inverse[at] = 1 / product;
    s->gamma = product / size;
    s->n_pairs++;
}

static void forget(lbfgs *s) {
    s->n_pairs = 0;
    s->gamma = 1;
    s->idle = 0;
}

static void move(lbfgs *s, double length) {
    double before = s->d->value;
    remember(s, length);
    lgt_descent_move(s->f, s->d, s->trial, s->gradient, s->value);
    s->d->iterations++;
    int is_better = before - s->value > s->f->noise * fabs(before) || s->d->norm < 0.9 * s->best;
    s->idle = is_better ? 0 : s->idle + 1;
    s->best = fmin(s->best, s->d->norm);
}

/* One iteration; *at_end when nothing leads on. */
static lgt_status iterate(lbfgs *s, int *at_end, lgt_error *err) {
    int found = 0, refined = 0;
    double length = 0, first = 1;
    find_direction(s);
    if (!(lgt_dot(s->d->g, s->direction, s->f->size) < 0)) {
        forget(s);
        find_direction(s);
    }
    if (s->n_pairs == 0 && !s->f->precondition) first = fmin(1, 1 / s->d->norm);
    lgt_status status = search(s, first, &length, &found, err);
    if (status) return status;
    if (found) move(s, length);
    if (found && s->idle < MOST_IDLE) return LGT_OK;
    status = lgt_descent_refine(s->f, s->d, &refined, err);
    s->best = s->d->norm;
    *at_end = !status && !refined && s->n_pairs == 0;
    forget(s); /* also after refining: the last changes of the gradient were half noise */
    return status;
}

static lgt_status run(lbfgs *s, const lgt_descent_limits *limits, lgt_error *err) {
    int at_end = 0, stuck = 0;
    lgt_status status = lgt_descent_evaluate(s->f, s->d, err);
    s->d->first_norm = s->best = s->d->norm;
    if (!status) status = lgt_descent_check(s->f, limits, s->d, &at_end, err);
    while (!status && !at_end && !stuck) {
        status = iterate(s, &stuck, err);
        if (!status) status = lgt_descent_check(s->f, limits, s->d, &at_end, err);
    }
    return status;
}

lgt_status lgt_lbfgs(lgt_smooth *f, const lgt_descent_limits *limits, lgt_descent *d, lgt_error *err) {
    lbfgs s = {.f = f, .d = d, .gamma = 1};
    int64_t n = f->size;
    lgt_status status = LGT_NEW(f->context, &s.direction, 4 * n, err);
    if (!status) status = LGT_NEW(f->context, &s.steps, 2 * MEMORY * n, err);
    if (!status) {
        s.trial = s.direction + n, s.gradient = s.trial + n, s.scratch = s.gradient + n;
        s.changes = s.steps + MEMORY * n;
        status = run(&s, limits, err);
    }
    lgt_release(f->context, s.steps);
    lgt_release(f->context, s.direction);
    return status;
}
