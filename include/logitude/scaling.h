/* Scaling: what a training of a head over several ranks would take, in memory, time and traffic, by a model of the cost
 * calibrated on a machine (docs/scaling.md, "Planning"; equation numbers S1 to S11 are of that page). Figures are
 * doubles, so that a trillion classes overflow nothing. */
#ifndef LOGITUDE_SCALING_H
#define LOGITUDE_SCALING_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What products are made of: arrays are f64 for F64 and f32 for the others. */
typedef enum lgt_arithmetic {
    LGT_ARITHMETIC_F32 = 0,
    LGT_ARITHMETIC_F64 = 1,
    LGT_ARITHMETIC_BF16X3 = 2,
    LGT_ARITHMETIC_BF16 = 3
} lgt_arithmetic;
#define LGT_N_ARITHMETICS 4

/* What becomes of dw: an array, or steps of W where its rows are made. */
typedef enum lgt_descent_kind { LGT_DESCENT_NONE = 0, LGT_DESCENT_SGD = 1, LGT_DESCENT_ADAMW = 2 } lgt_descent_kind;
#define LGT_N_DESCENTS 3

/* One machine, which one rank has to itself. Rates are of one thread while all `threads` work, and a rank of T threads
 * is taken to have T times as much. */
typedef struct lgt_machine {
    size_t struct_size;
    char name[128];
    int threads;                               /* measured with, and a rank's unless the job says otherwise */
    double memory;                             /* bytes; 0: not known, everything fits */
    double gflops[LGT_N_ARITHMETICS];          /* 10^9 operations a second of products, with all that goes with a row */
    double class_bandwidth[LGT_N_ARITHMETICS]; /* bytes of W and dw a second, in what a class costs however few rows */
    double update_bandwidth[LGT_N_DESCENTS];   /* bytes of W and of the optimizer's memory a second; of NONE not read */
    double stream_bandwidth;                   /* bytes a second of plain loops over arrays beyond the caches */
    double network_bandwidth, network_latency; /* of a rank: bytes a second each way; seconds a message */
} lgt_machine;

/* The figures of a named machine with 2 cores and AVX-512 and AMX, measured as lgt_bench_machine_run does, by the
 * processor time of one thread; and a network of 10 Gb/s and 20 microseconds, which is assumed. */
LGT_API void lgt_machine_init(lgt_machine *machine);

typedef struct lgt_job {
    size_t struct_size;
    int64_t n_classes, dim, batch; /* batch: of all ranks together; default 0 classes, 512, 128 */
    lgt_arithmetic arithmetic;     /* default F32 */
    lgt_descent_kind descent;      /* default ADAMW */
    double sample_rate;            /* in (0, 1]: share of the other classes that a step draws; default 1 */
    int64_t workspace;             /* bytes of a rank's plan; 0 (default): 64 MiB, or what the work needs */
    int64_t in_dim;                /* of the encoder; 0 (default): none, features come as they are */
    int64_t encoder_params;        /* default 0 */
    int64_t encoder_outputs;       /* sum of the widths of all layers, the last included; default 0 */
    int ranks;                     /* 1 (default) to 65,536 */
    int threads;                   /* of a rank; 0 (default): the machine's */
} lgt_job;

LGT_API void lgt_job_init(lgt_job *job);

/* Sets in_dim and what follows of it for an encoder into job->dim: "none", "linear" or "mlp:WIDTH[,WIDTH...]".
 * Errors: USAGE (another specification, in_dim outside 1 to 2^31 - 1). */
LGT_API lgt_status lgt_job_set_encoder(lgt_job *job, const char *spec, int64_t in_dim, lgt_error *err);

/* Memory of the rank that has most, in bytes (S2 to S4). */
typedef struct lgt_memory_cost {
    double weights, optimizer; /* its rows of W; moments, or dw where descent is NONE */
    double workspace;          /* of the head: partial sums, packed features, logits kept, notes on rows of W */
    double batch;              /* features, dx, target rows of W, labels */
    double encoder;            /* parameters, gradient and moments, activations and deltas */
    double total;
} lgt_memory_cost;

/* Bytes that a rank receives in a step (S8): O(N D P) and never O(C); all 0 where it is alone. */
typedef struct lgt_traffic {
    double features; /* the batch's features and labels */
    double targets;  /* the rows of W of the batch's labels */
    double crowds;   /* statistics of each row over each stripe of classes */
    double partials; /* dx of each stripe */
    double encoder;  /* activations and deltas of all layers, and parameters */
    double total;
} lgt_traffic;

/* What takes the largest part of a step. */
typedef enum lgt_bound { LGT_BOUND_COMPUTE = 0, LGT_BOUND_MEMORY = 1, LGT_BOUND_NETWORK = 2 } lgt_bound;
LGT_API const char *lgt_bound_name(lgt_bound bound); /* "compute", "memory", "network" */

typedef struct lgt_cost {
    int64_t n_stripes; /* that the classes are cut into: 16, or as many as ranks beyond 16 (S1) */
    int64_t n_classes; /* of the rank that has most */
    int threads;       /* of a rank */
    lgt_memory_cost memory;
    int fits; /* into machine->memory */
    lgt_traffic traffic;
    double compute, memory_traffic, network, seconds; /* of a step, one after the other (S5 to S10) */
    lgt_bound binds;
    double steps_per_second, samples_per_second;
    double efficiency; /* seconds of one rank over ranks times these seconds (S11), whether it fits or not */
} lgt_cost;

/* Errors: USAGE (a struct_size; a number of the job or the machine that is out of range, by name). */
LGT_API lgt_status lgt_cost_of(const lgt_job *job, const lgt_machine *machine, lgt_cost *out, lgt_error *err);

typedef struct lgt_rank_layout {
    int ranks, threads;
    double sample_rate;
    int fits;       /* 0: not within job->ranks; the layout is then that of job->ranks */
    int64_t needed; /* ranks of which each fits; 0: none up to 65,536, since a rank alone needs more for the batch */
    lgt_cost cost;  /* of this layout */
    double exact;   /* seconds of a step of this layout that draws as job->sample_rate says */
} lgt_rank_layout;

/* The fastest layout of at most job->ranks ranks that fits, with the fewest ranks among those that are equally fast
 * within 1 %. Classes are drawn as the job says; where it says all of them, a tenth of them is proposed if that makes
 * the step at least twice as fast. Errors: as lgt_cost_of. */
LGT_API lgt_status lgt_rank_layout_suggest(const lgt_job *job, const lgt_machine *machine, lgt_rank_layout *out,
                                           lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
