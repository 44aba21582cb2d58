/* SphereFace (A-Softmax): unit classes, free features, the target angle multiplied by m (Eq. 12, 32):
 *   z_j = |x| cos(theta_j),  z_y = |x| (Psi_m(theta) + lambda c) / (1 + lambda)
 * so the bend is |x| B(theta) with B = (Psi_m - c) / (1 + lambda). At m = 1 it vanishes exactly. */
#include "loss/definition.h"
#include "math/chebyshev.h"

enum { M };

static const lgt_param_info params[] = {
    {"m", LGT_PARAM_INTEGER, "4", 1, 64, NULL, "multiple of the target angle", LGT_ROLE_MARGIN},
    LGT_PARAM_LAMBDA("power/1000/0.12/1/5"),
    LGT_PARAM_GRADIENT,
};

static void bend(const double *p, double lambda, const lgt_pair *pair, lgt_bend *out) {
    lgt_fold psi = lgt_psi((int)p[M], pair->theta, pair->c, pair->sine);
    double share = 1 / (1 + lambda), b = share * (psi.value - pair->c), b_theta = share * (psi.slope + pair->sine);
    *out = (lgt_bend){.value = pair->r * b,
                      .d_theta = pair->r * b_theta,
                      .d_r = b,
                      .d_theta_theta = pair->r * share * (psi.curvature + pair->c),
                      .d_theta_r = b_theta};
}

const lgt_loss_definition lgt_loss_sphereface = {
    .info = {.name = "sphereface",
             .title = "Multiplicative angular margin",
             .equation = "z_y = |x| (Psi_m(theta) + lambda cos(theta)) / (1 + lambda)",
             .citation =
                 "Liu, Wen, Yu, Li, Raj, Song, SphereFace: deep hypersphere embedding for face recognition, 2017",
             .space = LGT_SPACE_COSW,
             .params = params,
             .n_params = LGT_COUNT(params)},
    .bend = bend,
};
