/* Names of shards, and which of them there are. */
#include "shards.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
