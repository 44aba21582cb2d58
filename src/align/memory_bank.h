/* The inside of a memory bank: slots in the order of their last update. Ranks that share it have the same slots; the
 * direction of slot s lies with rank s mod P alone. */
#ifndef LGT_ALIGN_MEMORY_BANK_H
#define LGT_ALIGN_MEMORY_BANK_H

#include "align/id_map.h"
#include "logitude/align.h"
#include "logitude/comm.h"

typedef struct lgt_bank_slot {
    int64_t id, label, older, newer; /* neighbours in the order of updates; -1 at the ends */
    double score;
} lgt_bank_slot;

struct lgt_align_bank {
    lgt_context *context;
    const lgt_comm *comm; /* NULL: alone */
    int rank, size;
    int64_t dim, capacity, count;
    int64_t oldest, newest; /* -1 while empty */
    lgt_id_map map;
    lgt_bank_slot *slots; /* (capacity), the first `count` in use */
    float *directions;    /* (capacity / size, dim) of own slots; dim 0: reliabilities alone */
    int64_t *offsets;     /* (size + 1) scratch of calls to comm */
};

/* What a sample starts with. */
#define LGT_SCORE_START 0.5

/* The slot of a sample under that label, or -1. */
int64_t lgt_bank_find(const lgt_align_bank *bank, int64_t id, int64_t label);

/* The direction in a slot, or NULL: another rank has it. */
static inline float *lgt_bank_own(const lgt_align_bank *bank, int64_t slot) {
    return slot % bank->size == bank->rank ? bank->directions + slot / bank->size * bank->dim : NULL;
}

/* Brings the directions of n slots, the same on all ranks, to all of them: out (n, dim) has them by rank, and places
 * (n), which held the slots, says in which row each is. A slot of -1 has none and keeps its -1. Collective. Errors:
 * COMM. */
lgt_status lgt_bank_fetch(const lgt_align_bank *bank, int64_t n, int64_t *places, float *out, lgt_error *err);

#endif
