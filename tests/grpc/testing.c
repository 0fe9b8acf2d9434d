/* grpc.testing.TestService, as gRPC's interoperability tests describe it. */
#include "call.h"

#include "codec/testing.pb.h"

#define SERVICE "/grpc.testing.TestService/"

enum { US_PER_MS = 1000, MAX_SIZE_BYTES = 32 << 20 };

/* Metadata that the client wants back: one field in the head, one in the trailers. */
static void echo_metadata(struct test_call *call)
{
    const struct http_request *request = &call->exchange->request;
    struct span initial = http_field(request, SPAN("x-grpc-test-echo-initial"));
    struct span trailing = http_field(request, SPAN("x-grpc-test-echo-trailing-bin"));
    if (call->message_count > 1)
        return;
    if (initial.data)
        test_call_header(call, SPAN("x-grpc-test-echo-initial"), initial);
    if (trailing.data)
        test_call_trailer(call, SPAN("x-grpc-test-echo-trailing-bin"), trailing);
}

static void answer_zeros(struct test_call *call, uint64_t delay_ms, int32_t size)
{
    struct testing_payload payload = {0};
    struct testing_payload_response response = {.payload = &payload};
    if (size < 0 || size > MAX_SIZE_BYTES) {
        test_call_finish(call, 3, SPAN("the size is out of range"));
        return;
    }
    payload.body = (struct span){arena_calloc(&call->arena, 1, (size_t)size), (size_t)size};
    test_call_answer(call, delay_ms, &testing_payload_response_pb, &response);
}

static void finish(struct test_call *call, const struct testing_echo_status *status)
{
    if (status)
        test_call_finish(call, (unsigned)status->code, status->message);
    else
        test_call_finish(call, 0, SPAN(""));
}

static void empty(struct test_call *call, struct span bytes)
{
    static const struct testing_input_response nothing;
    echo_metadata(call);
    test_call_answer(call, 0, &testing_input_response_pb, &nothing);
    finish(call, NULL);
}

static void unary(struct test_call *call, struct span bytes)
{
    const struct testing_simple_request *request =
        test_call_decode(call, &testing_simple_request_pb, bytes);
    if (!request)
        return;
    echo_metadata(call);
    if (!request->response_status)
        answer_zeros(call, 0, request->response_size);
    finish(call, request->response_status);
}

static void output(struct test_call *call, struct span bytes)
{
    const struct testing_streaming_request *request =
        test_call_decode(call, &testing_streaming_request_pb, bytes);
    if (!request)
        return;
    echo_metadata(call);
    test_call_start(call);
    for (uint32_t i = 0; i < request->response_parameters.count; i++) {
        const struct testing_response_parameters *parameters =
            request->response_parameters.items + i;
        answer_zeros(call, (uint64_t)parameters->interval_us / US_PER_MS, parameters->size);
    }
    if (request->response_status || !call->method->client_streaming)
        finish(call, request->response_status);
}

/* The sum of all payloads; the state is an int64_t. */
static void input(struct test_call *call, struct span bytes)
{
    const struct testing_input_request *request =
        test_call_decode(call, &testing_input_request_pb, bytes);
    int64_t *sum = call->state;
    if (request && request->payload)
        *sum += (int64_t)request->payload->body.size;
}

static void input_ended(struct test_call *call)
{
    const int64_t *sum = call->state;
    struct testing_input_response response = {.aggregated_payload_size = (int32_t)*sum};
    test_call_answer(call, 0, &testing_input_response_pb, &response);
    finish(call, NULL);
}

static void output_ended(struct test_call *call)
{
    finish(call, NULL);
}

const struct test_method testing_methods[] = {
    {SERVICE "EmptyCall", false, empty, NULL},
    {SERVICE "UnaryCall", false, unary, NULL},
    {SERVICE "CacheableUnaryCall", false, unary, NULL},
    {SERVICE "StreamingOutputCall", false, output, NULL},
    {SERVICE "StreamingInputCall", true, input, input_ended},
    {SERVICE "FullDuplexCall", true, output, output_ended},
    {SERVICE "HalfDuplexCall", true, output, output_ended},
    {NULL, false, NULL, NULL},
};
