/* Reads files that hold a head, and finds the head in them. */
#include "head_source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "outfile.h"
#include "output.h"
#include "shards.h"

void *cli_source_own(cli_source_file *source, int64_t count, size_t size) {
    if (source->n_owned == CLI_SOURCE_OWNED) cli_defect("a source owns too many arrays");
    return source->owned[source->n_owned++] = cli_alloc(count, size);
}

void cli_source_close(cli_source_file *source) {
    for (int i = 0; i < source->n_owned; i++) free(source->owned[i]);
    json_decref(source->names);
    if (source->context) lgt_tensors_free(source->context, &source->tensors);
    if (source->context) lgt_tensors_free(source->context, &source->single);
    *source = (cli_source_file){.context = NULL};
}

/* --- reading --- */

static int is_float(const lgt_array *array) {
    return array->dtype == LGT_F16 || array->dtype == LGT_F32 || array->dtype == LGT_F64;
}

static lgt_status convert(lgt_context *context, const char *path, int dtype, lgt_array *array, lgt_error *err) {
    if (dtype == CLI_NO_HALVES && array->dtype == LGT_F16) dtype = LGT_F32;
    if (dtype < 0 || !is_float(array)) return LGT_OK;
    lgt_status status = lgt_array_convert(context, array, (lgt_dtype)dtype, err);
    return status ? cli_fail_in(err, status, path) : LGT_OK;
}

/* Puts a shard's rows behind those that *rows has; both grow. */
static lgt_status append_shard(cli_source_file *s, const lgt_array *shard, const char *path, void **rows,
                               lgt_error *err) {
    lgt_array *w = &s->weight;
    if (shard->n_dims != 2 || !is_float(shard))
        return cli_fail(err, LGT_ERR_DATA, "%s: is %s with %d axes, expected a shard (rows, D) of floats", path,
                        lgt_dtype_name(shard->dtype), shard->n_dims);
    if (s->n_files == 0) *w = (lgt_array){.dtype = shard->dtype, .n_dims = 2, .shape = {0, shard->shape[1]}};
    if (shard->dtype != w->dtype || shard->shape[1] != w->shape[1])
        return cli_fail(err, LGT_ERR_DATA, "%s: has rows of %lld %s, but the first shard has %lld %s", path,
                        (long long)shard->shape[1], lgt_dtype_name(shard->dtype), (long long)w->shape[1],
                        lgt_dtype_name(w->dtype));
    size_t size = lgt_dtype_size(w->dtype), had = (size_t)w->count * size, more = (size_t)shard->count * size;
    char *both = realloc(*rows, had + more + 1);
    if (!both) cli_out_of_memory();
    if (more) memcpy(both + had, shard->data, more);
    *rows = w->data = both;
    w->shape[0] += shard->shape[0];
    w->count += shard->count;
    s->n_files++;
    return LGT_OK;
}

/* A shard that is missing would be classes that are, and whose rows no file tells. */
static lgt_status check_whole(const cli_source_file *s, lgt_error *err) {
    int64_t next = cli_shard_from(s->path, s->n_files), named = cli_shards_named(s->path);
    if (next < 0 && (named == 0 || named == s->n_files)) return LGT_OK;
    char *missing = cli_rank_path(s->path, s->n_files), *there = cli_rank_path(s->path, next);
    if (next >= 0)
        cli_fail(err, LGT_ERR_DATA, "%s: is missing, but there is %s; expected shards without a gap", missing, there);
    else if (s->n_files < named)
        cli_fail(err, LGT_ERR_DATA, "%s: is missing: its name counts %lld shards, found %lld", missing,
                 (long long)named, (long long)s->n_files);
    else
        cli_fail(err, LGT_ERR_DATA, "%s: the name counts %lld shards, found %lld", s->path, (long long)named,
                 (long long)s->n_files);
    free(there);
    free(missing);
    return LGT_ERR_DATA;
}

/* Shards 0, 1, 2, ... until there is no file of the next rank. */
static lgt_status read_shards(cli_source_file *s, lgt_error *err) {
    void *rows = NULL;
    lgt_status status = LGT_OK;
    s->format = "insightface";
    for (int more = 1; more && !status;) {
        char *path = cli_rank_path(s->path, s->n_files);
        lgt_array shard = {.data = NULL};
        more = s->n_files == 0 || access(path, F_OK) == 0;
        if (more) status = cli_read(lgt_array_read(s->context, path, &shard, err), err);
        if (more && !status) status = convert(s->context, path, s->dtype, &shard, err);
        if (more && !status) status = append_shard(s, &shard, path, &rows, err);
        lgt_array_free(s->context, &shard);
        free(path);
    }
    if (s->n_owned == CLI_SOURCE_OWNED) cli_defect("a source owns too many arrays");
    s->owned[s->n_owned++] = rows;
    s->weight_name = "weight";
    return status ? status : check_whole(s, err);
}

/* What a file says it is beyond its format. */
static const char *name_format(const cli_source_file *s, lgt_tensors_format format) {
    switch (format) {
    case LGT_TENSORS_SAFETENSORS:
        return lgt_tensors_metadata(&s->tensors, "encoder") ? "model" : "safetensors";
    case LGT_TENSORS_NPZ:
        return lgt_tensors_find(&s->tensors, "coef_") ? "sklearn" : "npz";
    case LGT_TENSORS_LIBLINEAR:
        return "liblinear";
    default:
        return "npy";
    }
}

static lgt_status read_tensors(cli_source_file *s, lgt_error *err) {
    lgt_tensors_format format = LGT_TENSORS_ARRAY;
    lgt_status status = cli_read(lgt_tensors_read_any(s->context, s->path, &s->tensors, &format, err), err);
    if (status) return status;
    if (format == LGT_TENSORS_CSV || format == LGT_TENSORS_LIBSVM)
        return cli_fail(err, LGT_ERR_DATA, "%s: is a table of data, expected a model, a head or tensors", s->path);
    s->format = name_format(s, format);
    if (format != LGT_TENSORS_ARRAY) return LGT_OK;
    if ((status = convert(s->context, s->path, s->dtype, &s->tensors.tensors->array, err))) return status;
    s->single = s->tensors;
    s->tensors = (lgt_tensors){.tensors = NULL};
    s->weight = s->single.tensors->array;
    s->weight_name = "weight";
    return LGT_OK;
}

lgt_status cli_source_read(lgt_context *context, const char *path, int dtype, cli_source_file *out, lgt_error *err) {
    *out = (cli_source_file){.context = context, .path = path, .dtype = dtype};
    if (cli_has_rank(path)) return read_shards(out, err);
    out->n_files = 1;
    return read_tensors(out, err);
}

lgt_status cli_source_convert(cli_source_file *s, lgt_error *err) {
    lgt_status status = LGT_OK;
    for (int64_t i = 0; i < s->tensors.n_tensors && !status; i++)
        status = convert(s->context, s->path, s->dtype, &s->tensors.tensors[i].array, err);
    return status;
}

/* --- the head --- */

/* By the names that programs use, else the only matrix called weight within something. */
static lgt_status guess_weight(const cli_source_file *s, const char **name, lgt_error *err) {
    static const char *const usual[] = {"head.weight", "coef_", "weight", "fc.weight"};
    int64_t found = 0;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        *name = usual[i];
        if (lgt_tensors_find(&s->tensors, *name)) return LGT_OK;
    }
    for (int64_t i = 0; i < s->tensors.n_tensors; i++) {
        const lgt_tensor *t = &s->tensors.tensors[i];
        if (t->array.n_dims != 2 || !cli_ends_in(t->name, "weight")) continue;
        *name = t->name;
        found++;
    }
    if (found == 1) return LGT_OK;
    return cli_fail(err, LGT_ERR_DATA,
                    "%s: %lld matrices are called weight, expected head.weight, coef_, weight, fc.weight or one alone: "
                    "name it by --weight",
                    s->path, (long long)found);
}

/* "fc.weight" -> "fc.bias", "coef_" -> "intercept_". */
static void name_bias(const char *weight, char *out, size_t size) {
    size_t length = strlen(weight);
    if (strcmp(weight, "coef_") == 0)
        snprintf(out, size, "intercept_");
    else if (cli_ends_in(weight, "weight"))
        snprintf(out, size, "%.*sbias", (int)(length - strlen("weight")), weight);
    else
        *out = '\0';
}

/* Labels stay as they are: a rounded label would be another. */
static lgt_status convert_but_labels(cli_source_file *s, const char *weight, const char *bias, lgt_error *err) {
    lgt_status status = LGT_OK;
    for (int64_t i = 0; i < s->tensors.n_tensors && !status; i++) {
        lgt_tensor *t = &s->tensors.tensors[i];
        if (!cli_names_labels(t->name) || strcmp(t->name, weight) == 0 || strcmp(t->name, bias) == 0)
            status = convert(s->context, s->path, s->dtype, &t->array, err);
    }
    return status;
}

static lgt_status find_named(cli_source_file *s, const char *weight, const char *bias, lgt_error *err) {
    char name[4200];
    lgt_status status = weight ? LGT_OK : guess_weight(s, &weight, err);
    if (status) return status;
    const lgt_array *w = lgt_tensors_find(&s->tensors, weight);
    if (!w) return cli_fail(err, LGT_ERR_DATA, "%s: has no tensor \"%s\" (--weight)", s->path, weight);
    name_bias(weight, name, sizeof name);
    if ((status = convert_but_labels(s, weight, bias ? bias : name, err))) return status;
    const lgt_array *b = lgt_tensors_find(&s->tensors, bias ? bias : name);
    if (!b && bias) return cli_fail(err, LGT_ERR_DATA, "%s: has no tensor \"%s\" (--bias)", s->path, bias);
    s->weight = *w;
    s->weight_name = weight;
    if (b) s->bias = *b;
    return LGT_OK;
}

static lgt_status check_shapes(cli_source_file *s, lgt_error *err) {
    const lgt_array *w = &s->weight, *b = &s->bias;
    if (w->n_dims == 2 && is_float(w) && w->count == 0)
        return cli_fail(err, LGT_ERR_DATA, "%s: %s is empty, (%lld, %lld), expected at least one row and one column",
                        s->path, s->weight_name, (long long)w->shape[0], (long long)w->shape[1]);
    if (w->n_dims != 2 || !is_float(w))
        return cli_fail(err, LGT_ERR_DATA, "%s: %s is %s with %d axes, expected a matrix of floats", s->path,
                        s->weight_name, lgt_dtype_name(w->dtype), w->n_dims);
    if (b->data && (b->n_dims != 1 || !is_float(b) || b->count != w->shape[0]))
        return cli_fail(err, LGT_ERR_DATA, "%s: the bias is %s of %lld elements, expected %lld floats, one a row of %s",
                        s->path, lgt_dtype_name(b->dtype), (long long)b->count, (long long)w->shape[0], s->weight_name);
    return LGT_OK;
}

/* LinearSVC(fit_intercept=False) has a number in place of a vector: it counts for every row. */
static void spread_bias(cli_source_file *s) {
    lgt_array *b = &s->bias;
    if (!b->data || b->n_dims != 0 || !is_float(b) || s->weight.n_dims != 2) return;
    int64_t rows = s->weight.shape[0];
    size_t size = lgt_dtype_size(b->dtype);
    char *to = cli_source_own(s, rows, size);
    for (int64_t j = 0; j < rows; j++) memcpy(to + (size_t)j * size, b->data, size);
    *b = (lgt_array){.dtype = b->dtype, .n_dims = 1, .shape = {rows}, .count = rows, .data = to};
}

static void transpose(cli_source_file *s) {
    lgt_array *w = &s->weight;
    size_t size = lgt_dtype_size(w->dtype);
    int64_t rows = w->shape[1], cols = w->shape[0];
    char *to = cli_source_own(s, w->count, size);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < cols; k++)
            memcpy(to + (size_t)(i * cols + k) * size, (char *)w->data + (size_t)(k * rows + i) * size, size);
    w->data = to;
    w->shape[0] = rows;
    w->shape[1] = cols;
}

/* As many as rows, or as a model says that has several centres a class. */
static lgt_status count_classes(cli_source_file *s, lgt_error *err) {
    int64_t rows = s->weight.shape[0];
    const char *text = lgt_tensors_metadata(&s->tensors, "classes");
    s->n_classes = rows == 1 ? 2 : rows;
    if (!text || strcmp(s->format, "model") != 0 || strcmp(s->weight_name, "head.weight") != 0) return LGT_OK;
    char *end = NULL;
    s->n_classes = strtoll(text, &end, 10);
    if (*end || s->n_classes < 1 || rows % s->n_classes)
        return cli_fail(err, LGT_ERR_DATA,
                        "%s: metadata classes is \"%.40s\", expected a divisor of the %lld rows of %s", s->path, text,
                        (long long)rows, s->weight_name);
    return LGT_OK;
}

lgt_status cli_head_find(cli_source_file *source, const char *weight, const char *bias, int transposed,
                         lgt_error *err) {
    cli_source_file *s = source;
    lgt_status status = LGT_OK;
    if (s->tensors.n_tensors > 0)
        status = find_named(s, weight, bias, err);
    else if (!s->weight_name)
        status = cli_fail(err, LGT_ERR_DATA, "%s: has no tensors, expected a head's matrix", s->path);
    else if (weight || bias)
        status = cli_fail(err, LGT_ERR_USAGE, "%s: has no names of tensors for --weight and --bias", s->path);
    if (!status && transposed && s->weight.n_dims == 2) transpose(s);
    if (!status) spread_bias(s);
    if (!status) status = check_shapes(s, err);
    if (status) return status;
    if (!transposed) return count_classes(s, err);
    s->n_classes = s->weight.shape[0] == 1 ? 2 : s->weight.shape[0];
    return LGT_OK;
}

/* --- other forms of the same head --- */

static double element(const lgt_array *array, int64_t index) {
    return array->dtype == LGT_F64 ? ((const double *)array->data)[index] : (double)((const float *)array->data)[index];
}

static lgt_array blank(cli_source_file *s, lgt_dtype dtype, int64_t rows, int64_t cols) {
    lgt_array array = {.dtype = dtype, .n_dims = cols ? 2 : 1, .shape = {rows, cols}};
    array.count = rows * (cols ? cols : 1);
    array.data = cli_source_own(s, array.count, lgt_dtype_size(dtype));
    return array;
}

/* The model's normalisation x' = (x - mean) scale goes into its head: w' = w scale, b' = b - w' mean. */
static void fold(cli_source_file *s, const lgt_array *mean, const lgt_array *scale) {
    int64_t rows = s->weight.shape[0], dim = s->weight.shape[1];
    lgt_array w = blank(s, LGT_F64, rows, dim), b = blank(s, LGT_F64, rows, 0);
    for (int64_t j = 0; j < rows; j++) {
        double *to = (double *)w.data + j * dim, sum = s->bias.data ? element(&s->bias, j) : 0;
        for (int64_t k = 0; k < dim; k++) {
            int64_t at = mean->count == 1 ? 0 : k;
            to[k] = element(&s->weight, j * dim + k) * element(scale, at);
            sum -= to[k] * element(mean, at);
        }
        ((double *)b.data)[j] = sum;
    }
    s->weight = w;
    s->bias = b;
}

static lgt_status linear_model(cli_source_file *s, lgt_error *err) {
    lgt_loss loss;
    const char *spec = lgt_tensors_metadata(&s->tensors, "loss"),
               *encoder = lgt_tensors_metadata(&s->tensors, "encoder");
    const lgt_array *mean = lgt_tensors_find(&s->tensors, "normalization.mean");
    const lgt_array *scale = lgt_tensors_find(&s->tensors, "normalization.scale");
    if (!spec || !mean || !scale || mean->count != scale->count || !is_float(mean) || !is_float(scale) ||
        mean->dtype == LGT_F16 || scale->dtype == LGT_F16)
        return cli_fail(err, LGT_ERR_DATA, "%s: is no whole model: no loss or no normalisation", s->path);
    lgt_status status = lgt_loss_parse(spec, &loss, err);
    if (status) return cli_fail_in(err, LGT_ERR_DATA, s->path);
    if (loss.info->space != LGT_SPACE_DOT)
        return cli_fail(err, LGT_ERR_USAGE,
                        "%s: the logits of %s are cosines, expected ones that are linear in the features: take --to "
                        "npz, torch or onnx",
                        s->path, loss.info->name);
    if (s->n_classes != s->weight.shape[0] && s->weight.shape[0] != 1)
        return cli_fail(err, LGT_ERR_DATA, "%s: metadata classes is %lld, expected the %lld rows of %s", s->path,
                        (long long)s->n_classes, (long long)s->weight.shape[0], s->weight_name);
    if (strcmp(encoder, "none") != 0) return LGT_OK;
    if (mean->count != 1 && mean->count != s->weight.shape[1])
        return cli_fail(err, LGT_ERR_DATA, "%s: normalization.mean has %lld elements, expected 1 or %lld", s->path,
                        (long long)mean->count, (long long)s->weight.shape[1]);
    int plain = mean->count == 1 && element(mean, 0) == 0 && element(scale, 0) == 1;
    if (!plain) fold(s, mean, scale);
    return LGT_OK;
}

lgt_status cli_head_linear(cli_source_file *source, lgt_error *err) {
    return strcmp(source->format, "model") == 0 ? linear_model(source, err) : LGT_OK;
}

void cli_head_to_one_row(cli_source_file *source) {
    cli_source_file *s = source;
    int64_t dim = s->weight.shape[1];
    if (s->weight.shape[0] != 2) return;
    lgt_array w = blank(s, LGT_F64, 1, dim);
    for (int64_t k = 0; k < dim; k++) ((double *)w.data)[k] = element(&s->weight, dim + k) - element(&s->weight, k);
    if (s->bias.data) {
        lgt_array b = blank(s, LGT_F64, 1, 0);
        *(double *)b.data = element(&s->bias, 1) - element(&s->bias, 0);
        s->bias = b;
    }
    s->weight = w;
}

void cli_head_to_two_rows(cli_source_file *source) {
    cli_source_file *s = source;
    lgt_array *parts[] = {&s->weight, &s->bias};
    if (s->weight.shape[0] != 1) return;
    for (int i = 0; i < 2; i++) {
        lgt_array *a = parts[i];
        if (!a->data) continue;
        size_t bytes = (size_t)a->count * lgt_dtype_size(a->dtype);
        lgt_array two = blank(s, a->dtype, 2, i == 0 ? a->shape[1] : 0);
        memcpy((char *)two.data + bytes, a->data, bytes);
        *a = two;
    }
}

lgt_status cli_head_round(cli_source_file *source, lgt_error *err) {
    cli_source_file *s = source;
    lgt_array *parts[] = {&s->weight, &s->bias};
    for (int i = 0; i < 2; i++) {
        lgt_array *a = parts[i];
        if (!a->data || a->dtype == LGT_F32) continue;
        lgt_array rounded = blank(s, LGT_F32, a->shape[0], i == 0 ? a->shape[1] : 0);
        for (int64_t k = 0; k < a->count; k++) {
            float value = (float)element(a, k);
            if (isinf(value) && !isinf(element(a, k)))
                return cli_fail(err, LGT_ERR_DATA, "%s: %s: element %lld is %g, expected a number in the range of f32",
                                s->path, i == 0 ? s->weight_name : "bias", (long long)k, element(a, k));
            ((float *)rounded.data)[k] = value;
        }
        *a = rounded;
    }
    return LGT_OK;
}
