/* The labels of a head's classes: integers, or the texts of a model. */
#include <stdlib.h>
#include <string.h>

#include "head_source.h"
#include "output.h"

static const char *const usual[] = {"classes_", "labels"};

int cli_names_labels(const char *name) {
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (strcmp(name, usual[i]) == 0) return 1;
    return 0;
}

static int compare_integers(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static lgt_status check_integers(const cli_source_file *s, const char *name, lgt_error *err) {
    int64_t n = s->n_classes, *sorted = cli_alloc(n, sizeof *sorted);
    lgt_status status = LGT_OK;
    memcpy(sorted, s->labels, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, compare_integers);
    for (int64_t j = 1; j < n && !status; j++)
        if (sorted[j] == sorted[j - 1])
            status = cli_fail(err, LGT_ERR_DATA, "%s: %s: %lld is given twice, expected a label of its own a class",
                              s->path, name, (long long)sorted[j]);
    free(sorted);
    return status;
}

static lgt_status check_texts(const cli_source_file *s, lgt_error *err) {
    int64_t n = s->n_classes;
    const char **sorted = cli_alloc(n, sizeof *sorted);
    lgt_status status = LGT_OK;
    for (int64_t j = 0; j < n; j++) sorted[j] = json_string_value(json_array_get(s->names, (size_t)j));
    qsort(sorted, (size_t)n, sizeof *sorted, compare_texts);
    for (int64_t j = 1; j < n && !status; j++)
        if (strcmp(sorted[j], sorted[j - 1]) == 0)
            status = cli_fail(err, LGT_ERR_DATA,
                              "%s: metadata label_names: '%.100s' is given twice, expected a name of its own a class",
                              s->path, sorted[j]);
    free(sorted);
    return status;
}

/* Integers of any width, and whole numbers among floats. */
static lgt_status take_labels(cli_source_file *s, lgt_tensor *from, lgt_error *err) {
    lgt_array *a = &from->array;
    if (a->n_dims != 1 || a->count != s->n_classes)
        return cli_fail(err, LGT_ERR_DATA, "%s: %s is %s of %lld elements with %d axes, expected %lld integers",
                        s->path, from->name, lgt_dtype_name(a->dtype), (long long)a->count, a->n_dims,
                        (long long)s->n_classes);
    if (lgt_array_convert(s->context, a, LGT_I64, err)) {
        lgt_error inner = *err;
        return cli_fail(err, inner.status, "%.200s: %.40s: %.300s", s->path, from->name, inner.message);
    }
    memcpy(s->labels, a->data, (size_t)s->n_classes * sizeof *s->labels);
    return check_integers(s, from->name, err);
}

/* Of a model: integers, or texts. */
static lgt_status take_names(cli_source_file *s, const char *text, lgt_error *err) {
    size_t index = 0;
    json_t *name = NULL;
    int texts = 0;
    s->names = json_loads(text, 0, NULL);
    if (!json_is_array(s->names) || json_array_size(s->names) != (size_t)s->n_classes)
        return cli_fail(err, LGT_ERR_DATA, "%s: metadata label_names is no list of %lld names, one a class", s->path,
                        (long long)s->n_classes);
    json_array_foreach(s->names, index, name) {
        char again[24];
        const char *word = json_string_value(name);
        if (!word)
            return cli_fail(err, LGT_ERR_DATA, "%s: metadata label_names: entry %lld is no text", s->path,
                            (long long)index);
        s->labels[index] = strtoll(word, NULL, 10);
        snprintf(again, sizeof again, "%lld", (long long)s->labels[index]);
        texts |= strcmp(word, again) != 0;
    }
    if (texts) {
        s->labels = NULL;
        return check_texts(s, err);
    }
    json_decref(s->names);
    s->names = NULL;
    return check_integers(s, "metadata label_names", err);
}

lgt_status cli_head_labels(cli_source_file *source, lgt_error *err) {
    cli_source_file *s = source;
    const char *names = lgt_tensors_metadata(&s->tensors, "label_names");
    s->labels = cli_source_own(s, s->n_classes, sizeof *s->labels);
    for (int64_t j = 0; j < s->n_classes; j++) s->labels[j] = j;
    if (names) return take_names(s, names, err);
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        for (int64_t k = 0; k < s->tensors.n_tensors; k++) {
            lgt_tensor *t = &s->tensors.tensors[k];
            int other = t->array.data == s->weight.data || t->array.data == s->bias.data; /* --bias labels */
            if (!other && strcmp(t->name, usual[i]) == 0) return take_labels(s, t, err);
        }
    return LGT_OK;
}
