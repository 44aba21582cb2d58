/* The spectrum of a head: how curved its loss is at most, along its own gradient, and what no curvature exceeds.
 *
 * The largest eigenvalue of the Hessian says how long a step of gradient descent may be before it overshoots: shorter
 * than 2/lambda_max. Lanczos finds it from products alone (docs/analysis.md). */
#include <stdio.h>
#include <stdlib.h>

#include <logitude/logitude.h>

enum { ROWS = 64, DIM = 16, CLASSES = 50, TOP = 3 };

static double x[ROWS * DIM], w[CLASSES * DIM];
static int64_t labels[ROWS];

static void fill(double *values, int count) {
    for (int i = 0; i < count; i++) values[i] = (double)rand() / RAND_MAX - 0.5;
}

static lgt_status make_plan(lgt_context *context, lgt_head **head, lgt_plan **plan, lgt_error *err) {
    lgt_loss loss;
    lgt_plan_options options;
    lgt_plan_options_init(&options);
    options.dtype = LGT_F64;
    options.max_rows = ROWS;
    options.second_order = 1;
    lgt_status status = lgt_loss_parse("softmax", &loss, err);
    if (!status) status = lgt_head_create(context, &loss, DIM, CLASSES, head, err);
    if (!status) status = lgt_plan_create(*head, &options, plan, err);
    return status;
}

static lgt_status examine(lgt_context *context, lgt_plan *plan, lgt_error *err) {
    double values[TOP], residuals[TOP], norm, upper;
    lgt_head_inputs in = {
        .x = lgt_view_of(x, ROWS, DIM, LGT_F64), .w = lgt_view_of(w, CLASSES, DIM, LGT_F64), .labels = labels};
    lgt_spectrum_options options;
    lgt_spectrum spectrum = {.values = values, .residuals = residuals};
    lgt_derivatives along;
    lgt_spectrum_options_init(&options);
    options.top = TOP;
    lgt_status status = lgt_plan_spectrum(context, plan, &in, LGT_BY_WEIGHTS, &options, &spectrum, err);
    if (!status) status = lgt_plan_derivatives(context, plan, &in, LGT_BY_WEIGHTS, NULL, &along, err);
    if (!status) status = lgt_spectral_norm(context, in.x, 0, 0, &norm, &upper, err);
    if (status) return status;
    for (int k = 0; k < TOP; k++) printf("eigenvalue %.8f, residual %.1e\n", values[k], residuals[k]);
    printf("found with %d products of %d numbers\n", (int)spectrum.n_products, CLASSES * DIM);
    printf("along the gradient %.8f; no eigenvalue exceeds |X|^2/2N = %.8f\n", along.rayleigh,
           upper * upper / (2 * ROWS));
    return LGT_OK;
}

int main(void) {
    lgt_context *context = NULL;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_error err;
    fill(x, ROWS * DIM);
    fill(w, CLASSES * DIM);
    for (int i = 0; i < ROWS; i++) labels[i] = rand() % CLASSES;
    lgt_status status = lgt_context_create(NULL, &context, &err);
    if (!status) status = make_plan(context, &head, &plan, &err);
    if (!status) status = examine(context, plan, &err);
    lgt_plan_free(plan);
    lgt_head_free(head);
    lgt_context_free(context);
    if (status) fprintf(stderr, "%s\n", err.message);
    return (int)status;
}
