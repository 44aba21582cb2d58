/* Plans: schedules known to work or to fail are judged so, proposals keep what they promise, scales meet their bound.
 */
#include "support.h"

#include <math.h>

#include "base/text.h"
#include "logitude/analysis.h"
#include "math/sphere.h"

static lgt_schedule_review review_loss(const lgt_loss *loss, int64_t n_steps, int64_t dim, double target) {
    lgt_schedule_review review;
    lgt_error err;
    assert_ok(lgt_schedule_review_run(loss, n_steps, dim, target, &review, &err), err);
    return review;
}

static lgt_schedule_review review_of(const char *spec, int64_t n_steps, int64_t dim, double target) {
    lgt_loss loss = test_loss_of(spec);
    return review_loss(&loss, n_steps, dim, target);
}

/* ---- judgements ---- */

static void known_schedules_are_judged_as_they_fared(void **state) {
    static const struct {
        const char *spec;
        int64_t n_steps, dim;
        double target;
        int warnings;
    } known[] = {
        {"lsoftmax:m=4,lambda=geometric/1000/0.99/5", 70000, 512, 5, LGT_SCHEDULE_FAST},
        {"lsoftmax:m=4,lambda=geometric/1000/0.9997/5", 70000, 512, 5, 0},
        {"sphereface:m=4,lambda=power/1000/0.12/1/5", 28000, 512, 5, 0},
        {"lsoftmax:m=4,lambda=0", 20000, 512, 5, LGT_SCHEDULE_DEAD},
        {"lsoftmax:m=2,lambda=0", 20000, 512, 5, LGT_SCHEDULE_DEAD},
        {"lsoftmax:m=6,lambda=0.001", 20000, 2048, 5, LGT_SCHEDULE_DEAD},
        {"lsoftmax:m=3,lambda=0", 20000, 512, 5, 0}, /* alive at 90 degrees */
        {"lsoftmax:m=1,lambda=0", 20000, 512, 5, 0},
        {"lsoftmax:m=4,lambda=5", 20000, 512, 5, 0},
        {"lsoftmax:m=4,lambda=7.5", 20000, 512, 5, 0},
        {"lsoftmax:m=4,lambda=7.6", 20000, 512, 5, LGT_SCHEDULE_WEAK},
        {"lsoftmax:m=4,lambda=geometric/1000/0.9997/5", 10000, 512, 5, LGT_SCHEDULE_LATE | LGT_SCHEDULE_WEAK},
        {"lsoftmax:m=4,lambda=power/1000/0.01/1/5", 10000, 512, 20, LGT_SCHEDULE_LATE},
        {"arcface", 10000, 512, 5, 0},
        {"arcface:warmup=linear/100/10000", 10000, 512, 5, LGT_SCHEDULE_LATE},
        {"arcface:warmup=linear/100/9999", 10000, 512, 5, 0},
        {"arcface:m=1.57", 10000, 512, 5, LGT_SCHEDULE_DEAD}, /* -s sin(theta + m) is 0 at 90 degrees */
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        lgt_schedule_review r = review_of(known[i].spec, known[i].n_steps, known[i].dim, known[i].target);
        if (r.warnings != known[i].warnings)
            fail_msg("%s: warnings %d, expected %d", known[i].spec, r.warnings, known[i].warnings);
    }
}

/* At m = 2 the force over the plain one is 4 |cos(theta)|, so both numbers have closed forms. */
static void dead_starts_depend_on_the_dimension_as_the_error_function(void **state) {
    static const int64_t dims[] = {16, 128, 512, 10000};
    (void)state;
    for (int i = 0; i < 4; i++) {
        lgt_schedule_review r = review_of("lsoftmax:m=2,lambda=0", 100, dims[i], 5);
        double root = sqrt((double)dims[i]), dead = erf(asin(0.025) * root / sqrt(2));
        double force = 4 * sqrt(2 / LGT_PI) / root;
        /* Nodes 0.005 deviations apart, lines between them: squares of that, and at the kink in the middle all of it.
         */
        assert_at_most(fabs(r.dead_starts - dead), 2e-5, "the share of dead starts");
        /* sin and cos of angles up to a few deviations: the next term is 1/dim of it. */
        assert_at_most(fabs(r.start_force / force - 1), 2 / (double)dims[i] + 1e-4, "the mean force");
        assert_true(r.start_logit == -1 || fabs(r.start_logit + 1) < 1e-15);
        assert_true(r.dead_share == (force < 0.1));
    }
}

static void the_dead_share_counts_the_steps_behind_the_fall(void **state) {
    /* The mean force of m = 2 at D = 10000 is 0.032 + lambda/(1 + lambda) or so: below a tenth from lambda = 0.076 on.
     */
    lgt_schedule_review r = review_of("lsoftmax:m=2,lambda=geometric/1000/0.99/0", 2000, 10000, 0);
    double lambda = 0, step;
    (void)state;
    for (step = 0; step < 2000; step++) {
        lambda = 1000 * pow(0.99, step);
        if ((lambda + 4 * sqrt(2 / LGT_PI) / 100) / (1 + lambda) < 0.1) break;
    }
    /* The sum stands for the mean of |lambda + 4 c|, which is larger by a few per cent where they are alike. */
    assert_at_most(fabs(r.dead_share - (1 - step / 2000)), 0.02, "the dead share");
    assert_true(r.dead_share > 0.4);
}

static void arrivals_are_the_first_step_at_the_target(void **state) {
    (void)state;
    lgt_schedule_review g = review_of("lsoftmax:lambda=geometric/1000/0.99/5", 10000, 128, 5);
    assert_true(g.arrives == ceil(log(200) / -log(0.99)) / 10000);
    lgt_schedule_review p = review_of("sphereface:lambda=power/1000/0.12/1/5", 10000, 128, 5);
    assert_true(p.arrives == ceil(199 / 0.12) / 10000);
    assert_true(review_of("lsoftmax:lambda=5", 10, 128, 5).arrives == 0);
    assert_true(isnan(review_of("lsoftmax:lambda=6", 10, 128, 5).arrives));
    assert_true(review_of("arcface:warmup=exponential/10/50", 100, 128, 5).arrives == 0.5);
    assert_true(review_of("arcface", 100, 128, 5).arrives == 0);
    assert_true(isnan(review_of("arcface:warmup=exponential/10/500", 100, 128, 5).arrives));
    assert_true(review_of("lsoftmax:lambda=5", 1, 1, 5).arrives == 0); /* the shortest training */
}

static void the_fastest_step_is_told(void **state) {
    (void)state;
    /* From 5.026... to 5 the share would gain less: the fastest is the last whole step of 0.99 above 5. */
    lgt_schedule_review g = review_of("lsoftmax:lambda=geometric/1000/0.99/5", 100000, 128, 5);
    double lambda = 1000 * pow(0.99, 526);
    assert_at_most(fabs(g.fastest - (1 / (1 + 0.99 * lambda) - 1 / (1 + lambda))), 1e-5, "the margin gained");
    assert_at_most(fabs(g.fastest_factor - 0.99), 1e-12, "the factor");
    lgt_schedule_review w = review_of("arcface:warmup=linear/100/300", 1000, 128, 5);
    assert_at_most(fabs(w.fastest - 1.0 / 200), 1e-15, "a linear warm-up's step");
    assert_true(isnan(w.fastest_factor));
}

/* ---- proposals ---- */

static void check_lambda_proposal(const lgt_loss *loss, int64_t n_steps, double target) {
    char text[LGT_LOSS_SPEC_SIZE];
    lgt_lint_curve curve = {.force = (double[181]){0}, .plain_force = (double[181]){0}};
    lgt_error err;
    lgt_loss_format(loss, text, sizeof text);
    lgt_loss back = test_loss_of(text); /* ready to be pasted */
    lgt_schedule_review r = review_loss(&back, n_steps, 512, target);
    assert_ok(lgt_lint_draw(&back, 0, 1, 1, 181, &curve, &err), err);
    for (int i = 0; i <= 180; i++)
        assert_at_most(fabs(curve.force[i] - curve.plain_force[i]), 0.01 * curve.plain_force[i] + 1e-15, text);
    /* Four digits of the rate: 1e-3 of the way at most. */
    assert_at_most(fabs(r.arrives - 0.5), 1e-3 + 1.0 / (double)n_steps, text);
    if (target > 0) assert_true(r.last == target);
    if (target == 0) assert_true(r.last <= 0.01);
    assert_true(r.dead_share == 0 && r.dead_starts == 0);
    if (n_steps >= 20000) assert_int_equal(r.warnings, 0);
}

static void proposals_of_lambda_keep_their_promises(void **state) {
    static const char *const specs[] = {"lsoftmax:m=2", "lsoftmax:m=3,lambda=0", "lsoftmax:m=4", "sphereface",
                                        "sphereface:m=7,lambda=1"};
    static const int64_t lengths[] = {100, 1001, 20000, INT64_C(1) << 40};
    static const double targets[] = {0, 1, 5};
    (void)state;
    for (int i = 0; i < 5 * 4 * 3; i++) {
        lgt_loss loss = test_loss_of(specs[i / 12]), proposals[2];
        int count = 0;
        lgt_error err;
        int64_t n_steps = lengths[i / 3 % 4];
        assert_ok(lgt_schedule_propose(&loss, n_steps, targets[i % 3], proposals, &count, &err), err);
        assert_int_equal(count, 2);
        assert_int_equal(proposals[0].schedule.kind, LGT_SCHEDULE_GEOMETRIC);
        assert_int_equal(proposals[1].schedule.kind, LGT_SCHEDULE_POWER);
        for (int k = 0; k < 2; k++) check_lambda_proposal(&proposals[k], n_steps, targets[i % 3]);
    }
}

static void proposals_of_warm_ups_lie_between_an_eighth_and_a_quarter(void **state) {
    lgt_loss loss = test_loss_of("cosface:s=30,m=0.2"), proposals[2];
    int count = 0;
    lgt_error err;
    (void)state;
    for (int64_t n = 8; n < 100000; n = n * 3 + 1) {
        assert_ok(lgt_schedule_propose(&loss, n, 5, proposals, &count, &err), err);
        assert_int_equal(count, 2);
        for (int k = 0; k < 2; k++) {
            char text[LGT_LOSS_SPEC_SIZE];
            lgt_loss_format(&proposals[k], text, sizeof text);
            lgt_schedule_review r;
            loss = test_loss_of(text);
            r = review_loss(&loss, n, 128, 5);
            assert_true(r.first == 0 && r.last == 1 && r.warnings == 0);
            assert_at_most(fabs(r.arrives - 0.25), 1 / (double)n, text);
        }
    }
}

static void where_there_is_nothing_to_plan_that_is_said(void **state) {
    lgt_loss softmax = test_loss_of("softmax"), plain = test_loss_of("lsoftmax:m=1"), arcface = test_loss_of("arcface"),
             proposals[2];
    lgt_schedule_review review;
    int count = 7;
    lgt_error err;
    (void)state;
    assert_fails(lgt_schedule_propose(&softmax, 100, 5, proposals, &count, &err), LGT_ERR_USAGE, err, "neither");
    assert_fails(lgt_schedule_review_run(&softmax, 100, 5, 5, &review, &err), LGT_ERR_USAGE, err, "neither");
    assert_ok(lgt_schedule_propose(&plain, 100, 5, proposals, &count, &err), err);
    assert_int_equal(count, 0);
    assert_fails(lgt_schedule_propose(&arcface, 7, 5, proposals, &count, &err), LGT_ERR_USAGE, err, "7 steps");
    assert_fails(lgt_schedule_review_run(&arcface, 0, 5, 5, &review, &err), LGT_ERR_USAGE, err, "0 steps");
    assert_fails(lgt_schedule_review_run(&arcface, 10, 0, 5, &review, &err), LGT_ERR_USAGE, err, "0 dimensions");
    assert_fails(lgt_schedule_review_run(&arcface, 10, 1, -1, &review, &err), LGT_ERR_USAGE, err, "-1");
    assert_fails(lgt_schedule_review_run(&arcface, 10, 1, NAN, &review, &err), LGT_ERR_USAGE, err, "nan");
}

/* ---- scales ---- */

static lgt_scale_review scale_of(const char *spec, int64_t n_classes, double probability) {
    lgt_loss loss = test_loss_of(spec);
    lgt_scale_review review;
    lgt_error err;
    assert_ok(lgt_scale_review_run(&loss, 0, n_classes, probability, &review, &err), err);
    return review;
}

/* The simplex itself: one cosine of 1, C - 1 of -1/(C-1), and their softmax. */
static void the_bound_is_the_softmax_of_a_simplex(void **state) {
    static const int64_t classes[] = {2, 3, 10, 1000};
    (void)state;
    for (int i = 0; i < 4; i++) {
        double others = (double)classes[i] - 1, s = 3;
        lgt_scale_review r = scale_of("normalized:s=3", classes[i], 0.99);
        double p = exp(s) / (exp(s) + others * exp(-s / others));
        assert_at_most(fabs(r.most_probability - p), 1e-14, "the best probability");
        assert_at_most(fabs(r.least_loss + log(p)), 1e-14, "the least loss");
        char spec[64];
        lgt_text_format(spec, sizeof spec, "normalized:s=%.17g", r.needed);
        lgt_scale_review again = scale_of(spec, classes[i], 0.99);
        assert_at_most(fabs(again.most_probability - 0.99), 1e-14, "the probability of the needed scale");
        assert_true(r.needed == r.needed_with_margin || fabs(r.needed / r.needed_with_margin - 1) < 1e-15);
    }
}

static void a_margin_needs_a_larger_scale(void **state) {
    (void)state;
    lgt_scale_review plain = scale_of("normalized:s=64", 1000, 0.9), arc = scale_of("arcface:s=64,m=0.5", 1000, 0.9);
    double odds = log(999 * 0.9 / 0.1);
    assert_at_most(fabs(arc.needed_with_margin - odds / (cos(0.5) + 1.0 / 999)), 1e-13, "the scale under the margin");
    assert_true(arc.needed == plain.needed && arc.suggested == 2 * arc.needed_with_margin);
    /* s cos(theta + m) = the odds */
    assert_at_most(fabs(cos(arc.satisfied + 0.5) - odds / 64), 1e-11, "the angle that satisfies");
    assert_at_most(fabs(plain.satisfied - arc.satisfied - 0.5), 1e-11, "the margin between them");
}

static void scales_are_called_small_and_large(void **state) {
    (void)state;
    assert_true(scale_of("normalized:s=4", 1000, 0.99).too_small);
    assert_true(isnan(scale_of("normalized:s=4", 1000, 0.99).satisfied));
    /* -0.99 s at 0 degrees, 0.99 s at 180 */
    assert_true(scale_of("arcface:m=3,tail=none", 10, 0.6).satisfied == LGT_PI);
    assert_true(scale_of("arcface:s=64", 10, 0.99).too_large);
    assert_false(scale_of("arcface:s=64", 85742, 0.99).too_large || scale_of("arcface:s=64", 85742, 0.99).too_small);
    lgt_scale_review never = scale_of("cosface:s=64,m=1.99", 3, 0.99);
    assert_true(never.too_small && !never.too_large && isnan(never.needed_with_margin) && isnan(never.suggested));
}

static void scales_without_sense_are_refused(void **state) {
    lgt_loss arcface = test_loss_of("arcface"), lsoftmax = test_loss_of("lsoftmax");
    lgt_scale_review r;
    lgt_error err;
    (void)state;
    assert_fails(lgt_scale_review_run(&lsoftmax, 0, 10, 0.9, &r, &err), LGT_ERR_USAGE, err, "no scale");
    assert_fails(lgt_scale_review_run(&arcface, 0, 1, 0.9, &r, &err), LGT_ERR_USAGE, err, "1 classes");
    assert_fails(lgt_scale_review_run(&arcface, 0, 10, 0.1, &r, &err), LGT_ERR_USAGE, err, "0.1");
    assert_fails(lgt_scale_review_run(&arcface, 0, 10, 1, &r, &err), LGT_ERR_USAGE, err, "below 1");
    assert_fails(lgt_scale_review_run(&arcface, 0, 10, NAN, &r, &err), LGT_ERR_USAGE, err, "nan");
    assert_fails(lgt_scale_review_run(&arcface, -1, 10, 0.9, &r, &err), LGT_ERR_USAGE, err, "step");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_schedules_are_judged_as_they_fared),
        cmocka_unit_test(dead_starts_depend_on_the_dimension_as_the_error_function),
        cmocka_unit_test(the_dead_share_counts_the_steps_behind_the_fall),
        cmocka_unit_test(arrivals_are_the_first_step_at_the_target),
        cmocka_unit_test(the_fastest_step_is_told),
        cmocka_unit_test(proposals_of_lambda_keep_their_promises),
        cmocka_unit_test(proposals_of_warm_ups_lie_between_an_eighth_and_a_quarter),
        cmocka_unit_test(where_there_is_nothing_to_plan_that_is_said),
        cmocka_unit_test(the_bound_is_the_softmax_of_a_simplex),
        cmocka_unit_test(a_margin_needs_a_larger_scale),
        cmocka_unit_test(scales_are_called_small_and_large),
        cmocka_unit_test(scales_without_sense_are_refused),
    };
    return cmocka_run_group_tests_name("schedule_plan", tests, NULL, NULL);
}
