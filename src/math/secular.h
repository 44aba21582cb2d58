/* Roots of the secular equation sum_j w_j/(d_j - lambda) = 0, one between any two neighbouring poles (Eq. 123). */
#ifndef LGT_MATH_SECULAR_H
#define LGT_MATH_SECULAR_H

#include <stdint.h>

/* lambda = d[pole] + offset, pole the nearer one: lambda itself cannot tell its distance from a pole that is close. */
typedef struct lgt_root {
    int64_t pole;
    double offset;
} lgt_root;

/* The root between d[i + 1] and d[i]; d falls strictly, all d and w are positive. Poles must lie between 2^-500 and
 * 2^500 or so that no quotient leaves the range of double. O(n), some six times. */
lgt_root lgt_secular_root(const double *d, const double *w, int64_t n, int64_t i);

/* d[j] - lambda, accurate to some units in the last place. */
double lgt_secular_gap(const double *d, int64_t j, lgt_root root);

#endif
