/* The planner of lint: schedule and scale for a training of --steps. */
#ifndef LGT_CLI_LINT_PLAN_H
#define LGT_CLI_LINT_PLAN_H

#include <jansson.h>

#include "logitude/logitude.h"
#include "options.h"

/* Reviews and proposes schedules by --steps, --dim and --target, and the scale by --classes and --probability. *out is
 * the member `plan` of the report. */
lgt_status cli_lint_plan(const cli_args *args, const lgt_loss *loss, json_t **out, lgt_error *err);
void cli_lint_plan_print(const json_t *plan);

#endif
