/* The inside of a context, for floor 0 alone; other rooms use memory.h, parallel.h and lgt_context_isa. */
#ifndef LGT_BASE_CONTEXT_H
#define LGT_BASE_CONTEXT_H

#include "logitude/context.h"

struct pthreadpool;

enum { LGT_MOST_THREADS = 1024 };

struct lgt_context {
    lgt_allocator allocator;
    int threads; /* the pool has as many, or fewer where some were refused */
    lgt_isa isa;
    int pool_tried;           /* the pool is made with the first parallel work */
    struct pthreadpool *pool; /* NULL: run on the caller's thread */
};

#endif
