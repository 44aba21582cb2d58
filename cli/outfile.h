/* --out of predict and embed: a .npy file, a .csv file, or CSV on standard output. */
#ifndef LGT_CLI_OUTFILE_H
#define LGT_CLI_OUTFILE_H

#include <stdio.h>

#include "logitude/io.h"
#include "options.h"

typedef enum cli_format { CLI_OUT_STDOUT, CLI_OUT_CSV, CLI_OUT_NPY } cli_format;

/* Tells the format of --out by its suffix and checks, before any work, that the file can be made. With --json there is
 * no table on standard output: an explicit `-` is refused. */
lgt_status cli_out_open(const cli_args *args, cli_format *format, lgt_error *err);

/* Whether an output that is given (NULL: none) can be made: a file, or - that --json leaves free. `name`: "--out". */
lgt_status cli_output_check(const cli_args *args, const char *name, const char *path, lgt_error *err);

typedef void (*cli_csv_writer)(FILE *out, const void *table);

/* Writes CSV where --out says: standard output, or a file that appears whole or not at all. */
lgt_status cli_out_csv(lgt_context *context, const cli_args *args, cli_format format, cli_csv_writer write,
                       const void *table, lgt_error *err);

/* A field, quoted where RFC 4180 asks for it. */
void cli_csv_field(FILE *out, const char *text);

/* Whether a path, or the name of a tensor, ends in `suffix`; one that is nothing else does. */
int cli_ends_in(const char *text, const char *suffix);

/* FOLDER/NAME, to be freed. */
char *cli_path_join(const char *folder, const char *name);

/* Fail with IO unless the file, or the folder with its parents, could be made. */
lgt_status cli_file_check(const char *path, lgt_error *err);
lgt_status cli_folder_check(const char *path, lgt_error *err);
/* The same for a file in a folder that has passed: fails only when a folder stands in its place. */
lgt_status cli_member_check(const char *path, lgt_error *err);

#endif
