/* The target logit of a loss as a function of the angle alone. */
#ifndef LGT_ANALYSIS_TARGET_CURVE_H
#define LGT_ANALYSIS_TARGET_CURVE_H

#include "logitude/loss.h"

typedef struct lgt_target_curve {
    const lgt_loss *loss;
    int64_t step;
    double r, q;
    double scale; /* of the plain logit: s, |x| |w| or |x| */
} lgt_target_curve;

/* The logit and its derivatives by theta. */
typedef struct lgt_target_point {
    double value, slope, curvature;
} lgt_target_point;

/* USAGE unless step >= 0 and r, q lie in (0, 1e100]. */
lgt_status lgt_target_curve_open(const lgt_loss *loss, int64_t step, double r, double q, lgt_target_curve *out,
                                 lgt_error *err);
lgt_target_point lgt_target_curve_at(const lgt_target_curve *curve, double theta);

/* |slope| over the plain head's; within 1e-6 of 0 and pi, where both vanish, that of 1e-6 away. */
double lgt_target_force_ratio(const lgt_target_curve *curve, double theta);

#endif
