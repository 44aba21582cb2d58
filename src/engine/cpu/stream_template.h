/* The streaming engine over elements T: memory and the order of the stages.
 *
 * For each panel of rows: prepare (directions, targets) -> forward over class tiles (crowd sums) -> combine (loss and
 * force weights of each row) -> backward over class tiles (dw finished, dx in parts) -> finish dx. Logits exist one
 * tile at a time and are computed twice. The including file defines T, DTYPE, KERNELS (the kernel set's type),
 * KERNELS_OF, LGT_PRODUCT_MOST (the largest product of norms) and FN(name). */

#include "engine/cpu/tile_template.h"

/* One worker's memory. */
typedef struct FN(worker) {
    FN(tile) tile;
    FN(tile) moves;   /* the tile's motion: of directions or values, of biases and of norms; second order only */
    T *u;             /* (BLOCK, TILE) products, then force weights */
    T *other;         /* (BLOCK, TILE) scratch of several centres */
    uint8_t *nearest; /* (BLOCK, TILE) the nearest of several centres */
    T *dw;            /* (centres, TILE, ld) */
    T *to_x, *to_w;   /* (BLOCK, TILE) second order: products with what moves, then weights' motions */
    lgt_ray x, w;
    lgt_motion x_motion, w_motion;
    double *gradient, *scratch; /* (dim), (2 dim) */
} FN(worker);

typedef struct FN(stream) {
    const lgt_problem *problem;
    lgt_batch *batch;
    lgt_layout layout;
    FN(tiling) tiling;
    int n_workers;
    int bent; /* whether products become logits by more than the one scale */
    FN(worker) * workers;
    T *arena;             /* behind the workers' T arrays */
    double *double_arena; /* behind their double ones */
    uint8_t *nearest;     /* behind theirs */
    /* One panel: rows [first, first + n_rows). */
    int64_t first, n_rows, n_groups;
    T *x;                  /* (panel, ld) directions or values */
    lgt_target *targets;   /* (panel) */
    lgt_row *rows;         /* (panel) */
    lgt_crowd *crowds;     /* (n_stripes, panel) */
    T *dx;                 /* (n_stripes, panel, ld) */
    T *dw;                 /* (groups, tiles, centres, TILE, ld): only where rows are grouped */
    double *db;            /* (groups, tiles, TILE) */
    int64_t *tile_first;   /* (n_tiles) first row of the panel whose target is in the tile, or -1 */
    int64_t *tile_next;    /* (panel) the next such row */
    int64_t *bad_rows;     /* (row tasks) first bad row of each, or -1 */
    int64_t *bad_classes;  /* (n_stripes) first bad row of w */
    int64_t *zero_rows;    /* (row tasks) */
    int64_t *zero_classes; /* (n_stripes) */
    double *x_norms;       /* (panel) */
    double *w_norms;       /* (n_stripes) the largest of each */
    /* Second order. */
    T *x_motion;            /* (panel, ld) how x moves */
    double *stretch;        /* (panel) how its norm moves, over that norm; 0 where x counts itself */
    double *z_motion;       /* (panel) how the target logit moves */
    lgt_turns *row_turns;   /* (n_stripes, panel) */
    lgt_turns *class_turns; /* (groups, tiles, centres, TILE) */
} FN(stream);

#include "engine/cpu/prepare_template.h"

#include "engine/cpu/finish_template.h"

#include "engine/cpu/bend_template.h"

#include "engine/cpu/pass_template.h"

static void FN(release)(const lgt_problem *problem, void *state) {
    FN(stream) *s = state;
    if (!s) return;
    void *blocks[] = {s->class_turns, s->row_turns, s->z_motion,     s->stretch,     s->x_motion,
                      s->w_norms,     s->x_norms,   s->zero_classes, s->zero_rows,   s->bad_classes,
                      s->bad_rows,    s->tile_next, s->tile_first,   s->db,          s->dw,
                      s->dx,          s->crowds,    s->rows,         s->targets,     s->x,
                      s->workers,     s->nearest,   s->arena,        s->double_arena};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) lgt_release(problem->context, blocks[i]);
    lgt_release(problem->context, s);
}

/* What one worker needs of the arenas. */
typedef struct FN(slice) {
    int64_t elements, doubles, bytes;
} FN(slice);

enum { FN(vectors) = 15 }; /* of dim doubles */

static FN(slice) FN(slice_of)(const FN(stream) * s) {
    const lgt_problem *p = s->problem;
    int64_t tile = FN(tile_size)(p, s->layout.ld, s->layout.width), block = LGT_BLOCK * LGT_TILE;
    int64_t several = p->centres > 1, second = p->options.second_order;
    FN(slice)
    slice = {.elements = (1 + second) * tile + p->centres * LGT_TILE * s->layout.ld,
             .doubles = FN(vectors) * lgt_round_up(p->dim, 8) + 2 * p->centres * LGT_TILE,
             .bytes = several * block};
    slice.elements += (1 + several + 2 * second) * block;
    return slice;
}

/* Hands each worker its slice of the arenas. */
static void FN(share_arenas)(FN(stream) * s, const FN(slice) * slice) {
    const lgt_problem *p = s->problem;
    int64_t d = lgt_round_up(p->dim, 8), block = LGT_BLOCK * LGT_TILE, norms = p->centres * LGT_TILE;
    for (int i = 0; i < s->n_workers; i++) {
        FN(worker) *w = &s->workers[i];
        T *at = FN(place_tile)(p, s->layout.ld, s->layout.width, s->arena + i * slice->elements, &w->tile);
        w->dw = at;
        w->u = w->dw + p->centres * LGT_TILE * s->layout.ld;
        at = w->u + block;
        if (p->centres > 1) {
            w->other = at, at += block;
            w->nearest = s->nearest + i * slice->bytes;
        }
        if (p->options.second_order) {
            w->to_x = at, at += block;
            w->to_w = at, at += block;
            FN(place_tile)(p, s->layout.ld, s->layout.width, at, &w->moves);
        }
        double *number = s->double_arena + i * slice->doubles;
        w->tile.norms = number + FN(vectors) * d;
        w->moves.norms = w->tile.norms + norms;
        double **numbers[] = {&w->x.value,        &w->x.unit,         &w->w.value,        &w->w.unit,
                              &w->x_motion.value, &w->x_motion.unit,  &w->w_motion.value, &w->w_motion.unit,
                              &w->gradient,       &w->tile.ray.value, &w->tile.ray.unit,  &w->moves.ray.value,
                              &w->moves.ray.unit, &w->scratch};
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) *numbers[k] = number + (int64_t)k * d;
    }
}

static lgt_status FN(plan)(const lgt_problem *problem, void **state, int64_t *bytes, lgt_error *err) {
    FN(stream) *s = NULL;
    lgt_context *context = problem->context;
    lgt_status status = LGT_NEW_ZERO(context, &s, 1, err);
    if (status) return status;
    *state = s;
    s->problem = problem;
    s->layout = lgt_layout_of(problem->dim, problem->n_classes, problem->options.max_rows, sizeof(T));
    s->n_workers = lgt_context_threads(context);
    const lgt_layout *l = &s->layout;
    FN(slice) slice = FN(slice_of)(s);
    int64_t panel = l->panel_rows, tasks = lgt_ceil_div(panel, LGT_ROWS_A_TASK), second = problem->options.second_order;
    int64_t groups = lgt_layout_groups(l, panel), classes = l->n_tiles * LGT_TILE;
    int64_t want = !problem->options.loss_only || second, rows_of_w = classes * problem->centres;
    int64_t grouped = want && groups > 1 ? groups * rows_of_w : 0;
    const struct {
        void *block;
        int64_t count;
        size_t size;
    } wanted[] = {{&s->workers, s->n_workers, sizeof *s->workers},
                  {&s->arena, s->n_workers * slice.elements, sizeof(T)},
                  {&s->double_arena, s->n_workers * slice.doubles, sizeof(double)},
                  {&s->nearest, s->n_workers * slice.bytes, 1},
                  {&s->x, panel * l->ld, sizeof(T)},
                  {&s->targets, panel, sizeof *s->targets},
                  {&s->rows, panel, sizeof *s->rows},
                  {&s->crowds, l->n_stripes * panel, sizeof *s->crowds},
                  {&s->dx, want * l->n_stripes * panel * l->ld, sizeof(T)},
                  {&s->dw, grouped * l->ld, sizeof(T)},
                  {&s->db, want * groups * classes, sizeof(double)},
                  {&s->tile_first, l->n_tiles, sizeof(int64_t)},
                  {&s->tile_next, panel, sizeof(int64_t)},
                  {&s->bad_rows, tasks, sizeof(int64_t)},
                  {&s->bad_classes, l->n_stripes, sizeof(int64_t)},
                  {&s->zero_rows, tasks, sizeof(int64_t)},
                  {&s->zero_classes, l->n_stripes, sizeof(int64_t)},
                  {&s->x_norms, panel, sizeof(double)},
                  {&s->w_norms, l->n_stripes, sizeof(double)},
                  {&s->x_motion, second * panel * l->ld, sizeof(T)},
                  {&s->stretch, second * panel, sizeof(double)},
                  {&s->z_motion, second * panel, sizeof(double)},
                  {&s->row_turns, second * l->n_stripes * panel, sizeof *s->row_turns},
                  {&s->class_turns, second * groups * rows_of_w, sizeof *s->class_turns}};
    *bytes = (int64_t)sizeof *s;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        status = lgt_alloc_zero(context, wanted[i].count, wanted[i].size, wanted[i].block, err);
        if (status) return status;
        *bytes += wanted[i].count * (int64_t)wanted[i].size;
    }
    FN(share_arenas)(s, &slice);
    return LGT_OK;
}

/* The first entry that is not -1, or -1. */
static int64_t FN(first_bad)(const int64_t *bad, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (bad[i] >= 0) return bad[i];
    return -1;
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

static lgt_status FN(run_panel)(FN(stream) * s, lgt_error *err) {
    lgt_batch *b = s->batch;
    lgt_context *context = s->problem->context;
    int64_t tasks = lgt_ceil_div(s->n_rows, LGT_ROWS_A_TASK), cells = s->layout.n_stripes * s->n_groups, bad;
    lgt_parallel_for(context, tasks, FN(prepare_task), s);
    if ((bad = FN(first_bad)(s->bad_rows, tasks)) >= 0) return FN(not_finite)(s, bad, err);
    for (int64_t i = 0; i < tasks; i++) b->n_zero_rows += s->zero_rows[i];
    FN(index_targets)(s);
    lgt_parallel_for(context, cells, FN(forward_task), s);
    if ((bad = FN(first_bad)(s->bad_classes, s->layout.n_stripes)) >= 0) return FN(class_not_finite)(s, bad, err);
    lgt_parallel_for(context, tasks, FN(combine_task), s);
    if ((bad = FN(first_bad)(s->bad_rows, tasks)) >= 0)
        return lgt_fail(err, LGT_ERR_NONFINITE, "row %lld: its logits exceed the range of %s", (long long)bad,
                        lgt_dtype_name(DTYPE));
    if (!b->dx.data && !b->dw.data && !b->db.data) return LGT_OK;
    lgt_parallel_for(context, cells, FN(backward_task), s);
    if (s->n_groups > 1 && b->dw.data) lgt_parallel_for(context, s->layout.n_tiles, FN(join_dw_task), s);
    if (b->db.data) FN(finish_db)(s);
    if (b->dx.data) lgt_parallel_for(context, tasks, FN(finish_dx_task), s);
    return LGT_OK;
}

static lgt_status FN(run)(const lgt_problem *problem, void *state, lgt_batch *batch, lgt_error *err) {
    FN(stream) *s = state;
    lgt_status status = LGT_OK;
    s->problem = problem;
    s->batch = batch;
    s->bent = problem->bends_crowd || batch->scales;
    s->tiling = (FN(tiling)){.problem = problem,
                             .kernels = KERNELS_OF(lgt_context_isa(problem->context)),
                             .w = batch->w,
                             .b = batch->b,
                             .scales = batch->scales,
                             .ld = s->layout.ld,
                             .width = s->layout.width};
    batch->n_zero_rows = batch->n_zero_classes = 0;
    /* An empty batch still checks w and clears dw. */
    for (s->first = 0; !status && (s->first < batch->n_rows || s->first == 0); s->first += s->layout.panel_rows) {
        s->n_rows = lgt_min64(s->layout.panel_rows, batch->n_rows - s->first);
        s->n_groups = lgt_layout_groups(&s->layout, s->n_rows);
        status = FN(run_panel)(s, err);
        for (int64_t i = 0; s->first == 0 && i < s->layout.n_stripes; i++) batch->n_zero_classes += s->zero_classes[i];
    }
    return status;
}
