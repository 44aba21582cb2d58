/* Every field of a bend against four-point differences of the field below it. */
#include "bends.h"

#include <math.h>
#include <stddef.h>

#include "support.h"

lgt_pair pair_at(double theta, double r, double q) {
    return (lgt_pair){cos(theta), sin(theta), theta, r, q, r};
}

lgt_bend bend_at(const lgt_loss *loss, const lgt_pair *pair) {
    lgt_bend bend;
    lgt_loss_bend(loss, pair, 0, &bend);
    return bend;
}

enum { THETA, R, Q };

#define FIELD(name) offsetof(lgt_bend, name)
#define SLOPE(of, by, axis)                                                                                            \
    { #of " from " #by, FIELD(of), FIELD(by), axis }

/* Mixed derivatives both ways. No field holds a curvature in q: there is none. */
static const struct {
    const char *name;
    size_t derivative, function;
    int axis;
} slopes[] = {
    SLOPE(d_theta, value, THETA),         SLOPE(d_r, value, R),         SLOPE(d_q, value, Q),
    SLOPE(d_theta_theta, d_theta, THETA), SLOPE(d_theta_r, d_theta, R), SLOPE(d_theta_q, d_theta, Q),
    SLOPE(d_theta_r, d_r, THETA),         SLOPE(d_r_r, d_r, R),         SLOPE(d_r_q, d_r, Q),
    SLOPE(d_theta_q, d_q, THETA),         SLOPE(d_r_q, d_q, R),         SLOPE(penalty_r, penalty, R),
    SLOPE(penalty_r_r, penalty_r, R),
};

static double field(const lgt_bend *bend, size_t offset) {
    return *(const double *)(const void *)((const char *)bend + offset);
}

static double difference(const lgt_loss *loss, const lgt_pair *pair, size_t function, int axis, double h) {
    static const double weights[] = {1, -8, 8, -1}, steps[] = {-2, -1, 1, 2};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        lgt_pair at = *pair;
        double move = steps[i] * h;
        if (axis == THETA) at = pair_at(pair->theta + move, pair->r, pair->q), at.quality = pair->quality;
        if (axis == R) at.r += move;
        if (axis == Q) at.q += move;
        lgt_bend bend = bend_at(loss, &at);
        sum += weights[i] * field(&bend, function);
    }
    return sum / (12 * h);
}

/* The scale of a field: every derivative divides by the scale of its axis. */
static double size_of(size_t function, const double scale[3], double size) {
    if (function == FIELD(d_theta)) return size / scale[THETA];
    if (function == FIELD(d_r) || function == FIELD(penalty_r)) return size / scale[R];
    return function == FIELD(d_q) ? size / scale[Q] : size;
}

void check_bend(const char *spec, const lgt_loss *loss, const lgt_pair *pair, double turns, double size) {
    double scale[3] = {1 / turns, pair->r, pair->q};
    lgt_bend bend = bend_at(loss, pair);
    for (size_t i = 0; i < sizeof slopes / sizeof *slopes; i++) {
        int axis = slopes[i].axis;
        double found = field(&bend, slopes[i].derivative);
        double error = fabs(found - difference(loss, pair, slopes[i].function, axis, 1e-3 * scale[axis]));
        /* Truncation h^4 f'''''/30 and rounding eps f / h, with h = 1e-3 of the scale of change, are both below 1e-11
         * of f over that scale; a value at a multiple of the angle carries turns^2 roundings. */
        double limit = 1e-11 * turns * turns * size_of(slopes[i].function, scale, size) / scale[axis];
        if (!(error <= limit))
            fail_msg("%s: %s at theta %.17g, r %g, q %g is %.17g, off by %.3g, expected at most %.3g", spec,
                     slopes[i].name, pair->theta, pair->r, pair->q, found, error, limit);
    }
    double curved = fabs(difference(loss, pair, FIELD(d_q), Q, 1e-3 * scale[Q]));
    if (!(curved <= 1e-11 * turns * turns * size / (scale[Q] * scale[Q])))
        fail_msg("%s: curved in q by %.3g at theta %.17g", spec, curved, pair->theta);
}
