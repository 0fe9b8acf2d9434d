/* A raw body: no JSON at all, the body is the model's one input; see infer_call.h. */
#include "api/infer_call.h"

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
    struct infer_call *infer = infer_of(call);
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

bool infer_raw_measure(struct api_call *call, uint64_t *ret_needed_bytes, struct error *ret_error)
{
    struct infer_call *infer = infer_of(call);
    infer->destinations = arena_calloc(&call->exchange->arena, 1, sizeof *infer->destinations);
    if (!infer->destinations)
        return error_no_memory(ret_error);
    if (!check_raw_input(call, ret_error))
        return false;
    *ret_needed_bytes = tensor_memory_charge((uint64_t)call->exchange->request.content_length +
                                             raw_prefix_bytes(infer));
    return true;
}

bool infer_raw_make(struct api_call *call, struct error *ret_error)
{
    struct infer_call *infer = infer_of(call);
    const struct tensor_info *info = &inference_schema(&infer->inference)->inputs[0];
    uint64_t size = (uint64_t)call->exchange->request.content_length;
    size_t prefix = raw_prefix_bytes(infer);
    char *data;
    if (!inference_input(&infer->inference, info->name, info->datatype, &infer->raw_shape,
                         size + prefix, &data, ret_error))
        return false;
    if (prefix)
        memcpy(data, &(uint32_t){(uint32_t)size}, prefix);
    infer->destinations[0] = (struct infer_destination){prefix ? data + prefix : data, size};
    infer->destination_count = 1;
    return true;
}
