/* The inside of a memory bank: slots in the order of their last update. */
#ifndef LGT_ALIGN_MEMORY_BANK_H
#define LGT_ALIGN_MEMORY_BANK_H

#include "align/id_map.h"
#include "logitude/align.h"

typedef struct lgt_bank_slot {
    int64_t id, label, older, newer; /* neighbours in the order of updates; -1 at the ends */
    double score;
} lgt_bank_slot;

struct lgt_align_bank {
    lgt_context *context;
    int64_t dim, capacity, count;
    int64_t oldest, newest; /* -1 while empty */
    lgt_id_map map;
    lgt_bank_slot *slots; /* (capacity), the first `count` in use */
    float *directions;    /* (capacity, dim); dim 0: reliabilities alone */
};

/* What a sample starts with. */
#define LGT_SCORE_START 0.5

#endif
