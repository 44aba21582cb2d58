/* Predictions of a head whose classes are shared by ranks are those of one that has them all. */
#include <math.h>
#include <string.h>

#include "logitude/head.h"
#include "ranks.h"
#include "support.h"

enum { MOST = 7 };
static const int sizes[] = {2, 3, 4, 7};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

enum { ROWS = 45, FEATURES = 13, CLASSES = 650, TOP = 7, MOST_ROWS_OF_W = 3 * CLASSES };

typedef struct listing {
    int64_t classes[ROWS * TOP];
    double logits[ROWS * TOP], lse[ROWS], label_logits[ROWS];
} listing;

typedef struct prediction {
    const char *spec;
    float x[ROWS * FEATURES], w[MOST_ROWS_OF_W * FEATURES], b[CLASSES];
    int64_t labels[ROWS];
    listing found[MOST];
    lgt_status statuses[MOST];
    lgt_error errors[MOST];
} prediction;

static void predict(prediction *p, const lgt_comm *comm, int r) {
    lgt_context *context = test_context(2);
    lgt_loss loss;
    lgt_head *head = NULL;
    int64_t first = 0, count = 0;
    lgt_error *err = &p->errors[r];
    listing *to = &p->found[r];
    memset(to, 0, sizeof *to); /* no padding is compared */
    lgt_predictions out = {TOP, to->classes, to->logits, to->lse, to->label_logits};
    lgt_status status = lgt_loss_parse(p->spec, &loss, err);
    if (!status) status = lgt_head_create(context, &loss, FEATURES, CLASSES, &head, err);
    if (!status) status = lgt_head_shard(head, comm ? comm->size : 1, comm ? comm->rank : 0, &first, &count, err);
    int64_t centres = lgt_loss_centres(&loss);
    lgt_view w = lgt_view_of(p->w + first * centres * FEATURES, count * centres, FEATURES, LGT_F32), b = {0};
    if (loss.info->has_bias) b = lgt_view_of(p->b + first, 1, count, LGT_F32);
    if (!status)
        status =
            lgt_head_predict_shared(head, comm, lgt_view_of(p->x, ROWS, FEATURES, LGT_F32), w, b, p->labels, &out, err);
    p->statuses[r] = status;
    lgt_head_free(head);
    lgt_context_free(context);
}

static void predict_rank(void *argument, const lgt_comm *comm) {
    predict(argument, comm, comm->rank);
}

static void predictions_are_those_of_one_rank(void **state) {
    static const char *const specs[] = {"softmax", "arcface", "subcenter:k=3"};
    static prediction p;
    static listing alone;
    double numbers[MOST_ROWS_OF_W * FEATURES];
    (void)state;
    test_normal(numbers, ROWS * FEATURES, 1, 1);
    for (int i = 0; i < ROWS * FEATURES; i++) p.x[i] = (float)numbers[i];
    test_normal(numbers, MOST_ROWS_OF_W * FEATURES, 1, 2);
    for (int i = 0; i < MOST_ROWS_OF_W * FEATURES; i++) p.w[i] = (float)numbers[i];
    memcpy(p.w + 300 * FEATURES, p.w + 20 * FEATURES, FEATURES * sizeof *p.w); /* equal logits, on different ranks */
    for (int i = 0; i < ROWS; i++) p.labels[i] = i * 7 % CLASSES;
    for (size_t k = 0; k < sizeof specs / sizeof *specs; k++) {
        p.spec = specs[k];
        predict(&p, NULL, 0);
        assert_ok(p.statuses[0], p.errors[0]);
        alone = p.found[0];
        for (int s = 0; s < N_SIZES; s++) {
            test_on_ranks(sizes[s], 20, predict_rank, &p);
            for (int r = 0; r < sizes[s]; r++) {
                assert_ok(p.statuses[r], p.errors[r]);
                assert_memory_equal(&p.found[r], &alone, sizeof alone);
            }
        }
    }
    p.w[200 * FEATURES] = NAN;
    test_on_ranks(3, 20, predict_rank, &p);
    for (int r = 0; r < 3; r++) assert_int_equal(p.statuses[r], LGT_ERR_DATA);
    p.w[200 * FEATURES] = 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predictions_are_those_of_one_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
