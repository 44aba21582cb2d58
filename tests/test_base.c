/* The ground floor: random numbers, memory, errors, contexts, loops over threads, sizes. */
#include "support.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "base/sizes.h"

/* ---- random numbers ---- */

/* The known answers published with Random123 (kat_vectors, philox 4x32, 10 rounds). */
static void philox_gives_the_published_answers(void **state) {
    static const struct {
        uint32_t counter[4], key[2], wanted[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t out[4];
        lgt_philox4x32(cases[i].counter, cases[i].key, out);
        assert_memory_equal(out, cases[i].wanted, sizeof out);
    }
}

/* Number i comes from the block (i, stream) under the key seed; every half of the three words counts. */
static void bits_are_the_first_half_of_their_block(void **state) {
    lgt_rng rng = {0x299f31d0a4093822, 0x0370734413198a2e};
    (void)state;
    assert_true(lgt_rng_bits(&rng, 0x85a308d3243f6a88) == 0x94fdccebd16cfe09);
    uint64_t bits = lgt_rng_bits(&rng, 7);
    assert_true(lgt_rng_uniform(&rng, 7) == (double)(bits >> 11) / 9007199254740992.0);
}

enum { DRAWS = 200000 };

static void uniform_numbers_have_the_moments_of_a_uniform(void **state) {
    lgt_rng rng = {1, 2}, other = {1, 3};
    double mean = 0, square = 0, serial = 0, between = 0, last = 0;
    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double u = lgt_rng_uniform(&rng, i);
        assert_true(u >= 0 && u < 1);
        double v = (u - 0.5) * sqrt(12);
        mean += v, square += v * v, serial += v * last;
        between += v * (lgt_rng_uniform(&other, i) - 0.5) * sqrt(12);
        last = v;
    }
    /* Five standard deviations of each mean over independent draws: 1/sqrt(n), and sqrt(9/5 - 1) for the square. */
    double five = 5 / sqrt(DRAWS);
    assert_at_most(fabs(mean / DRAWS), five, "the mean");
    assert_at_most(fabs(square / DRAWS - 1), five * sqrt(0.8), "the variance less 1");
    assert_at_most(fabs(serial / DRAWS), five, "the serial correlation");
    assert_at_most(fabs(between / DRAWS), five, "the correlation of two streams");
}

static void normal_numbers_have_the_moments_of_a_normal(void **state) {
    lgt_rng rng = {3, 4};
    double moment[5] = {0};
    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double z = lgt_rng_normal(&rng, i), power = 1;
        assert_true(isfinite(z));
        for (int k = 1; k <= 4; k++) moment[k] += (power *= z) / DRAWS;
    }
    /* Five standard deviations: the variances of z, z^2, z^3, z^4 are 1, 2, 15, 96. */
    double five = 5 / sqrt(DRAWS);
    assert_at_most(fabs(moment[1]), five, "the mean");
    assert_at_most(fabs(moment[2] - 1), five * sqrt(2), "the variance less 1");
    assert_at_most(fabs(moment[3]), five * sqrt(15), "the third moment");
    assert_at_most(fabs(moment[4] - 3), five * sqrt(96), "the fourth moment less 3");
}

/* floor(bits n / 2^64) is known exactly for these n, and their halves carry into each other. */
static void numbers_below_n_are_the_high_half_of_the_product(void **state) {
    lgt_rng rng = {5, 6};
    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t bits = lgt_rng_bits(&rng, i), high = bits >> 32, low = bits & 0xffffffff;
        assert_true(lgt_rng_below(&rng, i, 1) == 0);
        for (int k = 1; k < 64; k++) assert_true(lgt_rng_below(&rng, i, UINT64_C(1) << k) == bits >> (64 - k));
        assert_true(lgt_rng_below(&rng, i, UINT64_MAX) == bits - (bits > 0));
        assert_true(lgt_rng_below(&rng, i, UINT64_MAX << 32) == bits - high - (low > 0));
    }
}

static void numbers_below_n_are_even(void **state) {
    lgt_rng rng = {7, 8};
    int count[6] = {0};
    (void)state;
    for (uint64_t i = 0; i < 60000; i++) {
        uint64_t value = lgt_rng_below(&rng, i, 6);
        assert_true(value < 6);
        count[value]++;
    }
    for (int i = 0; i < 6; i++) assert_in_range(count[i], 10000 - 457, 10000 + 457); /* five standard deviations */
}

static void a_permutation_holds_every_index_once(void **state) {
    static const int64_t sizes[] = {0, 1, 2, 3, 100, 10007};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t n = sizes[s], order[10008], seen[10008] = {0};
        lgt_rng rng = {9, 10};
        order[n] = -7;
        lgt_rng_permutation(&rng, n, order);
        assert_int_equal(order[n], -7);
        for (int64_t i = 0; i < n; i++) {
            assert_true(order[i] >= 0 && order[i] < n);
            assert_int_equal(seen[order[i]]++, 0);
        }
    }
}

static void a_permutation_differs_by_seed_and_by_stream(void **state) {
    static const lgt_rng rngs[] = {{1, 1}, {2, 1}, {1, 2}, {1 + (UINT64_C(1) << 32), 1}, {1, 1 + (UINT64_C(1) << 32)}};
    enum { N = 50, RNGS = sizeof rngs / sizeof *rngs };
    int64_t order[RNGS][N], again[N];
    (void)state;
    for (int a = 0; a < RNGS; a++) {
        lgt_rng_permutation(&rngs[a], N, order[a]);
        lgt_rng_permutation(&rngs[a], N, again);
        assert_memory_equal(order[a], again, sizeof again);
        for (int b = 0; b < a; b++) assert_memory_not_equal(order[a], order[b], sizeof again);
    }
}

static void the_six_permutations_of_three_are_equally_likely(void **state) {
    int count[27] = {0};
    (void)state;
    for (uint64_t seed = 0; seed < 6000; seed++) {
        int64_t order[3];
        lgt_rng rng = {seed, 11};
        lgt_rng_permutation(&rng, 3, order);
        count[order[0] * 9 + order[1] * 3 + order[2]]++;
    }
    static const int codes[] = {5, 7, 11, 15, 19, 21}; /* 012 021 102 120 201 210 in base three */
    for (int i = 0; i < 6; i++) assert_in_range(count[codes[i]], 1000 - 145, 1000 + 145); /* five deviations */
}

/* ---- sizes ---- */

static void size_products_and_sums_refuse_to_wrap(void **state) {
    size_t out = 0, half = SIZE_MAX / 2 + 1;
    int64_t count = 0;
    (void)state;
    assert_true(lgt_size_mul(SIZE_MAX, 1, &out) && out == SIZE_MAX);
    assert_true(lgt_size_mul(0, SIZE_MAX, &out) && out == 0);
    assert_true(lgt_size_mul(SIZE_MAX, 0, &out) && out == 0);
    assert_false(lgt_size_mul(half, 2, &out));
    assert_false(lgt_size_mul(2, half, &out));
    assert_true(lgt_size_mul(half - 1, 2, &out) && out == SIZE_MAX - 1);
    assert_true(lgt_size_add(SIZE_MAX, 0, &out) && out == SIZE_MAX);
    assert_true(lgt_size_add(half, half - 1, &out) && out == SIZE_MAX);
    assert_false(lgt_size_add(half, half, &out));
    assert_true(lgt_count_mul(INT64_MAX, 1, &count) && count == INT64_MAX);
    assert_true(lgt_count_mul(0, INT64_MAX, &count) && count == 0);
    assert_true(lgt_count_mul(3037000499, 3037000499, &count) && count == INT64_C(9223372030926249001));
    assert_false(lgt_count_mul(3037000500, 3037000500, &count));
    assert_false(lgt_count_mul(-1, 1, &count));
    assert_false(lgt_count_mul(1, -1, &count));
}

static void parts_cover_a_count_and_the_longer_ones_come_first(void **state) {
    (void)state;
    for (int64_t count = 0; count < 40; count++)
        for (int64_t parts = 1; parts < 20; parts++) {
            assert_int_equal(lgt_part_begin(count, parts, 0), 0);
            for (int64_t k = 0; k < parts; k++)
                assert_int_equal(lgt_part_begin(count, parts, k + 1) - lgt_part_begin(count, parts, k),
                                 count / parts + (k < count % parts));
        }
}

static void divisions_round_up_without_wrapping(void **state) {
    (void)state;
    assert_true(lgt_ceil_div(0, 64) == 0 && lgt_ceil_div(1, 64) == 1);
    assert_true(lgt_ceil_div(64, 64) == 1 && lgt_ceil_div(65, 64) == 2);
    assert_true(lgt_ceil_div(INT64_MAX, 2) == INT64_C(1) << 62);
    assert_true(lgt_ceil_div(INT64_MAX, 1) == INT64_MAX);
    assert_true(lgt_round_up(0, 8) == 0 && lgt_round_up(1, 8) == 8 && lgt_round_up(8, 8) == 8);
    assert_true(lgt_round_up(INT64_MAX - 7, 8) == INT64_MAX - 7);
    assert_true(lgt_min64(-1, 1) == -1 && lgt_max64(-1, 1) == 1);
}

/* ---- errors ---- */

typedef struct guarded {
    lgt_error err;
    char guard[8];
} guarded;

static void an_error_message_is_cut_within_its_record(void **state) {
    guarded g;
    char text[2000];
    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    for (int within = 0; within <= 1; within++) {
        memset(&g, 0x5a, sizeof g);
        g.err.message[0] = '\0';
        lgt_status status =
            within ? lgt_fail_within(&g.err, LGT_ERR_DATA, "%s", text) : lgt_fail(&g.err, LGT_ERR_DATA, "%s", text);
        assert_int_equal(status, LGT_ERR_DATA);
        assert_int_equal(g.err.status, LGT_ERR_DATA);
        assert_int_equal(strlen(g.err.message), sizeof g.err.message - 1);
        for (size_t i = 0; i < sizeof g.guard; i++) assert_int_equal(g.guard[i], 0x5a);
    }
}

/* `length` letters in front of a message, around the length where no room is left for it. */
static void check_prefix(int length) {
    guarded g;
    char text[600];
    memset(&g, 0x5a, sizeof g);
    memset(text, 'y', sizeof text);
    lgt_fail(&g.err, LGT_ERR_IO, "%s", "row 7");
    lgt_fail_within(&g.err, LGT_ERR_IO, "%.*s", length, text);
    int room = (int)sizeof g.err.message - 1, kept = length < room ? length : room, left = room - kept;
    assert_memory_equal(g.err.message, text, (size_t)kept);
    char rest[6] = "row 7";
    if (left < 5) rest[left] = '\0';
    assert_string_equal(g.err.message + kept, rest);
    for (size_t i = 0; i < sizeof g.guard; i++) assert_int_equal(g.guard[i], 0x5a);
}

static void a_longer_message_goes_in_front_of_the_one_there(void **state) {
    lgt_error err;
    (void)state;
    lgt_fail(&err, LGT_ERR_IO, "row %d", 7);
    assert_int_equal(lgt_fail_within(&err, LGT_ERR_DATA, "%s: ", "a.npy"), LGT_ERR_DATA);
    assert_string_equal(err.message, "a.npy: row 7");
    assert_int_equal(err.status, LGT_ERR_DATA);
    for (int length = 495; length <= 525; length++) check_prefix(length);
}

static void an_error_record_may_be_missing_and_is_emptied_by_success(void **state) {
    lgt_error err;
    (void)state;
    assert_int_equal(lgt_fail(NULL, LGT_ERR_IO, "x"), LGT_ERR_IO);
    assert_int_equal(lgt_fail_within(NULL, LGT_ERR_IO, "x"), LGT_ERR_IO);
    assert_int_equal(lgt_succeed(NULL), LGT_OK);
    lgt_fail(&err, LGT_ERR_IO, "x");
    assert_int_equal(lgt_succeed(&err), LGT_OK);
    assert_int_equal(err.status, LGT_OK);
    assert_string_equal(err.message, "");
}

static void numbers_outside_the_lists_have_the_name_unknown(void **state) {
    (void)state;
    assert_string_equal(lgt_status_name(LGT_OK), "ok");
    assert_string_equal(lgt_status_name(LGT_ERR_INTERRUPTED), "interrupted");
    assert_string_equal(lgt_status_name(LGT_ERR_COMM), "comm");
    assert_string_equal(lgt_status_name((lgt_status)11), "unknown");
    assert_string_equal(lgt_status_name((lgt_status)-1), "unknown");
    assert_string_equal(lgt_dtype_name(LGT_I64), "i64");
    assert_string_equal(lgt_dtype_name((lgt_dtype)6), "unknown");
    assert_string_equal(lgt_dtype_name((lgt_dtype)-1), "unknown");
    assert_int_equal(lgt_dtype_size(LGT_F16), 2);
    assert_int_equal(lgt_dtype_size((lgt_dtype)6), 0);
    assert_string_equal(lgt_isa_name((lgt_isa)77), "unknown");
}

/* ---- contexts and memory ---- */

static void *refuse(void *user, size_t bytes) {
    (void)user, (void)bytes;
    return NULL;
}

static void release_nothing(void *user, void *block) {
    (void)user, (void)block;
}

static void context_options_out_of_bounds_are_refused_by_name(void **state) {
    lgt_context_options options;
    lgt_context *context = NULL;
    lgt_error err;
    (void)state;
    lgt_context_options_init(&options);
    options.struct_size--;
    assert_fails(lgt_context_create(&options, &context, &err), LGT_ERR_USAGE, err, "struct_size");
    lgt_context_options_init(&options);
    options.threads = -1;
    assert_fails(lgt_context_create(&options, &context, &err), LGT_ERR_USAGE, err, "threads is -1");
    options.threads = 1025;
    assert_fails(lgt_context_create(&options, &context, &err), LGT_ERR_USAGE, err, "threads is 1025");
    options.threads = 1024;
    options.allocator.allocate = refuse;
    assert_fails(lgt_context_create(&options, &context, &err), LGT_ERR_USAGE, err, "both allocate and release");
    options.allocator = (lgt_allocator){NULL, NULL, release_nothing};
    assert_fails(lgt_context_create(&options, &context, &err), LGT_ERR_USAGE, err, "both allocate and release");
    options.allocator.allocate = refuse;
    assert_fails(lgt_context_create(&options, &context, &err), LGT_ERR_MEMORY, err, "out of memory");
    assert_null(context);
    options.allocator = (lgt_allocator){NULL, NULL, NULL};
    assert_ok(lgt_context_create(&options, &context, &err), err);
    assert_string_equal(err.message, "");
    assert_int_equal(lgt_context_threads(context), 1024);
    lgt_context_free(context);
    lgt_context_free(NULL);
}

static void a_context_without_options_takes_what_the_machine_offers(void **state) {
    lgt_context *context = NULL;
    lgt_error err;
    (void)state;
    assert_ok(lgt_context_create(NULL, &context, &err), err);
    assert_int_equal(lgt_context_threads(context), lgt_cpu_count(1024));
    assert_int_equal(lgt_context_isa(context), lgt_cpu_best_isa());
    assert_true(lgt_cpu_count(1024) >= 1);
    assert_int_equal(lgt_cpu_count(1), 1);
    lgt_context_free(context);
}

static void a_context_never_exceeds_the_instruction_set_it_is_given(void **state) {
    static const lgt_isa isas[] = {LGT_ISA_GENERIC,    LGT_ISA_AVX2, LGT_ISA_AVX512,
                                   LGT_ISA_AVX512BF16, LGT_ISA_AMX,  LGT_ISA_BEST};
    static const char *const names[] = {"generic", "avx2", "avx512", "avx512bf16", "amx"};
    (void)state;
    for (int i = 0; i < 6; i++) {
        lgt_context_options options;
        lgt_context *context = NULL;
        lgt_error err;
        lgt_context_options_init(&options);
        options.max_isa = isas[i];
        assert_ok(lgt_context_create(&options, &context, &err), err);
        lgt_isa isa = lgt_context_isa(context), best = lgt_cpu_best_isa();
        assert_int_equal(isa, isas[i] < best ? isas[i] : best);
        assert_string_equal(lgt_isa_name(isa), names[isa]);
        lgt_context_free(context);
    }
}

static void blocks_are_aligned_and_their_sizes_checked(void **state) {
    static const int64_t counts[] = {0, 1, 2, 63, 64, 65, 4097};
    lgt_context *context = test_context(1);
    lgt_error err;
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        char *block = NULL;
        assert_ok(lgt_alloc_zero(context, counts[i], 1, &block, &err), err);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % LGT_ALIGNMENT, 0);
        for (int64_t k = 0; k < counts[i]; k++) assert_int_equal(block[k], 0);
        lgt_release(context, block);
    }
    char *kept = (char *)&err;
    assert_fails(lgt_alloc(context, -1, 8, &kept, &err), LGT_ERR_MEMORY, err, "-1 elements");
    assert_fails(lgt_alloc(context, INT64_MAX, 8, &kept, &err), LGT_ERR_MEMORY, err, "overflows");
    assert_fails(lgt_alloc_zero(context, INT64_MAX / 8 + 1, 8, &kept, &err), LGT_ERR_MEMORY, err, "overflows");
    assert_ptr_equal(kept, &err); /* untouched by a failure */
    lgt_release(context, NULL);
    lgt_context_free(context);
}

/* Three kinds of allocation; whatever fails, the blocks before it are given back. */
static lgt_status allocate_thrice(lgt_context *context, lgt_error *err) {
    double *numbers = NULL;
    int32_t *zeros = NULL;
    char *text = NULL;
    lgt_status status = LGT_NEW(context, &numbers, 3, err);
    if (status == LGT_OK) status = LGT_NEW_ZERO(context, &zeros, 5, err);
    if (status == LGT_OK) status = lgt_alloc_text(context, "words", &text, err);
    if (status == LGT_OK) assert_string_equal(text, "words");
    if (status == LGT_OK) assert_true(zeros[0] == 0 && zeros[4] == 0);
    lgt_release(context, text);
    lgt_release(context, zeros);
    lgt_release(context, numbers);
    return status;
}

static void a_refused_allocation_is_reported_and_leaks_nothing(void **state) {
    int64_t before = test_live_blocks(), fail_at = 1;
    lgt_status status;
    (void)state;
    do {
        lgt_context *context = test_context_failing(fail_at);
        lgt_error err = {LGT_OK, ""};
        status = allocate_thrice(context, &err);
        if (status) assert_fails(status, LGT_ERR_MEMORY, err, "out of memory: ");
        assert_int_equal(test_allocations(), status ? fail_at : 3);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), before);
        fail_at++;
    } while (status);
    assert_int_equal(fail_at, 5); /* three refusals, then a success */
}

/* ---- loops over threads ---- */

enum { MOST_TASKS = 1000, MOST_THREADS = 8 };

typedef struct ledger {
    _Atomic int runs[MOST_TASKS], busy[MOST_THREADS], faults;
    int threads;
} ledger;

static void record_task(void *argument, int64_t index, int worker) {
    ledger *l = argument;
    if (worker < 0 || worker >= l->threads) {
        l->faults++;
        return;
    }
    if (atomic_exchange(&l->busy[worker], 1)) l->faults++;
    l->runs[index]++;
    lgt_rng rng = {1, 1}; /* long enough for others to come in between */
    for (uint64_t i = 0; i < 100; i++)
        if (lgt_rng_uniform(&rng, i) >= 1) l->faults++;
    if (!atomic_exchange(&l->busy[worker], 0)) l->faults++;
}

static void every_task_runs_once_and_no_worker_is_shared(void **state) {
    static const int threads[] = {1, 2, MOST_THREADS};
    static const int64_t tasks[] = {0, 1, 2, 3, 7, 8, 9, 64, MOST_TASKS};
    static ledger l;
    (void)state;
    for (int t = 0; t < 3; t++) {
        lgt_context *context = test_context(threads[t]);
        assert_int_equal(lgt_context_threads(context), threads[t]);
        for (size_t n = 0; n < 3 * sizeof tasks / sizeof *tasks; n++) { /* the same pool, three times over */
            int64_t n_tasks = tasks[n % (sizeof tasks / sizeof *tasks)];
            memset(&l, 0, sizeof l);
            l.threads = threads[t];
            lgt_parallel_for(context, n_tasks, record_task, &l);
            assert_int_equal(l.faults, 0);
            for (int64_t i = 0; i < MOST_TASKS; i++) assert_int_equal(l.runs[i], i < n_tasks);
        }
        lgt_context_free(context);
    }
}

static void add_square(void *argument, int64_t index, int worker) {
    (void)worker;
    ((double *)argument)[index] = (double)index * (double)index;
}

/* The caller sees what the tasks wrote, whoever ran them. */
static void what_tasks_write_is_seen_when_the_loop_returns(void **state) {
    static double squares[20000];
    lgt_context *context = test_context(8);
    (void)state;
    lgt_parallel_for(context, 20000, add_square, squares);
    for (int i = 0; i < 20000; i++) assert_true(squares[i] == (double)i * i);
    lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_answers),
        cmocka_unit_test(bits_are_the_first_half_of_their_block),
        cmocka_unit_test(uniform_numbers_have_the_moments_of_a_uniform),
        cmocka_unit_test(normal_numbers_have_the_moments_of_a_normal),
        cmocka_unit_test(numbers_below_n_are_the_high_half_of_the_product),
        cmocka_unit_test(numbers_below_n_are_even),
        cmocka_unit_test(a_permutation_holds_every_index_once),
        cmocka_unit_test(a_permutation_differs_by_seed_and_by_stream),
        cmocka_unit_test(the_six_permutations_of_three_are_equally_likely),
        cmocka_unit_test(size_products_and_sums_refuse_to_wrap),
        cmocka_unit_test(parts_cover_a_count_and_the_longer_ones_come_first),
        cmocka_unit_test(divisions_round_up_without_wrapping),
        cmocka_unit_test(an_error_message_is_cut_within_its_record),
        cmocka_unit_test(a_longer_message_goes_in_front_of_the_one_there),
        cmocka_unit_test(an_error_record_may_be_missing_and_is_emptied_by_success),
        cmocka_unit_test(numbers_outside_the_lists_have_the_name_unknown),
        cmocka_unit_test(context_options_out_of_bounds_are_refused_by_name),
        cmocka_unit_test(a_context_without_options_takes_what_the_machine_offers),
        cmocka_unit_test(a_context_never_exceeds_the_instruction_set_it_is_given),
        cmocka_unit_test(blocks_are_aligned_and_their_sizes_checked),
        cmocka_unit_test(a_refused_allocation_is_reported_and_leaks_nothing),
        cmocka_unit_test(every_task_runs_once_and_no_worker_is_shared),
        cmocka_unit_test(what_tasks_write_is_seen_when_the_loop_returns),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
