/* Tile kernels of every instruction set that this processor runs, in float and double, against long double. */
#include "support.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/cpu_features.h"
#include "base/philox.h"
#include "kernel/kernels.h"

#define T         float
#define EPSILON   0x1p-23
#define LEAST     0x1p-126f
#define SPACING   0x1p-149f
#define EXP_LOW   (-104.0)
#define FN(name)  name##_f32
#define SETS(isa) lgt_kernels_f32_of(isa)
#include "kernels_template.h"

#define T         double
#define EPSILON   0x1p-52
#define LEAST     0x1p-1022
#define SPACING   0x1p-1074
#define EXP_LOW   (-745.0)
#define FN(name)  name##_f64
#define SETS(isa) lgt_kernels_f64_of(isa)
#include "kernels_template.h"

static int tell_instruction_sets(void **state) {
    static const lgt_isa all[] = {LGT_ISA_GENERIC, LGT_ISA_AVX2, LGT_ISA_AVX512};
    (void)state;
    for (int i = 0; i < 3; i++)
        print_message("%s: %s\n", lgt_isa_name(all[i]), all[i] <= lgt_cpu_best_isa() ? "tested" : "skipped, not here");
    return 0;
}

static void every_instruction_set_has_its_own_kernels(void **state) {
    (void)state;
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= lgt_cpu_best_isa(); isa++) {
        assert_non_null(lgt_kernels_f32_of(isa));
        for (lgt_isa lower = LGT_ISA_GENERIC; lower < isa; lower++) {
            assert_ptr_not_equal(lgt_kernels_f32_of(isa), lgt_kernels_f32_of(lower));
            assert_ptr_not_equal(lgt_kernels_f64_of(isa), lgt_kernels_f64_of(lower));
        }
    }
}

#define TESTS_OF(suffix)                                                                                               \
    cmocka_unit_test(products_agree_with_naive_ones_##suffix),                                                         \
        cmocka_unit_test(exp_is_within_one_and_a_half_ulp_##suffix),                                                   \
        cmocka_unit_test(exp_has_its_exact_values_and_fades_out_##suffix),                                             \
        cmocka_unit_test(sums_of_exponentials_agree_with_long_double_##suffix),                                        \
        cmocka_unit_test(weights_agree_with_long_double_##suffix),                                                     \
        cmocka_unit_test(squares_agree_with_long_double_##suffix),                                                     \
        cmocka_unit_test(squares_tell_whether_a_row_is_finite_##suffix),                                               \
        cmocka_unit_test(scaled_rows_are_rounded_once_##suffix)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_instruction_set_has_its_own_kernels),
        TESTS_OF(f32),
        TESTS_OF(f64),
    };
    return cmocka_run_group_tests_name("kernels", tests, tell_instruction_sets, NULL);
}
