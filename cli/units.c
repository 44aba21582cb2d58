/* Reads and writes amounts with units. */
#include "units.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

static const char prefixes[] = "kMGT";

/* The factor of a prefix at *text, which moves past it: "", k, M, G, T, and Ki, Mi, Gi, Ti; K is k. */
static double factor_of(const char **text) {
    const char *found = **text ? strchr(prefixes, **text == 'K' ? 'k' : **text) : NULL;
    if (!found) return 1;
    *text += 1;
    if (**text != 'i') return pow(1000, (double)(found - prefixes) + 1);
    *text += 1;
    return pow(1024, (double)(found - prefixes) + 1);
}

/* The length of the digits, with a point, at the head of the text; 0 where there is no number. */
static size_t number_length(const char *text) {
    size_t whole = strspn(text, "0123456789"), part = 0;
    if (text[whole] == '.') part = 1 + strspn(text + whole + 1, "0123456789");
    return whole + part == 0 || (whole == 0 && part == 1) ? 0 : whole + part;
}

/* Digits and a point mean the same in every locale when they are read one by one. */
static double read_number(const char *text, size_t length) {
    double value = 0, scale = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '.') {
            scale = 1;
            continue;
        }
        value = 10 * value + (text[i] - '0');
        scale *= 10;
    }
    return scale > 0 ? value / scale : value;
}

static lgt_status read_amount(const cli_args *args, const char *name, const char *bit, const char *byte,
                              const char *example, double *out, lgt_error *err) {
    const char *text = cli_text(args, name);
    if (!text) return LGT_OK;
    size_t length = number_length(text);
    const char *unit = text + length;
    while (*unit == ' ') unit++;
    double value = read_number(text, length) * factor_of(&unit);
    int bits = bit && strcmp(unit, bit) == 0;
    if (!length || !(bits || strcmp(unit, byte) == 0) || !(value >= 1 && value <= 1e24))
        return cli_fail(err, LGT_ERR_USAGE, "--%s is '%.60s', expected a number and a unit, as in %s", name, text,
                        example);
    *out = bits ? value / 8 : value;
    return LGT_OK;
}

lgt_status cli_bytes(const cli_args *args, const char *name, double *out, lgt_error *err) {
    return read_amount(args, name, NULL, "B", "64GB or 64GiB", out, err);
}

lgt_status cli_byte_rate(const cli_args *args, const char *name, double *out, lgt_error *err) {
    return read_amount(args, name, "b/s", "B/s", "100Gb/s (bits) or 12.5GB/s (bytes)", out, err);
}

void cli_bytes_text(double bytes, char *out, size_t size) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
    size_t i = 0;
    for (; bytes >= 999.5 && i + 1 < sizeof units / sizeof *units; i++) bytes /= 1000;
    snprintf(out, size, "%.3g %s", bytes, units[i]);
}

void cli_seconds_text(double seconds, char *out, size_t size) {
    if (seconds < 0.9995e-3)
        snprintf(out, size, "%.3g us", 1e6 * seconds);
    else if (seconds < 0.9995)
        snprintf(out, size, "%.3g ms", 1e3 * seconds);
    else if (seconds < 600)
        snprintf(out, size, "%.3g s", seconds);
    else if (seconds < 6000)
        snprintf(out, size, "%.3g min", seconds / 60);
    else
        snprintf(out, size, "%.3g h", seconds / 3600);
}
