/* Models of liblinear (linear.cpp, save_model): lines of keys, then `w` and a line of weights for every feature:
 *     solver_type L2R_LR / nr_class C / label a b ... / nr_feature D / bias B / w / values of one feature by class
 * A bias B >= 0 is a further feature of the value B. Two classes have one vector, that of the first label, unless the
 * solver is MCSVM_CS. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "base/text.h"
#include "data/array.h"
#include "data/growth.h"
#include "data/output.h"
#include "data/words.h"

enum { NUMBER = 32, MOST_CLASSES = 1 << 24 };

typedef struct reading {
    lgt_context *context;
    lgt_words words;
    char *solver;
    int64_t n_classes, n_features, *labels;
    double bias, *weights, *biases; /* (n_vectors, n_features), (n_vectors) */
} reading;

static lgt_status read_integer(reading *r, const char *expected, int64_t *out, lgt_error *err) {
    lgt_words *w = &r->words;
    lgt_words_next(w);
    return lgt_text_int64(w->word, w->word_length, out) ? LGT_OK : lgt_words_unexpected(w, expected, err);
}

static lgt_status read_real(reading *r, const char *expected, double *out, lgt_error *err) {
    lgt_words *w = &r->words;
    lgt_words_next(w);
    return lgt_text_double(w->word, w->word_length, out) ? LGT_OK : lgt_words_unexpected(w, expected, err);
}

/* --- the model --- */

static lgt_status read_labels(reading *r, lgt_error *err) {
    lgt_status status = LGT_OK;
    if (r->n_classes < 2 || r->labels) return lgt_words_unexpected(&r->words, "nr_class before label, once", err);
    status = LGT_NEW(r->context, &r->labels, r->n_classes, err);
    for (int64_t j = 0; j < r->n_classes && !status; j++)
        status = read_integer(r, "an integer label for every class", &r->labels[j], err);
    return status;
}

static lgt_status read_key(reading *r, lgt_error *err) {
    lgt_status status = LGT_OK;
    if (lgt_words_is(&r->words, "solver_type") && !r->solver) {
        lgt_words_next(&r->words);
        if (r->words.word_length == 0) return lgt_words_unexpected(&r->words, "the name of a solver", err);
        status = lgt_alloc_zero(r->context, (int64_t)r->words.word_length + 1, 1, &r->solver, err);
        if (!status) memcpy(r->solver, r->words.word, r->words.word_length);
    } else if (lgt_words_is(&r->words, "nr_class") && !r->n_classes) {
        status = read_integer(r, "a number of classes", &r->n_classes, err);
        if (!status && (r->n_classes < 2 || r->n_classes > MOST_CLASSES))
            return lgt_words_unexpected(&r->words, "2 classes or more", err);
    } else if (lgt_words_is(&r->words, "label")) {
        status = read_labels(r, err);
    } else if (lgt_words_is(&r->words, "nr_feature") && !r->n_features) {
        status = read_integer(r, "a number of features", &r->n_features, err);
        if (!status && r->n_features < 1) return lgt_words_unexpected(&r->words, "1 feature or more", err);
    } else if (lgt_words_is(&r->words, "bias") && isnan(r->bias)) {
        status = read_real(r, "a number", &r->bias, err);
    } else {
        return lgt_words_unexpected(&r->words, "solver_type, nr_class, label, nr_feature, bias or w, each once", err);
    }
    return status ? status : lgt_words_end_line(&r->words, err);
}

static lgt_status read_keys(reading *r, lgt_error *err) {
    for (lgt_words_next(&r->words); !lgt_words_is(&r->words, "w"); lgt_words_next(&r->words)) {
        lgt_status status = read_key(r, err);
        if (status) return status;
    }
    if (!r->solver || !r->labels || !r->n_features || isnan(r->bias))
        return lgt_words_unexpected(&r->words, "solver_type, nr_class, label, nr_feature and bias before w", err);
    return lgt_words_end_line(&r->words, err);
}

static int64_t n_vectors(const reading *r) {
    return r->n_classes == 2 && strcmp(r->solver, "MCSVM_CS") != 0 ? 1 : r->n_classes;
}

/* A line a feature; every number takes two bytes at least, which bounds what may be asked for. */
static lgt_status read_weights(reading *r, lgt_error *err) {
    int64_t n = n_vectors(r), rows = r->n_features + (r->bias >= 0), count = 0;
    if (!lgt_count_mul(n, rows, &count) || (uint64_t)count > (r->words.length - r->words.at) / 2 + 1)
        return lgt_fail(err, LGT_ERR_DATA, "%s:%lld: %zu bytes follow, expected %lld lines of %lld weights",
                        r->words.path, r->words.line, r->words.length - r->words.at, (long long)rows, (long long)n);
    lgt_status status = LGT_NEW(r->context, &r->weights, n * r->n_features, err);
    if (!status && r->bias >= 0) status = LGT_NEW(r->context, &r->biases, n, err);
    for (int64_t k = 0; k < rows && !status; k++) {
        for (int64_t j = 0; j < n && !status; j++) {
            double value = 0;
            status = read_real(r, "a finite decimal number for every class", &value, err);
            if (k < r->n_features)
                r->weights[j * r->n_features + k] = value;
            else
                r->biases[j] = value * r->bias;
        }
        if (!status) status = lgt_words_end_line(&r->words, err);
    }
    if (!status && r->words.at < r->words.length) {
        lgt_words_next(&r->words);
        status = lgt_words_unexpected(&r->words, "the end of the file", err);
    }
    return status;
}

/* --- as tensors --- */

static lgt_status name_tensor(reading *r, lgt_tensors *out, const char *name, lgt_dtype dtype, int64_t rows,
                              int64_t cols, void *data, lgt_error *err) {
    lgt_tensor *t = &out->tensors[out->n_tensors++];
    t->array = (lgt_array){.dtype = dtype, .n_dims = cols ? 2 : 1, .shape = {rows, cols}, .data = data};
    t->array.count = rows * (cols ? cols : 1);
    return lgt_alloc_text(r->context, name, &t->name, err);
}

static lgt_status give(reading *r, lgt_tensors *out, lgt_error *err) {
    lgt_status status = LGT_NEW_ZERO(r->context, &out->tensors, 3, err);
    if (!status) status = LGT_NEW_ZERO(r->context, &out->metadata, 1, err);
    if (status) return status;
    int64_t n = n_vectors(r);
    if (n == 1) { /* positive is the first label here, the second elsewhere */
        int64_t first = r->labels[0];
        r->labels[0] = r->labels[1];
        r->labels[1] = first;
    }
    status = name_tensor(r, out, "weight", LGT_F64, n, r->n_features, r->weights, err);
    r->weights = NULL;
    if (!status) {
        status = name_tensor(r, out, "labels", LGT_I64, r->n_classes, 0, r->labels, err);
        r->labels = NULL;
    }
    if (!status && r->biases) {
        status = name_tensor(r, out, "bias", LGT_F64, n, 0, r->biases, err);
        r->biases = NULL;
    }
    if (status) return status;
    out->n_metadata = 1;
    status = lgt_alloc_text(r->context, "solver_type", &out->metadata[0].key, err);
    out->metadata[0].value = r->solver;
    r->solver = NULL;
    return status;
}

lgt_status lgt_liblinear_from_input(lgt_context *context, lgt_input *input, lgt_tensors *out, lgt_error *err) {
    reading r = {.context = context, .bias = NAN};
    *out = (lgt_tensors){.tensors = NULL};
    lgt_status status = lgt_words_read(context, input, &r.words, err);
    if (!status) status = read_keys(&r, err);
    if (!status) status = read_weights(&r, err);
    if (!status) status = give(&r, out, err);
    lgt_release(context, r.biases);
    lgt_release(context, r.weights);
    lgt_release(context, r.labels);
    lgt_release(context, r.solver);
    lgt_words_free(context, &r.words);
    if (status) lgt_tensors_free(context, out);
    return status;
}

lgt_status lgt_liblinear_read(lgt_context *context, const char *path, lgt_tensors *out, lgt_error *err) {
    lgt_input *input = NULL;
    *out = (lgt_tensors){.tensors = NULL};
    lgt_status status = lgt_input_open(context, path, &input, err);
    if (!status) status = lgt_liblinear_from_input(context, input, out, err);
    lgt_input_close(input);
    return status ? status : lgt_succeed(err);
}

/* --- writing --- */

typedef struct writing {
    lgt_context *context;
    char *text;
    size_t length, room;
} writing;

static lgt_status put(writing *w, const char *text, lgt_error *err) {
    size_t length = strlen(text);
    lgt_status status = lgt_grow(w->context, &w->text, w->length, &w->room, w->length + length, err);
    if (status) return status;
    memcpy(w->text + w->length, text, length);
    w->length += length;
    return LGT_OK;
}

static lgt_status put_number(writing *w, double value, lgt_error *err) {
    char text[NUMBER + 1];
    size_t length = lgt_text_from_double(text, NUMBER, value);
    memcpy(text + length, " ", 2);
    return put(w, text, err);
}

static double element(const lgt_array *array, int64_t index) {
    return array->dtype == LGT_F64 ? ((const double *)array->data)[index] : (double)((const float *)array->data)[index];
}

static lgt_status check_numbers(const char *path, const char *name, const lgt_array *array, lgt_error *err) {
    char place[LGT_PLACE_ROOM];
    for (int64_t i = 0; i < array->count; i++)
        if (!isfinite(element(array, i)))
            return lgt_fail(err, LGT_ERR_DATA, "%s: the %s is not finite in %s", path, name,
                            lgt_array_place(array, i, place));
    return LGT_OK;
}

static lgt_status check(const char *path, const char *solver, const lgt_array *w, const lgt_array *b,
                        const lgt_array *labels, lgt_error *err) {
    if (!*solver || strpbrk(solver, " \t\r\n"))
        return lgt_fail(err, LGT_ERR_USAGE, "%s: solver_type is '%s', expected one word", path, solver);
    int is_float = (w->dtype == LGT_F32 || w->dtype == LGT_F64) && (!b || b->dtype == LGT_F32 || b->dtype == LGT_F64);
    int64_t classes = labels->count, rows = w->n_dims == 2 ? w->shape[0] : 0;
    int one = classes == 2 && strcmp(solver, "MCSVM_CS") != 0;
    if (!is_float || labels->dtype != LGT_I64 || classes < 2 || rows != (one ? 1 : classes) || w->shape[1] < 1 ||
        (b && b->count != rows))
        return lgt_fail(err, LGT_ERR_USAGE,
                        "%s: %lld rows of weights, %lld biases and %lld labels, expected f32 or f64 and a row a class, "
                        "or one of two classes unless by MCSVM_CS",
                        path, (long long)rows, (long long)(b ? b->count : 0), (long long)classes);
    lgt_status status = check_numbers(path, "weight", w, err);
    return status || !b ? status : check_numbers(path, "bias", b, err);
}

static lgt_status compose(writing *out, const char *solver, const lgt_array *w, const lgt_array *b,
                          const lgt_array *labels, lgt_error *err) {
    char text[NUMBER * 4];
    const int64_t *label = labels->data;
    int64_t rows = w->shape[0], dim = w->shape[1];
    lgt_status status = put(out, "solver_type ", err);
    if (!status) status = put(out, solver, err);
    lgt_text_format(text, sizeof text, "\nnr_class %lld\nlabel", (long long)labels->count);
    if (!status) status = put(out, text, err);
    for (int64_t j = 0; j < labels->count && !status; j++) {
        lgt_text_format(text, sizeof text, " %lld", (long long)label[rows == 1 ? 1 - j : j]);
        status = put(out, text, err);
    }
    lgt_text_format(text, sizeof text, "\nnr_feature %lld\nbias %d\nw\n", (long long)dim, b ? 1 : -1);
    if (!status) status = put(out, text, err);
    for (int64_t k = 0; k < dim + (b != NULL) && !status; k++) {
        for (int64_t j = 0; j < rows && !status; j++)
            status = put_number(out, k < dim ? element(w, j * dim + k) : element(b, j), err);
        if (!status) status = put(out, "\n", err);
    }
    return status;
}

lgt_status lgt_liblinear_write(lgt_context *context, const char *path, const char *solver_type, const lgt_array *weight,
                               const lgt_array *bias, const lgt_array *labels, lgt_error *err) {
    writing w = {.context = context};
    lgt_status status = check(path, solver_type, weight, bias, labels, err);
    if (!status) status = compose(&w, solver_type, weight, bias, labels, err);
    if (!status) status = lgt_file_write(context, path, w.text, w.length, err);
    lgt_release(context, w.text);
    return status ? status : lgt_succeed(err);
}
