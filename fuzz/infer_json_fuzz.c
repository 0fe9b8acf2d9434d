/* The JSON of an inference request: what was found lies within the text or the arena, and is whole.
 */
#include "api/infer_json.h"
#include "codec/json.h"

#include "failing_allocation.h"

#include <assert.h>

enum { ARENA_BYTES = 1 << 24 };

static void check_inputs(const struct infer_json *request, struct span text)
{
    assert(request->input_count <= TENSOR_MAX_PER_REQUEST);
    for (size_t i = 0; i < request->input_count; i++) {
        const struct infer_json_input *input = &request->inputs[i];
        assert(input->name.size && input->datatype != TENSORD_INVALID);
        assert(input->shape.ndim <= TENSOR_MAX_DIMS);
        for (uint32_t d = 0; d < input->shape.ndim; d++)
            assert(input->shape.dims[d] >= 0);
        if (!input->data.data)
            continue;
        struct json json;
        struct error error;
        assert(input->data.data >= text.data &&
               input->data.data + input->data.size <= text.data + text.size);
        json_init(&json, input->data, JSON_MAX_DEPTH, NULL, &error);
        assert(json_skip(&json, NULL) && json_end(&json));
    }
}

static bool read_request(struct span text, struct infer_json *request, struct arena *arena)
{
    struct error error = {0};
    arena_init(arena, 4096, ARENA_BYTES);
    bool good = infer_json_read(text, arena, request, &error);
    assert(good || (error.code != ERROR_OK && error.message[0]));
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    struct infer_json request;
    struct arena arena;
    if (read_request(text, &request, &arena)) {
        check_inputs(&request, text);
        assert(request.output_count <= TENSOR_MAX_PER_REQUEST);
        for (size_t i = 0; i < request.output_count; i++)
            assert(request.outputs[i].name.size);
        for (size_t i = 0; i < request.parameter_count; i++)
            assert(request.parameters[i].key.data && request.parameters[i].value.data);
    }
    arena_fini(&arena);
    failing_allocation_begin(data, size);
    read_request(text, &request, &arena);
    failing_allocation_end();
    arena_fini(&arena);
    return 0;
}
