/* Times a head's loss and gradients on random data, in alternation with the roof. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "bench/matter.h"
#include "bench/median.h"
#include "logitude/bench.h"

enum { STREAM_X = 1, STREAM_W, STREAM_LABELS, MOST_REPEAT = 1000000 };

/* A roof is measured for as long as a run takes, within these: long enough to tell, short enough to go unnoticed. Runs
 * that follow it make up most_roof together, and are three at least: one comes after another as in use, and what the
 * last one left in the caches is what the next one finds. */
static const double least_roof = 5e-3, most_roof = 5e-2;
enum { LEAST_TOGETHER = 3 };

typedef struct head_bench {
    lgt_context *context;
    lgt_bench_head_options o;
    int64_t rows_w;
    void *x, *w, *dx, *dw; /* dx, dw: NULL for the loss alone */
    double *loss_rows, *seconds, *roofs;
    int n_roofs;
    int64_t *labels;
    lgt_head *head;
    lgt_plan *plan;
    lgt_head_inputs in;
    lgt_head_outputs out;
} head_bench;

void lgt_bench_head_options_init(lgt_bench_head_options *options) {
    *options = (lgt_bench_head_options){
        .struct_size = sizeof *options, .n_rows = 256, .dim = 512, .n_classes = 10000, .repeat = 10};
}

/* --- What is measured --- */

static lgt_status create_plan(head_bench *b, const lgt_loss *loss, lgt_error *err) {
    lgt_plan_options plan;
    lgt_plan_options_init(&plan);
    plan.dtype = b->o.dtype;
    plan.precision = b->o.precision;
    plan.max_rows = b->o.n_rows;
    plan.loss_only = b->o.loss_only;
    plan.workspace = b->o.workspace;
    lgt_status status = lgt_head_create(b->context, loss, b->o.dim, b->o.n_classes, &b->head, err);
    return status ? status : lgt_plan_create(b->head, &plan, &b->plan, err);
}

static lgt_status draw_inputs(head_bench *b, lgt_error *err) {
    size_t size = lgt_dtype_size(b->o.dtype);
    int64_t n_x = b->o.n_rows * b->o.dim, n_w = b->rows_w * b->o.dim;
    lgt_status status = lgt_alloc(b->context, n_x, size, &b->x, err);
    if (!status) status = lgt_alloc(b->context, n_w, size, &b->w, err);
    if (!status) status = LGT_NEW(b->context, &b->labels, b->o.n_rows, err);
    if (status) return status;
    lgt_bench_fill(b->context, b->x, n_x, b->o.dtype, 1, b->o.seed, STREAM_X);
    lgt_bench_fill(b->context, b->w, n_w, b->o.dtype, 1 / sqrt((double)b->o.dim), b->o.seed, STREAM_W);
    lgt_bench_labels(b->labels, b->o.n_rows, b->o.n_classes, b->o.seed, STREAM_LABELS);
    b->in = (lgt_head_inputs){.x = lgt_view_of(b->x, b->o.n_rows, b->o.dim, b->o.dtype),
                              .w = lgt_view_of(b->w, b->rows_w, b->o.dim, b->o.dtype),
                              .labels = b->labels};
    return LGT_OK;
}

static lgt_status create_outputs(head_bench *b, lgt_error *err) {
    size_t size = lgt_dtype_size(b->o.dtype);
    lgt_status status = LGT_NEW(b->context, &b->loss_rows, b->o.n_rows, err);
    if (!status && !b->o.loss_only) status = lgt_alloc(b->context, b->o.n_rows * b->o.dim, size, &b->dx, err);
    if (!status && !b->o.loss_only) status = lgt_alloc(b->context, b->rows_w * b->o.dim, size, &b->dw, err);
    b->out = (lgt_head_outputs){.dx = lgt_mut_of(b->dx, b->o.n_rows, b->o.dim, b->o.dtype),
                                .dw = lgt_mut_of(b->dw, b->rows_w, b->o.dim, b->o.dtype),
                                .loss_rows = b->loss_rows};
    return status;
}

static lgt_status open_bench(head_bench *b, const lgt_loss *loss, lgt_error *err) {
    int64_t n;
    if (b->o.struct_size != sizeof b->o)
        return lgt_fail(err, LGT_ERR_USAGE, "lgt_bench_head_options has struct_size %zu, expected %zu: call its _init",
                        b->o.struct_size, sizeof b->o);
    if (b->o.repeat < 1 || b->o.repeat > MOST_REPEAT)
        return lgt_fail(err, LGT_ERR_USAGE, "repeat is %d, expected 1 to %d", b->o.repeat, MOST_REPEAT);
    lgt_status status = create_plan(b, loss, err); /* and checks the sizes one by one */
    if (status) return status;
    if (!lgt_count_mul(b->o.n_classes, lgt_loss_centres(loss), &b->rows_w) || !lgt_count_mul(b->rows_w, b->o.dim, &n) ||
        !lgt_count_mul(b->o.n_rows, b->o.dim, &n))
        return lgt_fail(err, LGT_ERR_MEMORY, "%lld rows and %lld classes of dim %lld: too many numbers",
                        (long long)b->o.n_rows, (long long)b->o.n_classes, (long long)b->o.dim);
    status = LGT_NEW(b->context, &b->seconds, b->o.repeat, err);
    if (!status) status = LGT_NEW(b->context, &b->roofs, b->o.repeat, err);
    if (!status) status = draw_inputs(b, err);
    return status ? status : create_outputs(b, err);
}

static void close_bench(head_bench *b) {
    lgt_plan_free(b->plan);
    lgt_head_free(b->head);
    void *blocks[] = {b->dw, b->dx, b->loss_rows, b->labels, b->w, b->x, b->roofs, b->seconds};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) lgt_release(b->context, blocks[i]);
}

/* --- Measuring --- */

static lgt_status unwritten(const char *what, lgt_error *err) {
    return lgt_fail(err, LGT_ERR_NONFINITE, "%s is not finite after a run", what);
}

/* Runs one after another on outputs that were poisoned, and which they must have written. */
static lgt_status timed_runs(head_bench *b, int n, double *seconds, lgt_error *err) {
    int64_t n_x = b->dx ? b->o.n_rows * b->o.dim : 0, n_w = b->dw ? b->rows_w * b->o.dim : 0;
    lgt_bench_poison(b->context, b->dx, n_x, b->o.dtype);
    lgt_bench_poison(b->context, b->dw, n_w, b->o.dtype);
    lgt_bench_poison(b->context, b->loss_rows, b->o.n_rows, LGT_F64);
    for (int r = 0; r < n; r++) {
        double start = lgt_clock_now();
        lgt_status status = lgt_plan_run(b->plan, &b->in, &b->out, err);
        seconds[r] = lgt_clock_now() - start;
        if (status) return status;
    }
    if (!lgt_bench_finite(b->context, b->loss_rows, b->o.n_rows, LGT_F64)) return unwritten("the loss", err);
    if (!lgt_bench_finite(b->context, b->dx, n_x, b->o.dtype)) return unwritten("dx", err);
    return lgt_bench_finite(b->context, b->dw, n_w, b->o.dtype) ? LGT_OK : unwritten("dw", err);
}

static lgt_status measure(head_bench *b, lgt_error *err) {
    double warm, gflops;
    lgt_status status = timed_runs(b, 1, &warm, err);
    double budget = fmin(fmax(warm, least_roof), most_roof);
    int together = (int)fmin(fmax(most_roof / warm, LEAST_TOGETHER), b->o.repeat);
    if (!status) status = lgt_bench_roof(b->context, b->o.dtype, b->o.precision, budget, &gflops, err);
    for (int r = 0; r < b->o.repeat && !status; r += together) {
        int n = r + together < b->o.repeat ? together : b->o.repeat - r;
        status = lgt_bench_roof(b->context, b->o.dtype, b->o.precision, budget, &b->roofs[b->n_roofs++], err);
        if (!status) status = timed_runs(b, n, b->seconds + r, err);
    }
    return status;
}

static lgt_bench_head_result result_of(head_bench *b) {
    double products = b->o.loss_only ? 1 : 3;
    double work = products * 2 * (double)b->o.n_rows * (double)b->rows_w * (double)b->o.dim;
    lgt_bench_head_result result = {.seconds = lgt_bench_median(b->seconds, b->o.repeat),
                                    .roof_gflops = lgt_bench_median(b->roofs, b->n_roofs),
                                    .extra_bytes = lgt_plan_bytes(b->plan),
                                    .loss = b->out.loss};
    result.seconds_min = b->seconds[0]; /* sorted */
    result.roof_gflops_max = b->roofs[b->n_roofs - 1];
    result.gflops = work / result.seconds * 1e-9;
    return result;
}

lgt_status lgt_bench_head_run(lgt_context *context, const lgt_loss *loss, const lgt_bench_head_options *options,
                              lgt_bench_head_result *out, lgt_error *err) {
    head_bench b = {.context = context, .o = *options};
    lgt_status status = open_bench(&b, loss, err);
    if (!status) status = measure(&b, err);
    if (!status) *out = result_of(&b);
    close_bench(&b);
    return status ? status : lgt_succeed(err);
}
