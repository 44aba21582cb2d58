/* Encoders: none, one linear layer, or a multi-layer perceptron with ReLU, float32, forward and backward.
 *
 * Layer l maps a_l (N, in) to a_{l+1} = relu(a_l W_l^T + b_l), W_l (out, in), the last layer without the ReLU (Eq. 20).
 * Threads share the outputs of a layer, and every sum runs over its terms in rising order, so that the bits depend
 * neither on threads nor on how large a pass is. */
#ifndef LOGITUDE_ENCODER_H
#define LOGITUDE_ENCODER_H

#include "context.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lgt_encoder lgt_encoder;
typedef struct lgt_encoder_pass lgt_encoder_pass;

/* spec: "none" (out_dim must equal in_dim, or be 0), "linear", or "mlp:WIDTH[,WIDTH...]" (hidden widths). Weights are
 * drawn by He initialisation, N(0, 2/in) behind a ReLU and N(0, 1/in) in the first layer, from (seed, layer) alone;
 * biases are 0. Errors: USAGE (spec or dims), MEMORY. */
LGT_API lgt_status lgt_encoder_create(lgt_context *context, const char *spec, int64_t in_dim, int64_t out_dim,
                                      uint64_t seed, lgt_encoder **out, lgt_error *err);
LGT_API void lgt_encoder_free(lgt_encoder *encoder);

LGT_API int64_t lgt_encoder_in_dim(const lgt_encoder *encoder);
LGT_API int64_t lgt_encoder_out_dim(const lgt_encoder *encoder);
LGT_API const char *lgt_encoder_spec(const lgt_encoder *encoder);

/* All parameters in one vector: W_0, b_0, W_1, b_1, ... */
LGT_API int64_t lgt_encoder_n_params(const lgt_encoder *encoder);
LGT_API float *lgt_encoder_params(lgt_encoder *encoder);

/* Layer l in [0, n_layers): its weight (out, in) and bias (1, out), inside the vector. */
LGT_API int lgt_encoder_n_layers(const lgt_encoder *encoder);
LGT_API void lgt_encoder_layer(lgt_encoder *encoder, int layer, lgt_mut *weight, lgt_mut *bias);

/* Memory for batches of at most max_rows; `training` reserves what backward needs. Forward and backward allocate
 * nothing. With M the rows and a skew of less than 48, s the outputs of all layers and w those of the widest: about M
 * (in + 2 w) floats, with `training` at most about M (2 in + 2 s + 4 w) and a tile a thread. Errors: USAGE (max_rows
 * below 0), MEMORY. */
LGT_API lgt_status lgt_encoder_pass_create(lgt_encoder *encoder, int64_t max_rows, int training, lgt_encoder_pass **out,
                                           lgt_error *err);
LGT_API void lgt_encoder_pass_free(lgt_encoder_pass *pass);

/* y (N, out_dim) = encoder(x (N, in_dim)). x must stay until backward. 2 N P flops, P all weights without the biases.
 * Errors: USAGE (shape, type, too many rows). */
LGT_API lgt_status lgt_encoder_forward(lgt_encoder_pass *pass, lgt_view x, lgt_mut y, lgt_error *err);

/* Gradients of the last forward: dparams (n_params) overwritten with dJ/dparams, given dy (N, out_dim) = dJ/dy;
 * dx (N, in_dim) too when its data is not NULL. ReLU's derivative at 0 is 0. 4 N P flops; without dx the first layer's
 * weights count half. Errors: USAGE (a pass without training, no forward before it, shapes, types, dparams NULL where
 * there are parameters). */
LGT_API lgt_status lgt_encoder_backward(lgt_encoder_pass *pass, lgt_view dy, float *dparams, lgt_mut dx,
                                        lgt_error *err);

/* Of a training pass, after a forward: the outputs (N, out) of hidden layer l in [0, n_layers - 1), inside the pass. */
LGT_API lgt_view lgt_encoder_hidden(const lgt_encoder_pass *pass, int layer);

/* lgt_encoder_backward where the loss also reads hidden outputs: dhidden[l] (N, out of layer l) is its gradient by
 * those of hidden layer l, data NULL: none. dhidden NULL: none at all. Cost and errors: as lgt_encoder_backward. */
LGT_API lgt_status lgt_encoder_backward_through(lgt_encoder_pass *pass, lgt_view dy, const lgt_view *dhidden,
                                                float *dparams, lgt_mut dx, lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
