/* What a ModelInferRequest says beside its tensors; see infer_grpc_request.h. */
#include "api/infer_grpc_request.h"

#include "api/classify.h"
#include "api/forwarded.h"
#include "api/gate.h"
#include "api/grpc_call.h"

#include <math.h>

enum {
    PARAMETER_LIMIT = 256,
    BOOL_PARAM = 1,
    INT64_PARAM,
    STRING_PARAM,
    DOUBLE_PARAM,
    UINT64_PARAM,
};

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

/* A whole number, 0 when it is none: tritonclient sends signed and unsigned ones. */
static uint64_t parameter_u64(const struct inference_infer_parameter *value)
{
    if (value && value->which_parameter_choice == 2 && value->int64_param > 0)
        return (uint64_t)value->int64_param;
    return value && value->which_parameter_choice == 5 ? value->uint64_param : 0;
}

static struct span find_parameter(const struct inference_model_infer_request *message,
                                  struct span name, struct arena *arena)
{
    for (uint32_t i = 0; name.size && i < message->parameters.count; i++) {
        if (span_equal(message->parameters.items[i].key, name))
            return parameter_text(arena, message->parameters.items[i].value);
    }
    return (struct span){NULL, 0};
}

/* Is it a bool, or a number that JSON can write? */
static bool is_literal(const struct inference_infer_parameter *value)
{
    int kind = value ? (int)value->which_parameter_choice : 0;
    return kind && kind != STRING_PARAM && (kind != DOUBLE_PARAM || isfinite(value->double_param));
}

/* What a parameter says of a sequence, if it does. */
static bool take_mark(struct span key, const struct inference_infer_parameter *value,
                      struct sequence_mark *mark, struct error *ret_error)
{
    bool starts = span_equal(key, SPAN("sequence_start"));
    uint32_t kind = value ? value->which_parameter_choice : 0;
    if (starts || span_equal(key, SPAN("sequence_end"))) {
        if (kind != BOOL_PARAM)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT, "'%.*s' is a bool_param",
                             SPAN_ARGS(key));
        *(starts ? &mark->starts : &mark->ends) = value->bool_param;
    }
    if (!span_equal(key, SPAN("sequence_id")))
        return true;
    if (kind == STRING_PARAM)
        mark->id.text = value->string_param;
    else if (kind == INT64_PARAM) /* a client in C++ writes one of 2^63 and above as negative */
        mark->id.number = (uint64_t)value->int64_param;
    else
        mark->id.number = parameter_u64(value);
    return kind == STRING_PARAM || kind == UINT64_PARAM || kind == INT64_PARAM ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "'sequence_id' is a string_param, an int64_param or a uint64_param");
}

/* `timeout` and `priority` are for the queue; the others are for the model. */
static bool take_parameters(struct infer_grpc_request *request, struct api_call *call,
                            struct inference *inference, struct error *ret_error)
{
    const struct inference_model_infer_request *message = &request->message;
    struct arena *arena = inference->arena;
    struct parameter *list = arena_calloc(arena, message->parameters.count, sizeof *list);
    if (!list)
        return error_no_memory(ret_error);
    if (message->parameters.count > PARAMETER_LIMIT)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "a request may have at most %d parameters", PARAMETER_LIMIT);
    uint64_t timeout_us = 0, priority = 0;
    for (uint32_t i = 0; i < message->parameters.count; i++) {
        struct span key = message->parameters.items[i].key;
        const struct inference_infer_parameter *value = message->parameters.items[i].value;
        if (span_equal(key, SPAN("timeout")))
            timeout_us = parameter_u64(value);
        else if (span_equal(key, SPAN("priority")))
            priority = parameter_u64(value);
        else if (span_equal(key, SPAN("triton_enable_empty_final_response")))
            request->wants_empty_final =
                value && value->which_parameter_choice == BOOL_PARAM && value->bool_param;
        else if (!take_mark(key, value, &inference->sequence, ret_error))
            return false;
        else if (!span_starts_with(key, SPAN("triton_")))
            list[inference->parameter_count++] =
                (struct parameter){key, parameter_text(arena, value), is_literal(value)};
    }
    inference->parameters = list;
    inference_urge(inference, priority, timeout_us);
    return forwarded_add(call->api->gate->forwarded, &call->exchange->request, arena,
                         &inference->parameters, &inference->parameter_count, ret_error);
}

/* ---- shared memory ---- */

/* One parameter of a tensor that says where it lies. */
static bool take_region_word(struct span tensor, struct span key,
                             const struct inference_infer_parameter *value,
                             struct region_words *words, struct error *ret_error)
{
    uint32_t which = value ? value->which_parameter_choice : 0;
    bool named = span_equal(key, SPAN("shared_memory_region"));
    bool number = which == UINT64_PARAM || (which == INT64_PARAM && value->int64_param >= 0);
    if (named && which == STRING_PARAM) {
        words->region = value->string_param.data ? value->string_param : SPAN("");
    } else if (number && span_equal(key, SPAN("shared_memory_offset"))) {
        words->offset = parameter_u64(value);
        words->has_offset = true;
    } else if (number && span_equal(key, SPAN("shared_memory_byte_size"))) {
        words->size_bytes = parameter_u64(value);
        words->has_size = true;
    } else {
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "invalid value type for '%.*s' parameter for tensor '%.*s'",
                         SPAN_ARGS(key), SPAN_ARGS(tensor));
    }
    return true;
}

static bool take_region(struct span tensor,
                        const struct inference_string_infer_parameter_entry *parameters,
                        uint32_t count, struct region_words *ret_words, struct error *ret_error)
{
    *ret_words = (struct region_words){.has_size = false};
    for (uint32_t i = 0; i < count; i++) {
        if (span_starts_with(parameters[i].key, SPAN("shared_memory_")) &&
            !take_region_word(tensor, parameters[i].key, parameters[i].value, ret_words, ret_error))
            return false;
    }
    if (ret_words->region.data || (!ret_words->has_offset && !ret_words->has_size))
        return true;
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "'shared_memory_%s' can not be specified without 'shared_memory_region' "
                     "parameter for tensor '%.*s'",
                     ret_words->has_offset ? "offset" : "byte_size", SPAN_ARGS(tensor));
}

/* Finds the inputs that lie in shared memory. */
static bool take_shared_inputs(struct infer_grpc_request *request, struct api_call *call,
                               struct arena *arena, struct error *ret_error)
{
    const struct inference_model_infer_request *message = &request->message;
    struct region_words words;
    for (uint32_t i = 0; i < message->inputs.count; i++) {
        const struct inference_model_infer_request_infer_input_tensor *input =
            &message->inputs.items[i];
        if (!take_region(input->name, input->parameters.items, input->parameters.count, &words,
                         ret_error))
            return false;
        if (!words.region.data)
            continue;
        if (!request->in_regions)
            request->in_regions =
                arena_calloc(arena, message->inputs.count, sizeof *request->in_regions);
        if (!request->in_regions)
            return error_no_memory(ret_error);
        if (!infer_regions_add_input(&request->regions, call, arena, input->name, &words,
                                     ret_error))
            return false;
        request->in_regions[i] = true;
        if (words.size_bytes > INT32_MAX * (uint64_t)TENSOR_MAX_PER_REQUEST ||
            request->region_bytes > INT64_MAX / 2)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "the sizes of the inputs are too large");
        request->region_bytes += tensor_memory_charge(words.size_bytes);
    }
    return true;
}

/* ---- outputs ---- */

static bool take_output_parameters(
    const struct inference_model_infer_request_infer_requested_output_tensor *output,
    uint32_t *ret_classes, struct error *ret_error)
{
    for (uint32_t i = 0; i < output->parameters.count; i++) {
        if (!span_equal(output->parameters.items[i].key, SPAN("classification")))
            continue;
        uint64_t count = parameter_u64(output->parameters.items[i].value);
        if (count == 0 || count > INT32_MAX)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'classification' is how many classes are wanted, 1 or above");
        *ret_classes = (uint32_t)count;
    }
    return true;
}

static bool
take_shared_output(struct infer_grpc_request *request, struct api_call *call, struct arena *arena,
                   const struct inference_model_infer_request_infer_requested_output_tensor *output,
                   uint32_t number, uint32_t classes, struct error *ret_error)
{
    struct region_words words;
    if (!take_region(output->name, output->parameters.items, output->parameters.count, &words,
                     ret_error))
        return false;
    if (words.region.data && classes)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "output can't set both 'shared_memory_region' and 'classification'");
    return !words.region.data ||
           infer_regions_add_output(&request->regions, call, arena, output->name, number,
                                    request->message.outputs.count, &words, ret_error);
}

static bool take_outputs(struct infer_grpc_request *request, struct api_call *call,
                         struct inference *inference, struct error *ret_error)
{
    const struct inference_model_infer_request *message = &request->message;
    uint32_t count = message->outputs.count;
    struct span *names = arena_calloc(inference->arena, count, sizeof *names);
    uint32_t *classes = arena_calloc(inference->arena, count, sizeof *classes);
    if (!names || !classes)
        return error_no_memory(ret_error);
    for (uint32_t i = 0; i < count; i++) {
        names[i] = message->outputs.items[i].name;
        if (!take_output_parameters(&message->outputs.items[i], &classes[i], ret_error) ||
            !take_shared_output(request, call, inference->arena, &message->outputs.items[i], i,
                                classes[i], ret_error))
            return false;
    }
    inference_outputs(inference, names, count);
    return classify_want(inference, classes, count, inference->arena, ret_error);
}

bool infer_grpc_request_read(struct infer_grpc_request *request, struct api_call *call,
                             struct span bytes, struct arena *arena, struct inference *inference,
                             struct error *ret_error)
{
    struct inference_model_infer_request *message = &request->message;
    if (!pb_decode(&inference_model_infer_request_pb, bytes, arena, message, ret_error))
        return false;
    if (call->api->serving->draining)
        return grpc_call_leaves(ret_error);
    call->model = message->model_name;
    call->version = message->model_version.size ? message->model_version : (struct span){NULL, 0};
    bool bound = call_inference(call, inference, find_parameter(message, call_sticky(call), arena),
                                arena, ret_error);
    call->model = call->version = (struct span){NULL, 0}; /* the next message has its own */
    if (!bound)
        return false;
    inference->id = message->id;
    return grpc_call_deadline(call, &inference->deadline_ns, ret_error) &&
           take_parameters(request, call, inference, ret_error) &&
           take_shared_inputs(request, call, arena, ret_error) &&
           take_outputs(request, call, inference, ret_error);
}

static bool keep_spans(struct arena *arena, struct span *spans, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!arena_copy(arena, spans[i], &spans[i]))
            return false;
    }
    return true;
}

bool infer_grpc_request_keep(struct infer_grpc_request *request, struct arena *arena,
                             struct inference *inference, struct error *ret_error)
{
    struct parameter *parameters = (struct parameter *)(uintptr_t)inference->parameters;
    bool kept = keep_spans(arena, &inference->id, 1) &&
                keep_spans(arena, &inference->sequence.id.text, 1) &&
                keep_spans(arena, inference->input_names, inference->input_count) &&
                keep_spans(arena, (struct span *)(uintptr_t)inference->output_names,
                           inference->output_name_count);
    for (size_t i = 0; kept && i < inference->parameter_count; i++)
        kept =
            keep_spans(arena, &parameters[i].key, 1) && keep_spans(arena, &parameters[i].value, 1);
    request->message = (struct inference_model_infer_request){.id = inference->id};
    return kept || error_no_memory(ret_error);
}

int64_t infer_grpc_request_rows(const struct infer_grpc_request *request)
{
    const struct inference_model_infer_request *message = &request->message;
    if (!message->inputs.count || !message->inputs.items[0].shape.count)
        return 0;
    int64_t rows = message->inputs.items[0].shape.items[0];
    return rows < 0 ? 0 : rows;
}

/* Only fields that we do not know. */
bool infer_grpc_request_check_tail(struct span tail, struct arena *arena, struct error *ret_error)
{
    struct inference_model_infer_request late = {0};
    if (!tail.size)
        return true;
    if (!pb_decode(&inference_model_infer_request_pb, tail, arena, &late, ret_error))
        return false;
    return pb_encoded_size(&inference_model_infer_request_pb, &late) == 0 ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "raw_input_contents must follow all other fields");
}
