/* Plain logits' top-k, float32, streamed over class tiles. */
#ifndef LGT_ENGINE_PREDICT_H
#define LGT_ENGINE_PREDICT_H

#include "engine/engine.h"

/* Shapes and types are checked by the caller; labels NULL or each in [0, C). Errors: DATA (not finite), NONFINITE,
 * MEMORY. */
lgt_status lgt_cpu_predict(const lgt_problem *problem, lgt_view x, lgt_view w, lgt_view b, const int64_t *labels,
                           lgt_predictions *out, lgt_error *err);

#endif
