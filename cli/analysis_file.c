/* Measures a model through a sample and writes analysis.json. */
#include "analysis_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forces.h"
#include "output.h"
#include "session.h"

enum {
    MOST_MATRIX = 30,   /* classes of a full confusion matrix */
    MOST_WORST = 20,    /* confusions that are listed */
    MOST_COLOURS = 10,  /* classes that a map tells apart */
    CURVE_POINTS = 361, /* every half degree */
    ROC_POINTS = 101,
    DIGITS = 7
};

typedef struct analysis {
    cli_probe *probe;
    lgt_model *model;
    lgt_view z;
    cli_ranking top; /* of each row the first class */
    json_t *out;
} analysis;

/* --- Lists --- */

static json_t *integers(int64_t n, const int64_t *values) {
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++) cli_append(list, json_integer(values[i]));
    return list;
}

static json_t *class_name(const analysis *a, int64_t class) {
    return cli_string(lgt_model_label_names(a->model)[class]);
}

/* --- Angles, norms, curve --- */

static int falling(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* At most CLI_PROBE_ROWS of n values, evenly taken, with the first and the last. */
static json_t *thinned(int64_t n, const double *values) {
    json_t *list = json_array();
    int64_t kept = n < CLI_PROBE_ROWS ? n : CLI_PROBE_ROWS;
    for (int64_t i = 0; i < kept; i++) cli_append(list, cli_number(values[kept == n ? i : i * (n - 1) / (kept - 1)]));
    return list;
}

/* |w| of every row of w; where there are too many, of ranks by falling norm, so that the extremes are true. */
static void put_weight_norms(const analysis *a, json_t *object, int64_t *n_zero) {
    lgt_view w = lgt_model_weights(a->model);
    double *norm = cli_alloc(w.rows, sizeof *norm);
    *n_zero = 0;
    for (int64_t j = 0; j < w.rows; j++) {
        double sum = 0;
        for (int64_t k = 0; k < w.cols; k++) sum += pow(((const float *)w.data)[j * w.ld + k], 2);
        *n_zero += sum == 0;
        norm[j] = sqrt(sum);
    }
    if (w.rows > CLI_PROBE_ROWS) qsort(norm, (size_t)w.rows, sizeof *norm, falling);
    cli_put(object, "w_norm", thinned(w.rows, norm));
    cli_put_integer(object, "w_rows", w.rows);
    free(norm);
}

static void put_angles(const analysis *a) {
    const lgt_angles *angles = &a->probe->angles;
    int64_t n = a->probe->n_rows, n_zero_rows = 0, n_zero_classes = 0;
    json_t *object = json_object(), *health = json_object();
    for (int64_t i = 0; i < n; i++) n_zero_rows += angles->x_norm[i] == 0;
    cli_put(object, "target", cli_reals(n, angles->target));
    cli_put(object, "nearest", cli_reals(n, angles->nearest));
    cli_put(object, "x_norm", cli_reals(n, angles->x_norm));
    put_weight_norms(a, object, &n_zero_classes);
    cli_put(a->out, "angles", object);
    cli_put_integer(health, "zero_rows", n_zero_rows);
    cli_put_integer(health, "zero_classes", n_zero_classes);
    cli_put(a->out, "health", health);
}

static void put_curve(const analysis *a) {
    double theta[CURVE_POINTS], logit[CURVE_POINTS], force[CURVE_POINTS], plain[CURVE_POINTS], bare[CURVE_POINTS];
    const lgt_lint_curve places = {theta, logit, force, plain, bare};
    cli_means means = cli_probe_means(a->probe);
    lgt_error ignored;
    int64_t step = lgt_model_step(a->model);
    if (lgt_lint_draw(lgt_model_loss(a->model), step, means.x_norm, means.w_norm, CURVE_POINTS, &places, &ignored))
        return; /* there are no norms to draw it for */
    json_t *object = json_object();
    cli_put_real(object, "x_norm", means.x_norm);
    cli_put_real(object, "w_norm", means.w_norm);
    cli_put(object, "theta", cli_reals(CURVE_POINTS, theta));
    cli_put(object, "logit", cli_reals(CURVE_POINTS, logit));
    cli_put(object, "force", cli_reals(CURVE_POINTS, force));
    cli_put(object, "plain_logit", cli_reals(CURVE_POINTS, plain));
    cli_put(object, "plain_force", cli_reals(CURVE_POINTS, bare));
    cli_put(a->out, "curve", object);
}

/* --- Classification --- */

static lgt_status put_calibration(const analysis *a, lgt_error *err) {
    lgt_calibration bins;
    double low[LGT_CALIBRATION_BINS];
    const cli_ranking *top = &a->top;
    lgt_status status = lgt_eval_calibration(a->probe->n_rows, a->probe->labels, top->k, top->classes, top->logits,
                                             top->lse, &bins, err);
    if (status) return status;
    json_t *object = json_object();
    for (int i = 0; i < LGT_CALIBRATION_BINS; i++) low[i] = (double)i / LGT_CALIBRATION_BINS;
    cli_put(object, "low", cli_reals(LGT_CALIBRATION_BINS, low));
    cli_put(object, "rows", integers(LGT_CALIBRATION_BINS, bins.rows));
    cli_put(object, "confidence", cli_reals(LGT_CALIBRATION_BINS, bins.confidence));
    cli_put(object, "accuracy", cli_reals(LGT_CALIBRATION_BINS, bins.accuracy));
    cli_put(a->out, "calibration", object);
    return LGT_OK;
}

static void put_matrix(const analysis *a, json_t *object) {
    int64_t n = lgt_model_n_classes(a->model), counts[MOST_MATRIX][MOST_MATRIX] = {{0}};
    json_t *names = json_array(), *rows = json_array();
    if (n <= MOST_MATRIX) {
        for (int64_t i = 0; i < a->probe->n_rows; i++) counts[a->probe->labels[i]][a->top.classes[i * a->top.k]]++;
        for (int64_t j = 0; j < n; j++) {
            cli_append(names, class_name(a, j));
            cli_append(rows, integers(n, counts[j]));
        }
    }
    cli_put(object, "classes", names);
    cli_put(object, "counts", rows);
}

static lgt_status put_confusion(const analysis *a, lgt_error *err) {
    lgt_confusion worst[MOST_WORST];
    int64_t count = 0;
    lgt_status status = lgt_eval_confusions(a->probe->context, a->probe->n_rows, a->probe->labels, a->top.k,
                                            a->top.classes, MOST_WORST, worst, &count, err);
    if (status) return status;
    json_t *object = json_object(), *list = json_array();
    for (int64_t i = 0; i < count; i++) {
        json_t *one = json_object();
        cli_put(one, "label", class_name(a, worst[i].label));
        cli_put(one, "predicted", class_name(a, worst[i].predicted));
        cli_put_integer(one, "rows", worst[i].rows);
        cli_append(list, one);
    }
    put_matrix(a, object);
    cli_put(object, "worst", list);
    cli_put(a->out, "confusion", object);
    return LGT_OK;
}

static lgt_status put_classification(analysis *a, lgt_error *err) {
    lgt_classification result;
    cli_probe *probe = a->probe;
    lgt_status status = cli_rank(NULL, probe->context, a->model, a->z, probe->labels, 1, &a->top, err);
    if (!status)
        status = lgt_eval_classification(probe->n_rows, probe->labels, a->top.k, a->top.classes, a->top.logits,
                                         a->top.lse, a->top.label_logits, &result, err);
    if (!status) {
        json_t *object = json_object();
        cli_put_real(object, "accuracy", result.accuracy);
        cli_put_real(object, "nll", result.nll);
        cli_put_real(object, "ece", result.ece);
        cli_put(a->out, "classification", object);
        status = put_calibration(a, err);
    }
    return status ? status : put_confusion(a, err);
}

/* --- Verification --- */

static lgt_status put_roc(const analysis *a, const lgt_verification *result, json_t *object, lgt_error *err) {
    double far[ROC_POINTS], tar[ROC_POINTS], least = fmax(1e-5, 1 / (double)result->n_impostor);
    for (int i = 0; i < ROC_POINTS; i++) far[i] = pow(least, 1 - (double)i / (ROC_POINTS - 1));
    lgt_status status = lgt_eval_roc(a->probe->context, a->z, a->probe->labels, ROC_POINTS, far, tar, err);
    if (status) return status;
    json_t *roc = json_object();
    cli_put(roc, "far", cli_reals(ROC_POINTS, far));
    cli_put(roc, "tar", cli_reals(ROC_POINTS, tar));
    cli_put(object, "roc", roc);
    return LGT_OK;
}

static lgt_status put_verification(const analysis *a, lgt_error *err) {
    lgt_verification result;
    lgt_status status = lgt_eval_verification(a->probe->context, a->z, a->probe->labels, &result, err);
    if (status == LGT_ERR_DATA) return LGT_OK; /* no genuine pair, or no impostor pair */
    if (status) return status;
    json_t *object = json_object(), *tar = json_object();
    for (int i = 0; i < LGT_FAR_LEVELS; i++) {
        char level[32];
        snprintf(level, sizeof level, "%g", lgt_far_levels[i]);
        cli_put_real(tar, level, result.tar_at_far[i]);
    }
    cli_put_integer(object, "genuine_pairs", result.n_genuine);
    cli_put_integer(object, "impostor_pairs", result.n_impostor);
    cli_put_real(object, "auc", result.auc);
    cli_put_real(object, "eer", result.eer);
    cli_put(object, "tar_at_far", tar);
    cli_put(a->out, "verification", object);
    return put_roc(a, &result, object, err);
}

/* --- The map --- */

/* The classes with most rows in the sample, the lower first among equals; all of them where they are few. */
static int64_t choose_classes(const analysis *a, int64_t *chosen) {
    int64_t n = lgt_model_n_classes(a->model), *rows = cli_alloc(n, sizeof *rows), count = 0;
    for (int64_t i = 0; i < a->probe->n_rows; i++) rows[a->probe->labels[i]]++;
    while (count < MOST_COLOURS && count < n) {
        int64_t best = 0;
        for (int64_t j = 1; j < n; j++)
            if (n > MOST_COLOURS ? rows[j] > rows[best] : j == count) best = j;
        chosen[count++] = best;
        rows[best] = -1;
    }
    free(rows);
    return count;
}

static void put_labels(const analysis *a, json_t *object) {
    int64_t chosen[MOST_COLOURS], n_chosen = choose_classes(a, chosen);
    json_t *names = json_array(), *labels = json_array();
    for (int64_t c = 0; c < n_chosen; c++) cli_append(names, class_name(a, chosen[c]));
    for (int64_t i = 0; i < a->probe->n_rows; i++) {
        int64_t at = 0;
        while (at < n_chosen && chosen[at] != a->probe->labels[i]) at++;
        cli_append(labels, json_integer(at < n_chosen ? at : -1));
    }
    cli_put(object, "label", labels);
    cli_put(object, "classes", names);
}

static lgt_status put_map(const analysis *a, lgt_error *err) {
    double shares[2];
    int64_t n = a->probe->n_rows;
    double *place = cli_alloc(n, 2 * sizeof *place);
    int directions = lgt_model_loss(a->model)->info->space == LGT_SPACE_COS;
    lgt_status status =
        lgt_eval_map(a->probe->context, a->z, directions, lgt_mut_of(place, n, 2, LGT_F64), shares, err);
    if (!status) {
        json_t *object = json_object(), *x = json_array(), *y = json_array();
        for (int64_t i = 0; i < n; i++) {
            cli_append(x, cli_number(place[2 * i]));
            cli_append(y, cli_number(place[2 * i + 1]));
        }
        cli_put_text(object, "kind", a->probe->dim == 2 ? "embedding" : "pca");
        cli_put(object, "shares", cli_reals(2, shares));
        cli_put(object, "x", x);
        cli_put(object, "y", y);
        put_labels(a, object);
        cli_put(a->out, "map", object);
    }
    free(place);
    return status;
}

/* --- The file --- */

static lgt_status write_file(const analysis *a, const char *path, lgt_error *err) {
    char *text = json_dumps(a->out, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS));
    if (!text) cli_out_of_memory();
    size_t length = strlen(text);
    text[length] = '\n'; /* in the place of its end */
    lgt_status status = lgt_file_write(a->probe->context, path, text, length + 1, err);
    free(text);
    return status;
}

lgt_status cli_analysis_write(cli_probe *probe, lgt_model *model, const lgt_conflict *conflict, const char *path,
                              lgt_error *err) {
    analysis a = {.probe = probe, .model = model, .out = cli_report("analysis")};
    a.z = lgt_view_of(probe->z, probe->n_rows, probe->dim, LGT_F32);
    cli_put_text(a.out, "data", probe->kind);
    cli_put_integer(a.out, "rows", probe->n_rows);
    cli_put_integer(a.out, "of_rows", probe->data->n_rows);
    cli_put_integer(a.out, "step", lgt_model_step(model));
    lgt_status status = cli_probe_measure(probe, model, err);
    if (!status) {
        put_angles(&a);
        put_curve(&a);
        status = put_classification(&a, err);
    }
    if (!status) status = put_verification(&a, err);
    if (!status) status = put_map(&a, err);
    if (!status) status = cli_put_forces(probe, model, conflict, a.out, err);
    if (!status) status = write_file(&a, path, err);
    cli_ranking_free(&a.top);
    json_decref(a.out);
    return status;
}
