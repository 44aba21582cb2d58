/* The inside of an encoder: its layers as places in one vector of parameters. */
#ifndef LGT_NET_ENCODER_H
#define LGT_NET_ENCODER_H

#include "base/parallel.h"
#include "logitude/comm.h"
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
 * once, once for every row; of a shared pass, for the rows of lgt_encoder_outputs. Nothing in the same run reads this
 * row of W or b again, unless dx is wanted and the pass is not shared. */
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

/* --- Several ranks (docs/scaling.md) --- */

/* [begin, end) */
typedef struct lgt_span {
    int64_t begin, end;
} lgt_span;

/* Part `rank` of `size` parts of n things whose sizes differ by one at most; empty where n < size. */
lgt_span lgt_span_of(int64_t n, int rank, int size);

/* Shares a new pass with the passes of the other ranks, which have the same shape, max_rows and parameters. From then
 * on loads, forward and backward are called by all alike, with the same whole batch, forward and backward being
 * collective: a rank runs its part of the rows, and makes gradients of its part of every layer's outputs. y, dx, hidden
 * outputs and the dparams of lgt_encoder_backward_through are whole everywhere, and have the bits that one rank alone
 * gives them.
 *
 * With n the rows that a rank runs, it sends to each other one
 *   forward            4 n (H + O + 16) bytes, H = 0 for a pass that does not train,
 *   backward           4 n (H + 16), if there are hidden layers, and 4 n in_dim for dx,
 *   lgt_encoder_gather 4 bytes for every parameter whose gradient it makes,
 * where H is the sum of the hidden layers' widths, each rounded up to a multiple of LGT_LANES, and O that of y.
 *
 * The comm is copied. NULL or one rank: the pass stays alone. Backward makes gradients after all its calls have
 * succeeded, so that a failure leaves parameters that a sink would step. dx must have no gaps between rows. Errors:
 * MEMORY here; COMM from the others. */
lgt_status lgt_encoder_share(lgt_encoder_pass *pass, const lgt_comm *comm, lgt_error *err);

/* The rows of W and entries of b of a layer whose gradients this rank makes; all of them of a pass alone. */
lgt_span lgt_encoder_outputs(const lgt_encoder_pass *pass, int layer);

/* values (n_params), of which each rank brings those of its outputs, become whole everywhere: parameters after a sink
 * has stepped them, or what an optimiser keeps. Collective; alone: nothing to do. Errors: COMM. */
lgt_status lgt_encoder_gather(const lgt_encoder_pass *pass, float *values, lgt_error *err);

/* The same of one thing for every output of every layer, layer after layer (n_outputs), `bytes` long, at most
 * LGT_OUTPUT_BYTES. */
enum { LGT_OUTPUT_BYTES = 32 };
lgt_status lgt_encoder_gather_outputs(const lgt_encoder_pass *pass, void *values, int64_t bytes, lgt_error *err);

#endif
