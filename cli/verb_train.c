/* logitude train: trains an encoder and a head, or a head alone, and writes the model with its metrics. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis_file.h"
#include "last_steps.h"
#include "logitude/logitude.h"
#include "output.h"
#include "progress.h"
#include "ranks.h"
#include "run_checkpoint.h"
#include "run_folder.h"
#include "session.h"
#include "signals.h"
#include "train_table.h"
#include "verbs.h"

typedef struct training {
    const cli_args *args;
    lgt_train_options options;
    lgt_context *context;
    const lgt_comm *comm; /* of the ranks that train together; NULL: alone */
    int is_first;         /* the one rank that writes, measures and speaks */
    lgt_dataset *data, *test;
    const char *test_spec;
    lgt_trainer *trainer;
    cli_run_folder folder;
    cli_checkpoints checkpoints;
    cli_progress progress;
    lgt_train_record record; /* of the last step that went well, which may be one before a stop */
    float *z;                /* embeddings of the test data */
    double train_loss, objective;
    int wants_report;
    int is_solved;          /* lbfgs, newton-cg: by iterations over all rows */
    lgt_solve_record solve; /* of the last iteration, and at the end the result */
    lgt_error watched;      /* what went wrong in an iteration's report */
    cli_probe probe;        /* with a report */
    cli_measures measures;  /* of the last epoch */
    cli_last_steps last;    /* since the last line of metrics */
} training;

/* --- Before --- */

static lgt_status read_options(training *run, lgt_error *err) {
    const cli_args *args = run->args;
    lgt_train_options *o = &run->options;
    lgt_train_options_init(o);
    o->encoder = cli_text(args, "encoder");
    o->dim = cli_integer(args, "dim");
    o->epochs = cli_integer(args, "epochs");
    o->batch = cli_integer(args, "batch");
    o->optimizer = (lgt_optimizer)cli_choice(args, "optimizer");
    o->tolerance = cli_real(args, "tolerance");
    o->max_iterations = cli_integer(args, "max-iterations");
    run->is_solved = o->optimizer == LGT_OPTIMIZER_LBFGS || o->optimizer == LGT_OPTIMIZER_NEWTON_CG;
    if (run->is_solved && strcmp(o->encoder, "none") != 0)
        return cli_fail(err, LGT_ERR_USAGE,
                        "--optimizer %s trains a head alone, on fixed features: --encoder is '%s', expected none",
                        cli_optimizers[o->optimizer], o->encoder);
    o->lr = cli_real(args, "lr");
    o->momentum = cli_real(args, "momentum");
    o->weight_decay = cli_real(args, "weight-decay");
    o->l2 = cli_real(args, "l2");
    o->schedule = (lgt_lr_schedule)cli_choice(args, "schedule");
    o->warmup = cli_integer(args, "warmup");
    o->standardize = (lgt_standardize)cli_choice(args, "standardize");
    o->bias = !cli_flag(args, "no-bias");
    o->seed = (uint64_t)cli_integer(args, "seed");
    o->label_smoothing = cli_real(args, "label-smoothing");
    o->z_loss = cli_real(args, "z-loss");
    o->precision = cli_choice(args, "dtype") == 1 ? LGT_PRECISION_BF16 : LGT_PRECISION_FULL;
    o->workspace = cli_integer(args, "workspace");
    o->sample_rate = cli_real(args, "sample-rate");
    o->reduce = (lgt_reduce)cli_choice(args, "mpi-reduce");
    o->sample_correction = !cli_flag(args, "no-sample-correction");
    lgt_status status = cli_loss_open(args, &o->loss, err);
    if (!status && cli_text(args, "align")) status = lgt_align_parse(cli_text(args, "align"), &o->align, err);
    return status;
}

static lgt_status load_data(training *run, lgt_error *err) {
    const char *spec = cli_text(run->args, "data");
    lgt_status status = cli_dataset_open(run->context, run->args, spec, LGT_SPLIT_TRAIN, 1, 0, &run->data, err);
    run->test_spec = cli_text(run->args, "test-data");
    if (!run->test_spec && strcmp(spec, "fashion-mnist") == 0) run->test_spec = spec;
    if (status || !run->test_spec) return status;
    status =
        cli_dataset_open(run->context, run->args, run->test_spec, LGT_SPLIT_TEST, 1, run->data->dim, &run->test, err);
    if (!status) status = cli_same_dim(run->test_spec, run->test, spec, run->data->dim, err);
    if (!status)
        status = cli_relabel(run->context, run->test, run->test_spec, run->data->label_names, run->data->n_labels, err);
    return status;
}

/* Whether the bits are those of so many ranks. */
static int is_rounded(const training *run) {
    return run->comm && run->options.reduce == LGT_REDUCE_FAST;
}

/* Everything that can be wrong is found here, before anything is written. */
static lgt_status prepare(training *run, lgt_error *err) {
    lgt_status status = read_options(run, err);
    if (!status) status = cli_ranks_join(cli_real(run->args, "mpi-timeout"), &run->comm, err);
    run->options.comm = run->comm;
    if (!status && is_rounded(run))
        cli_note(run->args, "--mpi-reduce fast: right to rounding; another number of ranks than %d gives other bits",
                 run->comm->size);
    if (!status)
        status = cli_run_folder_plan(&run->folder, cli_text(run->args, "out"), run->options.loss.info->name,
                                     cli_integer(run->args, "seed"), err);
    if (!status) status = cli_context_open(run->args, &run->context, err);
    if (!status) status = load_data(run, err);
    status = cli_ranks_agree(run->comm, status, err);
    if (!status) status = lgt_trainer_create(run->context, &run->options, run->data, &run->trainer, err);
    if (!status)
        status =
            cli_checkpoints_open(&run->checkpoints, run->args, run->comm, run->test ? run->test->fingerprint : 0, err);
    if (!status) status = cli_checkpoints_resume(&run->checkpoints, run->trainer, &run->folder, &run->record, err);
    if (!status && run->test)
        run->z = cli_alloc(run->test->n_rows, (size_t)lgt_model_dim(lgt_trainer_model(run->trainer)) * sizeof *run->z);
    if (!status && run->wants_report)
        cli_probe_open(&run->probe, run->context, run->test ? run->test : run->data, run->test ? "test" : "train",
                       run->test ? run->test_spec : cli_text(run->args, "data"),
                       lgt_model_dim(lgt_trainer_model(run->trainer)));
    return status;
}

/* How many classes have a single row. */
static int64_t count_single(const lgt_dataset *data) {
    int64_t n_single = 0, *rows = cli_alloc(data->n_labels, sizeof *rows);
    for (int64_t row = 0; row < data->n_rows; row++) rows[data->labels[row]]++;
    for (int64_t j = 0; j < data->n_labels; j++) n_single += rows[j] == 1;
    free(rows);
    return n_single;
}

/* What the data were taken for: a file that holds something else than labels, a path in every line for example, trains
 * without an error. With -v the numbers have been told as the data were read. */
static void tell_data(const training *run) {
    const lgt_dataset *data = run->data;
    int64_t n_single = count_single(data);
    if (!cli_flag(run->args, "verbose")) cli_tell_data(run->args, cli_text(run->args, "data"), data);
    if (2 * n_single > data->n_labels)
        cli_note(run->args, "%lld of %lld classes have one row: are the labels what they should be?",
                 (long long)n_single, (long long)data->n_labels);
}

/* --- During --- */

/* On all ranks, which share the head: none needs it whole. */
static lgt_status test(training *run, lgt_error *err) {
    if (!run->test) return LGT_OK;
    lgt_model *model = lgt_trainer_model(run->trainer);
    lgt_view z = lgt_view_of(run->z, run->test->n_rows, lgt_model_dim(model), LGT_F32);
    lgt_classification result;
    lgt_status status = cli_embed(run->comm, model, run->test_spec, run->test, run->z, err);
    if (!status) status = cli_classify_in_training(run->trainer, z, run->test->labels, &result, err);
    if (status) return status;
    run->measures.test_accuracy = result.accuracy;
    run->measures.test_nll = result.nll;
    return LGT_OK;
}

/* Embeddings that are not finite leave the measures out: whether that ends a training is for others to say. */
static lgt_status look(training *run, lgt_error *err) {
    lgt_model *model = lgt_trainer_model(run->trainer);
    run->measures.means = (cli_means){NAN, NAN, NAN, NAN};
    run->measures.forces = (cli_force_means){NAN, NAN, NAN};
    if (!run->wants_report) return LGT_OK;
    lgt_status status = cli_probe_measure(&run->probe, model, err);
    if (!status) run->measures.means = cli_probe_means(&run->probe);
    if (!status) status = cli_force_means_measure(&run->probe, model, &run->measures.forces, err);
    return status == LGT_ERR_NONFINITE ? LGT_OK : status;
}

/* The norm of a step without a line is a sum over classes, next to nothing beside the step; ranks would have to talk.
 */
static lgt_status log_step(training *run, lgt_error *err) {
    int is_due = run->record.step % cli_integer(run->args, "log-every") == 0;
    double norm = is_due || !run->comm ? lgt_trainer_gradient_norm(run->trainer) : NAN;
    if (!is_due) {
        cli_last_steps_keep(&run->last, &run->record, norm);
        return LGT_OK;
    }
    run->measures.gradient_norm = norm;
    cli_last_steps_forget(&run->last);
    lgt_status status = run->is_first ? cli_metrics_step(&run->folder, &run->record, &run->measures, err) : LGT_OK;
    return cli_ranks_agree(run->comm, status, err);
}

/* Only pictures need the head whole. */
static lgt_status gather_for_report(training *run, lgt_error *err) {
    return run->wants_report ? lgt_trainer_gather(run->trainer, err) : LGT_OK;
}

/* The model of the epoch with the highest accuracy on the test data, of equals the first, is a file of its own. All
 * ranks know both. */
static lgt_status keep_best(training *run, lgt_error *err) {
    cli_best *best = &run->checkpoints.best;
    if (!run->test || (best->epoch > 0 && run->measures.test_accuracy <= best->accuracy)) return LGT_OK;
    lgt_status status = lgt_trainer_save_model(run->trainer, run->folder.best, err);
    if (!status) *best = (cli_best){run->record.epoch, run->measures.test_accuracy, 0};
    return status;
}

static lgt_status measure_epoch(training *run, lgt_error *err) {
    lgt_status status = look(run, err);
    if (!status) status = cli_metrics_epoch(&run->folder, &run->record, &run->measures, err);
    if (!status) cli_progress_epoch(&run->progress, &run->record, run->measures.test_accuracy);
    return status;
}

/* All that is measured here depends on the model alone: a training that goes on from this step does it again. */
static lgt_status end_epoch(training *run, lgt_error *err) {
    lgt_status status = test(run, err);
    if (!status) status = gather_for_report(run, err);
    if (!status) status = cli_ranks_agree(run->comm, run->is_first ? measure_epoch(run, err) : LGT_OK, err);
    return status ? status : keep_best(run, err);
}

/* Whether a signal has come to any rank. */
static int is_stopped(const training *run) {
    int64_t caught = cli_signal_caught();
    if (run->comm && run->comm->max(run->comm->user, &caught, 1, LGT_I64, NULL)) return 0; /* the next step tells why */
    cli_signal_heard((int)caught);
    return caught != 0;
}

static lgt_status step(training *run, lgt_error *err) {
    lgt_train_record record;
    lgt_status status = lgt_trainer_step(run->trainer, &record, err);
    if (status) return status;
    run->record = record;
    cli_progress_step(&run->progress, &record);
    status = log_step(run, err);
    if (!status) status = cli_checkpoints_step(&run->checkpoints, run->trainer, &run->folder, record.step, err);
    return status || !record.end_of_epoch ? status : end_epoch(run, err);
}

/* --- By iterations over all rows --- */

/* The record of steps tells of iterations as if each were an epoch. */
static void take_solve_record(training *run, const lgt_solve_record *solve) {
    run->solve = *solve;
    run->record =
        (lgt_train_record){.step = solve->iterations, .n_steps = solve->max_iterations, .epoch_accuracy = NAN};
    run->record.epoch = solve->iterations;
    run->record.end_of_epoch = 1;
    run->record.loss = run->record.epoch_loss = solve->objective;
    run->record.seconds = solve->seconds;
    run->record.samples = solve->evaluations * run->data->n_rows;
}

static int watch_solve(void *user, const lgt_solve_record *solve) {
    training *run = user;
    take_solve_record(run, solve);
    cli_progress_solve(&run->progress, solve);
    return cli_metrics_solve(&run->folder, solve, &run->watched) != LGT_OK || cli_signal_caught();
}

static lgt_status measure_solved(training *run, lgt_error *err) {
    run->train_loss = run->solve.model_train_loss;
    run->objective = run->solve.model_objective;
    run->record.epoch_loss = run->train_loss;
    run->record.epoch_accuracy = (double)run->solve.n_correct / (double)run->data->n_rows;
    lgt_status status = test(run, err);
    if (!status) status = look(run, err);
    return status ? status : cli_metrics_epoch(&run->folder, &run->record, &run->measures, err);
}

static lgt_status solve(training *run, lgt_error *err) {
    lgt_solve_record record;
    cli_progress_start(&run->progress, run->args);
    lgt_status status = lgt_trainer_solve(run->trainer, watch_solve, run, &record, err);
    cli_progress_stop(&run->progress);
    if (!status && run->watched.status) {
        *err = run->watched;
        status = run->watched.status;
    }
    if (!status) take_solve_record(run, &record);
    if (!status) status = measure_solved(run, err);
    if (!status && !record.converged && !record.stopped)
        cli_note(
            run->args,
            "not converged after %lld iterations: the gradient's norm is %.3g, expected at most %.3g; the model is "
            "written as it stands%s",
            (long long)record.iterations, record.gradient_norm, record.goal,
            record.iterations < record.max_iterations ? "; no step leads on within double precision" : "");
    return status ? status : lgt_trainer_save_model(run->trainer, run->folder.model, err);
}

/* Where epochs are tested. */
static void describe_best(json_t *report, const training *run) {
    const cli_best *best = &run->checkpoints.best;
    cli_put(report, "best_epoch", best->epoch > 0 ? json_integer(best->epoch) : json_null());
    cli_put_real(report, "best_test_accuracy", best->epoch > 0 ? best->accuracy : NAN);
    cli_put_text(report, "best", best->epoch > 0 && !best->is_lost ? run->folder.best : NULL);
}

static void describe_solve(json_t *report, const lgt_solve_record *solve) {
    cli_put_integer(report, "iterations", solve->iterations);
    cli_put_integer(report, "evaluations", solve->evaluations);
    cli_put_integer(report, "products", solve->products);
    cli_put(report, "converged", json_boolean(solve->converged));
    cli_put_real(report, "gradient_norm", solve->gradient_norm);
    cli_put_real(report, "gradient_max", solve->gradient_max);
    cli_put_real(report, "gradient_goal", solve->goal);
    cli_put_real(report, "model_gradient_norm", solve->model_gradient_norm);
    cli_put_real(report, "certified_gap", solve->certified_gap);
}

static int has_all_steps(const training *run) {
    return run->record.step > 0 && run->record.step == run->record.n_steps;
}

/* The objective is the last that a training finds. */
static int is_finished(const training *run) {
    return run->is_solved ? !run->solve.stopped : !isnan(run->objective);
}

static int watch_objective(void *user, int64_t n_done, int64_t n_rows) {
    training *run = user;
    cli_progress_watch(&run->progress, n_done, n_rows);
    return is_stopped(run);
}

/* Over all rows, which can take long; a signal leaves it out. */
static lgt_status measure_objective(training *run, lgt_error *err) {
    cli_progress_pass(&run->progress, "objective  row");
    lgt_status status =
        lgt_trainer_objective(run->trainer, watch_objective, run, &run->train_loss, &run->objective, err);
    return status == LGT_ERR_INTERRUPTED ? LGT_OK : status;
}

/* Steps until the last one, a failure or a signal; then measures a training that went to its end and saves the model.
 */
static lgt_status train(training *run, lgt_error *err) {
    lgt_status status = LGT_OK;
    cli_progress_start(&run->progress, run->args);
    run->progress.first = run->record.step;
    if (run->record.end_of_epoch) status = end_epoch(run, err);
    while (!status && !has_all_steps(run) && !is_stopped(run)) status = step(run, err);
    if (!status && has_all_steps(run)) status = measure_objective(run, err);
    cli_progress_stop(&run->progress);
    if (!status && !is_finished(run))
        status = cli_checkpoints_stop(&run->checkpoints, run->trainer, &run->folder, run->record.step, err);
    return status ? status : lgt_trainer_save_model(run->trainer, run->folder.model, err);
}

/* --- After --- */

/* What --json prints and run.json keeps. `failure` NULL: the model was written. */
static json_t *describe_results(const training *run, const lgt_error *failure) {
    char spec[LGT_LOSS_SPEC_SIZE], align[LGT_ALIGN_SPEC_SIZE];
    const lgt_train_record *record = &run->record;
    json_t *report = cli_report("train");
    lgt_loss_format(&run->options.loss, spec, sizeof spec);
    cli_put_text(report, "status", failure ? "failed" : is_finished(run) ? "finished" : "interrupted");
    if (failure) cli_put_text(report, "failure", failure->message);
    cli_put_text(report, "loss", spec);
    lgt_align_format(&run->options.align, align, sizeof align);
    if (run->options.align.n_terms > 0) cli_put_text(report, "align", align);
    cli_put_real(report, "objective", run->objective);
    cli_put_real(report, "train_loss", run->train_loss);
    cli_put_real(report, "train_accuracy", record->epoch_accuracy);
    cli_put_real(report, "test_accuracy", run->measures.test_accuracy);
    cli_put_real(report, "test_nll", run->measures.test_nll);
    if (record->conflict.n_compared > 0)
        cli_put_real(report, "conflict_rate",
                     (double)record->conflict.n_conflicts / (double)record->conflict.n_compared);
    if (run->is_solved) describe_solve(report, &run->solve);
    cli_put_integer(report, "epochs", record->epoch - (record->step > 0 && !record->end_of_epoch));
    cli_put_integer(report, "steps", record->step);
    cli_put_real(report, "seconds", record->seconds);
    cli_put_real(report, "samples_per_second", (double)record->samples / record->seconds);
    cli_put_integer(report, "parameters", lgt_trainer_n_params(run->trainer));
    cli_put_integer(report, "zero_rows", record->zero_rows);
    if (is_rounded(run)) cli_put_integer(report, "ranks", run->comm->size);
    cli_put_text(report, "model", failure ? NULL : run->folder.model);
    cli_put_text(report, "metrics", run->folder.metrics);
    cli_put_text(report, "run", run->folder.run);
    cli_put_text(report, "report", run->wants_report ? run->folder.report : NULL);
    if (run->test && !run->is_solved) describe_best(report, run);
    return report;
}

static lgt_status write_run(training *run, json_t *results, lgt_error *err) {
    json_t *data = json_object();
    cli_put(data, "train", cli_describe_dataset(cli_text(run->args, "data"), run->data));
    if (run->test) cli_put(data, "test", cli_describe_dataset(run->test_spec, run->test));
    return cli_run_write(run->context, run->args, &run->folder, &run->options.loss, data, results, err);
}

/* A training that failed leaves its metrics, to the last step before, and run.json, which tell why; what happens to
 * these writes is secondary. */
static void record_failure(training *run, const lgt_error *failure) {
    lgt_error ignored;
    if (!run->is_first) return;
    if (run->folder.log) cli_last_steps_write(&run->last, &run->folder, &ignored);
    if (run->folder.log) cli_metrics_failure(&run->folder, failure, &ignored);
    lgt_log_close(run->folder.log, &ignored);
    run->folder.log = NULL;
    /* That of an interrupted training that went on to numbers that are not finite. */
    if (failure->status == LGT_ERR_NONFINITE) cli_run_file_remove(run->folder.model);
    write_run(run, describe_results(run, failure), &ignored);
    if (run->wants_report) cli_run_report(run->context, &run->folder, &ignored);
}

static lgt_status close_log(training *run, lgt_error *err) {
    lgt_log *log = run->folder.log;
    run->folder.log = NULL;
    return lgt_log_close(log, err);
}

static lgt_status write_report(training *run, lgt_error *err) {
    if (!run->wants_report) return LGT_OK;
    lgt_status status = cli_analysis_write(&run->probe, lgt_trainer_model(run->trainer), &run->record.conflict,
                                           run->folder.analysis, err);
    if (status == LGT_ERR_NONFINITE) status = LGT_OK; /* there is a model and no picture of it */
    return status ? status : cli_run_report(run->context, &run->folder, err);
}

static lgt_status tell_interruption(const training *run, lgt_error *err) {
    const char *more = run->is_solved           ? ""
                       : run->checkpoints.saved ? "; --resume goes on from its checkpoint"
                                                : "; --resume begins again";
    return cli_fail(err, LGT_ERR_INTERRUPTED, "interrupted after step %lld of %lld; the model as it stands is %s%s",
                    (long long)run->record.step, (long long)run->record.n_steps, run->folder.model, more);
}

static lgt_status write_results(training *run, lgt_error *err) {
    lgt_status status = close_log(run, err);
    if (status) return status;
    json_t *results = describe_results(run, NULL);
    status = write_run(run, json_incref(results), err);
    if (!status) status = write_report(run, err);
    if (!status && is_finished(run))
        status = cli_checkpoints_finish(&run->checkpoints, run->context, &run->folder, err);
    if (!status && (is_finished(run) || cli_flag(run->args, "json"))) cli_report_print(run->args, json_incref(results));
    json_decref(results);
    return status;
}

static lgt_status finish(training *run, lgt_error *err) {
    lgt_status status = gather_for_report(run, err);
    if (!status) status = cli_ranks_agree(run->comm, run->is_first ? write_results(run, err) : LGT_OK, err);
    return status || is_finished(run) ? status : tell_interruption(run, err);
}

static void free_training(training *run) {
    cli_probe_close(&run->probe);
    free(run->z);
    lgt_log_close(run->folder.log, NULL);
    if (run->trainer) lgt_trainer_free(run->trainer);
    if (run->test) lgt_dataset_free(run->context, run->test);
    if (run->data) lgt_dataset_free(run->context, run->data);
    lgt_context_free(run->context);
    cli_run_folder_free(&run->folder);
}

static lgt_status create_folder(training *run, lgt_error *err) {
    lgt_status status = LGT_OK;
    if (run->is_first)
        status = cli_run_folder_create(run->context, &run->folder, run->checkpoints.cut,
                                       run->checkpoints.best.epoch > 0, err);
    return cli_ranks_agree(run->comm, status, err);
}

static lgt_status run_train(const cli_args *args, lgt_error *err) {
    training run = {.args = args,
                    .is_first = cli_is_first(),
                    .record.epoch_accuracy = NAN,
                    .train_loss = NAN,
                    .objective = NAN,
                    .wants_report = !cli_flag(args, "no-report")};
    run.measures = (cli_measures){NAN, NAN, NAN, {NAN, NAN, NAN, NAN}, {NAN, NAN, NAN}};
    lgt_status status = prepare(&run, err);
    if (!status) cli_signals_watch(); /* from here on there is something to be lost */
    if (!status) status = create_folder(&run, err);
    if (!status) {
        tell_data(&run);
        status = run.is_solved ? solve(&run, err) : train(&run, err);
        if (status) record_failure(&run, err);
    }
    if (!status) status = finish(&run, err);
    free_training(&run);
    return status;
}

const cli_verb cli_verb_train = {
    .name = "train",
    .summary = "trains an encoder and a head, or a head alone",
    .usage = "--data D --loss SPEC [options]",
    .options = cli_train_options,
    .n_options = CLI_TRAIN_OPTIONS,
    .notes =
        "Files written to DIR\n"
        "  model.safetensors  weights, normalisation, labels and loss\n"
        "  best.safetensors   with test data: the same after the epoch that did best on them, the first of equals\n"
        "  metrics.jsonl      a line every --log-every steps and one an epoch; after a failure the last 100 steps too\n"
        "  run.json           configuration, versions, data and results\n"
        "  analysis.json      what the report shows of the model: angles, ROC, calibration, confusions, a map\n"
        "  report.html        all of it as charts, in one file that needs no network\n"
        "  checkpoint-STEP.safetensors  with --checkpoint-every, and after a signal: all that --resume needs\n"
        "lbfgs and newton-cg need --encoder none and use none of --epochs, --batch, --lr, --momentum,\n"
        "--weight-decay, --schedule, --warmup and --seed for a softmax head, which starts at 0. certified_gap is a\n"
        "proven bound of the objective's distance to its minimum (softmax with --l2 and without --z-loss).\n"
        "The first SIGINT, SIGTERM, SIGHUP or SIGXCPU ends the training after its step, with the model as it stands\n"
        "and, but for lbfgs and newton-cg, a checkpoint (exit code 130, 143, 129 or 152). Numbers that are not\n"
        "finite end it with exit code 4 and no model.\n"
        "Under mpirun the ranks share the classes, the rows of each batch and the encoder's optimiser, with the\n"
        "bits of one process; the first writes and speaks. --resume goes on over any number of ranks. With\n"
        "--mpi-reduce fast bits are those of so many ranks, whose number is then in run.json. A rank that is lost\n"
        "ends the job with exit code 10 or its own.",
    .examples = "  logitude train --data fashion-mnist --loss arcface:s=16,m=0.3 --epochs 10 --out runs/arcface\n"
                "  logitude train --data x.npy,y.npy --loss softmax --encoder none --l2 1e-4 --optimizer lbfgs\n"
                "  logitude train --data fashion-mnist --loss arcface --checkpoint-every 1000 --resume\n"
                "  logitude train --config fashion.conf --seed 3 --json\n"
                "  mpirun -n 4 logitude train --data fashion-mnist --loss arcface --out runs/four",
    .is_shared = 1,
    .run = run_train,
};
