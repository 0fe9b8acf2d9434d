/* The JSON of a predict request: each input has a shape that fits the schema, and its data is one
 * value of JSON, in the text or in the memory of what was put together. */
#include "api/predict_json.h"

#include "infer_request.h"

static struct tensor_info inputs[] = {
    {.name = SPAN("t"), .datatype = TENSORD_BYTES, .shape = {1, {-1}}},
    {.name = SPAN("r"), .datatype = TENSORD_FP32, .shape = {2, {-1, 3}}, .optional = true},
    {.name = SPAN("f"), .datatype = TENSORD_INT64, .shape = {3, {-1, 2, -1}}, .optional = true},
    {.name = SPAN("a"),
     .datatype = TENSORD_FP32,
     .shape = {1, {-1}},
     .any_rank = true,
     .optional = true},
    {.name = SPAN("s"), .datatype = TENSORD_BOOL, .shape = {0}, .optional = true},
};
static const struct schema schema = {.inputs = inputs,
                                     .input_count = sizeof inputs / sizeof *inputs};
static struct predict_json predict;

static bool is_put_together(struct span data)
{
    for (size_t i = 0; i < predict.input_count; i++) {
        if (data.data == predict.inputs[i].data)
            return true;
    }
    return false;
}

static void check_input(const struct infer_json_input *input, struct span text)
{
    const struct tensor_info *info = &inputs[schema_input(&schema, input->name)];
    uint64_t count;
    assert(input->datatype == info->datatype && input->shape.ndim <= TENSOR_MAX_DIMS);
    assert(info->any_rank || input->shape.ndim == info->shape.ndim);
    assert(shape_count(&input->shape, &count));
    assert(!input->alone || (predict.by_columns && count <= 1));
    infer_request_check_data(input->data, is_put_together(input->data) ? input->data : text);
}

static void check(const struct infer_json *request, struct span text)
{
    assert(request->input_count <= schema.input_count && !request->output_count);
    for (size_t i = 0; i < request->input_count; i++)
        check_input(&request->inputs[i], text);
}

static bool read_request(struct span text, struct arena *arena, struct infer_json *request,
                         struct error *ret_error)
{
    predict_json_fini(&predict);
    return predict_json_read(text, &schema, arena, NULL, request, &predict, ret_error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    infer_request_fuzz(data, size, read_request, check);
    predict_json_fini(&predict);
    return 0;
}
