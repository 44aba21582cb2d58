/* The errors of the notes that this project started from, one test each (docs/errata.md): the formula as it was printed
 * is shown to fail, and the right one to hold, on random problems. Every test prints the sizes that the page cites. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "heads.h"

/* What a right formula may differ by, relative to the largest entry: rounding of a few hundred operations, and of
 * exponents up to 64, on both sides. */
static const double rounding = 1e-12;
/* The same for five-point differences with a step of 1e-4: truncation (s h)^4 / 30 below 1e-10 at s = 16, rounding
 * 1e-16 |J| / h below 1e-11. */
static const double difference_gate = 1e-8;

enum { ROWS = 4, DIM = 6, CLASSES = 5, PROBLEMS = 200 };

static double dot(const double *a, const double *b, int n) {
    double sum = 0;
    for (int k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

static double norm(const double *a, int n) {
    return sqrt(dot(a, a, n));
}

static double distance(const double *a, const double *b, int n) {
    double sum = 0;
    for (int k = 0; k < n; k++) sum += (a[k] - b[k]) * (a[k] - b[k]);
    return sqrt(sum);
}

/* out = v / |v| */
static void unit(const double *v, int n, double *out) {
    double length = norm(v, n);
    for (int k = 0; k < n; k++) out[k] = v[k] / length;
}

/* out = v - <v, u> u for a unit vector u */
static void project(const double *v, const double *u, int n, double *out) {
    double along = dot(v, u, n);
    for (int k = 0; k < n; k++) out[k] = v[k] - along * u[k];
}

/* Five-point central differences of f by each of the n entries of `at`, which f reads through `data`. */
typedef double (*function)(const void *data);

static void differentiate(function f, const void *data, double *at, int n, double *out) {
    const double h = 1e-4;
    for (int k = 0; k < n; k++) {
        double kept = at[k], value[4];
        for (int i = 0; i < 4; i++) {
            at[k] = kept + (i < 2 ? i - 2 : i - 1) * h;
            value[i] = f(data);
        }
        at[k] = kept;
        out[k] = (8 * (value[2] - value[1]) - (value[3] - value[0])) / (12 * h);
    }
}

/* --- Heads --- */

TEST_SHARED_CONTEXT(1)

static double head_loss(const void *data) {
    test_result r = test_head_run(context, data, LGT_ENGINE_REFERENCE, LGT_F64);
    double loss = r.out.loss;
    test_result_free(&r);
    return loss;
}

/* Probabilities of one row, from its logits. */
static void softmax(const double *z, int n, double *p) {
    double most = z[0], sum = 0;
    for (int j = 1; j < n; j++) most = fmax(most, z[j]);
    for (int j = 0; j < n; j++) sum += p[j] = exp(z[j] - most);
    for (int j = 0; j < n; j++) p[j] /= sum;
}

/* p and the angle of row i in a softmax or arcface head without a tail in reach; cosines as well, where wanted. */
static void probabilities(const test_head *h, int i, double *p) {
    double z[CLASSES], m = lgt_loss_value(&h->loss, "m"), s = lgt_loss_value(&h->loss, "s");
    const double *x = h->x + i * DIM;
    for (int j = 0; j < CLASSES; j++) {
        const double *w = h->w + j * DIM;
        z[j] = dot(w, x, DIM) + (h->bias ? h->b[j] : 0);
        if (isnan(s)) continue;
        z[j] /= norm(w, DIM) * norm(x, DIM);
        z[j] = s * (!isnan(m) && j == h->labels[i] ? cos(acos(z[j]) + m) : z[j]);
    }
    softmax(z, CLASSES, p);
}

/* A row whose true class has probability p_y in a softmax head: by the bias. */
static test_head softmax_row(uint64_t seed, double p_y) {
    test_head h = test_head_random("softmax", 1, DIM, CLASSES, seed);
    double p[CLASSES];
    probabilities(&h, 0, p);
    double own = p[h.labels[0]];
    h.b[h.labels[0]] += log(p_y / (1 - p_y)) - log(own / (1 - own));
    return h;
}

/* --- 1. Softmax: dL/dx printed as sum_{j != y} p_j w_j - w_y; the attraction is (1 - p_y) w_y (Eq. 56). --- */

static void softmax_forces(const test_head *h, double share, double *out) {
    double p[CLASSES];
    int y = (int)h->labels[0];
    probabilities(h, 0, p);
    for (int k = 0; k < DIM; k++) {
        out[k] = -(share < 0 ? 1 - p[y] : share) * h->w[y * DIM + k];
        for (int j = 0; j < CLASSES; j++)
            if (j != y) out[k] += p[j] * h->w[j * DIM + k];
    }
}

static void the_attraction_of_softmax_carries_one_minus_p(void **state) {
    (void)state;
    static const double shares[] = {0.1, 0.47, 0.9, 0.99};
    for (int c = 0; c < 4; c++) {
        double printed_error = 0, least = INFINITY, worst = 0, worst_difference = 0;
        for (uint64_t seed = 0; seed < PROBLEMS; seed++) {
            test_head h = softmax_row(seed, shares[c]);
            test_result r = test_head_run(context, &h, LGT_ENGINE_REFERENCE, LGT_F64);
            double printed[DIM], right[DIM], difference[DIM];
            softmax_forces(&h, 1, printed), softmax_forces(&h, -1, right);
            differentiate(head_loss, &h, h.x, DIM, difference);
            double off = distance(printed, r.dx, DIM) / norm(r.dx, DIM);
            printed_error += off / PROBLEMS, least = fmin(least, off);
            worst = fmax(worst, test_relative_error(right, r.dx, DIM));
            worst_difference = fmax(worst_difference, distance(right, difference, DIM) / norm(r.dx, DIM));
            test_result_free(&r), test_head_free(&h);
        }
        print_message("  p_y = %g: printed dL/dx off by %.3g of its length on average, %.3g at least\n", shares[c],
                      printed_error, least);
        /* Off by p_y |w_y|, against a gradient of at most (1 - p_y) (|w_y| + max |w_j|). */
        assert_true(printed_error > 0.5 * shares[c] / (1 - shares[c]));
        assert_at_most(worst, rounding * 100, "the right formula against the library"); /* 1 - p costs digits at .99 */
        assert_at_most(worst_difference, difference_gate * 100, "the right formula against differences of the loss");
    }
}

/* --- 2. ArcFace: dL/dx printed as (s/r) P_x (sum_{j != y} p_j w^_j - alpha w^_y): again without 1 - p_y (Eq. 66). ---
 */

static void arcface_forces(const test_head *h, int with_share, double *out) {
    double p[CLASSES], x[DIM], w[DIM], along[DIM] = {0}, s = lgt_loss_value(&h->loss, "s");
    int y = (int)h->labels[0];
    probabilities(h, 0, p);
    unit(h->x, DIM, x);
    for (int j = 0; j < CLASSES; j++) {
        unit(h->w + j * DIM, DIM, w);
        double theta = acos(dot(w, x, DIM)), alpha = sin(theta + lgt_loss_value(&h->loss, "m")) / sin(theta);
        double factor = j != y ? p[j] : with_share ? -(1 - p[y]) * alpha : -alpha;
        for (int k = 0; k < DIM; k++) along[k] += factor * w[k];
    }
    project(along, x, DIM, out);
    for (int k = 0; k < DIM; k++) out[k] *= s / norm(h->x, DIM);
}

/* A row at the angle to its class where p_y is as wanted: x = cos(a) w^_y + sin(a) n with n across. Differences need
 * distance from the conical point at a = 0. */
static test_head arcface_row(uint64_t seed, double p_y) {
    test_head h = test_head_random("arcface:s=16,m=0.5,tail=none", 1, DIM, CLASSES, seed);
    double w[DIM], across[DIM], p[CLASSES], low = 0.2, high = 2.6;
    int y = (int)h.labels[0];
    unit(h.w + y * DIM, DIM, w);
    project(h.x, w, DIM, across), unit(across, DIM, across);
    for (int i = 0; i < 60; i++) {
        double a = (low + high) / 2;
        for (int k = 0; k < DIM; k++) h.x[k] = 2 * (cos(a) * w[k] + sin(a) * across[k]);
        probabilities(&h, 0, p);
        *(p[y] > p_y ? &low : &high) = a;
    }
    return h;
}

static void the_attraction_of_arcface_carries_one_minus_p(void **state) {
    (void)state;
    static const double shares[] = {0.1, 0.5, 0.935, 0.99};
    for (int c = 0; c < 4; c++) {
        double size = 0, worst = 0, worst_difference = 0;
        int count = 0;
        for (uint64_t seed = 0; seed < PROBLEMS; seed++) {
            test_head h = arcface_row(seed, shares[c]);
            double p[CLASSES], printed[DIM], right[DIM], difference[DIM];
            probabilities(&h, 0, p);
            if (fabs(p[h.labels[0]] - shares[c]) < 1e-6) { /* some classes lie too near their neighbours for that */
                test_result r = test_head_run(context, &h, LGT_ENGINE_REFERENCE, LGT_F64);
                arcface_forces(&h, 0, printed), arcface_forces(&h, 1, right);
                differentiate(head_loss, &h, h.x, DIM, difference);
                size += norm(printed, DIM) / norm(r.dx, DIM), count++;
                worst = fmax(worst, test_relative_error(right, r.dx, DIM));
                worst_difference = fmax(worst_difference, distance(right, difference, DIM) / norm(difference, DIM));
                test_result_free(&r);
            }
            test_head_free(&h);
        }
        size /= count;
        print_message("  p_y = %g: printed dL/dx is %.3g times as long (%d problems)\n", shares[c], size, count);
        assert_true(count > PROBLEMS / 2);
        assert_true(size > 0.4 / (1 - shares[c]));
        /* acos and sin(theta + m)/sin(theta) in this test's own formula lose two digits at small angles. */
        assert_at_most(worst, 100 * rounding, "the right formula against the library");
        assert_at_most(worst_difference, 100 * difference_gate, "the right formula against differences of the loss");
    }
}

/* --- 3. Conflict: "the SMALLEST angle between u and a neighbour at most 90 degrees" printed as sufficient for
 * <u, sum alpha_a P t_a> >= 0. It takes the LARGEST, or the sum itself (Eq. 81, 82). --- */

enum { NEIGHBOURS = 5, TRIALS = 20000 };

typedef struct tally {
    int printed, printed_wrong, sufficient, sufficient_wrong, agree, exact_wrong;
} tally;

/* One sample: its head's force u (from the library), random unit neighbours with random weights. spread 0: all in one
 * direction, large: anywhere. */
static void judge(const double *u, const double *x, uint64_t seed, double spread, tally *t) {
    double random[NEIGHBOURS * DIM], weights[NEIGHBOURS], sum[DIM] = {0}, least = INFINITY, most = -INFINITY, exact = 0;
    test_normal(random, NEIGHBOURS * DIM, seed, 11), test_normal(weights, NEIGHBOURS, seed, 12);
    for (int a = 0; a < NEIGHBOURS; a++) {
        double *v = random + a * DIM, direction[DIM], across[DIM], alpha = fabs(weights[a]);
        for (int k = 0; k < DIM; k++) v[k] = spread * v[k] + u[k] / norm(u, DIM);
        unit(v, DIM, direction), project(direction, x, DIM, across);
        for (int k = 0; k < DIM; k++) sum[k] += alpha * across[k];
        double c = dot(u, across, DIM) / (norm(u, DIM) * norm(across, DIM));
        least = fmin(least, c), most = fmax(most, c), exact += alpha * norm(across, DIM) * c;
    }
    int conflict = dot(u, sum, DIM) < 0;
    t->printed += most >= 0, t->printed_wrong += most >= 0 && conflict;
    t->sufficient += least >= 0, t->sufficient_wrong += least >= 0 && conflict;
    t->agree += !conflict, t->exact_wrong += (exact < 0) != conflict;
}

static tally judge_many(double spread) {
    tally t = {0};
    for (uint64_t seed = 0; seed < TRIALS / 100; seed++) {
        test_head h = test_head_random("arcface:s=16", 1, DIM, CLASSES, seed);
        test_result r = test_head_run(context, &h, LGT_ENGINE_REFERENCE, LGT_F64);
        double x[DIM], u[DIM];
        unit(h.x, DIM, x);
        for (int k = 0; k < DIM; k++) u[k] = -r.dx[k];
        for (uint64_t i = 0; i < 100; i++) judge(u, x, 100 * seed + i, spread, &t);
        test_result_free(&r), test_head_free(&h);
    }
    print_message(
        "  spread %g: of %d samples %d meet the printed condition, %d of them (%.0f %%) conflict; %d meet the "
        "right one, %d of them conflict; %d agree\n",
        spread, TRIALS, t.printed, t.printed_wrong, 100.0 * t.printed_wrong / t.printed, t.sufficient,
        t.sufficient_wrong, t.agree);
    return t;
}

static void harmony_takes_the_largest_angle_not_the_smallest(void **state) {
    (void)state;
    tally anywhere = judge_many(1e6), near = judge_many(1);
    assert_true(anywhere.printed_wrong > anywhere.printed * 2 / 5);
    assert_true(near.printed_wrong > near.printed / 100);
    assert_true(anywhere.sufficient > 100 && near.sufficient > 100);
    assert_int_equal(anywhere.sufficient_wrong + near.sufficient_wrong, 0);
    assert_int_equal(anywhere.exact_wrong + near.exact_wrong, 0);
    assert_true(anywhere.agree > 2 * anywhere.sufficient); /* sufficient, not necessary */
}

/* --- 4. dz_n/dw_nm printed as x_m with W (D, C), z_n = sum_m w_mn x_m: the indices are swapped (Eq. 51). --- */

static void the_logit_of_a_class_depends_on_its_own_column(void **state) {
    (void)state;
    enum { SIDE = 5 }; /* D = C, so that both ways to write the index exist */
    double printed_error = 0;
    for (uint64_t seed = 0; seed < PROBLEMS; seed++) {
        test_head h = test_head_random("softmax", 1, SIDE, SIDE, seed);
        test_result r = test_head_run(context, &h, LGT_ENGINE_REFERENCE, LGT_F64);
        double printed[SIDE * SIDE], right[SIDE * SIDE];
        for (int n = 0; n < SIDE; n++)
            for (int m = 0; m < SIDE; m++) {
                /* The library holds W by classes: its entry n SIDE + m is w_mn, feature m and class n. */
                right[n * SIDE + m] = r.db[n] * h.x[m];
                printed[m * SIDE + n] = r.db[n] * h.x[m];
            }
        assert_at_most(test_relative_error(right, r.dw, SIDE * SIDE), rounding, "dL/dw_mn = dL/dz_n x_m");
        printed_error += distance(printed, r.dw, SIDE * SIDE) / norm(r.dw, SIDE * SIDE) / PROBLEMS;
        test_result_free(&r), test_head_free(&h);
    }
    print_message("  printed dL/dW off by %.3g of its length on average\n", printed_error);
    assert_true(printed_error > 0.5);
}

/* --- 5. f(2, 1 + t v) printed for f((2, 1) + t v), and the unit step along it said to raise f = x^2 + x y by 4.95. */

static double saddle(const void *data) {
    const double *at = data;
    return at[0] * at[0] + at[0] * at[1];
}

static void a_direction_moves_all_coordinates_and_a_unit_step_is_not_small(void **state) {
    (void)state;
    double root = sqrt(0.5), at[2] = {2, 1}, gradient[2];
    differentiate(saddle, at, at, 2, gradient);
    double slope = (gradient[0] + gradient[1]) * root; /* D_v f = <grad f, v> */
    for (int i = 1; i <= 5; i++) {
        double t = pow(10, -i), both[2] = {2 + t * root, 1 + t * root}, second_only[2] = {2, 1 + t * root};
        /* f is quadratic: its curvature along v is v^T H v = 2, and nothing follows. */
        assert_at_most(fabs(saddle(both) - saddle(at) - slope * t - t * t), difference_gate, "f((2,1) + t v)");
        assert_true(fabs((saddle(second_only) - saddle(at)) / t - slope) > 3.5);
    }
    double far[2] = {2 + root, 1 + root}, rise = saddle(far) - saddle(at);
    print_message("  slope %.4f, the unit step raises f by %.4f\n", slope, rise);
    assert_at_most(fabs(slope - 7 * root), difference_gate, "the slope");
    assert_at_most(fabs(rise - slope - 1), difference_gate, "slope plus half the curvature");
}

/* --- 6. p_j - [j = y] printed as the gradient of "any loss of the logits"; it is cross entropy's alone (Eq. 76). ---
 */

static void other_losses_of_the_logits_have_other_coefficients(void **state) {
    (void)state;
    static const struct { double smoothing, z_loss; } cases[] = {{0, 0}, {0.1, 0}, {0, 0.1}, {0.1, 0.1}};
    for (int c = 0; c < 4; c++) {
        double e = cases[c].smoothing, zeta = cases[c].z_loss, printed_error = 0;
        for (uint64_t seed = 0; seed < PROBLEMS; seed++) {
            test_head h = test_head_random("softmax", 1, DIM, CLASSES, seed);
            double p[CLASSES], printed[CLASSES], right[CLASSES], difference[CLASSES];
            h.options.label_smoothing = e, h.options.z_loss = zeta;
            test_result r = test_head_run(context, &h, LGT_ENGINE_REFERENCE, LGT_F64);
            probabilities(&h, 0, p);
            for (int j = 0; j < CLASSES; j++) {
                int own = j == h.labels[0];
                printed[j] = p[j] - own;
                right[j] = p[j] * (1 + 2 * zeta * r.lse[0]) - (1 - e) * own - e / CLASSES;
            }
            differentiate(head_loss, &h, h.b, CLASSES, difference);
            assert_at_most(distance(right, r.db, CLASSES), rounding * 10, "the right coefficients against the library");
            assert_at_most(distance(right, difference, CLASSES), difference_gate, "and against differences");
            printed_error += distance(printed, r.db, CLASSES) / norm(r.db, CLASSES) / PROBLEMS;
            test_result_free(&r), test_head_free(&h);
        }
        print_message("  smoothing %g, z-loss %g: p_j - [j = y] off by %.3g on average\n", e, zeta, printed_error);
        assert_true(e + zeta > 0 ? printed_error > 0.08 : printed_error < rounding);
    }
}

/* --- 7. "The margin only rescales the pull along one direction" printed of alpha = sin(theta + m)/sin(theta): for
 * theta + m > pi it is negative, and the target repels (Eq. 65). --- */

/* The coefficient of (1 - p_y) (s/r) P_x w^_y in -dL/dx, the other class across the plane of x and w_y. */
static double measured_alpha(const char *tail, double theta, double *loss_after_step) {
    char spec[64] = "arcface:s=4,m=0.5,tail=";
    strcat(spec, tail);
    test_head h = test_head_random(spec, 1, 3, 2, 1);
    double x[] = {cos(theta), sin(theta), 0}, w[] = {1, 0, 0, 0, 0, 1}, tangent[] = {sin(theta), -cos(theta), 0};
    memcpy(h.x, x, sizeof x), memcpy(h.w, w, sizeof w), h.labels[0] = 0;
    test_result r = test_head_run(context, &h, LGT_ENGINE_REFERENCE, LGT_F64);
    double share = -expm1(-r.out.loss), alpha = -dot(r.dx, tangent, 3) / (4 * share * sin(theta));
    for (int k = 0; k < 3; k++) h.x[k] += 0.01 * tangent[k]; /* towards the true class */
    *loss_after_step = head_loss(&h) - r.out.loss;
    test_result_free(&r), test_head_free(&h);
    return alpha;
}

static void beyond_pi_the_bare_margin_repels(void **state) {
    (void)state;
    double change, pi = acos(-1);
    for (int i = 1; i < 31; i++) {
        double theta = 0.1 * i, alpha = measured_alpha("none", theta, &change);
        assert_at_most(fabs(alpha - sin(theta + 0.5) / sin(theta)), 1e-12, "alpha");
        assert_true((alpha > 0) == (theta + 0.5 < pi));
        /* Nearer to the class is better before, and worse beyond. */
        if (fabs(theta + 0.5 - pi) > 0.02) assert_true((change < 0) == (theta + 0.5 < pi));
    }
    print_message("  at theta = 2.9, m = 0.5: alpha %.4f\n", measured_alpha("none", 2.9, &change));
    assert_true(measured_alpha("continuous", 2.9, &change) > 0.99 && change < 0);
    assert_true(measured_alpha("fold", 2.9, &change) > 0.99 && change < 0);
}

/* --- 8. -P_x dL_pga/dx = sum_a alpha_a P_x t_a printed, and called the weighted mean of the neighbours (Eq. 80). ---
 */

typedef struct alignment {
    double x[DIM], targets[NEIGHBOURS][DIM], weights[NEIGHBOURS];
} alignment;

/* sum_a beta_a phi(<x^, t_a>) with phi(u) = (1 - u)^2 */
static double alignment_loss(const void *data) {
    const alignment *a = data;
    double sum = 0;
    for (int i = 0; i < NEIGHBOURS; i++) {
        double u = 1 - dot(a->x, a->targets[i], DIM) / norm(a->x, DIM);
        sum += a->weights[i] * u * u;
    }
    return sum;
}

static void the_pull_of_the_neighbours_is_a_sum_not_a_mean(void **state) {
    (void)state;
    double factor = 0;
    for (uint64_t seed = 0; seed < PROBLEMS; seed++) {
        alignment a;
        double x[DIM], sum[DIM] = {0}, mean[DIM], total = 0, difference[DIM];
        test_normal(a.x, DIM, seed, 1), test_normal(a.targets[0], NEIGHBOURS * DIM, seed, 2);
        test_normal(a.weights, NEIGHBOURS, seed, 3), unit(a.x, DIM, x);
        for (int i = 0; i < NEIGHBOURS; i++) {
            double across[DIM];
            unit(a.targets[i], DIM, a.targets[i]), project(a.targets[i], x, DIM, across);
            a.weights[i] = fabs(a.weights[i]);
            double alpha = a.weights[i] * 2 * (1 - dot(x, a.targets[i], DIM)); /* beta |phi'| */
            for (int k = 0; k < DIM; k++) sum[k] += alpha * across[k] / norm(a.x, DIM);
            total += alpha;
        }
        differentiate(alignment_loss, &a, a.x, DIM, difference);
        for (int k = 0; k < DIM; k++) mean[k] = sum[k] / total, difference[k] = -difference[k];
        assert_at_most(distance(sum, difference, DIM) / norm(sum, DIM), difference_gate, "the weighted sum");
        assert_at_most(fabs(norm(difference, DIM) / norm(mean, DIM) / total - 1), difference_gate, "the mean's factor");
        factor += total / PROBLEMS;
    }
    print_message("  the descent is %.3g times the weighted mean, on average of %d problems\n", factor, PROBLEMS);
    assert_true(factor > 2);
}

/* --- 9. "Tangential updates change the angle only": a finite step across w lengthens it, by Pythagoras (Eq. 63). ---
 */

static void a_tangential_step_lengthens_the_weights(void **state) {
    (void)state;
    double growth = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        test_head h = test_head_random("normalized:s=16", 8, DIM, CLASSES, seed);
        double before[CLASSES];
        for (int j = 0; j < CLASSES; j++) before[j] = norm(h.w + j * DIM, DIM);
        for (int step = 0; step < 100; step++) {
            test_result r = test_head_run(context, &h, LGT_ENGINE_REFERENCE, LGT_F64);
            for (int j = 0; j < CLASSES; j++) {
                double *w = h.w + j * DIM, *dw = r.dw + j * DIM, old = dot(w, w, DIM), lr = 1;
                for (int k = 0; k < DIM; k++) w[k] -= lr * dw[k];
                double predicted = old + lr * lr * dot(dw, dw, DIM);
                assert_at_most(fabs(dot(w, w, DIM) - predicted) / predicted, rounding, "|w|^2 + |step|^2");
            }
            test_result_free(&r);
        }
        for (int j = 0; j < CLASSES; j++) growth += norm(h.w + j * DIM, DIM) / before[j] / (20 * CLASSES);
        test_head_free(&h);
    }
    print_message("  after 100 steps of gradient descent, rate 1, |w| is %.3g times as long\n", growth);
    assert_true(growth > 1.2);
}

/* --- 10. dloss/dloss_i printed as 1 for a mean over N rows, and the end result as prob X^T (Eq. 52, 55). --- */

static void the_gradient_of_the_mean_holds_targets_and_one_over_n(void **state) {
    (void)state;
    double printed_error = 0, factor_error = 0;
    for (uint64_t seed = 0; seed < PROBLEMS; seed++) {
        test_head h = test_head_random("softmax", ROWS, DIM, CLASSES, seed);
        test_result r = test_head_run(context, &h, LGT_ENGINE_REFERENCE, LGT_F64);
        double printed[CLASSES * DIM] = {0}, without_n[CLASSES * DIM] = {0}, right[CLASSES * DIM] = {0};
        for (int i = 0; i < ROWS; i++) {
            double p[CLASSES];
            probabilities(&h, i, p);
            for (int j = 0; j < CLASSES; j++)
                for (int k = 0; k < DIM; k++) {
                    double x = h.x[i * DIM + k], g = p[j] - (j == h.labels[i]);
                    printed[j * DIM + k] += p[j] * x;
                    without_n[j * DIM + k] += g * x;
                    right[j * DIM + k] += g * x / ROWS;
                }
        }
        assert_at_most(test_relative_error(right, r.dw, CLASSES * DIM), rounding, "X^T (P - Y) / N");
        printed_error += distance(printed, r.dw, CLASSES * DIM) / norm(r.dw, CLASSES * DIM) / PROBLEMS;
        factor_error += distance(without_n, r.dw, CLASSES * DIM) / norm(r.dw, CLASSES * DIM) / PROBLEMS;
        test_result_free(&r), test_head_free(&h);
    }
    print_message("  N = %d: prob X^T off by %.3g of the gradient's length, with the targets but no 1/N by %.3g\n",
                  ROWS, printed_error, factor_error);
    assert_true(printed_error > 1);
    assert_at_most(fabs(factor_error - (ROWS - 1)), 1e-10, "N - 1");
}

/* --- 11. d cos(m theta)/dc printed as a sum with (m - 2n) c^(m-2n-1): 0 times infinity at c = 0 for even m. The
 * branch k of Psi_m and the blend's lambda are not defined there (Eq. 12, 13). --- */

static double printed_slope(int m, double c) {
    double slope = m * pow(c, m - 1), sine2 = 1 - c * c, binomial = 1;
    for (int n = 1; 2 * n <= m; n++) {
        binomial = binomial * (m - 2 * n + 2) / (2 * n - 1) * (m - 2 * n + 1) / (2 * n);
        double powers = n * pow(c, m - 2 * n) * pow(sine2, n - 1) * (-2 * c);
        slope += (n % 2 ? -1 : 1) * binomial * (powers + (m - 2 * n) * pow(c, m - 2 * n - 1) * pow(sine2, n));
    }
    return slope;
}

/* m U_{m-1}(c) by the three-term recurrence */
static double right_slope(int m, double c) {
    double last = 0, now = 1;
    for (int n = 1; n < m; n++) {
        double next = 2 * c * now - last;
        last = now, now = next;
    }
    return m * now;
}

static void the_slope_of_a_multiple_angle_is_finite_at_ninety_degrees(void **state) {
    (void)state;
    for (int m = 1; m <= 8; m++) {
        assert_true(isnan(printed_slope(m, 0)) == (m % 2 == 0));
        /* sin(m pi/2) m: 0 for even m, +-m for odd. */
        assert_true(right_slope(m, 0) == (m % 2 ? m * (m % 4 == 1 ? 1 : -1) : 0));
        for (int i = 1; i < 40; i++) {
            double c = cos(0.0785 * i), theta = acos(c), scale = m * m;
            assert_at_most(fabs(printed_slope(m, c) - right_slope(m, c)) / scale, 1e-11, "elsewhere the sum is right");
            assert_at_most(fabs(m * sin(m * theta) / sin(theta) - right_slope(m, c)) / scale, 1e-11, "m U_{m-1}");
        }
    }
    double x[] = {1.5, 0}, w[] = {0, 2, 1, -1};
    for (int m = 1; m <= 8; m++) {
        char spec[] = "lsoftmax:m=0,lambda=0";
        spec[11] = (char)('0' + m);
        test_head h = test_head_random(spec, 1, 2, 2, 1);
        memcpy(h.x, x, sizeof x), memcpy(h.w, w, sizeof w), h.labels[0] = 0;
        test_result r = test_head_run(context, &h, LGT_ENGINE_REFERENCE, LGT_F64);
        double difference[2];
        differentiate(head_loss, &h, h.x, 2, difference);
        assert_true(test_result_finite(&h, &r));
        /* For even m the curvature of Psi_m jumps there by 2 m^2, and differences are good to their step times that. */
        double gate = m % 2 ? difference_gate : 2e-4 * m * m;
        assert_at_most(distance(difference, r.dx, 2) / norm(r.dx, 2), gate, "dx at 90 degrees");
        test_result_free(&r), test_head_free(&h);
    }
}

static void psi_needs_its_branch(void **state) {
    (void)state;
    /* k = floor(m theta/pi) makes the logit fall all the way; k = 0 throughout lets it rise. */
    double pi = acos(-1);
    for (int m = 2; m <= 6; m++) {
        int rises = 0;
        for (int i = 1; i < 1000; i++) {
            double a = pi * (i - 1) / 1000, b = pi * i / 1000, ka = floor(m * a / pi), kb = floor(m * b / pi);
            double folded_a = ((int)ka % 2 ? -1 : 1) * cos(m * a) - 2 * ka;
            double folded_b = ((int)kb % 2 ? -1 : 1) * cos(m * b) - 2 * kb;
            assert_true(folded_b < folded_a);
            rises += cos(m * b) > cos(m * a);
        }
        assert_true(rises > 300);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_attraction_of_softmax_carries_one_minus_p),
        cmocka_unit_test(the_attraction_of_arcface_carries_one_minus_p),
        cmocka_unit_test(harmony_takes_the_largest_angle_not_the_smallest),
        cmocka_unit_test(the_logit_of_a_class_depends_on_its_own_column),
        cmocka_unit_test(a_direction_moves_all_coordinates_and_a_unit_step_is_not_small),
        cmocka_unit_test(other_losses_of_the_logits_have_other_coefficients),
        cmocka_unit_test(beyond_pi_the_bare_margin_repels),
        cmocka_unit_test(the_pull_of_the_neighbours_is_a_sum_not_a_mean),
        cmocka_unit_test(a_tangential_step_lengthens_the_weights),
        cmocka_unit_test(the_gradient_of_the_mean_holds_targets_and_one_over_n),
        cmocka_unit_test(the_slope_of_a_multiple_angle_is_finite_at_ninety_degrees),
        cmocka_unit_test(psi_needs_its_branch),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
