/* Stripes: the parts of the classes over which dx and the crowds' sums are added up. A pure function of their number,
 * so that a sum does not depend on which rank has a stripe. */
#ifndef LGT_ENGINE_STRIPES_H
#define LGT_ENGINE_STRIPES_H

#include <stdint.h>

/* Sixteen feed as many threads or ranks, and more would only add partial sums. A stripe has whole grains: of fewer
 * classes products are too short for what each of them reads and writes. */
enum { LGT_STRIPES = 16, LGT_GRAIN = 128 };

int64_t lgt_stripes_of(int64_t n_classes);

/* The first class of stripe `index` in [0, lgt_stripes_of(n_classes)]; of the last one, n_classes. */
int64_t lgt_stripe_begin(int64_t n_classes, int64_t index);

/* The stripes [begin, end) of a rank, nearly equal parts in rising order; ranks beyond their number have none. */
void lgt_stripes_of_rank(int64_t n_classes, int size, int rank, int64_t *begin, int64_t *end);

/* Where each rank's part of an array begins, in bytes, and behind the last one its end: an entry of `bytes` for every
 * stripe, or for every class. offsets (size + 1). */
void lgt_stripe_offsets(int64_t n_classes, int size, int64_t bytes, int64_t *offsets);
void lgt_class_offsets(int64_t n_classes, int size, int64_t bytes, int64_t *offsets);

/* How many of n listed classes, which rise, are below `class`. */
int64_t lgt_count_below(const int64_t *classes, int64_t n, int64_t class);

#endif
