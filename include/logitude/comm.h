/* Communicators: how the ranks of one computation exchange bytes. A head, an encoder and a trainer that are given one
 * share their work with the other ranks (docs/scaling.md). The struct is open: fill it to bring a transport of your
 * own, or take one from here (threads of one process) or from logitude/mpi.h. */
#ifndef LOGITUDE_COMM_H
#define LOGITUDE_COMM_H

#include "context.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* P ranks, 0 to P-1. Every function but `abort` is collective: all ranks call the same ones in the same order, with the
 * same sizes, from one thread each, and all return when what they need is there. A status other than OK means that the
 * group is broken: later calls fail likewise. Errors: COMM, naming the rank that is missing or that gave up. */
typedef struct lgt_comm {
    size_t struct_size; /* sizeof(lgt_comm) */
    int rank, size;
    void *user; /* first argument of all that follows */

    /* data holds a part of every rank, in their order, rank r's in bytes [offsets[r], offsets[r+1]); each brings its
     * own, and all parts are everywhere afterwards. offsets (P+1), rising, the same on all ranks; parts may be
     * empty. */
    lgt_status (*gather)(void *user, void *data, const int64_t *offsets, lgt_error *err);

    /* Bytes [send_offsets[q], send_offsets[q+1]) of send go to rank q, and what rank q sends here comes into bytes
     * [receive_offsets[q], receive_offsets[q+1]) of receive. What goes to the rank itself is copied. No overlap. */
    lgt_status (*exchange)(void *user, const void *send, const int64_t *send_offsets, void *receive,
                           const int64_t *receive_offsets, lgt_error *err);

    /* values (n) become their sum or maximum over the ranks, in any order, and the same bits on all of them; F32, F64
     * or I64. A maximum over NaN is unspecified. The order is the transport's: results that must not depend on P do not
     * go this way. */
    lgt_status (*sum)(void *user, void *values, int64_t n, lgt_dtype dtype, lgt_error *err);
    lgt_status (*max)(void *user, void *values, int64_t n, lgt_dtype dtype, lgt_error *err);

    lgt_status (*broadcast)(void *user, void *data, int64_t bytes, int root, lgt_error *err);
    lgt_status (*barrier)(void *user, lgt_error *err);

    /* Breaks the group from any rank, at any time, from any thread: every call under way or to come fails on all ranks,
     * or ends their processes with exit code `code`; `reason` is told to them. */
    void (*abort)(void *user, int code, const char *reason);
} lgt_comm;

/* --- Threads of one process --- */

/* A group of `size` communicators (1 to 1024) for as many threads of this process; comms (size) are filled, with `user`
 * in the group. timeout: seconds that a call waits for the others before it names one that is missing; 0: 300.
 * Errors: USAGE, MEMORY. */
typedef struct lgt_comm_group lgt_comm_group;
LGT_API lgt_status lgt_comm_group_create(int size, double timeout, lgt_comm_group **out, lgt_comm *comms,
                                         lgt_error *err);

/* After all threads are done with it; NULL is allowed. */
LGT_API void lgt_comm_group_free(lgt_comm_group *group);

/* Faults for tests of programs: the `call`-th collective call of `rank` (from 1, counted since the group was made)
 * does not come to pass. One fault a rank: a later one takes the place of the one before. Errors: USAGE. */
typedef enum lgt_comm_fault {
    LGT_COMM_FAULT_FAIL = 0,   /* it returns COMM on this rank, which gives up; the others hear of it */
    LGT_COMM_FAULT_VANISH = 1, /* it returns COMM on this rank and tells nobody: the others wait for their timeout */
    LGT_COMM_FAULT_FLIP = 2    /* it succeeds, but one bit of what this rank hands to each other is wrong */
} lgt_comm_fault;
LGT_API lgt_status lgt_comm_group_inject(lgt_comm_group *group, int rank, int64_t call, lgt_comm_fault fault,
                                         lgt_error *err);

/* Bytes that a rank has sent to others by gather, exchange and broadcast since the group was made (a sum or maximum
 * counts n elements to each): what docs/scaling.md states is checked by it. */
LGT_API int64_t lgt_comm_group_sent(const lgt_comm_group *group, int rank);

/* --- For all communicators --- */

/* All ranks bring a status and learn the worst: OK everywhere, or the status and message of the lowest rank that
 * failed, with "rank R: " before it, on all. A comm of NULL, or of one rank, returns `status` itself. */
LGT_API lgt_status lgt_comm_agree(const lgt_comm *comm, lgt_status status, lgt_error *err);

/* All ranks bring a value of the same name and learn whether it is the same everywhere: OK, or `failure` on all, with a
 * message that names a rank that differs from rank 0, and both values. A comm of NULL, or of one rank, returns OK. */
LGT_API lgt_status lgt_comm_same(const lgt_comm *comm, const char *name, const char *value, lgt_status failure,
                                 lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
