/* What reader and writer of safetensors share: type names, and which names tensors may have. */
#include "data/tensor_types.h"

#include <string.h>

static const char *const names[] = {
    [LGT_F32] = "F32", [LGT_F64] = "F64", [LGT_F16] = "F16", [LGT_U8] = "U8", [LGT_I32] = "I32", [LGT_I64] = "I64"};

enum { N_NAMES = sizeof names / sizeof *names };

const char *lgt_tensor_type_name(lgt_dtype dtype) {
    return (int)dtype >= 0 && (int)dtype < N_NAMES ? names[dtype] : NULL;
}

int lgt_tensor_type_find(const char *name, lgt_dtype *out) {
    static const char *const others[] = {"BOOL",    "I8",      "U16",     "I16",     "U32", "U64", "BF16",
                                         "F8_E4M3", "F8_E5M2", "F8_E8M0", "F6_E2M3", "F4",  "C64", "F6_E3M2"};
    for (int i = 0; i < N_NAMES; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *out = (lgt_dtype)i;
        return 1;
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(name, others[i]) == 0) return -1;
    return 0;
}

int lgt_tensor_name_valid(const char *name, size_t length) {
    if (length > LGT_TENSORS_NAME_LIMIT) return 0;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7F) return 0;
    return 1;
}
