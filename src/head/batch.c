/* From what a caller hands over to what an engine runs: checked, weighed, the loss's state moved. */
#include "head/batch.h"

#include <float.h>
#include <math.h>

#include "base/error.h"
#include "engine/stripes.h"
#include "head/checks.h"
#include "loss/definition.h"

/* How far from 1 a row of soft targets may sum: the rounding of probabilities made in float32. */
static const double soft_sum_tolerance = 1e-4;

static double soft_target(const lgt_view *soft, int64_t i, int64_t j) {
    int64_t at = i * soft->ld + j;
    return soft->dtype == LGT_F64 ? ((const double *)soft->data)[at] : (double)((const float *)soft->data)[at];
}

static lgt_status check_soft(const lgt_problem *p, const lgt_head_inputs *in, lgt_error *err) {
    if (!in->soft_targets.data) return LGT_OK;
    if (lgt_loss_definition_of(&p->loss)->bend)
        return lgt_fail(err, LGT_ERR_USAGE,
                        "soft targets are defined for softmax and normalized, not for %s: which "
                        "class would its margin belong to",
                        p->loss.info->name);
    if (p->gradient == LGT_GRADIENT_UNIT)
        return lgt_fail(err, LGT_ERR_USAGE, "soft targets have no gradient=unit: there is no one target to scale");
    return lgt_check_view("soft_targets", in->soft_targets, in->x.rows, p->n_classes, p->options.dtype, err);
}

/* Numbers that replace a parameter class by class: one of that role must exist, and its bounds hold. */
static lgt_status check_role(const lgt_problem *p, const char *name, const double *values, lgt_param_role role,
                             lgt_error *err) {
    int index = lgt_loss_param_of(p->loss.info, role);
    if (!values) return LGT_OK;
    if (index < 0)
        return lgt_fail(err, LGT_ERR_USAGE, "%s are given, but %s has no %s", name, p->loss.info->name,
                        role == LGT_ROLE_MARGIN ? "margin" : "scale");
    const lgt_param_info *param = &p->loss.info->params[index];
    for (int64_t j = 0; j < p->n_classes; j++) {
        double v = values[j];
        int inside = v >= param->low && (param->kind == LGT_PARAM_ANGLE ? v < param->high : v <= param->high);
        if (!inside || (param->kind == LGT_PARAM_INTEGER && v != floor(v)))
            return lgt_fail(err, LGT_ERR_DATA, "%s holds %g at class %lld; expected %s from %g to %g", name, v,
                            (long long)j, param->kind == LGT_PARAM_INTEGER ? "integers" : "numbers", param->low,
                            param->high);
    }
    return LGT_OK;
}

/* Scales of single classes must suit the loss's other parameters too. */
static lgt_status check_scales(const lgt_problem *p, const double *scales, lgt_error *err) {
    const lgt_loss_definition *definition = lgt_loss_definition_of(&p->loss);
    lgt_status status = check_role(p, "class_scales", scales, LGT_ROLE_SCALE, err);
    for (int64_t j = 0; !status && scales && definition->check && j < p->n_classes; j++) {
        lgt_loss loss = p->loss;
        loss.values[lgt_loss_param_of(loss.info, LGT_ROLE_SCALE)] = scales[j];
        status = definition->check(loss.values, err);
        if (status)
            status =
                lgt_fail_within(err, LGT_ERR_DATA, "class_scales holds %g at class %lld: ", scales[j], (long long)j);
    }
    return status;
}

static lgt_status check_state(const lgt_problem *p, const double *state, lgt_error *err) {
    const lgt_loss_info *info = p->loss.info;
    int first = lgt_loss_param_of(info, LGT_ROLE_STATE), n = lgt_loss_n_state(info);
    for (int k = 0; state && k < n; k++) {
        const lgt_param_info *param = &info->params[first + k];
        if (!(state[k] >= param->low && state[k] <= param->high))
            return lgt_fail(err, LGT_ERR_USAGE, "state: %s is %g, expected %g to %g", param->key, state[k], param->low,
                            param->high);
    }
    return LGT_OK;
}

/* A list of classes is rising and within range; what it excludes. */
static lgt_status check_list(const lgt_problem *p, const lgt_head_inputs *in, lgt_error *err) {
    int64_t n = in->n_listed;
    if (!in->classes) {
        if (in->offsets) return lgt_fail(err, LGT_ERR_USAGE, "offsets are given, but no classes");
        if (p->options.max_classes > 0 && p->options.max_classes < p->n_classes)
            return lgt_fail(err, LGT_ERR_USAGE, "no classes are listed, but the plan has room for %lld of %lld only",
                            (long long)p->options.max_classes, (long long)p->n_classes);
        return LGT_OK;
    }
    if (n < 1 || n > p->options.max_classes)
        return lgt_fail(err, LGT_ERR_USAGE, "%lld classes are listed, the plan's max_classes is %lld", (long long)n,
                        (long long)p->options.max_classes);
    if (in->soft_targets.data) return lgt_fail(err, LGT_ERR_USAGE, "soft targets do not go with listed classes");
    for (int64_t k = 0; k < n; k++)
        if (in->classes[k] < 0 || in->classes[k] >= p->n_classes || (k > 0 && in->classes[k] <= in->classes[k - 1]))
            return lgt_fail(err, LGT_ERR_DATA, "classes: entry %lld is %lld, expected rising classes from 0 to %lld",
                            (long long)k, (long long)in->classes[k], (long long)p->n_classes - 1);
    for (int64_t k = 0; in->offsets && k < n; k++)
        if (p->options.dtype == LGT_F32 && isfinite(in->offsets[k]) && fabs(in->offsets[k]) > FLT_MAX)
            return lgt_fail(err, LGT_ERR_DATA, "offsets holds %g at %lld, which exceeds the range of f32",
                            in->offsets[k], (long long)k);
    return lgt_check_numbers("offsets", in->offsets, n, -INFINITY, err);
}

static lgt_status check_inputs(const lgt_plan *plan, const lgt_head_inputs *in, lgt_error *err) {
    const lgt_problem *p = &plan->problem;
    lgt_dtype dtype = p->options.dtype;
    int64_t n = in->x.rows;
    if (n < 0 || n > p->options.max_rows)
        return lgt_fail(err, LGT_ERR_USAGE, "x has %lld rows, the plan allows %lld", (long long)n,
                        (long long)p->options.max_rows);
    if (in->step < 0) return lgt_fail(err, LGT_ERR_USAGE, "step is %lld", (long long)in->step);
    if (n > 0 && !in->labels && !in->soft_targets.data) return lgt_fail(err, LGT_ERR_USAGE, "labels are missing");
    if (in->upstream && p->options.reduction != LGT_REDUCTION_NONE)
        return lgt_fail(err, LGT_ERR_USAGE, "upstream gradients need the reduction none");
    lgt_status status;
    if ((status = lgt_check_view("x", in->x, n, p->dim, dtype, err)) ||
        (status = lgt_check_view("w", in->w, p->own_classes * p->centres, p->dim, dtype, err)) ||
        (status = lgt_check_bias(plan->head, in->b, p->own_classes, dtype, err)) || (status = check_soft(p, in, err)) ||
        (status = lgt_check_numbers("sample_weights", in->sample_weights, n, 0, err)) ||
        (status = lgt_check_numbers("class_weights", in->class_weights, p->n_classes, 0, err)) ||
        (status = lgt_check_numbers("upstream", in->upstream, n, -INFINITY, err)) ||
        (status = lgt_check_numbers("qualities", in->qualities, n, -INFINITY, err)) ||
        (status = check_role(p, "class_margins", in->class_margins, LGT_ROLE_MARGIN, err)) ||
        (status = check_scales(p, in->class_scales, err)) || (status = check_state(p, in->state, err)) ||
        (status = check_list(p, in, err)))
        return status;
    return LGT_OK;
}

/* The place of class y in a rising list, or -1. */
static int64_t place_of(const int64_t *classes, int64_t n, int64_t y) {
    int64_t place = lgt_count_below(classes, n, y);
    return place < n && classes[place] == y ? place : -1;
}

static lgt_status find_positions(lgt_plan *plan, const lgt_head_inputs *in, lgt_error *err) {
    for (int64_t i = 0; in->classes && i < in->x.rows; i++) {
        int64_t y = plan->target[i];
        plan->position[i] = y < 0 ? y : place_of(in->classes, in->n_listed, y);
        if (y >= 0 && plan->position[i] < 0)
            return lgt_fail(err, LGT_ERR_DATA, "labels: row %lld is %lld, which is not among the %lld listed classes",
                            (long long)i, (long long)y, (long long)in->n_listed);
    }
    return LGT_OK;
}

/* The weight that the classes give row i; a row of soft targets is checked on the way. */
static lgt_status class_weight(const lgt_problem *p, const lgt_head_inputs *in, int64_t i, double *weight,
                               lgt_error *err) {
    const double *of_class = in->class_weights;
    double sum = 0, weighted = 0;
    if (!in->soft_targets.data) {
        *weight = of_class ? of_class[in->labels[i]] : 1;
        return LGT_OK;
    }
    for (int64_t j = 0; j < p->n_classes; j++) {
        double t = soft_target(&in->soft_targets, i, j);
        if (!(isfinite(t) && t >= 0))
            return lgt_fail(err, LGT_ERR_DATA, "soft_targets holds %g at row %lld, class %lld; expected probabilities",
                            t, (long long)i, (long long)j);
        sum += t;
        if (of_class) weighted += t * of_class[j];
    }
    *weight = of_class ? weighted : 1;
    if (fabs(sum - 1) <= soft_sum_tolerance) return LGT_OK;
    return lgt_fail(err, LGT_ERR_DATA, "soft_targets: row %lld sums to %.9g, expected 1", (long long)i, sum);
}

/* Labels become targets, and the weights a_i the coefficients; returns their sum in *weight. */
static lgt_status weigh_rows(lgt_plan *plan, const lgt_head_inputs *in, double *weight, lgt_error *err) {
    const lgt_problem *p = &plan->problem;
    *weight = 0;
    for (int64_t i = 0; i < in->x.rows; i++) {
        int64_t y = in->labels ? in->labels[i] : LGT_TARGET_SOFT;
        int ignored = in->labels && y == p->options.ignore_label && y != LGT_NO_IGNORE;
        double a = 0;
        if (in->labels && !ignored && (y < 0 || y >= p->n_classes))
            return lgt_fail(err, LGT_ERR_DATA, "labels: row %lld is %lld, expected 0 to %lld", (long long)i,
                            (long long)y, (long long)p->n_classes - 1);
        if (!ignored) {
            lgt_status status = class_weight(p, in, i, &a, err);
            if (status) return status;
            if (in->sample_weights) a *= in->sample_weights[i];
        }
        plan->target[i] = ignored ? LGT_TARGET_IGNORED : in->soft_targets.data ? LGT_TARGET_SOFT : y;
        plan->coefficient[i] = a;
        *weight += a;
    }
    return LGT_OK;
}

/* Coefficients dJ/dL_i from the weights a_i (Eq. 15). */
static void reduce_rows(lgt_plan *plan, const lgt_head_inputs *in, double weight) {
    lgt_reduction reduction = plan->problem.options.reduction;
    for (int64_t i = 0; i < in->x.rows; i++) {
        if (reduction == LGT_REDUCTION_MEAN) plan->coefficient[i] = weight > 0 ? plan->coefficient[i] / weight : 0;
        if (reduction == LGT_REDUCTION_NONE && in->upstream) plan->coefficient[i] *= in->upstream[i];
    }
}

/* Row i's quality and target cosine into the moments, by Welford's update. Returns 0 when a vector is not finite. */
static int add_moment(lgt_plan *plan, const lgt_batch *batch, int64_t i, lgt_batch_moments *m) {
    const lgt_problem *p = &plan->problem;
    if (!lgt_ray_load(p, batch->x, i, &plan->x)) return 0;
    if (lgt_target_load_of(p, batch, i, &plan->x, &plan->w) < 0) return 0;
    double quality = batch->qualities ? batch->qualities[i] : plan->x.norm, before = quality - m->quality_mean;
    double cosine = fmax(-1, fmin(1, lgt_dot(plan->x.unit, plan->w.unit, p->dim)));
    m->n++;
    m->quality_mean += before / (double)m->n;
    m->quality_square += before * (quality - m->quality_mean);
    m->cosine_mean += (cosine - m->cosine_mean) / (double)m->n;
    return 1;
}

/* The state first moves by this batch, and is then used. What is not finite is left for the engine to report. */
static void move_state(lgt_plan *plan, const lgt_head_inputs *in, lgt_batch *batch) {
    const lgt_loss_definition *definition = lgt_loss_definition_of(&batch->loss);
    int first = lgt_loss_param_of(batch->loss.info, LGT_ROLE_STATE), n = lgt_loss_n_state(batch->loss.info);
    lgt_batch_moments moments = {0};
    if (!definition->move) return;
    for (int k = 0; in->state && k < n; k++) batch->loss.values[first + k] = in->state[k];
    for (int64_t i = 0; !in->frozen && i < batch->n_rows; i++)
        if (batch->target[i] >= 0 && !add_moment(plan, batch, i, &moments)) return;
    if (moments.n > 0) definition->move(batch->loss.values, &moments);
}

lgt_status lgt_batch_prepare(lgt_plan *plan, const lgt_head_inputs *in, int need_upstream, lgt_batch *batch,
                             double *weight, lgt_error *err) {
    lgt_status status;
    if (need_upstream && plan->problem.options.reduction == LGT_REDUCTION_NONE && !in->upstream)
        return lgt_fail(err, LGT_ERR_USAGE, "with the reduction none gradients need upstream, which is missing");
    if ((status = check_inputs(plan, in, err)) || (status = weigh_rows(plan, in, weight, err)) ||
        (status = find_positions(plan, in, err)))
        return status;
    reduce_rows(plan, in, *weight);
    *batch = (lgt_batch){.x = in->x,
                         .w = in->w,
                         .b = in->b,
                         .n_rows = in->x.rows,
                         .n_classes = in->classes ? in->n_listed : plan->problem.n_classes,
                         .classes = in->classes,
                         .offsets = in->offsets,
                         .position = in->classes ? plan->position : plan->target,
                         .step = in->step,
                         .target = plan->target,
                         .coefficient = plan->coefficient,
                         .soft = in->soft_targets,
                         .margins = in->class_margins,
                         .scales = in->class_scales,
                         .qualities = in->qualities,
                         .loss = plan->problem.loss,
                         .loss_rows = plan->loss,
                         .lse = plan->lse,
                         .top1 = plan->top1};
    return LGT_OK;
}

lgt_status lgt_batch_begin(lgt_plan *plan, const lgt_head_inputs *in, lgt_status checked, lgt_batch *batch,
                           lgt_error *err) {
    const lgt_comm *comm = plan->problem.comm;
    lgt_status status = lgt_comm_agree(comm, checked, err);
    if (!status && comm) status = lgt_target_rows_collect(&plan->problem, &plan->target_rows, batch, err);
    if (!status) move_state(plan, in, batch);
    return status;
}
