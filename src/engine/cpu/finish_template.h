/* Sums of forces become gradients: projected once, divided by the norm, the targets' shares added in double (Eq. 9). */

/* Where the gradient of a row of w goes: to its place in dw, or to the worker's row for a sink. */
typedef struct FN(way_out) {
    T *out;
    int64_t row; /* of w */
    int accumulate;
} FN(way_out);

/* Whether all of a row that was just written are finite. */
static int FN(is_sound)(const FN(stream) * s, T *out) {
    return lgt_row_overflow((lgt_mut){out, 1, s->problem->dim, s->problem->dim, DTYPE}, 0) < 0;
}

/* A class that is no row's target, in first order: its sums, projected, are its gradient. Returns whether it is finite;
 * what went past the caches is not read again for that. */
static int FN(finish_bystander)(FN(stream) * s, FN(worker) * w, int64_t place, const FN(way_out) * to) {
    int64_t n = s->problem->dim;
    const T *g = w->dw + place * s->layout.width;
    if (s->problem->unit_w) {
        T *out = to->accumulate ? w->row : to->out;
        int sound = s->tiling.kernels->project(g, w->tile.rows[place], n, w->tile.factors[place], out, out != w->row);
        if (!to->accumulate) return sound;
        g = out;
    }
    for (int64_t k = 0; k < n && to->accumulate; k++) to->out[k] += g[k];
    if (!to->accumulate) memcpy(to->out, g, (size_t)n * sizeof *g);
    return FN(is_sound)(s, to->out);
}

/* Row i's share of its target's pull: at x, or at w_y. */
static void FN(add_pull)(const FN(stream) * s, FN(worker) * w, int64_t i, int on_class, double *g) {
    const lgt_problem *p = s->problem;
    const lgt_attraction *pull = &s->pulls[i];
    const lgt_mix *mix = on_class ? &pull->to_w : &pull->to_x;
    double share = s->rows[i].target, *out = w->scratch;
    if (share == 0) return;
    if (pull->sound) {
        s->tiling.kernels->add_pair(g, share * mix->x, s->x_rows[i], share * mix->w, s->target_rows[i], p->dim);
        return;
    }
    lgt_ray_load(p, s->batch->x, s->first + i, &w->x);
    lgt_ray_load(p, (lgt_view){s->target_rows[i], 1, p->dim, p->dim, DTYPE}, 0, &w->w);
    lgt_target_pulls(p, &s->targets[i], &w->x, &w->w, on_class ? NULL : out, on_class ? out : NULL);
    for (int64_t k = 0; k < p->dim; k++) g[k] += share * out[k];
}

/* Whether row `at` of w, of class j of the tile, is the target of a row of the panel. */
static int FN(is_target)(const FN(stream) * s, const FN(worker) * w, int64_t j, int64_t at) {
    for (int64_t i = w->aiming[j]; i >= 0; i = s->next[i])
        if (s->targets[i].row == at) return 1;
    return 0;
}

/* The shares of those rows. */
static void FN(add_targets)(const FN(stream) * s, FN(worker) * w, int64_t j, int64_t at, double *g) {
    for (int64_t i = w->aiming[j]; i >= 0; i = s->next[i])
        if (s->targets[i].row == at) FN(add_pull)(s, w, i, 1, g);
}

/* A class that rows aim at, and every class in second order: in double. Returns as finish_bystander. */
static int FN(finish_target)(FN(stream) * s, FN(worker) * w, int64_t tile, int64_t place, const FN(way_out) * to) {
    int64_t n = s->problem->dim;
    const KERNELS *kernels = s->tiling.kernels;
    double *g = w->gradient;
    kernels->sum_parts(w->dw + place * s->layout.width, NULL, 1, 0, n, g);
    if (s->batch->along) {
        FN(finish_moving_class)(s, w, tile, place, to->row, g);
    } else {
        if (s->problem->unit_w) kernels->project_sums(g, w->tile.rows[place], n, w->tile.factors[place]);
        FN(add_targets)(s, w, place % s->layout.extent.tile, to->row, g);
    }
    lgt_row_store((lgt_mut){to->out, 1, n, n, DTYPE}, 0, g, to->accumulate);
    return FN(is_sound)(s, to->out);
}

/* Parts the tile's list of rows into one for each class, by rising row. Where many rows share few classes, a walk over
 * the whole list for every class would take as long as the products. */
static void FN(part_targets)(FN(stream) * s, FN(worker) * w, int64_t tile) {
    for (int64_t j = 0; j < w->tile.n; j++) w->aiming[j] = -1;
    for (int64_t i = s->tile_last[FN(nth_here)(s, tile)], next; i >= 0; i = next) {
        int64_t j = s->batch->position[s->first + i] - w->tile.first;
        next = s->next[i];
        s->next[i] = w->aiming[j];
        w->aiming[j] = i;
    }
}

static FN(way_out) FN(way_out_of)(const FN(stream) * s, FN(worker) * w, int64_t j, int64_t k) {
    const lgt_batch *b = s->batch;
    FN(way_out) to = {w->row, FN(row_of)(&s->tiling, &w->tile, j, k), b->accumulate || s->first > 0};
    if (b->sink.take) return to;
    to.out = FN(dw_row)(s, w, j) + k * b->dw.ld;
    return to;
}

/* The tile is loaded and its sums are in w->dw: their rows of dw. */
static void FN(finish_dw)(FN(stream) * s, FN(worker) * w, int64_t tile) {
    FN(part_targets)(s, w, tile);
    for (int64_t j = 0; j < w->tile.n; j++)
        for (int64_t k = 0; k < s->problem->centres; k++) {
            int64_t place = k * s->layout.extent.tile + j;
            FN(way_out) to = FN(way_out_of)(s, w, j, k);
            int is_target = s->batch->along || (!s->plain && FN(is_target)(s, w, j, to.row));
            int sound = is_target ? FN(finish_target)(s, w, tile, place, &to) : FN(finish_bystander)(s, w, place, &to);
            if (!sound) lgt_keep_least(&s->beyond_dw, FN(here)(&s->tiling, to.row));
            if (s->batch->sink.take) s->batch->sink.take(s->batch->sink.user, FN(here)(&s->tiling, to.row), to.out);
        }
}

/* In second order, and where targets weigh like others, their share is already in the sums. */
static void FN(finish_db)(FN(stream) * s) {
    const lgt_batch *b = s->batch;
    int64_t classes = FN(n_here)(s), begin = s->layout.class_at[s->stripe_begin];
    for (int64_t group = 1; group < s->n_groups; group++)
        for (int64_t j = 0; j < classes; j++) s->db[j] += s->db[group * classes + j];
    for (int64_t i = 0; i < s->n_rows && !b->along && !s->plain; i++) {
        int64_t at = b->position[s->first + i] - begin;
        if (at >= 0 && at < classes) s->db[at] += s->rows[i].target;
    }
    lgt_row_store(b->db, 0, s->db, b->accumulate || s->first > 0);
    int64_t class = lgt_row_overflow(b->db, 0);
    if (class >= 0) lgt_keep_least(&s->beyond_db, class);
}

/* Row i's sums g over the classes: across x where its direction counts, and its own share. */
static void FN(finish_row)(const FN(stream) * s, FN(worker) * w, int64_t i, double *g) {
    int64_t n = s->problem->dim;
    const lgt_target *target = &s->targets[i];
    double slope = s->batch->coefficient[s->first + i] * target->penalty_slope;
    if (s->problem->unit_x) s->tiling.kernels->project_sums(g, s->x_rows[i], n, s->x_factors[i]);
    if (target->row < 0) return;
    FN(add_pull)(s, w, i, 0, g);
    if (slope == 0 || s->x_norms[i] == 0) return;
    for (int64_t k = 0; k < n; k++) g[k] += slope * ((double)s->x_rows[i][k] / s->x_norms[i]);
}

/* k of a row, and the stripes' parts of its sums (once_template.h). */
static double FN(share_of)(const FN(stream) * s, int64_t stripe, int64_t i) {
    const lgt_row *row = &s->rows[i];
    double h = s->crowds[FN(place_of)(s, stripe, i)].sum.max;
    return s->problem->scale * row->crowd_scale * exp(h - row->lse);
}

/* g = the sum of row i's dx in the stripes that are held: 0 of a row without a direction, which no class moves. */
static void FN(sum_stripes)(const FN(stream) * s, int64_t i, double *g) {
    int64_t panel = s->layout.panel_rows, n_stripes = s->held_end - s->held_begin;
    double shares[LGT_STRIPES];
    if (s->problem->unit_w && s->x_norms[i] == 0) n_stripes = 0;
    for (int64_t k = 0; k < n_stripes && s->once; k++) shares[k] = FN(share_of)(s, s->held_begin + k, i);
    s->tiling.kernels->sum_parts(s->dx + i * s->layout.width, s->once ? shares : NULL, n_stripes,
                                 panel * s->layout.width, s->problem->dim, g);
}

static void FN(finish_dx_row)(FN(stream) * s, FN(worker) * w, int64_t i) {
    const lgt_batch *b = s->batch;
    double *g = w->gradient;
    if (s->fast)
        s->tiling.kernels->sum_parts(s->dx + i * s->layout.width, NULL, 1, 0, s->problem->dim, g);
    else
        FN(sum_stripes)(s, i, g);
    if (b->along)
        FN(finish_moving_row)(s, w, i, g);
    else if (!s->plain)
        FN(finish_row)(s, w, i, g);
    lgt_row_store(b->dx, s->first + i, g, b->accumulate);
    if (lgt_row_overflow(b->dx, s->first + i) >= 0) lgt_keep_least(&s->beyond_dx, s->first + i);
}

static void FN(finish_dx_task)(void *argument, int64_t task, int worker) {
    FN(stream) *s = argument;
    int64_t end = lgt_min64(s->n_rows, (task + 1) * LGT_ROWS_A_TASK);
    for (int64_t i = task * LGT_ROWS_A_TASK; i < end; i++) FN(finish_dx_row)(s, &s->workers[worker], i);
}
