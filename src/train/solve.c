/* Training a head on fixed features to the minimum of its objective, and the proof of how near it is. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "math/sphere.h"
#include "train/descent.h"
#include "train/head_objective.h"
#include "train/train_options.h"

typedef struct solver {
    lgt_trainer *trainer;
    lgt_head_objective objective;
    lgt_smooth smooth;
    lgt_descent descent;
    lgt_descent_limits limits;
    lgt_solve_watch watch;
    void *user;
    lgt_solve_record *record;
    double start;
} solver;

/* --- The model and the vector --- */

static void take_parameters(const lgt_head_objective *o, double *v) {
    const lgt_model *m = &o->trainer->model;
    for (int64_t i = 0; i < o->n_weights; i++) v[i] = m->w[i];
    for (int64_t j = 0; j < o->n_bias; j++) v[o->n_weights + j] = m->b[j];
}

static void give_parameters(const lgt_head_objective *o, const double *v) {
    lgt_model *m = &o->trainer->model;
    for (int64_t i = 0; i < o->n_weights; i++) m->w[i] = (float)v[i];
    for (int64_t j = 0; j < o->n_bias; j++) m->b[j] = (float)v[o->n_weights + j];
}

/* --- The certificate (Eq. 162, 163) --- */

/* f as a function of b alone, at v's W. */
typedef struct bias_problem {
    lgt_head_objective *objective;
    double *v, *gradient; /* (size) */
} bias_problem;

static lgt_status evaluate_bias(void *user, const double *b, double *value, double *gradient, lgt_error *err) {
    bias_problem *p = user;
    lgt_head_objective *o = p->objective;
    memcpy(p->v + o->n_weights, b, (size_t)o->n_bias * sizeof *b);
    lgt_status status = lgt_head_objective_evaluate(o, p->v, value, p->gradient, err);
    memcpy(gradient, p->gradient + o->n_weights, (size_t)o->n_bias * sizeof *b);
    return status;
}

static double range(const double *v, int64_t n) {
    double low = v[0], high = v[0];
    for (int64_t i = 1; i < n; i++) low = fmin(low, v[i]), high = fmax(high, v[i]);
    return high - low;
}

/* What the differences of an optimal bias cannot exceed; infinite where a class has no row of any weight. */
static double bias_bound(const lgt_head_objective *o, double value, double *shares) {
    const lgt_trainer *t = o->trainer;
    double longest = 0, least = INFINITY;
    memset(shares, 0, (size_t)o->n_bias * sizeof *shares);
    for (int64_t i = 0; i < o->n_rows; i++) {
        double square = 0;
        for (int64_t k = 0; k < o->dim; k++) square += (double)o->x[i * o->dim + k] * (double)o->x[i * o->dim + k];
        longest = fmax(longest, square);
        shares[t->dataset->labels[i]] += t->weights ? t->weights[i] : 1;
    }
    for (int64_t j = 0; j < o->n_bias; j++) least = fmin(least, shares[j]);
    double likely = (double)o->n_rows * value / ((1 - t->options.label_smoothing) * least);
    return least > 0 ? likely + 2 * sqrt(value / t->options.l2 * longest) : INFINITY;
}

enum { MOST_BIAS_STEPS = 30 };

/* Moves the bias of v to where its gradient is negligible in the bound. */
static lgt_status polish_bias(solver *s, bias_problem *p, double bound, double value, double *room, lgt_error *err) {
    lgt_head_objective *o = &s->objective;
    double l2 = s->trainer->options.l2, classes = (double)o->n_bias;
    double *b = room, *g = room + o->n_bias, weights = lgt_dot(p->gradient, p->gradient, o->n_weights) / (2 * l2);
    double goal =
        0.02 * fmax(weights, 1e-12 * value) / (sqrt(classes) * (bound + range(p->v + o->n_weights, o->n_bias)));
    lgt_smooth smooth = {.context = s->trainer->context, .size = o->n_bias, .user = p, .evaluate = evaluate_bias};
    lgt_descent_limits limits = {fmax(goal, 1e-14), MOST_BIAS_STEPS};
    lgt_descent d = {.v = b, .g = g};
    smooth.noise = 1e-13; /* slopes decide */
    memcpy(b, p->v + o->n_weights, (size_t)o->n_bias * sizeof *b);
    lgt_status status = lgt_lbfgs(&smooth, &limits, &d, err);
    s->record->certificate_evaluations += d.evaluations;
    memcpy(p->v + o->n_weights, b, (size_t)o->n_bias * sizeof *b);
    return status;
}

/* A number that f is nowhere below, from any v; -infinity where none is known. Moves the bias of v. */
static lgt_status bound_below(solver *s, bias_problem *p, double *lower, lgt_error *err) {
    lgt_head_objective *o = &s->objective;
    double value, l2 = s->trainer->options.l2, differences = 0, bound, *room = NULL;
    double *shares = NULL;
    *lower = -INFINITY;
    lgt_status status = lgt_head_objective_evaluate(o, p->v, &value, p->gradient, err);
    s->record->certificate_evaluations++;
    if (!status && o->n_bias) {
        status = LGT_NEW(s->trainer->context, &room, 2 * o->n_bias, err);
        if (!status) status = LGT_NEW(s->trainer->context, &shares, o->n_bias, err);
        bound = status ? INFINITY : bias_bound(o, value, shares);
        if (isfinite(bound)) status = polish_bias(s, p, bound, value, room, err);
        if (!status) status = lgt_head_objective_evaluate(o, p->v, &value, p->gradient, err);
        s->record->certificate_evaluations++;
        for (int64_t j = 0; j < o->n_bias; j++) differences += fabs(p->gradient[o->n_weights + j]) / 2;
        differences *= bound + range(p->v + o->n_weights, o->n_bias);
    }
    if (!status) *lower = value - lgt_dot(p->gradient, p->gradient, o->n_weights) / (2 * l2) - differences;
    lgt_release(s->trainer->context, shares);
    lgt_release(s->trainer->context, room);
    return status;
}

/* Measures the model as it is written, in double, and bounds its distance from the minimum. */
static lgt_status certify(solver *s, lgt_error *err) {
    lgt_head_objective *o = &s->objective;
    lgt_solve_record *r = s->record;
    double lower = -INFINITY;
    bias_problem p = {.objective = o};
    lgt_head_objective_refine(o);
    lgt_status status = LGT_NEW(s->trainer->context, &p.v, 2 * o->size, err);
    if (status) return status;
    p.gradient = p.v + o->size;
    if (lgt_head_objective_is_convex(s->trainer) && s->trainer->options.l2 > 0) {
        memcpy(p.v, s->descent.v, (size_t)o->size * sizeof *p.v);
        status = bound_below(s, &p, &lower, err);
    }
    take_parameters(o, p.v);
    if (!status) status = lgt_head_objective_evaluate(o, p.v, &r->model_objective, p.gradient, err);
    r->certificate_evaluations++;
    r->model_train_loss = o->mean_loss;
    r->n_correct = o->n_correct;
    r->model_gradient_norm = sqrt(lgt_dot(p.gradient, p.gradient, o->size));
    /* Losses and penalties are not negative. */
    if (isfinite(lower)) r->certified_gap = fmax(r->model_objective - fmax(lower, 0), 0);
    lgt_release(s->trainer->context, p.v);
    return status;
}

/* --- The descent --- */

static void fill_record(solver *s, const lgt_descent *d) {
    lgt_solve_record *r = s->record;
    r->iterations = d->iterations;
    r->evaluations = d->evaluations;
    r->products = d->products;
    r->objective = d->value;
    r->gradient_norm = d->norm;
    r->gradient_max = d->largest;
    r->goal = s->limits.tolerance * fmax(1, d->first_norm);
    r->converged = d->converged;
    r->stopped = d->stopped;
    r->seconds = lgt_clock_now() - s->start;
}

static int watch(void *user, const lgt_descent *d) {
    solver *s = ((lgt_head_objective *)user)->owner;
    fill_record(s, d);
    give_parameters(&s->objective, d->v);
    s->trainer->model.step = s->objective.step ? s->objective.step : d->iterations;
    return s->watch ? s->watch(s->user, s->record) : 0;
}

static lgt_status prepare(solver *s, int second_order, lgt_error *err) {
    lgt_head_objective *o = &s->objective;
    lgt_status status = lgt_head_objective_create(s->trainer, second_order, o, err);
    if (!status) status = LGT_NEW(s->trainer->context, &s->descent.v, 2 * o->size, err);
    if (!status) status = lgt_head_objective_prepare(o, err);
    if (status) return status;
    s->descent.g = s->descent.v + o->size;
    take_parameters(o, s->descent.v);
    s->smooth = (lgt_smooth){.context = s->trainer->context, .size = o->size, .user = o};
    s->smooth.evaluate = lgt_head_objective_evaluate;
    s->smooth.product = lgt_head_objective_product;
    s->smooth.precondition = o->factor ? lgt_head_objective_precondition : NULL;
    s->smooth.refine = lgt_head_objective_refine;
    s->smooth.noise = 1e-7;
    s->limits = (lgt_descent_limits){s->trainer->options.tolerance, s->trainer->options.max_iterations};
    return LGT_OK;
}

lgt_status lgt_trainer_solve(lgt_trainer *trainer, lgt_solve_watch on_iteration, void *user, lgt_solve_record *record,
                             lgt_error *err) {
    solver s = {.trainer = trainer, .watch = on_iteration, .user = user, .record = record, .start = lgt_clock_now()};
    int second_order = trainer->options.optimizer == LGT_OPTIMIZER_NEWTON_CG;
    if (!lgt_is_solved(&trainer->options))
        return lgt_fail(err, LGT_ERR_USAGE, "this trainer's optimizer makes steps, expected lbfgs or newton-cg");
    *record = (lgt_solve_record){.max_iterations = trainer->options.max_iterations, .certified_gap = NAN};
    s.objective.trainer = trainer;
    lgt_status status = prepare(&s, second_order, err);
    if (!status) {
        s.objective.owner = &s;
        s.smooth.watch = watch;
        status = second_order ? lgt_newton_cg(&s.smooth, &s.limits, &s.descent, err)
                              : lgt_lbfgs(&s.smooth, &s.limits, &s.descent, err);
    }
    if (!status) {
        fill_record(&s, &s.descent);
        give_parameters(&s.objective, s.descent.v);
        status = certify(&s, err);
    }
    lgt_release(trainer->context, s.descent.v);
    lgt_head_objective_free(&s.objective);
    return status ? status : lgt_succeed(err);
}
