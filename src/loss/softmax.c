/* Softmax cross entropy: z_j = <w_j, x> + b_j for every class (Eq. 1). */
#include "loss/definition.h"

static const lgt_param_info params[] = {LGT_PARAM_GRADIENT};

const lgt_loss_definition lgt_loss_softmax = {
    .info = {.name = "softmax",
             .title = "Softmax cross entropy",
             .equation = "z_y = <w_y, x> + b_y",
             .citation = "Bridle, Probabilistic interpretation of feedforward classification network outputs, 1990",
             .space = LGT_SPACE_DOT,
             .has_bias = 1,
             .params = params,
             .n_params = LGT_COUNT(params)},
};
