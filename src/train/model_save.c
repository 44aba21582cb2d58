/* Models as files: writing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/text_list.h"
#include "train/model.h"

enum { SPEC_SIZE = LGT_LOSS_SPEC_SIZE, NUMBER_SIZE = 24, SHAPE_SIZE = LGT_MAX_DIMS * NUMBER_SIZE, MAX_METADATA = 8 };

/* --- tensors --- */

/* Appends a tensor that borrows its elements; n_cols 0 makes it one-dimensional. */
static void put_typed(lgt_tensors *t, const char *name, lgt_dtype dtype, void *data, int64_t n_rows, int64_t n_cols) {
    lgt_tensor *tensor = &t->tensors[t->n_tensors++];
    lgt_array *a = &tensor->array;
    snprintf(tensor->name, LGT_TENSOR_NAME_SIZE, "%s", name);
    *a = (lgt_array){.dtype = dtype, .n_dims = n_cols ? 2 : 1, .shape = {n_rows, n_cols}, .data = data};
    a->count = n_cols ? n_rows * n_cols : n_rows;
}

static void put(lgt_tensors *t, const char *name, float *data, int64_t n_rows, int64_t n_cols) {
    put_typed(t, name, LGT_F32, data, n_rows, n_cols);
}

static void put_bank(const lgt_bank_arrays *bank, const char *prefix, lgt_tensors *t) {
    const struct {
        const char *name;
        lgt_dtype dtype;
        void *data;
        int64_t n_cols;
    } parts[] = {{"ids", LGT_I64, bank->ids, 0},
                 {"labels", LGT_I64, bank->labels, 0},
                 {"scores", LGT_F64, bank->scores, 0},
                 {"directions", LGT_F32, bank->directions, bank->dim}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char name[LGT_TENSOR_NAME_SIZE];
        lgt_text_format(name, sizeof name, "%s.%s", prefix, parts[i].name);
        if (parts[i].data) put_typed(t, name, parts[i].dtype, parts[i].data, bank->count, parts[i].n_cols);
    }
}

static void put_all(const lgt_model *m, lgt_tensors *t) {
    char name[LGT_TENSOR_NAME_SIZE];
    for (int l = 0; l < lgt_encoder_n_layers(m->encoder); l++) {
        lgt_mut weight, bias;
        lgt_encoder_layer(m->encoder, l, &weight, &bias);
        snprintf(name, sizeof name, "encoder.%d.weight", l);
        put(t, name, weight.data, weight.rows, weight.cols);
        snprintf(name, sizeof name, "encoder.%d.bias", l);
        put(t, name, bias.data, bias.cols, 0);
    }
    put(t, "head.weight", m->w, lgt_model_weights(m).rows, lgt_model_dim(m));
    if (m->b) put(t, "head.bias", m->b, m->n_classes, 0);
    put(t, "normalization.mean", m->normalization.mean, m->normalization.count, 0);
    put(t, "normalization.scale", m->normalization.scale, m->normalization.count, 0);
}

/* The loader refuses what is not finite; better that no such file comes to be. */
static lgt_status check_finite(const lgt_tensors *t, const char *path, lgt_error *err) {
    for (int64_t i = 0; i < t->n_tensors; i++) {
        const float *values = t->tensors[i].array.data;
        if (t->tensors[i].array.dtype != LGT_F32) continue; /* a bank's reliabilities lie in [0, 1] */
        for (int64_t k = 0; k < t->tensors[i].array.count; k++)
            if (!isfinite(values[k]))
                return lgt_fail(err, LGT_ERR_NONFINITE, "%s: %s[%lld] is %g, a model holds finite numbers only", path,
                                t->tensors[i].name, (long long)k, (double)values[k]);
    }
    return LGT_OK;
}

/* --- metadata --- */

/* Writing only reads keys. */
static void put_text(lgt_tensors *t, const char *key, char *value) {
    t->metadata[t->n_metadata++] = (lgt_metadata){(char *)key, value};
}

/* "28,28" */
static void shape_text(const lgt_model *m, char *out, size_t size) {
    size_t used = 0;
    for (int i = 0; i < m->n_dims; i++)
        used += lgt_text_format(out + used, size - used, "%s%lld", i ? "," : "", (long long)m->shape[i]);
}

/* NULL where the names are 0 .. C-1. */
static lgt_status format_labels(const lgt_model *m, const char *path, char **out, lgt_error *err) {
    *out = NULL;
    if (lgt_model_has_plain_labels(m)) return LGT_OK;
    lgt_status status = lgt_text_list_format(m->context, m->label_names, m->n_classes, out, err);
    return status ? lgt_fail_within(err, status, "%s: label names: ", path) : LGT_OK;
}

static lgt_status write(const lgt_model *m, const char *path, lgt_tensors *t, char *labels, lgt_error *err) {
    lgt_metadata metadata[MAX_METADATA];
    char format[] = LGT_MODEL_FORMAT, loss[SPEC_SIZE], classes[NUMBER_SIZE], step[NUMBER_SIZE], shape[SHAPE_SIZE];
    char align[LGT_ALIGN_SPEC_SIZE];
    char *encoder = NULL;
    lgt_status status = lgt_alloc_text(m->context, lgt_encoder_spec(m->encoder), &encoder, err);
    if (status) return status;
    lgt_loss_format(&m->loss, loss, sizeof loss);
    lgt_text_format(classes, sizeof classes, "%lld", (long long)m->n_classes);
    lgt_text_format(step, sizeof step, "%lld", (long long)m->step);
    shape_text(m, shape, sizeof shape);
    t->metadata = metadata;
    put_text(t, "format", format);
    put_text(t, "loss", loss);
    put_text(t, "encoder", encoder);
    put_text(t, "classes", classes);
    put_text(t, "step", step);
    put_text(t, "sample_shape", shape);
    if (labels) put_text(t, "label_names", labels);
    lgt_align_format(&m->align, align, sizeof align);
    if (m->align.n_terms > 0) put_text(t, "align", align);
    status = lgt_tensors_write(m->context, path, t, err);
    lgt_release(m->context, encoder);
    return status;
}

lgt_status lgt_model_save(const lgt_model *model, const char *path, lgt_error *err) {
    lgt_tensors t = {0};
    char *names = NULL, *labels = NULL;
    lgt_bank_arrays banks[LGT_MODEL_BANKS] = {{0}};
    char prefix[LGT_TENSOR_NAME_SIZE];
    int64_t capacity = 2 * (int64_t)lgt_encoder_n_layers(model->encoder) + 4 + 4 * LGT_MODEL_BANKS;
    lgt_status status = LGT_NEW_ZERO(model->context, &t.tensors, capacity, err);
    if (!status) status = lgt_alloc(model->context, capacity, LGT_TENSOR_NAME_SIZE, &names, err);
    if (!status) status = format_labels(model, path, &labels, err);
    for (int i = 0; i < LGT_MODEL_BANKS && !status; i++)
        status = lgt_bank_arrays_take(model->context, lgt_model_bank_at(model, i, prefix), &banks[i], err);
    if (!status) {
        for (int64_t i = 0; i < capacity; i++) t.tensors[i].name = names + i * LGT_TENSOR_NAME_SIZE;
        put_all(model, &t);
        for (int i = 0; i < LGT_MODEL_BANKS; i++) {
            lgt_model_bank_at(model, i, prefix);
            put_bank(&banks[i], prefix, &t);
        }
        status = check_finite(&t, path, err);
    }
    if (!status) status = write(model, path, &t, labels, err);
    for (int i = 0; i < LGT_MODEL_BANKS; i++) lgt_bank_arrays_free(model->context, &banks[i]);
    lgt_release(model->context, labels);
    lgt_release(model->context, names);
    lgt_release(model->context, t.tensors);
    return status ? status : lgt_succeed(err);
}
