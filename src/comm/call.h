/* One collective call of a communicator as data: its checks, its words, and the arithmetic of sums and maxima. */
#ifndef LGT_COMM_CALL_H
#define LGT_COMM_CALL_H

#include "logitude/comm.h"

typedef enum lgt_comm_op {
    LGT_COMM_GATHER,
    LGT_COMM_EXCHANGE,
    LGT_COMM_SUM,
    LGT_COMM_MAX,
    LGT_COMM_BROADCAST,
    LGT_COMM_BARRIER
} lgt_comm_op;

/* gather: data, offsets; exchange: send, send_offsets, data, offsets (what is received); sum, max: data, n, dtype;
 * broadcast: data, n (bytes), root. The rest is zero. */
typedef struct lgt_comm_call {
    lgt_comm_op op;
    void *data;
    const void *send;
    const int64_t *offsets, *send_offsets;
    int64_t n;
    lgt_dtype dtype;
    int root;
} lgt_comm_call;

/* The first member of what a communicator's `user` points to: whoever serves all its calls. */
typedef struct lgt_comm_server {
    lgt_status (*collective)(struct lgt_comm_server *server, const lgt_comm_call *call, lgt_error *err);
} lgt_comm_server;

/* A communicator that hands its calls to the server. */
void lgt_comm_fill(lgt_comm *comm, int rank, int size, lgt_comm_server *server,
                   void (*abort)(void *user, int code, const char *reason));

/* "gather", "exchange", ... */
const char *lgt_comm_op_name(lgt_comm_op op);

/* Seconds that a call waits, of what a caller gives: 0 means 300. Errors: USAGE. */
lgt_status lgt_comm_timeout_check(double timeout, double *seconds, lgt_error *err);

/* Whether the call of that rank can be served in a group of that size. Errors: COMM. */
lgt_status lgt_comm_call_check(const lgt_comm_call *call, int rank, int size, lgt_error *err);

/* Whether the calls of ranks a and b, each checked, belong together. Errors: COMM, naming both and what differs. */
lgt_status lgt_comm_call_match(const lgt_comm_call *call_a, int a, const lgt_comm_call *call_b, int b, int size,
                               lgt_error *err);

/* Bytes that the call of `rank` hands to the other ranks; a sum or maximum counts n elements to each. */
int64_t lgt_comm_call_sent(const lgt_comm_call *call, int rank, int size);

/* into[i] = into[i] + part[i], or the larger of the two. */
void lgt_comm_join(lgt_comm_op op, lgt_dtype dtype, void *into, const void *part, int64_t n);

/* Where part `index` of n elements begins when they are cut into `parts` of almost one size. */
int64_t lgt_comm_cut(int64_t n, int parts, int index);

/* "rank 2", "ranks 1 and 2", "ranks 0, 3, 4 and 7 others": those whose flag is set. */
void lgt_comm_name_ranks(const unsigned char *flags, int size, char *out, size_t room);

#endif
