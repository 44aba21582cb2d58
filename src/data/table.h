/* Rows of numbers read from text, with or without labels. */
#ifndef LGT_DATA_TABLE_H
#define LGT_DATA_TABLE_H

#include "data/labels.h"

typedef struct lgt_table {
    int64_t n_rows, n_features;
    float *x;          /* (n_rows, n_features) */
    lgt_labels labels; /* index NULL: none */
} lgt_table;

/* DATA where there is a column of labels alone. */
lgt_status lgt_table_check(const lgt_table *table, const char *path, lgt_error *err);

void lgt_table_free(lgt_context *context, lgt_table *table);

#endif
