/* Checks of what a caller hands to heads and plans. */
#include "head/checks.h"

#include <math.h>

#include "base/error.h"

static lgt_status check_matrix(const char *name, const void *data, const int64_t found[3], lgt_dtype found_type,
                               int64_t rows, int64_t cols, lgt_dtype dtype, lgt_error *err) {
    if (!data && rows > 0) return lgt_fail(err, LGT_ERR_USAGE, "%s is missing", name);
    if (found[0] != rows || found[1] != cols)
        return lgt_fail(err, LGT_ERR_USAGE, "%s is (%lld, %lld), expected (%lld, %lld)", name, (long long)found[0],
                        (long long)found[1], (long long)rows, (long long)cols);
    if (found[2] < cols)
        return lgt_fail(err, LGT_ERR_USAGE, "%s has ld %lld, expected at least %lld", name, (long long)found[2],
                        (long long)cols);
    if (found_type != dtype)
        return lgt_fail(err, LGT_ERR_USAGE, "%s is %s, expected %s", name, lgt_dtype_name(found_type),
                        lgt_dtype_name(dtype));
    return LGT_OK;
}

lgt_status lgt_check_view(const char *name, lgt_view view, int64_t rows, int64_t cols, lgt_dtype dtype,
                          lgt_error *err) {
    const int64_t found[3] = {view.rows, view.cols, view.ld};
    return check_matrix(name, view.data, found, view.dtype, rows, cols, dtype, err);
}

lgt_status lgt_check_mut(const char *name, lgt_mut mut, int64_t rows, int64_t cols, lgt_dtype dtype, lgt_error *err) {
    const int64_t found[3] = {mut.rows, mut.cols, mut.ld};
    return check_matrix(name, mut.data, found, mut.dtype, rows, cols, dtype, err);
}

lgt_status lgt_check_bias(const lgt_head *head, lgt_view b, int64_t n_classes, lgt_dtype dtype, lgt_error *err) {
    if (!b.data) return LGT_OK;
    if (!head->loss.info->has_bias)
        return lgt_fail(err, LGT_ERR_USAGE, "%s has no bias, but one was given", head->loss.info->name);
    lgt_status status = lgt_check_view("b", b, 1, n_classes, dtype, err);
    for (int64_t j = 0; !status && j < b.cols; j++) {
        double value = dtype == LGT_F64 ? ((const double *)b.data)[j] : (double)((const float *)b.data)[j];
        if (!isfinite(value))
            status = lgt_fail(err, LGT_ERR_DATA, "b holds %s at class %lld; expected finite numbers",
                              isnan(value) ? "nan" : "inf", (long long)j);
    }
    return status;
}

lgt_status lgt_check_numbers(const char *name, const double *values, int64_t n, double least, lgt_error *err) {
    for (int64_t i = 0; values && i < n; i++)
        if (!(isfinite(values[i]) && values[i] >= least))
            return lgt_fail(err, LGT_ERR_DATA, "%s holds %g at %lld; expected finite numbers%s", name, values[i],
                            (long long)i, least == 0 ? " that are not negative" : "");
    return LGT_OK;
}
