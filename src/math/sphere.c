/* Norms, directions, angles and tangents (Eq. 3, 4). */
#include "math/sphere.h"

#include <math.h>

#include "base/compiler.h"

enum { LANES = 8 };

LGT_INLINE double total(const double *lane) {
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

LGT_WIDENED static double dot(const double *a, const double *b, int64_t n) {
    double lane[LANES] = {0};
    int64_t k = 0;
    for (; k + LANES <= n; k += LANES)
        for (int l = 0; l < LANES; l++) lane[l] += a[k + l] * b[k + l];
    for (int l = 0; k < n; k++, l++) lane[l] += a[k] * b[k];
    return total(lane);
}

double lgt_dot(const double *a, const double *b, int64_t n) {
    return dot(a, b, n);
}

LGT_WIDENED static void divide(const double *v, int64_t n, double norm, double *out) {
    for (int64_t k = 0; k < n; k++) out[k] = v[k] / norm; /* a one-hot vector stays exactly so */
}

/* The largest modulus; NaN is passed over. Comparisons, since fmax is a call, and lanes that the compiler can pair. */
static double largest_of(const double *v, int64_t n) {
    double lane[LANES] = {0}, largest = 0;
    int64_t k = 0;
    for (; k + LANES <= n; k += LANES)
        for (int l = 0; l < LANES; l++) lane[l] = fabs(v[k + l]) > lane[l] ? fabs(v[k + l]) : lane[l];
    for (; k < n; k++) largest = fmax(largest, fabs(v[k]));
    for (int l = 0; l < LANES; l++) largest = fmax(largest, lane[l]);
    return largest;
}

/* Squares of such a sum have neither overflowed nor vanished. */
static const double square_least = 1e-280, square_most = 1e280;

double lgt_unit(const double *v, int64_t n, double *unit) {
    double square = lgt_dot(v, v, n);
    if (square > square_least && square < square_most) {
        double norm = sqrt(square);
        divide(v, n, norm, unit);
        return norm;
    }
    double largest = largest_of(v, n);
    if (largest == 0) {
        for (int64_t k = 0; k < n; k++) unit[k] = 0;
        return square; /* 0, or NaN where one is among zeros */
    }
    int exponent;
    frexp(largest, &exponent);
    /* Two factors, since 2^-exponent alone overflows for subnormal vectors. */
    double half = ldexp(1, -exponent / 2), rest = ldexp(1, -exponent - (-exponent / 2));
    for (int64_t k = 0; k < n; k++) unit[k] = v[k] * half * rest;
    double scaled = sqrt(lgt_dot(unit, unit, n));
    divide(unit, n, scaled, unit);
    return ldexp(scaled, exponent);
}

/* t = to - c at - radial at, the part of `to` across `at`; radial: what is left of it along `at` once c is taken. A
 * number of it, the same wherever it is computed. */
LGT_INLINE double rest(const double *at, const double *to, double c, double radial, int64_t k) {
    return to[k] - c * at[k] - radial * at[k];
}

/* sum t_k at_k or, squared, sum t_k^2, without a place for t. */
LGT_INLINE double sum_of_rest(const double *at, const double *to, double c, double radial, int64_t n, int squared) {
    double lane[LANES] = {0};
    int64_t k = 0;
    for (; k + LANES <= n; k += LANES)
        for (int l = 0; l < LANES; l++) {
            double t = rest(at, to, c, radial, k + l);
            lane[l] += t * (squared ? t : at[k + l]);
        }
    for (int l = 0; k < n; k++, l++) {
        double t = rest(at, to, c, radial, k);
        lane[l] += t * (squared ? t : at[k]);
    }
    return total(lane);
}

/* |to - c at|, orthogonalised twice: once leaves a radial part of eps / theta. t, or NULL: its direction. */
LGT_WIDENED static double tangent(const double *at, const double *to, double c, int64_t n, double *t) {
    double radial = sum_of_rest(at, to, c, 0, n, 0), sine = sqrt(sum_of_rest(at, to, c, radial, n, 1));
    double scale = sine < LGT_SINE_LEAST ? 0 : 1 / sine;
    for (int64_t k = 0; t && k < n; k++) t[k] = rest(at, to, c, radial, k) * scale;
    return sine;
}

lgt_angle lgt_angle_between(const double *a, const double *b, int64_t n, double *t_a, double *t_b) {
    lgt_angle angle;
    angle.c = fmax(-1, fmin(1, lgt_dot(a, b, n)));
    if (t_b) angle.sine = tangent(b, a, angle.c, n, t_b);
    if (t_a || !t_b) angle.sine = tangent(a, b, angle.c, n, t_a);
    if (angle.sine < LGT_SINE_LEAST) angle.sine = 0;
    angle.theta = atan2(angle.sine, angle.c);
    return angle;
}
