/* The head's part of a training step: the classes that it has, and weights stepped where their gradient is made. */
#ifndef LGT_TRAIN_HEAD_STEP_H
#define LGT_TRAIN_HEAD_STEP_H

#include <stdatomic.h>

#include "logitude/head.h"
#include "train/class_sample.h"
#include "train/optimizer.h"
#include "train/trainer_ranks.h"

/* dw never exists: the plan hands over a row of it, and the row of W takes its step at once.
 *
 * With class sampling rows that a step does not list have a zero gradient, and still move by momentum, moments, decay
 * and l2. They are left behind, and catch up, with the very same arithmetic, when they are next listed, when
 * LGT_HISTORY updates have gathered, or when someone wants to read W (lgt_head_step_settle). */
typedef struct lgt_head_step {
    lgt_context *context;
    lgt_update_kernel kernel;
    lgt_param_group weights;
    const lgt_ranks *ranks; /* weights and all that is by row are of the own classes */
    int64_t dim, centres;
    lgt_update update;    /* of this step */
    lgt_squares *squares; /* (rows of W) of the last step of each */
    _Atomic int outside;  /* whether a gradient was out of range */
    /* Class sampling; classes NULL: every step has all. */
    lgt_class_sampler sampler;
    double rate;
    int64_t *classes; /* of all ranks */
    double *offsets;  /* NULL: no correction */
    int64_t n_listed;
    int64_t own_begin, own_end; /* the places of own classes in the list */
    lgt_update *history;        /* (LGT_HISTORY) of steps since all rows were up to date */
    int64_t n_history;
    int32_t *seen; /* (rows of W) how many of them the row has taken */
} lgt_head_step;

enum { LGT_HISTORY = 256 };

/* `weights` of the own classes, without a gradient. Errors: MEMORY. *out is to be freed in any case. */
lgt_status lgt_head_step_create(lgt_context *context, const lgt_train_options *options, const lgt_ranks *ranks,
                                const lgt_param_group *weights, int64_t dim, int64_t batch, lgt_head_step *out,
                                lgt_error *err);
void lgt_head_step_free(lgt_head_step *step);

/* Chooses the classes of a step, brings their rows up to date and names them in `in`. */
void lgt_head_step_begin(lgt_head_step *step, const lgt_train_options *options, const lgt_update *update,
                         int64_t number, lgt_head_inputs *in);

/* Sinks: one that takes the step, one that only looks whether gradients are in range. */
lgt_row_sink lgt_head_step_sink(lgt_head_step *step);
lgt_row_sink lgt_head_step_check(lgt_head_step *step);

/* The step is taken: those rows that were not listed owe it. */
void lgt_head_step_end(lgt_head_step *step);

/* Brings all rows up to date. */
void lgt_head_step_settle(lgt_head_step *step);

/* The places of own classes in a list that was read in. */
void lgt_head_step_find_own(lgt_head_step *step);

/* Over the rows of the last step, on all ranks: |dw|^2 with l2, and the least and the largest |w| that there may be.
 * Collective. Errors: COMM. */
lgt_status lgt_head_step_gradient(const lgt_head_step *step, double *square, lgt_error *err);
lgt_status lgt_head_step_norms(const lgt_head_step *step, double *least, double *largest, lgt_error *err);

#endif
