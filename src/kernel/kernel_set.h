/* One instruction set's kernels: the templates once for float and once for double, and the products of bfloat16 values
 * made from float's. The including file defines ISA, its name in symbols; BYTES, its vector width; ROWS, the height of
 * a register block. */
#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "kernel/kernels.h"

LGT_VECTOR(vector_f32, float, BYTES);
LGT_VECTOR(vector_i32, int32_t, BYTES);
LGT_VECTOR(vector_f64, double, BYTES);
LGT_VECTOR(vector_i64, int64_t, BYTES);

/* To nearest even: a bfloat16 is a float's upper half. */
LGT_INLINE float nearest_bf16(float value) {
    union {
        float value;
        uint32_t bits;
    } v = {value};
    v.bits = (v.bits + 0x7fff + (v.bits >> 16 & 1)) & 0xffff0000u;
    return value == value ? v.value : value;
}

#define T         float
#define V         vector_f32
#define I         vector_i32
#define FN(name)  name##_f32
#define MAGIC     (12582912.0f + 64)
#define UNLIFT    0x1p-64f
#define LN2_HIGH  0.693359375f
#define LN2_LOW   (-2.12194440e-4f)
#define EXP_LEAST (-104.0f)
#define BITS      23
#define TERMS     7
#define LOWER     nearest_bf16
#include "kernel/pack_template.h"

#include "kernel/plain_products_template.h"

#include "kernel/exp_template.h"
#include "kernel/peak_template.h"
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
#undef UNLIFT
#undef TERMS
#undef LOWER

#include "kernel/bf16_pack.h"

#include "kernel/update_template.h"

#define T         double
#define V         vector_f64
#define I         vector_i64
#define FN(name)  name##_f64
#define MAGIC     (6755399441055744.0 + 512)
#define UNLIFT    0x1p-512
#define LN2_HIGH  6.93145751953125e-1
#define LN2_LOW   1.42860682030941723212e-6
#define EXP_LEAST (-746.0)
#define BITS      52
#define TERMS     13
#define LOWER(v)  v
#include "kernel/pack_template.h"

#include "kernel/plain_products_template.h"

#include "kernel/exp_template.h"
#include "kernel/peak_template.h"
#include "kernel/row_template.h"

/* The members that no arithmetic changes. */
#define LANE_MEMBERS(suffix)                                                                                           \
    exp_sum_##suffix, find_most_##suffix, exp_over_##suffix, exp_weights_##suffix, class_sums_##suffix,                \
        product_##suffix, square_sum_##suffix, dot_##suffix, sum_parts_##suffix, project_##suffix,                     \
        project_sums_##suffix, add_pair_##suffix, peak_##suffix
/* Everything in the type itself. */
#define FULL_MEMBERS(suffix)                                                                                           \
    features_size_##suffix, classes_size_##suffix, no_weights_size_##suffix, no_weights_size_##suffix,                 \
        pack_features_##suffix, pack_classes_##suffix, turn_no_classes_##suffix, pack_no_weights_##suffix,             \
        logits_##suffix, gather_x_##suffix, gather_w_##suffix, LANE_MEMBERS(suffix)

/* bf16 is float's set with its own packing: weights are a rounded copy of u. */
#define PUBLISH(isa)                                                                                                   \
    extern const lgt_update_kernels lgt_update_kernels_##isa;                                                          \
    const lgt_update_kernels lgt_update_kernels_##isa = {update_sgd, update_adamw};                                    \
    extern const lgt_kernels_f32 lgt_kernels_f32_##isa, lgt_kernels_bf16_##isa;                                        \
    extern const lgt_kernels_f64 lgt_kernels_f64_##isa;                                                                \
    const lgt_kernels_f32 lgt_kernels_f32_##isa = {FULL_MEMBERS(f32)};                                                 \
    const lgt_kernels_f64 lgt_kernels_f64_##isa = {FULL_MEMBERS(f64)};                                                 \
    const lgt_kernels_f32 lgt_kernels_bf16_##isa = {features_size_f32,   classes_size_f32,   weights_size_bf16,        \
                                                    weights_size_bf16,   pack_features_bf16, pack_classes_bf16,        \
                                                    turn_no_classes_f32, pack_weights_bf16,  logits_f32,               \
                                                    gather_x_f32,        gather_w_f32,       LANE_MEMBERS(f32)}
#define PUBLISH_AS(isa) PUBLISH(isa)

PUBLISH_AS(ISA);
