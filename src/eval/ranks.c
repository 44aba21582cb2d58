/* Radix sort of scores, and searches among sorted ones. */
#include "eval/ranks.h"

#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "base/sizes.h"

#define DIGIT_BITS  11
#define DIGIT_COUNT (1 << DIGIT_BITS)

/* An unsigned number that orders as the float does (IEEE 754: negative numbers have falling bit patterns). */
static uint32_t key_of(float score) {
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    return bits ^ (bits >> 31 ? UINT32_MAX : UINT32_C(1) << 31);
}

static uint32_t digit_of(float score, int pass) {
    return key_of(score) >> (pass * DIGIT_BITS) & (DIGIT_COUNT - 1);
}

/* counts become the first positions of their kinds */
static void counts_to_positions(int64_t n_kinds, int64_t *counts) {
    int64_t next = 0;
    for (int64_t kind = 0; kind < n_kinds; kind++) {
        int64_t count = counts[kind];
        counts[kind] = next;
        next += count;
    }
}

/* Three passes, from the lowest digit. */
void lgt_ranks_sort(int64_t n, float *scores, float *spare) {
    for (int pass = 0; pass < 3; pass++) {
        const float *from = pass % 2 ? spare : scores;
        float *to = pass % 2 ? scores : spare;
        int64_t next[DIGIT_COUNT] = {0};
        for (int64_t i = 0; i < n; i++) next[digit_of(from[i], pass)]++;
        counts_to_positions(DIGIT_COUNT, next);
        for (int64_t i = 0; i < n; i++) to[next[digit_of(from[i], pass)]++] = from[i];
    }
}

/* Rises with the score, because subtraction, multiplication and truncation do. */
static int64_t bucket_of(const lgt_ranks *ranks, float score) {
    double bucket = ((double)score - ranks->score[0]) * ranks->scale;
    return bucket <= 0 ? 0 : bucket >= LGT_RANK_BUCKETS ? LGT_RANK_BUCKETS - 1 : (int64_t)bucket;
}

void lgt_ranks_init(lgt_ranks *ranks, int64_t n, const float *sorted) {
    double width = (double)sorted[n - 1] - sorted[0];
    int64_t largest = 0;
    ranks->n = n;
    ranks->score = sorted;
    ranks->scale = width > 0 ? LGT_RANK_BUCKETS / width : 0;
    ranks->step = 1;
    memset(ranks->start, 0, sizeof ranks->start);
    for (int64_t i = 0; i < n; i++) ranks->start[bucket_of(ranks, sorted[i])]++;
    for (int64_t b = 0; b < LGT_RANK_BUCKETS; b++) largest = lgt_max64(largest, ranks->start[b]);
    counts_to_positions(LGT_RANK_BUCKETS + 1, ranks->start);
    while (2 * ranks->step - 1 < largest) ranks->step *= 2;
}

/* How many of the n scores are < s, or <= s when `tied`: all before `from`, at or after the start of the bucket of s,
 * and some of that bucket, which holds every score equal to s. The same steps for every s and no branch on a score: the
 * processor guesses nothing wrong and works on several searches at once. */
LGT_INLINE int64_t search(const lgt_ranks *ranks, int64_t from, float s, int tied) {
    const float *score = ranks->score;
    int64_t last = ranks->n - 1;
    for (int64_t step = ranks->step; step > 0; step /= 2) {
        float probe = score[lgt_min64(from + step - 1, last)];
        from += (tied ? probe <= s : probe < s) ? step : 0;
    }
    return lgt_min64(from, ranks->n); /* steps beyond the end have met the last score again */
}

static int64_t count_below(const lgt_ranks *ranks, float s) {
    return search(ranks, ranks->start[bucket_of(ranks, s)], s, 0);
}

static int64_t count_up_to(const lgt_ranks *ranks, float s, int64_t below) {
    int tied = below < ranks->n && ranks->score[below] == s;
    return tied ? search(ranks, below, s, 1) : below;
}

/* Regions of buckets: few enough to scatter scores into all at once, small enough to stay close to the core. */
#define N_REGIONS 2048

static int64_t region_of(const lgt_ranks *ranks, float score) {
    return bucket_of(ranks, score) / (LGT_RANK_BUCKETS / N_REGIONS);
}

void lgt_ranks_places(const lgt_ranks *ranks, int64_t count, const float *scores, float *spare, int64_t *places) {
    int64_t next[N_REGIONS] = {0};
    for (int64_t i = 0; i < count; i++) next[region_of(ranks, scores[i])]++;
    counts_to_positions(N_REGIONS, next);
    for (int64_t i = 0; i < count; i++) spare[next[region_of(ranks, scores[i])]++] = scores[i];
    for (int64_t i = 0; i < count; i++) {
        int64_t below = count_below(ranks, spare[i]);
        places[i] = below + count_up_to(ranks, spare[i], below);
    }
}

/* Position place / 2 lies in the only run of equal scores whose place can be `place`; runs before it have lower places,
 * runs after it higher ones. */
int64_t lgt_ranks_at_least(const lgt_ranks *ranks, int64_t place) {
    int64_t middle = place / 2;
    if (middle >= ranks->n) return 0;
    int64_t below = count_below(ranks, ranks->score[middle]), up_to = count_up_to(ranks, ranks->score[middle], below);
    return ranks->n - (below + up_to >= place ? below : up_to);
}

/* place >= first makes |{g <= s}| >= first / 2; place < last makes |{g < s}| <= (last - 1) / 2. */
void lgt_ranks_bounds(const lgt_ranks *ranks, int64_t first, int64_t last, float *low, float *high) {
    int64_t below = (first + 1) / 2, above = (last - 1) / 2;
    *low = below > 0 ? ranks->score[lgt_min64(below, ranks->n) - 1] : -INFINITY;
    *high = above < ranks->n ? ranks->score[above] : INFINITY;
}
