/* HTTP/2 as good clients use it, and as careless ones do. */
#include "protocol/http2_fixture.h"

#include <stdlib.h>

static void body_is_echoed(void **state)
{
    struct test *test = test_new(false);
    test_start(test);
    struct answer *answer = test_request(test, "/echo", "hello", 5, NULL, 0);
    test_run_until(test, test_all_closed);
    assert_int_equal(answer->status, 200);
    assert_true(span_equal(buf_span(&answer->body), SPAN("hello")));
    assert_true(test->calls[0].complete);
    assert_int_equal(answer->code, NGHTTP2_NO_ERROR);
    test_end(test);
}

static void response_without_body(void **state)
{
    struct test *test = test_new(false);
    test_start(test);
    struct answer *answer = test_request(test, "/empty", NULL, NO_BODY, NULL, 0);
    test_run_until(test, test_all_closed);
    assert_int_equal(answer->status, 204);
    assert_true(test->calls[0].ended && test->calls[0].complete);
    test_end(test);
}

static void large_body_is_echoed(void **state)
{
    struct test *test = test_new(false);
    char *body = malloc(BODY_BYTES);
    if (!body)
        abort();
    for (size_t i = 0; i < BODY_BYTES; i++)
        body[i] = (char)(i * 2654435761u >> 13);
    test_start(test);
    struct answer *answer = test_request(test, "/echo", body, BODY_BYTES, NULL, 0);
    test_run_until(test, test_all_closed);
    assert_true(span_equal(buf_span(&answer->body), (struct span){body, BODY_BYTES}));
    test_end(test);
    free(body);
}

static void streams_both_ways_with_trailers(void **state)
{
    struct test *test = test_new(false);
    char body[100000];
    memset(body, 'x', sizeof body);
    test_start(test);
    struct answer *answer = test_request(test, "/chat", body, sizeof body, NULL, 0);
    test_run_until(test, test_all_closed);
    assert_int_equal(answer->body_bytes, sizeof body);
    assert_string_equal(answer->grpc_status, "0");
    assert_true(answer->trailers);
    assert_true(test->calls[0].complete);
    test_end(test);
}

static void error_is_trailers_only(void **state)
{
    struct test *test = test_new(false);
    test_start(test);
    struct answer *answer = test_request(test, "/unavailable", NULL, NO_BODY, NULL, 0);
    test_run_until(test, test_all_closed);
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->grpc_status, "14");
    assert_false(answer->trailers);
    test_end(test);
}

static void a_hundred_streams_at_once(void **state)
{
    struct test *test = test_new(false);
    test_start(test);
    for (int i = 0; i < 100; i++)
        test_request(test, "/echo", "0123456789", 10, NULL, 0);
    test_run_until(test, test_all_closed);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(test->answers[i].status, 200);
        assert_int_equal(test->answers[i].body_bytes, 10);
    }
    test_end(test);
}

static void written_stream_is_pulled(void **state)
{
    struct test *test = test_new(false);
    test_start(test);
    struct answer *answer = test_request(test, "/big", NULL, NO_BODY, NULL, 0);
    test_run_until(test, test_all_closed);
    assert_int_equal(answer->body_bytes, 32 * sizeof test->chunk);
    assert_true(test->calls[0].drained && test->calls[0].complete);
    test_end(test);
}

static bool window_is_used_up(struct test *test)
{
    return nghttp2_session_get_stream_remote_window_size(test->client, 1) == 0 &&
           nghttp2_session_get_remote_settings(test->client, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) >
               65535;
}

static bool first_call_ended(struct test *test)
{
    return test->calls[0].ended;
}

static void paused_handler_holds_only_its_stream(void **state)
{
    struct test *test = test_new(false);
    char *body = calloc(1, BODY_BYTES);
    test_start(test);
    struct answer *held = test_request(test, "/hold", body, BODY_BYTES, NULL, 0);
    test_run_until(test, window_is_used_up);
    assert_true(held->sent_bytes < BODY_BYTES);
    test_request(test, "/echo", "go", 2, NULL, 0);
    test_run_until(test, test_second_closed);
    assert_int_equal(test->answers[1].body_bytes, 2);
    assert_int_equal(test->calls[0].body.size, 0);
    test->calls[0].paused = false;
    http_resume(test->calls[0].exchange);
    test_run_until(test, first_call_ended);
    assert_int_equal(test->calls[0].body.size, BODY_BYTES);
    test_end(test);
    free(body);
}

static bool last_answer_closed(struct test *test)
{
    return test->answers[test->answer_count - 1].closed;
}

/* The client has sent all that it may: a window, but for what is not announced yet. */
static bool client_waits(struct test *test)
{
    const struct call *call = &test->calls[0];
    size_t sent = test->answers[0].sent_bytes;
    return call->ended ||
           (call->paused && (sent == BODY_BYTES || sent - call->body.size > WINDOW_BYTES / 4 * 3));
}

/* Runs until the server has read what the client has sent. */
static void fall_behind(struct test *test)
{
    test_run_until(test, client_waits);
    test_request(test, "/echo", "go", 2, NULL, 0);
    test_run_until(test, last_answer_closed);
}

/* What a handler takes opens the window for as much again, while the rest is still kept for it. */
static void slow_handler_gets_everything(void **state)
{
    struct test *test = test_new(false);
    char *body = malloc(BODY_BYTES);
    assert_non_null(body);
    for (size_t i = 0; i < BODY_BYTES; i++)
        body[i] = (char)(i * 7 + i / 251);
    test_start(test);
    test_request(test, "/hold", body, BODY_BYTES, NULL, 0);
    fall_behind(test);
    while (!test->calls[0].ended) {
        test->calls[0].sip_bytes = 600 << 10;
        test->calls[0].paused = false;
        http_resume(test->calls[0].exchange);
        fall_behind(test);
    }
    assert_int_equal(test->calls[0].body.size, BODY_BYTES);
    assert_memory_equal(test->calls[0].body.data, body, BODY_BYTES);
    test_end(test);
    free(body);
}

/* Sends so many bodies to handlers that have no room, each larger than a stream's window. */
static void hold(struct test *test, const char *body, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        test_request(test, "/hold", body, BODY_BYTES, NULL, 0);
}

static bool held_windows_are_used_up(struct test *test)
{
    for (size_t i = 0; i < test->answer_count; i++) {
        if (nghttp2_session_get_stream_remote_window_size(test->client, test->answers[i].id) > 0 &&
            !test->answers[i].closed)
            return false;
    }
    return test->answer_count == test->call_count;
}

/* Else those that wait for room would keep those who have it from ever giving it back. */
static void paused_handlers_leave_the_connection_to_others(void **state)
{
    struct test *test = test_new(false);
    char *body = calloc(1, BODY_BYTES);
    test_start(test);
    hold(test, body, 12);
    test_run_until(test, held_windows_are_used_up);
    struct answer *other = test_request(test, "/echo", body, BODY_BYTES, NULL, 0);
    test_run_until(test, last_answer_closed);
    assert_int_equal(other->body_bytes, BODY_BYTES);
    for (size_t i = 0; i < 12; i++) {
        test->calls[i].paused = false;
        http_resume(test->calls[i].exchange);
    }
    struct answer *last = test_request(test, "/echo", body, BODY_BYTES, NULL, 0);
    test_run_until(test, last_answer_closed);
    assert_int_equal(last->body_bytes, BODY_BYTES);
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(test->calls[i].body.size, BODY_BYTES);
    test_end(test);
    free(body);
}

static unsigned refused(const struct test *test)
{
    unsigned count = 0;
    for (size_t i = 0; i < test->answer_count; i++)
        count += test->answers[i].status == 503;
    return count;
}

enum { HELD_STREAMS = 70, KEPT_STREAMS = 64 }; /* the latter is what the server keeps, in MiB */

static bool too_many_are_refused(struct test *test)
{
    return held_windows_are_used_up(test) && refused(test) >= HELD_STREAMS - KEPT_STREAMS;
}

static void what_is_kept_for_paused_handlers_is_bounded(void **state)
{
    struct test *test = test_new(false);
    char *body = calloc(1, BODY_BYTES);
    test_start(test);
    hold(test, body, HELD_STREAMS);
    test_run_until(test, too_many_are_refused);
    assert_int_equal(refused(test), HELD_STREAMS - KEPT_STREAMS);
    test_request(test, "/echo", "go", 2, NULL, 0);
    test_run_until(test, last_answer_closed);
    test_end(test);
    free(body);
}

static void reset_is_told(void **state)
{
    struct test *test = test_new(false);
    test_start(test);
    struct answer *answer = test_request(test, "/never", NULL, ENDLESS, NULL, 0);
    test_run_until(test, test_calls_came);
    nghttp2_submit_rst_stream(test->client, NGHTTP2_FLAG_NONE, answer->id, NGHTTP2_CANCEL);
    test_flush(test);
    test_run_until(test, test_all_closed);
    assert_false(test->calls[0].complete);
    assert_null(test->calls[0].exchange->transport);
    test_end(test);
}

static void application_resets(void **state)
{
    struct test *test = test_new(false);
    test_start(test);
    struct answer *answer = test_request(test, "/never", NULL, NO_BODY, NULL, 0);
    test_run_until(test, test_calls_came);
    http_reset(test->calls[0].exchange);
    test_run_until(test, test_all_closed);
    assert_int_equal(answer->code, NGHTTP2_INTERNAL_ERROR);
    assert_false(test->calls[0].complete);
    test_end(test);
}

static void early_answer_stops_the_body(void **state)
{
    struct test *test = test_new(false);
    test_start(test);
    struct answer *answer = test_request(test, "/refuse", NULL, ENDLESS, NULL, 0);
    test_run_until(test, test_all_closed);
    assert_int_equal(answer->status, 413);
    assert_int_equal(answer->code, NGHTTP2_NO_ERROR);
    assert_true(test->calls[0].complete);
    test_end(test);
}

static void vanished_client_closes_exchanges(void **state)
{
    struct test *test = test_new(false);
    test_start(test);
    test_request(test, "/never", NULL, ENDLESS, NULL, 0);
    test_request(test, "/hold", "body", 4, NULL, 0);
    test_run_until(test, test_calls_came);
    test_end(test); /* checks that both were closed */
}

/* One request that is answered by the transport itself. */
static void expect_refusal(const char *path, const nghttp2_nv *fields, size_t count,
                           unsigned status, const char *grpc_status)
{
    struct test *test = test_new(false);
    test_start(test);
    struct answer *answer = test_request(test, path, "body", 4, fields, count);
    test_run_until(test, test_answers_closed);
    assert_int_equal(answer->status, status);
    assert_string_equal(answer->grpc_status, grpc_status);
    assert_int_equal(test->call_count, 0);
    test_request(test, "/echo", "on", 2, NULL, 0); /* the connection goes on */
    test_run_until(test, test_all_closed);
    assert_int_equal(test->answers[1].status, 200);
    test_end(test);
}

static void bad_heads_are_answered(void **state)
{
    nghttp2_nv many[120];
    char *long_value = calloc(1, 40001);
    memset(long_value, 'v', 40000);
    for (size_t i = 0; i < 120; i++)
        many[i] = nv("x", "y");
    const nghttp2_nv large = nv("x", long_value);
    const nghttp2_nv other_host = nv("host", "elsewhere");
    const nghttp2_nv control = nv("x", "a\001b");
    const nghttp2_nv grpc[] = {nv("content-type", "application/grpc"), nv("host", "elsewhere")};
    expect_refusal("/echo", many, 120, 431, "");
    expect_refusal("/echo", &large, 1, 431, "");
    expect_refusal("/echo", &other_host, 1, 400, "");
    expect_refusal("/echo", &control, 1, 400, "");
    expect_refusal("/echo", grpc, 2, 200, "3");
    expect_refusal("/a/../b", NULL, 0, 400, "");
    expect_refusal("/%2e%2e/b", NULL, 0, 400, "");
    free(long_value);
}

/* One request that breaks RFC 9113 §8: the stream is reset. */
static void expect_reset(const nghttp2_nv *field)
{
    struct test *test = test_new(false);
    test_start(test);
    struct answer *answer = test_request(test, "/echo", "body", 4, field, 1);
    test_run_until(test, test_answers_closed);
    assert_int_equal(answer->code, NGHTTP2_PROTOCOL_ERROR);
    test_request(test, "/echo", "on", 2, NULL, 0);
    test_run_until(test, test_answers_closed);
    assert_int_equal(test->answers[1].status, 200);
    test_run_until(test, test_all_closed);
    test_end(test);
}

static void malformed_requests_are_reset(void **state)
{
    const nghttp2_nv fields[] = {
        nv("content-length", "5"),          nv("content-length", "3"), nv("connection", "close"),
        nv("transfer-encoding", "chunked"), nv("te", "gzip"),          nv(":path", "/twice"),
        nv("content-length", "+4"),
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        expect_reset(&fields[i]);
}

static bool first_goaway(struct test *test)
{
    return test->goaways >= 1;
}

static void drain_finishes_what_runs(void **state)
{
    struct test *test = test_new(false);
    test_start(test);
    struct answer *answer = test_request(test, "/hold", "body", 4, NULL, 0);
    test_run_until(test, test_calls_came);
    http_server_drain(&test->server);
    test_run_until(test, first_goaway);
    test->calls[0].paused = false;
    http_resume(test->calls[0].exchange);
    test_run_until(test, first_call_ended);
    http_send(test->calls[0].exchange, 200, NULL, 0, NULL, 0);
    test_run_until(test, test_drained_away);
    assert_int_equal(answer->status, 200);
    assert_int_equal(test->goaways, 2);
    assert_int_equal(test->goaway_last, 1);
    assert_int_equal(test->goaway_code, NGHTTP2_NO_ERROR);
    test_end(test);
}

static void pings_are_answered(void **state)
{
    struct test *test = test_new(false);
    test_start(test);
    for (int i = 0; i < 100; i++)
        nghttp2_submit_ping(test->client, NGHTTP2_FLAG_NONE, NULL);
    test_flush(test);
    test_request(test, "/echo", "on", 2, NULL, 0);
    test_run_until(test, test_all_closed);
    assert_int_equal(test->pongs, 100);
    assert_int_equal(test->goaways, 0);
    test_end(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(body_is_echoed),
        cmocka_unit_test(response_without_body),
        cmocka_unit_test(large_body_is_echoed),
        cmocka_unit_test(streams_both_ways_with_trailers),
        cmocka_unit_test(error_is_trailers_only),
        cmocka_unit_test(a_hundred_streams_at_once),
        cmocka_unit_test(written_stream_is_pulled),
        cmocka_unit_test(paused_handler_holds_only_its_stream),
        cmocka_unit_test(slow_handler_gets_everything),
        cmocka_unit_test(paused_handlers_leave_the_connection_to_others),
        cmocka_unit_test(what_is_kept_for_paused_handlers_is_bounded),
        cmocka_unit_test(reset_is_told),
        cmocka_unit_test(application_resets),
        cmocka_unit_test(early_answer_stops_the_body),
        cmocka_unit_test(vanished_client_closes_exchanges),
        cmocka_unit_test(bad_heads_are_answered),
        cmocka_unit_test(malformed_requests_are_reset),
        cmocka_unit_test(drain_finishes_what_runs),
        cmocka_unit_test(pings_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
