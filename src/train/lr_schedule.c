/* The learning rate as a pure function of the step (Eq. 23: Loshchilov, Hutter, "SGDR", ICLR 2017, without restarts).
 */
#include <math.h>

#include "train/train_options.h"

static const double pi = 3.14159265358979323846;

static double cosine(double u) {
    return (1 + cos(pi * u)) / 2;
}

/* step_factor^k with k the milestones that the share t/T has passed. */
static double stairs(const lgt_train_options *o, double share) {
    double factor = 1;
    for (int i = 0; i < o->n_milestones; i++)
        if (share >= o->milestones[i]) factor *= o->step_factor;
    return factor;
}

double lgt_lr_at(const lgt_train_options *o, int64_t t, int64_t n_steps) {
    if (t < o->warmup) return o->lr * (double)(t + 1) / (double)o->warmup;
    switch (o->schedule) {
    case LGT_LR_CONSTANT:
        break;
    case LGT_LR_COSINE:
        return o->lr * cosine((double)(t - o->warmup) / (double)(n_steps - o->warmup));
    case LGT_LR_STEP:
        return o->lr * stairs(o, (double)t / (double)n_steps);
    }
    return o->lr;
}
