/* logitude grad: loss and gradients of arrays given as files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "logitude/logitude.h"
#include "outfile.h"
#include "output.h"
#include "session.h"
#include "verbs.h"

static const char *const engines[] = {"cpu", "reference", NULL};
static const char *const dtypes[] = {"f64", "f32", NULL};
static const char *const dtypes_later[] = {"bf16x3", "bf16", NULL};
static const char *const reductions[] = {"mean", "sum", NULL};

static const cli_option options[] = {
    CLI_OPTION_LOSS("Input"),
    CLI_OPTION_LIKE("Input"),
    {.name = "features",
     .kind = CLI_PATH,
     .metavar = "X",
     .marks = CLI_REQUIRED,
     .group = "Input",
     .help = "features (N, D), .npy (f2, f4, f8, u1, i4, i8) or IDX"},
    {.name = "weights",
     .kind = CLI_PATH,
     .metavar = "W",
     .marks = CLI_REQUIRED,
     .group = "Input",
     .help = "weights (C, D), one class a row"},
    {.name = "labels",
     .kind = CLI_PATH,
     .metavar = "Y",
     .marks = CLI_REQUIRED,
     .group = "Input",
     .help = "labels (N), whole numbers in [0, C)"},
    {.name = "bias", .kind = CLI_PATH, .metavar = "B", .group = "Input", .help = "bias (C), where the loss has one"},
    {.name = "sample-weights",
     .kind = CLI_PATH,
     .metavar = "A",
     .group = "Input",
     .help = "weight of every row (N), at least 0"},
    {.name = "class-weights",
     .kind = CLI_PATH,
     .metavar = "K",
     .group = "Input",
     .help = "weight of every class (C), at least 0"},
    {.name = "dtype",
     .kind = CLI_CHOICE,
     .metavar = "TYPE",
     .default_text = "f64",
     .words = dtypes,
     .later = dtypes_later,
     .group = "Computation",
     .help = "the type to work in and to write gradients in"},
    {.name = "engine",
     .kind = CLI_CHOICE,
     .metavar = "ENGINE",
     .default_text = "cpu",
     .words = engines,
     .group = "Computation",
     .help = "cpu streams and is fast; reference is plain loops in double"},
    {.name = "reduction",
     .kind = CLI_CHOICE,
     .metavar = "R",
     .default_text = "mean",
     .words = reductions,
     .group = "Computation",
     .help = "mean (weighted) or sum over the rows"},
    CLI_OPTION_LABEL_SMOOTHING("Computation"),
    CLI_OPTION_Z_LOSS("Computation"),
    {.name = "ignore-label",
     .kind = CLI_INTEGER,
     .metavar = "L",
     .least = -INFINITY,
     .greatest = INFINITY,
     .group = "Computation",
     .help = "rows with this label count for nothing (default: none)"},
    {.name = "out",
     .kind = CLI_PATH,
     .metavar = "DIR",
     .group = "Output",
     .help = "folder for the results (default: only the figures are printed)"},
};

typedef struct problem {
    lgt_context *context;
    lgt_loss loss;
    lgt_dtype dtype;
    lgt_array x, w, b, y, sample_weights, class_weights;
    int64_t n_rows, n_classes, dim, ignore_label;
    double *loss_rows;
    void *dx, *dw, *db;
    lgt_head *head;
    lgt_plan *plan;
    lgt_head_outputs out;
} problem;

/* --- Input --- */

static void format_shape(const lgt_array *array, char *out, size_t size) {
    size_t used = (size_t)snprintf(out, size, "(");
    for (int i = 0; i < array->n_dims && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%lld", i ? ", " : "", (long long)array->shape[i]);
    if (used < size) snprintf(out + used, size - used, array->n_dims == 1 ? ",)" : ")");
}

/* Reads an array of n_dims dimensions; `what` says what its shape should be. */
static lgt_status read_array(problem *p, const char *path, lgt_dtype dtype, int n_dims, const char *what,
                             lgt_array *out, lgt_error *err) {
    char shape[128];
    lgt_status status = lgt_array_read(p->context, path, out, err);
    if (status) return status;
    format_shape(out, shape, sizeof shape);
    if (out->n_dims != n_dims) return cli_fail(err, LGT_ERR_DATA, "%s: shape %s, expected %s", path, shape, what);
    status = lgt_array_convert(p->context, out, dtype, err);
    return status ? cli_fail_in(err, status, path) : LGT_OK;
}

static lgt_status check_length(const char *path, const lgt_array *array, int axis, int64_t wanted, const char *why,
                               lgt_error *err) {
    char shape[128];
    if (array->shape[axis] == wanted) return LGT_OK;
    format_shape(array, shape, sizeof shape);
    return cli_fail(err, LGT_ERR_DATA, "%s: shape %s, expected %lld %s", path, shape, (long long)wanted, why);
}

/* Values must be finite, and at least `least`. */
static lgt_status check_values(const char *path, const lgt_array *array, double least, lgt_error *err) {
    int64_t columns = array->n_dims == 2 ? array->shape[1] : 1;
    for (int64_t i = 0; i < array->count; i++) {
        double value = array->dtype == LGT_F64 ? ((const double *)array->data)[i] : (double)((float *)array->data)[i];
        if (isfinite(value) && value >= least) continue;
        const char *expected = isinf(least) ? "a finite number" : "a finite number of at least 0";
        if (array->n_dims == 2)
            return cli_fail(err, LGT_ERR_DATA, "%s: row %lld, column %lld: found %g, expected %s", path,
                            (long long)(i / columns), (long long)(i % columns), value, expected);
        return cli_fail(err, LGT_ERR_DATA, "%s: row %lld: found %g, expected %s", path, (long long)i, value, expected);
    }
    return LGT_OK;
}

static lgt_status check_labels(const problem *p, const char *path, lgt_error *err) {
    const int64_t *labels = p->y.data;
    for (int64_t i = 0; i < p->n_rows; i++)
        if ((labels[i] < 0 || labels[i] >= p->n_classes) && labels[i] != p->ignore_label)
            return cli_fail(err, LGT_ERR_DATA, "%s: row %lld: found label %lld, expected 0 to %lld", path, (long long)i,
                            (long long)labels[i], (long long)p->n_classes - 1);
    return LGT_OK;
}

/* A vector that may be missing: double weights of rows or classes, or the bias. */
static lgt_status read_vector(problem *p, const char *path, lgt_dtype dtype, int64_t length, const char *why,
                              double least, lgt_array *out, lgt_error *err) {
    if (!path) return LGT_OK;
    lgt_status status = read_array(p, path, dtype, 1, "a vector", out, err);
    if (!status) status = check_length(path, out, 0, length, why, err);
    if (!status) status = check_values(path, out, least, err);
    return status;
}

static lgt_status read_inputs(const cli_args *args, problem *p, lgt_error *err) {
    const char *x = cli_text(args, "features"), *w = cli_text(args, "weights"), *y = cli_text(args, "labels");
    lgt_status status = read_array(p, x, p->dtype, 2, "(rows, dimensions)", &p->x, err);
    if (!status) status = read_array(p, w, p->dtype, 2, "(classes, dimensions)", &p->w, err);
    if (!status) status = read_array(p, y, LGT_I64, 1, "(rows)", &p->y, err);
    if (status) return status;
    p->n_rows = p->x.shape[0];
    p->dim = p->x.shape[1];
    p->n_classes = p->w.shape[0];
    if (p->dim < 1) status = cli_fail(err, LGT_ERR_DATA, "%s: no columns, expected at least one", x);
    if (p->n_classes < 1) status = cli_fail(err, LGT_ERR_DATA, "%s: no rows, expected at least one class", w);
    if (!status) status = check_length(w, &p->w, 1, p->dim, "columns as in the features", err);
    if (!status) status = check_length(y, &p->y, 0, p->n_rows, "labels, one for every row of the features", err);
    if (!status) status = check_values(x, &p->x, -INFINITY, err);
    if (!status) status = check_values(w, &p->w, -INFINITY, err);
    if (!status) status = check_labels(p, y, err);
    if (!status)
        status = read_vector(p, cli_text(args, "bias"), p->dtype, p->n_classes, "values, one for every class",
                             -INFINITY, &p->b, err);
    if (!status)
        status = read_vector(p, cli_text(args, "sample-weights"), LGT_F64, p->n_rows, "values, one for every row", 0.0,
                             &p->sample_weights, err);
    if (!status)
        status = read_vector(p, cli_text(args, "class-weights"), LGT_F64, p->n_classes, "values, one for every class",
                             0.0, &p->class_weights, err);
    return status;
}

/* --- Computation --- */

static lgt_status create_plan(const cli_args *args, problem *p, lgt_error *err) {
    static const lgt_engine engine_values[] = {LGT_ENGINE_CPU, LGT_ENGINE_REFERENCE};
    static const lgt_reduction reduction_values[] = {LGT_REDUCTION_MEAN, LGT_REDUCTION_SUM};
    lgt_plan_options plan;
    lgt_plan_options_init(&plan);
    plan.engine = engine_values[cli_choice(args, "engine")];
    plan.dtype = p->dtype;
    plan.max_rows = p->n_rows > 0 ? p->n_rows : 1;
    plan.reduction = reduction_values[cli_choice(args, "reduction")];
    plan.label_smoothing = cli_real(args, "label-smoothing");
    plan.z_loss = cli_real(args, "z-loss");
    plan.ignore_label = p->ignore_label;
    lgt_status status = lgt_head_create(p->context, &p->loss, p->dim, p->n_classes, &p->head, err);
    return status ? status : lgt_plan_create(p->head, &plan, &p->plan, err);
}

static lgt_status compute(problem *p, lgt_error *err) {
    size_t size = lgt_dtype_size(p->dtype);
    p->loss_rows = cli_alloc(p->n_rows, sizeof(double));
    p->dx = cli_alloc(p->n_rows, (size_t)p->dim * size);
    p->dw = cli_alloc(p->n_classes, (size_t)p->dim * size);
    p->db = cli_alloc(p->n_classes, size);
    lgt_head_inputs in = {.x = lgt_view_of(p->x.data, p->n_rows, p->dim, p->dtype),
                          .w = lgt_view_of(p->w.data, p->n_classes, p->dim, p->dtype),
                          .b = lgt_view_of(p->b.data, 1, p->n_classes, p->dtype),
                          .labels = p->y.data,
                          .sample_weights = p->sample_weights.data,
                          .class_weights = p->class_weights.data};
    p->out.loss_rows = p->loss_rows;
    p->out.dx = lgt_mut_of(p->dx, p->n_rows, p->dim, p->dtype);
    p->out.dw = lgt_mut_of(p->dw, p->n_classes, p->dim, p->dtype);
    if (p->b.data) p->out.db = lgt_mut_of(p->db, 1, p->n_classes, p->dtype);
    return lgt_plan_run(p->plan, &in, &p->out, err);
}

/* --- Output --- */

static lgt_status check_folder(const char *folder, lgt_error *err) {
    static const char *const names[] = {"loss.npy", "loss_rows.npy", "dx.npy", "dw.npy", "db.npy"};
    lgt_status status = cli_folder_check(folder, err);
    for (size_t i = 0; i < sizeof names / sizeof *names && !status; i++) {
        char *path = cli_path_join(folder, names[i]);
        status = cli_member_check(path, err);
        free(path);
    }
    return status;
}

static lgt_status write_array(problem *p, const char *folder, const char *name, lgt_dtype dtype, int n_dims,
                              int64_t rows, int64_t columns, const void *data, json_t *files, lgt_error *err) {
    int64_t shape[2] = {rows, columns};
    char *path = cli_path_join(folder, name);
    lgt_status status = lgt_npy_write(p->context, path, dtype, n_dims, shape, data, err);
    if (!status) cli_append(files, cli_string(path));
    free(path);
    return status;
}

static lgt_status write_outputs(problem *p, const char *folder, json_t *files, lgt_error *err) {
    int64_t n = p->n_rows, c = p->n_classes, d = p->dim;
    lgt_status status = lgt_folder_create(folder, err);
    if (!status) status = write_array(p, folder, "loss.npy", LGT_F64, 0, 0, 0, &p->out.loss, files, err);
    if (!status) status = write_array(p, folder, "loss_rows.npy", LGT_F64, 1, n, 0, p->loss_rows, files, err);
    if (!status) status = write_array(p, folder, "dx.npy", p->dtype, 2, n, d, p->dx, files, err);
    if (!status) status = write_array(p, folder, "dw.npy", p->dtype, 2, c, d, p->dw, files, err);
    if (!status && p->b.data) status = write_array(p, folder, "db.npy", p->dtype, 1, c, 0, p->db, files, err);
    return status;
}

static void print_report(const cli_args *args, const problem *p, json_t *files) {
    char spec[256];
    json_t *report = cli_report("grad");
    lgt_loss_format(&p->loss, spec, sizeof spec);
    cli_put_text(report, "spec", spec);
    cli_put_real(report, "loss", p->out.loss);
    cli_put_real(report, "weight", p->out.weight);
    cli_put_integer(report, "n_used", p->out.n_used);
    cli_put_integer(report, "n_correct", p->out.n_correct);
    cli_put_integer(report, "n_zero_rows", p->out.n_zero_rows);
    cli_put_integer(report, "n_zero_classes", p->out.n_zero_classes);
    cli_put(report, "files", json_incref(files));
    cli_report_print(args, report);
}

static void free_problem(problem *p) {
    lgt_plan_free(p->plan);
    lgt_head_free(p->head);
    free(p->db);
    free(p->dw);
    free(p->dx);
    free(p->loss_rows);
    lgt_array_free(p->context, &p->class_weights);
    lgt_array_free(p->context, &p->sample_weights);
    lgt_array_free(p->context, &p->b);
    lgt_array_free(p->context, &p->y);
    lgt_array_free(p->context, &p->w);
    lgt_array_free(p->context, &p->x);
    lgt_context_free(p->context);
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    const char *folder = cli_text(args, "out");
    problem p = {.dtype = cli_choice(args, "dtype") == 0 ? LGT_F64 : LGT_F32, .ignore_label = LGT_NO_IGNORE};
    json_t *files = json_array();
    if (cli_text(args, "ignore-label")) p.ignore_label = cli_integer(args, "ignore-label");
    lgt_status status = cli_loss_open(args, &p.loss, err);
    if (!status && cli_text(args, "bias") && !p.loss.info->has_bias)
        status = cli_fail(err, LGT_ERR_USAGE, "--bias is %s, expected none: %s has no bias", cli_text(args, "bias"),
                          p.loss.info->name);
    if (!status && folder) status = check_folder(folder, err);
    if (!status) status = cli_context_open(args, &p.context, err);
    if (!status) status = read_inputs(args, &p, err);
    if (!status) status = create_plan(args, &p, err);
    if (!status) status = compute(&p, err);
    if (!status && folder) status = write_outputs(&p, folder, files, err);
    if (!status) print_report(args, &p, files);
    json_decref(files);
    free_problem(&p);
    return status;
}

const cli_verb cli_verb_grad = {
    .name = "grad",
    .summary = "loss and exact gradients of arrays given as files",
    .usage = "--loss SPEC --features X --weights W --labels Y [options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "Files written to DIR: loss.npy (shape (), float64), loss_rows.npy (N, float64), dx.npy (N, D),\n"
             "dw.npy (C, D) and, with a bias, db.npy (C). Nothing is written when anything is wrong.\n"
             "Schedules of a loss are at step 0.",
    .examples = "  logitude grad --loss arcface:s=64,m=0.5 --features x.npy --weights w.npy --labels y.npy --out g\n"
                "  logitude grad --loss arcface --like insightface --features x.npy --weights w.npy --labels y.npy\n"
                "  logitude grad --loss softmax --features x.npy --weights w.npy --labels y.npy --bias b.npy --json",
    .run = run,
};
