/* Seconds of a clock that never goes back, from a start of its own: for differences. */
#ifndef LGT_BASE_CLOCK_H
#define LGT_BASE_CLOCK_H

#include <time.h>

static inline double lgt_clock_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
