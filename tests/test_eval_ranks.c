/* Verification and retrieval by ranks have the bits of one, and what goes wrong with one rank all are told. */
#include <string.h>

#include "eval_cases.h"
#include "logitude/eval.h"
#include "ranks.h"

enum { MOST = 7 };
static const int sizes[] = {1, 2, 3, 4, 7};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

static const eval_case cases[] = {
    {"three rows", 3, 2, 2, GAUSS, 2},
    {"a panel and one", 97, 8, 5, GAUSS, 7},
    {"mostly lone rows", 60, 6, 50, GAUSS, 8},
    {"one large class", 350, 4, 2, GAUSS, 9},
    {"ties and zero rows", 290, 4, 3, HOLES, 11},
    {"all rows zero", 200, 3, 2, ZERO, 12},
    {"ties in wide bins", 450, 4, 8, HOLES, 14},
    {"several blocks", 1700, 3, 40, GAUSS, 15},
};

typedef struct results {
    lgt_verification verification;
    lgt_retrieval retrieval;
} results;

/* What a watch was told. */
typedef struct watching {
    int64_t calls, n_done, n_all;
    int64_t stop_at; /* the call that is answered by 1; 0: none */
} watching;

typedef struct evaluation {
    lgt_view x;
    const int64_t *labels;
    int skipped;     /* 0: neither; 1: retrieval; 2: verification */
    int64_t fail_at; /* rank 1's allocation that fails; 0: none */
    int is_watched;
    int64_t stop_at;
    watching watched[MOST][2];
    results found[MOST];
    lgt_status statuses[MOST][2];
    lgt_error errors[MOST][2];
} evaluation;

static lgt_context *context_of(const evaluation *e, int rank) {
    return e->fail_at && rank == 1 ? test_context_failing(e->fail_at) : test_context(1 + rank % 2);
}

static int watch(void *user, int64_t n_done, int64_t n_all) {
    watching *w = user;
    assert_true(w->calls == 0 || (n_done >= w->n_done && n_all == w->n_all));
    assert_true(n_done >= 0 && n_done < n_all);
    w->n_done = n_done;
    w->n_all = n_all;
    return ++w->calls == w->stop_at;
}

static void verify(evaluation *e, const lgt_comm *comm, int r) {
    lgt_context *context = context_of(e, r);
    e->watched[r][0] = (watching){.stop_at = e->stop_at};
    e->statuses[r][0] = lgt_eval_verification_shared(context, comm, e->x, e->labels, e->is_watched ? watch : NULL,
                                                     &e->watched[r][0], &e->found[r].verification, &e->errors[r][0]);
    lgt_context_free(context);
}

static void retrieve(evaluation *e, const lgt_comm *comm, int r) {
    lgt_context *context = context_of(e, r);
    e->watched[r][1] = (watching){.stop_at = e->stop_at};
    e->statuses[r][1] = lgt_eval_retrieval_shared(context, comm, e->x, e->labels, e->is_watched ? watch : NULL,
                                                  &e->watched[r][1], &e->found[r].retrieval, &e->errors[r][1]);
    lgt_context_free(context);
}

static void evaluate(void *argument, const lgt_comm *comm) {
    evaluation *e = argument;
    int r = comm ? comm->rank : 0;
    memset(&e->found[r], 0, sizeof e->found[r]);
    if (e->skipped != 2) verify(e, comm, r);
    if (e->skipped != 1) retrieve(e, comm, r);
}

static void check_sizes(evaluation *e) {
    evaluate(e, NULL);
    for (int kind = 0; kind < 2; kind++) assert_ok(e->statuses[0][kind], e->errors[0][kind]);
    results alone = e->found[0];
    for (int s = 0; s < N_SIZES; s++) {
        test_on_ranks(sizes[s], 60, evaluate, e);
        for (int r = 0; r < sizes[s]; r++) {
            for (int kind = 0; kind < 2; kind++) assert_ok(e->statuses[r][kind], e->errors[r][kind]);
            assert_memory_equal(&e->found[r], &alone, sizeof alone);
        }
    }
}

static void results_have_the_bits_of_one_rank(void **state) {
    static evaluation e;
    lgt_context *context = test_context(1);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        eval_set set = eval_set_of(context, &cases[i]);
        e.x = lgt_view_of(set.x, cases[i].n_rows, cases[i].dim, LGT_F32);
        e.labels = set.labels;
        check_sizes(&e);
        eval_set_free(&set);
    }
    lgt_context_free(context);
}

/* Two rounds each on 2 ranks. */
static void so_they_have_where_ranks_wait_for_each_other_in_between(void **state) {
    enum { VERIFIED = 12300, RETRIEVED = 6200, DIM = 2 };
    static evaluation e;
    static float x[VERIFIED * DIM];
    static int64_t labels[VERIFIED];
    (void)state;
    test_normal_f32(x, VERIFIED * DIM, 21, 1);
    test_labels(labels, VERIFIED, VERIFIED / 8, 21);
    e.labels = labels;
    for (int kind = 0; kind < 2; kind++) {
        e.x = lgt_view_of(x, kind == 0 ? VERIFIED : RETRIEVED, DIM, LGT_F32);
        e.skipped = 1 + kind;
        evaluate(&e, NULL);
        assert_ok(e.statuses[0][kind], e.errors[0][kind]);
        results alone = e.found[0];
        test_on_ranks(2, 120, evaluate, &e);
        for (int r = 0; r < 2; r++) {
            assert_ok(e.statuses[r][kind], e.errors[r][kind]);
            assert_memory_equal(&e.found[r], &alone, sizeof alone);
        }
    }
}

enum { WATCHED = 3200, WATCHED_DIM = 2 };

static evaluation *watched_evaluation(void) {
    static evaluation e;
    static float x[WATCHED * WATCHED_DIM];
    static int64_t labels[WATCHED];
    memset(&e, 0, sizeof e);
    test_normal_f32(x, WATCHED * WATCHED_DIM, 22, 1);
    test_labels(labels, WATCHED, 10, 22);
    e.x = lgt_view_of(x, WATCHED, WATCHED_DIM, LGT_F32);
    e.labels = labels;
    return &e;
}

/* 34 panels of rows are at most 4 parts of 8; verification passes three times over pairs, of which the last two times
 * over all but the few genuine ones. */
static void a_watch_is_told_how_far_it_is_and_changes_no_bit(void **state) {
    evaluation *e = watched_evaluation();
    (void)state;
    evaluate(e, NULL);
    for (int kind = 0; kind < 2; kind++) assert_ok(e->statuses[0][kind], e->errors[0][kind]);
    results plain = e->found[0];
    e->is_watched = 1;
    for (int ranks = 1; ranks <= 3; ranks += 2) {
        test_on_ranks(ranks, 60, evaluate, e);
        for (int r = 0; r < ranks; r++) {
            const watching *v = &e->watched[r][0], *q = &e->watched[r][1];
            assert_memory_equal(&e->found[r], &plain, sizeof plain);
            assert_int_equal(v->n_all, plain.verification.n_genuine + 2 * plain.verification.n_impostor);
            assert_int_equal(q->n_all, WATCHED);
            assert_int_equal(v->calls, ranks == 1 ? 3 * 4 : 3);
            assert_int_equal(q->calls, ranks == 1 ? 9 : 1);
            int64_t half = plain.verification.n_genuine + plain.verification.n_impostor;
            assert_true(ranks == 1 ? v->n_done > half : v->n_done == half);
            assert_int_equal(q->n_done, ranks == 1 ? 8 * 16 * 24 : 0);
        }
    }
}

static void a_watch_may_stop_it(void **state) {
    evaluation *e = watched_evaluation();
    int64_t before = test_live_blocks();
    (void)state;
    e->is_watched = 1;
    for (int ranks = 1; ranks <= 3; ranks += 2) {
        for (e->stop_at = 1; e->stop_at <= (ranks == 1 ? 9 : 1); e->stop_at += 4) {
            test_on_ranks(ranks, 60, evaluate, e);
            for (int r = 0; r < ranks; r++) {
                static const results none;
                assert_fails(e->statuses[r][0], LGT_ERR_INTERRUPTED, e->errors[r][0], "pairs");
                assert_fails(e->statuses[r][1], LGT_ERR_INTERRUPTED, e->errors[r][1], "of 3200 queries");
                assert_memory_equal(&e->found[r], &none, sizeof none);
                assert_int_equal(e->watched[r][0].calls, e->stop_at);
                assert_int_equal(e->watched[r][1].calls, e->stop_at);
            }
            assert_int_equal(test_live_blocks(), before);
        }
    }
}

static void what_one_rank_lacks_all_are_told(void **state) {
    static evaluation e;
    static const float x[8] = {1, 2, 3, 4, 5, 6, -1, 2};
    static const int64_t labels[4] = {4, 4, 5, 5};
    int64_t before = test_live_blocks(), n_failures = 0;
    (void)state;
    e.x = lgt_view_of(x, 4, 2, LGT_F32);
    e.labels = labels;
    for (int64_t failed = 1; failed > 0; n_failures += failed) {
        e.fail_at++;
        test_on_ranks(3, 20, evaluate, &e);
        failed = 0;
        for (int kind = 0; kind < 2; kind++) {
            if (e.statuses[0][kind] == LGT_OK) continue;
            failed++;
            for (int r = 0; r < 3; r++)
                assert_fails(e.statuses[r][kind], LGT_ERR_MEMORY, e.errors[r][kind], "rank 1: out of memory");
        }
        assert_int_equal(test_live_blocks(), before);
    }
    assert_true(n_failures > 20);
}

static void what_is_wrong_everywhere_is_told_as_the_first_ranks(void **state) {
    static evaluation e;
    static const float x[4] = {1, 2, 3, 4};
    static const int64_t lone[2] = {1, 2};
    (void)state;
    e.x = lgt_view_of(x, 2, 2, LGT_F32);
    e.labels = lone;
    test_on_ranks(2, 20, evaluate, &e);
    for (int r = 0; r < 2; r++) {
        assert_fails(e.statuses[r][0], LGT_ERR_DATA, e.errors[r][0], "rank 0: no two of the 2 rows");
        assert_fails(e.statuses[r][1], LGT_ERR_DATA, e.errors[r][1], "no two of the 2 rows");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_have_the_bits_of_one_rank),
        cmocka_unit_test(so_they_have_where_ranks_wait_for_each_other_in_between),
        cmocka_unit_test(a_watch_is_told_how_far_it_is_and_changes_no_bit),
        cmocka_unit_test(a_watch_may_stop_it),
        cmocka_unit_test(what_one_rank_lacks_all_are_told),
        cmocka_unit_test(what_is_wrong_everywhere_is_told_as_the_first_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
