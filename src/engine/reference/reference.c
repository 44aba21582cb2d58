/* The reference engine: the equations as plain loops in double, one row and one class at a time. It is the oracle of
 * every other engine and stays this simple. */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/element.h"
#include "engine/motion.h"
#include "engine/row.h"
#include "math/sphere.h"

/* One class as a row of x sees it: z = scale (product, perhaps bent) + bias. */
typedef struct seen {
    int64_t row;                /* of w: its only one, or the nearest */
    double product, plain;      /* <p(w), p(x)>, and the logit without any bend */
    double z, slope, curvature; /* dz / d product / scale and its derivative */
    double scale, soft;
    double motion, z_motion; /* of product and z along the direction */
} seen;

typedef struct reference {
    lgt_ray x, w;                  /* (D) each */
    lgt_motion x_motion, w_motion; /* (D) each */
    seen *classes;                 /* (C) */
    double *dx;                    /* (D) */
    double *sum, *scratch;         /* (D), (2 D) */
    double *dw, *db;               /* (C k, D), (C): totals in double whatever the output's type */
    double *bias, *bias_motion;    /* (C) */
} reference;

static lgt_status supports(const lgt_problem *problem, lgt_error *err) {
    const lgt_plan_options *o = &problem->options;
    if (o->precision != LGT_PRECISION_FULL || o->max_classes > 0 || o->sinks || problem->comm)
        return lgt_fail(err, LGT_ERR_UNSUPPORTED,
                        "the reference engine has neither low precision nor listed classes, sinks or ranks");
    return lgt_succeed(err);
}

static void release(const lgt_problem *problem, void *state) {
    reference *r = state;
    if (!r) return;
    void *blocks[] = {r->x.value,
                      r->x.unit,
                      r->w.value,
                      r->w.unit,
                      r->x_motion.value,
                      r->x_motion.unit,
                      r->w_motion.value,
                      r->w_motion.unit,
                      r->classes,
                      r->dx,
                      r->sum,
                      r->scratch,
                      r->dw,
                      r->db,
                      r->bias,
                      r->bias_motion};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) lgt_release(problem->context, blocks[i]);
    lgt_release(problem->context, r);
}

static lgt_status plan(const lgt_problem *problem, void **state, int64_t *bytes, lgt_error *err) {
    reference *r = NULL;
    int64_t d = problem->dim, c = problem->n_classes;
    int64_t rows = problem->options.loss_only && !problem->options.second_order ? 0 : c * problem->centres;
    lgt_status status = LGT_NEW_ZERO(problem->context, &r, 1, err);
    if (status) return status;
    *state = r;
    if (rows > 0 && rows > INT64_MAX / d) return lgt_fail(err, LGT_ERR_MEMORY, "C x D overflows");
    const struct {
        void *block;
        int64_t count;
        size_t size;
    } wanted[] = {{&r->x.value, d, sizeof(double)},
                  {&r->x.unit, d, sizeof(double)},
                  {&r->w.value, d, sizeof(double)},
                  {&r->w.unit, d, sizeof(double)},
                  {&r->x_motion.value, d, sizeof(double)},
                  {&r->x_motion.unit, d, sizeof(double)},
                  {&r->w_motion.value, d, sizeof(double)},
                  {&r->w_motion.unit, d, sizeof(double)},
                  {&r->classes, c, sizeof *r->classes},
                  {&r->dx, d, sizeof(double)},
                  {&r->sum, d, sizeof(double)},
                  {&r->scratch, 2 * d, sizeof(double)},
                  {&r->dw, rows * d, sizeof(double)},
                  {&r->db, c, sizeof(double)},
                  {&r->bias, c, sizeof(double)},
                  {&r->bias_motion, c, sizeof(double)}};
    *bytes += (int64_t)sizeof *r;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if ((status = lgt_alloc_zero(problem->context, wanted[i].count, wanted[i].size, wanted[i].block, err)))
            return status;
        *bytes += wanted[i].count * (int64_t)wanted[i].size;
    }
    return LGT_OK;
}

static lgt_status check_weights(const lgt_problem *problem, reference *r, lgt_batch *batch, lgt_error *err) {
    batch->n_zero_classes = 0;
    for (int64_t j = 0; j < problem->n_classes * problem->centres; j++) {
        if (!lgt_ray_load(problem, batch->w, j, &r->w)) return lgt_row_not_finite(batch->w, j, "w", err);
        batch->n_zero_classes += problem->least_norm > 0 && r->w.norm == 0;
        if (batch->along && !lgt_motion_load(problem, batch->along->w, j, &r->w, &r->w_motion))
            return lgt_row_not_finite(batch->along->w, j, "the direction of w", err);
    }
    return LGT_OK;
}

/* What enters a product of the vector: its direction or itself; and how that moves. */
static const double *factor(const lgt_ray *ray, int unit) {
    return unit ? ray->unit : ray->value;
}

static const double *factor_motion(const lgt_motion *motion, int unit) {
    return unit ? motion->unit : motion->value;
}

/* Loads the row of w for class j, and its motion. */
static void load_class(const lgt_problem *problem, reference *r, const lgt_batch *batch, int64_t row) {
    lgt_ray_load(problem, batch->w, row, &r->w);
    if (batch->along) lgt_motion_load(problem, batch->along->w, row, &r->w, &r->w_motion);
}

/* Class j before the row's x (Eq. 1, 3, 31, 34). */
static seen see(const lgt_problem *p, reference *r, const lgt_batch *batch, int64_t i, int64_t j) {
    seen s = {.row = lgt_target_load(p, batch, &r->x, j, &r->w), .scale = lgt_class_scale(p, batch, j), .slope = 1};
    const double *x = factor(&r->x, p->unit_x), *w = factor(&r->w, p->unit_w);
    s.product = lgt_dot(w, x, p->dim);
    s.plain = s.z = s.scale * s.product + r->bias[j];
    if (batch->target[i] == LGT_TARGET_SOFT) {
        int64_t at = i * batch->soft.ld + j;
        s.soft = batch->soft.dtype == LGT_F64 ? ((const double *)batch->soft.data)[at]
                                              : (double)((const float *)batch->soft.data)[at];
    }
    if (!batch->along) return s;
    load_class(p, r, batch, s.row);
    s.motion = lgt_dot(factor_motion(&r->w_motion, p->unit_w), x, p->dim) +
               lgt_dot(w, factor_motion(&r->x_motion, p->unit_x), p->dim);
    s.z_motion = s.scale * s.motion + r->bias_motion[j];
    return s;
}

/* The loss's rule for classes that are not the target (Eq. 30). */
static void bend_crowd(const lgt_crowd_bend *bend, seen *s) {
    double c = s->product;
    if (c <= bend->above) return;
    s->slope = bend->linear + 2 * bend->square * c;
    s->curvature = 2 * bend->square;
    s->z_motion += s->scale * (s->slope - 1) * s->motion;
    s->z += s->scale * (c * (bend->linear + bend->square * c) - c);
}

/* The share of one product in a gradient: h = dJ / d product; `at` is the vector, p the other factor. */
static void add_product(int unit, const lgt_ray *at, const double *p, double product, double h, int64_t n,
                        double *out) {
    if (!unit)
        for (int64_t k = 0; k < n; k++) out[k] += h * p[k];
    else if (at->norm > 0)
        for (int64_t k = 0; k < n; k++) out[k] += h / at->norm * (p[k] - product * at->unit[k]);
}

/* The same in a Hessian-vector product (Eq. 36); h_motion is how h moves. */
static void add_product_motion(reference *r, int unit, const lgt_ray *at, const lgt_motion *moves, const double *p,
                               const double *p_motion, double h, double h_motion, int64_t n, double *out) {
    double stretch = unit && at->norm > 0 ? moves->norm / at->norm : 0;
    for (int64_t k = 0; k < n; k++) r->sum[k] = (h_motion - h * stretch) * p[k] + h * p_motion[k];
    if (unit) lgt_motion_project(at, moves, h * lgt_dot(p, at->unit, n), h * lgt_dot(p, moves->unit, n), n, r->sum);
    for (int64_t k = 0; k < n; k++) out[k] += r->sum[k];
}

/* With unit classes, a feature of no length feels nothing (Eq. 14). */
static int feels(const lgt_problem *problem, const reference *r) {
    return !problem->unit_w || r->x.norm > 0;
}

static void add_gradients(const lgt_problem *p, reference *r, const lgt_batch *batch, int64_t i,
                          const lgt_target *target, const lgt_row *row) {
    int64_t y = batch->target[i], n = p->dim;
    for (int64_t j = 0; j < p->n_classes; j++) {
        const seen *s = &r->classes[j];
        double *dw = r->dw + s->row * n;
        load_class(p, r, batch, s->row);
        if (j == y) {
            r->db[j] += row->target;
            lgt_target_pulls(p, target, &r->x, &r->w, r->scratch, r->scratch + n);
            for (int64_t k = 0; k < n; k++) r->dx[k] += row->target * r->scratch[k];
            for (int64_t k = 0; k < n; k++) dw[k] += row->target * r->scratch[n + k];
            continue;
        }
        /* z_j <= lse but for rounding, which at 1e30 would be an infinite probability. */
        double g = row->crowd_scale * exp(fmin(s->z - row->lse, 0)) + row->crowd_shift + row->soft * s->soft;
        double h = s->scale * s->slope * g;
        r->db[j] += g;
        if (feels(p, r)) add_product(p->unit_x, &r->x, factor(&r->w, p->unit_w), s->product, h, n, r->dx);
        add_product(p->unit_w, &r->w, factor(&r->x, p->unit_x), s->product, h, n, dw);
    }
    for (int64_t k = 0; k < n; k++) r->dx[k] += batch->coefficient[i] * target->penalty_slope * r->x.unit[k];
}

static void add_hvp(const lgt_problem *p, reference *r, const lgt_batch *batch, int64_t i, const lgt_bend_motion *bend,
                    const lgt_row *row) {
    int64_t y = batch->target[i], n = p->dim;
    for (int64_t j = 0; j < p->n_classes; j++) {
        const seen *s = &r->classes[j];
        double *dw = r->dw + s->row * n;
        load_class(p, r, batch, s->row);
        double prob = exp(fmin(s->z - row->lse, 0));
        double g = row->crowd_scale * prob + row->crowd_shift + row->soft * s->soft;
        double g_motion = prob * (row->crowd_scale * s->z_motion + row->speed_shift);
        if (j == y) g = row->target, g_motion = row->target_speed;
        double h = s->scale * s->slope * g, h_motion = s->scale * (s->slope * g_motion + s->curvature * s->motion * g);
        r->db[j] += g_motion;
        if (feels(p, r))
            add_product_motion(r, p->unit_x, &r->x, &r->x_motion, factor(&r->w, p->unit_w),
                               factor_motion(&r->w_motion, p->unit_w), h, h_motion, n, r->dx);
        add_product_motion(r, p->unit_w, &r->w, &r->w_motion, factor(&r->x, p->unit_x),
                           factor_motion(&r->x_motion, p->unit_x), h, h_motion, n, dw);
        if (j != y) continue;
        lgt_moving_pair pair = {&r->x, &r->w, &r->x_motion, &r->w_motion};
        lgt_bend_motion_add_x(p, bend, &pair, g, g_motion, batch->coefficient[i], r->dx, r->scratch);
        lgt_bend_motion_add_w(p, bend, &pair, g, g_motion, dw, r->scratch);
    }
}

/* The row's target logit, and how it moves. */
static lgt_target measure_target(const lgt_problem *p, reference *r, const lgt_batch *batch, int64_t i,
                                 lgt_bend_motion *bend) {
    int64_t y = batch->target[i];
    if (y < 0) return (lgt_target){.crowd = {INFINITY, 1, 0}};
    load_class(p, r, batch, r->classes[y].row);
    lgt_target target = lgt_target_measure(p, batch, i, &r->x, &r->w);
    if (!batch->along) return target;
    lgt_moving_pair pair = {&r->x, &r->w, &r->x_motion, &r->w_motion};
    *bend = lgt_bend_motion_measure(p, batch, i, &pair, r->scratch);
    r->classes[y].z_motion += bend->value;
    return target;
}

static lgt_crowd sum_crowd(const lgt_problem *p, reference *r, const lgt_target *target, int64_t y) {
    lgt_crowd crowd = lgt_crowd_empty();
    for (int64_t j = 0; j < p->n_classes; j++) {
        seen *s = &r->classes[j];
        lgt_crowd one = {.best = s->plain, .top = j};
        if (j != y) {
            if (p->bends_crowd) bend_crowd(&target->crowd, s);
            one = (lgt_crowd){{s->z, 1}, s->z, s->soft * s->z, s->z_motion, s->plain, j};
        }
        lgt_crowd_merge(&crowd, &one);
    }
    return crowd;
}

static lgt_status run_row(const lgt_problem *problem, reference *r, lgt_batch *batch, int64_t i, int want,
                          lgt_error *err) {
    int64_t y = batch->target[i];
    lgt_bend_motion bend = {0};
    if (!lgt_ray_load(problem, batch->x, i, &r->x)) return lgt_row_not_finite(batch->x, i, "x", err);
    if (batch->along && !lgt_motion_load(problem, batch->along->x, i, &r->x, &r->x_motion))
        return lgt_row_not_finite(batch->along->x, i, "the direction of x", err);
    batch->n_zero_rows += problem->least_norm > 0 && r->x.norm == 0;
    for (int64_t j = 0; j < problem->n_classes; j++) r->classes[j] = see(problem, r, batch, i, j);
    lgt_target target = measure_target(problem, r, batch, i, &bend);
    lgt_crowd crowd = sum_crowd(problem, r, &target, y);
    double z_motion = y >= 0 ? r->classes[y].z_motion : 0;
    lgt_row row = lgt_row_finish(problem, &crowd, y, target.z, z_motion, batch->coefficient[i]);
    row.loss += target.penalty;
    if (!isfinite(row.lse) || !isfinite(row.loss))
        return lgt_fail(err, LGT_ERR_NONFINITE, "row %lld: its logits exceed the range of double", (long long)i);
    batch->loss_rows[i] = row.loss, batch->lse[i] = row.lse, batch->top1[i] = crowd.top;
    for (int64_t k = 0; k < problem->dim; k++) r->dx[k] = 0;
    if (want && y != LGT_TARGET_IGNORED && batch->along)
        add_hvp(problem, r, batch, i, &bend, &row);
    else if (want && y != LGT_TARGET_IGNORED)
        add_gradients(problem, r, batch, i, &target, &row);
    if (!batch->dx.data) return LGT_OK;
    lgt_row_store(batch->dx, i, r->dx, batch->accumulate);
    return lgt_row_overflow(batch->dx, i) < 0 ? LGT_OK
                                              : lgt_out_of_range(batch->names[0], "row", i, batch->dx.dtype, err);
}

/* The sums over all rows become dw and db. */
static lgt_status store_sums(const lgt_problem *problem, const reference *r, const lgt_batch *batch, lgt_error *err) {
    int64_t rows = problem->n_classes * problem->centres, class;
    for (int64_t j = 0; batch->dw.data && j < rows; j++) {
        lgt_row_store(batch->dw, j, r->dw + j * problem->dim, batch->accumulate);
        if (lgt_row_overflow(batch->dw, j) >= 0)
            return lgt_out_of_range(batch->names[1], "row", j, batch->dw.dtype, err);
    }
    if (!batch->db.data) return LGT_OK;
    lgt_row_store(batch->db, 0, r->db, batch->accumulate);
    class = lgt_row_overflow(batch->db, 0);
    return class < 0 ? LGT_OK : lgt_out_of_range(batch->names[2], "class", class, batch->db.dtype, err);
}

static lgt_status run(const lgt_problem *problem, void *state, lgt_batch *batch, lgt_error *err) {
    reference *r = state;
    int64_t c = problem->n_classes, rows = c * problem->centres, d = problem->dim;
    int want = batch->dx.data || batch->dw.data || batch->db.data;
    batch->n_zero_rows = 0;
    lgt_status status = check_weights(problem, r, batch, err);
    if (status) return status;
    for (int64_t j = 0; j < c; j++) r->bias[j] = r->bias_motion[j] = 0;
    if (batch->b.data) lgt_row_load(batch->b, 0, r->bias);
    if (batch->along && batch->along->b.data) lgt_row_load(batch->along->b, 0, r->bias_motion);
    for (int64_t k = 0; want && k < rows * d; k++) r->dw[k] = 0;
    for (int64_t j = 0; want && j < c; j++) r->db[j] = 0;
    for (int64_t i = 0; i < batch->n_rows; i++)
        if ((status = run_row(problem, r, batch, i, want, err))) return status;
    return store_sums(problem, r, batch, err);
}

const lgt_engine_vtable lgt_engine_reference = {"reference", supports, plan, run, release};
