/* Kernel sets by instruction set. */
#include "kernel/kernels.h"

#define LGT_KERNEL_SETS(suffix)                                                                                        \
    extern const lgt_kernels_##suffix lgt_kernels_##suffix##_generic, lgt_kernels_##suffix##_avx2,                     \
        lgt_kernels_##suffix##_avx512

LGT_KERNEL_SETS(f32);
LGT_KERNEL_SETS(f64);

#if defined(__x86_64__)
#define LGT_KERNELS_OF(suffix)                                                                                         \
    const lgt_kernels_##suffix *lgt_kernels_##suffix##_of(lgt_isa isa) {                                               \
        if (isa >= LGT_ISA_AVX512) return &lgt_kernels_##suffix##_avx512;                                              \
        return isa >= LGT_ISA_AVX2 ? &lgt_kernels_##suffix##_avx2 : &lgt_kernels_##suffix##_generic;                   \
    }
#else
#define LGT_KERNELS_OF(suffix)                                                                                         \
    const lgt_kernels_##suffix *lgt_kernels_##suffix##_of(lgt_isa isa) {                                               \
        (void)isa;                                                                                                     \
        return &lgt_kernels_##suffix##_generic;                                                                        \
    }
#endif

LGT_KERNELS_OF(f32)
LGT_KERNELS_OF(f64)
