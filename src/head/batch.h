/* From what a caller hands over to what an engine runs: checked, weighed, the loss's state moved. */
#ifndef LGT_HEAD_BATCH_H
#define LGT_HEAD_BATCH_H

#include "head/plan.h"

/* Checks the inputs and fills the batch; *weight = sum a_i over the used rows. `need_upstream`: gradients are wanted.
 * Errors: USAGE, DATA. */
lgt_status lgt_batch_prepare(lgt_plan *plan, const lgt_head_inputs *in, int need_upstream, lgt_batch *batch,
                             double *weight, lgt_error *err);

#endif
