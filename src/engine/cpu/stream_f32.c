/* The streaming engine in float. */
#include "engine/cpu/stream.h"

#define T                float
#define DTYPE            LGT_F32
#define KERNELS          lgt_kernels_f32
#define KERNELS_OF       lgt_kernels_f32_of
#define LGT_PRODUCT_MOST (FLT_MAX / 8)
#define MIXED_LEAST      0x1p-12
#define FN(name)         name##_f32
#include "engine/cpu/stream_template.h"

const lgt_stream_vtable lgt_stream_f32 = {FN(plan), FN(run), FN(release)};
