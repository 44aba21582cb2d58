/* The smallest complete use: loss and gradients of an ArcFace head over 1,000 classes. */
#include <stdio.h>
#include <stdlib.h>

#include <logitude/logitude.h>

enum { ROWS = 32, DIM = 64, CLASSES = 1000 };

static float x[ROWS * DIM], w[CLASSES * DIM], dx[ROWS * DIM], dw[CLASSES * DIM];
static int64_t labels[ROWS];

static void fill(float *values, int count) {
    for (int i = 0; i < count; i++) values[i] = (float)rand() / (float)RAND_MAX - 0.5f;
}

/* One run of a plan; the plan could run again on the next batch without allocating. */
static lgt_status run(lgt_context *context, lgt_head_outputs *out, lgt_error *err) {
    lgt_loss loss;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_plan_options options;
    lgt_plan_options_init(&options);
    options.max_rows = ROWS;
    lgt_status status = lgt_loss_parse("arcface:s=64,m=0.5", &loss, err);
    if (!status) status = lgt_head_create(context, &loss, DIM, CLASSES, &head, err);
    if (!status) status = lgt_plan_create(head, &options, &plan, err);
    if (!status) {
        lgt_head_inputs in = {
            .x = lgt_view_of(x, ROWS, DIM, LGT_F32), .w = lgt_view_of(w, CLASSES, DIM, LGT_F32), .labels = labels};
        status = lgt_plan_run(plan, &in, out, err);
    }
    lgt_plan_free(plan);
    lgt_head_free(head);
    return status;
}

int main(void) {
    lgt_context *context = NULL;
    lgt_error err;
    fill(x, ROWS * DIM);
    fill(w, CLASSES * DIM);
    for (int i = 0; i < ROWS; i++) labels[i] = rand() % CLASSES;
    lgt_head_outputs out = {.dx = lgt_mut_of(dx, ROWS, DIM, LGT_F32), .dw = lgt_mut_of(dw, CLASSES, DIM, LGT_F32)};
    lgt_status status = lgt_context_create(NULL, &context, &err);
    if (!status) status = run(context, &out, &err);
    lgt_context_free(context);
    if (status) {
        fprintf(stderr, "%s\n", err.message);
        return (int)status;
    }
    printf("logitude %s: loss %.4f nats over %lld rows, dx[0] = %g\n", lgt_version(), out.loss, (long long)out.n_used,
           (double)dx[0]);
    return 0;
}
