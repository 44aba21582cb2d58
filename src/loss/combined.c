/* Combined margins: the target angle is multiplied, widened, and its cosine lowered, z_y = s (F(m1 theta + m2) - m3),
 * with the cosine folded past pi so that it never rises, or left as it is (Eq. 26). */
#include <math.h>

#include "loss/definition.h"
#include "math/fold.h"
#include "math/sphere.h"

enum { S, M1, M2, M3, TAIL };
enum { FOLD, NONE };

static const char *const tails[] = {"fold", "none", NULL};

static const lgt_param_info params[] = {
    LGT_PARAM_SCALE("64"),
    {"m1", LGT_PARAM_REAL, "1", 0.5, 64, NULL, "factor of the target angle", LGT_ROLE_FIXED},
    {"m2", LGT_PARAM_ANGLE, "0.5", 0, LGT_PI, NULL, "margin, added to the target angle", LGT_ROLE_MARGIN},
    {"m3", LGT_PARAM_REAL, "0", 0, 2, NULL, "margin, subtracted from the target cosine", LGT_ROLE_FIXED},
    {"tail", LGT_PARAM_CHOICE, "fold", 0, 0, tails,
     "where m1 theta + m2 > pi: fold keeps the logit falling; none: cos(m1 theta + m2) rises again", LGT_ROLE_FIXED},
    LGT_PARAM_WARM_UP,
    LGT_PARAM_GRADIENT,
};

static lgt_fold cosine_at(double phi, int tail) {
    return tail == FOLD ? lgt_fold_at(phi) : (lgt_fold){cos(phi), -sin(phi), -cos(phi)};
}

static void bend(const double *p, double warm, const lgt_pair *pair, lgt_bend *out) {
    double m1 = 1 + warm * (p[M1] - 1);
    lgt_fold plain = lgt_fold_at(pair->theta), bent = cosine_at(m1 * pair->theta + warm * p[M2], (int)p[TAIL]);
    out->value = p[S] * (bent.value - plain.value - warm * p[M3]);
    out->d_theta = p[S] * (m1 * bent.slope - plain.slope);
    out->d_theta_theta = p[S] * (m1 * m1 * bent.curvature - plain.curvature);
}

const lgt_loss_definition lgt_loss_combined = {
    .info = {.name = "combined",
             .title = "Combined margins",
             .equation = "z_y = s (F(m1 theta + m2) - m3), F(phi) = (-1)^k cos(phi) - 2k, k = floor(phi/pi)",
             .citation =
                 "Deng, Guo, Xue, Zafeiriou, ArcFace: additive angular margin loss for deep face recognition, 2019",
             .space = LGT_SPACE_COS,
             .params = params,
             .n_params = LGT_COUNT(params)},
    .bend = bend,
};
