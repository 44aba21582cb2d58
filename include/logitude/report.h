/* Reports: what runs have left behind, as one HTML file that needs nothing else. */
#ifndef LOGITUDE_REPORT_H
#define LOGITUDE_REPORT_H

#include <stdint.h>

#include "context.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One run by the texts of its files; each may be NULL: what is not there is not shown. */
typedef struct lgt_report_run {
    const char *name;     /* what the run is called; must be given */
    const char *run;      /* run.json */
    const char *metrics;  /* metrics.jsonl; a last line that is cut off is passed over */
    const char *analysis; /* analysis.json (docs/formats.md) */
    const char *folder;   /* where messages say that they are; NULL: the name */
} lgt_report_run;

#define LGT_REPORT_MOST_RUNS 32

/* Writes the page of one run, or of several over one another: charts, tables and the numbers behind them, no network,
 * no file beside it. Series of more than 2,000 points keep the extremes of each stretch (fewer points a run where there
 * are more than four), so that the page stays below 2 MB however long the training was. The same texts give the same
 * bytes. Errors: USAGE (no run, more than LGT_REPORT_MOST_RUNS, no name), DATA (a text that is not JSON, as
 * folder/file:line), IO, MEMORY. */
LGT_API lgt_status lgt_report_write(lgt_context *context, const lgt_report_run *runs, int64_t n_runs, const char *path,
                                    lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
