/* Rows of w that a batch aims at, on every rank: copies of those that other ranks have. */
#ifndef LGT_HEAD_TARGET_ROWS_H
#define LGT_HEAD_TARGET_ROWS_H

#include "engine/engine.h"

/* Copies lie one rank's after the other's, each in the order of the batch. */
typedef struct lgt_target_rows {
    char *w, *b;             /* (max_rows, centres, D), (max_rows) in the plan's type */
    char *along_w, *along_b; /* the same of a direction; second order only */
    int64_t *slot;           /* (max_rows) */
    int64_t *class_at;       /* (ranks + 1) the first class of each rank */
    int64_t *begin, *bytes;  /* (ranks + 1) the first slot of each rank, and its place in an array */
} lgt_target_rows;

/* For a problem with a communicator. Errors: MEMORY; *out is to be freed in any case. */
lgt_status lgt_target_rows_create(const lgt_problem *problem, lgt_target_rows *out, int64_t *bytes, lgt_error *err);
void lgt_target_rows_free(lgt_context *context, lgt_target_rows *rows);

/* Collects what the batch needs of w, b and its direction, and tells it where it lies. N D numbers come to every rank.
 * Errors: COMM. */
lgt_status lgt_target_rows_collect(const lgt_problem *problem, lgt_target_rows *rows, lgt_batch *batch, lgt_error *err);

#endif
