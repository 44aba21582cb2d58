/* Tensors and metadata to be written, in a list that borrows all it has. */
#ifndef LGT_CLI_TENSOR_LIST_H
#define LGT_CLI_TENSOR_LIST_H

#include "logitude/io.h"

/* Begins with {.list = {.n_tensors = 0}}; `list` is what writers take. */
typedef struct cli_tensor_list {
    lgt_tensor tensors[4];
    lgt_metadata metadata[8];
    lgt_tensors list;
} cli_tensor_list;

void cli_tensor_add(cli_tensor_list *to, const char *name, const lgt_array *array);
void cli_tensor_note(cli_tensor_list *to, const char *key, const char *value);

#endif
