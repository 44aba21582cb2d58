/* The directions of a batch's rows, in double. */
#ifndef LGT_ALIGN_UNIT_ROWS_H
#define LGT_ALIGN_UNIT_ROWS_H

#include "logitude/context.h"
#include "logitude/types.h"

typedef struct lgt_unit_rows {
    int64_t n_rows;
    double *units;   /* (n_rows, dim); zeros where there is no direction */
    double *lengths; /* (n_rows) |x_i|; 0 where it is too short for a direction */
} lgt_unit_rows;

/* Rows that one task takes. */
enum { LGT_ALIGN_ROWS = 32 };

lgt_status lgt_unit_rows_create(lgt_context *context, int64_t max_rows, int64_t dim, lgt_unit_rows *out,
                                lgt_error *err);
void lgt_unit_rows_free(lgt_context *context, lgt_unit_rows *rows);

/* Whether a view called `name` is (n_rows, dim) of the type, float32 or float64. Errors: USAGE. */
lgt_status lgt_align_check(const char *name, lgt_view v, int64_t n_rows, int64_t dim, lgt_dtype dtype, lgt_error *err);
lgt_view lgt_align_view(lgt_mut m);

/* Takes the directions of x. Errors: DATA, naming the first row that is not finite. */
lgt_status lgt_unit_rows_take(lgt_context *context, lgt_view x, lgt_unit_rows *out, lgt_error *err);

/* Row i of a view as doubles. */
void lgt_align_read(lgt_view v, int64_t row, double *out);
/* out_i = or += v. */
void lgt_align_write(lgt_mut out, int64_t row, const double *v, int accumulate);

#endif
