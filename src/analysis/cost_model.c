/* The cost of a training step over ranks: memory, operations, bytes through memory and over the network
 * (docs/scaling.md, S1 to S11). All formulas of the model are here, each in a function of its name. */
#include <math.h>

#include "analysis/cost_model.h"
#include "base/error.h"
#include "base/sizes.h"
#include "base/text.h"
#include "engine/engine.h"
#include "engine/stripes.h"

/* Bytes: a row's statistics over one stripe; a label; what a plan and what an optimizer notes of a row of W (its
 * length; squares and steps taken); a weight of a logit in bf16. */
static const double crowd_bytes = 56, label_bytes = 8, length_bytes = 8, step_bytes = 20, weight_bytes = 2;
/* A thread's tile of 128 classes and 512 rows: three arrays (tile, dim), two (tile, row). */
static const double tile_classes = 128, tile_rows = 512;
/* What a step asks the network for, one call each: features, targets, crowds, partials; and with an encoder its
 * outputs, its deltas and its parameters. */
static const double head_calls = 4, encoder_calls = 3;

static double element(const lgt_job *job) {
    return job->arithmetic == LGT_ARITHMETIC_F64 ? 8 : 4;
}

/* Vectors of W's size that the optimizer keeps; without one, dw. */
static double moments(const lgt_job *job) {
    return job->descent == LGT_DESCENT_ADAMW ? 2 : 1;
}

/* --- S1: how classes are cut --- */

/* With more ranks than a plan has stripes the model takes as many stripes as ranks: further ones would have none. */
static int64_t stripes_of(const lgt_job *job) {
    int64_t grains = lgt_ceil_div(job->n_classes, LGT_GRAIN);
    return lgt_min64(lgt_max64(LGT_STRIPES, job->ranks), grains);
}

/* Of the rank that has most: stripes are of one size but for the last ones. */
static int64_t classes_of_rank(const lgt_job *job) {
    int64_t grains = lgt_ceil_div(job->n_classes, LGT_GRAIN), stripe = lgt_ceil_div(grains, stripes_of(job));
    int64_t most = lgt_ceil_div(lgt_ceil_div(grains, stripe), job->ranks);
    return lgt_min64(job->n_classes, most * stripe * LGT_GRAIN);
}

/* The share of its classes that a step works on: those of the labels, which are taken to be uniform, and those drawn.
 */
static double listed_share(const lgt_job *job) {
    double labels = -expm1(-(double)job->batch / (double)job->n_classes);
    return labels + job->sample_rate * (1 - labels);
}

/* Logits of a step. */
static double crossings(const lgt_job *job) {
    return (double)job->batch * (double)classes_of_rank(job) * listed_share(job);
}

/* --- S2 to S4: memory --- */

static double features_bytes(const lgt_job *job) {
    return (double)job->batch * (double)job->dim * element(job);
}

static double partials_bytes(const lgt_job *job) {
    return (double)stripes_of(job) * features_bytes(job);
}

static double crowds_bytes(const lgt_job *job) {
    return (double)stripes_of(job) * (double)job->batch * crowd_bytes;
}

/* What the head's plan cannot do without: partial sums, features packed twice, copies of the targets' rows where W is
 * stepped meanwhile, tiles of every thread, lengths. */
static double needed_workspace(const lgt_job *job, int threads) {
    double tiles = (3 * tile_classes * (double)job->dim + 2 * tile_classes * tile_rows) * element(job);
    double vectors = job->descent == LGT_DESCENT_NONE ? 2 : 3;
    return partials_bytes(job) + crowds_bytes(job) + vectors * features_bytes(job) + threads * tiles +
           (double)classes_of_rank(job) * length_bytes;
}

static double spare_bytes(const lgt_job *job, int threads) {
    double allowed = job->workspace ? (double)job->workspace : (double)LGT_WORKSPACE;
    return fmax(0, allowed - needed_workspace(job, threads));
}

/* Logits that the workspace has room for beside that; they need not be computed twice. */
static double kept_bytes(const lgt_job *job, int threads) {
    return fmin(crossings(job) * element(job), spare_bytes(job, threads));
}

static double batch_bytes(const lgt_job *job) {
    double loaded = job->encoder_params ? 2 * (double)job->batch * (double)job->in_dim * 4 : 0;
    return 3 * features_bytes(job) + (double)job->batch * label_bytes + loaded;
}

static double encoder_bytes(const lgt_job *job) {
    double outputs = 2 * (double)job->batch * (double)job->encoder_outputs * 4;
    return (2 + moments(job)) * (double)job->encoder_params * 4 + outputs;
}

static double notes_bytes(const lgt_job *job) {
    return job->descent == LGT_DESCENT_NONE ? 0 : (double)classes_of_rank(job) * step_bytes;
}

static lgt_memory_cost memory_of(const lgt_job *job, int threads) {
    lgt_memory_cost m = {.weights = (double)classes_of_rank(job) * (double)job->dim * element(job),
                         .workspace = needed_workspace(job, threads) + kept_bytes(job, threads) + notes_bytes(job),
                         .batch = batch_bytes(job),
                         .encoder = encoder_bytes(job)};
    m.optimizer = moments(job) * m.weights;
    m.total = m.weights + m.optimizer + m.workspace + m.batch + m.encoder;
    return m;
}

/* --- S5 to S7: work --- */

/* Whether all weights of a step are kept, as bfloat16 numbers, which spares every logit a second product. */
static int keeps_weights(const lgt_job *job, int threads) {
    return job->arithmetic == LGT_ARITHMETIC_BF16 && crossings(job) * weight_bytes <= spare_bytes(job, threads);
}

/* The share of the logits that are not computed twice: those in the workspace, or, where there is a dw whose rows have
 * room for a batch of them, those of the first panel of rows. */
static double kept_share(const lgt_job *job, int threads) {
    double kept = kept_bytes(job, threads) / (crossings(job) * element(job));
    if (keeps_weights(job, threads)) return 1;
    if (job->descent != LGT_DESCENT_NONE || job->batch > job->dim) return kept;
    return fmax(kept, fmin(1, (double)LGT_PARTIAL_BYTES / partials_bytes(job)));
}

/* Products of N x D by each class that is listed: logits, dw, dx, and the logits that were not kept once more. */
static double head_operations(const lgt_job *job, int threads) {
    return 2 * crossings(job) * (double)job->dim * (4 - kept_share(job, threads));
}

/* A rank's share of the rows, forward and backward. */
static double encoder_operations(const lgt_job *job) {
    return 6 * (double)job->batch * (double)job->encoder_params / job->ranks;
}

/* Entries of W that a step has to do with. */
static double listed_weights(const lgt_job *job) {
    return (double)classes_of_rank(job) * listed_share(job) * (double)job->dim;
}

/* W read by both passes, and dw where it is written. */
static double class_bytes(const lgt_job *job) {
    return (job->descent == LGT_DESCENT_NONE ? 3 : 2) * listed_weights(job) * element(job);
}

/* W and the optimizer's memory, read and written; of the encoder each rank steps its part. */
static double update_bytes(const lgt_job *job) {
    if (job->descent == LGT_DESCENT_NONE) return 0;
    double encoder = (double)job->encoder_params * 4 / job->ranks;
    return 2 * (1 + moments(job)) * (listed_weights(job) * element(job) + encoder);
}

/* The same of classes that the step before did not list: ahead of this one they are brought up to date, by a pass of
 * their own. */
static double rested_bytes(const lgt_job *job) {
    if (job->descent == LGT_DESCENT_NONE) return 0;
    return 2 * (1 + moments(job)) * listed_weights(job) * element(job) * (1 - listed_share(job));
}

/* Partial sums written and added up; features packed, dx written. */
static double row_bytes(const lgt_job *job) {
    return 2 * partials_bytes(job) + 4 * features_bytes(job);
}

static double compute_seconds(const lgt_job *job, const lgt_machine *m, int threads) {
    double head = head_operations(job, threads) / m->gflops[job->arithmetic];
    double encoder = encoder_operations(job) / m->gflops[LGT_ARITHMETIC_F32];
    return (head + encoder) * 1e-9 / threads;
}

static double memory_seconds(const lgt_job *job, const lgt_machine *m, int threads) {
    double update = update_bytes(job);
    double seconds = class_bytes(job) / m->class_bandwidth[job->arithmetic] +
                     (row_bytes(job) + rested_bytes(job)) / m->stream_bandwidth;
    if (update > 0) seconds += update / m->update_bandwidth[job->descent];
    return seconds / threads;
}

/* --- S8, S9: network --- */

/* A rank has its own part already. */
static double received(const lgt_job *job, double bytes) {
    return bytes * (job->ranks - 1) / job->ranks;
}

static lgt_traffic traffic_of(const lgt_job *job) {
    double labels = (double)job->batch * label_bytes;
    double outputs = 2 * (double)job->batch * (double)job->encoder_outputs * 4;
    lgt_traffic t = {.features = received(job, features_bytes(job) + labels),
                     .targets = received(job, features_bytes(job)),
                     .crowds = received(job, crowds_bytes(job)),
                     .partials = received(job, partials_bytes(job)),
                     .encoder = received(job, outputs + (double)job->encoder_params * 4)};
    t.total = t.features + t.targets + t.crowds + t.partials + t.encoder;
    return t;
}

/* Each call exchanges a message with every other rank. */
static double network_seconds(const lgt_job *job, const lgt_machine *m) {
    double calls = head_calls + (job->encoder_params ? encoder_calls : 0);
    return traffic_of(job).total / m->network_bandwidth + calls * (job->ranks - 1) * m->network_latency;
}

/* --- S10: a step --- */

static int threads_of(const lgt_job *job, const lgt_machine *machine) {
    return job->threads ? job->threads : machine->threads;
}

static double step_seconds(const lgt_job *job, const lgt_machine *machine) {
    int threads = threads_of(job, machine);
    return compute_seconds(job, machine, threads) + memory_seconds(job, machine, threads) +
           network_seconds(job, machine);
}

static lgt_bound bound_of(const lgt_cost *cost) {
    if (cost->network > cost->compute && cost->network > cost->memory_traffic) return LGT_BOUND_NETWORK;
    return cost->memory_traffic > cost->compute ? LGT_BOUND_MEMORY : LGT_BOUND_COMPUTE;
}

const char *lgt_bound_name(lgt_bound bound) {
    static const char *const names[] = {"compute", "memory", "network"};
    return (unsigned)bound < sizeof names / sizeof *names ? names[bound] : "unknown";
}

lgt_cost lgt_cost_known(const lgt_job *job, const lgt_machine *machine) {
    lgt_job alone = *job;
    alone.ranks = 1;
    lgt_cost c = {.n_stripes = stripes_of(job), .n_classes = classes_of_rank(job)};
    c.threads = threads_of(job, machine);
    c.memory = memory_of(job, c.threads);
    c.fits = machine->memory == 0 || c.memory.total <= machine->memory;
    c.traffic = traffic_of(job);
    c.compute = compute_seconds(job, machine, c.threads);
    c.memory_traffic = memory_seconds(job, machine, c.threads);
    c.network = network_seconds(job, machine);
    c.seconds = step_seconds(job, machine);
    c.binds = bound_of(&c);
    c.steps_per_second = 1 / c.seconds;
    c.samples_per_second = (double)job->batch / c.seconds;
    c.efficiency = step_seconds(&alone, machine) / (job->ranks * c.seconds);
    return c;
}

/* --- What is asked --- */

static lgt_status check_sizes(const lgt_job *job, lgt_error *err) {
    const struct {
        const char *name;
        int64_t value, least, most;
    } sizes[] = {{"n_classes", job->n_classes, 1, LGT_PLANNED_CLASSES},
                 {"dim", job->dim, 1, INT32_MAX},
                 {"batch", job->batch, 1, LGT_PLANNED_ROWS},
                 {"workspace", job->workspace, 0, INT64_MAX},
                 {"in_dim", job->in_dim, 0, INT32_MAX},
                 {"encoder_params", job->encoder_params, 0, INT64_MAX},
                 {"encoder_outputs", job->encoder_outputs, 0, INT64_MAX},
                 {"ranks", job->ranks, 1, LGT_PLANNED_RANKS},
                 {"threads", job->threads, 0, LGT_PLANNED_THREADS}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < sizes[i].least || sizes[i].value > sizes[i].most)
            return lgt_fail(err, LGT_ERR_USAGE, "a job's %s is %lld, expected %lld to %lld", sizes[i].name,
                            (long long)sizes[i].value, (long long)sizes[i].least, (long long)sizes[i].most);
    return LGT_OK;
}

static lgt_status check_job(const lgt_job *job, lgt_error *err) {
    if (job->struct_size != sizeof *job)
        return lgt_fail(err, LGT_ERR_USAGE, "lgt_job has struct_size %zu, expected %zu: call its _init",
                        job->struct_size, sizeof *job);
    if ((unsigned)job->arithmetic >= LGT_N_ARITHMETICS || (unsigned)job->descent >= LGT_N_DESCENTS)
        return lgt_fail(err, LGT_ERR_USAGE, "a job has arithmetic %d and descent %d, expected 0 to %d and 0 to %d",
                        (int)job->arithmetic, (int)job->descent, LGT_N_ARITHMETICS - 1, LGT_N_DESCENTS - 1);
    if (!(job->sample_rate > 0 && job->sample_rate <= 1))
        return lgt_fail(err, LGT_ERR_USAGE, "a job's sample_rate is %g, expected above 0, at most 1", job->sample_rate);
    return check_sizes(job, err);
}

/* So that no quotient of them leaves the range of double. */
static int is_rate(double value) {
    return value >= 1e-9 && value <= 1e30;
}

static lgt_status check_rates(const char *name, const double *rates, int first, int n, lgt_error *err) {
    for (int i = first; i < n; i++)
        if (!is_rate(rates[i]))
            return lgt_fail(err, LGT_ERR_USAGE, "a machine's %s is %g, expected 1e-9 to 1e30", name, rates[i]);
    return LGT_OK;
}

static lgt_status check_machine(const lgt_machine *m, lgt_error *err) {
    if (m->struct_size != sizeof *m)
        return lgt_fail(err, LGT_ERR_USAGE, "lgt_machine has struct_size %zu, expected %zu: call its _init",
                        m->struct_size, sizeof *m);
    if (m->threads < 1 || m->threads > LGT_PLANNED_THREADS)
        return lgt_fail(err, LGT_ERR_USAGE, "a machine has %d threads, expected 1 to %d", m->threads,
                        LGT_PLANNED_THREADS);
    if (!(m->memory >= 0 && m->memory <= 1e30) || !(m->network_latency >= 0 && m->network_latency <= 3600))
        return lgt_fail(err, LGT_ERR_USAGE,
                        "a machine has %g bytes and a network of %g s a message, expected 0 to 1e30 and 0 to 3600",
                        m->memory, m->network_latency);
    lgt_status status = check_rates("gflops", m->gflops, 0, LGT_N_ARITHMETICS, err);
    if (!status) status = check_rates("class_bandwidth", m->class_bandwidth, 0, LGT_N_ARITHMETICS, err);
    if (!status) status = check_rates("update_bandwidth", m->update_bandwidth, 1, LGT_N_DESCENTS, err);
    if (!status) status = check_rates("stream_bandwidth", &m->stream_bandwidth, 0, 1, err);
    return status ? status : check_rates("network_bandwidth", &m->network_bandwidth, 0, 1, err);
}

lgt_status lgt_cost_check(const lgt_job *job, const lgt_machine *machine, lgt_error *err) {
    lgt_status status = check_job(job, err);
    return status ? status : check_machine(machine, err);
}

lgt_status lgt_cost_of(const lgt_job *job, const lgt_machine *machine, lgt_cost *out, lgt_error *err) {
    lgt_status status = lgt_cost_check(job, machine, err);
    if (status) return status;
    *out = lgt_cost_known(job, machine);
    return lgt_succeed(err);
}
