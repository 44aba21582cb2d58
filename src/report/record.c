/* Gathers the files of runs into one JSON text: lines become columns, long columns lose points, not extremes. */
#include "report/record.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "report/series.h"

/* Points of a series; all runs of a page together have four times as many. */
enum { MOST_POINTS = 2000, DIGITS = 8 };

typedef struct builder {
    lgt_context *context;
    const lgt_report_run *run;
    int64_t limit; /* points of a series */
    lgt_error *err;
} builder;

static lgt_status no_memory(lgt_error *err) {
    return lgt_fail(err, LGT_ERR_MEMORY, "out of memory for a report");
}

/* --- Texts --- */

static const char *folder_of(const lgt_report_run *run) {
    return run->folder ? run->folder : run->name;
}

/* NULL and "" give null. */
static lgt_status parse(const builder *b, const char *file, const char *text, json_t **out) {
    json_error_t at;
    if (!text || !*text) return (*out = json_null()) ? LGT_OK : no_memory(b->err);
    *out = json_loads(text, JSON_REJECT_DUPLICATES, &at);
    if (*out && json_is_object(*out)) return LGT_OK;
    return lgt_fail(b->err, LGT_ERR_DATA, "%s/%s:%d: %s, expected a JSON object", folder_of(b->run), file,
                    *out ? 1 : at.line, *out ? "found something else" : at.text);
}

/* Rows of one kind of line, column by column: {"loss": {"x": [], "y": []}, ...}. */
static lgt_status add_line(const builder *b, json_t *columns, json_t *line, const char *axis) {
    const char *key = NULL;
    json_t *value = NULL;
    const json_t *x = json_object_get(line, axis);
    if (!json_is_number(x)) return LGT_OK;
    json_object_foreach(line, key, value) {
        if (!json_is_number(value) && !json_is_null(value)) continue;
        json_t *column = json_object_get(columns, key);
        if (!column) {
            column = json_pack("{s:[],s:[]}", "x", "y");
            if (json_object_set_new(columns, key, column)) return no_memory(b->err);
        }
        if (json_array_append_new(json_object_get(column, "x"), json_copy((json_t *)(uintptr_t)x)) ||
            json_array_append(json_object_get(column, "y"), value))
            return no_memory(b->err);
    }
    return LGT_OK;
}

static lgt_status read_line(const builder *b, json_t *out, json_t *line) {
    const char *kind = json_string_value(json_object_get(line, "kind"));
    if (!kind) return LGT_OK;
    if (strcmp(kind, "step") == 0) return add_line(b, json_object_get(out, "steps"), line, "step");
    if (strcmp(kind, "epoch") == 0) return add_line(b, json_object_get(out, "epochs"), line, "epoch");
    if (strcmp(kind, "failure") == 0 && json_object_set(out, "failure", line)) return no_memory(b->err);
    return LGT_OK;
}

/* The last line has no end when its writer was killed within it. */
static lgt_status read_metrics(const builder *b, json_t *out) {
    const char *text = b->run->metrics;
    lgt_status status = LGT_OK;
    for (int64_t number = 1; text && *text && !status; number++) {
        json_error_t at;
        const char *end = strchr(text, '\n');
        size_t length = end ? (size_t)(end - text) : strlen(text);
        json_t *line = length ? json_loadb(text, length, 0, &at) : json_null();
        if (line)
            status = read_line(b, out, line);
        else if (end)
            status = lgt_fail(b->err, LGT_ERR_DATA, "%s/metrics.jsonl:%lld: %s, expected a JSON object",
                              folder_of(b->run), (long long)number, at.text);
        json_decref(line);
        text += length + (end != NULL);
    }
    return status;
}

/* --- Fewer points --- */

static lgt_status keep_points(const builder *b, json_t *column, int64_t n, const int64_t *keep) {
    static const char *const axes[] = {"x", "y"};
    for (int a = 0; a < 2; a++) {
        const json_t *all = json_object_get(column, axes[a]);
        json_t *kept = json_array();
        for (int64_t i = 0; i < n; i++)
            if (json_array_append(kept, json_array_get(all, (size_t)keep[i]))) {
                json_decref(kept);
                return no_memory(b->err);
            }
        if (json_object_set_new(column, axes[a], kept)) return no_memory(b->err);
    }
    return LGT_OK;
}

static lgt_status thin_column(const builder *b, json_t *column) {
    double *values = NULL;
    int64_t *keep = NULL;
    const json_t *y = json_object_get(column, "y");
    int64_t n = (int64_t)json_array_size(y);
    if (n <= b->limit) return LGT_OK;
    lgt_status status = LGT_NEW(b->context, &values, n, b->err);
    if (!status) status = LGT_NEW(b->context, &keep, b->limit, b->err);
    if (!status) {
        for (int64_t i = 0; i < n; i++) {
            const json_t *value = json_array_get(y, (size_t)i);
            values[i] = json_is_number(value) ? json_number_value(value) : NAN;
        }
        status = keep_points(b, column, lgt_series_thin(n, values, b->limit, keep), keep);
    }
    lgt_release(b->context, keep);
    lgt_release(b->context, values);
    return status;
}

static lgt_status thin_columns(const builder *b, json_t *columns) {
    const char *key = NULL;
    json_t *column = NULL;
    lgt_status status = LGT_OK;
    json_object_foreach(columns, key, column) if (!status) status = thin_column(b, column);
    return status;
}

/* Lists of an analysis that are longer keep every k-th element, the same ones in lists of one length. */
static void thin_lists(const builder *b, json_t *value) {
    const char *key = NULL;
    json_t *member = NULL;
    if (json_is_object(value)) {
        json_object_foreach(value, key, member) thin_lists(b, member);
    } else if (json_is_array(value)) {
        size_t n = json_array_size(value), stride = (size_t)lgt_ceil_div((int64_t)n, b->limit);
        for (size_t i = n; stride > 1 && i-- > 0;)
            if (i % stride) json_array_remove(value, i);
        for (size_t i = 0; i < json_array_size(value); i++) thin_lists(b, json_array_get(value, i));
    }
}

/* --- The record --- */

static lgt_status read_run(const builder *b, json_t *out) {
    json_t *run = NULL, *analysis = NULL;
    lgt_status status = parse(b, "run.json", b->run->run, &run);
    if (!status) status = parse(b, "analysis.json", b->run->analysis, &analysis);
    if (!status &&
        (json_object_set(out, "run", run) || json_object_set_new(out, "steps", json_object()) ||
         json_object_set_new(out, "epochs", json_object()) || json_object_set_new(out, "failure", json_null())))
        status = no_memory(b->err);
    if (!status) status = read_metrics(b, out);
    if (!status) status = thin_columns(b, json_object_get(out, "steps"));
    if (!status) status = thin_columns(b, json_object_get(out, "epochs"));
    if (!status) thin_lists(b, analysis);
    if (!status && json_object_set(out, "analysis", analysis)) status = no_memory(b->err);
    json_decref(analysis);
    json_decref(run);
    return status;
}

/* Bytes that are not UTF-8 become '?'. */
static json_t *name_of(const builder *b, lgt_status *status) {
    char *plain = NULL;
    json_t *name = json_string(b->run->name);
    if (name) return name;
    *status = lgt_alloc_text(b->context, b->run->name, &plain, b->err);
    if (*status) return NULL;
    for (char *c = plain; *c; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
    name = json_string(plain);
    lgt_release(b->context, plain);
    return name;
}

static lgt_status gather(const builder *base, const lgt_report_run *runs, int64_t n_runs, json_t *list) {
    lgt_status status = LGT_OK;
    for (int64_t i = 0; i < n_runs && !status; i++) {
        builder b = *base;
        b.run = &runs[i];
        json_t *out = json_object(), *name = name_of(&b, &status);
        if (!status && json_object_set_new(out, "name", name)) status = no_memory(b.err);
        if (!status) status = read_run(&b, out);
        if (!status && json_array_append(list, out)) status = no_memory(b.err);
        json_decref(out);
    }
    return status;
}

static int is_dangerous(char c) {
    return c == '<' || c == '>' || c == '&';
}

/* These three stand only inside of strings, where \u003c is the same character. */
static lgt_status escape(const builder *b, const char *json, char **out, size_t *length) {
    static const char hex[] = "0123456789abcdef";
    size_t extra = 0, at = 0;
    for (const char *c = json; *c; c++) extra += is_dangerous(*c) ? 5 : 0;
    lgt_status status = LGT_NEW(b->context, out, (int64_t)(strlen(json) + extra + 1), b->err);
    if (status) return status;
    for (const char *c = json; *c; c++) {
        if (is_dangerous(*c)) {
            memcpy(*out + at, "\\u00", 4);
            (*out)[at + 4] = hex[*c >> 4];
            (*out)[at + 5] = hex[*c & 15];
            at += 6;
        } else {
            (*out)[at++] = *c;
        }
    }
    (*out)[at] = '\0';
    *length = at;
    return LGT_OK;
}

lgt_status lgt_record_text(lgt_context *context, const lgt_report_run *runs, int64_t n_runs, char **out, size_t *length,
                           lgt_error *err) {
    char *json = NULL;
    builder b = {context, NULL, lgt_min64(MOST_POINTS, 4 * MOST_POINTS / lgt_max64(n_runs, 1)), err};
    json_t *record = json_pack("{s:s,s:[]}", "schema", "logitude.report/1", "runs");
    lgt_status status = record ? gather(&b, runs, n_runs, json_object_get(record, "runs")) : no_memory(err);
    if (!status) {
        json = json_dumps(record, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(DIGITS));
        status = json ? escape(&b, json, out, length) : no_memory(err);
    }
    free(json);
    json_decref(record);
    return status;
}
