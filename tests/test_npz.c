/* .npz: what is written and read, archives as other programs make them, and damage of every kind. */
#include <string.h>
#include <zlib.h>

#include "logitude/io.h"
#include "support.h"
#include "temporary.h"

/* --- an archive by hand --- */

typedef struct made_member {
    const char *name;
    int deflated, zip64; /* zip64: sizes in the extra field, as NumPy has them */
} made_member;

typedef struct archive {
    test_bytes bytes, directory;
    int64_t n_members, local[8], central[8]; /* where their headers begin, the latter within the directory */
} archive;

static archive made; /* large */

static size_t squeeze(const unsigned char *from, size_t length, unsigned char *to, size_t room) {
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (unsigned char *)(uintptr_t)from;
    stream.avail_in = (uInt)length;
    stream.next_out = to;
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return room - stream.avail_out;
}

static void add_common(test_bytes *to, const made_member *m, uint32_t crc, size_t packed, size_t size) {
    test_add_number(to, 20, 2, 0);
    test_add_number(to, 0, 2, 0);
    test_add_number(to, m->deflated ? 8 : 0, 2, 0);
    test_add_number(to, 0x21u << 16, 4, 0);
    test_add_number(to, crc, 4, 0);
    test_add_number(to, packed, 4, 0);
    test_add_number(to, size, 4, 0);
    test_add_number(to, strlen(m->name), 2, 0);
}

static void add_member(archive *a, made_member m, const void *content, size_t size) {
    unsigned char packed[4096];
    size_t length = m.deflated ? squeeze(content, size, packed, sizeof packed) : size;
    uint32_t crc = (uint32_t)crc32(crc32(0, NULL, 0), content, (uInt)size);
    a->local[a->n_members] = (int64_t)a->bytes.length;
    a->central[a->n_members++] = (int64_t)a->directory.length;
    test_add(&a->bytes, "PK\3\4", 4);
    add_common(&a->bytes, &m, crc, m.zip64 ? UINT32_MAX : length, m.zip64 ? UINT32_MAX : size);
    test_add_number(&a->bytes, m.zip64 ? 26 : 0, 2, 0);
    test_add(&a->bytes, m.name, strlen(m.name));
    if (m.zip64) { /* a field that nobody knows, then the one with the sizes */
        test_add_number(&a->bytes, 0x6f6f + (2u << 16), 4, 0);
        test_add(&a->bytes, "??", 2);
        test_add_number(&a->bytes, 1 + (16u << 16), 4, 0);
        test_add_number(&a->bytes, size, 8, 0);
        test_add_number(&a->bytes, length, 8, 0);
    }
    test_add(&a->bytes, m.deflated ? packed : content, length);
    test_add(&a->directory, "PK\1\2\24\0", 6);
    add_common(&a->directory, &m, crc, length, size);
    test_add_zeros(&a->directory, 2 + 2 + 2 + 2 + 4);
    test_add_number(&a->directory, (uint64_t)a->local[a->n_members - 1], 4, 0);
    test_add(&a->directory, m.name, strlen(m.name));
}

static const char *put_archive(archive *a) {
    uint64_t start = a->bytes.length, n = (uint64_t)a->n_members;
    test_add(&a->bytes, a->directory.data, a->directory.length);
    test_add(&a->bytes, "PK\5\6\0\0\0\0", 8);
    test_add_number(&a->bytes, n, 2, 0);
    test_add_number(&a->bytes, n, 2, 0);
    test_add_number(&a->bytes, a->directory.length, 4, 0);
    test_add_number(&a->bytes, start, 4, 0);
    test_add_zeros(&a->bytes, 2);
    return test_put("a.npz", a->bytes.data, a->bytes.length);
}

/* The bytes of a .npy file of n doubles 0, 1, 2, ... */
static size_t npy(unsigned char *to, size_t room, int64_t n) {
    double values[64];
    lgt_context *context = test_context(1);
    lgt_error err;
    for (int64_t i = 0; i < n; i++) values[i] = (double)i;
    assert_ok(lgt_npy_write(context, test_path("n.npy"), LGT_F64, 1, &n, values, &err), err);
    FILE *file = fopen(test_path("n.npy"), "rb");
    assert_non_null(file);
    size_t length = fread(to, 1, room, file);
    fclose(file);
    lgt_context_free(context);
    unlink(test_path("n.npy"));
    return length;
}

static lgt_status read_archive(const char *path, lgt_error *err) {
    lgt_context *context = test_context_failing(0);
    lgt_tensors read;
    lgt_status status = lgt_npz_read(context, path, &read, err);
    for (int64_t k = 0; k < read.n_tensors; k++) /* 0, 1, 2, ... in all archives here */
        for (int64_t i = 0; i < read.tensors[k].array.count; i++)
            assert_true(((const double *)read.tensors[k].array.data)[i] == (double)i);
    lgt_tensors_free(context, &read);
    lgt_context_free(context);
    assert_int_equal(test_live_blocks(), 0);
    return status;
}

static void make(made_member first, made_member second) {
    unsigned char content[1024];
    size_t length = npy(content, sizeof content, 40);
    memset(&made, 0, sizeof made);
    add_member(&made, first, content, length);
    length = npy(content, sizeof content, 3);
    if (second.name) add_member(&made, second, content, length);
}

/* --- the tests --- */

static void what_is_written_is_read(void **state) {
    float a[6] = {1, -2, 3, -0.0f, 5e-30f, 6};
    int64_t b = -7;
    char one[] = "coef_", two[] = "enc.0/weight";
    lgt_tensor tensors[] = {{one, {.dtype = LGT_F32, .n_dims = 2, .shape = {2, 3}, .count = 6, .data = a}},
                            {two, {.dtype = LGT_I64, .count = 1, .data = &b}}};
    (void)state;
    for (int n = 0; n <= 2; n++) {
        lgt_tensors written = {.tensors = tensors, .n_tensors = n}, read;
        lgt_context *context = test_context(1);
        lgt_error err;
        assert_ok(lgt_npz_write(context, test_path("w.npz"), &written, &err), err);
        assert_ok(lgt_npz_read(context, test_path("w.npz"), &read, &err), err);
        assert_int_equal(read.n_tensors, n);
        assert_int_equal(read.n_metadata, 0);
        for (int i = 0; i < n; i++) {
            const lgt_array *x = &tensors[i].array, *y = &read.tensors[i].array;
            assert_string_equal(read.tensors[i].name, tensors[i].name);
            assert_true(x->dtype == y->dtype && x->n_dims == y->n_dims && x->count == y->count);
            assert_memory_equal(x->data, y->data, (size_t)x->count * lgt_dtype_size(x->dtype));
        }
        lgt_tensors_free(context, &read);
        lgt_context_free(context);
    }
    unlink(test_path("w.npz"));
}

static void archives_of_others_are_read(void **state) {
    (void)state;
    for (int deflated = 0; deflated <= 1; deflated++)
        for (int zip64 = 0; zip64 <= 1; zip64++) {
            lgt_context *context = test_context(1);
            lgt_tensors read;
            lgt_error err;
            make((made_member){"x.npy", deflated, zip64}, (made_member){"y.npy", 1 - deflated, zip64});
            assert_ok(lgt_npz_read(context, put_archive(&made), &read, &err), err);
            assert_int_equal(read.n_tensors, 2);
            assert_string_equal(read.tensors[1].name, "y");
            assert_int_equal(read.tensors[0].array.count, 40);
            for (int i = 0; i < 40; i++) assert_true(((double *)read.tensors[0].array.data)[i] == i);
            lgt_tensors_free(context, &read);
            lgt_context_free(context);
        }
    unlink(test_path("a.npz"));
}

static void writing_refuses_what_could_not_be_read(void **state) {
    char name[] = "x", other[] = "x", odd[] = "\xff", none[] = "", long_one[4098];
    double value = 1;
    lgt_array scalar = {.dtype = LGT_F64, .count = 1, .data = &value}, wrong = scalar;
    lgt_context *context = test_context(1);
    lgt_error err;
    (void)state;
    wrong.count = 2;
    memset(long_one, 'n', sizeof long_one - 1), long_one[sizeof long_one - 1] = 0;
    const struct {
        lgt_tensor tensors[2];
        const char *says;
    } bad[] = {{{{name, scalar}, {other, scalar}}, "two tensors are named x"},
               {{{name, scalar}, {odd, scalar}}, "not UTF-8"},
               {{{name, scalar}, {none, scalar}}, "name is missing"},
               {{{name, scalar}, {long_one, scalar}}, "too long"},
               {{{name, wrong}, {none, scalar}}, "tensor x has a wrong type, shape or count"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lgt_tensor tensors[2] = {bad[i].tensors[0], bad[i].tensors[1]};
        lgt_tensors t = {.tensors = tensors, .n_tensors = 2};
        assert_fails(lgt_npz_write(context, test_path("w.npz"), &t, &err), LGT_ERR_USAGE, err, bad[i].says);
        assert_int_equal(access(test_path("w.npz"), F_OK), -1);
    }
    long_one[4096] = 0; /* the longest name comes back */
    lgt_tensor longest = {long_one, scalar};
    lgt_tensors t = {.tensors = &longest, .n_tensors = 1}, back;
    assert_ok(lgt_npz_write(context, test_path("w.npz"), &t, &err), err);
    assert_ok(lgt_npz_read(context, test_path("w.npz"), &back, &err), err);
    assert_string_equal(back.tensors[0].name, long_one);
    lgt_tensors_free(context, &back);
    unlink(test_path("w.npz"));
    lgt_context_free(context);
}

/* A number that is written over another, at a place of the first member's header or of the directory's entry of it. */
typedef struct damage {
    int central, at, bytes;
    uint64_t value;
    lgt_status status;
    const char *says;
} damage;

static void headers_are_read_strictly(void **state) {
    static const damage all[] = {
        {0, 6, 2, 1, LGT_ERR_UNSUPPORTED, "x.npy: is encrypted"},
        {0, 6, 2, 8, LGT_ERR_UNSUPPORTED, "x.npy: was written to a pipe"},
        {0, 8, 2, 12, LGT_ERR_UNSUPPORTED, "is packed by method 12"},
        {0, 14, 4, 5, LGT_ERR_DATA, "x.npy: its CRC-32 is "},
        {0, 18, 4, 447, LGT_ERR_DATA, "is stored, but of two sizes"},
        {0, 26, 2, 3, LGT_ERR_DATA, "is no .npy member"},
        {0, 26, 2, 60000, LGT_ERR_DATA, "ends within the name of a member"},
        {0, 28, 2, 60000, LGT_ERR_DATA, "ends within the head of a member"},
        {0, 18, 8, 0xFFFFFFFFFFFFFFFFu, LGT_ERR_DATA, "its size in 64 bits is missing"},
        {0, 31, 1, 7, LGT_ERR_DATA, "control characters"},
        {1, 16, 4, 5, LGT_ERR_DATA, "the archive's directory and its member 0 (x.npy) differ"},
        {1, 20, 4, 5, LGT_ERR_DATA, "member 0 (x.npy) differ"},
        {1, 42, 4, 5, LGT_ERR_DATA, "member 0 (x.npy) differ"},
        {1, 46, 1, 'z', LGT_ERR_DATA, "member 0 (x.npy) differ"},
        {1, 0, 1, 'Q', LGT_ERR_DATA, "begins no part of a ZIP archive that belongs there"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        lgt_error err;
        make((made_member){"x.npy", 0, 0}, (made_member){"y.npy", 0, 0});
        test_bytes *to = all[i].central ? &made.directory : &made.bytes;
        for (int k = 0; k < all[i].bytes; k++) to->data[all[i].at + k] = (unsigned char)(all[i].value >> 8 * k & 255);
        assert_fails(read_archive(put_archive(&made), &err), all[i].status, err, all[i].says);
    }
    unlink(test_path("a.npz"));
}

static void archives_that_contradict_themselves_are_refused(void **state) {
    lgt_error err;
    (void)state;
    make((made_member){"x.npy", 0, 0}, (made_member){"x.npy", 1, 0});
    assert_fails(read_archive(put_archive(&made), &err), LGT_ERR_DATA, err, "two members are named x.npy");
    make((made_member){"x.npy", 0, 0}, (made_member){"y.npy", 0, 0});
    made.directory.length = (size_t)made.central[1]; /* a member that NumPy would not see */
    assert_fails(read_archive(put_archive(&made), &err), LGT_ERR_DATA, err, "begins no part");
    make((made_member){"x.npy", 0, 0}, (made_member){NULL, 0, 0});
    test_add(&made.directory, made.directory.data, made.directory.length);
    assert_fails(read_archive(put_archive(&made), &err), LGT_ERR_DATA, err, "more than its 1 members");
    make((made_member){"x.npy", 0, 0}, (made_member){NULL, 0, 0});
    put_archive(&made);
    test_add(&made.bytes, "?", 1);
    assert_fails(read_archive(test_put("a.npz", made.bytes.data, made.bytes.length), &err), LGT_ERR_DATA, err,
                 "has bytes behind its data");
    assert_fails(read_archive(test_put_text("a.npz", "PK\5\6"), &err), LGT_ERR_DATA, err,
                 "ends within the archive's end");
    assert_fails(read_archive(test_put_text("a.npz", "hello"), &err), LGT_ERR_DATA, err, "not those of a ZIP archive");
    make((made_member){"x.npy", 0, 0}, (made_member){NULL, 0, 0});
    memcpy(made.bytes.data + made.local[0] + 35, "\x93NUMPX", 6);
    assert_fails(read_archive(put_archive(&made), &err), LGT_ERR_DATA, err, "a.npz: x.npy: its first bytes are not");
    memset(&made, 0, sizeof made);
    add_member(&made, (made_member){"x.npy", 1, 0}, "\x93NUMPY\1\0\20", 9);
    assert_fails(read_archive(put_archive(&made), &err), LGT_ERR_DATA, err, "a.npz: x.npy: ends within");
    unlink(test_path("a.npz"));
}

/* What is read is right, whatever was changed: no bit of stored data, and of DEFLATE only such as say the same in
 * another way. */
static void every_cut_and_every_changed_byte_end_in_order(void **state) {
    (void)state;
    for (int deflated = 0; deflated <= 1; deflated++) {
        make((made_member){"x.npy", deflated, deflated}, (made_member){"y.npy", 0, 0});
        size_t begin = 30 + 5 + (deflated ? 26u : 0u), end = (size_t)made.local[1];
        put_archive(&made);
        size_t length = made.bytes.length;
        lgt_error err;
        for (size_t cut = 0; cut < length; cut++)
            assert_fails(read_archive(test_put("a.npz", made.bytes.data, cut), &err), LGT_ERR_DATA, err, "a.npz: ");
        for (size_t i = 0; i < length; i++) {
            unsigned char bit = (unsigned char)(1 << i % 8);
            made.bytes.data[i] ^= bit;
            lgt_status status = read_archive(test_put("a.npz", made.bytes.data, length), &err);
            made.bytes.data[i] ^= bit;
            if (!deflated && i >= begin && i < end) assert_int_not_equal(status, LGT_OK);
            assert_true(status == LGT_OK || status == LGT_ERR_DATA || status == LGT_ERR_UNSUPPORTED ||
                        status == LGT_ERR_MEMORY);
        }
    }
    unlink(test_path("a.npz"));
}

static void reading_and_writing_survive_every_refused_allocation(void **state) {
    char one[] = "a", two[] = "b";
    double values[2] = {1, 2};
    lgt_array array = {.dtype = LGT_F64, .n_dims = 1, .shape = {2}, .count = 2, .data = values};
    lgt_tensor tensors[] = {{one, array}, {two, array}};
    lgt_tensors written = {.tensors = tensors, .n_tensors = 2}, read;
    (void)state;
    for (int reading = 0; reading < 2; reading++) {
        lgt_status status = LGT_ERR_MEMORY;
        for (int64_t fail_at = 1; status; fail_at++) {
            assert_true(fail_at < 100);
            lgt_context *context = test_context_failing(fail_at);
            status = reading ? lgt_npz_read(context, test_path("w.npz"), &read, NULL)
                             : lgt_npz_write(context, test_path("w.npz"), &written, NULL);
            if (status) assert_int_equal(status, LGT_ERR_MEMORY);
            if (reading) lgt_tensors_free(context, &read);
            lgt_context_free(context);
            assert_int_equal(test_live_blocks(), 0);
        }
    }
    unlink(test_path("w.npz"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(archives_of_others_are_read),
        cmocka_unit_test(writing_refuses_what_could_not_be_read),
        cmocka_unit_test(headers_are_read_strictly),
        cmocka_unit_test(archives_that_contradict_themselves_are_refused),
        cmocka_unit_test(every_cut_and_every_changed_byte_end_in_order),
        cmocka_unit_test(reading_and_writing_survive_every_refused_allocation),
    };
    return cmocka_run_group_tests_name("npz", tests, test_folder_begin, test_folder_end);
}
