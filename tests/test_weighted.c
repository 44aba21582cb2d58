/* Trainings with weighted rows, and from a given start: what weights mean, by every optimizer, and what is refused. */
#include "support.h"

#include <math.h>
#include <string.h>

#include "train_data.h"

enum { N = 90, DIM = 5, CLASSES = 3 };

/* Rows whose weight is an integer, and the same rows that many times. */
typedef struct twins {
    lgt_dataset once, repeated;
    double weights[N];
} twins;

static twins make_twins(void) {
    twins t = {.once = test_clusters(N, DIM, CLASSES, 0.6, 4)};
    int64_t n = 0;
    t.repeated = test_clusters(4 * N, DIM, CLASSES, 0.6, 4);
    for (int64_t i = 0; i < N; i++) {
        t.weights[i] = (double)((7 * i) % 4);
        for (int k = 0; k < (int)t.weights[i]; k++, n++) {
            memcpy(t.repeated.x + n * DIM, t.once.x + i * DIM, DIM * sizeof *t.once.x);
            t.repeated.labels[n] = t.once.labels[i];
        }
    }
    t.repeated.n_rows = n;
    return t;
}

static void free_twins(twins *t) {
    test_clusters_free(&t->once);
    test_clusters_free(&t->repeated);
}

static lgt_train_options plain_options(lgt_optimizer optimizer) {
    lgt_train_options o = test_train_options("softmax", "none", DIM);
    o.optimizer = optimizer;
    o.standardize = LGT_STANDARDIZE_NONE;
    return o;
}

static void an_integer_weight_is_a_row_that_often(void **state) {
    twins t = make_twins();
    (void)state;
    for (int which = LGT_OPTIMIZER_LBFGS; which <= LGT_OPTIMIZER_NEWTON_CG; which++) {
        lgt_context *context = test_context(2);
        lgt_train_options o = plain_options((lgt_optimizer)which);
        o.l2 = 0.02;
        o.tolerance = 1e-9;
        lgt_trainer *repeated = test_trainer(context, &o, &t.repeated);
        o.sample_weights = t.weights;
        lgt_trainer *weighted = test_trainer(context, &o, &t.once);
        lgt_solve_record a, b;
        lgt_error err;
        double loss[2], objective[2];
        assert_ok(lgt_trainer_solve(repeated, NULL, NULL, &a, &err), err);
        assert_ok(lgt_trainer_solve(weighted, NULL, NULL, &b, &err), err);
        assert_true(a.converged && b.converged);
        assert_at_most(fabs(a.model_objective - b.model_objective), 1e-11, "objectives");
        assert_at_most(b.certified_gap, 1e-10, "certified gap"); /* of weights that are float32 */
        assert_ok(lgt_trainer_objective(repeated, NULL, NULL, loss, objective, &err), err);
        assert_ok(lgt_trainer_objective(weighted, NULL, NULL, loss + 1, objective + 1, &err), err);
        assert_at_most(fabs(loss[1] - loss[0]), 1e-6, "losses in float32");
        assert_at_most(fabs(objective[1] - b.model_objective), 1e-6, "objective in float32");
        lgt_trainer_free(weighted);
        lgt_trainer_free(repeated);
        lgt_context_free(context);
    }
    free_twins(&t);
}

/* However early a descent ends, the minimum lies within its certificate, weights or not. */
static void certificates_hold_with_weights(void **state) {
    lgt_dataset data = test_clusters(N, DIM, CLASSES, 0.5, 8);
    lgt_train_options o = plain_options(LGT_OPTIMIZER_LBFGS);
    double weights[N], best = 0, f[2];
    lgt_error err;
    lgt_solve_record r;
    (void)state;
    for (int64_t i = 0; i < N; i++) weights[i] = data.labels[i] == 2 ? 1e-3 : 1 + (double)(i % 5);
    o.l2 = 0.01;
    o.tolerance = 1e-10;
    o.sample_weights = weights;
    for (int64_t most = 40; most >= 0; most -= 4) {
        lgt_context *context = test_context(1);
        o.max_iterations = most;
        lgt_trainer *trainer = test_trainer(context, &o, &data);
        assert_ok(lgt_trainer_solve(trainer, NULL, NULL, &r, &err), err);
        if (most == 40) best = r.model_objective;
        assert_at_most(r.model_objective - best, r.certified_gap + 1e-14, "gap");
        assert_ok(lgt_trainer_objective(trainer, NULL, NULL, f, f + 1, &err), err);
        lgt_trainer_free(trainer);
        lgt_context_free(context);
    }
    test_clusters_free(&data);
}

/* A step of plain descent by a batch of all rows moves W by the weighted mean's gradient; weights have any scale. */
static void a_step_is_the_weighted_mean_and_their_scale_is_nothing(void **state) {
    twins t = make_twins();
    float after[3][CLASSES * DIM];
    double thousand[N];
    (void)state;
    for (int64_t i = 0; i < N; i++) thousand[i] = 1000 * t.weights[i];
    const double *weights[] = {NULL, t.weights, thousand};
    for (int k = 0; k < 3; k++) {
        lgt_context *context = test_context(2);
        lgt_train_options o = plain_options(LGT_OPTIMIZER_SGD);
        lgt_train_record record;
        lgt_error err;
        o.momentum = 0, o.weight_decay = 0, o.lr = 0.5, o.schedule = LGT_LR_CONSTANT, o.batch = 1000;
        o.sample_weights = weights[k];
        lgt_trainer *trainer = test_trainer(context, &o, k == 0 ? &t.repeated : &t.once);
        assert_ok(lgt_trainer_step(trainer, &record, &err), err);
        memcpy(after[k], lgt_model_weights(lgt_trainer_model(trainer)).data, sizeof after[k]);
        lgt_trainer_free(trainer);
        lgt_context_free(context);
    }
    for (int i = 0; i < CLASSES * DIM; i++) {
        assert_at_most(fabs((double)after[1][i] - (double)after[0][i]), 1e-6, "repeated rows"); /* float32 sums */
        assert_at_most(fabs((double)after[2][i] - (double)after[1][i]), 1e-6, "another scale");
    }
    free_twins(&t);
}

static void a_batch_without_weight_does_nothing(void **state) {
    lgt_dataset data = test_clusters(N, DIM, CLASSES, 0.6, 4);
    lgt_context *context = test_context(1);
    lgt_train_options o = plain_options(LGT_OPTIMIZER_SGD);
    double weights[N] = {0};
    lgt_train_record record;
    lgt_error err;
    (void)state;
    weights[11] = 3;
    o.batch = 1, o.epochs = 1, o.weight_decay = 0, o.momentum = 0, o.sample_weights = weights;
    lgt_trainer *trainer = test_trainer(context, &o, &data);
    for (int i = 0, moved = 0; i < N; i++) {
        assert_ok(lgt_trainer_step(trainer, &record, &err), err);
        moved += lgt_trainer_gradient_norm(trainer) > 0;
        assert_true(moved <= 1 && (record.loss > 0) == (lgt_trainer_gradient_norm(trainer) > 0));
        if (i == N - 1) assert_int_equal(moved, 1);
    }
    lgt_trainer_free(trainer);
    lgt_context_free(context);
    test_clusters_free(&data);
}

static void a_start_is_where_the_head_begins(void **state) {
    lgt_dataset data = test_clusters(N, DIM, CLASSES, 0.6, 4);
    lgt_context *context = test_context(1);
    const lgt_optimizer optimizers[] = {LGT_OPTIMIZER_ADAMW, LGT_OPTIMIZER_LBFGS};
    float w[CLASSES][DIM + 2], b[CLASSES] = {1, -2, 3};
    (void)state;
    for (int j = 0; j < CLASSES; j++)
        for (int k = 0; k < DIM + 2; k++) w[j][k] = (float)(10 * j + k);
    for (int which = 0; which < 2; which++) {
        lgt_train_options o = plain_options(optimizers[which]);
        o.start_w = lgt_view_of(w, CLASSES, DIM, LGT_F32);
        o.start_w.ld = DIM + 2;
        o.start_b = lgt_view_of(b, 1, CLASSES, LGT_F32);
        lgt_trainer *trainer = test_trainer(context, &o, &data);
        const float *is = lgt_model_weights(lgt_trainer_model(trainer)).data;
        for (int j = 0; j < CLASSES; j++) assert_memory_equal(is + j * DIM, w[j], DIM * sizeof *is);
        assert_memory_equal(lgt_model_bias(lgt_trainer_model(trainer)).data, b, sizeof b);
        lgt_trainer_free(trainer);
    }
    lgt_context_free(context);
    test_clusters_free(&data);
}

static void what_does_not_fit_is_refused(void **state) {
    lgt_dataset data = test_clusters(N, DIM, CLASSES, 0.6, 4);
    lgt_context *context = test_context(1);
    lgt_trainer *trainer = NULL;
    lgt_error err;
    float w[CLASSES * DIM] = {0};
    double weights[N];
    (void)state;
    const struct {
        double value;
        const char *says;
    } bad[] = {{-1, "row 7 has -1"}, {NAN, "row 7 has "}, {INFINITY, "row 7 has inf"}, {0, "sum to 0"}};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        lgt_train_options o = plain_options(LGT_OPTIMIZER_SGD);
        memset(weights, 0, sizeof weights);
        weights[7] = bad[k].value;
        o.sample_weights = weights;
        assert_fails(lgt_trainer_create(context, &o, &data, &trainer, &err), LGT_ERR_DATA, err, bad[k].says);
    }
    lgt_train_options o = plain_options(LGT_OPTIMIZER_SGD);
    o.start_w = lgt_view_of(w, CLASSES - 1, DIM, LGT_F32);
    assert_fails(lgt_trainer_create(context, &o, &data, &trainer, &err), LGT_ERR_USAGE, err,
                 "start_w is (2, 5) f32, expected (3, 5) f32");
    o.start_w = lgt_view_of(w, CLASSES, DIM, LGT_F32);
    o.start_b = lgt_view_of(w, 1, CLASSES, LGT_F32);
    o.bias = 0;
    assert_fails(lgt_trainer_create(context, &o, &data, &trainer, &err), LGT_ERR_USAGE, err,
                 "start_b is given, but softmax has no bias");
    o.start_b.data = NULL;
    w[DIM + 2] = INFINITY;
    assert_fails(lgt_trainer_create(context, &o, &data, &trainer, &err), LGT_ERR_DATA, err, "row 1 column 2");
    lgt_context_free(context);
    test_clusters_free(&data);
}

static void allocations_that_fail_leave_nothing_behind(void **state) {
    lgt_dataset data = test_clusters(N, DIM, CLASSES, 0.6, 4);
    lgt_status status = LGT_ERR_MEMORY;
    double weights[N];
    (void)state;
    for (int i = 0; i < N; i++) weights[i] = i;
    for (int64_t fail_at = 1; status; fail_at++) {
        lgt_context *context = test_context_failing(fail_at);
        lgt_train_options o = plain_options(LGT_OPTIMIZER_ADAMW);
        lgt_trainer *trainer = NULL;
        lgt_error err;
        o.sample_weights = weights;
        status = lgt_trainer_create(context, &o, &data, &trainer, &err);
        if (status) assert_int_equal(status, LGT_ERR_MEMORY);
        lgt_trainer_free(trainer);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
        assert_true(fail_at < 200);
    }
    test_clusters_free(&data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_integer_weight_is_a_row_that_often),
        cmocka_unit_test(certificates_hold_with_weights),
        cmocka_unit_test(a_step_is_the_weighted_mean_and_their_scale_is_nothing),
        cmocka_unit_test(a_batch_without_weight_does_nothing),
        cmocka_unit_test(a_start_is_where_the_head_begins),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(allocations_that_fail_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
