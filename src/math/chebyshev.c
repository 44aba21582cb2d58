/* Chebyshev polynomials of the first and second kind: T_{n+1} = 2 c T_n - T_{n-1}, and the same for U (Eq. 12). */
#include "math/chebyshev.h"

#include <math.h>

#include "math/sphere.h"

void lgt_chebyshev(int m, double c, double *t, double *u) {
    double t_last = 1, t_now = c, u_last = 0, u_now = 1;
    for (int n = 1; n < m; n++) {
        double t_next = 2 * c * t_now - t_last, u_next = 2 * c * u_now - u_last;
        t_last = t_now, t_now = t_next;
        u_last = u_now, u_now = u_next;
    }
    *t = t_now;
    *u = u_now;
}

lgt_fold lgt_psi(int m, double theta, double c, double sine) {
    double t, u, k = fmin(floor(m * theta / LGT_PI), m - 1), sign = fmod(k, 2) == 0 ? 1 : -1;
    lgt_chebyshev(m, c, &t, &u);
    return (lgt_fold){sign * t - 2 * k, -sign * m * u * sine, -sign * m * m * t};
}
