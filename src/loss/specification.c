/* Loss specifications: NAME[:key=value,...] read, checked against the parameter tables, and written back. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "loss/definition.h"
#include "math/sphere.h"

enum { WORD_MAX = 63 };
#define LAST_STEP 0x1p53 /* whole numbers up to here are doubles */

/* The text from `at` up to, not including, `end`. */
typedef struct span {
    const char *at;
    size_t length;
} span;

static int span_is(span s, const char *word) {
    return strlen(word) == s.length && memcmp(s.at, word, s.length) == 0;
}

/* Splits off the part before the first `mark`; *rest begins after it, or is empty with at == NULL if there is none. */
static span span_split(span s, char mark, span *rest) {
    const char *found = s.length ? memchr(s.at, mark, s.length) : NULL;
    if (!found) {
        *rest = (span){NULL, 0};
        return s;
    }
    size_t head = (size_t)(found - s.at);
    *rest = (span){found + 1, s.length - head - 1};
    return (span){s.at, head};
}

static void span_copy(span s, char *out) {
    size_t length = s.length < WORD_MAX ? s.length : WORD_MAX;
    if (length) memcpy(out, s.at, length);
    out[length] = '\0';
}

/* Keeps the nearest word seen to `typed`, for "did you mean". */
static void nearer(const char *typed, const char *word, const char **best, int *distance) {
    int d = lgt_text_distance(typed, word);
    if (d < *distance) *distance = d, *best = word;
}

static lgt_status unknown_loss(span name, lgt_error *err) {
    char typed[WORD_MAX + 1];
    const char *best = "";
    int distance = 1000;
    span_copy(name, typed);
    for (int i = 0; i < lgt_loss_count(); i++) nearer(typed, lgt_loss_at(i)->name, &best, &distance);
    return lgt_fail(err, LGT_ERR_USAGE, "there is no loss \"%s\"; the nearest is \"%s\"", typed, best);
}

static lgt_status unknown_key(const lgt_loss_info *info, span key, lgt_error *err) {
    char typed[WORD_MAX + 1];
    const char *best = "";
    int distance = 1000;
    span_copy(key, typed);
    for (int i = 0; i < info->n_params; i++) nearer(typed, info->params[i].key, &best, &distance);
    return lgt_fail(err, LGT_ERR_USAGE, "%s has no parameter \"%s\"; the nearest is \"%s\"", info->name, typed, best);
}

static lgt_status wrong_value(const lgt_loss_info *info, const lgt_param_info *param, span text, const char *expected,
                              lgt_error *err) {
    char typed[WORD_MAX + 1];
    span_copy(text, typed);
    return lgt_fail(err, LGT_ERR_USAGE, "%s: %s is \"%s\", expected %s", info->name, param->key, typed, expected);
}

static lgt_status read_number(const lgt_loss_info *info, const lgt_param_info *param, span text, double *out,
                              lgt_error *err) {
    char expected[160], low[32], high[32];
    int angle = param->kind == LGT_PARAM_ANGLE, degrees = 0;
    span digits = text;
    if (angle && text.length > 3 && memcmp(text.at + text.length - 3, "deg", 3) == 0) digits.length -= 3, degrees = 1;
    double value;
    int read = lgt_text_double(digits.at, digits.length, &value);
    if (read && degrees) value *= LGT_PI / 180;
    if (read && angle && value >= param->high)
        return wrong_value(info, param, text, "an angle below pi radians; for degrees write for example 28.6deg", err);
    if (read && value >= param->low && value <= param->high &&
        (param->kind != LGT_PARAM_INTEGER || value == floor(value))) {
        *out = value;
        return LGT_OK;
    }
    lgt_text_from_double(low, sizeof low, param->low);
    lgt_text_from_double(high, sizeof high, param->high);
    if (angle)
        lgt_text_format(expected, sizeof expected, "an angle in [0, pi) radians, or in degrees with the suffix deg");
    else
        lgt_text_format(expected, sizeof expected, "%s from %s to %s",
                        param->kind == LGT_PARAM_INTEGER ? "an integer" : "a number", low, high);
    return wrong_value(info, param, text, expected, err);
}

static lgt_status read_choice(const lgt_loss_info *info, const lgt_param_info *param, span text, double *out,
                              lgt_error *err) {
    char expected[160];
    size_t used = lgt_text_format(expected, sizeof expected, "one of");
    for (int i = 0; param->words[i]; i++) {
        if (span_is(text, param->words[i])) {
            *out = i;
            return LGT_OK;
        }
        used += lgt_text_format(expected + used, sizeof expected - used, " %s", param->words[i]);
    }
    return wrong_value(info, param, text, expected, err);
}

/* The bounds of a schedule's numbers: every lambda stays >= 0 and finite, none grows with the step; a warm-up runs from
 * one whole step to a later one. */
static int schedule_is_sound(const lgt_schedule *s) {
    if (!(s->a >= 0 && s->a <= (s->kind < LGT_SCHEDULE_LINEAR ? 1e9 : LAST_STEP))) return 0;
    switch (s->kind) {
    case LGT_SCHEDULE_CONSTANT:
        return 1;
    case LGT_SCHEDULE_GEOMETRIC:
        return s->b > 0 && s->b <= 1 && s->c >= 0 && s->c <= 1e9;
    case LGT_SCHEDULE_POWER:
        return s->b >= 0 && s->c >= 0 && s->d >= 0 && s->d <= 1e9;
    case LGT_SCHEDULE_LINEAR:
    case LGT_SCHEDULE_EXPONENTIAL:
        return s->a < s->b && s->b <= LAST_STEP && s->a == floor(s->a) && s->b == floor(s->b);
    }
    return 0;
}

/* The whole text as `wanted` numbers between slashes. */
static int read_numbers(lgt_schedule *s, int wanted, span text) {
    double *numbers[] = {&s->a, &s->b, &s->c, &s->d};
    for (int i = 0; i < wanted; i++) {
        span word = span_split(text, '/', &text);
        if (!word.at || !lgt_text_double(word.at, word.length, numbers[i])) return 0;
    }
    return text.at == NULL;
}

static lgt_status read_schedule(const lgt_loss_info *info, const lgt_param_info *param, span text, lgt_schedule *out,
                                lgt_error *err) {
    span rest, whole = text, word = span_split(text, '/', &rest);
    lgt_schedule s = {LGT_SCHEDULE_CONSTANT, 0, 0, 0, 0};
    int wanted = 1;
    if (span_is(word, "geometric")) s.kind = LGT_SCHEDULE_GEOMETRIC, wanted = 3, text = rest;
    if (span_is(word, "power")) s.kind = LGT_SCHEDULE_POWER, wanted = 4, text = rest;
    if (!read_numbers(&s, wanted, text) || !schedule_is_sound(&s))
        return wrong_value(info, param, whole,
                           "a number >= 0, geometric/START/SCALE/MIN (0 < SCALE <= 1) or power/BASE/GAMMA/POWER/MIN "
                           "(all >= 0)",
                           err);
    *out = s;
    return LGT_OK;
}

static lgt_status read_warmup(const lgt_loss_info *info, const lgt_param_info *param, span text, lgt_schedule *out,
                              lgt_error *err) {
    span rest, word = span_split(text, '/', &rest);
    lgt_schedule s = {LGT_SCHEDULE_CONSTANT, 1, 0, 0, 0};
    if (span_is(word, "linear")) s.kind = LGT_SCHEDULE_LINEAR;
    if (span_is(word, "exponential")) s.kind = LGT_SCHEDULE_EXPONENTIAL;
    int none = span_is(text, "none");
    if (!none && !(s.kind != LGT_SCHEDULE_CONSTANT && read_numbers(&s, 2, rest) && schedule_is_sound(&s)))
        return wrong_value(info, param, text,
                           "none, linear/START/END or exponential/START/END (whole steps, 0 <= START < END <= 2^53)",
                           err);
    *out = s;
    return LGT_OK;
}

static lgt_status read_param(lgt_loss *loss, int index, span text, lgt_error *err) {
    const lgt_param_info *param = &loss->info->params[index];
    switch (param->kind) {
    case LGT_PARAM_CHOICE:
        return read_choice(loss->info, param, text, &loss->values[index], err);
    case LGT_PARAM_SCHEDULE:
        return read_schedule(loss->info, param, text, &loss->schedule, err);
    case LGT_PARAM_WARMUP:
        return read_warmup(loss->info, param, text, &loss->schedule, err);
    case LGT_PARAM_REAL:
    case LGT_PARAM_INTEGER:
    case LGT_PARAM_ANGLE:
        break;
    }
    return read_number(loss->info, param, text, &loss->values[index], err);
}

static lgt_status set_defaults(lgt_loss *loss, lgt_error *err) {
    for (int i = 0; i < loss->info->n_params; i++) {
        const char *text = loss->info->params[i].default_text;
        lgt_status status = read_param(loss, i, (span){text, strlen(text)}, err);
        if (status) return status;
    }
    return LGT_OK;
}

static lgt_status read_pair(lgt_loss *loss, span pair, unsigned *seen, lgt_error *err) {
    span value, key = span_split(pair, '=', &value);
    char typed[WORD_MAX + 1];
    span_copy(pair, typed);
    if (!value.at)
        return lgt_fail(err, LGT_ERR_USAGE, "%s: \"%s\" is not of the form key=value", loss->info->name, typed);
    for (int i = 0; i < loss->info->n_params; i++) {
        if (!span_is(key, loss->info->params[i].key)) continue;
        if (*seen >> i & 1u)
            return lgt_fail(err, LGT_ERR_USAGE, "%s: %s is given twice", loss->info->name, loss->info->params[i].key);
        *seen |= 1u << i;
        return read_param(loss, i, value, err);
    }
    return unknown_key(loss->info, key, err);
}

static lgt_status read_pairs(lgt_loss *loss, span pairs, lgt_error *err) {
    unsigned seen = 0;
    lgt_status status = LGT_OK;
    while (status == LGT_OK && pairs.at) {
        span pair = span_split(pairs, ',', &pairs);
        status = read_pair(loss, pair, &seen, err);
    }
    return status;
}

static span span_of(const char *text) {
    return text ? (span){text, strlen(text)} : (span){NULL, 0};
}

static lgt_status settle(const lgt_loss_definition *definition, span settings, span pairs, lgt_loss *out,
                         lgt_error *err) {
    lgt_loss loss = {.info = &definition->info};
    lgt_status status = set_defaults(&loss, err);
    if (!status) status = read_pairs(&loss, settings, err);
    if (!status) status = read_pairs(&loss, pairs, err);
    if (!status && definition->check) status = definition->check(loss.values, err);
    if (status) return status;
    *out = loss;
    return lgt_succeed(err);
}

lgt_status lgt_loss_settle(const lgt_loss_definition *definition, const char *settings, const char *pairs,
                           lgt_loss *out, lgt_error *err) {
    return settle(definition, span_of(settings), span_of(pairs), out, err);
}

lgt_status lgt_loss_read(const char *spec, const char *settings, lgt_loss *out, lgt_error *err) {
    span pairs, name = span_split(span_of(spec), ':', &pairs);
    lgt_loss loss = {0};
    for (int i = 0; i < lgt_loss_count(); i++)
        if (span_is(name, lgt_loss_at(i)->name)) loss.info = lgt_loss_at(i);
    if (!loss.info) return unknown_loss(name, err);
    return settle(lgt_loss_definition_of(&loss), span_of(settings), pairs, out, err);
}

lgt_status lgt_loss_parse(const char *spec, lgt_loss *out, lgt_error *err) {
    return lgt_loss_read(spec, NULL, out, err);
}

static size_t write_numbers(char *out, size_t size, const char *head, const double *numbers, int count) {
    size_t used = lgt_text_format(out, size, "%s", head);
    for (int i = 0; i < count; i++) {
        char number[32];
        lgt_text_from_double(number, sizeof number, numbers[i]);
        used += lgt_text_format(out + used, size - used, "%s%s", *head || i ? "/" : "", number);
    }
    return used;
}

static size_t write_schedule(char *out, size_t size, const lgt_schedule *s) {
    double numbers[] = {s->a, s->b, s->c, s->d};
    switch (s->kind) {
    case LGT_SCHEDULE_GEOMETRIC:
        return write_numbers(out, size, "geometric", numbers, 3);
    case LGT_SCHEDULE_POWER:
        return write_numbers(out, size, "power", numbers, 4);
    case LGT_SCHEDULE_LINEAR:
        return write_numbers(out, size, "linear", numbers, 2);
    case LGT_SCHEDULE_EXPONENTIAL:
        return write_numbers(out, size, "exponential", numbers, 2);
    case LGT_SCHEDULE_CONSTANT:
        break;
    }
    return write_numbers(out, size, "", numbers, 1);
}

size_t lgt_loss_format(const lgt_loss *loss, char *out, size_t size) {
    size_t used = lgt_text_format(out, size, "%s", loss->info->name);
    for (int i = 0; i < loss->info->n_params; i++) {
        const lgt_param_info *param = &loss->info->params[i];
        used += lgt_text_format(out + used, size - used, "%c%s=", i ? ',' : ':', param->key);
        if (param->kind == LGT_PARAM_SCHEDULE)
            used += write_schedule(out + used, size - used, &loss->schedule);
        else if (param->kind == LGT_PARAM_WARMUP && loss->schedule.kind == LGT_SCHEDULE_CONSTANT)
            used += lgt_text_format(out + used, size - used, "none");
        else if (param->kind == LGT_PARAM_WARMUP)
            used += write_schedule(out + used, size - used, &loss->schedule);
        else if (param->kind == LGT_PARAM_CHOICE)
            used += lgt_text_format(out + used, size - used, "%s", param->words[(int)loss->values[i]]);
        else
            used += lgt_text_from_double(out + used, size - used, loss->values[i]);
    }
    return used;
}
