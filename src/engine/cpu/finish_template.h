/* Sums of forces become gradients: projected once, divided by the norm, the targets' shares added in double (Eq. 9). */

/* g = (g - <g, unit> unit) / norm; nothing is left without a direction. */
static void FN(project)(double *g, const double *unit, double norm, int64_t n) {
    double along = lgt_dot(g, unit, n), scale = norm > 0 ? 1 / norm : 0;
    for (int64_t k = 0; k < n; k++) g[k] = (g[k] - along * unit[k]) * scale;
}

/* The bends of the rows whose target is row `at` of w, in the tile: their share of dw. */
static void FN(add_targets)(FN(stream) * s, FN(worker) * w, int64_t tile, int64_t at, double *g) {
    const lgt_problem *p = s->problem;
    const lgt_batch *b = s->batch;
    int loaded = 0;
    for (int64_t i = s->tile_first[tile]; i >= 0; i = s->tile_next[i]) {
        const lgt_row *row = &s->rows[i];
        int64_t from = s->first + i;
        if (s->targets[i].row != at || (row->target == 0 && row->target_speed == 0)) continue;
        if (!loaded) lgt_ray_load(p, b->w, at, &w->w);
        if (!loaded && b->along) lgt_motion_load(p, b->along->w, at, &w->w, &w->w_motion);
        loaded = 1;
        lgt_ray_load(p, b->x, from, &w->x);
        if (!b->along) {
            lgt_target_add_dw(p, &s->targets[i], &w->x, &w->w, row->target, g, w->scratch);
            continue;
        }
        lgt_motion_load(p, b->along->x, from, &w->x, &w->x_motion);
        lgt_moving_pair pair = {&w->x, &w->w, &w->x_motion, &w->w_motion};
        lgt_bend_motion bend = lgt_bend_motion_measure(p, b, from, &pair, w->scratch);
        lgt_bend_motion_add_w(p, &bend, &pair, row->target, row->target_speed, g, w->scratch);
    }
}

/* Projects the sums g of the tile's place: of forces, or of forces in motion. */
static void FN(project_class)(FN(stream) * s, FN(worker) * w, int64_t tile, int64_t place, int64_t at, double *g) {
    const lgt_problem *p = s->problem;
    if (!p->unit_w) return;
    lgt_ray_load(p, s->batch->w, at, &w->w);
    if (!s->batch->along) {
        FN(project)(g, w->w.unit, w->w.norm, p->dim);
        return;
    }
    int64_t size = p->centres * s->layout.extent.tile;
    lgt_turns turns = {0, 0};
    for (int64_t group = 0; group < s->n_groups; group++) {
        const lgt_turns *part = &s->class_turns[(group * s->layout.n_tiles + tile) * size + place];
        turns.along += part->along, turns.turn += part->turn;
    }
    lgt_motion_load(p, s->batch->along->w, at, &w->w, &w->w_motion);
    lgt_motion_project(&w->w, &w->w_motion, turns.along, turns.turn, p->dim, g);
}

/* Where the gradient of a row of w goes: to its place in dw, or to the worker's row for a sink. */
typedef struct FN(way_out) {
    T *out;
    int64_t row; /* of w */
    int accumulate;
} FN(way_out);

/* A class that is no row's target, in first order: its sums, projected, are its gradient. */
static void FN(finish_bystander)(FN(stream) * s, FN(worker) * w, int64_t place, const FN(way_out) * to) {
    int64_t n = s->problem->dim;
    const T *g = w->dw + place * s->layout.width;
    if (s->problem->unit_w) {
        T *out = to->accumulate ? w->row : to->out;
        s->tiling.kernels->project(g, w->tile.rows[place], n, w->tile.factors[place], out);
        g = out;
    }
    for (int64_t k = 0; k < n && to->accumulate; k++) to->out[k] += g[k];
    if (!to->accumulate && g != to->out) memcpy(to->out, g, (size_t)n * sizeof *g);
}

/* A class that rows aim at: the careful way, in double. */
static void FN(finish_target)(FN(stream) * s, FN(worker) * w, int64_t tile, int64_t place, const FN(way_out) * to) {
    int64_t n = s->problem->dim;
    double *g = w->gradient;
    for (int64_t l = 0; l < n; l++) g[l] = (double)w->dw[place * s->layout.width + l];
    FN(project_class)(s, w, tile, place, to->row, g);
    FN(add_targets)(s, w, tile, to->row, g);
    lgt_row_store((lgt_mut){to->out, 1, n, n, DTYPE}, 0, g, to->accumulate);
}

/* Whether row `at` of w is the target of a row of the panel. */
static int FN(is_target)(const FN(stream) * s, int64_t tile, int64_t at) {
    for (int64_t i = s->tile_first[tile]; i >= 0; i = s->tile_next[i])
        if (s->targets[i].row == at) return 1;
    return 0;
}

static FN(way_out) FN(way_out_of)(const FN(stream) * s, FN(worker) * w, int64_t j, int64_t k) {
    const lgt_batch *b = s->batch;
    FN(way_out) to = {w->row, FN(row_of)(&s->tiling, &w->tile, j, k), b->accumulate || s->first > 0};
    if (b->sink.take) return to;
    to.out = (T *)b->dw.data + ((w->tile.first + j) * s->problem->centres + k) * b->dw.ld;
    return to;
}

/* The tile is loaded and its sums are in w->dw: their rows of dw. */
static void FN(finish_dw)(FN(stream) * s, FN(worker) * w, int64_t tile) {
    for (int64_t j = 0; j < w->tile.n; j++)
        for (int64_t k = 0; k < s->problem->centres; k++) {
            int64_t place = k * s->layout.extent.tile + j;
            FN(way_out) to = FN(way_out_of)(s, w, j, k);
            if (s->batch->along || FN(is_target)(s, tile, to.row))
                FN(finish_target)(s, w, tile, place, &to);
            else
                FN(finish_bystander)(s, w, place, &to);
            if (s->batch->sink.take) s->batch->sink.take(s->batch->sink.user, to.row, to.out);
        }
}

/* In second order the targets' share is already in the sums. */
static void FN(finish_db)(FN(stream) * s) {
    const lgt_batch *b = s->batch;
    int64_t classes = s->layout.n_tiles * s->layout.extent.tile;
    for (int64_t group = 1; group < s->n_groups; group++)
        for (int64_t j = 0; j < classes; j++) s->db[j] += s->db[group * classes + j];
    for (int64_t i = 0; i < s->n_rows && !b->along; i++)
        if (b->position[s->first + i] >= 0) s->db[b->position[s->first + i]] += s->rows[i].target;
    lgt_row_store(b->db, 0, s->db, b->accumulate || s->first > 0);
}

/* Row i's own share: its target's gradient, and the penalty's. */
static void FN(add_target)(FN(stream) * s, FN(worker) * w, int64_t i, double *g) {
    const lgt_problem *p = s->problem;
    const lgt_batch *b = s->batch;
    const lgt_row *row = &s->rows[i];
    const lgt_target *target = &s->targets[i];
    int64_t at = s->first + i;
    if (target->row < 0) return;
    lgt_ray_load(p, b->w, target->row, &w->w);
    if (!b->along) {
        lgt_target_add_dx(p, target, &w->x, &w->w, row->target, g, w->scratch);
        double slope = b->coefficient[at] * target->penalty_slope;
        for (int64_t k = 0; k < p->dim && slope != 0; k++) g[k] += slope * w->x.unit[k];
        return;
    }
    lgt_motion_load(p, b->along->w, target->row, &w->w, &w->w_motion);
    lgt_moving_pair pair = {&w->x, &w->w, &w->x_motion, &w->w_motion};
    lgt_bend_motion bend = lgt_bend_motion_measure(p, b, at, &pair, w->scratch);
    lgt_bend_motion_add_x(p, &bend, &pair, row->target, row->target_speed, b->coefficient[at], g, w->scratch);
}

/* Sums over the stripes, projected where x counts by its direction. */
static void FN(finish_crowd)(FN(stream) * s, FN(worker) * w, int64_t i, double *g) {
    const lgt_problem *p = s->problem;
    int64_t panel = s->layout.panel_rows;
    lgt_turns turns = {0, 0};
    for (int64_t k = 0; k < p->dim; k++) g[k] = 0;
    if (p->unit_w && w->x.norm == 0) return;
    for (int64_t stripe = 0; stripe < s->layout.n_stripes; stripe++) {
        const T *part = s->dx + (stripe * panel + i) * s->layout.width;
        s->tiling.kernels->widen(part, p->dim, g);
        if (!s->batch->along) continue;
        turns.along += s->row_turns[stripe * panel + i].along;
        turns.turn += s->row_turns[stripe * panel + i].turn;
    }
    if (!p->unit_x) return;
    if (s->batch->along)
        lgt_motion_project(&w->x, &w->x_motion, turns.along, turns.turn, p->dim, g);
    else
        FN(project)(g, w->x.unit, w->x.norm, p->dim);
}

static void FN(finish_dx_row)(FN(stream) * s, FN(worker) * w, int64_t i) {
    const lgt_batch *b = s->batch;
    int64_t at = s->first + i;
    lgt_ray_load(s->problem, b->x, at, &w->x);
    if (b->along) lgt_motion_load(s->problem, b->along->x, at, &w->x, &w->x_motion);
    FN(finish_crowd)(s, w, i, w->gradient);
    if (b->sink.take)
        for (int64_t k = 0; k < s->problem->dim; k++) w->gradient[k] += s->target_dx[i * s->problem->dim + k];
    else
        FN(add_target)(s, w, i, w->gradient);
    lgt_row_store(b->dx, at, w->gradient, b->accumulate);
}

static void FN(finish_dx_task)(void *argument, int64_t task, int worker) {
    FN(stream) *s = argument;
    int64_t end = lgt_min64(s->n_rows, (task + 1) * LGT_ROWS_A_TASK);
    for (int64_t i = task * LGT_ROWS_A_TASK; i < end; i++) FN(finish_dx_row)(s, &s->workers[worker], i);
}
