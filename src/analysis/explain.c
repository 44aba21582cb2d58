/* Explanation of gradients: rows checked and shared out in blocks to the threads, their numbers stored in the caller's
 * arrays. */
#include <math.h>
#include <string.h>

#include "analysis/forces.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "engine/element.h"
#include "head/batch.h"
#include "logitude/curvature.h"
#include "logitude/explain.h"
#include "loss/definition.h"

typedef struct explainer {
    lgt_context *context;
    const lgt_explain_options *options;
    lgt_explanation *out;
    lgt_plan *plan; /* for its checks, targets and the loss's state; its engine never runs */
    lgt_batch batch;
    lgt_force_field field;
    int threads;
    double *bias;            /* (C) */
    double *numbers;         /* (threads, of a block and LGT_FORCE_VECTORS vectors of ld) */
    lgt_pusher *pushers;     /* (threads, LGT_FORCE_ROWS, n_pushers) */
    lgt_force_block *blocks; /* (threads) */
    double **vectors;        /* (threads) of one row, (LGT_FORCE_VECTORS, ld) */
    int64_t block_rows;      /* in every block but the last */
    int64_t n_rows;
    unsigned char *verdicts; /* (n_rows) */
} explainer;

void lgt_explain_options_init(lgt_explain_options *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
    options->dtype = LGT_F32;
    options->ignore_label = LGT_NO_IGNORE;
    options->n_pushers = 3;
}

/* --- Before the rows --- */

static lgt_status check(const lgt_explain_options *o, const lgt_head_inputs *in, lgt_error *err) {
    if (o->struct_size != sizeof *o)
        return lgt_fail(err, LGT_ERR_USAGE, "lgt_explain_options has struct_size %zu, expected %zu: call its _init",
                        o->struct_size, sizeof *o);
    if (o->n_pushers < 0) return lgt_fail(err, LGT_ERR_USAGE, "n_pushers is %lld", (long long)o->n_pushers);
    if (o->rows && o->n_rows < 0) return lgt_fail(err, LGT_ERR_USAGE, "n_rows is %lld", (long long)o->n_rows);
    for (int64_t k = 0; o->rows && k < o->n_rows; k++)
        if (o->rows[k] < 0 || o->rows[k] >= in->x.rows)
            return lgt_fail(err, LGT_ERR_USAGE, "rows holds %lld, expected 0 to %lld", (long long)o->rows[k],
                            (long long)in->x.rows - 1);
    return LGT_OK;
}

static lgt_status create_plan(explainer *e, const lgt_head *head, const lgt_head_inputs *in, lgt_error *err) {
    lgt_plan_options options;
    double weight;
    lgt_plan_options_init(&options);
    options.engine = LGT_ENGINE_REFERENCE;
    options.dtype = e->options->dtype;
    options.max_rows = in->x.rows > 0 ? in->x.rows : 0;
    options.reduction = LGT_REDUCTION_NONE;
    options.label_smoothing = e->options->label_smoothing;
    options.z_loss = e->options->z_loss;
    options.ignore_label = e->options->ignore_label;
    options.loss_only = 1;
    lgt_status status = lgt_plan_create(head, &options, &e->plan, err);
    if (!status) status = lgt_batch_prepare(e->plan, in, 0, &e->batch, &weight, err);
    for (int64_t i = 0; i < in->x.rows && !status; i++) /* rows that are not asked for move the state */
        if (!lgt_row_is_finite(in->x, i)) status = lgt_row_not_finite(in->x, i, "x", err);
    return status ? status : lgt_batch_begin(e->plan, in, LGT_OK, &e->batch, err);
}

static void set_field(explainer *e) {
    lgt_force_field *f = &e->field;
    f->problem = &e->plan->problem;
    f->exact = f->detached = e->plan->problem;
    f->exact.gradient = LGT_GRADIENT_EXACT;
    f->detached.gradient = LGT_GRADIENT_DETACHED;
    f->batch = &e->batch;
    f->kernels = lgt_kernels_f64_of(lgt_context_isa(e->context));
    f->n_pushers = e->options->n_pushers;
    f->ld = lgt_round_up(f->problem->dim, LGT_LANES);
}

/* Every thread's block and vectors, one after the other. */
static lgt_status allocate_blocks(explainer *e, lgt_error *err) {
    int64_t k = e->options->n_pushers, ld = e->field.ld, of_block, of_thread, numbers, pushers;
    lgt_status status;
    if (!lgt_force_block_size(ld, &of_block) || of_block > INT64_MAX - LGT_FORCE_VECTORS * ld ||
        !lgt_count_mul(e->threads, of_thread = of_block + LGT_FORCE_VECTORS * ld, &numbers) ||
        !lgt_count_mul(e->threads * LGT_FORCE_ROWS, k, &pushers))
        return lgt_fail(err, LGT_ERR_MEMORY, "%lld dimensions and %lld pushers are too many", (long long)ld,
                        (long long)k);
    if ((status = LGT_NEW_ZERO(e->context, &e->numbers, numbers, err)) ||
        (status = LGT_NEW(e->context, &e->pushers, pushers, err)) ||
        (status = LGT_NEW(e->context, &e->vectors, e->threads, err)) ||
        (status = LGT_NEW_ZERO(e->context, &e->blocks, e->threads, err)))
        return status;
    for (int64_t t = 0; t < e->threads; t++) {
        double *at = e->numbers + t * of_thread;
        lgt_force_block_place(&e->blocks[t], ld, at, e->pushers + t * LGT_FORCE_ROWS * k);
        e->vectors[t] = at + of_block;
    }
    return LGT_OK;
}

static lgt_status allocate(explainer *e, lgt_error *err) {
    lgt_status status = LGT_NEW_ZERO(e->context, &e->bias, e->plan->problem.n_classes, err);
    e->field.bias = e->bias;
    if (!status) status = LGT_NEW_ZERO(e->context, &e->verdicts, e->n_rows, err);
    if (!status) status = allocate_blocks(e, err);
    if (!status && e->batch.b.data) lgt_row_load(e->batch.b, 0, e->bias);
    return status;
}

/* Whether all rows of w are finite, and how many have no direction. */
static lgt_status check_weights(explainer *e, int64_t *n_zero, lgt_error *err) {
    const lgt_problem *p = &e->plan->problem;
    lgt_ray w = {e->vectors[0], e->vectors[0] + e->field.ld, 0};
    *n_zero = 0;
    for (int64_t j = 0; j < p->n_classes * p->centres; j++) {
        if (!lgt_ray_load(p, e->batch.w, j, &w)) return lgt_row_not_finite(e->batch.w, j, "w", err);
        *n_zero += p->unit_w && w.norm == 0;
    }
    return LGT_OK;
}

/* An upper bound of the spectral norm; a norm beyond the range of double is infinite. */
static lgt_status norm_of(const explainer *e, int centred, double *upper, lgt_error *err) {
    double norm;
    lgt_status status = lgt_spectral_norm(e->context, e->batch.w, centred, e->plan->problem.unit_w, &norm, upper, err);
    if (status == LGT_ERR_NONFINITE) {
        *upper = INFINITY;
        return LGT_OK;
    }
    return status;
}

/* The mean of all rows of w plays no part only where the coefficients of these rows add up to 0 (Eq. 104). */
static lgt_status measure_norms(explainer *e, int64_t n_zero, lgt_error *err) {
    const lgt_problem *p = &e->plan->problem;
    int balanced = p->options.z_loss == 0 && !e->batch.scales && !p->bends_crowd && p->centres == 1 && n_zero == 0;
    e->field.norm = e->field.centred = NAN;
    if (!e->out->bound && !e->out->tight_bound) return LGT_OK;
    lgt_status status = norm_of(e, 0, &e->field.norm, err);
    if (!status && balanced) status = norm_of(e, 1, &e->field.centred, err);
    if (!status && balanced) e->field.centred = fmin(e->field.centred, e->field.norm);
    return status;
}

/* --- Rows --- */

static void put(double *to, int64_t at, double value) {
    if (to) to[at] = value;
}

static void store(const lgt_explanation *out, int64_t at, const lgt_force_row *r) {
    put(out->loss, at, r->loss);
    put(out->p, at, r->p);
    put(out->theta, at, r->theta);
    put(out->alpha, at, r->alpha);
    put(out->x_norm, at, r->x_norm);
    put(out->w_norm, at, r->w_norm);
    put(out->attraction, at, r->attraction);
    put(out->repulsion, at, r->repulsion);
    put(out->attraction_share, at, r->attraction_share);
    put(out->penalty, at, r->penalty);
    put(out->gradient, at, r->gradient);
    put(out->tangential, at, r->tangential);
    put(out->radial, at, r->radial);
    put(out->radial_share, at, r->radial_share);
    put(out->sensitivity, at, r->sensitivity);
    put(out->bound, at, r->bound);
    put(out->tight_bound, at, r->tight_bound);
    put(out->detached_angle, at, r->detached_angle);
    put(out->detached_ratio, at, r->detached_ratio);
    put(out->nearest_theta, at, r->nearest_theta);
    if (out->nearest) out->nearest[at] = r->nearest;
}

static int64_t row_of(const explainer *e, int64_t at) {
    return e->options->rows ? e->options->rows[at] : at;
}

static int is_bad(lgt_force_verdict verdict) {
    return verdict == LGT_FORCE_BAD_X || verdict == LGT_FORCE_OVERFLOW;
}

static void store_vector(double *to, int64_t at, int64_t width, const double *values) {
    if (to) memcpy(to + at * width, values, (size_t)width * sizeof *to);
}

static void explain_block(void *argument, int64_t index, int worker) {
    explainer *e = argument;
    lgt_explanation *out = e->out;
    lgt_force_block *block = &e->blocks[worker];
    int64_t d = e->plan->problem.dim, k = e->options->n_pushers, first = index * e->block_rows;
    lgt_force_block_measure(block, &e->field, e->options->rows, first, lgt_min64(e->block_rows, e->n_rows - first));
    for (int64_t at = first; at < first + block->n_rows; at++) {
        const lgt_force_sums *sums = &block->rows[at - first];
        lgt_force_row row;
        e->verdicts[at] = (unsigned char)sums->verdict;
        if (is_bad(sums->verdict)) continue;
        lgt_force_measure(&e->field, sums, e->vectors[worker], &row, out->pushers ? out->pushers + at * k : NULL,
                          out->pusher_shares ? out->pusher_shares + at * k : NULL);
        store(out, at, &row);
        store_vector(out->attraction_x, at, d, sums->attraction);
        store_vector(out->repulsion_x, at, d, sums->repulsion);
    }
}

static lgt_status judge(const explainer *e, lgt_error *err) {
    for (int64_t at = 0; at < e->n_rows; at++) {
        if (e->verdicts[at] == LGT_FORCE_BAD_X) return lgt_row_not_finite(e->batch.x, row_of(e, at), "x", err);
        if (e->verdicts[at] == LGT_FORCE_OVERFLOW)
            return lgt_fail(err, LGT_ERR_NONFINITE, "row %lld: its logits exceed the range of double",
                            (long long)row_of(e, at));
    }
    return LGT_OK;
}

static lgt_status explain(explainer *e, lgt_error *err) {
    const lgt_loss *loss = &e->batch.loss;
    int64_t n_zero;
    set_field(e);
    lgt_status status = allocate(e, err);
    if (!status) status = check_weights(e, &n_zero, err);
    if (!status) status = measure_norms(e, n_zero, err);
    if (status) return status;
    e->block_rows = lgt_max64(1, lgt_min64(LGT_FORCE_ROWS, lgt_ceil_div(e->n_rows, e->threads)));
    lgt_parallel_for(e->context, lgt_ceil_div(e->n_rows, e->block_rows), explain_block, e);
    for (int k = 0; k < lgt_loss_n_state(loss->info); k++)
        e->out->state[k] = loss->values[lgt_loss_param_of(loss->info, LGT_ROLE_STATE) + k];
    return judge(e, err);
}

lgt_status lgt_explain_run(const lgt_head *head, const lgt_explain_options *options, const lgt_head_inputs *in,
                           lgt_explanation *out, lgt_error *err) {
    lgt_explain_options defaults;
    lgt_explain_options_init(&defaults);
    explainer e = {.context = head->context, .options = options ? options : &defaults, .out = out};
    e.threads = lgt_context_threads(e.context);
    e.n_rows = e.options->rows ? e.options->n_rows : in->x.rows;
    lgt_status status = check(e.options, in, err);
    if (!status) status = create_plan(&e, head, in, err);
    if (!status) status = explain(&e, err);
    lgt_release(e.context, e.verdicts);
    lgt_release(e.context, e.blocks);
    lgt_release(e.context, e.vectors);
    lgt_release(e.context, e.pushers);
    lgt_release(e.context, e.numbers);
    lgt_release(e.context, e.bias);
    lgt_plan_free(e.plan);
    return status ? status : lgt_succeed(err);
}
