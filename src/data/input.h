/* Files that are read from front to back, unpacked when their content is gzip. */
#ifndef LGT_DATA_INPUT_H
#define LGT_DATA_INPUT_H

#include <stddef.h>
#include <stdint.h>

#include "data/format.h"
#include "logitude/context.h"

typedef struct lgt_input lgt_input;

/* Opens a regular file, or a pipe or socket, whose bytes are then collected in memory until its writer closes it. The
 * path "/dev/stdin" means the process's standard input itself. `path` is borrowed. Errors: IO, DATA (its gzip layer),
 * MEMORY. */
lgt_status lgt_input_open(lgt_context *context, const char *path, lgt_input **out, lgt_error *err);
void lgt_input_close(lgt_input *input);

const char *lgt_input_path(const lgt_input *input);
lgt_format lgt_input_format(const lgt_input *input);

/* Bytes still to come: exactly that many of a plain file, at most that many of a packed one, since DEFLATE cannot
 * shrink data by more than 1032 : 1. Nothing is ever allocated beyond this number on the word of a header. */
int64_t lgt_input_left(const lgt_input *input);
int lgt_input_is_packed(const lgt_input *input);
/* Bytes given so far, and the size of the file as it lies on disk or came through the pipe. */
int64_t lgt_input_given(const lgt_input *input);
int64_t lgt_input_file_size(const lgt_input *input);

/* Reads `length` bytes; fewer only at the end. */
lgt_status lgt_input_read(lgt_input *input, void *out, size_t length, size_t *got, lgt_error *err);
/* Reads `length` bytes or fails: "PATH: ends within WHAT". */
lgt_status lgt_input_exactly(lgt_input *input, void *out, size_t length, const char *what, lgt_error *err);
/* Fails unless everything has been read; this is also what verifies gzip's checksum. */
lgt_status lgt_input_end(lgt_input *input, lgt_error *err);

/* A member of a ZIP archive within a plain file: what is read from here on is its content, inflated if it is deflated,
 * until lgt_input_member_end, which fails unless exactly `size` bytes with this CRC-32 were read, out of `packed` of
 * the file. `path` stands in messages instead of the file's, and is borrowed. Errors: DATA, UNSUPPORTED, MEMORY. */
lgt_status lgt_input_member_begin(lgt_input *input, int deflated, const char *path, lgt_error *err);
lgt_status lgt_input_member_end(lgt_input *input, uint64_t packed, uint64_t size, uint32_t crc, lgt_error *err);

#endif
