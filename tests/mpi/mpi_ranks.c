/* One rank of the tests over MPI (tests/mpi/run.py starts them):
 *   mpi_ranks laws LARGEST                the laws of every communicator, parts of up to so many bytes
 *   mpi_ranks fault KIND RANK SECONDS     that rank comes to grief in the midst of calls; 0 seconds: the usual timeout
 *   mpi_ranks speed                       latency and bandwidth of a gather */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "comm_laws.h"
#include "logitude/mpi.h"

/* What the command line does with a failure: it tells, and ends all ranks. */
static void give_up(const lgt_comm *comm, const char *text) {
    fprintf(stderr, "told by rank %d: %s\n", comm->rank, text);
    fflush(stderr);
    comm->abort(comm->user, LGT_ERR_COMM, text);
}

static void check_laws(const lgt_comm *comm, int64_t largest) {
    for (uint64_t seed = 1; seed <= 5; seed++) {
        char text[700], told[800];
        if (comm_laws_hold(comm, seed, largest, text, sizeof text)) continue;
        snprintf(told, sizeof told, "seed %d: %s", (int)seed, text);
        give_up(comm, told);
    }
}

/* ---- faults ---- */

static void come_to_grief(const lgt_comm *comm, const char *kind) {
    static const int64_t at[] = {0, 1, 2, 3, 4, 5, 6, 7};
    char bytes[8] = {0};
    if (strcmp(kind, "kill") == 0) raise(SIGKILL);
    if (strcmp(kind, "segfault") == 0) raise(SIGSEGV);
    if (strcmp(kind, "stop") == 0) raise(SIGSTOP);
    if (strcmp(kind, "exit") == 0) exit(3);
    if (strcmp(kind, "abort") == 0) give_up(comm, "the disk is full");
    if (strcmp(kind, "stray") == 0 && comm->gather(comm->user, bytes, at, NULL)) give_up(comm, "strayed");
    if (strcmp(kind, "short") == 0 && comm->broadcast(comm->user, bytes, 3, comm->rank, NULL)) give_up(comm, "short");
}

static void meet_fault(const lgt_comm *comm, const char *kind, int rank) {
    for (int round = 0; round < 20; round++) {
        double value[2] = {1, comm->rank};
        lgt_error err = {LGT_OK, ""};
        lgt_status status = LGT_OK;
        if (round == 10 && comm->rank == rank) come_to_grief(comm, kind);
        if (strcmp(kind, "short") == 0)
            status = comm->broadcast(comm->user, value, round == 10 && comm->rank == rank ? 3 : 4, rank, &err);
        else if (strcmp(kind, "stray") == 0)
            status = comm->barrier(comm->user, &err);
        else
            status = comm->sum(comm->user, value, 2, LGT_F64, &err);
        if (status) give_up(comm, err.message);
    }
    if (strcmp(kind, "late") == 0 && comm->rank == rank) raise(SIGSTOP);
}

/* ---- speed ---- */

static double seconds_of_gather(const lgt_comm *comm, char *data, int64_t bytes, int rounds) {
    int64_t at[65];
    for (int r = 0; r <= comm->size; r++) at[r] = r * bytes;
    comm->barrier(comm->user, NULL);
    double start = lgt_clock_now();
    for (int i = 0; i < rounds; i++) comm->gather(comm->user, data, at, NULL);
    return (lgt_clock_now() - start) / rounds;
}

static void measure(const lgt_comm *comm) {
    static const int64_t sizes[] = {8, 64, 4096, 65536, 1 << 20, 4 << 20, 32 << 20};
    char *data = calloc((size_t)comm->size, 32 << 20);
    if (!data) return;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int rounds = sizes[i] < 100000 ? 2000 : 40;
        seconds_of_gather(comm, data, sizes[i], rounds / 10);
        double seconds = seconds_of_gather(comm, data, sizes[i], rounds);
        if (comm->rank == 0)
            printf("gather of %lld bytes a rank: %.2f us, %.2f GB/s a rank\n", (long long)sizes[i], 1e6 * seconds,
                   1e-9 * (double)sizes[i] * (comm->size - 1) / seconds);
    }
    free(data);
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    int here = 0;
    lgt_mpi *mpi = NULL;
    lgt_comm comm;
    lgt_error err;
    double timeout = argc > 4 ? atof(argv[4]) : 60;
    if (lgt_mpi_create(timeout, &mpi, &comm, &here, &err)) {
        fprintf(stderr, "mpi_ranks: %s\n", err.message);
        return (int)err.status;
    }
    if (here != comm.size) give_up(&comm, "not all ranks are known to be here");
    if (strcmp(mode, "laws") == 0 && argc > 2) check_laws(&comm, atoll(argv[2]));
    if (strcmp(mode, "fault") == 0 && argc > 4) meet_fault(&comm, argv[2], atoi(argv[3]));
    if (strcmp(mode, "speed") == 0) measure(&comm);
    lgt_mpi_free(mpi);
    if (comm.rank == 0) printf("all %d ranks came through\n", comm.size);
    return 0;
}
