/* The inside of a plan, for head/ and for analyses that look into single rows. */
#ifndef LGT_HEAD_PLAN_H
#define LGT_HEAD_PLAN_H

#include "engine/target.h"
#include "head/head.h"
#include "head/target_rows.h"

struct lgt_plan {
    const lgt_head *head;
    lgt_problem problem;
    const lgt_engine_vtable *engine;
    void *state; /* of the engine */
    int64_t bytes;
    int64_t *target, *top1;           /* (max_rows) */
    int64_t *position;                /* (max_rows) in the list of classes; only where runs may list them */
    double *coefficient, *loss, *lse; /* (max_rows) */
    double *vectors;                  /* (4, dim): behind the rays; only for losses with a state */
    lgt_ray x, w;
    lgt_target_rows target_rows; /* only with a communicator */
};

#endif
