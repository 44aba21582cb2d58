/* Statuses and the caller-owned error record. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *lgt_version(void) {
    return LGT_VERSION_STRING;
}

const char *lgt_status_name(lgt_status status) {
    static const char *const names[] = {"ok",     "internal", "usage",       "data",        "nonfinite", "io",
                                        "memory", "check",    "unsupported", "interrupted", "comm"};
    int index = (int)status;
    return index >= 0 && index < (int)(sizeof names / sizeof *names) ? names[index] : "unknown";
}

lgt_status lgt_fail(lgt_error *err, lgt_status status, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        err->status = status;
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return status;
}

lgt_status lgt_fail_within(lgt_error *err, lgt_status status, const char *format, ...) {
    if (err) {
        char inner[sizeof err->message];
        memcpy(inner, err->message, sizeof inner);
        va_list args;
        va_start(args, format);
        int used = vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        size_t room = sizeof err->message;
        if (used >= 0 && (size_t)used < room) snprintf(err->message + used, room - (size_t)used, "%s", inner);
        err->status = status;
    }
    return status;
}

lgt_status lgt_succeed(lgt_error *err) {
    if (err) {
        err->status = LGT_OK;
        err->message[0] = '\0';
    }
    return LGT_OK;
}
