/* Help: of the program, and of a verb from its option table. */
#ifndef LGT_CLI_HELP_H
#define LGT_CLI_HELP_H

#include "options.h"

void cli_help_program(void);
void cli_help_verb(const cli_verb *verb);

/* Prints the words of text from column `column` on, in lines of 100, continued at column `left`; then a newline. */
void cli_print_wrapped(const char *text, int column, int left);

#endif
