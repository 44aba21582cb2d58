/* The roof: rounds of multiply-adds on registers, spread over the threads as a head's work is. */
#include <math.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/parallel.h"
#include "kernel/kernels.h"
#include "logitude/bench.h"

/* The first round takes about a tenth of a millisecond; then they double, so that starting the threads is no part. */
enum { FIRST_TURNS = 10000, TASKS_A_THREAD = 4 };

typedef struct round_of_peak {
    const lgt_kernels_f32 *f32;
    const lgt_kernels_f64 *f64; /* NULL: f32 */
    int64_t turns;
    double work; /* operations of one task, as task 0 tells */
} round_of_peak;

static void run_task(void *argument, int64_t index, int worker) {
    round_of_peak *round = argument;
    double f64 = 0, work;
    float f32 = 0;
    (void)worker;
    work = round->f64 ? round->f64->peak(round->turns, &f64) : round->f32->peak(round->turns, &f32);
    if (index == 0) round->work = work;
}

static lgt_status check(lgt_dtype dtype, lgt_precision precision, double seconds, lgt_error *err) {
    if (!(seconds > 0 && seconds <= 3600))
        return lgt_fail(err, LGT_ERR_USAGE, "seconds is %g, expected more than 0 and at most 3600", seconds);
    if (dtype != LGT_F32 && dtype != LGT_F64)
        return lgt_fail(err, LGT_ERR_USAGE, "dtype is %s, expected f32 or f64", lgt_dtype_name(dtype));
    if ((unsigned)precision > LGT_PRECISION_BF16 || (dtype == LGT_F64 && precision != LGT_PRECISION_FULL))
        return lgt_fail(err, LGT_ERR_USAGE, "precision is %d for %s, expected %s", (int)precision,
                        lgt_dtype_name(dtype), dtype == LGT_F64 ? "0" : "0 to 2");
    return LGT_OK;
}

lgt_status lgt_bench_roof(lgt_context *context, lgt_dtype dtype, lgt_precision precision, double seconds,
                          double *gflops, lgt_error *err) {
    lgt_status status = check(dtype, precision, seconds, err);
    if (status) return status;
    lgt_isa isa = lgt_context_isa(context);
    round_of_peak round = {lgt_kernels_f32_of(isa, precision), dtype == LGT_F64 ? lgt_kernels_f64_of(isa) : NULL,
                           FIRST_TURNS, 0};
    int64_t n_tasks = (int64_t)TASKS_A_THREAD * lgt_context_threads(context);
    double work = 0, elapsed = 0, start = lgt_clock_now();
    for (; elapsed < seconds; round.turns *= elapsed < seconds / 4 ? 2 : 1) {
        lgt_parallel_for(context, n_tasks, run_task, &round);
        work += round.work * (double)n_tasks;
        elapsed = lgt_clock_now() - start;
    }
    *gflops = work / elapsed * 1e-9;
    return lgt_succeed(err);
}
