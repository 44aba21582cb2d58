/* The attraction: the target logit of one row and its gradients, in double, in tangent form (Eq. 5, 9). */
#ifndef LGT_ENGINE_TARGET_H
#define LGT_ENGINE_TARGET_H

#include "engine/engine.h"

/* z_y and its derivatives in bounded pieces:
 *   dz_y/dx = x_plain w_y + x_tangent t_x + x_radial x^,    dz_y/dw_y = w_plain x + w_tangent t_w + w_radial w^_y. */
typedef struct lgt_target {
    double z, plain; /* bent and plain target logit */
    double x_plain, x_tangent, x_radial;
    double w_plain, w_tangent, w_radial;
} lgt_target;

/* One vector of a pair, in double: its values, its direction and its norm; direction and norm are 0 where there is none
 * (Eq. 14). */
typedef struct lgt_ray {
    double *value, *unit;
    double norm;
} lgt_ray;

/* Loads row i of a view into ray->value and measures it. Returns 0 when it holds a NaN or an infinity. */
int lgt_ray_load(const lgt_problem *problem, lgt_view view, int64_t i, lgt_ray *ray);

/* The target logit of row x and class w_y with bias b. */
lgt_target lgt_target_measure(const lgt_problem *problem, const lgt_ray *x, const lgt_ray *w, double bias,
                              int64_t step);

/* out += g dz_y/dx, out += g dz_y/dw_y, both (dim). scratch (dim). */
void lgt_target_add_dx(const lgt_problem *problem, const lgt_target *target, const lgt_ray *x, const lgt_ray *w,
                       double g, double *out, double *scratch);
void lgt_target_add_dw(const lgt_problem *problem, const lgt_target *target, const lgt_ray *x, const lgt_ray *w,
                       double g, double *out, double *scratch);

#endif
