/* The memory banks of a model's alignment. */
#include "align/align_terms.h"
#include "align/memory_bank.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "train/alignment.h"
#include "train/model.h"

static int64_t capacity_of(const lgt_align *term) {
    return (int64_t)lgt_align_value(term, "capacity");
}

/* Reliabilities that are read, or directions. */
static int needs_bank(const lgt_align *pga) {
    return lgt_align_value(pga, "targets") == LGT_TARGETS_MEMORY ||
           lgt_align_value(pga, "beta") == LGT_BETA_RELIABILITY || lgt_align_value(pga, "min_reliability") > 0;
}

/* Of every layer that another one follows; an encoder with too few or too many layers is refused elsewhere. */
static lgt_status create_layer_banks(lgt_model *model, const lgt_align *k, lgt_error *err) {
    int n_layers = lgt_alignment_count_layers(k, model->encoder);
    int above = lgt_align_value(k, "toward") == LGT_TOWARD_UPPER;
    lgt_status status = LGT_OK;
    for (int l = above; l < n_layers - !above && l < LGT_ALIGN_MAX_LAYERS && !status; l++)
        status = lgt_align_bank_create(model->context, 0, capacity_of(k), &model->layer_banks[l], err);
    return status;
}

lgt_status lgt_model_create_banks(lgt_model *model, const lgt_comm *comm, lgt_error *err) {
    const lgt_align *pga = lgt_align_of(&model->align, LGT_ALIGN_PGA), *k = lgt_align_of(&model->align, LGT_ALIGN_K);
    lgt_status status = LGT_OK;
    if (pga && needs_bank(pga))
        status = lgt_align_bank_create_shared(model->context, lgt_model_dim(model), capacity_of(pga), comm,
                                              &model->bank, err);
    if (!status && k) status = create_layer_banks(model, k, err);
    return status;
}

void lgt_model_free_banks(lgt_model *model) {
    for (int l = 0; l < LGT_ALIGN_MAX_LAYERS; l++) lgt_align_bank_free(model->layer_banks[l]);
    lgt_align_bank_free(model->bank);
}

void lgt_model_drop_bank(const lgt_model *model, lgt_model *whole) {
    if (whole->bank != model->bank) lgt_align_bank_free(whole->bank);
    whole->bank = model->bank;
}

lgt_status lgt_model_gather_bank(const lgt_model *model, lgt_model *whole, lgt_error *err) {
    const lgt_align_bank *bank = model->bank;
    lgt_align_bank *made = NULL;
    lgt_status status = LGT_OK;
    lgt_model_drop_bank(model, whole);
    if (!bank || !bank->comm) return LGT_OK;
    if (bank->rank == 0) status = lgt_align_bank_create(model->context, bank->dim, bank->capacity, &made, err);
    status = lgt_comm_agree(bank->comm, status, err);
    if (!status) status = lgt_align_bank_gather(bank, made, err);
    if (status)
        lgt_align_bank_free(made);
    else if (made)
        whole->bank = made;
    return status;
}

lgt_align_bank *lgt_model_bank_at(const lgt_model *model, int index, char prefix[LGT_TENSOR_NAME_SIZE]) {
    if (index == 0) {
        lgt_text_format(prefix, LGT_TENSOR_NAME_SIZE, "align");
        return model->bank;
    }
    lgt_text_format(prefix, LGT_TENSOR_NAME_SIZE, "align.k.%d", index - 1);
    return model->layer_banks[index - 1];
}

const lgt_align_terms *lgt_model_align(const lgt_model *model) {
    return &model->align;
}

lgt_align_bank *lgt_model_bank(lgt_model *model) {
    return model->bank;
}

lgt_status lgt_bank_arrays_take(lgt_context *context, const lgt_align_bank *bank, lgt_bank_arrays *out,
                                lgt_error *err) {
    *out = (lgt_bank_arrays){.count = bank ? lgt_align_bank_count(bank) : 0};
    if (bank && bank->comm)
        return lgt_fail(err, LGT_ERR_USAGE, "%d ranks share the memory bank, expected it gathered on the first",
                        bank->size);
    if (out->count == 0) return LGT_OK;
    out->dim = lgt_align_bank_dim(bank);
    lgt_status status = LGT_NEW(context, &out->ids, out->count, err);
    if (!status) status = LGT_NEW(context, &out->labels, out->count, err);
    if (!status) status = LGT_NEW(context, &out->scores, out->count, err);
    if (!status && out->dim > 0) status = LGT_NEW(context, &out->directions, out->count * out->dim, err);
    if (!status) lgt_align_bank_export(bank, out->ids, out->labels, out->scores, out->directions);
    return status;
}

void lgt_bank_arrays_free(lgt_context *context, lgt_bank_arrays *arrays) {
    lgt_release(context, arrays->directions);
    lgt_release(context, arrays->scores);
    lgt_release(context, arrays->labels);
    lgt_release(context, arrays->ids);
}
