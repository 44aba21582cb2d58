/* Status codes and the caller-owned error record of every fallible call. */
#ifndef LOGITUDE_STATUS_H
#define LOGITUDE_STATUS_H

#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Pinned and append-only. The command line exits with the same numbers, except that UNSUPPORTED exits as USAGE and
 * INTERRUPTED as 130. */
typedef enum lgt_status {
    LGT_OK = 0,
    LGT_ERR_INTERNAL = 1,    /* a defect of the library */
    LGT_ERR_USAGE = 2,       /* an argument, option or specification is wrong */
    LGT_ERR_DATA = 3,        /* input data are malformed, mismatched or not finite */
    LGT_ERR_NONFINITE = 4,   /* a computation left the range of its type, or a training diverged */
    LGT_ERR_IO = 5,          /* the operating system refused to read or write */
    LGT_ERR_MEMORY = 6,      /* an allocation failed or a limit was reached */
    LGT_ERR_CHECK = 7,       /* a check ran and found a defect */
    LGT_ERR_UNSUPPORTED = 8, /* a valid request that this engine or build does not serve */
    LGT_ERR_INTERRUPTED = 9, /* the caller's callback asked to stop */
    LGT_ERR_COMM = 10        /* another rank of a shared computation failed, or did not answer */
} lgt_status;

/* Caller-owned. Pass NULL to any call when the text is not wanted. The message carries the values at fault, for
 * example "w is (1000, 512) but the head has dim 256"; it is empty after a success. */
typedef struct lgt_error {
    lgt_status status;
    char message[508];
} lgt_error;

/* The short lower-case name of a status ("data", "io", ...); "unknown" for a number outside the list. */
LGT_API const char *lgt_status_name(lgt_status status);

#ifdef __cplusplus
}
#endif

#endif
