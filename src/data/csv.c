/* Tables of numbers, with or without a column of labels, read from CSV. */
#include "data/csv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "base/text.h"
#include "data/csv_record.h"
#include "data/growth.h"
#include "data/utf8.h"

enum { SHOWN = 24, NO_COLUMN = -1 };

typedef struct reading {
    lgt_context *context;
    const char *path;
    lgt_csv_reader *reader;
    int64_t n_columns, label_column; /* NO_COLUMN: none */
    int64_t n_rows, n_features;
    float *x;
    size_t x_room;
    char *texts; /* the labels, each ended by NUL */
    size_t texts_length, texts_room;
    int64_t n_words, fraction_line; /* labels that are no number | line of the first that is no integer */
    int header, first_is_word;      /* the first record names columns | the first label is no number */
    int alone;                      /* there is to be no column but that of the labels */
} reading;

static lgt_status fail(const reading *r, lgt_status status, const char *what, lgt_error *err) {
    return lgt_fail(err, status, "%s:%lld: %s", r->path, (long long)lgt_csv_line(r->reader), what);
}

static lgt_status fail_labels(const reading *r, int64_t n_cells, lgt_error *err) {
    return lgt_fail(err, LGT_ERR_DATA,
                    "%s:%lld: has %lld columns, expected one of labels; a name with a comma in it stands in quotes",
                    r->path, (long long)lgt_csv_line(r->reader), (long long)n_cells);
}

/* "column 3 is 'abc', expected WHAT". */
static lgt_status fail_cell(const reading *r, int64_t column, const char *expected, lgt_error *err) {
    lgt_csv_cell cell = lgt_csv_cell_at(r->reader, column);
    char shown[SHOWN + 1];
    size_t length = cell.length < SHOWN ? cell.length : SHOWN;
    for (size_t i = 0; i < length; i++) shown[i] = (unsigned char)cell.text[i] < ' ' ? '?' : cell.text[i];
    shown[length] = '\0';
    return lgt_fail(err, LGT_ERR_DATA, "%s:%lld: column %lld is '%s', expected %s", r->path,
                    (long long)lgt_csv_line(r->reader), (long long)column + 1, shown, expected);
}

static int is_number(lgt_csv_cell cell, double *value) {
    return lgt_text_double(cell.text, cell.length, value);
}

static int equals(lgt_csv_cell cell, const char *text) {
    return cell.length == strlen(text) && memcmp(cell.text, text, cell.length) == 0;
}

/* A column's name is no number, nor what programs write for one that is missing, infinite or hexadecimal: a row of
 * those is bad data, not a header. */
static int is_name(lgt_csv_cell cell) {
    static const char *const others[] = {"nan", "inf", "infinity", "na", "n/a", "null", "none"};
    double value;
    if (cell.length && (cell.text[0] == '+' || cell.text[0] == '-')) cell.text++, cell.length--;
    if (cell.length == 0 || is_number(cell, &value)) return 0;
    if (cell.length > 1 && strncasecmp(cell.text, "0x", 2) == 0) return 0;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (cell.length == strlen(others[i]) && strncasecmp(cell.text, others[i], cell.length) == 0) return 0;
    return 1;
}

static int looks_like_header(const reading *r) {
    int64_t n_names = 0;
    for (int64_t i = 0; i < r->n_columns; i++)
        if (i != r->label_column) n_names += is_name(lgt_csv_cell_at(r->reader, i));
    return n_names > 0 && n_names == r->n_columns - (r->label_column != NO_COLUMN);
}

static lgt_status find_name(reading *r, const char *name, lgt_error *err) {
    r->label_column = NO_COLUMN;
    for (int64_t i = 0; i < r->n_columns; i++) {
        if (!equals(lgt_csv_cell_at(r->reader, i), name)) continue;
        if (r->label_column != NO_COLUMN)
            return lgt_fail(err, LGT_ERR_DATA, "%s:1: columns %lld and %lld are both named '%s'", r->path,
                            (long long)r->label_column + 1, (long long)i + 1, name);
        r->label_column = i;
    }
    if (r->label_column == NO_COLUMN)
        return lgt_fail(err, LGT_ERR_USAGE, "%s:1: none of the %lld columns is named '%s', the label column", r->path,
                        (long long)r->n_columns, name);
    return LGT_OK;
}

/* Settles label column and header from the first record. */
static lgt_status begin_table(reading *r, lgt_csv_labels kind, const char *name, lgt_error *err) {
    int64_t number = 0;
    r->alone = kind == LGT_CSV_ALONE;
    if (r->alone && r->n_columns != 1) return fail_labels(r, r->n_columns, err);
    r->label_column = kind == LGT_CSV_LAST || r->alone ? r->n_columns - 1 : NO_COLUMN;
    if (kind == LGT_CSV_NAMED && lgt_text_int64(name, strlen(name), &number)) {
        if (number < 1 || number > r->n_columns)
            return lgt_fail(err, LGT_ERR_USAGE, "%s:1: the label column is %s, expected 1 to %lld", r->path, name,
                            (long long)r->n_columns);
        r->label_column = number - 1;
    } else if (kind == LGT_CSV_NAMED) {
        lgt_status status = find_name(r, name, err);
        if (status) return status;
        r->header = 1;
    }
    r->n_features = r->n_columns - (r->label_column != NO_COLUMN);
    r->header = r->header || looks_like_header(r);
    return LGT_OK;
}

static lgt_status add_features(reading *r, lgt_error *err) {
    size_t row = (size_t)r->n_features * sizeof *r->x, used = (size_t)r->n_rows * row, needed;
    if (row == 0) return LGT_OK;
    if (!lgt_size_add(used, row, &needed)) return fail(r, LGT_ERR_MEMORY, "the table is too large", err);
    lgt_status status = lgt_grow(r->context, &r->x, used, &r->x_room, needed, err);
    if (status) return status;
    float *out = r->x + r->n_rows * r->n_features;
    for (int64_t i = 0; i < r->n_columns; i++) {
        double value;
        if (i == r->label_column) continue;
        if (!is_number(lgt_csv_cell_at(r->reader, i), &value)) return fail_cell(r, i, "a finite decimal number", err);
        *out = (float)value;
        if (isinf(*out++)) return fail_cell(r, i, "a number in the range of float32", err);
    }
    return LGT_OK;
}

static lgt_status add_label(reading *r, lgt_error *err) {
    lgt_csv_cell cell = lgt_csv_cell_at(r->reader, r->label_column);
    double value;
    int64_t integer;
    if (cell.length == 0 || !lgt_utf8_valid(cell.text, cell.length))
        return fail_cell(r, r->label_column, "a label in UTF-8", err);
    size_t end = r->texts_length + cell.length + 1;
    lgt_status status = lgt_grow(r->context, &r->texts, r->texts_length, &r->texts_room, end, err);
    if (status) return status;
    memcpy(r->texts + r->texts_length, cell.text, cell.length);
    r->texts[end - 1] = '\0';
    r->texts_length = end;
    int word = !is_number(cell, &value);
    if (r->n_rows == 0) r->first_is_word = word;
    r->n_words += word;
    if (!word && !lgt_text_whole(cell.text, cell.length, &integer) && !r->fraction_line)
        r->fraction_line = lgt_csv_line(r->reader);
    return LGT_OK;
}

static lgt_status add_row(reading *r, int64_t n_cells, lgt_error *err) {
    if (r->alone && n_cells != 1) return fail_labels(r, n_cells, err);
    if (n_cells != r->n_columns)
        return lgt_fail(err, LGT_ERR_DATA, "%s:%lld: has %lld cells, expected %lld as in line 1", r->path,
                        (long long)lgt_csv_line(r->reader), (long long)n_cells, (long long)r->n_columns);
    lgt_status status = add_features(r, err);
    if (!status && r->label_column != NO_COLUMN) status = add_label(r, err);
    if (!status) r->n_rows++;
    return status;
}

static lgt_status read_rows(reading *r, lgt_csv_labels kind, const char *name, lgt_error *err) {
    int64_t n_cells = 0;
    lgt_status status = lgt_csv_next(r->reader, &r->n_columns, err);
    if (status) return status;
    if (r->n_columns == 0) return lgt_fail(err, LGT_ERR_DATA, "%s: is empty, expected rows of numbers", r->path);
    status = begin_table(r, kind, name, err);
    if (!status && !r->header) status = add_row(r, r->n_columns, err);
    while (!status) {
        status = lgt_csv_next(r->reader, &n_cells, err);
        if (status || n_cells == 0) break;
        status = add_row(r, n_cells, err);
    }
    if (!status && r->n_rows == 0) return lgt_fail(err, LGT_ERR_DATA, "%s: has a header but no rows", r->path);
    return status;
}

/* A word above a column of numbers was the header of a table whose other columns are named by numbers or absent. */
static void drop_late_header(reading *r) {
    if (r->header || !r->first_is_word || r->n_words != 1 || r->n_rows < 2) return;
    size_t first = strlen(r->texts) + 1;
    r->n_words = 0;
    r->n_rows--;
    r->texts_length -= first;
    memmove(r->texts, r->texts + first, r->texts_length);
    if (r->n_features) memmove(r->x, r->x + r->n_features, (size_t)r->n_rows * (size_t)r->n_features * sizeof *r->x);
}

static lgt_status number_labels(reading *r, lgt_labels *out, lgt_error *err) {
    int64_t *values = NULL;
    const char *text = r->texts;
    if (r->n_words) return lgt_labels_from_texts(r->context, r->texts, r->n_rows, out, err);
    if (r->fraction_line)
        return lgt_fail(err, LGT_ERR_DATA, "%s:%lld: the label is no integer, expected integers or names", r->path,
                        (long long)r->fraction_line);
    lgt_status status = LGT_NEW(r->context, &values, r->n_rows, err);
    for (int64_t i = 0; !status && i < r->n_rows; i++) {
        lgt_text_whole(text, strlen(text), &values[i]);
        text += strlen(text) + 1;
    }
    if (!status) status = lgt_labels_from_integers(r->context, values, r->n_rows, out, err);
    lgt_release(r->context, values);
    return status;
}

lgt_status lgt_csv_read(lgt_context *context, lgt_input *input, lgt_csv_labels kind, const char *name, lgt_table *out,
                        lgt_error *err) {
    reading r = {.context = context, .path = lgt_input_path(input)};
    *out = (lgt_table){.n_rows = 0};
    lgt_status status = lgt_csv_open(context, input, &r.reader, err);
    if (!status) status = read_rows(&r, kind, name, err);
    if (!status && r.label_column != NO_COLUMN) {
        drop_late_header(&r);
        status = number_labels(&r, &out->labels, err);
    }
    lgt_csv_close(r.reader);
    lgt_release(context, r.texts);
    if (status) {
        lgt_release(context, r.x);
        return status;
    }
    out->n_rows = r.n_rows;
    out->n_features = r.n_features;
    out->x = r.x;
    return LGT_OK;
}
