/* A head whose classes are shared by ranks gives the bits of one that has them all. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rank_heads.h"

static const int sizes[] = {2, 3, 4, 7};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

static const struct {
    lgt_dtype dtype;
    lgt_precision precision;
} arithmetics[] = {{LGT_F64, LGT_PRECISION_FULL},
                   {LGT_F32, LGT_PRECISION_FULL},
                   {LGT_F32, LGT_PRECISION_BF16X3},
                   {LGT_F32, LGT_PRECISION_BF16}};
enum { N_ARITHMETICS = sizeof arithmetics / sizeof *arithmetics };

/* Every rank's rows are those of all, and their classes' together are those of one. */
static void compare_runs(const test_head *h, const char *what) {
    lgt_context *context = test_context(2);
    for (size_t a = 0; a < N_ARITHMETICS; a++) {
        test_head copy = *h;
        copy.options.precision = arithmetics[a].precision;
        test_result alone = test_head_run(context, &copy, LGT_ENGINE_CPU, arithmetics[a].dtype);
        for (int k = 0; k < N_SIZES; k++) {
            test_rank_job j = {.head = &copy, .dtype = arithmetics[a].dtype};
            test_rank_run_all(&j, sizes[k]);
            test_result all = test_result_empty(h);
            test_rank_join(&j, sizes[k], all.dw, all.db);
            for (int r = 0; r < sizes[k]; r++) {
                test_result of_rank = j.results[r];
                of_rank.dw = all.dw, of_rank.db = all.db;
                if (!test_result_same(h, &of_rank, &alone))
                    fail_msg("%s: rank %d of %d differs from one (arithmetic %d)", what, r, sizes[k], (int)a);
                assert_int_equal(j.results[r].out.n_correct, alone.out.n_correct);
                assert_int_equal(j.results[r].out.n_zero_classes, alone.out.n_zero_classes);
            }
            test_rank_free(&j, sizes[k]);
            test_result_free(&all);
        }
        test_result_free(&alone);
    }
    lgt_context_free(context);
}

static void every_loss_has_the_bits_of_one_rank(void **state) {
    static const int64_t shapes[][3] = {{70, 24, 700}, {160, 17, 10}, {300, 16, 130}};
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) {
        const int64_t *n = shapes[i % 3];
        const char *name = lgt_loss_at(i)->name;
        test_head h = test_head_random(name, n[0], n[1], n[2], 5 + (uint64_t)i);
        compare_runs(&h, name);
        test_head_free(&h);
    }
}

static void so_has_every_option(void **state) {
    (void)state;
    for (int option = 0; option < 6; option++) {
        test_head h = test_head_random(option == 3 ? "softmax" : "arcface:s=16,m=0.3", 90, 21, 400, 40);
        if (option == 0) h.options.label_smoothing = 0.1, h.options.z_loss = 0.01;
        if (option == 1) test_head_margins(&h, 3), test_head_scales(&h, 4);
        if (option == 2) {
            h.options.ignore_label = -5;
            for (int64_t i = 0; i < h.n_rows; i += 3) h.labels[i] = -5;
        }
        if (option == 3) test_head_soften(&h, 6);
        if (option == 4) h.options.reduction = LGT_REDUCTION_SUM, h.class_weights = test_weights(400, 7);
        if (option == 5) memset(h.w + 399 * 21, 0, 21 * sizeof *h.w), memset(h.x, 0, 21 * sizeof *h.x);
        compare_runs(&h, "an option");
        test_head_free(&h);
    }
}

/* Where dw of one rank has no room for its weights (bf16, added to), all make two passes: the same rows on all of them.
 * A rank without classes has no say. */
static void ranks_make_the_same_passes(void **state) {
    lgt_context *context = test_context(2);
    (void)state;
    test_head h = test_head_random("arcface:s=16,m=0.3", 24, 64, 700, 90);
    h.options.workspace = 1;
    compare_runs(&h, "weights in dw");
    h.options.precision = LGT_PRECISION_BF16;
    h.accumulate = 1;
    test_result alone = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F32);
    h.accumulate = 0;
    test_result once = test_head_run(context, &h, LGT_ENGINE_CPU, LGT_F32);
    assert_false(test_result_same(&h, &alone, &once));
    for (int adder = 1; adder <= 7; adder++) { /* the seventh has no classes */
        test_rank_job j = {.head = &h, .dtype = LGT_F32, .adder = adder};
        test_rank_run_all(&j, 7);
        for (int r = 0; r < 7; r++)
            assert_memory_equal(j.results[r].dx, (adder < 7 ? alone : once).dx,
                                (size_t)(h.n_rows * h.dim) * sizeof(double));
        test_rank_free(&j, 7);
    }
    test_result_free(&alone), test_result_free(&once);
    test_head_free(&h);
    lgt_context_free(context);
}

static void so_have_hessian_vector_products(void **state) {
    static const char *const specs[] = {"softmax", "arcface:s=16,m=0.3", "lsoftmax:m=3", "subcenter:s=16,k=3",
                                        "curricularface:s=16,t=0.2"};
    lgt_context *context = test_context(2);
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        for (int still = 0; still < 2; still++) {
            test_head h = test_head_random(specs[i], 50, 19, 300, 60 + i);
            test_vectors along = test_vectors_of(&h, 9);
            if (still) free(along.x), along.x = NULL;
            test_vectors alone = test_head_hvp(context, &h, LGT_ENGINE_CPU, LGT_F64, &along);
            for (int k = 0; k < N_SIZES; k++) {
                test_rank_job j = {.head = &h, .dtype = LGT_F64, .along = &along};
                test_rank_run_all(&j, sizes[k]);
                test_vectors all = test_vectors_of(&h, 0);
                test_rank_join(&j, sizes[k], all.w, all.b);
                assert_memory_equal(all.w, alone.w, (size_t)(h.w_rows * h.dim) * sizeof(double));
                if (h.bias) assert_memory_equal(all.b, alone.b, (size_t)h.n_classes * sizeof(double));
                for (int r = 0; r < sizes[k]; r++)
                    assert_memory_equal(j.products[r].x, alone.x, (size_t)(h.n_rows * h.dim) * sizeof(double));
                test_rank_free(&j, sizes[k]);
                test_vectors_free(&all);
            }
            test_vectors_free(&alone), test_vectors_free(&along);
            test_head_free(&h);
        }
    lgt_context_free(context);
}

enum { LN = 40, LD = 16, LC = 500, LISTED = 60 };

/* Runs over lists of classes, rows of dw into sinks: into one array (C, D) from all ranks. */
typedef struct list_job {
    lgt_precision precision;
    const test_head *head;
    float x[LN * LD], w[LC * LD], dx[TEST_MOST_RANKS][LN * LD], dw[LC * LD];
    lgt_status statuses[TEST_MOST_RANKS];
    lgt_error errors[TEST_MOST_RANKS];
} list_job;

static void keep_row(void *user, int64_t row, const void *gradient) {
    memcpy((float *)user + row * LD, gradient, LD * sizeof(float));
}

static lgt_status run_lists(list_job *j, const lgt_comm *comm, lgt_plan *plan, int64_t first, int64_t count,
                            lgt_error *err) {
    int64_t labels[LN], classes[LISTED];
    lgt_head_inputs in = {.x = lgt_view_of(j->x, LN, LD, LGT_F32),
                          .w = lgt_view_of(j->w + first * LD, count, LD, LGT_F32),
                          .labels = labels,
                          .classes = classes,
                          .n_listed = LISTED};
    int64_t first_list = comm ? 8 : 5;
    lgt_head_outputs out = {.dx = lgt_mut_of(j->dx[comm ? comm->rank : 0], LN, LD, LGT_F32),
                            .sink = {keep_row, j->dw + first * LD}};
    lgt_status status = LGT_OK;
    for (int64_t i = 0; i < LN; i++) labels[i] = i % 7 * 40;
    /* The second list leaves the last stripes without a class, and nothing of the first run in them. */
    for (int64_t every = first_list; every >= 5 && !status; every -= 3) {
        for (int64_t k = 0; k < LISTED; k++) classes[k] = k * every;
        memset(j->dw + first * LD, 0, (size_t)(count * LD) * sizeof(float));
        status = lgt_plan_run(plan, &in, &out, err);
    }
    return status;
}

static void run_list_rank(void *argument, const lgt_comm *comm) {
    list_job *j = argument;
    int r = comm ? comm->rank : 0;
    lgt_context *context = test_context(1 + r % 2);
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_error *err = &j->errors[r];
    int64_t first = 0, count = LC;
    lgt_plan_options o;
    lgt_plan_options_init(&o);
    o.max_rows = LN, o.max_classes = LISTED, o.sinks = 1, o.precision = j->precision, o.comm = comm;
    lgt_status status = lgt_head_create(context, &j->head->loss, LD, LC, &head, err);
    if (!status && comm) status = lgt_head_shard(head, comm->size, r, &first, &count, err);
    if (!status) status = lgt_plan_create(head, &o, &plan, err);
    j->statuses[r] = status ? status : run_lists(j, comm, plan, first, count, err);
    lgt_plan_free(plan);
    lgt_head_free(head);
    lgt_context_free(context);
}

static void so_have_listed_classes_and_sinks(void **state) {
    static list_job alone, all;
    (void)state;
    test_head h = test_head_random("arcface:s=16,m=0.3", LN, LD, LC, 80);
    for (int precision = 0; precision <= LGT_PRECISION_BF16; precision++) {
        alone = (list_job){.precision = (lgt_precision)precision, .head = &h};
        for (int64_t k = 0; k < LN * LD; k++) alone.x[k] = (float)h.x[k];
        for (int64_t k = 0; k < LC * LD; k++) alone.w[k] = (float)h.w[k];
        run_list_rank(&alone, NULL);
        assert_ok(alone.statuses[0], alone.errors[0]);
        for (int k = 0; k < N_SIZES; k++) {
            all = alone;
            memset(all.dw, 0, sizeof all.dw), memset(all.dx, 0, sizeof all.dx);
            test_on_ranks(sizes[k], 20, run_list_rank, &all);
            for (int r = 0; r < sizes[k]; r++) {
                assert_ok(all.statuses[r], all.errors[r]);
                assert_memory_equal(all.dx[r], alone.dx[0], sizeof alone.dx[0]);
            }
            assert_memory_equal(all.dw, alone.dw, sizeof alone.dw);
        }
    }
    test_head_free(&h);
}

/* What one rank finds all ranks say. */
static void a_fault_of_one_rank_is_told_by_all(void **state) {
    (void)state;
    for (int where = 0; where < 3; where++) {
        test_head h = test_head_random("arcface", 20, 8, 200, 70);
        if (where == 0) h.w[150 * 8 + 3] = NAN; /* the second of two ranks */
        if (where == 1) h.x[5 * 8] = NAN;
        if (where == 2) h.labels[3] = 200;
        test_rank_job j = {.head = &h, .dtype = LGT_F64};
        test_on_ranks(2, 20, test_rank_run, &j);
        for (int r = 0; r < 2; r++) {
            assert_int_equal(j.statuses[r], LGT_ERR_DATA);
            assert_non_null(strstr(j.errors[r].message, where == 0 ? "rank 1: w holds nan" : "rank 0: "));
            test_result_free(&j.results[r]);
        }
        test_head_free(&h);
    }
}

/* So with gradients that do not fit, of rows, which all have, and of classes, which one has. */
static void a_gradient_beyond_its_type_is_told_by_all(void **state) {
    (void)state;
    for (int of_class = 0; of_class < 2; of_class++) {
        double weights[20];
        test_head h = test_head_random("arcface", 20, 8, 200, 70);
        for (int i = 0; i < 20; i++) weights[i] = 1e25;
        for (int k = 0; k < 8; k++) *(of_class ? &h.w[150 * 8 + k] : &h.x[5 * 8 + k]) *= 1e-20;
        h.sample_weights = weights;
        h.options.reduction = LGT_REDUCTION_SUM;
        test_rank_job j = {.head = &h, .dtype = LGT_F32};
        test_on_ranks(2, 20, test_rank_run, &j);
        for (int r = 0; r < 2; r++) {
            assert_int_equal(j.statuses[r], LGT_ERR_NONFINITE);
            assert_string_equal(j.errors[r].message, of_class ? "rank 1: dw: row 22 exceeds the range of f32"
                                                              : "rank 0: dx: row 5 exceeds the range of f32");
            test_result_free(&j.results[r]);
        }
        h.sample_weights = NULL;
        test_head_free(&h);
    }
}

static void a_rank_that_gives_up_ends_the_run_of_all(void **state) {
    (void)state;
    test_head h = test_head_random("arcface", 20, 8, 200, 71);
    for (int64_t call = 1; call <= 40; call++)
        for (int fault = LGT_COMM_FAULT_FAIL; fault <= LGT_COMM_FAULT_VANISH; fault++) {
            lgt_comm comms[3];
            lgt_error err;
            test_rank_job j = {.head = &h, .dtype = LGT_F32};
            lgt_comm_group *group = test_group(3, fault == LGT_COMM_FAULT_FAIL ? 20 : 0.05, comms);
            assert_ok(lgt_comm_group_inject(group, 1, call, (lgt_comm_fault)fault, &err), err);
            test_run_ranks(comms, 3, test_rank_run, &j);
            int failed = j.statuses[1] != LGT_OK;
            for (int r = 0; r < 3; r++) {
                assert_int_equal(j.statuses[r], failed ? LGT_ERR_COMM : LGT_OK);
                test_result_free(&j.results[r]);
            }
            lgt_comm_group_free(group);
            if (!failed) {
                assert_true(call > 5); /* there were calls to fail */
                call = 41;
                break;
            }
        }
    test_head_free(&h);
}

/* Bytes a rank sends do not grow with the classes. */
static void traffic_is_of_rows_and_never_of_classes(void **state) {
    int64_t sent[2];
    (void)state;
    for (int k = 0; k < 2; k++) {
        lgt_comm comms[4];
        test_head h = test_head_random("arcface", 64, 32, k ? 16384 : 2048, 72);
        test_rank_job j = {.head = &h, .dtype = LGT_F32};
        lgt_comm_group *group = test_group(4, 20, comms);
        test_run_ranks(comms, 4, test_rank_run, &j);
        sent[k] = 0;
        for (int r = 0; r < 4; r++) {
            assert_ok(j.statuses[r], j.errors[r]);
            sent[k] += lgt_comm_group_sent(group, r);
            test_result_free(&j.results[r]);
        }
        lgt_comm_group_free(group);
        test_head_free(&h);
    }
    assert_int_equal(sent[0], sent[1]);
    /* dx of sixteen stripes, the targets' rows, crowds of 56 bytes: to three others each; the rest is small. */
    int64_t most = 3 * 64 * (16 * 32 * 4 + 32 * 4 + 16 * 56);
    assert_true(sent[0] >= 3 * 64 * 16 * 32 * 4);
    assert_true(sent[0] <= most + 20000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_loss_has_the_bits_of_one_rank),
        cmocka_unit_test(so_has_every_option),
        cmocka_unit_test(ranks_make_the_same_passes),
        cmocka_unit_test(so_have_hessian_vector_products),
        cmocka_unit_test(so_have_listed_classes_and_sinks),
        cmocka_unit_test(a_fault_of_one_rank_is_told_by_all),
        cmocka_unit_test(a_gradient_beyond_its_type_is_told_by_all),
        cmocka_unit_test(a_rank_that_gives_up_ends_the_run_of_all),
        cmocka_unit_test(traffic_is_of_rows_and_never_of_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
