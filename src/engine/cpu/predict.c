/* Prediction: the forward pass of the streaming engine without a target, keeping each row's k largest logits. Sums run
 * stripe by stripe, so that they do not depend on which rank has a stripe. */
#include "engine/predict.h"

#include "engine/cpu/stream.h"

#define T          float
#define KERNELS    lgt_kernels_f32
#define KERNELS_OF lgt_kernels_f32_of
#define FN(name)   name##_f32
#include "engine/cpu/tile_template.h"

typedef struct scratch {
    tile_f32 tile;
    const float **rows; /* (block) of x */
    double *factors;    /* (block) */
    char *features;     /* a block, packed */
    float *u, *other;   /* crossings */
    uint8_t *nearest;   /* a crossing */
    float *max, *sum, *top;
    lgt_ray ray;
} scratch;

typedef struct prediction {
    const lgt_problem *problem;
    tiling_f32 tiling;
    lgt_layout layout;
    lgt_view x;
    const int64_t *labels;
    lgt_predictions *out;
    scratch *workers;
    char *arena;
    lgt_lse *sums;              /* (n_stripes, N) */
    int64_t *bad_x, *bad_class; /* (blocks) */
    double *longest;            /* (2, blocks): rows of x, rows of w that they met */
    /* With ranks: the lists of all, and the bytes of each. */
    double *logits;
    int64_t *classes, *offsets;
} prediction;

/* Puts (value, class) into the row's falling list if it belongs there; equal values keep the lower class first, since
 * classes arrive in rising order. */
static void insert(double *logits, int64_t *classes, int64_t k, double value, int64_t class) {
    int64_t at = k;
    while (at > 0 && value > logits[at - 1]) at--;
    if (at == k) return;
    for (int64_t i = k - 1; i > at; i--) logits[i] = logits[i - 1], classes[i] = classes[i - 1];
    logits[at] = value;
    classes[at] = class;
}

/* Row `lane` of the block, i of all, takes from a crossing what belongs into its list. */
static void predict_row(const prediction *p, const scratch *w, int64_t stripe, int64_t lane, int64_t i) {
    const lgt_predictions *out = p->out;
    lgt_lse *sum = &p->sums[stripe * p->x.rows + i];
    int64_t ld = p->layout.extent.ld, y = p->labels ? p->labels[i] - w->tile.first : -1;
    float scale = (float)p->problem->scale;
    const float *u = w->u + lane;
    *sum = lgt_lse_merge(*sum, (lgt_lse){(double)w->max[lane], (double)w->sum[lane]});
    if (out->label_logits && y >= 0 && y < w->tile.n)
        out->label_logits[i] = (double)(scale * u[y * ld] + w->tile.bias[y]);
    double *logits = out->logits + i * out->k;
    if ((double)w->max[lane] < logits[out->k - 1]) return;
    for (int64_t j = 0; j < w->tile.n; j++)
        insert(logits, out->classes + i * out->k, out->k, (double)(scale * u[j * ld] + w->tile.bias[j]),
               w->tile.first + j);
}

/* Packs rows [first, first + n). Returns the first bad one, or -1. */
static int64_t load_rows(const prediction *p, scratch *w, int64_t first, int64_t n, double *longest) {
    for (int64_t i = 0; i < n; i++) {
        if (!lgt_ray_load(p->problem, p->x, first + i, &w->ray)) return first + i;
        w->rows[i] = (const float *)p->x.data + (first + i) * p->x.ld;
        w->factors[i] = !p->problem->unit_x ? 1 : w->ray.norm > 0 ? 1 / w->ray.norm : 0;
        *longest = fmax(*longest, w->ray.norm);
    }
    p->tiling.kernels->pack_features(&p->layout.extent, w->rows, w->factors, n, w->features);
    return -1;
}

static void predict_crossing(const prediction *p, scratch *w, int64_t stripe, int64_t first, int64_t n) {
    const lgt_extent *e = &p->layout.extent;
    multiply_f32(&p->tiling, w->tile.packed, w->tile.n, w->features, n, 1, w->u, w->other, w->nearest);
    p->tiling.kernels->exp_sum(e, w->u, w->tile.n, n, (float)p->problem->scale, w->tile.bias, w->max, w->sum, w->top);
    for (int64_t i = 0; i < n; i++) predict_row(p, w, stripe, i, first + i);
}

static void predict_block(void *argument, int64_t index, int worker) {
    const prediction *p = argument;
    scratch *w = &p->workers[worker];
    const lgt_problem *problem = p->problem;
    const lgt_predictions *out = p->out;
    int64_t blocks = lgt_ceil_div(p->x.rows, p->layout.extent.block);
    int64_t size = p->layout.extent.block, first = index * size, n = lgt_min64(size, p->x.rows - first);
    double *longest = &p->longest[index], *most = &p->longest[blocks + index];
    p->bad_class[index] = -1;
    *longest = *most = 0;
    p->bad_x[index] = load_rows(p, w, first, n, longest);
    if (p->bad_x[index] >= 0) return;
    for (int64_t i = first * out->k; i < (first + n) * out->k; i++) out->logits[i] = -INFINITY, out->classes[i] = -1;
    for (int64_t stripe = problem->stripe_begin; stripe < problem->stripe_end; stripe++) {
        for (int64_t i = first; i < first + n; i++) p->sums[stripe * p->x.rows + i] = lgt_lse_empty();
        for (int64_t t = p->layout.tile_at[stripe]; t < p->layout.tile_at[stripe + 1]; t++) {
            int64_t class, count = lgt_layout_tile(&p->layout, t, &class);
            p->bad_class[index] = load_tile_f32(&p->tiling, class, count, NULL, &w->tile);
            if (p->bad_class[index] >= 0) return;
            for (int64_t j = 0; j < w->tile.n; j++) *most = fmax(*most, w->tile.norms[j]); /* read in DOT: one centre */
            predict_crossing(p, w, stripe, first, n);
        }
    }
}

/* Stripes become rows. */
static void finish_rows(const prediction *p) {
    int64_t n = p->x.rows, blocks = lgt_ceil_div(n, p->layout.extent.block);
    for (int64_t i = 0; i < n; i++) {
        int64_t block = i / p->layout.extent.block;
        double most = p->problem->unit_w ? 1 : p->longest[blocks + block];
        lgt_lse sum = lgt_lse_empty();
        for (int64_t stripe = 0; stripe < p->layout.n_stripes; stripe++)
            sum = lgt_lse_merge(sum, p->sums[stripe * n + i]);
        int fits = p->problem->unit_x || p->longest[block] * most < FLT_MAX / 8;
        p->out->lse[i] = fits ? lgt_lse_value(sum) : NAN;
    }
}

/* --- Other ranks --- */

static lgt_status gather_parts(const prediction *p, void *data, int64_t bytes_of_part, lgt_error *err) {
    const lgt_comm *comm = p->problem->comm;
    for (int r = 0; r <= comm->size; r++) p->offsets[r] = r * bytes_of_part;
    return comm->gather(comm->user, data, p->offsets, err);
}

/* The lists of all ranks become one: ranks' classes rise, so that equal logits keep the lower class first. */
static void merge_lists(const prediction *p) {
    const lgt_predictions *out = p->out;
    int64_t n = p->x.rows * out->k;
    for (int64_t i = 0; i < n; i++) out->logits[i] = -INFINITY, out->classes[i] = -1;
    for (int r = 0; r < p->problem->comm->size; r++)
        for (int64_t i = 0; i < n; i++)
            if (p->classes[r * n + i] >= 0)
                insert(out->logits + i / out->k * out->k, out->classes + i / out->k * out->k, out->k,
                       p->logits[r * n + i], p->classes[r * n + i]);
}

/* What the ranks found of their classes, to all of them. */
static lgt_status share(const prediction *p, lgt_error *err) {
    const lgt_comm *comm = p->problem->comm;
    const lgt_predictions *out = p->out;
    int64_t n = p->x.rows, lists = n * out->k, blocks = lgt_ceil_div(n, p->layout.extent.block);
    lgt_status status;
    if (!comm) return LGT_OK;
    lgt_stripe_offsets(p->problem->n_classes, comm->size, n * (int64_t)sizeof *p->sums, p->offsets);
    if ((status = comm->gather(comm->user, p->sums, p->offsets, err))) return status;
    memcpy(p->logits + comm->rank * lists, out->logits, (size_t)lists * sizeof *out->logits);
    memcpy(p->classes + comm->rank * lists, out->classes, (size_t)lists * sizeof *out->classes);
    if ((status = gather_parts(p, p->logits, lists * (int64_t)sizeof *p->logits, err)) ||
        (status = gather_parts(p, p->classes, lists * (int64_t)sizeof *p->classes, err)) ||
        (status = comm->max(comm->user, p->longest, 2 * blocks, LGT_F64, err)))
        return status;
    merge_lists(p);
    return out->label_logits ? comm->max(comm->user, out->label_logits, n, LGT_F64, err) : LGT_OK;
}

static void place_scratch(const prediction *p, scratch *w, lgt_arena *arena) {
    const lgt_extent *e = &p->layout.extent;
    int64_t crossing = lgt_layout_crossing(&p->layout);
    place_tile_f32(&p->tiling, &w->tile, arena);
    w->rows = lgt_arena_take(arena, e->block, sizeof *w->rows);
    w->factors = lgt_arena_take(arena, e->block, sizeof *w->factors);
    w->features = lgt_arena_take(arena, p->tiling.features_size, 1);
    w->u = lgt_arena_take(arena, crossing, sizeof *w->u);
    if (p->problem->centres > 1) {
        w->other = lgt_arena_take(arena, crossing, sizeof *w->other);
        w->nearest = lgt_arena_take(arena, crossing, 1);
    }
    float **lanes[] = {&w->max, &w->sum, &w->top};
    for (size_t k = 0; k < sizeof lanes / sizeof *lanes; k++)
        *lanes[k] = lgt_arena_take(arena, e->block, sizeof(float));
    place_ray_f32(&w->ray, p->problem->dim, arena);
}

static lgt_status allocate(prediction *p, lgt_error *err) {
    lgt_context *context = p->problem->context;
    int workers = lgt_context_threads(context);
    int64_t ranks = p->problem->comm ? p->problem->comm->size : 0;
    int64_t blocks = lgt_ceil_div(p->x.rows, p->layout.extent.block);
    scratch counted = {0};
    lgt_arena arena = {0};
    lgt_status status;
    place_scratch(p, &counted, &arena);
    if (arena.used > LGT_ARENA_MOST)
        return lgt_fail(err, LGT_ERR_MEMORY, "a prediction of dim %lld overflows", (long long)p->problem->dim);
    if ((status = LGT_NEW_ZERO(context, &p->workers, workers, err)) ||
        (status = lgt_alloc_zero(context, workers, (size_t)arena.used, &p->arena, err)) ||
        (status = LGT_NEW(context, &p->sums, p->layout.n_stripes * p->x.rows, err)) ||
        (status = LGT_NEW(context, &p->bad_x, blocks, err)) ||
        (status = LGT_NEW(context, &p->bad_class, blocks, err)) ||
        (status = LGT_NEW(context, &p->longest, 2 * blocks, err)) ||
        (status = LGT_NEW(context, &p->logits, ranks * p->x.rows * p->out->k, err)) ||
        (status = LGT_NEW(context, &p->classes, ranks * p->x.rows * p->out->k, err)) ||
        (status = LGT_NEW(context, &p->offsets, ranks + 1, err)))
        return status;
    for (int i = 0; i < workers; i++) {
        lgt_arena slice = {p->arena + i * arena.used, 0};
        place_scratch(p, &p->workers[i], &slice);
    }
    return LGT_OK;
}

static lgt_status first_fault(const prediction *p, lgt_error *err) {
    for (int64_t i = 0; i < lgt_ceil_div(p->x.rows, p->layout.extent.block); i++) {
        if (p->bad_x[i] >= 0) return lgt_row_not_finite(p->x, p->bad_x[i], "x", err);
        if (p->bad_class[i] >= 0)
            return lgt_row_not_finite(p->tiling.w, here_f32(&p->tiling, p->bad_class[i]), "w", err);
    }
    return LGT_OK;
}

static lgt_status first_overflow(const prediction *p, lgt_error *err) {
    for (int64_t i = 0; i < p->x.rows; i++)
        if (!isfinite(p->out->lse[i]))
            return lgt_fail(err, LGT_ERR_NONFINITE, "row %lld: its logits exceed the range of f32", (long long)i);
    return LGT_OK;
}

lgt_status lgt_cpu_predict(const lgt_problem *problem, lgt_view x, lgt_view w, lgt_view b, const int64_t *labels,
                           lgt_predictions *out, lgt_error *err) {
    lgt_context *context = problem->context;
    prediction p = {.problem = problem, .x = x, .labels = labels, .out = out};
    lgt_shape shape = {.dim = problem->dim,
                       .n_classes = problem->n_classes,
                       .max_rows = x.rows,
                       .max_listed = problem->n_classes,
                       .element_size = sizeof(float),
                       .precision = LGT_PRECISION_FULL,
                       .cache_bytes = lgt_cpu_cache_bytes()};
    if (problem->dim > INT32_MAX)
        return lgt_fail(err, LGT_ERR_MEMORY, "a prediction of dim %lld overflows", (long long)problem->dim);
    p.layout = lgt_layout_of(&shape);
    p.tiling = tiling_of_f32(problem, &p.layout.extent);
    p.tiling.first_class = problem->first_class;
    p.tiling.w = w;
    p.tiling.b = b;
    lgt_status status = lgt_comm_agree(problem->comm, allocate(&p, err), err);
    for (int64_t i = 0; i < x.rows && !status && out->label_logits; i++) out->label_logits[i] = -INFINITY;
    if (!status) {
        lgt_parallel_for(context, lgt_ceil_div(x.rows, p.layout.extent.block), predict_block, &p);
        status = lgt_comm_agree(problem->comm, first_fault(&p, err), err);
    }
    if (!status) status = share(&p, err);
    if (!status) {
        finish_rows(&p);
        status = first_overflow(&p, err);
    }
    void *blocks[] = {p.offsets, p.classes, p.logits, p.longest, p.bad_class, p.bad_x, p.sums, p.arena, p.workers};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) lgt_release(context, blocks[i]);
    return status;
}
