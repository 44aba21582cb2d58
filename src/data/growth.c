/* Blocks that grow. */
#include "data/growth.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

lgt_status lgt_grow(lgt_context *context, void *block, size_t used, size_t *room, size_t needed, lgt_error *err) {
    void *old, *larger = NULL;
    if (needed <= *room) return LGT_OK;
    size_t wanted = *room > PTRDIFF_MAX / 2 || 2 * *room < needed ? needed : 2 * *room;
    if (wanted > PTRDIFF_MAX) return lgt_fail(err, LGT_ERR_MEMORY, "out of memory: %zu bytes were wanted", wanted);
    lgt_status status = lgt_alloc(context, (int64_t)wanted, 1, &larger, err);
    if (status) return status;
    memcpy(&old, block, sizeof old);
    if (used) memcpy(larger, old, used);
    lgt_release(context, old);
    memcpy(block, &larger, sizeof larger);
    *room = wanted;
    return LGT_OK;
}
