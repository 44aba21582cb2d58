/* Stripes of classes, and the ranks that have them. */
#include "engine/stripes.h"

#include "base/sizes.h"

int64_t lgt_stripes_of(int64_t n_classes) {
    return lgt_min64(LGT_STRIPES, lgt_ceil_div(n_classes, LGT_GRAIN));
}

int64_t lgt_stripe_begin(int64_t n_classes, int64_t index) {
    int64_t grains = lgt_ceil_div(n_classes, LGT_GRAIN);
    return lgt_min64(n_classes, lgt_part_begin(grains, lgt_stripes_of(n_classes), index) * LGT_GRAIN);
}

void lgt_stripes_of_rank(int64_t n_classes, int size, int rank, int64_t *begin, int64_t *end) {
    int64_t stripes = lgt_stripes_of(n_classes);
    *begin = lgt_part_begin(stripes, size, rank);
    *end = lgt_part_begin(stripes, size, rank + 1);
}

void lgt_stripe_offsets(int64_t n_classes, int size, int64_t bytes, int64_t *offsets) {
    for (int r = 0; r <= size; r++) offsets[r] = lgt_part_begin(lgt_stripes_of(n_classes), size, r) * bytes;
}

void lgt_class_offsets(int64_t n_classes, int size, int64_t bytes, int64_t *offsets) {
    for (int r = 0; r <= size; r++)
        offsets[r] = lgt_stripe_begin(n_classes, lgt_part_begin(lgt_stripes_of(n_classes), size, r)) * bytes;
}

int64_t lgt_count_below(const int64_t *classes, int64_t n, int64_t class) {
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (classes[middle] < class)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
