/* Which files a dataset specification means. */
#ifndef LGT_DATA_DATASET_SOURCE_H
#define LGT_DATA_DATASET_SOURCE_H

#include "logitude/io.h"

typedef struct lgt_dataset_source {
    char *features;
    char *labels; /* NULL: none named */
} lgt_dataset_source;

/* Errors: USAGE (no specification), IO (nothing there), DATA (a folder without a dataset). `out` is empty then. */
lgt_status lgt_dataset_source_find(lgt_context *context, const lgt_dataset_options *options, lgt_dataset_source *out,
                                   lgt_error *err);
void lgt_dataset_source_free(lgt_context *context, lgt_dataset_source *source);

#endif
