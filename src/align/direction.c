/* Direction alignment: L = 1/N sum_i sum_{a in N(i)} beta_ia phi(<x^_i, t_a>) and its gradient (Eq. 140, 141). */
#include "align/direction.h"

#include <math.h>

#include "align/phi.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "math/sphere.h"

/* --- Plans --- */

static lgt_status create_parts(lgt_align_plan *p, lgt_error *err) {
    lgt_neighbour_options options = lgt_neighbour_options_of(&p->term);
    int64_t vectors = 0, places = 0, remembered = 0;
    options.from_bank = p->from_bank;
    options.min_reliability = lgt_align_value(&p->term, "min_reliability");
    options.capacity = (int64_t)lgt_align_value(&p->term, "capacity");
    if (!lgt_count_mul(p->dim, (int64_t)LGT_ALIGN_VECTORS * lgt_context_threads(p->context), &vectors) ||
        !lgt_count_mul(p->max_rows, p->from_bank ? options.k : 1, &places) ||
        !lgt_count_mul(places, p->dim, &remembered))
        return lgt_fail(err, LGT_ERR_MEMORY, "an alignment of %lld rows of dim %lld overflows", (long long)p->max_rows,
                        (long long)p->dim);
    lgt_status status = lgt_finder_create(p->context, &options, p->dim, p->max_rows, &p->finder, err);
    if (!status) status = lgt_unit_rows_create(p->context, p->max_rows, p->dim, &p->found, err);
    if (!status) status = lgt_unit_rows_create(p->context, p->max_rows, p->dim, &p->here, err);
    if (!status && p->targets == LGT_TARGETS_LAYER)
        status = lgt_unit_rows_create(p->context, p->max_rows, p->dim, &p->below, err);
    if (p->targets != LGT_TARGETS_MEMORY) places = remembered = 0;
    if (!status) status = LGT_NEW(p->context, &p->places, places, err);
    if (!status) status = LGT_NEW(p->context, &p->fetched, remembered, err);
    if (!status) status = LGT_NEW(p->context, &p->remembered, remembered, err);
    if (!status) status = LGT_NEW(p->context, &p->loss_rows, p->max_rows, err);
    if (!status) status = LGT_NEW(p->context, &p->rows, p->max_rows, err);
    if (!status) status = LGT_NEW(p->context, &p->work, vectors, err);
    return status;
}

lgt_status lgt_align_plan_create(lgt_context *context, const lgt_align *term, int64_t dim, int64_t max_rows,
                                 lgt_align_plan **out, lgt_error *err) {
    lgt_align_plan *p = NULL;
    if (!term->info || term->info->kind != LGT_ALIGN_PGA)
        return lgt_fail(err, LGT_ERR_USAGE, "the term is %s, expected pga", term->info ? term->info->name : "not set");
    if (dim < 1 || max_rows < 0)
        return lgt_fail(err, LGT_ERR_USAGE, "dim is %lld and max_rows %lld, expected at least 1 and 0", (long long)dim,
                        (long long)max_rows);
    lgt_status status = LGT_NEW_ZERO(context, &p, 1, err);
    if (status) return status;
    *p = (lgt_align_plan){.context = context, .term = *term, .dim = dim, .max_rows = max_rows};
    p->phi = (int)lgt_align_value(term, "phi");
    p->beta = (int)lgt_align_value(term, "beta");
    p->targets = (int)lgt_align_value(term, "targets");
    p->from_bank = lgt_align_value(&p->term, "neighbours") == LGT_NEIGHBOURS_MEMORY;
    p->resolve = (int)lgt_align_value(term, "resolve");
    p->tau = lgt_align_value(term, "tau");
    p->lose = lgt_align_value(term, "lose");
    p->weight = lgt_align_value(term, "weight");
    status = create_parts(p, err);
    if (status) {
        lgt_align_plan_free(p);
        return status;
    }
    *out = p;
    return lgt_succeed(err);
}

void lgt_align_plan_free(lgt_align_plan *plan) {
    if (!plan) return;
    lgt_context *context = plan->context;
    lgt_release(context, plan->work);
    lgt_release(context, plan->rows);
    lgt_release(context, plan->loss_rows);
    lgt_release(context, plan->remembered);
    lgt_release(context, plan->fetched);
    lgt_release(context, plan->places);
    lgt_unit_rows_free(context, &plan->below);
    lgt_unit_rows_free(context, &plan->here);
    lgt_unit_rows_free(context, &plan->found);
    lgt_finder_free(plan->finder);
    lgt_release(context, plan);
}

/* --- Checks --- */

static lgt_status check_bank(const lgt_align_plan *p, const lgt_align_inputs *in, lgt_error *err) {
    const lgt_align_bank *b = in->bank;
    if (p->targets == LGT_TARGETS_MEMORY && !b)
        return lgt_fail(err, LGT_ERR_USAGE, "targets=memory needs a bank, found none");
    if (!b) return LGT_OK;
    if (!in->ids) return lgt_fail(err, LGT_ERR_USAGE, "a bank needs sample ids, found none");
    if (b->dim != p->dim)
        return lgt_fail(err, LGT_ERR_USAGE, "the bank has dim %lld, expected %lld", (long long)b->dim,
                        (long long)p->dim);
    int64_t capacity = (int64_t)lgt_align_value(&p->term, "capacity");
    if (b->capacity > capacity)
        return lgt_fail(err, LGT_ERR_USAGE, "the bank holds %lld samples, expected at most capacity=%lld",
                        (long long)b->capacity, (long long)capacity);
    return LGT_OK;
}

/* Rows whose squares add up to a number: their cosines are judged. */
static lgt_status check_head(const lgt_align_plan *p, const lgt_align_inputs *in, lgt_error *err) {
    lgt_status status = lgt_align_check("head", in->head, in->x.rows, p->dim, in->x.dtype, err);
    for (int64_t i = 0; i < in->x.rows && !status; i++) {
        lgt_align_read(in->head, i, p->work);
        if (isfinite(lgt_dot(p->work, p->work, p->dim))) continue;
        status = lgt_fail(err, LGT_ERR_DATA, "head: row %lld is not finite, or its square beyond the range of double",
                          (long long)i);
    }
    return status;
}

static lgt_status check_inputs(const lgt_align_plan *p, const lgt_align_inputs *in, lgt_error *err) {
    if (in->x.rows < 0 || in->x.rows > p->max_rows)
        return lgt_fail(err, LGT_ERR_USAGE, "x has %lld rows, expected 0 to %lld", (long long)in->x.rows,
                        (long long)p->max_rows);
    lgt_status status = lgt_align_check("x", in->x, in->x.rows, p->dim, in->x.dtype, err);
    if (!status && !in->labels && in->x.rows > 0) status = lgt_fail(err, LGT_ERR_USAGE, "labels are not given");
    if (!status) status = check_bank(p, in, err);
    if (!status && p->targets == LGT_TARGETS_LAYER && !in->below.data && in->x.rows > 0)
        status = lgt_fail(err, LGT_ERR_USAGE, "targets=layer needs the layer below, found none");
    if (!status && p->targets == LGT_TARGETS_LAYER)
        status = lgt_align_check("below", in->below, in->x.rows, p->dim, in->x.dtype, err);
    if (!status && in->head.data) status = check_head(p, in, err);
    if (!status && p->resolve != LGT_RESOLVE_NONE && !in->head.data && in->x.rows > 0)
        status = lgt_fail(err, LGT_ERR_USAGE, "resolve=project and scale need the head's gradient, found none");
    return status;
}

/* --- Find --- */

/* Takes what the bank remembers of the rows, or of the neighbours from the bank. */
static lgt_status remember(lgt_align_plan *p, const lgt_align_inputs *in, lgt_error *err) {
    int64_t n = 0, dim = p->dim;
    for (int64_t i = 0; i < in->x.rows; i++) {
        int64_t count = 0;
        const lgt_align_edge *edges = lgt_finder_edges(p->finder, i, &count);
        if (!p->from_bank) p->places[n++] = lgt_bank_find(in->bank, in->ids[i], in->labels[i]);
        for (int64_t a = 0; a < count && p->from_bank; a++)
            p->places[n++] = lgt_id_map_find(&in->bank->map, edges[a].id);
    }
    lgt_status status = lgt_bank_fetch(in->bank, n, p->places, p->fetched, err);
    for (int64_t i = 0; i < n && !status; i++)
        for (int64_t k = 0; k < dim && p->places[i] >= 0; k++)
            p->remembered[p->places[i] * dim + k] = (double)p->fetched[p->places[i] * dim + k];
    return status;
}

/* What the bank remembers of a neighbour; of one that it does not have yet, its direction now. */
static const double *remembered(const lgt_align_plan *p, const lgt_align_edge *e, int64_t edge) {
    int64_t place = p->places[p->from_bank ? edge : e->row];
    return place >= 0 ? p->remembered + place * p->dim : p->found.units + e->row * p->dim;
}

static void set_targets(const lgt_align_plan *p, lgt_align_edge *edges, int64_t n) {
    const lgt_align_edge *first = lgt_finder_edges(p->finder, 0, &(int64_t){0});
    for (int64_t a = 0; a < n; a++) {
        lgt_align_edge *e = &edges[a];
        if (p->targets == LGT_TARGETS_MEMORY)
            e->target = remembered(p, e, e - first);
        else
            e->target = (p->targets == LGT_TARGETS_LAYER ? p->below.units : p->found.units) + e->row * p->dim;
    }
}

/* Weights that add up to 1, or are all 0. */
static void set_weights(const lgt_align_plan *p, int64_t row, lgt_align_edge *edges, int64_t n) {
    const double *unit = p->found.units + row * p->dim;
    double sum = 0;
    for (int64_t a = 0; a < n; a++) {
        lgt_align_edge *e = &edges[a];
        e->beta = p->beta == LGT_BETA_SIMILARITY    ? fmax(lgt_dot(unit, e->target, p->dim), 0)
                  : p->beta == LGT_BETA_RELIABILITY ? e->reliability
                                                    : 1;
        sum += e->beta;
    }
    for (int64_t a = 0; a < n; a++) edges[a].beta = sum > 0 ? edges[a].beta / sum : 0;
}

/* All that one rank may fail at by itself. */
static lgt_status prepare(lgt_align_plan *p, const lgt_align_inputs *in, lgt_error *err) {
    lgt_status status = check_inputs(p, in, err);
    if (!status) status = lgt_finder_prepare(p->finder, in->bank, err);
    if (!status) status = lgt_unit_rows_take(p->context, in->x, &p->found, err);
    if (status || p->targets != LGT_TARGETS_LAYER) return status;
    status = lgt_unit_rows_take(p->context, in->below, &p->below, err);
    return status ? lgt_fail_within(err, status, "the layer below: ") : LGT_OK;
}

lgt_status lgt_align_find(lgt_align_plan *plan, const lgt_align_inputs *in, lgt_error *err) {
    lgt_align_plan *p = plan;
    lgt_status status = prepare(p, in, err);
    if (in->bank) status = lgt_comm_agree(in->bank->comm, status, err);
    if (!status) status = lgt_finder_run(p->finder, &p->found, in->labels, in->ids, in->bank, err);
    if (!status && p->targets == LGT_TARGETS_MEMORY) status = remember(p, in, err);
    if (status) return status;
    for (int64_t i = 0; i < in->x.rows; i++) {
        int64_t n = 0;
        lgt_align_edge *edges = lgt_finder_edges(p->finder, i, &n);
        set_targets(p, edges, n);
        set_weights(p, i, edges, n);
    }
    return lgt_succeed(err);
}

const lgt_align_edge *lgt_align_neighbours(const lgt_align_plan *plan, int64_t row, int64_t *count) {
    return lgt_finder_edges(plan->finder, row, count);
}

/* --- Pull --- */

/* gradient (D) = share dL_i/dx; returns L_i, not weighted. */
static double pull_gradient(const lgt_align_plan *plan, const lgt_pull *pull, double *gradient) {
    const double *unit = pull->unit;
    int64_t dim = plan->dim;
    double loss = 0;
    for (int64_t k = 0; k < dim; k++) gradient[k] = 0;
    for (int64_t a = 0; a < pull->n_edges; a++) {
        const lgt_align_edge *e = &pull->edges[a];
        lgt_phi phi = lgt_phi_at(plan->phi, plan->tau, lgt_dot(unit, e->target, dim));
        double alpha = e->beta * phi.pull;
        loss += e->beta * phi.value;
        for (int64_t k = 0; k < dim; k++) gradient[k] -= alpha * e->target[k];
    }
    double radial = lgt_dot(gradient, unit, dim), factor = pull->share / pull->length;
    for (int64_t k = 0; k < dim; k++) gradient[k] = factor * (gradient[k] - radial * unit[k]);
    return loss;
}

typedef struct pull_call {
    lgt_align_plan *plan;
    const lgt_align_inputs *in;
    lgt_align_outputs *out;
    const lgt_unit_rows *units;
} pull_call;

static void pull_row(const pull_call *c, int64_t i, double *vectors) {
    lgt_align_plan *p = c->plan;
    double *gradient = vectors, *head = vectors + p->dim;
    lgt_pull pull = {.unit = c->units->units + i * p->dim, .length = c->units->lengths[i]};
    pull.edges = lgt_finder_edges(p->finder, i, &pull.n_edges);
    pull.share = p->weight / (double)c->in->x.rows;
    p->loss_rows[i] = 0;
    p->rows[i] = (lgt_conflict_row){.inner = NAN, .cosine = NAN, .largest = NAN, .smallest = NAN};
    for (int64_t k = 0; k < p->dim; k++) gradient[k] = 0;
    if (pull.length > 0) {
        p->loss_rows[i] = pull_gradient(p, &pull, gradient);
        if (c->in->head.data) {
            lgt_align_read(c->in->head, i, head);
            lgt_conflict_judge(p, &pull, head, gradient, c->out->rows != NULL, head + p->dim, &p->rows[i]);
        }
    }
    if (c->out->dx.data) lgt_align_write(c->out->dx, i, gradient, c->out->accumulate);
}

static void pull_rows(void *argument, int64_t index, int worker) {
    const pull_call *c = argument;
    int64_t begin = index * LGT_ALIGN_ROWS, end = lgt_min64(begin + LGT_ALIGN_ROWS, c->in->x.rows);
    for (int64_t i = begin; i < end; i++)
        pull_row(c, i, c->plan->work + (int64_t)worker * LGT_ALIGN_VECTORS * c->plan->dim);
}

static lgt_status pull_from(lgt_align_plan *p, const lgt_align_inputs *in, const lgt_unit_rows *units,
                            lgt_align_outputs *out, lgt_error *err) {
    pull_call call = {p, in, out, units};
    int64_t n = in->x.rows;
    if (out->dx.data) {
        lgt_status status = lgt_align_check("dx", lgt_align_view(out->dx), n, p->dim, in->x.dtype, err);
        if (status) return status;
    }
    lgt_parallel_for(p->context, lgt_ceil_div(n, LGT_ALIGN_ROWS), pull_rows, &call);
    double sum = 0;
    out->conflict = (lgt_conflict){0};
    out->n_aligned = out->n_zero_rows = 0;
    out->n_edges = lgt_finder_count(p->finder);
    for (int64_t i = 0; i < n; i++) {
        int64_t count = 0;
        lgt_finder_edges(p->finder, i, &count);
        sum += p->loss_rows[i];
        out->n_aligned += count > 0;
        out->n_zero_rows += !(units->lengths[i] > 0);
        if (in->head.data) lgt_conflict_count(&out->conflict, &p->rows[i]);
        if (out->rows) out->rows[i] = p->rows[i];
    }
    out->loss = n > 0 ? p->weight * sum / (double)n : 0;
    return lgt_succeed(err);
}

lgt_status lgt_align_pull(lgt_align_plan *plan, const lgt_align_inputs *in, lgt_align_outputs *out, lgt_error *err) {
    lgt_status status = check_inputs(plan, in, err);
    if (!status && in->x.rows != plan->found.n_rows)
        status = lgt_fail(err, LGT_ERR_USAGE, "x has %lld rows, expected the %lld of the last find",
                          (long long)in->x.rows, (long long)plan->found.n_rows);
    if (!status) status = lgt_unit_rows_take(plan->context, in->x, &plan->here, err);
    return status ? status : pull_from(plan, in, &plan->here, out, err);
}

/* --- Both, and the bank --- */

static void move_bank(const lgt_align_plan *p, const lgt_align_inputs *in) {
    double momentum = lgt_align_value(&p->term, "memory_momentum");
    double score_momentum = lgt_align_value(&p->term, "momentum");
    for (int64_t i = 0; i < in->x.rows; i++)
        if (p->found.lengths[i] > 0)
            lgt_align_bank_update(in->bank, in->ids[i], in->labels[i], p->found.units + i * p->dim,
                                  lgt_finder_score(p->finder, i), momentum, score_momentum);
}

lgt_status lgt_align_run(lgt_align_plan *plan, const lgt_align_inputs *in, lgt_align_outputs *out, lgt_error *err) {
    lgt_status status = lgt_align_find(plan, in, err);
    if (!status) status = pull_from(plan, in, &plan->found, out, err);
    if (!status && in->bank && !in->frozen) move_bank(plan, in);
    return status;
}
