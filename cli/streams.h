/* `-` in place of a file: standard input, or standard output. */
#ifndef LGT_CLI_STREAMS_H
#define LGT_CLI_STREAMS_H

#include <stdio.h>

#include "options.h"

/* What the library knows them by. */
#define CLI_STDIN  "/dev/stdin"
#define CLI_STDOUT "/dev/stdout"

/* The same name, or for - that of standard input or output. */
const char *cli_input_name(const char *path);
const char *cli_output_name(const char *path);

/* Whether an output (NULL: none) goes to standard output. */
int cli_is_stdout(const char *path);

/* Puts CLI_STDIN in place of every - that is a file to read. Errors: USAGE where standard input is wanted twice, or by
 * ranks of which only the first has it, and for - in place of a folder. */
lgt_status cli_streams_resolve(cli_args *args, lgt_error *err);

/* fopen to read and fclose of a file that may be standard input. */
FILE *cli_file_open(const char *path);
void cli_file_close(FILE *file);

/* What writing to standard output itself came to: a reader who has left is no failure. */
lgt_status cli_stdout_status(lgt_status status);

#endif
