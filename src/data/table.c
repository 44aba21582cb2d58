/* Rows of numbers read from text, with or without labels. */
#include "data/table.h"

#include "base/error.h"
#include "base/memory.h"

lgt_status lgt_table_check(const lgt_table *table, const char *path, lgt_error *err) {
    if (table->n_features > 0) return LGT_OK;
    return lgt_fail(err, LGT_ERR_DATA,
                    "%s: has a column of labels and none of features; in CSV commas separate the columns", path);
}

void lgt_table_free(lgt_context *context, lgt_table *table) {
    lgt_labels_free(context, &table->labels);
    lgt_release(context, table->x);
    *table = (lgt_table){.n_rows = 0};
}
