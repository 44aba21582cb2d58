/* A training step: gather and normalise a batch, forward, head, backward, update. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/philox.h"
#include "base/sizes.h"
#include "base/text.h"
#include "net/encoder.h"
#include "train/train_options.h"
#include "train/trainer.h"

/* One stream of permutations an epoch. */
static const uint64_t epoch_streams = (uint64_t)0x45504F43u << 32;

lgt_model *lgt_trainer_model(lgt_trainer *trainer) {
    lgt_trainer *t = trainer;
    float *w = t->whole.w, *b = t->whole.b;
    lgt_head_step_settle(&t->head_step);
    if (!t->ranks.comm) return &t->model;
    lgt_align_bank *bank = t->whole.bank ? t->whole.bank : t->model.bank;
    t->whole = t->model;
    t->whole.w = w, t->whole.b = b, t->whole.bank = bank;
    return &t->whole;
}

lgt_view lgt_trainer_weights(const lgt_trainer *trainer) {
    const lgt_model *m = &trainer->model;
    return lgt_view_of(m->w, trainer->ranks.count * lgt_loss_centres(&m->loss), lgt_model_dim(m), LGT_F32);
}

lgt_view lgt_trainer_bias(const lgt_trainer *trainer) {
    return lgt_view_of(trainer->model.b, 1, trainer->ranks.count, LGT_F32);
}

/* Values of the own classes, `count` numbers each, into an array of all. */
static lgt_status gather_classes(lgt_trainer *t, const float *own, int64_t count, float **all, lgt_error *err) {
    const lgt_ranks *r = &t->ranks;
    lgt_status status = *all ? LGT_OK : LGT_NEW(t->context, all, r->n_classes * count, err);
    if ((status = lgt_comm_agree(r->comm, status, err))) return status;
    memcpy(*all + r->first * count, own, (size_t)(r->count * count) * sizeof *own);
    return lgt_ranks_gather(r, *all, count * (int64_t)sizeof *own, err);
}

lgt_status lgt_trainer_gather(lgt_trainer *trainer, lgt_error *err) {
    lgt_trainer *t = trainer;
    int64_t count = lgt_loss_centres(&t->model.loss) * lgt_model_dim(&t->model);
    if (!t->ranks.comm) return lgt_succeed(err);
    lgt_head_step_settle(&t->head_step);
    lgt_status status = gather_classes(t, t->model.w, count, &t->whole.w, err);
    if (!status && t->model.b) status = gather_classes(t, t->model.b, 1, &t->whole.b, err);
    if (!status) status = lgt_model_gather_bank(&t->model, &t->whole, err);
    return status ? status : lgt_succeed(err);
}

int64_t lgt_trainer_n_params(const lgt_trainer *trainer) {
    return lgt_model_n_params(&trainer->model);
}

lgt_status lgt_trainer_predict(lgt_trainer *trainer, lgt_view x, const int64_t *labels, lgt_predictions *out,
                               lgt_error *err) {
    lgt_trainer *t = trainer;
    lgt_head_step_settle(&t->head_step);
    return lgt_head_predict_shared(t->head, t->ranks.comm, x, lgt_trainer_weights(t), lgt_trainer_bias(t), labels, out,
                                   err);
}

/* --- reporting divergence --- */

enum { ROWS_NAMED = 3, ROWS_SIZE = ROWS_NAMED * 24 };

/* "5, 17, 30, ..." : the rows of the dataset behind the batch's rows whose features are not finite, or behind all. */
static int64_t name_rows(const lgt_trainer *t, const int64_t *rows, int64_t n, int only_bad, char out[ROWS_SIZE]) {
    int64_t found = 0, dim = lgt_model_dim(&t->model);
    size_t used = 0;
    out[0] = '\0';
    for (int64_t i = 0; i < n; i++) {
        int bad = !only_bad;
        for (int64_t k = 0; k < dim && !bad; k++) bad = !isfinite(t->y[i * dim + k]);
        if (!bad) continue;
        if (found < ROWS_NAMED)
            used += lgt_text_format(out + used, ROWS_SIZE - used, "%s%lld", found ? ", " : "", (long long)rows[i]);
        else if (found == ROWS_NAMED)
            lgt_text_format(out + used, ROWS_SIZE - used, ", ...");
        found++;
    }
    return found;
}

/* Replaces the message by one about features that are not finite, or puts step and rows in front of it. */
static lgt_status diverged(const lgt_trainer *t, const int64_t *rows, int64_t n, lgt_error *err) {
    char named[ROWS_SIZE];
    long long step = (long long)t->model.step + 1;
    int64_t n_bad = name_rows(t, rows, n, 1, named);
    if (n_bad > 0)
        return lgt_fail(err, LGT_ERR_NONFINITE,
                        "step %lld: the features of %lld of %lld samples are not finite, rows %s of the dataset; the "
                        "training diverged, a smaller learning rate or a warm-up may help",
                        step, (long long)n_bad, (long long)n, named);
    name_rows(t, rows, n, 0, named);
    return lgt_fail_within(err, LGT_ERR_NONFINITE, "step %lld, batch of rows %s of the dataset: ", step, named);
}

/* --- one step --- */

/* Where the model's loss keeps its state, or NULL. */
static double *state_of(lgt_trainer *t) {
    int first = lgt_loss_param_of(t->model.loss.info, LGT_ROLE_STATE);
    return first < 0 ? NULL : t->model.loss.values + first;
}

/* The rows of the dataset that a step of the present epoch has. */
static int64_t batch_of(const lgt_trainer *t, int64_t step, const int64_t **rows) {
    int64_t at = step % t->steps_per_epoch * t->batch;
    *rows = t->order + at;
    return lgt_min64(t->batch, t->dataset->n_rows - at);
}

typedef struct load_call {
    lgt_trainer *trainer;
    int64_t step;
} load_call;

/* Gathers, normalises and loads a part of a batch. */
static void load_part(void *argument, int64_t index, int worker) {
    const load_call *call = argument;
    lgt_trainer *t = call->trainer;
    const lgt_dataset *d = t->dataset;
    const int64_t *rows;
    int64_t n = batch_of(t, call->step, &rows), begin = index * LGT_LOAD_ROWS;
    int slot = (int)(call->step % 2);
    (void)worker;
    lgt_normalize_some(&t->model.normalization, lgt_view_of(d->x, d->n_rows, d->dim, LGT_F32), rows, begin,
                       lgt_min64(n, begin + LGT_LOAD_ROWS), t->x[slot]);
    lgt_encoder_load(t->pass, slot, lgt_view_of(t->x[slot], n, d->dim, LGT_F32), index);
}

/* The last step has loaded this one's batch, unless it was of another epoch or went wrong. */
static int64_t gather(lgt_trainer *t, const int64_t **rows) {
    load_call call = {t, t->model.step};
    int64_t n = batch_of(t, t->model.step, rows);
    for (int64_t i = 0; i < n; i++) t->labels[i] = t->dataset->labels[(*rows)[i]];
    for (int64_t i = 0; i < n && t->weights; i++) t->batch_weights[i] = t->weights[(*rows)[i]] / (double)n;
    if (t->ready != call.step) lgt_parallel_for(t->context, lgt_ceil_div(n, LGT_LOAD_ROWS), load_part, &call);
    t->ready = call.step;
    return n;
}

/* Adds the alignment's gradients to dy and to those of the hidden layers. */
static lgt_status align(lgt_trainer *t, const int64_t *rows, int64_t n, lgt_error *err) {
    int64_t dim = lgt_model_dim(&t->model);
    lgt_alignment_batch batch = {.pass = t->pass, .labels = t->labels, .ids = rows, .bank = t->model.bank};
    batch.layer_banks = t->model.layer_banks;
    batch.y = lgt_view_of(t->y, n, dim, LGT_F32);
    batch.dy = lgt_mut_of(t->dy, n, dim, LGT_F32);
    return lgt_alignment_run(&t->alignment, &batch, err);
}

static lgt_head_inputs inputs_of(lgt_trainer *t, int64_t n) {
    lgt_model *m = &t->model;
    lgt_head_inputs in = {.x = lgt_view_of(t->y, n, lgt_model_dim(m), LGT_F32), .w = lgt_trainer_weights(t)};
    in.b = lgt_trainer_bias(t);
    in.labels = t->labels;
    in.sample_weights = t->batch_weights;
    in.step = m->step;
    in.state = state_of(t);
    return in;
}

/* Places for db of the step's classes: the whole gradient of the bias, or what spread_bias spreads. */
static lgt_mut place_bias(lgt_trainer *t, const lgt_head_inputs *in) {
    int64_t n = in->classes ? t->head_step.own_end - t->head_step.own_begin : t->ranks.count;
    return lgt_mut_of(!t->model.b ? NULL : t->db ? t->db : t->groups[LGT_GROUP_BIAS].gradient, 1, n, LGT_F32);
}

static void spread_bias(lgt_trainer *t, const lgt_head_inputs *in) {
    const lgt_param_group *bias = &t->groups[LGT_GROUP_BIAS];
    int64_t begin = t->head_step.own_begin, n = t->head_step.own_end - begin;
    if (!in->classes || !t->model.b) return;
    memset(bias->gradient, 0, (size_t)bias->count * sizeof *bias->gradient);
    for (int64_t k = 0; k < n; k++) bias->gradient[in->classes[begin + k] - t->ranks.first] = t->db[k];
}

/* Stripe by stripe, whose squares are summed apart. */
static void step_bias(lgt_trainer *t) {
    const lgt_param_group *bias = &t->groups[LGT_GROUP_BIAS];
    const lgt_ranks *r = &t->ranks;
    for (int64_t k = r->stripe_begin; k < r->stripe_end && t->model.b; k++) {
        int64_t at = lgt_stripe_begin(r->n_classes, k) - r->first;
        int64_t n = lgt_stripe_begin(r->n_classes, k + 1) - r->first - at;
        t->bias_squares[k] = lgt_update_some(t->update, &t->rest, bias, at, n, bias->gradient + at).gradient;
    }
}

/* A row of a layer's W and its entry of b take their step. */
static void step_row(void *user, const lgt_layer *layer, int64_t row, const float *weight, float bias) {
    lgt_trainer *t = user;
    const lgt_param_group *encoder = &t->groups[LGT_GROUP_ENCODER];
    lgt_squares w = lgt_update_some(t->update, &t->rest, encoder, layer->weight + row * layer->in, layer->in, weight);
    lgt_squares b = lgt_update_some(t->update, &t->rest, encoder, layer->bias + row, 1, &bias);
    t->encoder_rows[layer->before + row] = (lgt_squares){w.gradient + b.gradient, w.value + b.value};
}

/* Every rank has stepped its own rows: all have them all now. */
static lgt_status finish_encoder(lgt_trainer *t, lgt_error *err) {
    const lgt_encoder *e = t->model.encoder;
    lgt_status status = lgt_encoder_gather(t->pass, t->groups[LGT_GROUP_ENCODER].value, err);
    if (!status) status = lgt_encoder_gather_outputs(t->pass, t->encoder_rows, sizeof *t->encoder_rows, err);
    t->moved = (lgt_squares){0, 0};
    for (int64_t i = 0; i < e->n_outputs; i++)
        t->moved.gradient += t->encoder_rows[i].gradient, t->moved.value += t->encoder_rows[i].value;
    return status;
}

/* Steps the own rows of a layer with its gradient. */
typedef struct layer_call {
    lgt_trainer *trainer;
    int layer;
} layer_call;

static void step_layer_row(void *argument, int64_t index, int worker) {
    const layer_call *call = argument;
    lgt_trainer *t = call->trainer;
    const lgt_layer *layer = &t->model.encoder->layers[call->layer];
    const float *gradient = t->groups[LGT_GROUP_ENCODER].gradient;
    int64_t row = lgt_encoder_outputs(t->pass, call->layer).begin + index;
    (void)worker;
    step_row(t, layer, row, gradient + layer->weight + row * layer->in, gradient[layer->bias + row]);
}

static lgt_status step_encoder(lgt_trainer *t, lgt_error *err) {
    for (int l = 0; l < t->model.encoder->n_layers; l++) {
        lgt_span own = lgt_encoder_outputs(t->pass, l);
        lgt_parallel_for(t->context, own.end - own.begin, step_layer_row, &(layer_call){t, l});
    }
    return finish_encoder(t, err);
}

/* Gradients of the encoder become steps; meanwhile the next batch of the epoch is loaded. */
static lgt_status backward_at_once(lgt_trainer *t, lgt_view dy, lgt_error *err) {
    load_call next = {t, t->model.step + 1};
    lgt_more_tasks load = {load_part, &next, 0};
    lgt_mut no_dx = {0};
    const int64_t *rows;
    int same_epoch = next.step % t->steps_per_epoch != 0;
    if (same_epoch) load.count = lgt_ceil_div(batch_of(t, next.step, &rows), LGT_LOAD_ROWS);
    lgt_status status =
        lgt_encoder_backward_into(t->pass, dy, t->alignment.dhidden, (lgt_layer_sink){step_row, t}, no_dx, &load, err);
    if (!status && same_epoch) t->ready = next.step;
    return status ? status : finish_encoder(t, err);
}

/* Those of the bias are sums of weights of logits, which z-loss alone makes large. */
static lgt_status check_gradients(lgt_trainer *t, const lgt_head_outputs *out, lgt_error *err) {
    const lgt_param_group *encoder = &t->groups[LGT_GROUP_ENCODER];
    int fine = !t->head_step.outside && lgt_in_range(t->context, encoder->gradient, encoder->count);
    if (out->db.data) fine = fine && lgt_some_in_range(out->db.data, out->db.cols);
    if (!fine) lgt_fail(err, LGT_ERR_NONFINITE, "a gradient is not finite or beyond 2^63");
    return lgt_comm_agree(t->ranks.comm, fine ? LGT_OK : LGT_ERR_NONFINITE, err);
}

static lgt_status forward(lgt_trainer *t, int64_t n, lgt_error *err) {
    int slot = (int)(t->model.step % 2);
    lgt_view x = lgt_view_of(t->x[slot], n, lgt_model_in_dim(&t->model), LGT_F32);
    return lgt_encoder_forward_loaded(t->pass, slot, x, lgt_mut_of(t->y, n, lgt_model_dim(&t->model), LGT_F32), err);
}

/* Gradients become steps where they are made, when a bound says beforehand that nothing can fail. */
static lgt_status step_at_once(lgt_trainer *t, const lgt_head_inputs *in, lgt_head_outputs *out, lgt_error *err) {
    out->sink = lgt_head_step_sink(&t->head_step);
    lgt_status status = lgt_plan_run(t->plan, in, out, err);
    return status ? status : backward_at_once(t, lgt_view_of(t->dy, in->x.rows, in->x.cols, LGT_F32), err);
}

/* The encoder's gradients are made and looked at before any parameter moves. */
static lgt_status step_encoder_last(lgt_trainer *t, const lgt_head_inputs *in, lgt_view dy, lgt_head_outputs *out,
                                    lgt_error *err) {
    lgt_head_outputs second = {.sink = lgt_head_step_sink(&t->head_step)};
    lgt_mut no_dx = {0};
    lgt_status status = lgt_encoder_backward_through(t->pass, dy, t->alignment.dhidden,
                                                     t->groups[LGT_GROUP_ENCODER].gradient, no_dx, err);
    if (!status) status = check_gradients(t, out, err);
    if (!status) status = lgt_plan_run(t->plan, in, &second, err);
    return status ? status : step_encoder(t, err);
}

/* Where no bound holds beforehand, or alignment is yet to change dy: the head runs twice, since the gradients of W are
 * not kept. `bounded`: those need no look. */
static lgt_status step_with_care(lgt_trainer *t, const lgt_head_inputs *in, const int64_t *rows, int bounded,
                                 lgt_head_outputs *out, lgt_error *err) {
    lgt_head_outputs second = {.sink = lgt_head_step_sink(&t->head_step)};
    lgt_view dy = lgt_view_of(t->dy, in->x.rows, in->x.cols, LGT_F32);
    if (!bounded) out->sink = lgt_head_step_check(&t->head_step);
    lgt_status status = lgt_plan_run(t->plan, in, out, err);
    if (!status && t->model.align.n_terms > 0) status = align(t, rows, in->x.rows, err);
    if (status) return status;
    if (!bounded || !lgt_trainer_is_bounded_behind(t, in->x.rows)) return step_encoder_last(t, in, dy, out, err);
    status = lgt_plan_run(t->plan, in, &second, err);
    return status ? status : backward_at_once(t, dy, err);
}

/* Moves all parameters, or none. */
static lgt_status step(lgt_trainer *t, double lr, const int64_t *rows, int64_t n, lgt_head_outputs *out,
                       lgt_error *err) {
    lgt_head_inputs in = inputs_of(t, n);
    lgt_update head = lgt_update_at(&t->options, lr, t->options.l2, t->model.step + 1);
    lgt_status status = forward(t, n, err);
    if (status) return status;
    t->rest = lgt_update_at(&t->options, lr, 0, t->model.step + 1);
    lgt_head_step_begin(&t->head_step, &t->options, &head, t->model.step, &in);
    out->dx = lgt_mut_of(t->dy, n, lgt_model_dim(&t->model), LGT_F32);
    out->db = place_bias(t, &in);
    int bounded = lgt_trainer_is_bounded(t, n), at_once = bounded && t->model.align.n_terms == 0;
    status = at_once ? step_at_once(t, &in, out, err) : step_with_care(t, &in, rows, bounded, out, err);
    if (status) return status;
    lgt_head_step_end(&t->head_step);
    spread_bias(t, &in);
    step_bias(t);
    return LGT_OK;
}

/* The loss's scheduled parameter; NaN if it has none, or a margin that is whole from the start. */
static double scheduled(const lgt_loss *loss, int64_t step) {
    int moves = loss->schedule.kind != LGT_SCHEDULE_CONSTANT;
    for (int i = 0; i < loss->info->n_params; i++) moves |= loss->info->params[i].kind == LGT_PARAM_SCHEDULE;
    return moves ? lgt_schedule_at(&loss->schedule, step) : NAN;
}

static void count_step(lgt_trainer *t, const lgt_head_outputs *out, int64_t n) {
    double *state = state_of(t);
    for (int k = 0; k < lgt_loss_n_state(t->model.loss.info); k++) state[k] = out->state[k];
    t->model.step++;
    t->loss = out->loss;
    t->epoch_loss += out->loss * (double)n;
    t->epoch_align_loss += t->alignment.loss * (double)n;
    lgt_conflict_add(&t->conflict, &t->alignment.conflict);
    t->epoch_correct += out->n_correct;
    t->epoch_rows += n;
    t->samples += n;
    t->zero_rows += out->n_zero_rows;
}

lgt_train_record lgt_trainer_record(const lgt_trainer *t) {
    int64_t done = t->model.step;
    lgt_train_record record = {.step = done, .n_steps = t->n_steps, .loss = t->loss};
    record.lr = lgt_lr_at(&t->options, done - 1, t->n_steps);
    record.epoch = lgt_ceil_div(done, t->steps_per_epoch);
    record.end_of_epoch = done % t->steps_per_epoch == 0;
    record.align_loss = t->alignment.loss;
    record.epoch_align_loss = t->epoch_align_loss / (double)t->epoch_rows;
    record.conflict = t->conflict;
    record.epoch_loss = t->epoch_loss / (double)t->epoch_rows;
    record.epoch_accuracy = (double)t->epoch_correct / (double)t->epoch_rows;
    record.schedule = scheduled(&t->model.loss, done - 1);
    record.seconds = t->seconds;
    record.samples = t->samples;
    record.zero_rows = t->zero_rows;
    return record;
}

void lgt_trainer_draw_order(lgt_trainer *t, int64_t step) {
    lgt_rng rng = {t->options.seed, epoch_streams + (uint64_t)(step / t->steps_per_epoch)};
    lgt_rng_permutation(&rng, t->dataset->n_rows, t->order);
}

static void begin_epoch(lgt_trainer *t) {
    lgt_trainer_draw_order(t, t->model.step);
    t->epoch_loss = t->epoch_align_loss = 0;
    t->conflict = (lgt_conflict){0};
    t->epoch_correct = t->epoch_rows = 0;
}

lgt_status lgt_trainer_step(lgt_trainer *trainer, lgt_train_record *record, lgt_error *err) {
    lgt_trainer *t = trainer;
    double start = lgt_clock_now();
    const int64_t *rows = NULL;
    lgt_head_outputs out = {0};
    if (lgt_is_solved(&t->options))
        return lgt_fail(err, LGT_ERR_USAGE, "this trainer's optimizer makes no steps, expected lgt_trainer_solve");
    if (t->model.step == t->n_steps)
        return lgt_fail(err, LGT_ERR_USAGE, "the training has ended after its %lld steps", (long long)t->n_steps);
    if (t->model.step % t->steps_per_epoch == 0) begin_epoch(t);
    lgt_model_drop_bank(&t->model, &t->whole);
    int64_t n = gather(t, &rows);
    double lr = lgt_lr_at(&t->options, t->model.step, t->n_steps);
    lgt_error own = {0}; /* the cause becomes part of the message, wanted or not */
    lgt_status status = step(t, lr, rows, n, &out, &own);
    if (status == LGT_ERR_DATA || status == LGT_ERR_NONFINITE) status = diverged(t, rows, n, &own);
    if (status) {
        if (err) *err = own;
        return status;
    }
    t->seconds += lgt_clock_now() - start;
    count_step(t, &out, n);
    *record = lgt_trainer_record(t);
    return lgt_succeed(err);
}

/* --- the objective --- */

/* Rows whose loss is taken at once. */
enum { BLOCK = 1024 };

/* Rows [row, row + n): every rank embeds its part of them, and has all. */
static lgt_status embed_block(lgt_trainer *t, int64_t row, int64_t n, float *features, lgt_error *err) {
    const lgt_dataset *d = t->dataset;
    const lgt_ranks *r = &t->ranks;
    int64_t dim = lgt_model_dim(&t->model);
    lgt_span own = lgt_ranks_rows(r, n);
    int64_t count = own.end - own.begin;
    lgt_view x = lgt_view_of(d->x + (row + own.begin) * d->dim, count, d->dim, LGT_F32);
    lgt_status status = LGT_OK;
    if (count > 0)
        status = lgt_model_embed(&t->model, x, lgt_mut_of(features + own.begin * dim, count, dim, LGT_F32), err);
    status = lgt_comm_agree(r->comm, status, err);
    return status ? status : lgt_ranks_gather_rows(r, features, n, dim * (int64_t)sizeof *features, err);
}

/* Adds the losses of rows [row, row + n). */
static lgt_status add_block(lgt_trainer *t, lgt_plan *plan, int64_t row, int64_t n, float *features, double *total,
                            lgt_error *err) {
    lgt_head_outputs out = {0};
    lgt_head_inputs in = {.x = lgt_view_of(features, n, lgt_model_dim(&t->model), LGT_F32)};
    in.w = lgt_trainer_weights(t);
    in.b = lgt_trainer_bias(t);
    in.labels = t->dataset->labels + row;
    if (t->weights) in.sample_weights = t->weights + row;
    in.step = t->model.step;
    in.state = state_of(t);
    in.frozen = 1;
    lgt_status status = embed_block(t, row, n, features, err);
    if (!status) status = lgt_plan_run(plan, &in, &out, err);
    *total += t->weights ? out.loss : out.loss * (double)n; /* a sum, or a mean */
    return status;
}

static lgt_status total_loss(lgt_trainer *t, lgt_plan *plan, lgt_pass_watch watch, void *user, float *features,
                             double *total, lgt_error *err) {
    int64_t n_rows = t->dataset->n_rows;
    lgt_status status = LGT_OK;
    *total = 0;
    for (int64_t row = 0; row < n_rows && !status; row += BLOCK) {
        if (watch && watch(user, row, n_rows))
            return lgt_fail(err, LGT_ERR_INTERRUPTED, "stopped after %lld of %lld rows", (long long)row,
                            (long long)n_rows);
        status = add_block(t, plan, row, lgt_min64(BLOCK, n_rows - row), features, total, err);
    }
    if (status == LGT_ERR_DATA)
        status = lgt_fail_within(err, LGT_ERR_NONFINITE, "after step %lld: ", (long long)t->model.step);
    return status;
}

double lgt_trainer_gradient_norm(lgt_trainer *trainer) {
    double head = 0, bias = 0;
    lgt_trainer *t = trainer;
    if (t->model.step == 0) return 0;
    if (lgt_head_step_gradient(&t->head_step, &head, NULL)) return NAN;
    if (t->model.b && lgt_ranks_sum(&t->ranks, t->bias_squares, &bias, NULL)) return NAN;
    return sqrt(head + t->moved.gradient + bias);
}

/* |W|^2, stripe by stripe. */
static lgt_status weights_square(lgt_trainer *t, double *square, lgt_error *err) {
    double stripes[LGT_STRIPES] = {0};
    const lgt_ranks *r = &t->ranks;
    int64_t count = lgt_loss_centres(&t->model.loss) * lgt_model_dim(&t->model);
    for (int64_t k = r->stripe_begin; k < r->stripe_end; k++) {
        int64_t at = lgt_stripe_begin(r->n_classes, k) - r->first;
        int64_t n = lgt_stripe_begin(r->n_classes, k + 1) - r->first - at;
        stripes[k] = lgt_trainer_square(t, t->model.w + at * count, n * count);
    }
    return lgt_ranks_sum(r, stripes, square, err);
}

lgt_status lgt_trainer_objective(lgt_trainer *trainer, lgt_pass_watch watch, void *user, double *train_loss,
                                 double *objective, lgt_error *err) {
    lgt_trainer *t = trainer;
    lgt_plan *plan = NULL;
    float *features = NULL;
    double total = 0;
    int64_t dim = lgt_model_dim(&t->model), n_rows = t->dataset->n_rows, block = lgt_min64(BLOCK, n_rows);
    lgt_plan_options options = lgt_trainer_plan_options(t, block);
    options.loss_only = 1;
    lgt_head_step_settle(&t->head_step);
    lgt_status status = lgt_plan_create(t->head, &options, &plan, err);
    if (!status) status = LGT_NEW(t->context, &features, block * dim, err);
    if (!status) status = total_loss(t, plan, watch, user, features, &total, err);
    lgt_release(t->context, features);
    lgt_plan_free(plan);
    if (status) return status;
    double square = 0;
    if ((status = weights_square(t, &square, err))) return status;
    *train_loss = total / (double)n_rows;
    *objective = *train_loss + t->options.l2 / 2 * square;
    return lgt_succeed(err);
}
