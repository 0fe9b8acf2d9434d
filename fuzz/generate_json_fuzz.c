/* The JSON of a generate request: what was found lies within the text or the arena, is whole, and
 * has a shape that the schema allows. */
#include "api/generate_json.h"

#include "failing_allocation.h"

#include <assert.h>

enum { ARENA_BYTES = 1 << 24 };

static struct tensor_info inputs[] = {
    {.name = SPAN("t"), .datatype = TENSORD_BYTES, .shape = {1, {1}}},
    {.name = SPAN("r"), .datatype = TENSORD_FP32, .shape = {2, {-1, 3}}},
    {.name = SPAN("f"), .datatype = TENSORD_INT64, .shape = {3, {-1, 2, -1}}},
    {.name = SPAN("a"), .datatype = TENSORD_FP32, .shape = {1, {-1}}, .any_rank = true},
    {.name = SPAN("s"), .datatype = TENSORD_BOOL, .shape = {0}},
};
static const struct schema schema = {.inputs = inputs,
                                     .input_count = sizeof inputs / sizeof *inputs};

static void check_input(const struct infer_json_input *input, struct span text)
{
    const struct tensor_info *info = &inputs[schema_input(&schema, input->name)];
    uint64_t count;
    assert(input->datatype == info->datatype && input->shape.ndim <= TENSOR_MAX_DIMS);
    assert(info->any_rank || input->shape.ndim == info->shape.ndim);
    assert(shape_count(&input->shape, &count));
    assert(!input->alone || count <= 1);
    assert(input->data.data >= text.data &&
           input->data.data + input->data.size <= text.data + text.size);
    struct json json;
    struct error error;
    json_init(&json, input->data, JSON_MAX_DEPTH, NULL, &error);
    assert(json_skip(&json, NULL) && json_end(&json));
}

static bool read_request(struct span text, struct infer_json *request, struct arena *arena)
{
    struct error error = {0};
    arena_init(arena, 4096, ARENA_BYTES);
    bool good = generate_json_read(text, &schema, arena, request, &error);
    assert(good || (error.code != ERROR_OK && error.message[0]));
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    struct infer_json request;
    struct arena arena;
    if (read_request(text, &request, &arena)) {
        assert(request.input_count <= schema.input_count && !request.output_count);
        for (size_t i = 0; i < request.input_count; i++)
            check_input(&request.inputs[i], text);
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
