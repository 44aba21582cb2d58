/* Tensors written from a source have the bytes of those in memory, whatever the pieces; read in part, they are what was
 * chosen, with the checksum of the whole. */
#include "temporary.h"

#include "base/error.h"
#include "data/tensor_stream.h"
#include "data/tensors_checksum.h"

TEST_SHARED_CONTEXT(1)

static int begin(void **state) {
    return test_folder_begin(state) || open_context(state);
}

static int end(void **state) {
    return close_context(state) || test_folder_end(state);
}

/* Sizes 0, 1, odd, and one that a buffer of 256 KiB does not hold. */
enum { N_TENSORS = 5, LARGE = 200001 };

typedef struct sample {
    lgt_tensor tensors[N_TENSORS];
    lgt_metadata metadata[1];
    lgt_tensors all;
    float large[LARGE];
    double few[7];
    int64_t one;
} sample;

static void fill(sample *s) {
    static char names[N_TENSORS][8] = {"none", "one", "few", "large", "bytes"}, key[] = "key", value[] = "value";
    static unsigned char bytes[] = "abcde";
    test_normal_f32(s->large, LARGE, 3, 1);
    test_normal(s->few, 7, 3, 2);
    s->one = -5;
    s->tensors[0] = (lgt_tensor){names[0], {LGT_F32, 2, {3, 0}, 0, s->large}};
    s->tensors[1] = (lgt_tensor){names[1], {LGT_I64, 1, {1}, 1, &s->one}};
    s->tensors[2] = (lgt_tensor){names[2], {LGT_F64, 1, {7}, 7, s->few}};
    s->tensors[3] = (lgt_tensor){names[3], {LGT_F32, 2, {LARGE / 3, 3}, LARGE, s->large}};
    s->tensors[4] = (lgt_tensor){names[4], {LGT_U8, 1, {5}, 5, bytes}};
    s->metadata[0] = (lgt_metadata){key, value};
    s->all = (lgt_tensors){s->tensors, N_TENSORS, s->metadata, 1};
}

/* --- Writing --- */

typedef struct supply {
    const sample *from;
    int64_t piece;         /* elements at once */
    int64_t fails_at;      /* a call; 0: none */
    int64_t n_calls, done; /* bytes given so far, which must come in their order */
    char *room;
} supply;

static lgt_status give(void *user, int64_t index, int64_t at, const void **data, int64_t *bytes, lgt_error *err) {
    supply *s = user;
    const lgt_array *array = &s->from->tensors[index].array;
    int64_t size = (int64_t)lgt_dtype_size(array->dtype), left = array->count * size - at, before = 0;
    for (int64_t i = 0; i < index; i++)
        before += s->from->tensors[i].array.count * (int64_t)lgt_dtype_size(s->from->tensors[i].array.dtype);
    if (++s->n_calls == s->fails_at) return lgt_fail(err, LGT_ERR_COMM, "the source is gone");
    assert_int_equal(before + at, s->done);
    *bytes = left < s->piece * size ? left : s->piece * size;
    memcpy(s->room, (const char *)array->data + at, (size_t)*bytes); /* the same place for every piece */
    *data = s->room;
    s->done += *bytes;
    return LGT_OK;
}

static void assert_same_files(const char *a, const char *b) {
    FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
    int c;
    assert_true(x && y);
    do assert_int_equal(c = fgetc(x), fgetc(y));
    while (c != EOF);
    fclose(y);
    fclose(x);
}

static void pieces_have_the_bytes_of_the_whole(void **state) {
    static const int64_t pieces[] = {1, 2, 5, 1000, LARGE - 1, LARGE};
    static sample s;
    lgt_error err;
    const char *whole = test_path("whole"), *other = test_path("other");
    (void)state;
    fill(&s);
    assert_ok(lgt_tensors_write(context, whole, &s.all, &err), err);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        supply from = {.from = &s, .piece = pieces[i], .room = malloc((size_t)pieces[i] * 8)};
        assert_ok(lgt_tensors_write_from(context, other, &s.all, give, &from, &err), err);
        assert_same_files(whole, other);
        free(from.room);
    }
    unlink(whole), unlink(other);
}

static void a_source_that_fails_leaves_the_file_before(void **state) {
    static sample s;
    lgt_error err;
    char room[1 << 16];
    const char *path = test_put_text("kept", "old");
    (void)state;
    fill(&s);
    for (int64_t call = 1; call <= 29; call += 4) { /* 1, 1, 26 and 1 pieces */
        supply from = {.from = &s, .piece = 8000, .fails_at = call, .room = room};
        assert_fails(lgt_tensors_write_from(context, path, &s.all, give, &from, &err), LGT_ERR_COMM, err,
                     "the source is gone");
        assert_int_equal(from.n_calls, call);
        assert_int_equal(test_count_files(test_folder), 1);
    }
    FILE *file = fopen(path, "rb");
    assert_int_equal(fread(room, 1, sizeof room, file), 3);
    fclose(file);
    unlink(path);
}

/* --- Reading --- */

typedef struct wanted {
    const char *name;
    int64_t first, count;
} wanted;

static void choose(void *user, const lgt_tensor *tensor, int64_t *first, int64_t *count) {
    const wanted *w = user;
    assert_int_equal(*first, 0);
    assert_int_equal(*count, tensor->array.count);
    if (strcmp(w->name, tensor->name) == 0) *first = w->first, *count = w->count;
}

static void what_is_chosen_is_kept_and_the_checksum_is_of_all(void **state) {
    static const wanted choices[] = {{"nothing", 0, 0},       {"large", 0, 0},
                                     {"large", LARGE, 0},     {"large", 0, 1},
                                     {"large", LARGE - 1, 1}, {"large", 70001, 60001},
                                     {"large", 1, LARGE - 2}, {"few", 3, 2},
                                     {"one", 0, 0},           {"large", 65536, 2 * 65536}};
    static sample s;
    lgt_error err;
    const char *path = test_path("part");
    uint32_t elements[N_TENSORS];
    (void)state;
    fill(&s);
    assert_ok(lgt_tensors_write(context, path, &s.all, &err), err);
    for (int i = 0; i < N_TENSORS; i++) {
        const lgt_array *a = &s.tensors[i].array;
        elements[i] = lgt_checksum_add(0, a->data, (size_t)a->count * lgt_dtype_size(a->dtype));
    }
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        wanted w = choices[i];
        lgt_tensors out;
        uint32_t sum = 0;
        assert_ok(lgt_tensors_read_part(context, path, choose, &w, &out, &sum, &err), err);
        assert_int_equal(sum, lgt_tensors_checksum(&s.all, elements));
        for (int k = 0; k < N_TENSORS; k++) {
            const lgt_array *a = &s.tensors[k].array, *b = &out.tensors[k].array;
            int is_chosen = strcmp(w.name, s.tensors[k].name) == 0;
            size_t size = lgt_dtype_size(a->dtype), from = is_chosen ? (size_t)w.first : 0;
            size_t count = (size_t)(is_chosen ? w.count : a->count);
            assert_int_equal(b->count, a->count);
            if (count > 0) assert_memory_equal(b->data, (const char *)a->data + from * size, count * size);
        }
        lgt_tensors_free(context, &out);
    }
    unlink(path);
}

/* zlib's value of "123456789", and of its parts joined. */
static void checksums_join(void **state) {
    static const char text[] = "123456789";
    (void)state;
    for (size_t cut = 0; cut <= 9; cut++) {
        uint32_t first = lgt_checksum_add(0, text, cut), second = lgt_checksum_add(0, text + cut, 9 - cut);
        assert_int_equal(lgt_checksum_join(first, second, (int64_t)(9 - cut)), 0xcbf43926);
        assert_int_equal(lgt_checksum_add(first, text + cut, 9 - cut), 0xcbf43926);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_have_the_bytes_of_the_whole),
        cmocka_unit_test(a_source_that_fails_leaves_the_file_before),
        cmocka_unit_test(what_is_chosen_is_kept_and_the_checksum_is_of_all),
        cmocka_unit_test(checksums_join),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
