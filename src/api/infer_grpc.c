/* inference.GRPCInferenceService/ModelInfer: the message is scanned while it comes, so that tensors
 * are received where they stay.
 *
 * Steps of a call: MESSAGE (up to the first tensor the scan fills the head; then memory is reserved
 * for all of them, for which the body may have to stand still; then the inputs are made and tensors
 * go into their memory), COMPLETE (the message has come), WAITING for the answer, DONE. A message
 * that is small, or has its values in the inputs' contents, is collected whole, and its memory is
 * reserved when it is complete. */
#include "api/grpc_call.h"
#include "api/trace.h"
#include "base/unset.h"
#include "codec/infer_contents.h"
#include "codec/infer_scan.h"
#include "codec/inference.pb.h"
#include "serving/inference.h"

#include <stdio.h>

enum step { STEP_MESSAGE, STEP_COMPLETE, STEP_WAITING, STEP_DONE };

enum {
    NUMBER_BYTES = 24,
    PARAMETER_LIMIT = 256,
    RAW_OUTPUT_CONTENTS = 6,
    SMALL_BYTES = 4096, /* up to here copying the tensors is cheaper than scanning for them */
};

struct grpc_infer {
    struct inference inference;
    struct inference_model_infer_request request; /* points into call->body */
    enum step step;
    bool bound;     /* the head is decoded: the inference has a model */
    bool scanned;   /* tensors go straight into memory; else the message is collected whole */
    bool reserving; /* memory for the inputs is waited for */
    bool body_ended;
    struct grpc_reader reader;
    struct grpc_writer writer;
    struct infer_scan scan;
    struct buf tail;   /* what follows the first tensor: unknown fields at most */
    size_t next_input; /* of the request, that the next tensor is for */
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

static bool list_outputs(struct arena *arena, const struct inference_answer *answer,
                         struct inference_model_infer_response *response)
{
    struct inference_model_infer_response_infer_output_tensor *items =
        arena_calloc(arena, answer->output_count, sizeof *items);
    for (size_t i = 0; items && i < answer->output_count; i++) {
        const struct inference_output *output = &answer->outputs[i];
        items[i].name = output->info->name;
        items[i].datatype = span_of(datatype_name(output->datatype));
        items[i].shape.count = output->shape.ndim;
        items[i].shape.items = (int64_t *)(uintptr_t)output->shape.dims;
    }
    response->outputs.items = items;
    response->outputs.count = (uint32_t)answer->output_count;
    return items != NULL;
}

/* The vectors of the message: its head, then before each tensor the tensor's tag and length. All
 * that is ours lies in call->reply, cut where a tensor comes between. */
static struct iovec *list_vectors(struct api_call *call, const struct inference_answer *answer,
                                  size_t head_bytes, size_t *ret_count)
{
    struct iovec *vectors =
        arena_calloc(&call->exchange->arena, 2 * answer->output_count + 1, sizeof *vectors);
    size_t *cuts = arena_calloc(&call->exchange->arena, answer->output_count + 1, sizeof *cuts);
    size_t count = 0;
    if (!vectors || !cuts)
        return NULL;
    cuts[0] = head_bytes;
    for (size_t i = 0; i < answer->output_count; i++) {
        if (!pb_encode_bytes_head(&call->reply, RAW_OUTPUT_CONTENTS, answer->outputs[i].data.size))
            return NULL;
        cuts[i + 1] = call->reply.size;
    }
    vectors[count++] = (struct iovec){call->reply.data, answer->output_count ? cuts[1] : cuts[0]};
    for (size_t i = 0; i < answer->output_count; i++) {
        struct span data = answer->outputs[i].data;
        if (data.size)
            vectors[count++] = (struct iovec){(void *)(uintptr_t)data.data, data.size};
        if (i + 1 < answer->output_count)
            vectors[count++] =
                (struct iovec){call->reply.data + cuts[i + 1], cuts[i + 2] - cuts[i + 1]};
    }
    *ret_count = count;
    return vectors;
}

static bool reply(struct api_call *call, const struct inference_answer *answer,
                  struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    char version[NUMBER_BYTES];
    snprintf(version, sizeof version, "%llu",
             (unsigned long long)inference_version(&infer->inference));
    struct inference_model_infer_response response = {.model_name =
                                                          inference_model(&infer->inference),
                                                      .model_version = span_of(version),
                                                      .id = infer->inference.id};
    size_t count;
    if (!list_outputs(&call->exchange->arena, answer, &response) ||
        !pb_encode(&inference_model_infer_response_pb, &response, &call->reply))
        return error_no_memory(ret_error);
    const struct iovec *vectors = list_vectors(call, answer, call->reply.size, &count);
    if (!vectors)
        return error_no_memory(ret_error);
    trace_tell_timing(call);
    grpc_reply(call->exchange, &infer->writer, NULL, 0);
    if (!grpc_message(call->exchange, &infer->writer, vectors, count))
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                         "the answer is larger than a gRPC message may be");
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

/* ---- from message to inputs ---- */

static bool take_shape(const struct inference_model_infer_request_infer_input_tensor *input,
                       struct shape *ret_shape, struct error *ret_error)
{
    if (input->shape.count > TENSOR_MAX_DIMS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a shape has at most %d dimensions",
                         TENSOR_MAX_DIMS);
    ret_shape->ndim = input->shape.count;
    for (uint32_t i = 0; i < input->shape.count; i++)
        ret_shape->dims[i] = input->shape.items[i];
    return true;
}

static bool has_shared_memory(const struct inference_model_infer_request_infer_input_tensor *input)
{
    for (uint32_t i = 0; i < input->parameters.count; i++) {
        if (span_starts_with(input->parameters.items[i].key, SPAN("shared_memory_")))
            return true;
    }
    return false;
}

static bool make_input(struct grpc_infer *infer, size_t index, uint64_t size_bytes, char **ret_to,
                       struct error *ret_error)
{
    const struct inference_model_infer_request_infer_input_tensor *input =
        &infer->request.inputs.items[index];
    enum tensord_datatype datatype = datatype_of_name(input->datatype);
    struct shape shape;
    if (datatype == TENSORD_INVALID)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "'%.*s' is no datatype",
                         SPAN_ARGS(input->datatype));
    if (has_shared_memory(input))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "shared memory is not enabled");
    return take_shape(input, &shape, ret_error) &&
           inference_input(&infer->inference, input->name, datatype, &shape, size_bytes, ret_to,
                           ret_error);
}

static struct span parameter_text(struct arena *arena,
                                  const struct inference_infer_parameter *value)
{
    switch (value ? value->which_parameter_choice : 0) {
    case 1:
        return value->bool_param ? SPAN("true") : SPAN("false");
    case 2:
        return span_of(arena_printf(arena, "%lld", (long long)value->int64_param));
    case 3:
        return value->string_param;
    case 4:
        return span_of(arena_printf(arena, "%.17g", value->double_param));
    case 5:
        return span_of(arena_printf(arena, "%llu", (unsigned long long)value->uint64_param));
    default:
        return SPAN("");
    }
}

/* The `timeout` parameter, in microseconds, shortens the deadline; all other parameters are for the
 * model. */
static void take_timeout(struct api_call *call, const struct inference_infer_parameter *value)
{
    struct inference *inference = &infer_of(call)->inference;
    uint64_t timeout_us = 0, deadline_ns;
    if (value && value->which_parameter_choice == 2 && value->int64_param > 0)
        timeout_us = (uint64_t)value->int64_param;
    if (value && value->which_parameter_choice == 5)
        timeout_us = value->uint64_param;
    if (!timeout_us || __builtin_mul_overflow(timeout_us, CLOCK_NS_PER_US, &deadline_ns) ||
        __builtin_add_overflow(deadline_ns, loop_now_ns(http_loop(call->exchange)), &deadline_ns))
        return;
    if (deadline_ns < inference->deadline_ns)
        inference->deadline_ns = deadline_ns;
}

static bool take_parameters(struct api_call *call, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    struct arena *arena = &call->exchange->arena;
    const struct inference_model_infer_request *request = &infer->request;
    struct parameter *list = arena_calloc(arena, request->parameters.count, sizeof *list);
    if (!list)
        return error_no_memory(ret_error);
    if (request->parameters.count > PARAMETER_LIMIT)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a request may have at most %d parameters", PARAMETER_LIMIT);
    for (uint32_t i = 0; i < request->parameters.count; i++) {
        struct span key = request->parameters.items[i].key;
        const struct inference_infer_parameter *value = request->parameters.items[i].value;
        if (span_equal(key, SPAN("timeout")))
            take_timeout(call, value);
        else if (!span_starts_with(key, SPAN("triton_")))
            list[infer->inference.parameter_count++] =
                (struct parameter){key, parameter_text(arena, value)};
    }
    infer->inference.parameters = list;
    return true;
}

static bool take_outputs(struct api_call *call, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    const struct inference_model_infer_request *request = &infer->request;
    struct span *names =
        arena_calloc(&call->exchange->arena, request->outputs.count, sizeof *names);
    if (!names)
        return error_no_memory(ret_error);
    for (uint32_t i = 0; i < request->outputs.count; i++)
        names[i] = request->outputs.items[i].name;
    inference_outputs(&infer->inference, names, request->outputs.count);
    return true;
}

/* Decodes the head and binds the inference: from here on tensors have a place to go. */
static bool take_head(struct api_call *call, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    struct inference_model_infer_request *request = &infer->request;
    if (!pb_decode(&inference_model_infer_request_pb, buf_span(&call->body), &call->exchange->arena,
                   request, ret_error))
        return false;
    call->model = request->model_name;
    call->version = request->model_version.size ? request->model_version : (struct span){NULL, 0};
    struct version *version = call_version(call, ret_error);
    if (!version || !inference_init(&infer->inference, version, &call->exchange->arena, ret_error))
        return false;
    infer->bound = true;
    infer->inference.id = request->id;
    infer->inference.caller = call->caller;
    return grpc_call_deadline(call, &infer->inference.deadline_ns, ret_error) &&
           take_parameters(call, ret_error) && take_outputs(call, ret_error);
}

/* The next raw tensor: the next input that has no contents of its own. */
static bool raw_begins(struct grpc_infer *infer, uint64_t size_bytes, char **ret_to,
                       struct error *ret_error)
{
    if (infer->next_input == infer->request.inputs.count)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "raw_input_contents has more tensors than the request has inputs (%u)",
                         infer->request.inputs.count);
    if (infer->request.inputs.items[infer->next_input].contents.size)
        return error_set(
            ret_error, ERROR_INVALID_ARGUMENT,
            "contents must not be given when raw_input_contents is, as for input '%.*s'",
            SPAN_ARGS(infer->request.inputs.items[infer->next_input].name));
    return make_input(infer, infer->next_input++, size_bytes, ret_to, ret_error);
}

static bool all_raw_came(const struct grpc_infer *infer, struct error *ret_error)
{
    return infer->next_input == infer->request.inputs.count ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "raw_input_contents has %zu tensors, but the request has %u inputs",
                     infer->next_input, infer->request.inputs.count);
}

/* ---- memory ---- */

static void reserved(struct inference *inference, const struct error *error);

/* Reserves memory for all inputs; false when they cannot have it. infer->reserving tells whether it
 * has to be waited for. */
static bool reserve(struct api_call *call, uint64_t needed_bytes, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    const struct inference_model_infer_request *request = &infer->request;
    bool has_rows = request->inputs.count && request->inputs.items[0].shape.count;
    int64_t rows = has_rows ? request->inputs.items[0].shape.items[0] : 0;
    infer->inference.reserved = reserved;
    infer->inference.owner = call;
    enum inference_memory memory =
        inference_reserve(&infer->inference, needed_bytes, rows < 0 ? 0 : rows,
                          http_held_bytes(call->exchange), ret_error);
    infer->reserving = memory == INFERENCE_MEMORY_WAITS;
    return memory != INFERENCE_MEMORY_REFUSED;
}

/* The first tensor begins: the sizes of all are not known yet, but that they are part of what is
 * still to come. */
static bool begin_scanned(struct api_call *call, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    if (!take_head(call, ret_error))
        return false;
    infer->scanned = true;
    infer->scan.head = &infer->tail; /* the decoded head must not move any more */
    return reserve(
        call, infer->scan.left_bytes + infer->request.inputs.count * (uint64_t)TENSOR_ALIGNMENT,
        ret_error);
}

/* Gives places to the tensors that begin, unless there is no memory yet. */
static bool place_tensors(struct api_call *call, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    uint64_t size;
    char *to;
    while (infer_scan_asks(&infer->scan, &size)) {
        if (!infer->bound && !begin_scanned(call, ret_error))
            return false;
        if (infer->reserving)
            return true;
        if (!raw_begins(infer, size, &to, ret_error))
            return false;
        infer_scan_place(&infer->scan, to);
    }
    return true;
}

/* What the inputs of a message that was collected whole need. */
static bool measure_whole(const struct grpc_infer *infer, uint64_t *ret_needed_bytes,
                          struct error *ret_error)
{
    const struct inference_model_infer_request *request = &infer->request;
    uint64_t needed = 0;
    for (uint32_t i = 0; i < request->raw_input_contents.count; i++)
        needed += tensor_memory_charge(request->raw_input_contents.items[i].size);
    for (uint32_t i = 0; !request->raw_input_contents.count && i < request->inputs.count; i++) {
        const struct inference_model_infer_request_infer_input_tensor *input =
            &request->inputs.items[i];
        enum tensord_datatype datatype = datatype_of_name(input->datatype);
        uint64_t size = 0;
        if (datatype != TENSORD_INVALID &&
            !contents_size(input->contents, datatype, &size, ret_error))
            return false;
        needed += tensor_memory_charge(size);
    }
    *ret_needed_bytes = needed;
    return true;
}

/* ---- from message to inputs, when the memory is there ---- */

/* Without raw tensors: the values stand in each input's contents. */
static bool take_contents(struct api_call *call, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    for (uint32_t i = 0; i < infer->request.inputs.count; i++) {
        const struct inference_model_infer_request_infer_input_tensor *input =
            &infer->request.inputs.items[i];
        enum tensord_datatype datatype = datatype_of_name(input->datatype);
        uint64_t size;
        char *to;
        if (datatype != TENSORD_INVALID &&
            !contents_size(input->contents, datatype, &size, ret_error))
            return false;
        if (!make_input(infer, i, datatype == TENSORD_INVALID ? 0 : size, &to, ret_error) ||
            !contents_copy(input->contents, datatype, to, ret_error))
            return false;
    }
    return true;
}

/* What came after the first tensor may only be fields that we do not know. */
static bool check_tail(struct api_call *call, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    struct inference_model_infer_request late = {0};
    if (!infer->tail.size)
        return true;
    if (!pb_decode(&inference_model_infer_request_pb, buf_span(&infer->tail),
                   &call->exchange->arena, &late, ret_error))
        return false;
    return pb_encoded_size(&inference_model_infer_request_pb, &late) == 0 ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "raw_input_contents must follow all other fields");
}

static bool is_small(const struct grpc_infer *infer)
{
    return infer->reader.size_bytes <= SMALL_BYTES || infer->reader.compressed;
}

/* Copies the tensors out of a message that was collected whole. */
static bool take_whole(struct api_call *call, struct error *ret_error)
{
    struct grpc_infer *infer = infer_of(call);
    const struct inference_model_infer_request *request = &infer->request;
    if (request->raw_input_contents.count == 0)
        return take_contents(call, ret_error);
    for (uint32_t i = 0; i < request->raw_input_contents.count; i++) {
        struct span raw = request->raw_input_contents.items[i];
        char *to;
        if (!raw_begins(infer, raw.size, &to, ret_error))
            return false;
        if (raw.size)
            memcpy(to, raw.data, raw.size);
    }
    return all_raw_came(infer, ret_error);
}

static bool scan_has_ended(const struct grpc_infer *infer, struct error *ret_error)
{
    return is_small(infer) || infer_scan_complete(&infer->scan) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT, "the message is no ModelInferRequest");
}

/* The message is complete, and the memory for its inputs is there. */
static void finish(struct api_call *call)
{
    struct grpc_infer *infer = infer_of(call);
    struct error error UNSET;
    bool taken = infer->scanned ? scan_has_ended(infer, &error) && all_raw_came(infer, &error) &&
                                      check_tail(call, &error)
                                : take_whole(call, &error);
    if (taken)
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
           (scan_has_ended(infer, ret_error) && take_head(call, ret_error) &&
            measure_whole(infer, &needed, ret_error) && reserve(call, needed, ret_error));
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
