/* The reference engine against the whole objective written a second time (brute.c), for every loss and its settings. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brute.h"

/* Rounding of about 1,000 operations in two orders: 5e-14 is met. Problems near a jump of the gradient, where rounding
 * picks the branch, are left out; those near 0 and pi have tests/test_grid.c. */
static const double gate = 1e-13, brink = 1e-9;
/* gradient=unit: the oracle takes the coordinates of a vector between w^ and x^, which lose digits as 1 / sin^2. */
static const double unit_gate = 1e-12;

static double positive[64];

static test_head problem_of(const char *spec, uint64_t seed) {
    int64_t rows = 1 + (int64_t)(seed % 4), dim = 2 + (int64_t)(seed % 15), classes = 2 + (int64_t)(seed * 7 % 10);
    test_head h = test_head_random(spec, rows, dim, classes, 1000 + seed);
    if (seed & 1) h.options.label_smoothing = 0.1;
    if (seed & 2) h.options.z_loss = 0.01;
    h.sample_weights = seed & 4 ? positive : NULL;
    h.class_weights = seed & 8 ? positive : NULL;
    h.step = seed & 16 ? 300 : 0;
    if (seed % 5 == 3 && test_head_has(&h, LGT_ROLE_MARGIN)) test_head_margins(&h, seed);
    if (seed % 7 == 3 && test_head_has(&h, LGT_ROLE_SCALE)) test_head_scales(&h, seed);
    return h;
}

static void forget(test_head *h) {
    h->sample_weights = h->class_weights = NULL;
    test_head_free(h);
}

static double worst_error(lgt_context *context, const test_head *h) {
    test_result expected = brute_run(h), found = test_head_run(context, h, LGT_ENGINE_REFERENCE, LGT_F64);
    test_vectors a = test_result_vectors(&found), b = test_result_vectors(&expected);
    double error = test_vectors_error(h, &a, &b);
    error = fmax(error, test_relative_error(found.lse, expected.lse, h->n_rows));
    error = fmax(error, test_relative_error(found.loss_rows, expected.loss_rows, h->n_rows));
    error = fmax(error, fabs(found.out.loss - expected.out.loss) / fmax(1, fabs(expected.out.loss)));
    assert_memory_equal(found.top1, expected.top1, (size_t)h->n_rows * sizeof(int64_t));
    test_result_free(&found), test_result_free(&expected);
    return error;
}

static void the_reference_gradient_is_the_derivative_of_the_documented_loss(void **state) {
    enum { PROBLEMS = 100 };
    (void)state;
    lgt_context *context = test_context(1);
    double worst = 0;
    for (int i = 0; i < 64; i++) positive[i] = 0.25 + 0.125 * i;
    for (int i = 0; test_specs[i]; i++) {
        int checked = 0;
        for (uint64_t seed = 0; seed < PROBLEMS; seed++) {
            test_head h = problem_of(test_specs[i], seed);
            if (brute_condition_of(&h).jump > brink) {
                double limit = strstr(test_specs[i], "unit") ? unit_gate : gate;
                double error = worst_error(context, &h);
                if (!(error <= limit)) fail_msg("%s, seed %d: relative error %.3g", test_specs[i], (int)seed, error);
                worst = fmax(worst, error), checked++;
            }
            forget(&h);
        }
        assert_true(checked > PROBLEMS * 9 / 10);
    }
    print_message("worst error %.2g\n", worst);
    lgt_context_free(context);
}

/* The settings in test_specs are only worth their place if they reach the branches they are meant for. */
static void the_problems_reach_all_branches(void **state) {
    static const struct {
        const char *spec;
        double least; /* problems whose loss must change when the parameter does */
        const char *other;
    } cases[] = {
        {"magface:s=16,l_m=0.2,u_m=0.9,l_a=2,u_a=3.5,lambda_g=60", 30,
         "magface:s=16,l_m=0.2,u_m=0.9,l_a=2,u_a=3.6,lambda_g=60"},
        {"curricularface:s=16,m=0.8,t=0.4,ema=0.3", 30, "curricularface:s=16,m=0.8,t=0.5,ema=0.3"},
        {"curricularface:s=20,m=1.2,t=-0.3,tail=fold,ema=0", 30, "curricularface:s=20,m=1.2,t=-0.3,tail=none,ema=0"},
        {"adaface:s=30,m=0.8,mean=3,deviation=1,ema=0.5", 150, "adaface:s=30,m=0.8,mean=3,deviation=1,ema=0"},
        {"adaface:s=30,m=1.4,h=2,mean=2.5,deviation=0.5,ema=0,tail=fold", 30,
         "adaface:s=30,m=1.4,h=2,mean=2.5,deviation=0.5,ema=0,tail=none"},
        {"magface:s=16,l_m=1,u_m=2.5,l_a=2,u_a=3.5,lambda_g=130,tail=fold", 30,
         "magface:s=16,l_m=1,u_m=2.5,l_a=2,u_a=3.5,lambda_g=130,tail=cosface"},
    };
    (void)state;
    lgt_context *context = test_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int differ = 0, same = 0;
        for (uint64_t seed = 0; seed < 200; seed++) {
            test_head h = problem_of(cases[i].spec, seed), other = problem_of(cases[i].other, seed);
            test_result a = test_head_run(context, &h, LGT_ENGINE_REFERENCE, LGT_F64);
            test_result b = test_head_run(context, &other, LGT_ENGINE_REFERENCE, LGT_F64);
            if (a.out.loss == b.out.loss)
                same++;
            else
                differ++;
            test_result_free(&a), test_result_free(&b);
            forget(&h), forget(&other);
        }
        if (differ < cases[i].least) fail_msg("%s: %d differ, %d do not", cases[i].spec, differ, same);
    }
    lgt_context_free(context);
}

static void the_detached_gradient_is_another_than_the_derivative(void **state) {
    /* The documented difference: 14 to 30 % on random data. A test that the oracle can tell them apart. */
    static const char *const specs[][2] = {
        {"arcface:s=16,m=0.5,gradient=detached", "arcface:s=16,m=0.5"},
        {"sphereface:m=4,lambda=1,gradient=detached", "sphereface:m=4,lambda=1"},
        {"curricularface:s=16,gradient=unit", "curricularface:s=16"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        test_head h = test_head_random(specs[i][0], 3, 8, 5, 7), exact = test_head_random(specs[i][1], 3, 8, 5, 7);
        test_result a = brute_run(&h), b = brute_run(&exact);
        double error = test_result_error(&h, &a, &b);
        assert_true(error > 0.02 && error < 2);
        test_result_free(&a), test_result_free(&b);
        test_head_free(&h), test_head_free(&exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_gradient_is_the_derivative_of_the_documented_loss),
        cmocka_unit_test(the_problems_reach_all_branches),
        cmocka_unit_test(the_detached_gradient_is_another_than_the_derivative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
