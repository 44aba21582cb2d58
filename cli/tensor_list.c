/* Tensors and metadata to be written, in a list that borrows all it has. */
#include "tensor_list.h"

void cli_tensor_add(cli_tensor_list *to, const char *name, const lgt_array *array) {
    to->tensors[to->list.n_tensors++] = (lgt_tensor){.name = (char *)(uintptr_t)name, .array = *array};
    to->list.tensors = to->tensors;
}

void cli_tensor_note(cli_tensor_list *to, const char *key, const char *value) {
    to->metadata[to->list.n_metadata++] = (lgt_metadata){(char *)(uintptr_t)key, (char *)(uintptr_t)value};
    to->list.metadata = to->metadata;
}
