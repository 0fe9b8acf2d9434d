/* Received frames become requests and bodies.
 *
 * nghttp2 has checked what RFC 9113 §8 asks: names in lower case, order and presence of the
 * pseudo-fields, no connection-specific fields, content-length against the DATA. What it lets pass
 * and we do not is answered, not reset, so that the client learns why. */
#include "protocol/http2_internal.h"

#include "base/unset.h"

#include <assert.h>

static struct http2_stream *find_stream(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static void refuse_later(struct http2_stream *stream, enum error_code code, const char *text)
{
    if (stream->refusal != ERROR_OK)
        return;
    stream->refusal = code;
    stream->refusal_text = text;
}

static struct http2_stream *stream_new(struct http2_conn *conn, int32_t id)
{
    struct http_exchange *exchange = http_exchange_new(conn->session.server, &http2_transport);
    if (!exchange)
        return NULL;
    struct http2_stream *stream = http2_stream_of(exchange);
    exchange->request.version = 2;
    stream->conn = conn;
    stream->id = id;
    stream->opened_ns = http2_now_ns(conn);
    buf_init(&stream->pending, 2 * HTTP2_STREAM_WINDOW_BYTES); /* half of it may be taken */
    list_add(&conn->streams, &stream->link);
    nghttp2_session_set_stream_user_data(conn->nghttp2, id, stream);
    return stream;
}

static void free_pending(struct http2_stream *stream)
{
    stream->conn->shared->kept_bytes -= stream->pending.size;
    buf_fini(&stream->pending);
    stream->pending_taken = 0;
}

void http2_stream_finish(struct http2_stream *stream, bool complete)
{
    struct http2_conn *conn = stream->conn;
    conn->unsent_bytes -= stream->queue_bytes;
    stream->queue_bytes = 0;
    if (conn->holds_back)
        http2_flush_soon(conn);
    list_remove(&stream->link);
    list_remove(&stream->dirty);
    list_remove(&stream->in_flight);
    if (!stream->gone && !conn->memory.failed)
        nghttp2_session_set_stream_user_data(conn->nghttp2, stream->id, NULL);
    if (list_empty(&conn->streams))
        conn->idle_since_ns = http2_now_ns(conn);
    http_exchange_close(&stream->exchange, complete);
    free_pending(stream);
    http_unref(&stream->exchange);
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *user_data)
{
    http2_guard_frame(user_data, head);
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct http2_conn *conn = user_data;
    conn->head_since_ns = http2_now_ns(conn);
    conn->head_stream = frame->hd.stream_id;
    conn->head_fields = conn->head_bytes = 0;
    http2_guard_watch(conn);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST && !stream_new(conn, frame->hd.stream_id))
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return 0;
}

/* Copies into the stream's arena, name and value in one piece. */
static bool copy_field(struct http2_stream *stream, struct span *name, struct span *value)
{
    char *copy = arena_alloc(&stream->exchange.arena, name->size + value->size + 2);
    if (!copy)
        return false;
    memcpy(copy, name->data, name->size);
    copy[name->size] = '\0';
    char *copied_value = copy + name->size + 1;
    memcpy(copied_value, value->data, value->size);
    copied_value[value->size] = '\0';
    *name = (struct span){copy, name->size};
    *value = (struct span){copied_value, value->size};
    return true;
}

/* nghttp2 has seen to it that each comes once, and no others do. The path is kept undecoded until
 * the method is known. */
static void set_pseudo_field(struct http_request *request, struct span name, struct span value)
{
    if (span_equal(name, SPAN(":method")))
        http_request_set_method(request, value);
    else if (span_equal(name, SPAN(":path")))
        request->path = value;
    else if (span_equal(name, SPAN(":authority")))
        request->authority = value;
}

static void add_field(struct http2_stream *stream, struct span name, struct span value)
{
    struct error error UNSET;
    if (!copy_field(stream, &name, &value))
        refuse_later(stream, ERROR_RESOURCE_EXHAUSTED, "there is no memory for the head");
    else if (name.data[0] == ':')
        set_pseudo_field(&stream->exchange.request, name, value);
    else if (!http_exchange_add_field(&stream->exchange, name, value, &error))
        refuse_later(stream, error.code, "the head has too many fields or bytes");
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user_data)
{
    struct http2_conn *conn = user_data;
    if (!http2_guard_field(conn, name_size + value_size))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    struct http2_stream *stream = find_stream(session, frame->hd.stream_id);
    /* Trailers of a request mean nothing to us. */
    if (stream && frame->headers.cat == NGHTTP2_HCAT_REQUEST && stream->refusal == ERROR_OK)
        add_field(stream, (struct span){(const char *)name, name_size},
                  (struct span){(const char *)value, value_size});
    return 0;
}

/* Without this callback nghttp2 would drop the field and go on. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_size, const uint8_t *value,
                             size_t value_size, uint8_t flags, void *user_data)
{
    if (!http2_guard_field(user_data, name_size + value_size))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    struct http2_stream *stream = find_stream(session, frame->hd.stream_id);
    if (stream)
        refuse_later(stream, ERROR_INVALID_ARGUMENT, "forbidden character in a header field");
    return 0;
}

/* RFC 9113 §8.3.1: Host may stand in for :authority, and may not differ from it. */
static bool check_authority(struct http_request *request, struct error *ret_error)
{
    struct span host = http_field(request, SPAN("host"));
    if (!request->authority.data)
        request->authority = host;
    if (!http_authority_valid(request->authority))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "malformed authority");
    if (host.data && !span_equal_nocase(host, request->authority))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "host differs from :authority");
    return true;
}

static bool check_head(struct http_exchange *exchange, struct error *ret_error)
{
    struct http_request *request = &exchange->request;
    struct span length = http_field(request, SPAN("content-length"));
    struct span target = request->path;
    if (!target.data) /* CONNECT */
        return error_set(ret_error, ERROR_METHOD_NOT_ALLOWED, "Method Not Allowed");
    return check_authority(request, ret_error) &&
           http_exchange_set_target(exchange, target, ret_error) &&
           (!length.data || http_content_length(length, &request->content_length, ret_error));
}

/* RFC 9110 §10.1.1: a client that waits is told to go on, unless it was answered already. */
static void answer_expectation(struct http2_stream *stream)
{
    static const nghttp2_nv go_on = {(uint8_t *)":status", (uint8_t *)"100", 7, 3, 0};
    struct span expect = http_field(&stream->exchange.request, SPAN("expect"));
    if (expect.data && span_equal_nocase(expect, SPAN("100-continue")) &&
        !stream->exchange.responded)
        nghttp2_submit_headers(stream->conn->nghttp2, NGHTTP2_FLAG_NONE, stream->id, NULL, &go_on,
                               1, NULL);
}

static void head_complete(struct http2_stream *stream, bool body_follows)
{
    struct error error UNSET;
    if (stream->refusal == ERROR_OK && !check_head(&stream->exchange, &error)) {
        char *text = arena_printf(&stream->exchange.arena, "%s", error.message);
        refuse_later(stream, error.code, text ? text : "the request is malformed");
    }
    if (stream->refusal != ERROR_OK) {
        http2_stream_refuse(stream, stream->refusal, stream->refusal_text);
        return;
    }
    stream->body_since_ns = http2_now_ns(stream->conn);
    if (stream->exchange.request.content_length > 0)
        stream->exchange.body_expected_bytes = (uint64_t)stream->exchange.request.content_length;
    http_exchange_begin(&stream->exchange);
    assert(stream->exchange.handler);
    if (body_follows)
        answer_expectation(stream);
}

/* The handler is there and the exchange is not over for it. */
static bool wants_body(const struct http2_stream *stream)
{
    return stream->exchange.transport && stream->exchange.handler && !stream->finished &&
           !stream->gone;
}

static void count_down(uint64_t *expected_bytes, size_t count)
{
    *expected_bytes -= *expected_bytes < count ? *expected_bytes : count;
}

/* Gives the handler as much of the bytes as it has room for; returns how much it took. */
static size_t give(struct http2_stream *stream, struct span bytes)
{
    size_t given = 0;
    while (given < bytes.size && wants_body(stream)) {
        struct room room = stream->exchange.handler->body_room(&stream->exchange);
        size_t count = bytes.size - given < room.size ? bytes.size - given : room.size;
        if (!count)
            break;
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): only an empty span has no data
         */
        memcpy(room.data, bytes.data + given, count);
        given += count;
        count_down(&stream->exchange.body_expected_bytes, count);
        if (wants_body(stream))
            stream->exchange.handler->body_received(&stream->exchange, count);
    }
    return given;
}

/* What was taken or dropped opens the windows again. */
static void consume(struct http2_stream *stream, size_t count)
{
    if (count)
        nghttp2_session_consume(stream->conn->nghttp2, stream->id, count);
}

/* What the handler has taken leaves the buffer when that is most of it: its windows have opened
 * again, so that as much may come. */
static void forget_taken(struct http2_stream *stream)
{
    if (stream->pending_taken <= stream->pending.size / 2)
        return;
    stream->conn->shared->kept_bytes -= stream->pending_taken;
    buf_consume(&stream->pending, stream->pending_taken);
    stream->pending_taken = 0;
}

/* Keeps what the handler has no room for. Only the stream's window stays shut: the connection goes
 * on, since others may have to get on before this one's handler has room; unless the client has to
 * read first. False when all streams of the server keep too much. */
static bool keep(struct http2_stream *stream, struct span bytes)
{
    struct http2_shared *shared = stream->conn->shared;
    forget_taken(stream);
    if (bytes.size > HTTP2_KEPT_BYTES - shared->kept_bytes || !buf_append(&stream->pending, bytes))
        return false;
    shared->kept_bytes += bytes.size;
    stream->conn->holds_back = stream->conn->holds_back || http2_is_congested(stream->conn);
    if (http2_is_congested(stream->conn))
        stream->conn->withheld_bytes += bytes.size;
    else
        nghttp2_session_consume_connection(stream->conn->nghttp2, bytes.size);
    return true;
}

static void drop_pending(struct http2_stream *stream)
{
    nghttp2_session_consume_stream(stream->conn->nghttp2, stream->id,
                                   stream->pending.size - stream->pending_taken);
    free_pending(stream);
}

static void deliver_pending(struct http2_stream *stream)
{
    struct span rest = span_after(buf_span(&stream->pending), stream->pending_taken);
    size_t taken = give(stream, rest);
    stream->pending_taken += taken;
    nghttp2_session_consume_stream(stream->conn->nghttp2, stream->id, taken);
    if (taken == rest.size || !wants_body(stream))
        drop_pending(stream);
}

void http2_stream_deliver(struct http2_stream *stream)
{
    if (stream->delivering)
        return;
    stream->delivering = true;
    if (stream->pending.size && http2_is_congested(stream->conn))
        stream->conn->holds_back = true;
    else if (stream->pending.size)
        deliver_pending(stream);
    if (stream->body_complete && !stream->pending.size && !stream->body_end_told &&
        wants_body(stream)) {
        stream->body_end_told = true;
        stream->exchange.handler->body_end(&stream->exchange);
    }
    stream->delivering = false;
}

void http2_conn_go_on(struct http2_conn *conn)
{
    if (!conn->holds_back || http2_is_congested(conn))
        return;
    nghttp2_session_consume_connection(conn->nghttp2, conn->withheld_bytes);
    conn->withheld_bytes = 0;
    conn->holds_back = false;
    list_each(link, &conn->streams)
    {
        struct http2_stream *stream = list_entry(link, struct http2_stream, link);
        if (stream->pending.size)
            http2_stream_touch(stream);
    }
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t size, void *user_data)
{
    struct http2_stream *stream = find_stream(session, id);
    if (!stream) {
        nghttp2_session_consume(session, id, size);
        return 0;
    }
    struct span bytes = {(const char *)data, size};
    stream->body_bytes += size;
    stream->delivering = true;
    bool waits = stream->pending.size || http2_is_congested(stream->conn);
    size_t taken = waits ? 0 : give(stream, bytes);
    stream->delivering = false;
    if (!wants_body(stream))
        taken = size;
    consume(stream, taken);
    stream->conn->expected_bytes = taken < size ? 0 : stream->exchange.body_expected_bytes;
    if (taken < size && !keep(stream, span_after(bytes, taken))) {
        consume(stream, size - taken);
        http2_stream_refuse(stream, ERROR_UNAVAILABLE,
                            "too many bodies wait for memory; try again later");
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct http2_conn *conn = user_data;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) && conn->draining)
        http2_conn_goaway(conn);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct http2_stream *stream = find_stream(session, frame->hd.stream_id);
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_HEADERS)
        conn->head_since_ns = 0;
    if (!stream)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        head_complete(stream, !end);
    if (end) {
        stream->body_complete = true;
        http2_stream_deliver(stream);
    }
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code,
                            void *user_data)
{
    struct http2_conn *conn = user_data;
    if (frame->hd.type == NGHTTP2_HEADERS)
        conn->head_since_ns = 0;
    if (code == NGHTTP2_ERR_REFUSED_STREAM)
        limit_hit(LIMIT_max_streams);
    struct http2_stream *stream = find_stream(session, frame->hd.stream_id);
    if (stream)
        stream->violated = true;
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user_data)
{
    struct http2_conn *conn = user_data;
    struct http2_stream *stream = find_stream(session, id);
    http2_guard_closed(conn, id);
    if (id == conn->head_stream)
        conn->head_since_ns = 0;
    if (!stream)
        return 0;
    if (code != NGHTTP2_NO_ERROR)
        http2_guard_reset(conn, stream);
    stream->gone = true;
    stream->complete = stream->end_sent && code == NGHTTP2_NO_ERROR;
    if (conn->collecting && !list_linked(&stream->in_flight))
        list_add(&conn->in_flight, &stream->in_flight);
    if (!list_linked(&stream->in_flight))
        http2_stream_finish(stream, stream->complete);
    return 0;
}

void http2_request_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}
