/* What every communicator must do, against a plain computation; the same laws for threads and for MPI. */
#ifndef LGT_TESTS_COMM_LAWS_H
#define LGT_TESTS_COMM_LAWS_H

#include "logitude/comm.h"

/* Runs all laws with parts of up to `largest` bytes drawn from the seed; all ranks call it alike. Returns 1, or 0 with
 * what did not hold in `text`. No assertion of cmocka is used: any thread or process may call it. */
int comm_laws_hold(const lgt_comm *comm, uint64_t seed, int64_t largest, char *text, size_t room);

#endif
