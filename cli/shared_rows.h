/* Rows that the ranks of mpirun share: each has contiguous ones, in the order of ranks. comm NULL: alone, with all. */
#ifndef LGT_CLI_SHARED_ROWS_H
#define LGT_CLI_SHARED_ROWS_H

#include <stddef.h>

#include "logitude/comm.h"
#include "progress.h"

/* Works on rows [first, first + count). */
typedef lgt_status (*cli_rows_work)(void *user, int64_t first, int64_t count, lgt_error *err);

/* Calls `work` for this rank's rows, part by part, and agrees with the others after each part: who is merely slower is
 * not taken for lost. Alone the parts are for `progress`, whose pass these rows are; NULL: none. Collective. */
lgt_status cli_rows_share(const lgt_comm *comm, int64_t n_rows, cli_rows_work work, void *user, cli_progress *progress,
                          lgt_error *err);

/* data (n_rows, row_bytes), of which each rank has made its own rows, becomes whole on all ranks, or on the first
 * alone. Collective. */
lgt_status cli_rows_gather(const lgt_comm *comm, void *data, int64_t n_rows, size_t row_bytes, lgt_error *err);
lgt_status cli_rows_collect(const lgt_comm *comm, void *data, int64_t n_rows, size_t row_bytes, lgt_error *err);

#endif
