/* Contexts: defaults, creation, and what they say of themselves. */
#define _DEFAULT_SOURCE /* madvise */
#include "base/context.h"

#include <pthreadpool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/memory.h"

/* Large blocks ask for large pages: matrices are read row by row, and a walk through the page tables every other row
 * would cost more than the row. What is no whole page stays as it is. */
static void *system_allocate(void *user, size_t bytes) {
    enum { LARGE_PAGE = 2 << 20 };
    void *block = NULL;
    size_t whole = bytes / LARGE_PAGE * LARGE_PAGE;
    (void)user;
    if (posix_memalign(&block, whole ? LARGE_PAGE : LGT_ALIGNMENT, bytes)) return NULL;
#if defined(MADV_HUGEPAGE)
    if (whole) (void)madvise(block, whole, MADV_HUGEPAGE); /* advice: a refusal changes nothing */
#endif
    return block;
}

static void system_release(void *user, void *block) {
    (void)user;
    free(block);
}

void lgt_context_options_init(lgt_context_options *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
    options->max_isa = LGT_ISA_BEST;
}

static lgt_status check_options(const lgt_context_options *o, lgt_error *err) {
    if (o->struct_size != sizeof *o)
        return lgt_fail(err, LGT_ERR_USAGE, "lgt_context_options has struct_size %zu, expected %zu: call its _init",
                        o->struct_size, sizeof *o);
    if (o->threads < 0 || o->threads > LGT_MOST_THREADS)
        return lgt_fail(err, LGT_ERR_USAGE, "threads is %d, expected 0 to %d", o->threads, LGT_MOST_THREADS);
    if (!o->allocator.allocate != !o->allocator.release)
        return lgt_fail(err, LGT_ERR_USAGE, "an allocator needs both allocate and release");
    return LGT_OK;
}

lgt_status lgt_context_create(const lgt_context_options *options, lgt_context **out, lgt_error *err) {
    lgt_context_options o;
    lgt_context_options_init(&o);
    if (options) {
        lgt_status status = check_options(options, err);
        if (status) return status;
        o = *options;
    }
    if (!o.allocator.allocate) o.allocator = (lgt_allocator){NULL, system_allocate, system_release};
    lgt_context *context = o.allocator.allocate(o.allocator.user, sizeof *context);
    if (!context) return lgt_fail(err, LGT_ERR_MEMORY, "out of memory: a context was refused");
    *context = (lgt_context){.allocator = o.allocator};
    context->threads = o.threads ? o.threads : lgt_cpu_count(LGT_MOST_THREADS);
    context->isa = lgt_cpu_best_isa();
    if (o.max_isa < context->isa) context->isa = o.max_isa;
    *out = context;
    return lgt_succeed(err);
}

void lgt_context_free(lgt_context *context) {
    if (!context) return;
    lgt_allocator a = context->allocator;
    if (context->pool) pthreadpool_destroy(context->pool);
    a.release(a.user, context);
}

int lgt_context_threads(const lgt_context *context) {
    return context->threads;
}

lgt_isa lgt_context_isa(const lgt_context *context) {
    return context->isa;
}

const char *lgt_isa_name(lgt_isa isa) {
    switch (isa) {
    case LGT_ISA_GENERIC:
        return "generic";
    case LGT_ISA_AVX2:
        return "avx2";
    case LGT_ISA_AVX512:
        return "avx512";
    case LGT_ISA_AVX512BF16:
        return "avx512bf16";
    case LGT_ISA_AMX:
        return "amx";
    case LGT_ISA_BEST:
        return "best";
    }
    return "unknown";
}
