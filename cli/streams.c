/* Reads `-` as standard input and standard output. */
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"
#include "ranks.h"

enum { WRITER_WAIT = 5000 }; /* ms */

static int is_dash(const char *text) {
    return strcmp(text, "-") == 0;
}

const char *cli_input_name(const char *path) {
    return is_dash(path) ? CLI_STDIN : path;
}

const char *cli_output_name(const char *path) {
    return is_dash(path) ? CLI_STDOUT : path;
}

int cli_is_stdout(const char *path) {
    return path && is_dash(path);
}

/* Notes that `where` reads standard input; *reader is who does already, or NULL. */
static lgt_status claim(const cli_args *args, const char *where, const char **reader, lgt_error *err) {
    if (*reader)
        return cli_fail(err, LGT_ERR_USAGE, "standard input (-) is named by %s and again by %s, expected once", *reader,
                        where);
    if (args->verb->is_shared && !cli_is_alone())
        return cli_fail(err, LGT_ERR_USAGE, "%s is -, but of several ranks only the first has standard input", where);
    *reader = where;
    return LGT_OK;
}

/* FEATURES[,LABELS], of which each may be -. Returns the new text, to be freed. */
static char *resolve_data(const char *text, int *n_streams) {
    const char *comma = strrchr(text, ',');
    size_t length = comma ? (size_t)(comma - text) : strlen(text);
    char *features = cli_copy(text);
    features[length] = '\0';
    *n_streams = strcmp(cli_input_name(features), CLI_STDIN) == 0;
    if (comma) *n_streams += strcmp(cli_input_name(comma + 1), CLI_STDIN) == 0;
    size_t size = strlen(text) + 2 * sizeof CLI_STDIN;
    char *out = cli_alloc((int64_t)size, 1);
    snprintf(out, size, "%s%s%s", cli_input_name(features), comma ? "," : "", comma ? cli_input_name(comma + 1) : "");
    free(features);
    return out;
}

/* *text is replaced where - stands in it. */
static lgt_status resolve_text(const cli_args *args, cli_kind kind, const char *where, char **text, const char **reader,
                               lgt_error *err) {
    int n_streams = 0;
    if (kind == CLI_FOLDER && is_dash(*text))
        return cli_fail(err, LGT_ERR_USAGE, "%s is -, expected a folder: standard output takes one file, not several",
                        where);
    if (kind != CLI_INPUT && kind != CLI_DATA) return LGT_OK;
    char *resolved = kind == CLI_DATA ? resolve_data(*text, &n_streams) : cli_copy(cli_input_name(*text));
    if (kind == CLI_INPUT) n_streams = strcmp(resolved, CLI_STDIN) == 0;
    free(*text);
    *text = resolved;
    lgt_status status = LGT_OK;
    for (int i = 0; i < n_streams && !status; i++) status = claim(args, where, reader, err);
    return status;
}

static lgt_status resolve_words(cli_args *args, const char **reader, lgt_error *err) {
    lgt_status status = LGT_OK;
    for (int i = 0; i < args->n_words && !status; i++) {
        cli_kind kind = i == 0 ? args->verb->first_word : args->verb->other_words;
        if (kind == CLI_FOLDER && is_dash(args->words[i]))
            return cli_fail(err, LGT_ERR_USAGE, "%s reads folders, found -", args->verb->name);
        if (kind != CLI_INPUT) continue;
        args->words[i] = cli_input_name(args->words[i]);
        if (strcmp(args->words[i], CLI_STDIN) == 0) status = claim(args, "the first word", reader, err);
    }
    args->word = args->words[0];
    return status;
}

lgt_status cli_streams_resolve(cli_args *args, lgt_error *err) {
    static char names[CLI_MAX_OPTIONS][40];
    const char *reader = NULL;
    lgt_status status = LGT_OK;
    for (int i = 0; cli_option_at(args->verb, i) && !status; i++) {
        const cli_option *option = cli_option_at(args->verb, i);
        snprintf(names[i], sizeof names[i], "--%s", option->name);
        if (args->values[i].text)
            status = resolve_text(args, option->kind, names[i], &args->values[i].text, &reader, err);
    }
    return status ? status : resolve_words(args, &reader, err);
}

/* Whether something comes, or has come, within the time that the library gives the writer of a named pipe. */
static int is_written(int fd) {
    struct pollfd in = {.fd = fd, .events = POLLIN};
    if (poll(&in, 1, WRITER_WAIT) > 0) return 1;
    errno = ETIMEDOUT;
    return 0;
}

FILE *cli_file_open(const char *path) {
    struct stat info;
    if (strcmp(path, CLI_STDIN) == 0) return stdin;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* else a pipe would be waited for without an end */
    if (fd < 0) return NULL;
    int fine = fstat(fd, &info) == 0 && (!S_ISFIFO(info.st_mode) || is_written(fd)) && fcntl(fd, F_SETFL, 0) == 0;
    FILE *file = fine ? fdopen(fd, "r") : NULL;
    if (!file) close(fd);
    return file;
}

void cli_file_close(FILE *file) {
    if (file != stdin) fclose(file);
}

lgt_status cli_stdout_status(lgt_status status) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    int left = status == LGT_ERR_IO && poll(&out, 1, 0) > 0 && out.revents & POLLERR;
    return left ? LGT_OK : status;
}
