/* One block of memory handed out piece by piece, each aligned to a cache line. */
#ifndef LGT_ENGINE_CPU_ARENA_H
#define LGT_ENGINE_CPU_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/sizes.h"

/* With base NULL an arena only counts; `used` beyond LGT_ARENA_MOST means that the sum is too large for any memory. */
typedef struct lgt_arena {
    char *base;
    int64_t used;
} lgt_arena;

#define LGT_ARENA_MOST (INT64_MAX / 4096)

static inline void *lgt_arena_take(lgt_arena *arena, int64_t count, size_t size) {
    int64_t at = arena->used, bytes = 0;
    if (!lgt_count_mul(count, (int64_t)size, &bytes) || bytes > LGT_ARENA_MOST || at > LGT_ARENA_MOST) {
        arena->used = INT64_MAX - LGT_ALIGNMENT;
        return NULL;
    }
    arena->used = lgt_round_up(at + bytes, LGT_ALIGNMENT);
    return arena->base ? arena->base + at : NULL;
}

#endif
