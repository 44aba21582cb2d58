/* Arrays of more elements than an int32 counts: rows far apart, more logits, and (argument `long`) more weights than
 * 2^31. What is not touched takes no memory: 24 GiB are plenty. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "heads.h"

static int is_long;

/* Zeros that take memory where they are written. Skips the test without address space for them. */
static float *vast(int64_t count) {
    float *memory = calloc((size_t)count, sizeof *memory);
    if (!memory) print_message("no room for %lld numbers\n", (long long)count), skip();
    return memory;
}

/* --- Rows far apart --- */

enum { N = 37, D = 33, C = 41 };

/* The distance at which the last of that many rows lies beyond 2^31 elements. */
static int64_t apart(int64_t rows) {
    return ((int64_t)1 << 31) / (rows - 1) + 7;
}

static void scatter(const double *from, int64_t rows, int64_t cols, float *to) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < cols; k++) to[i * apart(rows) + k] = (float)from[i * cols + k];
}

static void assert_rows(const char *what, const float *found, const double *expected, int64_t rows, int64_t cols) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < cols; k++)
            if ((double)found[i * apart(rows) + k] != expected[i * cols + k])
                fail_msg("%s (%d, %d) is %g, expected %g", what, (int)i, (int)k, (double)found[i * apart(rows) + k],
                         expected[i * cols + k]);
}

static void run_apart(lgt_context *context, const test_head *h) {
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_error err;
    int64_t classes[C];
    int64_t of_x = apart(N), of_w = apart(h->w_rows);
    float *x = vast(N * of_x), *w = vast(h->w_rows * of_w), *dx = vast(N * of_x), *dw = vast(h->w_rows * of_w),
          *soft = vast(h->soft_targets ? N * of_x : 1);
    test_result expected = test_head_run(context, h, LGT_ENGINE_CPU, LGT_F32);
    for (int64_t j = 0; j < C; j++) classes[j] = j;
    scatter(h->x, N, D, x), scatter(h->w, h->w_rows, D, w);
    if (h->soft_targets) scatter(h->soft_targets, N, C, soft);
    lgt_head_inputs in = {.x = {x, N, D, of_x, LGT_F32}, .w = {w, h->w_rows, D, of_w, LGT_F32}, .labels = h->labels};
    if (h->soft_targets) in.soft_targets = (lgt_view){soft, N, C, of_x, LGT_F32};
    lgt_plan_options options = h->options;
    if (!h->soft_targets) in.classes = classes, in.n_listed = options.max_classes = C;
    lgt_head_outputs out = {.dx = {dx, N, D, of_x, LGT_F32}, .dw = {dw, h->w_rows, D, of_w, LGT_F32}};
    assert_ok(lgt_head_create(context, &h->loss, D, C, &head, &err), err);
    assert_ok(lgt_plan_create(head, &options, &plan, &err), err);
    assert_ok(lgt_plan_run(plan, &in, &out, &err), err);
    assert_rows("dx", dx, expected.dx, N, D);
    assert_rows("dw", dw, expected.dw, h->w_rows, D);
    assert_true(out.loss == expected.out.loss);
    lgt_plan_free(plan), lgt_head_free(head);
    test_result_free(&expected);
    free(soft), free(dw), free(dx), free(w), free(x);
}

static void rows_far_apart_are_found(void **state) {
    static const char *const specs[] = {"softmax", "arcface:s=16", "subcenter:s=16,k=3", "adaface:s=16"};
    (void)state;
    lgt_context *context = test_context(2);
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        test_head h = test_head_random(specs[i], N, D, C, 5);
        h.bias = 0;
        h.options.precision = (lgt_precision)(i % (LGT_PRECISION_BF16 + 1));
        if (i == 0) test_head_soften(&h, 5);
        run_apart(context, &h);
        test_head_free(&h);
    }
    lgt_context_free(context);
}

/* --- More logits --- */

/* sum_j exp(<w_j, x_i>) and what it is made of, for one row. */
static double sum_of_exponentials(const float *x, const float *w, int64_t n_classes, int64_t dim) {
    double sum = 0;
    for (int64_t j = 0; j < n_classes; j++) {
        double z = 0;
        for (int64_t k = 0; k < dim; k++) z += (double)w[j * dim + k] * (double)x[k];
        sum += exp(z);
    }
    return sum;
}

static void more_logits_than_an_int32_counts(void **state) {
    enum { ROWS = 2048, DIM = 4, CLASSES = 1050000 };
    (void)state;
    assert_true((int64_t)ROWS * CLASSES > INT32_MAX);
    lgt_context *context = test_context(0);
    lgt_loss loss;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_plan_options options;
    lgt_error err;
    float *x = vast(ROWS * DIM), *w = vast((int64_t)CLASSES * DIM), *dw = vast((int64_t)CLASSES * DIM);
    int64_t *labels = calloc(ROWS, sizeof *labels);
    double *lse = calloc(ROWS, sizeof *lse);
    assert_true(labels && lse);
    test_normal_f32(x, ROWS * DIM, 1, 1);
    for (int64_t k = 0; k < (int64_t)CLASSES * DIM; k++) w[k] = (float)(k * 7919 % 1009 - 504) / 1009;
    test_labels(labels, ROWS, CLASSES, 1);
    labels[ROWS - 1] = CLASSES - 1;
    lgt_plan_options_init(&options);
    options.max_rows = ROWS;
    options.reduction = LGT_REDUCTION_SUM;
    assert_ok(lgt_loss_parse("softmax", &loss, &err), err);
    assert_ok(lgt_head_create(context, &loss, DIM, CLASSES, &head, &err), err);
    assert_ok(lgt_plan_create(head, &options, &plan, &err), err);
    lgt_head_inputs in = {.x = lgt_view_of(x, ROWS, DIM, LGT_F32), .w = lgt_view_of(w, CLASSES, DIM, LGT_F32)};
    lgt_head_outputs out = {.dw = lgt_mut_of(dw, CLASSES, DIM, LGT_F32), .lse = lse};
    in.labels = labels;
    assert_ok(lgt_plan_run(plan, &in, &out, &err), err);
    for (int64_t i = 0; i < ROWS; i += ROWS - 1) /* float32 sums of a million terms */
        assert_at_most(fabs(lse[i] - log(sum_of_exponentials(x + i * DIM, w, CLASSES, DIM))), 1e-5, "lse");
    for (int64_t j = 0; j < CLASSES; j += CLASSES - 1) { /* errors are relative to whole vectors */
        double sum[DIM] = {0}, size = 0;
        for (int64_t i = 0; i < ROWS; i++) {
            double z = 0, length = 0;
            for (int64_t l = 0; l < DIM; l++) z += (double)w[j * DIM + l] * (double)x[i * DIM + l];
            double p = exp(z - lse[i]) - (labels[i] == j);
            for (int64_t k = 0; k < DIM; k++) sum[k] += p * (double)x[i * DIM + k];
            for (int64_t k = 0; k < DIM; k++) length = fmax(length, fabs((double)x[i * DIM + k]));
            size += fabs(p) * length;
        }
        for (int64_t k = 0; k < DIM; k++) assert_at_most(fabs((double)dw[j * DIM + k] - sum[k]), 1e-5 * size, "dw");
    }
    lgt_plan_free(plan), lgt_head_free(head), lgt_context_free(context);
    free(lse), free(labels), free(dw), free(w), free(x);
}

/* --- More weights --- */

enum { WIDE = 512, MANY = 4194400, EVERY = 99991, SPECIAL = (MANY - 1) / EVERY + 1 };

typedef struct taken {
    unsigned char *times;
    float special[SPECIAL * WIDE], plain[WIDE];
} taken;

static void take(void *user, int64_t row, const void *gradient) {
    taken *t = user;
    t->times[row]++;
    if (row % EVERY == 0) memcpy(t->special + row / EVERY * WIDE, gradient, WIDE * sizeof(float));
    if (row == MANY - 1) memcpy(t->plain, gradient, sizeof t->plain);
}

/* All classes are 0 but one in EVERY: their logits are 0, and their gradients the same. */
static void more_weights_than_an_int32_counts(void **state) {
    static taken t;
    (void)state;
    assert_true((int64_t)WIDE * MANY > INT32_MAX);
    assert_true((MANY - 1) % EVERY != 0);
    if (!is_long) print_message("takes long: run with the argument `long`\n"), skip();
    lgt_context *context = test_context(0);
    lgt_loss loss;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_plan_options options;
    lgt_error err;
    float x[WIDE], *w = vast((int64_t)WIDE * MANY);
    double lse = 0, sum = MANY - SPECIAL;
    int64_t label = (SPECIAL - 1) * EVERY;
    t.times = calloc(MANY, 1);
    assert_non_null(t.times);
    test_normal_f32(x, WIDE, 3, 1);
    for (int64_t s = 0; s < SPECIAL; s++) {
        double z = 0;
        float *row = w + s * EVERY * WIDE;
        test_normal_f32(row, WIDE, 3, 2 + (uint64_t)s);
        for (int64_t k = 0; k < WIDE; k++) row[k] *= 0.25f, z += (double)row[k] * (double)x[k];
        sum += exp(z);
    }
    lgt_plan_options_init(&options);
    options.sinks = 1;
    assert_ok(lgt_loss_parse("softmax", &loss, &err), err);
    assert_ok(lgt_head_create(context, &loss, WIDE, MANY, &head, &err), err);
    assert_ok(lgt_plan_create(head, &options, &plan, &err), err);
    lgt_head_inputs in = {.x = lgt_view_of(x, 1, WIDE, LGT_F32), .w = lgt_view_of(w, MANY, WIDE, LGT_F32)};
    lgt_head_outputs out = {.sink = {take, &t}, .lse = &lse};
    in.labels = &label;
    assert_ok(lgt_plan_run(plan, &in, &out, &err), err);
    assert_at_most(fabs(lse - log(sum)), 1e-5, "lse");
    for (int64_t j = 0; j < MANY; j++) assert_int_equal(t.times[j], 1);
    for (int64_t s = 0; s <= SPECIAL; s++) {
        double z = 0;
        for (int64_t k = 0; k < WIDE && s < SPECIAL; k++) z += (double)w[s * EVERY * WIDE + k] * (double)x[k];
        double p = exp(z - lse) - (s == SPECIAL - 1);
        for (int64_t k = 0; k < WIDE; k++) {
            double found = (double)(s < SPECIAL ? t.special[s * WIDE + k] : t.plain[k]);
            assert_at_most(fabs(found - p * (double)x[k]), 1e-4 * fabs(p) * (1 + fabs((double)x[k])), "dw");
        }
    }
    lgt_plan_free(plan), lgt_head_free(head), lgt_context_free(context);
    free(t.times), free(w);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_far_apart_are_found),
        cmocka_unit_test(more_logits_than_an_int32_counts),
        cmocka_unit_test(more_weights_than_an_int32_counts),
    };
    is_long = argc > 1 && strcmp(argv[1], "long") == 0;
#if defined(__SANITIZE_ADDRESS__)
    print_message("skipped: the sanitizer would fill memory with its books of every byte\n");
    return 0;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
