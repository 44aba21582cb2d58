/* What the way forward keeps for the way back: products of crossings or, in one pass, their packed weights
 * (once_template.h). The workspace has what it has room for. The rest lies in dw, where the run has such an array to
 * set: a row of dw is written last of all, and until then it has room for the class's products with as many rows of the
 * batch as there are dimensions. */

/* Whether every row of dw has room for so many bytes, and nothing else is there. */
static int FN(lends)(const FN(stream) * s, int64_t bytes) {
    const lgt_batch *b = s->batch;
    return b->dw.data && !b->accumulate && s->first == 0 && FN(keeps)(s->problem) && !s->bent &&
           bytes <= s->problem->dim * (int64_t)sizeof(T);
}

/* Row of dw of class j of the tile, the first of its centres. */
static T *FN(dw_row)(const FN(stream) * s, const FN(worker) * w, int64_t j) {
    int64_t class = w->tile.first + j - s->layout.class_at[s->stripe_begin];
    return (T *)s->batch->dw.data + class * s->problem->centres * s->batch->dw.ld;
}

/* What a class has of a crossing: so many bytes, so far from those of the next class, and byte `at` of its row of dw.
 */
typedef struct FN(loan) {
    int64_t bytes, stride, at;
} FN(loan);

static void FN(lend)(const FN(stream) * s, const FN(worker) * w, const FN(loan) * loan, int64_t n, const void *from) {
    for (int64_t j = 0; j < n; j++)
        memcpy((char *)FN(dw_row)(s, w, j) + loan->at, (const char *)from + j * loan->stride, (size_t)loan->bytes);
}

static void FN(take_back)(const FN(stream) * s, const FN(worker) * w, const FN(loan) * loan, int64_t n, void *to) {
    for (int64_t j = 0; j < n; j++)
        memcpy((char *)to + j * loan->stride, (const char *)FN(dw_row)(s, w, j) + loan->at, (size_t)loan->bytes);
}

/* --- Products --- */

/* Where the workspace keeps the tile's products with the block, or NULL. */
static T *FN(kept_at)(const FN(stream) * s, int64_t stripe, int64_t nth, int64_t block) {
    if (nth >= s->kept_tiles || s->bent) return NULL;
    int64_t tile = (stripe - s->stripe_begin) * s->kept_tiles + nth;
    return s->kept + (tile * s->layout.n_blocks + block) * lgt_layout_crossing(&s->layout);
}

static FN(loan) FN(loan_of_products)(const FN(stream) * s, const FN(rows) * r) {
    int64_t size = sizeof(T);
    return (FN(loan)){r->n * size, s->layout.extent.ld * size, r->first * size};
}

/* --- Packed weights --- */

/* Where the workspace keeps those of all crossings: block by block, without gaps between tiles that are not full. */
static char *FN(weights_at)(const FN(stream) * s, int64_t tile, int64_t block) {
    const lgt_layout *l = &s->layout;
    int64_t k = s->stripe_begin, panel = 0;
    for (; tile >= l->tile_at[k + 1]; k++) panel += lgt_ceil_div(l->class_at[k + 1] - l->class_at[k], LGT_LANES);
    panel += (tile - l->tile_at[k]) * (l->extent.tile / LGT_LANES);
    return (char *)s->kept + (block * s->own_panels + panel) * s->kept_size;
}

/* Of whole panels every class has an equal part, whichever bytes these are; a stripe's last classes, too few for a
 * panel, may have too few rows for it. */
static FN(loan) FN(loan_of_weights)(const FN(stream) * s, int64_t block) {
    int64_t part = s->kept_size / LGT_LANES;
    return (FN(loan)){part, part, block * part};
}

static int FN(lends_weights)(const FN(stream) * s) {
    return FN(lends)(s, s->n_blocks * s->kept_size / LGT_LANES);
}

static char *FN(last_panel)(const FN(stream) * s, int64_t stripe, int64_t block) {
    return s->last_panels + ((stripe - s->stripe_begin) * s->layout.n_blocks + block) * s->kept_size;
}

static void FN(keep_weights)(const FN(stream) * s, const FN(worker) * w, int64_t stripe, int64_t tile, int64_t block) {
    int64_t panels = w->tile.n / LGT_LANES, whole = panels * LGT_LANES;
    if (s->keeps_weights) {
        size_t size = (size_t)(lgt_ceil_div(w->tile.n, LGT_LANES) * s->kept_size);
        memcpy(FN(weights_at)(s, tile, block), w->weights, size);
        return;
    }
    const char *last = (const char *)w->weights + panels * s->kept_size;
    FN(loan) loan = FN(loan_of_weights)(s, block);
    FN(lend)(s, w, &loan, whole, w->weights);
    if (whole < w->tile.n) memcpy(FN(last_panel)(s, stripe, block), last, (size_t)s->kept_size);
}

/* The weights of a crossing again, as gather_w reads them. */
static const void *FN(kept_weights)(const FN(stream) * s, const FN(worker) * w, int64_t stripe, int64_t tile,
                                    int64_t block) {
    int64_t panels = w->tile.n / LGT_LANES, whole = panels * LGT_LANES;
    if (s->keeps_weights) return FN(weights_at)(s, tile, block);
    char *last = (char *)w->weights + panels * s->kept_size;
    FN(loan) loan = FN(loan_of_weights)(s, block);
    FN(take_back)(s, w, &loan, whole, w->weights);
    if (whole < w->tile.n) memcpy(last, FN(last_panel)(s, stripe, block), (size_t)s->kept_size);
    return w->weights;
}
