/* Loss specifications: NAME[:key=value,...] read, checked against the parameter tables, and written back. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "loss/definition.h"
#include "loss/parameters.h"
#include "math/sphere.h"

#define LAST_STEP 0x1p53 /* whole numbers up to here are doubles */

static lgt_status unknown_loss(lgt_piece name, lgt_error *err) {
    char typed[LGT_WORD_MAX + 1];
    lgt_nearest nearest = {typed, "", INT_MAX};
    lgt_piece_quote(name, typed);
    for (int i = 0; i < lgt_loss_count(); i++) lgt_nearest_try(&nearest, lgt_loss_at(i)->name);
    return lgt_fail(err, LGT_ERR_USAGE, "there is no loss \"%s\"; the nearest is \"%s\"", typed, nearest.word);
}

static lgt_param_table table_of(const lgt_loss_info *info) {
    return (lgt_param_table){info->name, info->params, info->n_params};
}

static lgt_status read_angle(const lgt_param_table *table, int index, lgt_piece text, double *out, lgt_error *err) {
    const lgt_param_info *param = &table->params[index];
    int degrees = text.length > 3 && memcmp(text.at + text.length - 3, "deg", 3) == 0;
    double value;
    int read = lgt_text_double(text.at, text.length - (degrees ? 3 : 0), &value);
    if (read && degrees) value *= LGT_PI / 180;
    if (read && value >= param->high)
        return lgt_param_refuse(table, index, text, "an angle below pi radians; for degrees write for example 28.6deg",
                                err);
    if (!read || value < param->low)
        return lgt_param_refuse(table, index, text, "an angle in [0, pi) radians, or in degrees with the suffix deg",
                                err);
    *out = value;
    return LGT_OK;
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
static int read_numbers(lgt_schedule *s, int wanted, lgt_piece text) {
    double *numbers[] = {&s->a, &s->b, &s->c, &s->d};
    for (int i = 0; i < wanted; i++) {
        lgt_piece word = lgt_piece_split(text, '/', &text);
        if (!word.at || !lgt_text_double(word.at, word.length, numbers[i])) return 0;
    }
    return text.at == NULL;
}

static lgt_status read_schedule(const lgt_param_table *table, int index, lgt_piece text, lgt_schedule *out,
                                lgt_error *err) {
    lgt_piece rest, whole = text, word = lgt_piece_split(text, '/', &rest);
    lgt_schedule s = {LGT_SCHEDULE_CONSTANT, 0, 0, 0, 0};
    int wanted = 1;
    if (lgt_piece_is(word, "geometric")) s.kind = LGT_SCHEDULE_GEOMETRIC, wanted = 3, text = rest;
    if (lgt_piece_is(word, "power")) s.kind = LGT_SCHEDULE_POWER, wanted = 4, text = rest;
    if (!read_numbers(&s, wanted, text) || !schedule_is_sound(&s))
        return lgt_param_refuse(
            table, index, whole,
            "a number >= 0, geometric/START/SCALE/MIN (0 < SCALE <= 1) or power/BASE/GAMMA/POWER/MIN "
            "(all >= 0)",
            err);
    *out = s;
    return LGT_OK;
}

static lgt_status read_warmup(const lgt_param_table *table, int index, lgt_piece text, lgt_schedule *out,
                              lgt_error *err) {
    lgt_piece rest, word = lgt_piece_split(text, '/', &rest);
    lgt_schedule s = {LGT_SCHEDULE_CONSTANT, 1, 0, 0, 0};
    if (lgt_piece_is(word, "linear")) s.kind = LGT_SCHEDULE_LINEAR;
    if (lgt_piece_is(word, "exponential")) s.kind = LGT_SCHEDULE_EXPONENTIAL;
    int none = lgt_piece_is(text, "none");
    if (!none && !(s.kind != LGT_SCHEDULE_CONSTANT && read_numbers(&s, 2, rest) && schedule_is_sound(&s)))
        return lgt_param_refuse(
            table, index, text,
            "none, linear/START/END or exponential/START/END (whole steps, 0 <= START < END <= 2^53)", err);
    *out = s;
    return LGT_OK;
}

static lgt_status read_param(void *target, int index, lgt_piece text, lgt_error *err) {
    lgt_loss *loss = target;
    lgt_param_table table = table_of(loss->info);
    switch (loss->info->params[index].kind) {
    case LGT_PARAM_ANGLE:
        return read_angle(&table, index, text, &loss->values[index], err);
    case LGT_PARAM_SCHEDULE:
        return read_schedule(&table, index, text, &loss->schedule, err);
    case LGT_PARAM_WARMUP:
        return read_warmup(&table, index, text, &loss->schedule, err);
    case LGT_PARAM_REAL:
    case LGT_PARAM_INTEGER:
    case LGT_PARAM_CHOICE:
        break;
    }
    return lgt_param_read(&table, index, text, &loss->values[index], err);
}

static lgt_status settle(const lgt_loss_definition *definition, lgt_piece settings, lgt_piece pairs, lgt_loss *out,
                         lgt_error *err) {
    lgt_loss loss = {.info = &definition->info};
    lgt_param_table table = table_of(loss.info);
    lgt_status status = lgt_params_default(&table, read_param, &loss, err);
    if (!status) status = lgt_params_read(&table, settings, read_param, &loss, err);
    if (!status) status = lgt_params_read(&table, pairs, read_param, &loss, err);
    if (!status && definition->check) status = definition->check(loss.values, err);
    if (status) return status;
    *out = loss;
    return lgt_succeed(err);
}

lgt_status lgt_loss_settle(const lgt_loss_definition *definition, const char *settings, const char *pairs,
                           lgt_loss *out, lgt_error *err) {
    return settle(definition, lgt_piece_of(settings), lgt_piece_of(pairs), out, err);
}

lgt_status lgt_loss_read(const char *spec, const char *settings, lgt_loss *out, lgt_error *err) {
    lgt_piece pairs, name = lgt_piece_split(lgt_piece_of(spec), ':', &pairs);
    lgt_loss loss = {0};
    for (int i = 0; i < lgt_loss_count(); i++)
        if (lgt_piece_is(name, lgt_loss_at(i)->name)) loss.info = lgt_loss_at(i);
    if (!loss.info) return unknown_loss(name, err);
    return settle(lgt_loss_definition_of(&loss), lgt_piece_of(settings), pairs, out, err);
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
        else
            used += lgt_param_format(param, loss->values[i], out + used, size - used);
    }
    return used;
}
