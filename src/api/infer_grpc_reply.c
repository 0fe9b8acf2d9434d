/* Answers as ModelInferResponse; see infer_grpc_reply.h. */
#include "api/infer_grpc_reply.h"

#include "api/trace.h"
#include "codec/inference.pb.h"

#include <stdio.h>

enum { NUMBER_BYTES = 24, RAW_OUTPUT_CONTENTS = 6, BOOL_PARAM = 1 };

static bool list_outputs(struct arena *arena, const struct inference_outputs *outputs,
                         struct inference_model_infer_response *response)
{
    struct inference_model_infer_response_infer_output_tensor *items =
        arena_calloc(arena, outputs->count, sizeof *items);
    for (size_t i = 0; items && i < outputs->count; i++) {
        const struct inference_output *output = &outputs->items[i];
        items[i].name = output->info->name;
        items[i].datatype = span_of(datatype_name(output->datatype));
        items[i].shape.count = output->shape.ndim;
        items[i].shape.items = (int64_t *)(uintptr_t)output->shape.dims;
    }
    response->outputs.items = items;
    response->outputs.count = (uint32_t)outputs->count;
    return items != NULL;
}

bool infer_grpc_encode(const struct inference *inference, const struct inference_outputs *outputs,
                       const bool *final, struct arena *arena, struct buf *text, size_t **ret_cuts,
                       struct error *ret_error)
{
    char version[NUMBER_BYTES];
    int size =
        snprintf(version, sizeof version, "%llu", (unsigned long long)inference_version(inference));
    struct inference_infer_parameter is_final = {.which_parameter_choice = BOOL_PARAM,
                                                 .bool_param = final && *final};
    struct inference_string_infer_parameter_entry parameter = {SPAN("triton_final_response"),
                                                               &is_final};
    struct inference_model_infer_response response = {
        .model_name = inference_model(inference),
        .model_version = {version, (size_t)size},
        .id = inference->id,
        .parameters = {.count = final != NULL, .items = &parameter},
    };
    size_t *cuts = arena_calloc(arena, outputs->count, sizeof *cuts);
    if (!cuts || !list_outputs(arena, outputs, &response) ||
        !pb_encode(&inference_model_infer_response_pb, &response, text))
        return message_no_memory(text, ret_error);
    for (size_t i = 0; i < outputs->count; i++) {
        if (!pb_encode_bytes_head(text, RAW_OUTPUT_CONTENTS, outputs->items[i].data.size))
            return message_no_memory(text, ret_error);
        cuts[i] = text->size;
    }
    *ret_cuts = cuts;
    return true;
}

/* The vectors of the message: text up to a cut, a tensor, and so on; behind the last tensor stands
 * nothing. NULL without memory. */
static struct iovec *list_vectors(struct api_call *call, const struct inference_outputs *outputs,
                                  const size_t *cuts, size_t *ret_count)
{
    struct iovec *vectors =
        arena_calloc(&call->exchange->arena, 2 * outputs->count + 1, sizeof *vectors);
    size_t count = 0, at = 0;
    if (!vectors)
        return NULL;
    for (size_t i = 0; i < outputs->count; i++) {
        struct span data = outputs->items[i].data;
        vectors[count++] = (struct iovec){call->reply.data + at, cuts[i] - at};
        if (data.size)
            vectors[count++] = (struct iovec){(void *)(uintptr_t)data.data, data.size};
        at = cuts[i];
    }
    if (!outputs->count)
        vectors[count++] = (struct iovec){call->reply.data, call->reply.size};
    *ret_count = count;
    return vectors;
}

bool infer_grpc_reply(struct api_call *call, struct grpc_writer *writer,
                      const struct inference *inference, const struct inference_outputs *outputs,
                      struct error *ret_error)
{
    size_t count, *cuts;
    if (!infer_grpc_encode(inference, outputs, NULL, &call->exchange->arena, &call->reply, &cuts,
                           ret_error))
        return false;
    /* -Wanalyzer-use-of-uninitialized-value: they were made
     * NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): likewise */
    const struct iovec *vectors = list_vectors(call, outputs, cuts, &count);
    if (!vectors)
        return error_no_memory(ret_error);
    trace_tell_timing(call);
    grpc_reply(call->exchange, writer, NULL, 0);
    if (!grpc_message(call->exchange, writer, vectors, count))
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                         "the answer is larger than a gRPC message may be");
    return true;
}
