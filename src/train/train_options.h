/* Options of a training: their bounds, and the learning rate that they give each step. */
#ifndef LGT_TRAIN_TRAIN_OPTIONS_H
#define LGT_TRAIN_TRAIN_OPTIONS_H

#include "logitude/train.h"

/* Errors: USAGE, naming the option, its value and its bounds. What heads, plans and encoders check is left to them. */
lgt_status lgt_train_options_check(const lgt_train_options *options, lgt_error *err);

/* Whether the optimizer goes by lgt_trainer_solve, not by steps. */
int lgt_is_solved(const lgt_train_options *options);

/* The learning rate of step t in [0, n_steps). */
double lgt_lr_at(const lgt_train_options *options, int64_t t, int64_t n_steps);

#endif
