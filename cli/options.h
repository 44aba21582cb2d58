/* Option tables: the one table of a verb drives parsing, bounds, help and configuration files. */
#ifndef LGT_CLI_OPTIONS_H
#define LGT_CLI_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "logitude/status.h"

/* INPUT, OUTPUT: a file to read, where - is standard input, or to write, where it is standard output; FOLDER: one or
 * several files are made or read there; DATA: a dataset, whose files may be -. */
typedef enum cli_kind {
    CLI_FLAG,
    CLI_TEXT,
    CLI_INPUT,
    CLI_OUTPUT,
    CLI_FOLDER,
    CLI_DATA,
    CLI_INTEGER,
    CLI_REAL,
    CLI_CHOICE
} cli_kind;

/* marks: must be given; greatest itself is excluded; repeated options are joined by '+' */
enum { CLI_REQUIRED = 1, CLI_BELOW = 2, CLI_JOINED = 4 };

typedef struct cli_option {
    const char *name; /* without the dashes */
    char letter;      /* of the short form, or 0 */
    cli_kind kind;
    unsigned marks;
    const char *metavar;
    const char *default_text; /* read as if it were given; NULL: none */
    double least, greatest;   /* INTEGER, REAL */
    const char *unit;         /* printed behind the default */
    const char *const *words; /* CHOICE, ended by NULL */
    const char *const *later; /* CHOICE: words that this version knows of but does not serve */
    const char *group, *help;
} cli_option;

typedef struct cli_args cli_args;

typedef struct cli_verb {
    const char *name, *summary;
    const char *usage;    /* what follows the verb */
    const char *notes;    /* paragraphs of the help, or NULL */
    const char *examples; /* lines */
    const cli_option *options;
    int n_options;
    int max_words;                    /* words that are not options: at most CLI_MAX_WORDS */
    const char *const *words;         /* what they can be, ended by NULL; NULL: anything, files as a rule */
    cli_kind first_word, other_words; /* of files: INPUT, OUTPUT or FOLDER */
    int takes_losses;                 /* they begin with a loss's name */
    int is_shared;                    /* all ranks of mpirun run it; else the first alone */
    lgt_status (*run)(const cli_args *args, lgt_error *err);
} cli_verb;

/* `greatest` of integers that have no bound of their own, 2^53: exact in double, and so in all that reads reports. */
#define CLI_INTEGER_MOST 0x1p53

#define CLI_MAX_OPTIONS 48
#define CLI_MAX_WORDS   32

typedef enum cli_source { CLI_DEFAULT, CLI_CONFIG, CLI_COMMAND } cli_source;

typedef struct cli_value {
    cli_source source;
    char *text; /* NULL: neither given nor a default */
    int64_t integer;
    double real;
} cli_value;

struct cli_args {
    const cli_verb *verb;
    cli_value values[CLI_MAX_OPTIONS]; /* in the order of cli_option_at */
    const char *word;                  /* the first word that is no option, or NULL */
    const char *words[CLI_MAX_WORDS];
    int n_words;
    int help; /* --help was met; nothing behind it was read */
};

/* The verb's options, then those of every verb; NULL behind the last. */
const cli_option *cli_option_at(const cli_verb *verb, int index);

/* Reads argv[0..argc), then --config, then the defaults; the command line wins over the file, the last of repeated
 * options over those before, unless they are joined. args must be freed in any case. */
lgt_status cli_args_parse(const cli_verb *verb, int argc, char **argv, cli_args *args, lgt_error *err);
void cli_args_free(cli_args *args);

/* Values by name; the name must be in the table. */
const char *cli_text(const cli_args *args, const char *name);
int64_t cli_integer(const cli_args *args, const char *name);
double cli_real(const cli_args *args, const char *name);
int cli_choice(const cli_args *args, const char *name); /* index into words */
int cli_flag(const cli_args *args, const char *name);
cli_source cli_source_of(const cli_args *args, const char *name);
const cli_value *cli_value_of(const cli_args *args, const char *name);

/* What messages say was expected: "an integer from 1 to 1024", "one of sgd, adamw". */
void cli_expectation(const cli_option *option, char *out, size_t size);

/* Reads text as a value of the option; `name` is how messages call it. The value's text is not touched. */
lgt_status cli_value_read(const cli_option *option, const char *name, const char *text, cli_value *out, lgt_error *err);

/* Puts the lines of a configuration file into args (config.c); a line is handed on as name and value. */
lgt_status cli_config_read(cli_args *args, const char *path, lgt_error *err);
/* Sets one option of args unless something stronger has set it. `where` precedes its name in messages. */
lgt_status cli_args_set(cli_args *args, int index, const char *where, const char *text, cli_source source,
                        lgt_error *err);
/* The index of the option called name[0..length), or -1. */
int cli_option_find(const cli_verb *verb, const char *name, size_t length);

#endif
