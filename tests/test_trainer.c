/* Training: convergence, records, shuffling, equal bits, divergence, what is refused. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "train/train_options.h"
#include "train/trainer.h"
#include "train_data.h"

/* --- learning --- */

static void separable_clusters_are_learnt_by_every_kind_of_head(void **state) {
    static const char *const losses[] = {"softmax", "normalized", "cosface:s=16,m=0.2", "arcface:s=16,m=0.2",
                                         "lsoftmax:m=2,lambda=geometric/50/0.95/0"};
    static const char *const encoders[] = {"none", "linear", "mlp:24"};
    lgt_context *context = test_context(2);
    lgt_dataset d = test_clusters(200, 8, 4, 4, 7); /* centres sqrt(8) * 4 apart, eleven widths of a cluster */
    (void)state;
    for (size_t l = 0; l < sizeof losses / sizeof *losses; l++)
        for (size_t e = 0; e < sizeof encoders / sizeof *encoders; e++)
            for (int optimizer = LGT_OPTIMIZER_SGD; optimizer <= LGT_OPTIMIZER_ADAMW; optimizer++) {
                lgt_train_options o = test_train_options(losses[l], encoders[e], 6);
                double before, after, objective;
                lgt_error err;
                o.optimizer = (lgt_optimizer)optimizer;
                o.lr = 0.02;
                o.epochs = 20;
                lgt_trainer *t = test_trainer(context, &o, &d);
                assert_ok(lgt_trainer_objective(t, NULL, NULL, &before, &objective, &err), err);
                lgt_train_record r = test_train(t);
                assert_ok(lgt_trainer_objective(t, NULL, NULL, &after, &objective, &err), err);
                /* counted before each update of the last epoch: a few of 200 rows may be on their way */
                assert_at_most(1 - r.epoch_accuracy, 0.02, "share of training rows told wrong");
                assert_at_most(after, 0.5 * before, "loss after training");
                lgt_trainer_free(t);
            }
    test_clusters_free(&d);
    lgt_context_free(context);
}

static void l2_pulls_the_head_towards_zero_and_enters_the_objective_alone(void **state) {
    lgt_context *context = test_context(1);
    lgt_dataset d = test_clusters(60, 5, 3, 2, 7);
    lgt_train_options o = test_train_options("softmax", "none", 0);
    double norms[2];
    lgt_error err;
    (void)state;
    o.weight_decay = 0;
    o.epochs = 20;
    o.lr = 0.05;
    for (int i = 0; i < 2; i++) {
        double loss, objective;
        o.l2 = i ? 1.0 : 0;
        lgt_trainer *t = test_trainer(context, &o, &d);
        test_train(t);
        assert_ok(lgt_trainer_objective(t, NULL, NULL, &loss, &objective, &err), err);
        norms[i] = 0;
        for (int k = 0; k < 15; k++) norms[i] += (double)t->model.w[k] * t->model.w[k];
        assert_at_most(fabs(objective - loss - o.l2 / 2 * norms[i]), 1e-12, "error of the l2 term");
        lgt_trainer_free(t);
    }
    assert_at_most(norms[1], 0.25 * norms[0], "|W|^2 with l2 1 against without");
    test_clusters_free(&d);
    lgt_context_free(context);
}

/* --- records --- */

static void records_count_steps_epochs_and_samples(void **state) {
    lgt_context *context = test_context(1);
    lgt_dataset d = test_clusters(70, 5, 3, 2, 7);
    lgt_train_options o = test_train_options("lsoftmax:m=2,lambda=geometric/100/0.9/5", "linear", 4);
    lgt_trainer *t = test_trainer(context, &o, &d);
    lgt_train_record r;
    lgt_error err;
    double sum = 0, seconds = 0;
    (void)state;
    o.warmup = 0;
    for (int64_t step = 1; step <= 9; step++) {
        int64_t in_epoch = (step - 1) % 3, n = in_epoch == 2 ? 6 : 32; /* 70 = 32 + 32 + 6 */
        assert_ok(lgt_trainer_step(t, &r, &err), err);
        assert_int_equal(r.step, step);
        assert_int_equal(r.n_steps, 9);
        assert_int_equal(r.epoch, (step - 1) / 3 + 1);
        assert_int_equal(r.end_of_epoch, in_epoch == 2);
        assert_int_equal(r.samples, (step - 1) / 3 * 70 + in_epoch * 32 + n);
        assert_true(r.lr == lgt_lr_at(&o, step - 1, 9));
        assert_true(r.schedule == lgt_schedule_at(&o.loss.schedule, step - 1));
        assert_true(r.seconds >= seconds);
        assert_true(r.epoch_accuracy >= 0 && r.epoch_accuracy <= 1);
        seconds = r.seconds;
        sum = (in_epoch == 0 ? 0 : sum) + r.loss * (double)n;
        assert_at_most(fabs(r.epoch_loss - sum / (double)(in_epoch * 32 + n)), 1e-12, "error of the epoch's mean loss");
        assert_int_equal(lgt_model_step(lgt_trainer_model(t)), step);
    }
    assert_fails(lgt_trainer_step(t, &r, &err), LGT_ERR_USAGE, err, "ended after its 9 steps");
    lgt_trainer_free(t);
    o = test_train_options("softmax", "linear", 4);
    o.batch = 1000; /* larger than the dataset: one step an epoch */
    t = test_trainer(context, &o, &d);
    assert_ok(lgt_trainer_step(t, &r, &err), err);
    assert_int_equal(r.n_steps, 3);
    assert_int_equal(r.samples, 70);
    assert_true(isnan(r.schedule));
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

/* Plain descent moves the parameters by the rate times the gradient. */
static void the_gradient_norm_is_what_a_step_of_plain_descent_moves(void **state) {
    lgt_context *context = test_context(2);
    lgt_dataset d = test_clusters(40, 5, 3, 2, 7);
    lgt_train_options o = test_train_options("softmax", "linear", 4);
    lgt_train_record r;
    lgt_error err;
    float before[64];
    double moved = 0;
    (void)state;
    o.optimizer = LGT_OPTIMIZER_SGD;
    o.schedule = LGT_LR_CONSTANT;
    o.momentum = o.weight_decay = 0;
    o.l2 = 0.1;
    o.lr = 0.5;
    lgt_trainer *t = test_trainer(context, &o, &d);
    assert_true(lgt_trainer_gradient_norm(t) == 0);
    int64_t n = 0;
    for (int g = 0; g < LGT_N_GROUPS; g++)
        for (int64_t i = 0; i < t->groups[g].count; i++) before[n++] = t->groups[g].value[i];
    assert_int_equal(n, 5 * 4 + 4 + 4 * 3 + 3);
    assert_int_equal(n, lgt_model_n_params(lgt_trainer_model(t)));
    assert_ok(lgt_trainer_step(t, &r, &err), err);
    n = 0;
    for (int g = 0; g < LGT_N_GROUPS; g++)
        for (int64_t i = 0; i < t->groups[g].count; i++, n++)
            moved += pow(((double)t->groups[g].value[i] - before[n]) / o.lr, 2);
    assert_true(moved > 1e-4);
    /* a step of float32 rounds each parameter by 6e-8 of its size */
    assert_at_most(fabs(sqrt(moved) / lgt_trainer_gradient_norm(t) - 1), 1e-5, "gradient norm");
    assert_int_equal(r.zero_rows, 0);
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

typedef struct watched {
    int64_t done[8], n_rows, n_calls, n_most;
} watched;

static int watch(void *user, int64_t n_done, int64_t n_rows) {
    watched *w = user;
    w->n_rows = n_rows;
    w->done[w->n_calls++] = n_done;
    return w->n_calls > w->n_most;
}

static void the_objective_is_told_of_and_stopped_between_blocks(void **state) {
    lgt_context *context = test_context(2);
    lgt_dataset d = test_clusters(2100, 5, 3, 1, 7);
    lgt_train_options o = test_train_options("arcface:s=8,m=0.1", "mlp:6", 4);
    lgt_error err;
    double loss[2], objective[2];
    (void)state;
    lgt_trainer *t = test_trainer(context, &o, &d);
    watched whole = {.n_most = 8}, cut = {.n_most = 1};
    assert_ok(lgt_trainer_objective(t, NULL, NULL, &loss[0], &objective[0], &err), err);
    assert_ok(lgt_trainer_objective(t, watch, &whole, &loss[1], &objective[1], &err), err);
    assert_true(loss[0] == loss[1] && objective[0] == objective[1]);
    assert_true(whole.n_calls == 3 && whole.n_rows == 2100);
    for (int64_t k = 0; k < 3; k++) assert_int_equal(whole.done[k], 1024 * k);
    assert_int_equal(lgt_trainer_objective(t, watch, &cut, &loss[1], &objective[1], &err), LGT_ERR_INTERRUPTED);
    assert_string_equal(err.message, "stopped after 1024 of 2100 rows");
    assert_int_equal(cut.n_calls, 2);
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

static void the_objective_is_the_loss_of_a_batch_that_is_everything(void **state) {
    lgt_context *context = test_context(2);
    lgt_dataset d = test_clusters(2100, 5, 3, 1, 7); /* three blocks */
    lgt_train_options o = test_train_options("arcface:s=8,m=0.1", "mlp:6", 4);
    lgt_train_record r;
    lgt_error err;
    double loss, objective;
    (void)state;
    o.batch = 2100;
    o.label_smoothing = 0.1;
    o.z_loss = 0.01;
    lgt_trainer *t = test_trainer(context, &o, &d);
    assert_ok(lgt_trainer_objective(t, NULL, NULL, &loss, &objective, &err), err);
    assert_ok(lgt_trainer_step(t, &r, &err), err);
    assert_at_most(fabs(r.loss - loss), 1e-6 * loss, "distance of the objective from the loss"); /* float32 features */
    assert_true(objective == loss);
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

/* --- order --- */

static void every_epoch_walks_its_own_permutation(void **state) {
    enum { N = 70 };
    lgt_context *context = test_context(1);
    lgt_dataset d = test_clusters(N, 5, 3, 2, 7);
    lgt_train_options o = test_train_options("softmax", "linear", 4);
    lgt_trainer *t = test_trainer(context, &o, &d);
    int64_t last[N] = {0};
    lgt_train_record r;
    lgt_error err;
    (void)state;
    do {
        assert_ok(lgt_trainer_step(t, &r, &err), err);
        if (!r.end_of_epoch) continue;
        int seen[N] = {0};
        for (int i = 0; i < N; i++) seen[t->order[i]]++;
        for (int i = 0; i < N; i++) assert_int_equal(seen[i], 1);
        assert_memory_not_equal(t->order, last, sizeof last);
        memcpy(last, t->order, sizeof last);
    } while (r.step < r.n_steps);
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

typedef struct outcome {
    int64_t n_params;
    float *params;
    double loss;
} outcome;

static outcome outcome_of(int threads, const lgt_train_options *o, const lgt_dataset *d) {
    lgt_context *context = test_context(threads);
    lgt_trainer *t = test_trainer(context, o, d);
    outcome result = {.loss = test_train(t).epoch_loss};
    for (int g = 0; g < LGT_N_GROUPS; g++) result.n_params += t->groups[g].count;
    result.params = malloc((size_t)result.n_params * sizeof(float));
    float *at = result.params;
    for (int g = 0; g < LGT_N_GROUPS; g++) {
        for (int64_t i = 0; i < t->groups[g].count; i++) *at++ = t->groups[g].value[i];
    }
    lgt_trainer_free(t);
    lgt_context_free(context);
    return result;
}

static void trained_weights_have_the_same_bits_for_any_number_of_threads(void **state) {
    static const char *const losses[] = {"softmax", "arcface", "lsoftmax:m=2"};
    static const int threads[] = {2, 3, 8};
    lgt_dataset d = test_clusters(430, 40, 6, 1, 7);
    (void)state;
    for (size_t l = 0; l < sizeof losses / sizeof *losses; l++) {
        lgt_train_options o = test_train_options(losses[l], "mlp:120,90", 20); /* more than one range of parameters */
        o.batch = 200;                                                         /* four chunks, then one */
        o.standardize = l == 0 ? LGT_STANDARDIZE_FEATURE : LGT_STANDARDIZE_GLOBAL;
        o.optimizer = l == 1 ? LGT_OPTIMIZER_SGD : LGT_OPTIMIZER_ADAMW;
        o.l2 = 0.01;
        outcome one = outcome_of(1, &o, &d);
        for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
            outcome many = outcome_of(threads[i], &o, &d);
            assert_memory_equal(many.params, one.params, (size_t)one.n_params * sizeof(float));
            assert_true(many.loss == one.loss);
            free(many.params);
        }
        o.seed++;
        outcome other = outcome_of(1, &o, &d);
        assert_memory_not_equal(other.params, one.params, (size_t)one.n_params * sizeof(float));
        free(other.params);
        free(one.params);
    }
    test_clusters_free(&d);
}

/* What is kept is not computed twice: no bit depends on it but in bf16, where one pass rounds other numbers. */
static void a_larger_workspace_holds_more_and_trains_the_same(void **state) {
    lgt_dataset d = test_clusters(120, 16, 1000, 1, 7);
    (void)state;
    for (int precision = 0; precision <= LGT_PRECISION_BF16; precision++) {
        lgt_train_options o = test_train_options("cosface:s=16,m=0.2", "none", 16);
        outcome of[2];
        int64_t held[2];
        o.precision = (lgt_precision)precision;
        for (int k = 0; k < 2; k++) {
            lgt_context *context = test_context_counting(2);
            int64_t before = test_live_bytes();
            o.workspace = k ? 1 << 30 : 1;
            lgt_trainer *t = test_trainer(context, &o, &d);
            held[k] = test_live_bytes() - before;
            lgt_trainer_free(t);
            lgt_context_free(context);
            of[k] = outcome_of(2, &o, &d);
        }
        assert_true(held[1] >= held[0] + o.batch * 1000 * 2);
        int same = !memcmp(of[0].params, of[1].params, (size_t)of[0].n_params * sizeof(float));
        assert_int_equal(same, precision != LGT_PRECISION_BF16);
        assert_at_most(fabs(of[1].loss / of[0].loss - 1), same ? 0 : 0.01, "loss by the other workspace");
        free(of[0].params), free(of[1].params);
    }
    test_clusters_free(&d);
}

/* --- divergence --- */

static void a_training_that_diverges_names_step_and_rows_and_keeps_its_parameters(void **state) {
    static const char *const encoders[] = {"none", "mlp:12"};
    lgt_context *context = test_context(2);
    lgt_dataset d = test_clusters(70, 5, 3, 2, 7);
    (void)state;
    for (size_t e = 0; e < sizeof encoders / sizeof *encoders; e++) {
        lgt_train_options o = test_train_options("softmax", encoders[e], 4);
        lgt_train_record r = {0};
        lgt_status status = LGT_OK;
        lgt_error err;
        o.optimizer = LGT_OPTIMIZER_SGD;
        o.lr = 1e6;
        o.l2 = 1e3; /* W grows by a factor of 1e9 a step */
        lgt_trainer *t = test_trainer(context, &o, &d);
        float *before = malloc(sizeof(float) * (size_t)t->groups[0].count + 1), w[3 * 5];
        size_t w_bytes = sizeof(float) * (size_t)t->groups[LGT_GROUP_WEIGHT].count;
        while (status == LGT_OK && r.step < 9) {
            memcpy(before, t->groups[0].value, sizeof(float) * (size_t)t->groups[0].count);
            memcpy(w, t->model.w, w_bytes);
            status = lgt_trainer_step(t, &r, &err);
        }
        assert_fails(status, LGT_ERR_NONFINITE, err, "of the dataset");
        char step[32];
        snprintf(step, sizeof step, "step %lld", (long long)r.step + 1);
        assert_non_null(strstr(err.message, step));
        assert_non_null(strstr(err.message, "rows "));
        assert_memory_equal(t->groups[0].value, before, sizeof(float) * (size_t)t->groups[0].count);
        assert_memory_equal(t->model.w, w, w_bytes);
        assert_int_equal(lgt_model_step(lgt_trainer_model(t)), r.step);
        assert_int_equal(lgt_trainer_step(t, &r, NULL), LGT_ERR_NONFINITE); /* and again, without a place to write */
        free(before);
        lgt_trainer_free(t);
    }
    test_clusters_free(&d);
    lgt_context_free(context);
}

static void the_rows_whose_features_overflow_are_named(void **state) {
    lgt_context *context = test_context(1);
    lgt_dataset d = test_clusters(70, 5, 3, 2, 7);
    lgt_train_options o = test_train_options("arcface", "linear", 4);
    lgt_train_record r;
    lgt_error err;
    (void)state;
    o.standardize = LGT_STANDARDIZE_NONE;
    o.batch = 70;
    for (int k = 0; k < 5; k++) d.x[41 * 5 + k] = 3e38f; /* finite, but not times its weights */
    lgt_trainer *t = test_trainer(context, &o, &d);
    for (int k = 0; k < 20; k++) lgt_encoder_params(t->model.encoder)[k] = 2;
    lgt_status status = lgt_trainer_step(t, &r, &err);
    assert_fails(status, LGT_ERR_NONFINITE, err, "features of 1 of 70 samples are not finite, rows 41 of the dataset");
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

/* --- what is refused --- */

static void datasets_that_cannot_be_trained_on_are_refused(void **state) {
    lgt_context *context = test_context(1);
    lgt_dataset good = test_clusters(70, 5, 3, 2, 7), d;
    lgt_train_options o = test_train_options("softmax", "linear", 4);
    lgt_trainer *t = NULL;
    lgt_error err;
    (void)state;
    d = good, d.labels = NULL;
    assert_fails(lgt_trainer_create(context, &o, &d, &t, &err), LGT_ERR_DATA, err, "no labels");
    d = good, d.n_labels = 1;
    assert_fails(lgt_trainer_create(context, &o, &d, &t, &err), LGT_ERR_DATA, err, "1 classes");
    d = good, d.n_rows = 0;
    assert_fails(lgt_trainer_create(context, &o, &d, &t, &err), LGT_ERR_DATA, err, "(0, 5)");
    good.labels[13] = 3;
    assert_fails(lgt_trainer_create(context, &o, &good, &t, &err), LGT_ERR_DATA, err,
                 "row 13 of the dataset has label 3");
    good.labels[13] = 0;
    float kept = good.x[14 * 5 + 3];
    for (int way = LGT_STANDARDIZE_GLOBAL; way <= LGT_STANDARDIZE_FEATURE; way++) {
        o.standardize = (lgt_standardize)way;
        good.x[14 * 5 + 3] = way == LGT_STANDARDIZE_GLOBAL ? NAN : -INFINITY;
        assert_fails(lgt_trainer_create(context, &o, &good, &t, &err), LGT_ERR_DATA, err,
                     way == LGT_STANDARDIZE_GLOBAL ? "x holds nan at row 14, column 3"
                                                   : "x holds inf at row 14, column 3");
    }
    good.x[14 * 5 + 3] = kept;
    const float zeros[3] = {0};
    lgt_train_options started = test_train_options("arcface", "linear", 4);
    started.start_b = lgt_view_of(zeros, 1, 3, LGT_F32);
    assert_fails(lgt_trainer_create(context, &started, &good, &t, &err), LGT_ERR_USAGE, err,
                 "start_b is given, but arcface has no bias");
    started.start_b = (lgt_view){0}, started.momentum = 1;
    assert_fails(lgt_trainer_create(context, &started, &good, &t, &err), LGT_ERR_USAGE, err,
                 "momentum is 1, expected 0 to less than 1");
    o.encoder = "mlp:0";
    assert_fails(lgt_trainer_create(context, &o, &good, &t, &err), LGT_ERR_USAGE, err, "width \"0\"");
    o.encoder = "linear";
    o.dim = 0;
    assert_fails(lgt_trainer_create(context, &o, &good, &t, &err), LGT_ERR_USAGE, err, "dim 0");
    o.dim = 4;
    o.label_smoothing = 1;
    assert_fails(lgt_trainer_create(context, &o, &good, &t, &err), LGT_ERR_USAGE, err, "label_smoothing");
    o.label_smoothing = 0;
    o.epochs = 0;
    assert_fails(lgt_trainer_create(context, &o, &good, &t, &err), LGT_ERR_USAGE, err, "epochs is 0");
    assert_null(t);
    lgt_trainer_free(NULL);
    test_clusters_free(&good);
    lgt_context_free(context);
}

static void the_trainer_keeps_what_it_was_given(void **state) {
    char spec[] = "mlp:7";
    lgt_context *context = test_context(1);
    lgt_dataset d = test_clusters(40, 5, 3, 2, 7);
    lgt_train_options o = test_train_options("softmax", spec, 4);
    (void)state;
    o.bias = 0;
    lgt_trainer *t = test_trainer(context, &o, &d);
    memset(spec, 'x', sizeof spec - 1);
    test_train(t);
    lgt_model *m = lgt_trainer_model(t);
    assert_string_equal(lgt_model_encoder_spec(m), "mlp:7");
    assert_null(lgt_model_bias(m).data);
    assert_int_equal(lgt_model_in_dim(m), 5);
    assert_int_equal(lgt_model_dim(m), 4);
    assert_int_equal(lgt_model_n_classes(m), 3);
    assert_string_equal(lgt_model_label_names(m)[2], "2");
    lgt_trainer_free(t);
    o = test_train_options("softmax", "none", 99); /* "none" takes the features' dimension */
    t = test_trainer(context, &o, &d);
    assert_int_equal(lgt_model_dim(lgt_trainer_model(t)), 5);
    assert_non_null(lgt_model_bias(lgt_trainer_model(t)).data);
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

/* --- memory --- */

static void steps_allocate_nothing(void **state) {
    lgt_context *context = test_context_failing(0);
    lgt_dataset d = test_clusters(70, 5, 3, 2, 7);
    lgt_train_options o = test_train_options("arcface", "mlp:9,6", 4);
    lgt_trainer *t = test_trainer(context, &o, &d);
    int64_t before = test_allocations();
    (void)state;
    test_train(t);
    assert_int_equal(test_allocations(), before);
    lgt_trainer_free(t);
    lgt_context_free(context);
    assert_int_equal(test_live_blocks(), 0);
    test_clusters_free(&d);
}

static void every_refused_allocation_is_reported_and_leaks_nothing(void **state) {
    lgt_dataset d = test_clusters(70, 5, 3, 2, 7);
    lgt_train_options o = test_train_options("softmax", "mlp:9,6", 4);
    lgt_status status = LGT_ERR_MEMORY;
    (void)state;
    o.standardize = LGT_STANDARDIZE_FEATURE;
    for (int64_t fail_at = 1; status != LGT_OK; fail_at++) {
        lgt_context *context = test_context_failing(fail_at);
        lgt_trainer *t = NULL;
        double loss, objective;
        lgt_error err;
        status = lgt_trainer_create(context, &o, &d, &t, &err);
        if (!status) status = lgt_trainer_objective(t, NULL, NULL, &loss, &objective, &err);
        if (status) assert_fails(status, LGT_ERR_MEMORY, err, "out of memory");
        assert_true(fail_at < 200);
        lgt_trainer_free(t);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
    test_clusters_free(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(separable_clusters_are_learnt_by_every_kind_of_head),
        cmocka_unit_test(l2_pulls_the_head_towards_zero_and_enters_the_objective_alone),
        cmocka_unit_test(records_count_steps_epochs_and_samples),
        cmocka_unit_test(the_gradient_norm_is_what_a_step_of_plain_descent_moves),
        cmocka_unit_test(the_objective_is_the_loss_of_a_batch_that_is_everything),
        cmocka_unit_test(the_objective_is_told_of_and_stopped_between_blocks),
        cmocka_unit_test(every_epoch_walks_its_own_permutation),
        cmocka_unit_test(trained_weights_have_the_same_bits_for_any_number_of_threads),
        cmocka_unit_test(a_larger_workspace_holds_more_and_trains_the_same),
        cmocka_unit_test(a_training_that_diverges_names_step_and_rows_and_keeps_its_parameters),
        cmocka_unit_test(the_rows_whose_features_overflow_are_named),
        cmocka_unit_test(datasets_that_cannot_be_trained_on_are_refused),
        cmocka_unit_test(the_trainer_keeps_what_it_was_given),
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(every_refused_allocation_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
