/* Rows of float32 or float64 views as doubles, and back. */
#ifndef LGT_ENGINE_ELEMENT_H
#define LGT_ENGINE_ELEMENT_H

#include "base/error.h"
#include "logitude/types.h"

/* Element (i, j). */
double lgt_element(lgt_view view, int64_t i, int64_t j);

/* out[0..cols) = row i. */
void lgt_row_load(lgt_view view, int64_t i, double *out);

/* Row i = values, or += values. */
void lgt_row_store(lgt_mut mut, int64_t i, const double *values, int accumulate);

/* Whether row i holds finite numbers alone; the first column that is none, or -1. */
int lgt_row_is_finite(lgt_view view, int64_t i);
int64_t lgt_row_overflow(lgt_mut mut, int64_t i);

/* The status for it: NONFINITE, naming array and place ("row", "class"). */
lgt_status lgt_out_of_range(const char *array, const char *place, int64_t at, lgt_dtype dtype, lgt_error *err);

/* The status for a row that holds a NaN or an infinity: DATA, naming array, row, column and what was found. */
lgt_status lgt_row_not_finite(lgt_view view, int64_t i, const char *array, lgt_error *err);

#endif
