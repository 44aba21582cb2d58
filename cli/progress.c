/* Shows the progress of trainings and other long work. */
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ranks.h"

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void cli_progress_start(cli_progress *progress, const cli_args *args) {
    memset(progress, 0, sizeof *progress);
    progress->quiet = cli_flag(args, "quiet") || !cli_is_first();
    progress->verbose = cli_flag(args, "verbose") && cli_is_first();
    progress->terminal = isatty(STDERR_FILENO);
    progress->started = progress->last = now();
}

/* Whether it is time for a line; it is then taken for shown. */
static int is_due(cli_progress *progress, double time) {
    double interval = progress->terminal ? 0.1 : 10.0;
    if (progress->quiet || time - progress->last < interval) return 0;
    progress->last = time;
    return 1;
}

void cli_progress_step(cli_progress *progress, const lgt_train_record *record) {
    double time = now();
    if (!is_due(progress, time)) return;
    double pace = (time - progress->started) / (double)(record->step - progress->first);
    double left = pace * (double)(record->n_steps - record->step);
    fprintf(stderr, "%sstep %lld/%lld  loss %.4f  accuracy %.4f  %.0f samples/s  %.0f s left%s",
            progress->terminal ? "\r" : "", (long long)record->step, (long long)record->n_steps, record->epoch_loss,
            record->epoch_accuracy, (double)record->samples / record->seconds, left,
            progress->terminal ? "\033[K" : "\n");
    progress->shown = progress->terminal;
}

void cli_progress_solve(cli_progress *progress, const lgt_solve_record *record) {
    int updates = progress->terminal && !progress->verbose;
    if (progress->quiet || (!progress->verbose && !is_due(progress, now()))) return;
    fprintf(stderr, "%siteration %lld  objective %.9g  gradient %.3g of %.3g  %lld evaluations%s", updates ? "\r" : "",
            (long long)record->iterations, record->objective, record->gradient_norm, record->goal,
            (long long)record->evaluations, updates ? "\033[K" : "\n");
    progress->shown = updates;
}

void cli_progress_pass(cli_progress *progress, const char *name) {
    progress->pass = name;
    progress->started = now();
}

int cli_progress_watch(void *user, int64_t n_done, int64_t n_all) {
    cli_progress *progress = user;
    double time = now();
    if (n_done == 0 || !is_due(progress, time)) return 0;
    double pace = (time - progress->started) / (double)n_done;
    fprintf(stderr, "%s%s %lld/%lld  %.0f s left%s", progress->terminal ? "\r" : "", progress->pass, (long long)n_done,
            (long long)n_all, pace * (double)(n_all - n_done), progress->terminal ? "\033[K" : "\n");
    progress->shown = progress->terminal;
    return 0;
}

void cli_progress_epoch(cli_progress *progress, const lgt_train_record *record, double test_accuracy) {
    if (!progress->verbose) return;
    cli_progress_stop(progress);
    fprintf(stderr, "epoch %lld  loss %.4f  accuracy %.4f", (long long)record->epoch, record->epoch_loss,
            record->epoch_accuracy);
    if (!isnan(test_accuracy)) fprintf(stderr, "  test accuracy %.4f", test_accuracy);
    fprintf(stderr, "\n");
}

void cli_progress_stop(cli_progress *progress) {
    if (progress->shown) fprintf(stderr, "\r\033[K");
    progress->shown = 0;
}
