/* The page of a record. */
#ifndef LGT_REPORT_PAGE_H
#define LGT_REPORT_PAGE_H

#include <stddef.h>

#include "logitude/context.h"

/* *out (to be released) is the page that shows a record (record.h). Its policy allows the style and the two scripts by
 * their hashes, and nothing else. Errors: MEMORY. */
lgt_status lgt_page_text(lgt_context *context, const char *title, const char *record, size_t record_length, char **out,
                         size_t *length, lgt_error *err);

#endif
