/* What stands in the place of a parameter during a run: state that moves with the batches, qualities, margins and
 * scales of classes, soft targets. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "brute.h"

enum { N = 6, D = 5, C = 7 };

static const lgt_engine engines[] = {LGT_ENGINE_REFERENCE, LGT_ENGINE_CPU};

static double *copied(const double *values, int64_t n) {
    double *copy = calloc((size_t)n, sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, values, (size_t)n * sizeof *copy);
    return copy;
}

static test_result run(lgt_context *context, const test_head *h, int engine) {
    return test_head_run(context, h, engines[engine], LGT_F64);
}

/* --- State --- */

/* Both kinds of state, every way of giving it, and batches of every number of used rows. */
static void the_state_moves_by_the_used_rows_and_the_run_uses_the_moved_one(void **state) {
    static const char *const specs[] = {"adaface:s=8,mean=2,deviation=0.7,ema=0.3",
                                        "curricularface:s=8,t=0.4,ema=0.25"};
    (void)state;
    lgt_context *context = test_context(1);
    for (int s = 0; s < 2; s++)
        for (int mask = 0; mask < 8; mask++)
            for (int used = 0; used <= N; used++)
                for (int engine = 0; engine < 2; engine++) {
                    const double given[] = {1.5, 0.4};
                    test_head h = test_head_random(specs[s], N, D, C, 40 + (uint64_t)used);
                    h.options.ignore_label = -1;
                    for (int i = used; i < N; i++) h.labels[(i * 5 + 1) % N] = -1;
                    if (mask & 1) h.state = copied(given + s, 2 - s);
                    h.frozen = mask >> 1 & 1;
                    if (mask & 4) h.qualities = test_weights(N, 3);
                    test_result expected = brute_run(&h), found = run(context, &h, engine);
                    for (int k = 0; k < 2 - s; k++)
                        assert_at_most(fabs(found.out.state[k] - expected.out.state[k]), 1e-15, "state");
                    assert_at_most(test_result_error(&h, &found, &expected), 1e-13, specs[s]);
                    double start = h.state ? h.state[0] : h.loss.values[lgt_loss_param_of(h.loss.info, LGT_ROLE_STATE)];
                    if (h.frozen || used == 0)
                        assert_true(found.out.state[0] == start);
                    else
                        assert_true(found.out.state[0] != start);
                    test_result_free(&expected), test_result_free(&found), test_head_free(&h);
                }
    lgt_context_free(context);
}

static void the_state_of_one_run_continues_in_the_next(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    const double norms[] = {1, 3, 4};
    double mean = 2, deviation = 0.7;
    double *carried = NULL;
    for (int batch = 0; batch < 3; batch++) {
        test_head h = test_head_random("adaface:s=8,mean=2,deviation=0.7,ema=0.5", 2, 1, 3, 1);
        h.x[0] = norms[batch], h.x[1] = -2 * norms[batch];
        h.state = carried;
        test_result r = run(context, &h, batch % 2);
        mean += 0.5 * (1.5 * norms[batch] - mean);
        deviation += 0.5 * (norms[batch] / sqrt(2) - deviation); /* of two numbers: their distance over sqrt(2) */
        assert_at_most(fabs(r.out.state[0] - mean), 1e-15 * mean, "mean");
        assert_at_most(fabs(r.out.state[1] - deviation), 1e-15 * deviation, "deviation");
        double *next = copied(r.out.state, 2);
        test_result_free(&r), test_head_free(&h);
        carried = next;
    }
    free(carried);
    lgt_context_free(context);
}

static void a_state_given_equals_the_same_in_the_specification(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    for (int engine = 0; engine < 2; engine++) {
        const double moments[] = {2.5, 0.5};
        test_head given = test_head_random("adaface", N, D, C, 2);
        test_head written = test_head_random("adaface:mean=2.5,deviation=0.5", N, D, C, 2);
        given.state = copied(moments, 2);
        test_result a = run(context, &given, engine), b = run(context, &written, engine);
        assert_true(test_result_same(&given, &a, &b));
        assert_memory_equal(a.out.state, b.out.state, sizeof a.out.state);
        test_result_free(&a), test_result_free(&b), test_head_free(&given), test_head_free(&written);
    }
    lgt_context_free(context);
}

static void a_quality_of_the_norm_is_what_is_read_without_one(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    for (int engine = 0; engine < 2; engine++) {
        test_head plain = test_head_random("adaface:mean=2,deviation=1", N, D, C, 3);
        test_head given = test_head_random("adaface:mean=2,deviation=1", N, D, C, 3);
        given.qualities = calloc(N, sizeof(double));
        for (int i = 0; i < N; i++) {
            double square = 0;
            for (int k = 0; k < D; k++) square += given.x[i * D + k] * given.x[i * D + k];
            given.qualities[i] = sqrt(square);
        }
        test_result a = run(context, &plain, engine), b = run(context, &given, engine);
        assert_at_most(test_result_error(&plain, &a, &b), 1e-13, "norms as qualities");
        given.qualities[0] += 1;
        test_result c = run(context, &given, engine);
        assert_true(test_result_error(&plain, &c, &a) > 1e-3);
        test_result_free(&a), test_result_free(&b), test_result_free(&c);
        test_head_free(&plain), test_head_free(&given);
    }
    lgt_context_free(context);
}

/* --- Margins and scales of classes, soft targets --- */

static void equal_margins_and_scales_of_classes_equal_the_loss_s_own(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    for (int i = 0; test_specs[i]; i++)
        for (int engine = 0; engine < 2; engine++) {
            test_head h = test_head_random(test_specs[i], N, D, C, 4);
            test_result own = run(context, &h, engine);
            int margin = lgt_loss_param_of(h.loss.info, LGT_ROLE_MARGIN);
            int scale = lgt_loss_param_of(h.loss.info, LGT_ROLE_SCALE);
            if (margin >= 0) h.class_margins = calloc(C, sizeof(double));
            if (scale >= 0) h.class_scales = calloc(C, sizeof(double));
            for (int j = 0; j < C; j++) {
                if (margin >= 0) h.class_margins[j] = h.loss.values[margin];
                if (scale >= 0) h.class_scales[j] = h.loss.values[scale];
            }
            test_result given = run(context, &h, engine);
            assert_at_most(test_result_error(&h, &given, &own), 1e-13, test_specs[i]);
            test_result_free(&own), test_result_free(&given), test_head_free(&h);
        }
    lgt_context_free(context);
}

static void a_certain_soft_target_equals_its_label(void **state) {
    static const char *const specs[] = {"softmax", "normalized", "normalized:gradient=detached"};
    (void)state;
    lgt_context *context = test_context(1);
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++)
        for (int engine = 0; engine < 2; engine++) {
            test_head h = test_head_random(specs[s], N, D, C, 5);
            h.options.label_smoothing = 0.1;
            h.class_weights = test_weights(C, 5);
            test_result hard = run(context, &h, engine);
            h.soft_targets = calloc(N * C, sizeof(double));
            for (int i = 0; i < N; i++) h.soft_targets[i * C + h.labels[i]] = 1;
            test_result soft = run(context, &h, engine);
            assert_at_most(test_result_error(&h, &soft, &hard), 1e-13, specs[s]);
            assert_int_equal(soft.out.n_correct, hard.out.n_correct);
            test_result_free(&hard), test_result_free(&soft), test_head_free(&h);
        }
    lgt_context_free(context);
}

/* --- What is refused --- */

typedef void (*fault)(test_head *h);

static void margin_too_high(test_head *h) {
    test_head_margins(h, 1), h->class_margins[3] = 4;
}
static void margin_negative(test_head *h) {
    test_head_margins(h, 1), h->class_margins[5] = -0.1;
}
static void margin_nan(test_head *h) {
    test_head_margins(h, 1), h->class_margins[6] = NAN;
}
static void margin_not_whole(test_head *h) {
    test_head_margins(h, 1), h->class_margins[2] = 2.5;
}
static void margin_of_nothing(test_head *h) {
    h->class_margins = test_weights(C, 1);
}
static void scale_zero(test_head *h) {
    test_head_scales(h, 1), h->class_scales[4] = 0;
}
static void scale_infinite(test_head *h) {
    test_head_scales(h, 1), h->class_scales[1] = INFINITY;
}
static void scale_of_nothing(test_head *h) {
    h->class_scales = test_weights(C, 1);
}
static void soft_negative(test_head *h) {
    test_head_soften(h, 1), h->soft_targets[4 * C + 2] = -0.25;
}
static void soft_not_one(test_head *h) {
    test_head_soften(h, 1), h->soft_targets[3 * C + 2] += 0.01;
}
static void soft_nan(test_head *h) {
    test_head_soften(h, 1), h->soft_targets[2 * C + 1] = NAN;
}
static void soft_all_zero(test_head *h) {
    h->soft_targets = calloc(N * C, sizeof(double));
}
static void label_least(test_head *h) {
    h->labels[2] = INT64_MIN; /* what stands for "no label is ignored" is no label */
}
static void soft(test_head *h) {
    test_head_soften(h, 1);
}
static void quality_nan(test_head *h) {
    h->qualities = test_weights(N, 1), h->qualities[4] = NAN;
}
static void state_nan(test_head *h) {
    const double bad[] = {NAN, 1};
    h->state = copied(bad, 2);
}

static void what_makes_no_sense_is_refused_naming_the_place(void **state) {
    static const struct {
        const char *spec;
        fault fault;
        const char *parts[3]; /* of the message */
    } cases[] = {
        {"arcface", margin_too_high, {"class_margins", "4", "3"}},
        {"cosface", margin_negative, {"class_margins", "-0.1", "5"}},
        {"adaface", margin_nan, {"class_margins", "nan", "6"}},
        {"sphereface", margin_not_whole, {"class_margins", "2.5", "2"}},
        {"lsoftmax", margin_not_whole, {"class_margins", "2.5", "2"}},
        {"softmax", margin_of_nothing, {"softmax", "margin", ""}},
        {"normalized", margin_of_nothing, {"normalized", "margin", ""}},
        {"magface", margin_of_nothing, {"magface", "margin", ""}},
        {"arcface", scale_zero, {"class_scales", "0", "4"}},
        {"magface", scale_infinite, {"class_scales", "inf", "1"}},
        {"softmax", scale_of_nothing, {"softmax", "scale", ""}},
        {"lsoftmax", scale_of_nothing, {"lsoftmax", "scale", ""}},
        {"sphereface", scale_of_nothing, {"sphereface", "scale", ""}},
        {"softmax", soft_negative, {"soft_targets", "-0.25", "row 4"}},
        {"normalized", soft_not_one, {"soft_targets", "1.01", "row 3"}},
        {"softmax", soft_nan, {"soft_targets", "nan", "row 2"}},
        {"softmax", label_least, {"labels", "row 2", "-9223372036854775808"}},
        {"softmax", soft_all_zero, {"soft_targets", "0", "row 0"}},
        {"arcface", soft, {"arcface", "soft", ""}},
        {"subcenter", soft, {"subcenter", "soft", ""}},
        {"adaface", quality_nan, {"qualities", "nan", "4"}},
        {"adaface", state_nan, {"state", "mean", "nan"}},
        {"curricularface", state_nan, {"state", "t is nan", "-1 to 1"}},
    };
    (void)state;
    lgt_context *context = test_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int engine = 0; engine < 2; engine++) {
            test_head h = test_head_random(cases[i].spec, N, D, C, 6);
            test_result r;
            lgt_error err;
            cases[i].fault(&h);
            lgt_status status = test_head_try(context, &h, engines[engine], LGT_F64, &r, &err);
            if (status != LGT_ERR_USAGE && status != LGT_ERR_UNSUPPORTED && status != LGT_ERR_DATA)
                fail_msg("case %d, %s: status %s", (int)i, cases[i].spec, lgt_status_name(status));
            for (int k = 0; k < 3; k++)
                if (!strstr(err.message, cases[i].parts[k]))
                    fail_msg("case %d: \"%s\" lacks \"%s\"", (int)i, err.message, cases[i].parts[k]);
            test_result_free(&r), test_head_free(&h);
        }
    lgt_context_free(context);
}

static void soft_targets_of_a_wrong_shape_or_type_are_refused(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    test_head h = test_head_random("softmax", N, D, C, 7);
    lgt_head *head;
    lgt_plan *plan;
    lgt_error err;
    test_head_soften(&h, 7);
    h.options.dtype = LGT_F64;
    assert_ok(lgt_head_create(context, &h.loss, D, C, &head, &err), err);
    assert_ok(lgt_plan_create(head, &h.options, &plan, &err), err);
    lgt_head_inputs in = {.x = lgt_view_of(h.x, N, D, LGT_F64),
                          .w = lgt_view_of(h.w, C, D, LGT_F64),
                          .soft_targets = lgt_view_of(h.soft_targets, N, C, LGT_F64)};
    lgt_head_outputs out = {0};
    assert_ok(lgt_plan_run(plan, &in, &out, &err), err);
    in.soft_targets.cols = C - 1;
    assert_fails(lgt_plan_run(plan, &in, &out, &err), LGT_ERR_USAGE, err, "soft_targets is (6, 6), expected (6, 7)");
    in.soft_targets = lgt_view_of(h.soft_targets, N - 1, C, LGT_F64);
    assert_fails(lgt_plan_run(plan, &in, &out, &err), LGT_ERR_USAGE, err, "soft_targets is (5, 7), expected (6, 7)");
    in.soft_targets = lgt_view_of(h.soft_targets, N, C, LGT_F32);
    assert_fails(lgt_plan_run(plan, &in, &out, &err), LGT_ERR_USAGE, err, "soft_targets is f32, expected f64");
    in.soft_targets = (lgt_view){0};
    assert_fails(lgt_plan_run(plan, &in, &out, &err), LGT_ERR_USAGE, err, "labels are missing");
    lgt_plan_free(plan), lgt_head_free(head), test_head_free(&h), lgt_context_free(context);
}

static void weights_have_a_row_for_every_centre(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    test_head h = test_head_random("subcenter:k=3", N, D, C, 8);
    lgt_error err;
    test_result r;
    h.w_rows = C;
    assert_fails(test_head_try(context, &h, LGT_ENGINE_CPU, LGT_F64, &r, &err), LGT_ERR_USAGE, err,
                 "w is (7, 5), expected (21, 5)");
    test_result_free(&r), test_head_free(&h), lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_state_moves_by_the_used_rows_and_the_run_uses_the_moved_one),
        cmocka_unit_test(the_state_of_one_run_continues_in_the_next),
        cmocka_unit_test(a_state_given_equals_the_same_in_the_specification),
        cmocka_unit_test(a_quality_of_the_norm_is_what_is_read_without_one),
        cmocka_unit_test(equal_margins_and_scales_of_classes_equal_the_loss_s_own),
        cmocka_unit_test(a_certain_soft_target_equals_its_label),
        cmocka_unit_test(what_makes_no_sense_is_refused_naming_the_place),
        cmocka_unit_test(soft_targets_of_a_wrong_shape_or_type_are_refused),
        cmocka_unit_test(weights_have_a_row_for_every_centre),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
