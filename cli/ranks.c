/* The ranks that mpirun started. The MPI library is loaded when it is needed: the program has no MPI in it. */
#include "ranks.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "logitude/mpi.h"
#include "output.h"

/* How the processes of an MPI know each other before MPI runs, and where its communicator lies. */
typedef struct launcher {
    const char *name, *size, *rank, *local, *library, *package;
} launcher;

static const launcher launchers[] = {
    {"Open MPI", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "liblogitude_mpi.so",
     "libopenmpi-dev"},
    {"MPICH", "PMI_SIZE", "PMI_RANK", "MPI_LOCALNRANKS", "liblogitude_mpich.so", "libmpich-dev"},
};

typedef lgt_status (*create_function)(double, lgt_mpi **, lgt_comm *, int *, lgt_error *);
typedef void (*free_function)(lgt_mpi *);

static struct {
    lgt_mpi *mpi;
    lgt_comm comm;
    free_function release;
} joined;

static int number(const char *name, int missing) {
    const char *text = getenv(name);
    int value = text ? atoi(text) : missing;
    return value >= 0 ? value : missing;
}

/* The launcher of this process, or NULL where it is alone. */
static const launcher *launcher_here(void) {
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++)
        if (number(launchers[i].size, 1) > 1) return &launchers[i];
    return NULL;
}

int cli_own_rank(void) {
    const launcher *l = launcher_here();
    return l ? number(l->rank, 0) : 0;
}

int cli_is_first(void) {
    return cli_own_rank() == 0;
}

int cli_is_alone(void) {
    return !launcher_here();
}

int cli_local_ranks(void) {
    const launcher *l = launcher_here();
    return l && number(l->local, 1) > 0 ? number(l->local, 1) : 1;
}

/* Beside the program, as it is built; else where it is installed. */
static void *open_library(const char *name) {
    char path[PATH_MAX + 64];
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
    void *library = NULL;
    if (length > 0) {
        path[length] = '\0';
        char *slash = strrchr(path, '/');
        snprintf(slash, 64, "/%s", name);
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        snprintf(slash, 64, "/../lib/%s", name);
        if (!library) library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return library ? library : dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

lgt_status cli_ranks_join(double timeout, const lgt_comm **comm, lgt_error *err) {
    const launcher *l = launcher_here();
    create_function create = NULL;
    *comm = NULL;
    if (!l) return LGT_OK;
    void *library = open_library(l->library);
    if (library) {
        *(void **)&create = dlsym(library, "lgt_mpi_create"); /* as POSIX has it */
        *(void **)&joined.release = dlsym(library, "lgt_mpi_free");
    }
    if (!create || !joined.release)
        return cli_fail(err, LGT_ERR_UNSUPPORTED,
                        "mpirun of %s started %d ranks, but %s cannot be loaded: apt-get install %s, then build again",
                        l->name, number(l->size, 1), l->library, l->package);
    lgt_status status = create(timeout, &joined.mpi, &joined.comm, NULL, err);
    if (!status) *comm = &joined.comm;
    return status;
}

lgt_status cli_ranks_agree(const lgt_comm *comm, lgt_status status, lgt_error *err) {
    return status == LGT_ERR_COMM ? status : lgt_comm_agree(comm, status, err);
}

void cli_ranks_leave(lgt_status status, int exit_code) {
    if (!joined.mpi) return;
    if (status == LGT_ERR_COMM) {
        joined.comm.abort(joined.comm.user, exit_code, "a rank was lost");
        return;
    }
    joined.release(joined.mpi);
    joined.mpi = NULL;
}
