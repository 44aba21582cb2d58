/* The clamp of the target cosine, as other systems have it: nothing outside of its zones, a dead logit inside. */
#include "support.h"

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "bends.h"
#include "math/sphere.h"

static const char *const specs[] = {
    "arcface:m=0.5",      "arcface:m=0.5,tail=none", "arcface:m=0.5,tail=clip",    "arcface:m=3,tail=fold",
    "sphereface-r:m=1.7", "sphereface-r:m=3.3",      "adaface:mean=20,deviation=3"};
enum { SPECS = sizeof specs / sizeof *specs };
static const double clamps[] = {1e-7, 1e-5, 1e-3, 0.1};

static lgt_loss parse(const char *spec, double clamp) {
    char text[128];
    lgt_loss loss;
    lgt_error err;
    lgt_text_format(text, sizeof text, "%s,clamp=%.17g", spec, clamp);
    assert_ok(lgt_loss_parse(text, &loss, &err), err);
    return loss;
}

static double target(const lgt_loss *loss, const lgt_pair *pair) {
    return lgt_loss_value(loss, "s") * pair->c + bend_at(loss, pair).value;
}

/* The angle from 0, and from pi, up to which a clamp acts: cos(edge) = 1 - clamp. */
static double edge_of(double clamp) {
    return 2 * asin(sqrt(clamp / 2));
}

static void the_dead_zone_is_as_wide_as_is_said_of_it(void **state) {
    /* Degrees, to the digits that are printed of the systems that clamp. */
    assert_at_most(fabs(edge_of(1e-3) * 180 / LGT_PI - 2.56), 5e-3, "1e-3");
    assert_at_most(fabs(edge_of(1e-5) * 180 / LGT_PI - 0.26), 5e-3, "1e-5");
    assert_at_most(fabs(edge_of(1e-7) * 180 / LGT_PI - 0.026), 5e-4, "1e-7");
    (void)state;
}

static void outside_of_its_zones_a_clamp_changes_no_bit(void **state) {
    (void)state;
    for (int i = 0; i < SPECS; i++) {
        for (int k = 0; k < 4; k++) {
            lgt_loss plain = parse(specs[i], 0), clamped = parse(specs[i], clamps[k]);
            double edge = edge_of(clamps[k]);
            for (int step = 0; step <= 200; step++) {
                double theta = edge * (1 + 1e-6) + (LGT_PI - 2 * edge * (1 + 1e-6)) * step / 200;
                lgt_pair pair = pair_at(theta, 18, 2);
                lgt_bend a = bend_at(&plain, &pair), b = bend_at(&clamped, &pair);
                assert_memory_equal(&a, &b, sizeof a);
            }
        }
    }
}

static void inside_the_target_logit_is_constant_and_without_force(void **state) {
    (void)state;
    for (int i = 0; i < SPECS; i++) {
        for (int k = 0; k < 4; k++) {
            lgt_loss plain = parse(specs[i], 0), loss = parse(specs[i], clamps[k]);
            double s = lgt_loss_value(&loss, "s"), edge = edge_of(clamps[k]);
            for (int at = 0; at <= 20; at++) {
                for (int end = 0; end < 2; end++) {
                    double theta = end ? LGT_PI - edge * at / 21 : edge * at / 21;
                    lgt_pair pair = pair_at(theta, 18, 2), border = pair_at(end ? LGT_PI - edge : edge, 18, 2);
                    lgt_bend b = bend_at(&loss, &pair);
                    /* Roundings of a few numbers of size s; the border's own angle is rounded as well, and the
                     * slope at the multiple of an angle is up to that multiple. */
                    assert_at_most(fabs(target(&loss, &pair) - target(&plain, &border)), 1e-14 * s, specs[i]);
                    assert_true(b.d_theta == s * pair.sine && b.d_theta_theta == s * pair.c); /* of u_y: - both */
                    assert_true(b.d_r == 0 && b.d_q == 0 && b.d_theta_r == 0 && b.d_theta_q == 0);
                }
            }
        }
    }
}

static void derivatives_agree_with_differences_inside(void **state) {
    (void)state;
    for (int i = 0; i < SPECS; i++) {
        lgt_loss loss = parse(specs[i], 0.1);
        double edge = edge_of(0.1);
        for (int at = 1; at < 20; at++) {
            lgt_pair near = pair_at(edge * at / 20, 18, 2), far = pair_at(LGT_PI - edge * at / 20, 18, 2);
            check_bend(specs[i], &loss, &near, 1, 4 * 64);
            check_bend(specs[i], &loss, &far, 1, 4 * 64);
        }
    }
}

static void only_losses_with_the_parameter_know_a_clamp(void **state) {
    static const char *const with[] = {"arcface", "sphereface-r", "adaface"};
    int found = 0;
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) {
        lgt_loss loss;
        lgt_error err;
        assert_ok(lgt_loss_parse(lgt_loss_at(i)->name, &loss, &err), err);
        int known = 0;
        for (int k = 0; k < 3; k++) known |= strcmp(loss.info->name, with[k]) == 0;
        assert_int_equal(!isnan(lgt_loss_value(&loss, "clamp")), known);
        if (known) assert_true(lgt_loss_value(&loss, "clamp") == 0);
        found += known;
    }
    assert_int_equal(found, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_dead_zone_is_as_wide_as_is_said_of_it),
        cmocka_unit_test(outside_of_its_zones_a_clamp_changes_no_bit),
        cmocka_unit_test(inside_the_target_logit_is_constant_and_without_force),
        cmocka_unit_test(derivatives_agree_with_differences_inside),
        cmocka_unit_test(only_losses_with_the_parameter_know_a_clamp),
    };
    return cmocka_run_group_tests_name("clamp", tests, NULL, NULL);
}
