/* What ranks tell each other of a panel's rows. Exact: the sums of every stripe, which every rank adds up in the order
 * of stripes, so that the bits do not depend on who has which. Fast: every rank adds up its own stripes first, and the
 * ranks add P sums: right to rounding, and P for S in what travels and is held. */

/* Every rank's stripes of an array (n_stripes, ...), `bytes` each, to all ranks. */
static lgt_status FN(share_stripes)(FN(stream) * s, void *data, int64_t bytes, lgt_error *err) {
    const lgt_comm *comm = s->problem->comm;
    if (!comm) return LGT_OK;
    lgt_stripe_offsets(s->problem->n_classes, comm->size, bytes, s->offsets);
    return comm->gather(comm->user, data, s->offsets, err);
}

/* The crowds of rows in the stripes that are here become one of each row. */
static void FN(merge_task)(void *argument, int64_t task, int worker) {
    FN(stream) *s = argument;
    int64_t end = lgt_min64(s->n_rows, (task + 1) * LGT_ROWS_A_TASK);
    lgt_crowd *own = s->of_ranks + s->problem->comm->rank * s->layout.panel_rows;
    (void)worker;
    for (int64_t i = task * LGT_ROWS_A_TASK; i < end; i++)
        own[i] = FN(merge_crowds)(s, s->crowds, s->held_end - s->held_begin, i);
}

static lgt_status FN(share_crowds)(FN(stream) * s, lgt_error *err) {
    const lgt_comm *comm = s->problem->comm;
    int64_t bytes = s->layout.panel_rows * (int64_t)sizeof *s->crowds;
    if (!s->fast) return FN(share_stripes)(s, s->crowds, bytes, err);
    lgt_parallel_for(s->problem->context, lgt_ceil_div(s->n_rows, LGT_ROWS_A_TASK), FN(merge_task), s);
    for (int r = 0; r <= comm->size; r++) s->offsets[r] = r * bytes;
    return comm->gather(comm->user, s->of_ranks, s->offsets, err);
}

/* The parts of rows of dx, and of their turns, in the stripes that are here become one of each row, in the place of the
 * first. */
static void FN(join_dx_task)(void *argument, int64_t task, int worker) {
    FN(stream) *s = argument;
    int64_t end = lgt_min64(s->n_rows, (task + 1) * LGT_ROWS_A_TASK), n = s->problem->dim, width = s->layout.width;
    double *g = s->workers[worker].gradient;
    for (int64_t i = task * LGT_ROWS_A_TASK; i < end; i++) {
        T *out = s->dx + i * width;
        FN(sum_stripes)(s, i, g);
        for (int64_t k = 0; k < width; k++) out[k] = k < n ? (T)g[k] : 0;
        if (s->batch->along) s->row_turns[i] = FN(sum_turns)(s, i, s->held_end - s->held_begin);
    }
}

/* dx of the rows and their turns, where dx is wanted. */
static lgt_status FN(share_rows)(FN(stream) * s, lgt_error *err) {
    const lgt_comm *comm = s->problem->comm;
    int64_t panel = s->layout.panel_rows, width = s->layout.width;
    lgt_status status;
    if (!s->fast) {
        status = FN(share_stripes)(s, s->dx, panel * width * (int64_t)sizeof(T), err);
        if (status || !s->batch->along) return status;
        return FN(share_stripes)(s, s->row_turns, panel * (int64_t)sizeof *s->row_turns, err);
    }
    lgt_parallel_for(s->problem->context, lgt_ceil_div(s->n_rows, LGT_ROWS_A_TASK), FN(join_dx_task), s);
    status = comm->sum(comm->user, s->dx, s->n_rows * width, DTYPE, err);
    if (status || !s->batch->along) return status;
    return comm->sum(comm->user, s->row_turns, 2 * s->n_rows, LGT_F64, err);
}
