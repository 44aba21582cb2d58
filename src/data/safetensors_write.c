/* Writer of safetensors, and the record of tensors it writes. */
#include <jansson.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "data/array.h"
#include "data/bytes.h"
#include "data/output.h"
#include "data/tensor_stream.h"
#include "data/tensor_types.h"

enum { PREFIX = 8, SHOWN = 100, SWAP_CHUNK = 4096 };

static lgt_status fail_json(const char *path, lgt_error *err) {
    return lgt_fail(err, LGT_ERR_MEMORY, "%s: out of memory in the header", path);
}

/* Puts an item under a key that must be new and valid JSON text; takes the item over. */
static lgt_status put(json_t *object, const char *key, json_t *item, const char *path, lgt_error *err) {
    json_t *check = key ? json_string(key) : NULL; /* refuses what is not UTF-8 */
    json_decref(check);
    if (!check || json_object_get(object, key)) {
        json_decref(item);
        return lgt_fail(err, LGT_ERR_USAGE, "%s: the name '%.*s' is not UTF-8 or occurs twice", path, SHOWN,
                        key ? key : "(null)");
    }
    return json_object_set_new(object, key, item) ? fail_json(path, err) : LGT_OK;
}

static lgt_status put_metadata(json_t *header, const lgt_tensors *tensors, const char *path, lgt_error *err) {
    json_t *metadata = json_object();
    lgt_status status = metadata ? LGT_OK : fail_json(path, err);
    for (int64_t i = 0; !status && i < tensors->n_metadata; i++) {
        const lgt_metadata *entry = &tensors->metadata[i];
        json_t *value = json_string(entry->value);
        if (value)
            status = put(metadata, entry->key, value, path, err);
        else
            status = lgt_fail(err, LGT_ERR_USAGE, "%s: metadata %lld is not UTF-8", path, (long long)i);
    }
    if (status) {
        json_decref(metadata);
        return status;
    }
    return put(header, LGT_TENSORS_METADATA, metadata, path, err);
}

static lgt_status put_tensor(json_t *header, const lgt_tensor *tensor, int64_t *at, const char *path, lgt_error *err) {
    lgt_array array = tensor->array;
    size_t bytes = 0;
    int64_t begin = *at;
    if (!tensor->name || !lgt_tensor_name_valid(tensor->name, strlen(tensor->name)))
        return lgt_fail(err, LGT_ERR_USAGE, "%s: a tensor's name is missing, too long or has control characters", path);
    if (!lgt_tensor_type_name(array.dtype) || array.n_dims < 0 || array.n_dims > LGT_MAX_DIMS ||
        !lgt_array_size(&array, &bytes) || array.count != tensor->array.count || (int64_t)bytes > INT64_MAX - begin)
        return lgt_fail(err, LGT_ERR_USAGE, "%s: tensor '%.*s' has a wrong type, shape or count", path, SHOWN,
                        tensor->name);
    json_t *shape = json_array();
    for (int i = 0; i < array.n_dims; i++) json_array_append_new(shape, json_integer(array.shape[i]));
    *at = begin + (int64_t)bytes;
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", lgt_tensor_type_name(array.dtype), "shape", shape,
                              "data_offsets", (json_int_t)begin, (json_int_t)*at);
    if (!entry || json_array_size(shape) != (size_t)array.n_dims) {
        json_decref(entry);
        return fail_json(path, err);
    }
    return put(header, tensor->name, entry, path, err);
}

/* Prefix and header in one block, blanks behind the JSON so that the data begin at a multiple of 64 bytes. */
static lgt_status print_header(lgt_context *context, const json_t *header, const char *path, char **out, size_t *length,
                               lgt_error *err) {
    size_t bytes = json_dumpb(header, NULL, 0, JSON_COMPACT);
    if (bytes == 0) return fail_json(path, err);
    if (bytes > LGT_TENSORS_HEADER_LIMIT - LGT_TENSORS_ALIGNMENT)
        return lgt_fail(err, LGT_ERR_MEMORY, "%s: the header takes %zu bytes, readers take at most %d", path, bytes,
                        LGT_TENSORS_HEADER_LIMIT);
    *length = (size_t)lgt_round_up((int64_t)bytes + PREFIX, LGT_TENSORS_ALIGNMENT);
    lgt_status status = lgt_alloc(context, (int64_t)*length, 1, out, err);
    if (status) return status;
    memset(*out, ' ', *length);
    for (int i = 0; i < PREFIX; i++) (*out)[i] = (char)((*length - PREFIX) >> 8 * i & 255);
    if (json_dumpb(header, *out + PREFIX, bytes, JSON_COMPACT) != bytes) return fail_json(path, err);
    return LGT_OK;
}

static lgt_status compose_header(lgt_context *context, const lgt_tensors *tensors, const char *path, char **out,
                                 size_t *length, lgt_error *err) {
    int64_t at = 0;
    json_t *header = json_object();
    lgt_status status = header ? LGT_OK : fail_json(path, err);
    if (!status && tensors->n_metadata) status = put_metadata(header, tensors, path, err);
    for (int64_t i = 0; !status && i < tensors->n_tensors; i++) {
        if (tensors->tensors[i].name && strcmp(tensors->tensors[i].name, LGT_TENSORS_METADATA) == 0)
            status = lgt_fail(err, LGT_ERR_USAGE, "%s: a tensor cannot be named %s", path, LGT_TENSORS_METADATA);
        else
            status = put_tensor(header, &tensors->tensors[i], &at, path, err);
    }
    if (!status) status = print_header(context, header, path, out, length, err);
    json_decref(header);
    return status;
}

/* Little-endian whatever the machine. */
static lgt_status write_elements(lgt_output *output, const char *from, size_t left, size_t size, lgt_error *err) {
    char chunk[SWAP_CHUNK];
    lgt_status status = LGT_OK;
    if (lgt_host_is_little() || size == 1) return lgt_output_write(output, from, left, err);
    while (!status && left > 0) {
        size_t part = left < sizeof chunk ? left : sizeof chunk;
        memcpy(chunk, from, part);
        lgt_bytes_swap(chunk, part / size, size);
        status = lgt_output_write(output, chunk, part, err);
        from += part;
        left -= part;
    }
    return status;
}

static lgt_status write_data(lgt_output *output, const lgt_tensors *tensors, lgt_tensor_source source, void *user,
                             lgt_error *err) {
    for (int64_t i = 0; i < tensors->n_tensors; i++) {
        int64_t size = (int64_t)lgt_dtype_size(tensors->tensors[i].array.dtype), bytes = 0;
        for (int64_t at = 0; at < tensors->tensors[i].array.count * size; at += bytes) {
            const void *data = NULL;
            lgt_status status = source(user, i, at, &data, &bytes, err);
            if (!status) status = write_elements(output, data, (size_t)bytes, (size_t)size, err);
            if (status) return status;
        }
    }
    return LGT_OK;
}

lgt_status lgt_tensors_write_from(lgt_context *context, const char *path, const lgt_tensors *tensors,
                                  lgt_tensor_source source, void *user, lgt_error *err) {
    char *header = NULL;
    size_t length = 0;
    lgt_output output;
    lgt_status status = compose_header(context, tensors, path, &header, &length, err);
    if (!status) status = lgt_output_open(context, path, &output, err);
    if (!status) {
        status = lgt_output_write(&output, header, length, err);
        if (!status) status = write_data(&output, tensors, source, user, err);
        status = lgt_output_finish(&output, status, err);
    }
    lgt_release(context, header);
    return status;
}

/* The source of tensors that lie in memory: all at once. */
static lgt_status take_whole(void *user, int64_t index, int64_t at, const void **data, int64_t *bytes, lgt_error *err) {
    const lgt_array *array = &((const lgt_tensors *)user)->tensors[index].array;
    (void)err;
    *data = (const char *)array->data + at;
    *bytes = array->count * (int64_t)lgt_dtype_size(array->dtype) - at;
    return LGT_OK;
}

lgt_status lgt_tensors_write(lgt_context *context, const char *path, const lgt_tensors *tensors, lgt_error *err) {
    return lgt_tensors_write_from(context, path, tensors, take_whole, (void *)(uintptr_t)tensors, err);
}

void lgt_tensors_free(lgt_context *context, lgt_tensors *tensors) {
    for (int64_t i = 0; i < tensors->n_metadata; i++) {
        lgt_release(context, tensors->metadata[i].value);
        lgt_release(context, tensors->metadata[i].key);
    }
    for (int64_t i = 0; i < tensors->n_tensors; i++) {
        lgt_array_free(context, &tensors->tensors[i].array);
        lgt_release(context, tensors->tensors[i].name);
    }
    lgt_release(context, tensors->metadata);
    lgt_release(context, tensors->tensors);
    *tensors = (lgt_tensors){.tensors = NULL};
}

const lgt_array *lgt_tensors_find(const lgt_tensors *tensors, const char *name) {
    for (int64_t i = 0; i < tensors->n_tensors; i++)
        if (strcmp(tensors->tensors[i].name, name) == 0) return &tensors->tensors[i].array;
    return NULL;
}

const char *lgt_tensors_metadata(const lgt_tensors *tensors, const char *key) {
    for (int64_t i = 0; i < tensors->n_metadata; i++)
        if (strcmp(tensors->metadata[i].key, key) == 0) return tensors->metadata[i].value;
    return NULL;
}
