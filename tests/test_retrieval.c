/* Retrieval against ranks counted one by one. */
#include "logitude/eval.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "eval_cases.h"

static const eval_case cases[] = {
    {"two rows of one class", 2, 3, 1, GAUSS, 2},
    {"three rows", 3, 2, 2, GAUSS, 3},
    {"one class", 9, 4, 1, GAUSS, 4},
    {"lone queries", 40, 5, 30, GAUSS, 5},
    {"a panel and one", 97, 8, 5, GAUSS, 6},
    {"more classes", 200, 6, 20, GAUSS, 7},
    {"ties", 90, 4, 6, LATTICE, 8},
    {"ties and zero rows", 90, 4, 6, HOLES, 9},
    {"all rows zero", 30, 3, 4, ZERO, 10},
};

/* The place of `row` in the ranking of `query`, from 1. */
static int64_t rank_of(const float *score, int64_t n, int64_t query, int64_t row) {
    int64_t rank = 1;
    for (int64_t other = 0; other < n; other++)
        if (other != query) rank += score[other] > score[row] || (score[other] == score[row] && other < row);
    return rank;
}

static lgt_retrieval oracle(const eval_case *c, const eval_set *set) {
    int64_t n = c->n_rows;
    lgt_retrieval out = {0};
    int *matches = malloc((size_t)(n + 1) * sizeof *matches);
    assert_non_null(matches);
    for (int64_t query = 0; query < n; query++) {
        int64_t r = 0, hits = 0, first = n;
        double precision = 0;
        memset(matches, 0, (size_t)(n + 1) * sizeof *matches);
        for (int64_t row = 0; row < n; row++)
            if (row != query && set->labels[row] == set->labels[query]) {
                matches[rank_of(set->scores + query * n, n, query, row)] = 1;
                r++;
            }
        for (int64_t rank = n - 1; rank >= 1; rank--)
            if (matches[rank]) first = rank;
        for (int64_t rank = 1; rank <= r; rank++) {
            hits += matches[rank];
            if (matches[rank]) precision += (double)hits / (double)rank;
        }
        *(r > 0 ? &out.n_queries : &out.n_lone) += 1;
        out.recall_at_1 += r > 0 && first <= 1;
        out.recall_at_5 += r > 0 && first <= 5;
        out.map_at_r += r > 0 ? precision / (double)r : 0;
    }
    out.recall_at_1 /= (double)out.n_queries;
    out.recall_at_5 /= (double)out.n_queries;
    out.map_at_r /= (double)out.n_queries;
    free(matches);
    return out;
}

static lgt_retrieval measure(int threads, const eval_case *c, const eval_set *set) {
    lgt_context *context = test_context(threads);
    lgt_retrieval out;
    lgt_error err;
    memset(&out, 0, sizeof out);
    assert_ok(lgt_eval_retrieval(context, lgt_view_of(set->x, c->n_rows, c->dim, LGT_F32), set->labels, &out, &err),
              err);
    lgt_context_free(context);
    return out;
}

static void results_are_those_of_ranks_counted_one_by_one(void **state) {
    lgt_context *context = test_context(1);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        eval_set set = eval_set_of(context, &cases[i]);
        lgt_retrieval wanted = oracle(&cases[i], &set), found = measure(2, &cases[i], &set);
        /* the same operations in the same order */
        assert_memory_equal(&found, &wanted, sizeof found);
        eval_set_free(&set);
    }
    lgt_context_free(context);
}

static void results_have_the_same_bits_for_any_threads_and_scale(void **state) {
    static const int threads[] = {1, 3, 7};
    static const float scales[] = {0x1p-60f, 1, 0x1p60f};
    lgt_context *context = test_context(1);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        eval_set set = eval_set_of(context, &cases[i]);
        lgt_retrieval wanted = measure(2, &cases[i], &set);
        for (int t = 0; t < 3; t++) {
            float factor = scales[t] / (t == 0 ? 1 : scales[t - 1]);
            for (int64_t k = 0; k < cases[i].n_rows * cases[i].dim; k++) set.x[k] *= factor;
            lgt_retrieval found = measure(threads[t], &cases[i], &set);
            assert_memory_equal(&found, &wanted, sizeof found);
        }
        eval_set_free(&set);
    }
    lgt_context_free(context);
}

static void without_ties_the_order_of_the_rows_does_not_matter(void **state) {
    lgt_context *context = test_context(1);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].kind != GAUSS) continue;
        eval_set set = eval_set_of(context, &cases[i]), other = eval_shuffled(&cases[i], &set, 1);
        lgt_retrieval wanted = measure(2, &cases[i], &set), found = measure(2, &cases[i], &other);
        assert_int_equal(found.n_queries, wanted.n_queries);
        assert_int_equal(found.n_lone, wanted.n_lone);
        assert_true(found.recall_at_1 == wanted.recall_at_1 && found.recall_at_5 == wanted.recall_at_5);
        /* only the order of at most 200 terms <= 1 of the mean changes */
        assert_at_most(fabs(found.map_at_r - wanted.map_at_r), 200 * DBL_EPSILON, "MAP@R change");
        eval_set_free(&other);
        eval_set_free(&set);
    }
    lgt_context_free(context);
}

/* Rows 0, 1, 2 of class 0 at 0, 10 and 60 degrees; row 3 of class 1 at 20; row 4 alone at 180.
 * Query 0 ranks 1 3 2: hits 1, misses 2: (1/1) / 2. Query 1 ranks 0, 3 (both at 10 degrees: made 9.9 by the exact angle
 * of row 0), 2: the same. Query 2 ranks 3 1 0: miss, hit at 2: (1/2) / 2. Rows 3 and 4 are alone. */
static void a_small_case_gives_the_numbers_worked_out_by_hand(void **state) {
    static const double degrees[5] = {0.1, 10, 60, 20, 180};
    static const int64_t labels[5] = {0, 0, 0, 1, 2};
    float x[10];
    lgt_context *context = test_context(1);
    lgt_retrieval out;
    lgt_error err;
    (void)state;
    for (int i = 0; i < 5; i++) {
        x[2 * i] = (float)cos(degrees[i] * 0.017453292519943295);
        x[2 * i + 1] = (float)sin(degrees[i] * 0.017453292519943295);
    }
    assert_ok(lgt_eval_retrieval(context, lgt_view_of(x, 5, 2, LGT_F32), labels, &out, &err), err);
    assert_int_equal(out.n_queries, 3);
    assert_int_equal(out.n_lone, 2);
    assert_at_most(fabs(out.recall_at_1 - 2.0 / 3), DBL_EPSILON, "recall@1 error");
    assert_at_most(fabs(out.recall_at_5 - 1), 0, "recall@5 error");
    assert_at_most(fabs(out.map_at_r - 1.25 / 3), DBL_EPSILON, "MAP@R error");
    lgt_context_free(context);
}

static void among_equal_scores_the_lower_row_comes_first(void **state) {
    static const float x[6] = {0};
    static const int64_t near[6] = {0, 0, 1, 2, 3, 4}, far[6] = {0, 1, 2, 3, 4, 0};
    lgt_context *context = test_context(1);
    lgt_retrieval out;
    lgt_error err;
    (void)state;
    assert_ok(lgt_eval_retrieval(context, lgt_view_of(x, 6, 1, LGT_F32), near, &out, &err), err);
    assert_true(out.recall_at_1 == 1 && out.map_at_r == 1 && out.n_lone == 4);
    /* row 0 finds row 5 last, row 5 finds row 0 first */
    assert_ok(lgt_eval_retrieval(context, lgt_view_of(x, 6, 1, LGT_F32), far, &out, &err), err);
    assert_true(out.recall_at_1 == 0.5 && out.recall_at_5 == 1 && out.map_at_r == 0.5);
    lgt_context_free(context);
}

static void wrong_inputs_are_refused_with_their_values(void **state) {
    static const float x[6] = {1, 2, 3, 4, 5, 6}, bad[6] = {1, 2, 3, 4, -INFINITY, 6};
    static const int64_t pairs[3] = {4, 4, 5}, lone[3] = {4, 5, 6};
    static const struct {
        lgt_view view;
        const int64_t *labels;
        lgt_status status;
        const char *part;
    } wrong[] = {
        {{x, 3, 2, 2, LGT_F32}, NULL, LGT_ERR_USAGE, "labels"},
        {{x, 3, 2, 2, LGT_U8}, pairs, LGT_ERR_USAGE, "u8, expected f32"},
        {{bad, 3, 2, 2, LGT_F32}, pairs, LGT_ERR_DATA, "row 2 column 0 is -inf"},
        {{x, 3, 2, 2, LGT_F32}, lone, LGT_ERR_DATA, "no query has a match"},
        {{x, 0, 2, 2, LGT_F32}, pairs, LGT_ERR_DATA, "no query has a match"},
        {{x, INT64_C(1) << 32, 2, 2, LGT_F32}, pairs, LGT_ERR_MEMORY, "at most 4294967295 rows, found 4294967296"},
    };
    lgt_context *context = test_context(1);
    lgt_retrieval out;
    lgt_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_fails(lgt_eval_retrieval(context, wrong[i].view, wrong[i].labels, &out, &err), wrong[i].status, err,
                     wrong[i].part);
    lgt_context_free(context);
}

static void every_failing_allocation_is_reported_and_leaks_nothing(void **state) {
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    static const int64_t labels[3] = {4, 4, 5};
    lgt_status status = LGT_ERR_MEMORY;
    int64_t n_failures = 0;
    (void)state;
    for (int64_t fail_at = 1; status; fail_at++) {
        int64_t before = test_live_blocks();
        lgt_context *context = test_context_failing(fail_at);
        lgt_retrieval out;
        lgt_error err;
        status = lgt_eval_retrieval(context, lgt_view_of(x, 3, 2, LGT_F32), labels, &out, &err);
        if (status) assert_fails(status, LGT_ERR_MEMORY, err, "out of memory");
        n_failures += status != LGT_OK;
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), before);
    }
    assert_true(n_failures > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_those_of_ranks_counted_one_by_one),
        cmocka_unit_test(results_have_the_same_bits_for_any_threads_and_scale),
        cmocka_unit_test(without_ties_the_order_of_the_rows_does_not_matter),
        cmocka_unit_test(a_small_case_gives_the_numbers_worked_out_by_hand),
        cmocka_unit_test(among_equal_scores_the_lower_row_comes_first),
        cmocka_unit_test(wrong_inputs_are_refused_with_their_values),
        cmocka_unit_test(every_failing_allocation_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
