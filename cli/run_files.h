/* Reading the files of a run folder back. */
#ifndef LGT_CLI_RUN_FILES_H
#define LGT_CLI_RUN_FILES_H

#include "logitude/report.h"

/* The texts of run.json, metrics.jsonl and analysis.json in a folder, each NULL where the file is not there; the name
 * is the folder's last part. Fails with IO for what is no folder, holds none of the files, or cannot be read. To be
 * freed in any case. */
lgt_status cli_run_files_read(const char *folder, lgt_report_run *out, lgt_error *err);
/* Gives the run another name. */
void cli_run_name(lgt_report_run *run, const char *name);
void cli_run_files_free(lgt_report_run *run);

#endif
