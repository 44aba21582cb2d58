/* L-Softmax: the target angle is multiplied by m on a monotone extension of the cosine (Eq. 12, 13):
 *   z_y = |w| |x| (Psi_m(theta) + lambda c) / (1 + lambda)
 * so the bend is |w| |x| B(theta) with B = (Psi_m - c) / (1 + lambda). At m = 1 it vanishes exactly. */
#include "loss/definition.h"
#include "math/chebyshev.h"

enum { M };

static const lgt_param_info params[] = {
    {"m", LGT_PARAM_INTEGER, "4", 1, 64, NULL, "multiple of the target angle", LGT_ROLE_MARGIN},
    LGT_PARAM_LAMBDA("geometric/1000/0.99/5"),
    LGT_PARAM_GRADIENT,
};

static void bend(const double *p, double lambda, const lgt_pair *pair, lgt_bend *out) {
    lgt_fold psi = lgt_psi((int)p[M], pair->theta, pair->c, pair->sine);
    double share = 1 / (1 + lambda), b = share * (psi.value - pair->c), b_theta = share * (psi.slope + pair->sine);
    double rq = pair->r * pair->q;
    *out = (lgt_bend){.value = rq * b,
                      .d_theta = rq * b_theta,
                      .d_r = pair->q * b,
                      .d_q = pair->r * b,
                      .d_theta_theta = rq * share * (psi.curvature + pair->c),
                      .d_theta_r = pair->q * b_theta,
                      .d_theta_q = pair->r * b_theta,
                      .d_r_q = b};
}

static int vanishes(const double *p) {
    return p[M] == 1;
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
    .vanishes = vanishes,
};
