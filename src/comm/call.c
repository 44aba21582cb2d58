/* One collective call of a communicator as data. */
#include "comm/call.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/sizes.h"

const char *lgt_comm_op_name(lgt_comm_op op) {
    static const char *const names[] = {"gather", "exchange", "sum", "max", "broadcast", "barrier"};
    return names[op];
}

lgt_status lgt_comm_timeout_check(double timeout, double *seconds, lgt_error *err) {
    static const double usual = 300, most = 1e9; /* about 30 years: any clock can tell that time */
    if (!(timeout >= 0)) return lgt_fail(err, LGT_ERR_USAGE, "timeout is %g s, expected 0 or more", timeout);
    *seconds = timeout == 0 ? usual : fmin(timeout, most);
    return LGT_OK;
}

static lgt_status check_offsets(const int64_t *offsets, int size, lgt_error *err) {
    if (offsets[0] < 0)
        return lgt_fail(err, LGT_ERR_COMM, "offsets[0] is %lld, expected 0 or more", (long long)offsets[0]);
    for (int r = 0; r < size; r++)
        if (offsets[r + 1] < offsets[r])
            return lgt_fail(err, LGT_ERR_COMM, "offsets[%d] is %lld after %lld, expected rising ones", r + 1,
                            (long long)offsets[r + 1], (long long)offsets[r]);
    return LGT_OK;
}

static lgt_status check_values(const lgt_comm_call *call, lgt_error *err) {
    int64_t bytes;
    if (call->dtype != LGT_F32 && call->dtype != LGT_F64 && call->dtype != LGT_I64)
        return lgt_fail(err, LGT_ERR_COMM, "values of type %s, expected f32, f64 or i64", lgt_dtype_name(call->dtype));
    if (!lgt_count_mul(call->n, (int64_t)lgt_dtype_size(call->dtype), &bytes))
        return lgt_fail(err, LGT_ERR_COMM, "%lld values of type %s do not fit in memory", (long long)call->n,
                        lgt_dtype_name(call->dtype));
    return LGT_OK;
}

static lgt_status check_broadcast(const lgt_comm_call *call, int size, lgt_error *err) {
    if (call->root < 0 || call->root >= size)
        return lgt_fail(err, LGT_ERR_COMM, "root is %d of %d ranks", call->root, size);
    if (call->n < 0) return lgt_fail(err, LGT_ERR_COMM, "%lld bytes", (long long)call->n);
    return LGT_OK;
}

static lgt_status check_exchange(const lgt_comm_call *call, int rank, int size, lgt_error *err) {
    lgt_status status = check_offsets(call->send_offsets, size, err);
    if (status == LGT_OK) status = check_offsets(call->offsets, size, err);
    if (status) return status;
    int64_t sent = call->send_offsets[rank + 1] - call->send_offsets[rank];
    int64_t expected = call->offsets[rank + 1] - call->offsets[rank];
    if (sent == expected) return LGT_OK;
    return lgt_fail(err, LGT_ERR_COMM, "%lld bytes for the rank itself, which expects %lld", (long long)sent,
                    (long long)expected);
}

static lgt_status check_arguments(const lgt_comm_call *call, int rank, int size, lgt_error *err) {
    switch (call->op) {
    case LGT_COMM_GATHER:
        return check_offsets(call->offsets, size, err);
    case LGT_COMM_EXCHANGE:
        return check_exchange(call, rank, size, err);
    case LGT_COMM_SUM:
    case LGT_COMM_MAX:
        return check_values(call, err);
    case LGT_COMM_BROADCAST:
        return check_broadcast(call, size, err);
    case LGT_COMM_BARRIER:
        break;
    }
    return LGT_OK;
}

lgt_status lgt_comm_call_check(const lgt_comm_call *call, int rank, int size, lgt_error *err) {
    lgt_status status = check_arguments(call, rank, size, err);
    return status ? lgt_fail_within(err, status, "%s: ", lgt_comm_op_name(call->op)) : LGT_OK;
}

static lgt_status match_gather(const lgt_comm_call *x, int a, const lgt_comm_call *y, int b, int size, lgt_error *err) {
    for (int r = 0; r <= size; r++)
        if (x->offsets[r] != y->offsets[r])
            return lgt_fail(err, LGT_ERR_COMM, "gather: offsets[%d] is %lld on rank %d and %lld on rank %d", r,
                            (long long)x->offsets[r], a, (long long)y->offsets[r], b);
    return LGT_OK;
}

/* What goes from a to b. */
static lgt_status match_way(const lgt_comm_call *x, int a, const lgt_comm_call *y, int b, lgt_error *err) {
    int64_t sent = x->send_offsets[b + 1] - x->send_offsets[b], expected = y->offsets[a + 1] - y->offsets[a];
    if (sent == expected) return LGT_OK;
    return lgt_fail(err, LGT_ERR_COMM, "exchange: rank %d sends %lld bytes to rank %d, which expects %lld", a,
                    (long long)sent, b, (long long)expected);
}

static lgt_status match_values(const lgt_comm_call *x, int a, const lgt_comm_call *y, int b, lgt_error *err) {
    if (x->n == y->n && x->dtype == y->dtype) return LGT_OK;
    return lgt_fail(err, LGT_ERR_COMM, "%s: rank %d brings %lld values of type %s, rank %d %lld of type %s",
                    lgt_comm_op_name(x->op), a, (long long)x->n, lgt_dtype_name(x->dtype), b, (long long)y->n,
                    lgt_dtype_name(y->dtype));
}

static lgt_status match_broadcast(const lgt_comm_call *x, int a, const lgt_comm_call *y, int b, lgt_error *err) {
    if (x->n == y->n && x->root == y->root) return LGT_OK;
    return lgt_fail(err, LGT_ERR_COMM,
                    "broadcast: %lld bytes from rank %d on rank %d, %lld bytes from rank %d on rank %d",
                    (long long)x->n, x->root, a, (long long)y->n, y->root, b);
}

lgt_status lgt_comm_call_match(const lgt_comm_call *x, int a, const lgt_comm_call *y, int b, int size, lgt_error *err) {
    lgt_status status = LGT_OK;
    if (x->op != y->op)
        return lgt_fail(err, LGT_ERR_COMM, "rank %d called %s while rank %d called %s", b, lgt_comm_op_name(y->op), a,
                        lgt_comm_op_name(x->op));
    switch (x->op) {
    case LGT_COMM_GATHER:
        return match_gather(x, a, y, b, size, err);
    case LGT_COMM_EXCHANGE:
        status = match_way(x, a, y, b, err);
        return status ? status : match_way(y, b, x, a, err);
    case LGT_COMM_SUM:
    case LGT_COMM_MAX:
        return match_values(x, a, y, b, err);
    case LGT_COMM_BROADCAST:
        return match_broadcast(x, a, y, b, err);
    case LGT_COMM_BARRIER:
        break;
    }
    return LGT_OK;
}

int64_t lgt_comm_call_sent(const lgt_comm_call *call, int rank, int size) {
    const int64_t *to = call->send_offsets;
    switch (call->op) {
    case LGT_COMM_GATHER:
        return (call->offsets[rank + 1] - call->offsets[rank]) * (size - 1);
    case LGT_COMM_EXCHANGE:
        return to[size] - to[0] - (to[rank + 1] - to[rank]);
    case LGT_COMM_SUM:
    case LGT_COMM_MAX:
        return call->n * (int64_t)lgt_dtype_size(call->dtype) * (size - 1);
    case LGT_COMM_BROADCAST:
        return rank == call->root ? call->n * (size - 1) : 0;
    case LGT_COMM_BARRIER:
        break;
    }
    return 0;
}

/* A sum of integers wraps, as that of unsigned ones does. */
#define PLUS(a, b)       ((a) + (b))
#define PLUS_WHOLE(a, b) ((int64_t)((uint64_t)(a) + (uint64_t)(b)))
#define LARGER(a, b)     ((a) > (b) ? (a) : (b))
#define JOIN(type, operation)                                                                                          \
    do {                                                                                                               \
        type *x = into;                                                                                                \
        const type *y = part;                                                                                          \
        for (int64_t i = 0; i < n; i++) x[i] = operation(x[i], y[i]);                                                  \
    } while (0)

void lgt_comm_join(lgt_comm_op op, lgt_dtype dtype, void *into, const void *part, int64_t n) {
    int sums = op == LGT_COMM_SUM;
    if (dtype == LGT_F32 && sums)
        JOIN(float, PLUS);
    else if (dtype == LGT_F32)
        JOIN(float, LARGER);
    else if (dtype == LGT_F64 && sums)
        JOIN(double, PLUS);
    else if (dtype == LGT_F64)
        JOIN(double, LARGER);
    else if (sums)
        JOIN(int64_t, PLUS_WHOLE);
    else
        JOIN(int64_t, LARGER);
}

int64_t lgt_comm_cut(int64_t n, int parts, int index) {
    return n / parts * index + lgt_min64(n % parts, index);
}

void lgt_comm_name_ranks(const unsigned char *flags, int size, char *out, size_t room) {
    enum { NAMED = 8 };
    int count = 0, named = 0;
    size_t used = 0;
    for (int r = 0; r < size; r++) count += flags[r] != 0;
    out[0] = '\0';
    for (int r = 0; r < size && named < NAMED; r++) {
        if (!flags[r]) continue;
        const char *before = named == 0 ? count == 1 ? "rank " : "ranks " : named == count - 1 ? " and " : ", ";
        int length = snprintf(out + used, room - used, "%s%d", before, r);
        if (length < 0 || (size_t)length >= room - used) return;
        used += (size_t)length, named++;
    }
    if (count > named) snprintf(out + used, room - used, " and %d others", count - named);
}

/* ---- the functions of a communicator ---- */

static lgt_status serve(void *user, const lgt_comm_call *call, lgt_error *err) {
    lgt_comm_server *server = user;
    return server->collective(server, call, err);
}

static lgt_status gather(void *user, void *data, const int64_t *offsets, lgt_error *err) {
    return serve(user, &(lgt_comm_call){.op = LGT_COMM_GATHER, .data = data, .offsets = offsets}, err);
}

static lgt_status exchange(void *user, const void *send, const int64_t *send_offsets, void *receive,
                           const int64_t *receive_offsets, lgt_error *err) {
    lgt_comm_call call = {.op = LGT_COMM_EXCHANGE, .data = receive, .send = send};
    call.offsets = receive_offsets, call.send_offsets = send_offsets;
    return serve(user, &call, err);
}

static lgt_status sum(void *user, void *values, int64_t n, lgt_dtype dtype, lgt_error *err) {
    return serve(user, &(lgt_comm_call){.op = LGT_COMM_SUM, .data = values, .n = n, .dtype = dtype}, err);
}

static lgt_status max(void *user, void *values, int64_t n, lgt_dtype dtype, lgt_error *err) {
    return serve(user, &(lgt_comm_call){.op = LGT_COMM_MAX, .data = values, .n = n, .dtype = dtype}, err);
}

static lgt_status broadcast(void *user, void *data, int64_t bytes, int root, lgt_error *err) {
    return serve(user, &(lgt_comm_call){.op = LGT_COMM_BROADCAST, .data = data, .n = bytes, .root = root}, err);
}

static lgt_status barrier(void *user, lgt_error *err) {
    return serve(user, &(lgt_comm_call){.op = LGT_COMM_BARRIER}, err);
}

void lgt_comm_fill(lgt_comm *comm, int rank, int size, lgt_comm_server *server,
                   void (*abort)(void *user, int code, const char *reason)) {
    *comm = (lgt_comm){sizeof *comm, rank, size, server, gather, exchange, sum, max, broadcast, barrier, abort};
}
