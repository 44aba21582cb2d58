/* The inside of a trainer. */
#ifndef LGT_TRAIN_TRAINER_H
#define LGT_TRAIN_TRAINER_H

#include "logitude/head.h"
#include "train/alignment.h"
#include "train/head_step.h"
#include "train/model.h"

/* The parts that the optimiser moves. */
enum { LGT_GROUP_ENCODER = 0, LGT_GROUP_WEIGHT = 1, LGT_GROUP_BIAS = 2, LGT_N_GROUPS = 3 };

struct lgt_trainer {
    lgt_context *context;
    lgt_train_options options;
    const lgt_dataset *dataset;
    lgt_ranks ranks;
    lgt_model model; /* holds the parameters, w and b of own classes; model.step counts the steps done */
    lgt_model whole; /* with ranks: the same with w and b of all classes, and on the first the bank, as last gathered */
    lgt_encoder_pass *pass;
    lgt_head *head;
    lgt_plan *plan;
    lgt_alignment alignment;
    lgt_head_step head_step;

    float *momenta, *squares;             /* of all groups, one after the other */
    float *gradients;                     /* of all but W */
    lgt_param_group groups[LGT_N_GROUPS]; /* the bias is empty where there is none */
    float *db;                            /* of the classes of a step; NULL: of all, in its group */
    lgt_update_kernel update;
    lgt_update rest;                  /* this step's update of all but W */
    lgt_squares *encoder_rows;        /* of each row of each layer's W with its entry of b */
    lgt_squares moved;                /* of the encoder, by the last step; |value|^2 always */
    double bias_squares[LGT_STRIPES]; /* of the bias's gradient by the last step; of own stripes */
    double *weights, *batch_weights;  /* (n_rows) with the mean 1, (batch) with 1/n in them; NULL: all alike */
    double heaviest;                  /* of them, at least 1 */
    double data_norm;                 /* no normalised row of the dataset is longer */

    int64_t batch, steps_per_epoch, n_steps;
    int64_t *order;       /* (n_rows) the epoch's permutation */
    float *x[2], *y, *dy; /* (batch, in_dim) of two batches, (batch, dim), (batch, dim) */
    int64_t ready;        /* the step whose batch lies in x[step % 2], loaded by the pass; -1: none */
    int64_t *labels;      /* (batch) */

    double loss;                         /* of the last step */
    double epoch_loss, epoch_align_loss; /* sums over the epoch's rows so far */
    lgt_conflict conflict;
    int64_t epoch_correct, epoch_rows, samples, zero_rows;
    double seconds;
};

/* Whether no gradient of the step, of n rows with features t->y, can leave the range of float. */
int lgt_trainer_is_bounded(const lgt_trainer *trainer, int64_t n);

/* The same of the encoder's gradients behind t->dy and what the alignment gives hidden layers, as they are. */
int lgt_trainer_is_bounded_behind(const lgt_trainer *trainer, int64_t n);

/* Draws the permutation of the epoch that step number `step` (from 0) is in. */
void lgt_trainer_draw_order(lgt_trainer *trainer, int64_t step);

/* What the last step reported; at least one step is done. */
lgt_train_record lgt_trainer_record(const lgt_trainer *trainer);

/* |values|^2 of a group. */
double lgt_trainer_square(const lgt_trainer *trainer, const float *values, int64_t count);

/* w and b of the own classes. */
lgt_view lgt_trainer_weights(const lgt_trainer *trainer);
lgt_view lgt_trainer_bias(const lgt_trainer *trainer);

/* The options of the plan that the trainer's head runs with. */
lgt_plan_options lgt_trainer_plan_options(const lgt_trainer *trainer, int64_t max_rows);

#endif
