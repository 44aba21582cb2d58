/* analysis.json: what a report shows of a model beside its training. */
#ifndef LGT_CLI_ANALYSIS_FILE_H
#define LGT_CLI_ANALYSIS_FILE_H

#include "probe.h"

/* Measures the model through the probe and writes the file (docs/formats.md). A measure that the rows do not allow,
 * such as verification without a genuine pair, is left out. conflict: the last epoch's. */
lgt_status cli_analysis_write(cli_probe *probe, lgt_model *model, const lgt_conflict *conflict, const char *path,
                              lgt_error *err);

#endif
