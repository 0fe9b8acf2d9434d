/* Writing the one answer to an inference; see infer_reply.h. */
#include "api/infer_reply.h"

#include "api/coding.h"
#include "api/load_report.h"
#include "api/trace.h"

/* The vectors of the body: the JSON, then the binary outputs in their order. */
static size_t list_vectors(struct api_call *call, const struct infer_json *request,
                           const struct inference_outputs *outputs, struct iovec *vectors)
{
    size_t count = 0;
    vectors[count++] = (struct iovec){call->reply.data, call->reply.size};
    for (size_t i = 0; i < outputs->count; i++) {
        struct span data = outputs->items[i].data;
        if (infer_json_output_is_binary(request, i) && data.size)
            vectors[count++] = (struct iovec){(void *)(uintptr_t)data.data, data.size};
    }
    return count;
}

bool infer_reply_is_binary(const struct infer_json *request,
                           const struct inference_outputs *outputs)
{
    for (size_t i = 0; i < outputs->count; i++) {
        if (infer_json_output_is_binary(request, i))
            return true;
    }
    return false;
}

bool infer_reply(struct api_call *call, const struct inference_outputs *outputs,
                 struct error *ret_error)
{
    struct arena *arena = &call->exchange->arena;
    const struct infer_json *request = &infer_of(call)->request;
    struct json_writer json;
    struct iovec *vectors = arena_calloc(arena, outputs->count + 1, sizeof *vectors);
    if (!vectors)
        return error_no_memory(ret_error);
    json_writer_init(&json, &call->reply);
    if (!infer_of(call)->form->write(&json, call, outputs, ret_error))
        return false;
    size_t count = list_vectors(call, request, outputs, vectors);
    struct http_field fields[2] = {{SPAN("content-type"), SPAN("application/json")}};
    size_t field_count = 1;
    if (infer_reply_is_binary(request, outputs)) {
        fields[0].value = SPAN("application/octet-stream");
        fields[1].name = SPAN("inference-header-content-length");
        fields[1].value = span_of(arena_printf(arena, "%zu", call->reply.size));
        if (!fields[1].value.data)
            return error_no_memory(ret_error);
        field_count = 2;
    }
    trace_tell_timing(call);
    load_report_tell(call);
    coding_send(call, 200, fields, field_count, vectors, count, true);
    return true;
}
