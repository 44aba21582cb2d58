/* The forces on one row (Eq. 100): what its class, the others and the loss's penalty add to dL_i/dx, in double. */
#ifndef LGT_ANALYSIS_FORCES_H
#define LGT_ANALYSIS_FORCES_H

#include "analysis/force_block.h"

enum { LGT_FORCE_VECTORS = 8 };

/* The numbers of lgt_explanation for one row. */
typedef struct lgt_force_row {
    double loss, p, theta, alpha, x_norm, w_norm;
    double attraction, repulsion, attraction_share, penalty;
    double gradient, tangential, radial, radial_share, sensitivity;
    double bound, tight_bound, detached_angle, detached_ratio, nearest_theta;
    int64_t nearest;
} lgt_force_row;

/* Explains the row, whose verdict is OK or IGNORED, and adds the attraction to sums->attraction where the row has a
 * class. pushers and shares (n_pushers) are written too; each may be NULL. vectors (LGT_FORCE_VECTORS, ld). */
void lgt_force_measure(const lgt_force_field *field, const lgt_force_sums *sums, double *vectors, lgt_force_row *out,
                       int64_t *pushers, double *shares);

#endif
