/* What is told of many measurements. */
#ifndef LGT_BENCH_MEDIAN_H
#define LGT_BENCH_MEDIAN_H

#include <stdint.h>

/* The median of n > 0 numbers; sorts them. */
double lgt_bench_median(double *of, int64_t n);

#endif
