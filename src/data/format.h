/* What the first bytes of a file say it is. */
#ifndef LGT_DATA_FORMAT_H
#define LGT_DATA_FORMAT_H

#include <stddef.h>

typedef enum lgt_format {
    LGT_FORMAT_NPY,
    LGT_FORMAT_IDX,
    LGT_FORMAT_ZIP,
    LGT_FORMAT_SAFETENSORS,
    LGT_FORMAT_LIBLINEAR,
    LGT_FORMAT_LIBSVM,
    LGT_FORMAT_OTHER
} lgt_format;

/* Of the first bytes: some 64 KiB, or all there are. */
lgt_format lgt_format_of(const unsigned char *head, size_t length);

#endif
