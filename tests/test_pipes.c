/* Files that come through pipes and sockets are read as those on disk: whole, cut short, packed, or not at all. */
#define _XOPEN_SOURCE 700 /* mkfifo */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <zlib.h>

#include "logitude/io.h"
#include "temporary.h"

enum { LONG = 100000 }; /* int64: beyond the buffer of the reader, the pipe and the first growth */

static void pause_ms(long milliseconds) {
    struct timespec time = {0, milliseconds * 1000000};
    nanosleep(&time, NULL);
}

/* Writes bytes to a descriptor, a few thousand at a time; a reader that leaves ends it. */
static void pour(int fd, const void *bytes, size_t length) {
    for (size_t at = 0; at < length;) {
        size_t piece = length - at < 7001 ? length - at : 7001;
        ssize_t done = write(fd, (const char *)bytes + at, piece);
        if (done <= 0) return;
        at += (size_t)done;
    }
}

/* A process that waits, opens the pipe and writes. */
static pid_t start_writer(const char *path, const void *bytes, size_t length, long delay) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0) return child;
    alarm(30);
    signal(SIGPIPE, SIG_IGN);
    if (delay) pause_ms(delay);
    int fd = open(path, O_WRONLY);
    if (fd >= 0) pour(fd, bytes, length);
    _exit(0);
}

static char fifo[TEST_PATH_ROOM];

static void make_fifo(void) {
    strcpy(fifo, test_path("pipe"));
    unlink(fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
}

static void end_writer(pid_t writer) {
    kill(writer, SIGKILL); /* it may still wait for a reader */
    waitpid(writer, NULL, 0);
}

/* .npy of `count` int64: 0, 1, 2, ...; to be freed. */
static unsigned char *compose(int64_t count, size_t *length) {
    char head[128];
    int used =
        snprintf(head, sizeof head, "{'descr': '<i8', 'fortran_order': False, 'shape': (%lld,), }", (long long)count);
    *length = 10 + 118 + (size_t)count * 8;
    unsigned char *file = calloc(*length, 1);
    assert_non_null(file);
    memcpy(file, "\x93NUMPY\1\0\x76\0", 10);
    memset(file + 10, ' ', 117);
    memcpy(file + 10, head, (size_t)used);
    file[127] = '\n';
    for (int64_t i = 0; i < count; i++)
        for (int k = 0; k < 8; k++) file[128 + i * 8 + k] = (unsigned char)((uint64_t)i >> 8 * k);
    return file;
}

static void assert_counts(const lgt_array *array, int64_t count) {
    assert_int_equal(array->count, count);
    for (int64_t i = 0; i < count; i++) assert_int_equal(((const int64_t *)array->data)[i], i);
}

static void assert_pipe_reads(const void *bytes, size_t length, long delay, int64_t count) {
    lgt_error err;
    lgt_array array;
    make_fifo();
    lgt_context *context = test_context_failing(0);
    pid_t writer = start_writer(fifo, bytes, length, delay);
    lgt_status status = lgt_array_read(context, fifo, &array, &err);
    end_writer(writer);
    assert_ok(status, err);
    assert_counts(&array, count);
    lgt_array_free(context, &array);
    lgt_context_free(context);
    assert_int_equal(test_live_blocks(), 0);
}

static void assert_pipe_fails(const void *bytes, size_t length, lgt_status wanted, const char *part) {
    lgt_error err;
    lgt_array array;
    make_fifo();
    lgt_context *context = test_context_failing(0);
    pid_t writer = start_writer(fifo, bytes, length, 0);
    lgt_status status = lgt_array_read(context, fifo, &array, &err);
    end_writer(writer);
    assert_fails(status, wanted, err, part);
    assert_int_equal(strncmp(err.message, fifo, strlen(fifo)), 0);
    lgt_context_free(context);
    assert_int_equal(test_live_blocks(), 0);
}

static void pipes_are_read_to_their_end(void **state) {
    (void)state;
    const int64_t counts[] = {0, 3, 8176, 8177, LONG}; /* the third fills the buffer to the last byte */
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        size_t length = 0;
        unsigned char *file = compose(counts[i], &length);
        assert_pipe_reads(file, length, 0, counts[i]);
        free(file);
    }
}

static void a_writer_may_start_later(void **state) {
    (void)state;
    size_t length = 0;
    unsigned char *file = compose(3, &length);
    assert_pipe_reads(file, length, 300, 3);
    free(file);
}

static unsigned char *pack(const void *data, size_t length, size_t *packed) {
    z_stream stream = {.next_in = NULL};
    assert_int_equal(deflateInit2(&stream, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&stream, length);
    unsigned char *out = malloc(room);
    assert_non_null(out);
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)length;
    stream.next_out = out;
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    *packed = room - stream.avail_out;
    deflateEnd(&stream);
    return out;
}

static void gzip_is_unpacked_behind_a_pipe(void **state) {
    (void)state;
    size_t length = 0, packed = 0;
    unsigned char *file = compose(LONG, &length), *gzip = pack(file, length, &packed);
    assert_true(packed > 100000); /* more than a buffer */
    assert_pipe_reads(gzip, packed, 0, LONG);
    assert_pipe_fails(gzip, packed - 1, LGT_ERR_DATA, "the gzip data end early");
    gzip[packed - 5] ^= 0xff;
    assert_pipe_fails(gzip, packed, LGT_ERR_DATA, "incorrect data check");
    free(gzip);
    free(file);
}

static void a_writer_that_leaves_early_is_told_as_a_file_cut_short(void **state) {
    (void)state;
    size_t length = 0;
    unsigned char *file = compose(LONG, &length);
    assert_pipe_fails(file, 0, LGT_ERR_DATA, "first bytes are neither");
    assert_pipe_fails(file, 9, LGT_ERR_DATA, "ends within");
    assert_pipe_fails(file, length - 1, LGT_ERR_DATA, "declares 800000 bytes of data, but at most 799999 can follow");
    free(file);
}

static void a_pipe_without_a_writer_is_given_up(void **state) {
    (void)state;
    lgt_error err;
    lgt_array array;
    lgt_context *context = test_context(1);
    make_fifo();
    assert_fails(lgt_array_read(context, fifo, &array, &err), LGT_ERR_IO, err,
                 "/pipe: is a pipe that nobody wrote into within 5 seconds");
    lgt_context_free(context);
}

static void refused_memory_names_the_pipe(void **state) {
    (void)state;
    size_t length = 0;
    int done = 0;
    unsigned char *file = compose(LONG, &length);
    for (int64_t fail_at = 1; !done; fail_at++) {
        lgt_error err;
        lgt_array array;
        assert_true(fail_at < 20);
        make_fifo();
        lgt_context *context = test_context_failing(fail_at);
        pid_t writer = start_writer(fifo, file, length, 0);
        lgt_status status = lgt_array_read(context, fifo, &array, &err);
        end_writer(writer);
        done = status == LGT_OK;
        if (!done) assert_fails(status, LGT_ERR_MEMORY, err, "out of memory");
        if (!done && fail_at >= 2 && fail_at <= 5) /* growing from 64 KiB to 1 MiB */
            assert_int_equal(strncmp(err.message, fifo, strlen(fifo)), 0);
        lgt_array_free(context, &array);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
    free(file);
}

/* --- every format --- */

typedef struct content {
    unsigned char *bytes;
    size_t length;
} content;

static content read_whole(const char *path) {
    content c = {malloc(1 << 16), 0};
    FILE *file = fopen(path, "rb");
    assert_non_null(c.bytes);
    assert_non_null(file);
    c.length = fread(c.bytes, 1, 1 << 16, file);
    fclose(file);
    return c;
}

static void every_format_is_told_by_its_first_bytes(void **state) {
    (void)state;
    lgt_error err;
    lgt_context *context = test_context(1);
    double values[] = {1, 2, 3, 4, 5, 6};
    int64_t names[] = {7, 8, 9}, shape[] = {3, 2};
    lgt_array weight = {LGT_F64, 2, {3, 2}, 6, values}, labels = {LGT_I64, 1, {3}, 3, names};
    char name[] = "w";
    lgt_tensor tensor = {name, weight};
    lgt_tensors list = {&tensor, 1, NULL, 0};
    char path[TEST_PATH_ROOM];
    strcpy(path, test_path("file"));
    for (int format = LGT_TENSORS_ARRAY; format <= LGT_TENSORS_LIBLINEAR; format++) {
        static const char *const firsts[] = {"", "w", "w", "weight"};
        if (format == LGT_TENSORS_ARRAY) assert_ok(lgt_npy_write(context, path, LGT_F64, 2, shape, values, &err), err);
        if (format == LGT_TENSORS_SAFETENSORS) assert_ok(lgt_tensors_write(context, path, &list, &err), err);
        if (format == LGT_TENSORS_NPZ) assert_ok(lgt_npz_write(context, path, &list, &err), err);
        if (format == LGT_TENSORS_LIBLINEAR)
            assert_ok(lgt_liblinear_write(context, path, "MCSVM_CS", &weight, NULL, &labels, &err), err);
        content c = read_whole(path);
        for (int piped = 0; piped < 2; piped++) {
            lgt_tensors out;
            lgt_tensors_format found = LGT_TENSORS_ARRAY;
            make_fifo();
            pid_t writer = start_writer(fifo, c.bytes, c.length, 0);
            lgt_status status = lgt_tensors_read_any(context, piped ? fifo : path, &out, &found, &err);
            end_writer(writer);
            assert_ok(status, err);
            assert_int_equal(found, format);
            const lgt_array *w = lgt_tensors_find(&out, firsts[format]);
            assert_non_null(w);
            assert_int_equal(w->count, 6);
            assert_memory_equal(w->data, values, sizeof values);
            lgt_tensors_free(context, &out);
        }
        free(c.bytes);
    }
    lgt_context_free(context);
}

static void the_first_bytes_of_idx_and_safetensors_are_not_confused(void **state) {
    (void)state;
    lgt_error err;
    lgt_tensors out;
    lgt_tensors_format format;
    lgt_context *context = test_context(1);
    const char *path = test_put("idx", "\0\0\x08\1\0\0\0\2{}", 10); /* two labels, 123 and 125 */
    assert_ok(lgt_tensors_read_any(context, path, &out, &format, &err), err);
    assert_int_equal(format, LGT_TENSORS_ARRAY);
    lgt_tensors_free(context, &out);
    path = test_put("csv", "a,b,cdef{,y\n1,2,3,4\n", 20);
    lgt_dataset_options options;
    lgt_dataset_options_init(&options);
    options.spec = path;
    lgt_dataset *data = NULL;
    assert_ok(lgt_dataset_load(context, &options, &data, &err), err);
    assert_int_equal(data->dim, 3);
    lgt_dataset_free(context, data);
    static test_bytes large; /* its length in two zero bytes first, as IDX begins */
    static const char json[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    test_add_number(&large, 1 << 16, 8, 0);
    test_add(&large, json, sizeof json - 1);
    while (large.length < 8 + (1 << 16)) test_add(&large, " ", 1);
    test_add(&large, "x", 1);
    path = test_put("large", large.data, large.length);
    assert_ok(lgt_tensors_read_any(context, path, &out, &format, &err), err);
    assert_int_equal(format, LGT_TENSORS_SAFETENSORS);
    lgt_tensors_free(context, &out);
    assert_ok(lgt_tensors_read_any(context, test_put("labels", "b\na\nb\n", 6), &out, &format, &err), err);
    const lgt_array *labels = lgt_tensors_find(&out, "labels");
    static const int64_t wanted[] = {1, 0, 1};
    assert_int_equal(format, LGT_TENSORS_CSV);
    assert_int_equal(out.n_tensors, 1);
    assert_non_null(labels);
    assert_int_equal(labels->count, 3);
    assert_memory_equal(labels->data, wanted, sizeof wanted);
    lgt_tensors_free(context, &out);
    assert_fails(lgt_tensors_read_any(context, test_put("none", "1.5\n", 4), &out, &format, &err), LGT_ERR_DATA, err,
                 "the label is no integer");
    assert_null(out.tensors);
    lgt_context_free(context);
}

/* --- standard input --- */

/* lgt_array_read of standard input while it is fd, which is closed. */
static lgt_status read_stdin(int fd, lgt_context *context, lgt_array *array, lgt_error *err) {
    int own = dup(STDIN_FILENO);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    close(fd);
    lgt_status status = lgt_array_read(context, "/dev/stdin", array, err);
    if (own >= 0) dup2(own, STDIN_FILENO);
    if (own >= 0) close(own);
    return status;
}

static void standard_input_is_a_file_from_where_it_stands(void **state) {
    (void)state;
    lgt_error err;
    lgt_array array;
    size_t length = 0;
    unsigned char *file = compose(3, &length);
    lgt_context *context = test_context(1);
    unsigned char *behind = malloc(length + 5);
    assert_non_null(behind);
    memcpy(behind, "above", 5);
    memcpy(behind + 5, file, length);
    int fd = open(test_put("behind", behind, length + 5), O_RDONLY);
    assert_int_equal(lseek(fd, 5, SEEK_SET), 5);
    assert_ok(read_stdin(fd, context, &array, &err), err);
    assert_counts(&array, 3);
    lgt_array_free(context, &array);
    fd = open(test_put("cut", behind, length + 4), O_RDONLY);
    assert_int_equal(lseek(fd, 5, SEEK_SET), 5);
    assert_fails(read_stdin(fd, context, &array, &err), LGT_ERR_DATA, err,
                 "/dev/stdin: declares 24 bytes of data, but at most 23 can follow");
    lgt_context_free(context);
    free(behind);
    free(file);
}

static void standard_input_is_a_socket_or_a_pipe_that_does_not_wait(void **state) {
    (void)state;
    size_t length = 0;
    unsigned char *file = compose(LONG, &length);
    lgt_context *context = test_context(1);
    for (int socket = 0; socket < 2; socket++) {
        lgt_error err;
        lgt_array array;
        int ends[2];
        assert_int_equal(socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends) : pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            alarm(30);
            close(ends[0]);
            pause_ms(200);
            pour(ends[1], file, length);
            _exit(0);
        }
        close(ends[1]);
        assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
        lgt_status status = read_stdin(ends[0], context, &array, &err);
        waitpid(child, NULL, 0);
        assert_ok(status, err);
        assert_counts(&array, LONG);
        lgt_array_free(context, &array);
    }
    lgt_context_free(context);
    free(file);
}

static void standard_input_that_is_none_is_refused(void **state) {
    (void)state;
    lgt_error err;
    lgt_array array;
    lgt_context *context = test_context(1);
    assert_fails(read_stdin(open("/dev/zero", O_RDONLY), context, &array, &err), LGT_ERR_IO, err,
                 "/dev/stdin: is a device, expected a regular file or a pipe");
    assert_fails(read_stdin(open(test_folder, O_RDONLY), context, &array, &err), LGT_ERR_IO, err, "is a folder");
    lgt_context_free(context);
}

/* --- standard output --- */

static void standard_output_is_written_where_it_stands(void **state) {
    (void)state;
    lgt_error err;
    char found[32] = "";
    lgt_context *context = test_context(1);
    const char *path = test_put_text("out", "before ");
    int fd = open(path, O_WRONLY | O_APPEND), own = dup(STDOUT_FILENO);
    fflush(stdout);
    dup2(fd, STDOUT_FILENO);
    lgt_status status = lgt_file_write(context, "/dev/stdout", "new", 3, &err);
    dup2(own, STDOUT_FILENO);
    close(own);
    assert_int_equal(write(fd, " after", 6), 6); /* into the same file: it was not replaced */
    close(fd);
    assert_ok(status, err);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(found, 1, sizeof found, file), 16);
    fclose(file);
    assert_string_equal(found, "before new after");
    lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipes_are_read_to_their_end),
        cmocka_unit_test(a_writer_may_start_later),
        cmocka_unit_test(gzip_is_unpacked_behind_a_pipe),
        cmocka_unit_test(a_writer_that_leaves_early_is_told_as_a_file_cut_short),
        cmocka_unit_test(a_pipe_without_a_writer_is_given_up),
        cmocka_unit_test(refused_memory_names_the_pipe),
        cmocka_unit_test(every_format_is_told_by_its_first_bytes),
        cmocka_unit_test(the_first_bytes_of_idx_and_safetensors_are_not_confused),
        cmocka_unit_test(standard_input_is_a_file_from_where_it_stands),
        cmocka_unit_test(standard_input_is_a_socket_or_a_pipe_that_does_not_wait),
        cmocka_unit_test(standard_input_that_is_none_is_refused),
        cmocka_unit_test(standard_output_is_written_where_it_stands),
    };
    return cmocka_run_group_tests(tests, test_folder_begin, test_folder_end);
}
