/* Files that are replaced whole or not at all. */
#ifndef LGT_DATA_OUTPUT_H
#define LGT_DATA_OUTPUT_H

#include <stddef.h>

#include "logitude/context.h"

typedef struct lgt_output {
    lgt_context *context;
    const char *path; /* as the caller named it, for messages; borrowed */
    char *target;     /* where links lead */
    char *temporary;  /* NULL: a device or pipe, written in place */
    int fd;
} lgt_output;

/* Opens a temporary file beside `path`. After OK, and only then, lgt_output_finish must follow. */
lgt_status lgt_output_open(lgt_context *context, const char *path, lgt_output *out, lgt_error *err);
lgt_status lgt_output_write(lgt_output *output, const void *bytes, size_t length, lgt_error *err);
/* Ends it: puts the new file in place if `status`, that of the work so far, is OK, else removes it. Returns `status` or
 * the failure of the last step. */
lgt_status lgt_output_finish(lgt_output *output, lgt_status status, lgt_error *err);

/* Writes all of it to a descriptor, however often the system takes only a part. */
lgt_status lgt_descriptor_write(int fd, const char *path, const void *bytes, size_t length, lgt_error *err);
/* fsync, where the kind of file knows it. */
lgt_status lgt_descriptor_sync(int fd, const char *path, lgt_error *err);

/* IO: "PATH: cannot OPERATION: what errno says". */
lgt_status lgt_fail_system(lgt_error *err, const char *path, const char *operation);

#endif
