/* Arrays: what is written is read, in every type, byte order and axis order; and conversions are exact or refused. */
#include <math.h>
#include <sys/stat.h>
#include <zlib.h>

#include "logitude/io.h"
#include "temporary.h"

static const lgt_dtype dtypes[] = {LGT_F32, LGT_F64, LGT_F16, LGT_U8, LGT_I32, LGT_I64};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes, LARGEST = 256 };

static const struct shape {
    int n_dims;
    int64_t axes[LGT_MAX_DIMS];
} shapes[] = {{0, {0}},
              {1, {0}},
              {1, {1}},
              {1, {7}},
              {2, {3, 5}},
              {2, {1, 4}},
              {2, {4, 1}},
              {3, {2, 3, 4}},
              {3, {2, 0, 3}},
              {4, {2, 1, 3, 2}},
              {5, {1, 2, 1, 2, 3}},
              {8, {2, 1, 2, 1, 2, 1, 2, 3}}};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static int64_t count_of(const struct shape *shape) {
    int64_t count = 1;
    for (int i = 0; i < shape->n_dims; i++) count *= shape->axes[i];
    return count;
}

/* Bytes that differ from one another, so that a swapped or misplaced element is seen. */
static void fill(unsigned char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) bytes[i] = (unsigned char)(i * 37 + 11);
}

static void assert_same(const lgt_array *array, lgt_dtype dtype, const struct shape *shape, const void *data) {
    assert_int_equal(array->dtype, dtype);
    assert_int_equal(array->n_dims, shape->n_dims);
    for (int i = 0; i < shape->n_dims; i++) assert_int_equal(array->shape[i], shape->axes[i]);
    assert_int_equal(array->count, count_of(shape));
    assert_non_null(array->data);
    assert_memory_equal(array->data, data, (size_t)array->count * lgt_dtype_size(dtype));
}

static void what_is_written_is_read(void **state) {
    (void)state;
    lgt_error err;
    lgt_context *context = test_context(1);
    unsigned char data[LARGEST * 8];
    fill(data, sizeof data);
    const char *path = test_path("a.npy");
    for (int t = 0; t < N_DTYPES; t++) {
        for (int s = 0; s < N_SHAPES; s++) {
            lgt_array array;
            struct stat info;
            assert_ok(lgt_npy_write(context, path, dtypes[t], shapes[s].n_dims, shapes[s].axes, data, &err), err);
            assert_int_equal(stat(path, &info), 0); /* the header keeps the data aligned */
            assert_int_equal((info.st_size - count_of(&shapes[s]) * (int64_t)lgt_dtype_size(dtypes[t])) % 64, 0);
            assert_ok(lgt_array_read(context, path, &array, &err), err);
            assert_same(&array, dtypes[t], &shapes[s], data);
            lgt_array_free(context, &array);
            assert_null(array.data);
            lgt_array_free(context, &array);
        }
    }
    unlink(path);
    lgt_context_free(context);
}

static void the_header_is_the_one_numpy_writes(void **state) {
    (void)state;
    static const char expected[] = "\x93NUMPY\1\0\x76\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
                                   "                                                          \n";
    lgt_error err;
    char found[129] = "";
    float data[6] = {0};
    lgt_context *context = test_context(1);
    const char *path = test_path("a.npy");
    assert_ok(lgt_npy_write(context, path, LGT_F32, 2, (int64_t[]){2, 3}, data, &err), err);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(found, 1, 128, file), 128);
    fclose(file);
    assert_int_equal(sizeof expected - 1, 128);
    assert_memory_equal(found, expected, 128);
    unlink(path);
    lgt_context_free(context);
}

static void writing_refuses_what_is_no_array(void **state) {
    (void)state;
    lgt_error err;
    lgt_context *context = test_context(1);
    const int64_t negative[] = {2, -1}, huge[] = {INT64_MAX / 4, 2}, many[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    const struct {
        int dtype, n_dims;
        const int64_t *shape;
        const char *part;
    } cases[] = {{LGT_F32, 2, negative, "a negative axis"},
                 {LGT_F64, 2, huge, "do not fit"},
                 {LGT_F32, 9, many, "9 axes"},
                 {LGT_F32, -1, many, "-1 axes"},
                 {99, 1, many, "type 99"},
                 {-1, 1, many, "type -1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(lgt_npy_write(context, test_path("a.npy"), (lgt_dtype)cases[i].dtype, cases[i].n_dims,
                                   cases[i].shape, "", &err),
                     LGT_ERR_USAGE, err, cases[i].part);
    assert_fails(lgt_npy_write(context, "/nonexistent/a.npy", LGT_U8, 0, NULL, "", &err), LGT_ERR_IO, err,
                 "/nonexistent/a.npy");
    assert_int_equal(test_count_files(test_folder), 0);
    lgt_context_free(context);
}

/* Element `index` (in C order) of an array stored in Fortran order lies at this place. */
static int64_t fortran_place(const struct shape *shape, int64_t index) {
    int64_t place = 0, step = count_of(shape);
    for (int axis = shape->n_dims - 1; axis >= 0; axis--) {
        step /= shape->axes[axis];
        place += index % shape->axes[axis] * step;
        index /= shape->axes[axis];
    }
    return place;
}

static void compose_npy(test_bytes *file, const char *descr, int fortran, const struct shape *shape, int version) {
    char text[256];
    int at = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': %s, 'shape': (", descr,
                      fortran ? "True" : "False");
    for (int i = 0; i < shape->n_dims; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%lld, ", (long long)shape->axes[i]);
    at += snprintf(text + at, sizeof text - (size_t)at, ")}\n");
    file->length = 0;
    test_add(file, "\x93NUMPY", 6);
    test_add_number(file, (uint64_t)version, 1, 0);
    test_add_number(file, 0, 1, 0);
    test_add_number(file, (uint64_t)at, version == 1 ? 2 : 4, 0);
    test_add(file, text, (size_t)at);
}

static void every_byte_and_axis_order_is_read(void **state) {
    (void)state;
    static const char *const codes[] = {"f4", "f8", "f2", "u1", "i4", "i8"};
    static test_bytes file;
    lgt_error err;
    lgt_context *context = test_context(1);
    unsigned char data[LARGEST * 8];
    fill(data, sizeof data);
    const uint16_t one = 1;
    const int little = *(const unsigned char *)&one;
    for (int n = 0; n < N_DTYPES * N_SHAPES * 4; n++) {
        const int t = n % N_DTYPES, big = n / N_DTYPES % 2, fortran = n / N_DTYPES / 2 % 2;
        const struct shape *shape = &shapes[n / N_DTYPES / 4];
        const int64_t count = count_of(shape);
        size_t size = lgt_dtype_size(dtypes[t]), begin;
        char descr[8];
        lgt_array array;
        snprintf(descr, sizeof descr, "%c%s", big ? '>' : '<', codes[t]);
        compose_npy(&file, descr, fortran, shape, 1 + n % 3);
        begin = file.length;
        test_add_zeros(&file, (size_t)count * size);
        for (int64_t i = 0; i < count; i++) {
            int64_t place = fortran ? fortran_place(shape, i) : i;
            for (size_t b = 0; b < size; b++)
                file.data[begin + (size_t)place * size + (big == little ? size - 1 - b : b)] =
                    data[(size_t)i * size + b];
        }
        const char *path = test_put("a.npy", file.data, file.length);
        assert_ok(lgt_array_read(context, path, &array, &err), err);
        assert_same(&array, dtypes[t], shape, data);
        lgt_array_free(context, &array);
    }
    unlink(test_path("a.npy"));
    lgt_context_free(context);
}

/* Those that have no type in memory come as the next larger one. */
static void integers_of_every_width_keep_their_values(void **state) {
    (void)state;
    static const struct {
        const char *code;
        int bytes;
        lgt_dtype dtype;
        int64_t least, most;
    } cases[] = {{"b1", 1, LGT_I32, 0, 1},
                 {"i1", 1, LGT_I32, INT8_MIN, INT8_MAX},
                 {"i2", 2, LGT_I32, INT16_MIN, INT16_MAX},
                 {"u2", 2, LGT_I32, 0, UINT16_MAX},
                 {"i4", 4, LGT_I32, INT32_MIN, INT32_MAX},
                 {"u4", 4, LGT_I64, 0, UINT32_MAX},
                 {"i8", 8, LGT_I64, INT64_MIN, INT64_MAX},
                 {"u8", 8, LGT_I64, 0, INT64_MAX}};
    static const struct shape shape = {1, {3}};
    static test_bytes file;
    lgt_error err;
    lgt_context *context = test_context(1);
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        const int big = i % 2, k = (int)(i / 2);
        const int64_t wide[] = {cases[k].least, 1, cases[k].most};
        const int32_t narrow[] = {(int32_t)wide[0], 1, (int32_t)wide[2]};
        char descr[8];
        lgt_array array;
        snprintf(descr, sizeof descr, "%c%s", cases[k].bytes == 1 ? '|' : big ? '>' : '<', cases[k].code);
        compose_npy(&file, descr, 0, &shape, 1);
        for (int n = 0; n < 3; n++) test_add_number(&file, (uint64_t)wide[n], cases[k].bytes, big);
        assert_ok(lgt_array_read(context, test_put("i.npy", file.data, file.length), &array, &err), err);
        assert_same(&array, cases[k].dtype, &shape, cases[k].dtype == LGT_I64 ? (const void *)wide : narrow);
        lgt_array_free(context, &array);
    }
    compose_npy(&file, ">u8", 0, &shape, 1);
    for (int n = 0; n < 3; n++) test_add_number(&file, n < 2 ? 7 : (uint64_t)1 << 63, 8, 1);
    lgt_array array;
    assert_fails(lgt_array_read(context, test_put("i.npy", file.data, file.length), &array, &err), LGT_ERR_DATA, err,
                 "i.npy: row 2 is 9223372036854775808, expected at most 2^63 - 1");
    compose_npy(&file, "|b1", 0, &shape, 1);
    for (int n = 0; n < 3; n++) test_add_number(&file, n == 1 ? 2 : 1, 1, 1);
    assert_fails(lgt_array_read(context, test_put("i.npy", file.data, file.length), &array, &err), LGT_ERR_DATA, err,
                 "i.npy: row 1 is the truth value 2, expected 0 or 1");
    unlink(test_path("i.npy"));
    lgt_context_free(context);
}

static void small_integers_of_idx_are_read(void **state) {
    (void)state;
    static const unsigned char bytes[] = {0, 0, 9, 1, 0, 0, 0, 2, 0x80, 0x7f},
                               shorts[] = {0, 0, 11, 1, 0, 0, 0, 2, 0x80, 0, 0x7f, 0xff};
    static const struct shape shape = {1, {2}};
    const int32_t of_bytes[] = {INT8_MIN, INT8_MAX}, of_shorts[] = {INT16_MIN, INT16_MAX};
    lgt_error err;
    lgt_array array;
    lgt_context *context = test_context(1);
    assert_ok(lgt_array_read(context, test_put("b.idx", bytes, sizeof bytes), &array, &err), err);
    assert_same(&array, LGT_I32, &shape, of_bytes);
    lgt_array_free(context, &array);
    assert_ok(lgt_array_read(context, test_put("b.idx", shorts, sizeof shorts), &array, &err), err);
    assert_same(&array, LGT_I32, &shape, of_shorts);
    lgt_array_free(context, &array);
    unlink(test_path("b.idx"));
    lgt_context_free(context);
}

static void idx_arrays_of_every_type_are_read(void **state) {
    (void)state;
    static test_bytes file;
    static const unsigned char rows[][4] = {{0, 0, 8, 3}, {0, 0, 0x0C, 3}, {0, 0, 0x0D, 3}, {0, 0, 0x0E, 3}};
    static const lgt_dtype types[] = {LGT_U8, LGT_I32, LGT_F32, LGT_F64};
    static const struct shape shape = {3, {2, 3, 1}};
    static const double values[] = {0, 1, 2.5, 100, 7, 255};
    lgt_error err;
    lgt_context *context = test_context(1);
    for (int t = 0; t < 4; t++) {
        unsigned char bytes[6];
        int32_t ints[6];
        float floats[6];
        double doubles[6];
        const void *expected[] = {bytes, ints, floats, doubles};
        file.length = 0;
        test_add(&file, rows[t], 4);
        for (int i = 0; i < 3; i++) test_add_number(&file, (uint64_t)shape.axes[i], 4, 1);
        for (int i = 0; i < 6; i++) {
            uint32_t bits = 0;
            uint64_t long_bits = 0;
            bytes[i] = (unsigned char)values[i];
            ints[i] = (int32_t)values[i] - 5;
            floats[i] = (float)values[i];
            doubles[i] = values[i];
            memcpy(&bits, t == 1 ? (const void *)&ints[i] : &floats[i], 4);
            memcpy(&long_bits, &doubles[i], 8);
            test_add_number(&file, t == 0 ? bytes[i] : t == 3 ? long_bits : bits, (int)lgt_dtype_size(types[t]), 1);
        }
        lgt_array array;
        assert_ok(lgt_array_read(context, test_put("a.idx", file.data, file.length), &array, &err), err);
        assert_same(&array, types[t], &shape, expected[t]);
        lgt_array_free(context, &array);
    }
    unlink(test_path("a.idx"));
    lgt_context_free(context);
}

static void gzip_is_unpacked_whatever_the_name_says(void **state) {
    (void)state;
    enum { COUNT = 300000 };
    lgt_error err;
    lgt_array array;
    lgt_context *context = test_context(1);
    static float data[COUNT];
    test_normal_f32(data, COUNT, 1, 1);
    const char *plain = test_path("plain.npy.gz"), *packed = test_path("packed.npy");
    assert_ok(lgt_npy_write(context, plain, LGT_F32, 1, (int64_t[]){COUNT}, data, &err), err);
    FILE *from = fopen(plain, "rb");
    assert_non_null(from);
    /* As three members, which RFC 1952 allows and tools that append make. */
    static char content[500000];
    unlink(packed);
    for (size_t length; (length = fread(content, 1, sizeof content, from)) > 0;) {
        gzFile to = gzopen(packed, "ab");
        assert_int_equal(gzwrite(to, content, (unsigned)length), length);
        assert_int_equal(gzclose(to), Z_OK);
    }
    fclose(from);
    const char *const paths[] = {plain, packed};
    for (int i = 0; i < 2; i++) {
        assert_ok(lgt_array_read(context, paths[i], &array, &err), err);
        assert_int_equal(array.count, COUNT);
        assert_memory_equal(array.data, data, sizeof data);
        lgt_array_free(context, &array);
    }
    unlink(plain);
    unlink(packed);
    lgt_context_free(context);
}

/* An array of one row with its own copy of the elements. */
static lgt_array array_of(lgt_context *context, lgt_dtype dtype, int64_t count, const void *data) {
    lgt_error err;
    lgt_array array;
    const char *path = test_path("of.npy");
    assert_ok(lgt_npy_write(context, path, dtype, 1, &count, data, &err), err);
    assert_ok(lgt_array_read(context, path, &array, &err), err);
    unlink(path);
    return array;
}

static void half_precision_becomes_the_number_it_stands_for(void **state) {
    (void)state;
    static const struct {
        uint16_t bits;
        double value;
    } cases[] = {{0x0000, 0.0},     {0x8000, -0.0},       {0x0001, 0x1p-24},  {0x03ff, 0x1.ff8p-15},
                 {0x0400, 0x1p-14}, {0x3555, 0x1.554p-2}, {0x3c00, 1.0},      {0xc000, -2.0},
                 {0x7bff, 65504.0}, {0xfbff, -65504.0},   {0x7c00, INFINITY}, {0xfc00, -INFINITY}};
    lgt_error err;
    lgt_context *context = test_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int wide = 0; wide < 2; wide++) {
            lgt_array array = array_of(context, LGT_F16, 1, &cases[i].bits);
            assert_ok(lgt_array_convert(context, &array, wide ? LGT_F64 : LGT_F32, &err), err);
            double value = wide ? *(double *)array.data : (double)*(float *)array.data;
            assert_true(value == cases[i].value && !signbit(value) == !signbit(cases[i].value));
            lgt_array_free(context, &array);
        }
    }
    const uint16_t nan_bits = 0x7e00;
    lgt_array array = array_of(context, LGT_F16, 1, &nan_bits);
    assert_ok(lgt_array_convert(context, &array, LGT_F32, &err), err);
    assert_true(isnan(*(float *)array.data));
    lgt_array_free(context, &array);
    lgt_context_free(context);
}

static void conversions_keep_values_or_name_the_row(void **state) {
    (void)state;
    const double halves[] = {1, -3, 2.5}, range[] = {0, 1e39}, large[] = {0, 0x1p63}, least[] = {-0x1p63, 4};
    const double missing[] = {0, NAN}, beyond[] = {-INFINITY};
    const float floats[] = {-7, 1e18F}, part[] = {0.5F};
    const int64_t odd[] = {0, INT64_C(9007199254740993)}, top[] = {INT64_MAX}, longs[] = {-5, INT64_C(1) << 60};
    const int32_t ints[] = {INT32_MIN, INT32_MAX};
    const uint8_t bytes[] = {0, 255};
    const struct {
        lgt_dtype from, to;
        int64_t count;
        const void *data;
        lgt_status status;
        const char *part;
    } cases[] = {
        {LGT_F64, LGT_I64, 3, halves, LGT_ERR_DATA, "row 2 is 2.5, expected an integer"},
        {LGT_F64, LGT_I64, 2, large, LGT_ERR_DATA, "row 1 is 9.223372036854776e+18"},
        {LGT_F64, LGT_I64, 2, least, LGT_OK, ""},
        {LGT_F64, LGT_I64, 2, missing, LGT_ERR_DATA, "row 1 is nan"},
        {LGT_F64, LGT_I64, 1, beyond, LGT_ERR_DATA, "row 0 is -inf"},
        {LGT_F32, LGT_I64, 2, floats, LGT_OK, ""},
        {LGT_F32, LGT_I64, 1, part, LGT_ERR_DATA, "row 0 is 0.5"},
        {LGT_F64, LGT_F32, 2, range, LGT_ERR_DATA, "row 1 is 1e+39, expected a number in the range of float32"},
        {LGT_F64, LGT_F32, 3, halves, LGT_OK, ""},
        {LGT_F64, LGT_F32, 2, missing, LGT_OK, ""},
        {LGT_F64, LGT_F32, 1, beyond, LGT_OK, ""},
        {LGT_F32, LGT_F64, 2, floats, LGT_OK, ""},
        {LGT_I64, LGT_F64, 2, odd, LGT_ERR_DATA, "row 1 is 9007199254740993, expected an integer that float64"},
        {LGT_I64, LGT_F64, 1, top, LGT_ERR_DATA, "row 0 is 9223372036854775807"},
        {LGT_I64, LGT_F64, 2, longs, LGT_OK, ""},
        {LGT_I64, LGT_F32, 2, longs, LGT_OK, ""},
        {LGT_I32, LGT_F64, 2, ints, LGT_OK, ""},
        {LGT_I32, LGT_I64, 2, ints, LGT_OK, ""},
        {LGT_U8, LGT_F32, 2, bytes, LGT_OK, ""},
        {LGT_U8, LGT_I64, 2, bytes, LGT_OK, ""},
        {LGT_U8, LGT_U8, 2, bytes, LGT_OK, ""},
        {LGT_F32, LGT_F16, 2, floats, LGT_ERR_UNSUPPORTED, "f32 cannot become f16"},
        {LGT_I64, LGT_I32, 2, longs, LGT_ERR_UNSUPPORTED, "i64 cannot become i32"},
    };
    lgt_error err;
    lgt_context *context = test_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lgt_array array = array_of(context, cases[i].from, cases[i].count, cases[i].data);
        lgt_status status = lgt_array_convert(context, &array, cases[i].to, &err);
        assert_fails(status, cases[i].status, err, cases[i].part);
        assert_int_equal(array.dtype, status ? cases[i].from : cases[i].to);
        if (!status && cases[i].from != LGT_F64) { /* exact values come back */
            lgt_array direct = array_of(context, cases[i].from, cases[i].count, cases[i].data);
            assert_ok(lgt_array_convert(context, &direct, LGT_I64, &err), err);
            assert_ok(lgt_array_convert(context, &array, LGT_I64, &err), err);
            assert_memory_equal(array.data, direct.data, (size_t)direct.count * sizeof(int64_t));
            lgt_array_free(context, &direct);
        }
        if (status) assert_memory_equal(array.data, cases[i].data, (size_t)array.count * lgt_dtype_size(array.dtype));
        lgt_array_free(context, &array);
    }
    lgt_context_free(context);
}

static void a_place_in_a_matrix_has_row_and_column(void **state) {
    (void)state;
    lgt_error err;
    lgt_array array;
    lgt_context *context = test_context(1);
    const double data[12] = {[10] = 0.5};
    const char *path = test_path("m.npy");
    const struct {
        struct shape shape;
        const char *part;
    } cases[] = {{{2, {4, 3}}, "row 3, column 1 is 0.5"}, {{3, {2, 2, 3}}, "row 1, column 4 is 0.5"}};
    for (int i = 0; i < 2; i++) {
        assert_ok(lgt_npy_write(context, path, LGT_F64, cases[i].shape.n_dims, cases[i].shape.axes, data, &err), err);
        assert_ok(lgt_array_read(context, path, &array, &err), err);
        assert_fails(lgt_array_convert(context, &array, LGT_I64, &err), LGT_ERR_DATA, err, cases[i].part);
        lgt_array_free(context, &array);
    }
    assert_ok(lgt_npy_write(context, path, LGT_F64, 0, NULL, &data[10], &err), err);
    assert_ok(lgt_array_read(context, path, &array, &err), err);
    assert_fails(lgt_array_convert(context, &array, LGT_I64, &err), LGT_ERR_DATA, err, "the value is 0.5");
    lgt_array_free(context, &array);
    unlink(path);
    lgt_context_free(context);
}

static void reading_survives_every_refused_allocation(void **state) {
    (void)state;
    static test_bytes file;
    lgt_error err;
    const struct shape shape = {2, {2, 3}};
    int done = 0;
    compose_npy(&file, ">f2", 1, &shape, 2);
    test_add_zeros(&file, 12);
    const char *path = test_put("a.npy", file.data, file.length);
    for (int64_t fail_at = 1; !done; fail_at++) {
        assert_true(fail_at < 20);
        lgt_array array;
        lgt_context *context = test_context_failing(fail_at);
        lgt_status status = lgt_array_read(context, path, &array, &err);
        if (!status) status = lgt_array_convert(context, &array, LGT_F32, &err);
        done = status == LGT_OK;
        assert_int_equal(status, done ? LGT_OK : LGT_ERR_MEMORY);
        lgt_array_free(context, &array);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(the_header_is_the_one_numpy_writes),
        cmocka_unit_test(writing_refuses_what_is_no_array),
        cmocka_unit_test(every_byte_and_axis_order_is_read),
        cmocka_unit_test(integers_of_every_width_keep_their_values),
        cmocka_unit_test(small_integers_of_idx_are_read),
        cmocka_unit_test(idx_arrays_of_every_type_are_read),
        cmocka_unit_test(gzip_is_unpacked_whatever_the_name_says),
        cmocka_unit_test(half_precision_becomes_the_number_it_stands_for),
        cmocka_unit_test(conversions_keep_values_or_name_the_row),
        cmocka_unit_test(a_place_in_a_matrix_has_row_and_column),
        cmocka_unit_test(reading_survives_every_refused_allocation),
    };
    return cmocka_run_group_tests_name("array", tests, test_folder_begin, test_folder_end);
}
