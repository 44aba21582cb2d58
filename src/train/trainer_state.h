/* Everything of a trainer that steps change and later steps depend on. */
#ifndef LGT_TRAIN_TRAINER_STATE_H
#define LGT_TRAIN_TRAINER_STATE_H

#include "train/trainer.h"

/* One array of it, in its place. */
typedef struct lgt_state_part {
    const char *name;
    lgt_dtype dtype;
    int64_t count;
    int64_t of_class; /* elements a class; the array is then of the own classes. 0: the same on all ranks */
    void *data;
} lgt_state_part;

enum { LGT_STATE_PARTS = 48 };

/* Lists the parts, all classes' weights being brought up to date first; banks, whose size changes, are not among them.
 * What can be computed from the parts and the options is none: the order of rows, schedules, random numbers. */
int lgt_trainer_parts(lgt_trainer *trainer, lgt_state_part out[LGT_STATE_PARTS]);

/* Makes what ranks keep of the encoder and the bias whole on all of them. Collective. Errors: COMM. */
lgt_status lgt_trainer_share_state(lgt_trainer *trainer, lgt_error *err);

/* Whether parts that were read in contradict each other. Errors: DATA, naming `path`. */
lgt_status lgt_trainer_check_state(const lgt_trainer *trainer, const char *path, lgt_error *err);

#endif
