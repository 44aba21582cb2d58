/* Checkpoints: the state of a training in one safetensors file with a checksum. */
#include "train/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/tensor_stream.h"
#include "data/tensors_checksum.h"
#include "train/shared_tensors.h"
#include "train/train_options.h"
#include "train/trainer_state.h"

/* Metadata beside the facts: format, log_length, checksum. */
enum { OWN_METADATA = 3, NUMBER_SIZE = 24, CHECKSUM_SIZE = 9, BANK_PARTS = 4 };

static const char log_length_key[] = "log_length", notes_name[] = "notes";

/* --- Writing --- */

typedef struct writing {
    lgt_trainer *trainer;
    lgt_facts facts;
    lgt_bank_arrays banks[LGT_MODEL_BANKS];
    lgt_shared_tensors tensors;
    char *names; /* of banks' tensors */
    double notes[LGT_CHECKPOINT_NOTES];
} writing;

static void put(lgt_tensors *t, const char *name, lgt_dtype dtype, int64_t count, void *data) {
    lgt_tensor *tensor = &t->tensors[t->n_tensors++];
    tensor->name = (char *)(uintptr_t)name; /* writing only reads names */
    tensor->array = (lgt_array){.dtype = dtype, .n_dims = 1, .shape = {count}, .count = count, .data = data};
}

static void put_metadata(lgt_tensors *t, const char *key, char *value) {
    t->metadata[t->n_metadata++] = (lgt_metadata){(char *)(uintptr_t)key, value};
}

/* The parts of a bank, as tensors that borrow from its arrays. */
static void put_bank(const lgt_bank_arrays *bank, const char *prefix, char *names, lgt_tensors *t) {
    static const char *const parts[BANK_PARTS] = {"ids", "labels", "scores", "directions"};
    static const lgt_dtype dtypes[BANK_PARTS] = {LGT_I64, LGT_I64, LGT_F64, LGT_F32};
    void *const data[BANK_PARTS] = {bank->ids, bank->labels, bank->scores, bank->directions};
    for (int i = 0; i < BANK_PARTS; i++) {
        char *name = names + i * LGT_TENSOR_NAME_SIZE;
        if (!data[i]) continue;
        lgt_text_format(name, LGT_TENSOR_NAME_SIZE, "%s.%s", prefix, parts[i]);
        put(t, name, dtypes[i], bank->count * (i == BANK_PARTS - 1 ? bank->dim : 1), data[i]);
    }
}

static void put_part(writing *w, const lgt_state_part *part) {
    const lgt_ranks *r = &w->trainer->ranks;
    int64_t count = part->of_class > 0 ? r->n_classes * part->of_class : part->count;
    w->tensors.of_class[w->tensors.all.n_tensors] = part->of_class;
    put(&w->tensors.all, part->name, part->dtype, count, part->data);
}

static lgt_status collect(writing *w, const lgt_checkpoint *about, lgt_error *err) {
    lgt_state_part parts[LGT_STATE_PARTS];
    lgt_context *context = w->trainer->context;
    lgt_tensors *all = &w->tensors.all;
    char prefix[LGT_TENSOR_NAME_SIZE];
    int64_t n_names = BANK_PARTS * LGT_MODEL_BANKS;
    const lgt_comm *comm = w->trainer->ranks.comm;
    int n_parts = lgt_trainer_parts(w->trainer, parts);
    w->tensors.ranks = &w->trainer->ranks;
    lgt_status status = lgt_facts_of(w->trainer, about, &w->facts, err);
    if (!status) status = LGT_NEW_ZERO(context, &all->tensors, n_parts + n_names + 1, err);
    if (!status) status = LGT_NEW_ZERO(context, &w->tensors.of_class, n_parts + n_names + 1, err);
    if (!status) status = LGT_NEW_ZERO(context, &all->metadata, w->facts.count + OWN_METADATA, err);
    if (!status) status = lgt_alloc_zero(context, n_names, LGT_TENSOR_NAME_SIZE, &w->names, err);
    for (int i = 0; i < n_parts && !status; i++) put_part(w, &parts[i]);
    memcpy(w->notes, about->notes, sizeof w->notes);
    if (!status) put(all, notes_name, LGT_F64, LGT_CHECKPOINT_NOTES, w->notes);
    for (int i = 0; i < LGT_MODEL_BANKS && !status && (!comm || comm->rank == 0); i++) {
        status = lgt_bank_arrays_take(context, lgt_model_bank_at(lgt_trainer_model(w->trainer), i, prefix),
                                      &w->banks[i], err);
        if (!status) put_bank(&w->banks[i], prefix, w->names + i * BANK_PARTS * LGT_TENSOR_NAME_SIZE, all);
    }
    return status;
}

static lgt_status check_trainer(const lgt_trainer *t, lgt_error *err) {
    if (lgt_is_solved(&t->options))
        return lgt_fail(err, LGT_ERR_USAGE, "optimizer %s has no checkpoints: they are for sgd and adamw",
                        t->options.optimizer == LGT_OPTIMIZER_LBFGS ? "lbfgs" : "newton-cg");
    return LGT_OK;
}

static lgt_status write(writing *w, const char *path, int64_t log_length, lgt_error *err) {
    char format[] = LGT_CHECKPOINT_FORMAT, length[NUMBER_SIZE], checksum[CHECKSUM_SIZE];
    lgt_tensors *all = &w->tensors.all;
    uint32_t sum = 0;
    lgt_text_format(length, sizeof length, "%lld", (long long)log_length);
    put_metadata(all, "format", format);
    put_metadata(all, log_length_key, length);
    for (int64_t i = 0; i < w->facts.count; i++) all->metadata[all->n_metadata++] = w->facts.items[i];
    lgt_status status = lgt_shared_tensors_checksum(w->trainer->context, &w->tensors, &sum, err);
    if (status) return status;
    snprintf(checksum, sizeof checksum, "%08x", (unsigned)sum);
    put_metadata(all, LGT_TENSORS_CHECKSUM, checksum);
    return lgt_shared_tensors_write(w->trainer->context, path, &w->tensors, err);
}

lgt_status lgt_trainer_save(lgt_trainer *trainer, const char *path, const lgt_checkpoint *about, lgt_error *err) {
    writing w = {.trainer = trainer};
    lgt_context *context = trainer->context;
    const lgt_comm *comm = trainer->ranks.comm;
    lgt_status status = check_trainer(trainer, err);
    if (!status && trainer->model.step == 0)
        status = lgt_fail(err, LGT_ERR_USAGE, "a checkpoint before the first step, expected one after it");
    if (!status && comm) status = lgt_trainer_share_state(trainer, err);
    if (!status && comm) status = lgt_model_gather_bank(&trainer->model, &trainer->whole, err);
    if (status) return status;
    status = lgt_comm_agree(comm, collect(&w, about, err), err);
    if (!status) status = write(&w, path, about->log_length, err);
    for (int i = 0; i < LGT_MODEL_BANKS; i++) lgt_bank_arrays_free(context, &w.banks[i]);
    lgt_release(context, w.names);
    lgt_release(context, w.tensors.all.metadata);
    lgt_release(context, w.tensors.of_class);
    lgt_release(context, w.tensors.all.tensors);
    lgt_facts_free(context, &w.facts);
    return status ? status : lgt_succeed(err);
}

/* --- Reading --- */

static lgt_status verify(const char *path, const lgt_tensors *tensors, uint32_t sum, int64_t most_log, lgt_error *err) {
    char expected[CHECKSUM_SIZE];
    int64_t length = -1;
    const char *format = lgt_tensors_metadata(tensors, "format");
    const char *checksum = lgt_tensors_metadata(tensors, LGT_TENSORS_CHECKSUM);
    const char *log = lgt_tensors_metadata(tensors, log_length_key);
    if (!format || strcmp(format, LGT_CHECKPOINT_FORMAT) != 0)
        return lgt_fail(err, LGT_ERR_DATA, "%s: metadata format is \"%.40s\", expected \"%s\"", path,
                        format ? format : "", LGT_CHECKPOINT_FORMAT);
    snprintf(expected, sizeof expected, "%08x", (unsigned)sum);
    if (!checksum || strcmp(checksum, expected) != 0)
        return lgt_fail(err, LGT_ERR_DATA, "%s: is damaged: its checksum is %.20s, expected %s by what it holds", path,
                        checksum ? checksum : "missing", expected);
    if (!log || !lgt_text_int64(log, strlen(log), &length) || length < 0)
        return lgt_fail(err, LGT_ERR_DATA, "%s: no metadata \"%s\", which a checkpoint has", path, log_length_key);
    if (length > most_log)
        return lgt_fail(err, LGT_ERR_DATA, "%s: belongs to a log of at least %lld bytes, found %lld", path,
                        (long long)length, (long long)most_log);
    return LGT_OK;
}

typedef struct own_parts {
    const lgt_ranks *ranks;
    lgt_state_part parts[LGT_STATE_PARTS];
    int n_parts;
} own_parts;

/* Of what is cut by classes a rank takes its own; of what does not fit, and will be refused, nothing. */
static void choose(void *user, const lgt_tensor *tensor, int64_t *first, int64_t *count) {
    const own_parts *own = user;
    for (int i = 0; i < own->n_parts; i++) {
        const lgt_state_part *part = &own->parts[i];
        if (part->of_class == 0 || strcmp(part->name, tensor->name) != 0) continue;
        int fits = *count == own->ranks->n_classes * part->of_class;
        *first = fits ? own->ranks->first * part->of_class : 0;
        *count = fits ? part->count : 0;
    }
}

lgt_status lgt_checkpoint_open(lgt_trainer *trainer, const char *path, int64_t most_log, lgt_tensors *out,
                               lgt_error *err) {
    own_parts own = {.ranks = &trainer->ranks};
    uint32_t sum = 0;
    own.n_parts = lgt_trainer_parts(trainer, own.parts);
    lgt_status status = lgt_tensors_read_part(trainer->context, path, choose, &own, out, &sum, err);
    if (status) return status;
    status = verify(path, out, sum, most_log, err);
    if (status) lgt_tensors_free(trainer->context, out);
    return status;
}

static lgt_status find(const char *path, const lgt_tensors *tensors, const char *name, lgt_dtype dtype, int64_t count,
                       const lgt_array **out, lgt_error *err) {
    *out = lgt_tensors_find(tensors, name);
    if (*out && (*out)->dtype == dtype && (*out)->count == count) return LGT_OK;
    return lgt_fail(err, LGT_ERR_DATA, "%s: %s has %lld elements %s, expected %lld %s", path, name,
                    (long long)(*out ? (*out)->count : 0), *out ? lgt_dtype_name((*out)->dtype) : "", (long long)count,
                    lgt_dtype_name(dtype));
}

/* A bank without samples has no tensors. */
static lgt_status take_bank(const char *path, const lgt_tensors *tensors, const char *prefix, lgt_align_bank *bank,
                            lgt_error *err) {
    static const char *const parts[BANK_PARTS] = {"ids", "labels", "scores", "directions"};
    static const lgt_dtype dtypes[BANK_PARTS] = {LGT_I64, LGT_I64, LGT_F64, LGT_F32};
    const lgt_array *found[BANK_PARTS] = {NULL};
    const void *data[BANK_PARTS] = {NULL};
    char name[LGT_TENSOR_NAME_SIZE];
    int64_t dim = lgt_align_bank_dim(bank), count = 0;
    lgt_status status = LGT_OK;
    lgt_text_format(name, sizeof name, "%s.%s", prefix, parts[0]);
    if (lgt_tensors_find(tensors, name)) count = lgt_tensors_find(tensors, name)->count;
    for (int i = 0; i < BANK_PARTS - (dim == 0) && count > 0 && !status; i++) {
        lgt_text_format(name, sizeof name, "%s.%s", prefix, parts[i]);
        status = find(path, tensors, name, dtypes[i], count * (i == BANK_PARTS - 1 ? dim : 1), &found[i], err);
        if (!status) data[i] = found[i]->data;
    }
    if (status) return status;
    status = lgt_align_bank_import(bank, count, data[0], data[1], data[2], data[3], err);
    return status ? lgt_fail_within(err, status, "%s: ", path) : LGT_OK;
}

lgt_status lgt_checkpoint_take(lgt_trainer *trainer, const char *path, const lgt_tensors *tensors,
                               lgt_checkpoint *about, lgt_error *err) {
    lgt_state_part parts[LGT_STATE_PARTS];
    const lgt_array *found[LGT_STATE_PARTS], *notes = NULL;
    lgt_trainer *t = trainer;
    char prefix[LGT_TENSOR_NAME_SIZE];
    const char *log = lgt_tensors_metadata(tensors, log_length_key);
    int n_parts = lgt_trainer_parts(t, parts);
    lgt_facts facts;
    lgt_status status = lgt_facts_of(t, about, &facts, err);
    if (!status) status = lgt_facts_compare(&facts, path, tensors, err);
    lgt_facts_free(t->context, &facts);
    for (int i = 0; i < n_parts && !status; i++) {
        int64_t count = parts[i].of_class > 0 ? t->ranks.n_classes * parts[i].of_class : parts[i].count;
        status = find(path, tensors, parts[i].name, parts[i].dtype, count, &found[i], err);
    }
    if (!status) status = find(path, tensors, notes_name, LGT_F64, LGT_CHECKPOINT_NOTES, &notes, err);
    if (status) return status;
    for (int i = 0; i < n_parts; i++)
        memcpy(parts[i].data, found[i]->data, (size_t)parts[i].count * lgt_dtype_size(parts[i].dtype));
    lgt_head_step_find_own(&t->head_step);
    for (int i = 0; i < LGT_MODEL_BANKS && !status; i++) {
        lgt_align_bank *bank = lgt_model_bank_at(&t->model, i, prefix);
        if (bank) status = take_bank(path, tensors, prefix, bank, err);
    }
    if (!status) status = lgt_trainer_check_state(t, path, err);
    if (status) return status;
    t->ready = -1; /* the batch that lies there is of another step */
    lgt_trainer_draw_order(t, t->model.step - 1);
    lgt_text_int64(log, strlen(log), &about->log_length);
    memcpy(about->notes, notes->data, sizeof about->notes);
    about->record = lgt_trainer_record(t);
    return LGT_OK;
}

lgt_status lgt_trainer_load(lgt_trainer *trainer, const char *path, lgt_checkpoint *about, lgt_error *err) {
    lgt_tensors tensors;
    lgt_status status = check_trainer(trainer, err);
    if (!status) status = lgt_checkpoint_open(trainer, path, about->log_length, &tensors, err);
    if (status) return status;
    status = lgt_checkpoint_take(trainer, path, &tensors, about, err);
    lgt_tensors_free(trainer->context, &tensors);
    return status ? status : lgt_succeed(err);
}
