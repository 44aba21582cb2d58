/* MagFace: the margin grows with the feature's norm, and a penalty keeps the norm in range,
 *   z_y = s cos(theta + m(a)),  L += lambda_g (a / u_a^2 + 1 / a),  a = clip(|x|, l_a, u_a),
 *   m(a) = l_m + (u_m - l_m) (a - l_a) / (u_a - l_a)                                                  (Eq. 29)
 * The gradient flows through m(a). */
#include <math.h>

#include "base/error.h"
#include "loss/angular.h"
#include "math/sphere.h"

enum { S, L_M, U_M, L_A, U_A, LAMBDA, TAIL };

static const lgt_param_info params[] = {
    LGT_PARAM_SCALE("64"),
    {"l_m", LGT_PARAM_ANGLE, "0.45", 0, LGT_PI, NULL, "margin of the shortest features", LGT_ROLE_FIXED},
    {"u_m", LGT_PARAM_ANGLE, "0.8", 0, LGT_PI, NULL, "margin of the longest features", LGT_ROLE_FIXED},
    {"l_a", LGT_PARAM_REAL, "10", 1e-6, 1e6, NULL, "norm up to which features count as shortest", LGT_ROLE_FIXED},
    {"u_a", LGT_PARAM_REAL, "110", 1e-6, 1e6, NULL, "norm from which features count as longest", LGT_ROLE_FIXED},
    {"lambda_g", LGT_PARAM_REAL, "35", 0, 1e9, NULL,
     "weight of the norm's penalty; at least s k u_a^2 l_a^2 / (u_a^2 - l_a^2), k the slope of the margin",
     LGT_ROLE_FIXED},
    LGT_PARAM_TAIL,
    LGT_PARAM_WARM_UP,
    LGT_PARAM_GRADIENT,
};

static double slope_of(const double *p) {
    return (p[U_M] - p[L_M]) / (p[U_A] - p[L_A]);
}

static void bend(const double *p, double warm, const lgt_pair *pair, lgt_bend *out) {
    double a = fmax(p[L_A], fmin(p[U_A], pair->r)), k = warm * slope_of(p), u2 = p[U_A] * p[U_A], lambda = p[LAMBDA];
    lgt_margin_slopes by = lgt_angular_bend(p[S], warm * p[L_M] + k * (a - p[L_A]), (int)p[TAIL], pair, out);
    out->penalty = lambda * (a / u2 + 1 / a);
    if (a != pair->r) return; /* the clip has no slope */
    out->d_r = by.first * k;
    out->d_r_r = by.second * k * k;
    out->d_theta_r = by.with_theta * k;
    out->penalty_r = lambda * (1 / u2 - 1 / (a * a));
    out->penalty_r_r = 2 * lambda / (a * a * a);
}

static lgt_status check(const double *p, lgt_error *err) {
    double l2 = p[L_A] * p[L_A], u2 = p[U_A] * p[U_A];
    if (!(p[L_A] < p[U_A]))
        return lgt_fail(err, LGT_ERR_USAGE, "magface: l_a is %g and u_a is %g, expected l_a < u_a", p[L_A], p[U_A]);
    if (!(p[L_M] <= p[U_M]))
        return lgt_fail(err, LGT_ERR_USAGE, "magface: l_m is %g and u_m is %g, expected l_m <= u_m", p[L_M], p[U_M]);
    double least = p[S] * slope_of(p) * u2 * l2 / (u2 - l2);
    if (p[LAMBDA] >= least) return LGT_OK;
    return lgt_fail(err, LGT_ERR_USAGE,
                    "magface: lambda_g is %g, expected at least %.6g = s k u_a^2 l_a^2 / (u_a^2 - l_a^2): below it the "
                    "best norm of a sample need not be unique",
                    p[LAMBDA], least);
}

const lgt_loss_definition lgt_loss_magface = {
    .info = {.name = "magface",
             .title = "Magnitude-aware margin",
             .equation = "z_y = s cos(theta + m(a)), L += lambda_g (a/u_a^2 + 1/a), a = clip(|x|, l_a, u_a)",
             .citation =
                 "Meng, Zhao, Huang, Zhou, MagFace: a universal representation for face recognition and quality "
                 "assessment, 2021",
             .space = LGT_SPACE_COS,
             .params = params,
             .n_params = LGT_COUNT(params)},
    .bend = bend,
    .check = check,
};
