/* The memory bank of a model's alignment. */
#include <string.h>

#include "base/memory.h"
#include "train/model.h"

/* Reliabilities that are read, or directions. */
static int needs_bank(const lgt_align *pga) {
    const lgt_align_info *info = pga->info;
    for (int i = 0; i < info->n_params; i++) {
        const lgt_param_info *p = &info->params[i];
        if (p->kind != LGT_PARAM_CHOICE) continue;
        const char *word = p->words[(int)pga->values[i]];
        if (strcmp(word, "memory") == 0 || strcmp(word, "reliability") == 0) return 1;
    }
    return lgt_align_value(pga, "min_reliability") > 0;
}

lgt_status lgt_model_create_bank(lgt_model *model, lgt_error *err) {
    const lgt_align *pga = lgt_align_of(&model->align, LGT_ALIGN_PGA);
    if (!pga || !needs_bank(pga)) return LGT_OK;
    return lgt_align_bank_create(model->context, lgt_model_dim(model), (int64_t)lgt_align_value(pga, "capacity"),
                                 &model->bank, err);
}

const lgt_align_terms *lgt_model_align(const lgt_model *model) {
    return &model->align;
}

lgt_align_bank *lgt_model_bank(lgt_model *model) {
    return model->bank;
}

lgt_status lgt_bank_arrays_take(const lgt_model *model, lgt_bank_arrays *out, lgt_error *err) {
    lgt_context *context = model->context;
    *out = (lgt_bank_arrays){.count = model->bank ? lgt_align_bank_count(model->bank) : 0};
    if (out->count == 0) return LGT_OK;
    lgt_status status = LGT_NEW(context, &out->ids, out->count, err);
    if (!status) status = LGT_NEW(context, &out->labels, out->count, err);
    if (!status) status = LGT_NEW(context, &out->scores, out->count, err);
    if (!status) status = LGT_NEW(context, &out->directions, out->count * lgt_model_dim(model), err);
    if (!status) lgt_align_bank_export(model->bank, out->ids, out->labels, out->scores, out->directions);
    return status;
}

void lgt_bank_arrays_free(lgt_context *context, lgt_bank_arrays *arrays) {
    lgt_release(context, arrays->directions);
    lgt_release(context, arrays->scores);
    lgt_release(context, arrays->labels);
    lgt_release(context, arrays->ids);
}
