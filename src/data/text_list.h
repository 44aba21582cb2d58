/* A list of texts as one JSON text, for lists inside metadata. */
#ifndef LGT_DATA_TEXT_LIST_H
#define LGT_DATA_TEXT_LIST_H

#include "logitude/context.h"

#include <stdint.h>

/* *out is to be released. Errors: DATA naming the first text that is not UTF-8, MEMORY. */
lgt_status lgt_text_list_format(lgt_context *context, char *const *texts, int64_t count, char **out, lgt_error *err);

/* Reads back exactly `count` texts into texts[0..count), each to be released; on an error none is left. Errors: DATA
 * for anything but a JSON list of so many texts, MEMORY. */
lgt_status lgt_text_list_parse(lgt_context *context, const char *json, int64_t count, char **texts, lgt_error *err);

#endif
