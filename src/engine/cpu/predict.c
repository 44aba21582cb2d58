/* Prediction: the forward pass of the streaming engine without a target, keeping each row's k largest logits. */
#include "engine/predict.h"

#include "engine/cpu/stream.h"

#define T        float
#define KERNELS  lgt_kernels_f32
#define FN(name) name##_f32
#include "engine/cpu/tile_template.h"

typedef struct scratch {
    tile_f32 tile;
    float *x;         /* (BLOCK, ld) */
    float *u;         /* (BLOCK, TILE) */
    float *other;     /* (BLOCK, TILE) */
    uint8_t *nearest; /* (BLOCK, TILE) */
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
    float *floats;
    double *doubles;
    uint8_t *nearest;
    lgt_lse *sums;              /* (N) */
    int64_t *bad_x, *bad_class; /* (blocks) */
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

static void predict_row(const prediction *p, const scratch *w, const float *u, int64_t i) {
    const lgt_predictions *out = p->out;
    double *logits = out->logits + i * out->k;
    float scale = (float)p->problem->scale, max, sum = p->tiling.kernels->exp_sum(u, scale, w->tile.bias, &max);
    p->sums[i] = lgt_lse_merge(p->sums[i], (lgt_lse){(double)max, (double)sum});
    int64_t y = p->labels ? p->labels[i] - w->tile.first : -1;
    if (out->label_logits && y >= 0 && y < w->tile.n) out->label_logits[i] = (double)(scale * u[y] + w->tile.bias[y]);
    if ((double)max < logits[out->k - 1]) return;
    for (int64_t j = 0; j < w->tile.n; j++)
        insert(logits, out->classes + i * out->k, out->k, (double)(scale * u[j] + w->tile.bias[j]), w->tile.first + j);
}

static int load_rows(const prediction *p, scratch *w, int64_t first, int64_t n, double *longest) {
    for (int64_t i = 0; i < n; i++) {
        if (!lgt_ray_load(p->problem, p->x, first + i, &w->ray)) return (int)i;
        const double *from = p->problem->unit_x ? w->ray.unit : w->ray.value;
        for (int64_t k = 0; k < p->problem->dim; k++) w->x[i * p->layout.ld + k] = (float)from[k];
        *longest = fmax(*longest, w->ray.norm);
    }
    return -1;
}

static void predict_block(void *argument, int64_t index, int worker) {
    const prediction *p = argument;
    scratch *w = &p->workers[worker];
    const lgt_predictions *out = p->out;
    int64_t first = index * LGT_BLOCK, n = lgt_min64(LGT_BLOCK, p->x.rows - first), bad;
    double longest = 0, most = 0;
    p->bad_x[index] = p->bad_class[index] = -1;
    if ((bad = load_rows(p, w, first, n, &longest)) >= 0) {
        p->bad_x[index] = first + bad;
        return;
    }
    for (int64_t i = first; i < first + n; i++) p->sums[i] = lgt_lse_empty();
    for (int64_t i = first * out->k; i < (first + n) * out->k; i++) out->logits[i] = -INFINITY, out->classes[i] = -1;
    for (int64_t t = 0; t < p->layout.n_tiles; t++) {
        bad = load_tile_f32(&p->tiling, t, &w->tile);
        if (bad >= 0) {
            p->bad_class[index] = bad;
            return;
        }
        for (int64_t j = 0; j < w->tile.n; j++) most = fmax(most, w->tile.norms[j]); /* read in DOT: one centre */
        multiply_f32(&p->tiling, w->tile.columns, w->x, n, 1, w->u, w->other, w->nearest);
        for (int64_t i = 0; i < n; i++) predict_row(p, w, w->u + i * LGT_TILE, first + i);
    }
    if (p->problem->unit_w) most = 1;
    for (int64_t i = first; i < first + n; i++)
        out->lse[i] = p->problem->unit_x || longest * most < FLT_MAX / 8 ? lgt_lse_value(p->sums[i]) : NAN;
}

static lgt_status allocate(prediction *p, lgt_error *err) {
    lgt_context *context = p->problem->context;
    int workers = lgt_context_threads(context);
    int64_t ld = p->layout.ld, width = p->layout.width, dim = p->problem->dim, d = lgt_round_up(dim, 8);
    int64_t block = LGT_BLOCK * LGT_TILE, norms = p->problem->centres * LGT_TILE;
    int64_t slice = tile_size_f32(p->problem, ld, width) + LGT_BLOCK * ld + 2 * block, number_slice = 4 * d + norms;
    int64_t blocks = lgt_ceil_div(p->x.rows, LGT_BLOCK);
    lgt_status status;
    if ((status = LGT_NEW_ZERO(context, &p->workers, workers, err)) ||
        (status = LGT_NEW_ZERO(context, &p->floats, workers * slice, err)) ||
        (status = LGT_NEW_ZERO(context, &p->doubles, workers * number_slice, err)) ||
        (status = LGT_NEW_ZERO(context, &p->nearest, workers * block, err)) ||
        (status = LGT_NEW(context, &p->sums, p->x.rows, err)) || (status = LGT_NEW(context, &p->bad_x, blocks, err)) ||
        (status = LGT_NEW(context, &p->bad_class, blocks, err)))
        return status;
    for (int i = 0; i < workers; i++) {
        scratch *w = &p->workers[i];
        double *number = p->doubles + i * number_slice;
        w->x = place_tile_f32(p->problem, ld, width, p->floats + i * slice, &w->tile);
        w->u = w->x + LGT_BLOCK * ld;
        w->other = w->u + block;
        w->nearest = p->nearest + i * block;
        w->ray = (lgt_ray){number, number + d, 0};
        w->tile.ray = (lgt_ray){number + 2 * d, number + 3 * d, 0};
        w->tile.norms = number + 4 * d;
    }
    return LGT_OK;
}

static lgt_status first_fault(const prediction *p, lgt_error *err) {
    for (int64_t i = 0; i < lgt_ceil_div(p->x.rows, LGT_BLOCK); i++) {
        if (p->bad_x[i] >= 0) return lgt_row_not_finite(p->x, p->bad_x[i], "x", err);
        if (p->bad_class[i] >= 0) return lgt_row_not_finite(p->tiling.w, p->bad_class[i], "w", err);
    }
    for (int64_t i = 0; i < p->x.rows; i++)
        if (!isfinite(p->out->lse[i]))
            return lgt_fail(err, LGT_ERR_NONFINITE, "row %lld: its logits exceed the range of f32", (long long)i);
    return LGT_OK;
}

lgt_status lgt_cpu_predict(const lgt_problem *problem, lgt_view x, lgt_view w, lgt_view b, const int64_t *labels,
                           lgt_predictions *out, lgt_error *err) {
    lgt_context *context = problem->context;
    prediction p = {.problem = problem, .x = x, .labels = labels, .out = out};
    p.layout = lgt_layout_of(problem->dim, problem->n_classes, x.rows, sizeof(float));
    p.tiling =
        (tiling_f32){.problem = problem, .kernels = lgt_kernels_f32_of(lgt_context_isa(context)), .w = w, .b = b};
    p.tiling.ld = p.layout.ld;
    p.tiling.width = p.layout.width;
    lgt_status status = allocate(&p, err);
    if (!status) {
        lgt_parallel_for(context, lgt_ceil_div(x.rows, LGT_BLOCK), predict_block, &p);
        status = first_fault(&p, err);
    }
    void *blocks[] = {p.bad_class, p.bad_x, p.sums, p.nearest, p.doubles, p.floats, p.workers};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) lgt_release(context, blocks[i]);
    return status;
}
