/* Unit tests of base/span.h. */
#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void compares(void **state)
{
    assert_true(span_equal(SPAN("a"), SPAN("a")));
    assert_false(span_equal(SPAN("a"), SPAN("A")));
    assert_true(span_equal_nocase(SPAN("Content-Length"), SPAN("content-lengtH")));
    assert_false(span_equal_nocase(SPAN("a"), SPAN("ab")));
    assert_true(span_equal((struct span){NULL, 0}, SPAN("")));
}

static void trims_and_splits(void **state)
{
    assert_true(span_equal(span_trim(SPAN(" \t a b ")), SPAN("a b")));
    assert_int_equal(span_trim(SPAN("  ")).size, 0);
    struct span rest = SPAN("a,,b");
    assert_true(span_equal(span_split(&rest, ','), SPAN("a")));
    assert_true(span_equal(span_split(&rest, ','), SPAN("")));
    assert_true(span_equal(span_split(&rest, ','), SPAN("b")));
    assert_null(rest.data);
}

static void reads_only_plain_numbers(void **state)
{
    uint64_t value = 7;
    const char *const bad[] = {"",
                               "+5",
                               "-1",
                               " 5",
                               "5 ",
                               "0x5",
                               "18446744073709551616",
                               "1234567890123456789012345678901234567890"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(span_to_u64(span_of(bad[i]), &value));
    assert_int_equal(value, 7);
    assert_true(span_to_u64(SPAN("18446744073709551615"), &value));
    assert_true(value == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares),
        cmocka_unit_test(trims_and_splits),
        cmocka_unit_test(reads_only_plain_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
