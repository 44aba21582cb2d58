/* logitude info: the build and the machine, or the contents of a file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "logitude/logitude.h"
#include "output.h"
#include "processor.h"
#include "session.h"
#include "verbs.h"

/* --- The build --- */

static void describe_build(lgt_context *context, json_t *report) {
    char cpu[CLI_PROCESSOR_NAME];
    cli_processor_name(cpu);
    cli_put_text(report, "version", lgt_version());
    cli_put_text(report, "cpu", *cpu ? cpu : NULL);
    cli_put_integer(report, "processors", cli_processors());
    cli_put_text(report, "isa", lgt_isa_name(lgt_context_isa(context)));
    cli_put_integer(report, "threads", lgt_context_threads(context));
    cli_put_integer(report, "losses", lgt_loss_count());
#if defined(__clang__)
    cli_put_text(report, "compiler", __VERSION__);
#elif defined(__GNUC__)
    cli_put_text(report, "compiler", "GCC " __VERSION__);
#endif
    cli_put_text(report, "jansson", JANSSON_VERSION);
}

/* --- A file --- */

static double element(const lgt_array *array, int64_t index) {
    switch (array->dtype) {
    case LGT_F64:
        return ((const double *)array->data)[index];
    case LGT_U8:
        return ((const uint8_t *)array->data)[index];
    case LGT_I32:
        return ((const int32_t *)array->data)[index];
    case LGT_I64:
        return (double)((const int64_t *)array->data)[index];
    default:
        return (double)((const float *)array->data)[index];
    }
}

/* Least, largest and mean of the elements that are numbers; infinities count as numbers. */
static void describe_elements(const lgt_array *array, json_t *object) {
    double low = INFINITY, high = -INFINITY, sum = 0.0;
    int64_t n_nan = 0;
    for (int64_t i = 0; i < array->count; i++) {
        double value = element(array, i);
        if (isnan(value)) {
            n_nan++;
            continue;
        }
        low = value < low ? value : low;
        high = value > high ? value : high;
        sum += value;
    }
    int64_t n_numbers = array->count - n_nan;
    cli_put_real(object, "min", n_numbers ? low : NAN);
    cli_put_real(object, "max", n_numbers ? high : NAN);
    cli_put_real(object, "mean", n_numbers ? sum / (double)n_numbers : NAN);
    cli_put_integer(object, "nan", n_nan);
}

static lgt_status describe_array(lgt_context *context, lgt_array *array, json_t *object, lgt_error *err) {
    json_t *shape = json_array();
    for (int i = 0; i < array->n_dims; i++) cli_append(shape, json_integer(array->shape[i]));
    cli_put(object, "shape", shape);
    cli_put_text(object, "dtype", lgt_dtype_name(array->dtype));
    lgt_status status = LGT_OK;
    if (array->dtype == LGT_F16) status = lgt_array_convert(context, array, LGT_F32, err);
    if (!status) describe_elements(array, object);
    return status;
}

static lgt_status describe_tensors(lgt_context *context, const lgt_tensors *tensors, json_t *report, lgt_error *err) {
    json_t *metadata = json_object(), *list = json_array();
    lgt_status status = LGT_OK;
    for (int64_t i = 0; i < tensors->n_metadata; i++)
        cli_put_text(metadata, tensors->metadata[i].key, tensors->metadata[i].value);
    for (int64_t i = 0; i < tensors->n_tensors && !status; i++) {
        json_t *object = json_object();
        cli_put_text(object, "name", tensors->tensors[i].name);
        status = describe_array(context, &tensors->tensors[i].array, object, err);
        cli_append(list, object);
    }
    cli_put(report, "metadata", metadata);
    cli_put(report, "tensors", list);
    return status;
}

static int64_t count_labels(const lgt_array *labels) {
    const int64_t *at = labels->data;
    int64_t n = 0;
    for (int64_t i = 0; i < labels->count; i++) n = at[i] >= n ? at[i] + 1 : n;
    return n;
}

/* How many rows the classes with fewest and with most of them have. */
static void describe_classes(const lgt_array *labels, json_t *report) {
    const int64_t *at = labels->data;
    int64_t n_classes = count_labels(labels), least = labels->count, most = 0;
    int64_t *rows = cli_alloc(n_classes, sizeof *rows);
    for (int64_t i = 0; i < labels->count; i++) rows[at[i]]++;
    for (int64_t j = 0; j < n_classes; j++) {
        least = rows[j] < least ? rows[j] : least;
        most = rows[j] > most ? rows[j] : most;
    }
    free(rows);
    cli_put_integer(report, "classes", n_classes);
    cli_put_integer(report, "least_rows", least);
    cli_put_integer(report, "most_rows", most);
}

/* A table as train and eval take it, or a file of labels; the label column is the last one. */
static void describe_table(const lgt_tensors *tensors, int in_column, json_t *report) {
    const lgt_array *features = lgt_tensors_find(tensors, "features"), *labels = lgt_tensors_find(tensors, "labels");
    int64_t dim = features ? features->shape[1] : 0;
    cli_put_integer(report, "rows", labels->count);
    cli_put_integer(report, "columns", dim + in_column);
    if (in_column) cli_put_integer(report, "label_column", dim + 1);
    describe_classes(labels, report);
    if (features) describe_elements(features, report);
}

static lgt_status describe_file(lgt_context *context, const char *path, json_t *report, lgt_error *err) {
    static const char *const names[] = {"array", "safetensors", "npz", "liblinear", "libsvm", "csv"};
    lgt_tensors tensors;
    lgt_tensors_format format = LGT_TENSORS_ARRAY;
    lgt_status status = cli_read(lgt_tensors_read_any(context, path, &tensors, &format, err), err);
    if (status) return status;
    cli_put_text(report, "file", path);
    cli_put_text(report, "format", names[format]);
    if (format == LGT_TENSORS_ARRAY)
        status = describe_array(context, &tensors.tensors->array, report, err);
    else if (format == LGT_TENSORS_LIBSVM || format == LGT_TENSORS_CSV)
        describe_table(&tensors, format == LGT_TENSORS_CSV, report);
    else
        status = describe_tensors(context, &tensors, report, err);
    lgt_tensors_free(context, &tensors);
    return status;
}

/* --- Text --- */

static void print_shape(const json_t *shape) {
    char text[160] = "(";
    size_t used = 1;
    for (size_t i = 0; i < json_array_size(shape) && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%lld", i ? ", " : "",
                                 (long long)json_integer_value(json_array_get(shape, i)));
    printf("%s)", text);
}

static void print_elements(const json_t *object) {
    if (json_is_real(json_object_get(object, "mean")))
        printf("  min %.6g  max %.6g  mean %.6g", json_real_value(json_object_get(object, "min")),
               json_real_value(json_object_get(object, "max")), json_real_value(json_object_get(object, "mean")));
    printf("  nan %lld\n", (long long)json_integer_value(json_object_get(object, "nan")));
}

static void print_array(const json_t *object) {
    print_shape(json_object_get(object, "shape"));
    printf(" %s", json_string_value(json_object_get(object, "dtype")));
    print_elements(object);
}

static void print_labels(const json_t *object) {
    printf("%s, %lld labels of %lld classes, %lld to %lld rows a class\n",
           json_string_value(json_object_get(object, "format")),
           (long long)json_integer_value(json_object_get(object, "rows")),
           (long long)json_integer_value(json_object_get(object, "classes")),
           (long long)json_integer_value(json_object_get(object, "least_rows")),
           (long long)json_integer_value(json_object_get(object, "most_rows")));
}

static void print_table(const json_t *object) {
    printf("%s, %lld rows, %lld columns, %s %lld classes", json_string_value(json_object_get(object, "format")),
           (long long)json_integer_value(json_object_get(object, "rows")),
           (long long)json_integer_value(json_object_get(object, "columns")),
           json_object_get(object, "label_column") ? "the last with labels of" : "labels of",
           (long long)json_integer_value(json_object_get(object, "classes")));
    print_elements(object);
}

static void print_file(const json_t *report) {
    size_t index = 0;
    const json_t *tensor = NULL, *tensors = json_object_get(report, "tensors");
    printf("%s: ", json_string_value(json_object_get(report, "file")));
    if (!tensors && json_object_get(report, "rows")) {
        (json_object_get(report, "mean") ? print_table : print_labels)(report);
        return;
    }
    if (!tensors) {
        print_array(report);
        return;
    }
    printf("%s, %zu tensors\n", json_string_value(json_object_get(report, "format")), json_array_size(tensors));
    cli_print_lines(json_object_get(report, "metadata"));
    json_array_foreach(tensors, index, tensor) {
        printf("%-20s  ", json_string_value(json_object_get(tensor, "name")));
        print_array(tensor);
    }
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    lgt_context *context = NULL;
    json_t *report = cli_report("info");
    lgt_status status = cli_context_open(args, &context, err);
    if (!status && args->word)
        status = describe_file(context, args->word, report, err);
    else if (!status)
        describe_build(context, report);
    if (!status && args->word && !cli_flag(args, "json"))
        print_file(report);
    else if (!status)
        cli_report_print(args, json_incref(report));
    json_decref(report);
    lgt_context_free(context);
    return status;
}

const cli_verb cli_verb_info = {
    .name = "info",
    .summary = "tells about the build and the machine, or about a file of arrays, a table or a model",
    .usage = "[FILE] [options]",
    .notes =
        "FILE is .npy, .npz, IDX, .safetensors, a model of liblinear, CSV or LIBSVM, told by content; - is standard\n"
        "input, but for tables. Of a CSV the last column is told as that of the labels, as train takes it without\n"
        "--label-column; of a file of labels alone, one a line, the rows that its classes have.",
    .examples = "  logitude info\n"
                "  logitude info features.npy\n"
                "  logitude info runs/arcface-0/model.safetensors --json",
    .max_words = 1,
    .first_word = CLI_INPUT,
    .run = run,
};
