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

double lgt_loss_value(const lgt_loss *loss, const char *key) {
    for (int i = 0; i < loss->info->n_params; i++)
        if (strcmp(loss->info->params[i].key, key) == 0) return loss->values[i];
    return NAN;
}

lgt_loss lgt_loss_plain(const lgt_loss *loss) {
    lgt_loss plain = {.info = loss->info->space == LGT_SPACE_COS ? &lgt_loss_normalized.info : &lgt_loss_softmax.info};
    double s = lgt_loss_value(loss, "s");
    if (loss->info->space == LGT_SPACE_COS) plain.values[0] = s;
    return plain;
}

void lgt_loss_bend(const lgt_loss *loss, const lgt_pair *pair, int64_t step, lgt_bend *out) {
    const lgt_loss_definition *definition = lgt_loss_definition_of(loss);
    *out = (lgt_bend){0};
    if (definition->bend) definition->bend(loss->values, lgt_schedule_at(&loss->schedule, step), pair, out);
}
