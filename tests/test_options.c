/* Every combination of options, for a loss of every kind, on every engine and in every type, against the objective
 * written a second time in double (brute.c). What is not defined is refused by name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brute.h"

enum { N = 4, D = 3, C = 5 };

/* Scales are small so that all classes weigh something. */
static const char *const losses[] = {
    "softmax",
    "normalized:s=8",
    "cosface:s=8,m=0.3",
    "arcface:s=8,m=0.9",
    "combined:s=8,m1=1.2,m2=0.4,m3=0.1",
    "lsoftmax:m=3,lambda=1",
    "sphereface-r:s=8,m=2.3",
    "sphereface:m=3,lambda=1",
    "adaface:s=8,mean=2,deviation=1,ema=0.3",
    "magface:s=8,l_m=0.2,u_m=0.9,l_a=1,u_a=2.5,lambda_g=8",
    "curricularface:s=8,m=0.6,t=0.3,ema=0.2",
    "subcenter:s=8,m=0.6,k=2",
};

/* One choice of everything. */
enum {
    SAMPLE_WEIGHTS = 1,
    CLASS_WEIGHTS = 2,
    IGNORE = 4,
    SMOOTHING = 8,
    SOFT_TARGETS = 16,
    Z_LOSS = 32,
    CLASS_MARGINS = 64,
    CLASS_SCALES = 128,
    FLAGS = 256,
    COMBINATIONS = FLAGS * 3 * 3
};

static const char *const gradients[] = {"exact", "detached", "unit"};

/* A problem with the options of a combination. Those that the loss does not have are set all the same, and refused. */
static test_head problem_of(const char *loss, int combination) {
    char spec[128];
    uint64_t seed = 1 + (uint64_t)combination;
    snprintf(spec, sizeof spec, "%s%sgradient=%s", loss, strchr(loss, ':') ? "," : ":",
             gradients[combination / FLAGS / 3]);
    test_head h = test_head_random(spec, N, D, C, seed);
    h.options.reduction = (lgt_reduction)(combination / FLAGS % 3);
    if (h.options.reduction == LGT_REDUCTION_NONE) {
        h.upstream = test_weights(N, seed + 1);
        h.upstream[1] *= -1;
    }
    if (combination & SAMPLE_WEIGHTS) h.sample_weights = test_weights(N, seed + 2);
    if (combination & CLASS_WEIGHTS) h.class_weights = test_weights(C, seed + 3);
    if (combination & IGNORE) h.options.ignore_label = -7, h.labels[seed % N] = -7;
    if (combination & SMOOTHING) h.options.label_smoothing = 0.2;
    if (combination & Z_LOSS) h.options.z_loss = 0.03;
    if (combination & SOFT_TARGETS) {
        test_head_soften(&h, seed);
        if (!(combination & IGNORE) && seed % 2) free(h.labels), h.labels = NULL;
    }
    if (combination & CLASS_MARGINS && test_head_has(&h, LGT_ROLE_MARGIN))
        test_head_margins(&h, seed);
    else if (combination & CLASS_MARGINS)
        h.class_margins = test_weights(C, seed);
    if (combination & CLASS_SCALES && test_head_has(&h, LGT_ROLE_SCALE))
        test_head_scales(&h, seed);
    else if (combination & CLASS_SCALES)
        h.class_scales = test_weights(C, seed);
    test_head_round(&h);
    return h;
}

static int is_defined(const test_head *h) {
    const char *name = h->loss.info->name;
    if (h->soft_targets && strcmp(name, "softmax") != 0 && strcmp(name, "normalized") != 0) return 0;
    if (h->soft_targets && test_head_value(h, "gradient") == 2) return 0; /* unit scales the target's force: which? */
    if (h->class_margins && !test_head_has(h, LGT_ROLE_MARGIN)) return 0;
    return !h->class_scales || test_head_has(h, LGT_ROLE_SCALE);
}

static void refuse(lgt_context *context, const test_head *h, lgt_engine engine) {
    test_result r;
    lgt_error err;
    lgt_status status = test_head_try(context, h, engine, LGT_F64, &r, &err);
    if (status != LGT_ERR_USAGE && status != LGT_ERR_UNSUPPORTED)
        fail_msg("%s: status %s, expected a refusal", h->loss.info->name, lgt_status_name(status));
    if (!strstr(err.message, h->loss.info->name) && !strstr(err.message, "soft targets have no gradient=unit"))
        fail_msg("\"%s\" does not name %s", err.message, h->loss.info->name);
    test_result_free(&r);
}

static double error_of(const test_head *h, const test_result *found, const test_result *expected) {
    test_vectors a = test_result_vectors(found), b = test_result_vectors(expected);
    double error = test_vectors_error(h, &a, &b);
    error = fmax(error, test_relative_error(found->lse, expected->lse, N));
    error = fmax(error, test_relative_error(found->loss_rows, expected->loss_rows, N));
    return fmax(error, fabs(found->out.loss - expected->out.loss) / fmax(1, fabs(expected->out.loss)));
}

static double compare(lgt_context *context, const test_head *h, const test_result *expected, lgt_engine engine,
                      lgt_dtype dtype) {
    test_result found = test_head_run(context, h, engine, dtype);
    double error = error_of(h, &found, expected);
    assert_int_equal(found.out.n_used, expected->out.n_used);
    assert_int_equal(found.out.n_correct, expected->out.n_correct);
    assert_at_most(fabs(found.out.weight - expected->out.weight), 1e-14 * expected->out.weight, "weight");
    for (int k = 0; k < lgt_loss_n_state(h->loss.info); k++)
        assert_at_most(fabs(found.out.state[k] - expected->out.state[k]), 1e-6, "state");
    test_result_free(&found);
    return error;
}

/* The kinds of run that a combination is put through. */
static const struct {
    lgt_engine engine;
    lgt_dtype dtype;
    double gate, brink; /* near a jump rounding picks the branch */
} kinds[] = {
    {LGT_ENGINE_REFERENCE, LGT_F64, 1e-12, 1e-9},
    {LGT_ENGINE_CPU, LGT_F64, 1e-12, 1e-9},
    {LGT_ENGINE_CPU, LGT_F32, 2e-5, 1e-4},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void every_combination_of_options_equals_brute_force(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    double worst[KINDS] = {0};
    for (size_t l = 0; l < sizeof losses / sizeof *losses; l++) {
        int refused = 0, compared = 0;
        for (int combination = 0; combination < COMBINATIONS; combination++) {
            test_head h = problem_of(losses[l], combination);
            if (!is_defined(&h)) {
                refuse(context, &h, LGT_ENGINE_REFERENCE), refuse(context, &h, LGT_ENGINE_CPU), refused++;
                test_head_free(&h);
                continue;
            }
            double jump = brute_condition_of(&h).jump;
            test_result expected = brute_run(&h);
            for (int k = 0; k < KINDS; k++) {
                if (jump < kinds[k].brink) continue;
                double error = compare(context, &h, &expected, kinds[k].engine, kinds[k].dtype);
                if (!(error <= kinds[k].gate))
                    fail_msg("%s, combination %d, engine %d, %s: error %.3g", losses[l], combination,
                             (int)kinds[k].engine, lgt_dtype_name(kinds[k].dtype), error);
                worst[k] = fmax(worst[k], error), compared++;
            }
            test_result_free(&expected), test_head_free(&h);
        }
        assert_true(compared + KINDS * refused > KINDS * COMBINATIONS * 99 / 100);
        assert_true(refused <= COMBINATIONS * 7 / 8); /* soft targets, margins and scales leave a half each */
    }
    print_message("worst errors: reference %.2g, cpu f64 %.2g, cpu f32 %.2g\n", worst[0], worst[1], worst[2]);
    lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination_of_options_equals_brute_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
