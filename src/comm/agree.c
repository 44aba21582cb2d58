/* How all ranks learn of a failure on one: the lowest that failed is found by a maximum, its message is broadcast. */
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
