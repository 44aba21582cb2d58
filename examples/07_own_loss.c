/* A loss of one's own: the target logit, its derivatives, and the check that they are right (docs/custom_loss.md).
 *
 * z_y = s (cos(theta) - m theta^2 / 2): the farther a sample is from its class, the larger the margin. */
#include <stdio.h>

#include <logitude/custom_loss.h>
#include <logitude/logitude.h>

enum { S, M }; /* the parameters, in the order of the table */

static const lgt_param_info params[] = {
    LGT_PARAM_SCALE("16"),
    {"m", LGT_PARAM_REAL, "0.2", 0, 1, NULL, "margin, half of it a squared radian", LGT_ROLE_MARGIN},
    LGT_PARAM_GRADIENT,
};

/* What the loss adds to the plain logit s cos(theta), and every derivative of that; the rest of *out is zero. */
static void bend(const double *p, double scheduled, const lgt_pair *pair, lgt_bend *out) {
    (void)scheduled;
    out->value = -p[S] * p[M] * pair->theta * pair->theta / 2;
    out->d_theta = -p[S] * p[M] * pair->theta;
    out->d_theta_theta = -p[S] * p[M];
}

static const lgt_loss_definition definition = {
    .info = {.name = "quadratic-angle",
             .title = "Quadratic angular margin",
             .equation = "z_y = s (cos(theta) - m theta^2 / 2)",
             .citation = "",
             .space = LGT_SPACE_COS,
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .bend = bend,
};

enum { ROWS = 2, DIM = 3, CLASSES = 4 };
static const double x[ROWS * DIM] = {2, 1, 0.5, -1, 0, 3}, w[CLASSES * DIM] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1};
static const int64_t labels[ROWS] = {0, 2};

static lgt_status run(lgt_context *context, const lgt_loss *loss, lgt_error *err) {
    double dx[ROWS * DIM];
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_plan_options options;
    lgt_plan_options_init(&options);
    options.max_rows = ROWS;
    options.dtype = LGT_F64;
    lgt_head_inputs in = {
        .x = lgt_view_of(x, ROWS, DIM, LGT_F64), .w = lgt_view_of(w, CLASSES, DIM, LGT_F64), .labels = labels};
    lgt_head_outputs out = {.dx = lgt_mut_of(dx, ROWS, DIM, LGT_F64)};
    lgt_status status = lgt_head_create(context, loss, DIM, CLASSES, &head, err);
    if (!status) status = lgt_plan_create(head, &options, &plan, err);
    if (!status) status = lgt_plan_run(plan, &in, &out, err);
    if (!status) printf("loss %.6f, dx[0] = %.6f\n", out.loss, dx[0]);
    lgt_plan_free(plan);
    lgt_head_free(head);
    return status;
}

int main(void) {
    char spec[LGT_LOSS_SPEC_SIZE];
    lgt_context *context = NULL;
    lgt_loss loss;
    lgt_gradcheck check = {0};
    lgt_error err = {LGT_OK, ""};
    lgt_status status = lgt_context_create(NULL, &context, &err);
    if (!status) status = lgt_loss_custom(&definition, "m=0.3", &loss, &err);
    if (!status) status = lgt_gradcheck_run(context, &loss, LGT_ENGINE_CPU, LGT_F64, 50, 1, &check, &err);
    if (!status) {
        lgt_loss_format(&loss, spec, sizeof spec);
        printf("%s\nlargest errors: dx %.1e, dw %.1e, second derivatives %.1e\n", spec, check.dx, check.dw, check.hvp);
        status = run(context, &loss, &err);
    }
    lgt_context_free(context);
    if (status) fprintf(stderr, "%s\n", err.message);
    return status ? (int)status : check.passed ? 0 : LGT_ERR_CHECK;
}
