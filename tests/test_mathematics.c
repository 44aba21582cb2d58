/* What docs/maths.md and docs/second_order.md state beyond gradients: bounds, the variance identity, the spectrum of S,
 * the sphere's curvature, the dead force of even multiples; each on numbers of the library. */
#include <math.h>
#include <stdlib.h>

#include "heads.h"

/* Rounding of some hundred operations on numbers of size 1. */
static const double rounding = 1e-12;
/* Five-point second differences with a step of 1e-2: h^4 s^6 / 90 below 1e-6 for s = 4, rounding 1e-15 / h^2 below it.
 */
static const double difference_gate = 1e-6;

enum { DIM = 6, CLASSES = 5, PROBLEMS = 200 };

TEST_SHARED_CONTEXT(1)

static double dot(const double *a, const double *b, int n) {
    double sum = 0;
    for (int k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

static double norm(const double *a, int n) {
    return sqrt(dot(a, a, n));
}

/* The largest singular value of w (n_rows, DIM), by 2000 steps of the power method: from below. */
static double spectral_norm(const double *w, int n_rows) {
    double v[DIM] = {1, 0.9, 0.8, 0.7, 0.6, 0.5}, size = 0;
    for (int step = 0; step < 2000; step++) {
        double next[DIM] = {0}, length = norm(v, DIM);
        size = 0;
        for (int j = 0; j < n_rows; j++) {
            double u = dot(w + j * DIM, v, DIM) / length;
            for (int k = 0; k < DIM; k++) next[k] += u * w[j * DIM + k];
            size += u * u;
        }
        for (int k = 0; k < DIM; k++) v[k] = next[k];
    }
    return sqrt(size);
}

static void center(double *w, int n_rows) {
    for (int k = 0; k < DIM; k++) {
        double mean = 0;
        for (int j = 0; j < n_rows; j++) mean += w[j * DIM + k] / n_rows;
        for (int j = 0; j < n_rows; j++) w[j * DIM + k] -= mean;
    }
}

/* Eq. 57, 58; with two classes the second is an equation. */
static void the_tight_bound_holds_and_two_classes_reach_it(void **state) {
    (void)state;
    double tighter = 0;
    for (uint64_t seed = 0; seed < PROBLEMS; seed++) {
        int n_classes = seed % 2 ? CLASSES : 2;
        test_head h = test_head_random("softmax", 1, DIM, n_classes, seed);
        for (int k = 0; k < n_classes * DIM; k++) h.w[k] += 1; /* a common part */
        test_result r = test_head_run(context, &h, LGT_ENGINE_REFERENCE, LGT_F64);
        double found = norm(r.dx, DIM), loose = sqrt(2) * spectral_norm(h.w, n_classes);
        center(h.w, n_classes);
        double tight = sqrt(2) * -expm1(-r.out.loss) * spectral_norm(h.w, n_classes);
        assert_at_most(found, tight * (1 + 1e-9), "|dL/dx| by Eq. 58"); /* the power method stops short by less */
        assert_at_most(tight, loose, "Eq. 58 by Eq. 57");
        if (n_classes == 2) assert_at_most(fabs(found / tight - 1), 1e-9, "equality for two classes");
        tighter += loose / tight / PROBLEMS;
        test_result_free(&r), test_head_free(&h);
    }
    assert_true(tighter > 1.5);
}

/* Probabilities of a softmax row from the library's gradient by the bias. */
static void probabilities(const test_head *h, double *p) {
    test_result r = test_head_run(context, h, LGT_ENGINE_REFERENCE, LGT_F64);
    for (int j = 0; j < CLASSES; j++) p[j] = r.db[j] + (j == h->labels[0]);
    test_result_free(&r);
}

/* d^2/dt^2 of the loss as at[0..n) moves along v. */
static double second_difference(const test_head *h, double *at, const double *v, int n) {
    static const double weights[] = {-1, 16, -30, 16, -1};
    double kept[CLASSES + DIM], sum = 0, step = 1e-2;
    for (int k = 0; k < n; k++) kept[k] = at[k];
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < n; k++) at[k] = kept[k] + (i - 2) * step * v[k];
        test_result r = test_head_run(context, h, LGT_ENGINE_REFERENCE, LGT_F64);
        sum += weights[i] * r.out.loss;
        test_result_free(&r);
    }
    for (int k = 0; k < n; k++) at[k] = kept[k];
    return sum / (12 * step * step);
}

static double variance(const double *p, const double *v) {
    double mean = dot(p, v, CLASSES), sum = 0;
    for (int j = 0; j < CLASSES; j++) sum += p[j] * (v[j] - mean) * (v[j] - mean);
    return sum;
}

/* Eq. 72 */
static void the_curvature_over_the_logits_is_a_variance(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < PROBLEMS; seed++) {
        test_head h = test_head_random("softmax", 1, DIM, CLASSES, seed);
        double p[CLASSES], v[CLASSES], constant[] = {1, 1, 1, 1, 1};
        test_normal(v, CLASSES, seed, 9), probabilities(&h, p);
        double length = norm(v, CLASSES);
        for (int j = 0; j < CLASSES; j++) v[j] /= length;
        assert_at_most(fabs(second_difference(&h, h.b, v, CLASSES) - variance(p, v)), difference_gate, "v^T S v");
        assert_at_most(fabs(second_difference(&h, h.b, constant, CLASSES)), difference_gate, "1^T S 1");
        assert_at_most(variance(p, v), 0.5, "the variance of a unit vector");
        test_head_free(&h);
    }
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The root of sum_j p_j / (p_j - x) between neighbouring p: it rises there from minus to plus infinity. */
static double root_between(const double *p, double low, double high) {
    for (int i = 0; i < 200; i++) {
        double x = (low + high) / 2, sum = 0;
        for (int j = 0; j < CLASSES; j++) sum += p[j] / (p[j] - x);
        *(sum < 0 ? &low : &high) = x;
    }
    return (low + high) / 2;
}

/* Eq. 74 */
static void eigenvalues_of_s_solve_its_secular_equation(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < PROBLEMS; seed++) {
        test_head h = test_head_random("softmax", 1, DIM, CLASSES, seed);
        double p[CLASSES], sum = 0;
        for (int k = 0; k < DIM; k++) h.x[k] *= 0.3;
        probabilities(&h, p), qsort(p, CLASSES, sizeof *p, by_size);
        for (int i = 0; i + 1 < CLASSES; i++) {
            double x = root_between(p, p[i], p[i + 1]), v[CLASSES];
            for (int j = 0; j < CLASSES; j++) v[j] = p[j] / (p[j] - x);
            double length = norm(v, CLASSES), mean = dot(p, v, CLASSES);
            for (int j = 0; j < CLASSES; j++)
                assert_at_most(fabs(p[j] * (v[j] - mean) - x * v[j]) / length, 1e3 * rounding, "S v = x v");
            assert_true(x > 0 && x <= 0.5);
            sum += x;
        }
        assert_at_most(fabs(sum - (1 - dot(p, p, CLASSES))), rounding, "the trace of S");
        test_head_free(&h);
    }
}

/* Eq. 77, at |x| = 1 along a unit tangent. */
static void the_sphere_adds_its_own_curvature(void **state) {
    (void)state;
    int below = 0;
    for (uint64_t seed = 0; seed < PROBLEMS; seed++) {
        test_head h = test_head_random("normalized:s=4", 1, DIM, CLASSES, seed);
        double d[DIM], c[CLASSES], along[CLASSES], p[CLASSES], s = 4, sum = 0, length = norm(h.x, DIM);
        for (int k = 0; k < DIM; k++) h.x[k] /= length;
        test_normal(d, DIM, seed, 9);
        double radial = dot(d, h.x, DIM);
        for (int k = 0; k < DIM; k++) d[k] -= radial * h.x[k];
        length = norm(d, DIM);
        for (int k = 0; k < DIM; k++) d[k] /= length;
        for (int j = 0; j < CLASSES; j++) {
            const double *w = h.w + j * DIM;
            c[j] = dot(w, h.x, DIM) / norm(w, DIM), along[j] = dot(w, d, DIM) / norm(w, DIM);
            sum += p[j] = exp(s * c[j]);
        }
        for (int j = 0; j < CLASSES; j++) p[j] /= sum;
        double curvature = s * s * variance(p, along) + s * (c[h.labels[0]] - dot(p, c, CLASSES));
        assert_at_most(fabs(second_difference(&h, h.x, d, DIM) - curvature), 10 * difference_gate, "d^T H d");
        below += curvature < 0;
        test_head_free(&h);
    }
    assert_true(below > 0); /* not convex */
}

/* The forces that docs/maths.md states after Eq. 67: -dz/dtheta over sin(theta), angles from N(90, 3) degrees. */
static void even_multiples_have_hardly_a_force_where_training_starts(void **state) {
    (void)state;
    static const struct {
        const char *spec;
        double force;
    } cases[] = {{"lsoftmax:m=1,lambda=0", 1},    {"lsoftmax:m=2,lambda=0", 0.17}, {"lsoftmax:m=3,lambda=0", 2.97},
                 {"lsoftmax:m=4,lambda=0", 0.66}, {"lsoftmax:m=4,lambda=5", 0.94}, {"sphereface:m=4,lambda=5", 0.94}};
    enum { ANGLES = 20000 };
    double *normal = malloc(ANGLES * sizeof *normal), degree = acos(-1) / 180;
    assert_non_null(normal);
    test_normal(normal, ANGLES, 1, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lgt_loss loss;
        lgt_error err;
        double mean = 0;
        assert_ok(lgt_loss_parse(cases[i].spec, &loss, &err), err);
        for (int k = 0; k < ANGLES; k++) {
            double theta = (90 + 3 * normal[k]) * degree;
            lgt_pair pair = {cos(theta), sin(theta), theta, 1, 1, 1};
            lgt_bend bend;
            lgt_loss_bend(&loss, &pair, 0, &bend);
            mean += (1 - bend.d_theta / pair.sine) / ANGLES;
        }
        /* Two digits are stated; the mean of 20,000 draws is good to 0.01. */
        assert_at_most(fabs(mean - cases[i].force), 0.015, cases[i].spec);
    }
    free(normal);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tight_bound_holds_and_two_classes_reach_it),
        cmocka_unit_test(the_curvature_over_the_logits_is_a_variance),
        cmocka_unit_test(eigenvalues_of_s_solve_its_secular_equation),
        cmocka_unit_test(the_sphere_adds_its_own_curvature),
        cmocka_unit_test(even_multiples_have_hardly_a_force_where_training_starts),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
