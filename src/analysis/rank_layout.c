/* Which of the layouts that a job allows is the fastest that fits; and what a job and a machine are unless told. */
#include <limits.h>
#include <string.h>

#include "analysis/cost_model.h"
#include "base/error.h"
#include "base/sizes.h"
#include "base/text.h"

/* A layout is as fast as another within this: ranks that bring less are not worth having. A tenth of the classes is
 * what Partial FC trains with (An et al., arXiv:2010.05222), and is proposed where it brings at least so much. */
static const double equally_fast = 1.01, sampled = 0.1, worth_sampling = 2;

void lgt_machine_init(lgt_machine *machine) {
    *machine = (lgt_machine){.struct_size = sizeof *machine,
                             .name = "2 cores of an Intel Xeon with AVX-512 and AMX (virtual)",
                             .threads = 2,
                             .memory = 25e9,
                             .gflops = {300, 58, 380, 710},
                             .class_bandwidth = {4.8e9, 7.9e9, 6.2e9, 5.9e9},
                             .update_bandwidth = {22e9, 18e9, 16e9},
                             .stream_bandwidth = 22e9,
                             .network_bandwidth = 1.25e9,
                             .network_latency = 20e-6};
}

void lgt_job_init(lgt_job *job) {
    *job = (lgt_job){.struct_size = sizeof *job,
                     .dim = 512,
                     .batch = 128,
                     .descent = LGT_DESCENT_ADAMW,
                     .sample_rate = 1,
                     .ranks = 1};
}

/* --- Encoders --- */

/* Appends a layer of so many outputs; 0 when the parameters are too many. */
static int add_layer(lgt_job *job, int64_t *in, int64_t out) {
    int64_t weights;
    if (!lgt_count_mul(*in, out, &weights) || weights > INT64_MAX - out - job->encoder_params) return 0;
    job->encoder_params += weights + out;
    job->encoder_outputs += out;
    *in = out;
    return 1;
}

lgt_status lgt_job_set_encoder(lgt_job *job, const char *spec, int64_t in_dim, lgt_error *err) {
    int64_t in = in_dim, width = 0;
    int fine = 1, none = strcmp(spec, "none") == 0, perceptron = strncmp(spec, "mlp:", 4) == 0;
    if (in_dim < 1 || in_dim > INT_MAX)
        return lgt_fail(err, LGT_ERR_USAGE, "an encoder of %lld inputs, expected 1 to %d", (long long)in_dim, INT_MAX);
    if (!none && !perceptron && strcmp(spec, "linear") != 0)
        return lgt_fail(err, LGT_ERR_USAGE, "encoder \"%.80s\", expected none, linear or mlp:WIDTH[,WIDTH...]", spec);
    job->in_dim = none ? 0 : in_dim;
    job->encoder_params = job->encoder_outputs = 0;
    for (const char *at = spec + 4; perceptron && fine; at++) {
        size_t length = strcspn(at, ",");
        fine = lgt_text_int64(at, length, &width) && width >= 1 && width <= INT_MAX && add_layer(job, &in, width);
        at += length;
        if (*at == '\0') break;
    }
    if (!fine || (!none && !add_layer(job, &in, job->dim)))
        return lgt_fail(err, LGT_ERR_USAGE, "encoder \"%.80s\", expected widths from 1 to %d, and parameters to count",
                        spec, INT_MAX);
    return lgt_succeed(err);
}

/* --- Layouts --- */

/* The fewest ranks, beyond those of the job, of which each fits; 0: none. */
static int64_t needed_ranks(const lgt_job *job, const lgt_machine *machine) {
    lgt_job wider = *job;
    while (wider.ranks < LGT_PLANNED_RANKS) {
        wider.ranks++;
        if (lgt_cost_known(&wider, machine).fits) return wider.ranks;
    }
    return 0;
}

/* The fastest that fits; those of fewer ranks come first and stand unless they are clearly beaten. */
static void choose_ranks(const lgt_job *job, const lgt_machine *machine, lgt_rank_layout *out) {
    lgt_job tried = *job;
    lgt_cost fastest = {0};
    int64_t needed = 0;
    for (tried.ranks = 1; tried.ranks <= job->ranks; tried.ranks++) {
        lgt_cost cost = lgt_cost_known(&tried, machine);
        if (cost.fits && !needed) needed = tried.ranks;
        if (cost.fits && (!fastest.threads || cost.seconds < fastest.seconds)) fastest = cost;
    }
    for (tried.ranks = 1; tried.ranks < job->ranks; tried.ranks++) {
        out->cost = lgt_cost_known(&tried, machine);
        if (out->cost.fits && out->cost.seconds <= equally_fast * fastest.seconds) break;
    }
    out->ranks = tried.ranks;
    out->cost = lgt_cost_known(&tried, machine);
    out->fits = out->cost.fits;
    out->needed = needed ? needed : needed_ranks(job, machine);
}

lgt_status lgt_rank_layout_suggest(const lgt_job *job, const lgt_machine *machine, lgt_rank_layout *out,
                                   lgt_error *err) {
    lgt_status status = lgt_cost_check(job, machine, err);
    if (status) return status;
    lgt_job tried = *job;
    lgt_rank_layout fewer = {.sample_rate = sampled};
    *out = (lgt_rank_layout){.sample_rate = job->sample_rate};
    choose_ranks(&tried, machine, out);
    out->exact = out->cost.seconds;
    tried.sample_rate = sampled;
    if (job->sample_rate == 1) choose_ranks(&tried, machine, &fewer);
    if (fewer.ranks && fewer.fits == out->fits && worth_sampling * fewer.cost.seconds <= out->exact) {
        tried.ranks = fewer.ranks;
        tried.sample_rate = 1;
        fewer.exact = lgt_cost_known(&tried, machine).seconds;
        *out = fewer;
    }
    out->threads = out->cost.threads;
    return lgt_succeed(err);
}
