/* Forces on one sample: what pulls it to its class, who pushes it away, and how much of that a detached margin misses
 * (docs/analysis.md, Eq. 100 to 107). */
#include <stdio.h>

#include <logitude/logitude.h>

enum { ROWS = 1, DIM = 3, CLASSES = 3, PUSHERS = 2 };

/* The sample is nearest to its own class 0, then to class 1. */
static const double x[ROWS * DIM] = {2, 1, 0.5}, w[CLASSES * DIM] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
static const int64_t labels[ROWS] = {0};

static lgt_status explain(const lgt_head *head, lgt_error *err) {
    double theta, alpha, attraction, repulsion, gradient, bound, angle, shares[PUSHERS];
    int64_t pushers[PUSHERS];
    lgt_explain_options options;
    lgt_explain_options_init(&options);
    options.dtype = LGT_F64;
    options.n_pushers = PUSHERS;
    lgt_head_inputs in = {
        .x = lgt_view_of(x, ROWS, DIM, LGT_F64), .w = lgt_view_of(w, CLASSES, DIM, LGT_F64), .labels = labels};
    lgt_explanation out = {.theta = &theta,
                           .alpha = &alpha,
                           .attraction = &attraction,
                           .repulsion = &repulsion,
                           .gradient = &gradient,
                           .tight_bound = &bound,
                           .detached_angle = &angle,
                           .pushers = pushers,
                           .pusher_shares = shares};
    lgt_status status = lgt_explain_run(head, &options, &in, &out, err);
    if (status) return status;
    printf("theta %.3f: the margin multiplies the pull by %.3f\n", theta, alpha);
    printf("attraction %.3f, repulsion %.3f, %.0f %% of it by class %d; gradient %.3f, at most %.3f\n", attraction,
           repulsion, 100 * shares[0], (int)pushers[0], gradient, bound);
    printf("a detached margin turns the gradient by %.3f rad\n", angle);
    return gradient <= bound && pushers[0] == 1 ? LGT_OK : LGT_ERR_CHECK;
}

int main(void) {
    lgt_context *context = NULL;
    lgt_head *head = NULL;
    lgt_loss loss;
    lgt_error err = {LGT_OK, ""};
    lgt_status status = lgt_context_create(NULL, &context, &err);
    if (!status) status = lgt_loss_parse("arcface:s=4,m=0.5", &loss, &err);
    if (!status) status = lgt_head_create(context, &loss, DIM, CLASSES, &head, &err);
    if (!status) status = explain(head, &err);
    lgt_head_free(head);
    lgt_context_free(context);
    if (status) fprintf(stderr, "%s\n", err.message);
    return (int)status;
}
