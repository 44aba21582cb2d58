/* The attraction: target logits and their gradients in tangent form (Eq. 5, 9): bounded at every angle, no epsilon. */
#include "engine/target.h"

#include <math.h>

#include "engine/element.h"
#include "loss/definition.h"
#include "math/sphere.h"

/* Whether the angle enters at all: plain softmax needs neither norms nor directions. */
static int is_angular(const lgt_problem *p) {
    return p->loss.info->space == LGT_SPACE_COS || lgt_loss_definition_of(&p->loss)->bend != NULL;
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

/* DOT: u_y's gradient is w_y itself, kept whole so that it holds at x = 0; the bend adds to it. */
static void differentiate_dot(const lgt_problem *p, const lgt_angle *angle, const lgt_pair *pair, const lgt_bend *bend,
                              lgt_target *t) {
    t->x_plain = t->w_plain = 1;
    t->x_tangent = over(-bend->d_theta, pair->r);
    t->w_tangent = over(-bend->d_theta, pair->q);
    t->x_radial = bend->d_r;
    t->w_radial = bend->d_q;
    if (p->gradient != LGT_GRADIENT_UNIT) return;
    double x_unit =
        unit_factor(angle, angle->sine + over(t->x_tangent, pair->q), angle->c + over(t->x_radial, pair->q));
    double w_unit =
        unit_factor(angle, angle->sine + over(t->w_tangent, pair->r), angle->c + over(t->w_radial, pair->r));
    t->x_plain *= x_unit, t->x_tangent *= x_unit, t->x_radial *= x_unit;
    t->w_plain *= w_unit, t->w_tangent *= w_unit, t->w_radial *= w_unit;
}

/* COS: u_y = s cos(theta) has the force s sin(theta) along the tangent, and the bend adds -d_theta. */
static void differentiate_cos(const lgt_problem *p, const lgt_angle *angle, const lgt_pair *pair, const lgt_bend *bend,
                              lgt_target *t) {
    double force = p->scale * angle->sine - bend->d_theta;
    t->x_plain = t->w_plain = 0;
    t->x_tangent = over(force, pair->r);
    t->w_tangent = over(force, pair->q);
    t->x_radial = bend->d_r;
    t->w_radial = bend->d_q;
    if (p->gradient != LGT_GRADIENT_UNIT) return;
    double x_unit = unit_factor(angle, force / p->scale, bend->d_r * pair->r / p->scale);
    double w_unit = unit_factor(angle, force / p->scale, bend->d_q * pair->q / p->scale);
    t->x_tangent *= x_unit, t->x_radial *= x_unit;
    t->w_tangent *= w_unit, t->w_radial *= w_unit;
}

lgt_target lgt_target_measure(const lgt_problem *problem, const lgt_ray *x, const lgt_ray *w, double bias,
                              int64_t step) {
    lgt_target target = {.x_plain = 1, .w_plain = 1};
    lgt_angle angle = {0, 1, LGT_PI / 2};
    lgt_bend bend;
    int cosine = problem->loss.info->space == LGT_SPACE_COS;
    if (!cosine) target.plain = lgt_dot(w->value, x->value, problem->dim) + bias;
    if (is_angular(problem)) {
        if (x->norm > 0 && w->norm > 0) angle = lgt_angle_between(x->unit, w->unit, problem->dim, NULL, NULL);
        if (cosine) target.plain = problem->scale * angle.c;
        lgt_pair pair = {angle.c, angle.sine, angle.theta, x->norm, w->norm, x->norm};
        lgt_loss_bend(&problem->loss, &pair, step, &bend);
        target.z = target.plain + bend.value;
        if (problem->gradient == LGT_GRADIENT_DETACHED) bend = (lgt_bend){0};
        if (cosine)
            differentiate_cos(problem, &angle, &pair, &bend, &target);
        else
            differentiate_dot(problem, &angle, &pair, &bend, &target);
    } else {
        target.z = target.plain;
    }
    return target;
}

/* out += g (plain from + tangent t + radial at^), t the unit tangent at `at` towards `to`. */
static void add_gradient(const lgt_problem *problem, double plain, double tangent, double radial, const lgt_ray *at,
                         const lgt_ray *to, double g, double *out, double *scratch) {
    if (plain != 0)
        for (int64_t k = 0; k < problem->dim; k++) out[k] += g * plain * to->value[k];
    if (at->norm == 0 || (tangent == 0 && radial == 0)) return;
    lgt_angle_between(at->unit, to->unit, problem->dim, scratch, NULL);
    for (int64_t k = 0; k < problem->dim; k++) out[k] += g * (tangent * scratch[k] + radial * at->unit[k]);
}

void lgt_target_add_dx(const lgt_problem *problem, const lgt_target *target, const lgt_ray *x, const lgt_ray *w,
                       double g, double *out, double *scratch) {
    add_gradient(problem, target->x_plain, target->x_tangent, target->x_radial, x, w, g, out, scratch);
}

void lgt_target_add_dw(const lgt_problem *problem, const lgt_target *target, const lgt_ray *x, const lgt_ray *w,
                       double g, double *out, double *scratch) {
    add_gradient(problem, target->w_plain, target->w_tangent, target->w_radial, w, x, g, out, scratch);
}
