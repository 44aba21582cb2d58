/* Shards: the matrix of a head in files whose names are a path with {rank}, in whose place 0, 1, 2, ... stand. */
#ifndef LGT_CLI_SHARDS_H
#define LGT_CLI_SHARDS_H

#include <stdint.h>

#include "head_source.h"

enum { CLI_SHARDS_MOST = 65536 };

/* The path with {rank} replaced, to be freed; whether it has one. */
char *cli_rank_path(const char *pattern, int64_t rank);
int cli_has_rank(const char *path);

/* The least rank from `from` on of which there is a file, or -1. */
int64_t cli_shard_from(const char *pattern, int64_t from);

/* How many shards the name itself says there are, as w-{rank}-of-4.npy does; 0: it says nothing. */
int64_t cli_shards_named(const char *pattern);

/* Writes the head's matrix into --shards files and puts their paths into `files`. Shards of an earlier writing that
 * would count as further ones are removed; one that is the source itself is an error, as is more shards than rows. */
lgt_status cli_shards_write(const cli_args *args, const cli_source_file *source, const char *pattern, json_t *files,
                            lgt_error *err);

#endif
