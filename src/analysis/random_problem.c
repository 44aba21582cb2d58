/* Small random head problems, and what engines make of them, all in double. */
#include "analysis/random_problem.h"

#include <math.h>
#include <string.h>

#include "base/philox.h"

typedef lgt_random_problem problem;

/* Of size 0.5 to 1.5 and either sign: no vector is short, so that steps and rounding keep their distance. */
static double draw_entry(const lgt_rng *rng, uint64_t at) {
    double value = 2 * lgt_rng_uniform(rng, at) - 1;
    return value < 0 ? value - 0.5 : value + 0.5;
}

static void draw_options(problem *p, const lgt_rng *rng) {
    static const double smoothing[] = {0, 0.1}, z_loss[] = {0, 1e-3};
    lgt_plan_options_init(&p->options);
    p->options.max_rows = LGT_MOST_ROWS;
    p->options.label_smoothing = smoothing[lgt_rng_below(rng, 3, 2)];
    p->options.z_loss = z_loss[lgt_rng_below(rng, 4, 2)];
    p->options.ignore_label = -1;
    p->options.reduction = lgt_rng_below(rng, 5, 2) ? LGT_REDUCTION_SUM : LGT_REDUCTION_MEAN;
    p->options.second_order = 1;
}

static double norm_of(const double *row, int64_t n) {
    double square = 0;
    for (int64_t k = 0; k < n; k++) square += row[k] * row[k];
    return sqrt(square);
}

static void scale_row(double *row, int64_t n, double factor) {
    for (int64_t k = 0; k < n; k++) row[k] *= factor;
}

/* Qualities reach both ends of what the loss's margin reads, and the state is that of some later step. A loss that
 * reads norms between bounds gets features from below the lower to beyond the upper. */
static void draw_adaptive(problem *p, const lgt_loss *loss, const lgt_rng *rng, uint64_t *at) {
    double mean = lgt_loss_value(loss, "mean"), deviation = lgt_loss_value(loss, "deviation");
    double least = lgt_loss_value(loss, "l_a"), most = lgt_loss_value(loss, "u_a");
    int first = lgt_loss_param_of(loss->info, LGT_ROLE_STATE), n = lgt_loss_n_state(loss->info);
    for (int k = 0; k < n; k++) p->state[k] = loss->values[first + k];
    if (!isnan(lgt_loss_value(loss, "t"))) p->state[0] = 2 * lgt_rng_uniform(rng, (*at)++) - 1;
    for (int64_t i = 0; i < p->n_rows; i++) {
        double *row = p->at.x + i * p->dim, u = lgt_rng_uniform(rng, (*at)++);
        p->qualities[i] = isnan(mean) ? 1 : fmax(0, mean + 8 * (u - 0.5) * deviation);
        if (!isnan(least))
            scale_row(row, p->dim, (0.8 * least + u * (1.2 * most - 0.8 * least)) / norm_of(row, p->dim));
    }
}

/* Every row of the direction as long as the row it moves: a step then turns all of them by about its size. */
static void draw_direction(problem *p, const lgt_rng *rng, uint64_t *at) {
    for (int64_t i = 0; i < p->n_x; i++) p->along.x[i] = lgt_rng_normal(rng, (*at)++);
    for (int64_t i = 0; i < p->n_w; i++) p->along.w[i] = lgt_rng_normal(rng, (*at)++);
    for (int64_t i = 0; i < p->n_b; i++) p->along.b[i] = lgt_rng_normal(rng, (*at)++);
    for (int64_t i = 0; i < p->n_x; i += p->dim)
        scale_row(p->along.x + i, p->dim, norm_of(p->at.x + i, p->dim) / norm_of(p->along.x + i, p->dim));
    for (int64_t i = 0; i < p->n_w; i += p->dim)
        scale_row(p->along.w + i, p->dim, norm_of(p->at.w + i, p->dim) / norm_of(p->along.w + i, p->dim));
}

lgt_status lgt_random_problem_draw(lgt_context *context, const lgt_loss *loss, uint64_t seed, uint64_t index,
                                   problem *p, lgt_error *err) {
    lgt_rng rng = {seed, index};
    uint64_t at = 100;
    memset(p, 0, sizeof *p);
    p->context = context;
    p->n_rows = 1 + (int64_t)lgt_rng_below(&rng, 0, LGT_MOST_ROWS);
    p->dim = 1 + (int64_t)lgt_rng_below(&rng, 1, LGT_MOST_DIM);
    p->n_classes = 1 + (int64_t)lgt_rng_below(&rng, 2, LGT_MOST_CLASSES);
    p->n_x = p->n_rows * p->dim;
    p->n_w = p->n_classes * lgt_loss_centres(loss) * p->dim;
    p->n_b = loss->info->has_bias ? p->n_classes : 0;
    draw_options(p, &rng);
    for (int64_t i = 0; i < p->n_x; i++) p->at.x[i] = draw_entry(&rng, at++);
    for (int64_t i = 0; i < p->n_w; i++) p->at.w[i] = draw_entry(&rng, at++);
    for (int64_t j = 0; j < p->n_classes; j++) {
        p->at.b[j] = lgt_rng_normal(&rng, at++);
        p->class_weights[j] = 0.5 + lgt_rng_uniform(&rng, at++);
    }
    for (int64_t i = 0; i < p->n_rows; i++) {
        int ignored = lgt_rng_below(&rng, at++, 8) == 0;
        p->labels[i] = ignored ? -1 : (int64_t)lgt_rng_below(&rng, at++, (uint64_t)p->n_classes);
        p->sample_weights[i] = 0.5 + lgt_rng_uniform(&rng, at++);
    }
    draw_adaptive(p, loss, &rng, &at);
    draw_direction(p, &rng, &at);
    return lgt_head_create(context, loss, p->dim, p->n_classes, &p->head, err);
}

lgt_status lgt_random_problem_plan(problem *p, lgt_engine engine, lgt_dtype dtype, lgt_plan **plan, lgt_error *err) {
    p->options.engine = engine;
    p->options.dtype = dtype;
    return lgt_plan_create(p->head, &p->options, plan, err);
}

static void round_all(double *values, int64_t n) {
    for (int64_t i = 0; i < n; i++) values[i] = (double)(float)values[i];
}

void lgt_random_problem_round(problem *p) {
    lgt_triple *triples[] = {&p->at, &p->along};
    for (int t = 0; t < 2; t++) {
        round_all(triples[t]->x, p->n_x);
        round_all(triples[t]->w, p->n_w);
        round_all(triples[t]->b, p->n_b);
    }
}

/* A triple in the type of a run. */
typedef struct typed {
    float x[LGT_MOST_X], w[LGT_MOST_W], b[LGT_MOST_CLASSES];
    void *of_x, *of_w, *of_b; /* these, or the triple's own doubles */
} typed;

static void narrow(const double *from, int64_t n, float *to) {
    for (int64_t i = 0; i < n; i++) to[i] = (float)from[i];
}

static void widen(const float *from, int64_t n, double *to) {
    for (int64_t i = 0; i < n; i++) to[i] = (double)from[i];
}

static void typed_of(const problem *p, const lgt_triple *triple, lgt_dtype dtype, typed *out) {
    narrow(triple->x, p->n_x, out->x), narrow(triple->w, p->n_w, out->w), narrow(triple->b, p->n_b, out->b);
    out->of_x = dtype == LGT_F32 ? (void *)out->x : (void *)triple->x;
    out->of_w = dtype == LGT_F32 ? (void *)out->w : (void *)triple->w;
    out->of_b = p->n_b == 0 ? NULL : dtype == LGT_F32 ? (void *)out->b : (void *)triple->b;
}

static void typed_read(const problem *p, const typed *in, lgt_dtype dtype, lgt_triple *out) {
    if (dtype != LGT_F32) return;
    widen(in->x, p->n_x, out->x), widen(in->w, p->n_w, out->w), widen(in->b, p->n_b, out->b);
}

static lgt_view view_of(const void *data, int64_t cols, int64_t n, lgt_dtype dtype) {
    return lgt_view_of(data, n / cols, cols, dtype);
}

static lgt_mut place_of(void *data, int64_t cols, int64_t n, lgt_dtype dtype) {
    return lgt_mut_of(data, n / cols, cols, dtype);
}

static lgt_head_inputs inputs_of(const problem *p, const typed *at, lgt_dtype dtype) {
    return (lgt_head_inputs){.x = view_of(at->of_x, p->dim, p->n_x, dtype),
                             .w = view_of(at->of_w, p->dim, p->n_w, dtype),
                             .b = view_of(at->of_b, p->n_classes, p->n_classes, dtype),
                             .labels = p->labels,
                             .sample_weights = p->sample_weights,
                             .class_weights = p->class_weights,
                             .qualities = p->qualities,
                             .state = p->state,
                             .frozen = 1};
}

lgt_status lgt_random_problem_loss(const problem *p, lgt_plan *plan, double *loss, lgt_error *err) {
    typed at;
    lgt_head_outputs out = {0};
    typed_of(p, &p->at, LGT_F64, &at);
    lgt_head_inputs in = inputs_of(p, &at, LGT_F64);
    lgt_status status = lgt_plan_run(plan, &in, &out, err);
    *loss = out.loss;
    return status;
}

lgt_status lgt_random_problem_gradient(const problem *p, lgt_plan *plan, lgt_dtype dtype, lgt_triple *out,
                                       lgt_error *err) {
    typed at, found;
    typed_of(p, &p->at, dtype, &at);
    typed_of(p, out, dtype, &found);
    lgt_head_inputs in = inputs_of(p, &at, dtype);
    lgt_head_outputs outputs = {.dx = place_of(found.of_x, p->dim, p->n_x, dtype),
                                .dw = place_of(found.of_w, p->dim, p->n_w, dtype),
                                .db = place_of(found.of_b, p->n_classes, p->n_classes, dtype)};
    lgt_status status = lgt_plan_run(plan, &in, &outputs, err);
    if (!status) typed_read(p, &found, dtype, out);
    return status;
}

lgt_status lgt_random_problem_hvp(const problem *p, lgt_plan *plan, lgt_dtype dtype, lgt_triple *out, lgt_error *err) {
    typed at, along, found;
    typed_of(p, &p->at, dtype, &at);
    typed_of(p, &p->along, dtype, &along);
    typed_of(p, out, dtype, &found);
    lgt_head_inputs in = inputs_of(p, &at, dtype);
    lgt_direction direction = {view_of(along.of_x, p->dim, p->n_x, dtype), view_of(along.of_w, p->dim, p->n_w, dtype),
                               view_of(along.of_b, p->n_classes, p->n_classes, dtype)};
    lgt_hvp outputs = {.x = place_of(found.of_x, p->dim, p->n_x, dtype),
                       .w = place_of(found.of_w, p->dim, p->n_w, dtype),
                       .b = place_of(found.of_b, p->n_classes, p->n_classes, dtype)};
    lgt_status status = lgt_plan_hvp(plan, &in, &direction, &outputs, err);
    if (!status) typed_read(p, &found, dtype, out);
    return status;
}
