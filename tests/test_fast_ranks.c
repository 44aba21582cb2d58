/* The fast mode over ranks: to rounding what one rank has, the same on all of them, for less traffic and memory. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rank_heads.h"

static const int sizes[] = {2, 3, 4, 7};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

/* `rounding`: of the numbers that are added. Parts of dx are rounded once by each rank and once at each of P - 1
 * additions, all of them relative to parts that are at most a few times as large as the largest entry of dx: 2 P of
 * them and as much again for what else is rounded. A weight exp(z - lse) also moves as the last bit of lse does, a
 * double of up to 64 here (ArcFace's scale), of which a float sees nothing but, rarely, a last bit that falls the other
 * way: in bf16 that is a 256th of one weight of a row, and a hundredth of the largest entry what that arithmetic
 * promises at all. */
static const struct {
    lgt_dtype dtype;
    lgt_precision precision;
    double rounding;
} arithmetics[] = {{LGT_F64, LGT_PRECISION_FULL, DBL_EPSILON},
                   {LGT_F32, LGT_PRECISION_FULL, FLT_EPSILON},
                   {LGT_F32, LGT_PRECISION_BF16X3, FLT_EPSILON},
                   {LGT_F32, LGT_PRECISION_BF16, 0}};
enum { N_ARITHMETICS = sizeof arithmetics / sizeof *arithmetics };

static double most_error(size_t arithmetic, int size) {
    double rounding = arithmetics[arithmetic].rounding;
    return rounding > 0 ? 4 * size * rounding + 64 * DBL_EPSILON : 1e-2;
}

/* The rows of two runs, to the bit. */
static void same_rows(const test_head *h, const test_result *a, const test_result *b, const char *what, int size) {
    size_t n = (size_t)h->n_rows;
    if (memcmp(a->dx, b->dx, n * (size_t)h->dim * sizeof(double)) || memcmp(a->lse, b->lse, n * sizeof(double)) ||
        memcmp(a->loss_rows, b->loss_rows, n * sizeof(double)) || memcmp(a->top1, b->top1, n * sizeof(int64_t)) ||
        a->out.loss != b->out.loss || a->out.n_correct != b->out.n_correct)
        fail_msg("%s: ranks of %d, or their threads, differ", what, size);
}

/* On `size` ranks, with one or two threads in turn and with one: the same on all; against one rank. */
static void compare(const test_head *h, size_t arithmetic, int size, const test_result *alone, const char *what) {
    test_rank_job jobs[2];
    test_result all[2];
    for (int k = 0; k < 2; k++) {
        jobs[k] = (test_rank_job){.head = h, .dtype = arithmetics[arithmetic].dtype, .n_threads = k};
        test_rank_run_all(&jobs[k], size);
        all[k] = test_result_empty(h);
        test_rank_join(&jobs[k], size, all[k].dw, all[k].db);
        assert_memory_equal(all[k].dw, all[0].dw, (size_t)(h->w_rows * h->dim) * sizeof(double));
        if (h->bias) assert_memory_equal(all[k].db, all[0].db, (size_t)h->n_classes * sizeof(double));
        for (int r = 0; r < size; r++) same_rows(h, &jobs[k].results[r], &jobs[0].results[0], what, size);
    }
    test_result found = jobs[0].results[0];
    found.dw = all[0].dw, found.db = all[0].db;
    double error = test_result_error(h, &found, alone), most = most_error(arithmetic, size);
    if (!(error <= most))
        fail_msg("%s, arithmetic %zu, %d ranks: %.3g, expected %.3g", what, arithmetic, size, error, most);
    /* Sums of crowds are doubles in every arithmetic. */
    assert_true(test_relative_error(found.lse, alone->lse, h->n_rows) <= 8 * size * DBL_EPSILON);
    assert_true(test_relative_error(found.loss_rows, alone->loss_rows, h->n_rows) <= 8 * size * DBL_EPSILON);
    assert_memory_equal(found.top1, alone->top1, (size_t)h->n_rows * sizeof(int64_t));
    assert_int_equal(found.out.n_correct, alone->out.n_correct);
    assert_int_equal(found.out.n_zero_rows, alone->out.n_zero_rows);
    assert_int_equal(found.out.n_zero_classes, alone->out.n_zero_classes);
    for (int k = 0; k < 2; k++) test_rank_free(&jobs[k], size), test_result_free(&all[k]);
}

static void compare_all(const test_head *h, const char *what) {
    lgt_context *context = test_context(2);
    test_head fast = *h;
    fast.options.reduce = LGT_REDUCE_FAST;
    for (size_t a = 0; a < N_ARITHMETICS; a++) {
        fast.options.precision = arithmetics[a].precision;
        test_result alone = test_head_run(context, &fast, LGT_ENGINE_CPU, arithmetics[a].dtype);
        for (int k = 0; k < N_SIZES; k++) compare(&fast, a, sizes[k], &alone, what);
        test_result_free(&alone);
    }
    lgt_context_free(context);
}

static void every_loss_agrees_with_one_rank_to_rounding(void **state) {
    static const int64_t shapes[][3] = {{70, 24, 700}, {160, 17, 10}, {100, 16, 130}};
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) {
        const int64_t *n = shapes[i % 3];
        const char *name = lgt_loss_at(i)->name;
        test_head h = test_head_random(name, n[0], n[1], n[2], 5 + (uint64_t)i);
        compare_all(&h, name);
        test_head_free(&h);
    }
}

static void so_does_every_option(void **state) {
    (void)state;
    for (int option = 0; option < 5; option++) {
        test_head h = test_head_random(option == 3 ? "softmax" : "arcface:s=16,m=0.3", 90, 21, 400, 40);
        if (option == 0) h.options.label_smoothing = 0.1, h.options.z_loss = 0.01;
        if (option == 1) test_head_margins(&h, 3), test_head_scales(&h, 4);
        if (option == 2)
            for (int64_t i = 0; i < h.n_rows; i += 3) h.options.ignore_label = h.labels[i] = -5;
        if (option == 3) test_head_soften(&h, 6);
        if (option == 4) memset(h.w + 399 * 21, 0, 21 * sizeof *h.w), memset(h.x, 0, 21 * sizeof *h.x);
        compare_all(&h, "an option");
        test_head_free(&h);
    }
}

/* More rows than a panel has, and ranks without a stripe in the midst of those that have one. */
static void so_do_batches_of_several_panels(void **state) {
    lgt_context *context = test_context(2);
    (void)state;
    test_head h = test_head_random("cosface", 4200, 8, 300, 90);
    h.options.reduce = LGT_REDUCE_FAST;
    test_result alone = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F64);
    compare(&h, 0, 7, &alone, "panels");
    test_result_free(&alone);
    test_head_free(&h);
    lgt_context_free(context);
}

static void so_do_hessian_vector_products(void **state) {
    static const char *const specs[] = {"softmax", "arcface:s=16,m=0.3", "lsoftmax:m=3", "subcenter:s=16,k=3",
                                        "curricularface:s=16,t=0.2"};
    lgt_context *context = test_context(2);
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        for (int type = 0; type < 2; type++) {
            test_head h = test_head_random(specs[i], 50, 19, 300, 60 + i);
            h.options.reduce = LGT_REDUCE_FAST;
            lgt_dtype dtype = type ? LGT_F32 : LGT_F64;
            test_vectors along = test_vectors_of(&h, 9);
            test_vectors alone = test_head_hvp(context, &h, LGT_ENGINE_CPU, dtype, &along);
            for (int k = 0; k < N_SIZES; k++) {
                test_rank_job j = {.head = &h, .dtype = dtype, .along = &along};
                test_rank_run_all(&j, sizes[k]);
                test_vectors all = test_vectors_of(&h, 0);
                test_rank_join(&j, sizes[k], all.w, all.b);
                for (int r = 1; r < sizes[k]; r++)
                    assert_memory_equal(j.products[r].x, j.products[0].x, (size_t)(h.n_rows * h.dim) * sizeof(double));
                test_vectors found = {j.products[0].x, all.w, all.b};
                double error = test_vectors_error(&h, &found, &alone);
                /* Products and turns cancel in a Hessian: ten times the error of a gradient. */
                double most = 10 * most_error((size_t)type, sizes[k]);
                if (!(error <= most)) fail_msg("%s, %d ranks: %.3g, expected %.3g", specs[i], sizes[k], error, most);
                test_rank_free(&j, sizes[k]);
                test_vectors_free(&all);
            }
            test_vectors_free(&alone), test_vectors_free(&along);
            test_head_free(&h);
        }
    lgt_context_free(context);
}

/* One rank has no sum to share, and ranks with one stripe each merge crowds in the order of stripes. */
static void one_rank_has_the_bits_of_the_exact_mode(void **state) {
    lgt_context *context = test_context(1);
    (void)state;
    for (size_t a = 0; a < N_ARITHMETICS; a++) {
        test_head h = test_head_random("arcface", 60, 24, 700, 73);
        h.options.precision = arithmetics[a].precision;
        test_result exact = test_head_run(context, &h, LGT_ENGINE_CPU, arithmetics[a].dtype);
        h.options.reduce = LGT_REDUCE_FAST;
        test_rank_job j = {.head = &h, .dtype = arithmetics[a].dtype};
        test_rank_run_all(&j, 1);
        assert_true(test_result_same(&h, &j.results[0], &exact));
        test_rank_free(&j, 1);
        test_result_free(&exact);
        test_head_free(&h);
    }
    lgt_context_free(context);
}

enum { N = 64, D = 32, P = 4, S = 16, E = 4, CROWD = 56, FOUND = 32 };

static int64_t bytes_sent(lgt_reduce reduce, int64_t n_classes) {
    lgt_comm comms[P];
    int64_t sent = 0;
    test_head h = test_head_random("arcface", N, D, n_classes, 72);
    h.options.reduce = reduce;
    test_rank_job j = {.head = &h, .dtype = LGT_F32};
    lgt_comm_group *group = test_group(P, 20, comms);
    test_run_ranks(comms, P, test_rank_run, &j);
    for (int r = 0; r < P; r++) {
        assert_ok(j.statuses[r], j.errors[r]);
        sent += lgt_comm_group_sent(group, r);
    }
    test_rank_free(&j, P);
    lgt_comm_group_free(group);
    test_head_free(&h);
    return sent;
}

/* What docs/scaling.md says of both, by the byte: all ranks together, each part to P - 1 others. */
static void a_run_sends_a_sum_of_each_rank_and_not_of_each_stripe(void **state) {
    int64_t both = N * D * E + S * FOUND + 4 * P * 8; /* targets' rows, findings, agreements */
    int64_t exact = (P - 1) * (both + S * N * (CROWD + D * E)), fast = (P - 1) * (both + P * N * (CROWD + D * E));
    (void)state;
    for (int64_t n_classes = 2048; n_classes <= 16384; n_classes *= 8) {
        assert_int_equal(bytes_sent(LGT_REDUCE_EXACT, n_classes), exact);
        assert_int_equal(bytes_sent(LGT_REDUCE_FAST, n_classes), fast);
    }
}

/* What rank 0 of 3 sends in a run that turns out to need two passes; they have 6, 5 and 5 stripes. */
static int64_t sent_with_workspace(int64_t workspace) {
    lgt_comm comms[3];
    test_head h = test_head_random("arcface:s=400,m=0.1", N, D, 8192, 74);
    memcpy(h.w + 300 * D, h.x + 5 * D, D * sizeof *h.w); /* in a stripe's second tile, far above its first */
    h.options.precision = LGT_PRECISION_BF16;
    h.options.reduce = LGT_REDUCE_FAST;
    h.options.workspace = workspace;
    h.accumulate = 1; /* dw keeps nothing */
    test_rank_job j = {.head = &h, .dtype = LGT_F32};
    lgt_comm_group *group = test_group(3, 20, comms);
    test_run_ranks(comms, 3, test_rank_run, &j);
    for (int r = 0; r < 3; r++) assert_ok(j.statuses[r], j.errors[r]);
    int64_t sent = lgt_comm_group_sent(group, 0);
    test_rank_free(&j, 3);
    lgt_comm_group_free(group);
    test_head_free(&h);
    return sent;
}

/* Whether a workspace has room for one pass must be reckoned alike by ranks that hold more and less: crowds and
 * findings go twice, the first time in vain, on all of them or on none. */
static void ranks_of_any_workspace_agree_on_the_passes(void **state) {
    int64_t low = 500000, high = 8000000, two = sent_with_workspace(low), one = sent_with_workspace(high);
    (void)state;
    assert_true(one > two);
    while (high - low > 1000) {
        int64_t middle = (low + high) / 2;
        if (sent_with_workspace(middle) == one)
            high = middle;
        else
            low = middle;
    }
    /* Who counted the own stripes alone would take the step up to eleven stripes before. */
    for (int64_t half = 0; half <= 24; half++)
        assert_int_equal(sent_with_workspace(low - half * N * (CROWD + D * E) / 2), two);
}

static lgt_status nothing(void *user, void *data, const int64_t *offsets, lgt_error *err) {
    (void)user, (void)data, (void)offsets, (void)err;
    return LGT_OK;
}

/* A plan of rank 1 of P; it talks to nobody. */
static lgt_status plan_alone(lgt_context *context, lgt_reduce reduce, lgt_plan_options *o, int64_t *bytes,
                             lgt_error *err) {
    const lgt_comm comm = {.struct_size = sizeof comm, .rank = 1, .size = P, .gather = nothing};
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_loss loss;
    lgt_status status = lgt_loss_parse("arcface", &loss, err);
    o->comm = &comm;
    o->reduce = reduce;
    if (!status) status = lgt_head_create(context, &loss, D, 2048, &head, err);
    if (!status) status = lgt_plan_create(head, o, &plan, err);
    if (!status) *bytes = lgt_plan_bytes(plan);
    lgt_plan_free(plan);
    lgt_head_free(head);
    return status;
}

static void a_plan_holds_the_parts_of_its_own_stripes_alone(void **state) {
    lgt_context *context = test_context(1);
    int64_t exact = 0, fast = 0;
    lgt_plan_options o;
    lgt_error err;
    (void)state;
    lgt_plan_options_init(&o);
    o.max_rows = N;
    o.second_order = 1; /* nothing of the workspace is filled up */
    assert_ok(plan_alone(context, LGT_REDUCE_EXACT, &o, &exact, &err), err);
    assert_ok(plan_alone(context, LGT_REDUCE_FAST, &o, &fast, &err), err);
    /* Turns of 16 bytes as well. */
    assert_int_equal(exact - fast, (S - S / P) * N * (CROWD + D * E + 16) - P * N * CROWD);
    lgt_context_free(context);
}

static void every_refused_allocation_is_told(void **state) {
    lgt_status status = LGT_ERR_MEMORY;
    int64_t at = 1, bytes = 0;
    lgt_plan_options o;
    lgt_error err;
    (void)state;
    lgt_plan_options_init(&o);
    o.max_rows = N;
    for (; status; at++) {
        lgt_context *context = test_context_failing(at);
        status = plan_alone(context, LGT_REDUCE_FAST, &o, &bytes, &err);
        assert_true(status == LGT_OK || status == LGT_ERR_MEMORY);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
    assert_true(at > 20);
}

static void a_reduce_that_there_is_not_is_refused(void **state) {
    lgt_context *context = test_context(1);
    int64_t bytes = 0;
    lgt_plan_options o;
    lgt_error err;
    (void)state;
    lgt_plan_options_init(&o);
    assert_int_equal(plan_alone(context, (lgt_reduce)2, &o, &bytes, &err), LGT_ERR_USAGE);
    assert_string_equal(err.message, "there is no reduce 2");
    lgt_context_free(context);
}

/* The `call`-th call of rank 1 fails, told or not; returns whether there was one. */
static int a_call_fails(const test_head *h, const test_vectors *along, int64_t call, lgt_comm_fault fault) {
    lgt_comm comms[3];
    lgt_error err;
    test_rank_job j = {.head = h, .dtype = LGT_F32, .along = along};
    lgt_comm_group *group = test_group(3, fault == LGT_COMM_FAULT_FAIL ? 20 : 0.05, comms);
    assert_ok(lgt_comm_group_inject(group, 1, call, fault, &err), err);
    test_run_ranks(comms, 3, test_rank_run, &j);
    int failed = j.statuses[1] != LGT_OK;
    for (int r = 0; r < 3; r++) assert_int_equal(j.statuses[r], failed ? LGT_ERR_COMM : LGT_OK);
    test_rank_free(&j, 3);
    lgt_comm_group_free(group);
    return failed;
}

static void a_rank_that_gives_up_ends_the_run_of_all(void **state) {
    (void)state;
    test_head h = test_head_random("arcface", 20, 8, 200, 71);
    h.options.reduce = LGT_REDUCE_FAST;
    test_vectors along = test_vectors_of(&h, 9);
    for (int hvp = 0; hvp < 2; hvp++)
        for (int fault = LGT_COMM_FAULT_FAIL; fault <= LGT_COMM_FAULT_VANISH; fault++) {
            int64_t call = 1;
            while (a_call_fails(&h, hvp ? &along : NULL, call, (lgt_comm_fault)fault)) call++;
            /* Agreements before, of rows and of classes, targets' rows, crowds, findings, dx; turns. */
            assert_true(call > 6 + hvp);
        }
    test_vectors_free(&along);
    test_head_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_loss_agrees_with_one_rank_to_rounding),
        cmocka_unit_test(so_does_every_option),
        cmocka_unit_test(so_do_batches_of_several_panels),
        cmocka_unit_test(so_do_hessian_vector_products),
        cmocka_unit_test(one_rank_has_the_bits_of_the_exact_mode),
        cmocka_unit_test(a_run_sends_a_sum_of_each_rank_and_not_of_each_stripe),
        cmocka_unit_test(ranks_of_any_workspace_agree_on_the_passes),
        cmocka_unit_test(a_plan_holds_the_parts_of_its_own_stripes_alone),
        cmocka_unit_test(every_refused_allocation_is_told),
        cmocka_unit_test(a_reduce_that_there_is_not_is_refused),
        cmocka_unit_test(a_rank_that_gives_up_ends_the_run_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
