/* Training with alignment: gradients through hidden layers, banks in the model's file, determinism, refusals. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "align_setup.h"
#include "temporary.h"
#include "train/model.h"
#include "train/trainer.h"
#include "train_data.h"

/* --- The encoder --- */

enum { ROWS = 70, IN = 5, WIDE = 6, OUT = 3 };

/* out (ROWS, in) = delta (ROWS, out) W */
static void through(lgt_encoder *encoder, int layer, const float *delta, float *out) {
    lgt_mut w, b;
    lgt_encoder_layer(encoder, layer, &w, &b);
    for (int64_t i = 0; i < ROWS; i++)
        for (int64_t k = 0; k < w.cols; k++) {
            double sum = 0;
            for (int64_t j = 0; j < w.rows; j++)
                sum += (double)delta[i * w.rows + j] * (double)((const float *)w.data)[j * w.cols + k];
            out[i * w.cols + k] = (float)sum;
        }
}

/* What reaches hidden layer 1 from above is dy W_2, and hidden layer 0 (dy W_2, where layer 1 is positive) W_1: handed
 * in there instead, it must give the parameters below the same gradients, and nothing to those above. */
static void gradients_at_hidden_layers_reach_the_parameters(void **state) {
    (void)state;
    static float x[ROWS * IN], y[ROWS * OUT], dy[ROWS * OUT], at[2][ROWS * WIDE], masked[ROWS * WIDE], zero[ROWS * OUT];
    lgt_context *context = test_context(2);
    lgt_encoder *encoder = NULL;
    lgt_encoder_pass *pass = NULL;
    lgt_error err;
    assert_ok(lgt_encoder_create(context, "mlp:6,6", IN, OUT, 3, &encoder, &err), err);
    assert_ok(lgt_encoder_pass_create(encoder, ROWS, 1, &pass, &err), err);
    test_normal_f32(x, ROWS * IN, 1, 1), test_normal_f32(dy, ROWS * OUT, 1, 2);
    assert_ok(lgt_encoder_forward(pass, lgt_view_of(x, ROWS, IN, LGT_F32), lgt_mut_of(y, ROWS, OUT, LGT_F32), &err),
              err);
    through(encoder, 2, dy, at[1]);
    lgt_view hidden = lgt_encoder_hidden(pass, 1);
    for (int i = 0; i < ROWS * WIDE; i++)
        masked[i] = ((const float *)hidden.data)[i / WIDE * hidden.ld + i % WIDE] > 0 ? at[1][i] : 0;
    through(encoder, 1, masked, at[0]);
    enum { COUNT = IN * WIDE + WIDE + WIDE * WIDE + WIDE + WIDE * OUT + OUT, FIRST = IN * WIDE + WIDE };
    assert_int_equal(lgt_encoder_n_params(encoder), COUNT);
    float whole[COUNT], found[COUNT];
    assert_ok(lgt_encoder_backward(pass, lgt_view_of(dy, ROWS, OUT, LGT_F32), whole, (lgt_mut){0}, &err), err);
    for (int layer = 0; layer < 2; layer++) {
        int below = layer == 0 ? FIRST : FIRST + WIDE * WIDE + WIDE;
        double wanted[COUNT] = {0}, got[COUNT];
        lgt_view dhidden[2] = {{0}, {0}};
        dhidden[layer] = lgt_view_of(at[layer], ROWS, WIDE, LGT_F32);
        assert_ok(lgt_encoder_backward_through(pass, lgt_view_of(zero, ROWS, OUT, LGT_F32), dhidden, found,
                                               (lgt_mut){0}, &err),
                  err);
        for (int i = 0; i < COUNT; i++) wanted[i] = i < below ? (double)whole[i] : 0, got[i] = (double)found[i];
        assert_at_most(test_relative_error(got, wanted, COUNT), 1e-6, "sums of 70 products in float32");
    }
    lgt_view wrong[2] = {{0}, lgt_view_of(at[1], ROWS, WIDE - 1, LGT_F32)};
    assert_fails(
        lgt_encoder_backward_through(pass, lgt_view_of(dy, ROWS, OUT, LGT_F32), wrong, found, (lgt_mut){0}, &err),
        LGT_ERR_USAGE, err, "dhidden is (70, 5), expected (70, 6)");
    lgt_encoder_pass_free(pass), lgt_encoder_free(encoder), lgt_context_free(context);
}

/* --- The trainer --- */

static const char *const everything = "pga:targets=memory,beta=reliability,full_rows=off,k=3,resolve=project+"
                                      "k:k=3,full_rows=off+z:k=3,full_rows=off";

static void training_is_the_same_to_the_bit_on_any_number_of_threads(void **state) {
    (void)state;
    lgt_dataset data = test_clusters(150, 6, 4, 1.0, 5);
    lgt_train_options options = test_train_options("arcface:s=8,m=0.2", "mlp:8,8", 4);
    options.align = test_align_terms(everything);
    float first[400];
    double losses[4];
    for (int threads = 1; threads <= 3; threads++) {
        lgt_context *context = test_context(threads);
        lgt_trainer *trainer = test_trainer(context, &options, &data);
        lgt_train_record record = test_train(trainer);
        lgt_view w = lgt_model_weights(lgt_trainer_model(trainer));
        losses[threads] = record.epoch_align_loss;
        assert_true(record.align_loss != 0 && record.conflict.n_compared > 0 && w.rows * w.cols <= 400);
        if (threads == 1) memcpy(first, w.data, (size_t)(w.rows * w.cols) * sizeof(float));
        assert_memory_equal(first, w.data, (size_t)(w.rows * w.cols) * sizeof(float));
        assert_true(losses[threads] == losses[1]);
        lgt_trainer_free(trainer), lgt_context_free(context);
    }
    test_clusters_free(&data);
}

/* Beyond the bound gradients are written out and looked at first. */
static void steps_in_place_have_the_bits_of_careful_ones(void **state) {
    (void)state;
    lgt_context *context = test_context(2);
    lgt_dataset data = test_clusters(150, 6, 4, 1.0, 5);
    lgt_train_options options = test_train_options("arcface:s=8,m=0.2", "mlp:8,8", 4);
    options.align = test_align_terms(everything);
    lgt_trainer *trainers[2];
    lgt_train_record records[2];
    for (int careful = 0; careful < 2; careful++) {
        trainers[careful] = test_trainer(context, &options, &data);
        if (careful) trainers[careful]->data_norm = INFINITY;
        records[careful] = test_train(trainers[careful]);
        assert_true(lgt_trainer_is_bounded_behind(trainers[careful], 1) == !careful);
    }
    assert_true(records[0].epoch_align_loss == records[1].epoch_align_loss);
    for (int g = 0; g < LGT_N_GROUPS; g++)
        assert_memory_equal(trainers[0]->groups[g].value, trainers[1]->groups[g].value,
                            (size_t)trainers[0]->groups[g].count * sizeof(float));
    lgt_trainer_free(trainers[0]), lgt_trainer_free(trainers[1]);
    test_clusters_free(&data), lgt_context_free(context);
}

/* Mean cosine of rows of equal labels, over the training data. */
static double tightness(lgt_model *model, const lgt_dataset *d) {
    int64_t dim = lgt_model_dim(model);
    float *z = calloc((size_t)(d->n_rows * dim), sizeof *z);
    double sum = 0, pairs = 0;
    lgt_error err;
    assert_ok(lgt_model_embed(model, lgt_view_of(d->x, d->n_rows, d->dim, LGT_F32),
                              lgt_mut_of(z, d->n_rows, dim, LGT_F32), &err),
              err);
    for (int64_t i = 0; i < d->n_rows; i++)
        for (int64_t j = 0; j < i; j++) {
            double ij = 0, ii = 0, jj = 0;
            if (d->labels[i] != d->labels[j]) continue;
            for (int64_t k = 0; k < dim; k++) {
                double p = (double)z[i * dim + k], q = (double)z[j * dim + k];
                ij += p * q, ii += p * p, jj += q * q;
            }
            sum += ij / sqrt(ii * jj), pairs++;
        }
    free(z);
    return sum / pairs;
}

static void alignment_brings_rows_of_a_class_together(void **state) {
    (void)state;
    static const char *const specs[] = {"pga:weight=0", "pga:weight=200,full_rows=off", "k:weight=0"};
    lgt_context *context = test_context(2);
    lgt_dataset data = test_clusters(150, 6, 4, 1.0, 5);
    double found[3];
    for (int s = 0; s < 3; s++) {
        lgt_train_options options = test_train_options("normalized:s=4", "mlp:8", 4);
        options.align = test_align_terms(specs[s]);
        lgt_trainer *trainer = test_trainer(context, &options, &data);
        test_train(trainer);
        found[s] = tightness(lgt_trainer_model(trainer), &data);
        lgt_trainer_free(trainer);
    }
    print_message("  mean cosine within classes: %.3f without, %.3f with\n", found[0], found[1]);
    assert_true(found[1] > found[0] + 0.02);
    assert_true(found[0] == found[2]); /* a weight of 0 changes nothing, whatever the term */
    test_clusters_free(&data), lgt_context_free(context);
}

enum { MOST = 200, DIM = 4 };

typedef struct saved {
    int64_t ids[MOST], labels[MOST];
    double scores[MOST];
    float directions[MOST * DIM];
} saved;

/* Every bank of both models holds the same, and as many samples as it should. */
static void same_banks(const lgt_model *one, const lgt_model *other, const int64_t *counts, int n_counts) {
    for (int i = 0; i < LGT_MODEL_BANKS; i++) {
        static saved a, b;
        char prefix[LGT_TENSOR_NAME_SIZE];
        const lgt_align_bank *first = lgt_model_bank_at(one, i, prefix), *second = lgt_model_bank_at(other, i, prefix);
        int64_t count = i < n_counts ? counts[i] : 0;
        assert_int_equal(first != NULL, count > 0);
        assert_int_equal(second != NULL, count > 0);
        if (count == 0) continue;
        assert_true(lgt_align_bank_count(first) == count && lgt_align_bank_count(second) == count);
        assert_true(lgt_align_bank_dim(first) == (i == 0 ? DIM : 0) &&
                    lgt_align_bank_dim(second) == (i == 0 ? DIM : 0));
        memset(&a, 0, sizeof a), memset(&b, 0, sizeof b);
        lgt_align_bank_export(first, a.ids, a.labels, a.scores, a.directions);
        lgt_align_bank_export(second, b.ids, b.labels, b.scores, b.directions);
        assert_memory_equal(&a, &b, sizeof a);
        assert_true(a.scores[0] != 0.5); /* it has moved */
    }
}

static void banks_are_saved_and_restored_with_the_model(void **state) {
    (void)state;
    static const struct {
        const char *spec;
        int64_t counts[4]; /* of pga, and of k for both hidden layers and the embedding */
    } cases[] = {{"pga:targets=memory,neighbours=memory,capacity=120,k=2+k:capacity=110", {120, 110, 110, 0}},
                 {"k:toward=upper,capacity=90", {0, 0, 90, 90}},
                 {"k:layers=hidden,capacity=1", {0, 1, 0, 0}},
                 {"pga:full_rows=off+z", {0, 0, 0, 0}}};
    lgt_context *context = test_context(1);
    lgt_dataset data = test_clusters(150, 6, 4, 1.0, 5);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lgt_train_options options = test_train_options("arcface:s=8,m=0.2", "mlp:8,8", DIM);
        char first[LGT_ALIGN_SPEC_SIZE], second[LGT_ALIGN_SPEC_SIZE];
        options.align = test_align_terms(cases[i].spec);
        lgt_trainer *trainer = test_trainer(context, &options, &data);
        lgt_model *model = lgt_trainer_model(trainer), *loaded = NULL;
        lgt_error err;
        const char *path = test_path("model.safetensors");
        test_train(trainer);
        assert_ok(lgt_model_save(model, path, &err), err);
        assert_ok(lgt_model_load(context, path, &loaded, &err), err);
        same_banks(model, loaded, cases[i].counts, 4);
        lgt_align_format(lgt_model_align(model), first, sizeof first);
        lgt_align_format(lgt_model_align(loaded), second, sizeof second);
        assert_string_equal(first, second);
        lgt_model_free(loaded), lgt_trainer_free(trainer);
    }
    test_clusters_free(&data), lgt_context_free(context);
}

/* The shape of one tensor, or an element of it, is wrong. */
static void banks_that_contradict_themselves_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *part, *message;
        int64_t rows; /* 0: the second id becomes the first, a direction not a number */
    } cases[] = {
        {"align.ids", "align.ids has 19 elements, .labels 20, .scores 20 and .directions is (20, 4)", 19},
        {"align.directions", "and .directions is (19, 4), expected one of each a sample, and dim 4", 19},
        {"align.k.0.labels", "align.k.0.ids has 30 elements, .labels 29, .scores 30 and .directions is (0, 0)", 29},
        {"align.k.1.scores", "align.k.1.ids has 30 elements, .labels 30, .scores 7", 7},
        {"align.k.1.ids", "the bank's sample 1 has id", 0},
        {"align.directions", "of squared length nan", 0}};
    lgt_context *context = test_context(1);
    lgt_dataset data = test_clusters(150, 6, 4, 1.0, 5);
    lgt_train_options options = test_train_options("softmax", "mlp:8,8", DIM);
    options.align = test_align_terms("pga:targets=memory,capacity=20+k:capacity=30");
    lgt_trainer *trainer = test_trainer(context, &options, &data);
    lgt_error err;
    const char *path = test_path("model.safetensors");
    test_train(trainer);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lgt_tensors tensors = {0};
        lgt_model *loaded = NULL;
        assert_ok(lgt_model_save(lgt_trainer_model(trainer), path, &err), err);
        assert_ok(lgt_tensors_read(context, path, &tensors, &err), err);
        for (int64_t t = 0; t < tensors.n_tensors; t++) {
            lgt_array *a = &tensors.tensors[t].array;
            if (strcmp(tensors.tensors[t].name, cases[i].part) != 0) continue;
            if (cases[i].rows == 0 && a->dtype == LGT_I64) ((int64_t *)a->data)[1] = ((int64_t *)a->data)[0];
            if (cases[i].rows == 0 && a->dtype == LGT_F32) ((float *)a->data)[1] = (float)NAN;
            if (cases[i].rows > 0) a->count = a->count / a->shape[0] * cases[i].rows, a->shape[0] = cases[i].rows;
        }
        assert_ok(lgt_tensors_write(context, path, &tensors, &err), err);
        assert_fails(lgt_model_load(context, path, &loaded, &err), LGT_ERR_DATA, err, cases[i].message);
        lgt_tensors_free(context, &tensors);
    }
    lgt_trainer_free(trainer), test_clusters_free(&data), lgt_context_free(context);
}

static void every_refused_allocation_of_loading_and_saving_is_reported(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    lgt_dataset data = test_clusters(60, 6, 4, 1.0, 5);
    lgt_train_options options = test_train_options("softmax", "mlp:8,8", DIM);
    options.align = test_align_terms("pga:targets=memory+k");
    lgt_trainer *trainer = test_trainer(context, &options, &data);
    lgt_error err;
    char path[256];
    snprintf(path, sizeof path, "%s", test_path("model.safetensors"));
    test_train(trainer);
    assert_ok(lgt_model_save(lgt_trainer_model(trainer), path, &err), err);
    int64_t before = test_live_blocks();
    for (int64_t fail_at = 1, done = 0; !done; fail_at++) {
        lgt_context *c = test_context_failing(fail_at);
        lgt_model *loaded = NULL;
        lgt_status status = lgt_model_load(c, path, &loaded, &err);
        if (!status) status = lgt_model_save(loaded, test_path("again.safetensors"), &err);
        done = status == LGT_OK;
        if (!done) assert_int_equal(status, LGT_ERR_MEMORY);
        lgt_model_free(loaded), lgt_context_free(c);
        assert_true(fail_at < 1000);
    }
    assert_int_equal(test_live_blocks(), before);
    lgt_trainer_free(trainer), test_clusters_free(&data), lgt_context_free(context);
}

static void encoders_that_do_not_suit_a_term_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *encoder, *align, *message;
    } cases[] = {{"linear", "pga:targets=layer", "expected a last hidden layer as wide as the embedding, 4"},
                 {"mlp:5", "pga:targets=layer", "expected a last hidden layer as wide as the embedding, 4"},
                 {"linear", "k", "encoder \"linear\": k: 1 layers, expected 2 to 64"},
                 {"mlp:5", "z", "z: 1 layers, expected 2 to 64"},
                 {"mlp:5,6", "z", "z: layer 1 has width 6 and layer 0 has 5"},
                 {"mlp:5", "z:layers=all", "z: layer 1 has width 4 and layer 0 has 5"}};
    lgt_context *context = test_context(1);
    lgt_dataset data = test_clusters(20, 3, 2, 1.0, 5);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lgt_train_options options = test_train_options("softmax", cases[i].encoder, 4);
        lgt_trainer *trainer = NULL;
        lgt_error err;
        options.align = test_align_terms(cases[i].align);
        assert_fails(lgt_trainer_create(context, &options, &data, &trainer, &err), LGT_ERR_USAGE, err,
                     cases[i].message);
    }
    test_clusters_free(&data), lgt_context_free(context);
}

static void every_refused_allocation_is_reported_and_steps_allocate_nothing(void **state) {
    (void)state;
    int64_t before = test_live_blocks();
    lgt_dataset data = test_clusters(40, 3, 2, 1.0, 5);
    lgt_train_options options = test_train_options("softmax", "mlp:4,4", 4);
    options.align = test_align_terms(everything);
    for (int64_t fail_at = 1, done = 0; !done; fail_at++) {
        lgt_context *context = test_context_failing(fail_at);
        lgt_trainer *trainer = NULL;
        lgt_train_record record;
        lgt_error err;
        lgt_status status = lgt_trainer_create(context, &options, &data, &trainer, &err);
        done = status == LGT_OK;
        if (!done) assert_int_equal(status, LGT_ERR_MEMORY);
        int64_t allocations = test_allocations();
        for (int step = 0; done && step < 3; step++) assert_ok(lgt_trainer_step(trainer, &record, &err), err);
        assert_int_equal(test_allocations(), allocations);
        lgt_trainer_free(trainer), lgt_context_free(context);
        assert_true(fail_at < 400);
    }
    assert_int_equal(test_live_blocks(), before);
    test_clusters_free(&data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_at_hidden_layers_reach_the_parameters),
        cmocka_unit_test(training_is_the_same_to_the_bit_on_any_number_of_threads),
        cmocka_unit_test(steps_in_place_have_the_bits_of_careful_ones),
        cmocka_unit_test(alignment_brings_rows_of_a_class_together),
        cmocka_unit_test(banks_are_saved_and_restored_with_the_model),
        cmocka_unit_test(banks_that_contradict_themselves_are_refused),
        cmocka_unit_test(every_refused_allocation_of_loading_and_saving_is_reported),
        cmocka_unit_test(encoders_that_do_not_suit_a_term_are_refused),
        cmocka_unit_test(every_refused_allocation_is_reported_and_steps_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, test_folder_begin, test_folder_end);
}
