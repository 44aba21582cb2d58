/* Losses of the caller's own: a definition is checked once, so that nothing behind it meets what no built-in loss has.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "loss/definition.h"

enum { NAME_MAX_LENGTH = 32, NUMBER_LENGTH = 25, SCHEDULE_LENGTH = 12 + 4 * NUMBER_LENGTH };

static lgt_status refuse(const lgt_loss_definition *d, const char *key, const char *reason, lgt_error *err) {
    return lgt_fail(err, LGT_ERR_USAGE, "a definition of the loss \"%.32s\"%s%.32s: %s", d->info.name,
                    *key ? ", parameter " : "", key, reason);
}

static lgt_status check_info(const lgt_loss_definition *d, lgt_error *err) {
    const lgt_loss_info *info = &d->info;
    size_t length = strspn(info->name, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (length == 0 || length > NAME_MAX_LENGTH || info->name[length])
        return refuse(d, "", "the name must be 1 to 32 of a-z, 0-9 and '-'", err);
    for (int i = 0; i < lgt_loss_count(); i++)
        if (strcmp(lgt_loss_at(i)->name, info->name) == 0)
            return refuse(d, "", "the list has a loss of this name", err);
    if (!info->title || !info->equation || !info->citation)
        return refuse(d, "", "title, equation and citation must not be NULL", err);
    if (info->space != LGT_SPACE_DOT && info->space != LGT_SPACE_COS && info->space != LGT_SPACE_COSW)
        return refuse(d, "", "the space is none of DOT, COS and COSW", err);
    if (info->n_params < 1 || info->n_params > LGT_LOSS_MAX_PARAMS || !info->params)
        return refuse(d, "", "expected 1 to 12 parameters", err);
    if (info->has_bias && info->space != LGT_SPACE_DOT) return refuse(d, "", "only the space DOT has a bias", err);
    if (d->crowd && info->space != LGT_SPACE_COS) return refuse(d, "", "only the space COS has a crowd to bend", err);
    return LGT_OK;
}

static int is_number(const lgt_param_info *param) {
    return param->kind == LGT_PARAM_REAL || param->kind == LGT_PARAM_INTEGER || param->kind == LGT_PARAM_ANGLE;
}

/* A parameter by itself. */
static lgt_status check_param(const lgt_loss_definition *d, const lgt_param_info *param, lgt_error *err) {
    if (!param->key || !*param->key || strcspn(param->key, ":,=") < strlen(param->key))
        return refuse(d, "", "a parameter's key is missing, or holds one of :,=", err);
    if (strcmp(param->key, "k") == 0) return refuse(d, "k", "the key is kept for sub-centres", err);
    if (!param->default_text || !param->help) return refuse(d, param->key, "default and help must not be NULL", err);
    if ((int)param->kind < LGT_PARAM_REAL || param->kind > LGT_PARAM_WARMUP)
        return refuse(d, param->key, "there is no such kind", err);
    if (param->kind == LGT_PARAM_CHOICE && (!param->words || !param->words[0]))
        return refuse(d, param->key, "a choice needs words", err);
    if (is_number(param) && !(isfinite(param->low) && isfinite(param->high) && param->low <= param->high))
        return refuse(d, param->key, "expected finite bounds, low <= high", err);
    if (param->role != LGT_ROLE_FIXED && !is_number(param))
        return refuse(d, param->key, "scale, margin and state are numbers", err);
    if ((strcmp(param->key, "gradient") == 0) != (param->words == lgt_gradient_words))
        return refuse(d, param->key, "the gradient mode is LGT_PARAM_GRADIENT, and nothing else is", err);
    if ((strcmp(param->key, "s") == 0) != (param->role == LGT_ROLE_SCALE) ||
        (param->role == LGT_ROLE_SCALE && !(param->kind == LGT_PARAM_REAL && param->low > 0)))
        return refuse(d, param->key, "the scale is LGT_PARAM_SCALE, and nothing else is", err);
    return LGT_OK;
}

static int count_role(const lgt_loss_info *info, lgt_param_role role) {
    int n = 0;
    for (int i = 0; i < info->n_params; i++) n += info->params[i].role == role;
    return n;
}

static int state_is_sound(const lgt_loss_definition *d) {
    int first = lgt_loss_param_of(&d->info, LGT_ROLE_STATE), n = count_role(&d->info, LGT_ROLE_STATE);
    if (n > LGT_LOSS_MAX_STATE || (n > 0) != (d->move != NULL)) return 0;
    for (int k = 0; k < n; k++)
        if (d->info.params[first + k].role != LGT_ROLE_STATE) return 0;
    return 1;
}

static int clamp_is_sound(const lgt_loss_definition *d) {
    if (d->clamp == 0) return 1;
    if (d->clamp < 0 || d->clamp >= d->info.n_params || d->info.space != LGT_SPACE_COS) return 0;
    const lgt_param_info *param = &d->info.params[d->clamp];
    return param->kind == LGT_PARAM_REAL && param->low >= 0 && param->high < 1;
}

/* At most as long as lgt_loss_format writes it. */
static size_t longest_specification(const lgt_loss_info *info) {
    size_t length = strlen(info->name) + 1;
    for (int i = 0; i < info->n_params; i++) {
        const lgt_param_info *param = &info->params[i];
        size_t value = is_number(param) ? NUMBER_LENGTH : SCHEDULE_LENGTH;
        if (param->kind == LGT_PARAM_CHOICE) value = 0;
        for (int k = 0; param->kind == LGT_PARAM_CHOICE && param->words[k]; k++)
            if (strlen(param->words[k]) > value) value = strlen(param->words[k]);
        length += strlen(param->key) + 2 + value;
    }
    return length;
}

/* The parameters together. */
static lgt_status check_params(const lgt_loss_definition *d, lgt_error *err) {
    const lgt_loss_info *info = &d->info;
    int n_scheduled = 0, n_gradient = 0;
    for (int i = 0; i < info->n_params; i++) {
        const lgt_param_info *param = &info->params[i];
        lgt_status status = check_param(d, param, err);
        if (status) return status;
        n_scheduled += param->kind == LGT_PARAM_SCHEDULE || param->kind == LGT_PARAM_WARMUP;
        n_gradient += param->words == lgt_gradient_words;
        for (int k = 0; k < i; k++)
            if (strcmp(info->params[k].key, param->key) == 0) return refuse(d, param->key, "the key comes twice", err);
    }
    if (n_gradient != 1) return refuse(d, "", "LGT_PARAM_GRADIENT is missing", err);
    if (n_scheduled > 1) return refuse(d, "", "more than one schedule", err);
    if (count_role(info, LGT_ROLE_SCALE) != (info->space == LGT_SPACE_COS))
        return refuse(d, "", "LGT_PARAM_SCALE belongs into the space COS, and there alone", err);
    if (count_role(info, LGT_ROLE_MARGIN) > 1) return refuse(d, "", "more than one margin", err);
    if (!state_is_sound(d))
        return refuse(d, "", "expected at most 2 parameters of state, one behind the other, where it has move", err);
    if (!clamp_is_sound(d))
        return refuse(d, "", "clamp must be the index of a real parameter in [0, 1), in the space COS", err);
    if (longest_specification(info) >= LGT_LOSS_SPEC_SIZE)
        return refuse(d, "", "its specification does not fit into LGT_LOSS_SPEC_SIZE", err);
    return LGT_OK;
}

lgt_status lgt_loss_custom(const lgt_loss_definition *definition, const char *settings, lgt_loss *out, lgt_error *err) {
    if (!definition || !definition->info.name) return lgt_fail(err, LGT_ERR_USAGE, "a loss without definition or name");
    lgt_status status = check_info(definition, err);
    if (!status) status = check_params(definition, err);
    if (status) return status;
    return lgt_loss_settle(definition, NULL, settings && *settings ? settings : NULL, out, err);
}
