/* What the ranks of a training share. */
#include "train/trainer_ranks.h"

#include "base/memory.h"

lgt_status lgt_ranks_create(lgt_context *context, const lgt_comm *comm, int64_t n_classes, lgt_ranks *out,
                            lgt_error *err) {
    int alone = !comm || comm->size == 1;
    *out = (lgt_ranks){.comm = alone ? NULL : comm, .n_classes = n_classes, .piece = LGT_RANKS_PIECE};
    lgt_stripes_of_rank(n_classes, alone ? 1 : comm->size, alone ? 0 : comm->rank, &out->stripe_begin,
                        &out->stripe_end);
    out->first = lgt_stripe_begin(n_classes, out->stripe_begin);
    out->count = lgt_stripe_begin(n_classes, out->stripe_end) - out->first;
    return LGT_NEW(context, &out->offsets, alone ? 0 : comm->size + 1, err);
}

void lgt_ranks_free(lgt_context *context, lgt_ranks *ranks) {
    lgt_release(context, ranks->offsets);
}

int64_t lgt_ranks_count(const lgt_ranks *ranks, int rank) {
    int64_t begin, end;
    lgt_stripes_of_rank(ranks->n_classes, ranks->comm ? ranks->comm->size : 1, rank, &begin, &end);
    return lgt_stripe_begin(ranks->n_classes, end) - lgt_stripe_begin(ranks->n_classes, begin);
}

lgt_status lgt_ranks_gather(const lgt_ranks *ranks, void *all, int64_t bytes, lgt_error *err) {
    const lgt_comm *comm = ranks->comm;
    if (!comm) return LGT_OK;
    lgt_class_offsets(ranks->n_classes, comm->size, bytes, ranks->offsets);
    return comm->gather(comm->user, all, ranks->offsets, err);
}

lgt_span lgt_ranks_rows(const lgt_ranks *ranks, int64_t n) {
    return ranks->comm ? lgt_span_of(n, ranks->comm->rank, ranks->comm->size) : (lgt_span){0, n};
}

lgt_status lgt_ranks_gather_rows(const lgt_ranks *ranks, void *all, int64_t n, int64_t bytes, lgt_error *err) {
    const lgt_comm *comm = ranks->comm;
    if (!comm) return LGT_OK;
    for (int r = 0; r <= comm->size; r++) ranks->offsets[r] = lgt_span_of(n, r, comm->size).begin * bytes;
    return comm->gather(comm->user, all, ranks->offsets, err);
}

lgt_status lgt_ranks_sum(const lgt_ranks *ranks, double stripes[LGT_STRIPES], double *sum, lgt_error *err) {
    const lgt_comm *comm = ranks->comm;
    lgt_status status = LGT_OK;
    *sum = 0;
    if (comm) {
        lgt_stripe_offsets(ranks->n_classes, comm->size, sizeof *stripes, ranks->offsets);
        status = comm->gather(comm->user, stripes, ranks->offsets, err);
    }
    for (int64_t k = 0; k < lgt_stripes_of(ranks->n_classes) && !status; k++) *sum += stripes[k];
    return status;
}
