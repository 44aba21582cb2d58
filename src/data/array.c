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

/* --- types --- */

static const struct {
    lgt_stored stored;
    lgt_dtype dtype;
} types[] = {{{'f', 2}, LGT_F16}, {{'f', 4}, LGT_F32}, {{'f', 8}, LGT_F64}, {{'u', 1}, LGT_U8},
             {{'b', 1}, LGT_I32}, {{'i', 1}, LGT_I32}, {{'i', 2}, LGT_I32}, {{'u', 2}, LGT_I32},
             {{'i', 4}, LGT_I32}, {{'u', 4}, LGT_I64}, {{'i', 8}, LGT_I64}, {{'u', 8}, LGT_I64}};

int lgt_stored_dtype(lgt_stored stored, lgt_dtype *out) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].stored.kind != stored.kind || types[i].stored.bytes != stored.bytes) continue;
        *out = types[i].dtype;
        return 1;
    }
    return 0;
}

/* An integer of 1, 2 or 4 bytes, or an unsigned one of 8, in this host's order. */
static int64_t integer_of(lgt_stored stored, const unsigned char *bytes) {
    uint64_t bits = lgt_host_is_little() ? lgt_bytes_little(bytes, stored.bytes) : lgt_bytes_big(bytes, stored.bytes);
    uint64_t sign = (uint64_t)1 << (8 * stored.bytes - 1);
    return stored.kind == 'i' && bits & sign ? (int64_t)bits - (int64_t)(sign << 1) : (int64_t)bits;
}

static lgt_status widen(const lgt_array *array, lgt_stored stored, const unsigned char *raw, const char *path,
                        lgt_error *err) {
    char place[LGT_PLACE_ROOM];
    for (int64_t i = 0; i < array->count; i++) {
        int64_t value = integer_of(stored, raw + i * stored.bytes);
        if (stored.kind == 'u' && value < 0)
            return lgt_fail(err, LGT_ERR_DATA, "%s: %s is %llu, expected at most 2^63 - 1", path,
                            lgt_array_place(array, i, place), (unsigned long long)value);
        if (stored.kind == 'b' && value > 1)
            return lgt_fail(err, LGT_ERR_DATA, "%s: %s is the truth value %lld, expected 0 or 1", path,
                            lgt_array_place(array, i, place), (long long)value);
        if (array->dtype == LGT_I64)
            ((int64_t *)array->data)[i] = value;
        else
            ((int32_t *)array->data)[i] = (int32_t)value;
    }
    return LGT_OK;
}

/* Whether elements of the file are elements in memory. */
static int is_same(lgt_stored stored, lgt_dtype dtype) {
    return stored.bytes == (int)lgt_dtype_size(dtype) && !(stored.kind == 'u' && stored.bytes == 8);
}

lgt_status lgt_array_load(lgt_context *context, lgt_input *input, lgt_stored stored, int swap, lgt_array *array,
                          lgt_error *err) {
    size_t bytes = 0, size = (size_t)stored.bytes;
    const char *path = lgt_input_path(input);
    void *raw = NULL;
    if (!lgt_stored_dtype(stored, &array->dtype))
        return lgt_fail(err, LGT_ERR_INTERNAL, "%s: a type that is not read", path);
    if (!lgt_array_size(array, &bytes))
        return lgt_fail(err, LGT_ERR_DATA, "%s: the bytes of its shape do not fit 64 bits", path);
    bytes = (size_t)array->count * size;
    if (bytes > (uint64_t)lgt_input_left(input))
        return lgt_fail(err, LGT_ERR_DATA, "%s: declares %zu bytes of data, but at most %lld can follow", path, bytes,
                        (long long)lgt_input_left(input));
    int same = is_same(stored, array->dtype);
    lgt_status status = lgt_alloc(context, array->count, lgt_dtype_size(array->dtype), &array->data, err);
    if (!status && !same) status = lgt_alloc(context, (int64_t)bytes, 1, &raw, err);
    if (!status) status = lgt_input_exactly(input, same ? array->data : raw, bytes, "its data", err);
    if (!status && swap && size > 1) lgt_bytes_swap(same ? array->data : raw, (size_t)array->count, size);
    if (!status && !same) status = widen(array, stored, raw, path, err);
    lgt_release(context, raw);
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
    default:
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
