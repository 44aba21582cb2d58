/* Philox 4x32-10 and the distributions drawn from it. */
#include "base/philox.h"

#include <math.h>

static const double two_pi = 6.283185307179586;

void lgt_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u; /* the Weyl sequence of the golden ratio */
        k1 += 0xBB67AE85u; /* and of sqrt(3) - 1 */
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

static void block(const lgt_rng *rng, uint64_t i, uint64_t out[2]) {
    uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), (uint32_t)rng->stream, (uint32_t)(rng->stream >> 32)};
    uint32_t key[2] = {(uint32_t)rng->seed, (uint32_t)(rng->seed >> 32)}, words[4];
    lgt_philox4x32(counter, key, words);
    out[0] = (uint64_t)words[1] << 32 | words[0];
    out[1] = (uint64_t)words[3] << 32 | words[2];
}

static double unit(uint64_t bits) {
    return (double)(bits >> 11) * 0x1p-53;
}

uint64_t lgt_rng_bits(const lgt_rng *rng, uint64_t i) {
    uint64_t words[2];
    block(rng, i, words);
    return words[0];
}

double lgt_rng_uniform(const lgt_rng *rng, uint64_t i) {
    return unit(lgt_rng_bits(rng, i));
}

double lgt_rng_normal(const lgt_rng *rng, uint64_t i) {
    uint64_t words[2];
    block(rng, i, words);
    return sqrt(-2 * log1p(-unit(words[0]))) * cos(two_pi * unit(words[1]));
}

/* The high 64 bits of a * b, from 32-bit halves: C11 has no 128-bit product. */
static uint64_t high_product(uint64_t a, uint64_t b) {
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
    uint64_t carry = (uint32_t)middle + a0 * b1;
    return a1 * b1 + (middle >> 32) + (carry >> 32);
}

uint64_t lgt_rng_below(const lgt_rng *rng, uint64_t i, uint64_t n) {
    return high_product(lgt_rng_bits(rng, i), n);
}

void lgt_rng_permutation(const lgt_rng *rng, int64_t n, int64_t *order) {
    for (int64_t i = 0; i < n; i++) {
        int64_t j = (int64_t)lgt_rng_below(rng, (uint64_t)i, (uint64_t)i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}
