/* The alignment terms of a training (docs/alignment.md): which layers they read, and where their gradients go. */
#include "train/alignment.h"

#include <string.h>

#include "align/align_terms.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"

static int64_t width_of(lgt_encoder *encoder, int layer) {
    lgt_mut weight, bias;
    lgt_encoder_layer(encoder, layer, &weight, &bias);
    return bias.cols;
}

static int count_hidden(const lgt_encoder *encoder) {
    int n_layers = lgt_encoder_n_layers(encoder);
    return n_layers > 0 ? n_layers - 1 : 0;
}

int lgt_alignment_count_layers(const lgt_align *term, const lgt_encoder *encoder) {
    return count_hidden(encoder) + (lgt_align_value(term, "layers") == LGT_LAYERS_ALL);
}

/* --- Setting up --- */

static lgt_status create_direction(lgt_context *context, const lgt_align *term, lgt_encoder *encoder, lgt_alignment *a,
                                   lgt_error *err) {
    int64_t dim = lgt_encoder_out_dim(encoder);
    a->reads_below = lgt_align_value(term, "targets") == LGT_TARGETS_LAYER;
    if (a->reads_below && (a->n_hidden == 0 || width_of(encoder, a->n_hidden - 1) != dim))
        return lgt_fail(err, LGT_ERR_USAGE,
                        "pga: targets=layer with encoder \"%.80s\", expected a last hidden layer as wide as the "
                        "embedding, %lld",
                        lgt_encoder_spec(encoder), (long long)dim);
    return lgt_align_plan_create(context, term, dim, a->max_rows, &a->direction, err);
}

static lgt_status create_gradients(lgt_context *context, lgt_encoder *encoder, lgt_alignment *a, lgt_error *err) {
    lgt_status status = LGT_NEW_ZERO(context, &a->dhidden, a->n_hidden, err);
    if (!status) status = LGT_NEW_ZERO(context, &a->gradients, a->n_hidden, err);
    for (int l = 0; l < a->n_hidden && !status; l++) {
        int64_t elements = 0;
        if (!lgt_count_mul(a->max_rows, width_of(encoder, l), &elements))
            return lgt_fail(err, LGT_ERR_MEMORY, "a batch of %lld rows overflows", (long long)a->max_rows);
        status = LGT_NEW(context, &a->gradients[l], elements, err);
    }
    return status;
}

static lgt_status create_layers(lgt_context *context, const lgt_align *term, lgt_encoder *encoder, lgt_alignment *a,
                                lgt_error *err) {
    int64_t dims[LGT_ALIGN_MAX_LAYERS];
    int which = term->info->kind == LGT_ALIGN_K ? LGT_LAYERED_K : LGT_LAYERED_Z;
    int count = lgt_alignment_count_layers(term, encoder);
    for (int l = 0; l < count && l < LGT_ALIGN_MAX_LAYERS; l++)
        dims[l] = l < a->n_hidden ? width_of(encoder, l) : lgt_encoder_out_dim(encoder);
    lgt_status status = lgt_align_layers_create(context, term, count, dims, a->max_rows, &a->layers[which], err);
    if (status == LGT_ERR_USAGE) return lgt_fail_within(err, status, "encoder \"%.80s\": ", lgt_encoder_spec(encoder));
    return status;
}

lgt_status lgt_alignment_create(lgt_context *context, const lgt_align_terms *terms, lgt_encoder *encoder,
                                int64_t max_rows, lgt_alignment *out, lgt_error *err) {
    lgt_status status = LGT_OK;
    *out = (lgt_alignment){.n_hidden = count_hidden(encoder), .max_rows = max_rows};
    if (terms->n_terms == 0) return LGT_OK;
    status = LGT_NEW_ZERO(context, &out->x, out->n_hidden + 1, err);
    if (!status) status = LGT_NEW_ZERO(context, &out->dx, out->n_hidden + 1, err);
    for (int i = 0; i < terms->n_terms && !status; i++)
        status = terms->terms[i].info->kind == LGT_ALIGN_PGA
                     ? create_direction(context, &terms->terms[i], encoder, out, err)
                     : create_layers(context, &terms->terms[i], encoder, out, err);
    if (!status && (out->layers[LGT_LAYERED_K] || out->layers[LGT_LAYERED_Z]))
        status = create_gradients(context, encoder, out, err);
    return status;
}

void lgt_alignment_free(lgt_context *context, lgt_alignment *alignment) {
    lgt_release(context, alignment->dx);
    lgt_release(context, alignment->x);
    for (int l = 0; alignment->gradients && l < alignment->n_hidden; l++) lgt_release(context, alignment->gradients[l]);
    lgt_release(context, alignment->gradients);
    lgt_release(context, alignment->dhidden);
    for (int i = 0; i < LGT_N_LAYERED; i++) lgt_align_layers_free(alignment->layers[i]);
    lgt_align_plan_free(alignment->direction);
}

/* --- A step --- */

static lgt_status run_direction(lgt_alignment *a, const lgt_alignment_batch *b, lgt_error *err) {
    lgt_align_inputs in = {.x = b->y, .labels = b->labels, .ids = b->ids, .bank = b->bank};
    lgt_align_outputs out = {.dx = b->dy, .accumulate = 1};
    in.head = lgt_view_of(b->dy.data, b->dy.rows, b->dy.cols, LGT_F32); /* read before it is added to */
    if (a->reads_below) in.below = lgt_encoder_hidden(b->pass, a->n_hidden - 1);
    lgt_status status = lgt_align_run(a->direction, &in, &out, err);
    a->loss += out.loss;
    a->conflict = out.conflict;
    return status;
}

/* All layers with empty gradients. */
static void open_layers(lgt_alignment *a, const lgt_alignment_batch *b) {
    for (int l = 0; l < a->n_hidden; l++) {
        a->x[l] = lgt_encoder_hidden(b->pass, l);
        a->dx[l] = lgt_mut_of(a->gradients[l], a->x[l].rows, a->x[l].cols, LGT_F32);
        a->dhidden[l] = lgt_view_of(a->gradients[l], a->x[l].rows, a->x[l].cols, LGT_F32);
        memset(a->gradients[l], 0, (size_t)(a->x[l].rows * a->x[l].cols) * sizeof(float));
    }
    a->x[a->n_hidden] = b->y;
    a->dx[a->n_hidden] = b->dy;
}

lgt_status lgt_alignment_run(lgt_alignment *alignment, const lgt_alignment_batch *batch, lgt_error *err) {
    lgt_alignment *a = alignment;
    lgt_status status = LGT_OK;
    a->loss = 0;
    a->conflict = (lgt_conflict){0};
    if (a->direction) status = run_direction(a, batch, err); /* first: what is in dy now is the head's alone */
    if (a->dhidden && !status) open_layers(a, batch);
    for (int i = 0; i < LGT_N_LAYERED && !status; i++) {
        if (!a->layers[i]) continue;
        lgt_align_layers_inputs in = {.x = a->x, .labels = batch->labels, .ids = batch->ids};
        if (i == LGT_LAYERED_K) in.banks = batch->layer_banks; /* z weighs all rows alike */
        lgt_align_layers_outputs out = {.dx = a->dx, .accumulate = 1};
        status = lgt_align_layers_run(a->layers[i], &in, &out, err);
        a->loss += out.loss;
    }
    return status;
}
