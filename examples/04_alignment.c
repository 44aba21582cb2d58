/* Alignment beside a head: pulls features towards neighbours of their own class, and asks whether that fights the head.
 *
 * In a training loop of any framework: run the head, hand its gradient in, add what comes back (docs/alignment.md). The
 * bank remembers every sample by its id, so that a batch need not hold two of a class. */
#include <stdio.h>
#include <stdlib.h>

#include <logitude/logitude.h>

enum { ROWS = 64, DIM = 16, CLASSES = 8, STEPS = 30 };

static float x[ROWS * DIM], w[CLASSES * DIM], dx[ROWS * DIM];
static int64_t labels[ROWS], ids[ROWS];

typedef struct objects {
    lgt_context *context;
    lgt_head *head;
    lgt_plan *head_plan;
    lgt_align_bank *bank;
    lgt_align_plan *plan;
} objects;

static lgt_status create(objects *o, lgt_error *err) {
    lgt_loss loss;
    lgt_align_terms terms;
    lgt_plan_options options;
    lgt_plan_options_init(&options);
    options.max_rows = ROWS;
    lgt_status status = lgt_context_create(NULL, &o->context, err);
    if (!status) status = lgt_loss_parse("arcface:s=16,m=0.3", &loss, err);
    if (!status) status = lgt_head_create(o->context, &loss, DIM, CLASSES, &o->head, err);
    if (!status) status = lgt_plan_create(o->head, &options, &o->head_plan, err);
    if (!status) status = lgt_align_parse("pga:targets=memory,neighbours=memory,weight=10", &terms, err);
    if (!status) status = lgt_align_plan_create(o->context, &terms.terms[0], DIM, ROWS, &o->plan, err);
    if (!status) status = lgt_align_bank_create(o->context, DIM, 1000, &o->bank, err);
    return status;
}

/* Features move by themselves here; a network would take dx for its backward pass. */
static lgt_status step(objects *o, int number, lgt_error *err) {
    lgt_head_inputs head = {
        .x = lgt_view_of(x, ROWS, DIM, LGT_F32), .w = lgt_view_of(w, CLASSES, DIM, LGT_F32), .labels = labels};
    lgt_head_outputs forces = {.dx = lgt_mut_of(dx, ROWS, DIM, LGT_F32)};
    lgt_status status = lgt_plan_run(o->head_plan, &head, &forces, err);
    lgt_align_inputs in = {.x = head.x, .labels = labels, .ids = ids, .bank = o->bank};
    in.head = lgt_view_of(dx, ROWS, DIM, LGT_F32);
    lgt_align_outputs out = {.dx = forces.dx, .accumulate = 1}; /* dx becomes the gradient of the sum */
    if (!status) status = lgt_align_run(o->plan, &in, &out, err);
    if (status) return status;
    for (int k = 0; k < ROWS * DIM; k++) x[k] -= 10 * dx[k];
    if (number == 1 || number % 10 == 0)
        printf("step %2d: head %.3f, alignment %.3f; %lld of %lld rows in conflict\n", number, forces.loss, out.loss,
               (long long)out.conflict.n_conflicts, (long long)out.conflict.n_compared);
    return LGT_OK;
}

int main(void) {
    objects o = {0};
    lgt_error err;
    for (int k = 0; k < ROWS * DIM; k++) x[k] = (float)rand() / (float)RAND_MAX - 0.5f;
    for (int k = 0; k < CLASSES * DIM; k++) w[k] = (float)rand() / (float)RAND_MAX - 0.5f;
    for (int i = 0; i < ROWS; i++) labels[i] = i % CLASSES, ids[i] = i;
    lgt_status status = create(&o, &err);
    for (int number = 1; number <= STEPS && !status; number++) status = step(&o, number, &err);
    lgt_align_bank_free(o.bank);
    lgt_align_plan_free(o.plan);
    lgt_plan_free(o.head_plan);
    lgt_head_free(o.head);
    lgt_context_free(o.context);
    if (status) fprintf(stderr, "%s\n", err.message);
    return (int)status;
}
