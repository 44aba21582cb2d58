/* Aligned, checked allocation through the context's allocator. */
#ifndef LGT_BASE_MEMORY_H
#define LGT_BASE_MEMORY_H

#include "logitude/context.h"

#include <stdint.h>

/* Every block is aligned to this: a cache line, and the widest vector register. */
#define LGT_ALIGNMENT 64

/* count * size bytes, not initialised; never NULL on success, also for 0 bytes. Errors: MEMORY (wrap or refusal). */
lgt_status lgt_alloc(lgt_context *context, int64_t count, size_t size, void *out, lgt_error *err);

/* The same, filled with zero bytes. */
lgt_status lgt_alloc_zero(lgt_context *context, int64_t count, size_t size, void *out, lgt_error *err);

/* A copy of a string. */
lgt_status lgt_alloc_text(lgt_context *context, const char *text, char **out, lgt_error *err);

/* Releases what lgt_alloc gave; NULL is allowed. */
void lgt_release(lgt_context *context, void *block);

/* allocate count objects of the type that `pointer` points to:  LGT_NEW(context, &p, n, err) */
#define LGT_NEW(context, pointer, count, err) lgt_alloc((context), (count), sizeof **(pointer), (pointer), (err))
#define LGT_NEW_ZERO(context, pointer, count, err)                                                                     \
    lgt_alloc_zero((context), (count), sizeof **(pointer), (pointer), (err))

#endif
