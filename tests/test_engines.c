/* The streaming engine against the reference: shapes around its tiles, blocks, stripes and panels; types; options;
 * bits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "heads.h"

/* Relative to the largest entry. float64 differs from the reference by the order of sums alone: 1e-16 times the square
 * root of the terms, times s = 64 in the exponent. float32 rounds inputs of the exponential to 6e-8 of [-s, s]. */
static const double f64_gate = 1e-12, f32_gate = 5e-6;

static void compare(lgt_context *context, test_head *h, const char *name) {
    char what[160];
    test_head_round(h);
    test_result expected = test_head_run(context, h, LGT_ENGINE_REFERENCE, LGT_F64);
    const lgt_dtype types[] = {LGT_F64, LGT_F32};
    for (int t = 0; t < 2; t++) {
        double gate = types[t] == LGT_F64 ? f64_gate : f32_gate;
        test_result found = test_head_run(context, h, LGT_ENGINE_CPU, types[t]);
        snprintf(what, sizeof what, "%s %s (%lld, %lld, %lld)", name, lgt_dtype_name(types[t]), (long long)h->n_rows,
                 (long long)h->dim, (long long)h->n_classes);
        assert_at_most(test_result_error(h, &found, &expected), gate, what);
        assert_at_most(test_relative_error(found.loss_rows, expected.loss_rows, h->n_rows), gate, what);
        assert_at_most(test_relative_error(found.lse, expected.lse, h->n_rows), gate, what);
        assert_at_most(fabs(found.out.loss - expected.out.loss), gate * fmax(1, fabs(expected.out.loss)), what);
        assert_int_equal(found.out.n_used, expected.out.n_used);
        assert_int_equal(found.out.n_zero_rows, expected.out.n_zero_rows);
        assert_int_equal(found.out.n_zero_classes, expected.out.n_zero_classes);
        test_result_free(&found);
    }
    test_result_free(&expected);
}

static void cpu_equals_reference_for_every_loss_and_shape(void **state) {
    static const int64_t shapes[][3] = {{1, 1, 1},    {1, 2, 1},   {1, 1, 2},    {2, 3, 2},    {7, 16, 63},
                                        {64, 17, 64}, {65, 5, 65}, {3, 33, 129}, {257, 8, 10}, {5, 31, 700}};
    (void)state;
    lgt_context *context = test_context(2);
    for (int i = 0; test_specs[i]; i++)
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
            /* One dimension has no tangent: every COS gradient is rounding. */
            test_head h = test_head_random(test_specs[i], shapes[k][0], shapes[k][1], shapes[k][2], 11 + k);
            if (h.loss.info->space == LGT_SPACE_DOT || h.dim > 1) compare(context, &h, test_specs[i]);
            test_head_free(&h);
        }
    lgt_context_free(context);
}

static double product(const double *a, const double *b, int64_t n) {
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

/* Row i stands at thetas[i % n] from its class. */
static void turn_rows(test_head *h, const double *thetas, int64_t n) {
    int64_t d = h->dim;
    for (int64_t i = 0; i < h->n_rows; i++) {
        const double *w = h->w + h->labels[i] * d, theta = thetas[i % n], norm = sqrt(product(w, w, d));
        double *x = h->x + i * d, along = product(x, w, d) / norm / norm;
        for (int64_t k = 0; k < d; k++) x[k] -= along * w[k];
        double across = sqrt(product(x, x, d));
        for (int64_t k = 0; k < d; k++) x[k] = 3 * (cos(theta) * w[k] / norm + sin(theta) * x[k] / across);
    }
}

/* Small angles and others take two ways: here about the bounds of both types, 30 degrees and 0.9. */
static void cpu_equals_reference_at_every_angle_of_a_target(void **state) {
    enum { N_THETAS = 12 };
    static const double thetas[N_THETAS] = {0, 1e-7, 1e-3, 0.0156, 0.0157, 0.3, 0.51, 0.531, 1.5, 2.6, 2.63, 3.14};
    (void)state;
    lgt_context *context = test_context(2);
    for (int i = 0; test_specs[i]; i++) {
        test_head h = test_head_random(test_specs[i], 3 * N_THETAS, 24, 40, 31);
        if (h.w_rows == h.n_classes) {
            turn_rows(&h, thetas, N_THETAS);
            compare(context, &h, test_specs[i]);
        }
        test_head_free(&h);
    }
    lgt_context_free(context);
}

static void cpu_equals_reference_over_several_panels_of_rows(void **state) {
    (void)state;
    lgt_context *context = test_context(2);
    /* 16 stripes of 500 dimensions leave panels of 448 rows. */
    test_head many = test_head_random("arcface:s=20,m=0.4", 500, 500, 1930, 5);
    compare(context, &many, "arcface");
    test_head_free(&many);
    test_head few = test_head_random("softmax", 6000, 700, 3, 6);
    for (int64_t i = 0; i < few.n_classes * few.dim; i++) few.w[i] /= 26; /* logits of a usual size */
    compare(context, &few, "softmax");
    test_head_free(&few);
    lgt_context_free(context);
}

static void every_option_agrees_in_any_combination(void **state) {
    static const char *const specs[] = {"softmax",
                                        "arcface:s=16,m=0.3",
                                        "lsoftmax:m=3,lambda=1",
                                        "normalized:s=8",
                                        "sphereface:m=2,lambda=0.5",
                                        "subcenter:s=16,k=2",
                                        "curricularface:s=16,t=0.3",
                                        "magface:s=16,l_m=0.2,u_m=0.9,l_a=3,u_a=4,lambda_g=300"};
    (void)state;
    lgt_context *context = test_context(2);
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        for (unsigned mask = (unsigned)i; mask < 512; mask += 13) { /* all of them on small problems: test_options */
            test_head h = test_head_random(specs[i], 70, 13, 77, 100 + mask);
            if (mask & 1) h.sample_weights = test_weights(h.n_rows, mask);
            if (mask & 2) h.class_weights = test_weights(h.n_classes, mask + 1);
            if (mask & 4) h.options.label_smoothing = 0.15;
            if (mask & 8) h.options.z_loss = 0.01;
            if (mask & 16) h.options.ignore_label = 3, h.labels[0] = 3;
            if (mask & 32) h.options.reduction = mask & 1 ? LGT_REDUCTION_SUM : LGT_REDUCTION_NONE;
            if (h.options.reduction == LGT_REDUCTION_NONE) h.upstream = test_weights(h.n_rows, mask + 2);
            if (mask & 64 && test_head_has(&h, LGT_ROLE_MARGIN)) test_head_margins(&h, mask);
            if (mask & 128 && test_head_has(&h, LGT_ROLE_SCALE)) test_head_scales(&h, mask);
            if (mask & 256 && h.loss.info->n_params <= 2) test_head_soften(&h, mask); /* softmax, normalized */
            compare(context, &h, specs[i]);
            test_head_free(&h);
        }
    lgt_context_free(context);
}

static void bits_do_not_depend_on_threads(void **state) {
    static const int64_t shapes[][3] = {{300, 24, 10}, {130, 40, 2000}, {1, 5, 300}};
    static const int threads[] = {2, 3, 8, 16};
    (void)state;
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (int t = 0; t < 2; t++) {
            lgt_dtype dtype = t ? LGT_F32 : LGT_F64;
            static const char *const specs[] = {"arcface",   "softmax",    "curricularface:t=0.2",
                                                "subcenter", "sphereface", "adaface"};
            test_head h = test_head_random(specs[2 * k + (size_t)t], shapes[k][0], shapes[k][1], shapes[k][2], 3);
            lgt_context *one = test_context(1);
            test_result expected = test_head_run(one, &h, LGT_ENGINE_CPU, dtype);
            for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
                lgt_context *several = test_context(threads[i]);
                test_result found = test_head_run(several, &h, LGT_ENGINE_CPU, dtype);
                assert_true(test_result_same(&h, &found, &expected));
                test_result_free(&found);
                lgt_context_free(several);
            }
            test_result_free(&expected);
            lgt_context_free(one);
            test_head_free(&h);
        }
}

static void every_instruction_set_agrees(void **state) {
    (void)state;
    for (int isa = LGT_ISA_GENERIC; isa <= LGT_ISA_AMX; isa++) {
        lgt_context *context = test_context_on(2, (lgt_isa)isa);
        for (int i = 0; test_specs[i]; i++) {
            test_head h = test_head_random(test_specs[i], 40, 19, 150, 21);
            compare(context, &h, test_specs[i]);
            test_head_free(&h);
        }
        lgt_context_free(context);
    }
}

static void a_margin_of_nothing_equals_the_plain_head_to_the_bit(void **state) {
    static const char *const pairs[][2] = {{"arcface:s=16,m=0", "normalized:s=16"},
                                           {"arcface:s=16,m=0,tail=fold", "normalized:s=16"},
                                           {"cosface:s=16,m=0", "normalized:s=16"},
                                           {"combined:s=16,m2=0", "normalized:s=16"},
                                           {"subcenter:s=16,m=0,k=1", "normalized:s=16"},
                                           {"subcenter:s=16,m=0.5,k=1", "arcface:s=16,m=0.5"},
                                           {"adaface:s=16,m=0", "normalized:s=16"},
                                           {"sphereface:m=1,lambda=0", "sphereface:m=1,lambda=7"},
                                           {"sphereface-r:s=16,m=1", "normalized:s=16"},
                                           {"lsoftmax:m=1,lambda=0", "softmax"},
                                           {"lsoftmax:m=1", "softmax"}};
    (void)state;
    lgt_context *context = test_context(2);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++)
            for (int t = LGT_F32; t <= LGT_F64; t++) {
                test_head margin = test_head_random(pairs[i][0], 33, 21, 90, 8);
                test_head plain = test_head_random(pairs[i][1], 33, 21, 90, 8);
                plain.bias = 0;
                test_result a = test_head_run(context, &margin, (lgt_engine)engine, (lgt_dtype)t);
                test_result b = test_head_run(context, &plain, (lgt_engine)engine, (lgt_dtype)t);
                assert_true(test_result_same(&margin, &a, &b));
                test_result_free(&a), test_result_free(&b);
                test_head_free(&margin), test_head_free(&plain);
            }
    lgt_context_free(context);
}

static void strided_views_and_accumulation_change_nothing_else(void **state) {
    enum { N = 70, D = 9, C = 130, LD = 14 };
    (void)state;
    lgt_context *context = test_context(2);
    test_head h = test_head_random("arcface", N, D, C, 4);
    test_result expected = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F64);
    double *x = calloc(N * LD, 8), *w = calloc(C * LD, 8), *dx = calloc(N * LD, 8), *dw = calloc(C * LD, 8);
    assert_true(x && w && dx && dw);
    for (int i = 0; i < N * D; i++) x[i / D * LD + i % D] = h.x[i];
    for (int i = 0; i < C * D; i++) w[i / D * LD + i % D] = h.w[i];
    for (int i = 0; i < N * LD; i++) dx[i] = 1;
    for (int i = 0; i < C * LD; i++) dw[i] = 2;
    lgt_head *head;
    lgt_plan *plan;
    lgt_error err;
    h.options.dtype = LGT_F64;
    assert_ok(lgt_head_create(context, &h.loss, D, C, &head, &err), err);
    assert_ok(lgt_plan_create(head, &h.options, &plan, &err), err);
    lgt_head_inputs in = {.x = {x, N, D, LD, LGT_F64}, .w = {w, C, D, LD, LGT_F64}, .labels = h.labels};
    lgt_head_outputs out = {.dx = {dx, N, D, LD, LGT_F64}, .dw = {dw, C, D, LD, LGT_F64}, .accumulate = 1};
    assert_ok(lgt_plan_run(plan, &in, &out, &err), err);
    for (int i = 0; i < N * LD; i++) assert_true(dx[i] == (i % LD < D ? 1 + expected.dx[i / LD * D + i % LD] : 1));
    for (int i = 0; i < C * LD; i++) assert_true(dw[i] == (i % LD < D ? 2 + expected.dw[i / LD * D + i % LD] : 2));
    lgt_plan_free(plan), lgt_head_free(head);
    free(x), free(w), free(dx), free(dw);
    test_result_free(&expected), test_head_free(&h), lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_equals_reference_for_every_loss_and_shape),
        cmocka_unit_test(cpu_equals_reference_at_every_angle_of_a_target),
        cmocka_unit_test(cpu_equals_reference_over_several_panels_of_rows),
        cmocka_unit_test(every_option_agrees_in_any_combination),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(every_instruction_set_agrees),
        cmocka_unit_test(a_margin_of_nothing_equals_the_plain_head_to_the_bit),
        cmocka_unit_test(strided_views_and_accumulation_change_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
