/* A file that grows line by line while work goes on. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/output.h"
#include "logitude/io.h"

struct lgt_log {
    lgt_context *context;
    char *path;
    int fd;
};

lgt_status lgt_log_open(lgt_context *context, const char *path, lgt_log **out, lgt_error *err) {
    lgt_log *log = NULL;
    lgt_status status = LGT_NEW(context, &log, 1, err);
    if (status) return status;
    *log = (lgt_log){.context = context, .fd = -1};
    status = lgt_alloc_text(context, path, &log->path, err);
    if (!status) {
        log->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
        if (log->fd < 0) status = lgt_fail_system(err, path, "open");
    }
    if (status) {
        lgt_release(context, log->path);
        lgt_release(context, log);
        return status;
    }
    *out = log;
    return lgt_succeed(err);
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
