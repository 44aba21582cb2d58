/* Numbers and words in text, the same in every locale. */
#include "base/text.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 512, WORD_MAX = 63 };

/* strtod and printf follow the thread's locale; a decimal comma would change what files mean. */
static locale_t enter_c_locale(locale_t *own) {
    *own = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return *own ? uselocale(*own) : (locale_t)0;
}

static void leave_c_locale(locale_t own, locale_t previous) {
    if (!own) return;
    uselocale(previous);
    freelocale(own);
}

static size_t digits(const char *text, size_t length, size_t at) {
    while (at < length && text[at] >= '0' && text[at] <= '9') at++;
    return at;
}

/* True for  [+-] digits [. digits] [e [+-] digits]  with a digit in the mantissa. */
static int is_decimal(const char *text, size_t length) {
    size_t at = length > 0 && (text[0] == '+' || text[0] == '-');
    size_t whole = digits(text, length, at), count = whole - at;
    at = whole;
    if (at < length && text[at] == '.') {
        size_t end = digits(text, length, at + 1);
        count += end - at - 1;
        at = end;
    }
    if (count == 0) return 0;
    if (at < length && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        if (at < length && (text[at] == '+' || text[at] == '-')) at++;
        size_t end = digits(text, length, at);
        if (end == at) return 0;
        at = end;
    }
    return at == length;
}

/* Up to 15 digits and a power of ten up to 22 are exact in double, so one multiplication or division rounds once
 * (Clinger 1990, the fast path): most numbers in files end here, without a change of locale. */
static int exact_decimal(const char *text, size_t length, double *out) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    uint64_t mantissa = 0;
    int seen = 0, fraction = 0, point = 0;
    size_t at = text[0] == '+' || text[0] == '-';
    for (; at < length; at++) {
        if (text[at] == '.') {
            point = 1;
            continue;
        }
        if (text[at] < '0' || text[at] > '9') return 0;
        if (++seen > 15) return 0;
        mantissa = mantissa * 10 + (uint64_t)(text[at] - '0');
        fraction += point;
    }
    double value = (double)mantissa / powers[fraction];
    *out = text[0] == '-' ? -value : value;
    return 1;
}

int lgt_text_double(const char *text, size_t length, double *out) {
    char copy[NUMBER_MAX];
    if (length >= sizeof copy || !is_decimal(text, length)) return 0;
    if (exact_decimal(text, length, out)) return 1;
    memcpy(copy, text, length);
    copy[length] = '\0';
    locale_t own, previous = enter_c_locale(&own);
    double value = strtod(copy, NULL);
    leave_c_locale(own, previous);
    if (!isfinite(value)) return 0;
    *out = value;
    return 1;
}

int lgt_text_int64(const char *text, size_t length, int64_t *out) {
    size_t at = length > 0 && (text[0] == '+' || text[0] == '-');
    int negative = at && text[0] == '-';
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX, value = 0;
    if (at == length) return 0;
    for (; at < length; at++) {
        if (text[at] < '0' || text[at] > '9') return 0;
        uint64_t digit = (uint64_t)(text[at] - '0');
        if (value > (limit - digit) / 10) return 0;
        value = value * 10 + digit;
    }
    *out = !negative ? (int64_t)value : value == 0 ? 0 : -(int64_t)(value - 1) - 1; /* INT64_MIN has no opposite */
    return 1;
}

int lgt_text_whole(const char *text, size_t length, int64_t *out) {
    double value;
    if (lgt_text_int64(text, length, out)) return 1;
    if (!lgt_text_double(text, length, &value) || value != trunc(value) || value < -0x1p63 || value >= 0x1p63) return 0;
    *out = (int64_t)value;
    return 1;
}

size_t lgt_text_format(char *out, size_t size, const char *format, ...) {
    va_list args;
    locale_t own, previous = enter_c_locale(&own);
    va_start(args, format);
    int length = vsnprintf(out, size, format, args);
    va_end(args);
    leave_c_locale(own, previous);
    return length < 0 || (size_t)length >= size ? size : (size_t)length;
}

size_t lgt_text_from_double(char *out, size_t size, double value) {
    if (!isfinite(value)) return lgt_text_format(out, size, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    size_t length = 0;
    /* %g drops trailing zeros, and 15 digits tell all normal doubles of fewer digits: whole numbers come out whole. */
    for (int precision = fabs(value) < DBL_MIN ? 1 : DBL_DIG; precision <= 17; precision++) {
        double back;
        length = lgt_text_format(out, size, "%.*g", precision, value);
        if (lgt_text_double(out, length, &back) && back == value) break;
    }
    return length;
}

static int least(int a, int b, int c) {
    int low = a < b ? a : b;
    return low < c ? low : c;
}

/* Letters of either case are the same. */
static int letter(char c) {
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

int lgt_text_distance(const char *a, const char *b) {
    int before[WORD_MAX + 1], last[WORD_MAX + 1], row[WORD_MAX + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > WORD_MAX) n = WORD_MAX;
    if (m > WORD_MAX) m = WORD_MAX;
    for (size_t j = 0; j <= m; j++) before[j] = last[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = least(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter(a[i - 1]) != letter(b[j - 1])));
            int swapped =
                i > 1 && j > 1 && letter(a[i - 1]) == letter(b[j - 2]) && letter(a[i - 2]) == letter(b[j - 1]);
            if (swapped && before[j - 2] + 1 < row[j]) row[j] = before[j - 2] + 1;
        }
        memcpy(before, last, sizeof before);
        memcpy(last, row, sizeof last);
    }
    return last[m];
}

int lgt_text_compare(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}
