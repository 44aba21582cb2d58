/* Listed classes and sinks of gradient rows: a run over a list is a run over those rows of w alone, and a sink gets
 * what dw would hold, at a time when w may change. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "heads.h"
#include "logitude/train.h"

enum { N = 70, D = 24, C = 333, EVERY = 3, LISTED = C / EVERY };

typedef struct run {
    float dx[N * D], dw[C * 3 * D], db[C];
    int64_t top1[N];
    lgt_head_outputs out;
} run;

/* One head with everything in float32. */
typedef struct fixture {
    test_head head;
    float x[N * D], w[C * 3 * D], b[C];
    int64_t labels[N], classes[LISTED];
    double offsets[LISTED];
} fixture;

static void fill(fixture *f, const char *spec) {
    f->head = test_head_random(spec, N, D, C, 7);
    for (int64_t k = 0; k < N * D; k++) f->x[k] = (float)f->head.x[k];
    for (int64_t k = 0; k < f->head.w_rows * D; k++) f->w[k] = (float)f->head.w[k];
    for (int64_t j = 0; j < C; j++) f->b[j] = f->head.bias ? (float)f->head.b[j] : 0;
    for (int64_t k = 0; k < LISTED; k++) {
        f->classes[k] = k * EVERY;
        f->offsets[k] = k % 2 ? log(4) : 0;
    }
    for (int64_t i = 0; i < N; i++) f->labels[i] = f->classes[i * 2 % (LISTED - 1)]; /* an even place: offset 0 */
}

static lgt_head_inputs inputs_of(const fixture *f) {
    lgt_head_inputs in = {.x = lgt_view_of(f->x, N, D, LGT_F32), .labels = f->labels, .step = 5};
    in.w = lgt_view_of(f->w, f->head.w_rows, D, LGT_F32);
    if (f->head.bias) in.b = lgt_view_of(f->b, 1, C, LGT_F32);
    in.class_margins = f->head.class_margins, in.class_scales = f->head.class_scales;
    return in;
}

static void ignore(void *user, int64_t row, const void *gradient) {
    (void)user, (void)row, (void)gradient;
}

/* Twice with one plan: nothing of the first run may be left in the second. */
static void run_head(const fixture *f, int64_t n_classes, lgt_head_inputs in, const lgt_plan_options *options,
                     int threads, run *r) {
    lgt_context *context = test_context(threads);
    lgt_error err;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    int64_t rows = (in.classes ? in.n_listed : n_classes) * (f->head.w_rows / C);
    assert_ok(lgt_head_create(context, &f->head.loss, D, n_classes, &head, &err), err);
    assert_ok(lgt_plan_create(head, options, &plan, &err), err);
    r->out.dx = lgt_mut_of(r->dx, N, D, LGT_F32);
    if (!r->out.sink.take) r->out.dw = lgt_mut_of(r->dw, rows, D, LGT_F32);
    if (in.b.data) r->out.db = lgt_mut_of(r->db, 1, in.classes ? in.n_listed : n_classes, LGT_F32);
    r->out.top1 = r->top1;
    lgt_row_sink sink = r->out.sink;
    if (sink.take) r->out.sink.take = ignore;
    assert_ok(lgt_plan_run(plan, &in, &r->out, &err), err);
    r->out.sink = sink;
    assert_ok(lgt_plan_run(plan, &in, &r->out, &err), err);
    lgt_plan_free(plan);
    lgt_head_free(head);
    lgt_context_free(context);
}

static lgt_plan_options plain_options(void) {
    lgt_plan_options o;
    lgt_plan_options_init(&o);
    o.max_rows = N;
    return o;
}

static const char *const specs[] = {"softmax",    "arcface:s=16,m=0.3", "lsoftmax:m=3",      "curricularface:s=16",
                                    "normalized", "adaface:s=16",       "subcenter:s=16,k=3"};

/* The listed rows as a problem of their own. */
static void run_gathered(const fixture *f, run *r) {
    static float w[C * 3 * D], b[C];
    static int64_t labels[N];
    static double margins[LISTED], scales[LISTED];
    lgt_head_inputs in = inputs_of(f);
    int64_t size = f->head.w_rows / C * D;
    for (int64_t k = 0; k < LISTED; k++) {
        memcpy(w + k * size, f->w + f->classes[k] * size, (size_t)size * sizeof *w);
        b[k] = f->b[f->classes[k]];
        if (in.class_margins) margins[k] = in.class_margins[f->classes[k]];
        if (in.class_scales) scales[k] = in.class_scales[f->classes[k]];
    }
    if (in.class_margins) in.class_margins = margins;
    if (in.class_scales) in.class_scales = scales;
    for (int64_t i = 0; i < N; i++) labels[i] = f->labels[i] / EVERY;
    in.w = lgt_view_of(w, LISTED * f->head.w_rows / C, D, LGT_F32);
    if (f->head.bias) in.b = lgt_view_of(b, 1, LISTED, LGT_F32);
    in.labels = labels;
    lgt_plan_options o = plain_options();
    run_head(f, LISTED, in, &o, 1, r);
}

/* Classes of a list lie in the stripes of all classes, so that sums are of other parts: a few roundings of float. */
static void assert_near(const float *found, const float *expected, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(expected[i]));
    for (size_t i = 0; i < n; i++) assert_true(fabsf(found[i] - expected[i]) <= 4e-6f * most);
}

static void a_run_over_a_list_is_one_over_those_rows_alone(void **state) {
    static fixture f;
    static run listed, gathered;
    (void)state;
    for (size_t s = 0; s < 2 * sizeof specs / sizeof *specs; s++) {
        fill(&f, specs[s / 2]);
        if (s % 2 && test_head_has(&f.head, LGT_ROLE_MARGIN)) test_head_margins(&f.head, s);
        if (s % 2 && test_head_has(&f.head, LGT_ROLE_SCALE)) test_head_scales(&f.head, s);
        memset(&listed, 0, sizeof listed), memset(&gathered, 0, sizeof gathered);
        lgt_head_inputs in = inputs_of(&f);
        lgt_plan_options o = plain_options();
        o.max_classes = LISTED;
        o.workspace = s % 2; /* with and without kept logits */
        in.classes = f.classes, in.n_listed = LISTED;
        run_head(&f, C, in, &o, 2, &listed);
        run_gathered(&f, &gathered);
        assert_near(listed.dx, gathered.dx, sizeof listed.dx / sizeof *listed.dx);
        assert_near(listed.dw, gathered.dw, sizeof listed.dw / sizeof *listed.dw);
        assert_near(listed.db, gathered.db, sizeof listed.db / sizeof *listed.db);
        assert_true(fabs(listed.out.loss - gathered.out.loss) <= 1e-6 * fabs(gathered.out.loss));
        for (int64_t i = 0; i < N; i++) assert_int_equal(listed.top1[i], gathered.top1[i] * EVERY);
        test_head_free(&f.head);
    }
}

enum { MANY = 200, WIDE = 16, BETWEEN = 300, NARROW = 20 };

/* The list of a run may lie in one tile of one stripe, of the several that the list before filled. */
static void a_narrow_list_may_follow_a_wide_one(void **state) {
    static float x[MANY * WIDE], w[BETWEEN * WIDE], dx[2][MANY * WIDE], dw[2][(NARROW + 1) * WIDE];
    int64_t labels[MANY], wide[NARROW + 1];
    (void)state;
    test_normal_f32(x, MANY * WIDE, 1, 41);
    test_normal_f32(w, BETWEEN * WIDE, 1, 42);
    for (int64_t i = 0; i < MANY; i++) labels[i] = i % NARROW;
    for (int64_t k = 0; k < NARROW; k++) wide[k] = k;
    wide[NARROW] = BETWEEN - 1;
    for (int threads = 1; threads <= 3; threads++) {
        lgt_context *context = test_context(threads);
        lgt_error err;
        lgt_loss loss;
        lgt_head *head = NULL;
        lgt_plan *plan = NULL;
        lgt_plan_options o;
        lgt_plan_options_init(&o);
        o.max_rows = MANY, o.max_classes = NARROW + 1;
        assert_ok(lgt_loss_parse("arcface:s=16", &loss, &err), err);
        assert_ok(lgt_head_create(context, &loss, WIDE, BETWEEN, &head, &err), err);
        assert_ok(lgt_plan_create(head, &o, &plan, &err), err);
        /* The wide list, then the narrow one twice: the second time nothing of the wide one is left. */
        for (int turn = -1; turn < 2; turn++) {
            int64_t n = turn < 0 ? NARROW + 1 : NARROW, at = turn < 0 ? 0 : turn;
            lgt_head_inputs in = {.x = lgt_view_of(x, MANY, WIDE, LGT_F32),
                                  .w = lgt_view_of(w, BETWEEN, WIDE, LGT_F32),
                                  .labels = labels,
                                  .classes = wide,
                                  .n_listed = n};
            lgt_head_outputs out = {.dx = lgt_mut_of(dx[at], MANY, WIDE, LGT_F32),
                                    .dw = lgt_mut_of(dw[at], n, WIDE, LGT_F32)};
            assert_ok(lgt_plan_run(plan, &in, &out, &err), err);
        }
        assert_memory_equal(dx[0], dx[1], sizeof dx[0]);
        assert_memory_equal(dw[0], dw[1], NARROW * WIDE * sizeof(float));
        lgt_plan_free(plan);
        lgt_head_free(head);
        lgt_context_free(context);
    }
}

/* Softmax has a bias, so offsets can be told from it: they are one. */
static void offsets_are_added_to_the_listed_logits(void **state) {
    static fixture f;
    static run offset, biased;
    (void)state;
    fill(&f, "softmax");
    memset(&offset, 0, sizeof offset), memset(&biased, 0, sizeof biased);
    lgt_plan_options o = plain_options();
    o.max_classes = C; /* more than the run lists */
    lgt_head_inputs in = inputs_of(&f);
    in.classes = f.classes, in.n_listed = LISTED, in.offsets = f.offsets;
    run_head(&f, C, in, &o, 1, &offset);
    for (int64_t k = 0; k < LISTED; k++) f.b[f.classes[k]] += (float)f.offsets[k];
    run_gathered(&f, &biased);
    assert_true(fabs(offset.out.loss - biased.out.loss) < 1e-6); /* cut into other tiles: rounding */
    for (int64_t k = 0; k < LISTED * D; k++) assert_true(fabsf(offset.dw[k] - biased.dw[k]) < 1e-6f);
    for (int64_t k = 0; k < N * D; k++) assert_true(fabsf(offset.dx[k] - biased.dx[k]) < 1e-6f);
    test_head_free(&f.head);
}

/* Scales by class take another way to the predictions. */
static void offsets_count_in_predictions_of_either_way(void **state) {
    static fixture f;
    static run plain, scaled, without;
    double scales[C];
    (void)state;
    fill(&f, "normalized:s=4");
    memset(&plain, 0, sizeof plain), memset(&scaled, 0, sizeof scaled), memset(&without, 0, sizeof without);
    for (int64_t j = 0; j < C; j++) scales[j] = 4;
    lgt_plan_options o = plain_options();
    o.max_classes = LISTED;
    lgt_head_inputs in = inputs_of(&f);
    in.classes = f.classes, in.n_listed = LISTED;
    run_head(&f, C, in, &o, 1, &without);
    in.offsets = f.offsets;
    run_head(&f, C, in, &o, 1, &plain);
    in.class_scales = scales;
    run_head(&f, C, in, &o, 1, &scaled);
    assert_memory_equal(plain.top1, scaled.top1, sizeof plain.top1);
    assert_memory_not_equal(plain.top1, without.top1, sizeof plain.top1);
    test_head_free(&f.head);
}

/* A sink that stores the row and spoils w at once. */
typedef struct spoiler {
    float *w, *dw;
    int taken[C * 3];
} spoiler;

static void take(void *user, int64_t row, const void *gradient) {
    spoiler *s = user;
    s->taken[row]++;
    memcpy(s->dw + row * D, gradient, D * sizeof *s->dw);
    for (int64_t k = 0; k < D; k++) s->w[row * D + k] = NAN;
}

static void a_sink_gets_what_dw_would_hold_and_may_change_w(void **state) {
    static fixture f, spoilt;
    static run plain, sunk;
    static spoiler s;
    (void)state;
    for (int threads = 1; threads <= 3; threads += 2)
        for (size_t at = 0; at < (LGT_PRECISION_BF16 + 1) * sizeof specs / sizeof *specs; at++) {
            fill(&f, specs[at / (LGT_PRECISION_BF16 + 1)]);
            spoilt = f;
            memset(&plain, 0, sizeof plain), memset(&sunk, 0, sizeof sunk), memset(&s, 0, sizeof s);
            lgt_plan_options o = plain_options();
            o.precision = (lgt_precision)(at % (LGT_PRECISION_BF16 + 1));
            if (o.precision == LGT_PRECISION_BF16) o.workspace = threads == 1; /* with and without kept weights */
            run_head(&f, C, inputs_of(&f), &o, 1, &plain);
            o.sinks = 1, o.workspace = threads == 1; /* with and without kept logits */
            s.w = spoilt.w, s.dw = sunk.dw;
            sunk.out.sink = (lgt_row_sink){take, &s};
            run_head(&spoilt, C, inputs_of(&spoilt), &o, threads, &sunk);
            assert_memory_equal(plain.dx, sunk.dx, sizeof plain.dx);
            assert_memory_equal(plain.dw, sunk.dw, sizeof plain.dw);
            assert_true(plain.out.loss == sunk.out.loss);
            for (int64_t row = 0; row < f.head.w_rows; row++) assert_int_equal(s.taken[row], 1);
            test_head_free(&f.head);
        }
}

static void a_sink_of_a_list_gets_the_rows_of_its_classes(void **state) {
    static fixture f;
    static run plain, sunk;
    static spoiler s;
    static float copy[C * 3 * D];
    (void)state;
    for (size_t at = 0; at < sizeof specs / sizeof *specs; at++) {
        fill(&f, specs[at]);
        memset(&plain, 0, sizeof plain), memset(&sunk, 0, sizeof sunk), memset(&s, 0, sizeof s);
        int64_t centres = f.head.w_rows / C;
        lgt_plan_options o = plain_options();
        o.max_classes = C, o.sinks = 1;
        lgt_head_inputs in = inputs_of(&f);
        in.classes = f.classes, in.n_listed = LISTED;
        run_head(&f, C, in, &o, 2, &plain);
        memcpy(copy, f.w, sizeof copy);
        in.w.data = s.w = copy, s.dw = sunk.dw;
        sunk.out.sink = (lgt_row_sink){take, &s};
        run_head(&f, C, in, &o, 2, &sunk);
        assert_memory_equal(plain.dx, sunk.dx, sizeof plain.dx);
        for (int64_t row = 0; row < f.head.w_rows; row++) assert_int_equal(s.taken[row], row / centres % EVERY == 0);
        for (int64_t k = 0; k < LISTED; k++)
            assert_memory_equal(plain.dw + k * centres * D, sunk.dw + f.classes[k] * centres * D,
                                (size_t)(centres * D) * sizeof(float));
        test_head_free(&f.head);
    }
}

static void refused(const fixture *f, lgt_plan_options *o, lgt_head_inputs *in, lgt_head_outputs *out,
                    lgt_status status, const char *message) {
    lgt_context *context = test_context(1);
    lgt_error err;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    assert_ok(lgt_head_create(context, &f->head.loss, D, C, &head, &err), err);
    lgt_status found = lgt_plan_create(head, o, &plan, &err);
    if (!found) found = lgt_plan_run(plan, in, out, &err);
    assert_fails(found, status, err, message);
    lgt_plan_free(plan);
    lgt_head_free(head);
    lgt_context_free(context);
}

static void what_makes_no_sense_is_refused(void **state) {
    static fixture f;
    static run r;
    (void)state;
    fill(&f, "softmax");
    lgt_plan_options o = plain_options();
    lgt_head_inputs in = inputs_of(&f), listed = in;
    lgt_head_outputs out = {.dx = lgt_mut_of(r.dx, N, D, LGT_F32)}, sunk = {.sink = {take, NULL}};
    listed.classes = f.classes, listed.n_listed = LISTED;
    refused(&f, &o, &listed, &out, LGT_ERR_USAGE, "111 classes are listed, the plan's max_classes is 0");
    refused(&f, &o, &in, &sunk, LGT_ERR_USAGE, "a sink needs a plan made with `sinks`, and neither dw nor accumulate");
    o.max_classes = LISTED;
    refused(&f, &o, &in, &out, LGT_ERR_USAGE, "no classes are listed, but the plan has room for 111 of 333 only");
    f.classes[4] = f.classes[3];
    refused(&f, &o, &listed, &out, LGT_ERR_DATA, "classes: entry 4 is 9, expected rising classes from 0 to 332");
    f.classes[4] = 5;
    refused(&f, &o, &listed, &out, LGT_ERR_DATA, "classes: entry 4 is 5, expected rising classes from 0 to 332");
    f.classes[4] = 12, f.classes[LISTED - 1] = C;
    refused(&f, &o, &listed, &out, LGT_ERR_DATA, "classes: entry 110 is 333, expected rising classes from 0 to 332");
    f.classes[LISTED - 1] = C - EVERY, f.classes[0] = -1;
    refused(&f, &o, &listed, &out, LGT_ERR_DATA, "classes: entry 0 is -1, expected rising classes from 0 to 332");
    f.classes[0] = 0;
    listed.n_listed = 0;
    refused(&f, &o, &listed, &out, LGT_ERR_USAGE, "0 classes are listed, the plan's max_classes is 111");
    listed.n_listed = LISTED;
    f.labels[2] = 13;
    refused(&f, &o, &listed, &out, LGT_ERR_DATA, "labels: row 2 is 13, which is not among the 111 listed classes");
    f.labels[2] = 12;
    f.offsets[1] = NAN;
    listed.offsets = f.offsets;
    refused(&f, &o, &listed, &out, LGT_ERR_DATA, "offsets holds nan at 1; expected finite numbers");
    f.offsets[1] = -1e39;
    refused(&f, &o, &listed, &out, LGT_ERR_DATA, "offsets holds -1e+39 at 1, which exceeds the range of f32");
    o.max_classes = C;
    in.offsets = f.offsets;
    refused(&f, &o, &in, &out, LGT_ERR_USAGE, "offsets are given, but no classes");
    o.engine = LGT_ENGINE_REFERENCE;
    refused(&f, &o, &listed, &out, LGT_ERR_UNSUPPORTED,
            "the reference engine has neither low precision nor listed classes, sinks or ranks");
    o = plain_options();
    o.precision = LGT_PRECISION_BF16, o.dtype = LGT_F64;
    refused(&f, &o, &in, &out, LGT_ERR_UNSUPPORTED, "low precision is for first-order plans in f32");
    test_head_free(&f.head);
}

/* A step of numbers that no step has, or that is not of the run's w; `other` is another w. */
static void refuse_steps(lgt_plan *plan, const lgt_head_inputs *in, lgt_row_step good, lgt_head_outputs *out,
                         float *other, lgt_mut dw) {
    static const double odd[] = {NAN, -1, INFINITY};
    lgt_row_step bad[20];
    const char *parts[20];
    int n = 0;
    lgt_error err;
    for (int k = 0; k < 3; k++) {
        bad[n] = good, bad[n].lr = odd[k], parts[n++] = "expected 0 to 1e+06";
        bad[n] = good, bad[n].weight_decay = odd[k], parts[n++] = "expected 0 to 1e+06";
        bad[n] = good, bad[n].momentum = bad[n].beta2 = odd[k], parts[n++] = "less than 1";
    }
    bad[n] = good, bad[n].lr = 1e39, parts[n++] = "lr is 1e+39 and weight_decay 0.01, expected 0 to 1e+06";
    if (good.optimizer == LGT_OPTIMIZER_ADAMW) { /* in float these would be 0 and infinite */
        bad[n] = good, bad[n].eps = 1e-44, parts[n++] = "eps is 1e-44, expected 1e-30 to 1e+06";
        bad[n] = good, bad[n].eps = 1e40, parts[n++] = "eps is 1e+40, expected 1e-30 to 1e+06";
    }
    bad[n] = good, bad[n].number = 0, parts[n++] = "the step has the number 0, expected 1 or more";
    bad[n] = good, bad[n].first = NULL,
    parts[n++] = "the optimizer's memory is NULL, expected room for as many numbers as w";
    bad[n] = good, bad[n].w = other, parts[n++] = "the w to step is not the contiguous w that the run reads";
    bad[n] = good, bad[n].optimizer = LGT_OPTIMIZER_LBFGS,
    parts[n++] = "the optimizer has the number 2, expected SGD or ADAMW";
    for (int k = 0; k < n; k++) assert_fails(lgt_plan_step(plan, in, &bad[k], out, &err), LGT_ERR_USAGE, err, parts[k]);
    out->dw = dw;
    assert_fails(lgt_plan_step(plan, in, &good, out, &err), LGT_ERR_USAGE, err,
                 "dw or a sink is given, but the rows of dw go into steps");
}

/* lgt_plan_step is a run and then the optimizer on dw, which PyTorch's formulas give in double. */
static void a_step_of_a_plan_moves_w_as_its_optimizer_says(void **state) {
    static fixture f;
    static float w[C * 3 * D], dw[C * 3 * D], first[C * 3 * D], second[C * 3 * D], dx[N * D], plain_dx[N * D];
    lgt_error err;
    (void)state;
    for (int k = 0; k < 4; k++) {
        int adamw = k % 2, n_listed = k / 2 ? LISTED : 0;
        lgt_context *context = test_context(2);
        lgt_head *head = NULL;
        lgt_plan *plan = NULL;
        fill(&f, "subcenter:s=16,k=3");
        lgt_plan_options o = plain_options();
        o.sinks = 1, o.max_classes = n_listed;
        assert_ok(lgt_head_create(context, &f.head.loss, D, C, &head, &err), err);
        assert_ok(lgt_plan_create(head, &o, &plan, &err), err);
        lgt_head_inputs in = inputs_of(&f);
        if (n_listed) in.classes = f.classes, in.n_listed = n_listed;
        lgt_head_outputs out = {.dx = lgt_mut_of(plain_dx, N, D, LGT_F32)};
        out.dw = lgt_mut_of(dw, n_listed ? 3 * n_listed : 3 * C, D, LGT_F32);
        assert_ok(lgt_plan_run(plan, &in, &out, &err), err);
        memcpy(w, f.w, sizeof w), memset(first, 0, sizeof first), memset(second, 0, sizeof second);
        lgt_row_step step = {.optimizer = adamw ? LGT_OPTIMIZER_ADAMW : LGT_OPTIMIZER_SGD, .lr = 0.1, .number = 1};
        step.weight_decay = 0.01, step.momentum = 0.9, step.beta1 = 0.9, step.beta2 = 0.999, step.eps = 1e-8;
        step.w = w, step.first = first, step.second = adamw ? second : NULL;
        in.w.data = w;
        lgt_head_outputs stepped = {.dx = lgt_mut_of(dx, N, D, LGT_F32)};
        assert_ok(lgt_plan_step(plan, &in, &step, &stepped, &err), err);
        assert_true(stepped.loss == out.loss);
        assert_memory_equal(dx, plain_dx, sizeof dx);
        for (int64_t row = 0; row < 3 * C; row++) {
            int moves = !n_listed || row / 3 % EVERY == 0;
            const float *g = dw + (n_listed ? row / 3 / EVERY * 3 + row % 3 : row) * D;
            for (int64_t d = 0; d < D; d++) {
                double p = f.w[row * D + d];
                if (moves && adamw) p = p * (1 - 0.1 * 0.01) - 0.1 * g[d] / (fabs(g[d]) + 1e-8);
                if (moves && !adamw) p -= 0.1 * (g[d] + 0.01 * p);
                assert_true(fabs(w[row * D + d] - p) <= 1e-5 * (1 + fabs(p))); /* float32 */
            }
        }
        refuse_steps(plan, &in, step, &stepped, f.w, out.dw);
        lgt_plan_free(plan);
        lgt_head_free(head);
        lgt_context_free(context);
        test_head_free(&f.head);
    }
}

/* Thirds of 2.4e19 are below 2^63 = 9.2e18, two thirds are not. */
static void a_step_leaves_rows_whose_gradient_is_out_of_range(void **state) {
    float x[] = {2.4e19f, 0}, w[3 * 2] = {0}, first[3 * 2] = {0};
    int64_t label = 0;
    lgt_context *context = test_context(1);
    lgt_loss loss;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_error err;
    lgt_plan_options o = plain_options();
    lgt_head_inputs in = {.x = lgt_view_of(x, 1, 2, LGT_F32), .w = lgt_view_of(w, 3, 2, LGT_F32), .labels = &label};
    lgt_head_outputs out = {0};
    (void)state;
    o.sinks = 1;
    lgt_row_step step = {.optimizer = LGT_OPTIMIZER_SGD, .lr = 1e-19, .number = 1, .w = w, .first = first};
    assert_ok(lgt_loss_parse("softmax", &loss, &err), err);
    assert_ok(lgt_head_create(context, &loss, 2, 3, &head, &err), err);
    assert_ok(lgt_plan_create(head, &o, &plan, &err), err);
    assert_fails(lgt_plan_step(plan, &in, &step, &out, &err), LGT_ERR_NONFINITE, err,
                 "entries of dw are beyond 2^63: the rows that have them took no step");
    assert_true(w[0] == 0 && first[0] == 0);
    for (int row = 1; row < 3; row++) assert_true(fabs((double)w[row * 2] + 0.8) < 1e-5); /* float32 */
    lgt_plan_free(plan);
    lgt_head_free(head);
    lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_over_a_list_is_one_over_those_rows_alone),
        cmocka_unit_test(a_narrow_list_may_follow_a_wide_one),
        cmocka_unit_test(offsets_are_added_to_the_listed_logits),
        cmocka_unit_test(offsets_count_in_predictions_of_either_way),
        cmocka_unit_test(a_sink_gets_what_dw_would_hold_and_may_change_w),
        cmocka_unit_test(a_sink_of_a_list_gets_the_rows_of_its_classes),
        cmocka_unit_test(a_step_of_a_plan_moves_w_as_its_optimizer_says),
        cmocka_unit_test(a_step_leaves_rows_whose_gradient_is_out_of_range),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
