/* What other systems make of these losses: their settings, and what remains different. The facts come from the public
 * sources of the projects that each row names. */
#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "loss/definition.h"
#include "loss/parameters.h"

/* Said of several losses of one system. */
#define OPENSPHERE_WEIGHTS                                                                                             \
    " The stored weights are scaled to norm 1 before every step and their gradient is not projected onto the sphere, " \
    "so that only the loss and the gradient of x can agree, not that of w."
#define WESPEAKER_STEP " Its step counts from 1 and is not saved, so that lambda starts anew on resuming."

static const lgt_loss_preset presets[] = {
    {"insightface", "arcface", "s=64,m=0.5,tail=none,gradient=detached",
     "insightface arcface_torch (since December 2022) adds the margin outside of the differentiation, so that the "
     "target's gradient is that of the plain cosine: alpha is 1 where the loss has 1.15 at 60 degrees, 2.2 at 20 and "
     "28 at 1. It has no tail: past pi - m the logit rises again. Its softmax is cut at 1e-30, so that no row's loss "
     "exceeds 69.08; here it is not."},
    {"insightface", "cosface", "s=64,m=0.4",
     "insightface arcface_torch takes m = 0.4 where the paper has 0.35; the gradient is exact. Its filter between "
     "classes and the cut of the softmax at 1e-30 (a loss of 69.08 at most) are not reproduced."},
    {"insightface", "subcenter", "s=64,m=0.5,k=3,tail=none",
     "insightface's MXNet recipe has three centres a class and no tail: past pi - m the logit rises again. Dropping "
     "the samples beyond 75 degrees from the dominant centre is a step of its own there, and not reproduced."},
    {"opensphere", "normalized", "s=30",
     "opensphere calls this CocoLoss, with s = 30; loss and gradient of x are those of the "
     "definition." OPENSPHERE_WEIGHTS},
    {"opensphere", "cosface", "s=64,m=0.35",
     "opensphere has the defaults of this library; loss and gradient of x are those of the "
     "definition." OPENSPHERE_WEIGHTS},
    {"opensphere", "arcface", "s=64,m=0.5,tail=clip,clamp=1e-5,gradient=detached",
     "opensphere detaches the margin on purpose (characteristic gradient detachment): the target's gradient is that "
     "of the plain cosine, 14.5 % away from the exact one on random data. It clips every cosine to 1 - 1e-5 (an angle "
     "of 0.26 degrees), here the target's alone, and theta + m to 3.14159, here to pi, which tells in the twelfth "
     "digit." OPENSPHERE_WEIGHTS},
    {"opensphere", "sphereface-r", "s=30,m=1.7,clamp=1e-5,gradient=detached",
     "opensphere detaches the margin on purpose (characteristic gradient detachment): the target's gradient is that "
     "of the plain cosine. It clips every cosine to 1 - 1e-5 (an angle of 0.26 degrees), here the target's "
     "alone." OPENSPHERE_WEIGHTS},
    {"pml", "normalized", "s=20", "pytorch-metric-learning divides by a temperature of 0.05: s = 20, gradients exact."},
    {"pml", "cosface", "s=64,m=0.35",
     "pytorch-metric-learning has the defaults of this library, and exact gradients by automatic differentiation."},
    {"pml", "arcface", "s=64,m=28.6deg,tail=cosface",
     "pytorch-metric-learning takes m in degrees (28.6 are 0.499 radians) and continues past pi - m with the cosine "
     "less m sin m, a jump of 0.117 s. Its gradients are exact but at cosines of 1 and -1, where they are infinite "
     "or NaN; here they are finite."},
    {"pml", "lsoftmax", "m=4,lambda=0",
     "pytorch-metric-learning has no lambda: from the first step on all of the margin acts, and with m = 4 there is "
     "no force at 90 degrees, where training starts. Its gradients are exact; it predicts by cosines, not products."},
    {"pml", "sphereface", "m=4,lambda=0",
     "pytorch-metric-learning has no lambda: from the first step on all of the margin acts, and with m = 4 there is "
     "no force at 90 degrees, where training starts. Its gradients are exact."},
    {"pml", "subcenter", "s=64,m=28.6deg,k=3,tail=cosface",
     "pytorch-metric-learning takes m in degrees and continues past pi - m with the cosine less m sin m, a jump of "
     "0.117 s. Its gradients are exact but at cosines of 1 and -1, where they are infinite or NaN."},
    {"paddle", "arcface", "s=64,m=0.5,tail=none",
     "Paddle's margin_cross_entropy (m1 = 1, m2 = 0.5, m3 = 0) has no tail: past pi - m the logit rises again. Its "
     "gradient is exact, but 0/0 at a cosine of 1 and NaN beyond; here it is finite. It runs on a GPU only."},
    {"paddle", "combined", "s=64,m1=1,m2=0.5,m3=0,tail=none",
     "Paddle's margin_cross_entropy takes cos(m1 theta + m2) as it is: past pi the logit rises again, which for m1 > 1 "
     "is far from rare. Its gradient is exact, but 0/0 at a cosine of 1; here it is finite. It runs on a GPU only."},
    {"mx-lsoftmax", "lsoftmax", "m=4,lambda=geometric/100/0.99/0",
     "mx-lsoftmax calls lambda beta: here as its README trains m = 2, 3 and 4, 100 times 0.99 a step, down to 0; the "
     "operator's own default is a constant 1. It shrinks beta after every backward pass and keeps it in no "
     "checkpoint; its CUDA code divides by the squared cosine, NaN at 90 degrees."},
    {"caffe", "lsoftmax", "m=4,lambda=power/1000/2.5e-5/35/0",
     "The Caffe layer of L-Softmax, as its MNIST example sets it, for m up to 4. It adds 1e-9 to the norms, which "
     "tells in the ninth digit for norms near 1; its softmax is cut where a row's loss reaches 87.3365."},
    {"caffe", "sphereface", "m=4,lambda=power/1000/0.12/1/5,gradient=unit",
     "The Caffe layer of SphereFace scales the target's coefficients of w and x to norm 1, leaving the part of lambda "
     "as it is, and takes the coefficient of x itself, not of x/|x|. gradient=unit scales the whole: the gradient of x "
     "agrees for lambda = 0 and |x| = 1. The weights are scaled to norm 1 in place, with the plain product's gradient, "
     "and its step counts from 1; neither is reproduced."},
    {"wespeaker", "cosface", "s=32,m=0.2",
     "wespeaker (AddMarginProduct) takes s = 32, m = 0.2; its gradient is exact."},
    {"wespeaker", "arcface", "s=32,m=0.2,tail=continuous",
     "wespeaker (ArcMarginProduct) takes s = 32, m = 0.2 and continues past pi - m with the cosine less 1 - cos m, "
     "without a jump. Its gradient is exact but at a cosine of 1, where it is NaN; here it is finite."},
    {"wespeaker", "sphereface", "m=4,lambda=power/1000/0.12/1/5",
     "wespeaker (SphereProduct) has the defaults of this library and, unlike the Caffe layer, the exact "
     "gradient." WESPEAKER_STEP},
    {"wespeaker", "subcenter", "s=32,m=0.2,k=3,tail=continuous",
     "wespeaker takes s = 32, m = 0.2 and continues past pi - m without a jump. Its penalty on the 5 nearest other "
     "classes (cos(theta - 0.06), inter-top-k) is not reproduced: set it to 0 there to compare."},
};

int lgt_loss_preset_count(void) {
    return LGT_COUNT(presets);
}

const lgt_loss_preset *lgt_loss_preset_at(int index) {
    return index >= 0 && index < lgt_loss_preset_count() ? &presets[index] : NULL;
}

static lgt_status unknown_system(const char *system, lgt_error *err) {
    lgt_nearest nearest = {system, "", INT_MAX};
    for (int i = 0; i < LGT_COUNT(presets); i++) lgt_nearest_try(&nearest, presets[i].system);
    return lgt_fail(err, LGT_ERR_USAGE, "there is no system \"%.63s\" to be like; the nearest is \"%s\"", system,
                    nearest.word);
}

static lgt_status unknown_pair(const char *name, const char *system, lgt_error *err) {
    char known[160];
    size_t used = 0;
    for (int i = 0; i < LGT_COUNT(presets); i++)
        if (strcmp(presets[i].system, system) == 0)
            used += lgt_text_format(known + used, sizeof known - used, "%s%s", used ? ", " : "", presets[i].loss);
    return lgt_fail(err, LGT_ERR_USAGE, "%s has no settings for %s, only for %s", system, name, known);
}

lgt_status lgt_loss_parse_like(const char *spec, const char *system, lgt_loss *out, lgt_error *err) {
    lgt_piece pairs, name = lgt_piece_split(lgt_piece_of(spec), ':', &pairs);
    int known = 0;
    for (int i = 0; i < LGT_COUNT(presets); i++) {
        if (strcmp(presets[i].system, system) != 0) continue;
        known = 1;
        if (lgt_piece_is(name, presets[i].loss)) return lgt_loss_read(spec, presets[i].settings, out, err);
    }
    if (!known) return unknown_system(system, err);
    lgt_loss loss;
    lgt_status status = lgt_loss_parse(spec, &loss, err);
    return status ? status : unknown_pair(loss.info->name, system, err);
}
