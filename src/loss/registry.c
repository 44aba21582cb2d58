/* The list of losses, and what can be asked of one. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "loss/definition.h"

const char *const lgt_gradient_words[] = {"exact", "detached", "unit", NULL};

#define LGT_LOSS(name) extern const lgt_loss_definition lgt_loss_##name;
#include "loss/loss_list.def"
#undef LGT_LOSS

static const lgt_loss_definition *const losses[] = {
#define LGT_LOSS(name) &lgt_loss_##name,
#include "loss/loss_list.def"
#undef LGT_LOSS
};

int lgt_loss_count(void) {
    return LGT_COUNT(losses);
}

const lgt_loss_info *lgt_loss_at(int index) {
    return index >= 0 && index < lgt_loss_count() ? &losses[index]->info : NULL;
}

const lgt_loss_definition *lgt_loss_definition_of(const lgt_loss *loss) {
    return (const lgt_loss_definition *)(const void *)loss->info; /* info is its first member */
}

int lgt_loss_is_listed(const lgt_loss *loss) {
    for (int i = 0; i < lgt_loss_count(); i++)
        if (loss->info == lgt_loss_at(i)) return 1;
    return 0;
}

double lgt_loss_value(const lgt_loss *loss, const char *key) {
    for (int i = 0; i < loss->info->n_params; i++)
        if (strcmp(loss->info->params[i].key, key) == 0) return loss->values[i];
    return NAN;
}

int lgt_loss_param_of(const lgt_loss_info *info, lgt_param_role role) {
    for (int i = 0; i < info->n_params; i++)
        if (info->params[i].role == role) return i;
    return -1;
}

int lgt_loss_n_state(const lgt_loss_info *info) {
    int n = 0;
    for (int i = 0; i < info->n_params; i++) n += info->params[i].role == LGT_ROLE_STATE;
    return n;
}

int64_t lgt_loss_centres(const lgt_loss *loss) {
    double k = lgt_loss_value(loss, "k");
    return isnan(k) ? 1 : (int64_t)k;
}

/* Sub-centres keep their number; a margin of nothing leaves every space's own plain logits. */
lgt_loss lgt_loss_plain(const lgt_loss *loss) {
    static const lgt_loss_definition *const plain_of[] = {&lgt_loss_softmax, &lgt_loss_normalized,
                                                          &lgt_loss_sphereface};
    lgt_loss plain = {.info = &plain_of[loss->info->space]->info};
    if (lgt_loss_centres(loss) > 1) {
        plain = *loss;
        plain.values[lgt_loss_param_of(loss->info, LGT_ROLE_MARGIN)] = 0;
    } else if (loss->info->space == LGT_SPACE_COS) {
        plain.values[0] = lgt_loss_value(loss, "s");
    } else if (loss->info->space == LGT_SPACE_COSW) {
        plain.values[0] = 1;
    }
    return plain;
}

/* The pair at the cosine to which `clamp` clips: 1 - c^2 = clamp (2 - clamp) there, without loss. */
static lgt_pair clip(const lgt_pair *pair, double clamp) {
    lgt_pair clipped = *pair;
    clipped.c = copysign(1 - clamp, pair->c);
    clipped.sine = sqrt(clamp * (2 - clamp));
    clipped.theta = atan2(clipped.sine, clipped.c);
    return clipped;
}

/* A clipped target logit is u_y' + value', whatever the angle: the bend on top of u_y undoes what u_y does. */
static void hold(const lgt_loss *loss, const lgt_pair *pair, const lgt_pair *clipped, lgt_bend *out) {
    double s = loss->values[lgt_loss_param_of(loss->info, LGT_ROLE_SCALE)];
    out->value += s * (clipped->c - pair->c);
    out->d_theta = s * pair->sine;
    out->d_theta_theta = s * pair->c;
    out->d_theta_r = out->d_theta_q = 0;
}

void lgt_loss_bend(const lgt_loss *loss, const lgt_pair *pair, int64_t step, lgt_bend *out) {
    const lgt_loss_definition *definition = lgt_loss_definition_of(loss);
    double clamp = definition->clamp ? loss->values[definition->clamp] : 0;
    int is_clipped = clamp > 0 && fabs(pair->c) > 1 - clamp;
    lgt_pair at = is_clipped ? clip(pair, clamp) : *pair;
    *out = (lgt_bend){0};
    if (definition->bend) definition->bend(loss->values, lgt_schedule_at(&loss->schedule, step), &at, out);
    if (is_clipped) hold(loss, pair, &at, out);
}

int lgt_loss_bends_crowd(const lgt_loss *loss) {
    return lgt_loss_definition_of(loss)->crowd != NULL;
}

void lgt_loss_crowd(const lgt_loss *loss, const lgt_pair *pair, int64_t step, lgt_crowd_bend *out) {
    const lgt_loss_definition *definition = lgt_loss_definition_of(loss);
    *out = (lgt_crowd_bend){INFINITY, 1, 0};
    if (definition->crowd) definition->crowd(loss->values, lgt_schedule_at(&loss->schedule, step), pair, out);
}
