/* Requests and answers of KServe's protocol v1, which are TensorFlow Serving's; see infer_call.h.
 *
 * Rows are answered by rows: {"predictions":[…]}, objects by the outputs' names when there are
 * several. Columns are answered by columns: {"outputs": …}. */
#include "api/infer_call.h"

#include "codec/tensor_json.h"

static bool read_predict(struct api_call *call, struct error *ret_error)
{
    struct infer_call *infer = infer_of(call);
    const struct schema *schema = inference_schema(&infer->inference);
    if (!schema)
        return error_set(ret_error, ERROR_UNAVAILABLE,
                         "the model is loading; its inputs are not known yet");
    return predict_json_read(buf_span(&call->body), schema, &call->exchange->arena,
                             &call->api->messages, &infer->request, &infer->predict, ret_error);
}

static bool put_name(struct json_writer *json, const struct inference_output *output,
                     struct error *ret_error)
{
    return json_put_name(json, output->info->name) ||
           error_set(ret_error, ERROR_INTERNAL, "the model has an output whose name is no text");
}

static bool fail_size(struct error *ret_error)
{
    return error_set(ret_error, ERROR_INTERNAL, "the tensor's data disagree with its shape");
}

static bool put_whole(struct json_writer *json, const struct inference_output *output,
                      struct error *ret_error)
{
    struct span data = output->data;
    return tensor_take_to_json(json, output->datatype, &output->shape, &data, ret_error) &&
           (!data.size || !buf_ok(json->buf) || fail_size(ret_error));
}

static bool put_columns(struct json_writer *json, const struct inference_outputs *outputs,
                        struct error *ret_error)
{
    if (outputs->count == 1)
        return put_whole(json, &outputs->items[0], ret_error);
    json_put_object(json);
    for (size_t i = 0; i < outputs->count; i++) {
        if (!put_name(json, &outputs->items[i], ret_error) ||
            !put_whole(json, &outputs->items[i], ret_error))
            return false;
    }
    json_put_object_end(json);
    return true;
}

/* ---- rows ---- */

/* How many rows all outputs have. */
static bool count_rows(const struct inference_outputs *outputs, uint64_t *ret_count,
                       struct error *ret_error)
{
    for (size_t i = 0; i < outputs->count; i++) {
        const struct shape *shape = &outputs->items[i].shape;
        uint64_t elements;
        if (!shape->ndim || shape->dims[0] != outputs->items[0].shape.dims[0])
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "the model's outputs do not all have as many rows: send 'inputs' as "
                             "an object, or ask by v2");
        if (!shape_count(shape, &elements))
            return fail_size(ret_error);
        *ret_count = elements ? (uint64_t)shape->dims[0] : 0; /* rows of nothing are none */
        if (!elements)
            return true;
    }
    return true;
}

/* What a row of the output is a tensor of. */
static struct shape row_shape(const struct shape *shape)
{
    struct shape row = {.ndim = shape->ndim - 1};
    memcpy(row.dims, shape->dims + 1, row.ndim * sizeof *row.dims);
    return row;
}

static bool put_row(struct json_writer *json, const struct inference_outputs *outputs,
                    struct span *rests, struct error *ret_error)
{
    json_put_object(json);
    for (size_t i = 0; i < outputs->count; i++) {
        const struct inference_output *output = &outputs->items[i];
        const struct shape row = row_shape(&output->shape);
        if (!put_name(json, output, ret_error) ||
            !tensor_take_to_json(json, output->datatype, &row, &rests[i], ret_error))
            return false;
    }
    json_put_object_end(json);
    return true;
}

static bool put_rows(struct json_writer *json, const struct inference_outputs *outputs,
                     struct arena *arena, struct error *ret_error)
{
    uint64_t count = 0;
    if (outputs->count == 1)
        return put_whole(json, &outputs->items[0], ret_error);
    if (!count_rows(outputs, &count, ret_error))
        return false;
    struct span *rests = arena_calloc(arena, outputs->count, sizeof *rests);
    if (!rests)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < outputs->count; i++)
        rests[i] = outputs->items[i].data;
    json_put_array(json);
    for (uint64_t i = 0; i < count && buf_ok(json->buf); i++) {
        if (!put_row(json, outputs, rests, ret_error))
            return false;
    }
    json_put_array_end(json);
    return true;
}

static bool write_predict(struct json_writer *json, const struct api_call *call,
                          const struct inference_outputs *outputs, struct error *ret_error)
{
    bool by_columns = infer_of(call)->predict.by_columns;
    json_put_object(json);
    json_put_key(json, by_columns ? SPAN("outputs") : SPAN("predictions"));
    if (!(by_columns ? put_columns(json, outputs, ret_error)
                     : put_rows(json, outputs, &call->exchange->arena, ret_error)))
        return false;
    json_put_object_end(json);
    return buf_ok(json->buf) || message_no_memory(json->buf, ret_error);
}

const struct infer_form predict_form = {read_predict, write_predict, .may_be_binary = false,
                                        .by_schema = true};
