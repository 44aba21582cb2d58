/* Eigenvalues and eigenvectors of small dense symmetric matrices. */
#ifndef LGT_MATH_SYMMETRIC_H
#define LGT_MATH_SYMMETRIC_H

#include <stdint.h>

/* a (n, n) with row stride n, destroyed: values (n) by falling value, the rows of vectors (n, n) their unit vectors.
 * Cyclic Jacobi: O(n^3) some eight times, orthogonal to rounding. */
void lgt_symmetric_eigen(double *a, int64_t n, double *values, double *vectors);

#endif
