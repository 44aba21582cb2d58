/* Roots of the secular equation by rational interpolation with the two neighbouring poles (Li, "Solving secular
 * equations stably and efficiently", LAPACK working note 89, 1993), inside a bracket. */
#include "math/secular.h"

#include <float.h>
#include <math.h>

/* Interpolation takes a handful of steps. Every eighth halves the bracket in magnitude, whatever interpolation
 * proposes, so that it cannot creep; the limit ends what rounding keeps alive. */
enum { MOST_STEPS = 200, HALVE_EVERY = 8 };

/* The sum at a point, in two parts: poles below the root and poles above it, with their slopes. */
typedef struct sides {
    double below, above, below_slope, above_slope;
} sides;

static sides sum_at(const double *d, const double *w, int64_t n, int64_t i, lgt_root at) {
    sides s = {0, 0, 0, 0};
    for (int64_t j = 0; j < n; j++) {
        double gap = lgt_secular_gap(d, j, at), term = w[j] / gap;
        if (j <= i)
            s.above += term, s.above_slope += term / gap;
        else
            s.below += term, s.below_slope += term / gap;
    }
    return s;
}

/* The change of offset that makes r + a/(below - x) + b/(above - x) vanish, both sides' values and slopes being
 * matched; NaN where there is none. Distances are in units of the larger one. */
static double step_from(sides s, double below, double above) {
    double unit = fmax(-below, above), l = below / unit, u = above / unit, f = s.below + s.above;
    double c = (s.below - s.below_slope * below) + (s.above - s.above_slope * above);
    double b = c * (l + u) + s.below_slope * below * l + s.above_slope * above * u;
    double root = sqrt(b * b - 4 * c * l * u * f);
    return unit * (b > 0 ? 2 * l * u * f / (b + root) : (b - root) / (2 * c));
}

/* Between lo and hi of one sign, one of which may be 0: halfway in magnitude. */
static double between(double lo, double hi) {
    double sign = lo < 0 ? -1 : 1, small = fmin(fabs(lo), fabs(hi)), large = fmax(fabs(lo), fabs(hi));
    return sign * (small > 0 ? sqrt(small) * sqrt(large) : large / 1024);
}

double lgt_secular_gap(const double *d, int64_t j, lgt_root root) {
    return (d[j] - d[root.pole]) - root.offset;
}

lgt_root lgt_secular_root(const double *d, const double *w, int64_t n, int64_t i) {
    double half = (d[i] - d[i + 1]) / 2;
    lgt_root at = {i + 1, half};
    sides s = sum_at(d, w, n, i, at);
    if (s.below + s.above < 0) at = (lgt_root){i, -half}; /* the sum rises: the root is in the upper half */
    double lo = at.pole == i ? -half : 0, hi = at.pole == i ? 0 : half;
    for (int step = 0; step < MOST_STEPS; step++) {
        double f = s.below + s.above, noise = DBL_EPSILON * (s.above - s.below);
        if (fabs(f) <= noise) break;
        if (f < 0)
            lo = at.offset;
        else
            hi = at.offset;
        double next = at.offset + step_from(s, lgt_secular_gap(d, i + 1, at), lgt_secular_gap(d, i, at));
        if (!(next > lo && next < hi) || step % HALVE_EVERY == HALVE_EVERY - 1) next = between(lo, hi);
        if (!(next > lo && next < hi) || next == at.offset) break;
        at.offset = next;
        s = sum_at(d, w, n, i, at);
    }
    return at;
}
