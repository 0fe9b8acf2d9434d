/* The JSON of an inference request. */
#include "infer_request.h"

static void check_input(const struct infer_json_input *input, struct span text)
{
    assert(input->name.size && input->datatype != TENSORD_INVALID);
    assert(input->shape.ndim <= TENSOR_MAX_DIMS);
    for (uint32_t d = 0; d < input->shape.ndim; d++)
        assert(input->shape.dims[d] >= 0);
    if (input->data.data)
        infer_request_check_data(input->data, text);
}

static void check(const struct infer_json *request, struct span text)
{
    assert(request->input_count <= TENSOR_MAX_PER_REQUEST);
    for (size_t i = 0; i < request->input_count; i++)
        check_input(&request->inputs[i], text);
    assert(request->output_count <= TENSOR_MAX_PER_REQUEST);
    bool binary = !request->output_count && request->binary_output;
    for (size_t i = 0; i < request->output_count; i++) {
        assert(request->outputs[i].name.size);
        binary = binary || infer_json_output_is_binary(request, i);
    }
    assert(infer_json_wants_binary(request) == binary);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    infer_request_fuzz(data, size, infer_json_read, check);
    return 0;
}
