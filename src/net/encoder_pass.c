/* Forward and backward through an encoder in chunks of rows, each a task of its own (Eq. 20).
 *
 * With delta_l = dJ/d(a_{l-1} W_l^T + b_l):  dW_l = delta_l^T a_{l-1},  db_l = column sums of delta_l,
 * delta_{l-1} = (delta_l W_l) [a_{l-1} > 0]. */
#include <cblas.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "net/encoder.h"

/* Chunks whose gradients are held at once, and parameters summed by one task. */
enum { CHUNK = LGT_ENCODER_CHUNK, MAX_SLOTS = 16, SUM_RANGE = 4096 };

struct lgt_encoder_pass {
    lgt_encoder *encoder;
    int64_t max_rows, n_rows; /* n_rows of the last forward; -1: none yet */
    int training;
    lgt_view x;
    float *activations; /* training: hidden outputs of all rows, layer by layer; else two of a chunk for each worker */
    float *deltas;      /* two of a chunk for each worker */
    float *slots;       /* gradients of chunks */
};

/* --- memory --- */

static int64_t n_slots(int64_t n_rows) {
    return lgt_min64(lgt_ceil_div(n_rows, CHUNK), MAX_SLOTS);
}

/* count * size floats. */
static lgt_status new_floats(lgt_context *context, float **out, int64_t count, int64_t size, lgt_error *err) {
    int64_t total;
    if (!lgt_count_mul(count, size, &total)) return lgt_fail(err, LGT_ERR_MEMORY, "a pass of this size overflows");
    return LGT_NEW(context, out, total, err);
}

lgt_status lgt_encoder_pass_create(lgt_encoder *encoder, int64_t max_rows, int training, lgt_encoder_pass **out,
                                   lgt_error *err) {
    lgt_encoder_pass *p = NULL;
    lgt_context *context = encoder->context;
    int64_t worker_rows = 2 * (int64_t)CHUNK * lgt_context_threads(context);
    if (max_rows < 0) return lgt_fail(err, LGT_ERR_USAGE, "max_rows is %lld, expected 0 or more", (long long)max_rows);
    lgt_status status = LGT_NEW_ZERO(context, &p, 1, err);
    if (status) return status;
    *p = (lgt_encoder_pass){.encoder = encoder, .max_rows = max_rows, .n_rows = -1, .training = training};
    if (training) {
        status = new_floats(context, &p->activations, max_rows, encoder->hidden_columns, err);
        if (!status) status = new_floats(context, &p->deltas, worker_rows, encoder->hidden_width, err);
        if (!status) status = new_floats(context, &p->slots, n_slots(max_rows), encoder->n_params, err);
    } else {
        status = new_floats(context, &p->activations, worker_rows, encoder->hidden_width, err);
    }
    if (status) {
        lgt_encoder_pass_free(p);
        return status;
    }
    *out = p;
    return lgt_succeed(err);
}

void lgt_encoder_pass_free(lgt_encoder_pass *pass) {
    if (!pass) return;
    lgt_context *context = pass->encoder->context;
    lgt_release(context, pass->slots);
    lgt_release(context, pass->deltas);
    lgt_release(context, pass->activations);
    lgt_release(context, pass);
}

/* One of a worker's two chunk-sized buffers. */
static float *worker_buffer(const lgt_encoder_pass *p, float *buffers, int layer, int worker) {
    return buffers + (2 * (int64_t)worker + layer % 2) * CHUNK * p->encoder->hidden_width;
}

/* Where the hidden outputs of a layer lie for the chunk that starts at `row`. */
static float *hidden(const lgt_encoder_pass *p, int layer, int64_t row, int worker) {
    const lgt_layer *l = &p->encoder->layers[layer];
    if (!p->training) return worker_buffer(p, p->activations, layer, worker);
    return p->activations + p->max_rows * l->before + row * l->out;
}

/* --- one chunk --- */

/* A matrix inside a chunk. */
typedef struct block {
    float *data;
    int64_t ld;
} block;

typedef struct const_block {
    const float *data;
    int64_t ld;
} const_block;

/* c (m, n) = op(a) op(b), k terms. */
static void product(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int64_t m, int64_t n, int64_t k, const_block a,
                    const_block b, block c) {
    cblas_sgemm(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, 1.0f, a.data, (int)a.ld, b.data, (int)b.ld, 0.0f, c.data,
                (int)c.ld);
}

static void add_bias(block y, const float *restrict bias, int64_t n_rows, int64_t dim, int relu) {
    for (int64_t row = 0; row < n_rows; row++) {
        float *restrict out = y.data + row * y.ld;
        if (relu)
            for (int64_t k = 0; k < dim; k++) {
                float v = out[k] + bias[k];
                out[k] = 0.0f > v ? 0.0f : v; /* in this order a NaN stays one */
            }
        else
            for (int64_t k = 0; k < dim; k++) out[k] += bias[k];
    }
}

static void add_rows(const_block from, block to, int64_t n_rows, int64_t dim) {
    for (int64_t row = 0; row < n_rows; row++)
        for (int64_t k = 0; k < dim; k++) to.data[row * to.ld + k] += from.data[row * from.ld + k];
}

static void mask(float *restrict delta, const float *restrict activation, int64_t count) {
    for (int64_t i = 0; i < count; i++) delta[i] = activation[i] > 0.0f ? delta[i] : 0.0f;
}

static void column_sums(const_block delta, int64_t n_rows, int64_t dim, float *restrict sums) {
    memset(sums, 0, (size_t)dim * sizeof *sums);
    for (int64_t row = 0; row < n_rows; row++) {
        const float *restrict d = delta.data + row * delta.ld;
        for (int64_t k = 0; k < dim; k++) sums[k] += d[k];
    }
}

static void copy_rows(const_block from, block to, int64_t n_rows, int64_t dim) {
    for (int64_t row = 0; row < n_rows; row++)
        memcpy(to.data + row * to.ld, from.data + row * from.ld, (size_t)dim * sizeof(float));
}

static const_block rows_of(lgt_view v, int64_t row) {
    return (const_block){(const float *)v.data + row * v.ld, v.ld};
}

static block mut_rows_of(lgt_mut v, int64_t row) {
    return (block){(float *)v.data + row * v.ld, v.ld};
}

/* --- forward --- */

typedef struct forward_call {
    lgt_encoder_pass *pass;
    lgt_mut y;
} forward_call;

static void forward_chunk(void *argument, int64_t chunk, int worker) {
    const forward_call *call = argument;
    const lgt_encoder_pass *p = call->pass;
    const lgt_encoder *e = p->encoder;
    int64_t row = chunk * CHUNK, n = lgt_min64(CHUNK, p->n_rows - row);
    const_block a = rows_of(p->x, row);
    block y = mut_rows_of(call->y, row);
    if (e->n_layers == 0) copy_rows(a, y, n, e->out_dim);
    for (int l = 0; l < e->n_layers; l++) {
        const lgt_layer *layer = &e->layers[l];
        int last = l == e->n_layers - 1;
        const_block weight = {e->params + layer->weight, layer->in};
        block z = last ? y : (block){hidden(p, l, row, worker), layer->out};
        product(CblasNoTrans, CblasTrans, n, layer->out, layer->in, a, weight, z);
        add_bias(z, e->params + layer->bias, n, layer->out, !last);
        a = (const_block){z.data, z.ld};
    }
}

/* ld matters to CBLAS as an int. */
static lgt_status check_matrix(const char *name, lgt_view v, int64_t n_rows, int64_t cols, lgt_error *err) {
    if (v.dtype != LGT_F32)
        return lgt_fail(err, LGT_ERR_USAGE, "%s has type %s, expected f32", name, lgt_dtype_name(v.dtype));
    if (v.rows != n_rows || v.cols != cols)
        return lgt_fail(err, LGT_ERR_USAGE, "%s is (%lld, %lld), expected (%lld, %lld)", name, (long long)v.rows,
                        (long long)v.cols, (long long)n_rows, (long long)cols);
    if (v.ld < v.cols || v.ld > INT32_MAX)
        return lgt_fail(err, LGT_ERR_USAGE, "%s has ld %lld, expected %lld to %d", name, (long long)v.ld,
                        (long long)v.cols, INT32_MAX);
    if (!v.data && n_rows > 0) return lgt_fail(err, LGT_ERR_USAGE, "%s is not given", name);
    return LGT_OK;
}

static lgt_view view_of(lgt_mut m) {
    return (lgt_view){m.data, m.rows, m.cols, m.ld, m.dtype};
}

lgt_status lgt_encoder_forward(lgt_encoder_pass *pass, lgt_view x, lgt_mut y, lgt_error *err) {
    const lgt_encoder *e = pass->encoder;
    forward_call call = {pass, y};
    if (x.rows < 0 || x.rows > pass->max_rows)
        return lgt_fail(err, LGT_ERR_USAGE, "x has %lld rows, expected 0 to %lld", (long long)x.rows,
                        (long long)pass->max_rows);
    lgt_status status = check_matrix("x", x, x.rows, e->in_dim, err);
    if (!status) status = check_matrix("y", view_of(y), x.rows, e->out_dim, err);
    if (status) return status;
    pass->x = x;
    pass->n_rows = x.rows;
    lgt_parallel_for(e->context, lgt_ceil_div(x.rows, CHUNK), forward_chunk, &call);
    return lgt_succeed(err);
}

/* --- backward --- */

typedef struct backward_call {
    lgt_encoder_pass *pass;
    lgt_view dy;
    const lgt_view *dhidden; /* by layer, or NULL */
    lgt_mut dx;
    float *dparams;
    int64_t first, count; /* the chunks of this group */
} backward_call;

/* The gradient of a chunk of the group; the very first one is the sum itself. */
static float *slot(const backward_call *call, int64_t k) {
    if (call->first == 0 && k == 0) return call->dparams;
    return call->pass->slots + k * call->pass->encoder->n_params;
}

static void backward_chunk(void *argument, int64_t index, int worker) {
    const backward_call *call = argument;
    const lgt_encoder_pass *p = call->pass;
    const lgt_encoder *e = p->encoder;
    int64_t row = (call->first + index) * CHUNK, n = lgt_min64(CHUNK, p->n_rows - row);
    float *gradient = slot(call, index);
    const_block delta = rows_of(call->dy, row);
    for (int l = e->n_layers - 1; l >= 0; l--) {
        const lgt_layer *layer = &e->layers[l];
        const_block a = l == 0 ? rows_of(p->x, row) : (const_block){hidden(p, l - 1, row, worker), layer->in};
        const_block weight = {e->params + layer->weight, layer->in};
        block below = {worker_buffer(p, p->deltas, l, worker), layer->in};
        product(CblasTrans, CblasNoTrans, layer->out, layer->in, n, delta, a,
                (block){gradient + layer->weight, layer->in});
        column_sums(delta, n, layer->out, gradient + layer->bias);
        if (l == 0) break;
        product(CblasNoTrans, CblasNoTrans, n, layer->in, layer->out, delta, weight, below);
        if (call->dhidden && call->dhidden[l - 1].data)
            add_rows(rows_of(call->dhidden[l - 1], row), below, n, layer->in);
        mask(below.data, a.data, n * layer->in);
        delta = (const_block){below.data, below.ld};
    }
    if (!call->dx.data) return;
    block dx = mut_rows_of(call->dx, row);
    const_block first = {e->params, e->in_dim};
    if (e->n_layers == 0)
        copy_rows(delta, dx, n, e->in_dim);
    else
        product(CblasNoTrans, CblasNoTrans, n, e->in_dim, e->layers[0].out, delta, first, dx);
}

static void add(float *restrict sum, const float *restrict term, int64_t count) {
    for (int64_t i = 0; i < count; i++) sum[i] += term[i];
}

/* Sums a range of the group's gradients in a binary tree over its chunks, and that to the groups before. */
static void sum_range(void *argument, int64_t index, int worker) {
    const backward_call *call = argument;
    int64_t begin = index * SUM_RANGE, n = lgt_min64(SUM_RANGE, call->pass->encoder->n_params - begin);
    (void)worker;
    for (int64_t stride = 1; stride < call->count; stride *= 2)
        for (int64_t k = 0; k + stride < call->count; k += 2 * stride)
            add(slot(call, k) + begin, slot(call, k + stride) + begin, n);
    if (call->first > 0) add(call->dparams + begin, slot(call, 0) + begin, n);
}

static lgt_status check_backward(const lgt_encoder_pass *p, lgt_view dy, const lgt_view *dhidden, const float *dparams,
                                 lgt_mut dx, lgt_error *err) {
    const lgt_encoder *e = p->encoder;
    if (!p->training) return lgt_fail(err, LGT_ERR_USAGE, "the pass was created without training");
    if (p->n_rows < 0) return lgt_fail(err, LGT_ERR_USAGE, "backward needs a forward before it");
    if (!dparams && e->n_params > 0) return lgt_fail(err, LGT_ERR_USAGE, "dparams is not given");
    lgt_status status = check_matrix("dy", dy, p->n_rows, e->out_dim, err);
    if (!status && dx.data) status = check_matrix("dx", view_of(dx), p->n_rows, e->in_dim, err);
    for (int l = 0; dhidden && l < e->n_layers - 1 && !status; l++)
        if (dhidden[l].data) status = check_matrix("dhidden", dhidden[l], p->n_rows, e->layers[l].out, err);
    return status;
}

lgt_view lgt_encoder_hidden(const lgt_encoder_pass *pass, int layer) {
    return lgt_view_of(hidden(pass, layer, 0, 0), pass->n_rows, pass->encoder->layers[layer].out, LGT_F32);
}

lgt_status lgt_encoder_backward(lgt_encoder_pass *pass, lgt_view dy, float *dparams, lgt_mut dx, lgt_error *err) {
    return lgt_encoder_backward_through(pass, dy, NULL, dparams, dx, err);
}

lgt_status lgt_encoder_backward_through(lgt_encoder_pass *pass, lgt_view dy, const lgt_view *dhidden, float *dparams,
                                        lgt_mut dx, lgt_error *err) {
    const lgt_encoder *e = pass->encoder;
    backward_call call = {.pass = pass, .dy = dy, .dhidden = dhidden, .dx = dx, .dparams = dparams};
    lgt_status status = check_backward(pass, dy, dhidden, dparams, dx, err);
    if (status) return status;
    int64_t n_chunks = lgt_ceil_div(pass->n_rows, CHUNK);
    if (n_chunks == 0 && e->n_params > 0) memset(dparams, 0, (size_t)e->n_params * sizeof *dparams);
    for (; call.first < n_chunks; call.first += MAX_SLOTS) {
        call.count = lgt_min64(MAX_SLOTS, n_chunks - call.first);
        lgt_parallel_for(e->context, call.count, backward_chunk, &call);
        if (call.first + call.count > 1)
            lgt_parallel_for(e->context, lgt_ceil_div(e->n_params, SUM_RANGE), sum_range, &call);
    }
    return lgt_succeed(err);
}
