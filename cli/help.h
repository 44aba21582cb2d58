/* Help: of the program, and of a verb from its option table. */
#ifndef LGT_CLI_HELP_H
#define LGT_CLI_HELP_H

#include "options.h"

void cli_help_program(void);
void cli_help_verb(const cli_verb *verb);

#endif
