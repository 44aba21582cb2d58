/* log sum exp(z) = m + log sum exp(z - m), m = max z (Eq. 7), one part at a time. */
#include "math/lse.h"

#include <math.h>

lgt_lse lgt_lse_empty(void) {
    return (lgt_lse){-INFINITY, 0};
}

lgt_lse lgt_lse_merge(lgt_lse a, lgt_lse b) {
    if (b.sum == 0 || b.max == -INFINITY) return a; /* -inf - -inf would be NaN */
    if (a.sum == 0 || a.max == -INFINITY) return b;
    if (a.max >= b.max) return (lgt_lse){a.max, a.sum + b.sum * exp(b.max - a.max)};
    return (lgt_lse){b.max, b.sum + a.sum * exp(a.max - b.max)};
}

double lgt_lse_value(lgt_lse a) {
    return a.sum == 0 ? -INFINITY : a.max + log(a.sum);
}

double lgt_softplus(double d) {
    return d > 0 ? d + log1p(exp(-d)) : log1p(exp(d));
}

double lgt_sigmoid(double d) {
    double e = exp(-fabs(d));
    return d >= 0 ? 1 / (1 + e) : e / (1 + e);
}
