/* Arrays that verbs take and leave as files: read, converted, and checked with messages that name file, shape and
 * place. */
#ifndef LGT_CLI_ARRAYS_H
#define LGT_CLI_ARRAYS_H

#include "logitude/logitude.h"
#include "options.h"
#include "output.h"

/* Reads an array of n_dims dimensions; `what` says what its shape should be. Empty path: *out stays empty. */
lgt_status cli_array_read(lgt_context *context, const char *path, lgt_dtype dtype, int n_dims, const char *what,
                          lgt_array *out, lgt_error *err);

/* Whether the axis has the length wanted; `why` follows the number in the message. An array not given passes. */
lgt_status cli_array_check_length(const char *path, const lgt_array *array, int axis, int64_t wanted, const char *why,
                                  lgt_error *err);

/* Whether all values are finite, and at least `least`. */
lgt_status cli_array_check_values(const char *path, const lgt_array *array, double least, lgt_error *err);

/* The rows of a float32 view as doubles, to be freed; NULL of none. */
double *cli_view_widen(lgt_view view);

/* What may be given by an option: a vector (cols 0) or a matrix of this shape and of such values. */
typedef struct cli_array_option {
    const char *option;
    lgt_array *array;
    lgt_dtype dtype;
    int64_t rows, cols;
    const char *why; /* of the number of rows */
    double least;
} cli_array_option;

#define CLI_BY_ROW   "values, one for every row"
#define CLI_BY_CLASS "values, one for every class"

lgt_status cli_array_options_read(const cli_args *args, lgt_context *context, const cli_array_option *options, size_t n,
                                  lgt_error *err);

/* A .npy file of a folder; data NULL: there is none. */
typedef struct cli_array_file {
    const char *name;
    lgt_dtype dtype;
    int n_dims;
    int64_t rows, cols;
    const void *data;
} cli_array_file;

/* Before any work: whether the folder and all these files, NULL data or not, could be made. */
lgt_status cli_array_files_check(const char *folder, const cli_array_file *files, size_t n, lgt_error *err);

/* Writes the files into the folder and appends their paths to `written`; those that this run has not are removed, which
 * an earlier one may have left. */
lgt_status cli_array_files_write(lgt_context *context, const char *folder, const cli_array_file *files, size_t n,
                                 json_t *written, lgt_error *err);

#endif
