/* The cost of a step for jobs and machines that have been checked. */
#ifndef LGT_ANALYSIS_COST_MODEL_H
#define LGT_ANALYSIS_COST_MODEL_H

#include "logitude/scaling.h"

/* Beyond any of these a plan is no plan. */
#define LGT_PLANNED_CLASSES ((int64_t)1 << 53)
#define LGT_PLANNED_ROWS    ((int64_t)1 << 40)
#define LGT_PLANNED_RANKS   65536
#define LGT_PLANNED_THREADS 65536

lgt_status lgt_cost_check(const lgt_job *job, const lgt_machine *machine, lgt_error *err);
lgt_cost lgt_cost_known(const lgt_job *job, const lgt_machine *machine);

#endif
