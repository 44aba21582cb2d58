/* The whole objective a second time. Derivatives by the complex step: f'(a) = Im f(a + ih) / h has no cancellation, so
 * h = 1e-200 leaves rounding alone (Squire and Trapp, 1998). Other formulas than the library's: bilinear norms,
 * Lagrange's identity for the sine, the binomial sum for cos(m theta). */
#include "brute.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef double complex number;

static const double step = 1e-200, pi = 3.14159265358979323846;

enum { EXACT, DETACHED, UNIT };

/* The problem at a complex point. */
typedef struct point {
    const test_head *h;
    number *x, *w, *b, *z;
    double *weight; /* dJ/dL_i */
    double state[2];
    int gradient;
    number nudge; /* added to the target logit */
} point;

/* The pair of a row and a class, or the nearest centre of the class. */
typedef struct pair {
    int64_t row; /* of w */
    number c, sine, theta, r, q;
} pair;

static number bilinear(const number *a, const number *b, int64_t n) {
    number sum = 0;
    for (int64_t k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

static number length(const number *v, int64_t n) {
    return csqrt(bilinear(v, v, n));
}

/* log(1 + u), for u without an imaginary part to speak of. */
static number log_one_plus(number u) {
    return log1p(creal(u)) + I * (cimag(u) / (1 + creal(u)));
}

static pair nearest(const point *p, const number *x, int64_t j) {
    int64_t n = p->h->dim, centres = p->h->w_rows / p->h->n_classes;
    pair best = {.r = length(x, n), .c = -2};
    for (int64_t k = j * centres; k < (j + 1) * centres; k++) {
        number q = length(p->w + k * n, n), c = 0;
        if (creal(best.r) > 0 && creal(q) > 0) c = bilinear(x, p->w + k * n, n) / best.r / q;
        if (creal(c) > creal(best.c)) best.row = k, best.c = c, best.q = q;
    }
    return best;
}

/* |x^|^2 |w^|^2 - <x^, w^>^2 = sum_{k<l} (x^_k w^_l - x^_l w^_k)^2, which keeps its digits near 0 and pi (Lagrange);
 * Im theta by d theta = c d sine - sine dc. */
static void measure_angle(const point *p, const number *x, pair *at) {
    const number *w = p->w + at->row * p->h->dim;
    number square = 0;
    at->sine = 1, at->theta = pi / 2;
    if (creal(at->r) == 0 || creal(at->q) == 0) return;
    for (int64_t k = 0; k < p->h->dim; k++)
        for (int64_t l = 0; l < k; l++) {
            number minor = x[k] / at->r * (w[l] / at->q) - x[l] / at->r * (w[k] / at->q);
            square += minor * minor;
        }
    at->sine = csqrt(square);
    at->theta =
        atan2(creal(at->sine), creal(at->c)) + I * (creal(at->c) * cimag(at->sine) - creal(at->sine) * cimag(at->c));
}

static double scale_of(const test_head *h, int64_t j) {
    return h->class_scales ? h->class_scales[j] : test_head_value(h, "s");
}

/* How much of the margin there is at this step. */
static double warmth(const test_head *h) {
    const lgt_schedule *by = &h->loss.schedule;
    double u = ((double)h->step - by->a) / (by->b - by->a);
    if (by->kind != LGT_SCHEDULE_LINEAR && by->kind != LGT_SCHEDULE_EXPONENTIAL) return 1;
    u = u < 0 ? 0 : u > 1 ? 1 : u;
    return by->kind == LGT_SCHEDULE_LINEAR ? u : (1 - pow(1000, -u)) / 0.999;
}

/* A factor of the angle begins at 1. */
static double warm_factor(const test_head *h, double m) {
    return 1 + warmth(h) * (m - 1);
}

/* The margin, whatever the loss calls it. */
static double margin_of(const test_head *h, int64_t y) {
    double own = h->loss.values[lgt_loss_param_of(h->loss.info, LGT_ROLE_MARGIN)];
    double m = h->class_margins ? h->class_margins[y] : own;
    if (strcmp(h->loss.info->name, "lsoftmax") == 0 || strcmp(h->loss.info->name, "sphereface") == 0) return m;
    return strcmp(h->loss.info->name, "sphereface-r") == 0 ? warm_factor(h, m) : warmth(h) * m;
}

/* cos(m theta) = sum_n (-1)^n C(m, 2n) c^(m-2n) sine^(2n) */
static number cos_multiple(int m, number c, number sine) {
    number sum = 0;
    double binomial = 1;
    for (int n = 0; 2 * n <= m; n++) {
        number term = binomial * (n % 2 ? -1 : 1);
        for (int i = 0; i < m - 2 * n; i++) term *= c;
        for (int i = 0; i < 2 * n; i++) term *= sine;
        sum += term;
        binomial = binomial * (m - 2 * n) / (2 * n + 1) * (m - 2 * n - 1) / (2 * n + 2);
    }
    return sum;
}

/* cos(theta + m) with its tails; m may depend on the norm. */
static number widened(const test_head *h, const pair *at, number m) {
    number wide = at->c * ccos(m) - at->sine * csin(m);
    int beyond = creal(at->theta) + creal(m) > pi;
    switch ((int)test_head_value(h, "tail")) {
    case 0:
        return beyond ? at->c - 1 + ccos(m) : wide;
    case 1:
        return beyond ? at->c - m * csin(m) : wide;
    case 2:
        return beyond ? -wide - 2 : wide;
    case 3:
        return wide;
    case 4:
        return beyond ? -1 : wide;
    default:
        return creal(at->c) > 0 ? wide : at->c;
    }
}

/* (-1)^k cos(phi) - 2k */
static number folded(number phi) {
    double k = floor(creal(phi) / pi);
    return ((int)k % 2 ? -1 : 1) * ccos(phi) - 2 * k;
}

static number psi_blended(const point *p, const pair *at, int64_t y) {
    int m = (int)margin_of(p->h, y);
    double k = fmin(floor(m * creal(at->theta) / pi), m - 1);
    double lambda = lgt_schedule_at(&p->h->loss.schedule, p->h->step);
    number psi = ((int)k % 2 ? -1 : 1) * cos_multiple(m, at->c, at->sine) - 2 * k;
    return (psi + lambda * at->c) / (1 + lambda);
}

static number adaface(const point *p, const pair *at, int64_t i, int64_t y) {
    double quality = p->h->qualities ? p->h->qualities[i] : creal(at->r), m = margin_of(p->h, y);
    double h = test_head_value(p->h, "h") * (quality - p->state[0]) / (p->state[1] + 0.001);
    h = h > 1 ? 1 : h < -1 ? -1 : h;
    return widened(p->h, at, -m * h) - m * h - m;
}

/* a of MagFace. */
static number clipped(const test_head *h, number r) {
    double low = test_head_value(h, "l_a"), high = test_head_value(h, "u_a");
    return creal(r) < low ? low : creal(r) > high ? high : r;
}

/* m(a) of MagFace. */
static number norm_margin(const test_head *h, number r) {
    double low = test_head_value(h, "l_a"), high = test_head_value(h, "u_a"), least = test_head_value(h, "l_m");
    number share = (clipped(h, r) - low) / (high - low);
    return warmth(h) * (least + (test_head_value(h, "u_m") - least) * share);
}

static number combined(const test_head *h, const pair *at, double m) {
    number phi = warm_factor(h, test_head_value(h, "m1")) * at->theta + m;
    return (test_head_value(h, "tail") == 0 ? folded(phi) : ccos(phi)) - warmth(h) * test_head_value(h, "m3");
}

/* z_y from u_y; as every loss defines it. */
static number bent(const point *p, const pair *at, int64_t i, int64_t y, number plain) {
    const test_head *h = p->h;
    const char *name = h->loss.info->name;
    if (strcmp(name, "softmax") == 0 || strcmp(name, "normalized") == 0) return plain;
    if (strcmp(name, "lsoftmax") == 0) return at->r * at->q * psi_blended(p, at, y);
    if (strcmp(name, "sphereface") == 0) return at->r * psi_blended(p, at, y);
    double s = scale_of(h, y);
    if (strcmp(name, "adaface") == 0) return s * adaface(p, at, i, y);
    if (strcmp(name, "magface") == 0) return s * widened(h, at, norm_margin(h, at->r));
    double m = margin_of(h, y);
    if (strcmp(name, "cosface") == 0) return s * (at->c - m);
    if (strcmp(name, "sphereface-r") == 0) return s * folded(m * at->theta);
    if (strcmp(name, "combined") == 0) return s * combined(h, at, m);
    if (strcmp(name, "arcface") == 0 || strcmp(name, "curricularface") == 0 || strcmp(name, "subcenter") == 0)
        return s * widened(h, at, m);
    fail_msg("the oracle does not know the loss %s: add it", name);
    return 0;
}

static number plain_logit(const point *p, const number *x, int64_t j, const pair *at) {
    if (p->h->loss.info->space == LGT_SPACE_COSW) return at->r * at->c;
    if (p->h->loss.info->space == LGT_SPACE_COS) return scale_of(p->h, j) * at->c;
    return bilinear(x, p->w + at->row * p->h->dim, p->h->dim) + (p->h->bias ? p->b[j] : 0);
}

/* Where a loss clamps the target cosine it is the constant 1 - clamp, or its negative. */
static void clamp_cosine(const test_head *h, pair *at) {
    double most = 1 - test_head_value(h, "clamp");
    if (!(most < 1 && fabs(creal(at->c)) > most)) return;
    at->c = creal(at->c) > 0 ? most : -most;
    at->theta = acos(creal(at->c));
    at->sine = sin(creal(at->theta));
}

static number target_logit(const point *p, int64_t i, int64_t y) {
    const number *x = p->x + i * p->h->dim;
    pair at = nearest(p, x, y);
    measure_angle(p, x, &at);
    number plain = plain_logit(p, x, y, &at);
    clamp_cosine(p->h, &at);
    number z = bent(p, &at, i, y, plain);
    if (p->gradient == DETACHED) z = plain + creal(z - plain);
    if (p->gradient == UNIT) z = creal(z);
    return z + p->nudge;
}

static int is_used(const test_head *h, int64_t i) {
    return !(h->labels && h->options.ignore_label != LGT_NO_IGNORE && h->labels[i] == h->options.ignore_label);
}

/* The class of a row, or -1: ignored, or none of its own. */
static int64_t class_of(const test_head *h, int64_t i) {
    return is_used(h, i) && !h->soft_targets ? h->labels[i] : -1;
}

/* Fills p->z, the bent logits of row i; returns the class of the largest plain one. */
static int64_t fill_logits(const point *p, int64_t i) {
    const test_head *h = p->h;
    const number *x = p->x + i * h->dim;
    int64_t y = class_of(h, i), top = 0;
    double most = -INFINITY, brink = 3;
    int hard = strcmp(h->loss.info->name, "curricularface") == 0 && y >= 0;
    if (hard) {
        pair own = nearest(p, x, y);
        measure_angle(p, x, &own);
        brink = cos(creal(own.theta) + margin_of(h, y));
    }
    for (int64_t j = 0; j < h->n_classes; j++) {
        pair at = nearest(p, x, j);
        p->z[j] = plain_logit(p, x, j, &at);
        if (creal(p->z[j]) > most) most = creal(p->z[j]), top = j;
        if (j == y)
            p->z[j] = target_logit(p, i, y);
        else if (hard && creal(at.c) > brink)
            p->z[j] *= p->state[0] + at.c;
    }
    return top;
}

/* lse - z_ref = log(1 + e^d), d = log(sum over the others) - z_ref; ref is the target, or the largest logit. */
static number excess_over(const point *p, int64_t ref) {
    double most = -INFINITY;
    number sum = 0;
    for (int64_t j = 0; j < p->h->n_classes; j++)
        if (j != ref) most = fmax(most, creal(p->z[j]));
    if (most == -INFINITY) return 0;
    for (int64_t j = 0; j < p->h->n_classes; j++)
        if (j != ref) sum += cexp(p->z[j] - most);
    number d = most + clog(sum) - p->z[ref];
    return creal(d) < 0 ? log_one_plus(cexp(d)) : d + log_one_plus(cexp(-d));
}

/* L_i; *lse and *top1 as a run gives them. */
static number row_loss(const point *p, int64_t i, double *lse, int64_t *top1) {
    const test_head *h = p->h;
    int64_t y = class_of(h, i), top = fill_logits(p, i), ref = y;
    double e = h->options.label_smoothing, n = (double)h->n_classes;
    for (int64_t j = 0; y < 0 && j < h->n_classes; j++)
        if (ref < 0 || creal(p->z[j]) > creal(p->z[ref])) ref = j;
    number loss = excess_over(p, ref), all = p->z[ref] + loss;
    if (lse) *lse = creal(all);
    if (top1) *top1 = top;
    if (!is_used(h, i)) return 0;
    for (int64_t j = 0; j < h->n_classes; j++) {
        double target = h->soft_targets ? h->soft_targets[i * h->n_classes + j] : j == y;
        loss += ((1 - e) * target + e / n) * (p->z[ref] - p->z[j]);
    }
    loss += h->options.z_loss * all * all;
    if (strcmp(h->loss.info->name, "magface") == 0) {
        number a = clipped(h, length(p->x + i * h->dim, h->dim));
        double u_a = test_head_value(h, "u_a");
        loss += test_head_value(h, "lambda_g") * (a / (u_a * u_a) + 1 / a);
    }
    return loss;
}

static number *complex_copy(const double *from, int64_t n) {
    number *to = calloc((size_t)n + 1, sizeof *to);
    assert_non_null(to);
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
    return to;
}

/* a_i before the reduction. */
static double row_weight(const test_head *h, int64_t i) {
    double a = h->sample_weights ? h->sample_weights[i] : 1, mixed = 0;
    if (!is_used(h, i)) return 0;
    if (!h->class_weights) return a;
    if (!h->soft_targets) return a * h->class_weights[h->labels[i]];
    for (int64_t j = 0; j < h->n_classes; j++) mixed += h->soft_targets[i * h->n_classes + j] * h->class_weights[j];
    return a * mixed;
}

/* The state: given or the loss's own, moved by the used rows of the batch. */
static void settle_state(point *p) {
    const test_head *h = p->h;
    int first = lgt_loss_param_of(h->loss.info, LGT_ROLE_STATE), adaptive = strcmp(h->loss.info->name, "adaface") == 0;
    int64_t used = 0;
    double sum = 0, squares = 0, mean, ema = test_head_value(h, "ema");
    for (int k = 0; k < lgt_loss_n_state(h->loss.info); k++)
        p->state[k] = h->state ? h->state[k] : h->loss.values[first + k];
    if (first < 0 || h->frozen) return;
    for (int pass = 0; pass < 2; pass++) {
        mean = used ? sum / (double)used : 0;
        sum = 0, used = 0;
        for (int64_t i = 0; i < h->n_rows; i++) {
            if (!is_used(h, i)) continue;
            pair at = nearest(p, p->x + i * h->dim, h->labels[i]);
            double value = !adaptive ? creal(at.c) : h->qualities ? h->qualities[i] : creal(at.r);
            used++, sum += value, squares += pass ? (value - mean) * (value - mean) : 0;
        }
    }
    if (used) p->state[0] = (1 - ema) * p->state[0] + ema * mean;
    if (adaptive && used > 1) p->state[1] = (1 - ema) * p->state[1] + ema * sqrt(squares / (double)(used - 1));
}

/* Returns sum a_i. */
static double open_point(const test_head *h, point *p) {
    *p = (point){.h = h, .gradient = (int)test_head_value(h, "gradient")};
    p->x = complex_copy(h->x, h->n_rows * h->dim);
    p->w = complex_copy(h->w, h->w_rows * h->dim);
    p->b = complex_copy(h->b, h->n_classes);
    p->z = calloc((size_t)h->n_classes, sizeof *p->z);
    p->weight = calloc((size_t)h->n_rows + 1, sizeof *p->weight);
    assert_true(p->z && p->weight);
    double total = 0;
    for (int64_t i = 0; i < h->n_rows; i++) total += p->weight[i] = row_weight(h, i);
    for (int64_t i = 0; i < h->n_rows; i++) {
        if (h->options.reduction == LGT_REDUCTION_MEAN) p->weight[i] = total > 0 ? p->weight[i] / total : 0;
        if (h->options.reduction == LGT_REDUCTION_NONE && h->upstream) p->weight[i] *= h->upstream[i];
    }
    settle_state(p);
    return total;
}

static void close_point(point *p) {
    free(p->x), free(p->w), free(p->b), free(p->z), free(p->weight);
}

/* dJ by the coordinate *at, which rows from `first` up to `end` read. */
static double slope(point *p, number *at, int64_t first, int64_t end) {
    double sum = 0, kept = creal(*at);
    *at = kept + I * step;
    for (int64_t i = first; i < end; i++)
        if (p->weight[i] != 0) sum += p->weight[i] * (cimag(row_loss(p, i, NULL, NULL)) / step);
    *at = kept;
    return sum;
}

/* The gradient of z_y by a vector, over `size`, as a w^ + b x^ (own ^: the vector's direction, other ^: the other's);
 * scaled to a^2 + b^2 = 1 (Eq. 19) and added times g. */
static void add_unit(point *p, int64_t i, number *own, const number *other, const pair *at, double size, double g,
                     double *out) {
    int64_t n = p->h->dim;
    double *z = calloc((size_t)n, sizeof *z), r = creal(length(own, n)), q = creal(length(other, n)), a = 0, b = 0;
    double sine = creal(at->sine), c = creal(at->c);
    for (int64_t k = 0; k < n; k++) {
        double kept = creal(own[k]);
        own[k] = kept + I * step;
        z[k] = cimag(target_logit(p, i, p->h->labels[i])) / step;
        own[k] = kept;
    }
    for (int64_t k = 0; k < n && r > 0 && q > 0; k++) {
        double u = creal(own[k]) / r, v = creal(other[k]) / q;
        a += z[k] * (v - c * u) / (sine * sine), b += z[k] * (u - c * v) / (sine * sine);
    }
    double factor = r > 0 && q > 0 && sine > 1e-15 ? size / hypot(a, b) : 1;
    if (!isfinite(factor)) factor = 0; /* a = b = 0 */
    for (int64_t k = 0; k < n; k++) out[k] += g * factor * z[k];
    free(z);
}

/* gradient=unit: the target logit's part of row i's gradient. */
static void add_unit_target(point *p, int64_t i, test_result *result) {
    const test_head *h = p->h;
    int64_t y = class_of(h, i), n = h->dim;
    number *x = p->x + i * n;
    if (y < 0 || p->weight[i] == 0) return;
    pair at = nearest(p, x, y);
    measure_angle(p, x, &at);
    p->nudge = I * step;
    double g = p->weight[i] * (cimag(row_loss(p, i, NULL, NULL)) / step);
    p->nudge = 0;
    double r = creal(at.r), q = creal(at.q), x_size = q, w_size = r;
    if (h->loss.info->space == LGT_SPACE_COS) x_size = scale_of(h, y) / r, w_size = scale_of(h, y) / q;
    if (h->loss.info->space == LGT_SPACE_COSW) x_size = 1, w_size = r / q;
    p->gradient = EXACT;
    add_unit(p, i, x, p->w + at.row * n, &at, x_size, g, result->dx + i * n);
    add_unit(p, i, p->w + at.row * n, x, &at, w_size, g, result->dw + at.row * n);
    p->gradient = UNIT;
    result->db[y] += g;
}

static void differentiate(point *p, test_result *result) {
    const test_head *h = p->h;
    int64_t n = h->n_rows, d = h->dim;
    for (int64_t k = 0; k < n * d; k++) result->dx[k] = slope(p, p->x + k, k / d, k / d + 1);
    for (int64_t k = 0; k < h->w_rows * d; k++) result->dw[k] = slope(p, p->w + k, 0, n);
    for (int64_t j = 0; j < h->n_classes && h->bias; j++) result->db[j] = slope(p, p->b + j, 0, n);
    for (int64_t i = 0; i < n && p->gradient == UNIT; i++) add_unit_target(p, i, result);
    if (!h->bias) memset(result->db, 0, (size_t)h->n_classes * sizeof(double));
}

test_result brute_run(const test_head *h) {
    point p;
    test_result r = test_result_empty(h);
    r.out.weight = open_point(h, &p);
    for (int64_t i = 0; i < h->n_rows; i++) {
        r.loss_rows[i] = creal(row_loss(&p, i, r.lse + i, r.top1 + i));
        r.out.loss += p.weight[i] * r.loss_rows[i];
        r.out.n_used += is_used(h, i);
        r.out.n_correct += is_used(h, i) && h->labels && r.top1[i] == h->labels[i];
    }
    memcpy(r.out.state, p.state, sizeof p.state);
    differentiate(&p, &r);
    close_point(&p);
    return r;
}

double brute_slope(const test_head *h, const test_vectors *v) {
    point p;
    double sum = 0;
    open_point(h, &p);
    for (int64_t k = 0; k < h->n_rows * h->dim; k++) p.x[k] += I * step * v->x[k];
    for (int64_t k = 0; k < h->w_rows * h->dim; k++) p.w[k] += I * step * v->w[k];
    for (int64_t k = 0; k < h->n_classes; k++) p.b[k] += I * step * v->b[k];
    for (int64_t i = 0; i < h->n_rows; i++)
        if (p.weight[i] != 0) sum += p.weight[i] * (cimag(row_loss(&p, i, NULL, NULL)) / step);
    close_point(&p);
    return sum;
}

/* The distance of phi to the nearest multiple of pi but 0. */
static double fold_distance(double phi) {
    return fabs(phi - pi * fmax(1, round(phi / pi)));
}

/* Where the target logit of row i is not smooth. */
static void target_distances(const point *p, int64_t i, int64_t y, const pair *at, brute_condition *out) {
    const test_head *h = p->h;
    const char *name = h->loss.info->name;
    double theta = creal(at->theta), r = creal(at->r), tail = test_head_value(h, "tail"), m = 0;
    if (test_head_has(h, LGT_ROLE_MARGIN)) m = margin_of(h, y);
    if (strcmp(name, "combined") == 0) {
        if (tail == 0) out->kink = fmin(out->kink, fold_distance(warm_factor(h, test_head_value(h, "m1")) * theta + m));
        tail = NAN;
    }
    if (strncmp(name, "sphereface", 10) == 0 || strcmp(name, "lsoftmax") == 0)
        out->kink = fmin(out->kink, fold_distance(m * theta) / m);
    if (strcmp(name, "adaface") == 0) {
        double quality = h->qualities ? h->qualities[i] : r;
        m *= -fmax(-1, fmin(1, test_head_value(h, "h") * (quality - p->state[0]) / (p->state[1] + 0.001)));
    }
    if (strcmp(name, "magface") == 0) {
        double low = test_head_value(h, "l_a"), high = test_head_value(h, "u_a");
        m = creal(norm_margin(h, at->r));
        out->jump = fmin(out->jump, fmin(fabs(r / low - 1), fabs(r / high - 1)));
    }
    if (test_head_value(h, "clamp") > 0)
        out->jump = fmin(out->jump, fabs(fabs(creal(at->c)) - 1 + test_head_value(h, "clamp")));
    if (tail == 5) out->jump = fmin(out->jump, fabs(creal(at->c)));
    if (tail < 2) out->jump = fmin(out->jump, fabs(theta + m - pi));
    if (tail == 2 || tail == 4) out->kink = fmin(out->kink, fabs(theta + m - pi));
}

/* Where the choice of a centre, or of a hard negative, changes. */
static void choice_distances(const point *p, int64_t i, int64_t y, const pair *own, brute_condition *out) {
    const test_head *h = p->h;
    const number *x = p->x + i * h->dim;
    int64_t centres = h->w_rows / h->n_classes;
    for (int64_t j = 0; j < h->n_classes; j++) {
        pair at = nearest(p, x, j);
        for (int64_t k = j * centres; k < (j + 1) * centres; k++) {
            const number *w = p->w + k * h->dim;
            double norms = creal(at.r) * creal(length(w, h->dim));
            double c = norms > 0 ? creal(bilinear(x, w, h->dim)) / norms : 0;
            if (k != at.row) out->jump = fmin(out->jump, fabs(creal(at.c) - c));
        }
        if (strcmp(h->loss.info->name, "curricularface") == 0 && j != y)
            out->jump = fmin(out->jump, fabs(creal(at.c) - cos(creal(own->theta) + margin_of(h, y))));
    }
}

/* The size of what a plain logit is a sum of. */
static double terms_of(const point *p, const number *x, int64_t j) {
    pair at = nearest(p, x, j);
    if (p->h->loss.info->space == LGT_SPACE_COS) return scale_of(p->h, j);
    if (p->h->loss.info->space == LGT_SPACE_COSW) return creal(at.r);
    return creal(at.r) * creal(at.q) + (p->h->bias ? fabs(creal(p->b[j])) : 0);
}

brute_condition brute_condition_of(const test_head *h) {
    brute_condition out = {1, 0, 1, 1};
    point p;
    open_point(h, &p);
    for (int64_t i = 0; i < h->n_rows; i++) {
        int64_t y = class_of(h, i);
        fill_logits(&p, i);
        for (int64_t j = 0; j < h->n_classes; j++)
            out.logit = fmax(out.logit, fmax(fabs(creal(p.z[j])), terms_of(&p, p.x + i * h->dim, j)));
        if (y < 0) continue;
        pair own = nearest(&p, p.x + i * h->dim, y);
        measure_angle(&p, p.x + i * h->dim, &own);
        out.sine = fmin(out.sine, creal(own.sine));
        target_distances(&p, i, y, &own, &out);
        choice_distances(&p, i, y, &own, &out);
    }
    out.kink = fmin(out.kink, out.jump);
    close_point(&p);
    return out;
}
