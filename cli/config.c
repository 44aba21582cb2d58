/* Configuration files: lines of `name = value`, where a # at the start of a line or behind a blank begins a comment. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "nearest.h"
#include "options.h"
#include "output.h"
#include "streams.h"

static int is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char *trim(char *text) {
    while (is_blank(*text)) text++;
    size_t length = strlen(text);
    while (length > 0 && is_blank(text[length - 1])) length--;
    text[length] = '\0';
    return text;
}

/* A byte order mark of UTF-8, which some editors put first. */
static char *skip_mark(char *line) {
    return strncmp(line, "\xef\xbb\xbf", 3) == 0 ? line + 3 : line;
}

static void cut_comment(char *line) {
    char *c = line;
    while (*c && !(*c == '#' && (c == line || is_blank(c[-1])))) c++;
    *c = '\0';
}

static lgt_status read_line(cli_args *args, const char *where, char *line, lgt_error *err) {
    cut_comment(line);
    char *name = trim(line);
    if (*name == '\0') return LGT_OK;
    char *equals = strchr(name, '=');
    if (!equals) return cli_fail(err, LGT_ERR_USAGE, "%sfound '%.80s', expected `name = value`", where, name);
    *equals = '\0';
    name = trim(name);
    int index = cli_option_find(args->verb, name, strlen(name));
    if (index >= 0 && strcmp(name, "config") != 0 && strcmp(name, "help") != 0)
        return cli_args_set(args, index, where, trim(equals + 1), CLI_CONFIG, err);
    cli_nearest nearest = {.word = name};
    for (int i = 0; cli_option_at(args->verb, i); i++)
        cli_nearest_try_option(&nearest, cli_option_at(args->verb, i)->name);
    return cli_fail(err, LGT_ERR_USAGE, "%sfound '%.80s', expected the name of an option of %s%s", where, name,
                    args->verb->name, index < 0 ? cli_nearest_hint(&nearest, "") : "");
}

lgt_status cli_config_read(cli_args *args, const char *path, lgt_error *err) {
    lgt_status status = LGT_OK;
    char *line = NULL, where[400];
    size_t size = 0;
    ssize_t length = 0;
    FILE *file = cli_file_open(path);
    if (!file) return cli_fail(err, LGT_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    errno = 0;
    for (int64_t number = 1; !status && (length = getline(&line, &size, file)) >= 0; number++) {
        snprintf(where, sizeof where, "%.360s:%lld: ", path, (long long)number);
        if (strlen(line) != (size_t)length)
            status = cli_fail(err, LGT_ERR_USAGE, "%sfound a zero byte, expected text", where);
        else
            status = read_line(args, where, number == 1 ? skip_mark(line) : line, err);
    }
    if (!status && ferror(file)) status = cli_fail(err, LGT_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
    free(line);
    cli_file_close(file);
    return status;
}
