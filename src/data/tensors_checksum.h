/* A checksum of everything that a file of tensors says. */
#ifndef LGT_DATA_TENSORS_CHECKSUM_H
#define LGT_DATA_TENSORS_CHECKSUM_H

#include <stdint.h>

#include "logitude/io.h"

/* The metadata key under which files keep it, as 8 hexadecimal digits. */
#define LGT_TENSORS_CHECKSUM "checksum"

/* CRC-32 over names, types, shapes, elements and metadata, that key apart, in their order. */
uint32_t lgt_tensors_checksum(const lgt_tensors *tensors);

#endif
