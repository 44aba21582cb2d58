/* Files of any format, by their first bytes. */
#include "base/error.h"
#include "base/memory.h"
#include "data/array.h"
#include "data/csv.h"
#include "data/libsvm.h"

/* One array, as a tensor that has no name. */
static lgt_status read_array(lgt_context *context, lgt_input *input, lgt_tensors *out, lgt_error *err) {
    lgt_status status = LGT_NEW_ZERO(context, &out->tensors, 1, err);
    if (status) return status;
    out->n_tensors = 1;
    status = lgt_alloc_text(context, "", &out->tensors->name, err);
    return status ? status : lgt_array_from_input(context, input, &out->tensors->array, err);
}

/* The next tensor, which takes the data over. */
static lgt_status name_part(lgt_context *context, lgt_tensors *out, const char *name, const lgt_array *array,
                            lgt_error *err) {
    lgt_tensor *t = &out->tensors[out->n_tensors++];
    t->array = *array;
    return lgt_alloc_text(context, name, &t->name, err);
}

/* A column of labels alone is one, as files of labels have it. */
static lgt_status give_table(lgt_context *context, lgt_table *table, lgt_tensors *out, lgt_error *err) {
    int64_t n = table->n_rows, dim = table->n_features;
    lgt_array features = {LGT_F32, 2, {n, dim}, n * dim, table->x}, labels = {LGT_I64, 1, {n}, n, table->labels.index};
    lgt_status status = LGT_NEW_ZERO(context, &out->tensors, 2, err);
    if (status) return status;
    if (dim > 0) {
        table->x = NULL;
        status = name_part(context, out, "features", &features, err);
    }
    if (status) return status;
    table->labels.index = NULL;
    return name_part(context, out, "labels", &labels, err);
}

static lgt_status read_table(lgt_context *context, lgt_input *input, int sparse, lgt_tensors *out, lgt_error *err) {
    lgt_table table;
    lgt_status status = sparse ? lgt_libsvm_read(context, input, 1, 0, &table, err)
                               : lgt_csv_read(context, input, LGT_CSV_LAST, NULL, &table, err);
    if (status) return status;
    status = give_table(context, &table, out, err);
    lgt_table_free(context, &table);
    return status;
}

static lgt_status read_any(lgt_context *context, lgt_input *input, lgt_tensors *out, lgt_tensors_format *format,
                           lgt_error *err) {
    switch (lgt_input_format(input)) {
    case LGT_FORMAT_SAFETENSORS:
        *format = LGT_TENSORS_SAFETENSORS;
        return lgt_tensors_from_input(context, input, out, err);
    case LGT_FORMAT_ZIP:
        *format = LGT_TENSORS_NPZ;
        return lgt_npz_from_input(context, input, out, err);
    case LGT_FORMAT_LIBLINEAR:
        *format = LGT_TENSORS_LIBLINEAR;
        return lgt_liblinear_from_input(context, input, out, err);
    case LGT_FORMAT_LIBSVM:
        *format = LGT_TENSORS_LIBSVM;
        return read_table(context, input, 1, out, err);
    case LGT_FORMAT_NPY:
    case LGT_FORMAT_IDX:
        *format = LGT_TENSORS_ARRAY;
        return read_array(context, input, out, err);
    default:
        *format = LGT_TENSORS_CSV;
        return read_table(context, input, 0, out, err);
    }
}

lgt_status lgt_tensors_read_any(lgt_context *context, const char *path, lgt_tensors *out, lgt_tensors_format *format,
                                lgt_error *err) {
    lgt_input *input = NULL;
    *out = (lgt_tensors){.tensors = NULL};
    lgt_status status = lgt_input_open(context, path, &input, err);
    if (!status) status = read_any(context, input, out, format, err);
    lgt_input_close(input);
    if (status) lgt_tensors_free(context, out);
    return status ? status : lgt_succeed(err);
}
