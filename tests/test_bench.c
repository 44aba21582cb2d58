/* The bench: what it measures is the plan's own, whatever the machine; times only need to be times. */
#include <math.h>
#include <string.h>

#include "bench/matter.h"
#include "bench/median.h"
#include "kernel/kernels.h"
#include "logitude/bench.h"
#include "support.h"

enum { MOST = 70000 };

TEST_SHARED_CONTEXT(2)

static lgt_bench_head_options small_options(void) {
    lgt_bench_head_options o;
    lgt_bench_head_options_init(&o);
    o.n_rows = 5, o.dim = 9, o.n_classes = 33, o.repeat = 2;
    return o;
}

static void filled_numbers_are_in_range_not_zero_and_the_same_for_any_threads(void **state) {
    (void)state;
    static float a[MOST], b[MOST];
    lgt_context *alone = test_context(1);
    double sum = 0;
    lgt_bench_fill(context, a, MOST, LGT_F32, 0.5, 7, 3);
    lgt_bench_fill(alone, b, MOST, LGT_F32, 0.5, 7, 3);
    assert_memory_equal(a, b, sizeof a);
    for (int i = 0; i < MOST; i++) {
        if (a[i] == 0 || fabsf(a[i]) > 0.5F) fail_msg("entry %d is %g", i, (double)a[i]);
        sum += (double)a[i] * (double)a[i];
    }
    /* the variance of a uniform number, with five deviations of its estimate */
    assert_at_most(fabs(sum / MOST - 0.25 / 3), 5 * 0.25 * sqrt(4.0 / 45 / MOST), "variance");
    lgt_bench_fill(alone, b, MOST, LGT_F32, 0.5, 8, 3);
    assert_memory_not_equal(a, b, sizeof a);
    lgt_context_free(alone);
}

static void poison_is_noticed_wherever_it_is(void **state) {
    (void)state;
    static double a[MOST];
    static float f[MOST];
    static const int64_t counts[] = {1, 3, 65536, MOST};
    for (int c = 0; c < 4; c++) {
        int64_t n = counts[c];
        lgt_bench_poison(context, a, n, LGT_F64);
        lgt_bench_poison(context, f, n, LGT_F32);
        for (int64_t i = 0; i < n; i++)
            if (!isnan(a[i]) || !isnan(f[i])) fail_msg("entry %lld of %lld is not NaN", (long long)i, (long long)n);
        lgt_bench_fill(context, a, n, LGT_F64, 1, 0, 0);
        lgt_bench_fill(context, f, n, LGT_F32, 1, 0, 0);
        assert_true(lgt_bench_finite(context, a, n, LGT_F64) && lgt_bench_finite(context, f, n, LGT_F32));
        a[n - 1] = INFINITY, f[n / 2] = NAN;
        assert_false(lgt_bench_finite(context, a, n, LGT_F64) || lgt_bench_finite(context, f, n, LGT_F32));
    }
    assert_true(lgt_bench_finite(context, NULL, 0, LGT_F32));
}

static void medians_are_those_of_the_sorted(void **state) {
    (void)state;
    double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2}, one[] = {5};
    assert_true(lgt_bench_median(odd, 3) == 2 && odd[0] == 1 && odd[2] == 3);
    assert_true(lgt_bench_median(even, 4) == 2.5 && even[3] == 4);
    assert_true(lgt_bench_median(one, 1) == 5);
}

/* Per turn the operations must grow in proportion: a chain that a compiler dropped would show in no count, but a turn
 * that counts nothing would. */
static void peaks_count_their_turns(void **state) {
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= lgt_context_isa(context); isa++)
        for (int p = LGT_PRECISION_FULL; p <= LGT_PRECISION_BF16; p++) {
            const lgt_kernels_f32 *set = lgt_kernels_f32_of(isa, (lgt_precision)p);
            float out = 0;
            double one = set->peak(1, &out), many;
            assert_true(isfinite(out) && one > 0);
            out = 0;
            many = set->peak(1000, &out);
            assert_true(isfinite(out));
            assert_at_most(fabs(many - 1000 * one), 1e-9 * many, "operations");
        }
}

static void the_loss_is_that_of_the_plan_and_no_matter_of_threads(void **state) {
    (void)state;
    static const char *const specs[] = {"softmax", "arcface", "subcenter:k=2", "curricularface"};
    lgt_context *alone = test_context(1);
    lgt_error err;
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
        lgt_loss loss = test_loss_of(specs[s]);
        lgt_bench_head_options o = small_options();
        lgt_bench_head_result a, b, c;
        assert_ok(lgt_bench_head_run(context, &loss, &o, &a, &err), err);
        assert_ok(lgt_bench_head_run(alone, &loss, &o, &b, &err), err);
        o.loss_only = 1;
        assert_ok(lgt_bench_head_run(context, &loss, &o, &c, &err), err);
        assert_true(a.loss == b.loss && a.loss == c.loss && a.loss > 0);
        assert_true(a.seconds >= a.seconds_min && a.seconds_min > 0);
        assert_true(a.roof_gflops > 0 && a.roof_gflops_max >= a.roof_gflops && a.extra_bytes > c.extra_bytes);
        double work = 6.0 * 5 * 9 * 33 * (double)lgt_loss_centres(&loss);
        assert_at_most(fabs(a.gflops * a.seconds * 1e9 / work - 1), 1e-12, "useful operations with gradients");
        assert_at_most(fabs(c.gflops * c.seconds * 1e9 * 3 / work - 1), 1e-12, "useful operations of the loss");
    }
    lgt_context_free(alone);
}

static void every_arithmetic_gives_about_the_same_loss(void **state) {
    (void)state;
    lgt_loss loss = test_loss_of("arcface:s=8");
    lgt_bench_head_options o = small_options();
    lgt_bench_head_result r[4];
    lgt_error err;
    for (int i = 0; i < 4; i++) {
        o.dtype = i == 3 ? LGT_F64 : LGT_F32;
        o.precision = i == 3 ? LGT_PRECISION_FULL : (lgt_precision)i;
        assert_ok(lgt_bench_head_run(context, &loss, &o, &r[i], &err), err);
        /* rounded cosines times s: bfloat16 keeps eight bits */
        assert_at_most(fabs(r[i].loss - r[0].loss), 8 * 0x1p-8, "difference from f32");
    }
}

static void wrong_options_are_refused(void **state) {
    (void)state;
    lgt_loss loss = test_loss_of("softmax");
    lgt_bench_head_options o = small_options();
    lgt_bench_head_result r;
    lgt_error err;
    double gflops;
    o.repeat = 0;
    assert_fails(lgt_bench_head_run(context, &loss, &o, &r, &err), LGT_ERR_USAGE, err, "repeat is 0");
    o = small_options(), o.struct_size = 8;
    assert_fails(lgt_bench_head_run(context, &loss, &o, &r, &err), LGT_ERR_USAGE, err, "struct_size 8");
    o = small_options(), o.n_classes = 0;
    assert_fails(lgt_bench_head_run(context, &loss, &o, &r, &err), LGT_ERR_USAGE, err, "0 classes");
    o = small_options(), o.n_classes = INT64_MAX / 4;
    assert_fails(lgt_bench_head_run(context, &loss, &o, &r, &err), LGT_ERR_MEMORY, err, "");
    o = small_options(), o.dtype = LGT_F64, o.precision = LGT_PRECISION_BF16;
    assert_fails(lgt_bench_head_run(context, &loss, &o, &r, &err), LGT_ERR_UNSUPPORTED, err, "f32");
    assert_fails(lgt_bench_roof(context, LGT_F32, LGT_PRECISION_FULL, 0, &gflops, &err), LGT_ERR_USAGE, err,
                 "seconds is 0");
    assert_fails(lgt_bench_roof(context, LGT_F32, LGT_PRECISION_FULL, NAN, &gflops, &err), LGT_ERR_USAGE, err, "nan");
    assert_fails(lgt_bench_roof(context, LGT_U8, LGT_PRECISION_FULL, 1, &gflops, &err), LGT_ERR_USAGE, err,
                 "dtype is u8");
    assert_fails(lgt_bench_roof(context, LGT_F64, LGT_PRECISION_BF16, 1, &gflops, &err), LGT_ERR_USAGE, err,
                 "expected 0");
    assert_fails(lgt_bench_roof(context, LGT_F32, (lgt_precision)3, 1, &gflops, &err), LGT_ERR_USAGE, err, "0 to 2");
}

static lgt_bench_step_options small_step(void) {
    lgt_bench_step_options o;
    lgt_bench_step_options_init(&o);
    o.n_rows = 5, o.dim = 9, o.n_classes = 33, o.repeat = 70; /* more than there are batches */
    return o;
}

static void steps_are_a_training_and_no_matter_of_threads(void **state) {
    (void)state;
    lgt_loss loss = test_loss_of("arcface:s=16");
    lgt_context *alone = test_context(1);
    lgt_error err;
    for (int i = 0; i < 4; i++) {
        lgt_bench_step_options o = small_step();
        lgt_bench_step_result a, b;
        o.optimizer = i % 2 ? LGT_OPTIMIZER_ADAMW : LGT_OPTIMIZER_SGD;
        o.sample_rate = i < 2 ? 1 : 0.3;
        assert_ok(lgt_bench_step_run(context, &loss, &o, &a, &err), err);
        assert_ok(lgt_bench_step_run(alone, &loss, &o, &b, &err), err);
        assert_true(a.loss_first == b.loss_first && a.loss_last == b.loss_last && a.loss_first != a.loss_last);
        assert_true(a.seconds >= a.seconds_min && a.seconds_min > 0);
    }
    lgt_context_free(alone);
}

static void wrong_steps_are_refused(void **state) {
    (void)state;
    lgt_loss loss = test_loss_of("softmax");
    lgt_bench_step_options o = small_step();
    lgt_bench_step_result r;
    lgt_error err;
    o.struct_size = 1;
    assert_fails(lgt_bench_step_run(context, &loss, &o, &r, &err), LGT_ERR_USAGE, err, "struct_size 1");
    o = small_step(), o.repeat = 0;
    assert_fails(lgt_bench_step_run(context, &loss, &o, &r, &err), LGT_ERR_USAGE, err, "repeat is 0");
    o = small_step(), o.n_rows = 0;
    assert_fails(lgt_bench_step_run(context, &loss, &o, &r, &err), LGT_ERR_USAGE, err, "0 rows");
    o = small_step(), o.dim = 0;
    assert_fails(lgt_bench_step_run(context, &loss, &o, &r, &err), LGT_ERR_USAGE, err, "dim 0");
    o = small_step(), o.n_classes = 1;
    assert_fails(lgt_bench_step_run(context, &loss, &o, &r, &err), LGT_ERR_USAGE, err,
                 "n_classes is 1, expected 2 or more");
    o = small_step(), o.n_rows = INT64_MAX / 8;
    assert_fails(lgt_bench_step_run(context, &loss, &o, &r, &err), LGT_ERR_MEMORY, err, "too many");
    o = small_step(), o.sample_rate = 0;
    assert_fails(lgt_bench_step_run(context, &loss, &o, &r, &err), LGT_ERR_USAGE, err, "");
}

static void refused_memory_of_steps_leaks_nothing(void **state) {
    (void)state;
    lgt_loss loss = test_loss_of("arcface");
    lgt_bench_step_options o = small_step();
    lgt_bench_step_result r;
    lgt_error err;
    lgt_status status = LGT_ERR_MEMORY;
    o.repeat = 2, o.sample_rate = 0.5;
    for (int64_t n = 1; status; n++) {
        lgt_context *poor = test_context_failing(n);
        status = lgt_bench_step_run(poor, &loss, &o, &r, &err);
        if (status) assert_int_equal(status, LGT_ERR_MEMORY);
        lgt_context_free(poor);
        assert_int_equal(test_live_blocks(), 0);
    }
}

static void refused_memory_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    lgt_loss loss = test_loss_of("arcface");
    lgt_bench_head_options o = small_options();
    lgt_bench_head_result r;
    lgt_error err;
    lgt_status status = LGT_ERR_MEMORY;
    for (int64_t n = 1; status; n++) {
        lgt_context *poor = test_context_failing(n);
        status = lgt_bench_head_run(poor, &loss, &o, &r, &err);
        if (status) assert_int_equal(status, LGT_ERR_MEMORY);
        lgt_context_free(poor);
        assert_int_equal(test_live_blocks(), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filled_numbers_are_in_range_not_zero_and_the_same_for_any_threads),
        cmocka_unit_test(poison_is_noticed_wherever_it_is),
        cmocka_unit_test(medians_are_those_of_the_sorted),
        cmocka_unit_test(peaks_count_their_turns),
        cmocka_unit_test(the_loss_is_that_of_the_plan_and_no_matter_of_threads),
        cmocka_unit_test(every_arithmetic_gives_about_the_same_loss),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(refused_memory_is_an_error_and_leaks_nothing),
        cmocka_unit_test(steps_are_a_training_and_no_matter_of_threads),
        cmocka_unit_test(wrong_steps_are_refused),
        cmocka_unit_test(refused_memory_of_steps_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
