/* The context: one per user of the library. It owns the thread pool, the allocator and the choice of kernels. */
#ifndef LOGITUDE_CONTEXT_H
#define LOGITUDE_CONTEXT_H

#include <stddef.h>

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lgt_context lgt_context;

/* Instruction sets the kernels are compiled for, each containing the one before. */
typedef enum lgt_isa {
    LGT_ISA_GENERIC = 0,
    LGT_ISA_AVX2 = 1,       /* with FMA */
    LGT_ISA_AVX512 = 2,     /* F, DQ, BW and VL */
    LGT_ISA_AVX512BF16 = 3, /* and AVX512_BF16, pairs of bfloat16 */
    LGT_ISA_AMX = 4,        /* and tiles of bfloat16 and bytes, where the system grants them; with AVX512_VBMI */
    LGT_ISA_BEST = 1000
} lgt_isa;

/* The caller's own memory. allocate returns a block aligned to 64 bytes, or NULL; release takes what allocate gave.
 * Both may be called from the thread that calls the library only. */
typedef struct lgt_allocator {
    void *user;
    void *(*allocate)(void *user, size_t bytes);
    void (*release)(void *user, void *block);
} lgt_allocator;

typedef struct lgt_context_options {
    size_t struct_size;      /* set by _init */
    int threads;             /* 1 .. 1024; 0 (default): as many as the process may run on */
    lgt_isa max_isa;         /* the highest instruction set to use; default LGT_ISA_BEST */
    lgt_allocator allocator; /* default: all NULL, the C library's memory */
} lgt_context_options;

LGT_API void lgt_context_options_init(lgt_context_options *options);

/* Creates a context; options may be NULL for the defaults. The threads start with the first parallel work; if the
 * system refuses them the same work runs on fewer, with the same bits.
 * Errors: USAGE (threads outside 0..1024), MEMORY. */
LGT_API lgt_status lgt_context_create(const lgt_context_options *options, lgt_context **out, lgt_error *err);

/* Frees a context after all objects made with it; NULL is allowed. */
LGT_API void lgt_context_free(lgt_context *context);

/* The most threads that work is spread over: those asked for, whether or not the system gives them all when work
 * begins. Results never depend on it. */
LGT_API int lgt_context_threads(const lgt_context *context);

/* The instruction set in use: the best the processor and the operating system offer within max_isa. */
LGT_API lgt_isa lgt_context_isa(const lgt_context *context);

/* "generic", "avx2", "avx512", "avx512bf16", "amx". */
LGT_API const char *lgt_isa_name(lgt_isa isa);

#ifdef __cplusplus
}
#endif

#endif
