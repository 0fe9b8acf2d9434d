/* The application's answers become what nghttp2 sends.
 *
 * Nothing is submitted while the application writes: the stream is noted, and at the turn's end
 * nghttp2 gets all of it at once. So a response that was ended in the same turn needs no frame more
 * than it must, and answers of many streams leave in one write.
 *
 * A body stays where the application has it: the queue holds its vectors, nghttp2 is told lengths
 * only (NGHTTP2_DATA_FLAG_NO_COPY), and http2_flush.c puts frame heads between. */
#include "protocol/http2_internal.h"
#include "protocol/message_memory.h"

#include <stdio.h>

/* A value that no other response will have is kept out of HPACK's table. */
static nghttp2_nv make_nv(struct span name, struct span value)
{
    uint8_t flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    if (span_equal(name, SPAN("x-request-id")))
        flags |= NGHTTP2_NV_FLAG_NO_INDEX;
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.data, (uint8_t *)(uintptr_t)value.data,
                        name.size, value.size, flags};
}

/* Copies the fields' array, `extra` free places before it. */
static nghttp2_nv *copy_fields(struct http2_stream *stream, const struct http_field *fields,
                               size_t count, size_t extra)
{
    nghttp2_nv *nvs = arena_calloc(&stream->exchange.arena, count + extra, sizeof *nvs);
    for (size_t i = 0; nvs && i < count; i++)
        nvs[extra + i] = make_nv(fields[i].name, fields[i].value);
    return nvs;
}

static void stream_reply(struct http2_stream *stream, unsigned status,
                         const struct http_field *fields, size_t count)
{
    struct arena *arena = &stream->exchange.arena;
    char *digits = arena_alloc(arena, 4);
    struct span date;
    stream->head = copy_fields(stream, fields, count, 2);
    if (!digits || !stream->head || !arena_copy(arena, http_date(stream->exchange.server), &date)) {
        http2_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    snprintf(digits, 4, "%03u", status % 1000);
    stream->head[0] = make_nv(SPAN(":status"), (struct span){digits, 3});
    stream->head[1] = make_nv(SPAN("date"), date);
    stream->head_count = count + 2;
    http2_stream_touch(stream);
}

/* Makes room for one more vector at the queue's end. */
static bool queue_grow(struct http2_stream *stream)
{
    if (stream->queue_first && stream->queue_count == stream->queue_capacity) {
        stream->queue_count -= stream->queue_first;
        memmove(stream->queue, stream->queue + stream->queue_first,
                stream->queue_count * sizeof *stream->queue);
        stream->queue_first = 0;
    }
    void *queue = stream->queue;
    if (!arena_grow(&stream->exchange.arena, &queue, stream->queue_count, &stream->queue_capacity,
                    sizeof *stream->queue))
        return false;
    stream->queue = queue;
    return true;
}

static void stream_body(struct http2_stream *stream, const struct iovec *vectors, size_t count)
{
    if (!stream->queue_bytes)
        stream->unsent_since_ns = http2_now_ns(stream->conn);
    for (size_t i = 0; i < count; i++) {
        if (!vectors[i].iov_len)
            continue;
        if (!queue_grow(stream)) {
            http2_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
            return;
        }
        stream->queue[stream->queue_count++] = vectors[i];
        stream->queue_bytes += vectors[i].iov_len;
        stream->conn->unsent_bytes += vectors[i].iov_len;
    }
    stream->undrained = true;
    http2_stream_touch(stream);
}

static void stream_end(struct http2_stream *stream, const struct http_field *trailers, size_t count)
{
    if (count) {
        stream->trailers = copy_fields(stream, trailers, count, 0);
        stream->trailer_count = count;
        if (!stream->trailers) {
            http2_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
            return;
        }
    }
    stream->finished = true;
    http2_stream_touch(stream);
}

void http2_stream_reset(struct http2_stream *stream, uint32_t code)
{
    if (stream->gone || stream->reset_by_us || stream->conn->finishing)
        return;
    stream->reset_by_us = true;
    nghttp2_submit_rst_stream(stream->conn->nghttp2, NGHTTP2_FLAG_NONE, stream->id, code);
    http2_flush_soon(stream->conn);
}

static void refuse_plain(struct http2_stream *stream, const struct error *error)
{
    char *body = arena_printf(&stream->exchange.arena, "{\"error\":\"%s\"}", error->message);
    if (!body) {
        http2_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    const struct http_field fields[] = {{SPAN("content-type"), SPAN("application/json")},
                                        {SPAN("x-request-id"), http_request_id(&stream->exchange)}};
    stream_reply(stream, error_http_status(error->code), fields, 2);
    if (stream->exchange.request.method != HTTP_HEAD)
        stream_body(stream, &(struct iovec){body, strlen(body)}, 1);
    stream_end(stream, NULL, 0);
}

static void refuse_grpc(struct http2_stream *stream, const struct error *error)
{
    struct arena *arena = &stream->exchange.arena;
    char *status = arena_printf(arena, "%u", error_grpc_status(error->code));
    char *text = arena_printf(arena, "%s", error->message);
    const struct http_field fields[] = {
        {SPAN("content-type"), SPAN("application/grpc")},
        {SPAN("grpc-status"), span_of(status)},
        {SPAN("grpc-message"), span_of(text)},
        {SPAN("x-request-id"), http_request_id(&stream->exchange)},
    };
    if (!status || !text) {
        http2_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    stream_reply(stream, 200, fields, sizeof fields / sizeof *fields);
    stream_end(stream, NULL, 0);
}

void http2_stream_refuse(struct http2_stream *stream, enum error_code code, const char *text)
{
    struct http_exchange *exchange = &stream->exchange;
    bool answered = exchange->responded;
    struct error error;
    error_set(&error, code, "%s", text);
    message_explain(&exchange->arena, &error);
    http_exchange_refuse(exchange, &error);
    if (answered)
        http2_stream_reset(stream, NGHTTP2_CANCEL);
    else if (span_starts_with(http_field(&exchange->request, SPAN("content-type")),
                              SPAN("application/grpc")))
        refuse_grpc(stream, &error);
    else
        refuse_plain(stream, &error);
}

static void submit_trailers(struct http2_stream *stream)
{
    if (stream->trailers_submitted)
        return;
    stream->trailers_submitted = true;
    if (nghttp2_submit_trailer(stream->conn->nghttp2, stream->id, stream->trailers,
                               stream->trailer_count) != 0)
        http2_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
}

/* How much of the queue one frame takes: bounded by the frame and by the vectors of a write. */
static size_t frame_bytes(const struct http2_stream *stream, size_t limit)
{
    size_t bytes = 0, end = stream->queue_count;
    if (end - stream->queue_first > HTTP2_FRAME_VECTORS)
        end = stream->queue_first + HTTP2_FRAME_VECTORS;
    for (size_t i = stream->queue_first; i < end && bytes < limit; i++)
        bytes += stream->queue[i].iov_len;
    return bytes < limit ? bytes : limit;
}

/* nghttp2 asks how long its next DATA frame is to be. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t limit,
                         uint32_t *data_flags, nghttp2_data_source *source, void *user_data)
{
    struct http2_stream *stream = source->ptr;
    if (!stream->queue_bytes && !stream->finished) {
        stream->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t bytes = frame_bytes(stream, limit);
    *data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (bytes == stream->queue_bytes && stream->finished) {
        *data_flags |= NGHTTP2_DATA_FLAG_EOF;
        if (stream->trailer_count) {
            *data_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(stream);
        }
    }
    return (ssize_t)bytes;
}

/* Larger frames than nghttp2's usual 16 KiB, when the peer takes them. */
static ssize_t frame_limit(nghttp2_session *session, uint8_t type, int32_t id, int32_t conn_window,
                           int32_t stream_window, uint32_t peer_limit, void *user_data)
{
    return peer_limit < HTTP2_FRAME_BYTES ? (ssize_t)peer_limit : HTTP2_FRAME_BYTES;
}

void http2_stream_submit(struct http2_stream *stream)
{
    nghttp2_session *session = stream->conn->nghttp2;
    if (stream->gone || stream->reset_by_us || !stream->head)
        return;
    if (stream->deferred) {
        if (stream->queue_bytes || stream->finished) {
            stream->deferred = false;
            nghttp2_session_resume_data(session, stream->id);
        }
        return;
    }
    if (stream->submitted)
        return;
    stream->submitted = true;
    const nghttp2_data_provider provider = {{.ptr = stream}, read_body};
    bool bodyless = stream->finished && !stream->queue_bytes && !stream->trailer_count;
    if (nghttp2_submit_response(session, stream->id, stream->head, stream->head_count,
                                bodyless ? NULL : &provider) != 0)
        http2_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
}

static void transport_reply(struct http_exchange *exchange, unsigned status,
                            const struct http_field *fields, size_t count)
{
    stream_reply(http2_stream_of(exchange), status, fields, count);
}

/* A response to HEAD has the head of GET and no body. */
static void transport_body(struct http_exchange *exchange, const struct iovec *vectors,
                           size_t count)
{
    stream_body(http2_stream_of(exchange), vectors,
                exchange->request.method == HTTP_HEAD ? 0 : count);
}

static void transport_end(struct http_exchange *exchange, const struct http_field *trailers,
                          size_t count)
{
    stream_end(http2_stream_of(exchange), trailers, count);
}

static void transport_resume(struct http_exchange *exchange)
{
    http2_stream_touch(http2_stream_of(exchange));
}

static void transport_reset(struct http_exchange *exchange)
{
    http2_stream_reset(http2_stream_of(exchange), NGHTTP2_INTERNAL_ERROR);
}

static bool transport_wants(const struct http_exchange *exchange)
{
    const struct http2_stream *stream = http2_stream_of(exchange);
    return stream->queue_bytes < HTTP2_WANTS_BYTES && !list_linked(&stream->in_flight);
}

static struct http_session *transport_session(const struct http_exchange *exchange)
{
    return &http2_stream_of(exchange)->conn->session;
}

const struct http_transport http2_transport = {
    .reply = transport_reply,
    .body = transport_body,
    .end = transport_end,
    .resume = transport_resume,
    .reset = transport_reset,
    .wants = transport_wants,
    .session = transport_session,
};

void http2_response_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, frame_limit);
}
