/* Rows before and between the passes over the classes: directions and targets, then losses and force weights. */

/* Keeps the row of w that row i aims at for later stages: a copy where a sink may have changed w by then. */
static void FN(keep_target)(const FN(stream) * s, int64_t i) {
    lgt_target_place place = lgt_target_place_of(s->problem, s->batch, s->first + i, s->targets[i].row);
    int64_t n = s->problem->dim;
    s->target_rows[i] = (const T *)place.w.data + place.row * place.w.ld;
    if (s->problem->options.sinks)
        s->target_rows[i] = memcpy(s->target_copies + i * n, s->target_rows[i], (size_t)n * sizeof(T));
}

/* A row and its target by three sums of products, where they make a sound angle: 1 - c^2 is then right to
 * eps / sin^2 theta. Returns whether they do. */
static int FN(prepare_quickly)(FN(stream) * s, int64_t i) {
    const lgt_problem *p = s->problem;
    const lgt_batch *b = s->batch;
    int64_t at = s->first + i, y = b->target[at];
    lgt_meeting m = {0};
    if (y < 0 || p->centres > 1 || b->along || !FN(measure)(&s->tiling, s->x_rows[i], &m.x_norm)) return 0;
    lgt_target_place place = lgt_target_place_of(p, b, at, y);
    const T *w = (const T *)place.w.data + place.row * place.w.ld;
    if (!FN(measure)(&s->tiling, w, &m.w_norm)) return 0;
    m.product = s->tiling.kernels->dot(s->x_rows[i], w, p->dim);
    m.angle.c = m.product / m.x_norm / m.w_norm;
    double square = (1 - m.angle.c) * (1 + m.angle.c);
    if (!(square > MIXED_LEAST)) return 0;
    m.angle.sine = sqrt(square);
    m.angle.theta = atan2(m.angle.sine, m.angle.c);
    s->x_norms[i] = m.x_norm;
    s->targets[i] = lgt_target_at(p, b, at, &m);
    s->targets[i].row = y;
    if (!s->pulled) return 1;
    s->pulls[i].sound = 1;
    lgt_target_mix(p, &s->targets[i], &m, &s->pulls[i].to_x, &s->pulls[i].to_w);
    FN(keep_target)(s, i);
    return 1;
}

/* A row before its target, in double. Returns whether the row is finite. */
static int FN(prepare_angular)(FN(stream) * s, FN(worker) * w, int64_t i) {
    const lgt_problem *p = s->problem;
    const lgt_batch *b = s->batch;
    int64_t at = s->first + i, y = b->target[at];
    if (FN(prepare_quickly)(s, i)) return 1;
    int finite = lgt_ray_load(p, b->x, at, &w->x);
    s->x_norms[i] = w->x.norm;
    if (finite && y >= 0) {
        int64_t row = lgt_target_load_of(p, b, at, &w->x, &w->w);
        if (row >= 0) s->targets[i] = lgt_target_measure(p, b, at, &w->x, &w->w);
        s->targets[i].row = row; /* a bad class is found by the forward pass */
        if (row >= 0 && s->pulled) FN(keep_target)(s, i);
        if (s->pulled) s->pulls[i].sound = 0;
    }
    return finite && b->along ? FN(prepare_motion)(s, w, i) : finite;
}

/* The same where the target logit is the product itself: no direction is needed. */
static int FN(prepare_plain)(FN(stream) * s, FN(worker) * w, int64_t i) {
    const lgt_problem *p = s->problem;
    const lgt_batch *b = s->batch;
    int64_t at = s->first + i, y = b->target[at];
    if (!FN(measure)(&s->tiling, s->x_rows[i], &s->x_norms[i])) {
        if (!lgt_ray_load(p, b->x, at, &w->x)) return 0;
        s->x_norms[i] = w->x.norm;
    }
    if (y < 0) return 1;
    lgt_target *t = &s->targets[i];
    t->row = y;
    lgt_target_place at_w = lgt_target_place_of(p, b, at, y);
    t->plain = s->tiling.kernels->dot(s->x_rows[i], (const T *)at_w.w.data + at_w.row * at_w.w.ld, p->dim);
    if (at_w.b.data) t->plain += (double)((const T *)at_w.b.data)[at_w.row];
    t->z = t->plain;
    return 1;
}

static void FN(prepare_row)(FN(stream) * s, FN(worker) * w, int64_t i, int64_t task) {
    const lgt_problem *p = s->problem;
    const lgt_batch *b = s->batch;
    int64_t at = s->first + i;
    s->x_rows[i] = (const T *)b->x.data + at * b->x.ld;
    s->targets[i] = (lgt_target){.row = -1, .crowd = {INFINITY, 1, 0}};
    int finite = s->straight ? FN(prepare_plain)(s, w, i) : FN(prepare_angular)(s, w, i);
    if (finite && s->straight && b->along) finite = FN(prepare_straight_motion)(s, w, i);
    s->x_factors[i] = !p->unit_x ? 1 : s->x_norms[i] > 0 ? 1 / s->x_norms[i] : 0;
    s->zero_rows[task] += p->least_norm > 0 && s->x_norms[i] == 0;
    if (!finite && s->bad_rows[task] < 0) s->bad_rows[task] = at;
}

static void FN(prepare_task)(void *argument, int64_t task, int worker) {
    FN(stream) *s = argument;
    int64_t end = lgt_min64(s->n_rows, (task + 1) * LGT_ROWS_A_TASK);
    s->bad_rows[task] = -1;
    s->zero_rows[task] = 0;
    for (int64_t i = task * LGT_ROWS_A_TASK; i < end; i++) FN(prepare_row)(s, &s->workers[worker], i, task);
}

/* Packs a block of rows, and in second order how they move. */
static void FN(pack_task)(void *argument, int64_t block, int worker) {
    FN(stream) *s = argument;
    const FN(tiling) *g = &s->tiling;
    int64_t size = g->extent.block, first = block * size, n = lgt_min64(size, s->n_rows - first);
    (void)worker;
    g->kernels->pack_features(&g->extent, s->x_rows + first, s->x_factors + first, n,
                              s->features + block * g->features_size);
    if (!s->batch->along || s->still) return;
    for (int64_t i = first; i < first + n; i++) s->x_rows[i] = s->x_motion + i * s->problem->dim, s->x_factors[i] = 1;
    g->kernels->pack_features(&g->extent, s->x_rows + first, s->x_factors + first, n,
                              s->moving_features + block * g->features_size);
}

/* Lists the panel's rows by the tile of their target, each list by falling row. */
static void FN(index_targets)(FN(stream) * s) {
    const lgt_layout *l = &s->layout;
    for (int64_t t = 0; t < FN(tiles_here)(s); t++) s->tile_last[t] = -1;
    for (int64_t i = 0; i < s->n_rows; i++) {
        int64_t y = s->batch->position[s->first + i];
        if (y < l->class_at[s->stripe_begin] || y >= l->class_at[s->stripe_end]) continue;
        int64_t tile = FN(nth_here)(s, lgt_layout_tile_of_class(l, y));
        s->next[i] = s->tile_last[tile];
        s->tile_last[tile] = i;
    }
}

/* The group that has a block. */
static int64_t FN(group_of)(const FN(stream) * s, int64_t block) {
    int64_t group = 0;
    while (block >= lgt_part_begin(s->n_blocks, s->n_groups, group + 1)) group++;
    return group;
}

/* Whether no product, nor any partial sum of one, can leave the range of T: by Cauchy's inequality, since infinities
 * and NaN would drop out of the exponential sums unseen. */
static int FN(products_fit)(const FN(stream) * s, int64_t i) {
    if (s->problem->unit_x) return 1;
    int64_t group = FN(group_of)(s, i / s->layout.extent.block);
    double most = s->problem->unit_w ? 1 : 0;
    for (int64_t stripe = 0; stripe < s->layout.n_stripes && !s->problem->unit_w; stripe++)
        most = fmax(most, s->found[stripe * s->n_groups + group].longest);
    /* Rounding to bfloat16 can carry a number, though no product, to infinity. */
    if (s->problem->options.precision != LGT_PRECISION_FULL && fmax(most, s->x_norms[i]) >= LGT_PRODUCT_MOST) return 0;
    return most * s->x_norms[i] < LGT_PRODUCT_MOST;
}

/* What `n` parts of row i's crowd, a panel each, add up to. */
static lgt_crowd FN(merge_crowds)(const FN(stream) * s, const lgt_crowd *crowds, int64_t n, int64_t i) {
    lgt_crowd all = n > 0 ? crowds[i] : lgt_crowd_empty();
    for (int64_t part = 1; part < n; part++) lgt_crowd_merge(&all, &crowds[part * s->layout.panel_rows + i]);
    return all;
}

static void FN(combine_row)(FN(stream) * s, int64_t i, int64_t task) {
    lgt_batch *b = s->batch;
    int64_t at = s->first + i, y = b->target[at];
    lgt_crowd crowd = s->fast ? FN(merge_crowds)(s, s->of_ranks, s->problem->comm->size, i)
                              : FN(merge_crowds)(s, s->crowds, s->layout.n_stripes, i);
    const lgt_target *target = &s->targets[i];
    double z_motion = b->along ? s->z_motion[i] : 0, plain = target->plain;
    lgt_row row = lgt_row_finish(s->problem, &crowd, y, target->z, z_motion, b->coefficient[at]);
    int target_leads = y >= 0 && (plain > crowd.best || (plain == crowd.best && y < crowd.top));
    row.loss += target->penalty;
    s->rows[i] = row;
    b->loss_rows[at] = row.loss;
    b->lse[at] = row.lse;
    b->top1[at] = target_leads ? y : crowd.top;
    int fits = isfinite(row.lse) && isfinite(row.loss) && FN(products_fit)(s, i);
    if (!fits && s->bad_rows[task] < 0) s->bad_rows[task] = at;
}

static void FN(combine_task)(void *argument, int64_t task, int worker) {
    FN(stream) *s = argument;
    int64_t end = lgt_min64(s->n_rows, (task + 1) * LGT_ROWS_A_TASK);
    (void)worker;
    for (int64_t i = task * LGT_ROWS_A_TASK; i < end; i++) FN(combine_row)(s, i, task);
}
