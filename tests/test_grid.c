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
 * equal classes do, to 0.3 of what one is made of: the size of a logit times the loss where that is below 1. Not
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

/* Two logits of 32 are rounded to 4e-6 together. */
static double f32_gate(const brute_condition *at) {
    return 5e-6 * fmax(1, at->logit / 32) + 1e-15 / at->sine;
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
    double lambda = PICK(d, 0, 0, 0.5, 5), clamp = PICK(d, 0, 0, 0, 1e-5, 0.05);
    int times = 1 + (int)below(d, 6);
    if (strcmp(name, "softmax") == 0)
        snprintf(out, size, "softmax");
    else if (strcmp(name, "normalized") == 0)
        snprintf(out, size, "normalized:s=%g", s);
    else if (strcmp(name, "cosface") == 0)
        snprintf(out, size, "cosface:s=%g,m=%.17g", s, fmin(m, 2));
    else if (strcmp(name, "arcface") == 0)
        snprintf(out, size, "arcface:s=%g,m=%.17g,tail=%s,clamp=%g", s, m, tail, clamp);
    else if (strcmp(name, "combined") == 0)
        snprintf(out, size, "combined:s=%g,m1=%g,m2=%.17g,m3=%g", s, PICK(d, 0.5, 1, 1.3, 2.7), m, PICK(d, 0, 0.2));
    else if (strcmp(name, "sphereface-r") == 0)
        snprintf(out, size, "sphereface-r:s=%g,m=%g,clamp=%g", s, PICK(d, 1, 1.3, 1.7, 3.3, 6), clamp);
    else if (strcmp(name, "lsoftmax") == 0 || strcmp(name, "sphereface") == 0)
        snprintf(out, size, "%s:m=%d,lambda=%g", name, times, lambda);
    else if (strcmp(name, "adaface") == 0)
        snprintf(out, size, "adaface:s=%g,m=%.17g,h=%g,mean=%g,deviation=%g,ema=%g,tail=%s,clamp=%g", s, fmin(m, 1.5),
                 PICK(d, 0.333, 2), r * PICK(d, 0.5, 1, 1.2), r * PICK(d, 0.2, 1), PICK(d, 0, 0.01, 0.5), tail, clamp);
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

/* Gives rows a half, once or twice that length; those of 0 stay. */
static void lengthen(dice *d, double *rows, int64_t n, int64_t dim, double length) {
    for (int64_t i = 0; i < n; i++) {
        double own = norm_of(rows + i * dim, dim), factor = own > 0 ? length * PICK(d, 0.5, 1, 2) / own : 0;
        for (int64_t k = 0; k < dim; k++) rows[i * dim + k] *= factor;
    }
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
    lengthen(&d, h.x, h.n_rows, h.dim, *r);
    lengthen(&d, h.w, h.w_rows, h.dim, *q);
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
    double term = fmax(at->logit, h->bias ? 1 : 0); /* a bias is felt whatever the size of x and w */
    double certain = fmax(fmin(1, expected->out.loss), h->options.z_loss);
    double force = fmax(largest(h, &b), 0.3 * term * certain);
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

/* A place from which a problem is looked at again: constants of the loss are fixed at their value here. */
typedef struct frozen {
    test_head h;
    double state[LGT_LOSS_MAX_STATE], *qualities, loss;
} frozen;

static void freeze(lgt_context *context, const test_head *h, frozen *out) {
    test_result here = test_head_run(context, h, LGT_ENGINE_REFERENCE, LGT_F64);
    out->h = *h;
    out->loss = here.out.loss;
    out->qualities = test_weights(h->n_rows, 1);
    memcpy(out->state, here.out.state, sizeof out->state);
    for (int64_t i = 0; i < h->n_rows; i++) out->qualities[i] = norm_of(h->x + i * h->dim, h->dim);
    out->h.state = out->state, out->h.qualities = out->qualities, out->h.frozen = 1;
    test_result_free(&here);
}

/* What a run gives at the problem's place + step v. */
static test_result at_step(lgt_context *context, const frozen *from, const test_vectors *v, double step) {
    test_head moved = from->h;
    test_vectors place = test_vectors_of(&moved, 0);
    for (int64_t n = 0; n < moved.n_rows * moved.dim; n++) place.x[n] = moved.x[n] + step * v->x[n];
    for (int64_t n = 0; n < moved.w_rows * moved.dim; n++) place.w[n] = moved.w[n] + step * v->w[n];
    for (int64_t n = 0; n < moved.n_classes; n++) place.b[n] = moved.b[n] + step * v->b[n];
    moved.x = place.x, moved.w = place.w, moved.b = place.b;
    test_result r = test_head_run(context, &moved, LGT_ENGINE_REFERENCE, LGT_F64);
    test_vectors_free(&place);
    return r;
}

/* A direction of the problem's own lengths, in which vectors of 0 stay. */
static test_vectors direction_of(const test_head *h, uint64_t seed, double r, double q) {
    test_vectors v = test_vectors_of(h, seed);
    double size = sqrt((double)h->dim);
    for (int64_t k = 0; k < h->n_rows * h->dim; k++) v.x[k] = h->x[k] == 0 ? 0 : copysign(r / size, v.x[k]);
    for (int64_t k = 0; k < h->w_rows * h->dim; k++) v.w[k] = h->w[k] == 0 ? 0 : copysign(q / size, v.w[k]);
    for (int64_t k = 0; k < h->n_classes; k++) v.b[k] *= r * q;
    return v;
}

/* (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12 h. The steps turn pairs by up to 4e-4, and a slope of 100 by the angle
 * leaves (4 * 100 h)^4 / 30 = 5e-9; smooth tells whether that reaches over no kink. */
static const double stencil[4] = {1, -1, 2, -2}, stencil_weight[4] = {8, -8, -1, 1}, stencil_step = 5e-5;
static const double slope_gate = 1e-8;

static int is_smooth(const test_head *h) {
    brute_condition at = brute_condition_of(h);
    return at.kink > 1e-2 && at.sine > 0.05 && at.logit < 100 && !is_conventional(h);
}

static double inner(const test_head *h, const test_result *g, const test_vectors *v) {
    double sum = 0;
    for (int64_t k = 0; k < h->n_rows * h->dim; k++) sum += g->dx[k] * v->x[k];
    for (int64_t k = 0; k < h->w_rows * h->dim; k++) sum += g->dw[k] * v->w[k];
    for (int64_t k = 0; k < h->n_classes; k++) sum += g->db[k] * v->b[k];
    return sum;
}

/* The slope of the loss against its difference, relative to the largest force; losses of 100 are rounded to 1e-14, over
 * the step. */
static double slope_error(lgt_context *context, const test_head *h, const test_vectors *v, double r, double q) {
    frozen here;
    double difference = 0;
    freeze(context, h, &here);
    for (int k = 0; k < 4; k++) {
        test_result there = at_step(context, &here, v, stencil[k] * stencil_step);
        difference += stencil_weight[k] * there.out.loss / (12 * stencil_step);
        test_result_free(&there);
    }
    test_result found = test_head_run(context, h, LGT_ENGINE_CPU, LGT_F64);
    test_vectors a = forces(h, &found, r, q);
    double error = fabs(inner(h, &found, v) - difference) / fmax(0.1, largest(h, &a));
    test_vectors_free(&a), test_result_free(&found), free(here.qualities);
    return error;
}

/* The product of second order against differences of the gradient, and the engines against each other; both relative to
 * the largest force of second order, and in parts of their gates. */
static double product_error(lgt_context *context, const test_head *h, const test_vectors *v, double r, double q) {
    frozen here;
    brute_condition at = brute_condition_of(h);
    test_result difference = test_result_empty(h), found = test_result_empty(h), streamed = test_result_empty(h);
    freeze(context, h, &here);
    for (int k = 0; k < 4; k++) {
        test_result there = at_step(context, &here, v, stencil[k] * stencil_step);
        double factor = stencil_weight[k] / (12 * stencil_step);
        for (int64_t n = 0; n < h->n_rows * h->dim; n++) difference.dx[n] += factor * there.dx[n];
        for (int64_t n = 0; n < h->w_rows * h->dim; n++) difference.dw[n] += factor * there.dw[n];
        for (int64_t n = 0; n < h->n_classes; n++) difference.db[n] += factor * there.db[n];
        test_result_free(&there);
    }
    test_vectors hv = test_head_hvp(context, h, LGT_ENGINE_REFERENCE, LGT_F64, v);
    test_vectors cpu = test_head_hvp(context, h, LGT_ENGINE_CPU, LGT_F64, v);
    memcpy(found.dx, hv.x, (size_t)(h->n_rows * h->dim) * sizeof(double));
    memcpy(found.dw, hv.w, (size_t)(h->w_rows * h->dim) * sizeof(double));
    memcpy(found.db, hv.b, (size_t)h->n_classes * sizeof(double));
    memcpy(streamed.dx, cpu.x, (size_t)(h->n_rows * h->dim) * sizeof(double));
    memcpy(streamed.dw, cpu.w, (size_t)(h->w_rows * h->dim) * sizeof(double));
    memcpy(streamed.db, cpu.b, (size_t)h->n_classes * sizeof(double));
    test_vectors a = forces(h, &found, r, q), b = forces(h, &difference, r, q), c = forces(h, &streamed, r, q);
    double term = fmax(1, at.logit), terms = term * term * fmin(1, fabs(here.loss));
    double size = fmax(fmax(0.1, 0.1 * terms), largest(h, &a)); /* as compare() does where forces cancel */
    for (int64_t k = 0; k < h->n_rows * h->dim; k++) b.x[k] -= a.x[k], c.x[k] -= a.x[k];
    for (int64_t k = 0; k < h->w_rows * h->dim; k++) b.w[k] -= a.w[k], c.w[k] -= a.w[k];
    for (int64_t k = 0; k < h->n_classes; k++) b.b[k] -= a.b[k], c.b[k] -= a.b[k];
    double error = fmax(largest(h, &b) / size / slope_gate, largest(h, &c) / size / (10 * f64_gate(&at)));
    test_vectors *vectors[] = {&hv, &cpu, &a, &b, &c};
    for (int k = 0; k < 5; k++) test_vectors_free(vectors[k]);
    test_result_free(&difference), test_result_free(&found), test_result_free(&streamed), free(here.qualities);
    return error;
}

static void gradients_are_slopes_of_the_loss_and_products_of_the_gradient(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    for (int l = 0; l < lgt_loss_count(); l++) {
        const lgt_loss_info *info = lgt_loss_at(l);
        double worst[2] = {0};
        int64_t compared = 0;
        for (int64_t n = 0; n < problems; n++) {
            double r, q;
            test_head h = draw_problem(info->name, info->space, (uint64_t)n, &r, &q);
            if (is_smooth(&h)) {
                test_vectors v = direction_of(&h, 4 + (uint64_t)n, r, q);
                double slope = slope_error(context, &h, &v, r, q) / slope_gate;
                double product = product_error(context, &h, &v, r, q);
                if (!(slope <= 1 && product <= 1))
                    fail_msg("%s, problem %d, r %g, q %g: slope %.2g, product %.2g of their gates", info->name, (int)n,
                             r, q, slope, product);
                worst[0] = fmax(worst[0], slope), worst[1] = fmax(worst[1], product), compared++;
                test_vectors_free(&v);
            }
            test_head_free(&h);
        }
        print_message("%-14s %d central differences: slopes %.2g, products %.2g of the gate\n", info->name,
                      (int)compared, worst[0], worst[1]);
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
        cmocka_unit_test(gradients_are_slopes_of_the_loss_and_products_of_the_gradient),
        cmocka_unit_test(sizes_beyond_the_tiles_hold_along_a_direction),
    };
    if (argc > 1 && strcmp(argv[1], "long") == 0) problems = 10000;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
