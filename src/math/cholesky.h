/* Cholesky's factorisation of dense symmetric matrices, and solving with it. */
#ifndef LGT_MATH_CHOLESKY_H
#define LGT_MATH_CHOLESKY_H

#include "logitude/context.h"

#include <stdint.h>

/* a (n, n), its lower triangle: replaced by L with A = L L^T; what is above the diagonal is neither read nor written.
 * Returns 1, or 0 where a pivot is not positive (A is not positive definite to rounding; a is then spoilt). n^3/3
 * flops; the same bits for any number of threads. */
int lgt_cholesky(lgt_context *context, double *a, int64_t n);

/* x = A^-1 x by L. 2 n^2 flops. */
void lgt_cholesky_solve(const double *l, int64_t n, double *x);

#endif
