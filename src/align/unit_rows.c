/* Rows of either type as directions in double, and back. */
#include "align/unit_rows.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "math/sphere.h"

/* Gradients grow as 1/|x|: rows shorter than this have none, so that what is written stays finite. */
static const double least_f32 = 1e-20, least_f64 = 1e-200;

lgt_status lgt_unit_rows_create(lgt_context *context, int64_t max_rows, int64_t dim, lgt_unit_rows *out,
                                lgt_error *err) {
    int64_t elements = 0;
    *out = (lgt_unit_rows){0};
    if (!lgt_count_mul(max_rows, dim, &elements))
        return lgt_fail(err, LGT_ERR_MEMORY, "%lld rows of dim %lld overflow", (long long)max_rows, (long long)dim);
    lgt_status status = LGT_NEW(context, &out->units, elements, err);
    return status ? status : LGT_NEW(context, &out->lengths, max_rows, err);
}

void lgt_unit_rows_free(lgt_context *context, lgt_unit_rows *rows) {
    lgt_release(context, rows->lengths);
    lgt_release(context, rows->units);
}

lgt_status lgt_align_check(const char *name, lgt_view v, int64_t n_rows, int64_t dim, lgt_dtype dtype, lgt_error *err) {
    if (v.dtype != dtype || (dtype != LGT_F32 && dtype != LGT_F64))
        return lgt_fail(err, LGT_ERR_USAGE, "%s has type %s, expected %s", name, lgt_dtype_name(v.dtype),
                        dtype == LGT_F32 || dtype == LGT_F64 ? lgt_dtype_name(dtype) : "f32 or f64");
    if (v.rows != n_rows || v.cols != dim || v.ld < v.cols)
        return lgt_fail(err, LGT_ERR_USAGE, "%s is (%lld, %lld) with ld %lld, expected (%lld, %lld)", name,
                        (long long)v.rows, (long long)v.cols, (long long)v.ld, (long long)n_rows, (long long)dim);
    if (!v.data && n_rows > 0) return lgt_fail(err, LGT_ERR_USAGE, "%s is not given", name);
    return LGT_OK;
}

lgt_view lgt_align_view(lgt_mut m) {
    return (lgt_view){m.data, m.rows, m.cols, m.ld, m.dtype};
}

void lgt_align_read(lgt_view v, int64_t row, double *out) {
    if (v.dtype == LGT_F64)
        for (int64_t k = 0; k < v.cols; k++) out[k] = ((const double *)v.data)[row * v.ld + k];
    else
        for (int64_t k = 0; k < v.cols; k++) out[k] = (double)((const float *)v.data)[row * v.ld + k];
}

void lgt_align_write(lgt_mut out, int64_t row, const double *v, int accumulate) {
    if (out.dtype == LGT_F64) {
        double *to = (double *)out.data + row * out.ld;
        for (int64_t k = 0; k < out.cols; k++) to[k] = (accumulate ? to[k] : 0) + v[k];
    } else {
        float *to = (float *)out.data + row * out.ld;
        for (int64_t k = 0; k < out.cols; k++) to[k] = (float)((accumulate ? (double)to[k] : 0) + v[k]);
    }
}

typedef struct take {
    lgt_view x;
    lgt_unit_rows *out;
    double least;
} take;

static void take_rows(void *argument, int64_t index, int worker) {
    const take *t = argument;
    int64_t begin = index * LGT_ALIGN_ROWS, end = lgt_min64(begin + LGT_ALIGN_ROWS, t->x.rows), dim = t->x.cols;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        double *unit = t->out->units + i * dim, sum = 0;
        lgt_align_read(t->x, i, unit);
        for (int64_t k = 0; k < dim; k++) sum += 0 * unit[k]; /* a NaN exactly when one of them is not finite */
        t->out->lengths[i] = isnan(sum) ? (double)NAN : lgt_unit(unit, dim, unit);
        if (!(t->out->lengths[i] < t->least)) continue;
        t->out->lengths[i] = 0;
        for (int64_t k = 0; k < dim; k++) unit[k] = 0;
    }
}

static lgt_status fail_row(lgt_view x, int64_t row, const double *values, lgt_error *err) {
    int64_t k = 0;
    while (k < x.cols - 1 && isfinite(values[k])) k++;
    return lgt_fail(err, LGT_ERR_DATA, "x: row %lld, column %lld is not finite", (long long)row, (long long)k);
}

lgt_status lgt_unit_rows_take(lgt_context *context, lgt_view x, lgt_unit_rows *out, lgt_error *err) {
    take t = {x, out, x.dtype == LGT_F32 ? least_f32 : least_f64};
    out->n_rows = x.rows;
    lgt_parallel_for(context, lgt_ceil_div(x.rows, LGT_ALIGN_ROWS), take_rows, &t);
    for (int64_t i = 0; i < x.rows; i++)
        if (isnan(out->lengths[i])) return fail_row(x, i, out->units + i * x.cols, err);
    return LGT_OK;
}
