/* The communicator over MPI (3.1, point to point), in a library of its own: one source for every MPI there is.
 *
 * All calls are made of nonblocking messages between pairs, so that whoever does not come within the time is known by
 * name; a collective of MPI's own would wait for ever and tell nothing. */
#include "logitude/mpi.h"

#include <mpi.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "comm/call.h"

/* MPI counts in int, so long parts go in pieces. Pieces are short because each that ends is a sign of life: a rank that
 * sees none dozes, and where it has to help with the copying (MPICH) that costs four fifths of the speed. Tests lower
 * it further. */
#ifndef LGT_MPI_PIECE
#define LGT_MPI_PIECE (1 << 22)
#endif

/* Sums of at most so many bytes a rank go to all at once, in one journey instead of two. */
enum { ONE_JOURNEY = 32768 };

/* Tags carry the call, so that a rank in another function is noticed: at least 32767 is there for them. */
enum { OPS = 8, SEQUENCES = 4096 };

typedef struct message {
    int peer, bytes, receives;
} message;

struct lgt_mpi {
    lgt_comm_server server;
    MPI_Comm comm;
    int rank, size;
    int began; /* MPI, which therefore ends with this */
    double timeout;
    int sequence; /* of the call under way */
    int count, capacity, left;
    MPI_Request *requests; /* (capacity), null when done; those beyond count are not in use */
    message *messages;     /* (capacity) */
    char *scratch;
    size_t scratch_bytes;
    int broken;
    char reason[400];
};

static lgt_status LGT_PRINTF(2, 3) give_up(lgt_mpi *mpi, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(mpi->reason, sizeof mpi->reason, format, args);
    va_end(args);
    mpi->broken = 1;
    return LGT_ERR_COMM;
}

static lgt_status refuse(lgt_mpi *mpi, const char *what, int code) {
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return give_up(mpi, "%s: MPI says: %.300s", what, text);
}

/* ---- messages ---- */

static int tag_of(const lgt_mpi *mpi, lgt_comm_op op) {
    return mpi->sequence * OPS + (int)op;
}

static lgt_status reserve_message(lgt_mpi *mpi) {
    if (mpi->count < mpi->capacity) return LGT_OK;
    int capacity = 2 * mpi->capacity + 16;
    MPI_Request *requests = realloc(mpi->requests, (size_t)capacity * sizeof *requests);
    if (requests) mpi->requests = requests;
    message *messages = realloc(mpi->messages, (size_t)capacity * sizeof *messages);
    if (messages) mpi->messages = messages;
    if (!requests || !messages) return give_up(mpi, "out of memory: %d messages on rank %d", capacity, mpi->rank);
    mpi->capacity = capacity;
    return LGT_OK;
}

/* Begins the receipt (or the sending, which only reads) of `bytes` bytes at `data`. */
static lgt_status post(lgt_mpi *mpi, lgt_comm_op op, int receives, int peer, void *data, int64_t bytes) {
    for (int64_t at = 0; at < bytes; at += LGT_MPI_PIECE) {
        int64_t rest = bytes - at, length = rest < LGT_MPI_PIECE ? rest : LGT_MPI_PIECE;
        lgt_status status = reserve_message(mpi);
        if (status) return status;
        MPI_Request *request = &mpi->requests[mpi->count];
        char *from = (char *)data + at;
        int tag = tag_of(mpi, op);
        int code = receives ? MPI_Irecv(from, (int)length, MPI_BYTE, peer, tag, mpi->comm, request)
                            : MPI_Isend(from, (int)length, MPI_BYTE, peer, tag, mpi->comm, request);
        if (code != MPI_SUCCESS) return refuse(mpi, lgt_comm_op_name(op), code);
        mpi->messages[mpi->count++] = (message){peer, (int)length, receives};
        mpi->left++;
    }
    return LGT_OK;
}

static lgt_status post_receive(lgt_mpi *mpi, lgt_comm_op op, int peer, void *data, int64_t bytes) {
    return post(mpi, op, 1, peer, data, bytes);
}

static lgt_status post_send(lgt_mpi *mpi, lgt_comm_op op, int peer, const void *data, int64_t bytes) {
    return post(mpi, op, 0, peer, (void *)data, bytes);
}

/* A rank that sent this call's number under another function is not missing but astray. */
static lgt_status find_stray(lgt_mpi *mpi, lgt_comm_op op) {
    for (int other = LGT_COMM_GATHER; other <= LGT_COMM_BARRIER; other++) {
        MPI_Status status;
        int found = 0;
        if (other == (int)op) continue;
        MPI_Iprobe(MPI_ANY_SOURCE, tag_of(mpi, (lgt_comm_op)other), mpi->comm, &found, &status);
        if (found)
            return give_up(mpi, "rank %d called %s while rank %d called %s", status.MPI_SOURCE,
                           lgt_comm_op_name((lgt_comm_op)other), mpi->rank, lgt_comm_op_name(op));
    }
    return LGT_OK;
}

static lgt_status name_missing(lgt_mpi *mpi, const char *what) {
    char names[120];
    unsigned char *missing = calloc((size_t)mpi->size, 1);
    if (!missing) return give_up(mpi, "not all ranks came to %s within %g s", what, mpi->timeout);
    for (int i = 0; i < mpi->count; i++)
        if (mpi->requests[i] != MPI_REQUEST_NULL) missing[mpi->messages[i].peer] = 1;
    lgt_comm_name_ranks(missing, mpi->size, names, sizeof names);
    free(missing);
    return give_up(mpi, "%s did not come to %s within %g s", names, what, mpi->timeout);
}

/* What a rank does that has waited so long in vain: turn at once, let others run, then sleep for a twentieth of the
 * time waited, at most 1 ms. That costs nothing where each rank has a processor, and little where they share one. */
static void pause_after(double waited) {
    static const double spins = 50e-6, yields = 1e-3;
    if (waited < spins) return;
    if (waited < yields) {
        sched_yield();
        return;
    }
    double nap = waited / 20 < 1e-3 ? waited / 20 : 1e-3;
    nanosleep(&(struct timespec){0, (long)(nap * 1e9)}, NULL);
}

/* Message i has come or gone: did all of it? */
static lgt_status check_length(lgt_mpi *mpi, lgt_comm_op op, int i, const MPI_Status *status) {
    const message *m = &mpi->messages[i];
    int bytes = m->bytes;
    if (m->receives) MPI_Get_count(status, MPI_BYTE, &bytes);
    if (bytes == m->bytes) return LGT_OK;
    return give_up(mpi, "%s: rank %d sent %d bytes to rank %d, which expects %d", lgt_comm_op_name(op), m->peer, bytes,
                   mpi->rank, m->bytes);
}

static lgt_status end_message(lgt_mpi *mpi, lgt_comm_op op, int code, int i, const MPI_Status *status) {
    int class = MPI_SUCCESS;
    mpi->left--;
    if (code == MPI_SUCCESS) return check_length(mpi, op, i, status);
    MPI_Error_class(code, &class);
    if (class == MPI_ERR_TRUNCATE)
        return give_up(mpi, "%s: rank %d sent more to rank %d than the %d bytes that are expected",
                       lgt_comm_op_name(op), mpi->messages[i].peer, mpi->rank, mpi->messages[i].bytes);
    return refuse(mpi, lgt_comm_op_name(op), code);
}

/* Waits for all messages under way. Every one that ends starts the time anew: long parts may take long. */
static lgt_status complete(lgt_mpi *mpi, lgt_comm_op op) {
    static const double suspicious = 0.1;
    lgt_status status = LGT_OK;
    double since = lgt_clock_now();
    while (mpi->left > 0 && status == LGT_OK) {
        int i = MPI_UNDEFINED, done = 0;
        MPI_Status ended;
        int code = MPI_Testany(mpi->count, mpi->requests, &i, &done, &ended);
        if (code != MPI_SUCCESS && i == MPI_UNDEFINED) return refuse(mpi, lgt_comm_op_name(op), code);
        if (code != MPI_SUCCESS || (done && i != MPI_UNDEFINED)) {
            status = end_message(mpi, op, code, i, &ended);
            if (mpi->left > 0) since = lgt_clock_now();
            continue;
        }
        double waited = lgt_clock_now() - since;
        if (waited > suspicious) status = find_stray(mpi, op);
        if (status == LGT_OK && waited > mpi->timeout) status = name_missing(mpi, lgt_comm_op_name(op));
        if (status == LGT_OK) pause_after(waited);
    }
    mpi->count = 0;
    return status;
}

/* ---- the calls ---- */

/* The k-th rank after this one: with each beginning at another, no one is everyone's first. */
static int peer_of(const lgt_mpi *mpi, int k) {
    return (mpi->rank + k) % mpi->size;
}

static lgt_status post_receives(lgt_mpi *mpi, lgt_comm_op op, char *data, const int64_t *at) {
    lgt_status status = LGT_OK;
    for (int k = 1; k < mpi->size && status == LGT_OK; k++) {
        int r = peer_of(mpi, mpi->size - k);
        status = post_receive(mpi, op, r, data + at[r], at[r + 1] - at[r]);
    }
    return status;
}

static lgt_status gather(lgt_mpi *mpi, lgt_comm_op op, char *data, const int64_t *at) {
    lgt_status status = post_receives(mpi, op, data, at);
    int me = mpi->rank;
    for (int k = 1; k < mpi->size && status == LGT_OK; k++)
        status = post_send(mpi, op, peer_of(mpi, k), data + at[me], at[me + 1] - at[me]);
    return status ? status : complete(mpi, op);
}

static lgt_status exchange(lgt_mpi *mpi, lgt_comm_op op, const char *send, const int64_t *from, char *data,
                           const int64_t *at) {
    lgt_status status = post_receives(mpi, op, data, at);
    int me = mpi->rank;
    for (int k = 1; k < mpi->size && status == LGT_OK; k++) {
        int r = peer_of(mpi, k);
        status = post_send(mpi, op, r, send + from[r], from[r + 1] - from[r]);
    }
    if (status) return status;
    if (at[me + 1] > at[me]) memcpy(data + at[me], send + from[me], (size_t)(at[me + 1] - at[me]));
    return complete(mpi, op);
}

static lgt_status reserve_scratch(lgt_mpi *mpi, size_t bytes) {
    if (bytes <= mpi->scratch_bytes) return LGT_OK;
    free(mpi->scratch);
    mpi->scratch = malloc(bytes);
    mpi->scratch_bytes = mpi->scratch ? bytes : 0;
    return mpi->scratch ? LGT_OK : give_up(mpi, "out of memory: %zu bytes for a sum on rank %d", bytes, mpi->rank);
}

/* Puts the sum or maximum of the ranks' arrays of n, which lie in the scratch in rank order, into `into`. */
static void join_parts(lgt_mpi *mpi, const lgt_comm_call *call, int64_t n, void *into) {
    size_t bytes = (size_t)n * lgt_dtype_size(call->dtype);
    if (bytes == 0) return;
    for (int r = 1; r < mpi->size; r++)
        lgt_comm_join(call->op, call->dtype, mpi->scratch, mpi->scratch + (size_t)r * bytes, n);
    memcpy(into, mpi->scratch, bytes);
}

/* Everyone sends all values to everyone. */
static lgt_status join_at_once(lgt_mpi *mpi, const lgt_comm_call *call) {
    int64_t bytes = call->n * (int64_t)lgt_dtype_size(call->dtype);
    lgt_status status = reserve_scratch(mpi, (size_t)(bytes * mpi->size));
    for (int k = 1; k < mpi->size && status == LGT_OK; k++) {
        int r = peer_of(mpi, mpi->size - k);
        status = post_receive(mpi, call->op, r, mpi->scratch + r * bytes, bytes);
    }
    for (int k = 1; k < mpi->size && status == LGT_OK; k++)
        status = post_send(mpi, call->op, peer_of(mpi, k), call->data, bytes);
    if (status == LGT_OK) memcpy(mpi->scratch + mpi->rank * bytes, call->data, (size_t)bytes);
    if (status == LGT_OK) status = complete(mpi, call->op);
    if (status == LGT_OK) join_parts(mpi, call, call->n, call->data);
    return status;
}

/* Each joins one slice of the values, and the slices are gathered: twice the values travel, whatever P. */
static lgt_status join_in_slices(lgt_mpi *mpi, const lgt_comm_call *call) {
    int64_t each = (int64_t)lgt_dtype_size(call->dtype), size = mpi->size;
    int64_t mine = lgt_comm_cut(call->n, mpi->size, mpi->rank + 1) - lgt_comm_cut(call->n, mpi->size, mpi->rank);
    int64_t *slices = malloc(2 * ((size_t)size + 1) * sizeof *slices), *parts = slices + size + 1;
    if (!slices) return give_up(mpi, "out of memory: %d slices of a sum", mpi->size);
    for (int r = 0; r <= mpi->size; r++) {
        slices[r] = lgt_comm_cut(call->n, mpi->size, r) * each;
        parts[r] = r * mine * each;
    }
    lgt_status status = reserve_scratch(mpi, (size_t)(mine * each * size) + 1);
    if (status == LGT_OK) status = exchange(mpi, call->op, call->data, slices, mpi->scratch, parts);
    if (status == LGT_OK) {
        join_parts(mpi, call, mine, (char *)call->data + slices[mpi->rank]);
        status = gather(mpi, call->op, call->data, slices);
    }
    free(slices);
    return status;
}

static lgt_status join(lgt_mpi *mpi, const lgt_comm_call *call) {
    int64_t bytes = call->n * (int64_t)lgt_dtype_size(call->dtype);
    if (bytes == 0) return LGT_OK;
    return bytes <= ONE_JOURNEY ? join_at_once(mpi, call) : join_in_slices(mpi, call);
}

static lgt_status broadcast(lgt_mpi *mpi, const lgt_comm_call *call) {
    lgt_status status = LGT_OK;
    if (mpi->rank != call->root) status = post_receive(mpi, call->op, call->root, call->data, call->n);
    for (int k = 1; k < mpi->size && status == LGT_OK && mpi->rank == call->root; k++)
        status = post_send(mpi, call->op, peer_of(mpi, k), call->data, call->n);
    return status ? status : complete(mpi, call->op);
}

/* A byte from each to each. */
static lgt_status barrier(lgt_mpi *mpi) {
    lgt_status status = reserve_scratch(mpi, (size_t)mpi->size);
    for (int k = 1; k < mpi->size && status == LGT_OK; k++)
        status = post_receive(mpi, LGT_COMM_BARRIER, peer_of(mpi, k), mpi->scratch + k, 1);
    for (int k = 1; k < mpi->size && status == LGT_OK; k++)
        status = post_send(mpi, LGT_COMM_BARRIER, peer_of(mpi, k), mpi->scratch, 1);
    return status ? status : complete(mpi, LGT_COMM_BARRIER);
}

static lgt_status serve(lgt_mpi *mpi, const lgt_comm_call *call) {
    switch (call->op) {
    case LGT_COMM_GATHER:
        return gather(mpi, call->op, call->data, call->offsets);
    case LGT_COMM_EXCHANGE:
        return exchange(mpi, call->op, call->send, call->send_offsets, call->data, call->offsets);
    case LGT_COMM_SUM:
    case LGT_COMM_MAX:
        return join(mpi, call);
    case LGT_COMM_BROADCAST:
        return broadcast(mpi, call);
    case LGT_COMM_BARRIER:
        break;
    }
    return barrier(mpi);
}

static lgt_status collective(lgt_comm_server *user, const lgt_comm_call *call, lgt_error *err) {
    lgt_mpi *mpi = (lgt_mpi *)user;
    lgt_error wrong;
    lgt_status status = LGT_ERR_COMM;
    mpi->sequence = (mpi->sequence + 1) % SEQUENCES;
    if (!mpi->broken && lgt_comm_call_check(call, mpi->rank, mpi->size, &wrong))
        give_up(mpi, "rank %d gave up: %s", mpi->rank, wrong.message);
    if (!mpi->broken) status = serve(mpi, call);
    return status ? lgt_fail(err, status, "%s", mpi->reason) : lgt_succeed(err);
}

/* MPI ends the processes; it knows no reasons. What the caller has just printed needs a moment to pass through mpirun
 * (MPICH's drops it otherwise). It is the world that is aborted, not its duplicate: MPICH 4.0 may turn for ever in an
 * abort of the latter when a rank has stopped. */
static void end_all(void *user, int code, const char *reason) {
    static const struct timespec moment = {0, 100000000};
    (void)user, (void)reason;
    nanosleep(&moment, NULL);
    MPI_Abort(MPI_COMM_WORLD, code ? code : LGT_ERR_COMM);
}

/* ---- beginning and end ---- */

static lgt_status begin(lgt_mpi *mpi, lgt_error *err) {
    int begun = 0, ended = 0, level = MPI_THREAD_SINGLE, code = MPI_SUCCESS;
    MPI_Initialized(&begun);
    MPI_Finalized(&ended);
    if (ended) return lgt_fail(err, LGT_ERR_COMM, "MPI has ended in this process and cannot begin again");
    if (begun)
        MPI_Query_thread(&level);
    else
        code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
    if (code != MPI_SUCCESS) return lgt_fail(err, LGT_ERR_COMM, "MPI does not begin: code %d", code);
    mpi->began = !begun;
    if (level >= MPI_THREAD_FUNNELED) return LGT_OK;
    return lgt_fail(err, LGT_ERR_UNSUPPORTED,
                    "MPI was set up for programs without threads, expected at least "
                    "MPI_THREAD_FUNNELED");
}

/* A duplicate of MPI_COMM_WORLD, in which errors return. */
static lgt_status join_world(lgt_mpi *mpi) {
    lgt_status status = reserve_message(mpi);
    if (status) return status;
    MPI_Comm_rank(MPI_COMM_WORLD, &mpi->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &mpi->size);
    int code = MPI_Comm_idup(MPI_COMM_WORLD, &mpi->comm, &mpi->requests[0]);
    if (code != MPI_SUCCESS) return refuse(mpi, "a duplicate of MPI_COMM_WORLD", code);
    double since = lgt_clock_now();
    for (int done = 0; !done;) {
        code = MPI_Test(&mpi->requests[0], &done, MPI_STATUS_IGNORE);
        if (code != MPI_SUCCESS) return refuse(mpi, "a duplicate of MPI_COMM_WORLD", code);
        double waited = lgt_clock_now() - since;
        if (!done && waited > mpi->timeout)
            return give_up(mpi, "not all of %d ranks began within %g s", mpi->size, mpi->timeout);
        if (!done) pause_after(waited);
    }
    MPI_Comm_set_errhandler(mpi->comm, MPI_ERRORS_RETURN);
    return LGT_OK;
}

/* After a barrier, because MPI offers no way to give this up. */
static lgt_status count_local_ranks(lgt_mpi *mpi, int *local_ranks) {
    MPI_Comm local;
    lgt_status status = barrier(mpi);
    if (status) return status;
    int code = MPI_Comm_split_type(mpi->comm, MPI_COMM_TYPE_SHARED, mpi->rank, MPI_INFO_NULL, &local);
    if (code != MPI_SUCCESS) return refuse(mpi, "the ranks of this machine", code);
    MPI_Comm_size(local, local_ranks);
    MPI_Comm_free(&local);
    return LGT_OK;
}

static void release(lgt_mpi *mpi) {
    free(mpi->scratch);
    free(mpi->messages);
    free(mpi->requests);
    free(mpi);
}

lgt_status lgt_mpi_create(double timeout, lgt_mpi **out, lgt_comm *comm, int *local_ranks, lgt_error *err) {
    int here = 1;
    lgt_mpi *mpi = calloc(1, sizeof *mpi);
    if (!mpi) return lgt_fail(err, LGT_ERR_MEMORY, "out of memory: a communicator was refused");
    lgt_status status = lgt_comm_timeout_check(timeout, &mpi->timeout, err);
    if (status == LGT_OK) status = begin(mpi, err);
    if (status == LGT_OK) {
        status = join_world(mpi);
        if (status == LGT_OK) status = count_local_ranks(mpi, &here);
        if (status) lgt_fail(err, status, "%s", mpi->reason);
    }
    if (status) { /* MPI is left as it is: an end would wait for the ranks that this one did not find */
        release(mpi);
        return status;
    }
    mpi->server.collective = collective;
    lgt_comm_fill(comm, mpi->rank, mpi->size, &mpi->server, end_all);
    if (local_ranks) *local_ranks = here;
    *out = mpi;
    return lgt_succeed(err);
}

/* MPI's own end waits for ever, so all meet before it. */
void lgt_mpi_free(lgt_mpi *mpi) {
    if (!mpi) return;
    mpi->sequence = (mpi->sequence + 1) % SEQUENCES;
    if (mpi->broken || barrier(mpi)) end_all(mpi, LGT_ERR_COMM, mpi->reason);
    MPI_Comm_free(&mpi->comm);
    if (mpi->began) MPI_Finalize();
    release(mpi);
}
