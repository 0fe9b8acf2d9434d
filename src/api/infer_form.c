/* The two forms of requests and answers in JSON: the Open Inference Protocol's, and the flat one of
 * generate; see infer_call.h. */
#include "api/infer_call.h"

#include "api/generate_json.h"
#include "codec/tensor_json.h"

#include <stdio.h>

enum { NUMBER_BYTES = 24 };

/* Who answers what. */
static void write_names(struct json_writer *json, const struct inference *inference)
{
    char version[NUMBER_BYTES];
    if (inference->id.size) {
        json_put_member_string(json, SPAN("id"), inference->id);
    }
    json_put_member_string(json, SPAN("model_name"), inference_model(inference));
    json_put_key(json, SPAN("model_version"));
    snprintf(version, sizeof version, "%llu", (unsigned long long)inference_version(inference));
    json_put_string(json, span_of(version));
}

/* ---- infer ---- */

static bool read_infer(struct api_call *call, struct error *ret_error)
{
    return infer_json_read(buf_span(&call->body), &call->exchange->arena, &infer_of(call)->request,
                           ret_error);
}

static void put_shape(struct json_writer *json, const struct shape *shape)
{
    json_put_array(json);
    for (uint32_t i = 0; i < shape->ndim; i++)
        json_put_i64(json, shape->dims[i]);
    json_put_array_end(json);
}

/* Where its values are: in the JSON, behind it, or in shared memory, as was asked for. */
enum place { PLACE_JSON, PLACE_BINARY, PLACE_REGION };

static bool write_output(struct json_writer *json, const struct inference_output *output,
                         enum place place, struct error *ret_error)
{
    json_put_object(json);
    json_put_member_string(json, SPAN("name"), output->info->name);
    json_put_member_string(json, SPAN("datatype"), span_of(datatype_name(output->datatype)));
    json_put_key(json, SPAN("shape"));
    put_shape(json, &output->shape);
    if (place == PLACE_BINARY) {
        json_put_key(json, SPAN("parameters"));
        json_put_object(json);
        json_put_member_u64(json, SPAN("binary_data_size"), output->data.size);
        json_put_object_end(json);
    } else if (place == PLACE_JSON) {
        json_put_key(json, SPAN("data"));
        if (!tensor_to_json(json, output->datatype, &output->shape, output->data, ret_error))
            return false;
    }
    json_put_object_end(json);
    return true;
}

static bool write_infer(struct json_writer *json, const struct api_call *call,
                        const struct inference_outputs *outputs, struct error *ret_error)
{
    const struct infer_call *infer = infer_of(call);
    json_put_object(json);
    write_names(json, &infer->inference);
    json_put_key(json, SPAN("outputs"));
    json_put_array(json);
    for (size_t i = 0; i < outputs->count; i++) {
        enum place place =
            infer_json_output_is_binary(&infer->request, i) ? PLACE_BINARY : PLACE_JSON;
        if (infer->regions.has_outputs && infer->request.outputs[i].region.region.data)
            place = PLACE_REGION;
        if (!write_output(json, &outputs->items[i], place, ret_error))
            return false;
    }
    json_put_array_end(json);
    json_put_object_end(json);
    return buf_ok(json->buf) || message_no_memory(json->buf, ret_error);
}

const struct infer_form infer_form = {read_infer, write_infer, .may_be_binary = true};

/* ---- generate ---- */

static bool read_generate(struct api_call *call, struct error *ret_error)
{
    struct infer_call *infer = infer_of(call);
    const struct schema *schema = inference_schema(&infer->inference);
    if (!schema)
        return error_set(ret_error, ERROR_UNAVAILABLE,
                         "the model is loading; its inputs are not known yet");
    return generate_json_read(buf_span(&call->body), schema, &call->exchange->arena,
                              &infer->request, ret_error);
}

static bool write_generate(struct json_writer *json, const struct api_call *call,
                           const struct inference_outputs *outputs, struct error *ret_error)
{
    json_put_object(json);
    write_names(json, &infer_of(call)->inference);
    for (size_t i = 0; i < outputs->count; i++) {
        const struct inference_output *output = &outputs->items[i];
        if (!json_put_name(json, output->info->name))
            return error_set(ret_error, ERROR_INTERNAL,
                             "the model has an output whose name is no "
                             "text");
        if (!tensor_to_json_or_value(json, output->datatype, &output->shape, output->data,
                                     ret_error))
            return false;
    }
    json_put_object_end(json);
    return buf_ok(json->buf) || message_no_memory(json->buf, ret_error);
}

const struct infer_form generate_form = {read_generate, write_generate, .may_be_binary = false,
                                         .by_schema = true};
