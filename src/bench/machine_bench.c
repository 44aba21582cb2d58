/* What a plan takes for the speed of a machine: heads with few and with many rows tell what a row costs and what a
 * class costs; steps tell what the optimizer adds (docs/scaling.md, Eq. S12). */
#include <math.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "bench/matter.h"
#include "bench/median.h"
#include "logitude/bench.h"

enum { STREAM_CHUNK = 1 << 16, LEAST_STREAM = 64 };

/* Times are noisy and differences of times are more so: neither part of a time is taken for less than this share. */
static const double least_share = 0.05;

typedef struct machine_bench {
    lgt_context *context;
    const lgt_bench_machine_options *o;
    lgt_loss loss;
    lgt_machine *machine;
    double row_seconds; /* what a row of a head in float32 costs */
} machine_bench;

void lgt_bench_machine_options_init(lgt_bench_machine_options *options) {
    *options = (lgt_bench_machine_options){.struct_size = sizeof *options,
                                           .dim = 512,
                                           .n_classes = 65536,
                                           .few_rows = 64,
                                           .many_rows = 256,
                                           .stream_bytes = (int64_t)256 << 20,
                                           .repeat = 5};
}

/* --- Heads --- */

static lgt_status head_seconds(const machine_bench *b, lgt_arithmetic arithmetic, int64_t n_rows, double *out,
                               lgt_error *err) {
    static const lgt_precision precisions[LGT_N_ARITHMETICS] = {LGT_PRECISION_FULL, LGT_PRECISION_FULL,
                                                                LGT_PRECISION_BF16X3, LGT_PRECISION_BF16};
    lgt_bench_head_options o;
    lgt_bench_head_result result;
    lgt_bench_head_options_init(&o);
    o.n_rows = n_rows;
    o.dim = b->o->dim;
    o.n_classes = b->o->n_classes;
    o.dtype = arithmetic == LGT_ARITHMETIC_F64 ? LGT_F64 : LGT_F32;
    o.precision = precisions[arithmetic];
    o.workspace = INT64_MAX; /* no logit is made twice: three products */
    o.repeat = b->o->repeat;
    o.seed = b->o->seed;
    lgt_status status = lgt_bench_head_run(b->context, &b->loss, &o, &result, err);
    if (!status) *out = result.seconds_min; /* neighbours only add to it */
    return status;
}

/* A time is fixed + rows * row_seconds. */
static lgt_status measure_head(machine_bench *b, lgt_arithmetic arithmetic, lgt_error *err) {
    double few = (double)b->o->few_rows, many = (double)b->o->many_rows, t_few = 0, t_many = 0;
    double entries = (double)b->o->n_classes * (double)b->o->dim, threads = b->machine->threads;
    lgt_status status = head_seconds(b, arithmetic, b->o->few_rows, &t_few, err);
    if (!status) status = head_seconds(b, arithmetic, b->o->many_rows, &t_many, err);
    if (status) return status;
    double row = fmin(fmax((t_many - t_few) / (many - few), least_share * t_many / many), t_many / many);
    double fixed = fmax(t_few - few * row, least_share * t_few);
    double element = arithmetic == LGT_ARITHMETIC_F64 ? 8 : 4;
    b->machine->gflops[arithmetic] = 6 * entries / row * 1e-9 / threads;
    b->machine->class_bandwidth[arithmetic] = 3 * element * entries / fixed / threads;
    if (arithmetic == LGT_ARITHMETIC_F32) b->row_seconds = row;
    return LGT_OK;
}

/* --- Steps --- */

/* What is left of a step in float32 when its rows and its reading of W are taken off. */
static lgt_status measure_step(machine_bench *b, lgt_descent_kind descent, lgt_error *err) {
    lgt_bench_step_options o;
    lgt_bench_step_result result;
    double bytes = 4 * (double)b->o->n_classes * (double)b->o->dim, threads = b->machine->threads;
    double arrays = descent == LGT_DESCENT_ADAMW ? 3 : 2; /* W and moments, each read and written */
    lgt_bench_step_options_init(&o);
    o.n_rows = b->o->few_rows;
    o.dim = b->o->dim;
    o.n_classes = b->o->n_classes;
    o.optimizer = descent == LGT_DESCENT_ADAMW ? LGT_OPTIMIZER_ADAMW : LGT_OPTIMIZER_SGD;
    o.repeat = b->o->repeat;
    o.seed = b->o->seed;
    lgt_status status = lgt_bench_step_run(b->context, &b->loss, &o, &result, err);
    if (status) return status;
    double head = (double)o.n_rows * b->row_seconds;
    head += 2 * bytes / b->machine->class_bandwidth[LGT_ARITHMETIC_F32] / threads;
    double update = fmax(result.seconds_min - head, least_share * result.seconds_min);
    b->machine->update_bandwidth[descent] = 2 * arrays * bytes / update / threads;
    return LGT_OK;
}

/* --- The stream --- */

typedef struct stream {
    float *x, *y;
    int64_t count;
} stream;

static void stream_chunk(void *argument, int64_t index, int worker) {
    const stream *s = argument;
    int64_t end = lgt_min64(s->count, (index + 1) * STREAM_CHUNK);
    (void)worker;
    for (int64_t i = index * STREAM_CHUNK; i < end; i++) s->y[i] = 0.5F * s->y[i] + s->x[i];
}

static lgt_status run_stream(machine_bench *b, stream *s, double *seconds, lgt_error *err) {
    lgt_status status = LGT_NEW(b->context, &s->x, s->count, err);
    if (!status) status = LGT_NEW(b->context, &s->y, s->count, err);
    if (status) return status;
    lgt_bench_fill(b->context, s->x, s->count, LGT_F32, 1, b->o->seed, 0);
    lgt_bench_fill(b->context, s->y, s->count, LGT_F32, 1, b->o->seed, 1);
    for (int r = 0; r < b->o->repeat; r++) {
        double start = lgt_clock_now();
        lgt_parallel_for(b->context, lgt_ceil_div(s->count, STREAM_CHUNK), stream_chunk, s);
        seconds[r] = lgt_clock_now() - start;
    }
    return lgt_bench_finite(b->context, s->y, s->count, LGT_F32)
               ? LGT_OK
               : lgt_fail(err, LGT_ERR_NONFINITE, "the stream is not finite");
}

static lgt_status measure_stream(machine_bench *b, lgt_error *err) {
    stream s = {.count = b->o->stream_bytes / 8};
    double *seconds = NULL;
    lgt_status status = LGT_NEW(b->context, &seconds, b->o->repeat, err);
    if (!status) status = run_stream(b, &s, seconds, err);
    if (!status) {
        lgt_bench_median(seconds, b->o->repeat); /* and sorts them */
        double least = fmax(seconds[0], 1e-9);
        b->machine->stream_bandwidth = 12 * (double)s.count / least / b->machine->threads;
        b->machine->update_bandwidth[LGT_DESCENT_NONE] = b->machine->stream_bandwidth;
    }
    lgt_release(b->context, s.y);
    lgt_release(b->context, s.x);
    lgt_release(b->context, seconds);
    return status;
}

/* --- All of it --- */

static lgt_status check(const lgt_bench_machine_options *o, lgt_error *err) {
    if (o->struct_size != sizeof *o)
        return lgt_fail(err, LGT_ERR_USAGE,
                        "lgt_bench_machine_options has struct_size %zu, expected %zu: call its _init", o->struct_size,
                        sizeof *o);
    if (o->few_rows < 1 || o->many_rows <= o->few_rows)
        return lgt_fail(err, LGT_ERR_USAGE, "few_rows is %lld and many_rows %lld, expected 1 or more, and more",
                        (long long)o->few_rows, (long long)o->many_rows);
    if (o->stream_bytes < LEAST_STREAM)
        return lgt_fail(err, LGT_ERR_USAGE, "stream_bytes is %lld, expected %d or more", (long long)o->stream_bytes,
                        LEAST_STREAM);
    return LGT_OK;
}

lgt_status lgt_bench_machine_run(lgt_context *context, const lgt_bench_machine_options *options, lgt_machine *out,
                                 lgt_error *err) {
    lgt_machine machine;
    machine_bench b = {.context = context, .o = options, .machine = &machine};
    lgt_status status = check(options, err);
    if (status) return status;
    lgt_machine_init(&machine);
    machine.threads = lgt_context_threads(context);
    status = lgt_loss_parse("arcface", &b.loss, err);
    for (int a = 0; a < LGT_N_ARITHMETICS && !status; a++) status = measure_head(&b, (lgt_arithmetic)a, err);
    if (!status) status = measure_step(&b, LGT_DESCENT_SGD, err);
    if (!status) status = measure_step(&b, LGT_DESCENT_ADAMW, err);
    if (!status) status = measure_stream(&b, err);
    if (status) return status;
    *out = machine;
    return lgt_succeed(err);
}
