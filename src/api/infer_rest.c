/* POST /v2/models/{model}/infer: the JSON is collected, tensors that follow it go straight to where
 * they stay.
 *
 * Steps of a call: JSON (all of the body, or the first Inference-Header-Content-Length bytes), then
 * MEMORY (the body stands still until there is memory for all inputs), TENSORS (one input after the
 * other, received into memory that the worker shares), then WAITING for the answer, then the answer
 * is written from where the worker left it. */
#include "api/infer_json.h"
#include "api/infer_reply.h"
#include "api/routes.h"
#include "api/trace.h"
#include "base/unset.h"
#include "codec/tensor_json.h"

#include <assert.h>

enum step { STEP_JSON, STEP_MEMORY, STEP_TENSORS, STEP_WAITING, STEP_REFUSED };

/* Where the bytes of one binary input go. */
struct destination {
    char *data;
    uint64_t size;
};

struct infer_call {
    struct inference inference;
    struct infer_json request;
    enum step step;
    uint64_t json_bytes; /* length of the JSON; UINT64_MAX: all of the body */
    bool raw;            /* the whole body is the one input */
    bool body_ended;
    struct shape raw_shape; /* of the input that a raw body is */
    struct destination *destinations;
    size_t destination_count;
    size_t at;       /* the destination that is being filled */
    uint64_t filled; /* bytes of it */
    bool client_gone;
};

static struct infer_call *infer_of(const struct http_exchange *exchange)
{
    return call_of(exchange)->detail;
}

/* Ends the call with an error; what still comes of the body is dropped. */
static void refuse(struct api_call *call, const struct error *error)
{
    struct infer_call *infer = call->detail;
    infer->step = STEP_REFUSED;
    reply_error(call, error);
}

/* ---- the answer ---- */

/* What the answer does not need goes before it is sent, which takes as long as the client likes. */
static void forget_request(struct api_call *call, const struct inference_answer *answer)
{
    struct infer_call *infer = call->detail;
    buf_fini(&call->body);
    if (infer->step == STEP_REFUSED || !infer_reply_is_binary(&infer->request, answer))
        inference_forget_tensors(&infer->inference);
}

static void answered(struct inference *inference, const struct inference_answer *answer)
{
    struct api_call *call = inference->owner;
    struct infer_call *infer = call->detail;
    struct http_exchange *exchange = call->exchange;
    struct error error = answer->error;
    bool late = infer->step != STEP_WAITING;
    if (!answer->final && !late) {
        error_set(&error, ERROR_UNIMPLEMENTED,
                  "the model answers several times; use a streaming call");
        inference_cancel(inference);
    }
    if (!late && error.code != ERROR_OK)
        refuse(call, &error);
    else if (!late && !infer_reply(call, inference, &infer->request, answer, &error))
        refuse(call, &error);
    if (!answer->final)
        return;
    if (infer->client_gone) /* nothing reads the outputs any more */
        inference_fini(inference);
    else
        forget_request(call, answer);
    http_unref(exchange);
}

static void submit(struct api_call *call)
{
    struct infer_call *infer = call->detail;
    struct inference *inference = &infer->inference;
    infer->step = STEP_WAITING;
    inference->answered = answered;
    trace_inference(call, inference);
    http_ref(call->exchange); /* until the final answer */
    inference_submit(inference);
}

/* ---- from JSON to inputs ---- */

/* Finds out how many bytes the values of a JSON input take as a tensor. */
static bool measure_json_input(struct api_call *call, struct infer_json_input *input,
                               struct error *ret_error)
{
    struct json json;
    if (input->datatype != TENSORD_BYTES)
        return shape_size_bytes(&input->shape, input->datatype, &input->size_bytes) ||
               error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the shape of input '%.*s' is too large", SPAN_ARGS(input->name));
    json_init(&json, input->data, JSON_MAX_DEPTH, &call->exchange->arena, ret_error);
    return tensor_json_bytes_size(&json, &input->size_bytes);
}

static bool json_input(struct api_call *call, const struct infer_json_input *input,
                       struct error *ret_error)
{
    struct infer_call *infer = call->detail;
    struct json json;
    char *data;
    json_init(&json, input->data, JSON_MAX_DEPTH, &call->exchange->arena, ret_error);
    return inference_input(&infer->inference, input->name, input->datatype, &input->shape,
                           input->size_bytes, &data, ret_error) &&
           tensor_from_json(&json, input->datatype, &input->shape,
                            (struct room){data, input->size_bytes});
}

static bool binary_input(struct infer_call *infer, const struct infer_json_input *input,
                         struct error *ret_error)
{
    char *data;
    if (!inference_input(&infer->inference, input->name, input->datatype, &input->shape,
                         input->size_bytes, &data, ret_error))
        return false;
    infer->destinations[infer->destination_count++] = (struct destination){data, input->size_bytes};
    return true;
}

static bool name_outputs(struct api_call *call, struct error *ret_error)
{
    struct infer_call *infer = call->detail;
    size_t count = infer->request.output_count;
    struct span *names = arena_calloc(&call->exchange->arena, count, sizeof *names);
    if (!names)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < count; i++)
        names[i] = infer->request.outputs[i].name;
    inference_outputs(&infer->inference, names, count);
    return true;
}

/* The binary inputs must fill the rest of the body to the byte. */
static bool check_length(const struct api_call *call, uint64_t binary_bytes,
                         struct error *ret_error)
{
    int64_t length = call->exchange->request.content_length;
    uint64_t sum;
    if (__builtin_add_overflow(binary_bytes, call->body.size, &sum))
        sum = UINT64_MAX;
    if (length >= 0 && (uint64_t)length != sum)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the body has %lld bytes, but JSON and binary inputs add up to %llu",
                         (long long)length, (unsigned long long)sum);
    return true;
}

/* The size of every input, and what they need of the model's memory together. */
static bool measure_inputs(struct api_call *call, uint64_t *ret_needed_bytes,
                           struct error *ret_error)
{
    struct infer_json *request = &((struct infer_call *)call->detail)->request;
    uint64_t needed = 0, binary = 0;
    for (size_t i = 0; i < request->input_count; i++) {
        struct infer_json_input *input = &request->inputs[i];
        if (input->data.data && !measure_json_input(call, input, ret_error))
            return false;
        uint64_t binary_size = input->data.data ? 0 : input->size_bytes;
        if (input->size_bytes > INT64_MAX || __builtin_add_overflow(binary, binary_size, &binary) ||
            __builtin_add_overflow(needed, tensor_memory_charge(input->size_bytes), &needed))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "the sizes of the inputs are too large");
    }
    *ret_needed_bytes = needed;
    return check_length(call, binary, ret_error);
}

static void set_deadline(struct api_call *call)
{
    struct infer_call *infer = call->detail;
    uint64_t deadline_ns;
    if (infer->request.timeout_us &&
        !__builtin_mul_overflow(infer->request.timeout_us, CLOCK_NS_PER_US, &deadline_ns) &&
        !__builtin_add_overflow(deadline_ns, loop_now_ns(http_loop(call->exchange)), &deadline_ns))
        infer->inference.deadline_ns = deadline_ns;
}

static bool make_inputs(struct api_call *call, struct error *ret_error)
{
    struct infer_call *infer = call->detail;
    const struct infer_json *request = &infer->request;
    infer->destinations =
        arena_calloc(&call->exchange->arena, request->input_count, sizeof *infer->destinations);
    if (!infer->destinations)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < request->input_count; i++) {
        const struct infer_json_input *input = &request->inputs[i];
        if (!(input->data.data ? json_input(call, input, ret_error)
                               : binary_input(infer, input, ret_error)))
            return false;
    }
    return true;
}

/* ---- memory ---- */

static bool make_raw_input(struct api_call *call, struct error *ret_error);
static void complete(struct api_call *call);

/* The memory for all inputs is there. */
static void fill(struct api_call *call)
{
    struct infer_call *infer = call->detail;
    struct error error UNSET;
    if (infer->raw ? make_raw_input(call, &error) : make_inputs(call, &error))
        infer->step = STEP_TENSORS;
    else
        refuse(call, &error);
}

static void reserved(struct inference *inference, const struct error *error)
{
    struct api_call *call = inference->owner;
    struct infer_call *infer = call->detail;
    if (error->code == ERROR_OK)
        fill(call);
    else
        refuse(call, error);
    if (infer->body_ended)
        complete(call);
    else
        http_resume(call->exchange);
}

/* Goes on with fill, now or later. */
static void reserve(struct api_call *call, uint64_t needed_bytes, const struct shape *first)
{
    struct infer_call *infer = call->detail;
    struct inference *inference = &infer->inference;
    struct error error UNSET;
    infer->step = STEP_MEMORY;
    inference->reserved = reserved;
    inference->owner = call;
    switch (inference_reserve(inference, needed_bytes, first && first->ndim ? first->dims[0] : 0,
                              http_held_bytes(call->exchange), &error)) {
    case INFERENCE_MEMORY_GIVEN:
        fill(call);
        break;
    case INFERENCE_MEMORY_WAITS:
        break;
    case INFERENCE_MEMORY_REFUSED:
        refuse(call, &error);
        break;
    }
}

/* The JSON is complete. */
static void take_json(struct api_call *call)
{
    struct infer_call *infer = call->detail;
    struct inference *inference = &infer->inference;
    struct error error UNSET;
    struct version *version = call_version(call, &error);
    if (!version || !inference_init(inference, version, &call->exchange->arena, &error) ||
        !infer_json_read(buf_span(&call->body), &call->exchange->arena, &infer->request, &error)) {
        refuse(call, &error);
        return;
    }
    inference->id = infer->request.id;
    inference->caller = call->caller;
    inference->parameters = infer->request.parameters;
    inference->parameter_count = infer->request.parameter_count;
    set_deadline(call);
    uint64_t needed = 0;
    if (!measure_inputs(call, &needed, &error) || !name_outputs(call, &error))
        refuse(call, &error);
    else
        reserve(call, needed, infer->request.input_count ? &infer->request.inputs[0].shape : NULL);
}

/* ---- a raw body: no JSON at all, the body is the model's one input ---- */

/* The shape that a raw body of `size` bytes has: the schema's, with at most one free dimension. */
static bool raw_shape(const struct tensor_info *info, uint64_t size, struct shape *ret_shape,
                      struct error *ret_error)
{
    struct shape shape = info->shape;
    uint64_t fixed;
    int64_t *free_dim = NULL;
    for (uint32_t i = 0; i < shape.ndim; i++) {
        if (shape.dims[i] >= 0)
            continue;
        if (free_dim) /* a batch dimension before another free one: one row */
            *free_dim = 1;
        free_dim = &shape.dims[i];
        *free_dim = 1;
    }
    if (!shape_size_bytes(&shape, info->datatype, &fixed) || fixed == 0 ||
        (!free_dim && fixed != size) || size % fixed != 0)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a raw body of %llu bytes does not fit input '%.*s'",
                         (unsigned long long)size, SPAN_ARGS(info->name));
    if (free_dim)
        *free_dim = (int64_t)(size / fixed);
    *ret_shape = shape;
    return true;
}

/* A raw body for a BYTES input is its one element. */
static bool raw_bytes_shape(const struct tensor_info *info, uint64_t size, struct shape *ret_shape,
                            struct error *ret_error)
{
    if (size > UINT32_MAX)
        return error_set(ret_error, ERROR_TOO_LARGE, "a BYTES element is shorter than 4 GiB");
    *ret_shape = info->shape;
    for (uint32_t i = 0; i < info->shape.ndim; i++)
        ret_shape->dims[i] = 1;
    return true;
}

static bool check_raw_input(struct api_call *call, struct error *ret_error)
{
    struct infer_call *infer = call->detail;
    const struct schema *schema = inference_schema(&infer->inference);
    int64_t length = call->exchange->request.content_length;
    if (length < 0)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "a raw body needs a content-length");
    if (!schema)
        return error_set(ret_error, ERROR_UNAVAILABLE,
                         "the model is loading; its inputs are not known yet");
    if (schema->input_count != 1)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a raw body needs a model with exactly one input; this one has %zu",
                         schema->input_count);
    const struct tensor_info *info = &schema->inputs[0];
    if (info->datatype == TENSORD_BYTES)
        return raw_bytes_shape(info, (uint64_t)length, &infer->raw_shape, ret_error);
    return raw_shape(info, (uint64_t)length, &infer->raw_shape, ret_error);
}

/* What stands before a raw body in its tensor: the length of a BYTES element. */
static size_t raw_prefix_bytes(const struct infer_call *infer)
{
    const struct tensor_info *info = &inference_schema(&infer->inference)->inputs[0];
    return info->datatype == TENSORD_BYTES ? sizeof(uint32_t) : 0;
}

static bool make_raw_input(struct api_call *call, struct error *ret_error)
{
    struct infer_call *infer = call->detail;
    const struct tensor_info *info = &inference_schema(&infer->inference)->inputs[0];
    uint64_t size = (uint64_t)call->exchange->request.content_length;
    size_t prefix = raw_prefix_bytes(infer);
    char *data;
    if (!inference_input(&infer->inference, info->name, info->datatype, &infer->raw_shape,
                         size + prefix, &data, ret_error))
        return false;
    if (prefix)
        memcpy(data, &(uint32_t){(uint32_t)size}, prefix);
    infer->destinations[0] = (struct destination){prefix ? data + prefix : data, size};
    infer->destination_count = 1;
    return true;
}

static void take_raw(struct api_call *call)
{
    struct infer_call *infer = call->detail;
    struct error error UNSET;
    struct version *version = call_version(call, &error);
    infer->request.binary_output = true;
    infer->destinations = arena_calloc(&call->exchange->arena, 1, sizeof *infer->destinations);
    if (!infer->destinations)
        error_no_memory(&error);
    if (!infer->destinations || !version ||
        !inference_init(&infer->inference, version, &call->exchange->arena, &error) ||
        !check_raw_input(call, &error)) {
        refuse(call, &error);
        return;
    }
    infer->inference.caller = call->caller;
    uint64_t size = (uint64_t)call->exchange->request.content_length + raw_prefix_bytes(infer);
    reserve(call, tensor_memory_charge(size), &infer->raw_shape);
}

/* ---- the body ---- */

static struct room sink(void)
{
    static char bytes[16384];
    return (struct room){bytes, sizeof bytes};
}

static struct room json_room(struct api_call *call)
{
    struct infer_call *infer = call->detail;
    int64_t length = call->exchange->request.content_length;
    uint64_t total = infer->json_bytes;
    if (total == UINT64_MAX && length >= 0)
        total = (uint64_t)length;
    struct room room = call_body_room(call, total);
    if (room.size)
        return room;
    struct error error;
    call_body_error(call, total, "the request's JSON", &error);
    refuse(call, &error);
    return sink();
}

static struct room body_room(struct http_exchange *exchange)
{
    struct api_call *call = call_of(exchange);
    struct infer_call *infer = call->detail;
    if (infer->step == STEP_JSON)
        return json_room(call);
    if (infer->step == STEP_MEMORY)
        return (struct room){NULL, 0};
    if (infer->step != STEP_TENSORS)
        return sink();
    while (infer->at < infer->destination_count &&
           infer->filled == infer->destinations[infer->at].size)
        infer->at++, infer->filled = 0;
    if (infer->at < infer->destination_count) {
        const struct destination *to = &infer->destinations[infer->at];
        return (struct room){to->data + infer->filled, to->size - infer->filled};
    }
    struct error error;
    error_set(&error, ERROR_INVALID_ARGUMENT, "the body is longer than its JSON and binary inputs");
    refuse(call, &error);
    return sink();
}

static void body_received(struct http_exchange *exchange, size_t count)
{
    struct api_call *call = call_of(exchange);
    struct infer_call *infer = call->detail;
    if (infer->step == STEP_TENSORS) {
        infer->filled += count;
    } else if (infer->step == STEP_JSON) {
        call->body.size += count;
        if (call->body.size == infer->json_bytes)
            take_json(call);
    }
}

static bool tensors_complete(const struct infer_call *infer)
{
    size_t at = infer->at;
    uint64_t filled = infer->filled;
    while (at < infer->destination_count && filled == infer->destinations[at].size)
        at++, filled = 0;
    return at == infer->destination_count;
}

/* The body has ended, and the memory for its inputs was there or will not come. */
static void complete(struct api_call *call)
{
    struct infer_call *infer = call->detail;
    if (infer->step == STEP_REFUSED)
        return;
    if (infer->step == STEP_TENSORS && tensors_complete(infer)) {
        submit(call);
        return;
    }
    struct error error;
    error_set(&error, ERROR_INVALID_ARGUMENT, "the body ends before its JSON and binary inputs do");
    refuse(call, &error);
}

static void body_end(struct http_exchange *exchange)
{
    struct api_call *call = call_of(exchange);
    struct infer_call *infer = call->detail;
    infer->body_ended = true;
    if (infer->step == STEP_JSON && infer->json_bytes == UINT64_MAX)
        take_json(call);
    if (infer->step != STEP_MEMORY)
        complete(call);
}

static void exchange_closed(struct http_exchange *exchange, bool complete)
{
    struct api_call *call = call_of(exchange);
    struct infer_call *infer = infer_of(exchange);
    struct inference *inference = &infer->inference;
    infer->client_gone = true;
    if (infer->step == STEP_WAITING)
        infer->step = STEP_REFUSED;
    inference_disconnect(inference);
    if (inference->state == INFERENCE_QUEUED || inference->state == INFERENCE_RUNNING)
        inference_cancel(inference);
    else
        inference_fini(inference);
    call_close(call);
}

static const struct http_handler infer_handler = {body_room, body_received, body_end, call_drained,
                                                  exchange_closed};

/* ---- the beginning ---- */

/* Reads Inference-Header-Content-Length: how much of the body is JSON. */
static bool read_json_length(struct api_call *call, struct error *ret_error)
{
    struct infer_call *infer = call->detail;
    const struct http_request *request = &call->exchange->request;
    struct span text = http_field(request, SPAN("inference-header-content-length"));
    infer->json_bytes = UINT64_MAX;
    if (!http_field_is_single(request, SPAN("inference-header-content-length")))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "Inference-Header-Content-Length is given more than once");
    if (text.data && !span_to_u64(text, &infer->json_bytes))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "Inference-Header-Content-Length is no number");
    if (text.data && request->content_length >= 0 &&
        infer->json_bytes > (uint64_t)request->content_length)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "Inference-Header-Content-Length is larger than the body");
    uint64_t json = text.data ? infer->json_bytes : (uint64_t)request->content_length;
    if (request->content_length >= 0 && json > call->api->max_json_bytes) {
        limit_hit(LIMIT_max_json_mib);
        return error_set(ret_error, ERROR_TOO_LARGE,
                         "the request's JSON is longer than the %zu bytes that are allowed",
                         call->api->max_json_bytes);
    }
    if (request->content_length > 0 &&
        (uint64_t)request->content_length > call->api->max_body_bytes) {
        limit_hit(LIMIT_max_body_mib);
        return error_set(ret_error, ERROR_TOO_LARGE,
                         "the body is longer than the %zu bytes that are allowed",
                         call->api->max_body_bytes);
    }
    infer->raw = infer->json_bytes == 0;
    return true;
}

void begin_infer(struct api_call *call)
{
    struct error error UNSET;
    struct infer_call *infer = arena_calloc(&call->exchange->arena, 1, sizeof *infer);
    if (!infer) {
        error_no_memory(&error);
        reply_error(call, &error);
        return;
    }
    call->detail = infer;
    call->exchange->handler = &infer_handler;
    if (!read_json_length(call, &error))
        refuse(call, &error);
    else if (infer->raw)
        take_raw(call);
}
