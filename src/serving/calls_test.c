/* Calls that a running model makes of another. */
#include "serving/calls.h"

#include "serving/serving_fixture.h"

static struct fixture f;
static struct played_worker *outer, *inner;
static struct client *client; /* of outer */

/* Two models, each with a ready worker; `outer` has a request. */
static int set_up(void **state)
{
    struct error error;
    fixture_init(&f, LOAD_ALL);
    fixture_put(&f, "outer", 1);
    fixture_put(&f, "inner", 1);
    fixture_scan(&f);
    outer = worker_of(&f, "outer");
    inner = worker_of(&f, "inner");
    worker_ready(&f, outer, 0);
    worker_ready(&f, inner, 0);
    client = client_ask(&f, "outer", 2, &error);
    assert_non_null(client);
    worker_read(&f, outer);
    assert_int_equal(outer->request_count, 1);
    return 0;
}

static int tear_down(void **state)
{
    fixture_fini(&f);
    return 0;
}

/* `outer` calls `inner`, which has the request. */
static void call_inner(void)
{
    worker_call(&f, outer, 7, "inner");
    worker_read(&f, inner);
    assert_int_equal(inner->request_count, 1);
}

/* `outer` answers its client. */
static void finish(void)
{
    worker_answer(&f, outer, TENSORD_OK, true);
    client_expect(client, ERROR_OK);
}

static void a_call_is_answered(void **state)
{
    call_inner();
    worker_answer(&f, inner, TENSORD_OK, true);
    worker_read(&f, outer);
    assert_int_equal(outer->call_answers, 1);
    assert_int_equal(outer->failed_call_answers, 0);
    finish();
}

static void a_call_that_cannot_be_made_is_answered_with_the_reason(void **state)
{
    worker_call(&f, outer, 7, "missing");
    worker_call(&f, outer, 8, "outer"); /* which would wait for itself */
    assert_int_equal(outer->failed_call_answers, 2);
    finish();
}

static void the_callers_client_takes_the_call_along(void **state)
{
    call_inner();
    client_leave(client);
    worker_read(&f, outer);
    worker_read(&f, inner);
    assert_true(outer->requests[0].cancelled && inner->requests[0].cancelled);
    worker_answer(&f, inner, TENSORD_CANCELLED, true);
    worker_read(&f, outer);
    assert_int_equal(outer->failed_call_answers, 1);
    worker_answer(&f, outer, TENSORD_CANCELLED, true);
}

/* It might wait for a slot that is its own caller's. */
static void nothing_goes_ahead_of_what_calls_others(void **state)
{
    struct error error;
    struct client *others[2];
    call_inner();
    worker_answer(&f, inner, TENSORD_OK, true);
    worker_read(&f, outer);
    finish();
    for (size_t i = 0; i < 2; i++)
        others[i] = client_ask(&f, "outer", 2, &error);
    for (size_t i = 0; i < 2; i++) {
        worker_read(&f, outer);
        assert_int_equal(outer->request_count, 1);
        worker_answer(&f, outer, TENSORD_OK, true);
        client_expect(others[i], ERROR_OK);
    }
}

static void the_callers_death_cancels_its_calls(void **state)
{
    call_inner();
    worker_end(&f, outer, "killed");
    client_expect(client, ERROR_INTERRUPTED);
    worker_read(&f, inner);
    assert_true(inner->requests[0].cancelled);
    worker_answer(&f, inner, TENSORD_OK, true);
}

static void the_callees_death_is_the_answer(void **state)
{
    call_inner();
    worker_end(&f, inner, "killed");
    worker_read(&f, outer);
    assert_int_equal(outer->failed_call_answers, 1);
    finish();
}

/* What has been answered for the caller may go on for a while, and call others itself. */
static void a_callee_that_streams_outlives_its_caller(void **state)
{
    call_inner();
    worker_answer(&f, inner, TENSORD_OK, false);
    worker_read(&f, outer);
    assert_int_equal(outer->call_answers, 0); /* it may have been the only one */
    worker_answer(&f, inner, TENSORD_OK, false);
    worker_read(&f, outer);
    assert_int_equal(outer->failed_call_answers, 1);
    finish();
    worker_read(&f, inner);
    assert_true(inner->requests[0].cancelled);
    worker_call(&f, inner, 8, "outer");
    worker_read(&f, outer);
    worker_answer(&f, outer, TENSORD_OK, true);
    worker_read(&f, inner);
    assert_int_equal(inner->call_answers, 1);
    worker_answer(&f, inner, TENSORD_CANCELLED, true);
}

static void a_callee_that_gives_one_answer_and_ends_has_answered(void **state)
{
    call_inner();
    worker_answer(&f, inner, TENSORD_OK, false);
    worker_end_answers(&f, inner);
    worker_read(&f, outer);
    assert_int_equal(outer->call_answers, 1);
    assert_int_equal(outer->failed_call_answers, 0);
    finish();
}

/* The channel allows 256 calls at once. */
static void a_request_may_end_before_its_calls_do_for_ever(void **state)
{
    struct error error;
    for (uint64_t i = 1; i <= 300; i++) {
        worker_call(&f, outer, i, "inner");
        worker_answer(&f, outer, TENSORD_OK, true);
        assert_false(outer->killed);
        client_expect(client, ERROR_OK);
        worker_read(&f, inner);
        while (inner->request_count)
            worker_answer(&f, inner, TENSORD_CANCELLED, true);
        client = client_ask(&f, "outer", 2, &error);
        worker_read(&f, outer);
    }
    assert_int_equal(outer->call_answers, 0);
    finish();
}

static void too_many_calls_at_once_break_the_rules(void **state)
{
    f.serving.options.queue_limit = 1000;
    for (uint64_t i = 1; i <= 257; i++)
        worker_call(&f, outer, i, "inner");
    assert_true(outer->killed);
    worker_end(&f, outer, "killed");
    client_expect(client, ERROR_INTERRUPTED);
    worker_end(&f, inner, "killed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_call_is_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_call_that_cannot_be_made_is_answered_with_the_reason,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_callers_client_takes_the_call_along, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_goes_ahead_of_what_calls_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_callers_death_cancels_its_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_callees_death_is_the_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_callee_that_streams_outlives_its_caller, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_callee_that_gives_one_answer_and_ends_has_answered,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_request_may_end_before_its_calls_do_for_ever, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(too_many_calls_at_once_break_the_rules, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
