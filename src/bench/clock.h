/* Seconds for measurements, and what is told of many. */
#ifndef LGT_BENCH_CLOCK_H
#define LGT_BENCH_CLOCK_H

#include <stdint.h>

double lgt_bench_now(void);

/* The median of n > 0 numbers; sorts them. */
double lgt_bench_median(double *of, int64_t n);

#endif
