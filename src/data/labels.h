/* Labels: the distinct values of a column in order, and the number of each row's value among them. */
#ifndef LGT_DATA_LABELS_H
#define LGT_DATA_LABELS_H

#include "logitude/io.h"

typedef struct lgt_labels {
    int64_t n_rows;
    int64_t *index; /* (n_rows) into names */
    char **names;   /* one block, texts included: a single release frees it */
    int64_t n_names;
} lgt_labels;

/* Distinct integers in order of value, named in decimal. */
lgt_status lgt_labels_from_integers(lgt_context *context, const int64_t *values, int64_t n_rows, lgt_labels *out,
                                    lgt_error *err);

/* The distinct ones of n_rows texts that stand one behind the other, each ended by NUL, in order of bytes. */
lgt_status lgt_labels_from_texts(lgt_context *context, const char *texts, int64_t n_rows, lgt_labels *out,
                                 lgt_error *err);

/* A copy of names in one block. */
lgt_status lgt_labels_copy_names(lgt_context *context, const char *const *names, int64_t n_names, char ***out,
                                 lgt_error *err);

void lgt_labels_free(lgt_context *context, lgt_labels *labels);

#endif
