/* One row's loss and the weights of its forces, from the crowd's sums and the target logit (Eq. 6, 10, 11). */
#ifndef LGT_ENGINE_ROW_H
#define LGT_ENGINE_ROW_H

#include "engine/engine.h"
#include "math/lse.h"

/* What a row's classes, its own left out, add up to; a soft row leaves none out. */
typedef struct lgt_crowd {
    lgt_lse sum;  /* over exp(z_j) */
    double total; /* sum z_j; read only with label smoothing */
    double soft;  /* sum t_j z_j of a soft row */
    double speed; /* the mean of dz_j along the direction, weighted by exp(z_j); read only in second order */
    double best;  /* the largest plain logit, -inf if there is none */
    int64_t top;  /* its class, the first of equals */
} lgt_crowd;

lgt_crowd lgt_crowd_empty(void);

/* One more part, of classes behind those so far. */
void lgt_crowd_merge(lgt_crowd *all, const lgt_crowd *part);

/* dJ/dz_ij = crowd_scale p_ij + crowd_shift + soft t_ij for j != y, p_ij = exp(z_ij - lse), and target for j = y; along
 * a direction that is (speed_scale dz_ij + speed_shift) p_ij, and target_speed for j = y (Eq. 35). */
typedef struct lgt_row {
    double loss, lse;
    double crowd_scale, crowd_shift, soft, target;
    double speed_shift, target_speed; /* speed_scale is crowd_scale */
} lgt_row;

/* The row whose target is `target` (LGT_TARGET_...: none), z its target logit, z_speed the derivative of that along the
 * direction; g = dJ/dL_i. */
lgt_row lgt_row_finish(const lgt_problem *problem, const lgt_crowd *crowd, int64_t target, double z, double z_speed,
                       double g);

#endif
