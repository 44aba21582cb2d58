/* A net in plain loops and double precision. */
#include "plain_net.h"

#include <string.h>

#include "support.h"

plain_net plain_net_of(lgt_encoder *encoder) {
    plain_net net = {lgt_encoder_n_layers(encoder), {lgt_encoder_in_dim(encoder)}};
    assert_true(net.n_layers <= PLAIN_NET_LAYERS && net.widths[0] <= PLAIN_NET_WIDTH);
    for (int l = 0; l < net.n_layers; l++) {
        lgt_mut weight, bias;
        lgt_encoder_layer(encoder, l, &weight, &bias);
        assert_true(weight.rows <= PLAIN_NET_WIDTH);
        net.widths[l + 1] = weight.rows;
    }
    return net;
}

void plain_net_row(const plain_net *net, const double *params, const double *x, double *y) {
    double a[PLAIN_NET_WIDTH], z[PLAIN_NET_WIDTH];
    memcpy(a, x, (size_t)net->widths[0] * sizeof *a);
    for (int l = 0; l < net->n_layers; l++) {
        int64_t in = net->widths[l], out = net->widths[l + 1];
        const double *bias = params + in * out;
        for (int64_t j = 0; j < out; j++) {
            z[j] = bias[j];
            for (int64_t k = 0; k < in; k++) z[j] += params[j * in + k] * a[k];
            if (l < net->n_layers - 1 && z[j] < 0) z[j] = 0;
        }
        memcpy(a, z, (size_t)out * sizeof *a);
        params = bias + out;
    }
    memcpy(y, a, (size_t)net->widths[net->n_layers] * sizeof *y);
}
