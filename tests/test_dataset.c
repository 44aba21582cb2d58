/* Datasets: what a specification finds, how features and labels come out, and how labels are renumbered. */
#include <math.h>

#include "logitude/io.h"
#include "temporary.h"

static lgt_dataset_options options_for(const char *spec) {
    lgt_dataset_options options;
    lgt_dataset_options_init(&options);
    options.spec = spec;
    return options;
}

static lgt_dataset *load(lgt_context *context, const lgt_dataset_options *options) {
    lgt_error err;
    lgt_dataset *dataset = NULL;
    assert_ok(lgt_dataset_load(context, options, &dataset, &err), err);
    return dataset;
}

static lgt_dataset *load_spec(lgt_context *context, const char *spec) {
    lgt_dataset_options options = options_for(spec);
    return load(context, &options);
}

static void assert_refused(const lgt_dataset_options *options, lgt_status status, const char *part) {
    lgt_error err;
    lgt_dataset *dataset = NULL;
    lgt_context *context = test_context_failing(0);
    assert_fails(lgt_dataset_load(context, options, &dataset, &err), status, err, part);
    assert_null(dataset);
    lgt_context_free(context);
    assert_int_equal(test_live_blocks(), 0);
}

static void assert_spec_refused(const char *spec, lgt_status status, const char *part) {
    lgt_dataset_options options = options_for(spec);
    assert_refused(&options, status, part);
}

static const char *put_npy(const char *name, lgt_dtype dtype, int n_dims, const int64_t *shape, const void *data) {
    lgt_error err;
    lgt_context *context = test_context(1);
    const char *path = test_path(name);
    assert_ok(lgt_npy_write(context, path, dtype, n_dims, shape, data, &err), err);
    lgt_context_free(context);
    return path;
}

static const char *put_idx_bytes(const char *name, int64_t rows, int64_t side, unsigned char first) {
    static test_bytes file;
    file.length = 0;
    test_add_number(&file, side ? 0x0803 : 0x0801, 4, 1);
    test_add_number(&file, (uint64_t)rows, 4, 1);
    for (int i = 0; side && i < 2; i++) test_add_number(&file, (uint64_t)side, 4, 1);
    for (int64_t i = 0; i < rows * (side ? side * side : 1); i++) test_add_number(&file, first++, 1, 1);
    return test_put(name, file.data, file.length);
}

/* "FOLDER/a,FOLDER/b". */
static const char *pair(const char *a, const char *b) {
    static char spec[2 * TEST_PATH_ROOM];
    snprintf(spec, sizeof spec, "%s,%s", test_path(a), test_path(b));
    return spec;
}

static void bytes_become_fractions_of_255_and_keep_their_shape(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    put_idx_bytes("x.idx", 3, 2, 250);
    put_idx_bytes("y.idx", 3, 0, 7);
    lgt_dataset *d = load_spec(context, pair("x.idx", "y.idx"));
    assert_int_equal(d->n_rows, 3);
    assert_int_equal(d->dim, 4);
    assert_int_equal(d->n_dims, 2);
    assert_int_equal(d->shape[0], 2);
    assert_int_equal(d->shape[1], 2);
    for (int i = 0; i < 12; i++) assert_true(d->x[i] == (float)(unsigned char)(250 + i) / 255.0F);
    assert_true(d->x[5] == 1);
    assert_int_equal(d->n_labels, 3);
    assert_string_equal(d->label_names[2], "9");
    lgt_dataset_free(context, d);
    unlink(test_path("x.idx"));
    unlink(test_path("y.idx"));
    lgt_context_free(context);
}

static void features_of_every_type_become_float32(void **state) {
    (void)state;
    const float f32[] = {1, 2, 3, -4};
    const double f64[] = {1, 2, 3, -4};
    const uint16_t f16[] = {0x3c00, 0x4000, 0x4200, 0xc400};
    const int32_t i32[] = {1, 2, 3, -4};
    const int64_t i64[] = {1, 2, 3, -4};
    const struct {
        lgt_dtype dtype;
        const void *data;
    } cases[] = {{LGT_F32, f32}, {LGT_F64, f64}, {LGT_F16, f16}, {LGT_I32, i32}, {LGT_I64, i64}};
    lgt_context *context = test_context(1);
    uint64_t fingerprint = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lgt_dataset_options options =
            options_for(put_npy("x.npy", cases[i].dtype, 2, (int64_t[]){2, 2}, cases[i].data));
        options.labels_required = 0;
        lgt_dataset *d = load(context, &options);
        assert_memory_equal(d->x, f32, sizeof f32);
        assert_null(d->labels);
        assert_int_equal(d->n_labels, 0);
        if (i) assert_true(d->fingerprint == fingerprint);
        fingerprint = d->fingerprint;
        lgt_dataset_free(context, d);
    }
    lgt_dataset_options options = options_for(put_npy("x.npy", LGT_F32, 1, (int64_t[]){4}, f32));
    options.labels_required = 0;
    lgt_dataset *d = load(context, &options); /* one axis: samples of one feature */
    assert_int_equal(d->n_rows, 4);
    assert_int_equal(d->dim, 1);
    assert_int_equal(d->n_dims, 1);
    assert_int_equal(d->shape[0], 1);
    lgt_dataset_free(context, d);
    unlink(test_path("x.npy"));
    lgt_context_free(context);
}

static void labels_are_numbered_by_value_whatever_holds_them(void **state) {
    (void)state;
    const int64_t i64[] = {10, -2, 10, 9};
    const int32_t i32[] = {10, -2, 10, 9};
    const float f32[] = {10, -2, 10, 9};
    const double f64[] = {10, -2, 10, 9};
    const struct {
        lgt_dtype dtype;
        const void *data;
        int n_dims;
        const char *text;
    } cases[] = {{LGT_I64, i64, 1, NULL},
                 {LGT_I32, i32, 1, NULL},
                 {LGT_F32, f32, 1, NULL},
                 {LGT_F64, f64, 2, NULL},
                 {LGT_U8, NULL, 0, "10\n-2\n10\n9\n"},
                 {LGT_U8, NULL, 0, "label\n10\n-2\n10.0\n9"}};
    static const int64_t expected[] = {2, 0, 2, 1};
    static const char *const names[] = {"-2", "9", "10"};
    lgt_context *context = test_context(1);
    uint64_t fingerprint = 0;
    put_npy("x.npy", LGT_F32, 2, (int64_t[]){4, 1}, f32);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].text)
            test_put_text("y", cases[i].text);
        else
            put_npy("y", cases[i].dtype, cases[i].n_dims, (int64_t[]){4, 1}, cases[i].data);
        lgt_dataset *d = load_spec(context, pair("x.npy", "y"));
        assert_int_equal(d->n_labels, 3);
        for (int j = 0; j < 3; j++) assert_string_equal(d->label_names[j], names[j]);
        assert_memory_equal(d->labels, expected, sizeof expected);
        if (i) assert_true(d->fingerprint == fingerprint);
        fingerprint = d->fingerprint;
        lgt_dataset_free(context, d);
    }
    test_put_text("y", "b\na\nB\n\xC3\xA4\n");
    lgt_dataset *d = load_spec(context, pair("x.npy", "y"));
    assert_int_equal(d->n_labels, 4); /* by bytes: capitals first, UTF-8 last */
    assert_memory_equal(d->labels, ((int64_t[]){2, 1, 0, 3}), 4 * sizeof(int64_t));
    assert_true(d->fingerprint != fingerprint);
    lgt_dataset_free(context, d);
    unlink(test_path("x.npy"));
    unlink(test_path("y"));
    lgt_context_free(context);
}

static void bad_features_and_labels_are_refused(void **state) {
    (void)state;
    const float good[] = {1, 2, 3, 4, 5, 6}, infinite[] = {1, 2, 3, INFINITY, 5, 6};
    float missing[] = {1, 2, 3, 4, 5, 6};
    const double large[] = {1, 2, 3, 4, 1e39, 6}, fraction[] = {1, 2.5, 3};
    const int64_t labels[] = {0, 1, 2, 3};
    memset(&missing[5], 0xff, sizeof missing[5]); /* a NaN */
    const int64_t shape[] = {3, 2}, empty[] = {0, 2}, flat[] = {3, 0}, three[] = {3}, four[] = {4};
    const struct {
        lgt_dtype x_type;
        int x_dims;
        const int64_t *x_shape;
        const void *x;
        lgt_dtype y_type;
        int y_dims;
        const int64_t *y_shape;
        const void *y;
        const char *part;
    } cases[] = {
        {LGT_F32, 2, shape, missing, LGT_I64, 1, three, labels, "/x.npy: row 2, column 1 is nan, expected a finite"},
        {LGT_F32, 2, shape, infinite, LGT_I64, 1, three, labels, "/x.npy: row 1, column 1 is inf"},
        {LGT_F64, 2, shape, large, LGT_I64, 1, three, labels, "/x.npy: row 2, column 0 is 1e+39"},
        {LGT_F32, 2, empty, good, LGT_I64, 1, three, labels, "/x.npy: has 0 rows"},
        {LGT_F32, 2, flat, good, LGT_I64, 1, three, labels, "/x.npy: has 3 rows of 1-dimensional samples and no"},
        {LGT_F32, 0, NULL, good, LGT_I64, 1, three, labels, "/x.npy: is a single value"},
        {LGT_F32, 2, shape, good, LGT_I64, 1, four, labels, "/x.npy: has 3 rows of features, but "},
        {LGT_F32, 2, shape, good, LGT_I64, 0, NULL, labels, "/y.npy: has 0 axes, expected one label a row"},
        {LGT_F32, 2, shape, good, LGT_F32, 2, shape, good, "/y.npy: has 2 axes"},
        {LGT_F32, 2, shape, good, LGT_F64, 1, three, fraction, "/y.npy: row 1 is 2.5, expected an integer"},
        {LGT_F32, 2, shape, good, LGT_F32, 1, three, &missing[3], "/y.npy: row 2 is nan, expected an integer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_npy("x.npy", cases[i].x_type, cases[i].x_dims, cases[i].x_shape, cases[i].x);
        put_npy("y.npy", cases[i].y_type, cases[i].y_dims, cases[i].y_shape, cases[i].y);
        assert_spec_refused(pair("x.npy", "y.npy"), LGT_ERR_DATA, cases[i].part);
    }
    put_npy("x.npy", LGT_F32, 2, shape, good);
    assert_spec_refused(test_path("x.npy"), LGT_ERR_DATA, "comes without labels");
    test_put_text("y.csv", "1,2\n3,4\n5,6\n");
    assert_spec_refused(pair("x.npy", "y.csv"), LGT_ERR_DATA, "/y.csv:1: has 2 columns, expected one of labels");
    lgt_dataset_options options = options_for(pair("y.csv", "x.npy"));
    options.label_column = "1";
    assert_refused(&options, LGT_ERR_USAGE, "expected one of them");
    unlink(test_path("x.npy"));
    unlink(test_path("y.npy"));
    unlink(test_path("y.csv"));
}

static void specifications_that_name_nothing_are_refused(void **state) {
    (void)state;
    assert_spec_refused(NULL, LGT_ERR_USAGE, "no dataset is named");
    assert_spec_refused("", LGT_ERR_USAGE, "no dataset is named");
    assert_spec_refused("/nonexistent/x.npy", LGT_ERR_IO, "/nonexistent/x.npy: there is no such file");
    assert_spec_refused("/nonexistent/x,y", LGT_ERR_IO, "/nonexistent/x: there is no such file");
    assert_spec_refused("fashion-mnits", LGT_ERR_IO, "expected fashion-mnist, a folder, or FEATURES[,LABELS]");
    assert_spec_refused(test_folder, LGT_ERR_DATA, "holds no dataset");
    test_put_text("x.csv", "1,2\n");
    assert_spec_refused(pair("x.csv", "missing"), LGT_ERR_IO, "/missing: cannot open: No such file");
    char suffixed[TEST_PATH_ROOM];
    snprintf(suffixed, sizeof suffixed, "%s:train", test_path("x.csv"));
    assert_spec_refused(suffixed, LGT_ERR_IO, "x.csv:train: there is no such file");
    lgt_dataset_options options = options_for(test_path("x.csv"));
    options.split = (lgt_split)2;
    assert_refused(&options, LGT_ERR_USAGE, "the split is 2");
    options.split = LGT_SPLIT_TEST;
    options.struct_size--;
    assert_refused(&options, LGT_ERR_USAGE, "struct_size");
    options = options_for("fashion-mnist");
    options.fashion_mnist = "/nonexistent/fashion";
    assert_refused(&options, LGT_ERR_IO,
                   "/nonexistent/fashion: there is no such folder: install Debian's package "
                   "dataset-fashion-mnist, or name the folder of the four files by the option");
    unlink(test_path("x.csv"));
}

static void a_comma_separates_only_what_is_no_file(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    test_put_text("a,b", "1,7\n");
    lgt_dataset *d = load_spec(context, test_path("a,b"));
    assert_string_equal(d->label_names[0], "7");
    lgt_dataset_free(context, d);
    test_put_text("y", "8\n");
    d = load_spec(context, pair("a,b", "y"));
    assert_int_equal(d->dim, 2);
    assert_string_equal(d->label_names[0], "8");
    lgt_dataset_free(context, d);
    unlink(test_path("a,b"));
    unlink(test_path("y"));
    lgt_context_free(context);
}

static int64_t rows_of(lgt_context *context, const char *suffix, lgt_split split, int fashion) {
    char spec[TEST_PATH_ROOM];
    snprintf(spec, sizeof spec, "%s%s", fashion ? "fashion-mnist" : test_folder, suffix);
    lgt_dataset_options options = options_for(spec);
    options.split = split;
    options.fashion_mnist = test_folder;
    lgt_dataset *d = load(context, &options);
    int64_t rows = d->n_rows;
    lgt_dataset_free(context, d);
    return rows;
}

static void folders_of_mnist_files_have_two_halves(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    put_idx_bytes("train-images-idx3-ubyte", 3, 2, 0);
    put_idx_bytes("train-labels-idx1-ubyte", 3, 0, 0);
    assert_int_equal(rows_of(context, "", LGT_SPLIT_TRAIN, 0), 3);
    lgt_dataset_options options = options_for(test_folder);
    options.split = LGT_SPLIT_TEST;
    assert_refused(&options, LGT_ERR_DATA, "has no t10k-images* file, only the other half");
    put_idx_bytes("t10k-images-idx3-ubyte", 2, 2, 0);
    assert_refused(&options, LGT_ERR_DATA, "t10k-images-idx3-ubyte: comes without labels");
    put_idx_bytes("t10k-labels-idx1-ubyte", 2, 0, 0);
    test_put_text("train-images-idx3-ubyte.gz", "never opened: the plain file comes first");
    for (int fashion = 0; fashion < 2; fashion++) {
        assert_int_equal(rows_of(context, "", LGT_SPLIT_TRAIN, fashion), 3);
        assert_int_equal(rows_of(context, "", LGT_SPLIT_TEST, fashion), 2);
        assert_int_equal(rows_of(context, ":train", LGT_SPLIT_TEST, fashion), 3);
        assert_int_equal(rows_of(context, ":test", LGT_SPLIT_TRAIN, fashion), 2);
    }
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                        "t10k-labels-idx1-ubyte", "train-images-idx3-ubyte.gz"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(test_path(names[i]));
    lgt_context_free(context);
}

static void folders_of_arrays_have_one(void **state) {
    (void)state;
    const float x[] = {1, 2};
    const int64_t y[] = {1, 0};
    lgt_context *context = test_context(1);
    put_npy("features.npy", LGT_F32, 1, (int64_t[]){2}, x);
    assert_spec_refused(test_folder, LGT_ERR_DATA, "features.npy: comes without labels");
    put_npy("labels.npy", LGT_I64, 1, (int64_t[]){2}, y);
    assert_int_equal(rows_of(context, "", LGT_SPLIT_TRAIN, 0), 2);
    assert_int_equal(rows_of(context, "", LGT_SPLIT_TEST, 0), 2);
    char spec[TEST_PATH_ROOM];
    snprintf(spec, sizeof spec, "%s:test", test_folder);
    assert_spec_refused(spec, LGT_ERR_USAGE, "leave out :train or :test");
    unlink(test_path("features.npy"));
    unlink(test_path("labels.npy"));
    lgt_context_free(context);
}

static void fingerprints_tell_datasets_apart(void **state) {
    (void)state;
    static const char *const texts[] = {"1,2,0\n3,4,1\n",  "1,2,1\n3,4,0\n", "1,2,0\n3,4,2\n", "1,2,0\n3,5,1\n",
                                        "1,2,0\n3,-4,1\n", "3,4,0\n1,2,1\n", "1,2,0\n",        "1,0\n2,1\n3,0\n4,1\n"};
    enum { N = sizeof texts / sizeof *texts };
    uint64_t found[N];
    lgt_context *context = test_context(1);
    for (int i = 0; i < N; i++) {
        for (int again = 0; again < 2; again++) {
            lgt_dataset *d = load_spec(context, test_put_text("x.csv", texts[i]));
            if (again) assert_true(d->fingerprint == found[i]);
            found[i] = d->fingerprint;
            lgt_dataset_free(context, d);
        }
        for (int j = 0; j < i; j++) assert_true(found[i] != found[j]);
    }
    unlink(test_path("x.csv"));
    lgt_context_free(context);
}

static void labels_are_renumbered_to_the_order_of_a_model(void **state) {
    (void)state;
    lgt_error err;
    lgt_context *context = test_context_failing(0);
    char dog[] = "dog", cat[] = "cat", eel[] = "eel";
    char *order[] = {eel, dog, cat}, *twice[] = {dog, cat, dog}, *short_list[] = {cat, eel};
    lgt_dataset *d = load_spec(context, test_put_text("x.csv", "1,cat\n2,dog\n3,cat\n"));
    assert_fails(lgt_dataset_relabel(context, d, twice, 3, &err), LGT_ERR_USAGE, err, "'dog' is given twice");
    assert_fails(lgt_dataset_relabel(context, d, short_list, 2, &err), LGT_ERR_DATA, err,
                 "row 1 has the label 'dog', which is not among the 2 known ones");
    assert_fails(lgt_dataset_relabel(context, d, NULL, 0, &err), LGT_ERR_DATA, err, "row 0 has the label 'cat'");
    assert_memory_equal(d->labels, ((int64_t[]){0, 1, 0}), 3 * sizeof(int64_t));
    assert_ok(lgt_dataset_relabel(context, d, order, 3, &err), err);
    assert_int_equal(d->n_labels, 3);
    assert_memory_equal(d->labels, ((int64_t[]){2, 1, 2}), 3 * sizeof(int64_t));
    for (int j = 0; j < 3; j++) assert_string_equal(d->label_names[j], order[j]);
    /* The unused name may go, the dataset's own names may be the list, and both keep the rows' labels. */
    assert_ok(lgt_dataset_relabel(context, d, d->label_names, 3, &err), err);
    assert_ok(lgt_dataset_relabel(context, d, d->label_names + 1, 2, &err), err);
    assert_memory_equal(d->labels, ((int64_t[]){1, 0, 1}), 3 * sizeof(int64_t));
    lgt_dataset_free(context, d);
    lgt_context_free(context);
    assert_int_equal(test_live_blocks(), 0);

    context = test_context(1);
    lgt_dataset_options options = options_for(test_path("x.csv"));
    options.labels_required = 0;
    test_put_text("x.csv", "1,2\n");
    d = load(context, &options);
    assert_fails(lgt_dataset_relabel(context, d, order, 3, &err), LGT_ERR_DATA, err, "has no labels");
    lgt_dataset_free(context, d);
    lgt_context_free(context);
    unlink(test_path("x.csv"));
}

static void loading_and_renumbering_survive_every_refused_allocation(void **state) {
    (void)state;
    char two[] = "2", one[] = "1", zero[] = "0";
    char *names[] = {two, one, zero};
    int done = 0;
    put_idx_bytes("train-images", 3, 2, 0);
    put_idx_bytes("train-labels", 3, 0, 0);
    for (int64_t fail_at = 1; !done; fail_at++) {
        assert_true(fail_at < 60);
        lgt_dataset *d = NULL;
        lgt_context *context = test_context_failing(fail_at);
        lgt_dataset_options options = options_for(test_folder);
        lgt_status status = lgt_dataset_load(context, &options, &d, NULL);
        if (!status) status = lgt_dataset_relabel(context, d, names, 3, NULL);
        done = status == LGT_OK;
        assert_int_equal(status, done ? LGT_OK : LGT_ERR_MEMORY);
        if (d && !done) assert_memory_equal(d->labels, ((int64_t[]){0, 1, 2}), 3 * sizeof(int64_t));
        lgt_dataset_free(context, d);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
    unlink(test_path("train-images"));
    unlink(test_path("train-labels"));
}

static void fashion_mnist_is_as_its_authors_describe_it(void **state) {
    (void)state;
    if (access("/usr/share/datasets/fashion-mnist", R_OK)) {
        print_message("skipped: the package dataset-fashion-mnist is not installed\n");
        skip();
    }
    lgt_context *context = test_context(1);
    static const struct {
        const char *spec;
        int64_t rows;
    } halves[] = {{"fashion-mnist", 60000}, {"fashion-mnist:test", 10000}};
    for (int i = 0; i < 2; i++) {
        lgt_dataset *d = load_spec(context, halves[i].spec);
        int64_t counts[10] = {0};
        assert_int_equal(d->n_rows, halves[i].rows);
        assert_int_equal(d->dim, 784);
        assert_int_equal(d->n_labels, 10);
        for (int64_t r = 0; r < d->n_rows; r++) counts[d->labels[r]]++;
        for (int j = 0; j < 10; j++) assert_int_equal(counts[j], halves[i].rows / 10);
        if (i == 0) { /* the mean grey value that its users normalise by */
            double sum = 0;
            for (int64_t k = 0; k < d->n_rows * d->dim; k++) sum += (double)d->x[k];
            assert_at_most(sum / (double)(d->n_rows * d->dim) - 0.2860, 5e-5, "mean grey value above 0.2860");
            assert_at_most(0.2860 - sum / (double)(d->n_rows * d->dim), 5e-5, "mean grey value below 0.2860");
        }
        lgt_dataset_free(context, d);
    }
    lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_become_fractions_of_255_and_keep_their_shape),
        cmocka_unit_test(features_of_every_type_become_float32),
        cmocka_unit_test(labels_are_numbered_by_value_whatever_holds_them),
        cmocka_unit_test(bad_features_and_labels_are_refused),
        cmocka_unit_test(specifications_that_name_nothing_are_refused),
        cmocka_unit_test(a_comma_separates_only_what_is_no_file),
        cmocka_unit_test(folders_of_mnist_files_have_two_halves),
        cmocka_unit_test(folders_of_arrays_have_one),
        cmocka_unit_test(fingerprints_tell_datasets_apart),
        cmocka_unit_test(labels_are_renumbered_to_the_order_of_a_model),
        cmocka_unit_test(loading_and_renumbering_survive_every_refused_allocation),
        cmocka_unit_test(fashion_mnist_is_as_its_authors_describe_it),
    };
    return cmocka_run_group_tests_name("dataset", tests, test_folder_begin, test_folder_end);
}
