/* Standardisation: mean and population deviation in double, two passes, columns in order of rows. */
#include "train/normalization.h"

#include <float.h>
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "engine/element.h"

/* Columns that one task sums, rows that one task normalises. */
enum { COLUMNS = 64, ROWS = 32 };

typedef struct sums {
    const float *x;
    int64_t n_rows, dim;
    const double *centre;   /* (dim) */
    double *first, *second; /* (dim) sums of x - centre and of its square */
} sums;

static void sum_columns(void *argument, int64_t index, int worker) {
    const sums *s = argument;
    int64_t begin = index * COLUMNS, end = lgt_min64(begin + COLUMNS, s->dim);
    (void)worker;
    for (int64_t k = begin; k < end; k++) s->first[k] = s->second[k] = 0;
    for (int64_t row = 0; row < s->n_rows; row++) {
        const float *x = s->x + row * s->dim;
        for (int64_t k = begin; k < end; k++) {
            double d = x[k] - s->centre[k];
            s->first[k] += d;
            s->second[k] += d * d;
        }
    }
}

static void run_sums(lgt_context *context, sums *s) {
    lgt_parallel_for(context, lgt_ceil_div(s->dim, COLUMNS), sum_columns, s);
}

/* Puts the mean of all columns in each of them. */
static void pool(double *values, int64_t dim) {
    double total = 0;
    for (int64_t k = 0; k < dim; k++) total += values[k];
    for (int64_t k = 0; k < dim; k++) values[k] = total / (double)dim;
}

/* The first pass is centred on the first value, so that constant features have exactly that mean and exactly no
 * deviation; the second on the mean. Leaves mean and variance in centre and second. */
static void moments(lgt_context *context, sums *s, double *centre, int global) {
    double n = (double)s->n_rows;
    for (int64_t k = 0; k < s->dim; k++) centre[k] = s->x[global ? 0 : k];
    run_sums(context, s);
    if (global) pool(s->first, s->dim);
    for (int64_t k = 0; k < s->dim; k++) centre[k] += s->first[k] / n;
    run_sums(context, s);
    if (global) pool(s->second, s->dim);
    for (int64_t k = 0; k < s->dim; k++) s->second[k] /= n;
}

/* A feature that is constant, or nearly so beyond what float can tell, keeps its scale. */
static float scale_of(double variance) {
    double deviation = sqrt(variance);
    return deviation > 1 / (double)FLT_MAX ? (float)(1 / deviation) : 1.0f;
}

static lgt_status fit(lgt_context *context, int global, sums *s, lgt_normalization *out, lgt_error *err) {
    double *block = NULL;
    lgt_view x = {s->x, s->n_rows, s->dim, s->dim, LGT_F32};
    for (int64_t i = 0; i < s->n_rows; i++) /* one would be in all means */
        if (!lgt_row_is_finite(x, i)) return lgt_row_not_finite(x, i, "x", err);
    lgt_status status = LGT_NEW(context, &block, 3 * s->dim, err);
    if (status) return status;
    s->centre = block;
    s->first = block + s->dim;
    s->second = block + 2 * s->dim;
    moments(context, s, block, global);
    for (int64_t k = 0; k < out->count; k++) {
        out->mean[k] = (float)block[k];
        out->scale[k] = scale_of(s->second[k]);
    }
    lgt_release(context, block);
    return LGT_OK;
}

lgt_status lgt_normalization_fit(lgt_context *context, lgt_standardize kind, const float *x, int64_t n_rows,
                                 int64_t dim, lgt_normalization *out, lgt_error *err) {
    lgt_normalization result = {.count = kind == LGT_STANDARDIZE_FEATURE ? dim : 1};
    sums s = {.x = x, .n_rows = n_rows, .dim = dim};
    lgt_status status = LGT_NEW(context, &result.mean, result.count, err);
    if (!status) status = LGT_NEW(context, &result.scale, result.count, err);
    if (!status && kind == LGT_STANDARDIZE_NONE) result.mean[0] = 0, result.scale[0] = 1;
    if (!status && kind != LGT_STANDARDIZE_NONE)
        status = fit(context, kind == LGT_STANDARDIZE_GLOBAL, &s, &result, err);
    if (status) {
        lgt_normalization_free(context, &result);
        return status;
    }
    *out = result;
    return LGT_OK;
}

void lgt_normalization_free(lgt_context *context, lgt_normalization *normalization) {
    lgt_release(context, normalization->scale);
    lgt_release(context, normalization->mean);
    *normalization = (lgt_normalization){0};
}

typedef struct rows_call {
    const lgt_normalization *normalization;
    lgt_view x;
    const int64_t *rows;
    int64_t n_rows;
    float *out;
} rows_call;

static void by_one(const float *restrict x, float mean, float scale, int64_t dim, float *restrict out) {
    for (int64_t k = 0; k < dim; k++) out[k] = (x[k] - mean) * scale;
}

static void by_feature(const float *restrict x, const float *restrict mean, const float *restrict scale, int64_t dim,
                       float *restrict out) {
    for (int64_t k = 0; k < dim; k++) out[k] = (x[k] - mean[k]) * scale[k];
}

void lgt_normalize_some(const lgt_normalization *normalization, lgt_view x, const int64_t *rows, int64_t begin,
                        int64_t end, float *out) {
    const lgt_normalization *n = normalization;
    for (int64_t i = begin; i < end; i++) {
        const float *row = (const float *)x.data + (rows ? rows[i] : i) * x.ld;
        if (n->count == 1)
            by_one(row, n->mean[0], n->scale[0], x.cols, out + i * x.cols);
        else
            by_feature(row, n->mean, n->scale, x.cols, out + i * x.cols);
    }
}

static void normalize_task(void *argument, int64_t index, int worker) {
    const rows_call *call = argument;
    int64_t begin = index * ROWS, end = lgt_min64(begin + ROWS, call->n_rows);
    (void)worker;
    lgt_normalize_some(call->normalization, call->x, call->rows, begin, end, call->out);
}

void lgt_normalize_rows(lgt_context *context, const lgt_normalization *normalization, lgt_view x, const int64_t *rows,
                        int64_t n_rows, float *out) {
    rows_call call = {normalization, x, rows, n_rows, out};
    lgt_parallel_for(context, lgt_ceil_div(n_rows, ROWS), normalize_task, &call);
}
