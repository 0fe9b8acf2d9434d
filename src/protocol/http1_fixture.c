/* The tests' server, application and client; see http1_test.h. The application answers by path:
 * /echo with the body, /early at once with 404, /wait never, /stream part by part, /fixed with five
 * bytes, /short and /long with another length than they say, all else with the body too. */
#include "protocol/http1_test.h"

#include <stdio.h>

enum { GUARD_MS = 20000 };

static void append(char **text, size_t *size, struct span more)
{
    char *larger = realloc(*text, *size + more.size + 1);
    if (!larger)
        abort();
    *text = larger;
    if (more.size) /* NOLINT(clang-analyzer-core.NonNullParamChecker): it has data */
        memcpy(*text + *size, more.data, more.size);
    *size += more.size;
    (*text)[*size] = '\0';
}

static void note(struct fixture *f, struct span text)
{
    append(&f->seen, &f->seen_size, text);
}

/* ---- The application ---- */

static struct room app_body_room(struct http_exchange *exchange)
{
    struct test_request *r = exchange->state;
    if (r->fixture->body_room == 0)
        return (struct room){NULL, 0};
    if (r->capacity < r->size + r->fixture->body_room) {
        r->capacity = r->size * 2 + r->fixture->body_room;
        char *larger = realloc(r->body, r->capacity);
        assert_non_null(larger);
        r->body = larger;
    }
    return (struct room){r->body + r->size, r->fixture->body_room};
}

static void app_body_received(struct http_exchange *exchange, size_t count)
{
    struct test_request *r = exchange->state;
    assert_true(count > 0 && count <= r->fixture->body_room);
    r->size += count;
}

static void write_part(struct test_request *r)
{
    static const char part[1000] = "<part>";
    while (r->fixture->stream_parts > 0 && http_wants(r->exchange)) {
        http_body(r->exchange, &(struct iovec){(void *)(uintptr_t)part, sizeof part}, 1);
        r->fixture->stream_parts--;
    }
    if (r->fixture->stream_parts == 0)
        http_end(r->exchange, NULL, 0);
}

static void send_said_length(struct http_exchange *exchange, struct span length)
{
    const struct http_field field = {SPAN("content-length"), length};
    static const char body[] = "fixed";
    http_reply(exchange, 200, &field, 1);
    http_body(exchange, &(struct iovec){(void *)(uintptr_t)body, 5}, 1);
    http_end(exchange, NULL, 0);
}

static void app_body_end(struct http_exchange *exchange)
{
    struct test_request *r = exchange->state;
    note(r->fixture, SPAN(" ["));
    note(r->fixture, (struct span){r->body, r->size});
    note(r->fixture, SPAN("]\n"));
    if (span_equal(exchange->request.path, SPAN("/wait")))
        return;
    if (span_equal(exchange->request.path, SPAN("/fixed"))) {
        send_said_length(exchange, SPAN("5"));
    } else if (span_equal(exchange->request.path, SPAN("/short"))) {
        send_said_length(exchange, SPAN("6"));
    } else if (span_equal(exchange->request.path, SPAN("/long"))) {
        send_said_length(exchange, SPAN("4"));
    } else if (span_equal(exchange->request.path, SPAN("/stream"))) {
        http_reply(exchange, 200, NULL, 0);
        write_part(r);
    } else {
        struct iovec body = {r->body, r->size};
        http_send(exchange, 200, NULL, 0, &body, 1);
    }
}

static void app_drained(struct http_exchange *exchange)
{
    struct test_request *r = exchange->state;
    r->fixture->drained_count++;
    if (exchange->responded && !exchange->ended)
        write_part(r);
}

static void app_closed(struct http_exchange *exchange, bool complete)
{
    struct test_request *r = exchange->state;
    struct fixture *f = r->fixture;
    f->open--;
    f->completed = complete;
    if (f->last == r)
        f->last = NULL;
    if (f->stop_at_close)
        loop_stop(f->loop);
    free(r->body);
    free(r);
}

static const struct http_handler app = {app_body_room, app_body_received, app_body_end, app_drained,
                                        app_closed};

static void on_request(struct http_server *server, struct http_exchange *exchange)
{
    struct fixture *f = server->context;
    const struct http_request *request = &exchange->request;
    struct test_request *r = calloc(1, sizeof *r);
    assert_non_null(r);
    *r = (struct test_request){.fixture = f, .exchange = exchange};
    exchange->handler = &app;
    exchange->state = r;
    f->open++;
    f->last = r;
    note(f, request->method_name);
    note(f, SPAN(" "));
    note(f, request->path);
    note(f, request->query.data ? SPAN("?") : SPAN(""));
    note(f, request->query);
    note(f, SPAN(" "));
    note(f, request->authority);
    if (span_equal(request->path, SPAN("/early"))) {
        note(f, SPAN("\n"));
        http_send(exchange, 404, NULL, 0, NULL, 0);
    }
    if (f->stop_at_request)
        loop_stop(f->loop);
}

/* ---- The client ---- */

static char client_bytes[65536];

static struct room client_room(void *owner)
{
    struct fixture *f = owner;
    return (struct room){client_bytes, f->client_paused ? 0 : sizeof client_bytes};
}

static void client_received(void *owner, size_t count)
{
    struct fixture *f = owner;
    append(&f->received, &f->received_size, (struct span){client_bytes, count});
    if (f->awaited && strstr(f->received, f->awaited))
        loop_stop(f->loop);
}

static void client_received_end(void *owner)
{
    struct fixture *f = owner;
    f->server_gone = true;
    conn_abort(f->client);
}

static void client_drained(void *owner)
{
    (void)owner;
}

static void client_closed(void *owner)
{
    struct fixture *f = owner;
    f->client = NULL;
    loop_stop(f->loop);
}

static const struct conn_owner client_calls = {client_room, client_received, client_received_end,
                                               client_drained, client_closed};

static void send_next_byte(struct loop_message *message)
{
    struct fixture *f = list_entry(message, struct fixture, next_byte);
    if (!f->client || f->server_gone || f->to_send.size == 0)
        return;
    conn_send(f->client, &(struct iovec){(void *)(uintptr_t)f->to_send.data, 1}, 1);
    f->to_send = span_after(f->to_send, 1);
    loop_post(f->loop, message);
}

void fixture_send(struct fixture *f, struct span bytes, bool byte_by_byte)
{
    f->to_send = bytes;
    if (byte_by_byte)
        loop_post(f->loop, &f->next_byte);
    else
        conn_send(f->client, &(struct iovec){(void *)(uintptr_t)bytes.data, bytes.size}, 1);
}

static void guard_fires(struct timer *guard)
{
    struct fixture *f = list_entry(guard, struct fixture, guard);
    fail_msg("nothing happens; seen \"%s\", received \"%s\"", f->seen, f->received);
}

static void run(struct fixture *f)
{
    timer_start(&f->guard, f->loop, GUARD_MS, guard_fires);
    loop_run(f->loop);
    timer_stop(&f->guard);
}

static size_t count_parts(const struct fixture *f)
{
    size_t count = 0;
    for (size_t i = 0; i + 6 <= f->received_size; i++)
        count += memcmp(f->received + i, "<part>", 6) == 0;
    return count;
}

void fixture_run_until_closed(struct fixture *f)
{
    while (f->client)
        run(f);
    f->received_parts = count_parts(f);
}

void fixture_run_until_received(struct fixture *f, const char *text)
{
    f->awaited = text;
    while (f->client && !strstr(f->received, text))
        run(f);
    f->awaited = NULL;
    assert_non_null(strstr(f->received, text));
}

void fixture_run_until_request(struct fixture *f)
{
    f->stop_at_request = true;
    while (!f->last)
        run(f);
    f->stop_at_request = false;
}

void fixture_run_until_exchange_closed(struct fixture *f)
{
    f->stop_at_close = true;
    while (f->last)
        run(f);
    f->stop_at_close = false;
}

static void count_turn(struct loop_message *message)
{
    struct fixture *f = list_entry(message, struct fixture, next_turn);
    if (f->turns_left == 0) {
        loop_stop(f->loop);
        return;
    }
    f->turns_left--;
    loop_post(f->loop, message);
}

void fixture_run_turns(struct fixture *f, size_t count)
{
    f->turns_left = count;
    loop_post(f->loop, &f->next_turn);
    while (f->turns_left > 0)
        run(f);
}

static void pause_ends(struct timer *pause)
{
    loop_stop(list_entry(pause, struct fixture, pause)->loop);
}

void fixture_run_ms(struct fixture *f, uint64_t ms)
{
    timer_start(&f->pause, f->loop, ms, pause_ends);
    run(f);
}

const char *fixture_statuses(struct fixture *f)
{
    size_t size = 0;
    const char *at = f->received;
    while ((at = strstr(at, "HTTP/1.1 ")) && size + 5 < sizeof f->statuses) {
        at += 9;
        memcpy(f->statuses + size, at, 4);
        size += 4;
    }
    f->statuses[size] = '\0';
    return f->statuses;
}

static void serve_http1(struct http_server *server, struct conn *conn)
{
    http1_serve(server, conn, (struct span){NULL, 0});
}

void fixture_init_serving(struct fixture *f, void (*serve)(struct http_server *, struct conn *))
{
    struct conn *server_side;
    memset(f, 0, sizeof *f);
    f->loop = loop_new(NULL);
    assert_non_null(f->loop);
    f->body_room = 1000;
    f->next_byte.deliver = send_next_byte;
    f->next_turn.deliver = count_turn;
    append(&f->seen, &f->seen_size, SPAN(""));
    append(&f->received, &f->received_size, SPAN(""));
    http_server_init(&f->server, on_request, f);
    assert_true(conn_pair_new(f->loop, &f->client, &server_side, NULL));
    conn_own(f->client, &client_calls, f);
    serve(&f->server, server_side);
}

void fixture_init(struct fixture *f)
{
    fixture_init_serving(f, serve_http1);
}

void fixture_fini(struct fixture *f)
{
    loop_free(f->loop); /* closes what is open */
    assert_int_equal(f->open, 0);
    assert_int_equal(f->server.conn_count, 0);
    http_server_fini(&f->server);
    free(f->seen);
    free(f->received);
}
