/* Hessian-vector products: against differences of the reference gradient, between engines and types, and their laws. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brute.h"

/* Five-point differences with step h: the fifth derivative leaves (s h)^4 / 30 of the second, 6e-11 at s = 64, and
 * rounding eps / (s h), 1e-13: 1e-8 has room for problems whose terms cancel. float64 engines differ by the order of
 * sums: 1e-16 times s. float32: the exponential's argument of s = 64 is rounded to 4e-6, in the weights and in their
 * motion. */
static const double step = 1e-4, difference_gate = 1e-8, f64_gate = 1e-12, f32_gate = 2e-5;
/* Differences must not reach over a point where the second derivative jumps: angles move by less than this. */
static const double reach = 4e-3;

static int is_exact(const char *spec) {
    return !strstr(spec, "gradient=");
}

static double inner(const test_head *h, const test_vectors *a, const test_vectors *b) {
    double sum = 0;
    for (int64_t k = 0; k < h->n_rows * h->dim; k++) sum += a->x[k] * b->x[k];
    for (int64_t k = 0; k < h->w_rows * h->dim; k++) sum += a->w[k] * b->w[k];
    for (int64_t k = 0; k < h->n_classes && h->bias; k++) sum += a->b[k] * b->b[k];
    return sum;
}

/* out += factor v */
static void add(const test_head *h, double factor, double *const v[3], double *const out[3]) {
    const int64_t n[] = {h->n_rows * h->dim, h->w_rows * h->dim, h->n_classes};
    for (int k = 0; k < 3; k++)
        for (int64_t i = 0; i < n[k]; i++) out[k][i] += factor * v[k][i];
}

/* Fixes what the loss counts as constant at its value here: qualities are the norms, the state is the moved one. */
static void freeze(lgt_context *context, test_head *h) {
    test_result r = test_head_run(context, h, LGT_ENGINE_REFERENCE, LGT_F64);
    if (!h->qualities) h->qualities = test_weights(h->n_rows, 1);
    for (int64_t i = 0; i < h->n_rows; i++) {
        double square = 0;
        for (int64_t k = 0; k < h->dim; k++) square += h->x[i * h->dim + k] * h->x[i * h->dim + k];
        h->qualities[i] = sqrt(square);
    }
    if (!h->state) h->state = test_weights(LGT_LOSS_MAX_STATE, 1);
    memcpy(h->state, r.out.state, sizeof r.out.state);
    h->frozen = 1;
    test_result_free(&r);
}

/* (8 (g(h) - g(-h)) - (g(2h) - g(-2h))) / 12 h of the reference gradient. */
static test_vectors differences(lgt_context *context, test_head *h, const test_vectors *v) {
    static const double at[] = {1, -1, 2, -2}, weight[] = {8, -8, -1, 1};
    test_vectors sum = test_vectors_of(h, 0);
    freeze(context, h);
    for (int k = 0; k < 4; k++) {
        double *const x[] = {h->x, h->w, h->b}, *const along[] = {v->x, v->w, v->b},
                      *const out[] = {sum.x, sum.w, sum.b};
        double *kept[3];
        const int64_t n[] = {h->n_rows * h->dim, h->w_rows * h->dim, h->n_classes};
        for (int a = 0; a < 3; a++) {
            kept[a] = malloc((size_t)(n[a] + 1) * sizeof(double));
            assert_non_null(kept[a]);
            memcpy(kept[a], x[a], (size_t)n[a] * sizeof(double));
        }
        add(h, at[k] * step, along, x);
        test_result r = test_head_run(context, h, LGT_ENGINE_REFERENCE, LGT_F64);
        double *const g[] = {r.dx, r.dw, r.db};
        add(h, weight[k] / (12 * step), g, out);
        for (int a = 0; a < 3; a++) memcpy(x[a], kept[a], (size_t)n[a] * sizeof(double)), free(kept[a]);
        test_result_free(&r);
    }
    return sum;
}

static test_head problem_of(const char *spec, int64_t n_rows, int64_t dim, int64_t n_classes, uint64_t seed) {
    test_head h = test_head_random(spec, n_rows, dim, n_classes, 70 + seed);
    int soft = h.loss.info->n_params <= 2 && seed % 4 == 3; /* softmax and normalized */
    h.step = seed & 16 ? 300 : 0;
    if (seed & 1) h.options.label_smoothing = 0.1;
    if (seed & 2) h.options.z_loss = 0.01;
    if (seed & 4) h.sample_weights = test_weights(n_rows, seed);
    if (seed & 8) h.class_weights = test_weights(n_classes, seed);
    if (seed % 3 == 1) h.options.ignore_label = h.labels[n_rows / 2];
    if (seed % 3 == 2) h.options.reduction = LGT_REDUCTION_SUM;
    if (seed % 7 == 6) h.options.reduction = LGT_REDUCTION_NONE, h.upstream = test_weights(n_rows, seed + 1);
    if (seed % 5 == 3 && test_head_has(&h, LGT_ROLE_MARGIN)) test_head_margins(&h, seed);
    if (seed % 5 == 4 && test_head_has(&h, LGT_ROLE_SCALE)) test_head_scales(&h, seed);
    if (soft) test_head_soften(&h, seed);
    return h;
}

static void the_product_is_the_derivative_of_the_gradient(void **state) {
    enum { PROBLEMS = 60 };
    (void)state;
    lgt_context *context = test_context(1);
    double worst = 0;
    for (int i = 0; test_specs[i]; i++) {
        int checked = 0;
        for (uint64_t seed = 0; seed < PROBLEMS && is_exact(test_specs[i]); seed++) {
            test_head h =
                problem_of(test_specs[i], 2 + (int64_t)seed % 3, 5 + (int64_t)seed % 7, 3 + (int64_t)seed % 5, seed);
            test_vectors v = test_vectors_of(&h, 1 + seed);
            test_vectors found = test_head_hvp(context, &h, LGT_ENGINE_REFERENCE, LGT_F64, &v);
            if (brute_condition_of(&h).kink > reach) {
                test_vectors expected = differences(context, &h, &v);
                double error = test_vectors_error(&h, &found, &expected);
                if (!(error <= difference_gate)) fail_msg("%s, seed %d: error %.3g", test_specs[i], (int)seed, error);
                worst = fmax(worst, error), checked++;
                test_vectors_free(&expected);
            }
            test_vectors_free(&v), test_vectors_free(&found), test_head_free(&h);
        }
        assert_true(checked > PROBLEMS / 2 || !is_exact(test_specs[i]));
    }
    print_message("worst error %.2g\n", worst);
    lgt_context_free(context);
}

static void so_it_does_over_several_panels_of_rows(void **state) {
    (void)state;
    lgt_context *context = test_context(2);
    test_head h = test_head_random("arcface:s=8,m=0.3", 800, 1400, 130, 5); /* panels of 744 rows, two stripes */
    test_vectors v = test_vectors_of(&h, 5);
    test_vectors expected = test_head_hvp(context, &h, LGT_ENGINE_REFERENCE, LGT_F64, &v);
    test_vectors found = test_head_hvp(context, &h, LGT_ENGINE_CPU, LGT_F64, &v);
    double error = test_vectors_error(&h, &found, &expected);
    print_message("error %.2g\n", error);
    assert_true(error <= f64_gate);
    test_vectors_free(&found), test_vectors_free(&expected), test_vectors_free(&v), test_head_free(&h);
    lgt_context_free(context);
}

static void the_streaming_engine_equals_the_reference(void **state) {
    static const int64_t shapes[][3] = {{1, 2, 1},   {1, 3, 2},    {2, 3, 2},    {7, 16, 63},
                                        {65, 5, 65}, {3, 33, 129}, {130, 8, 10}, {5, 31, 700}};
    (void)state;
    lgt_context *context = test_context(2);
    double worst[2] = {0};
    for (int i = 0; test_specs[i]; i++)
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes && is_exact(test_specs[i]); k++) {
            test_head h = problem_of(test_specs[i], shapes[k][0], shapes[k][1], shapes[k][2], k + (uint64_t)i);
            test_vectors v = test_vectors_of(&h, 5);
            test_head_round(&h);
            for (int64_t n = 0; n < h.n_rows * h.dim; n++) v.x[n] = (double)(float)v.x[n];
            for (int64_t n = 0; n < h.w_rows * h.dim; n++) v.w[n] = (double)(float)v.w[n];
            for (int64_t n = 0; n < h.n_classes; n++) v.b[n] = (double)(float)v.b[n];
            test_vectors expected = test_head_hvp(context, &h, LGT_ENGINE_REFERENCE, LGT_F64, &v);
            for (int t = 0; t < 2; t++) {
                test_vectors found = test_head_hvp(context, &h, LGT_ENGINE_CPU, t ? LGT_F32 : LGT_F64, &v);
                double error = test_vectors_error(&h, &found, &expected);
                /* Behind a clamp one class has no curvature but rounding. */
                if (inner(&h, &expected, &expected) < 1e-24)
                    error = inner(&h, &found, &found) < (t ? 1e-8 : 1e-24) ? 0 : INFINITY;
                if (!(error <= (t ? f32_gate : f64_gate)))
                    fail_msg("%s (%d, %d, %d) %s: error %.3g", test_specs[i], (int)h.n_rows, (int)h.dim,
                             (int)h.n_classes, t ? "f32" : "f64", error);
                worst[t] = fmax(worst[t], error);
                test_vectors_free(&found);
            }
            test_vectors_free(&v), test_vectors_free(&expected), test_head_free(&h);
        }
    print_message("worst errors: f64 %.2g, f32 %.2g\n", worst[0], worst[1]);
    lgt_context_free(context);
}

/* Calls law(context, problem, engine) for every exact loss and some problems with options, on both engines. */
typedef void (*law)(lgt_context *context, test_head *h, lgt_engine engine);

static void for_every_loss(law check, int with_options) {
    lgt_context *context = test_context(2);
    for (int i = 0; test_specs[i]; i++)
        for (uint64_t seed = 0; seed < 6 && is_exact(test_specs[i]); seed++)
            for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++) {
                int64_t dim = 3 + (int64_t)seed * 4, n_classes = 7 + (int64_t)seed * 20;
                test_head h = problem_of(test_specs[i], 5, dim, n_classes, with_options ? seed : 0);
                check(context, &h, (lgt_engine)engine);
                test_head_free(&h);
            }
    lgt_context_free(context);
}

static void symmetric(lgt_context *context, test_head *h, lgt_engine engine) {
    test_vectors u = test_vectors_of(h, 6), v = test_vectors_of(h, 7);
    test_vectors hu = test_head_hvp(context, h, engine, LGT_F64, &u),
                 hv = test_head_hvp(context, h, engine, LGT_F64, &v);
    double size = sqrt(inner(h, &v, &v) * inner(h, &hu, &hu));
    assert_at_most(fabs(inner(h, &v, &hu) - inner(h, &u, &hv)), 1e-13 * size, "v'Hu - u'Hv");
    test_vectors_free(&u), test_vectors_free(&v), test_vectors_free(&hu), test_vectors_free(&hv);
}

static void the_hessian_is_symmetric(void **state) {
    (void)state;
    for_every_loss(symmetric, 1);
}

static void linear(lgt_context *context, test_head *h, lgt_engine engine) {
    test_vectors u = test_vectors_of(h, 6), v = test_vectors_of(h, 7), sum = test_vectors_of(h, 6);
    double *const along[] = {v.x, v.w, v.b}, *const both[] = {sum.x, sum.w, sum.b};
    test_vectors hu = test_head_hvp(context, h, engine, LGT_F64, &u),
                 hv = test_head_hvp(context, h, engine, LGT_F64, &v);
    add(h, -3, along, both);
    test_vectors direct = test_head_hvp(context, h, engine, LGT_F64, &sum);
    double *const product[] = {hv.x, hv.w, hv.b}, *const total[] = {hu.x, hu.w, hu.b};
    add(h, -3, product, total);
    assert_at_most(test_vectors_error(h, &hu, &direct), 1e-12, "Hu - 3 Hv against H(u - 3v)");
    test_vectors *all[] = {&u, &v, &sum, &hu, &hv, &direct};
    for (int k = 0; k < 6; k++) test_vectors_free(all[k]);
}

static void the_product_is_linear_in_the_direction(void **state) {
    (void)state;
    for_every_loss(linear, 1);
}

/* Gradients in COS are homogeneous: along x itself, d(dx) = -dx and d(dw) = 0; the same for w in COS and COSW. */
static void homogeneous(lgt_context *context, test_head *h, lgt_engine engine) {
    lgt_space space = h->loss.info->space;
    if (space == LGT_SPACE_DOT) return;
    test_result r = test_head_run(context, h, engine, LGT_F64);
    test_vectors along = {NULL, h->w, NULL}, zero = test_vectors_of(h, 0);
    for (int64_t k = 0; k < h->w_rows * h->dim; k++) zero.w[k] = -r.dw[k];
    test_vectors found = test_head_hvp(context, h, engine, LGT_F64, &along);
    assert_at_most(test_vectors_error(h, &found, &zero), 1e-11, "H w against -dw");
    test_vectors_free(&found), test_vectors_free(&zero);
    if (space == LGT_SPACE_COS && strcmp(h->loss.info->name, "magface") != 0) {
        along = (test_vectors){h->x, NULL, NULL}, zero = test_vectors_of(h, 0);
        for (int64_t k = 0; k < h->n_rows * h->dim; k++) zero.x[k] = -r.dx[k];
        found = test_head_hvp(context, h, engine, LGT_F64, &along);
        assert_at_most(test_vectors_error(h, &found, &zero), 1e-11, "H x against -dx");
        test_vectors_free(&found), test_vectors_free(&zero);
    }
    test_result_free(&r);
}

static void along_a_vector_itself_its_gradient_shrinks_as_one_over_its_length(void **state) {
    (void)state;
    for_every_loss(homogeneous, 1);
}

static void softmax_is_convex_in_weights_and_bias(void **state) {
    (void)state;
    lgt_context *context = test_context(2);
    for (uint64_t seed = 0; seed < 40; seed++)
        for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++) {
            test_head h = problem_of("softmax", 6, 7, 9, seed);
            test_vectors v = test_vectors_of(&h, seed + 1), along = {NULL, v.w, v.b};
            test_vectors hv = test_head_hvp(context, &h, (lgt_engine)engine, LGT_F64, &along);
            memset(v.x, 0, (size_t)(h.n_rows * h.dim) * sizeof(double));
            double curvature = inner(&h, &v, &hv);
            if (!(curvature > 0)) fail_msg("seed %d: v'Hv is %.3g", (int)seed, curvature);
            test_vectors_free(&v), test_vectors_free(&hv), test_head_free(&h);
        }
    lgt_context_free(context);
}

static int all_finite(const test_head *h, const test_vectors *v) {
    test_vectors zero = test_vectors_of(h, 0);
    int finite = isfinite(inner(h, v, &zero)); /* an infinity or a NaN times 0 is a NaN */
    test_vectors_free(&zero);
    return finite;
}

static int all_zero(const test_head *h, const test_vectors *v) {
    for (int64_t k = 0; k < h->n_rows * h->dim; k++)
        if (v->x[k] != 0) return 0;
    for (int64_t k = 0; k < h->w_rows * h->dim; k++)
        if (v->w[k] != 0) return 0;
    return 1;
}

static void one_class_has_no_curvature(lgt_context *context, test_head *h, lgt_engine engine) {
    test_head one = test_head_random(h->loss.info->name, 4, 6, 1, 3);
    test_vectors v = test_vectors_of(&one, 4), found = test_head_hvp(context, &one, engine, LGT_F64, &v);
    assert_true(all_zero(&one, &found)); /* MagFace's norms are below l_a, where the penalty is constant */
    test_vectors_free(&v), test_vectors_free(&found), test_head_free(&one);
}

static void a_single_class_has_no_curvature(void **state) {
    (void)state;
    for_every_loss(one_class_has_no_curvature, 0);
}

static void absent_directions_are_zeros(lgt_context *context, test_head *h, lgt_engine engine) {
    test_vectors v = test_vectors_of(h, 8), zero = test_vectors_of(h, 0);
    const test_vectors absent[] = {{NULL, NULL, NULL}, {v.x, NULL, NULL}, {NULL, v.w, NULL}, {NULL, NULL, v.b}};
    const test_vectors given[] = {zero, {v.x, zero.w, zero.b}, {zero.x, v.w, zero.b}, {zero.x, zero.w, v.b}};
    for (int k = 0; k < 4; k++) {
        test_vectors a = test_head_hvp(context, h, engine, LGT_F64, &absent[k]);
        test_vectors b = test_head_hvp(context, h, engine, LGT_F64, &given[k]);
        if (k == 0) assert_true(all_zero(h, &a));
        assert_at_most(test_vectors_error(h, &a, &b), 0, "a direction that is absent against zeros");
        test_vectors_free(&a), test_vectors_free(&b);
    }
    test_vectors_free(&v), test_vectors_free(&zero);
}

static void a_direction_that_is_absent_stands_for_zeros(void **state) {
    (void)state;
    for_every_loss(absent_directions_are_zeros, 1);
}

/* --- Corners --- */

typedef void (*corner)(test_head *h);

static void random_vectors(test_head *h) {
    (void)h;
}
static void zero_row(test_head *h) {
    memset(h->x, 0, (size_t)h->dim * sizeof(double));
}
static void zero_class(test_head *h) {
    memset(h->w + h->labels[0] * h->dim, 0, (size_t)h->dim * sizeof(double));
}
static void all_of_zero(test_head *h) {
    memset(h->x, 0, (size_t)(h->n_rows * h->dim) * sizeof(double));
    memset(h->w, 0, (size_t)(h->w_rows * h->dim) * sizeof(double));
}
static void parallel(test_head *h) {
    int64_t centres = h->w_rows / h->n_classes;
    for (int64_t i = 0; i < h->n_rows; i++)
        for (int64_t k = 0; k < h->dim; k++) h->x[i * h->dim + k] = 3 * h->w[h->labels[i] * centres * h->dim + k];
}
static void antiparallel(test_head *h) {
    parallel(h);
    for (int64_t i = 0; i < h->n_rows * h->dim; i++) h->x[i] = -h->x[i];
}
static void duplicates(test_head *h) {
    for (int64_t i = h->dim; i < h->w_rows * h->dim; i++) h->w[i] = h->w[i - h->dim];
}

static void every_product_is_finite_at_every_corner(void **state) {
    static const corner corners[] = {random_vectors, zero_row,     zero_class, all_of_zero,
                                     parallel,       antiparallel, duplicates};
    static const double sizes[][2] = {{1, 1}, {1e-200, 1e-18}, {1e120, 1e15}}; /* f64, f32: of vectors and directions */
    (void)state;
    lgt_context *context = test_context(2);
    for (int i = 0; test_specs[i]; i++)
        for (size_t k = 0; k < sizeof corners / sizeof *corners * 3 && is_exact(test_specs[i]); k++)
            for (int run = 0; run < 3; run++) {
                lgt_engine engine = run == 2 ? LGT_ENGINE_REFERENCE : LGT_ENGINE_CPU;
                double size = sizes[k % 3][run == 1];
                /* In COS the product is of size (s/r) (v/r), in DOT of w^2 v. */
                test_head h = test_head_random(test_specs[i], 6, 8, 5, 90);
                test_vectors v = test_vectors_of(&h, 9);
                corners[k / 3](&h);
                double along = h.loss.info->space == LGT_SPACE_DOT ? 1 : size;
                for (int64_t n = 0; n < h.n_rows * h.dim; n++) h.x[n] *= size, v.x[n] *= along;
                for (int64_t n = 0; n < h.w_rows * h.dim; n++) h.w[n] *= size, v.w[n] *= along;
                test_vectors hv;
                lgt_error err;
                lgt_status status = test_head_try_hvp(context, &h, engine, run == 1 ? LGT_F32 : LGT_F64, &v, &hv, &err);
                if (status || !all_finite(&h, &hv))
                    fail_msg("%s, corner %d, size %g, run %d: %s", test_specs[i], (int)k / 3, size, run,
                             status ? err.message : "not finite");
                test_vectors_free(&v), test_vectors_free(&hv), test_head_free(&h);
            }
    lgt_context_free(context);
}

static void a_product_beyond_the_type_is_an_error_naming_the_row(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++) {
        test_head h = test_head_random("arcface", 6, 8, 5, 90);
        test_vectors v = test_vectors_of(&h, 9), hv;
        lgt_error err;
        for (int k = 0; k < 8; k++) h.x[3 * 8 + k] *= 1e-200; /* s / r^2 = 1e401 */
        assert_fails(test_head_try_hvp(context, &h, (lgt_engine)engine, LGT_F64, &v, &hv, &err), LGT_ERR_NONFINITE, err,
                     "hvp_x: row 3 exceeds the range of f64");
        test_vectors_free(&v), test_vectors_free(&hv), test_head_free(&h);
    }
    lgt_context_free(context);
}

static void vectors_of_zero_stay_where_they_are(void **state) {
    static const char *const specs[] = {"arcface", "sphereface:m=3,lambda=1", "curricularface:t=0.5"};
    (void)state;
    lgt_context *context = test_context(1);
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++)
        for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++) {
            test_head h = test_head_random(specs[s], 6, 8, 5, 91);
            zero_row(&h), zero_class(&h);
            test_vectors v = test_vectors_of(&h, 9), hv = test_head_hvp(context, &h, (lgt_engine)engine, LGT_F64, &v);
            for (int k = 0; k < 8; k++) assert_true(hv.x[k] == 0 && hv.w[h.labels[0] * 8 + k] == 0);
            test_vectors_free(&v), test_vectors_free(&hv), test_head_free(&h);
        }
    lgt_context_free(context);
}

/* --- The contract --- */

static void gradients_that_are_no_derivatives_have_no_hessian(void **state) {
    static const char *const specs[] = {"arcface:gradient=detached", "lsoftmax:gradient=unit", "magface:gradient=unit"};
    (void)state;
    lgt_context *context = test_context(1);
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++) {
            test_head h = test_head_random(specs[i], 2, 3, 4, 1);
            test_vectors v = test_vectors_of(&h, 1), out;
            lgt_error err;
            assert_fails(test_head_try_hvp(context, &h, (lgt_engine)engine, LGT_F64, &v, &out, &err),
                         LGT_ERR_UNSUPPORTED, err, strstr(specs[i], "gradient="));
            test_vectors_free(&v), test_vectors_free(&out), test_head_free(&h);
        }
    lgt_context_free(context);
}

static void bits_do_not_depend_on_threads(void **state) {
    static const char *const specs[] = {"softmax", "arcface", "subcenter:k=2", "curricularface:t=0.3"};
    static const int threads[] = {2, 3, 8};
    (void)state;
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++)
        for (int t = 0; t < 2; t++) {
            test_head h = problem_of(specs[s], 300, 24, t ? 1000 : 90, 3);
            test_vectors v = test_vectors_of(&h, 3);
            lgt_context *one = test_context(1);
            test_vectors expected = test_head_hvp(one, &h, LGT_ENGINE_CPU, t ? LGT_F32 : LGT_F64, &v);
            for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
                lgt_context *several = test_context(threads[i]);
                test_vectors found = test_head_hvp(several, &h, LGT_ENGINE_CPU, t ? LGT_F32 : LGT_F64, &v);
                assert_memory_equal(found.x, expected.x, (size_t)(h.n_rows * h.dim) * sizeof(double));
                assert_memory_equal(found.w, expected.w, (size_t)(h.w_rows * h.dim) * sizeof(double));
                assert_memory_equal(found.b, expected.b, (size_t)h.n_classes * sizeof(double));
                test_vectors_free(&found), lgt_context_free(several);
            }
            test_vectors_free(&expected), lgt_context_free(one), test_vectors_free(&v), test_head_free(&h);
        }
}

static void a_plan_of_second_order_accumulates_allocates_nothing_and_runs_gradients_too(void **state) {
    enum { N = 5, D = 4, C = 70 };
    (void)state;
    for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++) {
        lgt_context *context = test_context_failing(0);
        test_head h = test_head_random("softmax", N, D, C, 1);
        test_vectors v = test_vectors_of(&h, 2), sum = test_vectors_of(&h, 3), start = test_vectors_of(&h, 3);
        test_vectors product = test_head_hvp(context, &h, (lgt_engine)engine, LGT_F64, &v);
        test_result expected = test_head_run(context, &h, (lgt_engine)engine, LGT_F64);
        lgt_head *head;
        lgt_plan *plan;
        lgt_error err;
        h.options.engine = (lgt_engine)engine, h.options.dtype = LGT_F64;
        lgt_head_inputs in = {.x = lgt_view_of(h.x, N, D, LGT_F64),
                              .w = lgt_view_of(h.w, C, D, LGT_F64),
                              .b = lgt_view_of(h.b, 1, C, LGT_F64),
                              .labels = h.labels};
        lgt_direction along = {.x = lgt_view_of(v.x, N, D, LGT_F64),
                               .w = lgt_view_of(v.w, C, D, LGT_F64),
                               .b = lgt_view_of(v.b, 1, C, LGT_F64)};
        lgt_hvp out = {.x = lgt_mut_of(sum.x, N, D, LGT_F64),
                       .w = lgt_mut_of(sum.w, C, D, LGT_F64),
                       .b = lgt_mut_of(sum.b, 1, C, LGT_F64),
                       .accumulate = 1};
        assert_ok(lgt_head_create(context, &h.loss, D, C, &head, &err), err);
        assert_ok(lgt_plan_create(head, &h.options, &plan, &err), err);
        assert_fails(lgt_plan_hvp(plan, &in, &along, &out, &err), LGT_ERR_USAGE, err, "second_order");
        lgt_plan_free(plan);
        h.options.second_order = 1;
        assert_ok(lgt_plan_create(head, &h.options, &plan, &err), err);
        int64_t before = test_allocations();
        assert_ok(lgt_plan_hvp(plan, &in, &along, &out, &err), err);
        double *const added[] = {product.x, product.w, product.b}, *const from[] = {start.x, start.w, start.b};
        add(&h, 1, added, from);
        assert_at_most(test_vectors_error(&h, &sum, &start), 1e-15, "what was there, and the product");
        lgt_head_outputs run = {.dx = lgt_mut_of(sum.x, N, D, LGT_F64)};
        assert_ok(lgt_plan_run(plan, &in, &run, &err), err);
        assert_memory_equal(sum.x, expected.dx, N * D * sizeof(double));
        assert_true(run.loss == expected.out.loss);
        assert_int_equal(test_allocations(), before);
        in.w.rows = C - 1;
        assert_fails(lgt_plan_hvp(plan, &in, &along, &out, &err), LGT_ERR_USAGE, err, "w is (69, 4), expected (70, 4)");
        in.w.rows = C, along.w.rows = C - 1;
        assert_fails(lgt_plan_hvp(plan, &in, &along, &out, &err), LGT_ERR_USAGE, err, "is (69, 4), expected (70, 4)");
        along.w.rows = C, out.x.cols = D + 1;
        assert_fails(lgt_plan_hvp(plan, &in, &along, &out, &err), LGT_ERR_USAGE, err, "is (5, 5), expected (5, 4)");
        out.x.cols = D, v.x[7] = NAN;
        assert_fails(lgt_plan_hvp(plan, &in, &along, &out, &err), LGT_ERR_DATA, err, "holds nan at row 1, column 3");
        lgt_plan_free(plan), lgt_head_free(head);
        test_result_free(&expected), test_head_free(&h);
        test_vectors *all[] = {&v, &sum, &start, &product};
        for (int k = 0; k < 4; k++) test_vectors_free(all[k]);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_product_is_the_derivative_of_the_gradient),
        cmocka_unit_test(the_streaming_engine_equals_the_reference),
        cmocka_unit_test(so_it_does_over_several_panels_of_rows),
        cmocka_unit_test(the_hessian_is_symmetric),
        cmocka_unit_test(the_product_is_linear_in_the_direction),
        cmocka_unit_test(along_a_vector_itself_its_gradient_shrinks_as_one_over_its_length),
        cmocka_unit_test(softmax_is_convex_in_weights_and_bias),
        cmocka_unit_test(a_single_class_has_no_curvature),
        cmocka_unit_test(a_direction_that_is_absent_stands_for_zeros),
        cmocka_unit_test(every_product_is_finite_at_every_corner),
        cmocka_unit_test(a_product_beyond_the_type_is_an_error_naming_the_row),
        cmocka_unit_test(vectors_of_zero_stay_where_they_are),
        cmocka_unit_test(gradients_that_are_no_derivatives_have_no_hessian),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(a_plan_of_second_order_accumulates_allocates_nothing_and_runs_gradients_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
