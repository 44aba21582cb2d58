/* The inside of an encoder: its layers as places in one vector of parameters. */
#ifndef LGT_NET_ENCODER_H
#define LGT_NET_ENCODER_H

#include "logitude/encoder.h"

typedef struct lgt_layer {
    int64_t in, out;
    int64_t weight, bias; /* offsets of W (out, in) and b (out) in the parameters */
    int64_t before;       /* sum of `out` over the layers below: where its activations start, in columns */
} lgt_layer;

struct lgt_encoder {
    lgt_context *context;
    char *spec;
    int64_t in_dim, out_dim, n_params;
    int64_t hidden_columns, hidden_width; /* sum and maximum of the hidden widths */
    int n_layers;
    lgt_layer *layers;
    float *params;
};

/* An encoder whose parameters are not set yet. n_params: how many the caller has for it, so that a specification out of
 * a file cannot ask for more memory than the file is long; -1: any number. Errors: as lgt_encoder_create, and USAGE for
 * another number of parameters. */
lgt_status lgt_encoder_create_blank(lgt_context *context, const char *spec, int64_t in_dim, int64_t out_dim,
                                    int64_t n_params, lgt_encoder **out, lgt_error *err);

#endif
