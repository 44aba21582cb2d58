/* Files of tensors whose elements do not all lie in memory: written and read piece by piece. */
#ifndef LGT_DATA_TENSOR_STREAM_H
#define LGT_DATA_TENSOR_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "logitude/io.h"

/* Gives the next elements of tensor number `index`: *data, of *bytes > 0 bytes and whole elements, are those from byte
 * `at` on. Asked for in the order of the file, each once. */
typedef lgt_status (*lgt_tensor_source)(void *user, int64_t index, int64_t at, const void **data, int64_t *bytes,
                                        lgt_error *err);

/* lgt_tensors_write of tensors whose data come from a source. Errors: the source's besides. */
lgt_status lgt_tensors_write_from(lgt_context *context, const char *path, const lgt_tensors *tensors,
                                  lgt_tensor_source source, void *user, lgt_error *err);

/* Says which elements of a tensor are wanted: *first and *count stand at all of them. */
typedef void (*lgt_tensor_choice)(void *user, const lgt_tensor *tensor, int64_t *first, int64_t *count);

/* lgt_tensors_read that keeps the chosen elements alone, at the beginning of data; shapes and counts are those of the
 * file. *checksum: lgt_tensors_checksum of all it says. */
lgt_status lgt_tensors_read_part(lgt_context *context, const char *path, lgt_tensor_choice choice, void *user,
                                 lgt_tensors *out, uint32_t *checksum, lgt_error *err);

#endif
