/* The two passes over class tiles: crowd sums forward, forces backward. */

static int FN(wants_dw)(const FN(stream) * s) {
    return s->batch->dw.data || s->batch->sink.take;
}

static int FN(wants_gradients)(const FN(stream) * s) {
    return s->batch->dx.data || s->batch->db.data || FN(wants_dw)(s);
}

/* A task of the grid: the tiles of a stripe by the blocks of a group. */
typedef struct FN(cell) {
    int64_t stripe, group;
    int64_t tile_begin, tile_end;
    int64_t block_begin, block_end; /* within the panel */
} FN(cell);

static FN(cell) FN(cell_of)(const FN(stream) * s, int64_t index) {
    int64_t stripe = s->stripe_begin + index / s->n_groups, group = index % s->n_groups;
    return (FN(cell)){.stripe = stripe,
                      .group = group,
                      .tile_begin = s->layout.tile_at[stripe],
                      .tile_end = s->layout.tile_at[stripe + 1],
                      .block_begin = lgt_part_begin(s->n_blocks, s->n_groups, group),
                      .block_end = lgt_part_begin(s->n_blocks, s->n_groups, group + 1)};
}

/* Loads a tile, whose norms are known once the forward pass has seen it, and in second order its motion; what this run
 * has already loaded stays. Returns the first bad row of w, or -1. */
static int64_t FN(load)(FN(stream) * s, FN(worker) * w, int64_t index, int measured) {
    int64_t first, n = lgt_layout_tile(&s->layout, index, &first), bad_motion = -1;
    if (w->tile.loaded == s->run && w->tile.first == first) return -1;
    int64_t bad = FN(load_tile)(&s->tiling, first, n, measured ? FN(norms_of)(s, index) : NULL, &w->tile);
    if (s->batch->along) bad_motion = FN(load_motion)(s, w);
    if (bad < 0) bad = bad_motion;
    w->tile.loaded = bad < 0 ? s->run : 0;
    return bad;
}

/* The way back needs more of a tile than the way forward. */
static void FN(turn_tile)(const FN(tiling) * g, FN(tile) * tile) {
    for (int64_t k = 0; k < g->problem->centres && !tile->turned; k++)
        g->kernels->turn_classes(&g->extent, tile->n, tile->packed + k * g->classes_size);
    tile->turned = 1;
}

static void FN(inspect)(const FN(stream) * s, const FN(worker) * w, int64_t bad, FN(findings) * f) {
    if (f->bad < 0) f->bad = bad;
    for (int64_t k = 0; k < s->problem->centres; k++)
        for (int64_t j = 0; j < w->tile.n; j++) {
            double norm = w->tile.norms[k * s->layout.extent.tile + j];
            f->longest = fmax(f->longest, norm);
            f->zero += s->problem->least_norm > 0 && norm == 0;
        }
}

/* The rows of a block join their crowds; `nth` tile of the stripe. */
static void FN(forward_block)(FN(stream) * s, FN(worker) * w, int64_t stripe, int64_t nth, int64_t block) {
    FN(rows) r = FN(rows_of)(s, block);
    lgt_crowd *crowds = s->crowds + FN(place_of)(s, stripe, r.first);
    T *kept = FN(kept_at)(s, stripe, nth, block), *u = kept ? kept : w->u;
    FN(loan) loan = FN(loan_of_products)(s, &r);
    FN(meet)(s, w, &r, u);
    FN(find_places)(s, w, &r);
    for (int64_t i = 0; i < r.n; i++) w->parts[i] = lgt_crowd_empty();
    if (s->bent) {
        FN(find_tops)(&s->tiling, &w->tile, u, r.n, w->place, w->parts);
        FN(bend)(s, &w->tile, r.first, r.n, u, w->slope);
    }
    if (s->problem->options.label_smoothing > 0 || s->batch->soft.data) FN(add_totals)(s, w, &r, u);
    FN(drop_targets)(s, w, &r, u);
    FN(sum_crossing)(s, w, &r, u);
    if (!kept && s->lent) FN(lend)(s, w, &loan, w->tile.n, u);
    if (s->batch->along) FN(add_speeds)(s, w, &r);
    for (int64_t i = 0; i < r.n; i++) lgt_crowd_merge(&crowds[i], &w->parts[i]);
}

/* Every group measures the same; the first one's word is kept. */
static void FN(keep_norms)(const FN(stream) * s, const FN(worker) * w, int64_t tile) {
    int64_t places = s->problem->centres * s->layout.extent.tile;
    memcpy(FN(norms_of)(s, tile), w->tile.norms, (size_t)places * sizeof(double));
}

#include "engine/cpu/once_template.h"

static void FN(forward_task)(void *argument, int64_t index, int worker) {
    FN(stream) *s = argument;
    FN(worker) *w = &s->workers[worker];
    FN(cell) c = FN(cell_of)(s, index);
    int64_t end = lgt_min64(c.block_end * s->layout.extent.block, s->n_rows);
    FN(findings) *found = &s->found[c.stripe * s->n_groups + c.group];
    *found = (FN(findings)){.bad = -1};
    for (int64_t i = c.block_begin * s->layout.extent.block; i < end; i++)
        s->crowds[FN(place_of)(s, c.stripe, i)] = lgt_crowd_empty();
    for (int64_t tile = c.tile_begin; tile < c.tile_end; tile++) {
        FN(inspect)(s, w, FN(load)(s, w, tile, s->first > 0), found);
        if (c.group == 0 && s->first == 0) FN(keep_norms)(s, w, tile);
        if (s->once && s->batch->dx.data) FN(turn_tile)(&s->tiling, &w->tile);
        for (int64_t block = c.block_begin; block < c.block_end && !found->beyond; block++)
            if (s->once)
                found->beyond = FN(once_block)(s, w, &c, tile, block);
            else
                FN(forward_block)(s, w, c.stripe, tile - c.tile_begin, block);
    }
}

/* Adds a crossing's weights u, in second order also their motions, to dx of the rows and dw of the tile. */
static void FN(gather_all)(FN(stream) * s, FN(worker) * w, const FN(rows) * r, const T *u, T *dx, T *dw, int first_x,
                           int first_w) {
    const FN(tiling) *g = &s->tiling;
    const char *features = FN(features_at)(s, s->features, r->block);
    for (int64_t k = 0; k < s->problem->centres; k++, first_x = 0) {
        const char *classes = w->tile.packed + k * g->classes_size, *moves = w->moves.packed + k * g->classes_size;
        T *dw_k = dw ? dw + k * s->layout.extent.tile * s->layout.width : NULL;
        if (!s->batch->along) {
            FN(gather)
            (s, w, r, FN(of_centre)(s, w, u, r->n, k), classes, features, &(FN(sums)){dx, dw_k, first_x, first_w});
            continue;
        }
        const char *moving = FN(features_at)(s, s->moving_features, r->block);
        FN(sums)
        to_x = {.dx = dx, .first_x = first_x}, to_w = {.dw = dw_k, .first_w = first_w},
        both = {dx, s->still ? NULL : dw_k, 0, 0};
        FN(gather)(s, w, r, FN(of_centre)(s, w, w->to_x, r->n, k), classes, NULL, &to_x);
        FN(gather)(s, w, r, FN(of_centre)(s, w, w->to_w, r->n, k), NULL, features, &to_w);
        FN(gather)(s, w, r, FN(of_centre)(s, w, u, r->n, k), moves, moving, &both);
    }
}

/* Sums of dJ/dz of a group over the rows, from a class of the run on. */
static double *FN(db_of)(const FN(stream) * s, int64_t group, int64_t class) {
    return s->db + group * FN(n_here)(s) + class - s->layout.class_at[s->stripe_begin];
}

static void FN(backward_block)(FN(stream) * s, FN(worker) * w, const FN(cell) * c, int64_t tile, int64_t block, T *dw) {
    FN(rows) r = FN(rows_of)(s, block);
    const lgt_batch *b = s->batch;
    int64_t place = FN(part_of)(s, c->group, tile), row = FN(place_of)(s, c->stripe, r.first);
    double *db = b->db.data ? FN(db_of)(s, c->group, w->tile.first) : NULL;
    T *kept = FN(kept_at)(s, c->stripe, tile - c->tile_begin, block), *u = kept ? kept : w->u;
    FN(loan) loan = FN(loan_of_products)(s, &r);
    if (!kept && s->lent)
        FN(take_back)(s, w, &loan, w->tile.n, u);
    else if (!kept)
        FN(meet)(s, w, &r, u);
    FN(find_places)(s, w, &r);
    if (b->along) {
        FN(meet_moving)(s, w, &r);
        FN(weigh_motion)
        (s, w, &r, s->row_turns + row, s->class_turns + place * s->problem->centres * s->layout.extent.tile, db);
    } else {
        FN(weigh)(s, w, &r, u);
        if (b->db.data) s->tiling.kernels->class_sums(&s->layout.extent, u, w->tile.n, r.n, db);
    }
    FN(gather_all)
    (s, w, &r, u, b->dx.data ? s->dx + row * s->layout.width : NULL, FN(wants_dw)(s) ? dw : NULL, tile == c->tile_begin,
     block == c->block_begin);
}

/* What a task adds to begins at 0: the turns of its rows, and their dx where its stripe has no class in this run. */
static void FN(clear_rows)(FN(stream) * s, const FN(cell) * c) {
    int64_t begin = c->block_begin * s->layout.extent.block, end = c->block_end * s->layout.extent.block;
    int64_t n = lgt_min64(end, s->n_rows) - begin, row = FN(place_of)(s, c->stripe, begin);
    if (n <= 0) return;
    if (s->batch->along) memset(s->row_turns + row, 0, (size_t)n * sizeof *s->row_turns);
    if (c->tile_begin == c->tile_end && s->batch->dx.data)
        memset(s->dx + row * s->layout.width, 0, (size_t)(n * s->layout.width) * sizeof(T));
}

static void FN(backward_task)(void *argument, int64_t index, int worker) {
    FN(stream) *s = argument;
    FN(worker) *w = &s->workers[worker];
    FN(cell) c = FN(cell_of)(s, index);
    int64_t places = s->problem->centres * s->layout.extent.tile;
    FN(clear_rows)(s, &c);
    for (int64_t tile = c.tile_begin; tile < c.tile_end; tile++) {
        int64_t place = FN(part_of)(s, c.group, tile);
        T *dw = s->n_groups > 1 ? s->dw + place * places * s->layout.width : w->dw;
        FN(load)(s, w, tile, 1);
        FN(turn_tile)(&s->tiling, &w->tile);
        if (s->batch->along) FN(turn_tile)(&s->tiling, &w->moves);
        if (s->batch->db.data) memset(FN(db_of)(s, c.group, w->tile.first), 0, (size_t)w->tile.n * sizeof(double));
        if (s->batch->along) memset(s->class_turns + place * places, 0, (size_t)places * sizeof *s->class_turns);
        if (c.block_begin == c.block_end) memset(dw, 0, (size_t)(places * s->layout.width) * sizeof(T));
        for (int64_t block = c.block_begin; block < c.block_end; block++) FN(backward_block)(s, w, &c, tile, block, dw);
        if (s->n_groups == 1 && FN(wants_dw)(s)) FN(finish_dw)(s, w, tile);
    }
}

/* Sums the groups' parts of a tile, in order. */
static void FN(join_dw_task)(void *argument, int64_t index, int worker) {
    FN(stream) *s = argument;
    int64_t tile = s->layout.tile_at[s->stripe_begin] + index;
    FN(worker) *w = &s->workers[worker];
    int64_t size = s->problem->centres * s->layout.extent.tile * s->layout.width;
    FN(load)(s, w, tile, 1);
    memcpy(w->dw, s->dw + index * size, (size_t)size * sizeof(T));
    for (int64_t group = 1; group < s->n_groups; group++) {
        const T *part = s->dw + FN(part_of)(s, group, tile) * size;
        for (int64_t k = 0; k < size; k++) w->dw[k] += part[k];
    }
    FN(finish_dw)(s, w, tile);
}

/* All stages of a group's rows, one after the other, while they are in the caches: where one tile holds all classes, no
 * row waits for another task. What goes wrong is left in bad_rows and found, and the rest of the group undone. */
static void FN(whole_task)(void *argument, int64_t group, int worker) {
    FN(stream) *s = argument;
    FN(cell) c = FN(cell_of)(s, group);
    int64_t block = s->layout.extent.block, begin = c.block_begin * block / LGT_ROWS_A_TASK, bad = -1;
    int64_t end = lgt_ceil_div(lgt_min64(c.block_end * block, s->n_rows), LGT_ROWS_A_TASK);
    s->found[group] = (FN(findings)){.bad = -1}; /* of stripe 0 */
    for (int64_t task = begin; task < end; task++) FN(prepare_task)(s, task, worker);
    if (FN(first_bad)(s->bad_rows + begin, end - begin) >= 0) return;
    for (int64_t at = c.block_begin; at < c.block_end; at++) FN(pack_task)(s, at, worker);
    FN(forward_task)(s, group, worker);
    for (int64_t task = begin; task < end; task++) FN(combine_task)(s, task, worker);
    bad = FN(first_bad)(s->bad_rows + begin, end - begin);
    if (bad < 0 && s->found[group].bad < 0 && FN(wants_gradients)(s)) FN(backward_task)(s, group, worker);
}
