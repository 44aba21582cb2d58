/* Second order: how vectors, their angle and the bend move along a direction (Eq. 36 to 38). */
#include "engine/motion.h"

#include <math.h>

#include "engine/element.h"
#include "math/sphere.h"

int lgt_motion_load(const lgt_problem *problem, lgt_view along, int64_t i, const lgt_ray *ray, lgt_motion *motion) {
    int64_t n = problem->dim;
    int finite = 1;
    for (int64_t k = 0; k < n; k++) motion->value[k] = motion->unit[k] = 0;
    motion->norm = 0;
    if (!along.data) return 1;
    lgt_row_load(along, i, motion->value);
    for (int64_t k = 0; k < n; k++) finite &= isfinite(motion->value[k]) != 0;
    if (ray->norm == 0) return finite;
    motion->norm = lgt_dot(ray->unit, motion->value, n);
    for (int64_t k = 0; k < n; k++) motion->unit[k] = (motion->value[k] - motion->norm * ray->unit[k]) / ray->norm;
    return finite;
}

lgt_bend_motion lgt_bend_motion_measure(const lgt_problem *problem, const lgt_batch *batch, int64_t i,
                                        const lgt_moving_pair *pair, double *scratch) {
    lgt_bend_motion m = {0};
    int64_t n = problem->dim;
    double *t_x = scratch, *t_w = scratch + n, theta = 0, r = pair->x_motion->norm, q = pair->w_motion->norm;
    m.bend = lgt_target_bend(problem, batch, i, pair->x, pair->w, &m.angle);
    if (pair->x->norm > 0 && pair->w->norm > 0) {
        lgt_angle_between(pair->x->unit, pair->w->unit, n, t_x, t_w);
        theta = -lgt_dot(t_x, pair->x_motion->unit, n) - lgt_dot(t_w, pair->w_motion->unit, n);
    }
    const lgt_bend *b = &m.bend;
    m.value = b->d_theta * theta + b->d_r * r + b->d_q * q;
    m.d_theta = b->d_theta_theta * theta + b->d_theta_r * r + b->d_theta_q * q;
    m.d_r = b->d_theta_r * theta + b->d_r_r * r + b->d_r_q * q;
    m.d_q = b->d_theta_q * theta + b->d_r_q * r;
    return m;
}

/* The bend's slopes by theta and by this vector's norm, and their motions. */
typedef struct slopes {
    double theta, theta_motion, norm, norm_motion;
} slopes;

/* grad B = -(B_theta / n) t + B_n e at the vector e n, t the unit tangent towards o. With dots for motions,
 *   t. = -<t, e.> e + (o.' - cos(theta) e.') / sin(theta),   ' = the part orthogonal to the plane of e and o (Eq. 37).
 * At sin(theta) = 0 there is no tangent, and nothing along it. */
static void add_side(const lgt_problem *problem, const lgt_angle *angle, const lgt_ray *at, const lgt_motion *moves,
                     const lgt_ray *to, const lgt_motion *to_moves, slopes b, double g, double g_speed, double *out,
                     double *t) {
    int64_t n = problem->dim;
    if (at->norm == 0) return;
    const double *e = at->unit, *e_dot = moves->unit, *o_dot = to_moves->unit;
    double pull = b.theta / at->norm;
    for (int64_t k = 0; k < n; k++) t[k] = 0;
    if (angle->sine > 0) lgt_angle_between(e, to->unit, n, t, NULL);
    double e_t = lgt_dot(e_dot, t, n), o_t = lgt_dot(o_dot, t, n), o_e = lgt_dot(o_dot, e, n);
    double by_t = g * (pull * moves->norm - b.theta_motion) / at->norm - g_speed * pull;
    double by_e = g * (b.norm_motion + pull * e_t) + g_speed * b.norm;
    double by_turn = angle->sine > 0 ? -g * pull / angle->sine : 0;
    for (int64_t k = 0; k < n; k++) {
        double o_out = o_dot[k] - o_e * e[k] - o_t * t[k], e_out = e_dot[k] - e_t * t[k];
        out[k] += by_t * t[k] + by_e * e[k] + g * b.norm * e_dot[k] + by_turn * (o_out - angle->c * e_out);
    }
}

void lgt_bend_motion_add_x(const lgt_problem *problem, const lgt_bend_motion *m, const lgt_moving_pair *pair, double g,
                           double g_speed, double coefficient, double *out, double *scratch) {
    const lgt_bend *b = &m->bend;
    slopes s = {b->d_theta, m->d_theta, b->d_r, m->d_r};
    add_side(problem, &m->angle, pair->x, pair->x_motion, pair->w, pair->w_motion, s, g, g_speed, out, scratch);
    if (b->penalty_r == 0 && b->penalty_r_r == 0) return;
    double by_unit = coefficient * b->penalty_r_r * pair->x_motion->norm, by_motion = coefficient * b->penalty_r;
    for (int64_t k = 0; k < problem->dim; k++)
        out[k] += by_unit * pair->x->unit[k] + by_motion * pair->x_motion->unit[k];
}

void lgt_bend_motion_add_w(const lgt_problem *problem, const lgt_bend_motion *m, const lgt_moving_pair *pair, double g,
                           double g_speed, double *out, double *scratch) {
    slopes s = {m->bend.d_theta, m->d_theta, m->bend.d_q, m->d_q};
    add_side(problem, &m->angle, pair->w, pair->w_motion, pair->x, pair->x_motion, s, g, g_speed, out, scratch);
}

void lgt_motion_project(const lgt_ray *ray, const lgt_motion *motion, double along, double turn, int64_t n,
                        double *sum) {
    double radial = lgt_dot(sum, ray->unit, n) + turn, scale = ray->norm > 0 ? 1 / ray->norm : 0;
    for (int64_t k = 0; k < n; k++) sum[k] = (sum[k] - radial * ray->unit[k] - along * motion->unit[k]) * scale;
}
