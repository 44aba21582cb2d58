/* Encoders: reading the specification, laying the parameters out in one vector, He initialisation
 * (He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015, Eq. 10). */
#include "net/encoder.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "base/sizes.h"
#include "base/text.h"

enum { INIT_RANGE = 16384 };

/* One stream of random numbers a layer. */
static const uint64_t layer_streams = (uint64_t)0x454E43u << 32;

static const char mlp_prefix[] = "mlp:";

/* A layer has at most so many inputs, and outputs. */
static const int64_t max_dim = INT_MAX;

/* Layers that the specification has; -1 when it is none of ours. */
static int count_layers(const char *spec) {
    if (strcmp(spec, "none") == 0) return 0;
    if (strcmp(spec, "linear") == 0) return 1;
    if (strncmp(spec, mlp_prefix, strlen(mlp_prefix)) != 0) return -1;
    int n_layers = 2;
    for (const char *c = spec; *c; c++) n_layers += *c == ',';
    return n_layers;
}

/* Reads the width at *cursor and moves past it and its comma. */
static lgt_status next_width(const char *spec, const char **cursor, int64_t *out, lgt_error *err) {
    size_t length = strcspn(*cursor, ",");
    int64_t width = 0;
    int digit = **cursor >= '0' && **cursor <= '9';
    if (!digit || !lgt_text_int64(*cursor, length, &width) || width < 1 || width > max_dim)
        return lgt_fail(err, LGT_ERR_USAGE, "encoder \"%.80s\": width \"%.*s\", expected a whole number from 1 to %lld",
                        spec, (int)lgt_min64((int64_t)length, 40), *cursor, (long long)max_dim);
    *cursor += length + ((*cursor)[length] == ',');
    *out = width;
    return LGT_OK;
}

/* Appends the parameters of a layer; 0 when their number does not fit. */
static int place_layer(lgt_encoder *e, lgt_layer *layer) {
    int64_t weights;
    if (!lgt_count_mul(layer->in, layer->out, &weights) || weights > INT64_MAX - layer->out - e->n_params) return 0;
    layer->weight = e->n_params;
    layer->bias = layer->weight + weights;
    e->n_params = layer->bias + layer->out;
    return 1;
}

static lgt_status lay_out(lgt_encoder *e, lgt_error *err) {
    const char *cursor = e->spec + strlen(mlp_prefix);
    int64_t in = e->in_dim;
    for (int l = 0; l < e->n_layers; l++) {
        lgt_layer *layer = &e->layers[l];
        *layer = (lgt_layer){.in = in, .out = e->out_dim};
        if (l < e->n_layers - 1) {
            lgt_status status = next_width(e->spec, &cursor, &layer->out, err);
            if (status) return status;
            e->hidden_width = lgt_max64(e->hidden_width, layer->out);
        }
        layer->before = e->n_outputs;
        e->n_outputs += layer->out;
        if (!place_layer(e, layer))
            return lgt_fail(err, LGT_ERR_USAGE, "encoder \"%.80s\": too many parameters in layer %d", e->spec, l);
        in = layer->out;
    }
    return LGT_OK;
}

static lgt_status check_dims(const char *spec, int n_layers, int64_t in_dim, int64_t out_dim, lgt_error *err) {
    if (n_layers < 0)
        return lgt_fail(err, LGT_ERR_USAGE,
                        "encoder \"%.80s\" is not known, expected none, linear or mlp:WIDTH[,WIDTH...]", spec);
    if (in_dim < 1 || in_dim > max_dim)
        return lgt_fail(err, LGT_ERR_USAGE, "encoder \"%.80s\": the input has dim %lld, expected 1 to %lld", spec,
                        (long long)in_dim, (long long)max_dim);
    if (n_layers == 0 && out_dim != 0 && out_dim != in_dim)
        return lgt_fail(err, LGT_ERR_USAGE, "encoder \"none\" turns dim %lld into dim %lld, expected the same or 0",
                        (long long)in_dim, (long long)out_dim);
    if (n_layers > 0 && (out_dim < 1 || out_dim > max_dim))
        return lgt_fail(err, LGT_ERR_USAGE, "encoder \"%.80s\": the output has dim %lld, expected 1 to %lld", spec,
                        (long long)out_dim, (long long)max_dim);
    return LGT_OK;
}

lgt_status lgt_encoder_create_blank(lgt_context *context, const char *spec, int64_t in_dim, int64_t out_dim,
                                    int64_t n_params, lgt_encoder **out, lgt_error *err) {
    lgt_encoder *e = NULL;
    int n_layers = count_layers(spec);
    lgt_status status = check_dims(spec, n_layers, in_dim, out_dim, err);
    if (status) return status;
    status = LGT_NEW_ZERO(context, &e, 1, err);
    if (status) return status;
    e->context = context;
    e->in_dim = in_dim;
    e->out_dim = n_layers == 0 ? in_dim : out_dim;
    e->n_layers = n_layers;
    status = lgt_alloc_text(context, spec, &e->spec, err);
    if (!status) status = LGT_NEW(context, &e->layers, n_layers, err);
    if (!status) status = lay_out(e, err);
    if (!status && n_params >= 0 && n_params != e->n_params)
        status = lgt_fail(err, LGT_ERR_USAGE, "encoder \"%.80s\" has %lld parameters, expected %lld", spec,
                          (long long)e->n_params, (long long)n_params);
    if (!status) status = LGT_NEW(context, &e->params, e->n_params, err);
    if (status) {
        lgt_encoder_free(e);
        return status;
    }
    *out = e;
    return lgt_succeed(err);
}

typedef struct draw {
    float *weights;
    int64_t count;
    double deviation;
    lgt_rng rng;
} draw;

static void draw_range(void *argument, int64_t index, int worker) {
    const draw *d = argument;
    int64_t begin = index * INIT_RANGE, end = lgt_min64(begin + INIT_RANGE, d->count);
    (void)worker;
    for (int64_t i = begin; i < end; i++) d->weights[i] = (float)(d->deviation * lgt_rng_normal(&d->rng, (uint64_t)i));
}

static void initialise(lgt_encoder *e, uint64_t seed) {
    for (int l = 0; l < e->n_layers; l++) {
        const lgt_layer *layer = &e->layers[l];
        double gain = l > 0 ? 2 : 1; /* half of a ReLU's outputs are 0; the first layer's inputs come from none */
        draw d = {e->params + layer->weight,
                  layer->in * layer->out,
                  sqrt(gain / (double)layer->in),
                  {seed, layer_streams + (uint64_t)l}};
        lgt_parallel_for(e->context, lgt_ceil_div(d.count, INIT_RANGE), draw_range, &d);
        memset(e->params + layer->bias, 0, (size_t)layer->out * sizeof(float));
    }
}

lgt_status lgt_encoder_create(lgt_context *context, const char *spec, int64_t in_dim, int64_t out_dim, uint64_t seed,
                              lgt_encoder **out, lgt_error *err) {
    lgt_status status = lgt_encoder_create_blank(context, spec, in_dim, out_dim, -1, out, err);
    if (!status) initialise(*out, seed);
    return status;
}

void lgt_encoder_free(lgt_encoder *encoder) {
    if (!encoder) return;
    lgt_release(encoder->context, encoder->params);
    lgt_release(encoder->context, encoder->layers);
    lgt_release(encoder->context, encoder->spec);
    lgt_release(encoder->context, encoder);
}

int64_t lgt_encoder_in_dim(const lgt_encoder *encoder) {
    return encoder->in_dim;
}
int64_t lgt_encoder_out_dim(const lgt_encoder *encoder) {
    return encoder->out_dim;
}
const char *lgt_encoder_spec(const lgt_encoder *encoder) {
    return encoder->spec;
}
int64_t lgt_encoder_n_params(const lgt_encoder *encoder) {
    return encoder->n_params;
}
float *lgt_encoder_params(lgt_encoder *encoder) {
    return encoder->params;
}
int lgt_encoder_n_layers(const lgt_encoder *encoder) {
    return encoder->n_layers;
}

void lgt_encoder_layer(lgt_encoder *encoder, int layer, lgt_mut *weight, lgt_mut *bias) {
    const lgt_layer *l = &encoder->layers[layer];
    *weight = lgt_mut_of(encoder->params + l->weight, l->out, l->in, LGT_F32);
    *bias = lgt_mut_of(encoder->params + l->bias, 1, l->out, LGT_F32);
}
