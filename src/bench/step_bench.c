/* Times training steps of a head alone on random data: what a head of a million classes costs with its optimizer. */
#include <math.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "bench/matter.h"
#include "bench/median.h"
#include "logitude/bench.h"

/* Batches that differ; later epochs walk them in another order. */
enum { STREAM_X = 1, STREAM_LABELS = 3, MOST_BATCHES = 64, MOST_REPEAT = 1000000 };

typedef struct step_bench {
    lgt_context *context;
    lgt_bench_step_options o;
    lgt_dataset data;
    lgt_trainer *trainer;
    double *seconds;
} step_bench;

void lgt_bench_step_options_init(lgt_bench_step_options *options) {
    *options = (lgt_bench_step_options){.struct_size = sizeof *options,
                                        .n_rows = 128,
                                        .dim = 512,
                                        .n_classes = 10000,
                                        .optimizer = LGT_OPTIMIZER_SGD,
                                        .sample_rate = 1,
                                        .repeat = 10};
}

static lgt_status check(const lgt_bench_step_options *o, lgt_error *err) {
    if (o->struct_size != sizeof *o)
        return lgt_fail(err, LGT_ERR_USAGE, "lgt_bench_step_options has struct_size %zu, expected %zu: call its _init",
                        o->struct_size, sizeof *o);
    if (o->repeat < 1 || o->repeat > MOST_REPEAT)
        return lgt_fail(err, LGT_ERR_USAGE, "repeat is %d, expected 1 to %d", o->repeat, MOST_REPEAT);
    if (o->n_rows < 1 || o->dim < 1)
        return lgt_fail(err, LGT_ERR_USAGE, "a batch of %lld rows of dim %lld: both must be at least 1",
                        (long long)o->n_rows, (long long)o->dim);
    if (o->n_classes < 2)
        return lgt_fail(err, LGT_ERR_USAGE, "n_classes is %lld, expected 2 or more", (long long)o->n_classes);
    return LGT_OK;
}

static lgt_status draw_data(step_bench *b, lgt_error *err) {
    int64_t batches = lgt_min64(b->o.repeat + 1, MOST_BATCHES), rows, count;
    if (!lgt_count_mul(batches, b->o.n_rows, &rows) || !lgt_count_mul(rows, b->o.dim, &count))
        return lgt_fail(err, LGT_ERR_MEMORY, "%lld batches of %lld rows of dim %lld: too many numbers",
                        (long long)batches, (long long)b->o.n_rows, (long long)b->o.dim);
    b->data = (lgt_dataset){.n_rows = rows, .dim = b->o.dim, .n_labels = b->o.n_classes};
    lgt_status status = LGT_NEW(b->context, &b->data.x, count, err);
    if (!status) status = LGT_NEW(b->context, &b->data.labels, rows, err);
    if (status) return status;
    lgt_bench_fill(b->context, b->data.x, count, LGT_F32, 1, b->o.seed, STREAM_X);
    if (b->o.n_classes > 0) lgt_bench_labels(b->data.labels, rows, b->o.n_classes, b->o.seed, STREAM_LABELS);
    return LGT_OK;
}

static lgt_status create_trainer(step_bench *b, const lgt_loss *loss, lgt_error *err) {
    lgt_train_options train;
    lgt_train_options_init(&train);
    train.loss = *loss;
    train.encoder = "none";
    train.standardize = LGT_STANDARDIZE_NONE;
    train.schedule = LGT_LR_CONSTANT;
    train.batch = b->o.n_rows;
    train.epochs = lgt_ceil_div(b->o.repeat + 1, lgt_min64(b->o.repeat + 1, MOST_BATCHES));
    train.optimizer = b->o.optimizer;
    train.precision = b->o.precision;
    train.workspace = b->o.workspace;
    train.sample_rate = b->o.sample_rate;
    train.seed = b->o.seed;
    return lgt_trainer_create(b->context, &train, &b->data, &b->trainer, err);
}

static lgt_status measure(step_bench *b, lgt_bench_step_result *out, lgt_error *err) {
    lgt_train_record record;
    lgt_status status = lgt_trainer_step(b->trainer, &record, err); /* pages and threads of the first do not count */
    out->loss_first = record.loss;
    for (int r = 0; r < b->o.repeat && !status; r++) {
        double start = lgt_clock_now();
        status = lgt_trainer_step(b->trainer, &record, err);
        b->seconds[r] = lgt_clock_now() - start;
    }
    if (status) return status;
    out->loss_last = record.loss;
    out->seconds = lgt_bench_median(b->seconds, b->o.repeat);
    out->seconds_min = b->seconds[0]; /* sorted */
    return LGT_OK;
}

lgt_status lgt_bench_step_run(lgt_context *context, const lgt_loss *loss, const lgt_bench_step_options *options,
                              lgt_bench_step_result *out, lgt_error *err) {
    step_bench b = {.context = context, .o = *options};
    lgt_status status = check(options, err);
    if (!status) status = LGT_NEW(context, &b.seconds, options->repeat, err);
    if (!status) status = draw_data(&b, err);
    if (!status) status = create_trainer(&b, loss, err);
    if (!status) status = measure(&b, out, err);
    lgt_trainer_free(b.trainer);
    lgt_release(context, b.data.labels);
    lgt_release(context, b.data.x);
    lgt_release(context, b.seconds);
    return status ? status : lgt_succeed(err);
}
