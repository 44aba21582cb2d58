/* How all ranks learn of a failure on one: the lowest that failed is found by a maximum, its message is broadcast. And
 * how they learn that they differ. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "logitude/comm.h"

lgt_status lgt_comm_agree(const lgt_comm *comm, lgt_status status, lgt_error *err) {
    if (!comm || comm->size == 1) return status;
    lgt_error told = {LGT_OK, ""};
    int64_t first = status ? comm->size - comm->rank : 0; /* largest on the lowest rank */
    lgt_status heard = comm->max(comm->user, &first, 1, LGT_I64, &told);
    if (heard == LGT_OK && first == 0) return lgt_succeed(err);
    int rank = comm->size - (int)first;
    if (heard == LGT_OK) {
        lgt_error record = {status, ""};
        const char *text = err && err->message[0] ? err->message : lgt_status_name(status);
        if (rank == comm->rank) snprintf(record.message, sizeof record.message, "%s", text);
        heard = comm->broadcast(comm->user, &record, sizeof record, rank, &told);
        record.message[sizeof record.message - 1] = '\0';
        if (heard == LGT_OK) return lgt_fail(err, record.status, "rank %d: %s", rank, record.message);
    }
    return status ? status : lgt_fail(err, heard, "%s", told.message); /* what failed here is the better news */
}

enum { VALUE_SIZE = 160, SHOWN = 120 };

/* A value as text of one size: a hash of all of it (FNV-1a), and its beginning. */
static void write_value(const char *value, char out[VALUE_SIZE]) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (const char *c = value; *c; c++) hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
    memset(out, 0, VALUE_SIZE);
    snprintf(out, VALUE_SIZE, "%016" PRIx64 "%.*s", hash, SHOWN, value);
}

lgt_status lgt_comm_same(const lgt_comm *comm, const char *name, const char *value, lgt_status failure,
                         lgt_error *err) {
    char own[VALUE_SIZE], first[VALUE_SIZE];
    if (!comm || comm->size == 1) return lgt_succeed(err);
    write_value(value, own);
    memcpy(first, own, sizeof first);
    lgt_status status = comm->broadcast(comm->user, first, sizeof first, 0, err);
    if (status) return status;
    if (memcmp(first, own, sizeof own) != 0)
        status = lgt_fail(err, failure, "%s is '%s' here and '%s' on rank 0: all ranks must have the same", name,
                          own + 16, first + 16);
    return lgt_comm_agree(comm, status, err);
}
