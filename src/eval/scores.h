/* Cosines of all pairs of rows, tile by tile. score(i, j) is the same float as score(j, i), in every tile and on every
 * thread: every kernel sums one product in the order of the dimensions, and a product does not know its factors' order.
 */
#ifndef LGT_EVAL_SCORES_H
#define LGT_EVAL_SCORES_H

#include "kernel/kernels.h"
#include "logitude/context.h"
#include "logitude/types.h"

/* Rows lie in panels of this many, dimension by dimension: a multiple of LGT_LANES and of every kernel's height. */
#define LGT_PANEL 96

/* Rows of unit length (a zero row stays zero). */
typedef struct lgt_scores {
    int64_t n_rows, dim;
    const lgt_kernels_f32 *kernels;
    float *panels; /* element k of row i: panels[(i / P) * P * dim + k * P + i % P], zero beyond the last row */
} lgt_scores;

/* Errors: USAGE (data, type or shape), DATA (the first value that is not finite, with its row). */
lgt_status lgt_scores_check(lgt_view embeddings, lgt_error *err);

/* Normalises the rows of a checked view in double; row p of the scores is row order[p] of the view, or p when order is
 * NULL. Errors: MEMORY. */
lgt_status lgt_scores_create(lgt_context *context, lgt_view embeddings, const int64_t *order, lgt_scores *out,
                             lgt_error *err);

void lgt_scores_free(lgt_context *context, lgt_scores *scores);

/* out[r * ld + c] = cosine of rows row + r and column + c for r < n_rows and c < LGT_PANEL, never -0; 0 beyond the last
 * row. The rows lie in one panel and `column` is the first of one. */
void lgt_scores_tile(const lgt_scores *scores, int64_t row, int64_t n_rows, int64_t column, float *out, int64_t ld);

#endif
