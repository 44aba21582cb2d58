/* The text in the head of a .npy file. */
#ifndef LGT_DATA_NPY_HEADER_H
#define LGT_DATA_NPY_HEADER_H

#include "data/array.h"

typedef struct lgt_npy_header {
    lgt_stored stored;
    int big_endian, fortran_order;
    int n_dims;
    int64_t shape[LGT_MAX_DIMS];
} lgt_npy_header;

/* Reads  {'descr': '<f4', 'fortran_order': False, 'shape': (60000, 784), }  with its keys in any order, each exactly
 * once, blanks between tokens, and a newline at the end. Errors: DATA, UNSUPPORTED (a NumPy type that is not read),
 * MEMORY (more than LGT_MAX_DIMS axes). */
lgt_status lgt_npy_header_parse(const char *text, size_t length, const char *path, lgt_npy_header *out, lgt_error *err);

#endif
