/* Unit tests of leases on a model's files. */
#include "worker/model_files.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char folder[64], file[96], data[96];
};

static void put(const char *path, const char *content)
{
    FILE *file = fopen(path, "w");
    if (!file)
        abort();
    fputs(content, file);
    fclose(file);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    snprintf(f->folder, sizeof f->folder, "/tmp/tensord-files-XXXXXX");
    if (!mkdtemp(f->folder)) {
        free(f);
        return -1;
    }
    snprintf(f->file, sizeof f->file, "%s/m.onnx", f->folder);
    snprintf(f->data, sizeof f->data, "%s/m.onnx.data", f->folder);
    put(f->file, "model");
    put(f->data, "weights");
    *state = f;
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    nftw(f->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void make_old(const char *path)
{
    const struct timespec times[] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void assert_whole(const char *path)
{
    struct model_files files;
    model_files_look(path, false, &files);
    assert_int_equal(files.error.code, ERROR_OK);
    assert_true(model_files_same(&files));
}

static void assert_written(const char *path, const char *sentence)
{
    struct model_files files;
    model_files_look(path, false, &files);
    assert_int_equal(files.error.code, ERROR_UNAVAILABLE);
    assert_string_equal(files.error.message, sentence);
    model_files_look(path, true, &files);
    assert_int_equal(files.error.code, ERROR_OK);
}

static void a_file_that_is_open_for_writing_is_not_whole(void **state)
{
    struct fixture *f = *state;
    make_old(f->data);
    assert_whole(f->file);
    assert_whole(f->folder);
    int writer = open(f->data, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_written(f->file, "'m.onnx.data' is still being written");
    assert_written(f->folder, "'m.onnx.data' is still being written");
    close(writer);
    int reader = open(f->data, O_RDONLY | O_CLOEXEC);
    assert_whole(f->file);
    close(reader);
}

/* As a user who may not take leases on the file. */
static int look_as_nobody(const struct fixture *f)
{
    struct model_files files;
    if (seteuid(65534) != 0)
        return 2;
    model_files_look(f->file, false, &files);
    return files.error.code == ERROR_OK;
}

static void where_there_are_no_leases_time_decides(void **state)
{
    struct fixture *f = *state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(f->folder, 0755), 0);
    for (int old = 0; old < 2; old++) {
        int status;
        pid_t child = fork();
        if (child == 0)
            _exit(look_as_nobody(f));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == old);
        make_old(f->file);
        make_old(f->data);
    }
}

static void changes_are_seen(void **state)
{
    struct fixture *f = *state;
    struct model_files files;
    model_files_look(f->folder, false, &files);
    make_old(f->data);
    assert_false(model_files_same(&files));
    model_files_look(f->file, false, &files);
    put(f->data, "more weights");
    assert_false(model_files_same(&files));
    model_files_look(f->file, false, &files);
    unlink(f->file);
    assert_false(model_files_same(&files));
}

static void what_is_no_file_is_not_opened(void **state)
{
    struct fixture *f = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/pipe", f->folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_whole(path);
    assert_whole(f->folder);
    snprintf(path, sizeof path, "%s/gone", f->folder);
    assert_whole(path);
}

static atomic_bool stop;

static void *write_again_and_again(void *context)
{
    const struct fixture *f = context;
    while (!stop) {
        int fd = open(f->file, O_WRONLY | O_CLOEXEC);
        if (fd >= 0)
            close(fd);
    }
    return NULL;
}

/* The kernel's signal to who has the lease, and its end, hurt neither. */
static void a_writer_that_comes_meanwhile_goes_on(void **state)
{
    struct fixture *f = *state;
    pthread_t writer;
    int whole = 0;
    assert_int_equal(pthread_create(&writer, NULL, write_again_and_again, f), 0);
    for (int i = 0; i < 2000; i++) {
        struct model_files files;
        model_files_look(f->file, false, &files);
        whole += files.error.code == ERROR_OK;
    }
    stop = true;
    pthread_join(writer, NULL);
    print_message("whole in %d of 2000 looks\n", whole);
    assert_whole(f->file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_that_is_open_for_writing_is_not_whole),
        TEST(where_there_are_no_leases_time_decides),
        TEST(changes_are_seen),
        TEST(what_is_no_file_is_not_opened),
        TEST(a_writer_that_comes_meanwhile_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
