/* The alignment terms of a training: over the embeddings, and over the layers of the encoder. */
#ifndef LGT_TRAIN_ALIGNMENT_H
#define LGT_TRAIN_ALIGNMENT_H

#include "logitude/align.h"
#include "logitude/encoder.h"

/* The terms between layers. */
enum { LGT_LAYERED_K, LGT_LAYERED_Z, LGT_N_LAYERED };

/* Zeros: no alignment. */
typedef struct lgt_alignment {
    lgt_align_plan *direction;
    lgt_align_layers *layers[LGT_N_LAYERED];
    int n_hidden;    /* layers of the encoder below the embedding */
    int reads_below; /* the direction term reads the last of them */
    int64_t max_rows;
    float **gradients;     /* (n_hidden) of (max_rows, width) */
    lgt_view *dhidden;     /* (n_hidden) of the last run; NULL: no term reads hidden layers */
    lgt_view *x;           /* (n_hidden + 1) */
    lgt_mut *dx;           /* (n_hidden + 1) */
    double loss;           /* of the last run, all terms, weighted */
    lgt_conflict conflict; /* of the last run */
} lgt_alignment;

typedef struct lgt_alignment_batch {
    lgt_encoder_pass *pass; /* after its forward */
    lgt_view y;             /* (N, D) embeddings */
    lgt_mut dy;             /* (N, D) the head's gradient; the alignment's is added */
    const int64_t *labels, *ids;
    lgt_align_bank *bank;               /* of `pga`, or NULL */
    lgt_align_bank *const *layer_banks; /* of `k`, by layer */
} lgt_alignment_batch;

/* How many layers a `k` or `z` term reads: the hidden ones, and the embedding where it says so. */
int lgt_alignment_count_layers(const lgt_align *term, const lgt_encoder *encoder);

/* Errors: USAGE (an encoder whose layers do not suit a term), MEMORY. *out is to be freed in any case. */
lgt_status lgt_alignment_create(lgt_context *context, const lgt_align_terms *terms, lgt_encoder *encoder,
                                int64_t max_rows, lgt_alignment *out, lgt_error *err);
void lgt_alignment_free(lgt_context *context, lgt_alignment *alignment);

lgt_status lgt_alignment_run(lgt_alignment *alignment, const lgt_alignment_batch *batch, lgt_error *err);

#endif
