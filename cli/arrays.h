/* Arrays that verbs take as files: read, converted, and checked with messages that name file, shape and place. */
#ifndef LGT_CLI_ARRAYS_H
#define LGT_CLI_ARRAYS_H

#include "logitude/logitude.h"

/* Reads an array of n_dims dimensions; `what` says what its shape should be. Empty path: *out stays empty. */
lgt_status cli_array_read(lgt_context *context, const char *path, lgt_dtype dtype, int n_dims, const char *what,
                          lgt_array *out, lgt_error *err);

/* Whether the axis has the length wanted; `why` follows the number in the message. An array not given passes. */
lgt_status cli_array_check_length(const char *path, const lgt_array *array, int axis, int64_t wanted, const char *why,
                                  lgt_error *err);

/* Whether all values are finite, and at least `least`. */
lgt_status cli_array_check_values(const char *path, const lgt_array *array, double least, lgt_error *err);

#endif
