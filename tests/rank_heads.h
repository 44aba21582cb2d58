/* One random head problem on all ranks of a group. */
#ifndef LGT_TESTS_RANK_HEADS_H
#define LGT_TESTS_RANK_HEADS_H

#include "heads.h"
#include "ranks.h"

enum { TEST_MOST_RANKS = 20 };

/* What every rank does with one head, and what came of it. */
typedef struct test_rank_job {
    const test_head *head;
    lgt_dtype dtype;
    const test_vectors *along; /* not NULL: a Hessian-vector product */
    int n_threads;             /* of a rank; 0: one and two in turn */
    int adder;                 /* a rank, from 1, whose gradients are added to zeros, or 0 */
    test_result results[TEST_MOST_RANKS];
    test_vectors products[TEST_MOST_RANKS];
    lgt_status statuses[TEST_MOST_RANKS];
    lgt_error errors[TEST_MOST_RANKS];
    int64_t first[TEST_MOST_RANKS + 1]; /* row of w of each rank */
} test_rank_job;

/* A test_rank, of a test_rank_job. */
void test_rank_run(void *argument, const lgt_comm *comm);

/* Fills `first` for so many ranks. */
void test_rank_shards(test_rank_job *job, int size);

/* Runs it on all ranks of a group; fails the test unless all are OK. */
void test_rank_run_all(test_rank_job *job, int size);

/* What each rank has for its own rows of w and its own classes, as one: w and, where there is a bias, b. */
void test_rank_join(const test_rank_job *job, int size, double *w, double *b);

void test_rank_free(test_rank_job *job, int size);

#endif
