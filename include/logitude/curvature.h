/* Curvature: spectral norms, the spectrum of the softmax, extremal eigenvalues of a head's Hessian, and derivatives
 * along a direction (docs/analysis.md). */
#ifndef LOGITUDE_CURVATURE_H
#define LOGITUDE_CURVATURE_H

#include "head.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The largest singular value of w (C, D), float32 or float64, and a proven upper bound of it: a Cholesky factorisation
 * of mu I - G, G the Gram matrix of the smaller side, that runs to its end shows |G| <= mu, and every rounding on the
 * way is added (Eq. 120 to 122). The bound is about 1e-10 above the value, and for small sides k of some thousands
 * about k^2 1e-17. directions: rows are divided by their lengths first (a zero row stays zero). centred: the mean of
 * the rows (of the directions) is then taken out. A matrix of zeros, and one without rows or columns, gives 0 and 0.
 * Time 2 C D k + k^3/3, memory 2 k^2 + max(k, min(n, 256)) k doubles, n the larger side. The same bits for any number
 * of threads. Errors: USAGE (type, layout), DATA (NaN or infinity, naming the row), NONFINITE (the norm exceeds
 * double), MEMORY. */
LGT_API lgt_status lgt_spectral_norm(lgt_context *context, lgt_view w, int centred, int directions, double *norm,
                                     double *upper, lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
