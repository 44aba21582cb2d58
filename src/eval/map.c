/* A plane through embeddings: their first two principal components, by power iterations on X^T X, which is not formed.
 */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/philox.h"
#include "eval/scores.h"
#include "logitude/eval.h"
#include "math/sphere.h"

enum { MOST_STEPS = 300, STREAM = 0x4d41504d };

/* Two axes no further apart than this are the same picture. */
static const double close_enough = 1e-7;

typedef struct plane {
    int64_t n, dim;
    double *rows;             /* (N, D) centred */
    double *axes[2], *next;   /* (D) each */
    double variance, held[2]; /* sums of squares: of all, along each axis */
} plane;

static void load(plane *p, lgt_view view, int directions) {
    for (int64_t i = 0; i < p->n; i++) {
        const float *x = (const float *)view.data + i * view.ld;
        double *row = p->rows + i * p->dim;
        for (int64_t k = 0; k < p->dim; k++) row[k] = x[k];
        if (directions) lgt_unit(row, p->dim, row);
    }
}

static void centre(plane *p) {
    for (int64_t k = 0; k < p->dim; k++) {
        double sum = 0;
        for (int64_t i = 0; i < p->n; i++) sum += p->rows[i * p->dim + k];
        double mean = p->n ? sum / (double)p->n : 0;
        for (int64_t i = 0; i < p->n; i++) p->rows[i * p->dim + k] -= mean;
    }
    p->variance = lgt_dot(p->rows, p->rows, p->n * p->dim);
}

static void remove_axis(const plane *p, const double *axis, double *v) {
    double along = lgt_dot(axis, v, p->dim);
    for (int64_t k = 0; k < p->dim; k++) v[k] -= along * axis[k];
}

/* next = X^T X axis, without its part along the axes before it; returns |X axis|^2. */
static double multiply(const plane *p, int which) {
    double held = 0;
    for (int64_t k = 0; k < p->dim; k++) p->next[k] = 0;
    for (int64_t i = 0; i < p->n; i++) {
        const double *row = p->rows + i * p->dim;
        double along = lgt_dot(row, p->axes[which], p->dim);
        held += along * along;
        for (int64_t k = 0; k < p->dim; k++) p->next[k] += along * row[k];
    }
    for (int before = 0; before < which; before++) remove_axis(p, p->axes[before], p->next);
    return held;
}

/* The largest component becomes positive: an axis has no sign of its own. */
static void orient(double *axis, int64_t dim) {
    int64_t largest = 0;
    for (int64_t k = 1; k < dim; k++)
        if (fabs(axis[k]) > fabs(axis[largest])) largest = k;
    if (axis[largest] < 0)
        for (int64_t k = 0; k < dim; k++) axis[k] = -axis[k];
}

static void find_axis(plane *p, int which) {
    lgt_rng rng = {0, STREAM + (uint64_t)which};
    double *axis = p->axes[which];
    for (int64_t k = 0; k < p->dim; k++) axis[k] = lgt_rng_normal(&rng, (uint64_t)k);
    for (int before = 0; before < which; before++) remove_axis(p, p->axes[before], axis);
    lgt_unit(axis, p->dim, axis);
    for (int step = 0; step < MOST_STEPS; step++) {
        p->held[which] = multiply(p, which);
        if (!(lgt_unit(p->next, p->dim, p->next) > 0)) break; /* nothing is left in this direction */
        double change = 0;
        for (int64_t k = 0; k < p->dim; k++) {
            change += (p->next[k] - axis[k]) * (p->next[k] - axis[k]);
            axis[k] = p->next[k];
        }
        if (change < close_enough * close_enough) break;
    }
    p->held[which] = multiply(p, which);
    orient(axis, p->dim);
}

static void project(const plane *p, lgt_mut out, double shares[2]) {
    double *place = out.data;
    for (int64_t i = 0; i < p->n; i++)
        for (int a = 0; a < 2; a++)
            place[i * out.ld + a] = a < p->dim ? lgt_dot(p->rows + i * p->dim, p->axes[a], p->dim) : 0;
    for (int a = 0; a < 2; a++) shares[a] = p->variance > 0 && a < p->dim ? p->held[a] / p->variance : 0;
}

static void copy(lgt_view view, lgt_mut out, double shares[2]) {
    double *place = out.data;
    for (int64_t i = 0; i < view.rows; i++)
        for (int a = 0; a < 2; a++) place[i * out.ld + a] = (double)((const float *)view.data)[i * view.ld + a];
    shares[0] = shares[1] = NAN;
}

lgt_status lgt_eval_map(lgt_context *context, lgt_view embeddings, int directions, lgt_mut out, double shares[2],
                        lgt_error *err) {
    plane p = {.n = embeddings.rows, .dim = embeddings.cols};
    lgt_status status = lgt_scores_check(embeddings, err);
    if (status) return status;
    if (!out.data || out.rows != p.n || out.cols != 2 || out.ld < 2 || out.dtype != LGT_F64 || !shares)
        return lgt_fail(err, LGT_ERR_USAGE, "a map is (%lld, %lld) of %s, expected (%lld, 2) of f64",
                        (long long)out.rows, (long long)out.cols, lgt_dtype_name(out.dtype), (long long)p.n);
    if (p.dim == 2) {
        copy(embeddings, out, shares);
        return lgt_succeed(err);
    }
    status = LGT_NEW(context, &p.rows, p.n * p.dim, err);
    if (!status) status = LGT_NEW(context, &p.next, p.dim, err);
    for (int a = 0; a < 2 && !status; a++) status = LGT_NEW(context, &p.axes[a], p.dim, err);
    if (!status) {
        load(&p, embeddings, directions);
        centre(&p);
        for (int a = 0; a < 2 && a < p.dim; a++) find_axis(&p, a);
        project(&p, out, shares);
    }
    for (int a = 1; a >= 0; a--) lgt_release(context, p.axes[a]);
    lgt_release(context, p.next);
    lgt_release(context, p.rows);
    return status ? status : lgt_succeed(err);
}
