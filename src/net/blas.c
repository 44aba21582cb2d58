/* What is known of the CBLAS that happens to be linked: its name and its one process-wide thread setting. */
#define _GNU_SOURCE /* RTLD_DEFAULT; it sees libraries that a host loaded privately, which dlopen(NULL) does not */
#include <dlfcn.h>
#include <string.h>

#include "logitude/encoder.h"

typedef void (*set_threads_int)(int);
typedef void (*set_threads_long)(long);
typedef const char *(*name_of)(void);

/* Copies the address of a function into *function (ISO C knows no cast from void *); 0 when there is none. */
static int find(const char *symbol, void *function, size_t size) {
    void *address = dlsym(RTLD_DEFAULT, symbol);
    memcpy(function, &address, size);
    return address != NULL;
}

void lgt_blas_single_threaded(void) {
    set_threads_int openblas;
    set_threads_long blis; /* dim_t, 64 bits where long has 64 */
    if (find("openblas_set_num_threads", &openblas, sizeof openblas)) openblas(1);
    if (find("bli_thread_set_num_threads", &blis, sizeof blis)) blis(1);
}

const char *lgt_blas_name(void) {
    name_of name;
    if (find("openblas_get_config", &name, sizeof name)) return name();
    if (find("bli_info_get_version_str", &name, sizeof name)) return "BLIS";
    return "a CBLAS of unknown make";
}
