/* Whether numbers are small enough: on the bits, as integers, which loops of any width can take. Without their signs
 * floats are ordered like them, and NaN and infinity come last. */
#include "math/magnitude.h"

#include <string.h>

#include "base/compiler.h"

LGT_WIDENED static int all_below_f32(const float *v, int64_t n, int32_t limit) {
    int outside = 0;
    for (int64_t k = 0; k < n; k++) {
        int32_t bits;
        memcpy(&bits, &v[k], sizeof bits);
        outside |= (bits & INT32_MAX) >= limit;
    }
    return !outside;
}

LGT_WIDENED static int all_below_f64(const double *v, int64_t n, int64_t limit) {
    int outside = 0;
    for (int64_t k = 0; k < n; k++) {
        int64_t bits;
        memcpy(&bits, &v[k], sizeof bits);
        outside |= (bits & INT64_MAX) >= limit;
    }
    return !outside;
}

int lgt_all_below_f32(const float *v, int64_t n, float limit) {
    int32_t bits;
    memcpy(&bits, &limit, sizeof bits);
    return all_below_f32(v, n, bits);
}

int lgt_all_below_f64(const double *v, int64_t n, double limit) {
    int64_t bits;
    memcpy(&bits, &limit, sizeof bits);
    return all_below_f64(v, n, bits);
}
