/* Kernel sets by instruction set and arithmetic. */
#include "kernel/kernels.h"

#define LGT_KERNEL_SETS(isa)                                                                                           \
    extern const lgt_kernels_f32 lgt_kernels_f32_##isa, lgt_kernels_bf16_##isa;                                        \
    extern const lgt_kernels_f64 lgt_kernels_f64_##isa;                                                                \
    extern const lgt_update_kernels lgt_update_kernels_##isa

LGT_KERNEL_SETS(generic);
LGT_KERNEL_SETS(avx2);
LGT_KERNEL_SETS(avx512);
extern const lgt_kernels_f32 lgt_kernels_bf16_avx512bf16;
extern const lgt_kernels_f32 lgt_kernels_f32_amx, lgt_kernels_bf16_amx, lgt_kernels_bf16x3_amx;

/* Two bfloat16 a number are for machines that multiply those thrice as fast: float itself is more exact. */
#define LGT_SETS_OF(isa)                                                                                               \
    {                                                                                                                  \
        {&lgt_kernels_f32_##isa, &lgt_kernels_f32_##isa, &lgt_kernels_bf16_##isa}, &lgt_kernels_f64_##isa,             \
            &lgt_update_kernels_##isa                                                                                  \
    }

typedef struct lgt_kernel_sets {
    const lgt_kernels_f32 *f32[LGT_PRECISION_BF16 + 1];
    const lgt_kernels_f64 *f64;
    const lgt_update_kernels *update;
} lgt_kernel_sets;

static const lgt_kernel_sets sets[LGT_ISA_AMX + 1] = {
    [LGT_ISA_GENERIC] = LGT_SETS_OF(generic),
#if defined(__x86_64__)
    [LGT_ISA_AVX2] = LGT_SETS_OF(avx2),
    [LGT_ISA_AVX512] = LGT_SETS_OF(avx512),
    [LGT_ISA_AVX512BF16] = {{&lgt_kernels_f32_avx512, &lgt_kernels_f32_avx512, &lgt_kernels_bf16_avx512bf16},
                            &lgt_kernels_f64_avx512,
                            &lgt_update_kernels_avx512},
    [LGT_ISA_AMX] = {{&lgt_kernels_f32_amx, &lgt_kernels_bf16x3_amx, &lgt_kernels_bf16_amx},
                     &lgt_kernels_f64_avx512,
                     &lgt_update_kernels_avx512},
#endif
};

static const lgt_kernel_sets *sets_of(lgt_isa isa) {
    const lgt_kernel_sets *found = &sets[isa > LGT_ISA_AMX ? LGT_ISA_AMX : isa];
    return found->f64 ? found : &sets[LGT_ISA_GENERIC];
}

const lgt_kernels_f32 *lgt_kernels_f32_of(lgt_isa isa, lgt_precision precision) {
    return sets_of(isa)->f32[precision];
}

const lgt_kernels_f64 *lgt_kernels_f64_of(lgt_isa isa) {
    return sets_of(isa)->f64;
}

const lgt_update_kernels *lgt_update_kernels_of(lgt_isa isa) {
    return sets_of(isa)->update;
}
