/* What a stripe of classes tells of one row, and when a row's norm is had from its squares alone. */
#ifndef LGT_ENGINE_CPU_CROWD_H
#define LGT_ENGINE_CPU_CROWD_H

#include "math/lse.h"

#include <stdint.h>

typedef struct lgt_crowd {
    lgt_lse sum;  /* over exp(z_j), the target left out */
    double total; /* sum z_j, the target left out; only with label smoothing */
    double best;  /* the largest plain logit beside the target's, -inf if there is none */
    int64_t top;  /* its class, the first of equals */
} lgt_crowd;

/* Between these, sum v^2 in double has lost nothing to overflow or underflow. */
#define LGT_SQUARE_LEAST 1e-280
#define LGT_SQUARE_MOST  1e280

#endif
