/* Standardisation of features by training statistics: x' = (x - mean) * scale. */
#ifndef LGT_TRAIN_NORMALIZATION_H
#define LGT_TRAIN_NORMALIZATION_H

#include "logitude/train.h"

typedef struct lgt_normalization {
    int64_t count;       /* 1, or one number a feature */
    float *mean, *scale; /* (count) */
} lgt_normalization;

/* Takes the statistics of x (n_rows, dim), n_rows >= 1, finite. Errors: MEMORY. */
lgt_status lgt_normalization_fit(lgt_context *context, lgt_standardize kind, const float *x, int64_t n_rows,
                                 int64_t dim, lgt_normalization *out, lgt_error *err);
void lgt_normalization_free(lgt_context *context, lgt_normalization *normalization);

/* out (n_rows, x.cols) = the normalised rows rows[0..n_rows) of x, or its first n_rows where rows is NULL. */
void lgt_normalize_rows(lgt_context *context, const lgt_normalization *normalization, lgt_view x, const int64_t *rows,
                        int64_t n_rows, float *out);

/* The same for rows [begin, end) alone, by the caller's thread. */
void lgt_normalize_some(const lgt_normalization *normalization, lgt_view x, const int64_t *rows, int64_t begin,
                        int64_t end, float *out);

#endif
