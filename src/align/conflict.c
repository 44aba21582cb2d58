/* Head against alignment, row by row: inner product, angles, the conditions and what resolves a conflict (Eq. 149). */
#include <math.h>
#include <string.h>

#include "align/direction.h"
#include "align/phi.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "math/sphere.h"

/* A projection shorter than this share of its vector, or a sum than this share of its parts', is rounding: its
 * direction is undefined. */
static const double least_share = 1e-12;

/* v <- -(v - <v, unit> unit), or zeros where nothing but rounding is left; returns its length. */
static double descent(double *v, const double *unit, int64_t dim) {
    double whole = sqrt(lgt_dot(v, v, dim)), radial = lgt_dot(v, unit, dim);
    for (int64_t k = 0; k < dim; k++) v[k] = radial * unit[k] - v[k];
    double length = sqrt(lgt_dot(v, v, dim));
    if (length > least_share * whole) return length;
    memset(v, 0, (size_t)dim * sizeof *v);
    return 0;
}

/* The unit tangent at x^ towards t; returns |P_x t|, 0 where it has no direction. */
static double tangent(const double *unit, const double *t, int64_t dim, double *out) {
    double radial = lgt_dot(unit, t, dim);
    for (int64_t k = 0; k < dim; k++) out[k] = t[k] - radial * unit[k];
    double length = sqrt(lgt_dot(out, out, dim));
    if (!(length > least_share)) return 0;
    for (int64_t k = 0; k < dim; k++) out[k] /= length;
    return length;
}

/* Sums alpha_a <d, P_x t_a> over the neighbours that have an angle with d = `head`; finds its extremes. Returns
 * sum alpha_a |P_x t_a|, the length of the pull if its parts did not cancel. */
static double compare(const lgt_align_plan *p, const lgt_pull *pull, const double *head, int angles, double *scratch,
                      lgt_conflict_row *out) {
    double *across = scratch, *direction = scratch + p->dim, least = INFINITY, most = -INFINITY, reach = 0;
    int64_t dim = p->dim;
    out->inner = 0;
    for (int64_t k = 0; k < dim; k++) direction[k] = head[k] / out->head;
    for (int64_t a = 0; a < pull->n_edges; a++) {
        const lgt_align_edge *e = &pull->edges[a];
        double length = tangent(pull->unit, e->target, dim, across);
        if (length == 0) {
            out->n_undefined++;
            continue;
        }
        double c = lgt_dot(direction, across, dim);
        lgt_phi phi = lgt_phi_at(p->phi, p->tau, lgt_dot(pull->unit, e->target, dim));
        double part = pull->share / pull->length * e->beta * phi.pull * length;
        out->inner += part * out->head * c;
        reach += fabs(part);
        least = fmin(least, c);
        most = fmax(most, c);
        if (!angles) continue;
        double theta = lgt_angle_between(direction, across, dim, NULL, NULL).theta;
        out->largest = fmax(theta, out->largest); /* fmax and fmin pass over a NaN */
        out->smallest = fmin(theta, out->smallest);
    }
    out->sufficient = least >= 0 && out->n_undefined < pull->n_edges;
    out->printed = most >= 0;
    out->exact = out->inner >= 0;
    return reach;
}

/* gradient = -e. Takes out of e its part against d, or shrinks e so that <d + e, d> >= (1 - lose) <d, d>. */
static void resolve(const lgt_align_plan *p, const double *head, const lgt_conflict_row *row, double *gradient) {
    double square = row->head * row->head;
    if (!(row->inner < 0)) return;
    if (p->resolve == LGT_RESOLVE_PROJECT)
        for (int64_t k = 0; k < p->dim; k++) gradient[k] += row->inner / square * head[k];
    double most = p->lose * square / -row->inner;
    if (p->resolve == LGT_RESOLVE_SCALE && most < 1)
        for (int64_t k = 0; k < p->dim; k++) gradient[k] *= most;
}

void lgt_conflict_judge(const lgt_align_plan *plan, const lgt_pull *pull, double *head, double *gradient, int angles,
                        double *scratch, lgt_conflict_row *out) {
    out->n_neighbours = pull->n_edges;
    out->head = descent(head, pull->unit, plan->dim);
    out->pull = sqrt(lgt_dot(gradient, gradient, plan->dim));
    if (out->head == 0) {
        out->n_undefined = pull->n_edges;
        return;
    }
    double reach = compare(plan, pull, head, angles, scratch, out);
    out->compared = out->pull > least_share * reach && out->n_undefined < pull->n_edges;
    if (!out->compared) {
        out->inner = out->largest = out->smallest = NAN;
        out->sufficient = out->exact = out->printed = 0;
        return;
    }
    out->cosine = fmax(-1, fmin(1, out->inner / out->head / out->pull));
    resolve(plan, head, out, gradient);
}

void lgt_conflict_count(lgt_conflict *total, const lgt_conflict_row *row) {
    total->n_rows++;
    total->n_neighbours += row->n_neighbours;
    total->n_undefined += row->n_undefined;
    if (!row->compared) return;
    int bin = (int)((row->cosine + 1) / 2 * LGT_CONFLICT_BINS);
    total->histogram[bin < LGT_CONFLICT_BINS ? bin : LGT_CONFLICT_BINS - 1]++;
    total->n_compared++;
    total->cosine_sum += row->cosine;
    total->n_conflicts += !row->exact;
    total->n_sufficient += row->sufficient;
    total->n_sufficient_wrong += row->sufficient && !row->exact;
    total->n_printed += row->printed;
    total->n_printed_wrong += row->printed && !row->exact;
}

void lgt_conflict_add(lgt_conflict *total, const lgt_conflict *more) {
    total->n_rows += more->n_rows;
    total->n_compared += more->n_compared;
    total->n_neighbours += more->n_neighbours;
    total->n_undefined += more->n_undefined;
    total->n_conflicts += more->n_conflicts;
    total->n_sufficient += more->n_sufficient;
    total->n_sufficient_wrong += more->n_sufficient_wrong;
    total->n_printed += more->n_printed;
    total->n_printed_wrong += more->n_printed_wrong;
    total->cosine_sum += more->cosine_sum;
    for (int i = 0; i < LGT_CONFLICT_BINS; i++) total->histogram[i] += more->histogram[i];
}

lgt_status lgt_conflict_run(lgt_plan *head_plan, const lgt_head_inputs *head, lgt_align_plan *plan,
                            const lgt_align_inputs *in, lgt_align_outputs *out, lgt_error *err) {
    void *gradient = NULL;
    int64_t elements = 0, n = head->x.rows;
    lgt_status status = LGT_OK;
    if (n < 0 || n > plan->max_rows || !lgt_count_mul(n, plan->dim, &elements))
        status = lgt_fail(err, LGT_ERR_USAGE, "x has %lld rows, expected 0 to %lld", (long long)n,
                          (long long)plan->max_rows);
    if (!status)
        status = lgt_alloc(plan->context, elements, sizeof(double), &gradient, err); /* enough for either type */
    if (status) return status;
    lgt_head_outputs forces = {.dx = lgt_mut_of(gradient, n, plan->dim, head->x.dtype)};
    lgt_align_inputs inputs = *in;
    inputs.x = head->x;
    inputs.labels = head->labels;
    inputs.head = lgt_align_view(forces.dx);
    status = lgt_plan_run(head_plan, head, &forces, err);
    if (!status) status = lgt_align_run(plan, &inputs, out, err);
    lgt_release(plan->context, gradient);
    return status;
}
