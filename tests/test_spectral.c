/* The spectrum of S = diag(p) - p p^T and its products by their laws, and proven spectral norms on matrices whose norm
 * is known. tests/test_lapack.c compares both with LAPACK. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "logitude/curvature.h"
#include "support.h"

/* Sums of up to MOST terms of one sign, and eigenvalues computed to rounding of themselves. */
static const double rounding = 1e-13;

enum { MOST = 60, KINDS = 7 };

TEST_SHARED_CONTEXT(1)

/* Probabilities of every kind that could trouble the equation. */
static void fill_p(int kind, int n, double *p) {
    double z[MOST];
    test_normal(z, n, (uint64_t)(kind * 100 + n), 1);
    for (int j = 0; j < n; j++) {
        if (kind == 1) z[j] = 0;                                    /* all equal */
        if (kind == 2) z[j] = (double)(j % 3);                      /* three runs */
        if (kind == 3) z[j] = 1 + j * DBL_EPSILON;                  /* neighbouring doubles */
        if (kind == 4) z[j] = j == n / 2 ? 40 + z[j] : z[j];        /* saturated: the others at 1e-17 */
        if (kind == 5) z[j] = -690.0 * j / (n > 1 ? n - 1 : 1);     /* 1 to 1e-300 */
        if (kind == 6) z[j] = j % 4 == 1 ? -2000 : (double)(j / 5); /* zeros, runs and others */
    }
    lgt_softmax(z, n, p);
}

/* How many eigenvalues lie above x > 0, by the signs of det(S - x I) (Sylvester), more precisely than the library. */
static int count_above(const double *p, int n, long double x) {
    long double sum = 0;
    int poles = 0;
    for (int j = 0; j < n; j++)
        if (p[j] > 0) poles += p[j] > x, sum += p[j] / (p[j] - x);
    return poles - (sum > 0);
}

/* Whether values[i] is eigenvalue number i of p over its sum to rounding of itself; the factor meets no p. */
static int is_eigenvalue(const double *p, int n, const double *values, int i) {
    long double width = 4.37L * DBL_EPSILON, value = 0;
    if (values[i] == 0) return 1;
    for (int j = 0; j < n; j++) value += (long double)p[j] * values[i];
    return count_above(p, n, value * (1 + width)) <= i && count_above(p, n, value * (1 - width)) > i;
}

static void eigenvalues_solve_the_equation_to_rounding_of_themselves(void **state) {
    (void)state;
    double p[MOST], values[MOST];
    lgt_error err;
    for (int kind = 0; kind < KINDS; kind++)
        for (int n = 1; n <= MOST; n += n < 8 ? 1 : 17) {
            int n_zero = 0, n_positive = 0;
            long double trace = 0, sum = 0;
            fill_p(kind, n, p);
            assert_ok(lgt_softmax_spectrum(context, p, n, values, NULL, &err), err);
            for (int j = 0; j < n; j++) {
                if (!is_eigenvalue(p, n, values, j)) fail_msg("kind %d, n %d, value %d: %.17g", kind, n, j, values[j]);
                assert_true(j == 0 || values[j] <= values[j - 1]);
                n_zero += values[j] == 0, n_positive += p[j] > 0;
                trace += values[j];
                for (int k = 0; k < n; k++) sum += k != j ? (long double)p[j] * p[k] : 0; /* p (1 - p) */
            }
            assert_int_equal(n_zero, n - n_positive + 1); /* rank C - 1 where all p are positive */
            assert_at_most(values[0], 0.5 * (1 + 4 * DBL_EPSILON), "the largest eigenvalue");
            assert_at_most((double)fabsl(trace - sum), rounding * (double)sum, "trace");
        }
}

/* In units of a power of 2, from the least double to beyond the largest sum, to the bit. */
static void p_of_any_sum_counts_as_p_over_its_sum(void **state) {
    (void)state;
    static const int exponents[] = {-700, -1, 1, 3, 600, 1023};
    double p[MOST], q[MOST], wanted[MOST], values[MOST], *v = malloc(sizeof *v * MOST * MOST),
                                                         *u = malloc(sizeof *u * MOST * MOST);
    lgt_error err;
    for (int kind = 0; kind < 4; kind++)
        for (size_t e = 0; e < sizeof exponents / sizeof *exponents; e++) {
            fill_p(kind, MOST, p);
            for (int j = 0; j < MOST; j++) q[j] = ldexp(p[j], exponents[e]);
            assert_ok(lgt_softmax_spectrum(context, p, MOST, wanted, v, &err), err);
            assert_ok(lgt_softmax_spectrum(context, q, MOST, values, u, &err), err);
            assert_memory_equal(values, wanted, sizeof values);
            assert_memory_equal(u, v, sizeof *v * MOST * MOST);
            for (int j = 0; j < MOST; j++) q[j] = 0.6 * p[j];
            assert_ok(lgt_softmax_spectrum(context, q, MOST, values, NULL, &err), err);
            for (int j = 0; j < MOST; j++) assert_true(is_eigenvalue(q, MOST, values, j));
        }
    static const double pairs[][3] = {{0.3, 0.3, 0.5},
                                      {3, 1, 0.375},
                                      {DBL_MAX, DBL_MAX, 0.5},
                                      {DBL_MAX, 1e-308, 0},
                                      {0x1p-1074, 0x1p-1074, 0.5},
                                      {1e200, 3e200, 0.375},
                                      {0, 7, 0}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_ok(lgt_softmax_spectrum(context, pairs[i], 2, values, NULL, &err), err);
        assert_at_most(fabs(values[0] - pairs[i][2]), 2 * DBL_EPSILON, "the larger one");
        assert_true(values[1] == 0);
    }
    free(u), free(v);
}

static void two_classes_have_twice_the_product(void **state) {
    (void)state;
    static const double z[] = {0, 1e-9, 1, 30, 300, 700, 744};
    double values[2];
    lgt_error err;
    for (size_t i = 0; i < sizeof z / sizeof *z; i++) {
        double p[2] = {0, z[i]};
        lgt_softmax(p, 2, p);
        assert_ok(lgt_softmax_spectrum(context, p, 2, values, NULL, &err), err);
        /* Near the least double the rounding of p itself is all there is. */
        assert_at_most(fabs(values[0] - 2 * p[0] * p[1]), rounding * values[0] + 0x1p-1073, "2 p q");
        assert_true(values[1] == 0);
        if (z[i] == 0) assert_true(values[0] == 0.5);
    }
}

static void eigenvectors_are_orthonormal_and_reproduce_their_values(void **state) {
    (void)state;
    double p[MOST], values[MOST], product[MOST], *v = malloc(sizeof *v * MOST * MOST);
    lgt_error err;
    for (int kind = 0; kind < KINDS; kind++)
        for (int n = 1; n <= MOST; n += n < 8 ? 1 : 13) {
            fill_p(kind, n, p);
            assert_ok(lgt_softmax_spectrum(context, p, n, values, v, &err), err);
            for (int i = 0; i < n; i++) {
                lgt_softmax_product(p, v + i * n, n, product);
                for (int k = 0; k < n; k++)
                    assert_at_most(fabs(product[k] - values[i] * v[i * n + k]), 1e-15 * n, "S v - lambda v");
                for (int j = 0; j <= i; j++) {
                    double dot = 0;
                    for (int k = 0; k < n; k++) dot += v[i * n + k] * v[j * n + k];
                    assert_at_most(fabs(dot - (i == j)), rounding, "orthonormality");
                }
            }
        }
    free(v);
}

static void the_variance_is_the_quadratic_form_even_of_a_saturated_row(void **state) {
    (void)state;
    double p[MOST], v[MOST], product[MOST];
    for (int kind = 0; kind < KINDS; kind++)
        for (int n = 1; n <= MOST; n += n < 8 ? 1 : 17) {
            long double pairs = 0, form = 0, size = 0;
            fill_p(kind, n, p);
            test_normal(v, n, (uint64_t)n, 2);
            for (int j = 0; j < n; j++) v[j] += 100;
            double variance = lgt_softmax_variance(p, v, n);
            lgt_softmax_product(p, v, n, product);
            for (int j = 0; j < n; j++) {
                form += (long double)v[j] * product[j], size += fabsl((long double)v[j] * product[j]);
                for (int k = 0; k < j; k++) pairs += (long double)p[j] * p[k] * (v[j] - v[k]) * (v[j] - v[k]);
            }
            assert_at_most((double)fabsl(variance - pairs), rounding * (double)pairs, "sum of pairs");
            assert_at_most((double)fabsl(form - pairs), 1e-12 * (double)size, "<v, S v>");
            for (int j = 0; j < n; j++) v[j] = 3.25;
            lgt_softmax_product(p, v, n, product);
            for (int j = 0; j < n; j++) assert_true(product[j] == 0); /* S 1 = 0 */
            assert_true(lgt_softmax_variance(p, v, n) == 0);
        }
}

static void what_is_no_distribution_is_refused(void **state) {
    (void)state;
    double values[3];
    lgt_error err;
    const double negative[] = {0.5, -0.1, 0.6}, nan[] = {0.5, 0.5, NAN}, zeros[] = {0, 0, 0}, whole[] = {2, 1, 1};
    assert_fails(lgt_softmax_spectrum(context, negative, 3, values, NULL, &err), LGT_ERR_DATA, err,
                 "p holds -0.1 at 1");
    assert_fails(lgt_softmax_spectrum(context, nan, 3, values, NULL, &err), LGT_ERR_DATA, err, "nan at 2");
    assert_fails(lgt_softmax_spectrum(context, zeros, 3, values, NULL, &err), LGT_ERR_DATA, err, "zeros alone");
    assert_ok(lgt_softmax_spectrum(context, whole, 0, values, NULL, &err), err);
}

/* --- Spectral norms --- */

typedef struct norms {
    double norm, upper;
} norms;

static norms norm_of(const double *w, int64_t rows, int64_t cols, int centred, int directions) {
    norms n;
    lgt_error err;
    assert_ok(
        lgt_spectral_norm(context, lgt_view_of(w, rows, cols, LGT_F64), centred, directions, &n.norm, &n.upper, &err),
        err);
    assert_true(n.norm <= n.upper);
    return n;
}

/* The bound holds by proof; the value is within rounding and the bound within its stated distance. */
static void check_norm(norms found, double wanted) {
    assert_at_most(wanted, found.upper * (1 + 2 * DBL_EPSILON), "the norm by its bound"); /* wanted is rounded too */
    assert_at_most(found.upper, wanted * (1 + 1e-9), "the bound");
    assert_at_most(fabs(found.norm - wanted), 1e-12 * wanted, "the norm");
}

static void norms_of_known_matrices_are_found(void **state) {
    (void)state;
    enum { ROWS = 300, COLS = 40 };
    double *w = calloc(ROWS * COLS, sizeof *w), u[ROWS], v[COLS], uu = 0, vv = 0;
    for (int j = 0; j < COLS; j++) w[j * COLS + j] = j == 7 ? -5 : 0.1 * j;
    check_norm(norm_of(w, ROWS, COLS, 0, 0), 5);
    check_norm(norm_of(w, COLS, COLS, 0, 0), 5);
    check_norm(norm_of(w, ROWS, COLS, 0, 1), 1); /* axes, and rows of zeros */
    test_normal(u, ROWS, 1, 1), test_normal(v, COLS, 1, 2);
    for (int i = 0; i < ROWS; i++) uu += u[i] * u[i];
    for (int k = 0; k < COLS; k++) vv += v[k] * v[k];
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < COLS; k++) w[i * COLS + k] = u[i] * v[k];
    check_norm(norm_of(w, ROWS, COLS, 0, 0), sqrt(uu * vv)); /* rank one */
    check_norm(norm_of(w, ROWS, COLS, 0, 1), sqrt(ROWS));    /* one direction, both signs */
    free(w);
}

static void nothing_and_one_number_have_their_norms(void **state) {
    (void)state;
    const double zeros[12] = {0}, one[1] = {-3}, least[1] = {5e-324}, large[2] = {1e308, 1e308};
    norms n;
    for (int mode = 0; mode < 4; mode++) {
        n = norm_of(zeros, 3, 4, mode & 1, mode >> 1);
        assert_true(n.norm == 0 && n.upper == 0);
        n = norm_of(zeros, 0, 4, mode & 1, mode >> 1);
        assert_true(n.norm == 0 && n.upper == 0);
        n = norm_of(one, 1, 1, 1, mode >> 1);
        assert_true(n.norm == 0 && n.upper == 0);
    }
    check_norm(norm_of(one, 1, 1, 0, 0), 3);
    check_norm(norm_of(one, 1, 1, 0, 1), 1);
    n = norm_of(least, 1, 1, 0, 0);
    assert_true(n.norm == 5e-324 && n.upper <= 1.5e-323);
    check_norm(norm_of(large, 1, 2, 0, 0), 1e308 * sqrt(2));
}

/* The same matrix lying down, its mean row taken out by hand, its rows stretched: norms that must agree. */
static void orientation_mean_and_lengths_count_as_stated(void **state) {
    (void)state;
    static const int shapes[][2] = {{1, 5}, {5, 1}, {2, 3}, {31, 64}, {64, 31}, {700, 33}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        int rows = shapes[s][0], cols = shapes[s][1];
        double *w = malloc(sizeof *w * (size_t)(rows * cols)), *other = malloc(sizeof *w * (size_t)(rows * cols));
        test_normal(w, rows * cols, s, 3);
        for (int i = 0; i < rows; i++)
            for (int k = 0; k < cols; k++) other[k * rows + i] = w[i * cols + k];
        check_norm(norm_of(other, cols, rows, 0, 0), norm_of(w, rows, cols, 0, 0).norm);
        for (int k = 0; k < cols; k++) {
            double mean = 0;
            for (int i = 0; i < rows; i++) mean += w[i * cols + k] / rows;
            for (int i = 0; i < rows; i++) other[i * cols + k] = w[i * cols + k] - mean;
        }
        double centred = norm_of(other, rows, cols, 0, 0).norm;
        if (rows > 1) check_norm(norm_of(w, rows, cols, 1, 0), centred);
        for (int k = 0; k < rows * cols; k++) other[k] = w[k] * ldexp(1, k / cols % 9 - 4);
        for (int mode = 0; mode < 2 && rows > 1; mode++) {
            norms n = norm_of(w, rows, cols, mode, 1);
            if (cols > 1 || !mode) check_norm(norm_of(other, rows, cols, mode, 1), n.norm);
        }
        free(other), free(w);
    }
}

/* A common part of 1e6 costs six digits of nothing: the mean is taken out before anything is squared. */
static void a_large_common_part_hides_nothing(void **state) {
    (void)state;
    enum { ROWS = 50, COLS = 20 };
    double w[ROWS * COLS], far[ROWS * COLS];
    test_normal(w, ROWS * COLS, 4, 4);
    for (int k = 0; k < ROWS * COLS; k++) far[k] = w[k] + 1048576, w[k] = far[k] - 1048576;
    check_norm(norm_of(far, ROWS, COLS, 1, 0), norm_of(w, ROWS, COLS, 1, 0).norm);
}

static void float32_strides_and_threads_change_no_bit(void **state) {
    (void)state;
    enum { ROWS = 600, COLS = 70, LD = 75 };
    float *w = malloc(sizeof *w * ROWS * LD);
    double *wide = malloc(sizeof *wide * ROWS * COLS), p[MOST], one[MOST], many[MOST];
    lgt_error err;
    test_normal_f32(w, ROWS * LD, 5, 5);
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < COLS; k++) wide[i * COLS + k] = (double)w[i * LD + k];
    lgt_view view = {w, ROWS, COLS, LD, LGT_F32};
    norms expected = norm_of(wide, ROWS, COLS, 1, 1), found;
    fill_p(0, MOST, p);
    assert_ok(lgt_softmax_spectrum(context, p, MOST, one, NULL, &err), err);
    for (int threads = 1; threads <= 5; threads += 2) {
        lgt_context *other = test_context(threads);
        assert_ok(lgt_spectral_norm(other, view, 1, 1, &found.norm, &found.upper, &err), err);
        assert_memory_equal(&found, &expected, sizeof found);
        assert_ok(lgt_softmax_spectrum(other, p, MOST, many, NULL, &err), err);
        assert_memory_equal(one, many, sizeof one);
        lgt_context_free(other);
    }
    free(wide), free(w);
}

static void bad_matrices_are_refused(void **state) {
    (void)state;
    double w[6] = {1, 2, 3, 4, 5, 6}, norm, upper;
    int64_t whole[6] = {0};
    lgt_error err;
    lgt_view view = lgt_view_of(whole, 2, 3, LGT_I64);
    assert_fails(lgt_spectral_norm(context, view, 0, 0, &norm, &upper, &err), LGT_ERR_USAGE, err, "w is i64");
    view = lgt_view_of(w, 2, 3, LGT_F64), view.ld = 2;
    assert_fails(lgt_spectral_norm(context, view, 0, 0, &norm, &upper, &err), LGT_ERR_USAGE, err, "ld 2");
    view = lgt_view_of(NULL, 2, 3, LGT_F64);
    assert_fails(lgt_spectral_norm(context, view, 0, 0, &norm, &upper, &err), LGT_ERR_USAGE, err, "no data");
    w[4] = INFINITY, view = lgt_view_of(w, 2, 3, LGT_F64);
    for (int mode = 0; mode < 4; mode++)
        assert_fails(lgt_spectral_norm(context, view, mode & 1, mode >> 1, &norm, &upper, &err), LGT_ERR_DATA, err,
                     "w holds inf at row 1, column 1");
    for (int k = 0; k < 6; k++) w[k] = 1.5e308;
    assert_fails(lgt_spectral_norm(context, view, 0, 0, &norm, &upper, &err), LGT_ERR_NONFINITE, err, "exceeds");
}

static void refused_memory_is_reported_and_nothing_leaks(void **state) {
    (void)state;
    double w[6] = {1, 2, 3, 4, 5, 7}, p[3] = {0.2, 0.3, 0.5}, values[3], vectors[9], norm, upper;
    for (int which = 0; which < 2; which++) {
        lgt_status status = LGT_ERR_MEMORY;
        int64_t fail_at;
        for (fail_at = 1; status; fail_at++) {
            lgt_error err;
            lgt_context *failing = test_context_failing(fail_at);
            int64_t before = test_live_blocks();
            status = which ? lgt_softmax_spectrum(failing, p, 3, values, vectors, &err)
                           : lgt_spectral_norm(failing, lgt_view_of(w, 2, 3, LGT_F64), 1, 1, &norm, &upper, &err);
            if (status) assert_fails(status, LGT_ERR_MEMORY, err, "refused");
            assert_int_equal(test_live_blocks(), before);
            lgt_context_free(failing);
        }
        assert_true(fail_at > 4);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eigenvalues_solve_the_equation_to_rounding_of_themselves),
        cmocka_unit_test(p_of_any_sum_counts_as_p_over_its_sum),
        cmocka_unit_test(two_classes_have_twice_the_product),
        cmocka_unit_test(eigenvectors_are_orthonormal_and_reproduce_their_values),
        cmocka_unit_test(the_variance_is_the_quadratic_form_even_of_a_saturated_row),
        cmocka_unit_test(what_is_no_distribution_is_refused),
        cmocka_unit_test(norms_of_known_matrices_are_found),
        cmocka_unit_test(nothing_and_one_number_have_their_norms),
        cmocka_unit_test(orientation_mean_and_lengths_count_as_stated),
        cmocka_unit_test(a_large_common_part_hides_nothing),
        cmocka_unit_test(float32_strides_and_threads_change_no_bit),
        cmocka_unit_test(bad_matrices_are_refused),
        cmocka_unit_test(refused_memory_is_reported_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
