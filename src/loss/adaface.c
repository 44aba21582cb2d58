/* AdaFace: the margin follows the quality of the sample, read from its norm: angular for poor ones, additive for good
 * ones, z_y = s (cos(theta + g_a) - g_m), g_a = -m h^, g_m = m h^ + m (Eq. 28). The norm's part in h^ is a constant to
 * every derivative. */
#include <math.h>

#include "loss/angular.h"

enum { S, M, H, TAIL, CLAMP, EMA, MEAN, DEVIATION };

static const lgt_param_info params[] = {
    LGT_PARAM_SCALE("64"),
    {"m", LGT_PARAM_REAL, "0.4", 0, 1.5, NULL, "margin, of angle (radians) and of cosine", LGT_ROLE_MARGIN},
    {"h", LGT_PARAM_REAL, "0.333", 1e-3, 1e3, NULL, "deviations of the norm that stand for the full range of quality",
     LGT_ROLE_FIXED},
    LGT_PARAM_TAIL,
    LGT_PARAM_CLAMP,
    LGT_PARAM_EMA,
    {"mean", LGT_PARAM_REAL, "20", 0, 1e300, NULL, "moving average of the batches' mean norm", LGT_ROLE_STATE},
    {"deviation", LGT_PARAM_REAL, "100", 0, 1e300, NULL, "moving average of the batches' deviation of the norm",
     LGT_ROLE_STATE},
    LGT_PARAM_WARM_UP,
    LGT_PARAM_GRADIENT,
};

/* Keeps the quotient finite where all norms are equal; the authors' constant. */
static const double least_deviation = 1e-3;

static void bend(const double *p, double warm, const lgt_pair *pair, lgt_bend *out) {
    double h = (pair->quality - p[MEAN]) / (p[DEVIATION] + least_deviation) * p[H], m = warm * p[M];
    h = fmax(-1, fmin(1, h));
    lgt_angular_bend(p[S], -m * h, (int)p[TAIL], pair, out);
    out->value -= p[S] * m * (1 + h);
}

/* One row has no deviation: that of the batches before stays. */
static void move(double *p, const lgt_batch_moments *batch) {
    p[MEAN] += p[EMA] * (batch->quality_mean - p[MEAN]);
    if (batch->n < 2) return;
    double deviation = sqrt(batch->quality_square / (double)(batch->n - 1));
    p[DEVIATION] += p[EMA] * (deviation - p[DEVIATION]);
}

const lgt_loss_definition lgt_loss_adaface = {
    .info = {.name = "adaface",
             .title = "Quality adaptive margin",
             .equation = "z_y = s (cos(theta - m h^) - m h^ - m), h^ = clip(h (|x| - mean)/(deviation + 0.001), -1, 1)",
             .citation = "Kim, Jain, Liu, AdaFace: quality adaptive margin for face recognition, 2022",
             .space = LGT_SPACE_COS,
             .params = params,
             .n_params = LGT_COUNT(params)},
    .clamp = CLAMP,
    .bend = bend,
    .move = move,
};
