/* Numbers and words in text: what is read, what is refused, and that no locale changes either. */
#include "support.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "base/text.h"

static int same_bits(double a, double b) {
    return memcmp(&a, &b, sizeof a) == 0;
}

typedef struct number {
    const char *text;
    double value;
} number;

static const number accepted[] = {
    {"0", 0},
    {"-0", -0.0},
    {"+0", 0},
    {"1", 1},
    {"+1", 1},
    {"-1.5", -1.5},
    {"5.", 5},
    {".5", 0.5},
    {"-.5", -0.5},
    {"007", 7},
    {"1e3", 1000},
    {"1E+3", 1000},
    {"1e-3", 0.001},
    {".5e1", 5},
    {"0.1", 0.1},
    {"3.14159265358979", 3.14159265358979},
    {"3.141592653589793238462643383279502884", 3.141592653589793},
    {"999999999999999", 999999999999999.0},
    {"9007199254740993", 9007199254740992.0}, /* a tie, to even */
    {"9007199254740993.00000000000000000001", 9007199254740994.0},
    {"1.7976931348623157e308", DBL_MAX},
    {"-1.7976931348623157e308", -DBL_MAX},
    {"2.2250738585072014e-308", DBL_MIN},
    {"4.9406564584124654e-324", 0x1p-1074},
    {"2.4e-324", 0}, /* below half the least subnormal */
    {"1e-400", 0},
    {"-1e-400", -0.0},
    {"0e999999", 0},
    {"1e00000000000000000003", 1000},
    {"0.000000000000001", 1e-15},
};

static void numbers_are_read_as_the_nearest_double(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        double value = NAN;
        int read = lgt_text_double(accepted[i].text, strlen(accepted[i].text), &value);
        if (!read || !same_bits(value, accepted[i].value))
            fail_msg("\"%s\" read %d as %.17g", accepted[i].text, read, value);
    }
}

static const char *const refused[] = {
    "",        "+",     "-",     ".",        "-.",        "e5",       ".e5",   "1e",    "1e+",   "1e-",
    "1.2.3",   "1..2",  "--1",   "+-1",      "1-",        "1e5.0",    "1e5e",  " 1",    "1 ",    "\t1",
    "1\n",     "1 000", "1,5",   "1,000",    "1_000",     "0x1p3",    "0x10",  "0X1",   "1f",    "1d0",
    "1.0L",    "nan",   "NaN",   "-nan",     "inf",       "Infinity", "-inf",  "1e400", "1e309", "-1e400",
    "1.8e308", "one",   "1e1e1", "\xd9\xa1", "1\xc2\xa0", "0b1",      "1'000", "$1",
};

static void anything_else_is_refused_and_leaves_the_value(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        double value = 42;
        int read = lgt_text_double(refused[i], strlen(refused[i]), &value);
        if (read || value != 42) fail_msg("\"%s\" read %d as %.17g", refused[i], read, value);
    }
    double value = 42;
    assert_false(lgt_text_double("1\0", 2, &value)); /* the whole span counts, also behind a NUL */
    assert_false(lgt_text_double("12345", 0, &value));
    assert_true(value == 42);
    assert_true(lgt_text_double("12345", 2, &value) && value == 12); /* and nothing behind it */
}

static void long_numbers_are_read_up_to_the_stated_length(void **state) {
    char text[700];
    double value = 0;
    (void)state;
    memset(text, '0', sizeof text);
    text[0] = '1', text[1] = '.', text[510] = '1';
    assert_true(lgt_text_double(text, 511, &value) && value == 1);
    assert_false(lgt_text_double(text, 512, &value));
    assert_false(lgt_text_double(text, sizeof text, &value));
}

/* The exact short cut against the C library's strtod, which rounds correctly; the tests run in the C locale. */
static void short_decimals_read_as_strtod_reads_them(void **state) {
    lgt_rng rng = {20, 1};
    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        char text[40];
        int digits = (int)lgt_rng_below(&rng, 2 * i, 17) + 1, point = (int)(i % (uint64_t)(digits + 1));
        uint64_t mantissa = lgt_rng_bits(&rng, 2 * i + 1) % (uint64_t)pow(10, digits);
        int length = snprintf(text + 1, sizeof text - 1, "%0*llu", digits, (unsigned long long)mantissa);
        for (int k = 0; k < point; k++) text[k] = text[k + 1]; /* the point goes in behind `point` digits */
        text[point] = '.';
        double value = NAN;
        assert_true(lgt_text_double(text, (size_t)length + 1, &value));
        if (!same_bits(value, strtod(text, NULL))) fail_msg("\"%s\" was read as %.17g", text, value);
    }
}

static const struct {
    const char *text;
    int read;
    int64_t value;
} integers[] = {
    {"0", 1, 0},
    {"-0", 1, 0},
    {"+7", 1, 7},
    {"-7", 1, -7},
    {"0012", 1, 12},
    {"9223372036854775807", 1, INT64_MAX},
    {"-9223372036854775808", 1, INT64_MIN},
    {"-9223372036854775807", 1, -INT64_MAX},
    {"00000000000000000000009223372036854775807", 1, INT64_MAX},
    {"9223372036854775808", 0, 42},
    {"-9223372036854775809", 0, 42},
    {"18446744073709551616", 0, 42},
    {"92233720368547758070", 0, 42},
    {"", 0, 42},
    {"+", 0, 42},
    {"-", 0, 42},
    {"--1", 0, 42},
    {" 1", 0, 42},
    {"1 ", 0, 42},
    {"1.0", 0, 42},
    {"1e3", 0, 42},
    {"0x1", 0, 42},
    {"1,000", 0, 42},
};

static void integers_are_read_to_their_bounds_and_no_further(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        int64_t value = 42;
        int read = lgt_text_int64(integers[i].text, strlen(integers[i].text), &value);
        if (read != integers[i].read || value != integers[i].value)
            fail_msg("\"%s\" read %d as %lld", integers[i].text, read, (long long)value);
    }
}

/* Significant decimal digits of a text: zeros at either end do not count. */
static int count_digits(const char *text) {
    int count = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9') continue;
        if (*text == '0')
            zeros += count > 0;
        else
            count += zeros + 1, zeros = 0;
    }
    return count;
}

static void check_shortest(double value) {
    char text[40], shorter[400];
    double back = NAN;
    size_t length = lgt_text_from_double(text, sizeof text, value);
    assert_int_equal(length, strlen(text));
    assert_true(length <= 24);
    if (!lgt_text_double(text, length, &back) || !same_bits(back, value))
        fail_msg("%.17g was written as \"%s\"", value, text);
    int digits = count_digits(text);
    if (digits < 2) return;
    snprintf(shorter, sizeof shorter, "%.*g", digits - 1, value);
    if (count_digits(shorter) < digits && strtod(shorter, NULL) == value)
        fail_msg("\"%s\" is not the shortest: \"%s\" reads back too", text, shorter);
}

static void doubles_are_written_shortest_and_read_back(void **state) {
    static const double some[] = {0,
                                  -0.0,
                                  1,
                                  -1,
                                  0.1,
                                  1e15,
                                  1e16,
                                  1e17,
                                  1e21,
                                  1e22,
                                  1e23,
                                  123456789,
                                  DBL_MAX,
                                  DBL_MIN,
                                  0x1p-1074,
                                  0.3,
                                  5e-324,
                                  2.5,
                                  9007199254740993.0,
                                  100,
                                  1e100,
                                  64};
    lgt_rng rng = {21, 1};
    (void)state;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) check_shortest(some[i]);
    for (uint64_t i = 0; i < 5000; i++) {
        uint64_t bits = lgt_rng_bits(&rng, i);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) check_shortest(value);
        check_shortest(lgt_rng_uniform(&rng, i));
        check_shortest((double)(bits % 100000) / 1000);
    }
}

static void whole_numbers_are_written_without_an_exponent(void **state) {
    static const number whole[] = {{"30", 30},
                                   {"-0", -0.0},
                                   {"1000000", 1e6},
                                   {"-120000", -120000},
                                   {"999999999999999", 999999999999999.0},
                                   {"1e+15", 1e15},
                                   {"1e-06", 1e-6},
                                   {"1e+23", 1e23}};
    char text[40];
    (void)state;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        lgt_text_from_double(text, sizeof text, whole[i].value);
        assert_string_equal(text, whole[i].text);
    }
}

static void what_is_not_finite_is_written_as_a_word(void **state) {
    static const number words[] = {{"nan", NAN}, {"nan", -NAN}, {"inf", INFINITY}, {"-inf", -INFINITY}};
    char text[8];
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        assert_int_equal(lgt_text_from_double(text, sizeof text, words[i].value), strlen(words[i].text));
        assert_string_equal(text, words[i].text);
    }
}

static void a_cut_text_returns_its_size_and_stays_inside(void **state) {
    char text[8];
    (void)state;
    for (size_t size = 0; size <= sizeof text; size++) {
        memset(text, '#', sizeof text);
        size_t length = lgt_text_format(text, size, "%s", "abcde");
        assert_int_equal(length, size > 5 ? 5 : size);
        for (size_t k = size; k < sizeof text; k++) assert_int_equal(text[k], '#');
        if (size > 0) assert_int_equal(text[size > 5 ? 5 : size - 1], '\0');
        memset(text, '#', sizeof text);
        length = lgt_text_from_double(text, size, -0.125);
        assert_int_equal(length, size > 6 ? 6 : size);
        for (size_t k = size; k < sizeof text; k++) assert_int_equal(text[k], '#');
    }
}

static const char *enter_comma_locale(void) {
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8",  "de_DE",
                                        "de_DE@euro",  "fr_FR.UTF-8", "pt_BR.UTF-8"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (setlocale(LC_ALL, names[i]) && localeconv()->decimal_point[0] == ',') return names[i];
    setlocale(LC_ALL, "C");
    return NULL;
}

static void a_locale_with_a_decimal_comma_changes_nothing(void **state) {
    char text[40], localised[40];
    const char *name = enter_comma_locale();
    (void)state;
    if (!name) {
        print_message("no locale with a decimal comma is installed: skipped\n");
        skip();
    }
    print_message("under %s\n", name);
    snprintf(localised, sizeof localised, "%.1f", 1.5);
    numbers_are_read_as_the_nearest_double(NULL);
    anything_else_is_refused_and_leaves_the_value(NULL);
    lgt_text_from_double(text, sizeof text, 0.1);
    assert_string_equal(text, "0.1");
    lgt_text_format(text, sizeof text, "%.3f", 1234.5);
    assert_string_equal(text, "1234.500");
    char after[40];
    snprintf(after, sizeof after, "%.1f", 1.5);
    setlocale(LC_ALL, "C");
    assert_string_equal(localised, "1,5");
    assert_string_equal(after, "1,5"); /* the caller's locale is as it was */
}

static const struct {
    const char *a, *b;
    int distance;
} words[] = {
    {"", "", 0},
    {"a", "", 1},
    {"abc", "", 3},
    {"same", "same", 0},
    {"kitten", "sitting", 3},
    {"ab", "ba", 1},
    {"arcfcae", "arcface", 1},
    {"ca", "abc", 3},
    {"scale", "s", 4},
    {"cosface", "arcface", 3},
    {"abcd", "badc", 2},
    {"A", "a", 0},
    {"ARCFACE", "arcface", 0},
    {"BAd", "abc", 2},
    {"@", "`", 1},
    {"[", "{", 1},
    {"lamda", "lambda", 1},
};

static void distances_count_edits_and_swaps_both_ways(void **state) {
    char long_word[101], head[64];
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        assert_int_equal(lgt_text_distance(words[i].a, words[i].b), words[i].distance);
        assert_int_equal(lgt_text_distance(words[i].b, words[i].a), words[i].distance);
    }
    memset(long_word, 'a', sizeof long_word);
    long_word[100] = '\0';
    memset(head, 'a', sizeof head);
    head[63] = '\0';
    assert_int_equal(lgt_text_distance(long_word, head), 0); /* compared by their heads */
    assert_int_equal(lgt_text_distance(long_word, ""), 63);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_as_the_nearest_double),
        cmocka_unit_test(anything_else_is_refused_and_leaves_the_value),
        cmocka_unit_test(long_numbers_are_read_up_to_the_stated_length),
        cmocka_unit_test(short_decimals_read_as_strtod_reads_them),
        cmocka_unit_test(integers_are_read_to_their_bounds_and_no_further),
        cmocka_unit_test(doubles_are_written_shortest_and_read_back),
        cmocka_unit_test(whole_numbers_are_written_without_an_exponent),
        cmocka_unit_test(what_is_not_finite_is_written_as_a_word),
        cmocka_unit_test(a_cut_text_returns_its_size_and_stays_inside),
        cmocka_unit_test(a_locale_with_a_decimal_comma_changes_nothing),
        cmocka_unit_test(distances_count_edits_and_swaps_both_ways),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
