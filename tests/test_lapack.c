/* Eigenvalues and singular values against LAPACK, which shares nothing with the library. Without LAPACKE the program
 * says so and exits with 77, which the build counts as skipped. */
#include <stdio.h>

#ifndef LGT_HAVE_LAPACKE
int main(void) {
    puts("skipped: built without LAPACKE (Debian: liblapacke-dev)");
    return 77;
}
#else

#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "heads.h"
#include "logitude/curvature.h"
#include "math/symmetric.h"

TEST_SHARED_CONTEXT(1)

/* a (n, n) is destroyed; values by falling value. */
static void lapack_eigenvalues(double *a, int n, double *values) {
    if (n > 0) assert_int_equal(LAPACKE_dsyev(LAPACK_ROW_MAJOR, 'N', 'U', n, a, n, values), 0);
    for (int i = 0; i < n / 2; i++) {
        double value = values[i];
        values[i] = values[n - 1 - i], values[n - 1 - i] = value;
    }
}

static double lapack_norm(double *w, int rows, int cols) {
    int k = rows < cols ? rows : cols;
    double *s = malloc(sizeof *s * (size_t)k), *work = malloc(sizeof *work * (size_t)k), unused[1];
    assert_int_equal(
        LAPACKE_dgesvd(LAPACK_ROW_MAJOR, 'N', 'N', rows, cols, w, cols, s, unused, cols, unused, cols, work), 0);
    double largest = s[0];
    free(work), free(s);
    return largest;
}

/* --- The softmax --- */

static void the_secular_equation_gives_the_eigenvalues_of_the_dense_matrix(void **state) {
    (void)state;
    enum { MOST = 120 };
    double z[MOST], p[MOST], found[MOST], wanted[MOST], *s = malloc(sizeof *s * MOST * MOST);
    lgt_error err;
    for (int seed = 0; seed < 120; seed++) {
        int n = seed < 10 ? seed + 1 : seed;
        double spread = (double[]){1, 0, 10, 100, 1e-8, 1e-15}[seed % 6];
        test_normal(z, n, (uint64_t)seed, 1);
        for (int j = 0; j < n; j++) z[j] = spread * (seed % 4 == 1 ? floor(2 * z[j]) : z[j]);
        lgt_softmax(z, n, p);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) s[i * n + j] = (i == j) * p[i] - p[i] * p[j];
        lapack_eigenvalues(s, n, wanted);
        assert_ok(lgt_softmax_spectrum(context, p, n, found, NULL, &err), err);
        /* LAPACK errs by some roundings of |S| <= 1/2, and so do the entries of the dense matrix. */
        for (int i = 0; i < n; i++) assert_at_most(fabs(found[i] - wanted[i]), 4 * DBL_EPSILON, "eigenvalue");
    }
    free(s);
}

/* --- Spectral norms --- */

static void certified_norms_bound_lapacks_and_lie_within_1e_9(void **state) {
    (void)state;
    static const int shapes[][2] = {{1, 1}, {1, 9}, {9, 1}, {2, 3}, {3, 2}, {40, 40}, {257, 30}, {30, 257}, {600, 90}};
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (int mode = 0; mode < 8; mode++) {
            int rows = shapes[k][0], cols = shapes[k][1], centred = mode & 1, directions = mode >> 1 & 1;
            size_t count = (size_t)(rows * cols);
            double *w = malloc(sizeof *w * count), *v = malloc(sizeof *v * count), norm, upper;
            lgt_error err;
            if (centred && (rows == 1 || cols == 1)) directions = 0; /* nothing but rounding would be left */
            test_normal(w, rows * cols, k, 1);
            for (size_t i = 0; mode >= 4 && i < count; i++)
                w[i] = w[i] * 0.01 + (double)(i % (size_t)cols); /* one large */
            memcpy(v, w, sizeof *v * count);
            for (int i = 0; directions && i < rows; i++) {
                double square = 0;
                for (int j = 0; j < cols; j++) square += v[i * cols + j] * v[i * cols + j];
                for (int j = 0; j < cols; j++) v[i * cols + j] /= sqrt(square);
            }
            for (int j = 0; centred && j < cols; j++) {
                long double mean = 0;
                for (int i = 0; i < rows; i++) mean += v[i * cols + j];
                for (int i = 0; i < rows; i++) v[i * cols + j] = (double)(v[i * cols + j] - mean / rows);
            }
            assert_ok(lgt_spectral_norm(context, lgt_view_of(w, rows, cols, LGT_F64), centred, directions, &norm,
                                        &upper, &err),
                      err);
            double wanted = lapack_norm(v, rows, cols);
            assert_at_most(wanted, upper * (1 + 4 * DBL_EPSILON), "LAPACK's norm by the bound");
            assert_at_most(upper, wanted * (1 + 1e-9), "the bound");
            assert_at_most(fabs(norm - wanted), 1e-12 * wanted, "the norm");
            free(v), free(w);
        }
}

/* --- Dense and sparse eigenvalues --- */

static void jacobi_agrees_with_lapack(void **state) {
    (void)state;
    enum { MOST = 60 };
    double *a = malloc(sizeof *a * MOST * MOST * 3), *copy = a + MOST * MOST, *vectors = copy + MOST * MOST;
    double found[MOST], wanted[MOST];
    for (int n = 0; n <= MOST; n += n < 6 ? 1 : 9) {
        test_normal(a, n * n, (uint64_t)n, 2);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < i; j++) a[j * n + i] = a[i * n + j];
        memcpy(copy, a, sizeof *a * (size_t)(n * n));
        lgt_symmetric_eigen(copy, n, found, vectors);
        lapack_eigenvalues(a, n, wanted);
        for (int i = 0; i < n; i++) assert_at_most(fabs(found[i] - wanted[i]), 1e-13 * n, "eigenvalue");
    }
    free(a);
}

/* The Hessian of a head by its weights, dense by one product for every axis. */
static void lanczos_agrees_with_lapack_on_the_hessian_of_a_head(void **state) {
    (void)state;
    enum { N = 12, D = 7, C = 9, SIZE = C * D };
    static const char *const specs[] = {"normalized:s=12", "cosface:s=10,m=0.2", "arcface:s=8,m=0.5", "lsoftmax:m=1",
                                        "sphereface-r:s=6,m=1.7"};
    double *dense = malloc(sizeof *dense * SIZE * SIZE), axis[SIZE] = {0}, wanted[SIZE], values[10], residuals[10];
    for (size_t k = 0; k < sizeof specs / sizeof *specs; k++) {
        test_head h = test_head_random(specs[k], N, D, C, k);
        lgt_head *head = NULL;
        lgt_plan *plan = NULL;
        lgt_error err;
        h.options.dtype = LGT_F64, h.options.second_order = 1;
        assert_ok(lgt_head_create(context, &h.loss, D, C, &head, &err), err);
        assert_ok(lgt_plan_create(head, &h.options, &plan, &err), err);
        lgt_head_inputs in = {
            .x = lgt_view_of(h.x, N, D, LGT_F64), .w = lgt_view_of(h.w, C, D, LGT_F64), .labels = h.labels};
        for (int i = 0; i < SIZE; i++) {
            lgt_direction along = {.w = lgt_view_of(axis, C, D, LGT_F64)};
            lgt_hvp out = {.w = lgt_mut_of(dense + i * SIZE, C, D, LGT_F64)};
            axis[i] = 1;
            assert_ok(lgt_plan_hvp(plan, &in, &along, &out, &err), err);
            axis[i] = 0;
        }
        lapack_eigenvalues(dense, SIZE, wanted);
        lgt_spectrum_options options;
        lgt_spectrum_options_init(&options);
        options.top = options.bottom = 5;
        lgt_spectrum s = {.values = values, .residuals = residuals};
        assert_ok(lgt_plan_spectrum(context, plan, &in, LGT_BY_WEIGHTS, &options, &s, &err), err);
        double scale = fmax(wanted[0], -wanted[SIZE - 1]);
        assert_true(s.converged && s.n_found == 10);
        for (int i = 0; i < 10; i++)
            assert_at_most(fabs(values[i] - wanted[i < 5 ? i : SIZE - 10 + i]), 1e-8 * scale, specs[k]);
        lgt_plan_free(plan), lgt_head_free(head), test_head_free(&h);
    }
    free(dense);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_secular_equation_gives_the_eigenvalues_of_the_dense_matrix),
        cmocka_unit_test(certified_norms_bound_lapacks_and_lie_within_1e_9),
        cmocka_unit_test(jacobi_agrees_with_lapack),
        cmocka_unit_test(lanczos_agrees_with_lapack_on_the_hessian_of_a_head),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}

#endif
