/* Help: of the program, and of a verb from its option table. */
#ifndef LGT_CLI_HELP_H
#define LGT_CLI_HELP_H

#include "options.h"

/* What the program's help says beside its verbs, lines as they are printed; ended by a title NULL. */
typedef struct cli_help_section {
    const char *title, *lines;
} cli_help_section;
extern const cli_help_section cli_help_sections[];

/* A line of every verb's help, on - in place of a file. */
extern const char cli_help_streams[];

/* The option's help, then for example " [default: 128 rows; 1 to 1000000]". */
void cli_option_describe(const cli_option *option, char *out, size_t size);

void cli_help_program(void);
void cli_help_verb(const cli_verb *verb);

/* Prints the words of text from column `column` on, in lines of 100, continued at column `left`; then a newline. */
void cli_print_wrapped(const char *text, int column, int left);

#endif
