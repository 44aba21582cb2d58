/* Element types: sizes and names. */
#include "logitude/types.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [LGT_F32] = {"f32", 4}, [LGT_F64] = {"f64", 8}, [LGT_F16] = {"f16", 2},
    [LGT_U8] = {"u8", 1},   [LGT_I32] = {"i32", 4}, [LGT_I64] = {"i64", 8},
};

static int known(lgt_dtype dtype) {
    return (int)dtype >= 0 && (size_t)dtype < sizeof dtypes / sizeof *dtypes;
}

size_t lgt_dtype_size(lgt_dtype dtype) {
    return known(dtype) ? dtypes[dtype].size : 0;
}

const char *lgt_dtype_name(lgt_dtype dtype) {
    return known(dtype) ? dtypes[dtype].name : "unknown";
}
