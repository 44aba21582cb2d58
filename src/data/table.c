/* Rows of numbers read from text, with or without labels. */
#include "data/table.h"

#include "base/memory.h"

void lgt_table_free(lgt_context *context, lgt_table *table) {
    lgt_labels_free(context, &table->labels);
    lgt_release(context, table->x);
    *table = (lgt_table){.n_rows = 0};
}
