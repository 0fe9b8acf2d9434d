/* Unit tests of push/manifest.h. The many ways to be wrong are in tests/test_bad_push.py. */
#include "push/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define A_FILE(path, size) "{\"path\":\"" path "\",\"sha256\":\"" DIGEST "\",\"size\":" size "}"

struct fixture {
    struct arena arena;
    struct manifest manifest;
    struct error error;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    arena_init(&fixture->arena, 1024, 1 << 20);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    arena_fini(&fixture->arena);
    free(fixture);
    return 0;
}

static bool take(struct fixture *fixture, const char *text)
{
    return manifest_read(span_of(text), 8, &fixture->arena, &fixture->manifest, &fixture->error) &&
           manifest_check(&fixture->manifest, &fixture->error);
}

static void reads_what_there_is(void **state)
{
    struct fixture *f = *state;
    assert_true(
        take(f, "{\"version\": 3, \"files\": [" A_FILE("b/c", "7") ", " A_FILE("a", "0") "]}"));
    assert_true(f->manifest.has_version);
    assert_int_equal(f->manifest.version, 3);
    assert_int_equal(f->manifest.count, 2);
    assert_true(span_equal(f->manifest.files[0].path, SPAN("a")));
    assert_true(span_equal(f->manifest.files[1].path, SPAN("b/c")));
    assert_string_equal(f->manifest.files[1].digest.text, DIGEST);
    assert_int_equal(manifest_size_bytes(&f->manifest), 7);
    assert_true(take(f, "{\"files\": [" A_FILE("a", "1") "], \"version\": null}"));
    assert_false(f->manifest.has_version);
}

static void tells_folders_from_files(void **state)
{
    struct fixture *f = *state;
    assert_true(take(f, "{\"files\": [" A_FILE("a/b", "1") "," A_FILE("a-b", "1") "," A_FILE(
                            "a.b/c", "1") "," A_FILE("ab", "1") "]}"));
    /* Between a file and what lies in a folder of its name no other name sorts. */
    assert_false(take(
        f, "{\"files\": [" A_FILE("a", "1") "," A_FILE("a-b", "1") "," A_FILE("a/b", "1") "]}"));
    assert_non_null(strstr(f->error.message, "'a' is a file and a folder"));
    assert_false(
        take(f, "{\"files\": [" A_FILE("x", "1") "," A_FILE("a", "1") "," A_FILE("x", "1") "]}"));
    assert_non_null(strstr(f->error.message, "'x' comes twice"));
}

static void bounds_the_number_of_files(void **state)
{
    struct fixture *f = *state;
#define EIGHT                                                                                      \
    A_FILE("1", "1")                                                                               \
    "," A_FILE("2", "1") "," A_FILE("3", "1") "," A_FILE("4", "1") "," A_FILE(                     \
        "5", "1") "," A_FILE("6", "1") "," A_FILE("7", "1") "," A_FILE("8", "1")
    assert_true(take(f, "{\"files\": [" EIGHT "]}"));
    assert_false(take(f, "{\"files\": [" EIGHT "," A_FILE("9", "1") "]}"));
    assert_non_null(strstr(f->error.message, "more than 8 files"));
}

static void knows_folders_of_versions(void **state)
{
    struct fixture *f = *state;
    assert_true(take(f, "{\"files\": [" A_FILE("1/m", "1") "," A_FILE("12/m", "1") "," A_FILE(
                            "config.pbtxt", "1") "]}"));
    assert_true(manifest_is_of_versions(&f->manifest));
    assert_int_equal(manifest_last_version(&f->manifest), 12);
    assert_true(take(f, "{\"files\": [" A_FILE("1/m", "1") "," A_FILE("readme", "1") "]}"));
    assert_false(manifest_is_of_versions(&f->manifest));
    assert_true(take(f, "{\"files\": [" A_FILE("1", "1") "," A_FILE("config.pbtxt", "1") "]}"));
    assert_false(manifest_is_of_versions(&f->manifest)); /* a file that is called so */
}

static void names_are_sound(void **state)
{
    static const char *const good[] = {"a", "iris", "a.b", "resnet-50", "\xc3\xa9", "1a", "models"};
    static const char *const bad[] = {"",     ".",    "..", ".a",         "a/b",       "a\\b",
                                      "a\nb", "\xff", "7",  "model.yaml", "model.onnx"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(model_name_check(span_of(good[i]), NULL));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(model_name_check(span_of(bad[i]), NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_what_there_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_folders_from_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bounds_the_number_of_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_folders_of_versions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_sound, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
