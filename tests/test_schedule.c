/* Schedules of lambda: their values, that they never grow, and that bends follow them. */
#include "support.h"

#include <float.h>
#include <math.h>

#include "base/text.h"
#include "bends.h"

static const double eps = DBL_EPSILON;

static void schedules_take_their_stated_values(void **state) {
    static const struct {
        const char *text;
        int64_t step;
        double value;
    } known[] = {
        {"7", 0, 7},
        {"7", INT64_MAX, 7},
        {"geometric/1000/0.99/5", 0, 1000},
        {"geometric/1000/0.99/5", 1, 990},
        {"geometric/1000/0.99/5", 2, 980.1},
        {"geometric/1000/0.99/5", 10000, 5},
        {"geometric/1000/0.99/5", INT64_MAX, 5},
        {"geometric/100/0.5/0", 3, 12.5},
        {"geometric/1/1/0", INT64_MAX, 1},
        {"geometric/1/0.5/3", 0, 3},
        {"power/1000/2.5e-05/35/0", 0, 1000},
        {"power/1000/2.5e-05/35/0", 40000, 1000 * 0x1p-35},
        {"power/1000/0.12/1/5", 100, 1000 / 13.0},
        {"power/1000/0.12/1/5", 1000000, 5},
        {"power/1000/0.12/1/5", INT64_MAX, 5},
        {"power/1000/1e308/1/5", INT64_MAX, 5},
        {"power/1000/1e308/0/5", INT64_MAX, 1000},
        {"power/3/0/7/0", 99, 3},
    };
    char spec[80];
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        lgt_text_format(spec, sizeof spec, "lsoftmax:lambda=%s", known[i].text);
        lgt_loss loss = test_loss_of(spec);
        double value = lgt_schedule_at(&loss.schedule, known[i].step);
        /* 1 + 2.5e-5 * 40000 is rounded before the power of 35. */
        assert_at_most(fabs(value - known[i].value), 40 * eps * known[i].value, spec);
    }
}

static void schedules_never_grow_and_stay_finite(void **state) {
    static const char *const specs[] = {"lsoftmax:lambda=3",
                                        "lsoftmax",
                                        "sphereface",
                                        "lsoftmax:lambda=geometric/1e9/0.999999/0",
                                        "lsoftmax:lambda=geometric/1/5e-324/0",
                                        "lsoftmax:lambda=power/1e9/1e-9/3/0",
                                        "lsoftmax:lambda=power/1e9/1e308/1e308/1e-9"};
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        lgt_loss loss = test_loss_of(specs[i]);
        double last = INFINITY;
        for (int64_t step = 0; step < INT64_MAX / 2; step = step < 1000 ? step + 1 : step / 2 * 3) {
            double value = lgt_schedule_at(&loss.schedule, step);
            assert_true(isfinite(value) && value >= 0 && value <= last);
            last = value;
        }
    }
}

static void the_bend_follows_the_schedule(void **state) {
    lgt_loss moving = test_loss_of("lsoftmax:m=3,lambda=geometric/1000/0.5/5"),
             first = test_loss_of("lsoftmax:m=3,lambda=1000"), last = test_loss_of("lsoftmax:m=3,lambda=5");
    lgt_pair pair = pair_at(1, 2, 3);
    lgt_bend a, b;
    (void)state;
    lgt_loss_bend(&moving, &pair, 0, &a);
    lgt_loss_bend(&first, &pair, 123, &b);
    assert_memory_equal(&a, &b, sizeof a);
    lgt_loss_bend(&moving, &pair, 1000, &a);
    lgt_loss_bend(&last, &pair, 0, &b);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(a.value != 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_take_their_stated_values),
        cmocka_unit_test(schedules_never_grow_and_stay_finite),
        cmocka_unit_test(the_bend_follows_the_schedule),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
