/* Backward through an encoder (Eq. 20). With delta_l = dJ/d(a_(l-1) W_l^T + b_l):
 *
 *   dW_l = delta_l^T a_(l-1),  db_l = column sums of delta_l,  delta_(l-1) = (delta_l W_l) [a_(l-1) > 0].
 *
 * A loop makes the deltas of one layer and the gradients of the layer above the one whose deltas it reads, so that a
 * gradient may be used up, its parameters stepped, as soon as it is there. On several ranks deltas of a rank's own rows
 * go down through all layers, a gather makes them whole, and one loop makes the gradients of the rank's own outputs. */
#include <string.h>

#include "base/error.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "net/encoder_pass.h"

typedef struct backward_call {
    lgt_encoder_pass *pass;
    lgt_view dy;
    const lgt_view *dhidden; /* by layer, or NULL */
    lgt_mut dx;
    lgt_layer_sink sink;
    const lgt_more_tasks *more; /* or NULL */
    /* One loop's tasks, in this order: dy turned; deltas below `through`, or dx; gradients of two layers; more. */
    int64_t n_turns, n_downs, n_gradients[2], n_more;
    int through, gradients[2];
} backward_call;

static float *tile_of(const lgt_encoder_pass *p, int worker) {
    return p->tiles + worker * p->tile;
}

static void turn_dy(const backward_call *call, int64_t index) {
    const lgt_encoder_pass *p = call->pass;
    int64_t row = index * LGT_LANES, n = lgt_min64(LGT_LANES, p->n_rows - row);
    lgt_net_turn((const float *)call->dy.data + row * call->dy.ld, call->dy.ld, n, call->dy.cols,
                 lgt_pass_delta(p, p->encoder->n_layers - 1) + row, p->ld);
}

/* --- deltas --- */

/* A block of rows of delta W, in `sums` (rows, LGT_NET_COLUMNS), becomes the deltas of layer l, both ways. */
static void finish_deltas(const backward_call *call, int l, int64_t row, int64_t rows, int64_t first, int64_t count,
                          float *sums) {
    const lgt_encoder_pass *p = call->pass;
    lgt_block a = lgt_pass_hidden(p, l), down = lgt_pass_down(p, l);
    const lgt_view *more = call->dhidden && call->dhidden[l].data ? &call->dhidden[l] : NULL;
    for (int64_t i = 0; i < rows; i++) {
        float *restrict sum = sums + i * LGT_NET_COLUMNS, *restrict out = down.data + (row + i) * down.ld + first;
        const float *restrict activation = a.data + (row + i) * a.ld + first;
        const float *extra = more ? (const float *)more->data + (row + i) * more->ld + first : NULL;
        for (int64_t k = 0; k < count && extra; k++) sum[k] += extra[k];
        for (int64_t k = 0; k < count; k++) {
            float value = sum[k]; /* read in any case: no branch */
            out[k] = activation[k] > 0.0f ? value : 0.0f;
        }
    }
    if (p->comm.size == 1)
        lgt_net_turn(down.data + row * down.ld + first, down.ld, rows, count,
                     lgt_pass_delta(p, l) + first * p->ld + row, p->ld);
}

/* A panel of W, its columns filled up with zeros. */
static void copy_columns(const float *w, int64_t ld, int64_t rows, int64_t count, float *out) {
    for (int64_t k = 0; k < rows; k++, w += ld, out += LGT_LANES) {
        if (count == LGT_LANES)
            memcpy(out, w, LGT_LANES * sizeof *w);
        else
            for (int64_t c = 0; c < LGT_LANES; c++) out[c] = c < count ? w[c] : 0;
    }
}

/* The deltas of a layer as they are. */
static lgt_view deltas_of(const backward_call *call, int l) {
    const lgt_encoder_pass *p = call->pass;
    if (l == p->encoder->n_layers - 1) return call->dy;
    lgt_block down = lgt_pass_down(p, l);
    return (lgt_view){down.data, p->n_rows, p->encoder->layers[l].out, down.ld, LGT_F32};
}

/* Some columns of delta W for all rows that are this rank's: W's are copied next to each other, then rows come by
 * blocks. */
static void down_task(const backward_call *call, int64_t index, int worker) {
    const lgt_encoder_pass *p = call->pass;
    const lgt_layer *layer = &p->encoder->layers[call->through];
    int64_t first = index * LGT_NET_COLUMNS, count = lgt_min64(LGT_NET_COLUMNS, layer->in - first);
    float *sums = tile_of(p, worker), *columns = sums + LGT_NET_BLOCK * LGT_NET_COLUMNS;
    const float *w = p->encoder->params + layer->weight + first;
    lgt_view delta = deltas_of(call, call->through);
    for (int64_t at = 0; at < count; at += LGT_LANES)
        copy_columns(w + at, layer->in, layer->out, lgt_min64(LGT_LANES, count - at), columns + at * layer->out);
    for (int64_t row = p->own.begin; row < p->own.end; row += LGT_NET_BLOCK) {
        int64_t rows = lgt_min64(LGT_NET_BLOCK, p->own.end - row);
        for (int64_t at = 0; at < count; at += LGT_LANES)
            lgt_net_product(p, rows, LGT_LANES, layer->out, (const float *)delta.data + row * delta.ld, delta.ld,
                            columns + at * layer->out, LGT_LANES, sums + at, LGT_NET_COLUMNS);
        if (call->through > 0) finish_deltas(call, call->through - 1, row, rows, first, count, sums);
        for (int64_t i = 0; i < rows && call->through == 0; i++)
            memcpy((float *)call->dx.data + (row + i) * call->dx.ld + first, sums + i * LGT_NET_COLUMNS,
                   (size_t)count * sizeof *sums);
    }
}

/* --- gradients --- */

/* Tasks for the rows of dW_l and db_l that are this rank's, and one of them. */
static int64_t count_gradients(const lgt_encoder_pass *p, int l) {
    lgt_span own = lgt_encoder_outputs(p, l);
    return lgt_ceil_div(own.end - own.begin, LGT_NET_ROWS);
}

static void gradient_task(const backward_call *call, int l, int64_t index, int worker) {
    const lgt_encoder_pass *p = call->pass;
    const lgt_layer *layer = &p->encoder->layers[l];
    lgt_span own = lgt_encoder_outputs(p, l);
    int64_t first = own.begin + index * LGT_NET_ROWS, m = lgt_min64(LGT_NET_ROWS, own.end - first),
            wide = lgt_net_wide(layer->in);
    int64_t whole = l == 0 ? layer->in / LGT_LANES * LGT_LANES : lgt_round_up(layer->in, LGT_LANES);
    float *delta = lgt_pass_delta(p, l) + first * p->ld;
    float *tile = tile_of(p, worker);
    double bias[LGT_NET_ROWS] = {0};
    lgt_extent rows_of_delta = {.ld = p->ld};
    if (p->comm.size > 1) { /* of what a gather made whole, the columns of own outputs alone are asked for */
        lgt_view all = deltas_of(call, l);
        lgt_net_turn((const float *)all.data + first, all.ld, p->n_rows, m, delta, p->ld);
    }
    if (l == 0) {
        lgt_net_product(p, m, whole, p->n_rows, delta, p->ld, p->x.data, p->x.ld, tile, wide);
        if (whole < layer->in)
            lgt_net_product(p, m, LGT_LANES, p->n_rows, delta, p->ld, p->x_rest[p->slot], LGT_LANES, tile + whole,
                            wide);
    } else {
        lgt_block a = lgt_pass_hidden(p, l - 1);
        lgt_net_product(p, m, whole, p->n_rows, delta, p->ld, a.data, a.ld, tile, wide);
    }
    p->kernels->class_sums(&rows_of_delta, delta, m, p->n_rows, bias);
    for (int64_t k = 0; k < m; k++) call->sink.take(call->sink.user, layer, first + k, tile + k * wide, (float)bias[k]);
}

static void backward_task(void *argument, int64_t index, int worker) {
    const backward_call *call = argument;
    if (index < call->n_turns) {
        turn_dy(call, index);
        return;
    }
    if ((index -= call->n_turns) < call->n_downs) {
        down_task(call, index, worker);
        return;
    }
    index -= call->n_downs;
    for (int i = 0; i < 2; i++) {
        if (index < call->n_gradients[i]) {
            gradient_task(call, call->gradients[i], index, worker);
            return;
        }
        index -= call->n_gradients[i];
    }
    call->more->task(call->more->argument, index, worker);
}

/* The layers whose gradients this loop makes; -1: none. */
static void run_loop(backward_call *call, int through, int first, int second) {
    const lgt_encoder *e = call->pass->encoder;
    int layers[2] = {first, second};
    call->through = through;
    call->n_downs =
        through > 0 || (through == 0 && call->dx.data) ? lgt_ceil_div(e->layers[through].in, LGT_NET_COLUMNS) : 0;
    for (int i = 0; i < 2; i++) {
        call->gradients[i] = layers[i];
        call->n_gradients[i] = layers[i] >= 0 ? count_gradients(call->pass, layers[i]) : 0;
    }
    lgt_parallel_for(e->context,
                     call->n_turns + call->n_downs + call->n_gradients[0] + call->n_gradients[1] + call->n_more,
                     backward_task, call);
    call->n_turns = 0;
}

static void run_layers(backward_call *call) {
    int top = call->pass->encoder->n_layers - 1;
    call->n_turns = lgt_ceil_div(call->pass->n_rows, LGT_LANES);
    for (int l = top; l > 0; l--) run_loop(call, l, l < top ? l + 1 : -1, -1);
    if (top == 0) run_loop(call, -1, -1, -1);
    call->n_more = call->more ? call->more->count : 0;
    run_loop(call, 0, top > 0 ? 1 : -1, 0);
}

/* --- several ranks --- */

static void own_down_task(void *argument, int64_t index, int worker) {
    down_task(argument, index, worker);
}

static void own_gradient_task(void *argument, int64_t index, int worker) {
    const backward_call *call = argument;
    for (int l = 0; l < call->pass->encoder->n_layers; l++) {
        int64_t count = count_gradients(call->pass, l);
        if (index < count) {
            gradient_task(call, l, index, worker);
            return;
        }
        index -= count;
    }
    call->more->task(call->more->argument, index, worker);
}

static lgt_status run_shared(backward_call *call, lgt_error *err) {
    const lgt_encoder_pass *p = call->pass;
    const lgt_encoder *e = p->encoder;
    int64_t n_tasks = call->more ? call->more->count : 0;
    int bottom = p->own.begin == p->own.end ? e->n_layers : call->dx.data ? 0 : 1;
    for (call->through = e->n_layers - 1; call->through >= bottom; call->through--)
        lgt_parallel_for(e->context, lgt_ceil_div(e->layers[call->through].in, LGT_NET_COLUMNS), own_down_task, call);
    lgt_status status = lgt_pass_gather_deltas(p, call->dx, err);
    if (status) return status;
    for (int l = 0; l < e->n_layers; l++) n_tasks += count_gradients(p, l);
    lgt_parallel_for(e->context, n_tasks, own_gradient_task, call);
    return LGT_OK;
}

/* --- the door --- */

static lgt_status check_backward(const lgt_encoder_pass *p, lgt_view dy, const lgt_view *dhidden, lgt_mut dx,
                                 lgt_error *err) {
    const lgt_encoder *e = p->encoder;
    if (!p->training) return lgt_fail(err, LGT_ERR_USAGE, "the pass was created without training");
    if (p->n_rows < 0) return lgt_fail(err, LGT_ERR_USAGE, "backward needs a forward before it");
    lgt_status status = lgt_net_check_matrix("dy", dy, p->n_rows, e->out_dim, err);
    if (!status && dx.data) status = lgt_net_check_matrix("dx", lgt_net_view_of(dx), p->n_rows, e->in_dim, err);
    if (!status && dx.data && p->comm.size > 1 && dx.ld != dx.cols)
        return lgt_fail(err, LGT_ERR_USAGE, "dx has ld %lld, expected %lld on several ranks", (long long)dx.ld,
                        (long long)dx.cols);
    for (int l = 0; dhidden && l < e->n_layers - 1 && !status; l++)
        if (dhidden[l].data) status = lgt_net_check_matrix("dhidden", dhidden[l], p->n_rows, e->layers[l].out, err);
    return status;
}

static void copy_dy(const backward_call *call) {
    for (int64_t i = 0; i < call->dy.rows && call->dx.data; i++)
        memcpy((float *)call->dx.data + i * call->dx.ld, (const float *)call->dy.data + i * call->dy.ld,
               (size_t)call->dy.cols * sizeof(float));
}

lgt_status lgt_encoder_backward_into(lgt_encoder_pass *pass, lgt_view dy, const lgt_view *dhidden, lgt_layer_sink sink,
                                     lgt_mut dx, const lgt_more_tasks *more, lgt_error *err) {
    backward_call call = {.pass = pass, .dy = dy, .dhidden = dhidden, .dx = dx, .sink = sink, .more = more};
    lgt_status status = check_backward(pass, dy, dhidden, dx, err);
    if (status) return status;
    if (pass->encoder->n_layers == 0)
        copy_dy(&call);
    else if (pass->comm.size == 1)
        run_layers(&call);
    else
        status = run_shared(&call, err);
    if (status) return status;
    if (pass->encoder->n_layers == 0 && more)
        lgt_parallel_for(pass->encoder->context, more->count, more->task, more->argument);
    return lgt_succeed(err);
}

static void store(void *user, const lgt_layer *layer, int64_t row, const float *weight, float bias) {
    float *dparams = user;
    memcpy(dparams + layer->weight + row * layer->in, weight, (size_t)layer->in * sizeof *weight);
    dparams[layer->bias + row] = bias;
}

lgt_status lgt_encoder_backward_through(lgt_encoder_pass *pass, lgt_view dy, const lgt_view *dhidden, float *dparams,
                                        lgt_mut dx, lgt_error *err) {
    if (!dparams && pass->encoder->n_params > 0) return lgt_fail(err, LGT_ERR_USAGE, "dparams is not given");
    lgt_status status = lgt_encoder_backward_into(pass, dy, dhidden, (lgt_layer_sink){store, dparams}, dx, NULL, err);
    return status ? status : lgt_encoder_gather(pass, dparams, err);
}

lgt_status lgt_encoder_backward(lgt_encoder_pass *pass, lgt_view dy, float *dparams, lgt_mut dx, lgt_error *err) {
    return lgt_encoder_backward_through(pass, dy, NULL, dparams, dx, err);
}
