/* Reading the request of POST …/infer and its kin: the JSON is
 * collected, tensors that follow it go straight to where they stay.
 *
 * Steps of a call: JSON (all of the body, or the first Inference-Header-Content-Length bytes), then
 * MEMORY (the body stands still until there is memory for all inputs), TENSORS (one input after the
 * other, received into memory that the worker shares), then SUBMITTED: the rest is
 * infer_answer.c's.
 */
#include "api/classify.h"
#include "api/coding.h"
#include "api/forwarded.h"
#include "api/gate.h"
#include "api/infer_call.h"
#include "api/routes.h"
#include "base/unset.h"
#include "codec/tensor_json.h"

#include <assert.h>

void infer_refuse(struct api_call *call, const struct error *error)
{
    infer_of(call)->step = INFER_REFUSED;
    infer_of(call)->told = true;
    reply_error(call, error);
}

/* ---- from JSON to inputs ---- */

/* Says whose data the error is in. */
static bool fail_data(const struct infer_json_input *input, struct error *error)
{
    const struct error cause = *error;
    return error_set(error, cause.code, "data of input '%.*s': %s", SPAN_ARGS(input->name),
                     cause.message);
}

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
    return tensor_json_bytes_size(&json, &input->size_bytes) || fail_data(input, ret_error);
}

static bool json_input(struct api_call *call, const struct infer_json_input *input,
                       struct error *ret_error)
{
    static const struct shape scalar = {.ndim = 0};
    struct infer_call *infer = infer_of(call);
    struct json json;
    char *data;
    json_init(&json, input->data, JSON_MAX_DEPTH, &call->exchange->arena, ret_error);
    if (!inference_input(&infer->inference, input->name, input->datatype, &input->shape,
                         input->size_bytes, &data, ret_error))
        return false;
    return tensor_from_json(&json, input->datatype, input->alone ? &scalar : &input->shape,
                            (struct room){data, input->size_bytes}) ||
           fail_data(input, ret_error);
}

static bool binary_input(struct infer_call *infer, const struct infer_json_input *input,
                         struct error *ret_error)
{
    char *data;
    if (!inference_input(&infer->inference, input->name, input->datatype, &input->shape,
                         input->size_bytes, &data, ret_error))
        return false;
    infer->destinations[infer->destination_count++] =
        (struct infer_destination){data, input->size_bytes};
    return true;
}

/* It is read when all of the request has come. */
static bool region_input(struct infer_call *infer, const struct infer_json_input *input,
                         size_t number, struct error *ret_error)
{
    char *data;
    if (!inference_input(&infer->inference, input->name, input->datatype, &input->shape,
                         input->size_bytes, &data, ret_error))
        return false;
    infer_regions_place(&infer->regions, number, data);
    return true;
}

static bool name_outputs(struct api_call *call, struct error *ret_error)
{
    struct infer_call *infer = infer_of(call);
    size_t count = infer->request.output_count;
    struct arena *arena = &call->exchange->arena;
    struct span *names = arena_calloc(arena, count, sizeof *names);
    uint32_t *classes = arena_calloc(arena, count, sizeof *classes);
    if (!names || !classes)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < count; i++) {
        const struct infer_json_output *output = &infer->request.outputs[i];
        names[i] = output->name;
        classes[i] = output->classes;
        if (output->region.region.data &&
            !infer_regions_add_output(&infer->regions, call, arena, output->name, i, count,
                                      &output->region, ret_error))
            return false;
    }
    if (infer->streams && infer->regions.has_outputs)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the answers of a stream overwrite each other in a shared memory region; "
                         "use ModelStreamInfer for that");
    inference_outputs(&infer->inference, names, count);
    return classify_want(&infer->inference, classes, count, arena, ret_error);
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
    struct infer_json *request = &infer_of(call)->request;
    uint64_t needed = 0, binary = 0;
    for (size_t i = 0; i < request->input_count; i++) {
        struct infer_json_input *input = &request->inputs[i];
        bool shared = input->region.region.data != NULL;
        if (input->data.data && !measure_json_input(call, input, ret_error))
            return false;
        if (shared &&
            !infer_regions_add_input(&infer_of(call)->regions, call, &call->exchange->arena,
                                     input->name, &input->region, ret_error))
            return false;
        if (shared)
            input->size_bytes = input->region.size_bytes;
        uint64_t binary_size = input->data.data || shared ? 0 : input->size_bytes;
        if (input->size_bytes > INT64_MAX || __builtin_add_overflow(binary, binary_size, &binary) ||
            __builtin_add_overflow(needed, tensor_memory_charge(input->size_bytes), &needed))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "the sizes of the inputs are too large");
    }
    *ret_needed_bytes = needed;
    return check_length(call, binary, ret_error);
}

static bool make_inputs(struct api_call *call, struct error *ret_error)
{
    struct infer_call *infer = infer_of(call);
    const struct infer_json *request = &infer->request;
    infer->destinations =
        arena_calloc(&call->exchange->arena, request->input_count, sizeof *infer->destinations);
    if (!infer->destinations)
        return error_no_memory(ret_error);
    size_t regions = 0;
    for (size_t i = 0; i < request->input_count; i++) {
        const struct infer_json_input *input = &request->inputs[i];
        bool made = input->data.data            ? json_input(call, input, ret_error)
                    : input->region.region.data ? region_input(infer, input, regions++, ret_error)
                                                : binary_input(infer, input, ret_error);
        if (!made)
            return false;
    }
    return true;
}

/* ---- memory ---- */

static void complete(struct api_call *call);

/* The memory for all inputs is there. */
static void fill(struct api_call *call)
{
    struct infer_call *infer = infer_of(call);
    struct error error UNSET;
    if (infer->raw ? infer_raw_make(call, &error) : make_inputs(call, &error))
        infer->step = INFER_TENSORS;
    else
        infer_refuse(call, &error);
}

static void reserved(struct inference *inference, const struct error *error)
{
    struct api_call *call = inference->owner;
    struct infer_call *infer = infer_of(call);
    if (error->code == ERROR_OK)
        fill(call);
    else
        infer_refuse(call, error);
    if (infer->body_ended)
        complete(call);
    else
        coding_resume(call);
}

/* Goes on with fill, now or later. */
static void reserve(struct api_call *call, uint64_t needed_bytes, const struct shape *first)
{
    struct infer_call *infer = infer_of(call);
    struct inference *inference = &infer->inference;
    struct error error UNSET;
    infer->step = INFER_MEMORY;
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
        infer_refuse(call, &error);
        break;
    }
}

/* ---- the deadline ---- */

/* X-Request-Timeout-Ms, beside the parameter `timeout`: counted from the request's first byte, and
 * never for the queue alone. */
static bool take_deadline(struct api_call *call, struct error *ret_error)
{
    static const struct span name = {"x-request-timeout-ms", 20};
    const struct http_exchange *exchange = call->exchange;
    struct inference *inference = &infer_of(call)->inference;
    struct span value = http_field(&exchange->request, name);
    uint64_t timeout_ms, timeout_ns, deadline_ns;
    if (!value.data)
        return true;
    if (!http_field_is_single(&exchange->request, name) || !span_to_u64(value, &timeout_ms) ||
        timeout_ms == 0)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "X-Request-Timeout-Ms must be one number of milliseconds, 1 or above");
    if (__builtin_mul_overflow(timeout_ms, CLOCK_NS_PER_MS, &timeout_ns) ||
        __builtin_add_overflow(exchange->started_ns, timeout_ns, &deadline_ns))
        return true; /* later than anything */
    inference->deadline_ns = deadline_ns;
    inference->times_out = true;
    return true;
}

/* ---- the version ---- */

static bool bind(struct api_call *call, struct error *ret_error)
{
    const struct infer_json *request = &infer_of(call)->request;
    struct span name = call_sticky(call), value = {NULL, 0};
    for (size_t i = 0; name.size && i < request->parameter_count; i++) {
        if (span_equal(request->parameters[i].key, name))
            value = request->parameters[i].value;
    }
    return call_inference(call, &infer_of(call)->inference, value, &call->exchange->arena,
                          ret_error);
}

/* Which version is asked may depend on the request's parameters; how a request is read, on the
 * version. */
static bool read_and_bind(struct api_call *call, struct error *ret_error)
{
    const struct infer_form *form = infer_of(call)->form;
    bool by_parameter = !form->by_schema && call_sticky(call).size;
    if (by_parameter && !form->read(call, ret_error))
        return false;
    return bind(call, ret_error) && (by_parameter || form->read(call, ret_error));
}

/* The fields that are parameters. */
static bool take_fields(struct api_call *call, struct error *ret_error)
{
    struct inference *inference = &infer_of(call)->inference;
    return forwarded_add(call->api->gate->forwarded, &call->exchange->request, inference->arena,
                         &inference->parameters, &inference->parameter_count, ret_error);
}

/* The JSON is complete. */
static void take_json(struct api_call *call)
{
    struct infer_call *infer = infer_of(call);
    struct inference *inference = &infer->inference;
    struct error error UNSET;
    if (!read_and_bind(call, &error) || !take_deadline(call, &error)) {
        infer_refuse(call, &error);
        return;
    }
    inference->id = infer->request.id;
    inference->parameters = infer->request.parameters;
    inference->parameter_count = infer->request.parameter_count;
    inference->sequence = infer->request.sequence;
    inference_urge(inference, infer->request.priority, infer->request.timeout_us);
    uint64_t needed = 0;
    if (!take_fields(call, &error) || !measure_inputs(call, &needed, &error) ||
        !name_outputs(call, &error))
        infer_refuse(call, &error);
    else
        reserve(call, needed, infer->request.input_count ? &infer->request.inputs[0].shape : NULL);
}

static void take_raw(struct api_call *call)
{
    struct infer_call *infer = infer_of(call);
    struct error error UNSET;
    uint64_t needed = 0;
    infer->request.binary_output = true;
    if (!bind(call, &error) || !take_deadline(call, &error) || !take_fields(call, &error) ||
        !infer_raw_measure(call, &needed, &error)) {
        infer_refuse(call, &error);
        return;
    }
    reserve(call, needed, &infer->raw_shape);
}

/* ---- the body ---- */

static struct room sink(void)
{
    static char bytes[16384];
    return (struct room){bytes, sizeof bytes};
}

static struct room json_room(struct api_call *call)
{
    struct infer_call *infer = infer_of(call);
    int64_t length = call->exchange->request.content_length;
    uint64_t total = infer->json_bytes;
    if (total == UINT64_MAX && length >= 0)
        total = (uint64_t)length;
    struct room room = call_body_room(call, total);
    if (room.size)
        return room;
    struct error error;
    call_body_error(call, total, "the request's JSON", &error);
    infer_refuse(call, &error);
    return sink();
}

static struct room body_room(struct http_exchange *exchange)
{
    struct api_call *call = call_of(exchange);
    struct infer_call *infer = infer_of(call);
    if (infer->step == INFER_JSON)
        return json_room(call);
    if (infer->step == INFER_MEMORY)
        return (struct room){NULL, 0};
    if (infer->step != INFER_TENSORS)
        return sink();
    while (infer->at < infer->destination_count &&
           infer->filled == infer->destinations[infer->at].size)
        infer->at++, infer->filled = 0;
    if (infer->at < infer->destination_count) {
        const struct infer_destination *to = &infer->destinations[infer->at];
        return (struct room){to->data + infer->filled, to->size - infer->filled};
    }
    struct error error;
    error_set(&error, ERROR_INVALID_ARGUMENT, "the body is longer than its JSON and binary inputs");
    infer_refuse(call, &error);
    return sink();
}

static void body_received(struct http_exchange *exchange, size_t count)
{
    struct api_call *call = call_of(exchange);
    struct infer_call *infer = infer_of(call);
    if (infer->step == INFER_TENSORS) {
        infer->filled += count;
    } else if (infer->step == INFER_JSON) {
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

/* The inputs that lie in shared memory have been read, or could not be. */
static void regions_read(struct infer_regions *regions, const struct error *error)
{
    struct api_call *call = regions->call;
    struct infer_call *infer = infer_of(call);
    if (infer->client_gone) {
        inference_fini(&infer->inference);
        infer_regions_release(regions);
    } else if (error->code != ERROR_OK) {
        infer_refuse(call, error);
    } else {
        infer_answer_begin(call);
    }
}

/* The body has ended, and the memory for its inputs was there or will not come. */
static void complete(struct api_call *call)
{
    struct infer_call *infer = infer_of(call);
    if (infer->step == INFER_REFUSED)
        return;
    if (infer->step == INFER_TENSORS && tensors_complete(infer)) {
        infer->step = INFER_REGIONS;
        if (!infer_regions_read(&infer->regions, regions_read))
            infer_answer_begin(call);
        return;
    }
    struct error error;
    error_set(&error, ERROR_INVALID_ARGUMENT, "the body ends before its JSON and binary inputs do");
    infer_refuse(call, &error);
}

static void body_end(struct http_exchange *exchange)
{
    struct api_call *call = call_of(exchange);
    struct infer_call *infer = infer_of(call);
    infer->body_ended = true;
    if (infer->step == INFER_JSON && infer->json_bytes == UINT64_MAX)
        take_json(call);
    if (infer->step != INFER_MEMORY)
        complete(call);
}

static const struct http_handler infer_handler = {body_room, body_received, body_end,
                                                  infer_answer_drained, infer_answer_closed};

/* ---- the beginning ---- */

/* Reads Inference-Header-Content-Length: how much of the body is JSON. */
static bool read_json_length(struct api_call *call, struct error *ret_error)
{
    struct infer_call *infer = infer_of(call);
    const struct http_request *request = &call->exchange->request;
    struct span text = http_field(request, SPAN("inference-header-content-length"));
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
    infer->raw = infer->json_bytes == 0;
    return true;
}

static bool check_length_limits(const struct api_call *call, struct error *ret_error)
{
    const struct http_request *request = &call->exchange->request;
    uint64_t json = infer_of(call)->json_bytes;
    if (json == UINT64_MAX)
        json = (uint64_t)request->content_length;
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
    return true;
}

static void begin(struct api_call *call, const struct infer_form *form, bool streams)
{
    struct error error UNSET;
    struct infer_call *infer = arena_calloc(&call->exchange->arena, 1, sizeof *infer);
    if (!infer) {
        error_no_memory(&error);
        reply_error(call, &error);
        return;
    }
    infer->form = form;
    infer->streams = streams;
    infer->json_bytes = UINT64_MAX;
    answer_flow_init(&infer->flow, &infer->inference, &call->api->messages);
    call->detail = infer;
    call->reply.budget = &call->api->messages;
    call->exchange->handler = &infer_handler;
    if ((form->may_be_binary && !read_json_length(call, &error)) ||
        !check_length_limits(call, &error))
        infer_refuse(call, &error);
    else if (infer->raw)
        take_raw(call);
}

void begin_infer(struct api_call *call)
{
    begin(call, &infer_form, false);
}

void begin_infer_stream(struct api_call *call)
{
    begin(call, &infer_form, true);
}

void begin_generate(struct api_call *call)
{
    begin(call, &generate_form, false);
}

void begin_predict(struct api_call *call)
{
    begin(call, &predict_form, false);
}

void begin_generate_stream(struct api_call *call)
{
    begin(call, &generate_form, true);
}
