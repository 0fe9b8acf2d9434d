/* Unit tests of auth/glob.h. */
#include "auth/glob.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool match(const char *pattern, const char *text)
{
    return glob_match(span_of(pattern), span_of(text));
}

static void stars_stand_for_anything(void **state)
{
    assert_true(match("iris", "iris"));
    assert_true(match("*", ""));
    assert_true(match("*", "iris"));
    assert_true(match("iris*", "iris"));
    assert_true(match("iris*", "iris-2"));
    assert_true(match("*-v2", "bert-v1-v2"));
    assert_true(match("a*b*c", "a-b-b-c-c"));
    assert_true(match("**", "x"));
    assert_true(match("", ""));
}

static void all_else_must_be_there(void **state)
{
    assert_false(match("iris", "iris2"));
    assert_false(match("iris", "Iris"));
    assert_false(match("iris2", "iris"));
    assert_false(match("iris*", "iri"));
    assert_false(match("*-v2", "bert-v2-v1"));
    assert_false(match("a*b*c", "a-c-b"));
    assert_false(match("", "x"));
    assert_false(match("?", "x"));
    assert_false(match("[a-z]", "x"));
}

static void a_list_matches_when_one_does(void **state)
{
    assert_true(glob_list_match(SPAN("iris,bert*"), SPAN("bert-2")));
    assert_true(glob_list_match(SPAN("iris,bert*"), SPAN("iris")));
    assert_false(glob_list_match(SPAN("iris,bert*"), SPAN("iris,bert")));
    assert_false(glob_list_match(SPAN(""), SPAN("iris")));
    assert_false(glob_list_match((struct span){NULL, 0}, SPAN("")));
}

/* Matching that tried every star again would take for ever here. */
static void many_stars_take_no_long_time(void **state)
{
    char pattern[512], text[512];
    for (size_t i = 0; i < sizeof pattern; i += 2)
        pattern[i] = '*', pattern[i + 1] = 'a';
    pattern[sizeof pattern - 1] = 'b';
    memset(text, 'a', sizeof text);
    uint64_t start_ns = clock_now_ns();
    assert_false(
        glob_match((struct span){pattern, sizeof pattern}, (struct span){text, sizeof text}));
    assert_true(clock_now_ns() - start_ns < CLOCK_NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stars_stand_for_anything),
        cmocka_unit_test(all_else_must_be_there),
        cmocka_unit_test(a_list_matches_when_one_does),
        cmocka_unit_test(many_stars_take_no_long_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
