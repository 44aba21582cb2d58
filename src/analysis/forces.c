/* The forces on one row (Eq. 100 to 106): the reference engine's loops once more, with what they add up kept apart. */
#include "analysis/forces.h"

#include <math.h>
#include <string.h>

#include "engine/row.h"
#include "math/sphere.h"

/* The row while it is measured; vectors of D from the scratch. */
typedef struct row_state {
    const lgt_force_field *field;
    lgt_force_scratch *scratch;
    int64_t i, y; /* y: class, or LGT_TARGET_SOFT */
    lgt_target target;
    lgt_row row;
    double *attraction, *repulsion;
    double *pull, *exact, *detached; /* dz_y/dx in the loss's mode and in these; zeros for a soft row */
    double *total, *other, *spare;
} row_state;

static const double *factor(const lgt_ray *ray, int unit) {
    return unit ? ray->unit : ray->value;
}

/* --- Logits --- */

static double soft_target(lgt_view soft, int64_t i, int64_t j) {
    int64_t at = i * soft.ld + j;
    return soft.dtype == LGT_F64 ? ((const double *)soft.data)[at] : (double)((const float *)soft.data)[at];
}

static lgt_force see(const row_state *s, int64_t j) {
    const lgt_problem *p = s->field->problem;
    const lgt_batch *batch = s->field->batch;
    lgt_ray *x = &s->scratch->x, *w = &s->scratch->w;
    lgt_force f = {.row = lgt_target_load(p, batch, x, j, w), .scale = lgt_class_scale(p, batch, j), .slope = 1};
    f.cosine = x->norm > 0 && w->norm > 0 ? lgt_dot(x->unit, w->unit, p->dim) : NAN;
    f.product = lgt_dot(factor(w, p->unit_w), factor(x, p->unit_x), p->dim);
    f.z = f.scale * f.product + s->field->bias[j];
    if (s->y == LGT_TARGET_SOFT) f.soft = soft_target(batch->soft, s->i, j);
    return f;
}

/* The loss's rule for the other classes (Eq. 30). */
static void bend_crowd(const lgt_crowd_bend *bend, lgt_force *f) {
    double c = f->product;
    if (c <= bend->above) return;
    f->slope = bend->linear + 2 * bend->square * c;
    f->z += f->scale * (c * (bend->linear + bend->square * c) - c);
}

/* dz_y/dx in the problem's gradient mode. */
static lgt_target pull_of(const row_state *s, const lgt_problem *p, double *pull) {
    lgt_ray *x = &s->scratch->x, *w = &s->scratch->w;
    lgt_target target = lgt_target_measure(p, s->field->batch, s->i, x, w);
    lgt_target_add_dx(p, &target, x, w, 1, pull, s->spare);
    return target;
}

/* Logits of all classes, the loss, and dL_i/dz_j of every class. Returns log sum exp of the others. */
static double measure_logits(row_state *s) {
    const lgt_force_field *field = s->field;
    const lgt_problem *p = field->problem;
    lgt_force *all = s->scratch->classes;
    lgt_crowd crowd = lgt_crowd_empty();
    s->target = (lgt_target){.crowd = {INFINITY, 1, 0}};
    for (int64_t j = 0; j < p->n_classes; j++) all[j] = see(s, j);
    if (s->y >= 0) {
        lgt_ray_load(p, field->batch->w, all[s->y].row, &s->scratch->w);
        pull_of(s, &field->exact, s->exact);
        pull_of(s, &field->detached, s->detached);
        s->target = pull_of(s, p, s->pull);
    }
    for (int64_t j = 0; j < p->n_classes; j++) {
        if (j == s->y) continue;
        if (p->bends_crowd) bend_crowd(&s->target.crowd, &all[j]);
        lgt_crowd one = {{all[j].z, 1}, all[j].z, all[j].soft * all[j].z, 0, 0, j};
        lgt_crowd_merge(&crowd, &one);
    }
    s->row = lgt_row_finish(p, &crowd, s->y, s->target.z, 0, 1);
    s->row.loss += s->target.penalty;
    for (int64_t j = 0; j < p->n_classes; j++)
        all[j].g =
            s->row.crowd_scale * exp(fmin(all[j].z - s->row.lse, 0)) + s->row.crowd_shift + s->row.soft * all[j].soft;
    if (s->y >= 0) all[s->y].g = s->row.target;
    return lgt_lse_value(crowd.sum);
}

/* --- Forces --- */

/* out += g dz_j/dx for the class whose row of w is loaded; keeps the length. */
static void add_force(row_state *s, lgt_force *f, double *out) {
    const lgt_problem *p = s->field->problem;
    const lgt_ray *x = &s->scratch->x, *w = &s->scratch->w;
    const double *from = factor(w, p->unit_w);
    double h = f->g * f->scale * f->slope, square = 0;
    f->push = 0;
    if (p->unit_w && x->norm == 0) return; /* a feature of no length feels nothing (Eq. 14) */
    if (!p->unit_x) {
        for (int64_t k = 0; k < p->dim; k++) out[k] += h * from[k];
        f->push = fabs(h) * (p->unit_w && w->norm > 0 ? 1 : w->norm);
        return;
    }
    for (int64_t k = 0; k < p->dim; k++) {
        double across = from[k] - f->product * x->unit[k];
        out[k] += h / x->norm * across;
        square += across * across;
    }
    f->push = fabs(h) / x->norm * sqrt(square);
}

static void measure_forces(row_state *s) {
    const lgt_problem *p = s->field->problem;
    for (int64_t j = 0; j < p->n_classes; j++) {
        lgt_force *f = &s->scratch->classes[j];
        if (j == s->y) continue;
        lgt_ray_load(p, s->field->batch->w, f->row, &s->scratch->w);
        add_force(s, f, s->y == LGT_TARGET_SOFT && f->g < 0 ? s->attraction : s->repulsion);
    }
    for (int64_t k = 0; k < p->dim && s->y >= 0; k++) s->attraction[k] = s->row.target * s->pull[k];
}

static double length(const row_state *s, const double *v) {
    return lgt_unit(v, s->field->problem->dim, s->spare);
}

/* The gradient, along and across x. */
static void split_gradient(row_state *s, lgt_force_row *out) {
    int64_t n = s->field->problem->dim;
    const lgt_ray *x = &s->scratch->x;
    for (int64_t k = 0; k < n; k++)
        s->total[k] = s->attraction[k] + s->repulsion[k] + s->target.penalty_slope * x->unit[k];
    out->gradient = length(s, s->total);
    if (x->norm == 0) return;
    double radial = lgt_dot(s->total, x->unit, n);
    for (int64_t k = 0; k < n; k++) s->other[k] = s->total[k] - radial * x->unit[k];
    out->radial = fabs(radial);
    out->tangential = length(s, s->other);
    if (out->gradient > 0) out->radial_share = radial / out->gradient * (radial / out->gradient);
}

/* The gradients of the modes exact and detached before each other. */
static void compare_modes(row_state *s, lgt_force_row *out) {
    int64_t n = s->field->problem->dim;
    double g = s->y >= 0 ? s->row.target : 0;
    for (int64_t k = 0; k < n; k++) {
        double rest = s->repulsion[k] + s->target.penalty_slope * s->scratch->x.unit[k];
        if (s->y < 0) rest += s->attraction[k];
        s->total[k] = rest + g * s->exact[k];
        s->other[k] = rest + g * s->detached[k];
    }
    double exact = lgt_unit(s->total, n, s->total), detached = lgt_unit(s->other, n, s->other);
    if (exact > 0) out->detached_ratio = detached / exact;
    if (exact > 0 && detached > 0) out->detached_angle = lgt_angle_between(s->total, s->other, n, NULL, NULL).theta;
}

/* --- Bounds (Eq. 104 to 107) --- */

/* The coefficients H_j = dL_i/d product of all classes. */
typedef struct coefficients {
    double up, down, length; /* sums of those above and below 0, and the length of all */
    double steepest;         /* the largest dz_j/d product */
    double targets;          /* sum of the targets: 1 but for the rounding of soft ones */
} coefficients;

static coefficients add_coefficients(const row_state *s) {
    coefficients c = {.up = 0};
    for (int64_t j = 0; j < s->field->problem->n_classes; j++) {
        const lgt_force *f = &s->scratch->classes[j];
        double slope = f->scale * f->slope, h = f->g * slope;
        *(h > 0 ? &c.up : &c.down) += fabs(h);
        c.length = hypot(c.length, h);
        c.steepest = fmax(c.steepest, fabs(slope));
        c.targets += f->soft;
    }
    c.targets = fmax(c.targets, 1);
    return c;
}

static void bound_gradient(row_state *s, lgt_force_row *out) {
    const lgt_force_field *field = s->field;
    const lgt_problem *p = field->problem;
    double classes = (double)p->n_classes, reach = p->unit_x ? s->scratch->x.norm : 1;
    if (p->unit_w && s->scratch->x.norm == 0) return;
    coefficients c = add_coefficients(s);
    for (int64_t k = 0; k < p->dim; k++) s->other[k] = s->pull[k] - s->detached[k];
    double bend = length(s, s->other), lift = 2 * p->options.z_loss * fabs(s->row.lse);
    double penalty = fabs(s->target.penalty_slope);
    out->bound = (hypot(1, c.targets) + lift) * c.steepest * field->norm / reach + (1 + lift) * bend + penalty;
    /* What up and down differ by is rounding, and acts through the mean row alone. */
    double tight = isnan(field->centred)
                       ? c.length * field->norm
                       : hypot(c.up, c.down) * field->centred + fabs(c.up - c.down) * field->norm / sqrt(classes);
    out->tight_bound = fmin(tight / reach + fabs(s->row.target) * bend + penalty, out->bound);
}

/* --- Angles and names --- */

static void measure_angles(row_state *s, double crowd, lgt_force_row *out) {
    const lgt_problem *p = s->field->problem;
    lgt_ray *x = &s->scratch->x, *w = &s->scratch->w;
    const lgt_force *all = s->scratch->classes;
    lgt_angle angle;
    for (int64_t j = 0; j < p->n_classes; j++)
        if (j != s->y && (out->nearest < 0 ? !isnan(all[j].cosine) : all[j].cosine > all[out->nearest].cosine))
            out->nearest = j;
    if (out->nearest >= 0) {
        lgt_ray_load(p, s->field->batch->w, all[out->nearest].row, w);
        out->nearest_theta = lgt_angle_between(x->unit, w->unit, p->dim, NULL, NULL).theta;
    }
    if (s->y < 0) return;
    lgt_ray_load(p, s->field->batch->w, all[s->y].row, w);
    lgt_bend bend = lgt_target_bend(p, s->field->batch, s->i, x, w, &angle);
    double slope = all[s->y].scale * (p->unit_w ? 1 : w->norm) * (p->unit_x ? 1 : x->norm) * angle.sine;
    out->p = lgt_sigmoid(s->target.z - crowd);
    out->w_norm = w->norm;
    if (x->norm == 0 || w->norm == 0) return;
    out->theta = angle.theta;
    out->alpha = bend.d_theta == 0 ? 1 : 1 - bend.d_theta / slope;
}

static int pushes(const row_state *s, int64_t j) {
    const lgt_force *f = &s->scratch->classes[j];
    return j != s->y && f->g * f->slope > 0 && f->push > 0;
}

/* The classes that push hardest, the lower class first among equals. */
static void name_pushers(const row_state *s, int64_t *pushers, double *shares) {
    const lgt_force *all = s->scratch->classes;
    int64_t last = -1, n = s->field->problem->n_classes;
    double total = 0, least = INFINITY;
    for (int64_t j = 0; j < n; j++)
        if (pushes(s, j)) total += all[j].push;
    for (int64_t rank = 0; rank < s->field->n_pushers; rank++) {
        int64_t best = -1;
        for (int64_t j = 0; j < n; j++) {
            double push = all[j].push;
            int behind = push < least || (push == least && j > last);
            if (behind && pushes(s, j) && (best < 0 || push > all[best].push)) best = j;
        }
        if (pushers) pushers[rank] = best;
        if (shares) shares[rank] = best < 0 ? 0 : all[best].push / total;
        if (best < 0)
            least = -1;
        else
            last = best, least = all[best].push;
    }
}

/* --- The row --- */

static void spread(double *vectors, int64_t n, row_state *s) {
    double **const all[LGT_FORCE_VECTORS] = {&s->attraction, &s->repulsion, &s->pull,  &s->exact,
                                             &s->detached,   &s->total,     &s->other, &s->spare};
    memset(vectors, 0, (size_t)n * LGT_FORCE_VECTORS * sizeof *vectors);
    for (int k = 0; k < LGT_FORCE_VECTORS; k++) *all[k] = vectors + k * n;
}

static lgt_force_row nothing(void) {
    return (lgt_force_row){.p = NAN,
                           .theta = NAN,
                           .alpha = NAN,
                           .w_norm = NAN,
                           .attraction_share = NAN,
                           .tangential = NAN,
                           .radial = NAN,
                           .radial_share = NAN,
                           .bound = NAN,
                           .tight_bound = NAN,
                           .detached_angle = NAN,
                           .detached_ratio = NAN,
                           .nearest_theta = NAN,
                           .nearest = -1};
}

static lgt_force_verdict measure_row(row_state *s, lgt_force_row *out, int64_t *pushers, double *shares) {
    double crowd = measure_logits(s);
    if (!isfinite(s->row.lse) || !isfinite(s->row.loss)) return LGT_FORCE_OVERFLOW;
    measure_forces(s);
    out->loss = s->row.loss;
    out->attraction = length(s, s->attraction);
    out->repulsion = length(s, s->repulsion);
    if (out->attraction + out->repulsion > 0)
        out->attraction_share = out->attraction / (out->attraction + out->repulsion);
    out->penalty = s->scratch->x.norm > 0 ? s->target.penalty_slope : 0;
    measure_angles(s, crowd, out);
    split_gradient(s, out);
    compare_modes(s, out);
    bound_gradient(s, out);
    name_pushers(s, pushers, shares);
    return LGT_FORCE_OK;
}

lgt_force_verdict lgt_force_measure(const lgt_force_field *field, int64_t i, lgt_force_scratch *scratch,
                                    lgt_force_row *out, int64_t *pushers, double *shares, double *attraction,
                                    double *repulsion) {
    int64_t n = field->problem->dim;
    row_state s = {.field = field, .scratch = scratch, .i = i, .y = field->batch->target[i]};
    lgt_force_verdict verdict = LGT_FORCE_OK;
    *out = nothing();
    spread(scratch->vectors, n, &s);
    if (!lgt_ray_load(field->problem, field->batch->x, i, &scratch->x)) return LGT_FORCE_BAD_X;
    out->x_norm = scratch->x.norm;
    out->sensitivity = 1 / scratch->x.norm;
    if (s.y != LGT_TARGET_IGNORED)
        verdict = measure_row(&s, out, pushers, shares);
    else
        for (int64_t rank = 0; rank < field->n_pushers; rank++) {
            if (pushers) pushers[rank] = -1;
            if (shares) shares[rank] = 0;
        }
    if (attraction) memcpy(attraction, s.attraction, (size_t)n * sizeof *attraction);
    if (repulsion) memcpy(repulsion, s.repulsion, (size_t)n * sizeof *repulsion);
    return verdict;
}
