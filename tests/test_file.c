/* Whole-file writes, folders and logs: all or nothing, whatever fails. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "logitude/io.h"
#include "temporary.h"

static void assert_content(const char *path, const char *expected) {
    char found[256] = "";
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t length = fread(found, 1, sizeof found - 1, file);
    fclose(file);
    assert_int_equal(length, strlen(expected));
    assert_string_equal(found, expected);
}

static lgt_status put(const char *path, const char *text, lgt_error *err) {
    lgt_context *context = test_context(1);
    lgt_status status = lgt_file_write(context, path, text, strlen(text), err);
    lgt_context_free(context);
    return status;
}

static void a_file_is_written_and_replaced(void **state) {
    (void)state;
    lgt_error err;
    const char *path = test_path("plain");
    assert_ok(put(path, "one", &err), err);
    assert_content(path, "one");
    assert_ok(put(path, "", &err), err);
    assert_content(path, "");
    assert_ok(put(path, "three", &err), err);
    assert_content(path, "three");
    assert_int_equal(test_count_files(test_folder), 1);
    unlink(path);
}

static void a_name_without_a_folder_means_the_working_folder(void **state) {
    (void)state;
    lgt_error err;
    char before[TEST_PATH_ROOM];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(test_folder), 0);
    lgt_status status = put("bare", "x", &err);
    assert_int_equal(chdir(before), 0);
    assert_ok(status, err);
    assert_content(test_path("bare"), "x");
    unlink(test_path("bare"));
}

static void the_umask_rules_new_files_and_old_permissions_stay(void **state) {
    (void)state;
    lgt_error err;
    struct stat info;
    const char *path = test_path("mode");
    mode_t before = umask(027);
    lgt_status status = put(path, "x", &err);
    umask(before);
    assert_ok(status, err);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
    assert_int_equal(chmod(path, 0604), 0);
    assert_ok(put(path, "y", &err), err);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0604);
    unlink(path);
}

static void a_link_stays_a_link(void **state) {
    (void)state;
    lgt_error err;
    struct stat info;
    const char *path = test_put_text("target", "old"), *link = test_path("link");
    assert_int_equal(symlink("target", link), 0);
    assert_ok(put(link, "new", &err), err);
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_content(path, "new");
    unlink(link);
    unlink(path);
}

/* Links that lead to nothing yet, one by way of another in a folder, whose own leads on from there. */
static void a_link_to_nothing_is_where_the_file_comes_to_be(void **state) {
    static char target[4096], inner[4096];
    (void)state;
    lgt_error err;
    struct stat info;
    snprintf(target, sizeof target, "%s", test_path("target"));
    snprintf(inner, sizeof inner, "%s", test_path("folder/inner"));
    assert_ok(lgt_folder_create(test_path("folder"), &err), err);
    for (int absolute = 0; absolute <= 1; absolute++) {
        const char *link = test_path("link");
        assert_int_equal(symlink("folder/inner", link), 0);
        assert_int_equal(symlink(absolute ? target : "../target", inner), 0);
        assert_ok(put(link, "new", &err), err);
        assert_true(lstat(link, &info) == 0 && S_ISLNK(info.st_mode));
        assert_true(lstat(inner, &info) == 0 && S_ISLNK(info.st_mode));
        assert_true(lstat(target, &info) == 0 && S_ISREG(info.st_mode));
        assert_content(target, "new");
        unlink(link);
        unlink(inner);
        unlink(target);
    }
    rmdir(test_path("folder"));
}

static void writing_fails_with_path_and_operation(void **state) {
    (void)state;
    lgt_error err;
    static char deep[5000];
    memset(deep, 'a', sizeof deep - 1);
    const struct {
        const char *path, *part;
    } cases[] = {
        {"/nonexistent/folder/file", "/nonexistent/folder/file: cannot create a file in its folder: No such file"},
        {"", ": cannot "},
        {test_folder, "cannot write: Is a directory"},
        {"/dev/full", "/dev/full: cannot write: No space left on device"},
        {"/dev/null/x", "Not a directory"},
        {deep, "aaaa"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(put(cases[i].path, "x", &err), LGT_ERR_IO, err, cases[i].part);
    struct stat info;
    assert_int_equal(stat("/dev/full", &info), 0); /* a device is written to, never replaced */
    assert_true(S_ISCHR(info.st_mode));
}

static void a_write_that_the_system_cuts_short_leaves_the_old_file(void **state) {
    (void)state;
    const char *path = test_put_text("limited", "old");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* a limit on file sizes fails like a full disk */
        static char large[100000];
        struct rlimit limit = {4096, 4096};
        lgt_error err;
        lgt_context *context = NULL;
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) || lgt_context_create(NULL, &context, &err)) _exit(2);
        _exit(lgt_file_write(context, path, large, sizeof large, &err) == LGT_ERR_IO ? 0 : 1);
    }
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    assert_content(path, "old");
    assert_int_equal(test_count_files(test_folder), 1);
    unlink(path);
}

static void a_folder_without_permission_is_refused(void **state) {
    (void)state;
    lgt_error err;
    if (geteuid() == 0) {
        print_message("skipped: root may write everywhere\n");
        skip();
    }
    const char *folder = test_path("closed"), *path = test_path("closed/file");
    assert_int_equal(mkdir(folder, 0500), 0);
    assert_fails(put(path, "x", &err), LGT_ERR_IO, err, "Permission denied");
    rmdir(folder);
}

static void writing_survives_every_refused_allocation(void **state) {
    (void)state;
    lgt_error err;
    const char *path = test_put_text("faults", "old");
    int done = 0;
    for (int64_t fail_at = 1; !done; fail_at++) {
        assert_true(fail_at < 20);
        lgt_context *context = test_context_failing(fail_at);
        lgt_status status = lgt_file_write(context, path, "new", 3, &err);
        if (status) assert_fails(status, LGT_ERR_MEMORY, err, "out of memory");
        done = status == LGT_OK;
        assert_content(path, done ? "new" : "old");
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
        assert_int_equal(test_count_files(test_folder), 1);
    }
    unlink(path);
}

static void folders_are_made_with_their_parents(void **state) {
    (void)state;
    lgt_error err;
    struct stat info;
    const char *deep = test_path("a/b//c/"), *parts[] = {"a/b/c", "a/b", "a"};
    assert_ok(lgt_folder_create(deep, &err), err);
    assert_ok(lgt_folder_create(deep, &err), err);
    assert_int_equal(stat(deep, &info), 0);
    assert_true(S_ISDIR(info.st_mode));
    for (int i = 0; i < 3; i++) assert_int_equal(rmdir(test_path(parts[i])), 0);
    assert_ok(lgt_folder_create("/", &err), err);
    assert_ok(lgt_folder_create(".", &err), err);
}

static void folders_in_the_way_of_files_are_refused(void **state) {
    (void)state;
    lgt_error err;
    static char deep[5000];
    memset(deep, 'a', sizeof deep - 1);
    const char *file = test_put_text("f", "");
    assert_fails(lgt_folder_create(file, &err), LGT_ERR_IO, err, "cannot create the folder: File exists");
    assert_fails(lgt_folder_create(test_path("f/g"), &err), LGT_ERR_IO, err, "/f: cannot create the folder");
    assert_fails(lgt_folder_create("", &err), LGT_ERR_IO, err, "cannot create the folder");
    assert_fails(lgt_folder_create(deep, &err), LGT_ERR_IO, err, "a");
    unlink(file);
}

static void a_log_grows_by_whole_lines(void **state) {
    (void)state;
    lgt_error err;
    lgt_log *log = NULL;
    lgt_context *context = test_context(1);
    const char *path = test_put_text("log", "of an earlier run\n");
    assert_ok(lgt_log_open(context, path, &log, &err), err);
    assert_content(path, "");
    assert_ok(lgt_log_line(log, "one", &err), err);
    assert_content(path, "one\n");
    assert_ok(lgt_log_line(log, "", &err), err);
    assert_ok(lgt_log_line(log, "three", &err), err);
    assert_ok(lgt_log_close(log, &err), err);
    assert_content(path, "one\n\nthree\n");
    assert_ok(lgt_log_close(NULL, &err), err);
    lgt_context_free(context);
    unlink(path);
}

static void a_log_reports_a_full_disk_and_a_missing_folder(void **state) {
    (void)state;
    lgt_error err;
    lgt_log *log = NULL;
    lgt_context *context = test_context(1);
    assert_fails(lgt_log_open(context, "/nonexistent/log", &log, &err), LGT_ERR_IO, err,
                 "/nonexistent/log: cannot open");
    assert_ok(lgt_log_open(context, "/dev/full", &log, &err), err);
    assert_fails(lgt_log_line(log, "x", &err), LGT_ERR_IO, err, "/dev/full: cannot write: No space left");
    assert_ok(lgt_log_close(log, &err), err);
    lgt_context_free(context);
}

static void a_log_survives_every_refused_allocation(void **state) {
    (void)state;
    lgt_error err;
    const char *path = test_path("log");
    int done = 0;
    for (int64_t fail_at = 1; !done; fail_at++) {
        assert_true(fail_at < 20);
        lgt_log *log = NULL;
        lgt_context *context = test_context_failing(fail_at);
        lgt_status status = lgt_log_open(context, path, &log, &err);
        if (!status) {
            status = lgt_log_line(log, "x", &err);
            done = status == LGT_OK;
            assert_int_equal(lgt_log_close(log, NULL), LGT_OK);
        }
        assert_int_equal(status, done ? LGT_OK : LGT_ERR_MEMORY);
        lgt_context_free(context);
        assert_int_equal(test_live_blocks(), 0);
    }
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_written_and_replaced),
        cmocka_unit_test(a_name_without_a_folder_means_the_working_folder),
        cmocka_unit_test(the_umask_rules_new_files_and_old_permissions_stay),
        cmocka_unit_test(a_link_stays_a_link),
        cmocka_unit_test(a_link_to_nothing_is_where_the_file_comes_to_be),
        cmocka_unit_test(writing_fails_with_path_and_operation),
        cmocka_unit_test(a_write_that_the_system_cuts_short_leaves_the_old_file),
        cmocka_unit_test(a_folder_without_permission_is_refused),
        cmocka_unit_test(writing_survives_every_refused_allocation),
        cmocka_unit_test(folders_are_made_with_their_parents),
        cmocka_unit_test(folders_in_the_way_of_files_are_refused),
        cmocka_unit_test(a_log_grows_by_whole_lines),
        cmocka_unit_test(a_log_reports_a_full_disk_and_a_missing_folder),
        cmocka_unit_test(a_log_survives_every_refused_allocation),
    };
    return cmocka_run_group_tests_name("file", tests, test_folder_begin, test_folder_end);
}
