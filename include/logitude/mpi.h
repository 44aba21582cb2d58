/* The MPI communicator, in its own library: liblogitude_mpi (Open MPI) or liblogitude_mpich (MPICH). This header needs
 * no mpi.h. */
#ifndef LOGITUDE_MPI_H
#define LOGITUDE_MPI_H

#include "comm.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lgt_mpi lgt_mpi;

/* Sets MPI up where the program has not (MPI_THREAD_FUNNELED), and fills *comm with a duplicate of MPI_COMM_WORLD.
 * timeout: seconds that a call waits for the others before it names those that are missing; 0: 300. *local_ranks:
 * ranks on this machine; NULL: not wanted. Calls come from the thread that called this one.
 * Errors: USAGE (timeout), COMM (MPI refuses, or not all come), UNSUPPORTED (an MPI that is set up without FUNNELED),
 * MEMORY. */
LGT_API lgt_status lgt_mpi_create(double timeout, lgt_mpi **out, lgt_comm *comm, int *local_ranks, lgt_error *err);

/* Releases it, and ends MPI if lgt_mpi_create began it. Collective; NULL is allowed. Where a rank does not
 * come, or a call has failed before, all processes end as by comm->abort: a broken group has no orderly end. */
LGT_API void lgt_mpi_free(lgt_mpi *mpi);

#ifdef __cplusplus
}
#endif

#endif
