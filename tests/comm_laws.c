/* The laws of a communicator. Every rank draws the arrays of all ranks from the seed, and so knows what must come. */
#include "comm_laws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"

enum { GUARD = 16, GUARD_BYTE = 0x5a };

/* One rank's view of a law. */
typedef struct law {
    const lgt_comm *comm;
    lgt_rng rng;    /* the same on all ranks */
    uint64_t drawn; /* numbers of it */
    int64_t largest;
    char *text;
    size_t room;
} law;

static int broken(law *l, const char *what, int64_t a, int64_t b) {
    snprintf(l->text, l->room, "rank %d of %d: %s (%lld, %lld)", l->comm->rank, l->comm->size, what, (long long)a,
             (long long)b);
    return 0;
}

static int refused(law *l, const char *what, const lgt_error *err) {
    snprintf(l->text, l->room, "rank %d of %d: %s: status %s: %s", l->comm->rank, l->comm->size, what,
             lgt_status_name(err->status), err->message);
    return 0;
}

/* 0 to most, small ones and odd ones often. */
static int64_t draw_size(law *l, int64_t most) {
    static const int64_t corners[] = {0, 0, 1, 2, 3, 7, 8, 9};
    uint64_t at = lgt_rng_below(&l->rng, l->drawn++, 16), any = lgt_rng_below(&l->rng, l->drawn++, (uint64_t)most + 1);
    int64_t size = at < 8 ? corners[at] : (int64_t)any;
    return size < most ? size : most;
}

/* Byte i of what `from` brings for `to` in this law. */
static unsigned char byte_of(const law *l, int from, int to, int64_t i) {
    uint64_t word = l->drawn * 1000003 + (uint64_t)from * 7919 + (uint64_t)to * 104729 + (uint64_t)i * 2654435761u;
    return (unsigned char)((word * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

/* An array of `bytes` between two guards, all of the guards' byte. */
static unsigned char *guarded(int64_t bytes) {
    unsigned char *block = malloc((size_t)bytes + 2 * GUARD);
    if (!block) abort();
    memset(block, GUARD_BYTE, (size_t)bytes + 2 * GUARD);
    return block + GUARD;
}

static int guards_stand(const unsigned char *data, int64_t bytes) {
    for (int i = 0; i < GUARD; i++)
        if (data[-1 - i] != GUARD_BYTE || data[bytes + i] != GUARD_BYTE) return 0;
    return 1;
}

static void release(unsigned char *data) {
    free(data - GUARD);
}

static int64_t *draw_offsets(law *l, int64_t most) {
    int64_t *offsets = malloc(((size_t)l->comm->size + 1) * sizeof *offsets);
    if (!offsets) abort();
    offsets[0] = draw_size(l, 9);
    for (int r = 0; r < l->comm->size; r++) offsets[r + 1] = offsets[r] + draw_size(l, most);
    return offsets;
}

/* Parts of any size, some empty, from anywhere: all are everywhere, and nothing else is touched. */
static int gather_brings_every_part_to_all(law *l) {
    const lgt_comm *c = l->comm;
    int64_t *at = draw_offsets(l, l->largest), end = at[c->size];
    unsigned char *data = guarded(end);
    lgt_error err = {LGT_OK, ""};
    for (int64_t i = at[c->rank]; i < at[c->rank + 1]; i++) data[i] = byte_of(l, c->rank, 0, i);
    int held = c->gather(c->user, data, at, &err) == LGT_OK || refused(l, "gather", &err);
    for (int64_t i = 0; i < at[0] && held; i++)
        held = data[i] == GUARD_BYTE || broken(l, "gather wrote before the first part", i, at[0]);
    for (int r = 0; r < c->size && held; r++)
        for (int64_t i = at[r]; i < at[r + 1] && held; i++)
            held = data[i] == byte_of(l, r, 0, i) || broken(l, "gather: rank's part is wrong at byte", r, i);
    if (held) held = guards_stand(data, end) || broken(l, "gather wrote beyond", end, 0);
    release(data);
    free(at);
    return held;
}

/* sizes[p * size + q] bytes from p to q; the offsets of this rank on both sides. */
static void lay_out(const law *l, const int64_t *sizes, int64_t *send, int64_t *receive) {
    int size = l->comm->size, me = l->comm->rank;
    send[0] = 3, receive[0] = 5;
    for (int q = 0; q < size; q++) {
        send[q + 1] = send[q] + sizes[me * size + q];
        receive[q + 1] = receive[q] + sizes[q * size + me];
    }
}

static int received_is_right(law *l, const unsigned char *data, const int64_t *at) {
    int me = l->comm->rank;
    for (int64_t i = 0; i < at[0]; i++)
        if (data[i] != GUARD_BYTE) return broken(l, "exchange wrote before the first part", i, at[0]);
    for (int r = 0; r < l->comm->size; r++)
        for (int64_t i = at[r]; i < at[r + 1]; i++)
            if (data[i] != byte_of(l, r, me, i - at[r])) return broken(l, "exchange: wrong from rank at byte", r, i);
    return guards_stand(data, at[l->comm->size]) || broken(l, "exchange wrote beyond", at[l->comm->size], 0);
}

static int exchange_brings_each_its_own(law *l) {
    const lgt_comm *c = l->comm;
    size_t size = (size_t)c->size;
    int64_t *sizes = malloc((size * size + 2 * (size + 1)) * sizeof *sizes);
    if (!sizes) abort();
    int64_t *from = sizes + size * size, *to = from + size + 1;
    lgt_error err = {LGT_OK, ""};
    for (size_t i = 0; i < size * size; i++) sizes[i] = draw_size(l, l->largest);
    lay_out(l, sizes, from, to);
    unsigned char *send = guarded(from[size]), *receive = guarded(to[size]);
    for (int q = 0; q < c->size; q++)
        for (int64_t i = from[q]; i < from[q + 1]; i++) send[i] = byte_of(l, c->rank, q, i - from[q]);
    int held = c->exchange(c->user, send, from, receive, to, &err) == LGT_OK || refused(l, "exchange", &err);
    if (held) held = received_is_right(l, receive, to);
    release(receive);
    release(send);
    free(sizes);
    return held;
}

/* Whole numbers below 2^20: their sums are exact in every type and any order. */
static int64_t number_of(const law *l, int rank, int64_t i) {
    return (int64_t)byte_of(l, rank, 1, i) * 4099 + byte_of(l, rank, 2, i) - 500000;
}

static void put(unsigned char *data, lgt_dtype dtype, int64_t i, int64_t value) {
    if (dtype == LGT_F32) memcpy(data + i * 4, &(float){(float)value}, 4);
    if (dtype == LGT_F64) memcpy(data + i * 8, &(double){(double)value}, 8);
    if (dtype == LGT_I64) memcpy(data + i * 8, &value, 8);
}

static int values_join(law *l, lgt_dtype dtype, int sums) {
    const lgt_comm *c = l->comm;
    int64_t each = (int64_t)lgt_dtype_size(dtype), n = draw_size(l, l->largest / each);
    unsigned char *data = guarded(n * each), wanted[8];
    lgt_error err = {LGT_OK, ""};
    for (int64_t i = 0; i < n; i++) put(data, dtype, i, number_of(l, c->rank, i));
    lgt_status status = (sums ? c->sum : c->max)(c->user, data, n, dtype, &err);
    int held = status == LGT_OK || refused(l, sums ? "sum" : "max", &err);
    for (int64_t i = 0; i < n && held; i++) {
        int64_t value = number_of(l, 0, i);
        for (int r = 1; r < c->size; r++) {
            int64_t other = number_of(l, r, i);
            value = sums ? value + other : value > other ? value : other;
        }
        put(wanted, dtype, 0, value);
        held = memcmp(wanted, data + i * each, (size_t)each) == 0 || broken(l, sums ? "sum" : "max", i, n);
    }
    if (held) held = guards_stand(data, n * each) || broken(l, "a sum or maximum wrote beyond", n, dtype);
    release(data);
    return held;
}

static int sums_and_maxima_are_those_of_all(law *l) {
    static const lgt_dtype dtypes[] = {LGT_F32, LGT_F64, LGT_I64};
    for (int i = 0; i < 6; i++)
        if (!values_join(l, dtypes[i / 2], i % 2)) return 0;
    return 1;
}

static int broadcast_brings_the_root_s_bytes(law *l) {
    const lgt_comm *c = l->comm;
    int root = (int)lgt_rng_below(&l->rng, l->drawn++, (uint64_t)c->size);
    int64_t bytes = draw_size(l, l->largest);
    unsigned char *data = guarded(bytes);
    lgt_error err = {LGT_OK, ""};
    for (int64_t i = 0; i < bytes && c->rank == root; i++) data[i] = byte_of(l, root, 0, i);
    int held = c->broadcast(c->user, data, bytes, root, &err) == LGT_OK || refused(l, "broadcast", &err);
    for (int64_t i = 0; i < bytes && held; i++)
        held = data[i] == byte_of(l, root, 0, i) || broken(l, "broadcast: wrong from rank at byte", root, i);
    if (held) held = guards_stand(data, bytes) || broken(l, "broadcast wrote beyond", bytes, root);
    release(data);
    return held;
}

static int barrier_returns(law *l) {
    lgt_error err = {LGT_OK, ""};
    return l->comm->barrier(l->comm->user, &err) == LGT_OK || refused(l, "barrier", &err);
}

/* Each rank fails in its turn, then two at once: all hear of the lowest. */
static int agreement_tells_the_lowest_failure(law *l) {
    const lgt_comm *c = l->comm;
    for (int first = 0; first <= c->size; first++) {
        lgt_error err = {LGT_OK, ""};
        char wanted[80];
        int fails = c->rank == first || (first < c->size && c->rank == c->size - 1);
        if (fails) snprintf(err.message, sizeof err.message, "row %d is odd", c->rank);
        lgt_status status = lgt_comm_agree(c, fails ? LGT_ERR_DATA : LGT_OK, &err);
        if (c->size == 1) snprintf(wanted, sizeof wanted, "row %d is odd", first);
        if (c->size > 1) snprintf(wanted, sizeof wanted, "rank %d: row %d is odd", first, first);
        if (first == c->size) wanted[0] = '\0';
        if (status != (first == c->size ? LGT_OK : LGT_ERR_DATA)) return broken(l, "agree: status", status, first);
        if (strcmp(err.message, wanted)) return refused(l, wanted, &err);
    }
    return 1;
}

int comm_laws_hold(const lgt_comm *comm, uint64_t seed, int64_t largest, char *text, size_t room) {
    static int (*const laws[])(law *) = {gather_brings_every_part_to_all,    exchange_brings_each_its_own,
                                         sums_and_maxima_are_those_of_all,   broadcast_brings_the_root_s_bytes,
                                         agreement_tells_the_lowest_failure, barrier_returns};
    law l = {comm, {seed, 41}, 0, largest, text, room};
    for (size_t i = 0; i < 4 * sizeof laws / sizeof *laws; i++)
        if (!laws[(i * 5 + i / 6) % (sizeof laws / sizeof *laws)](&l)) return 0;
    return 1;
}
