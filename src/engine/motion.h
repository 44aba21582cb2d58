/* Second order: how vectors, their angle and the bend move along a direction, in double (Eq. 36 to 38). */
#ifndef LGT_ENGINE_MOTION_H
#define LGT_ENGINE_MOTION_H

#include "engine/target.h"

/* How a ray moves along v: its value by v, its direction by `unit` = P v / norm, its norm by <v^, v>. Without a
 * direction unit and norm do not move. */
typedef struct lgt_motion {
    double *value, *unit;
    double norm;
} lgt_motion;

/* Loads row i of the direction `along` (data NULL: zeros) for the ray. Returns 0 when it is not finite. */
int lgt_motion_load(const lgt_problem *problem, lgt_view along, int64_t i, const lgt_ray *ray, lgt_motion *motion);

/* Two moving vectors: a row of x and the row of w that stands for its class. */
typedef struct lgt_moving_pair {
    const lgt_ray *x, *w;
    const lgt_motion *x_motion, *w_motion;
} lgt_moving_pair;

/* The bend and its motion: d of the value, and of its slopes by theta, r and q. */
typedef struct lgt_bend_motion {
    lgt_angle angle;
    lgt_bend bend;
    double value, d_theta, d_r, d_q;
} lgt_bend_motion;

/* The bend of row i. scratch (2 dim). */
lgt_bend_motion lgt_bend_motion_measure(const lgt_problem *problem, const lgt_batch *batch, int64_t i,
                                        const lgt_moving_pair *pair, double *scratch);

/* The bend's share of the Hessian-vector product (Eq. 38), g and g_speed being dJ/dz_y and its motion:
 * out (dim) += g d(grad B) + g_speed grad B, the gradient by x (and with the penalty, weighted by dJ/dL_i) or by w_y.
 * scratch (dim). */
void lgt_bend_motion_add_x(const lgt_problem *problem, const lgt_bend_motion *bend, const lgt_moving_pair *pair,
                           double g, double g_speed, double coefficient, double *out, double *scratch);
void lgt_bend_motion_add_w(const lgt_problem *problem, const lgt_bend_motion *bend, const lgt_moving_pair *pair,
                           double g, double g_speed, double *out, double *scratch);

/* The share of products (Eq. 36) at a vector whose direction counts: sum = sum_j (h._j - h_j norm./norm) p_j + h_j p._j
 * over the other vectors p_j, along = sum h_j <p_j, v^>, turn = sum h_j <p_j, v^.>, becomes in place
 *   (sum - <sum, v^> v^ - turn v^ - along v^.) / norm,
 * and 0 without a direction. */
void lgt_motion_project(const lgt_ray *ray, const lgt_motion *motion, double along, double turn, int64_t n,
                        double *sum);

#endif
