/* The streaming engine over elements T: memory and the order of the stages.
 *
 * For each panel of rows: prepare (directions, targets) -> forward over class tiles (crowd sums) -> combine (loss and
 * force weights of each row) -> backward over class tiles (dw finished, dx in parts) -> finish dx. Logits exist one
 * crossing at a time; where the workspace has room for them they are kept for the way back, else computed again. The
 * including file defines T, DTYPE, KERNELS (the kernel set's type), KERNELS_OF, LGT_PRODUCT_MOST (the largest product
 * of norms) and FN(name). */

#include "engine/cpu/tile_template.h"

/* One worker's memory. Crossings are (tile, ld), lanes (block). */
typedef struct FN(worker) {
    FN(tile) tile;
    FN(tile) moves;   /* the tile's motion: of directions or values, of biases and of norms; second order only */
    T *moving;        /* (centres, tile, dim) rows of moves */
    T *u;             /* crossing: products, then force weights */
    T *slope;         /* crossing: du/dproduct */
    T *other;         /* crossing: scratch of several centres and of second order */
    T *to_x, *to_w;   /* crossings, second order: products with what moves, then weights' motions */
    uint8_t *nearest; /* crossing: the nearest of several centres */
    void *weights;    /* packed, where weights are not u itself */
    T *dw;            /* (centres, tile, width) */
    T *row;           /* (width) */
    T *high, *low, *multiplier, *shift; /* lanes: what exp_weights reads, or exp_sum writes */
    lgt_crowd *parts;                   /* lanes */
    int64_t *place;                     /* lanes: of the targets in the tile, or -1 */
    lgt_ray x, w;
    lgt_motion x_motion, w_motion;
    double *gradient, *scratch; /* (dim), (2 dim) */
    double *shares;             /* lanes: k of once_template.h; where weights are kept */
    char *features;             /* (n_blocks) packed, times those */
} FN(worker);

/* What a cell of the grid finds in its classes on the way. */
typedef struct FN(findings) {
    int64_t bad, zero; /* the first row of w that is not finite, or -1; rows without a direction */
    double longest;
    int beyond; /* whether one pass is not enough */
} FN(findings);

typedef struct FN(stream) {
    const lgt_problem *problem;
    lgt_batch *batch;
    lgt_layout planned, layout; /* for the most classes, and for those of the run */
    FN(tiling) tiling;
    int n_workers;
    int64_t worker_bytes;
    int straight;       /* whether the target logit is a product like the others: no bend, no direction */
    int plain;          /* the same in first order: the target weighs like the other classes */
    int still;          /* second order: only the classes move */
    int bent;           /* whether products become logits by more than the one scale */
    int once;           /* whether the run makes its products in one pass */
    int64_t run;        /* counts runs, from 1: a tile loaded in an earlier one is stale */
    int64_t kept_tiles; /* of each stripe, whose products are kept from the forward pass to the backward one */
    FN(worker) * workers;
    char *arena; /* behind the workers' arrays */
    T *kept;     /* (n_stripes, kept_tiles, n_blocks) crossings, or the packed weights of all */
    int keeps_weights;
    int64_t kept_size; /* of the packed weights of a crossing */
    /* One panel: rows [first, first + n_rows). */
    int64_t first, n_rows, n_blocks, n_groups;
    const T **x_rows;     /* (panel) where the rows of x lie */
    double *x_factors;    /* (panel) what they are multiplied by: 1 / |x|, or 1 where values count */
    char *features;       /* (n_blocks) packed */
    lgt_target *targets;  /* (panel) */
    lgt_row *rows;        /* (panel) */
    lgt_crowd *crowds;    /* (n_stripes, panel) */
    T *dx;                /* (n_stripes, panel, width) */
    T *dw;                /* (groups, tiles, centres, tile, width): only where rows are grouped */
    double *db;           /* (groups, tiles, tile); only where the loss has a bias */
    int64_t *tile_first;  /* (n_tiles) first row of the panel whose target is in the tile, or -1 */
    int64_t *tile_next;   /* (panel) the next such row */
    int64_t *bad_rows;    /* (row tasks) first bad row of each, or -1 */
    FN(findings) * found; /* (cells) in the classes of each */
    int64_t *zero_rows;   /* (row tasks) */
    double *x_norms;      /* (panel) */
    double *pulls;        /* behind these two; only where targets do not weigh like others */
    double *pulls_x;      /* (panel, dim) dz_y/dx */
    double *pulls_w;      /* (panel, dim) dz_y/dw_y */
    /* Second order. */
    T *x_motion;            /* (panel, dim) how x moves */
    char *moving_features;  /* (n_blocks) the same, packed */
    double *stretch;        /* (panel) how its norm moves, over that norm; 0 where x counts itself */
    double *z_motion;       /* (panel) how the target logit moves */
    lgt_turns *row_turns;   /* (n_stripes, panel) */
    lgt_turns *class_turns; /* (groups, tiles, centres, tile) */
} FN(stream);

/* The first entry that is not -1, or -1. */
static int64_t FN(first_bad)(const int64_t *bad, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (bad[i] >= 0) return bad[i];
    return -1;
}

#include "engine/cpu/bend_template.h"

#include "engine/cpu/crossing_template.h"

#include "engine/cpu/second_order_template.h"

#include "engine/cpu/prepare_template.h"

#include "engine/cpu/finish_template.h"

#include "engine/cpu/pass_template.h"

static void FN(release)(const lgt_problem *problem, void *state) {
    FN(stream) *s = state;
    if (!s) return;
    void *blocks[] = {s->tiling.known, s->pulls,     s->kept,       s->class_turns,
                      s->row_turns,    s->z_motion,  s->stretch,    s->moving_features,
                      s->x_motion,     s->found,     s->x_norms,    s->zero_rows,
                      s->bad_rows,     s->tile_next, s->tile_first, s->db,
                      s->dw,           s->dx,        s->crowds,     s->rows,
                      s->targets,      s->features,  s->x_factors,  (void *)s->x_rows,
                      s->workers,      s->arena};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) lgt_release(problem->context, blocks[i]);
    lgt_release(problem->context, s);
}

static int FN(keeps)(const lgt_problem *p) {
    return !p->options.loss_only && !p->options.second_order && !p->bends_crowd && p->centres == 1;
}

static void FN(place_worker)(const FN(stream) * s, FN(worker) * w, lgt_arena *arena) {
    const lgt_problem *p = s->problem;
    const lgt_extent *e = &s->layout.extent;
    int64_t crossing = lgt_layout_crossing(&s->layout), places = p->centres * e->tile;
    int second = p->options.second_order, several = p->centres > 1;
    int64_t weights = s->tiling.kernels->weights_size(e);
    FN(place_tile)(&s->tiling, &w->tile, arena);
    w->u = lgt_arena_take(arena, crossing, sizeof(T));
    w->slope = lgt_arena_take(arena, crossing, sizeof(T));
    if (several || second) w->other = lgt_arena_take(arena, crossing, sizeof(T));
    if (several) w->nearest = lgt_arena_take(arena, crossing, 1);
    if (weights) w->weights = lgt_arena_take(arena, weights, 1);
    w->dw = lgt_arena_take(arena, lgt_max64(places, 1), (size_t)s->layout.width * sizeof(T));
    w->row = lgt_arena_take(arena, s->layout.width, sizeof(T));
    T **lanes[] = {&w->high, &w->low, &w->multiplier, &w->shift};
    for (size_t k = 0; k < sizeof lanes / sizeof *lanes; k++) *lanes[k] = lgt_arena_take(arena, e->block, sizeof(T));
    w->parts = lgt_arena_take(arena, e->block, sizeof *w->parts);
    w->place = lgt_arena_take(arena, e->block, sizeof *w->place);
    FN(place_ray)(&w->x, p->dim, arena);
    FN(place_ray)(&w->w, p->dim, arena);
    w->gradient = lgt_arena_take(arena, p->dim, sizeof(double));
    w->scratch = lgt_arena_take(arena, p->dim, 2 * sizeof(double));
    if (s->kept_size > 0) {
        w->shares = lgt_arena_take(arena, e->block, sizeof(double));
        int64_t features = s->layout.n_blocks * s->tiling.features_size;
        /* The way back has no use for the tile's operand. */
        w->features = features <= s->tiling.classes_size ? w->tile.packed : lgt_arena_take(arena, features, 1);
    }
    if (!second) return;
    FN(place_tile)(&s->tiling, &w->moves, arena);
    w->moving = lgt_arena_take(arena, places, (size_t)p->dim * sizeof(T));
    w->to_x = lgt_arena_take(arena, crossing, sizeof(T));
    w->to_w = lgt_arena_take(arena, crossing, sizeof(T));
    lgt_motion *motions[] = {&w->x_motion, &w->w_motion};
    for (size_t k = 0; k < sizeof motions / sizeof *motions; k++) {
        motions[k]->value = lgt_arena_take(arena, p->dim, sizeof(double));
        motions[k]->unit = lgt_arena_take(arena, p->dim, sizeof(double));
    }
}

static lgt_status FN(create_workers)(FN(stream) * s, int64_t *bytes, lgt_error *err) {
    lgt_context *context = s->problem->context;
    FN(worker) counted = {0};
    lgt_arena arena = {0};
    s->n_workers = lgt_context_threads(context);
    FN(place_worker)(s, &counted, &arena);
    if (arena.used > LGT_ARENA_MOST)
        return lgt_fail(err, LGT_ERR_MEMORY, "a plan of dim %lld overflows", (long long)s->problem->dim);
    lgt_status status = LGT_NEW_ZERO(context, &s->workers, s->n_workers, err);
    if (!status) status = lgt_alloc_zero(context, s->n_workers, (size_t)arena.used, &s->arena, err);
    for (int i = 0; i < s->n_workers && !status; i++) {
        lgt_arena slice = {s->arena + i * arena.used, 0};
        FN(place_worker)(s, &s->workers[i], &slice);
    }
    s->worker_bytes = arena.used + (int64_t)sizeof *s->workers;
    *bytes += s->n_workers * s->worker_bytes;
    return status;
}

/* What the rest of the workspace holds: the weights of all crossings (once_template.h), else products. Kept are those
 * of the first tiles of every stripe, so that stripes stay even; bent products change in place and several centres have
 * several, so those are computed again. Whether weights fit is reckoned with two workers: bits may depend on it, and
 * must not on the number of threads. */
static lgt_status FN(create_kept)(FN(stream) * s, int64_t *bytes, lgt_error *err) {
    const lgt_problem *p = s->problem;
    const lgt_layout *l = &s->layout;
    int64_t workspace = p->options.workspace > 0 ? p->options.workspace : LGT_WORKSPACE;
    int64_t crossings = l->n_stripes * l->n_blocks, one = lgt_layout_crossing(l) * (int64_t)sizeof(T);
    if (!FN(keeps)(p)) return LGT_OK;
    int64_t room = lgt_max64(0, workspace - *bytes), tiles = lgt_ceil_div(l->n_tiles, l->n_stripes);
    int64_t weights = l->n_tiles * l->n_blocks * s->kept_size;
    s->keeps_weights = weights > 0 && weights <= workspace - (*bytes + (2 - s->n_workers) * s->worker_bytes);
    s->kept_tiles = lgt_min64(room / one / crossings, tiles);
    int64_t kept = lgt_max64(s->kept_tiles * crossings * one, s->keeps_weights ? weights : 0);
    *bytes += kept;
    return lgt_alloc(p->context, kept, 1, &s->kept, err);
}

static lgt_status FN(create_panel)(FN(stream) * s, int64_t *bytes, lgt_error *err) {
    const lgt_problem *p = s->problem;
    const lgt_layout *l = &s->layout;
    int64_t panel = l->panel_rows, tasks = lgt_ceil_div(panel, LGT_ROWS_A_TASK), second = p->options.second_order;
    int64_t groups = lgt_layout_groups(l, l->n_blocks), classes = l->n_tiles * l->extent.tile;
    int64_t want = !p->options.loss_only || second, rows_of_w = classes * p->centres;
    int64_t grouped = want && groups > 1 ? groups * rows_of_w : 0, crowds = l->n_stripes * panel;
    int64_t pulls = !p->options.loss_only && lgt_target_is_angular(p) ? 2 * panel : 0;
    size_t vector = (size_t)l->width * sizeof(T), features = (size_t)s->tiling.features_size;
    const struct {
        void *block;
        int64_t count;
        size_t size;
    } wanted[] = {{&s->x_rows, panel, sizeof *s->x_rows},
                  {&s->x_factors, panel, sizeof(double)},
                  {&s->features, l->n_blocks, features},
                  {&s->targets, panel, sizeof *s->targets},
                  {&s->rows, panel, sizeof *s->rows},
                  {&s->crowds, crowds, sizeof *s->crowds},
                  {&s->dx, want * crowds, vector},
                  {&s->dw, grouped, vector},
                  {&s->db, want && p->loss.info->has_bias ? groups * classes : 0, sizeof(double)},
                  {&s->tile_first, l->n_tiles, sizeof(int64_t)},
                  {&s->tile_next, panel, sizeof(int64_t)},
                  {&s->bad_rows, tasks, sizeof(int64_t)},
                  {&s->found, l->n_stripes * groups, sizeof *s->found},
                  {&s->zero_rows, tasks, sizeof(int64_t)},
                  {&s->x_norms, panel, sizeof(double)},
                  {&s->tiling.known, rows_of_w, sizeof(double)},
                  {&s->pulls, pulls, (size_t)p->dim * sizeof(double)},
                  {&s->x_motion, second * panel, (size_t)p->dim * sizeof(T)},
                  {&s->moving_features, second * l->n_blocks, features},
                  {&s->stretch, second * panel, sizeof(double)},
                  {&s->z_motion, second * panel, sizeof(double)},
                  {&s->row_turns, second * crowds, sizeof *s->row_turns},
                  {&s->class_turns, second * groups * rows_of_w, sizeof *s->class_turns}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        lgt_status status = lgt_alloc_zero(p->context, wanted[i].count, wanted[i].size, wanted[i].block, err);
        if (status) return status;
        *bytes += wanted[i].count * (int64_t)wanted[i].size;
    }
    s->pulls_x = pulls ? s->pulls : NULL;
    s->pulls_w = pulls ? s->pulls + panel * p->dim : NULL;
    return LGT_OK;
}

static lgt_status FN(plan)(const lgt_problem *problem, void **state, int64_t *bytes, lgt_error *err) {
    FN(stream) *s = NULL;
    const lgt_plan_options *o = &problem->options;
    lgt_shape shape = {.dim = problem->dim, .max_rows = o->max_rows, .element_size = sizeof(T)};
    shape.n_classes = o->max_classes > 0 ? lgt_min64(o->max_classes, problem->n_classes) : problem->n_classes;
    shape.whole = o->sinks;
    shape.precision = o->precision;
    shape.cache_bytes = lgt_cpu_cache_bytes();
    if (problem->dim > INT32_MAX)
        return lgt_fail(err, LGT_ERR_MEMORY, "a plan of dim %lld overflows", (long long)problem->dim);
    lgt_status status = LGT_NEW_ZERO(problem->context, &s, 1, err);
    if (status) return status;
    *state = s;
    *bytes += (int64_t)sizeof *s;
    s->problem = problem;
    s->planned = s->layout = lgt_layout_of(&shape);
    s->tiling = FN(tiling_of)(problem, &s->layout.extent);
    s->kept_size = FN(keeps)(problem) ? s->tiling.kernels->kept_size(&s->layout.extent) : 0;
    status = FN(create_workers)(s, bytes, err);
    if (!status) status = FN(create_panel)(s, bytes, err);
    return status ? status : FN(create_kept)(s, bytes, err);
}

/* The fault in a row of x or, where that is sound, of its direction; the same for w. */
static lgt_status FN(not_finite)(FN(stream) * s, int64_t bad, lgt_error *err) {
    if (!lgt_ray_load(s->problem, s->batch->x, bad, &s->workers->x))
        return lgt_row_not_finite(s->batch->x, bad, "x", err);
    return lgt_row_not_finite(s->batch->along->x, bad, "the direction of x", err);
}

static lgt_status FN(class_not_finite)(FN(stream) * s, int64_t bad, lgt_error *err) {
    if (!lgt_ray_load(s->problem, s->batch->w, bad, &s->workers->w))
        return lgt_row_not_finite(s->batch->w, bad, "w", err);
    return lgt_row_not_finite(s->batch->along->w, bad, "the direction of w", err);
}

/* The fault that stops a run: a row of x, a class, or logits out of range. */
static lgt_status FN(find_fault)(FN(stream) * s, lgt_error *err) {
    int64_t tasks = lgt_ceil_div(s->n_rows, LGT_ROWS_A_TASK), bad = FN(first_bad)(s->bad_rows, tasks);
    const lgt_direction *along = s->batch->along;
    lgt_ray *x = &s->workers->x;
    if (bad >= 0 && !lgt_ray_load(s->problem, s->batch->x, bad, x)) return FN(not_finite)(s, bad, err);
    if (bad >= 0 && along && !lgt_motion_load(s->problem, along->x, bad, x, &s->workers->x_motion))
        return FN(not_finite)(s, bad, err);
    for (int64_t i = 0; i < s->layout.n_stripes; i++)
        if (s->found[i * s->n_groups].bad >= 0) return FN(class_not_finite)(s, s->found[i * s->n_groups].bad, err);
    if (bad < 0) return LGT_OK;
    return lgt_fail(err, LGT_ERR_NONFINITE, "row %lld: its logits exceed the range of %s", (long long)bad,
                    lgt_dtype_name(DTYPE));
}

static int FN(is_beyond)(const FN(stream) * s, int64_t cells) {
    int beyond = 0;
    for (int64_t i = 0; i < cells; i++) beyond |= s->found[i].beyond;
    return beyond;
}

/* Stage by stage: every row has met every class before forces are known. */
static lgt_status FN(run_stages)(FN(stream) * s, int64_t tasks, int64_t cells, lgt_error *err) {
    lgt_context *context = s->problem->context;
    lgt_status status;
    lgt_parallel_for(context, tasks, FN(prepare_task), s);
    for (int64_t i = 0; i < cells; i++) s->found[i].bad = -1;
    if ((status = FN(find_fault)(s, err))) return status;
    lgt_parallel_for(context, s->n_blocks, FN(pack_task), s);
    s->once = FN(may_once)(s);
    lgt_parallel_for(context, cells, FN(forward_task), s);
    if (s->once && FN(is_beyond)(s, cells)) {
        s->once = 0;
        lgt_parallel_for(context, cells, FN(forward_task), s);
    }
    lgt_parallel_for(context, tasks, FN(combine_task), s);
    if ((status = FN(find_fault)(s, err))) return status;
    if (s->once && FN(wants_dw)(s))
        lgt_parallel_for(context, cells, FN(once_task), s);
    else if (!s->once && FN(wants_gradients)(s))
        lgt_parallel_for(context, cells, FN(backward_task), s);
    return LGT_OK;
}

static lgt_status FN(run_panel)(FN(stream) * s, lgt_error *err) {
    lgt_batch *b = s->batch;
    lgt_context *context = s->problem->context;
    int64_t tasks = lgt_ceil_div(s->n_rows, LGT_ROWS_A_TASK), cells = s->layout.n_stripes * s->n_groups;
    lgt_status status = LGT_OK;
    FN(index_targets)(s);
    if (s->layout.n_tiles == 1 && s->n_groups > 1) {
        lgt_parallel_for(context, cells, FN(whole_task), s);
        status = FN(find_fault)(s, err);
    } else {
        status = FN(run_stages)(s, tasks, cells, err);
    }
    if (status) return status;
    for (int64_t i = 0; i < tasks; i++) b->n_zero_rows += s->zero_rows[i];
    if (!FN(wants_gradients)(s)) return LGT_OK;
    if (s->n_groups > 1 && FN(wants_dw)(s)) lgt_parallel_for(context, s->layout.n_tiles, FN(join_dw_task), s);
    if (b->db.data) FN(finish_db)(s);
    if (b->dx.data) lgt_parallel_for(context, tasks, FN(finish_dx_task), s);
    return LGT_OK;
}

static lgt_status FN(run)(const lgt_problem *problem, void *state, lgt_batch *batch, lgt_error *err) {
    FN(stream) *s = state;
    lgt_status status = LGT_OK;
    s->problem = s->tiling.problem = problem;
    s->batch = batch;
    s->straight = lgt_target_is_plain(problem, batch);
    s->plain = !batch->along && s->straight;
    s->still = batch->along && !batch->along->x.data;
    s->bent = problem->bends_crowd || batch->scales || batch->along;
    s->once = 0;
    s->run++;
    s->tiling.w = batch->w;
    s->tiling.b = batch->b;
    s->tiling.scales = batch->scales;
    s->tiling.classes = batch->classes;
    s->tiling.offsets = batch->offsets;
    s->tiling.n_classes = batch->n_classes;
    s->layout = lgt_layout_fit(&s->planned, batch->n_classes);
    batch->n_zero_rows = batch->n_zero_classes = 0;
    /* An empty batch still checks w and clears dw. */
    for (s->first = 0; !status && (s->first < batch->n_rows || s->first == 0); s->first += s->layout.panel_rows) {
        s->n_rows = lgt_min64(s->layout.panel_rows, batch->n_rows - s->first);
        s->n_blocks = lgt_ceil_div(s->n_rows, s->layout.extent.block);
        s->n_groups = lgt_layout_groups(&s->planned, s->n_blocks);
        status = FN(run_panel)(s, err);
        for (int64_t i = 0; s->first == 0 && i < s->layout.n_stripes; i++)
            batch->n_zero_classes += s->found[i * s->n_groups].zero;
    }
    return status;
}
