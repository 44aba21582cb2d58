/* logitude grad: loss, gradients and Hessian-vector products of arrays given as files. */
#include <math.h>
#include <stdlib.h>

#include "arrays.h"
#include "logitude/logitude.h"
#include "outfile.h"
#include "output.h"
#include "session.h"
#include "verbs.h"

static const char *const engines[] = {"cpu", "reference", NULL};
static const char *const dtypes[] = {"f64", "f32", NULL};
static const char *const dtypes_later[] = {"bf16x3", "bf16", NULL};
static const char *const reductions[] = {"mean", "sum", "none", NULL};

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
     .help = "weights (C, D), one class a row; with k sub-centres (C k, D)"},
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
    {.name = "soft-targets",
     .kind = CLI_PATH,
     .metavar = "T",
     .group = "Input",
     .help = "targets (N, C), rows that sum to 1, in place of the labels, which then name ignored rows only"},
    {.name = "class-margins",
     .kind = CLI_PATH,
     .metavar = "M",
     .group = "Input",
     .help = "margin of every class (C), in place of the loss's"},
    {.name = "class-scales",
     .kind = CLI_PATH,
     .metavar = "S",
     .group = "Input",
     .help = "scale of every class (C), in place of the loss's"},
    {.name = "qualities",
     .kind = CLI_PATH,
     .metavar = "Q",
     .group = "Input",
     .help = "what adaface's margin reads of every row (N), in place of its norm"},
    {.name = "upstream",
     .kind = CLI_PATH,
     .metavar = "G",
     .group = "Input",
     .help = "gradient by every row's loss (N), for the reduction none"},
    {.name = "direction-x",
     .kind = CLI_PATH,
     .metavar = "VX",
     .group = "Direction",
     .help = "differentiate twice: direction of the features (N, D)"},
    {.name = "direction-w",
     .kind = CLI_PATH,
     .metavar = "VW",
     .group = "Direction",
     .help = "direction of the weights, shaped as they are"},
    {.name = "direction-b",
     .kind = CLI_PATH,
     .metavar = "VB",
     .group = "Direction",
     .help = "direction of the bias (C)"},
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
     .help = "mean (weighted) or sum over the rows, or none: the sum weighted by --upstream"},
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
    lgt_array x, w, b, y, soft, sample_weights, class_weights, class_margins, class_scales, qualities, upstream;
    lgt_array vx, vw, vb;
    int second_order;
    int64_t n_rows, n_classes, dim, ignore_label;
    double *loss_rows;
    void *dx, *dw, *db, *hvp_x, *hvp_w, *hvp_b;
    lgt_head *head;
    lgt_plan *plan;
    lgt_head_outputs out;
} problem;

/* --- Input --- */

static lgt_status check_labels(const problem *p, const char *path, lgt_error *err) {
    const int64_t *labels = p->y.data;
    for (int64_t i = 0; i < p->n_rows; i++)
        if ((labels[i] < 0 || labels[i] >= p->n_classes) && labels[i] != p->ignore_label)
            return cli_fail(err, LGT_ERR_DATA, "%s: row %lld: found label %lld, expected 0 to %lld", path, (long long)i,
                            (long long)labels[i], (long long)p->n_classes - 1);
    return LGT_OK;
}

/* What may be given: a vector or matrix whose first axis has `rows` entries and whose second, if any, `cols`. */
typedef struct optional {
    const char *option;
    lgt_array *array;
    lgt_dtype dtype;
    int64_t rows, cols;
    const char *why; /* of the number of rows */
    double least;
} optional;

static lgt_status read_optional(const cli_args *args, const problem *p, const optional *o, lgt_error *err) {
    const char *path = cli_text(args, o->option);
    int n_dims = o->cols ? 2 : 1;
    lgt_status status =
        cli_array_read(p->context, path, o->dtype, n_dims, o->cols ? "a matrix" : "a vector", o->array, err);
    if (!status) status = cli_array_check_length(path, o->array, 0, o->rows, o->why, err);
    if (!status && o->cols) status = cli_array_check_length(path, o->array, 1, o->cols, "columns", err);
    if (!status) status = cli_array_check_values(path, o->array, o->least, err);
    return status;
}

static lgt_status read_optionals(const cli_args *args, problem *p, lgt_error *err) {
    static const char by_row[] = "values, one for every row", by_class[] = "values, one for every class";
    int64_t n = p->n_rows, c = p->n_classes, rows_w = p->w.shape[0], d = p->dim;
    const optional all[] = {
        {"bias", &p->b, p->dtype, c, 0, by_class, -INFINITY},
        {"sample-weights", &p->sample_weights, LGT_F64, n, 0, by_row, 0},
        {"class-weights", &p->class_weights, LGT_F64, c, 0, by_class, 0},
        {"soft-targets", &p->soft, p->dtype, n, c, "rows, as the features have", 0},
        {"class-margins", &p->class_margins, LGT_F64, c, 0, by_class, -INFINITY},
        {"class-scales", &p->class_scales, LGT_F64, c, 0, by_class, -INFINITY},
        {"qualities", &p->qualities, LGT_F64, n, 0, by_row, -INFINITY},
        {"upstream", &p->upstream, LGT_F64, n, 0, by_row, -INFINITY},
        {"direction-x", &p->vx, p->dtype, n, d, "rows, as the features have", -INFINITY},
        {"direction-w", &p->vw, p->dtype, rows_w, d, "rows, as the weights have", -INFINITY},
        {"direction-b", &p->vb, p->dtype, c, 0, by_class, -INFINITY},
    };
    lgt_status status = LGT_OK;
    for (size_t i = 0; i < sizeof all / sizeof *all && !status; i++) status = read_optional(args, p, &all[i], err);
    return status;
}

static lgt_status read_inputs(const cli_args *args, problem *p, lgt_error *err) {
    const char *x = cli_text(args, "features"), *w = cli_text(args, "weights"), *y = cli_text(args, "labels");
    int64_t centres = lgt_loss_centres(&p->loss);
    lgt_status status = cli_array_read(p->context, x, p->dtype, 2, "(rows, dimensions)", &p->x, err);
    if (!status) status = cli_array_read(p->context, w, p->dtype, 2, "(classes, dimensions)", &p->w, err);
    if (!status) status = cli_array_read(p->context, y, LGT_I64, 1, "(rows)", &p->y, err);
    if (status) return status;
    p->n_rows = p->x.shape[0];
    p->dim = p->x.shape[1];
    p->n_classes = p->w.shape[0] / centres;
    if (p->dim < 1) status = cli_fail(err, LGT_ERR_DATA, "%s: no columns, expected at least one", x);
    if (!status && p->w.shape[0] % centres != 0)
        status = cli_fail(err, LGT_ERR_DATA, "%s: %lld rows, expected a multiple of the %lld centres a class", w,
                          (long long)p->w.shape[0], (long long)centres);
    if (!status && p->n_classes < 1)
        status = cli_fail(err, LGT_ERR_DATA, "%s: no rows, expected at least one class", w);
    if (!status) status = cli_array_check_length(w, &p->w, 1, p->dim, "columns as in the features", err);
    if (!status)
        status = cli_array_check_length(y, &p->y, 0, p->n_rows, "labels, one for every row of the features", err);
    if (!status) status = cli_array_check_values(x, &p->x, -INFINITY, err);
    if (!status) status = cli_array_check_values(w, &p->w, -INFINITY, err);
    if (!status) status = check_labels(p, y, err);
    return status ? status : read_optionals(args, p, err);
}

/* --- Computation --- */

static lgt_status create_plan(const cli_args *args, problem *p, lgt_error *err) {
    static const lgt_engine engine_values[] = {LGT_ENGINE_CPU, LGT_ENGINE_REFERENCE};
    static const lgt_reduction reduction_values[] = {LGT_REDUCTION_MEAN, LGT_REDUCTION_SUM, LGT_REDUCTION_NONE};
    lgt_plan_options plan;
    lgt_plan_options_init(&plan);
    plan.engine = engine_values[cli_choice(args, "engine")];
    plan.dtype = p->dtype;
    plan.max_rows = p->n_rows > 0 ? p->n_rows : 1;
    plan.reduction = reduction_values[cli_choice(args, "reduction")];
    plan.label_smoothing = cli_real(args, "label-smoothing");
    plan.z_loss = cli_real(args, "z-loss");
    plan.ignore_label = p->ignore_label;
    plan.second_order = p->second_order;
    lgt_status status = lgt_head_create(p->context, &p->loss, p->dim, p->n_classes, &p->head, err);
    return status ? status : lgt_plan_create(p->head, &plan, &p->plan, err);
}

static lgt_head_inputs inputs_of(const problem *p) {
    return (lgt_head_inputs){.x = lgt_view_of(p->x.data, p->n_rows, p->dim, p->dtype),
                             .w = lgt_view_of(p->w.data, p->w.shape[0], p->dim, p->dtype),
                             .b = lgt_view_of(p->b.data, 1, p->n_classes, p->dtype),
                             .labels = p->y.data,
                             .soft_targets = lgt_view_of(p->soft.data, p->n_rows, p->n_classes, p->dtype),
                             .sample_weights = p->sample_weights.data,
                             .class_weights = p->class_weights.data,
                             .class_margins = p->class_margins.data,
                             .class_scales = p->class_scales.data,
                             .qualities = p->qualities.data,
                             .upstream = p->upstream.data};
}

static lgt_status compute(problem *p, lgt_error *err) {
    size_t size = lgt_dtype_size(p->dtype), row = (size_t)p->dim * size;
    int64_t rows_w = p->w.shape[0];
    p->loss_rows = cli_alloc(p->n_rows, sizeof(double));
    p->dx = cli_alloc(p->n_rows, row);
    p->dw = cli_alloc(rows_w, row);
    p->db = cli_alloc(p->n_classes, size);
    lgt_head_inputs in = inputs_of(p);
    p->out.loss_rows = p->loss_rows;
    p->out.dx = lgt_mut_of(p->dx, p->n_rows, p->dim, p->dtype);
    p->out.dw = lgt_mut_of(p->dw, rows_w, p->dim, p->dtype);
    if (p->b.data) p->out.db = lgt_mut_of(p->db, 1, p->n_classes, p->dtype);
    lgt_status status = lgt_plan_run(p->plan, &in, &p->out, err);
    if (status || !p->second_order) return status;
    p->hvp_x = cli_alloc(p->n_rows, row);
    p->hvp_w = cli_alloc(rows_w, row);
    p->hvp_b = cli_alloc(p->n_classes, size);
    lgt_direction along = {lgt_view_of(p->vx.data, p->n_rows, p->dim, p->dtype),
                           lgt_view_of(p->vw.data, rows_w, p->dim, p->dtype),
                           lgt_view_of(p->vb.data, 1, p->n_classes, p->dtype)};
    lgt_hvp out = {.x = lgt_mut_of(p->hvp_x, p->n_rows, p->dim, p->dtype),
                   .w = lgt_mut_of(p->hvp_w, rows_w, p->dim, p->dtype),
                   .b = lgt_mut_of(p->b.data ? p->hvp_b : NULL, 1, p->n_classes, p->dtype)};
    return lgt_plan_hvp(p->plan, &in, &along, &out, err);
}

/* --- Output --- */

static lgt_status check_folder(const char *folder, lgt_error *err) {
    static const char *const names[] = {"loss.npy", "loss_rows.npy", "dx.npy",    "dw.npy",
                                        "db.npy",   "hvp_x.npy",     "hvp_w.npy", "hvp_b.npy"};
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
    int64_t n = p->n_rows, c = p->n_classes, rows_w = p->w.shape[0], d = p->dim;
    const struct {
        const char *name;
        lgt_dtype dtype;
        int n_dims;
        int64_t rows, cols;
        const void *data;
    } all[] = {{"loss.npy", LGT_F64, 0, 0, 0, &p->out.loss},
               {"loss_rows.npy", LGT_F64, 1, n, 0, p->loss_rows},
               {"dx.npy", p->dtype, 2, n, d, p->dx},
               {"dw.npy", p->dtype, 2, rows_w, d, p->dw},
               {"db.npy", p->dtype, 1, c, 0, p->b.data ? p->db : NULL},
               {"hvp_x.npy", p->dtype, 2, n, d, p->hvp_x},
               {"hvp_w.npy", p->dtype, 2, rows_w, d, p->hvp_w},
               {"hvp_b.npy", p->dtype, 1, c, 0, p->b.data ? p->hvp_b : NULL}};
    lgt_status status = lgt_folder_create(folder, err);
    for (size_t i = 0; i < sizeof all / sizeof *all && !status; i++)
        if (all[i].data)
            status = write_array(p, folder, all[i].name, all[i].dtype, all[i].n_dims, all[i].rows, all[i].cols,
                                 all[i].data, files, err);
    return status;
}

static void print_report(const cli_args *args, const problem *p, json_t *files) {
    char spec[LGT_LOSS_SPEC_SIZE];
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
    void *blocks[] = {p->hvp_b, p->hvp_w, p->hvp_x, p->db, p->dw, p->dx, p->loss_rows};
    lgt_array *arrays[] = {&p->vb,
                           &p->vw,
                           &p->vx,
                           &p->upstream,
                           &p->qualities,
                           &p->class_scales,
                           &p->class_margins,
                           &p->class_weights,
                           &p->sample_weights,
                           &p->soft,
                           &p->b,
                           &p->y,
                           &p->w,
                           &p->x};
    lgt_plan_free(p->plan);
    lgt_head_free(p->head);
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) lgt_array_free(p->context, arrays[i]);
    lgt_context_free(p->context);
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    const char *folder = cli_text(args, "out");
    problem p = {.dtype = cli_choice(args, "dtype") == 0 ? LGT_F64 : LGT_F32, .ignore_label = LGT_NO_IGNORE};
    json_t *files = json_array();
    p.second_order = cli_text(args, "direction-x") || cli_text(args, "direction-w") || cli_text(args, "direction-b");
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
    .summary = "loss, exact gradients and Hessian-vector products of arrays given as files",
    .usage = "--loss SPEC --features X --weights W --labels Y [options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "Files written to DIR: loss.npy (shape (), float64), loss_rows.npy (N, float64), dx.npy (N, D),\n"
             "dw.npy (C, D) and, with a bias, db.npy (C); with a direction also hvp_x.npy, hvp_w.npy and\n"
             "hvp_b.npy: the Hessian of the loss times that direction (zeros where none is given).\n"
             "Nothing is written when anything is wrong. Schedules of a loss are at step 0; a loss with a\n"
             "state (adaface, curricularface) moves it by this batch first: ema=0 keeps what the spec says.",
    .examples = "  logitude grad --loss arcface:s=64,m=0.5 --features x.npy --weights w.npy --labels y.npy --out g\n"
                "  logitude grad --loss arcface --like insightface --features x.npy --weights w.npy --labels y.npy\n"
                "  logitude grad --loss softmax --features x.npy --weights w.npy --labels y.npy --bias b.npy --json\n"
                "  logitude grad --loss arcface --features x.npy --weights w.npy --labels y.npy \\\n"
                "    --direction-x vx.npy --direction-w vw.npy --out g",
    .run = run,
};
