/* Plans: options checked, an engine chosen, runs and Hessian-vector products made, the results summed. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "head/batch.h"
#include "head/checks.h"
#include "head/problem.h"
#include "loss/definition.h"

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
    if ((int)o->precision < 0 || o->precision > LGT_PRECISION_BF16)
        return lgt_fail(err, LGT_ERR_USAGE, "there is no precision %d", (int)o->precision);
    if (o->precision != LGT_PRECISION_FULL && (o->dtype != LGT_F32 || o->second_order))
        return lgt_fail(err, LGT_ERR_UNSUPPORTED, "low precision is for first-order plans in f32");
    if (o->workspace < 0) return lgt_fail(err, LGT_ERR_USAGE, "workspace is %lld bytes", (long long)o->workspace);
    if (o->max_classes < 0) return lgt_fail(err, LGT_ERR_USAGE, "max_classes is %lld", (long long)o->max_classes);
    if (o->max_classes > 0 && (o->label_smoothing > 0 || o->second_order))
        return lgt_fail(err, LGT_ERR_UNSUPPORTED, "listed classes go with neither label smoothing nor second order");
    if ((int)o->reduction < 0 || o->reduction > LGT_REDUCTION_NONE)
        return lgt_fail(err, LGT_ERR_USAGE, "there is no reduction %d", (int)o->reduction);
    if ((int)o->reduce < 0 || o->reduce > LGT_REDUCE_FAST)
        return lgt_fail(err, LGT_ERR_USAGE, "there is no reduce %d", (int)o->reduce);
    return LGT_OK;
}

static lgt_status plan_buffers(lgt_plan *plan, lgt_error *err) {
    lgt_context *context = plan->head->context;
    int64_t n = plan->problem.options.max_rows, d = plan->problem.dim;
    int64_t vectors = lgt_loss_definition_of(&plan->problem.loss)->move ? 4 : 0;
    int64_t positions = plan->problem.options.max_classes > 0 ? n : 0;
    lgt_status status;
    if ((status = LGT_NEW(context, &plan->target, n, err)) || (status = LGT_NEW(context, &plan->top1, n, err)) ||
        (status = LGT_NEW(context, &plan->coefficient, n, err)) || (status = LGT_NEW(context, &plan->loss, n, err)) ||
        (status = LGT_NEW(context, &plan->lse, n, err)) ||
        (status = LGT_NEW(context, &plan->position, positions, err)) ||
        (status = lgt_alloc_zero(context, d, (size_t)vectors * sizeof(double), (void *)&plan->vectors, err)))
        return status;
    if (vectors) {
        plan->x = (lgt_ray){plan->vectors, plan->vectors + d, 0};
        plan->w = (lgt_ray){plan->vectors + 2 * d, plan->vectors + 3 * d, 0};
    }
    plan->bytes = (int64_t)sizeof *plan + (2 * n + positions) * (int64_t)sizeof(int64_t) +
                  (3 * n + vectors * d) * (int64_t)sizeof(double);
    if ((status = plan->engine->plan(&plan->problem, &plan->state, &plan->bytes, err)) || !plan->problem.comm)
        return status;
    return lgt_target_rows_create(&plan->problem, &plan->target_rows, &plan->bytes, err);
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
    lgt_target_rows_free(context, &plan->target_rows);
    plan->engine->release(&plan->problem, plan->state);
    lgt_release(context, plan->vectors);
    lgt_release(context, plan->lse);
    lgt_release(context, plan->loss);
    lgt_release(context, plan->position);
    lgt_release(context, plan->coefficient);
    lgt_release(context, plan->top1);
    lgt_release(context, plan->target);
    lgt_release(context, plan);
}

int64_t lgt_plan_bytes(const lgt_plan *plan) {
    return plan->bytes;
}

/* The listed classes that are this rank's own. */
static int64_t count_listed(const lgt_problem *p, const lgt_head_inputs *in) {
    int64_t n = 0;
    if (!p->comm) return in->n_listed;
    for (int64_t k = 0; k < in->n_listed; k++)
        n += in->classes[k] >= p->first_class && in->classes[k] < p->first_class + p->own_classes;
    return n;
}

/* Places for what is by x, w and b. */
static lgt_status check_places(const lgt_plan *plan, const lgt_head_inputs *in, const char *const names[3], lgt_mut x,
                               lgt_mut w, lgt_mut b, lgt_error *err) {
    const lgt_problem *p = &plan->problem;
    lgt_dtype dtype = p->options.dtype;
    int64_t n_classes = in->classes ? count_listed(p, in) : p->own_classes;
    lgt_status status = LGT_OK;
    if (b.data && !in->b.data) return lgt_fail(err, LGT_ERR_USAGE, "%s is wanted, but there is no bias", names[2]);
    if (x.data) status = lgt_check_mut(names[0], x, in->x.rows, p->dim, dtype, err);
    if (!status && w.data) status = lgt_check_mut(names[1], w, n_classes * p->centres, p->dim, dtype, err);
    if (!status && b.data) status = lgt_check_mut(names[2], b, 1, n_classes, dtype, err);
    return status;
}

static lgt_status summarize(const lgt_plan *plan, const lgt_batch *batch, const lgt_head_inputs *in,
                            lgt_head_outputs *out, lgt_error *err) {
    int64_t n = batch->n_rows;
    int first = lgt_loss_param_of(batch->loss.info, LGT_ROLE_STATE), n_state = lgt_loss_n_state(batch->loss.info);
    out->loss = 0;
    out->n_used = out->n_correct = 0;
    for (int64_t i = 0; i < n; i++) {
        if (plan->target[i] == LGT_TARGET_IGNORED) continue;
        out->loss += plan->coefficient[i] * plan->loss[i];
        out->n_used++;
        out->n_correct += in->labels && plan->top1[i] == in->labels[i];
    }
    out->n_zero_rows = batch->n_zero_rows;
    out->n_zero_classes = batch->n_zero_classes;
    for (int k = 0; k < n_state; k++) out->state[k] = batch->loss.values[first + k];
    if (out->loss_rows && n) memcpy(out->loss_rows, plan->loss, (size_t)n * sizeof(double));
    if (out->lse && n) memcpy(out->lse, plan->lse, (size_t)n * sizeof(double));
    if (out->top1 && n) memcpy(out->top1, plan->top1, (size_t)n * sizeof(int64_t));
    if (!isfinite(out->weight))
        return lgt_fail(err, LGT_ERR_NONFINITE, "the sum of the rows' weights exceeds the range of double");
    if (!isfinite(out->loss))
        return lgt_fail(err, LGT_ERR_NONFINITE, "the sum of the rows' weighted losses exceeds the range of double");
    return lgt_succeed(err);
}

lgt_status lgt_plan_run(lgt_plan *plan, const lgt_head_inputs *in, lgt_head_outputs *out, lgt_error *err) {
    static const char *const names[] = {"dx", "dw", "db"};
    int any = out->dx.data || out->dw.data || out->db.data || out->sink.take;
    lgt_batch batch;
    lgt_status status;
    if (any && plan->problem.options.loss_only)
        return lgt_fail(err, LGT_ERR_USAGE, "the plan was made with loss_only, but gradients are wanted");
    if (out->sink.take && (!plan->problem.options.sinks || out->dw.data || out->accumulate))
        return lgt_fail(err, LGT_ERR_USAGE, "a sink needs a plan made with `sinks`, and neither dw nor accumulate");
    status = lgt_batch_prepare(plan, in, any, &batch, &out->weight, err);
    if (!status) status = check_places(plan, in, names, out->dx, out->dw, out->db, err);
    if ((status = lgt_batch_begin(plan, in, status, &batch, err))) return status;
    batch.dx = out->dx, batch.dw = out->dw, batch.db = out->db;
    batch.names = names;
    batch.sink = out->sink;
    batch.accumulate = out->accumulate;
    if ((status = plan->engine->run(&plan->problem, plan->state, &batch, err))) return status;
    return summarize(plan, &batch, in, out, err);
}

static lgt_status check_direction(const lgt_plan *plan, const lgt_head_inputs *in, const lgt_direction *along,
                                  lgt_error *err) {
    const lgt_problem *p = &plan->problem;
    lgt_dtype dtype = p->options.dtype;
    lgt_status status = LGT_OK;
    if (along->b.data && !in->b.data)
        return lgt_fail(err, LGT_ERR_USAGE, "a direction of b is given, but there is no bias");
    if (along->x.data) status = lgt_check_view("the direction of x", along->x, in->x.rows, p->dim, dtype, err);
    if (!status && along->w.data)
        status = lgt_check_view("the direction of w", along->w, p->own_classes * p->centres, p->dim, dtype, err);
    if (!status && along->b.data) status = lgt_check_bias(plan->head, along->b, p->own_classes, dtype, err);
    return status;
}

lgt_status lgt_plan_hvp(lgt_plan *plan, const lgt_head_inputs *in, const lgt_direction *along, lgt_hvp *out,
                        lgt_error *err) {
    static const char *const names[] = {"hvp_x", "hvp_w", "hvp_b"};
    const lgt_problem *p = &plan->problem;
    lgt_batch batch;
    lgt_status status;
    double weight;
    if (!p->options.second_order)
        return lgt_fail(err, LGT_ERR_USAGE, "the plan was made without second_order, but a product is wanted");
    if (p->gradient != LGT_GRADIENT_EXACT)
        return lgt_fail(err, LGT_ERR_UNSUPPORTED,
                        "%s has gradient=%s, which is the gradient of no function: it has no Hessian",
                        p->loss.info->name, lgt_gradient_words[p->gradient]);
    status = lgt_batch_prepare(plan, in, 1, &batch, &weight, err);
    batch.along = along;
    if (!status) status = check_direction(plan, in, along, err);
    if (!status) status = check_places(plan, in, names, out->x, out->w, out->b, err);
    if ((status = lgt_batch_begin(plan, in, status, &batch, err))) return status;
    batch.dx = out->x, batch.dw = out->w, batch.db = out->b;
    batch.names = names;
    batch.accumulate = out->accumulate;
    status = plan->engine->run(p, plan->state, &batch, err);
    return status ? status : lgt_succeed(err);
}
