/* Reader of .npz: a ZIP archive of .npy members (PKWARE APPNOTE 6.3; numpy.savez and savez_compressed), taken from
 * front to back, and then held against the archive's directory, which other programs go by. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/array.h"
#include "data/bytes.h"
#include "data/growth.h"
#include "data/tensor_types.h"

enum { LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50, STORED = 0, DEFLATED = 8, LARGE = 1 };
enum { LOCAL_HEAD = 26, CENTRAL_HEAD = 42, END_HEAD = 18, SUFFIX = 4, PATH_SIZE = 8192 };

/* What both headers tell of a member. */
typedef struct member {
    unsigned flags, method;
    uint32_t crc;
    uint64_t packed, size;
    int64_t offset;
    unsigned name_length, extra_length;
} member;

typedef struct reading {
    lgt_context *context;
    const char *path;
    lgt_input *input;
    lgt_tensors *out;
    member *members; /* one a tensor */
    size_t tensors_room, members_room;
    char *name, *extra; /* of the present member: 65535 bytes each, and one */
} reading;

static uint64_t number(const unsigned char *bytes, int n) {
    return lgt_bytes_little(bytes, n);
}

/* --- headers --- */

/* Sizes of 4 GiB or more stand in an extra field with the identifier 1, which NumPy writes always. */
static int take_zip64(member *m, const char *extra) {
    const unsigned char *at = (const unsigned char *)extra, *end = at + m->extra_length;
    int wants_size = m->size == UINT32_MAX, wants_packed = m->packed == UINT32_MAX;
    while (end - at >= 4 && (wants_size || wants_packed)) {
        size_t length = (size_t)number(at + 2, 2);
        const unsigned char *field = at + 4;
        if ((size_t)(end - field) < length) return 0;
        if (number(at, 2) == LARGE) {
            if (length < 8 * (size_t)(wants_size + wants_packed)) return 0;
            if (wants_size) m->size = number(field, 8), field += 8;
            if (wants_packed) m->packed = number(field, 8);
            return 1;
        }
        at = field + length;
    }
    return !wants_size && !wants_packed;
}

static lgt_status read_texts(reading *r, member *m, lgt_error *err) {
    lgt_status status = lgt_input_exactly(r->input, r->name, m->name_length, "the name of a member", err);
    if (!status) status = lgt_input_exactly(r->input, r->extra, m->extra_length, "the head of a member", err);
    if (status) return status;
    r->name[m->name_length] = '\0';
    size_t suffix = m->name_length < SUFFIX ? m->name_length : SUFFIX; /* no part of the tensor's name */
    if (!lgt_tensor_name_valid(r->name, m->name_length - suffix) ||
        !lgt_tensor_name_valid(r->name + m->name_length - suffix, suffix) || strlen(r->name) != m->name_length)
        return lgt_fail(err, LGT_ERR_DATA, "%s: the name of member %lld is too long or has control characters", r->path,
                        (long long)r->out->n_tensors);
    if (!take_zip64(m, r->extra))
        return lgt_fail(err, LGT_ERR_DATA, "%s: %s: its size in 64 bits is missing", r->path, r->name);
    return LGT_OK;
}

/* flags, method, time, date, CRC, packed, size, lengths of name and extra: the same in both headers. */
static void take_common(const unsigned char *head, member *m) {
    m->flags = (unsigned)number(head, 2);
    m->method = (unsigned)number(head + 2, 2);
    m->crc = (uint32_t)number(head + 8, 4);
    m->packed = number(head + 12, 4);
    m->size = number(head + 16, 4);
    m->name_length = (unsigned)number(head + 20, 2);
    m->extra_length = (unsigned)number(head + 22, 2);
}

static lgt_status read_local(reading *r, member *m, lgt_error *err) {
    unsigned char head[LOCAL_HEAD];
    m->offset = lgt_input_given(r->input) - 4;
    lgt_status status = lgt_input_exactly(r->input, head, sizeof head, "the head of a member", err);
    if (status) return status;
    take_common(head + 2, m);
    status = read_texts(r, m, err);
    if (status) return status;
    if (m->flags & 1) return lgt_fail(err, LGT_ERR_UNSUPPORTED, "%s: %s: is encrypted", r->path, r->name);
    if (m->flags & 8)
        return lgt_fail(err, LGT_ERR_UNSUPPORTED, "%s: %s: was written to a pipe, its size stands behind it", r->path,
                        r->name);
    if (m->method != STORED && m->method != DEFLATED)
        return lgt_fail(err, LGT_ERR_UNSUPPORTED, "%s: %s: is packed by method %u, expected 0 (none) or 8 (deflate)",
                        r->path, r->name, m->method);
    if (m->method == STORED && m->packed != m->size)
        return lgt_fail(err, LGT_ERR_DATA, "%s: %s: is stored, but of two sizes", r->path, r->name);
    if (m->name_length <= SUFFIX || strcmp(r->name + m->name_length - SUFFIX, ".npy") != 0)
        return lgt_fail(err, LGT_ERR_DATA, "%s: %s: is no .npy member", r->path, r->name);
    return LGT_OK;
}

/* --- members --- */

static lgt_status read_content(reading *r, const member *m, lgt_array *array, lgt_error *err) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%.4000s: %.4000s", r->path, r->name);
    lgt_status status = lgt_input_member_begin(r->input, m->method == DEFLATED, path, err);
    if (status) return status;
    if (m->packed > (uint64_t)lgt_input_left(r->input))
        status = lgt_fail(err, LGT_ERR_DATA, "%s: declares %llu bytes, but at most %lld can follow", path,
                          (unsigned long long)m->packed, (long long)lgt_input_left(r->input));
    if (!status) status = lgt_npy_read(r->context, r->input, array, err);
    lgt_error other;
    lgt_status ended = lgt_input_member_end(r->input, m->packed, m->size, m->crc, status ? &other : err);
    return status ? status : ended;
}

static lgt_status add_member(reading *r, lgt_error *err) {
    member m;
    lgt_status status = read_local(r, &m, err);
    if (status) return status;
    size_t n = (size_t)r->out->n_tensors;
    status = lgt_grow(r->context, &r->out->tensors, n * sizeof(lgt_tensor), &r->tensors_room,
                      (n + 1) * sizeof(lgt_tensor), err);
    if (!status) status = lgt_grow(r->context, &r->members, n * sizeof m, &r->members_room, (n + 1) * sizeof m, err);
    if (status) return status;
    r->members[n] = m;
    lgt_tensor *tensor = &r->out->tensors[n];
    *tensor = (lgt_tensor){.name = NULL};
    r->out->n_tensors++;
    status = read_content(r, &m, &tensor->array, err);
    r->name[m.name_length - SUFFIX] = '\0';
    for (size_t i = 0; i < n && !status; i++)
        if (strcmp(r->out->tensors[i].name, r->name) == 0)
            status = lgt_fail(err, LGT_ERR_DATA, "%s: two members are named %s.npy", r->path, r->name);
    return status ? status : lgt_alloc_text(r->context, r->name, &tensor->name, err);
}

/* --- the directory --- */

static lgt_status differs(const reading *r, int64_t index, lgt_error *err) {
    return lgt_fail(err, LGT_ERR_DATA, "%s: the archive's directory and its member %lld (%s.npy) differ", r->path,
                    (long long)index, r->out->tensors[index].name);
}

static lgt_status check_entry(reading *r, int64_t index, lgt_error *err) {
    unsigned char head[CENTRAL_HEAD];
    member m;
    lgt_status status = lgt_input_exactly(r->input, head, sizeof head, "the archive's directory", err);
    if (status) return status;
    take_common(head + 4, &m);
    unsigned comment = (unsigned)number(head + 28, 2);
    if (index >= r->out->n_tensors)
        return lgt_fail(err, LGT_ERR_DATA, "%s: the archive's directory has more than its %lld members", r->path,
                        (long long)r->out->n_tensors);
    status = read_texts(r, &m, err);
    const member *own = &r->members[index];
    const char *name = r->out->tensors[index].name;
    if (status) return status;
    if (m.crc != own->crc || m.packed != own->packed || m.size != own->size || m.method != own->method || comment ||
        (int64_t)number(head + 38, 4) != own->offset || m.name_length != own->name_length ||
        strncmp(r->name, name, strlen(name)) != 0)
        return differs(r, index, err);
    return LGT_OK;
}

static lgt_status check_end(reading *r, int64_t start, int64_t length, lgt_error *err) {
    unsigned char head[END_HEAD];
    lgt_status status = lgt_input_exactly(r->input, head, sizeof head, "the archive's end", err);
    if (status) return status;
    uint64_t n = (uint64_t)r->out->n_tensors;
    if (number(head, 2) || number(head + 2, 2) || number(head + 4, 2) != n || number(head + 6, 2) != n ||
        number(head + 8, 4) != (uint64_t)length || number(head + 12, 4) != (uint64_t)start || number(head + 16, 2))
        return lgt_fail(err, LGT_ERR_DATA, "%s: the archive's end contradicts its %lld members", r->path, (long long)n);
    return lgt_input_end(r->input, err);
}

/* Members, then their directory, then the end, each part begun by its signature. */
static lgt_status read_parts(reading *r, lgt_error *err) {
    int64_t n_entries = 0, start = -1;
    for (;;) {
        unsigned char bytes[4];
        lgt_status status = lgt_input_exactly(r->input, bytes, sizeof bytes, "the archive", err);
        if (status) return status;
        uint64_t signature = number(bytes, 4);
        int64_t at = lgt_input_given(r->input) - 4;
        if (signature == LOCAL && start < 0) {
            status = add_member(r, err);
        } else if (signature == CENTRAL) {
            if (start < 0) start = at;
            status = check_entry(r, n_entries++, err);
        } else if (signature == END && n_entries == r->out->n_tensors) {
            return check_end(r, start < 0 ? at : start, start < 0 ? 0 : at - start, err);
        } else if (at > UINT32_MAX) {
            return lgt_fail(err, LGT_ERR_UNSUPPORTED, "%s: is an archive of more than 4 GiB", r->path);
        } else {
            return lgt_fail(err, LGT_ERR_DATA, "%s: byte %lld begins no part of a ZIP archive that belongs there",
                            r->path, (long long)at);
        }
        if (status) return status;
    }
}

lgt_status lgt_npz_from_input(lgt_context *context, lgt_input *input, lgt_tensors *out, lgt_error *err) {
    reading r = {.context = context, .path = lgt_input_path(input), .input = input, .out = out};
    *out = (lgt_tensors){.tensors = NULL};
    if (lgt_input_format(input) != LGT_FORMAT_ZIP)
        return lgt_fail(err, LGT_ERR_DATA, "%s: its first bytes are not those of a ZIP archive (.npz)", r.path);
    lgt_status status = lgt_alloc(context, UINT16_MAX + 1, 1, &r.name, err);
    if (!status) status = lgt_alloc(context, UINT16_MAX + 1, 1, &r.extra, err);
    if (!status) status = read_parts(&r, err);
    lgt_release(context, r.extra);
    lgt_release(context, r.name);
    lgt_release(context, r.members);
    if (status) lgt_tensors_free(context, out);
    return status;
}

lgt_status lgt_npz_read(lgt_context *context, const char *path, lgt_tensors *out, lgt_error *err) {
    lgt_input *input = NULL;
    *out = (lgt_tensors){.tensors = NULL};
    lgt_status status = lgt_input_open(context, path, &input, err);
    if (!status) status = lgt_npz_from_input(context, input, out, err);
    lgt_input_close(input);
    return status ? status : lgt_succeed(err);
}
