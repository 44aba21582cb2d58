/* Training with the adaptive losses: every loss learns, and the state moves in its order, is saved and read back. */
#include "temporary.h"

#include <math.h>

#include "math/sphere.h"
#include "train/trainer.h"
#include "train_data.h"

static void every_loss_of_the_list_learns_separable_clusters(void **state) {
    lgt_context *context = test_context(2);
    lgt_dataset d = test_clusters(200, 8, 4, 4, 7);
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) {
        lgt_train_options o = test_train_options(lgt_loss_at(i)->name, "linear", 6);
        double before, after, objective;
        lgt_error err;
        o.lr = 0.02;
        o.epochs = 20;
        lgt_trainer *t = test_trainer(context, &o, &d);
        assert_ok(lgt_trainer_objective(t, NULL, NULL, &before, &objective, &err), err);
        lgt_train_record r = test_train(t);
        assert_ok(lgt_trainer_objective(t, NULL, NULL, &after, &objective, &err), err);
        if (!(r.epoch_accuracy >= 0.98 && after < before))
            fail_msg("%s: accuracy %g, loss %g before and %g after", lgt_loss_at(i)->name, r.epoch_accuracy, before,
                     after);
        lgt_trainer_free(t);
    }
    test_clusters_free(&d);
    lgt_context_free(context);
}

/* With encoder none and no standardising, the features are the dataset's rows: the state can be followed by hand. The
 * batch of a step is the whole dataset. */
static lgt_trainer *plain_trainer(lgt_context *context, const char *spec, const lgt_dataset *d) {
    lgt_train_options o = test_train_options(spec, "none", 0);
    o.batch = d->n_rows;
    o.epochs = 5;
    o.standardize = LGT_STANDARDIZE_NONE;
    return test_trainer(context, &o, d);
}

static void the_norms_statistics_follow_every_batch_before_it_is_used(void **state) {
    lgt_context *context = test_context(1);
    lgt_dataset d = test_clusters(40, 5, 3, 2, 11);
    lgt_trainer *t = plain_trainer(context, "adaface:ema=0.25,mean=20,deviation=100", &d);
    double mean = 0, square = 0, expected_mean = 20, expected_deviation = 100, norms[40];
    (void)state;
    for (int i = 0; i < 40; i++) {
        double sum = 0;
        for (int k = 0; k < 5; k++) sum += (double)d.x[i * 5 + k] * d.x[i * 5 + k];
        norms[i] = sqrt(sum);
        mean += norms[i] / 40;
    }
    for (int i = 0; i < 40; i++) square += (norms[i] - mean) * (norms[i] - mean);
    for (int step = 0; step < 5; step++) {
        lgt_train_record record;
        lgt_error err;
        assert_ok(lgt_trainer_step(t, &record, &err), err);
        const lgt_loss *loss = lgt_model_loss(lgt_trainer_model(t));
        expected_mean += 0.25 * (mean - expected_mean);
        expected_deviation += 0.25 * (sqrt(square / 39) - expected_deviation);
        /* Sums of 40 numbers in another order. */
        assert_at_most(fabs(lgt_loss_value(loss, "mean") / expected_mean - 1), 1e-13, "mean");
        assert_at_most(fabs(lgt_loss_value(loss, "deviation") / expected_deviation - 1), 1e-13, "deviation");
    }
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

/* The mean cosine of every row with its class's weights as they stand. */
static double mean_cosine(const lgt_dataset *d, lgt_view w) {
    double sum = 0, x[8], v[8];
    for (int64_t i = 0; i < d->n_rows; i++) {
        for (int64_t k = 0; k < d->dim; k++) {
            x[k] = (double)d->x[i * d->dim + k];
            v[k] = (double)((const float *)w.data)[d->labels[i] * w.ld + k];
        }
        lgt_unit(x, d->dim, x), lgt_unit(v, d->dim, v);
        sum += lgt_dot(x, v, d->dim);
    }
    return sum / (double)d->n_rows;
}

static void the_hard_negatives_weight_follows_the_target_cosine_before_the_update(void **state) {
    lgt_context *context = test_context(1);
    lgt_dataset d = test_clusters(40, 5, 3, 2, 12);
    lgt_trainer *t = plain_trainer(context, "curricularface:ema=0.5", &d);
    double expected = 0;
    (void)state;
    for (int step = 0; step < 5; step++) {
        lgt_train_record record;
        lgt_error err;
        expected += 0.5 * (mean_cosine(&d, lgt_model_weights(lgt_trainer_model(t))) - expected);
        assert_ok(lgt_trainer_step(t, &record, &err), err);
        assert_at_most(fabs(lgt_loss_value(lgt_model_loss(lgt_trainer_model(t)), "t") - expected), 1e-14, "t");
    }
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

static void the_objective_leaves_the_state_as_it_is(void **state) {
    lgt_context *context = test_context(1);
    lgt_dataset d = test_clusters(40, 5, 3, 2, 13);
    lgt_trainer *t = plain_trainer(context, "adaface:ema=0.5", &d);
    lgt_train_record record;
    double first[2], loss, objective, again;
    lgt_error err;
    (void)state;
    assert_ok(lgt_trainer_step(t, &record, &err), err);
    const lgt_loss *of = lgt_model_loss(lgt_trainer_model(t));
    first[0] = lgt_loss_value(of, "mean"), first[1] = lgt_loss_value(of, "deviation");
    assert_ok(lgt_trainer_objective(t, NULL, NULL, &loss, &objective, &err), err);
    assert_ok(lgt_trainer_objective(t, NULL, NULL, &again, &objective, &err), err);
    assert_true(loss == again);
    assert_true(lgt_loss_value(of, "mean") == first[0] && lgt_loss_value(of, "deviation") == first[1]);
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

static void a_model_keeps_state_and_centres_to_the_bit(void **state) {
    static const char *const specs[] = {"adaface", "curricularface", "subcenter:k=2"};
    lgt_context *context = test_context(1);
    lgt_dataset d = test_clusters(40, 5, 3, 2, 14);
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        const char *path = test_path("state.safetensors");
        lgt_model *read;
        lgt_error err;
        lgt_trainer *t = plain_trainer(context, specs[i], &d);
        test_train(t);
        const lgt_model *written = lgt_trainer_model(t);
        lgt_view w = lgt_model_weights(written), w_read;
        assert_ok(lgt_model_save(written, path, &err), err);
        assert_ok(lgt_model_load(context, path, &read, &err), err);
        w_read = lgt_model_weights(read);
        assert_memory_equal(lgt_model_loss(read)->values, lgt_model_loss(written)->values,
                            sizeof lgt_model_loss(read)->values);
        assert_int_equal(w_read.rows, lgt_loss_centres(lgt_model_loss(written)) * 3);
        assert_int_equal(w_read.rows, w.rows);
        assert_memory_equal(w_read.data, w.data, (size_t)(w.rows * w.cols) * sizeof(float));
        lgt_model_free(read);
        lgt_trainer_free(t);
    }
    test_clusters_free(&d);
    lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_loss_of_the_list_learns_separable_clusters),
        cmocka_unit_test(the_norms_statistics_follow_every_batch_before_it_is_used),
        cmocka_unit_test(the_hard_negatives_weight_follows_the_target_cosine_before_the_update),
        cmocka_unit_test(the_objective_leaves_the_state_as_it_is),
        cmocka_unit_test(a_model_keeps_state_and_centres_to_the_bit),
    };
    return cmocka_run_group_tests(tests, test_folder_begin, test_folder_end);
}
