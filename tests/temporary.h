/* A folder of a test's own files, and byte strings put together piece by piece. */
#ifndef LGT_TESTS_TEMPORARY_H
#define LGT_TESTS_TEMPORARY_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

enum { TEST_PATH_ROOM = 512, TEST_BYTES_ROOM = 1 << 17 };

static char test_folder[64];

static inline int test_folder_begin(void **state) {
    (void)state;
    strcpy(test_folder, "/tmp/logitude-test-XXXXXX");
    return mkdtemp(test_folder) ? 0 : -1;
}

/* Removes the folder with the files in it; a test that makes folders removes them. */
static inline int test_folder_end(void **state) {
    (void)state;
    char path[TEST_PATH_ROOM];
    struct dirent *entry;
    DIR *folder = opendir(test_folder);
    while (folder && (entry = readdir(folder)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", test_folder, entry->d_name);
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2) unlink(path);
    }
    if (folder) closedir(folder);
    return rmdir(test_folder);
}

/* The path of a file in the folder; four answers stay valid at a time. */
static inline const char *test_path(const char *name) {
    static char paths[4][TEST_PATH_ROOM];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, TEST_PATH_ROOM, "%s/%s", test_folder, name);
    return path;
}

static inline int test_count_files(const char *path) {
    int count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    return count;
}

/* Puts a file down without the library. */
static inline const char *test_put(const char *name, const void *bytes, size_t length) {
    const char *path = test_path(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    return path;
}

static inline const char *test_put_text(const char *name, const char *text) {
    return test_put(name, text, strlen(text));
}

typedef struct test_bytes {
    unsigned char data[TEST_BYTES_ROOM];
    size_t length;
} test_bytes;

static inline void test_add(test_bytes *bytes, const void *data, size_t length) {
    assert_true(length <= sizeof bytes->data - bytes->length);
    if (length) memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

/* n bytes of a number, the most significant first if big. */
static inline void test_add_number(test_bytes *bytes, uint64_t value, int n, int big) {
    for (int i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)(value >> 8 * (big ? n - 1 - i : i));
        test_add(bytes, &byte, 1);
    }
}

static inline void test_add_zeros(test_bytes *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) test_add(bytes, "", 1);
}

#endif
