/* Sorted scores, and where another score falls among them. */
#ifndef LGT_EVAL_RANKS_H
#define LGT_EVAL_RANKS_H

#include <stdint.h>

#include "logitude/context.h"

/* The place of a score s among the n sorted scores g is |{g < s}| + |{g <= s}|: 0 below all, 2n above all. It grows
 * with s, and every gap and every tied value has a place of its own. */
typedef struct lgt_ranks {
    int64_t n;
    float *score; /* (n) rising */
    /* start[b] = the first score of bucket b or above; buckets have equal width between the first and the last score */
    int64_t n_buckets, *start;
    double scale;
} lgt_ranks;

/* Sorts n >= 1 finite scores and takes them over, on failure as well. Errors: MEMORY. */
lgt_status lgt_ranks_create(lgt_context *context, int64_t n, float *scores, lgt_ranks *out, lgt_error *err);

void lgt_ranks_free(lgt_context *context, lgt_ranks *ranks);

int64_t lgt_ranks_place(const lgt_ranks *ranks, float score);

/* How many of the n scores have themselves a place >= place. */
int64_t lgt_ranks_at_least(const lgt_ranks *ranks, int64_t place);

/* low <= s <= high for every s with first <= place(s) < last; infinite where nothing bounds it. */
void lgt_ranks_bounds(const lgt_ranks *ranks, int64_t first, int64_t last, float *low, float *high);

#endif
