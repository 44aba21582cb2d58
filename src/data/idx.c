/* The IDX format of the MNIST files: two zero bytes, element type, number of axes, the axes as 32-bit numbers, the
 * elements; all big-endian (yann.lecun.com/exdb/mnist). */
#include "base/error.h"
#include "data/array.h"
#include "data/bytes.h"

static lgt_status read_type(unsigned char code, const char *path, lgt_stored *out, lgt_error *err) {
    static const struct {
        unsigned char code;
        lgt_stored stored;
    } types[] = {{0x08, {'u', 1}}, {0x09, {'i', 1}}, {0x0B, {'i', 2}},
                 {0x0C, {'i', 4}}, {0x0D, {'f', 4}}, {0x0E, {'f', 8}}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].code != code) continue;
        *out = types[i].stored;
        return LGT_OK;
    }
    return lgt_fail(err, LGT_ERR_DATA, "%s: IDX type 0x%02x is unknown, expected 0x08, 0x09, 0x0b, 0x0c, 0x0d or 0x0e",
                    path, (unsigned)code);
}

lgt_status lgt_idx_read(lgt_context *context, lgt_input *input, lgt_array *out, lgt_error *err) {
    unsigned char head[4], axis[4];
    const char *path = lgt_input_path(input);
    lgt_stored stored = {0};
    lgt_status status = lgt_input_exactly(input, head, sizeof head, "the IDX header", err);
    if (!status) status = read_type(head[2], path, &stored, err);
    if (status) return status;
    if (head[3] == 0) return lgt_fail(err, LGT_ERR_DATA, "%s: has 0 axes, expected 1 to %d", path, LGT_MAX_DIMS);
    if (head[3] > LGT_MAX_DIMS)
        return lgt_fail(err, LGT_ERR_MEMORY, "%s: has %d axes, at most %d are read", path, head[3], LGT_MAX_DIMS);
    for (out->n_dims = 0; out->n_dims < head[3]; out->n_dims++) {
        status = lgt_input_exactly(input, axis, sizeof axis, "the IDX header", err);
        if (status) return status;
        out->shape[out->n_dims] = (int64_t)lgt_bytes_big(axis, 4);
    }
    return lgt_array_load(context, input, stored, lgt_host_is_little(), out, err);
}
