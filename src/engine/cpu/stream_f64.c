/* The streaming engine in double. */
#include "engine/cpu/stream.h"

#define T                          double
#define DTYPE                      LGT_F64
#define KERNELS                    lgt_kernels_f64
#define KERNELS_OF(isa, precision) ((void)(precision), lgt_kernels_f64_of(isa)) /* head/ admits FULL alone */
#define LGT_PRODUCT_MOST           (DBL_MAX / 8)
#define MIXED_LEAST                0x1p-2
#define FN(name)                   name##_f64
#include "engine/cpu/stream_template.h"

const lgt_stream_vtable lgt_stream_f64 = {FN(plan), FN(run), FN(release)};
