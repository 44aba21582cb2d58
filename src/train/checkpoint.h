/* Checkpoints in two halves: a file that holds what was written to it, and a trainer that takes it. */
#ifndef LGT_TRAIN_CHECKPOINT_H
#define LGT_TRAIN_CHECKPOINT_H

#include "logitude/train.h"

#define LGT_CHECKPOINT_FORMAT "logitude-checkpoint-1"

/* Reads a checkpoint, whole and unharmed, of a log not longer than most_log; of what is cut by classes it keeps the
 * trainer's own. Errors: those of lgt_tensors_read, DATA. */
lgt_status lgt_checkpoint_open(lgt_trainer *trainer, const char *path, int64_t most_log, lgt_tensors *out,
                               lgt_error *err);

/* Puts it into the trainer it was opened for. Errors: as lgt_trainer_load, reading apart. */
lgt_status lgt_checkpoint_take(lgt_trainer *trainer, const char *path, const lgt_tensors *tensors,
                               lgt_checkpoint *about, lgt_error *err);

/* What a training is, as names and values: version, instruction set, data and options, then the caller's. Values are to
 * be released by lgt_facts_free in any case; names are not. */
typedef struct lgt_facts {
    lgt_metadata *items;
    int64_t count;
} lgt_facts;

lgt_status lgt_facts_of(const lgt_trainer *trainer, const lgt_checkpoint *about, lgt_facts *out, lgt_error *err);
void lgt_facts_free(lgt_context *context, lgt_facts *facts);

/* Whether all ranks of a training have the same facts. Collective. Errors: USAGE, DATA, UNSUPPORTED, naming the first
 * fact that a rank has otherwise than rank 0; COMM, MEMORY. */
lgt_status lgt_facts_agree(const lgt_trainer *trainer, lgt_error *err);

/* Errors: USAGE, DATA ("data..."), UNSUPPORTED (version, isa), naming the first fact that the file has otherwise. */
lgt_status lgt_facts_compare(const lgt_facts *facts, const char *path, const lgt_tensors *tensors, lgt_error *err);

#endif
