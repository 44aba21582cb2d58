/* CosFace (AM-Softmax): the target cosine is lowered by a constant, z_y = s (c - m). */
#include "loss/definition.h"

enum { S, M };

static const lgt_param_info params[] = {
    LGT_PARAM_SCALE("64"),
    {"m", LGT_PARAM_REAL, "0.35", 0, 2, NULL, "margin, subtracted from the target cosine", LGT_ROLE_MARGIN},
    LGT_PARAM_WARM_UP,
    LGT_PARAM_GRADIENT,
};

static void bend(const double *p, double warm, const lgt_pair *pair, lgt_bend *out) {
    (void)pair;
    out->value = -p[S] * warm * p[M];
}

const lgt_loss_definition lgt_loss_cosface = {
    .info = {.name = "cosface",
             .title = "Additive cosine margin",
             .equation = "z_y = s (cos(theta) - m)",
             .citation = "Wang et al., CosFace: large margin cosine loss for deep face recognition, 2018",
             .space = LGT_SPACE_COS,
             .params = params,
             .n_params = LGT_COUNT(params)},
    .bend = bend,
};
