/* CRC-32 (ISO 3309, as zlib has it) of tensors and metadata. */
#include "data/tensors_checksum.h"

#include <string.h>
#include <zlib.h>

enum { PIECE = 1 << 30 };

uint32_t lgt_checksum_add(uint32_t crc, const void *bytes, size_t length) {
    for (size_t at = 0; at < length; at += PIECE) {
        size_t part = length - at < PIECE ? length - at : PIECE;
        crc = (uint32_t)crc32(crc, (const unsigned char *)bytes + at, (uInt)part);
    }
    return crc;
}

uint32_t lgt_checksum_join(uint32_t first, uint32_t second, int64_t length) {
    return (uint32_t)crc32_combine(first, second, (z_off_t)length);
}

/* With its end, so that neighbours cannot trade letters. */
static uint32_t add_text(uint32_t crc, const char *text) {
    return lgt_checksum_add(crc, text, strlen(text) + 1);
}

static uint32_t add_number(uint32_t crc, int64_t number) {
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)((uint64_t)number >> 8 * i & 255);
    return lgt_checksum_add(crc, bytes, sizeof bytes);
}

uint32_t lgt_tensors_checksum(const lgt_tensors *tensors, const uint32_t *elements) {
    uint32_t crc = 0;
    for (int64_t i = 0; i < tensors->n_metadata; i++) {
        if (strcmp(tensors->metadata[i].key, LGT_TENSORS_CHECKSUM) == 0) continue;
        crc = add_text(add_text(crc, tensors->metadata[i].key), tensors->metadata[i].value);
    }
    for (int64_t i = 0; i < tensors->n_tensors; i++) {
        const lgt_array *a = &tensors->tensors[i].array;
        crc = add_number(add_text(crc, tensors->tensors[i].name), a->dtype);
        for (int k = 0; k < a->n_dims; k++) crc = add_number(crc, a->shape[k]);
        crc = lgt_checksum_join(crc, elements[i], a->count * (int64_t)lgt_dtype_size(a->dtype));
    }
    return crc;
}
