/* A net in plain loops and double precision: the oracle of encoders. */
#ifndef LGT_TESTS_PLAIN_NET_H
#define LGT_TESTS_PLAIN_NET_H

#include "logitude/encoder.h"

enum { PLAIN_NET_LAYERS = 4, PLAIN_NET_WIDTH = 64 };

typedef struct plain_net {
    int n_layers;
    int64_t widths[PLAIN_NET_LAYERS + 1]; /* each at most PLAIN_NET_WIDTH */
} plain_net;

/* The shape of an encoder. */
plain_net plain_net_of(lgt_encoder *encoder);

/* y = net(x) for one row; params in the encoder's order. */
void plain_net_row(const plain_net *net, const double *params, const double *x, double *y);

#endif
