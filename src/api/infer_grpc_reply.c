/* An answer as a ModelInferResponse; see infer_grpc_reply.h. */
#include "api/infer_grpc_reply.h"

#include "api/trace.h"
#include "codec/inference.pb.h"

#include <stdio.h>

enum { NUMBER_BYTES = 24, RAW_OUTPUT_CONTENTS = 6 };

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

bool infer_grpc_reply(struct api_call *call, struct grpc_writer *writer,
                      const struct inference *inference, const struct inference_answer *answer,
                      struct error *ret_error)
{
    char version[NUMBER_BYTES];
    snprintf(version, sizeof version, "%llu", (unsigned long long)inference_version(inference));
    struct inference_model_infer_response response = {.model_name = inference_model(inference),
                                                      .model_version = span_of(version),
                                                      .id = inference->id};
    size_t count;
    if (!list_outputs(&call->exchange->arena, answer, &response) ||
        !pb_encode(&inference_model_infer_response_pb, &response, &call->reply))
        return error_no_memory(ret_error);
    const struct iovec *vectors = list_vectors(call, answer, call->reply.size, &count);
    if (!vectors)
        return error_no_memory(ret_error);
    trace_tell_timing(call);
    grpc_reply(call->exchange, writer, NULL, 0);
    if (!grpc_message(call->exchange, writer, vectors, count))
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                         "the answer is larger than a gRPC message may be");
    return true;
}
