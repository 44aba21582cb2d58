/* The largest singular value of a matrix of weights with a proven upper bound (Eq. 120 to 122). */
#include <float.h>
#include <math.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "base/sizes.h"
#include "engine/element.h"
#include "logitude/curvature.h"
#include "math/sphere.h"

/* PANEL columns at a time of a long matrix, by GRAM_ROWS rows a task; Lanczos' first look after FIRST_STEPS. ALL_ZERO:
 * no double has this exponent. */
enum { PANEL = 256, GRAM_ROWS = 16, FIRST_STEPS = 32, START_STREAM = 120, ALL_ZERO = -4000 };

/* How far mu lies above the value that Lanczos found, relative. */
static const double least_gap = 2e-10;

typedef struct spectral {
    lgt_context *context;
    lgt_view w;
    int centred, directions;
    int64_t k, n, width;                      /* the smaller side, the larger, and how much of it a panel holds */
    int before, after;                        /* rows are scaled by 2^-before, and when centred by 2^-after */
    double *mean, *shift;                     /* (D) of the rows, and of what is left without it */
    double *row;                              /* (D) */
    double *panel;                            /* (k, width) */
    double *gram, *factor;                    /* (k, k) */
    double *alpha, *beta, *now, *last, *next; /* Lanczos: the tridiagonal matrix (most), three vectors (k) */
    int64_t panel_width;                      /* of the present panel */
    int64_t most, steps;                      /* of Lanczos */
} spectral;

static void scale_by(double *row, int64_t n, int exponent) {
    int half = exponent / 2; /* 2^exponent itself may exceed the range */
    double first = ldexp(1, half), second = ldexp(1, exponent - half);
    for (int64_t k = 0; k < n; k++) row[k] = row[k] * first * second;
}

/* --- The matrix --- */

/* Row i as it was asked for, into s->row. */
static void load(spectral *s, int64_t i, int centred) {
    int64_t d = s->w.cols;
    lgt_row_load(s->w, i, s->row);
    if (s->directions)
        lgt_unit(s->row, d, s->row);
    else
        scale_by(s->row, d, -s->before);
    if (!centred) return;
    for (int64_t k = 0; k < d; k++) s->row[k] = (s->row[k] - s->mean[k]) - s->shift[k];
    scale_by(s->row, d, -s->after);
}

/* The exponent of the largest modulus over all rows; ALL_ZERO when there is none. */
static lgt_status survey(spectral *s, int centred, int *exponent, lgt_error *err) {
    double largest = 0;
    for (int64_t i = 0; i < s->w.rows; i++) {
        load(s, i, centred);
        for (int64_t k = 0; k < s->w.cols; k++) {
            if (!isfinite(s->row[k])) return lgt_row_not_finite(s->w, i, "w", err);
            largest = fmax(largest, fabs(s->row[k]));
        }
    }
    *exponent = ALL_ZERO;
    if (largest > 0) frexp(largest, exponent);
    return LGT_OK;
}

/* Twice: the mean of what is left corrects the rounding of the first, which rows far from 0 would notice. */
static void find_mean(spectral *s) {
    double count = (double)s->w.rows;
    for (int64_t i = 0; i < s->w.rows; i++) {
        load(s, i, 0);
        for (int64_t k = 0; k < s->w.cols; k++) s->shift[k] += s->row[k] / count;
    }
    for (int64_t k = 0; k < s->w.cols; k++) s->mean[k] = s->shift[k], s->shift[k] = 0;
    for (int64_t i = 0; i < s->w.rows; i++) {
        load(s, i, 0);
        for (int64_t k = 0; k < s->w.cols; k++) s->shift[k] += (s->row[k] - s->mean[k]) / count;
    }
}

/* Entries from `at` on of every line along the larger side. */
static void fill_panel(spectral *s, int64_t at) {
    int by_column = s->w.cols <= s->w.rows;
    s->panel_width = lgt_min64(s->width, s->n - at);
    if (by_column)
        for (int64_t t = 0; t < s->panel_width; t++) {
            load(s, at + t, s->centred);
            for (int64_t k = 0; k < s->k; k++) s->panel[k * s->width + t] = s->row[k];
        }
    else
        for (int64_t i = 0; i < s->k; i++) {
            load(s, i, s->centred);
            for (int64_t t = 0; t < s->panel_width; t++) s->panel[i * s->width + t] = s->row[at + t];
        }
}

static void add_gram_rows(void *argument, int64_t index, int worker) {
    spectral *s = argument;
    int64_t end = lgt_min64((index + 1) * GRAM_ROWS, s->k);
    (void)worker;
    for (int64_t i = index * GRAM_ROWS; i < end; i++)
        for (int64_t j = 0; j <= i; j++)
            s->gram[i * s->k + j] += lgt_dot(s->panel + i * s->width, s->panel + j * s->width, s->panel_width);
}

static void make_gram(spectral *s) {
    for (int64_t at = 0; at < s->n; at += s->width) {
        fill_panel(s, at);
        lgt_parallel_for(s->context, lgt_ceil_div(s->k, GRAM_ROWS), add_gram_rows, s);
    }
    for (int64_t i = 0; i < s->k; i++)
        for (int64_t j = 0; j < i; j++) s->gram[j * s->k + i] = s->gram[i * s->k + j];
}

/* --- The value: Lanczos on the Gram matrix, for eigenvalues alone --- */

static void lanczos_start(spectral *s) {
    lgt_rng rng = {0, START_STREAM};
    for (int64_t i = 0; i < s->k; i++) s->now[i] = lgt_rng_normal(&rng, (uint64_t)i), s->last[i] = 0;
    lgt_unit(s->now, s->k, s->now);
}

/* Steps up to `until`; fewer when the vectors span an invariant space, which ends it. Lost orthogonality only repeats
 * eigenvalues. */
static void lanczos_continue(spectral *s, int64_t until) {
    for (; s->steps < until; s->steps++) {
        int64_t step = s->steps;
        double before = step ? s->beta[step - 1] : 0, *spare = s->last;
        for (int64_t i = 0; i < s->k; i++) s->next[i] = lgt_dot(s->gram + i * s->k, s->now, s->k) - before * s->last[i];
        double a = s->alpha[step] = lgt_dot(s->next, s->now, s->k);
        for (int64_t i = 0; i < s->k; i++) s->next[i] -= a * s->now[i];
        double b = s->beta[step] = lgt_unit(s->next, s->k, s->next);
        if (b <= 4 * DBL_EPSILON * fabs(s->alpha[0])) s->most = s->steps + 1, until = s->most;
        s->last = s->now, s->now = s->next, s->next = spare;
    }
}

/* Whether x lies above all eigenvalues of the tridiagonal matrix: all pivots of T - x I are negative. */
static int is_above(const spectral *s, double x) {
    double pivot = s->alpha[0] - x;
    for (int64_t i = 1; pivot < 0 && i < s->steps; i++)
        pivot = s->alpha[i] - x - s->beta[i - 1] * (s->beta[i - 1] / pivot);
    return pivot < 0;
}

static double largest_ritz(const spectral *s, double trace) {
    double low = 0, high = 2 * trace;
    for (int i = 0; i < 200; i++) {
        double middle = low + (high - low) / 2;
        if (middle <= low || middle >= high) break;
        if (is_above(s, middle))
            high = middle;
        else
            low = middle;
    }
    return high;
}

/* --- The bound --- */

/* Cholesky's factorisation of mu I - G; 0 where it stops. */
static int factorises(spectral *s, double mu) {
    for (int64_t i = 0; i < s->k; i++) {
        double *row = s->factor + i * s->k;
        const double *g = s->gram + i * s->k;
        for (int64_t j = 0; j < i; j++) {
            const double *other = s->factor + j * s->k;
            row[j] = (-g[j] - lgt_dot(row, other, j)) / other[j];
        }
        double pivot = (mu - g[i]) - lgt_dot(row, row, i);
        if (!(pivot > 0)) return 0;
        row[i] = sqrt(pivot);
    }
    return 1;
}

/* Roundings a term of lgt_dot passes through, those around it included, each at most DBL_EPSILON / 2. */
static double roundings(int64_t n) {
    return (double)(n / 8 + 16) * DBL_EPSILON;
}

/* From |G| <= mu of the computed Gram matrix to the matrix itself (Eq. 121, 122). */
static double bound(const spectral *s, double mu, double trace) {
    double rows = sqrt((double)s->w.rows),
           shift = s->centred ? ldexp(sqrt(lgt_dot(s->shift, s->shift, s->w.cols)), -s->after) : 0;
    double sums = roundings(lgt_min64(s->width, s->n)) + (double)(s->n / s->width) * DBL_EPSILON;
    double square = mu * (1 + DBL_EPSILON + roundings(s->k) * (double)s->k) + sums * trace * (1 + sums);
    double upper = sqrt(square) * (1 + 4 * DBL_EPSILON);
    if (s->centred) upper += 2 * DBL_EPSILON * (sqrt(trace * (1 + sums)) + rows * shift);
    return upper * (1 + 4 * DBL_EPSILON);
}

/* mu as near the value as it can be proven. */
static void find(spectral *s, double *value, double *upper) {
    double trace = 0, theta = 0, gap = least_gap + 4 * roundings(s->k) * (double)s->k, mu;
    for (int64_t i = 0; i < s->k; i++) trace += s->gram[i * s->k + i];
    lanczos_start(s);
    for (int64_t until = FIRST_STEPS;; until *= 2) {
        double before = theta;
        lanczos_continue(s, lgt_min64(until, s->most));
        theta = largest_ritz(s, trace);
        mu = theta * (1 + gap);
        int is_last = s->steps >= s->most;
        if (!is_last && fabs(theta - before) > 1e-13 * theta) continue;
        if (factorises(s, mu)) break;
        if (is_last) gap *= 10;
    }
    *value = sqrt(theta);
    *upper = fmax(bound(s, mu, trace), *value);
}

/* --- The call --- */

static lgt_status check(lgt_view w, lgt_error *err) {
    if (w.dtype != LGT_F32 && w.dtype != LGT_F64)
        return lgt_fail(err, LGT_ERR_USAGE, "w is %s, expected f32 or f64", lgt_dtype_name(w.dtype));
    if (w.rows < 0 || w.cols < 0 || w.ld < w.cols || (!w.data && w.rows > 0 && w.cols > 0))
        return lgt_fail(err, LGT_ERR_USAGE, "w is (%lld, %lld) with ld %lld%s", (long long)w.rows, (long long)w.cols,
                        (long long)w.ld, w.data ? "" : ", and has no data");
    return LGT_OK;
}

static lgt_status reserve(spectral *s, lgt_error *err) {
    int64_t squares = 0, panel = 0, d = s->w.cols;
    s->k = lgt_min64(s->w.rows, d);
    s->n = lgt_max64(s->w.rows, d);
    s->width = d <= s->w.rows ? lgt_min64(PANEL, s->n) : s->n;
    s->most = 4 * s->k + FIRST_STEPS;
    if (!lgt_count_mul(s->k, s->k, &squares) || !lgt_count_mul(s->k, s->width, &panel))
        return lgt_fail(err, LGT_ERR_MEMORY, "the Gram matrix of %lld lines is too large", (long long)s->k);
    lgt_status status = LGT_NEW_ZERO(s->context, &s->gram, squares, err);
    if (!status) status = LGT_NEW(s->context, &s->factor, squares, err);
    if (!status) status = LGT_NEW(s->context, &s->panel, panel, err);
    if (!status) status = LGT_NEW_ZERO(s->context, &s->mean, 3 * d, err);
    if (!status) status = LGT_NEW(s->context, &s->alpha, 2 * s->most + 3 * s->k, err);
    if (status) return status;
    s->shift = s->mean + d, s->row = s->mean + 2 * d;
    s->beta = s->alpha + s->most, s->now = s->beta + s->most, s->last = s->now + s->k, s->next = s->last + s->k;
    return LGT_OK;
}

/* What lengths of rows and scaling lose: little, but what is left without the mean may be less. */
static double slack(const spectral *s) {
    double lost = s->directions ? roundings(s->w.cols) * sqrt((double)s->w.rows) : 0;
    return lost + (s->centred ? ldexp(sqrt((double)s->k) * sqrt((double)s->n), s->before - 1073) : 0);
}

static lgt_status compute(spectral *s, double *norm, double *upper, lgt_error *err) {
    int exponent, directions = s->directions;
    s->directions = 0; /* for the lengths of the rows as they are */
    lgt_status status = survey(s, 0, &exponent, err);
    if (status || exponent == ALL_ZERO || (s->centred && s->w.rows == 1)) return status;
    if (directions)
        s->directions = 1;
    else
        s->before = exponent;
    if (s->centred) {
        find_mean(s);
        status = survey(s, 1, &exponent, err);
        if (status) return status;
        s->after = exponent == ALL_ZERO ? 0 : exponent;
    }
    *upper = slack(s);
    if (exponent == ALL_ZERO) return LGT_OK;
    double lost = *upper;
    make_gram(s);
    find(s, norm, upper);
    *norm = ldexp(*norm, s->before + s->after);
    *upper = nextafter(ldexp(*upper, s->before + s->after) + lost, INFINITY);
    if (!isfinite(*upper)) return lgt_fail(err, LGT_ERR_NONFINITE, "the norm of w exceeds the range of double");
    return LGT_OK;
}

lgt_status lgt_spectral_norm(lgt_context *context, lgt_view w, int centred, int directions, double *norm, double *upper,
                             lgt_error *err) {
    spectral s = {.context = context, .w = w, .centred = centred != 0, .directions = directions != 0};
    lgt_status status = check(w, err);
    *norm = *upper = 0;
    if (status || w.rows == 0 || w.cols == 0) return status ? status : lgt_succeed(err);
    status = reserve(&s, err);
    if (!status) status = compute(&s, norm, upper, err);
    lgt_release(context, s.alpha);
    lgt_release(context, s.mean);
    lgt_release(context, s.panel);
    lgt_release(context, s.factor);
    lgt_release(context, s.gram);
    return status ? status : lgt_succeed(err);
}
