/* Task-parallel loops over the context's threads.
 *
 * Two rules keep short loops fast on a busy machine, where a thread may not get a processor for milliseconds: the
 * caller works as well and waits only for workers that hold a task, never for one that has not woken up yet; and
 * whoever waits spins for some microseconds and then sleeps, so that its processor is free for the one it waits for. */
#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/compiler.h"
#include "base/context.h"
#include "base/memory.h"
#include "base/sizes.h"

/* About 50 microseconds on a 2020s processor: the gap between two loops of a training step. */
enum { SPINS = 1000 };

typedef struct seat {
    struct lgt_pool *pool;
    pthread_t thread;
    int worker;
} seat;

/* A loop is written while `open` is 0 and nobody is active. A worker counts itself active before it looks at `open`,
 * the caller closes before it looks at `active`, so one of them always sees the other (both sequentially consistent).
 */
struct lgt_pool {
    lgt_task task;
    void *argument;
    int64_t n_tasks;
    _Atomic int64_t next;
    _Atomic int open, active, stop;
    _Atomic uint64_t generation;     /* counts loops: the sign to look at `open` */
    _Atomic int n_sleepers, waiting; /* workers asleep, the caller asleep */
    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    int n_seats;
    seat seats[];
};

/* Takes the next task until none is left, so that uneven tasks balance. */
static void drain(struct lgt_pool *p, int worker) {
    for (;;) {
        int64_t index = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (index >= p->n_tasks) return;
        p->task(p->argument, index, worker);
    }
}

static void await_loop(struct lgt_pool *p, uint64_t seen) {
    for (int i = 0; i < SPINS; i++) {
        if (p->generation != seen) return;
        LGT_PAUSE();
    }
    pthread_mutex_lock(&p->mutex);
    p->n_sleepers++;
    while (p->generation == seen) pthread_cond_wait(&p->work, &p->mutex);
    p->n_sleepers--;
    pthread_mutex_unlock(&p->mutex);
}

static void *serve(void *argument) {
    const seat *s = argument;
    struct lgt_pool *p = s->pool;
    uint64_t seen = 0;
    for (;;) {
        await_loop(p, seen);
        seen = p->generation;
        if (p->stop) return NULL;
        p->active++;
        if (p->open) drain(p, s->worker);
        if (--p->active == 0 && p->waiting) {
            pthread_mutex_lock(&p->mutex);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->mutex);
        }
    }
}

static void announce(struct lgt_pool *p) {
    p->generation++;
    if (p->n_sleepers == 0) return;
    pthread_mutex_lock(&p->mutex);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mutex);
}

static void await_workers(struct lgt_pool *p) {
    for (int i = 0; i < SPINS; i++) {
        if (p->active == 0) return;
        LGT_PAUSE();
    }
    pthread_mutex_lock(&p->mutex);
    p->waiting = 1;
    while (p->active) pthread_cond_wait(&p->done, &p->mutex);
    p->waiting = 0;
    pthread_mutex_unlock(&p->mutex);
}

/* Fewer threads than wanted when the system refuses some; NULL when it refuses memory. */
static struct lgt_pool *start(lgt_context *context) {
    struct lgt_pool *p = NULL;
    int64_t bytes = (int64_t)sizeof *p + (context->threads - 1) * (int64_t)sizeof(seat);
    if (lgt_alloc_zero(context, bytes, 1, &p, NULL)) return NULL;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->done, NULL);
    for (; p->n_seats < context->threads - 1; p->n_seats++) {
        seat *s = &p->seats[p->n_seats];
        s->pool = p;
        s->worker = p->n_seats + 1;
        if (pthread_create(&s->thread, NULL, serve, s)) break;
    }
    return p;
}

static struct lgt_pool *pool_of(lgt_context *context) {
    if (!context->pool_tried) context->pool = start(context);
    context->pool_tried = 1;
    return context->pool;
}

void lgt_parallel_stop(lgt_context *context) {
    struct lgt_pool *p = context->pool;
    if (!p) return;
    p->stop = 1;
    announce(p);
    for (int i = 0; i < p->n_seats; i++) pthread_join(p->seats[i].thread, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->mutex);
    lgt_release(context, p);
    context->pool = NULL;
}

void lgt_parallel_for(lgt_context *context, int64_t n_tasks, lgt_task task, void *argument) {
    struct lgt_pool *p = lgt_min64(context->threads, n_tasks) > 1 ? pool_of(context) : NULL;
    if (!p) {
        for (int64_t i = 0; i < n_tasks; i++) task(argument, i, 0);
        return;
    }
    p->task = task;
    p->argument = argument;
    p->n_tasks = n_tasks;
    p->next = 0;
    p->open = 1;
    announce(p);
    drain(p, 0);
    p->open = 0;
    await_workers(p);
}
