/* Unit tests of api/forwarded.h. */
#include "api/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct http_field fields[] = {
    {SPAN("host"), SPAN("here")},        {SPAN("authorization"), SPAN("Bearer secret")},
    {SPAN("cookie"), SPAN("a=secret")},  {SPAN("x-user-id"), SPAN("7")},
    {SPAN("x-user-name"), SPAN("Änn")},  {SPAN("x-other"), SPAN("1")},
    {SPAN("x-twice"), SPAN("1")},        {SPAN("x-twice"), SPAN("2")},
    {SPAN("x-bytes"), SPAN("\xff\xfe")}, {SPAN("proxy-authorization"), SPAN("secret")},
};
static const struct http_request request = {.fields = fields,
                                            .field_count = sizeof fields / sizeof *fields};
static const struct parameter own[] = {{SPAN("note"), SPAN("1"), true}};

static struct arena arena;
static const struct parameter *list;
static size_t count;
static struct error error;

static bool add(const char *patterns)
{
    list = own;
    count = 1;
    return forwarded_add(span_of(patterns), &request, &arena, &list, &count, &error);
}

static int setup(void **state)
{
    arena_init(&arena, 256, 1 << 16);
    return 0;
}

static int teardown(void **state)
{
    arena_fini(&arena);
    return 0;
}

static void those_that_match_come_behind_the_others(void **state)
{
    assert_true(add("x-user-*,host"));
    assert_int_equal(count, 4);
    assert_true(span_equal(list[0].key, SPAN("note")) && list[0].literal);
    assert_true(span_equal(list[1].key, SPAN("host")));
    assert_true(span_equal(list[2].key, SPAN("x-user-id")));
    assert_true(span_equal(list[2].value, SPAN("7")) && !list[2].literal);
    assert_true(span_equal(list[3].value, SPAN("Änn")));
}

static void without_patterns_nothing_changes(void **state)
{
    assert_true(add(""));
    assert_ptr_equal(list, own);
    assert_int_equal(count, 1);
}

static void credentials_are_passed_over(void **state)
{
    assert_true(add("*auth*,cookie"));
    assert_int_equal(count, 1);
}

static void long_names_are_passed_over(void **state)
{
    static char name[257];
    const struct parameter *long_list = &(struct parameter){.key = {name, sizeof name}};
    struct http_field field = {.name = {name, sizeof name}, .value = SPAN("1")};
    const struct http_request long_request = {.fields = &field, .field_count = 1};
    memset(name, 'n', sizeof name);
    count = 1;
    assert_true(forwarded_add(SPAN("n*"), &long_request, &arena, &long_list, &count, &error));
    assert_int_equal(count, 1);
}

static void what_cannot_be_told_is_refused(void **state)
{
    assert_false(add("x-twice"));
    assert_non_null(strstr(error.message, "twice"));
    assert_false(add("x-bytes"));
    assert_non_null(strstr(error.message, "UTF-8"));
    assert_false(add("n*"));
    assert_non_null(strstr(error.message, "'note'"));
    assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
}

static void no_memory_is_an_error(void **state)
{
    arena_fini(&arena);
    arena_init(&arena, 16, 16);
    assert_false(add("x-user-*"));
    assert_ptr_equal(list, own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(those_that_match_come_behind_the_others, setup, teardown),
        cmocka_unit_test_setup_teardown(without_patterns_nothing_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(credentials_are_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(long_names_are_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_told_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(no_memory_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
