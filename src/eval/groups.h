/* Rows grouped by label. */
#ifndef LGT_EVAL_GROUPS_H
#define LGT_EVAL_GROUPS_H

#include <stdint.h>

#include "logitude/context.h"

typedef struct lgt_groups {
    int64_t *order; /* the rows by label, then by number */
    int64_t *end;   /* end[p]: the position after the group that position p belongs to */
} lgt_groups;

/* Errors: MEMORY. */
lgt_status lgt_groups_create(lgt_context *context, int64_t n_rows, const int64_t *labels, lgt_groups *out,
                             lgt_error *err);

void lgt_groups_free(lgt_context *context, lgt_groups *groups);

#endif
