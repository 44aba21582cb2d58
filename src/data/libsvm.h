/* The sparse text of LIBSVM: a line a row, LABEL INDEX:VALUE ..., indices from 1 and rising, what is not named is 0. */
#ifndef LGT_DATA_LIBSVM_H
#define LGT_DATA_LIBSVM_H

#include "data/input.h"
#include "data/table.h"

/* Rows of as many features as the largest index, `least` at least; labels are integers, or passed over. On an error
 * `out` is empty. Errors: DATA, with the line; MEMORY, also where the dense rows would take far more than the text. */
lgt_status lgt_libsvm_read(lgt_context *context, lgt_input *input, int labelled, int64_t least, lgt_table *out,
                           lgt_error *err);

#endif
