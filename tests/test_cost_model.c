/* The cost model, by law: parts add up, what follows classes doubles with them, and traffic never does. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "logitude/bench.h"
#include "logitude/encoder.h"
#include "logitude/scaling.h"
#include "support.h"

TEST_SHARED_CONTEXT(2)

static lgt_machine machine_of(void) {
    lgt_machine machine;
    lgt_machine_init(&machine);
    return machine;
}

static lgt_job job_of(int64_t n_classes, int64_t dim, int64_t batch, int ranks) {
    lgt_job job;
    lgt_job_init(&job);
    job.n_classes = n_classes, job.dim = dim, job.batch = batch, job.ranks = ranks;
    return job;
}

static lgt_cost cost_on(const lgt_job *job, const lgt_machine *machine) {
    lgt_cost cost;
    lgt_error err;
    assert_ok(lgt_cost_of(job, machine, &cost, &err), err);
    return cost;
}

static lgt_cost cost_of(const lgt_job *job) {
    lgt_machine machine = machine_of();
    return cost_on(job, &machine);
}

/* Jobs of many shapes; the laws below hold for every one. */
enum { N_JOBS = 400 };
static lgt_job drawn_job(int index) {
    static const int64_t classes[] = {1, 2, 63, 64, 65, 1000, 1025, 99999, 1000000, 100000000, 1000000000000};
    static const int64_t dims[] = {1, 3, 128, 512, 4096}, batches[] = {1, 2, 17, 128, 8192, 1000000};
    static const int ranks[] = {1, 2, 3, 4, 7, 16, 17, 64, 1000};
    static const double rates[] = {1, 0.1, 1e-6};
    uint32_t r = (uint32_t)index * 2654435761U;
    lgt_job job = job_of(classes[(r >> 8) % 11], dims[(r >> 12) % 5], batches[(r >> 16) % 6], ranks[(r >> 20) % 9]);
    lgt_error err;
    job.arithmetic = (lgt_arithmetic)((r >> 5) % LGT_N_ARITHMETICS);
    job.descent = (lgt_descent_kind)((r >> 3) % LGT_N_DESCENTS);
    job.sample_rate = rates[(r >> 24) % 3];
    job.workspace = index % 4 == 0 ? (int64_t)1 << (index % 40) : 0;
    if (index % 3 == 0) assert_ok(lgt_job_set_encoder(&job, "mlp:512,256", 784, &err), err);
    return job;
}

static int is_near(double a, double b) { /* some roundings of double */
    return fabs(a - b) <= 1e-12 * fmax(fabs(a), fabs(b));
}

static void memory_traffic_and_time_are_the_sums_of_their_parts(void **state) {
    (void)state;
    for (int i = 0; i < N_JOBS; i++) {
        lgt_job job = drawn_job(i);
        lgt_cost c = cost_of(&job);
        const lgt_memory_cost *m = &c.memory;
        const lgt_traffic *t = &c.traffic;
        if (!is_near(m->total, m->weights + m->optimizer + m->workspace + m->batch + m->encoder) ||
            !is_near(t->total, t->features + t->targets + t->crowds + t->partials + t->encoder) ||
            !is_near(c.seconds, c.compute + c.memory_traffic + c.network) ||
            !is_near(c.steps_per_second * c.seconds, 1) ||
            !is_near(c.samples_per_second, (double)job.batch * c.steps_per_second))
            fail_msg("job %d: the parts are not the whole", i);
        double most = fmax(c.compute, fmax(c.memory_traffic, c.network));
        const double parts[] = {c.compute, c.memory_traffic, c.network};
        assert_true(parts[c.binds] == most);
        assert_true(c.compute > 0 && c.memory_traffic > 0 && isfinite(m->total) && isfinite(c.seconds));
    }
}

/* Ranks share nothing that one rank would not have to do, but for the network and the largest shard. */
static void efficiency_is_what_one_rank_would_take_over_what_all_take(void **state) {
    (void)state;
    for (int i = 0; i < N_JOBS; i++) {
        lgt_job job = drawn_job(i);
        lgt_cost all = cost_of(&job);
        int ranks = job.ranks;
        job.ranks = 1;
        lgt_cost alone = cost_of(&job);
        assert_true(is_near(all.efficiency * ranks * all.seconds, alone.seconds));
    }
    lgt_job job = job_of((int64_t)1 << 24, 512, 256, 16); /* shards are equal */
    job.workspace = 1;
    assert_true(cost_of(&job).efficiency > 0.9 && cost_of(&job).efficiency < 1);
}

static void weights_are_those_of_the_rank_with_most(void **state) {
    (void)state;
    static const struct {
        int64_t n_classes;
        int ranks;
        int64_t stripes, of_rank;
    } cases[] = {{1, 1, 1, 1},        {128, 2, 1, 128},         {129, 2, 2, 128},         {2048, 1, 16, 2048},
                 {2048, 2, 16, 1024}, {2048, 3, 16, 768},       {2048, 16, 16, 128},      {2048, 17, 16, 128},
                 {4096, 17, 17, 256}, {1000000, 4, 16, 250368}, {1000000, 16, 16, 62592}, {12800, 100, 100, 128}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lgt_job job = job_of(cases[i].n_classes, 8, 2, cases[i].ranks);
        lgt_cost c = cost_of(&job);
        if (c.n_stripes != cases[i].stripes || c.n_classes != cases[i].of_rank)
            fail_msg("case %zu: %lld stripes, %lld classes", i, (long long)c.n_stripes, (long long)c.n_classes);
        assert_true(c.memory.weights == (double)cases[i].of_rank * 8 * 4);
        assert_true(c.memory.optimizer == 2 * c.memory.weights);
        job.descent = LGT_DESCENT_SGD;
        assert_true(cost_of(&job).memory.optimizer == c.memory.weights);
    }
}

/* All classes have an owner whatever the cut. */
static void ranks_together_hold_all_classes_and_little_more(void **state) {
    (void)state;
    for (int ranks = 1; ranks <= 70; ranks++)
        for (int64_t n = 1; n < 200000; n = 3 * n + 1) {
            lgt_job job = job_of(n, 4, 4, ranks);
            lgt_cost c = cost_of(&job);
            assert_true(c.n_classes * ranks >= n && c.n_classes <= n);
        }
}

static void doubling_classes_doubles_what_is_bound_to_them(void **state) {
    (void)state;
    for (int ranks = 1; ranks <= 64; ranks *= 4) {
        lgt_job job = job_of((int64_t)1 << 24, 512, 256, ranks);
        job.workspace = 1; /* no logit is kept */
        lgt_cost one = cost_of(&job);
        job.n_classes *= 2;
        lgt_cost two = cost_of(&job);
        assert_true(two.memory.weights == 2 * one.memory.weights && two.memory.optimizer == 2 * one.memory.optimizer);
        assert_true(is_near(two.compute, 2 * one.compute));
        assert_true(two.memory_traffic > 1.9 * one.memory_traffic && two.memory_traffic <= 2 * one.memory_traffic);
        assert_true(two.memory.batch == one.memory.batch);
    }
}

static void traffic_is_of_rows_and_never_of_classes(void **state) {
    (void)state;
    static const int ranks[] = {2, 4, 16, 100};
    for (int i = 0; i < 4; i++) {
        lgt_job job = job_of(100000, 512, 1024, ranks[i]);
        lgt_cost few = cost_of(&job);
        job.n_classes = 1000000000000;
        lgt_cost many = cost_of(&job);
        assert_memory_equal(&few.traffic, &many.traffic, sizeof few.traffic);
        assert_true(few.network == many.network);
        /* two vectors and a label, a partial sum and 56 bytes for every stripe, of all rows */
        double stripes = fmax(16, ranks[i]), bound = 1024 * (512 * 4 * (2 + stripes) + 8 + stripes * 56);
        assert_true(few.traffic.total <= bound);
        assert_true(is_near(few.traffic.total * ranks[i], bound * (ranks[i] - 1)));
        job.batch *= 2;
        assert_true(is_near(cost_of(&job).traffic.total, 2 * few.traffic.total));
    }
}

static void one_rank_needs_no_network(void **state) {
    (void)state;
    for (int i = 0; i < N_JOBS; i++) {
        lgt_job job = drawn_job(i);
        job.ranks = 1;
        lgt_cost c = cost_of(&job);
        assert_true(c.traffic.total == 0 && c.network == 0 && c.efficiency == 1 && c.binds != LGT_BOUND_NETWORK);
    }
}

/* Beyond 16 ranks the partial sums of as many stripes grow; what is bound to classes never does. */
static void more_ranks_never_need_more_memory_a_rank(void **state) {
    (void)state;
    for (int i = 0; i < N_JOBS; i++) {
        lgt_job job = drawn_job(i);
        job.ranks = 1;
        lgt_cost before = cost_of(&job);
        for (job.ranks = 2; job.ranks <= 40; job.ranks++) {
            lgt_cost c = cost_of(&job);
            double more = 0;
            assert_true(c.n_classes <= before.n_classes && c.memory.weights <= before.memory.weights);
            if (c.n_stripes > before.n_stripes)
                more = (double)job.batch * (double)((job.arithmetic == LGT_ARITHMETIC_F64 ? 8 : 4) * job.dim + 56);
            more *= (double)(c.n_stripes - before.n_stripes);
            /* what is kept of logits fills what the rest leaves of the workspace */
            if (job.ranks <= 16 && c.memory.total > before.memory.total) fail_msg("job %d: %d ranks", i, job.ranks);
            if (c.memory.total > (before.memory.total + more) * (1 + 1e-12)) fail_msg("job %d: %d ranks", i, job.ranks);
            before = c;
        }
    }
}

static void faster_machines_are_never_slower(void **state) {
    (void)state;
    for (int i = 0; i < N_JOBS; i++) {
        lgt_job job = drawn_job(i);
        lgt_machine machine = machine_of();
        double before = cost_on(&job, &machine).seconds;
        double *rates[] = {&machine.gflops[job.arithmetic],
                           &machine.class_bandwidth[job.arithmetic],
                           &machine.update_bandwidth[LGT_DESCENT_SGD],
                           &machine.update_bandwidth[LGT_DESCENT_ADAMW],
                           &machine.stream_bandwidth,
                           &machine.network_bandwidth};
        for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
            *rates[r] *= 2;
            double after = cost_on(&job, &machine).seconds;
            assert_true(after <= before);
            before = after;
        }
        machine.network_latency /= 2;
        assert_true(cost_on(&job, &machine).seconds <= before);
    }
}

static void more_threads_and_fewer_drawn_classes_are_faster(void **state) {
    (void)state;
    lgt_job job = job_of(1000000, 512, 256, 4);
    double slow = cost_of(&job).seconds;
    job.threads = 8;
    lgt_cost fast = cost_of(&job);
    assert_true(fast.threads == 8 && fast.seconds < slow);
    job.sample_rate = 0.1;
    assert_true(cost_of(&job).seconds < fast.seconds);
}

/* Of classes that are drawn half of the time half rested in the step before. What a stream costs that is all but for
 * partial sums. */
static void what_rested_is_stepped_before_it_is_used(void **state) {
    (void)state;
    lgt_machine machine = machine_of();
    lgt_job job = job_of((int64_t)1 << 30, 256, 16, 1);
    double vector = 256.0 * 4 * (1 << 30), stream[2];
    job.descent = LGT_DESCENT_ADAMW, job.threads = 1;
    for (int i = 0; i < 2; i++) {
        job.sample_rate = i ? 0.5 : 1;
        machine.stream_bandwidth = 10e9;
        stream[i] = cost_on(&job, &machine).memory_traffic;
        machine.stream_bandwidth = 1e30;
        stream[i] -= cost_on(&job, &machine).memory_traffic;
    }
    /* half of W and of two moments, read and written, half of the time; of 2^30 classes the labels are 2^-26 */
    assert_at_most(stream[0], 1e-3 * stream[1], "partial sums");
    assert_at_most(fabs((stream[1] - stream[0]) / (0.25 * 6 * vector / 10e9) - 1), 1e-6, "what rested");
}

/* A step of a large head alone has four products of two operations, over the rate. */
static void compute_is_operations_over_the_rate(void **state) {
    (void)state;
    lgt_machine machine = machine_of();
    lgt_job job = job_of(1 << 22, 256, 512, 2);
    job.threads = 4, job.workspace = 1; /* no logit is kept */
    machine.gflops[LGT_ARITHMETIC_F32] = 100;
    double operations = 8.0 * 512 * 256 * (1 << 21);
    assert_true(is_near(cost_on(&job, &machine).compute, operations / (4 * 100e9)));
    job.workspace = INT64_MAX; /* logits are kept: three products */
    assert_true(is_near(cost_on(&job, &machine).compute, 0.75 * operations / (4 * 100e9)));
    job.workspace = 1, job.descent = LGT_DESCENT_NONE; /* rows of dw have room for the logits of 256 rows, not of 512 */
    assert_true(is_near(cost_on(&job, &machine).compute, operations / (4 * 100e9)));
    job.batch = 256;
    assert_true(is_near(cost_on(&job, &machine).compute, 0.375 * operations / (4 * 100e9)));
    job.dim = 1024, job.batch = 1024; /* four panels, of which dw keeps the first one's */
    assert_true(is_near(cost_on(&job, &machine).compute, (1 - 1.0 / 16) * 8 * operations / (4 * 100e9)));
    job.dim = job.batch = 256, job.descent = LGT_DESCENT_SGD; /* no dw */
    assert_true(is_near(cost_on(&job, &machine).compute, 0.5 * operations / (4 * 100e9)));
}

/* Two bytes a weight and what else a plan needs suffice for one pass in bf16; less does not. */
static void weights_of_two_bytes_spare_products_in_bf16(void **state) {
    (void)state;
    lgt_machine machine = machine_of();
    lgt_job job = job_of(1 << 22, 256, 512, 1);
    job.threads = 1, job.sample_rate = 1, job.workspace = 1;
    machine.gflops[LGT_ARITHMETIC_BF16] = machine.gflops[LGT_ARITHMETIC_F32] = 100;
    double product = 2.0 * 512 * 256 * (1 << 22) / 100e9, notes = 20.0 * (1 << 22);
    int64_t needed = (int64_t)(cost_on(&job, &machine).memory.workspace - notes), weights = 2LL * 512 << 22;
    for (int is_bf16 = 0; is_bf16 < 2; is_bf16++) {
        job.arithmetic = is_bf16 ? LGT_ARITHMETIC_BF16 : LGT_ARITHMETIC_F32;
        job.workspace = needed + weights;
        assert_true(is_near(cost_on(&job, &machine).compute, (is_bf16 ? 3 : 3.5) * product));
        job.workspace -= 8;
        assert_true(cost_on(&job, &machine).compute > 3.49 * product);
    }
}

/* W that is not stepped meanwhile needs no copies of the targets' rows. */
static void copies_of_targets_are_of_steps_alone(void **state) {
    (void)state;
    lgt_machine machine = machine_of();
    lgt_job job = job_of(1 << 22, 256, 512, 1);
    job.workspace = 1;
    double step = cost_on(&job, &machine).memory.workspace - 20.0 * (1 << 22);
    job.descent = LGT_DESCENT_NONE;
    assert_true(step - cost_on(&job, &machine).memory.workspace == 512 * 256 * 4);
}

static void encoders_have_the_parameters_that_they_have(void **state) {
    (void)state;
    static const char *const specs[] = {"none", "linear", "mlp:7", "mlp:5,9", "mlp:512,512,3"};
    for (int i = 0; i < 5; i++) {
        lgt_job job = job_of(10, 16, 4, 2);
        lgt_error err;
        lgt_encoder *encoder = NULL;
        assert_ok(lgt_job_set_encoder(&job, specs[i], i ? 20 : 16, &err), err);
        assert_ok(lgt_encoder_create(context, specs[i], i ? 20 : 16, 16, 0, &encoder, &err), err);
        int64_t outputs = 0;
        for (int l = 0; l < lgt_encoder_n_layers(encoder); l++) {
            lgt_mut weight, bias;
            lgt_encoder_layer(encoder, l, &weight, &bias);
            outputs += bias.cols;
        }
        assert_int_equal(job.encoder_params, lgt_encoder_n_params(encoder));
        assert_int_equal(job.encoder_outputs, outputs);
        assert_true((cost_of(&job).traffic.encoder > 0) == (i > 0));
        lgt_encoder_free(encoder);
    }
}

static void encoders_that_are_none_are_refused(void **state) {
    (void)state;
    static const char *const specs[] = {
        "",       "mlp",   "mlp:",   "mlp:0",  "mlp:5,",
        "mlp:,5", "mlp:x", "mlp:-3", "Linear", "mlp:2147483647,2147483647,2147483647,2147483647"};
    lgt_job job = job_of(10, INT32_MAX, 4, 1);
    lgt_error err;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        assert_fails(lgt_job_set_encoder(&job, specs[i], 784, &err), LGT_ERR_USAGE, err, "encoder");
    assert_fails(lgt_job_set_encoder(&job, "linear", 0, &err), LGT_ERR_USAGE, err, "0 inputs");
}

/* --- Suggestions --- */

static lgt_rank_layout layout_on(const lgt_job *job, const lgt_machine *machine) {
    lgt_rank_layout layout;
    lgt_error err;
    assert_ok(lgt_rank_layout_suggest(job, machine, &layout, &err), err);
    return layout;
}

static void a_suggestion_fits_and_no_other_number_of_ranks_is_clearly_faster(void **state) {
    (void)state;
    for (int i = 0; i < N_JOBS; i++) {
        lgt_job job = drawn_job(i);
        lgt_machine machine = machine_of();
        lgt_rank_layout layout = layout_on(&job, &machine);
        int most = job.ranks, some = 0;
        job.sample_rate = layout.sample_rate;
        for (job.ranks = 1; job.ranks <= most; job.ranks++) {
            lgt_cost c = cost_on(&job, &machine);
            some |= c.fits;
            if (c.fits && layout.cost.seconds > 1.01 * c.seconds) fail_msg("job %d: %d ranks are faster", i, job.ranks);
        }
        assert_true(layout.fits == some && layout.fits == layout.cost.fits && layout.ranks <= most);
        assert_true(layout.threads == layout.cost.threads && layout.exact >= layout.cost.seconds);
        if (layout.fits) assert_true(layout.needed >= 1 && layout.needed <= layout.ranks);
    }
}

static void what_does_not_fit_says_how_many_ranks_would(void **state) {
    (void)state;
    lgt_machine machine = machine_of();
    lgt_job job = job_of(100000000, 512, 256, 8); /* 614 GB of weights and moments */
    machine.memory = 16e9;
    lgt_rank_layout layout = layout_on(&job, &machine);
    assert_true(!layout.fits && layout.ranks == 8 && layout.needed > 38 && layout.needed < 45);
    job.ranks = (int)layout.needed;
    assert_true(layout_on(&job, &machine).fits);
    job.ranks--;
    assert_false(cost_on(&job, &machine).fits);
    machine.memory = 1e6; /* less than a batch */
    layout = layout_on(&job, &machine);
    assert_true(!layout.fits && layout.needed == 0);
    machine.memory = 0; /* not known */
    assert_true(layout_on(&job, &machine).fits);
}

static void a_slow_network_is_left_alone(void **state) {
    (void)state;
    lgt_machine machine = machine_of();
    lgt_job job = job_of(10000, 512, 256, 16);
    machine.network_bandwidth = 1e4;
    assert_int_equal(layout_on(&job, &machine).ranks, 1);
    machine.network_bandwidth = 1e15, machine.network_latency = 0;
    job.n_classes = 10000000;
    assert_int_equal(layout_on(&job, &machine).ranks, 16);
    job.ranks = 15; /* 16 stripes on 8 to 15 ranks: two on some rank in every case */
    assert_int_equal(layout_on(&job, &machine).ranks, 8);
}

static void a_tenth_is_proposed_only_where_it_pays_and_all_are_wanted(void **state) {
    (void)state;
    lgt_machine machine = machine_of();
    lgt_job job = job_of(1000000, 512, 256, 1);
    lgt_rank_layout layout = layout_on(&job, &machine);
    assert_true(layout.sample_rate == 0.1 && layout.exact > 2 * layout.cost.seconds);
    job.sample_rate = 0.5;
    assert_true(layout_on(&job, &machine).sample_rate == 0.5);
    job.sample_rate = 1, job.n_classes = 100; /* nearly all of them are labels */
    layout = layout_on(&job, &machine);
    assert_true(layout.sample_rate == 1 && layout.exact == layout.cost.seconds);
}

/* --- Nonsense --- */

static void nonsense_is_refused_by_name(void **state) {
    (void)state;
    lgt_machine m = machine_of();
    lgt_job j = job_of(1000, 64, 32, 2);
    lgt_cost out;
    lgt_rank_layout layout;
    lgt_error err;
#define REFUSES(change, undo, part)                                                                                    \
    do {                                                                                                               \
        change;                                                                                                        \
        assert_fails(lgt_cost_of(&j, &m, &out, &err), LGT_ERR_USAGE, err, part);                                       \
        assert_fails(lgt_rank_layout_suggest(&j, &m, &layout, &err), LGT_ERR_USAGE, err, part);                        \
        undo;                                                                                                          \
    } while (0)
    REFUSES(j.struct_size = 1, j.struct_size = sizeof j, "struct_size 1");
    REFUSES(j.n_classes = 0, j.n_classes = 1000, "n_classes is 0");
    REFUSES(j.n_classes = INT64_MAX, j.n_classes = 1000, "n_classes");
    REFUSES(j.dim = 0, j.dim = 64, "dim is 0");
    REFUSES(j.batch = -1, j.batch = 32, "batch is -1");
    REFUSES(j.ranks = 0, j.ranks = 2, "ranks is 0");
    REFUSES(j.ranks = 65537, j.ranks = 2, "ranks is 65537");
    REFUSES(j.threads = -1, j.threads = 0, "threads is -1");
    REFUSES(j.workspace = -1, j.workspace = 0, "workspace is -1");
    REFUSES(j.encoder_params = -1, j.encoder_params = 0, "encoder_params is -1");
    REFUSES(j.sample_rate = 0, j.sample_rate = 1, "sample_rate is 0");
    REFUSES(j.sample_rate = NAN, j.sample_rate = 1, "sample_rate is");
    REFUSES(j.arithmetic = (lgt_arithmetic)4, j.arithmetic = LGT_ARITHMETIC_F32, "arithmetic 4");
    REFUSES(j.descent = (lgt_descent_kind)-1, j.descent = LGT_DESCENT_SGD, "descent -1");
    REFUSES(m.struct_size = 1, m.struct_size = sizeof m, "struct_size 1");
    REFUSES(m.threads = 0, m.threads = 2, "0 threads");
    REFUSES(m.memory = -1, m.memory = 1e9, "-1 bytes");
    REFUSES(m.memory = NAN, m.memory = 1e9, "bytes");
    REFUSES(m.gflops[3] = 0, m.gflops[3] = 1, "gflops is 0");
    REFUSES(m.class_bandwidth[0] = INFINITY, m.class_bandwidth[0] = 1, "class_bandwidth is inf");
    REFUSES(m.update_bandwidth[1] = NAN, m.update_bandwidth[1] = 1, "update_bandwidth is");
    REFUSES(m.stream_bandwidth = -1, m.stream_bandwidth = 1, "stream_bandwidth is -1");
    REFUSES(m.network_bandwidth = 0, m.network_bandwidth = 1, "network_bandwidth is 0");
    REFUSES(m.network_latency = -1, m.network_latency = 0, "-1 s a message");
#undef REFUSES
    assert_ok(lgt_cost_of(&j, &m, &out, &err), err);
}

static void the_largest_that_are_allowed_overflow_nothing(void **state) {
    (void)state;
    lgt_job job = job_of((int64_t)1 << 53, INT32_MAX, (int64_t)1 << 40, 65536);
    job.arithmetic = LGT_ARITHMETIC_F64;
    job.encoder_params = job.encoder_outputs = INT64_MAX;
    lgt_cost c = cost_of(&job);
    assert_true(isfinite(c.memory.total) && isfinite(c.seconds) && isfinite(c.traffic.total) && !c.fits);
    assert_true(c.efficiency > 0 && c.steps_per_second > 0 && c.n_classes == (int64_t)1 << 37);
}

static void bounds_have_names(void **state) {
    (void)state;
    assert_string_equal(lgt_bound_name(LGT_BOUND_COMPUTE), "compute");
    assert_string_equal(lgt_bound_name(LGT_BOUND_MEMORY), "memory");
    assert_string_equal(lgt_bound_name(LGT_BOUND_NETWORK), "network");
    assert_string_equal(lgt_bound_name((lgt_bound)3), "unknown");
}

/* --- Calibration --- */

static lgt_bench_machine_options small_options(void) {
    lgt_bench_machine_options o;
    lgt_bench_machine_options_init(&o);
    o.dim = 9, o.n_classes = 33, o.few_rows = 2, o.many_rows = 8, o.stream_bytes = 100, o.repeat = 1;
    return o;
}

static void a_calibration_gives_a_machine_to_plan_with(void **state) {
    (void)state;
    lgt_bench_machine_options o = small_options();
    lgt_machine machine;
    lgt_job job = job_of(1000, 64, 32, 2);
    lgt_error err;
    assert_ok(lgt_bench_machine_run(context, &o, &machine, &err), err);
    assert_int_equal(machine.threads, 2);
    for (int a = 0; a < LGT_N_ARITHMETICS; a++) {
        job.arithmetic = (lgt_arithmetic)a;
        assert_true(cost_on(&job, &machine).seconds > 0);
    }
}

static void wrong_calibrations_are_refused(void **state) {
    (void)state;
    lgt_bench_machine_options o = small_options();
    lgt_machine machine;
    lgt_error err;
    o.struct_size = 1;
    assert_fails(lgt_bench_machine_run(context, &o, &machine, &err), LGT_ERR_USAGE, err, "struct_size 1");
    o = small_options(), o.few_rows = 8;
    assert_fails(lgt_bench_machine_run(context, &o, &machine, &err), LGT_ERR_USAGE, err, "few_rows is 8");
    o = small_options(), o.stream_bytes = 63;
    assert_fails(lgt_bench_machine_run(context, &o, &machine, &err), LGT_ERR_USAGE, err, "stream_bytes is 63");
    o = small_options(), o.repeat = 0;
    assert_fails(lgt_bench_machine_run(context, &o, &machine, &err), LGT_ERR_USAGE, err, "repeat is 0");
}

static void refused_memory_of_a_calibration_leaks_nothing(void **state) {
    (void)state;
    lgt_bench_machine_options o = small_options();
    lgt_machine machine;
    lgt_error err;
    lgt_status status = LGT_ERR_MEMORY;
    for (int64_t n = 1; status; n += 1 + n / 8) {
        lgt_context *poor = test_context_failing(n);
        status = lgt_bench_machine_run(poor, &o, &machine, &err);
        if (status) assert_int_equal(status, LGT_ERR_MEMORY);
        lgt_context_free(poor);
        assert_int_equal(test_live_blocks(), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_traffic_and_time_are_the_sums_of_their_parts),
        cmocka_unit_test(efficiency_is_what_one_rank_would_take_over_what_all_take),
        cmocka_unit_test(weights_are_those_of_the_rank_with_most),
        cmocka_unit_test(ranks_together_hold_all_classes_and_little_more),
        cmocka_unit_test(doubling_classes_doubles_what_is_bound_to_them),
        cmocka_unit_test(traffic_is_of_rows_and_never_of_classes),
        cmocka_unit_test(one_rank_needs_no_network),
        cmocka_unit_test(more_ranks_never_need_more_memory_a_rank),
        cmocka_unit_test(faster_machines_are_never_slower),
        cmocka_unit_test(more_threads_and_fewer_drawn_classes_are_faster),
        cmocka_unit_test(what_rested_is_stepped_before_it_is_used),
        cmocka_unit_test(compute_is_operations_over_the_rate),
        cmocka_unit_test(weights_of_two_bytes_spare_products_in_bf16),
        cmocka_unit_test(copies_of_targets_are_of_steps_alone),
        cmocka_unit_test(encoders_have_the_parameters_that_they_have),
        cmocka_unit_test(encoders_that_are_none_are_refused),
        cmocka_unit_test(a_suggestion_fits_and_no_other_number_of_ranks_is_clearly_faster),
        cmocka_unit_test(what_does_not_fit_says_how_many_ranks_would),
        cmocka_unit_test(a_slow_network_is_left_alone),
        cmocka_unit_test(a_tenth_is_proposed_only_where_it_pays_and_all_are_wanted),
        cmocka_unit_test(nonsense_is_refused_by_name),
        cmocka_unit_test(the_largest_that_are_allowed_overflow_nothing),
        cmocka_unit_test(bounds_have_names),
        cmocka_unit_test(a_calibration_gives_a_machine_to_plan_with),
        cmocka_unit_test(wrong_calibrations_are_refused),
        cmocka_unit_test(refused_memory_of_a_calibration_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
