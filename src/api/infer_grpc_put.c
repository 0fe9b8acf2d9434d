/* Answers of ModelStreamInfer as messages; see infer_grpc_put.h. */
#include "api/infer_grpc_put.h"

#include "api/classify.h"
#include "api/infer_grpc_reply.h"
#include "codec/inference.pb.h"

enum {
    ARENA_BYTES = 1024,
    ARENA_MAX_BYTES = 1 << 20,
    INFER_RESPONSE = 2, /* the field of ModelStreamInferResponse */
};

void infer_grpc_put_init(struct infer_grpc_put *put, const struct api_call *call)
{
    grpc_writer_init(&put->writer, &call->exchange->request);
    arena_init(&put->arena, ARENA_BYTES, ARENA_MAX_BYTES);
    put->arena.budget = &call->api->messages;
    buf_init(&put->scratch, SIZE_MAX / 2);
}

void infer_grpc_put_fini(struct infer_grpc_put *put)
{
    grpc_writer_fini(&put->writer);
    arena_fini(&put->arena);
    buf_fini(&put->scratch);
}

/* The pieces of a message: its head, then each tensor behind what of the scratch stands before it.
 */
static struct iovec *pieces_of(struct infer_grpc_put *put, struct span head,
                               const struct inference_outputs *outputs, const size_t *cuts)
{
    size_t at = 0, count = 0;
    struct iovec *pieces = arena_calloc(&put->arena, 2 * outputs->count + 2, sizeof *pieces);
    if (!pieces)
        return NULL;
    pieces[count++] = (struct iovec){(void *)(uintptr_t)head.data, head.size};
    for (size_t i = 0; i < outputs->count; i++) {
        const struct span data = outputs->items[i].data;
        pieces[count++] = (struct iovec){put->scratch.data + at, cuts[i] - at};
        pieces[count++] = (struct iovec){(void *)(uintptr_t)data.data, data.size};
        at = cuts[i];
    }
    pieces[count] = (struct iovec){put->scratch.data + at, put->scratch.size - at};
    return pieces;
}

/* Classes are made anew for each answer; values stay where they are. */
static bool put_tensor(struct answer_flow *flow, const struct inference_output *output)
{
    return classify_wants(flow->inference, output)
               ? buf_append(answer_flow_text(flow), output->data)
               : answer_flow_tensor(flow, output->data);
}

/* Appends the message, of which the head stands behind the prefix already: compressed, or with the
 * tensors left where they are. */
static bool append(struct infer_grpc_put *put, struct answer_flow *flow, size_t start,
                   const struct inference_outputs *outputs, const size_t *cuts, uint64_t size)
{
    struct buf *text = answer_flow_text(flow);
    const size_t head_at = start + GRPC_PREFIX_BYTES;
    const struct span head = {text->data + head_at, text->size - head_at};
    struct iovec *pieces = pieces_of(put, head, outputs, cuts);
    if (!pieces)
        return false;
    bool compressed = grpc_compress(&put->writer, pieces, 2 * outputs->count + 2, size);
    if (compressed) {
        text->size = head_at;
        size = put->writer.compressed.size;
    }
    grpc_prefix(text->data + start, compressed, size);
    if (compressed)
        return buf_append(text, buf_span(&put->writer.compressed));
    bool done = true;
    for (size_t i = 0; done && i <= outputs->count; i++) {
        const struct iovec *own = &pieces[1 + 2 * i];
        done = buf_append(text, (struct span){own->iov_base, own->iov_len}) &&
               (i == outputs->count || put_tensor(flow, &outputs->items[i]));
    }
    return done;
}

/* Appends the message in the scratch, whose tensors stand at the cuts. */
static bool put_scratch(struct infer_grpc_put *put, struct answer_flow *flow,
                        const struct inference_outputs *outputs, const size_t *cuts,
                        struct error *ret_error)
{
    struct buf *text = answer_flow_text(flow);
    size_t start = text->size, tensor_count = flow->next.tensor_count;
    uint64_t size = put->scratch.size;
    char prefix[GRPC_PREFIX_BYTES] = {0};
    for (size_t i = 0; i < outputs->count; i++)
        size += outputs->items[i].data.size;
    bool begun = buf_append(text, (struct span){prefix, sizeof prefix}) &&
                 pb_encode_bytes_head(text, INFER_RESPONSE, size);
    uint64_t whole = text->size - start - sizeof prefix + size;
    bool fits = whole <= INT32_MAX; /* more, gRPC's clients do not take */
    if (begun && fits && append(put, flow, start, outputs, cuts, whole))
        return true;
    if (begun && !fits)
        error_set(ret_error, ERROR_RESOURCE_EXHAUSTED,
                  "the answer is larger than a gRPC message may be");
    else
        message_no_memory(text, ret_error);
    answer_flow_cut(flow, start, tensor_count);
    return false;
}

bool infer_grpc_put_outputs(struct infer_grpc_put *put, struct answer_flow *flow,
                            const struct inference_outputs *outputs, bool final,
                            struct error *ret_error)
{
    size_t *cuts;
    bool done = infer_grpc_encode(flow->inference, outputs, &final, &put->arena, &put->scratch,
                                  &cuts, ret_error) &&
                put_scratch(put, flow, outputs, cuts, ret_error);
    if (!done)
        message_explain(&put->arena, ret_error);
    buf_clear(&put->scratch);
    arena_clear(&put->arena);
    return done;
}

bool infer_grpc_put_failure(struct infer_grpc_put *put, struct answer_flow *flow, struct span id,
                            const struct error *error)
{
    struct inference_infer_parameter is_final = {.which_parameter_choice = 1, .bool_param = true};
    struct inference_string_infer_parameter_entry parameter = {SPAN("triton_final_response"),
                                                               &is_final};
    struct inference_model_infer_response response = {
        .id = id, .parameters = {.count = 1, .items = &parameter}};
    const struct inference_model_stream_infer_response message = {span_of(error->message),
                                                                  &response};
    struct buf *text = answer_flow_text(flow);
    size_t start = text->size;
    char prefix[GRPC_PREFIX_BYTES] = {0};
    if (!buf_append(text, (struct span){prefix, sizeof prefix}) ||
        !pb_encode(&inference_model_stream_infer_response_pb, &message, text)) {
        answer_flow_cut(flow, start, flow->next.tensor_count);
        return false;
    }
    grpc_prefix(text->data + start, false, text->size - start - sizeof prefix);
    return true;
}
