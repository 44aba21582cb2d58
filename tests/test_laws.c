/* Laws of the gradients (docs/maths.md, section "Laws"), as properties of random problems for every loss. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "heads.h"

/* Sums of about 100 terms of the gradient's size, s = 64 in the exponent. */
static const double rounding = 1e-12;

static int is_cosine(const test_head *h) {
    return h->loss.info->space == LGT_SPACE_COS;
}

/* MagFace's margin and penalty follow |x|. */
static int moves_norms(const test_head *h) {
    return strcmp(h->loss.info->name, "magface") == 0;
}

static double dot(const double *a, const double *b, int64_t n) {
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

static double norm(const double *a, int64_t n) {
    return sqrt(dot(a, a, n));
}

/* Calls law(context, problem, result) for every loss and some problems, on both engines in double. */
typedef void (*law)(lgt_context *context, test_head *h, lgt_engine engine, const test_result *r);

static void for_every_loss(law check) {
    lgt_context *context = test_context(2);
    for (int i = 0; test_specs[i]; i++)
        for (uint64_t seed = 0; seed < 6; seed++)
            for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++) {
                test_head h = test_head_random(test_specs[i], 5, 3 + (int64_t)seed * 4, 7 + (int64_t)seed * 20, seed);
                if (seed == 1) h.options.label_smoothing = 0.1;
                test_result r = test_head_run(context, &h, (lgt_engine)engine, LGT_F64);
                check(context, &h, (lgt_engine)engine, &r);
                test_result_free(&r);
                test_head_free(&h);
            }
    lgt_context_free(context);
}

/* Rows of `at` and of their gradient are orthogonal. */
static void orthogonal(const double *at, const double *gradient, int64_t rows, int64_t dim, const char *what) {
    for (int64_t i = 0; i < rows; i++) {
        double limit = rounding * norm(at + i * dim, dim) * norm(gradient, rows * dim);
        assert_at_most(fabs(dot(at + i * dim, gradient + i * dim, dim)), limit, what);
    }
}

static void tangential(lgt_context *context, test_head *h, lgt_engine engine, const test_result *r) {
    (void)context, (void)engine;
    if (is_cosine(h) && !moves_norms(h)) orthogonal(h->x, r->dx, h->n_rows, h->dim, "<x, dx>");
    if (h->loss.info->space != LGT_SPACE_DOT) orthogonal(h->w, r->dw, h->w_rows, h->dim, "<w, dw>");
}

static void gradients_of_cosine_heads_are_tangential(void **state) {
    (void)state;
    for_every_loss(tangential);
}

/* In DOT with a bias sum_j dL/dz_j is the sum of db; without one it is seen by shifting. */
static void balanced(lgt_context *context, test_head *h, lgt_engine engine, const test_result *r) {
    (void)context, (void)engine;
    double sum = 0, size = 0;
    if (!h->bias) return;
    for (int64_t j = 0; j < h->n_classes; j++) sum += r->db[j], size += fabs(r->db[j]);
    assert_at_most(fabs(sum), rounding * size, "sum of db");
}

static void forces_on_logits_add_up_to_zero(void **state) {
    (void)state;
    for_every_loss(balanced);
}

static void shifted(lgt_context *context, test_head *h, lgt_engine engine, const test_result *r) {
    if (!h->bias) return;
    for (int64_t j = 0; j < h->n_classes; j++) h->b[j] += 100;
    test_result moved = test_head_run(context, h, engine, LGT_F64);
    /* 100 more in the logits costs three digits of the exponent's rounding. */
    assert_at_most(test_result_error(h, &moved, r), 100 * rounding, "gradients after a shift of all logits");
    assert_at_most(fabs(moved.out.loss - r->out.loss), 1e-12 * 100, "loss after a shift of all logits");
    test_result_free(&moved);
}

static void a_shift_of_all_logits_changes_nothing(void **state) {
    (void)state;
    for_every_loss(shifted);
}

static void scaled(lgt_context *context, test_head *h, lgt_engine engine, const test_result *r) {
    (void)r;
    if (!is_cosine(h) || moves_norms(h)) return;
    h->qualities = test_weights(h->n_rows, 1); /* or AdaFace's would be the norms */
    test_result own = test_head_run(context, h, engine, LGT_F64);
    for (int64_t i = 0; i < h->n_rows * h->dim; i++) h->x[i] *= 8;
    test_result longer = test_head_run(context, h, engine, LGT_F64);
    assert_true(longer.out.loss == own.out.loss);
    assert_memory_equal(longer.dw, own.dw, (size_t)(h->w_rows * h->dim) * sizeof(double));
    for (int64_t i = 0; i < h->n_rows * h->dim; i++) assert_true(longer.dx[i] == own.dx[i] / 8);
    test_result_free(&longer), test_result_free(&own);
}

static void cosine_heads_do_not_see_the_length_of_x_and_gradients_shrink_with_it(void **state) {
    (void)state;
    for_every_loss(scaled);
}

static void classes_scaled(lgt_context *context, test_head *h, lgt_engine engine, const test_result *r) {
    if (h->loss.info->space == LGT_SPACE_DOT) return;
    for (int64_t i = 0; i < h->w_rows * h->dim; i++) h->w[i] *= 4;
    test_result longer = test_head_run(context, h, engine, LGT_F64);
    assert_true(longer.out.loss == r->out.loss);
    assert_memory_equal(longer.dx, r->dx, (size_t)(h->n_rows * h->dim) * sizeof(double));
    for (int64_t i = 0; i < h->w_rows * h->dim; i++) assert_true(longer.dw[i] == r->dw[i] / 4);
    test_result_free(&longer);
}

static void heads_with_unit_classes_do_not_see_the_length_of_w(void **state) {
    (void)state;
    for_every_loss(classes_scaled);
}

/* Reflection at the hyperplane of v, an orthogonal map: a - 2 <a, v> v / |v|^2. */
static void reflect(double *rows, int64_t n, int64_t dim, const double *v) {
    for (int64_t i = 0; i < n; i++) {
        double along = 2 * dot(rows + i * dim, v, dim) / dot(v, v, dim);
        for (int64_t k = 0; k < dim; k++) rows[i * dim + k] -= along * v[k];
    }
}

static void rotated(lgt_context *context, test_head *h, lgt_engine engine, const test_result *r) {
    double v[64];
    test_normal(v, h->dim, 5, 5);
    reflect(h->x, h->n_rows, h->dim, v);
    reflect(h->w, h->w_rows, h->dim, v);
    test_result turned = test_head_run(context, h, engine, LGT_F64);
    reflect(turned.dx, h->n_rows, h->dim, v);
    reflect(turned.dw, h->w_rows, h->dim, v);
    assert_at_most(test_result_error(h, &turned, r), 100 * rounding, "gradients of turned inputs, turned back");
    test_result_free(&turned);
}

static void gradients_turn_with_their_inputs(void **state) {
    (void)state;
    for_every_loss(rotated);
}

static void permuted(lgt_context *context, test_head *h, lgt_engine engine, const test_result *r) {
    int64_t c = h->n_classes, d = h->w_rows / c * h->dim; /* a class has all its centres in d numbers */
    size_t row = (size_t)d * sizeof(double);
    double *w = malloc((size_t)c * row), *dw = malloc((size_t)c * row);
    assert_true(w && dw);
    memcpy(w, h->w, (size_t)c * row);
    for (int64_t j = 0; j < c; j++) memcpy(h->w + (c - 1 - j) * d, w + j * d, row);
    for (int64_t i = 0; i < h->n_rows; i++) h->labels[i] = c - 1 - h->labels[i];
    int bias = h->bias;
    for (int64_t j = 0; bias && j < c / 2; j++) {
        double kept = h->b[j];
        h->b[j] = h->b[c - 1 - j], h->b[c - 1 - j] = kept;
    }
    test_result other = test_head_run(context, h, engine, LGT_F64);
    for (int64_t j = 0; j < c; j++) memcpy(dw + (c - 1 - j) * d, other.dw + j * d, row);
    assert_at_most(test_relative_error(dw, r->dw, c * d), 100 * rounding, "dw of reversed classes");
    assert_at_most(test_relative_error(other.dx, r->dx, h->n_rows * h->dim), 100 * rounding, "dx of reversed classes");
    test_result_free(&other);
    free(w), free(dw);
}

static void the_order_of_classes_does_not_matter(void **state) {
    (void)state;
    for_every_loss(permuted);
}

static void bounded(lgt_context *context, test_head *h, lgt_engine engine, const test_result *r) {
    (void)context, (void)engine;
    if (strcmp(h->loss.info->name, "softmax") != 0) return;
    double frobenius = norm(h->w, h->n_classes * h->dim); /* >= the spectral norm */
    double longest = 0;
    for (int64_t i = 0; i < h->n_rows; i++) {
        longest = fmax(longest, norm(h->x + i * h->dim, h->dim));
        double own = norm(r->dx + i * h->dim, h->dim) * (double)h->n_rows;
        assert_at_most(own, sqrt(2) * frobenius, "|dL/dx|");
    }
    for (int64_t j = 0; j < h->n_classes; j++)
        assert_at_most(norm(r->dw + j * h->dim, h->dim), longest * (1 + rounding), "|dJ/dw_j|");
}

static void softmax_gradients_keep_their_bounds(void **state) {
    (void)state;
    for_every_loss(bounded);
}

/* With one row the only force of the target on x is along P_x w_y: dx + the crowd's force, computed here, is its
 * multiple. */
static void arcface_attracts_along_the_tangent_to_its_class(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    for (uint64_t seed = 0; seed < 50; seed++) {
        test_head h = test_head_random("arcface:s=8,m=0.5", 1, 6, 2, seed);
        test_result r = test_head_run(context, &h, LGT_ENGINE_REFERENCE, LGT_F64);
        double x[6], t[6], crowd[6], *wy = h.w + h.labels[0] * 6, *other = h.w + (1 - h.labels[0]) * 6;
        double nx = norm(h.x, 6), ny = norm(wy, 6), no = norm(other, 6), c = 0, co = 0;
        for (int k = 0; k < 6; k++) x[k] = h.x[k] / nx, c += x[k] * wy[k] / ny, co += x[k] * other[k] / no;
        for (int k = 0; k < 6; k++) t[k] = wy[k] / ny - c * x[k], crowd[k] = other[k] / no - co * x[k];
        double p = -expm1(-r.out.loss); /* the other class's share */
        for (int k = 0; k < 6; k++) crowd[k] = r.dx[k] - p * 8 / nx * crowd[k];
        double cosine = dot(crowd, t, 6) / (norm(crowd, 6) * norm(t, 6));
        assert_at_most(fabs(fabs(cosine) - 1), 1e-12, "attraction off the tangent");
        test_result_free(&r), test_head_free(&h);
    }
    lgt_context_free(context);
}

static void only_the_nearest_centre_of_a_class_feels_a_force(void **state) {
    enum { D = 6, C = 4, K = 3 };
    (void)state;
    lgt_context *context = test_context(1);
    for (uint64_t seed = 0; seed < 50; seed++)
        for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++) {
            test_head h = test_head_random("subcenter:s=4,k=3", 1, D, C, seed);
            test_result r = test_head_run(context, &h, (lgt_engine)engine, LGT_F64);
            for (int j = 0; j < C; j++) {
                double c[K];
                int best = 0;
                for (int k = 0; k < K; k++) {
                    const double *w = h.w + (j * K + k) * D;
                    c[k] = dot(w, h.x, D) / norm(w, D);
                    if (c[k] > c[best]) best = k;
                }
                for (int k = 0; k < K; k++) assert_int_equal(norm(r.dw + (j * K + k) * D, D) > 0, k == best);
            }
            test_result_free(&r), test_head_free(&h);
        }
    lgt_context_free(context);
}

/* Over several tiles; float32 rounds logits of about 10 to 1e-6. */
static void predictions_have_the_lse_and_the_leader_of_a_run(void **state) {
    enum { N = 3, D = 4, C = 200 };
    (void)state;
    lgt_context *context = test_context(1);
    test_head h = test_head_random("normalized:s=8", N, D, C, 8);
    test_result run = test_head_run(context, &h, LGT_ENGINE_REFERENCE, LGT_F64);
    float x[N * D], w[C * D];
    double lse[N];
    int64_t classes[N];
    lgt_predictions p = {.k = 1, .classes = classes, .lse = lse};
    lgt_head *head;
    lgt_error err;
    for (int i = 0; i < N * D; i++) x[i] = (float)h.x[i];
    for (int i = 0; i < C * D; i++) w[i] = (float)h.w[i];
    assert_ok(lgt_head_create(context, &h.loss, D, C, &head, &err), err);
    assert_ok(lgt_head_predict(head, lgt_view_of(x, N, D, LGT_F32), lgt_view_of(w, C, D, LGT_F32), (lgt_view){0}, NULL,
                               &p, &err),
              err);
    for (int i = 0; i < N; i++) {
        assert_at_most(fabs(lse[i] - run.lse[i]), 1e-5, "lse");
        assert_int_equal(classes[i], run.top1[i]);
    }
    lgt_head_free(head), test_result_free(&run), test_head_free(&h), lgt_context_free(context);
}

/* Squares of 2^-535 and 2^530 are beyond what double holds, their directions are not. */
static void lengths_of_classes_whose_squares_no_double_holds_change_nothing(void **state) {
    static const int exponents[] = {-535, 530};
    enum { N = 3, D = 6, C = 70 };
    (void)state;
    lgt_context *context = test_context(1);
    for (int k = 0; k < 4; k++) {
        int exponent = exponents[k / 2], engine = k % 2 ? LGT_ENGINE_CPU : LGT_ENGINE_REFERENCE;
        test_head h = test_head_random("arcface:s=16", N, D, C, 4);
        test_result usual = test_head_run(context, &h, (lgt_engine)engine, LGT_F64);
        for (int i = 0; i < C * D; i++) h.w[i] = ldexp(h.w[i], exponent);
        test_result scaled = test_head_run(context, &h, (lgt_engine)engine, LGT_F64);
        for (int i = 0; i < C * D; i++) scaled.dw[i] = ldexp(scaled.dw[i], exponent);
        assert_at_most(test_result_error(&h, &scaled, &usual), rounding, "gradients");
        assert_at_most(fabs(scaled.out.loss - usual.out.loss), rounding * usual.out.loss, "loss");
        test_result_free(&usual), test_result_free(&scaled), test_head_free(&h);
    }
    lgt_context_free(context);
}

/* lse = 4096 + log(10) is no float: rounded to one it would be off by up to 2.4e-4, and with it every weight. */
static void a_large_shift_costs_float32_no_digit_of_the_weights(void **state) {
    enum { D = 3, C = 10 };
    (void)state;
    lgt_context *context = test_context(1);
    test_head h = test_head_random("softmax", 1, D, C, 6);
    memset(h.x, 0, D * sizeof(double));
    for (int j = 0; j < C; j++) h.b[j] = 4096;
    test_result r = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F32);
    for (int j = 0; j < C; j++) assert_at_most(fabs(r.db[j] - 1.0 / C + (j == h.labels[0])), 1e-6, "db");
    test_result_free(&r), test_head_free(&h), lgt_context_free(context);
}

/* Whether its logit comes from the crowd or is the row's own, in any tile; curricularface bends its crowd. */
static void of_equal_plain_logits_the_lowest_class_leads(void **state) {
    enum { N = 3, D = 4, C = 200 };
    static const char *const specs[] = {"softmax", "normalized", "curricularface:t=0.3"};
    (void)state;
    lgt_context *context = test_context(1);
    for (int k = 0; k < 12; k++) {
        int first = k % 2, engine = k / 2 % 2; /* class 0 is behind, or one of the equals */
        test_head h = test_head_random(specs[k / 4], N, D, C, 2);
        memset(h.b, 0, C * sizeof(double));
        for (int i = 0; i < N * D; i++) h.x[i] = i % D == 0; /* its products are exact */
        for (int i = 0; i < C * D; i++) h.w[i] = i % D == 0;
        for (int i = 0; i < D && first == 1; i++) h.w[i] *= -1;
        h.labels[0] = 1, h.labels[1] = 70, h.labels[2] = 199;
        test_result r = test_head_run(context, &h, engine ? LGT_ENGINE_CPU : LGT_ENGINE_REFERENCE, LGT_F64);
        for (int i = 0; i < N; i++) assert_int_equal(r.top1[i], first);
        test_result_free(&r), test_head_free(&h);
    }
    lgt_context_free(context);
}

/* The target and the crowd choose alike, on either engine. */
static void of_equal_centres_the_first_feels_every_force(void **state) {
    enum { D = 6, C = 70, K = 3 };
    (void)state;
    lgt_context *context = test_context(1);
    for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++) {
        test_head h = test_head_random("subcenter:s=4,k=3", 4, D, C, 9);
        for (int j = 0; j < C; j++)
            for (int k = 1; k < K; k++) memcpy(h.w + (j * K + k) * D, h.w + j * K * D, D * sizeof(double));
        test_result r = test_head_run(context, &h, (lgt_engine)engine, LGT_F64);
        for (int j = 0; j < C * K; j++) assert_int_equal(norm(r.dw + j * D, D) > 0, j % K == 0);
        test_result_free(&r), test_head_free(&h);
    }
    lgt_context_free(context);
}

/* A centre more costs nothing as long as it is farther than the class's own; and one centre is ArcFace. */
static void a_centre_behind_the_others_changes_nothing(void **state) {
    enum { N = 5, D = 6, C = 4 };
    (void)state;
    lgt_context *context = test_context(1);
    test_head one = test_head_random("arcface:s=16", N, D, C, 3),
              two = test_head_random("subcenter:s=16,k=2", N, D, C, 3);
    for (int i = 0; i < N * D; i++) one.x[i] = two.x[i] = fabs(two.x[i]);
    for (int j = 0; j < C; j++)
        for (int k = 0; k < D; k++) {
            two.w[(2 * j + 1) * D + k] = one.w[j * D + k] = fabs(one.w[j * D + k]);
            two.w[2 * j * D + k] = -1;
        }
    test_result a = test_head_run(context, &one, LGT_ENGINE_CPU, LGT_F64);
    test_result b = test_head_run(context, &two, LGT_ENGINE_CPU, LGT_F64);
    assert_at_most(test_relative_error(b.dx, a.dx, N * D), rounding, "dx");
    for (int j = 0; j < C; j++)
        assert_at_most(test_relative_error(b.dw + (2 * j + 1) * D, a.dw + j * D, D), rounding, "dw");
    assert_memory_equal(a.top1, b.top1, N * sizeof(int64_t));
    test_result_free(&a), test_result_free(&b), test_head_free(&one), test_head_free(&two), lgt_context_free(context);
}

static void of_two_equal_centres_the_first_feels_the_force(void **state) {
    enum { N = 9, D = 6, C = 70 };
    (void)state;
    lgt_context *context = test_context(1);
    for (int run = 0; run < 3; run++) {
        test_head h = test_head_random("subcenter:s=4,k=2", N, D, C, 5);
        for (int j = 0; j < C; j++) memcpy(h.w + (2 * j + 1) * D, h.w + 2 * j * D, D * sizeof(double));
        lgt_engine engine = run ? LGT_ENGINE_CPU : LGT_ENGINE_REFERENCE;
        test_result r = test_head_run(context, &h, engine, run == 2 ? LGT_F32 : LGT_F64);
        for (int j = 0; j < C; j++) assert_true(norm(r.dw + 2 * j * D, D) > 0 && norm(r.dw + (2 * j + 1) * D, D) == 0);
        test_result_free(&r), test_head_free(&h);
    }
    lgt_context_free(context);
}

static void the_sum_is_the_mean_times_the_weight_and_none_takes_upstream(void **state) {
    (void)state;
    lgt_context *context = test_context(2);
    test_head h = test_head_random("arcface", 9, 5, 20, 77);
    test_result mean = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F64);
    h.options.reduction = LGT_REDUCTION_SUM;
    test_result sum = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F64);
    h.options.reduction = LGT_REDUCTION_NONE;
    h.upstream = calloc(9, sizeof(double));
    for (int i = 0; i < 9; i++) h.upstream[i] = 1;
    test_result none = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F64);
    assert_true(test_result_same(&h, &none, &sum));
    for (int64_t i = 0; i < 9 * 5; i++) mean.dx[i] *= 9;
    for (int64_t i = 0; i < 20 * 5; i++) mean.dw[i] *= 9;
    assert_at_most(test_result_error(&h, &mean, &sum), rounding, "9 times the mean's gradients");
    assert_at_most(fabs(9 * mean.out.loss - sum.out.loss), 1e-11, "9 times the mean");
    test_result_free(&mean), test_result_free(&sum), test_result_free(&none);
    test_head_free(&h), lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_cosine_heads_are_tangential),
        cmocka_unit_test(forces_on_logits_add_up_to_zero),
        cmocka_unit_test(a_shift_of_all_logits_changes_nothing),
        cmocka_unit_test(cosine_heads_do_not_see_the_length_of_x_and_gradients_shrink_with_it),
        cmocka_unit_test(heads_with_unit_classes_do_not_see_the_length_of_w),
        cmocka_unit_test(gradients_turn_with_their_inputs),
        cmocka_unit_test(the_order_of_classes_does_not_matter),
        cmocka_unit_test(softmax_gradients_keep_their_bounds),
        cmocka_unit_test(arcface_attracts_along_the_tangent_to_its_class),
        cmocka_unit_test(only_the_nearest_centre_of_a_class_feels_a_force),
        cmocka_unit_test(predictions_have_the_lse_and_the_leader_of_a_run),
        cmocka_unit_test(lengths_of_classes_whose_squares_no_double_holds_change_nothing),
        cmocka_unit_test(a_large_shift_costs_float32_no_digit_of_the_weights),
        cmocka_unit_test(of_equal_plain_logits_the_lowest_class_leads),
        cmocka_unit_test(of_equal_centres_the_first_feels_every_force),
        cmocka_unit_test(a_centre_behind_the_others_changes_nothing),
        cmocka_unit_test(of_two_equal_centres_the_first_feels_the_force),
        cmocka_unit_test(the_sum_is_the_mean_times_the_weight_and_none_takes_upstream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
