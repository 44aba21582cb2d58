/* Datasets in archives (.npz, safetensors) and in the sparse text of LIBSVM: what is taken for features and labels, and
 * what is refused. */
#include <math.h>

#include "logitude/io.h"
#include "temporary.h"

enum { ROWS = 3, DIM = 2 };

static const float features[ROWS * DIM] = {1, 2, 3, 4, -5, 0.5f};
static const int64_t labels[ROWS] = {7, -1, 7};

static lgt_status load(lgt_context *context, const char *spec, int labels_required, int64_t least_dim,
                       lgt_dataset **out, lgt_error *err) {
    lgt_dataset_options options;
    lgt_dataset_options_init(&options);
    options.spec = spec;
    options.labels_required = labels_required;
    options.least_dim = least_dim;
    return lgt_dataset_load(context, &options, out, err);
}

static void assert_refused(const char *spec, lgt_status status, const char *part) {
    lgt_error err;
    lgt_dataset *d = NULL;
    lgt_context *context = test_context_failing(0);
    assert_fails(load(context, spec, 1, 0, &d, &err), status, err, part);
    assert_null(d);
    lgt_context_free(context);
    assert_int_equal(test_live_blocks(), 0);
}

/* `spec` has the rows above, and the labels where `labelled`. */
static void assert_holds(const char *spec, int labelled) {
    lgt_error err;
    lgt_dataset *d = NULL;
    lgt_context *context = test_context(1);
    assert_ok(load(context, spec, labelled, 0, &d, &err), err);
    assert_true(d->n_rows == ROWS && d->dim == DIM);
    assert_memory_equal(d->x, features, sizeof features);
    assert_int_equal(d->labels != NULL, labelled);
    if (labelled) {
        assert_int_equal(d->n_labels, 2);
        assert_string_equal(d->label_names[0], "-1");
        assert_string_equal(d->label_names[1], "7");
        assert_memory_equal(d->labels, ((int64_t[]){1, 0, 1}), sizeof labels);
    }
    lgt_dataset_free(context, d);
    lgt_context_free(context);
}

/* Tensors of these names, NULL: none; `n_labels` of the latter. Returns the path. */
static const char *put_archive(const char *name, int zip, const char *x, const char *y, int64_t n_labels) {
    lgt_context *context = test_context(1);
    lgt_error err;
    lgt_tensor tensors[2];
    lgt_tensors all = {.tensors = tensors};
    const char *path = test_path(name);
    if (x)
        tensors[all.n_tensors++] =
            (lgt_tensor){(char *)x, {LGT_F32, 2, {ROWS, DIM}, ROWS * DIM, (void *)(uintptr_t)features}};
    if (y)
        tensors[all.n_tensors++] =
            (lgt_tensor){(char *)y, {LGT_I64, 1, {n_labels}, n_labels, (void *)(uintptr_t)labels}};
    assert_ok((zip ? lgt_npz_write : lgt_tensors_write)(context, path, &all, &err), err);
    lgt_context_free(context);
    return path;
}

static void archives_have_features_and_labels_by_their_usual_names(void **state) {
    static const char *const names[][2] = {
        {"features", "labels"},   {"x", "y"},        {"X", "y"}, {"X", "Y"}, {"data", "target"}, {"data", "targets"},
        {"embeddings", "labels"}, {"arr_0", "arr_1"}};
    (void)state;
    for (int zip = 0; zip < 2; zip++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            assert_holds(put_archive("xy", zip, names[i][0], names[i][1], ROWS), 1);
}

/* "FOLDER/a,FOLDER/b". */
static const char *both(const char *a, const char *b) {
    static char spec[2 * TEST_PATH_ROOM];
    snprintf(spec, sizeof spec, "%s,%s", a, b);
    return spec;
}

static void archives_may_have_one_of_them_under_any_name(void **state) {
    (void)state;
    for (int zip = 0; zip < 2; zip++) {
        const char *x = put_archive("x", zip, "whatever", NULL, 0), *y = put_archive("y", !zip, NULL, "codes", ROWS);
        assert_holds(x, 0);
        assert_holds(both(x, y), 1);
        assert_holds(both(put_archive("xy", zip, "x", "y", ROWS), y), 1); /* the file named for labels has them */
        assert_refused(x, LGT_ERR_DATA, "comes without labels");
    }
}

static void archives_that_leave_it_open_are_refused(void **state) {
    (void)state;
    const char *part = "has the arrays left, right, expected one named features, x, X, data, embeddings or arr_0";
    for (int zip = 0; zip < 2; zip++) {
        assert_refused(put_archive("a", zip, "left", "right", ROWS), LGT_ERR_DATA, part);
        assert_refused(put_archive("a", zip, NULL, "labels", ROWS), LGT_ERR_DATA,
                       "has the arrays labels, expected one");
        assert_refused(put_archive("a", zip, NULL, NULL, 0), LGT_ERR_DATA, "has the arrays (none), expected one named");
        assert_refused(put_archive("a", zip, "x", "y", ROWS - 1), LGT_ERR_DATA, "has 3 rows of features, but 2 labels");
        const char *x = put_archive("x", zip, "x", NULL, 0);
        assert_refused(both(x, put_archive("a", zip, "left", "right", ROWS)), LGT_ERR_DATA,
                       "expected one named labels");
    }
}

static void a_line_of_libsvm_is_a_row(void **state) {
    static const char *const texts[] = {
        "7 1:1 2:2\n-1 1:3 2:4\n7 1:-5 2:.5\n",
        "+7 1:1 2:2\n-1 1:3 2:4 # a comment\n7.0 1:-5e0 2:0.5",
        "\xEF\xBB\xBF+7 1:1 2:2# no blank before it\n-1 1:3 2:4#\n7.0 1:-5 2:.5",
        "# head\n\n7\t1:1  2:2 \r\n-1 1:3 2:4\r\n\n7 1:-5 2:5e-1\n# 1:2\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) assert_holds(test_put_text("a.svm", texts[i]), 1);
}

static void what_a_line_does_not_name_is_zero(void **state) {
    lgt_error err;
    lgt_dataset *d = NULL;
    lgt_context *context = test_context(1);
    (void)state;
    const char *path = test_put_text("a.svm", "2\n0 3:1.5\n1 1:2 4:-1\n");
    for (int64_t least = 0; least < 7; least += 3) {
        const int64_t dim = least > 4 ? least : 4;
        assert_ok(load(context, path, 1, least, &d, &err), err);
        assert_true(d->n_rows == 3 && d->dim == dim && d->n_labels == 3);
        for (int64_t k = 0; k < dim; k++) {
            assert_true(d->x[k] == 0);
            assert_true(d->x[dim + k] == (k == 2 ? 1.5f : 0));
            assert_true(d->x[2 * dim + k] == (k == 0 ? 2 : k == 3 ? -1 : 0));
        }
        lgt_dataset_free(context, d);
    }
    lgt_context_free(context);
}

static void labels_of_their_own_file_take_the_place_of_those_in_the_lines(void **state) {
    (void)state;
    const char *y = test_put_text("y.svm", "7 1:0\n-1 9:2\n7\n");
    assert_holds(both(put_archive("x", 0, "x", NULL, 0), y), 1); /* and so may those of other lines */
    const char *lines = test_put_text("a.svm", "1 1:1 2:2\n2 1:3 2:4\n3 1:-5 2:.5\n");
    assert_holds(both(lines, test_put_text("y.csv", "7\n-1\n7\n")), 1);
}

static void lines_that_are_none_are_told_with_their_number(void **state) {
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"1 1:2\n1 2:3 1:4\n", "a.svm:2: found '1:4', expected INDEX:VALUE, indices from 1 and rising"},
        {"1 1:2\n1 1:3 1:4\n", "a.svm:2: found '1:4', expected INDEX:VALUE"},
        {"1 0:2\n", "a.svm:1: found '0:2', expected INDEX:VALUE"},
        {"1 1:2\n1 -1:3\n", "a.svm:2: found '-1:3', expected INDEX:VALUE"},
        {"1 1:2\n\n1 3\n", "a.svm:3: found '3', expected INDEX:VALUE"},
        {"1 1:2 qid:3\n", "a.svm:1: found 'qid:3', expected INDEX:VALUE"},
        {"1 1:2 3:\n", "a.svm:1: found '3:', expected a finite decimal number"},
        {"1 1:2 3:nan\n", "a.svm:1: found '3:nan', expected a finite decimal number"},
        {"1 1:2 3:1e39\n", "a.svm:1: found '3:1e39', expected a finite decimal number in the range of float32"},
        {"1 1:2\n1.5 1:2\n", "a.svm:2: found '1.5', expected a label, an integer"},
        {"1 1:2\n1,2 1:2\n", "a.svm:2: found '1,2', expected a label, an integer"},
        {"1 1:2\ncat 1:2\n", "a.svm:2: found 'cat', expected a label, an integer"},
        {"1 1:2 99999999999999999999:1\n", "a.svm:1: found '99999999999999999999:1'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(test_put_text("a.svm", cases[i].text), LGT_ERR_DATA, cases[i].part);
    assert_refused(test_put_text("a.svm", "1 1:2\n1 9223372036854775807:1\n"), LGT_ERR_MEMORY, "more than 1024 times");
    assert_refused(test_put_text("a.svm", "1 1:2\n1 2000000000:1\n"), LGT_ERR_MEMORY,
                   "has 2 rows of up to 2000000000 features");
}

/* Without labels that are wanted they may be anything; a long comment hides nothing. */
static void labels_that_nobody_wants_are_not_read(void **state) {
    enum { LONG = 40000 };
    static char text[LONG + 100];
    (void)state;
    assert_holds(test_put_text("a.svm", "1.5 1:1 2:2\ncat 1:3 2:4\n, 1:-5 2:.5\n"), 0);
    assert_holds(put_archive("a", 1, "x", "y", ROWS - 1), 0);
    memset(text, '-', LONG);
    text[0] = '#', text[LONG] = '\n';
    strcpy(text + LONG + 1, "7 1:1 2:2\n-1 1:3 2:4\n7 1:-5 2:.5\n");
    assert_holds(test_put_text("a.svm", text), 1);
}

/* No lines of it, but tables: LIBSVM is told by an index before a colon. */
static void tables_with_colons_stay_tables(void **state) {
    lgt_error err;
    lgt_dataset *d = NULL;
    lgt_context *context = test_context(1);
    (void)state;
    assert_ok(load(context, test_put_text("t.csv", "1.5,a:b\n2.5,1:2\n"), 1, 0, &d, &err), err);
    assert_true(d->dim == 1 && d->n_labels == 2);
    lgt_dataset_free(context, d);
    lgt_context_free(context);
}

static void loading_survives_every_refused_allocation(void **state) {
    (void)state;
    const char *specs[] = {put_archive("xy.npz", 1, "x", "y", ROWS), put_archive("xy.st", 0, "x", "y", ROWS),
                           test_put_text("a.svm", "7 1:1 2:2\n-1 1:3 2:4\n7 1:-5 2:.5\n")};
    for (int i = 0; i < 3; i++)
        for (int64_t fail_at = 1, done = 0; !done; fail_at++) {
            assert_true(fail_at < 60);
            lgt_dataset *d = NULL;
            lgt_context *context = test_context_failing(fail_at);
            lgt_status status = load(context, specs[i], 1, 0, &d, NULL);
            done = status == LGT_OK;
            assert_int_equal(status, done ? LGT_OK : LGT_ERR_MEMORY);
            lgt_dataset_free(context, d);
            lgt_context_free(context);
            assert_int_equal(test_live_blocks(), 0);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(archives_have_features_and_labels_by_their_usual_names),
        cmocka_unit_test(archives_may_have_one_of_them_under_any_name),
        cmocka_unit_test(archives_that_leave_it_open_are_refused),
        cmocka_unit_test(a_line_of_libsvm_is_a_row),
        cmocka_unit_test(what_a_line_does_not_name_is_zero),
        cmocka_unit_test(labels_of_their_own_file_take_the_place_of_those_in_the_lines),
        cmocka_unit_test(lines_that_are_none_are_told_with_their_number),
        cmocka_unit_test(labels_that_nobody_wants_are_not_read),
        cmocka_unit_test(tables_with_colons_stay_tables),
        cmocka_unit_test(loading_survives_every_refused_allocation),
    };
    return cmocka_run_group_tests(tests, test_folder_begin, test_folder_end);
}
