/* The corners of the numbers: every loss over a grid of sizes, scales, margins, angles at 0, pi/2 and around the tail,
 * and norms from 1e-30 to 1e30, in both engines, against the objective written a second time and against central
 * differences. test_grid [long]: 150 problems a loss, or 10,000. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "brute.h"

static const double pi = 3.14159265358979323846;

static int64_t problems = 150;

/* What a problem may lose: rounding of about 1,000 operations, exponents as eps |z|, tangents as eps / sin(theta). It
 * is relative to the largest force without its dimension (r dx, q dw, db), or, where forces cancel, as those of two
 * equal classes do, to a tenth of what one is made of: the size of a logit times the loss where that is below 1. Not
 * compared are the gradients of problems
 *   - whose gradient jumps within `brink` (a tail that is not smooth, a hard negative, two centres), in float32 within
 *     1e-4: rounding picks the branch;
 *   - with sin(theta_y) below 1e-11, where the loss has a conical point;
 *   - whose largest force is below 1e-60: the complex step, 1e-200 of it, would leave the range of double;
 *   - of lsoftmax with a vector of 0, where the angle is a convention;
 * their losses are, but for the first kind's, which jump as well. */
static const double brink = 1e-9;

static double f64_gate(const brute_condition *at) {
    return 1e-13 + 1e-15 * at->logit + 1e-15 / at->sine;
}

static double f32_gate(const brute_condition *at) {
    return 5e-6 * fmax(1, at->logit / 64) + 1e-15 / at->sine;
}

typedef struct dice {
    lgt_rng rng;
    uint64_t thrown;
} dice;

static int64_t below(dice *d, int64_t n) {
    return (int64_t)lgt_rng_below(&d->rng, d->thrown++, (uint64_t)n);
}

#define PICK(dice, ...)                                                                                                \
    (((const double[]){__VA_ARGS__})[below((dice), (int64_t)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double)))])

/* A specification with parameters from the grid; r: the norm of the features. */
static void draw_spec(dice *d, const char *name, double r, char *out, size_t size) {
    static const char *const tails[] = {"continuous", "cosface", "fold", "none", "clip", "easy"};
    const char *tail = tails[below(d, 6)];
    double s = PICK(d, 1, 16, 30, 64, 1000), m = PICK(d, 0, 1e-6, 0.2, 0.5, pi / 2, pi - 1e-3);
    double lambda = PICK(d, 0, 0, 0.5, 5);
    int times = 1 + (int)below(d, 6);
    if (strcmp(name, "softmax") == 0)
        snprintf(out, size, "softmax");
    else if (strcmp(name, "normalized") == 0)
        snprintf(out, size, "normalized:s=%g", s);
    else if (strcmp(name, "cosface") == 0)
        snprintf(out, size, "cosface:s=%g,m=%.17g", s, fmin(m, 2));
    else if (strcmp(name, "arcface") == 0)
        snprintf(out, size, "arcface:s=%g,m=%.17g,tail=%s", s, m, tail);
    else if (strcmp(name, "combined") == 0)
        snprintf(out, size, "combined:s=%g,m1=%g,m2=%.17g,m3=%g", s, PICK(d, 0.5, 1, 1.3, 2.7), m, PICK(d, 0, 0.2));
    else if (strcmp(name, "sphereface-r") == 0)
        snprintf(out, size, "sphereface-r:s=%g,m=%g", s, PICK(d, 1, 1.3, 1.7, 3.3, 6));
    else if (strcmp(name, "lsoftmax") == 0 || strcmp(name, "sphereface") == 0)
        snprintf(out, size, "%s:m=%d,lambda=%g", name, times, lambda);
    else if (strcmp(name, "adaface") == 0)
        snprintf(out, size, "adaface:s=%g,m=%.17g,h=%g,mean=%g,deviation=%g,ema=%g,tail=%s", s, fmin(m, 1.5),
                 PICK(d, 0.333, 2), r * PICK(d, 0.5, 1, 1.2), r * PICK(d, 0.2, 1), PICK(d, 0, 0.01, 0.5), tail);
    else if (strcmp(name, "magface") == 0) {
        double least = PICK(d, 0, 0.2, 0.45), most = PICK(d, 0.5, 0.8, 2), low = 0.8 * r, high = 1.7 * r;
        double bound = s * (most - least) / (high - low) * high * high * low * low / (high * high - low * low);
        snprintf(out, size, "magface:s=%g,l_m=%g,u_m=%g,l_a=%.17g,u_a=%.17g,lambda_g=%.17g,tail=%s", s, least, most,
                 low, high, 1.1 * bound, tail);
    } else if (strcmp(name, "curricularface") == 0)
        snprintf(out, size, "curricularface:s=%g,m=%.17g,t=%g,ema=%g,tail=%s", s, m, PICK(d, -0.5, 0, 0.3, 1),
                 PICK(d, 0, 0.01, 0.5), tail);
    else if (strcmp(name, "subcenter") == 0)
        snprintf(out, size, "subcenter:s=%g,m=%.17g,k=%d,tail=%s", s, m, 1 + times / 2, tail);
    else
        fail_msg("the grid does not know the loss %s: add it", name);
}

static double norm_of(const double *v, int64_t n) {
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += v[k] * v[k];
    return sqrt(sum);
}

/* Turns row i so that it makes an angle theta with its class, and keeps its length. */
static void turn(test_head *h, int64_t i, double theta) {
    int64_t n = h->dim, centres = h->w_rows / h->n_classes;
    double *x = h->x + i * n, r = norm_of(x, n), along = 0, side[32];
    const double *w = h->w + h->labels[i] * centres * n;
    double q = norm_of(w, n);
    for (int64_t k = 0; k < n; k++) along += x[k] * w[k] / q;
    for (int64_t k = 0; k < n; k++) side[k] = x[k] - along * w[k] / q;
    double length = norm_of(side, n);
    for (int64_t k = 0; k < n; k++) x[k] = r * (cos(theta) * w[k] / q + sin(theta) * side[k] / length);
}

static void draw_angles(dice *d, test_head *h) {
    double m = test_head_has(h, LGT_ROLE_MARGIN) ? h->loss.values[lgt_loss_param_of(h->loss.info, LGT_ROLE_MARGIN)] : 0;
    int smooth = test_head_value(h, "tail") >= 2; /* fold, none, clip; easy breaks at a right angle alone */
    if (!(m < pi)) m = 0;
    for (int64_t i = 0; i < h->n_rows; i++) {
        double edge = pi - m, theta = PICK(d, 0, 1e-8, 1e-4, pi / 2, edge - 1e-6, edge, edge + 1e-6, pi - 1e-4, pi);
        if (below(d, 2) || theta > pi || (theta == edge && !smooth)) continue;
        turn(h, i, theta);
    }
}

/* Lengths: 1e-30 to 1e30 where logits know none of them; else so that |z| <= 1e4. */
static void draw_norms(dice *d, const char *name, lgt_space space, double *r, double *q) {
    *r = PICK(d, 1e-30, 1e-6, 1, 1e6, 1e18, 1e30);
    *q = PICK(d, 1e-30, 1e-6, 1, 1e6, 1e18, 1e30);
    if (space == LGT_SPACE_DOT) *q = PICK(d, 1e-3, 1, 30, 1e3) / *r;
    if (space == LGT_SPACE_COSW) *r = PICK(d, 1e-30, 1e-6, 1, 30, 1e3);
    if (strcmp(name, "magface") == 0) *r = PICK(d, 1e-4, 1, 1e4); /* l_a is bounded */
}

static test_head draw_problem(const char *name, lgt_space space, uint64_t seed, double *r, double *q) {
    dice d = {{seed, 55}, 0};
    char spec[400];
    draw_norms(&d, name, space, r, q);
    draw_spec(&d, name, *r, spec, sizeof spec);
    test_head h = test_head_random(spec, (int64_t)PICK(&d, 1, 1, 2, 2, 7), (int64_t)PICK(&d, 2, 3, 3, 15, 16, 17),
                                   (int64_t)PICK(&d, 1, 2, 2, 3, 3, 17), seed);
    draw_angles(&d, &h);
    if (h.n_classes > 1 && below(&d, 4) == 0) { /* two classes are one */
        size_t size = (size_t)(h.w_rows / h.n_classes * h.dim);
        memcpy(h.w, h.w + size, size * sizeof(double));
    }
    if (below(&d, 8) == 0) memset(h.x, 0, (size_t)h.dim * sizeof(double));
    if (below(&d, 8) == 0) memset(h.w, 0, (size_t)h.dim * sizeof(double));
    double size = sqrt((double)h.dim);
    for (int64_t k = 0; k < h.n_rows * h.dim; k++) h.x[k] *= *r / size;
    for (int64_t k = 0; k < h.w_rows * h.dim; k++) h.w[k] *= *q / size;
    if (below(&d, 2)) h.options.label_smoothing = 0.1;
    if (below(&d, 2) && h.n_classes > 1)
        h.options.z_loss = 0.01; /* of one class it is 0 at a right angle but for rounding */
    if (below(&d, 4) == 0) h.sample_weights = test_weights(h.n_rows, seed);
    if (below(&d, 4) == 0) h.class_weights = test_weights(h.n_classes, seed);
    if (below(&d, 4) == 0 && test_head_has(&h, LGT_ROLE_MARGIN)) test_head_margins(&h, seed);
    if (space == LGT_SPACE_DOT)
        for (int64_t j = 0; j < h.n_classes; j++) h.b[j] *= *r * *q;
    return h;
}

/* Forces without a dimension: r dx, q dw, db. */
static test_vectors forces(const test_head *h, const test_result *result, double r, double q) {
    test_vectors v = test_vectors_of(h, 0);
    for (int64_t k = 0; k < h->n_rows * h->dim; k++) v.x[k] = r * result->dx[k];
    for (int64_t k = 0; k < h->w_rows * h->dim; k++) v.w[k] = q * result->dw[k];
    memcpy(v.b, result->db, (size_t)h->n_classes * sizeof(double));
    return v;
}

static double largest(const test_head *h, const test_vectors *v) {
    double most = 0;
    for (int64_t k = 0; k < h->n_rows * h->dim; k++) most = fmax(most, fabs(v->x[k]));
    for (int64_t k = 0; k < h->w_rows * h->dim; k++) most = fmax(most, fabs(v->w[k]));
    for (int64_t k = 0; k < h->n_classes; k++) most = fmax(most, fabs(v->b[k]));
    return most;
}

/* A kind of run, and what its gradients may lose. */
typedef struct kind {
    lgt_engine engine;
    lgt_dtype dtype;
    double gate, least;
    int losses, gradients; /* whether they are compared */
} kind;

/* The error over its gate. */
static double compare(lgt_context *context, const test_head *h, const test_result *expected, double r, double q,
                      const brute_condition *at, kind run) {
    test_result found = test_head_run(context, h, run.engine, run.dtype);
    test_vectors a = forces(h, &found, r, q), b = forces(h, expected, r, q);
    double error = run.losses ? fabs(found.out.loss - expected->out.loss) / fmax(1, fabs(expected->out.loss)) : 0;
    assert_true(test_result_finite(h, &found));
    double force = fmax(largest(h, &b), 0.1 * at->logit * fmin(1, expected->out.loss));
    for (int64_t k = 0; k < h->n_rows * h->dim; k++) a.x[k] -= b.x[k];
    for (int64_t k = 0; k < h->w_rows * h->dim; k++) a.w[k] -= b.w[k];
    for (int64_t k = 0; k < h->n_classes; k++) a.b[k] -= b.b[k];
    if (run.gradients && force > run.least) error = fmax(error, largest(h, &a) / force);
    test_vectors_free(&a), test_vectors_free(&b), test_result_free(&found);
    return error / run.gate;
}

static int is_conventional(const test_head *h) {
    int zero = 0;
    for (int64_t i = 0; i < h->n_rows; i++) zero |= norm_of(h->x + i * h->dim, h->dim) == 0;
    for (int64_t j = 0; j < h->w_rows; j++) zero |= norm_of(h->w + j * h->dim, h->dim) == 0;
    return zero && strcmp(h->loss.info->name, "lsoftmax") == 0;
}

static void both_engines_hold_over_the_grid(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    for (int l = 0; l < lgt_loss_count(); l++) {
        const lgt_loss_info *info = lgt_loss_at(l);
        double worst[2] = {0};
        int64_t compared = 0;
        for (int64_t n = 0; n < problems; n++) {
            double r, q;
            test_head h = draw_problem(info->name, info->space, (uint64_t)n, &r, &q);
            brute_condition at = brute_condition_of(&h);
            test_result expected = brute_run(&h);
            int gradients = at.jump > brink && at.sine > 1e-11 && !is_conventional(&h);
            for (int e = 0; e < 2; e++) {
                kind run = {e ? LGT_ENGINE_CPU : LGT_ENGINE_REFERENCE,
                            LGT_F64,
                            f64_gate(&at),
                            1e-60,
                            at.jump > brink,
                            gradients};
                double error = compare(context, &h, &expected, r, q, &at, run);
                if (!(error <= 1)) {
                    char spec[400];
                    lgt_loss_format(&h.loss, spec, sizeof spec);
                    fail_msg("%s, problem %d (%d, %d, %d), r %g, q %g, engine %d: %.2g times its gate %.2g", spec,
                             (int)n, (int)h.n_rows, (int)h.dim, (int)h.n_classes, r, q, e, error, f64_gate(&at));
                }
                worst[e] = fmax(worst[e], error);
            }
            compared += gradients;
            test_result_free(&expected), test_head_free(&h);
        }
        print_message("%-14s %d of %d: reference %.2g, cpu %.2g of the gate\n", info->name, (int)compared,
                      (int)problems, worst[0], worst[1]);
        assert_true(compared > problems / 2);
    }
    lgt_context_free(context);
}

static void float32_holds_over_the_grid(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    for (int l = 0; l < lgt_loss_count(); l++) {
        const lgt_loss_info *info = lgt_loss_at(l);
        double worst = 0;
        for (int64_t n = 0; n < problems; n++) {
            double r, q;
            test_head h = draw_problem(info->name, info->space, (uint64_t)n, &r, &q);
            test_head_round(&h);
            brute_condition at = brute_condition_of(&h);
            /* Products of 1e-30 and 1e30 leave the range of float32, and so does s / r. */
            int fits = r > 1e-7 && q > 1e-7 && r < 1e7 && q < 1e7;
            int gradients = at.jump > 1e-4 && at.sine > 1e-11 && !is_conventional(&h);
            test_result expected = brute_run(&h);
            double error = 0;
            kind run = {LGT_ENGINE_CPU, LGT_F32, f32_gate(&at), 1e-20, at.jump > 1e-4, gradients};
            if (fits) error = compare(context, &h, &expected, r, q, &at, run);
            if (!(error <= 1))
                fail_msg("%s, problem %d, r %g, q %g: %.2g times its gate", info->name, (int)n, r, q, error);
            worst = fmax(worst, error);
            test_result_free(&expected), test_head_free(&h);
        }
        print_message("%-14s float32 %.2g of the gate\n", info->name, worst);
    }
    lgt_context_free(context);
}

/* J along a direction of size r in x and q in w: (8 (J(h) - J(-h)) - (J(2h) - J(-2h))) / 12 h. */
static double central_difference(lgt_context *context, test_head *h, const test_vectors *v, double step) {
    static const double at[] = {1, -1, 2, -2}, weight[] = {8, -8, -1, 1};
    double sum = 0, *state = test_weights(LGT_LOSS_MAX_STATE, 1), *qualities = test_weights(h->n_rows, 1);
    test_head moved = *h;
    test_result here = test_head_run(context, h, LGT_ENGINE_REFERENCE, LGT_F64);
    memcpy(state, here.out.state, sizeof here.out.state);
    for (int64_t i = 0; i < h->n_rows; i++) qualities[i] = norm_of(h->x + i * h->dim, h->dim);
    moved.state = state, moved.qualities = qualities, moved.frozen = 1;
    for (int k = 0; k < 4; k++) {
        test_vectors place = test_vectors_of(h, 0);
        for (int64_t n = 0; n < h->n_rows * h->dim; n++) place.x[n] = h->x[n] + at[k] * step * v->x[n];
        for (int64_t n = 0; n < h->w_rows * h->dim; n++) place.w[n] = h->w[n] + at[k] * step * v->w[n];
        for (int64_t n = 0; n < h->n_classes; n++) place.b[n] = h->b[n] + at[k] * step * v->b[n];
        moved.x = place.x, moved.w = place.w, moved.b = place.b;
        test_result r = test_head_run(context, &moved, LGT_ENGINE_REFERENCE, LGT_F64);
        sum += weight[k] * r.out.loss;
        test_result_free(&r), test_vectors_free(&place);
    }
    test_result_free(&here), free(state), free(qualities);
    return sum / (12 * step);
}

static void gradients_are_slopes_of_the_loss(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    for (int l = 0; l < lgt_loss_count(); l++) {
        const lgt_loss_info *info = lgt_loss_at(l);
        double worst = 0;
        int64_t compared = 0;
        for (int64_t n = 0; n < problems; n++) {
            double r, q;
            test_head h = draw_problem(info->name, info->space, (uint64_t)n, &r, &q);
            brute_condition at = brute_condition_of(&h);
            /* The steps turn pairs by up to 5e-4, and s = 64 leaves (3 s h)^4 / 30 = 3e-10 of the slope. */
            if (at.kink > 1e-2 && at.sine > 0.05 && at.logit < 100 && !is_conventional(&h)) {
                test_vectors v = test_vectors_of(&h, 4 + (uint64_t)n);
                test_result found = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F64);
                double slope = 0, size = 0;
                for (int64_t k = 0; k < h.n_rows * h.dim; k++) {
                    v.x[k] *= r / sqrt((double)h.dim), slope += found.dx[k] * v.x[k];
                    if (h.x[k] == 0) slope -= found.dx[k] * v.x[k], v.x[k] = 0; /* vectors of 0 stay */
                    size = fmax(size, fabs(found.dx[k]) * r);
                }
                for (int64_t k = 0; k < h.w_rows * h.dim; k++) {
                    v.w[k] *= q / sqrt((double)h.dim), slope += found.dw[k] * v.w[k];
                    if (h.w[k] == 0) slope -= found.dw[k] * v.w[k], v.w[k] = 0;
                    size = fmax(size, fabs(found.dw[k]) * q);
                }
                for (int64_t k = 0; k < h.n_classes; k++) v.b[k] *= r * q, slope += found.db[k] * v.b[k];
                size = fmax(size, 0.1); /* losses of 100 are rounded to 1e-14, over the step */
                double error = fabs(slope - central_difference(context, &h, &v, 5e-5)) / size;
                if (!(error <= 1e-8)) fail_msg("%s, problem %d, r %g, q %g: %.2g", info->name, (int)n, r, q, error);
                worst = fmax(worst, error), compared++;
                test_vectors_free(&v), test_result_free(&found);
            }
            test_head_free(&h);
        }
        print_message("%-14s %d central differences: %.2g\n", info->name, (int)compared, worst);
        assert_true(compared > problems / 20);
    }
    lgt_context_free(context);
}

/* Where all coordinates are too many, one directional derivative costs as much as one loss. */
static void sizes_beyond_the_tiles_hold_along_a_direction(void **state) {
    static const int64_t sizes[][3] = {{2, 17, 1000},  {1, 1, 1000},   {64, 512, 17}, {7, 511, 130},
                                       {2, 513, 1000}, {64, 16, 1000}, {2, 3, 65537}};
    (void)state;
    lgt_context *context = test_context(2);
    for (int i = 0; test_specs[i]; i++)
        for (size_t k = 0; k < (problems > 1000 ? sizeof sizes / sizeof *sizes : 1); k++) {
            test_head h = test_head_random(test_specs[i], sizes[k][0], sizes[k][1], sizes[k][2], k);
            int cosine = h.loss.info->space == LGT_SPACE_COS;
            if (test_head_value(&h, "gradient") == 0 && !(cosine && h.dim == 1)) { /* one dimension has no tangent */
                for (int64_t n = 0; n < h.w_rows * h.dim; n++) h.w[n] /= sqrt((double)h.dim);
                test_vectors v = test_vectors_of(&h, 3);
                test_result r = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F64);
                double expected = brute_slope(&h, &v), sum = 0, squares = 0;
                for (int64_t n = 0; n < h.n_rows * h.dim; n++) sum += r.dx[n] * v.x[n], squares += r.dx[n] * r.dx[n];
                for (int64_t n = 0; n < h.w_rows * h.dim; n++) sum += r.dw[n] * v.w[n], squares += r.dw[n] * r.dw[n];
                for (int64_t n = 0; n < h.n_classes; n++) sum += r.db[n] * v.b[n], squares += r.db[n] * r.db[n];
                /* A normal direction meets a gradient g with a slope of |g| or so. */
                if (!(fabs(sum - expected) <= 1e-12 * sqrt(squares)))
                    fail_msg("%s (%d, %d, %d): slope %.17g, expected %.17g", test_specs[i], (int)h.n_rows, (int)h.dim,
                             (int)h.n_classes, sum, expected);
                test_vectors_free(&v), test_result_free(&r);
            }
            test_head_free(&h);
        }
    lgt_context_free(context);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_engines_hold_over_the_grid),
        cmocka_unit_test(float32_holds_over_the_grid),
        cmocka_unit_test(gradients_are_slopes_of_the_loss),
        cmocka_unit_test(sizes_beyond_the_tiles_hold_along_a_direction),
    };
    if (argc > 1 && strcmp(argv[1], "long") == 0) problems = 10000;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
