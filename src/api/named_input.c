/* Inputs of which the JSON says but name and value; see named_input.h. */
#include "api/named_input.h"

#include "api/input_shape.h"

struct infer_json_input *named_input_add(struct infer_json_reader *reader,
                                         const struct tensor_info *info)
{
    struct infer_json *request = reader->request;
    if (!arena_grow(reader->arena, (void **)&request->inputs, request->input_count,
                    &request->input_capacity, sizeof *request->inputs)) {
        json_fail(&reader->json, "out of memory");
        return NULL;
    }
    struct infer_json_input *input = &request->inputs[request->input_count++];
    *input = (struct infer_json_input){.name = info->name, .datatype = info->datatype};
    return input;
}

bool named_input_read(struct infer_json_reader *reader, const struct tensor_info *info)
{
    struct json *json = &reader->json;
    const struct infer_json *request = reader->request;
    for (size_t i = 0; i < request->input_count; i++) {
        if (span_equal(request->inputs[i].name, info->name))
            return json_fail(json, "input '%.*s' is given twice", SPAN_ARGS(info->name));
    }
    struct infer_json_input *input = named_input_add(reader, info);
    if (!input)
        return false;
    input->alone = json_peek(json) != JSON_ARRAY;
    return input_shape_find(json, info, &input->shape) && json_skip(json, &input->data);
}
