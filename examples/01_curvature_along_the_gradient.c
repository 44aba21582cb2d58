/* Second derivatives: how curved a head's loss is along its own gradient, and the step a quadratic model would take.
 *
 * With g = dJ/dW and H the Hessian over W, J(W - t g) = J - t <g, g> + t^2/2 <g, H g> + ...: least at
 * t = <g, g> / <g, H g>. The product H g comes from lgt_plan_hvp (docs/second_order.md), without H or an N x C array.
 */
#include <stdio.h>
#include <stdlib.h>

#include <logitude/logitude.h>

enum { ROWS = 64, DIM = 16, CLASSES = 50 };

static double x[ROWS * DIM], w[CLASSES * DIM], g[CLASSES * DIM], hg[CLASSES * DIM];
static int64_t labels[ROWS];

static void fill(double *values, int count) {
    for (int i = 0; i < count; i++) values[i] = (double)rand() / RAND_MAX - 0.5;
}

static double dot(const double *a, const double *b, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) sum += a[i] * b[i];
    return sum;
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

/* The loss before and after the step. */
static lgt_status descend(lgt_plan *plan, lgt_error *err) {
    lgt_head_inputs in = {
        .x = lgt_view_of(x, ROWS, DIM, LGT_F64), .w = lgt_view_of(w, CLASSES, DIM, LGT_F64), .labels = labels};
    lgt_head_outputs first = {.dw = lgt_mut_of(g, CLASSES, DIM, LGT_F64)}, second = {0};
    lgt_status status = lgt_plan_run(plan, &in, &first, err);
    if (status) return status;
    lgt_direction along = {.w = lgt_view_of(g, CLASSES, DIM, LGT_F64)};
    lgt_hvp product = {.w = lgt_mut_of(hg, CLASSES, DIM, LGT_F64)};
    if ((status = lgt_plan_hvp(plan, &in, &along, &product, err))) return status;
    double slope = dot(g, g, CLASSES * DIM), curvature = dot(g, hg, CLASSES * DIM), step = slope / curvature;
    for (int i = 0; i < CLASSES * DIM; i++) w[i] -= step * g[i];
    if ((status = lgt_plan_run(plan, &in, &second, err))) return status;
    printf("curvature along the gradient %.4g, so a step of %.4g: loss %.4f -> %.4f\n", curvature / slope, step,
           first.loss, second.loss);
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
    if (!status) status = descend(plan, &err);
    lgt_plan_free(plan);
    lgt_head_free(head);
    lgt_context_free(context);
    if (status) fprintf(stderr, "%s\n", err.message);
    return (int)status;
}
