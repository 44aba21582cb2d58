/* What the ranks of a training share: each has a part of the classes, with their weights and what the optimiser keeps
 * of them; the rest of the trainer is the same on all (docs/scaling.md). */
#ifndef LGT_TRAIN_TRAINER_RANKS_H
#define LGT_TRAIN_TRAINER_RANKS_H

#include "engine/stripes.h"
#include "logitude/comm.h"
#include "logitude/head.h"
#include "net/encoder.h"

/* So large that the time of a message does not count, and nothing beside what a batch takes. */
enum { LGT_RANKS_PIECE = 4 << 20 };

typedef struct lgt_ranks {
    const lgt_comm *comm; /* NULL: alone, with all classes */
    int64_t n_classes;
    int64_t stripe_begin, stripe_end; /* own */
    int64_t first, count;             /* own classes */
    int64_t *offsets;                 /* (ranks + 1) scratch */
    int64_t piece;                    /* bytes of a file that come to its writer at once; whole elements */
} lgt_ranks;

/* comm NULL or of one rank: alone. Errors: MEMORY; *out is to be freed in any case. */
lgt_status lgt_ranks_create(lgt_context *context, const lgt_comm *comm, int64_t n_classes, lgt_ranks *out,
                            lgt_error *err);
void lgt_ranks_free(lgt_context *context, lgt_ranks *ranks);

/* The classes of a rank. */
int64_t lgt_ranks_count(const lgt_ranks *ranks, int rank);

/* all (n_classes, bytes): own entries are there, the others' come. Collective. */
lgt_status lgt_ranks_gather(const lgt_ranks *ranks, void *all, int64_t bytes, lgt_error *err);

/* The rows of n that this rank works on, and all (n, bytes), of which each rank has made those: the others' come.
 * Collective. */
lgt_span lgt_ranks_rows(const lgt_ranks *ranks, int64_t n);
lgt_status lgt_ranks_gather_rows(const lgt_ranks *ranks, void *all, int64_t n, int64_t bytes, lgt_error *err);

/* The sum over the stripes, in order, of which each rank has its own: the same bits for any number of ranks.
 * Collective. */
lgt_status lgt_ranks_sum(const lgt_ranks *ranks, double stripes[LGT_STRIPES], double *sum, lgt_error *err);

#endif
