/* Writes a run's checkpoints and finds the one to go on from. */
#include "run_checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "output.h"
#include "ranks.h"

/* A record's keys and values are not written to. */
static lgt_metadata fact(const char *key, char *value) {
    return (lgt_metadata){(char *)(uintptr_t)key, value};
}

/* What ranks must have alike beside the training itself, or some would wait for what others never do, and clear what
 * these go on from. */
static lgt_status compare_ranks(const cli_checkpoints *c, int has_test, lgt_error *err) {
    static const char *const numbers[] = {"checkpoint-every", "keep", "log-every"};
    char text[24];
    lgt_status status = lgt_comm_same(c->comm, "data.test", has_test ? c->test : "none", LGT_ERR_DATA, err);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !status; i++) {
        snprintf(text, sizeof text, "%" PRId64, cli_integer(c->args, numbers[i]));
        status = lgt_comm_same(c->comm, numbers[i], text, LGT_ERR_USAGE, err);
    }
    if (!status) status = lgt_comm_same(c->comm, "report", c->report, LGT_ERR_USAGE, err);
    const char *resume = cli_flag(c->args, "resume") ? "yes" : "no";
    return status ? status : lgt_comm_same(c->comm, "resume", resume, LGT_ERR_USAGE, err);
}

lgt_status cli_checkpoints_open(cli_checkpoints *out, const cli_args *args, const lgt_comm *comm, uint64_t test,
                                lgt_error *err) {
    int optimizer = cli_choice(args, "optimizer");
    *out = (cli_checkpoints){.args = args, .comm = comm, .cut = -1};
    out->every = cli_integer(args, "checkpoint-every");
    out->keep = cli_integer(args, "keep");
    if (optimizer >= LGT_OPTIMIZER_LBFGS && (out->every > 0 || cli_flag(args, "resume")))
        return cli_fail(err, LGT_ERR_USAGE, "%s is for --optimizer sgd and adamw: %s has no checkpoints",
                        out->every > 0 ? "--checkpoint-every" : "--resume", cli_value_of(args, "optimizer")->text);
    snprintf(out->test, sizeof out->test, "%016" PRIx64, test);
    snprintf(out->log_every, sizeof out->log_every, "%" PRId64, cli_integer(args, "log-every"));
    snprintf(out->report, sizeof out->report, "%s", cli_flag(args, "no-report") ? "no" : "yes");
    out->facts[0] = fact("data.test", out->test);
    out->facts[1] = fact("log-every", out->log_every);
    out->facts[2] = fact("report", out->report);
    return compare_ranks(out, test != 0, err);
}

static void warn(void *user, const char *message) {
    cli_note(user, "a checkpoint is passed over: %s", message);
}

/* Bytes of metrics.jsonl, 0 where it is not there. */
static lgt_status measure_log(const cli_run_folder *run, int64_t *out, lgt_error *err) {
    struct stat about;
    *out = 0;
    if (stat(run->metrics, &about) == 0)
        *out = (int64_t)about.st_size;
    else if (errno != ENOENT && errno != ENOTDIR)
        return cli_fail(err, LGT_ERR_IO, "%s: cannot look at: %s", run->metrics, strerror(errno));
    return LGT_OK;
}

/* Whether a later epoch is the best is still a matter of this one's accuracy; only its file cannot be named. */
static void look_for_best(cli_checkpoints *c, const cli_run_folder *run) {
    struct stat about;
    c->best.is_lost = c->best.epoch > 0 && stat(run->best, &about) != 0;
    if (c->best.is_lost)
        cli_note(c->args, "%s: is not there, the best model so far, of epoch %lld, is lost", run->best,
                 (long long)c->best.epoch);
}

lgt_status cli_checkpoints_resume(cli_checkpoints *checkpoints, lgt_trainer *trainer, const cli_run_folder *run,
                                  lgt_train_record *record, lgt_error *err) {
    lgt_checkpoint about = {.facts = checkpoints->facts, .n_facts = CLI_CHECKPOINT_FACTS};
    cli_args *args = (cli_args *)(uintptr_t)checkpoints->args; /* on its way through the watch, which only reads */
    int found = 0;
    if (!cli_flag(checkpoints->args, "resume")) return LGT_OK;
    lgt_status status = cli_ranks_agree(checkpoints->comm, measure_log(run, &about.log_length, err), err);
    if (!status) status = lgt_checkpoint_resume(trainer, run->folder, &about, warn, args, &found, err);
    if (status) return status;
    if (!found) {
        cli_note(checkpoints->args, "%s: no checkpoint, the training begins", run->folder);
        return LGT_OK;
    }
    cli_note(checkpoints->args, "%s: goes on after step %lld of %lld", run->folder, (long long)about.record.step,
             (long long)about.record.n_steps);
    *record = about.record;
    checkpoints->cut = checkpoints->log_length = about.log_length;
    checkpoints->best = (cli_best){.epoch = (int64_t)about.notes[0], .accuracy = about.notes[1]};
    look_for_best(checkpoints, run);
    checkpoints->saved = 1;
    return LGT_OK;
}

static lgt_status save(cli_checkpoints *c, lgt_trainer *trainer, const cli_run_folder *run, lgt_error *err) {
    const lgt_checkpoint about = {.facts = c->facts,
                                  .n_facts = CLI_CHECKPOINT_FACTS,
                                  .log_length = c->log_length,
                                  .notes = {(double)c->best.epoch, c->best.accuracy}};
    /* A checkpoint never knows more of the log than there is; the first rank has it. */
    lgt_status status = run->log ? lgt_log_sync(run->log, err) : LGT_OK;
    if ((status = lgt_comm_agree(c->comm, status, err))) return status;
    if (!status) status = lgt_checkpoint_write(trainer, run->folder, c->keep, &about, err);
    c->saved = !status;
    return status;
}

lgt_status cli_checkpoints_step(cli_checkpoints *checkpoints, lgt_trainer *trainer, const cli_run_folder *run,
                                int64_t step, lgt_error *err) {
    if (run->log) checkpoints->log_length = lgt_log_length(run->log);
    checkpoints->saved = 0;
    if (checkpoints->every == 0 || step % checkpoints->every != 0) return LGT_OK;
    return save(checkpoints, trainer, run, err);
}

lgt_status cli_checkpoints_stop(cli_checkpoints *checkpoints, lgt_trainer *trainer, const cli_run_folder *run,
                                int64_t step, lgt_error *err) {
    if (step == 0 || checkpoints->saved) return LGT_OK;
    return save(checkpoints, trainer, run, err);
}

lgt_status cli_checkpoints_finish(const cli_checkpoints *checkpoints, lgt_context *context, const cli_run_folder *run,
                                  lgt_error *err) {
    return checkpoints->every > 0 ? LGT_OK : lgt_checkpoint_clear(context, run->folder, err);
}
