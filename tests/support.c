/* What every test shares. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"

static int64_t live_blocks, allocations, fail_from;

int64_t test_live_blocks(void) {
    return live_blocks;
}
int64_t test_allocations(void) {
    return allocations;
}

static void *counted_allocate(void *user, size_t bytes) {
    void *block = NULL;
    (void)user;
    allocations++;
    if (fail_from && allocations >= fail_from) return NULL;
    if (posix_memalign(&block, 64, bytes)) return NULL;
    live_blocks++;
    return block;
}

static void counted_release(void *user, void *block) {
    (void)user;
    live_blocks--;
    free(block);
}

lgt_context *test_context(int threads) {
    lgt_context_options options;
    lgt_context *context = NULL;
    lgt_error err;
    lgt_context_options_init(&options);
    options.threads = threads;
    assert_ok(lgt_context_create(&options, &context, &err), err);
    return context;
}

lgt_context *test_context_failing(int64_t fail_at) {
    lgt_context_options options;
    lgt_context *context = NULL;
    lgt_error err;
    lgt_context_options_init(&options);
    options.threads = 1;
    options.allocator = (lgt_allocator){NULL, counted_allocate, counted_release};
    fail_from = 0;
    assert_ok(lgt_context_create(&options, &context, &err), err);
    allocations = 0;
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
