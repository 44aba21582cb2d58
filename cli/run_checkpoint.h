/* Checkpoints of a run: when they are written, and where a run goes on. */
#ifndef LGT_CLI_RUN_CHECKPOINT_H
#define LGT_CLI_RUN_CHECKPOINT_H

#include "run_folder.h"

enum { CLI_CHECKPOINT_FACTS = 3 };

/* The epoch whose model did best on the test data, from 1, and its accuracy; 0: none yet. */
typedef struct cli_best {
    int64_t epoch;
    double accuracy;
    int is_lost; /* its file is not there any more */
} cli_best;

typedef struct cli_checkpoints {
    const cli_args *args;
    const lgt_comm *comm; /* or NULL: alone */
    int64_t every, keep;
    int64_t saved;      /* whether the present step is: it is that of the last checkpoint */
    int64_t cut;        /* to which metrics.jsonl is cut back; -1: the run begins */
    int64_t log_length; /* of metrics.jsonl at the last step, before the line of an epoch that it ends */
    cli_best best;      /* so far: a checkpoint has it */
    char test[24], log_every[24], report[8];
    lgt_metadata facts[CLI_CHECKPOINT_FACTS]; /* what metrics and report depend on, beside the training */
} cli_checkpoints;

/* By --checkpoint-every, --keep and --resume. `test`: the fingerprint of the test data, or 0. Fails with USAGE for
 * optimizers that have none, and with USAGE or DATA on all ranks where some have other ones of these options, other
 * test data, or other lines and measurements. In place: the record points into itself. */
lgt_status cli_checkpoints_open(cli_checkpoints *out, const cli_args *args, const lgt_comm *comm, uint64_t test,
                                lgt_error *err);

/* With --resume: brings the trainer to the newest checkpoint that is whole; `record` is then that of its step. Writes
 * nothing. */
lgt_status cli_checkpoints_resume(cli_checkpoints *checkpoints, lgt_trainer *trainer, const cli_run_folder *run,
                                  lgt_train_record *record, lgt_error *err);

/* After every step, once its line is written. */
lgt_status cli_checkpoints_step(cli_checkpoints *checkpoints, lgt_trainer *trainer, const cli_run_folder *run,
                                int64_t step, lgt_error *err);

/* Before a stop, after any step: also where none was asked for, so that --resume can go on. */
lgt_status cli_checkpoints_stop(cli_checkpoints *checkpoints, lgt_trainer *trainer, const cli_run_folder *run,
                                int64_t step, lgt_error *err);

/* When all that a finished training leaves is written: without --checkpoint-every nobody asked for the checkpoint of a
 * signal that it went on from. */
lgt_status cli_checkpoints_finish(const cli_checkpoints *checkpoints, lgt_context *context, const cli_run_folder *run,
                                  lgt_error *err);

#endif
