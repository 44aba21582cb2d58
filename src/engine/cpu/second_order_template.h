/* Second order: how a crossing moves along a direction (Eq. 35, 36). Products with what moves are made beside the
 * products themselves; the rest is elementwise, in double. */

/* The motion of the loaded tile into w->moves: bias and norms are their motions. Returns the first row of w whose
 * direction is not finite, or -1. */
static int64_t FN(load_motion)(const FN(stream) * s, FN(worker) * w) {
    const lgt_problem *p = s->problem;
    const lgt_direction *along = s->batch->along;
    FN(tile) *moves = &w->moves;
    int64_t size = s->layout.extent.tile, bad = -1;
    moves->first = w->tile.first, moves->n = w->tile.n;
    for (int64_t j = 0; j < moves->n; j++) {
        int64_t class = moves->first + j - s->tiling.first_class;
        moves->bias[j] = along->b.data ? ((const T *)along->b.data)[class] : 0;
        for (int64_t k = 0; k < p->centres; k++) {
            int64_t place = k * size + j, row = FN(row_of)(&s->tiling, moves, j, k), at = FN(here)(&s->tiling, row);
            T *out = w->moving + place * p->dim;
            lgt_ray_load(p, s->batch->w, at, &moves->ray);
            if (!lgt_motion_load(p, along->w, at, &moves->ray, &w->w_motion) && (bad < 0 || row < bad)) bad = row;
            const double *from = p->unit_w ? w->w_motion.unit : w->w_motion.value;
            for (int64_t l = 0; l < p->dim; l++) out[l] = (T)from[l];
            moves->rows[place] = out;
            moves->factors[place] = 1;
            moves->norms[place] = p->unit_w && moves->ray.norm > 0 ? w->w_motion.norm / moves->ray.norm : 0;
        }
    }
    FN(pack_tile)(&s->tiling, moves);
    return bad;
}

/* out = products of packed classes with the block of packed rows, of the centres that are nearest. */
static void FN(meet_nearest)(const FN(stream) * s, FN(worker) * w, const char *classes, const char *features,
                             const FN(rows) * r, T *out) {
    FN(multiply)
    (&s->tiling, classes, w->tile.n, FN(features_at)(s, features, r->block), r->n, 0, out, w->other, w->nearest);
}

/* to_x = products of the tile with how x moves, to_w = those of how the tile moves with x. */
static void FN(meet_moving)(const FN(stream) * s, FN(worker) * w, const FN(rows) * r) {
    memset(w->to_x, 0, (size_t)(w->tile.n * s->layout.extent.ld) * sizeof(T));
    if (!s->still) FN(meet_nearest)(s, w, w->tile.packed, s->moving_features, r, w->to_x);
    FN(meet_nearest)(s, w, w->moves.packed, s->features, r, w->to_w);
}

/* The mean motions of the tile's logits, weighted by exp(z_j - max), whose sums are in w->parts; u holds bent logits
 * without targets. */
static void FN(add_speeds)(FN(stream) * s, FN(worker) * w, const FN(rows) * r) {
    const lgt_extent *e = &s->layout.extent;
    double scale = s->problem->scale;
    FN(meet_moving)(s, w, r); /* before `other` is used below */
    memcpy(w->other, w->u, (size_t)(w->tile.n * e->ld) * sizeof(T));
    for (int64_t i = 0; i < lgt_round_up(r->n, LGT_LANES); i++) {
        int some = i < r->n && w->parts[i].sum.sum > 0;
        w->high[i] = some ? (T)w->parts[i].sum.max : 0;
        w->low[i] = w->shift[i] = 0, w->multiplier[i] = (T)some;
    }
    s->tiling.kernels->exp_weights(e, w->other, w->tile.n, r->n, (T)scale, w->tile.bias, w->high, w->low, w->multiplier,
                                   w->shift);
    for (int64_t j = 0; j < w->tile.n; j++)
        for (int64_t i = 0; i < r->n; i++) {
            int64_t at = j * e->ld + i;
            double motion = (double)w->to_x[at] + (double)w->to_w[at];
            w->parts[i].speed +=
                (double)w->other[at] * (scale * (double)w->slope[at] * motion + (double)w->moves.bias[j]);
        }
    for (int64_t i = 0; i < r->n; i++)
        if (w->parts[i].sum.sum > 0) w->parts[i].speed /= w->parts[i].sum.sum;
}

/* What one element of a crossing adds to the sums of its row and class. */
typedef struct FN(element) {
    double h, h_motion, g_motion;
} FN(element);

static FN(element)
    FN(move_element)(const FN(stream) * s, const FN(worker) * w, int64_t i, int64_t j, int64_t lane, T c) {
    const lgt_row *row = &s->rows[i];
    const T *soft = FN(soft_row)(s, i, w->tile.first);
    int64_t at = j * s->layout.extent.ld + lane;
    double scale = s->problem->scale, p = (double)w->u[at], slope = (double)w->slope[at];
    double motion = (double)w->to_x[at] + (double)w->to_w[at], curvature = FN(curvature)(s, &w->tile, i, j, c);
    double g = row->crowd_scale * p + row->crowd_shift + (soft ? row->soft * (double)soft[j] : 0);
    double z_motion = scale * slope * motion + (double)w->moves.bias[j];
    double g_motion = p * (row->crowd_scale * z_motion + row->speed_shift);
    if (j == w->place[lane]) {
        g = row->target, g_motion = row->target_speed;
        slope = (double)w->tile.factor[j], curvature = 0;
    }
    return (FN(element)){scale * slope * g, scale * (slope * g_motion + curvature * motion * g), g_motion};
}

/* u becomes h = dJ/d product, the targets' included, and to_x, to_w how h moves, less what a stretch of x or of the
 * class takes away (Eq. 36). `x` are the rows' turns, `classes` the tile's, db its sums of dJ/dz in motion. */
static void FN(weigh_motion)(FN(stream) * s, FN(worker) * w, const FN(rows) * r, lgt_turns *x, lgt_turns *classes,
                             double *db) {
    const lgt_extent *e = &s->layout.extent;
    FN(load_lanes)(s, w, r);
    for (int64_t i = 0; i < r->n; i++) w->multiplier[i] = 1, w->shift[i] = 0;
    memcpy(w->other, w->u, (size_t)(w->tile.n * e->ld) * sizeof(T)); /* products */
    FN(bend)(s, &w->tile, r->first, r->n, w->u, w->slope);
    s->tiling.kernels->exp_weights(e, w->u, w->tile.n, r->n, (T)s->problem->scale, w->tile.bias, w->high, w->low,
                                   w->multiplier, w->shift);
    for (int64_t j = 0; j < w->tile.n; j++)
        for (int64_t i = 0; i < r->n; i++) {
            int64_t at = j * e->ld + i, place = (w->nearest ? w->nearest[at] : 0) * e->tile + j;
            FN(element) m = FN(move_element)(s, w, r->first + i, j, i, w->other[at]);
            double c = (double)w->other[at];
            x[i].along += m.h * c, x[i].turn += m.h * (double)w->to_x[at];
            classes[place].along += m.h * c, classes[place].turn += m.h * (double)w->to_w[at];
            if (db) db[j] += m.g_motion;
            w->u[at] = (T)m.h;
            w->to_x[at] = (T)(m.h_motion - m.h * s->stretch[r->first + i]);
            w->to_w[at] = (T)(m.h_motion - m.h * w->moves.norms[place]);
        }
}

/* The same of a target logit that is a product: the rows themselves tell. */
static int FN(prepare_straight_motion)(FN(stream) * s, FN(worker) * w, int64_t i) {
    const lgt_problem *p = s->problem;
    const lgt_batch *b = s->batch;
    const lgt_direction *along = b->along;
    int64_t at = s->first + i, y = b->target[at], n = p->dim;
    T *x_moves = s->x_motion + i * n;
    s->stretch[i] = s->z_motion[i] = 0;
    if (!s->still) {
        if (!lgt_ray_load(p, b->x, at, &w->x) || !lgt_motion_load(p, along->x, at, &w->x, &w->x_motion)) return 0;
        for (int64_t k = 0; k < n; k++) x_moves[k] = (T)w->x_motion.value[k];
    }
    if (y < 0) return 1;
    double (*dot)(const T *, const T *, int64_t) = s->tiling.kernels->dot;
    lgt_target_place at_w = lgt_target_place_of(p, b, at, y);
    const lgt_direction *moves = at_w.along;
    if (!s->still) s->z_motion[i] += dot((const T *)at_w.w.data + at_w.row * at_w.w.ld, x_moves, n);
    if (moves->w.data) s->z_motion[i] += dot((const T *)moves->w.data + at_w.row * moves->w.ld, s->x_rows[i], n);
    if (moves->b.data) s->z_motion[i] += (double)((const T *)moves->b.data)[at_w.row];
    return 1;
}

/* How x moves, and with it the target logit: by its product and by its bend; x and its target are loaded. Returns 0
 * when the direction is not finite; that of w is found by the forward pass. */
static int FN(prepare_motion)(FN(stream) * s, FN(worker) * w, int64_t i) {
    const lgt_problem *p = s->problem;
    const lgt_batch *b = s->batch;
    int64_t at = s->first + i, n = p->dim;
    T *out = s->x_motion + i * n;
    if (!lgt_motion_load(p, b->along->x, at, &w->x, &w->x_motion)) return 0;
    const double *x = p->unit_x ? w->x.unit : w->x.value, *x_moves = p->unit_x ? w->x_motion.unit : w->x_motion.value;
    for (int64_t k = 0; k < n; k++) out[k] = (T)x_moves[k];
    s->stretch[i] = p->unit_x && w->x.norm > 0 ? w->x_motion.norm / w->x.norm : 0;
    s->z_motion[i] = 0;
    if (b->target[at] < 0 || s->targets[i].row < 0) return 1;
    lgt_target_place at_w = lgt_target_place_of(p, b, at, s->targets[i].row);
    if (!lgt_motion_load(p, at_w.along->w, at_w.row, &w->w, &w->w_motion)) return 1;
    const double *v = p->unit_w ? w->w.unit : w->w.value, *v_moves = p->unit_w ? w->w_motion.unit : w->w_motion.value;
    lgt_moving_pair pair = {&w->x, &w->w, &w->x_motion, &w->w_motion};
    double product = lgt_dot(v_moves, x, n) + lgt_dot(v, x_moves, n);
    s->z_motion[i] =
        lgt_class_scale(p, b, b->target[at]) * product + lgt_bend_motion_measure(p, b, at, &pair, w->scratch).value;
    if (at_w.along->b.data) s->z_motion[i] += (double)((const T *)at_w.along->b.data)[at_w.row];
    return 1;
}

/* The shares of dw of the rows whose target is row `at` of w, of class j of the tile; its motion is loaded. */
static void FN(add_moving_targets)(FN(stream) * s, FN(worker) * w, int64_t j, int64_t at, double *g) {
    const lgt_problem *p = s->problem;
    const lgt_batch *b = s->batch;
    for (int64_t i = w->aiming[j]; i >= 0; i = s->next[i]) {
        const lgt_row *row = &s->rows[i];
        int64_t from = s->first + i;
        if (s->targets[i].row != at || (row->target == 0 && row->target_speed == 0)) continue;
        lgt_ray_load(p, b->x, from, &w->x);
        lgt_motion_load(p, b->along->x, from, &w->x, &w->x_motion);
        lgt_moving_pair pair = {&w->x, &w->w, &w->x_motion, &w->w_motion};
        lgt_bend_motion bend = lgt_bend_motion_measure(p, b, from, &pair, w->scratch);
        lgt_bend_motion_add_w(p, &bend, &pair, row->target, row->target_speed, g, w->scratch);
    }
}

/* The sums g of the tile's place, of forces in motion, become the product's row `at`. */
static void FN(finish_moving_class)(FN(stream) * s, FN(worker) * w, int64_t tile, int64_t place, int64_t at,
                                    double *g) {
    const lgt_problem *p = s->problem;
    int64_t size = p->centres * s->layout.extent.tile;
    lgt_turns turns = {0, 0};
    for (int64_t group = 0; group < s->n_groups; group++) {
        const lgt_turns *part = &s->class_turns[FN(part_of)(s, group, tile) * size + place];
        turns.along += part->along, turns.turn += part->turn;
    }
    lgt_ray_load(p, s->batch->w, FN(here)(&s->tiling, at), &w->w);
    lgt_motion_load(p, s->batch->along->w, FN(here)(&s->tiling, at), &w->w, &w->w_motion);
    if (p->unit_w) lgt_motion_project(&w->w, &w->w_motion, turns.along, turns.turn, p->dim, g);
    if (!s->straight) FN(add_moving_targets)(s, w, place % s->layout.extent.tile, at, g);
}

/* The turns of row i of the panel in its first `n` parts. */
static lgt_turns FN(sum_turns)(const FN(stream) * s, int64_t i, int64_t n) {
    lgt_turns turns = {0, 0};
    for (int64_t stripe = 0; stripe < n; stripe++) {
        const lgt_turns *part = &s->row_turns[stripe * s->layout.panel_rows + i];
        turns.along += part->along, turns.turn += part->turn;
    }
    return turns;
}

/* finish_moving_class for row i of the panel. */
static void FN(finish_moving_row)(FN(stream) * s, FN(worker) * w, int64_t i, double *g) {
    const lgt_problem *p = s->problem;
    const lgt_batch *b = s->batch;
    const lgt_row *row = &s->rows[i];
    int64_t at = s->first + i;
    lgt_turns turns = FN(sum_turns)(s, i, s->fast ? 1 : s->layout.n_stripes);
    lgt_ray_load(p, b->x, at, &w->x);
    lgt_motion_load(p, b->along->x, at, &w->x, &w->x_motion);
    if (p->unit_x && w->x.norm > 0) lgt_motion_project(&w->x, &w->x_motion, turns.along, turns.turn, p->dim, g);
    if (s->targets[i].row < 0 || s->straight) return;
    lgt_target_place at_w = lgt_target_place_of(p, b, at, s->targets[i].row);
    lgt_ray_load(p, at_w.w, at_w.row, &w->w);
    lgt_motion_load(p, at_w.along->w, at_w.row, &w->w, &w->w_motion);
    lgt_moving_pair pair = {&w->x, &w->w, &w->x_motion, &w->w_motion};
    lgt_bend_motion bend = lgt_bend_motion_measure(p, b, at, &pair, w->scratch);
    lgt_bend_motion_add_x(p, &bend, &pair, row->target, row->target_speed, b->coefficient[at], g, w->scratch);
}
