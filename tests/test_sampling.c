/* The head's steps in place and class sampling: against dense updates, bit for bit; draws, their offsets and the loss.
 */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "train/train_options.h"
#include "train/trainer.h"
#include "train_data.h"

enum { DIM = 6, CLASSES = 90, ROWS = 180 };

/* --- a training by hand: gradients in an array, every parameter stepped in every step --- */

typedef struct by_hand {
    lgt_context *context;
    lgt_train_options options;
    lgt_head *head;
    lgt_plan *plan;
    float *w, *dw, *listed_dw, *w_m, *w_v, *b, *db, *listed_db, *b_m, *b_v, *x;
    int64_t *labels, *classes;
    double *offsets;
    int64_t w_rows, step;
    double gradient; /* |g|^2 over the listed rows */
} by_hand;

static void *zeros(int64_t count, size_t size) {
    void *block = calloc((size_t)(count + 1), size);
    assert_non_null(block);
    return block;
}

static by_hand *start_by_hand(const lgt_trainer *t) {
    by_hand *h = zeros(1, sizeof *h);
    lgt_error err;
    int64_t batch = t->batch, centres = lgt_loss_centres(&t->model.loss);
    h->context = test_context(1);
    h->options = t->options;
    h->w_rows = t->model.n_classes * centres;
    assert_ok(lgt_head_create(h->context, &t->options.loss, DIM, t->model.n_classes, &h->head, &err), err);
    lgt_plan_options o = lgt_trainer_plan_options(t, batch);
    double rate = t->options.sample_rate; /* with room for as many classes as the trainer has, which cuts alike */
    o.max_classes = rate < 1 ? lgt_sample_classes_most(t->model.n_classes, batch, rate) : 0;
    assert_ok(lgt_plan_create(h->head, &o, &h->plan, &err), err);
    float **vectors[] = {&h->w, &h->dw, &h->listed_dw, &h->w_m, &h->w_v};
    for (size_t k = 0; k < sizeof vectors / sizeof *vectors; k++) *vectors[k] = zeros(h->w_rows * DIM, sizeof(float));
    float **biases[] = {&h->b, &h->db, &h->listed_db, &h->b_m, &h->b_v};
    for (size_t k = 0; k < sizeof biases / sizeof *biases; k++) *biases[k] = zeros(t->model.n_classes, sizeof(float));
    h->x = zeros(batch * DIM, sizeof(float));
    h->labels = zeros(batch, sizeof(int64_t)), h->classes = zeros(t->model.n_classes, sizeof(int64_t));
    h->offsets = zeros(t->model.n_classes, sizeof(double));
    memcpy(h->w, t->model.w, (size_t)(h->w_rows * DIM) * sizeof(float));
    return h;
}

static void free_by_hand(by_hand *h) {
    void *blocks[] = {h->w,         h->dw,  h->listed_dw, h->w_m, h->w_v,    h->b,       h->db,
                      h->listed_db, h->b_m, h->b_v,       h->x,   h->labels, h->classes, h->offsets};
    for (size_t k = 0; k < sizeof blocks / sizeof *blocks; k++) free(blocks[k]);
    lgt_plan_free(h->plan);
    lgt_head_free(h->head);
    lgt_context_free(h->context);
    free(h);
}

static void step_group(by_hand *h, const lgt_update *u, lgt_param_group group) {
    lgt_update_some(lgt_update_kernel_of(h->context, h->options.optimizer), u, &group, 0, group.count, group.gradient);
}

/* The step that the trainer has just made, of the rows it has taken (features are the dataset's own). */
static double step_by_hand(by_hand *h, const lgt_trainer *t, int64_t n_steps) {
    const lgt_dataset *d = t->dataset;
    int64_t at = h->step % t->steps_per_epoch * t->batch, n = d->n_rows - at < t->batch ? d->n_rows - at : t->batch;
    int64_t centres = h->w_rows / t->model.n_classes, n_listed = t->model.n_classes;
    lgt_error err;
    for (int64_t i = 0; i < n; i++) {
        int64_t row = t->order[at + i];
        memcpy(h->x + i * DIM, d->x + row * DIM, DIM * sizeof(float));
        h->labels[i] = d->labels[row];
    }
    lgt_head_inputs in = {.x = lgt_view_of(h->x, n, DIM, LGT_F32), .labels = h->labels, .step = h->step};
    in.w = lgt_view_of(h->w, h->w_rows, DIM, LGT_F32);
    if (t->model.b) in.b = lgt_view_of(h->b, 1, t->model.n_classes, LGT_F32);
    for (int64_t j = 0; j < n_listed; j++) h->classes[j] = j;
    if (h->options.sample_rate < 1) {
        assert_ok(lgt_sample_classes(h->context, h->options.seed, h->step, t->model.n_classes, h->labels, n,
                                     h->options.sample_rate, h->classes, h->offsets, &n_listed, &err),
                  err);
        in.classes = h->classes, in.n_listed = n_listed;
        if (h->options.sample_correction) in.offsets = h->offsets;
    }
    lgt_head_outputs out = {.dw = lgt_mut_of(h->listed_dw, n_listed * centres, DIM, LGT_F32)};
    if (in.b.data) out.db = lgt_mut_of(h->listed_db, 1, n_listed, LGT_F32);
    assert_ok(lgt_plan_run(h->plan, &in, &out, &err), err);
    memset(h->dw, 0, (size_t)(h->w_rows * DIM) * sizeof(float));
    memset(h->db, 0, (size_t)t->model.n_classes * sizeof(float));
    h->gradient = 0;
    for (int64_t k = 0; k < n_listed; k++) {
        int64_t size = centres * DIM, row = h->classes[k] * size;
        memcpy(h->dw + row, h->listed_dw + k * size, (size_t)size * sizeof(float));
        h->db[h->classes[k]] = h->listed_db[k];
        for (int64_t l = 0; l < size; l++)
            h->gradient += pow(h->dw[row + l] + h->options.l2 * (double)h->w[row + l], 2);
        if (in.b.data) h->gradient += (double)h->listed_db[k] * (double)h->listed_db[k];
    }
    double lr = lgt_lr_at(&h->options, h->step, n_steps);
    lgt_update head = lgt_update_at(&h->options, lr, h->options.l2, ++h->step);
    lgt_update bias = lgt_update_at(&h->options, lr, 0, h->step);
    step_group(h, &head, (lgt_param_group){h->w, h->dw, h->w_m, h->w_v, h->w_rows * DIM});
    if (in.b.data) step_group(h, &bias, (lgt_param_group){h->b, h->db, h->b_m, h->b_v, t->model.n_classes});
    return out.loss;
}

static lgt_train_options options_of(const char *loss, lgt_optimizer optimizer, double rate) {
    lgt_train_options o = test_train_options(loss, "none", 0);
    o.standardize = LGT_STANDARDIZE_NONE;
    o.optimizer = optimizer;
    o.sample_rate = rate;
    o.lr = 0.02;
    o.l2 = 0.003;
    o.weight_decay = 0.01;
    return o;
}

static void same_weights(const by_hand *h, lgt_trainer *t) {
    const lgt_model *m = lgt_trainer_model(t);
    assert_memory_equal(m->w, h->w, (size_t)(h->w_rows * DIM) * sizeof(float));
    if (m->b) assert_memory_equal(m->b, h->b, (size_t)m->n_classes * sizeof(float));
}

static void train_both(const lgt_train_options *o, const lgt_dataset *d, int threads, int careful) {
    lgt_context *context = test_context(threads);
    lgt_trainer *t = test_trainer(context, o, d);
    by_hand *h = start_by_hand(t);
    lgt_train_record r = {0};
    lgt_error err;
    if (careful) t->data_norm = INFINITY;
    do {
        assert_ok(lgt_trainer_step(t, &r, &err), err);
        assert_true(lgt_trainer_is_bounded(t, 1) == !careful);
        assert_true(r.loss == step_by_hand(h, t, r.n_steps));
        /* float32 sums of the gradient with l2 */
        assert_at_most(fabs(lgt_trainer_gradient_norm(t) / sqrt(h->gradient) - 1), 1e-6, "gradient norm");
        if (r.step % 41 == 0) same_weights(h, t);
    } while (r.step < r.n_steps);
    same_weights(h, t);
    free_by_hand(h);
    lgt_trainer_free(t);
    lgt_context_free(context);
}

static void steps_in_place_have_the_bits_of_dense_updates(void **state) {
    static const char *const losses[] = {"softmax", "arcface:s=16,m=0.2", "subcenter:s=8,k=2"};
    static const double rates[] = {1, 0.1, 0.03};
    lgt_dataset d = test_clusters(ROWS, DIM, CLASSES, 2, 7);
    (void)state;
    for (size_t l = 0; l < sizeof losses / sizeof *losses; l++)
        for (size_t k = 0; k < sizeof rates / sizeof *rates; k++)
            for (int optimizer = LGT_OPTIMIZER_SGD; optimizer <= LGT_OPTIMIZER_ADAMW; optimizer++) {
                lgt_train_options o = options_of(losses[l], (lgt_optimizer)optimizer, rates[k]);
                o.batch = 7;
                o.epochs = 12; /* 312 steps: more than a history holds, of a falling rate */
                o.warmup = 20;
                o.sample_correction = l != 1;
                train_both(&o, &d, 1 + (int)k, l == 0 && k == 1);
            }
    test_clusters_free(&d);
}

/* The model is settled only when asked for: rows in between are behind, and the end of a history is no different. */
static void rows_that_are_not_drawn_fall_behind_until_the_model_is_asked_for(void **state) {
    lgt_context *context = test_context(2);
    lgt_dataset d = test_clusters(ROWS, DIM, CLASSES, 2, 7);
    lgt_train_options o = options_of("softmax", LGT_OPTIMIZER_ADAMW, 0.05);
    lgt_train_record r;
    lgt_error err;
    int64_t behind = 0;
    (void)state;
    o.batch = 3;
    lgt_trainer *t = test_trainer(context, &o, &d);
    for (int i = 0; i < 9; i++) assert_ok(lgt_trainer_step(t, &r, &err), err);
    for (int j = 0; j < CLASSES; j++) behind += t->head_step.seen[j] < t->head_step.n_history;
    assert_true(behind > CLASSES / 4);
    assert_int_equal(t->head_step.n_history, 9);
    lgt_trainer_model(t);
    assert_int_equal(t->head_step.n_history, 0);
    for (int j = 0; j < CLASSES; j++) assert_int_equal(t->head_step.seen[j], 0);
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

/* --- draws --- */

static void a_draw_has_all_labels_and_the_share_of_the_others(void **state) {
    static const struct {
        int64_t n_classes, n_labels;
        double rate;
        int64_t listed; /* with labels 0, 3, 6, ... */
    } cases[] = {{1, 1, 0.5, 1},     {2, 1, 0.5, 2},         {100, 1, 1, 100},  {100, 0, 0.1, 10},
                 {100, 10, 0.1, 19}, {100, 34, 0.01, 35},    {34, 34, 0.1, 34}, {1000, 7, 0.0001, 8},
                 {64, 1, 0.5, 33},   {65, 20, 0.5, 20 + 23}, {129, 2, 0.9, 116}};
    lgt_context *context = test_context(1);
    static int64_t labels[64], classes[1000], again[1000];
    static double offsets[1000];
    lgt_error err;
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        int64_t n = cases[c].n_classes, n_labels = cases[c].n_labels, listed, count, distinct = 0;
        for (int64_t i = 0; i < n_labels; i++) labels[i] = i * 3 % n;
        assert_ok(
            lgt_sample_classes(context, 5, 9, n, labels, n_labels, cases[c].rate, classes, offsets, &listed, &err),
            err);
        assert_int_equal(listed, cases[c].listed);
        assert_true(listed <= lgt_sample_classes_most(n, n_labels, cases[c].rate));
        for (int64_t k = 1; k < listed; k++) assert_true(classes[k - 1] < classes[k]);
        assert_true(classes[0] >= 0 && classes[listed - 1] < n);
        for (int64_t k = 0; k < listed; k++) {
            int is_label = 0;
            for (int64_t i = 0; i < n_labels; i++) is_label |= labels[i] == classes[k];
            distinct += is_label;
            if (is_label) assert_true(offsets[k] == 0);
        }
        for (int64_t k = 0; k < listed; k++)
            if (offsets[k] != 0) assert_true(offsets[k] == log((double)(n - distinct) / (double)(listed - distinct)));
        assert_int_equal(distinct, n_labels);
        assert_ok(lgt_sample_classes(context, 5, 9, n, labels, n_labels, cases[c].rate, again, NULL, &count, &err),
                  err);
        assert_int_equal(count, listed);
        assert_memory_equal(again, classes, (size_t)listed * sizeof *classes); /* any step can be drawn again */
    }
    labels[0] = 100;
    assert_fails(lgt_sample_classes(context, 5, 9, 100, labels, 1, 0.5, classes, NULL, classes, &err), LGT_ERR_DATA,
                 err, "labels: row 0 is 100, expected 0 to 99");
    assert_fails(lgt_sample_classes(context, 5, 9, 100, labels, 0, 0, classes, NULL, classes, &err), LGT_ERR_USAGE, err,
                 "sample_rate is 0, expected 0 < R <= 1");
    assert_fails(lgt_sample_classes(context, 5, -1, 100, labels, 0, 1, classes, NULL, classes, &err), LGT_ERR_USAGE,
                 err, "step -1");
    lgt_context_free(context);
}

/* Every class, and every pair of classes, as often as any other. */
static void draws_are_uniform_without_replacement(void **state) {
    enum { C = 23, K = 7, DRAWS = 40000 }; /* two labels, so 21 others; a third of them */
    static const int64_t labels[] = {4, 11, 4};
    static double alone[C], pairs[C][C];
    lgt_context *context = test_context(1);
    lgt_error err;
    double chi = 0, chi_pairs = 0, n_pairs = 0;
    (void)state;
    for (int64_t step = 0; step < DRAWS; step++) {
        int64_t classes[C], n;
        assert_ok(lgt_sample_classes(context, 3, step, C, labels, 3, 1.0 / 3, classes, NULL, &n, &err), err);
        assert_int_equal(n, K + 2);
        for (int64_t i = 0; i < n; i++) {
            alone[classes[i]]++;
            for (int64_t k = 0; k < i; k++) pairs[classes[k]][classes[i]]++;
        }
    }
    double p = 1.0 / 3, p_pair = p * 6 / 20;
    assert_true(alone[4] == DRAWS && alone[11] == DRAWS);
    for (int j = 0; j < C; j++) {
        if (j == 4 || j == 11) continue;
        chi += pow(alone[j] - DRAWS * p, 2) / (DRAWS * p * (1 - p)) * 20 / 21; /* the sum is fixed */
        for (int i = 0; i < j; i++) {
            if (i == 4 || i == 11) continue;
            chi_pairs += pow(pairs[i][j] - DRAWS * p_pair, 2) / (DRAWS * p_pair * (1 - p_pair));
            n_pairs++;
        }
    }
    /* chi-square of 20 degrees: mean 20, deviation 6.3; the terms of pairs have mean 1, and hang together */
    assert_at_most(chi, 20 + 5 * sqrt(40), "chi-square of single classes");
    assert_at_most(fabs(chi_pairs / n_pairs - 1), 0.5, "mean deviation of pairs");
    lgt_context_free(context);
}

/* --- the loss --- */

/* Random features and weights, C = 4,000, a tenth drawn: the crowd loses nine tenths of its sum, log 10 = 2.3 nats. */
static void the_correction_takes_nearly_all_of_the_bias(void **state) {
    enum { N = 16, C = 4000, D = 16, DRAWS = 40 };
    static float x[N * D], w[C * D];
    static int64_t labels[N], classes[C];
    static double offsets[C];
    lgt_context *context = test_context(2);
    lgt_loss loss;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_plan_options o;
    lgt_error err;
    double corrected = 0, plain = 0;
    (void)state;
    test_normal_f32(x, N * D, 31, 0), test_normal_f32(w, C * D, 31, 1);
    test_labels(labels, N, C, 31);
    assert_ok(lgt_loss_parse("arcface:s=16,m=0.3", &loss, &err), err);
    assert_ok(lgt_head_create(context, &loss, D, C, &head, &err), err);
    lgt_plan_options_init(&o);
    o.max_rows = N, o.max_classes = C;
    assert_ok(lgt_plan_create(head, &o, &plan, &err), err);
    lgt_head_inputs in = {.x = lgt_view_of(x, N, D, LGT_F32), .w = lgt_view_of(w, C, D, LGT_F32), .labels = labels};
    lgt_head_outputs full = {0}, out = {0};
    assert_ok(lgt_plan_run(plan, &in, &full, &err), err);
    for (int step = 0; step < DRAWS; step++) {
        assert_ok(lgt_sample_classes(context, 1, step, C, labels, N, 0.1, classes, offsets, &in.n_listed, &err), err);
        in.classes = classes, in.offsets = offsets;
        assert_ok(lgt_plan_run(plan, &in, &out, &err), err);
        corrected += (out.loss - full.loss) / DRAWS;
        in.offsets = NULL;
        assert_ok(lgt_plan_run(plan, &in, &out, &err), err);
        plain += (out.loss - full.loss) / DRAWS;
    }
    /* The log of a sum over 400 draws is below the log of its mean by half its relative variance, about 0.05 here. */
    assert_at_most(fabs(corrected), 0.15, "bias of the corrected loss");
    assert_at_most(fabs(plain + log(10)), 0.25, "the uncorrected loss, against log 10 too low");
    lgt_plan_free(plan);
    lgt_head_free(head);
    lgt_context_free(context);
}

/* --- trainings --- */

static void sampled_trainings_have_the_same_bits_for_any_number_of_threads(void **state) {
    lgt_dataset d = test_clusters(400, DIM, CLASSES, 2, 7);
    lgt_train_options o = test_train_options("arcface:s=16,m=0.2", "mlp:20", 9);
    float *first = NULL;
    (void)state;
    o.sample_rate = 0.2;
    for (int threads = 1; threads <= 8; threads *= 2) {
        lgt_context *context = test_context(threads);
        lgt_trainer *t = test_trainer(context, &o, &d);
        test_train(t);
        const lgt_model *m = lgt_trainer_model(t);
        size_t size = sizeof(float) * CLASSES * 9;
        if (!first) {
            first = malloc(size);
            memcpy(first, m->w, size);
        }
        assert_memory_equal(m->w, first, size);
        lgt_trainer_free(t);
        lgt_context_free(context);
    }
    free(first);
    test_clusters_free(&d);
}

static void sampled_trainings_learn_allocate_nothing_and_refuse_label_smoothing(void **state) {
    lgt_context *context = test_context_failing(0);
    lgt_dataset d = test_clusters(400, 8, 40, 4, 7);
    lgt_train_options o = test_train_options("softmax", "linear", 16);
    double before, after, objective;
    lgt_trainer *t;
    lgt_error err;
    (void)state;
    o.sample_rate = 0.1;
    o.lr = 0.02;
    o.epochs = 20;
    t = test_trainer(context, &o, &d);
    assert_ok(lgt_trainer_objective(t, NULL, NULL, &before, &objective, &err), err);
    int64_t allocations = test_allocations();
    test_train(t);
    assert_int_equal(test_allocations(), allocations);
    assert_ok(lgt_trainer_objective(t, NULL, NULL, &after, &objective, &err), err);
    assert_at_most(after, 0.2 * before, "loss over all classes after sampled training");
    lgt_trainer_free(t);
    o.label_smoothing = 0.1;
    assert_fails(lgt_trainer_create(context, &o, &d, &t, &err), LGT_ERR_UNSUPPORTED, err, "label smoothing");
    lgt_context_free(context);
    for (int64_t fail_at = 1, status = LGT_ERR_MEMORY; status != LGT_OK; fail_at++) {
        context = test_context_failing(fail_at);
        o.label_smoothing = 0;
        t = NULL;
        status = lgt_trainer_create(context, &o, &d, &t, &err);
        assert_true(status == LGT_OK || status == LGT_ERR_MEMORY);
        lgt_trainer_free(t);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
    test_clusters_free(&d);
}

/* bfloat16 products only: the same training within their rounding, and not the same bits. */
static void low_precision_trains_nearly_the_same(void **state) {
    lgt_context *context = test_context(1);
    lgt_dataset d = test_clusters(200, 8, 10, 4, 7);
    lgt_train_options o = test_train_options("arcface:s=8,m=0.1", "linear", 16);
    double losses[2];
    (void)state;
    for (int k = 0; k < 2; k++) {
        o.precision = k ? LGT_PRECISION_BF16 : LGT_PRECISION_FULL;
        lgt_trainer *t = test_trainer(context, &o, &d);
        losses[k] = test_train(t).epoch_loss;
        lgt_trainer_free(t);
    }
    assert_true(losses[0] != losses[1]);
    assert_at_most(fabs(losses[1] / losses[0] - 1), 0.05, "loss in bf16 against f32");
    test_clusters_free(&d);
    lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_in_place_have_the_bits_of_dense_updates),
        cmocka_unit_test(rows_that_are_not_drawn_fall_behind_until_the_model_is_asked_for),
        cmocka_unit_test(a_draw_has_all_labels_and_the_share_of_the_others),
        cmocka_unit_test(draws_are_uniform_without_replacement),
        cmocka_unit_test(the_correction_takes_nearly_all_of_the_bias),
        cmocka_unit_test(sampled_trainings_have_the_same_bits_for_any_number_of_threads),
        cmocka_unit_test(sampled_trainings_learn_allocate_nothing_and_refuse_label_smoothing),
        cmocka_unit_test(low_precision_trains_nearly_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
