/* L-BFGS and Newton-CG on functions whose minima are known, and Cholesky's factorisation. */
#include "support.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "math/cholesky.h"
#include "train/descent.h"

enum { MOST = 200 };

typedef lgt_status (*minimizer)(lgt_smooth *f, const lgt_descent_limits *limits, lgt_descent *d, lgt_error *err);

static const struct {
    const char *name;
    minimizer run;
} minimizers[] = {{"lbfgs", lgt_lbfgs}, {"newton-cg", lgt_newton_cg}};

enum { N_MINIMIZERS = 2 };

/* f = sum_i c_i (v_i - m_i)^2 / 2 + shift, c from 1 to `condition`; `rounding` > 0: seen through a coarse grid. */
typedef struct quadratic {
    int64_t size;
    double condition, shift, rounding;
    int refined;
    int64_t watched, stop_at;
} quadratic;

static double coefficient(const quadratic *q, int64_t i) {
    return q->size > 1 ? pow(q->condition, (double)i / (double)(q->size - 1)) : q->condition;
}

static double minimum(int64_t i) {
    return sin((double)i + 1);
}

static double coarse(const quadratic *q, double value) {
    return q->rounding > 0 && !q->refined ? round(value / q->rounding) * q->rounding : value;
}

static lgt_status quadratic_evaluate(void *user, const double *v, double *value, double *g, lgt_error *err) {
    const quadratic *q = user;
    double sum = q->shift;
    for (int64_t i = 0; i < q->size; i++) {
        double away = v[i] - minimum(i);
        g[i] = coarse(q, coefficient(q, i) * away);
        sum += coefficient(q, i) * away * away / 2;
    }
    *value = coarse(q, sum);
    return lgt_succeed(err);
}

static lgt_status quadratic_product(void *user, const double *v, const double *d, double *out, lgt_error *err) {
    const quadratic *q = user;
    (void)v;
    for (int64_t i = 0; i < q->size; i++) out[i] = coefficient(q, i) * d[i];
    return lgt_succeed(err);
}

static void quadratic_inverse(void *user, const double *in, double *out) {
    const quadratic *q = user;
    for (int64_t i = 0; i < q->size; i++) out[i] = in[i] / coefficient(q, i);
}

static int quadratic_refine(void *user) {
    quadratic *q = user;
    int was = q->refined;
    q->refined = 1;
    return !was;
}

static int quadratic_watch(void *user, const lgt_descent *at) {
    quadratic *q = user;
    assert_int_equal(at->iterations, q->watched);
    q->watched++;
    return q->stop_at > 0 && at->iterations >= q->stop_at;
}

static lgt_smooth smooth_of(lgt_context *context, quadratic *q) {
    lgt_smooth f = {.context = context, .size = q->size, .user = q, .evaluate = quadratic_evaluate};
    f.product = quadratic_product;
    f.watch = quadratic_watch;
    f.noise = 4 * DBL_EPSILON;
    return f;
}

static lgt_descent minimize(int which, lgt_smooth *f, double *v, double *g, double tolerance, int64_t most) {
    lgt_descent_limits limits = {tolerance, most};
    lgt_descent d = {.v = v, .g = g};
    lgt_error err;
    assert_ok(minimizers[which].run(f, &limits, &d, &err), err);
    return d;
}

static void quadratics_are_minimised_to_the_tolerance(void **state) {
    lgt_context *context = test_context(1);
    const int64_t sizes[] = {1, 2, 7, MOST};
    (void)state;
    for (int which = 0; which < N_MINIMIZERS; which++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            quadratic q = {.size = sizes[s], .condition = 1000};
            double v[MOST] = {0}, g[MOST];
            lgt_smooth f = smooth_of(context, &q);
            lgt_descent d = minimize(which, &f, v, g, 1e-9, 500);
            assert_true(d.converged);
            assert_int_equal(q.watched, d.iterations + 1);
            for (int64_t i = 0; i < q.size; i++) /* |c_i away| <= |g|, c_i >= 1 */
                assert_at_most(fabs(v[i] - minimum(i)), 1e-9 * fmax(1, d.first_norm), "distance");
        }
    lgt_context_free(context);
}

static void with_the_inverse_hessian_as_preconditioner_a_quadratic_takes_one_step(void **state) {
    lgt_context *context = test_context(1);
    (void)state;
    for (int which = 0; which < N_MINIMIZERS; which++) {
        quadratic q = {.size = MOST, .condition = 1e6};
        double v[MOST] = {0}, g[MOST];
        lgt_smooth f = smooth_of(context, &q);
        f.precondition = quadratic_inverse;
        lgt_descent d = minimize(which, &f, v, g, 1e-9, 500);
        assert_true(d.converged);
        assert_int_equal(d.iterations, 1);
        assert_int_equal(d.evaluations, 2);
    }
    lgt_context_free(context);
}

static void newton_cg_ends_on_a_quadratic_of_few_eigenvalues_after_as_many_products(void **state) {
    lgt_context *context = test_context(1);
    quadratic q = {.size = 2, .condition = 50};
    double v[MOST] = {0}, g[MOST];
    lgt_smooth f = smooth_of(context, &q);
    (void)state;
    lgt_descent d = minimize(1, &f, v, g, 1e-12, 50);
    assert_true(d.converged);
    assert_at_most((double)d.products, 2.0 * (double)d.iterations, "products");
    lgt_context_free(context);
}

static lgt_status rosenbrock_evaluate(void *user, const double *v, double *value, double *g, lgt_error *err) {
    double a = 1 - v[0], b = v[1] - v[0] * v[0];
    (void)user;
    *value = a * a + 100 * b * b;
    g[0] = -2 * a - 400 * v[0] * b;
    g[1] = 200 * b;
    return lgt_succeed(err);
}

static lgt_status rosenbrock_product(void *user, const double *v, const double *d, double *out, lgt_error *err) {
    (void)user;
    out[0] = (2 - 400 * (v[1] - 3 * v[0] * v[0])) * d[0] - 400 * v[0] * d[1];
    out[1] = -400 * v[0] * d[0] + 200 * d[1];
    return lgt_succeed(err);
}

static void rosenbrocks_valley_is_followed_to_its_end(void **state) {
    static const double starts[][2] = {{-1.2, 1}, {0, 3}, {5, -5}, {0, 0}};
    lgt_context *context = test_context(1);
    (void)state;
    for (int which = 0; which < N_MINIMIZERS; which++)
        for (size_t s = 0; s < sizeof starts / sizeof *starts; s++) {
            double v[2] = {starts[s][0], starts[s][1]}, g[2];
            lgt_smooth f = {.context = context, .size = 2, .evaluate = rosenbrock_evaluate};
            f.product = rosenbrock_product;
            f.noise = 4 * DBL_EPSILON;
            lgt_descent d = minimize(which, &f, v, g, 1e-12, 300);
            assert_true(d.converged);
            double away = hypot(v[0] - 1, v[1] - 1); /* the Hessian's least eigenvalue there is 0.399 */
            assert_at_most(away, 1.01e-12 * fmax(1, d.first_norm) / 0.399, minimizers[which].name);
        }
    lgt_context_free(context);
}

/* f = log(1 + e^-v): falls for ever. */
static lgt_status falling_evaluate(void *user, const double *v, double *value, double *g, lgt_error *err) {
    (void)user;
    *value = log1p(exp(-v[0]));
    g[0] = -1 / (1 + exp(v[0]));
    return lgt_succeed(err);
}

static lgt_status falling_product(void *user, const double *v, const double *d, double *out, lgt_error *err) {
    double p = 1 / (1 + exp(v[0]));
    (void)user;
    out[0] = p * (1 - p) * d[0];
    return lgt_succeed(err);
}

static void a_function_without_a_minimum_ends_at_the_limit(void **state) {
    lgt_context *context = test_context(1);
    (void)state;
    for (int which = 0; which < N_MINIMIZERS; which++) {
        double v[1] = {0}, g[1];
        lgt_smooth f = {.context = context, .size = 1, .evaluate = falling_evaluate, .product = falling_product};
        lgt_descent d = minimize(which, &f, v, g, 1e-25, 4);
        assert_false(d.converged);
        assert_int_equal(d.iterations, 4);
        assert_true(v[0] > 1);
    }
    lgt_context_free(context);
}

/* f = v0^2/2 - v1^2/2 + v1^4/4: a saddle at 0, minima 0, +-1. */
static lgt_status saddle_evaluate(void *user, const double *v, double *value, double *g, lgt_error *err) {
    (void)user;
    *value = v[0] * v[0] / 2 - v[1] * v[1] / 2 + pow(v[1], 4) / 4;
    g[0] = v[0];
    g[1] = v[1] * v[1] * v[1] - v[1];
    return lgt_succeed(err);
}

static lgt_status saddle_product(void *user, const double *v, const double *d, double *out, lgt_error *err) {
    (void)user;
    out[0] = d[0];
    out[1] = (3 * v[1] * v[1] - 1) * d[1];
    return lgt_succeed(err);
}

static void negative_curvature_leads_away_from_a_saddle(void **state) {
    lgt_context *context = test_context(1);
    (void)state;
    for (int which = 0; which < N_MINIMIZERS; which++) {
        double v[2] = {1, 0.01}, g[2];
        lgt_smooth f = {.context = context, .size = 2, .evaluate = saddle_evaluate, .product = saddle_product};
        lgt_descent d = minimize(which, &f, v, g, 1e-10, 100);
        assert_true(d.converged);
        assert_at_most(fabs(fabs(v[1]) - 1), 1e-9, minimizers[which].name);
    }
    lgt_context_free(context);
}

static void a_coarse_function_is_refined_before_it_counts_as_converged(void **state) {
    lgt_context *context = test_context(1);
    (void)state;
    for (int which = 0; which < N_MINIMIZERS; which++) {
        quadratic q = {.size = 20, .condition = 30, .shift = 1, .rounding = 1e-4};
        double v[MOST] = {0}, g[MOST];
        lgt_smooth f = smooth_of(context, &q);
        f.refine = quadratic_refine;
        f.noise = 1e-4;
        lgt_descent d = minimize(which, &f, v, g, 1e-10, 300);
        assert_true(q.refined);
        assert_true(d.converged);
        assert_at_most(d.norm, 1e-10 * d.first_norm, minimizers[which].name);
    }
    lgt_context_free(context);
}

static void a_coarse_function_that_cannot_be_refined_ends_without_convergence(void **state) {
    lgt_context *context = test_context(1);
    (void)state;
    for (int which = 0; which < N_MINIMIZERS; which++) {
        quadratic q = {.size = 20, .condition = 30, .shift = 1, .rounding = 1e-3, .refined = 0};
        double v[MOST] = {0.3}, g[MOST];
        lgt_smooth f = smooth_of(context, &q);
        f.noise = 1e-3;
        lgt_descent d = minimize(which, &f, v, g, 1e-25, 2000);
        assert_true(d.iterations < 2000); /* it sees that nothing leads on */
    }
    lgt_context_free(context);
}

/* Products that the type of the first passes cannot hold. */
static lgt_status vast_product(void *user, const double *v, const double *d, double *out, lgt_error *err) {
    const quadratic *q = user;
    if (!q->refined) return lgt_fail(err, LGT_ERR_NONFINITE, "too large");
    return quadratic_product(user, v, d, out, err);
}

static void products_out_of_range_are_made_again_refined_or_are_the_error(void **state) {
    lgt_context *context = test_context(1);
    quadratic q = {.size = 20, .condition = 30, .shift = 1};
    double v[MOST] = {0}, g[MOST];
    lgt_error err;
    (void)state;
    lgt_smooth f = smooth_of(context, &q);
    f.product = vast_product;
    lgt_descent d = {.v = v, .g = g};
    assert_fails(lgt_newton_cg(&f, &(lgt_descent_limits){1e-10, 300}, &d, &err), LGT_ERR_NONFINITE, err, "too large");
    q.watched = 0;
    f.refine = quadratic_refine;
    d = minimize(1, &f, v, g, 1e-10, 300);
    assert_true(q.refined && d.converged);
    lgt_context_free(context);
}

static void watch_stops_a_descent_and_a_limit_of_none_only_evaluates(void **state) {
    lgt_context *context = test_context(1);
    (void)state;
    for (int which = 0; which < N_MINIMIZERS; which++) {
        quadratic q = {.size = MOST, .condition = 1e5, .stop_at = 3};
        double v[MOST] = {0}, g[MOST];
        lgt_smooth f = smooth_of(context, &q);
        lgt_descent d = minimize(which, &f, v, g, 1e-12, 500);
        assert_true(d.stopped && !d.converged);
        assert_int_equal(d.iterations, 3);
        q = (quadratic){.size = MOST, .condition = 1e5};
        memset(v, 0, sizeof v);
        d = minimize(which, &f, v, g, 1e-12, 0);
        assert_int_equal(d.evaluations, 1);
        assert_true(!d.stopped && !d.converged && v[0] == 0);
    }
    lgt_context_free(context);
}

/* Without a gradient, as of parameters that are out of range. */
static lgt_status undefined(void *user, const double *v, double *value, double *g, lgt_error *err) {
    (void)user, (void)v, (void)g;
    *value = NAN;
    return lgt_succeed(err);
}

static void a_start_that_is_not_finite_is_an_error(void **state) {
    lgt_context *context = test_context(1);
    (void)state;
    for (int which = 0; which < N_MINIMIZERS; which++) {
        double v[1] = {0}, g[1];
        lgt_smooth f = {.context = context, .size = 1, .evaluate = undefined};
        lgt_descent d = {.v = v, .g = g};
        lgt_descent_limits limits = {1e-5, 10};
        lgt_error err;
        assert_fails(minimizers[which].run(&f, &limits, &d, &err), LGT_ERR_NONFINITE, err,
                     "the objective is nan after 0 iterations");
    }
    lgt_context_free(context);
}

/* --- Cholesky --- */

static double matrix[MOST * MOST], factor[MOST * MOST];

static void cholesky_solves_what_it_factorises(void **state) {
    const int64_t sizes[] = {1, 2, 31, 32, 33, 65, MOST};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t n = sizes[s];
        double x[MOST], b[MOST], first[MOST];
        for (int threads = 1; threads <= 3; threads++) {
            lgt_context *context = test_context(threads);
            test_normal(factor, n * n, 5, (uint64_t)n);
            for (int64_t i = 0; i < n; i++)
                for (int64_t j = 0; j < n; j++) {
                    double sum = i == j ? 0.5 : 0;
                    for (int64_t k = 0; k < n; k++) sum += factor[i * n + k] * factor[j * n + k] / (double)n;
                    matrix[i * n + j] = sum;
                }
            memcpy(factor, matrix, (size_t)(n * n) * sizeof *factor);
            assert_true(lgt_cholesky(context, factor, n));
            test_normal(x, n, 6, (uint64_t)n);
            for (int64_t i = 0; i < n; i++) {
                b[i] = 0;
                for (int64_t k = 0; k < n; k++) b[i] += matrix[i * n + k] * x[k];
            }
            lgt_cholesky_solve(factor, n, b);
            assert_at_most(test_relative_error(b, x, n), 1e-12, "solution"); /* condition below 10 */
            if (threads == 1) memcpy(first, b, sizeof first);
            assert_memory_equal(first, b, (size_t)n * sizeof *b);
            lgt_context_free(context);
        }
    }
}

static void cholesky_refuses_what_is_not_positive_definite(void **state) {
    lgt_context *context = test_context(1);
    double zero[1] = {0}, indefinite[4] = {1, 2, 2, 1}, undefined_one[1] = {NAN};
    (void)state;
    assert_false(lgt_cholesky(context, zero, 1));
    assert_false(lgt_cholesky(context, indefinite, 2));
    assert_false(lgt_cholesky(context, undefined_one, 1));
    lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quadratics_are_minimised_to_the_tolerance),
        cmocka_unit_test(with_the_inverse_hessian_as_preconditioner_a_quadratic_takes_one_step),
        cmocka_unit_test(newton_cg_ends_on_a_quadratic_of_few_eigenvalues_after_as_many_products),
        cmocka_unit_test(rosenbrocks_valley_is_followed_to_its_end),
        cmocka_unit_test(a_function_without_a_minimum_ends_at_the_limit),
        cmocka_unit_test(negative_curvature_leads_away_from_a_saddle),
        cmocka_unit_test(a_coarse_function_is_refined_before_it_counts_as_converged),
        cmocka_unit_test(a_coarse_function_that_cannot_be_refined_ends_without_convergence),
        cmocka_unit_test(products_out_of_range_are_made_again_refined_or_are_the_error),
        cmocka_unit_test(watch_stops_a_descent_and_a_limit_of_none_only_evaluates),
        cmocka_unit_test(a_start_that_is_not_finite_is_an_error),
        cmocka_unit_test(cholesky_solves_what_it_factorises),
        cmocka_unit_test(cholesky_refuses_what_is_not_positive_definite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
