/* One request of a stream, and its answers; see infer_grpc_stream.h. */
#include "api/infer_grpc_stream.h"

#include "api/classify.h"
#include "api/gate.h"
#include "base/unset.h"

#include <stdlib.h>

enum {
    ITEM_ARENA_BYTES = 4096,
    ITEM_ARENA_MAX_BYTES = 1 << 20,
    ITEM_KEPT_BYTES = 64 << 10, /* a larger message does not stay while its request runs */
};

/* An answer that was told while outputs are on their way to shared memory, of itself or of one
 * before it. At most INFERENCE_ANSWERS_AHEAD and the last: the model waits for those to be sent. */
struct late_answer {
    struct list_link link;
    struct inference_answer answer;
    struct inference_output outputs[];
};

/* ---- items ---- */

static void item_resumed(struct infer_message *message, const struct error *error);

struct stream_item *stream_item_new(struct grpc_stream *stream)
{
    struct stream_item *item = calloc(1, sizeof *item);
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

static struct infer_regions *regions_of(struct stream_item *item)
{
    return &item->message.request.regions;
}

static void drop_late(struct stream_item *item)
{
    list_each(link, &item->late)
    {
        list_remove(link);
        free(list_entry(link, struct late_answer, link));
    }
}

bool stream_item_is_idle(struct stream_item *item)
{
    return item->done && !infer_regions_moving(regions_of(item));
}

void stream_item_free(struct stream_item *item)
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
static void item_leave(struct stream_item *item)
{
    if (item->admitted)
        gate_give_back(item->stream->call);
    item->admitted = false;
}

bool stream_item_is_ordered(const struct stream_item *item)
{
    const struct inference *inference = &item->message.inference;
    const struct schema *schema = inference->generation ? inference_schema(inference) : NULL;
    return !schema || !schema->streams;
}

void stream_item_abandon(struct stream_item *item)
{
    struct inference *inference = &item->message.inference;
    bool reading = !item->submitted && infer_regions_moving(regions_of(item));
    item->told = true;
    item_leave(item);
    drop_late(item);
    infer_regions_release(regions_of(item));
    if (item->submitted && !item->done)
        inference_cancel(inference);
    else if (!item->submitted && !reading) /* else item_resumed does */
        inference_fini(inference);
    item->done = item->done || (!item->submitted && !reading);
}

/* The call's own deadline has passed, which its requests may hear of first. */
static bool is_over(const struct grpc_stream *stream, const struct error *error)
{
    return error->code == ERROR_DEADLINE_EXCEEDED && clock_now_ns() >= stream->deadline_ns;
}

void stream_item_fail(struct stream_item *item, const struct error *why)
{
    struct grpc_stream *stream = item->stream;
    struct error *error = &item->failure;
    *error = *why;
    message_explain(&item->arena, error);
    item->told = true;
    http_note_failure(stream->call->exchange, span_of(error->message));
    if (stream->fails_as_a_whole || is_over(stream, error) ||
        !infer_grpc_put_failure(&stream->put, &item->flow, item->message.request.message.id, error))
        grpc_stream_end(stream, error);
    if (!item->submitted)
        stream_item_abandon(item);
}

/* ---- the answers of an inference ---- */

static void put(struct stream_item *item, const struct inference_answer *answer)
{
    const struct inference *inference = &item->message.inference;
    struct error error UNSET;
    if (answer->error.code != ERROR_OK) {
        stream_item_fail(item, &answer->error);
        return;
    }
    bool silent =
        inference_answer_is_end(inference, answer) && !item->message.request.wants_empty_final;
    struct inference_outputs outputs = answer->outputs;
    if (!silent && !(classify_outputs(item->stream->call, inference, &outputs, &error) &&
                     infer_grpc_put_outputs(&item->stream->put, &item->flow, &outputs,
                                            answer->final, &error))) {
        stream_item_fail(item, &error);
        return;
    }
    if (!answer->final)
        answer_flow_owe(&item->flow);
    item->told = answer->final;
}

static void begin_late(struct stream_item *item);

/* The first late answer's outputs are where they go, or could not be written. */
static void late_written(struct infer_regions *regions, const struct error *error)
{
    struct infer_grpc_request *request = list_entry(regions, struct infer_grpc_request, regions);
    struct stream_item *item =
        (struct stream_item *)(void *)list_entry(request, struct infer_message, request);
    struct grpc_stream *stream = item->stream;
    if (!item->told) { /* else there is no late answer any more */
        struct late_answer *late = list_entry(list_first(&item->late), struct late_answer, link);
        list_remove(&late->link);
        if (error->code != ERROR_OK)
            stream_item_fail(item, error);
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
        stream_item_free(item);
    else
        grpc_stream_flush(stream);
}

/* Starts to write the outputs of the first late answer, if there is one. */
static void begin_late(struct stream_item *item)
{
    struct list_link *first = list_first(&item->late);
    if (first)
        infer_regions_write(regions_of(item),
                            &list_entry(first, struct late_answer, link)->answer.outputs,
                            late_written);
}

/* Keeps an answer until those before it are told, and its outputs written. */
static void tell_late(struct stream_item *item, const struct inference_answer *answer)
{
    size_t count = answer->outputs.count;
    struct late_answer *late = malloc(sizeof *late + count * sizeof *late->outputs);
    struct error error;
    if (!late) {
        error_no_memory(&error);
        stream_item_fail(item, &error);
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

static void tell(struct stream_item *item, const struct inference_answer *answer)
{
    if (regions_of(item)->has_outputs)
        tell_late(item, answer);
    else
        put(item, answer);
}

static void answered(struct inference *inference, const struct inference_answer *answer)
{
    struct stream_item *item = inference->owner;
    struct grpc_stream *stream = item->stream;
    struct http_exchange *exchange = stream->call->exchange;
    bool closed = stream->closed;
    if (!item->told)
        tell(item, answer);
    if (!answer->final) {
        if (item->told)
            inference_cancel(inference);
        grpc_stream_flush(stream);
        return;
    }
    item->done = true;
    item_leave(item);
    if (!closed)
        grpc_stream_flush(stream);
    else if (stream_item_is_idle(item))
        stream_item_free(item);
    http_unref(exchange);
}

/* ---- its message ---- */

void stream_item_submit(struct stream_item *item)
{
    struct grpc_stream *stream = item->stream;
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
        stream_item_fail(item, &error);
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
    struct stream_item *item = (struct stream_item *)(void *)message;
    struct grpc_stream *stream = item->stream;
    struct http_exchange *exchange = stream->call->exchange;
    bool whole = stream->reader.left_bytes == 0;
    if (item->told) { /* nobody wants it any more; shared memory was being read meanwhile */
        inference_fini(&message->inference);
        infer_regions_release(regions_of(item));
        item->done = true;
    } else if (error) {
        stream->incoming = NULL; /* what still comes of it is dropped */
        stream_item_fail(item, error);
    } else if (whole) {
        stream_item_submit(item);
    }
    if (stream->closed) {
        if (item->done)
            stream_item_free(item);
        return;
    }
    grpc_stream_flush(stream);
    http_resume(exchange);
}
