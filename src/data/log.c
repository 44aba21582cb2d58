/* A file that grows line by line while work goes on. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/output.h"
#include "logitude/io.h"

struct lgt_log {
    lgt_context *context;
    char *path;
    int fd;
    int64_t length; /* of what was written */
};

static lgt_status open_log(lgt_context *context, const char *path, int flags, lgt_log **out, lgt_error *err) {
    lgt_log *log = NULL;
    lgt_status status = LGT_NEW(context, &log, 1, err);
    if (status) return status;
    *log = (lgt_log){.context = context, .fd = -1};
    status = lgt_alloc_text(context, path, &log->path, err);
    if (!status) {
        log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0666);
        if (log->fd < 0) status = lgt_fail_system(err, path, "open");
    }
    if (status) {
        lgt_release(context, log->path);
        lgt_release(context, log);
        return status;
    }
    *out = log;
    return LGT_OK;
}

lgt_status lgt_log_open(lgt_context *context, const char *path, lgt_log **out, lgt_error *err) {
    lgt_status status = open_log(context, path, O_TRUNC, out, err);
    return status ? status : lgt_succeed(err);
}

static lgt_status cut(lgt_log *log, int64_t length, lgt_error *err) {
    struct stat about;
    if (fstat(log->fd, &about)) return lgt_fail_system(err, log->path, "look at");
    if (!S_ISREG(about.st_mode)) return lgt_fail(err, LGT_ERR_IO, "%s: is no regular file", log->path);
    if ((int64_t)about.st_size < length)
        return lgt_fail(err, LGT_ERR_DATA, "%s: has %lld bytes, expected at least %lld", log->path,
                        (long long)about.st_size, (long long)length);
    if (ftruncate(log->fd, (off_t)length)) return lgt_fail_system(err, log->path, "cut");
    return LGT_OK;
}

lgt_status lgt_log_reopen(lgt_context *context, const char *path, int64_t length, lgt_log **out, lgt_error *err) {
    lgt_log *log = NULL;
    lgt_status status = open_log(context, path, 0, &log, err);
    if (status) return status;
    status = cut(log, length, err);
    if (status) {
        close(log->fd);
        lgt_release(context, log->path);
        lgt_release(context, log);
        return status;
    }
    log->length = length;
    *out = log;
    return lgt_succeed(err);
}

int64_t lgt_log_length(const lgt_log *log) {
    return log->length;
}

lgt_status lgt_log_sync(lgt_log *log, lgt_error *err) {
    lgt_status status = lgt_descriptor_sync(log->fd, log->path, err);
    return status ? status : lgt_succeed(err);
}

lgt_status lgt_log_line(lgt_log *log, const char *text, lgt_error *err) {
    size_t length = strlen(text);
    char *line = NULL;
    /* One write, so that a reader of the growing file sees whole lines. */
    lgt_status status = lgt_alloc(log->context, (int64_t)length + 1, 1, &line, err);
    if (status) return status;
    memcpy(line, text, length);
    line[length] = '\n';
    status = lgt_descriptor_write(log->fd, log->path, line, length + 1, err);
    lgt_release(log->context, line);
    if (!status) log->length += (int64_t)length + 1;
    return status ? status : lgt_succeed(err);
}

lgt_status lgt_log_close(lgt_log *log, lgt_error *err) {
    if (!log) return lgt_succeed(err);
    lgt_status status = lgt_descriptor_sync(log->fd, log->path, err);
    if (close(log->fd) && errno != EINTR && !status) status = lgt_fail_system(err, log->path, "close");
    lgt_release(log->context, log->path);
    lgt_release(log->context, log);
    return status ? status : lgt_succeed(err);
}
