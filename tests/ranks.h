/* Runs one function on the threads of a group, one a rank: how tests make several ranks in one process. */
#ifndef LGT_TESTS_RANKS_H
#define LGT_TESTS_RANKS_H

#include "logitude/comm.h"

/* No assertion of cmocka may fail in it: that is for the thread that called test_on_ranks. */
typedef void (*test_rank)(void *argument, const lgt_comm *comm);

/* A group of that many ranks; fails the test on error. comms: room for `size`. */
lgt_comm_group *test_group(int size, double timeout, lgt_comm *comms);

/* Runs `body` on every rank of these and waits for all to end. */
void test_run_ranks(const lgt_comm *comms, int size, test_rank body, void *argument);

/* Both, in a group of its own. */
void test_on_ranks(int size, double timeout, test_rank body, void *argument);

#endif
