/* Corners of every loss on every engine: nothing is ever NaN or infinite, and zero means what the documentation says.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "heads.h"

enum { D = 8, C = 5 };

typedef struct corner {
    const char *name;
    void (*arrange)(test_head *h, double size);
    double f64_size, f32_size; /* of the vectors; 0: the corner does not apply to the type */
} corner;

static void scale_all(test_head *h, double size) {
    for (int64_t i = 0; i < h->n_rows * h->dim; i++) h->x[i] *= size;
    for (int64_t i = 0; i < h->w_rows * h->dim; i++) h->w[i] *= size;
}

/* The first centre of row i's class. */
static double *class_of(const test_head *h, int64_t i) {
    return h->w + h->labels[i] * (h->w_rows / h->n_classes) * h->dim;
}

static void parallel(test_head *h, double size) {
    for (int64_t i = 0; i < h->n_rows; i++)
        for (int64_t k = 0; k < h->dim; k++) h->x[i * h->dim + k] = 3 * class_of(h, i)[k];
    scale_all(h, size);
}

static void antiparallel(test_head *h, double size) {
    parallel(h, size);
    for (int64_t i = 0; i < h->n_rows * h->dim; i++) h->x[i] = -h->x[i];
}

static void orthogonal(test_head *h, double size) {
    for (int64_t i = 0; i < h->n_rows * h->dim; i++) h->x[i] = i % h->dim == 0;
    for (int64_t j = 0; j < h->w_rows; j++) h->w[j * h->dim] = 0;
    scale_all(h, size);
}

static void zero_rows(test_head *h, double size) {
    scale_all(h, size);
    memset(h->x, 0, (size_t)(2 * h->dim) * sizeof(double));
}

static void zero_classes(test_head *h, double size) {
    scale_all(h, size);
    memset(class_of(h, 0), 0, (size_t)h->dim * sizeof(double));
}

static void all_zero(test_head *h, double size) {
    scale_all(h, 0 * size);
}

static void duplicates(test_head *h, double size) {
    for (int64_t i = h->dim; i < h->w_rows * h->dim; i++) h->w[i] = h->w[i - h->dim];
    scale_all(h, size);
}

static void nearly_parallel(test_head *h, double size) {
    parallel(h, 1);
    for (int64_t i = 0; i < h->n_rows; i++) h->x[i * h->dim + i % h->dim] *= 1 + 1e-8;
    scale_all(h, size);
}

static const corner corners[] = {
    {"random", scale_all, 1, 1},
    {"parallel", parallel, 1, 1},
    {"antiparallel", antiparallel, 1, 1},
    {"orthogonal", orthogonal, 1, 1},
    {"zero rows", zero_rows, 1, 1},
    {"zero classes", zero_classes, 1, 1},
    {"all zero", all_zero, 1, 1},
    {"duplicates", duplicates, 1, 1},
    {"nearly parallel", nearly_parallel, 1, 1},
    {"huge", scale_all, 1e120, 1e15},
    {"huge parallel", parallel, 1e120, 1e15},
    {"tiny", scale_all, 1e-150, 1e-15},
    {"tiny parallel", parallel, 1e-150, 1e-15},
    {"vanishing", scale_all, 1e-300, 1e-37},
    {"subnormal", scale_all, 1e-310, 1e-41},
    {"huge antiparallel", antiparallel, 1e120, 1e15},
};

static const struct {
    lgt_engine engine;
    lgt_dtype dtype;
    lgt_precision precision;
} ways[] = {{LGT_ENGINE_CPU, LGT_F32, LGT_PRECISION_FULL},       {LGT_ENGINE_CPU, LGT_F64, LGT_PRECISION_FULL},
            {LGT_ENGINE_CPU, LGT_F32, LGT_PRECISION_BF16X3},     {LGT_ENGINE_CPU, LGT_F32, LGT_PRECISION_BF16},
            {LGT_ENGINE_REFERENCE, LGT_F32, LGT_PRECISION_FULL}, {LGT_ENGINE_REFERENCE, LGT_F64, LGT_PRECISION_FULL}};

static void every_result_is_finite_at_every_corner(void **state) {
    (void)state;
    lgt_context *context = test_context(2);
    for (int i = 0; test_specs[i]; i++)
        for (size_t k = 0; k < sizeof corners / sizeof *corners; k++)
            for (size_t a = 0; a < sizeof ways / sizeof *ways; a++) {
                test_head h = test_head_random(test_specs[i], 7, D, C, 31);
                lgt_dtype dtype = ways[a].dtype;
                h.options.precision = ways[a].precision;
                corners[k].arrange(&h, dtype == LGT_F64 ? corners[k].f64_size : corners[k].f32_size);
                test_result r = test_head_run(context, &h, ways[a].engine, dtype);
                if (!test_result_finite(&h, &r))
                    fail_msg("%s: %s is not finite (%s, precision %d)", test_specs[i], corners[k].name,
                             lgt_dtype_name(dtype), (int)ways[a].precision);
                test_result_free(&r);
                test_head_free(&h);
            }
    lgt_context_free(context);
}

static void zero_vectors_have_no_direction_feel_no_force_and_are_counted(void **state) {
    /* At c = 0 a target logit is that of a right angle, times |x| = 0 in SphereFace; the others are 0. */
    static const struct {
        const char *spec;
        double z;
    } cases[] = {{"arcface:s=64,m=0.5", -30.683234470668992},
                 {"curricularface:s=64,m=0.5", -30.683234470668992},
                 {"subcenter:s=64,m=0.5,k=1", -30.683234470668992},
                 {"sphereface:m=2,lambda=0", 0},
                 {"cosface:s=10,m=0.5", -5}};
    (void)state;
    lgt_context *context = test_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++) {
            test_head h = test_head_random(cases[i].spec, 7, D, C, 32);
            zero_rows(&h, 1);
            zero_classes(&h, 1);
            test_result r = test_head_run(context, &h, (lgt_engine)engine, LGT_F64);
            assert_int_equal(r.out.n_zero_rows, 2);
            assert_int_equal(r.out.n_zero_classes, 1);
            for (int k = 0; k < 2 * D; k++) assert_true(r.dx[k] == 0);
            for (int k = 0; k < D; k++) assert_true(r.dw[h.labels[0] * D + k] == 0);
            double expected = log(exp(cases[i].z) + C - 1) - cases[i].z;
            assert_at_most(fabs(r.loss_rows[0] - expected), 1e-12, cases[i].spec);
            test_result_free(&r);
            test_head_free(&h);
        }
    lgt_context_free(context);
}

/* A class of 0 leaves a right angle, at which SphereFace's target is -|x| for m = 2: x still feels its own length. */
static void the_length_of_x_counts_before_a_class_of_zero(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++) {
        test_head h = test_head_random("sphereface:m=2,lambda=0", 1, 2, 2, 1);
        const double x[] = {3, 4}, w[] = {0, 0, 0, 0};
        memcpy(h.x, x, sizeof x), memcpy(h.w, w, sizeof w);
        test_result r = test_head_run(context, &h, (lgt_engine)engine, LGT_F64);
        double force = 1 / (1 + exp(-5)); /* L = log(1 + e^|x|) */
        assert_at_most(fabs(r.out.loss - log1p(exp(5))), 1e-15 * 8, "loss");
        assert_at_most(fabs(r.dx[0] - 0.6 * force), 1e-15, "dx");
        assert_at_most(fabs(r.dx[1] - 0.8 * force), 1e-15, "dx");
        test_result_free(&r), test_head_free(&h);
    }
    lgt_context_free(context);
}

static void a_vector_too_short_for_its_gradient_counts_as_zero(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    test_head h = test_head_random("normalized:s=64", 7, D, C, 33);
    /* 8 s / FLT_MAX = 1.5e-36 */
    for (int k = 0; k < D; k++) h.x[k] = h.w[k] = 1e-37, h.x[D + k] = h.w[D + k] = 1e-35;
    test_result f32 = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F32);
    test_result f64 = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F64);
    assert_int_equal(f32.out.n_zero_rows, 1);
    assert_int_equal(f64.out.n_zero_rows, 0);
    assert_true(test_result_finite(&h, &f32));
    assert_int_equal(f32.out.n_zero_classes, 1);
    assert_int_equal(f64.out.n_zero_classes, 0);
    assert_true(f32.dx[0] == 0 && f32.dx[D] != 0 && f64.dx[0] != 0);
    assert_true(f32.dw[0] == 0 && f32.dw[D] != 0 && f64.dw[0] != 0);
    test_result_free(&f32), test_result_free(&f64);
    test_head_free(&h), lgt_context_free(context);
}

static void one_class_costs_nothing(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    for (int i = 0; test_specs[i]; i++)
        for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++) {
            test_head h = test_head_random(test_specs[i], 4, D, 1, 34);
            test_result r = test_head_run(context, &h, (lgt_engine)engine, LGT_F64);
            int costs_norms = strcmp(h.loss.info->name, "magface") == 0; /* its penalty is left */
            assert_true(r.out.loss == 0 || costs_norms);
            for (int k = 0; k < 4 * D; k++) assert_true(r.dx[k] == 0 || costs_norms);
            for (int64_t k = 0; k < h.w_rows * D; k++) assert_true(r.dw[k] == 0);
            assert_int_equal(r.out.n_correct, 4);
            test_result_free(&r);
            test_head_free(&h);
        }
    lgt_context_free(context);
}

static void one_class_leaves_the_penalty_of_norms(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++)
        for (int length = 1; length <= 4; length++) { /* below, inside, at the end, above */
            test_head h = test_head_random("magface:s=1,l_m=0,u_m=0,l_a=2,u_a=4,lambda_g=10", 1, 2, 1, 1);
            h.x[0] = 0, h.x[1] = length == 3 ? 3 : length == 4 ? 5 : length == 1 ? 1 : 2.5;
            double a = fmax(2, fmin(4, h.x[1])), slope = a == h.x[1] ? 10 * (1.0 / 16 - 1 / (a * a)) : 0;
            test_result r = test_head_run(context, &h, (lgt_engine)engine, LGT_F64);
            assert_at_most(fabs(r.out.loss - 10 * (a / 16 + 1 / a)), 1e-14, "penalty");
            assert_at_most(fabs(r.dx[0]) + fabs(r.dx[1] - slope), 1e-14, "slope of the penalty");
            test_result_free(&r), test_head_free(&h);
        }
    lgt_context_free(context);
}

static void nothing_used_costs_nothing(void **state) {
    (void)state;
    lgt_context *context = test_context(2);
    for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++)
        for (int run = 0; run < 8; run++) {
            static const char *const specs[] = {"softmax", "adaface", "curricularface:t=0.5", "magface"};
            int rows = run % 2 * 3;
            test_head h = test_head_random(specs[run / 2], rows, D, C, 35);
            h.options.ignore_label = -100;
            for (int i = 0; i < rows; i++) h.labels[i] = -100;
            test_result r = test_head_run(context, &h, (lgt_engine)engine, LGT_F64);
            assert_true(r.out.loss == 0 && r.out.weight == 0);
            assert_int_equal(r.out.n_used, 0);
            for (int k = 0; k < rows * D; k++) assert_true(r.dx[k] == 0);
            for (int k = 0; k < C * D; k++) assert_true(r.dw[k] == 0);
            for (int k = 0; k < C; k++) assert_true(r.db[k] == 0);
            for (int i = 0; i < rows; i++) assert_true(r.loss_rows[i] == 0);
            test_result_free(&r);
            test_head_free(&h);
        }
    lgt_context_free(context);
}

static void weights_of_zero_give_zero_and_not_nan(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    test_head h = test_head_random("arcface", 3, D, C, 36);
    double zeros[3] = {0};
    h.sample_weights = zeros;
    test_result r = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F32);
    assert_true(r.out.loss == 0 && test_result_finite(&h, &r));
    h.sample_weights = NULL;
    test_result_free(&r), test_head_free(&h), lgt_context_free(context);
}

/* Two rows whose weights sum to infinity, and one whose weighted loss does. */
static void sums_of_weights_and_losses_beyond_double_are_an_error(void **state) {
    static const double heavy[][2] = {{1.7e308, 1.7e308}, {1.7e308, 0}};
    static const char *const says[] = {"the sum of the rows' weights exceeds the range of double",
                                       "the sum of the rows' weighted losses exceeds the range of double"};
    (void)state;
    lgt_context *context = test_context(1);
    test_head h = test_head_random("arcface", 2, D, C, 38);
    for (lgt_engine engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++)
        for (int k = 0; k < 2; k++) {
            lgt_head *head = NULL;
            lgt_plan *plan = NULL;
            lgt_error err;
            lgt_head_inputs in = {.labels = h.labels, .sample_weights = heavy[k]};
            lgt_head_outputs out = {0};
            in.x = lgt_view_of(h.x, 2, D, LGT_F64), in.w = lgt_view_of(h.w, C, D, LGT_F64);
            h.options.engine = engine, h.options.dtype = LGT_F64, h.options.max_rows = 2, h.options.loss_only = 1;
            h.options.reduction = LGT_REDUCTION_SUM;
            assert_ok(lgt_head_create(context, &h.loss, D, C, &head, &err), err);
            assert_ok(lgt_plan_create(head, &h.options, &plan, &err), err);
            assert_fails(lgt_plan_run(plan, &in, &out, &err), LGT_ERR_NONFINITE, err, says[k]);
            lgt_plan_free(plan);
            lgt_head_free(head);
        }
    test_head_free(&h), lgt_context_free(context);
}

static void logits_beyond_the_type_are_an_error_naming_the_row(void **state) {
    (void)state;
    lgt_context *context = test_context(2);
    const struct {
        lgt_engine engine;
        lgt_dtype dtype;
        double size;
    } cases[] = {
        {LGT_ENGINE_CPU, LGT_F32, 1e25}, {LGT_ENGINE_CPU, LGT_F64, 1e160}, {LGT_ENGINE_REFERENCE, LGT_F64, 1e160}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_head h = test_head_random("softmax", 3, D, C, 37);
        test_result r;
        lgt_error err;
        for (int k = 0; k < D; k++) h.x[2 * D + k] *= cases[i].size;
        for (int k = 0; k < C * D; k++) h.w[k] *= cases[i].size;
        assert_fails(test_head_try(context, &h, cases[i].engine, cases[i].dtype, &r, &err), LGT_ERR_NONFINITE, err,
                     "logits exceed the range");
        test_result_free(&r), test_head_free(&h);
    }
    lgt_context_free(context);
}

/* Of an arithmetic: a weight of rows and a length of vectors, each far within the type, their quotient beyond it. */
typedef struct steep {
    lgt_engine engine;
    lgt_dtype dtype;
    lgt_precision precision;
    double weight, length, largest;
} steep;

static const steep steeps[] = {{LGT_ENGINE_CPU, LGT_F32, LGT_PRECISION_FULL, 1e25, 1e-20, 3e38},
                               {LGT_ENGINE_CPU, LGT_F32, LGT_PRECISION_BF16X3, 1e25, 1e-20, 3e38},
                               {LGT_ENGINE_CPU, LGT_F32, LGT_PRECISION_BF16, 1e25, 1e-20, 3e38},
                               {LGT_ENGINE_CPU, LGT_F64, LGT_PRECISION_FULL, 1e200, 1e-150, 1.7e308},
                               {LGT_ENGINE_REFERENCE, LGT_F64, LGT_PRECISION_FULL, 1e200, 1e-150, 1.7e308}};

enum { N_STEEP = 6 };

static void short_row(test_head *h, const steep *s) {
    h->sample_weights[3] = s->weight;
    for (int k = 0; k < D; k++) h->x[3 * D + k] *= s->length;
}

static void short_bystander(test_head *h, const steep *s) {
    for (int i = 0; i < N_STEEP; i++) h->sample_weights[i] = s->weight, h->labels[i] = 0;
    for (int k = 0; k < D; k++) h->w[2 * D + k] *= s->length;
}

static void short_target(test_head *h, const steep *s) {
    short_bystander(h, s);
    for (int i = 0; i < N_STEEP; i++) h->labels[i] = 2;
}

static void far_classes(test_head *h, const steep *s) {
    h->sample_weights[3] = s->weight;
    for (int k = 0; k < N_STEEP * D; k++) h->x[k] *= s->length;
    for (int k = 0; k < C * D; k++) h->w[k] /= s->length;
}

static void far_rows(test_head *h, const steep *s) {
    for (int i = 0; i < N_STEEP; i++) h->sample_weights[i] = s->weight;
    for (int k = 0; k < N_STEEP * D; k++) h->x[k] /= s->length;
    for (int k = 0; k < C * D; k++) h->w[k] *= s->length * s->length;
}

static void heavy_rows(test_head *h, const steep *s) {
    for (int i = 0; i < N_STEEP; i++) h->sample_weights[i] = s->largest, h->labels[i] = 4;
    for (int k = 0; k < N_STEEP * D; k++) h->x[k] *= s->length;
    for (int k = 0; k < C * D; k++) h->w[k] *= s->length;
    for (int j = 0; j < C; j++) h->b[j] = j == 1;
}

static void gradients_beyond_the_type_are_an_error_naming_the_place(void **state) {
    static const struct {
        const char *spec, *message;
        void (*arrange)(test_head *h, const steep *s);
    } cases[] = {
        {"arcface", "dx: row 3 exceeds the range of ", short_row},
        {"arcface", "dw: row 2 exceeds the range of ", short_bystander},
        {"arcface", "dw: row 2 exceeds the range of ", short_target},
        {"softmax", "dx: row 3 exceeds the range of ", far_classes},
        {"softmax", "dw: row 0 exceeds the range of ", far_rows},
        {"softmax", "db: class 1 exceeds the range of ", heavy_rows},
    };
    (void)state;
    lgt_context *context = test_context(2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t a = 0; a < sizeof steeps / sizeof *steeps; a++) {
            double weights[N_STEEP] = {1, 1, 1, 1, 1, 1};
            test_head h = test_head_random(cases[i].spec, N_STEEP, D, C, 39);
            test_result r;
            lgt_error err;
            h.options.reduction = LGT_REDUCTION_SUM;
            h.options.precision = steeps[a].precision;
            h.sample_weights = weights;
            cases[i].arrange(&h, &steeps[a]);
            assert_fails(test_head_try(context, &h, steeps[a].engine, steeps[a].dtype, &r, &err), LGT_ERR_NONFINITE,
                         err, cases[i].message);
            h.sample_weights = NULL;
            test_result_free(&r), test_head_free(&h);
        }
    lgt_context_free(context);
}

static void the_loss_does_not_saturate(void **state) {
    (void)state;
    /* Opposite to its class at s = 64: other implementations stop at 69.08 or 87.34. */
    lgt_context *context = test_context(1);
    test_head h = test_head_random("normalized:s=64", 1, 2, 2, 38);
    const double x[] = {1, 0}, w[] = {-1, 0, 1, 0};
    memcpy(h.x, x, sizeof x), memcpy(h.w, w, sizeof w);
    h.labels[0] = 0;
    test_result r = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F32);
    assert_at_most(fabs(r.out.loss - 128), 1e-5, "loss");
    h.labels[0] = 1;
    test_result right = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F32);
    assert_at_most(fabs(right.out.loss / exp(-128) - 1), 1e-5, "a small loss keeps its digits");
    test_result_free(&r), test_result_free(&right), test_head_free(&h), lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_result_is_finite_at_every_corner),
        cmocka_unit_test(zero_vectors_have_no_direction_feel_no_force_and_are_counted),
        cmocka_unit_test(the_length_of_x_counts_before_a_class_of_zero),
        cmocka_unit_test(a_vector_too_short_for_its_gradient_counts_as_zero),
        cmocka_unit_test(one_class_costs_nothing),
        cmocka_unit_test(one_class_leaves_the_penalty_of_norms),
        cmocka_unit_test(nothing_used_costs_nothing),
        cmocka_unit_test(weights_of_zero_give_zero_and_not_nan),
        cmocka_unit_test(sums_of_weights_and_losses_beyond_double_are_an_error),
        cmocka_unit_test(logits_beyond_the_type_are_an_error_naming_the_row),
        cmocka_unit_test(gradients_beyond_the_type_are_an_error_naming_the_place),
        cmocka_unit_test(the_loss_does_not_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
