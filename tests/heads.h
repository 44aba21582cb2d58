/* Random head problems for tests, run by any engine in any type. */
#ifndef LGT_TESTS_HEADS_H
#define LGT_TESTS_HEADS_H

#include "logitude/head.h"
#include "support.h"

/* Inputs in double; float32 runs see them rounded. Free with test_head_free. */
typedef struct test_head {
    lgt_loss loss;
    int64_t n_rows, dim, n_classes, w_rows; /* w_rows = n_classes * centres */
    int bias;
    double *x, *w, *b;
    int64_t *labels;
    double *sample_weights, *class_weights, *upstream; /* NULL: not given */
    double *soft_targets, *class_margins, *class_scales, *qualities, *state;
    int frozen;
    int64_t step;
    int accumulate; /* gradients are added to zeros */
    lgt_plan_options options;
} test_head;

/* A direction and, as the result of a Hessian-vector product, what H makes of it: as x, w and b. */
typedef struct test_vectors {
    double *x, *w, *b;
} test_vectors;

/* What a run gives, in double. */
typedef struct test_result {
    double *dx, *dw, *db, *loss_rows, *lse;
    int64_t *top1;
    lgt_head_outputs out;
} test_result;

/* Normal features and weights, uniform labels; a bias where the loss has one. */
test_head test_head_random(const char *spec, int64_t n_rows, int64_t dim, int64_t n_classes, uint64_t seed);
void test_head_free(test_head *head);

/* n numbers |normal|, every fifth of them 0: weights. */
double *test_weights(int64_t n, uint64_t seed);
/* Rows of targets in 1/1024ths, which sum to 1 in either type; some are 0. */
void test_head_soften(test_head *head, uint64_t seed);
/* A margin and a scale for every class, around the loss's own and within bounds, where the loss has the role. */
void test_head_margins(test_head *head, uint64_t seed);
void test_head_scales(test_head *head, uint64_t seed);

/* Rounds x, w and b to float32, so that both types see the same numbers. */
void test_head_round(test_head *head);

/* Runs; fails the test unless the status is OK. */
test_result test_head_run(lgt_context *context, const test_head *head, lgt_engine engine, lgt_dtype dtype);
/* The same with any outcome; result is to be freed in either case. */
lgt_status test_head_try(lgt_context *context, const test_head *head, lgt_engine engine, lgt_dtype dtype,
                         test_result *result, lgt_error *err);
void test_result_free(test_result *result);
/* An empty result of the problem's shape. */
test_result test_result_empty(const test_head *head);

/* A normal direction; all zero without a seed. */
test_vectors test_vectors_of(const test_head *head, uint64_t seed);
void test_vectors_free(test_vectors *vectors);
/* out = H along; as test_head_run and test_head_try, with second_order set. `along` may hold NULLs: not given. */
test_vectors test_head_hvp(lgt_context *context, const test_head *head, lgt_engine engine, lgt_dtype dtype,
                           const test_vectors *along);
lgt_status test_head_try_hvp(lgt_context *context, const test_head *head, lgt_engine engine, lgt_dtype dtype,
                             const test_vectors *along, test_vectors *out, lgt_error *err);

/* The largest error of three arrays like x, w and b, each relative to its largest entry, or to a tenth of the largest
 * of all: the few terms of a small problem may cancel in one of them, and data of size 1 give all three one size. */
double test_vectors_error(const test_head *head, const test_vectors *found, const test_vectors *expected);
/* The gradients of a result. */
test_vectors test_result_vectors(const test_result *result);

/* The largest of the relative errors of dx, dw and db. */
double test_result_error(const test_head *head, const test_result *found, const test_result *expected);

/* Whether all numbers of two results are the same to the bit. */
int test_result_same(const test_head *head, const test_result *a, const test_result *b);

/* Whether every number is finite. */
int test_result_finite(const test_head *head, const test_result *result);

/* Whether the loss has a parameter of that role. */
int test_head_has(const test_head *head, lgt_param_role role);
/* The value of a parameter of the loss. */
double test_head_value(const test_head *head, const char *key);

/* Every loss with defaults, and the settings that take other branches: a table ended by NULL. */
extern const char *const test_specs[];

#endif
