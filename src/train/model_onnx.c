/* Models as ONNX graphs for inference (onnx.proto, IR version 7, operators of version 13):
 *     x -> (x - mean) scale -> Gemm, Relu, ..., Gemm = embedding -> logits without margin -> Softmax = probabilities.
 * Cosine heads divide by the embedding's length, at least 1e-30, so that zero rows have cosines 0 (Eq. 14); the rows of
 * W are stored as directions. Of k centres a class the nearest counts. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/bytes.h"
#include "data/protobuf.h"
#include "data/text_list.h"
#include "net/encoder.h"
#include "train/model.h"

/* Fields of onnx.proto. */
enum {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER = 2,
    MODEL_PRODUCER_VERSION = 3,
    MODEL_GRAPH = 7,
    MODEL_OPSET = 8,
    MODEL_METADATA = 14,
    OPSET_VERSION = 2,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_OPERATOR = 4,
    NODE_ATTRIBUTE = 5,
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_INT = 3,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_TYPE = 20,
    TENSOR_DIM = 1,
    TENSOR_TYPE = 2,
    TENSOR_NAME = 8,
    TENSOR_DATA = 9,
    VALUE_NAME = 1,
    VALUE_TYPE = 2,
    TYPE_TENSOR = 1,
    TYPE_ELEMENT = 1,
    TYPE_SHAPE = 2,
    SHAPE_DIM = 1,
    DIM_VALUE = 1,
    DIM_PARAM = 2
};
enum { IR_VERSION = 7, OPSET = 13, FLOAT = 1, INT64 = 7, KIND_INT = 2, KIND_INTS = 7, NAME_SIZE = 48 };

static const float shortest = 1e-30f;

static lgt_message message(const lgt_message *like) {
    return (lgt_message){.context = like->context, .err = like->err};
}

/* --- parts of a graph --- */

static void add_tensor(lgt_message *graph, const char *name, int type, int64_t rows, int64_t cols, const void *data) {
    lgt_message tensor = message(graph);
    size_t count = (size_t)(rows * (cols ? cols : 1)), size = type == FLOAT ? sizeof(float) : sizeof(int64_t);
    lgt_message_integer(&tensor, TENSOR_DIM, rows);
    if (cols) lgt_message_integer(&tensor, TENSOR_DIM, cols);
    lgt_message_integer(&tensor, TENSOR_TYPE, type);
    lgt_message_text(&tensor, TENSOR_NAME, name);
    lgt_message_bytes(&tensor, TENSOR_DATA, data, count * size);
    if (!tensor.status && !lgt_host_is_little())
        lgt_bytes_swap(tensor.bytes + tensor.length - count * size, count, size);
    lgt_message_within(graph, GRAPH_INITIALIZER, &tensor);
}

static void add_attribute(lgt_message *node, const char *name, int kind, int64_t value) {
    lgt_message attribute = message(node);
    lgt_message_text(&attribute, ATTRIBUTE_NAME, name);
    lgt_message_integer(&attribute, kind == KIND_INT ? ATTRIBUTE_INT : ATTRIBUTE_INTS, value);
    lgt_message_integer(&attribute, ATTRIBUTE_TYPE, kind);
    lgt_message_within(node, NODE_ATTRIBUTE, &attribute);
}

/* A node of up to three inputs; NULL: no more. */
static lgt_message begin_node(const lgt_message *graph, const char *op, const char *const inputs[3],
                              const char *output) {
    lgt_message node = message(graph);
    for (int i = 0; i < 3 && inputs[i]; i++) lgt_message_text(&node, NODE_INPUT, inputs[i]);
    lgt_message_text(&node, NODE_OUTPUT, output);
    lgt_message_text(&node, NODE_OPERATOR, op);
    return node;
}

static void add_node(lgt_message *graph, const char *op, const char *a, const char *b, const char *output) {
    const char *inputs[3] = {a, b, NULL};
    lgt_message node = begin_node(graph, op, inputs, output);
    lgt_message_within(graph, GRAPH_NODE, &node);
}

/* output = a w^T (+ b). */
static void add_product(lgt_message *graph, const char *a, const char *w, const char *b, const char *output) {
    const char *inputs[3] = {a, w, b};
    lgt_message node = begin_node(graph, "Gemm", inputs, output);
    add_attribute(&node, "transB", KIND_INT, 1);
    lgt_message_within(graph, GRAPH_NODE, &node);
}

/* An operator over one axis; keep -1: it has no keepdims. */
static void add_reduction(lgt_message *graph, const char *op, const char *a, const char *output, int64_t axis,
                          int keep) {
    const char *inputs[3] = {a, NULL, NULL};
    lgt_message node = begin_node(graph, op, inputs, output);
    if (keep >= 0) {
        add_attribute(&node, "axes", KIND_INTS, axis);
        add_attribute(&node, "keepdims", KIND_INT, keep);
    } else {
        add_attribute(&node, "axis", KIND_INT, axis);
    }
    lgt_message_within(graph, GRAPH_NODE, &node);
}

/* (N, cols) floats. */
static void add_value(lgt_message *graph, int field, const char *name, int64_t cols) {
    lgt_message rows = message(graph), columns = rows, shape = rows, tensor = rows, type = rows, value = rows;
    lgt_message_text(&rows, DIM_PARAM, "N");
    lgt_message_integer(&columns, DIM_VALUE, cols);
    lgt_message_within(&shape, SHAPE_DIM, &rows);
    lgt_message_within(&shape, SHAPE_DIM, &columns);
    lgt_message_integer(&tensor, TYPE_ELEMENT, FLOAT);
    lgt_message_within(&tensor, TYPE_SHAPE, &shape);
    lgt_message_within(&type, TYPE_TENSOR, &tensor);
    lgt_message_text(&value, VALUE_NAME, name);
    lgt_message_within(&value, VALUE_TYPE, &type);
    lgt_message_within(graph, field, &value);
}

/* --- the model --- */

static void add_encoder(const lgt_model *m, lgt_message *graph) {
    int n_layers = lgt_encoder_n_layers(m->encoder);
    char in[NAME_SIZE] = "x.scaled", out[NAME_SIZE], weight[NAME_SIZE], bias[NAME_SIZE];
    add_tensor(graph, "normalization.mean", FLOAT, m->normalization.count, 0, m->normalization.mean);
    add_tensor(graph, "normalization.scale", FLOAT, m->normalization.count, 0, m->normalization.scale);
    add_node(graph, "Sub", "x", "normalization.mean", "x.centred");
    add_node(graph, "Mul", "x.centred", "normalization.scale", in);
    for (int l = 0; l < n_layers; l++) {
        lgt_mut w, b;
        lgt_encoder_layer(m->encoder, l, &w, &b);
        snprintf(weight, sizeof weight, "encoder.%d.weight", l);
        snprintf(bias, sizeof bias, "encoder.%d.bias", l);
        add_tensor(graph, weight, FLOAT, w.rows, w.cols, w.data);
        add_tensor(graph, bias, FLOAT, b.cols, 0, b.data);
        int last = l == n_layers - 1;
        snprintf(out, sizeof out, last ? "embedding" : "encoder.%d.sum", l);
        add_product(graph, in, weight, bias, out);
        snprintf(in, sizeof in, "encoder.%d.out", l);
        if (!last) add_node(graph, "Relu", out, NULL, in);
    }
    if (n_layers == 0) add_node(graph, "Identity", in, NULL, "embedding");
}

/* w / |w| row by row; a row without a direction stays zero. */
static lgt_status make_directions(const lgt_model *m, float **out, lgt_error *err) {
    lgt_view w = lgt_model_weights(m);
    lgt_status status = LGT_NEW(m->context, out, w.rows * w.cols, err);
    for (int64_t j = 0; j < w.rows && !status; j++) {
        const float *from = m->w + j * w.cols;
        double square = 0;
        for (int64_t k = 0; k < w.cols; k++) square += (double)from[k] * (double)from[k];
        double share = square > 0 ? 1 / sqrt(square) : 0;
        for (int64_t k = 0; k < w.cols; k++) (*out)[j * w.cols + k] = (float)(share * (double)from[k]);
    }
    return status;
}

/* The nearest centre of every class. */
static void add_nearest(const lgt_model *m, lgt_message *graph, int64_t centres) {
    const int64_t shape[3] = {-1, m->n_classes, centres};
    add_tensor(graph, "centres.shape", INT64, 3, 0, shape);
    add_node(graph, "Reshape", "cosines.all", "centres.shape", "cosines.by_class");
    add_reduction(graph, "ReduceMax", "cosines.by_class", "cosines", 2, 0);
}

static lgt_status add_cosines(const lgt_model *m, lgt_message *graph) {
    lgt_loss plain = lgt_loss_plain(&m->loss);
    lgt_view w = lgt_model_weights(m);
    float *directions = NULL;
    int at = lgt_loss_param_of(plain.info, LGT_ROLE_SCALE);
    float scale = at < 0 ? 1 : (float)plain.values[at];
    const char *features = "embedding";
    int64_t centres = lgt_loss_centres(&m->loss);
    lgt_status status = make_directions(m, &directions, graph->err);
    if (status) return status;
    if (plain.info->space == LGT_SPACE_COS) {
        add_tensor(graph, "shortest", FLOAT, 1, 0, &shortest);
        add_reduction(graph, "ReduceL2", "embedding", "embedding.length", 1, 1);
        add_node(graph, "Max", "embedding.length", "shortest", "embedding.divisor");
        add_node(graph, "Div", "embedding", "embedding.divisor", "embedding.direction");
        features = "embedding.direction";
    }
    add_tensor(graph, "head.direction", FLOAT, w.rows, w.cols, directions);
    add_product(graph, features, "head.direction", NULL, centres > 1 ? "cosines.all" : "cosines");
    if (centres > 1) add_nearest(m, graph, centres);
    add_tensor(graph, "head.scale", FLOAT, 1, 0, &scale);
    add_node(graph, "Mul", "cosines", "head.scale", "logits");
    lgt_release(m->context, directions);
    return LGT_OK;
}

static lgt_status add_head(const lgt_model *m, lgt_message *graph) {
    lgt_view w = lgt_model_weights(m);
    lgt_status status = LGT_OK;
    if (m->loss.info->space == LGT_SPACE_DOT) {
        add_tensor(graph, "head.weight", FLOAT, w.rows, w.cols, w.data);
        if (m->b) add_tensor(graph, "head.bias", FLOAT, m->n_classes, 0, m->b);
        add_product(graph, "embedding", "head.weight", m->b ? "head.bias" : NULL, "logits");
    } else {
        status = add_cosines(m, graph);
    }
    add_reduction(graph, "Softmax", "logits", "probabilities", 1, -1);
    return status;
}

static void add_metadata(lgt_message *model, const char *key, const char *value) {
    lgt_message entry = message(model);
    lgt_message_text(&entry, ENTRY_KEY, key);
    lgt_message_text(&entry, ENTRY_VALUE, value);
    lgt_message_within(model, MODEL_METADATA, &entry);
}

static lgt_status compose(const lgt_model *m, lgt_message *model) {
    lgt_message graph = message(model), opset = graph;
    char spec[LGT_LOSS_SPEC_SIZE], *labels = NULL;
    add_encoder(m, &graph);
    lgt_status status = add_head(m, &graph);
    lgt_message_text(&graph, GRAPH_NAME, "logitude");
    add_value(&graph, GRAPH_INPUT, "x", lgt_model_in_dim(m));
    add_value(&graph, GRAPH_OUTPUT, "embedding", lgt_model_dim(m));
    add_value(&graph, GRAPH_OUTPUT, "logits", m->n_classes);
    add_value(&graph, GRAPH_OUTPUT, "probabilities", m->n_classes);
    lgt_message_integer(model, MODEL_IR_VERSION, IR_VERSION);
    lgt_message_text(model, MODEL_PRODUCER, "logitude");
    lgt_message_text(model, MODEL_PRODUCER_VERSION, lgt_version());
    lgt_message_within(model, MODEL_GRAPH, &graph);
    lgt_message_integer(&opset, OPSET_VERSION, OPSET);
    lgt_message_within(model, MODEL_OPSET, &opset);
    lgt_loss_format(&m->loss, spec, sizeof spec);
    add_metadata(model, "loss", spec);
    if (!status) status = lgt_text_list_format(m->context, m->label_names, m->n_classes, &labels, model->err);
    if (!status) add_metadata(model, "label_names", labels);
    lgt_release(m->context, labels);
    return status ? status : model->status;
}

lgt_status lgt_model_export_onnx(const lgt_model *model, const char *path, lgt_error *err) {
    lgt_error own = {0}; /* the path becomes part of the message, wanted or not */
    lgt_message bytes = {.context = model->context, .err = &own};
    lgt_status status = compose(model, &bytes);
    if (status) status = lgt_fail_within(&own, status, "%s: ", path);
    if (!status) status = lgt_file_write(model->context, path, bytes.bytes, bytes.length, &own);
    lgt_message_free(&bytes);
    if (err) *err = own;
    return status ? status : lgt_succeed(err);
}
