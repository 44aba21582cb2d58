/* The sparse text of LIBSVM (Chang and Lin, 2011; README of its program), as rows of all features. */
#include "data/libsvm.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "base/text.h"
#include "data/growth.h"
#include "data/words.h"

/* Rows may take 1024 times the bytes of their text: far beyond, a few lines would fill the memory. */
enum { DENSE_FREE = 64 << 20, DENSE_LIMIT = 1024 };

typedef struct entry {
    int64_t row, column;
    float value;
} entry;

typedef struct reading {
    lgt_context *context;
    lgt_words words;
    int labelled;
    int64_t n_rows, n_features, n_entries;
    int64_t *labels;
    entry *entries;
    size_t labels_room, entries_room;
} reading;

/* The word INDEX:VALUE behind index `last` of the row. */
static lgt_status add_entry(reading *r, int64_t *last, lgt_error *err) {
    const lgt_words *w = &r->words;
    size_t colon = 0, used = (size_t)r->n_entries * sizeof(entry);
    int64_t index = 0;
    double value = 0;
    while (colon < w->word_length && w->word[colon] != ':') colon++;
    if (colon == w->word_length || !lgt_text_int64(w->word, colon, &index) || index <= *last)
        return lgt_words_unexpected(w, "INDEX:VALUE, indices from 1 and rising", err);
    if (!lgt_text_double(w->word + colon + 1, w->word_length - colon - 1, &value) || isinf((float)value))
        return lgt_words_unexpected(w, "a finite decimal number in the range of float32 behind the colon", err);
    lgt_status status = lgt_grow(r->context, &r->entries, used, &r->entries_room, used + sizeof(entry), err);
    if (status) return status;
    r->entries[r->n_entries++] = (entry){r->n_rows, index - 1, (float)value};
    *last = index;
    r->n_features = lgt_max64(r->n_features, index);
    return LGT_OK;
}

static lgt_status add_row(reading *r, lgt_error *err) {
    lgt_words *w = &r->words;
    size_t used = (size_t)r->n_rows * sizeof *r->labels;
    int64_t last = 0;
    lgt_status status = lgt_grow(r->context, &r->labels, used, &r->labels_room, used + sizeof *r->labels, err);
    if (status) return status;
    if (r->labelled && !lgt_text_whole(w->word, w->word_length, &r->labels[r->n_rows]))
        return lgt_words_unexpected(w, "a label, an integer", err);
    for (lgt_words_next(w); !status && w->word_length; lgt_words_next(w)) status = add_entry(r, &last, err);
    r->n_rows++;
    return status;
}

static lgt_status read_rows(reading *r, lgt_error *err) {
    lgt_words *w = &r->words;
    while (w->at < w->length) {
        lgt_words_next(w);
        lgt_status status = w->word_length ? add_row(r, err) : LGT_OK;
        if (!status) status = lgt_words_end_line(w, err);
        if (status) return status;
    }
    if (r->n_rows == 0) return lgt_fail(err, LGT_ERR_DATA, "%s: has no rows", w->path);
    return LGT_OK;
}

static lgt_status make_dense(reading *r, lgt_table *out, lgt_error *err) {
    int64_t count = 0, n = r->n_features;
    int fits = lgt_count_mul(r->n_rows, n, &count) && count <= PTRDIFF_MAX / (int64_t)sizeof *out->x;
    if (!fits || count * 4 / DENSE_LIMIT > (int64_t)r->words.length + DENSE_FREE / DENSE_LIMIT)
        return lgt_fail(err, LGT_ERR_MEMORY,
                        "%s: has %lld rows of up to %lld features, more than 1024 times its size as rows of numbers",
                        r->words.path, (long long)r->n_rows, (long long)n);
    lgt_status status = LGT_NEW_ZERO(r->context, &out->x, count, err);
    for (int64_t k = 0; k < r->n_entries && !status; k++)
        out->x[r->entries[k].row * n + r->entries[k].column] = r->entries[k].value;
    out->n_rows = r->n_rows;
    out->n_features = n;
    return status;
}

lgt_status lgt_libsvm_read(lgt_context *context, lgt_input *input, int labelled, int64_t least, lgt_table *out,
                           lgt_error *err) {
    reading r = {.context = context, .labelled = labelled, .n_features = lgt_max64(least, 0)};
    r.words.comment = '#';
    *out = (lgt_table){.n_rows = 0};
    lgt_status status = lgt_words_read(context, input, &r.words, err);
    if (!status) status = read_rows(&r, err);
    if (!status) status = make_dense(&r, out, err);
    if (!status && labelled) status = lgt_labels_from_integers(context, r.labels, r.n_rows, &out->labels, err);
    lgt_release(context, r.entries);
    lgt_release(context, r.labels);
    lgt_words_free(context, &r.words);
    if (status) lgt_table_free(context, out);
    return status;
}
