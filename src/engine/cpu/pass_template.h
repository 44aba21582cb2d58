/* The two passes over class tiles: crowd sums forward, forces backward; in second order their motions too. */

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

/* The motion of the loaded tile into w->moves: bias and norms are their motions. Returns the first row of w whose
 * direction is not finite, or -1. */
static int64_t FN(load_motion)(const FN(stream) * s, FN(worker) * w) {
    const lgt_problem *p = s->problem;
    const lgt_direction *along = s->batch->along;
    FN(tile) *moves = &w->moves;
    int64_t ld = s->layout.ld, bad = -1;
    moves->first = w->tile.first, moves->n = w->tile.n;
    for (int64_t j = 0; j < LGT_TILE; j++)
        moves->bias[j] = along->b.data && j < moves->n ? ((const T *)along->b.data)[moves->first + j] : 0;
    for (int64_t place = 0; place < p->centres * LGT_TILE; place++) {
        int64_t j = place % LGT_TILE, at = (moves->first + j) * p->centres + place / LGT_TILE;
        T *out = moves->rows + place * ld;
        memset(out, 0, (size_t)ld * sizeof(T));
        moves->norms[place] = 0;
        if (j >= moves->n) continue;
        lgt_ray_load(p, s->batch->w, at, &moves->ray);
        if (!lgt_motion_load(p, along->w, at, &moves->ray, &w->w_motion) && bad < 0) bad = at;
        const double *from = p->unit_w ? w->w_motion.unit : w->w_motion.value;
        for (int64_t k = 0; k < p->dim; k++) out[k] = (T)from[k];
        if (p->unit_w && moves->ray.norm > 0) moves->norms[place] = w->w_motion.norm / moves->ray.norm;
    }
    for (int64_t k = 0; k < p->centres; k++)
        FN(transpose)(moves->rows + k * LGT_TILE * ld, ld, p->dim, moves->columns + k * LGT_TILE * s->layout.width);
    return bad;
}

/* Loads a tile, and in second order its motion. */
static int64_t FN(load)(FN(stream) * s, FN(worker) * w, int64_t tile) {
    int64_t bad = FN(load_tile)(&s->tiling, tile, &w->tile);
    if (!s->batch->along) return bad;
    int64_t bad_motion = FN(load_motion)(s, w);
    return bad >= 0 ? bad : bad_motion;
}

/* u (n_rows, TILE) = products of rows [begin, begin + n_rows) of the panel with the tile; in second order to_x those of
 * how x moves, and to_w those with how the tile moves. */
static void FN(multiply_block)(FN(stream) * s, FN(worker) * w, int64_t begin, int64_t n_rows) {
    int64_t at = begin * s->layout.ld;
    FN(multiply)(&s->tiling, w->tile.columns, s->x + at, n_rows, 1, w->u, w->other, w->nearest);
    if (!s->batch->along) return;
    FN(multiply)(&s->tiling, w->tile.columns, s->x_motion + at, n_rows, 0, w->to_x, w->other, w->nearest);
    FN(multiply)(&s->tiling, w->moves.columns, s->x + at, n_rows, 0, w->to_w, w->other, w->nearest);
}

/* The place of row i's target in the tile, or -1. */
static int64_t FN(target_in_tile)(const FN(stream) * s, int64_t tile, int64_t i) {
    int64_t y = s->batch->target[s->first + i] - tile * LGT_TILE;
    return s->batch->target[s->first + i] >= 0 && y >= 0 && y < LGT_TILE ? y : -1;
}

static const T *FN(soft_row)(const FN(stream) * s, int64_t i, int64_t first) {
    int64_t at = s->first + i;
    if (s->batch->target[at] != LGT_TARGET_SOFT) return NULL;
    return (const T *)s->batch->soft.data + at * s->batch->soft.ld + first;
}

/* sum z_j and, for a soft row, sum t_j z_j over the tile, the target's left out. */
static void FN(add_totals)(const FN(tile) * tile, const T *u, T scale, int64_t target, const T *soft,
                           lgt_crowd *crowd) {
    for (int64_t j = 0; j < tile->n; j++) {
        double z = (double)(scale * u[j] + tile->bias[j]);
        if (j == target) continue;
        crowd->total += z;
        if (soft) crowd->soft += (double)soft[j] * z;
    }
}

/* The mean motion of the tile's logits, weighted by exp(z_j - max), whose sum is given. */
static double FN(mean_motion)(const FN(stream) * s, const FN(worker) * w, const T *u, const FN(bent) * bent, int64_t at,
                              T max, T sum) {
    T p[LGT_TILE];
    double total = 0, scale = s->problem->scale;
    if (!(sum > 0)) return 0;
    memcpy(p, u, sizeof p);
    s->tiling.kernels->exp_weights(p, (T)scale, w->tile.bias, max, 0, 1, 0);
    for (int64_t j = 0; j < w->tile.n; j++) {
        double motion = (double)w->to_x[at + j] + (double)w->to_w[at + j];
        total += (double)p[j] * (scale * (double)bent->slope[j] * motion + (double)w->moves.bias[j]);
    }
    return total / (double)sum;
}

/* Row i of the panel, the block's row at / TILE, joins its crowd. */
static void FN(forward_row)(FN(stream) * s, FN(worker) * w, int64_t at, int64_t i, int64_t target, lgt_crowd *crowd) {
    T scale = (T)s->problem->scale, max, *u = w->u + at;
    const T *soft = FN(soft_row)(s, i, w->tile.first);
    lgt_crowd part = {.best = crowd->best, .top = crowd->top};
    FN(bent) bent;
    int bends = s->bent || s->batch->along;
    if (s->bent) FN(find_top)(&w->tile, u, scale, target, &part);
    if (bends) FN(bend)(s, &w->tile, i, u, &bent);
    if (s->problem->options.label_smoothing > 0 || soft) FN(add_totals)(&w->tile, u, scale, target, soft, &part);
    if (target >= 0) u[target] = -(T)INFINITY;
    T sum = s->tiling.kernels->exp_sum(u, scale, w->tile.bias, &max);
    /* Rare: a row's best rises seldom. */
    if (!s->bent && (double)max >= crowd->best) FN(find_top)(&w->tile, u, scale, target, &part);
    part.sum = (lgt_lse){(double)max, (double)sum};
    if (s->batch->along) part.speed = FN(mean_motion)(s, w, u, &bent, at, max, sum);
    lgt_crowd_merge(crowd, &part);
}

/* What a stripe finds in its classes on the way. */
typedef struct FN(findings) {
    int64_t bad, zero;
    double longest;
} FN(findings);

static void FN(inspect)(const FN(stream) * s, const FN(worker) * w, int64_t bad, FN(findings) * f) {
    if (f->bad < 0) f->bad = bad;
    for (int64_t place = 0; place < s->problem->centres * LGT_TILE; place++) {
        if (place % LGT_TILE >= w->tile.n) continue;
        f->longest = fmax(f->longest, w->tile.norms[place]);
        f->zero += s->problem->least_norm > 0 && w->tile.norms[place] == 0;
    }
}

static void FN(forward_task)(void *argument, int64_t index, int worker) {
    FN(stream) *s = argument;
    FN(worker) *w = &s->workers[worker];
    FN(cell) c = FN(cell_of)(s, index);
    lgt_crowd *crowds = s->crowds + c.stripe * s->layout.panel_rows;
    FN(findings) found = {.bad = -1};
    for (int64_t i = c.row_begin; i < c.row_end; i++) crowds[i] = lgt_crowd_empty();
    for (int64_t tile = c.tile_begin; tile < c.tile_end; tile++) {
        FN(inspect)(s, w, FN(load)(s, w, tile), &found);
        for (int64_t begin = c.row_begin; begin < c.row_end; begin += LGT_BLOCK) {
            int64_t rows = lgt_min64(LGT_BLOCK, c.row_end - begin);
            FN(multiply_block)(s, w, begin, rows);
            for (int64_t i = begin; i < begin + rows; i++)
                FN(forward_row)(s, w, (i - begin) * LGT_TILE, i, FN(target_in_tile)(s, tile, i), &crowds[i]);
        }
    }
    if (c.group > 0) return; /* every group sees the same classes */
    s->w_norms[c.stripe] = found.longest;
    s->bad_classes[c.stripe] = found.bad;
    s->zero_classes[c.stripe] = found.zero;
}

/* u becomes dJ/d product, 0 at the target: its share is added in double when rows and classes are finished. */
static void FN(weigh_row)(FN(stream) * s, FN(worker) * w, T *u, int64_t i, int64_t target) {
    const lgt_row *row = &s->rows[i];
    const T *soft = FN(soft_row)(s, i, w->tile.first);
    double scale = s->problem->scale;
    T high = (T)row->lse, low = (T)(row->lse - (double)high);
    FN(bent) bent;
    if (s->bent) FN(bend)(s, &w->tile, i, u, &bent);
    s->tiling.kernels->exp_weights(u, (T)scale, w->tile.bias, high, low, (T)(scale * row->crowd_scale),
                                   (T)(scale * row->crowd_shift));
    if (soft)
        for (int64_t j = 0; j < w->tile.n; j++) u[j] += (T)(scale * row->soft) * soft[j];
    if (s->bent)
        for (int64_t j = 0; j < LGT_TILE; j++) u[j] *= bent.slope[j];
    if (target >= 0) u[target] = 0;
}

/* In second order u becomes h = dJ/d product, the target's included, and to_x, to_w how h moves, less what a stretch of
 * x or of the class takes away (Eq. 36). `classes` are the tile's turns, db its sums of dJ/dz in motion. */
static void FN(weigh_motion)(FN(stream) * s, FN(worker) * w, int64_t at, int64_t i, int64_t target, lgt_turns *x,
                             lgt_turns *classes, double *db) {
    const lgt_row *row = &s->rows[i];
    const T *soft = FN(soft_row)(s, i, w->tile.first);
    T *u = w->u + at, *to_x = w->to_x + at, *to_w = w->to_w + at, c[LGT_TILE];
    T high = (T)row->lse, low = (T)(row->lse - (double)high);
    double scale = s->problem->scale;
    FN(bent) bent;
    memcpy(c, u, sizeof c);
    FN(bend)(s, &w->tile, i, u, &bent);
    s->tiling.kernels->exp_weights(u, (T)scale, w->tile.bias, high, low, 1, 0);
    for (int64_t j = 0; j < w->tile.n; j++) {
        double p = (double)u[j], motion = (double)to_x[j] + (double)to_w[j], slope = (double)bent.slope[j];
        double g = row->crowd_scale * p + row->crowd_shift + (soft ? row->soft * (double)soft[j] : 0);
        double z_motion = scale * slope * motion + (double)w->moves.bias[j];
        double g_motion = p * (row->crowd_scale * z_motion + row->speed_shift), curvature = (double)bent.curvature[j];
        if (j == target) {
            g = row->target, g_motion = row->target_speed;
            slope = (double)w->tile.factor[j], curvature = 0;
        }
        double h = scale * slope * g, h_motion = scale * (slope * g_motion + curvature * motion * g);
        int64_t place = (w->nearest ? w->nearest[at + j] : 0) * LGT_TILE + j;
        lgt_turns *class = &classes[place];
        x->along += h * (double)c[j], x->turn += h * (double)to_x[j];
        class->along += h * (double)c[j], class->turn += h * (double)to_w[j];
        db[j] += g_motion;
        u[j] = (T)h;
        to_x[j] = (T)(h_motion - h * s->stretch[i]);
        to_w[j] = (T)(h_motion - h * w->moves.norms[place]);
    }
    for (int64_t j = w->tile.n; j < LGT_TILE; j++) u[j] = to_x[j] = to_w[j] = 0;
}

/* The elements of u (n, TILE) whose nearest centre is k, zeros elsewhere: u itself where there is but one. */
static const T *FN(of_centre)(const FN(tiling) * g, const T *u, int64_t n, const uint8_t *nearest, int64_t k,
                              T *other) {
    if (g->problem->centres == 1) return u;
    for (int64_t i = 0; i < n * LGT_TILE; i++) other[i] = nearest[i] == k ? u[i] : 0;
    return other;
}

/* dx += weights by rows of the tile, for the block's rows; dw += weights by x. `first`: the sums begin here. */
static void FN(gather_dx)(FN(stream) * s, FN(worker) * w, const T *weights, int64_t rows, const T *tile_rows, int64_t k,
                          T *dx, int first) {
    int64_t ld = s->layout.ld;
    const T *u = FN(of_centre)(&s->tiling, weights, rows, w->nearest, k, w->other);
    s->tiling.kernels->product(rows, s->layout.width, LGT_TILE, u, LGT_TILE, 1, tile_rows + k * LGT_TILE * ld, ld, dx,
                               ld, !first);
}

static void FN(gather_dw)(FN(stream) * s, FN(worker) * w, const T *weights, int64_t rows, const T *x, int64_t k, T *dw,
                          int first) {
    int64_t ld = s->layout.ld;
    const T *u = FN(of_centre)(&s->tiling, weights, rows, w->nearest, k, w->other);
    s->tiling.kernels->product(LGT_TILE, s->layout.width, rows, u, 1, LGT_TILE, x, ld, dw + k * LGT_TILE * ld, ld,
                               !first);
}

static void FN(gather)(FN(stream) * s, FN(worker) * w, const FN(cell) * c, int64_t tile, int64_t begin, int64_t rows,
                       T *dw) {
    const lgt_batch *b = s->batch;
    int64_t ld = s->layout.ld;
    T *dx = s->dx + (c->stripe * s->layout.panel_rows + begin) * ld;
    const T *x = s->x + begin * ld;
    int first_x = tile == c->tile_begin, first_w = begin == c->row_begin;
    for (int64_t k = 0; k < s->problem->centres; k++) {
        if (b->dx.data) FN(gather_dx)(s, w, b->along ? w->to_x : w->u, rows, w->tile.rows, k, dx, first_x && k == 0);
        if (b->dw.data) FN(gather_dw)(s, w, b->along ? w->to_w : w->u, rows, x, k, dw, first_w);
        if (!b->along) continue;
        if (b->dx.data) FN(gather_dx)(s, w, w->u, rows, w->moves.rows, k, dx, 0);
        if (b->dw.data) FN(gather_dw)(s, w, w->u, rows, s->x_motion + begin * ld, k, dw, 0);
    }
}

static void FN(backward_block)(FN(stream) * s, FN(worker) * w, const FN(cell) * c, int64_t tile, int64_t begin, T *dw) {
    int64_t rows = lgt_min64(LGT_BLOCK, c->row_end - begin), place = c->group * s->layout.n_tiles + tile;
    const lgt_batch *b = s->batch;
    double *db = s->db + place * LGT_TILE;
    FN(multiply_block)(s, w, begin, rows);
    for (int64_t i = begin; i < begin + rows; i++) {
        int64_t at = (i - begin) * LGT_TILE, target = FN(target_in_tile)(s, tile, i);
        if (b->along) FN(weigh_motion)
        (s, w, at, i, target, &s->row_turns[c->stripe * s->layout.panel_rows + i],
         s->class_turns + place * s->problem->centres * LGT_TILE, db);
        else FN(weigh_row)(s, w, w->u + at, i, target);
    }
    FN(gather)(s, w, c, tile, begin, rows, dw);
    if (!b->db.data || b->along) return;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < LGT_TILE; j++) db[j] += (double)w->u[i * LGT_TILE + j];
}

static void FN(backward_task)(void *argument, int64_t index, int worker) {
    FN(stream) *s = argument;
    FN(worker) *w = &s->workers[worker];
    FN(cell) c = FN(cell_of)(s, index);
    int64_t rows_of_w = s->problem->centres * LGT_TILE, size = rows_of_w * s->layout.ld;
    if (s->batch->along)
        memset(s->row_turns + c.stripe * s->layout.panel_rows + c.row_begin, 0,
               (size_t)(c.row_end - c.row_begin) * sizeof *s->row_turns);
    for (int64_t tile = c.tile_begin; tile < c.tile_end; tile++) {
        int64_t place = c.group * s->layout.n_tiles + tile;
        T *dw = s->n_groups > 1 ? s->dw + place * size : w->dw;
        FN(load)(s, w, tile);
        memset(s->db + place * LGT_TILE, 0, LGT_TILE * sizeof(double));
        if (s->batch->along) memset(s->class_turns + place * rows_of_w, 0, (size_t)rows_of_w * sizeof *s->class_turns);
        if (c.row_begin == c.row_end) memset(dw, 0, (size_t)size * sizeof(T));
        for (int64_t begin = c.row_begin; begin < c.row_end; begin += LGT_BLOCK)
            FN(backward_block)(s, w, &c, tile, begin, dw);
        if (s->n_groups == 1 && s->batch->dw.data) FN(finish_dw)(s, w, tile);
    }
}

/* Sums the groups' parts of a tile, in order. */
static void FN(join_dw_task)(void *argument, int64_t tile, int worker) {
    FN(stream) *s = argument;
    FN(worker) *w = &s->workers[worker];
    int64_t size = s->problem->centres * LGT_TILE * s->layout.ld;
    FN(load)(s, w, tile);
    memcpy(w->dw, s->dw + tile * size, (size_t)size * sizeof(T));
    for (int64_t group = 1; group < s->n_groups; group++) {
        const T *part = s->dw + (group * s->layout.n_tiles + tile) * size;
        for (int64_t k = 0; k < size; k++) w->dw[k] += part[k];
    }
    FN(finish_dw)(s, w, tile);
}
