/* The attraction: the target logit of one row, its gradients and their motion, in double, in tangent form (Eq. 5, 9).
 */
#ifndef LGT_ENGINE_TARGET_H
#define LGT_ENGINE_TARGET_H

#include "engine/engine.h"
#include "math/sphere.h"

/* One vector of a pair, in double: its values, its direction and its norm; direction and norm are 0 where there is none
 * (Eq. 14). */
typedef struct lgt_ray {
    double *value, *unit;
    double norm;
} lgt_ray;

/* What a loss sees of a row x and the row w of its class: their angle (pi / 2 where one has no direction), their norms
 * and, where w is no direction, <w, x>. */
typedef struct lgt_meeting {
    lgt_angle angle;
    double x_norm, w_norm, product;
} lgt_meeting;

/* z_y and its derivatives in bounded pieces, with p(v) = v^ where products are taken of directions and v elsewhere:
 *   dz_y/dx = x_plain p(w_y) + x_tangent t_x + x_radial x^,    dz_y/dw_y = w_plain p(x) + w_tangent t_w + w_radial
 * w^_y; and what the loss adds to L for the norm of x. */
typedef struct lgt_target {
    int64_t row;     /* of w: the class, or the nearest of its centres */
    double z, plain; /* bent and plain target logit */
    double x_plain, x_tangent, x_radial;
    double w_plain, w_tangent, w_radial;
    double penalty, penalty_slope;
    lgt_crowd_bend crowd; /* what the row does to the other classes' logits */
} lgt_target;

/* Whether the angle may enter; and whether it does not in this run, so that the target logit is a product like the
 * others and needs neither norms nor directions. */
int lgt_target_is_angular(const lgt_problem *problem);
int lgt_target_is_plain(const lgt_problem *problem, const lgt_batch *batch);

/* Loads row i of a view into ray->value and measures it. Returns 0 when it holds a NaN or an infinity. */
int lgt_ray_load(const lgt_problem *problem, lgt_view view, int64_t i, lgt_ray *ray);

/* Loads the row of w that stands for class y before x: y's own, or that of its nearest centre. Returns its index, or -1
 * when one of them is not finite. */
int64_t lgt_target_load(const lgt_problem *problem, const lgt_batch *batch, const lgt_ray *x, int64_t y, lgt_ray *w);

/* Where row `row` of w, of the class of row i of the batch, lies: in w, or among the copies from other ranks. */
typedef struct lgt_target_place {
    lgt_view w, b;
    const lgt_direction *along; /* or NULL */
    int64_t row;                /* of w; of b, where a class has one row */
} lgt_target_place;
lgt_target_place lgt_target_place_of(const lgt_problem *problem, const lgt_batch *batch, int64_t i, int64_t row);

/* lgt_target_load of the class of row i. */
int64_t lgt_target_load_of(const lgt_problem *problem, const lgt_batch *batch, int64_t i, const lgt_ray *x, lgt_ray *w);

/* The scale of the products with class j (Eq. 34). */
double lgt_class_scale(const lgt_problem *problem, const lgt_batch *batch, int64_t j);

/* The bend of row i, whose class has the row `w` of weights, and the angle between them (Eq. 5, 33). Where x or w has
 * no direction and the space needs one, only the value and its slopes by |x| are kept. */
lgt_bend lgt_target_bend(const lgt_problem *problem, const lgt_batch *batch, int64_t i, const lgt_ray *x,
                         const lgt_ray *w, lgt_angle *angle);

/* The target of row i: everything but `row`. */
lgt_target lgt_target_measure(const lgt_problem *problem, const lgt_batch *batch, int64_t i, const lgt_ray *x,
                              const lgt_ray *w);

/* The same of what is already known. */
lgt_target lgt_target_at(const lgt_problem *problem, const lgt_batch *batch, int64_t i, const lgt_meeting *meeting);

/* dz_y/dx and dz_y/dw_y as multiples of x and w themselves, of a pair with directions: each vector's tangent is then a
 * difference, with an error of eps / sin(theta). */
typedef struct lgt_mix {
    double x, w;
} lgt_mix;
void lgt_target_mix(const lgt_problem *problem, const lgt_target *target, const lgt_meeting *meeting, lgt_mix *to_x,
                    lgt_mix *to_w);

/* dz_y/dx and dz_y/dw_y, both (dim); one of them may be NULL. */
void lgt_target_pulls(const lgt_problem *problem, const lgt_target *target, const lgt_ray *x, const lgt_ray *w,
                      double *to_x, double *to_w);

#endif
