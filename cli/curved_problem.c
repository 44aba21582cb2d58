/* Reads what curvature works on. */
#include "curved_problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* By logits the matrix is that of the softmax alone. */
static lgt_status check_terms(const cli_args *args, lgt_error *err) {
    static const char *const terms[] = {"label-smoothing", "z-loss"};
    for (int i = 0; i < 2 && cli_choice(args, "wrt") == CLI_BY_LOGITS; i++)
        if (cli_real(args, terms[i]) > 0)
            return cli_fail(err, LGT_ERR_USAGE, "--%s does not go with --wrt logits, which is about the softmax alone",
                            terms[i]);
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

static lgt_status read_logits(const cli_args *args, cli_curved_problem *p, lgt_error *err) {
    const char *path = cli_text(args, "logits");
    cli_head_arrays *a = &p->arrays;
    lgt_status status = cli_array_read(p->context, path, LGT_F64, 2, "(rows, classes)", &p->logits, err);
    if (status) return status;
    a->n_rows = p->n_rows = p->logits.shape[0], a->n_classes = p->n_classes = p->logits.shape[1];
    if (p->n_classes < 1) return cli_fail(err, LGT_ERR_DATA, "%s: no columns, expected at least one", path);
    status = cli_array_check_values(path, &p->logits, -INFINITY, err);
    if (!status) status = cli_labels_read(args, a, "labels, one for every row", err);
    p->z = p->logits.data, p->y = a->y.data;
    return status;
}

static lgt_status read_arrays(const cli_args *args, cli_curved_problem *p, lgt_error *err) {
    cli_head_arrays *a = &p->arrays;
    lgt_status status = cli_head_loss_open(args, &a->loss, err);
    if (!status) status = cli_head_arrays_read(args, a, err);
    if (status) return status;
    p->loss = a->loss;
    p->has_loss = 1;
    p->n_rows = a->n_rows, p->dim = a->dim, p->rows_w = a->rows_w, p->n_classes = a->n_classes;
    p->x = a->x.data, p->w = a->w.data, p->b = a->b.data, p->y = a->y.data;
    return LGT_OK;
}

/* --- A model applied to data --- */

/* Takes the first --limit rows. */
static void take(cli_curved_problem *p, const cli_subject *subject, int64_t limit) {
    lgt_view w = lgt_model_weights(subject->model), x = cli_subject_view(subject);
    p->loss = *lgt_model_loss(subject->model);
    p->has_loss = 1;
    p->step = lgt_model_step(subject->model);
    p->n_rows = subject->data->n_rows < limit ? subject->data->n_rows : limit;
    p->dim = subject->dim, p->rows_w = w.rows, p->n_classes = lgt_model_n_classes(subject->model);
    x.rows = p->n_rows;
    p->x = p->wide[0] = cli_view_widen(x);
    p->w = p->wide[1] = cli_view_widen(w);
    p->b = p->wide[2] = cli_view_widen(lgt_model_bias(subject->model));
    p->y = p->model_labels = cli_alloc(p->n_rows, sizeof *p->model_labels);
    memcpy(p->model_labels, subject->data->labels, (size_t)p->n_rows * sizeof *p->model_labels);
}

static lgt_status read_model(const cli_args *args, cli_curved_problem *p, lgt_error *err) {
    cli_subject subject;
    lgt_status status = cli_subject_open(args, NULL, 1, &subject, err);
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
        p->z = p->made = cli_alloc(n, (size_t)c * sizeof *p->made);
        for (int64_t i = 0; i < n * c; i++) p->made[i / c * c + classes[i]] = sorted[i];
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
        lgt_array array = {.data = NULL};
        const cli_array_option one = {
            parts[i].option, &array, LGT_F64, parts[i].rows, parts[i].cols, "as what it is a direction of", -INFINITY};
        status = cli_array_options_read(args, p->context, &one, 1, err);
        if (!status && array.count) memcpy(p->v + at, array.data, (size_t)array.count * sizeof *p->v);
        lgt_array_free(p->context, &array);
        at += parts[i].rows * (parts[i].cols ? parts[i].cols : 1);
    }
    return status;
}

lgt_status cli_curved_problem_open(const cli_args *args, cli_curved_problem *out, lgt_error *err) {
    memset(out, 0, sizeof *out);
    lgt_status status = check_source(args, err);
    if (!status) status = check_terms(args, err);
    if (!status) status = cli_context_open(args, &out->context, err);
    out->arrays = (cli_head_arrays){.context = out->context, .dtype = LGT_F64, .ignore_label = LGT_NO_IGNORE};
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
    void *blocks[] = {problem->v,       problem->made,    problem->model_labels,
                      problem->wide[2], problem->wide[1], problem->wide[0]};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    lgt_array_free(problem->context, &problem->logits);
    cli_head_arrays_free(&problem->arrays);
    lgt_context_free(problem->context);
}

lgt_head_inputs cli_curved_inputs(const cli_curved_problem *problem) {
    return (lgt_head_inputs){.x = lgt_view_of(problem->x, problem->n_rows, problem->dim, LGT_F64),
                             .w = lgt_view_of(problem->w, problem->rows_w, problem->dim, LGT_F64),
                             .b = lgt_view_of(problem->b, 1, problem->n_classes, LGT_F64),
                             .labels = problem->y,
                             .step = problem->step};
}
