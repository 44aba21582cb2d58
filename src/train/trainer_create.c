/* Setting a training up: checks, parameters and all memory a step needs. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "base/sizes.h"
#include "net/encoder.h"
#include "train/checkpoint.h"
#include "train/train_options.h"
#include "train/trainer.h"

static const uint64_t head_stream = (uint64_t)0x48454144u << 32;

/* Groups start on cache lines. */
enum { GROUP_ALIGNMENT = LGT_ALIGNMENT / sizeof(float) };

static lgt_status check_dataset(const lgt_dataset *d, lgt_error *err) {
    if (d->n_rows < 1 || d->dim < 1)
        return lgt_fail(err, LGT_ERR_DATA, "the dataset is (%lld, %lld), expected at least one row and one feature",
                        (long long)d->n_rows, (long long)d->dim);
    if (!d->labels) return lgt_fail(err, LGT_ERR_DATA, "the dataset has no labels, training needs them");
    if (d->n_labels < 2)
        return lgt_fail(err, LGT_ERR_DATA, "the dataset has %lld classes, training needs at least two",
                        (long long)d->n_labels);
    for (int64_t row = 0; row < d->n_rows; row++)
        if (d->labels[row] < 0 || d->labels[row] >= d->n_labels)
            return lgt_fail(err, LGT_ERR_DATA, "row %lld of the dataset has label %lld, expected 0 to %lld",
                            (long long)row, (long long)d->labels[row], (long long)d->n_labels - 1);
    return LGT_OK;
}

/* Rows of W start with about this length, drawn from N(0, length^2 / dim). In a cosine space only directions matter,
 * and a short row turns faster: from 1 down to 0.2 the AUC on unseen Omniglot characters rises by about 0.02. Much
 * shorter ones are thrown far out by the first steps of SGD, whose gradients grow as 1/|w|. */
static const double head_length = 0.2;

/* Every weight is drawn by its own number, so that threads change nothing. */
typedef struct head_draw {
    lgt_rng rng;
    double deviation;
    int64_t count;
    int64_t first; /* number of the first one here */
    float *out;
} head_draw;

enum { DRAWN_AT_ONCE = 1 << 16 };

static void draw_weights(void *argument, int64_t index, int worker) {
    const head_draw *d = argument;
    int64_t begin = index * DRAWN_AT_ONCE, end = lgt_min64(d->count, begin + DRAWN_AT_ONCE);
    (void)worker;
    for (int64_t i = begin; i < end; i++)
        d->out[i] = (float)(d->deviation * lgt_rng_normal(&d->rng, (uint64_t)(d->first + i)));
}

/* One of the head's two parts as the caller gives it, where he does: `count` numbers of (rows, cols) from `first` on.
 */
static lgt_status copy_start(const char *name, lgt_view from, float *to, int64_t rows, int64_t cols, int64_t first,
                             int64_t count, lgt_error *err) {
    if (!from.data) return LGT_OK;
    if (!to || from.rows != rows || from.cols != cols || from.dtype != LGT_F32 || from.ld < cols)
        return lgt_fail(err, LGT_ERR_USAGE, "%s is (%lld, %lld) %s, expected (%lld, %lld) f32", name,
                        (long long)from.rows, (long long)from.cols, lgt_dtype_name(from.dtype),
                        (long long)(to ? rows : 0), (long long)(to ? cols : 0));
    for (int64_t i = 0; i < count; i++) {
        int64_t row = (first + i) / cols, col = (first + i) % cols;
        to[i] = ((const float *)from.data)[row * from.ld + col];
        if (!isfinite(to[i]))
            return lgt_fail(err, LGT_ERR_DATA, "%s: row %lld column %lld is not finite", name, (long long)row,
                            (long long)col);
    }
    return LGT_OK;
}

static lgt_status start_head(lgt_trainer *t, lgt_error *err) {
    const lgt_ranks *r = &t->ranks;
    int64_t centres = lgt_loss_centres(&t->model.loss), dim = lgt_model_dim(&t->model), of_class = centres * dim;
    lgt_status status = copy_start("start_w", t->options.start_w, t->model.w, r->n_classes * centres, dim,
                                   r->first * of_class, r->count * of_class, err);
    if (status) return status;
    if (t->options.start_b.data && !t->model.b)
        return lgt_fail(err, LGT_ERR_USAGE, "start_b is given, but %s has no bias here", t->model.loss.info->name);
    return copy_start("start_b", t->options.start_b, t->model.b, 1, r->n_classes, r->first, r->count, err);
}

static lgt_status create_head(lgt_trainer *t, lgt_error *err) {
    lgt_model *m = &t->model;
    int64_t dim = lgt_model_dim(m), n_weights = 0;
    head_draw draw = {.rng = {t->options.seed, head_stream}, .deviation = head_length / sqrt((double)dim)};
    if (!lgt_count_mul(m->n_classes, lgt_loss_centres(&m->loss), &n_weights) ||
        !lgt_count_mul(n_weights, dim, &n_weights))
        return lgt_fail(err, LGT_ERR_MEMORY, "a head of %lld classes and dim %lld overflows", (long long)m->n_classes,
                        (long long)dim);
    n_weights = t->ranks.count * lgt_loss_centres(&m->loss) * dim;
    draw.first = t->ranks.first * lgt_loss_centres(&m->loss) * dim;
    lgt_status status = LGT_NEW(t->context, &m->w, n_weights, err);
    if (lgt_is_solved(&t->options) && m->loss.info->space == LGT_SPACE_DOT && m->loss.info->has_bias)
        draw.deviation = 0; /* a convex problem needs no start, and at 0 its preconditioner is exact */
    draw.count = n_weights, draw.out = m->w;
    if (!status) lgt_parallel_for(t->context, lgt_ceil_div(n_weights, DRAWN_AT_ONCE), draw_weights, &draw);
    if (!status && t->options.bias && m->loss.info->has_bias)
        status = LGT_NEW_ZERO(t->context, &m->b, t->ranks.count, err);
    return status ? status : start_head(t, err);
}

static lgt_status create_model(lgt_trainer *t, lgt_error *err) {
    const lgt_train_options *o = &t->options;
    const lgt_dataset *d = t->dataset;
    lgt_model *m = &t->model;
    m->context = t->context;
    m->loss = o->loss;
    m->n_classes = d->n_labels;
    m->align = o->align;
    m->n_dims = d->n_dims;
    memcpy(m->shape, d->shape, sizeof m->shape);
    if (m->n_dims == 0) m->n_dims = 1, m->shape[0] = d->dim;
    int64_t dim = strcmp(o->encoder, "none") == 0 ? d->dim : o->dim;
    lgt_status status = lgt_encoder_create(t->context, o->encoder, d->dim, dim, o->seed, &m->encoder, err);
    if (status) return status;
    t->options.encoder = lgt_encoder_spec(m->encoder); /* the caller's text may go */
    status = create_head(t, err);
    if (!status) status = lgt_model_create_banks(m, t->ranks.comm, err);
    if (!status) status = lgt_model_name_labels(m, d->label_names, err);
    if (!status)
        status = lgt_normalization_fit(t->context, o->standardize, d->x, d->n_rows, d->dim, &m->normalization, err);
    return status;
}

lgt_plan_options lgt_trainer_plan_options(const lgt_trainer *trainer, int64_t max_rows) {
    lgt_plan_options o;
    lgt_plan_options_init(&o);
    o.engine = LGT_ENGINE_CPU;
    o.dtype = LGT_F32;
    o.max_rows = max_rows;
    o.workspace = trainer->options.workspace;
    o.comm = trainer->ranks.comm;
    o.reduce = trainer->options.reduce;
    o.label_smoothing = trainer->options.label_smoothing;
    o.z_loss = trainer->options.z_loss;
    if (trainer->weights) o.reduction = LGT_REDUCTION_SUM;
    return o;
}

static lgt_status create_weights(lgt_trainer *t, lgt_error *err) {
    const double *given = t->options.sample_weights;
    int64_t n = t->dataset->n_rows;
    double sum = 0, largest = 0;
    t->heaviest = 1;
    if (!given) return LGT_OK;
    for (int64_t i = 0; i < n; i++) {
        if (!(given[i] >= 0 && isfinite(given[i])))
            return lgt_fail(err, LGT_ERR_DATA, "sample_weights: row %lld has %g, expected a finite number >= 0",
                            (long long)i, given[i]);
        sum += given[i];
        largest = fmax(largest, given[i]);
    }
    if (!(sum > 0 && isfinite(sum)))
        return lgt_fail(err, LGT_ERR_DATA, "sample_weights sum to %g, expected a finite number > 0", sum);
    lgt_status status = LGT_NEW(t->context, &t->weights, n, err);
    if (!status) status = LGT_NEW(t->context, &t->batch_weights, t->batch, err);
    for (int64_t i = 0; i < n && !status; i++) t->weights[i] = given[i] / sum * (double)n;
    t->heaviest = fmax(1, largest / sum * (double)n);
    return status;
}

static lgt_status create_work(lgt_trainer *t, lgt_error *err) {
    const lgt_model *m = &t->model;
    lgt_plan_options plan = lgt_trainer_plan_options(t, t->batch);
    plan.precision = t->options.precision;
    plan.sinks = 1;
    if (t->options.sample_rate < 1)
        plan.max_classes = lgt_sample_classes_most(m->n_classes, t->batch, t->options.sample_rate);
    int64_t in = lgt_model_in_dim(m), dim = lgt_model_dim(m), n_x = 0, n_y = 0;
    if (!lgt_count_mul(t->batch, in, &n_x) || !lgt_count_mul(t->batch, dim, &n_y))
        return lgt_fail(err, LGT_ERR_MEMORY, "a batch of %lld rows overflows", (long long)t->batch);
    lgt_status status = lgt_head_create(t->context, &m->loss, dim, m->n_classes, &t->head, err);
    if (!status) status = lgt_plan_create(t->head, &plan, &t->plan, err);
    if (!status) status = lgt_encoder_pass_create(m->encoder, t->batch, 1, &t->pass, err);
    if (!status) status = lgt_encoder_share(t->pass, t->ranks.comm, err);
    if (!status) status = LGT_NEW(t->context, &t->order, t->dataset->n_rows, err);
    if (!status) status = LGT_NEW(t->context, &t->labels, t->batch, err);
    for (int i = 0; i < 2 && !status; i++) status = LGT_NEW(t->context, &t->x[i], n_x, err);
    if (!status) status = LGT_NEW(t->context, &t->y, n_y, err);
    if (!status) status = LGT_NEW(t->context, &t->dy, n_y, err);
    if (!status) status = lgt_alignment_create(t->context, &m->align, m->encoder, t->batch, &t->alignment, err);
    return status;
}

static lgt_status create_groups(lgt_trainer *t, lgt_error *err) {
    const lgt_model *m = &t->model;
    float *values[LGT_N_GROUPS] = {lgt_encoder_params(m->encoder), m->w, m->b};
    int64_t counts[LGT_N_GROUPS] = {lgt_encoder_n_params(m->encoder), lgt_trainer_weights(t).rows * lgt_model_dim(m),
                                    m->b ? t->ranks.count : 0};
    int64_t total = 0, made = 0, starts[LGT_N_GROUPS], gradients[LGT_N_GROUPS];
    for (int g = 0; g < LGT_N_GROUPS; g++) {
        starts[g] = total, gradients[g] = made;
        total += lgt_round_up(counts[g], GROUP_ALIGNMENT);
        if (g == LGT_GROUP_WEIGHT) continue;
        made += lgt_round_up(counts[g], GROUP_ALIGNMENT);
    }
    lgt_status status = LGT_NEW_ZERO(t->context, &t->gradients, made, err);
    if (!status) status = LGT_NEW_ZERO(t->context, &t->momenta, total, err);
    if (!status && t->options.optimizer == LGT_OPTIMIZER_ADAMW)
        status = LGT_NEW_ZERO(t->context, &t->squares, total, err);
    if (status) return status;
    for (int g = 0; g < LGT_N_GROUPS; g++) {
        t->groups[g] = (lgt_param_group){.value = values[g], .count = counts[g]};
        if (g != LGT_GROUP_WEIGHT) t->groups[g].gradient = t->gradients + gradients[g];
        t->groups[g].momentum = t->momenta + starts[g];
        if (t->squares) t->groups[g].square = t->squares + starts[g];
    }
    return LGT_OK;
}

/* The longest row, by the triangle inequality: |(x - mean) scale| <= (|x| + |mean|) largest scale. */
static double longest_row(const lgt_trainer *t) {
    const lgt_normalization *n = &t->model.normalization;
    const lgt_dataset *d = t->dataset;
    double most = 0, mean = lgt_trainer_square(t, n->mean, n->count), scale = 0;
    for (int64_t row = 0; row < d->n_rows; row++) most = fmax(most, lgt_trainer_square(t, d->x + row * d->dim, d->dim));
    for (int64_t k = 0; k < n->count; k++) scale = fmax(scale, (double)n->scale[k]);
    return (sqrt(most) + sqrt(mean * (double)d->dim / (double)n->count)) * scale;
}

/* What moves the parameters, and what is known of them before the first step. */
static lgt_status create_steps(lgt_trainer *t, lgt_error *err) {
    const lgt_param_group *encoder = &t->groups[LGT_GROUP_ENCODER];
    t->update = lgt_update_kernel_of(t->context, t->options.optimizer);
    t->moved.value = lgt_trainer_square(t, encoder->value, encoder->count);
    t->data_norm = longest_row(t);
    lgt_status status = lgt_head_step_create(t->context, &t->options, &t->ranks, &t->groups[LGT_GROUP_WEIGHT],
                                             lgt_model_dim(&t->model), t->batch, &t->head_step, err);
    if (!status) status = LGT_NEW_ZERO(t->context, &t->encoder_rows, t->model.encoder->n_outputs, err);
    if (!status && t->model.b && t->head_step.classes)
        status = LGT_NEW(t->context, &t->db, t->head_step.sampler.most, err);
    return status;
}

static lgt_status count_steps(lgt_trainer *t, lgt_error *err) {
    t->batch = lgt_min64(t->options.batch, t->dataset->n_rows);
    t->steps_per_epoch = lgt_ceil_div(t->dataset->n_rows, t->batch);
    if (!lgt_count_mul(t->steps_per_epoch, t->options.epochs, &t->n_steps))
        return lgt_fail(err, LGT_ERR_USAGE, "%lld epochs of %lld steps overflow", (long long)t->options.epochs,
                        (long long)t->steps_per_epoch);
    return LGT_OK;
}

static lgt_status create(lgt_trainer *t, lgt_error *err) {
    lgt_status status = check_dataset(t->dataset, err);
    if (!status) status = count_steps(t, err);
    if (!status) status = lgt_ranks_create(t->context, t->options.comm, t->dataset->n_labels, &t->ranks, err);
    if (!status) status = create_model(t, err);
    if (!status) status = create_weights(t, err);
    if (!status) status = create_work(t, err);
    if (!status) status = create_groups(t, err);
    return status ? status : create_steps(t, err);
}

lgt_status lgt_trainer_create(lgt_context *context, const lgt_train_options *options, const lgt_dataset *dataset,
                              lgt_trainer **out, lgt_error *err) {
    lgt_trainer *t = NULL;
    lgt_status status = lgt_train_options_check(options, err);
    const lgt_comm *comm = options->struct_size == sizeof *options ? options->comm : NULL;
    if (!status) status = LGT_NEW_ZERO(context, &t, 1, err);
    if (!status) {
        t->context = t->head_step.context = context;
        t->options = *options;
        t->dataset = dataset;
        t->ready = -1;
        t->model.context = context;
        status = create(t, err);
    }
    status = lgt_comm_agree(comm, status, err);
    if (!status) status = lgt_facts_agree(t, err);
    if (status) {
        lgt_trainer_free(t);
        return status;
    }
    t->options.sample_weights = NULL; /* the caller's arrays may go */
    t->options.start_w.data = t->options.start_b.data = NULL;
    *out = t;
    return lgt_succeed(err);
}

void lgt_trainer_free(lgt_trainer *trainer) {
    if (!trainer) return;
    lgt_context *context = trainer->context;
    lgt_release(context, trainer->db);
    lgt_release(context, trainer->encoder_rows);
    lgt_head_step_free(&trainer->head_step);
    lgt_alignment_free(context, &trainer->alignment);
    lgt_release(context, trainer->squares);
    lgt_release(context, trainer->momenta);
    lgt_release(context, trainer->gradients);
    lgt_release(context, trainer->dy);
    lgt_release(context, trainer->y);
    lgt_release(context, trainer->x[1]);
    lgt_release(context, trainer->x[0]);
    lgt_release(context, trainer->batch_weights);
    lgt_release(context, trainer->weights);
    lgt_release(context, trainer->labels);
    lgt_release(context, trainer->order);
    lgt_encoder_pass_free(trainer->pass);
    lgt_plan_free(trainer->plan);
    lgt_head_free(trainer->head);
    lgt_model_drop_bank(&trainer->model, &trainer->whole);
    lgt_release(context, trainer->whole.b);
    lgt_release(context, trainer->whole.w);
    lgt_ranks_free(context, &trainer->ranks);
    lgt_model_clear(&trainer->model);
    lgt_release(context, trainer);
}
