/* inference.GRPCInferenceService/ModelStreamInfer: any number of requests over one call, each with
 * any number of answers.
 *
 * Each message becomes an item, which lives from its first byte until its last answer was sent:
 *
 *     incoming ── the message is whole ─▶ running ── final answer ─▶ answered ── sent ─▶ gone
 *         └────────────── it cannot be served ───────────────────────────▲
 *
 * What is wrong with a request is its answer, and the stream goes on; a client that sends
 * triton_grpc_error: true wants the first such to be the stream's status. Items stand in the order
 * of their messages. Answers of models that answer once keep that order: such an item sends nothing
 * before those of its kind that came earlier have sent all. Decoupled models' answers go as they
 * come.
 *
 * max_stream_requests items may exist at once; then the body is not read until one has gone. All
 * that waits to be sent goes at once, and the next when that has been taken. */
#include "api/infer_grpc_stream.h"

#include "api/gate.h"
#include "base/unset.h"
#include "serving/measure.h"

#include <assert.h>
#include <stdlib.h>

static struct grpc_stream *stream_of(const struct http_exchange *exchange)
{
    return call_of(exchange)->detail;
}

/* ---- sending ---- */

/* Frees what has sent all that it had to say. */
static void reap(struct grpc_stream *stream)
{
    uint64_t now_ns = clock_now_ns();
    list_each(link, &stream->items)
    {
        struct stream_item *item = list_entry(link, struct stream_item, link);
        if (!item->told || !stream_item_is_idle(item) || answer_flow_waits(&item->flow) ||
            answer_flow_sending(&item->flow))
            continue;
        if (item->submitted) {
            measure_written(&item->message.inference, now_ns);
            measure_span(&item->message.inference, &item->failure, now_ns);
        }
        stream_item_free(item);
    }
}

static bool is_full(const struct grpc_stream *stream)
{
    return stream->item_count >= stream->call->api->max_stream_requests;
}

void grpc_stream_flush(struct grpc_stream *stream)
{
    struct http_exchange *exchange = stream->call->exchange;
    bool behind = false; /* an earlier ordered item has more to say */
    bool was_full = is_full(stream);
    if (stream->sending || stream->ended || stream->closed)
        return;
    list_each(link, &stream->items)
    {
        struct stream_item *item = list_entry(link, struct stream_item, link);
        bool ordered = stream_item_is_ordered(item);
        if (!(ordered && behind) && answer_flow_send(&item->flow, exchange))
            stream->sending = true;
        behind = behind || (ordered && !item->told);
    }
    reap(stream);
    if (was_full && !is_full(stream))
        http_resume(exchange);
    if (stream->item_count)
        return;
    if (stream->half_closed) {
        grpc_stream_end(stream, NULL);
    } else if (stream->leaving) {
        struct error error UNSET;
        grpc_call_leaves(&error);
        grpc_stream_end(stream, &error);
    }
}

void grpc_stream_end(struct grpc_stream *stream, const struct error *error)
{
    if (stream->ended || stream->closed)
        return;
    stream->ended = true;
    stream->incoming = NULL;
    timer_stop(&stream->deadline);
    list_remove(&stream->link);
    list_each(link, &stream->items) stream_item_abandon(list_entry(link, struct stream_item, link));
    grpc_end(stream->call->exchange, error);
    http_resume(stream->call->exchange);
}

/* ---- messages ---- */

/* A message begins. NULL when the stream has ended for want of memory. */
static struct stream_item *begin_item(struct grpc_stream *stream)
{
    struct api_call *call = stream->call;
    struct error error UNSET;
    struct stream_item *item = stream_item_new(stream);
    if (!item) {
        error_no_memory(&error);
        grpc_stream_end(stream, &error);
        return NULL;
    }
    item->admitted = gate_take(call->api->gate, call, SCOPE_INFER, &error);
    if (item->admitted)
        stream->incoming = item;
    else
        stream_item_fail(item, &error);
    return item;
}

/* The incoming message is whole. */
static void take_message(struct grpc_stream *stream)
{
    struct stream_item *item = stream->incoming;
    struct error error UNSET;
    infer_message_take(&item->message, &stream->reader);
    if (!infer_message_end(&item->message, &error)) {
        stream->incoming = NULL;
        stream_item_fail(item, &error);
    } else if (!item->message.waits) {
        stream_item_submit(item);
    }
}

static void advance(struct grpc_stream *stream, size_t count)
{
    bool inside = stream->reader.left_bytes > 0 && !stream->reader.compressed;
    struct error error UNSET;
    enum grpc_read read = grpc_reader_advance(&stream->reader, count, &error);
    struct stream_item *item = stream->incoming;
    if (read == GRPC_READ_ERROR) {
        grpc_stream_end(stream, &error);
        return;
    }
    if (inside && item && !infer_message_advance(&item->message, count, &error)) {
        stream->incoming = NULL; /* what still comes of it is dropped */
        stream_item_fail(item, &error);
    }
    if (read == GRPC_READ_STARTED && begin_item(stream) && stream->incoming)
        infer_message_begin(&stream->incoming->message, &stream->reader);
    if (read == GRPC_READ_MESSAGE && (inside || begin_item(stream)) && stream->incoming)
        take_message(stream);
}

/* ---- the body ---- */

static struct room sink(size_t most)
{
    static char bytes[16384];
    return (struct room){bytes, most < sizeof bytes ? most : sizeof bytes};
}

static struct room body_room(struct http_exchange *exchange)
{
    struct grpc_stream *stream = stream_of(exchange);
    struct grpc_reader *reader = &stream->reader;
    if (stream->ended)
        return sink(SIZE_MAX);
    if (grpc_reader_idle(reader) && is_full(stream)) {
        limit_hit(LIMIT_max_stream_requests);
        return (struct room){NULL, 0};
    }
    if (stream->incoming && stream->incoming->message.waits)
        return (struct room){NULL, 0};
    struct room room = grpc_reader_room(reader);
    if (!room.size && !stream->incoming)
        return sink(reader->left_bytes);
    if (!room.size)
        room = infer_message_room(&stream->incoming->message, reader->left_bytes);
    if (room.size)
        return room;
    struct stream_item *item = stream->incoming;
    struct error error UNSET;
    stream->incoming = NULL;
    infer_message_no_room(&item->message, &error);
    stream_item_fail(item, &error);
    return sink(stream->ended ? SIZE_MAX : reader->left_bytes);
}

static void body_received(struct http_exchange *exchange, size_t count)
{
    struct grpc_stream *stream = stream_of(exchange);
    if (stream->ended)
        return;
    advance(stream, count);
    grpc_stream_flush(stream);
    /* Between two messages the client may take its time. */
    exchange->body_idle = grpc_reader_idle(&stream->reader);
}

static void body_end(struct http_exchange *exchange)
{
    struct grpc_stream *stream = stream_of(exchange);
    struct error error UNSET;
    stream->half_closed = true;
    if (stream->ended)
        return;
    if (!grpc_reader_end(&stream->reader, &error))
        grpc_stream_end(stream, &error);
    else
        grpc_stream_flush(stream);
}

static void drained(struct http_exchange *exchange)
{
    struct grpc_stream *stream = stream_of(exchange);
    stream->sending = false;
    list_each(link, &stream->items)
        answer_flow_drained(&list_entry(link, struct stream_item, link)->flow);
    grpc_stream_flush(stream);
}

static void closed(struct http_exchange *exchange, bool complete)
{
    struct grpc_stream *stream = stream_of(exchange);
    stream->closed = true;
    timer_stop(&stream->deadline);
    list_remove(&stream->link);
    list_each(link, &stream->items)
    {
        struct stream_item *item = list_entry(link, struct stream_item, link);
        inference_disconnect(&item->message.inference);
        stream_item_abandon(item);
        if (stream_item_is_idle(item))
            stream_item_free(item);
    }
    grpc_reader_fini(&stream->reader);
    infer_grpc_put_fini(&stream->put);
    call_close(stream->call);
}

static const struct http_handler stream_handler = {body_room, body_received, body_end, drained,
                                                   closed};

/* ---- the beginning and the end ---- */

static void deadline_passed(struct timer *timer)
{
    struct grpc_stream *stream = list_entry(timer, struct grpc_stream, deadline);
    struct error error UNSET;
    error_set(&error, ERROR_DEADLINE_EXCEEDED, "Request timeout expired");
    grpc_stream_end(stream, &error);
}

static void watch_deadline(struct grpc_stream *stream)
{
    struct loop *loop = http_loop(stream->call->exchange);
    uint64_t now_ns = loop_now_ns(loop), deadline_ns = stream->deadline_ns;
    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    if (deadline_ns != CLOCK_NEVER)
        timer_start(&stream->deadline, loop, left_ns / CLOCK_NS_PER_MS + 1, deadline_passed);
}

/* Whether the stream's messages belong to a sampled trace is decided for all of them. */
static void decide_trace(struct api_call *call)
{
    struct tracer *tracer = call->api->serving->tracer;
    if (tracer && tracer->available)
        tracer_decide(tracer, NULL, &call->exchange->trace);
}

void grpc_stream_infer_begin(struct api_call *call)
{
    struct http_exchange *exchange = call->exchange;
    struct error error UNSET;
    uint64_t deadline_ns = CLOCK_NEVER;
    struct grpc_stream *stream = arena_calloc(&exchange->arena, 1, sizeof *stream);
    if (!stream)
        error_no_memory(&error);
    if (!stream || !grpc_call_deadline(call, &deadline_ns, &error)) {
        exchange->handler = &call_drop_handler;
        grpc_end(exchange, &error);
        return;
    }
    call->detail = stream;
    stream->call = call;
    stream->deadline_ns = deadline_ns;
    stream->fails_as_a_whole =
        span_equal_nocase(http_field(&exchange->request, SPAN("triton_grpc_error")), SPAN("true"));
    list_init(&stream->items);
    list_add(&call->api->streams, &stream->link);
    infer_reader_init(&stream->reader, call);
    infer_grpc_put_init(&stream->put, call);
    exchange->handler = &stream_handler;
    exchange->body_idle = true;
    decide_trace(call);
    watch_deadline(stream);
    grpc_reply(exchange, &stream->put.writer, NULL, 0); /* some clients wait for it */
}

void api_end_streams(struct api *api)
{
    list_each(link, &api->streams)
    {
        struct grpc_stream *stream = list_entry(link, struct grpc_stream, link);
        stream->leaving = true;
        grpc_stream_flush(stream);
    }
}
