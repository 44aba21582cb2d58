/* What a page shows, as one JSON text. */
#ifndef LGT_REPORT_RECORD_H
#define LGT_REPORT_RECORD_H

#include <stddef.h>

#include "logitude/report.h"

/* *out: {"schema", "runs": [{"name", "run", "steps", "epochs", "failure", "analysis"}]}, where steps and epochs hold a
 * series {"x": [], "y": []} for every number of the lines of that kind. Plain ASCII without '<', '>' and '&': it can
 * end no script element and begin no comment. To be released. Errors: those of lgt_report_write but IO. */
lgt_status lgt_record_text(lgt_context *context, const lgt_report_run *runs, int64_t n_runs, char **out, size_t *length,
                           lgt_error *err);

#endif
