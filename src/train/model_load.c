/* Models as files: reading, and refusing whatever does not hang together. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "base/text.h"
#include "data/text_list.h"
#include "net/encoder.h"
#include "train/model.h"

typedef struct loader {
    const char *path;
    const lgt_tensors *tensors;
    lgt_model *model;
    int64_t in_dim, n_read; /* tensors that were asked for: the file must hold no others */
} loader;

/* --- metadata --- */

static lgt_status find_text(const loader *l, const char *key, const char **out, lgt_error *err) {
    *out = lgt_tensors_metadata(l->tensors, key);
    if (!*out) return lgt_fail(err, LGT_ERR_DATA, "%s: no metadata \"%s\", which a model has", l->path, key);
    return LGT_OK;
}

static lgt_status find_number(const loader *l, const char *key, int64_t *out, lgt_error *err) {
    const char *text;
    lgt_status status = find_text(l, key, &text, err);
    if (!status && (!lgt_text_int64(text, strlen(text), out) || *out < 0))
        status = lgt_fail(err, LGT_ERR_DATA, "%s: metadata %s is \"%.40s\", expected a number from 0 on", l->path, key,
                          text);
    return status;
}

static lgt_status read_loss(loader *l, lgt_error *err) {
    const char *format, *spec;
    lgt_status status = find_text(l, "format", &format, err);
    if (!status && strcmp(format, LGT_MODEL_FORMAT) != 0)
        status = lgt_fail(err, LGT_ERR_DATA, "%s: metadata format is \"%.40s\", expected \"%s\"", l->path, format,
                          LGT_MODEL_FORMAT);
    if (!status) status = find_text(l, "loss", &spec, err);
    if (!status && lgt_loss_parse(spec, &l->model->loss, err))
        status = lgt_fail_within(err, LGT_ERR_DATA, "%s: metadata loss: ", l->path);
    return status;
}

/* The size at *cursor; moves past it and its comma, after which another size must come. */
static int next_size(const char **cursor, int64_t *out) {
    size_t length = strcspn(*cursor, ",");
    int comma = (*cursor)[length] == ',';
    if (!lgt_text_int64(*cursor, length, out) || *out < 1) return 0;
    *cursor += length + (size_t)comma;
    return !comma || **cursor;
}

static lgt_status read_shape(loader *l, lgt_error *err) {
    lgt_model *m = l->model;
    const char *text;
    lgt_status status = find_text(l, "sample_shape", &text, err);
    if (status) return status;
    int sound = 1;
    const char *cursor = text;
    for (l->in_dim = 1; sound && (*cursor || m->n_dims == 0); m->n_dims++)
        sound = m->n_dims < LGT_MAX_DIMS && next_size(&cursor, &m->shape[m->n_dims]) &&
                lgt_count_mul(l->in_dim, m->shape[m->n_dims], &l->in_dim);
    if (!sound)
        return lgt_fail(err, LGT_ERR_DATA, "%s: metadata sample_shape is \"%.80s\", expected sizes like \"28,28\"",
                        l->path, text);
    return LGT_OK;
}

static lgt_status check_distinct(const loader *l, lgt_error *err) {
    const lgt_model *m = l->model;
    char **sorted = NULL;
    lgt_status status = LGT_NEW(m->context, &sorted, m->n_classes, err);
    if (status) return status;
    memcpy(sorted, m->label_names, (size_t)m->n_classes * sizeof *sorted);
    qsort(sorted, (size_t)m->n_classes, sizeof *sorted, lgt_text_compare);
    for (int64_t j = 1; j < m->n_classes && !status; j++)
        if (strcmp(sorted[j - 1], sorted[j]) == 0)
            status =
                lgt_fail(err, LGT_ERR_DATA, "%s: metadata label_names: '%.100s' is given twice", l->path, sorted[j]);
    lgt_release(m->context, sorted);
    return status;
}

static lgt_status read_labels(loader *l, lgt_error *err) {
    lgt_model *m = l->model;
    const char *text = lgt_tensors_metadata(l->tensors, "label_names");
    if (!text) return lgt_model_name_labels(m, NULL, err);
    lgt_status status = LGT_NEW_ZERO(m->context, &m->label_names, m->n_classes, err);
    if (status) return status;
    status = lgt_text_list_parse(m->context, text, m->n_classes, m->label_names, err);
    if (!status) return check_distinct(l, err);
    lgt_release(m->context, m->label_names);
    m->label_names = NULL;
    return lgt_fail_within(err, status, "%s: metadata label_names: ", l->path);
}

/* --- tensors --- */

static lgt_status find_typed(loader *l, const char *name, lgt_dtype dtype, int n_dims, const lgt_array **out,
                             lgt_error *err) {
    const lgt_array *a = lgt_tensors_find(l->tensors, name);
    if (!a) return lgt_fail(err, LGT_ERR_DATA, "%s: no tensor \"%s\", which this model has", l->path, name);
    if (a->dtype != dtype || a->n_dims != n_dims)
        return lgt_fail(err, LGT_ERR_DATA, "%s: %s is %s with %d dimensions, expected %s with %d", l->path, name,
                        lgt_dtype_name(a->dtype), a->n_dims, lgt_dtype_name(dtype), n_dims);
    l->n_read++;
    *out = a;
    return LGT_OK;
}

static lgt_status find_tensor(loader *l, const char *name, int n_dims, const lgt_array **out, lgt_error *err) {
    const lgt_array *a = NULL;
    lgt_status status = find_typed(l, name, LGT_F32, n_dims, &a, err);
    if (status) return status;
    for (int64_t k = 0; k < a->count; k++)
        if (!isfinite(((const float *)a->data)[k]))
            return lgt_fail(err, LGT_ERR_DATA, "%s: %s[%lld] is not finite", l->path, name, (long long)k);
    *out = a;
    return LGT_OK;
}

static lgt_status copy_matrix(loader *l, const char *name, lgt_mut to, lgt_error *err) {
    const lgt_array *a = NULL;
    lgt_status status = find_tensor(l, name, 2, &a, err);
    if (!status && (a->shape[0] != to.rows || a->shape[1] != to.cols))
        status = lgt_fail(err, LGT_ERR_DATA, "%s: %s is (%lld, %lld), expected (%lld, %lld)", l->path, name,
                          (long long)a->shape[0], (long long)a->shape[1], (long long)to.rows, (long long)to.cols);
    if (!status) memcpy(to.data, a->data, (size_t)a->count * sizeof(float));
    return status;
}

static lgt_status copy_vector(loader *l, const char *name, float *to, int64_t count, lgt_error *err) {
    const lgt_array *a = NULL;
    lgt_status status = find_tensor(l, name, 1, &a, err);
    if (!status && a->count != count)
        status = lgt_fail(err, LGT_ERR_DATA, "%s: %s has %lld elements, expected %lld", l->path, name,
                          (long long)a->count, (long long)count);
    if (!status) memcpy(to, a->data, (size_t)count * sizeof(float));
    return status;
}

static lgt_status read_head(loader *l, int64_t *dim, lgt_error *err) {
    lgt_model *m = l->model;
    const lgt_array *w = NULL;
    int64_t classes = 0, rows = 0;
    lgt_status status = find_number(l, "classes", &classes, err);
    if (!status) status = find_tensor(l, "head.weight", 2, &w, err);
    if (status) return status;
    if (!lgt_count_mul(classes, lgt_loss_centres(&m->loss), &rows) || w->shape[0] != rows || rows < 1 ||
        w->shape[1] < 1)
        return lgt_fail(err, LGT_ERR_DATA,
                        "%s: head.weight is (%lld, %lld) but metadata classes is %lld, of %lld rows each", l->path,
                        (long long)w->shape[0], (long long)w->shape[1], (long long)classes,
                        (long long)lgt_loss_centres(&m->loss));
    m->n_classes = classes;
    *dim = w->shape[1];
    status = LGT_NEW(m->context, &m->w, w->count, err);
    if (status) return status;
    memcpy(m->w, w->data, (size_t)w->count * sizeof(float));
    if (!m->loss.info->has_bias || !lgt_tensors_find(l->tensors, "head.bias")) return LGT_OK;
    status = LGT_NEW(m->context, &m->b, classes, err);
    return status ? status : copy_vector(l, "head.bias", m->b, classes, err);
}

static lgt_status read_normalization(loader *l, lgt_error *err) {
    lgt_normalization *n = &l->model->normalization;
    const lgt_array *mean = NULL;
    lgt_status status = find_tensor(l, "normalization.mean", 1, &mean, err);
    if (status) return status;
    if (mean->count != 1 && mean->count != l->in_dim)
        return lgt_fail(err, LGT_ERR_DATA, "%s: normalization.mean has %lld elements, expected 1 or %lld", l->path,
                        (long long)mean->count, (long long)l->in_dim);
    n->count = mean->count;
    status = LGT_NEW(l->model->context, &n->mean, n->count, err);
    if (!status) status = LGT_NEW(l->model->context, &n->scale, n->count, err);
    if (status) return status;
    memcpy(n->mean, mean->data, (size_t)n->count * sizeof(float));
    return copy_vector(l, "normalization.scale", n->scale, n->count, err);
}

/* How many numbers the file has for the encoder. */
static int64_t encoder_params(const lgt_tensors *t) {
    int64_t count = 0;
    for (int64_t i = 0; i < t->n_tensors; i++)
        if (strncmp(t->tensors[i].name, "encoder.", strlen("encoder.")) == 0) count += t->tensors[i].array.count;
    return count;
}

static lgt_status read_encoder(loader *l, int64_t dim, lgt_error *err) {
    lgt_model *m = l->model;
    const char *spec;
    lgt_status status = find_text(l, "encoder", &spec, err);
    if (status) return status;
    status = lgt_encoder_create_blank(m->context, spec, l->in_dim, dim, encoder_params(l->tensors), &m->encoder, err);
    if (status)
        return lgt_fail_within(err, status == LGT_ERR_USAGE ? LGT_ERR_DATA : status, "%s: metadata encoder: ", l->path);
    for (int layer = 0; layer < lgt_encoder_n_layers(m->encoder) && !status; layer++) {
        char name[LGT_TENSOR_NAME_SIZE];
        lgt_mut weight, bias;
        lgt_encoder_layer(m->encoder, layer, &weight, &bias);
        snprintf(name, sizeof name, "encoder.%d.weight", layer);
        status = copy_matrix(l, name, weight, err);
        snprintf(name, sizeof name, "encoder.%d.bias", layer);
        if (!status) status = copy_vector(l, name, bias.data, bias.cols, err);
    }
    return status;
}

/* --- alignment --- */

static lgt_status find_part(loader *l, const char *prefix, const char *part, lgt_dtype dtype, int n_dims,
                            const lgt_array **out, lgt_error *err) {
    char name[LGT_TENSOR_NAME_SIZE];
    lgt_text_format(name, sizeof name, "%s.%s", prefix, part);
    return find_typed(l, name, dtype, n_dims, out, err);
}

/* A bank that was empty when the model was saved has no tensors. */
static lgt_status read_bank(loader *l, lgt_align_bank *bank, const char *prefix, lgt_error *err) {
    static const lgt_array none = {.n_dims = 2};
    const lgt_array *ids = NULL, *labels = NULL, *scores = NULL, *directions = &none;
    char name[LGT_TENSOR_NAME_SIZE];
    int64_t dim = lgt_align_bank_dim(bank);
    lgt_text_format(name, sizeof name, "%s.ids", prefix);
    if (!lgt_tensors_find(l->tensors, name)) return LGT_OK;
    lgt_status status = find_part(l, prefix, "ids", LGT_I64, 1, &ids, err);
    if (!status) status = find_part(l, prefix, "labels", LGT_I64, 1, &labels, err);
    if (!status) status = find_part(l, prefix, "scores", LGT_F64, 1, &scores, err);
    if (!status && dim > 0) status = find_part(l, prefix, "directions", LGT_F32, 2, &directions, err);
    if (status) return status;
    int64_t n = ids->count;
    if (labels->count != n || scores->count != n || directions->shape[0] != (dim > 0 ? n : 0) ||
        directions->shape[1] != dim)
        return lgt_fail(err, LGT_ERR_DATA,
                        "%s: %s.ids has %lld elements, .labels %lld, .scores %lld and .directions is (%lld, %lld), "
                        "expected one of each a sample, and dim %lld",
                        l->path, prefix, (long long)n, (long long)labels->count, (long long)scores->count,
                        (long long)directions->shape[0], (long long)directions->shape[1], (long long)dim);
    status = lgt_align_bank_import(bank, n, ids->data, labels->data, scores->data, directions->data, err);
    return status ? lgt_fail_within(err, status, "%s: ", l->path) : LGT_OK;
}

static lgt_status read_align(loader *l, lgt_error *err) {
    const char *spec = lgt_tensors_metadata(l->tensors, "align");
    if (!spec) return LGT_OK;
    if (lgt_align_parse(spec, &l->model->align, err))
        return lgt_fail_within(err, LGT_ERR_DATA, "%s: metadata align: ", l->path);
    lgt_status status = lgt_model_create_banks(l->model, NULL, err);
    for (int i = 0; i < LGT_MODEL_BANKS && !status; i++) {
        char prefix[LGT_TENSOR_NAME_SIZE];
        lgt_align_bank *bank = lgt_model_bank_at(l->model, i, prefix);
        if (bank) status = read_bank(l, bank, prefix, err);
    }
    return status;
}

/* --- the whole --- */

static lgt_status read_parts(loader *l, lgt_error *err) {
    int64_t dim = 0;
    lgt_status status = read_loss(l, err);
    if (!status) status = find_number(l, "step", &l->model->step, err);
    if (!status) status = read_shape(l, err);
    if (!status) status = read_head(l, &dim, err);
    if (!status) status = read_encoder(l, dim, err);
    if (!status) status = read_normalization(l, err);
    if (!status) status = read_labels(l, err);
    if (!status) status = read_align(l, err);
    if (!status && l->n_read != l->tensors->n_tensors)
        status = lgt_fail(err, LGT_ERR_DATA, "%s: %lld tensors, but this model has %lld", l->path,
                          (long long)l->tensors->n_tensors, (long long)l->n_read);
    return status;
}

lgt_status lgt_model_load(lgt_context *context, const char *path, lgt_model **out, lgt_error *err) {
    lgt_tensors tensors = {0};
    lgt_model *model = NULL;
    lgt_status status = lgt_tensors_read(context, path, &tensors, err);
    if (status) return status;
    status = LGT_NEW_ZERO(context, &model, 1, err);
    if (!status) {
        loader l = {.path = path, .tensors = &tensors, .model = model};
        model->context = context;
        status = read_parts(&l, err);
    }
    lgt_tensors_free(context, &tensors);
    if (status) {
        lgt_model_free(model);
        return status;
    }
    *out = model;
    return lgt_succeed(err);
}
