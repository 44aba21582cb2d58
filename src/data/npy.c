/* NumPy's .npy format, versions 1.0 to 3.0 (numpy.lib.format; NEP 1): magic, version, header length, header, data. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "base/text.h"
#include "data/array.h"
#include "data/bytes.h"
#include "data/npy_header.h"
#include "data/output.h"

/* NumPy's own limit for headers it does not trust; what it writes for plain arrays takes 128 bytes. */
enum { HEADER_LIMIT = 10000, DATA_ALIGNMENT = 64, PREFIX_V1 = 10 };

static const char magic[] = "\x93NUMPY";

static lgt_status read_header(lgt_context *context, lgt_input *input, lgt_npy_header *out, lgt_error *err) {
    unsigned char prefix[8], size[4];
    const char *path = lgt_input_path(input);
    char *text = NULL;
    lgt_status status = lgt_input_exactly(input, prefix, sizeof prefix, "the .npy prefix", err);
    if (status) return status;
    if (memcmp(prefix, magic, 6) != 0)
        return lgt_fail(err, LGT_ERR_DATA, "%s: its first bytes are not those of .npy", path);
    unsigned major = prefix[6], minor = prefix[7];
    if (major < 1 || major > 3 || minor != 0)
        return lgt_fail(err, LGT_ERR_DATA, "%s: is .npy version %u.%u, expected 1.0, 2.0 or 3.0", path, major, minor);
    int size_bytes = major == 1 ? 2 : 4;
    status = lgt_input_exactly(input, size, (size_t)size_bytes, "the .npy prefix", err);
    if (status) return status;
    size_t length = (size_t)lgt_bytes_little(size, size_bytes);
    if ((uint64_t)lgt_input_left(input) < length)
        return lgt_fail(err, LGT_ERR_DATA, "%s: declares a header of %zu bytes, but at most %lld can follow", path,
                        length, (long long)lgt_input_left(input));
    if (length > HEADER_LIMIT)
        return lgt_fail(err, LGT_ERR_MEMORY, "%s: declares a header of %zu bytes, at most %d are read", path, length,
                        HEADER_LIMIT);
    status = lgt_alloc(context, (int64_t)length, 1, &text, err);
    if (!status) status = lgt_input_exactly(input, text, length, "the .npy header", err);
    if (!status) status = lgt_npy_header_parse(text, length, path, out, err);
    lgt_release(context, text);
    return status;
}

/* Walks the result in C order; the first axis is the one that moves fastest in Fortran order. */
static void copy_to_c_order(const lgt_array *array, const char *from, char *to, size_t size) {
    int64_t stride[LGT_MAX_DIMS], index[LGT_MAX_DIMS] = {0}, at = 0, step = 1;
    for (int axis = 0; axis < array->n_dims; axis++) {
        stride[axis] = step;
        step *= array->shape[axis];
    }
    for (int64_t i = 0; i < array->count; i++) {
        memcpy(to + (size_t)i * size, from + (size_t)at * size, size);
        for (int axis = array->n_dims - 1; axis >= 0; axis--) {
            at += stride[axis];
            if (++index[axis] < array->shape[axis]) break;
            at -= stride[axis] * array->shape[axis];
            index[axis] = 0;
        }
    }
}

static lgt_status reorder(lgt_context *context, lgt_array *array, lgt_error *err) {
    char *data = NULL;
    size_t size = lgt_dtype_size(array->dtype);
    lgt_status status = lgt_alloc(context, array->count, size, &data, err);
    if (status) return status;
    copy_to_c_order(array, array->data, data, size);
    lgt_release(context, array->data);
    array->data = data;
    return LGT_OK;
}

lgt_status lgt_npy_read(lgt_context *context, lgt_input *input, lgt_array *out, lgt_error *err) {
    lgt_npy_header header;
    lgt_status status = read_header(context, input, &header, err);
    if (status) return status;
    out->n_dims = header.n_dims;
    memcpy(out->shape, header.shape, sizeof out->shape);
    status = lgt_array_load(context, input, header.stored, header.big_endian == lgt_host_is_little(), out, err);
    if (!status && header.fortran_order && out->n_dims > 1) status = reorder(context, out, err);
    return status;
}

size_t lgt_npy_head(lgt_dtype dtype, int n_dims, const int64_t *shape, char head[LGT_NPY_HEAD]) {
    static const char *const codes[] = {
        [LGT_F32] = "f4", [LGT_F64] = "f8", [LGT_F16] = "f2", [LGT_U8] = "u1", [LGT_I32] = "i4", [LGT_I64] = "i8"};
    char order = dtype == LGT_U8 ? '|' : lgt_host_is_little() ? '<' : '>';
    size_t at = PREFIX_V1;
    at += lgt_text_format(head + at, LGT_NPY_HEAD - at, "{'descr': '%c%s', 'fortran_order': False, 'shape': (", order,
                          codes[dtype]);
    for (int i = 0; i < n_dims; i++)
        at += lgt_text_format(head + at, LGT_NPY_HEAD - at, "%s%lld%s", i ? " " : "", (long long)shape[i],
                              i + 1 < n_dims || n_dims == 1 ? "," : "");
    at += lgt_text_format(head + at, LGT_NPY_HEAD - at, "), }");
    size_t end = (size_t)lgt_round_up((int64_t)at + 1, DATA_ALIGNMENT);
    memset(head + at, ' ', end - at);
    head[end - 1] = '\n';
    memcpy(head, magic, 6);
    head[6] = 1;
    head[7] = 0;
    head[8] = (char)((end - PREFIX_V1) & 255);
    head[9] = (char)((end - PREFIX_V1) >> 8);
    return end;
}

lgt_status lgt_npy_write(lgt_context *context, const char *path, lgt_dtype dtype, int n_dims, const int64_t *shape,
                         const void *data, lgt_error *err) {
    char head[LGT_NPY_HEAD];
    lgt_output output;
    lgt_array array = {.dtype = dtype, .n_dims = n_dims};
    size_t bytes = 0;
    if (lgt_dtype_size(dtype) == 0 || n_dims < 0 || n_dims > LGT_MAX_DIMS)
        return lgt_fail(err, LGT_ERR_USAGE, "%s: an array of type %d with %d axes, expected a known type and 0 to %d",
                        path, (int)dtype, n_dims, LGT_MAX_DIMS);
    if (n_dims) memcpy(array.shape, shape, (size_t)n_dims * sizeof *shape);
    if (!lgt_array_size(&array, &bytes))
        return lgt_fail(err, LGT_ERR_USAGE, "%s: the shape has a negative axis or its bytes do not fit 64 bits", path);
    lgt_status status = lgt_output_open(context, path, &output, err);
    if (status) return status;
    status = lgt_output_write(&output, head, lgt_npy_head(dtype, n_dims, shape, head), err);
    if (!status) status = lgt_output_write(&output, data, bytes, err);
    return lgt_output_finish(&output, status, err);
}
