/* logitude explain: for single rows or a whole set, why the gradient points where it does. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explain_report.h"
#include "head_arrays.h"
#include "logitude/logitude.h"
#include "output.h"
#include "session.h"
#include "verbs.h"

static const cli_option options[] = {
    {.name = "model",
     .kind = CLI_INPUT,
     .metavar = "FILE",
     .group = "Input",
     .help = "model.safetensors that train wrote"},
    {.name = "data",
     .kind = CLI_DATA,
     .metavar = "D",
     .group = "Input",
     .help = "labelled data to explain: fashion-mnist, a folder, or FEATURES,LABELS"},
    CLI_OPTION_LABEL_COLUMN("the last one"),
    {.name = "loss",
     .kind = CLI_TEXT,
     .metavar = "SPEC",
     .group = "Input as arrays",
     .help = "the loss: NAME[:key=value,...], see 'logitude losses'"},
    CLI_OPTION_LIKE("Input as arrays"),
    CLI_OPTION_FILE("features", "X", "Input as arrays", 0, "features (N, D)"),
    CLI_OPTION_WEIGHTS("Input as arrays", 0),
    CLI_OPTION_FILE("labels", "Y", "Input as arrays", 0, "labels (N) in [0, C)"),
    CLI_OPTION_BIAS("Input as arrays"),
    CLI_OPTION_SOFT_TARGETS("Input as arrays"),
    CLI_OPTION_CLASS_MARGINS("Input as arrays"),
    CLI_OPTION_CLASS_SCALES("Input as arrays"),
    CLI_OPTION_QUALITIES("Input as arrays"),
    {.name = "rows",
     .kind = CLI_TEXT,
     .metavar = "I,J,...",
     .group = "Rows",
     .help = "the rows to explain, counted from 0 (default: all)"},
    {.name = "limit",
     .kind = CLI_INTEGER,
     .metavar = "N",
     .least = 1,
     .greatest = CLI_INTEGER_MOST,
     .group = "Rows",
     .help = "explain the first N rows only"},
    CLI_OPTION_LABEL_SMOOTHING("Computation"),
    CLI_OPTION_Z_LOSS("Computation"),
    {.name = "ignore-label",
     .kind = CLI_INTEGER,
     .metavar = "L",
     .least = -INFINITY,
     .greatest = INFINITY,
     .group = "Computation",
     .help = "rows with this label feel no force (default: none)"},
    {.name = "step",
     .kind = CLI_INTEGER,
     .metavar = "T",
     .least = 0,
     .greatest = CLI_INTEGER_MOST,
     .group = "Computation",
     .help = "the step whose lambda or warm-up holds (default: the model's, or 0)"},
    {.name = "pushers",
     .kind = CLI_INTEGER,
     .metavar = "K",
     .default_text = "3",
     .least = 0,
     .greatest = 1000000,
     .group = "Output",
     .help = "classes to name that push hardest"},
    {.name = "out",
     .kind = CLI_FOLDER,
     .metavar = "DIR",
     .group = "Output",
     .help = "folder for the forces and all numbers as arrays (default: they are only printed)"},
};

enum { TABLE_ROWS = 20 };

typedef struct explanation {
    cli_subject subject; /* of --model; its context is that of the arrays too */
    cli_head_arrays arrays;
    lgt_loss loss;
    int64_t n_rows, n_classes, dim;
    int64_t *rows; /* those asked for, or all */
    double *numbers;
    int64_t *names;
    lgt_head *head;
    lgt_head_inputs in;
    lgt_explain_options options;
    cli_explained explained;
} explanation;

/* --- Which input --- */

static lgt_status check_args(const cli_args *args, lgt_error *err) {
    static const char *const of_arrays[] = {"loss", "like",         "features",      "weights",      "labels",
                                            "bias", "soft-targets", "class-margins", "class-scales", "qualities"};
    static const char *const of_model[] = {"data", "label-column"};
    static const char *const needed[] = {"loss", "features", "weights", "labels"};
    const char *model = cli_text(args, "model"), *missing = NULL;
    if (cli_text(args, "rows") && cli_text(args, "limit"))
        return cli_fail(err, LGT_ERR_USAGE, "found --rows and --limit, expected one of them");
    for (size_t k = 0; model && k < sizeof of_arrays / sizeof *of_arrays; k++)
        if (cli_text(args, of_arrays[k]))
            return cli_fail(err, LGT_ERR_USAGE, "--%s belongs to arrays, but --model is given", of_arrays[k]);
    for (size_t k = 0; !model && k < sizeof of_model / sizeof *of_model; k++)
        if (cli_text(args, of_model[k]))
            return cli_fail(err, LGT_ERR_USAGE, "--%s belongs to a model: give --model FILE as well", of_model[k]);
    if (model && !cli_text(args, "data")) missing = "data";
    for (size_t k = 0; !model && !missing && k < sizeof needed / sizeof *needed; k++)
        if (!cli_text(args, needed[k])) missing = needed[k];
    if (missing && strcmp(missing, "labels") == 0 && cli_text(args, "soft-targets")) missing = NULL;
    if (missing)
        return cli_fail(err, LGT_ERR_USAGE,
                        "explain needs --model and --data, or --loss, --features, --weights and --labels; found no "
                        "--%s",
                        missing);
    return LGT_OK;
}

static lgt_status open_model(const cli_args *args, explanation *x, lgt_error *err) {
    cli_subject *s = &x->subject;
    lgt_status status = cli_subject_open(args, NULL, 1, s, err);
    if (!status)
        status = cli_relabel(s->context, s->data, cli_text(args, "data"), lgt_model_label_names(s->model),
                             lgt_model_n_classes(s->model), err);
    if (status) return status;
    x->loss = *lgt_model_loss(s->model);
    x->n_rows = s->data->n_rows, x->dim = s->dim, x->n_classes = lgt_model_n_classes(s->model);
    x->options.dtype = LGT_F32;
    /* The state is where training left it. */
    x->in = (lgt_head_inputs){.x = cli_subject_view(s),
                              .w = lgt_model_weights(s->model),
                              .b = lgt_model_bias(s->model),
                              .labels = s->data->labels,
                              .step = lgt_model_step(s->model),
                              .frozen = 1};
    x->explained.names = lgt_model_label_names(s->model);
    return LGT_OK;
}

static lgt_status open_arrays(const cli_args *args, explanation *x, lgt_error *err) {
    cli_head_arrays *a = &x->arrays;
    a->dtype = x->options.dtype = LGT_F64;
    a->ignore_label = x->options.ignore_label;
    lgt_status status = cli_head_loss_open(args, &a->loss, err);
    if (!status) status = cli_context_open(args, &x->subject.context, err);
    a->context = x->subject.context;
    if (!status) status = cli_head_arrays_read(args, a, err);
    if (!status) status = cli_head_rules_read(args, a, err);
    if (status) return status;
    x->loss = a->loss;
    x->n_rows = a->n_rows, x->dim = a->dim, x->n_classes = a->n_classes;
    x->in = cli_head_inputs(a);
    return LGT_OK;
}

/* --- Which rows --- */

/* "0,5,17" */
static lgt_status read_rows(const char *text, explanation *x, lgt_error *err) {
    int64_t count = 1;
    for (const char *c = text; *c; c++) count += *c == ',';
    x->rows = cli_alloc(count, sizeof *x->rows);
    for (int64_t k = 0; k < count; k++) {
        char *end = NULL;
        errno = 0;
        long long row = strtoll(text, &end, 10);
        int last = k == count - 1, whole = end != text && *end == (last ? '\0' : ',');
        if (errno || !whole || row < 0 || row >= x->n_rows)
            return cli_fail(err, LGT_ERR_USAGE, "--rows: found '%.40s', expected row numbers from 0 to %lld", text,
                            (long long)x->n_rows - 1);
        x->rows[k] = row;
        text = end + 1;
    }
    x->explained.n = count;
    return LGT_OK;
}

static lgt_status choose_rows(const cli_args *args, explanation *x, lgt_error *err) {
    if (cli_text(args, "rows")) return read_rows(cli_text(args, "rows"), x, err);
    x->explained.n = x->n_rows;
    if (cli_text(args, "limit") && cli_integer(args, "limit") < x->n_rows) x->explained.n = cli_integer(args, "limit");
    x->rows = cli_alloc(x->explained.n, sizeof *x->rows);
    for (int64_t i = 0; i < x->explained.n; i++) x->rows[i] = i;
    return LGT_OK;
}

/* --- The explanation --- */

static void allocate(explanation *x, int vectors) {
    cli_explained *e = &x->explained;
    int64_t n = e->n, k = e->n_pushers, width = CLI_EXPLAIN_FIELDS + k + (vectors ? 2 * x->dim : 0);
    x->numbers = cli_alloc(n, (size_t)width * sizeof *x->numbers);
    x->names = cli_alloc(n, (size_t)(1 + k) * sizeof *x->names);
    for (int f = 0; f < CLI_EXPLAIN_FIELDS; f++)
        *cli_explain_array(&e->told, &cli_explain_fields[f]) = x->numbers + f * n;
    e->told.pusher_shares = x->numbers + CLI_EXPLAIN_FIELDS * n;
    if (vectors) {
        e->told.attraction_x = e->told.pusher_shares + k * n;
        e->told.repulsion_x = e->told.attraction_x + x->dim * n;
    }
    e->told.nearest = x->names;
    e->told.pushers = x->names + n;
}

static lgt_status compute(const cli_args *args, explanation *x, lgt_error *err) {
    cli_explained *e = &x->explained;
    x->options.label_smoothing = cli_real(args, "label-smoothing");
    x->options.z_loss = cli_real(args, "z-loss");
    x->options.n_pushers = e->n_pushers =
        cli_integer(args, "pushers") < x->n_classes ? cli_integer(args, "pushers") : x->n_classes;
    x->options.rows = e->rows = x->rows;
    x->options.n_rows = e->n;
    if (cli_text(args, "step")) x->in.step = cli_integer(args, "step");
    e->labels = x->in.soft_targets.data ? NULL : x->in.labels;
    e->ignore_label = x->options.ignore_label;
    e->dim = x->dim;
    allocate(x, cli_text(args, "out") != NULL);
    lgt_status status = lgt_head_create(x->subject.context, &x->loss, x->dim, x->n_classes, &x->head, err);
    return status ? status : lgt_explain_run(x->head, &x->options, &x->in, &e->told, err);
}

/* --- Output --- */

enum { FILES = CLI_EXPLAIN_FIELDS + 6 };

static void list_files(explanation *x, cli_array_file files[FILES]) {
    cli_explained *e = &x->explained;
    const cli_array_file others[] = {{"rows.npy", LGT_I64, 1, e->n, 0, e->rows},
                                     {"attraction.npy", LGT_F64, 2, e->n, e->dim, e->told.attraction_x},
                                     {"repulsion.npy", LGT_F64, 2, e->n, e->dim, e->told.repulsion_x},
                                     {"nearest.npy", LGT_I64, 1, e->n, 0, e->told.nearest},
                                     {"pushers.npy", LGT_I64, 2, e->n, e->n_pushers, e->told.pushers},
                                     {"pusher_shares.npy", LGT_F64, 2, e->n, e->n_pushers, e->told.pusher_shares}};
    for (int k = 0; k < CLI_EXPLAIN_FIELDS; k++)
        files[k] = (cli_array_file){
            cli_explain_fields[k].file, LGT_F64, 1, e->n, 0, *cli_explain_array(&e->told, &cli_explain_fields[k])};
    memcpy(files + CLI_EXPLAIN_FIELDS, others, sizeof others);
}

static lgt_status check_files(explanation *x, const char *folder, lgt_error *err) {
    cli_array_file files[FILES];
    list_files(x, files);
    return cli_array_files_check(folder, files, FILES, err);
}

static lgt_status write_files(explanation *x, const char *folder, json_t *written, lgt_error *err) {
    cli_array_file files[FILES];
    list_files(x, files);
    return cli_array_files_write(x->subject.context, folder, files, FILES, written, err);
}

static void print_report(const cli_args *args, const explanation *x, json_t *files) {
    static const char *const modes[] = {"exact", "detached", "unit"};
    static const char *const meanings[] = {"the derivative of the loss", "the margin counts as a constant",
                                           "coefficients of w and x scaled to norm 1"};
    const cli_explained *e = &x->explained;
    char spec[LGT_LOSS_SPEC_SIZE];
    json_t *report = cli_report("explain"), *summary = cli_explain_summary(e);
    int mode = (int)lgt_loss_value(&x->loss, "gradient");
    lgt_loss_format(&x->loss, spec, sizeof spec);
    if (cli_flag(args, "json")) {
        cli_put_text(report, "spec", spec);
        cli_put_integer(report, "step", x->in.step);
        cli_put_text(report, "gradient_mode", modes[mode]);
        cli_put(report, "rows", cli_explain_rows(e));
        cli_put(report, "summary", json_incref(summary));
        cli_put(report, "files", json_incref(files));
        cli_report_print(args, json_incref(report));
    } else {
        printf("%s at step %lld, %lld row%s\ngradient=%s: %s\n", spec, (long long)x->in.step, (long long)e->n,
               e->n == 1 ? "" : "s", modes[mode], meanings[mode]);
        if (e->n <= TABLE_ROWS)
            cli_explain_print_rows(e);
        else
            cli_explain_print_summary(summary);
    }
    json_decref(summary);
    json_decref(report);
}

static void release(explanation *x) {
    lgt_head_free(x->head);
    free(x->names);
    free(x->numbers);
    free(x->rows);
    cli_head_arrays_free(&x->arrays);
    cli_subject_close(&x->subject);
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    const char *folder = cli_text(args, "out");
    explanation x = {.n_rows = 0};
    json_t *files = json_array();
    lgt_explain_options_init(&x.options);
    if (cli_text(args, "ignore-label")) x.options.ignore_label = cli_integer(args, "ignore-label");
    lgt_status status = check_args(args, err);
    if (!status && folder) status = check_files(&x, folder, err);
    if (!status) status = cli_text(args, "model") ? open_model(args, &x, err) : open_arrays(args, &x, err);
    if (!status) status = choose_rows(args, &x, err);
    if (!status) status = compute(args, &x, err);
    if (!status && folder) status = write_files(&x, folder, files, err);
    if (!status) print_report(args, &x, files);
    json_decref(files);
    release(&x);
    return status;
}

const cli_verb cli_verb_explain = {
    .name = "explain",
    .summary = "why the gradients of rows point where they do: forces, angles, bounds",
    .usage = "--model FILE --data D [options] | --loss SPEC --features X --weights W --labels Y",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "Up to 20 rows show as a table, more as quantiles; --json has every row and the quantiles.\n"
             "attract, repulse  lengths of what the row's class and all others add to dL/dx of the row\n"
             "alpha             angular force of the loss's target logit over the plain head's\n"
             "radial %          share of |dL/dx|^2 that changes the length of the feature alone\n"
             "at most           sqrt(2) (1 - p_y) |W centred|, with what the margin adds; see docs/analysis.md\n"
             "to detach         angle between the gradients of gradient=exact and gradient=detached\n"
             "Files written to DIR: attraction.npy and repulsion.npy (rows, D), rows.npy, and one of every number.\n"
             "A model's loss keeps the state that training left; of arrays, a loss with a state moves it first.",
    .examples = "  logitude explain --model m.safetensors --data fashion-mnist --rows 0,5,17\n"
                "  logitude explain --model m.safetensors --data fashion-mnist --json\n"
                "  logitude explain --loss arcface --features x.npy --weights w.npy --labels y.npy --out forces",
    .run = run,
};
