/* Unit tests of repository_scan on real folders. */
#include "repository/repository.h"

#include "base/clock.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char folder[64];
    struct repository_scan scan;
    uint64_t now_ns;
};

static uint64_t real_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * CLOCK_NS_PER_S + (uint64_t)t.tv_nsec;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->folder, sizeof f->folder, "/tmp/tensord-scan-XXXXXX");
    if (!f || !mkdtemp(f->folder))
        return -1;
    f->now_ns = real_now_ns() + 10 * CLOCK_NS_PER_S; /* everything has been quiet for ten seconds */
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
    repository_scan_fini(&f->scan);
    nftw(f->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* Writes a file below the fixture's folder and makes the folders on the way. */
static void put(const struct fixture *f, const char *name, const char *content)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    for (char *slash = strchr(path + strlen(f->folder) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static void scan_at(struct fixture *f, const char *below, const struct span *renamed, size_t count)
{
    struct error error;
    char path[512];
    repository_scan_fini(&f->scan);
    snprintf(path, sizeof path, "%s%s", f->folder, below);
    assert_true(repository_scan(path, f->now_ns, renamed, count, &f->scan, &error));
}

/* The scan as text: "name:version:last part of path;…" */
static const char *found(const struct fixture *f)
{
    static char text[1024];
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < f->scan.version_count; i++) {
        const struct repository_version *v = &f->scan.versions[i];
        at += (size_t)snprintf(text + at, sizeof text - at, "%.*s:%llu:%s;", SPAN_ARGS(v->model),
                               (unsigned long long)v->version, v->path.data + strlen(f->folder));
    }
    return text;
}

static void all_layouts_are_recognised(void **state)
{
    struct fixture *f = *state;
    put(f, "b.onnx", "x");
    put(f, "b.onnx.data", "x");
    put(f, "README.md", "x");
    put(f, ".hidden.onnx", "x");
    put(f, "one/model.onnx", "x");
    put(f, "triton/1/model.onnx", "x");
    put(f, "triton/3/model.onnx", "x");
    put(f, "triton/config.pbtxt", "");
    put(f, "empty/notes.txt", "x");
    scan_at(f, "", NULL, 0);
    assert_string_equal(found(f), "b:1:/b.onnx;one:1:/one;triton:1:/triton/1;triton:3:/triton/3;");
    scan_at(f, "/b.onnx", NULL, 0);
    assert_string_equal(found(f), "b:1:/b.onnx;");
    assert_string_equal(f->scan.versions[0].root.data, f->folder);
    scan_at(f, "/triton", NULL, 0);
    assert_string_equal(found(f), "triton:1:/triton/1;triton:3:/triton/3;");
    scan_at(f, "/one", NULL, 0);
    assert_string_equal(found(f), "one:1:/one;");
}

static void a_missing_path_is_an_error(void **state)
{
    struct repository_scan scan;
    struct error error;
    assert_false(repository_scan("/nonexistent/models", 0, NULL, 0, &scan, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
}

static void fingerprints_tell_changes(void **state)
{
    struct fixture *f = *state;
    put(f, "m/1/model.onnx", "x");
    put(f, "other.onnx", "x");
    scan_at(f, "", NULL, 0);
    uint64_t first = f->scan.versions[0].fingerprint, other = f->scan.versions[1].fingerprint;
    scan_at(f, "", NULL, 0);
    assert_true(f->scan.versions[0].fingerprint == first);
    put(f, "m/1/model.onnx", "longer");
    scan_at(f, "", NULL, 0);
    uint64_t second = f->scan.versions[0].fingerprint;
    assert_true(second != first);
    put(f, "m/config.pbtxt", "");
    scan_at(f, "", NULL, 0);
    assert_true(f->scan.versions[0].fingerprint != second);
    assert_true(f->scan.versions[1].fingerprint == other);
}

static void a_fresh_file_is_incomplete_unless_renamed_in(void **state)
{
    struct fixture *f = *state;
    struct span renamed = SPAN("m.onnx");
    put(f, "m.onnx", "x");
    f->now_ns = real_now_ns();
    scan_at(f, "", NULL, 0);
    assert_false(f->scan.versions[0].complete);
    scan_at(f, "", &renamed, 1);
    assert_true(f->scan.versions[0].complete);
    f->now_ns += 2 * CLOCK_NS_PER_S;
    scan_at(f, "", NULL, 0);
    assert_true(f->scan.versions[0].complete);
}

static void two_models_of_one_name_are_one(void **state)
{
    struct fixture *f = *state;
    put(f, "m.onnx", "x");
    put(f, "m/model.onnx", "x");
    scan_at(f, "", NULL, 0);
    assert_int_equal(f->scan.version_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_layouts_are_recognised, setup, teardown),
        cmocka_unit_test(a_missing_path_is_an_error),
        cmocka_unit_test_setup_teardown(fingerprints_tell_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fresh_file_is_incomplete_unless_renamed_in, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(two_models_of_one_name_are_one, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
