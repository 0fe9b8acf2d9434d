/* Writing the answer to an inference; see infer_reply.h. */
#include "api/infer_reply.h"

#include "api/trace.h"

#include "codec/json_writer.h"
#include "codec/tensor_json.h"

#include <stdio.h>

enum { NUMBER_BYTES = 24 };

static bool is_binary(const struct infer_json *request, size_t output)
{
    return request->output_count ? request->outputs[output].binary : request->binary_output;
}

static void put_shape(struct json_writer *json, const struct shape *shape)
{
    json_put_array(json);
    for (uint32_t i = 0; i < shape->ndim; i++)
        json_put_i64(json, shape->dims[i]);
    json_put_array_end(json);
}

static bool put_output(struct json_writer *json, const struct inference_output *output, bool binary,
                       struct error *ret_error)
{
    json_put_object(json);
    json_put_key(json, SPAN("name"));
    json_put_string(json, output->info->name);
    json_put_key(json, SPAN("datatype"));
    json_put_string(json, span_of(datatype_name(output->datatype)));
    json_put_key(json, SPAN("shape"));
    put_shape(json, &output->shape);
    if (binary) {
        json_put_key(json, SPAN("parameters"));
        json_put_object(json);
        json_put_key(json, SPAN("binary_data_size"));
        json_put_u64(json, output->data.size);
        json_put_object_end(json);
    } else {
        json_put_key(json, SPAN("data"));
        if (!tensor_to_json(json, output->datatype, &output->shape, output->data, ret_error))
            return false;
    }
    json_put_object_end(json);
    return true;
}

static bool put_json(struct api_call *call, const struct inference *inference,
                     const struct infer_json *request, const struct inference_answer *answer,
                     struct error *ret_error)
{
    char version[NUMBER_BYTES];
    struct json_writer json;
    json_writer_init(&json, &call->reply);
    json_put_object(&json);
    if (inference->id.size) {
        json_put_key(&json, SPAN("id"));
        json_put_string(&json, inference->id);
    }
    json_put_key(&json, SPAN("model_name"));
    json_put_string(&json, inference_model(inference));
    json_put_key(&json, SPAN("model_version"));
    snprintf(version, sizeof version, "%llu", (unsigned long long)inference_version(inference));
    json_put_string(&json, span_of(version));
    json_put_key(&json, SPAN("outputs"));
    json_put_array(&json);
    for (size_t i = 0; i < answer->output_count; i++) {
        if (!put_output(&json, &answer->outputs[i], is_binary(request, i), ret_error))
            return false;
    }
    json_put_array_end(&json);
    json_put_object_end(&json);
    return buf_ok(&call->reply) || error_no_memory(ret_error);
}

/* The vectors of the body: the JSON, then the binary outputs in their order. */
static size_t list_vectors(struct api_call *call, const struct infer_json *request,
                           const struct inference_answer *answer, struct iovec *vectors)
{
    size_t count = 0;
    vectors[count++] = (struct iovec){call->reply.data, call->reply.size};
    for (size_t i = 0; i < answer->output_count; i++) {
        struct span data = answer->outputs[i].data;
        if (is_binary(request, i) && data.size)
            vectors[count++] = (struct iovec){(void *)(uintptr_t)data.data, data.size};
    }
    return count;
}

bool infer_reply_is_binary(const struct infer_json *request, const struct inference_answer *answer)
{
    for (size_t i = 0; i < answer->output_count; i++) {
        if (is_binary(request, i))
            return true;
    }
    return false;
}

bool infer_reply(struct api_call *call, const struct inference *inference,
                 const struct infer_json *request, const struct inference_answer *answer,
                 struct error *ret_error)
{
    struct arena *arena = &call->exchange->arena;
    struct iovec *vectors = arena_calloc(arena, answer->output_count + 1, sizeof *vectors);
    if (!vectors)
        return error_no_memory(ret_error);
    if (!put_json(call, inference, request, answer, ret_error))
        return false;
    size_t count = list_vectors(call, request, answer, vectors);
    struct http_field fields[2] = {{SPAN("content-type"), SPAN("application/json")}};
    size_t field_count = 1;
    if (infer_reply_is_binary(request, answer)) {
        fields[0].value = SPAN("application/octet-stream");
        fields[1].name = SPAN("inference-header-content-length");
        fields[1].value = span_of(arena_printf(arena, "%zu", call->reply.size));
        if (!fields[1].value.data)
            return error_no_memory(ret_error);
        field_count = 2;
    }
    trace_tell_timing(call);
    http_send(call->exchange, 200, fields, field_count, vectors, count);
    return true;
}
