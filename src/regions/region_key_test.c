/* Unit tests of regions/region_key.h. */
#include "regions/region_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void keys_name_one_file(void **state)
{
    struct span file;
    struct error error;
    assert_true(region_key_read(SPAN("r"), SPAN("/mine"), &file, &error));
    assert_true(span_equal(file, SPAN("mine")));
    assert_true(region_key_read(SPAN("r"), SPAN("mine"), &file, &error));
    assert_true(span_equal(file, SPAN("mine")));
    assert_true(region_key_read(SPAN("r"), SPAN("..."), &file, &error));
}

static void other_keys_are_refused(void **state)
{
    static const struct span keys[] = {
        SPAN(""),
        SPAN("/"),
        SPAN("//x"),
        SPAN("/a/b"),
        SPAN("a/"),
        SPAN("."),
        SPAN("/.."),
        SPAN("a\0b"),
        SPAN("/sem.mine"),
        SPAN("sem."),
        SPAN("/triton_python_backend_shm_region_0"),
    };
    char long_key[REGION_KEY_MAX_BYTES + 2];
    struct span file;
    struct error error;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        assert_false(region_key_read(SPAN("r"), keys[i], &file, &error));
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
        assert_non_null(strstr(error.message, "'r'"));
    }
    memset(long_key, 'x', sizeof long_key);
    long_key[0] = '/';
    assert_true(
        region_key_read(SPAN("r"), (struct span){long_key, sizeof long_key - 1}, &file, &error));
    assert_false(
        region_key_read(SPAN("r"), (struct span){long_key, sizeof long_key}, &file, &error));
}

static void names_are_text(void **state)
{
    char long_name[REGION_NAME_MAX_BYTES + 1];
    memset(long_name, 'x', sizeof long_name);
    assert_true(region_name_check(SPAN("a region/ä"), NULL));
    assert_true(region_name_check((struct span){long_name, sizeof long_name - 1}, NULL));
    assert_false(region_name_check((struct span){long_name, sizeof long_name}, NULL));
    assert_false(region_name_check(SPAN(""), NULL));
    assert_false(region_name_check(SPAN("a\nb"), NULL));
    assert_false(region_name_check(SPAN("a\0b"), NULL));
    assert_false(region_name_check(SPAN("\xff"), NULL));
    assert_false(region_name_check(SPAN("\x7f"), NULL));
}

static void parts_do_not_wrap(void **state)
{
    assert_true(region_part_fits(0, 64, 64));
    assert_true(region_part_fits(63, 1, 64));
    assert_false(region_part_fits(64, 1, 64));
    assert_false(region_part_fits(0, 65, 64));
    assert_false(region_part_fits(0, 0, 64));
    assert_false(region_part_fits(64, 0, 64));
    assert_false(region_part_fits(UINT64_MAX, 2, 64));
    assert_false(region_part_fits(UINT64_MAX - 63, 64, UINT64_MAX));
    assert_true(region_part_fits(UINT64_MAX - 64, 64, UINT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_name_one_file),
        cmocka_unit_test(other_keys_are_refused),
        cmocka_unit_test(names_are_text),
        cmocka_unit_test(parts_do_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
