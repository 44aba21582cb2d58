/* Checks of what a caller hands to heads and plans; every message carries the values at fault. */
#ifndef LGT_HEAD_CHECKS_H
#define LGT_HEAD_CHECKS_H

#include "head/head.h"

/* A view or a place for one: shape (rows, cols), type, row stride. `name` is the argument's. */
lgt_status lgt_check_view(const char *name, lgt_view view, int64_t rows, int64_t cols, lgt_dtype dtype, lgt_error *err);
lgt_status lgt_check_mut(const char *name, lgt_mut mut, int64_t rows, int64_t cols, lgt_dtype dtype, lgt_error *err);

/* The bias of a head: absent, or (1, C) finite and allowed by the loss. */
lgt_status lgt_check_bias(const lgt_head *head, lgt_view b, int64_t n_classes, lgt_dtype dtype, lgt_error *err);

/* values[0..n) finite and >= least. `name` is the argument's. */
lgt_status lgt_check_numbers(const char *name, const double *values, int64_t n, double least, lgt_error *err);

#endif
