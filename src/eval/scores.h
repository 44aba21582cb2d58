/* Cosines of all pairs of rows, tile by tile. score(i, j) is the same float as score(j, i), in every tile and on every
 * thread: a product of unit rows summed in the order of the dimensions. */
#ifndef LGT_EVAL_SCORES_H
#define LGT_EVAL_SCORES_H

#include "logitude/context.h"
#include "logitude/types.h"

/* Rows lie in panels of this many, dimension by dimension; tiles start and end at panels. */
#define LGT_PANEL 12

/* Rows of unit length (a zero row stays zero). */
typedef struct lgt_scores {
    int64_t n_rows, dim;
    float *panels; /* element k of row i: panels[(i / P) * P * dim + k * P + i % P], zero beyond the last row */
} lgt_scores;

/* Errors: USAGE (data, type or shape), DATA (the first value that is not finite, with its row). */
lgt_status lgt_scores_check(lgt_view embeddings, lgt_error *err);

/* Normalises the rows of a checked view in double; row p of the scores is row order[p] of the view, or p when order is
 * NULL. Errors: MEMORY. */
lgt_status lgt_scores_create(lgt_context *context, lgt_view embeddings, const int64_t *order, lgt_scores *out,
                             lgt_error *err);

void lgt_scores_free(lgt_context *context, lgt_scores *scores);

/* out[r * ld + c] = cosine of rows row + r and column + c, for whole panels: row and column must be multiples of
 * LGT_PANEL, and n_rows and n_columns count as rounded up to one. Rows beyond the last give 0; never -0. */
void lgt_scores_tile(const lgt_scores *scores, int64_t row, int64_t n_rows, int64_t column, int64_t n_columns,
                     float *out, int64_t ld);

#endif
