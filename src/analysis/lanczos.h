/* Extremal eigenpairs of a symmetric operator that is known by its products alone. */
#ifndef LGT_ANALYSIS_LANCZOS_H
#define LGT_ANALYSIS_LANCZOS_H

#include <stdint.h>

#include "logitude/curvature.h"

typedef struct lgt_operator {
    int64_t size;
    void *user;
    lgt_status (*apply)(void *user, const double *v, double *out, lgt_error *err); /* out = A v */
} lgt_operator;

/* Thick-restart Lanczos with full orthogonalisation: the basis never has more than lgt_lanczos_basis vectors. Fills
 * out's values, residuals, vectors and counts as lgt_plan_spectrum does. Errors: those of apply, MEMORY. */
lgt_status lgt_lanczos_run(lgt_context *context, const lgt_operator *a, const lgt_spectrum_options *options,
                           lgt_spectrum *out, lgt_error *err);

/* Vectors of the basis, the one beyond it included. */
int64_t lgt_lanczos_basis(int64_t size, const lgt_spectrum_options *options);

#endif
