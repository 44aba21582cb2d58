/* The numbers of one row (Eq. 100 to 107), from what the passes over the classes added up. */
#include "analysis/forces.h"

#include <math.h>
#include <string.h>

#include "math/sphere.h"

/* The row while it is measured; vectors of D from the scratch. */
typedef struct row_state {
    const lgt_force_field *field;
    const lgt_force_sums *sums;
    lgt_ray w;                       /* of the class at hand */
    double *pull, *exact, *detached; /* dz_y/dx in the loss's mode and in these; zeros for a soft row */
    double *total, *other, *spare;
} row_state;

/* --- Forces --- */

/* dz_y/dx in the problem's gradient mode. */
static void pull_by(row_state *s, const lgt_problem *p, double *pull) {
    const lgt_ray *x = &s->sums->x;
    lgt_target target = lgt_target_measure(p, s->field->batch, s->sums->i, x, &s->w);
    lgt_target_pulls(p, &target, x, &s->w, pull, NULL);
}

/* The attraction by the row's own class. */
static void measure_pull(row_state *s) {
    const lgt_force_field *f = s->field;
    if (s->sums->y < 0) return;
    lgt_ray_load(f->problem, f->batch->w, s->sums->target.row, &s->w);
    pull_by(s, f->problem, s->pull);
    pull_by(s, &f->exact, s->exact);
    pull_by(s, &f->detached, s->detached);
    for (int64_t k = 0; k < f->problem->dim; k++) s->sums->attraction[k] = s->sums->row.target * s->pull[k];
}

static double length(const row_state *s, const double *v) {
    return lgt_unit(v, s->field->problem->dim, s->spare);
}

/* The gradient, along and across x. */
static void split_gradient(row_state *s, lgt_force_row *out) {
    int64_t n = s->field->problem->dim;
    const lgt_ray *x = &s->sums->x;
    for (int64_t k = 0; k < n; k++)
        s->total[k] = s->sums->attraction[k] + s->sums->repulsion[k] + s->sums->target.penalty_slope * x->unit[k];
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
    double g = s->sums->y >= 0 ? s->sums->row.target : 0;
    for (int64_t k = 0; k < n; k++) {
        double rest = s->sums->repulsion[k] + s->sums->target.penalty_slope * s->sums->x.unit[k];
        if (s->sums->y < 0) rest += s->sums->attraction[k];
        s->total[k] = rest + g * s->exact[k];
        s->other[k] = rest + g * s->detached[k];
    }
    double exact = lgt_unit(s->total, n, s->total), detached = lgt_unit(s->other, n, s->other);
    if (exact > 0) out->detached_ratio = detached / exact;
    if (exact > 0 && detached > 0) out->detached_angle = lgt_angle_between(s->total, s->other, n, NULL, NULL).theta;
}

/* --- Bounds (Eq. 104 to 107) --- */

static void bound_gradient(row_state *s, lgt_force_row *out) {
    const lgt_force_field *field = s->field;
    const lgt_problem *p = field->problem;
    double classes = (double)p->n_classes, reach = p->unit_x ? s->sums->x.norm : 1;
    if (p->unit_w && s->sums->x.norm == 0) return;
    const lgt_force_coefficients *c = &s->sums->coefficients;
    for (int64_t k = 0; k < p->dim; k++) s->other[k] = s->pull[k] - s->detached[k];
    double bend = length(s, s->other), lift = 2 * p->options.z_loss * fabs(s->sums->row.lse);
    double penalty = fabs(s->sums->target.penalty_slope);
    out->bound =
        (hypot(1, fmax(c->targets, 1)) + lift) * c->steepest * field->norm / reach + (1 + lift) * bend + penalty;
    /* What up and down differ by is rounding, and acts through the mean row alone. */
    double tight = isnan(field->centred)
                       ? c->length * field->norm
                       : hypot(c->up, c->down) * field->centred + fabs(c->up - c->down) * field->norm / sqrt(classes);
    out->tight_bound = fmin(tight / reach + fabs(s->sums->row.target) * bend + penalty, out->bound);
}

/* --- Angles and names --- */

/* Eq. 102 at u' = scale cos(theta); at 0 and pi, where the plain force vanishes, its limit: infinite unless the loss's
 * force vanishes too, but for the rounding of a multiple of pi. */
static double alpha_of(const lgt_bend *bend, double scale, const lgt_angle *angle) {
    if (angle->sine > 0 || fabs(bend->d_theta) > 1e-12 * scale) return 1 - bend->d_theta / (scale * angle->sine);
    return 1 - bend->d_theta_theta / (scale * angle->c);
}

static void measure_angles(row_state *s, lgt_force_row *out) {
    const lgt_problem *p = s->field->problem;
    const lgt_batch *batch = s->field->batch;
    const lgt_force_sums *sums = s->sums;
    const lgt_ray *x = &sums->x;
    lgt_ray *w = &s->w;
    lgt_angle angle;
    out->nearest = sums->nearest;
    if (sums->nearest >= 0) {
        lgt_ray_load(p, batch->w, sums->nearest_row, w);
        out->nearest_theta = lgt_angle_between(x->unit, w->unit, p->dim, NULL, NULL).theta;
    }
    if (sums->y < 0) return;
    lgt_ray_load(p, batch->w, sums->target.row, w);
    lgt_bend bend = lgt_target_bend(p, batch, sums->i, x, w, &angle);
    double of_w = p->unit_w ? 1 : w->norm, of_x = p->unit_x ? 1 : x->norm;
    double scale = lgt_class_scale(p, batch, sums->y) * of_w * of_x;
    out->p = lgt_sigmoid(sums->target.z - lgt_lse_value(sums->crowd.sum));
    out->w_norm = w->norm;
    if (x->norm == 0 || w->norm == 0) return;
    out->theta = angle.theta;
    out->alpha = bend.d_theta == 0 && bend.d_theta_theta == 0 ? 1 : alpha_of(&bend, scale, &angle);
}

static void name_pushers(const row_state *s, int64_t *pushers, double *shares) {
    const lgt_force_sums *sums = s->sums;
    for (int64_t rank = 0; rank < s->field->n_pushers; rank++) {
        if (pushers) pushers[rank] = sums->pushers[rank].class;
        if (shares) shares[rank] = sums->pushers[rank].push > 0 ? sums->pushers[rank].push / sums->push : 0;
    }
}

/* --- The row --- */

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

static void measure_row(row_state *s, lgt_force_row *out) {
    const lgt_force_sums *sums = s->sums;
    measure_pull(s);
    out->loss = sums->row.loss;
    out->attraction = length(s, sums->attraction);
    out->repulsion = length(s, sums->repulsion);
    if (out->attraction + out->repulsion > 0)
        out->attraction_share = out->attraction / (out->attraction + out->repulsion);
    out->penalty = sums->x.norm > 0 ? sums->target.penalty_slope : 0;
    measure_angles(s, out);
    split_gradient(s, out);
    compare_modes(s, out);
    bound_gradient(s, out);
}

void lgt_force_measure(const lgt_force_field *field, const lgt_force_sums *sums, double *vectors, lgt_force_row *out,
                       int64_t *pushers, double *shares) {
    row_state s = {.field = field, .sums = sums};
    double **const all[LGT_FORCE_VECTORS] = {&s.w.value,  &s.w.unit, &s.pull,  &s.exact,
                                             &s.detached, &s.total,  &s.other, &s.spare};
    for (int k = 0; k < LGT_FORCE_VECTORS; k++) *all[k] = vectors + k * field->ld;
    memset(vectors, 0, (size_t)field->ld * LGT_FORCE_VECTORS * sizeof *vectors);
    *out = nothing();
    out->x_norm = sums->x.norm;
    out->sensitivity = 1 / sums->x.norm;
    if (!sums->verdict) measure_row(&s, out);
    name_pushers(&s, pushers, shares);
}
