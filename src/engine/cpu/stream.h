/* What the streaming engine's templates need, and the two engines they make. */
#ifndef LGT_ENGINE_CPU_STREAM_H
#define LGT_ENGINE_CPU_STREAM_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "engine/cpu/crowd.h"
#include "engine/cpu/layout.h"
#include "engine/element.h"
#include "engine/row.h"
#include "engine/target.h"
#include "kernel/kernels.h"

/* plan, run and release of lgt_engine_vtable. */
typedef struct lgt_stream_vtable {
    lgt_status (*plan)(const lgt_problem *problem, void **state, int64_t *bytes, lgt_error *err);
    lgt_status (*run)(const lgt_problem *problem, void *state, lgt_batch *batch, lgt_error *err);
    void (*release)(const lgt_problem *problem, void *state);
} lgt_stream_vtable;

extern const lgt_stream_vtable lgt_stream_f32, lgt_stream_f64;

#endif
