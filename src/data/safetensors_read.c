/* Reader of safetensors (github.com/huggingface/safetensors): 8 bytes of little-endian header length, a JSON header,
 * the data. Every rule of the reference reader holds, and those that its documentation states but it does not check. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/array.h"
#include "data/bytes.h"
#include "data/tensor_stream.h"
#include "data/tensor_types.h"
#include "data/tensors_checksum.h"

enum { SHOWN = 100, PASSED = 1 << 18 };

typedef struct region {
    int64_t begin, end, order; /* bytes of the data | place in the header */
} region;

typedef struct reading {
    lgt_context *context;
    lgt_input *input;
    const char *path;
    json_t *header;
    region *regions; /* of each tensor, in header order until sorted */
    lgt_tensors *out;
    lgt_tensor_choice choice; /* NULL: all is wanted, and no checksum */
    void *user;
    char *passed;       /* room for what is not wanted */
    uint32_t *elements; /* with a choice: the checksum of each tensor's */
} reading;

static lgt_status read_header(reading *r, lgt_error *err) {
    unsigned char prefix[8];
    char *text = NULL;
    json_error_t why;
    lgt_format format = lgt_input_format(r->input);
    if (format == LGT_FORMAT_NPY || format == LGT_FORMAT_ZIP)
        return lgt_fail(err, LGT_ERR_DATA, "%s: is %s, expected safetensors", r->path,
                        format == LGT_FORMAT_NPY ? ".npy" : "a ZIP archive (.npz)");
    lgt_status status = lgt_input_exactly(r->input, prefix, sizeof prefix, "the header's length", err);
    if (status) return status;
    uint64_t length = lgt_bytes_little(prefix, 8);
    if (length > (uint64_t)lgt_input_left(r->input))
        return lgt_fail(err, LGT_ERR_DATA, "%s: declares a header of %llu bytes, but at most %lld can follow", r->path,
                        (unsigned long long)length, (long long)lgt_input_left(r->input));
    if (length > LGT_TENSORS_HEADER_LIMIT)
        return lgt_fail(err, LGT_ERR_MEMORY, "%s: declares a header of %llu bytes, at most %d are read", r->path,
                        (unsigned long long)length, LGT_TENSORS_HEADER_LIMIT);
    status = lgt_alloc(r->context, (int64_t)length, 1, &text, err);
    if (!status) status = lgt_input_exactly(r->input, text, (size_t)length, "the header", err);
    if (!status) {
        r->header = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &why);
        if (!r->header) status = lgt_fail(err, LGT_ERR_DATA, "%s: the header is no JSON object: %s", r->path, why.text);
    }
    lgt_release(r->context, text);
    return status;
}

static lgt_status fail_tensor(const reading *r, const char *name, const char *what, lgt_error *err) {
    return lgt_fail(err, LGT_ERR_DATA, "%s: tensor '%.*s': %s", r->path, SHOWN, name, what);
}

static lgt_status read_type(const reading *r, const char *name, const json_t *type, lgt_dtype *out, lgt_error *err) {
    const char *text = json_string_value(type);
    int known = text ? lgt_tensor_type_find(text, out) : 0;
    if (known > 0) return LGT_OK;
    if (known < 0)
        return lgt_fail(err, LGT_ERR_UNSUPPORTED, "%s: tensor '%.*s' is %s, expected F16, F32, F64, U8, I32 or I64",
                        r->path, SHOWN, name, text);
    return fail_tensor(r, name, "its dtype is unknown, expected a name such as \"F32\"", err);
}

static lgt_status read_shape(const reading *r, const char *name, const json_t *shape, lgt_array *out, lgt_error *err) {
    if (!json_is_array(shape)) return fail_tensor(r, name, "its shape is no list", err);
    if (json_array_size(shape) > LGT_MAX_DIMS)
        return lgt_fail(err, LGT_ERR_MEMORY, "%s: tensor '%.*s' has %zu axes, at most %d are read", r->path, SHOWN,
                        name, json_array_size(shape), LGT_MAX_DIMS);
    out->n_dims = (int)json_array_size(shape);
    for (int i = 0; i < out->n_dims; i++) {
        const json_t *axis = json_array_get(shape, (size_t)i);
        if (!json_is_integer(axis) || json_integer_value(axis) < 0)
            return fail_tensor(r, name, "an axis of its shape is no integer >= 0", err);
        out->shape[i] = json_integer_value(axis);
    }
    return LGT_OK;
}

static lgt_status read_offsets(const reading *r, const char *name, const json_t *offsets, region *out, lgt_error *err) {
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return fail_tensor(r, name, "its data_offsets are no list of two integers", err);
    out->begin = json_integer_value(begin);
    out->end = json_integer_value(end);
    if (out->begin < 0 || out->end < out->begin)
        return fail_tensor(r, name, "its data_offsets are negative or descend", err);
    return LGT_OK;
}

/* One tensor of the header: what it says must agree with itself. */
static lgt_status read_entry(const reading *r, const char *name, const json_t *entry, lgt_array *array, region *where,
                             lgt_error *err) {
    const json_t *type = json_object_get(entry, "dtype"), *shape = json_object_get(entry, "shape");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    size_t bytes = 0;
    if (!lgt_tensor_name_valid(name, strlen(name)))
        return lgt_fail(err, LGT_ERR_DATA, "%s: a tensor's name is longer than %d bytes or has control characters",
                        r->path, LGT_TENSORS_NAME_LIMIT);
    if (!type || !shape || !offsets || json_object_size(entry) != 3)
        return fail_tensor(r, name, "expected exactly dtype, shape and data_offsets", err);
    lgt_status status = read_type(r, name, type, &array->dtype, err);
    if (!status) status = read_shape(r, name, shape, array, err);
    if (!status) status = read_offsets(r, name, offsets, where, err);
    if (status) return status;
    if (!lgt_array_size(array, &bytes)) return fail_tensor(r, name, "the bytes of its shape do not fit 64 bits", err);
    if (bytes != (uint64_t)(where->end - where->begin))
        return lgt_fail(err, LGT_ERR_DATA, "%s: tensor '%.*s' takes %zu bytes by its shape, but %lld by its offsets",
                        r->path, SHOWN, name, bytes, (long long)(where->end - where->begin));
    return LGT_OK;
}

static lgt_status read_metadata(reading *r, json_t *metadata, lgt_error *err) {
    const char *key;
    json_t *value;
    if (!json_is_object(metadata)) return lgt_fail(err, LGT_ERR_DATA, "%s: __metadata__ is no object", r->path);
    int64_t count = (int64_t)json_object_size(metadata);
    lgt_status status = LGT_NEW_ZERO(r->context, &r->out->metadata, count, err);
    if (status) return status;
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return lgt_fail(err, LGT_ERR_DATA, "%s: the metadata '%.*s' is no string", r->path, SHOWN, key);
        lgt_metadata *next = &r->out->metadata[r->out->n_metadata++];
        status = lgt_alloc_text(r->context, key, &next->key, err);
        if (!status) status = lgt_alloc_text(r->context, json_string_value(value), &next->value, err);
        if (status) return status;
    }
    return LGT_OK;
}

static lgt_status read_entries(reading *r, lgt_error *err) {
    const char *name;
    json_t *entry;
    int64_t count = (int64_t)json_object_size(r->header);
    lgt_status status = LGT_NEW_ZERO(r->context, &r->out->tensors, count, err);
    if (!status) status = LGT_NEW_ZERO(r->context, &r->regions, count, err);
    if (status) return status;
    json_object_foreach(r->header, name, entry) {
        int64_t order = r->out->n_tensors;
        if (strcmp(name, LGT_TENSORS_METADATA) == 0) {
            status = read_metadata(r, entry, err);
        } else {
            r->out->n_tensors++;
            r->regions[order].order = order;
            status = read_entry(r, name, entry, &r->out->tensors[order].array, &r->regions[order], err);
            if (!status) status = lgt_alloc_text(r->context, name, &r->out->tensors[order].name, err);
        }
        if (status) return status;
    }
    return LGT_OK;
}

static int compare_regions(const void *a, const void *b) {
    const region *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* Sorted, the tensors must cover the data from 0 to their end without a hole or an overlap. */
static lgt_status check_coverage(reading *r, lgt_error *err) {
    int64_t at = 0, n = r->out->n_tensors, left = lgt_input_left(r->input);
    if (n) qsort(r->regions, (size_t)n, sizeof *r->regions, compare_regions);
    for (int64_t i = 0; i < n; i++) {
        const region *next = &r->regions[i];
        if (next->begin != at)
            return lgt_fail(err, LGT_ERR_DATA, "%s: tensor '%.*s' begins at byte %lld of the data, expected %lld",
                            r->path, SHOWN, r->out->tensors[next->order].name, (long long)next->begin, (long long)at);
        at = next->end;
    }
    if (at > left || (!lgt_input_is_packed(r->input) && at != left))
        return lgt_fail(err, LGT_ERR_DATA, "%s: declares %lld bytes of data, but %lld follow", r->path, (long long)at,
                        (long long)left);
    return LGT_OK;
}

/* Reads the next elements of tensor number `index` into out, or, where that is NULL, past them. */
static lgt_status read_elements(reading *r, int64_t index, void *out, int64_t count, lgt_error *err) {
    size_t size = lgt_dtype_size(r->out->tensors[index].array.dtype), left = (size_t)count * size;
    while (left > 0) {
        size_t bytes = out || left < PASSED ? left : PASSED;
        void *into = out ? out : r->passed;
        lgt_status status = lgt_input_exactly(r->input, into, bytes, "its data", err);
        if (status) return status;
        if (!lgt_host_is_little() && size > 1) lgt_bytes_swap(into, bytes / size, size);
        if (r->elements) r->elements[index] = lgt_checksum_add(r->elements[index], into, bytes);
        left -= bytes;
    }
    return LGT_OK;
}

static lgt_status read_tensor(reading *r, int64_t index, lgt_error *err) {
    lgt_array *array = &r->out->tensors[index].array;
    int64_t first = 0, count = array->count;
    if (r->choice) r->choice(r->user, &r->out->tensors[index], &first, &count);
    lgt_status status = lgt_alloc(r->context, count, lgt_dtype_size(array->dtype), &array->data, err);
    if (!status) status = read_elements(r, index, NULL, first, err);
    if (!status) status = read_elements(r, index, array->data, count, err);
    return status ? status : read_elements(r, index, NULL, array->count - first - count, err);
}

/* The regions lie one behind the other, so the file is read in one go. */
static lgt_status read_data(reading *r, lgt_error *err) {
    lgt_status status = lgt_alloc(r->context, r->choice ? PASSED : 0, 1, &r->passed, err);
    for (int64_t i = 0; i < r->out->n_tensors && !status; i++) status = read_tensor(r, r->regions[i].order, err);
    return status ? status : lgt_input_end(r->input, err);
}

static lgt_status read_input(reading *r, lgt_error *err) {
    *r->out = (lgt_tensors){.tensors = NULL};
    lgt_status status = read_header(r, err);
    if (!status && !json_is_object(r->header))
        status = lgt_fail(err, LGT_ERR_DATA, "%s: the header is no JSON object", r->path);
    if (!status) status = read_entries(r, err);
    if (!status) status = check_coverage(r, err);
    if (!status && r->choice) status = LGT_NEW_ZERO(r->context, &r->elements, r->out->n_tensors, err);
    if (!status) status = read_data(r, err);
    lgt_release(r->context, r->passed);
    lgt_release(r->context, r->regions);
    json_decref(r->header);
    if (status) lgt_tensors_free(r->context, r->out);
    return status;
}

static lgt_status read_file(reading *r, lgt_error *err) {
    *r->out = (lgt_tensors){.tensors = NULL};
    lgt_status status = lgt_input_open(r->context, r->path, &r->input, err);
    if (!status) status = read_input(r, err);
    lgt_input_close(r->input);
    return status;
}

lgt_status lgt_tensors_from_input(lgt_context *context, lgt_input *input, lgt_tensors *out, lgt_error *err) {
    reading r = {.context = context, .input = input, .path = lgt_input_path(input), .out = out};
    return read_input(&r, err);
}

lgt_status lgt_tensors_read(lgt_context *context, const char *path, lgt_tensors *out, lgt_error *err) {
    reading r = {.context = context, .path = path, .out = out};
    lgt_status status = read_file(&r, err);
    return status ? status : lgt_succeed(err);
}

lgt_status lgt_tensors_read_part(lgt_context *context, const char *path, lgt_tensor_choice choice, void *user,
                                 lgt_tensors *out, uint32_t *checksum, lgt_error *err) {
    reading r = {.context = context, .path = path, .out = out, .choice = choice, .user = user};
    lgt_status status = read_file(&r, err);
    if (!status) *checksum = lgt_tensors_checksum(out, r.elements);
    lgt_release(context, r.elements);
    return status ? status : lgt_succeed(err);
}
