/* Random head problems for tests, run by any engine in any type. */
#ifndef LGT_TESTS_HEADS_H
#define LGT_TESTS_HEADS_H

#include "logitude/head.h"
#include "support.h"

/* Inputs in double; float32 runs see them rounded. Free with test_head_free. */
typedef struct test_head {
    lgt_loss loss;
    int64_t n_rows, dim, n_classes;
    int bias;
    double *x, *w, *b;
    int64_t *labels;
    double *sample_weights, *class_weights, *upstream; /* NULL: not given */
    int64_t step;
    lgt_plan_options options;
} test_head;

/* What a run gives, in double. */
typedef struct test_result {
    double *dx, *dw, *db, *loss_rows, *lse;
    int64_t *top1;
    lgt_head_outputs out;
} test_result;

/* Normal features and weights, uniform labels; a bias where the loss has one. */
test_head test_head_random(const char *spec, int64_t n_rows, int64_t dim, int64_t n_classes, uint64_t seed);
void test_head_free(test_head *head);

/* Rounds x, w and b to float32, so that both types see the same numbers. */
void test_head_round(test_head *head);

/* Runs; fails the test unless the status is OK. */
test_result test_head_run(lgt_context *context, const test_head *head, lgt_engine engine, lgt_dtype dtype);
/* The same with any outcome; result is to be freed in either case. */
lgt_status test_head_try(lgt_context *context, const test_head *head, lgt_engine engine, lgt_dtype dtype,
                         test_result *result, lgt_error *err);
void test_result_free(test_result *result);

/* The largest of the relative errors of dx, dw and db. */
double test_result_error(const test_head *head, const test_result *found, const test_result *expected);

/* Whether all numbers of two results are the same to the bit. */
int test_result_same(const test_head *head, const test_result *a, const test_result *b);

/* Whether every number is finite. */
int test_result_finite(const test_head *head, const test_result *result);

/* Every loss with defaults, and the settings that take other branches: a table ended by NULL. */
extern const char *const test_specs[];

#endif
