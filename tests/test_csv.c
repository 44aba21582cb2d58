/* CSV datasets: RFC 4180 to the letter, headers and label columns found, everything else refused with its line. */
#include <locale.h>
#include <zlib.h>

#include "logitude/io.h"
#include "temporary.h"

typedef struct request {
    const char *label_column;
    int labels_required;
} request;

static const request with_labels = {NULL, 1}, without_labels = {NULL, 0};

static lgt_status load(lgt_context *context, const char *path, request r, lgt_dataset **out, lgt_error *err) {
    lgt_dataset_options options;
    lgt_dataset_options_init(&options);
    options.spec = path;
    options.label_column = r.label_column;
    options.labels_required = r.labels_required;
    return lgt_dataset_load(context, &options, out, err);
}

/* "1 2 3|4 5 6": rows of features; with labels "1 2 =cat|". */
static void print(const lgt_dataset *d, char *out, size_t room) {
    size_t at = 0;
    for (int64_t i = 0; i < d->n_rows; i++) {
        for (int64_t k = 0; k < d->dim; k++)
            at += (size_t)snprintf(out + at, room - at, "%g ", (double)d->x[i * d->dim + k]);
        if (d->labels) at += (size_t)snprintf(out + at, room - at, "=%s", d->label_names[d->labels[i]]);
        at += (size_t)snprintf(out + at, room - at, "|");
        assert_true(at < room);
    }
}

static const request by_first = {"1", 1}, by_second = {"2", 1}, by_name = {"y", 1}, by_quoted = {"a,b", 1};
static const struct {
    const char *text;
    const request *request;
    const char *expected;
} good_tables[] = {
    {"1,2,0\n3,4,1\n", &with_labels, "1 2 =0|3 4 =1|"},
    {"1,2,0\n3,4,1", &with_labels, "1 2 =0|3 4 =1|"},
    {"1,2,0\r\n3,4,1\r\n", &with_labels, "1 2 =0|3 4 =1|"},
    {"1,2,0\r\n3,4,1\n", &with_labels, "1 2 =0|3 4 =1|"},
    {"\xEF\xBB\xBF"
     "1,2,0\n3,4,1\n",
     &with_labels, "1 2 =0|3 4 =1|"},
    {"\xEF\xBB\xBF"
     "a,b,y\n3,4,1\n",
     &by_name, "3 4 =1|"},
    {"\"1\",\"2\",\"0\"\n3,4,1\n", &with_labels, "1 2 =0|3 4 =1|"},
    {"1,2\n3,4\n", &without_labels, "1 2 |3 4 |"},
    {"1\n2\n", &without_labels, "1 |2 |"},
    {"1,0\n", &with_labels, "1 =0|"},
    {"0,1,2\n1,3,4\n", &by_first, "1 2 =0|3 4 =1|"},
    {"1,0,2\n3,1,4\n", &by_second, "1 2 =0|3 4 =1|"},
    {"a,y,b\n1,0,2\n3,1,4\n", &by_name, "1 2 =0|3 4 =1|"},
    {"7,y,8\n1,0,2\n3,1,4\n", &by_name, "1 2 =0|3 4 =1|"},
    {"x,\"a,b\"\n1,0\n", &by_quoted, "1 =0|"},
    /* headers that nobody announced */
    {"a,b,y\n1,2,0\n3,4,1\n", &with_labels, "1 2 =0|3 4 =1|"},
    {"a,b\n1,2\n", &without_labels, "1 2 |"},
    {"1x1,1x2,label\n1,2,0\n", &with_labels, "1 2 =0|"},
    {"0,1,label\n1,2,0\n3,4,1\n", &with_labels, "1 2 =0|3 4 =1|"},
    {"a,b,cat\n1,2,cat\n3,4,dog\n", &with_labels, "1 2 =cat|3 4 =dog|"},
    {"\"a\nb\",y\n1,0\n", &with_labels, "1 =0|"},
    {"a,b,y\n1,2,none\n3,4,1\n", &with_labels, "1 2 =none|3 4 =1|"}, /* a second header there is none */
    {"a,b,y\n1,2,none\n3,4,1\n", &by_name, "1 2 =none|3 4 =1|"},
    /* labels */
    {"1,cat\n2,dog\n3,cat\n", &with_labels, "1 =cat|2 =dog|3 =cat|"},
    {"1,\"a, \"\"b\"\"\"\n2,\"c\nd\"\n", &with_labels, "1 =a, \"b\"|2 =c\nd|"},
    {"1,10\n2,9\n3,-1\n", &with_labels, "1 =10|2 =9|3 =-1|"},
    {"1,1.0\n2,1\n3,2e0\n", &with_labels, "1 =1|2 =1|3 =2|"},
    {"1,9223372036854775807\n2,-9223372036854775808\n", &with_labels,
     "1 =9223372036854775807|2 =-9223372036854775808|"},
    {"1,1.5\n2,word\n", &with_labels, "1 =1.5|2 =word|"},
    {"1,\xC3\xA4\n2,z\n", &with_labels, "1 =\xC3\xA4|2 =z|"},
    {"1, a\n2,a\n", &with_labels, "1 = a|2 =a|"},
    /* numbers */
    {"+1,-2.5,.5,1.,1e2,1E-2,0\n", &with_labels, "1 -2.5 0.5 1 100 0.01 =0|"},
    {"1e-400,0\n", &with_labels, "0 =0|"},
    {"3.4028234e38,0\n", &with_labels, "3.40282e+38 =0|"},
    {"255,0\n", &with_labels, "255 =0|"},
};

static void good_tables_are_read(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof good_tables / sizeof *good_tables; i++) {
        char found[512] = "";
        lgt_error err;
        lgt_dataset *dataset = NULL;
        lgt_context *context = test_context_failing(0);
        const char *path = test_put_text("t.csv", good_tables[i].text);
        assert_ok(load(context, path, *good_tables[i].request, &dataset, &err), err);
        print(dataset, found, sizeof found);
        assert_string_equal(found, good_tables[i].expected);
        assert_int_equal(dataset->n_dims, 1);
        assert_int_equal(dataset->shape[0], dataset->dim);
        lgt_dataset_free(context, dataset);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
    unlink(test_path("t.csv"));
}

static void assert_refused(const void *bytes, size_t length, request r, lgt_status status, const char *part) {
    lgt_error err;
    lgt_dataset *dataset = NULL;
    lgt_context *context = test_context_failing(0);
    const char *path = test_put("t.csv", bytes, length);
    assert_fails(load(context, path, r, &dataset, &err), status, err, part);
    assert_null(dataset);
    assert_int_equal(strncmp(err.message, path, strlen(path)), 0);
    lgt_context_free(context);
    assert_int_equal(test_live_blocks(), 0);
    unlink(path);
}

static const request by_zero = {"0", 1}, by_nine = {"9", 1}, by_minus = {"-1", 1};
static const struct {
    const char *text;
    const request *request;
    lgt_status status;
    const char *part;
} bad_tables[] = {
    {"", &with_labels, LGT_ERR_DATA, "t.csv: is empty"},
    {"\xEF\xBB\xBF", &with_labels, LGT_ERR_DATA, "t.csv: is empty"},
    {"a,b,y\n", &with_labels, LGT_ERR_DATA, "t.csv: has a header but no rows"},
    {"a,b,y", &by_name, LGT_ERR_DATA, "t.csv: has a header but no rows"},
    {"0\n1\n", &with_labels, LGT_ERR_DATA, "has a column of labels and none of features"},
    /* shape */
    {"1,2,0\n3,1\n", &with_labels, LGT_ERR_DATA, "t.csv:2: has 2 cells, expected 3 as in line 1"},
    {"1,2,0\n3,4,5,1\n", &with_labels, LGT_ERR_DATA, "t.csv:2: has 4 cells, expected 3"},
    {"1,2,0\n3,4,1,\n", &with_labels, LGT_ERR_DATA, "t.csv:2: has 4 cells, expected 3"},
    {"1,2,0\n\n3,4,1\n", &with_labels, LGT_ERR_DATA, "t.csv:2: has 1 cells, expected 3"},
    {"1,2,0\n\n", &with_labels, LGT_ERR_DATA, "t.csv:2: has 1 cells"},
    {"\n1,2,0\n", &with_labels, LGT_ERR_DATA, "t.csv:1: column 1 is ''"},
    {"# note\n1,2,0\n", &with_labels, LGT_ERR_DATA, "t.csv:2: has 3 cells, expected 1"},
    {"a,y\n\"1\",\"x\ny\"\n1\n", &with_labels, LGT_ERR_DATA, "t.csv:4: has 1 cells, expected 2"},
    /* numbers */
    {"1,,0\n", &with_labels, LGT_ERR_DATA, "t.csv:1: column 2 is '', expected a finite decimal number"},
    {"1,2,0\n1,nan,0\n", &with_labels, LGT_ERR_DATA, "t.csv:2: column 2 is 'nan'"},
    {"1,NaN,0\n", &with_labels, LGT_ERR_DATA, "t.csv:1: column 2 is 'NaN'"},
    {"nan,nan,0\n1,2,0\n", &with_labels, LGT_ERR_DATA, "t.csv:1: column 1 is 'nan'"},
    {"-inf,+Infinity,0\n1,2,0\n", &with_labels, LGT_ERR_DATA, "t.csv:1: column 1 is '-inf'"},
    {"NA,null,0\n1,2,0\n", &with_labels, LGT_ERR_DATA, "t.csv:1: column 1 is 'NA'"},
    {"1,2,0\n1,inf,0\n", &with_labels, LGT_ERR_DATA, "t.csv:2: column 2 is 'inf'"},
    {"1,2,0\n1,0x1p3,0\n", &with_labels, LGT_ERR_DATA, "t.csv:2: column 2 is '0x1p3'"},
    {"0x10,0x11,0\n1,2,0\n", &with_labels, LGT_ERR_DATA, "t.csv:1: column 1 is '0x10'"},
    {"1,2,0\n1,1e400,0\n", &with_labels, LGT_ERR_DATA, "t.csv:2: column 2 is '1e400'"},
    {"1,2,0\n1,1e39,0\n", &with_labels, LGT_ERR_DATA, "t.csv:2: column 2 is '1e39', expected a number in the range"},
    {"1,2,0\n1, 2,0\n", &with_labels, LGT_ERR_DATA, "t.csv:2: column 2 is ' 2'"},
    {"1,2,0\n1,2 ,0\n", &with_labels, LGT_ERR_DATA, "t.csv:2: column 2 is '2 '"},
    {"1,2,0\n1,\"2,5\",0\n", &with_labels, LGT_ERR_DATA, "t.csv:2: column 2 is '2,5'"},
    {"1;2;0\n1;2;0\n", &without_labels, LGT_ERR_DATA, "t.csv:2: column 1 is '1;2;0'"},
    {"1,2,0\n1,1_000,0\n", &with_labels, LGT_ERR_DATA, "column 2 is '1_000'"},
    {"1,2,0\n1,.,0\n", &with_labels, LGT_ERR_DATA, "column 2 is '.'"},
    {"1,2,0\n1,e5,0\n", &with_labels, LGT_ERR_DATA, "column 2 is 'e5'"},
    {"1,2,0\n1,1e,0\n", &with_labels, LGT_ERR_DATA, "column 2 is '1e'"},
    {"1,2,0\n1,--1,0\n", &with_labels, LGT_ERR_DATA, "column 2 is '--1'"},
    {"1,2,0\n1,1.2.3,0\n", &with_labels, LGT_ERR_DATA, "column 2 is '1.2.3'"},
    {"1,x,0\n1,2,0\n", &with_labels, LGT_ERR_DATA, "t.csv:1: column 2 is 'x'"},
    {",0,1,y\n0,1,2,0\n", &with_labels, LGT_ERR_DATA, "t.csv:1: column 1 is ''"},
    {"1,2,0\n1,a\tb,0\n", &with_labels, LGT_ERR_DATA, "column 2 is 'a?b'"},
    {"a,b,y\nc,d,y\n1,2,0\n", &with_labels, LGT_ERR_DATA, "t.csv:2: column 1 is 'c'"},
    /* quotes and line ends */
    {"1,2\"3,0\n", &with_labels, LGT_ERR_DATA, "t.csv:1: a quote within a cell"},
    {"1,\"2\"3,0\n", &with_labels, LGT_ERR_DATA, "t.csv:1: text behind a closing quote"},
    {"1,\"2\" ,0\n", &with_labels, LGT_ERR_DATA, "t.csv:1: text behind a closing quote"},
    {"1,2,0\n1,\"2,0\n", &with_labels, LGT_ERR_DATA, "t.csv:3: the file ends within quotes"},
    {"1,2,\"", &with_labels, LGT_ERR_DATA, "t.csv:1: the file ends within quotes"},
    {"1,2,0\r3,4,1\r", &with_labels, LGT_ERR_DATA, "t.csv:1: a carriage return without a line feed"},
    {"1,2,0\n3,4,1\r", &with_labels, LGT_ERR_DATA, "t.csv:2: a carriage return without a line feed"},
    {"1,2,0\r\r\n", &with_labels, LGT_ERR_DATA, "t.csv:1: a carriage return without a line feed"},
    {"\xFF\xFE"
     "1",
     &with_labels, LGT_ERR_DATA, "t.csv:1: the text is UTF-16"},
    {"\xFE\xFF", &with_labels, LGT_ERR_DATA, "t.csv:1: the text is UTF-16"},
    /* labels */
    {"1,0\n2,1.5\n3,2\n", &with_labels, LGT_ERR_DATA, "t.csv:2: the label is no integer"},
    {"1,0\n2,1e300\n", &with_labels, LGT_ERR_DATA, "t.csv:2: the label is no integer"},
    {"x,y\n1,0\n2,0.5\n", &with_labels, LGT_ERR_DATA, "t.csv:3: the label is no integer"},
    {"1,0\n2,\n", &with_labels, LGT_ERR_DATA, "t.csv:2: column 2 is '', expected a label"},
    {"1,0\n2,\"\"\n", &with_labels, LGT_ERR_DATA, "t.csv:2: column 2 is '', expected a label"},
    {"1,a\n2,\xC3\n", &with_labels, LGT_ERR_DATA, "expected a label in UTF-8"},
    {"1,a\n2,\xED\xA0\x80\n", &with_labels, LGT_ERR_DATA, "expected a label in UTF-8"},
    {"1,a\n2,\xC0\xAF\n", &with_labels, LGT_ERR_DATA, "expected a label in UTF-8"},
    {"1,a\n2,\xF4\x90\x80\x80\n", &with_labels, LGT_ERR_DATA, "expected a label in UTF-8"},
    {"1,a\n2,\x80\n", &with_labels, LGT_ERR_DATA, "expected a label in UTF-8"},
    {"a,b\n1,0\n", &by_name, LGT_ERR_USAGE, "t.csv:1: none of the 2 columns is named 'y'"},
    {"y,y\n1,0\n", &by_name, LGT_ERR_DATA, "t.csv:1: columns 1 and 2 are both named 'y'"},
    {"1,0\n", &by_zero, LGT_ERR_USAGE, "t.csv:1: the label column is 0, expected 1 to 2"},
    {"1,0\n", &by_nine, LGT_ERR_USAGE, "t.csv:1: the label column is 9, expected 1 to 2"},
    {"1,0\n", &by_minus, LGT_ERR_USAGE, "t.csv:1: the label column is -1"},
};

static void bad_tables_are_refused_with_their_line(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_tables / sizeof *bad_tables; i++)
        assert_refused(bad_tables[i].text, strlen(bad_tables[i].text), *bad_tables[i].request, bad_tables[i].status,
                       bad_tables[i].part);
    assert_refused("1,2\0,0\n", 7, with_labels, LGT_ERR_DATA, "t.csv:1: a NUL byte");
    assert_refused("1,\"a\0b\"\n", 8, with_labels, LGT_ERR_DATA, "t.csv:1: a NUL byte");
    assert_refused("1\0,\0"
                   "2\0\n\0",
                   8, with_labels, LGT_ERR_DATA, "t.csv:1: a NUL byte");
    print_message("%zu tables\n", sizeof bad_tables / sizeof *bad_tables + 3);
}

static void long_lines_and_many_columns_have_limits(void **state) {
    (void)state;
    enum { LONG = (16 << 20) + 2 };
    char *text = malloc(LONG);
    assert_non_null(text);
    memset(text, '1', LONG);
    assert_refused(text, LONG, with_labels, LGT_ERR_MEMORY, "t.csv:1: the record is longer than 16 MiB");
    text[0] = '"';
    memset(text + 1, '\n', LONG - 1);
    assert_refused(text, LONG, with_labels, LGT_ERR_MEMORY, "the record is longer than 16 MiB");
    memset(text, ',', LONG);
    assert_refused(text, LONG, with_labels, LGT_ERR_MEMORY, "t.csv:1: the record has more than 1048576 cells");
    for (int i = 0; i < 40000; i += 2) text[i] = '3'; /* many columns, read over several chunks */
    text[39999] = '\n';
    lgt_error err;
    lgt_dataset *dataset = NULL;
    lgt_context *context = test_context(1);
    char *twice = malloc(80000);
    assert_non_null(twice);
    memcpy(twice, text, 40000);
    memcpy(twice + 40000, text, 40000);
    assert_ok(load(context, test_put("t.csv", twice, 80000), without_labels, &dataset, &err), err);
    assert_int_equal(dataset->n_rows, 2);
    assert_int_equal(dataset->dim, 20000);
    for (int64_t i = 0; i < 40000; i++) assert_true(dataset->x[i] == 3);
    lgt_dataset_free(context, dataset);
    lgt_context_free(context);
    unlink(test_path("t.csv"));
    free(twice);
    free(text);
}

static const char *put_packed(const char *name, const char *line, int times) {
    const char *path = test_path(name);
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    for (int i = 0; i < times; i++) assert_true(gzputs(file, line) > 0);
    assert_int_equal(gzclose(file), Z_OK);
    return path;
}

static void packed_tables_are_read_unless_they_are_bombs(void **state) {
    (void)state;
    lgt_error err;
    lgt_dataset *dataset = NULL;
    lgt_context *context = test_context(1);
    assert_ok(load(context, put_packed("t.csv", "1,2,0\n", 1000), with_labels, &dataset, &err), err);
    assert_int_equal(dataset->n_rows, 1000);
    lgt_dataset_free(context, dataset);
    assert_fails(load(context, put_packed("t.csv", "0,0,0,0,0,0,0,0\n", 500000), with_labels, &dataset, &err),
                 LGT_ERR_MEMORY, err, "unpacks to more than 200 times its size");
    unlink(test_path("t.csv"));
    lgt_context_free(context);
}

static void a_decimal_comma_in_the_locale_changes_nothing(void **state) {
    (void)state;
    if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "fr_FR.UTF-8")) {
        print_message("skipped: no locale with a decimal comma is installed\n");
        skip();
    }
    lgt_error err;
    lgt_dataset *dataset = NULL;
    lgt_context *context = test_context(1);
    lgt_status status =
        load(context, test_put_text("t.csv", "1.5,1.2345678901234567,0\n"), with_labels, &dataset, &err);
    setlocale(LC_ALL, "C");
    assert_ok(status, err);
    assert_true(dataset->x[0] == 1.5F && dataset->x[1] == 1.2345678901234567F);
    lgt_dataset_free(context, dataset);
    lgt_context_free(context);
    unlink(test_path("t.csv"));
}

static void every_cut_of_a_table_ends_in_order(void **state) {
    (void)state;
    static const char text[] = "a,b,y\r\n1.5,\"2\",cat\r\n-3e1,4,\"d\"\"og\"\r\n";
    for (size_t length = 0; length < sizeof text - 1; length++) {
        lgt_error err;
        lgt_dataset *dataset = NULL;
        lgt_context *context = test_context_failing(0);
        lgt_status status = load(context, test_put("t.csv", text, length), with_labels, &dataset, &err);
        /* Lines may stand alone, so a cut at the end of one, or within the last label, leaves a table. */
        assert_true(status == LGT_OK || status == LGT_ERR_DATA);
        if (length < strlen("a,b,y\r\n1.5,\"2\",c")) assert_int_equal(status, LGT_ERR_DATA);
        lgt_dataset_free(context, dataset);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
    unlink(test_path("t.csv"));
}

static void reading_a_table_survives_every_refused_allocation(void **state) {
    (void)state;
    const char *texts[] = {"a,b,y\n1,2,cat\n3,4,dog\n5,6,cat\n", "1,2,10\n3,4,9\n5,6,10\n"};
    for (int t = 0; t < 2; t++) {
        int done = 0;
        for (int64_t fail_at = 1; !done; fail_at++) {
            assert_true(fail_at < 60);
            lgt_error err;
            lgt_dataset *dataset = NULL;
            lgt_context *context = test_context_failing(fail_at);
            lgt_status status = load(context, test_put_text("t.csv", texts[t]), with_labels, &dataset, &err);
            done = status == LGT_OK;
            assert_int_equal(status, done ? LGT_OK : LGT_ERR_MEMORY);
            lgt_dataset_free(context, dataset);
            lgt_context_free(context);
            assert_int_equal(test_live_blocks(), 0);
        }
    }
    unlink(test_path("t.csv"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_tables_are_read),
        cmocka_unit_test(bad_tables_are_refused_with_their_line),
        cmocka_unit_test(long_lines_and_many_columns_have_limits),
        cmocka_unit_test(packed_tables_are_read_unless_they_are_bombs),
        cmocka_unit_test(a_decimal_comma_in_the_locale_changes_nothing),
        cmocka_unit_test(every_cut_of_a_table_ends_in_order),
        cmocka_unit_test(reading_a_table_survives_every_refused_allocation),
    };
    return cmocka_run_group_tests_name("csv", tests, test_folder_begin, test_folder_end);
}
