/* What reader and writer of safetensors share. */
#ifndef LGT_DATA_TENSOR_TYPES_H
#define LGT_DATA_TENSOR_TYPES_H

#include <stddef.h>

#include "logitude/types.h"

enum {
    LGT_TENSORS_HEADER_LIMIT = 16 << 20, /* bytes of JSON */
    LGT_TENSORS_NAME_LIMIT = 4096,       /* bytes of a tensor's name */
    LGT_TENSORS_ALIGNMENT = 64
};

/* Position of the metadata among the tensors of the header. */
#define LGT_TENSORS_METADATA "__metadata__"

/* The format's name of a type, NULL outside the list; and the reverse: 1 known, 0 not, -1 known but not read. */
const char *lgt_tensor_type_name(lgt_dtype dtype);
int lgt_tensor_type_find(const char *name, lgt_dtype *out);

/* Not too long and without control characters, so that it can stand in any message. */
int lgt_tensor_name_valid(const char *name, size_t length);

#endif
