/* logitude train: trains an encoder and a head, or a head alone, and writes the model with its metrics. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis_file.h"
#include "logitude/logitude.h"
#include "output.h"
#include "progress.h"
#include "run_folder.h"
#include "session.h"
#include "signals.h"
#include "verbs.h"

static const char *const dtypes[] = {"f32", "bf16", NULL};
static const char *const optimizers[] = {"sgd", "adamw", "lbfgs", "newton-cg", NULL}; /* as in lgt_optimizer */
static const char *const schedules[] = {"constant", "cosine", "step", NULL};
static const char *const standardizes[] = {"none", "global", "feature", NULL};

#define LARGEST_SEED 9007199254740992.0 /* 2^53: exact in every tool that reads run.json */

static const cli_option options[] = {
    CLI_OPTION_DATA("labelled data to train on"),
    {.name = "test-data",
     .kind = CLI_TEXT,
     .metavar = "D",
     .group = "Input",
     .help = "labelled data to test on after every epoch (default: the test images, for --data fashion-mnist)"},
    CLI_OPTION_LABEL_COLUMN("the last one"),
    {.name = "standardize",
     .kind = CLI_CHOICE,
     .metavar = "HOW",
     .default_text = "global",
     .words = standardizes,
     .group = "Input",
     .help = "mean 0 and deviation 1 over all training features, or over each; stored in the model"},
    CLI_OPTION_LOSS("Model"),
    CLI_OPTION_LIKE("Model"),
    {.name = "encoder",
     .kind = CLI_TEXT,
     .metavar = "E",
     .default_text = "mlp:512,512",
     .group = "Model",
     .help = "none (a head alone), linear, or mlp:WIDTH[,WIDTH...] with ReLU"},
    {.name = "dim",
     .kind = CLI_INTEGER,
     .metavar = "D",
     .default_text = "128",
     .least = 1,
     .greatest = 1000000,
     .group = "Model",
     .help = "dimension of the embeddings; not used by --encoder none, which takes that of the data"},
    {.name = "no-bias", .kind = CLI_FLAG, .group = "Model", .help = "no bias in the head, where its loss has one"},
    {.name = "epochs",
     .kind = CLI_INTEGER,
     .metavar = "N",
     .default_text = "10",
     .least = 1,
     .greatest = 1000000,
     .group = "Training",
     .help = "passes over the data"},
    {.name = "batch",
     .kind = CLI_INTEGER,
     .metavar = "N",
     .default_text = "128",
     .least = 1,
     .greatest = 1000000000,
     .unit = "rows",
     .group = "Training",
     .help = "size of a step"},
    {.name = "optimizer",
     .kind = CLI_CHOICE,
     .metavar = "O",
     .default_text = "adamw",
     .words = optimizers,
     .group = "Training",
     .help = "how steps are made; lbfgs and newton-cg go by all rows, to the minimum, and need --encoder none"},
    {.name = "tolerance",
     .kind = CLI_REAL,
     .metavar = "T",
     .default_text = "1e-5",
     .least = 1e-30,
     .greatest = 1,
     .group = "Training",
     .help = "of lbfgs and newton-cg: they end where |gradient| <= T max(1, |gradient at the start|)"},
    {.name = "max-iterations",
     .kind = CLI_INTEGER,
     .metavar = "N",
     .default_text = "1000",
     .least = 0,
     .greatest = 1000000000,
     .group = "Training",
     .help = "of lbfgs and newton-cg: where they end at the latest"},
    {.name = "lr",
     .kind = CLI_REAL,
     .metavar = "RATE",
     .default_text = "0.001",
     .least = 1e-30,
     .greatest = 1e6,
     .group = "Training",
     .help = "learning rate"},
    {.name = "momentum",
     .kind = CLI_REAL,
     .metavar = "M",
     .marks = CLI_BELOW,
     .default_text = "0.9",
     .least = 0,
     .greatest = 1,
     .group = "Training",
     .help = "momentum of sgd"},
    {.name = "weight-decay",
     .kind = CLI_REAL,
     .metavar = "WD",
     .default_text = "0.0001",
     .least = 0,
     .greatest = 1e6,
     .group = "Training",
     .help = "decay of all weights: decoupled in adamw, part of the gradient in sgd"},
    {.name = "l2",
     .kind = CLI_REAL,
     .metavar = "LAMBDA",
     .default_text = "0",
     .least = 0,
     .greatest = 1e6,
     .group = "Training",
     .help = "adds LAMBDA/2 |W|^2 of the head, its bias free, to the mean loss"},
    {.name = "schedule",
     .kind = CLI_CHOICE,
     .metavar = "S",
     .default_text = "cosine",
     .words = schedules,
     .group = "Training",
     .help = "of the learning rate; step divides it by 10 after 1/2 and after 3/4 of the steps"},
    {.name = "warmup",
     .kind = CLI_INTEGER,
     .metavar = "STEPS",
     .default_text = "0",
     .least = 0,
     .greatest = INFINITY,
     .unit = "steps",
     .group = "Training",
     .help = "steps of a linear rise of the learning rate"},
    CLI_OPTION_ALIGN("Training", "(default: none)"),
    CLI_OPTION_LABEL_SMOOTHING("Training"),
    CLI_OPTION_Z_LOSS("Training"),
    {.name = "dtype",
     .kind = CLI_CHOICE,
     .metavar = "TYPE",
     .default_text = "f32",
     .words = dtypes,
     .group = "Training",
     .help = "what the head multiplies in; everything else is f32"},
    {.name = "sample-rate",
     .kind = CLI_REAL,
     .metavar = "R",
     .default_text = "1",
     .least = 1e-30,
     .greatest = 1,
     .group = "Training",
     .help = "share of the classes, beside those of its labels, that a step draws"},
    {.name = "no-sample-correction",
     .kind = CLI_FLAG,
     .group = "Training",
     .help = "do not add log(1/share) to the logits of drawn classes"},
    {.name = "seed",
     .kind = CLI_INTEGER,
     .metavar = "S",
     .default_text = "0",
     .least = 0,
     .greatest = LARGEST_SEED,
     .group = "Training",
     .help = "what initial weights and the order of rows are drawn from"},
    {.name = "out",
     .kind = CLI_PATH,
     .metavar = "DIR",
     .group = "Output",
     .help = "folder for the results (default: runs/LOSS-SEED, for example runs/arcface-0)"},
    {.name = "log-every",
     .kind = CLI_INTEGER,
     .metavar = "STEPS",
     .default_text = "100",
     .least = 1,
     .greatest = INFINITY,
     .unit = "steps",
     .group = "Output",
     .help = "steps between two lines of metrics.jsonl"},
    {.name = "no-report",
     .kind = CLI_FLAG,
     .group = "Output",
     .help = "no report.html, and none of the measurements for it"},
};

typedef struct training {
    const cli_args *args;
    lgt_train_options options;
    lgt_context *context;
    lgt_dataset *data, *test;
    const char *test_spec;
    lgt_trainer *trainer;
    cli_run_folder folder;
    cli_progress progress;
    lgt_train_record record; /* of the last step that went well */
    float *z;                /* embeddings of the test data */
    double train_loss, objective;
    int wants_report;
    int is_solved;          /* lbfgs, newton-cg: by iterations over all rows */
    lgt_solve_record solve; /* of the last iteration, and at the end the result */
    lgt_error watched;      /* what went wrong in an iteration's report */
    cli_probe probe;        /* with a report */
    cli_measures measures;  /* of the last epoch */
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
                        optimizers[o->optimizer], o->encoder);
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
    o->sample_rate = cli_real(args, "sample-rate");
    o->sample_correction = !cli_flag(args, "no-sample-correction");
    lgt_status status = cli_loss_open(args, &o->loss, err);
    if (!status && cli_text(args, "align")) status = lgt_align_parse(cli_text(args, "align"), &o->align, err);
    return status;
}

static lgt_status load_data(training *run, lgt_error *err) {
    const char *spec = cli_text(run->args, "data");
    lgt_status status = cli_dataset_open(run->context, run->args, spec, LGT_SPLIT_TRAIN, 1, &run->data, err);
    run->test_spec = cli_text(run->args, "test-data");
    if (!run->test_spec && strcmp(spec, "fashion-mnist") == 0) run->test_spec = spec;
    if (status || !run->test_spec) return status;
    status = cli_dataset_open(run->context, run->args, run->test_spec, LGT_SPLIT_TEST, 1, &run->test, err);
    if (!status) status = cli_same_dim(run->test_spec, run->test, spec, run->data->dim, err);
    if (!status)
        status = cli_relabel(run->context, run->test, run->test_spec, run->data->label_names, run->data->n_labels, err);
    return status;
}

/* Everything that can be wrong is found here, before anything is written. */
static lgt_status prepare(training *run, lgt_error *err) {
    lgt_status status = read_options(run, err);
    if (!status)
        status = cli_run_folder_plan(&run->folder, cli_text(run->args, "out"), run->options.loss.info->name,
                                     cli_integer(run->args, "seed"), err);
    if (!status) status = cli_context_open(run->args, &run->context, err);
    if (!status) status = load_data(run, err);
    if (!status) status = lgt_trainer_create(run->context, &run->options, run->data, &run->trainer, err);
    if (!status && run->test)
        run->z = cli_alloc(run->test->n_rows, (size_t)lgt_model_dim(lgt_trainer_model(run->trainer)) * sizeof *run->z);
    if (!status && run->wants_report)
        cli_probe_open(&run->probe, run->context, run->test ? run->test : run->data, run->test ? "test" : "train",
                       run->test ? run->test_spec : cli_text(run->args, "data"),
                       lgt_model_dim(lgt_trainer_model(run->trainer)));
    return status;
}

/* --- During --- */

static lgt_status test(training *run, lgt_error *err) {
    if (!run->test) return LGT_OK;
    lgt_model *model = lgt_trainer_model(run->trainer);
    int64_t n_rows = run->test->n_rows, dim = lgt_model_dim(model);
    lgt_classification result;
    lgt_status status = cli_embed(model, run->test_spec, run->test, run->z, err);
    if (!status)
        status = cli_classify(run->context, model, lgt_view_of(run->z, n_rows, dim, LGT_F32), run->test->labels,
                              &result, err);
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

static lgt_status log_step(training *run, lgt_error *err) {
    if (run->record.step % cli_integer(run->args, "log-every") != 0) return LGT_OK;
    run->measures.gradient_norm = lgt_trainer_gradient_norm(run->trainer);
    return cli_metrics_step(&run->folder, &run->record, &run->measures, err);
}

static lgt_status step(training *run, lgt_error *err) {
    lgt_train_record record;
    lgt_status status = lgt_trainer_step(run->trainer, &record, err);
    if (status) return status;
    run->record = record;
    cli_progress_step(&run->progress, &record);
    status = log_step(run, err);
    if (status || !record.end_of_epoch) return status;
    status = test(run, err);
    if (!status) status = look(run, err);
    if (!status) status = cli_metrics_epoch(&run->folder, &record, &run->measures, err);
    if (!status) cli_progress_epoch(&run->progress, &record, run->measures.test_accuracy);
    return status;
}

/* --- By iterations over all rows --- */

/* The record of steps tells of iterations as if each were an epoch. */
static void take_solve_record(training *run, const lgt_solve_record *solve) {
    run->solve = *solve;
    run->record = (lgt_train_record){.step = solve->iterations, .n_steps = solve->max_iterations};
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
    cli_signals_watch();
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
    return status ? status : lgt_model_save(lgt_trainer_model(run->trainer), run->folder.model, err);
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

static int is_finished(const training *run) {
    if (run->is_solved) return !run->solve.stopped;
    return run->record.step > 0 && run->record.step == run->record.n_steps;
}

/* Steps until the last one, a failure or a signal; then measures a training that went to its end and saves the model.
 */
static lgt_status train(training *run, lgt_error *err) {
    lgt_status status = LGT_OK;
    cli_signals_watch();
    cli_progress_start(&run->progress, run->args);
    do status = step(run, err);
    while (!status && run->record.step < run->record.n_steps && !cli_signal_caught());
    cli_progress_stop(&run->progress);
    if (!status && is_finished(run))
        status = lgt_trainer_objective(run->trainer, &run->train_loss, &run->objective, err);
    return status ? status : lgt_model_save(lgt_trainer_model(run->trainer), run->folder.model, err);
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
    cli_put_real(report, "train_accuracy", record->step > 0 ? record->epoch_accuracy : NAN);
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
    cli_put_integer(report, "parameters", lgt_model_n_params(lgt_trainer_model(run->trainer)));
    cli_put_integer(report, "zero_rows", record->zero_rows);
    cli_put_text(report, "model", failure ? NULL : run->folder.model);
    cli_put_text(report, "metrics", run->folder.metrics);
    cli_put_text(report, "run", run->folder.run);
    cli_put_text(report, "report", run->wants_report ? run->folder.report : NULL);
    return report;
}

static lgt_status write_run(training *run, json_t *results, lgt_error *err) {
    json_t *data = json_object();
    cli_put(data, "train", cli_describe_dataset(cli_text(run->args, "data"), run->data));
    if (run->test) cli_put(data, "test", cli_describe_dataset(run->test_spec, run->test));
    return cli_run_write(run->context, run->args, &run->folder, &run->options.loss, data, results, err);
}

/* A training that failed leaves its metrics and run.json, which tell why; what happens to these writes is secondary. */
static void record_failure(training *run, const lgt_error *failure) {
    lgt_error ignored;
    if (run->folder.log) cli_metrics_failure(&run->folder, failure, &ignored);
    lgt_log_close(run->folder.log, &ignored);
    run->folder.log = NULL;
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

static lgt_status finish(training *run, lgt_error *err) {
    lgt_status status = close_log(run, err);
    if (status) return status;
    json_t *results = describe_results(run, NULL);
    status = write_run(run, json_incref(results), err);
    if (!status) status = write_report(run, err);
    if (!status && is_finished(run)) cli_report_print(run->args, json_incref(results));
    json_decref(results);
    if (!status && !is_finished(run))
        status = cli_fail(err, LGT_ERR_INTERRUPTED, "interrupted after step %lld of %lld; the model as it stands is %s",
                          (long long)run->record.step, (long long)run->record.n_steps, run->folder.model);
    return status;
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

static lgt_status run_train(const cli_args *args, lgt_error *err) {
    training run = {.args = args, .train_loss = NAN, .objective = NAN, .wants_report = !cli_flag(args, "no-report")};
    run.measures = (cli_measures){NAN, NAN, NAN, {NAN, NAN, NAN, NAN}, {NAN, NAN, NAN}};
    lgt_status status = prepare(&run, err);
    if (!status) status = cli_run_folder_create(run.context, &run.folder, err);
    if (!status) {
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
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes =
        "Files written to DIR\n"
        "  model.safetensors  weights, normalisation, labels and loss\n"
        "  metrics.jsonl      a line every --log-every steps and one an epoch\n"
        "  run.json           configuration, versions, data and results\n"
        "  analysis.json      what the report shows of the model: angles, ROC, calibration, confusions, a map\n"
        "  report.html        all of it as charts, in one file that needs no network\n"
        "lbfgs and newton-cg need --encoder none and use none of --epochs, --batch, --lr, --momentum,\n"
        "--weight-decay, --schedule, --warmup and --seed for a softmax head, which starts at 0. certified_gap is a\n"
        "proven bound of the objective's distance to its minimum (softmax with --l2 and without --z-loss).\n"
        "The first SIGINT or SIGTERM ends the training after its step, with the model as it stands (exit code\n"
        "130 or 143). Numbers that are not finite end it with exit code 4 and no model.",
    .examples = "  logitude train --data fashion-mnist --loss arcface:s=16,m=0.3 --epochs 10 --out runs/arcface\n"
                "  logitude train --data x.npy,y.npy --loss softmax --encoder none --l2 1e-4 --optimizer lbfgs\n"
                "  logitude train --config fashion.conf --seed 3 --json",
    .run = run_train,
};
