/* Alignment between layers: affinities (k, Eq. 146) and smoothed features (z, Eq. 148). In every pair of neighbouring
 * layers one follows what the other has, which counts as a constant. */
#include <math.h>
#include <string.h>

#include "align/align_terms.h"
#include "align/layer_graph.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "base/text.h"
#include "math/sphere.h"

/* What a layer was when it was followed last. */
typedef struct layer {
    lgt_layer_graph graph;
    double *own;           /* k: K (n, n); z: the smoothed rows (n, dim) */
    double *followed;      /* the same of the layer that this one follows, as a constant */
    double *scores;        /* k: (n) reliabilities, of the last run that was not frozen */
    double *raw, *lengths; /* z: features (n, dim), and |v_i| (n) */
} layer;

struct lgt_align_layers {
    lgt_context *context;
    lgt_align term;
    int n_layers, kind, diffuse, toward;
    double weight, momentum, affinity_momentum;
    int64_t max_rows, widest, n; /* n: rows of the last run; -1: none */
    layer *layers;
    double *square[3]; /* (n, n) scratch */
    double *dx, *dv;   /* (n, widest) */
};

/* --- Memory --- */

static lgt_status create_layer(lgt_align_layers *a, int64_t dim, layer *out, lgt_error *err) {
    lgt_neighbour_options options = lgt_neighbour_options_of(&a->term);
    int is_k = a->kind == LGT_ALIGN_K;
    int normalise = is_k ? lgt_align_value(&a->term, "normalise") > 0 : 1;
    int64_t own = a->max_rows * (is_k ? a->max_rows : dim); /* the graph checks max_rows^2, rows check max_rows dim */
    lgt_status status = lgt_layer_graph_create(a->context, &options, normalise, dim, a->max_rows, &out->graph, err);
    if (!status) status = LGT_NEW(a->context, &out->own, own, err);
    if (!status) status = LGT_NEW(a->context, &out->followed, own, err);
    if (!status && is_k) status = LGT_NEW(a->context, &out->scores, a->max_rows, err);
    if (!status && !is_k) status = LGT_NEW(a->context, &out->raw, own, err);
    if (!status && !is_k) status = LGT_NEW(a->context, &out->lengths, a->max_rows, err);
    return status;
}

static lgt_status check_layers(const lgt_align *term, int n_layers, const int64_t *dims, int64_t max_rows,
                               lgt_error *err) {
    if (!term->info || term->info->kind == LGT_ALIGN_PGA)
        return lgt_fail(err, LGT_ERR_USAGE, "the term is %s, expected k or z", term->info ? "pga" : "not set");
    if (n_layers < 2 || n_layers > LGT_ALIGN_MAX_LAYERS)
        return lgt_fail(err, LGT_ERR_USAGE, "%s: %d layers, expected 2 to %d", term->info->name, n_layers,
                        LGT_ALIGN_MAX_LAYERS);
    if (max_rows < 0 || max_rows > INT32_MAX)
        return lgt_fail(err, LGT_ERR_USAGE, "max_rows is %lld, expected 0 to %d", (long long)max_rows, INT32_MAX);
    for (int l = 0; l < n_layers; l++) {
        if (dims[l] < 1 || dims[l] > INT32_MAX)
            return lgt_fail(err, LGT_ERR_USAGE, "layer %d has width %lld, expected 1 to %d", l, (long long)dims[l],
                            INT32_MAX);
        if (term->info->kind == LGT_ALIGN_Z && dims[l] != dims[0])
            return lgt_fail(err, LGT_ERR_USAGE,
                            "z: layer %d has width %lld and layer 0 has %lld, expected equal widths", l,
                            (long long)dims[l], (long long)dims[0]);
    }
    return LGT_OK;
}

static lgt_status create_parts(lgt_align_layers *a, const int64_t *dims, lgt_error *err) {
    int64_t square = a->max_rows * a->max_rows, rows = 0;
    lgt_status status = LGT_NEW_ZERO(a->context, &a->layers, a->n_layers, err);
    for (int l = 0; l < a->n_layers && !status; l++) {
        a->widest = lgt_max64(a->widest, dims[l]);
        status = create_layer(a, dims[l], &a->layers[l], err);
    }
    rows = a->max_rows * a->widest;
    for (int i = 0; i < 3 && !status; i++) status = LGT_NEW(a->context, &a->square[i], square, err);
    if (!status) status = LGT_NEW(a->context, &a->dx, rows, err);
    if (!status) status = LGT_NEW(a->context, &a->dv, rows, err);
    return status;
}

lgt_status lgt_align_layers_create(lgt_context *context, const lgt_align *term, int n_layers, const int64_t *dims,
                                   int64_t max_rows, lgt_align_layers **out, lgt_error *err) {
    lgt_align_layers *a = NULL;
    lgt_status status = check_layers(term, n_layers, dims, max_rows, err);
    if (!status) status = LGT_NEW_ZERO(context, &a, 1, err);
    if (status) return status;
    *a = (lgt_align_layers){.context = context, .term = *term, .n_layers = n_layers, .max_rows = max_rows, .n = -1};
    a->kind = (int)term->info->kind;
    a->weight = lgt_align_value(term, "weight");
    if (a->kind == LGT_ALIGN_K) {
        a->diffuse = (int)lgt_align_value(term, "diffuse");
        a->toward = (int)lgt_align_value(term, "toward");
        a->momentum = lgt_align_value(term, "momentum");
        a->affinity_momentum = lgt_align_value(term, "affinity_momentum");
    }
    status = create_parts(a, dims, err);
    if (status) {
        lgt_align_layers_free(a);
        return status;
    }
    *out = a;
    return lgt_succeed(err);
}

void lgt_align_layers_free(lgt_align_layers *layers) {
    if (!layers) return;
    lgt_context *context = layers->context;
    lgt_release(context, layers->dv);
    lgt_release(context, layers->dx);
    for (int i = 0; i < 3; i++) lgt_release(context, layers->square[i]);
    for (int l = 0; layers->layers && l < layers->n_layers; l++) {
        layer *y = &layers->layers[l];
        lgt_release(context, y->lengths);
        lgt_release(context, y->raw);
        lgt_release(context, y->scores);
        lgt_release(context, y->followed);
        lgt_release(context, y->own);
        lgt_layer_graph_free(&y->graph);
    }
    lgt_release(context, layers->layers);
    lgt_release(context, layers);
}

/* --- k --- */

static void swap(double **a, double **b) {
    double *kept = *a;
    *a = *b;
    *b = kept;
}

/* K = S^t. */
static void diffuse(lgt_align_layers *a, layer *y) {
    double *power = a->square[0], *next = a->square[1];
    size_t bytes = (size_t)(a->n * a->n) * sizeof *power;
    memcpy(power, y->graph.s, bytes);
    for (int t = 1; t < a->diffuse; t++) {
        lgt_sparse_product(a->context, a->n, a->n, power, 0, y->graph.s, next);
        swap(&power, &next);
    }
    memcpy(y->own, power, bytes);
}

/* dS = sum_m (S^T)^m G (S^T)^(t-1-m) by Horner's rule: E <- S^T E + F, F <- F S^T, from E = F = G; G in square[0],
 * which receives E. F S^T = (S F^T)^T, but S is as good as sparse by rows only: the transpose is formed first. */
static double *undiffuse(lgt_align_layers *a, const layer *y) {
    int64_t n = a->n;
    double *e = a->square[0], *scratch = a->square[1], *f = a->square[2], *transposed = y->own; /* K is used up */
    if (a->diffuse == 1) return e;
    memcpy(f, e, (size_t)(n * n) * sizeof *f);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) transposed[i * n + j] = y->graph.s[j * n + i];
    for (int t = 1; t < a->diffuse; t++) {
        lgt_sparse_product(a->context, n, n, f, 0, transposed, scratch);
        swap(&f, &scratch);
        lgt_sparse_product(a->context, n, n, transposed, 0, e, scratch);
        for (int64_t i = 0; i < n * n; i++) scratch[i] += f[i];
        swap(&e, &scratch);
    }
    return e;
}

/* What a layer follows: its K now, or the moving average of it. */
static void follow(lgt_align_layers *a, const layer *leader, double *smoothed, double *out) {
    double momentum = a->affinity_momentum;
    for (int64_t i = 0; i < a->n * a->n; i++) {
        double k = leader->own[i];
        if (smoothed) k = smoothed[i] = isnan(smoothed[i]) ? k : momentum * smoothed[i] + (1 - momentum) * k;
        out[i] = k;
    }
}

/* The mean of W (K - K')^2 over the edges of either layer; square[0] = its gradient by K times share. */
static double compare(lgt_align_layers *a, const layer *follower, const layer *leader, double share) {
    int64_t n = a->n;
    double *gradient = a->square[0], sum = 0, total = 0;
    for (int64_t i = 0; i < n * n; i++) {
        double w = leader->scores[i / n] * leader->scores[i % n];
        if (!follower->graph.mask[i] && !leader->graph.mask[i]) w = 0;
        double difference = follower->own[i] - follower->followed[i];
        sum += w * difference * difference;
        total += w;
        gradient[i] = 2 * w * difference;
    }
    for (int64_t i = 0; i < n * n; i++) gradient[i] *= total > 0 ? share / total : 0;
    return total > 0 ? share * sum / total : 0;
}

static double affinity_pair(lgt_align_layers *a, layer *follower, const layer *leader, double *smoothed, int frozen) {
    double share = a->weight / (a->n_layers - 1);
    if (!frozen) follow(a, leader, smoothed, follower->followed);
    double loss = compare(a, follower, leader, share);
    lgt_layer_graph_back(&follower->graph, undiffuse(a, follower), a->dx);
    return loss;
}

/* --- z --- */

/* z = v / |v|, v = S x + x. */
static void smooth(lgt_align_layers *a, layer *y, lgt_view x) {
    int64_t dim = y->graph.dim;
    for (int64_t i = 0; i < a->n; i++) lgt_align_read(x, i, y->raw + i * dim);
    lgt_sparse_product(a->context, a->n, dim, y->graph.s, 0, y->raw, y->own);
    for (int64_t i = 0; i < a->n; i++) {
        double *v = y->own + i * dim;
        for (int64_t k = 0; k < dim; k++) v[k] += y->raw[i * dim + k];
        y->lengths[i] = lgt_unit(v, dim, v);
    }
}

/* dv = (dz - <dz, z> z)/|v|, dz = 2 share (z - z'); returns share sum |z - z'|^2. */
static double smoothed_gradient(lgt_align_layers *a, const layer *y, double share) {
    int64_t dim = y->graph.dim;
    double sum = 0;
    for (int64_t i = 0; i < a->n; i++) {
        const double *z = y->own + i * dim, *target = y->followed + i * dim;
        double *dv = a->dv + i * dim, factor = y->lengths[i] > 0 ? 1 / y->lengths[i] : 0;
        for (int64_t k = 0; k < dim; k++) dv[k] = z[k] - target[k];
        sum += lgt_dot(dv, dv, dim);
        double radial = lgt_dot(dv, z, dim);
        for (int64_t k = 0; k < dim; k++) dv[k] = 2 * share * factor * (dv[k] - radial * z[k]);
    }
    return share * sum;
}

static double smoothed_pair(lgt_align_layers *a, layer *follower, const layer *leader, int frozen) {
    int64_t n = a->n, dim = follower->graph.dim;
    double *ds = a->square[0];
    if (!frozen) memcpy(follower->followed, leader->own, (size_t)(n * dim) * sizeof(double));
    if (n == 0) return 0;
    double loss = smoothed_gradient(a, follower, a->weight / ((double)n * (a->n_layers - 1)));
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            ds[i * n + j] =
                follower->graph.s[i * n + j] != 0 ? lgt_dot(a->dv + i * dim, follower->raw + j * dim, dim) : 0;
    lgt_layer_graph_back(&follower->graph, ds, a->dx);
    /* by the features themselves; z is used up */
    lgt_sparse_product(a->context, n, dim, follower->graph.s, 1, a->dv, follower->own);
    for (int64_t i = 0; i < n * dim; i++) a->dx[i] += a->dv[i] + follower->own[i];
    return loss;
}

/* --- Runs --- */

/* Whether layers follow the one above them; else the one below. */
static int follows_above(const lgt_align_layers *a) {
    return a->kind == LGT_ALIGN_Z || a->toward == LGT_TOWARD_UPPER;
}

/* The bank of a layer that another one follows, or NULL. */
static lgt_align_bank *bank_of(const lgt_align_layers *a, const lgt_align_layers_inputs *in, int index) {
    int last = a->n_layers - 1;
    return in->banks && index != (follows_above(a) ? 0 : last) ? in->banks[index] : NULL;
}

static lgt_status check_banks(const lgt_align_layers *a, const lgt_align_layers_inputs *in, lgt_error *err) {
    if (!in->banks) return LGT_OK;
    if (a->kind != LGT_ALIGN_K)
        return lgt_fail(err, LGT_ERR_USAGE, "banks are given with %s, expected them with k alone", a->term.info->name);
    if (!in->ids && in->x[0].rows > 0) return lgt_fail(err, LGT_ERR_USAGE, "banks need sample ids, found none");
    for (int l = 0; l < a->n_layers; l++)
        if (bank_of(a, in, l) && lgt_align_bank_dim(in->banks[l]) != 0)
            return lgt_fail(err, LGT_ERR_USAGE, "the bank of layer %d has dim %lld, expected 0", l,
                            (long long)lgt_align_bank_dim(in->banks[l]));
    return LGT_OK;
}

static lgt_status check_run(const lgt_align_layers *a, const lgt_align_layers_inputs *in,
                            const lgt_align_layers_outputs *out, lgt_error *err) {
    char name[32];
    if (!in->x) return lgt_fail(err, LGT_ERR_USAGE, "x is NULL, expected the rows of %d layers", a->n_layers);
    int64_t n = in->x[0].rows;
    if (n < 0 || n > a->max_rows)
        return lgt_fail(err, LGT_ERR_USAGE, "layer 0 has %lld rows, expected 0 to %lld", (long long)n,
                        (long long)a->max_rows);
    if (in->frozen && a->n < 0) return lgt_fail(err, LGT_ERR_USAGE, "a frozen run, but there was none before it");
    if (in->frozen && n != a->n)
        return lgt_fail(err, LGT_ERR_USAGE, "a frozen run of %lld rows, expected the %lld of the run before",
                        (long long)n, (long long)a->n);
    if (!in->labels && n > 0) return lgt_fail(err, LGT_ERR_USAGE, "labels are not given");
    if (in->smoothed && a->toward != LGT_TOWARD_UPPER)
        return lgt_fail(err, LGT_ERR_USAGE, "moving averages are given, expected them with k:toward=upper alone");
    lgt_status status = check_banks(a, in, err);
    for (int l = 0; l < a->n_layers && !status; l++) {
        lgt_text_format(name, sizeof name, "x of layer %d", l);
        status = lgt_align_check(name, in->x[l], n, a->layers[l].graph.dim, in->x[l].dtype, err);
        lgt_text_format(name, sizeof name, "dx of layer %d", l);
        if (!status && out->dx && out->dx[l].data)
            status = lgt_align_check(name, lgt_align_view(out->dx[l]), n, a->layers[l].graph.dim, in->x[l].dtype, err);
    }
    return status;
}

/* Reliabilities as the runs before left them, or those of this batch alone. */
static void take_scores(lgt_align_layers *a, const lgt_align_layers_inputs *in, int index) {
    layer *y = &a->layers[index];
    const lgt_align_bank *bank = bank_of(a, in, index);
    for (int64_t i = 0; i < a->n; i++) {
        double score = lgt_finder_score(y->graph.finder, i);
        y->scores[i] = bank           ? lgt_align_bank_score(bank, in->ids[i], in->labels[i])
                       : isnan(score) ? LGT_SCORE_START
                                      : score;
    }
}

static void move_banks(const lgt_align_layers *a, const lgt_align_layers_inputs *in) {
    for (int l = 0; l < a->n_layers; l++) {
        const lgt_layer_graph *graph = &a->layers[l].graph;
        lgt_align_bank *bank = bank_of(a, in, l);
        for (int64_t i = 0; bank && i < a->n; i++)
            if (graph->rows.lengths[i] > 0)
                lgt_align_bank_update(bank, in->ids[i], in->labels[i], NULL, lgt_finder_score(graph->finder, i), 0,
                                      a->momentum);
    }
}

static lgt_status take_layers(lgt_align_layers *a, const lgt_align_layers_inputs *in, lgt_error *err) {
    a->n = in->x[0].rows;
    for (int l = 0; l < a->n_layers; l++) {
        layer *y = &a->layers[l];
        lgt_status status = lgt_layer_graph_take(&y->graph, in->x[l], in->labels, in->frozen, err);
        if (status) return lgt_fail_within(err, status, "layer %d: ", l);
        if (a->kind == LGT_ALIGN_Z) {
            smooth(a, y, in->x[l]);
            continue;
        }
        if (!in->frozen) take_scores(a, in, l);
        diffuse(a, y);
    }
    return LGT_OK;
}

static void write_rows(const lgt_align_layers *a, int index, const double *dx, lgt_align_layers_outputs *out) {
    int64_t dim = a->layers[index].graph.dim;
    if (!out->dx || !out->dx[index].data) return;
    for (int64_t i = 0; i < a->n; i++) lgt_align_write(out->dx[index], i, dx + i * dim, out->accumulate);
}

lgt_status lgt_align_layers_run(lgt_align_layers *layers, const lgt_align_layers_inputs *in,
                                lgt_align_layers_outputs *out, lgt_error *err) {
    lgt_align_layers *a = layers;
    int last = a->n_layers - 1, up = follows_above(a);
    lgt_status status = check_run(a, in, out, err);
    if (!status) status = take_layers(a, in, err);
    if (status) return status;
    out->loss = 0;
    out->n_edges = 0;
    for (int l = 0; l <= last; l++) out->n_edges += lgt_finder_count(a->layers[l].graph.finder);
    /* A follower's own K is used up by its turn: the order leaves it to its followers first. */
    for (int i = 0; i < last; i++) {
        int f = up ? i : last - i;
        layer *follower = &a->layers[f], *leader = &a->layers[up ? f + 1 : f - 1];
        double *smoothed = in->smoothed ? in->smoothed + (f + 1) * a->max_rows * a->max_rows : NULL;
        out->loss += a->kind == LGT_ALIGN_K ? affinity_pair(a, follower, leader, smoothed, in->frozen)
                                            : smoothed_pair(a, follower, leader, in->frozen);
        write_rows(a, f, a->dx, out);
    }
    memset(a->dx, 0, (size_t)(a->n * a->widest) * sizeof *a->dx);
    if (!out->accumulate) write_rows(a, up ? last : 0, a->dx, out);
    if (!in->frozen) move_banks(a, in);
    return lgt_succeed(err);
}
