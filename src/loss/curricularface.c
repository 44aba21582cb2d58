/* CurricularFace: ArcFace's target, and the other classes that are nearer than it allows weigh more as training goes
 * on: c_j becomes c_j (t + c_j) where c_j > cos(theta_y + m) (Eq. 30). t follows the mean target cosine. */
#include <math.h>

#include "loss/angular.h"
#include "math/sphere.h"

enum { S, M, TAIL, EMA, T };

static const lgt_param_info params[] = {
    LGT_PARAM_SCALE("64"),
    {"m", LGT_PARAM_ANGLE, "0.5", 0, LGT_PI, NULL, "margin, added to the target angle", LGT_ROLE_MARGIN},
    LGT_PARAM_TAIL,
    LGT_PARAM_EMA,
    {"t", LGT_PARAM_REAL, "0", -1, 1, NULL, "weight of hard negatives: the moving average of the mean target cosine",
     LGT_ROLE_STATE},
    LGT_PARAM_WARM_UP,
    LGT_PARAM_GRADIENT,
};

static void bend(const double *p, double warm, const lgt_pair *pair, lgt_bend *out) {
    lgt_angular_bend(p[S], warm * p[M], (int)p[TAIL], pair, out);
}

static void crowd(const double *p, double warm, const lgt_pair *pair, lgt_crowd_bend *out) {
    *out = (lgt_crowd_bend){cos(pair->theta + warm * p[M]), p[T], 1};
}

static void move(double *p, const lgt_batch_moments *batch) {
    p[T] += p[EMA] * (batch->cosine_mean - p[T]);
}

const lgt_loss_definition lgt_loss_curricularface = {
    .info = {.name = "curricularface",
             .title = "Curricular hard negatives",
             .equation = "z_y = s cos(theta + m), z_j = s c_j (t + c_j) where c_j > cos(theta + m)",
             .citation =
                 "Huang et al., CurricularFace: adaptive curriculum learning loss for deep face recognition, 2020",
             .space = LGT_SPACE_COS,
             .params = params,
             .n_params = LGT_COUNT(params)},
    .bend = bend,
    .crowd = crowd,
    .move = move,
};
