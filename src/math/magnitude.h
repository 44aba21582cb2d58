/* Whether numbers are small enough. */
#ifndef LGT_MATH_MAGNITUDE_H
#define LGT_MATH_MAGNITUDE_H

#include <stdint.h>

/* Whether |v| < limit for all n numbers, limit > 0; NaN is below nothing. With INFINITY: whether all are finite. */
int lgt_all_below_f32(const float *v, int64_t n, float limit);
int lgt_all_below_f64(const double *v, int64_t n, double limit);

#endif
