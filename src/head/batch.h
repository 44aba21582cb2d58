/* From what a caller hands over to what an engine runs: checked, weighed, the loss's state moved. */
#ifndef LGT_HEAD_BATCH_H
#define LGT_HEAD_BATCH_H

#include "head/plan.h"

/* Checks the inputs and fills the batch but for what lgt_batch_begin adds; *weight = sum a_i over the used rows.
 * `need_upstream`: gradients are wanted. Errors: USAGE, DATA. */
lgt_status lgt_batch_prepare(lgt_plan *plan, const lgt_head_inputs *in, int need_upstream, lgt_batch *batch,
                             double *weight, lgt_error *err);

/* The checks are done, with this status on this rank: where it is OK on all, the targets of the batch are brought from
 * other ranks and the loss's state moves. Errors: the status, or that of another rank; COMM. */
lgt_status lgt_batch_begin(lgt_plan *plan, const lgt_head_inputs *in, lgt_status checked, lgt_batch *batch,
                           lgt_error *err);

#endif
