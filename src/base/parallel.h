/* The only door to threads. Results may depend on the task index, never on the worker or on their number. */
#ifndef LGT_BASE_PARALLEL_H
#define LGT_BASE_PARALLEL_H

#include <stdint.h>

#include "logitude/context.h"

/* One task. `worker` is in [0, lgt_context_threads): no two tasks with the same worker run at once, so it picks scratch
 * memory. */
typedef void (*lgt_task)(void *argument, int64_t index, int worker);

/* Runs task(argument, i, worker) for every i in [0, n_tasks), in no stated order, and returns when all are done.
 * Not to be called from inside a task. */
void lgt_parallel_for(lgt_context *context, int64_t n_tasks, lgt_task task, void *argument);

/* *least = value where that is smaller; tasks may do so at the same time. */
void lgt_keep_least(_Atomic int64_t *least, int64_t value);

#endif
