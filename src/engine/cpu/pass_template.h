/* The two passes over class tiles: crowd sums forward, forces backward. */

/* A task of the grid: the tiles of a stripe by the rows of a group. */
typedef struct FN(cell) {
    int64_t stripe, group;
    int64_t tile_begin, tile_end;
    int64_t row_begin, row_end; /* within the panel */
} FN(cell);

static FN(cell) FN(cell_of)(const FN(stream) * s, int64_t index) {
    FN(cell) c = {.stripe = index / s->n_groups, .group = index % s->n_groups};
    lgt_layout_part(s->layout.n_tiles, s->layout.n_stripes, c.stripe, &c.tile_begin, &c.tile_end);
    lgt_layout_part(s->n_rows, s->n_groups, c.group, &c.row_begin, &c.row_end);
    return c;
}

static int64_t FN(load)(FN(stream) * s, FN(worker) * w, int64_t tile) {
    return FN(load_tile)(s->problem, s->kernels, s->batch->w, s->batch->b, s->layout.ld, tile, &w->tile);
}

/* u (n_rows, TILE) = products of rows [begin, begin + n_rows) of the panel with the tile. */
static void FN(multiply_block)(FN(stream) * s, FN(worker) * w, int64_t begin, int64_t n_rows) {
    s->kernels->product(n_rows, LGT_TILE, s->problem->dim, s->x + begin * s->layout.ld, s->layout.ld, 1,
                        w->tile.columns, LGT_TILE, w->u, LGT_TILE, 0);
}

/* The place of row i's target in the tile, or -1. */
static int64_t FN(target_in_tile)(const FN(stream) * s, int64_t tile, int64_t i) {
    int64_t y = s->batch->target[s->first + i] - tile * LGT_TILE;
    return y >= 0 && y < LGT_TILE ? y : -1;
}

/* The largest plain logit and the plain sum, the target (dropped to -inf) left out. Rare: a row's best rises seldom. */
static void FN(find_top)(const T *u, T scale, const T *bias, int64_t first, lgt_crowd *crowd) {
    for (int64_t j = 0; j < LGT_TILE; j++) {
        double z = (double)(scale * u[j] + bias[j]);
        if (z > crowd->best) crowd->best = z, crowd->top = first + j;
    }
}

static double FN(total)(const T *u, T scale, const T *bias, int64_t n, int64_t target) {
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
        if (j != target) sum += (double)(scale * u[j] + bias[j]);
    return sum;
}

static void FN(forward_row)(FN(stream) * s, FN(worker) * w, T *u, int64_t tile, int64_t i, lgt_crowd *crowd) {
    T scale = (T)s->problem->scale, max;
    int64_t target = FN(target_in_tile)(s, tile, i);
    if (s->problem->options.label_smoothing > 0) crowd->total += FN(total)(u, scale, w->tile.bias, w->tile.n, target);
    if (target >= 0) u[target] = -(T)INFINITY;
    T sum = s->kernels->exp_sum(u, scale, w->tile.bias, &max);
    crowd->sum = lgt_lse_merge(crowd->sum, (lgt_lse){(double)max, (double)sum});
    if ((double)max >= crowd->best) FN(find_top)(u, scale, w->tile.bias, tile * LGT_TILE, crowd);
}

static void FN(forward_task)(void *argument, int64_t index, int worker) {
    FN(stream) *s = argument;
    FN(worker) *w = &s->workers[worker];
    FN(cell) c = FN(cell_of)(s, index);
    lgt_crowd *crowds = s->crowds + c.stripe * s->layout.panel_rows;
    int64_t bad = -1, zero = 0;
    double longest = 0;
    for (int64_t i = c.row_begin; i < c.row_end; i++) crowds[i] = (lgt_crowd){lgt_lse_empty(), 0, -INFINITY, 0};
    for (int64_t tile = c.tile_begin; tile < c.tile_end; tile++) {
        int64_t found = FN(load)(s, w, tile);
        if (bad < 0) bad = found;
        for (int64_t j = 0; j < w->tile.n; j++) {
            longest = fmax(longest, w->tile.norms[j]);
            zero += w->tile.norms[j] == 0;
        }
        for (int64_t begin = c.row_begin; begin < c.row_end; begin += LGT_BLOCK) {
            int64_t rows = lgt_min64(LGT_BLOCK, c.row_end - begin);
            FN(multiply_block)(s, w, begin, rows);
            for (int64_t i = 0; i < rows; i++)
                FN(forward_row)(s, w, w->u + i * LGT_TILE, tile, begin + i, &crowds[begin + i]);
        }
    }
    if (c.group > 0) return; /* every group sees the same classes */
    s->w_norms[c.stripe] = longest;
    s->bad_classes[c.stripe] = bad;
    s->zero_classes[c.stripe] = s->problem->least_norm > 0 ? zero : 0;
}

/* u becomes dJ/dz times the scale of the products, 0 at the target: its share is added in double when rows and classes
 * are finished. */
static void FN(weigh_row)(FN(stream) * s, FN(worker) * w, T *u, int64_t tile, int64_t i) {
    const lgt_row *row = &s->rows[i];
    double scale = s->problem->scale;
    T high = (T)row->lse, low = (T)(row->lse - (double)high);
    int64_t target = FN(target_in_tile)(s, tile, i);
    s->kernels->exp_weights(u, (T)scale, w->tile.bias, high, low, (T)(scale * row->crowd_scale),
                            (T)(scale * row->crowd_shift));
    if (target >= 0) u[target] = 0;
}

static void FN(backward_block)(FN(stream) * s, FN(worker) * w, const FN(cell) * c, int64_t tile, int64_t begin, T *dw) {
    int64_t rows = lgt_min64(LGT_BLOCK, c->row_end - begin), ld = s->layout.ld, width = s->layout.width;
    const lgt_batch *b = s->batch;
    FN(multiply_block)(s, w, begin, rows);
    for (int64_t i = 0; i < rows; i++) FN(weigh_row)(s, w, w->u + i * LGT_TILE, tile, begin + i);
    if (b->dx.data)
        s->kernels->product(rows, width, LGT_TILE, w->u, LGT_TILE, 1, w->tile.rows, ld,
                            s->dx + (c->stripe * s->layout.panel_rows + begin) * ld, ld, tile > c->tile_begin);
    if (b->dw.data)
        s->kernels->product(LGT_TILE, width, rows, w->u, 1, LGT_TILE, s->x + begin * ld, ld, dw, ld,
                            begin > c->row_begin);
    if (!b->db.data) return;
    double *db = s->db + (c->group * s->layout.n_tiles + tile) * LGT_TILE;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < LGT_TILE; j++) db[j] += (double)w->u[i * LGT_TILE + j];
}

static void FN(backward_task)(void *argument, int64_t index, int worker) {
    FN(stream) *s = argument;
    FN(worker) *w = &s->workers[worker];
    FN(cell) c = FN(cell_of)(s, index);
    int64_t tile_size = LGT_TILE * s->layout.ld;
    for (int64_t tile = c.tile_begin; tile < c.tile_end; tile++) {
        int64_t place = c.group * s->layout.n_tiles + tile;
        T *dw = s->n_groups > 1 ? s->dw + place * tile_size : w->dw;
        FN(load)(s, w, tile);
        memset(s->db + place * LGT_TILE, 0, LGT_TILE * sizeof(double));
        if (c.row_begin == c.row_end) memset(dw, 0, (size_t)tile_size * sizeof(T));
        for (int64_t begin = c.row_begin; begin < c.row_end; begin += LGT_BLOCK)
            FN(backward_block)(s, w, &c, tile, begin, dw);
        if (s->n_groups == 1 && s->batch->dw.data) FN(finish_dw)(s, w, tile);
    }
}

/* Sums the groups' parts of a tile, in order. */
static void FN(join_dw_task)(void *argument, int64_t tile, int worker) {
    FN(stream) *s = argument;
    FN(worker) *w = &s->workers[worker];
    int64_t tile_size = LGT_TILE * s->layout.ld;
    FN(load)(s, w, tile);
    memcpy(w->dw, s->dw + tile * tile_size, (size_t)tile_size * sizeof(T));
    for (int64_t group = 1; group < s->n_groups; group++) {
        const T *part = s->dw + (group * s->layout.n_tiles + tile) * tile_size;
        for (int64_t k = 0; k < tile_size; k++) w->dw[k] += part[k];
    }
    FN(finish_dw)(s, w, tile);
}
