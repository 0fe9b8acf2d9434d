/* Unit tests of repository_scan on real folders. */
#include "repository/repository.h"

#include "base/clock.h"
#include "repository/files_fixture.h"

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
    if (!f)
        return -1;
    snprintf(f->folder, sizeof f->folder, "/tmp/tensord-scan-XXXXXX");
    if (!mkdtemp(f->folder)) {
        free(f);
        return -1;
    }
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

static void put(const struct fixture *f, const char *name, const char *content)
{
    files_put(f->folder, name, content);
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
    assert_true(f->scan.versions[0].doubled);
}

/* "model:error" of each version that has one. */
static const char *errors(const struct fixture *f)
{
    static char text[2048];
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < f->scan.version_count; i++) {
        const struct repository_version *v = &f->scan.versions[i];
        if (v->error)
            at += (size_t)snprintf(text + at, sizeof text - at, "%.*s:%s;", SPAN_ARGS(v->model),
                                   v->error->message);
    }
    return text;
}

static char *below(const struct fixture *f, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    return path;
}

static void what_is_no_file_is_no_model(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkfifo(below(f, "pipe.onnx"), 0600), 0);
    put(f, "folder/1/weights", "x");
    assert_int_equal(mkfifo(below(f, "folder/1/model.onnx"), 0600), 0);
    put(f, "config/1/model.onnx", "x");
    assert_int_equal(mkfifo(below(f, "config/config.pbtxt"), 0600), 0);
    assert_int_equal(symlink("/dev/zero", below(f, "zero.onnx")), 0);
    put(f, "good.onnx", "x");
    scan_at(f, "", NULL, 0);
    assert_string_equal(
        errors(f), "config:'config.pbtxt' among the model's files is neither a file nor a folder;"
                   "folder:'model.onnx' among the model's files is neither a file nor a folder;"
                   "pipe:'pipe.onnx' among the model's files is neither a file nor a folder;"
                   "zero:'zero.onnx' among the model's files is neither a file nor a folder;");
    assert_int_equal(f->scan.version_count, 5);
}

static void what_names_packages_is_code(void **state)
{
    struct fixture *f = *state;
    put(f, "a/model.onnx", "x");
    put(f, "a/requirements.txt", "x");
    put(f, "b/model.onnx", "x");
    put(f, "b/model.yaml", "python: {requirements: [a]}");
    put(f, "c/1/model.onnx", "x");
    put(f, "c/model.yaml", "python: '3.12'");
    scan_at(f, "", NULL, 0);
    const struct repository_version *versions = f->scan.versions;
    assert_int_equal(f->scan.version_count, 3);
    assert_false(versions[0].code); /* its engine installs nothing */
    for (size_t i = 1; i < 3; i++)
        assert_true(versions[i].code && versions[i].runtime == RUNTIME_PYTHON);
    assert_string_equal(versions[2].folder.data, below(f, "c"));
}

static void needs_beside_versions_are_watched(void **state)
{
    struct fixture *f = *state;
    put(f, "a/1/model.py", "x");
    scan_at(f, "", NULL, 0);
    uint64_t before = f->scan.versions[0].fingerprint;
    put(f, "a/requirements.txt", "numpy");
    scan_at(f, "", NULL, 0);
    assert_true(f->scan.versions[0].fingerprint != before);
}

static void links_of_folders_and_configs_stay_inside(void **state)
{
    struct fixture *f = *state;
    put(f, "a/model.onnx", "x");
    put(f, "b/1/model.onnx", "x");
    put(f, "c/model.onnx", "x");
    put(f, "yaml", "");
    assert_int_equal(symlink("a", below(f, "inside")), 0);
    assert_int_equal(symlink("/usr", below(f, "outside")), 0);
    assert_int_equal(symlink("/usr", below(f, "b/2")), 0);
    assert_int_equal(symlink("../yaml", below(f, "c/model.yaml")), 0);
    assert_int_equal(symlink("gone.onnx", below(f, "nothing.onnx")), 0);
    put(f, "loop.onnx", "x");
    unlink(below(f, "loop.onnx"));
    assert_int_equal(symlink("loop.onnx", below(f, "loop.onnx")), 0);
    scan_at(f, "", NULL, 0);
    assert_string_equal(
        errors(f), "b:its folder is a link out of the repository, which is not followed;"
                   "c:model.yaml: a link out of the model's folder;"
                   "loop:its folder cannot be looked into;"
                   "outside:its folder is a link out of the repository, which is not followed;");
    assert_true(f->scan.versions[5].unreadable && f->scan.versions[6].unreadable);
    assert_string_equal(f->scan.versions[4].model.data, "inside");
    assert_null(f->scan.versions[4].error);
}

static void a_linked_file_keeps_the_name_of_a_model(void **state)
{
    struct fixture *f = *state;
    put(f, "blobs/1234", "x");
    put(f, "other/n.onnx", "x");
    put(f, "here/keep", "");
    assert_int_equal(symlink("../blobs/1234", below(f, "here/m.onnx")), 0);
    assert_int_equal(symlink("../other/n.onnx", below(f, "here/n.onnx")), 0);
    scan_at(f, "/here", NULL, 0);
    assert_string_equal(found(f), "m:1:/here/m.onnx;n:1:/other/n.onnx;");
    assert_string_equal(f->scan.versions[0].root.data, below(f, "blobs"));
    scan_at(f, "/here/m.onnx", NULL, 0);
    assert_string_equal(found(f), "m:1:/here/m.onnx;");
}

static void a_linked_folder_is_called_as_it_was_given(void **state)
{
    struct fixture *f = *state;
    put(f, "releases/17/model.onnx", "x");
    assert_int_equal(symlink("releases/17", below(f, "current")), 0);
    scan_at(f, "/current", NULL, 0);
    assert_string_equal(found(f), "current:1:/releases/17;");
    scan_at(f, "/current/.", NULL, 0);
    assert_string_equal(found(f), "17:1:/releases/17;");
}

static void external_data_that_is_being_written_makes_a_model_wait(void **state)
{
    struct fixture *f = *state;
    struct span renamed[] = {SPAN("m.onnx"), SPAN("m.onnx.data")};
    put(f, "m.onnx", "x");
    put(f, "m.onnx.data", "x");
    put(f, "m.onnx2", "x");
    put(f, "n.onnx", "x");
    f->now_ns = real_now_ns();
    scan_at(f, "", renamed, 1);
    assert_false(f->scan.versions[0].complete);
    put(f, "m.onnx2", "x");
    unlink(below(f, "m.onnx2"));
    scan_at(f, "", renamed, 2);
    assert_true(f->scan.versions[0].complete && f->scan.versions[0].renamed_in);
    assert_false(f->scan.versions[1].complete || f->scan.versions[1].renamed_in);
}

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * CLOCK_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The least time that a scan takes of three, with `count` models in the folder. */
static uint64_t scan_cost_ns(struct fixture *f, size_t from, size_t count)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = from; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "m%zu.onnx", i);
        put(f, name, "x");
    }
    for (int round = 0; round < 3; round++) {
        uint64_t start = cpu_ns();
        scan_at(f, "", NULL, 0);
        least = cpu_ns() - start < least ? cpu_ns() - start : least;
        assert_int_equal(f->scan.version_count, count);
    }
    return least;
}

/* Ten times the files: n log n is about thirteen times the time, n² a hundred. */
static void twenty_thousand_files_take_not_much_longer_than_their_share(void **state)
{
    struct fixture *f = *state;
    uint64_t few = scan_cost_ns(f, 0, 2000), many = scan_cost_ns(f, 2000, 20000);
    print_message("%llu µs, %llu µs\n", (unsigned long long)few / 1000,
                  (unsigned long long)many / 1000);
    assert_true(many < few * 40);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_layouts_are_recognised),
        cmocka_unit_test(a_missing_path_is_an_error),
        TEST(fingerprints_tell_changes),
        TEST(a_fresh_file_is_incomplete_unless_renamed_in),
        TEST(what_is_no_file_is_no_model),
        TEST(links_of_folders_and_configs_stay_inside),
        TEST(what_names_packages_is_code),
        TEST(needs_beside_versions_are_watched),
        TEST(a_linked_file_keeps_the_name_of_a_model),
        TEST(a_linked_folder_is_called_as_it_was_given),
        TEST(external_data_that_is_being_written_makes_a_model_wait),
        TEST(twenty_thousand_files_take_not_much_longer_than_their_share),
        TEST(two_models_of_one_name_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
