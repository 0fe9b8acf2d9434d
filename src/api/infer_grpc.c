/* inference.GRPCInferenceService/ModelInfer: one message (infer_message.h) and one answer.
 *
 * Steps of a call: MESSAGE, COMPLETE (the message has come, and the body may end), WAITING for the
 * answer, DONE. */
#include "api/classify.h"
#include "api/grpc_call.h"
#include "api/infer_grpc_reply.h"
#include "api/infer_message.h"
#include "api/trace.h"
#include "base/unset.h"
#include "serving/only_answer.h"

enum step { STEP_MESSAGE, STEP_COMPLETE, STEP_WAITING, STEP_DONE };

struct grpc_infer {
    struct infer_message message; /* first */
    struct only_answer only;
    struct inference_outputs outputs; /* of its answer, while they are written to shared memory */
    enum step step;
    bool body_ended;
    struct grpc_reader reader;
    struct grpc_writer writer;
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

/* A model that says of itself that it may answer any number of times. */
static bool is_decoupled(const struct inference *inference, struct error *ret_error)
{
    const struct schema *schema = inference_schema(inference);
    if (!schema || !schema->streams)
        return false;
    error_set(ret_error, ERROR_UNIMPLEMENTED,
              "ModelInfer RPC doesn't support models with decoupled transaction policy; use "
              "ModelStreamInfer");
    return true;
}

static struct infer_regions *regions_of(struct grpc_infer *infer)
{
    return &infer->message.request.regions;
}

static void reply(struct api_call *call, struct inference_outputs *outputs)
{
    struct grpc_infer *infer = infer_of(call);
    const struct inference *inference = &infer->message.inference;
    struct error error UNSET;
    infer->step = STEP_DONE;
    if (classify_outputs(call, inference, outputs, &error) &&
        infer_grpc_reply(call, &infer->writer, inference, outputs, &error))
        grpc_end(call->exchange, NULL);
    else
        fail(call, &error);
}

/* The inference has had its final answer, and nothing moves its outputs any more. */
static void end(struct api_call *call)
{
    struct grpc_infer *infer = infer_of(call);
    infer_regions_release(regions_of(infer));
    if (infer->client_gone)
        inference_fini(&infer->message.inference);
    http_unref(call->exchange);
}

static void written(struct infer_regions *regions, const struct error *error)
{
    struct api_call *call = regions->call;
    struct grpc_infer *infer = infer_of(call);
    if (infer->step == STEP_WAITING && error->code != ERROR_OK)
        fail(call, error);
    else if (infer->step == STEP_WAITING)
        reply(call, &infer->outputs);
    end(call);
}

static void tell(struct api_call *call, const struct inference_answer *answer)
{
    struct grpc_infer *infer = infer_of(call);
    struct inference *inference = &infer->message.inference;
    struct error error UNSET;
    if (is_decoupled(inference, &error)) { /* it was loading when it was asked */
        fail(call, &error);
        return;
    }
    switch (only_answer_take(&infer->only, inference, answer, &infer->outputs, &error)) {
    case ONLY_ANSWER_WAITS:
        break;
    case ONLY_ANSWER_GIVEN:
        if (regions_of(infer)->has_outputs)
            infer_regions_write(regions_of(infer), &infer->outputs, written);
        else
            reply(call, &infer->outputs);
        break;
    case ONLY_ANSWER_FAILED:
        fail(call, &error);
        break;
    }
}

static void answered(struct inference *inference, const struct inference_answer *answer)
{
    struct api_call *call = inference->owner;
    struct grpc_infer *infer = infer_of(call);
    if (infer->step == STEP_WAITING)
        tell(call, answer);
    if (!answer->final) {
        if (infer->step == STEP_DONE)
            inference_cancel(inference);
        return;
    }
    if (!infer_regions_moving(regions_of(infer)))
        end(call);
}

/* The message is complete, and the memory for its inputs is there; called again when those that lie
 * in shared memory have been read. */
static void submit(struct api_call *call)
{
    struct grpc_infer *infer = infer_of(call);
    struct inference *inference = &infer->message.inference;
    struct error error UNSET;
    if (is_decoupled(inference, &error) || !infer_message_finish(&infer->message, &error)) {
        fail(call, &error);
        return;
    }
    if (infer->message.waits)
        return;
    infer->step = STEP_WAITING;
    inference->owner = call;
    inference->answered = answered;
    trace_inference(call, inference);
    http_ref(call->exchange); /* until the final answer */
    inference_submit(inference);
}

/* ---- the body ---- */

static void resumed(struct infer_message *message, const struct error *error)
{
    struct api_call *call = message->call;
    if (infer_of(call)->client_gone) { /* shared memory was being read meanwhile */
        inference_fini(&message->inference);
        infer_regions_release(&message->request.regions);
        return;
    }
    if (infer_of(call)->step == STEP_DONE) /* the body has ended before the message */
        return;
    if (error)
        fail(call, error);
    else if (infer_of(call)->body_ended)
        submit(call);
    http_resume(call->exchange);
}

static struct room body_room(struct http_exchange *exchange)
{
    static char sink[16384];
    struct api_call *call = call_of(exchange);
    struct grpc_infer *infer = infer_of(call);
    if (infer->message.waits)
        return (struct room){NULL, 0};
    if (infer->step != STEP_MESSAGE && infer->step != STEP_COMPLETE)
        return (struct room){sink, sizeof sink};
    struct room room = grpc_reader_room(&infer->reader);
    if (!room.size)
        room = infer_message_room(&infer->message, infer->reader.left_bytes);
    if (room.size)
        return room;
    struct error error;
    infer_message_no_room(&infer->message, &error);
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
    if (read == GRPC_READ_ERROR ||
        (inside && !infer_message_advance(&infer->message, count, ret_error)))
        return false;
    if (read == GRPC_READ_STARTED)
        infer_message_begin(&infer->message, &infer->reader);
    if (read == GRPC_READ_MESSAGE) {
        infer_message_take(&infer->message, &infer->reader);
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
    if (infer->step != STEP_COMPLETE || !infer_message_end(&infer->message, &error))
        fail(call, &error);
    else if (!infer->message.waits)
        submit(call);
}

static void closed(struct http_exchange *exchange, bool complete)
{
    struct api_call *call = call_of(exchange);
    struct grpc_infer *infer = infer_of(call);
    struct inference *inference = &infer->message.inference;
    infer->client_gone = true;
    infer->step = STEP_DONE;
    inference_disconnect(inference);
    if (inference->state == INFERENCE_QUEUED || inference->state == INFERENCE_RUNNING)
        inference_cancel(inference);
    else if (!infer_regions_moving(regions_of(infer)))
        inference_fini(inference);
    infer_regions_release(regions_of(infer));
    infer_message_fini(&infer->message);
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
    infer_message_init(&infer->message, call, &call->exchange->arena, resumed);
    infer_reader_init(&infer->reader, call);
    grpc_writer_init(&infer->writer, &call->exchange->request);
    call->exchange->handler = &infer_handler;
}
