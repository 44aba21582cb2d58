/* Sorted scores, and where other scores fall among them. */
#ifndef LGT_EVAL_RANKS_H
#define LGT_EVAL_RANKS_H

#include <stdint.h>

/* Buckets of equal width between the first and the last score. */
#define LGT_RANK_BUCKETS 65536

/* n >= 1 scores in rising order and an index of 512 KiB. The place of a score s among them is |{g < s}| + |{g <= s}|: 0
 * below all, 2n above all. It grows with s, and every gap and every tied value has a place of its own. */
typedef struct lgt_ranks {
    int64_t n;
    const float *score;                  /* the caller's */
    double scale;                        /* buckets per score */
    int64_t start[LGT_RANK_BUCKETS + 1]; /* the first score of a bucket or above */
    int64_t step;                        /* the power of two with which a search of the largest bucket begins */
} lgt_ranks;

/* Sorts n finite scores in linear time. The result is the spare array of the same size, the scores are overwritten. */
void lgt_ranks_sort(int64_t n, float *scores, float *spare);

void lgt_ranks_init(lgt_ranks *ranks, int64_t n, const float *sorted);

/* places[i] = the place of one of the `count` scores, each once, in some order that depends on the scores alone; spare
 * holds `count` scores. Scores of one bucket are searched together: single searches in a long list would wait for
 * memory at every step. */
void lgt_ranks_places(const lgt_ranks *ranks, int64_t count, const float *scores, float *spare, int64_t *places);

/* How many of the n scores have themselves a place >= place. */
int64_t lgt_ranks_at_least(const lgt_ranks *ranks, int64_t place);

/* low <= s <= high for every s with first <= place(s) < last; infinite where nothing bounds it. */
void lgt_ranks_bounds(const lgt_ranks *ranks, int64_t first, int64_t last, float *low, float *high);

#endif
