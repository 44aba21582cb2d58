/* Writes the files of a training beside its model. */
#define _DEFAULT_SOURCE /* flock */
#include "run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "outfile.h"
#include "output.h"
#include "run_files.h"

/* --- The folder --- */

lgt_status cli_run_folder_plan(cli_run_folder *out, const char *folder, const char *loss, int64_t seed,
                               lgt_error *err) {
    char name[128];
    snprintf(name, sizeof name, "runs/%s-%lld", loss, (long long)seed);
    memset(out, 0, sizeof *out);
    out->folder = cli_copy(folder ? folder : name);
    out->model = cli_path_join(out->folder, "model.safetensors");
    out->best = cli_path_join(out->folder, "best.safetensors");
    out->metrics = cli_path_join(out->folder, "metrics.jsonl");
    out->run = cli_path_join(out->folder, "run.json");
    out->analysis = cli_path_join(out->folder, "analysis.json");
    out->report = cli_path_join(out->folder, "report.html");
    lgt_status status = cli_folder_check(out->folder, err);
    if (!status) status = cli_member_check(out->model, err);
    if (!status) status = cli_member_check(out->best, err);
    if (!status) status = cli_member_check(out->metrics, err);
    if (!status) status = cli_member_check(out->run, err);
    if (!status) status = cli_member_check(out->analysis, err);
    if (!status) status = cli_member_check(out->report, err);
    return status;
}

/* One training at a time. The lock is on the metrics, which every training has and never replaces, so that nothing is
 * left behind; NFS tells the other machines of it, as of no lock on a folder. The system gives it back when the process
 * ends, however it does: the descriptor is never closed. It is no lock of fcntl's, which would end when the report has
 * read the file. A file system without locks keeps nobody out. */
static lgt_status lock(const cli_run_folder *run, lgt_error *err) {
    struct stat about;
    if (stat(run->metrics, &about) == 0 && !S_ISREG(about.st_mode)) return LGT_OK; /* a device is shared */
    int fd = open(run->metrics, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return cli_fail(err, LGT_ERR_IO, "%s: cannot open: %s", run->metrics, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return cli_fail(err, LGT_ERR_IO,
                        "%s: another training is using this folder: wait for its end, or name another --out",
                        run->folder);
    return LGT_OK;
}

void cli_run_file_remove(const char *path) {
    struct stat about;
    if (stat(path, &about) || !S_ISREG(about.st_mode)) return;
    char *real = realpath(path, NULL);
    remove(real ? real : path);
    free(real);
}

lgt_status cli_run_folder_create(lgt_context *context, cli_run_folder *run, int64_t cut, int has_best, lgt_error *err) {
    int goes_on = cut >= 0;
    lgt_status status = lgt_folder_create(run->folder, err);
    if (!status) status = lock(run, err);
    if (!status && !goes_on) status = lgt_checkpoint_clear(context, run->folder, err);
    if (!status && goes_on) status = lgt_log_reopen(context, run->metrics, cut, &run->log, err);
    if (!status && !goes_on) status = lgt_log_open(context, run->metrics, &run->log, err);
    if (status) return status;
    cli_run_file_remove(run->analysis); /* of an earlier training: it would stand beside metrics that are not its own */
    cli_run_file_remove(run->report);
    if (!has_best) cli_run_file_remove(run->best);
    if (goes_on) return LGT_OK;
    cli_run_file_remove(run->model);
    cli_run_file_remove(run->run);
    return LGT_OK;
}

void cli_run_folder_free(cli_run_folder *run) {
    free(run->report);
    free(run->analysis);
    free(run->run);
    free(run->metrics);
    free(run->best);
    free(run->model);
    free(run->folder);
}

/* --- metrics.jsonl --- */

json_t *cli_describe_conflict(const lgt_conflict *c) {
    json_t *object = json_object(), *histogram = json_array();
    for (int i = 0; i < LGT_CONFLICT_BINS; i++) cli_append(histogram, json_integer(c->histogram[i]));
    cli_put_integer(object, "rows", c->n_rows);
    cli_put_integer(object, "compared", c->n_compared);
    cli_put_integer(object, "neighbours", c->n_neighbours);
    cli_put_integer(object, "undefined_angles", c->n_undefined);
    cli_put_real(object, "conflict_rate", cli_share(c->n_conflicts, c->n_compared));
    cli_put_real(object, "mean_cosine", c->n_compared > 0 ? c->cosine_sum / (double)c->n_compared : NAN);
    cli_put_real(object, "sufficient_rate", cli_share(c->n_sufficient, c->n_compared));
    cli_put_integer(object, "sufficient_wrong", c->n_sufficient_wrong);
    cli_put_real(object, "printed_rate", cli_share(c->n_printed, c->n_compared));
    cli_put_integer(object, "printed_wrong", c->n_printed_wrong);
    cli_put(object, "cosine_histogram", histogram);
    return object;
}

static lgt_status write_line(cli_run_folder *run, json_t *object, lgt_error *err) {
    char *text = cli_json_text(object, 0);
    lgt_status status = lgt_log_line(run->log, text, err);
    free(text);
    json_decref(object);
    return status;
}

static json_t *start_line(const char *kind, const lgt_train_record *record) {
    json_t *object = json_object();
    cli_put_text(object, "kind", kind);
    cli_put_integer(object, "step", record->step);
    cli_put_integer(object, "epoch", record->epoch);
    return object;
}

static void put_known(json_t *object, const char *key, double value) {
    if (!isnan(value)) cli_put_real(object, key, value);
}

lgt_status cli_metrics_step(cli_run_folder *run, const lgt_train_record *record, const cli_measures *measures,
                            lgt_error *err) {
    json_t *object = start_line("step", record);
    cli_put_real(object, "loss", record->loss);
    if (record->align_loss != 0) cli_put_real(object, "align_loss", record->align_loss);
    cli_put_real(object, "lr", record->lr);
    put_known(object, "schedule", record->schedule);
    put_known(object, "gradient_norm", measures->gradient_norm);
    cli_put_real(object, "seconds", record->seconds);
    cli_put_integer(object, "samples", record->samples);
    return write_line(run, object, err);
}

lgt_status cli_metrics_epoch(cli_run_folder *run, const lgt_train_record *record, const cli_measures *measures,
                             lgt_error *err) {
    json_t *object = start_line("epoch", record);
    cli_put_real(object, "loss", record->epoch_loss);
    cli_put_real(object, "accuracy", record->epoch_accuracy);
    if (record->epoch_align_loss != 0) cli_put_real(object, "align_loss", record->epoch_align_loss);
    if (record->conflict.n_rows > 0) {
        cli_put_real(object, "conflict_rate", cli_share(record->conflict.n_conflicts, record->conflict.n_compared));
        cli_put(object, "conflict", cli_describe_conflict(&record->conflict));
    }
    put_known(object, "test_accuracy", measures->test_accuracy);
    put_known(object, "test_nll", measures->test_nll);
    put_known(object, "theta_target", measures->means.theta_target);
    put_known(object, "theta_nearest", measures->means.theta_nearest);
    put_known(object, "x_norm", measures->means.x_norm);
    put_known(object, "w_norm", measures->means.w_norm);
    put_known(object, "attraction", measures->forces.attraction);
    put_known(object, "repulsion", measures->forces.repulsion);
    put_known(object, "radial_share", measures->forces.radial_share);
    cli_put_real(object, "seconds", record->seconds);
    cli_put_integer(object, "samples", record->samples);
    return write_line(run, object, err);
}

lgt_status cli_metrics_solve(cli_run_folder *run, const lgt_solve_record *record, lgt_error *err) {
    lgt_train_record step = {.step = record->iterations, .epoch = record->iterations};
    json_t *object = start_line("step", &step);
    cli_put_real(object, "loss", record->objective);
    cli_put_real(object, "gradient_norm", record->gradient_norm);
    cli_put_real(object, "gradient_max", record->gradient_max);
    cli_put_integer(object, "evaluations", record->evaluations);
    cli_put_integer(object, "products", record->products);
    cli_put_real(object, "seconds", record->seconds);
    return write_line(run, object, err);
}

lgt_status cli_metrics_failure(cli_run_folder *run, const lgt_error *failure, lgt_error *err) {
    json_t *object = json_object();
    cli_put_text(object, "kind", "failure");
    cli_put_text(object, "status", lgt_status_name(failure->status));
    cli_put_text(object, "message", failure->message);
    return write_line(run, object, err);
}

/* --- run.json --- */

json_t *cli_describe_dataset(const char *spec, const lgt_dataset *data) {
    char fingerprint[24];
    json_t *object = json_object(), *shape = json_array();
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, data->fingerprint);
    for (int i = 0; i < data->n_dims; i++) cli_append(shape, json_integer(data->shape[i]));
    cli_put_text(object, "spec", spec);
    cli_put_integer(object, "rows", data->n_rows);
    cli_put_integer(object, "dim", data->dim);
    cli_put(object, "sample_shape", shape);
    cli_put_integer(object, "classes", data->n_labels);
    cli_put_text(object, "fingerprint", fingerprint);
    return object;
}

/* Every option of the verb as it was in force, by its long name. */
static json_t *describe_options(const cli_args *args) {
    json_t *object = json_object();
    for (int i = 0; cli_option_at(args->verb, i); i++) {
        const cli_option *option = cli_option_at(args->verb, i);
        const cli_value *value = &args->values[i];
        if (strcmp(option->name, "help") == 0 || strcmp(option->name, "resume") == 0) continue; /* not what is run */
        if (option->kind == CLI_FLAG)
            cli_put(object, option->name, json_boolean(value->integer));
        else if (!value->text)
            cli_put(object, option->name, json_null());
        else if (option->kind == CLI_INTEGER)
            cli_put_integer(object, option->name, value->integer);
        else if (option->kind == CLI_REAL)
            cli_put_real(object, option->name, value->real);
        else
            cli_put_text(object, option->name, value->text);
    }
    return object;
}

lgt_status cli_run_write(lgt_context *context, const cli_args *args, const cli_run_folder *run, const lgt_loss *loss,
                         json_t *data, json_t *results, lgt_error *err) {
    char spec[LGT_LOSS_SPEC_SIZE];
    json_t *object = cli_report("run");
    lgt_loss_format(loss, spec, sizeof spec);
    cli_put_text(object, "version", lgt_version());
    cli_put_text(object, "verb", args->verb->name);
    cli_put(object, "config", describe_options(args));
    cli_put_text(object, "loss", spec);
    cli_put_text(object, "isa", lgt_isa_name(lgt_context_isa(context)));
    cli_put_integer(object, "threads", lgt_context_threads(context));
    cli_put(object, "data", data);
    cli_put(object, "results", results);
    char *text = cli_json_text(object, 1);
    size_t length = strlen(text);
    text[length] = '\n'; /* in the place of its end */
    lgt_status status = lgt_file_write(context, run->run, text, length + 1, err);
    free(text);
    json_decref(object);
    return status;
}

/* --- report.html --- */

lgt_status cli_run_report(lgt_context *context, const cli_run_folder *run, lgt_error *err) {
    lgt_report_run files;
    lgt_status status = cli_run_files_read(run->folder, &files, err);
    if (!status) status = lgt_report_write(context, &files, 1, run->report, err);
    cli_run_files_free(&files);
    return status;
}
