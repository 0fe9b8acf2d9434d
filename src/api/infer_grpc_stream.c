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
#include "api/answer_flow.h"
#include "api/classify.h"
#include "api/gate.h"
#include "api/grpc_call.h"
#include "api/infer_grpc_put.h"
#include "api/infer_message.h"
#include "base/unset.h"
#include "serving/measure.h"

#include <assert.h>
#include <stdlib.h>

enum {
    ITEM_ARENA_BYTES = 4096,
    ITEM_ARENA_MAX_BYTES = 1 << 20,
    ITEM_KEPT_BYTES = 64 << 10, /* a larger message does not stay while its request runs */
};

struct stream;

struct item {
    struct infer_message message; /* first */
    struct stream *stream;
    struct list_link link;
    struct arena arena;
    struct answer_flow flow;
    struct list late; /* of struct late_answer: those that wait for an output in shared memory */
    uint64_t received_ns;
    bool admitted;  /* it counts among those of the token */
    bool submitted; /* its inference has, or has had, a final answer to come */
    bool told;      /* its last answer was put, or nobody wants it */
    bool done;      /* its inference needs it no more */
    struct error failure;
};

/* An answer that was told while outputs are on their way to shared memory, of itself or of one
 * before it. At most INFERENCE_ANSWERS_AHEAD and the last: the model waits for those to be sent. */
struct late_answer {
    struct list_link link;
    struct inference_answer answer;
    struct inference_output outputs[];
};

struct stream {
    struct api_call *call;
    struct list_link link; /* in api->streams */
    struct grpc_reader reader;
    struct list items;
    size_t item_count;
    struct item *incoming; /* whose message comes, or waits for memory */
    struct timer deadline;
    uint64_t deadline_ns;
    struct infer_grpc_put put;
    bool fails_as_a_whole; /* triton_grpc_error */
    bool sending;
    bool half_closed; /* the client sends no more messages */
    bool leaving;     /* the server does */
    bool ended;       /* its status was written */
    bool closed;
};

static struct stream *stream_of(const struct http_exchange *exchange)
{
    return call_of(exchange)->detail;
}

/* ---- items ---- */

static void item_resumed(struct infer_message *message, const struct error *error);

static struct item *item_new(struct stream *stream)
{
    struct item *item = calloc(1, sizeof *item);
    if (!item)
        return NULL;
    item->stream = stream;
    item->received_ns = clock_now_ns();
    arena_init(&item->arena, ITEM_ARENA_BYTES, ITEM_ARENA_MAX_BYTES);
    item->arena.budget = &stream->call->api->messages;
    infer_message_init(&item->message, stream->call, &item->arena, item_resumed);
    answer_flow_init(&item->flow, &item->message.inference, &stream->call->api->messages);
    list_init(&item->late);
    list_add(&stream->items, &item->link);
    stream->item_count++;
    return item;
}

static struct infer_regions *regions_of(struct item *item)
{
    return &item->message.request.regions;
}

static void drop_late(struct item *item)
{
    list_each(link, &item->late)
    {
        list_remove(link);
        free(list_entry(link, struct late_answer, link));
    }
}

/* Nothing moves its memory any more, and its inference needs it no more. */
static bool item_is_idle(struct item *item)
{
    return item->done && !infer_regions_moving(regions_of(item));
}

static void item_free(struct item *item)
{
    drop_late(item);
    infer_regions_release(regions_of(item));
    list_remove(&item->link);
    item->stream->item_count--;
    answer_flow_fini(&item->flow);
    inference_fini(&item->message.inference);
    infer_message_fini(&item->message);
    arena_fini(&item->arena);
    free(item);
}

/* Its place among the requests of the token is free. */
static void item_leave(struct item *item)
{
    if (item->admitted)
        gate_give_back(item->stream->call);
    item->admitted = false;
}

/* Whether its answers keep the order of requests. */
static bool item_is_ordered(const struct item *item)
{
    const struct inference *inference = &item->message.inference;
    const struct schema *schema = inference->generation ? inference_schema(inference) : NULL;
    return !schema || !schema->streams;
}

/* ---- sending ---- */

static void end(struct stream *stream, const struct error *error);

/* Frees what has sent all that it had to say. */
static void reap(struct stream *stream)
{
    uint64_t now_ns = clock_now_ns();
    list_each(link, &stream->items)
    {
        struct item *item = list_entry(link, struct item, link);
        if (!item->told || !item_is_idle(item) || answer_flow_waits(&item->flow) ||
            answer_flow_sending(&item->flow))
            continue;
        if (item->submitted) {
            measure_written(&item->message.inference, now_ns);
            measure_span(&item->message.inference, &item->failure, now_ns);
        }
        item_free(item);
    }
}

static bool is_full(const struct stream *stream)
{
    return stream->item_count >= stream->call->api->max_stream_requests;
}

/* Sends what may be sent now, and ends the stream when there is nothing left to say. */
static void flush(struct stream *stream)
{
    struct http_exchange *exchange = stream->call->exchange;
    bool behind = false; /* an earlier ordered item has more to say */
    bool was_full = is_full(stream);
    if (stream->sending || stream->ended || stream->closed)
        return;
    list_each(link, &stream->items)
    {
        struct item *item = list_entry(link, struct item, link);
        bool ordered = item_is_ordered(item);
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
        end(stream, NULL);
    } else if (stream->leaving) {
        struct error error UNSET;
        error_set(&error, ERROR_UNAVAILABLE,
                  "GRPC server is shutting down and has stopped accepting new requests.");
        end(stream, &error);
    }
}

/* Nobody wants the item's answers any more. */
static void abandon(struct item *item)
{
    struct inference *inference = &item->message.inference;
    bool reading = !item->submitted && infer_regions_moving(regions_of(item));
    item->told = true;
    item_leave(item);
    drop_late(item);
    infer_regions_release(regions_of(item));
    if (item->submitted && !item->done)
        inference_cancel(inference);
    else if (!item->submitted && !reading) /* else regions_moved does */
        inference_fini(inference);
    item->done = item->done || (!item->submitted && !reading);
}

/* Writes the stream's status. Answers that have been written go before it; items stay until the
 * exchange has closed, since these may lie in their memory. */
static void end(struct stream *stream, const struct error *error)
{
    if (stream->ended || stream->closed)
        return;
    stream->ended = true;
    stream->incoming = NULL;
    timer_stop(&stream->deadline);
    list_remove(&stream->link);
    list_each(link, &stream->items) abandon(list_entry(link, struct item, link));
    grpc_end(stream->call->exchange, error);
    http_resume(stream->call->exchange);
}

/* The call's own deadline has passed, which its requests may hear of first. */
static bool is_over(const struct stream *stream, const struct error *error)
{
    return error->code == ERROR_DEADLINE_EXCEEDED && clock_now_ns() >= stream->deadline_ns;
}

/* The item's request has failed, and this is its last answer. */
static void fail_item(struct item *item, const struct error *why)
{
    struct stream *stream = item->stream;
    struct error *error = &item->failure;
    *error = *why;
    message_explain(&item->arena, error);
    item->told = true;
    http_note_failure(stream->call->exchange, span_of(error->message));
    if (stream->fails_as_a_whole || is_over(stream, error) ||
        !infer_grpc_put_failure(&stream->put, &item->flow, item->message.request.message.id, error))
        end(stream, error);
    if (!item->submitted)
        abandon(item);
}

/* ---- the answers of an inference ---- */

static void put(struct item *item, const struct inference_answer *answer)
{
    const struct inference *inference = &item->message.inference;
    struct error error UNSET;
    if (answer->error.code != ERROR_OK) {
        fail_item(item, &answer->error);
        return;
    }
    bool silent =
        inference_answer_is_end(inference, answer) && !item->message.request.wants_empty_final;
    struct inference_outputs outputs = answer->outputs;
    if (!silent && !(classify_outputs(item->stream->call, inference, &outputs, &error) &&
                     infer_grpc_put_outputs(&item->stream->put, &item->flow, &outputs,
                                            answer->final, &error))) {
        fail_item(item, &error);
        return;
    }
    if (!answer->final)
        answer_flow_owe(&item->flow);
    item->told = answer->final;
}

static void begin_late(struct item *item);

/* The first late answer's outputs are where they go, or could not be written. */
static void late_written(struct infer_regions *regions, const struct error *error)
{
    struct infer_grpc_request *request = list_entry(regions, struct infer_grpc_request, regions);
    struct item *item = (struct item *)(void *)list_entry(request, struct infer_message, request);
    struct stream *stream = item->stream;
    if (!item->told) { /* else there is no late answer any more */
        struct late_answer *late = list_entry(list_first(&item->late), struct late_answer, link);
        list_remove(&late->link);
        if (error->code != ERROR_OK)
            fail_item(item, error);
        else
            put(item, &late->answer);
        free(late);
        if (item->told && !item->done)
            inference_cancel(&item->message.inference);
    }
    if (item->told)
        infer_regions_release(regions);
    else
        begin_late(item);
    if (stream->closed && item->done)
        item_free(item);
    else
        flush(stream);
}

/* Starts to write the outputs of the first late answer, if there is one. */
static void begin_late(struct item *item)
{
    struct list_link *first = list_first(&item->late);
    if (first)
        infer_regions_write(regions_of(item),
                            &list_entry(first, struct late_answer, link)->answer.outputs,
                            late_written);
}

/* Keeps an answer until those before it are told, and its outputs written. */
static void tell_late(struct item *item, const struct inference_answer *answer)
{
    size_t count = answer->outputs.count;
    struct late_answer *late = malloc(sizeof *late + count * sizeof *late->outputs);
    struct error error;
    if (!late) {
        error_no_memory(&error);
        fail_item(item, &error);
        return;
    }
    bool first = list_empty(&item->late);
    *late = (struct late_answer){.answer = *answer};
    for (size_t i = 0; i < count; i++)
        late->outputs[i] = answer->outputs.items[i];
    late->answer.outputs.items = late->outputs;
    list_add(&item->late, &late->link);
    if (first && !infer_regions_moving(regions_of(item)))
        begin_late(item);
}

static void tell(struct item *item, const struct inference_answer *answer)
{
    if (regions_of(item)->has_outputs)
        tell_late(item, answer);
    else
        put(item, answer);
}

static void answered(struct inference *inference, const struct inference_answer *answer)
{
    struct item *item = inference->owner;
    struct stream *stream = item->stream;
    struct http_exchange *exchange = stream->call->exchange;
    bool closed = stream->closed;
    if (!item->told)
        tell(item, answer);
    if (!answer->final) {
        if (item->told)
            inference_cancel(inference);
        flush(stream);
        return;
    }
    item->done = true;
    item_leave(item);
    if (!closed)
        flush(stream);
    else if (item_is_idle(item))
        item_free(item);
    http_unref(exchange);
}

/* ---- messages ---- */

/* The message is whole, and its memory is there; called again when the inputs that lie in shared
 * memory have been read. */
static void submit(struct item *item)
{
    struct stream *stream = item->stream;
    struct infer_message *message = &item->message;
    struct inference *inference = &message->inference;
    struct error error UNSET;
    bool finished = infer_message_finish(message, &error);
    if (finished && message->waits)
        return;
    stream->incoming = NULL;
    if (!finished ||
        (message->body.size + message->tail.size > ITEM_KEPT_BYTES &&
         !infer_grpc_request_keep(&message->request, &item->arena, inference, &error))) {
        fail_item(item, &error);
        return;
    }
    if (message->body.size + message->tail.size > ITEM_KEPT_BYTES)
        infer_message_fini(message);
    item->submitted = true;
    inference->owner = item;
    inference->answered = answered;
    inference->times.received_ns = item->received_ns;
    inference->trace = trace_context_child(&stream->call->exchange->trace);
    http_ref(stream->call->exchange); /* until the final answer */
    inference_submit(inference);
}

static void item_resumed(struct infer_message *message, const struct error *error)
{
    struct item *item = (struct item *)(void *)message;
    struct stream *stream = item->stream;
    struct http_exchange *exchange = stream->call->exchange;
    bool whole = stream->reader.left_bytes == 0;
    if (item->told) { /* nobody wants it any more; shared memory was being read meanwhile */
        inference_fini(&message->inference);
        infer_regions_release(regions_of(item));
        item->done = true;
    } else if (error) {
        stream->incoming = NULL; /* what still comes of it is dropped */
        fail_item(item, error);
    } else if (whole) {
        submit(item);
    }
    if (stream->closed) {
        if (item->done)
            item_free(item);
        return;
    }
    flush(stream);
    http_resume(exchange);
}

/* A message begins. NULL when the stream has ended for want of memory. */
static struct item *begin_item(struct stream *stream)
{
    struct api_call *call = stream->call;
    struct error error UNSET;
    struct item *item = item_new(stream);
    if (!item) {
        error_no_memory(&error);
        end(stream, &error);
        return NULL;
    }
    item->admitted = gate_take(call->api->gate, call, SCOPE_INFER, &error);
    if (item->admitted)
        stream->incoming = item;
    else
        fail_item(item, &error);
    return item;
}

/* The incoming message is whole. */
static void take_message(struct stream *stream)
{
    struct item *item = stream->incoming;
    struct error error UNSET;
    infer_message_take(&item->message, &stream->reader);
    if (!infer_message_end(&item->message, &error)) {
        stream->incoming = NULL;
        fail_item(item, &error);
    } else if (!item->message.waits) {
        submit(item);
    }
}

static void advance(struct stream *stream, size_t count)
{
    bool inside = stream->reader.left_bytes > 0 && !stream->reader.compressed;
    struct error error UNSET;
    enum grpc_read read = grpc_reader_advance(&stream->reader, count, &error);
    struct item *item = stream->incoming;
    if (read == GRPC_READ_ERROR) {
        end(stream, &error);
        return;
    }
    if (inside && item && !infer_message_advance(&item->message, count, &error)) {
        stream->incoming = NULL; /* what still comes of it is dropped */
        fail_item(item, &error);
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
    struct stream *stream = stream_of(exchange);
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
    struct item *item = stream->incoming;
    struct error error UNSET;
    stream->incoming = NULL;
    infer_message_no_room(&item->message, &error);
    fail_item(item, &error);
    return sink(stream->ended ? SIZE_MAX : reader->left_bytes);
}

static void body_received(struct http_exchange *exchange, size_t count)
{
    struct stream *stream = stream_of(exchange);
    if (stream->ended)
        return;
    advance(stream, count);
    flush(stream);
    /* Between two messages the client may take its time. */
    exchange->body_idle = grpc_reader_idle(&stream->reader);
}

static void body_end(struct http_exchange *exchange)
{
    struct stream *stream = stream_of(exchange);
    struct error error UNSET;
    stream->half_closed = true;
    if (stream->ended)
        return;
    if (!grpc_reader_end(&stream->reader, &error))
        end(stream, &error);
    else
        flush(stream);
}

static void drained(struct http_exchange *exchange)
{
    struct stream *stream = stream_of(exchange);
    stream->sending = false;
    list_each(link, &stream->items) answer_flow_drained(&list_entry(link, struct item, link)->flow);
    flush(stream);
}

static void closed(struct http_exchange *exchange, bool complete)
{
    struct stream *stream = stream_of(exchange);
    stream->closed = true;
    timer_stop(&stream->deadline);
    list_remove(&stream->link);
    list_each(link, &stream->items)
    {
        struct item *item = list_entry(link, struct item, link);
        inference_disconnect(&item->message.inference);
        abandon(item);
        if (item_is_idle(item))
            item_free(item);
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
    struct stream *stream = list_entry(timer, struct stream, deadline);
    struct error error UNSET;
    error_set(&error, ERROR_DEADLINE_EXCEEDED, "Request timeout expired");
    end(stream, &error);
}

static void watch_deadline(struct stream *stream)
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
    struct stream *stream = arena_calloc(&exchange->arena, 1, sizeof *stream);
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
        struct stream *stream = list_entry(link, struct stream, link);
        stream->leaving = true;
        flush(stream);
    }
}
