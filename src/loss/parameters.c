/* Parameters as specifications write them: pairs, numbers and words read against their table, and what is wrong told.
 */
#include "loss/parameters.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

/* --- Pieces of text --- */

lgt_piece lgt_piece_of(const char *text) {
    return text ? (lgt_piece){text, strlen(text)} : (lgt_piece){NULL, 0};
}

int lgt_piece_is(lgt_piece piece, const char *word) {
    return strlen(word) == piece.length && (piece.length == 0 || memcmp(piece.at, word, piece.length) == 0);
}

lgt_piece lgt_piece_split(lgt_piece piece, char mark, lgt_piece *rest) {
    const char *found = piece.length ? memchr(piece.at, mark, piece.length) : NULL;
    if (!found) {
        *rest = (lgt_piece){NULL, 0};
        return piece;
    }
    size_t head = (size_t)(found - piece.at);
    *rest = (lgt_piece){found + 1, piece.length - head - 1};
    return (lgt_piece){piece.at, head};
}

void lgt_piece_quote(lgt_piece piece, char out[LGT_WORD_MAX + 1]) {
    size_t length = piece.length < LGT_WORD_MAX ? piece.length : LGT_WORD_MAX;
    if (length) memcpy(out, piece.at, length);
    out[length] = '\0';
}

void lgt_nearest_try(lgt_nearest *nearest, const char *word) {
    int distance = lgt_text_distance(nearest->typed, word);
    if (distance < nearest->distance) nearest->distance = distance, nearest->word = word;
}

/* --- Parameters --- */

/* What other programs call a parameter, for the suggestion alone; NULL where it is no such word. */
static const char *usual_key(const char *typed) {
    static const char *const usual[][2] = {{"margin", "m"}, {"scale", "s"}, {"centers", "k"}, {"centres", "k"}};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (lgt_text_distance(typed, usual[i][0]) == 0) return usual[i][1];
    return NULL;
}

static int has_key(const lgt_param_table *table, const char *key) {
    for (int i = 0; i < table->n_params; i++)
        if (strcmp(table->params[i].key, key) == 0) return 1;
    return 0;
}

/* A word is near when no more than half of what was typed is to be changed; where none is, all are told. */
static lgt_status unknown_key(const lgt_param_table *table, lgt_piece key, lgt_error *err) {
    char typed[LGT_WORD_MAX + 1], keys[160];
    lgt_nearest nearest = {typed, "", INT_MAX};
    size_t used = 0;
    lgt_piece_quote(key, typed);
    const char *usual = usual_key(typed);
    for (int i = 0; i < table->n_params; i++) lgt_nearest_try(&nearest, table->params[i].key);
    if (usual && has_key(table, usual)) nearest = (lgt_nearest){typed, usual, 0};
    if (nearest.distance <= (int)strlen(typed) / 2)
        return lgt_fail(err, LGT_ERR_USAGE, "%s has no parameter \"%s\"; the nearest is \"%s\"", table->name, typed,
                        nearest.word);
    if (table->n_params == 0)
        return lgt_fail(err, LGT_ERR_USAGE, "%s has no parameter \"%s\", nor any other", table->name, typed);
    for (int i = 0; i < table->n_params && used < sizeof keys; i++)
        used += lgt_text_format(keys + used, sizeof keys - used, "%s%s", i ? ", " : "", table->params[i].key);
    return lgt_fail(err, LGT_ERR_USAGE, "%s has no parameter \"%s\", expected one of %s", table->name, typed, keys);
}

lgt_status lgt_param_refuse(const lgt_param_table *table, int index, lgt_piece text, const char *expected,
                            lgt_error *err) {
    char typed[LGT_WORD_MAX + 1];
    lgt_piece_quote(text, typed);
    return lgt_fail(err, LGT_ERR_USAGE, "%s: %s is \"%s\", expected %s", table->name, table->params[index].key, typed,
                    expected);
}

static lgt_status read_number(const lgt_param_table *table, int index, lgt_piece text, double *out, lgt_error *err) {
    const lgt_param_info *param = &table->params[index];
    char expected[160], low[32], high[32];
    int whole = param->kind == LGT_PARAM_INTEGER;
    double value;
    if (lgt_text_double(text.at, text.length, &value) && value >= param->low && value <= param->high &&
        (!whole || value == floor(value))) {
        *out = value;
        return LGT_OK;
    }
    lgt_text_from_double(low, sizeof low, param->low);
    lgt_text_from_double(high, sizeof high, param->high);
    lgt_text_format(expected, sizeof expected, "%s from %s to %s", whole ? "an integer" : "a number", low, high);
    return lgt_param_refuse(table, index, text, expected, err);
}

static lgt_status read_choice(const lgt_param_table *table, int index, lgt_piece text, double *out, lgt_error *err) {
    const char *const *words = table->params[index].words;
    char expected[160];
    size_t used = lgt_text_format(expected, sizeof expected, "one of");
    for (int i = 0; words[i]; i++) {
        if (lgt_piece_is(text, words[i])) {
            *out = i;
            return LGT_OK;
        }
        used += lgt_text_format(expected + used, sizeof expected - used, " %s", words[i]);
    }
    return lgt_param_refuse(table, index, text, expected, err);
}

lgt_status lgt_param_read(const lgt_param_table *table, int index, lgt_piece text, double *out, lgt_error *err) {
    return table->params[index].kind == LGT_PARAM_CHOICE ? read_choice(table, index, text, out, err)
                                                         : read_number(table, index, text, out, err);
}

lgt_status lgt_params_default(const lgt_param_table *table, lgt_param_reader read, void *target, lgt_error *err) {
    lgt_status status = LGT_OK;
    for (int i = 0; i < table->n_params && !status; i++)
        status = read(target, i, lgt_piece_of(table->params[i].default_text), err);
    return status;
}

/* The parameter that a pair is about; *seen holds a bit for each that was given. */
static lgt_status find_param(const lgt_param_table *table, lgt_piece key, unsigned *seen, int *out, lgt_error *err) {
    for (int i = 0; i < table->n_params; i++) {
        if (!lgt_piece_is(key, table->params[i].key)) continue;
        if (*seen >> i & 1u)
            return lgt_fail(err, LGT_ERR_USAGE, "%s: %s is given twice", table->name, table->params[i].key);
        *seen |= 1u << i;
        *out = i;
        return LGT_OK;
    }
    return unknown_key(table, key, err);
}

lgt_status lgt_params_read(const lgt_param_table *table, lgt_piece pairs, lgt_param_reader read, void *target,
                           lgt_error *err) {
    unsigned seen = 0;
    lgt_status status = LGT_OK;
    while (!status && pairs.at) {
        lgt_piece value, pair = lgt_piece_split(pairs, ',', &pairs), key = lgt_piece_split(pair, '=', &value);
        char typed[LGT_WORD_MAX + 1];
        int index = 0;
        lgt_piece_quote(pair, typed);
        if (!value.at)
            return lgt_fail(err, LGT_ERR_USAGE, "%s: \"%s\" is not of the form key=value", table->name, typed);
        status = find_param(table, key, &seen, &index, err);
        if (!status) status = read(target, index, value, err);
    }
    return status;
}

size_t lgt_param_format(const lgt_param_info *param, double value, char *out, size_t size) {
    if (param->kind == LGT_PARAM_CHOICE) return lgt_text_format(out, size, "%s", param->words[(int)value]);
    return lgt_text_from_double(out, size, value);
}
