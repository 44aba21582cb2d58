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
 * way is added (Eq. 120 to 122). With k = min(C, D) and n = max(C, D) the bound is about 1e-10 + k^2 1e-16 of the value
 * above it, and up to n 5e-17 (|w|_F / norm)^2 of the value more, which only long matrices notice. directions: rows are
 * divided by their lengths first (a zero row stays zero). centred: the mean of the rows (of the directions) is then
 * taken out. A matrix of zeros, and one without rows or columns, gives 0 and 0. Time C D k + k^3/3, memory 2 k^2 + 256
 * k doubles, with C < D 2 C^2 + C D. The same bits for any number of threads. Errors: USAGE (type, layout), DATA (NaN
 * or infinity, naming the row), NONFINITE (the norm exceeds double), MEMORY. */
LGT_API lgt_status lgt_spectral_norm(lgt_context *context, lgt_view w, int centred, int directions, double *norm,
                                     double *upper, lgt_error *err);

/* --- The softmax at logits z: S = diag(p) - p p^T, its Jacobian and the Hessian of cross entropy (Eq. 70) --- */

/* p (n) = softmax(z), z finite. p may be z. */
LGT_API void lgt_softmax(const double *z, int64_t n, double *p);

/* out = S v, and v^T S v = Var_p(v) (Eq. 72), for p that sum to 1. Both are sums of terms of one sign around the
 * likeliest entry of v: where p is near 1, and the variance near 0, every digit still counts. out may be v. */
LGT_API void lgt_softmax_product(const double *p, const double *v, int64_t n, double *out);
LGT_API double lgt_softmax_variance(const double *p, const double *v, int64_t n);

/* All eigenvalues of S by falling value, and with vectors (n, n) not NULL their unit eigenvectors, one a row, by the
 * secular equation (Eq. 123 to 125). Equal and zero p are set apart exactly; each value is right to rounding of itself,
 * also where p spans 1e-300 to 1. p of any sum, even one beyond double, count as p over their sum. O(n^2) time, O(n)
 * memory. Errors: DATA (p negative, not finite, or zeros alone), MEMORY. */
LGT_API lgt_status lgt_softmax_spectrum(lgt_context *context, const double *p, int64_t n, double *values,
                                        double *vectors, lgt_error *err);

/* --- The Hessian of J of a head, by its products (lgt_plan_hvp): float64 plans with second_order --- */

/* What J is differentiated by: any sum of these. A bias goes with the weights. Vectors over several list x (N, D), then
 * w (C, D), then b (C), each row by row. */
enum { LGT_BY_FEATURES = 1, LGT_BY_WEIGHTS = 2 };

/* The length of such vectors for these inputs. */
LGT_API int64_t lgt_curvature_size(const lgt_head_inputs *in, int by);

typedef struct lgt_spectrum_options {
    size_t struct_size;
    int64_t top, bottom;  /* how many of the largest and of the smallest eigenvalues; default 1, 0 */
    int64_t max_products; /* Hessian products before it gives up; default 1000 */
    double tolerance;     /* of residuals, in units of the largest modulus; default 1e-10 */
    uint64_t seed;        /* of the start vector */
} lgt_spectrum_options;

LGT_API void lgt_spectrum_options_init(lgt_spectrum_options *options);

/* What lgt_plan_spectrum fills; the caller gives the arrays. top + bottom entries have room; where the whole space has
 * fewer dimensions, all of these are found. */
typedef struct lgt_spectrum {
    double *values;     /* by falling value: the largest, then the smallest */
    double *residuals;  /* |H v - value v|, computed: an eigenvalue lies this near */
    double *vectors;    /* (top + bottom, size) unit vectors, or NULL */
    int64_t n_found;    /* entries that were filled */
    int64_t n_products; /* of the Hessian with a vector */
    int converged;      /* every residual is within the tolerance */
} lgt_spectrum;

/* Extremal eigenpairs of the Hessian by `by`, by Lanczos' method (Eq. 126). Never forms the Hessian or an N x C matrix:
 * memory is m + 3 vectors, m = min(size, 2 (top + bottom) + 40). Values that have
 * converged are kept and the search goes on across them until it finds nothing farther out, so that copies of an
 * eigenvalue are listed as often as they occur. The same bits for any number of threads. Errors: those of lgt_plan_hvp;
 * USAGE (a float32 plan, options out of range), MEMORY. */
LGT_API lgt_status lgt_plan_spectrum(lgt_context *context, lgt_plan *plan, const lgt_head_inputs *in, int by,
                                     const lgt_spectrum_options *options, lgt_spectrum *out, lgt_error *err);

/* J along a direction v (Eq. 71, 73). */
typedef struct lgt_derivatives {
    double first;    /* <grad J, v> */
    double second;   /* v^T H v */
    double rayleigh; /* v^T H v / v^T v; NaN for v = 0 */
    double length;   /* |v| */
} lgt_derivatives;

/* v holds lgt_curvature_size numbers, or is NULL: the step of gradient descent, -grad J by `by`. Errors: those of
 * lgt_plan_hvp; USAGE (a float32 plan), MEMORY. */
LGT_API lgt_status lgt_plan_derivatives(lgt_context *context, lgt_plan *plan, const lgt_head_inputs *in, int by,
                                        const double *v, lgt_derivatives *out, lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
