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

/* What weights of one pass cannot be. */
typedef enum reason { NONE, RISING, HUGE_LENGTHS, HUGE_SCALE, SMOOTHED, N_REASONS } reason;

static test_head head_for(reason why) {
    static const char *const specs[N_REASONS] = {[HUGE_LENGTHS] = "lsoftmax:m=3", [HUGE_SCALE] = "cosface:s=8192"};
    test_head h = test_head_random(specs[why] ? specs[why] : "cosface:s=100", 40, 256, 5000, 11);
    int64_t class = h.labels[0] == 300 ? 301 : 300; /* behind the first tile of its stripe */
    for (int64_t k = 0; k < h.dim && why == RISING; k++) h.w[class * h.dim + k] = h.x[k];
    for (int64_t k = 0; k < h.dim && why == HUGE_LENGTHS; k++) h.x[k] *= 1e4;
    /* All within a degree of one direction, so that logits near 8192 lie within a few of each other. */
    for (int64_t k = 0; k < h.n_rows * h.dim && why == HUGE_SCALE; k++) h.x[k] = 1 + h.x[k] / 100;
    for (int64_t k = 0; k < h.w_rows * h.dim && why == HUGE_SCALE; k++) h.w[k] = 1 + h.w[k] / 100;
    if (why == SMOOTHED) h.options.label_smoothing = 0.1;
    return h;
}

/* Weights are kept relative to the first classes' largest logit: where later ones rise far above that, or are huge, or
 * a weight is more than an exponential, the run is the one that keeps none. Kept they are by dw, by the workspace, and
 * by neither where dw is added to. */
static void what_no_kept_weight_can_hold_is_computed_twice(void **state) {
    (void)state;
    for (reason why = NONE; why < N_REASONS; why++)
        for (size_t a = 2; a < N_ARITHMETICS; a++) {
            test_head h = head_for(why);
            test_result found[3];
            h.options.precision = arithmetics[a].precision;
            for (int k = 0; k < 3; k++) {
                h.options.workspace = workspaces[k == 1];
                h.accumulate = k == 2;
                found[k] = test_head_run(contexts[1], &h, LGT_ENGINE_CPU, LGT_F32);
            }
            int keeps = arithmetics[a].precision == LGT_PRECISION_BF16;
            assert_true(test_result_same(&h, &found[0], &found[1]));
            assert_int_equal(test_result_same(&h, &found[2], &found[1]), !keeps || why != NONE);
            for (int k = 0; k < 3; k++) test_result_free(&found[k]);
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

/* --- What dw keeps --- */

/* Problems, and whether weights of bf16, of whole blocks and with whatever the kernels put between, fit the rows of dw;
 * products do where there are no more rows than dimensions. */
static const struct {
    const char *spec;
    int64_t size[3];
    int fits;
} lent[] = {{"arcface:s=16,m=0.3", {32, 64, 5000}, 1},  /* several tiles a stripe */
            {"cosface:s=16", {20, 96, 3001}, 1},        /* a last panel of one class */
            {"normalized:s=16", {200, 256, 777}, 1},    /* several blocks */
            {"softmax", {60, 80, 1500}, 1},             /* a target that weighs like the others */
            {"arcface:s=16,m=0.3", {300, 320, 10}, 1},  /* few classes: rows in groups, all stages at once */
            {"arcface:s=16,m=0.3", {300, 320, 200}, 1}, /* the same stage by stage */
            {"magface:s=16", {64, 64, 1930}, 0},        /* products that fill the rows to the last number */
            {"cosface:s=16", {200, 33, 2000}, 0},
            {"arcface:s=16,m=0.3", {600, 64, 1930}, 0}}; /* the same in several panels */

/* Where dw is set it keeps what the workspace has no room for, with the bits of a workspace that has; where it is added
 * to all is computed twice. */
static void dw_keeps_what_the_workspace_cannot(void **state) {
    int n_other = 0;
    (void)state;
    for (size_t i = 0; i < sizeof lent / sizeof *lent; i++)
        for (size_t a = 0; a < N_ARITHMETICS; a++) {
            const int64_t *size = lent[i].size;
            test_head h = test_head_random(lent[i].spec, size[0], size[1], size[2], 20 + i);
            int low = arithmetics[a].precision == LGT_PRECISION_BF16;
            h.options.precision = arithmetics[a].precision;
            h.options.workspace = workspaces[N_WORKSPACES - 1];
            test_result kept = test_head_run(contexts[1], &h, LGT_ENGINE_CPU, arithmetics[a].dtype);
            h.options.workspace = 1;
            for (int t = 0; t < N_THREADS; t++) {
                test_result found = test_head_run(contexts[t], &h, LGT_ENGINE_CPU, arithmetics[a].dtype);
                if ((lent[i].fits || !low) && !test_result_same(&h, &found, &kept))
                    fail_msg("%s, %d classes in %s: %d threads with weights or products in dw differ", lent[i].spec,
                             (int)size[2], arithmetics[a].name, threads[t]);
                test_result_free(&found);
            }
            h.accumulate = 1;
            test_result twice = test_head_run(contexts[1], &h, LGT_ENGINE_CPU, arithmetics[a].dtype);
            assert_true(low ? test_result_error(&h, &kept, &twice) <= 1e-2 : test_result_same(&h, &kept, &twice));
            n_other += lent[i].fits && !test_result_same(&h, &kept, &twice);
            test_result_free(&kept), test_result_free(&twice);
            test_head_free(&h);
        }
    assert_true(n_other >= 2);
}

enum { LN = 20, LD = 48, LC = 2100, LISTED = LC / 3, GAP = 3 };

/* Runs whose classes are listed, and whose dw has gaps behind its rows. */
typedef struct list_runs {
    float x[LN * LD], w[LC * LD], dw[2][LISTED * (LD + GAP)];
    int64_t labels[LN], classes[LISTED];
} list_runs;

static void run_list(list_runs *r, lgt_precision precision, int64_t workspace, int64_t ld, float *dw) {
    lgt_loss loss;
    lgt_error err;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_plan_options o;
    lgt_plan_options_init(&o);
    o.max_rows = LN, o.max_classes = LISTED, o.precision = precision, o.workspace = workspace;
    assert_ok(lgt_loss_parse("arcface", &loss, &err), err);
    assert_ok(lgt_head_create(contexts[1], &loss, LD, LC, &head, &err), err);
    assert_ok(lgt_plan_create(head, &o, &plan, &err), err);
    lgt_head_inputs in = {.x = lgt_view_of(r->x, LN, LD, LGT_F32),
                          .w = lgt_view_of(r->w, LC, LD, LGT_F32),
                          .labels = r->labels,
                          .classes = r->classes,
                          .n_listed = LISTED};
    lgt_head_outputs out = {.dw = lgt_mut_of(dw, LISTED, LD, LGT_F32)};
    out.dw.ld = ld;
    for (int64_t k = 0; k < LISTED * ld; k++) dw[k] = -7;
    assert_ok(lgt_plan_run(plan, &in, &out, &err), err);
    lgt_plan_free(plan);
    lgt_head_free(head);
}

/* Every stripe has a list of its own length then, which ends within a panel. */
static void lists_and_gaps_change_no_bit_and_gaps_are_not_touched(void **state) {
    static list_runs r;
    (void)state;
    test_normal_f32(r.x, LN * LD, 1, 31);
    test_normal_f32(r.w, LC * LD, 1, 32);
    for (int64_t k = 0; k < LISTED; k++) r.classes[k] = 3 * k;
    for (int64_t i = 0; i < LN; i++) r.labels[i] = r.classes[i * 31 % LISTED];
    for (int precision = 0; precision <= LGT_PRECISION_BF16; precision++) {
        float *kept = r.dw[0], *spread = r.dw[1];
        run_list(&r, (lgt_precision)precision, 1 << 30, LD, kept);
        run_list(&r, (lgt_precision)precision, 1, LD + GAP, spread);
        for (int64_t j = 0; j < LISTED; j++) {
            const float *row = spread + j * (LD + GAP);
            assert_memory_equal(row, kept + j * LD, LD * sizeof(float));
            for (int64_t k = LD; k < LD + GAP; k++) assert_true(row[k] == -7);
        }
    }
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
        cmocka_unit_test(dw_keeps_what_the_workspace_cannot),
        cmocka_unit_test(lists_and_gaps_change_no_bit_and_gaps_are_not_touched),
        cmocka_unit_test(plans_tell_what_they_hold),
        cmocka_unit_test(a_plan_stays_within_its_workspace),
    };
    return cmocka_run_group_tests(tests, open_contexts, close_contexts);
}
