/* The inside of a trainer. */
#ifndef LGT_TRAIN_TRAINER_H
#define LGT_TRAIN_TRAINER_H

#include "logitude/head.h"
#include "train/alignment.h"
#include "train/model.h"
#include "train/optimizer.h"

/* The parts that the optimiser moves. */
enum { LGT_GROUP_ENCODER = 0, LGT_GROUP_WEIGHT = 1, LGT_GROUP_BIAS = 2, LGT_N_GROUPS = 3 };

struct lgt_trainer {
    lgt_context *context;
    lgt_train_options options;
    const lgt_dataset *dataset;
    lgt_model model; /* holds the parameters; model.step counts the steps done */
    lgt_encoder_pass *pass;
    lgt_head *head;
    lgt_plan *plan;
    lgt_alignment alignment;

    float *gradients, *momenta, *squares; /* of all groups, one after the other */
    lgt_param_group groups[LGT_N_GROUPS]; /* the bias is empty where there is none */

    int64_t batch, steps_per_epoch, n_steps;
    int64_t *order;    /* (n_rows) the epoch's permutation */
    float *x, *y, *dy; /* (batch, in_dim), (batch, dim), (batch, dim) */
    int64_t *labels;   /* (batch) */

    double epoch_loss, epoch_align_loss; /* sums over the epoch's rows so far */
    lgt_conflict conflict;
    int64_t epoch_correct, epoch_rows, samples, zero_rows;
    double seconds;
};

/* The options of the plan that the trainer's head runs with. */
lgt_plan_options lgt_trainer_plan_options(const lgt_trainer *trainer, int64_t max_rows);

#endif
