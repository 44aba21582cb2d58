/* Explanation of gradients: for single rows, why dL_i/dx points where it does (docs/analysis.md, Eq. 100 to 109). */
#ifndef LOGITUDE_EXPLAIN_H
#define LOGITUDE_EXPLAIN_H

#include "head.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lgt_explain_options {
    size_t struct_size;
    lgt_dtype dtype; /* of x, w and b: LGT_F32 (default) or LGT_F64; all is computed in double */
    double label_smoothing, z_loss;
    int64_t ignore_label; /* default LGT_NO_IGNORE */
    const int64_t *rows;  /* (n_rows) rows of x to explain, each in [0, N), in any order; NULL (default): all */
    int64_t n_rows;
    int64_t n_pushers; /* classes a row to name in `pushers`; default 3 */
} lgt_explain_options;

LGT_API void lgt_explain_options_init(lgt_explain_options *options);

/* What explains a row, n arrays (n: the rows asked for); those that are NULL are not wanted. All is about L_i itself:
 * sample weights, class weights and upstream gradients play no part. What does not exist is NaN, or class -1: the
 * angle of a vector of no length, the label's share of a row of soft targets, everything of an ignored row (its loss
 * and forces are 0).
 *   dL_i/dx = attraction + repulsion + penalty x^                                                        (Eq. 100)
 * Attraction is the share of the row's class, repulsion that of all others; with soft targets attraction is the share
 * of the classes that ask for more than their probability, repulsion that of the rest. */
typedef struct lgt_explanation {
    double *loss;                   /* L_i */
    double *p;                      /* p_y */
    double *theta;                  /* angle between x and the row of w that stands for the class */
    double *alpha;                  /* angular force of the loss's target logit over the plain head's (Eq. 102) */
    double *x_norm, *w_norm;        /* |x|, |w_y| */
    double *attraction, *repulsion; /* lengths of the two forces */
    double *attraction_share;       /* attraction / (attraction + repulsion) */
    double *penalty;                /* what the loss adds for the norm of x: along x^, signed */
    double *gradient;               /* |dL_i/dx| */
    double *tangential, *radial;    /* its lengths across and along x */
    double *radial_share;           /* radial^2 / gradient^2, the share that changes the length of x alone */
    double *sensitivity;            /* 1 / |x|: how far the direction of x turns for a step across it */
    double *bound, *tight_bound;    /* upper bounds of `gradient` (Eq. 105, 106) */
    double *detached_angle;         /* angle between the gradients of the modes exact and detached */
    double *detached_ratio;         /* |detached| / |exact| */
    int64_t *nearest;               /* the other class (with soft targets: any class) of the smallest angle */
    double *nearest_theta;          /* that angle */
    int64_t *pushers;      /* (n, n_pushers) classes that push hardest, the hardest first, -1 behind the last */
    double *pusher_shares; /* (n, n_pushers) their shares of the sum of the lengths of all pushes */
    double *attraction_x, *repulsion_x; /* (n, D) the forces themselves */
    /* Filled by every run. */
    double state[LGT_LOSS_MAX_STATE]; /* as in lgt_head_outputs: of all rows of x, asked for or not */
} lgt_explanation;

/* Explains rows of x. options NULL: the defaults. Reads of `in` what lgt_plan_run does. Rows go in blocks of up to 64,
 * which share two readings of w and are shared out to the threads: 6 C D flops a row. Memory: C numbers, N bytes, and a
 * thread 400 D' + 12,800 numbers, D' being D rounded up to a multiple of 32 (0.9 MiB at D = 256), and 1 KiB for each
 * pusher. The same bits for any number of threads. Errors: those of lgt_plan_create and lgt_plan_run; USAGE (a row
 * outside x, n_pushers < 0). After an error the outputs are unspecified. */
LGT_API lgt_status lgt_explain_run(const lgt_head *head, const lgt_explain_options *options, const lgt_head_inputs *in,
                                   lgt_explanation *out, lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
