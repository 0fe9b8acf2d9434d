/* Executions that are with a worker, and those that are stuck. */
#include "serving/executions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct executions *some(size_t count)
{
    static struct executions executions;
    executions = (struct executions){.count = 0};
    for (size_t i = 0; i < count; i++)
        assert_int_equal(executions_add(&executions)->id, i);
    return &executions;
}

static void they_are_found_by_id_and_keep_their_order(void **state)
{
    struct executions *executions = some(EXECUTIONS_MAX);
    (void)state;
    executions_remove(executions, executions_find(executions, 1));
    assert_null(executions_find(executions, 1));
    assert_int_equal(executions->items[0].id, 0);
    assert_int_equal(executions->items[1].id, 2);
    assert_int_equal(executions->count, EXECUTIONS_MAX - 1);
    assert_int_equal(executions_add(executions)->id, EXECUTIONS_MAX);
    assert_null(executions_find(executions, EXECUTIONS_MAX + 1));
}

static void one_that_is_added_is_not_stuck(void **state)
{
    struct executions *executions = some(1);
    (void)state;
    executions->items[0].stuck_round = 7;
    executions_remove(executions, &executions->items[0]);
    executions_add(executions);
    assert_int_equal(executions_stuck(executions, 7, 1), 0);
}

static void who_waits_behind_the_stuck_ones_is_stuck_where_those_take_all_slots(void **state)
{
    struct executions *executions = some(3);
    (void)state;
    executions->items[0].stuck_round = 7;
    executions->items[1].stuck_round = 6;
    assert_int_equal(executions_stuck(executions, 7, 2), 1);
    assert_int_equal(executions_stuck(executions, 7, 1), 3);
    assert_true(executions_is_stuck(executions, 0, 7, 2));
    assert_false(executions_is_stuck(executions, 1, 7, 2));
    assert_false(executions_is_stuck(executions, 2, 7, 2));
    assert_true(executions_is_stuck(executions, 2, 7, 1));
    assert_false(executions_is_stuck(executions, 3, 7, 1)); /* there is no such */
    assert_false(executions_is_stuck(executions, 0, 8, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_found_by_id_and_keep_their_order),
        cmocka_unit_test(one_that_is_added_is_not_stuck),
        cmocka_unit_test(who_waits_behind_the_stuck_ones_is_stuck_where_those_take_all_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
