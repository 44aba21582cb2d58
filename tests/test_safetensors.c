/* Tensors with metadata: what is written is read, by the letter of the format; everything else is refused. */
#include <zlib.h>

#include "logitude/io.h"
#include "temporary.h"

enum { DATA = 24 };

static void put_tensors(lgt_context *context, const char *path, const lgt_tensors *tensors) {
    lgt_error err;
    assert_ok(lgt_tensors_write(context, path, tensors, &err), err);
}

static unsigned char values[256];

static char *text(const char *constant) {
    static char copies[128][64];
    static int next;
    char *copy = copies[next++ % 128];
    strcpy(copy, constant);
    return copy;
}

/* Two of each: a scalar, an empty one, one of every type with an odd number of elements. */
static lgt_tensors sample(lgt_tensor tensors[8], lgt_metadata metadata[2]) {
    static const lgt_dtype types[] = {LGT_U8, LGT_F16, LGT_F32, LGT_F64, LGT_I32, LGT_I64};
    for (size_t i = 0; i < sizeof values; i++) values[i] = (unsigned char)(i * 37 + 11);
    tensors[0] = (lgt_tensor){text("scalar"), {LGT_F32, 0, {0}, 1, values}};
    tensors[1] = (lgt_tensor){text("empty"), {LGT_F64, 2, {3, 0}, 0, values}};
    for (int i = 0; i < 6; i++) {
        tensors[2 + i] = (lgt_tensor){text(lgt_dtype_name(types[i])), {types[i], 2, {1, 3}, 3, values + i}};
    }
    metadata[0] = (lgt_metadata){text("format"), text("logitude")};
    metadata[1] = (lgt_metadata){text("odd \"\\\n\xC3\xA9"), text("")};
    return (lgt_tensors){tensors, 8, metadata, 2};
}

static void what_is_written_is_read_in_its_order(void **state) {
    (void)state;
    lgt_error err;
    lgt_tensor tensors[8];
    lgt_metadata metadata[2];
    lgt_tensors written = sample(tensors, metadata), read;
    lgt_context *context = test_context_failing(0);
    const char *path = test_path("t");
    put_tensors(context, path, &written);
    assert_ok(lgt_tensors_read(context, path, &read, &err), err);
    assert_int_equal(read.n_tensors, 8);
    for (int i = 0; i < 8; i++) {
        const lgt_array *a = &tensors[i].array, *b = &read.tensors[i].array;
        assert_string_equal(read.tensors[i].name, tensors[i].name);
        assert_int_equal(b->dtype, a->dtype);
        assert_int_equal(b->n_dims, a->n_dims);
        assert_memory_equal(b->shape, a->shape, sizeof a->shape);
        assert_int_equal(b->count, a->count);
        assert_memory_equal(b->data, a->data, (size_t)a->count * lgt_dtype_size(a->dtype));
        assert_ptr_equal(lgt_tensors_find(&read, tensors[i].name), b);
    }
    assert_int_equal(read.n_metadata, 2);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(read.metadata[i].key, metadata[i].key);
        assert_string_equal(lgt_tensors_metadata(&read, metadata[i].key), metadata[i].value);
    }
    assert_null(lgt_tensors_find(&read, "absent"));
    assert_null(lgt_tensors_metadata(&read, "absent"));
    lgt_tensors_free(context, &read);
    assert_null(read.tensors);
    lgt_tensors_free(context, &read);
    lgt_context_free(context);
    assert_int_equal(test_live_blocks(), 0);
    unlink(path);
}

static void the_bytes_are_those_of_the_format(void **state) {
    (void)state;
    static const char expected[] =
        "\x78\0\0\0\0\0\0\0{\"__metadata__\":{\"k\":\"v\"},\"a\":{\"dtype\":\"U8\",\"shape\":[3],"
        "\"data_offsets\":[0,3]},\"b\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[3,7]}}";
    unsigned char bytes[] = {1, 2, 3}, found[256];
    int32_t number = 0x01020304;
    lgt_tensor tensors[] = {{text("a"), {LGT_U8, 1, {3}, 3, bytes}}, {text("b"), {LGT_I32, 0, {0}, 1, &number}}};
    lgt_metadata metadata[] = {{text("k"), text("v")}};
    lgt_context *context = test_context(1);
    const char *path = test_path("t");
    size_t head = sizeof expected - 1, padded = (head + 63) / 64 * 64;
    put_tensors(context, path, &(lgt_tensors){tensors, 2, metadata, 1});
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t length = fread(found, 1, sizeof found, file);
    fclose(file);
    assert_int_equal(length, padded + 7);
    assert_int_equal(found[0], padded - 8);
    assert_memory_equal(found + 1, expected + 1, head - 1);
    for (size_t i = head; i < padded; i++) assert_int_equal(found[i], ' ');
    assert_memory_equal(found + padded, "\1\2\3\4\3\2\1", 7);
    unlink(path);
    lgt_context_free(context);
}

static void no_tensors_and_no_metadata_are_a_file_too(void **state) {
    (void)state;
    lgt_error err;
    lgt_tensors none = {NULL, 0, NULL, 0}, read;
    lgt_context *context = test_context(1);
    const char *path = test_path("t");
    put_tensors(context, path, &none);
    assert_ok(lgt_tensors_read(context, path, &read, &err), err);
    assert_int_equal(read.n_tensors, 0);
    assert_int_equal(read.n_metadata, 0);
    lgt_tensors_free(context, &read);
    unlink(path);
    lgt_context_free(context);
}

static void a_packed_file_is_read_as_well(void **state) {
    (void)state;
    lgt_error err;
    lgt_tensor tensors[8];
    lgt_metadata metadata[2];
    lgt_tensors written = sample(tensors, metadata), read;
    lgt_context *context = test_context(1);
    static unsigned char content[4096];
    const char *path = test_path("t"), *packed = test_path("t.gz");
    put_tensors(context, path, &written);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t length = fread(content, 1, sizeof content, file);
    fclose(file);
    gzFile to = gzopen(packed, "wb");
    assert_int_equal(gzwrite(to, content, (unsigned)length), length);
    assert_int_equal(gzclose(to), Z_OK);
    assert_ok(lgt_tensors_read(context, packed, &read, &err), err);
    assert_int_equal(read.n_tensors, 8);
    lgt_tensors_free(context, &read);
    unlink(path);
    unlink(packed);
    lgt_context_free(context);
}

#define KL                                                                                                             \
    {                                                                                                                  \
        {text("k"), text("v")}, {                                                                                      \
            text("l"), text("v")                                                                                       \
        }                                                                                                              \
    }

static void writing_refuses_what_could_not_be_read(void **state) {
    (void)state;
    static char long_name[5000];
    memset(long_name, 'n', sizeof long_name - 1);
    unsigned char data[8] = {0};
    const lgt_array good = {LGT_U8, 1, {3}, 3, data}, count = {LGT_U8, 1, {3}, 4, data};
    const lgt_array negative = {LGT_U8, 1, {-3}, -3, data}, type = {(lgt_dtype)42, 1, {3}, 3, data};
    const lgt_array huge = {LGT_F64, 2, {INT64_MAX, 2}, 2, data}, many = {LGT_U8, 9, {3}, 3, data};
    const struct {
        lgt_tensor tensors[2];
        lgt_metadata metadata[2];
        const char *part;
    } cases[] = {
        {{{text("a"), good}, {text("a"), good}}, KL, "occurs twice"},
        {{{text("a"), good}, {NULL, good}}, KL, "name is missing"},
        {{{text("a"), good}, {text("b\n"), good}}, KL, "control char"},
        {{{text("a"), good}, {long_name, good}}, KL, "too long"},
        {{{text("a"), good}, {text("\xFF"), good}}, KL, "not UTF-8"},
        {{{text("a"), good}, {text("__metadata__"), good}}, KL, "named __"},
        {{{text("a"), good}, {text("b"), count}}, KL, "'b' has a wrong"},
        {{{text("a"), good}, {text("b"), negative}}, KL, "'b' has a wrong"},
        {{{text("a"), good}, {text("b"), type}}, KL, "'b' has a wrong"},
        {{{text("a"), good}, {text("b"), huge}}, KL, "'b' has a wrong"},
        {{{text("a"), good}, {text("b"), many}}, KL, "'b' has a wrong"},
        {{{text("a"), good}, {text("b"), good}},
         {{text("k"), text("v")}, {text("k"), text("w")}},
         "'k' is not UTF-8 or"},
        {{{text("a"), good}, {text("b"), good}}, {{text("k"), text("v")}, {NULL, text("w")}}, "not UTF-8"},
        {{{text("a"), good}, {text("b"), good}},
         {{text("k"), text("v")}, {text("l"), NULL}},
         "metadata 1 is not UTF-8"},
        {{{text("a"), good}, {text("b"), good}}, {{text("k"), text("\xFE")}, {text("l"), NULL}}, "metadata 0 is not"},
    };
    lgt_error err;
    lgt_context *context = test_context_failing(0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lgt_tensor tensors[2];
        lgt_metadata metadata[2];
        memcpy(tensors, cases[i].tensors, sizeof tensors);
        memcpy(metadata, cases[i].metadata, sizeof metadata);
        lgt_tensors set = {tensors, 2, metadata, 2};
        assert_fails(lgt_tensors_write(context, test_path("t"), &set, &err), LGT_ERR_USAGE, err, cases[i].part);
    }
    lgt_tensor tensors[8];
    lgt_metadata metadata[2];
    lgt_tensors set = sample(tensors, metadata);
    assert_fails(lgt_tensors_write(context, "/dev/full", &set, &err), LGT_ERR_IO, err, "/dev/full: cannot write");
    assert_fails(lgt_tensors_write(context, "/nonexistent/t", &set, &err), LGT_ERR_IO, err, "/nonexistent/t");
    lgt_context_free(context);
    assert_int_equal(test_count_files(test_folder), 0);
}

/* A file of this header and `data` zero bytes; reads it, expecting a status and a part of the message. */
static void assert_reads(const void *header, size_t length, uint64_t declared, size_t data, lgt_status status,
                         const char *part) {
    static test_bytes file;
    lgt_error err;
    lgt_tensors read;
    lgt_context *context = test_context_failing(0);
    file.length = 0;
    test_add_number(&file, declared, 8, 0);
    test_add(&file, header, length);
    test_add_zeros(&file, data);
    const char *path = test_put("bad", file.data, file.length);
    lgt_status got = lgt_tensors_read(context, path, &read, &err);
    assert_fails(got, status, err, part);
    if (got) {
        assert_int_equal(strncmp(err.message, path, strlen(path)), 0);
        assert_true(!read.tensors && !read.metadata && !read.n_tensors && !read.n_metadata);
    }
    lgt_tensors_free(context, &read);
    lgt_context_free(context);
    assert_int_equal(test_live_blocks(), 0);
    unlink(path);
}

#define T(dtype, shape, offsets)   "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(dtype, shape, offsets) "{\"a\":" T(dtype, shape, offsets) "}"
#define GOOD                       T("F32", "[2,3]", "[0,24]")
#define META(metadata)             "{\"__metadata__\":" metadata ",\"a\":" GOOD "}"

/* Headers of files with 24 bytes of data. */
static const struct {
    const char *header;
    lgt_status status;
    const char *part;
} headers[] = {
    /* accepted */
    {"{\"a\":" GOOD "}", LGT_OK, ""},
    {"  \t\r\n{\"a\":" GOOD "}", LGT_OK, ""},
    {"{\"a\":" GOOD "} \t\n ", LGT_OK, ""},
    {"{\"a\":{\"data_offsets\":[0,24],\"shape\":[24],\"dtype\":\"U8\"}}", LGT_OK, ""},
    {"{\"\":" GOOD "}", LGT_OK, ""},
    {"{\"b\":" T("U8", "[4]", "[20,24]") ",\"a\":" T("F32", "[5]", "[0,20]") "}", LGT_OK, ""},
    {"{\"a\":" GOOD ",\"z\":" T("F32", "[0]", "[24,24]") "}", LGT_OK, ""},
    {"{\"y\":" T("F32", "[0,9]", "[0,0]") ",\"z\":" T("F32", "[0]", "[0,0]") ",\"a\":" GOOD "}", LGT_OK, ""},
    {"{\"a\":" GOOD ",\"__metadata__\":{}}", LGT_OK, ""},
    {META("{\"k\":\"v\",\"l\":\"\"}"), LGT_OK, ""},
    {"{\"a\\u00e9\\uD83D\\uDE00\":" GOOD "}", LGT_OK, ""},
    /* not such JSON */
    {"", LGT_ERR_DATA, "the header is no JSON object"},
    {" ", LGT_ERR_DATA, "the header is no JSON object"},
    {"{", LGT_ERR_DATA, "the header is no JSON object"},
    {"[]", LGT_ERR_DATA, "the header is no JSON object"},
    {"null", LGT_ERR_DATA, "the header is no JSON object"},
    {"\"a\"", LGT_ERR_DATA, "the header is no JSON object"},
    {"{\"a\":" GOOD, LGT_ERR_DATA, "the header is no JSON object"},
    {"{\"a\":" GOOD "}}", LGT_ERR_DATA, "the header is no JSON object"},
    {"{\"a\":" GOOD "} x", LGT_ERR_DATA, "the header is no JSON object"},
    {"{\"a\":" GOOD ",}", LGT_ERR_DATA, "the header is no JSON object"},
    {"{'a':" GOOD "}", LGT_ERR_DATA, "the header is no JSON object"},
    {"/**/{\"a\":" GOOD "}", LGT_ERR_DATA, "the header is no JSON object"},
    {"\xEF\xBB\xBF{\"a\":" GOOD "}", LGT_ERR_DATA, "the header is no JSON object"},
    {"{\"a\xFF\":" GOOD "}", LGT_ERR_DATA, "unable to decode byte"},
    {"{\"\xC0\xAF\":" GOOD "}", LGT_ERR_DATA, "unable to decode byte"},
    {"{\"\xED\xA0\x80\":" GOOD "}", LGT_ERR_DATA, "unable to decode byte"},
    {"{\"a\\u0000\":" GOOD "}", LGT_ERR_DATA, "the header is no JSON object"},
    {"{\"a\\uD800\":" GOOD "}", LGT_ERR_DATA, "the header is no JSON object"},
    {"{\"a\n\":" GOOD "}", LGT_ERR_DATA, "the header is no JSON object"},
    {"{\"a\\n\":" GOOD "}", LGT_ERR_DATA, "control characters"},
    {"{\"a\\u007f\":" GOOD "}", LGT_ERR_DATA, "control characters"},
    {"{}", LGT_ERR_DATA, "declares 0 bytes of data, but 24 follow"},
    {"{\"a\":" GOOD ",\"a\":" GOOD "}", LGT_ERR_DATA, "duplicate"},
    {"{\"a\":" GOOD ",\"\\u0061\":" GOOD "}", LGT_ERR_DATA, "duplicate"},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[24],\"data_offsets\":[0,24]}}", LGT_ERR_DATA, "duplicate"},
    /* entries */
    {"{\"a\":1}", LGT_ERR_DATA, "'a': expected exactly dtype, shape and data_offsets"},
    {"{\"a\":null}", LGT_ERR_DATA, "expected exactly"},
    {"{\"a\":[]}", LGT_ERR_DATA, "expected exactly"},
    {"{\"a\":{}}", LGT_ERR_DATA, "expected exactly"},
    {"{\"a\":{\"shape\":[24],\"data_offsets\":[0,24]}}", LGT_ERR_DATA, "expected exactly"},
    {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,24]}}", LGT_ERR_DATA, "expected exactly"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[24]}}", LGT_ERR_DATA, "expected exactly"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[24],\"data_offsets\":[0,24],\"x\":1}}", LGT_ERR_DATA, "expected exactly"},
    /* types */
    {ONE("f32", "[6]", "[0,24]"), LGT_ERR_DATA, "dtype is unknown"},
    {ONE("F33", "[6]", "[0,24]"), LGT_ERR_DATA, "dtype is unknown"},
    {ONE("", "[6]", "[0,24]"), LGT_ERR_DATA, "dtype is unknown"},
    {ONE("F32 ", "[6]", "[0,24]"), LGT_ERR_DATA, "dtype is unknown"},
    {"{\"a\":{\"dtype\":3,\"shape\":[6],\"data_offsets\":[0,24]}}", LGT_ERR_DATA, "dtype is unknown"},
    {"{\"a\":{\"dtype\":null,\"shape\":[6],\"data_offsets\":[0,24]}}", LGT_ERR_DATA, "dtype is unknown"},
    {ONE("BF16", "[12]", "[0,24]"), LGT_ERR_UNSUPPORTED, "'a' is BF16, expected F16, F32"},
    {ONE("BOOL", "[24]", "[0,24]"), LGT_ERR_UNSUPPORTED, "is BOOL"},
    {ONE("U64", "[3]", "[0,24]"), LGT_ERR_UNSUPPORTED, "is U64"},
    {ONE("I16", "[12]", "[0,24]"), LGT_ERR_UNSUPPORTED, "is I16"},
    {ONE("F8_E4M3", "[24]", "[0,24]"), LGT_ERR_UNSUPPORTED, "is F8_E4M3"},
    {ONE("F4", "[47]", "[0,24]"), LGT_ERR_UNSUPPORTED, "is F4"},
    {ONE("C64", "[3]", "[0,24]"), LGT_ERR_UNSUPPORTED, "is C64"},
    /* shapes */
    {ONE("U8", "24", "[0,24]"), LGT_ERR_DATA, "its shape is no list"},
    {ONE("U8", "{}", "[0,24]"), LGT_ERR_DATA, "its shape is no list"},
    {ONE("U8", "null", "[0,24]"), LGT_ERR_DATA, "its shape is no list"},
    {ONE("U8", "[24.0]", "[0,24]"), LGT_ERR_DATA, "no integer >= 0"},
    {ONE("U8", "[\"24\"]", "[0,24]"), LGT_ERR_DATA, "no integer >= 0"},
    {ONE("U8", "[true]", "[0,24]"), LGT_ERR_DATA, "no integer >= 0"},
    {ONE("U8", "[[24]]", "[0,24]"), LGT_ERR_DATA, "no integer >= 0"},
    {ONE("U8", "[-24]", "[0,24]"), LGT_ERR_DATA, "no integer >= 0"},
    {ONE("U8", "[-4,-6]", "[0,24]"), LGT_ERR_DATA, "no integer >= 0"},
    {ONE("U8", "[2e1]", "[0,20]"), LGT_ERR_DATA, "no integer >= 0"},
    {ONE("U8", "[9223372036854775808]", "[0,24]"), LGT_ERR_DATA, "the header is no JSON object"},
    {ONE("U8", "[18446744073709551640]", "[0,24]"), LGT_ERR_DATA, "the header is no JSON object"},
    {ONE("U8", "[4194305,4194305,211106198978564]", "[0,24]"), LGT_ERR_DATA, "do not fit 64 bits"},
    {ONE("U8", "[4194305,4194305,211106198978564]", "[0,4]"), LGT_ERR_DATA, "do not fit 64 bits"},
    {ONE("F32", "[4611686018427387910]", "[0,24]"), LGT_ERR_DATA, "do not fit 64 bits"},
    {ONE("F64", "[2305843009213693955]", "[0,24]"), LGT_ERR_DATA, "do not fit 64 bits"},
    {ONE("U8", "[4294967296,4294967296]", "[0,0]"), LGT_ERR_DATA, "do not fit 64 bits"},
    {ONE("U8", "[1,1,1,1,1,1,1,1,24]", "[0,24]"), LGT_ERR_MEMORY, "has 9 axes, at most 8 are read"},
    {ONE("U8", "[]", "[0,24]"), LGT_ERR_DATA, "takes 1 bytes by its shape, but 24 by its offsets"},
    {ONE("F32", "[5]", "[0,24]"), LGT_ERR_DATA, "takes 20 bytes by its shape, but 24"},
    {ONE("F32", "[7]", "[0,24]"), LGT_ERR_DATA, "takes 28 bytes by its shape, but 24"},
    {ONE("F32", "[0]", "[0,24]"), LGT_ERR_DATA, "takes 0 bytes by its shape"},
    /* offsets */
    {ONE("U8", "[24]", "24"), LGT_ERR_DATA, "no list of two integers"},
    {ONE("U8", "[24]", "[]"), LGT_ERR_DATA, "no list of two integers"},
    {ONE("U8", "[24]", "[24]"), LGT_ERR_DATA, "no list of two integers"},
    {ONE("U8", "[24]", "[0,24,24]"), LGT_ERR_DATA, "no list of two integers"},
    {ONE("U8", "[24]", "[0,\"24\"]"), LGT_ERR_DATA, "no list of two integers"},
    {ONE("U8", "[24]", "[0.0,24]"), LGT_ERR_DATA, "no list of two integers"},
    {ONE("U8", "[24]", "[0,24.0]"), LGT_ERR_DATA, "no list of two integers"},
    {ONE("U8", "[24]", "[null,24]"), LGT_ERR_DATA, "no list of two integers"},
    {ONE("U8", "[24]", "[-24,0]"), LGT_ERR_DATA, "negative or descend"},
    {ONE("U8", "[24]", "[24,0]"), LGT_ERR_DATA, "negative or descend"},
    {ONE("U8", "[24]", "[0,-24]"), LGT_ERR_DATA, "negative or descend"},
    {ONE("U8", "[24]", "[0,18446744073709551616]"), LGT_ERR_DATA, "the header is no JSON object"},
    {ONE("U8", "[24]", "[0,9223372036854775808]"), LGT_ERR_DATA, "the header is no JSON object"},
    {ONE("U8", "[9223372036854775807]", "[0,9223372036854775807]"), LGT_ERR_DATA, "declares 9223372036854775807 bytes"},
    {ONE("U8", "[24]", "[9223372036854775783,9223372036854775807]"), LGT_ERR_DATA, "'a' begins at byte 92233720368547"},
    {ONE("U8", "[24]", "[1,25]"), LGT_ERR_DATA, "'a' begins at byte 1 of the data, expected 0"},
    {ONE("U8", "[23]", "[0,23]"), LGT_ERR_DATA, "declares 23 bytes of data, but 24 follow"},
    {ONE("U8", "[25]", "[0,25]"), LGT_ERR_DATA, "declares 25 bytes of data, but 24 follow"},
    {"{\"a\":" T("U8", "[8]", "[0,8]") ",\"b\":" T("U8", "[8]", "[16,24]") "}", LGT_ERR_DATA, "'b' begins at byte 16"},
    {"{\"a\":" T("U8", "[16]", "[0,16]") ",\"b\":" T("U8", "[16]", "[8,24]") "}", LGT_ERR_DATA, "'b' begins at byte 8"},
    {"{\"a\":" GOOD ",\"b\":" GOOD "}", LGT_ERR_DATA, "'b' begins at byte 0 of the data, expected 24"},
    {"{\"a\":" GOOD ",\"z\":" T("U8", "[0]", "[8,8]") "}", LGT_ERR_DATA,
     "'z' begins at byte 8 of the data, expected 24"},
    {"{\"a\":" GOOD ",\"z\":" T("U8", "[0]", "[25,25]") "}", LGT_ERR_DATA, "'z' begins at byte 25"},
    /* metadata */
    {META("null"), LGT_ERR_DATA, "__metadata__ is no object"},
    {META("[]"), LGT_ERR_DATA, "__metadata__ is no object"},
    {META("\"x\""), LGT_ERR_DATA, "__metadata__ is no object"},
    {META("{\"k\":1}"), LGT_ERR_DATA, "the metadata 'k' is no string"},
    {META("{\"j\":\"v\",\"k\":null}"), LGT_ERR_DATA, "the metadata 'k' is no string"},
    {META("{\"k\":{\"x\":\"y\"}}"), LGT_ERR_DATA, "the metadata 'k' is no string"},
    {META("{\"k\":\"v\",\"k\":\"w\"}"), LGT_ERR_DATA, "duplicate"},
    {"{\"__metadata__\":{},\"__metadata__\":{},\"a\":" GOOD "}", LGT_ERR_DATA, "duplicate"},
    {META("{\"k\":\"\\u0000\"}"), LGT_ERR_DATA, "the header is no JSON object"},
    {"{\"__metadata__\":" GOOD "}", LGT_ERR_DATA, "the metadata 'shape' is no string"},
};
enum { N_HEADERS = sizeof headers / sizeof *headers };

static void headers_are_read_strictly(void **state) {
    (void)state;
    for (int i = 0; i < N_HEADERS; i++) {
        size_t length = strlen(headers[i].header);
        assert_reads(headers[i].header, length, length, DATA, headers[i].status, headers[i].part);
    }
    print_message("%d headers\n", N_HEADERS);
}

static void the_declared_length_is_checked_before_anything_is_allocated(void **state) {
    (void)state;
    static char blanks[100000];
    static const uint64_t beyond[] = {100001,     1 << 24,        (1 << 24) + 1,
                                      100000000,  UINT32_MAX,     INT64_MAX,
                                      UINT64_MAX, UINT64_MAX - 7, (uint64_t)INT64_MAX + 1};
    memset(blanks, ' ', sizeof blanks);
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++)
        assert_reads(blanks, sizeof blanks, beyond[i], 0, LGT_ERR_DATA, "but at most 100000 can follow");
    for (uint64_t declared = 0; declared < 3; declared++)
        assert_reads("{}", 2, declared, 0, declared == 2 ? LGT_OK : LGT_ERR_DATA, "");
    assert_reads("{\0}", 3, 3, 0, LGT_ERR_DATA, "the header is no JSON object");
    /* A sparse file that is long enough meets the limit instead. */
    lgt_error err;
    lgt_tensors read;
    lgt_context *context = test_context(1);
    const char *path = test_put("bad", "\1\0\0\1\0\0\0\0", 8);
    assert_int_equal(truncate(path, 1 << 26), 0);
    assert_fails(lgt_tensors_read(context, path, &read, &err), LGT_ERR_MEMORY, err,
                 "header of 16777217 bytes, at most 16777216 are read");
    unlink(path);
    lgt_context_free(context);
}

static void deep_nesting_and_crowds_end_in_order(void **state) {
    (void)state;
    static char header[110000];
    memset(header, '[', 100000);
    assert_reads(header, 100000, 100000, 0, LGT_ERR_DATA, "the header is no JSON object");
    size_t length = 1; /* 2000 tensors on the same bytes */
    header[0] = '{';
    for (int i = 0; i < 2000; i++)
        length += (size_t)snprintf(header + length, sizeof header - length, "%s\"%d\":" T("U8", "[1]", "[0,1]"),
                                   i ? "," : "", i);
    header[length++] = '}';
    assert_reads(header, length, length, 1, LGT_ERR_DATA, "tensor '1' begins at byte 0 of the data, expected 1");
}

static void every_cut_and_every_changed_byte_end_in_order(void **state) {
    (void)state;
    static const unsigned char masks[] = {0x01, 0x02, 0x10, 0x80};
    static unsigned char content[4096];
    lgt_tensor tensors[8];
    lgt_metadata metadata[2];
    lgt_tensors written = sample(tensors, metadata), read;
    lgt_context *context = test_context(1);
    const char *path = test_path("t");
    put_tensors(context, path, &written);
    lgt_context_free(context);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t length = fread(content, 1, sizeof content, file);
    fclose(file);
    for (size_t cut = 0; cut < length; cut++) {
        lgt_error err;
        context = test_context_failing(0);
        assert_fails(lgt_tensors_read(context, test_put("t", content, cut), &read, &err), LGT_ERR_DATA, err, "/t: ");
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
    for (size_t i = 0; i < length; i++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            context = test_context_failing(0);
            content[i] ^= masks[m];
            lgt_status status = lgt_tensors_read(context, test_put("t", content, length), &read, NULL);
            content[i] ^= masks[m];
            if (i < 8) assert_true(status == LGT_ERR_DATA || status == LGT_ERR_MEMORY); /* the header's length */
            lgt_tensors_free(context, &read);
            lgt_context_free(context);
            assert_int_equal(test_live_blocks(), 0);
        }
    }
    unlink(path);
}

static void reading_and_writing_survive_every_refused_allocation(void **state) {
    (void)state;
    lgt_tensor tensors[8];
    lgt_metadata metadata[2];
    lgt_tensors written = sample(tensors, metadata), read;
    const char *path = test_path("t");
    for (int reading = 0; reading < 2; reading++) { /* the first round leaves the file for the second */
        int done = 0;
        for (int64_t fail_at = 1; !done; fail_at++) {
            assert_true(fail_at < 100);
            lgt_context *context = test_context_failing(fail_at);
            lgt_status status = reading ? lgt_tensors_read(context, path, &read, NULL)
                                        : lgt_tensors_write(context, path, &written, NULL);
            done = status == LGT_OK;
            assert_int_equal(status, done ? LGT_OK : LGT_ERR_MEMORY);
            if (reading) lgt_tensors_free(context, &read);
            lgt_context_free(context);
            assert_int_equal(test_live_blocks(), 0);
            assert_int_equal(test_count_files(test_folder), reading || done);
        }
    }
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_in_its_order),
        cmocka_unit_test(the_bytes_are_those_of_the_format),
        cmocka_unit_test(no_tensors_and_no_metadata_are_a_file_too),
        cmocka_unit_test(a_packed_file_is_read_as_well),
        cmocka_unit_test(writing_refuses_what_could_not_be_read),
        cmocka_unit_test(headers_are_read_strictly),
        cmocka_unit_test(the_declared_length_is_checked_before_anything_is_allocated),
        cmocka_unit_test(deep_nesting_and_crowds_end_in_order),
        cmocka_unit_test(every_cut_and_every_changed_byte_end_in_order),
        cmocka_unit_test(reading_and_writing_survive_every_refused_allocation),
    };
    return cmocka_run_group_tests_name("safetensors", tests, test_folder_begin, test_folder_end);
}
