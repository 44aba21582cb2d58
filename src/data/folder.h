/* Folders and what they hold: numbered files, and what writers that died left behind. */
#ifndef LGT_DATA_FOLDER_H
#define LGT_DATA_FOLDER_H

#include <stdint.h>

#include "logitude/context.h"

/* The numbers of the files PREFIX<digits>SUFFIX in a folder, rising, to be released; none where there is no folder.
 * Errors: IO, MEMORY. */
lgt_status lgt_folder_numbers(lgt_context *context, const char *folder, const char *prefix, const char *suffix,
                              int64_t **out, int64_t *count, lgt_error *err);

/* Removes temporary files of lgt_output_open that no process writes any more; what cannot be removed stays, and so does
 * what has this process's number. */
void lgt_folder_tidy(const char *folder);

/* Whether there is a folder of this name. */
int lgt_is_folder(const char *path);

/* One that is not there is fine. Errors: IO. */
lgt_status lgt_file_remove(const char *path, lgt_error *err);

#endif
