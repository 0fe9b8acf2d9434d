/* Answers in parts; see stream.h. What is on its way to the kernel must not move, so that there are
 * two buffers, which change places. */
#include "api/stream.h"

#include "api/gate.h"

enum { TICK_MS = 100, ROOM_BYTES = 64 << 10, LIMIT_BYTES = 4 << 20 };

static struct stream *stream_of(const struct http_exchange *exchange)
{
    return call_of(exchange)->detail;
}

static void end_if_done(struct stream *stream)
{
    if (stream->ended && !stream->sending && !stream->closed)
        http_end(stream->call->exchange, NULL, 0);
}

void stream_flush(struct stream *stream)
{
    if (stream->sending || stream->closed || !stream->next.size)
        return;
    struct buf out = stream->next;
    stream->next = stream->sent;
    stream->sent = out;
    buf_clear(&stream->next);
    stream->sending = true;
    http_body(stream->call->exchange, &(struct iovec){stream->sent.data, stream->sent.size}, 1);
}

bool stream_is_over(const struct stream *stream)
{
    return stream->call->api->leaving || stream->call->exchange->server->draining;
}

bool stream_has_room(const struct stream *stream)
{
    return stream->next.size < ROOM_BYTES;
}

void stream_end(struct stream *stream)
{
    if (stream->ended)
        return;
    stream->ended = true;
    timer_stop(&stream->timer);
    stream_flush(stream);
    end_if_done(stream);
}

static void tick(struct timer *timer)
{
    struct stream *stream = list_entry(timer, struct stream, timer);
    const struct api_call *call = stream->call;
    struct error error;
    if (!gate_holds(call->api->gate, call, call->route->scope, &error)) {
        http_note_failure(call->exchange, span_of(error.message));
        http_reset(call->exchange);
        return;
    }
    timer_start(timer, http_loop(stream->call->exchange), TICK_MS, tick);
    stream->tick(stream);
    stream_flush(stream);
}

static void drained(struct http_exchange *exchange)
{
    struct stream *stream = stream_of(exchange);
    stream->sending = false;
    stream_flush(stream);
    end_if_done(stream);
}

static void closed(struct http_exchange *exchange, bool complete)
{
    struct stream *stream = stream_of(exchange);
    stream->closed = true;
    timer_stop(&stream->timer);
    if (stream->gone)
        stream->gone(stream);
    buf_fini(&stream->next);
    buf_fini(&stream->sent);
    call_close(stream->call);
}

static const struct http_handler handler = {call_drop_room, call_drop_received, call_drop_end,
                                            drained, closed};

void stream_begin(struct stream *stream, struct api_call *call, const char *content_type)
{
    stream->call = call;
    buf_init(&stream->next, LIMIT_BYTES);
    buf_init(&stream->sent, LIMIT_BYTES);
    stream->fields[0] = (struct http_field){SPAN("content-type"), span_of(content_type)};
    stream->fields[1] = (struct http_field){SPAN("cache-control"), SPAN("no-store")};
    call->detail = stream;
    call->exchange->handler = &handler;
    http_reply(call->exchange, 200, stream->fields, 2);
    timer_start(&stream->timer, http_loop(call->exchange), 0, tick);
}
