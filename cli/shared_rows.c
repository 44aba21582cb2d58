/* Shares rows among the ranks of mpirun. */
#include "shared_rows.h"

#include <stdlib.h>

#include "output.h"
#include "ranks.h"

/* Rows of a part: enough to keep the threads of a rank busy. */
enum { PART_ROWS = 32768 };

/* Alone, between two reports of progress; whole chunks of every kernel. */
enum { WATCHED_ROWS = 8192 };

static int64_t cut(int64_t n, int64_t parts, int64_t index) {
    return n / parts * index + n % parts * index / parts;
}

static lgt_status work_alone(int64_t n_rows, cli_rows_work work, void *user, cli_progress *progress, lgt_error *err) {
    lgt_status status = LGT_OK;
    int64_t first = 0;
    do {
        int64_t left = n_rows - first, count = left < WATCHED_ROWS ? left : WATCHED_ROWS;
        cli_progress_watch(progress, first, n_rows);
        status = work(user, first, count, err);
        first += count;
    } while (first < n_rows && !status);
    return status;
}

lgt_status cli_rows_share(const lgt_comm *comm, int64_t n_rows, cli_rows_work work, void *user, cli_progress *progress,
                          lgt_error *err) {
    if (!comm) return progress ? work_alone(n_rows, work, user, progress, err) : work(user, 0, n_rows, err);
    lgt_status status = LGT_OK;
    int64_t rounds = n_rows / comm->size / PART_ROWS + 1, parts = rounds * comm->size, first = comm->rank * rounds;
    for (int64_t part = first; part < first + rounds && !status; part++) {
        if (progress) cli_progress_watch(progress, cut(n_rows, rounds, part - first), n_rows);
        int64_t begin = cut(n_rows, parts, part), end = cut(n_rows, parts, part + 1);
        status = cli_ranks_agree(comm, work(user, begin, end - begin, err), err);
    }
    return status;
}

/* Where the rows of each rank begin, in bytes. */
static int64_t *offsets_of(const lgt_comm *comm, int64_t n_rows, size_t row_bytes) {
    int64_t *offsets = cli_alloc(comm->size + 1, sizeof *offsets);
    for (int r = 0; r <= comm->size; r++) offsets[r] = cut(n_rows, comm->size, r) * (int64_t)row_bytes;
    return offsets;
}

lgt_status cli_rows_gather(const lgt_comm *comm, void *data, int64_t n_rows, size_t row_bytes, lgt_error *err) {
    if (!comm) return LGT_OK;
    int64_t *offsets = offsets_of(comm, n_rows, row_bytes);
    lgt_status status = comm->gather(comm->user, data, offsets, err);
    free(offsets);
    return status;
}

/* Every rank but the first sends its rows to the first, and nothing else is sent. */
lgt_status cli_rows_collect(const lgt_comm *comm, void *data, int64_t n_rows, size_t row_bytes, lgt_error *err) {
    if (!comm) return LGT_OK;
    int64_t *begin = offsets_of(comm, n_rows, row_bytes);
    int64_t *sent = cli_alloc(comm->size + 1, sizeof *sent), *received = cli_alloc(comm->size + 1, sizeof *received);
    for (int r = 1; r <= comm->size; r++) {
        sent[r] = comm->rank > 0 ? begin[comm->rank + 1] - begin[comm->rank] : 0;
        received[r] = comm->rank == 0 ? begin[r] - begin[1] : 0;
    }
    lgt_status status =
        comm->exchange(comm->user, (char *)data + begin[comm->rank], sent, (char *)data + begin[1], received, err);
    free(received);
    free(sent);
    free(begin);
    return status;
}
