/* Reads a command line by the option table of its verb. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nearest.h"
#include "output.h"
#include "streams.h"

static const char *const isa_words[] = {"generic", "avx2", "avx512", "avx512bf16", "amx", "best", NULL};

static const cli_option common[] = {
    {.name = "threads",
     .kind = CLI_INTEGER,
     .metavar = "N",
     .least = 1,
     .greatest = 1024,
     .group = "Common options",
     .help = "threads to work on; results never depend on it (default: $LOGITUDE_NUM_THREADS, else all processors)"},
    {.name = "max-isa",
     .kind = CLI_CHOICE,
     .metavar = "ISA",
     .default_text = "best",
     .words = isa_words,
     .group = "Common options",
     .help = "highest instruction set to use"},
    {.name = "config",
     .kind = CLI_INPUT,
     .metavar = "FILE",
     .group = "Common options",
     .help = "read options from FILE, lines of `name = value`; the command line wins"},
    {.name = "json", .kind = CLI_FLAG, .group = "Common options", .help = "print one JSON object instead of text"},
    {.name = "quiet",
     .letter = 'q',
     .kind = CLI_FLAG,
     .group = "Common options",
     .help = "no progress and no notes on standard error"},
    {.name = "verbose", .letter = 'v', .kind = CLI_FLAG, .group = "Common options", .help = "more notes"},
    {.name = "help", .letter = 'h', .kind = CLI_FLAG, .group = "Common options", .help = "print this help"},
};

enum { N_COMMON = sizeof common / sizeof *common };

const cli_option *cli_option_at(const cli_verb *verb, int index) {
    if (index < verb->n_options) return &verb->options[index];
    return index - verb->n_options < N_COMMON ? &common[index - verb->n_options] : NULL;
}

int cli_option_find(const cli_verb *verb, const char *name, size_t length) {
    for (int i = 0; cli_option_at(verb, i); i++) {
        const char *known = cli_option_at(verb, i)->name;
        if (strlen(known) == length && memcmp(known, name, length) == 0) return i;
    }
    return -1;
}

/* --- Values --- */

static int word_index(const char *const *words, const char *text) {
    for (int i = 0; words && words[i]; i++)
        if (strcmp(words[i], text) == 0) return i;
    return -1;
}

void cli_expectation(const cli_option *option, char *out, size_t size) {
    if (option->kind == CLI_CHOICE) {
        size_t used = (size_t)snprintf(out, size, "%s", option->words[1] ? "one of " : "");
        for (int i = 0; option->words[i] && used < size; i++)
            used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", option->words[i]);
        return;
    }
    const char *noun = option->kind == CLI_INTEGER ? "an integer" : "a number";
    const char *below = option->marks & CLI_BELOW ? "below " : "";
    if (isinf(option->greatest) && isinf(option->least))
        snprintf(out, size, "%s", noun);
    else if (isinf(option->greatest))
        snprintf(out, size, "%s of at least %.16g", noun, option->least);
    else
        snprintf(out, size, "%s from %.16g to %s%.16g", noun, option->least, below, option->greatest);
}

/* strtod and strtoll take blanks, hexadecimal, "inf" and "nan" as well: only plain decimal texts get that far. */
static int is_decimal(const char *text) {
    return *text && text[strspn(text, "0123456789+-.eE")] == '\0';
}

static int read_number(const cli_option *option, const char *text, cli_value *out) {
    char *end = NULL;
    if (!is_decimal(text)) return 0;
    errno = 0;
    if (option->kind == CLI_INTEGER) {
        out->integer = strtoll(text, &end, 10);
        out->real = (double)out->integer;
        long long most = (long long)CLI_INTEGER_MOST; /* beyond it bounds are not exact */
        if (errno || out->integer > most || out->integer < -most) return 0;
    } else {
        out->real = strtod(text, &end);
        if (!isfinite(out->real)) return 0;
    }
    if (end == text || *end) return 0;
    return out->real >= option->least &&
           !(out->real > option->greatest || (out->real == option->greatest && option->marks & CLI_BELOW));
}

lgt_status cli_value_read(const cli_option *option, const char *name, const char *text, cli_value *out,
                          lgt_error *err) {
    char expected[160];
    cli_nearest nearest = {.word = text};
    switch (option->kind) {
    case CLI_FLAG:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return cli_fail(err, LGT_ERR_USAGE, "%s is '%s', expected true or false", name, text);
        out->integer = strcmp(text, "true") == 0;
        return LGT_OK;
    case CLI_TEXT:
    case CLI_INPUT:
    case CLI_OUTPUT:
    case CLI_FOLDER:
    case CLI_DATA:
        return *text ? LGT_OK : cli_fail(err, LGT_ERR_USAGE, "%s is empty, expected %s", name, option->metavar);
    case CLI_INTEGER:
    case CLI_REAL:
        if (read_number(option, text, out)) return LGT_OK;
        break;
    case CLI_CHOICE:
        out->integer = word_index(option->words, text);
        if (out->integer >= 0) return LGT_OK;
        break;
    }
    cli_expectation(option, expected, sizeof expected);
    if (word_index(option->later, text) >= 0)
        return cli_fail(err, LGT_ERR_UNSUPPORTED, "%s %s is not supported in this version, expected %s", name, text,
                        expected);
    for (int i = 0; option->words && option->words[i]; i++) cli_nearest_try(&nearest, option->words[i]);
    return cli_fail(err, LGT_ERR_USAGE, "%s is '%s', expected %s%s", name, text, expected,
                    cli_nearest_hint(&nearest, ""));
}

static char *join(const char *first, const char *second) {
    size_t size = strlen(first) + strlen(second) + 2;
    char *text = cli_alloc((int64_t)size, 1);
    snprintf(text, size, "%s+%s", first, second);
    return text;
}

lgt_status cli_args_set(cli_args *args, int index, const char *where, const char *text, cli_source source,
                        lgt_error *err) {
    char name[512];
    const cli_option *option = cli_option_at(args->verb, index);
    cli_value *value = &args->values[index], read = {.source = source};
    snprintf(name, sizeof name, "%s%s", where, option->name);
    lgt_status status = cli_value_read(option, name, text, &read, err);
    if (status || (value->text && value->source > source)) return status;
    if (option->marks & CLI_JOINED && value->text && value->source == source)
        read.text = join(value->text, text);
    else
        read.text = cli_copy(text);
    free(value->text);
    *value = read;
    return LGT_OK;
}

/* --- Command line --- */

static lgt_status unknown_option(const cli_verb *verb, const char *word, size_t length, lgt_error *err) {
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(length < 60 ? length : 60), word);
    cli_nearest nearest = {.word = name};
    for (int i = 0; cli_option_at(verb, i); i++) cli_nearest_try_option(&nearest, cli_option_at(verb, i)->name);
    const char *hint = cli_nearest_hint(&nearest, "--");
    if (*hint) return cli_fail(err, LGT_ERR_USAGE, "%s has no option '--%s'%s", verb->name, name, hint);
    return cli_fail(err, LGT_ERR_USAGE, "%s has no option '--%s'; see 'logitude %s --help'", verb->name, name,
                    verb->name);
}

/* --name, --name=value, --name value; *next is the word behind, moved past when it is taken. */
static lgt_status read_long(cli_args *args, const char *word, int argc, char **argv, int *next, lgt_error *err) {
    const char *name = word + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    int index = cli_option_find(args->verb, name, length);
    if (index < 0) return unknown_option(args->verb, name, length, err);
    const cli_option *option = cli_option_at(args->verb, index);
    if (option->kind == CLI_FLAG) {
        if (equals) return cli_fail(err, LGT_ERR_USAGE, "--%s takes no value, found '%s'", option->name, equals + 1);
        return cli_args_set(args, index, "--", "true", CLI_COMMAND, err);
    }
    if (equals) return cli_args_set(args, index, "--", equals + 1, CLI_COMMAND, err);
    if (*next >= argc || strncmp(argv[*next], "--", 2) == 0)
        return cli_fail(err, LGT_ERR_USAGE, "--%s needs a value: --%s %s", option->name, option->name, option->metavar);
    return cli_args_set(args, index, "--", argv[(*next)++], CLI_COMMAND, err);
}

/* -q, -vq: flags alone have letters. */
static lgt_status read_short(cli_args *args, const char *word, lgt_error *err) {
    for (const char *letter = word + 1; *letter; letter++) {
        int index = 0;
        while (cli_option_at(args->verb, index) && cli_option_at(args->verb, index)->letter != *letter) index++;
        if (!cli_option_at(args->verb, index))
            return cli_fail(err, LGT_ERR_USAGE, "%s has no option '-%c'; see 'logitude %s --help'", args->verb->name,
                            *letter, args->verb->name);
        lgt_status status = cli_args_set(args, index, "--", "true", CLI_COMMAND, err);
        if (status) return status;
    }
    return LGT_OK;
}

static lgt_status read_word(cli_args *args, const char *word, lgt_error *err) {
    char most[40];
    int max_words = args->verb->max_words;
    snprintf(most, sizeof most, "at most %d words beside its options", max_words);
    if (args->n_words == max_words)
        return cli_fail(err, LGT_ERR_USAGE, "%s takes %s, found '%s'; see 'logitude %s --help'", args->verb->name,
                        max_words == 0   ? "options only"
                        : max_words == 1 ? "one word beside its options"
                                         : most,
                        word, args->verb->name);
    args->words[args->n_words++] = word;
    args->word = args->words[0];
    return LGT_OK;
}

static lgt_status read_command(cli_args *args, int argc, char **argv, lgt_error *err) {
    lgt_status status = LGT_OK;
    int words_only = 0;
    for (int next = 0; next < argc && !status;) {
        const char *word = argv[next++];
        if (words_only || word[0] != '-' || word[1] == '\0')
            status = read_word(args, word, err);
        else if (strcmp(word, "--") == 0)
            words_only = 1;
        else if (word[1] == '-')
            status = read_long(args, word, argc, argv, &next, err);
        else
            status = read_short(args, word, err);
        args->help = cli_flag(args, "help");
        if (args->help) break;
    }
    return status;
}

lgt_status cli_args_parse(const cli_verb *verb, int argc, char **argv, cli_args *args, lgt_error *err) {
    memset(args, 0, sizeof *args);
    args->verb = verb;
    lgt_status status = read_command(args, argc, argv, err);
    if (status || args->help) return status;
    const char *config = cli_text(args, "config");
    if (config) status = cli_config_read(args, cli_input_name(config), err);
    for (int i = 0; cli_option_at(verb, i) && !status; i++) {
        const cli_option *option = cli_option_at(verb, i);
        if (option->default_text)
            status =
                args->values[i].text ? LGT_OK : cli_args_set(args, i, "--", option->default_text, CLI_DEFAULT, err);
        else if (option->marks & CLI_REQUIRED && !args->values[i].text)
            status = cli_fail(err, LGT_ERR_USAGE, "%s needs --%s %s; see 'logitude %s --help'", verb->name,
                              option->name, option->metavar, verb->name);
    }
    return status ? status : cli_streams_resolve(args, err);
}

void cli_args_free(cli_args *args) {
    for (int i = 0; i < CLI_MAX_OPTIONS; i++) free(args->values[i].text);
}

/* --- Access --- */

const cli_value *cli_value_of(const cli_args *args, const char *name) {
    int index = cli_option_find(args->verb, name, strlen(name));
    if (index < 0) cli_defect(name);
    return &args->values[index];
}

const char *cli_text(const cli_args *args, const char *name) {
    return cli_value_of(args, name)->text;
}
int64_t cli_integer(const cli_args *args, const char *name) {
    return cli_value_of(args, name)->integer;
}
double cli_real(const cli_args *args, const char *name) {
    return cli_value_of(args, name)->real;
}
int cli_choice(const cli_args *args, const char *name) {
    return (int)cli_value_of(args, name)->integer;
}
int cli_flag(const cli_args *args, const char *name) {
    return cli_value_of(args, name)->integer != 0;
}
cli_source cli_source_of(const cli_args *args, const char *name) {
    return cli_value_of(args, name)->source;
}
