/* cos(m theta) as a polynomial in c = cos(theta): no division, no 0 * infinity (Eq. 12). */
#ifndef LGT_MATH_CHEBYSHEV_H
#define LGT_MATH_CHEBYSHEV_H

#include "math/fold.h"

/* T_m(c) = cos(m theta) and U_{m-1}(c) = sin(m theta) / sin(theta), m >= 1, by the three-term recurrences; O(m). */
void lgt_chebyshev(int m, double c, double *t, double *u);

/* Psi_m(theta) = (-1)^k cos(m theta) - 2k, k = floor(m theta / pi) at most m - 1, with its derivatives by theta: the
 * folded cosine of a multiple, exact at m = 1, where Psi_1 = c to the bit. */
lgt_fold lgt_psi(int m, double theta, double c, double sine);

#endif
