/* logitude conflict: the forces of a head against those of direction alignment, row by row. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "head_arrays.h"
#include "help.h"
#include "logitude/logitude.h"
#include "outfile.h"
#include "output.h"
#include "run_folder.h"
#include "session.h"
#include "streams.h"
#include "verbs.h"

static const char *const dtypes[] = {"f64", "f32", NULL};

static const cli_option options[] = {
    {.name = "loss",
     .kind = CLI_TEXT,
     .metavar = "SPEC",
     .group = "Arrays",
     .help = "the loss: NAME[:key=value,...], see 'logitude losses'; a model has its own"},
    CLI_OPTION_LIKE("Arrays"),
    CLI_OPTION_FILE("features", "X", "Arrays", 0, "features (N, D), .npy or IDX"),
    CLI_OPTION_FILE("weights", "W", "Arrays", 0, "weights (C, D), one class a row"),
    CLI_OPTION_FILE("labels", "Y", "Arrays", 0, "labels (N) in [0, C)"),
    CLI_OPTION_BIAS("Arrays"),
    {.name = "dtype",
     .kind = CLI_CHOICE,
     .metavar = "TYPE",
     .default_text = "f64",
     .words = dtypes,
     .group = "Arrays",
     .help = "the type of the head's work; a model's is f32"},
    {.name = "model",
     .kind = CLI_INPUT,
     .metavar = "FILE",
     .group = "Model",
     .help = "model.safetensors that train wrote, in place of arrays"},
    {.name = "data",
     .kind = CLI_DATA,
     .metavar = "D",
     .group = "Model",
     .help = "labelled data of the model's classes: fashion-mnist, a folder, or FEATURES[,LABELS]"},
    CLI_OPTION_LABEL_COLUMN("the last one"),
    {.name = "align",
     .kind = CLI_TEXT,
     .metavar = "SPEC",
     .default_text = "pga",
     .group = "Alignment",
     .help = "direction alignment, pga[:key=value,...]; all rows are one batch"},
    {.name = "terms",
     .kind = CLI_FLAG,
     .group = "Alignment",
     .help = "list the terms that --align of train and conflict takes, with their parameters"},
    {.name = "out",
     .kind = CLI_OUTPUT,
     .metavar = "FILE",
     .group = "Output",
     .help = "write a line for every row, CSV; - prints them in place of the summary"},
};

typedef struct problem {
    const cli_args *args;
    cli_subject subject; /* of --model */
    lgt_context *context;
    lgt_loss loss;
    lgt_dtype dtype;
    cli_head_arrays arrays;
    lgt_head_inputs in;
    int64_t n_classes;
    int64_t *ids;
    lgt_align_terms terms;
    lgt_head *head;
    lgt_plan *head_plan;
    lgt_align_plan *plan;
    lgt_align_outputs out;
} problem;

/* --- Terms --- */

static json_t *describe_term(const lgt_align_info *info) {
    static const char *const kinds[] = {"real", "integer", "angle", "choice"};
    json_t *object = json_object(), *params = json_array();
    cli_put_text(object, "name", info->name);
    cli_put_text(object, "title", info->title);
    cli_put_text(object, "equation", info->equation);
    for (int i = 0; i < info->n_params; i++) {
        const lgt_param_info *param = &info->params[i];
        json_t *entry = json_object(), *words = json_array();
        cli_put_text(entry, "key", param->key);
        cli_put_text(entry, "kind", kinds[param->kind]);
        cli_put_text(entry, "default", param->default_text);
        for (int k = 0; param->words && param->words[k]; k++) cli_append(words, cli_string(param->words[k]));
        if (param->words) cli_put(entry, "words", json_incref(words));
        json_decref(words);
        if (!param->words) cli_put_real(entry, "low", param->low);
        if (!param->words) cli_put_real(entry, "high", param->high);
        cli_put_text(entry, "help", param->help);
        cli_append(params, entry);
    }
    cli_put(object, "parameters", params);
    return object;
}

static void print_term(const lgt_align_info *info) {
    printf("%s: %s\n  %s\n\n", info->name, info->title, info->equation);
    for (int i = 0; i < info->n_params; i++) {
        const lgt_param_info *param = &info->params[i];
        char range[120] = "";
        size_t used = 0;
        if (!param->words) snprintf(range, sizeof range, "%.6g to %.6g", param->low, param->high);
        for (int k = 0; param->words && param->words[k] && used < sizeof range; k++)
            used += (size_t)snprintf(range + used, sizeof range - used, "%s%s", k ? "|" : "", param->words[k]);
        printf("  %-16s default %-8s %s\n      ", param->key, param->default_text, range);
        cli_print_wrapped(param->help, 6, 6);
    }
    printf("\n");
}

static lgt_status list_terms(const cli_args *args) {
    json_t *report = cli_report("conflict.terms"), *list = json_array();
    for (int i = 0; i < lgt_align_count(); i++) {
        if (!cli_flag(args, "json")) print_term(lgt_align_at(i));
        cli_append(list, describe_term(lgt_align_at(i)));
    }
    cli_put(report, "terms", list);
    if (cli_flag(args, "json")) cli_report_print(args, json_incref(report));
    json_decref(report);
    return LGT_OK;
}

/* --- Input --- */

static lgt_status check_options(const cli_args *args, lgt_error *err) {
    static const char *const arrays[] = {"loss", "features", "weights", "labels"};
    int model = cli_text(args, "model") != NULL, data = cli_text(args, "data") != NULL, n_given = 0;
    const char *missing = NULL;
    for (int i = 0; i < 4; i++) {
        n_given += cli_text(args, arrays[i]) != NULL;
        if (!missing && !cli_text(args, arrays[i])) missing = arrays[i];
    }
    if ((model || data) && (n_given > 0 || cli_text(args, "bias") || cli_text(args, "like")))
        return cli_fail(err, LGT_ERR_USAGE, "--model and --data stand in place of arrays and a loss, found both");
    if (model != data) return cli_fail(err, LGT_ERR_USAGE, "conflict needs --%s", model ? "data D" : "model FILE");
    if (!model && missing)
        return cli_fail(err, LGT_ERR_USAGE,
                        "conflict needs --%s, or --model and --data; see 'logitude conflict --help'", missing);
    return LGT_OK;
}

static lgt_status read_terms(problem *p, lgt_error *err) {
    lgt_status status = lgt_align_parse(cli_text(p->args, "align"), &p->terms, err);
    if (status) return status;
    if (p->terms.n_terms != 1 || p->terms.terms[0].info->kind != LGT_ALIGN_PGA)
        return cli_fail(err, LGT_ERR_USAGE, "--align is '%.100s', expected pga alone: it pulls where the head pulls",
                        cli_text(p->args, "align"));
    const lgt_align_info *info = p->terms.terms[0].info;
    for (int i = 0; i < info->n_params; i++)
        if (strcmp(info->params[i].key, "targets") == 0 &&
            strcmp(info->params[i].words[(int)p->terms.terms[0].values[i]], "layer") == 0)
            return cli_fail(err, LGT_ERR_USAGE, "targets=layer needs another layer, expected batch or memory");
    return LGT_OK;
}

static lgt_status read_arrays(problem *p, lgt_error *err) {
    cli_head_arrays *a = &p->arrays;
    a->dtype = p->dtype = cli_choice(p->args, "dtype") == 0 ? LGT_F64 : LGT_F32;
    a->ignore_label = LGT_NO_IGNORE;
    lgt_status status = cli_head_loss_open(p->args, &a->loss, err);
    if (!status) status = cli_context_open(p->args, &p->context, err);
    a->context = p->context;
    if (!status) status = cli_head_arrays_read(p->args, a, err);
    if (status) return status;
    p->loss = a->loss;
    p->n_classes = a->n_classes;
    p->in = cli_head_inputs(a);
    return LGT_OK;
}

static lgt_status read_model(problem *p, lgt_error *err) {
    lgt_status status = cli_subject_open(p->args, NULL, 1, &p->subject, err);
    p->context = p->subject.context;
    if (status) return status;
    lgt_model *model = p->subject.model;
    p->loss = *lgt_model_loss(model);
    p->dtype = LGT_F32;
    p->n_classes = lgt_model_n_classes(model);
    p->in = (lgt_head_inputs){.x = cli_subject_view(&p->subject),
                              .w = lgt_model_weights(model),
                              .b = lgt_model_bias(model),
                              .step = lgt_model_step(model),
                              .frozen = 1};
    status = cli_relabel(p->context, p->subject.data, cli_text(p->args, "data"), lgt_model_label_names(model),
                         p->n_classes, err);
    p->in.labels = p->subject.data->labels;
    return status;
}

/* --- Work --- */

static lgt_status compare(problem *p, lgt_error *err) {
    lgt_plan_options plan;
    int64_t n = p->in.x.rows;
    lgt_plan_options_init(&plan);
    plan.dtype = p->dtype;
    plan.max_rows = n > 0 ? n : 1;
    p->ids = cli_alloc(n, sizeof *p->ids);
    p->out.rows = cli_alloc(n, sizeof *p->out.rows);
    for (int64_t i = 0; i < n; i++) p->ids[i] = -1 - i; /* a model's bank knows the rows of its training, from 0 on */
    lgt_align_inputs in = {.ids = p->ids, .frozen = 1};
    if (p->subject.model) in.bank = lgt_model_bank(p->subject.model);
    lgt_status status = lgt_head_create(p->context, &p->loss, p->in.x.cols, p->n_classes, &p->head, err);
    if (!status) status = lgt_plan_create(p->head, &plan, &p->head_plan, err);
    if (!status) status = lgt_align_plan_create(p->context, &p->terms.terms[0], p->in.x.cols, n, &p->plan, err);
    return status ? status : lgt_conflict_run(p->head_plan, &p->in, p->plan, &in, &p->out, err);
}

/* --- Output --- */

static void put_number(FILE *out, double value) {
    if (isfinite(value)) fprintf(out, ",%.9g", value);
    if (!isfinite(value)) fputs(",", out);
}

static void write_rows(FILE *out, const void *table) {
    const problem *p = table;
    const double degree = acos(-1) / 180;
    fputs("row,label,neighbours,undefined,inner,cosine,largest_deg,smallest_deg,head,pull,sufficient,exact,printed\n",
          out);
    for (int64_t i = 0; i < p->in.x.rows; i++) {
        const lgt_conflict_row *r = &p->out.rows[i];
        fprintf(out, "%lld,%lld,%lld,%lld", (long long)i, (long long)p->in.labels[i], (long long)r->n_neighbours,
                (long long)r->n_undefined);
        const double numbers[] = {r->inner, r->cosine, r->largest / degree, r->smallest / degree, r->head, r->pull};
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) put_number(out, numbers[k]);
        if (r->compared)
            fprintf(out, ",%d,%d,%d\n", r->sufficient, r->exact, r->printed);
        else
            fputs(",,,\n", out);
    }
}

static void print_report(const problem *p, const char *path) {
    char spec[LGT_LOSS_SPEC_SIZE], align[LGT_ALIGN_SPEC_SIZE];
    json_t *report = cli_report("conflict"), *totals = cli_describe_conflict(&p->out.conflict);
    lgt_loss_format(&p->loss, spec, sizeof spec);
    lgt_align_format(&p->terms, align, sizeof align);
    cli_put_text(report, "loss", spec);
    cli_put_text(report, "align", align);
    cli_put_real(report, "align_loss", p->out.loss);
    json_object_update(report, totals);
    json_decref(totals);
    if (path) cli_put_text(report, "out", path);
    cli_report_print(p->args, report);
}

static void free_problem(problem *p) {
    lgt_align_plan_free(p->plan);
    lgt_plan_free(p->head_plan);
    lgt_head_free(p->head);
    free(p->out.rows);
    free(p->ids);
    if (p->subject.context) {
        cli_subject_close(&p->subject);
        return;
    }
    cli_head_arrays_free(&p->arrays);
    lgt_context_free(p->context);
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    problem p = {.args = args};
    const char *path = cli_text(args, "out");
    int to_stdout = cli_is_stdout(path);
    if (cli_flag(args, "terms")) return list_terms(args);
    lgt_status status = check_options(args, err);
    if (!status) status = read_terms(&p, err);
    if (!status) status = cli_output_check(args, "--out", path, err);
    if (!status) status = cli_text(args, "model") ? read_model(&p, err) : read_arrays(&p, err);
    if (!status) status = compare(&p, err);
    if (!status && path)
        status = cli_out_csv(p.context, args, to_stdout ? CLI_OUT_STDOUT : CLI_OUT_CSV, write_rows, &p, err);
    if (!status && !to_stdout) print_report(&p, path);
    free_problem(&p);
    return status;
}

const cli_verb cli_verb_conflict = {
    .name = "conflict",
    .summary = "compares the forces of a head with those of alignment with neighbours",
    .usage = "(--loss SPEC --features X --weights W --labels Y | --model FILE --data D) [options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "A row conflicts when the head's force and the pull towards its neighbours have a negative inner\n"
             "product. 'sufficient': every angle between the head's force and a neighbour is at most 90 degrees,\n"
             "which excludes a conflict. 'printed': the smallest is, which does not; printed_wrong counts rows\n"
             "that meet it and conflict all the same.",
    .examples = "  logitude conflict --loss arcface:s=16 --features x.npy --weights w.npy --labels y.npy\n"
                "  logitude conflict --model m.safetensors --data fashion-mnist --align pga:k=10 --out rows.csv\n"
                "  logitude conflict --terms",
    .run = run,
};
