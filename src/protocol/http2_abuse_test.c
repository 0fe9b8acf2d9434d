/* HTTP/2 as attackers use it: each is cut, and nothing is left behind. The tests of clocks wait for
 * the transport's tick of a second; nothing else waits for time. */
#include "protocol/http2_fixture.h"

static void rapid_resets_cut_the_connection(void **state)
{
    struct test *test = test_new(false);
    test->server.limits.reset_burst = 20;
    test->server.limits.resets_per_s = 1;
    test_start(test);
    for (int i = 0; i < 40; i++) {
        struct answer *answer = test_request(test, "/never", NULL, NO_BODY, NULL, 0);
        nghttp2_submit_rst_stream(test->client, NGHTTP2_FLAG_NONE, answer->id, NGHTTP2_CANCEL);
        test_flush(test);
    }
    test_run_until(test, test_drained_away);
    assert_int_equal(test->goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_in_range(test->call_count, 20, 22);
    test_end(test);
}

static bool first_answers_began(struct test *test)
{
    for (size_t i = 0; i < test->answer_count; i++) {
        if (!test->answers[i].status)
            return false;
    }
    return true;
}

static void resets_after_the_answer_began_are_free(void **state)
{
    struct test *test = test_new(false);
    test->server.limits.reset_burst = 2;
    test->server.limits.resets_per_s = 1;
    test_start(test);
    for (int i = 0; i < 40; i++) {
        struct answer *answer = test_request(test, "/chat", NULL, ENDLESS, NULL, 0);
        test_run_until(test, first_answers_began);
        nghttp2_submit_rst_stream(test->client, NGHTTP2_FLAG_NONE, answer->id, NGHTTP2_CANCEL);
        test_flush(test);
    }
    test_run_until(test, test_all_closed);
    assert_int_equal(test->goaways, 0);
    test_end(test);
}

static void raw_frame(struct test *test, unsigned type, unsigned flags, uint32_t id,
                      struct span payload)
{
    uint8_t head[9] = {(uint8_t)(payload.size >> 16),
                       (uint8_t)(payload.size >> 8),
                       (uint8_t)payload.size,
                       (uint8_t)type,
                       (uint8_t)flags,
                       (uint8_t)(id >> 24),
                       (uint8_t)(id >> 16),
                       (uint8_t)(id >> 8),
                       (uint8_t)id};
    test_send(test, head, sizeof head);
    if (payload.size)
        test_send(test, payload.data, payload.size);
}

static struct test *raw_start(struct test *test)
{
    test_start(test);
    test_send(test, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
    raw_frame(test, NGHTTP2_SETTINGS, 0, 0, (struct span){0});
    return test;
}

/* :method POST, :scheme http, :path /, :authority a */
#define RAW_HEAD                                                                                   \
    SPAN("\x83\x86\x84\x41\x01"                                                                    \
         "a")

/* How many GOAWAYs are among what a raw client received, and the error code of the first. */
static unsigned raw_goaways(const struct test *test, uint32_t *ret_code)
{
    const uint8_t *p = (const uint8_t *)test->raw.data;
    unsigned count = 0;
    for (size_t at = 0; at + 17 <= test->raw.size;) {
        size_t size = (size_t)p[at] << 16 | (size_t)p[at + 1] << 8 | p[at + 2];
        if (p[at + 3] == NGHTTP2_GOAWAY && count++ == 0)
            *ret_code = (uint32_t)p[at + 13] << 24 | (uint32_t)p[at + 14] << 16 |
                        (uint32_t)p[at + 15] << 8 | p[at + 16];
        at += 9 + size;
    }
    return count;
}

/* UINT32_MAX: there was none. */
static uint32_t raw_goaway(const struct test *test)
{
    uint32_t code = UINT32_MAX;
    raw_goaways(test, &code);
    return code;
}

static void continuation_flood_is_cut(void **state)
{
    struct test *test = raw_start(test_new(true));
    raw_frame(test, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, RAW_HEAD);
    for (int i = 0; i < 100; i++)
        raw_frame(test, NGHTTP2_CONTINUATION, 0, 1, SPAN("\x00\x01x\x01y"));
    test_run_until(test, test_is_far_closed);
    assert_int_not_equal(raw_goaway(test), UINT32_MAX);
    assert_int_equal(test->call_count, 0);
    test_end(test);
}

static void head_of_very_many_fields_is_cut(void **state)
{
    struct test *test = raw_start(test_new(true));
    char fields[8000];
    memset(fields, 0x90, sizeof fields); /* accept-encoding, indexed */
    raw_frame(test, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, RAW_HEAD);
    raw_frame(test, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1,
              (struct span){fields, sizeof fields});
    test_run_until(test, test_is_far_closed);
    assert_int_equal(raw_goaway(test), NGHTTP2_ENHANCE_YOUR_CALM);
    test_end(test);
}

static void unread_pings_are_cut(void **state)
{
    struct test *test = test_new(true);
    test->reads = false;
    raw_start(test);
    for (int i = 0; i < 20000; i++)
        raw_frame(test, NGHTTP2_PING, 0, 0, SPAN("12345678"));
    test_run_until(test, test_is_far_closed);
    test_end(test);
}

static void window_update_of_zero_is_an_error(void **state)
{
    struct test *test = raw_start(test_new(true));
    raw_frame(test, NGHTTP2_WINDOW_UPDATE, 0, 0, SPAN("\0\0\0\0"));
    test_run_until(test, test_is_far_closed);
    assert_int_equal(raw_goaway(test), NGHTTP2_PROTOCOL_ERROR);
    test_end(test);
}

static void resets_that_the_peer_provokes_count(void **state)
{
    struct test *test = test_new(true);
    test->server.limits.reset_burst = 20;
    test->server.limits.resets_per_s = 1;
    raw_start(test);
    for (uint32_t id = 1; id < 80; id += 2) {
        raw_frame(test, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, RAW_HEAD);
        raw_frame(test, NGHTTP2_WINDOW_UPDATE, 0, id, SPAN("\x7f\xff\xff\xff"));
    }
    test_run_until(test, test_is_far_closed);
    assert_in_range(test->call_count, 20, 40);
    test_end(test);
}

/* Frames behind a first request that was answered, and the code of the connection's end. */
static void expect_end(uint32_t type, uint32_t id, struct span payload, uint32_t code)
{
    struct test *test = raw_start(test_new(true));
    raw_frame(test, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 5,
              RAW_HEAD);
    test_run_until(test, test_all_closed);
    raw_frame(test, type, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id, payload);
    test_run_until(test, test_is_far_closed);
    assert_int_equal(raw_goaway(test), code);
    assert_int_equal(test->call_count, 1);
    test_end(test);
}

static void heads_come_on_new_streams_alone(void **state)
{
    expect_end(NGHTTP2_HEADERS, 5, RAW_HEAD, NGHTTP2_STREAM_CLOSED);
    expect_end(NGHTTP2_HEADERS, 3, RAW_HEAD, NGHTTP2_PROTOCOL_ERROR);
    expect_end(NGHTTP2_PRIORITY, 0, SPAN("\0\0\0\0\x10"), NGHTTP2_PROTOCOL_ERROR);
}

static void not_http2_is_cut(void **state)
{
    struct test *test = test_new(true);
    test_start(test);
    test_send(test, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 24);
    test_run_until(test, test_is_far_closed);
    test_end(test);
}

/* Clocks: each waits for the transport's tick of a second. */

static void started_head_has_a_clock(void **state)
{
    struct test *test = test_new(true);
    test->server.limits.header_timeout_ms = 100;
    raw_start(test);
    raw_frame(test, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, RAW_HEAD);
    test_run_until(test, test_is_far_closed);
    assert_int_equal(raw_goaway(test), NGHTTP2_ENHANCE_YOUR_CALM);
    test_end(test);
}

static void starved_body_has_a_clock_and_an_idle_stream_has_none(void **state)
{
    struct test *test = test_new(false);
    test->server.limits.body_timeout_ms = 100;
    test_start(test);
    test_request(test, "/idle", NULL, ENDLESS, NULL, 0);
    struct answer *answer = test_request(test, "/never", NULL, ENDLESS, NULL, 0);
    test_run_until(test, test_second_closed);
    assert_int_equal(answer->status, 408);
    assert_false(test->calls[0].closed);
    assert_true(test->calls[1].closed && !test->calls[1].complete);
    test_end(test);
}

static void unsent_output_has_a_clock(void **state)
{
    struct test *test = test_new(false);
    test->server.limits.unsent_timeout_ms = 100;
    nghttp2_submit_settings(test->client, NGHTTP2_FLAG_NONE,
                            &(nghttp2_settings_entry){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}, 1);
    test_start(test);
    test_request(test, "/big", NULL, NO_BODY, NULL, 0);
    test_run_until(test, test_all_closed);
    assert_int_equal(test->answers[0].status, 200);
    assert_int_not_equal(test->answers[0].code, NGHTTP2_NO_ERROR);
    test_end(test);
}

enum { ECHO_BYTES = 1 << 20, ECHO_STREAMS = 24 };

enum { UNREAD_STREAMS = 8 }; /* of which the answers may be unsent */

static size_t ended_calls(const struct test *test)
{
    size_t count = 0;
    for (size_t i = 0; i < test->call_count; i++)
        count += test->calls[i].ended;
    return count;
}

static bool enough_have_ended(struct test *test)
{
    return ended_calls(test) >= UNREAD_STREAMS;
}

static bool pong_came(struct test *test)
{
    return test->pongs > 0;
}

static bool all_was_sent(const struct test *test)
{
    for (size_t i = 0; i < test->answer_count; i++)
        if (test->answers[i].sent_bytes < test->answers[i].send_bytes)
            return false;
    return true;
}

/* Runs until the server has all that the client has to send, or that the connection's window lets
 * through. */
static void use_up_the_window(struct test *test)
{
    bool used_up = false;
    test_run_until(test, enough_have_ended);
    while (!used_up) {
        used_up = nghttp2_session_get_remote_window_size(test->client) == 0 || all_was_sent(test);
        test->pongs = 0;
        nghttp2_submit_ping(test->client, NGHTTP2_FLAG_NONE, NULL);
        test_flush(test);
        test_run_until(test, pong_came);
    }
}

static void set_client_window(struct test *test, uint32_t bytes)
{
    nghttp2_submit_settings(test->client, NGHTTP2_FLAG_NONE,
                            &(nghttp2_settings_entry){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, bytes},
                            1);
}

/* What it asks for further waits until it reads, and then is answered. */
static void a_client_that_does_not_read_is_not_read_from(void **state)
{
    static char body[ECHO_BYTES];
    struct test *test = test_new(false);
    set_client_window(test, 0);
    test_start(test);
    for (size_t i = 0; i < ECHO_STREAMS; i++)
        test_request(test, "/echo", body, sizeof body, NULL, 0);
    use_up_the_window(test);
    assert_in_range(ended_calls(test), UNREAD_STREAMS, UNREAD_STREAMS + 1);
    nghttp2_session_set_local_window_size(test->client, NGHTTP2_FLAG_NONE, 0, 1 << 30);
    set_client_window(test, ECHO_BYTES);
    test_flush(test);
    test_run_until(test, test_answers_closed);
    for (size_t i = 0; i < ECHO_STREAMS; i++) {
        assert_int_equal(test->answers[i].status, 200);
        assert_int_equal(test->answers[i].body_bytes, ECHO_BYTES);
    }
    test_end(test);
}

/* Also when it never reads: its streams' time ends, and what waited behind them is served. */
static void what_waits_behind_unread_answers_gets_on(void **state)
{
    static char body[ECHO_BYTES];
    struct test *test = test_new(false);
    test->server.limits.unsent_timeout_ms = 100;
    set_client_window(test, 0);
    test_start(test);
    for (size_t i = 0; i < ECHO_STREAMS; i++)
        test_request(test, "/echo", body, sizeof body, NULL, 0);
    test_run_until(test, test_answers_closed);
    assert_int_equal(ended_calls(test), ECHO_STREAMS);
    test_end(test);
}

static void idle_connection_is_drained(void **state)
{
    struct test *test = test_new(false);
    test->server.limits.idle_timeout_ms = 100;
    test_start(test);
    test_run_until(test, test_is_far_closed);
    assert_int_equal(test->goaway_code, NGHTTP2_NO_ERROR);
    test_end(test);
}

static bool raw_was_told(struct test *test)
{
    return raw_goaway(test) != UINT32_MAX;
}

static bool late;

static void come_late(struct timer *timer)
{
    late = true;
}

static bool is_late(struct test *test)
{
    if (!late) /* the peer says something now and then, but not that it has read the notice */
        raw_frame(test, NGHTTP2_PING, 0, 0, SPAN("\0\0\0\0\0\0\0\0"));
    return late;
}

/* A stream that it opened before it read the notice would be lost otherwise. */
static void busy_peer_may_answer_the_notice_late(void **state)
{
    struct test *test = test_new(true);
    uint32_t code;
    test->server.limits.idle_timeout_ms = 100;
    raw_start(test);
    test_run_until(test, raw_was_told);
    struct timer timer = {0};
    timer_start(&timer, test->loop, 2000, come_late);
    test_run_until(test, is_late);
    assert_int_equal(raw_goaways(test, &code), 1);
    raw_frame(test, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, SPAN("\0\0\0\0\0\0\0\0"));
    test_run_until(test, test_is_far_closed);
    assert_int_equal(raw_goaways(test, &code), 2);
    test_end(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rapid_resets_cut_the_connection),
        cmocka_unit_test(resets_after_the_answer_began_are_free),
        cmocka_unit_test(continuation_flood_is_cut),
        cmocka_unit_test(head_of_very_many_fields_is_cut),
        cmocka_unit_test(unread_pings_are_cut),
        cmocka_unit_test(window_update_of_zero_is_an_error),
        cmocka_unit_test(resets_that_the_peer_provokes_count),
        cmocka_unit_test(heads_come_on_new_streams_alone),
        cmocka_unit_test(not_http2_is_cut),
        cmocka_unit_test(started_head_has_a_clock),
        cmocka_unit_test(starved_body_has_a_clock_and_an_idle_stream_has_none),
        cmocka_unit_test(unsent_output_has_a_clock),
        cmocka_unit_test(a_client_that_does_not_read_is_not_read_from),
        cmocka_unit_test(what_waits_behind_unread_answers_gets_on),
        cmocka_unit_test(idle_connection_is_drained),
        cmocka_unit_test(busy_peer_may_answer_the_notice_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
