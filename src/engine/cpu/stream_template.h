/* The streaming engine over elements T: memory and the order of the stages.
 *
 * For each panel of rows: prepare (directions, targets) -> forward over class tiles (crowd sums) -> combine (loss and
 * force weights of each row) -> backward over class tiles (dw finished, dx in parts) -> finish dx. Logits exist one
 * crossing at a time; where the workspace has room for them they are kept for the way back, else computed again. The
 * including file defines T, DTYPE, KERNELS (the kernel set's type), KERNELS_OF, LGT_PRODUCT_MOST (the largest product
 * of norms), MIXED_LEAST (the least sin^2 theta at which eps / sin^2 theta is nothing to T) and FN(name). */

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
    int64_t *aiming;                    /* (tile) the first row of the panel whose target is the class, or -1 */
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
    lgt_layout planned, layout;       /* for all classes, and for those of the run */
    int64_t stripe_begin, stripe_end; /* the stripes that are here; the others are other ranks' */
    int64_t held_begin, held_end;   /* the stripes that crowds, dx and row_turns have: all, or in a fast run the own */
    int64_t own_tiles, own_classes; /* most tiles and classes of a run that are here */
    int64_t *offsets;               /* (ranks + 1) scratch: bytes of each one's stripes */
    FN(tiling) tiling;
    int n_workers;
    int64_t worker_bytes;
    int straight;       /* whether the target logit is a product like the others: no bend, no direction */
    int plain;          /* the same in first order: the target weighs like the other classes */
    int pulled;         /* whether targets have pulls beside their products, which are kept */
    int still;          /* second order: only the classes move */
    int bent;           /* whether products become logits by more than the one scale */
    int once;           /* whether the run makes its products in one pass */
    int fast;           /* whether every rank adds up what it has before the ranks add that (share_template.h) */
    int64_t run;        /* counts runs, from 1: a tile loaded in an earlier one is stale */
    int64_t kept_tiles; /* of each stripe, whose products are kept from the forward pass to the backward one */
    FN(worker) * workers;
    char *arena; /* behind the workers' arrays */
    T *kept;     /* (own stripes, kept_tiles, n_blocks) crossings, or the packed weights of all */
    int keeps_weights;
    int64_t own_panels; /* of LGT_LANES classes each: most that are here */
    int64_t kept_size;  /* of the packed weights of such a panel and a block */
    int lent;           /* whether dw has the products that the workspace has not */
    /* One panel: rows [first, first + n_rows). */
    int64_t first, n_rows, n_blocks, n_groups;
    const T **x_rows;     /* (panel) where the rows of x lie */
    double *x_factors;    /* (panel) what they are multiplied by: 1 / |x|, or 1 where values count */
    char *features;       /* (n_blocks) packed */
    char *last_panels;    /* (own stripes, n_blocks) packed weights of less than LGT_LANES classes */
    lgt_target *targets;  /* (panel) */
    lgt_row *rows;        /* (panel) */
    lgt_crowd *crowds;    /* (held, panel) */
    lgt_crowd *of_ranks;  /* (ranks, panel) the same, merged by each; fast runs only */
    T *dx;                /* (held, panel, width) */
    T *dw;                /* (groups, own tiles, centres, tile, width): only where rows are grouped */
    double *db;           /* (groups, own classes); only where the loss has a bias */
    double *norms;        /* (own tiles, centres, tile) of w, once they are known */
    int64_t *tile_last;   /* (own tiles) last row of the panel whose target is in the tile, or -1 */
    int64_t *next;        /* (panel) of the tile's list, or -1; then of the class's */
    int64_t *bad_rows;    /* (row tasks) first bad row of each, or -1 */
    FN(findings) * found; /* (n_stripes, groups) in the classes of each */
    /* The first row of dx, row of w and class of db of a gradient that is not finite, or INT64_MAX. */
    _Atomic int64_t beyond_dx, beyond_dw, beyond_db;
    int64_t *zero_rows;    /* (row tasks) */
    double *x_norms;       /* (panel) */
    const T **target_rows; /* (panel) where w_y lies; only where targets do not weigh like others */
    T *target_copies;      /* (panel, dim) w_y as it was before a sink */
    lgt_attraction *pulls; /* (panel) */
    /* Second order. */
    T *x_motion;            /* (panel, dim) how x moves */
    char *moving_features;  /* (n_blocks) the same, packed */
    double *stretch;        /* (panel) how its norm moves, over that norm; 0 where x counts itself */
    double *z_motion;       /* (panel) how the target logit moves */
    lgt_turns *row_turns;   /* (held, panel) */
    lgt_turns *class_turns; /* (groups, own tiles, centres, tile) */
} FN(stream);

/* The first entry that is not -1, or -1. */
static int64_t FN(first_bad)(const int64_t *bad, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (bad[i] >= 0) return bad[i];
    return -1;
}

/* The tiles and classes of the run that are here. */
static int64_t FN(tiles_here)(const FN(stream) * s) {
    return s->layout.tile_at[s->stripe_end] - s->layout.tile_at[s->stripe_begin];
}

static int64_t FN(n_here)(const FN(stream) * s) {
    return s->layout.class_at[s->stripe_end] - s->layout.class_at[s->stripe_begin];
}

/* The place of a tile among those that are here, and where its norms are kept. */
static int64_t FN(nth_here)(const FN(stream) * s, int64_t tile) {
    return tile - s->layout.tile_at[s->stripe_begin];
}

static double *FN(norms_of)(const FN(stream) * s, int64_t tile) {
    return s->norms + FN(nth_here)(s, tile) * s->problem->centres * s->layout.extent.tile;
}

/* The place of a stripe's row of the panel in arrays (held, panel). */
static int64_t FN(place_of)(const FN(stream) * s, int64_t stripe, int64_t i) {
    return (stripe - s->held_begin) * s->layout.panel_rows + i;
}

/* The place of a tile's partial sums among those of all groups. */
static int64_t FN(part_of)(const FN(stream) * s, int64_t group, int64_t tile) {
    return group * s->own_tiles + FN(nth_here)(s, tile);
}

/* The block of rows [first, first + n) of the panel. */
typedef struct FN(rows) {
    int64_t block, first, n;
} FN(rows);

static int FN(keeps)(const lgt_problem *p) {
    return !p->options.loss_only && !p->options.second_order && !p->bends_crowd && p->centres == 1;
}

#include "engine/cpu/bend_template.h"

#include "engine/cpu/kept_template.h"

#include "engine/cpu/crossing_template.h"

#include "engine/cpu/second_order_template.h"

#include "engine/cpu/prepare_template.h"

#include "engine/cpu/finish_template.h"

#include "engine/cpu/share_template.h"

#include "engine/cpu/pass_template.h"

static int64_t FN(most_listed)(const lgt_problem *p) {
    return p->options.max_classes > 0 ? lgt_min64(p->options.max_classes, p->n_classes) : p->n_classes;
}

/* The most panels of LGT_LANES classes of so many; of a list every stripe may begin one. */
static int64_t FN(panels)(const lgt_problem *p, int64_t n_stripes, int64_t n_classes) {
    return lgt_ceil_div(n_classes, LGT_LANES) + (FN(most_listed)(p) < p->n_classes ? n_stripes : 0);
}

static int FN(keeps_pulls)(const lgt_problem *p) {
    return !p->options.loss_only && lgt_target_is_angular(p);
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
    w->aiming = lgt_arena_take(arena, e->tile, sizeof *w->aiming);
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

/* An array of the panel's, and where its pointer goes. */
typedef struct FN(wanted) {
    void *block;
    int64_t count;
    size_t size;
} FN(wanted);

enum { FN(n_wanted) = 27 };

/* What the arrays of a panel are for. */
typedef struct FN(holding) {
    int64_t tiles, classes, stripes, ranks;
} FN(holding);

/* The arrays of a panel, which are released by this list too; returns their bytes. */
static int64_t FN(list_panel)(FN(stream) * s, const FN(holding) * h, FN(wanted) * out) {
    const lgt_problem *p = s->problem;
    const lgt_layout *l = &s->layout;
    int64_t panel = l->panel_rows, tasks = lgt_ceil_div(panel, LGT_ROWS_A_TASK), second = p->options.second_order;
    int64_t groups = lgt_layout_groups(l, l->n_blocks), rows_of_w = h->tiles * l->extent.tile * p->centres;
    int64_t want = !p->options.loss_only || second, crowds = h->stripes * panel;
    int64_t grouped = want && groups > 1 ? groups * rows_of_w : 0;
    int64_t sums = want && p->loss.info->has_bias ? groups * h->classes : 0, bytes = 0;
    int64_t pulls = FN(keeps_pulls)(p) ? panel : 0;
    size_t vector = (size_t)l->width * sizeof(T), features = (size_t)s->tiling.features_size;
    const FN(wanted) all[FN(n_wanted)] = {{&s->x_rows, panel, sizeof *s->x_rows},
                                          {&s->x_factors, panel, sizeof(double)},
                                          {&s->features, l->n_blocks, features},
                                          {&s->last_panels, h->stripes * l->n_blocks, (size_t)s->kept_size},
                                          {&s->targets, panel, sizeof *s->targets},
                                          {&s->rows, panel, sizeof *s->rows},
                                          {&s->crowds, crowds, sizeof *s->crowds},
                                          {&s->of_ranks, h->ranks * panel, sizeof *s->of_ranks},
                                          {&s->dx, want * crowds, vector},
                                          {&s->dw, grouped, vector},
                                          {&s->db, sums, sizeof(double)},
                                          {&s->tile_last, h->tiles, sizeof(int64_t)},
                                          {&s->next, panel, sizeof(int64_t)},
                                          {&s->bad_rows, tasks, sizeof(int64_t)},
                                          {&s->found, l->n_stripes * groups, sizeof *s->found},
                                          {&s->zero_rows, tasks, sizeof(int64_t)},
                                          {&s->x_norms, panel, sizeof(double)},
                                          {&s->norms, rows_of_w, sizeof(double)},
                                          {&s->target_rows, pulls, sizeof *s->target_rows},
                                          {&s->target_copies, p->options.sinks ? pulls : 0, (size_t)p->dim * sizeof(T)},
                                          {&s->pulls, pulls, sizeof *s->pulls},
                                          {&s->x_motion, second * panel, (size_t)p->dim * sizeof(T)},
                                          {&s->moving_features, second * l->n_blocks, features},
                                          {&s->stretch, second * panel, sizeof(double)},
                                          {&s->z_motion, second * panel, sizeof(double)},
                                          {&s->row_turns, second * crowds, sizeof *s->row_turns},
                                          {&s->class_turns, second * groups * rows_of_w, sizeof *s->class_turns}};
    memcpy(out, all, sizeof all);
    for (int i = 0; i < FN(n_wanted); i++) {
        int64_t part = 0;
        if (!lgt_count_mul(all[i].count, (int64_t)all[i].size, &part) || part > LGT_ARENA_MOST) part = LGT_ARENA_MOST;
        bytes += part; /* so much is refused when it is asked for */
    }
    return bytes;
}

static void FN(release)(const lgt_problem *problem, void *state) {
    FN(stream) *s = state;
    FN(wanted) panel[FN(n_wanted)];
    if (!s) return;
    FN(list_panel)(s, &(FN(holding)){0}, panel);
    for (int i = 0; i < FN(n_wanted); i++) {
        void *block;
        memcpy(&block, panel[i].block, sizeof block);
        lgt_release(problem->context, block);
    }
    void *blocks[] = {s->offsets, s->kept, s->workers, s->arena};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) lgt_release(problem->context, blocks[i]);
    lgt_release(problem->context, s);
}

static lgt_status FN(create_panel)(FN(stream) * s, int64_t *bytes, lgt_error *err) {
    const lgt_problem *p = s->problem;
    FN(wanted) wanted[FN(n_wanted)];
    const FN(holding) own = {.tiles = s->own_tiles,
                             .classes = s->own_classes,
                             .stripes = lgt_max64(1, s->held_end - s->held_begin),
                             .ranks = s->fast ? p->comm->size : 0};
    *bytes += FN(list_panel)(s, &own, wanted);
    for (int i = 0; i < FN(n_wanted); i++) {
        lgt_status status = lgt_alloc_zero(p->context, wanted[i].count, wanted[i].size, wanted[i].block, err);
        if (status) return status;
    }
    return LGT_OK;
}

/* Whether the packed weights of all crossings fit (once_template.h). Bits depend on it, and must not on threads or
 * ranks: it is reckoned for two threads and one rank. */
static int FN(weights_fit)(FN(stream) * s, int64_t before, int64_t workspace) {
    const lgt_layout *l = &s->layout;
    FN(wanted) wanted[FN(n_wanted)];
    int64_t listed = FN(most_listed)(s->problem), tiles = lgt_layout_most_tiles(l, 0, l->n_stripes, listed);
    const FN(holding) all = {.tiles = tiles, .classes = listed, .stripes = l->n_stripes};
    int64_t panel = FN(list_panel)(s, &all, wanted);
    int64_t weights = 0, panels = FN(panels)(s->problem, l->n_stripes, listed) * l->n_blocks;
    if (!lgt_count_mul(panels, s->kept_size, &weights) || weights > LGT_ARENA_MOST) return 0;
    return weights > 0 && before + 2 * s->worker_bytes + panel + weights <= workspace;
}

/* What the rest of the workspace holds: the weights of all crossings, else products. Kept are those of the first tiles
 * of every stripe, so that stripes stay even; bent products change in place and several centres have several, so those
 * are computed again. before: bytes that any plan of the kind has. */
static lgt_status FN(create_kept)(FN(stream) * s, int64_t before, int64_t *bytes, lgt_error *err) {
    const lgt_problem *p = s->problem;
    const lgt_layout *l = &s->layout;
    int64_t workspace = p->options.workspace > 0 ? p->options.workspace : LGT_WORKSPACE;
    int64_t stripes = s->stripe_end - s->stripe_begin, crossings = stripes * l->n_blocks;
    int64_t one = lgt_layout_crossing(l) * (int64_t)sizeof(T), kept = 0;
    if (!FN(keeps)(p)) return LGT_OK;
    s->keeps_weights = FN(weights_fit)(s, before, workspace);
    if (stripes == 0) return LGT_OK;
    if (s->keeps_weights) kept = s->own_panels * l->n_blocks * s->kept_size;
    s->kept_tiles = lgt_min64(lgt_max64(0, workspace - *bytes) / one / crossings, lgt_ceil_div(s->own_tiles, stripes));
    kept = lgt_max64(kept, s->kept_tiles * crossings * one);
    *bytes += kept;
    return lgt_alloc(p->context, kept, 1, &s->kept, err);
}

static lgt_status FN(plan)(const lgt_problem *problem, void **state, int64_t *bytes, lgt_error *err) {
    FN(stream) *s = NULL;
    const lgt_plan_options *o = &problem->options;
    lgt_shape shape = {.dim = problem->dim, .max_rows = o->max_rows, .element_size = sizeof(T)};
    shape.n_classes = problem->n_classes;
    shape.max_listed = FN(most_listed)(problem);
    shape.whole = o->sinks;
    shape.precision = o->precision;
    shape.cache_bytes = lgt_cpu_cache_bytes();
    if (problem->dim > INT32_MAX)
        return lgt_fail(err, LGT_ERR_MEMORY, "a plan of dim %lld overflows", (long long)problem->dim);
    lgt_status status = LGT_NEW_ZERO(problem->context, &s, 1, err);
    if (status) return status;
    *state = s;
    *bytes += (int64_t)sizeof *s;
    int64_t before = *bytes;
    s->problem = problem;
    s->planned = s->layout = lgt_layout_of(&shape);
    s->stripe_begin = problem->stripe_begin, s->stripe_end = problem->stripe_end;
    s->fast = problem->comm && o->reduce == LGT_REDUCE_FAST;
    s->held_end = s->layout.n_stripes;
    if (s->fast) s->held_begin = s->stripe_begin, s->held_end = s->stripe_end;
    s->own_tiles = lgt_layout_most_tiles(&s->layout, s->stripe_begin, s->stripe_end, shape.max_listed);
    s->own_classes = lgt_min64(problem->own_classes, shape.max_listed);
    s->tiling = FN(tiling_of)(problem, &s->layout.extent);
    s->own_panels = FN(panels)(problem, s->stripe_end - s->stripe_begin, s->own_classes);
    if (FN(keeps)(problem))
        s->kept_size = s->tiling.kernels->kept_size(&s->layout.extent) * LGT_LANES / s->layout.extent.tile;
    status = LGT_NEW(problem->context, &s->offsets, problem->comm ? problem->comm->size + 1 : 0, err);
    if (!status) status = FN(create_workers)(s, bytes, err);
    if (!status) status = FN(create_panel)(s, bytes, err);
    return status ? status : FN(create_kept)(s, before, bytes, err);
}

/* The fault in a row of x or, where that is sound, of its direction; the same for w. */
static lgt_status FN(not_finite)(FN(stream) * s, int64_t bad, lgt_error *err) {
    if (!lgt_ray_load(s->problem, s->batch->x, bad, &s->workers->x))
        return lgt_row_not_finite(s->batch->x, bad, "x", err);
    return lgt_row_not_finite(s->batch->along->x, bad, "the direction of x", err);
}

static lgt_status FN(class_not_finite)(FN(stream) * s, int64_t bad, lgt_error *err) {
    int64_t at = FN(here)(&s->tiling, bad);
    if (!lgt_ray_load(s->problem, s->batch->w, at, &s->workers->w))
        return lgt_row_not_finite(s->batch->w, at, "w", err);
    return lgt_row_not_finite(s->batch->along->w, at, "the direction of w", err);
}

/* The fault that stops a run: a row of x, a class, or logits out of range. */
static lgt_status FN(find_fault)(FN(stream) * s, lgt_error *err) {
    int64_t tasks = lgt_ceil_div(s->n_rows, LGT_ROWS_A_TASK), bad = FN(first_bad)(s->bad_rows, tasks);
    const lgt_direction *along = s->batch->along;
    lgt_ray *x = &s->workers->x;
    if (bad >= 0 && !lgt_ray_load(s->problem, s->batch->x, bad, x)) return FN(not_finite)(s, bad, err);
    if (bad >= 0 && along && !lgt_motion_load(s->problem, along->x, bad, x, &s->workers->x_motion))
        return FN(not_finite)(s, bad, err);
    for (int64_t i = s->stripe_begin; i < s->stripe_end; i++)
        if (s->found[i * s->n_groups].bad >= 0) return FN(class_not_finite)(s, s->found[i * s->n_groups].bad, err);
    if (bad < 0) return LGT_OK;
    return lgt_fail(err, LGT_ERR_NONFINITE, "row %lld: its logits exceed the range of %s", (long long)bad,
                    lgt_dtype_name(DTYPE));
}

/* The gradients that did not fit their type. */
static lgt_status FN(find_overflow)(const FN(stream) * s, lgt_error *err) {
    const char *const *names = s->batch->names;
    if (s->beyond_dx < INT64_MAX) return lgt_out_of_range(names[0], "row", s->beyond_dx, DTYPE, err);
    if (s->beyond_dw < INT64_MAX) return lgt_out_of_range(names[1], "row", s->beyond_dw, DTYPE, err);
    if (s->beyond_db < INT64_MAX) return lgt_out_of_range(names[2], "class", s->beyond_db, DTYPE, err);
    return LGT_OK;
}

static int FN(is_beyond)(const FN(stream) * s) {
    int beyond = 0;
    for (int64_t i = 0; i < s->layout.n_stripes * s->n_groups; i++) beyond |= s->found[i].beyond;
    return beyond;
}

/* The way forward over the classes that are here; then what all ranks found is known to all. */
static lgt_status FN(run_forward)(FN(stream) * s, int64_t cells, lgt_error *err) {
    lgt_parallel_for(s->problem->context, cells, FN(forward_task), s);
    lgt_status status = FN(share_crowds)(s, err);
    return status ? status : FN(share_stripes)(s, s->found, s->n_groups * (int64_t)sizeof *s->found, err);
}

/* Stage by stage: every row has met every class before forces are known. */
static lgt_status FN(run_stages)(FN(stream) * s, int64_t tasks, int64_t cells, lgt_error *err) {
    const lgt_problem *p = s->problem;
    const lgt_batch *b = s->batch;
    lgt_status status;
    lgt_parallel_for(p->context, tasks, FN(prepare_task), s);
    for (int64_t i = 0; i < s->layout.n_stripes * s->n_groups; i++) s->found[i].bad = -1;
    if ((status = lgt_comm_agree(p->comm, FN(find_fault)(s, err), err))) return status;
    lgt_parallel_for(p->context, s->n_blocks, FN(pack_task), s);
    if ((status = FN(choose_passes)(s, err))) return status;
    if ((status = FN(run_forward)(s, cells, err))) return status;
    if (s->once && FN(is_beyond)(s)) {
        s->once = 0;
        if ((status = FN(run_forward)(s, cells, err))) return status;
    }
    lgt_parallel_for(p->context, tasks, FN(combine_task), s);
    if ((status = lgt_comm_agree(p->comm, FN(find_fault)(s, err), err))) return status;
    if (s->once && FN(wants_dw)(s))
        lgt_parallel_for(p->context, cells, FN(once_task), s);
    else if (!s->once && FN(wants_gradients)(s))
        lgt_parallel_for(p->context, cells, FN(backward_task), s);
    return b->dx.data ? FN(share_rows)(s, err) : LGT_OK;
}

static lgt_status FN(run_panel)(FN(stream) * s, lgt_error *err) {
    lgt_batch *b = s->batch;
    lgt_context *context = s->problem->context;
    int64_t tasks = lgt_ceil_div(s->n_rows, LGT_ROWS_A_TASK), cells = (s->stripe_end - s->stripe_begin) * s->n_groups;
    lgt_status status = LGT_OK;
    s->lent = FN(lends)(s, s->n_rows * (int64_t)sizeof(T));
    FN(index_targets)(s);
    if (s->layout.n_stripes == 1 && s->layout.tile_at[1] == 1 && s->n_groups > 1 && !s->problem->comm) {
        lgt_parallel_for(context, cells, FN(whole_task), s);
        status = FN(find_fault)(s, err);
    } else {
        status = FN(run_stages)(s, tasks, cells, err);
    }
    if (status) return status;
    for (int64_t i = 0; i < tasks; i++) b->n_zero_rows += s->zero_rows[i];
    if (!FN(wants_gradients)(s)) return LGT_OK;
    if (s->n_groups > 1 && FN(wants_dw)(s)) lgt_parallel_for(context, FN(tiles_here)(s), FN(join_dw_task), s);
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
    s->pulled = !batch->along && FN(keeps_pulls)(problem);
    s->still = batch->along && !batch->along->x.data;
    s->bent = problem->bends_crowd || batch->scales || batch->along;
    s->once = 0;
    s->beyond_dx = s->beyond_dw = s->beyond_db = INT64_MAX;
    s->run++;
    s->tiling.w = batch->w;
    s->tiling.b = batch->b;
    s->tiling.scales = batch->scales;
    s->tiling.classes = batch->classes;
    s->tiling.offsets = batch->offsets;
    s->tiling.first_class = problem->first_class;
    s->layout = s->planned;
    if (batch->classes) lgt_layout_fit(&s->layout, problem->n_classes, batch->classes, batch->n_classes);
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
    if (status || !FN(wants_gradients)(s)) return status;
    return lgt_comm_agree(problem->comm, FN(find_overflow)(s, err), err);
}
