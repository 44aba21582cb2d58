/* Evaluates z_y(theta) = u_y + B(theta, r, q) (Eq. 2, 5) with its derivatives, for fixed norms and step. */
#include "analysis/target_curve.h"

#include <math.h>

#include "base/error.h"
#include "logitude/analysis.h"
#include "math/sphere.h"

/* Closer to 0 or pi than this, quotients of two vanishing forces are rounding noise. */
static const double end = 1e-6;

lgt_status lgt_target_curve_open(const lgt_loss *loss, int64_t step, double r, double q, lgt_target_curve *out,
                                 lgt_error *err) {
    if (step < 0) return lgt_fail(err, LGT_ERR_USAGE, "step is %lld, expected at least 0", (long long)step);
    if (!(r > 0 && r <= 1e100 && q > 0 && q <= 1e100))
        return lgt_fail(err, LGT_ERR_USAGE, "the norms are %g and %g, expected more than 0 and at most 1e100", r, q);
    *out = (lgt_target_curve){loss, step, r, q, loss->info->space == LGT_SPACE_DOT ? r * q : r};
    if (loss->info->space == LGT_SPACE_COS) out->scale = lgt_loss_value(loss, "s");
    return LGT_OK;
}

lgt_target_point lgt_target_curve_at(const lgt_target_curve *curve, double theta) {
    lgt_pair pair = {cos(theta), sin(theta), theta, curve->r, curve->q, curve->r};
    lgt_bend bend;
    lgt_loss_bend(curve->loss, &pair, curve->step, &bend);
    return (lgt_target_point){curve->scale * pair.c + bend.value, bend.d_theta - curve->scale * pair.sine,
                              bend.d_theta_theta - curve->scale * pair.c};
}

double lgt_target_force_ratio(const lgt_target_curve *curve, double theta) {
    double at = fmax(end, fmin(LGT_PI - end, theta));
    return fabs(lgt_target_curve_at(curve, at).slope) / (curve->scale * sin(at));
}

double lgt_lint_norm(const lgt_loss *loss) {
    double low = lgt_loss_value(loss, "l_a"), high = lgt_loss_value(loss, "u_a"), mean = lgt_loss_value(loss, "mean");
    if (high > low) return low + (high - low) / 2;
    return mean > 0 && mean <= 1e100 ? mean : 1;
}

lgt_status lgt_lint_draw(const lgt_loss *loss, int64_t step, double r, double q, int64_t n, const lgt_lint_curve *out,
                         lgt_error *err) {
    lgt_target_curve curve = {0};
    lgt_status status = lgt_target_curve_open(loss, step, r, q, &curve, err);
    if (!status && n < 2) status = lgt_fail(err, LGT_ERR_USAGE, "a curve of %lld points", (long long)n);
    if (status) return status;
    for (int64_t i = 0; i < n; i++) {
        double theta = i == n - 1 ? LGT_PI : LGT_PI * (double)i / (double)(n - 1);
        lgt_target_point point = lgt_target_curve_at(&curve, theta);
        if (out->theta) out->theta[i] = theta;
        if (out->logit) out->logit[i] = point.value;
        if (out->force) out->force[i] = 0 - point.slope;
        if (out->plain_logit) out->plain_logit[i] = curve.scale * cos(theta);
        if (out->plain_force) out->plain_force[i] = curve.scale * sin(theta);
    }
    return lgt_succeed(err);
}
