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
    lgt_align_bank *bank;                              /* of `pga`, or NULL */
    lgt_align_bank *layer_banks[LGT_ALIGN_MAX_LAYERS]; /* of `k`: of the layers that others follow, else NULL */
    int n_dims;                                        /* shape of one sample */
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

/* Empty banks for the model's alignment, where that needs them; that of `pga` is shared by the ranks of comm, if it is
 * not NULL. Errors: MEMORY. */
lgt_status lgt_model_create_banks(lgt_model *model, const lgt_comm *comm, lgt_error *err);
void lgt_model_free_banks(lgt_model *model);

/* `whole` is the model as this rank of those that share its bank gives it away: its bank is the shared one, but on the
 * first rank a whole one after gather, which drop frees. Gather is collective. Errors: MEMORY, COMM. */
lgt_status lgt_model_gather_bank(const lgt_model *model, lgt_model *whole, lgt_error *err);
void lgt_model_drop_bank(const lgt_model *model, lgt_model *whole);

/* Bank number i of [0, LGT_MODEL_BANKS), or NULL, and what the names of its tensors begin with: `align` for that of
 * `pga`, `align.k.<layer>` for those of `k`. */
enum { LGT_MODEL_BANKS = 1 + LGT_ALIGN_MAX_LAYERS };
lgt_align_bank *lgt_model_bank_at(const lgt_model *model, int index, char prefix[LGT_TENSOR_NAME_SIZE]);

/* What a bank holds, as arrays. */
typedef struct lgt_bank_arrays {
    int64_t count, dim;
    int64_t *ids, *labels;
    double *scores;
    float *directions; /* NULL: dim is 0 */
} lgt_bank_arrays;

/* Copies a bank; count 0 and no arrays without one. Errors: MEMORY, USAGE (directions that other ranks have). */
lgt_status lgt_bank_arrays_take(lgt_context *context, const lgt_align_bank *bank, lgt_bank_arrays *out, lgt_error *err);
void lgt_bank_arrays_free(lgt_context *context, lgt_bank_arrays *arrays);

/* Frees the parts. */
void lgt_model_clear(lgt_model *model);

#endif
