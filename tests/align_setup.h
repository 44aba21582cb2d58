/* What tests of alignment share: objects made from specifications, and differences. */
#ifndef LGT_TESTS_ALIGN_SETUP_H
#define LGT_TESTS_ALIGN_SETUP_H

#include "logitude/align.h"
#include "support.h"

/* All of them fail the test on error. */
lgt_align_terms test_align_terms(const char *spec);
lgt_align_plan *test_align_plan(lgt_context *context, const char *spec, int64_t dim, int64_t max_rows);
lgt_align_layers *test_align_layers(lgt_context *context, const char *spec, int n_layers, const int64_t *dims,
                                    int64_t max_rows);
lgt_align_bank *test_align_bank(lgt_context *context, int64_t dim, int64_t capacity);

/* df/dv at v, which f reads through its argument: five-point differences with a step h of 1e-4. They leave h^4
 * f'''''/30 below 1e-11 (tau=0.5: f''''' up to 2^5 e^2) and rounding of 1e-12. */
double test_align_slope(double *v, double (*f)(void *argument), void *argument);

#endif
