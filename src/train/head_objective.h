/* Mean loss + l2/2 |W|^2 of a head over all rows as a function of one vector of doubles: W row by row, then b. */
#ifndef LGT_TRAIN_HEAD_OBJECTIVE_H
#define LGT_TRAIN_HEAD_OBJECTIVE_H

#include "logitude/head.h"
#include "train/trainer.h"

typedef struct lgt_head_objective {
    lgt_trainer *trainer;
    void *owner;    /* who minimises it */
    const float *x; /* (N, D) normalised features: the dataset's own, or `own` */
    float *own;
    lgt_plan *fast, *exact; /* float32 over all rows, float64 over blocks of them */
    int is_exact;           /* which one serves */
    int64_t n_rows, dim, n_weights, n_bias, size, step;
    float *parameters, *change, *direction; /* (size) of the fast plan */
    double *block;                          /* (block rows, D) of the exact plan */
    double *factor, *gathered;              /* the preconditioner: (D+1, D+1), (C, D+1); NULL: there is none */
    double mean_loss;                       /* of the last evaluation, without l2 */
    int64_t n_correct;
} lgt_head_objective;

/* second_order: products are wanted. out is to be freed also after an error. Errors: those of plans, MEMORY. */
lgt_status lgt_head_objective_create(lgt_trainer *trainer, int second_order, lgt_head_objective *out, lgt_error *err);
void lgt_head_objective_free(lgt_head_objective *objective);

/* As lgt_smooth has them; user is the objective. */
lgt_status lgt_head_objective_evaluate(void *user, const double *v, double *value, double *gradient, lgt_error *err);
lgt_status lgt_head_objective_product(void *user, const double *v, const double *d, double *out, lgt_error *err);
int lgt_head_objective_refine(void *user);

/* Builds the preconditioner of a softmax head (Eq. 161) from the present features where it pays; else there is none.
 * Errors: MEMORY. */
lgt_status lgt_head_objective_prepare(lgt_head_objective *objective, lgt_error *err);
void lgt_head_objective_precondition(void *user, const double *in, double *out);

/* Whether f is convex in (W, b): the softmax head without z-loss. */
int lgt_head_objective_is_convex(const lgt_trainer *trainer);

#endif
