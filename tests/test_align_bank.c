/* The memory bank: moving averages by hand, eviction, saving and restoring to the bit, and the map of ids behind it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "align/id_map.h"
#include "align_setup.h"

TEST_SHARED_CONTEXT(1)

static const double east[] = {1, 0}, north[] = {0, 1}, west[] = {-1, 0};

static void averages_move_as_they_do_by_hand(void **state) {
    (void)state;
    lgt_align_bank *bank = test_align_bank(context, 2, 3);
    assert_true(lgt_align_bank_score(bank, 7, 1) == 0.5 && !lgt_align_bank_direction(bank, 7, 1));
    lgt_align_bank_update(bank, 7, 1, east, 0.8, 0.75, 0.9);
    const float *d = lgt_align_bank_direction(bank, 7, 1);
    assert_true(d[0] == 1 && d[1] == 0); /* the first sight is taken whole */
    assert_true(fabs(lgt_align_bank_score(bank, 7, 1) - (0.9 * 0.5 + 0.1 * 0.8)) < 1e-15);
    lgt_align_bank_update(bank, 7, 1, north, NAN, 0.75, 0.9);
    assert_true(fabs(lgt_align_bank_score(bank, 7, 1) - 0.53) < 1e-15); /* nothing to tell: it stays */
    assert_true(fabs((double)d[0] - 3 / sqrt(10)) < 1e-7 && fabs((double)d[1] - 1 / sqrt(10)) < 1e-7);
    /* another label: another sample */
    assert_true(lgt_align_bank_score(bank, 7, 2) == 0.5 && !lgt_align_bank_direction(bank, 7, 2));
    lgt_align_bank_update(bank, 7, 2, west, 1, 0.75, 0.9);
    assert_true(lgt_align_bank_count(bank) == 1 && lgt_align_bank_direction(bank, 7, 2)[0] == -1);
    assert_true(fabs(lgt_align_bank_score(bank, 7, 2) - 0.55) < 1e-15);
    /* opposite directions of equal weight leave none: the new one stands alone */
    lgt_align_bank_update(bank, 7, 2, east, NAN, 0.5, 0.9);
    assert_true(lgt_align_bank_direction(bank, 7, 2)[0] == 1);
    lgt_align_bank_free(bank);
}

static void a_full_bank_forgets_what_was_untouched_the_longest(void **state) {
    (void)state;
    lgt_align_bank *bank = test_align_bank(context, 2, 3);
    for (int64_t id = 1; id <= 3; id++) lgt_align_bank_update(bank, id, 0, east, 0.5, 0.9, 0.9);
    lgt_align_bank_update(bank, 1, 0, north, 0.5, 0.9, 0.9); /* 2 is now the oldest */
    lgt_align_bank_update(bank, -4, 0, west, 0.5, 0.9, 0.9);
    assert_int_equal(lgt_align_bank_count(bank), 3);
    assert_true(!lgt_align_bank_direction(bank, 2, 0) && lgt_align_bank_direction(bank, 1, 0));
    lgt_align_bank_update(bank, 5, 0, west, 0.5, 0.9, 0.9);
    assert_true(!lgt_align_bank_direction(bank, 3, 0) && lgt_align_bank_direction(bank, -4, 0));
    lgt_align_bank_free(bank);
}

enum { CAPACITY = 40, DIM = 3 };

typedef struct saved {
    int64_t ids[CAPACITY], labels[CAPACITY];
    double scores[CAPACITY];
    float directions[CAPACITY * DIM];
} saved;

static saved save(const lgt_align_bank *bank) {
    saved s = {0};
    lgt_align_bank_export(bank, s.ids, s.labels, s.scores, s.directions);
    return s;
}

static void touch(lgt_align_bank *bank, uint64_t seed, int steps) {
    for (int i = 0; i < steps; i++) {
        double v[DIM], length;
        int64_t id = 0;
        test_normal(v, DIM, seed, (uint64_t)i);
        test_labels(&id, 1, 100, seed * 1000 + (uint64_t)i);
        length = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        for (int k = 0; k < DIM; k++) v[k] /= length;
        lgt_align_bank_update(bank, id * 1000003, id % 4, v, 0.5 + 0.4 * v[0], 0.9, 0.9);
    }
}

static void a_restored_bank_goes_on_to_the_bit(void **state) {
    (void)state;
    lgt_align_bank *bank = test_align_bank(context, DIM, CAPACITY), *again = test_align_bank(context, DIM, CAPACITY);
    lgt_error err;
    touch(bank, 1, 500);
    saved s = save(bank);
    assert_int_equal(lgt_align_bank_count(bank), CAPACITY);
    assert_ok(lgt_align_bank_import(again, CAPACITY, s.ids, s.labels, s.scores, s.directions, &err), err);
    touch(bank, 2, 300), touch(again, 2, 300);
    saved a = save(bank), b = save(again);
    assert_memory_equal(&a, &b, sizeof a);
    lgt_align_bank_free(again), lgt_align_bank_free(bank);
}

static void what_is_no_bank_is_refused(void **state) {
    (void)state;
    lgt_align_bank *bank = test_align_bank(context, 2, 2), *none = NULL;
    lgt_error err;
    int64_t ids[] = {1, 1, 2}, labels[] = {0, 0, 0};
    double scores[] = {0.5, 0.5, 0.5};
    float directions[] = {1, 0, 0, 1, 1, 0};
    assert_fails(lgt_align_bank_import(bank, 3, ids, labels, scores, directions, &err), LGT_ERR_DATA, err,
                 "3 samples for a bank of at most 2");
    assert_fails(lgt_align_bank_import(bank, 2, ids, labels, scores, directions, &err), LGT_ERR_DATA, err,
                 "sample 1 has id 1, which occurs before");
    assert_int_equal(lgt_align_bank_count(bank), 0);
    ids[1] = 3, scores[1] = NAN;
    assert_fails(lgt_align_bank_import(bank, 2, ids, labels, scores, directions, &err), LGT_ERR_DATA, err,
                 "sample 1 has reliability nan");
    scores[1] = 1, directions[3] = 1.1f;
    assert_fails(lgt_align_bank_import(bank, 2, ids, labels, scores, directions, &err), LGT_ERR_DATA, err,
                 "squared length 1.21");
    assert_fails(lgt_align_bank_import(bank, 1, ids, labels, scores, NULL, &err), LGT_ERR_USAGE, err, "are NULL");
    assert_fails(lgt_align_bank_create(context, 3, 0, &none, &err), LGT_ERR_USAGE, err, "expected at least 1 and 0");
    lgt_align_bank_free(bank);
}

static void a_bank_without_directions_keeps_reliabilities(void **state) {
    (void)state;
    lgt_align_bank *bank = test_align_bank(context, 0, 2), *again = test_align_bank(context, 0, 2);
    int64_t ids[2], labels[2];
    double scores[2];
    lgt_error err;
    lgt_align_bank_update(bank, 5, 1, NULL, 0.7, 0, 0.9);
    lgt_align_bank_update(bank, 6, 1, NULL, NAN, 0, 0.9);
    lgt_align_bank_update(bank, 5, 1, NULL, 0.8, 0, 0.9);
    lgt_align_bank_update(bank, 7, 1, NULL, 0.6, 0, 0.9); /* takes the place of 6 */
    assert_true(lgt_align_bank_score(bank, 5, 1) == 0.9 * (0.9 * 0.5 + (1 - 0.9) * 0.7) + (1 - 0.9) * 0.8);
    assert_true(lgt_align_bank_count(bank) == 2 && !lgt_align_bank_direction(bank, 5, 1));
    lgt_align_bank_export(bank, ids, labels, scores, NULL);
    assert_true(ids[0] == 5 && ids[1] == 7 && scores[0] == lgt_align_bank_score(bank, 5, 1));
    assert_ok(lgt_align_bank_import(again, 2, ids, labels, scores, NULL, &err), err);
    assert_true(lgt_align_bank_score(again, 5, 1) == scores[0] && lgt_align_bank_score(again, 7, 1) == scores[1]);
    lgt_align_bank_free(again), lgt_align_bank_free(bank);
}

/* Against a plain array, with ids that collide often: a map of capacity 8 has 16 places. */
static void the_map_of_ids_finds_what_is_there_and_nothing_else(void **state) {
    (void)state;
    enum { IDS = 50, MOST = 8 };
    int64_t slots[IDS], picks[4000];
    lgt_id_map map;
    lgt_error err;
    assert_ok(lgt_id_map_create(context, MOST, &map, &err), err);
    for (int i = 0; i < IDS; i++) slots[i] = -1;
    test_labels(picks, 4000, IDS, 3);
    for (int step = 0; step < 4000; step++) {
        int64_t id = picks[step];
        if (slots[id] >= 0) {
            lgt_id_map_remove(&map, id);
            slots[id] = -1;
        } else if (map.count < MOST) {
            lgt_id_map_add(&map, id, step);
            slots[id] = step;
        }
        for (int64_t i = 0; i < IDS; i++) assert_int_equal(lgt_id_map_find(&map, i), slots[i]);
    }
    lgt_id_map_free(context, &map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(averages_move_as_they_do_by_hand),
        cmocka_unit_test(a_full_bank_forgets_what_was_untouched_the_longest),
        cmocka_unit_test(a_restored_bank_goes_on_to_the_bit),
        cmocka_unit_test(a_bank_without_directions_keeps_reliabilities),
        cmocka_unit_test(what_is_no_bank_is_refused),
        cmocka_unit_test(the_map_of_ids_finds_what_is_there_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
