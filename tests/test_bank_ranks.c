/* A memory bank that ranks share has the bits of one alone: runs of direction alignment, eviction, labels that change,
 * saving over one number of ranks and going on over another; what it sends, what a rank keeps, and what becomes of it
 * when memory is refused, an input is wrong or a call fails. */
#include <math.h>
#include <string.h>

#include "align_setup.h"
#include "ranks.h"

enum { DIM = 7, N = 23, IDS = 60, LABELS = 3, STEPS = 12, MOST = 7, ROOM = 128 };

/* --- one rank --- */

typedef struct saved {
    int64_t count, ids[ROOM], labels[ROOM];
    double scores[ROOM];
    float directions[ROOM * DIM];
} saved;

typedef struct outcome {
    double loss[STEPS];
    int64_t n_edges[STEPS], n_aligned[STEPS];
    lgt_conflict conflict[STEPS];
    float dx[STEPS][N * DIM];
    saved bank; /* of the first rank */
    lgt_status status;
    lgt_error err;
} outcome;

typedef struct job {
    const char *spec;
    int begin, end;       /* steps */
    const saved *start;   /* the bank before them, or NULL */
    int poisoned;         /* the rank whose x of step POISONED is not finite; -1: none */
    lgt_context *failing; /* not NULL: of rank 1 */
    outcome outcomes[MOST];
} job;

enum { POISONED = 4 };

/* Batches by their number alone: some samples are equal, some change their label, one is zero at times. */
static void draw_batch(int step, float *x, float *head, int64_t *ids, int64_t *labels) {
    float centre[DIM];
    test_normal_f32(head, (int64_t)N * DIM, 5, (uint64_t)step);
    for (int64_t i = 0; i < N; i++) {
        int64_t id = (step * 17 + i * 13) % IDS, k = 0;
        labels[i] = (id + ((id + step) % 19 == 0)) % LABELS;
        ids[i] = id * 1000003 - 17;
        test_normal_f32(centre, DIM, 7, (uint64_t)labels[i]);
        test_normal_f32(x + i * DIM, DIM, 9, (uint64_t)(id % 5 == 0 ? 0 : id * STEPS + step));
        for (k = 0; k < DIM; k++) x[i * DIM + k] = id == 41 && step % 2 ? 0 : centre[k] + 0.7f * x[i * DIM + k];
    }
}

static lgt_status run_step(const job *j, int step, int rank, lgt_align_plan *plan, lgt_align_bank *bank, outcome *o) {
    float x[N * DIM], head[N * DIM];
    int64_t ids[N], labels[N];
    draw_batch(step, x, head, ids, labels);
    if (j->poisoned == rank && step == POISONED) x[2 * DIM + 3] = (float)HUGE_VAL;
    lgt_align_inputs in = {.x = lgt_view_of(x, N, DIM, LGT_F32), .labels = labels, .ids = ids, .bank = bank};
    lgt_align_outputs out = {.dx = lgt_mut_of(o->dx[step], N, DIM, LGT_F32)};
    in.head = lgt_view_of(head, N, DIM, LGT_F32);
    lgt_status status = lgt_align_run(plan, &in, &out, &o->err);
    o->loss[step] = out.loss;
    o->n_edges[step] = out.n_edges;
    o->n_aligned[step] = out.n_aligned;
    o->conflict[step] = out.conflict;
    return status;
}

static lgt_status save(const lgt_align_bank *bank, lgt_align_bank *whole, outcome *o) {
    lgt_status status = lgt_align_bank_gather(bank, whole, &o->err);
    if (status || !whole) return status;
    o->bank.count = lgt_align_bank_count(whole);
    lgt_align_bank_export(whole, o->bank.ids, o->bank.labels, o->bank.scores, o->bank.directions);
    return LGT_OK;
}

static int64_t capacity_of(const char *spec) {
    lgt_align_terms terms;
    lgt_align_parse(spec, &terms, NULL);
    return (int64_t)lgt_align_value(&terms.terms[0], "capacity");
}

static void walk(const job *j, lgt_context *context, const lgt_comm *comm, outcome *o) {
    lgt_align_terms terms;
    lgt_align_plan *plan = NULL;
    lgt_align_bank *bank = NULL, *whole = NULL;
    const saved *s = j->start;
    int rank = comm ? comm->rank : 0;
    lgt_align_parse(j->spec, &terms, NULL);
    lgt_status status = lgt_align_plan_create(context, &terms.terms[0], DIM, N, &plan, &o->err);
    if (!status) status = lgt_align_bank_create_shared(context, DIM, capacity_of(j->spec), comm, &bank, &o->err);
    if (!status && rank == 0) status = lgt_align_bank_create(context, DIM, capacity_of(j->spec), &whole, &o->err);
    if (!status && s)
        status = lgt_align_bank_import(bank, s->count, s->ids, s->labels, s->scores, s->directions, &o->err);
    status = lgt_comm_agree(comm, status, &o->err);
    for (int step = j->begin; step < j->end && !status; step++) {
        status = run_step(j, step, rank, plan, bank, o);
        if (status == LGT_ERR_DATA && j->poisoned >= 0) o->status = status, status = LGT_OK;
    }
    if (!status) status = save(bank, whole, o);
    if (status) o->status = status;
    lgt_align_bank_free(whole);
    lgt_align_bank_free(bank);
    lgt_align_plan_free(plan);
}

static void walk_rank(void *argument, const lgt_comm *comm) {
    job *j = argument;
    if (j->failing && comm->rank == 1) {
        walk(j, j->failing, comm, &j->outcomes[1]);
        return;
    }
    lgt_context *context = test_context(1 + comm->rank % 2);
    walk(j, context, comm, &j->outcomes[comm->rank]);
    lgt_context_free(context);
}

static void walk_alone(const job *j, outcome *o) {
    lgt_context *context = test_context(2);
    memset(o, 0, sizeof *o);
    walk(j, context, NULL, o);
    lgt_context_free(context);
    assert_ok(o->status, o->err);
}

static void all_are_well(const job *j, int size) {
    for (int r = 0; r < size; r++) assert_ok(j->outcomes[r].status, j->outcomes[r].err);
}

static void same_steps(const outcome *a, const outcome *b, int begin, int end, const char *spec, int size) {
    size_t n = (size_t)(end - begin);
    if (memcmp(a->loss + begin, b->loss + begin, n * sizeof *a->loss)) fail_msg("%s: losses over %d", spec, size);
    if (memcmp(a->n_edges + begin, b->n_edges + begin, n * sizeof *a->n_edges) ||
        memcmp(a->n_aligned + begin, b->n_aligned + begin, n * sizeof *a->n_aligned))
        fail_msg("%s: edges over %d ranks differ", spec, size);
    if (memcmp(a->dx + begin, b->dx + begin, n * sizeof *a->dx)) fail_msg("%s: gradients over %d differ", spec, size);
    if (memcmp(a->conflict + begin, b->conflict + begin, n * sizeof *a->conflict))
        fail_msg("%s: conflicts over %d ranks differ", spec, size);
}

/* --- laws --- */

static const char *const specs[] = {
    "pga:targets=memory,neighbours=memory,k=3,capacity=100",
    "pga:targets=memory,neighbours=memory,k=2,beta=reliability,capacity=31",
    "pga:targets=memory,neighbours=memory,k=6,full_rows=off,beta=similarity,min_reliability=0.27,capacity=100,phi=exp",
    "pga:targets=memory,neighbours=memory,k=5,full_rows=off,capacity=3,resolve=project",
    "pga:targets=memory,k=3,full_rows=off,capacity=40,beta=similarity,resolve=scale",
    "pga:beta=reliability,k=3,full_rows=off,capacity=29",
};
enum { N_SPECS = sizeof specs / sizeof *specs };
static const int sizes[] = {1, 2, 3, 4, 7};

static void any_number_of_ranks_gives_the_bits_of_one(void **state) {
    static job j;
    static outcome alone;
    (void)state;
    for (int i = 0; i < N_SPECS; i++) {
        int64_t edges = 0;
        j = (job){.spec = specs[i], .end = STEPS, .poisoned = -1};
        walk_alone(&j, &alone);
        for (int step = 0; step < STEPS; step++) edges += alone.n_edges[step];
        assert_true(edges > STEPS && alone.bank.count > 0);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            memset(j.outcomes, 0, sizeof j.outcomes);
            test_on_ranks(sizes[k], 30, walk_rank, &j);
            all_are_well(&j, sizes[k]);
            for (int r = 0; r < sizes[k]; r++) same_steps(&j.outcomes[r], &alone, 0, STEPS, specs[i], sizes[k]);
            if (memcmp(&j.outcomes[0].bank, &alone.bank, sizeof alone.bank))
                fail_msg("%s: banks over %d ranks differ", specs[i], sizes[k]);
        }
    }
}

static void a_bank_goes_on_over_another_number_of_ranks(void **state) {
    static const struct { int size, end; } legs[] = {{4, 3}, {3, 7}, {1, 8}, {2, 10}, {7, STEPS}};
    static job j;
    static outcome alone;
    static saved bank;
    (void)state;
    for (int i = 0; i < N_SPECS; i++) {
        j = (job){.spec = specs[i], .end = STEPS, .poisoned = -1};
        walk_alone(&j, &alone);
        j.end = 0;
        for (size_t k = 0; k < sizeof legs / sizeof *legs; k++) {
            memset(j.outcomes, 0, sizeof j.outcomes);
            j.begin = j.end, j.end = legs[k].end;
            j.start = k > 0 ? &bank : NULL;
            test_on_ranks(legs[k].size, 30, walk_rank, &j);
            all_are_well(&j, legs[k].size);
            same_steps(&j.outcomes[legs[k].size - 1], &alone, j.begin, j.end, specs[i], legs[k].size);
            bank = j.outcomes[0].bank;
        }
        assert_memory_equal(&bank, &alone.bank, sizeof bank);
    }
}

enum { MANY = 2500 };

typedef struct pile {
    lgt_context *contexts[3];
    int64_t count, ids[MANY];
    float directions[MANY];
    lgt_status status[3];
} pile;

static void pile_up(void *argument, const lgt_comm *comm) {
    pile *p = argument;
    int64_t labels[MANY];
    double scores[MANY];
    lgt_context *context = p->contexts[comm->rank];
    lgt_align_bank *bank = NULL, *whole = NULL;
    lgt_status status = lgt_align_bank_create_shared(context, 1, MANY, comm, &bank, NULL);
    if (!status && comm->rank == 1) status = lgt_align_bank_create(context, 1, MANY, &whole, NULL);
    for (int64_t id = 0; id < MANY + 7 && !status; id++)
        lgt_align_bank_update(bank, id, 0, &(double){id % 3 ? 1 : -1}, 0.5, 0.9, 0.9);
    if (!status) status = lgt_align_bank_gather(bank, whole, NULL);
    if (!status && whole) {
        p->count = lgt_align_bank_count(whole);
        lgt_align_bank_export(whole, p->ids, labels, scores, p->directions);
    }
    lgt_align_bank_free(whole);
    lgt_align_bank_free(bank);
    p->status[comm->rank] = status;
}

static void a_bank_of_several_blocks_is_gathered_on_any_rank(void **state) {
    static pile p;
    (void)state;
    for (int r = 0; r < 3; r++) p.contexts[r] = test_context(1);
    test_on_ranks(3, 30, pile_up, &p);
    assert_int_equal(p.count, MANY);
    for (int r = 0; r < 3; r++) assert_int_equal(p.status[r], LGT_OK);
    for (int64_t i = 0; i < MANY; i++) assert_true(p.ids[i] == i + 7 && p.directions[i] == (p.ids[i] % 3 ? 1 : -1));
    for (int r = 0; r < 3; r++) lgt_context_free(p.contexts[r]);
}

/* Equal directions: the lower id is the nearer one, whichever rank has it and whenever it came. */
static void the_lower_id_comes_first_among_equals(void **state) {
    static const int64_t ids[] = {9, 4, 30, 2, 8}, ranks[] = {2, 4, 8};
    const double unit[] = {1, 0};
    const float x[] = {3, 0};
    const int64_t own = 1, label = 0;
    lgt_context *context = test_context(1);
    (void)state;
    lgt_align_plan *plan = test_align_plan(context, "pga:targets=memory,neighbours=memory,k=3", 2, 1);
    lgt_align_bank *bank = test_align_bank(context, 2, 5);
    for (int i = 0; i < 5; i++) lgt_align_bank_update(bank, ids[i], 0, unit, 0.5, 0.9, 0.9);
    lgt_align_inputs in = {.x = lgt_view_of(x, 1, 2, LGT_F32), .labels = &label, .ids = &own, .bank = bank};
    lgt_error err;
    int64_t count = 0;
    assert_ok(lgt_align_find(plan, &in, &err), err);
    const lgt_align_edge *edges = lgt_align_neighbours(plan, 0, &count);
    assert_int_equal(count, 3);
    for (int i = 0; i < 3; i++) assert_true(edges[i].id == ranks[i] && edges[i].cosine == 1);
    lgt_align_bank_free(bank);
    lgt_align_plan_free(plan);
    lgt_context_free(context);
}

/* --- what it costs --- */

static int64_t sent_by_all(const job *j, int size) {
    lgt_comm comms[MOST];
    int64_t sent = 0;
    lgt_comm_group *group = test_group(size, 30, comms);
    test_run_ranks(comms, size, walk_rank, (void *)(uintptr_t)j);
    for (int r = 0; r < size; r++) sent += lgt_comm_group_sent(group, r);
    lgt_comm_group_free(group);
    all_are_well(j, size);
    return sent;
}

/* What the steps of a training send beyond one that ends after its first: no gather at the end is among it. */
static int64_t sent_by_steps(job *j, const char *spec, int size) {
    *j = (job){.spec = spec, .end = STEPS, .poisoned = -1};
    int64_t sent = sent_by_all(j, size), gathered = j->outcomes[0].bank.count * DIM * (int64_t)sizeof(float);
    return sent - (size - 1) * (gathered + size * 2 * (int64_t)sizeof(int64_t)); /* and two agreements */
}

static void what_is_sent_is_as_told_and_does_not_grow_with_the_capacity(void **state) {
    static job j;
    const int64_t k = 3, number = sizeof(int64_t), direction = DIM * (int64_t)sizeof(float);
    (void)state;
    for (int size = 2; size <= 4; size++) {
        int64_t near = sent_by_steps(&j, "pga:targets=memory,neighbours=memory,k=3,full_rows=off,capacity=60", size);
        int64_t edges = 0, told = 0;
        for (int step = 0; step < STEPS; step++) edges += j.outcomes[0].n_edges[step];
        told = STEPS * size * (number + 2 * number * N * k + 2 * number * N) + edges * direction;
        assert_int_equal(near, (size - 1) * told);
        int64_t far = sent_by_steps(&j, "pga:targets=memory,neighbours=memory,k=3,full_rows=off,capacity=4096", size);
        assert_int_equal(far, near);
        int64_t rows = sent_by_steps(&j, "pga:targets=memory,k=3,full_rows=off,capacity=4096", size);
        assert_true(rows > 0 && rows <= (size - 1) * STEPS * (size * number + N * direction));
        int64_t scores = sent_by_steps(&j, "pga:beta=reliability,k=3,capacity=4096", size);
        assert_int_equal(scores, (size - 1) * STEPS * size * number);
    }
}

/* Nothing is called when a bank is made: a struct with a rank and a size is enough. */
static void a_rank_keeps_its_part_of_the_directions(void **state) {
    enum { CAPACITY = 1001, WIDE = 64 };
    lgt_context *context = test_context_counting(1);
    int64_t before = test_live_bytes(), bytes = WIDE * (int64_t)sizeof(float);
    lgt_error err;
    (void)state;
    lgt_align_bank *none = test_align_bank(context, 0, CAPACITY);
    int64_t books = test_live_bytes() - before - 2 * (int64_t)sizeof(int64_t) - 1; /* an empty block is one of 1 byte */
    lgt_align_bank_free(none);
    for (int size = 1; size <= MOST; size++) {
        int64_t total = 0;
        for (int r = 0; r < size; r++) {
            lgt_comm comm = {.struct_size = sizeof comm, .rank = r, .size = size};
            lgt_align_bank *bank = NULL;
            assert_ok(lgt_align_bank_create_shared(context, WIDE, CAPACITY, &comm, &bank, &err), err);
            int64_t own = test_live_bytes() - before - books - (size + 1) * (int64_t)sizeof(int64_t);
            assert_in_range(own, CAPACITY / size * bytes, (CAPACITY / size + 1) * bytes);
            total += own;
            lgt_align_bank_free(bank);
        }
        assert_int_equal(total, CAPACITY * bytes);
    }
    assert_int_equal(test_live_bytes(), before);
    lgt_context_free(context);
}

/* --- what goes wrong --- */

/* Rank 1 is refused its first, second, ... block: all ranks end with its failure, and nothing is kept. */
static void memory_that_one_rank_is_refused_ends_the_run_of_all(void **state) {
    static job j;
    int64_t fail_at = 0;
    int failed = 1;
    (void)state;
    for (fail_at = 1; failed && fail_at < 100; fail_at++) {
        lgt_context *context = test_context_failing(fail_at);
        int64_t before = test_live_blocks();
        j = (job){.spec = specs[1], .end = 3, .poisoned = -1, .failing = context};
        test_on_ranks(3, 30, walk_rank, &j);
        failed = j.outcomes[1].status != LGT_OK;
        for (int r = 0; r < 3 && failed; r++)
            assert_fails(j.outcomes[r].status, LGT_ERR_MEMORY, j.outcomes[r].err, "rank 1: ");
        if (!failed) all_are_well(&j, 3);
        assert_int_equal(test_live_blocks(), before);
        lgt_context_free(context);
    }
    assert_in_range(fail_at, 20, 60); /* plan and bank, room for what ranks find, and the gather at the end */
}

/* The bank is as it was before that run, and the ranks go on together. */
static void an_input_that_is_wrong_on_one_rank_is_told_on_all(void **state) {
    static job j;
    (void)state;
    j = (job){.spec = specs[0], .end = STEPS, .poisoned = 2};
    test_on_ranks(3, 30, walk_rank, &j);
    for (int r = 0; r < 3; r++) {
        const outcome *o = &j.outcomes[r];
        assert_int_equal(o->status, LGT_ERR_DATA);
        assert_true(o->n_edges[POISONED] == 0 && o->n_edges[STEPS - 1] > 0);
        same_steps(o, &j.outcomes[0], 0, STEPS, specs[0], 3);
    }
}

static void a_broken_communicator_ends_the_run_of_all(void **state) {
    static job j;
    int64_t call = 0;
    int failed = 1;
    (void)state;
    for (call = 1; failed; call++) {
        lgt_comm comms[3];
        lgt_error err;
        lgt_comm_group *group = test_group(3, 30, comms);
        j = (job){.spec = specs[0], .end = 3, .poisoned = -1};
        assert_ok(lgt_comm_group_inject(group, (int)(call % 3), call, LGT_COMM_FAULT_FAIL, &err), err);
        test_run_ranks(comms, 3, walk_rank, &j);
        failed = j.outcomes[0].status != LGT_OK;
        for (int r = 0; r < 3; r++) assert_int_equal(j.outcomes[r].status, failed ? LGT_ERR_COMM : LGT_OK);
        lgt_comm_group_free(group);
    }
    assert_int_equal(call - 2, 1 + 3 * 4 + 2); /* an agreement, four calls a step, and those of the gather */
}

/* What it makes of the numbers is the transport's fault; memory is none of it, as the sanitizers see. */
static void a_bit_that_is_wrong_harms_no_memory(void **state) {
    enum { END = 6 };
    static job j;
    (void)state;
    for (int64_t call = 1; call <= 1 + 4 * END; call++) {
        lgt_comm comms[2];
        lgt_error err;
        lgt_comm_group *group = test_group(2, 2, comms);
        j = (job){.spec = "pga:targets=memory,neighbours=memory,k=1,capacity=100", .end = END, .poisoned = -1};
        assert_ok(lgt_comm_group_inject(group, 1, call, LGT_COMM_FAULT_FLIP, &err), err);
        test_run_ranks(comms, 2, walk_rank, &j);
        for (int r = 0; r < 2; r++) assert_true(j.outcomes[r].status == LGT_OK || j.outcomes[r].status == LGT_ERR_COMM);
        lgt_comm_group_free(group);
    }
}

static void a_whole_bank_of_another_shape_is_refused(void **state) {
    lgt_context *context = test_context(1);
    lgt_align_bank *bank = test_align_bank(context, DIM, 5), *other = test_align_bank(context, DIM, 6);
    lgt_error err;
    (void)state;
    assert_fails(lgt_align_bank_gather(bank, other, &err), LGT_ERR_USAGE, err,
                 "a whole bank of 6 samples of dim 7, expected 5 of dim 7");
    lgt_align_bank_free(other);
    lgt_align_bank_free(bank);
    lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_ranks_gives_the_bits_of_one),
        cmocka_unit_test(a_bank_goes_on_over_another_number_of_ranks),
        cmocka_unit_test(a_bank_of_several_blocks_is_gathered_on_any_rank),
        cmocka_unit_test(the_lower_id_comes_first_among_equals),
        cmocka_unit_test(what_is_sent_is_as_told_and_does_not_grow_with_the_capacity),
        cmocka_unit_test(a_rank_keeps_its_part_of_the_directions),
        cmocka_unit_test(memory_that_one_rank_is_refused_ends_the_run_of_all),
        cmocka_unit_test(an_input_that_is_wrong_on_one_rank_is_told_on_all),
        cmocka_unit_test(a_broken_communicator_ends_the_run_of_all),
        cmocka_unit_test(a_bit_that_is_wrong_harms_no_memory),
        cmocka_unit_test(a_whole_bank_of_another_shape_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
