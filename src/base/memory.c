/* Aligned, checked allocation through the context's allocator. */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/sizes.h"

lgt_status lgt_alloc(lgt_context *context, int64_t count, size_t size, void *out, lgt_error *err) {
    size_t bytes = 0;
    void *block = NULL;
    if (count < 0 || (uint64_t)count > SIZE_MAX || !lgt_size_mul((size_t)count, size, &bytes) || bytes > PTRDIFF_MAX)
        return lgt_fail(err, LGT_ERR_MEMORY, "cannot allocate %lld elements of %zu bytes: the size overflows",
                        (long long)count, size);
    if (bytes == 0) bytes = 1;
    const lgt_allocator *a = &context->allocator;
    block = a->allocate(a->user, bytes);
    if (!block) return lgt_fail(err, LGT_ERR_MEMORY, "out of memory: %zu bytes were refused", bytes);
    memcpy(out, &block, sizeof block);
    return LGT_OK;
}

lgt_status lgt_alloc_zero(lgt_context *context, int64_t count, size_t size, void *out, lgt_error *err) {
    lgt_status status = lgt_alloc(context, count, size, out, err);
    if (status == LGT_OK) {
        void *block;
        memcpy(&block, out, sizeof block);
        memset(block, 0, (size_t)count * size);
    }
    return status;
}

lgt_status lgt_alloc_text(lgt_context *context, const char *text, char **out, lgt_error *err) {
    size_t bytes = strlen(text) + 1;
    lgt_status status = lgt_alloc(context, (int64_t)bytes, 1, out, err);
    if (status == LGT_OK) memcpy(*out, text, bytes);
    return status;
}

void lgt_release(lgt_context *context, void *block) {
    if (block) context->allocator.release(context->allocator.user, block);
}
