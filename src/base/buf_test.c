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

static void buffers_share_a_budget(void **state)
{
    struct budget budget = {.limit_bytes = 16384};
    struct buf first, second;
    buf_init_within(&first, 1 << 20, &budget);
    buf_init_within(&second, 8192, &budget);
    assert_non_null(buf_reserve(&first, 8192));
    assert_int_equal(budget.held_bytes, 8192);
    assert_null(buf_reserve(&first, 32768));
    assert_true(first.unaffordable);
    assert_null(buf_reserve(&second, 8193)); /* its own limit */
    assert_false(second.unaffordable);
    buf_clear(&second);
    assert_true(buf_append(&second, SPAN("1"))); /* free */
    assert_int_equal(budget.held_bytes, 8192);
    assert_non_null(buf_reserve(&second, 8191));
    assert_int_equal(budget.held_bytes, 16384);
    buf_fini(&first);
    assert_int_equal(budget.held_bytes, 8192);
    buf_fini(&second);
    assert_int_equal(budget.held_bytes, 0);
    budget.held_bytes = 32768; /* and the limit was made smaller */
    assert_null(buf_reserve(&first, 8192));
    buf_clear(&first);
    assert_non_null(buf_reserve(&first, 1));
    buf_fini(&first);
}

static void room_grows_with_what_comes(void **state)
{
    struct buf buf;
    buf_init(&buf, 4 << 20);
    assert_int_equal(buf_room(&buf, 10).size, 10);
    size_t room = buf_room(&buf, 1 << 20).size;
    assert_in_range(room, 1, 128 << 10);
    buf.size += room;
    assert_int_equal(buf_room(&buf, 1 << 20).size, room);
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_and_consumes),
        cmocka_unit_test(buffers_share_a_budget),
        cmocka_unit_test(room_grows_with_what_comes),
        cmocka_unit_test(a_failure_sticks_until_cleared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
