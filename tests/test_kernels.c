/* Tile kernels of every instruction set that this processor runs, in float, float rounded to bfloat16 and double,
 * against long double. */
#include "support.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu_features.h"
#include "base/philox.h"
#include "kernel/kernels.h"

/* Tiles of bfloat16 have tests of their own; their exponentials and sums are AVX-512's. */
static lgt_isa best_of_vectors(void) {
    return lgt_cpu_best_isa() < LGT_ISA_AVX512 ? lgt_cpu_best_isa() : LGT_ISA_AVX512;
}

#define best_f32  best_of_vectors
#define best_bf16 best_of_vectors
#define best_f64  best_of_vectors

static void fill_f32(float *out, int64_t n, uint64_t seed) {
    lgt_rng rng = {60, seed};
    for (int64_t i = 0; i < n; i++) out[i] = (float)lgt_rng_normal(&rng, (uint64_t)i);
}

static void fill_f64(double *out, int64_t n, uint64_t seed) {
    lgt_rng rng = {60, seed};
    for (int64_t i = 0; i < n; i++) out[i] = lgt_rng_normal(&rng, (uint64_t)i);
}

#define fill_bf16 fill_f32

/* bfloat16 has 8 significant bits; no number here is subnormal. nearbyint rounds to nearest even. */
static float to_bf16(float v) {
    int exponent;
    float fraction = frexpf(v, &exponent);
    return ldexpf(nearbyintf(ldexpf(fraction, 8)), exponent - 8);
}

#define T        float
#define KERNELS  lgt_kernels_f32
#define EPSILON  0x1p-23
#define LEAST    0x1p-126f
#define SPACING  0x1p-149f
#define EXP_LOW  (-104.0)
#define FN(name) name##_f32
#define SET(isa) lgt_kernels_f32_of(isa, LGT_PRECISION_FULL)
#include "kernels_template.h"

#define T        double
#define KERNELS  lgt_kernels_f64
#define EPSILON  0x1p-52
#define LEAST    0x1p-1022
#define SPACING  0x1p-1074
#define EXP_LOW  (-745.0)
#define FN(name) name##_f64
#define SET(isa) lgt_kernels_f64_of(isa)
#include "kernels_template.h"

#define T        float
#define KERNELS  lgt_kernels_f32
#define EPSILON  0x1p-23
#define FN(name) name##_f32
#define SET(isa) lgt_kernels_f32_of(isa, LGT_PRECISION_FULL)
#define ROUND(v) (v)
#include "products_template.h"

#define T        float
#define KERNELS  lgt_kernels_f32
#define EPSILON  0x1p-23
#define FN(name) name##_bf16
#define SET(isa) lgt_kernels_f32_of(isa, LGT_PRECISION_BF16)
#define ROUND(v) to_bf16(v)
#include "products_template.h"

#define T        double
#define KERNELS  lgt_kernels_f64
#define EPSILON  0x1p-52
#define FN(name) name##_f64
#define SET(isa) lgt_kernels_f64_of(isa)
#define ROUND(v) (v)
#include "products_template.h"

static int tell_instruction_sets(void **state) {
    (void)state;
    for (int isa = LGT_ISA_GENERIC; isa <= LGT_ISA_AVX512; isa++)
        print_message("instruction set %d: %s\n", isa, isa <= (int)lgt_cpu_best_isa() ? "tested" : "skipped, not here");
    return 0;
}

static void every_instruction_set_has_its_own_kernels(void **state) {
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= best_of_vectors(); isa++) {
        const lgt_kernels_f32 *full = lgt_kernels_f32_of(isa, LGT_PRECISION_FULL);
        assert_ptr_equal(lgt_kernels_f32_of(isa, LGT_PRECISION_BF16X3), full);
        assert_ptr_not_equal(lgt_kernels_f32_of(isa, LGT_PRECISION_BF16), full);
        for (lgt_isa lower = LGT_ISA_GENERIC; lower < isa; lower++) {
            assert_ptr_not_equal(full, lgt_kernels_f32_of(lower, LGT_PRECISION_FULL));
            assert_ptr_not_equal(lgt_kernels_f64_of(isa), lgt_kernels_f64_of(lower));
        }
    }
    if (best_of_vectors() == LGT_ISA_AVX512) /* what has no set of its own has the one below */
        assert_ptr_equal(lgt_kernels_f64_of(LGT_ISA_BEST), lgt_kernels_f64_of(LGT_ISA_AVX512));
}

#define PRODUCT_TESTS_OF(suffix)                                                                                       \
    cmocka_unit_test(products_agree_with_long_double_##suffix), cmocka_unit_test(packing_rounds_once_##suffix),        \
        cmocka_unit_test(a_cut_of_the_classes_keeps_the_bits_##suffix)

#define TESTS_OF(suffix)                                                                                               \
    PRODUCT_TESTS_OF(suffix), cmocka_unit_test(exp_is_within_one_and_a_half_ulp_##suffix),                             \
        cmocka_unit_test(exp_has_its_exact_values_and_fades_out_##suffix),                                             \
        cmocka_unit_test(sums_of_exponentials_agree_with_long_double_##suffix),                                        \
        cmocka_unit_test(weights_agree_with_long_double_##suffix),                                                     \
        cmocka_unit_test(squares_agree_with_long_double_##suffix),                                                     \
        cmocka_unit_test(squares_tell_whether_a_row_is_finite_##suffix),                                               \
        cmocka_unit_test(projections_agree_with_long_double_##suffix),                                                 \
        cmocka_unit_test(projections_tell_of_what_does_not_fit_##suffix),                                              \
        cmocka_unit_test(projections_of_large_sums_are_finite_##suffix),                                               \
        cmocka_unit_test(class_sums_agree_with_long_double_##suffix),                                                  \
        cmocka_unit_test(the_first_of_equal_logits_is_the_top_##suffix),                                               \
        cmocka_unit_test(unpacked_products_agree_with_long_double_##suffix),                                           \
        cmocka_unit_test(parts_are_added_in_double_##suffix), cmocka_unit_test(pairs_are_added_in_double_##suffix)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_instruction_set_has_its_own_kernels),
        TESTS_OF(f32),
        PRODUCT_TESTS_OF(bf16),
        TESTS_OF(f64),
    };
    return cmocka_run_group_tests_name("kernels", tests, tell_instruction_sets, NULL);
}
