/* The inside of a pass through an encoder.
 *
 * A product c = a b streams its right operand along rows, so every layer wants a matrix in two directions: activations
 * turned, (width, rows), as the right operand of the next layer's W a^T and as they are, (rows, width), for dW =
 * delta^T a; deltas turned for that and as they are for delta W. Whoever makes one turns it while it is in the first
 * cache. */
#ifndef LGT_NET_ENCODER_PASS_H
#define LGT_NET_ENCODER_PASS_H

#include "kernel/kernels.h"
#include "net/encoder.h"

/* Rows of W and columns of W that are one task's, rows of a batch that are taken at once. Sums run over whole rows and
 * columns, in rising order, so none of these changes a bit. */
enum { LGT_NET_ROWS = 56, LGT_NET_COLUMNS = 64, LGT_NET_BLOCK = 128, LGT_NET_SKEW = 16 };

struct lgt_encoder_pass {
    lgt_encoder *encoder;
    const lgt_kernels_f32 *kernels;
    int64_t max_rows, n_rows; /* n_rows of the last forward; -1: none yet */
    int64_t ld;               /* of turned matrices: max_rows and a skew, so that rows do not share cache sets */
    int training;
    lgt_view x;
    int slot;           /* of the last forward */
    float *x_turned[2]; /* (in_dim, ld) of each slot */
    float *up[2];       /* (width, ld) outputs of layers, turned, by turns */
    float *activations; /* training: outputs of hidden layers, (max_rows, wide), layer after layer */
    float *x_rest[2];   /* training: (max_rows, LGT_LANES) the last columns of x, where they are no whole panel */
    float *down[2];     /* training: (max_rows, wide) deltas of hidden layers, by turns */
    float *deltas;      /* training: (out, ld) of all layers, turned, layer after layer */
    float *tiles;       /* training: one a worker */
    int64_t tile;       /* its length */

    /* A shared pass has the rows of all layers next to each other, so that one gather makes them whole: `activations`
     * is (max_rows, outputs_ld), and y its last columns; down[0] is (max_rows, hidden_ld). Turned matrices begin with
     * the first row that is this rank's own. */
    lgt_comm comm; /* size 1: alone */
    lgt_span own;  /* rows of the last forward */
    int64_t outputs_ld, hidden_ld;
    int64_t *offsets; /* (size + 1) of a gather */
    char *records;    /* what lgt_encoder_gather_outputs packs */
};

/* A matrix inside another one. */
typedef struct lgt_block {
    float *data;
    int64_t ld;
} lgt_block;

/* Columns that a matrix of this width is given. */
int64_t lgt_net_wide(int64_t width);

/* Outputs of hidden layer l and its deltas, both (n_rows, out), and the turned deltas of any layer. */
lgt_block lgt_pass_hidden(const lgt_encoder_pass *pass, int layer);
lgt_block lgt_pass_down(const lgt_encoder_pass *pass, int layer);
float *lgt_pass_delta(const lgt_encoder_pass *pass, int layer);

/* Of a shared pass: where forward puts its rows of y; all rows of hidden outputs and of y, which is filled; all rows of
 * the deltas of hidden layers and, unless its data is NULL, of dx. Errors: COMM. */
lgt_block lgt_pass_output(const lgt_encoder_pass *pass);
lgt_status lgt_pass_gather_outputs(const lgt_encoder_pass *pass, lgt_mut y, lgt_error *err);
lgt_status lgt_pass_gather_deltas(const lgt_encoder_pass *pass, lgt_mut dx, lgt_error *err);

/* c (m, n; ldc) = a b, a (m, k; lda), b (k, n; ldb), n a multiple of LGT_LANES: by panels of b that stay in the first
 * cache while the rows of a pass. */
void lgt_net_product(const lgt_encoder_pass *pass, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                     const float *b, int64_t ldb, float *c, int64_t ldc);

/* rows * columns floats, zero. Errors: MEMORY. */
lgt_status lgt_net_new_matrix(const lgt_encoder_pass *pass, float **out, int64_t rows, int64_t columns, lgt_error *err);

/* out (columns, rows) = in (rows, columns), turned. */
void lgt_net_turn(const float *in, int64_t ld_in, int64_t rows, int64_t columns, float *out, int64_t ld_out);

/* Errors: USAGE. */
lgt_status lgt_net_check_matrix(const char *name, lgt_view v, int64_t n_rows, int64_t cols, lgt_error *err);
lgt_view lgt_net_view_of(lgt_mut m);

#endif
