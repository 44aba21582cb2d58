/* Parallel loops: every task once, workers never doubled, short loops in a row, more threads than processors, and fewer
 * where the system refuses some. */
#define _DEFAULT_SOURCE /* setgroups */
#include "support.h"

#include <grp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parallel.h"

enum { MAX_THREADS = 64, MAX_TASKS = 3000 };

typedef struct counts {
    int n_threads;
    _Atomic int runs[MAX_TASKS];
    _Atomic int busy[MAX_THREADS];
    _Atomic int faults;
} counts;

static void count_task(void *argument, int64_t index, int worker) {
    counts *c = argument;
    if (worker < 0 || worker >= c->n_threads || index < 0 || index >= MAX_TASKS) {
        c->faults++;
        return;
    }
    if (c->busy[worker]++) c->faults++;
    c->runs[index]++;
    c->busy[worker]--;
}

static void every_task_runs_once_and_no_worker_runs_two_at_once(void **state) {
    static const int threads[] = {1, 2, 3, 8, MAX_THREADS};
    static const int64_t tasks[] = {0, 1, 2, 3, 64, MAX_TASKS};
    static counts c;
    (void)state;
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        lgt_context *context = test_context(threads[t]);
        for (size_t k = 0; k < sizeof tasks / sizeof *tasks; k++) {
            memset(&c, 0, sizeof c);
            c.n_threads = threads[t];
            for (int repeat = 0; repeat < 20; repeat++) lgt_parallel_for(context, tasks[k], count_task, &c);
            assert_int_equal(c.faults, 0);
            for (int64_t i = 0; i < MAX_TASKS; i++) assert_int_equal(c.runs[i], i < tasks[k] ? 20 : 0);
        }
        lgt_context_free(context);
    }
}

typedef struct sum {
    int64_t values[8], total;
} sum;

static void set_value(void *argument, int64_t index, int worker) {
    (void)worker;
    ((sum *)argument)->values[index] = index + ((sum *)argument)->total % 7;
}

/* Thousands of loops of a few instructions: a worker that comes late meets the next loop, or none. */
static void short_loops_in_a_row_see_each_others_results(void **state) {
    lgt_context *context = test_context(4);
    sum s = {{0}, 0};
    int64_t expected = 0;
    (void)state;
    for (int i = 0; i < 2000; i++) {
        int64_t n = 2 + i % 7;
        lgt_parallel_for(context, n, set_value, &s);
        expected += n * (n - 1) / 2 + n * (expected % 7);
        for (int64_t k = 0, before = s.total; k < n; k++) {
            assert_true(s.values[k] == k + before % 7);
            s.total += s.values[k];
        }
        assert_true(s.total == expected);
    }
    lgt_context_free(context);
}

static void contexts_start_and_stop_without_work_or_after_it(void **state) {
    static counts c;
    (void)state;
    c.n_threads = 3;
    for (int i = 0; i < 50; i++) {
        lgt_context *idle = test_context(3), *busy = test_context(3);
        lgt_parallel_for(busy, 3, count_task, &c);
        lgt_context_free(busy);
        lgt_context_free(idle);
    }
    assert_int_equal(c.faults, 0);
    assert_int_equal(c.runs[2], 50);
}

/* --- Where threads are refused --- */

enum { SEVERAL = 24, NO_LIMIT = 77, WORKS_WITHIN = 60, STRANGER = 54321, STACK = 8 << 20 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { HAS_SHADOW = 1 }; /* beyond any limit of memory */
#else
enum { HAS_SHADOW = 0 };
#endif

static void *wait_for(void *gate) {
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* How many of several threads the system gives at once. */
static int threads_to_have(void) {
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t found[SEVERAL];
    int n = 0;
    pthread_mutex_lock(&gate);
    while (n < SEVERAL && !pthread_create(&found[n], NULL, wait_for, &gate)) n++;
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < n; i++) pthread_join(found[i], NULL);
    return n;
}

/* Counts processes and threads of a user that has no others; the superuser is free of it. */
static int limit_number(rlim_t most) {
    const struct rlimit limit = {most, most};
    return !setgroups(0, NULL) && !setgid(STRANGER) && !setuid(STRANGER) && !setrlimit(RLIMIT_NPROC, &limit);
}

/* Room for so many stacks more. */
static int limit_space(rlim_t stacks) {
    unsigned long long pages = 0;
    const struct rlimit stack = {STACK, STACK};
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%llu", &pages) != 1) pages = 0;
    if (file) fclose(file);
    rlim_t most = pages * (rlim_t)sysconf(_SC_PAGESIZE) + stacks * (STACK + 65536) + STACK / 2;
    return pages && !setrlimit(RLIMIT_STACK, &stack) && !setrlimit(RLIMIT_AS, &(struct rlimit){most, most});
}

/* In a process of its own, which an alarm ends: the work of several threads by as many as there are. */
static int work_within(int (*limit)(rlim_t), rlim_t most) {
    static counts c;
    alarm(WORKS_WITHIN);
    lgt_context *context = test_context(SEVERAL);
    if (!limit(most)) return NO_LIMIT;
    c.n_threads = SEVERAL;
    for (int repeat = 0; repeat < 20; repeat++) lgt_parallel_for(context, MAX_TASKS, count_task, &c);
    for (int i = 0; i < MAX_TASKS; i++) c.faults += c.runs[i] != 20;
    lgt_context_free(context);
    if (c.faults) return 1;
    return threads_to_have() == SEVERAL ? NO_LIMIT : 0;
}

static void check_refusals(const char *what, int (*limit)(rlim_t), rlim_t least, rlim_t most) {
    for (rlim_t n = least; n <= most; n++) {
        int how = 0;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) _exit(work_within(limit, n));
        assert_int_equal(waitpid(child, &how, 0), child);
        if (WIFEXITED(how) && WEXITSTATUS(how) == NO_LIMIT) {
            print_message("skipped: %s does not keep threads from this process\n", what);
            return;
        }
        assert_true(WIFEXITED(how));
        assert_int_equal(WEXITSTATUS(how), 0);
    }
}

static void where_threads_are_refused_fewer_do_the_same_work(void **state) {
    (void)state;
    check_refusals("a limit of processes", limit_number, 1, 9);
    if (!HAS_SHADOW) check_refusals("a limit of memory", limit_space, 0, 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once_and_no_worker_runs_two_at_once),
        cmocka_unit_test(short_loops_in_a_row_see_each_others_results),
        cmocka_unit_test(contexts_start_and_stop_without_work_or_after_it),
        cmocka_unit_test(where_threads_are_refused_fewer_do_the_same_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
