/* Losses that read more than an angle: AdaFace the sample's quality, MagFace its norm, CurricularFace the other classes
 * and the batches before. */
#include "support.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "bends.h"
#include "loss/definition.h"
#include "math/sphere.h"

static const double eps = DBL_EPSILON;

/* The target logit of a cosine loss. */
static double target(const lgt_loss *loss, const lgt_pair *pair) {
    return lgt_loss_value(loss, "s") * pair->c + bend_at(loss, pair).value;
}

/* ---- AdaFace ---- */

static lgt_pair pair_of_quality(double theta, double quality) {
    lgt_pair pair = pair_at(theta, 3, 2);
    pair.quality = quality;
    return pair;
}

/* Where theta + g_a is in [0, pi], and beyond it with the default tail, s (c - 1 + cos g_a) - s g_m. */
static long double defined_adaface(double theta, double m, double h, double mean, double deviation, double quality) {
    long double read = ((long double)quality - mean) / (deviation + 1e-3L) * h, clipped = fmaxl(-1, fminl(1, read));
    long double g_a = -m * clipped, g_m = m * clipped + m;
    long double bent = theta + g_a > LGT_PI ? cosl(theta) - 1 + cosl(g_a) : cosl(theta + g_a);
    return 64 * (bent - g_m);
}

static void adaface_follows_the_quality_of_the_sample(void **state) {
    static const double qualities[] = {0, 1e-3, 5, 12, 20, 21.5, 28, 1e3, 1e300};
    lgt_loss loss = test_loss_of("adaface:m=0.4,h=0.333,mean=20,deviation=3");
    (void)state;
    for (size_t k = 0; k < sizeof qualities / sizeof *qualities; k++) {
        for (int step = 0; step <= 360; step++) {
            lgt_pair pair = pair_of_quality(LGT_PI * step / 360, qualities[k]);
            long double wanted = defined_adaface(pair.theta, 0.4, 0.333, 20, 3, qualities[k]);
            /* A few roundings of numbers up to 3. */
            assert_at_most((double)fabsl(target(&loss, &pair) - wanted), 64 * 10 * eps, "the target's error");
        }
    }
}

/* At its mean the margins are those of CosFace, at the ends those of ArcFace turned round and of CosFace doubled. */
static void adaface_at_three_qualities_is_a_known_loss(void **state) {
    lgt_loss ada = test_loss_of("adaface:m=0.4,h=1,mean=20,deviation=3,tail=none"),
             arc = test_loss_of("arcface:m=0.4,tail=none"), cos_once = test_loss_of("cosface:m=0.4");
    (void)state;
    for (int step = 0; step <= 100; step++) {
        double theta = LGT_PI * step / 100, noise = 64 * 8 * eps;
        lgt_pair plain = pair_at(theta, 3, 2), poor = pair_of_quality(theta, 1), mean = pair_of_quality(theta, 20),
                 good = pair_of_quality(theta, 40);
        assert_at_most(fabs(target(&ada, &mean) - target(&cos_once, &plain)), noise, "mean quality from cosface");
        assert_at_most(fabs(target(&ada, &poor) - target(&arc, &plain)), noise, "poor quality from arcface");
        double doubled = 64 * (cos(theta - 0.4) - 0.8);
        assert_at_most(fabs(target(&ada, &good) - doubled), noise, "good quality from cos(theta - m) - 2 m");
    }
}

static void the_quality_is_a_constant_and_beyond_its_clip_changes_nothing(void **state) {
    lgt_loss loss = test_loss_of("adaface:m=0.4,h=0.333,mean=20,deviation=3");
    double end = (3 + 1e-3) / 0.333; /* from the mean to either end of the clip */
    (void)state;
    for (int step = 1; step < 90; step++) {
        double theta = LGT_PI * step / 90;
        lgt_pair near = pair_of_quality(theta, 22), far = near;
        far.r = 1e5, far.q = 1e-5;
        lgt_bend a = bend_at(&loss, &near), b = bend_at(&loss, &far);
        assert_memory_equal(&a, &b, sizeof a);
        assert_true(a.d_r == 0 && a.d_r_r == 0 && a.d_theta_r == 0 && a.d_q == 0 && a.penalty == 0);
        for (int side = -1; side <= 1; side += 2) {
            lgt_pair edge = pair_of_quality(theta, 20 + side * end * (1 + 4 * eps)), beyond = edge, inside = edge;
            beyond.quality = side < 0 ? 0 : 1e9, inside.quality = 20 + side * end * 0.99;
            assert_true(bend_at(&loss, &edge).value == bend_at(&loss, &beyond).value);
            assert_true(bend_at(&loss, &edge).value != bend_at(&loss, &inside).value);
        }
    }
}

static void adaface_derivatives_agree_with_differences(void **state) {
    static const char *const tails[] = {"continuous", "cosface", "fold", "none", "clip"};
    static const double qualities[] = {1, 17, 20, 24, 60};
    (void)state;
    for (int t = 0; t < 5; t++) {
        char spec[96];
        lgt_text_format(spec, sizeof spec, "adaface:m=0.7,h=0.333,mean=20,deviation=3,tail=%s", tails[t]);
        lgt_loss loss = test_loss_of(spec);
        for (int step = 1; step < 180; step++) {
            for (int k = 0; k < 5; k++) {
                lgt_pair pair = pair_of_quality(LGT_PI * step / 180, qualities[k]);
                double read = fmax(-1, fmin(1, (qualities[k] - 20) / 3.001 * 0.333));
                if (fabs(pair.theta - 0.7 * read - LGT_PI) < 2.1e-3) continue; /* where the tail begins */
                check_bend(spec, &loss, &pair, 1, 4 * 64);
            }
        }
    }
}

/* ---- MagFace ---- */

static const char *const magface = "magface:s=64,l_m=0.45,u_m=0.8,l_a=10,u_a=110,lambda_g=35";

static void magface_has_the_margin_and_the_penalty_of_its_norm(void **state) {
    static const double norms[] = {0, 1, 10, 10.5, 60, 109, 110, 1e6};
    lgt_loss loss = test_loss_of(magface);
    (void)state;
    for (size_t k = 0; k < sizeof norms / sizeof *norms; k++) {
        long double a = fmaxl(10, fminl(110, norms[k])), m = 0.45L + 0.35L * (a - 10) / 100;
        for (int step = 0; step <= 360; step++) {
            lgt_pair pair = pair_at(LGT_PI * step / 360, norms[k], 2);
            long double theta = pair.theta, bent = theta + m > LGT_PI ? cosl(theta) - 1 + cosl(m) : cosl(theta + m);
            assert_at_most((double)fabsl(target(&loss, &pair) - 64 * bent), 64 * 10 * eps, "the target's error");
            long double penalty = 35 * (a / (110 * 110) + 1 / a);
            assert_at_most((double)fabsl(bend_at(&loss, &pair).penalty - penalty), 35 * eps, "the penalty's error");
        }
    }
}

static void magface_derivatives_agree_with_differences(void **state) {
    static const char *const tails[] = {"continuous", "cosface", "fold", "none", "clip", "easy"};
    static const double norms[] = {3, 10.3, 31, 77, 108, 500};
    int checked = 0;
    (void)state;
    for (int t = 0; t < 6; t++) {
        char spec[128];
        lgt_text_format(spec, sizeof spec, "%s,tail=%s", magface, tails[t]);
        lgt_loss loss = test_loss_of(spec);
        for (int step = 1; step < 180; step++) {
            for (int k = 0; k < 6; k++) {
                lgt_pair pair = pair_at(LGT_PI * step / 180, norms[k], 0.5);
                double m = 0.45 + 0.35 * (fmax(10, fmin(110, norms[k])) - 10) / 100;
                double end = strcmp(tails[t], "easy") == 0 ? LGT_PI / 2 : LGT_PI - m;
                if (fabs(pair.theta - end) < 4e-3) continue; /* the margin moves by 1e-3 of r as well */
                check_bend(spec, &loss, &pair, 1, 4 * 64);
                checked++;
            }
        }
    }
    assert_true(checked > 6 * 6 * 170);
}

static void beyond_its_norms_magface_has_no_force_along_the_norm(void **state) {
    static const double norms[] = {0, 9.999, 110.001, 1e9};
    lgt_loss loss = test_loss_of(magface);
    (void)state;
    for (int k = 0; k < 4; k++) {
        lgt_pair pair = pair_at(1, norms[k], 2);
        lgt_bend b = bend_at(&loss, &pair);
        assert_true(b.d_r == 0 && b.d_r_r == 0 && b.d_theta_r == 0 && b.penalty_r == 0 && b.penalty_r_r == 0);
        assert_true(b.value != 0 && b.penalty > 0);
    }
    lgt_pair within = pair_at(1, 50, 2);
    lgt_bend b = bend_at(&loss, &within);
    assert_true(b.d_r < 0 && b.penalty_r != 0 && b.penalty_r_r > 0);
}

/* What the least lambda_g is for: however the margin pulls on the norm (at most s k, times 1 - p_y <= 1), the penalty
 * pushes a short feature outwards more. At it the two balance at l_a alone. */
static void at_the_least_penalty_short_features_still_grow(void **state) {
    lgt_loss loss = test_loss_of("magface:lambda_g=22.58667");
    (void)state;
    for (int step = 0; step <= 180; step++) {
        lgt_pair shortest = pair_at(LGT_PI * step / 180, 10, 2);
        lgt_bend b = bend_at(&loss, &shortest);
        assert_at_most(b.penalty_r - b.d_r, 1e-6 * 0.224, "the loss by the norm at l_a");
    }
    lgt_pair steepest = pair_at(LGT_PI / 2 - 0.45, 10, 2);
    lgt_bend b = bend_at(&loss, &steepest);
    assert_at_most(fabs(b.penalty_r - b.d_r), 1e-6 * 0.224, "its balance where the margin pulls most");
}

/* ---- CurricularFace ---- */

static void curricularface_weighs_what_is_nearer_than_its_target_allows(void **state) {
    lgt_loss loss = test_loss_of("curricularface:m=0.5,t=0.25");
    (void)state;
    assert_true(lgt_loss_bends_crowd(&loss));
    for (int step = 0; step <= 180; step++) {
        lgt_pair pair = pair_at(LGT_PI * step / 180, 3, 2);
        lgt_crowd_bend crowd;
        lgt_loss_crowd(&loss, &pair, 7, &crowd);
        assert_at_most(fabs(crowd.above - cos(pair.theta + 0.5)), 4 * eps, "the threshold's error");
        assert_true(crowd.linear == 0.25 && crowd.square == 1);
    }
}

static void no_other_loss_bends_the_crowd(void **state) {
    int bending = 0;
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) {
        lgt_loss loss = test_loss_of(lgt_loss_at(i)->name);
        lgt_pair pair = pair_at(1, 3, 2);
        lgt_crowd_bend crowd;
        lgt_loss_crowd(&loss, &pair, 0, &crowd);
        if (lgt_loss_bends_crowd(&loss)) {
            bending++;
            continue;
        }
        assert_true(isinf(crowd.above) && crowd.above > 0 && crowd.linear == 1 && crowd.square == 0);
    }
    assert_int_equal(bending, 1);
}

/* Its target is ArcFace's, whatever the state. */
static void curricularface_and_subcenter_bend_the_target_as_arcface_does(void **state) {
    static const char *const tails[] = {"continuous", "cosface", "fold", "none", "clip", "easy"};
    (void)state;
    for (int t = 0; t < 6; t++) {
        char spec[3][96];
        lgt_text_format(spec[0], sizeof spec[0], "arcface:m=0.7,tail=%s", tails[t]);
        lgt_text_format(spec[1], sizeof spec[1], "curricularface:m=0.7,t=0.9,tail=%s", tails[t]);
        lgt_text_format(spec[2], sizeof spec[2], "subcenter:m=0.7,k=5,tail=%s", tails[t]);
        lgt_loss arc = test_loss_of(spec[0]);
        for (int other = 1; other < 3; other++) {
            lgt_loss loss = test_loss_of(spec[other]);
            for (int step = 0; step <= 180; step++) {
                lgt_pair pair = pair_at(LGT_PI * step / 180, 3, 2);
                lgt_bend a = bend_at(&arc, &pair), b = bend_at(&loss, &pair);
                assert_memory_equal(&a, &b, sizeof a);
            }
        }
    }
}

/* ---- state ---- */

static void move(lgt_loss *loss, lgt_batch_moments batch) {
    lgt_loss_definition_of(loss)->move(loss->values, &batch);
}

static void state_moves_by_its_share_of_a_batch(void **state) {
    lgt_loss ada = test_loss_of("adaface:ema=0.25,mean=20,deviation=100"),
             curricular = test_loss_of("curricularface:ema=0.5,t=0.2");
    (void)state;
    move(&ada, (lgt_batch_moments){.n = 5, .quality_mean = 24, .quality_square = 16, .cosine_mean = 0.9});
    assert_true(lgt_loss_value(&ada, "mean") == 21);        /* 20 + (24 - 20)/4 */
    assert_true(lgt_loss_value(&ada, "deviation") == 75.5); /* 100 + (sqrt(16/4) - 100)/4 */
    move(&ada, (lgt_batch_moments){.n = 1, .quality_mean = 25});
    assert_true(lgt_loss_value(&ada, "mean") == 22 && lgt_loss_value(&ada, "deviation") == 75.5); /* one row has none */
    move(&curricular, (lgt_batch_moments){.n = 3, .quality_mean = 7, .cosine_mean = 0.6});
    assert_at_most(fabs(lgt_loss_value(&curricular, "t") - 0.4), eps, "t's error");
}

static void only_losses_with_state_move_and_ema_0_holds_it(void **state) {
    lgt_batch_moments batch = {.n = 4, .quality_mean = 3, .quality_square = 2, .cosine_mean = 0.5};
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) {
        char spec[64];
        const lgt_loss_info *info = lgt_loss_at(i);
        lgt_loss loss = test_loss_of(info->name);
        assert_int_equal(lgt_loss_definition_of(&loss)->move != NULL, lgt_loss_n_state(info) > 0);
        if (!lgt_loss_definition_of(&loss)->move) continue;
        lgt_text_format(spec, sizeof spec, "%s:ema=0", info->name);
        lgt_loss held = test_loss_of(spec), before = held;
        move(&held, batch);
        assert_memory_equal(held.values, before.values, sizeof held.values);
        before = loss;
        move(&loss, batch);
        for (int p = 0; p < info->n_params; p++)
            assert_int_equal(loss.values[p] != before.values[p], info->params[p].role == LGT_ROLE_STATE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adaface_follows_the_quality_of_the_sample),
        cmocka_unit_test(adaface_at_three_qualities_is_a_known_loss),
        cmocka_unit_test(the_quality_is_a_constant_and_beyond_its_clip_changes_nothing),
        cmocka_unit_test(adaface_derivatives_agree_with_differences),
        cmocka_unit_test(magface_has_the_margin_and_the_penalty_of_its_norm),
        cmocka_unit_test(magface_derivatives_agree_with_differences),
        cmocka_unit_test(beyond_its_norms_magface_has_no_force_along_the_norm),
        cmocka_unit_test(at_the_least_penalty_short_features_still_grow),
        cmocka_unit_test(curricularface_weighs_what_is_nearer_than_its_target_allows),
        cmocka_unit_test(no_other_loss_bends_the_crowd),
        cmocka_unit_test(curricularface_and_subcenter_bend_the_target_as_arcface_does),
        cmocka_unit_test(state_moves_by_its_share_of_a_batch),
        cmocka_unit_test(only_losses_with_state_move_and_ema_0_holds_it),
    };
    return cmocka_run_group_tests_name("adaptive losses", tests, NULL, NULL);
}
