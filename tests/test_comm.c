/* Communicators of threads: the laws, ordered faults, time limits, aborts, calls that do not belong together. */
#include "support.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "comm/call.h"
#include "comm_laws.h"
#include "ranks.h"

enum { MOST = 64 };

static const int sizes[] = {1, 2, 3, 4, 7};
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What every rank heard of its last call. */
typedef struct hearing {
    lgt_status status[MOST];
    lgt_error err[MOST];
} hearing;

/* ---- laws ---- */

typedef struct law_run {
    uint64_t seed;
    int64_t largest;
    int held[MOST];
    char text[MOST][700];
} law_run;

static void run_laws(void *argument, const lgt_comm *comm) {
    law_run *run = argument;
    int r = comm->rank;
    run->held[r] = comm_laws_hold(comm, run->seed, run->largest, run->text[r], sizeof run->text[r]);
    if (!run->held[r]) comm->abort(comm->user, 1, "a law does not hold"); /* nobody waits for this rank */
}

static void the_laws_hold_on_any_number_of_ranks(void **state) {
    static const int64_t largest[] = {0, 1, 9, 1000, 20011};
    static law_run run;
    (void)state;
    for (size_t p = 0; p < COUNT(sizes); p++)
        for (size_t i = 0; i < COUNT(largest); i++) {
            run.seed = 1000 * p + i, run.largest = largest[i];
            test_on_ranks(sizes[p], 60, run_laws, &run);
            for (int r = 0; r < sizes[p]; r++)
                if (!run.held[r]) fail_msg("seed %d: %s", (int)run.seed, run.text[r]);
        }
}

/* A wrong bit that reaches another rank is noticed: in 23 of the first 40 calls. The rest are barriers, empty parts,
 * agreements whose message ends before that bit, maxima below the other rank's, and broadcasts from it. */
static void the_laws_notice_a_flipped_bit(void **state) {
    static law_run run;
    int noticed = 0;
    (void)state;
    for (int call = 1; call <= 40; call++) {
        lgt_comm comms[2];
        lgt_error err;
        lgt_comm_group *group = test_group(2, 60, comms);
        assert_ok(lgt_comm_group_inject(group, 0, call, LGT_COMM_FAULT_FLIP, &err), err);
        run.seed = 5, run.largest = 100;
        test_run_ranks(comms, 2, run_laws, &run);
        noticed += !(run.held[0] && run.held[1]);
        lgt_comm_group_free(group);
    }
    assert_in_range(noticed, 20, 40);
}

typedef struct crossing {
    _Atomic int came, early, failed;
} crossing;

static void cross(void *argument, const lgt_comm *comm) {
    crossing *c = argument;
    for (int i = 1; i <= 200; i++) {
        c->came++;
        if (comm->barrier(comm->user, NULL)) c->failed++;
        if (c->came < i * comm->size) c->early++;
    }
}

static void nobody_leaves_a_barrier_before_all_have_come(void **state) {
    (void)state;
    for (size_t p = 0; p < COUNT(sizes); p++) {
        crossing c = {0, 0, 0};
        test_on_ranks(sizes[p], 60, cross, &c);
        assert_int_equal(c.failed, 0);
        assert_int_equal(c.early, 0);
    }
}

/* ---- a program of six calls, and faults in it ---- */

enum { RANKS = 3, CALLS = 6, PART = 5, CASES = RANKS * CALLS };

/* What a rank holds after each call. */
typedef struct step {
    lgt_status status;
    lgt_error err;
    union {
        unsigned char bytes[RANKS * PART + 1];
        int64_t values[2];
    } data;
} step;

typedef struct program {
    const lgt_comm *comms; /* of all groups, RANKS each */
    step (*steps)[CALLS];  /* of all ranks of all groups */
} program;

static lgt_status make_call(const lgt_comm *c, int call, step *s, lgt_error *err) {
    static const int64_t at[] = {0, PART, 2 * PART, 3 * PART};
    unsigned char mine[RANKS * PART];
    memset(mine, 16 * (c->rank + 1), sizeof mine);
    if (call < 2) memcpy(s->data.bytes + at[c->rank], mine, PART);
    switch (call) {
    case 0:
        return c->gather(c->user, s->data.bytes, at, err);
    case 1:
        return c->exchange(c->user, mine, at, s->data.bytes, at, err);
    case 2:
    case 3:
        s->data.values[0] = c->rank, s->data.values[1] = 4;
        return (call == 2 ? c->sum : c->max)(c->user, s->data.values, 2, LGT_I64, err);
    case 4:
        if (c->rank == 1) memcpy(s->data.bytes, mine, PART);
        return c->broadcast(c->user, s->data.bytes, PART, 1, err);
    default:
        return c->barrier(c->user, err);
    }
}

static void run_program(void *argument, const lgt_comm *comm) {
    program *p = argument;
    for (int call = 0; call < CALLS; call++) {
        step *s = &p->steps[comm - p->comms][call];
        memset(s, 0, sizeof *s);
        s->status = make_call(comm, call, s, &s->err);
    }
}

/* Runs the program with each fault of one kind, all at once: case i has it on rank i / CALLS in call i % CALLS. */
static void run_with_faults(lgt_comm_fault fault, double timeout, step (*steps)[CALLS]) {
    lgt_comm comms[CASES * RANKS];
    lgt_comm_group *groups[CASES];
    program p = {comms, steps};
    lgt_error err;
    for (int i = 0; i < CASES; i++) {
        groups[i] = test_group(RANKS, timeout, comms + i * RANKS);
        assert_ok(lgt_comm_group_inject(groups[i], i / CALLS, i % CALLS + 1, fault, &err), err);
    }
    test_run_ranks(comms, CASES * RANKS, run_program, &p);
    for (int i = 0; i < CASES; i++) lgt_comm_group_free(groups[i]);
}

static const char *const call_names[CALLS] = {"gather", "exchange", "sum", "max", "broadcast", "barrier"};
static step all_steps[CASES * RANKS][CALLS];

static void a_call_that_fails_on_one_rank_fails_on_all(void **state) {
    (void)state;
    run_with_faults(LGT_COMM_FAULT_FAIL, 60, all_steps);
    for (int i = 0; i < CASES * RANKS; i++) {
        char told[100];
        int faulty = i / RANKS / CALLS, at = i / RANKS % CALLS;
        snprintf(told, sizeof told, "rank %d failed in its call %d, %s, by an injected", faulty, at + 1,
                 call_names[at]);
        for (int call = 0; call < CALLS; call++) {
            const step *s = &all_steps[i][call];
            if (call < at)
                assert_ok(s->status, s->err);
            else
                assert_fails(s->status, LGT_ERR_COMM, s->err, told);
        }
    }
}

static void a_rank_that_vanishes_is_named_after_the_timeout(void **state) {
    (void)state;
    run_with_faults(LGT_COMM_FAULT_VANISH, 0.5, all_steps);
    for (int i = 0; i < CASES * RANKS; i++) {
        char told[100], itself[100];
        int faulty = i / RANKS / CALLS, at = i / RANKS % CALLS;
        snprintf(told, sizeof told, "rank %d did not come to %s within 0.5 s", faulty, call_names[at]);
        snprintf(itself, sizeof itself, "rank %d failed in its call %d, ", faulty, at + 1);
        for (int call = 0; call < CALLS; call++) {
            const step *s = &all_steps[i][call];
            const char *words = i % RANKS != faulty ? told : call == at ? itself : "vanished by an injected fault";
            if (call < at)
                assert_ok(s->status, s->err);
            else
                assert_fails(s->status, LGT_ERR_COMM, s->err, words);
        }
    }
}

static int bits_apart(const step *a, const step *b) {
    int count = 0;
    for (size_t i = 0; i < sizeof a->data; i++)
        for (int bit = 0; bit < 8; bit++) count += (a->data.bytes[i] ^ b->data.bytes[i]) >> bit & 1;
    return count;
}

/* Bits that a flip by `faulty` in that call makes wrong on `rank`. */
static int wrong_bits(int call, int faulty, int rank) {
    if (call < 2) return rank != faulty;
    if (call == 4) return faulty == 1 && rank != faulty;
    return call < 4; /* sums and maxima are wrong everywhere */
}

static void a_flipped_bit_is_one_bit_and_no_error(void **state) {
    static step right[RANKS][CALLS];
    lgt_comm comms[RANKS];
    program p = {comms, right};
    (void)state;
    lgt_comm_group *group = test_group(RANKS, 60, comms);
    test_run_ranks(comms, RANKS, run_program, &p);
    lgt_comm_group_free(group);
    run_with_faults(LGT_COMM_FAULT_FLIP, 60, all_steps);
    for (int i = 0; i < CASES * RANKS; i++)
        for (int call = 0; call < CALLS; call++) {
            int rank = i % RANKS, faulty = i / RANKS / CALLS, at = i / RANKS % CALLS;
            assert_ok(all_steps[i][call].status, all_steps[i][call].err);
            int apart = bits_apart(&all_steps[i][call], &right[rank][call]);
            int wrong = call == at ? wrong_bits(call, faulty, rank) : 0;
            if (apart != wrong)
                fail_msg("rank %d: %d bits of call %d by a flip of %d in call %d", rank, apart, call, faulty, at);
        }
}

/* ---- time limits ---- */

/* Ranks from `from` to `to` stay away. */
typedef struct absence {
    int from, to;
    hearing heard;
    double seconds[MOST];
} absence;

static void stay_away(void *argument, const lgt_comm *comm) {
    absence *a = argument;
    double start = lgt_clock_now();
    if (comm->rank >= a->from && comm->rank < a->to) return;
    a->heard.status[comm->rank] = comm->barrier(comm->user, &a->heard.err[comm->rank]);
    a->seconds[comm->rank] = lgt_clock_now() - start;
}

static void who_does_not_come_is_named_when_the_time_is_over(void **state) {
    static const struct {
        int size, from, to;
        const char *told;
    } cases[] = {{2, 1, 2, "rank 1 did not come to barrier within 0.2 s"},
                 {2, 0, 1, "rank 0 did not come to barrier within 0.2 s"},
                 {4, 1, 3, "ranks 1 and 2 did not come"},
                 {7, 3, 6, "ranks 3, 4 and 5 did not come"},
                 {13, 4, 13, "ranks 4, 5, 6, 7, 8, 9, 10, 11 and 1 others did not come"}};
    static absence a;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        a.from = cases[i].from, a.to = cases[i].to;
        test_on_ranks(cases[i].size, 0.2, stay_away, &a);
        double longest = 0;
        for (int r = 0; r < cases[i].size; r++) {
            if (r >= a.from && r < a.to) continue;
            longest = fmax(longest, a.seconds[r]);
            assert_fails(a.heard.status[r], LGT_ERR_COMM, a.heard.err[r], cases[i].told);
            assert_at_most(a.seconds[r], 5, "seconds until a missing rank was named"); /* 0.2 on an idle machine */
        }
        assert_true(longest > 0.15); /* the first to come waited all of its time */
    }
}

/* ---- abort ---- */

static void wait_for_ever(void *argument, const lgt_comm *comm) {
    hearing *h = argument;
    static _Atomic int waiting;
    if (comm->rank == comm->size - 1) { /* never comes: it aborts when the others are on their way */
        while (waiting < comm->size - 1) continue;
        comm->abort(comm->user, 10, "the disk is full");
        waiting = 0;
    } else {
        waiting++;
    }
    h->status[comm->rank] = comm->barrier(comm->user, &h->err[comm->rank]);
}

static void an_abort_reaches_who_waits_and_who_comes_later(void **state) {
    static hearing h;
    (void)state;
    for (int round = 0; round < 50; round++) {
        test_on_ranks(3, 60, wait_for_ever, &h);
        for (int r = 0; r < 3; r++)
            assert_fails(h.status[r], LGT_ERR_COMM, h.err[r], "rank 2 aborted with code 10: the disk is full");
    }
}

static void the_first_reason_stays(void **state) {
    lgt_comm comms[2];
    lgt_error err;
    (void)state;
    lgt_comm_group *group = test_group(2, 60, comms);
    comms[1].abort(comms[1].user, 3, NULL);
    comms[0].abort(comms[0].user, 4, "later");
    assert_fails(comms[0].barrier(comms[0].user, &err), LGT_ERR_COMM, err,
                 "rank 1 aborted with code 3: no reason given");
    assert_int_equal(comms[1].barrier(comms[1].user, NULL), LGT_ERR_COMM);
    lgt_comm_group_free(group);
}

/* ---- calls that do not belong together, or cannot be ---- */

typedef struct quarrel {
    lgt_comm_call calls[2]; /* of rank 0 and of all others */
    hearing heard;
} quarrel;

static lgt_status call_of(const lgt_comm *c, const lgt_comm_call *call, lgt_error *err) {
    switch (call->op) {
    case LGT_COMM_GATHER:
        return c->gather(c->user, call->data, call->offsets, err);
    case LGT_COMM_EXCHANGE:
        return c->exchange(c->user, call->send, call->send_offsets, call->data, call->offsets, err);
    case LGT_COMM_SUM:
        return c->sum(c->user, call->data, call->n, call->dtype, err);
    case LGT_COMM_MAX:
        return c->max(c->user, call->data, call->n, call->dtype, err);
    case LGT_COMM_BROADCAST:
        return c->broadcast(c->user, call->data, call->n, call->root, err);
    case LGT_COMM_BARRIER:
        break;
    }
    return c->barrier(c->user, err);
}

static void quarrel_on(void *argument, const lgt_comm *comm) {
    quarrel *q = argument;
    q->heard.status[comm->rank] = call_of(comm, &q->calls[comm->rank > 0], &q->heard.err[comm->rank]);
}

static void expect_quarrel(lgt_comm_call first, lgt_comm_call others, const char *told) {
    static quarrel q;
    q.calls[0] = first, q.calls[1] = others;
    test_on_ranks(3, 60, quarrel_on, &q);
    for (int r = 0; r < 3; r++) assert_fails(q.heard.status[r], LGT_ERR_COMM, q.heard.err[r], told);
}

static const int64_t even[] = {0, 2, 4, 6}, uneven[] = {0, 2, 5, 6}, long_first[] = {0, 3, 5, 7},
                     falling[] = {0, 4, 2, 6}, negative[] = {-1, 2, 4, 6};

static void calls_that_do_not_belong_together_are_named(void **state) {
    char send[8] = {0}, data[8] = {0};
    lgt_comm_call gather = {.op = LGT_COMM_GATHER, .data = data, .offsets = even}, other_gather = gather;
    lgt_comm_call exchange = {LGT_COMM_EXCHANGE, data, send, even, even, 0, LGT_F32, 0}, other_exchange = exchange;
    lgt_comm_call sum = {.op = LGT_COMM_SUM, .data = data, .n = 1, .dtype = LGT_F32}, other_sum = sum, max = sum;
    lgt_comm_call broadcast = {.op = LGT_COMM_BROADCAST, .data = data, .n = 2, .root = 1}, other_broadcast = broadcast;
    lgt_comm_call barrier = {.op = LGT_COMM_BARRIER};
    (void)state;
    expect_quarrel(gather, barrier, "rank 1 called barrier while rank 0 called gather");
    expect_quarrel(barrier, exchange, "rank 1 called exchange while rank 0 called barrier");
    max.op = LGT_COMM_MAX;
    expect_quarrel(sum, max, "rank 1 called max while rank 0 called sum");
    other_gather.offsets = uneven;
    expect_quarrel(gather, other_gather, "gather: offsets[2] is 4 on rank 0 and 5 on rank 1");
    other_exchange.send_offsets = long_first;
    expect_quarrel(exchange, other_exchange, "exchange: rank 1 sends 3 bytes to rank 0, which expects 2");
    other_exchange.send_offsets = uneven;
    expect_quarrel(other_exchange, exchange, "exchange: rank 0 sends 3 bytes to rank 1, which expects 2");
    other_sum.n = 2;
    expect_quarrel(sum, other_sum, "sum: rank 0 brings 1 values of type f32, rank 1 2 of type f32");
    other_sum.n = 1, other_sum.dtype = LGT_F64;
    expect_quarrel(sum, other_sum, "sum: rank 0 brings 1 values of type f32, rank 1 1 of type f64");
    other_broadcast.root = 2;
    expect_quarrel(broadcast, other_broadcast, "2 bytes from rank 1 on rank 0, 2 bytes from rank 2 on rank 1");
    other_broadcast.root = 1, other_broadcast.n = 3;
    expect_quarrel(broadcast, other_broadcast, "2 bytes from rank 1 on rank 0, 3 bytes from rank 1 on rank 1");
}

static void a_call_that_cannot_be_breaks_the_group(void **state) {
    char data[8] = {0};
    lgt_comm_call barrier = {.op = LGT_COMM_BARRIER};
    static const struct {
        lgt_comm_call call;
        const char *told;
    } cases[] = {
        {{.op = LGT_COMM_GATHER, .offsets = falling}, "gather: offsets[2] is 2 after 4"},
        {{.op = LGT_COMM_GATHER, .offsets = negative}, "gather: offsets[0] is -1"},
        {{.op = LGT_COMM_EXCHANGE, .offsets = even, .send_offsets = falling}, "exchange: offsets[2] is 2 after 4"},
        {{.op = LGT_COMM_EXCHANGE, .offsets = negative, .send_offsets = even}, "exchange: offsets[0] is -1"},
        {{.op = LGT_COMM_EXCHANGE, .offsets = even, .send_offsets = long_first},
         "exchange: 3 bytes for the rank itself, which expects 2"},
        {{.op = LGT_COMM_SUM, .n = -1, .dtype = LGT_F32}, "sum: -1 values"},
        {{.op = LGT_COMM_MAX, .n = INT64_MAX / 4, .dtype = LGT_F64},
         "max: 2305843009213693951 values of type f64 do not"},
        {{.op = LGT_COMM_MAX, .n = 1, .dtype = LGT_I32}, "max: values of type i32, expected f32, f64 or i64"},
        {{.op = LGT_COMM_BROADCAST, .n = -1, .root = 0}, "broadcast: -1 bytes"},
        {{.op = LGT_COMM_BROADCAST, .n = 1, .root = 3}, "broadcast: root is 3 of 3 ranks"},
        {{.op = LGT_COMM_BROADCAST, .n = 1, .root = -1}, "broadcast: root is -1 of 3 ranks"}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char told[120];
        lgt_comm_call call = cases[i].call;
        call.data = data, call.send = data;
        snprintf(told, sizeof told, "rank 0 gave up: %s", cases[i].told);
        expect_quarrel(call, barrier, told);
    }
}

/* ---- agreement ---- */

static void agreement_needs_no_group_for_one(void **state) {
    lgt_comm comm;
    lgt_error err = {LGT_ERR_IO, "disk"};
    (void)state;
    lgt_comm_group *group = test_group(1, 60, &comm);
    assert_int_equal(lgt_comm_agree(NULL, LGT_ERR_IO, &err), LGT_ERR_IO);
    assert_int_equal(lgt_comm_agree(&comm, LGT_ERR_IO, &err), LGT_ERR_IO);
    assert_string_equal(err.message, "disk");
    assert_int_equal(lgt_comm_agree(NULL, LGT_OK, NULL), LGT_OK);
    assert_int_equal(lgt_comm_agree(&comm, LGT_OK, NULL), LGT_OK);
    lgt_comm_group_free(group);
}

/* Rank 1 fails without a record; rank 0 wants none. */
static void agree_without_records(void *argument, const lgt_comm *comm) {
    hearing *h = argument;
    int r = comm->rank;
    h->status[r] = lgt_comm_agree(comm, r == 1 ? LGT_ERR_MEMORY : LGT_OK, r < 2 ? NULL : &h->err[r]);
}

static void agreement_does_without_records(void **state) {
    static hearing h;
    (void)state;
    test_on_ranks(3, 60, agree_without_records, &h);
    for (int r = 0; r < 3; r++) assert_int_equal(h.status[r], LGT_ERR_MEMORY);
    assert_fails(h.status[2], LGT_ERR_MEMORY, h.err[2], "rank 1: memory");
}

static void agree_in_a_broken_group(void *argument, const lgt_comm *comm) {
    hearing *h = argument;
    int r = comm->rank;
    comm->abort(comm->user, 5, "over");
    if (r == 1) snprintf(h->err[r].message, sizeof h->err[r].message, "its own");
    h->status[r] = lgt_comm_agree(comm, r == 1 ? LGT_ERR_DATA : LGT_OK, &h->err[r]);
}

static void in_a_broken_group_each_keeps_its_own_failure(void **state) {
    static hearing h;
    (void)state;
    test_on_ranks(2, 60, agree_in_a_broken_group, &h);
    assert_fails(h.status[0], LGT_ERR_COMM, h.err[0], "aborted with code 5: over");
    assert_fails(h.status[1], LGT_ERR_DATA, h.err[1], "its own");
}

/* Rank 2 has another end, behind what is shown, or the same. */
static void compare_values(void *argument, const lgt_comm *comm) {
    hearing *h = argument;
    char value[300];
    int r = comm->rank;
    memset(value, 'x', sizeof value);
    value[sizeof value - 1] = '\0';
    value[sizeof value - 2] = comm->size > 3 && r == 2 ? 'y' : 'x';
    h->status[r] = lgt_comm_same(comm, "length", value, LGT_ERR_DATA, &h->err[r]);
    if (!h->status[r]) h->status[r] = lgt_comm_same(comm, "lr", r == 1 ? "0.1" : "0.10", LGT_ERR_USAGE, &h->err[r]);
}

static void values_that_differ_are_named_on_all_ranks(void **state) {
    static hearing h;
    lgt_error err;
    (void)state;
    assert_ok(lgt_comm_same(NULL, "lr", "0.1", LGT_ERR_USAGE, &err), err);
    test_on_ranks(3, 60, compare_values, &h);
    for (int r = 0; r < 3; r++)
        assert_fails(h.status[r], LGT_ERR_USAGE, h.err[r], "rank 1: lr is '0.1' here and '0.10' on rank 0: all ranks");
    test_on_ranks(4, 60, compare_values, &h);
    for (int r = 0; r < 4; r++) assert_fails(h.status[r], LGT_ERR_DATA, h.err[r], "rank 2: length is 'xxx");
}

/* ---- what is counted, what is refused ---- */

static void sent_bytes_are_those_to_others(void **state) {
    lgt_comm comms[RANKS];
    static step steps[RANKS][CALLS];
    program p = {comms, steps};
    (void)state;
    lgt_comm_group *group = test_group(RANKS, 60, comms);
    for (int r = 0; r < RANKS; r++) assert_int_equal(lgt_comm_group_sent(group, r), 0);
    test_run_ranks(comms, RANKS, run_program, &p);
    /* To each of two: a part of gather, of exchange, 2 numbers of a sum and of a maximum; the root's broadcast. */
    for (int r = 0; r < RANKS; r++)
        assert_int_equal(lgt_comm_group_sent(group, r), 2 * (PART + PART + 16 + 16 + (r == 1 ? PART : 0)));
    lgt_comm_group_free(group);
}

static void groups_and_faults_that_cannot_be_are_refused(void **state) {
    lgt_comm_group *group = NULL;
    lgt_comm comms[2];
    lgt_error err;
    (void)state;
    assert_fails(lgt_comm_group_create(0, 0, &group, comms, &err), LGT_ERR_USAGE, err, "size is 0, expected 1 to 1024");
    assert_fails(lgt_comm_group_create(1025, 0, &group, comms, &err), LGT_ERR_USAGE, err, "size is 1025");
    assert_fails(lgt_comm_group_create(2, -1, &group, comms, &err), LGT_ERR_USAGE, err, "timeout is -1 s");
    assert_fails(lgt_comm_group_create(2, NAN, &group, comms, &err), LGT_ERR_USAGE, err, "timeout is");
    assert_null(group);
    assert_ok(lgt_comm_group_create(2, INFINITY, &group, comms, &err), err);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(comms[r].struct_size, sizeof(lgt_comm));
        assert_int_equal(comms[r].rank, r);
        assert_int_equal(comms[r].size, 2);
    }
    lgt_comm_fault fail = LGT_COMM_FAULT_FAIL;
    assert_fails(lgt_comm_group_inject(group, 2, 1, fail, &err), LGT_ERR_USAGE, err, "rank is 2 of 2");
    assert_fails(lgt_comm_group_inject(group, -1, 1, fail, &err), LGT_ERR_USAGE, err, "rank is -1 of 2");
    assert_fails(lgt_comm_group_inject(group, 1, 0, fail, &err), LGT_ERR_USAGE, err,
                 "call is 0, but rank 1 has made 0");
    assert_fails(lgt_comm_group_inject(group, 1, 1, (lgt_comm_fault)3, &err), LGT_ERR_USAGE, err, "fault is 3");
    lgt_comm_group_free(group);
    lgt_comm_group_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_laws_hold_on_any_number_of_ranks),
        cmocka_unit_test(the_laws_notice_a_flipped_bit),
        cmocka_unit_test(nobody_leaves_a_barrier_before_all_have_come),
        cmocka_unit_test(a_call_that_fails_on_one_rank_fails_on_all),
        cmocka_unit_test(a_rank_that_vanishes_is_named_after_the_timeout),
        cmocka_unit_test(a_flipped_bit_is_one_bit_and_no_error),
        cmocka_unit_test(who_does_not_come_is_named_when_the_time_is_over),
        cmocka_unit_test(an_abort_reaches_who_waits_and_who_comes_later),
        cmocka_unit_test(the_first_reason_stays),
        cmocka_unit_test(calls_that_do_not_belong_together_are_named),
        cmocka_unit_test(a_call_that_cannot_be_breaks_the_group),
        cmocka_unit_test(agreement_needs_no_group_for_one),
        cmocka_unit_test(agreement_does_without_records),
        cmocka_unit_test(values_that_differ_are_named_on_all_ranks),
        cmocka_unit_test(in_a_broken_group_each_keeps_its_own_failure),
        cmocka_unit_test(sent_bytes_are_those_to_others),
        cmocka_unit_test(groups_and_faults_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests_name("comm", tests, NULL, NULL);
}
