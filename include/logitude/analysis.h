/* Analysis: gradient checks. */
#ifndef LOGITUDE_ANALYSIS_H
#define LOGITUDE_ANALYSIS_H

#include "head.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Largest errors over random problems, each relative to the largest entry of the gradient it belongs to. */
typedef struct lgt_gradcheck {
    int64_t n_problems;
    double dx, dw, db; /* analytic gradient against central differences of the loss; db is 0 without a bias */
    double hvp;        /* analytic Hessian-vector product against central differences of the gradient */
    double engine_dx, engine_dw, engine_db, engine_hvp; /* the checked engine against the reference engine */
    double tolerance, engine_tolerance; /* what counts as passing, for the differences and for the engines */
    int passed;
} lgt_gradcheck;

/* Checks a loss with gradient=exact on n_problems random problems (sizes, labels, weights, smoothing and z-loss all
 * drawn from seed): reference gradients against five-point central differences with a step of 2e-4 of the
 * entry's scale, then `engine` in `dtype` against the reference.
 * Errors: USAGE (a loss whose gradient mode is not exact has nothing to be compared with), MEMORY. */
LGT_API lgt_status lgt_gradcheck_run(lgt_context *context, const lgt_loss *loss, lgt_engine engine, lgt_dtype dtype,
                                     int64_t n_problems, uint64_t seed, lgt_gradcheck *out, lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
