/* Tables of numbers, with or without a column of labels. */
#ifndef LGT_DATA_CSV_H
#define LGT_DATA_CSV_H

#include "data/input.h"
#include "data/labels.h"

/* Which column holds labels. */
typedef enum lgt_csv_labels { LGT_CSV_NO_LABELS, LGT_CSV_LAST, LGT_CSV_NAMED } lgt_csv_labels;

typedef struct lgt_csv_table {
    int64_t n_rows, n_features;
    float *x;          /* (n_rows, n_features) */
    lgt_labels labels; /* index NULL: none */
} lgt_csv_table;

/* `name` is for LGT_CSV_NAMED: a number from 1, or a name that the header must have. On an error `out` is empty. */
lgt_status lgt_csv_read(lgt_context *context, lgt_input *input, lgt_csv_labels kind, const char *name,
                        lgt_csv_table *out, lgt_error *err);
void lgt_csv_free(lgt_context *context, lgt_csv_table *table);

#endif
