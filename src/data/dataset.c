/* Datasets: features and labels of the same rows, from whatever files hold them. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/fingerprint.h"
#include "base/memory.h"
#include "data/array.h"
#include "data/csv.h"
#include "data/dataset_source.h"
#include "data/libsvm.h"
#include "data/member.h"

typedef struct loading {
    lgt_context *context;
    const lgt_dataset_options *options;
    lgt_dataset_source source;
    lgt_dataset *dataset;
    lgt_labels labels; /* index NULL: none */
} loading;

void lgt_dataset_options_init(lgt_dataset_options *options) {
    *options = (lgt_dataset_options){.struct_size = sizeof *options, .split = LGT_SPLIT_TRAIN, .labels_required = 1};
}

/* 8-bit features are grey values: 255 becomes 1. */
static lgt_status scale_bytes(lgt_context *context, lgt_array *array, lgt_error *err) {
    float *scaled = NULL;
    const uint8_t *bytes = array->data;
    lgt_status status = LGT_NEW(context, &scaled, array->count, err);
    if (status) return status;
    for (int64_t i = 0; i < array->count; i++) scaled[i] = (float)bytes[i] / 255.0F;
    lgt_release(context, array->data);
    array->data = scaled;
    array->dtype = LGT_F32;
    return LGT_OK;
}

static lgt_status check_finite(const lgt_array *array, const char *path, lgt_error *err) {
    const float *x = array->data;
    char place[LGT_PLACE_ROOM];
    for (int64_t i = 0; i < array->count; i++)
        if (!isfinite(x[i]))
            return lgt_fail(err, LGT_ERR_DATA, "%s: %s is %s, expected a finite number", path,
                            lgt_array_place(array, i, place),
                            isnan(x[i]) ? "nan"
                            : x[i] > 0  ? "inf"
                                        : "-inf");
    return LGT_OK;
}

/* Gives the array's elements to the dataset. */
static lgt_status adopt_features(lgt_dataset *dataset, lgt_array *array, const char *path, lgt_error *err) {
    if (array->n_dims == 0) return lgt_fail(err, LGT_ERR_DATA, "%s: is a single value, expected rows", path);
    if (array->count == 0)
        return lgt_fail(err, LGT_ERR_DATA, "%s: has %lld rows of %d-dimensional samples and no element", path,
                        (long long)array->shape[0], array->n_dims - 1);
    dataset->n_rows = array->shape[0];
    dataset->dim = array->count / array->shape[0];
    dataset->n_dims = array->n_dims > 1 ? array->n_dims - 1 : 1;
    dataset->shape[0] = 1; /* a one-axis array has samples of one feature */
    for (int i = 1; i < array->n_dims; i++) dataset->shape[i - 1] = array->shape[i];
    dataset->x = array->data;
    array->data = NULL;
    return LGT_OK;
}

/* Of any type, which is taken over. */
static lgt_status take_features(loading *l, lgt_array *array, lgt_error *err) {
    const char *path = l->source.features;
    lgt_status status = LGT_OK;
    if (array->dtype == LGT_U8) {
        status = scale_bytes(l->context, array, err);
    } else {
        status = lgt_array_convert(l->context, array, LGT_F32, err);
        if (status == LGT_ERR_DATA) lgt_fail_within(err, status, "%s: ", path);
    }
    if (!status) status = check_finite(array, path, err);
    return status ? status : adopt_features(l->dataset, array, path, err);
}

/* One integer a row, of any type. */
static lgt_status take_labels(loading *l, lgt_array *array, const char *path, lgt_error *err) {
    if (array->n_dims == 2 && array->shape[1] == 1) array->n_dims = 1;
    if (array->n_dims != 1)
        return lgt_fail(err, LGT_ERR_DATA, "%s: has %d axes, expected one label a row", path, array->n_dims);
    lgt_status status = lgt_array_convert(l->context, array, LGT_I64, err);
    if (status == LGT_ERR_DATA) lgt_fail_within(err, status, "%s: ", path);
    return status ? status : lgt_labels_from_integers(l->context, array->data, array->count, &l->labels, err);
}

static void give_labels(loading *l, lgt_table *table) {
    l->labels = table->labels;
    table->labels = (lgt_labels){.n_rows = 0};
}

static lgt_status take_table(loading *l, lgt_table *table, lgt_error *err) {
    lgt_status status = lgt_table_check(table, l->source.features, err);
    if (status) return status;
    lgt_array array = {LGT_F32, 2, {table->n_rows, table->n_features}, table->n_rows * table->n_features, table->x};
    table->x = NULL;
    status = adopt_features(l->dataset, &array, l->source.features, err);
    if (!status) give_labels(l, table);
    lgt_array_free(l->context, &array);
    return status;
}

static lgt_status load_feature_array(loading *l, lgt_input *input, lgt_error *err) {
    lgt_array array;
    lgt_status status = lgt_array_from_input(l->context, input, &array, err);
    if (status) return status;
    status = take_features(l, &array, err);
    lgt_array_free(l->context, &array);
    return status;
}

static lgt_status read_archive(loading *l, lgt_input *input, lgt_tensors *out, lgt_error *err) {
    return lgt_input_format(input) == LGT_FORMAT_ZIP ? lgt_npz_from_input(l->context, input, out, err)
                                                     : lgt_tensors_from_input(l->context, input, out, err);
}

/* Whether labels beside features are taken: those in a file of their own come before them. */
static int takes_labels(const loading *l) {
    return l->options->labels_required && !l->source.labels;
}

static lgt_status load_feature_archive(loading *l, lgt_input *input, lgt_error *err) {
    lgt_tensors tensors;
    lgt_array *features = NULL, *labels = NULL;
    const char *path = l->source.features;
    lgt_status status = read_archive(l, input, &tensors, err);
    if (status) return status;
    status = lgt_member_find(&tensors, LGT_MEMBER_FEATURES, path, &features, err);
    if (!status && takes_labels(l)) labels = lgt_member_named(&tensors, LGT_MEMBER_LABELS);
    if (!status && labels) status = take_labels(l, labels, path, err);
    if (!status) status = take_features(l, features, err);
    if (!status && labels && l->labels.n_rows != l->dataset->n_rows)
        status = lgt_fail(err, LGT_ERR_DATA, "%s: has %lld rows of features, but %lld labels", path,
                          (long long)l->dataset->n_rows, (long long)l->labels.n_rows);
    lgt_tensors_free(l->context, &tensors);
    return status;
}

static lgt_status load_feature_lines(loading *l, lgt_input *input, lgt_error *err) {
    lgt_table table;
    lgt_status status = lgt_libsvm_read(l->context, input, takes_labels(l), l->options->least_dim, &table, err);
    if (status) return status;
    status = take_table(l, &table, err);
    lgt_table_free(l->context, &table);
    return status;
}

static lgt_status load_feature_table(loading *l, lgt_input *input, lgt_error *err) {
    lgt_table table;
    const lgt_dataset_options *o = l->options;
    lgt_csv_labels kind = LGT_CSV_LAST;
    if (l->source.labels && o->label_column)
        return lgt_fail(err, LGT_ERR_USAGE, "%s: labels come from %s and from column %s, expected one of them",
                        l->source.features, l->source.labels, o->label_column);
    if (o->label_column)
        kind = LGT_CSV_NAMED;
    else if (!takes_labels(l))
        kind = LGT_CSV_NO_LABELS;
    lgt_status status = lgt_csv_read(l->context, input, kind, o->label_column, &table, err);
    if (status) return status;
    status = take_table(l, &table, err);
    lgt_table_free(l->context, &table);
    return status;
}

static lgt_status load_features(loading *l, lgt_error *err) {
    lgt_input *input = NULL;
    lgt_status status = lgt_input_open(l->context, l->source.features, &input, err);
    if (status) return status;
    lgt_format format = lgt_input_format(input);
    if (format != LGT_FORMAT_OTHER && l->options->label_column)
        status = lgt_fail(err, LGT_ERR_USAGE, "%s: is no CSV table: it has no column %s", l->source.features,
                          l->options->label_column);
    else if (format == LGT_FORMAT_OTHER)
        status = load_feature_table(l, input, err);
    else if (format == LGT_FORMAT_LIBSVM)
        status = load_feature_lines(l, input, err);
    else if (format == LGT_FORMAT_ZIP || format == LGT_FORMAT_SAFETENSORS)
        status = load_feature_archive(l, input, err);
    else
        status = load_feature_array(l, input, err);
    lgt_input_close(input);
    return status;
}

static lgt_status load_label_array(loading *l, lgt_input *input, lgt_error *err) {
    lgt_array array;
    lgt_status status = lgt_array_from_input(l->context, input, &array, err);
    if (status) return status;
    status = take_labels(l, &array, l->source.labels, err);
    lgt_array_free(l->context, &array);
    return status;
}

static lgt_status load_label_archive(loading *l, lgt_input *input, lgt_error *err) {
    lgt_tensors tensors;
    lgt_array *labels = NULL;
    lgt_status status = read_archive(l, input, &tensors, err);
    if (status) return status;
    status = lgt_member_find(&tensors, LGT_MEMBER_LABELS, l->source.labels, &labels, err);
    if (!status) status = take_labels(l, labels, l->source.labels, err);
    lgt_tensors_free(l->context, &tensors);
    return status;
}

static lgt_status load_label_table(loading *l, lgt_input *input, lgt_error *err) {
    lgt_table table;
    lgt_status status = lgt_csv_read(l->context, input, LGT_CSV_ALONE, NULL, &table, err);
    if (status) return status;
    give_labels(l, &table);
    lgt_table_free(l->context, &table);
    return LGT_OK;
}

static lgt_status load_label_lines(loading *l, lgt_input *input, lgt_error *err) {
    lgt_table table;
    lgt_status status = lgt_libsvm_read(l->context, input, 1, 0, &table, err);
    if (status) return status;
    give_labels(l, &table);
    lgt_table_free(l->context, &table);
    return LGT_OK;
}

static lgt_status load_label_file(loading *l, lgt_error *err) {
    lgt_input *input = NULL;
    lgt_status status = lgt_input_open(l->context, l->source.labels, &input, err);
    if (status) return status;
    switch (lgt_input_format(input)) {
    case LGT_FORMAT_NPY:
    case LGT_FORMAT_IDX:
        status = load_label_array(l, input, err);
        break;
    case LGT_FORMAT_ZIP:
    case LGT_FORMAT_SAFETENSORS:
        status = load_label_archive(l, input, err);
        break;
    case LGT_FORMAT_LIBSVM:
        status = load_label_lines(l, input, err);
        break;
    default:
        status = load_label_table(l, input, err);
    }
    lgt_input_close(input);
    return status;
}

static lgt_status load_labels(loading *l, lgt_error *err) {
    const lgt_dataset *dataset = l->dataset;
    if (!l->source.labels && !l->labels.index && l->options->labels_required)
        return lgt_fail(err, LGT_ERR_DATA, "%s: comes without labels, expected FEATURES,LABELS", l->source.features);
    if (!l->source.labels) return LGT_OK;
    lgt_status status = load_label_file(l, err);
    if (!status && l->labels.n_rows != dataset->n_rows)
        return lgt_fail(err, LGT_ERR_DATA, "%s: has %lld rows of features, but %s has %lld labels", l->source.features,
                        (long long)dataset->n_rows, l->source.labels, (long long)l->labels.n_rows);
    return status;
}

static uint64_t fingerprint(const lgt_dataset *d) {
    uint64_t hash = LGT_FINGERPRINT_START;
    lgt_fingerprint_word(&hash, (uint64_t)d->n_rows);
    lgt_fingerprint_word(&hash, (uint64_t)d->dim);
    lgt_fingerprint_floats(&hash, d->x, d->n_rows * d->dim);
    lgt_fingerprint_word(&hash, (uint64_t)d->n_labels);
    for (int64_t j = 0; j < d->n_labels; j++) lgt_fingerprint_text(&hash, d->label_names[j]);
    for (int64_t i = 0; d->labels && i < d->n_rows; i++) lgt_fingerprint_word(&hash, (uint64_t)d->labels[i]);
    return hash;
}

static lgt_status load(loading *l, lgt_error *err) {
    lgt_dataset *d = l->dataset;
    lgt_status status = lgt_dataset_source_find(l->context, l->options, &l->source, err);
    if (!status) status = load_features(l, err);
    if (!status) status = load_labels(l, err);
    d->labels = l->labels.index;
    d->label_names = l->labels.names;
    d->n_labels = l->labels.n_names;
    if (!status) d->fingerprint = fingerprint(d);
    lgt_dataset_source_free(l->context, &l->source);
    return status;
}

lgt_status lgt_dataset_load(lgt_context *context, const lgt_dataset_options *options, lgt_dataset **out,
                            lgt_error *err) {
    loading l = {.context = context, .options = options};
    if (options->struct_size != sizeof *options)
        return lgt_fail(err, LGT_ERR_USAGE, "lgt_dataset_options has struct_size %zu, expected %zu: call its _init",
                        options->struct_size, sizeof *options);
    lgt_status status = LGT_NEW_ZERO(context, &l.dataset, 1, err);
    if (status) return status;
    status = load(&l, err);
    if (status) {
        lgt_dataset_free(context, l.dataset);
        return status;
    }
    *out = l.dataset;
    return lgt_succeed(err);
}

void lgt_dataset_free(lgt_context *context, lgt_dataset *dataset) {
    if (!dataset) return;
    lgt_release(context, dataset->label_names);
    lgt_release(context, dataset->labels);
    lgt_release(context, dataset->x);
    lgt_release(context, dataset);
}
