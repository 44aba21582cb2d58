/* Names of shards, which of them there are, and writing them. */
#include "shards.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

static const char rank_mark[] = "{rank}";

int cli_has_rank(const char *path) {
    return strstr(path, rank_mark) != NULL;
}

char *cli_rank_path(const char *pattern, int64_t rank) {
    const char *mark = strstr(pattern, rank_mark);
    size_t size = strlen(pattern) + 24;
    char *path = cli_alloc((int64_t)size, 1);
    snprintf(path, size, "%.*s%lld%s", (int)(mark - pattern), pattern, (long long)rank, mark + strlen(rank_mark));
    return path;
}

/* The rank in the name of a file, between `before` and `after`, as it would be written; -1: it is no shard. */
static int64_t rank_in(const char *name, const char *before, size_t n_before, const char *after, size_t n_after) {
    size_t length = strlen(name), digits = length - n_before - n_after;
    if (length <= n_before + n_after || digits > 5 || strncmp(name, before, n_before) != 0 ||
        strncmp(name + length - n_after, after, n_after) != 0)
        return -1;
    const char *number = name + n_before;
    if (strspn(number, "0123456789") < digits || (*number == '0' && digits > 1)) return -1;
    int64_t rank = 0;
    for (size_t i = 0; i < digits; i++) rank = 10 * rank + (number[i] - '0');
    return rank < CLI_SHARDS_MOST ? rank : -1; /* larger numbers are dates and the like */
}

static int is_there(const char *pattern, int64_t rank) {
    char *path = cli_rank_path(pattern, rank);
    struct stat about;
    int found = stat(path, &about) == 0 && !S_ISDIR(about.st_mode);
    free(path);
    return found;
}

int64_t cli_shard_from(const char *pattern, int64_t from) {
    const char *mark = strstr(pattern, rank_mark), *name = mark, *after = mark + strlen(rank_mark);
    while (name > pattern && name[-1] != '/') name--;
    char *folder = cli_copy(name > pattern ? pattern : ".");
    if (name > pattern) folder[name - pattern] = '\0';
    DIR *listing = opendir(folder);
    int64_t least = -1;
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        int64_t rank = rank_in(entry->d_name, name, (size_t)(mark - name), after, strcspn(after, "/"));
        if (rank >= from && (least < 0 || rank < least) && is_there(pattern, rank)) least = rank;
    }
    if (listing) closedir(listing);
    free(folder);
    return least;
}

int64_t cli_shards_named(const char *pattern) {
    const char *at = strstr(pattern, rank_mark) + strlen(rank_mark);
    for (; (at = strstr(at, "of")); at += 2) {
        const char *digits = at + 2 + (at[2] == '-' || at[2] == '_');
        size_t length = strspn(digits, "0123456789");
        if (!isalnum((unsigned char)at[-1]) && length > 0 && length < 10) return strtoll(digits, NULL, 10);
    }
    return 0;
}

/* IN may be a shard of an earlier writing under OUT's name, but then it is not for us to remove. */
static lgt_status check_stale(const char *in_path, const char *pattern, int64_t n, lgt_error *err) {
    struct stat in, old;
    if (cli_has_rank(in_path) || stat(in_path, &in)) return LGT_OK;
    for (int64_t rank = n; (rank = cli_shard_from(pattern, rank)) >= 0; rank++) {
        char *path = cli_rank_path(pattern, rank);
        int same = stat(path, &old) == 0 && old.st_dev == in.st_dev && old.st_ino == in.st_ino;
        free(path);
        if (same)
            return cli_fail(err, LGT_ERR_USAGE, "%s: is IN and would count as shard %lld of OUT, expected another name",
                            in_path, (long long)rank);
    }
    return LGT_OK;
}

/* Shards of an earlier writing, behind the n of this one, would be read as further classes. */
static lgt_status remove_stale(const cli_args *args, const char *pattern, int64_t n, lgt_error *err) {
    lgt_status status = LGT_OK;
    for (int64_t rank = n; !status && (rank = cli_shard_from(pattern, rank)) >= 0; rank++) {
        char *path = cli_rank_path(pattern, rank);
        if (unlink(path))
            status = cli_fail(err, LGT_ERR_IO, "%s: cannot remove this shard of an earlier writing: %s", path,
                              strerror(errno));
        else
            cli_note(args, "%s: a shard of an earlier writing is removed", path);
        free(path);
    }
    return status;
}

/* Contiguous ranges, the remainder to the first ranks. */
lgt_status cli_shards_write(const cli_args *args, const cli_source_file *source, const char *pattern, json_t *files,
                            lgt_error *err) {
    const lgt_array *w = &source->weight;
    int64_t n = cli_integer(args, "shards"), rows = w->shape[0], begin = 0, named = cli_shards_named(pattern);
    size_t row = (size_t)w->shape[1] * lgt_dtype_size(w->dtype);
    lgt_status status = LGT_OK;
    if (n > rows)
        return cli_fail(err, LGT_ERR_USAGE, "--shards is %lld, expected at most %lld, the rows of %s", (long long)n,
                        (long long)rows, source->weight_name);
    if (named && named != n)
        return cli_fail(err, LGT_ERR_USAGE, "--shards is %lld, but the name %s counts %lld", (long long)n, pattern,
                        (long long)named);
    if ((status = check_stale(source->path, pattern, n, err))) return status;
    if (source->bias.data) cli_note(args, "%s: has a bias, which shards leave out", source->path);
    for (int64_t rank = 0; rank < n && !status; rank++) {
        int64_t shape[2] = {rows / n + (rank < rows % n), w->shape[1]};
        char *path = cli_rank_path(pattern, rank);
        status =
            lgt_npy_write(source->context, path, w->dtype, 2, shape, (const char *)w->data + (size_t)begin * row, err);
        if (!status) cli_append(files, cli_string(path));
        free(path);
        begin += shape[0];
    }
    return status ? status : remove_stale(args, pattern, n, err);
}
