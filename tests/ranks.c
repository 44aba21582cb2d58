/* One thread a rank. */
#include "ranks.h"

#include <pthread.h>

#include "support.h"

enum { MOST = 64 };

typedef struct job {
    test_rank body;
    void *argument;
    const lgt_comm *comm;
} job;

static void *run_job(void *user) {
    const job *j = user;
    j->body(j->argument, j->comm);
    return NULL;
}

lgt_comm_group *test_group(int size, double timeout, lgt_comm *comms) {
    lgt_comm_group *group = NULL;
    lgt_error err;
    assert_ok(lgt_comm_group_create(size, timeout, &group, comms, &err), err);
    return group;
}

void test_run_ranks(const lgt_comm *comms, int size, test_rank body, void *argument) {
    job jobs[MOST];
    pthread_t threads[MOST];
    assert_in_range(size, 1, MOST);
    for (int r = 0; r < size; r++) {
        jobs[r] = (job){body, argument, &comms[r]};
        assert_int_equal(pthread_create(&threads[r], NULL, run_job, &jobs[r]), 0);
    }
    for (int r = 0; r < size; r++) assert_int_equal(pthread_join(threads[r], NULL), 0);
}

void test_on_ranks(int size, double timeout, test_rank body, void *argument) {
    lgt_comm comms[MOST];
    assert_in_range(size, 1, MOST);
    lgt_comm_group *group = test_group(size, timeout, comms);
    test_run_ranks(comms, size, body, argument);
    lgt_comm_group_free(group);
}
