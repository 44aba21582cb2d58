/* Files that are replaced whole or not at all: a temporary file in the same folder, fsync, rename, fsync of the folder
 * (Pillai et al., "All file systems are not created equal", OSDI 2014, for why each step is needed). */
#define _XOPEN_SOURCE 700 /* realpath */
#include "data/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "logitude/io.h"

enum { NAME_ATTEMPTS = 1000, NAME_ROOM = 64, LARGEST_WRITE = 1 << 30, PATH_ROOM = 4096, MOST_LINKS = 40 };

lgt_status lgt_fail_system(lgt_error *err, const char *path, const char *operation) {
    char reason[128];
    int code = errno;
    if (strerror_r(code, reason, sizeof reason)) snprintf(reason, sizeof reason, "error %d", code);
    return lgt_fail(err, LGT_ERR_IO, "%s: cannot %s: %s", path, operation, reason);
}

lgt_status lgt_descriptor_write(int fd, const char *path, const void *bytes, size_t length, lgt_error *err) {
    const char *at = bytes;
    while (length > 0) {
        ssize_t done = write(fd, at, length < LARGEST_WRITE ? length : LARGEST_WRITE);
        if (done < 0 && errno == EINTR) continue;
        if (done == 0) errno = EIO; /* no progress and no reason: never ask for ever */
        if (done <= 0) return lgt_fail_system(err, path, "write");
        at += done;
        length -= (size_t)done;
    }
    return LGT_OK;
}

lgt_status lgt_descriptor_sync(int fd, const char *path, lgt_error *err) {
    /* EINVAL and ENOTSUP: pipes, devices and some network folders have nothing to synchronise. */
    if (fsync(fd) && errno != EINVAL && errno != ENOTSUP) return lgt_fail_system(err, path, "synchronise");
    return LGT_OK;
}

/* The folder part of a path with its slash, in its first `*length` bytes; length 0: the working folder. */
static size_t folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* Where a link leads whose end is not there yet, of which realpath tells nothing: to `out`, if that can be followed. */
static int follow(const char *path, char out[PATH_ROOM]) {
    char text[PATH_ROOM];
    if (strlen(path) >= PATH_ROOM) return 0;
    memcpy(out, path, strlen(path) + 1);
    for (int n = 0; n < MOST_LINKS; n++) {
        ssize_t length = readlink(out, text, sizeof text);
        if (length < 0) return n > 0;
        size_t folder = text[0] == '/' ? 0 : folder_length(out);
        if (folder + (size_t)length >= PATH_ROOM) return 0;
        memcpy(out + folder, text, (size_t)length);
        out[folder + (size_t)length] = '\0';
    }
    return 0;
}

/* A link stays a link: what it leads to is replaced, or made. What is there though it has no name (a pipe of
 * /dev/fd) is left to its link. */
static lgt_status resolve(lgt_output *output, lgt_error *err) {
    struct stat about;
    char end[PATH_ROOM], *real = realpath(output->path, NULL);
    const char *target = real ? real : output->path;
    if (!real && stat(output->path, &about) != 0 && follow(output->path, end)) target = end;
    lgt_status status = lgt_alloc_text(output->context, target, &output->target, err);
    free(real);
    return status;
}

/* Until it has its name: whoever tidies the folder sees by it that the file is in work. A file system without locks
 * gives none to whoever asks for one either, and then the file stays. */
static void lock(int fd) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    (void)fcntl(fd, F_SETLK, &whole);
}

/* open(2) with the mode 0666, unlike mkstemp, lets the system apply the user's umask. */
static lgt_status open_temporary(lgt_output *output, lgt_error *err) {
    size_t folder = folder_length(output->target), room = folder + NAME_ROOM;
    lgt_status status = lgt_alloc(output->context, (int64_t)room, 1, &output->temporary, err);
    if (status) return status;
    memcpy(output->temporary, output->target, folder);
    for (int attempt = 0; attempt < NAME_ATTEMPTS && output->fd < 0; attempt++) {
        snprintf(output->temporary + folder, NAME_ROOM, ".lgt-%ld-%d.tmp", (long)getpid(), attempt);
        output->fd = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (output->fd < 0 && errno != EEXIST) break;
    }
    if (output->fd < 0) return lgt_fail_system(err, output->path, "create a file in its folder");
    lock(output->fd);
    return LGT_OK;
}

/* Standard output, which may be a file that others write into as well: opened by its name it would be replaced. */
static int is_standard_output(const char *path) {
    return strcmp(path, "/dev/stdout") == 0;
}

static lgt_status open_in_place(lgt_output *output, lgt_error *err) {
    output->fd = is_standard_output(output->path) ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                                                  : open(output->target, O_WRONLY | O_CLOEXEC);
    return output->fd < 0 ? lgt_fail_system(err, output->path, "open") : LGT_OK;
}

lgt_status lgt_output_open(lgt_context *context, const char *path, lgt_output *out, lgt_error *err) {
    struct stat old;
    *out = (lgt_output){.context = context, .path = path, .fd = -1};
    lgt_status status = resolve(out, err);
    if (status) return status;
    int exists = stat(out->target, &old) == 0;
    if (is_standard_output(path)) {
        status = open_in_place(out, err);
    } else if (exists && S_ISDIR(old.st_mode)) {
        errno = EISDIR;
        status = lgt_fail_system(err, path, "write");
    } else if (exists && !S_ISREG(old.st_mode)) {
        status = open_in_place(out, err);
    } else {
        status = open_temporary(out, err);
        /* Keeping the old file's permissions is a courtesy: where it is refused the new file has the usual ones. */
        if (!status && exists) (void)!fchmod(out->fd, old.st_mode & 0777);
    }
    if (status) {
        lgt_release(context, out->temporary);
        lgt_release(context, out->target);
    }
    return status;
}

lgt_status lgt_output_write(lgt_output *output, const void *bytes, size_t length, lgt_error *err) {
    return lgt_descriptor_write(output->fd, output->path, bytes, length, err);
}

static lgt_status sync_folder(lgt_output *output, lgt_error *err) {
    size_t folder = folder_length(output->target);
    output->target[folder] = '\0'; /* only the folder is of interest from here on */
    int fd = open(folder ? output->target : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* A folder that may be written but not read cannot be synchronised; the file itself is safe. */
    if (fd < 0) return LGT_OK;
    lgt_status status = lgt_descriptor_sync(fd, output->path, err);
    close(fd);
    return status;
}

/* Nothing is lost by closing last: a file that is synchronised holds all that was written. */
static lgt_status commit(lgt_output *output, lgt_error *err) {
    lgt_status status = lgt_descriptor_sync(output->fd, output->path, err);
    if (status || !output->temporary) return status;
    if (rename(output->temporary, output->target)) return lgt_fail_system(err, output->path, "replace");
    lgt_release(output->context, output->temporary);
    output->temporary = NULL;
    return sync_folder(output, err);
}

lgt_status lgt_output_finish(lgt_output *output, lgt_status status, lgt_error *err) {
    if (!status) status = commit(output, err);
    if (output->temporary) unlink(output->temporary);
    int closed = close(output->fd);
    if (!status && closed && errno != EINTR) status = lgt_fail_system(err, output->path, "close");
    lgt_release(output->context, output->temporary);
    lgt_release(output->context, output->target);
    return status ? status : lgt_succeed(err);
}

lgt_status lgt_file_write(lgt_context *context, const char *path, const void *bytes, size_t length, lgt_error *err) {
    lgt_output output;
    lgt_status status = lgt_output_open(context, path, &output, err);
    if (status) return status;
    return lgt_output_finish(&output, lgt_output_write(&output, bytes, length, err), err);
}
