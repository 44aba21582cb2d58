/* Optimisers against double-precision oracles of PyTorch's rules, learning rates, and standardisation. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/normalization.h"
#include "train/optimizer.h"
#include "train/train_options.h"

enum { MAX_COUNT = 8193 };

static float value[MAX_COUNT], gradient[MAX_COUNT], momentum[MAX_COUNT], square[MAX_COUNT];
static double got[MAX_COUNT], p[MAX_COUNT], m[MAX_COUNT], v[MAX_COUNT];

/* One update of a whole group. */
static void step(lgt_context *context, const lgt_train_options *o, double lr, double l2, int64_t t,
                 const lgt_param_group *group, lgt_squares *sums) {
    lgt_update u = lgt_update_at(o, lr, l2, t);
    lgt_squares found =
        lgt_update_some(lgt_update_kernel_of(context, o->optimizer), &u, group, 0, group->count, group->gradient);
    if (sums) *sums = found;
}

static lgt_train_options default_options(lgt_optimizer optimizer) {
    lgt_train_options o;
    lgt_train_options_init(&o);
    o.optimizer = optimizer;
    return o;
}

/* torch.optim.AdamW, one entry, in its order of operations. */
static void oracle_adamw(const lgt_train_options *o, double lr, int t, double g, int64_t i) {
    p[i] *= 1 - lr * o->weight_decay;
    m[i] = o->beta1 * m[i] + (1 - o->beta1) * g;
    v[i] = o->beta2 * v[i] + (1 - o->beta2) * g * g;
    double denominator = sqrt(v[i]) / sqrt(1 - pow(o->beta2, t)) + o->eps;
    p[i] -= lr / (1 - pow(o->beta1, t)) * m[i] / denominator;
}

/* torch.optim.SGD with momentum, without dampening and Nesterov; its first buffer is the gradient itself. */
static void oracle_sgd(const lgt_train_options *o, double lr, int t, double g, int64_t i) {
    g += o->weight_decay * p[i];
    m[i] = t == 1 ? g : o->momentum * m[i] + g;
    p[i] -= lr * m[i];
}

/* Runs 30 steps of both; gradients between 1e-6 and 1 in size, the learning rate moving. */
static double drift_from_oracle(lgt_context *context, lgt_optimizer optimizer, int64_t count) {
    lgt_train_options o = default_options(optimizer);
    lgt_param_group group = {value, gradient, momentum, optimizer == LGT_OPTIMIZER_ADAMW ? square : NULL, count};
    o.weight_decay = 0.03;
    test_normal_f32(value, count, 4, 0);
    memset(momentum, 0, sizeof momentum);
    memset(square, 0, sizeof square);
    for (int64_t i = 0; i < count; i++) p[i] = value[i], m[i] = v[i] = 0;
    for (int t = 1; t <= 30; t++) {
        double lr = 0.02 / t;
        test_normal_f32(gradient, count, 5, (uint64_t)t);
        for (int64_t i = 0; i < count; i++) gradient[i] *= (float)pow(10, -(double)(i % 7));
        step(context, &o, lr, 0, t, &group, NULL);
        for (int64_t i = 0; i < count; i++)
            (optimizer == LGT_OPTIMIZER_ADAMW ? oracle_adamw : oracle_sgd)(&o, lr, t, gradient[i], i);
    }
    for (int64_t i = 0; i < count; i++) got[i] = value[i];
    return test_relative_error(got, p, count);
}

static void optimisers_follow_pytorch(void **state) {
    static const int64_t counts[] = {0, 1, 2, 3, 8191, 8192, MAX_COUNT};
    lgt_context *context = test_context(3);
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        /* 30 updates of about 5 float roundings each, 6e-8 apiece relative to the largest parameter */
        assert_at_most(drift_from_oracle(context, LGT_OPTIMIZER_SGD, counts[i]), 2e-6, "SGD against the oracle");
        assert_at_most(drift_from_oracle(context, LGT_OPTIMIZER_ADAMW, counts[i]), 2e-6, "AdamW against the oracle");
    }
    lgt_context_free(context);
}

/* What torch.optim gives in double for p = (1.5, -2, .25), g = (.1 t, -.3/t, .001 t), lr = .02/t, five steps, weight
 * decay .03: the oracle above is checked as well. */
static void five_steps_give_the_numbers_of_torch(void **state) {
    static const double torch[2][3] = {{1.4775087119929842, -1.9766072473349792, 0.24913644307503288},
                                       {1.4532587512369577, -1.9549346090691813, 0.20497072406369718}};
    lgt_context *context = test_context(1);
    (void)state;
    for (int optimizer = LGT_OPTIMIZER_SGD; optimizer <= LGT_OPTIMIZER_ADAMW; optimizer++) {
        lgt_train_options o = default_options((lgt_optimizer)optimizer);
        float w[3] = {1.5f, -2, 0.25f}, g[3], first[3] = {0}, second[3] = {0};
        double wide[3];
        lgt_param_group group = {w, g, first, second, 3};
        o.weight_decay = 0.03;
        for (int t = 1; t <= 5; t++) {
            g[0] = 0.1f * (float)t, g[1] = -0.3f / (float)t, g[2] = 0.001f * (float)t;
            step(context, &o, 0.02 / t, 0, t, &group, NULL);
        }
        for (int i = 0; i < 3; i++) wide[i] = w[i];
        assert_at_most(test_relative_error(wide, torch[optimizer], 3), 3e-7, "distance from torch"); /* 5 roundings */
    }
    lgt_context_free(context);
}

static void one_adamw_step_is_the_sign_of_the_gradient_times_the_rate(void **state) {
    lgt_context *context = test_context(1);
    lgt_train_options o = default_options(LGT_OPTIMIZER_ADAMW);
    float w[3] = {1, 1, 1}, g[3] = {1e-3f, -5, 0}, first[3] = {0}, second[3] = {0};
    lgt_param_group group = {w, g, first, second, 3};
    (void)state;
    o.weight_decay = 0;
    step(context, &o, 0.25, 0, 1, &group, NULL);
    assert_at_most(fabs(w[0] - 0.75), 1e-5, "distance from 1 - lr"); /* eps takes 1e-8 / 1e-3 of the step */
    assert_at_most(fabs(w[1] - 1.25), 1e-6, "distance from 1 + lr");
    assert_true(w[2] == 1);
    lgt_context_free(context);
}

/* With betas of 0 the moments are those of the last gradient, whatever came before: every step is the rate. */
static void adamw_without_memory_forgets_large_gradients(void **state) {
    lgt_context *context = test_context(1);
    lgt_train_options o = default_options(LGT_OPTIMIZER_ADAMW);
    float w = 1, g = 1e6f, first = 0, second = 0;
    lgt_param_group group = {&w, &g, &first, &second, 1};
    (void)state;
    o.beta1 = o.beta2 = 0, o.weight_decay = 0;
    step(context, &o, 0.25, 0, 1, &group, NULL);
    g = 1e-3f;
    step(context, &o, 0.25, 0, 2, &group, NULL);
    assert_at_most(fabs((double)w - 0.5), 1e-5, "two steps of a quarter"); /* eps is 1e-8 of 1e-3 */
    assert_true(first == g && second == g * g);
    lgt_context_free(context);
}

static void weight_decay_is_decoupled_in_adamw_alone(void **state) {
    lgt_context *context = test_context(1);
    float w[1] = {2}, g[1] = {0}, first[1] = {0}, second[1] = {0};
    lgt_param_group group = {w, g, first, second, 1};
    lgt_train_options adamw = default_options(LGT_OPTIMIZER_ADAMW), sgd = default_options(LGT_OPTIMIZER_SGD);
    (void)state;
    adamw.weight_decay = sgd.weight_decay = 0.5;
    step(context, &adamw, 0.5, 0, 1, &group, NULL);
    assert_true(w[0] == 1.5f && first[0] == 0);
    w[0] = 2;
    step(context, &sgd, 0.5, 0, 1, &group, NULL);
    assert_true(w[0] == 1.5f && first[0] == 1);
    lgt_context_free(context);
}

static void moments_that_fade_end_at_zero_not_among_subnormals(void **state) {
    lgt_context *context = test_context(1);
    (void)state;
    for (int optimizer = LGT_OPTIMIZER_SGD; optimizer <= LGT_OPTIMIZER_ADAMW; optimizer++) {
        lgt_train_options o = default_options((lgt_optimizer)optimizer);
        float w[1] = {0}, g[1] = {1}, first[1] = {0}, second[1] = {0};
        lgt_param_group group = {w, g, first, second, 1};
        o.weight_decay = 0;
        for (int t = 1; t < 2000; t++) { /* 0.9^787 < 1e-36 */
            step(context, &o, 0.1, 0, t, &group, NULL);
            g[0] = 0;
        }
        assert_true(first[0] == 0);
        assert_true(isfinite(w[0]) && w[0] < 0);
    }
    lgt_context_free(context);
}

static void l2_adds_its_multiple_of_the_value_to_the_gradient(void **state) {
    lgt_context *context = test_context(2);
    lgt_param_group group = {value, gradient, momentum, square, MAX_COUNT};
    lgt_train_options o = default_options(LGT_OPTIMIZER_SGD);
    lgt_squares sums;
    double of_gradient = 0, of_value = 0;
    (void)state;
    o.momentum = o.weight_decay = 0;
    test_normal_f32(value, MAX_COUNT, 4, 0);
    test_normal_f32(gradient, MAX_COUNT, 4, 1);
    memset(momentum, 0, sizeof momentum);
    for (int64_t i = 0; i < MAX_COUNT; i++) {
        double g = gradient[i] + 0.125 * value[i];
        of_gradient += g * g;
        p[i] = value[i] - 0.5 * g;
    }
    step(context, &o, 0.5, 0.125, 1, &group, &sums);
    for (int64_t i = 0; i < MAX_COUNT; i++) got[i] = value[i], of_value += (double)value[i] * value[i];
    assert_at_most(test_relative_error(got, p, MAX_COUNT), 2e-7, "three roundings");
    assert_at_most(fabs(sums.gradient / of_gradient - 1), 1e-7, "|g + l2 p|^2"); /* one rounding of g */
    assert_at_most(fabs(sums.value / of_value - 1), 1e-12, "|p|^2");
    lgt_context_free(context);
}

/* Rows of 1 to 130 numbers, at once and later, by every instruction set. */
static void updates_owed_have_the_bits_of_updates_made(void **state) {
    enum { OWED = 9 };
    static const int64_t counts[] = {1, 2, 15, 64, 65, 130};
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= LGT_ISA_AMX; isa++) {
        lgt_context_options options;
        lgt_context *context = NULL;
        lgt_error err;
        lgt_context_options_init(&options);
        options.max_isa = isa;
        assert_ok(lgt_context_create(&options, &context, &err), err);
        for (int optimizer = LGT_OPTIMIZER_SGD; optimizer <= LGT_OPTIMIZER_ADAMW; optimizer++)
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                static float none[130], one[3][130], many[3][130], g[130];
                lgt_train_options o = default_options((lgt_optimizer)optimizer);
                lgt_update_kernel kernel = lgt_update_kernel_of(context, o.optimizer);
                lgt_update updates[OWED + 1];
                int64_t n = counts[c];
                o.weight_decay = 0.1;
                memset(one, 0, sizeof one);
                test_normal_f32(one[0], n, 21, 0), test_normal_f32(g, n, 21, 1);
                memcpy(many, one, sizeof one);
                for (int t = 0; t <= OWED; t++) updates[t] = lgt_update_at(&o, 0.1 / (t + 1), t % 2 ? 0.01 : 0, t + 1);
                for (int first = 0; first < 2; first++) { /* a gradient, then none */
                    kernel(&updates[0], 1, n, one[0], g, one[1], one[2], NULL);
                    kernel(&updates[0], 1, n, many[0], g, many[1], many[2], NULL);
                    for (int t = 1; t < OWED; t++) kernel(&updates[t], 1, n, one[0], none, one[1], one[2], NULL);
                    kernel(updates + 1, OWED - 1, n, many[0], NULL, many[1], many[2], NULL);
                    assert_memory_equal(one, many, sizeof one);
                    kernel(&updates[OWED], 1, n, one[0], none, one[1], one[2], NULL);
                    for (int64_t k = 0; k < n; k++) /* a vector cut anywhere */
                        kernel(&updates[OWED], 1, 1, many[0] + k, none, many[1] + k, many[2] + k, NULL);
                    assert_memory_equal(one, many, sizeof one);
                }
            }
        lgt_context_free(context);
    }
}

static void numbers_out_of_range_are_found_wherever_they_are(void **state) {
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, 1e19f, -1e19f},
                       good[] = {0, -0.0f, 1e-40f, 9e18f, -9e18f};
    static const int64_t places[] = {0, 1, 8191, 8192, MAX_COUNT - 1};
    lgt_context *context = test_context(3);
    (void)state;
    test_normal_f32(value, MAX_COUNT, 4, 0);
    assert_true(lgt_in_range(context, value, 0));
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        float saved = value[places[i]];
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            value[places[i]] = bad[k];
            assert_false(lgt_in_range(context, value, MAX_COUNT));
        }
        for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
            value[places[i]] = good[k];
            assert_true(lgt_in_range(context, value, MAX_COUNT));
        }
        value[places[i]] = saved;
    }
    lgt_context_free(context);
}

/* --- learning rates --- */

static void learning_rates_have_their_exact_values(void **state) {
    static const struct {
        lgt_lr_schedule schedule;
        int64_t warmup, t, n_steps;
        double rate; /* for lr 1 */
    } cases[] = {
        {LGT_LR_CONSTANT, 0, 0, 10, 1},    {LGT_LR_CONSTANT, 0, 9, 10, 1},  {LGT_LR_CONSTANT, 4, 0, 10, 0.25},
        {LGT_LR_CONSTANT, 4, 3, 10, 1},    {LGT_LR_CONSTANT, 4, 4, 10, 1},  {LGT_LR_COSINE, 0, 0, 12, 1},
        {LGT_LR_COSINE, 0, 4, 12, 0.75},   {LGT_LR_COSINE, 0, 6, 12, 0.5},  {LGT_LR_COSINE, 0, 8, 12, 0.25},
        {LGT_LR_COSINE, 2, 0, 14, 0.5},    {LGT_LR_COSINE, 2, 1, 14, 1},    {LGT_LR_COSINE, 2, 2, 14, 1},
        {LGT_LR_COSINE, 2, 8, 14, 0.5},    {LGT_LR_COSINE, 20, 9, 10, 0.5}, {LGT_LR_STEP, 0, 0, 8, 1},
        {LGT_LR_STEP, 0, 3, 8, 1},         {LGT_LR_STEP, 0, 4, 8, 0.1},     {LGT_LR_STEP, 0, 5, 8, 0.1},
        {LGT_LR_STEP, 0, 6, 8, 0.1 * 0.1}, {LGT_LR_STEP, 2, 0, 8, 0.5},     {LGT_LR_STEP, 2, 7, 8, 0.1 * 0.1},
    };
    lgt_train_options o = default_options(LGT_OPTIMIZER_SGD);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        o.schedule = cases[i].schedule;
        o.warmup = cases[i].warmup;
        o.lr = 1;
        double rate = lgt_lr_at(&o, cases[i].t, cases[i].n_steps);
        assert_at_most(fabs(rate - cases[i].rate), 2e-16, "error of the learning rate"); /* a rounding of cos */
        o.lr = 4;
        assert_true(lgt_lr_at(&o, cases[i].t, cases[i].n_steps) == 4 * rate);
    }
}

/* --- options --- */

static void options_out_of_bounds_are_named(void **state) {
    lgt_train_options o = default_options(LGT_OPTIMIZER_ADAMW), good;
    lgt_error err;
    (void)state;
    assert_fails(lgt_train_options_check(&o, &err), LGT_ERR_USAGE, err, "loss is not set");
    assert_ok(lgt_loss_parse("softmax", &o.loss, &err), err);
    assert_ok(lgt_train_options_check(&o, &err), err);
    good = o;
#define REFUSED(field, bad, message)                                                                                   \
    o = good;                                                                                                          \
    o.field = bad;                                                                                                     \
    assert_fails(lgt_train_options_check(&o, &err), LGT_ERR_USAGE, err, message)
    REFUSED(struct_size, 8, "struct_size 8");
    REFUSED(encoder, NULL, "encoder is not set");
    REFUSED(epochs, 0, "epochs is 0, expected 1");
    REFUSED(batch, -1, "batch is -1");
    REFUSED(optimizer, (lgt_optimizer)7, "optimizer is 7");
    REFUSED(lr, 0, "lr is 0");
    REFUSED(lr, NAN, "lr is nan");
    REFUSED(lr, INFINITY, "lr is inf");
    REFUSED(momentum, 1, "momentum is 1");
    REFUSED(beta1, 1, "beta1 is 1");
    REFUSED(beta2, -0.5, "beta2 is -0.5");
    REFUSED(eps, 0, "eps is 0");
    REFUSED(weight_decay, -1, "weight_decay is -1");
    REFUSED(l2, -1, "l2 is -1");
    REFUSED(precision, (lgt_precision)3, "precision is 3");
    REFUSED(workspace, -1, "workspace is -1");
    REFUSED(sample_rate, 0, "sample_rate is 0");
    REFUSED(sample_rate, 1.5, "sample_rate is 1.5");
    REFUSED(schedule, (lgt_lr_schedule)9, "schedule is 9");
    REFUSED(warmup, -1, "warmup is -1");
    REFUSED(step_factor, 0, "step_factor is 0");
    REFUSED(n_milestones, LGT_MAX_MILESTONES + 1, "n_milestones is 9");
    REFUSED(milestones[1], 1.5, "a milestone is 1.5");
    REFUSED(standardize, (lgt_standardize)3, "standardize is 3");
#undef REFUSED
}

/* --- standardisation --- */

static void fit(lgt_context *context, lgt_standardize kind, const float *x, int64_t n, int64_t dim,
                lgt_normalization *out) {
    lgt_error err;
    assert_ok(lgt_normalization_fit(context, kind, x, n, dim, out, &err), err);
}

/* Mean 0 and variance 1 after it, of all features together or of each. */
static void check_standardised(const float *y, int64_t n_rows, int64_t dim, int64_t first, int64_t step) {
    double sum = 0, squares = 0, count = 0;
    for (int64_t row = 0; row < n_rows; row++)
        for (int64_t k = first; k < dim; k += step, count++) {
            sum += y[row * dim + k];
            squares += (double)y[row * dim + k] * y[row * dim + k];
        }
    /* float32 roundings of mean and scale, 6e-8 relative; the mean is up to 30 deviations here */
    assert_at_most(fabs(sum / count), 1e-5, "mean after standardisation");
    assert_at_most(fabs(squares / count - 1), 1e-5, "error of the variance after standardisation");
}

static void standardised_features_have_mean_zero_and_variance_one(void **state) {
    enum { N = 130, DIM = 131 };
    float *x = malloc(sizeof(float) * N * DIM), *y = malloc(sizeof(float) * N * DIM);
    lgt_context *context = test_context(3);
    lgt_normalization n;
    lgt_view view = lgt_view_of(x, N, DIM, LGT_F32);
    (void)state;
    test_normal_f32(x, N * DIM, 6, 0);
    for (int64_t i = 0; i < N * DIM; i++) x[i] = x[i] * (float)(1 + i % DIM) + 30;
    fit(context, LGT_STANDARDIZE_GLOBAL, x, N, DIM, &n);
    assert_int_equal(n.count, 1);
    lgt_normalize_rows(context, &n, view, NULL, N, y);
    check_standardised(y, N, DIM, 0, 1);
    lgt_normalization_free(context, &n);
    fit(context, LGT_STANDARDIZE_FEATURE, x, N, DIM, &n);
    assert_int_equal(n.count, DIM);
    lgt_normalize_rows(context, &n, view, NULL, N, y);
    for (int64_t k = 0; k < DIM; k++) check_standardised(y, N, DIM, k, DIM);
    lgt_normalization_free(context, &n);
    fit(context, LGT_STANDARDIZE_NONE, x, N, DIM, &n);
    lgt_normalize_rows(context, &n, view, NULL, N, y);
    assert_memory_equal(y, x, sizeof(float) * N * DIM);
    lgt_normalization_free(context, &n);
    lgt_context_free(context);
    free(x);
    free(y);
}

static void constant_features_are_only_centred(void **state) {
    static const float x[] = {0.1f, 3, 0.1f, 5, 0.1f, 7}, flat[] = {0.3f, 0.3f, 0.3f, 0.3f, 0.3f, 0.3f};
    float y[6];
    lgt_context *context = test_context(1);
    lgt_normalization n;
    (void)state;
    fit(context, LGT_STANDARDIZE_FEATURE, x, 3, 2, &n);
    assert_true(n.scale[0] == 1 && n.mean[0] == 0.1f && n.mean[1] == 5);
    lgt_normalize_rows(context, &n, lgt_view_of(x, 3, 2, LGT_F32), NULL, 3, y);
    assert_true(y[0] == 0 && y[2] == 0 && y[4] == 0 && y[1] == -y[5]);
    lgt_normalization_free(context, &n);
    fit(context, LGT_STANDARDIZE_GLOBAL, flat, 3, 2, &n);
    assert_true(n.scale[0] == 1 && n.mean[0] == 0.3f);
    lgt_normalization_free(context, &n);
    lgt_context_free(context);
}

static void rows_are_gathered_in_the_given_order(void **state) {
    static const float x[] = {0, 1, 99, 2, 3, 99, 4, 5, 99};
    static const int64_t order[] = {2, 0, 2, 1};
    float mean = 1, scale = 2, y[8];
    lgt_normalization n = {1, &mean, &scale};
    lgt_context *context = test_context(2);
    lgt_view view = {x, 3, 2, 3, LGT_F32};
    (void)state;
    lgt_normalize_rows(context, &n, view, order, 4, y);
    static const float expected[] = {6, 8, -2, 0, 6, 8, 2, 4};
    assert_memory_equal(y, expected, sizeof y);
    lgt_context_free(context);
}

static void statistics_do_not_depend_on_threads(void **state) {
    enum { N = 50, DIM = 200 };
    static float x[N * DIM];
    lgt_context *one = test_context(1), *many = test_context(8);
    (void)state;
    test_normal_f32(x, N * DIM, 6, 0);
    for (int kind = LGT_STANDARDIZE_GLOBAL; kind <= LGT_STANDARDIZE_FEATURE; kind++) {
        lgt_normalization a, b;
        fit(one, (lgt_standardize)kind, x, N, DIM, &a);
        fit(many, (lgt_standardize)kind, x, N, DIM, &b);
        assert_memory_equal(a.mean, b.mean, (size_t)a.count * sizeof(float));
        assert_memory_equal(a.scale, b.scale, (size_t)a.count * sizeof(float));
        lgt_normalization_free(one, &a);
        lgt_normalization_free(many, &b);
    }
    lgt_context_free(many);
    lgt_context_free(one);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(optimisers_follow_pytorch),
        cmocka_unit_test(five_steps_give_the_numbers_of_torch),
        cmocka_unit_test(one_adamw_step_is_the_sign_of_the_gradient_times_the_rate),
        cmocka_unit_test(adamw_without_memory_forgets_large_gradients),
        cmocka_unit_test(weight_decay_is_decoupled_in_adamw_alone),
        cmocka_unit_test(moments_that_fade_end_at_zero_not_among_subnormals),
        cmocka_unit_test(l2_adds_its_multiple_of_the_value_to_the_gradient),
        cmocka_unit_test(updates_owed_have_the_bits_of_updates_made),
        cmocka_unit_test(numbers_out_of_range_are_found_wherever_they_are),
        cmocka_unit_test(learning_rates_have_their_exact_values),
        cmocka_unit_test(options_out_of_bounds_are_named),
        cmocka_unit_test(standardised_features_have_mean_zero_and_variance_one),
        cmocka_unit_test(constant_features_are_only_centred),
        cmocka_unit_test(rows_are_gathered_in_the_given_order),
        cmocka_unit_test(statistics_do_not_depend_on_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
