/* What pictures are drawn from: samples, angles, ROC, calibration, confusions, maps. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "logitude/eval.h"
#include "logitude/loss.h"
#include "math/sphere.h"
#include "support.h"

/* --- Samples --- */

static void a_sample_has_its_size_and_rises(void **state) {
    (void)state;
    static const int64_t sizes[][2] = {{0, 0}, {0, 5}, {1, 1}, {5, 0}, {5, 5}, {5, 9}, {1000, 37}, {100000, 2000}};
    int64_t *rows = malloc(2000 * sizeof *rows);
    assert_non_null(rows);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t n = sizes[s][0], most = sizes[s][1], count = lgt_eval_sample(n, most, 3, rows);
        assert_int_equal(count, n < most ? n : most);
        for (int64_t i = 0; i < count; i++) {
            assert_true(rows[i] >= 0 && rows[i] < n);
            assert_true(i == 0 || rows[i] > rows[i - 1]);
        }
    }
    free(rows);
}

/* Labels that repeat with a period must not be met by a stride. */
static void a_sample_takes_every_residue_alike(void **state) {
    (void)state;
    int64_t rows[2000], counts[10] = {0};
    assert_int_equal(lgt_eval_sample(20000, 2000, 0, rows), 2000);
    for (int i = 0; i < 2000; i++) counts[rows[i] % 10]++;
    for (int r = 0; r < 10; r++) assert_true(counts[r] > 140 && counts[r] < 260); /* 200 +- 4.5 deviations of 13.4 */
}

/* --- Angles --- */

static void angles_are_those_of_all_pairs(void **state) {
    (void)state;
    enum { N = 23, C = 7, D = 5, K = 3 };
    static const int64_t centres[] = {1, K};
    lgt_context *context = test_context(2);
    float x[N * D], w[C * K * D];
    int64_t labels[N], nearest[N];
    double target[N], other[N], x_norm[N], w_norm[N];
    lgt_error err;
    test_normal_f32(x, N * D, 11, 0);
    test_normal_f32(w, C * K * D, 11, 1);
    test_labels(labels, N, C, 11);
    for (int c = 0; c < 2; c++) {
        int64_t k = centres[c];
        const lgt_angles out = {target, other, nearest, x_norm, w_norm};
        assert_ok(lgt_eval_angles(context, lgt_view_of(x, N, D, LGT_F32), lgt_view_of(w, C * k, D, LGT_F32), labels, C,
                                  k, &out, &err),
                  err);
        for (int i = 0; i < N; i++) {
            double best[C], norm_y = 0, xx = 0;
            for (int j = 0; j < D; j++) xx += (double)x[i * D + j] * x[i * D + j];
            for (int64_t j = 0; j < C * k; j++) {
                double xw = 0, ww = 0;
                for (int d = 0; d < D; d++) {
                    xw += (double)x[i * D + d] * w[j * D + d];
                    ww += (double)w[j * D + d] * w[j * D + d];
                }
                double theta = acos(xw / sqrt(xx * ww)); /* the angles here are far from 0 and pi */
                if (j % k == 0 || theta < best[j / k]) {
                    best[j / k] = theta;
                    if (j / k == labels[i]) norm_y = sqrt(ww);
                }
            }
            int64_t wanted = labels[i] == 0;
            for (int64_t j = 0; j < C; j++)
                if (j != labels[i] && best[j] < best[wanted]) wanted = j;
            assert_at_most(fabs(target[i] - best[labels[i]]), 1e-13, "angle to the own class");
            assert_int_equal(nearest[i], wanted);
            assert_at_most(fabs(other[i] - best[wanted]), 1e-13, "angle to the nearest other class");
            assert_at_most(fabs(x_norm[i] - sqrt(xx)), 1e-14, "norm of x"); /* 2 roundings of a norm below 5 */
            assert_at_most(fabs(w_norm[i] - norm_y), 1e-14, "norm of w");
        }
    }
    lgt_context_free(context);
}

static void a_centre_without_direction_hides_no_other(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    const float x[] = {1, 0.2f}, w[] = {0, 0, 1, 0, 0, 0, -1, 0};
    const int64_t label = 0;
    double target, nearest, w_norm;
    lgt_error err;
    const lgt_angles out = {.target = &target, .nearest = &nearest, .w_norm = &w_norm};
    assert_ok(lgt_eval_angles(context, lgt_view_of(x, 1, 2, LGT_F32), lgt_view_of(w, 4, 2, LGT_F32), &label, 2, 2, &out,
                              &err),
              err);
    assert_at_most(fabs(target - atan(0.2)), 1e-7, "angle"); /* float32 x */
    assert_at_most(fabs(nearest - (acos(-1) - atan(0.2))), 1e-7, "angle");
    assert_true(w_norm == 1);
    lgt_context_free(context);
}

static void a_row_without_direction_has_no_angle(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    const float x[] = {0, 0, 1, 0}, w[] = {1, 0, 0, 0};
    const int64_t labels[] = {0, 1};
    double target[2], x_norm[2];
    lgt_error err;
    const lgt_angles out = {.target = target, .x_norm = x_norm};
    assert_ok(lgt_eval_angles(context, lgt_view_of(x, 2, 2, LGT_F32), lgt_view_of(w, 2, 2, LGT_F32), labels, 2, 1, &out,
                              &err),
              err);
    assert_true(isnan(target[0]) && isnan(target[1]));
    assert_true(x_norm[0] == 0 && x_norm[1] == 1);
    assert_fails(lgt_eval_angles(context, lgt_view_of(x, 2, 2, LGT_F32), lgt_view_of(w, 2, 2, LGT_F32), labels, 1, 1,
                                 &out, &err),
                 LGT_ERR_USAGE, err, "2 classes");
    assert_fails(lgt_eval_angles(context, lgt_view_of(x, 2, 2, LGT_F32), lgt_view_of(w, 2, 2, LGT_F32), labels, 2, 2,
                                 &out, &err),
                 LGT_ERR_USAGE, err, "w has 2 rows");
    assert_fails(lgt_eval_angles(context, lgt_view_of(x, 2, 2, LGT_F32), lgt_view_of(w, 2, 2, LGT_F32),
                                 (const int64_t[]){0, 2}, 2, 1, &out, &err),
                 LGT_ERR_DATA, err, "row 1 is 2");
    lgt_context_free(context);
}

/* --- ROC --- */

static void the_roc_passes_through_the_rates_of_verification(void **state) {
    (void)state;
    static const int64_t sizes[] = {3, 10, 97, 250};
    lgt_context *context = test_context(2);
    for (int s = 0; s < 4; s++) {
        int64_t n = sizes[s], labels[250];
        float *x = malloc((size_t)n * 4 * sizeof *x);
        double far[] = {0, 1e-3, 1e-2, 0.1, 0.5, 1}, tar[6];
        lgt_verification result;
        lgt_error err;
        assert_non_null(x);
        test_normal_f32(x, n * 4, 5, (uint64_t)s);
        for (int64_t i = 0; i < n; i++) {
            labels[i] = i % 2;
            x[4 * i] += (float)(2 * labels[i]);
            for (int k = 0; k < 4 && s == 2; k++) x[4 * i + k] = roundf(x[4 * i + k]); /* many equal scores */
        }
        lgt_view z = lgt_view_of(x, n, 4, LGT_F32);
        assert_ok(lgt_eval_verification(context, z, labels, &result, &err), err);
        assert_ok(lgt_eval_roc(context, z, labels, 6, far, tar, &err), err);
        assert_true(tar[1] == result.tar_at_far[1]);
        assert_true(tar[2] == result.tar_at_far[0]);
        for (int i = 1; i < 6; i++) assert_true(tar[i] >= tar[i - 1]);
        assert_true(tar[5] == 1);
        free(x);
    }
    lgt_context_free(context);
}

static void a_roc_without_two_kinds_of_pairs_is_an_error(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    const float x[] = {1, 2, 3};
    const double far = 0.5, beyond = 1.5;
    double tar;
    lgt_error err;
    lgt_view z = lgt_view_of(x, 3, 1, LGT_F32);
    assert_fails(lgt_eval_roc(context, z, (const int64_t[]){0, 1, 2}, 1, &far, &tar, &err), LGT_ERR_DATA, err,
                 "0 genuine");
    assert_fails(lgt_eval_roc(context, z, (const int64_t[]){1, 1, 1}, 1, &far, &tar, &err), LGT_ERR_DATA, err,
                 "0 impostor");
    assert_fails(lgt_eval_roc(context, z, (const int64_t[]){1, 1, 0}, 1, &beyond, &tar, &err), LGT_ERR_USAGE, err,
                 "rate 0 is 1.5");
    assert_fails(lgt_eval_roc(context, lgt_view_of(x, 20001, 1, LGT_F32), (const int64_t[]){1}, 1, &far, &tar, &err),
                 LGT_ERR_USAGE, err, "20001 rows");
    lgt_context_free(context);
}

/* --- Calibration, confusions --- */

static void bins_of_calibration_make_the_calibration_error(void **state) {
    (void)state;
    enum { N = 500 };
    double logits[N], lse[N], label_logits[N], noise[N], error = 0;
    int64_t labels[N], classes[N], rows = 0;
    lgt_classification whole;
    lgt_calibration bins;
    lgt_error err;
    test_normal(noise, N, 9, 0);
    test_labels(labels, N, 4, 9);
    test_labels(classes, N, 4, 10);
    for (int i = 0; i < N; i++) {
        logits[i] = label_logits[i] = -fabs(noise[i]);
        lse[i] = 0;
    }
    logits[0] = 0; /* p = 1 */
    assert_ok(lgt_eval_classification(N, labels, 1, classes, logits, lse, label_logits, &whole, &err), err);
    assert_ok(lgt_eval_calibration(N, labels, 1, classes, logits, lse, &bins, &err), err);
    for (int b = 0; b < LGT_CALIBRATION_BINS; b++) {
        rows += bins.rows[b];
        assert_int_equal(bins.rows[b] == 0, isnan(bins.accuracy[b]) && isnan(bins.confidence[b]));
        if (bins.rows[b] == 0) continue;
        assert_true(bins.confidence[b] >= b / 15.0 - 1e-12 && bins.confidence[b] <= (b + 1) / 15.0 + 1e-12);
        error += (double)bins.rows[b] * fabs(bins.accuracy[b] - bins.confidence[b]) / N;
    }
    assert_int_equal(rows, N);
    assert_at_most(fabs(error - whole.ece), 1e-14, "calibration error"); /* sums of 500 terms below 1 */
    logits[3] = NAN;
    assert_fails(lgt_eval_calibration(N, labels, 1, classes, logits, lse, &bins, &err), LGT_ERR_DATA, err, "row 3");
    assert_fails(lgt_eval_calibration(0, labels, 1, classes, logits, lse, &bins, &err), LGT_ERR_DATA, err, "0 rows");
}

static void confusions_are_counted_and_ranked(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    const int64_t labels[] = {0, 0, 1, 1, 1, 2, 2, 2}, classes[] = {0, 9, 2, 9, 0, 9, 1, 9, 1, 9, 0, 9, 0, 9, 2, 9};
    lgt_confusion out[8];
    int64_t count = 0;
    lgt_error err;
    assert_ok(lgt_eval_confusions(context, 8, labels, 2, classes, 8, out, &count, &err), err);
    static const int64_t wanted[][3] = {{2, 0, 2}, {0, 2, 1}, {1, 0, 1}};
    assert_int_equal(count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(out[i].label, wanted[i][0]);
        assert_int_equal(out[i].predicted, wanted[i][1]);
        assert_int_equal(out[i].rows, wanted[i][2]);
    }
    assert_ok(lgt_eval_confusions(context, 8, labels, 2, classes, 1, out, &count, &err), err);
    assert_int_equal(count, 1);
    assert_ok(lgt_eval_confusions(context, 0, NULL, 1, NULL, 1, out, &count, &err), err);
    assert_int_equal(count, 0);
    assert_fails(lgt_eval_confusions(context, 8, labels, 0, classes, 1, out, &count, &err), LGT_ERR_USAGE, err,
                 "k = 0");
    lgt_context_free(context);
}

/* --- Maps --- */

/* Points of deviations 5 and 2 along two known axes and 0.1 elsewhere. */
static void a_map_finds_the_two_widest_axes(void **state) {
    (void)state;
    enum { N = 400, D = 6 };
    lgt_context *context = test_context(1);
    float x[N * D];
    double noise[N * D], place[N * 2], shares[2], u[D] = {3, 0, 4, 0, 0, 0}, v[D] = {0, 1, 0, -1, 0, 0}, dot = 0;
    lgt_error err;
    lgt_unit(u, D, u);
    lgt_unit(v, D, v);
    test_normal(noise, N * D, 21, 0);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < D; k++)
            x[i * D + k] =
                (float)(100 + 5 * noise[i * D] * u[k] + 2 * noise[i * D + 1] * v[k] + 0.1 * noise[i * D + (k + 2) % D]);
    lgt_mut out = lgt_mut_of(place, N, 2, LGT_F64);
    assert_ok(lgt_eval_map(context, lgt_view_of(x, N, D, LGT_F32), 0, out, shares, &err), err);
    double mean[2] = {0}, a = 0, b = 0, ab = 0;
    for (int i = 0; i < N; i++) {
        mean[0] += noise[i * D] / N;
        mean[1] += noise[i * D + 1] / N;
    }
    for (int i = 0; i < N; i++) { /* the first axis has 4/5 > 0, so its sign is that of u; v's is left open */
        a = fmax(a, fabs(place[2 * i] - 5 * (noise[i * D] - mean[0])));
        dot += place[2 * i] * place[2 * i + 1];
        b += place[2 * i] * place[2 * i];
        ab += place[2 * i + 1] * place[2 * i + 1];
    }
    assert_at_most(a, 1.0, "distance along the first axis"); /* noise of 0.1 and a tilt of a few per cent */
    assert_at_most(fabs(dot), 1e-3 * sqrt(b * ab), "correlation of the axes");
    assert_true(shares[0] > 0.8 && shares[0] < 0.9 && shares[1] > 0.1 && shares[1] < 0.2);
    double again[N * 2];
    assert_ok(lgt_eval_map(context, lgt_view_of(x, N, D, LGT_F32), 0, lgt_mut_of(again, N, 2, LGT_F64), shares, &err),
              err);
    assert_memory_equal(place, again, sizeof again);
    lgt_context_free(context);
}

static void maps_of_few_dimensions_rows_and_values_are_defined(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    const float x[] = {1, 2, 3, 4, 5, 6}, same[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    double place[6], shares[2];
    lgt_error err;
    assert_ok(lgt_eval_map(context, lgt_view_of(x, 3, 2, LGT_F32), 1, lgt_mut_of(place, 3, 2, LGT_F64), shares, &err),
              err);
    for (int i = 0; i < 6; i++) assert_true(place[i] == i + 1);
    assert_true(isnan(shares[0]));
    assert_ok(lgt_eval_map(context, lgt_view_of(x, 3, 1, LGT_F32), 0, lgt_mut_of(place, 3, 2, LGT_F64), shares, &err),
              err);
    for (int i = 0; i < 3; i++) assert_true(fabs(place[2 * i] - (i - 1)) < 1e-15 && place[2 * i + 1] == 0);
    assert_true(fabs(shares[0] - 1) < 1e-15 && shares[1] == 0);
    assert_ok(
        lgt_eval_map(context, lgt_view_of(same, 3, 3, LGT_F32), 0, lgt_mut_of(place, 3, 2, LGT_F64), shares, &err),
        err);
    for (int i = 0; i < 6; i++) assert_true(place[i] == 0);
    assert_ok(lgt_eval_map(context, lgt_view_of(x, 0, 3, LGT_F32), 0, lgt_mut_of(place, 0, 2, LGT_F64), shares, &err),
              err);
    assert_fails(
        lgt_eval_map(context, lgt_view_of(x, 2, 3, LGT_F32), 0, lgt_mut_of(place, 2, 1, LGT_F64), shares, &err),
        LGT_ERR_USAGE, err, "(2, 1)");
    lgt_context_free(context);
}

static lgt_status everything(lgt_context *context, lgt_error *err) {
    enum { N = 40, C = 4, D = 3 };
    float x[N * D], w[C * D];
    int64_t labels[N], nearest[N], count = 0;
    double place[N * 2], shares[2], far = 0.1, tar;
    lgt_confusion out[2];
    test_normal_f32(x, N * D, 1, 0);
    test_normal_f32(w, C * D, 1, 1);
    test_labels(labels, N, C, 1);
    const lgt_angles angles = {.nearest_class = nearest};
    lgt_view z = lgt_view_of(x, N, D, LGT_F32);
    lgt_status status = lgt_eval_angles(context, z, lgt_view_of(w, C, D, LGT_F32), labels, C, 1, &angles, err);
    if (!status) status = lgt_eval_roc(context, z, labels, 1, &far, &tar, err);
    if (!status) status = lgt_eval_confusions(context, N, labels, 1, nearest, 2, out, &count, err);
    if (!status) status = lgt_eval_map(context, z, 1, lgt_mut_of(place, N, 2, LGT_F64), shares, err);
    return status;
}

static void every_refused_allocation_is_an_error_and_leaves_nothing(void **state) {
    (void)state;
    lgt_status status = LGT_ERR_MEMORY;
    for (int64_t fail_at = 1; status; fail_at++) {
        lgt_error err;
        lgt_context *context = test_context_failing(fail_at);
        assert_true(fail_at < 200);
        status = everything(context, &err);
        assert_true(status == LGT_OK || status == LGT_ERR_MEMORY);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_has_its_size_and_rises),
        cmocka_unit_test(a_sample_takes_every_residue_alike),
        cmocka_unit_test(angles_are_those_of_all_pairs),
        cmocka_unit_test(a_centre_without_direction_hides_no_other),
        cmocka_unit_test(a_row_without_direction_has_no_angle),
        cmocka_unit_test(the_roc_passes_through_the_rates_of_verification),
        cmocka_unit_test(a_roc_without_two_kinds_of_pairs_is_an_error),
        cmocka_unit_test(bins_of_calibration_make_the_calibration_error),
        cmocka_unit_test(confusions_are_counted_and_ranked),
        cmocka_unit_test(a_map_finds_the_two_widest_axes),
        cmocka_unit_test(maps_of_few_dimensions_rows_and_values_are_defined),
        cmocka_unit_test(every_refused_allocation_is_an_error_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
