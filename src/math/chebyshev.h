/* cos(m theta) and its slope as polynomials in c = cos(theta): no division, no 0 * infinity (Eq. 12). */
#ifndef LGT_MATH_CHEBYSHEV_H
#define LGT_MATH_CHEBYSHEV_H

/* T_m(c) = cos(m theta) and U_{m-1}(c) = sin(m theta) / sin(theta), m >= 1, by the three-term recurrences; O(m). */
void lgt_chebyshev(int m, double c, double *t, double *u);

#endif
