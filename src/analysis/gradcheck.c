/* Gradient checks: random problems, central differences of the reference engine's loss, and engine against engine. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/philox.h"
#include "logitude/analysis.h"

/* Five-point central differences leave h^4 f'''''/30 and eps f / h: with h = 2e-4 of an entry's scale both stay below
 * 1e-8 of the gradient for s from 1 to 64; scales beyond that shrink h. */
static const double relative_step = 2e-4, usual_scale = 64;
/* Over 10,000 problems a loss, with default parameters, the largest errors met are 4e-9, 1.2e-13 and 4.5e-6; other
 * parameters come to twice that. */
static const double difference_tolerance = 1e-8, f64_tolerance = 1e-11, f32_tolerance = 2e-5;
/* A difference may straddle a kink or jump of the loss or of its slope; moving the features this far leaves it behind,
 * and leaves a wrong formula wrong. Several tries, since the next kink of an L-Softmax of large m is near. */
static const double move = 1e-2;
enum { TRIES = 6 };
/* Gradients are of the size of the logits' scale over the norm; rounding is told from a gradient down to a tenth of it.
 */
static const double no_gradient = 0.1;

enum { MOST_ROWS = 5, MOST_DIM = 9, MOST_CLASSES = 9 };

typedef struct problem {
    lgt_context *context;
    lgt_head *head;
    lgt_plan_options options;
    int64_t n_rows, dim, n_classes;
    int has_bias;
    double least; /* a gradient this small is none */
    double x[MOST_ROWS * MOST_DIM], w[MOST_CLASSES * MOST_DIM], b[MOST_CLASSES];
    int64_t labels[MOST_ROWS];
    double sample_weights[MOST_ROWS], class_weights[MOST_CLASSES];
} problem;

typedef struct gradients {
    double dx[MOST_ROWS * MOST_DIM], dw[MOST_CLASSES * MOST_DIM], db[MOST_CLASSES];
} gradients;

static double scale_of(const lgt_loss *loss) {
    return loss->info->space == LGT_SPACE_COS ? lgt_loss_value(loss, "s") : 1;
}

/* Of size 0.5 to 1.5 and either sign: no vector is short, so that steps and rounding keep their distance. */
static double draw_entry(const lgt_rng *rng, uint64_t at) {
    double value = 2 * lgt_rng_uniform(rng, at) - 1;
    return value < 0 ? value - 0.5 : value + 0.5;
}

static void draw_options(problem *p, const lgt_rng *rng) {
    static const double smoothing[] = {0, 0.1}, z_loss[] = {0, 1e-3};
    lgt_plan_options_init(&p->options);
    p->options.max_rows = MOST_ROWS;
    p->options.label_smoothing = smoothing[lgt_rng_below(rng, 3, 2)];
    p->options.z_loss = z_loss[lgt_rng_below(rng, 4, 2)];
    p->options.ignore_label = -1;
    p->options.reduction = lgt_rng_below(rng, 5, 2) ? LGT_REDUCTION_SUM : LGT_REDUCTION_MEAN;
}

static lgt_status draw(problem *p, lgt_context *context, const lgt_loss *loss, uint64_t seed, uint64_t index,
                       lgt_error *err) {
    lgt_rng rng = {seed, index};
    uint64_t at = 100;
    memset(p, 0, sizeof *p);
    p->context = context;
    p->n_rows = 1 + (int64_t)lgt_rng_below(&rng, 0, MOST_ROWS);
    p->dim = 1 + (int64_t)lgt_rng_below(&rng, 1, MOST_DIM);
    p->n_classes = 1 + (int64_t)lgt_rng_below(&rng, 2, MOST_CLASSES);
    p->has_bias = loss->info->has_bias;
    p->least = no_gradient * scale_of(loss);
    draw_options(p, &rng);
    for (int64_t i = 0; i < p->n_rows * p->dim; i++) p->x[i] = draw_entry(&rng, at++);
    for (int64_t i = 0; i < p->n_classes * p->dim; i++) p->w[i] = draw_entry(&rng, at++);
    for (int64_t j = 0; j < p->n_classes; j++) {
        p->b[j] = lgt_rng_normal(&rng, at++);
        p->class_weights[j] = 0.5 + lgt_rng_uniform(&rng, at++);
    }
    for (int64_t i = 0; i < p->n_rows; i++) {
        int ignored = lgt_rng_below(&rng, at++, 8) == 0;
        p->labels[i] = ignored ? -1 : (int64_t)lgt_rng_below(&rng, at++, (uint64_t)p->n_classes);
        p->sample_weights[i] = 0.5 + lgt_rng_uniform(&rng, at++);
    }
    return lgt_head_create(context, loss, p->dim, p->n_classes, &p->head, err);
}

static void narrow(const double *from, int64_t count, float *to) {
    for (int64_t i = 0; i < count; i++) to[i] = (float)from[i];
}

static void widen(const float *from, int64_t count, double *to) {
    for (int64_t i = 0; i < count; i++) to[i] = (double)from[i];
}

static lgt_head_inputs inputs_of(const problem *p, const void *x, const void *w, const void *b, lgt_dtype dtype) {
    return (lgt_head_inputs){.x = lgt_view_of(x, p->n_rows, p->dim, dtype),
                             .w = lgt_view_of(w, p->n_classes, p->dim, dtype),
                             .b = lgt_view_of(p->has_bias ? b : NULL, 1, p->n_classes, dtype),
                             .labels = p->labels,
                             .sample_weights = p->sample_weights,
                             .class_weights = p->class_weights};
}

static lgt_head_outputs outputs_of(const problem *p, void *dx, void *dw, void *db, lgt_dtype dtype) {
    return (lgt_head_outputs){.dx = lgt_mut_of(dx, p->n_rows, p->dim, dtype),
                              .dw = lgt_mut_of(dw, p->n_classes, p->dim, dtype),
                              .db = lgt_mut_of(p->has_bias ? db : NULL, 1, p->n_classes, dtype)};
}

/* Gradients by one engine in one type, as doubles. */
static lgt_status differentiate(problem *p, lgt_engine engine, lgt_dtype dtype, gradients *g, lgt_error *err) {
    float x[MOST_ROWS * MOST_DIM], w[MOST_CLASSES * MOST_DIM], b[MOST_CLASSES];
    float dx[MOST_ROWS * MOST_DIM], dw[MOST_CLASSES * MOST_DIM], db[MOST_CLASSES] = {0};
    int64_t nx = p->n_rows * p->dim, nw = p->n_classes * p->dim;
    lgt_plan *plan = NULL;
    p->options.engine = engine;
    p->options.dtype = dtype;
    lgt_status status = lgt_plan_create(p->head, &p->options, &plan, err);
    if (status) return status;
    memset(g, 0, sizeof *g);
    lgt_head_inputs in = inputs_of(p, p->x, p->w, p->b, dtype);
    lgt_head_outputs out = outputs_of(p, g->dx, g->dw, g->db, dtype);
    if (dtype == LGT_F32) {
        narrow(p->x, nx, x), narrow(p->w, nw, w), narrow(p->b, p->n_classes, b);
        in = inputs_of(p, x, w, b, dtype);
        out = outputs_of(p, dx, dw, db, dtype);
    }
    status = lgt_plan_run(plan, &in, &out, err);
    if (!status && dtype == LGT_F32) widen(dx, nx, g->dx), widen(dw, nw, g->dw), widen(db, p->n_classes, g->db);
    lgt_plan_free(plan);
    return status;
}

/* max |a - b| / max |b|, where gradients below `least` count as that large: some are zero exactly, as all tangents are
 * in one dimension. */
static double relative_error(const double *a, const double *b, int64_t n, double least) {
    double worst = 0, scale = least;
    for (int64_t i = 0; i < n; i++) {
        double error = fabs(a[i] - b[i]);
        if (!isfinite(error)) return INFINITY;
        worst = fmax(worst, error);
        scale = fmax(scale, fabs(b[i]));
    }
    return worst / scale;
}

static lgt_status loss_of(const problem *p, lgt_plan *plan, double *loss, lgt_error *err) {
    lgt_head_inputs in = inputs_of(p, p->x, p->w, p->b, LGT_F64);
    lgt_head_outputs out = {0};
    lgt_status status = lgt_plan_run(plan, &in, &out, err);
    *loss = out.loss;
    return status;
}

/* (f(-2h) - 8 f(-h) + 8 f(h) - f(2h)) / 12 h for each of n entries of the problem's array `at`. */
static lgt_status differences(problem *p, lgt_plan *plan, double *at, int64_t n, int64_t row, double step, double *out,
                              lgt_error *err) {
    static const double shift[] = {-2, -1, 1, 2}, weight[] = {1, -8, 8, -1};
    for (int64_t i = 0; i < n; i++) {
        double kept = at[i], square = 0;
        for (int64_t k = i / row * row; k < (i / row + 1) * row; k++) square += at[k] * at[k];
        double h = step * sqrt(square / (double)row);
        out[i] = 0;
        for (int k = 0; k < 4; k++) {
            double loss;
            at[i] = kept + shift[k] * h;
            lgt_status status = loss_of(p, plan, &loss, err);
            at[i] = kept;
            if (status) return status;
            out[i] += weight[k] * loss / (12 * h);
        }
    }
    return LGT_OK;
}

/* Largest errors of the reference gradients against differences. */
static lgt_status compare_differences(problem *p, double scale, lgt_gradcheck *errors, lgt_error *err) {
    gradients analytic, numeric;
    lgt_plan *plan = NULL;
    double step = relative_step / fmax(1, scale / usual_scale);
    lgt_status status = differentiate(p, LGT_ENGINE_REFERENCE, LGT_F64, &analytic, err);
    if (status) return status;
    p->options.loss_only = 1;
    status = lgt_plan_create(p->head, &p->options, &plan, err);
    p->options.loss_only = 0;
    int64_t nx = p->n_rows * p->dim, nw = p->n_classes * p->dim, nb = p->has_bias ? p->n_classes : 0;
    if (!status) status = differences(p, plan, p->x, nx, p->dim, step, numeric.dx, err);
    if (!status) status = differences(p, plan, p->w, nw, p->dim, step, numeric.dw, err);
    if (!status) status = differences(p, plan, p->b, nb, nb ? nb : 1, step, numeric.db, err);
    lgt_plan_free(plan);
    if (status) return status;
    errors->dx = relative_error(numeric.dx, analytic.dx, nx, p->least);
    errors->dw = relative_error(numeric.dw, analytic.dw, nw, p->least);
    errors->db = relative_error(numeric.db, analytic.db, nb, p->least);
    return LGT_OK;
}

static lgt_status compare_engines(problem *p, lgt_engine engine, lgt_dtype dtype, lgt_gradcheck *errors,
                                  lgt_error *err) {
    gradients expected, found;
    lgt_status status;
    if (dtype == LGT_F32) { /* both engines see the same rounded inputs */
        for (int64_t i = 0; i < p->n_rows * p->dim; i++) p->x[i] = (double)(float)p->x[i];
        for (int64_t i = 0; i < p->n_classes * p->dim; i++) p->w[i] = (double)(float)p->w[i];
        for (int64_t j = 0; j < p->n_classes; j++) p->b[j] = (double)(float)p->b[j];
    }
    if ((status = differentiate(p, LGT_ENGINE_REFERENCE, LGT_F64, &expected, err)) ||
        (status = differentiate(p, engine, dtype, &found, err)))
        return status;
    errors->engine_dx = relative_error(found.dx, expected.dx, p->n_rows * p->dim, p->least);
    errors->engine_dw = relative_error(found.dw, expected.dw, p->n_classes * p->dim, p->least);
    errors->engine_db = relative_error(found.db, expected.db, p->has_bias ? p->n_classes : 0, p->least);
    return LGT_OK;
}

static double worst_difference(const lgt_gradcheck *e) {
    return fmax(e->dx, fmax(e->dw, e->db));
}

static lgt_status check_problem(problem *p, lgt_engine engine, lgt_dtype dtype, double scale, lgt_gradcheck *errors,
                                lgt_error *err) {
    lgt_status status = compare_differences(p, scale, errors, err);
    for (int t = 1; !status && t < TRIES && worst_difference(errors) > difference_tolerance; t++) {
        for (int64_t i = 0; i < p->n_rows * p->dim; i++) p->x[i] *= 1 + move * (double)(i % p->dim + 1);
        status = compare_differences(p, scale, errors, err);
    }
    return status ? status : compare_engines(p, engine, dtype, errors, err);
}

static void keep_worst(lgt_gradcheck *all, const lgt_gradcheck *one) {
    double *to[] = {&all->dx, &all->dw, &all->db, &all->engine_dx, &all->engine_dw, &all->engine_db};
    const double from[] = {one->dx, one->dw, one->db, one->engine_dx, one->engine_dw, one->engine_db};
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) *to[i] = fmax(*to[i], from[i]);
}

lgt_status lgt_gradcheck_run(lgt_context *context, const lgt_loss *loss, lgt_engine engine, lgt_dtype dtype,
                             int64_t n_problems, uint64_t seed, lgt_gradcheck *out, lgt_error *err) {
    lgt_gradcheck all = {.tolerance = difference_tolerance,
                         .engine_tolerance = dtype == LGT_F64 ? f64_tolerance : f32_tolerance};
    if (n_problems < 1) return lgt_fail(err, LGT_ERR_USAGE, "a check of %lld problems", (long long)n_problems);
    if (lgt_loss_value(loss, "gradient") != 0)
        return lgt_fail(err, LGT_ERR_USAGE,
                        "%s is not set to gradient=exact: its gradients are not derivatives of its loss by intention",
                        loss->info->name);
    for (int64_t i = 0; i < n_problems; i++, all.n_problems++) {
        problem p;
        lgt_gradcheck one = {0};
        lgt_status status = draw(&p, context, loss, seed, (uint64_t)i, err);
        if (!status) status = check_problem(&p, engine, dtype, scale_of(loss), &one, err);
        lgt_head_free(p.head);
        if (status) return status;
        keep_worst(&all, &one);
    }
    double engines = fmax(all.engine_dx, fmax(all.engine_dw, all.engine_db));
    all.passed = worst_difference(&all) <= all.tolerance && engines <= all.engine_tolerance;
    *out = all;
    return lgt_succeed(err);
}
