/* Neighbours of the rows of a batch: of the same label, by cosine, from the batch or from the bank (Eq. 142). */
#ifndef LGT_ALIGN_NEIGHBOURS_H
#define LGT_ALIGN_NEIGHBOURS_H

#include "align/memory_bank.h"
#include "align/unit_rows.h"

typedef struct lgt_neighbour_options {
    int64_t k;
    int symmetric, full_rows, from_bank;
    double min_reliability;
    int64_t capacity; /* from_bank: of the bank */
} lgt_neighbour_options;

/* The part that all terms have in common. */
lgt_neighbour_options lgt_neighbour_options_of(const lgt_align *term);

typedef struct lgt_finder lgt_finder;

lgt_status lgt_finder_create(lgt_context *context, const lgt_neighbour_options *options, int64_t dim, int64_t max_rows,
                             lgt_finder **out, lgt_error *err);
void lgt_finder_free(lgt_finder *finder);

/* Makes room for what the ranks of a shared bank find; of another one nothing. Errors: MEMORY. */
lgt_status lgt_finder_prepare(lgt_finder *finder, const lgt_align_bank *bank, lgt_error *err);

/* Finds the neighbours of all rows that have a direction. ids and bank may be NULL; a bank that is searched has been
 * prepared for, and where it is shared this is collective. Errors: COMM. */
lgt_status lgt_finder_run(lgt_finder *finder, const lgt_unit_rows *rows, const int64_t *labels, const int64_t *ids,
                          const lgt_align_bank *bank, lgt_error *err);

/* The neighbours of a row; beta and target are the caller's to set. */
lgt_align_edge *lgt_finder_edges(const lgt_finder *finder, int64_t row, int64_t *count);
int64_t lgt_finder_count(const lgt_finder *finder);
/* Sigmoid of the mean positive cosine of row i with its candidates; NaN where there is none. */
double lgt_finder_score(const lgt_finder *finder, int64_t row);

#endif
