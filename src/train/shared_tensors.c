/* Tensors cut by classes, from all ranks into one file. */
#include "train/shared_tensors.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "data/tensor_stream.h"
#include "data/tensors_checksum.h"

/* The bytes of a tensor that come from one rank. */
static int64_t part_bytes(const lgt_shared_tensors *t, int64_t index, int rank) {
    const lgt_array *array = &t->all.tensors[index].array;
    int64_t size = (int64_t)lgt_dtype_size(array->dtype), of_class = t->of_class[index];
    if (of_class == 0) return rank == 0 ? array->count * size : 0;
    return lgt_ranks_count(t->ranks, rank) * of_class * size;
}

/* --- Checksum: each rank's part is summed where it lies --- */

/* Tensors up to the last that is cut. */
static int64_t n_common(const lgt_shared_tensors *t) {
    int64_t n = t->all.n_tensors;
    while (n > 0 && t->of_class[n - 1] == 0) n--;
    return n;
}

static uint32_t part_checksum(const lgt_shared_tensors *t, int64_t index, int rank) {
    return lgt_checksum_add(0, t->all.tensors[index].array.data, (size_t)part_bytes(t, index, rank));
}

lgt_status lgt_shared_tensors_checksum(lgt_context *context, const lgt_shared_tensors *tensors, uint32_t *out,
                                       lgt_error *err) {
    const lgt_shared_tensors *t = tensors;
    const lgt_comm *comm = t->ranks->comm;
    int size = comm ? comm->size : 1, own = comm ? comm->rank : 0;
    int64_t n = n_common(t), *offsets = t->ranks->offsets;
    uint32_t *elements = NULL, *parts; /* (n_tensors) | (size, n) */
    lgt_status status = LGT_NEW_ZERO(context, &elements, t->all.n_tensors + size * n, err);
    if (!(status = lgt_comm_agree(comm, status, err))) {
        parts = elements + t->all.n_tensors;
        for (int64_t i = 0; i < n; i++) parts[own * n + i] = part_checksum(t, i, own);
        for (int r = 0; comm && r <= size; r++) offsets[r] = r * n * (int64_t)sizeof *parts;
        if (comm) status = comm->gather(comm->user, parts, offsets, err);
        for (int r = 0; r < size; r++)
            for (int64_t i = 0; i < n; i++)
                elements[i] = lgt_checksum_join(elements[i], parts[r * n + i], part_bytes(t, i, r));
        for (int64_t i = n; i < t->all.n_tensors; i++) elements[i] = part_checksum(t, i, 0);
        *out = lgt_tensors_checksum(&t->all, elements);
    }
    lgt_release(context, elements);
    return status;
}

/* --- Pieces --- */

/* The pieces of all tensors that other ranks have, in the order of the file. */
typedef struct delivery {
    const lgt_shared_tensors *tensors;
    int64_t tensor, at; /* the next piece begins at this byte of its rank's part */
    int rank;
    char *piece;              /* (piece) on the first rank */
    int64_t *sent, *received; /* (size + 1) */
} delivery;

/* The bytes of the next piece; 0: there are no more. */
static int64_t next_bytes(delivery *d) {
    const lgt_shared_tensors *t = d->tensors;
    for (; d->tensor < t->all.n_tensors; d->tensor++, d->rank = 1)
        for (; d->rank < t->ranks->comm->size; d->rank++, d->at = 0) {
            int64_t left = part_bytes(t, d->tensor, d->rank) - d->at;
            if (left > 0) return lgt_min64(left, t->ranks->piece);
        }
    return 0;
}

/* Brings the next piece from its rank to the first one. Collective. */
static lgt_status bring(delivery *d, int64_t bytes, lgt_error *err) {
    const lgt_comm *comm = d->tensors->ranks->comm;
    const char *from = d->piece; /* nothing is sent from it */
    if (comm->rank == d->rank) from = (const char *)d->tensors->all.tensors[d->tensor].array.data + d->at;
    for (int r = 0; r <= comm->size; r++) {
        d->sent[r] = comm->rank == d->rank && r > 0 ? bytes : 0;
        d->received[r] = comm->rank == 0 && r > d->rank ? bytes : 0;
    }
    d->at += bytes;
    return comm->exchange(comm->user, from, d->sent, d->piece, d->received, err);
}

/* What the first rank writes from: its own part as it lies, then what comes. */
static lgt_status take(void *user, int64_t index, int64_t at, const void **data, int64_t *bytes, lgt_error *err) {
    delivery *d = user;
    int64_t own = part_bytes(d->tensors, index, 0);
    if (at < own) {
        *data = (const char *)d->tensors->all.tensors[index].array.data + at;
        *bytes = own - at;
        return LGT_OK;
    }
    *data = d->piece;
    *bytes = next_bytes(d);
    return bring(d, *bytes, err);
}

/* Pieces come to their end even where the first rank can write no more: nobody waits for one that does not. */
static lgt_status deliver_rest(delivery *d, lgt_status status, lgt_error *err) {
    for (int64_t bytes; status != LGT_ERR_COMM && (bytes = next_bytes(d)) > 0;) {
        lgt_error lost;
        if (bring(d, bytes, &lost)) status = lgt_fail(err, LGT_ERR_COMM, "%s", lost.message);
    }
    return status;
}

lgt_status lgt_shared_tensors_write(lgt_context *context, const char *path, const lgt_shared_tensors *tensors,
                                    lgt_error *err) {
    const lgt_comm *comm = tensors->ranks->comm;
    delivery d = {.tensors = tensors, .rank = 1};
    if (!comm) return lgt_tensors_write(context, path, &tensors->all, err);
    int first = comm->rank == 0;
    lgt_status status = LGT_NEW(context, &d.sent, 2 * (comm->size + 1), err);
    if (!status) status = lgt_alloc(context, first ? tensors->ranks->piece : 1, 1, &d.piece, err);
    if (!(status = lgt_comm_agree(comm, status, err))) {
        d.received = d.sent + comm->size + 1;
        if (first) status = lgt_tensors_write_from(context, path, &tensors->all, take, &d, err);
        status = deliver_rest(&d, status, err);
        if (status != LGT_ERR_COMM) status = lgt_comm_agree(comm, status, err);
    }
    lgt_release(context, d.piece);
    lgt_release(context, d.sent);
    return status;
}
