/* Labels: the distinct values of a column in order, and the number of each row's value among them. */
#include "data/labels.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"

enum { DECIMAL_ROOM = 24 };

typedef int (*comparison)(const void *, const void *);

static int compare_integers(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Sorts the items and keeps one of each; returns how many are left. */
static int64_t keep_distinct(void *items, int64_t count, size_t size, comparison compare) {
    char *base = items;
    int64_t kept = 0;
    if (count) qsort(items, (size_t)count, size, compare);
    for (int64_t i = 0; i < count; i++) {
        if (kept && compare(base + (size_t)(kept - 1) * size, base + (size_t)i * size) == 0) continue;
        memmove(base + (size_t)kept++ * size, base + (size_t)i * size, size);
    }
    return kept;
}

/* Numbers the rows by their value's place among the distinct ones; *distinct becomes a block of its own. */
static lgt_status number_rows(lgt_context *context, const void *rows, int64_t n_rows, size_t size, comparison compare,
                              void *distinct, lgt_labels *out, lgt_error *err) {
    char *sorted = NULL;
    out->n_rows = n_rows;
    lgt_status status = LGT_NEW(context, &out->index, n_rows, err);
    if (!status) status = lgt_alloc(context, n_rows, size, &sorted, err);
    if (status) return status;
    if (n_rows) memcpy(sorted, rows, (size_t)n_rows * size);
    out->n_names = keep_distinct(sorted, n_rows, size, compare);
    for (int64_t i = 0; i < n_rows; i++) {
        const char *found = bsearch((const char *)rows + (size_t)i * size, sorted, (size_t)out->n_names, size, compare);
        out->index[i] = (found - sorted) / (ptrdiff_t)size;
    }
    memcpy(distinct, &sorted, sizeof sorted);
    return LGT_OK;
}

/* The block of names: n pointers, then room for their texts. */
static lgt_status new_names(lgt_context *context, int64_t n_names, size_t text_room, char ***out, char **texts,
                            lgt_error *err) {
    size_t pointers = (size_t)n_names * sizeof **out; /* n_names pointers exist already, so this cannot wrap */
    if (text_room > PTRDIFF_MAX - pointers) return lgt_fail(err, LGT_ERR_MEMORY, "label names are too long");
    lgt_status status = lgt_alloc(context, (int64_t)(pointers + text_room), 1, out, err);
    if (!status) *texts = (char *)*out + pointers;
    return status;
}

lgt_status lgt_labels_copy_names(lgt_context *context, const char *const *names, int64_t n_names, char ***out,
                                 lgt_error *err) {
    size_t room = 0;
    char *text = NULL;
    for (int64_t i = 0; i < n_names; i++) room += strlen(names[i]) + 1;
    lgt_status status = new_names(context, n_names, room, out, &text, err);
    for (int64_t i = 0; !status && i < n_names; i++) {
        size_t bytes = strlen(names[i]) + 1;
        (*out)[i] = memcpy(text, names[i], bytes);
        text += bytes;
    }
    return status;
}

lgt_status lgt_labels_from_integers(lgt_context *context, const int64_t *values, int64_t n_rows, lgt_labels *out,
                                    lgt_error *err) {
    int64_t *distinct = NULL;
    char *text = NULL;
    *out = (lgt_labels){.n_rows = n_rows};
    lgt_status status = number_rows(context, values, n_rows, sizeof *values, compare_integers, &distinct, out, err);
    if (!status)
        status = new_names(context, out->n_names, (size_t)out->n_names * DECIMAL_ROOM, &out->names, &text, err);
    for (int64_t j = 0; !status && j < out->n_names; j++) {
        out->names[j] = text + j * DECIMAL_ROOM;
        snprintf(out->names[j], DECIMAL_ROOM, "%" PRId64, distinct[j]);
    }
    lgt_release(context, distinct);
    if (status) lgt_labels_free(context, out);
    return status;
}

lgt_status lgt_labels_from_texts(lgt_context *context, const char *texts, int64_t n_rows, lgt_labels *out,
                                 lgt_error *err) {
    const char **rows = NULL;
    char **distinct = NULL;
    *out = (lgt_labels){.n_rows = n_rows};
    lgt_status status = LGT_NEW(context, &rows, n_rows, err);
    for (int64_t i = 0; !status && i < n_rows; i++) {
        rows[i] = texts;
        texts += strlen(texts) + 1;
    }
    if (!status) status = number_rows(context, rows, n_rows, sizeof *rows, lgt_text_compare, &distinct, out, err);
    if (!status) status = lgt_labels_copy_names(context, (const char *const *)distinct, out->n_names, &out->names, err);
    lgt_release(context, distinct);
    lgt_release(context, rows);
    if (status) lgt_labels_free(context, out);
    return status;
}

void lgt_labels_free(lgt_context *context, lgt_labels *labels) {
    lgt_release(context, labels->names);
    lgt_release(context, labels->index);
    *labels = (lgt_labels){.n_rows = 0};
}
