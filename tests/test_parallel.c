/* Parallel loops: every task once, workers never doubled, short loops in a row, more threads than processors. */
#include "support.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once_and_no_worker_runs_two_at_once),
        cmocka_unit_test(short_loops_in_a_row_see_each_others_results),
        cmocka_unit_test(contexts_start_and_stop_without_work_or_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
