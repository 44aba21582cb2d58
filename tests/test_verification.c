/* Verification against a ROC from all pairs sorted by score. */
#include "logitude/eval.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "eval_cases.h"

static const eval_case cases[] = {
    {"three rows", 3, 2, 2, GAUSS, 2},
    {"few rows", 17, 5, 4, GAUSS, 4},
    {"a panel less one", 95, 8, 5, GAUSS, 5},
    {"a panel", 96, 8, 5, GAUSS, 6},
    {"a panel and one", 97, 8, 5, GAUSS, 7},
    {"mostly lone rows", 60, 6, 50, GAUSS, 8},
    {"one large class", 150, 4, 2, GAUSS, 9},
    {"ties", 120, 4, 6, LATTICE, 10},
    {"ties and zero rows", 90, 4, 3, HOLES, 11},
    {"all rows zero", 20, 3, 2, ZERO, 12},
    {"bins of several places", 450, 6, 8, GAUSS, 13},
    {"ties in wide bins", 450, 4, 8, HOLES, 14},
    {"several batches", 1700, 3, 40, GAUSS, 15},
};

typedef struct pair {
    float score;
    int genuine;
} pair;

static int falling(const void *a, const void *b) {
    const pair *x = a, *y = b;
    return (x->score < y->score) - (x->score > y->score);
}

/* All pairs by falling score; walks the ROC one distinct score at a time. */
static lgt_verification oracle(const eval_case *c, const eval_set *set) {
    int64_t n = c->n_rows, n_pairs = 0, accepted[2] = {0, 0};
    lgt_verification out = {0};
    pair *pairs = malloc((size_t)(n * n) * sizeof *pairs);
    double wins = 0;
    int crossed = 0;
    assert_non_null(pairs);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++)
            pairs[n_pairs++] = (pair){set->scores[i * n + j], set->labels[i] == set->labels[j]};
    qsort(pairs, (size_t)n_pairs, sizeof *pairs, falling);
    for (int64_t i = 0; i < n_pairs; i++) *(pairs[i].genuine ? &out.n_genuine : &out.n_impostor) += 1;
    double g = (double)out.n_genuine, m = (double)out.n_impostor;
    for (int64_t first = 0, next; first < n_pairs; first = next) {
        int64_t tied[2] = {0, 0};
        for (next = first; next < n_pairs && pairs[next].score == pairs[first].score; next++)
            tied[pairs[next].genuine]++;
        wins += (double)tied[0] * ((double)accepted[1] + (double)tied[1] / 2);
        double far0 = (double)accepted[0] / m, tar0 = (double)accepted[1] / g;
        accepted[0] += tied[0];
        accepted[1] += tied[1];
        double far1 = (double)accepted[0] / m, tar1 = (double)accepted[1] / g;
        for (int level = 0; level < LGT_FAR_LEVELS; level++)
            if ((double)accepted[0] <= lgt_far_levels[level] * m) out.tar_at_far[level] = tar1;
        if (!crossed && far1 >= 1 - tar1) {
            double t = (1 - tar0 - far0) / (far1 - far0 + tar1 - tar0);
            out.eer = far0 + t * (far1 - far0);
            crossed = 1;
        }
    }
    out.auc = wins / (g * m);
    free(pairs);
    return out;
}

static lgt_verification measure(int threads, const eval_case *c, const eval_set *set) {
    lgt_context *context = test_context(threads);
    lgt_verification out;
    lgt_error err;
    memset(&out, 0, sizeof out);
    assert_ok(lgt_eval_verification(context, lgt_view_of(set->x, c->n_rows, c->dim, LGT_F32), set->labels, &out, &err),
              err);
    lgt_context_free(context);
    return out;
}

static void results_are_those_of_all_pairs_sorted(void **state) {
    lgt_context *context = test_context(1);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        eval_set set = eval_set_of(context, &cases[i]);
        lgt_verification wanted = oracle(&cases[i], &set), found = measure(2, &cases[i], &set);
        assert_int_equal(found.n_genuine, wanted.n_genuine);
        assert_int_equal(found.n_impostor, wanted.n_impostor);
        for (int level = 0; level < LGT_FAR_LEVELS; level++)
            assert_true(found.tar_at_far[level] == wanted.tar_at_far[level]);
        /* the counts are exact on both sides: a division and a few sums of numbers <= 1 differ */
        assert_at_most(fabs(found.auc - wanted.auc), 4 * DBL_EPSILON, "AUC error");
        assert_at_most(fabs(found.eer - wanted.eer), 8 * DBL_EPSILON, "EER error");
        eval_set_free(&set);
    }
    lgt_context_free(context);
}

static void results_have_the_same_bits_for_any_threads_order_and_scale(void **state) {
    static const int threads[] = {1, 3, 7};
    static const float scales[] = {0x1p-60f, 1, 0x1p60f};
    lgt_context *context = test_context(1);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        eval_set set = eval_set_of(context, &cases[i]);
        lgt_verification wanted = measure(2, &cases[i], &set);
        for (int t = 0; t < 3; t++) {
            eval_set other = eval_shuffled(&cases[i], &set, scales[t]);
            lgt_verification found = measure(threads[t], &cases[i], &other);
            assert_memory_equal(&found, &wanted, sizeof found);
            eval_set_free(&other);
        }
        eval_set_free(&set);
    }
    lgt_context_free(context);
}

/* Rows of the plane by labels; the ROCs can be drawn by hand. */
static void small_cases_give_the_numbers_worked_out_by_hand(void **state) {
    static const struct {
        const char *name;
        float x[8];
        int64_t labels[4];
        double auc, eer, tar;
    } hand[] = {
        {"apart: genuine 1 1, impostors 0 0 0 0", {1, 0, 1, 0, 0, 1, 0, 1}, {0, 0, 1, 1}, 1, 0, 1},
        /* the last segment goes from (1/2, 0) to (1, 1) and meets FAR = FRR at 2/3 */
        {"mixed: genuine 0 0, impostors 1 0 0 1", {1, 0, 0, 1, 1, 0, 0, 1}, {0, 0, 1, 1}, 0.25, 2.0 / 3, 0},
        {"opposite: genuine -1 -1, impostors 0 0 0 0", {1, 0, -1, 0, 0, 1, 0, -1}, {0, 0, 1, 1}, 0, 1, 0},
        {"no information: all scores 0", {0}, {0, 0, 1, 1}, 0.5, 0.5, 0},
        /* genuine 1; impostors 1 1 0 0 0: (0, 0) to (2/5, 1) meets FAR = FRR where 2 t / 5 = 1 - t */
        {"one genuine pair", {1, 0, 1, 0, 1, 0, 0, 1}, {0, 0, 1, 2}, 0.8, 2.0 / 7, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof hand / sizeof *hand; i++) {
        eval_case c = {hand[i].name, 4, 2, 3, GAUSS, 0};
        eval_set set = {malloc(sizeof hand[i].x), malloc(sizeof hand[i].labels), NULL};
        assert_non_null(set.x);
        assert_non_null(set.labels);
        print_message("%s\n", c.name);
        memcpy(set.x, hand[i].x, sizeof hand[i].x);
        memcpy(set.labels, hand[i].labels, sizeof hand[i].labels);
        lgt_verification found = measure(1, &c, &set);
        assert_at_most(fabs(found.auc - hand[i].auc), DBL_EPSILON, "AUC error");
        assert_at_most(fabs(found.eer - hand[i].eer), DBL_EPSILON, "EER error");
        assert_true(found.tar_at_far[0] == hand[i].tar && found.tar_at_far[1] == hand[i].tar);
        eval_set_free(&set);
    }
}

static void wrong_inputs_are_refused_with_their_values(void **state) {
    static const float x[6] = {1, 2, 3, 4, 5, 6}, bad[6] = {1, 2, 3, NAN, INFINITY, 6};
    static const int64_t pairs[3] = {4, 4, 5}, same[3] = {4, 4, 4}, lone[3] = {4, 5, 6};
    static const struct {
        lgt_view view;
        const int64_t *labels;
        lgt_status status;
        const char *part;
    } wrong[] = {
        {{x, 3, 2, 2, LGT_F32}, NULL, LGT_ERR_USAGE, "labels"},
        {{NULL, 3, 2, 2, LGT_F32}, pairs, LGT_ERR_USAGE, "no embeddings"},
        {{x, 3, 2, 2, LGT_F64}, pairs, LGT_ERR_USAGE, "f64, expected f32"},
        {{x, 3, 2, 1, LGT_F32}, pairs, LGT_ERR_USAGE, "(3, 2) with ld 1"},
        {{x, 3, 0, 2, LGT_F32}, pairs, LGT_ERR_USAGE, "(3, 0)"},
        {{x, -1, 2, 2, LGT_F32}, pairs, LGT_ERR_USAGE, "(-1, 2)"},
        {{bad, 3, 2, 2, LGT_F32}, pairs, LGT_ERR_DATA, "row 1 column 1 is nan"},
        {{bad + 2, 2, 1, 2, LGT_F32}, same, LGT_ERR_DATA, "row 1 column 0 is inf"},
        {{x, 3, 2, 2, LGT_F32}, same, LGT_ERR_DATA, "all 3 rows have label 4"},
        {{x, 3, 2, 2, LGT_F32}, lone, LGT_ERR_DATA, "no two of the 3 rows"},
        {{x, 2, 2, 2, LGT_F32}, same, LGT_ERR_DATA, "no impostor pair"},
        {{x, 1, 2, 2, LGT_F32}, same, LGT_ERR_DATA, "no genuine pair"},
        {{x, 0, 2, 2, LGT_F32}, same, LGT_ERR_DATA, "no genuine pair"},
    };
    lgt_context *context = test_context(1);
    lgt_verification out;
    lgt_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_fails(lgt_eval_verification(context, wrong[i].view, wrong[i].labels, &out, &err), wrong[i].status, err,
                     wrong[i].part);
    assert_fails(lgt_eval_verification(context, lgt_view_of(x, 3, 2, LGT_F32), pairs, NULL, &err), LGT_ERR_USAGE, err,
                 "result");
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
        lgt_verification out;
        lgt_error err;
        status = lgt_eval_verification(context, lgt_view_of(x, 3, 2, LGT_F32), labels, &out, &err);
        if (status) assert_fails(status, LGT_ERR_MEMORY, err, "out of memory");
        n_failures += status != LGT_OK;
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), before);
    }
    assert_true(n_failures > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_those_of_all_pairs_sorted),
        cmocka_unit_test(results_have_the_same_bits_for_any_threads_order_and_scale),
        cmocka_unit_test(small_cases_give_the_numbers_worked_out_by_hand),
        cmocka_unit_test(wrong_inputs_are_refused_with_their_values),
        cmocka_unit_test(every_failing_allocation_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
