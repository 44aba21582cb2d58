/* Margin warm-up: what its parameter reads and refuses, the two curves, and that a margin at the factor f is the loss
 * whose margin is f times as large. */
#include "support.h"

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "logitude/loss.h"
#include "math/sphere.h"

static lgt_pair pair_at(double theta, double r) {
    return (lgt_pair){cos(theta), sin(theta), theta, r, 1, r};
}

static int is_warmed(const lgt_loss_info *info) {
    for (int i = 0; i < info->n_params; i++)
        if (info->params[i].kind == LGT_PARAM_WARMUP) return 1;
    return 0;
}

static lgt_loss with_warmup(const char *spec, const char *warmup) {
    char text[256];
    lgt_text_format(text, sizeof text, "%s%cwarmup=%s", spec, strchr(spec, ':') ? ',' : ':', warmup);
    return test_loss_of(text);
}

/* ---- the parameter ---- */

static void every_margin_without_lambda_can_warm_up(void **state) {
    static const char *const warmed[] = {"cosface", "arcface", "combined",       "sphereface-r",
                                         "adaface", "magface", "curricularface", "subcenter"};
    int n = 0;
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) n += is_warmed(lgt_loss_at(i));
    for (size_t i = 0; i < sizeof warmed / sizeof *warmed; i++) {
        lgt_loss loss = test_loss_of(warmed[i]);
        const lgt_param_info *params = loss.info->params;
        assert_true(is_warmed(loss.info));
        assert_string_equal(params[loss.info->n_params - 2].key, "warmup"); /* before the gradient mode */
        for (int p = 0; p < loss.info->n_params; p++) assert_int_not_equal(params[p].kind, LGT_PARAM_SCHEDULE);
        n--;
    }
    assert_int_equal(n, 0);
}

static void warm_ups_are_written_as_they_are_read(void **state) {
    static const char *const good[] = {"none", "linear/0/1", "linear/100/2000", "exponential/0/9007199254740992",
                                       "exponential/9007199254740991/9007199254740992"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[LGT_LOSS_SPEC_SIZE], part[96];
        lgt_loss loss = with_warmup("arcface", good[i]);
        lgt_loss_format(&loss, text, sizeof text);
        lgt_text_format(part, sizeof part, ",warmup=%s,gradient=exact", good[i]);
        assert_non_null(strstr(text, part));
        lgt_loss back = test_loss_of(text);
        assert_int_equal(back.schedule.kind, loss.schedule.kind);
        assert_memory_equal(&back.schedule.a, &loss.schedule.a, 4 * sizeof loss.schedule.a);
    }
}

static void what_is_no_warm_up_is_refused_with_what_was_expected(void **state) {
    static const char *const bad[] = {"",
                                      "0",
                                      "1",
                                      "None",
                                      "none/0/1",
                                      "linear",
                                      "linear/",
                                      "linear/0",
                                      "linear/0/",
                                      "linear/0/1/2",
                                      "linear/0/1/",
                                      "linear//1",
                                      "linear/5/5",
                                      "linear/6/5",
                                      "linear/-1/5",
                                      "linear/0.5/5",
                                      "linear/0/5.5",
                                      "linear/0/9007199254740994",
                                      "linear/0/1e17",
                                      "linear/a/1",
                                      "exponential/0/0",
                                      "geometric/1000/0.99/5",
                                      "power/1000/0.12/1/5"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char spec[128], found[128];
        lgt_loss loss;
        lgt_error err;
        lgt_text_format(spec, sizeof spec, "cosface:warmup=%s", bad[i]);
        lgt_text_format(found, sizeof found, "cosface: warmup is \"%s\", expected none, linear/START/END", bad[i]);
        assert_fails(lgt_loss_parse(spec, &loss, &err), LGT_ERR_USAGE, err, found);
        assert_non_null(strstr(err.message, "0 <= START < END <= 2^53"));
    }
}

static void specifications_of_the_longest_numbers_fit(void **state) {
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) {
        lgt_loss loss = test_loss_of(lgt_loss_at(i)->name);
        char text[LGT_LOSS_SPEC_SIZE];
        for (int p = 0; p < loss.info->n_params; p++)
            if (loss.info->params[p].kind != LGT_PARAM_CHOICE) loss.values[p] = -1.2345678901234567e-300;
        loss.schedule = is_warmed(loss.info)
                            ? (lgt_schedule){LGT_SCHEDULE_EXPONENTIAL, 0x1p53 - 1, 0x1p53, 0, 0}
                            : (lgt_schedule){LGT_SCHEDULE_POWER, 1.2345678901234567e-300, 1.2345678901234567e-300,
                                             1.2345678901234567e-300, 1.2345678901234567e-300};
        assert_true(lgt_loss_format(&loss, text, sizeof text) < sizeof text);
    }
}

/* ---- the curves ---- */

static void warm_ups_go_from_none_to_whole_exactly(void **state) {
    static const struct {
        const char *text;
        int64_t step;
        double factor;
    } known[] = {
        {"none", 0, 1},
        {"none", INT64_MAX, 1},
        {"linear/100/300", 0, 0},
        {"linear/100/300", 100, 0},
        {"linear/100/300", 150, 0.25},
        {"linear/100/300", 300, 1},
        {"linear/100/300", INT64_MAX, 1},
        {"linear/0/1", 0, 0},
        {"linear/0/1", 1, 1},
        {"exponential/100/300", 99, 0},
        {"exponential/100/300", 100, 0},
        {"exponential/0/3", 1, 0.9 / 0.999}, /* 1000^(-1/3) = 1/10 */
        {"exponential/0/3", 2, 0.99 / 0.999},
        {"exponential/100/300", 300, 1},
        {"exponential/100/300", INT64_MAX, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        lgt_loss loss = with_warmup("arcface", known[i].text);
        double found = lgt_schedule_at(&loss.schedule, known[i].step);
        /* No margin and the whole margin are exact; between them a few roundings. */
        double limit = known[i].factor == 0 || known[i].factor == 1 ? 0 : 4 * 2.3e-16;
        assert_at_most(fabs(found - known[i].factor), limit, known[i].text);
    }
}

static void warm_ups_never_fall_back(void **state) {
    static const char *const texts[] = {"linear/7/1003", "exponential/7/1003", "linear/0/9007199254740992",
                                        "exponential/1/9007199254740992"};
    (void)state;
    for (int i = 0; i < 4; i++) {
        lgt_loss loss = with_warmup("cosface", texts[i]);
        double last = 0;
        for (int64_t step = 0; step < INT64_MAX / 2; step = step < 1100 ? step + 1 : step / 2 * 3) {
            double factor = lgt_schedule_at(&loss.schedule, step);
            assert_true(factor >= last && factor <= 1);
            last = factor;
        }
        assert_true(last == 1);
    }
}

/* ---- the margin ---- */

/* A margin, and the same loss with half of it: at f = 1/2 (exact in both) the bends are the same to the bit. */
static const char *const halves[][2] = {
    {"cosface:m=0.3", "cosface:m=0.15"},
    {"arcface:m=0.5", "arcface:m=0.25"},
    {"arcface:m=3,tail=cosface", "arcface:m=1.5,tail=cosface"},
    {"arcface:m=1,tail=easy", "arcface:m=0.5,tail=easy"},
    {"combined:m1=1.5,m2=0.5,m3=0.25", "combined:m1=1.25,m2=0.25,m3=0.125"},
    {"combined:m1=0.5,m2=0.5", "combined:m1=0.75,m2=0.25"},
    {"sphereface-r:m=3", "sphereface-r:m=2"},
    {"adaface:m=0.5", "adaface:m=0.25"},
    {"magface:l_m=0.5,u_m=0.75,l_a=1,u_a=17,s=8", "magface:l_m=0.25,u_m=0.375,l_a=1,u_a=17,s=8"},
    {"curricularface:m=0.5,t=0.3", "curricularface:m=0.25,t=0.3"},
    {"subcenter:m=0.5", "subcenter:m=0.25"},
};
enum { N_HALVES = sizeof halves / sizeof *halves };

static void assert_same_bend(const lgt_loss *a, int64_t step_a, const lgt_loss *b, int64_t step_b) {
    for (int i = 0; i <= 200; i++) {
        lgt_pair pair = pair_at(LGT_PI * i / 200, 3 + i % 7);
        lgt_bend bend_a, bend_b;
        lgt_crowd_bend crowd_a, crowd_b;
        lgt_loss_bend(a, &pair, step_a, &bend_a);
        lgt_loss_bend(b, &pair, step_b, &bend_b);
        assert_memory_equal(&bend_a, &bend_b, sizeof bend_a);
        lgt_loss_crowd(a, &pair, step_a, &crowd_a);
        lgt_loss_crowd(b, &pair, step_b, &crowd_b);
        assert_memory_equal(&crowd_a, &crowd_b, sizeof crowd_a);
    }
}

static void half_way_the_margin_is_half_as_large(void **state) {
    (void)state;
    for (int i = 0; i < N_HALVES; i++) {
        lgt_loss whole = with_warmup(halves[i][0], "linear/10/20"), half = test_loss_of(halves[i][1]);
        assert_same_bend(&whole, 15, &half, 0);
    }
}

static void from_its_end_on_a_warm_up_is_as_if_it_had_never_been(void **state) {
    (void)state;
    for (int i = 0; i < N_HALVES; i++) {
        lgt_loss none = test_loss_of(halves[i][0]), linear = with_warmup(halves[i][0], "linear/10/20"),
                 exponential = with_warmup(halves[i][0], "exponential/10/20");
        assert_same_bend(&linear, 20, &none, 0);
        assert_same_bend(&exponential, 20, &none, 0);
        assert_same_bend(&exponential, INT64_MAX, &none, 0);
    }
}

static void before_its_start_there_is_no_margin(void **state) {
    (void)state;
    for (int i = 0; i < N_HALVES; i++) {
        lgt_loss loss = with_warmup(halves[i][0], "linear/10/20");
        for (int k = 0; k <= 200; k++) {
            lgt_pair pair = pair_at(LGT_PI * k / 200, 3 + k % 7);
            lgt_bend b;
            lgt_loss_bend(&loss, &pair, 10, &b);
            assert_true(b.value == 0 && b.d_theta == 0 && b.d_r == 0 && b.d_q == 0);
            assert_true(b.d_theta_theta == 0 && b.d_theta_r == 0 && b.d_theta_q == 0 && b.d_r_r == 0 && b.d_r_q == 0);
        }
    }
}

/* The slopes by the norm belong to the margin of that moment: central differences leave h^2 f'''/6 = 1e-12 s and
 * eps s / h = 1e-10 s at h = 1e-5 r. */
static void the_slopes_of_a_growing_margin_are_those_of_its_value(void **state) {
    lgt_loss loss = with_warmup("magface:s=8,l_a=1,u_a=17", "exponential/0/100");
    const double h = 1e-5;
    (void)state;
    for (int64_t step = 0; step <= 100; step += 5) {
        lgt_pair at = pair_at(1.1, 5), low = pair_at(1.1, 5 - h), high = pair_at(1.1, 5 + h);
        lgt_bend b, below, above;
        lgt_loss_bend(&loss, &at, step, &b);
        lgt_loss_bend(&loss, &low, step, &below);
        lgt_loss_bend(&loss, &high, step, &above);
        assert_at_most(fabs(b.d_r - (above.value - below.value) / (2 * h)), 8e-9, "d_r");
        assert_at_most(fabs(b.d_r_r - (above.d_r - below.d_r) / (2 * h)), 8e-9, "d_r_r");
        assert_at_most(fabs(b.d_theta_r - (above.d_theta - below.d_theta) / (2 * h)), 8e-9, "d_theta_r");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_margin_without_lambda_can_warm_up),
        cmocka_unit_test(warm_ups_are_written_as_they_are_read),
        cmocka_unit_test(what_is_no_warm_up_is_refused_with_what_was_expected),
        cmocka_unit_test(specifications_of_the_longest_numbers_fit),
        cmocka_unit_test(warm_ups_go_from_none_to_whole_exactly),
        cmocka_unit_test(warm_ups_never_fall_back),
        cmocka_unit_test(half_way_the_margin_is_half_as_large),
        cmocka_unit_test(from_its_end_on_a_warm_up_is_as_if_it_had_never_been),
        cmocka_unit_test(before_its_start_there_is_no_margin),
        cmocka_unit_test(the_slopes_of_a_growing_margin_are_those_of_its_value),
    };
    return cmocka_run_group_tests_name("warmup", tests, NULL, NULL);
}
