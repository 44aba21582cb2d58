/* Prints reports, notes and errors. */
#include "output.h"
#include "ranks.h"
#include "streams.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- Process --- */

void cli_exit(int code) {
    exit(code);
}

void cli_out_of_memory(void) {
    cli_say("out of memory");
    cli_exit(LGT_ERR_MEMORY);
}

void cli_defect(const char *what) {
    fprintf(stderr, "logitude: internal defect: %s\n", what);
    cli_exit(LGT_ERR_INTERNAL);
}

void *cli_alloc(int64_t count, size_t size) {
    void *block = count < 0 ? NULL : calloc(count ? (size_t)count : 1, size);
    if (!block) cli_out_of_memory();
    return block;
}

char *cli_copy(const char *text) {
    char *copy = strdup(text);
    if (!copy) cli_out_of_memory();
    return copy;
}

/* --- Messages --- */

lgt_status cli_fail(lgt_error *err, lgt_status status, const char *format, ...) {
    va_list list;
    va_start(list, format);
    err->status = status;
    vsnprintf(err->message, sizeof err->message, format, list);
    va_end(list);
    return status;
}

lgt_status cli_fail_in(lgt_error *err, lgt_status status, const char *place) {
    lgt_error inner = *err;
    return cli_fail(err, status, "%.200s: %.300s", place, inner.message);
}

lgt_status cli_read(lgt_status status, lgt_error *err) {
    if (status != LGT_ERR_UNSUPPORTED) return status;
    return err->status = LGT_ERR_DATA;
}

/* Copies text, with words in place of a file's name that stands by itself. */
static void replace_name(char *out, size_t size, const char *text, const char *name, const char *words) {
    size_t used = 0, length = strlen(name);
    for (const char *at = text; *at && used + 1 < size;) {
        int here = (at == text || strchr(" ,'", at[-1])) && strncmp(at, name, length) == 0;
        if (here) used += (size_t)snprintf(out + used, size - used, "%s", words);
        if (!here) out[used++] = *at;
        at += here ? length : 1;
    }
    out[used < size ? used : size - 1] = '\0';
}

void cli_say(const char *text) {
    char line[1024], named[1024];
    replace_name(named, sizeof named, text, CLI_STDIN, "standard input");
    replace_name(line, sizeof line, named, CLI_STDOUT, "standard output");
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    fprintf(stderr, "logitude: %s\n", line);
}

static void say_list(const char *format, va_list list) {
    char text[1024];
    vsnprintf(text, sizeof text, format, list);
    cli_say(text);
}

void cli_note(const cli_args *args, const char *format, ...) {
    va_list list;
    va_start(list, format);
    if (!cli_flag(args, "quiet") && cli_is_first()) say_list(format, list);
    va_end(list);
}

void cli_detail(const cli_args *args, const char *format, ...) {
    va_list list;
    va_start(list, format);
    if (cli_flag(args, "verbose") && cli_is_first()) say_list(format, list);
    va_end(list);
}

/* --- JSON --- */

void cli_put(json_t *object, const char *key, json_t *value) {
    if (json_object_set_new(object, key, value)) cli_out_of_memory();
}

void cli_append(json_t *list, json_t *value) {
    if (json_array_append_new(list, value)) cli_out_of_memory();
}

json_t *cli_string(const char *text) {
    json_t *string = json_string(text);
    if (string) return string;
    char *plain = cli_copy(text);
    for (char *c = plain; *c; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
    string = json_string(plain);
    free(plain);
    return string;
}

json_t *cli_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

void cli_put_real(json_t *object, const char *key, double value) {
    cli_put(object, key, cli_number(value));
}

void cli_put_integer(json_t *object, const char *key, int64_t value) {
    cli_put(object, key, json_integer(value));
}

void cli_put_text(json_t *object, const char *key, const char *value) {
    cli_put(object, key, value ? cli_string(value) : json_null());
}

json_t *cli_report(const char *verb) {
    char schema[64];
    json_t *report = json_object();
    snprintf(schema, sizeof schema, "logitude.%s/1", verb);
    cli_put_text(report, "schema", schema);
    return report;
}

char *cli_json_text(const json_t *object, int pretty) {
    char *text = json_dumps(object, pretty ? JSON_INDENT(2) : JSON_COMPACT);
    if (!text) cli_out_of_memory();
    return text;
}

/* --- Text --- */

enum { MAX_NAME = 64, NAME_WIDTH = 20 };

static void print_line(const char *name, const char *value) {
    printf("%-*s  %s\n", NAME_WIDTH, name, value);
}

static void print_value(const char *name, const json_t *value) {
    char text[40];
    switch (json_typeof(value)) {
    case JSON_STRING:
        print_line(name, json_string_value(value));
        break;
    case JSON_INTEGER:
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
        print_line(name, text);
        break;
    case JSON_REAL:
        snprintf(text, sizeof text, "%.6g", json_real_value(value));
        print_line(name, text);
        break;
    case JSON_TRUE:
        print_line(name, "yes");
        break;
    case JSON_FALSE:
        print_line(name, "no");
        break;
    default:
        print_line(name, "-");
    }
}

static void print_members(const char *prefix, json_t *object);

static void print_member(const char *name, json_t *value) {
    size_t index = 0;
    const json_t *element = NULL;
    if (json_is_object(value)) {
        print_members(name, value);
    } else if (json_is_array(value)) {
        json_array_foreach(value, index, element) print_value(index ? "" : name, element);
    } else {
        print_value(name, value);
    }
}

static void print_members(const char *prefix, json_t *object) {
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value) {
        char name[MAX_NAME];
        if (strcmp(key, "schema") == 0) continue;
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? " " : "", key);
        for (char *c = name; *c; c++)
            if (*c == '_') *c = ' ';
        print_member(name, value);
    }
}

void cli_print_lines(json_t *object) {
    print_members("", object);
}

void cli_report_print(const cli_args *args, json_t *report) {
    if (cli_flag(args, "json")) {
        char *text = cli_json_text(report, 1);
        puts(text);
        free(text);
    } else {
        cli_print_lines(report);
    }
    json_decref(report);
}

/* The write that failed may be long past, and its reason lost: one more byte asks for it again. */
lgt_status cli_stdout_close(lgt_error *err) {
    int failed = ferror(stdout), reason = 0;
    if ((failed && write(STDOUT_FILENO, "\n", 1) < 0) || fflush(stdout)) reason = errno;
    if (fclose(stdout) && !reason) reason = errno;
    if ((!failed && !reason) || reason == EPIPE) return LGT_OK;
    return cli_fail(err, LGT_ERR_IO, "standard output: cannot write: %s", reason ? strerror(reason) : "a write failed");
}
