/* Products and sums of sizes that cannot wrap. All return 1 on success and 0 when the result does not fit. */
#ifndef LGT_BASE_SIZES_H
#define LGT_BASE_SIZES_H

#include <stddef.h>
#include <stdint.h>

static inline int lgt_size_mul(size_t a, size_t b, size_t *out) {
    if (a != 0 && b > SIZE_MAX / a) return 0;
    *out = a * b;
    return 1;
}

static inline int lgt_size_add(size_t a, size_t b, size_t *out) {
    if (b > SIZE_MAX - a) return 0;
    *out = a + b;
    return 1;
}

/* For counts and offsets in elements: both factors must be >= 0. */
static inline int lgt_count_mul(int64_t a, int64_t b, int64_t *out) {
    if (a < 0 || b < 0 || (a != 0 && b > INT64_MAX / a)) return 0;
    *out = a * b;
    return 1;
}

static inline int64_t lgt_min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static inline int64_t lgt_max64(int64_t a, int64_t b) {
    return a > b ? a : b;
}
/* a / b rounded up, and a rounded up to a multiple, a >= 0, b > 0; the multiple must fit. */
static inline int64_t lgt_ceil_div(int64_t a, int64_t b) {
    return a / b + (a % b > 0);
}
static inline int64_t lgt_round_up(int64_t a, int64_t multiple) {
    return lgt_ceil_div(a, multiple) * multiple;
}
/* Where part `index` of `parts` nearly equal parts of [0, count) begins, the longer ones first; index == parts: count.
 */
static inline int64_t lgt_part_begin(int64_t count, int64_t parts, int64_t index) {
    return index * (count / parts) + lgt_min64(index, count % parts);
}

#endif
