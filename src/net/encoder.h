/* The inside of an encoder: its layers as places in one vector of parameters. */
#ifndef LGT_NET_ENCODER_H
#define LGT_NET_ENCODER_H

#include "base/parallel.h"
#include "logitude/encoder.h"

typedef struct lgt_layer {
    int64_t in, out;
    int64_t weight, bias; /* offsets of W (out, in) and b (out) in the parameters */
    int64_t before;       /* sum of `out` over the layers below */
} lgt_layer;

struct lgt_encoder {
    lgt_context *context;
    char *spec;
    int64_t in_dim, out_dim, n_params;
    int64_t hidden_width; /* the largest */
    int64_t n_outputs;    /* sum of `out` over all layers */
    int n_layers;
    lgt_layer *layers;
    float *params;
};

/* An encoder whose parameters are not set yet. n_params: how many the caller has for it, so that a specification out of
 * a file cannot ask for more memory than the file is long; -1: any number. Errors: as lgt_encoder_create, and USAGE for
 * another number of parameters. */
lgt_status lgt_encoder_create_blank(lgt_context *context, const char *spec, int64_t in_dim, int64_t out_dim,
                                    int64_t n_params, lgt_encoder **out, lgt_error *err);

/* Takes gradients as they come: row `row` of dW of a layer (in) and its entry of db. Called from several threads at
 * once, once for every row. Nothing in the same run reads this row of W or b again, unless dx is wanted. */
typedef struct lgt_layer_sink {
    void (*take)(void *user, const lgt_layer *layer, int64_t row, const float *weight, float bias);
    void *user;
} lgt_layer_sink;

/* Tasks that have nothing to do with the pass, and fill its last loop. */
typedef struct lgt_more_tasks {
    lgt_task task;
    void *argument;
    int64_t count;
} lgt_more_tasks;

/* lgt_encoder_backward_through with a sink in the place of dparams. more: or NULL. */
lgt_status lgt_encoder_backward_into(lgt_encoder_pass *pass, lgt_view dy, const lgt_view *dhidden, lgt_layer_sink sink,
                                     lgt_mut dx, const lgt_more_tasks *more, lgt_error *err);

/* Forward in two halves, so that a batch can be made ready while the one before is under way: parts of it, of
 * LGT_LOAD_ROWS rows, by tasks of the caller's into one of two slots, then the layers. */
enum { LGT_LOAD_ROWS = 32 };
void lgt_encoder_load(lgt_encoder_pass *pass, int slot, lgt_view x, int64_t part);
lgt_status lgt_encoder_forward_loaded(lgt_encoder_pass *pass, int slot, lgt_view x, lgt_mut y, lgt_error *err);

#endif
