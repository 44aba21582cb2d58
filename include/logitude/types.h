/* Element types, non-owning matrix views, and watches of long passes. */
#ifndef LOGITUDE_TYPES_H
#define LOGITUDE_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Pinned and append-only. Heads compute in F32 and F64; the others occur in files. */
typedef enum lgt_dtype { LGT_F32 = 0, LGT_F64 = 1, LGT_F16 = 2, LGT_U8 = 3, LGT_I32 = 4, LGT_I64 = 5 } lgt_dtype;

/* Bytes of one element; 0 for a number outside the list. */
LGT_API size_t lgt_dtype_size(lgt_dtype dtype);

/* "f32", "f64", "f16", "u8", "i32", "i64"; "unknown" outside the list. */
LGT_API const char *lgt_dtype_name(lgt_dtype dtype);

/* A matrix that is read, never written and never owned: element (i, j) lies at data[i * ld + j], counted in elements.
 * ld >= cols. A view whose data is NULL means "not given". */
typedef struct lgt_view {
    const void *data;
    int64_t rows, cols, ld;
    lgt_dtype dtype;
} lgt_view;

/* A matrix that is written. Same layout as lgt_view; data NULL means "not wanted". */
typedef struct lgt_mut {
    void *data;
    int64_t rows, cols, ld;
    lgt_dtype dtype;
} lgt_mut;

/* Contiguous row-major views of the caller's arrays. */
static inline lgt_view lgt_view_of(const void *data, int64_t rows, int64_t cols, lgt_dtype dtype) {
    lgt_view view;
    view.data = data;
    view.rows = rows;
    view.cols = cols;
    view.ld = cols;
    view.dtype = dtype;
    return view;
}

static inline lgt_mut lgt_mut_of(void *data, int64_t rows, int64_t cols, lgt_dtype dtype) {
    lgt_mut mut;
    mut.data = data;
    mut.rows = rows;
    mut.cols = cols;
    mut.ld = cols;
    mut.dtype = dtype;
    return mut;
}

/* Called before every block of a long pass, n_done of its n_all rows, or pairs of rows, being done; not 0: stop there.
 * With ranks all call it, and must be answered alike. */
typedef int (*lgt_pass_watch)(void *user, int64_t n_done, int64_t n_all);

#ifdef __cplusplus
}
#endif

#endif
