/* What the streaming engine's templates need, and the two engines they make. */
#ifndef LGT_ENGINE_CPU_STREAM_H
#define LGT_ENGINE_CPU_STREAM_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "engine/cpu/arena.h"
#include "engine/cpu/layout.h"
#include "engine/element.h"
#include "engine/motion.h"
#include "engine/row.h"
#include "engine/target.h"
#include "kernel/kernels.h"

/* Between these, sum v^2 in double has lost nothing to overflow or underflow. */
#define LGT_SQUARE_LEAST 1e-280
#define LGT_SQUARE_MOST  1e280

/* What a Hessian-vector product needs of h_ij = dJ / d product beside its matrix products (Eq. 36). */
typedef struct lgt_turns {
    double along, turn; /* sum h <p, v^> and sum h <p, v^.> over the products of one vector v */
} lgt_turns;

/* The pulls of a row's target (target.h), as mixes of x and w_y where they are sound. */
typedef struct lgt_attraction {
    lgt_mix to_x, to_w;
    int sound;
} lgt_attraction;

/* plan, run and release of lgt_engine_vtable. */
typedef struct lgt_stream_vtable {
    lgt_status (*plan)(const lgt_problem *problem, void **state, int64_t *bytes, lgt_error *err);
    lgt_status (*run)(const lgt_problem *problem, void *state, lgt_batch *batch, lgt_error *err);
    void (*release)(const lgt_problem *problem, void *state);
} lgt_stream_vtable;

extern const lgt_stream_vtable lgt_stream_f32, lgt_stream_f64;

#endif
