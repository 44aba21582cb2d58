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

typedef struct evaluation {
    lgt_view x;
    const int64_t *labels;
    int skipped;     /* 0: neither; 1: retrieval; 2: verification */
    int64_t fail_at; /* rank 1's allocation that fails; 0: none */
    results found[MOST];
    lgt_status statuses[MOST][2];
    lgt_error errors[MOST][2];
} evaluation;

static lgt_context *context_of(const evaluation *e, int rank) {
    return e->fail_at && rank == 1 ? test_context_failing(e->fail_at) : test_context(1 + rank % 2);
}

static void verify(evaluation *e, const lgt_comm *comm, int r) {
    lgt_context *context = context_of(e, r);
    e->statuses[r][0] =
        lgt_eval_verification_shared(context, comm, e->x, e->labels, &e->found[r].verification, &e->errors[r][0]);
    lgt_context_free(context);
}

static void retrieve(evaluation *e, const lgt_comm *comm, int r) {
    lgt_context *context = context_of(e, r);
    e->statuses[r][1] =
        lgt_eval_retrieval_shared(context, comm, e->x, e->labels, &e->found[r].retrieval, &e->errors[r][1]);
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
        cmocka_unit_test(what_one_rank_lacks_all_are_told),
        cmocka_unit_test(what_is_wrong_everywhere_is_told_as_the_first_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
