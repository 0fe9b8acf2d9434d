/* Sets of processors. */
#include "base/cpu_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct cpu_list read_list(const char *text)
{
    struct cpu_list list;
    assert_true(cpu_list_read(span_of(text), &list));
    return list;
}

static void expect(struct cpu_list list, const char *expected)
{
    char text[CPU_LIST_TEXT_BYTES];
    assert_string_equal(cpu_list_text(&list, text), expected);
}

static void lists_are_read_and_written(void **state)
{
    static const char *const pairs[][2] = {
        {"0", "0"},         {"0-3,8", "0-3,8"}, {"8, 0 - 3", "0-3,8"}, {"3,2,1,1", "1-3"},
        {"63-64", "63-64"}, {"1023", "1023"},   {"0-1023", "0-1023"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        expect(read_list(pairs[i][0]), pairs[i][1]);
    assert_int_equal(cpu_list_count(&(struct cpu_list){{0}}), 0);
    const struct cpu_list all = read_list("0-1023");
    assert_int_equal(cpu_list_count(&all), CPU_LIST_MAX);
}

static void what_is_none_is_refused(void **state)
{
    static const char *const texts[] = {
        "",     ",",      "a",    "1,",    "-1", "1-",  "-",   "3-2",
        "1024", "0-1024", "1--2", "1-2-3", "+1", "0x1", "1.5", "18446744073709551616"};
    struct cpu_list list;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(cpu_list_read(span_of(texts[i]), &list));
}

static void parts_are_neighbours_and_even(void **state)
{
    const struct cpu_list list = read_list("0-3,8,10-11");
    expect(cpu_list_part(&list, 0, 1), "0-3,8,10-11");
    expect(cpu_list_part(&list, 0, 3), "0-1");
    expect(cpu_list_part(&list, 1, 3), "2-3");
    expect(cpu_list_part(&list, 2, 3), "8,10-11");
    for (uint32_t parts = 1; parts <= 7; parts++) {
        uint32_t all = 0;
        for (uint32_t place = 0; place < parts; place++) {
            const struct cpu_list part = cpu_list_part(&list, place, parts);
            assert_int_equal(cpu_list_beyond(&part, &list), CPU_LIST_MAX);
            assert_true(cpu_list_count(&part) >= 7 / parts);
            all += cpu_list_count(&part);
        }
        assert_int_equal(all, 7);
    }
}

static void the_first_that_is_not_there(void **state)
{
    const struct cpu_list machine = read_list("0-3"), list = read_list("1,3,5,700");
    assert_int_equal(cpu_list_beyond(&list, &machine), 5);
    assert_int_equal(cpu_list_beyond(&machine, &machine), CPU_LIST_MAX);
}

static void a_long_one_is_cut(void **state)
{
    struct cpu_list list = {{0}};
    char text[CPU_LIST_TEXT_BYTES];
    for (uint32_t number = 0; number < CPU_LIST_MAX; number += 2)
        cpu_list_add(&list, number);
    cpu_list_text(&list, text);
    assert_true(strlen(text) < CPU_LIST_TEXT_BYTES);
    assert_non_null(strstr(text, "…"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read_and_written),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(parts_are_neighbours_and_even),
        cmocka_unit_test(the_first_that_is_not_there),
        cmocka_unit_test(a_long_one_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
