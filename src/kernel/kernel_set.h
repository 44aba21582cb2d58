/* One instruction set's kernels: the templates once for float and once for double. The including file defines ISA, its
 * name in symbols; BYTES, its vector width; ROWS, the height of a register block. */
#include <math.h>

#include "base/compiler.h"
#include "kernel/kernels.h"

LGT_VECTOR(vector_f32, float, BYTES);
LGT_VECTOR(vector_i32, int32_t, BYTES);
LGT_VECTOR(vector_f64, double, BYTES);
LGT_VECTOR(vector_i64, int64_t, BYTES);

#define T         float
#define V         vector_f32
#define I         vector_i32
#define FN(name)  name##_f32
#define MAGIC     12582912.0f
#define LN2_HIGH  0.693359375f
#define LN2_LOW   (-2.12194440e-4f)
#define EXP_LEAST (-104.0f)
#define BITS      23
#define BIAS      127
#define TERMS     7
#include "kernel/product_template.h"

#include "kernel/exp_template.h"
#include "kernel/row_template.h"
#undef T
#undef V
#undef I
#undef FN
#undef MAGIC
#undef LN2_HIGH
#undef LN2_LOW
#undef EXP_LEAST
#undef BITS
#undef BIAS
#undef TERMS

#define T         double
#define V         vector_f64
#define I         vector_i64
#define FN(name)  name##_f64
#define MAGIC     6755399441055744.0
#define LN2_HIGH  6.93145751953125e-1
#define LN2_LOW   1.42860682030941723212e-6
#define EXP_LEAST (-746.0)
#define BITS      52
#define BIAS      1023
#define TERMS     13
#include "kernel/product_template.h"

#include "kernel/exp_template.h"
#include "kernel/row_template.h"

#define PUBLISH(suffix, isa)                                                                                           \
    extern const lgt_kernels_##suffix lgt_kernels_##suffix##_##isa;                                                    \
    const lgt_kernels_##suffix lgt_kernels_##suffix##_##isa = {                                                        \
        product_##suffix, exp_sum_##suffix, exp_weights_##suffix, square_sum_##suffix, scaled_##suffix}
#define PUBLISH_BOTH(isa)                                                                                              \
    PUBLISH(f32, isa);                                                                                                 \
    PUBLISH(f64, isa)

PUBLISH_BOTH(ISA);
