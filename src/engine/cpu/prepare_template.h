/* Rows before and between the passes over the classes: directions and targets, then losses and force weights. */

static void FN(prepare_row)(FN(stream) * s, FN(worker) * w, int64_t i, int64_t task) {
    const lgt_problem *p = s->problem;
    const lgt_batch *b = s->batch;
    int64_t at = s->first + i, y = b->target[at];
    T *out = s->x + i * s->layout.ld;
    if (!lgt_ray_load(p, b->x, at, &w->x)) {
        if (s->bad_rows[task] < 0) s->bad_rows[task] = at;
        return;
    }
    const double *from = p->loss.info->space == LGT_SPACE_COS ? w->x.unit : w->x.value;
    for (int64_t k = 0; k < p->dim; k++) out[k] = (T)from[k];
    s->x_norms[i] = w->x.norm;
    s->zero_rows[task] += p->least_norm > 0 && w->x.norm == 0;
    s->targets[i] = (lgt_target){0};
    if (y < 0 || !lgt_ray_load(p, b->w, y, &w->w)) return; /* a bad class is found by the forward pass */
    double bias = b->b.data ? (double)((const T *)b->b.data)[y] : 0;
    s->targets[i] = lgt_target_measure(p, &w->x, &w->w, bias, b->step);
}

static void FN(prepare_task)(void *argument, int64_t task, int worker) {
    FN(stream) *s = argument;
    int64_t end = lgt_min64(s->n_rows, (task + 1) * LGT_ROWS_A_TASK);
    s->bad_rows[task] = -1;
    s->zero_rows[task] = 0;
    for (int64_t i = task * LGT_ROWS_A_TASK; i < end; i++) FN(prepare_row)(s, &s->workers[worker], i, task);
}

/* Lists the panel's rows by the tile of their target, each list by rising row. */
static void FN(index_targets)(FN(stream) * s) {
    for (int64_t t = 0; t < s->layout.n_tiles; t++) s->tile_first[t] = -1;
    for (int64_t i = s->n_rows - 1; i >= 0; i--) {
        int64_t y = s->batch->target[s->first + i];
        if (y < 0) continue;
        s->tile_next[i] = s->tile_first[y / LGT_TILE];
        s->tile_first[y / LGT_TILE] = i;
    }
}

/* The crowd of all stripes, in order. */
static lgt_crowd FN(merge_crowds)(const FN(stream) * s, int64_t i) {
    lgt_crowd all = s->crowds[i];
    for (int64_t stripe = 1; stripe < s->layout.n_stripes; stripe++) {
        const lgt_crowd *part = &s->crowds[stripe * s->layout.panel_rows + i];
        all.sum = lgt_lse_merge(all.sum, part->sum);
        all.total += part->total;
        if (part->best > all.best) all.best = part->best, all.top = part->top;
    }
    return all;
}

/* Whether no product, nor any partial sum of one, can leave the range of T: by Cauchy's inequality, since infinities
 * and NaN would drop out of the exponential sums unseen. */
static int FN(products_fit)(const FN(stream) * s, int64_t i) {
    double most = 0;
    if (s->problem->loss.info->space == LGT_SPACE_COS) return 1;
    for (int64_t stripe = 0; stripe < s->layout.n_stripes; stripe++) most = fmax(most, s->w_norms[stripe]);
    return most * s->x_norms[i] < LGT_PRODUCT_MOST;
}

static void FN(combine_row)(FN(stream) * s, int64_t i, int64_t task) {
    lgt_batch *b = s->batch;
    int64_t at = s->first + i, y = b->target[at];
    lgt_crowd crowd = FN(merge_crowds)(s, i);
    double z = s->targets[i].z, plain = s->targets[i].plain;
    lgt_row row =
        y < 0 ? lgt_row_ignored(crowd.sum) : lgt_row_finish(s->problem, crowd.sum, crowd.total, z, b->coefficient[at]);
    int target_leads = y >= 0 && (plain > crowd.best || (plain == crowd.best && y < crowd.top));
    s->rows[i] = row;
    b->loss[at] = row.loss;
    b->lse[at] = row.lse;
    b->top1[at] = target_leads ? y : crowd.top;
    int fits = isfinite(row.lse) && isfinite(row.loss) && FN(products_fit)(s, i);
    if (!fits && s->bad_rows[task] < 0) s->bad_rows[task] = at;
}

static void FN(combine_task)(void *argument, int64_t task, int worker) {
    FN(stream) *s = argument;
    int64_t end = lgt_min64(s->n_rows, (task + 1) * LGT_ROWS_A_TASK);
    (void)worker;
    s->bad_rows[task] = -1;
    for (int64_t i = task * LGT_ROWS_A_TASK; i < end; i++) FN(combine_row)(s, i, task);
}
