/* The text in the head of a .npy file: a parser of just the Python literals that numpy.lib.format writes. */
#include "data/npy_header.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"

typedef struct parser {
    const char *text, *path;
    size_t length, at;
    lgt_error *err;
} parser;

typedef struct word {
    const char *text;
    size_t length;
} word;

/* "expected WHAT", with the place and the text found there. */
static lgt_status fail(const parser *p, const char *expected) {
    size_t shown = p->length - p->at < 20 ? p->length - p->at : 20;
    char found[21];
    for (size_t i = 0; i < shown; i++) {
        char c = p->text[p->at + i];
        found[i] = c >= ' ' && c <= '~' ? c : '?';
    }
    found[shown] = '\0';
    return lgt_fail(p->err, LGT_ERR_DATA, "%s: the .npy header has '%s' at byte %zu, expected %s", p->path, found,
                    p->at, expected);
}

static int peek(const parser *p) {
    return p->at < p->length ? (unsigned char)p->text[p->at] : -1;
}

static void skip_blanks(parser *p) {
    while (peek(p) == ' ' || peek(p) == '\t' || peek(p) == '\n' || peek(p) == '\r') p->at++;
}

/* Takes `c` if it is the next token. */
static int take(parser *p, int c) {
    skip_blanks(p);
    if (peek(p) != c) return 0;
    p->at++;
    return 1;
}

static int is(word w, const char *text) {
    return w.length == strlen(text) && memcmp(w.text, text, w.length) == 0;
}

/* A string without escapes. */
static lgt_status take_string(parser *p, const char *expected, word *out) {
    skip_blanks(p);
    int quote = peek(p);
    if (quote != '\'' && quote != '"') return fail(p, expected);
    size_t begin = p->at + 1, end = begin;
    while (end < p->length && p->text[end] != quote && p->text[end] != '\\' && p->text[end] != '\n') end++;
    if (end == p->length || p->text[end] != quote) return fail(p, expected);
    *out = (word){p->text + begin, end - begin};
    p->at = end + 1;
    return LGT_OK;
}

/* NumPy's codes: kind and size of an element. */
static int known_type(word type, lgt_stored *out) {
    lgt_dtype dtype;
    if (type.length != 2) return 0;
    *out = (lgt_stored){type.text[0], type.text[1] - '0'};
    return lgt_stored_dtype(*out, &dtype);
}

/* Whether NumPy knows the type although this library does not read it. */
static int is_foreign_type(word type) {
    static const char *const codes[] = {"f16", "c8", "c16", "c32"};
    if (type.length > 0 && memchr("SUVOMm", type.text[0], 6)) return 1;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (is(type, codes[i])) return 1;
    return 0;
}

static lgt_status take_descr(parser *p, lgt_npy_header *out) {
    static const char expected[] = "a type such as '<f4'";
    word descr;
    skip_blanks(p);
    size_t begin = p->at;
    if (peek(p) == '[')
        return lgt_fail(p->err, LGT_ERR_UNSUPPORTED, "%s: is a structured array, expected plain numbers", p->path);
    lgt_status status = take_string(p, expected, &descr);
    if (status) return status;
    word type = {descr.text + 1, descr.length ? descr.length - 1 : 0};
    char order = descr.length ? descr.text[0] : ' ';
    int ordered = order == '<' || order == '>';
    if ((ordered || order == '|') && known_type(type, &out->stored) && (ordered || out->stored.bytes == 1)) {
        out->big_endian = order == '>';
        return LGT_OK;
    }
    if ((ordered || order == '|') && is_foreign_type(type))
        return lgt_fail(p->err, LGT_ERR_UNSUPPORTED,
                        "%s: holds '%.*s', expected f2, f4, f8, integers or b1 (in NumPy: x.astype('f4'))", p->path,
                        (int)(descr.length < 20 ? descr.length : 20), descr.text);
    p->at = begin;
    return fail(p, expected);
}

static int take_word(parser *p, const char *text) {
    size_t length = strlen(text);
    skip_blanks(p);
    if (p->length - p->at < length || memcmp(p->text + p->at, text, length) != 0) return 0;
    p->at += length;
    return 1;
}

static lgt_status take_order(parser *p, lgt_npy_header *out) {
    out->fortran_order = take_word(p, "True");
    return out->fortran_order || take_word(p, "False") ? LGT_OK : fail(p, "True or False");
}

static lgt_status take_axis(parser *p, int64_t *out) {
    size_t begin = p->at;
    while (peek(p) >= '0' && peek(p) <= '9') p->at++;
    size_t length = p->at - begin;
    int leading_zero = length > 1 && p->text[begin] == '0';
    if (!leading_zero && lgt_text_int64(p->text + begin, length, out)) return LGT_OK;
    p->at = begin;
    return fail(p, "an axis of 0 to 9223372036854775807");
}

static lgt_status take_shape(parser *p, lgt_npy_header *out) {
    int comma = 1;
    if (!take(p, '(')) return fail(p, "a tuple such as (3, 4)");
    for (out->n_dims = 0; !take(p, ')'); out->n_dims++) {
        if (!comma) return fail(p, "',' or ')'");
        if (out->n_dims == LGT_MAX_DIMS)
            return lgt_fail(p->err, LGT_ERR_MEMORY, "%s: has more than %d axes, the most that are read", p->path,
                            LGT_MAX_DIMS);
        lgt_status status = take_axis(p, &out->shape[out->n_dims]);
        if (status) return status;
        comma = take(p, ',');
    }
    if (out->n_dims == 1 && !comma) return fail(p, "a tuple: (3,) has a comma");
    return LGT_OK;
}

typedef lgt_status (*value_parser)(parser *p, lgt_npy_header *out);

static lgt_status take_item(parser *p, unsigned *seen, lgt_npy_header *out) {
    static const struct {
        const char *key;
        value_parser parse;
    } items[] = {{"descr", take_descr}, {"fortran_order", take_order}, {"shape", take_shape}};
    word key;
    skip_blanks(p);
    size_t begin = p->at;
    lgt_status status = take_string(p, "a key in quotes", &key);
    if (status) return status;
    for (unsigned i = 0; i < sizeof items / sizeof *items; i++) {
        if (!is(key, items[i].key) || *seen & 1U << i) continue;
        *seen |= 1U << i;
        return take(p, ':') ? items[i].parse(p, out) : fail(p, "':'");
    }
    p->at = begin;
    return fail(p, "'descr', 'fortran_order' and 'shape', each once");
}

lgt_status lgt_npy_header_parse(const char *text, size_t length, const char *path, lgt_npy_header *out,
                                lgt_error *err) {
    parser p = {text, path, length, 0, err};
    unsigned seen = 0;
    int comma = 1;
    *out = (lgt_npy_header){.n_dims = 0};
    if (!take(&p, '{')) return fail(&p, "'{'");
    while (!take(&p, '}')) {
        if (!comma) return fail(&p, "',' or '}'");
        lgt_status status = take_item(&p, &seen, out);
        if (status) return status;
        comma = take(&p, ',');
    }
    if (seen != 7) return fail(&p, "the keys 'descr', 'fortran_order' and 'shape' before its end");
    skip_blanks(&p);
    if (p.at < length) return fail(&p, "blanks up to the end");
    return text[length - 1] == '\n' ? LGT_OK : fail(&p, "a newline as the last byte");
}
