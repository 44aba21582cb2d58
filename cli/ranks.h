/* The ranks that mpirun started, of which this process is one. */
#ifndef LGT_CLI_RANKS_H
#define LGT_CLI_RANKS_H

#include "logitude/comm.h"

/* What the environment that mpirun made tells, without MPI: this process's rank, 0 where it is alone. One process
 * writes and speaks: rank 0. */
int cli_own_rank(void);
int cli_is_first(void);

/* Whether mpirun started no other process. */
int cli_is_alone(void);

/* Ranks on this machine, 1 where this process is alone. */
int cli_local_ranks(void);

/* Joins the others, once; *comm NULL where this process is alone. `timeout`: seconds that a rank is waited for.
 * Errors: UNSUPPORTED (the library for this MPI is not there, naming the package), those of lgt_mpi_create. */
lgt_status cli_ranks_join(double timeout, const lgt_comm **comm, lgt_error *err);

/* A status of this rank's own becomes that of all, as lgt_comm_agree has it; ranks that have lost each other agree on
 * nothing. */
lgt_status cli_ranks_agree(const lgt_comm *comm, lgt_status status, lgt_error *err);

/* Leaves them, once; what follows a rank does alone. status: how this process ends; where ranks have lost each other
 * the whole job ends, with its exit code. */
void cli_ranks_leave(lgt_status status, int exit_code);

#endif
