/* The reference engine: the equations as plain loops in double, one row and one class at a time. It is the oracle of
 * every other engine and stays this simple. */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/element.h"
#include "engine/row.h"
#include "engine/target.h"
#include "math/sphere.h"

typedef struct reference {
    lgt_ray x, w;    /* (D) each */
    double *plain;   /* (C) plain logits of the row */
    double *dx;      /* (D) */
    double *scratch; /* (D) */
    double *dw, *db; /* (C, D), (C): totals in double whatever the output's type */
    double *bias;    /* (C) */
} reference;

static lgt_status supports(const lgt_problem *problem, lgt_error *err) {
    (void)problem;
    return lgt_succeed(err);
}

static void release(const lgt_problem *problem, void *state) {
    reference *r = state;
    if (!r) return;
    double *blocks[] = {r->x.value, r->x.unit,  r->w.value, r->w.unit, r->plain,
                        r->dx,      r->scratch, r->dw,      r->db,     r->bias};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) lgt_release(problem->context, blocks[i]);
    lgt_release(problem->context, r);
}

static lgt_status plan(const lgt_problem *problem, void **state, int64_t *bytes, lgt_error *err) {
    reference *r = NULL;
    int64_t d = problem->dim, c = problem->n_classes, gradients = problem->options.loss_only ? 0 : c;
    lgt_status status = LGT_NEW_ZERO(problem->context, &r, 1, err);
    if (status) return status;
    *state = r;
    if (gradients > 0 && gradients > INT64_MAX / d) return lgt_fail(err, LGT_ERR_MEMORY, "C x D overflows");
    const struct {
        double **block;
        int64_t count;
    } wanted[] = {{&r->x.value, d}, {&r->x.unit, d},  {&r->w.value, d},        {&r->w.unit, d},     {&r->plain, c},
                  {&r->dx, d},      {&r->scratch, d}, {&r->dw, gradients * d}, {&r->db, gradients}, {&r->bias, c}};
    *bytes = (int64_t)sizeof *r;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if ((status = LGT_NEW_ZERO(problem->context, wanted[i].block, wanted[i].count, err))) return status;
        *bytes += wanted[i].count * (int64_t)sizeof(double);
    }
    return LGT_OK;
}

static lgt_status check_weights(const lgt_problem *problem, reference *r, lgt_batch *batch, lgt_error *err) {
    batch->n_zero_classes = 0;
    for (int64_t j = 0; j < problem->n_classes; j++) {
        if (!lgt_ray_load(problem, batch->w, j, &r->w)) return lgt_row_not_finite(batch->w, j, "w", err);
        batch->n_zero_classes += problem->least_norm > 0 && r->w.norm == 0;
    }
    return LGT_OK;
}

/* u_j = scale <direction or vector of w_j, that of x> + b_j (Eq. 1, 3), with w_j loaded. */
static double plain_logit(const lgt_problem *problem, const reference *r, int64_t j) {
    if (problem->loss.info->space == LGT_SPACE_COS) return problem->scale * lgt_dot(r->w.unit, r->x.unit, problem->dim);
    return lgt_dot(r->w.value, r->x.value, problem->dim) + r->bias[j];
}

/* The crowd's pull on x and on w_j for one class: h = dJ/dz_ij (Eq. 9). */
static void add_crowd(const lgt_problem *problem, reference *r, int64_t j, double h) {
    int64_t n = problem->dim;
    double *dw = r->dw + j * n;
    r->db[j] += h;
    if (problem->loss.info->space == LGT_SPACE_DOT) {
        for (int64_t k = 0; k < n; k++) r->dx[k] += h * r->w.value[k], dw[k] += h * r->x.value[k];
        return;
    }
    if (r->x.norm == 0 || r->w.norm == 0) return;
    double c = r->plain[j] / problem->scale, to_x = h * problem->scale / r->x.norm,
           to_w = h * problem->scale / r->w.norm;
    for (int64_t k = 0; k < n; k++) {
        r->dx[k] += to_x * (r->w.unit[k] - c * r->x.unit[k]);
        dw[k] += to_w * (r->x.unit[k] - c * r->w.unit[k]);
    }
}

static void add_gradients(const lgt_problem *problem, reference *r, const lgt_batch *batch, int64_t y,
                          const lgt_target *target, const lgt_row *row) {
    for (int64_t k = 0; k < problem->dim; k++) r->dx[k] = 0;
    for (int64_t j = 0; j < problem->n_classes && y >= 0; j++) {
        lgt_ray_load(problem, batch->w, j, &r->w);
        if (j != y) {
            /* z_j <= lse but for rounding, which at 1e30 would be an infinite probability. */
            double p = exp(fmin(r->plain[j] - row->lse, 0));
            add_crowd(problem, r, j, row->crowd_scale * p + row->crowd_shift);
            continue;
        }
        r->db[j] += row->target;
        lgt_target_add_dx(problem, target, &r->x, &r->w, row->target, r->dx, r->scratch);
        lgt_target_add_dw(problem, target, &r->x, &r->w, row->target, r->dw + j * problem->dim, r->scratch);
    }
}

static lgt_status run_row(const lgt_problem *problem, reference *r, lgt_batch *batch, int64_t i, int want,
                          lgt_error *err) {
    int64_t y = batch->target[i], top = 0;
    lgt_target target = {0};
    lgt_lse crowd = lgt_lse_empty();
    double total = 0;
    if (!lgt_ray_load(problem, batch->x, i, &r->x)) return lgt_row_not_finite(batch->x, i, "x", err);
    batch->n_zero_rows += problem->least_norm > 0 && r->x.norm == 0;
    for (int64_t j = 0; j < problem->n_classes; j++) {
        lgt_ray_load(problem, batch->w, j, &r->w);
        r->plain[j] = plain_logit(problem, r, j);
        if (r->plain[j] > r->plain[top]) top = j;
        if (j == y) {
            target = lgt_target_measure(problem, &r->x, &r->w, r->bias[j], batch->step);
        } else {
            crowd = lgt_lse_add(crowd, r->plain[j]);
            total += r->plain[j];
        }
    }
    lgt_row row =
        y < 0 ? lgt_row_ignored(crowd) : lgt_row_finish(problem, crowd, total, target.z, batch->coefficient[i]);
    if (!isfinite(row.lse) || !isfinite(row.loss))
        return lgt_fail(err, LGT_ERR_NONFINITE, "row %lld: its logits exceed the range of double", (long long)i);
    batch->loss[i] = row.loss, batch->lse[i] = row.lse, batch->top1[i] = top;
    if (want) add_gradients(problem, r, batch, y, &target, &row);
    if (batch->dx.data) lgt_row_store(batch->dx, i, r->dx, batch->accumulate);
    return LGT_OK;
}

static lgt_status run(const lgt_problem *problem, void *state, lgt_batch *batch, lgt_error *err) {
    reference *r = state;
    int64_t c = problem->n_classes, d = problem->dim;
    int want = batch->dx.data || batch->dw.data || batch->db.data;
    batch->n_zero_rows = 0;
    lgt_status status = check_weights(problem, r, batch, err);
    if (status) return status;
    for (int64_t j = 0; j < c; j++) r->bias[j] = 0;
    if (batch->b.data) lgt_row_load(batch->b, 0, r->bias);
    for (int64_t k = 0; want && k < c * d; k++) r->dw[k] = 0;
    for (int64_t j = 0; want && j < c; j++) r->db[j] = 0;
    for (int64_t i = 0; i < batch->n_rows; i++)
        if ((status = run_row(problem, r, batch, i, want, err))) return status;
    for (int64_t j = 0; batch->dw.data && j < c; j++) lgt_row_store(batch->dw, j, r->dw + j * d, batch->accumulate);
    if (batch->db.data) lgt_row_store(batch->db, 0, r->db, batch->accumulate);
    return LGT_OK;
}

const lgt_engine_vtable lgt_engine_reference = {"reference", supports, plan, run, release};
