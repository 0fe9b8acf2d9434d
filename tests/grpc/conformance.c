/* connectrpc.conformance.v1.ConformanceService: answers as each request says, and tells what it has
 * seen. */
#include "call.h"

#include "base/clock.h"
#include "codec/conformance.pb.h"

#define SERVICE "/connectrpc.conformance.v1.ConformanceService/"
#define TYPE "type.googleapis.com/connectrpc.conformance.v1."

struct state {
    const struct conformance_unary_definition *unary;
    const struct conformance_stream_definition *stream;
    struct conformance_any *requests; /* that no answer has told of yet */
    size_t request_count, request_capacity;
    size_t answered; /* of the stream's definitions */
    bool full_duplex;
};

_Static_assert(sizeof(struct state) <= TEST_CALL_STATE_BYTES, "the state must fit");

static void note_request(struct test_call *call, const char *type, struct span bytes)
{
    struct state *state = call->state;
    if (!arena_grow(&call->arena, (void **)&state->requests, state->request_count,
                    &state->request_capacity, sizeof *state->requests))
        return;
    state->requests[state->request_count++] = (struct conformance_any){span_of(type), bytes};
}

/* The header of that name, new if need be. */
static struct conformance_header *header_of(struct conformance_header *headers, uint32_t *count,
                                            struct span name)
{
    for (uint32_t i = 0; i < *count; i++) {
        if (span_equal(headers[i].name, name))
            return &headers[i];
    }
    headers[*count].name = name;
    return &headers[(*count)++];
}

/* The head of the request: a header for each name, with all its values in order. */
static void list_headers(struct test_call *call, struct conformance_request_info *info)
{
    const struct http_request *request = &call->exchange->request;
    struct conformance_header *headers =
        arena_calloc(&call->arena, request->field_count, sizeof *headers);
    struct span *values =
        arena_calloc(&call->arena, request->field_count * request->field_count, sizeof *values);
    uint32_t count = 0;
    for (size_t i = 0; headers && values && i < request->field_count; i++) {
        struct conformance_header *header = header_of(headers, &count, request->fields[i].name);
        if (!header->value.items)
            header->value.items = values + (size_t)(count - 1) * request->field_count;
        header->value.items[header->value.count++] = request->fields[i].value;
    }
    info->request_headers.items = headers;
    info->request_headers.count = count;
}

/* Tells of the requests since the last time, and, the first time, of the head. */
static struct conformance_request_info *take_info(struct test_call *call, bool first)
{
    struct state *state = call->state;
    struct conformance_request_info *info = arena_calloc(&call->arena, 1, sizeof *info);
    uint64_t timeout_ns;
    struct span timeout = http_field(&call->exchange->request, SPAN("grpc-timeout"));
    if (!info)
        return NULL;
    if (first)
        list_headers(call, info);
    if (first && timeout.data && grpc_timeout_parse(timeout, &timeout_ns, NULL)) {
        info->has_timeout_ms = true;
        info->timeout_ms = (int64_t)(timeout_ns / CLOCK_NS_PER_MS);
    }
    info->requests.items = state->requests;
    info->requests.count = (uint32_t)state->request_count;
    state->requests = NULL;
    state->request_count = state->request_capacity = 0;
    return info;
}

static void answer(struct test_call *call, struct span data, uint64_t delay_ms,
                   struct conformance_request_info *info)
{
    struct conformance_payload payload = {.data = data, .request_info = info};
    struct conformance_response response = {.payload = &payload};
    test_call_answer(call, delay_ms, &conformance_response_pb, &response);
}

/* ---- head and trailers ---- */

/* Names travel in lower case. */
static struct span lower(struct test_call *call, struct span name)
{
    struct span copy = name;
    if (arena_copy(&call->arena, name, &copy)) {
        for (char *c = (char *)(uintptr_t)copy.data; c < copy.data + copy.size; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 'a' - 'A') : *c;
    }
    return copy;
}

static void add_headers(struct test_call *call, const struct conformance_header *headers,
                        size_t count, void (*add)(struct test_call *, struct span, struct span))
{
    for (size_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < headers[i].value.count; j++)
            add(call, lower(call, headers[i].name), headers[i].value.items[j]);
    }
}

/* ---- errors ---- */

/* The error's details and, with info, what was seen, as a google.rpc.Status in the trailers. */
static void add_details(struct test_call *call, const struct conformance_error *error,
                        const struct conformance_request_info *info)
{
    size_t count = error->details.count;
    struct conformance_any *details = arena_calloc(&call->arena, count + 1, sizeof *details);
    struct buf buf;
    struct span seen, status_bytes, value;
    if (!details)
        return;
    if (count)
        memcpy(details, error->details.items, count * sizeof *details);
    buf_init(&buf, 1 << 20);
    if (info && pb_encode(&conformance_request_info_pb, info, &buf) &&
        arena_copy(&call->arena, buf_span(&buf), &seen))
        details[count++] =
            (struct conformance_any){SPAN(TYPE "ConformancePayload.RequestInfo"), seen};
    struct conformance_status status = {.code = error->code, .message = error->message};
    status.details.items = details;
    status.details.count = (uint32_t)count;
    buf_clear(&buf);
    if (pb_encode(&conformance_status_pb, &status, &buf) &&
        arena_copy(&call->arena, buf_span(&buf), &status_bytes) &&
        grpc_binary_encode(&call->arena, status_bytes, &value))
        test_call_trailer(call, SPAN("grpc-status-details-bin"), value);
    buf_fini(&buf);
}

static void finish(struct test_call *call, const struct conformance_error *error,
                   const struct conformance_request_info *info)
{
    if (!error) {
        test_call_finish(call, 0, SPAN(""));
        return;
    }
    add_details(call, error, info);
    test_call_finish(call, (unsigned)error->code, error->message);
}

/* ---- one answer ---- */

static void answer_once(struct test_call *call)
{
    static const struct conformance_unary_definition none;
    struct state *state = call->state;
    const struct conformance_unary_definition *definition = state->unary ? state->unary : &none;
    struct conformance_request_info *info = take_info(call, true);
    add_headers(call, definition->response_headers.items, definition->response_headers.count,
                test_call_header);
    add_headers(call, definition->response_trailers.items, definition->response_trailers.count,
                test_call_trailer);
    if (definition->which_response == 3) {
        finish(call, definition->error, info);
        return;
    }
    struct span data = definition->which_response == 2 ? definition->response_data : SPAN("");
    answer(call, data, definition->response_delay_ms, info);
    finish(call, NULL, NULL);
}

static void take_unary(struct test_call *call, const char *type, struct span bytes)
{
    struct state *state = call->state;
    bool first = !state->unary && !state->request_count;
    const struct conformance_unary_request *request =
        test_call_decode(call, &conformance_unary_request_pb, bytes);
    if (!request)
        return;
    if (first)
        state->unary = request->response_definition;
    note_request(call, type, bytes);
}

static void unary(struct test_call *call, struct span bytes)
{
    take_unary(call, TYPE "UnaryRequest", bytes);
    if (!call->ended)
        answer_once(call);
}

static void client_stream(struct test_call *call, struct span bytes)
{
    take_unary(call, TYPE "ClientStreamRequest", bytes);
}

/* ---- several answers ---- */

static void answer_next(struct test_call *call)
{
    struct state *state = call->state;
    bool first = state->answered == 0;
    struct conformance_request_info *info =
        first || state->full_duplex ? take_info(call, first) : NULL;
    answer(call, state->stream->response_data.items[state->answered++],
           state->stream->response_delay_ms, info);
}

static void answer_all(struct test_call *call)
{
    struct state *state = call->state;
    const struct conformance_error *error = state->stream ? state->stream->error : NULL;
    while (state->stream && state->answered < state->stream->response_data.count)
        answer_next(call);
    finish(call, error, state->answered ? NULL : take_info(call, true));
}

static void begin_stream(struct test_call *call, const struct conformance_stream_definition *stream)
{
    struct state *state = call->state;
    state->stream = stream;
    if (!stream)
        return;
    add_headers(call, stream->response_headers.items, stream->response_headers.count,
                test_call_header);
    add_headers(call, stream->response_trailers.items, stream->response_trailers.count,
                test_call_trailer);
    if (stream->response_data.count || !stream->error)
        test_call_start(call);
}

static void server_stream(struct test_call *call, struct span bytes)
{
    const struct conformance_stream_request *request =
        test_call_decode(call, &conformance_stream_request_pb, bytes);
    if (!request)
        return;
    note_request(call, TYPE "ServerStreamRequest", bytes);
    begin_stream(call, request->response_definition);
    answer_all(call);
}

static void bidi_stream(struct test_call *call, struct span bytes)
{
    struct state *state = call->state;
    if (call->message_count == 1) {
        const struct conformance_stream_request *request =
            test_call_decode(call, &conformance_stream_request_pb, bytes);
        const struct conformance_bidi_request *kind =
            request ? test_call_decode(call, &conformance_bidi_request_pb, bytes) : NULL;
        if (!kind)
            return;
        state->full_duplex = kind->full_duplex;
        begin_stream(call, request->response_definition);
    }
    note_request(call, TYPE "BidiStreamRequest", bytes);
    if (!state->full_duplex)
        return;
    if (state->stream && state->answered < state->stream->response_data.count)
        answer_next(call);
    else if (state->stream && state->stream->error)
        finish(call, state->stream->error, state->answered ? NULL : take_info(call, true));
}

static void nothing(struct test_call *call)
{
}

const struct test_method conformance_methods[] = {
    {SERVICE "Unary", false, unary, nothing},
    {SERVICE "IdempotentUnary", false, unary, nothing},
    {SERVICE "ClientStream", true, client_stream, answer_once},
    {SERVICE "ServerStream", false, server_stream, nothing},
    {SERVICE "BidiStream", true, bidi_stream, answer_all},
    {NULL, false, NULL, NULL},
};
