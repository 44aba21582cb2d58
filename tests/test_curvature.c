/* Lanczos on the Hessian of heads against the dense Hessian, derivatives along directions against differences of J, and
 * the method itself on operators whose spectrum is known. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/lanczos.h"
#include "heads.h"
#include "logitude/curvature.h"
#include "math/symmetric.h"

/* Residuals of 1e-10 |H|; values err by their square. */
static const double agreement = 1e-9;

enum { MOST_FOUND = 12, N_BY = 3 };

static const int ways[N_BY] = {LGT_BY_FEATURES, LGT_BY_WEIGHTS, LGT_BY_FEATURES | LGT_BY_WEIGHTS};
static const char *const specs[] = {
    "softmax", "normalized:s=5", "arcface:s=8,m=0.3", "sphereface:m=2,lambda=1", "magface:s=8", "subcenter:s=6,k=2",
    NULL};

TEST_SHARED_CONTEXT(1)

/* --- Heads --- */

typedef struct bench {
    test_head h;
    lgt_head *head;
    lgt_plan *plan;
    lgt_head_inputs in;
} bench;

static bench bench_open(lgt_context *on, const char *spec, int n, int d, int c, lgt_dtype dtype) {
    lgt_error err;
    bench b = {.h = test_head_random(spec, n, d, c, 11)};
    b.h.options.dtype = dtype;
    b.h.options.second_order = 1;
    b.h.options.max_rows = n;
    assert_ok(lgt_head_create(on, &b.h.loss, d, c, &b.head, &err), err);
    assert_ok(lgt_plan_create(b.head, &b.h.options, &b.plan, &err), err);
    b.in = (lgt_head_inputs){
        .x = lgt_view_of(b.h.x, n, d, LGT_F64), .w = lgt_view_of(b.h.w, b.h.w_rows, d, LGT_F64), .labels = b.h.labels};
    if (b.h.bias) b.in.b = lgt_view_of(b.h.b, 1, c, LGT_F64);
    return b;
}

static void bench_close(bench *b) {
    lgt_plan_free(b->plan);
    lgt_head_free(b->head);
    test_head_free(&b->h);
}

/* Every column of the Hessian, by lgt_plan_hvp itself. */
static double *dense_hessian(bench *b, int by, int64_t size) {
    double *h = calloc((size_t)(size * size), sizeof *h), *v = calloc((size_t)size, sizeof *v);
    int64_t n_x = by & LGT_BY_FEATURES ? b->in.x.rows * b->in.x.cols : 0;
    int64_t n_w = by & LGT_BY_WEIGHTS ? b->in.w.rows * b->in.w.cols : 0, n_b = size - n_x - n_w;
    lgt_error err;
    for (int64_t k = 0; k < size; k++) {
        double *out = h + k * size;
        lgt_direction along = {.x = lgt_view_of(n_x ? v : NULL, b->in.x.rows, b->in.x.cols, LGT_F64),
                               .w = lgt_view_of(n_w ? v + n_x : NULL, b->in.w.rows, b->in.w.cols, LGT_F64),
                               .b = lgt_view_of(n_b ? v + n_x + n_w : NULL, 1, n_b, LGT_F64)};
        lgt_hvp product = {.x = lgt_mut_of(n_x ? out : NULL, b->in.x.rows, b->in.x.cols, LGT_F64),
                           .w = lgt_mut_of(n_w ? out + n_x : NULL, b->in.w.rows, b->in.w.cols, LGT_F64),
                           .b = lgt_mut_of(n_b ? out + n_x + n_w : NULL, 1, n_b, LGT_F64)};
        v[k] = 1;
        assert_ok(lgt_plan_hvp(b->plan, &b->in, &along, &product, &err), err);
        v[k] = 0;
    }
    free(v);
    return h;
}

typedef struct found {
    double values[MOST_FOUND], residuals[MOST_FOUND], *vectors;
    lgt_spectrum s;
} found;

static void find(bench *b, int by, const lgt_spectrum_options *options, found *f) {
    lgt_error err;
    int64_t size = lgt_curvature_size(&b->in, by);
    f->vectors = calloc((size_t)(MOST_FOUND * size), sizeof *f->vectors);
    f->s = (lgt_spectrum){.values = f->values, .residuals = f->residuals, .vectors = f->vectors};
    assert_ok(lgt_plan_spectrum(context, b->plan, &b->in, by, options, &f->s, &err), err);
}

static double dot(const double *a, const double *b, int64_t n) {
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

static void check_vectors(const found *f, const double *dense, int64_t size, double scale) {
    for (int64_t i = 0; i < f->s.n_found; i++) {
        const double *v = f->vectors + i * size;
        double square = 0;
        for (int64_t j = 0; j <= i; j++)
            assert_at_most(fabs(dot(v, f->vectors + j * size, size) - (i == j)), 1e-12, "orthonormal vectors");
        for (int64_t k = 0; k < size; k++) {
            double off = dot(dense + k * size, v, size) - f->values[i] * v[k];
            square += off * off;
        }
        assert_at_most(fabs(sqrt(square) - f->residuals[i]), 1e-12 * scale, "the residual is |H v - theta v|");
    }
}

static void extremal_eigenpairs_are_those_of_the_dense_hessian(void **state) {
    (void)state;
    lgt_spectrum_options options;
    lgt_spectrum_options_init(&options);
    options.top = 3, options.bottom = 2;
    for (int s = 0; specs[s]; s++)
        for (int way = 0; way < N_BY; way++) {
            bench b = bench_open(context, specs[s], 9, 5, 6, LGT_F64);
            int64_t size = lgt_curvature_size(&b.in, ways[way]);
            double *dense = dense_hessian(&b, ways[way], size), *copy = malloc(sizeof *copy * (size_t)(size * size));
            double *values = malloc(sizeof *values * (size_t)size), *all = malloc(sizeof *all * (size_t)(size * size));
            found f;
            memcpy(copy, dense, sizeof *copy * (size_t)(size * size));
            lgt_symmetric_eigen(copy, size, values, all);
            double scale = fmax(fabs(values[0]), fabs(values[size - 1]));
            find(&b, ways[way], &options, &f);
            assert_true(f.s.converged && f.s.n_found == 5);
            for (int i = 0; i < 5; i++) {
                double wanted = values[i < 3 ? i : size - 5 + i];
                assert_at_most(fabs(f.values[i] - wanted), agreement * scale, specs[s]);
                assert_at_most(f.residuals[i], options.tolerance * scale * (1 + 1e-9), "residual");
            }
            check_vectors(&f, dense, size, scale);
            free(f.vectors), free(all), free(values), free(copy), free(dense);
            bench_close(&b);
        }
}

/* The inputs, t v further. */
static void move(bench *b, int by, const double *v, double t) {
    int64_t n_x = b->in.x.rows * b->in.x.cols, n_w = b->in.w.rows * b->in.w.cols;
    for (int64_t k = 0; by & LGT_BY_FEATURES && k < n_x; k++) b->h.x[k] += t * *v++;
    for (int64_t k = 0; by & LGT_BY_WEIGHTS && k < n_w; k++) b->h.w[k] += t * *v++;
    for (int64_t k = 0; by & LGT_BY_WEIGHTS && k < b->in.b.cols; k++) b->h.b[k] += t * *v++;
}

static void derivatives_are_differences_of_the_loss_and_quotients_lie_between_the_extremes(void **state) {
    (void)state;
    lgt_spectrum_options options;
    lgt_spectrum_options_init(&options);
    options.bottom = 1;
    for (int s = 0; specs[s]; s++)
        for (int way = 0; way < N_BY; way++) {
            bench b = bench_open(context, specs[s], 7, 4, 5, LGT_F64);
            int64_t size = lgt_curvature_size(&b.in, ways[way]);
            double *v = malloc(sizeof *v * (size_t)size), loss[3];
            lgt_derivatives d, down;
            lgt_error err;
            found f;
            find(&b, ways[way], &options, &f);
            test_normal(v, size, (uint64_t)s, 9);
            assert_ok(lgt_plan_derivatives(context, b.plan, &b.in, ways[way], v, &d, &err), err);
            assert_ok(lgt_plan_derivatives(context, b.plan, &b.in, ways[way], NULL, &down, &err), err);
            double span = 1e-8 * (fabs(f.values[0]) + fabs(f.values[1]));
            assert_at_most(d.rayleigh, f.values[0] + span, "quotient by the largest eigenvalue");
            assert_at_most(f.values[1], d.rayleigh + span, "the smallest by the quotient");
            assert_at_most(down.rayleigh, f.values[0] + span, "quotient along the gradient");
            assert_at_most(fabs(down.first + down.length * down.length), 1e-12 * -down.first, "-<g, g>");
            assert_at_most(fabs(d.length * d.length * d.rayleigh - d.second), 1e-12 * fabs(d.second), "its definition");
            /* A step of 1e-4: third derivatives and rounding (1e-16 / 1e-8) leave 1e-6 of the larger ones. */
            for (int t = -1; t <= 1; t++) {
                lgt_head_outputs out = {.weight = 0};
                move(&b, ways[way], v, t * 1e-4);
                assert_ok(lgt_plan_run(b.plan, &b.in, &out, &err), err);
                loss[t + 1] = out.loss;
                move(&b, ways[way], v, -t * 1e-4);
            }
            double largest = fabs(d.first) + fabs(d.second);
            assert_at_most(fabs((loss[2] - loss[0]) / 2e-4 - d.first), 1e-5 * largest, "first derivative");
            assert_at_most(fabs((loss[2] - 2 * loss[1] + loss[0]) / 1e-8 - d.second), 1e-4 * largest, "second");
            free(f.vectors), free(v);
            bench_close(&b);
        }
}

static void softmax_is_convex_in_the_weights_alone(void **state) {
    (void)state;
    lgt_spectrum_options options;
    lgt_spectrum_options_init(&options);
    options.bottom = 1;
    bench b = bench_open(context, "softmax", 8, 4, 6, LGT_F64);
    for (int way = 0; way < N_BY; way++) {
        found f;
        find(&b, ways[way], &options, &f);
        if (way < 2)
            assert_at_most(-f.values[1], 1e-9 * f.values[0], "the least eigenvalue");
        else
            assert_true(f.values[1] < -1e-3 * f.values[0]); /* the product of x and w bends */
        free(f.vectors);
    }
    bench_close(&b);
}

static void threads_and_seeds_do_as_they_should(void **state) {
    (void)state;
    found f[4];
    static const int threads[] = {1, 2, 5, 1};
    for (int i = 0; i < 4; i++) {
        lgt_context *on = test_context(threads[i]);
        bench b = bench_open(on, "arcface:s=10,m=0.4", 70, 9, 80, LGT_F64);
        lgt_spectrum_options options;
        lgt_error err;
        lgt_spectrum_options_init(&options);
        options.top = 4;
        options.seed = i == 3;
        f[i].s = (lgt_spectrum){.values = f[i].values, .residuals = f[i].residuals};
        assert_ok(lgt_plan_spectrum(on, b.plan, &b.in, LGT_BY_WEIGHTS, &options, &f[i].s, &err), err);
        assert_true(f[i].s.converged && f[i].s.n_found == 4);
        bench_close(&b);
        lgt_context_free(on);
    }
    for (int i = 1; i < 3; i++) assert_memory_equal(f[i].values, f[0].values, 4 * sizeof(double));
    assert_true(memcmp(f[3].residuals, f[0].residuals, 4 * sizeof(double)) != 0);
    for (int k = 0; k < 4; k++)
        assert_at_most(fabs(f[3].values[k] - f[0].values[k]), agreement * f[0].values[0], "another start vector");
}

/* --- The method, on operators of known spectrum --- */

typedef struct diagonal {
    int64_t n, fail_at, count;
    const double *d;
} diagonal;

static lgt_status apply_diagonal(void *user, const double *v, double *out, lgt_error *err) {
    diagonal *a = user;
    (void)err;
    if (++a->count == a->fail_at) return LGT_ERR_NONFINITE;
    for (int64_t k = 0; k < a->n; k++) out[k] = a->d[k] * v[k];
    return LGT_OK;
}

static lgt_spectrum solve_diagonal(diagonal *a, const lgt_spectrum_options *options, found *f) {
    lgt_operator op = {a->n, a, apply_diagonal};
    lgt_error err;
    a->count = 0;
    f->s = (lgt_spectrum){.values = f->values, .residuals = f->residuals};
    assert_ok(lgt_lanczos_run(context, &op, options, &f->s, &err), err);
    assert_int_equal(f->s.n_products, a->count);
    return f->s;
}

static void restarts_reach_the_tolerance_and_too_few_products_are_admitted(void **state) {
    (void)state;
    enum { N = 1000 };
    double *d = malloc(N * sizeof *d);
    diagonal a = {N, 0, 0, d};
    lgt_spectrum_options options;
    found f;
    lgt_spectrum_options_init(&options);
    for (int k = 0; k < N; k++) d[k] = 1 - (double)k / N; /* neighbours 1e-3 apart */
    d[17] = 1.01;
    options.top = 3, options.bottom = 3;
    lgt_spectrum s = solve_diagonal(&a, &options, &f);
    assert_true(s.converged && s.n_found == 6 && s.n_products > lgt_lanczos_basis(N, &options) && s.n_products <= 1000);
    const double wanted[] = {1.01, 1, 1 - 1.0 / N, 3.0 / N, 2.0 / N, 1.0 / N};
    for (int k = 0; k < 6; k++) assert_at_most(fabs(f.values[k] - wanted[k]), agreement, "value");
    options.max_products = 30;
    s = solve_diagonal(&a, &options, &f);
    assert_true(!s.converged && s.n_found == 6 && s.n_products <= 30);
    for (int k = 0; k < 6; k++) { /* what is reported holds all the same */
        double nearest = INFINITY;
        for (int j = 0; j < N; j++) nearest = fmin(nearest, fabs(d[j] - f.values[k]));
        assert_at_most(nearest, f.residuals[k] * (1 + 1e-12), "an eigenvalue within the residual");
    }
    free(d);
}

/* One start vector meets a value once; what lies across the found ones holds its copies. */
static void copies_of_an_eigenvalue_are_all_listed(void **state) {
    (void)state;
    enum { N = 400 };
    double d[N];
    diagonal a = {N, 0, 0, d};
    lgt_spectrum_options options;
    found f;
    lgt_spectrum_options_init(&options);
    options.top = 4, options.bottom = 6;
    for (int k = 0; k < N; k++) d[k] = k < 3 ? 5 : k < 8 ? -1 : (double)k / N;
    lgt_spectrum s = solve_diagonal(&a, &options, &f);
    const double wanted[] = {5, 5, 5, 1 - 1.0 / N, 8.0 / N, -1, -1, -1, -1, -1};
    assert_true(s.converged && s.n_found == 10);
    for (int k = 0; k < 10; k++) assert_at_most(fabs(f.values[k] - wanted[k]), agreement, "value");
}

static void small_flat_and_absent_spaces_are_exhausted(void **state) {
    (void)state;
    static const double d[] = {2, 2, 2, -1, 0}, zeros[500] = {0};
    lgt_spectrum_options options;
    found f;
    lgt_spectrum_options_init(&options);
    options.top = 4, options.bottom = 4;
    diagonal a = {5, 0, 0, d};
    lgt_spectrum s = solve_diagonal(&a, &options, &f);
    const double sorted[] = {2, 2, 2, 0, -1}; /* all, with their multiplicities */
    assert_true(s.converged && s.n_found == 5);
    for (int k = 0; k < 5; k++) assert_at_most(fabs(f.values[k] - sorted[k]), 1e-14, "the whole spectrum");
    a = (diagonal){1, 0, 0, d};
    s = solve_diagonal(&a, &options, &f);
    assert_true(s.n_found == 1 && fabs(f.values[0] - 2) < 1e-15);
    a = (diagonal){0, 0, 0, d};
    s = solve_diagonal(&a, &options, &f);
    assert_true(s.n_found == 0 && s.converged && s.n_products == 0);
    a = (diagonal){500, 0, 0, zeros};
    s = solve_diagonal(&a, &options, &f);
    assert_true(s.n_found == 8 && s.converged && f.values[0] == 0 && f.residuals[7] == 0);
}

static void dense_eigenvectors_are_orthonormal_and_diagonalise(void **state) {
    (void)state;
    enum { N = 30 };
    double a[N * N], copy[N * N], values[N], v[N * N];
    for (int n = 0; n <= N; n += n < 4 ? 1 : 13) {
        test_normal(a, n * n, (uint64_t)n, 8);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < i; j++) a[j * n + i] = a[i * n + j];
        memcpy(copy, a, sizeof a);
        lgt_symmetric_eigen(copy, n, values, v);
        for (int i = 0; i < n; i++)
            for (int k = 0; k < n; k++) {
                double x = dot(v + i * n, v + k * n, n), off = dot(a + k * n, v + i * n, n) - values[i] * v[i * n + k];
                assert_at_most(fabs(x - (i == k)), 1e-13, "orthonormality");
                assert_at_most(fabs(off), 1e-13 * N, "a v - lambda v");
                assert_true(k > i || values[k] >= values[i]);
            }
    }
}

/* --- Refusals --- */

static void what_has_no_hessian_or_no_sense_is_refused(void **state) {
    (void)state;
    lgt_spectrum_options options;
    lgt_derivatives d;
    double value, residual;
    lgt_spectrum out = {.values = &value, .residuals = &residual};
    lgt_error err;
    bench b = bench_open(context, "arcface:gradient=detached", 3, 2, 3, LGT_F64);
    lgt_spectrum_options_init(&options);
    assert_fails(lgt_plan_spectrum(context, b.plan, &b.in, LGT_BY_WEIGHTS, &options, &out, &err), LGT_ERR_UNSUPPORTED,
                 err, "gradient=detached");
    assert_fails(lgt_plan_derivatives(context, b.plan, &b.in, LGT_BY_WEIGHTS, NULL, &d, &err), LGT_ERR_UNSUPPORTED, err,
                 "it has no Hessian");
    bench_close(&b);
    b = bench_open(context, "softmax", 3, 2, 3, LGT_F32);
    assert_fails(lgt_plan_spectrum(context, b.plan, &b.in, LGT_BY_WEIGHTS, &options, &out, &err), LGT_ERR_USAGE, err,
                 "f32, expected f64");
    bench_close(&b);
    b = bench_open(context, "softmax", 3, 2, 3, LGT_F64);
    assert_fails(lgt_plan_spectrum(context, b.plan, &b.in, 0, &options, &out, &err), LGT_ERR_USAGE, err, "by is 0");
    assert_fails(lgt_plan_derivatives(context, b.plan, &b.in, 4, NULL, &d, &err), LGT_ERR_USAGE, err, "by is 4");
    double far[64] = {1e200};
    assert_true(lgt_curvature_size(&b.in, LGT_BY_WEIGHTS) <= 64);
    assert_fails(lgt_plan_derivatives(context, b.plan, &b.in, LGT_BY_WEIGHTS, far, &d, &err), LGT_ERR_NONFINITE, err,
                 "shorten it");
    options.struct_size = 1;
    assert_fails(lgt_plan_spectrum(context, b.plan, &b.in, 1, &options, &out, &err), LGT_ERR_USAGE, err,
                 "struct_size 1");
    options.struct_size = sizeof options;
    options.top = -1;
    assert_fails(lgt_plan_spectrum(context, b.plan, &b.in, 1, &options, &out, &err), LGT_ERR_USAGE, err, "-1 largest");
    options.top = 1, options.tolerance = NAN;
    assert_fails(lgt_plan_spectrum(context, b.plan, &b.in, 1, &options, &out, &err), LGT_ERR_USAGE, err, "tolerance");
    options.tolerance = 1e-9, options.max_products = 0;
    assert_fails(lgt_plan_spectrum(context, b.plan, &b.in, 1, &options, &out, &err), LGT_ERR_USAGE, err, "products");
    b.in.w.cols = 7, options.max_products = 9;
    assert_fails(lgt_plan_spectrum(context, b.plan, &b.in, 2, &options, &out, &err), LGT_ERR_USAGE, err, "w is (3, 7)");
    bench_close(&b);
}

static void failures_of_products_and_of_memory_come_through(void **state) {
    (void)state;
    static const double d[] = {3, 2, 1};
    lgt_spectrum_options options;
    found f = {.vectors = NULL};
    lgt_error err;
    lgt_spectrum_options_init(&options);
    f.s = (lgt_spectrum){.values = f.values, .residuals = f.residuals};
    for (int64_t at = 1; at <= 4; at++) { /* three for the basis, one for the residual */
        diagonal a = {3, at, 0, d};
        lgt_operator op = {3, &a, apply_diagonal};
        assert_int_equal(lgt_lanczos_run(context, &op, &options, &f.s, &err), LGT_ERR_NONFINITE);
    }
    lgt_status status = LGT_ERR_MEMORY;
    int64_t fail_at;
    for (fail_at = 1; status; fail_at++) {
        diagonal a = {3, 0, 0, d};
        lgt_operator op = {3, &a, apply_diagonal};
        lgt_context *failing = test_context_failing(fail_at);
        int64_t before = test_live_blocks();
        status = lgt_lanczos_run(failing, &op, &options, &f.s, &err);
        if (status) assert_fails(status, LGT_ERR_MEMORY, err, "refused");
        assert_int_equal(test_live_blocks(), before);
        lgt_context_free(failing);
    }
    assert_true(fail_at > 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extremal_eigenpairs_are_those_of_the_dense_hessian),
        cmocka_unit_test(derivatives_are_differences_of_the_loss_and_quotients_lie_between_the_extremes),
        cmocka_unit_test(softmax_is_convex_in_the_weights_alone),
        cmocka_unit_test(threads_and_seeds_do_as_they_should),
        cmocka_unit_test(restarts_reach_the_tolerance_and_too_few_products_are_admitted),
        cmocka_unit_test(copies_of_an_eigenvalue_are_all_listed),
        cmocka_unit_test(small_flat_and_absent_spaces_are_exhausted),
        cmocka_unit_test(dense_eigenvectors_are_orthonormal_and_diagonalise),
        cmocka_unit_test(what_has_no_hessian_or_no_sense_is_refused),
        cmocka_unit_test(failures_of_products_and_of_memory_come_through),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
