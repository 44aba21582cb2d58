/* The forces on one row (Eq. 100): what its class, the others and the loss's penalty add to dL_i/dx, in double. */
#ifndef LGT_ANALYSIS_FORCES_H
#define LGT_ANALYSIS_FORCES_H

#include "engine/engine.h"
#include "engine/target.h"

/* What is the same for all rows. */
typedef struct lgt_force_field {
    const lgt_problem *problem;
    lgt_problem exact, detached; /* the same in these gradient modes */
    const lgt_batch *batch;
    const double *bias; /* (C) */
    double norm;        /* an upper bound of |W|_2, of directions where products are taken of these */
    double centred;     /* the same of W less its mean row; NaN where the coefficients' sum is not known to be 0 */
    int64_t n_pushers;
} lgt_force_field;

/* One class before the row. */
typedef struct lgt_force {
    int64_t row; /* of w: its only one, or the nearest */
    double product, cosine, z, slope, scale, soft;
    double g;    /* dL_i/dz_j */
    double push; /* |g dz_j/dx| */
} lgt_force;

/* Scratch of one thread. */
typedef struct lgt_force_scratch {
    lgt_ray x, w;       /* (D) each */
    lgt_force *classes; /* (C) */
    double *vectors;    /* (LGT_FORCE_VECTORS, D) */
} lgt_force_scratch;

enum { LGT_FORCE_VECTORS = 8 };

/* The numbers of lgt_explanation for one row. */
typedef struct lgt_force_row {
    double loss, p, theta, alpha, x_norm, w_norm;
    double attraction, repulsion, attraction_share, penalty;
    double gradient, tangential, radial, radial_share, sensitivity;
    double bound, tight_bound, detached_angle, detached_ratio, nearest_theta;
    int64_t nearest;
} lgt_force_row;

typedef enum lgt_force_verdict {
    LGT_FORCE_OK = 0,
    LGT_FORCE_BAD_X,   /* row i of x is not finite */
    LGT_FORCE_OVERFLOW /* its logits leave the range of double */
} lgt_force_verdict;

/* Explains row i. pushers, shares (n_pushers), attraction and repulsion (D) are written too; each may be NULL. */
lgt_force_verdict lgt_force_measure(const lgt_force_field *field, int64_t i, lgt_force_scratch *scratch,
                                    lgt_force_row *out, int64_t *pushers, double *shares, double *attraction,
                                    double *repulsion);

#endif
