/* The graph of one layer: directions, edges, affinities, their normalised form, and the way back (Eq. 145, 147). */
#ifndef LGT_ALIGN_LAYER_GRAPH_H
#define LGT_ALIGN_LAYER_GRAPH_H

#include "align/neighbours.h"

/* Added to the diagonal before normalising, so that a row without neighbours has a sum to be divided by. */
#define LGT_AFFINITY_EPSILON 1e-6

/* Matrices are (n, n) with n the rows of the run. */
typedef struct lgt_layer_graph {
    lgt_context *context;
    int64_t dim, n;
    int normalise;
    lgt_finder *finder;
    lgt_unit_rows rows;
    unsigned char *mask; /* 1: an edge */
    double *s;           /* affinities, normalised or not */
    double *sums;        /* (n) normalise: of the rows of A + eps I */
} lgt_layer_graph;

lgt_status lgt_layer_graph_create(lgt_context *context, const lgt_neighbour_options *options, int normalise,
                                  int64_t dim, int64_t max_rows, lgt_layer_graph *out, lgt_error *err);
void lgt_layer_graph_free(lgt_layer_graph *graph);

/* Takes x and labels; `frozen` keeps the edges. Errors: DATA. */
lgt_status lgt_layer_graph_take(lgt_layer_graph *graph, lgt_view x, const int64_t *labels, int frozen, lgt_error *err);

/* dx (n, dim) = the gradient by x, given ds = dL/dS, which is overwritten. */
void lgt_layer_graph_back(lgt_layer_graph *graph, double *ds, double *dx);

/* c (n, cols) = a b with a (n, n) mostly zeros, or a^T b; b (n, cols). c is neither a nor b. */
void lgt_sparse_product(lgt_context *context, int64_t n, int64_t cols, const double *a, int transposed, const double *b,
                        double *c);

#endif
