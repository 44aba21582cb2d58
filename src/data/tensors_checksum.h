/* A checksum of everything that a file of tensors says. */
#ifndef LGT_DATA_TENSORS_CHECKSUM_H
#define LGT_DATA_TENSORS_CHECKSUM_H

#include <stdint.h>

#include "logitude/io.h"

/* The metadata key under which files keep it, as 8 hexadecimal digits. */
#define LGT_TENSORS_CHECKSUM "checksum"

/* CRC-32 over names, types, shapes, elements and metadata, that key apart, in their order. elements (n_tensors): the
 * CRC-32 of each tensor's own. */
uint32_t lgt_tensors_checksum(const lgt_tensors *tensors, const uint32_t *elements);

/* The CRC-32 of what has `crc` and the bytes behind it; of nothing it is 0. */
uint32_t lgt_checksum_add(uint32_t crc, const void *bytes, size_t length);

/* The CRC-32 of what has `first` and, behind it, `length` bytes that have `second`. */
uint32_t lgt_checksum_join(uint32_t first, uint32_t second, int64_t length);

#endif
