/* The answer of plan: a JSON object, and the same as text. */
#ifndef LGT_CLI_PLAN_REPORT_H
#define LGT_CLI_PLAN_REPORT_H

#include "logitude/scaling.h"
#include "output.h"

lgt_status cli_plan_report(const cli_args *args, const lgt_job *job, const lgt_machine *machine, json_t **out,
                           lgt_error *err);
void cli_plan_print(const json_t *report);

#endif
