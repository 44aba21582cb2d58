/* "Did you mean": the candidate nearest to a misspelt word. */
#ifndef LGT_CLI_NEAREST_H
#define LGT_CLI_NEAREST_H

/* Start as {.word = ...}, try every candidate, then ask for the hint. */
typedef struct cli_nearest {
    const char *word, *best;
    int distance;
    char hint[96];
} cli_nearest;

void cli_nearest_try(cli_nearest *nearest, const char *candidate);

/* The same of an option's name, which is also found by what other programs call the option. */
void cli_nearest_try_option(cli_nearest *nearest, const char *name);

/* "; did you mean 'PREFIXbest'?", or "" when nothing was near enough. */
const char *cli_nearest_hint(cli_nearest *nearest, const char *prefix);

#endif
