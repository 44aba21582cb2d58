/* One row's loss and the weights of its forces, from the crowd's sum and the target logit (Eq. 6, 10, 11). */
#ifndef LGT_ENGINE_ROW_H
#define LGT_ENGINE_ROW_H

#include "engine/engine.h"
#include "math/lse.h"

/* dJ/dz_ij = crowd_scale * exp(z_ij - lse) + crowd_shift for j != y, and target for j = y. */
typedef struct lgt_row {
    double loss, lse;
    double crowd_scale, crowd_shift, target;
} lgt_row;

/* crowd: exp-sum over all classes but the target; crowd_total: their plain sum (read only with label smoothing); z: the
 * target logit; g = dJ/dL_i. */
lgt_row lgt_row_finish(const lgt_problem *problem, lgt_lse crowd, double crowd_total, double z, double g);

/* A row without a target: the lse over all classes, no loss and no forces. */
lgt_row lgt_row_ignored(lgt_lse crowd);

#endif
