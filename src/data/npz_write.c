/* Writer of .npz: a ZIP archive of stored .npy members (PKWARE APPNOTE 6.3), dated 1980-01-01 so that the same arrays
 * are the same bytes. */
#include <string.h>
#include <zlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/array.h"
#include "data/output.h"
#include "data/tensor_types.h"
#include "data/utf8.h"

enum { LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50, VERSION = 20, UTF8 = 0x800, DATE = 0x21 };
enum { HEAD_SIZE = 46, END_SIZE = 22, SUFFIX = 4, PIECE = 1 << 30, SHOWN = 100 };

typedef struct member {
    uint32_t crc, size, offset;
} member;

typedef struct writing {
    const char *path;
    const lgt_tensors *tensors;
    member *members;
    uint64_t length; /* of the archive, its directory excluded */
    lgt_output output;
} writing;

static size_t put(unsigned char *to, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; i++) to[i] = (unsigned char)(value >> 8 * i & 255);
    return (size_t)bytes;
}

static uint32_t checksum(uint32_t crc, const void *bytes, size_t length) {
    for (size_t at = 0; at < length; at += PIECE) {
        size_t part = length - at < PIECE ? length - at : PIECE;
        crc = (uint32_t)crc32(crc, (const unsigned char *)bytes + at, (uInt)part);
    }
    return crc;
}

/* What both headers begin with, behind signature and version made by. */
static size_t put_common(unsigned char *to, const member *m, const char *name) {
    size_t at = put(to, VERSION, 2);
    at += put(to + at, UTF8, 2);
    at += put(to + at, 0, 2); /* stored */
    at += put(to + at, 0, 2);
    at += put(to + at, DATE, 2);
    at += put(to + at, m->crc, 4);
    at += put(to + at, m->size, 4);
    at += put(to + at, m->size, 4);
    at += put(to + at, (uint32_t)(strlen(name) + SUFFIX), 2);
    return at + put(to + at, 0, 2);
}

/* Sizes, checksums and offsets, before anything is written. */
static lgt_status measure(writing *w, lgt_error *err) {
    const lgt_tensors *t = w->tensors;
    for (int64_t i = 0; i < t->n_tensors; i++) {
        lgt_array array = t->tensors[i].array;
        const char *name = t->tensors[i].name;
        char head[LGT_NPY_HEAD];
        size_t bytes = 0;
        if (!name || !*name || !lgt_tensor_name_valid(name, strlen(name)) || !lgt_utf8_valid(name, strlen(name)))
            return lgt_fail(err, LGT_ERR_USAGE, "%s: a tensor's name is missing, too long or not UTF-8", w->path);
        for (int64_t k = 0; k < i; k++)
            if (strcmp(t->tensors[k].name, name) == 0)
                return lgt_fail(err, LGT_ERR_USAGE, "%s: two tensors are named %.*s", w->path, SHOWN, name);
        if (lgt_dtype_size(array.dtype) == 0 || array.n_dims < 0 || array.n_dims > LGT_MAX_DIMS ||
            !lgt_array_size(&array, &bytes) || array.count != t->tensors[i].array.count)
            return lgt_fail(err, LGT_ERR_USAGE, "%s: tensor %.*s has a wrong type, shape or count", w->path, SHOWN,
                            name);
        size_t length = lgt_npy_head(array.dtype, array.n_dims, array.shape, head);
        uint64_t whole = (uint64_t)bytes + length, before = w->length;
        w->length += whole + 30 + strlen(name) + SUFFIX;
        if (whole >= UINT32_MAX || w->length >= UINT32_MAX || t->n_tensors >= UINT16_MAX)
            return lgt_fail(err, LGT_ERR_UNSUPPORTED,
                            "%s: the archive would be of 4 GiB or more, expected less: take .safetensors", w->path);
        uint32_t crc = checksum(checksum((uint32_t)crc32(0, NULL, 0), head, length), array.data, bytes);
        w->members[i] = (member){crc, (uint32_t)whole, (uint32_t)before};
    }
    return LGT_OK;
}

static lgt_status write_member(writing *w, int64_t i, lgt_error *err) {
    const lgt_tensor *t = &w->tensors->tensors[i];
    unsigned char head[HEAD_SIZE];
    char npy[LGT_NPY_HEAD];
    size_t bytes = (size_t)t->array.count * lgt_dtype_size(t->array.dtype), at = put(head, LOCAL, 4);
    at += put_common(head + at, &w->members[i], t->name);
    lgt_status status = lgt_output_write(&w->output, head, at, err);
    if (!status) status = lgt_output_write(&w->output, t->name, strlen(t->name), err);
    if (!status) status = lgt_output_write(&w->output, ".npy", SUFFIX, err);
    size_t length = lgt_npy_head(t->array.dtype, t->array.n_dims, t->array.shape, npy);
    if (!status) status = lgt_output_write(&w->output, npy, length, err);
    return status ? status : lgt_output_write(&w->output, t->array.data, bytes, err);
}

static lgt_status write_directory(writing *w, lgt_error *err) {
    uint64_t length = 0;
    lgt_status status = LGT_OK;
    for (int64_t i = 0; i < w->tensors->n_tensors && !status; i++) {
        const char *name = w->tensors->tensors[i].name;
        unsigned char head[HEAD_SIZE] = {0}; /* comment, disk and attributes stay 0 */
        size_t at = put(head, CENTRAL, 4);
        at += put(head + at, VERSION, 2);
        put_common(head + at, &w->members[i], name);
        put(head + HEAD_SIZE - 4, w->members[i].offset, 4);
        length += HEAD_SIZE + strlen(name) + SUFFIX;
        status = lgt_output_write(&w->output, head, sizeof head, err);
        if (!status) status = lgt_output_write(&w->output, name, strlen(name), err);
        if (!status) status = lgt_output_write(&w->output, ".npy", SUFFIX, err);
    }
    unsigned char end[END_SIZE] = {0};
    put(end, END, 4);
    put(end + 8, (uint32_t)w->tensors->n_tensors, 2);
    put(end + 10, (uint32_t)w->tensors->n_tensors, 2);
    put(end + 12, (uint32_t)length, 4);
    put(end + 16, (uint32_t)w->length, 4);
    return status ? status : lgt_output_write(&w->output, end, sizeof end, err);
}

lgt_status lgt_npz_write(lgt_context *context, const char *path, const lgt_tensors *tensors, lgt_error *err) {
    writing w = {.path = path, .tensors = tensors};
    lgt_status status = LGT_NEW(context, &w.members, tensors->n_tensors, err);
    if (!status) status = measure(&w, err);
    if (!status) status = lgt_output_open(context, path, &w.output, err);
    if (!status) {
        for (int64_t i = 0; i < tensors->n_tensors && !status; i++) status = write_member(&w, i, err);
        if (!status) status = write_directory(&w, err);
        status = lgt_output_finish(&w.output, status, err);
    }
    lgt_release(context, w.members);
    return status ? status : lgt_succeed(err);
}
