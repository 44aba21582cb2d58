/* ArcFace: the target angle is widened by m, z_y = s cos(theta + m), with a stated tail where theta + m > pi (Eq. 8).
 */
#include <math.h>

#include "loss/definition.h"
#include "math/sphere.h"

enum { S, M, TAIL };
enum { CONTINUOUS, COSFACE, FOLD, NONE, CLIP, EASY };

static const char *const tails[] = {"continuous", "cosface", "fold", "none", "clip", "easy", NULL};

static const lgt_param_info params[] = {
    LGT_PARAM_SCALE("64"),
    {"m", LGT_PARAM_ANGLE, "0.5", 0, LGT_PI, NULL, "margin, added to the target angle"},
    {"tail", LGT_PARAM_CHOICE, "continuous", 0, 0, tails,
     "where theta + m > pi: continuous s(c-1+cos m); cosface s(c - m sin m), jumps; fold s(-cos(theta+m)-2); none; "
     "clip -s, no force; easy: margin only where c > 0"},
    LGT_PARAM_GRADIENT,
};

/* s (cos(theta + m) - cos(theta)), with 1 - cos m = 2 sin^2(m/2) so that small margins keep their digits. */
static void widen(double s, double m, const lgt_pair *pair, lgt_bend *out) {
    double half = sin(m / 2), versine = 2 * half * half, sine_m = sin(m);
    out->value = -s * (versine * pair->c + sine_m * pair->sine);
    out->d_theta = s * (versine * pair->sine - sine_m * pair->c);
    out->d_theta_theta = -out->value;
}

static void bend(const double *p, double scheduled, const lgt_pair *pair, lgt_bend *out) {
    double s = p[S], m = p[M], half = sin(m / 2), phi = pair->theta + m;
    int tail = (int)p[TAIL];
    (void)scheduled;
    if (tail == EASY) {
        if (pair->c > 0) widen(s, m, pair, out);
    } else if (phi <= LGT_PI || tail == NONE) {
        widen(s, m, pair, out);
    } else if (tail == CONTINUOUS) {
        out->value = -2 * s * half * half;
    } else if (tail == COSFACE) {
        out->value = -s * m * sin(m);
    } else if (tail == FOLD) {
        out->value = -s * (cos(phi) + 2 + pair->c);
        out->d_theta = s * (sin(phi) + pair->sine);
        out->d_theta_theta = s * (cos(phi) + pair->c);
    } else {
        out->value = -s * (1 + pair->c);
        out->d_theta = s * pair->sine;
        out->d_theta_theta = s * pair->c;
    }
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
    .bend = bend,
};
