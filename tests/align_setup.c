/* What tests of alignment share. */
#include "align_setup.h"

lgt_align_terms test_align_terms(const char *spec) {
    lgt_align_terms terms;
    lgt_error err;
    assert_ok(lgt_align_parse(spec, &terms, &err), err);
    return terms;
}

lgt_align_plan *test_align_plan(lgt_context *context, const char *spec, int64_t dim, int64_t max_rows) {
    lgt_align_terms terms = test_align_terms(spec);
    lgt_align_plan *plan = NULL;
    lgt_error err;
    assert_ok(lgt_align_plan_create(context, &terms.terms[0], dim, max_rows, &plan, &err), err);
    return plan;
}

lgt_align_layers *test_align_layers(lgt_context *context, const char *spec, int n_layers, const int64_t *dims,
                                    int64_t max_rows) {
    lgt_align_terms terms = test_align_terms(spec);
    lgt_align_layers *layers = NULL;
    lgt_error err;
    assert_ok(lgt_align_layers_create(context, &terms.terms[0], n_layers, dims, max_rows, &layers, &err), err);
    return layers;
}

lgt_align_bank *test_align_bank(lgt_context *context, int64_t dim, int64_t capacity) {
    lgt_align_bank *bank = NULL;
    lgt_error err;
    assert_ok(lgt_align_bank_create(context, dim, capacity, &bank, &err), err);
    return bank;
}

double test_align_slope(double *v, double (*f)(void *argument), void *argument) {
    static const double steps[] = {-2, -1, 1, 2}, weights[] = {1, -8, 8, -1};
    const double h = 1e-4, kept = *v;
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        *v = kept + steps[i] * h;
        sum += weights[i] * f(argument);
    }
    *v = kept;
    return sum / (12 * h);
}
