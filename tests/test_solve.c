/* Heads on fixed features brought to the minimum: optimality, certificates, corners, faults, the same bits on any
 * number of threads. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train_data.h"

static const lgt_optimizer optimizers[] = {LGT_OPTIMIZER_LBFGS, LGT_OPTIMIZER_NEWTON_CG};
enum { N_OPTIMIZERS = 2 };

static lgt_train_options options_for(lgt_optimizer optimizer, const char *loss) {
    lgt_train_options o = test_train_options(loss, "none", 1);
    o.optimizer = optimizer;
    o.l2 = 0.01;
    o.tolerance = 1e-9;
    return o;
}

static lgt_solve_record solve(lgt_trainer *trainer) {
    lgt_solve_record record;
    lgt_error err;
    assert_ok(lgt_trainer_solve(trainer, NULL, NULL, &record, &err), err);
    return record;
}

static lgt_solve_record solve_data(const lgt_train_options *options, const lgt_dataset *data) {
    lgt_context *context = test_context(2);
    lgt_trainer *trainer = test_trainer(context, options, data);
    lgt_solve_record record = solve(trainer);
    lgt_trainer_free(trainer);
    lgt_context_free(context);
    return record;
}

/* Mean softmax loss and gradient in plain loops of double at the model's parameters. */
static double plain_objective(lgt_model *model, const lgt_dataset *d, double l2, double *gradient_norm) {
    lgt_view w = lgt_model_weights(model), b = lgt_model_bias(model);
    const float *wv = w.data, *bv = b.data;
    double loss = 0, square = 0, *g = calloc((size_t)(w.rows * (d->dim + 1)), sizeof *g), p[16];
    for (int64_t i = 0; i < d->n_rows; i++) {
        double sum = 0;
        for (int64_t j = 0; j < w.rows; j++) {
            p[j] = bv ? (double)bv[j] : 0;
            for (int64_t k = 0; k < d->dim; k++) p[j] += (double)wv[j * d->dim + k] * (double)d->x[i * d->dim + k];
        }
        double own = p[d->labels[i]];
        for (int64_t j = 0; j < w.rows; j++) sum += p[j] = exp(p[j] - own);
        loss += log(sum) / (double)d->n_rows;
        for (int64_t j = 0; j < w.rows; j++) {
            double force = (p[j] / sum - (j == d->labels[i])) / (double)d->n_rows;
            for (int64_t k = 0; k < d->dim; k++) g[j * (d->dim + 1) + k] += force * (double)d->x[i * d->dim + k];
            if (bv) g[j * (d->dim + 1) + d->dim] += force;
        }
    }
    for (int64_t j = 0; j < w.rows; j++)
        for (int64_t k = 0; k < d->dim; k++) {
            double weight = (double)wv[j * d->dim + k];
            g[j * (d->dim + 1) + k] += l2 * weight;
            loss += l2 / 2 * weight * weight;
        }
    for (int64_t i = 0; i < w.rows * (d->dim + 1); i++) square += g[i] * g[i];
    free(g);
    *gradient_norm = sqrt(square);
    return loss;
}

static void softmax_regression_reaches_the_tolerance_and_what_it_reports_is_true(void **state) {
    (void)state;
    for (int which = 0; which < N_OPTIMIZERS; which++)
        for (int bias = 0; bias <= 1; bias++) {
            lgt_context *context = test_context(2);
            lgt_dataset data = test_clusters(301, 7, 5, 0.7, 3);
            lgt_train_options o = options_for(optimizers[which], "softmax");
            o.bias = bias;
            o.standardize = LGT_STANDARDIZE_NONE;
            lgt_trainer *trainer = test_trainer(context, &o, &data);
            lgt_solve_record r = solve(trainer);
            double norm, objective = plain_objective(lgt_trainer_model(trainer), &data, o.l2, &norm);
            assert_true(r.converged && !r.stopped);
            assert_at_most(r.gradient_norm, r.goal, "gradient norm");
            assert_at_most(fabs(r.model_objective - objective), 1e-12, "objective");
            assert_at_most(fabs(r.model_gradient_norm - norm), 1e-12, "norm");
            assert_at_most(norm, 1e-6, "norm after rounding to float32");
            assert_true(r.certified_gap >= 0);
            assert_at_most(r.certified_gap, 1e-11, "certified gap");
            lgt_trainer_free(trainer);
            test_clusters_free(&data);
            lgt_context_free(context);
        }
}

/* However early a descent ends, the minimum lies within its certificate. */
static void certificates_hold_at_every_iterate(void **state) {
    lgt_dataset data = test_clusters(211, 6, 4, 0.5, 8);
    const double smoothings[] = {0, 0.1};
    (void)state;
    for (int s = 0; s < 2; s++) {
        lgt_train_options o = options_for(LGT_OPTIMIZER_LBFGS, "softmax");
        o.label_smoothing = smoothings[s];
        lgt_solve_record best = solve_data(&o, &data);
        assert_true(best.converged);
        double last = INFINITY;
        for (o.max_iterations = 0; o.max_iterations < 12; o.max_iterations += 2) {
            lgt_solve_record r = solve_data(&o, &data);
            double gap = r.model_objective - best.model_objective;
            assert_false(r.converged);
            assert_true(gap > 0);
            assert_at_most(gap, r.certified_gap, "gap");
            last = r.certified_gap;
        }
        assert_at_most(last, 0.01, "the last certificate");
    }
    test_clusters_free(&data);
}

static void both_optimizers_reach_the_same_minimum(void **state) {
    lgt_dataset data = test_clusters(150, 9, 3, 0.4, 4);
    (void)state;
    lgt_train_options o = options_for(LGT_OPTIMIZER_LBFGS, "softmax");
    lgt_solve_record a = solve_data(&o, &data);
    o.optimizer = LGT_OPTIMIZER_NEWTON_CG;
    lgt_solve_record b = solve_data(&o, &data);
    assert_true(a.converged && b.converged && b.products > 0 && a.products == 0);
    assert_at_most(fabs(a.objective - b.objective), 1e-14, "objectives"); /* a gap is |g|^2 / (2 l2) = 5e-17 */
    test_clusters_free(&data);
}

static void the_same_bits_on_any_number_of_threads(void **state) {
    lgt_dataset data = test_clusters(517, 33, 4, 0.3, 5);
    (void)state;
    for (int which = 0; which < N_OPTIMIZERS; which++) {
        lgt_train_options o = options_for(optimizers[which], "softmax");
        lgt_solve_record first = {0};
        for (int threads = 1; threads <= 3; threads++) {
            lgt_context *context = test_context(threads);
            lgt_trainer *trainer = test_trainer(context, &o, &data);
            lgt_solve_record r = solve(trainer);
            r.seconds = 0;
            if (threads == 1) first = r;
            assert_memory_equal(&first, &r, sizeof r);
            lgt_trainer_free(trainer);
            lgt_context_free(context);
        }
    }
    test_clusters_free(&data);
}

static void cosine_heads_end_at_a_small_gradient_without_a_certificate(void **state) {
    static const char *const losses[] = {"normalized:s=4", "arcface:s=8,m=0.2", "lsoftmax:m=2",
                                         "adaface:s=8",    "subcenter:s=8,k=2", "curricularface:s=8"};
    lgt_dataset data = test_clusters(120, 6, 3, 1.0, 6);
    (void)state;
    for (int which = 0; which < N_OPTIMIZERS; which++)
        for (size_t l = 0; l < sizeof losses / sizeof *losses; l++) {
            lgt_train_options o = options_for(optimizers[which], losses[l]);
            o.l2 = 0; /* lengths of weights do nothing: with l2 they would shrink for ever */
            o.tolerance = 1e-4;
            o.max_iterations = 0;
            lgt_solve_record start = solve_data(&o, &data);
            o.max_iterations = 300;
            lgt_solve_record r = solve_data(&o, &data);
            assert_true(isnan(r.certified_gap));
            assert_true(r.model_objective < start.model_objective);
            if (l < 2) assert_true(r.converged); /* the others have kinks */
        }
    test_clusters_free(&data);
}

static void separable_classes_without_l2_have_no_minimum_and_no_certificate(void **state) {
    lgt_dataset data = test_clusters(60, 5, 3, 20, 7);
    (void)state;
    for (int which = 0; which < N_OPTIMIZERS; which++) {
        lgt_train_options o = options_for(optimizers[which], "softmax");
        o.l2 = 0;
        o.tolerance = 1e-25;
        o.max_iterations = 10;
        lgt_solve_record r = solve_data(&o, &data);
        assert_false(r.converged);
        assert_true(isnan(r.certified_gap) && isfinite(r.model_objective));
        assert_int_equal(r.n_correct, data.n_rows);
    }
    test_clusters_free(&data);
}

static void a_class_without_rows_leaves_a_bias_without_an_optimum_and_no_certificate(void **state) {
    lgt_dataset data = test_clusters(60, 5, 3, 0.5, 7);
    (void)state;
    data.n_labels = 4;
    lgt_train_options o = options_for(LGT_OPTIMIZER_LBFGS, "softmax");
    o.max_iterations = 20;
    assert_true(isnan(solve_data(&o, &data).certified_gap));
    o.bias = 0;
    o.max_iterations = 200;
    lgt_solve_record r = solve_data(&o, &data);
    assert_true(r.converged && r.certified_gap < 1e-9);
    test_clusters_free(&data);
}

static int stop_at_two(void *user, const lgt_solve_record *record) {
    int64_t *calls = user;
    assert_int_equal(record->iterations, *calls);
    ++*calls;
    return record->iterations == 2;
}

static void watch_sees_every_iteration_and_stops(void **state) {
    lgt_context *context = test_context(1);
    lgt_dataset data = test_clusters(90, 4, 3, 0.5, 9);
    lgt_train_options o = options_for(LGT_OPTIMIZER_LBFGS, "softmax");
    lgt_trainer *trainer = test_trainer(context, &o, &data);
    lgt_solve_record r;
    lgt_error err;
    int64_t calls = 0;
    (void)state;
    assert_ok(lgt_trainer_solve(trainer, stop_at_two, &calls, &r, &err), err);
    assert_true(r.stopped && !r.converged);
    assert_int_equal(calls, 3);
    assert_int_equal(lgt_model_step(lgt_trainer_model(trainer)), 2);
    lgt_solve_record again = solve(trainer); /* from where it stopped */
    assert_true(again.converged);
    lgt_trainer_free(trainer);
    test_clusters_free(&data);
    lgt_context_free(context);
}

static void what_does_not_fit_is_refused(void **state) {
    lgt_context *context = test_context(1);
    lgt_dataset data = test_clusters(30, 4, 3, 0.5, 9);
    lgt_trainer *trainer = NULL;
    lgt_train_record step;
    lgt_solve_record r;
    lgt_error err;
    (void)state;
    lgt_train_options o = options_for(LGT_OPTIMIZER_LBFGS, "softmax");
    o.encoder = "linear";
    assert_fails(lgt_trainer_create(context, &o, &data, &trainer, &err), LGT_ERR_USAGE, err, "the encoder is linear");
    o = options_for(LGT_OPTIMIZER_NEWTON_CG, "arcface:gradient=detached");
    assert_fails(lgt_trainer_create(context, &o, &data, &trainer, &err), LGT_ERR_USAGE, err, "needs gradient=exact");
    o = options_for(LGT_OPTIMIZER_LBFGS, "softmax");
    assert_ok(lgt_align_parse("pga", &o.align, &err), err);
    assert_fails(lgt_trainer_create(context, &o, &data, &trainer, &err), LGT_ERR_USAGE, err, "takes no alignment");
    o = options_for(LGT_OPTIMIZER_LBFGS, "softmax");
    o.tolerance = NAN;
    assert_fails(lgt_trainer_create(context, &o, &data, &trainer, &err), LGT_ERR_USAGE, err, "tolerance is nan");
    o.tolerance = 1e-5;
    trainer = test_trainer(context, &o, &data);
    assert_fails(lgt_trainer_step(trainer, &step, &err), LGT_ERR_USAGE, err, "expected lgt_trainer_solve");
    lgt_trainer_free(trainer);
    o.optimizer = LGT_OPTIMIZER_SGD;
    trainer = test_trainer(context, &o, &data);
    assert_fails(lgt_trainer_solve(trainer, NULL, NULL, &r, &err), LGT_ERR_USAGE, err, "expected lbfgs");
    lgt_trainer_free(trainer);
    test_clusters_free(&data);
    lgt_context_free(context);
}

static void features_that_are_not_finite_name_their_row(void **state) {
    lgt_context *context = test_context(1);
    lgt_dataset data = test_clusters(30, 4, 3, 0.5, 9);
    lgt_train_options o = options_for(LGT_OPTIMIZER_LBFGS, "softmax");
    lgt_solve_record r;
    lgt_error err;
    (void)state;
    o.standardize = LGT_STANDARDIZE_NONE;
    lgt_trainer *trainer = test_trainer(context, &o, &data);
    data.x[17 * 4 + 2] = NAN;
    assert_fails(lgt_trainer_solve(trainer, NULL, NULL, &r, &err), LGT_ERR_DATA, err, "row 17");
    lgt_trainer_free(trainer);
    test_clusters_free(&data);
    lgt_context_free(context);
}

static void allocations_that_fail_leave_nothing_behind(void **state) {
    lgt_dataset data = test_clusters(40, 5, 3, 0.5, 9);
    (void)state;
    for (int which = 0; which < N_OPTIMIZERS; which++) {
        lgt_status status = LGT_ERR_MEMORY;
        lgt_train_options o = options_for(optimizers[which], "softmax");
        for (int64_t fail_at = 1; status; fail_at++) {
            lgt_context *context = test_context_failing(fail_at);
            lgt_trainer *trainer = NULL;
            lgt_solve_record r;
            lgt_error err;
            status = lgt_trainer_create(context, &o, &data, &trainer, &err);
            if (!status) status = lgt_trainer_solve(trainer, NULL, NULL, &r, &err);
            if (status) assert_int_equal(status, LGT_ERR_MEMORY);
            lgt_trainer_free(trainer);
            lgt_context_free(context);
            assert_int_equal(test_live_blocks(), 0);
            assert_true(fail_at < 200);
        }
    }
    test_clusters_free(&data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(softmax_regression_reaches_the_tolerance_and_what_it_reports_is_true),
        cmocka_unit_test(certificates_hold_at_every_iterate),
        cmocka_unit_test(both_optimizers_reach_the_same_minimum),
        cmocka_unit_test(the_same_bits_on_any_number_of_threads),
        cmocka_unit_test(cosine_heads_end_at_a_small_gradient_without_a_certificate),
        cmocka_unit_test(separable_classes_without_l2_have_no_minimum_and_no_certificate),
        cmocka_unit_test(a_class_without_rows_leaves_a_bias_without_an_optimum_and_no_certificate),
        cmocka_unit_test(watch_sees_every_iteration_and_stops),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(features_that_are_not_finite_name_their_row),
        cmocka_unit_test(allocations_that_fail_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
