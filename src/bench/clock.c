/* The monotonic clock, and medians. */
#include "bench/clock.h"

#include <stdlib.h>
#include <time.h>

double lgt_bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double lgt_bench_median(double *of, int64_t n) {
    qsort(of, (size_t)n, sizeof *of, by_size);
    return n % 2 ? of[n / 2] : (of[n / 2 - 1] + of[n / 2]) / 2;
}
