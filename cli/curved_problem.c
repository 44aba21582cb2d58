/* Reads what curvature works on. */
#include "curved_problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arrays.h"
#include "output.h"
#include "session.h"

static int is_given(const cli_args *args, const char *name) {
    return cli_text(args, name) != NULL;
}

/* --- Which of the three --- */

static lgt_status refuse(const cli_args *args, const char *source, const char *const *names, lgt_error *err) {
    for (; *names; names++)
        if (is_given(args, *names)) return cli_fail(err, LGT_ERR_USAGE, "--%s does not go with %s", *names, source);
    return LGT_OK;
}

static lgt_status check_source(const cli_args *args, lgt_error *err) {
    static const char *const needed[] = {"loss", "features", "weights", "labels", NULL};
    static const char *const of_model[] = {"model", "data", "limit", "label-column", NULL};
    static const char *const of_arrays[] = {"loss", "like", "features", "weights", "bias", NULL};
    static const char *const of_labels[] = {"labels", NULL};
    lgt_status status;
    if (is_given(args, "logits")) {
        if (cli_choice(args, "wrt") != CLI_BY_LOGITS)
            return cli_fail(err, LGT_ERR_USAGE, "--logits needs --wrt logits: there is no head behind them");
        status = refuse(args, "--logits", of_arrays, err);
        return status ? status : refuse(args, "--logits", of_model, err);
    }
    if (is_given(args, "model") || is_given(args, "data")) {
        if (!is_given(args, "model") || !is_given(args, "data"))
            return cli_fail(err, LGT_ERR_USAGE, "--%s is missing: --model and --data go together",
                            is_given(args, "model") ? "data" : "model");
        status = refuse(args, "--model", of_arrays, err);
        return status ? status : refuse(args, "--model", of_labels, err);
    }
    for (int i = 0; needed[i]; i++)
        if (!is_given(args, needed[i]))
            return cli_fail(err, LGT_ERR_USAGE,
                            "--%s is missing; expected --loss, --features, --weights and --labels, or --model and "
                            "--data, or --logits",
                            needed[i]);
    return refuse(args, "arrays", of_model, err);
}

/* --- Files --- */

/* Finite numbers of an option that may not be given. shape[i] < 0: any length, which it becomes. */
static lgt_status read_doubles(const cli_args *args, const cli_curved_problem *p, const char *option, int n_dims,
                               int64_t *shape, const char *what, double **out, lgt_error *err) {
    const char *path = cli_text(args, option);
    lgt_array array = {.data = NULL};
    if (!path) return LGT_OK;
    lgt_status status = cli_array_read(p->context, path, LGT_F64, n_dims, what, &array, err);
    for (int i = 0; !status && i < n_dims; i++) {
        if (shape[i] >= 0) status = cli_array_check_length(path, &array, i, shape[i], what, err);
        shape[i] = array.shape[i];
    }
    if (!status && n_dims == 2 && shape[1] < 1)
        status = cli_fail(err, LGT_ERR_DATA, "%s: no columns, expected at least one", path);
    if (!status) status = cli_array_check_values(path, &array, -INFINITY, err);
    if (!status) {
        *out = cli_alloc(array.count, sizeof **out);
        if (array.count) memcpy(*out, array.data, (size_t)array.count * sizeof **out);
    }
    lgt_array_free(p->context, &array);
    return status;
}

static lgt_status read_labels(const cli_args *args, cli_curved_problem *p, lgt_error *err) {
    const char *path = cli_text(args, "labels");
    lgt_array array = {.data = NULL};
    if (!path) return LGT_OK;
    lgt_status status = cli_array_read(p->context, path, LGT_I64, 1, "(rows)", &array, err);
    if (!status) status = cli_array_check_length(path, &array, 0, p->n_rows, "labels, one for every row", err);
    if (!status) {
        p->y = cli_alloc(p->n_rows, sizeof *p->y);
        if (p->n_rows) memcpy(p->y, array.data, (size_t)p->n_rows * sizeof *p->y);
    }
    for (int64_t i = 0; !status && i < p->n_rows; i++)
        if (p->y[i] < 0 || p->y[i] >= p->n_classes)
            status = cli_fail(err, LGT_ERR_DATA, "%s: row %lld: found label %lld, expected 0 to %lld", path,
                              (long long)i, (long long)p->y[i], (long long)p->n_classes - 1);
    lgt_array_free(p->context, &array);
    return status;
}

static lgt_status read_logits(const cli_args *args, cli_curved_problem *p, lgt_error *err) {
    int64_t shape[2] = {-1, -1};
    lgt_status status = read_doubles(args, p, "logits", 2, shape, "(rows, classes)", &p->z, err);
    if (status) return status;
    p->n_rows = shape[0], p->n_classes = shape[1];
    return read_labels(args, p, err);
}

static lgt_status read_arrays(const cli_args *args, cli_curved_problem *p, lgt_error *err) {
    int64_t x[2] = {-1, -1}, w[2] = {-1, -1};
    lgt_status status = cli_loss_open(args, &p->loss, err);
    if (!status && is_given(args, "bias") && !p->loss.info->has_bias)
        status = cli_fail(err, LGT_ERR_USAGE, "--bias is %s, expected none: %s has no bias", cli_text(args, "bias"),
                          p->loss.info->name);
    if (!status) status = read_doubles(args, p, "features", 2, x, "(rows, dimensions)", &p->x, err);
    w[1] = x[1];
    if (!status) status = read_doubles(args, p, "weights", 2, w, "columns as in the features", &p->w, err);
    if (status) return status;
    int64_t centres = lgt_loss_centres(&p->loss);
    p->has_loss = 1;
    p->n_rows = x[0], p->dim = x[1], p->rows_w = w[0], p->n_classes = w[0] / centres;
    if (p->n_classes < 1 || w[0] % centres)
        return cli_fail(err, LGT_ERR_DATA, "%s: %lld rows, expected a multiple of the %lld centres a class",
                        cli_text(args, "weights"), (long long)w[0], (long long)centres);
    int64_t b = p->n_classes;
    status = read_doubles(args, p, "bias", 1, &b, "values, one for every class", &p->b, err);
    return status ? status : read_labels(args, p, err);
}

/* --- A model applied to data --- */

static double *widen(lgt_view from, int64_t rows) {
    double *to = from.data ? cli_alloc(rows * from.cols, sizeof *to) : NULL;
    for (int64_t i = 0; to && i < rows; i++)
        for (int64_t k = 0; k < from.cols; k++)
            to[i * from.cols + k] = (double)((const float *)from.data)[i * from.ld + k];
    return to;
}

/* Takes the first --limit rows. */
static void take(cli_curved_problem *p, const cli_subject *subject, int64_t limit) {
    lgt_view w = lgt_model_weights(subject->model);
    p->loss = *lgt_model_loss(subject->model);
    p->has_loss = 1;
    p->step = lgt_model_step(subject->model);
    p->n_rows = subject->data->n_rows < limit ? subject->data->n_rows : limit;
    p->dim = subject->dim, p->rows_w = w.rows, p->n_classes = lgt_model_n_classes(subject->model);
    p->x = widen(cli_subject_view(subject), p->n_rows);
    p->w = widen(w, w.rows);
    p->b = widen(lgt_model_bias(subject->model), 1);
    p->y = cli_alloc(p->n_rows, sizeof *p->y);
    memcpy(p->y, subject->data->labels, (size_t)p->n_rows * sizeof *p->y);
}

static lgt_status read_model(const cli_args *args, cli_curved_problem *p, lgt_error *err) {
    cli_subject subject;
    lgt_status status = cli_subject_open(args, 1, &subject, err);
    if (!status)
        status = cli_relabel(subject.context, subject.data, cli_text(args, "data"),
                             lgt_model_label_names(subject.model), lgt_model_n_classes(subject.model), err);
    if (!status) take(p, &subject, is_given(args, "limit") ? cli_integer(args, "limit") : INT64_MAX);
    cli_subject_close(&subject);
    return status;
}

/* --- Logits of a head: plain ones, in float32 as prediction has them --- */

static float *narrow(const double *from, int64_t count) {
    float *to = from ? cli_alloc(count, sizeof *to) : NULL;
    for (int64_t i = 0; to && i < count; i++) to[i] = (float)from[i];
    return to;
}

static lgt_status make_logits(cli_curved_problem *p, lgt_error *err) {
    int64_t n = p->n_rows, c = p->n_classes;
    float *x = narrow(p->x, n * p->dim), *w = narrow(p->w, p->rows_w * p->dim), *b = narrow(p->b, c);
    double *lse = cli_alloc(n, sizeof *lse), *sorted = cli_alloc(n, (size_t)c * sizeof *sorted);
    int64_t *classes = cli_alloc(n, (size_t)c * sizeof *classes);
    lgt_predictions out = {c, classes, sorted, lse, NULL};
    lgt_head *head = NULL;
    lgt_status status = lgt_head_create(p->context, &p->loss, p->dim, c, &head, err);
    if (!status)
        status = lgt_head_predict(head, lgt_view_of(x, n, p->dim, LGT_F32), lgt_view_of(w, p->rows_w, p->dim, LGT_F32),
                                  lgt_view_of(b, 1, c, LGT_F32), NULL, &out, err);
    if (!status) {
        p->z = cli_alloc(n, (size_t)c * sizeof *p->z);
        for (int64_t i = 0; i < n * c; i++) p->z[i / c * c + classes[i]] = sorted[i];
    }
    lgt_head_free(head);
    free(classes), free(sorted), free(lse), free(b), free(w), free(x);
    return status;
}

/* --- Directions --- */

typedef struct part {
    const char *option;
    int64_t rows, cols; /* cols 0: a vector; rows < 0: not differentiated by */
} part;

static lgt_status read_direction(const cli_args *args, cli_curved_problem *p, lgt_error *err) {
    int wrt = cli_choice(args, "wrt"), by_x = wrt == CLI_BY_FEATURES || wrt == CLI_BY_BOTH;
    int by_w = wrt == CLI_BY_WEIGHTS || wrt == CLI_BY_BOTH, any = 0;
    const part parts[] = {{"direction-x", by_x ? p->n_rows : -1, p->dim},
                          {"direction-w", by_w ? p->rows_w : -1, p->dim},
                          {"direction-b", by_w && p->b ? p->n_classes : -1, 0},
                          {"direction-z", wrt == CLI_BY_LOGITS ? p->n_rows : -1, p->n_classes}};
    lgt_status status = LGT_OK;
    for (int i = 0; i < 4; i++) {
        any |= is_given(args, parts[i].option);
        if (is_given(args, parts[i].option) && parts[i].rows < 0)
            return cli_fail(err, LGT_ERR_USAGE, "--%s is no direction of what --wrt %s differentiates by",
                            parts[i].option, cli_text(args, "wrt"));
        if (parts[i].rows > 0) p->size += parts[i].rows * (parts[i].cols ? parts[i].cols : 1);
    }
    if (any && cli_flag(args, "along-gradient"))
        return cli_fail(err, LGT_ERR_USAGE, "--along-gradient is a direction; no other goes with it");
    if (any) p->v = cli_alloc(p->size, sizeof *p->v);
    int64_t at = 0;
    for (int i = 0; i < 4 && any && !status; i++) {
        if (parts[i].rows < 0) continue;
        int64_t shape[2] = {parts[i].rows, parts[i].cols}, count = shape[0] * (shape[1] ? shape[1] : 1);
        double *values = NULL;
        status = read_doubles(args, p, parts[i].option, shape[1] ? 2 : 1, shape, "as what it is a direction of",
                              &values, err);
        if (values && count) memcpy(p->v + at, values, (size_t)count * sizeof *values);
        free(values);
        at += count;
    }
    return status;
}

lgt_status cli_curved_problem_open(const cli_args *args, cli_curved_problem *out, lgt_error *err) {
    memset(out, 0, sizeof *out);
    lgt_status status = check_source(args, err);
    if (!status) status = cli_context_open(args, &out->context, err);
    if (!status && is_given(args, "logits"))
        status = read_logits(args, out, err);
    else if (!status && is_given(args, "model"))
        status = read_model(args, out, err);
    else if (!status)
        status = read_arrays(args, out, err);
    if (!status && !out->z && cli_choice(args, "wrt") == CLI_BY_LOGITS) status = make_logits(out, err);
    return status ? status : read_direction(args, out, err);
}

void cli_curved_problem_close(cli_curved_problem *problem) {
    void *blocks[] = {problem->x, problem->w, problem->b, problem->y, problem->z, problem->v};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    lgt_context_free(problem->context);
}

lgt_head_inputs cli_curved_inputs(const cli_curved_problem *problem) {
    return (lgt_head_inputs){.x = lgt_view_of(problem->x, problem->n_rows, problem->dim, LGT_F64),
                             .w = lgt_view_of(problem->w, problem->rows_w, problem->dim, LGT_F64),
                             .b = lgt_view_of(problem->b, 1, problem->n_classes, LGT_F64),
                             .labels = problem->y,
                             .step = problem->step};
}
