/* L-Softmax: the target angle is multiplied by m on a monotone extension of the cosine (Eq. 12, 13):
 *   z_y = |w| |x| (Psi_m(theta) + lambda c) / (1 + lambda),  Psi_m = (-1)^k cos(m theta) - 2k,  k = floor(m theta / pi)
 * so the bend is |w| |x| B(theta) with B = (Psi_m - c) / (1 + lambda). At m = 1 it vanishes exactly. */
#include <math.h>

#include "loss/definition.h"
#include "math/chebyshev.h"
#include "math/sphere.h"

enum { M };

static const lgt_param_info params[] = {
    {"m", LGT_PARAM_INTEGER, "4", 1, 64, NULL, "multiple of the target angle"},
    {"lambda", LGT_PARAM_SCHEDULE, "geometric/1000/0.99/5", 0, 0, NULL,
     "weight of the plain logit: a constant, geometric/START/SCALE/MIN or power/BASE/GAMMA/POWER/MIN"},
    LGT_PARAM_GRADIENT,
};

static void bend(const double *p, double lambda, const lgt_pair *pair, lgt_bend *out) {
    int m = (int)p[M];
    double t, u, share = 1 / (1 + lambda);
    double k = fmin(floor(m * pair->theta / LGT_PI), m - 1);
    double sign = fmod(k, 2) == 0 ? 1 : -1;
    lgt_chebyshev(m, pair->c, &t, &u);
    double b = share * (sign * t - 2 * k - pair->c);
    double b_theta = share * pair->sine * (1 - sign * m * u);
    double b_theta_theta = share * (pair->c - sign * m * m * t);
    double rq = pair->r * pair->q;
    *out = (lgt_bend){.value = rq * b,
                      .d_theta = rq * b_theta,
                      .d_r = pair->q * b,
                      .d_q = pair->r * b,
                      .d_theta_theta = rq * b_theta_theta,
                      .d_theta_r = pair->q * b_theta,
                      .d_theta_q = pair->r * b_theta,
                      .d_r_q = b};
}

const lgt_loss_definition lgt_loss_lsoftmax = {
    .info = {.name = "lsoftmax",
             .title = "Large-margin softmax",
             .equation = "z_y = |w||x| (Psi_m(theta) + lambda cos(theta)) / (1 + lambda)",
             .citation = "Liu, Wen, Yu, Yang, Large-margin softmax loss for convolutional neural networks, 2016",
             .space = LGT_SPACE_DOT,
             .params = params,
             .n_params = LGT_COUNT(params)},
    .bend = bend,
};
