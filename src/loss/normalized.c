/* Normalized softmax (NormFace): features and classes on the unit sphere, no margin (Eq. 3). */
#include "loss/definition.h"

static const lgt_param_info params[] = {LGT_PARAM_SCALE("16"), LGT_PARAM_GRADIENT};

const lgt_loss_definition lgt_loss_normalized = {
    .info = {.name = "normalized",
             .title = "Normalized softmax",
             .equation = "z_y = s cos(theta)",
             .citation = "Wang, Xiang, Cheng, Yuille, NormFace: L2 hypersphere embedding for face verification, 2017",
             .space = LGT_SPACE_COS,
             .params = params,
             .n_params = LGT_COUNT(params)},
};
