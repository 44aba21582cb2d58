/* What every test shares: cmocka, a context, random arrays from printed seeds, comparison with stated tolerances. */
#ifndef LGT_TESTS_SUPPORT_H
#define LGT_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "logitude/context.h"
#include "logitude/loss.h"
#include "logitude/types.h"

/* A context of that many threads; fails the test on error. Every context here keeps to the instruction set that
 * $LOGITUDE_TEST_ISA names (generic, avx2, avx512, avx512bf16, amx): so the same tests run on every level. */
lgt_context *test_context(int threads);
/* The same with no higher instruction set than `most`. */
lgt_context *test_context_on(int threads, lgt_isa most);

/* Defines `context`, of that many threads, and open_context and close_context, the set-up and tear-down of a group of
 * tests that share it. */
#define TEST_SHARED_CONTEXT(threads)                                                                                   \
    static lgt_context *context;                                                                                       \
    static int open_context(void **state) {                                                                            \
        (void)state;                                                                                                   \
        context = test_context(threads);                                                                               \
        return 0;                                                                                                      \
    }                                                                                                                  \
    static int close_context(void **state) {                                                                           \
        (void)state;                                                                                                   \
        lgt_context_free(context);                                                                                     \
        return 0;                                                                                                      \
    }

/* A context whose allocations from number `fail_at` (1 = the first after creation) on are refused; 0: never.
 * test_live_blocks tells how many blocks of such contexts are still held, test_allocations how many were asked for. */
lgt_context *test_context_failing(int64_t fail_at);
int64_t test_live_blocks(void);
int64_t test_allocations(void);
/* Bytes that contexts of test_context_counting hold; of those that fail, blocks alone are counted. */
lgt_context *test_context_counting(int threads);
int64_t test_live_bytes(void);
/* A context of one thread with an allocator of the test's own. */
lgt_context *test_context_with(lgt_allocator allocator);

/* Standard normal numbers of (seed, stream). */
void test_normal(double *out, int64_t count, uint64_t seed, uint64_t stream);
void test_normal_f32(float *out, int64_t count, uint64_t seed, uint64_t stream);
void test_labels(int64_t *out, int64_t count, int64_t n_classes, uint64_t seed);

/* The loss of a specification; fails the test on error. */
lgt_loss test_loss_of(const char *spec);

/* max |a - b| / max |b|, the max-norm relative error; 0 when both are all zero, infinite on a NaN. */
double test_relative_error(const double *a, const double *b, int64_t count);

/* Fails with the status and its message unless status is OK. */
#define assert_ok(status, err) test_assert_ok((status), &(err), __FILE__, __LINE__)
void test_assert_ok(lgt_status status, const lgt_error *err, const char *file, int line);

/* Fails unless status is as wanted and the message contains `part`. */
#define assert_fails(status, wanted, err, part)                                                                        \
    test_assert_fails((status), (wanted), &(err), (part), __FILE__, __LINE__)
void test_assert_fails(lgt_status status, lgt_status wanted, const lgt_error *err, const char *part, const char *file,
                       int line);

/* Fails, telling both numbers and what they are, unless value <= limit (NaN fails). */
#define assert_at_most(value, limit, what) test_assert_at_most((value), (limit), (what), __FILE__, __LINE__)
void test_assert_at_most(double value, double limit, const char *what, const char *file, int line);

#endif
