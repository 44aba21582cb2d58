/* Models: what is saved is loaded, and what does not hang together is refused. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "train/trainer.h"
#include "train_data.h"

static const char path[] = "test_model.safetensors";
enum { N = 60, IN = 12, CLASSES = 3 };

/* --- round trips --- */

static void same_view(lgt_view a, lgt_view b) {
    assert_int_equal(a.rows, b.rows);
    assert_int_equal(a.cols, b.cols);
    assert_true(!a.data == !b.data);
    if (a.data) assert_memory_equal(a.data, b.data, (size_t)(a.rows * a.cols) * sizeof(float));
}

static void same_embeddings(lgt_model *a, lgt_model *b, const lgt_dataset *d) {
    int64_t dim = lgt_model_dim(a);
    size_t bytes = (size_t)(d->n_rows * dim) * sizeof(float);
    float *ya = malloc(bytes), *yb = malloc(bytes);
    lgt_view x = lgt_view_of(d->x, d->n_rows, d->dim, LGT_F32);
    lgt_error err;
    assert_ok(lgt_model_embed(a, x, lgt_mut_of(ya, d->n_rows, dim, LGT_F32), &err), err);
    assert_ok(lgt_model_embed(b, x, lgt_mut_of(yb, d->n_rows, dim, LGT_F32), &err), err);
    assert_memory_equal(ya, yb, bytes);
    free(ya);
    free(yb);
}

static void same_model(lgt_model *a, lgt_model *b, const lgt_dataset *d) {
    char loss_a[LGT_LOSS_SPEC_SIZE], loss_b[LGT_LOSS_SPEC_SIZE];
    lgt_loss_format(lgt_model_loss(a), loss_a, sizeof loss_a);
    lgt_loss_format(lgt_model_loss(b), loss_b, sizeof loss_b);
    assert_string_equal(loss_a, loss_b);
    assert_string_equal(lgt_model_encoder_spec(a), lgt_model_encoder_spec(b));
    assert_int_equal(lgt_model_in_dim(a), lgt_model_in_dim(b));
    assert_int_equal(lgt_model_dim(a), lgt_model_dim(b));
    assert_int_equal(lgt_model_step(a), lgt_model_step(b));
    assert_int_equal(lgt_model_n_classes(a), lgt_model_n_classes(b));
    for (int64_t j = 0; j < lgt_model_n_classes(a); j++)
        assert_string_equal(lgt_model_label_names(a)[j], lgt_model_label_names(b)[j]);
    same_view(lgt_model_weights(a), lgt_model_weights(b));
    same_view(lgt_model_bias(a), lgt_model_bias(b));
    assert_true(lgt_model_fingerprint(a) == lgt_model_fingerprint(b));
    assert_int_equal(a->n_dims, b->n_dims);
    assert_memory_equal(a->shape, b->shape, (size_t)a->n_dims * sizeof *a->shape);
    same_embeddings(a, b, d);
}

static void a_saved_model_loads_as_the_same_model(void **state) {
    char *names[CLASSES] = {(char[]){"T-shirt, \"top\"\\\n"}, (char[]){"Stra\303\237e"}, (char[]){""}};
    static const char *const losses[] = {"softmax", "arcface:s=16,m=0.25,tail=cosface",
                                         "lsoftmax:m=3,lambda=power/1000/2.5e-5/35/0"};
    static const char *const encoders[] = {"none", "linear", "mlp:9,6"};
    lgt_context *context = test_context(2);
    lgt_dataset d = test_clusters(N, IN, CLASSES, 2, 7);
    lgt_error err;
    (void)state;
    d.n_dims = 2, d.shape[0] = 3, d.shape[1] = 4;
    for (size_t l = 0; l < 3; l++)
        for (size_t e = 0; e < 3; e++) {
            lgt_train_options o = test_train_options(losses[l], encoders[e], 5);
            lgt_model *loaded = NULL;
            o.bias = e != 1;
            o.standardize = (lgt_standardize)e;
            d.label_names = l == 1 ? names : NULL;
            lgt_trainer *t = test_trainer(context, &o, &d);
            test_train(t);
            assert_ok(lgt_model_save(lgt_trainer_model(t), path, &err), err);
            assert_ok(lgt_model_load(context, path, &loaded, &err), err);
            same_model(lgt_trainer_model(t), loaded, &d);
            lgt_model_free(loaded);
            lgt_trainer_free(t);
        }
    lgt_model_free(NULL);
    remove(path);
    test_clusters_free(&d);
    lgt_context_free(context);
}

static void the_file_holds_the_documented_tensors_and_texts(void **state) {
    static const char *const names[] = {"encoder.0.weight",   "encoder.0.bias",     "encoder.1.weight",
                                        "encoder.1.bias",     "head.weight",        "head.bias",
                                        "normalization.mean", "normalization.scale"};
    lgt_context *context = test_context(1);
    lgt_dataset d = test_clusters(N, IN, CLASSES, 2, 7);
    lgt_train_options o = test_train_options("softmax", "mlp:9", 5);
    lgt_tensors tensors = {0};
    lgt_error err;
    (void)state;
    lgt_trainer *t = test_trainer(context, &o, &d);
    test_train(t);
    assert_ok(lgt_model_save(lgt_trainer_model(t), path, &err), err);
    assert_ok(lgt_tensors_read(context, path, &tensors, &err), err);
    assert_int_equal(tensors.n_tensors, sizeof names / sizeof *names);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) assert_non_null(lgt_tensors_find(&tensors, names[i]));
    const lgt_array *w = lgt_tensors_find(&tensors, "encoder.0.weight");
    assert_true(w->n_dims == 2 && w->shape[0] == 9 && w->shape[1] == IN && w->dtype == LGT_F32);
    assert_string_equal(lgt_tensors_metadata(&tensors, "encoder"), "mlp:9");
    assert_string_equal(lgt_tensors_metadata(&tensors, "classes"), "3");
    assert_string_equal(lgt_tensors_metadata(&tensors, "step"), "6");
    assert_string_equal(lgt_tensors_metadata(&tensors, "sample_shape"), "12");
    assert_string_equal(lgt_tensors_metadata(&tensors, "format"), LGT_MODEL_FORMAT);
    assert_null(lgt_tensors_metadata(&tensors, "label_names"));
    lgt_tensors_free(context, &tensors);
    remove(path);
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

static void a_model_that_is_not_finite_or_not_utf8_is_not_saved(void **state) {
    char *names[CLASSES] = {(char[]){"a"}, (char[]){"\xff\xfe"}, (char[]){"c"}};
    lgt_context *context = test_context(1);
    lgt_dataset d = test_clusters(N, IN, CLASSES, 2, 7);
    lgt_train_options o = test_train_options("softmax", "mlp:9", 5);
    lgt_error err;
    (void)state;
    lgt_trainer *t = test_trainer(context, &o, &d);
    t->model.w[7] = INFINITY;
    assert_fails(lgt_model_save(lgt_trainer_model(t), path, &err), LGT_ERR_NONFINITE, err, "head.weight[7] is inf");
    assert_int_not_equal(access(path, F_OK), 0);
    lgt_trainer_free(t);
    d.label_names = names;
    t = test_trainer(context, &o, &d);
    assert_fails(lgt_model_save(lgt_trainer_model(t), path, &err), LGT_ERR_DATA, err, "text 1 of a list is not UTF-8");
    assert_fails(lgt_model_save(lgt_trainer_model(t), "no/such/folder/m", &err), LGT_ERR_DATA, err, "UTF-8");
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

/* --- damage --- */

static lgt_array *tensor(lgt_tensors *t, const char *name) {
    for (int64_t i = 0; i < t->n_tensors; i++)
        if (strcmp(t->tensors[i].name, name) == 0) return &t->tensors[i].array;
    fail_msg("no tensor %s", name);
    return NULL;
}

/* One entry: which part to change, how, and what the loader must say. */
typedef struct damage {
    enum { TEXT, SHAPE, VALUE, NAME, TYPE } kind;
    const char *part; /* metadata key or tensor */
    const char *text; /* new text or name; NULL drops the metadata */
    int64_t shape[2]; /* new shape, of at most as many elements */
    const char *message;
} damage;

static const damage damages[] = {
    {TEXT, "format", NULL, {0}, "no metadata \"format\""},
    {TEXT, "format", "other", {0}, "format is \"other\", expected \"logitude-model-1\""},
    {TEXT, "loss", "arcfase", {0}, "metadata loss: "},
    {TEXT, "loss", NULL, {0}, "no metadata \"loss\""},
    {TEXT, "loss", "arcface", {0}, "8 tensors, but this model has 7"}, /* has no bias */
    {TEXT, "step", "-1", {0}, "step is \"-1\""},
    {TEXT, "step", "x", {0}, "step is \"x\""},
    {TEXT, "classes", "4", {0}, "head.weight is (3, 5) but metadata classes is 4"},
    {TEXT, "encoder", "mlp:", {0}, "metadata encoder: "},
    {TEXT, "encoder", "mlp:8", {0}, "parameters, expected"},
    {TEXT, "encoder", "mlp:2000000000", {0}, "parameters, expected"}, /* and does not try to hold them */
    {TEXT, "encoder", "none", {0}, "dim 12 into dim 5"},
    {TEXT, "encoder", NULL, {0}, "no metadata \"encoder\""},
    {TEXT, "sample_shape", "", {0}, "sample_shape is \"\""},
    {TEXT, "sample_shape", "3,", {0}, "sample_shape is \"3,\""},
    {TEXT, "sample_shape", "3,0", {0}, "sample_shape is \"3,0\""},
    {TEXT, "sample_shape", "1,1,1,1,1,1,1,1,12", {0}, "sample_shape is"},
    {TEXT, "sample_shape", "4294967296,4294967296", {0}, "sample_shape is"},
    {TEXT, "sample_shape", "13", {0}, "parameters, expected"},
    {TEXT, "label_names", "[\"a\"]", {0}, "no JSON list of 3 texts"},
    {TEXT, "label_names", "[\"a\",\"b\",3]", {0}, "label_names: entry 2 of a list is no text"},
    {TEXT, "label_names", "[\"a\",", {0}, "no JSON list of 3 texts"},
    {TEXT, "label_names", "{}", {0}, "no JSON list of 3 texts"},
    {TEXT, "label_names", "[\"b\",\"a\",\"b\"]", {0}, "label_names: 'b' is given twice"},
    {SHAPE, "encoder.0.weight", NULL, {12, 9}, "encoder.0.weight is (12, 9), expected (9, 12)"},
    {SHAPE, "encoder.0.weight", NULL, {108, 0}, "encoder.0.weight is f32 with 1 dimensions, expected f32 with 2"},
    {SHAPE, "head.weight", NULL, {5, 3}, "head.weight is (5, 3) but metadata classes is 3"},
    {SHAPE, "head.weight", NULL, {3, 4}, "parameters, expected"},
    {SHAPE, "head.bias", NULL, {2, 0}, "head.bias has 2 elements, expected 3"},
    {SHAPE, "normalization.mean", NULL, {5, 0}, "normalization.mean has 5 elements, expected 1 or 12"},
    {SHAPE, "normalization.scale", NULL, {1, 0}, "normalization.scale has 1 elements, expected 12"},
    {VALUE, "encoder.1.bias", NULL, {0}, "encoder.1.bias[2] is not finite"},
    {VALUE, "head.weight", NULL, {0}, "head.weight[2] is not finite"},
    {VALUE, "normalization.mean", NULL, {0}, "normalization.mean[2] is not finite"},
    {NAME, "encoder.1.weight", "encoder.2.weight", {0}, "no tensor \"encoder.1.weight\""},
    {NAME, "head.weight", "head.w", {0}, "no tensor \"head.weight\""},
    {NAME, "head.bias", "head.extra", {0}, "8 tensors, but this model has 7"},
    {NAME, "normalization.mean", "mean", {0}, "no tensor \"normalization.mean\""},
    {TYPE, "head.weight", NULL, {0}, "head.weight is i32"},
};

static void replace(lgt_context *context, char **text, const char *by) {
    lgt_error err;
    lgt_release(context, *text);
    assert_ok(lgt_alloc_text(context, by, text, &err), err);
}

static void change_text(lgt_context *context, lgt_tensors *t, const damage *d) {
    for (int64_t i = 0; i < t->n_metadata; i++) {
        if (strcmp(t->metadata[i].key, d->part) != 0) continue;
        if (d->text)
            replace(context, &t->metadata[i].value, d->text);
        else
            replace(context, &t->metadata[i].key, "dropped");
        return;
    }
    fail_msg("no metadata %s", d->part);
}

static void inflict(lgt_context *context, lgt_tensors *t, const damage *d) {
    static const float nan_value = NAN;
    switch (d->kind) {
    case TEXT:
        change_text(context, t, d);
        return;
    case NAME:
        for (int64_t i = 0; i < t->n_tensors; i++)
            if (strcmp(t->tensors[i].name, d->part) == 0) {
                replace(context, &t->tensors[i].name, d->text);
                return;
            }
        fail_msg("no tensor %s", d->part);
        return;
    case VALUE:
        memcpy((float *)tensor(t, d->part)->data + 2, &nan_value, sizeof nan_value);
        return;
    case TYPE:
        tensor(t, d->part)->dtype = LGT_I32;
        return;
    case SHAPE: {
        lgt_array *a = tensor(t, d->part);
        int64_t count = d->shape[0] * (d->shape[1] ? d->shape[1] : 1);
        assert_true(count <= a->count); /* the elements that are there must do */
        a->n_dims = d->shape[1] ? 2 : 1;
        a->shape[0] = d->shape[0];
        a->shape[1] = d->shape[1];
        a->count = count;
        return;
    }
    }
}

static void damaged_models_are_refused_with_file_and_reason(void **state) {
    char *names[CLASSES] = {(char[]){"a"}, (char[]){"b"}, (char[]){"c"}};
    lgt_context *context = test_context_failing(0);
    lgt_dataset d = test_clusters(N, IN, CLASSES, 2, 7);
    lgt_train_options o = test_train_options("softmax", "mlp:9", 5);
    lgt_error err;
    (void)state;
    o.standardize = LGT_STANDARDIZE_FEATURE;
    d.label_names = names;
    lgt_trainer *t = test_trainer(context, &o, &d);
    int64_t held = test_live_blocks();
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        lgt_tensors tensors = {0};
        lgt_model *loaded = NULL;
        assert_ok(lgt_model_save(lgt_trainer_model(t), path, &err), err);
        assert_ok(lgt_tensors_read(context, path, &tensors, &err), err);
        inflict(context, &tensors, &damages[i]);
        assert_ok(lgt_tensors_write(context, path, &tensors, &err), err);
        lgt_tensors_free(context, &tensors);
        lgt_status status = lgt_model_load(context, path, &loaded, &err);
        assert_fails(status, LGT_ERR_DATA, err, damages[i].message);
        assert_int_equal(strncmp(err.message, path, strlen(path)), 0);
        assert_null(loaded);
        assert_int_equal(test_live_blocks(), held);
    }
    assert_fails(lgt_model_load(context, "no such file", &(lgt_model *){NULL}, &err), LGT_ERR_IO, err, "no such file");
    remove(path);
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

/* --- fingerprints --- */

static void a_fingerprint_tells_of_every_part(void **state) {
    lgt_context *context = test_context(1);
    lgt_dataset d = test_clusters(60, IN, CLASSES, 2, 7);
    lgt_train_options o = test_train_options("softmax", "mlp:9", 5);
    (void)state;
    o.standardize = LGT_STANDARDIZE_FEATURE;
    lgt_trainer *t = test_trainer(context, &o, &d);
    lgt_model *m = lgt_trainer_model(t);
    float *parts[] = {m->w,
                      &m->w[CLASSES * 5 - 1],
                      &m->b[CLASSES - 1],
                      lgt_encoder_params(m->encoder),
                      &lgt_encoder_params(m->encoder)[lgt_encoder_n_params(m->encoder) - 1],
                      m->normalization.mean,
                      &m->normalization.scale[IN - 1]};
    uint64_t whole = lgt_model_fingerprint(m);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        float kept = *parts[i];
        *parts[i] = kept + 1;
        assert_true(lgt_model_fingerprint(m) != whole);
        *parts[i] = kept;
    }
    m->label_names[CLASSES - 1][0]++;
    assert_true(lgt_model_fingerprint(m) != whole);
    m->label_names[CLASSES - 1][0]--;
    assert_true(lgt_model_fingerprint(m) == whole);
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

/* --- embeddings --- */

static void embeddings_are_the_encoder_of_normalised_rows_block_by_block(void **state) {
    enum { ROWS = 2100, DIM = 5, LD = DIM + 2 };
    lgt_context *context = test_context(2);
    lgt_dataset d = test_clusters(ROWS, IN, CLASSES, 2, 7);
    lgt_train_options o = test_train_options("softmax", "mlp:9", DIM);
    lgt_encoder_pass *pass = NULL;
    lgt_error err;
    (void)state;
    o.standardize = LGT_STANDARDIZE_FEATURE;
    lgt_trainer *t = test_trainer(context, &o, &d);
    lgt_model *m = lgt_trainer_model(t);
    float *x = malloc(sizeof(float) * ROWS * IN), *expected = malloc(sizeof(float) * ROWS * DIM);
    float *found = malloc(sizeof(float) * ROWS * LD);
    lgt_normalize_rows(context, &m->normalization, lgt_view_of(d.x, ROWS, IN, LGT_F32), NULL, ROWS, x);
    assert_ok(lgt_encoder_pass_create(m->encoder, ROWS, 0, &pass, &err), err);
    assert_ok(
        lgt_encoder_forward(pass, lgt_view_of(x, ROWS, IN, LGT_F32), lgt_mut_of(expected, ROWS, DIM, LGT_F32), &err),
        err);
    for (int64_t n = 0; n <= ROWS; n += 1050) {
        lgt_mut out = {found, n, DIM, LD, LGT_F32};
        assert_ok(lgt_model_embed(m, lgt_view_of(d.x, n, IN, LGT_F32), out, &err), err);
        for (int64_t i = 0; i < n; i++)
            for (int k = 0; k < DIM; k++)
                assert_at_most(fabs((double)found[i * LD + k] - expected[i * DIM + k]), 1e-5, "error of an embedding");
    }
    assert_fails(lgt_model_embed(m, lgt_view_of(d.x, 2, IN - 1, LGT_F32), lgt_mut_of(found, 2, DIM, LGT_F32), &err),
                 LGT_ERR_USAGE, err, "x is (2, 11), expected (N, 12)");
    assert_fails(lgt_model_embed(m, lgt_view_of(d.x, 2, IN, LGT_F32), lgt_mut_of(found, 3, DIM, LGT_F32), &err),
                 LGT_ERR_USAGE, err, "out is (3, 5), expected (2, 5)");
    assert_fails(lgt_model_embed(m, lgt_view_of(d.x, 2, IN, LGT_F64), lgt_mut_of(found, 2, DIM, LGT_F32), &err),
                 LGT_ERR_USAGE, err, "types f64");
    assert_fails(lgt_model_embed(m, lgt_view_of(NULL, 2, IN, LGT_F32), lgt_mut_of(found, 2, DIM, LGT_F32), &err),
                 LGT_ERR_USAGE, err, "not given");
    lgt_encoder_pass_free(pass);
    free(found);
    free(expected);
    free(x);
    lgt_trainer_free(t);
    test_clusters_free(&d);
    lgt_context_free(context);
}

/* --- memory --- */

static void every_refused_allocation_is_reported_and_leaks_nothing(void **state) {
    char *names[CLASSES] = {(char[]){"a"}, (char[]){"b"}, (char[]){"c"}};
    lgt_dataset d = test_clusters(N, IN, CLASSES, 2, 7);
    lgt_train_options o = test_train_options("softmax", "mlp:9", 5);
    lgt_status status = LGT_ERR_MEMORY;
    (void)state;
    d.label_names = names;
    for (int64_t fail_at = 1; status != LGT_OK; fail_at++) {
        lgt_context *context = test_context_failing(fail_at);
        lgt_trainer *t = NULL;
        lgt_model *loaded = NULL;
        lgt_error err;
        status = lgt_trainer_create(context, &o, &d, &t, &err);
        if (!status) status = lgt_model_save(lgt_trainer_model(t), path, &err);
        if (!status) status = lgt_model_load(context, path, &loaded, &err);
        if (!status) status = lgt_model_export_onnx(loaded, path, &err); /* read by tests/cli/interchange.py */
        if (status) assert_fails(status, LGT_ERR_MEMORY, err, "out of memory");
        assert_true(fail_at < 500);
        lgt_model_free(loaded);
        lgt_trainer_free(t);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
    remove(path);
    test_clusters_free(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_saved_model_loads_as_the_same_model),
        cmocka_unit_test(the_file_holds_the_documented_tensors_and_texts),
        cmocka_unit_test(a_model_that_is_not_finite_or_not_utf8_is_not_saved),
        cmocka_unit_test(damaged_models_are_refused_with_file_and_reason),
        cmocka_unit_test(a_fingerprint_tells_of_every_part),
        cmocka_unit_test(embeddings_are_the_encoder_of_normalised_rows_block_by_block),
        cmocka_unit_test(every_refused_allocation_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
