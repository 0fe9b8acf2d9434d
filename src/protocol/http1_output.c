/* How an application's response is written over HTTP/1.1. Parts are gathered as vectors and go out
 * together, usually head and body in one call of the system, when http1_run flushes. */
#include "protocol/http1_conn.h"

#include <assert.h>

static struct http1_exchange *exchange_of(const struct http_exchange *exchange)
{
    return (struct http1_exchange *)(void *)(uintptr_t)exchange;
}

static void break_off(struct http1_exchange *exchange)
{
    exchange->broken = true;
    http1_wake(exchange->conn);
}

void http1_flush(struct http1_exchange *exchange)
{
    if (exchange->vector_count == 0)
        return;
    struct http1_conn *c = exchange->conn;
    if (!conn_send(c->session.conn, exchange->vectors, exchange->vector_count))
        c->unsent = true;
    exchange->vector_count = 0;
    exchange->queued_bytes = 0;
    exchange->wrote = true;
}

static void queue(struct http1_exchange *exchange, const void *data, size_t size)
{
    if (size == 0)
        return;
    if (exchange->vector_count == HTTP1_VECTORS)
        http1_flush(exchange);
    exchange->vectors[exchange->vector_count++] = (struct iovec){(void *)(uintptr_t)data, size};
    exchange->queued_bytes += size;
}

static bool may_switch(const struct http_exchange *base)
{
    const struct http1_exchange *exchange = exchange_of(base);
    return exchange->conn->phase == HTTP1_ANSWER && !exchange->parser.old;
}

/* The rest of the connection is a body. */
static void switch_protocol(struct http1_conn *c)
{
    assert(c->phase == HTTP1_ANSWER);
    c->phase = HTTP1_BODY;
    c->body_left = UINT64_MAX;
    c->switched = true;
}

static enum http1_framing choose_framing(const struct http1_exchange *exchange, unsigned status,
                                         struct span length)
{
    if (status == 101)
        return HTTP1_SWITCHED;
    if (exchange->base.request.method == HTTP_HEAD || status < 200 || status == 204 ||
        status == 304)
        return HTTP1_NO_BODY;
    if (length.data)
        return HTTP1_LENGTH;
    return exchange->parser.old ? HTTP1_UNTIL_CLOSE : HTTP1_CHUNKED;
}

/* Whether the connection can go on when the response ends before the body has come: only if little
 * of it is left, and sure to come. */
static bool body_is_nearly_here(const struct http1_conn *c)
{
    const struct http1_parser *parser = &c->exchange->parser;
    return c->phase != HTTP1_BODY ||
           (!parser->chunked && !parser->expects_continue && c->body_left <= HTTP1_SKIP_BYTES);
}

static void reply(struct http_exchange *base, unsigned status, const struct http_field *fields,
                  size_t count)
{
    struct http1_exchange *exchange = exchange_of(base);
    struct http1_conn *c = exchange->conn;
    struct http_request response_fields = {.fields = (struct http_field *)(uintptr_t)fields,
                                           .field_count = count};
    struct span length = http_field(&response_fields, SPAN("content-length"));
    exchange->framing = choose_framing(exchange, status, length);
    if (exchange->framing == HTTP1_LENGTH && !span_to_u64(length, &exchange->response_left)) {
        break_off(exchange);
        return;
    }
    c->keep_alive = c->keep_alive && exchange->framing != HTTP1_UNTIL_CLOSE &&
                    exchange->framing != HTTP1_SWITCHED && body_is_nearly_here(c);
    if (exchange->framing == HTTP1_SWITCHED)
        switch_protocol(c);
    struct http1_response response = {
        .status = status,
        .framing = exchange->framing,
        .close = !c->keep_alive,
        .keep_alive = exchange->parser.old,
        .date = http_date(base->server),
    };
    struct span head;
    if (!http1_write_head(&base->arena, &response, fields, count, &head)) {
        break_off(exchange);
        return;
    }
    queue(exchange, head.data, head.size);
    http1_wake(c);
}

static bool vectors_size(const struct iovec *vectors, size_t count, size_t *ret_size)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        if (__builtin_add_overflow(size, vectors[i].iov_len, &size))
            return false;
    }
    *ret_size = size;
    return true;
}

static bool begin_chunk(struct http1_exchange *exchange, size_t size)
{
    char *text = arena_alloc(&exchange->lines, HTTP1_CHUNK_LINE_BYTES);
    if (!text)
        return false;
    struct span line = http1_write_chunk_line(text, size);
    queue(exchange, line.data, line.size);
    return true;
}

static bool begin_part(struct http1_exchange *exchange, size_t size)
{
    if (exchange->framing == HTTP1_CHUNKED)
        return begin_chunk(exchange, size);
    return exchange->framing != HTTP1_LENGTH ||
           !__builtin_sub_overflow(exchange->response_left, size, &exchange->response_left);
}

static void body(struct http_exchange *base, const struct iovec *vectors, size_t count)
{
    struct http1_exchange *exchange = exchange_of(base);
    size_t size;
    http1_wake(exchange->conn);
    exchange->wrote = true;
    if (!vectors_size(vectors, count, &size)) {
        break_off(exchange);
        return;
    }
    if (exchange->framing == HTTP1_NO_BODY || size == 0)
        return;
    if (!begin_part(exchange, size)) {
        break_off(exchange);
        return;
    }
    for (size_t i = 0; i < count; i++)
        queue(exchange, vectors[i].iov_base, vectors[i].iov_len);
    if (exchange->framing == HTTP1_CHUNKED)
        queue(exchange, "\r\n", 2);
}

static void end(struct http_exchange *base, const struct http_field *trailers, size_t count)
{
    struct http1_exchange *exchange = exchange_of(base);
    if (exchange->framing == HTTP1_CHUNKED)
        queue(exchange, "0\r\n\r\n", 5);
    if (exchange->framing == HTTP1_LENGTH && exchange->response_left > 0)
        exchange->broken = true; /* the length was a lie: only closing tells the client */
    http1_wake(exchange->conn);
}

static void resume(struct http_exchange *base)
{
    http1_wake(exchange_of(base)->conn);
}

static void reset(struct http_exchange *base)
{
    break_off(exchange_of(base));
}

static bool wants(const struct http_exchange *base)
{
    const struct http1_exchange *exchange = exchange_of(base);
    size_t unsent = conn_unsent_bytes(exchange->conn->session.conn);
    return !exchange->broken && unsent + exchange->queued_bytes < HTTP1_WANTS_BYTES;
}

static struct http_session *session_of(const struct http_exchange *base)
{
    return &exchange_of(base)->conn->session;
}

const struct http_transport http1_transport = {
    .reply = reply,
    .body = body,
    .end = end,
    .resume = resume,
    .reset = reset,
    .wants = wants,
    .may_switch = may_switch,
    .session = session_of,
};
