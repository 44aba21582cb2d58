/* ArcFace: the target angle is widened by m, z_y = s cos(theta + m), with a stated tail where theta + m > pi (Eq. 8).
 */
#include "loss/angular.h"
#include "math/sphere.h"

enum { S, M, TAIL, CLAMP };

static const lgt_param_info params[] = {
    LGT_PARAM_SCALE("64"),
    {"m", LGT_PARAM_ANGLE, "0.5", 0, LGT_PI, NULL, "margin, added to the target angle", LGT_ROLE_MARGIN},
    LGT_PARAM_TAIL,
    LGT_PARAM_CLAMP,
    LGT_PARAM_WARM_UP,
    LGT_PARAM_GRADIENT,
};

static void bend(const double *p, double warm, const lgt_pair *pair, lgt_bend *out) {
    lgt_angular_bend(p[S], warm * p[M], (int)p[TAIL], pair, out);
}

const lgt_loss_definition lgt_loss_arcface = {
    .info = {.name = "arcface",
             .title = "Additive angular margin",
             .equation = "z_y = s cos(theta + m)",
             .citation =
                 "Deng, Guo, Xue, Zafeiriou, ArcFace: additive angular margin loss for deep face recognition, 2019",
             .space = LGT_SPACE_COS,
             .params = params,
             .n_params = LGT_COUNT(params)},
    .clamp = CLAMP,
    .bend = bend,
};
