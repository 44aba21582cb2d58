/* Task-parallel loops over the context's pthreadpool. */
#include "base/parallel.h"

#include <pthreadpool.h>
#include <stdatomic.h>

#include "base/context.h"
#include "base/sizes.h"

typedef struct loop {
    lgt_task task;
    void *argument;
    int64_t n_tasks;
    _Atomic int64_t next;
} loop;

/* A worker takes the next task until none is left, so that uneven tasks balance and its index can name scratch. */
static void drain(void *argument, size_t worker) {
    loop *l = argument;
    for (;;) {
        int64_t index = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);
        if (index >= l->n_tasks) return;
        l->task(l->argument, index, (int)worker);
    }
}

static struct pthreadpool *pool_of(lgt_context *context) {
    if (!context->pool_tried && context->threads > 1) {
        context->pool = pthreadpool_create((size_t)context->threads);
        context->pool_tried = 1;
    }
    return context->pool;
}

void lgt_parallel_for(lgt_context *context, int64_t n_tasks, lgt_task task, void *argument) {
    loop l = {.task = task, .argument = argument, .n_tasks = n_tasks};
    int64_t workers = lgt_min64(context->threads, n_tasks);
    struct pthreadpool *pool = workers > 1 ? pool_of(context) : NULL;
    atomic_init(&l.next, 0);
    /* Workers sleep between loops: on a busy machine spinning ones take the processor from the thread they wait for,
     * and a training step takes two to five times as long. */
    if (pool)
        pthreadpool_parallelize_1d(pool, drain, &l, (size_t)workers, PTHREADPOOL_FLAG_YIELD_WORKERS);
    else
        drain(&l, 0);
}

void lgt_keep_least(_Atomic int64_t *least, int64_t value) {
    int64_t now = atomic_load_explicit(least, memory_order_relaxed);
    while (value < now &&
           !atomic_compare_exchange_weak_explicit(least, &now, value, memory_order_relaxed, memory_order_relaxed)) {
    }
}
