/* One pass over the products in place of two, where the packed weights of all crossings can be kept.
 *
 * A weight p_ij = c_i exp(z_ij - lse_i) is known once the last class is. Within a stripe of classes, though, the
 * weights of row i may stand for any others in the same proportion: with some h_i
 *
 *   q_ij = exp(z_ij - h_i),   k_i = c_i exp(h_i - lse_i),   dx_i = sum over stripes k_i sum_j q_ij w_j,
 *   dw_j = sum_i q_ij (k_i x_i),
 *
 * so that the way forward makes and keeps q and gathers dx, and the way back gathers dw from features times k: no logit
 * is computed twice, and a tile is packed once. h_i lies `headroom` above the largest logit of the stripe's first tile.
 * Weights fade out that are below the largest of that tile by ln(2^126) - headroom = 39, 1e-17 of it. A run whose
 * logits rise by more than the headroom, or are so large that float leaves no three digits behind the point, makes two
 * passes.
 */

static const T FN(headroom) = 48, FN(tallest) = 4096;

/* Whether features times k fit T, where lse >= h - headroom: heavy rows may leave no room for that. */
static int FN(shares_fit)(const FN(stream) * s) {
    const lgt_problem *p = s->problem;
    double most = 0, steepest = 1 + 4 * p->options.z_loss * (double)FN(tallest); /* dL/dlse: Eq. 10 */
    for (int64_t i = 0; i < s->n_rows; i++)
        most = fmax(most, fabs(s->batch->coefficient[s->first + i]) * (p->unit_x ? 1 : s->x_norms[i]));
    return most * steepest * p->scale * exp((double)FN(headroom)) < LGT_PRODUCT_MOST;
}

/* Whether this run may: every weight is a multiple of one exponential of a product. */
static int FN(may_once)(const FN(stream) * s) {
    const lgt_batch *b = s->batch;
    return s->kept_size > 0 && (s->keeps_weights || FN(lends_weights)(s)) && FN(wants_gradients)(s) && !b->db.data &&
           !b->along && !b->soft.data && !s->bent && !s->plain && s->problem->options.label_smoothing == 0 &&
           s->n_groups == 1 && FN(shares_fit)(s);
}

/* Ranks make one pass or two together, whatever room the dw of each has; one without classes needs none. */
static lgt_status FN(choose_passes)(FN(stream) * s, lgt_error *err) {
    const lgt_comm *comm = s->problem->comm;
    s->once = FN(may_once)(s);
    if (!comm || s->kept_size == 0 || s->keeps_weights) return LGT_OK;
    int64_t twice = !s->once && FN(n_here)(s) > 0;
    lgt_status status = comm->max(comm->user, &twice, 1, LGT_I64, err);
    s->once = !twice;
    return status;
}

/* h of the block's rows, from the first tile on; returns whether a logit lies above it. */
static int FN(find_heights)(FN(worker) * w, const FN(rows) * r, const lgt_crowd *crowds, int first, const T *max) {
    int beyond = 0;
    for (int64_t i = 0; i < r->n; i++) {
        w->high[i] = first ? max[i] + FN(headroom) : (T)crowds[i].sum.max;
        beyond |= !(max[i] <= w->high[i] && w->high[i] > -FN(tallest) && w->high[i] < FN(tallest));
    }
    for (int64_t i = r->n; i < lgt_round_up(r->n, LGT_LANES); i++) w->high[i] = 0;
    return beyond;
}

/* The rows of a block join their crowds, and the tile's forces act on them. Returns as find_heights. */
static int FN(once_block)(FN(stream) * s, FN(worker) * w, const FN(cell) * c, int64_t tile, int64_t block) {
    const lgt_extent *e = &s->layout.extent;
    const KERNELS *kernels = s->tiling.kernels;
    FN(rows) r = FN(rows_of)(s, block);
    int64_t row = FN(place_of)(s, c->stripe, r.first);
    int first = tile == c->tile_begin;
    lgt_crowd *crowds = s->crowds + row;
    T *max = w->multiplier, *top = w->shift, *sum = w->low, scale = (T)s->problem->scale;
    T *dx = s->batch->dx.data ? s->dx + row * s->layout.width : NULL;
    FN(meet)(s, w, &r, w->u);
    FN(find_places)(s, w, &r);
    FN(drop_targets)(s, w, &r, w->u);
    kernels->find_most(e, w->u, w->tile.n, r.n, scale, w->tile.bias, max, top);
    if (FN(find_heights)(w, &r, crowds, first, max)) return 1;
    kernels->exp_over(e, w->u, w->tile.n, r.n, scale, w->tile.bias, w->high, sum);
    for (int64_t i = 0; i < r.n; i++) {
        lgt_crowd part = lgt_crowd_empty();
        part.sum = (lgt_lse){(double)w->high[i], (double)sum[i]};
        part.best = (double)max[i];
        part.top = FN(class_at)(&s->tiling, w->tile.first + (int64_t)top[i]);
        lgt_crowd_merge(&crowds[i], &part);
    }
    kernels->pack_weights(e, w->u, w->tile.n, r.n, dx ? w->tile.packed : NULL,
                          FN(wants_dw)(s) ? FN(features_at)(s, s->features, block) : NULL, w->weights);
    if (dx) kernels->gather_x(e, w->weights, w->tile.n, r.n, w->tile.packed, dx, s->layout.width, !first);
    if (FN(wants_dw)(s)) FN(keep_weights)(s, w, c->stripe, tile, block);
    return 0;
}

/* The features of a stripe, times k. */
static void FN(pack_shares)(const FN(stream) * s, FN(worker) * w, int64_t stripe) {
    const FN(tiling) *g = &s->tiling;
    for (int64_t block = 0; block < s->n_blocks; block++) {
        FN(rows) r = FN(rows_of)(s, block);
        for (int64_t i = 0; i < r.n; i++)
            w->shares[i] = s->x_factors[r.first + i] * FN(share_of)(s, stripe, r.first + i);
        g->kernels->pack_features(&g->extent, s->x_rows + r.first, w->shares, r.n,
                                  w->features + block * g->features_size);
    }
}

/* The way back: dw from what was kept. */
static void FN(once_task)(void *argument, int64_t index, int worker) {
    FN(stream) *s = argument;
    FN(worker) *w = &s->workers[worker];
    const FN(tiling) *g = &s->tiling;
    FN(cell) c = FN(cell_of)(s, index);
    FN(pack_shares)(s, w, c.stripe);
    w->tile.loaded = 0;
    for (int64_t tile = c.tile_begin; tile < c.tile_end; tile++) {
        int64_t first, n = lgt_layout_tile(&s->layout, tile, &first);
        FN(find_tile)(g, first, n, FN(norms_of)(s, tile), &w->tile);
        for (int64_t block = 0; block < s->n_blocks; block++)
            g->kernels->gather_w(&g->extent, FN(kept_weights)(s, w, c.stripe, tile, block), w->tile.n,
                                 FN(rows_of)(s, block).n, w->features + block * g->features_size, w->dw,
                                 s->layout.width, block > 0);
        if (s->n_blocks == 0) memset(w->dw, 0, (size_t)(s->layout.extent.tile * s->layout.width) * sizeof(T));
        FN(finish_dw)(s, w, tile);
    }
}
