/* Files that are read from front to back, unpacked when their content is gzip (RFC 1952, also of several members). */
#include "data/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "data/growth.h"
#include "data/output.h"

enum {
    BUFFER_SIZE = 1 << 16,
    HEAD_SIZE = BUFFER_SIZE,
    DEFLATE_RATIO = 1032,
    GZIP_WINDOW = 15 + 16,
    LARGEST_READ = 1 << 30
};
enum { WRITER_WAIT = 5 }; /* seconds */

struct lgt_input {
    lgt_context *context;
    const char *path;
    int fd; /* -1: the buffer holds all there is */
    int64_t file_size, capacity, given;
    int packed, unpacking, at_end; /* the stream exists | is within a member | is exhausted */
    const char *file;              /* within a member of a ZIP archive: the path of the whole; else NULL */
    int64_t member_start, taken;   /* what was given before the member; bytes that inflate took */
    uint32_t crc;                  /* of the member's content */
    z_stream stream;
    lgt_format format;
    unsigned char *head; /* of a packed file: the first bytes, unpacked ahead to tell the format; else NULL */
    size_t head_length, head_used;
    unsigned char *buffer; /* bytes of the file not yet used: [begin, end) */
    size_t begin, end;
};

const char *lgt_input_path(const lgt_input *input) {
    return input->path;
}
int lgt_input_is_packed(const lgt_input *input) {
    return input->packed;
}
int64_t lgt_input_given(const lgt_input *input) {
    return input->given;
}
int64_t lgt_input_file_size(const lgt_input *input) {
    return input->file_size;
}
int64_t lgt_input_left(const lgt_input *input) {
    return lgt_max64(input->capacity - input->given, 0);
}

/* Waits, for ever with a negative number of milliseconds, until there is something to read or the writer has left.
 * Returns 0 when the time was up. */
static int await(const lgt_input *input, int milliseconds) {
    struct pollfd ready = {.fd = input->fd, .events = POLLIN};
    return poll(&ready, 1, milliseconds);
}

static lgt_status read_descriptor(lgt_input *input, void *out, size_t length, size_t *got, lgt_error *err) {
    *got = 0;
    while (*got < length && input->fd >= 0) {
        size_t wanted = length - *got;
        ssize_t done = read(input->fd, (char *)out + *got, wanted < LARGEST_READ ? wanted : LARGEST_READ);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            await(input, -1);
            continue;
        }
        if (done < 0) return lgt_fail_system(err, input->path, "read");
        if (done == 0) break;
        *got += (size_t)done;
    }
    return LGT_OK;
}

static lgt_status refill(lgt_input *input, lgt_error *err) {
    input->begin = 0;
    return read_descriptor(input, input->buffer, BUFFER_SIZE, &input->end, err);
}

static lgt_status read_plain(lgt_input *input, unsigned char *out, size_t length, size_t *got, lgt_error *err) {
    size_t kept = input->end - input->begin, rest = 0;
    if (kept > length) kept = length;
    memcpy(out, input->buffer + input->begin, kept);
    input->begin += kept;
    lgt_status status = LGT_OK;
    if (length - kept >= BUFFER_SIZE) {
        status = read_descriptor(input, out + kept, length - kept, &rest, err);
    } else if (kept < length) {
        status = refill(input, err);
        rest = input->end < length - kept ? input->end : length - kept;
        memcpy(out + kept, input->buffer, rest);
        input->begin = rest;
    }
    *got = kept + rest;
    return status;
}

static const char *packing(const lgt_input *input) {
    return input->file ? "deflated" : "gzip";
}

static lgt_status fail_unpacking(const lgt_input *input, int code, lgt_error *err) {
    if (code == Z_MEM_ERROR) return lgt_fail(err, LGT_ERR_MEMORY, "%s: out of memory in zlib", input->path);
    const char *why = input->stream.msg ? input->stream.msg : code == Z_NEED_DICT ? "a preset dictionary" : "bad data";
    return lgt_fail(err, LGT_ERR_DATA, "%s: the %s data are damaged: %s", input->path, packing(input), why);
}

/* Begins the next member if bytes follow; anything but a member there is refused by inflate's header check. */
static int next_member(lgt_input *input) {
    if (input->begin == input->end || input->file) {
        input->at_end = 1;
        return Z_OK;
    }
    input->unpacking = 1;
    return inflateReset(&input->stream);
}

/* Unpacks some of out[0..room), which may be nothing where a member ends. */
static lgt_status unpack(lgt_input *input, unsigned char *out, size_t room, size_t *got, lgt_error *err) {
    size_t held = input->end - input->begin;
    if (room > LARGEST_READ) room = LARGEST_READ;
    if (held > LARGEST_READ) held = LARGEST_READ;
    input->stream.next_in = input->buffer + input->begin;
    input->stream.avail_in = (uInt)held;
    input->stream.next_out = out;
    input->stream.avail_out = (uInt)room;
    int code = inflate(&input->stream, Z_NO_FLUSH);
    input->taken += (int64_t)(held - input->stream.avail_in);
    input->begin += held - input->stream.avail_in;
    *got = room - input->stream.avail_out;
    if (code == Z_STREAM_END) input->unpacking = 0;
    if (code == Z_OK || code == Z_STREAM_END) return LGT_OK;
    if (code == Z_BUF_ERROR)
        return lgt_fail(err, LGT_ERR_DATA, "%s: the %s data end early", input->path, packing(input));
    return fail_unpacking(input, code, err);
}

static lgt_status read_packed(lgt_input *input, unsigned char *out, size_t length, size_t *got, lgt_error *err) {
    *got = 0;
    while (*got < length && !input->at_end) {
        size_t part = 0;
        lgt_status status = input->begin == input->end ? refill(input, err) : LGT_OK;
        if (!status && !input->unpacking) {
            int code = next_member(input);
            if (code != Z_OK) return fail_unpacking(input, code, err);
        } else if (!status) {
            status = unpack(input, out + *got, length - *got, &part, err);
        }
        if (status) return status;
        *got += part;
    }
    return LGT_OK;
}

static lgt_status read_content(lgt_input *input, void *out, size_t length, size_t *got, lgt_error *err) {
    return input->packed ? read_packed(input, out, length, got, err) : read_plain(input, out, length, got, err);
}

/* Opening /dev/stdin by its name would lose the place in a file, and fail for sockets and for another user's pipe.
 * Without O_NONBLOCK a named pipe would wait in open(2) for a writer, without an end. */
static int open_descriptor(const char *path) {
    if (strcmp(path, "/dev/stdin") == 0) return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* Appends what comes to the buffer, to the end. */
static lgt_status read_rest(lgt_input *input, size_t *room, lgt_error *err) {
    size_t wanted = 0, got = 0;
    while (got == wanted) {
        lgt_status status = lgt_grow(input->context, &input->buffer, input->end, room, input->end + BUFFER_SIZE, err);
        if (status) return lgt_fail_within(err, status, "%s: ", input->path);
        wanted = *room - input->end;
        status = read_descriptor(input, input->buffer + input->end, wanted, &got, err);
        if (status) return status;
        input->end += got;
    }
    return LGT_OK;
}

/* All that comes through a pipe or socket. A named pipe that nobody has opened for writing yet reads as one that is
 * closed: its writer may be about to start and is waited for, but not for ever, since it may not come at all. */
static lgt_status collect(lgt_input *input, lgt_error *err) {
    size_t room = 0;
    int in_time = 1;
    lgt_status status = read_rest(input, &room, err);
    if (!status && input->end == 0) {
        in_time = await(input, 1000 * WRITER_WAIT) != 0;
        status = read_rest(input, &room, err);
    }
    if (!status && input->end == 0 && !in_time)
        status = lgt_fail(err, LGT_ERR_IO, "%s: is a pipe that nobody wrote into within %d seconds", input->path,
                          WRITER_WAIT);
    input->file_size = (int64_t)input->end;
    close(input->fd);
    input->fd = -1;
    return status;
}

static lgt_status open_file(lgt_input *input, lgt_error *err) {
    struct stat info;
    input->fd = open_descriptor(input->path);
    if (input->fd < 0) return lgt_fail_system(err, input->path, "open");
    if (fstat(input->fd, &info)) return lgt_fail_system(err, input->path, "examine");
    if (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode)) return collect(input, err);
    if (!S_ISREG(info.st_mode))
        return lgt_fail(err, LGT_ERR_IO, "%s: is a %s, expected a regular file or a pipe", input->path,
                        S_ISDIR(info.st_mode) ? "folder" : "device");
    /* Of standard input the shell, or who ran before, may have read a part. */
    input->file_size = lgt_max64((int64_t)info.st_size - (int64_t)lseek(input->fd, 0, SEEK_CUR), 0);
    lgt_status status = lgt_alloc(input->context, BUFFER_SIZE, 1, &input->buffer, err);
    return status ? status : refill(input, err);
}

static lgt_status detect_packing(lgt_input *input, lgt_error *err) {
    input->packed = input->end >= 2 && input->buffer[0] == 0x1f && input->buffer[1] == 0x8b;
    input->capacity = input->file_size;
    if (!input->packed) return LGT_OK;
    if (!lgt_count_mul(input->file_size, DEFLATE_RATIO, &input->capacity)) input->capacity = INT64_MAX;
    int code = inflateInit2(&input->stream, GZIP_WINDOW);
    if (code != Z_OK) {
        input->packed = 0;
        return fail_unpacking(input, code, err);
    }
    input->unpacking = 1;
    return LGT_OK;
}

/* By the first bytes: of a plain file they stand in the buffer and stay there. */
static lgt_status find_format(lgt_input *input, lgt_error *err) {
    if (!input->packed) {
        input->format = lgt_format_of(input->buffer, input->end);
        return LGT_OK;
    }
    lgt_status status = lgt_alloc(input->context, HEAD_SIZE, 1, &input->head, err);
    if (!status) status = read_content(input, input->head, HEAD_SIZE, &input->head_length, err);
    if (!status) input->format = lgt_format_of(input->head, input->head_length);
    return status;
}

lgt_status lgt_input_open(lgt_context *context, const char *path, lgt_input **out, lgt_error *err) {
    lgt_input *input = NULL;
    lgt_status status = LGT_NEW_ZERO(context, &input, 1, err);
    if (status) return status;
    input->context = context;
    input->path = path;
    input->fd = -1;
    status = open_file(input, err);
    if (!status) status = detect_packing(input, err);
    if (!status) status = find_format(input, err);
    if (status) {
        lgt_input_close(input);
        return status;
    }
    *out = input;
    return LGT_OK;
}

void lgt_input_close(lgt_input *input) {
    if (!input) return;
    if (input->packed) inflateEnd(&input->stream);
    if (input->fd >= 0) close(input->fd);
    lgt_release(input->context, input->head);
    lgt_release(input->context, input->buffer);
    lgt_release(input->context, input);
}

lgt_format lgt_input_format(const lgt_input *input) {
    return input->format;
}

lgt_status lgt_input_read(lgt_input *input, void *out, size_t length, size_t *got, lgt_error *err) {
    size_t kept = input->head_length - input->head_used, rest = 0;
    if (kept > length) kept = length;
    if (kept > 0) memcpy(out, input->head + input->head_used, kept);
    input->head_used += kept;
    lgt_status status = LGT_OK;
    if (kept < length) status = read_content(input, (unsigned char *)out + kept, length - kept, &rest, err);
    *got = kept + rest;
    input->given += (int64_t)*got;
    if (input->file)
        for (size_t at = 0; at < *got; at += LARGEST_READ) {
            size_t part = *got - at < LARGEST_READ ? *got - at : LARGEST_READ;
            input->crc = (uint32_t)crc32(input->crc, (unsigned char *)out + at, (uInt)part);
        }
    return status;
}

lgt_status lgt_input_exactly(lgt_input *input, void *out, size_t length, const char *what, lgt_error *err) {
    size_t got = 0;
    lgt_status status = lgt_input_read(input, out, length, &got, err);
    if (status) return status;
    if (got < length)
        return lgt_fail(err, LGT_ERR_DATA, "%s: ends within %s: %zu bytes found, %zu expected", input->path, what, got,
                        length);
    return LGT_OK;
}

lgt_status lgt_input_end(lgt_input *input, lgt_error *err) {
    unsigned char extra;
    size_t got = 0;
    lgt_status status = lgt_input_read(input, &extra, 1, &got, err);
    if (status) return status;
    if (got) return lgt_fail(err, LGT_ERR_DATA, "%s: has bytes behind its data, expected none", input->path);
    return LGT_OK;
}

/* --- members of ZIP archives --- */

lgt_status lgt_input_member_begin(lgt_input *input, int deflated, const char *path, lgt_error *err) {
    if (input->packed)
        return lgt_fail(err, LGT_ERR_UNSUPPORTED, "%s: is a ZIP archive within gzip, expected one of them",
                        input->path);
    input->file = input->path;
    input->path = path;
    input->member_start = input->given;
    input->taken = 0;
    input->crc = (uint32_t)crc32(0, NULL, 0);
    if (!deflated) return LGT_OK;
    int64_t left = lgt_input_left(input);
    int code = inflateInit2(&input->stream, -MAX_WBITS);
    if (code != Z_OK) return fail_unpacking(input, code, err);
    input->packed = input->unpacking = 1;
    input->at_end = 0;
    if (!lgt_count_mul(left, DEFLATE_RATIO, &input->capacity) || input->capacity > INT64_MAX - input->given)
        input->capacity = INT64_MAX - input->given;
    input->capacity += input->given;
    return LGT_OK;
}

lgt_status lgt_input_member_end(lgt_input *input, uint64_t packed, uint64_t size, uint32_t crc, lgt_error *err) {
    unsigned char extra;
    size_t more = 0;
    lgt_status status = input->packed ? lgt_input_read(input, &extra, 1, &more, err) : LGT_OK;
    uint64_t given = (uint64_t)(input->given - input->member_start), taken = given;
    if (input->packed) {
        inflateEnd(&input->stream);
        input->packed = 0;
        taken = (uint64_t)input->taken;
        input->given = input->member_start + input->taken;
        input->capacity = input->file_size;
    }
    if (!status && (given != size || taken != packed))
        status = lgt_fail(err, LGT_ERR_DATA, "%s: has %llu bytes in %llu, but its header says %llu in %llu",
                          input->path, (unsigned long long)given, (unsigned long long)taken, (unsigned long long)size,
                          (unsigned long long)packed);
    if (!status && input->crc != crc)
        status = lgt_fail(err, LGT_ERR_DATA, "%s: its CRC-32 is %08lx, expected %08lx: the bytes are damaged",
                          input->path, (unsigned long)input->crc, (unsigned long)crc);
    input->path = input->file;
    input->file = NULL;
    return status;
}
