/* inference.GRPCInferenceService/ModelInfer: the message is scanned while it comes, so that tensors
 * are received where they stay.
 *
 * Steps of a call: MESSAGE (up to the first tensor the scan fills the head; then memory is reserved
 * for all of them, for which the body may have to stand still; then the inputs are made and tensors
 * go into their memory), COMPLETE (the message has come), WAITING for the answer, DONE. A message
 * that is small, or has its values in the inputs' contents, is collected whole, and its memory is
 * reserved when it is complete. */
#include "api/grpc_call.h"
#include "api/infer_grpc_reply.h"
#include "api/infer_grpc_request.h"
#include "api/trace.h"
#include "base/unset.h"
#include "codec/infer_scan.h"

enum step { STEP_MESSAGE, STEP_COMPLETE, STEP_WAITING, STEP_DONE };

enum { SMALL_BYTES = 4096 }; /* up to here copying the tensors is cheaper than scanning for them */

struct grpc_infer {
    struct inference inference;
    struct infer_grpc_request request;
    enum step step;
    bool scanned;   /* tensors go straight into memory; else the message is collected whole */
    bool reserving; /* memory for the inputs is waited for */
    bool body_ended;
    struct grpc_reader reader;
    struct grpc_writer writer;
    struct infer_scan scan;
    struct buf tail; /* what follows the first tensor: unknown fields at most */
    bool client_gone;
};

static struct grpc_infer *infer_of(const struct api_call *call)
{
    return call->detail;
}

static void fail(struct api_call *call, const struct error *error)
{
    infer_of(call)->step = STEP_DONE;
    grpc_end(call->exchange, error);
}

/* ---- the answer ---- */

/* Ends the call with the answer. */
static bool reply(struct api_call *call, const struct inference_answer *answer,
                  struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    if (!infer_grpc_reply(call, &infer->writer, &infer->inference, answer, ret_error))
        return false;
    infer->step = STEP_DONE;
    grpc_end(call->exchange, NULL);
    return true;
}

static void answered(struct inference *inference, const struct inference_answer *answer)
{
    struct api_call *call = inference->owner;
    struct grpc_infer *infer = infer_of(call);
    struct http_exchange *exchange = call->exchange;
    struct error error = answer->error;
    if (infer->step == STEP_WAITING) {
        if (!answer->final)
            error_set(&error, ERROR_UNIMPLEMENTED,
                      "ModelInfer is for models that answer once; this one streams");
        if (error.code != ERROR_OK || !reply(call, answer, &error))
            fail(call, &error);
    }
    if (!answer->final) {
        inference_cancel(inference);
        return;
    }
    if (infer->client_gone)
        inference_fini(inference);
    http_unref(exchange);
}

static void submit(struct api_call *call)
{
    struct grpc_infer *infer = infer_of(call);
    infer->step = STEP_WAITING;
    infer->inference.answered = answered;
    trace_inference(call, &infer->inference);
    http_ref(call->exchange); /* until the final answer */
    inference_submit(&infer->inference);
}

/* ---- memory ---- */

static void reserved(struct inference *inference, const struct error *error);

/* Reserves memory for all inputs; false when they cannot have it. infer->reserving tells whether it
 * has to be waited for. */
static bool reserve(struct api_call *call, uint64_t needed_bytes, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    infer->inference.reserved = reserved;
    infer->inference.owner = call;
    enum inference_memory memory =
        inference_reserve(&infer->inference, needed_bytes, infer_grpc_request_rows(&infer->request),
                          http_held_bytes(call->exchange), ret_error);
    infer->reserving = memory == INFERENCE_MEMORY_WAITS;
    return memory != INFERENCE_MEMORY_REFUSED;
}

/* The first tensor begins: the sizes of all are not known yet, but that they are part of what is
 * still to come. */
static bool begin_scanned(struct api_call *call, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    if (!infer_grpc_request_read(&infer->request, call, &infer->inference, ret_error))
        return false;
    infer->scanned = true;
    infer->scan.head = &infer->tail; /* the decoded head must not move any more */
    uint64_t input_count = infer->request.message.inputs.count;
    return reserve(call, infer->scan.left_bytes + input_count * TENSOR_ALIGNMENT, ret_error);
}

/* Gives places to the tensors that begin, unless there is no memory yet. */
static bool place_tensors(struct api_call *call, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    uint64_t size;
    char *to;
    while (infer_scan_asks(&infer->scan, &size)) {
        if (!infer->scanned && !begin_scanned(call, ret_error))
            return false;
        if (infer->reserving)
            return true;
        if (!infer_grpc_request_next_raw(&infer->request, &infer->inference, size, &to, ret_error))
            return false;
        infer_scan_place(&infer->scan, to);
    }
    return true;
}

static bool is_small(const struct grpc_infer *infer)
{
    return infer->reader.size_bytes <= SMALL_BYTES || infer->reader.compressed;
}

static bool scan_has_ended(const struct grpc_infer *infer, struct error *ret_error)
{
    return is_small(infer) || infer_scan_complete(&infer->scan) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT, "the message is no ModelInferRequest");
}

static bool end_scanned(struct api_call *call, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    return scan_has_ended(infer, ret_error) &&
           infer_grpc_request_end_raw(&infer->request, ret_error) &&
           infer_grpc_request_check_tail(buf_span(&infer->tail), &call->exchange->arena, ret_error);
}

/* The message is complete, and the memory for its inputs is there. */
static void finish(struct api_call *call)
{
    struct grpc_infer *infer = infer_of(call);
    struct error error UNSET;
    if (infer->scanned ? end_scanned(call, &error)
                       : infer_grpc_request_copy(&infer->request, &infer->inference, &error))
        submit(call);
    else
        fail(call, &error);
}

static void reserved(struct inference *inference, const struct error *error)
{
    struct api_call *call = inference->owner;
    struct grpc_infer *infer = infer_of(call);
    struct error failure = *error;
    infer->reserving = false;
    if (infer->step == STEP_DONE) /* the body has ended before the message */
        return;
    if (error->code != ERROR_OK || (infer->scanned && !place_tensors(call, &failure)))
        fail(call, &failure);
    else if (infer->body_ended)
        finish(call);
    http_resume(call->exchange);
}

/* The body has ended with the message: what was not scanned is decoded now. */
static bool begin_whole(struct api_call *call, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    uint64_t needed;
    return infer->scanned ||
           (scan_has_ended(infer, ret_error) &&
            infer_grpc_request_read(&infer->request, call, &infer->inference, ret_error) &&
            infer_grpc_request_measure(&infer->request, &needed, ret_error) &&
            reserve(call, needed, ret_error));
}

/* ---- the body ---- */

/* Where the next bytes of the message go. */
static struct room message_room(struct api_call *call)
{
    struct grpc_infer *infer = infer_of(call);
    if (!is_small(infer))
        return infer_scan_room(&infer->scan);
    char *data = buf_reserve(&call->body, infer->reader.left_bytes);
    return (struct room){data, data ? infer->reader.left_bytes : 0};
}

static bool message_advance(struct api_call *call, size_t count, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    if (!is_small(infer))
        return infer_scan_advance(&infer->scan, count, ret_error) && place_tensors(call, ret_error);
    call->body.size += count;
    return true;
}

/* Why message_room had none. */
static void no_room(const struct api_call *call, struct error *ret_error)
{
    const struct buf *head = infer_of(call)->scan.head;
    error_no_memory(ret_error);
    uint64_t wanted = infer_of(call)->scan.run_bytes;
    if (head->limit_bytes - head->size >= (wanted ? wanted : 1))
        return;
    limit_hit(LIMIT_max_json_mib);
    error_set(ret_error, ERROR_TOO_LARGE,
              "the message is longer than the %zu bytes that are allowed beside raw_input_contents",
              head->limit_bytes);
}

static struct room body_room(struct http_exchange *exchange)
{
    static char sink[16384];
    struct api_call *call = call_of(exchange);
    struct grpc_infer *infer = infer_of(call);
    if (infer->reserving)
        return (struct room){NULL, 0};
    if (infer->step != STEP_MESSAGE && infer->step != STEP_COMPLETE)
        return (struct room){sink, sizeof sink};
    struct room room = grpc_reader_room(&infer->reader);
    if (!room.size)
        room = message_room(call);
    if (room.size)
        return room;
    struct error error;
    no_room(call, &error);
    fail(call, &error);
    return (struct room){sink, sizeof sink};
}

static bool advance(struct api_call *call, size_t count, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    bool inside = infer->reader.left_bytes > 0 && !infer->reader.compressed;
    if (infer->step == STEP_COMPLETE)
        return error_set(ret_error, ERROR_UNIMPLEMENTED, "a unary call has exactly one message");
    enum grpc_read read = grpc_reader_advance(&infer->reader, count, ret_error);
    if (read == GRPC_READ_ERROR || (inside && !message_advance(call, count, ret_error)))
        return false;
    if (read == GRPC_READ_STARTED) {
        infer_scan_init(&infer->scan, &call->body, infer->reader.size_bytes);
        call->exchange->body_expected_bytes = infer->reader.size_bytes;
    }
    if (read == GRPC_READ_MESSAGE) {
        grpc_reader_message(&infer->reader, &call->body);
        infer->step = STEP_COMPLETE;
    }
    return true;
}

static void body_received(struct http_exchange *exchange, size_t count)
{
    struct api_call *call = call_of(exchange);
    struct error error UNSET;
    enum step step = infer_of(call)->step;
    if ((step == STEP_MESSAGE || step == STEP_COMPLETE) && !advance(call, count, &error))
        fail(call, &error);
}

static void body_end(struct http_exchange *exchange)
{
    struct api_call *call = call_of(exchange);
    struct grpc_infer *infer = infer_of(call);
    struct error error UNSET;
    infer->body_ended = true;
    if (infer->step == STEP_DONE)
        return;
    if (infer->step != STEP_COMPLETE)
        error_set(&error, ERROR_INTERNAL, "the request ends before its message does");
    if (infer->step != STEP_COMPLETE || !begin_whole(call, &error))
        fail(call, &error);
    else if (!infer->reserving)
        finish(call);
}

static void closed(struct http_exchange *exchange, bool complete)
{
    struct api_call *call = call_of(exchange);
    struct grpc_infer *infer = infer_of(call);
    struct inference *inference = &infer->inference;
    infer->client_gone = true;
    infer->step = STEP_DONE;
    inference_disconnect(inference);
    if (inference->state == INFERENCE_QUEUED || inference->state == INFERENCE_RUNNING)
        inference_cancel(inference);
    else
        inference_fini(inference);
    buf_fini(&infer->tail);
    grpc_reader_fini(&infer->reader);
    grpc_writer_fini(&infer->writer);
    call_close(call);
}

static const struct http_handler infer_handler = {body_room, body_received, body_end, call_drained,
                                                  closed};

void grpc_infer_begin(struct api_call *call)
{
    struct error error UNSET;
    struct grpc_infer *infer = arena_calloc(&call->exchange->arena, 1, sizeof *infer);
    if (!infer) {
        error_no_memory(&error);
        call->exchange->handler = &call_drop_handler;
        grpc_end(call->exchange, &error);
        return;
    }
    call->detail = infer;
    buf_init(&call->body, call->api->max_json_bytes);
    buf_init(&infer->tail, call->api->max_json_bytes);
    size_t limit = call->api->max_body_bytes < INT32_MAX ? call->api->max_body_bytes
                                                         : INT32_MAX; /* as gRPC's own servers */
    grpc_reader_init(&infer->reader, &call->exchange->request, limit);
    infer->reader.plain.limit_bytes =
        limit < call->api->max_json_bytes ? limit : call->api->max_json_bytes;
    grpc_writer_init(&infer->writer, &call->exchange->request);
    call->exchange->handler = &infer_handler;
}
