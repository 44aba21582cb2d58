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
    T *u;  /* (BLOCK, TILE) logits, then force weights */
    T *dw; /* (TILE, ld) */
    lgt_ray x, w;
    double *gradient, *scratch; /* (dim) */
} FN(worker);

typedef struct FN(stream) {
    const lgt_problem *problem;
    lgt_batch *batch;
    const KERNELS *kernels;
    lgt_layout layout;
    int n_workers;
    FN(worker) * workers;
    T *arena;             /* behind the workers' T arrays */
    double *double_arena; /* behind their double ones */
    /* One panel: rows [first, first + n_rows). */
    int64_t first, n_rows, n_groups;
    T *x;                  /* (panel, ld) directions (COS) or values (DOT) */
    lgt_target *targets;   /* (panel) */
    lgt_row *rows;         /* (panel) */
    lgt_crowd *crowds;     /* (n_stripes, panel) */
    T *dx;                 /* (n_stripes, panel, ld) */
    T *dw;                 /* (groups, tiles, TILE, ld): only where rows are grouped */
    double *db;            /* (groups, tiles, TILE) */
    int64_t *tile_first;   /* (n_tiles) first row of the panel whose target is in the tile, or -1 */
    int64_t *tile_next;    /* (panel) the next such row */
    int64_t *bad_rows;     /* (row tasks) first bad row of each, or -1 */
    int64_t *bad_classes;  /* (n_stripes) */
    int64_t *zero_rows;    /* (row tasks) */
    int64_t *zero_classes; /* (n_stripes) */
    double *x_norms;       /* (panel) */
    double *w_norms;       /* (n_stripes) the largest of each */
} FN(stream);

#include "engine/cpu/prepare_template.h"

#include "engine/cpu/finish_template.h"

#include "engine/cpu/pass_template.h"

static void FN(release)(const lgt_problem *problem, void *state) {
    FN(stream) *s = state;
    if (!s) return;
    void *blocks[] = {s->w_norms,  s->x_norms,   s->zero_classes, s->zero_rows, s->bad_classes,
                      s->bad_rows, s->tile_next, s->tile_first,   s->db,        s->dw,
                      s->dx,       s->crowds,    s->rows,         s->targets,   s->x,
                      s->workers,  s->arena,     s->double_arena};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) lgt_release(problem->context, blocks[i]);
    lgt_release(problem->context, s);
}

/* Hands each worker its slice of the two arenas. */
static void FN(share_arenas)(FN(stream) * s, int64_t slice, int64_t double_slice) {
    int64_t tile = LGT_TILE * s->layout.ld, dim = s->problem->dim, d = lgt_round_up(dim, 8);
    for (int i = 0; i < s->n_workers; i++) {
        FN(worker) *w = &s->workers[i];
        T *at = s->arena + i * slice;
        double *number = s->double_arena + i * double_slice;
        w->tile.rows = at;
        w->dw = at + tile;
        w->tile.columns = at + 2 * tile;
        w->u = w->tile.columns + s->layout.width * LGT_TILE;
        w->tile.bias = w->u + LGT_BLOCK * LGT_TILE;
        double **numbers[] = {&w->x.value,  &w->x.unit,  &w->w.value,        &w->w.unit,
                              &w->gradient, &w->scratch, &w->tile.ray.value, &w->tile.ray.unit};
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
    s->kernels = KERNELS_OF(lgt_context_isa(context));
    s->layout = lgt_layout_of(problem->dim, problem->n_classes, problem->options.max_rows, sizeof(T));
    s->n_workers = lgt_context_threads(context);
    const lgt_layout *l = &s->layout;
    int64_t panel = l->panel_rows, tasks = lgt_ceil_div(panel, LGT_ROWS_A_TASK);
    int64_t groups = lgt_layout_groups(l, panel), classes = l->n_tiles * LGT_TILE;
    int64_t want = !problem->options.loss_only, grouped = want && groups > 1 ? groups * classes : 0;
    int64_t slice = 2 * LGT_TILE * l->ld + LGT_TILE * l->width + LGT_BLOCK * LGT_TILE + LGT_TILE;
    int64_t double_slice = 8 * lgt_round_up(problem->dim, 8);
    const struct {
        void *block;
        int64_t count;
        size_t size;
    } wanted[] = {{&s->workers, s->n_workers, sizeof *s->workers},
                  {&s->arena, s->n_workers * slice, sizeof(T)},
                  {&s->double_arena, s->n_workers * double_slice, sizeof(double)},
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
                  {&s->w_norms, l->n_stripes, sizeof(double)}};
    *bytes = (int64_t)sizeof *s;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        status = lgt_alloc_zero(context, wanted[i].count, wanted[i].size, wanted[i].block, err);
        if (status) return status;
        *bytes += wanted[i].count * (int64_t)wanted[i].size;
    }
    FN(share_arenas)(s, slice, double_slice);
    return LGT_OK;
}

/* The first entry that is not -1, or -1. */
static int64_t FN(first_bad)(const int64_t *bad, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (bad[i] >= 0) return bad[i];
    return -1;
}

static lgt_status FN(run_panel)(FN(stream) * s, lgt_error *err) {
    lgt_batch *b = s->batch;
    lgt_context *context = s->problem->context;
    int64_t tasks = lgt_ceil_div(s->n_rows, LGT_ROWS_A_TASK), cells = s->layout.n_stripes * s->n_groups, bad;
    lgt_parallel_for(context, tasks, FN(prepare_task), s);
    if ((bad = FN(first_bad)(s->bad_rows, tasks)) >= 0) return lgt_row_not_finite(b->x, bad, "x", err);
    for (int64_t i = 0; i < tasks; i++) b->n_zero_rows += s->zero_rows[i];
    FN(index_targets)(s);
    lgt_parallel_for(context, cells, FN(forward_task), s);
    if ((bad = FN(first_bad)(s->bad_classes, s->layout.n_stripes)) >= 0) return lgt_row_not_finite(b->w, bad, "w", err);
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
