/* Plans: options checked, an engine chosen, weights of rows worked out, and the results summed. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "head/checks.h"
#include "head/problem.h"

struct lgt_plan {
    const lgt_head *head;
    lgt_problem problem;
    const lgt_engine_vtable *engine;
    void *state;
    int64_t bytes;
    int64_t *target, *top1;           /* (max_rows) */
    double *coefficient, *loss, *lse; /* (max_rows) */
};

void lgt_plan_options_init(lgt_plan_options *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
    options->engine = LGT_ENGINE_CPU;
    options->dtype = LGT_F32;
    options->max_rows = 1;
    options->ignore_label = LGT_NO_IGNORE;
}

static lgt_status check_options(const lgt_plan_options *o, lgt_error *err) {
    if (o->struct_size != sizeof *o)
        return lgt_fail(err, LGT_ERR_USAGE, "lgt_plan_options has struct_size %zu, expected %zu: call its _init",
                        o->struct_size, sizeof *o);
    if (o->dtype != LGT_F32 && o->dtype != LGT_F64)
        return lgt_fail(err, LGT_ERR_UNSUPPORTED, "heads compute in f32 and f64, not in %s", lgt_dtype_name(o->dtype));
    if (o->max_rows < 0) return lgt_fail(err, LGT_ERR_USAGE, "max_rows is %lld", (long long)o->max_rows);
    if (!(o->label_smoothing >= 0 && o->label_smoothing < 1))
        return lgt_fail(err, LGT_ERR_USAGE, "label_smoothing is %g, expected 0 <= e < 1", o->label_smoothing);
    if (!(o->z_loss >= 0 && o->z_loss <= 1e6))
        return lgt_fail(err, LGT_ERR_USAGE, "z_loss is %g, expected 0 to 1e6", o->z_loss);
    if ((int)o->reduction < 0 || o->reduction > LGT_REDUCTION_NONE)
        return lgt_fail(err, LGT_ERR_USAGE, "there is no reduction %d", (int)o->reduction);
    return LGT_OK;
}

static lgt_status plan_buffers(lgt_plan *plan, lgt_error *err) {
    lgt_context *context = plan->head->context;
    int64_t n = plan->problem.options.max_rows;
    lgt_status status;
    if ((status = LGT_NEW(context, &plan->target, n, err)) || (status = LGT_NEW(context, &plan->top1, n, err)) ||
        (status = LGT_NEW(context, &plan->coefficient, n, err)) || (status = LGT_NEW(context, &plan->loss, n, err)) ||
        (status = LGT_NEW(context, &plan->lse, n, err)))
        return status;
    status = plan->engine->plan(&plan->problem, &plan->state, &plan->bytes, err);
    plan->bytes += n * (int64_t)(2 * sizeof(int64_t) + 3 * sizeof(double)) + (int64_t)sizeof *plan;
    return status;
}

lgt_status lgt_plan_create(const lgt_head *head, const lgt_plan_options *options, lgt_plan **out, lgt_error *err) {
    static const lgt_engine_vtable *const engines[] = {&lgt_engine_cpu, &lgt_engine_reference};
    lgt_plan_options defaults;
    lgt_plan *plan = NULL;
    lgt_plan_options_init(&defaults);
    if (!options) options = &defaults;
    lgt_status status = check_options(options, err);
    if (status) return status;
    if ((int)options->engine < 0 || (size_t)options->engine >= sizeof engines / sizeof *engines)
        return lgt_fail(err, LGT_ERR_USAGE, "there is no engine %d", (int)options->engine);
    if ((status = LGT_NEW_ZERO(head->context, &plan, 1, err))) return status;
    plan->head = head;
    plan->problem = lgt_problem_of(head, options);
    plan->engine = engines[options->engine];
    status = plan->engine->supports(&plan->problem, err);
    if (!status) status = plan_buffers(plan, err);
    if (status) {
        lgt_plan_free(plan);
        return status;
    }
    *out = plan;
    return lgt_succeed(err);
}

void lgt_plan_free(lgt_plan *plan) {
    if (!plan) return;
    lgt_context *context = plan->head->context;
    plan->engine->release(&plan->problem, plan->state);
    lgt_release(context, plan->lse);
    lgt_release(context, plan->loss);
    lgt_release(context, plan->coefficient);
    lgt_release(context, plan->top1);
    lgt_release(context, plan->target);
    lgt_release(context, plan);
}

int64_t lgt_plan_bytes(const lgt_plan *plan) {
    return plan->bytes;
}

static lgt_status check_inputs(const lgt_plan *plan, const lgt_head_inputs *in, lgt_error *err) {
    const lgt_problem *p = &plan->problem;
    lgt_dtype dtype = p->options.dtype;
    int64_t n = in->x.rows;
    if (n < 0 || n > p->options.max_rows)
        return lgt_fail(err, LGT_ERR_USAGE, "x has %lld rows, the plan allows %lld", (long long)n,
                        (long long)p->options.max_rows);
    if (in->step < 0) return lgt_fail(err, LGT_ERR_USAGE, "step is %lld", (long long)in->step);
    if (n > 0 && !in->labels) return lgt_fail(err, LGT_ERR_USAGE, "labels are missing");
    if (in->upstream && p->options.reduction != LGT_REDUCTION_NONE)
        return lgt_fail(err, LGT_ERR_USAGE, "upstream gradients need the reduction none");
    lgt_status status;
    if ((status = lgt_check_view("x", in->x, n, p->dim, dtype, err)) ||
        (status = lgt_check_view("w", in->w, p->n_classes, p->dim, dtype, err)) ||
        (status = lgt_check_bias(plan->head, in->b, dtype, err)) ||
        (status = lgt_check_numbers("sample_weights", in->sample_weights, n, 0, err)) ||
        (status = lgt_check_numbers("class_weights", in->class_weights, p->n_classes, 0, err)) ||
        (status = lgt_check_numbers("upstream", in->upstream, n, -INFINITY, err)))
        return status;
    return LGT_OK;
}

static lgt_status check_outputs(const lgt_plan *plan, const lgt_head_inputs *in, const lgt_head_outputs *out,
                                lgt_error *err) {
    const lgt_problem *p = &plan->problem;
    lgt_dtype dtype = p->options.dtype;
    int any = out->dx.data || out->dw.data || out->db.data;
    lgt_status status = LGT_OK;
    if (any && p->options.loss_only)
        return lgt_fail(err, LGT_ERR_USAGE, "the plan was made with loss_only, but gradients are wanted");
    if (any && p->options.reduction == LGT_REDUCTION_NONE && !in->upstream)
        return lgt_fail(err, LGT_ERR_USAGE, "with the reduction none gradients need upstream, which is missing");
    if (out->db.data && !in->b.data) return lgt_fail(err, LGT_ERR_USAGE, "db is wanted, but there is no bias");
    if (out->dx.data) status = lgt_check_mut("dx", out->dx, in->x.rows, p->dim, dtype, err);
    if (!status && out->dw.data) status = lgt_check_mut("dw", out->dw, p->n_classes, p->dim, dtype, err);
    if (!status && out->db.data) status = lgt_check_mut("db", out->db, 1, p->n_classes, dtype, err);
    return status;
}

/* Labels become targets, and a_i = sample_i * class_{y_i} the coefficients; returns their sum in *weight. */
static lgt_status weigh_rows(lgt_plan *plan, const lgt_head_inputs *in, double *weight, lgt_error *err) {
    const lgt_problem *p = &plan->problem;
    *weight = 0;
    for (int64_t i = 0; i < in->x.rows; i++) {
        int64_t y = in->labels[i];
        int ignored = y == p->options.ignore_label;
        if (!ignored && (y < 0 || y >= p->n_classes))
            return lgt_fail(err, LGT_ERR_DATA, "labels: row %lld is %lld, expected 0 to %lld", (long long)i,
                            (long long)y, (long long)p->n_classes - 1);
        double a = in->sample_weights ? in->sample_weights[i] : 1;
        if (!ignored && in->class_weights) a *= in->class_weights[y];
        plan->target[i] = ignored ? -1 : y;
        plan->coefficient[i] = ignored ? 0 : a;
        *weight += plan->coefficient[i];
    }
    return LGT_OK;
}

/* Coefficients dJ/dL_i from the weights a_i (maths, section "Reductions"). */
static void reduce_rows(lgt_plan *plan, const lgt_head_inputs *in, double weight) {
    lgt_reduction reduction = plan->problem.options.reduction;
    for (int64_t i = 0; i < in->x.rows; i++) {
        if (reduction == LGT_REDUCTION_MEAN) plan->coefficient[i] = weight > 0 ? plan->coefficient[i] / weight : 0;
        if (reduction == LGT_REDUCTION_NONE && in->upstream) plan->coefficient[i] *= in->upstream[i];
    }
}

static void summarize(const lgt_plan *plan, const lgt_head_inputs *in, lgt_head_outputs *out) {
    int64_t n = in->x.rows;
    out->loss = 0;
    out->n_used = out->n_correct = 0;
    for (int64_t i = 0; i < n; i++) {
        if (plan->target[i] < 0) continue;
        out->loss += plan->coefficient[i] * plan->loss[i];
        out->n_used++;
        out->n_correct += plan->top1[i] == plan->target[i];
    }
    if (out->loss_rows && n) memcpy(out->loss_rows, plan->loss, (size_t)n * sizeof(double));
    if (out->lse && n) memcpy(out->lse, plan->lse, (size_t)n * sizeof(double));
    if (out->top1 && n) memcpy(out->top1, plan->top1, (size_t)n * sizeof(int64_t));
}

lgt_status lgt_plan_run(lgt_plan *plan, const lgt_head_inputs *in, lgt_head_outputs *out, lgt_error *err) {
    lgt_status status;
    if ((status = check_inputs(plan, in, err)) || (status = check_outputs(plan, in, out, err)) ||
        (status = weigh_rows(plan, in, &out->weight, err)))
        return status;
    reduce_rows(plan, in, out->weight);
    lgt_batch batch = {.x = in->x,
                       .w = in->w,
                       .b = in->b,
                       .n_rows = in->x.rows,
                       .step = in->step,
                       .target = plan->target,
                       .coefficient = plan->coefficient,
                       .dx = out->dx,
                       .dw = out->dw,
                       .db = out->db,
                       .accumulate = out->accumulate,
                       .loss = plan->loss,
                       .lse = plan->lse,
                       .top1 = plan->top1};
    if ((status = plan->engine->run(&plan->problem, plan->state, &batch, err))) return status;
    out->n_zero_rows = batch.n_zero_rows;
    out->n_zero_classes = batch.n_zero_classes;
    summarize(plan, in, out);
    return lgt_succeed(err);
}
