/* Puts the parts of the page together. */
#include "report/page.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "logitude/io.h"
#include "logitude/report.h"
#include "report/parts.h"
#include "report/record.h"
#include "report/sha256.h"

/* What stands in the frame's place {{name}}. */
typedef struct piece {
    const char *name;
    const void *bytes;
    size_t length;
} piece;

enum { N_PIECES = 6, POLICY_SIZE = 384 };

/* Everything is forbidden but the style and the scripts of this page. */
static void write_policy(char out[POLICY_SIZE]) {
    char style[LGT_SHA256_SOURCE_SIZE], chart[LGT_SHA256_SOURCE_SIZE], script[LGT_SHA256_SOURCE_SIZE];
    lgt_sha256_source(lgt_page_style.bytes, lgt_page_style.length, style);
    lgt_sha256_source(lgt_page_chart.bytes, lgt_page_chart.length, chart);
    lgt_sha256_source(lgt_page_script.bytes, lgt_page_script.length, script);
    snprintf(out, POLICY_SIZE,
             "default-src 'none'; base-uri 'none'; form-action 'none'; style-src '%s'; script-src '%s' '%s'", style,
             chart, script);
}

static const char *entity(char c) {
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* *out (to be released): text that means itself in HTML. */
static lgt_status escape_html(lgt_context *context, const char *text, char **out, lgt_error *err) {
    lgt_status status = LGT_NEW(context, out, (int64_t)strlen(text) * 6 + 1, err);
    if (status) return status;
    char *at = *out;
    for (const char *c = text; *c; c++) {
        const char *named = entity(*c);
        size_t length = named ? strlen(named) : 1;
        memcpy(at, named ? named : c, length);
        at += length;
    }
    *at = '\0';
    return LGT_OK;
}

static const piece *piece_at(const piece *pieces, const char *place, size_t length) {
    for (int i = 0; i < N_PIECES; i++)
        if (strlen(pieces[i].name) == length && memcmp(pieces[i].name, place, length) == 0) return &pieces[i];
    return NULL;
}

static const char *find(const char *from, const char *end, const char *mark) {
    for (; from + 1 < end; from++)
        if (from[0] == mark[0] && from[1] == mark[1]) return from;
    return NULL;
}

static size_t put(char *out, size_t at, const void *bytes, size_t length) {
    if (out && length) memcpy(out + at, bytes, length);
    return at + length;
}

/* The length of the page, written to out unless that is NULL. */
static size_t fill(const piece *pieces, char *out) {
    const char *at = (const char *)lgt_page_frame.bytes, *end = at + lgt_page_frame.length, *open = NULL;
    size_t length = 0;
    while ((open = find(at, end, "{{"))) {
        const char *close = find(open, end, "}}");
        const piece *found = close ? piece_at(pieces, open + 2, (size_t)(close - open - 2)) : NULL;
        if (!found) break;
        length = put(out, length, at, (size_t)(open - at));
        length = put(out, length, found->bytes, found->length);
        at = close + 2;
    }
    return put(out, length, at, (size_t)(end - at));
}

lgt_status lgt_page_text(lgt_context *context, const char *title, const char *record, size_t record_length, char **out,
                         size_t *length, lgt_error *err) {
    char policy[POLICY_SIZE], *name = NULL;
    lgt_status status = escape_html(context, title, &name, err);
    if (status) return status;
    write_policy(policy);
    const piece pieces[N_PIECES] = {{"policy", policy, strlen(policy)},
                                    {"title", name, strlen(name)},
                                    {"style", lgt_page_style.bytes, lgt_page_style.length},
                                    {"record", record, record_length},
                                    {"chart", lgt_page_chart.bytes, lgt_page_chart.length},
                                    {"script", lgt_page_script.bytes, lgt_page_script.length}};
    *length = fill(pieces, NULL);
    status = LGT_NEW(context, out, (int64_t)*length + 1, err);
    if (!status) (*out)[fill(pieces, *out)] = '\0';
    lgt_release(context, name);
    return status;
}

lgt_status lgt_report_write(lgt_context *context, const lgt_report_run *runs, int64_t n_runs, const char *path,
                            lgt_error *err) {
    char *record = NULL, *page = NULL;
    size_t record_length = 0, length = 0;
    if (!runs || !path || n_runs < 1 || n_runs > LGT_REPORT_MOST_RUNS)
        return lgt_fail(err, LGT_ERR_USAGE, "a report of %lld runs, expected 1 to %d, and a path", (long long)n_runs,
                        LGT_REPORT_MOST_RUNS);
    for (int64_t i = 0; i < n_runs; i++)
        if (!runs[i].name) return lgt_fail(err, LGT_ERR_USAGE, "run %lld has no name", (long long)i);
    lgt_status status = lgt_record_text(context, runs, n_runs, &record, &record_length, err);
    if (!status)
        status = lgt_page_text(context, n_runs > 1 ? "Comparison of runs" : runs->name, record, record_length, &page,
                               &length, err);
    if (!status) status = lgt_file_write(context, path, page, length, err);
    lgt_release(context, page);
    lgt_release(context, record);
    return status ? status : lgt_succeed(err);
}
