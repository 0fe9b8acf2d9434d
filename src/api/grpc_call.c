/* gRPC calls; see grpc_call.h. Messages are taken one at a time: while an answer is being written
 * the body has no room, so a peer that sends without reading waits, and one message's memory serves
 * them all. */
#include "api/grpc_call.h"

#include "base/unset.h"

/* Of one message without its texts; in a load, a file takes some hundred bytes. All of it is
 * counted in the memory of messages. */
enum { MESSAGE_ARENA_BYTES = 1 << 20, FILE_BYTES = 256 };

struct grpc_state {
    const struct grpc_route *route;
    const struct pb_method *method;
    struct grpc_reader reader;
    struct grpc_writer writer;
    struct arena arena; /* of the message that is being served */
    bool serving;       /* a message is being served, or its answer written */
    bool ending;        /* the client has sent its last message */
    bool replied;       /* grpc_reply was called */
    bool ended;
    void (*taken)(struct api_call *call); /* of a call that goes on; else NULL */
};

static struct grpc_state *state_of(const struct api_call *call)
{
    return call->detail;
}

static void end(struct api_call *call, const struct error *error)
{
    struct grpc_state *state = state_of(call);
    if (state->ended)
        return;
    state->ended = true;
    grpc_end(call->exchange, error);
}

void grpc_call_fail(struct api_call *call, const struct error *error)
{
    end(call, error);
}

void grpc_call_goes_on(struct api_call *call, void (*taken)(struct api_call *call))
{
    state_of(call)->taken = taken;
}

void grpc_call_end(struct api_call *call)
{
    end(call, NULL);
}

/* One message is answered by one, and that is the call. */
static bool is_unary(const struct grpc_state *state)
{
    return !state->method->client_streaming && !state->taken;
}

void grpc_call_reply(struct api_call *call, const struct pb_message *table, const void *message)
{
    struct grpc_state *state = state_of(call);
    struct error error;
    buf_clear(&call->reply);
    if (!pb_encode(table, message, &call->reply)) {
        message_no_memory(&call->reply, &error);
        end(call, &error);
        return;
    }
    if (!state->replied)
        grpc_reply(call->exchange, &state->writer, NULL, 0);
    state->replied = true;
    struct iovec body = {call->reply.data, call->reply.size};
    grpc_message(call->exchange, &state->writer, &body, 1);
    if (is_unary(state))
        end(call, NULL);
}

bool grpc_call_deadline(const struct api_call *call, uint64_t *ret_deadline_ns,
                        struct error *ret_error)
{
    return grpc_deadline(&call->exchange->request, call->exchange->started_ns, ret_deadline_ns,
                         ret_error);
}

bool grpc_call_leaves(struct error *ret_error)
{
    return error_set(ret_error, ERROR_UNAVAILABLE,
                     "GRPC server is shutting down and has stopped accepting new requests.");
}

/* ---- messages ---- */

static void serve(struct api_call *call)
{
    struct grpc_state *state = state_of(call);
    struct error error;
    const struct pb_message *table = state->method->input;
    void *message = arena_calloc(&state->arena, 1, table->size_bytes);
    state->serving = true;
    if (!message)
        error_no_memory(&error);
    if (message && pb_decode(table, buf_span(&call->body), &state->arena, message, &error)) {
        state->route->serve(call, message);
        return;
    }
    message_explain(&state->arena, &error);
    end(call, &error);
}

static struct room body_room(struct http_exchange *exchange)
{
    static char sink[16384];
    struct api_call *call = call_of(exchange);
    struct grpc_state *state = state_of(call);
    if (state->ended)
        return (struct room){sink, sizeof sink};
    if (state->serving)
        return (struct room){NULL, 0};
    struct room room = grpc_reader_room(&state->reader);
    if (room.size)
        return room;
    room = buf_room(&call->body, state->reader.left_bytes);
    if (room.size)
        return room;
    struct error error;
    message_no_memory(&call->body, &error);
    end(call, &error);
    return (struct room){sink, sizeof sink};
}

static void unexpected_message(struct api_call *call)
{
    struct error error;
    error_set(&error, ERROR_UNIMPLEMENTED, "a unary call has exactly one message");
    end(call, &error);
}

static void body_received(struct http_exchange *exchange, size_t count)
{
    struct api_call *call = call_of(exchange);
    struct grpc_state *state = state_of(call);
    struct error error UNSET;
    bool inside = state->reader.left_bytes > 0 && !state->reader.compressed;
    if (state->ended)
        return;
    if (inside)
        call->body.size += count;
    switch (grpc_reader_advance(&state->reader, count, &error)) {
    case GRPC_READ_MORE:
        break;
    case GRPC_READ_STARTED:
        buf_clear(&call->body);
        break;
    case GRPC_READ_MESSAGE:
        if (!inside)
            buf_clear(&call->body); /* an empty one */
        grpc_reader_message(&state->reader, &call->body);
        if (!state->method->client_streaming && state->replied)
            unexpected_message(call);
        else
            serve(call);
        break;
    case GRPC_READ_ERROR:
        end(call, &error);
        break;
    }
}

static void body_end(struct http_exchange *exchange)
{
    struct api_call *call = call_of(exchange);
    struct grpc_state *state = state_of(call);
    struct error error;
    state->ending = true;
    if (state->ended || state->serving)
        return;
    if (!grpc_reader_end(&state->reader, &error))
        end(call, &error);
    else if (!state->method->client_streaming)
        unexpected_message(call);
    else
        end(call, NULL);
}

static void drained(struct http_exchange *exchange)
{
    struct api_call *call = call_of(exchange);
    struct grpc_state *state = state_of(call);
    if (state->ended)
        return;
    if (state->taken) {
        state->taken(call);
        return;
    }
    arena_fini(&state->arena);
    state->serving = false;
    if (state->ending)
        end(call, NULL);
    else
        http_resume(exchange);
}

static void closed(struct http_exchange *exchange, bool complete)
{
    struct api_call *call = call_of(exchange);
    arena_fini(&state_of(call)->arena);
    grpc_reader_fini(&state_of(call)->reader);
    grpc_writer_fini(&state_of(call)->writer);
    call_close(call);
}

static const struct http_handler grpc_handler = {body_room, body_received, body_end, drained,
                                                 closed};

/* ---- the beginning ---- */

void grpc_call_begin(struct api_call *call, const struct grpc_route *route)
{
    struct http_exchange *exchange = call->exchange;
    struct error error UNSET;
    if (route->begin) {
        route->begin(call);
        return;
    }
    struct grpc_state *state = arena_calloc(&exchange->arena, 1, sizeof *state);
    if (!state) {
        error_no_memory(&error);
        grpc_end(exchange, &error);
        return;
    }
    call->detail = state;
    state->route = route;
    state->method = pb_method_of_path(exchange->request.path);
    arena_init(&state->arena, 1024, MESSAGE_ARENA_BYTES + call->api->max_push_files * FILE_BYTES);
    state->arena.budget = &call->api->messages;
    grpc_reader_init(&state->reader, &exchange->request, call->api->max_json_bytes);
    state->reader.plain.budget = &call->api->messages;
    grpc_writer_init(&state->writer, &exchange->request);
    exchange->handler = &grpc_handler;
}
