/* Encoders against a plain double-precision net and its central differences; equal bits; refused specifications. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plain_net.h"

static const char *const specs[] = {"none", "linear", "mlp:5", "mlp:9,6", "mlp:3,8,5"};
enum { N_SPECS = sizeof specs / sizeof *specs, IN = 7, OUT = 4 };

static int64_t out_of(const char *spec) {
    return strcmp(spec, "none") == 0 ? IN : OUT;
}

static lgt_encoder *new_encoder(lgt_context *context, const char *spec, int64_t in, int64_t out, uint64_t seed) {
    lgt_encoder *encoder = NULL;
    lgt_error err;
    assert_ok(lgt_encoder_create(context, spec, in, out, seed, &encoder, &err), err);
    return encoder;
}

static lgt_encoder_pass *new_pass(lgt_encoder *encoder, int64_t max_rows, int training) {
    lgt_encoder_pass *pass = NULL;
    lgt_error err;
    assert_ok(lgt_encoder_pass_create(encoder, max_rows, training, &pass, &err), err);
    return pass;
}

static void *new_block(int64_t count, size_t size) {
    void *block = calloc((size_t)(count + 1), size);
    assert_non_null(block);
    return block;
}

static float *new_floats(int64_t count) {
    return new_block(count, sizeof(float));
}
static double *new_doubles(int64_t count) {
    return new_block(count, sizeof(double));
}

static float *random_floats(int64_t count, uint64_t stream) {
    float *values = new_floats(count);
    test_normal_f32(values, count, 11, stream);
    return values;
}

static double *widened(const float *values, int64_t count) {
    double *wide = new_doubles(count);
    for (int64_t i = 0; i < count; i++) wide[i] = values[i];
    return wide;
}

/* Biases leave their initial 0, so that a forgotten one shows. */
static void randomise_params(lgt_encoder *encoder) {
    int64_t n = lgt_encoder_n_params(encoder);
    float *values = random_floats(n, 3);
    for (int64_t i = 0; i < n; i++) lgt_encoder_params(encoder)[i] = 0.5f * values[i];
    free(values);
}

/* --- the oracle --- */

/* J = sum_ij dy_ij y_ij, whose gradient is what backward returns for this dy. */
static double oracle_value(const plain_net *shape, const double *params, const double *x, const double *dy,
                           int64_t n_rows) {
    double y[64], sum = 0;
    int64_t in = shape->widths[0], out = shape->widths[shape->n_layers];
    for (int64_t row = 0; row < n_rows; row++) {
        plain_net_row(shape, params, x + row * in, y);
        for (int64_t k = 0; k < out; k++) sum += dy[row * out + k] * y[k];
    }
    return sum;
}

/* J is piecewise linear in each single number, so a difference is exact but for rounding, unless a kink lies within the
 * step: at 1e-6 none of these seeds has one. */
static double difference(const plain_net *shape, double *params, double *x, const double *dy, int64_t n_rows,
                         double *at) {
    double step = 1e-6, saved = *at;
    *at = saved + step;
    double up = oracle_value(shape, params, x, dy, n_rows);
    *at = saved - step;
    double down = oracle_value(shape, params, x, dy, n_rows);
    *at = saved;
    return (up - down) / (2 * step);
}

/* --- forward and backward of one case --- */

typedef struct passed {
    float *y, *dparams, *dx;
} passed;

static void free_passed(passed *p) {
    free(p->y);
    free(p->dparams);
    free(p->dx);
}

static passed run(lgt_encoder *encoder, lgt_encoder_pass *pass, const float *x, const float *dy, int64_t n_rows) {
    int64_t in = lgt_encoder_in_dim(encoder), out = lgt_encoder_out_dim(encoder), n = lgt_encoder_n_params(encoder);
    passed p = {new_floats(n_rows * out), new_floats(n), new_floats(n_rows * in)};
    lgt_error err;
    memset(p.dparams, 0xff, (size_t)n * sizeof(float)); /* NaN: backward must overwrite */
    memset(p.dx, 0xff, (size_t)(n_rows * in) * sizeof(float));
    assert_ok(
        lgt_encoder_forward(pass, lgt_view_of(x, n_rows, in, LGT_F32), lgt_mut_of(p.y, n_rows, out, LGT_F32), &err),
        err);
    assert_ok(lgt_encoder_backward(pass, lgt_view_of(dy, n_rows, out, LGT_F32), p.dparams,
                                   lgt_mut_of(p.dx, n_rows, in, LGT_F32), &err),
              err);
    return p;
}

/* Sums of up to 1,100 float32 terms in chunks of 64 and a tree: sqrt(64 + 18) roundings of 6e-8, and the same again for
 * each of at most four layers, relative to the largest entry: below 1e-5. */
static const double f32_tolerance = 1e-5;

static void check_case(lgt_context *context, const char *spec, int64_t n_rows) {
    int64_t out = out_of(spec);
    lgt_encoder *encoder = new_encoder(context, spec, IN, out, 1);
    randomise_params(encoder);
    lgt_encoder_pass *pass = new_pass(encoder, n_rows, 64); /* all but 0 is yes */
    plain_net shape = plain_net_of(encoder);
    int64_t n_params = lgt_encoder_n_params(encoder), n_x = n_rows * IN, n_y = n_rows * out;
    float *x = random_floats(n_x, 1), *dy = random_floats(n_y, 2);
    passed p = run(encoder, pass, x, dy, n_rows);
    double *params = widened(lgt_encoder_params(encoder), n_params), *wide_x = widened(x, n_x),
           *wide_dy = widened(dy, n_y);
    double *got_y = widened(p.y, n_y), *got_params = widened(p.dparams, n_params), *got_x = widened(p.dx, n_x);
    double *y = new_doubles(n_y), *dparams = new_doubles(n_params), *dx = new_doubles(n_x);
    for (int64_t row = 0; row < n_rows; row++) plain_net_row(&shape, params, wide_x + row * IN, y + row * out);
    for (int64_t i = 0; i < n_params; i++) dparams[i] = difference(&shape, params, wide_x, wide_dy, n_rows, &params[i]);
    for (int64_t i = 0; i < n_x; i++) /* a row of x moves its own row of y alone */
        dx[i] = difference(&shape, params, wide_x + i / IN * IN, wide_dy + i / IN * out, 1, &wide_x[i]);
    assert_at_most(test_relative_error(got_y, y, n_y), f32_tolerance, "error of y");
    assert_at_most(test_relative_error(got_params, dparams, n_params), f32_tolerance, "error of dparams");
    assert_at_most(test_relative_error(got_x, dx, n_x), f32_tolerance, "error of dx");
    double *doubles[] = {params, wide_x, wide_dy, got_y, got_params, got_x, y, dparams, dx};
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++) free(doubles[i]);
    free_passed(&p);
    free(x);
    free(dy);
    lgt_encoder_pass_free(pass);
    lgt_encoder_free(encoder);
}

static void gradients_equal_central_differences(void **state) {
    static const int64_t rows[] = {0, 1, 2, 63, 64, 65, 130, 1100};
    lgt_context *context = test_context(2);
    (void)state;
    for (int s = 0; s < N_SPECS; s++)
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) check_case(context, specs[s], rows[r]);
    lgt_context_free(context);
}

/* --- equal bits --- */

static void same_bits(const passed *a, const passed *b, lgt_encoder *encoder, int64_t n_rows) {
    size_t in = (size_t)lgt_encoder_in_dim(encoder), out = (size_t)lgt_encoder_out_dim(encoder), n = (size_t)n_rows;
    assert_memory_equal(a->y, b->y, n * out * sizeof(float));
    assert_memory_equal(a->dx, b->dx, n * in * sizeof(float));
    assert_memory_equal(a->dparams, b->dparams, (size_t)lgt_encoder_n_params(encoder) * sizeof(float));
}

static void bits_do_not_depend_on_threads_or_pass_size(void **state) {
    static const int64_t rows[] = {1, 63, 64, 65, 200, 1100};
    static const int threads[] = {2, 3, 8};
    enum { WIDE_IN = 100, WIDE_OUT = 30 };
    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        int64_t n = rows[r];
        float *x = random_floats(n * WIDE_IN, 1), *dy = random_floats(n * WIDE_OUT, 2);
        lgt_context *one = test_context(1);
        lgt_encoder *encoder = new_encoder(one, "mlp:80,70", WIDE_IN, WIDE_OUT, 5);
        lgt_encoder_pass *pass = new_pass(encoder, n, 1);
        passed expected = run(encoder, pass, x, dy, n);
        for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
            lgt_context *context = test_context(threads[t]);
            lgt_encoder *other = new_encoder(context, "mlp:80,70", WIDE_IN, WIDE_OUT, 5);
            lgt_encoder_pass *larger = new_pass(other, n + 37 * (int64_t)t, 1);
            passed got = run(other, larger, x, dy, n);
            same_bits(&got, &expected, encoder, n);
            free_passed(&got);
            lgt_encoder_pass_free(larger);
            lgt_encoder_free(other);
            lgt_context_free(context);
        }
        lgt_encoder_pass *inference = new_pass(encoder, n, 0);
        float *y = new_floats(n * WIDE_OUT);
        lgt_error err;
        assert_ok(lgt_encoder_forward(inference, lgt_view_of(x, n, WIDE_IN, LGT_F32),
                                      lgt_mut_of(y, n, WIDE_OUT, LGT_F32), &err),
                  err);
        assert_memory_equal(y, expected.y, (size_t)(n * WIDE_OUT) * sizeof(float));
        lgt_encoder_pass_free(inference);
        free(y);
        free_passed(&expected);
        lgt_encoder_pass_free(pass);
        lgt_encoder_free(encoder);
        lgt_context_free(one);
        free(x);
        free(dy);
    }
}

static void strides_are_honoured_and_gaps_left_alone(void **state) {
    enum { N = 70, GAP = 3 };
    lgt_context *context = test_context(2);
    lgt_error err;
    (void)state;
    for (int s = 0; s < N_SPECS; s++) {
        int64_t out = out_of(specs[s]);
        lgt_encoder *encoder = new_encoder(context, specs[s], IN, out, 1);
        lgt_encoder_pass *pass = new_pass(encoder, N, 1);
        float *x = random_floats(N * IN, 1), *dy = random_floats(N * out, 2);
        passed expected = run(encoder, pass, x, dy, N);
        passed got = {random_floats(N * (out + GAP), 8), new_floats(lgt_encoder_n_params(encoder)),
                      random_floats(N * (IN + GAP), 9)};
        float *gap_y = random_floats(N * (out + GAP), 8), *wide_x = new_floats(N * (IN + GAP));
        for (int64_t i = 0; i < N; i++) memcpy(wide_x + i * (IN + GAP), x + i * IN, IN * sizeof(float));
        lgt_view x_view = {wide_x, N, IN, IN + GAP, LGT_F32};
        lgt_mut y_mut = {got.y, N, out, out + GAP, LGT_F32}, dx_mut = {got.dx, N, IN, IN + GAP, LGT_F32};
        assert_ok(lgt_encoder_forward(pass, x_view, y_mut, &err), err);
        assert_ok(lgt_encoder_backward(pass, lgt_view_of(dy, N, out, LGT_F32), got.dparams, dx_mut, &err), err);
        for (int64_t i = 0; i < N; i++) {
            const float *y = got.y + i * (out + GAP), *dx = got.dx + i * (IN + GAP);
            assert_memory_equal(y, expected.y + i * out, (size_t)out * sizeof(float));
            assert_memory_equal(y + out, gap_y + i * (out + GAP) + out, GAP * sizeof(float));
            assert_memory_equal(dx, expected.dx + i * IN, IN * sizeof(float));
        }
        assert_memory_equal(got.dparams, expected.dparams, (size_t)lgt_encoder_n_params(encoder) * sizeof(float));
        free_passed(&got);
        free_passed(&expected);
        free(gap_y);
        free(wide_x);
        free(x);
        free(dy);
        lgt_encoder_pass_free(pass);
        lgt_encoder_free(encoder);
    }
    lgt_context_free(context);
}

static void a_nan_in_a_hidden_layer_reaches_the_output(void **state) {
    lgt_context *context = test_context(1);
    lgt_encoder *encoder = new_encoder(context, "mlp:5", IN, OUT, 1);
    lgt_encoder_pass *pass = new_pass(encoder, 1, 0);
    float *x = random_floats(IN, 1), y[OUT] = {0};
    lgt_error err;
    (void)state;
    x[3] = NAN;
    assert_ok(lgt_encoder_forward(pass, lgt_view_of(x, 1, IN, LGT_F32), lgt_mut_of(y, 1, OUT, LGT_F32), &err), err);
    for (int k = 0; k < OUT; k++) assert_true(isnan(y[k]));
    free(x);
    lgt_encoder_pass_free(pass);
    lgt_encoder_free(encoder);
    lgt_context_free(context);
}

/* --- initialisation --- */

static void check_moments(const float *values, int64_t count, double variance) {
    double sum = 0, squares = 0, n = (double)count;
    for (int64_t i = 0; i < count; i++) {
        sum += values[i];
        squares += (double)values[i] * values[i];
    }
    /* five standard errors of the mean and of the variance of n normal numbers */
    assert_at_most(fabs(sum / n), 5 * sqrt(variance / n), "mean of the weights");
    assert_at_most(fabs(squares / n - variance), 5 * variance * sqrt(2 / n), "error of the weights' variance");
}

static void initial_weights_have_he_moments_and_biases_are_zero(void **state) {
    lgt_context *context = test_context(3);
    lgt_encoder *encoder = new_encoder(context, "mlp:200,150", 300, 100, 9);
    lgt_mut weight, bias, first;
    (void)state;
    assert_int_equal(lgt_encoder_n_layers(encoder), 3);
    assert_int_equal(lgt_encoder_n_params(encoder), 300 * 200 + 200 + 200 * 150 + 150 + 150 * 100 + 100);
    lgt_encoder_layer(encoder, 0, &first, &bias);
    for (int l = 0; l < 3; l++) {
        lgt_encoder_layer(encoder, l, &weight, &bias);
        check_moments(weight.data, weight.rows * weight.cols, (l > 0 ? 2.0 : 1.0) / (double)weight.cols);
        assert_int_equal(bias.cols, weight.rows);
        for (int64_t k = 0; k < bias.cols; k++) assert_true(((const float *)bias.data)[k] == 0);
        if (l > 0) assert_memory_not_equal(weight.data, first.data, 100 * sizeof(float)); /* one stream a layer */
    }
    lgt_encoder *other = new_encoder(context, "mlp:200,150", 300, 100, 10);
    assert_memory_not_equal(lgt_encoder_params(other), lgt_encoder_params(encoder), 100 * sizeof(float));
    lgt_encoder_free(other);
    lgt_encoder_free(encoder);
    lgt_context_free(context);
}

/* --- what is refused --- */

static void bad_specifications_are_refused_with_what_is_wrong(void **state) {
    static const struct {
        const char *spec;
        int64_t in, out;
        const char *message;
    } cases[] = {
        {"mlp:", 7, 4, "width \"\", expected a whole number from 1"},
        {"mlp:0", 7, 4, "width \"0\""},
        {"mlp:-3", 7, 4, "width \"-3\""},
        {"mlp:5,,3", 7, 4, "width \"\""},
        {"mlp:5,", 7, 4, "width \"\""},
        {"mlp:5, 6", 7, 4, "width \" 6\""},
        {"mlp:5x", 7, 4, "width \"5x\""},
        {"mlp:99999999999999999999", 7, 4, "width \"99999999999999999999\""},
        {"mlp:2147483648", 7, 4, "width \"2147483648\""},
        {"mlp:2147483647,2147483647,2147483647", 2147483647, 4, "too many parameters"},
        {"conv:3", 7, 4, "\"conv:3\" is not known, expected none, linear or mlp:"},
        {"", 7, 4, "\"\" is not known"},
        {"linear ", 7, 4, "\"linear \" is not known"},
        {"none", 7, 4, "dim 7 into dim 4"},
        {"linear", 0, 4, "input has dim 0"},
        {"linear", 7, 0, "output has dim 0"},
        {"mlp:5", 7, -1, "output has dim -1"},
    };
    lgt_context *context = test_context(1);
    lgt_error err;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lgt_encoder *encoder = NULL;
        lgt_status status = lgt_encoder_create(context, cases[i].spec, cases[i].in, cases[i].out, 1, &encoder, &err);
        assert_fails(status, LGT_ERR_USAGE, err, cases[i].message);
        assert_null(encoder);
    }
    lgt_encoder *none = new_encoder(context, "none", 7, 0, 1);
    assert_int_equal(lgt_encoder_out_dim(none), 7);
    assert_string_equal(lgt_encoder_spec(none), "none");
    lgt_encoder_free(none);
    lgt_encoder_free(NULL);
    lgt_context_free(context);
}

static void wrong_arrays_are_refused(void **state) {
    lgt_context *context = test_context(1);
    lgt_encoder *encoder = new_encoder(context, "linear", IN, OUT, 1);
    lgt_encoder_pass *pass = new_pass(encoder, 2, 1), *inference = new_pass(encoder, 2, 0), *none = NULL;
    float x[3 * IN] = {0}, y[3 * OUT], dparams[IN * OUT + OUT];
    lgt_mut no_dx = {0};
    lgt_error err;
    (void)state;
    lgt_view x2 = lgt_view_of(x, 2, IN, LGT_F32), y_view = lgt_view_of(y, 2, OUT, LGT_F32);
    lgt_mut y2 = lgt_mut_of(y, 2, OUT, LGT_F32);
    assert_fails(lgt_encoder_pass_create(encoder, -1, 1, &none, &err), LGT_ERR_USAGE, err, "max_rows is -1");
    assert_fails(lgt_encoder_backward(pass, y_view, dparams, no_dx, &err), LGT_ERR_USAGE, err, "needs a forward");
    assert_fails(lgt_encoder_forward(pass, lgt_view_of(x, 3, IN, LGT_F32), y2, &err), LGT_ERR_USAGE, err,
                 "x has 3 rows, expected 0 to 2");
    assert_fails(lgt_encoder_forward(pass, lgt_view_of(x, 2, 6, LGT_F32), y2, &err), LGT_ERR_USAGE, err,
                 "x is (2, 6), expected (2, 7)");
    assert_fails(lgt_encoder_forward(pass, lgt_view_of(x, 2, IN, LGT_F64), y2, &err), LGT_ERR_USAGE, err, "type f64");
    assert_fails(lgt_encoder_forward(pass, lgt_view_of(NULL, 2, IN, LGT_F32), y2, &err), LGT_ERR_USAGE, err,
                 "x is not given");
    assert_fails(lgt_encoder_forward(pass, x2, lgt_mut_of(y, 1, OUT, LGT_F32), &err), LGT_ERR_USAGE, err,
                 "y is (1, 4), expected (2, 4)");
    assert_ok(lgt_encoder_forward(pass, x2, y2, &err), err);
    assert_fails(lgt_encoder_backward(pass, lgt_view_of(y, 1, OUT, LGT_F32), dparams, no_dx, &err), LGT_ERR_USAGE, err,
                 "dy is (1, 4), expected (2, 4)");
    assert_fails(lgt_encoder_backward(pass, y_view, NULL, no_dx, &err), LGT_ERR_USAGE, err, "dparams");
    assert_fails(lgt_encoder_backward(pass, y_view, dparams, lgt_mut_of(x, 2, 5, LGT_F32), &err), LGT_ERR_USAGE, err,
                 "dx is (2, 5)");
    assert_ok(lgt_encoder_forward(inference, x2, y2, &err), err);
    assert_fails(lgt_encoder_backward(inference, y_view, dparams, no_dx, &err), LGT_ERR_USAGE, err, "without training");
    lgt_encoder_pass_free(inference);
    lgt_encoder_pass_free(pass);
    lgt_encoder_pass_free(NULL);
    lgt_encoder_free(encoder);
    lgt_context_free(context);
}

/* --- memory --- */

static void forward_and_backward_allocate_nothing(void **state) {
    lgt_context *context = test_context_failing(0);
    lgt_encoder *encoder = new_encoder(context, "mlp:9,6", IN, OUT, 1);
    lgt_encoder_pass *pass = new_pass(encoder, 200, 1);
    float *x = random_floats(200 * IN, 1), *dy = random_floats(200 * OUT, 2);
    int64_t before = test_allocations();
    (void)state;
    passed p = run(encoder, pass, x, dy, 200);
    assert_int_equal(test_allocations(), before);
    free_passed(&p);
    free(x);
    free(dy);
    lgt_encoder_pass_free(pass);
    lgt_encoder_free(encoder);
    lgt_context_free(context);
    assert_int_equal(test_live_blocks(), 0);
}

static void every_refused_allocation_is_reported_and_leaks_nothing(void **state) {
    lgt_status status = LGT_ERR_MEMORY;
    (void)state;
    for (int64_t fail_at = 1; status != LGT_OK; fail_at++) {
        lgt_context *context = test_context_failing(fail_at);
        lgt_encoder *encoder = NULL;
        lgt_encoder_pass *pass = NULL;
        lgt_error err;
        status = lgt_encoder_create(context, "mlp:9,6", IN, OUT, 1, &encoder, &err);
        if (!status) status = lgt_encoder_pass_create(encoder, 100, 1, &pass, &err);
        if (status) assert_fails(status, LGT_ERR_MEMORY, err, "out of memory");
        assert_true(fail_at < 50);
        lgt_encoder_pass_free(pass);
        lgt_encoder_free(encoder);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_equal_central_differences),
        cmocka_unit_test(bits_do_not_depend_on_threads_or_pass_size),
        cmocka_unit_test(strides_are_honoured_and_gaps_left_alone),
        cmocka_unit_test(a_nan_in_a_hidden_layer_reaches_the_output),
        cmocka_unit_test(initial_weights_have_he_moments_and_biases_are_zero),
        cmocka_unit_test(bad_specifications_are_refused_with_what_is_wrong),
        cmocka_unit_test(wrong_arrays_are_refused),
        cmocka_unit_test(forward_and_backward_allocate_nothing),
        cmocka_unit_test(every_refused_allocation_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
