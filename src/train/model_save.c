/* Models as files: writing, of one process or of the ranks that trained it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/text_list.h"
#include "train/shared_tensors.h"
#include "train/trainer.h"

enum { SPEC_SIZE = LGT_LOSS_SPEC_SIZE, NUMBER_SIZE = 24, SHAPE_SIZE = LGT_MAX_DIMS * NUMBER_SIZE, MAX_METADATA = 8 };

/* --- tensors --- */

/* A file under construction. */
typedef struct writing {
    const lgt_model *model; /* w and b of the own classes */
    const char *path;
    lgt_shared_tensors shared;
    char *names, *labels;
    int is_first;                           /* of the ranks: it has the banks */
    lgt_bank_arrays banks[LGT_MODEL_BANKS]; /* elsewhere empty */
} writing;

/* Appends a tensor that borrows its elements; n_cols 0 makes it one-dimensional. */
static void put_typed(writing *w, const char *name, lgt_dtype dtype, void *data, int64_t n_rows, int64_t n_cols) {
    lgt_tensors *t = &w->shared.all;
    lgt_tensor *tensor = &t->tensors[t->n_tensors++];
    lgt_array *a = &tensor->array;
    snprintf(tensor->name, LGT_TENSOR_NAME_SIZE, "%s", name);
    *a = (lgt_array){.dtype = dtype, .n_dims = n_cols ? 2 : 1, .shape = {n_rows, n_cols}, .data = data};
    a->count = n_cols ? n_rows * n_cols : n_rows;
}

static void put(writing *w, const char *name, float *data, int64_t n_rows, int64_t n_cols) {
    put_typed(w, name, LGT_F32, data, n_rows, n_cols);
}

/* So many rows a class, of which the own ones are here. */
static void put_classes(writing *w, const char *name, float *data, int64_t rows, int64_t n_cols) {
    w->shared.of_class[w->shared.all.n_tensors] = rows * (n_cols ? n_cols : 1);
    put(w, name, data, w->model->n_classes * rows, n_cols);
}

static void put_bank(writing *w, const lgt_bank_arrays *bank, const char *prefix) {
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
        if (parts[i].data) put_typed(w, name, parts[i].dtype, parts[i].data, bank->count, parts[i].n_cols);
    }
}

static void put_all(writing *w) {
    const lgt_model *m = w->model;
    char name[LGT_TENSOR_NAME_SIZE];
    for (int l = 0; l < lgt_encoder_n_layers(m->encoder); l++) {
        lgt_mut weight, bias;
        lgt_encoder_layer(m->encoder, l, &weight, &bias);
        snprintf(name, sizeof name, "encoder.%d.weight", l);
        put(w, name, weight.data, weight.rows, weight.cols);
        snprintf(name, sizeof name, "encoder.%d.bias", l);
        put(w, name, bias.data, bias.cols, 0);
    }
    put_classes(w, "head.weight", m->w, lgt_loss_centres(&m->loss), lgt_model_dim(m));
    if (m->b) put_classes(w, "head.bias", m->b, 1, 0);
    put(w, "normalization.mean", m->normalization.mean, m->normalization.count, 0);
    put(w, "normalization.scale", m->normalization.scale, m->normalization.count, 0);
    for (int i = 0; i < LGT_MODEL_BANKS; i++) {
        char prefix[LGT_TENSOR_NAME_SIZE];
        lgt_model_bank_at(m, i, prefix);
        put_bank(w, &w->banks[i], prefix);
    }
}

/* The loader refuses what is not finite; better that no such file comes to be. */
static lgt_status check_finite(const writing *w, lgt_error *err) {
    const lgt_ranks *r = w->shared.ranks;
    for (int64_t i = 0; i < w->shared.all.n_tensors; i++) {
        const lgt_tensor *tensor = &w->shared.all.tensors[i];
        const float *values = tensor->array.data;
        int64_t of_class = w->shared.of_class[i], count = of_class ? r->count * of_class : tensor->array.count;
        if (tensor->array.dtype != LGT_F32) continue; /* a bank's reliabilities lie in [0, 1] */
        for (int64_t k = 0; k < count; k++)
            if (!isfinite(values[k]))
                return lgt_fail(err, LGT_ERR_NONFINITE, "%s: %s[%lld] is %g, a model holds finite numbers only",
                                w->path, tensor->name, (long long)(r->first * of_class + k), (double)values[k]);
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

/* Collective: what comes before is agreed upon first. */
static lgt_status write(writing *w, lgt_status status, lgt_error *err) {
    lgt_metadata metadata[MAX_METADATA];
    char format[] = LGT_MODEL_FORMAT, loss[SPEC_SIZE], classes[NUMBER_SIZE], step[NUMBER_SIZE], shape[SHAPE_SIZE];
    char align[LGT_ALIGN_SPEC_SIZE];
    char *encoder = NULL;
    const lgt_model *m = w->model;
    lgt_tensors *t = &w->shared.all;
    if (!status) status = lgt_alloc_text(m->context, lgt_encoder_spec(m->encoder), &encoder, err);
    if (!(status = lgt_comm_agree(w->shared.ranks->comm, status, err))) {
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
        if (w->labels) put_text(t, "label_names", w->labels);
        lgt_align_format(&m->align, align, sizeof align);
        if (m->align.n_terms > 0) put_text(t, "align", align);
        status = lgt_shared_tensors_write(m->context, w->path, &w->shared, err);
    }
    lgt_release(m->context, encoder);
    return status;
}

static lgt_status collect(writing *w, lgt_error *err) {
    lgt_context *context = w->model->context;
    lgt_tensors *t = &w->shared.all;
    char prefix[LGT_TENSOR_NAME_SIZE];
    int64_t capacity = 2 * (int64_t)lgt_encoder_n_layers(w->model->encoder) + 4 + 4 * LGT_MODEL_BANKS;
    lgt_status status = LGT_NEW_ZERO(context, &t->tensors, capacity, err);
    if (!status) status = LGT_NEW_ZERO(context, &w->shared.of_class, capacity, err);
    if (!status) status = lgt_alloc(context, capacity, LGT_TENSOR_NAME_SIZE, &w->names, err);
    if (!status) status = format_labels(w->model, w->path, &w->labels, err);
    for (int i = 0; i < LGT_MODEL_BANKS && !status && w->is_first; i++)
        status = lgt_bank_arrays_take(context, lgt_model_bank_at(w->model, i, prefix), &w->banks[i], err);
    if (status) return status;
    for (int64_t i = 0; i < capacity; i++) t->tensors[i].name = w->names + i * LGT_TENSOR_NAME_SIZE;
    put_all(w);
    return check_finite(w, err);
}

static lgt_status save(const lgt_model *model, const lgt_ranks *ranks, const char *path, lgt_error *err) {
    writing w = {.model = model, .path = path, .shared = {.ranks = ranks}};
    w.is_first = !ranks->comm || ranks->comm->rank == 0;
    lgt_status status = write(&w, collect(&w, err), err);
    for (int i = 0; i < LGT_MODEL_BANKS; i++) lgt_bank_arrays_free(model->context, &w.banks[i]);
    lgt_release(model->context, w.labels);
    lgt_release(model->context, w.names);
    lgt_release(model->context, w.shared.of_class);
    lgt_release(model->context, w.shared.all.tensors);
    return status ? status : lgt_succeed(err);
}

lgt_status lgt_model_save(const lgt_model *model, const char *path, lgt_error *err) {
    const lgt_ranks alone = {.n_classes = model->n_classes, .count = model->n_classes};
    return save(model, &alone, path, err);
}

lgt_status lgt_trainer_save_model(lgt_trainer *trainer, const char *path, lgt_error *err) {
    lgt_trainer *t = trainer;
    lgt_model model = t->model; /* with a bank that no ranks share */
    lgt_head_step_settle(&t->head_step);
    lgt_status status = t->ranks.comm ? lgt_model_gather_bank(&t->model, &t->whole, err) : LGT_OK;
    if (status) return status;
    model.bank = lgt_trainer_model(t)->bank;
    return save(&model, &t->ranks, path, err);
}
