/* Models in memory: parts, label names, embeddings. */
#include "train/model.h"

#include <string.h>

#include "base/error.h"
#include "base/fingerprint.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "base/text.h"

/* Rows that are embedded at once. */
enum { EMBED_ROWS = 1024, NUMBER_SIZE = 24 };

static void number_name(int64_t number, char out[NUMBER_SIZE]) {
    lgt_text_format(out, NUMBER_SIZE, "%lld", (long long)number);
}

lgt_status lgt_model_name_labels(lgt_model *model, char *const *names, lgt_error *err) {
    char number[NUMBER_SIZE];
    lgt_status status = LGT_NEW_ZERO(model->context, &model->label_names, model->n_classes, err);
    for (int64_t j = 0; j < model->n_classes && !status; j++) {
        number_name(j, number);
        status = lgt_alloc_text(model->context, names ? names[j] : number, &model->label_names[j], err);
    }
    return status;
}

int lgt_model_has_plain_labels(const lgt_model *model) {
    char number[NUMBER_SIZE];
    for (int64_t j = 0; j < model->n_classes; j++) {
        number_name(j, number);
        if (strcmp(model->label_names[j], number) != 0) return 0;
    }
    return 1;
}

void lgt_model_clear(lgt_model *model) {
    for (int64_t j = 0; model->label_names && j < model->n_classes; j++)
        lgt_release(model->context, model->label_names[j]);
    lgt_release(model->context, model->label_names);
    lgt_model_free_banks(model);
    lgt_release(model->context, model->b);
    lgt_release(model->context, model->w);
    lgt_normalization_free(model->context, &model->normalization);
    lgt_encoder_free(model->encoder);
}

void lgt_model_free(lgt_model *model) {
    if (!model) return;
    lgt_model_clear(model);
    lgt_release(model->context, model);
}

int64_t lgt_model_in_dim(const lgt_model *model) {
    return lgt_encoder_in_dim(model->encoder);
}
int64_t lgt_model_dim(const lgt_model *model) {
    return lgt_encoder_out_dim(model->encoder);
}
int64_t lgt_model_n_classes(const lgt_model *model) {
    return model->n_classes;
}
int64_t lgt_model_step(const lgt_model *model) {
    return model->step;
}
int64_t lgt_model_n_params(const lgt_model *model) {
    int64_t n_weights = model->n_classes * lgt_loss_centres(&model->loss) * lgt_model_dim(model);
    return lgt_encoder_n_params(model->encoder) + n_weights + (model->b ? model->n_classes : 0);
}
const char *lgt_model_encoder_spec(const lgt_model *model) {
    return lgt_encoder_spec(model->encoder);
}
const lgt_loss *lgt_model_loss(const lgt_model *model) {
    return &model->loss;
}
char *const *lgt_model_label_names(const lgt_model *model) {
    return model->label_names;
}

lgt_view lgt_model_weights(const lgt_model *model) {
    return lgt_view_of(model->w, model->n_classes * lgt_loss_centres(&model->loss), lgt_model_dim(model), LGT_F32);
}

lgt_view lgt_model_bias(const lgt_model *model) {
    return lgt_view_of(model->b, 1, model->n_classes, LGT_F32);
}

uint64_t lgt_model_fingerprint(const lgt_model *model) {
    char loss[LGT_LOSS_SPEC_SIZE];
    uint64_t hash = LGT_FINGERPRINT_START;
    lgt_view w = lgt_model_weights(model);
    const lgt_normalization *n = &model->normalization;
    lgt_loss_format(&model->loss, loss, sizeof loss);
    lgt_fingerprint_text(&hash, loss);
    lgt_fingerprint_text(&hash, lgt_model_encoder_spec(model));
    lgt_fingerprint_word(&hash, (uint64_t)model->n_classes);
    lgt_fingerprint_word(&hash, (uint64_t)w.cols);
    lgt_fingerprint_floats(&hash, model->w, w.rows * w.cols);
    lgt_fingerprint_floats(&hash, model->b, model->b ? model->n_classes : 0);
    lgt_fingerprint_floats(&hash, lgt_encoder_params(model->encoder), lgt_encoder_n_params(model->encoder));
    lgt_fingerprint_floats(&hash, n->mean, n->count);
    lgt_fingerprint_floats(&hash, n->scale, n->count);
    for (int64_t j = 0; j < model->n_classes; j++) lgt_fingerprint_text(&hash, model->label_names[j]);
    return hash;
}

static lgt_status check_arrays(const lgt_model *model, lgt_view x, lgt_mut out, lgt_error *err) {
    int64_t in = lgt_model_in_dim(model), dim = lgt_model_dim(model);
    if (x.rows < 0 || x.cols != in)
        return lgt_fail(err, LGT_ERR_USAGE, "x is (%lld, %lld), expected (N, %lld)", (long long)x.rows,
                        (long long)x.cols, (long long)in);
    if (out.rows != x.rows || out.cols != dim)
        return lgt_fail(err, LGT_ERR_USAGE, "out is (%lld, %lld), expected (%lld, %lld)", (long long)out.rows,
                        (long long)out.cols, (long long)x.rows, (long long)dim);
    if (x.dtype != LGT_F32 || out.dtype != LGT_F32)
        return lgt_fail(err, LGT_ERR_USAGE, "x and out have types %s and %s, expected f32", lgt_dtype_name(x.dtype),
                        lgt_dtype_name(out.dtype));
    if (x.rows > 0 && (!x.data || !out.data || x.ld < x.cols))
        return lgt_fail(err, LGT_ERR_USAGE, "x or out is not given, or x has ld %lld, expected at least %lld",
                        (long long)x.ld, (long long)x.cols);
    return LGT_OK;
}

static lgt_status embed_block(const lgt_model *model, lgt_encoder_pass *pass, float *block, lgt_view x, lgt_mut out,
                              int64_t row, lgt_error *err) {
    int64_t n = lgt_min64(EMBED_ROWS, x.rows - row);
    lgt_mut y = {(float *)out.data + row * out.ld, n, out.cols, out.ld, LGT_F32};
    x.data = (const float *)x.data + row * x.ld;
    lgt_normalize_rows(model->context, &model->normalization, x, NULL, n, block);
    return lgt_encoder_forward(pass, lgt_view_of(block, n, x.cols, LGT_F32), y, err);
}

lgt_status lgt_model_embed(lgt_model *model, lgt_view x, lgt_mut out, lgt_error *err) {
    lgt_encoder_pass *pass = NULL;
    float *block = NULL;
    int64_t n_rows = lgt_min64(EMBED_ROWS, x.rows);
    lgt_status status = check_arrays(model, x, out, err);
    if (!status) status = lgt_encoder_pass_create(model->encoder, n_rows, 0, &pass, err);
    if (!status) status = LGT_NEW(model->context, &block, n_rows * x.cols, err); /* dims of encoders fit in 31 bits */
    for (int64_t row = 0; row < x.rows && !status; row += EMBED_ROWS)
        status = embed_block(model, pass, block, x, out, row, err);
    lgt_release(model->context, block);
    lgt_encoder_pass_free(pass);
    return status ? status : lgt_succeed(err);
}
