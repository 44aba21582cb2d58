/* The attraction: target logits and their gradients in tangent form (Eq. 5, 9): bounded at every angle, no epsilon. */
#include "engine/target.h"

#include <math.h>

#include "base/compiler.h"
#include "engine/element.h"
#include "loss/definition.h"
#include "math/sphere.h"

int lgt_target_is_angular(const lgt_problem *problem) {
    return problem->unit_w || lgt_loss_definition_of(&problem->loss)->bend != NULL;
}

int lgt_target_is_plain(const lgt_problem *problem, const lgt_batch *batch) {
    const lgt_loss_definition *definition = lgt_loss_definition_of(&problem->loss);
    if (!lgt_target_is_angular(problem)) return 1;
    if (problem->unit_w || problem->gradient != LGT_GRADIENT_EXACT || batch->margins) return 0;
    return definition->vanishes && definition->vanishes(problem->loss.values);
}

int lgt_ray_load(const lgt_problem *problem, lgt_view view, int64_t i, lgt_ray *ray) {
    lgt_row_load(view, i, ray->value);
    ray->norm = lgt_unit(ray->value, problem->dim, ray->unit);
    if (!isfinite(ray->norm)) return 0;
    if (ray->norm < problem->least_norm) {
        ray->norm = 0;
        for (int64_t k = 0; k < problem->dim; k++) ray->unit[k] = 0;
    }
    return 1;
}

/* The nearest of the centres from row `first` of a view on, loaded, or -1. */
static int64_t load_nearest(const lgt_problem *problem, lgt_view view, int64_t first, const lgt_ray *x, lgt_ray *w) {
    int64_t best = 0, k = 0;
    double most = -INFINITY;
    for (; problem->centres > 1 && k < problem->centres; k++) {
        if (!lgt_ray_load(problem, view, first + k, w)) return -1;
        double c = lgt_dot(x->unit, w->unit, problem->dim);
        if (c > most) most = c, best = k;
    }
    return lgt_ray_load(problem, view, first + best, w) ? best : -1;
}

int64_t lgt_target_load(const lgt_problem *problem, const lgt_batch *batch, const lgt_ray *x, int64_t y, lgt_ray *w) {
    int64_t first = y * problem->centres, best = load_nearest(problem, batch->w, first, x, w);
    return best < 0 ? -1 : first + best;
}

lgt_target_place lgt_target_place_of(const lgt_problem *problem, const lgt_batch *batch, int64_t i, int64_t row) {
    if (!batch->target_w.data) return (lgt_target_place){batch->w, batch->b, batch->along, row};
    return (lgt_target_place){batch->target_w, batch->target_b, &batch->target_along,
                              batch->target_slot[i] * problem->centres + row % problem->centres};
}

int64_t lgt_target_load_of(const lgt_problem *problem, const lgt_batch *batch, int64_t i, const lgt_ray *x,
                           lgt_ray *w) {
    int64_t first = batch->target[i] * problem->centres;
    lgt_target_place at = lgt_target_place_of(problem, batch, i, first);
    int64_t best = load_nearest(problem, at.w, at.row, x, w);
    return best < 0 ? -1 : first + best;
}

double lgt_class_scale(const lgt_problem *problem, const lgt_batch *batch, int64_t j) {
    return batch->scales ? batch->scales[j] : problem->scale;
}

/* The loss as it is for rows of class y. */
static lgt_loss loss_of_class(const lgt_batch *batch, int64_t y) {
    lgt_loss loss = batch->loss;
    if (batch->margins) loss.values[lgt_loss_param_of(loss.info, LGT_ROLE_MARGIN)] = batch->margins[y];
    if (batch->scales) loss.values[lgt_loss_param_of(loss.info, LGT_ROLE_SCALE)] = batch->scales[y];
    return loss;
}

static lgt_pair pair_of(const lgt_batch *batch, int64_t i, const lgt_meeting *m) {
    double quality = batch->qualities ? batch->qualities[i] : m->x_norm;
    return (lgt_pair){m->angle.c, m->angle.sine, m->angle.theta, m->x_norm, m->w_norm, quality};
}

static lgt_bend bend_at(const lgt_problem *problem, const lgt_batch *batch, int64_t i, const lgt_meeting *m) {
    lgt_bend bend;
    lgt_pair pair = pair_of(batch, i, m);
    lgt_loss loss = loss_of_class(batch, batch->target[i]);
    lgt_loss_bend(&loss, &pair, batch->step, &bend);
    if (problem->unit_w && (m->x_norm == 0 || m->w_norm == 0)) /* the angle stays; the norm of x may still move */
        return (lgt_bend){.value = bend.value,
                          .d_r = bend.d_r,
                          .d_r_r = bend.d_r_r,
                          .penalty = bend.penalty,
                          .penalty_r = bend.penalty_r,
                          .penalty_r_r = bend.penalty_r_r};
    return bend;
}

static lgt_meeting meet(const lgt_problem *problem, const lgt_ray *x, const lgt_ray *w) {
    lgt_meeting m = {.angle = {0, 1, LGT_PI / 2}, .x_norm = x->norm, .w_norm = w->norm};
    if (x->norm > 0 && w->norm > 0) m.angle = lgt_angle_between(x->unit, w->unit, problem->dim, NULL, NULL);
    return m;
}

lgt_bend lgt_target_bend(const lgt_problem *problem, const lgt_batch *batch, int64_t i, const lgt_ray *x,
                         const lgt_ray *w, lgt_angle *angle) {
    lgt_meeting m = meet(problem, x, w);
    *angle = m.angle;
    return bend_at(problem, batch, i, &m);
}

/* 0 / 0 := 0: a vector without a direction feels no force. */
static double over(double force, double norm) {
    return norm > 0 ? force / norm : 0;
}

/* The gradient mode `unit`: the coefficients (a, b) of a w^ + b x^, the gradient over the crowd's own size, are scaled
 * to a^2 + b^2 = 1 (Eq. 19). tangential and radial are those of the gradient over that size. */
static double unit_factor(const lgt_angle *angle, double tangential, double radial) {
    if (angle->sine == 0) return 1;
    double a = tangential / angle->sine, b = radial - angle->c * a, norm = hypot(a, b);
    return norm > 0 ? 1 / norm : 0;
}

/* One side of the pair: the gradient at a vector of norm n, whose logit's product is taken of its direction or not. */
typedef struct side {
    double plain, tangent, radial;
} side;

/* `unit` (s / n) sin(theta) along the tangent, and the bend adds -d_theta / n; else the other vector itself is kept
 * whole, so that it holds at a vector of 0, and the bend adds to it. size: what the plain gradient's length is a
 * multiple of, s / n, |w| or 1. */
static side differentiate(const lgt_problem *p, const lgt_angle *angle, int unit, double s, double n, double size,
                          double d_theta, double d_norm) {
    side at = {.radial = d_norm};
    if (unit) {
        at.tangent = over(s * angle->sine - d_theta, n);
    } else {
        at.plain = 1;
        at.tangent = over(-d_theta, n);
    }
    if (p->gradient != LGT_GRADIENT_UNIT) return at;
    double tangential = at.plain * angle->sine + over(at.tangent, size);
    double factor = unit_factor(angle, tangential, at.plain * angle->c + over(at.radial, size));
    return (side){factor * at.plain, factor * at.tangent, factor * at.radial};
}

/* p(w) and p(x) of lgt_target. */
static const double *product_side(const lgt_ray *ray, int unit) {
    return unit ? ray->unit : ray->value;
}

static void measure_angular(const lgt_problem *p, const lgt_batch *batch, int64_t i, const lgt_meeting *m,
                            lgt_target *t) {
    const lgt_angle *angle = &m->angle;
    lgt_bend bend = bend_at(p, batch, i, m);
    double s = lgt_class_scale(p, batch, batch->target[i]);
    /* How long the other vector is in the product: 1 where its direction counts. */
    double of_w = p->unit_w ? 1 : m->w_norm, of_x = p->unit_x ? 1 : m->x_norm;
    if (p->unit_w) t->plain = s * of_x * angle->c;
    t->z = t->plain + bend.value;
    t->penalty = bend.penalty;
    t->penalty_slope = bend.penalty_r;
    if (p->bends_crowd) {
        lgt_pair pair = pair_of(batch, i, m);
        lgt_loss loss = loss_of_class(batch, batch->target[i]);
        lgt_loss_crowd(&loss, &pair, batch->step, &t->crowd);
    }
    if (p->gradient == LGT_GRADIENT_DETACHED) bend = (lgt_bend){0};
    side to_x = differentiate(p, angle, p->unit_x, s * of_w, m->x_norm, p->unit_x ? over(s, m->x_norm) : of_w,
                              bend.d_theta, bend.d_r);
    side to_w = differentiate(p, angle, p->unit_w, s * of_x, m->w_norm, p->unit_w ? over(s * of_x, m->w_norm) : of_x,
                              bend.d_theta, bend.d_q);
    if (p->unit_w && m->x_norm == 0) to_x.plain = 0;
    t->x_plain = to_x.plain, t->x_tangent = to_x.tangent, t->x_radial = to_x.radial;
    t->w_plain = to_w.plain, t->w_tangent = to_w.tangent, t->w_radial = to_w.radial;
}

lgt_target lgt_target_at(const lgt_problem *problem, const lgt_batch *batch, int64_t i, const lgt_meeting *m) {
    lgt_target target = {.x_plain = 1, .w_plain = 1, .crowd = {INFINITY, 1, 0}};
    if (!problem->unit_w) {
        lgt_target_place at = lgt_target_place_of(problem, batch, i, batch->target[i]); /* a class has one row here */
        target.plain = m->product + (at.b.data ? lgt_element(at.b, 0, at.row) : 0);
    }
    target.z = target.plain;
    if (lgt_target_is_angular(problem)) measure_angular(problem, batch, i, m, &target);
    return target;
}

lgt_target lgt_target_measure(const lgt_problem *problem, const lgt_batch *batch, int64_t i, const lgt_ray *x,
                              const lgt_ray *w) {
    lgt_meeting m = meet(problem, x, w);
    if (!problem->unit_w) m.product = lgt_dot(w->value, x->value, problem->dim);
    return lgt_target_at(problem, batch, i, &m);
}

/* t_v = (u^ - c v^) / sin(theta) taken apart, of a vector v and the other, u. */
static void mix(side s, const lgt_angle *angle, double own_norm, double other_norm, int unit, double *own,
                double *other) {
    double across = s.tangent / angle->sine;
    *own = (s.radial - across * angle->c) / own_norm;
    *other = (unit ? s.plain / other_norm : s.plain) + across / other_norm;
}

void lgt_target_mix(const lgt_problem *p, const lgt_target *t, const lgt_meeting *m, lgt_mix *to_x, lgt_mix *to_w) {
    mix((side){t->x_plain, t->x_tangent, t->x_radial}, &m->angle, m->x_norm, m->w_norm, p->unit_w, &to_x->x, &to_x->w);
    mix((side){t->w_plain, t->w_tangent, t->w_radial}, &m->angle, m->w_norm, m->x_norm, p->unit_x, &to_w->w, &to_w->x);
}

/* pull = plain from + tangent pull + radial at^. Where `at` has no direction its pull holds none to be taken. */
LGT_WIDENED static void compose(side s, const double *from, const lgt_ray *at, int64_t n, double *pull) {
    if (at->norm == 0) s.tangent = s.radial = 0;
    for (int64_t k = 0; k < n; k++) pull[k] = s.plain * from[k] + s.tangent * pull[k] + s.radial * at->unit[k];
}

void lgt_target_pulls(const lgt_problem *p, const lgt_target *t, const lgt_ray *x, const lgt_ray *w, double *to_x,
                      double *to_w) {
    lgt_angle_between(x->unit, w->unit, p->dim, to_x, to_w);
    if (to_x) compose((side){t->x_plain, t->x_tangent, t->x_radial}, product_side(w, p->unit_w), x, p->dim, to_x);
    if (to_w) compose((side){t->w_plain, t->w_tangent, t->w_radial}, product_side(x, p->unit_x), w, p->dim, to_w);
}
