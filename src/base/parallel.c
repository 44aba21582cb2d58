/* Task-parallel loops over the context's pthreadpool. */
#define _DEFAULT_SOURCE /* syscall */
#include "base/parallel.h"

#include <pthread.h>
#include <pthreadpool.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* --- How many threads there are to have --- */

typedef struct trial {
    pthread_mutex_t gate; /* closed until all have started */
    _Atomic int n_ids;
    _Atomic long ids[LGT_MOST_THREADS];
} trial;

static void *wait_at_gate(void *argument) {
    trial *t = argument;
#if defined(SYS_gettid)
    atomic_store(&t->ids[atomic_fetch_add(&t->n_ids, 1)], syscall(SYS_gettid));
#endif
    pthread_mutex_lock(&t->gate);
    pthread_mutex_unlock(&t->gate);
    return NULL;
}

/* A thread that was joined still counts for a moment against the limits of processes: until nobody knows its number. */
static void wait_until_gone(trial *t) {
    enum { MOST_WAITS = 10000 };
    (void)t;
#if defined(SYS_gettid) && defined(SYS_tgkill)
    for (int i = 0, waits = 0; i < t->n_ids; i++)
        while (syscall(SYS_tgkill, (long)getpid(), t->ids[i], 0) == 0 && waits++ < MOST_WAITS) sched_yield();
#endif
}

/* Of so many threads those that the system gives at once. */
static int try_threads(int wanted) {
    trial t = {.n_ids = 0};
    pthread_t started[LGT_MOST_THREADS];
    int n = 0;
    if (pthread_mutex_init(&t.gate, NULL)) return 0;
    pthread_mutex_lock(&t.gate);
    while (n < wanted && !pthread_create(&started[n], NULL, wait_at_gate, &t)) n++;
    pthread_mutex_unlock(&t.gate);
    for (int i = 0; i < n; i++) pthread_join(started[i], NULL);
    pthread_mutex_destroy(&t.gate);
    wait_until_gone(&t);
    return n;
}

/* pthreadpool waits for ever for a worker that could not start, so it is asked for no more than did start a moment ago;
 * and where some are refused for half of these, since others may start threads in that moment (if they take more than
 * was left it still waits), and stacks should leave memory for the work. */
static struct pthreadpool *pool_of(lgt_context *context) {
    if (!context->pool_tried && context->threads > 1) {
        int others = context->threads - 1, found = try_threads(others);
        if (found < others) found /= 2;
        if (found > 0) context->pool = pthreadpool_create((size_t)found + 1);
        context->pool_tried = 1;
    }
    return context->pool;
}

/* --- Loops --- */

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
