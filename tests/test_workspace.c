/* What plans hold, and that no bit depends on it, nor on the number of threads: kept logits are the logits that would
 * else be computed again. Kept weights of bf16 are others by rounding. */
#include <stdlib.h>
#include <string.h>

#include "heads.h"

/* The ways to compute. */
static const struct {
    lgt_dtype dtype;
    lgt_precision precision;
    const char *name;
} arithmetics[] = {{LGT_F64, LGT_PRECISION_FULL, "f64"},
                   {LGT_F32, LGT_PRECISION_FULL, "f32"},
                   {LGT_F32, LGT_PRECISION_BF16X3, "bf16x3"},
                   {LGT_F32, LGT_PRECISION_BF16, "bf16"}};
enum { N_ARITHMETICS = sizeof arithmetics / sizeof *arithmetics };

static const int threads[] = {1, 2, 3, 8, 16};
/* Nothing is kept, or a few logits and in bf16 all weights, or everything. */
static const int64_t workspaces[] = {1, 0, (int64_t)1 << 34};
enum { N_THREADS = sizeof threads / sizeof *threads, N_WORKSPACES = sizeof workspaces / sizeof *workspaces };

static lgt_context *contexts[N_THREADS];
static int n_other_ways; /* problems that kept weights gave other bits */

static int open_contexts(void **state) {
    (void)state;
    for (int i = 0; i < N_THREADS; i++) contexts[i] = test_context(threads[i]);
    return 0;
}

static int close_contexts(void **state) {
    (void)state;
    for (int i = 0; i < N_THREADS; i++) lgt_context_free(contexts[i]);
    return 0;
}

/* Every number of threads with every workspace gives the bits of the first; in bf16 the workspaces that keep weights
 * have a first of their own, which the other one is near to: either way sums are of numbers rounded to bfloat16, in
 * another place, 2^-9 of the largest entry. */
static void compare_bits(test_head *h, const char *spec) {
    for (size_t a = 0; a < N_ARITHMETICS; a++) {
        test_result expected[2] = {{0}};
        int low = arithmetics[a].precision == LGT_PRECISION_BF16;
        h->options.precision = arithmetics[a].precision;
        for (int t = 0; t < N_THREADS; t++)
            for (int k = 0; k < N_WORKSPACES; k++) {
                int keeps = low && workspaces[k] != 1;
                if (t > 0 && k != t % N_WORKSPACES) continue; /* each workspace with some of the threads */
                h->options.workspace = workspaces[k];
                test_result found = test_head_run(contexts[t], h, LGT_ENGINE_CPU, arithmetics[a].dtype);
                if (!expected[keeps].dx) {
                    expected[keeps] = found;
                    continue;
                }
                if (!test_result_same(h, &found, &expected[keeps]))
                    fail_msg("%s (%d, %d, %d) in %s: %d threads with a workspace of %lld differ from one", spec,
                             (int)h->n_rows, (int)h->dim, (int)h->n_classes, arithmetics[a].name, threads[t],
                             (long long)workspaces[k]);
                test_result_free(&found);
            }
        if (low) {
            assert_true(test_result_error(h, &expected[1], &expected[0]) <= 1e-2);
            n_other_ways += !test_result_same(h, &expected[1], &expected[0]);
        }
        for (int k = 0; k < 2; k++) test_result_free(&expected[k]);
    }
}

static void no_bit_depends_on_threads_or_kept_logits(void **state) {
    static const struct {
        const char *spec;
        int64_t size[3];
    } problems[] = {{"softmax", {300, 24, 10}},              /* few classes: rows in groups */
                    {"arcface:s=16,m=0.3", {1000, 1400, 3}}, /* the same in several panels */
                    {"normalized:s=16", {130, 40, 2000}},    /* many classes: stripes */
                    {"lsoftmax:m=3", {530, 512, 1930}},      /* the same in several panels */
                    {"softmax", {1, 5, 300}},                /* one row */
                    {"curricularface:s=16,t=0.2", {150, 33, 70}} /* bent: logits are never kept */,
                    {"subcenter:s=16,k=3", {140, 17, 260}},
                    {"cosface:s=16", {40, 24, 5000}}, /* several tiles a stripe */
                    {"magface:s=16", {65, 31, 129}},
                    {"normalized:s=16", {70, 40, 3000}}};
    (void)state;
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        const int64_t *size = problems[i].size;
        test_head h = test_head_random(problems[i].spec, size[0], size[1], size[2], 3 + i);
        for (int64_t k = 0; k < h.w_rows * h.dim; k++) h.w[k] /= 8;
        if (i % 2 == 0) h.options.label_smoothing = 0.1, h.options.z_loss = 0.01;
        compare_bits(&h, problems[i].spec);
        test_head_free(&h);
    }
    assert_true(n_other_ways >= 2);
}

/* Weights are kept relative to the first classes' largest logit: where later ones rise far above that, or are huge, the
 * run is the one that keeps none. */
static void what_no_kept_weight_can_hold_is_computed_twice(void **state) {
    (void)state;
    for (int what = 0; what < 3; what++)
        for (size_t a = 2; a < N_ARITHMETICS; a++) {
            test_head h = test_head_random(what == 2 ? "lsoftmax:m=3" : "cosface:s=100", 40, 256, 5000, 11);
            int64_t class = h.labels[0] == 300 ? 301 : 300; /* behind the first tile of its stripe */
            for (int64_t k = 0; k < h.dim && what == 1; k++) h.w[class * h.dim + k] = h.x[k];
            for (int64_t k = 0; k < h.dim && what == 2; k++) h.x[k] *= 1e4;
            test_result found[2];
            h.options.precision = arithmetics[a].precision;
            for (int k = 0; k < 2; k++) {
                h.options.workspace = workspaces[k];
                found[k] = test_head_run(contexts[1], &h, LGT_ENGINE_CPU, LGT_F32);
            }
            int keeps = arithmetics[a].precision == LGT_PRECISION_BF16;
            assert_int_equal(test_result_same(&h, &found[0], &found[1]), !keeps || what > 0);
            for (int k = 0; k < 2; k++) test_result_free(&found[k]);
            test_head_free(&h);
        }
}

/* Whether the weights fit is the same question for any number of threads, though these hold memory themselves. */
static void what_fits_does_not_depend_on_threads(void **state) {
    test_head h = test_head_random("cosface:s=16", 70, 40, 3000, 12);
    test_result first = {0}, last = {0};
    (void)state;
    h.options.precision = LGT_PRECISION_BF16;
    for (int64_t mib = 1; mib <= 24; mib++) {
        h.options.workspace = mib << 20;
        test_result few = test_head_run(contexts[0], &h, LGT_ENGINE_CPU, LGT_F32);
        test_result many = test_head_run(contexts[N_THREADS - 1], &h, LGT_ENGINE_CPU, LGT_F32);
        if (!test_result_same(&h, &few, &many))
            fail_msg("%d threads with a workspace of %d MiB differ from one", threads[N_THREADS - 1], (int)mib);
        test_result_free(&many);
        test_result_free(&last);
        last = few;
        if (mib == 1) first = few, last = (test_result){0};
    }
    assert_false(test_result_same(&h, &first, &last)); /* neither, then both kept them */
    test_result_free(&first), test_result_free(&last);
    test_head_free(&h);
}

static void nor_with_soft_targets_and_ignored_rows(void **state) {
    (void)state;
    test_head h = test_head_random("softmax", 150, 21, 333, 8);
    test_head_soften(&h, 8);
    h.options.ignore_label = -5;
    for (int64_t i = 0; i < h.n_rows; i += 7) h.labels[i] = -5;
    compare_bits(&h, "softmax");
    test_head_free(&h);
}

/* --- Memory --- */

/* A plan of a problem; what it says it holds. */
static int64_t bytes_of(lgt_context *context, const char *spec, const int64_t size[3], const lgt_plan_options *o) {
    lgt_loss loss;
    lgt_error err;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    assert_ok(lgt_loss_parse(spec, &loss, &err), err);
    assert_ok(lgt_head_create(context, &loss, size[1], size[2], &head, &err), err);
    int64_t before = test_live_bytes();
    assert_ok(lgt_plan_create(head, o, &plan, &err), err);
    int64_t bytes = lgt_plan_bytes(plan), held = test_live_bytes() - before;
    if (held) { /* by a counting context; an empty block takes a byte */
        assert_true(held >= bytes);
        assert_true(held - bytes <= 32);
    }
    lgt_plan_free(plan);
    lgt_head_free(head);
    return bytes;
}

static lgt_plan_options options_of(size_t arithmetic, int64_t n_rows, int64_t workspace) {
    lgt_plan_options o;
    lgt_plan_options_init(&o);
    o.dtype = arithmetics[arithmetic].dtype;
    o.precision = arithmetics[arithmetic].precision;
    o.max_rows = n_rows;
    o.workspace = workspace;
    return o;
}

static void plans_tell_what_they_hold(void **state) {
    static const char *const specs[] = {"softmax", "adaface", "subcenter:k=3", "curricularface"};
    static const int64_t sizes[][3] = {{1, 1, 1}, {70, 33, 2000}, {3000, 16, 10}, {600, 512, 1100}};
    (void)state;
    for (int n_threads = 1; n_threads <= 3; n_threads += 2) {
        lgt_context *context = test_context_counting(n_threads);
        for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
            for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
                for (size_t a = 0; a < N_ARITHMETICS; a++) {
                    lgt_plan_options o = options_of(a, sizes[k][0], 0);
                    bytes_of(context, specs[i], sizes[k], &o);
                    o.sinks = 1, o.max_classes = 5;
                    bytes_of(context, specs[i], sizes[k], &o);
                    o.sinks = 0, o.max_classes = 0, o.loss_only = 1;
                    bytes_of(context, specs[i], sizes[k], &o);
                    o.loss_only = 0, o.second_order = o.precision == LGT_PRECISION_FULL;
                    bytes_of(context, specs[i], sizes[k], &o);
                    o.engine = LGT_ENGINE_REFERENCE, o.precision = LGT_PRECISION_FULL;
                    bytes_of(context, specs[i], sizes[k], &o);
                }
        lgt_context_free(context);
    }
}

/* The head of a hundred thousand classes. */
static void a_plan_stays_within_its_workspace(void **state) {
    static const int64_t size[] = {256, 512, 100000}, limits[] = {24 << 20, 48 << 20, 96 << 20, (int64_t)1 << 28};
    (void)state;
    lgt_context *context = test_context_counting(2);
    for (size_t a = 0; a < N_ARITHMETICS; a++) {
        lgt_plan_options o = options_of(a, size[0], 0);
        assert_true(bytes_of(context, "arcface", size, &o) <= 64 << 20);
        o.workspace = 1;
        int64_t least = bytes_of(context, "arcface", size, &o), last = least;
        for (size_t k = 0; k < sizeof limits / sizeof *limits; k++) {
            o.workspace = limits[k];
            int64_t bytes = bytes_of(context, "arcface", size, &o);
            assert_true(bytes >= last && bytes <= (limits[k] > least ? limits[k] : least));
            last = bytes;
        }
        /* All logits, and beside them rows that fill the last block, the skew of crossings, a tile of every stripe. */
        int64_t all = size[0] * size[2] * (int64_t)lgt_dtype_size(o.dtype);
        o.workspace = (int64_t)1 << 40;
        int64_t most = bytes_of(context, "arcface", size, &o);
        assert_true(most - least >= all && most - least < 2 * all + all / 4);
    }
    lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bit_depends_on_threads_or_kept_logits),
        cmocka_unit_test(what_no_kept_weight_can_hold_is_computed_twice),
        cmocka_unit_test(what_fits_does_not_depend_on_threads),
        cmocka_unit_test(nor_with_soft_targets_and_ignored_rows),
        cmocka_unit_test(plans_tell_what_they_hold),
        cmocka_unit_test(a_plan_stays_within_its_workspace),
    };
    return cmocka_run_group_tests(tests, open_contexts, close_contexts);
}
