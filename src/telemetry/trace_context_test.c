/* Unit tests of telemetry/trace_context.h and request_id.h. */
#include "telemetry/random.h"
#include "telemetry/request_id.h"
#include "telemetry/trace_context.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static bool parses(const char *text)
{
    struct trace_context context = {0}, untouched = {0};
    bool good = trace_context_parse(span_of(text), &context);
    if (!good)
        assert_memory_equal(&context, &untouched, sizeof context);
    return good;
}

static void a_traceparent_is_read(void **state)
{
    struct trace_context context = {0};
    char id[2 * TRACE_ID_BYTES];
    assert_true(trace_context_parse(SPAN("00-" TRACE "-" PARENT "-01"), &context));
    assert_true(context.remote && context.sampled);
    assert_true(span_equal(trace_id_format(&context, id), SPAN(TRACE)));
    assert_int_equal(context.parent_id[0], 0xb7);
    assert_true(trace_context_parse(SPAN("00-" TRACE "-" PARENT "-00"), &context));
    assert_false(context.sampled);
    assert_true(trace_context_parse(SPAN("00-" TRACE "-" PARENT "-ff"), &context));
    assert_true(context.sampled); /* flags to come are not ours to mind */
}

static void versions_to_come_are_read_as_far_as_they_are_known(void **state)
{
    assert_true(parses("01-" TRACE "-" PARENT "-01"));
    assert_true(parses("fe-" TRACE "-" PARENT "-01-more"));
    assert_false(parses("fe-" TRACE "-" PARENT "-01more"));
    assert_false(parses("ff-" TRACE "-" PARENT "-01"));
}

static void garbage_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "00",
        "00-" TRACE "-" PARENT,
        "00-" TRACE "-" PARENT "-",
        "00-" TRACE "-" PARENT "-1",
        "00-" TRACE "-" PARENT "-01-",
        "00-" TRACE "-" PARENT "-01 ",
        " 00-" TRACE "-" PARENT "-01",
        "0-" TRACE "-" PARENT "-01",
        "00_" TRACE "-" PARENT "-01",
        "00-" TRACE "0-" PARENT "-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01",
        "00-0gf7651916cd43dd8448eb211c80319c-" PARENT "-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(parses(wrong[i]));
}

static void a_child_names_its_caller(void **state)
{
    struct trace_context caller = {0};
    char text[TRACEPARENT_BYTES];
    assert_true(trace_context_parse(SPAN("00-" TRACE "-" PARENT "-01"), &caller));
    memset(caller.span_id, 0x1a, sizeof caller.span_id);
    assert_true(
        span_equal(trace_context_format(&caller, text), SPAN("00-" TRACE "-1a1a1a1a1a1a1a1a-01")));
    struct trace_context child = trace_context_child(&caller);
    assert_memory_equal(child.trace_id, caller.trace_id, TRACE_ID_BYTES);
    assert_memory_equal(child.parent_id, caller.span_id, SPAN_ID_BYTES);
    assert_true(child.sampled);
}

static void states_are_printable_and_short(void **state)
{
    char long_state[TRACE_STATE_MAX_BYTES + 1];
    memset(long_state, 'a', sizeof long_state);
    assert_true(trace_state_valid(SPAN("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")));
    assert_false(trace_state_valid(SPAN("")));
    assert_false(trace_state_valid(SPAN("a=\x80")));
    assert_true(trace_state_valid((struct span){long_state, TRACE_STATE_MAX_BYTES}));
    assert_false(trace_state_valid((struct span){long_state, sizeof long_state}));
}

static void only_plain_ids_are_taken_from_clients(void **state)
{
    char long_id[REQUEST_ID_MAX_BYTES + 1];
    memset(long_id, 'a', sizeof long_id);
    assert_true(request_id_valid(SPAN("3f2504e0-4f89-11d3-9a0c-0305e82c3301")));
    assert_true(request_id_valid((struct span){long_id, REQUEST_ID_MAX_BYTES}));
    assert_false(request_id_valid((struct span){long_id, sizeof long_id}));
    assert_false(request_id_valid(SPAN("")));
    assert_false(request_id_valid(SPAN("a b")));
    assert_false(request_id_valid(SPAN("a\nb")));
    assert_false(request_id_valid(SPAN("a\0b")));
    assert_false(request_id_valid(SPAN("<script>")));
}

static void made_ids_are_plain_and_differ(void **state)
{
    char first[REQUEST_ID_BYTES], second[REQUEST_ID_BYTES];
    uint8_t id[SPAN_ID_BYTES];
    struct span one = request_id_make(first), other = request_id_make(second);
    assert_true(request_id_valid(one) && request_id_valid(other));
    assert_false(span_equal(one, other));
    for (int i = 0; i < 1000; i++) {
        random_id(id, sizeof id);
        assert_int_not_equal(id[0], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_traceparent_is_read),
        cmocka_unit_test(versions_to_come_are_read_as_far_as_they_are_known),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_child_names_its_caller),
        cmocka_unit_test(states_are_printable_and_short),
        cmocka_unit_test(only_plain_ids_are_taken_from_clients),
        cmocka_unit_test(made_ids_are_plain_and_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
