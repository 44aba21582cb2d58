/* Bench: the speed of a head on random data, beside what the processor can do at the same time; and of its training;
 * and what of it a plan for larger ones takes (scaling.h). */
#ifndef LOGITUDE_BENCH_H
#define LOGITUDE_BENCH_H

#include "head.h"
#include "scaling.h"
#include "train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The roof of a head: multiply-adds on registers (tile products where `precision` has them), independent, on all
 * threads of the context, for about `seconds`; no memory is touched. *gflops counts a product's operations, two a
 * multiply-add; where BF16X3 takes three products, a third of those executed. Errors: USAGE (seconds not in (0, 3600],
 * a type other than F32 and F64, F64 with a precision other than FULL). */
LGT_API lgt_status lgt_bench_roof(lgt_context *context, lgt_dtype dtype, lgt_precision precision, double seconds,
                                  double *gflops, lgt_error *err);

typedef struct lgt_bench_head_options {
    size_t struct_size;
    int64_t n_rows, dim, n_classes; /* default 256, 512, 10,000 */
    lgt_dtype dtype;                /* LGT_F32 (default) or LGT_F64 */
    lgt_precision precision;
    int loss_only;     /* 1: the loss alone */
    int64_t workspace; /* of the plan; default 0 */
    int repeat;        /* timed runs, 1 to 1,000,000; default 10 */
    uint64_t seed;
} lgt_bench_head_options;

LGT_API void lgt_bench_head_options_init(lgt_bench_head_options *options);

typedef struct lgt_bench_head_result {
    double seconds, seconds_min; /* of a run: median and least */
    double gflops;               /* useful: 6 N C D operations (the loss alone: 2 N C D) over `seconds` */
    double roof_gflops;          /* lgt_bench_roof, measured between the runs: median */
    double roof_gflops_max;
    int64_t extra_bytes; /* lgt_plan_bytes: what the head takes beside x, w, dx and dw */
    double loss;
} lgt_bench_head_result;

/* Times lgt_plan_run: the roof and runs that take 50 ms together, three at least, alternate, after one of each that
 * does not count. Entries of x and w are uniform in (-1, 1) and (-1, 1) / sqrt(dim) and never zero, labels uniform.
 * Outputs are filled with NaN when the roof was measured and must be finite before it is again. C counts sub-centres.
 * Errors: as lgt_bench_roof and lgt_plan_create; USAGE (repeat), MEMORY, NONFINITE (an output that was not written). */
LGT_API lgt_status lgt_bench_head_run(lgt_context *context, const lgt_loss *loss, const lgt_bench_head_options *options,
                                      lgt_bench_head_result *out, lgt_error *err);

typedef struct lgt_bench_step_options {
    size_t struct_size;
    int64_t n_rows, dim, n_classes; /* default 128, 512, 10,000 */
    lgt_precision precision;        /* of the head's products */
    lgt_optimizer optimizer;        /* default SGD, with momentum 0.9 */
    int64_t workspace;              /* of the head's plan; default 0 */
    double sample_rate;             /* in (0, 1]; default 1: every class in every step */
    int repeat;                     /* timed steps, 1 to 1,000,000; default 10 */
    uint64_t seed;
} lgt_bench_step_options;

LGT_API void lgt_bench_step_options_init(lgt_bench_step_options *options);

typedef struct lgt_bench_step_result {
    double seconds, seconds_min; /* of a step: median and least */
    double loss_first, loss_last;
} lgt_bench_step_result;

/* Times lgt_trainer_step of a head alone, in float32, after one step that does not count: batches of random features
 * and labels as lgt_bench_head_run draws them, at most 64 different ones. Errors: as lgt_trainer_create and
 * lgt_trainer_step; USAGE (repeat, sizes), MEMORY. */
LGT_API lgt_status lgt_bench_step_run(lgt_context *context, const lgt_loss *loss, const lgt_bench_step_options *options,
                                      lgt_bench_step_result *out, lgt_error *err);

typedef struct lgt_bench_machine_options {
    size_t struct_size;
    int64_t dim, n_classes;      /* default 512, 65,536: weights beyond most caches */
    int64_t few_rows, many_rows; /* default 64, 256 */
    int64_t stream_bytes;        /* of the two arrays of the stream; default 256 MiB */
    int repeat;                  /* timed runs of each, 1 to 1,000,000; default 5 */
    uint64_t seed;
} lgt_bench_machine_options;

LGT_API void lgt_bench_machine_options_init(lgt_bench_machine_options *options);

/* Calibrates the model of scaling.h on this machine in about ten seconds, with all threads of the context: heads of
 * ArcFace with few and with many rows, in every arithmetic, logits never kept; steps of SGD and of AdamW; a stream of
 * y = y/2 + x; the least times count. Sets threads, gflops and the bandwidths of what is measured (Eq. S12 of
 * docs/scaling.md); name, memory and network become those of lgt_machine_init. Errors: as lgt_bench_head_run and
 * lgt_bench_step_run; USAGE (few_rows not below many_rows, stream_bytes below 64). */
LGT_API lgt_status lgt_bench_machine_run(lgt_context *context, const lgt_bench_machine_options *options,
                                         lgt_machine *out, lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
