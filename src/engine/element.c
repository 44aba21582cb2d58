/* Rows of float32 or float64 views as doubles, and back. */
#include "engine/element.h"

#include <math.h>

#include "base/compiler.h"
#include "math/magnitude.h"

double lgt_element(lgt_view view, int64_t i, int64_t j) {
    int64_t at = i * view.ld + j;
    return view.dtype == LGT_F64 ? ((const double *)view.data)[at] : (double)((const float *)view.data)[at];
}

LGT_WIDENED static void load_f32(const float *row, int64_t n, double *out) {
    for (int64_t k = 0; k < n; k++) out[k] = (double)row[k];
}

void lgt_row_load(lgt_view view, int64_t i, double *out) {
    if (view.dtype == LGT_F64) {
        const double *row = (const double *)view.data + i * view.ld;
        for (int64_t k = 0; k < view.cols; k++) out[k] = row[k];
    } else {
        load_f32((const float *)view.data + i * view.ld, view.cols, out);
    }
}

LGT_WIDENED static void store_f32(const double *values, int64_t n, float *row, int accumulate) {
    for (int64_t k = 0; k < n; k++) row[k] = accumulate ? row[k] + (float)values[k] : (float)values[k];
}

void lgt_row_store(lgt_mut mut, int64_t i, const double *values, int accumulate) {
    if (mut.dtype == LGT_F64) {
        double *row = (double *)mut.data + i * mut.ld;
        for (int64_t k = 0; k < mut.cols; k++) row[k] = accumulate ? row[k] + values[k] : values[k];
    } else {
        store_f32(values, mut.cols, (float *)mut.data + i * mut.ld, accumulate);
    }
}

int lgt_row_is_finite(lgt_view view, int64_t i) {
    if (view.dtype == LGT_F64) return lgt_all_below_f64((const double *)view.data + i * view.ld, view.cols, INFINITY);
    return lgt_all_below_f32((const float *)view.data + i * view.ld, view.cols, INFINITY);
}

int64_t lgt_row_overflow(lgt_mut mut, int64_t i) {
    lgt_view view = {mut.data, mut.rows, mut.cols, mut.ld, mut.dtype};
    int64_t k = 0;
    if (lgt_row_is_finite(view, i)) return -1;
    while (isfinite(lgt_element(view, i, k))) k++;
    return k;
}

lgt_status lgt_out_of_range(const char *array, const char *place, int64_t at, lgt_dtype dtype, lgt_error *err) {
    return lgt_fail(err, LGT_ERR_NONFINITE, "%s: %s %lld exceeds the range of %s", array, place, (long long)at,
                    lgt_dtype_name(dtype));
}

lgt_status lgt_row_not_finite(lgt_view view, int64_t i, const char *array, lgt_error *err) {
    for (int64_t j = 0; j < view.cols; j++) {
        double value = lgt_element(view, i, j);
        if (!isfinite(value))
            return lgt_fail(err, LGT_ERR_DATA, "%s holds %s at row %lld, column %lld; expected finite numbers", array,
                            isnan(value) ? "nan" : "inf", (long long)i, (long long)j);
    }
    return lgt_fail(err, LGT_ERR_DATA, "%s row %lld is too long: its norm exceeds the range of double", array,
                    (long long)i);
}
