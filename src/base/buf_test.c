/* Unit tests of base/buf.h. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void appends_and_consumes(void **state)
{
    struct buf buf;
    buf_init(&buf, 1 << 20);
    for (int i = 0; i < 1000; i++)
        assert_true(buf_printf(&buf, "%d,", i));
    assert_true(span_starts_with(buf_span(&buf), SPAN("0,1,2,3,")));
    buf_consume(&buf, 4);
    assert_true(span_starts_with(buf_span(&buf), SPAN("2,3,")));
    buf_fini(&buf);
}

static void a_failure_sticks_until_cleared(void **state)
{
    struct buf buf;
    buf_init(&buf, 8);
    assert_true(buf_append(&buf, SPAN("12345")));
    assert_false(buf_append(&buf, SPAN("6789")));
    assert_false(buf_append_char(&buf, '6'));
    assert_false(buf_ok(&buf));
    assert_true(span_equal(buf_span(&buf), SPAN("12345")));
    buf_clear(&buf);
    assert_true(buf_append(&buf, SPAN("12345678")));
    assert_null(buf_reserve(&buf, SIZE_MAX));
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_and_consumes),
        cmocka_unit_test(a_failure_sticks_until_cleared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
