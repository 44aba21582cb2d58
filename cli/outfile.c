/* Checks output paths before the work and writes tables after it. */
#include "outfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"
#include "ranks.h"
#include "streams.h"

/* Cuts the last part off a path, "" becomes "." and the root stays. Returns 0 when nothing is above. */
static int go_up(char *path) {
    size_t length = strlen(path);
    if (strcmp(path, "/") == 0 || strcmp(path, ".") == 0) return 0;
    while (length > 1 && path[length - 1] == '/') length--;
    while (length > 0 && path[length - 1] != '/') length--;
    while (length > 1 && path[length - 1] == '/') length--;
    path[length] = '\0';
    if (length == 0) strcpy(path, ".");
    return 1;
}

static lgt_status check_writable(const char *path, const char *folder, lgt_error *err) {
    struct stat about;
    if (stat(folder, &about))
        return cli_fail(err, LGT_ERR_IO, "%s: cannot write there: %s: %s", path, folder, strerror(errno));
    if (!S_ISDIR(about.st_mode))
        return cli_fail(err, LGT_ERR_IO, "%s: cannot write there: %s is not a folder", path, folder);
    if (access(folder, W_OK | X_OK))
        return cli_fail(err, LGT_ERR_IO, "%s: cannot write there: %s: %s", path, folder, strerror(errno));
    return LGT_OK;
}

static char *copy_path(const char *path) {
    char *copy = cli_alloc((int64_t)strlen(path) + 2, 1); /* room for "." */
    strcpy(copy, path);
    return copy;
}

int cli_ends_in(const char *text, const char *suffix) {
    size_t n_text = strlen(text), n_suffix = strlen(suffix);
    return n_text >= n_suffix && strcmp(text + n_text - n_suffix, suffix) == 0;
}

char *cli_path_join(const char *folder, const char *name) {
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = cli_alloc((int64_t)size, 1);
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

lgt_status cli_member_check(const char *path, lgt_error *err) {
    struct stat about;
    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode))
        return cli_fail(err, LGT_ERR_IO, "%s: cannot write there: it is a folder", path);
    return LGT_OK;
}

lgt_status cli_file_check(const char *path, lgt_error *err) {
    char *folder = copy_path(path);
    go_up(folder);
    lgt_status status = cli_member_check(path, err);
    if (!status) status = check_writable(path, folder, err);
    free(folder);
    return status;
}

lgt_status cli_folder_check(const char *path, lgt_error *err) {
    struct stat about;
    char *folder = copy_path(path);
    while (stat(folder, &about) && errno == ENOENT && go_up(folder)) continue;
    lgt_status status = check_writable(path, folder, err);
    free(folder);
    return status;
}

lgt_status cli_output_check(const cli_args *args, const char *name, const char *path, lgt_error *err) {
    if (!path) return LGT_OK;
    if (!cli_is_stdout(path)) return cli_file_check(path, err);
    if (!cli_flag(args, "json")) return LGT_OK;
    return cli_fail(err, LGT_ERR_USAGE, "%s - and --json both want standard output, expected one of them", name);
}

lgt_status cli_out_open(const cli_args *args, cli_format *format, lgt_error *err) {
    const char *path = cli_text(args, "out");
    *format = CLI_OUT_STDOUT;
    if (cli_is_stdout(path))
        return cli_source_of(args, "out") == CLI_DEFAULT ? LGT_OK : cli_output_check(args, "--out", path, err);
    if (!cli_ends_in(path, ".npy") && !cli_ends_in(path, ".csv"))
        return cli_fail(err, LGT_ERR_USAGE, "--out is '%s', expected a name that ends in .npy or .csv, or -", path);
    *format = cli_ends_in(path, ".npy") ? CLI_OUT_NPY : CLI_OUT_CSV;
    return cli_is_first() ? cli_file_check(path, err) : LGT_OK;
}

lgt_status cli_out_csv(lgt_context *context, const cli_args *args, cli_format format, cli_csv_writer write,
                       const void *table, lgt_error *err) {
    if (format == CLI_OUT_STDOUT) {
        if (!cli_flag(args, "json")) write(stdout, table);
        return LGT_OK;
    }
    char *bytes = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&bytes, &length);
    if (!memory) cli_out_of_memory();
    write(memory, table);
    int failed = ferror(memory);
    if (fclose(memory) || failed) cli_out_of_memory();
    lgt_status status = lgt_file_write(context, cli_text(args, "out"), bytes, length, err);
    free(bytes);
    return status;
}

void cli_csv_field(FILE *out, const char *text) {
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (const char *c = text; *c; c++) {
        if (*c == '"') fputc('"', out);
        fputc(*c, out);
    }
    fputc('"', out);
}
