/* What explain prints: records of rows, a table of a few, a summary of many. */
#include "explain_report.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

#define FIELD(key, file, title, member)                                                                                \
    { key, file, title, offsetof(lgt_explanation, member) }

const cli_explain_field cli_explain_fields[CLI_EXPLAIN_FIELDS] = {
    FIELD("loss", "loss.npy", "loss", loss),
    FIELD("p_y", "p_y.npy", "p_y", p),
    FIELD("theta", "theta.npy", "theta (rad)", theta),
    FIELD("alpha", "alpha.npy", "alpha", alpha),
    FIELD("x_norm", "x_norm.npy", "|x|", x_norm),
    FIELD("w_norm", "w_norm.npy", "|w_y|", w_norm),
    FIELD("attraction", "attraction_length.npy", "attraction", attraction),
    FIELD("repulsion", "repulsion_length.npy", "repulsion", repulsion),
    FIELD("attraction_share", "attraction_share.npy", "attraction share", attraction_share),
    FIELD("penalty", "penalty.npy", NULL, penalty),
    FIELD("gradient", "gradient.npy", "gradient", gradient),
    FIELD("tangential", "tangential.npy", "tangential", tangential),
    FIELD("radial", "radial.npy", "radial", radial),
    FIELD("radial_share", "radial_share.npy", "radial share", radial_share),
    FIELD("sensitivity", "sensitivity.npy", "sensitivity", sensitivity),
    FIELD("bound", "bound.npy", "bound", bound),
    FIELD("tight_bound", "tight_bound.npy", "tight bound", tight_bound),
    FIELD("exact_detached_angle", "exact_detached_angle.npy", "to detached (rad)", detached_angle),
    FIELD("exact_detached_ratio", "exact_detached_ratio.npy", "detached / exact", detached_ratio),
    FIELD("nearest_theta", "nearest_theta.npy", "nearest (rad)", nearest_theta),
};

double **cli_explain_array(lgt_explanation *told, const cli_explain_field *field) {
    return (double **)(void *)((char *)told + field->offset);
}

static const double *values_of(const cli_explained *e, const cli_explain_field *field) {
    return *(double *const *)(const void *)((const char *)&e->told + field->offset);
}

/* --- Records --- */

/* {class, label, key: value} of a class, null where there is none. */
static json_t *class_json(const cli_explained *e, int64_t j, const char *key, double value) {
    if (j < 0) return json_null();
    json_t *object = json_object();
    cli_put_integer(object, "class", j);
    if (e->names) cli_put_text(object, "label", e->names[j]);
    cli_put_real(object, key, value);
    return object;
}

/* The class of row at, or -1. */
static int64_t class_of(const cli_explained *e, int64_t at) {
    if (!e->labels || e->labels[e->rows[at]] == e->ignore_label) return -1;
    return e->labels[e->rows[at]];
}

static json_t *row_json(const cli_explained *e, int64_t at) {
    json_t *row = json_object(), *pushers = json_array();
    int64_t y = class_of(e, at);
    cli_put_integer(row, "row", e->rows[at]);
    cli_put(row, "class", y < 0 ? json_null() : json_integer(y));
    if (e->names) cli_put_text(row, "label", y < 0 ? NULL : e->names[y]);
    for (int k = 0; k < CLI_EXPLAIN_FIELDS; k++)
        if (strcmp(cli_explain_fields[k].key, "nearest_theta") != 0)
            cli_put_real(row, cli_explain_fields[k].key, values_of(e, &cli_explain_fields[k])[at]);
    cli_put(row, "nearest", class_json(e, e->told.nearest[at], "theta", e->told.nearest_theta[at]));
    for (int64_t rank = at * e->n_pushers; rank < (at + 1) * e->n_pushers; rank++)
        if (e->told.pushers[rank] >= 0)
            cli_append(pushers, class_json(e, e->told.pushers[rank], "share", e->told.pusher_shares[rank]));
    cli_put(row, "pushers", pushers);
    return row;
}

json_t *cli_explain_rows(const cli_explained *e) {
    json_t *rows = json_array();
    for (int64_t at = 0; at < e->n; at++) cli_append(rows, row_json(e, at));
    return rows;
}

/* --- Summary --- */

static const struct {
    const char *key;
    double at;
} quantiles[] = {{"min", 0}, {"p05", 0.05}, {"p25", 0.25}, {"median", 0.5}, {"p75", 0.75}, {"p95", 0.95}, {"max", 1}};

enum { N_QUANTILES = sizeof quantiles / sizeof *quantiles, BINS = 12, BAR = 40 };

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Counts over BINS equal intervals of the range. */
static json_t *histogram_of(const double *sorted, int64_t count) {
    int64_t counts[BINS] = {0};
    double from = sorted[0], width = (sorted[count - 1] - from) / BINS;
    json_t *histogram = json_object(), *list = json_array();
    for (int64_t i = 0; i < count; i++) counts[width > 0 ? (int)fmin(BINS - 1, (sorted[i] - from) / width) : 0]++;
    for (int k = 0; k < BINS; k++) cli_append(list, json_integer(counts[k]));
    cli_put_real(histogram, "from", from);
    cli_put_real(histogram, "to", sorted[count - 1]);
    cli_put(histogram, "counts", list);
    return histogram;
}

/* Of the values that are finite; `count` tells how many are. */
static json_t *summarize(const double *values, int64_t n) {
    double *sorted = cli_alloc(n, sizeof *sorted), sum = 0;
    int64_t count = 0;
    json_t *object = json_object();
    for (int64_t i = 0; i < n; i++)
        if (isfinite(values[i])) sum += sorted[count++] = values[i];
    qsort(sorted, (size_t)count, sizeof *sorted, ascending);
    cli_put_integer(object, "count", count);
    cli_put_real(object, "mean", count ? sum / (double)count : NAN);
    for (int k = 0; k < N_QUANTILES; k++) {
        int64_t at = (int64_t)floor(quantiles[k].at * (double)(count - 1) + 0.5);
        cli_put_real(object, quantiles[k].key, count ? sorted[at] : NAN);
    }
    cli_put(object, "histogram", count ? histogram_of(sorted, count) : json_null());
    free(sorted);
    return object;
}

json_t *cli_explain_summary(const cli_explained *e) {
    json_t *summary = json_object();
    cli_put_integer(summary, "rows", e->n);
    for (int k = 0; k < CLI_EXPLAIN_FIELDS; k++)
        cli_put(summary, cli_explain_fields[k].key, summarize(values_of(e, &cli_explain_fields[k]), e->n));
    return summary;
}

/* --- Text --- */

static double degrees(double radians) {
    return radians * (180 / 3.14159265358979323846);
}

/* Squares of rounding errors of unit vectors are below this. */
static const double rounding = 1e-25;

/* Four digits in a column; "-" where there is no number. */
static void print_number(double value, int width) {
    if (isnan(value))
        printf(" %*s", width, "-");
    else
        printf(" %*.4g", width, fabs(value) < rounding ? 0 : value);
}

static void print_class(const cli_explained *e, int64_t j, int width) {
    char text[24];
    if (j < 0)
        snprintf(text, sizeof text, "-");
    else if (e->names)
        snprintf(text, sizeof text, "%s", e->names[j]);
    else
        snprintf(text, sizeof text, "%lld", (long long)j);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    printf(" %*.*s", width, abs(width), text);
}

static void print_row(const cli_explained *e, int64_t at) {
    const lgt_explanation *t = &e->told;
    printf("%7lld", (long long)e->rows[at]);
    print_class(e, class_of(e, at), 11);
    const double numbers[] = {t->loss[at],
                              t->p[at],
                              degrees(t->theta[at]),
                              t->alpha[at],
                              t->x_norm[at],
                              t->attraction[at],
                              t->repulsion[at],
                              t->gradient[at],
                              t->tight_bound[at],
                              100 * t->radial_share[at],
                              degrees(t->detached_angle[at]),
                              degrees(t->nearest_theta[at])};
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) print_number(numbers[k], 9);
    print_class(e, t->nearest[at], 11);
    printf(" ");
    for (int64_t rank = at * e->n_pushers; rank < (at + 1) * e->n_pushers; rank++) {
        if (t->pushers[rank] < 0) break;
        print_class(e, t->pushers[rank], -1 * (e->names ? 11 : 5));
        printf(" %3.0f %%", 100 * t->pusher_shares[rank]);
    }
    printf("\n");
}

void cli_explain_print_rows(const cli_explained *e) {
    static const char *const heads[] = {"loss",    "p_y",    "theta deg", "alpha",    "|x|",       "attract",
                                        "repulse", "|grad|", "at most",   "radial %", "to detach", "next deg"};
    printf("%7s %11s", "row", "class");
    for (size_t k = 0; k < sizeof heads / sizeof *heads; k++) printf(" %9s", heads[k]);
    printf(" %11s  %s\n", "next", "pushed by");
    for (int64_t at = 0; at < e->n; at++) print_row(e, at);
}

static void print_histogram(const char *title, const json_t *histogram) {
    json_int_t most = 1;
    size_t index = 0;
    json_t *count = NULL;
    if (!json_is_object(histogram)) return;
    double from = json_real_value(json_object_get(histogram, "from"));
    double to = json_real_value(json_object_get(histogram, "to")), width = (to - from) / BINS;
    const json_t *counts = json_object_get(histogram, "counts");
    if (to < rounding) return;
    json_array_foreach(counts, index, count) if (json_integer_value(count) > most) most = json_integer_value(count);
    printf("\n%s\n", title);
    json_array_foreach(counts, index, count) {
        json_int_t here = json_integer_value(count);
        int bar = (int)((here * BAR + most - 1) / most);
        if (width == 0 && index > 0) break;
        printf("%10.4g .. %-10.4g %8lld  %.*s\n", from + width * (double)index, from + width * (double)(index + 1),
               (long long)here, bar, "########################################");
    }
}

void cli_explain_print_summary(const json_t *summary) {
    static const char *const drawn[] = {"theta", "p_y", "radial_share"};
    static const char *const titles[] = {"theta (rad)", "p_y", "radial share"};
    printf("%-18s %9s", "", "mean");
    for (int k = 0; k < N_QUANTILES; k++) printf(" %9s", quantiles[k].key);
    printf("\n");
    for (int k = 0; k < CLI_EXPLAIN_FIELDS; k++) {
        const json_t *of = json_object_get(summary, cli_explain_fields[k].key), *mean = json_object_get(of, "mean");
        if (!cli_explain_fields[k].title) continue;
        printf("%-18s", cli_explain_fields[k].title);
        print_number(json_is_real(mean) ? json_real_value(mean) : NAN, 9);
        for (int q = 0; q < N_QUANTILES; q++) {
            const json_t *value = json_object_get(of, quantiles[q].key);
            print_number(json_is_real(value) ? json_real_value(value) : NAN, 9);
        }
        printf("\n");
    }
    for (size_t k = 0; k < sizeof drawn / sizeof *drawn; k++)
        print_histogram(titles[k], json_object_get(json_object_get(summary, drawn[k]), "histogram"));
}
