/* Damaged .npy, IDX and gzip files are refused with the right status and a message that tells what is wrong. */
#include <zlib.h>

#include "logitude/io.h"
#include "temporary.h"

typedef struct expectation {
    lgt_status status;
    const char *part;
} expectation;

/* Reads a file of these bytes: a part of the message, and nothing left behind. */
static void assert_reads(const void *bytes, size_t length, lgt_status status, const char *part) {
    lgt_error err;
    lgt_array array;
    lgt_context *context = test_context_failing(0);
    const char *path = test_put("bad", bytes, length);
    lgt_status got = lgt_array_read(context, path, &array, &err);
    assert_fails(got, status, err, part);
    if (got) {
        assert_null(array.data);
        assert_int_equal(strncmp(err.message, path, strlen(path)), 0);
    }
    lgt_array_free(context, &array);
    lgt_context_free(context);
    assert_int_equal(test_live_blocks(), 0);
    unlink(path);
}

static void compose(test_bytes *file, int version, const char *header, size_t length, size_t data) {
    file->length = 0;
    test_add(file, "\x93NUMPY", 6);
    test_add_number(file, (uint64_t)version, 1, 0);
    test_add_number(file, 0, 1, 0);
    test_add_number(file, length, version == 1 ? 2 : 4, 0);
    test_add(file, header, length);
    test_add_zeros(file, data);
}

#define D "'descr': '<f4', "
#define F "'fortran_order': False, "
#define S "'shape': (2, 3)"

/* Headers of a file with 24 bytes of data. A newline is added unless the case has one. */
static const struct {
    const char *header;
    lgt_status status;
    const char *part;
} headers[] = {
    /* what is accepted */
    {"{" D F S ", }", LGT_OK, ""},
    {"{" D F S "}", LGT_OK, ""},
    {"{" F D S "}", LGT_OK, ""},
    {"{" S ", " F "'descr': '<f4'}", LGT_OK, ""},
    {"{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (2, 3)}", LGT_OK, ""},
    {"{'descr':'<f4','fortran_order':False,'shape':(2,3)}", LGT_OK, ""},
    {"\t{ 'descr'\t: '<f4' ,\r\n 'fortran_order' : False , 'shape' : ( 2 , 3 , ) , } \t\r\n", LGT_OK, ""},
    {"{" D "'fortran_order': True, 'shape': (2, 3)}", LGT_OK, ""},
    {"{" D F "'shape': (6,)}", LGT_OK, ""},
    {"{'descr': '|u1', " F "'shape': (24,)}", LGT_OK, ""},
    {"{'descr': '<u1', " F "'shape': (24,)}", LGT_OK, ""},
    {"{'descr': '>f8', " F "'shape': (1, 1, 1, 1, 1, 1, 1, 3)}", LGT_OK, ""},
    /* not such a dictionary */
    {"", LGT_ERR_DATA, "expected '{'"},
    {"\n", LGT_ERR_DATA, "expected '{'"},
    {"[]", LGT_ERR_DATA, "expected '{'"},
    {"None", LGT_ERR_DATA, "has 'None?' at byte 0, expected '{'"},
    {"{", LGT_ERR_DATA, "expected a key"},
    {"{}", LGT_ERR_DATA, "expected the keys"},
    {"{,}", LGT_ERR_DATA, "expected a key"},
    {"{" D F "}", LGT_ERR_DATA, "expected the keys"},
    {"{" D S "}", LGT_ERR_DATA, "expected the keys"},
    {"{" F S "}", LGT_ERR_DATA, "expected the keys"},
    {"{" D F S, LGT_ERR_DATA, "expected ',' or '}'"},
    {"{" D F S ",", LGT_ERR_DATA, "expected a key"},
    {"{" D F S ",,}", LGT_ERR_DATA, "expected a key"},
    {"{" D D F S "}", LGT_ERR_DATA, "has ''descr': '<f4', 'for' at byte 17, expected 'descr', 'fortran_order'"},
    {"{" D F S ", 'shape': (6,)}", LGT_ERR_DATA, "each once"},
    {"{" D F F S "}", LGT_ERR_DATA, "each once"},
    {"{" D F S ", 'extra': 1}", LGT_ERR_DATA, "each once"},
    {"{" D F S ", '': 1}", LGT_ERR_DATA, "each once"},
    {"{" D F S ", 'Shape': (6,)}", LGT_ERR_DATA, "each once"},
    {"{" D F S "} x", LGT_ERR_DATA, "expected blanks up to the end"},
    {"{" D F S "}}", LGT_ERR_DATA, "expected blanks up to the end"},
    {"{" D F S "} # comment", LGT_ERR_DATA, "expected blanks up to the end"},
    {"{'descr' '<f4', " F S "}", LGT_ERR_DATA, "expected ':'"},
    {"{descr: '<f4', " F S "}", LGT_ERR_DATA, "expected a key in quotes"},
    {"{'descr: '<f4', " F S "}", LGT_ERR_DATA, "each once"},
    {"{'de\\x73cr': '<f4', " F S "}", LGT_ERR_DATA, "expected a key in quotes"},
    {"{b'descr': '<f4', " F S "}", LGT_ERR_DATA, "expected a key in quotes"},
    {"{" D F "'shape': (2, 3) 'x'}", LGT_ERR_DATA, "expected ',' or '}'"},
    {"{'descr': '<f4' " F S "}", LGT_ERR_DATA, "expected ',' or '}'"},
    {"{\xff\xfe" D F S "}", LGT_ERR_DATA, "has '?\?'descr'"},
    /* types */
    {"{'descr': 'f4', " F S "}", LGT_ERR_DATA, "expected a type such as '<f4'"},
    {"{'descr': '=f4', " F S "}", LGT_ERR_DATA, "has ''=f4', 'fortran_orde'"},
    {"{'descr': '|f4', " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': '<f3', " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': '<f', " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': '<f44', " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': '', " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': '<', " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': ' <f4', " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': '<f4, " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': '<f4\", " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': '<f4", LGT_ERR_DATA, "expected a type"},
    {"{'descr': float32, " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': None, " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': ('<f4', (2,)), " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': '<q8', " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': '|b1', " F S "}", LGT_ERR_DATA, "has bytes behind its data"},
    {"{'descr': '|i1', " F S "}", LGT_ERR_DATA, "has bytes behind its data"},
    {"{'descr': '|i2', " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': '<u8', " F S "}", LGT_ERR_DATA, "declares 48 bytes of data, but at most 24 can follow"},
    {"{'descr': '<b2', " F S "}", LGT_ERR_DATA, "expected a type"},
    {"{'descr': '<c8', " F S "}", LGT_ERR_UNSUPPORTED, "holds '<c8', expected f2, f4, f8, integers or b1"},
    {"{'descr': '<f16', " F S "}", LGT_ERR_UNSUPPORTED, "holds '<f16'"},
    {"{'descr': '|V2', " F S "}", LGT_ERR_UNSUPPORTED, "holds '|V2'"},
    {"{'descr': '<U4', " F S "}", LGT_ERR_UNSUPPORTED, "holds '<U4'"},
    {"{'descr': '|O', " F S "}", LGT_ERR_UNSUPPORTED, "holds '|O'"},
    {"{'descr': '<M8[ns]', " F S "}", LGT_ERR_UNSUPPORTED, "holds '<M8[ns]'"},
    {"{'descr': [('a', '<f4')], " F S "}", LGT_ERR_UNSUPPORTED, "structured array"},
    /* order */
    {"{" D "'fortran_order': 1, " S "}", LGT_ERR_DATA, "expected True or False"},
    {"{" D "'fortran_order': 'True', " S "}", LGT_ERR_DATA, "expected True or False"},
    {"{" D "'fortran_order': true, " S "}", LGT_ERR_DATA, "expected True or False"},
    {"{" D "'fortran_order': , " S "}", LGT_ERR_DATA, "expected True or False"},
    {"{" D "'fortran_order': Falsehood, " S "}", LGT_ERR_DATA, "expected ',' or '}'"},
    /* shapes */
    {"{" D F "'shape': ()}", LGT_ERR_DATA, "has bytes behind its data"},
    {"{" D F "'shape': (0,)}", LGT_ERR_DATA, "has bytes behind its data"},
    {"{" D F "'shape': (0, 7)}", LGT_ERR_DATA, "has bytes behind its data"},
    {"{" D F "'shape': (5,)}", LGT_ERR_DATA, "has bytes behind its data"},
    {"{" D F "'shape': (7,)}", LGT_ERR_DATA, "declares 28 bytes of data, but at most 24 can follow"},
    {"{" D F "'shape': (6)}", LGT_ERR_DATA, "expected a tuple"},
    {"{" D F "'shape': 6}", LGT_ERR_DATA, "expected a tuple"},
    {"{" D F "'shape': [2, 3]}", LGT_ERR_DATA, "expected a tuple"},
    {"{" D F "'shape': (2 3)}", LGT_ERR_DATA, "expected ',' or ')'"},
    {"{" D F "'shape': (,)}", LGT_ERR_DATA, "expected an axis"},
    {"{" D F "'shape': (2,, 3)}", LGT_ERR_DATA, "expected an axis"},
    {"{" D F "'shape': (2, 3", LGT_ERR_DATA, "expected ',' or ')'"},
    {"{" D F "'shape': (", LGT_ERR_DATA, "expected an axis"},
    {"{" D F "'shape': (-1,)}", LGT_ERR_DATA, "has '-1,)}?' at byte 51, expected an axis"},
    {"{" D F "'shape': (-5,)}", LGT_ERR_DATA, "expected an axis"},
    {"{" D F "'shape': (-2, -3)}", LGT_ERR_DATA, "expected an axis"},
    {"{" D F "'shape': (+6,)}", LGT_ERR_DATA, "expected an axis"},
    {"{" D F "'shape': (True, 6)}", LGT_ERR_DATA, "expected an axis"},
    {"{" D F "'shape': (6L,)}", LGT_ERR_DATA, "expected ',' or ')'"},
    {"{" D F "'shape': (6.0,)}", LGT_ERR_DATA, "expected ',' or ')'"},
    {"{" D F "'shape': (6e0,)}", LGT_ERR_DATA, "expected ',' or ')'"},
    {"{" D F "'shape': (06,)}", LGT_ERR_DATA, "expected an axis"},
    {"{" D F "'shape': (0x6,)}", LGT_ERR_DATA, "expected ',' or ')'"},
    {"{" D F "'shape': ('6',)}", LGT_ERR_DATA, "expected an axis"},
    {"{" D F "'shape': ((2, 3),)}", LGT_ERR_DATA, "expected an axis"},
    {"{" D F "'shape': (9223372036854775807,)}", LGT_ERR_DATA, "do not fit 64 bits"},
    {"{" D F "'shape': (9223372036854775808,)}", LGT_ERR_DATA, "expected an axis"},
    {"{" D F "'shape': (18446744073709551616,)}", LGT_ERR_DATA, "expected an axis"},
    {"{" D F "'shape': (4294967296, 4294967296)}", LGT_ERR_DATA, "do not fit 64 bits"},
    {"{" D F "'shape': (4611686018427387910,)}", LGT_ERR_DATA, "do not fit 64 bits"},
    {"{" D F "'shape': (4194305, 4194305, 211106198978564)}", LGT_ERR_DATA, "do not fit 64 bits"},
    {"{" D F "'shape': (2305843009213693951,)}", LGT_ERR_DATA, "declares 9223372036854775804 bytes"},
    {"{" D F "'shape': (1, 1, 1, 1, 1, 1, 1, 2, 3)}", LGT_ERR_MEMORY, "more than 8 axes"},
};
enum { N_HEADERS = sizeof headers / sizeof *headers };

static void npy_headers_are_read_strictly(void **state) {
    (void)state;
    static test_bytes file;
    for (int i = 0; i < N_HEADERS; i++) {
        for (int version = 1; version <= 3; version++) {
            char text[256];
            size_t length = strlen(headers[i].header);
            memcpy(text, headers[i].header, length);
            if (length && text[length - 1] != '\n') text[length++] = '\n';
            compose(&file, version, text, length, 24);
            assert_reads(file.data, file.length, headers[i].status, headers[i].part);
        }
    }
    print_message("%d headers\n", N_HEADERS);
}

static void npy_headers_end_with_a_newline(void **state) {
    (void)state;
    static test_bytes file;
    static const char *const endings[] = {"}", "} ", "}\n ", "}\n\t"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        char text[256];
        int length = snprintf(text, sizeof text, "{" D F S "%s", endings[i]);
        compose(&file, 1, text, (size_t)length, 24);
        assert_reads(file.data, file.length, LGT_ERR_DATA, "expected a newline as the last byte");
    }
    compose(&file, 1, "{" D F S "}\0\n", strlen("{" D F S "}") + 2, 24);
    assert_reads(file.data, file.length, LGT_ERR_DATA, "expected blanks up to the end");
}

static void npy_prefixes_are_checked_before_anything_is_allocated(void **state) {
    (void)state;
    static test_bytes file;
    static char long_header[12000];
    static const struct {
        unsigned major, minor;
        uint64_t length;
        int bytes;
        lgt_status status;
        const char *part;
    } cases[] = {
        {0, 0, 64, 2, LGT_ERR_DATA, "version 0.0, expected 1.0, 2.0 or 3.0"},
        {1, 1, 64, 2, LGT_ERR_DATA, "version 1.1"},
        {4, 0, 64, 4, LGT_ERR_DATA, "version 4.0"},
        {255, 255, 64, 4, LGT_ERR_DATA, "version 255.255"},
        {1, 0, 65535, 2, LGT_ERR_DATA, "header of 65535 bytes, but at most 12000 can follow"},
        {2, 0, 0xffffffff, 4, LGT_ERR_DATA, "header of 4294967295 bytes"},
        {3, 0, 0x80000000, 4, LGT_ERR_DATA, "header of 2147483648 bytes"},
        {2, 0, 10001, 4, LGT_ERR_MEMORY, "header of 10001 bytes, at most 10000 are read"},
        {1, 0, 12000, 2, LGT_ERR_MEMORY, "header of 12000 bytes"},
        {1, 0, 10000, 2, LGT_ERR_DATA, "expected '{'"},
        {1, 0, 0, 2, LGT_ERR_DATA, "expected '{'"},
    };
    memset(long_header, ' ', sizeof long_header);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        file.length = 0;
        test_add(&file, "\x93NUMPY", 6);
        test_add_number(&file, cases[i].major, 1, 0);
        test_add_number(&file, cases[i].minor, 1, 0);
        test_add_number(&file, cases[i].length, cases[i].bytes, 0);
        test_add(&file, long_header, sizeof long_header);
        assert_reads(file.data, file.length, cases[i].status, cases[i].part);
    }
}

static void idx_headers_are_read_strictly(void **state) {
    (void)state;
    static test_bytes file;
    static const struct {
        const char *head; /* zero, zero, type, axes */
        uint64_t axes[9];
        int n_axes;
        size_t data;
        lgt_status status;
        const char *part;
    } cases[] = {
        {"\0\0\x08\1", {4}, 1, 4, LGT_OK, ""},
        {"\0\0\x08\1", {0}, 1, 0, LGT_OK, ""},
        {"\0\0\x08\3", {2, 0, 3}, 3, 0, LGT_OK, ""},
        {"\0\0\x0c\2", {2, 2}, 2, 16, LGT_OK, ""},
        {"\0\0\x0d\1", {2}, 1, 8, LGT_OK, ""},
        {"\0\0\x0e\1", {1}, 1, 8, LGT_OK, ""},
        {"\0\0\x08\x08", {1, 1, 1, 1, 1, 1, 1, 2}, 8, 2, LGT_OK, ""},
        {"\0\0\x08\1", {4}, 1, 3, LGT_ERR_DATA, "declares 4 bytes of data, but at most 3 can follow"},
        {"\0\0\x08\1", {4}, 1, 5, LGT_ERR_DATA, "has bytes behind its data"},
        {"\0\0\x08\1", {0}, 1, 1, LGT_ERR_DATA, "has bytes behind its data"},
        {"\0\0\x08\2", {4}, 1, 0, LGT_ERR_DATA, "ends within the IDX header"},
        {"\0\0\x08\2", {4}, 1, 3, LGT_ERR_DATA, "ends within the IDX header: 3 bytes found, 4 expected"},
        {"\0\0\x08\0", {0}, 0, 1, LGT_ERR_DATA, "has 0 axes"},
        {"\0\0\x08\x09", {1, 1, 1, 1, 1, 1, 1, 1, 1}, 9, 1, LGT_ERR_MEMORY, "has 9 axes, at most 8"},
        {"\0\0\x08\xff", {1}, 1, 1024, LGT_ERR_MEMORY, "has 255 axes"},
        {"\0\0\x09\1", {2}, 1, 1, LGT_ERR_DATA, "declares 2 bytes of data, but at most 1 can follow"},
        {"\0\0\x0b\1", {1}, 1, 3, LGT_ERR_DATA, "has bytes behind its data"},
        {"\0\0\x0a\1", {1}, 1, 2, LGT_ERR_DATA, "type 0x0a is unknown"},
        {"\0\0\x0f\1", {1}, 1, 2, LGT_ERR_DATA, "type 0x0f is unknown"},
        {"\0\0\x10\1", {1}, 1, 2, LGT_ERR_DATA, "type 0x10 is unknown"},
        {"\0\0\0\1", {1}, 1, 2, LGT_ERR_DATA, "type 0x00 is unknown"},
        {"\0\1\x08\1", {1}, 1, 1, LGT_ERR_DATA, "neither those of .npy nor of IDX"},
        {"\1\0\x08\1", {1}, 1, 1, LGT_ERR_DATA, "neither those of .npy nor of IDX"},
        {"\0\0\x08\1", {0xffffffff}, 1, 8, LGT_ERR_DATA, "declares 4294967295 bytes"},
        {"\0\0\x0e\2", {0xffffffff, 0xffffffff}, 2, 8, LGT_ERR_DATA, "do not fit 64 bits"},
        {"\0\0\x08\3", {0xffffffff, 0xffffffff, 0xffffffff}, 3, 8, LGT_ERR_DATA, "do not fit 64 bits"},
        {"\0\0\x08\2", {0x80000000, 0x80000000}, 2, 8, LGT_ERR_DATA, "declares 4611686018427387904 bytes"},
        {"\0\0\x08\4", {0x10000, 0x10000, 0x10000, 0x10000}, 4, 8, LGT_ERR_DATA, "do not fit 64 bits"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        file.length = 0;
        test_add(&file, cases[i].head, 4);
        for (int axis = 0; axis < cases[i].n_axes; axis++) test_add_number(&file, cases[i].axes[axis], 4, 1);
        test_add_zeros(&file, cases[i].data);
        assert_reads(file.data, file.length, cases[i].status, cases[i].part);
    }
}

static void other_files_are_told_apart(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        expectation expected;
    } cases[] = {
        {"", 0, {LGT_ERR_DATA, "neither those of .npy nor of IDX"}},
        {"\x93", 1, {LGT_ERR_DATA, "neither"}},
        {"\x93NUMP", 5, {LGT_ERR_DATA, "neither"}},
        {"\x93numpy\1\0", 8, {LGT_ERR_DATA, "neither"}},
        {"\x94NUMPY\1\0", 8, {LGT_ERR_DATA, "neither"}},
        {"1,2\n", 4, {LGT_ERR_DATA, "neither"}},
        {"\x89HDF\r\n\x1a\n", 8, {LGT_ERR_DATA, "neither"}},
        {"PK\3\4\x14\0\0\0", 8, {LGT_ERR_UNSUPPORTED, "ZIP archive (.npz)"}},
        {"PK\5\6\0\0\0\0", 8, {LGT_ERR_UNSUPPORTED, "ZIP archive (.npz)"}},
        {"\0\0", 2, {LGT_ERR_DATA, "ends within the IDX header: 2 bytes found, 4 expected"}},
        {"\x1f\x8b", 2, {LGT_ERR_DATA, "gzip data end early"}},
        {"\x1f\x8b\7\0\0\0\0\0\0\0", 10, {LGT_ERR_DATA, "gzip data are damaged: unknown compression method"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_reads(cases[i].bytes, cases[i].length, cases[i].expected.status, cases[i].expected.part);
}

static void what_is_no_regular_file_is_refused_at_once(void **state) {
    (void)state;
    lgt_error err;
    lgt_array array;
    lgt_context *context = test_context(1);
    const char *loop = test_path("loop");
    assert_int_equal(symlink("loop", loop), 0);
    const struct {
        const char *path, *part;
    } cases[] = {{"/nonexistent", "/nonexistent: cannot open: No such file"},
                 {"", ": cannot open"},
                 {"/dev/zero", "is a device, expected a regular file or a pipe"},
                 {loop, "cannot open: Too many levels"},
                 {test_folder, "is a folder"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(lgt_array_read(context, cases[i].path, &array, &err), LGT_ERR_IO, err, cases[i].part);
    unlink(loop);
    lgt_context_free(context);
}

/* Packs as one gzip member. */
static void pack(test_bytes *out, const void *data, size_t length) {
    z_stream stream = {.next_in = NULL};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)length;
    stream.next_out = out->data + out->length;
    stream.avail_out = (uInt)(sizeof out->data - out->length);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out->length = sizeof out->data - stream.avail_out;
    deflateEnd(&stream);
}

static void damaged_gzip_is_refused(void **state) {
    (void)state;
    static test_bytes plain, good, bad;
    plain.length = good.length = 0;
    test_add(&plain, "\0\0\x08\1", 4);
    test_add_number(&plain, 1000, 4, 1);
    for (unsigned i = 0; i < 1000; i++) test_add_number(&plain, i * i >> 4 & 255, 1, 0);
    pack(&good, plain.data, plain.length);
    assert_reads(good.data, good.length, LGT_OK, "");
    const struct {
        size_t at;
        const char *part;
    } flips[] = {{good.length - 8, "incorrect data check"},
                 {good.length - 4, "incorrect length check"},
                 {good.length - 1, "incorrect length check"},
                 {3, "unknown header flags set"}};
    for (size_t i = 0; i < sizeof flips / sizeof *flips; i++) {
        bad = good;
        bad.data[flips[i].at] ^= 0xff;
        assert_reads(bad.data, bad.length, LGT_ERR_DATA, flips[i].part);
    }
    for (size_t length = 0; length < good.length; length++) /* every cut */
        assert_reads(good.data, length, LGT_ERR_DATA, length < 2 ? "neither" : "gzip data end early");
    const char *const tails[] = {"x", "\037", "garbage behind"};
    for (int i = 0; i < 3; i++) {
        bad = good;
        test_add(&bad, tails[i], strlen(tails[i]));
        assert_reads(bad.data, bad.length, LGT_ERR_DATA, "gzip data");
    }
    bad = good; /* a second member is content, here too much of it */
    pack(&bad, "more", 4);
    assert_reads(bad.data, bad.length, LGT_ERR_DATA, "has bytes behind its data");
}

static void a_gzip_bomb_is_bounded_by_what_the_header_declares(void **state) {
    (void)state;
    enum { ZEROS = 8 << 20 };
    static unsigned char zeros[ZEROS + 8] = {0, 0, 8, 1, 0, 0x80, 0, 0};
    static test_bytes file;
    file.length = 0;
    pack(&file, zeros, sizeof zeros); /* near DEFLATE's best ratio, and legitimate */
    print_message("ratio %zu\n", sizeof zeros / file.length);
    assert_reads(file.data, file.length, LGT_OK, "");
    zeros[5] = 0; /* declares 0 bytes: nothing is unpacked for them */
    file.length = 0;
    pack(&file, zeros, sizeof zeros);
    assert_reads(file.data, file.length, LGT_ERR_DATA, "has bytes behind its data");
    zeros[4] = 0x7f; /* declares 2 GB: no file of this size unpacks to that, so nothing is allocated */
    file.length = 0;
    pack(&file, zeros, sizeof zeros);
    assert_reads(file.data, file.length, LGT_ERR_DATA, "declares 2130706432 bytes of data, but at most");
}

static void every_cut_of_a_small_file_is_refused(void **state) {
    (void)state;
    static test_bytes npy, idx;
    compose(&npy, 1, "{" D F S ", }\n", strlen("{" D F S ", }\n"), 24);
    idx.length = 0;
    test_add(&idx, "\0\0\x0d\2\0\0\0\2\0\0\0\3", 12);
    test_add_zeros(&idx, 24);
    const test_bytes *const files[] = {&npy, &idx};
    for (int i = 0; i < 2; i++) {
        for (size_t length = 0; length < files[i]->length; length++)
            assert_reads(files[i]->data, length, LGT_ERR_DATA, "");
        assert_reads(files[i]->data, files[i]->length, LGT_OK, "");
    }
}

/* Whatever a flipped byte makes of a file, reading ends in order; the assertions are those of the sanitizers. */
static void every_changed_byte_is_survived(void **state) {
    (void)state;
    static test_bytes file;
    static const unsigned char masks[] = {0x01, 0x10, 0x80, 0xff};
    compose(&file, 2, "{" D F S ", }\n", strlen("{" D F S ", }\n"), 24);
    int refused = 0;
    for (size_t i = 0; i < file.length - 24; i++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            lgt_error err;
            lgt_array array;
            lgt_context *context = test_context_failing(0);
            file.data[i] ^= masks[m];
            refused += lgt_array_read(context, test_put("bad", file.data, file.length), &array, &err) != LGT_OK;
            file.data[i] ^= masks[m];
            lgt_array_free(context, &array);
            lgt_context_free(context);
            assert_int_equal(test_live_blocks(), 0);
        }
    }
    unlink(test_path("bad"));
    assert_true(refused > 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npy_headers_are_read_strictly),
        cmocka_unit_test(npy_headers_end_with_a_newline),
        cmocka_unit_test(npy_prefixes_are_checked_before_anything_is_allocated),
        cmocka_unit_test(idx_headers_are_read_strictly),
        cmocka_unit_test(other_files_are_told_apart),
        cmocka_unit_test(what_is_no_regular_file_is_refused_at_once),
        cmocka_unit_test(damaged_gzip_is_refused),
        cmocka_unit_test(a_gzip_bomb_is_bounded_by_what_the_header_declares),
        cmocka_unit_test(every_cut_of_a_small_file_is_refused),
        cmocka_unit_test(every_changed_byte_is_survived),
    };
    return cmocka_run_group_tests_name("array_malformed", tests, test_folder_begin, test_folder_end);
}
