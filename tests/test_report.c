/* Reports: what is escaped, what the policy allows, which points of a long series remain, and runs that are not whole.
 */
#include "logitude/report.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "report/page.h"
#include "report/parts.h"
#include "report/record.h"
#include "report/series.h"
#include "report/sha256.h"
#include "temporary.h"

/* --- Hashes --- */

static void digests_are_those_of_the_standard(void **state) {
    (void)state;
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqr"
         "st"
         "u",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t digest[32];
        char hex[65];
        lgt_sha256(cases[i].text, strlen(cases[i].text), digest);
        for (int k = 0; k < 32; k++) snprintf(hex + 2 * k, 3, "%02x", digest[k]);
        assert_string_equal(hex, cases[i].hex);
    }
    uint8_t digest[32];
    char *million = malloc(1000000);
    assert_non_null(million);
    memset(million, 'a', 1000000);
    lgt_sha256(million, 1000000, digest);
    free(million);
    assert_int_equal(digest[0], 0xcd);
    assert_int_equal(digest[31], 0xd0);
    char source[LGT_SHA256_SOURCE_SIZE];
    lgt_sha256_source("", 0, source);
    assert_string_equal(source, "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

/* --- Pages in memory --- */

static char *record_of(lgt_context *context, const lgt_report_run *runs, int64_t n_runs) {
    char *record = NULL;
    size_t length = 0;
    lgt_error err;
    assert_ok(lgt_record_text(context, runs, n_runs, &record, &length, &err), err);
    assert_int_equal(strlen(record), length);
    return record;
}

static char *page_of(lgt_context *context, const char *title, const char *record) {
    char *page = NULL;
    size_t length = 0;
    lgt_error err;
    assert_ok(lgt_page_text(context, title, record, strlen(record), &page, &length, &err), err);
    assert_int_equal(strlen(page), length);
    return page;
}

static int count(const char *text, const char *part) {
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) n++;
    return n;
}

/* The text between two marks, to be freed. */
static char *between(const char *text, const char *from, const char *to) {
    const char *start = strstr(text, from);
    assert_non_null(start);
    start += strlen(from);
    const char *end = strstr(start, to);
    assert_non_null(end);
    char *part = calloc((size_t)(end - start) + 1, 1);
    assert_non_null(part);
    memcpy(part, start, (size_t)(end - start));
    return part;
}

static void assert_allows(const char *policy, const char *directive, const char *content) {
    char source[LGT_SHA256_SOURCE_SIZE];
    lgt_sha256_source(content, strlen(content), source);
    const char *at = strstr(policy, directive);
    assert_non_null(at);
    assert_non_null(strstr(at, source));
}

static void the_policy_allows_the_style_and_the_two_scripts_and_nothing_else(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    char *page = page_of(context, "run", "{\"runs\":[]}");
    char *policy = between(page, "Content-Security-Policy\" content=\"", "\"");
    char *style = between(page, "<style>", "</style>"), *chart = between(page, "<script>", "</script>");
    char *script = between(strstr(page, "<script>") + 1, "<script>", "</script>");
    assert_int_equal(strncmp(policy, "default-src 'none'; ", 20), 0);
    assert_allows(policy, "style-src", style);
    assert_allows(policy, "script-src", chart);
    assert_allows(policy, "script-src", script);
    assert_int_equal(count(policy, "sha256-"), 3);
    assert_null(strstr(policy, "unsafe"));
    assert_null(strstr(policy, "http"));
    assert_int_equal(count(page, "<script"), 3);
    assert_int_equal(count(page, "</script"), 3);
    assert_null(strstr(page, " style=\"")); /* the policy forbids them */
    assert_null(strstr(page, "{{"));
    free(script);
    free(chart);
    free(style);
    free(policy);
    lgt_release(context, page);
    lgt_context_free(context);
}

static void the_parts_hold_nothing_that_ends_their_element(void **state) {
    (void)state;
    const lgt_page_part *parts[] = {&lgt_page_chart, &lgt_page_script, &lgt_page_style};
    for (int i = 0; i < 3; i++) {
        char *text = calloc(parts[i]->length + 1, 1);
        assert_non_null(text);
        memcpy(text, parts[i]->bytes, parts[i]->length);
        assert_int_equal(strlen(text), parts[i]->length);
        assert_null(strstr(text, "</script"));
        assert_null(strstr(text, "</style"));
        assert_null(strstr(text, "<!--"));
        assert_null(strchr(text, '\r')); /* a parser makes it a newline: the hash would be another */
        free(text);
    }
}

/* --- Hostile texts --- */

static const char *const hostile[] = {"<script>alert(1)</script>",
                                      "</script><script>alert(1)</script>",
                                      "</SCRIPT >",
                                      "<!--",
                                      "--><svg onload=alert(1)>",
                                      "<![CDATA[",
                                      "]]>",
                                      "\"><img src=x onerror=alert(1)>",
                                      "' onmouseover='alert(1)",
                                      "\" autofocus onfocus=\"alert(1)",
                                      "</title><script>alert(1)</script>",
                                      "</style><script>alert(1)</script>",
                                      "<iframe src=javascript:alert(1)>",
                                      "javascript:alert(1)",
                                      "&lt;script&gt;alert(1)&lt;/script&gt;",
                                      "&#60;script&#62;",
                                      "\\u003cscript\\u003e",
                                      "line\xe2\x80\xa8separator\xe2\x80\xa9paragraph",
                                      "{{record}}{{script}}",
                                      "${alert(1)}`'\"\\",
                                      "\xef\xbb\xbf<\xef\xbc\x9cscript>",
                                      "<scr<script>ipt>",
                                      "__proto__",
                                      "\n\r\t\x01<b>"};
enum { N_HOSTILE = sizeof hostile / sizeof *hostile };

static void assert_harmless(const char *record) {
    for (const char *c = record; *c; c++) {
        assert_true((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f);
        assert_true(*c != '<' && *c != '>' && *c != '&');
    }
}

static void hostile_texts_come_back_as_they_are_and_open_no_element(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    assert_true(N_HOSTILE >= 20);
    for (int i = 0; i < N_HOSTILE; i++) {
        const char *text = hostile[i];
        json_t *object = json_pack("{s:s,s:{s:[s]},s:s}", "loss", text, "confusion", "classes", text, text, text);
        assert_non_null(object);
        char *json = json_dumps(object, JSON_COMPACT);
        const lgt_report_run run = {text, json, NULL, json, NULL};
        char *record = record_of(context, &run, 1), *page = page_of(context, text, record);
        assert_harmless(record);
        json_t *read = json_loads(record, 0, NULL), *back = json_array_get(json_object_get(read, "runs"), 0);
        assert_non_null(back);
        assert_string_equal(json_string_value(json_object_get(back, "name")), text);
        assert_true(json_equal(json_object_get(back, "run"), object));
        assert_true(json_equal(json_object_get(back, "analysis"), object));
        assert_int_equal(count(page, "<script"), 3);
        assert_int_equal(count(page, "</script"), 3);
        char *title = between(page, "<title>", "</title>");
        assert_null(strpbrk(title, "<>\"'"));
        free(title);
        json_decref(read);
        lgt_release(context, page);
        lgt_release(context, record);
        free(json);
        json_decref(object);
    }
    lgt_context_free(context);
}

static void a_name_that_is_not_utf8_is_shown_with_question_marks(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    const lgt_report_run run = {"a\xff<b", NULL, NULL, NULL, NULL};
    char *record = record_of(context, &run, 1);
    assert_non_null(strstr(record, "\"name\":\"a?\\u003cb\""));
    lgt_release(context, record);
    lgt_context_free(context);
}

/* --- Series --- */

static void a_short_series_is_kept_as_it_is(void **state) {
    (void)state;
    double values[20] = {0};
    int64_t keep[20];
    for (int64_t n = 0; n <= 20; n++) {
        assert_int_equal(lgt_series_thin(n, values, 20, keep), n);
        for (int64_t i = 0; i < n; i++) assert_int_equal(keep[i], i);
    }
}

static void a_long_series_keeps_its_ends_extremes_and_gaps(void **state) {
    (void)state;
    static const int64_t sizes[] = {21, 50, 2001, 99999, 100000}, limits[] = {LGT_SERIES_LEAST, 20, 100, 2000};
    double *values = malloc(100000 * sizeof *values);
    int64_t *keep = malloc(2000 * sizeof *keep);
    assert_true(values && keep);
    for (int s = 0; s < 5; s++)
        for (int l = 0; l < 4; l++) {
            int64_t n = sizes[s], limit = limits[l], high = n / 3, low = n / 2, gap = 2 * n / 3;
            test_normal(values, n, 7, (uint64_t)s);
            values[high] = 1e6;
            values[low] = -1e6;
            values[gap] = NAN;
            int64_t kept = lgt_series_thin(n, values, limit, keep);
            int found = 0;
            assert_true(kept <= limit && kept >= 2);
            assert_int_equal(keep[0], 0);
            assert_int_equal(keep[kept - 1], n - 1);
            for (int64_t i = 0; i < kept; i++) {
                assert_true(i == 0 || keep[i] > keep[i - 1]);
                found += keep[i] == high || keep[i] == low || keep[i] == gap;
            }
            assert_int_equal(found, 3);
        }
    for (int64_t i = 0; i < 5000; i++) values[i] = NAN;
    assert_true(lgt_series_thin(5000, values, 2000, keep) <= 2000);
    free(keep);
    free(values);
}

/* --- Runs --- */

static char *long_metrics(int n) {
    size_t size = (size_t)n * 256 + 1, at = 0;
    char *text = malloc(size);
    assert_non_null(text);
    for (int i = 1; i <= n; i++) {
        double loss = i == 31337 ? 77.125 : 2 + sin(i * 0.7) / 3 + 1 / (double)i;
        at +=
            (size_t)snprintf(text + at, size - at,
                             "{\"kind\":\"step\",\"step\":%d,\"epoch\":1,\"loss\":%.17g,\"lr\":%.17g,\"gradient_norm\":"
                             "%.17g,\"seconds\":%.17g,\"samples\":%d}\n",
                             i, loss, 0.001 / i, loss * 3.3, i * 0.0047, i * 128);
    }
    return text;
}

static void a_hundred_thousand_steps_fit_in_two_megabytes_with_their_extremes(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    char *metrics = long_metrics(100000);
    const lgt_report_run run = {"long", "{}", metrics, NULL, NULL};
    char *record = record_of(context, &run, 1), *page = page_of(context, "long", record);
    json_t *read = json_loads(record, 0, NULL);
    json_t *steps = json_object_get(json_array_get(json_object_get(read, "runs"), 0), "steps");
    json_t *loss = json_object_get(steps, "loss"), *x = json_object_get(loss, "x"), *y = json_object_get(loss, "y");
    int found = 0;
    assert_true(json_array_size(y) <= 2000 && json_array_size(y) > 1000);
    assert_int_equal(json_array_size(x), json_array_size(y));
    for (size_t i = 0; i < json_array_size(y); i++)
        found |= json_number_value(json_array_get(y, i)) == 77.125 && json_integer_value(json_array_get(x, i)) == 31337;
    assert_true(found);
    assert_at_most((double)strlen(page), 2e6, "bytes of the page");
    json_decref(read);
    lgt_release(context, page);
    lgt_release(context, record);
    free(metrics);
    lgt_context_free(context);
}

static void many_long_runs_fit_as_well(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    char *metrics = long_metrics(2500);
    lgt_report_run runs[LGT_REPORT_MOST_RUNS];
    for (int i = 0; i < LGT_REPORT_MOST_RUNS; i++) runs[i] = (lgt_report_run){"r", "{}", metrics, NULL, NULL};
    char *record = record_of(context, runs, LGT_REPORT_MOST_RUNS);
    assert_at_most((double)strlen(record), 1.5e6, "bytes of the record");
    lgt_release(context, record);
    free(metrics);
    lgt_context_free(context);
}

static void runs_that_are_not_whole_are_shown_as_far_as_they_go(void **state) {
    (void)state;
    static const lgt_report_run cases[] = {
        {"nothing", NULL, NULL, NULL, NULL},
        {"empty", "", "", "", NULL},
        {"", "{}", "\n\n", "{}", NULL},
        {"torn", NULL, "{\"kind\":\"step\",\"step\":1,\"loss\":2}\n{\"kind\":\"step\",\"st", NULL, NULL},
        {"no end", NULL, "{\"kind\":\"epoch\",\"epoch\":1,\"loss\":2}", NULL, NULL},
        {"gaps", NULL, "{\"kind\":\"step\",\"step\":1,\"loss\":null}\n{\"kind\":\"step\",\"step\":null,\"loss\":1}\n",
         NULL, NULL},
        {"strange", "{\"results\":[]}", "[]\n{\"kind\":5}\n{\"kind\":\"new\"}\n{\"kind\":\"step\"}\n", "{\"map\":3}",
         NULL},
    };
    lgt_context *context = test_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *record = record_of(context, &cases[i], 1);
        json_t *read = json_loads(record, 0, NULL), *run = json_array_get(json_object_get(read, "runs"), 0);
        json_t *loss = json_object_get(json_object_get(run, "steps"), "loss");
        assert_true(json_is_object(json_object_get(run, "epochs")));
        assert_int_equal(loss != NULL, i == 3 || i == 5);
        if (loss) assert_int_equal(json_array_size(json_object_get(loss, "y")), 1);
        if (i == 5) assert_true(json_is_null(json_array_get(json_object_get(loss, "y"), 0)));
        json_decref(read);
        lgt_release(context, record);
    }
    lgt_context_free(context);
}

static void texts_that_are_no_json_are_errors_that_name_file_and_line(void **state) {
    (void)state;
    static const struct {
        lgt_report_run run;
        const char *part;
    } cases[] = {
        {{"r", "{", NULL, NULL, NULL}, "r/run.json:1: "},
        {{"r", "[]", NULL, NULL, NULL}, "r/run.json:1: found something else, expected a JSON object"},
        {{"r", "{}", NULL, "{\n\"a\": nan}", NULL}, "r/analysis.json:2: "},
        {{"r", NULL, "{}\n{}\n{oops}\n{}\n", NULL, NULL}, "r/metrics.jsonl:3: "},
        {{"r", "{", NULL, NULL, "runs/r"}, "runs/r/run.json:1: "},
    };
    lgt_context *context = test_context(1);
    lgt_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(lgt_report_write(context, &cases[i].run, 1, test_path("r.html"), &err), LGT_ERR_DATA, err,
                     cases[i].part);
    assert_fails(lgt_report_write(context, &cases[0].run, 0, test_path("r.html"), &err), LGT_ERR_USAGE, err, "0 runs");
    assert_fails(lgt_report_write(context, &cases[0].run, LGT_REPORT_MOST_RUNS + 1, "r", &err), LGT_ERR_USAGE, err,
                 "33");
    assert_fails(lgt_report_write(context, NULL, 1, "r", &err), LGT_ERR_USAGE, err, "path");
    assert_fails(lgt_report_write(context, &(lgt_report_run){NULL, NULL, NULL, NULL, NULL}, 1, "r", &err),
                 LGT_ERR_USAGE, err, "run 0 has no name");
    assert_fails(lgt_report_write(context, &(lgt_report_run){"r", NULL, NULL, NULL, NULL}, 1, "/no/such/r.html", &err),
                 LGT_ERR_IO, err, "/no/such");
    assert_int_equal(test_count_files(test_folder), 0);
    lgt_context_free(context);
}

static void long_lists_of_an_analysis_lose_the_same_elements(void **state) {
    (void)state;
    lgt_context *context = test_context(1);
    json_t *a = json_array(), *b = json_array();
    for (int i = 0; i < 4100; i++) {
        json_array_append_new(a, json_integer(i));
        json_array_append_new(b, json_integer(-i));
    }
    json_t *object = json_pack("{s:{s:o,s:o}}", "explain", "theta", a, "alpha", b);
    char *json = json_dumps(object, 0);
    const lgt_report_run run = {"r", NULL, NULL, json, NULL};
    char *record = record_of(context, &run, 1);
    json_t *read = json_loads(record, 0, NULL);
    json_t *explain =
        json_object_get(json_object_get(json_array_get(json_object_get(read, "runs"), 0), "analysis"), "explain");
    a = json_object_get(explain, "theta");
    b = json_object_get(explain, "alpha");
    assert_int_equal(json_array_size(a), 1367);
    assert_int_equal(json_array_size(b), 1367);
    for (size_t i = 0; i < 1367; i++) {
        assert_int_equal(json_integer_value(json_array_get(a, i)), 3 * i);
        assert_int_equal(json_integer_value(json_array_get(b, i)), -3 * (int)i);
    }
    json_decref(read);
    lgt_release(context, record);
    free(json);
    json_decref(object);
    lgt_context_free(context);
}

static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = malloc(1 << 20);
    assert_non_null(text);
    *length = fread(text, 1, 1 << 20, file);
    fclose(file);
    return text;
}

static void the_same_texts_give_the_same_bytes(void **state) {
    (void)state;
    lgt_context *one = test_context(1), *three = test_context(3);
    char *metrics = long_metrics(3000);
    const lgt_report_run runs[] = {{"a", "{\"b\":1,\"a\":2}", metrics, "{\"z\":[1,2.5]}", NULL},
                                   {"b", NULL, metrics, NULL, NULL}};
    lgt_error err;
    size_t first_length = 0, second_length = 0;
    assert_ok(lgt_report_write(one, runs, 2, test_path("1.html"), &err), err);
    assert_ok(lgt_report_write(three, runs, 2, test_path("2.html"), &err), err);
    char *first = read_file(test_path("1.html"), &first_length),
         *second = read_file(test_path("2.html"), &second_length);
    assert_true(first_length > 200000 && first_length == second_length);
    assert_memory_equal(first, second, first_length);
    free(second);
    free(first);
    free(metrics);
    unlink(test_path("1.html"));
    unlink(test_path("2.html"));
    lgt_context_free(three);
    lgt_context_free(one);
}

static void every_refused_allocation_is_an_error_and_leaves_nothing(void **state) {
    (void)state;
    char *metrics = long_metrics(3000);
    const lgt_report_run run = {"a\xff", "{}", metrics, "{}", NULL};
    lgt_status status = LGT_ERR_MEMORY;
    for (int64_t fail_at = 1; status; fail_at++) {
        lgt_error err;
        lgt_context *context = test_context_failing(fail_at);
        assert_true(fail_at < 100);
        status = lgt_report_write(context, &run, 1, test_path("f.html"), &err);
        assert_true(status == LGT_OK || status == LGT_ERR_MEMORY);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
    unlink(test_path("f.html"));
    free(metrics);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_those_of_the_standard),
        cmocka_unit_test(the_policy_allows_the_style_and_the_two_scripts_and_nothing_else),
        cmocka_unit_test(the_parts_hold_nothing_that_ends_their_element),
        cmocka_unit_test(hostile_texts_come_back_as_they_are_and_open_no_element),
        cmocka_unit_test(a_name_that_is_not_utf8_is_shown_with_question_marks),
        cmocka_unit_test(a_short_series_is_kept_as_it_is),
        cmocka_unit_test(a_long_series_keeps_its_ends_extremes_and_gaps),
        cmocka_unit_test(a_hundred_thousand_steps_fit_in_two_megabytes_with_their_extremes),
        cmocka_unit_test(many_long_runs_fit_as_well),
        cmocka_unit_test(runs_that_are_not_whole_are_shown_as_far_as_they_go),
        cmocka_unit_test(texts_that_are_no_json_are_errors_that_name_file_and_line),
        cmocka_unit_test(long_lists_of_an_analysis_lose_the_same_elements),
        cmocka_unit_test(the_same_texts_give_the_same_bytes),
        cmocka_unit_test(every_refused_allocation_is_an_error_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, test_folder_begin, test_folder_end);
}
