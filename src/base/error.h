/* How library code reports a failure: `return lgt_fail(err, LGT_ERR_DATA, "%s: ...", ...)`. */
#ifndef LGT_BASE_ERROR_H
#define LGT_BASE_ERROR_H

#include "base/compiler.h"
#include "logitude/status.h"

/* Records status and text in err (NULL allowed) and returns the status. Long texts are cut. */
lgt_status lgt_fail(lgt_error *err, lgt_status status, const char *format, ...) LGT_PRINTF(3, 4);

/* Puts text in front of the message that err already carries and returns its status. */
lgt_status lgt_fail_within(lgt_error *err, lgt_status status, const char *format, ...) LGT_PRINTF(3, 4);

/* Empties err (NULL allowed) and returns LGT_OK. */
lgt_status lgt_succeed(lgt_error *err);

#endif
