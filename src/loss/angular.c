/* The angular margin s (cos(theta + m) - cos(theta)) and what may follow it where theta + m > pi (Eq. 8). */
#include "loss/angular.h"

#include <math.h>

#include "math/sphere.h"

enum { CONTINUOUS, COSFACE, FOLD, NONE, CLIP, EASY };

const char *const lgt_tail_words[] = {"continuous", "cosface", "fold", "none", "clip", "easy", NULL};

/* 1 - cos m = 2 sin^2(m/2), so that small margins keep their digits. */
static lgt_margin_slopes widen(double s, double m, const lgt_pair *pair, lgt_bend *out) {
    double half = sin(m / 2), versine = 2 * half * half, sine_m = sin(m);
    double cosine = pair->c * (1 - versine) - pair->sine * sine_m, sine = pair->sine * (1 - versine) + pair->c * sine_m;
    out->value = -s * (versine * pair->c + sine_m * pair->sine);
    out->d_theta = s * (versine * pair->sine - sine_m * pair->c);
    out->d_theta_theta = -out->value;
    return (lgt_margin_slopes){-s * sine, -s * cosine, -s * cosine};
}

lgt_margin_slopes lgt_angular_bend(double s, double m, int tail, const lgt_pair *pair, lgt_bend *out) {
    double half = sin(m / 2), phi = pair->theta + m;
    if (tail == EASY) return pair->c > 0 ? widen(s, m, pair, out) : (lgt_margin_slopes){0};
    if (phi <= LGT_PI || tail == NONE) return widen(s, m, pair, out);
    if (tail == CONTINUOUS) {
        out->value = -2 * s * half * half;
        return (lgt_margin_slopes){-s * sin(m), -s * cos(m), 0};
    }
    if (tail == COSFACE) {
        out->value = -s * m * sin(m);
        return (lgt_margin_slopes){-s * (sin(m) + m * cos(m)), -s * (2 * cos(m) - m * sin(m)), 0};
    }
    if (tail == FOLD) {
        out->value = -s * (cos(phi) + 2 + pair->c);
        out->d_theta = s * (sin(phi) + pair->sine);
        out->d_theta_theta = s * (cos(phi) + pair->c);
        return (lgt_margin_slopes){s * sin(phi), s * cos(phi), s * cos(phi)};
    }
    out->value = -s * (1 + pair->c);
    out->d_theta = s * pair->sine;
    out->d_theta_theta = s * pair->c;
    return (lgt_margin_slopes){0};
}
