/* Each call of a scan fails in turn, by the linker's --wrap: no model may seem to have gone, or to
 * have changed. */
#include "repository/repository.h"

#include "base/clock.h"
#include "repository/files_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { FAILURE_FAR = 1 << 30, MAX_CALLS = 1000 };

/* How many calls are still to succeed before one fails, with that errno. */
static int calls_left = FAILURE_FAR, failure = EIO;

static bool fails(void)
{
    if (--calls_left != 0)
        return false;
    errno = failure;
    return true;
}

/* A function that fails with `bad` when its turn has come. */
#define FAILING(type, bad, name, parameters, arguments)                                            \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return fails() ? (bad) : __real_##name arguments;                                          \
    }

FAILING(int, -1, stat64, (const char *path, void *status), (path, status))
FAILING(int, -1, fstat64, (int fd, void *status), (fd, status))
FAILING(DIR *, NULL, opendir, (const char *path), (path))
FAILING(void *, NULL, readdir64, (DIR * folder), (folder))
FAILING(int, -1, open64, (const char *path, int flags), (path, flags))
FAILING(char *, NULL, realpath, (const char *path, char *real), (path, real))
FAILING(char *, NULL, __realpath_chk, (const char *path, char *real, size_t size),
        (path, real, size))
FAILING(ssize_t, -1, read, (int fd, void *to, size_t size), (fd, to, size))
FAILING(long, -1, syscall, (long number, long a, void *b, void *c, size_t d), (number, a, b, c, d))
FAILING(void *, NULL, malloc, (size_t size), (size))
FAILING(void *, NULL, calloc, (size_t count, size_t size), (count, size))
FAILING(void *, NULL, realloc, (void *block, size_t size), (block, size))

static const char *const files[] = {
    "flat/model.onnx",     "flat/7",         "flat/model.yaml",      "flat/deep/er/notes",
    "triton/config.pbtxt", "triton/1/model", "triton/20/model.onnx", "single.onnx",
    "single.onnx.data",    "bare/some.onnx", "nothing/notes.txt",
};

static int setup(void **state)
{
    static char folder[] = "/tmp/tensord-scan-XXXXXX";
    if (!mkdtemp(folder))
        return -1;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        files_put(folder, files[i], strstr(files[i], "yaml") ? "max_batch_size: 8" : "");
    *state = folder;
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    return remove(path);
}

static int teardown(void **state)
{
    return nftw(*state, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static bool scan(const char *folder, int fail_at, struct repository_scan *ret_scan)
{
    struct timespec now;
    struct error error;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t later_ns = ((uint64_t)now.tv_sec + 10) * CLOCK_NS_PER_S; /* all has been quiet */
    calls_left = fail_at;
    bool good = repository_scan(folder, later_ns, NULL, 0, ret_scan, &error);
    return good;
}

/* What the scan says of the version; NULL when it has no word of it. */
static const struct repository_version *find(const struct repository_scan *in,
                                             const struct repository_version *version)
{
    for (size_t i = 0; i < in->version_count; i++) {
        const struct repository_version *found = &in->versions[i];
        if (span_equal(found->model, version->model) &&
            (found->version == version->version || (found->unreadable && !found->version)))
            return found;
    }
    return NULL;
}

static void check(const struct repository_scan *whole, const struct repository_scan *faulty,
                  int nth)
{
    for (size_t i = 0; i < whole->version_count; i++) {
        const struct repository_version *want = &whole->versions[i], *got = find(faulty, want);
        if (!got)
            fail_msg("%s: call %d: %.*s has gone", strerror(failure), nth, SPAN_ARGS(want->model));
        else if (got->unreadable)
            assert_true(got->complete && got->error && got->error->message[0]);
        else if (got->error)
            fail_msg("%s: call %d: %.*s: %s", strerror(failure), nth, SPAN_ARGS(want->model),
                     got->error->message);
        else
            assert_true(got->fingerprint == want->fingerprint &&
                        span_equal(got->path, want->path) && span_equal(got->root, want->root) &&
                        got->config->max_batch_size == want->config->max_batch_size);
    }
}

static void no_failed_call_makes_a_model_go_or_change(void **state)
{
    static const int failures[] = {EIO, EMFILE, ENOMEM, EACCES};
    struct repository_scan whole, faulty;
    assert_true(scan(*state, FAILURE_FAR, &whole));
    assert_int_equal(whole.version_count, 5);
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        failure = failures[i];
        int nth = 0;
        do {
            assert_true(++nth < MAX_CALLS);
            if (scan(*state, nth, &faulty)) {
                bool was_reached = calls_left <= 0;
                check(&whole, &faulty, nth);
                repository_scan_fini(&faulty);
                if (!was_reached)
                    break;
            }
        } while (true);
        print_message("%s: %d calls\n", strerror(failure), nth);
        assert_true(nth > 50);
    }
    repository_scan_fini(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_failed_call_makes_a_model_go_or_change, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
