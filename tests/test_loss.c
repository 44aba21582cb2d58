/* What each loss does to the target logit: values against their definition in long double, derivatives against
 * differences, continuity, order and corners. */
#include "support.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "bends.h"
#include "math/sphere.h"

static const double eps = DBL_EPSILON;
static const long double long_pi = 3.141592653589793238462643383279502884L;

/* ---- the losses and settings that every test goes through ---- */

enum { MOST_CASES = 220 };

typedef struct loss_case {
    char spec[96];
    lgt_loss loss;
    const char *name, *tail;
    double s, m, lambda;
} loss_case;

static loss_case cases[MOST_CASES];
static int n_cases;

static void add_case(const char *name, const char *settings, const char *tail, double m, double lambda) {
    assert_true(n_cases < MOST_CASES);
    loss_case *c = &cases[n_cases++];
    lgt_text_format(c->spec, sizeof c->spec, "%s%s", name, settings);
    c->loss = test_loss_of(c->spec);
    double s = lgt_loss_value(&c->loss, "s");
    c->name = name, c->tail = tail, c->m = m, c->lambda = lambda, c->s = isnan(s) ? 0 : s;
}

static int make_cases(void **state) {
    static const char *const tails[] = {"continuous", "cosface", "fold", "none", "clip", "easy"};
    static const double margins[] = {0, 1e-9, 0.1, 0.5, 0.8, 1.5707963267948966, 2.5, 3.1};
    static const double lowered[] = {0, 1e-9, 0.35, 2};
    static const int multiples[] = {1, 2, 3, 4, 5, 6, 7, 8, 17};
    char settings[64];
    (void)state;
    add_case("softmax", "", "", 0, 0);
    add_case("normalized", ":s=16", "", 0, 0);
    for (int i = 0; i < 4; i++) {
        lgt_text_format(settings, sizeof settings, ":s=64,m=%.17g", lowered[i]);
        add_case("cosface", settings, "", lowered[i], 0);
    }
    for (int t = 0; t < 6; t++) {
        for (int i = 0; i < 8; i++) {
            lgt_text_format(settings, sizeof settings, ":s=64,m=%.17g,tail=%s", margins[i], tails[t]);
            add_case("arcface", settings, tails[t], margins[i], 0);
        }
    }
    add_case("combined", ":s=64,m1=1,m2=0,m3=0", "", 0, 0);
    add_case("combined", ":s=64,m1=1,m2=0.5,m3=0", "", 0.5, 0);
    add_case("combined", ":s=64,m1=1.3,m2=0.9,m3=0.1", "", 0.9, 0);
    add_case("combined", ":s=64,m1=0.9,m2=0.4,m3=0.15", "", 0.4, 0);
    add_case("combined", ":s=64,m1=1.3,m2=0.9,m3=0.1,tail=none", "none", 0.9, 0);
    add_case("combined", ":s=64,m1=2.5,m2=0,m3=0,tail=none", "none", 0, 0);
    add_case("curricularface", ":s=64,m=0.5,t=0.4", "continuous", 0.5, 0);
    add_case("subcenter", ":s=64,m=0.5", "continuous", 0.5, 0);
    add_case("subcenter", ":s=64,m=0,k=2", "continuous", 0, 0);
    add_case("sphereface-r", ":s=30,m=1", "", 1, 0);
    add_case("sphereface-r", ":s=30,m=1.7", "", 1.7, 0);
    add_case("sphereface-r", ":s=30,m=3.3", "", 3.3, 0);
    for (int lambda = 0; lambda <= 5; lambda += 5) {
        for (int i = 0; i < 9; i++) {
            lgt_text_format(settings, sizeof settings, ":m=%d,lambda=%d", multiples[i], lambda);
            add_case("lsoftmax", settings, "", multiples[i], lambda);
            add_case("sphereface", settings, "", multiples[i], lambda);
        }
    }
    return 0;
}

static int is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static int multiplies(const loss_case *c) {
    return is(c->name, "lsoftmax") || is(c->name, "sphereface");
}

/* cos(theta + m) with a tail: c->tail tells which. */
static int widens(const loss_case *c) {
    return is(c->name, "arcface") || is(c->name, "curricularface") || is(c->name, "subcenter");
}

static int folds(const loss_case *c) {
    return is(c->name, "combined") || is(c->name, "sphereface-r");
}

/* The size of a logit, by which errors are measured. */
static double size_of(const loss_case *c, const lgt_pair *pair) {
    return c->s > 0 ? c->s : is(c->name, "sphereface") ? pair->r : pair->r * pair->q;
}

static lgt_bend bend_of(const loss_case *c, const lgt_pair *pair) {
    return bend_at(&c->loss, pair);
}

/* The target logit without its bias, and its slope in theta: the bend on top of the plain logit. */
static double target(const loss_case *c, const lgt_pair *pair) {
    return size_of(c, pair) * pair->c + bend_of(c, pair).value;
}
static double target_slope(const loss_case *c, const lgt_pair *pair) {
    return bend_of(c, pair).d_theta - size_of(c, pair) * pair->sine;
}

/* The angle whose (folded) cosine is the target. */
static double folded_angle(const loss_case *c, double theta) {
    if (is(c->name, "sphereface-r")) return c->m * theta;
    return lgt_loss_value(&c->loss, "m1") * theta + lgt_loss_value(&c->loss, "m2");
}

static double folded_slope(const loss_case *c) {
    return folded_angle(c, 1) - folded_angle(c, 0);
}

/* Where the bend has a kink in the first or second derivative: none of the differences may cross one. */
static int near_kink(const loss_case *c, double theta, double reach) {
    if (widens(c) && is(c->tail, "easy")) return fabs(theta - LGT_PI / 2) < reach;
    if (widens(c)) return fabs(theta - (LGT_PI - c->m)) < reach;
    if (folds(c) && is(c->tail, "none")) return 0;
    if (folds(c)) {
        double phi = folded_angle(c, theta) / LGT_PI;
        return fabs(phi - round(phi)) * LGT_PI / folded_slope(c) < reach;
    }
    if (!multiplies(c)) return 0;
    double turns = c->m * theta / LGT_PI;
    return fabs(turns - round(turns)) * LGT_PI / c->m < reach;
}

/* ---- values ---- */

/* docs/maths.md's table of losses, written down once more and apart from the code. */
static long double defined_target(const loss_case *c, const lgt_pair *pair) {
    long double theta = pair->theta, cosine = cosl(theta), m = c->m, s = c->s, phi = theta + m;
    if (is(c->name, "cosface")) return s * (cosine - m);
    if (folds(c)) {
        long double turned = folded_angle(c, pair->theta), k = is(c->tail, "none") ? 0 : floorl(turned / long_pi),
                    sign = fmodl(k, 2) == 0 ? 1 : -1;
        long double lowered = is(c->name, "combined") ? lgt_loss_value(&c->loss, "m3") : 0;
        return s * (sign * cosl(turned) - 2 * k - lowered);
    }
    if (multiplies(c)) {
        long double k = fminl(floorl(m * theta / long_pi), m - 1), sign = fmodl(k, 2) == 0 ? 1 : -1;
        long double psi = sign * cosl(m * theta) - 2 * k;
        return size_of(c, pair) * (psi + c->lambda * cosine) / (1 + c->lambda);
    }
    if (!widens(c)) return size_of(c, pair) * cosine;
    if (is(c->tail, "easy")) return s * (pair->c > 0 ? cosl(phi) : cosine);
    if (pair->theta + c->m <= LGT_PI || is(c->tail, "none")) return s * cosl(phi);
    if (is(c->tail, "continuous")) return s * (cosine - 1 + cosl(m));
    if (is(c->tail, "cosface")) return s * (cosine - m * sinl(m));
    if (is(c->tail, "fold")) return s * (-cosl(phi) - 2);
    return -s; /* clip */
}

static void every_target_logit_is_the_defined_one(void **state) {
    (void)state;
    for (int i = 0; i < n_cases; i++) {
        const loss_case *c = &cases[i];
        for (int step = 0; step <= 360; step++) {
            lgt_pair pair = pair_at(LGT_PI * step / 360, 0.7, 3);
            /* A few roundings of numbers up to 4; cos(m theta) multiplies the cosine's rounding by its slope, m^2. */
            double limit = size_of(c, &pair) * eps * (multiplies(c) ? 3 + 2 * c->m * c->m : 8);
            assert_at_most((double)fabsl(target(c, &pair) - defined_target(c, &pair)), limit, c->spec);
        }
    }
}

static void assert_no_bend(const lgt_bend *b) {
    assert_true(b->value == 0 && b->d_theta == 0 && b->d_r == 0 && b->d_q == 0);
    assert_true(b->d_theta_theta == 0 && b->d_theta_r == 0 && b->d_theta_q == 0 && b->d_r_r == 0 && b->d_r_q == 0);
    assert_true(b->penalty == 0 && b->penalty_r == 0 && b->penalty_r_r == 0);
}

static void without_a_margin_the_bend_vanishes_exactly(void **state) {
    int seen = 0;
    (void)state;
    for (int i = 0; i < n_cases; i++) {
        const loss_case *c = &cases[i];
        if (c->m != (multiplies(c) || is(c->name, "sphereface-r") ? 1 : 0)) continue;
        if (is(c->name, "combined") && lgt_loss_value(&c->loss, "m1") != 1) continue;
        seen++;
        for (int step = 0; step <= 360; step++) {
            lgt_pair pair = pair_at(LGT_PI * step / 360, 0.7, 3);
            lgt_bend b = bend_of(c, &pair);
            assert_no_bend(&b);
        }
    }
    assert_int_equal(seen, 2 + 1 + 6 + 1 + 1 + 1 + 2 + 2);
}

/* cos(theta + m) - cos(theta) subtracts all digits away at m = 1e-9; the bend may not. */
static void small_margins_keep_their_digits(void **state) {
    static const double margins[] = {1e-12, 1e-9, 1e-5, 1e-2};
    (void)state;
    for (int i = 0; i < 4; i++) {
        char spec[64];
        lgt_text_format(spec, sizeof spec, "arcface:s=1,m=%.17g,tail=none", margins[i]);
        lgt_loss loss = test_loss_of(spec);
        for (int step = 0; step <= 300; step++) {
            double theta = 3 * step / 300.0;
            long double half = margins[i] / 2.0L, exact = -2 * sinl(theta + half) * sinl(half);
            lgt_pair pair = pair_at(theta, 1, 1);
            lgt_bend bend;
            lgt_loss_bend(&loss, &pair, 0, &bend);
            assert_at_most((double)fabsl(bend.value / exact - 1), 4 * eps, "the bend's relative error");
        }
    }
}

/* ---- derivatives ---- */

static void derivatives_agree_with_differences_away_from_kinks(void **state) {
    static const double lengths[][2] = {{1, 1}, {0.3, 7}, {20, 0.01}};
    int checked = 0;
    (void)state;
    for (int i = 0; i < n_cases; i++) {
        for (int step = 1; step < 180; step++) {
            double theta = LGT_PI * step / 180;
            if (near_kink(&cases[i], theta, 2.1e-3)) continue;
            for (int k = 0; k < 3; k++) {
                lgt_pair pair = pair_at(theta, lengths[k][0], lengths[k][1]);
                double turns = multiplies(&cases[i]) ? cases[i].m : folds(&cases[i]) ? folded_slope(&cases[i]) : 1;
                check_bend(cases[i].spec, &cases[i].loss, &pair, fmax(1, turns), 4 * size_of(&cases[i], &pair));
                checked++;
            }
        }
    }
    assert_true(checked > n_cases * 400);
}

/* ---- corners ---- */

static void every_bend_is_finite_at_every_corner(void **state) {
    static const double thetas[] = {0, 5e-324, 1e-300, 1e-8, 1, LGT_PI / 2, LGT_PI - 1e-8, LGT_PI};
    static const double lengths[] = {0, 5e-324, 1e-300, 1, 1e150};
    (void)state;
    for (int i = 0; i < n_cases; i++) {
        for (int at = 0; at < 8 * 5 * 5; at++) {
            lgt_pair pair = pair_at(thetas[at / 25], lengths[at / 5 % 5], lengths[at % 5]);
            if (pair.theta == LGT_PI) pair.sine = 0;
            lgt_bend b = bend_of(&cases[i], &pair);
            assert_true(isfinite(b.value) && isfinite(b.d_theta) && isfinite(b.d_r) && isfinite(b.d_q));
            assert_true(isfinite(b.d_theta_theta) && isfinite(b.d_theta_r) && isfinite(b.d_theta_q));
            assert_true(isfinite(b.d_r_q) && b.d_r_r == 0 && b.penalty == 0);
            /* cosines bend by angles alone; a product bends by nothing where a factor is 0 */
            if (cases[i].s > 0) assert_true(b.d_r == 0 && b.d_q == 0);
            if (cases[i].s == 0 && size_of(&cases[i], &pair) == 0) assert_true(b.value == 0 && b.d_theta == 0);
        }
    }
}

static void psi_is_smooth_where_its_branches_meet(void **state) {
    (void)state;
    for (int i = 0; i < n_cases; i++) {
        const loss_case *c = &cases[i];
        if (!multiplies(c)) continue;
        for (int k = 0; k <= c->m; k++) {
            double meeting = k * LGT_PI / c->m, psi = k == c->m ? 1 - 2 * c->m : 1 - 2 * k;
            for (int side = -3; side <= 3; side++) {
                double theta = fmax(0, fmin(LGT_PI, meeting * (1 + side * eps)));
                lgt_pair pair = pair_at(theta, 1, 1);
                double wanted = (psi + c->lambda * pair.c) / (1 + c->lambda);
                double slope = -c->lambda * pair.sine / (1 + c->lambda);
                /* The value is flat there; the slope changes by m^2 a radian, over up to 3 eps pi. */
                assert_at_most(fabs(target(c, &pair) - wanted), 4 * eps * c->m * c->m, "psi's jump");
                assert_at_most(fabs(target_slope(c, &pair) - slope), 16 * eps * pow(c->m, 3), "psi's slope");
            }
        }
    }
}

/* By how much the target logit rises at most from one of 4000 angles to the next. */
static double largest_rise(const loss_case *c) {
    double worst = -INFINITY, last = INFINITY;
    for (int step = 0; step <= 4000; step++) {
        lgt_pair pair = pair_at(LGT_PI * step / 4000, 1, 1);
        double now = target(c, &pair);
        worst = fmax(worst, fmax(now - last, target_slope(c, &pair)));
        last = now;
    }
    return worst;
}

/* Without a tail theta + m > pi turns upwards; the easy margin ends with a jump of s sin(m) (or, near pi, turns before
 * it); the cosface tail begins 1 - cos(m) - m sin(m) away, which is up from m = 2.3311 on. */
static int is_known_to_rise(const loss_case *c) {
    if (is(c->name, "combined")) return is(c->tail, "none");
    if (!widens(c)) return 0;
    if (is(c->tail, "none")) return c->m > 0;
    if (is(c->tail, "easy")) return c->m >= 0.1; /* below the steps of the angle the jump cannot be seen */
    return is(c->tail, "cosface") && c->m > 2.3312;
}

static void target_logits_fall_with_the_angle_but_for_known_tails(void **state) {
    int rising = 0;
    (void)state;
    for (int i = 0; i < n_cases; i++) {
        const loss_case *c = &cases[i];
        lgt_pair unit = pair_at(0, 1, 1);
        double rise = largest_rise(c);
        double noise = 8 * eps * size_of(c, &unit) * (multiplies(c) ? pow(c->m, 3) : 1);
        if (!is_known_to_rise(c)) assert_at_most(rise, noise, c->spec);
        if (is_known_to_rise(c)) assert_true(rise > 0.9e-9 * c->s); /* sin(m) at the least margin */
        rising += is_known_to_rise(c);
    }
    assert_int_equal(rising, 7 + 6 + 2 + 2);
}

/* The jump of the target logit over theta = pi - m, in units of s. */
static double jump_at_the_end(const char *tail, double m) {
    char spec[64];
    lgt_text_format(spec, sizeof spec, "arcface:s=64,m=%.17g,tail=%s", m, tail);
    lgt_loss loss = test_loss_of(spec);
    double side[2];
    for (int i = 0; i < 2; i++) {
        lgt_pair pair = pair_at(LGT_PI - m + (i ? 1e-12 : -1e-12), 1, 1);
        lgt_bend bend;
        lgt_loss_bend(&loss, &pair, 0, &bend);
        side[i] = 64 * pair.c + bend.value;
    }
    return (side[1] - side[0]) / 64;
}

static void only_the_cosface_tail_jumps(void **state) {
    (void)state;
    /* The four printed digits; the two sides lie 2e-12 apart, so that slopes below 2 add 4e-12. */
    assert_at_most(fabs(jump_at_the_end("cosface", 0.5) + 0.1173), 5e-5, "the jump's distance from -0.1173");
    assert_at_most(fabs(jump_at_the_end("cosface", 0.8) + 0.2706), 5e-5, "the jump's distance from -0.2706");
    static const char *const smooth[] = {"continuous", "fold", "none", "clip"};
    for (int i = 0; i < 4; i++) {
        assert_at_most(fabs(jump_at_the_end(smooth[i], 0.5)), 4e-12, smooth[i]);
        assert_at_most(fabs(jump_at_the_end(smooth[i], 0.8)), 4e-12, smooth[i]);
    }
}

static void the_clip_tail_is_dead_and_none_pushes_away(void **state) {
    (void)state;
    for (int i = 0; i < n_cases; i++) {
        const loss_case *c = &cases[i];
        if (!is(c->name, "arcface") || c->m < 0.1) continue;
        lgt_pair pair = pair_at(LGT_PI - c->m / 2, 1, 1);
        double slope = target_slope(c, &pair);
        if (is(c->tail, "clip")) assert_at_most(fabs(slope), 4 * eps * c->s, "the clipped force");
        if (is(c->tail, "none")) assert_true(slope > 0.04 * c->s);
        if (is(c->tail, "fold")) assert_true(slope < -0.04 * c->s);
        if (is(c->tail, "continuous")) assert_true(slope < -0.04 * c->s);
    }
}

/* dPsi/dtheta = -m sin(m pi/2) (-1)^k at 90 degrees: 0 for even m, where most pairs of a random start lie. */
static void even_multiples_exert_no_force_at_ninety_degrees(void **state) {
    int even = 0;
    (void)state;
    for (int i = 0; i < n_cases; i++) {
        const loss_case *c = &cases[i];
        if (!multiplies(c)) continue;
        int m = (int)c->m;
        lgt_pair pair = pair_at(LGT_PI / 2, 2, 3);
        double wanted = -size_of(c, &pair) * ((m % 2 ? m : 0) + c->lambda) / (1 + c->lambda);
        assert_at_most(fabs(target_slope(c, &pair) - wanted), 6 * 4 * eps * pow(m, 3), c->spec);
        even += m % 2 == 0;
    }
    assert_int_equal(even, 2 * 8);
}

/* ---- questions ---- */

/* What predicts: each space's own loss, but sub-centres keep their rows. */
static const char *plain_name(const loss_case *c) {
    if (is(c->name, "subcenter") || is(c->name, "sphereface")) return c->name;
    return c->s > 0 ? "normalized" : "softmax";
}

static void the_plain_loss_has_the_same_scale_and_no_margin(void **state) {
    (void)state;
    for (int i = 0; i < n_cases; i++) {
        lgt_loss plain = lgt_loss_plain(&cases[i].loss);
        lgt_pair pair = pair_at(2, 3, 4);
        lgt_bend bend = bend_at(&plain, &pair);
        assert_no_bend(&bend);
        assert_string_equal(plain.info->name, plain_name(&cases[i]));
        assert_true(lgt_loss_centres(&plain) == lgt_loss_centres(&cases[i].loss));
        assert_int_equal(plain.info->space, cases[i].loss.info->space);
        assert_true(lgt_loss_value(&plain, "gradient") == 0);
        if (cases[i].s > 0) assert_true(lgt_loss_value(&plain, "s") == cases[i].s);
    }
}

static void unknown_parameters_have_the_value_nan(void **state) {
    lgt_loss loss = test_loss_of("arcface:s=3,m=0.25,tail=fold");
    (void)state;
    assert_true(lgt_loss_value(&loss, "s") == 3 && lgt_loss_value(&loss, "m") == 0.25);
    assert_true(lgt_loss_value(&loss, "tail") == 2 && lgt_loss_value(&loss, "gradient") == 0);
    static const char *const unknown[] = {"", "S", "lambda", "ss", "mm"};
    for (int i = 0; i < 5; i++) assert_true(isnan(lgt_loss_value(&loss, unknown[i])));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_target_logit_is_the_defined_one),
        cmocka_unit_test(without_a_margin_the_bend_vanishes_exactly),
        cmocka_unit_test(small_margins_keep_their_digits),
        cmocka_unit_test(derivatives_agree_with_differences_away_from_kinks),
        cmocka_unit_test(every_bend_is_finite_at_every_corner),
        cmocka_unit_test(psi_is_smooth_where_its_branches_meet),
        cmocka_unit_test(target_logits_fall_with_the_angle_but_for_known_tails),
        cmocka_unit_test(only_the_cosface_tail_jumps),
        cmocka_unit_test(the_clip_tail_is_dead_and_none_pushes_away),
        cmocka_unit_test(even_multiples_exert_no_force_at_ninety_degrees),
        cmocka_unit_test(the_plain_loss_has_the_same_scale_and_no_margin),
        cmocka_unit_test(unknown_parameters_have_the_value_nan),
    };
    return cmocka_run_group_tests_name("loss", tests, make_cases, NULL);
}
