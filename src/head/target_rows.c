/* Rows of w that a batch aims at: their owners hand them round. */
#include "head/target_rows.h"

#include <string.h>

#include "base/memory.h"
#include "engine/stripes.h"

lgt_status lgt_target_rows_create(const lgt_problem *p, lgt_target_rows *out, int64_t *bytes, lgt_error *err) {
    lgt_context *context = p->context;
    int64_t n = p->options.max_rows, rows = n * p->centres, ranks = p->comm->size + 1;
    int64_t moving = p->options.second_order;
    size_t size = lgt_dtype_size(p->options.dtype), vector = (size_t)p->dim * size;
    lgt_status status;
    *out = (lgt_target_rows){0};
    if ((status = lgt_alloc(context, rows, vector, (void *)&out->w, err)) ||
        (status = lgt_alloc(context, n, size, (void *)&out->b, err)) ||
        (status = lgt_alloc(context, moving * rows, vector, (void *)&out->along_w, err)) ||
        (status = lgt_alloc(context, moving * n, size, (void *)&out->along_b, err)) ||
        (status = LGT_NEW(context, &out->slot, n, err)) || (status = LGT_NEW(context, &out->class_at, ranks, err)) ||
        (status = LGT_NEW(context, &out->begin, ranks, err)) || (status = LGT_NEW(context, &out->bytes, ranks, err)))
        return status;
    lgt_class_offsets(p->n_classes, p->comm->size, 1, out->class_at);
    *bytes += (1 + moving) * (rows * (int64_t)vector + n * (int64_t)size) + (n + 3 * ranks) * (int64_t)sizeof(int64_t);
    return LGT_OK;
}

void lgt_target_rows_free(lgt_context *context, lgt_target_rows *rows) {
    void *blocks[] = {rows->bytes,   rows->begin,   rows->class_at, rows->slot,
                      rows->along_b, rows->along_w, rows->b,        rows->w};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) lgt_release(context, blocks[i]);
}

static int owner_of(const lgt_target_rows *rows, int64_t class) {
    int rank = 0;
    while (class >= rows->class_at[rank + 1]) rank++;
    return rank;
}

/* Every row with a class gets a slot among those of its owner. */
static void find_slots(const lgt_problem *p, lgt_target_rows *rows, const lgt_batch *b) {
    int size = p->comm->size;
    for (int r = 0; r <= size; r++) rows->begin[r] = rows->bytes[r] = 0;
    for (int64_t i = 0; i < b->n_rows; i++)
        if (b->target[i] >= 0) rows->begin[owner_of(rows, b->target[i]) + 1]++;
    for (int r = 0; r < size; r++) rows->begin[r + 1] += rows->begin[r];
    for (int64_t i = 0; i < b->n_rows; i++) {
        if (b->target[i] < 0) continue;
        int owner = owner_of(rows, b->target[i]);
        rows->slot[i] = rows->begin[owner] + rows->bytes[owner]++;
    }
}

/* The rows of `from` (own classes, `centres` a class) that are targets, to all ranks; with one row a class the numbers
 * of a vector. */
static lgt_status collect(const lgt_problem *p, lgt_target_rows *rows, const lgt_batch *b, lgt_view from,
                          int64_t centres, char *to, lgt_error *err) {
    int64_t size = (int64_t)lgt_dtype_size(from.dtype), vector = from.cols * size;
    const lgt_comm *comm = p->comm;
    for (int64_t i = 0; i < b->n_rows; i++) {
        int64_t class = b->target[i] - p->first_class;
        if (b->target[i] < 0 || class < 0 || class >= p->own_classes) continue;
        for (int64_t k = 0; k < centres; k++)
            memcpy(to + (rows->slot[i] * centres + k) * vector,
                   (const char *)from.data + (class * centres + k) * from.ld * size, (size_t)vector);
    }
    for (int r = 0; r <= comm->size; r++) rows->bytes[r] = rows->begin[r] * centres * vector;
    return comm->gather(comm->user, to, rows->bytes, err);
}

/* A bias as a matrix of one column. */
static lgt_view column_of(lgt_view b) {
    return (lgt_view){b.data, b.cols, 1, 1, b.dtype};
}

lgt_status lgt_target_rows_collect(const lgt_problem *p, lgt_target_rows *rows, lgt_batch *b, lgt_error *err) {
    lgt_dtype dtype = p->options.dtype;
    int64_t n = p->options.max_rows;
    lgt_status status = LGT_OK;
    find_slots(p, rows, b);
    b->target_slot = rows->slot;
    b->target_w = lgt_view_of(rows->w, n * p->centres, p->dim, dtype);
    status = collect(p, rows, b, (lgt_view){b->w.data, b->w.rows, p->dim, b->w.ld, dtype}, p->centres, rows->w, err);
    if (!status && b->b.data) {
        b->target_b = lgt_view_of(rows->b, 1, n, dtype);
        status = collect(p, rows, b, column_of(b->b), 1, rows->b, err);
    }
    if (!status && b->along && b->along->w.data) {
        b->target_along.w = lgt_view_of(rows->along_w, n * p->centres, p->dim, dtype);
        status = collect(p, rows, b, b->along->w, p->centres, rows->along_w, err);
    }
    if (!status && b->along && b->along->b.data) {
        b->target_along.b = lgt_view_of(rows->along_b, 1, n, dtype);
        status = collect(p, rows, b, column_of(b->along->b), 1, rows->along_b, err);
    }
    return status;
}
