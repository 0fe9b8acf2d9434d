/* The tensors of a ModelInferRequest; see infer_grpc_request.h. They come one by one while the
 * message is received, or are copied out of one that was collected whole. */
#include "api/infer_grpc_request.h"

#include "codec/infer_contents.h"

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

/* The number of the next input, from `at` on, that is not in shared memory. */
static size_t skip_shared(const struct infer_grpc_request *request, size_t at)
{
    while (request->in_regions && at < request->message.inputs.count && request->in_regions[at])
        at++;
    return at;
}

static bool is_shared(const struct infer_grpc_request *request, size_t input)
{
    return request->in_regions && request->in_regions[input];
}

static size_t count_shared(const struct infer_grpc_request *request)
{
    size_t count = 0;
    for (uint32_t i = 0; i < request->message.inputs.count; i++)
        count += is_shared(request, i);
    return count;
}

static bool make_input(const struct inference_model_infer_request_infer_input_tensor *input,
                       struct inference *inference, uint64_t size_bytes, char **ret_to,
                       struct error *ret_error)
{
    enum tensord_datatype datatype = datatype_of_name(input->datatype);
    struct shape shape;
    if (datatype == TENSORD_INVALID)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "'%.*s' is no datatype",
                         SPAN_ARGS(input->datatype));
    return take_shape(input, &shape, ret_error) &&
           inference_input(inference, input->name, datatype, &shape, size_bytes, ret_to, ret_error);
}

bool infer_grpc_request_next_raw(struct infer_grpc_request *request, struct inference *inference,
                                 uint64_t size_bytes, char **ret_to, struct error *ret_error)
{
    const struct inference_model_infer_request *message = &request->message;
    request->next_input = skip_shared(request, request->next_input);
    if (request->next_input == message->inputs.count)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "raw_input_contents has more tensors than the request has inputs that "
                         "are not in shared memory (%zu)",
                         message->inputs.count - count_shared(request));
    request->raw_count++;
    const struct inference_model_infer_request_infer_input_tensor *input =
        &message->inputs.items[request->next_input++];
    if (input->contents.size)
        return error_set(
            ret_error, ERROR_INVALID_ARGUMENT,
            "contents must not be given when raw_input_contents is, as for input '%.*s'",
            SPAN_ARGS(input->name));
    return make_input(input, inference, size_bytes, ret_to, ret_error);
}

bool infer_grpc_request_end_raw(const struct infer_grpc_request *request, struct error *ret_error)
{
    size_t expected = request->message.inputs.count - count_shared(request);
    return request->raw_count == expected ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "raw_input_contents has %zu tensors, but the request has %zu inputs",
                     request->raw_count, expected);
}

bool infer_grpc_request_make_shared(struct infer_grpc_request *request, struct inference *inference,
                                    struct error *ret_error)
{
    size_t number = 0;
    for (uint32_t i = 0; i < request->message.inputs.count; i++) {
        const struct inference_model_infer_request_infer_input_tensor *input =
            &request->message.inputs.items[i];
        char *to = NULL;
        if (!is_shared(request, i))
            continue;
        if (input->contents.size)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "input '%.*s' has contents and lies in shared memory, too",
                             SPAN_ARGS(input->name));
        if (!make_input(input, inference, request->regions.inputs[number].size_bytes, &to,
                        ret_error))
            return false;
        infer_regions_place(&request->regions, number++, to);
    }
    return true;
}

/* ---- a whole message ---- */

/* Bytes of an input's contents as a tensor; 0 for one that make_input will refuse. */
static bool measure_contents(const struct inference_model_infer_request_infer_input_tensor *input,
                             uint64_t *ret_size, struct error *ret_error)
{
    enum tensord_datatype datatype = datatype_of_name(input->datatype);
    *ret_size = 0;
    return datatype == TENSORD_INVALID ||
           contents_size(input->contents, datatype, ret_size, ret_error);
}

bool infer_grpc_request_measure(const struct infer_grpc_request *request,
                                uint64_t *ret_needed_bytes, struct error *ret_error)
{
    const struct inference_model_infer_request *message = &request->message;
    uint64_t needed = request->region_bytes, size;
    for (uint32_t i = 0; i < message->raw_input_contents.count; i++)
        needed += tensor_memory_charge(message->raw_input_contents.items[i].size);
    for (uint32_t i = 0; !message->raw_input_contents.count && i < message->inputs.count; i++) {
        if (is_shared(request, i))
            continue;
        if (!measure_contents(&message->inputs.items[i], &size, ret_error))
            return false;
        needed += tensor_memory_charge(size);
    }
    *ret_needed_bytes = needed;
    return true;
}

/* Without raw tensors: the values stand in each input's contents. */
static bool copy_contents(const struct infer_grpc_request *request, struct inference *inference,
                          struct error *ret_error)
{
    for (uint32_t i = 0; i < request->message.inputs.count; i++) {
        const struct inference_model_infer_request_infer_input_tensor *input =
            &request->message.inputs.items[i];
        uint64_t size;
        char *to = NULL;
        if (is_shared(request, i))
            continue;
        if (!measure_contents(input, &size, ret_error) ||
            !make_input(input, inference, size, &to, ret_error) ||
            !contents_copy(input->contents, datatype_of_name(input->datatype), to, ret_error))
            return false;
    }
    return true;
}

bool infer_grpc_request_copy(struct infer_grpc_request *request, struct inference *inference,
                             struct error *ret_error)
{
    const struct inference_model_infer_request *message = &request->message;
    if (message->raw_input_contents.count == 0)
        return copy_contents(request, inference, ret_error);
    for (uint32_t i = 0; i < message->raw_input_contents.count; i++) {
        struct span raw = message->raw_input_contents.items[i];
        char *to = NULL;
        if (!infer_grpc_request_next_raw(request, inference, raw.size, &to, ret_error))
            return false;
        if (raw.size) /* NOLINT(clang-analyzer-core.NonNullParamChecker): it has its place */
            memcpy(to, raw.data, raw.size);
    }
    return infer_grpc_request_end_raw(request, ret_error);
}
