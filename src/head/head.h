/* The inside of a head, for head/ and for analyses that look into single rows. */
#ifndef LGT_HEAD_HEAD_H
#define LGT_HEAD_HEAD_H

#include "logitude/head.h"

struct lgt_head {
    lgt_context *context;
    lgt_loss loss;
    int64_t dim, n_classes;
};

#endif
