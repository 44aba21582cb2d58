/* A few small problems of every loss, with options by turns, in first and second order on both engines, against the
 * objective written a second time: what notices a wrong formula first, in a fraction of a second. */
#include <math.h>
#include <string.h>

#include "brute.h"

enum { N = 3, D = 5, C = 4, PROBLEMS = 8 };

/* Engines in float64 differ by rounding, s = 64 in the exponent; float32 rounds that to 4e-6 and tangents by 1e-7 /
 * sine. Five-point differences with step h leave (s h)^4 / 30. */
static const double f64_gate = 1e-11, f32_gate = 1e-4, second_gate = 1e-7, step = 1e-4, reach = 4e-3;

static test_head problem_of(const char *spec, uint64_t seed) {
    test_head h = test_head_random(spec, N, D, C, 300 + seed);
    int plain = strcmp(h.loss.info->name, "softmax") == 0 || strcmp(h.loss.info->name, "normalized") == 0;
    if (seed & 1) h.options.label_smoothing = 0.1, h.sample_weights = test_weights(N, seed);
    if (seed & 2) h.options.z_loss = 0.02, h.class_weights = test_weights(C, seed);
    if (seed % 4 == 1 && test_head_has(&h, LGT_ROLE_MARGIN)) test_head_margins(&h, seed);
    if (seed % 4 == 2 && test_head_has(&h, LGT_ROLE_SCALE)) test_head_scales(&h, seed);
    if (seed % 4 == 3) h.options.ignore_label = h.labels[0], h.options.reduction = LGT_REDUCTION_SUM;
    if (seed % 4 == 3 && plain && !strstr(spec, "unit")) test_head_soften(&h, seed);
    h.step = seed % 4 == 2 ? 300 : 0;
    test_head_round(&h);
    return h;
}

static void for_every_problem(void (*check)(lgt_context *context, const char *spec, test_head *h)) {
    lgt_context *context = test_context(1);
    for (uint64_t seed = 0; seed < PROBLEMS; seed++)
        for (int i = 0; test_specs[i]; i++) {
            test_head h = problem_of(test_specs[i], seed);
            check(context, test_specs[i], &h);
            test_head_free(&h);
        }
    lgt_context_free(context);
}

static void first_order(lgt_context *context, const char *spec, test_head *h) {
    if (brute_condition_of(h).jump < 1e-4) return;
    test_result expected = brute_run(h);
    for (int run = 0; run < 3; run++) {
        test_result found =
            test_head_run(context, h, run ? LGT_ENGINE_CPU : LGT_ENGINE_REFERENCE, run == 2 ? LGT_F32 : LGT_F64);
        test_vectors a = test_result_vectors(&found), b = test_result_vectors(&expected);
        double error = test_vectors_error(h, &a, &b), gate = run == 2 ? f32_gate : f64_gate;
        error = fmax(error, test_relative_error(found.loss_rows, expected.loss_rows, N));
        error = fmax(error, fabs(found.out.loss - expected.out.loss) / fmax(1, fabs(expected.out.loss)));
        if (!(error <= gate)) fail_msg("%s, run %d: error %.3g", spec, run, error);
        test_result_free(&found);
    }
    test_result_free(&expected);
}

static void gradients_are_those_of_the_objective_written_a_second_time(void **state) {
    (void)state;
    for_every_problem(first_order);
}

static void add(const double *v, double factor, double *at, int64_t n) {
    for (int64_t k = 0; k < n; k++) at[k] += factor * v[k];
}

static double dot(const double *a, const double *b, int64_t n) {
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

static double inner(const test_head *h, const test_vectors *a, const test_vectors *b) {
    return dot(a->x, b->x, N * D) + dot(a->w, b->w, h->w_rows * D) + (h->bias ? dot(a->b, b->b, C) : 0);
}

/* u'Hv as the change along v of the slope along u. */
static double second_slope(test_head *h, const test_vectors *u, const test_vectors *v) {
    static const double moves[] = {1, -2, -1, 4, -2}, weights[] = {8, -8, 1, -1, 0}; /* at 1, -1, -2, 2, 0 */
    double sum = 0;
    for (int k = 0; k < 5; k++) {
        add(v->x, moves[k] * step, h->x, N * D), add(v->w, moves[k] * step, h->w, h->w_rows * D);
        add(v->b, moves[k] * step, h->b, C);
        if (weights[k] != 0) sum += weights[k] * brute_slope(h, u);
    }
    return sum / (12 * step);
}

static void second_order(lgt_context *context, const char *spec, test_head *h) {
    if (strstr(spec, "gradient=") || brute_condition_of(h).kink < reach) return;
    test_vectors u = test_vectors_of(h, 1), v = test_vectors_of(h, 2);
    h->frozen = 1, h->qualities = test_weights(N, 3); /* what counts as constant */
    double expected = second_slope(h, &u, &v);
    for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++) {
        test_vectors hv = test_head_hvp(context, h, (lgt_engine)engine, LGT_F64, &v);
        double found = inner(h, &u, &hv), size = sqrt(inner(h, &u, &u) * inner(h, &hv, &hv));
        if (!(fabs(found - expected) <= second_gate * size))
            fail_msg("%s, engine %d: u'Hv is %.9g, expected %.9g", spec, engine, found, expected);
        test_vectors_free(&hv);
    }
    test_vectors_free(&u), test_vectors_free(&v);
}

static void products_are_second_differences_of_that_objective(void **state) {
    (void)state;
    for_every_problem(second_order);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_objective_written_a_second_time),
        cmocka_unit_test(products_are_second_differences_of_that_objective),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
