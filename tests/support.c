/* What every test shares. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"

/* Before each counted block: its size. As much as the block's alignment. */
enum { HEADER = 64 };

static int64_t live_blocks, live_bytes, allocations, fail_from;

int64_t test_live_blocks(void) {
    return live_blocks;
}
int64_t test_allocations(void) {
    return allocations;
}

int64_t test_live_bytes(void) {
    return live_bytes;
}

static void *counted_allocate(void *user, size_t bytes) {
    void *block = NULL;
    (void)user;
    allocations++;
    if (fail_from && allocations >= fail_from) return NULL;
    if (posix_memalign(&block, HEADER, HEADER + bytes)) return NULL;
    memcpy(block, &bytes, sizeof bytes);
    live_blocks++, live_bytes += (int64_t)bytes;
    return (char *)block + HEADER;
}

static void counted_release(void *user, void *block) {
    (void)user;
    size_t bytes;
    char *start = (char *)block - HEADER;
    memcpy(&bytes, start, sizeof bytes);
    live_blocks--, live_bytes -= (int64_t)bytes;
    free(start);
}

/* `most`, or what the environment allows where that is lower. */
static lgt_isa allowed(lgt_isa most) {
    const char *name = getenv("LOGITUDE_TEST_ISA");
    if (!name || !*name) return most;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= LGT_ISA_AMX; isa++)
        if (strcmp(name, lgt_isa_name(isa)) == 0) return isa < most ? isa : most;
    fail_msg("LOGITUDE_TEST_ISA is '%s', expected generic, avx2, avx512, avx512bf16 or amx", name);
    return most;
}

static lgt_context *context_of(lgt_context_options *options) {
    lgt_context *context = NULL;
    lgt_error err;
    options->max_isa = allowed(options->max_isa);
    assert_ok(lgt_context_create(options, &context, &err), err);
    return context;
}

lgt_context *test_context_on(int threads, lgt_isa most) {
    lgt_context_options options;
    lgt_context_options_init(&options);
    options.threads = threads;
    options.max_isa = most;
    return context_of(&options);
}

lgt_context *test_context(int threads) {
    return test_context_on(threads, LGT_ISA_BEST);
}

static lgt_context *context_with(int threads, lgt_allocator allocator) {
    lgt_context_options options;
    lgt_context_options_init(&options);
    options.threads = threads;
    options.allocator = allocator;
    return context_of(&options);
}

lgt_context *test_context_with(lgt_allocator allocator) {
    return context_with(1, allocator);
}

lgt_context *test_context_counting(int threads) {
    fail_from = 0;
    lgt_context *context = context_with(threads, (lgt_allocator){NULL, counted_allocate, counted_release});
    allocations = 0;
    return context;
}

lgt_context *test_context_failing(int64_t fail_at) {
    lgt_context *context = test_context_counting(1);
    fail_from = fail_at;
    return context;
}

void test_normal(double *out, int64_t count, uint64_t seed, uint64_t stream) {
    lgt_rng rng = {seed, stream};
    for (int64_t i = 0; i < count; i++) out[i] = lgt_rng_normal(&rng, (uint64_t)i);
}

void test_normal_f32(float *out, int64_t count, uint64_t seed, uint64_t stream) {
    lgt_rng rng = {seed, stream};
    for (int64_t i = 0; i < count; i++) out[i] = (float)lgt_rng_normal(&rng, (uint64_t)i);
}

void test_labels(int64_t *out, int64_t count, int64_t n_classes, uint64_t seed) {
    lgt_rng rng = {seed, 77};
    for (int64_t i = 0; i < count; i++) out[i] = (int64_t)lgt_rng_below(&rng, (uint64_t)i, (uint64_t)n_classes);
}

lgt_loss test_loss_of(const char *spec) {
    lgt_loss loss;
    lgt_error err;
    assert_ok(lgt_loss_parse(spec, &loss, &err), err);
    return loss;
}

double test_relative_error(const double *a, const double *b, int64_t count) {
    double worst = 0, scale = 0;
    for (int64_t i = 0; i < count; i++) {
        double error = fabs(a[i] - b[i]);
        if (!isfinite(error)) return INFINITY;
        if (error > worst) worst = error;
        if (fabs(b[i]) > scale) scale = fabs(b[i]);
    }
    return worst == 0 ? 0 : worst / scale;
}

void test_assert_ok(lgt_status status, const lgt_error *err, const char *file, int line) {
    if (status == LGT_OK) return;
    print_error("status %s: %s\n", lgt_status_name(status), err->message);
    _fail(file, line);
}

void test_assert_fails(lgt_status status, lgt_status wanted, const lgt_error *err, const char *part, const char *file,
                       int line) {
    if (status == wanted && strstr(err->message, part)) return;
    print_error("status %s (wanted %s), message \"%s\" (wanted \"%s\")\n", lgt_status_name(status),
                lgt_status_name(wanted), status ? err->message : "", part);
    _fail(file, line);
}

void test_assert_at_most(double value, double limit, const char *what, const char *file, int line) {
    if (value <= limit) return;
    print_error("%s is %.3g, expected at most %.3g\n", what, value, limit);
    _fail(file, line);
}
