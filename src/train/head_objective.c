/* The objective of a head on fixed features, its gradient and Hessian-vector products (Eq. 160): in float32 over all
 * rows at once, or in float64 over blocks of rows, for which features are widened as they are needed. */
#include "train/head_objective.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "math/sphere.h"

enum { BLOCK = 8192, WIDEN = 65536 };

/* Schedules of the loss have arrived by then, whatever they are. */
static const int64_t last_step = 1000000000;

/* Parameters beyond this are outside what float32 can serve. */
static const double largest_parameter = 1e30;

int lgt_head_objective_is_convex(const lgt_trainer *trainer) {
    return strcmp(trainer->model.loss.info->name, "softmax") == 0 && trainer->options.z_loss == 0;
}

/* --- Set-up --- */

static int is_identity(const lgt_normalization *n) {
    return n->count == 1 && n->mean[0] == 0 && n->scale[0] == 1;
}

static lgt_status take_features(lgt_head_objective *o, lgt_error *err) {
    const lgt_trainer *t = o->trainer;
    int64_t count = 0;
    o->x = t->dataset->x;
    if (is_identity(&t->model.normalization)) return LGT_OK;
    if (!lgt_count_mul(o->n_rows, o->dim, &count))
        return lgt_fail(err, LGT_ERR_MEMORY, "(%lld, %lld) features overflow", (long long)o->n_rows, (long long)o->dim);
    lgt_status status = LGT_NEW(t->context, &o->own, count, err);
    if (status) return status;
    lgt_normalize_rows(t->context, &t->model.normalization, lgt_view_of(t->dataset->x, o->n_rows, o->dim, LGT_F32),
                       NULL, o->n_rows, o->own);
    o->x = o->own;
    return LGT_OK;
}

static lgt_status create_plans(lgt_head_objective *o, int second_order, lgt_error *err) {
    lgt_plan_options options = lgt_trainer_plan_options(o->trainer, o->n_rows);
    options.reduction = LGT_REDUCTION_SUM;
    options.second_order = second_order;
    lgt_status status = lgt_plan_create(o->trainer->head, &options, &o->fast, err);
    options.dtype = LGT_F64;
    options.max_rows = lgt_min64(BLOCK, o->n_rows);
    if (!status) status = lgt_plan_create(o->trainer->head, &options, &o->exact, err);
    return status;
}

lgt_status lgt_head_objective_create(lgt_trainer *trainer, int second_order, lgt_head_objective *out, lgt_error *err) {
    lgt_head_objective *o = out;
    const lgt_model *m = &trainer->model;
    int moves = m->loss.schedule.kind != LGT_SCHEDULE_CONSTANT;
    *o = (lgt_head_objective){.trainer = trainer, .n_rows = trainer->dataset->n_rows, .dim = lgt_model_dim(m)};
    o->n_weights = trainer->groups[LGT_GROUP_WEIGHT].count;
    o->n_bias = trainer->groups[LGT_GROUP_BIAS].count;
    o->size = o->n_weights + o->n_bias;
    o->step = moves ? last_step : 0;
    lgt_status status = take_features(o, err);
    if (!status) status = create_plans(o, second_order, err);
    if (!status) status = LGT_NEW(trainer->context, &o->parameters, o->size, err);
    if (!status) status = LGT_NEW(trainer->context, &o->change, o->size, err);
    if (!status) status = LGT_NEW(trainer->context, &o->direction, o->size, err);
    if (!status) status = LGT_NEW(trainer->context, &o->block, lgt_min64(BLOCK, o->n_rows) * o->dim, err);
    return status;
}

void lgt_head_objective_free(lgt_head_objective *objective) {
    lgt_head_objective *o = objective;
    lgt_context *context = o->trainer->context;
    lgt_release(context, o->gathered);
    lgt_release(context, o->factor);
    lgt_release(context, o->block);
    lgt_release(context, o->direction);
    lgt_release(context, o->change);
    lgt_release(context, o->parameters);
    lgt_plan_free(o->exact);
    lgt_plan_free(o->fast);
    lgt_release(context, o->own);
}

int lgt_head_objective_refine(void *user) {
    lgt_head_objective *o = user;
    int was = o->is_exact;
    o->is_exact = 1;
    return !was;
}

/* --- Passes over the rows --- */

/* W and b within one vector of elements of a type; b.data NULL without a bias. */
typedef struct head_views {
    lgt_mut w, b;
} head_views;

static head_views views_of(const lgt_head_objective *o, void *v, lgt_dtype dtype) {
    head_views views = {.w = lgt_mut_of(v, o->n_weights / o->dim, o->dim, dtype)};
    char *b = (char *)v + o->n_weights * (int64_t)lgt_dtype_size(dtype);
    if (o->n_bias) views.b = lgt_mut_of(b, 1, o->n_bias, dtype);
    return views;
}

static lgt_view seen(lgt_mut m) {
    return (lgt_view){m.data, m.rows, m.cols, m.ld, m.dtype};
}

typedef struct widen_call {
    const float *from;
    double *to;
    int64_t count;
} widen_call;

static void widen_some(void *argument, int64_t index, int worker) {
    const widen_call *call = argument;
    int64_t begin = index * WIDEN, end = lgt_min64(begin + WIDEN, call->count);
    (void)worker;
    for (int64_t i = begin; i < end; i++) call->to[i] = call->from[i];
}

/* Features of n rows from `from` on, in the type that serves. */
static lgt_view rows_of(lgt_head_objective *o, int64_t from, int64_t n) {
    if (!o->is_exact) return lgt_view_of(o->x + from * o->dim, n, o->dim, LGT_F32);
    widen_call call = {o->x + from * o->dim, o->block, n * o->dim};
    lgt_parallel_for(o->trainer->context, lgt_ceil_div(call.count, WIDEN), widen_some, &call);
    return lgt_view_of(o->block, n, o->dim, LGT_F64);
}

/* Sums over all rows: loss, and the gradient or the Hessian's product with `along` into `out`, which is zero. */
static lgt_status sweep(lgt_head_objective *o, head_views at, const lgt_direction *along, head_views out, double *loss,
                        lgt_error *err) {
    int64_t step = o->is_exact ? BLOCK : o->n_rows;
    lgt_status status = LGT_OK;
    *loss = 0;
    for (int64_t row = 0; row < o->n_rows && !status; row += step) {
        int64_t n = lgt_min64(step, o->n_rows - row);
        lgt_head_inputs in = {.x = rows_of(o, row, n), .w = seen(at.w), .b = seen(at.b), .step = o->step, .frozen = 1};
        lgt_hvp product = {.w = out.w, .b = out.b, .accumulate = 1};
        lgt_head_outputs result = {.dw = out.w, .db = out.b, .accumulate = 1};
        in.labels = o->trainer->dataset->labels + row;
        if (o->trainer->weights) in.sample_weights = o->trainer->weights + row;
        if (along) {
            status = lgt_plan_hvp(o->is_exact ? o->exact : o->fast, &in, along, &product, err);
        } else {
            status = lgt_plan_run(o->is_exact ? o->exact : o->fast, &in, &result, err);
            *loss += result.loss;
            o->n_correct += result.n_correct;
        }
    }
    return status;
}

static void narrow(const double *v, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) out[i] = (float)v[i];
}

/* Adding one vector to all classes leaves the softmax as it is, so derivatives sum to zero over the classes (Eq. 70).
 * Rounding breaks that, and along b nothing else would hold such a drift back. */
static void balance(const lgt_head_objective *o, double *out) {
    int64_t classes = o->trainer->model.n_classes, dim = o->dim;
    double *b = out + o->n_weights, mean = 0;
    if (!lgt_head_objective_is_convex(o->trainer)) return;
    for (int64_t k = 0; k < dim; k++) {
        double sum = 0;
        for (int64_t j = 0; j < classes; j++) sum += out[j * dim + k];
        for (int64_t j = 0; j < classes; j++) out[j * dim + k] -= sum / (double)classes;
    }
    for (int64_t j = 0; j < o->n_bias; j++) mean += b[j] / (double)classes;
    for (int64_t j = 0; j < o->n_bias; j++) b[j] -= mean;
}

/* The same from and to vectors of doubles; along NULL: the gradient. */
static lgt_status pass(lgt_head_objective *o, const double *v, const double *along, double *out, double *loss,
                       lgt_error *err) {
    lgt_dtype dtype = o->is_exact ? LGT_F64 : LGT_F32;
    head_views at, to, way;
    lgt_direction direction = {0};
    if (o->is_exact) { /* views are made for writing; these are only read */
        at = views_of(o, (void *)(uintptr_t)v, dtype);
        way = views_of(o, (void *)(uintptr_t)along, dtype);
        to = views_of(o, out, dtype);
        memset(out, 0, (size_t)o->size * sizeof *out);
    } else {
        narrow(v, o->size, o->parameters);
        if (along) narrow(along, o->size, o->direction);
        at = views_of(o, o->parameters, dtype);
        way = views_of(o, o->direction, dtype);
        to = views_of(o, o->change, dtype);
        memset(o->change, 0, (size_t)o->size * sizeof *o->change);
    }
    direction.w = seen(way.w);
    direction.b = seen(way.b);
    lgt_status status = sweep(o, at, along ? &direction : NULL, to, loss, err);
    double share = 1 / (double)o->n_rows;
    for (int64_t i = 0; i < o->size; i++) out[i] = share * (o->is_exact ? out[i] : (double)o->change[i]);
    if (!status) balance(o, out);
    return status;
}

static int is_out_of_bounds(const double *v, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(v[i]) <= largest_parameter)) return 1;
    return 0;
}

lgt_status lgt_head_objective_evaluate(void *user, const double *v, double *value, double *gradient, lgt_error *err) {
    lgt_head_objective *o = user;
    double l2 = o->trainer->options.l2, loss = 0;
    o->n_correct = 0;
    *value = INFINITY;
    if (is_out_of_bounds(v, o->size)) return LGT_OK;
    lgt_status status = pass(o, v, NULL, gradient, &loss, err);
    if (status == LGT_ERR_NONFINITE) return LGT_OK; /* a step too far */
    o->mean_loss = loss / (double)o->n_rows;
    *value = o->mean_loss + l2 / 2 * lgt_dot(v, v, o->n_weights);
    for (int64_t i = 0; i < o->n_weights; i++) gradient[i] += l2 * v[i];
    return status;
}

lgt_status lgt_head_objective_product(void *user, const double *v, const double *d, double *out, lgt_error *err) {
    lgt_head_objective *o = user;
    double l2 = o->trainer->options.l2, loss = 0;
    lgt_status status = pass(o, v, d, out, &loss, err);
    for (int64_t i = 0; i < o->n_weights; i++) out[i] += l2 * d[i];
    return status;
}
