/* Sub-centre ArcFace: a class has k centres, and is as near as its nearest, c_j = max_k <w^_jk, x^>; ArcFace on top
 * (Eq. 8, 31). The gradient goes to the nearest centre alone. */
#include "loss/angular.h"
#include "math/sphere.h"

enum { S, M, K, TAIL };

static const lgt_param_info params[] = {
    LGT_PARAM_SCALE("64"),
    {"m", LGT_PARAM_ANGLE, "0.5", 0, LGT_PI, NULL, "margin, added to the target angle", LGT_ROLE_MARGIN},
    {"k", LGT_PARAM_INTEGER, "3", 1, 16, NULL, "centres a class: rows of w", LGT_ROLE_FIXED},
    LGT_PARAM_TAIL,
    LGT_PARAM_WARM_UP,
    LGT_PARAM_GRADIENT,
};

static void bend(const double *p, double warm, const lgt_pair *pair, lgt_bend *out) {
    lgt_angular_bend(p[S], warm * p[M], (int)p[TAIL], pair, out);
}

const lgt_loss_definition lgt_loss_subcenter = {
    .info = {.name = "subcenter",
             .title = "Sub-centre ArcFace",
             .equation = "z_y = s cos(theta + m), c_j = max_k <w^_jk, x^>",
             .citation = "Deng, Guo, Liu, Gong, Zafeiriou, Sub-center ArcFace: boosting face recognition by "
                         "large-scale noisy web faces, 2020",
             .space = LGT_SPACE_COS,
             .params = params,
             .n_params = LGT_COUNT(params)},
    .bend = bend,
};
