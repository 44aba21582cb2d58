/* Defects of target logits: what every tail and multiple is known for is found where it is, what is sound has none, and
 * what is said about rising agrees with a plain walk over a grid, for random parameters of every loss. */
#include "support.h"

#include <math.h>
#include <string.h>

#include "base/philox.h"
#include "base/text.h"
#include "logitude/analysis.h"
#include "loss/definition.h"
#include "math/sphere.h"

static lgt_lint lint_loss(const lgt_loss *loss, int64_t step, double r) {
    lgt_lint lint;
    lgt_error err;
    assert_ok(lgt_lint_run(loss, step, r, 1, &lint, &err), err);
    assert_int_equal(lint.n_defects, lint.n_jumps + lint.n_rises + lint.n_dead);
    return lint;
}

static lgt_lint lint_of(const char *spec) {
    lgt_loss loss = test_loss_of(spec);
    return lint_loss(&loss, 0, lgt_lint_norm(&loss));
}

/* ---- what is known ---- */

static void sound_losses_have_no_defect(void **state) {
    static const char *const sound[] = {"softmax",
                                        "normalized",
                                        "cosface",
                                        "adaface",
                                        "magface",
                                        "curricularface",
                                        "subcenter",
                                        "lsoftmax",
                                        "sphereface",
                                        "lsoftmax:m=1,lambda=0",
                                        "sphereface:m=4,lambda=5",
                                        "sphereface-r:m=1",
                                        "combined:m1=1,m2=0,m3=0.3",
                                        "combined:m1=0.8,m2=0.3"};
    (void)state;
    for (size_t i = 0; i < sizeof sound / sizeof *sound; i++) {
        if (lint_of(sound[i]).n_defects) fail_msg("%s has a defect", sound[i]);
        assert_int_equal(lint_of(sound[i]).n_jumps, 0);
    }
    for (int i = 0; i <= 30; i++) {
        char spec[64];
        lgt_text_format(spec, sizeof spec, "arcface:m=%.17g,tail=continuous", i * 0.1043);
        if (lint_of(spec).n_defects) fail_msg("%s has a defect", spec);
    }
}

static void every_tail_has_its_known_defects(void **state) {
    static const struct {
        const char *spec;
        int jumps, rises, dead, kinks;
    } known[] = {
        {"arcface:tail=continuous", 0, 0, 0, 1},
        {"arcface:tail=cosface", 1, 0, 0, 1},
        {"arcface:tail=fold", 0, 0, 1, 0},
        {"arcface:tail=none", 0, 1, 1, 0},
        {"arcface:tail=clip", 0, 0, 1, 0},
        {"arcface:tail=easy", 1, 0, 0, 1},
        {"arcface:m=2,tail=easy", 1, 1, 1, 1},
        {"arcface:m=0,tail=none", 0, 0, 0, 0},
        {"combined", 0, 0, 1, 0},
        {"sphereface-r", 0, 0, 1, 0},
        {"magface:tail=clip", 0, 0, 1, 0},
        {"subcenter:tail=cosface", 1, 0, 0, 1},
        {"curricularface:tail=easy", 1, 0, 0, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        lgt_lint lint = lint_of(known[i].spec);
        if (lint.n_jumps != known[i].jumps || lint.n_rises != known[i].rises || lint.n_dead != known[i].dead ||
            lint.n_kinks != known[i].kinks)
            fail_msg("%s: %d jumps, %d rises, %d dead zones, %d kinks", known[i].spec, lint.n_jumps, lint.n_rises,
                     lint.n_dead, lint.n_kinks);
    }
}

static void the_cosface_tail_jumps_by_its_formula_where_it_begins(void **state) {
    static const double margins[] = {0.01, 0.35, 0.5, 0.8, 2, 2.9};
    (void)state;
    for (int i = 0; i < 6; i++) {
        char spec[64];
        double m = margins[i];
        lgt_text_format(spec, sizeof spec, "arcface:s=64,m=%.17g,tail=cosface", m);
        lgt_lint lint = lint_of(spec);
        assert_int_equal(lint.n_jumps, 1);
        assert_at_most(fabs(lint.jumps[0].theta - (LGT_PI - m)), 1e-15 * 4, "the jump's place");
        assert_at_most(fabs(lint.jumps[0].size - 64 * (1 - cos(m) - m * sin(m))), 64 * 1e-14, "the jump's size");
    }
    assert_at_most(fabs(lint_of("arcface:m=0.5,tail=cosface").jumps[0].size / 64 + 0.1173), 5e-5, "-0.1173 s");
}

static void the_easy_margin_jumps_at_ninety_degrees_by_s_sin_m(void **state) {
    lgt_lint lint = lint_of("arcface:s=2,m=0.5,tail=easy");
    (void)state;
    assert_at_most(fabs(lint.jumps[0].theta - LGT_PI / 2), 1e-15, "90 degrees");
    assert_at_most(fabs(lint.jumps[0].size - 2 * sin(0.5)), 1e-14, "s sin(m)");
}

static void without_a_tail_the_logit_rises_behind_pi_less_m(void **state) {
    lgt_lint lint = lint_of("arcface:s=10,m=0.5,tail=none");
    (void)state;
    /* Slopes count from 1e-9 of s on, which the sine exceeds 1e-9 radians further. */
    assert_at_most(fabs(lint.rises[0].from - (LGT_PI - 0.5) - 1e-9), 1e-14, "where it begins");
    assert_true(lint.rises[0].to == LGT_PI);
    assert_at_most(fabs(lint.rises[0].rise - 10 * (1 - cos(0.5))), 1e-13, "by how much");
}

static void the_clip_tail_is_dead_up_to_the_end(void **state) {
    lgt_lint lint = lint_of("arcface:m=0.5,tail=clip");
    (void)state;
    assert_at_most(fabs(lint.dead[0].at - (LGT_PI - 0.5)), 1e-11, "where the force is gone");
    assert_true(lint.dead[0].to == LGT_PI && lint.dead[0].force == 0);
    /* s sin(theta + m) is 1 % of s sin(theta) 0.0048 radians before. */
    double from = lint.dead[0].from;
    assert_at_most(fabs(sin(from + 0.5) / sin(from) - 0.01), 1e-12, "1 % at the edge");
}

static void multiples_are_dead_at_every_branch(void **state) {
    static const char *const losses[] = {"lsoftmax", "sphereface"};
    (void)state;
    for (int m = 1; m <= 64; m += m < 9 ? 1 : 11) {
        char spec[64];
        lgt_text_format(spec, sizeof spec, "%s:m=%d,lambda=0", losses[m % 2], m);
        lgt_lint lint = lint_of(spec);
        assert_int_equal(lint.n_dead, m - 1);
        assert_int_equal(lint.n_defects, m - 1);
        for (int k = 1; k < m; k++) {
            const lgt_lint_dead *dead = &lint.dead[k - 1];
            /* The last place of golden section, 1e-12, and rounding m^3 eps of a slope that changes by m^2. */
            assert_at_most(fabs(dead->at - k * LGT_PI / m), 1e-11, "k pi / m");
            /* m |sin(m d)| is 1 % of sin(theta) at d = 0.01 sin(theta) / m^2, to 1 % itself. */
            double half = 0.01 * sin(dead->at) / m / m;
            assert_at_most(fabs((dead->to - dead->from) / (2 * half) - 1), 0.02, "the zone's width");
        }
    }
}

static void zones_narrower_than_the_grid_are_found(void **state) {
    (void)state;
    for (int i = 0; i < 12; i++) {
        char spec[64];
        double m = 20 + i * 3.6931;
        lgt_text_format(spec, sizeof spec, "sphereface-r:m=%.17g", m);
        lgt_lint lint = lint_of(spec);
        assert_int_equal(lint.n_dead, (int)ceil(m) - 1); /* m theta = k pi below m pi */
    }
}

static void the_largest_force_is_where_the_sine_peaks(void **state) {
    lgt_lint arcface = lint_of("arcface:s=64,m=0.5"), softmax = lint_of("softmax"), four = lint_of("lsoftmax:lambda=0");
    (void)state;
    /* A maximum is flat: its place is good to the root of eps. */
    assert_at_most(fabs(arcface.largest_theta - (LGT_PI / 2 - 0.5)), 1e-7, "90 degrees less m");
    assert_at_most(fabs(arcface.largest_force - 64), 1e-12, "s");
    assert_at_most(fabs(softmax.largest_theta - LGT_PI / 2), 1e-7, "90 degrees");
    assert_at_most(fabs(four.largest_force - 4), 1e-12, "m |w| |x|");
    assert_true(lint_of("arcface:m=3,tail=none").largest_force < -63); /* it repels */
}

static void a_margin_that_reads_the_norm_is_seen_at_that_norm(void **state) {
    lgt_loss adaface = test_loss_of("adaface"), magface = test_loss_of("magface:tail=cosface"),
             arcface = test_loss_of("arcface");
    (void)state;
    assert_true(lgt_lint_norm(&arcface) == 1 && lgt_lint_norm(&magface) == 60 && lgt_lint_norm(&adaface) == 20);
    /* A norm far above the mean has the angular margin -m: the logit rises up to theta = m. */
    lgt_lint high = lint_loss(&adaface, 0, 1e6);
    assert_int_equal(high.n_rises, 1);
    assert_at_most(fabs(high.rises[0].to - 0.4), 2e-9, "the end of the rise");
    assert_int_equal(lint_loss(&adaface, 0, 1).n_defects, 0);
    assert_at_most(fabs(lint_loss(&magface, 0, 10).jumps[0].theta - (LGT_PI - 0.45)), 1e-14, "pi less l_m");
    assert_at_most(fabs(lint_loss(&magface, 0, 110).jumps[0].theta - (LGT_PI - 0.8)), 1e-14, "pi less u_m");
}

static void the_step_decides(void **state) {
    lgt_loss warm = test_loss_of("arcface:tail=cosface,warmup=linear/100/200"),
             moving = test_loss_of("lsoftmax:lambda=geometric/1000/0.5/0");
    (void)state;
    assert_int_equal(lint_loss(&warm, 100, 1).n_defects, 0);
    assert_at_most(fabs(lint_loss(&warm, 150, 1).jumps[0].theta - (LGT_PI - 0.25)), 1e-14, "half the margin");
    assert_int_equal(lint_loss(&moving, 0, 1).n_defects, 0);
    assert_int_equal(lint_loss(&moving, 1000, 1).n_dead, 3);
}

static void hard_negatives_jump_at_their_threshold(void **state) {
    lgt_lint lint = lint_of("curricularface:s=64,t=0.2");
    (void)state;
    assert_int_equal(lint.n_crowd_jumps, 2);
    /* s a (t + a - 1): least at a = (1 - t) / 2, largest at a = -1; the grid's angle is good to 1e-4. */
    assert_at_most(fabs(lint.crowd_jumps[0].cosine - 0.4), 1e-4, "the threshold of the largest fall");
    assert_at_most(fabs(lint.crowd_jumps[0].size + 64 * 0.16), 1e-5, "the largest fall");
    assert_at_most(fabs(lint.crowd_jumps[1].size - 64 * 1.8), 1e-5, "the largest rise");
    assert_int_equal(lint_of("arcface").n_crowd_jumps, 0);
}

/* ---- losses that there are not yet ---- */

/* Falls as the cosine; 30 jumps of size 0.001 two to a grid cell, then flat from 1.1 to 1.2 where a kink ends it. */
static void bend_oddly(const double *p, double scheduled, const lgt_pair *pair, lgt_bend *out) {
    (void)p, (void)scheduled;
    for (int i = 0; i < 30; i++)
        if (pair->theta > 0.5 + 1e-4 * i) out->value -= 0.001;
    if (pair->theta > 1.1 && pair->theta <= 1.2) {
        out->value += cos(1.1) - pair->c;
        out->d_theta = pair->sine;
        out->d_theta_theta = pair->c;
    }
    if (pair->theta > 1.2) out->value += cos(1.1) - cos(1.2);
}

static void a_loss_of_no_list_is_judged_by_its_values_alone(void **state) {
    static const lgt_loss_definition odd = {.info = {.name = "odd", .space = LGT_SPACE_DOT}, .bend = bend_oddly};
    lgt_loss loss = {.info = &odd.info};
    lgt_lint lint = lint_loss(&loss, 0, 1);
    (void)state;
    assert_int_equal(lint.n_jumps, 30);
    for (int i = 0; i < 30; i++) {
        assert_at_most(fabs(lint.jumps[i].theta - (0.5 + 1e-4 * i)), 1e-14, "the jump's place");
        assert_at_most(fabs(lint.jumps[i].size + 0.001), 1e-13, "the jump's size");
    }
    assert_int_equal(lint.n_kinks, 2);
    assert_int_equal(lint.n_rises, 0);
    assert_int_equal(lint.n_dead, 1); /* though a kink ends it: it is flat throughout */
    assert_at_most(fabs(lint.dead[0].from - 1.1) + fabs(lint.dead[0].to - 1.2), 1e-14, "the flat interval");
}

/* More of everything than the lists hold. */
static void bend_much(const double *p, double scheduled, const lgt_pair *pair, lgt_bend *out) {
    (void)p, (void)scheduled;
    out->value = floor(pair->theta * 100);
}

static void lists_that_are_full_stay_in_bounds(void **state) {
    static const lgt_loss_definition much = {.info = {.name = "much", .space = LGT_SPACE_DOT}, .bend = bend_much};
    lgt_loss loss = {.info = &much.info};
    lgt_lint lint = lint_loss(&loss, 0, 1);
    (void)state;
    assert_int_equal(lint.n_jumps, LGT_LINT_MOST);
    assert_true(lint.jumps[LGT_LINT_MOST - 1].theta < 1.29);
}

/* ---- every loss, any parameters ---- */

static double draw(const lgt_param_info *param, const lgt_rng *rng, uint64_t at) {
    double u = lgt_rng_uniform(rng, at);
    int words = 0;
    while (param->kind == LGT_PARAM_CHOICE && param->words[words]) words++;
    if (param->kind == LGT_PARAM_CHOICE) return floor(u * words);
    if (param->kind == LGT_PARAM_INTEGER) return floor(param->low + u * (fmin(param->high, 12) - param->low));
    return param->high > 1000 ? 0.5 + 100 * u : param->low + u * (fmin(param->high, 6) - param->low);
}

static lgt_loss random_loss(const lgt_loss_info *info, const lgt_rng *rng, uint64_t at) {
    lgt_loss loss = test_loss_of(info->name);
    for (int p = 0; p < info->n_params; p++) loss.values[p] = draw(&info->params[p], rng, at + (uint64_t)p);
    if (lgt_schedule_is_lambda(&loss)) loss.schedule = (lgt_schedule){.a = floor(4 * lgt_rng_uniform(rng, at + 20))};
    if (strcmp(info->name, "magface") == 0) { /* in order, as its check demands */
        if (loss.values[1] > loss.values[2]) loss.values[2] = loss.values[1];
        loss.values[4] += loss.values[3];
    }
    return loss;
}

enum { WALK = 40009 };

static double risen_on_a_grid(const lgt_loss *loss, double r, double *logit) {
    lgt_error err;
    double risen = 0;
    assert_ok(lgt_lint_draw(loss, 0, r, 1, WALK, &(lgt_lint_curve){.logit = logit}, &err), err);
    for (int i = 1; i < WALK; i++) risen += fmax(0, logit[i] - logit[i - 1]);
    return risen;
}

static double risen_by_lint(const lgt_lint *lint) {
    double risen = 0;
    for (int i = 0; i < lint->n_rises; i++) risen += lint->rises[i].rise;
    for (int i = 0; i < lint->n_jumps; i++) risen += fmax(0, lint->jumps[i].size);
    return risen;
}

static void what_rises_agrees_with_a_walk_over_a_grid(void **state) {
    static double logit[WALK];
    lgt_rng rng = {2026, 7};
    int rising = 0, falling = 0;
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) {
        for (uint64_t n = 0; n < 10; n++) {
            lgt_loss loss = random_loss(lgt_loss_at(i), &rng, ((uint64_t)i * 100 + n) * 32);
            double r = 0.1 + 150 * lgt_rng_uniform(&rng, ((uint64_t)i * 100 + n) * 32 + 21);
            lgt_lint lint = lint_loss(&loss, 0, r);
            double walked = risen_on_a_grid(&loss, r, logit), found = risen_by_lint(&lint);
            /* A step of the walk that holds a jump or an end of a rise misses at most its own fall or rise; the logit's
             * rounding, up to 1e-14 of its size (m <= 12), may count at every step. */
            double step = LGT_PI / (WALK - 1) * fabs(lint.largest_force);
            double limit = step * (lint.n_jumps + 2 * lint.n_rises) + WALK * 1e-13 * lint.scale;
            if (!(fabs(walked - found) <= limit)) {
                char spec[LGT_LOSS_SPEC_SIZE];
                lgt_loss_format(&loss, spec, sizeof spec);
                fail_msg("%s, |x| = %g: rises by %g on a grid, by %g in lint", spec, r, walked, found);
            }
            if (found > limit) rising++;
            if (found == 0) falling++;
        }
    }
    print_message("%d rise, %d do not\n", rising, falling);
    assert_true(rising > 10 && falling > 50);
}

static void forces_are_the_slopes_of_the_drawn_logits(void **state) {
    enum { POINTS = 2001 };
    static double theta[POINTS], logit[POINTS], force[POINTS], plain_logit[POINTS], plain_force[POINTS];
    const lgt_lint_curve curve = {theta, logit, force, plain_logit, plain_force};
    lgt_loss loss = test_loss_of("lsoftmax:m=3,lambda=1");
    lgt_error err;
    (void)state;
    assert_ok(lgt_lint_draw(&loss, 0, 2, 3, POINTS, &curve, &err), err);
    assert_true(theta[0] == 0 && theta[POINTS - 1] == LGT_PI && logit[0] == 6 && plain_logit[0] == 6);
    for (int i = 1; i < POINTS - 1; i++) {
        double h = theta[i + 1] - theta[i - 1];
        /* h^2 f'''/6 with f''' up to 6 * 9 * 3 and kinks in f'' of 6 * 9: below h * 6 * 9. */
        assert_at_most(fabs((logit[i - 1] - logit[i + 1]) / h - force[i]), h * 54, "the force");
        assert_at_most(fabs(plain_logit[i] - 6 * cos(theta[i])) + fabs(plain_force[i] - 6 * sin(theta[i])), 1e-14,
                       "the plain head");
    }
    assert_fails(lgt_lint_draw(&loss, 0, 2, 3, 1, &curve, &err), LGT_ERR_USAGE, err, "1 points");
    assert_fails(lgt_lint_draw(&loss, 0, 0, 3, 9, &curve, &err), LGT_ERR_USAGE, err, "norms");
}

static void wrong_norms_and_steps_are_refused(void **state) {
    static const double norms[] = {0, -1, NAN, INFINITY, 1e101};
    lgt_loss loss = test_loss_of("arcface");
    lgt_lint lint;
    lgt_error err;
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_fails(lgt_lint_run(&loss, 0, norms[i], 1, &lint, &err), LGT_ERR_USAGE, err, "norms");
        assert_fails(lgt_lint_run(&loss, 0, 1, norms[i], &lint, &err), LGT_ERR_USAGE, err, "norms");
    }
    assert_fails(lgt_lint_run(&loss, -1, 1, 1, &lint, &err), LGT_ERR_USAGE, err, "step is -1");
    assert_ok(lgt_lint_run(&loss, INT64_MAX, 1e100, 1e-100, &lint, &err), err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_losses_have_no_defect),
        cmocka_unit_test(every_tail_has_its_known_defects),
        cmocka_unit_test(the_cosface_tail_jumps_by_its_formula_where_it_begins),
        cmocka_unit_test(the_easy_margin_jumps_at_ninety_degrees_by_s_sin_m),
        cmocka_unit_test(without_a_tail_the_logit_rises_behind_pi_less_m),
        cmocka_unit_test(the_clip_tail_is_dead_up_to_the_end),
        cmocka_unit_test(multiples_are_dead_at_every_branch),
        cmocka_unit_test(zones_narrower_than_the_grid_are_found),
        cmocka_unit_test(the_largest_force_is_where_the_sine_peaks),
        cmocka_unit_test(a_margin_that_reads_the_norm_is_seen_at_that_norm),
        cmocka_unit_test(the_step_decides),
        cmocka_unit_test(hard_negatives_jump_at_their_threshold),
        cmocka_unit_test(a_loss_of_no_list_is_judged_by_its_values_alone),
        cmocka_unit_test(lists_that_are_full_stay_in_bounds),
        cmocka_unit_test(what_rises_agrees_with_a_walk_over_a_grid),
        cmocka_unit_test(forces_are_the_slopes_of_the_drawn_logits),
        cmocka_unit_test(wrong_norms_and_steps_are_refused),
    };
    return cmocka_run_group_tests_name("lint", tests, NULL, NULL);
}
