/* Unit tests of net/backlog.h. */
#include "net/backlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void bytes_leave_in_order(void **state)
{
    char bytes[1000];
    struct backlog backlog = {0};
    size_t added = 0, taken = 0;
    for (size_t step = 0; added < sizeof bytes; step++) {
        size_t one = step % 7, two = step % 3; /* empty ones, too */
        if (added + one + two > sizeof bytes)
            break;
        struct iovec vectors[] = {{bytes + added, one}, {NULL, 0}, {bytes + added + one, two}};
        assert_true(backlog_add(&backlog, vectors, 3, 0));
        added += one + two;
        assert_int_equal(backlog.bytes, added - taken);
        while (backlog.bytes > 20) {
            struct iovec first = backlog_first(&backlog, 3);
            assert_true(first.iov_len <= 3);
            if (first.iov_len > 0)
                assert_ptr_equal(first.iov_base, bytes + taken);
            backlog_consume(&backlog, 5);
            taken += 5;
        }
    }
    backlog_consume(&backlog, backlog.bytes);
    assert_null(backlog.vectors); /* an empty one holds no memory */
    assert_int_equal(backlog.count, 0);
}

static void what_was_taken_is_skipped(void **state)
{
    char bytes[10];
    struct iovec vectors[] = {{bytes, 3}, {bytes + 3, 7}};
    struct backlog backlog = {0};
    assert_true(backlog_add(&backlog, vectors, 2, 10));
    assert_int_equal(backlog.bytes, 0);
    assert_true(backlog_add(&backlog, vectors, 2, 5));
    assert_int_equal(backlog.bytes, 5);
    struct iovec first = backlog_first(&backlog, 100);
    assert_ptr_equal(first.iov_base, bytes + 5);
    assert_int_equal(first.iov_len, 5);
    assert_ptr_equal(vectors[1].iov_base, bytes + 3); /* the caller's array is as it was */
    backlog_fini(&backlog);
}

static void a_sum_that_overflows_is_refused(void **state)
{
    char byte;
    struct iovec vectors[] = {{&byte, SIZE_MAX}, {&byte, 1}};
    struct backlog backlog = {0};
    assert_false(backlog_add(&backlog, vectors, 2, 0));
    assert_int_equal(backlog.bytes, 0);
    assert_int_equal(backlog.count, 0);
    backlog_fini(&backlog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_leave_in_order),
        cmocka_unit_test(what_was_taken_is_skipped),
        cmocka_unit_test(a_sum_that_overflows_is_refused),
    };
    return cmocka_run_group_tests_name("net/backlog", tests, NULL, NULL);
}
