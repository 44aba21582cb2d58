/* Models of liblinear: what is written and read, the text as liblinear has it, and damage. */
#include <string.h>

#include "logitude/io.h"
#include "support.h"
#include "temporary.h"

static const char three[] = "solver_type MCSVM_CS\nnr_class 3\nlabel 7 -1 3\nnr_feature 2\nbias 2\nw\n"
                            "1 2.5 -3 \n0.1 0 1e-300 \n4 5 6 \n";
static const char two[] = "solver_type L2R_LR\nnr_class 2\nlabel 4 9\nnr_feature 3\nbias -1\nw\n1\n-2 \n3";

static void models_become_tensors(void **state) {
    lgt_context *context = test_context(1);
    lgt_tensors t;
    lgt_error err;
    (void)state;
    assert_ok(lgt_liblinear_read(context, test_put_text("m", three), &t, &err), err);
    const lgt_array *w = lgt_tensors_find(&t, "weight"), *b = lgt_tensors_find(&t, "bias");
    const lgt_array *labels = lgt_tensors_find(&t, "labels");
    assert_true(w->shape[0] == 3 && w->shape[1] == 2 && w->dtype == LGT_F64 && b->count == 3);
    assert_memory_equal(w->data, ((double[]){1, 0.1, 2.5, 0, -3, 1e-300}), 6 * sizeof(double));
    assert_memory_equal(b->data, ((double[]){8, 10, 12}), 3 * sizeof(double)); /* times the constant 2 */
    assert_memory_equal(labels->data, ((int64_t[]){7, -1, 3}), 3 * sizeof(int64_t));
    assert_string_equal(lgt_tensors_metadata(&t, "solver_type"), "MCSVM_CS");
    lgt_tensors_free(context, &t);
    assert_ok(lgt_liblinear_read(context, test_put_text("m", two), &t, &err), err);
    w = lgt_tensors_find(&t, "weight");
    assert_true(w->shape[0] == 1 && w->shape[1] == 3 && !lgt_tensors_find(&t, "bias"));
    assert_memory_equal(w->data, ((double[]){1, -2, 3}), 3 * sizeof(double));
    assert_memory_equal(lgt_tensors_find(&t, "labels")->data, ((int64_t[]){9, 4}), 2 * sizeof(int64_t));
    lgt_tensors_free(context, &t);
    unlink(test_path("m"));
    lgt_context_free(context);
}

static void what_is_written_is_read(void **state) {
    double w[6], b[3];
    int64_t labels[3] = {5, -6, 70};
    lgt_context *context = test_context(1);
    lgt_error err;
    (void)state;
    test_normal(w, 6, 3, 1);
    test_normal(b, 3, 3, 2);
    w[1] = -0.0, w[2] = 5e-324, w[3] = -1.7976931348623157e308, w[4] = 1.0 / 3;
    for (int rows = 1; rows <= 3; rows += 2)
        for (int bias = 0; bias <= 1; bias++) {
            lgt_array wa = {.dtype = LGT_F64, .n_dims = 2, .shape = {rows, 2}, .count = 2 * rows, .data = w};
            lgt_array ba = {.dtype = LGT_F64, .n_dims = 1, .shape = {rows}, .count = rows, .data = b};
            lgt_array la = {.dtype = LGT_I64, .n_dims = 1, .shape = {rows == 1 ? 2 : 3}, .data = labels};
            lgt_tensors t;
            la.count = la.shape[0];
            assert_ok(lgt_liblinear_write(context, test_path("m"), rows == 1 ? "L2R_LR" : "MCSVM_CS", &wa,
                                          bias ? &ba : NULL, &la, &err),
                      err);
            assert_ok(lgt_liblinear_read(context, test_path("m"), &t, &err), err);
            assert_memory_equal(lgt_tensors_find(&t, "weight")->data, w, (size_t)wa.count * sizeof *w);
            assert_memory_equal(lgt_tensors_find(&t, "labels")->data, labels, (size_t)la.count * sizeof *labels);
            assert_true(!bias == !lgt_tensors_find(&t, "bias"));
            if (bias) assert_memory_equal(lgt_tensors_find(&t, "bias")->data, b, (size_t)rows * sizeof *b);
            lgt_tensors_free(context, &t);
        }
    unlink(test_path("m"));
    lgt_context_free(context);
}

static void what_cannot_be_a_model_is_not_written(void **state) {
    double w[4] = {1, 2, 3, 4};
    int64_t labels[2] = {0, 1};
    lgt_array wa = {.dtype = LGT_F64, .n_dims = 2, .shape = {2, 2}, .count = 4, .data = w};
    lgt_array la = {.dtype = LGT_I64, .n_dims = 1, .shape = {2}, .count = 2, .data = labels};
    lgt_context *context = test_context(1);
    lgt_error err;
    (void)state;
    assert_fails(lgt_liblinear_write(context, test_path("m"), "L2R_LR", &wa, NULL, &la, &err), LGT_ERR_USAGE, err,
                 "2 rows of weights, 0 biases and 2 labels");
    assert_fails(lgt_liblinear_write(context, test_path("m"), "a b", &wa, NULL, &la, &err), LGT_ERR_USAGE, err,
                 "expected one word");
    w[3] = 1 / (w[0] - 1);
    assert_fails(lgt_liblinear_write(context, test_path("m"), "MCSVM_CS", &wa, NULL, &la, &err), LGT_ERR_DATA, err,
                 "the weight is not finite in row 1, column 1");
    assert_int_equal(access(test_path("m"), F_OK), -1);
    lgt_context_free(context);
}

static void models_are_read_strictly(void **state) {
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "m:1: found 'the end of the line', expected solver_type"},
        {"solver_type \n", "m:1: found 'the end of the line', expected the name of a solver"},
        {"solver_type A B\n", "m:1: found 'B', expected the end of the line"},
        {"nr_class 1\n", "m:1: found '1', expected 2 classes or more"},
        {"nr_class 99999999999\n", "expected 2 classes or more"},
        {"nr_class two\n", "m:1: found 'two', expected a number of classes"},
        {"nr_class 2\nnr_class 2\n", "m:2: found 'nr_class', expected solver_type, nr_class"},
        {"label 1 2\n", "expected nr_class before label"},
        {"nr_class 2\nlabel 1\n", "m:2: found 'the end of the line', expected an integer label"},
        {"nr_class 2\nlabel 1 2.5\n", "m:2: found '2.5', expected an integer label"},
        {"nr_feature 0\n", "expected 1 feature or more"},
        {"bias x\n", "m:1: found 'x', expected a number"},
        {"nr_class 2\nw\n", "m:2: found 'w', expected solver_type, nr_class, label, nr_feature and bias before w"},
        {"solver_type L2R_LR\nnr_class 2\nlabel 4 9\nnr_feature 999999999\nbias -1\nw\n1\n",
         "m:7: 2 bytes follow, expected 999999999 lines of 1 weights"},
        {"solver_type L2R_LR\nnr_class 2\nlabel 4 9\nnr_feature 1\nbias -1\nw\nnan\n", "m:7: found 'nan'"},
        {"solver_type L2R_LR\nnr_class 2\nlabel 4 9\nnr_feature 1\nbias -1\nw\n1 2\n",
         "m:7: found '2', expected the end"},
        {"solver_type L2R_LR\nnr_class 2\nlabel 4 9\nnr_feature 1\nbias -1\nw\n1\n2\n",
         "m:8: found '2', expected the end of the file"},
    };
    lgt_context *context = test_context(1);
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lgt_tensors t;
        lgt_error err;
        lgt_status status = lgt_liblinear_read(context, test_put_text("m", bad[i].text), &t, &err);
        assert_fails(status, LGT_ERR_DATA, err, bad[i].says);
    }
    unlink(test_path("m"));
    lgt_context_free(context);
}

static void every_cut_and_every_changed_byte_end_in_order(void **state) {
    char text[sizeof three];
    (void)state;
    for (size_t i = 0; i < 2 * (sizeof three - 1); i++) {
        size_t at = i / 2, length = i % 2 ? sizeof three - 1 : at;
        lgt_context *context = test_context_failing(0);
        lgt_tensors t;
        memcpy(text, three, sizeof three);
        if (i % 2) text[at] ^= 0x11;
        lgt_status status = lgt_liblinear_read(context, test_put("m", text, length), &t, NULL);
        assert_true(status == LGT_ERR_DATA || (status == LGT_OK && (i % 2 || at > sizeof three - 5)));
        lgt_tensors_free(context, &t);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
    unlink(test_path("m"));
}

static void reading_and_writing_survive_every_refused_allocation(void **state) {
    double w[4] = {1, 2, 3, 4};
    int64_t labels[2] = {0, 1};
    lgt_array wa = {.dtype = LGT_F64, .n_dims = 2, .shape = {2, 2}, .count = 4, .data = w};
    lgt_array la = {.dtype = LGT_I64, .n_dims = 1, .shape = {2}, .count = 2, .data = labels};
    (void)state;
    for (int reading = 0; reading < 2; reading++) {
        lgt_status status = LGT_ERR_MEMORY;
        for (int64_t fail_at = 1; status; fail_at++) {
            lgt_context *context = test_context_failing(fail_at);
            lgt_tensors t;
            assert_true(fail_at < 100);
            status = reading ? lgt_liblinear_read(context, test_put_text("r", three), &t, NULL)
                             : lgt_liblinear_write(context, test_path("m"), "MCSVM_CS", &wa, NULL, &la, NULL);
            if (status) assert_int_equal(status, LGT_ERR_MEMORY);
            if (reading) lgt_tensors_free(context, &t);
            lgt_context_free(context);
            assert_int_equal(test_live_blocks(), 0);
        }
    }
    unlink(test_path("m"));
    unlink(test_path("r"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_become_tensors),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_cannot_be_a_model_is_not_written),
        cmocka_unit_test(models_are_read_strictly),
        cmocka_unit_test(every_cut_and_every_changed_byte_end_in_order),
        cmocka_unit_test(reading_and_writing_survive_every_refused_allocation),
    };
    return cmocka_run_group_tests_name("liblinear", tests, test_folder_begin, test_folder_end);
}
