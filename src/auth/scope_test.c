/* Unit tests of auth/scope.h. */
#include "auth/scope.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool token_allows(const char *scopes, enum scope wanted)
{
    unsigned set = 0;
    assert_true(scope_set_parse(span_of(scopes), &set, NULL));
    return scope_allows(set, wanted);
}

/* Rows: what a token with one scope may use. */
static void each_scope_allows_its_own_and_what_it_includes(void **state)
{
    static const struct {
        const char *scopes;
        bool allows[SCOPE_COUNT]; /* open, read, infer, deploy, code, admin */
    } rows[] = {
        {"read", {1, 1, 0, 0, 0, 0}},   {"infer", {1, 1, 1, 0, 0, 0}},
        {"deploy", {1, 1, 0, 1, 0, 0}}, {"code", {1, 1, 0, 1, 1, 0}},
        {"admin", {1, 1, 1, 1, 1, 1}},  {"infer,deploy", {1, 1, 1, 1, 0, 0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (enum scope wanted = 0; wanted < SCOPE_COUNT; wanted++)
            assert_int_equal(token_allows(rows[i].scopes, wanted), rows[i].allows[wanted]);
}

static void nobody_may_use_what_is_open_and_nothing_else(void **state)
{
    assert_true(scope_allows(0, SCOPE_OPEN));
    for (enum scope wanted = SCOPE_READ; wanted < SCOPE_COUNT; wanted++)
        assert_false(scope_allows(0, wanted));
    assert_false(scope_allows(scope_bit(SCOPE_OPEN), SCOPE_READ));
}

static void lists_are_read_and_written(void **state)
{
    char text[SCOPE_SET_TEXT_BYTES];
    unsigned set = 77;
    assert_true(scope_set_parse(SPAN("deploy,infer"), &set, NULL));
    assert_string_equal(scope_set_format(set, text), "infer,deploy");
    assert_true(scope_set_parse(SPAN("read,infer,deploy,code,admin"), &set, NULL));
    assert_string_equal(scope_set_format(set, text), "read,infer,deploy,code,admin");
    assert_string_equal(scope_set_format(0, text), "");
}

static void other_words_are_refused(void **state)
{
    static const char *const bad[] = {"",       "open",         "root",  "infer,",
                                      ",infer", "infer deploy", "INFER", "infer,,read"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        unsigned set = 77;
        struct error error = {0};
        assert_false(scope_set_parse(span_of(bad[i]), &set, &error));
        assert_int_equal(set, 77);
        assert_int_equal(error.code, ERROR_INVALID_ARGUMENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_scope_allows_its_own_and_what_it_includes),
        cmocka_unit_test(nobody_may_use_what_is_open_and_nothing_else),
        cmocka_unit_test(lists_are_read_and_written),
        cmocka_unit_test(other_words_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
