/* Where a tile of classes meets a block of rows: products, crowd sums on the way forward, force weights on the way
 * back. */

static FN(rows) FN(rows_of)(const FN(stream) * s, int64_t block) {
    int64_t size = s->layout.extent.block, first = block * size;
    return (FN(rows)){block, first, lgt_min64(size, s->n_rows - first)};
}

static const char *FN(features_at)(const FN(stream) * s, const char *features, int64_t block) {
    return features + block * s->tiling.features_size;
}

/* u = the products of the tile and the block. */
static void FN(meet)(const FN(stream) * s, FN(worker) * w, const FN(rows) * r, T *u) {
    FN(multiply)
    (&s->tiling, w->tile.packed, w->tile.n, FN(features_at)(s, s->features, r->block), r->n, 1, u, w->other,
     w->nearest);
}

/* The places of the block's targets in the tile. */
static void FN(find_places)(const FN(stream) * s, FN(worker) * w, const FN(rows) * r) {
    const int64_t *target = s->batch->position + s->first + r->first;
    for (int64_t i = 0; i < r->n; i++) {
        int64_t place = target[i] - w->tile.first;
        w->place[i] = target[i] >= 0 && place >= 0 && place < w->tile.n ? place : -1;
    }
}

/* Takes the targets out of the crowd. */
static void FN(drop_targets)(const FN(stream) * s, const FN(worker) * w, const FN(rows) * r, T *u) {
    for (int64_t i = 0; i < r->n; i++)
        if (w->place[i] >= 0) u[w->place[i] * s->layout.extent.ld + i] = -(T)INFINITY;
}

/* The targets of a soft row from class `first` on, or NULL. */
static const T *FN(soft_row)(const FN(stream) * s, int64_t i, int64_t first) {
    int64_t at = s->first + i;
    if (s->batch->target[at] != LGT_TARGET_SOFT) return NULL;
    return (const T *)s->batch->soft.data + at * s->batch->soft.ld + first;
}

/* sum z_j and, of soft rows, sum t_j z_j over the tile, the targets' left out. */
static void FN(add_totals)(const FN(stream) * s, FN(worker) * w, const FN(rows) * r, const T *u) {
    T scale = (T)s->problem->scale;
    for (int64_t i = 0; i < r->n; i++) {
        const T *soft = FN(soft_row)(s, r->first + i, w->tile.first);
        for (int64_t j = 0; j < w->tile.n; j++) {
            double z = (double)(scale * u[j * s->layout.extent.ld + i] + w->tile.bias[j]);
            if (j == w->place[i]) continue;
            w->parts[i].total += z;
            if (soft) w->parts[i].soft += (double)soft[j] * z;
        }
    }
}

/* The crowd sums of a crossing of logits without targets, into parts. */
static void FN(sum_crossing)(const FN(stream) * s, FN(worker) * w, const FN(rows) * r, const T *u) {
    T *max = w->high, *sum = w->low, *top = w->shift;
    s->tiling.kernels->exp_sum(&s->layout.extent, u, w->tile.n, r->n, (T)s->problem->scale, w->tile.bias, max, sum,
                               top);
    for (int64_t i = 0; i < r->n; i++) {
        lgt_crowd *part = &w->parts[i];
        part->sum = (lgt_lse){(double)max[i], (double)sum[i]};
        if (s->bent || max[i] == -INFINITY) continue;
        part->best = (double)max[i];
        part->top = FN(class_at)(&s->tiling, w->tile.first + (int64_t)top[i]);
    }
}

/* What exp_weights reads of the rows: p = multiplier exp(z - lse) + shift, with lse in two parts. */
static void FN(load_lanes)(const FN(stream) * s, FN(worker) * w, const FN(rows) * r) {
    double scale = s->problem->scale;
    for (int64_t i = 0; i < r->n; i++) {
        const lgt_row *row = &s->rows[r->first + i];
        w->high[i] = (T)row->lse;
        w->low[i] = (T)(row->lse - (double)w->high[i]);
        w->multiplier[i] = (T)(scale * row->crowd_scale);
        w->shift[i] = (T)(scale * row->crowd_shift);
    }
    /* Lanes beyond the last row must be numbers: kernels take whole vectors. */
    for (int64_t i = r->n; i < lgt_round_up(r->n, LGT_LANES); i++)
        w->high[i] = w->low[i] = w->multiplier[i] = w->shift[i] = 0;
}

/* u of the targets on the way back: their own weight where they are classes like the others, else 0, since their share
 * is added in double when rows and classes are finished. */
static void FN(weigh_targets)(const FN(stream) * s, const FN(worker) * w, const FN(rows) * r, T *u) {
    for (int64_t i = 0; i < r->n; i++)
        if (w->place[i] >= 0) u[w->place[i] * s->layout.extent.ld + i] = s->plain ? (T)s->rows[r->first + i].target : 0;
}

/* u becomes dJ/d product. */
static void FN(weigh)(FN(stream) * s, FN(worker) * w, const FN(rows) * r, T *u) {
    int64_t ld = s->layout.extent.ld;
    FN(load_lanes)(s, w, r);
    if (s->bent) FN(bend)(s, &w->tile, r->first, r->n, u, w->slope);
    s->tiling.kernels->exp_weights(&s->layout.extent, u, w->tile.n, r->n, (T)s->problem->scale, w->tile.bias, w->high,
                                   w->low, w->multiplier, w->shift);
    for (int64_t i = 0; i < r->n && s->batch->soft.data; i++) {
        const T *soft = FN(soft_row)(s, r->first + i, w->tile.first);
        T share = (T)(s->problem->scale * s->rows[r->first + i].soft);
        for (int64_t j = 0; soft && j < w->tile.n; j++) u[j * ld + i] += share * soft[j];
    }
    for (int64_t j = 0; j < w->tile.n && s->bent; j++)
        for (int64_t at = j * ld; at < j * ld + r->n; at++) u[at] *= w->slope[at];
    FN(weigh_targets)(s, w, r, u);
}

/* The elements of u whose nearest centre is k, zeros elsewhere: u itself where there is but one. */
static const T *FN(of_centre)(const FN(stream) * s, FN(worker) * w, const T *u, int64_t n, int64_t k) {
    int64_t ld = s->layout.extent.ld;
    if (s->problem->centres == 1) return u;
    for (int64_t j = 0; j < w->tile.n; j++)
        for (int64_t at = j * ld; at < j * ld + n; at++) w->other[at] = w->nearest[at] == k ? u[at] : 0;
    return w->other;
}

/* One centre's products with a crossing of weights: dx += P^T rows, dw += P features. Places that are NULL are not
 * wanted; `first_*`: the sums begin here. */
typedef struct FN(sums) {
    T *dx, *dw;
    int first_x, first_w;
} FN(sums);

static void FN(gather)(const FN(stream) * s, FN(worker) * w, const FN(rows) * r, const T *u, const char *classes,
                       const char *features, const FN(sums) * to) {
    const lgt_extent *e = &s->layout.extent;
    const KERNELS *kernels = s->tiling.kernels;
    const void *weights = u;
    if (w->weights) {
        kernels->pack_weights(e, u, w->tile.n, r->n, to->dx ? classes : NULL, to->dw ? features : NULL, w->weights);
        weights = w->weights;
    }
    if (to->dx) kernels->gather_x(e, weights, w->tile.n, r->n, classes, to->dx, s->layout.width, !to->first_x);
    if (to->dw) kernels->gather_w(e, weights, w->tile.n, r->n, features, to->dw, s->layout.width, !to->first_w);
}
