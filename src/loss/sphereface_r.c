/* SphereFace-R: the target angle is multiplied by a real m on unit features, z_y = s F(m theta) (Eq. 27). */
#include "loss/definition.h"
#include "math/fold.h"

enum { S, M, CLAMP };

static const lgt_param_info params[] = {
    LGT_PARAM_SCALE("30"), {"m", LGT_PARAM_REAL, "1.7", 1, 64, NULL, "multiple of the target angle", LGT_ROLE_MARGIN},
    LGT_PARAM_CLAMP,       LGT_PARAM_WARM_UP,
    LGT_PARAM_GRADIENT,
};

static void bend(const double *p, double warm, const lgt_pair *pair, lgt_bend *out) {
    double m = 1 + warm * (p[M] - 1);
    lgt_fold plain = lgt_fold_at(pair->theta), bent = lgt_fold_at(m * pair->theta);
    out->value = p[S] * (bent.value - plain.value);
    out->d_theta = p[S] * (m * bent.slope - plain.slope);
    out->d_theta_theta = p[S] * (m * m * bent.curvature - plain.curvature);
}

const lgt_loss_definition lgt_loss_sphereface_r = {
    .info = {.name = "sphereface-r",
             .title = "Multiplicative angular margin on the sphere",
             .equation = "z_y = s F(m theta), F(phi) = (-1)^k cos(phi) - 2k, k = floor(phi/pi)",
             .citation =
                 "Liu, Wen, Raj, Singh, Weller, SphereFace revived: unifying hyperspherical face recognition, 2022",
             .space = LGT_SPACE_COS,
             .params = params,
             .n_params = LGT_COUNT(params)},
    .clamp = CLAMP,
    .bend = bend,
};
