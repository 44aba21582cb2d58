/* A safetensors header is 8 bytes of length, then a JSON object; .npy and IDX begin otherwise. */
#include "file_kind.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* The first bytes of a file, or of what is packed in it: gzread hands on what is no gzip. */
static int read_head(const char *path, char *head, unsigned size) {
    int fd = open(path, O_RDONLY | O_NONBLOCK); /* without it a named pipe would wait for a writer */
    gzFile file = fd < 0 ? NULL : gzdopen(fd, "rb");
    int length = file ? gzread(file, head, size) : 0;
    if (file)
        gzclose(file);
    else if (fd >= 0)
        close(fd);
    return length;
}

cli_file_kind cli_file_kind_of(const char *path) {
    char head[12] = "";
    int length = read_head(path, head, sizeof head - 1);
    if (length >= 4 && (memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0)) return CLI_FILE_ZIP;
    if (strcmp(head, "solver_type") == 0) return CLI_FILE_LIBLINEAR;
    return length > 8 && head[8] == '{' ? CLI_FILE_SAFETENSORS : CLI_FILE_OTHER;
}
