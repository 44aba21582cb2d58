/* logitude grad: loss, gradients and Hessian-vector products of arrays given as files. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "head_arrays.h"
#include "logitude/logitude.h"
#include "output.h"
#include "session.h"
#include "verbs.h"

static const char *const engines[] = {"cpu", "reference", NULL};
static const char *const dtypes[] = {"f64", "f32", "bf16x3", "bf16", NULL};
/* What each of these words means. */
static const struct {
    lgt_dtype dtype;
    lgt_precision precision;
} arithmetics[] = {{LGT_F64, LGT_PRECISION_FULL},
                   {LGT_F32, LGT_PRECISION_FULL},
                   {LGT_F32, LGT_PRECISION_BF16X3},
                   {LGT_F32, LGT_PRECISION_BF16}};
static const char *const reductions[] = {"mean", "sum", "none", NULL};

static const cli_option options[] = {
    CLI_OPTION_LOSS("Input"),
    CLI_OPTION_LIKE("Input"),
    CLI_OPTION_FILE("features", "X", "Input", CLI_REQUIRED, "features (N, D), .npy (f2, f4, f8, u1, i4, i8) or IDX"),
    CLI_OPTION_WEIGHTS("Input", CLI_REQUIRED),
    CLI_OPTION_FILE("labels", "Y", "Input", CLI_REQUIRED, "labels (N), whole numbers in [0, C)"),
    CLI_OPTION_BIAS("Input"),
    CLI_OPTION_FILE("sample-weights", "A", "Input", 0, "weight of every row (N), at least 0"),
    CLI_OPTION_FILE("class-weights", "K", "Input", 0, "weight of every class (C), at least 0"),
    CLI_OPTION_SOFT_TARGETS("Input"),
    CLI_OPTION_CLASS_MARGINS("Input"),
    CLI_OPTION_CLASS_SCALES("Input"),
    CLI_OPTION_QUALITIES("Input"),
    CLI_OPTION_FILE("upstream", "G", "Input", 0, "gradient by every row's loss (N), for the reduction none"),
    CLI_OPTION_FILE("direction-x", "VX", "Direction", 0, "differentiate twice: direction of the features (N, D)"),
    CLI_OPTION_DIRECTION_W("Direction"),
    CLI_OPTION_DIRECTION_B("Direction"),
    {.name = "dtype",
     .kind = CLI_CHOICE,
     .metavar = "TYPE",
     .default_text = "f64",
     .words = dtypes,
     .group = "Computation",
     .help = "the type to work in and to write gradients in; bf16x3 and bf16 are f32 whose matrix products take every "
             "number for two or one bfloat16, with errors of about 1e-5 and 1e-2"},
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
    {.name = "workspace",
     .kind = CLI_INTEGER,
     .metavar = "BYTES",
     .least = 1,
     .greatest = INFINITY,
     .group = "Computation",
     .help =
         "memory of the engine cpu: what its work leaves free keeps logits, which else lie in the place of dw, where N "
         "<= D, or are computed twice; with bf16 roundings depend on it, else no bit does (default: 64 MiB)"},
    {.name = "out",
     .kind = CLI_FOLDER,
     .metavar = "DIR",
     .group = "Output",
     .help = "folder for the results (default: only the figures are printed)"},
};

typedef struct problem {
    cli_head_arrays in; /* its context is that of all */
    lgt_array sample_weights, class_weights, upstream, vx, vw, vb;
    int second_order;
    double *loss_rows;
    void *dx, *dw, *db, *hvp_x, *hvp_w, *hvp_b;
    lgt_head *head;
    lgt_plan *plan;
    lgt_head_outputs out;
} problem;

static lgt_status read_inputs(const cli_args *args, problem *p, lgt_error *err) {
    cli_head_arrays *in = &p->in;
    lgt_status status = cli_head_arrays_read(args, in, err);
    if (!status) status = cli_head_rules_read(args, in, err);
    if (status) return status;
    const cli_array_option all[] = {
        {"sample-weights", &p->sample_weights, LGT_F64, in->n_rows, 0, CLI_BY_ROW, 0},
        {"class-weights", &p->class_weights, LGT_F64, in->n_classes, 0, CLI_BY_CLASS, 0},
        {"upstream", &p->upstream, LGT_F64, in->n_rows, 0, CLI_BY_ROW, -INFINITY},
        {"direction-x", &p->vx, in->dtype, in->n_rows, in->dim, "rows, as the features have", -INFINITY},
        {"direction-w", &p->vw, in->dtype, in->rows_w, in->dim, "rows, as the weights have", -INFINITY},
        {"direction-b", &p->vb, in->dtype, in->n_classes, 0, CLI_BY_CLASS, -INFINITY},
    };
    return cli_array_options_read(args, p->in.context, all, sizeof all / sizeof *all, err);
}

/* --- Computation --- */

/* What low precision does not go with. */
static lgt_status check_dtype(const cli_args *args, const problem *p, lgt_error *err) {
    const char *word = cli_text(args, "dtype");
    if (arithmetics[cli_choice(args, "dtype")].precision == LGT_PRECISION_FULL) return LGT_OK;
    if (cli_choice(args, "engine") != 0)
        return cli_fail(err, LGT_ERR_USAGE, "--dtype %s is for the engine cpu: the reference works in double", word);
    if (!p->second_order) return LGT_OK;
    return cli_fail(err, LGT_ERR_USAGE, "--dtype %s has no second derivatives, expected f64 or f32 with a direction",
                    word);
}

static lgt_status create_plan(const cli_args *args, problem *p, lgt_error *err) {
    static const lgt_engine engine_values[] = {LGT_ENGINE_CPU, LGT_ENGINE_REFERENCE};
    static const lgt_reduction reduction_values[] = {LGT_REDUCTION_MEAN, LGT_REDUCTION_SUM, LGT_REDUCTION_NONE};
    lgt_plan_options plan;
    lgt_plan_options_init(&plan);
    plan.engine = engine_values[cli_choice(args, "engine")];
    plan.dtype = p->in.dtype;
    plan.max_rows = p->in.n_rows > 0 ? p->in.n_rows : 1;
    plan.reduction = reduction_values[cli_choice(args, "reduction")];
    plan.label_smoothing = cli_real(args, "label-smoothing");
    plan.z_loss = cli_real(args, "z-loss");
    plan.ignore_label = p->in.ignore_label;
    plan.second_order = p->second_order;
    plan.precision = arithmetics[cli_choice(args, "dtype")].precision;
    plan.workspace = cli_integer(args, "workspace");
    lgt_status status = lgt_head_create(p->in.context, &p->in.loss, p->in.dim, p->in.n_classes, &p->head, err);
    return status ? status : lgt_plan_create(p->head, &plan, &p->plan, err);
}

static lgt_mut results(void **to, int64_t rows, int64_t cols, lgt_dtype dtype) {
    *to = cli_alloc(rows, (size_t)cols * lgt_dtype_size(dtype));
    return lgt_mut_of(*to, rows, cols, dtype);
}

static lgt_status compute(problem *p, lgt_error *err) {
    int64_t n = p->in.n_rows, c = p->in.n_classes, rows_w = p->in.rows_w, d = p->in.dim;
    lgt_dtype dtype = p->in.dtype;
    int has_bias = p->in.b.data != NULL;
    lgt_head_inputs in = cli_head_inputs(&p->in);
    in.sample_weights = p->sample_weights.data;
    in.class_weights = p->class_weights.data;
    in.upstream = p->upstream.data;
    p->out.loss_rows = p->loss_rows = cli_alloc(n, sizeof(double));
    p->out.dx = results(&p->dx, n, d, dtype);
    p->out.dw = results(&p->dw, rows_w, d, dtype);
    if (has_bias) p->out.db = results(&p->db, 1, c, dtype);
    lgt_status status = lgt_plan_run(p->plan, &in, &p->out, err);
    if (status || !p->second_order) return status;
    lgt_direction along = {lgt_view_of(p->vx.data, n, d, dtype), lgt_view_of(p->vw.data, rows_w, d, dtype),
                           lgt_view_of(p->vb.data, 1, c, dtype)};
    lgt_hvp out = {.x = results(&p->hvp_x, n, d, dtype), .w = results(&p->hvp_w, rows_w, d, dtype)};
    if (has_bias) out.b = results(&p->hvp_b, 1, c, dtype);
    return lgt_plan_hvp(p->plan, &in, &along, &out, err);
}

/* --- Output --- */

enum { FILES = 8 };

static void list_files(const problem *p, cli_array_file files[FILES]) {
    int64_t n = p->in.n_rows, c = p->in.n_classes, rows_w = p->in.rows_w, d = p->in.dim;
    lgt_dtype dtype = p->in.dtype;
    const cli_array_file all[FILES] = {{"loss.npy", LGT_F64, 0, 0, 0, &p->out.loss},
                                       {"loss_rows.npy", LGT_F64, 1, n, 0, p->loss_rows},
                                       {"dx.npy", dtype, 2, n, d, p->dx},
                                       {"dw.npy", dtype, 2, rows_w, d, p->dw},
                                       {"db.npy", dtype, 1, c, 0, p->db},
                                       {"hvp_x.npy", dtype, 2, n, d, p->hvp_x},
                                       {"hvp_w.npy", dtype, 2, rows_w, d, p->hvp_w},
                                       {"hvp_b.npy", dtype, 1, c, 0, p->hvp_b}};
    memcpy(files, all, sizeof all);
}

static lgt_status check_files(const problem *p, const char *folder, lgt_error *err) {
    cli_array_file files[FILES];
    list_files(p, files);
    return cli_array_files_check(folder, files, FILES, err);
}

static lgt_status write_files(const problem *p, const char *folder, json_t *written, lgt_error *err) {
    cli_array_file files[FILES];
    list_files(p, files);
    return cli_array_files_write(p->in.context, folder, files, FILES, written, err);
}

static void print_report(const cli_args *args, const problem *p, json_t *files) {
    char spec[LGT_LOSS_SPEC_SIZE];
    json_t *report = cli_report("grad");
    lgt_loss_format(&p->in.loss, spec, sizeof spec);
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
    lgt_array *arrays[] = {&p->vb, &p->vw, &p->vx, &p->upstream, &p->class_weights, &p->sample_weights};
    lgt_plan_free(p->plan);
    lgt_head_free(p->head);
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) lgt_array_free(p->in.context, arrays[i]);
    cli_head_arrays_free(&p->in);
    lgt_context_free(p->in.context);
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    const char *folder = cli_text(args, "out");
    problem p = {.in = {.dtype = arithmetics[cli_choice(args, "dtype")].dtype, .ignore_label = LGT_NO_IGNORE}};
    json_t *files = json_array();
    p.second_order = cli_text(args, "direction-x") || cli_text(args, "direction-w") || cli_text(args, "direction-b");
    if (cli_text(args, "ignore-label")) p.in.ignore_label = cli_integer(args, "ignore-label");
    lgt_status status = check_dtype(args, &p, err);
    if (!status) status = cli_head_loss_open(args, &p.in.loss, err);
    if (!status && folder) status = check_files(&p, folder, err);
    if (!status) status = cli_context_open(args, &p.in.context, err);
    if (!status) status = read_inputs(args, &p, err);
    if (!status) status = create_plan(args, &p, err);
    if (!status) status = compute(&p, err);
    if (!status && folder) status = write_files(&p, folder, files, err);
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
    .notes =
        "Files written to DIR: loss.npy (shape (), float64), loss_rows.npy (N, float64), dx.npy (N, D),\n"
        "dw.npy (C, D) and, with a bias, db.npy (C); with a direction also hvp_x.npy, hvp_w.npy and\n"
        "hvp_b.npy: the Hessian of the loss times that direction (zeros where none is given).\n"
        "Those of them that DIR holds of an earlier run are removed. Nothing is written when anything is\n"
        "wrong. Schedules of a loss are at step 0; a loss with a state (adaface, curricularface) moves it by this\n"
        "batch first: ema=0 keeps what the spec says.",
    .examples = "  logitude grad --loss arcface:s=64,m=0.5 --features x.npy --weights w.npy --labels y.npy --out g\n"
                "  logitude grad --loss arcface --like insightface --features x.npy --weights w.npy --labels y.npy\n"
                "  logitude grad --loss softmax --features x.npy --weights w.npy --labels y.npy --bias b.npy --json\n"
                "  logitude grad --loss arcface --features x.npy --weights w.npy --labels y.npy \\\n"
                "    --direction-x vx.npy --direction-w vw.npy --out g",
    .run = run,
};
