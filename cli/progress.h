/* Progress of trainings and other long work on standard error: one updating line on a terminal, else a line every ten
 * seconds. */
#ifndef LGT_CLI_PROGRESS_H
#define LGT_CLI_PROGRESS_H

#include "logitude/train.h"
#include "options.h"

typedef struct cli_progress {
    const char *pass; /* what cli_progress_watch counts: "verification  pair" */
    int quiet, verbose, terminal;
    int shown;     /* a line stands on the terminal and has no newline yet */
    int64_t first; /* the step that a resumed training goes on after */
    double started, last;
} cli_progress;

void cli_progress_start(cli_progress *progress, const cli_args *args);
void cli_progress_step(cli_progress *progress, const lgt_train_record *record);
/* An iteration of lbfgs or newton-cg; with -v a line each. */
void cli_progress_solve(cli_progress *progress, const lgt_solve_record *record);
/* An lgt_pass_watch that never stops, of which `progress` is the user: how far the pass is that cli_progress_pass has
 * named. */
void cli_progress_pass(cli_progress *progress, const char *name);
int cli_progress_watch(void *progress, int64_t n_done, int64_t n_all);
/* One line with -v; test_accuracy NaN where there is none. */
void cli_progress_epoch(cli_progress *progress, const lgt_train_record *record, double test_accuracy);
/* Leaves the updating line, so that other messages start on a line of their own. */
void cli_progress_stop(cli_progress *progress);

#endif
