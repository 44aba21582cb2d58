/* Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). Number i of a stream is a pure function of (seed, stream, i): nothing depends on threads, shards
 * or the order of use, and nothing has to be saved but the counter. */
#ifndef LGT_BASE_PHILOX_H
#define LGT_BASE_PHILOX_H

#include <stdint.h>

/* The block function: 10 rounds over a 128-bit counter with a 64-bit key. */
void lgt_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

typedef struct lgt_rng {
    uint64_t seed;   /* the user's seed */
    uint64_t stream; /* what the numbers are for: one stream a purpose, so that uses never share numbers */
} lgt_rng;

/* 64 random bits: number i of the stream. */
uint64_t lgt_rng_bits(const lgt_rng *rng, uint64_t i);

/* Uniform in [0, 1), 53 bits. */
double lgt_rng_uniform(const lgt_rng *rng, uint64_t i);

/* Standard normal (Box-Muller on the two halves of block i). */
double lgt_rng_normal(const lgt_rng *rng, uint64_t i);

/* Uniform in [0, n), n >= 1, by the high half of the 128-bit product: its bias is below n / 2^64. */
uint64_t lgt_rng_below(const lgt_rng *rng, uint64_t i, uint64_t n);

/* Fills order[0..n) with a uniformly random permutation (Fisher-Yates). */
void lgt_rng_permutation(const lgt_rng *rng, int64_t n, int64_t *order);

#endif
