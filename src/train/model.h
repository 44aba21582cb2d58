/* The inside of a model. */
#ifndef LGT_TRAIN_MODEL_H
#define LGT_TRAIN_MODEL_H

#include "train/normalization.h"

/* All parts are its own. */
struct lgt_model {
    lgt_context *context;
    lgt_loss loss;
    lgt_encoder *encoder;
    lgt_normalization normalization;
    int64_t n_classes, step;
    float *w, *b;       /* (C, D); (C) or NULL */
    char **label_names; /* (C) */
    lgt_align_terms align;
    lgt_align_bank *bank; /* or NULL */
    int n_dims;           /* shape of one sample */
    int64_t shape[LGT_MAX_DIMS];
};

/* What the metadata call the layout of the file. */
#define LGT_MODEL_FORMAT "logitude-model-1"

/* Long enough for every name of a tensor. */
enum { LGT_TENSOR_NAME_SIZE = 32 };

/* Copies C names, or writes 0 .. C-1 where names is NULL; n_classes is set. Errors: MEMORY. */
lgt_status lgt_model_name_labels(lgt_model *model, char *const *names, lgt_error *err);

/* Whether the names are 0 .. C-1. */
int lgt_model_has_plain_labels(const lgt_model *model);

/* An empty bank for the model's alignment, where that needs one. Errors: MEMORY. */
lgt_status lgt_model_create_bank(lgt_model *model, lgt_error *err);

/* What a bank holds, as arrays. */
typedef struct lgt_bank_arrays {
    int64_t count;
    int64_t *ids, *labels;
    double *scores;
    float *directions;
} lgt_bank_arrays;

/* Copies the model's bank; count 0 and no arrays without one. Errors: MEMORY. */
lgt_status lgt_bank_arrays_take(const lgt_model *model, lgt_bank_arrays *out, lgt_error *err);
void lgt_bank_arrays_free(lgt_context *context, lgt_bank_arrays *arrays);

/* Frees the parts. */
void lgt_model_clear(lgt_model *model);

#endif
