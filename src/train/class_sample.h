/* Which classes a step of class sampling has: those of its labels, and a random share of the others. */
#ifndef LGT_TRAIN_CLASS_SAMPLE_H
#define LGT_TRAIN_CLASS_SAMPLE_H

#include "logitude/train.h"

/* Memory of a sampler; zeros: none. */
typedef struct lgt_class_sampler {
    int64_t n_classes, most; /* most classes of a list */
    uint64_t *present;       /* a bit a class: whether it is a label; all 0 between two calls */
    uint64_t *drawn;         /* a bit for each of the others, by rank; likewise */
} lgt_class_sampler;

/* For batches of at most max_labels. Errors: MEMORY. *out is to be freed in any case. */
lgt_status lgt_class_sampler_create(lgt_context *context, int64_t n_classes, int64_t max_labels, double rate,
                                    lgt_class_sampler *out, lgt_error *err);
void lgt_class_sampler_free(lgt_context *context, lgt_class_sampler *sampler);

/* classes (most), rising, and their offsets (most), or NULL; labels in [0, n_classes). Returns how many there are. */
int64_t lgt_class_sampler_draw(lgt_class_sampler *sampler, uint64_t seed, int64_t step, const int64_t *labels,
                               int64_t n_labels, double rate, int64_t *classes, double *offsets);

#endif
