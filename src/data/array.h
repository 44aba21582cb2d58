/* Arrays under construction, and the readers of the two array formats. */
#ifndef LGT_DATA_ARRAY_H
#define LGT_DATA_ARRAY_H

#include "data/input.h"
#include "logitude/io.h"

/* Room for "row 9223372036854775807, column 9223372036854775807". */
enum { LGT_PLACE_ROOM = 64 };

/* Where element `index` is: "row 17", "row 17, column 3", "the value"; counted from 0, all axes but the first as one.
 */
const char *lgt_array_place(const lgt_array *array, int64_t index, char place[LGT_PLACE_ROOM]);

/* Sets count from dtype, n_dims and shape. Returns 1, or 0 when the count or the bytes do not fit. */
int lgt_array_size(lgt_array *array, size_t *bytes);

/* How a file holds an element: f, i, u or b (a truth value), and its bytes. */
typedef struct lgt_stored {
    char kind;
    int bytes;
} lgt_stored;

/* The type in memory: the same, or the next larger integer, which has the same values. Returns 0 where there is none.
 */
int lgt_stored_dtype(lgt_stored stored, lgt_dtype *out);

/* Reads data of the shape, `stored` in the file, into a block of the type in memory; swap: the bytes of each element
 * are turned around. */
lgt_status lgt_array_load(lgt_context *context, lgt_input *input, lgt_stored stored, int swap, lgt_array *array,
                          lgt_error *err);

/* The formats, from their first byte to their last. On an error `out` may hold data: lgt_array_free. */
lgt_status lgt_npy_read(lgt_context *context, lgt_input *input, lgt_array *out, lgt_error *err);
lgt_status lgt_idx_read(lgt_context *context, lgt_input *input, lgt_array *out, lgt_error *err);

/* The head of a .npy file, padded so that the data begin at a multiple of 64 bytes. Returns its length. */
enum { LGT_NPY_HEAD = 512 };
size_t lgt_npy_head(lgt_dtype dtype, int n_dims, const int64_t *shape, char head[LGT_NPY_HEAD]);

/* lgt_array_read, lgt_tensors_read, lgt_npz_read and lgt_liblinear_read of a file that is already open. */
lgt_status lgt_array_from_input(lgt_context *context, lgt_input *input, lgt_array *out, lgt_error *err);
lgt_status lgt_tensors_from_input(lgt_context *context, lgt_input *input, lgt_tensors *out, lgt_error *err);
lgt_status lgt_npz_from_input(lgt_context *context, lgt_input *input, lgt_tensors *out, lgt_error *err);
lgt_status lgt_liblinear_from_input(lgt_context *context, lgt_input *input, lgt_tensors *out, lgt_error *err);

#endif
