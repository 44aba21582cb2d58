/* Arrays read from files, whatever their format. */
#include "data/array.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "data/bytes.h"

const char *lgt_array_place(const lgt_array *array, int64_t index, char place[LGT_PLACE_ROOM]) {
    int64_t columns = array->n_dims && array->shape[0] ? array->count / array->shape[0] : 1;
    long long row = (long long)(columns ? index / columns : 0), column = (long long)(columns ? index % columns : 0);
    if (array->n_dims == 0) return "the value";
    if (array->n_dims == 1) snprintf(place, LGT_PLACE_ROOM, "row %lld", row);
    if (array->n_dims > 1) snprintf(place, LGT_PLACE_ROOM, "row %lld, column %lld", row, column);
    return place;
}

int lgt_array_size(lgt_array *array, size_t *bytes) {
    array->count = 1;
    for (int i = 0; i < array->n_dims; i++)
        if (!lgt_count_mul(array->count, array->shape[i], &array->count)) return 0;
    return lgt_size_mul((size_t)array->count, lgt_dtype_size(array->dtype), bytes) && *bytes <= PTRDIFF_MAX;
}

lgt_status lgt_array_load(lgt_context *context, lgt_input *input, int swap, lgt_array *array, lgt_error *err) {
    size_t bytes = 0, size = lgt_dtype_size(array->dtype);
    const char *path = lgt_input_path(input);
    if (!lgt_array_size(array, &bytes))
        return lgt_fail(err, LGT_ERR_DATA, "%s: the bytes of its shape do not fit 64 bits", path);
    if (bytes > (uint64_t)lgt_input_left(input))
        return lgt_fail(err, LGT_ERR_DATA, "%s: declares %zu bytes of data, but at most %lld can follow", path, bytes,
                        (long long)lgt_input_left(input));
    lgt_status status = lgt_alloc(context, array->count, size, &array->data, err);
    if (!status) status = lgt_input_exactly(input, array->data, bytes, "its data", err);
    if (!status && swap && size > 1) lgt_bytes_swap(array->data, (size_t)array->count, size);
    return status;
}

lgt_status lgt_array_from_input(lgt_context *context, lgt_input *input, lgt_array *out, lgt_error *err) {
    const char *path = lgt_input_path(input);
    lgt_status status = LGT_OK;
    *out = (lgt_array){.data = NULL};
    switch (lgt_input_format(input)) {
    case LGT_FORMAT_NPY:
        status = lgt_npy_read(context, input, out, err);
        break;
    case LGT_FORMAT_IDX:
        status = lgt_idx_read(context, input, out, err);
        break;
    case LGT_FORMAT_ZIP:
        return lgt_fail(err, LGT_ERR_UNSUPPORTED, "%s: is a ZIP archive (.npz), expected one .npy or IDX array", path);
    case LGT_FORMAT_OTHER:
        return lgt_fail(err, LGT_ERR_DATA, "%s: its first bytes are neither those of .npy nor of IDX", path);
    }
    if (!status) status = lgt_input_end(input, err);
    if (status) lgt_array_free(context, out);
    return status;
}

lgt_status lgt_array_read(lgt_context *context, const char *path, lgt_array *out, lgt_error *err) {
    lgt_input *input = NULL;
    *out = (lgt_array){.data = NULL};
    lgt_status status = lgt_input_open(context, path, &input, err);
    if (!status) status = lgt_array_from_input(context, input, out, err);
    lgt_input_close(input);
    return status ? status : lgt_succeed(err);
}

void lgt_array_free(lgt_context *context, lgt_array *array) {
    lgt_release(context, array->data);
    *array = (lgt_array){.data = NULL};
}
