/* Sorted scores with an index of equal-width buckets, so that a search looks at a few neighbours only. */
#include "eval/ranks.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/sizes.h"

/* At most this many buckets: 8 MiB of index, about what a core keeps close. */
#define MOST_BUCKETS ((int64_t)1 << 20)

/* An unsigned number that orders as the float does (IEEE 754: negative numbers have falling bit patterns). */
static uint32_t key_of(float score) {
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    return bits ^ (bits >> 31 ? UINT32_MAX : UINT32_C(1) << 31);
}

/* Radix sort by four digits of eight bits, from the lowest; the even number of passes ends in `scores`. */
static void sort_scores(int64_t n, float *scores, float *spare) {
    float *from = scores, *to = spare;
    for (int shift = 0; shift < 32; shift += 8) {
        int64_t next[257] = {0};
        for (int64_t i = 0; i < n; i++) next[(key_of(from[i]) >> shift & 255) + 1]++;
        for (int digit = 0; digit < 256; digit++) next[digit + 1] += next[digit];
        for (int64_t i = 0; i < n; i++) to[next[key_of(from[i]) >> shift & 255]++] = from[i];
        float *other = from;
        from = to;
        to = other;
    }
}

/* Monotone in the score, because subtraction, multiplication and truncation are. */
static int64_t bucket_of(const lgt_ranks *ranks, float score) {
    return lgt_min64((int64_t)(((double)score - ranks->score[0]) * ranks->scale), ranks->n_buckets - 1);
}

static void fill_index(lgt_ranks *ranks) {
    int64_t bucket = 0;
    for (int64_t i = 0; i < ranks->n; i++)
        for (int64_t own = bucket_of(ranks, ranks->score[i]); bucket <= own; bucket++) ranks->start[bucket] = i;
    for (; bucket <= ranks->n_buckets; bucket++) ranks->start[bucket] = ranks->n;
}

lgt_status lgt_ranks_create(lgt_context *context, int64_t n, float *scores, lgt_ranks *out, lgt_error *err) {
    float *spare = NULL;
    *out = (lgt_ranks){.n = n, .score = scores, .n_buckets = lgt_min64(n, MOST_BUCKETS)};
    lgt_status status = LGT_NEW(context, &spare, n, err);
    if (!status) sort_scores(n, scores, spare);
    lgt_release(context, spare);
    if (!status) status = LGT_NEW(context, &out->start, out->n_buckets + 1, err);
    if (status) {
        lgt_ranks_free(context, out);
        return status;
    }
    double width = (double)scores[n - 1] - scores[0];
    out->scale = width > 0 ? (double)out->n_buckets / width : 0;
    fill_index(out);
    return LGT_OK;
}

void lgt_ranks_free(lgt_context *context, lgt_ranks *ranks) {
    lgt_release(context, ranks->start);
    lgt_release(context, ranks->score);
    *ranks = (lgt_ranks){0};
}

/* The first position in [first, last) whose score is >= s, or > s when `above`; `last` when there is none. */
static int64_t search(const float *score, int64_t first, int64_t last, float s, int above) {
    while (first < last) {
        int64_t middle = first + (last - first) / 2;
        if (score[middle] < s || (above && score[middle] == s))
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

int64_t lgt_ranks_place(const lgt_ranks *ranks, float score) {
    int64_t n = ranks->n;
    if (score < ranks->score[0]) return 0;
    if (score > ranks->score[n - 1]) return 2 * n;
    int64_t bucket = bucket_of(ranks, score), last = ranks->start[bucket + 1];
    int64_t lower = search(ranks->score, ranks->start[bucket], last, score, 0);
    int64_t upper =
        lower < last && ranks->score[lower] == score ? search(ranks->score, lower + 1, last, score, 1) : lower;
    return lower + upper;
}

/* Position place / 2 lies in the only run of equal scores whose place can be `place`; runs before it have lower places,
 * runs after it higher ones. */
int64_t lgt_ranks_at_least(const lgt_ranks *ranks, int64_t place) {
    int64_t n = ranks->n, middle = place / 2;
    if (middle >= n) return 0;
    float score = ranks->score[middle];
    int64_t lower = search(ranks->score, 0, middle, score, 0), upper = search(ranks->score, middle, n, score, 1);
    return n - (lower + upper >= place ? lower : upper);
}

/* place >= first makes |{g <= s}| >= first / 2; place < last makes |{g < s}| <= (last - 1) / 2. */
void lgt_ranks_bounds(const lgt_ranks *ranks, int64_t first, int64_t last, float *low, float *high) {
    int64_t below = (first + 1) / 2, above = (last - 1) / 2;
    *low = below > 0 ? ranks->score[lgt_min64(below, ranks->n) - 1] : -INFINITY;
    *high = above < ranks->n ? ranks->score[above] : INFINITY;
}
