/* logitude curvature: extremal eigenvalues of the Hessian, and curvature along a direction. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "curved_problem.h"
#include "output.h"
#include "session.h"
#include "verbs.h"

static const char *const ways[] = {"logits", "features", "weights", "both", NULL};

static const cli_option options[] = {
    {.name = "wrt",
     .kind = CLI_CHOICE,
     .metavar = "WHAT",
     .default_text = "weights",
     .words = ways,
     .group = "Hessian",
     .help = "what the loss is differentiated by twice; a bias goes with the weights, both are features and weights"},
    {.name = "top",
     .kind = CLI_INTEGER,
     .metavar = "K",
     .default_text = "5",
     .least = 0,
     .greatest = 1000,
     .group = "Hessian",
     .help = "how many of the largest eigenvalues"},
    {.name = "bottom",
     .kind = CLI_INTEGER,
     .metavar = "K",
     .default_text = "0",
     .least = 0,
     .greatest = 1000,
     .group = "Hessian",
     .help = "how many of the smallest eigenvalues"},
    {.name = "tolerance",
     .kind = CLI_REAL,
     .metavar = "T",
     .default_text = "1e-10",
     .least = 1e-15,
     .greatest = 0.1,
     .group = "Hessian",
     .help = "of residuals, in units of the largest modulus"},
    {.name = "max-products",
     .kind = CLI_INTEGER,
     .metavar = "N",
     .default_text = "1000",
     .least = 1,
     .greatest = 1e9,
     .group = "Hessian",
     .help = "Hessian-vector products before it gives up"},
    CLI_OPTION_SEED("Hessian", "of the start vector"),
    CLI_OPTION_LABEL_SMOOTHING("Hessian"),
    CLI_OPTION_Z_LOSS("Hessian"),
    {.name = "along-gradient",
     .kind = CLI_FLAG,
     .group = "Direction",
     .help = "derivatives along the step of gradient descent, minus the gradient"},
    CLI_OPTION_FILE("direction-x", "VX", "Direction", 0, "derivatives along this direction of the features (N, D)"),
    CLI_OPTION_DIRECTION_W("Direction"),
    CLI_OPTION_DIRECTION_B("Direction"),
    CLI_OPTION_FILE("direction-z", "VZ", "Direction", 0, "direction of the logits (N, C)"),
    {.name = "loss",
     .kind = CLI_TEXT,
     .metavar = "SPEC",
     .group = "Arrays",
     .help = "the loss: NAME[:key=value,...], see 'logitude losses'"},
    CLI_OPTION_LIKE("Arrays"),
    CLI_OPTION_FILE("features", "X", "Arrays", 0, "features (N, D), .npy or IDX"),
    CLI_OPTION_WEIGHTS("Arrays", 0),
    CLI_OPTION_FILE("labels", "Y", "Arrays", 0, "labels (N), whole numbers in [0, C)"),
    CLI_OPTION_BIAS("Arrays"),
    CLI_OPTION_FILE("logits", "Z", "Arrays", 0, "logits (N, C) instead of all these, for --wrt logits"),
    {.name = "model",
     .kind = CLI_INPUT,
     .metavar = "FILE",
     .group = "Model",
     .help = "instead of arrays: the head of model.safetensors that train wrote"},
    {.name = "data",
     .kind = CLI_DATA,
     .metavar = "D",
     .group = "Model",
     .help = "labelled data that it embeds: fashion-mnist, a folder, or FEATURES,LABELS"},
    CLI_OPTION_LABEL_COLUMN("the last one"),
    {.name = "limit",
     .kind = CLI_INTEGER,
     .metavar = "N",
     .least = 1,
     .greatest = CLI_INTEGER_MOST,
     .unit = "rows",
     .group = "Model",
     .help = "the first N rows only"},
};

typedef struct result {
    double *values, *residuals;
    int64_t *rows;   /* by logits: whose eigenvalue it is */
    int64_t n_found; /* residuals: 0 by logits */
    int64_t n_products, size;
    int converged, has_direction;
    lgt_derivatives along;
    double bound; /* NaN: none is known */
} result;

/* --- By logits: every row has a matrix S of its own, J is the sum over the rows --- */

typedef struct eigenvalue {
    double value;
    int64_t row;
} eigenvalue;

static int compare(const void *left, const void *right) {
    const eigenvalue *a = left, *b = right;
    if (a->value != b->value) return a->value < b->value ? 1 : -1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static lgt_status collect(const cli_curved_problem *p, eigenvalue *all, lgt_error *err) {
    int64_t c = p->n_classes;
    double *probabilities = cli_alloc(c, sizeof *probabilities), *values = cli_alloc(c, sizeof *values);
    lgt_status status = LGT_OK;
    for (int64_t i = 0; i < p->n_rows && !status; i++) {
        lgt_softmax(p->z + i * c, c, probabilities);
        status = lgt_softmax_spectrum(p->context, probabilities, c, values, NULL, err);
        for (int64_t j = 0; j < c; j++) all[i * c + j] = (eigenvalue){values[j], i};
    }
    free(values), free(probabilities);
    qsort(all, (size_t)(p->n_rows * c), sizeof *all, compare);
    return status;
}

/* g = p - e_y, v = -g. */
static lgt_status differentiate_logits(const cli_args *args, const cli_curved_problem *p, result *r, lgt_error *err) {
    int64_t c = p->n_classes;
    double *row = cli_alloc(c, sizeof *row), *g = cli_alloc(c, sizeof *g), square = 0;
    int by_gradient = cli_flag(args, "along-gradient");
    if (by_gradient && !p->y) {
        free(g), free(row);
        return cli_fail(err, LGT_ERR_USAGE, "--along-gradient needs --labels");
    }
    for (int64_t i = 0; i < p->n_rows; i++) {
        lgt_softmax(p->z + i * c, c, row);
        for (int64_t j = 0; j < c; j++) g[j] = row[j] - (p->y && p->y[i] == j);
        const double *v = by_gradient ? g : p->v + i * c; /* the sign does not matter to the second derivative */
        r->along.second += lgt_softmax_variance(row, v, c);
        for (int64_t j = 0; j < c; j++) r->along.first += g[j] * v[j], square += v[j] * v[j];
    }
    if (by_gradient) r->along.first = -r->along.first;
    if (!p->y) r->along.first = NAN;
    r->along.rayleigh = square > 0 ? r->along.second / square : NAN;
    free(g), free(row);
    return LGT_OK;
}

static lgt_status solve_logits(const cli_args *args, const cli_curved_problem *p, result *r, lgt_error *err) {
    int64_t count = p->n_rows * p->n_classes, top = cli_integer(args, "top"), bottom = cli_integer(args, "bottom");
    eigenvalue *all = cli_alloc(count, sizeof *all);
    lgt_status status = collect(p, all, err);
    if (top > count) top = count;
    if (bottom > count - top) bottom = count - top;
    r->rows = cli_alloc(top + bottom, sizeof *r->rows);
    for (int64_t k = 0; k < top + bottom; k++) {
        const eigenvalue *e = &all[k < top ? k : count - bottom + (k - top)];
        r->values[k] = e->value, r->rows[k] = e->row;
    }
    r->n_found = top + bottom;
    r->converged = 1;
    r->bound = 0.5;
    free(all);
    if (!status && r->has_direction) status = differentiate_logits(args, p, r, err);
    return status;
}

/* --- By features and weights --- */

/* What no eigenvalue exceeds, for softmax: half of |W (I - 11^T/C)|^2/N by features, half of |(X, 1)|^2/N by weights
 * (Eq. 127). */
static lgt_status find_bound(const cli_curved_problem *p, int wrt, result *r, lgt_error *err) {
    int64_t d = p->dim, cols = d + (p->b != NULL);
    double norm = 0, upper = 0, *wide = NULL;
    lgt_view w = lgt_view_of(p->w, p->rows_w, d, LGT_F64);
    if (wrt == CLI_BY_WEIGHTS) {
        wide = cli_alloc(p->n_rows, (size_t)cols * sizeof *wide);
        for (int64_t i = 0; i < p->n_rows; i++)
            for (int64_t k = 0; k < cols; k++) wide[i * cols + k] = k < d ? p->x[i * d + k] : 1;
        w = lgt_view_of(wide, p->n_rows, cols, LGT_F64);
    }
    lgt_status status = lgt_spectral_norm(p->context, w, wrt == CLI_BY_FEATURES, 0, &norm, &upper, err);
    if (p->n_rows > 0) r->bound = nextafter(upper, INFINITY) * upper / 2 / (double)p->n_rows;
    free(wide);
    return status;
}

static lgt_status solve_head(const cli_args *args, const cli_curved_problem *p, result *r, lgt_error *err) {
    static const int by_wrt[] = {0, LGT_BY_FEATURES, LGT_BY_WEIGHTS, LGT_BY_FEATURES | LGT_BY_WEIGHTS};
    int wrt = cli_choice(args, "wrt");
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_plan_options plan_options;
    lgt_spectrum_options how;
    lgt_spectrum spectrum = {.values = r->values, .residuals = r->residuals};
    lgt_head_inputs in = cli_curved_inputs(p);
    lgt_plan_options_init(&plan_options);
    lgt_spectrum_options_init(&how);
    plan_options.dtype = LGT_F64;
    plan_options.max_rows = p->n_rows > 0 ? p->n_rows : 1;
    plan_options.second_order = 1;
    plan_options.label_smoothing = cli_real(args, "label-smoothing");
    plan_options.z_loss = cli_real(args, "z-loss");
    how.top = cli_integer(args, "top"), how.bottom = cli_integer(args, "bottom");
    how.max_products = cli_integer(args, "max-products");
    how.tolerance = cli_real(args, "tolerance");
    how.seed = (uint64_t)cli_integer(args, "seed");
    lgt_status status = lgt_head_create(p->context, &p->loss, p->dim, p->n_classes, &head, err);
    if (!status) status = lgt_plan_create(head, &plan_options, &plan, err);
    if (!status) status = lgt_plan_spectrum(p->context, plan, &in, by_wrt[wrt], &how, &spectrum, err);
    if (!status && r->has_direction)
        status = lgt_plan_derivatives(p->context, plan, &in, by_wrt[wrt], p->v, &r->along, err);
    if (!status && wrt != CLI_BY_BOTH && strcmp(p->loss.info->name, "softmax") == 0 && plan_options.z_loss == 0)
        status = find_bound(p, wrt, r, err);
    r->n_found = spectrum.n_found, r->n_products = spectrum.n_products, r->converged = spectrum.converged;
    lgt_plan_free(plan);
    lgt_head_free(head);
    return status;
}

/* --- Output --- */

static json_t *list_of(const double *values, int64_t count) {
    json_t *list = json_array();
    for (int64_t k = 0; k < count; k++) cli_append(list, cli_number(values[k]));
    return list;
}

static json_t *report_of(const cli_args *args, const cli_curved_problem *p, const result *r) {
    char spec[LGT_LOSS_SPEC_SIZE];
    json_t *report = cli_report("curvature");
    int by_logits = r->rows != NULL;
    if (p->has_loss) lgt_loss_format(&p->loss, spec, sizeof spec);
    cli_put_text(report, "spec", p->has_loss ? spec : NULL);
    cli_put_text(report, "wrt", cli_text(args, "wrt"));
    cli_put_integer(report, "rows", p->n_rows);
    cli_put_integer(report, "classes", p->n_classes);
    cli_put_integer(report, "size", p->size);
    cli_put(report, "eigenvalues", list_of(r->values, r->n_found));
    cli_put(report, "residuals", list_of(r->residuals, by_logits ? 0 : r->n_found));
    if (by_logits) {
        json_t *rows = json_array();
        for (int64_t k = 0; k < r->n_found; k++) cli_append(rows, json_integer(r->rows[k]));
        cli_put(report, "eigenvalue_rows", rows);
    }
    cli_put_real(report, "rayleigh", r->along.rayleigh);
    cli_put_real(report, "first_derivative", r->has_direction ? r->along.first : NAN);
    cli_put_real(report, "second_derivative", r->has_direction ? r->along.second : NAN);
    cli_put_real(report, "lambda_max_bound", r->bound);
    cli_put_integer(report, "iterations", r->n_products);
    cli_put(report, "converged", json_boolean(r->converged));
    return report;
}

static void print_table(const cli_args *args, const cli_curved_problem *p, const result *r) {
    int by_logits = r->rows != NULL;
    printf("Hessian by %s: %lld numbers, from %lld rows and %lld classes\n", cli_text(args, "wrt"), (long long)p->size,
           (long long)p->n_rows, (long long)p->n_classes);
    if (r->n_found) printf("%4s  %14s  %s\n", "", "eigenvalue", by_logits ? "row" : "residual");
    for (int64_t k = 0; k < r->n_found; k++) {
        printf("%4lld  %14.8g  ", (long long)k + 1, r->values[k]);
        if (by_logits)
            printf("%lld\n", (long long)r->rows[k]);
        else
            printf("%.1e\n", r->residuals[k]);
    }
    if (isfinite(r->bound)) printf("no eigenvalue exceeds %.8g\n", r->bound);
    if (r->has_direction)
        printf("along the direction: first derivative %.8g, second %.8g, Rayleigh quotient %.8g\n", r->along.first,
               r->along.second, r->along.rayleigh);
    if (!by_logits)
        printf("%s after %lld products\n", r->converged ? "converged" : "NOT converged", (long long)r->n_products);
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    cli_curved_problem p;
    result r = {.along = {.rayleigh = NAN}, .bound = NAN};
    int64_t most = cli_integer(args, "top") + cli_integer(args, "bottom");
    r.values = cli_alloc(most, sizeof *r.values);
    r.residuals = cli_alloc(most, sizeof *r.residuals);
    lgt_status status = cli_curved_problem_open(args, &p, err);
    r.has_direction = p.v != NULL || cli_flag(args, "along-gradient");
    if (!status && cli_choice(args, "wrt") == CLI_BY_LOGITS)
        status = solve_logits(args, &p, &r, err);
    else if (!status)
        status = solve_head(args, &p, &r, err);
    if (!status && cli_flag(args, "json"))
        cli_report_print(args, report_of(args, &p, &r));
    else if (!status)
        print_table(args, &p, &r);
    if (!status && !r.converged)
        cli_note(args, "not converged after %lld products: residuals are as stated; --max-products allows more",
                 (long long)r.n_products);
    cli_curved_problem_close(&p);
    free(r.rows), free(r.residuals), free(r.values);
    return status;
}

const cli_verb cli_verb_curvature = {
    .name = "curvature",
    .summary = "extremal eigenvalues of the Hessian of a head, and curvature along a direction",
    .usage = "--loss SPEC --features X --weights W --labels Y [options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "J is the mean over the rows; by logits the sum, whose Hessian is one matrix diag(p) - p p^T a row,\n"
             "of the plain logits. Exact Hessians alone: gradient=detached and unit have none.",
    .examples = "  logitude curvature --loss softmax --features x.npy --weights w.npy --labels y.npy --top 10\n"
                "  logitude curvature --model run/model.safetensors --data fashion-mnist --limit 512 --along-gradient\n"
                "  logitude curvature --wrt logits --logits z.npy --top 3 --bottom 2 --json",
    .run = run,
};
