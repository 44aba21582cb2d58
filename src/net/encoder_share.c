/* A pass on several ranks: who has which rows and outputs, and the gathers that make things whole. Sums run over the
 * same terms in the same order as those of one rank, since each is one rank's as a whole. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "net/encoder_pass.h"

/* --- parts --- */

/* Where part `index` of n begins; unlike those of lgt_part_begin the longer parts lie among the others. */
static int64_t cut(int64_t n, int64_t parts, int64_t index) {
    return n / parts * index + n % parts * index / parts;
}

lgt_span lgt_span_of(int64_t n, int rank, int size) {
    return (lgt_span){cut(n, size, rank), cut(n, size, rank + 1)};
}

lgt_span lgt_encoder_outputs(const lgt_encoder_pass *pass, int layer) {
    return lgt_span_of(pass->encoder->layers[layer].out, pass->comm.rank, pass->comm.size);
}

/* --- sharing --- */

/* The first column of a layer among the rows of all. */
static int64_t column_of(const lgt_encoder_pass *pass, int layer) {
    int64_t column = 0;
    for (int l = 0; l < layer; l++) column += lgt_round_up(pass->encoder->layers[l].out, LGT_LANES);
    return column;
}

static lgt_status create_whole(lgt_encoder_pass *p, lgt_error *err) {
    const lgt_encoder *e = p->encoder;
    int64_t hidden = p->training && e->n_layers > 1 ? column_of(p, e->n_layers - 1) : 0;
    float **old[] = {&p->activations, &p->down[0], &p->down[1]};
    for (int i = 0; i < 3; i++) {
        lgt_release(e->context, *old[i]);
        *old[i] = NULL;
    }
    p->hidden_ld = lgt_net_wide(hidden);
    p->outputs_ld = lgt_net_wide(hidden + e->out_dim);
    lgt_status status = lgt_net_new_matrix(p, &p->activations, p->max_rows, p->outputs_ld, err);
    if (!status && hidden > 0) status = lgt_net_new_matrix(p, &p->down[0], p->max_rows, p->hidden_ld, err);
    return status;
}

lgt_status lgt_encoder_share(lgt_encoder_pass *pass, const lgt_comm *comm, lgt_error *err) {
    const lgt_encoder *e = pass->encoder;
    if (!comm || comm->size == 1) return lgt_succeed(err);
    pass->comm = *comm;
    lgt_status status = LGT_NEW(e->context, &pass->offsets, comm->size + 1, err);
    if (!status) status = LGT_NEW(e->context, &pass->records, e->n_outputs * LGT_OUTPUT_BYTES, err);
    if (!status && e->n_layers > 0) status = create_whole(pass, err);
    return status ? status : lgt_succeed(err);
}

lgt_block lgt_pass_hidden(const lgt_encoder_pass *pass, int layer) {
    const lgt_layer *layers = pass->encoder->layers;
    int64_t before = 0;
    if (pass->comm.size > 1) return (lgt_block){pass->activations + column_of(pass, layer), pass->outputs_ld};
    for (int l = 0; l < layer; l++) before += lgt_net_wide(layers[l].out);
    return (lgt_block){pass->activations + pass->max_rows * before, lgt_net_wide(layers[layer].out)};
}

lgt_block lgt_pass_down(const lgt_encoder_pass *pass, int layer) {
    if (pass->comm.size > 1) return (lgt_block){pass->down[0] + column_of(pass, layer), pass->hidden_ld};
    return (lgt_block){pass->down[layer % 2], lgt_net_wide(pass->encoder->layers[layer].out)};
}

lgt_block lgt_pass_output(const lgt_encoder_pass *pass) {
    int64_t column = pass->training ? column_of(pass, pass->encoder->n_layers - 1) : 0;
    return (lgt_block){pass->activations + column, pass->outputs_ld};
}

/* --- gathers --- */

/* n things of so many bytes, next to each other, of which each rank has its part. */
static lgt_status gather_parts(const lgt_encoder_pass *p, void *data, int64_t n, int64_t bytes, lgt_error *err) {
    if (n == 0) return LGT_OK;
    for (int r = 0; r <= p->comm.size; r++) p->offsets[r] = cut(n, p->comm.size, r) * bytes;
    return p->comm.gather(p->comm.user, data, p->offsets, err);
}

typedef struct fill_call {
    const lgt_encoder_pass *pass;
    lgt_block from;
    lgt_mut y;
} fill_call;

static void fill_y(void *argument, int64_t index, int worker) {
    const fill_call *call = argument;
    int64_t begin = index * LGT_LOAD_ROWS, end = lgt_min64(begin + LGT_LOAD_ROWS, call->y.rows);
    (void)worker;
    for (int64_t row = begin; row < end; row++)
        memcpy((float *)call->y.data + row * call->y.ld, call->from.data + row * call->from.ld,
               (size_t)call->y.cols * sizeof(float));
}

lgt_status lgt_pass_gather_outputs(const lgt_encoder_pass *pass, lgt_mut y, lgt_error *err) {
    fill_call call = {pass, lgt_pass_output(pass), y};
    int64_t row = pass->outputs_ld * (int64_t)sizeof(float);
    lgt_status status = gather_parts(pass, pass->activations, y.rows, row, err);
    if (status) return status;
    lgt_parallel_for(pass->encoder->context, lgt_ceil_div(y.rows, LGT_LOAD_ROWS), fill_y, &call);
    return LGT_OK;
}

lgt_status lgt_pass_gather_deltas(const lgt_encoder_pass *pass, lgt_mut dx, lgt_error *err) {
    int64_t row = pass->hidden_ld * (int64_t)sizeof(float), row_of_dx = dx.cols * (int64_t)sizeof(float);
    lgt_status status = LGT_OK;
    if (pass->encoder->n_layers > 1) status = gather_parts(pass, pass->down[0], pass->n_rows, row, err);
    if (!status && dx.data) status = gather_parts(pass, dx.data, pass->n_rows, row_of_dx, err);
    return status;
}

/* One thing for every output, in a vector of its own or where biases are among the parameters. */
typedef struct entries {
    char *values;
    int64_t bytes;
    int biases;
} entries;

static int64_t count_outputs(const lgt_encoder *e, int rank, int size) {
    int64_t count = 0;
    for (int l = 0; l < e->n_layers; l++) {
        lgt_span span = lgt_span_of(e->layers[l].out, rank, size);
        count += span.end - span.begin;
    }
    return count;
}

/* The entries of a rank, of all layers, go to where they lie together, or come back from there. */
static void move_entries(const lgt_encoder_pass *p, int rank, const entries *v, int back) {
    char *packed = p->records + p->offsets[rank];
    for (int l = 0; l < p->encoder->n_layers; l++) {
        const lgt_layer *layer = &p->encoder->layers[l];
        lgt_span span = lgt_span_of(layer->out, rank, p->comm.size);
        char *place = v->values + ((v->biases ? layer->bias : layer->before) + span.begin) * v->bytes;
        size_t length = (size_t)((span.end - span.begin) * v->bytes);
        memcpy(back ? place : packed, back ? packed : place, length);
        packed += length;
    }
}

static lgt_status gather_entries(const lgt_encoder_pass *p, const entries *v, lgt_error *err) {
    p->offsets[0] = 0;
    for (int r = 0; r < p->comm.size; r++)
        p->offsets[r + 1] = p->offsets[r] + count_outputs(p->encoder, r, p->comm.size) * v->bytes;
    move_entries(p, p->comm.rank, v, 0);
    lgt_status status = p->comm.gather(p->comm.user, p->records, p->offsets, err);
    for (int r = 0; r < p->comm.size && !status; r++)
        if (r != p->comm.rank) move_entries(p, r, v, 1);
    return status;
}

lgt_status lgt_encoder_gather_outputs(const lgt_encoder_pass *pass, void *values, int64_t bytes, lgt_error *err) {
    entries v = {values, bytes, 0};
    if (bytes < 0 || bytes > LGT_OUTPUT_BYTES)
        return lgt_fail(err, LGT_ERR_USAGE, "entries of %lld bytes, expected at most %d", (long long)bytes,
                        LGT_OUTPUT_BYTES);
    lgt_status status = LGT_OK;
    if (pass->comm.size > 1 && pass->encoder->n_layers > 0) status = gather_entries(pass, &v, err);
    return status ? status : lgt_succeed(err);
}

lgt_status lgt_encoder_gather(const lgt_encoder_pass *pass, float *values, lgt_error *err) {
    const lgt_encoder *e = pass->encoder;
    entries biases = {(char *)values, sizeof *values, 1};
    lgt_status status = LGT_OK;
    for (int l = 0; l < e->n_layers && pass->comm.size > 1 && !status; l++)
        status = gather_parts(pass, values + e->layers[l].weight, e->layers[l].out,
                              e->layers[l].in * (int64_t)sizeof *values, err);
    if (!status && pass->comm.size > 1 && e->n_layers > 0) status = gather_entries(pass, &biases, err);
    return status ? status : lgt_succeed(err);
}
