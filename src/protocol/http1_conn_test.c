/* What happens on an HTTP/1.1 connection over time: bodies that pause, responses that stream,
 * clients that leave or are slow, several requests in a row. */
#include "protocol/http1_test.h"

#include "net/conn.h"
#include "protocol/http1_conn.h"

#define HOST "Host: a\r\n"
#define CLOSE "Connection: close\r\n\r\n"

static size_t count_of(const char *text, const char *piece)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, piece)); at += strlen(piece))
        count++;
    return count;
}

/* ---- Bodies ---- */

static void check_paused_body(const char *framing, const char *body, const char *seen)
{
    struct fixture f;
    fixture_init(&f);
    f.body_room = 0;
    fixture_send(&f, span_of(framing), false);
    fixture_run_until_request(&f);
    fixture_send(&f, span_of(body), false);
    fixture_run_turns(&f, 20);
    assert_int_equal(f.last->size, 0);
    f.body_room = 3;
    http_resume(f.last->exchange);
    fixture_run_until_closed(&f);
    assert_string_equal(fixture_statuses(&f), "200 ");
    assert_string_equal(f.seen, seen);
    fixture_fini(&f);
}

static void a_body_waits_for_room(void **state)
{
    check_paused_body("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n" CLOSE, "0123456789",
                      "POST /echo a [0123456789]\n");
    check_paused_body("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n" CLOSE "01234",
                      "56789", "POST /echo a [0123456789]\n");
    check_paused_body("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" CLOSE,
                      "a\r\n0123456789\r\n0\r\n\r\n", "POST /echo a [0123456789]\n");
    check_paused_body("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" CLOSE
                      "3\r\n012\r\n7\r\n34",
                      "56789\r\n0\r\n\r\n", "POST /echo a [0123456789]\n");
}

static void a_large_body_arrives(void **state)
{
    enum { SIZE = 300000 };
    static char body[SIZE];
    struct fixture f;
    memset(body, 'x', SIZE);
    fixture_init(&f);
    f.body_room = 100000;
    fixture_send(&f, SPAN("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 300000\r\n" CLOSE),
                 false);
    fixture_send(&f, (struct span){body, SIZE}, false);
    fixture_run_until_closed(&f);
    assert_int_equal(count_of(f.seen, "xxxxxxxxxx"), SIZE / 10);
    assert_int_equal(count_of(f.received, "xxxxxxxxxx"), SIZE / 10);
    assert_true(f.completed);
    fixture_fini(&f);
}

static void leave_to_continue_is_given_once(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_send(
        &f,
        SPAN("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n" CLOSE),
        false);
    fixture_run_until_received(&f, "HTTP/1.1 100 Continue\r\n\r\n");
    fixture_send(&f, SPAN("hello"), true);
    fixture_run_until_closed(&f);
    assert_string_equal(fixture_statuses(&f), "100 200 ");
    assert_string_equal(f.seen, "POST /echo a [hello]\n");
    fixture_fini(&f);
}

static void an_unwanted_body_is_not_asked_for(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_send(
        &f,
        SPAN("POST /early HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"),
        false);
    fixture_run_until_closed(&f);
    assert_string_equal(fixture_statuses(&f), "404 ");
    assert_non_null(strstr(f.received, "connection: close\r\n"));
    fixture_fini(&f);
}

static void a_large_unwanted_body_closes(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_send(&f, SPAN("POST /early HTTP/1.1\r\n" HOST "Content-Length: 70000\r\n\r\nxyz"),
                 false);
    fixture_run_until_closed(&f);
    assert_string_equal(fixture_statuses(&f), "404 ");
    fixture_fini(&f);
}

/* ---- Responses ---- */

static void a_stream_is_chunked_and_pulled(void **state)
{
    struct fixture f;
    fixture_init(&f);
    f.stream_parts = 500;
    f.client_paused = true;
    fixture_send(&f, SPAN("GET /stream HTTP/1.1\r\n" HOST CLOSE), false);
    fixture_run_until_request(&f);
    fixture_run_turns(&f, 50);
    assert_true(f.stream_parts > 300); /* no more is written than the client has room for */
    f.client_paused = false;
    conn_resume(f.client);
    fixture_run_until_closed(&f);
    assert_non_null(strstr(f.received, "transfer-encoding: chunked\r\n"));
    assert_null(strstr(f.received, "content-length"));
    assert_int_equal(f.received_parts, 500);
    assert_int_equal(memcmp(f.received + f.received_size - 7, "\r\n0\r\n\r\n", 7), 0);
    assert_true(f.drained_count > 1);
    assert_true(f.completed);
    fixture_fini(&f);
}

static void an_old_client_gets_a_stream_until_close(void **state)
{
    struct fixture f;
    fixture_init(&f);
    f.stream_parts = 3;
    fixture_send(&f, SPAN("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), false);
    fixture_run_until_closed(&f);
    assert_null(strstr(f.received, "transfer-encoding"));
    assert_non_null(strstr(f.received, "connection: close\r\n"));
    assert_int_equal(f.received_parts, 3);
    fixture_fini(&f);
}

static void head_has_no_body(void **state)
{
    struct fixture f;
    fixture_init(&f);
    f.stream_parts = 3;
    fixture_send(&f,
                 SPAN("HEAD /fixed HTTP/1.1\r\n" HOST "\r\nHEAD /stream HTTP/1.1\r\n" HOST CLOSE),
                 false);
    fixture_run_until_closed(&f);
    assert_string_equal(fixture_statuses(&f), "200 200 ");
    assert_non_null(strstr(f.received, "content-length: 5\r\n"));
    assert_null(strstr(f.received, "fixed"));
    assert_int_equal(f.received_parts, 0);
    fixture_fini(&f);
}

static void an_old_client_is_told_of_keep_alive(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_send(&f, SPAN("GET /fixed HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), false);
    fixture_run_until_received(&f, "fixed");
    assert_non_null(strstr(f.received, "connection: keep-alive\r\n"));
    assert_non_null(f.client);
    fixture_fini(&f);
}

static void a_lying_length_breaks_the_connection(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_send(&f, SPAN("GET /short HTTP/1.1\r\n" HOST "\r\n"), false);
    fixture_run_until_closed(&f);
    assert_false(f.completed);
    fixture_fini(&f);
    fixture_init(&f);
    fixture_send(&f, SPAN("GET /long HTTP/1.1\r\n" HOST "\r\n"), false);
    fixture_run_until_closed(&f);
    assert_false(f.completed);
    fixture_fini(&f);
}

static void a_reset_breaks_the_connection(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_send(&f, SPAN("GET /wait HTTP/1.1\r\n" HOST "\r\n"), false);
    fixture_run_until_request(&f);
    http_reset(f.last->exchange);
    fixture_run_until_closed(&f);
    assert_int_equal(f.open, 0);
    assert_false(f.completed);
    assert_int_equal(f.received_size, 0);
    fixture_fini(&f);
}

/* ---- Several requests ---- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_send(&f,
                 SPAN("GET /wait HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n" HOST
                      "\r\nGET / HTTP/1.1\r\n\r\n"),
                 false);
    fixture_run_until_request(&f);
    fixture_run_turns(&f, 5);
    assert_string_equal(f.seen, "GET /wait a []\n");
    http_send(f.last->exchange, 202, NULL, 0, NULL, 0);
    fixture_run_until_closed(&f);
    assert_string_equal(fixture_statuses(&f), "202 200 400 ");
    assert_string_equal(f.seen, "GET /wait a []\nGET /b a []\n");
    fixture_fini(&f);
}

/* Sends so many that are answered at once. */
static void send_pipelined(struct fixture *f, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fixture_send(f, SPAN("GET /b HTTP/1.1\r\n" HOST "\r\n"), false);
}

static void pipelined_requests_take_turns_with_others(void **state)
{
    enum { COUNT = 200 };
    struct fixture f;
    fixture_init(&f);
    send_pipelined(&f, COUNT);
    for (size_t seen = 0, before = 0; seen < COUNT; before = seen) {
        fixture_run_turns(&f, 1);
        seen = f.seen ? count_of(f.seen, "GET /b") : 0;
        assert_true(seen - before <= (size_t)2 * HTTP1_TURN_REQUESTS);
    }
    send_pipelined(&f, COUNT);
    conn_finish(f.client); /* which hears no more, but all that it has sent is served */
    fixture_run_until_closed(&f);
    assert_int_equal(count_of(f.received, "HTTP/1.1 200"), COUNT);
    assert_int_equal(count_of(f.seen, "GET /b"), 2 * COUNT);
    fixture_fini(&f);
}

static void what_waits_is_bounded(void **state)
{
    enum { SIZE = 1 << 18 };
    static char flood[SIZE];
    struct fixture f;
    memset(flood, 'x', SIZE);
    fixture_init(&f);
    fixture_send(&f, SPAN("GET /wait HTTP/1.1\r\n" HOST "\r\n"), false);
    fixture_run_until_request(&f);
    fixture_send(&f, (struct span){flood, SIZE}, false);
    fixture_run_turns(&f, 50);
    assert_true(conn_unsent_bytes(f.client) > SIZE - 128 * 1024);
    http_send(f.last->exchange, 200, NULL, 0, NULL, 0);
    fixture_run_until_closed(&f);
    assert_string_equal(fixture_statuses(&f), "200 501 ");
    fixture_fini(&f);
}

static void draining_ends_keep_alive(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_send(&f, SPAN("GET /wait HTTP/1.1\r\n" HOST "\r\n"), false);
    fixture_run_until_request(&f);
    http_server_drain(&f.server);
    http_send(f.last->exchange, 200, NULL, 0, NULL, 0);
    fixture_run_until_closed(&f);
    assert_non_null(strstr(f.received, "connection: close\r\n"));
    fixture_fini(&f);

    fixture_init(&f);
    http_server_drain(&f.server);
    fixture_run_until_closed(&f);
    fixture_fini(&f);
}

static bool is_empty;

static void emptied(struct http_server *server)
{
    is_empty = true;
}

static void retiring_answers_the_next_request_of_an_idle_connection(void **state)
{
    struct fixture f;
    fixture_init(&f);
    is_empty = false;
    f.server.emptied = emptied;
    fixture_send(&f, SPAN("GET /wait HTTP/1.1\r\n" HOST "\r\n"), false);
    fixture_run_until_request(&f);
    http_send(f.last->exchange, 200, NULL, 0, NULL, 0);
    fixture_run_until_exchange_closed(&f);
    http_server_retire(&f.server);
    fixture_send(&f, SPAN("GET /wait HTTP/1.1\r\n" HOST "\r\n"), false);
    fixture_run_until_request(&f);
    http_send(f.last->exchange, 200, NULL, 0, NULL, 0);
    assert_false(is_empty);
    fixture_run_until_closed(&f);
    assert_string_equal(fixture_statuses(&f), "200 200 ");
    assert_non_null(strstr(f.received, "connection: close\r\n"));
    while (!is_empty) /* the server sees the client go a little later */
        fixture_run_turns(&f, 1);
    fixture_fini(&f);
}

/* A client that was promised to keep the connection may be sending its next request by then. */
static void retiring_keeps_what_it_has_promised(void **state)
{
    struct fixture f;
    fixture_init(&f);
    const struct http_field length = {SPAN("content-length"), SPAN("2")};
    const struct iovec body = {(char[]){"ok"}, 2};
    fixture_send(&f, SPAN("GET /wait HTTP/1.1\r\n" HOST "\r\n"), false);
    fixture_run_until_request(&f);
    http_reply(f.last->exchange, 200, &length, 1);
    http_server_retire(&f.server);
    http_body(f.last->exchange, &body, 1);
    http_end(f.last->exchange, NULL, 0);
    fixture_run_until_exchange_closed(&f);
    fixture_send(&f, SPAN("GET /wait HTTP/1.1\r\n" HOST "\r\n"), false);
    fixture_run_until_request(&f);
    http_send(f.last->exchange, 200, NULL, 0, NULL, 0);
    fixture_run_until_closed(&f);
    assert_string_equal(fixture_statuses(&f), "200 200 ");
    fixture_fini(&f);
}

/* ---- Clients that leave, and slow ones ---- */

static void a_client_that_leaves_is_noticed(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_send(&f, SPAN("POST /wait HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi"), false);
    fixture_run_until_request(&f);
    struct http_exchange *exchange = http_ref(f.last->exchange);
    conn_abort(f.client);
    fixture_run_until_exchange_closed(&f);
    assert_false(f.completed);
    http_send(exchange, 200, NULL, 0, NULL, 0); /* does nothing now */
    assert_null(http_loop(exchange));
    http_unref(exchange);
    fixture_fini(&f);
}

static void a_cut_body_is_noticed(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_send(&f, SPAN("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nhi"), false);
    fixture_run_until_request(&f);
    conn_finish(f.client);
    fixture_run_until_exchange_closed(&f);
    assert_false(f.completed);
    assert_string_equal(f.seen, "POST /echo a");
    fixture_fini(&f);
}

static void check_late(const char *bytes, const char *statuses)
{
    struct fixture f;
    fixture_init(&f);
    f.server.limits.header_timeout_ms = f.server.limits.body_timeout_ms = 20;
    f.server.limits.idle_timeout_ms = 20;
    fixture_send(&f, span_of(bytes), false);
    fixture_run_until_closed(&f);
    assert_string_equal(fixture_statuses(&f), statuses);
    assert_int_equal(f.open, 0);
    fixture_fini(&f);
}

static void slow_input_is_cut(void **state)
{
    check_late("GET / HTTP/1.1\r\nHo", "408 ");
    check_late("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nabc", "408 ");
    check_late("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nabc", "408 ");
    check_late("GET / HTTP/1.1\r\n" HOST "\r\n", "200 ");
    check_late("POST /early HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n", "404 ");
}

static void a_body_without_room_is_not_late(void **state)
{
    struct fixture f;
    fixture_init(&f);
    f.server.limits.body_timeout_ms = 10;
    f.body_room = 0;
    fixture_send(&f, SPAN("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" CLOSE "hello"),
                 false);
    fixture_run_until_request(&f);
    fixture_run_ms(&f, 40);
    f.body_room = 9;
    http_resume(f.last->exchange);
    fixture_run_until_closed(&f);
    assert_string_equal(fixture_statuses(&f), "200 ");
    fixture_fini(&f);
}

/* A body of ten bytes, five of which came before a pause that was longer than a body may take. */
static void pause_in_a_body(struct fixture *f)
{
    fixture_init(f);
    f->server.limits.body_timeout_ms = 200;
    f->body_room = 0;
    fixture_send(f, SPAN("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n" CLOSE "01234"),
                 false);
    fixture_run_until_request(f);
    fixture_run_ms(f, 300);
    f->body_room = 9;
    http_resume(f->last->exchange);
}

static void the_clock_of_a_body_starts_anew_after_a_pause(void **state)
{
    struct fixture f;
    pause_in_a_body(&f);
    fixture_run_ms(&f, 20);
    fixture_send(&f, SPAN("56789"), false);
    fixture_run_until_closed(&f);
    assert_string_equal(fixture_statuses(&f), "200 ");
    fixture_fini(&f);
}

static void a_client_that_leaves_in_a_pause_is_noticed(void **state)
{
    struct fixture f;
    fixture_init(&f);
    f.body_room = 0;
    fixture_send(&f, SPAN("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n" CLOSE "01234"),
                 false);
    fixture_run_until_request(&f);
    fixture_run_turns(&f, 5);
    conn_abort(f.client);
    fixture_run_until_exchange_closed(&f);
    assert_false(f.completed);
    fixture_fini(&f);
}

static void a_body_that_stops_after_a_pause_is_late(void **state)
{
    struct fixture f;
    pause_in_a_body(&f);
    fixture_run_until_closed(&f);
    assert_string_equal(fixture_statuses(&f), "408 ");
    fixture_fini(&f);
}

static void unread_output_is_cut(void **state)
{
    struct fixture f;
    fixture_init(&f);
    f.server.limits.unsent_timeout_ms = 20;
    f.stream_parts = 500;
    f.client_paused = true;
    fixture_send(&f, SPAN("GET /stream HTTP/1.1\r\n" HOST "\r\n"), false);
    fixture_run_until_request(&f);
    fixture_run_until_exchange_closed(&f);
    assert_false(f.completed);
    fixture_fini(&f);
}

static void an_exchange_costs_no_memory_again(void **state)
{
    struct fixture f;
    fixture_init(&f);
    fixture_send(&f, SPAN("GET /fixed HTTP/1.1\r\n" HOST "\r\n"), false);
    fixture_run_until_received(&f, "fixed");
    assert_int_equal(f.server.spare_count, 1);
    fixture_send(&f, SPAN("GET /wait HTTP/1.1\r\n" HOST "\r\n"), false);
    fixture_run_until_request(&f);
    assert_int_equal(f.server.spare_count, 0);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_waits_for_room),
        cmocka_unit_test(a_large_body_arrives),
        cmocka_unit_test(leave_to_continue_is_given_once),
        cmocka_unit_test(an_unwanted_body_is_not_asked_for),
        cmocka_unit_test(a_large_unwanted_body_closes),
        cmocka_unit_test(a_stream_is_chunked_and_pulled),
        cmocka_unit_test(an_old_client_gets_a_stream_until_close),
        cmocka_unit_test(head_has_no_body),
        cmocka_unit_test(an_old_client_is_told_of_keep_alive),
        cmocka_unit_test(a_lying_length_breaks_the_connection),
        cmocka_unit_test(a_reset_breaks_the_connection),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(pipelined_requests_take_turns_with_others),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(draining_ends_keep_alive),
        cmocka_unit_test(retiring_keeps_what_it_has_promised),
        cmocka_unit_test(retiring_answers_the_next_request_of_an_idle_connection),
        cmocka_unit_test(a_client_that_leaves_is_noticed),
        cmocka_unit_test(a_cut_body_is_noticed),
        cmocka_unit_test(slow_input_is_cut),
        cmocka_unit_test(a_body_without_room_is_not_late),
        cmocka_unit_test(the_clock_of_a_body_starts_anew_after_a_pause),
        cmocka_unit_test(a_body_that_stops_after_a_pause_is_late),
        cmocka_unit_test(a_client_that_leaves_in_a_pause_is_noticed),
        cmocka_unit_test(unread_output_is_cut),
        cmocka_unit_test(an_exchange_costs_no_memory_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
