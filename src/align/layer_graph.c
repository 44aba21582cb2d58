/* The graph of one layer (Eq. 145): A_ij = max(cos_ij, 0) on the edges; S = A, or D^-1/2 (A + eps I) D^-1/2. */
#include "align/layer_graph.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "math/sphere.h"

lgt_status lgt_layer_graph_create(lgt_context *context, const lgt_neighbour_options *options, int normalise,
                                  int64_t dim, int64_t max_rows, lgt_layer_graph *out, lgt_error *err) {
    int64_t square = 0;
    *out = (lgt_layer_graph){.context = context, .dim = dim, .normalise = normalise};
    if (!lgt_count_mul(max_rows, max_rows, &square))
        return lgt_fail(err, LGT_ERR_MEMORY, "affinities of %lld rows overflow", (long long)max_rows);
    lgt_status status = lgt_finder_create(context, options, dim, max_rows, &out->finder, err);
    if (!status) status = lgt_unit_rows_create(context, max_rows, dim, &out->rows, err);
    if (!status) status = LGT_NEW(context, &out->mask, square, err);
    if (!status) status = LGT_NEW(context, &out->s, square, err);
    if (!status) status = LGT_NEW(context, &out->sums, max_rows, err);
    return status;
}

void lgt_layer_graph_free(lgt_layer_graph *graph) {
    if (!graph->context) return;
    lgt_release(graph->context, graph->sums);
    lgt_release(graph->context, graph->s);
    lgt_release(graph->context, graph->mask);
    lgt_unit_rows_free(graph->context, &graph->rows);
    lgt_finder_free(graph->finder);
}

/* --- Rows in parallel --- */

typedef struct pass {
    lgt_layer_graph *graph;
    double *ds, *dx;
} pass;

typedef void (*row_work)(const pass *p, int64_t row);

typedef struct row_loop {
    const pass *pass;
    row_work work;
} row_loop;

static void loop_rows(void *argument, int64_t index, int worker) {
    const row_loop *l = argument;
    int64_t end = lgt_min64((index + 1) * LGT_ALIGN_ROWS, l->pass->graph->n);
    (void)worker;
    for (int64_t row = index * LGT_ALIGN_ROWS; row < end; row++) l->work(l->pass, row);
}

static void for_rows(const pass *p, row_work work) {
    row_loop l = {p, work};
    lgt_parallel_for(p->graph->context, lgt_ceil_div(p->graph->n, LGT_ALIGN_ROWS), loop_rows, &l);
}

/* --- Forward --- */

static void mark_edges(const pass *p, int64_t row) {
    const lgt_layer_graph *g = p->graph;
    int64_t count = 0;
    const lgt_align_edge *edges = lgt_finder_edges(g->finder, row, &count);
    memset(g->mask + row * g->n, 0, (size_t)g->n);
    for (int64_t a = 0; a < count; a++) g->mask[row * g->n + edges[a].row] = 1;
}

static void fill_affinities(const pass *p, int64_t row) {
    const lgt_layer_graph *g = p->graph;
    double *s = g->s + row * g->n, sum = LGT_AFFINITY_EPSILON;
    const double *unit = g->rows.units + row * g->dim;
    for (int64_t j = 0; j < g->n; j++) {
        s[j] = g->mask[row * g->n + j] ? fmax(lgt_dot(unit, g->rows.units + j * g->dim, g->dim), 0) : 0;
        sum += s[j];
    }
    g->sums[row] = sum;
}

static void normalise_row(const pass *p, int64_t row) {
    const lgt_layer_graph *g = p->graph;
    double *s = g->s + row * g->n;
    s[row] += LGT_AFFINITY_EPSILON;
    for (int64_t j = 0; j < g->n; j++)
        if (s[j] != 0) s[j] /= sqrt(g->sums[row]) * sqrt(g->sums[j]);
}

lgt_status lgt_layer_graph_take(lgt_layer_graph *graph, lgt_view x, const int64_t *labels, int frozen, lgt_error *err) {
    pass p = {.graph = graph};
    lgt_status status = lgt_unit_rows_take(graph->context, x, &graph->rows, err);
    if (status) return status;
    graph->n = x.rows;
    if (!frozen) {
        if ((status = lgt_finder_run(graph->finder, &graph->rows, labels, NULL, NULL, err))) return status;
        for_rows(&p, mark_edges);
    }
    for_rows(&p, fill_affinities);
    if (graph->normalise) for_rows(&p, normalise_row);
    return LGT_OK;
}

/* --- Backward --- */

/* dL/dd_i = -1/(2 d_i) sum_j (ds_ij s_ij + ds_ji s_ji), kept in the first place of dx_i: dx is free until
 * direction_gradient, and ds may change only when every row has read its column. */
static void sum_gradient(const pass *p, int64_t row) {
    const lgt_layer_graph *g = p->graph;
    double sum = 0;
    for (int64_t j = 0; j < g->n; j++) {
        int64_t there = row * g->n + j, back = j * g->n + row;
        if (g->s[there] != 0) sum += p->ds[there] * g->s[there];
        if (g->s[back] != 0) sum += p->ds[back] * g->s[back];
    }
    p->dx[row * g->dim] = -sum / (2 * g->sums[row]);
}

/* ds -> dL/dA on the edges of positive cosine, 0 elsewhere. */
static void affinity_gradient(const pass *p, int64_t row) {
    const lgt_layer_graph *g = p->graph;
    double *e = p->ds + row * g->n;
    const double *s = g->s + row * g->n;
    for (int64_t j = 0; j < g->n; j++) {
        if (!g->mask[row * g->n + j] || !(s[j] > 0))
            e[j] = 0;
        else if (g->normalise)
            e[j] = e[j] / (sqrt(g->sums[row]) * sqrt(g->sums[j])) + p->dx[row * g->dim];
    }
}

/* dX^ = (E + E^T) X^, dx = P_x dX^ / |x|. */
static void direction_gradient(const pass *p, int64_t row) {
    const lgt_layer_graph *g = p->graph;
    double *dx = p->dx + row * g->dim, length = g->rows.lengths[row];
    const double *unit = g->rows.units + row * g->dim;
    for (int64_t k = 0; k < g->dim; k++) dx[k] = 0;
    if (!(length > 0)) return;
    for (int64_t j = 0; j < g->n; j++) {
        double e = p->ds[row * g->n + j] + p->ds[j * g->n + row];
        const double *other = g->rows.units + j * g->dim;
        if (e == 0) continue;
        for (int64_t k = 0; k < g->dim; k++) dx[k] += e * other[k];
    }
    double radial = lgt_dot(dx, unit, g->dim);
    for (int64_t k = 0; k < g->dim; k++) dx[k] = (dx[k] - radial * unit[k]) / length;
}

void lgt_layer_graph_back(lgt_layer_graph *graph, double *ds, double *dx) {
    pass p = {graph, ds, dx};
    if (graph->normalise) for_rows(&p, sum_gradient);
    for_rows(&p, affinity_gradient);
    for_rows(&p, direction_gradient);
}

/* --- Products --- */

typedef struct product {
    int64_t n, cols;
    const double *a, *b;
    double *c;
    int transposed;
} product;

static void product_rows(void *argument, int64_t index, int worker) {
    const product *p = argument;
    int64_t end = lgt_min64((index + 1) * LGT_ALIGN_ROWS, p->n);
    (void)worker;
    for (int64_t i = index * LGT_ALIGN_ROWS; i < end; i++) {
        double *c = p->c + i * p->cols;
        memset(c, 0, (size_t)p->cols * sizeof *c);
        for (int64_t j = 0; j < p->n; j++) {
            double a = p->transposed ? p->a[j * p->n + i] : p->a[i * p->n + j];
            const double *b = p->b + j * p->cols;
            if (a == 0) continue;
            for (int64_t k = 0; k < p->cols; k++) c[k] += a * b[k];
        }
    }
}

void lgt_sparse_product(lgt_context *context, int64_t n, int64_t cols, const double *a, int transposed, const double *b,
                        double *c) {
    product p = {n, cols, a, b, c, transposed};
    lgt_parallel_for(context, lgt_ceil_div(n, LGT_ALIGN_ROWS), product_rows, &p);
}
