/* Rows of float32 or float64 views as doubles, and back. */
#include "engine/element.h"

#include <math.h>

double lgt_element(lgt_view view, int64_t i, int64_t j) {
    int64_t at = i * view.ld + j;
    return view.dtype == LGT_F64 ? ((const double *)view.data)[at] : (double)((const float *)view.data)[at];
}

void lgt_row_load(lgt_view view, int64_t i, double *out) {
    if (view.dtype == LGT_F64) {
        const double *row = (const double *)view.data + i * view.ld;
        for (int64_t k = 0; k < view.cols; k++) out[k] = row[k];
    } else {
        const float *row = (const float *)view.data + i * view.ld;
        for (int64_t k = 0; k < view.cols; k++) out[k] = (double)row[k];
    }
}

void lgt_row_store(lgt_mut mut, int64_t i, const double *values, int accumulate) {
    if (mut.dtype == LGT_F64) {
        double *row = (double *)mut.data + i * mut.ld;
        for (int64_t k = 0; k < mut.cols; k++) row[k] = accumulate ? row[k] + values[k] : values[k];
    } else {
        float *row = (float *)mut.data + i * mut.ld;
        for (int64_t k = 0; k < mut.cols; k++) row[k] = accumulate ? row[k] + (float)values[k] : (float)values[k];
    }
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
