/* The application and the client of the HTTP/2 tests; see http2_fixture.h. */
#include "protocol/http2_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static void poke(struct test *test)
{
    if (test->done && test->done(test)) {
        test->done = NULL;
        loop_stop(test->loop);
    }
}

void test_run_until(struct test *test, bool (*done)(struct test *))
{
    if (done(test))
        return;
    test->done = done;
    loop_run(test->loop);
}

/* The application: what it does, the path says. */

static bool path_is(const struct call *call, const char *path)
{
    return span_equal(call->exchange->request.path, span_of(path));
}

static struct room app_room(struct http_exchange *exchange)
{
    struct call *call = exchange->state;
    if (call->paused)
        return (struct room){0};
    bool sips = call->sip_bytes && call->sip_bytes < sizeof call->piece;
    return (struct room){call->piece, sips ? call->sip_bytes : sizeof call->piece};
}

static void app_received(struct http_exchange *exchange, size_t count)
{
    struct call *call = exchange->state;
    assert_true(buf_append(&call->body, (struct span){call->piece, count}));
    if (call->sip_bytes) {
        call->sip_bytes -= count;
        call->paused = call->sip_bytes == 0;
    }
    if (path_is(call, "/chat")) { /* echoes each piece at once */
        char *copy = arena_alloc(&exchange->arena, count);
        memcpy(copy, call->piece, count);
        http_body(exchange, &(struct iovec){copy, count}, 1);
    }
    poke(call->test);
}

static void write_chunk(struct call *call)
{
    while (call->chunks_left && http_wants(call->exchange)) {
        call->chunks_left--;
        http_body(call->exchange, &(struct iovec){call->test->chunk, sizeof call->test->chunk}, 1);
    }
    if (!call->chunks_left)
        http_end(call->exchange, NULL, 0);
}

static void app_end(struct http_exchange *exchange)
{
    struct call *call = exchange->state;
    static const struct http_field trailer = {SPAN("grpc-status"), SPAN("0")};
    struct iovec body = {call->body.data, call->body.size};
    call->ended = true;
    if (path_is(call, "/echo"))
        http_send(exchange, 200, NULL, 0, &body, 1);
    else if (path_is(call, "/chat"))
        http_end(exchange, &trailer, 1);
    else if (path_is(call, "/empty"))
        http_send(exchange, 204, NULL, 0, NULL, 0);
    else if (path_is(call, "/unavailable"))
        grpc_end(exchange, &(struct error){.code = ERROR_UNAVAILABLE, .message = "asl\303\244ep"});
    poke(call->test);
}

static void app_drained(struct http_exchange *exchange)
{
    struct call *call = exchange->state;
    call->drained = true;
    if (path_is(call, "/big"))
        write_chunk(call);
    poke(call->test);
}

static void app_closed(struct http_exchange *exchange, bool complete)
{
    struct call *call = exchange->state;
    assert_false(call->closed);
    call->closed = true;
    call->complete = complete;
    call->test->calls_closed++;
    buf_fini(&call->body);
    poke(call->test);
}

static const struct http_handler app_handler = {
    .body_room = app_room,
    .body_received = app_received,
    .body_end = app_end,
    .drained = app_drained,
    .closed = app_closed,
};

static void on_request(struct http_server *server, struct http_exchange *exchange)
{
    struct test *test = server->context;
    assert_true(test->call_count < STREAMS_MAX);
    struct call *call = &test->calls[test->call_count++];
    *call = (struct call){.test = test, .exchange = exchange};
    buf_init(&call->body, 4 << 20);
    exchange->handler = &app_handler;
    exchange->state = call;
    call->paused = path_is(call, "/hold");
    exchange->body_idle = path_is(call, "/idle");
    if (path_is(call, "/chat"))
        grpc_reply(exchange, &(const struct grpc_writer){0}, NULL, 0);
    if (path_is(call, "/refuse"))
        http_send(exchange, 413, NULL, 0, NULL, 0);
    if (path_is(call, "/big")) {
        call->chunks_left = 32;
        http_reply(exchange, 200, NULL, 0);
        write_chunk(call);
    }
    poke(test);
}

/* The client */

void test_send(struct test *test, const void *data, size_t size)
{
    struct span copy;
    assert_true(arena_copy(&test->sent, (struct span){data, size}, &copy));
    if (!test->far_closed)
        conn_send(test->far, &(struct iovec){(char *)(uintptr_t)copy.data, copy.size}, 1);
}

void test_flush(struct test *test)
{
    const uint8_t *data;
    ssize_t size;
    while (test->client && (size = nghttp2_session_mem_send(test->client, &data)) > 0)
        test_send(test, data, (size_t)size);
}

static struct room far_room(void *owner)
{
    struct test *test = owner;
    return (struct room){test->receive, test->reads ? sizeof test->receive : 0};
}

static void far_received(void *owner, size_t count)
{
    struct test *test = owner;
    if (test->client) {
        assert_int_equal(
            nghttp2_session_mem_recv(test->client, (const uint8_t *)test->receive, count), count);
        test_flush(test);
    } else {
        buf_append(&test->raw, (struct span){test->receive, count});
    }
    poke(test);
}

static void far_end(void *owner)
{
    struct test *test = owner;
    conn_abort(test->far);
}

static void far_drained(void *owner)
{
}

static void far_closed(void *owner)
{
    struct test *test = owner;
    test->far_closed = true;
    poke(test);
}

static const struct conn_owner far_calls = {far_room, far_received, far_end, far_drained,
                                            far_closed};

static struct answer *answer_of(struct test *test, int32_t id)
{
    for (size_t i = 0; i < test->answer_count; i++) {
        if (test->answers[i].id == id)
            return &test->answers[i];
    }
    abort(); /* the server answers nothing but what it was asked */
}

static int client_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                         size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                         void *user_data)
{
    struct answer *answer = answer_of(user_data, frame->hd.stream_id);
    struct span n = {(const char *)name, name_size};
    if (span_equal(n, SPAN(":status"))) {
        uint64_t status = 0;
        span_to_u64((struct span){(const char *)value, value_size}, &status);
        answer->status = (unsigned)status;
    }
    if (span_equal(n, SPAN("grpc-status"))) {
        snprintf(answer->grpc_status, sizeof answer->grpc_status, "%s", (const char *)value);
        answer->trailers = frame->headers.cat == NGHTTP2_HCAT_HEADERS;
    }
    return 0;
}

static int client_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                       size_t size, void *user_data)
{
    struct answer *answer = answer_of(user_data, id);
    answer->body_bytes += size;
    buf_append(&answer->body, (struct span){(const char *)data, size});
    return 0;
}

static int client_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct test *test = user_data;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        test->goaways++;
        test->goaway_code = frame->goaway.error_code;
        test->goaway_last = frame->goaway.last_stream_id;
    }
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
        test->pongs++;
    return 0;
}

static int client_close(nghttp2_session *session, int32_t id, uint32_t code, void *user_data)
{
    struct test *test = user_data;
    struct answer *answer = answer_of(test, id);
    answer->closed = true;
    answer->code = code;
    test->closed_count++;
    return 0;
}

static nghttp2_session *client_new(struct test *test)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *client;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, client_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_close);
    nghttp2_option *option;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_http_messaging(option, 1); /* it may send what is wrong */
    nghttp2_session_client_new2(&client, callbacks, test, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, NULL, 0);
    return client;
}

static ssize_t client_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t limit,
                           uint32_t *data_flags, nghttp2_data_source *source, void *user_data)
{
    struct answer *answer = source->ptr;
    size_t left = answer->send_bytes - answer->sent_bytes;
    size_t size = left < limit ? left : limit;
    if (!left && !answer->send)
        return NGHTTP2_ERR_DEFERRED; /* an endless body */
    if (size)
        memcpy(to, answer->send + answer->sent_bytes, size);
    answer->sent_bytes += size;
    if (answer->sent_bytes == answer->send_bytes)
        *data_flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)size;
}

struct answer *test_request(struct test *test, const char *path, const char *body, size_t size,
                            const nghttp2_nv *more, size_t more_count)
{
    nghttp2_nv fields[256] = {nv(":method", "POST"), nv(":scheme", "http"), nv(":path", path),
                              nv(":authority", "localhost")};
    assert_true(more_count <= 250);
    if (more_count)
        memcpy(fields + 4, more, more_count * sizeof *more);
    struct answer *answer = &test->answers[test->answer_count++];
    *answer = (struct answer){.send = body, .send_bytes = size};
    buf_init(&answer->body, 8 << 20);
    nghttp2_data_provider provider = {{.ptr = answer}, client_read};
    bool has_body = body || size == ENDLESS;
    if (!body)
        answer->send_bytes = 0;
    answer->id = nghttp2_submit_request(test->client, NULL, fields, 4 + more_count,
                                        has_body ? &provider : NULL, NULL);
    assert_true(answer->id > 0);
    test_flush(test);
    return answer;
}

struct test *test_new(bool raw)
{
    struct test *test = calloc(1, sizeof *test);
    struct error error;
    if (!test)
        abort();
    test->loop = loop_new(&error);
    assert_non_null(test->loop);
    assert_true(conn_pair_new(test->loop, &test->near, &test->far, &error));
    http_server_init(&test->server, on_request, test);
    arena_init(&test->sent, 65536, 256 << 20);
    buf_init(&test->raw, 16 << 20);
    test->reads = true;
    conn_own(test->far, &far_calls, test);
    if (!raw)
        test->client = client_new(test);
    return test;
}

void test_start(struct test *test)
{
    http2_serve(&test->server, test->near, (struct span){NULL, 0});
    test_flush(test);
}

bool test_is_far_closed(struct test *test)
{
    return test->far_closed;
}

void test_end(struct test *test)
{
    if (!test->far_closed)
        conn_abort(test->far);
    test_run_until(test, test_is_far_closed);
    loop_free(test->loop);
    assert_int_equal(test->server.conn_count, 0);
    assert_int_equal(test->calls_closed, test->call_count);
    http_server_fini(&test->server);
    nghttp2_session_del(test->client);
    for (size_t i = 0; i < test->answer_count; i++)
        buf_fini(&test->answers[i].body);
    arena_fini(&test->sent);
    buf_fini(&test->raw);
    free(test);
}

bool test_all_closed(struct test *test)
{
    return test->closed_count == test->answer_count && test->calls_closed == test->call_count;
}

bool test_answers_closed(struct test *test)
{
    return test->closed_count == test->answer_count;
}

bool test_calls_came(struct test *test)
{
    return test->call_count == test->answer_count;
}

bool test_drained_away(struct test *test)
{
    return test->far_closed && test->calls_closed == test->call_count;
}

bool test_second_closed(struct test *test)
{
    return test->answers[1].closed;
}
