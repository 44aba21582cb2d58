/* An encoder on several ranks has the bits of one alone: y, hidden outputs, gradients, and parameters after steps in
 * place; what it sends; what becomes of it when a call fails. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/encoder.h"
#include "ranks.h"

enum { IN = 57, OUT = 17, MOST_RANKS = 7, STEPS = 2 };

/* One case, and what rank r found. cmocka's assertions belong to the thread of the test alone, so a rank leaves what it
 * found, and its status, here. */
typedef struct found {
    lgt_status status;
    char message[200];
    int64_t n_params, n_outputs;
    float *y, *hidden, *dparams, *dx, *params;
    double *records; /* two an output: row, rank that made it */
    int64_t taken;   /* rows that the sink was given */
} found;

typedef struct problem {
    const char *spec;
    int64_t n_rows, max_rows;
    int threads, training, wants_dx;
    const float *x, *dy, *dhidden; /* dhidden: (n_rows, widest), of every hidden layer; or NULL */
    int64_t widest;
    found *ranks;
} problem;

static void *new_block(int64_t count, size_t size) {
    void *block = calloc((size_t)(count + 1), size);
    if (!block) abort();
    return block;
}

static int64_t out_of(const char *spec) {
    return strcmp(spec, "none") == 0 ? IN : OUT;
}

/* --- one rank --- */

typedef struct stepper {
    lgt_encoder *encoder;
    double *records;
    int rank;
    _Atomic int64_t taken;
} stepper;

static void step_row(void *user, const lgt_layer *layer, int64_t row, const float *weight, float bias) {
    stepper *s = user;
    float *params = lgt_encoder_params(s->encoder), *w = params + layer->weight + row * layer->in;
    for (int64_t k = 0; k < layer->in; k++) w[k] -= 0.01f * weight[k];
    params[layer->bias + row] -= 0.01f * bias;
    s->records[2 * (layer->before + row)] = (double)row;
    s->records[2 * (layer->before + row) + 1] = (double)s->rank;
    s->taken++;
}

static void count_task(void *argument, int64_t index, int worker) {
    _Atomic int64_t *sum = argument;
    (void)worker;
    *sum += index + 1;
}

/* Hidden outputs of all layers, one after another, without gaps. */
static float *copy_hidden(const lgt_encoder_pass *pass, int n_layers, int64_t n_rows) {
    float *all = NULL;
    int64_t at = 0, total = 0;
    for (int l = 0; l < n_layers - 1; l++) total += n_rows * lgt_encoder_hidden(pass, l).cols;
    all = new_block(total, sizeof *all);
    for (int l = 0; l < n_layers - 1; l++) {
        lgt_view h = lgt_encoder_hidden(pass, l);
        for (int64_t i = 0; i < n_rows; i++, at += h.cols)
            memcpy(all + at, (const float *)h.data + i * h.ld, (size_t)h.cols * sizeof(float));
    }
    return all;
}

static lgt_status take_gradients(const problem *p, lgt_encoder_pass *pass, const lgt_view *dhidden, found *f,
                                 lgt_error *err) {
    lgt_mut dx = lgt_mut_of(p->wants_dx ? f->dx : NULL, p->n_rows, IN, LGT_F32);
    memset(f->dparams, 0xff, (size_t)f->n_params * sizeof *f->dparams); /* NaN: backward must overwrite */
    return lgt_encoder_backward_through(pass, lgt_view_of(p->dy, p->n_rows, out_of(p->spec), LGT_F32), dhidden,
                                        f->dparams, dx, err);
}

static lgt_status take_steps(const problem *p, lgt_encoder *encoder, lgt_encoder_pass *pass, const lgt_view *dhidden,
                             int rank, found *f, lgt_error *err) {
    stepper s = {encoder, f->records, rank, 0};
    _Atomic int64_t sum = 0;
    lgt_more_tasks more = {count_task, &sum, 3};
    lgt_mut y = lgt_mut_of(f->y, p->n_rows, out_of(p->spec), LGT_F32), no_dx = {0};
    lgt_view x = lgt_view_of(p->x, p->n_rows, IN, LGT_F32), dy = lgt_view_of(p->dy, p->n_rows, y.cols, LGT_F32);
    lgt_status status = LGT_OK;
    for (int t = 0; t < STEPS && !status; t++) {
        if (t > 0) status = lgt_encoder_forward(pass, x, y, err);
        if (!status)
            status = lgt_encoder_backward_into(pass, dy, dhidden, (lgt_layer_sink){step_row, &s}, no_dx, &more, err);
        if (!status) status = lgt_encoder_gather(pass, lgt_encoder_params(encoder), err);
    }
    if (!status && sum != STEPS * 6) status = LGT_ERR_USAGE; /* 1 + 2 + 3 a step */
    if (!status) status = lgt_encoder_gather_outputs(pass, f->records, 2 * sizeof *f->records, err);
    f->taken = s.taken;
    return status;
}

static lgt_status run_pass(const problem *p, lgt_encoder *encoder, lgt_encoder_pass *pass, int rank, found *f,
                           lgt_error *err) {
    int n_layers = lgt_encoder_n_layers(encoder);
    lgt_view dhidden[3];
    lgt_mut y = lgt_mut_of(f->y, p->n_rows, out_of(p->spec), LGT_F32);
    lgt_status status = lgt_encoder_forward(pass, lgt_view_of(p->x, p->n_rows, IN, LGT_F32), y, err);
    if (status || !p->training) return status;
    f->hidden = copy_hidden(pass, n_layers, p->n_rows);
    for (int l = 0; l < n_layers - 1; l++)
        dhidden[l] = (lgt_view){p->dhidden, p->n_rows, lgt_encoder_hidden(pass, l).cols, p->widest, LGT_F32};
    status = take_gradients(p, pass, p->dhidden ? dhidden : NULL, f, err);
    return status ? status : take_steps(p, encoder, pass, p->dhidden ? dhidden : NULL, rank, f, err);
}

static void run_rank(void *argument, const lgt_comm *comm) {
    const problem *p = argument;
    found *f = &p->ranks[comm->rank];
    lgt_context *context = test_context(p->threads);
    lgt_encoder *encoder = NULL;
    lgt_encoder_pass *pass = NULL;
    lgt_error err = {LGT_OK, ""};
    f->status = lgt_encoder_create(context, p->spec, IN, out_of(p->spec), 1, &encoder, &err);
    if (!f->status) f->status = lgt_encoder_pass_create(encoder, p->max_rows, p->training, &pass, &err);
    if (!f->status) f->status = lgt_encoder_share(pass, comm, &err);
    if (!f->status) {
        f->n_params = lgt_encoder_n_params(encoder), f->n_outputs = encoder->n_outputs;
        test_normal_f32(lgt_encoder_params(encoder), f->n_params, 11, 3); /* biases are not 0 */
        for (int64_t i = 0; i < f->n_params; i++) lgt_encoder_params(encoder)[i] *= 0.1f;
        f->y = new_block(p->n_rows * out_of(p->spec), sizeof(float));
        f->dx = new_block(p->n_rows * IN, sizeof(float));
        f->dparams = new_block(f->n_params, sizeof(float));
        f->params = new_block(f->n_params, sizeof(float));
        f->records = new_block(2 * f->n_outputs, sizeof(double));
        f->status = run_pass(p, encoder, pass, comm->rank, f, &err);
        memcpy(f->params, lgt_encoder_params(encoder), (size_t)f->n_params * sizeof(float));
    }
    snprintf(f->message, sizeof f->message, "%s", err.message);
    lgt_encoder_pass_free(pass);
    lgt_encoder_free(encoder);
    lgt_context_free(context);
}

/* --- all ranks --- */

static void free_found(found *f) {
    free(f->y);
    free(f->hidden);
    free(f->dparams);
    free(f->dx);
    free(f->params);
    free(f->records);
}

static void fill(problem *p, const char *spec, int64_t n_rows) {
    int64_t n_dhidden = n_rows * p->widest;
    float *x = new_block(n_rows * IN, sizeof *x), *dy = new_block(n_rows * IN, sizeof *dy);
    float *dhidden = new_block(n_dhidden, sizeof *dhidden);
    test_normal_f32(x, n_rows * IN, 11, 1);
    test_normal_f32(dy, n_rows * IN, 11, 2);
    test_normal_f32(dhidden, n_dhidden, 11, 4);
    p->spec = spec, p->n_rows = n_rows;
    p->x = x, p->dy = dy, p->dhidden = dhidden;
}

static void release(problem *p) {
    free((void *)p->x);
    free((void *)p->dy);
    free((void *)p->dhidden);
}

static void run_on(int size, problem *p, found *ranks) {
    memset(ranks, 0, (size_t)size * sizeof *ranks);
    p->ranks = ranks;
    test_on_ranks(size, 60, run_rank, p);
}

static void same_floats(const float *a, const float *b, int64_t count) {
    assert_memory_equal(a, b, (size_t)count * sizeof *a);
}

static void compare(const problem *p, int size, const found *ranks, const found *one) {
    int64_t taken = 0;
    for (int r = 0; r < size; r++) {
        const found *f = &ranks[r];
        if (f->status) fail_msg("%s, %d rows, rank %d of %d: %s", p->spec, (int)p->n_rows, r, size, f->message);
        same_floats(f->y, one->y, p->n_rows * out_of(p->spec));
        same_floats(f->params, one->params, one->n_params);
        if (!p->training) continue;
        same_floats(f->hidden, one->hidden, one->n_outputs > 0 ? p->n_rows * (one->n_outputs - OUT) : 0);
        same_floats(f->dparams, one->dparams, one->n_params);
        if (p->wants_dx) same_floats(f->dx, one->dx, p->n_rows * IN);
        for (int64_t i = 0; i < one->n_outputs; i++) {
            assert_true(f->records[2 * i] == one->records[2 * i]);
            assert_true(f->records[2 * i + 1] == ranks[0].records[2 * i + 1]);
        }
        taken += f->taken;
    }
    assert_int_equal(taken, one->taken);
}

static const char *const specs[] = {"none", "linear", "mlp:1", "mlp:56,57", "mlp:17,130,1"};
static const int sizes[] = {2, 3, 4, 7};

static void any_number_of_ranks_and_threads_has_the_bits_of_one(void **state) {
    static const int64_t rows[] = {0, 1, 2, 5, 31, 32, 33, 130};
    (void)state;
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++)
        for (size_t n = 0; n < sizeof rows / sizeof *rows; n++) {
            problem p = {.max_rows = rows[n] + 3, .threads = 1, .training = 1, .wants_dx = 1, .widest = 130};
            found one[1], ranks[MOST_RANKS];
            fill(&p, specs[s], rows[n]);
            run_on(1, &p, one);
            assert_int_equal(one->status, LGT_OK);
            assert_int_equal(one->taken, STEPS * one->n_outputs);
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                p.threads = 1 + (int)((i + n) % 2); /* one and two with every number of ranks */
                run_on(sizes[i], &p, ranks);
                compare(&p, sizes[i], ranks, one);
                for (int r = 0; r < sizes[i]; r++) free_found(&ranks[r]);
            }
            free_found(one);
            release(&p);
        }
}

static void a_pass_that_does_not_train_has_the_bits_too(void **state) {
    (void)state;
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
        problem p = {.max_rows = 40, .threads = 1, .widest = 130};
        found one[1], ranks[MOST_RANKS];
        fill(&p, specs[s], 37);
        run_on(1, &p, one);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            run_on(sizes[i], &p, ranks);
            compare(&p, sizes[i], ranks, one);
            for (int r = 0; r < sizes[i]; r++) free_found(&ranks[r]);
        }
        free_found(one);
        release(&p);
    }
}

/* --- parts --- */

static void parts_are_contiguous_whole_and_nearly_equal(void **state) {
    static const int64_t counts[] = {0, 1, 2, 5, 7, 100, 1023, ((int64_t)1 << 60) + 5};
    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (int size = 1; size <= 9; size++) {
            int64_t end = 0, least = counts[c] / size;
            for (int r = 0; r < size; r++) {
                lgt_span span = lgt_span_of(counts[c], r, size);
                assert_true(span.begin == end);
                end = span.end;
                assert_in_range(end - span.begin, least, least + (counts[c] % size > 0));
            }
            assert_true(end == counts[c]);
        }
}

/* --- what is sent --- */

static int64_t up(int64_t width) {
    return (width + 31) / 32 * 32;
}

/* Of mlp:56,57 in `run_rank`: 1 + STEPS forwards, as many backwards, one with dx; gathers of dparams and, each step, of
 * parameters; once two doubles an output. */
static int64_t expected_sent(int64_t n_rows, int rank, int size) {
    static const int64_t ins[] = {IN, 56, 57}, outs[] = {56, 57, OUT};
    lgt_span rows = lgt_span_of(n_rows, rank, size);
    int64_t n = rows.end - rows.begin, hidden = up(56) + up(57), bytes = 0;
    bytes += STEPS * 4 * n * (hidden + up(OUT) + 16); /* the first step has the forward of the gradients */
    bytes += (1 + STEPS) * 4 * n * (hidden + 16) + 4 * n * IN;
    for (int l = 0; l < 3; l++) {
        lgt_span own = lgt_span_of(outs[l], rank, size);
        bytes += (1 + STEPS) * 4 * (own.end - own.begin) * (ins[l] + 1) + 16 * (own.end - own.begin);
    }
    return bytes * (size - 1);
}

static void the_bytes_sent_are_those_stated(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        problem p = {.max_rows = 50, .threads = 1, .training = 1, .wants_dx = 1, .widest = 130};
        lgt_comm comms[MOST_RANKS];
        found ranks[MOST_RANKS] = {0};
        fill(&p, "mlp:56,57", 50);
        p.ranks = ranks;
        lgt_comm_group *group = test_group(sizes[i], 60, comms);
        test_run_ranks(comms, sizes[i], run_rank, &p);
        for (int r = 0; r < sizes[i]; r++) {
            assert_int_equal(ranks[r].status, LGT_OK);
            assert_int_equal(lgt_comm_group_sent(group, r), expected_sent(50, r, sizes[i]));
            free_found(&ranks[r]);
        }
        lgt_comm_group_free(group);
        release(&p);
    }
}

/* --- faults --- */

/* Any call that fails on one rank ends all of them with COMM, in the same call or the next. */
static void every_failing_call_ends_all_ranks(void **state) {
    enum { SIZE = 3 };
    int64_t call = 1;
    (void)state;
    for (int whole = 0; !whole; call++) {
        problem p = {.max_rows = 8, .threads = 1, .training = 1, .wants_dx = 1, .widest = 130};
        lgt_comm comms[SIZE];
        found ranks[SIZE] = {0};
        lgt_error err;
        fill(&p, "mlp:17,130,1", 8);
        p.ranks = ranks;
        lgt_comm_group *group = test_group(SIZE, 60, comms);
        assert_ok(lgt_comm_group_inject(group, (int)(call % SIZE), call, LGT_COMM_FAULT_FAIL, &err), err);
        test_run_ranks(comms, SIZE, run_rank, &p);
        whole = ranks[0].status == LGT_OK;
        for (int r = 0; r < SIZE; r++) {
            assert_int_equal(ranks[r].status, whole ? LGT_OK : LGT_ERR_COMM);
            if (!whole) assert_non_null(strstr(ranks[r].message, "by an injected fault"));
            free_found(&ranks[r]);
        }
        lgt_comm_group_free(group);
        release(&p);
    }
    /* forward 1, backward 2, dparams 5; then forward (once), backward, parameters 5, twice; entries 1: the last fault
     * lies behind them all */
    assert_int_equal(call - 1, 1 + 2 + 5 + 2 * (1 + 5) + 1 + 1 + 1);
}

static lgt_status gather_nothing(void *user, void *data, const int64_t *offsets, lgt_error *err) {
    const lgt_status *answer = user;
    (void)data, (void)offsets, (void)err;
    return *answer;
}

static void what_cannot_be_shared_is_refused_and_memory_comes_back(void **state) {
    lgt_status status = LGT_ERR_MEMORY, answer = LGT_OK;
    lgt_comm comm = {.struct_size = sizeof comm, .rank = 1, .size = 2, .user = &answer, .gather = gather_nothing};
    lgt_error err;
    float block[4 * IN] = {0};
    (void)state;
    for (int64_t fail_at = 1; status; fail_at++) {
        lgt_context *context = test_context_failing(fail_at);
        lgt_encoder *encoder = NULL;
        lgt_encoder_pass *pass = NULL;
        status = lgt_encoder_create(context, "mlp:9,6", IN, OUT, 1, &encoder, &err);
        if (!status) status = lgt_encoder_pass_create(encoder, 2, 1, &pass, &err);
        if (!status) status = lgt_encoder_share(pass, &comm, &err);
        if (status) assert_fails(status, LGT_ERR_MEMORY, err, "out of memory");
        assert_true(fail_at < 50);
        if (!status) {
            int64_t before = test_allocations();
            lgt_view x = lgt_view_of(block, 2, IN, LGT_F32), dy = lgt_view_of(block, 2, OUT, LGT_F32);
            lgt_mut y = lgt_mut_of(block + 2 * IN, 2, OUT, LGT_F32), dx = {block, 2, IN, IN + 1, LGT_F32};
            float *dparams = new_block(lgt_encoder_n_params(encoder), sizeof *dparams);
            assert_ok(lgt_encoder_forward(pass, x, y, &err), err);
            assert_fails(lgt_encoder_backward(pass, dy, dparams, dx, &err), LGT_ERR_USAGE, err,
                         "dx has ld 58, expected 57 on several ranks");
            assert_ok(lgt_encoder_backward(pass, dy, dparams, (lgt_mut){0}, &err), err);
            assert_fails(lgt_encoder_gather_outputs(pass, block, 33, &err), LGT_ERR_USAGE, err, "33 bytes");
            answer = LGT_ERR_COMM;
            assert_int_equal(lgt_encoder_forward(pass, x, y, &err), LGT_ERR_COMM);
            assert_fails(lgt_encoder_backward(pass, dy, dparams, (lgt_mut){0}, &err), LGT_ERR_USAGE, err,
                         "backward needs a forward before it");
            assert_int_equal(test_allocations(), before);
            free(dparams);
        }
        lgt_encoder_pass_free(pass);
        lgt_encoder_free(encoder);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_ranks_and_threads_has_the_bits_of_one),
        cmocka_unit_test(a_pass_that_does_not_train_has_the_bits_too),
        cmocka_unit_test(parts_are_contiguous_whole_and_nearly_equal),
        cmocka_unit_test(the_bytes_sent_are_those_stated),
        cmocka_unit_test(every_failing_call_ends_all_ranks),
        cmocka_unit_test(what_cannot_be_shared_is_refused_and_memory_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
