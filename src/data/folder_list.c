/* Lists a folder's numbered files, and clears it of temporary files that dead processes left. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/folder.h"
#include "data/output.h"

enum { TEMPORARY_NAME = 64 };

/* The number between prefix and suffix, or -1. */
static int64_t number_of(const char *name, const char *prefix, const char *suffix) {
    size_t before = strlen(prefix), behind = strlen(suffix), length = strlen(name);
    int64_t number = -1;
    if (length <= before + behind || strncmp(name, prefix, before) != 0 || strcmp(name + length - behind, suffix) != 0)
        return -1;
    size_t digits = strspn(name + before, "0123456789");
    if (digits != length - before - behind || !lgt_text_int64(name + before, digits, &number)) return -1;
    return number;
}

static int compare(const void *a, const void *b) {
    int64_t l = *(const int64_t *)a, r = *(const int64_t *)b;
    return l < r ? -1 : l > r;
}

/* A folder that grows while it is read gives no more than `most`. */
static int64_t collect(DIR *folder, const char *prefix, const char *suffix, int64_t most, int64_t *out) {
    int64_t n = 0;
    const struct dirent *entry;
    while ((errno = 0, entry = readdir(folder))) {
        int64_t number = number_of(entry->d_name, prefix, suffix);
        if (number < 0 || n == most) continue;
        if (out) out[n] = number;
        n++;
    }
    return n;
}

lgt_status lgt_folder_numbers(lgt_context *context, const char *folder, const char *prefix, const char *suffix,
                              int64_t **out, int64_t *count, lgt_error *err) {
    DIR *listing = opendir(folder);
    *out = NULL;
    *count = 0;
    if (!listing && errno == ENOENT) return LGT_OK;
    if (!listing) return lgt_fail_system(err, folder, "list");
    int64_t most = collect(listing, prefix, suffix, INT64_MAX, NULL);
    lgt_status status = errno ? lgt_fail_system(err, folder, "list") : LGT_NEW(context, out, most, err);
    if (!status) {
        rewinddir(listing);
        *count = collect(listing, prefix, suffix, most, *out);
        if (errno) status = lgt_fail_system(err, folder, "list");
        if (!status && *count > 0) qsort(*out, (size_t)*count, sizeof **out, compare);
    }
    closedir(listing);
    if (status) {
        lgt_release(context, *out);
        *out = NULL;
        *count = 0;
    }
    return status;
}

/* Whether a name is .lgt-<process>-<number>.tmp of another process. */
static int is_temporary(const char *name) {
    char process[TEMPORARY_NAME];
    size_t length = strlen(name);
    if (length >= sizeof process || strncmp(name, ".lgt-", 5) != 0) return 0;
    memcpy(process, name + 5, length - 4);
    char *dash = strchr(process, '-');
    int64_t pid = 0;
    if (!dash || number_of(dash + 1, "", ".tmp") < 0) return 0;
    return lgt_text_int64(process, (size_t)(dash - process), &pid) && pid != (int64_t)getpid();
}

/* A writer locks its file, and loses the lock with its life. Its number tells nothing: another process may have it by
 * now, it may be one of another machine, and a dead process whose parent never asks for it keeps it. */
static int is_being_written(int folder, const char *name) {
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 1; /* nothing is known of it */
    int found = fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
    close(fd);
    return found;
}

void lgt_folder_tidy(const char *folder) {
    DIR *listing = opendir(folder);
    const struct dirent *entry;
    if (!listing) return;
    while ((entry = readdir(listing)))
        if (is_temporary(entry->d_name) && !is_being_written(dirfd(listing), entry->d_name))
            (void)unlinkat(dirfd(listing), entry->d_name, 0);
    closedir(listing);
}

lgt_status lgt_file_remove(const char *path, lgt_error *err) {
    if (unlink(path) && errno != ENOENT) return lgt_fail_system(err, path, "remove");
    return LGT_OK;
}
