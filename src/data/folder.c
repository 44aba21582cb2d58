/* Folders: made with their parents. */
#include "data/folder.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "data/output.h"
#include "logitude/io.h"

enum { PATH_ROOM = 4096 };

int lgt_is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* An existing folder is fine whatever mkdir says of it (EEXIST; EROFS or EACCES above one that may be written to). */
static int make(const char *path) {
    if (mkdir(path, 0777) == 0) return 1;
    int code = errno, found = lgt_is_folder(path);
    errno = code;
    return found;
}

lgt_status lgt_folder_create(const char *path, lgt_error *err) {
    char part[PATH_ROOM];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part) {
        errno = length ? ENAMETOOLONG : ENOENT;
        return lgt_fail_system(err, path, "create the folder");
    }
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        part[i] = '\0';
        if (!make(part)) return lgt_fail_system(err, part, "create the folder");
        part[i] = path[i];
    }
    return lgt_succeed(err);
}
