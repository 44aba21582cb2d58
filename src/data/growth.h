/* Blocks that grow. */
#ifndef LGT_DATA_GROWTH_H
#define LGT_DATA_GROWTH_H

#include "logitude/context.h"

/* Makes sure that *block, which has *room bytes and keeps the first `used`, has room for `needed`: at least doubles it.
 * `block` points to the pointer (NULL with *room 0 at first). Errors: MEMORY, with everything as it was. */
lgt_status lgt_grow(lgt_context *context, void *block, size_t used, size_t *room, size_t needed, lgt_error *err);

#endif
