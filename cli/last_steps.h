/* The last steps of a training that have no line in metrics.jsonl: a training that fails writes them, for they are what
 * led there. */
#ifndef LGT_CLI_LAST_STEPS_H
#define LGT_CLI_LAST_STEPS_H

#include "run_folder.h"

enum { CLI_LAST_STEPS = 100 };

typedef struct cli_last_step {
    lgt_train_record record;
    double gradient_norm; /* NaN: not known */
} cli_last_step;

/* A ring, whose oldest step makes way; zeros: none yet. */
typedef struct cli_last_steps {
    cli_last_step steps[CLI_LAST_STEPS];
    int64_t count, next;
} cli_last_steps;

void cli_last_steps_keep(cli_last_steps *last, const lgt_train_record *record, double gradient_norm);
/* A line has been written: what came before needs none. */
void cli_last_steps_forget(cli_last_steps *last);
/* Step lines of all that are kept, the oldest first. */
lgt_status cli_last_steps_write(const cli_last_steps *last, cli_run_folder *run, lgt_error *err);

#endif
