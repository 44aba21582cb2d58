/* How near dx and dw are to double for every arithmetic of products on every instruction set, and that low precision is
 * as sound as float32 where numbers are extreme. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "heads.h"

/* Relative to the largest entry, from D = 128 on: with fewer dimensions the errors of single products average out less.
 * Two bfloat16 hold 16 bits or more, so products are off by 2^-15 of a term at worst, and their sums by that over
 * sqrt(D); one holds 8, and a scale of 64 makes of 2^-8 / sqrt(128) the 2 % promised. */
static const struct {
    lgt_precision precision;
    const char *name;
    double gate;
} arithmetics[] = {
    {LGT_PRECISION_FULL, "f32", 5e-6}, {LGT_PRECISION_BF16X3, "bf16x3", 5e-5}, {LGT_PRECISION_BF16, "bf16", 2e-2}};
enum { N_ARITHMETICS = sizeof arithmetics / sizeof *arithmetics };

static lgt_context *contexts[LGT_ISA_AMX + 1];

static int open_contexts(void **state) {
    (void)state;
    for (int isa = LGT_ISA_GENERIC; isa <= LGT_ISA_AMX; isa++) contexts[isa] = test_context_on(2, (lgt_isa)isa);
    print_message("this machine has %s\n", lgt_isa_name(lgt_context_isa(contexts[LGT_ISA_AMX])));
    return 0;
}

static int close_contexts(void **state) {
    (void)state;
    for (int isa = LGT_ISA_GENERIC; isa <= LGT_ISA_AMX; isa++) lgt_context_free(contexts[isa]);
    return 0;
}

/* Weights of unit length or so: products of 512 terms with logits of a usual size. */
static test_head problem_of(const char *spec, const int64_t size[3], uint64_t seed) {
    test_head h = test_head_random(spec, size[0], size[1], size[2], seed);
    for (int64_t k = 0; k < h.w_rows * h.dim; k++) h.w[k] /= sqrt((double)h.dim);
    test_head_round(&h);
    return h;
}

static double worst[N_ARITHMETICS];

/* Gradients that jump with the products: at the nearest of several centres, and where a negative becomes hard. */
static int jumps(const test_head *h) {
    return h->w_rows > h->n_classes || strcmp(h->loss.info->name, "curricularface") == 0;
}

/* The largest error of dx, dw and db. A product on the edge of a jump may fall to the other side in bf16: then that of
 * the rows of dx but for the worst one in twenty. */
static double error_of(const test_head *h, lgt_precision precision, const test_result *found,
                       const test_result *expected, double gate) {
    if (precision != LGT_PRECISION_BF16 || !jumps(h)) return test_result_error(h, found, expected);
    int64_t n = h->n_rows * h->dim, beyond = 0;
    double scale = 0, largest = 0;
    for (int64_t k = 0; k < n; k++) scale = fmax(scale, fabs(expected->dx[k]));
    for (int64_t i = 0; i < h->n_rows; i++) {
        double error = 0;
        for (int64_t k = i * h->dim; k < (i + 1) * h->dim; k++)
            error = fmax(error, fabs(found->dx[k] - expected->dx[k]) / scale);
        if (error > gate && ++beyond * 20 <= h->n_rows) continue;
        largest = fmax(largest, error);
    }
    return largest;
}

/* Every arithmetic on every instruction set against the reference. */
static void compare(test_head *h, const char *spec) {
    char what[200];
    test_result expected = test_head_run(contexts[0], h, LGT_ENGINE_REFERENCE, LGT_F64);
    for (int isa = LGT_ISA_GENERIC; isa <= (int)lgt_context_isa(contexts[LGT_ISA_AMX]); isa++)
        for (size_t a = 0; a < N_ARITHMETICS; a++) {
            h->options.precision = arithmetics[a].precision;
            test_result found = test_head_run(contexts[isa], h, LGT_ENGINE_CPU, LGT_F32);
            double error = error_of(h, arithmetics[a].precision, &found, &expected, arithmetics[a].gate);
            snprintf(what, sizeof what, "%s (%d, %d, %d) in %s on %s", spec, (int)h->n_rows, (int)h->dim,
                     (int)h->n_classes, arithmetics[a].name, lgt_isa_name((lgt_isa)isa));
            assert_at_most(error, arithmetics[a].gate, what);
            assert_at_most(fabs(found.out.loss - expected.out.loss),
                           arithmetics[a].gate * fmax(1, fabs(expected.out.loss)), what);
            worst[a] = fmax(worst[a], error);
            test_result_free(&found);
        }
    h->options.precision = LGT_PRECISION_FULL;
    test_result_free(&expected);
}

static void tell_worst(const char *of) {
    for (size_t a = 0; a < N_ARITHMETICS; a++) {
        print_message("%s: %s is off by %.2g of the largest entry at most\n", of, arithmetics[a].name, worst[a]);
        worst[a] = 0;
    }
}

static void gradients_of_every_loss_are_near_those_in_double(void **state) {
    static const int64_t sizes[][3] = {{45, 128, 201}, {19, 512, 71}, {131, 141, 23}};
    (void)state;
    for (int i = 0; test_specs[i]; i++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            test_head h = problem_of(test_specs[i], sizes[k], 3 + (uint64_t)i);
            compare(&h, test_specs[i]);
            test_head_free(&h);
        }
    tell_worst("every loss");
}

static void options_that_bend_or_share_targets_are_as_near(void **state) {
    static const char *const specs[] = {"softmax", "normalized:s=16", "arcface:s=16,m=0.3", "curricularface:s=16,t=0.3",
                                        "subcenter:s=16,k=3"};
    static const int64_t size[] = {41, 128, 201};
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        for (unsigned mask = 0; mask < 16; mask += 3) {
            test_head h = problem_of(specs[i], size, 50 + mask);
            if (mask & 1) h.options.label_smoothing = 0.1;
            if (mask & 2) h.options.z_loss = 0.01;
            if (mask & 4 && test_head_has(&h, LGT_ROLE_SCALE)) test_head_scales(&h, mask);
            if (mask & 8 && h.loss.info->n_params <= 2) test_head_soften(&h, mask); /* softmax, normalized */
            compare(&h, specs[i]);
            test_head_free(&h);
        }
    tell_worst("options");
}

/* The largest tiles and blocks that there are, several of each, in more panels than one. */
static void crossings_of_full_size_are_as_near(void **state) {
    static const char *const specs[] = {"softmax", "arcface:s=32,m=0.4"};
    static const int64_t size[] = {200, 130, 4231};
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        test_head h = problem_of(specs[i], size, 9);
        compare(&h, specs[i]);
        test_head_free(&h);
    }
    tell_worst("full size");
}

/* --- Corners --- */

/* NaN or infinity nowhere; or the run is refused, which only numbers near the largest float32 may be. */
static void check_sound(const test_head *h, int may_refuse, const char *what) {
    for (int isa = LGT_ISA_GENERIC; isa <= (int)lgt_context_isa(contexts[LGT_ISA_AMX]); isa++) {
        test_result r;
        lgt_error err;
        lgt_status status = test_head_try(contexts[isa], h, LGT_ENGINE_CPU, LGT_F32, &r, &err);
        if (status && !(may_refuse && status == LGT_ERR_NONFINITE)) assert_ok(status, err);
        if (!status && !test_result_finite(h, &r))
            fail_msg("%s: %s in precision %d on %s is not finite", h->loss.info->name, what, (int)h->options.precision,
                     lgt_isa_name((lgt_isa)isa));
        test_result_free(&r);
    }
}

/* Vectors of very different lengths in one problem: x and w take these in turn, shifted. Where only w counts by its
 * direction dw is as large as |x| / |w|, and x stays short. */
static void spread(test_head *h, int shift) {
    static const double lengths[] = {1, 1e-15, 0, 1e15, 1e-30, 3, 1e-42, 1e-38};
    enum { N_LENGTHS = sizeof lengths / sizeof *lengths };
    double most = h->loss.info->space == LGT_SPACE_COSW ? 3 : INFINITY;
    for (int64_t k = 0; k < h->n_rows * h->dim; k++) h->x[k] *= fmin(lengths[k / h->dim % N_LENGTHS], most);
    for (int64_t k = 0; k < h->w_rows * h->dim; k++) h->w[k] *= lengths[(k / h->dim + shift) % N_LENGTHS];
}

static void vectors_of_any_length_give_numbers(void **state) {
    static const int64_t size[] = {35, 40, 70};
    (void)state;
    for (int i = 0; test_specs[i]; i++)
        for (int precision = LGT_PRECISION_FULL; precision <= LGT_PRECISION_BF16; precision++)
            for (int shift = 0; shift < 8; shift += 3) {
                test_head h = problem_of(test_specs[i], size, 77 + (uint64_t)shift);
                spread(&h, shift);
                h.options.precision = (lgt_precision)precision;
                if (shift == 3) h.options.label_smoothing = 0.1;
                if (shift == 6 && test_head_has(&h, LGT_ROLE_SCALE)) test_head_scales(&h, 5);
                check_sound(&h, 0, "a mixture of lengths");
                test_head_free(&h);
            }
}

/* Rounding to bfloat16 carries numbers above 255.5 / 256 of 2^128 to infinity, though their products would fit. */
static void numbers_that_bfloat16_has_no_place_for_are_refused_or_give_numbers(void **state) {
    static const int64_t size[] = {5, 33, 9};
    static const char *const specs[] = {"softmax", "lsoftmax:m=3", "sphereface", "arcface", "subcenter"};
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        for (int precision = LGT_PRECISION_FULL; precision <= LGT_PRECISION_BF16; precision++)
            for (int of_w = 0; of_w < 2; of_w++) {
                test_head h = problem_of(specs[i], size, 4);
                double *huge = of_w ? h.w : h.x, *small = of_w ? h.x : h.w;
                int64_t n_small = of_w ? h.n_rows * h.dim : h.w_rows * h.dim;
                for (int64_t k = 0; k < n_small; k++) small[k] *= 1e-30;
                huge[3] = (double)FLT_MAX;
                h.options.precision = (lgt_precision)precision;
                check_sound(&h, 1, "the largest float");
                test_head_free(&h);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_every_loss_are_near_those_in_double),
        cmocka_unit_test(options_that_bend_or_share_targets_are_as_near),
        cmocka_unit_test(crossings_of_full_size_are_as_near),
        cmocka_unit_test(vectors_of_any_length_give_numbers),
        cmocka_unit_test(numbers_that_bfloat16_has_no_place_for_are_refused_or_give_numbers),
    };
    return cmocka_run_group_tests(tests, open_contexts, close_contexts);
}
