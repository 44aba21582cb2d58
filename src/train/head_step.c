/* Steps of the head's rows in place, at once or when they are next needed. */
#include "train/head_step.h"

#include <math.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"

/* Rows that one task brings up to date. */
enum { ROWS = 64 };

static lgt_status create_sampling(lgt_head_step *s, const lgt_train_options *o, int64_t batch, lgt_error *err) {
    int64_t n_classes = s->ranks->n_classes;
    lgt_status status = lgt_class_sampler_create(s->context, n_classes, batch, o->sample_rate, &s->sampler, err);
    if (!status) status = LGT_NEW_ZERO(s->context, &s->classes, s->sampler.most, err);
    if (!status && o->sample_correction) status = LGT_NEW(s->context, &s->offsets, s->sampler.most, err);
    if (!status) status = LGT_NEW(s->context, &s->history, LGT_HISTORY, err);
    if (!status) status = LGT_NEW_ZERO(s->context, &s->seen, s->weights.count / s->dim, err);
    return status;
}

static void measure_rows(void *argument, int64_t index, int worker) {
    lgt_head_step *s = argument;
    int64_t end = lgt_min64((index + 1) * ROWS, s->weights.count / s->dim);
    const lgt_kernels_f32 *kernels = lgt_kernels_f32_of(lgt_context_isa(s->context), LGT_PRECISION_FULL);
    (void)worker;
    for (int64_t row = index * ROWS; row < end; row++)
        s->squares[row].value = kernels->square_sum(s->weights.value + row * s->dim, s->dim);
}

lgt_status lgt_head_step_create(lgt_context *context, const lgt_train_options *options, const lgt_ranks *ranks,
                                const lgt_param_group *weights, int64_t dim, int64_t batch, lgt_head_step *out,
                                lgt_error *err) {
    int64_t n_rows = weights->count / dim;
    *out = (lgt_head_step){.context = context, .weights = *weights, .dim = dim, .rate = options->sample_rate};
    out->ranks = ranks;
    out->centres = lgt_loss_centres(&options->loss);
    out->kernel = lgt_update_kernel_of(context, options->optimizer);
    lgt_status status = LGT_NEW_ZERO(context, &out->squares, n_rows, err);
    if (!status && options->sample_rate < 1) status = create_sampling(out, options, batch, err);
    if (!status) lgt_parallel_for(context, lgt_ceil_div(n_rows, ROWS), measure_rows, out);
    return status;
}

void lgt_head_step_free(lgt_head_step *step) {
    lgt_release(step->context, step->seen);
    lgt_release(step->context, step->history);
    lgt_release(step->context, step->offsets);
    lgt_release(step->context, step->classes);
    lgt_class_sampler_free(step->context, &step->sampler);
    lgt_release(step->context, step->squares);
}

/* --- rows that were left behind --- */

static void catch_up(lgt_head_step *s, int64_t row) {
    int64_t at = row * s->dim, missed = s->n_history - s->seen[row];
    const lgt_param_group *w = &s->weights;
    double squares[2];
    if (missed == 0) return;
    s->kernel(s->history + s->seen[row], missed, s->dim, w->value + at, NULL, w->momentum + at,
              w->square ? w->square + at : NULL, squares);
    s->squares[row].value = squares[1];
    s->seen[row] = (int32_t)s->n_history;
}

static void catch_up_listed(void *argument, int64_t index, int worker) {
    lgt_head_step *s = argument;
    int64_t end = lgt_min64(s->own_begin + (index + 1) * ROWS, s->own_end);
    (void)worker;
    for (int64_t i = s->own_begin + index * ROWS; i < end; i++)
        for (int64_t k = 0; k < s->centres; k++) catch_up(s, (s->classes[i] - s->ranks->first) * s->centres + k);
}

static void catch_up_all(void *argument, int64_t index, int worker) {
    lgt_head_step *s = argument;
    int64_t end = lgt_min64((index + 1) * ROWS, s->weights.count / s->dim);
    (void)worker;
    for (int64_t row = index * ROWS; row < end; row++) {
        catch_up(s, row);
        s->seen[row] = 0;
    }
}

void lgt_head_step_settle(lgt_head_step *step) {
    if (!step->classes || step->n_history == 0) return;
    lgt_parallel_for(step->context, lgt_ceil_div(step->weights.count / step->dim, ROWS), catch_up_all, step);
    step->n_history = 0;
}

/* --- one step --- */

void lgt_head_step_find_own(lgt_head_step *step) {
    int64_t first = step->ranks->first, end = first + step->ranks->count, at = 0;
    while (at < step->n_listed && step->classes[at] < first) at++;
    step->own_begin = at;
    while (at < step->n_listed && step->classes[at] < end) at++;
    step->own_end = at;
}

void lgt_head_step_begin(lgt_head_step *step, const lgt_train_options *options, const lgt_update *update,
                         int64_t number, lgt_head_inputs *in) {
    step->update = *update;
    atomic_store_explicit(&step->outside, 0, memory_order_relaxed);
    if (!step->classes) return;
    if (step->n_history == LGT_HISTORY) lgt_head_step_settle(step);
    step->n_listed = lgt_class_sampler_draw(&step->sampler, options->seed, number, in->labels, in->x.rows, step->rate,
                                            step->classes, step->offsets);
    lgt_head_step_find_own(step);
    lgt_parallel_for(step->context, lgt_ceil_div(step->own_end - step->own_begin, ROWS), catch_up_listed, step);
    in->classes = step->classes;
    in->offsets = step->offsets;
    in->n_listed = step->n_listed;
}

static void take(void *user, int64_t row, const void *gradient) {
    lgt_head_step *s = user;
    s->squares[row] = lgt_update_some(s->kernel, &s->update, &s->weights, row * s->dim, s->dim, gradient);
    if (s->seen) s->seen[row] = (int32_t)s->n_history + 1;
}

static void look(void *user, int64_t row, const void *gradient) {
    lgt_head_step *s = user;
    (void)row;
    if (!lgt_some_in_range(gradient, s->dim)) atomic_store_explicit(&s->outside, 1, memory_order_relaxed);
}

lgt_row_sink lgt_head_step_sink(lgt_head_step *step) {
    return (lgt_row_sink){take, step};
}

lgt_row_sink lgt_head_step_check(lgt_head_step *step) {
    return (lgt_row_sink){look, step};
}

void lgt_head_step_end(lgt_head_step *step) {
    if (step->classes) step->history[step->n_history++] = step->update;
}

/* --- what is known of the rows --- */

/* Of this rank. */
static int64_t n_rows_of(const lgt_head_step *s) {
    return s->classes ? (s->own_end - s->own_begin) * s->centres : s->weights.count / s->dim;
}

/* The own row that is the i-th of the step. */
static int64_t row_at(const lgt_head_step *s, int64_t i) {
    if (!s->classes) return i;
    return (s->classes[s->own_begin + i / s->centres] - s->ranks->first) * s->centres + i % s->centres;
}

lgt_status lgt_head_step_gradient(const lgt_head_step *step, double *square, lgt_error *err) {
    double stripes[LGT_STRIPES] = {0};
    int64_t stripe = step->ranks->stripe_begin;
    for (int64_t i = 0, n = n_rows_of(step); i < n; i++) {
        int64_t row = row_at(step, i), class = step->ranks->first + row / step->centres;
        while (class >= lgt_stripe_begin(step->ranks->n_classes, stripe + 1)) stripe++;
        stripes[stripe] += step->squares[row].gradient;
    }
    return lgt_ranks_sum(step->ranks, stripes, square, err);
}

lgt_status lgt_head_step_norms(const lgt_head_step *step, double *least, double *largest, lgt_error *err) {
    double most[2] = {-INFINITY, 0}; /* of -|w|^2 and |w|^2 */
    const lgt_comm *comm = step->ranks->comm;
    for (int64_t i = 0, n = n_rows_of(step); i < n; i++) {
        double value = step->squares[row_at(step, i)].value;
        if (isnan(value)) value = INFINITY; /* a maximum over NaN would not be one */
        most[0] = fmax(most[0], -value);
        most[1] = fmax(most[1], value);
    }
    lgt_status status = comm ? comm->max(comm->user, most, 2, LGT_F64, err) : LGT_OK;
    *least = sqrt(-most[0]), *largest = sqrt(most[1]);
    return status;
}
