/* The curve of a loss: target logit and force over the angle, from the same scalar function as every gradient. */
#include "loss_curve.h"

#include <math.h>

#include "output.h"

enum { POINTS = 181 };

/* Schedules have ended there. */
static const int64_t late = 1000000000;

/* Unit norms, or the middle of the norms that the loss tells apart. */
static lgt_pair usual_pair(const lgt_loss *loss) {
    double shortest = lgt_loss_value(loss, "l_a"), longest = lgt_loss_value(loss, "u_a");
    double mean = lgt_loss_value(loss, "mean");
    lgt_pair pair = {.r = isnan(shortest) ? 1 : (shortest + longest) / 2, .q = 1};
    pair.quality = isnan(mean) ? pair.r : mean;
    return pair;
}

static double size_of_plain(const lgt_loss *loss, const lgt_pair *pair) {
    if (loss->info->space == LGT_SPACE_COS) return lgt_loss_value(loss, "s");
    return loss->info->space == LGT_SPACE_COSW ? pair->r : pair->r * pair->q;
}

void cli_put_curve(json_t *object, const lgt_loss_info *info) {
    json_t *curve = json_object(), *theta = json_array(), *logit = json_array(), *force = json_array();
    lgt_loss loss;
    lgt_error err;
    if (lgt_loss_parse(info->name, &loss, &err)) cli_defect(err.message);
    lgt_pair pair = usual_pair(&loss);
    double size = size_of_plain(&loss, &pair), pi = 2 * atan2(1, 0);
    for (int i = 0; i < POINTS; i++) {
        lgt_bend bend;
        pair.theta = pi * i / (POINTS - 1);
        /* Exact at both ends and in the middle. */
        pair.c = 2 * i == POINTS - 1 ? 0 : cos(pair.theta);
        pair.sine = i == POINTS - 1 ? 0 : sin(pair.theta);
        lgt_loss_bend(&loss, &pair, late, &bend);
        cli_append(theta, cli_number(pair.theta));
        cli_append(logit, cli_number(size * pair.c + bend.value));
        cli_append(force, cli_number(size * pair.sine - bend.d_theta));
    }
    cli_put_integer(curve, "step", late);
    cli_put_real(curve, "feature_norm", pair.r);
    cli_put_real(curve, "quality", pair.quality);
    cli_put_real(curve, "size_of_plain", size);
    cli_put(curve, "theta", theta);
    cli_put(curve, "logit", logit);
    cli_put(curve, "force", force);
    cli_put(object, "curve", curve);
}
