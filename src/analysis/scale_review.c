/* What a scale s of the cosines can reach with C classes (Eq. 42). */
#include <math.h>

#include "analysis/target_curve.h"
#include "base/error.h"
#include "logitude/analysis.h"
#include "math/sphere.h"

/* A rule of thumb: face recognition's s = 64 for 10^5 classes is 3.5 times what is needed, and trains; for 10 classes
 * it is 9 times, and users report that it does not. */
static const double large = 8;

/* A target logit that rises again does so over more than half a degree. */
enum { PIECES = 360 };

/* The angle from which on the target logit is below `wanted`; NaN where it always is. */
static double angle_of(const lgt_target_curve *curve, double wanted) {
    int i = PIECES;
    while (i >= 0 && lgt_target_curve_at(curve, LGT_PI * i / PIECES).value < wanted) i--;
    if (i < 0) return NAN;
    if (i == PIECES) return LGT_PI;
    double low = LGT_PI * i / PIECES, high = LGT_PI * (i + 1) / PIECES;
    while (high - low > 1e-12) {
        double middle = low + (high - low) / 2;
        if (lgt_target_curve_at(curve, middle).value >= wanted)
            low = middle;
        else
            high = middle;
    }
    return low;
}

lgt_status lgt_scale_review_run(const lgt_loss *loss, int64_t step, int64_t n_classes, double probability,
                                lgt_scale_review *out, lgt_error *err) {
    lgt_target_curve curve = {0};
    double classes = (double)n_classes, others = classes - 1;
    if (loss->info->space != LGT_SPACE_COS) return lgt_fail(err, LGT_ERR_USAGE, "%s has no scale", loss->info->name);
    if (n_classes < 2) return lgt_fail(err, LGT_ERR_USAGE, "%lld classes, expected at least 2", (long long)n_classes);
    if (!(probability > 1 / classes && probability < 1))
        return lgt_fail(err, LGT_ERR_USAGE, "the probability is %g, expected above 1/classes = %g and below 1",
                        probability, 1 / classes);
    lgt_status status = lgt_target_curve_open(loss, step, lgt_lint_norm(loss), 1, &curve, err);
    if (status) return status;
    double odds = log(others * probability / (1 - probability)), s = curve.scale;
    double nearest = lgt_target_curve_at(&curve, 0).value / s; /* every target logit is proportional to s */
    double lead = nearest + 1 / others;
    *out = (lgt_scale_review){.scale = s, .needed = odds * others / classes, .needed_with_margin = NAN};
    out->least_loss = log1p(others * exp(-s * classes / others));
    out->most_probability = exp(-out->least_loss);
    if (lead > 0) out->needed_with_margin = odds / lead;
    out->suggested = 2 * out->needed_with_margin;
    out->satisfied = angle_of(&curve, odds);
    out->too_small = !(s >= out->needed_with_margin);
    out->too_large = s > large * out->needed_with_margin;
    return lgt_succeed(err);
}
