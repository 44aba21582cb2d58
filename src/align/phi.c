/* The falling functions of direction alignment (Eq. 141). */
#include "align/phi.h"

#include <math.h>

#include "align/align_terms.h"

/* -log((1+u)/2), below its least argument continued as a straight line: finite, convex, with a continuous slope. */
static lgt_phi log_at(double u) {
    const double least = LGT_PHI_LOG_LEAST;
    double v = 1 + u;
    if (v >= least) return (lgt_phi){-log(v / 2), 1 / v};
    return (lgt_phi){-log(least / 2) + (least - v) / least, 1 / least};
}

lgt_phi lgt_phi_at(int kind, double tau, double u) {
    switch (kind) {
    case LGT_PHI_SQUARE:
        return (lgt_phi){(1 - u) * (1 - u), 2 * (1 - u)};
    case LGT_PHI_HINGE:
        return u < tau ? (lgt_phi){tau - u, 1} : (lgt_phi){0, 0};
    case LGT_PHI_LOG:
        return log_at(u);
    case LGT_PHI_EXP:
        return (lgt_phi){exp(-u / tau), exp(-u / tau) / tau};
    default:
        return (lgt_phi){-u, 1};
    }
}
