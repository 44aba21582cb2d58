/* The arrays of a measurement: random numbers in, and outputs that must be written. */
#ifndef LGT_BENCH_MATTER_H
#define LGT_BENCH_MATTER_H

#include <stdint.h>

#include "logitude/context.h"
#include "logitude/types.h"

/* Numbers uniform in (-scale, scale), none zero, from Philox: on all threads, the same for any number of them. */
void lgt_bench_fill(lgt_context *context, void *array, int64_t count, lgt_dtype dtype, double scale, uint64_t seed,
                    uint64_t stream);

/* labels[i] uniform in [0, n_classes). */
void lgt_bench_labels(int64_t *labels, int64_t count, int64_t n_classes, uint64_t seed, uint64_t stream);

/* Every entry NaN. */
void lgt_bench_poison(lgt_context *context, void *array, int64_t count, lgt_dtype dtype);

/* Whether every entry is finite. */
int lgt_bench_finite(lgt_context *context, const void *array, int64_t count, lgt_dtype dtype);

#endif
