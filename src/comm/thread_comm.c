/* The communicator of threads of one process, with faults to order. Ranks meet, each reads what it needs from the
 * others' arrays, and they meet again before anyone goes: no array is read after its owner's call returned. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/text.h"
#include "comm/call.h"

enum { MOST_RANKS = 1024 };

/* One rank, the user of its communicator. */
typedef struct member {
    lgt_comm_server server;
    lgt_comm_group *group;
    int rank;
    int64_t calls, sent;
    int64_t fault_call; /* 0: none */
    lgt_comm_fault fault;
    int vanished, flips; /* flips: in the call under way */
    int waiting;         /* came to the call under way */
    lgt_comm_call call;
} member;

struct lgt_comm_group {
    pthread_mutex_t mutex; /* over all that follows, and the members but for their arrays */
    pthread_cond_t turned;
    double timeout;
    int64_t turn; /* meetings held */
    int arrived;  /* at the next one */
    int broken;
    char reason[400];
    int size;
    member members[];
};

/* The first reason stays. */
static void LGT_PRINTF(2, 3) break_group(lgt_comm_group *group, const char *format, ...) {
    if (!group->broken) {
        va_list args;
        va_start(args, format);
        vsnprintf(group->reason, sizeof group->reason, format, args);
        va_end(args);
        group->broken = 1;
    }
    pthread_cond_broadcast(&group->turned);
}

static void break_for_missing(lgt_comm_group *group, lgt_comm_op op) {
    unsigned char missing[MOST_RANKS];
    char names[120], seconds[32];
    for (int r = 0; r < group->size; r++) missing[r] = !group->members[r].waiting;
    lgt_comm_name_ranks(missing, group->size, names, sizeof names);
    lgt_text_from_double(seconds, sizeof seconds, group->timeout);
    break_group(group, "%s did not come to %s within %s s", names, lgt_comm_op_name(op), seconds);
}

/* ---- faults ---- */

/* What an ordered fault makes of this call. */
static lgt_status suffer(member *m, lgt_comm_op op, lgt_error *err) {
    lgt_error told;
    m->flips = 0;
    if (m->vanished) return lgt_fail(err, LGT_ERR_COMM, "rank %d vanished by an injected fault", m->rank);
    if (m->calls != m->fault_call) return LGT_OK;
    m->flips = m->fault == LGT_COMM_FAULT_FLIP;
    m->vanished = m->fault == LGT_COMM_FAULT_VANISH;
    if (m->flips) return LGT_OK;
    lgt_fail(&told, LGT_ERR_COMM, "rank %d failed in its call %lld, %s, by an injected fault", m->rank,
             (long long)m->calls, lgt_comm_op_name(op));
    if (!m->vanished) break_group(m->group, "%s", told.message);
    return lgt_fail(err, LGT_ERR_COMM, "%s", told.message);
}

/* The lowest bit of the last byte: in a number, one of the exponent or the highest of a whole one. */
static void flip(void *end) {
    ((unsigned char *)end)[-1] ^= 1;
}

/* Part [from, to) of what rank r hands over comes to `into`. */
static void take(const member *r, char *into, const void *data, int64_t from, int64_t to) {
    if (to == from) return;
    memcpy(into, (const char *)data + from, (size_t)(to - from));
    if (r->flips) flip(into + (to - from));
}

/* ---- what moves ---- */

static void gather(const member *m) {
    const lgt_comm_group *group = m->group;
    const int64_t *at = m->call.offsets;
    for (int r = 0; r < group->size; r++)
        if (r != m->rank)
            take(&group->members[r], (char *)m->call.data + at[r], group->members[r].call.data, at[r], at[r + 1]);
}

static void exchange(const member *m) {
    const lgt_comm_group *group = m->group;
    char *into = m->call.data;
    for (int r = 0; r < group->size; r++) {
        const lgt_comm_call *theirs = &group->members[r].call;
        int64_t from = theirs->send_offsets[m->rank], to = theirs->send_offsets[m->rank + 1];
        if (r != m->rank)
            take(&group->members[r], into + m->call.offsets[r], theirs->send, from, to);
        else if (to > from)
            memcpy(into + m->call.offsets[r], (const char *)theirs->send + from, (size_t)(to - from));
    }
}

/* Each rank joins one slice of the values, in the order of ranks in the array of rank 0, and hands it to all. */
static void join(const member *m) {
    const lgt_comm_group *group = m->group;
    size_t each = lgt_dtype_size(m->call.dtype);
    int64_t from = lgt_comm_cut(m->call.n, group->size, m->rank),
            to = lgt_comm_cut(m->call.n, group->size, m->rank + 1);
    if (to == from) return;
    char *sum = (char *)group->members[0].call.data + (size_t)from * each;
    for (int r = 0; r < group->size; r++) {
        char *part = (char *)group->members[r].call.data + (size_t)from * each;
        if (group->members[r].flips && to == m->call.n) flip(part + (size_t)(to - from) * each);
        if (r > 0) lgt_comm_join(m->call.op, m->call.dtype, sum, part, to - from);
    }
    for (int r = 1; r < group->size; r++)
        memcpy((char *)group->members[r].call.data + (size_t)from * each, sum, (size_t)(to - from) * each);
}

static void broadcast(const member *m) {
    const member *root = &m->group->members[m->call.root];
    if (m != root) take(root, m->call.data, root->call.data, 0, m->call.n);
}

static void move(const member *m) {
    switch (m->call.op) {
    case LGT_COMM_GATHER:
        gather(m);
        break;
    case LGT_COMM_EXCHANGE:
        exchange(m);
        break;
    case LGT_COMM_SUM:
    case LGT_COMM_MAX:
        join(m);
        break;
    case LGT_COMM_BROADCAST:
        broadcast(m);
        break;
    case LGT_COMM_BARRIER:
        break;
    }
}

/* ---- meetings ---- */

static struct timespec deadline_after(double seconds) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double whole = (double)(int64_t)seconds;
    t.tv_sec += (time_t)whole;
    t.tv_nsec += (long)((seconds - whole) * 1e9);
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    return t;
}

static void turn_over(lgt_comm_group *group) {
    group->arrived = 0;
    group->turn++;
    for (int r = 0; r < group->size; r++) group->members[r].waiting = 0;
    pthread_cond_broadcast(&group->turned);
}

/* The last to come looks at all calls: those that do not belong together break the group. */
static int belong_together(lgt_comm_group *group) {
    lgt_error err;
    for (int a = 0; a < group->size; a++) {
        int pairs = group->members[0].call.op == LGT_COMM_EXCHANGE; /* the others are compared with rank 0 alone */
        for (int b = a + 1; b < group->size && (a == 0 || pairs); b++)
            if (lgt_comm_call_match(&group->members[a].call, a, &group->members[b].call, b, group->size, &err)) {
                break_group(group, "%s", err.message);
                return 0;
            }
    }
    return 1;
}

/* Waits until all have come with calls that belong together, or the group breaks. Who was let through goes to leave. */
static lgt_status meet(member *m, lgt_error *err) {
    lgt_comm_group *group = m->group;
    struct timespec deadline = deadline_after(group->timeout);
    int64_t turn = group->turn;
    m->waiting = 1;
    if (++group->arrived == group->size && belong_together(group)) turn_over(group);
    while (group->turn == turn && !group->broken)
        if (pthread_cond_timedwait(&group->turned, &group->mutex, &deadline) && group->turn == turn)
            break_for_missing(group, m->call.op);
    return group->turn != turn ? lgt_succeed(err) : lgt_fail(err, LGT_ERR_COMM, "%s", group->reason);
}

/* Waits until all have what they need: copying ends, so there is no deadline, and such a call has succeeded even if the
 * group breaks now. */
static void leave(lgt_comm_group *group) {
    int64_t turn = group->turn;
    if (++group->arrived == group->size) turn_over(group);
    while (group->turn == turn) pthread_cond_wait(&group->turned, &group->mutex);
}

static lgt_status enter(member *m, const lgt_comm_call *call, lgt_error *err) {
    lgt_comm_group *group = m->group;
    lgt_error wrong;
    m->calls++;
    lgt_status status = suffer(m, call->op, err);
    if (status) return status;
    if (group->broken) return lgt_fail(err, LGT_ERR_COMM, "%s", group->reason);
    if (lgt_comm_call_check(call, m->rank, group->size, &wrong)) {
        break_group(group, "rank %d gave up: %s", m->rank, wrong.message);
        return lgt_fail(err, LGT_ERR_COMM, "%s", group->reason);
    }
    m->call = *call;
    return meet(m, err);
}

static lgt_status collective(lgt_comm_server *user, const lgt_comm_call *call, lgt_error *err) {
    member *m = (member *)user;
    lgt_comm_group *group = m->group;
    pthread_mutex_lock(&group->mutex);
    lgt_status status = enter(m, call, err);
    if (status == LGT_OK) {
        m->sent += lgt_comm_call_sent(call, m->rank, group->size);
        pthread_mutex_unlock(&group->mutex);
        move(m);
        pthread_mutex_lock(&group->mutex);
        leave(group);
    }
    pthread_mutex_unlock(&group->mutex);
    return status;
}

/* ---- groups ---- */

static void break_from(void *user, int code, const char *reason) {
    member *m = user;
    pthread_mutex_lock(&m->group->mutex);
    break_group(m->group, "rank %d aborted with code %d: %s", m->rank, code, reason ? reason : "no reason given");
    pthread_mutex_unlock(&m->group->mutex);
}

/* The condition keeps the clock that no one sets. */
static int start_locks(lgt_comm_group *group) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes)) return 0;
    int refused =
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) || pthread_cond_init(&group->turned, &attributes);
    pthread_condattr_destroy(&attributes);
    if (refused) return 0;
    if (pthread_mutex_init(&group->mutex, NULL) == 0) return 1;
    pthread_cond_destroy(&group->turned);
    return 0;
}

/* A group outlives the contexts of its ranks, so its memory is the C library's. */
lgt_status lgt_comm_group_create(int size, double timeout, lgt_comm_group **out, lgt_comm *comms, lgt_error *err) {
    double seconds = 0;
    lgt_status status = lgt_comm_timeout_check(timeout, &seconds, err);
    if (status) return status;
    if (size < 1 || size > MOST_RANKS)
        return lgt_fail(err, LGT_ERR_USAGE, "size is %d, expected 1 to %d", size, MOST_RANKS);
    lgt_comm_group *group = calloc(1, sizeof *group + (size_t)size * sizeof *group->members);
    if (!group || !start_locks(group)) {
        free(group);
        return lgt_fail(err, LGT_ERR_MEMORY, "out of memory: a group of %d ranks was refused", size);
    }
    group->size = size, group->timeout = seconds;
    for (int r = 0; r < size; r++) {
        group->members[r].group = group, group->members[r].rank = r;
        group->members[r].server.collective = collective;
        lgt_comm_fill(&comms[r], r, size, &group->members[r].server, break_from);
    }
    *out = group;
    return lgt_succeed(err);
}

void lgt_comm_group_free(lgt_comm_group *group) {
    if (!group) return;
    pthread_mutex_destroy(&group->mutex);
    pthread_cond_destroy(&group->turned);
    free(group);
}

lgt_status lgt_comm_group_inject(lgt_comm_group *group, int rank, int64_t call, lgt_comm_fault fault, lgt_error *err) {
    if (rank < 0 || rank >= group->size) return lgt_fail(err, LGT_ERR_USAGE, "rank is %d of %d", rank, group->size);
    if (fault != LGT_COMM_FAULT_FAIL && fault != LGT_COMM_FAULT_VANISH && fault != LGT_COMM_FAULT_FLIP)
        return lgt_fail(err, LGT_ERR_USAGE, "fault is %d, expected 0 to 2", (int)fault);
    member *m = &group->members[rank];
    lgt_status status = lgt_succeed(err);
    pthread_mutex_lock(&group->mutex);
    if (call <= m->calls)
        status = lgt_fail(err, LGT_ERR_USAGE, "call is %lld, but rank %d has made %lld", (long long)call, rank,
                          (long long)m->calls);
    else
        m->fault_call = call, m->fault = fault;
    pthread_mutex_unlock(&group->mutex);
    return status;
}

int64_t lgt_comm_group_sent(const lgt_comm_group *group, int rank) {
    pthread_mutex_t *mutex = &group->members[rank].group->mutex; /* its lock is no part of what a reader sees */
    pthread_mutex_lock(mutex);
    int64_t sent = group->members[rank].sent;
    pthread_mutex_unlock(mutex);
    return sent;
}
