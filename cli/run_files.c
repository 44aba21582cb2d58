/* Reads the files of a run folder. */
#include "run_files.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "outfile.h"
#include "output.h"

/* More than metrics of a hundred million steps. */
#define LARGEST_FILE ((long long)16 << 30)

static lgt_status read_file(FILE *file, const char *path, char **out, lgt_error *err) {
    struct stat about;
    if (fstat(fileno(file), &about) || !S_ISREG(about.st_mode))
        return cli_fail(err, LGT_ERR_IO, "%s: is not a file", path);
    if ((long long)about.st_size > LARGEST_FILE)
        return cli_fail(err, LGT_ERR_MEMORY, "%s: %lld bytes, expected at most %lld", path, (long long)about.st_size,
                        LARGEST_FILE);
    size_t size = (size_t)about.st_size;
    *out = cli_alloc((int64_t)size + 1, 1);
    size_t got = fread(*out, 1, size, file);
    if (ferror(file)) return cli_fail(err, LGT_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
    (*out)[got] = '\0';
    if (strlen(*out) != got) return cli_fail(err, LGT_ERR_DATA, "%s: a NUL byte, expected text", path);
    return LGT_OK;
}

static lgt_status read_member(const char *folder, const char *name, char **out, lgt_error *err) {
    lgt_status status = LGT_OK;
    char *path = cli_path_join(folder, name);
    FILE *file = fopen(path, "rb");
    if (file) {
        status = read_file(file, path, out, err);
        fclose(file);
    } else if (errno != ENOENT) {
        status = cli_fail(err, LGT_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
    }
    free(path);
    return status;
}

/* "runs/arcface-0/" gives "arcface-0"; a path without a last part is its own name. */
static char *name_of(const char *folder) {
    char *name = cli_copy(folder);
    size_t length = strlen(name);
    while (length > 1 && name[length - 1] == '/') name[--length] = '\0';
    const char *slash = strrchr(name, '/');
    if (slash && slash[1]) memmove(name, slash + 1, strlen(slash + 1) + 1);
    return name;
}

lgt_status cli_run_files_read(const char *folder, lgt_report_run *out, lgt_error *err) {
    char *run = NULL, *metrics = NULL, *analysis = NULL;
    lgt_status status = read_member(folder, "run.json", &run, err);
    if (!status) status = read_member(folder, "metrics.jsonl", &metrics, err);
    if (!status) status = read_member(folder, "analysis.json", &analysis, err);
    *out = (lgt_report_run){name_of(folder), run, metrics, analysis, cli_copy(folder)};
    if (!status && !run && !metrics && !analysis)
        status = cli_fail(err, LGT_ERR_IO,
                          "%s: no run.json, metrics.jsonl or analysis.json there, expected the folder of a training",
                          folder);
    return status;
}

/* The record borrows its texts; here they are ours. */
static void release(const char *text) {
    free((void *)(uintptr_t)text);
}

void cli_run_name(lgt_report_run *run, const char *name) {
    release(run->name);
    run->name = cli_copy(name);
}

void cli_run_files_free(lgt_report_run *run) {
    release(run->folder);
    release(run->analysis);
    release(run->metrics);
    release(run->run);
    release(run->name);
}
