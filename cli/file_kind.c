/* A safetensors header is 8 bytes of length, then a JSON object; .npy and IDX begin otherwise. */
#include "file_kind.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

cli_file_kind cli_file_kind_of(const char *path) {
    char head[12] = "";
    int fd = open(path, O_RDONLY | O_NONBLOCK); /* without it a named pipe would wait for a writer */
    ssize_t length = fd < 0 ? 0 : read(fd, head, sizeof head - 1);
    if (fd >= 0) close(fd);
    if (length >= 4 && (memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0)) return CLI_FILE_ZIP;
    if (strcmp(head, "solver_type") == 0) return CLI_FILE_LIBLINEAR;
    return length > 8 && head[8] == '{' ? CLI_FILE_SAFETENSORS : CLI_FILE_OTHER;
}
