/* Cosine tiles, groups of rows and places among sorted scores. */
#include <math.h>
#include <string.h>

#include "eval/groups.h"
#include "eval/ranks.h"
#include "eval_cases.h"

static double cosine(const float *a, const float *b, int64_t dim) {
    double ab = 0, aa = 0, bb = 0;
    for (int64_t k = 0; k < dim; k++) ab += (double)a[k] * b[k], aa += (double)a[k] * a[k], bb += (double)b[k] * b[k];
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static void scores_are_symmetric_bit_for_bit_and_close_to_the_cosines(void **state) {
    static const eval_case cases[] = {
        {"one row", 1, 1, 1, GAUSS, 1},           {"two rows", 2, 3, 1, GAUSS, 2},
        {"a panel less one", 95, 7, 3, GAUSS, 3}, {"a panel and one", 97, 128, 3, GAUSS, 4},
        {"three panels", 288, 33, 3, GAUSS, 5},   {"holes", 130, 4, 3, HOLES, 6}};
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= LGT_ISA_AVX512; isa++) {
        lgt_context_options options;
        lgt_context *context = NULL;
        lgt_error err;
        lgt_context_options_init(&options);
        options.max_isa = isa;
        assert_ok(lgt_context_create(&options, &context, &err), err);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const eval_case *c = &cases[i];
            eval_set set = eval_set_of(context, c);
            for (int64_t row = 0; row < c->n_rows; row++)
                for (int64_t other = 0; other < c->n_rows; other++) {
                    float score = set.scores[row * c->n_rows + other];
                    assert_memory_equal(&score, &set.scores[other * c->n_rows + row], sizeof score);
                    /* two roundings of unit elements and one a term, each of at most 2^-24 of a partial sum <= 1 */
                    double error = fabs(score - cosine(set.x + row * c->dim, set.x + other * c->dim, c->dim));
                    assert_at_most(error, c->kind == GAUSS ? (double)(c->dim + 3) * 0x1p-24 : 0, "error of a score");
                }
            eval_set_free(&set);
        }
        lgt_context_free(context);
    }
}

static void groups_list_every_row_once_by_label_and_then_by_number(void **state) {
    static const int64_t labels[] = {5, -3, 5, 7, -3, 5};
    static const int64_t order[] = {1, 4, 0, 2, 5, 3}, end[] = {2, 2, 5, 5, 5, 6};
    lgt_context *context = test_context(1);
    lgt_groups groups;
    lgt_error err;
    (void)state;
    assert_ok(lgt_groups_create(context, 6, labels, &groups, &err), err);
    assert_memory_equal(groups.order, order, sizeof order);
    assert_memory_equal(groups.end, end, sizeof end);
    lgt_groups_free(context, &groups);
    assert_ok(lgt_groups_create(context, 0, labels, &groups, &err), err);
    lgt_groups_free(context, &groups);
    lgt_context_free(context);
}

/* Scores on a grid of `levels` values, or of 2^24 when 0. */
static float level(const lgt_rng *rng, int64_t i, int levels) {
    if (levels == 0) return (float)(2 * lgt_rng_uniform(rng, (uint64_t)i) - 1);
    return (float)lgt_rng_below(rng, (uint64_t)i, (uint64_t)levels) / 8 - 1;
}

static int64_t place_of(const float *score, int64_t n, float s) {
    int64_t place = 0;
    for (int64_t i = 0; i < n; i++) place += (score[i] < s) + (score[i] <= s);
    return place;
}

static int compare_places(const void *a, const void *b) {
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

enum { MOST = 3000 };

static void check_places(lgt_ranks *ranks, int64_t n, int levels, uint64_t seed) {
    static float genuine[MOST], sorted[MOST], other[MOST], spare[MOST];
    static int64_t places[MOST], wanted[MOST];
    lgt_rng rng = {seed, 1}, probe = {seed, 2};
    for (int64_t i = 0; i < n; i++) genuine[i] = level(&rng, i, levels);
    for (int64_t i = 0; i < MOST; i++) {
        other[i] = i < 5 ? (float)i - 2 : i % 2 ? level(&probe, i, levels) : genuine[i % n];
        wanted[i] = place_of(genuine, n, other[i]);
    }
    lgt_ranks_sort(n, genuine, sorted);
    for (int64_t i = 1; i < n; i++) assert_true(sorted[i - 1] <= sorted[i]);
    lgt_ranks_init(ranks, n, sorted);
    lgt_ranks_places(ranks, MOST, other, spare, places);
    for (int64_t i = 0; i < MOST; i++) assert_int_equal(places[i], place_of(sorted, n, spare[i]));
    qsort(places, MOST, sizeof *places, compare_places);
    qsort(wanted, MOST, sizeof *wanted, compare_places);
    assert_memory_equal(places, wanted, sizeof places);
    for (int64_t place = 0; place <= 2 * n + 1; place += 1 + n / 100) {
        int64_t count = 0;
        float low, high;
        for (int64_t i = 0; i < n; i++) count += place_of(sorted, n, sorted[i]) >= place;
        assert_int_equal(lgt_ranks_at_least(ranks, place), count);
        lgt_ranks_bounds(ranks, place, place + 3, &low, &high);
        for (int64_t i = 0; i < MOST; i++) {
            int64_t own = place_of(sorted, n, other[i]);
            if (own >= place && own < place + 3) assert_true(low <= other[i] && other[i] <= high);
        }
    }
}

static void places_count_the_lower_and_the_equal_scores(void **state) {
    static const int levels[] = {0, 1, 2, 16};
    static const int64_t sizes[] = {1, 2, 3, 64, 255};
    lgt_ranks *ranks = malloc(sizeof *ranks);
    (void)state;
    assert_non_null(ranks);
    for (int l = 0; l < 4; l++)
        for (int s = 0; s < 5; s++) {
            print_message("%d levels, %lld scores, seed 9\n", levels[l], (long long)sizes[s]);
            check_places(ranks, sizes[s], levels[l], 9);
        }
    free(ranks);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_symmetric_bit_for_bit_and_close_to_the_cosines),
        cmocka_unit_test(groups_list_every_row_once_by_label_and_then_by_number),
        cmocka_unit_test(places_count_the_lower_and_the_equal_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
