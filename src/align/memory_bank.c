/* The memory bank of alignment: directions and reliabilities of samples by id (docs/alignment.md, "The memory bank").
 */
#include "align/memory_bank.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"

lgt_status lgt_align_bank_create_shared(lgt_context *context, int64_t dim, int64_t capacity, const lgt_comm *comm,
                                        lgt_align_bank **out, lgt_error *err) {
    lgt_align_bank *b = NULL;
    int64_t elements = 0;
    int alone = !comm || comm->size == 1;
    if (dim < 0 || capacity < 1 || !lgt_count_mul(dim, capacity, &elements))
        return lgt_fail(err, LGT_ERR_USAGE, "a bank of %lld samples of dim %lld, expected at least 1 and 0",
                        (long long)capacity, (long long)dim);
    lgt_status status = LGT_NEW_ZERO(context, &b, 1, err);
    if (status) return status;
    *b = (lgt_align_bank){.context = context, .size = 1, .dim = dim, .capacity = capacity, .oldest = -1, .newest = -1};
    if (!alone) b->comm = comm, b->rank = comm->rank, b->size = comm->size;
    elements = lgt_ceil_div(lgt_max64(capacity - b->rank, 0), b->size) * dim;
    status = lgt_id_map_create(context, capacity, &b->map, err);
    if (!status) status = LGT_NEW(context, &b->slots, capacity, err);
    if (!status) status = LGT_NEW(context, &b->directions, elements, err);
    if (!status) status = LGT_NEW(context, &b->offsets, b->size + 1, err);
    if (status) {
        lgt_align_bank_free(b);
        return status;
    }
    *out = b;
    return lgt_succeed(err);
}

lgt_status lgt_align_bank_create(lgt_context *context, int64_t dim, int64_t capacity, lgt_align_bank **out,
                                 lgt_error *err) {
    return lgt_align_bank_create_shared(context, dim, capacity, NULL, out, err);
}

void lgt_align_bank_free(lgt_align_bank *bank) {
    if (!bank) return;
    lgt_context *context = bank->context;
    lgt_release(context, bank->offsets);
    lgt_release(context, bank->directions);
    lgt_release(context, bank->slots);
    lgt_id_map_free(context, &bank->map);
    lgt_release(context, bank);
}

int64_t lgt_align_bank_dim(const lgt_align_bank *bank) {
    return bank->dim;
}
int64_t lgt_align_bank_count(const lgt_align_bank *bank) {
    return bank->count;
}

/* --- The order of updates --- */

static void unlink_slot(lgt_align_bank *b, int64_t slot) {
    const lgt_bank_slot *s = &b->slots[slot];
    *(s->older < 0 ? &b->oldest : &b->slots[s->older].newer) = s->newer;
    *(s->newer < 0 ? &b->newest : &b->slots[s->newer].older) = s->older;
}

static void link_newest(lgt_align_bank *b, int64_t slot) {
    b->slots[slot].older = b->newest;
    b->slots[slot].newer = -1;
    *(b->newest < 0 ? &b->oldest : &b->slots[b->newest].newer) = slot;
    b->newest = slot;
}

static void clear(lgt_align_bank *b) {
    lgt_id_map_clear(&b->map);
    b->count = 0;
    b->oldest = b->newest = -1;
}

/* A slot for a new id: a fresh one, or that of the sample untouched the longest. */
static int64_t take_slot(lgt_align_bank *b, int64_t id) {
    int64_t slot = b->count;
    if (b->count < b->capacity) {
        b->count++;
    } else {
        slot = b->oldest;
        lgt_id_map_remove(&b->map, b->slots[slot].id);
        unlink_slot(b, slot);
    }
    lgt_id_map_add(&b->map, id, slot);
    return slot;
}

/* --- Use --- */

static void begin(lgt_align_bank *b, int64_t slot, int64_t label, const double *unit) {
    float *direction = lgt_bank_own(b, slot);
    b->slots[slot].label = label;
    b->slots[slot].score = LGT_SCORE_START;
    for (int64_t k = 0; direction && k < b->dim; k++) direction[k] = (float)unit[k];
}

/* Opposite directions may cancel: the new one then stands alone. */
static void blend(float *direction, const double *unit, int64_t dim, double momentum) {
    double square = 0;
    for (int64_t k = 0; k < dim; k++) {
        double v = momentum * (double)direction[k] + (1 - momentum) * unit[k];
        square += v * v;
    }
    double factor = square > 1e-12 ? 1 / sqrt(square) : 0;
    for (int64_t k = 0; k < dim; k++)
        direction[k] =
            (float)(factor > 0 ? factor * (momentum * (double)direction[k] + (1 - momentum) * unit[k]) : unit[k]);
}

void lgt_align_bank_update(lgt_align_bank *bank, int64_t id, int64_t label, const double *unit, double score,
                           double momentum, double score_momentum) {
    lgt_align_bank *b = bank;
    int64_t slot = lgt_id_map_find(&b->map, id);
    if (slot >= 0) {
        unlink_slot(b, slot);
        float *direction = lgt_bank_own(b, slot);
        if (b->slots[slot].label != label)
            begin(b, slot, label, unit);
        else if (direction)
            blend(direction, unit, b->dim, momentum);
    } else {
        slot = take_slot(b, id);
        b->slots[slot].id = id;
        begin(b, slot, label, unit);
    }
    link_newest(b, slot);
    if (!isnan(score)) b->slots[slot].score = score_momentum * b->slots[slot].score + (1 - score_momentum) * score;
}

int64_t lgt_bank_find(const lgt_align_bank *bank, int64_t id, int64_t label) {
    int64_t slot = lgt_id_map_find(&bank->map, id);
    return slot >= 0 && bank->slots[slot].label == label ? slot : -1;
}

double lgt_align_bank_score(const lgt_align_bank *bank, int64_t id, int64_t label) {
    int64_t slot = lgt_bank_find(bank, id, label);
    return slot >= 0 ? bank->slots[slot].score : LGT_SCORE_START;
}

const float *lgt_align_bank_direction(const lgt_align_bank *bank, int64_t id, int64_t label) {
    int64_t slot = lgt_bank_find(bank, id, label);
    return bank->dim > 0 && slot >= 0 ? lgt_bank_own(bank, slot) : NULL;
}

/* --- Several ranks --- */

lgt_status lgt_bank_fetch(const lgt_align_bank *bank, int64_t n, int64_t *places, float *out, lgt_error *err) {
    const lgt_align_bank *b = bank;
    int64_t *at = b->offsets, bytes = b->dim * (int64_t)sizeof *out;
    memset(at, 0, (size_t)(b->size + 1) * sizeof *at);
    for (int64_t i = 0; i < n; i++)
        if (places[i] >= 0) at[places[i] % b->size + 1]++;
    for (int r = 0; r < b->size; r++) at[r + 1] += at[r];
    for (int64_t i = 0; i < n; i++) {
        if (places[i] < 0) continue;
        const float *own = lgt_bank_own(b, places[i]);
        places[i] = at[places[i] % b->size]++;
        if (own) memcpy(out + places[i] * b->dim, own, (size_t)bytes);
    }
    for (int r = b->size; r > 0; r--) at[r] = at[r - 1] * bytes; /* each had come to where the next one begins */
    at[0] = 0;
    return b->comm ? b->comm->gather(b->comm->user, out, at, err) : LGT_OK;
}

/* Samples whose directions are brought together at once. */
enum { GATHERED = 1024 };

static lgt_status gather_directions(const lgt_align_bank *b, int64_t *places, float *block, lgt_align_bank *whole,
                                    lgt_error *err) {
    lgt_status status = LGT_OK;
    for (int64_t first = 0; first < b->count && !status; first += GATHERED) {
        int64_t n = lgt_min64(GATHERED, b->count - first);
        for (int64_t i = 0; i < n; i++) places[i] = first + i;
        status = lgt_bank_fetch(b, n, places, block, err);
        for (int64_t i = 0; i < n && whole && !status; i++)
            memcpy(whole->directions + (first + i) * b->dim, block + places[i] * b->dim,
                   (size_t)b->dim * sizeof *block);
    }
    return status;
}

static void copy_slots(const lgt_align_bank *from, lgt_align_bank *to) {
    lgt_id_map_clear(&to->map);
    memcpy(to->slots, from->slots, (size_t)from->count * sizeof *to->slots);
    for (int64_t slot = 0; slot < from->count; slot++) lgt_id_map_add(&to->map, from->slots[slot].id, slot);
    to->count = from->count;
    to->oldest = from->oldest;
    to->newest = from->newest;
}

lgt_status lgt_align_bank_gather(const lgt_align_bank *bank, lgt_align_bank *whole, lgt_error *err) {
    int64_t *places = NULL;
    float *block = NULL;
    lgt_status status = LGT_NEW(bank->context, &places, GATHERED, err);
    if (!status) status = lgt_alloc(bank->context, GATHERED, (size_t)bank->dim * sizeof *block, &block, err);
    if (!status && whole && (whole->comm || whole->dim != bank->dim || whole->capacity != bank->capacity))
        status = lgt_fail(err, LGT_ERR_USAGE, "a whole bank of %lld samples of dim %lld%s, expected %lld of dim %lld",
                          (long long)whole->capacity, (long long)whole->dim, whole->comm ? " that is shared" : "",
                          (long long)bank->capacity, (long long)bank->dim);
    status = lgt_comm_agree(bank->comm, status, err);
    if (!status && whole) copy_slots(bank, whole);
    if (!status) status = gather_directions(bank, places, block, whole, err);
    if (status && whole) clear(whole);
    lgt_release(bank->context, block);
    lgt_release(bank->context, places);
    return status ? status : lgt_succeed(err);
}

/* --- Saving and restoring --- */

void lgt_align_bank_export(const lgt_align_bank *bank, int64_t *ids, int64_t *labels, double *scores,
                           float *directions) {
    int64_t i = 0;
    for (int64_t slot = bank->oldest; slot >= 0; slot = bank->slots[slot].newer, i++) {
        ids[i] = bank->slots[slot].id;
        labels[i] = bank->slots[slot].label;
        scores[i] = bank->slots[slot].score;
        const float *own = lgt_bank_own(bank, slot);
        for (int64_t k = 0; k < bank->dim; k++) directions[i * bank->dim + k] = own ? own[k] : 0;
    }
}

static lgt_status import_one(lgt_align_bank *b, int64_t i, int64_t id, int64_t label, double score,
                             const float *directions, lgt_error *err) {
    double square = b->dim > 0 ? 0 : 1;
    for (int64_t k = 0; k < b->dim; k++) square += (double)directions[i * b->dim + k] * directions[i * b->dim + k];
    if (lgt_id_map_find(&b->map, id) >= 0)
        return lgt_fail(err, LGT_ERR_DATA, "the bank's sample %lld has id %lld, which occurs before", (long long)i,
                        (long long)id);
    if (!(score >= 0 && score <= 1) || !(fabs(square - 1) < 2e-3))
        return lgt_fail(err, LGT_ERR_DATA,
                        "the bank's sample %lld has reliability %g and a direction of squared length %g, expected 0 to "
                        "1 and 1",
                        (long long)i, score, square);
    int64_t slot = take_slot(b, id);
    b->slots[slot] = (lgt_bank_slot){.id = id, .label = label, .score = score};
    float *own = lgt_bank_own(b, slot);
    for (int64_t k = 0; own && k < b->dim; k++) own[k] = directions[i * b->dim + k];
    link_newest(b, slot);
    return LGT_OK;
}

lgt_status lgt_align_bank_import(lgt_align_bank *bank, int64_t count, const int64_t *ids, const int64_t *labels,
                                 const double *scores, const float *directions, lgt_error *err) {
    lgt_status status = LGT_OK;
    clear(bank);
    if (count < 0 || count > bank->capacity)
        return lgt_fail(err, LGT_ERR_DATA, "%lld samples for a bank of at most %lld", (long long)count,
                        (long long)bank->capacity);
    if (count > 0 && (!ids || !labels || !scores || (bank->dim > 0 && !directions)))
        return lgt_fail(err, LGT_ERR_USAGE,
                        "ids, labels, scores or directions are NULL, expected those of %lld samples", (long long)count);
    for (int64_t i = 0; i < count && !status; i++)
        status = import_one(bank, i, ids[i], labels[i], scores[i], directions, err);
    if (status) clear(bank);
    return status ? status : lgt_succeed(err);
}
