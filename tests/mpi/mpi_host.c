/* A program that uses MPI itself, and takes communicators beside its own messages: mpi_host beside|single|ended. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "comm_laws.h"
#include "logitude/mpi.h"

static int fails(const char *what) {
    fprintf(stderr, "mpi_host: %s\n", what);
    MPI_Abort(MPI_COMM_WORLD, 1);
    return 1;
}

/* A message of the program's own is under way while a communicator works, under a tag that it uses as well. */
static int works_beside_messages(int rank, int size) {
    char text[700];
    int sent = 100 + rank, received = -1;
    MPI_Request requests[2];
    lgt_mpi *mpi = NULL;
    lgt_comm comm;
    MPI_Irecv(&received, 1, MPI_INT, (rank + 1) % size, 8, MPI_COMM_WORLD, &requests[0]);
    MPI_Isend(&sent, 1, MPI_INT, (rank + size - 1) % size, 8, MPI_COMM_WORLD, &requests[1]);
    if (lgt_mpi_create(60, &mpi, &comm, NULL, NULL)) return fails("no communicator");
    if (comm.rank != rank || comm.size != size) return fails("another rank or size");
    if (!comm_laws_hold(&comm, 11, 5000, text, sizeof text)) return fails(text);
    lgt_mpi_free(mpi);
    MPI_Wait(&requests[0], MPI_STATUS_IGNORE);
    MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
    return received == 100 + (rank + 1) % size ? 0 : fails("the program's message was lost");
}

static int is_refused(lgt_status wanted, const char *part) {
    lgt_error err = {LGT_OK, ""};
    lgt_mpi *mpi = NULL;
    lgt_comm comm;
    if (lgt_mpi_create(1, &mpi, &comm, NULL, &err) == wanted && strstr(err.message, part)) return 0;
    fprintf(stderr, "mpi_host: status %s: %s\n", lgt_status_name(err.status), err.message);
    return 1;
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    int single = strcmp(mode, "single") == 0, level = 0, rank = 0, size = 0, failure = 0;
    MPI_Init_thread(NULL, NULL, single ? MPI_THREAD_SINGLE : MPI_THREAD_FUNNELED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (strcmp(mode, "beside") == 0) /* twice: one may follow the other */
        failure = works_beside_messages(rank, size) || works_beside_messages(rank, size);
    if (single && level == MPI_THREAD_SINGLE) failure = is_refused(LGT_ERR_UNSUPPORTED, "MPI_THREAD_FUNNELED");
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
    if (strcmp(mode, "ended") == 0) failure = is_refused(LGT_ERR_COMM, "MPI has ended");
    if (rank == 0 && !failure) printf("all %d ranks came through\n", size);
    return failure;
}
