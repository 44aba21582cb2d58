/* Memory of a pass, and forward: each layer a parallel loop over rows of W (Eq. 20). The products are our own: they
 * reach 130 GFLOP/s of 139 on these shapes where a CBLAS, which packs both operands again in every call, reaches 65 to
 * 115 (docs/benchmarks.md). */
#include "net/encoder_pass.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"

/* --- memory --- */

int64_t lgt_net_wide(int64_t width) {
    return lgt_round_up(width, LGT_LANES) + LGT_NET_SKEW;
}

lgt_status lgt_net_new_matrix(const lgt_encoder_pass *pass, float **out, int64_t rows, int64_t columns,
                              lgt_error *err) {
    int64_t total;
    if (!lgt_count_mul(rows, columns, &total)) return lgt_fail(err, LGT_ERR_MEMORY, "a pass of this size overflows");
    return LGT_NEW_ZERO(pass->encoder->context, out, total, err);
}

static lgt_status create_training(lgt_encoder_pass *p, lgt_error *err) {
    const lgt_encoder *e = p->encoder;
    int64_t widths = 0, widest = 0;
    for (int l = 0; l < e->n_layers; l++) {
        const lgt_layer *layer = &e->layers[l];
        if (l < e->n_layers - 1) widths += lgt_net_wide(layer->out);
        int64_t down = (LGT_NET_BLOCK + layer->out) * LGT_NET_COLUMNS;
        p->tile = lgt_max64(p->tile, lgt_max64(LGT_NET_ROWS * lgt_net_wide(layer->in), down));
        if (l < e->n_layers - 1) widest = lgt_max64(widest, lgt_net_wide(layer->out));
    }
    lgt_status status = lgt_net_new_matrix(p, &p->activations, p->max_rows, widths, err);
    for (int i = 0; i < 2 && !status; i++) {
        status = lgt_net_new_matrix(p, &p->x_rest[i], p->max_rows, e->in_dim % LGT_LANES ? LGT_LANES : 0, err);
        if (!status) status = lgt_net_new_matrix(p, &p->down[i], p->max_rows, widest, err);
    }
    if (!status) status = lgt_net_new_matrix(p, &p->deltas, e->n_outputs, p->ld, err);
    if (!status) status = lgt_net_new_matrix(p, &p->tiles, lgt_context_threads(e->context), p->tile, err);
    return status;
}

lgt_status lgt_encoder_pass_create(lgt_encoder *encoder, int64_t max_rows, int training, lgt_encoder_pass **out,
                                   lgt_error *err) {
    lgt_encoder_pass *p = NULL;
    lgt_context *context = encoder->context;
    int64_t widest = lgt_max64(encoder->hidden_width, encoder->out_dim);
    if (max_rows < 0) return lgt_fail(err, LGT_ERR_USAGE, "max_rows is %lld, expected 0 or more", (long long)max_rows);
    if (max_rows > INT64_MAX / 64) return lgt_fail(err, LGT_ERR_MEMORY, "a pass of this size overflows");
    lgt_status status = LGT_NEW_ZERO(context, &p, 1, err);
    if (status) return status;
    *p = (lgt_encoder_pass){
        .encoder = encoder, .max_rows = max_rows, .n_rows = -1, .training = training != 0, .comm = {.size = 1}};
    p->kernels = lgt_kernels_f32_of(lgt_context_isa(context), LGT_PRECISION_FULL);
    p->ld = lgt_net_wide(max_rows);
    if (encoder->n_layers > 0) {
        for (int i = 0; i < (training ? 2 : 1) && !status; i++)
            status = lgt_net_new_matrix(p, &p->x_turned[i], encoder->in_dim, p->ld, err);
        for (int i = 0; i < 2 && !status; i++) status = lgt_net_new_matrix(p, &p->up[i], widest, p->ld, err);
    }
    if (!status && training) status = create_training(p, err);
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
    lgt_release(context, pass->records);
    lgt_release(context, pass->offsets);
    float *blocks[] = {pass->tiles,     pass->deltas,      pass->down[1],     pass->down[0],
                       pass->x_rest[1], pass->x_rest[0],   pass->activations, pass->up[1],
                       pass->up[0],     pass->x_turned[1], pass->x_turned[0]};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) lgt_release(context, blocks[i]);
    lgt_release(context, pass);
}

float *lgt_pass_delta(const lgt_encoder_pass *pass, int layer) {
    return pass->deltas + pass->encoder->layers[layer].before * pass->ld;
}

lgt_view lgt_encoder_hidden(const lgt_encoder_pass *pass, int layer) {
    lgt_block h = lgt_pass_hidden(pass, layer);
    return (lgt_view){h.data, pass->n_rows, pass->encoder->layers[layer].out, h.ld, LGT_F32};
}

/* --- forward --- */

/* Terms that are summed before the next panel: a panel of them takes 32 KiB. */
enum { TERMS = 256 };

void lgt_net_product(const lgt_encoder_pass *pass, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                     const float *b, int64_t ldb, float *c, int64_t ldc) {
    int64_t parts = lgt_max64(1, lgt_ceil_div(k, TERMS));
    for (int64_t i = 0; i < parts; i++) {
        int64_t begin = k * i / parts, terms = k * (i + 1) / parts - begin;
        for (int64_t at = 0; at < n; at += LGT_LANES)
            pass->kernels->product(m, LGT_LANES, terms, a + begin, lda, 1, b + begin * ldb + at, ldb, c + at, ldc,
                                   i > 0);
    }
}

/* Squares of 16 by 16 stay in registers or the first cache. */
void lgt_net_turn(const float *in, int64_t ld_in, int64_t rows, int64_t columns, float *out, int64_t ld_out) {
    enum { SIDE = 16 };
    for (int64_t i = 0; i < rows; i += SIDE)
        for (int64_t k = 0; k < columns; k += SIDE) {
            int64_t i_end = lgt_min64(i + SIDE, rows), k_end = lgt_min64(k + SIDE, columns);
            for (int64_t c = k; c < k_end; c++)
                for (int64_t r = i; r < i_end; r++) out[c * ld_out + r] = in[r * ld_in + c];
        }
}

typedef struct forward_call {
    lgt_encoder_pass *pass;
    lgt_mut y;
    int layer;
} forward_call;

/* Rows of x, turned if this rank runs them; in training, of all rows, the columns that are no whole panel as well. */
void lgt_encoder_load(lgt_encoder_pass *pass, int slot, lgt_view x, int64_t part) {
    int64_t row = part * LGT_LOAD_ROWS, n = lgt_min64(LGT_LOAD_ROWS, x.rows - row), rest = x.cols % LGT_LANES;
    const float *from = (const float *)x.data + row * x.ld;
    lgt_span own = lgt_span_of(x.rows, pass->comm.rank, pass->comm.size);
    int64_t begin = lgt_max64(row, own.begin), end = lgt_min64(row + n, own.end);
    if (pass->encoder->n_layers == 0) return;
    if (begin < end)
        lgt_net_turn((const float *)x.data + begin * x.ld, x.ld, end - begin, x.cols,
                     pass->x_turned[slot] + (begin - own.begin), pass->ld);
    for (int64_t i = 0; i < n && rest && pass->training; i++)
        memcpy(pass->x_rest[slot] + (row + i) * LGT_LANES, from + i * x.ld + x.cols - rest,
               (size_t)rest * sizeof(float));
}

static void load_x(void *argument, int64_t index, int worker) {
    const forward_call *call = argument;
    (void)worker;
    lgt_encoder_load(call->pass, 0, call->pass->x, index);
}

static void add_bias(float *restrict z, float bias, int64_t n) {
    for (int64_t i = 0; i < n; i++) z[i] += bias;
}

static void rectify(float *restrict z, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float v = z[i];
        z[i] = 0.0f > v ? 0.0f : v; /* in this order a NaN stays one */
    }
}

/* Some outputs of a layer for all rows that are this rank's. */
static void forward_task(void *argument, int64_t index, int worker) {
    const forward_call *call = argument;
    const lgt_encoder_pass *p = call->pass;
    const lgt_encoder *e = p->encoder;
    const lgt_layer *layer = &e->layers[call->layer];
    int last = call->layer == e->n_layers - 1;
    int64_t first = index * LGT_NET_ROWS, m = lgt_min64(LGT_NET_ROWS, layer->out - first);
    int64_t n = p->own.end - p->own.begin;
    float *z = p->up[call->layer % 2] + first * p->ld;
    const float *below = call->layer == 0 ? p->x_turned[p->slot] : p->up[(call->layer + 1) % 2];
    (void)worker;
    lgt_net_product(p, m, lgt_round_up(n, LGT_LANES), layer->in, e->params + layer->weight + first * layer->in,
                    layer->in, below, p->ld, z, p->ld);
    for (int64_t k = 0; k < m; k++) {
        add_bias(z + k * p->ld, e->params[layer->bias + first + k], n);
        if (!last) rectify(z + k * p->ld, n);
    }
    lgt_block out = {call->y.data, call->y.ld};
    if (!last && !p->training) return;
    if (p->comm.size > 1) out = lgt_pass_output(p);
    if (!last) out = lgt_pass_hidden(p, call->layer);
    lgt_net_turn(z, p->ld, m, n, out.data + p->own.begin * out.ld + first, out.ld);
}

lgt_status lgt_net_check_matrix(const char *name, lgt_view v, int64_t n_rows, int64_t cols, lgt_error *err) {
    if (v.dtype != LGT_F32)
        return lgt_fail(err, LGT_ERR_USAGE, "%s has type %s, expected f32", name, lgt_dtype_name(v.dtype));
    if (v.rows != n_rows || v.cols != cols)
        return lgt_fail(err, LGT_ERR_USAGE, "%s is (%lld, %lld), expected (%lld, %lld)", name, (long long)v.rows,
                        (long long)v.cols, (long long)n_rows, (long long)cols);
    if (v.ld < v.cols)
        return lgt_fail(err, LGT_ERR_USAGE, "%s has ld %lld, expected at least %lld", name, (long long)v.ld,
                        (long long)v.cols);
    if (!v.data && n_rows > 0) return lgt_fail(err, LGT_ERR_USAGE, "%s is not given", name);
    return LGT_OK;
}

lgt_view lgt_net_view_of(lgt_mut m) {
    return (lgt_view){m.data, m.rows, m.cols, m.ld, m.dtype};
}

static void copy_rows(lgt_view from, lgt_mut to) {
    for (int64_t row = 0; row < from.rows; row++)
        memcpy((float *)to.data + row * to.ld, (const float *)from.data + row * from.ld,
               (size_t)from.cols * sizeof(float));
}

static lgt_status check_forward(const lgt_encoder_pass *pass, lgt_view x, lgt_mut y, lgt_error *err) {
    const lgt_encoder *e = pass->encoder;
    if (x.rows < 0 || x.rows > pass->max_rows)
        return lgt_fail(err, LGT_ERR_USAGE, "x has %lld rows, expected 0 to %lld", (long long)x.rows,
                        (long long)pass->max_rows);
    lgt_status status = lgt_net_check_matrix("x", x, x.rows, e->in_dim, err);
    return status ? status : lgt_net_check_matrix("y", lgt_net_view_of(y), x.rows, e->out_dim, err);
}

lgt_status lgt_encoder_forward_loaded(lgt_encoder_pass *pass, int slot, lgt_view x, lgt_mut y, lgt_error *err) {
    const lgt_encoder *e = pass->encoder;
    forward_call call = {pass, y, 0};
    lgt_status status = check_forward(pass, x, y, err);
    if (status) return status;
    pass->x = x;
    pass->n_rows = x.rows;
    pass->own = lgt_span_of(x.rows, pass->comm.rank, pass->comm.size);
    pass->slot = slot;
    if (e->n_layers == 0) copy_rows(x, y);
    for (; call.layer < e->n_layers; call.layer++)
        lgt_parallel_for(e->context, lgt_ceil_div(e->layers[call.layer].out, LGT_NET_ROWS), forward_task, &call);
    if (pass->comm.size > 1 && e->n_layers > 0) status = lgt_pass_gather_outputs(pass, y, err);
    if (status) pass->n_rows = -1; /* backward has nothing to go by */
    return status ? status : lgt_succeed(err);
}

lgt_status lgt_encoder_forward(lgt_encoder_pass *pass, lgt_view x, lgt_mut y, lgt_error *err) {
    forward_call call = {pass, y, 0};
    lgt_status status = check_forward(pass, x, y, err);
    if (status) return status;
    pass->x = x;
    lgt_parallel_for(pass->encoder->context, lgt_ceil_div(x.rows, LGT_LOAD_ROWS), load_x, &call);
    return lgt_encoder_forward_loaded(pass, 0, x, y, err);
}
