/* Reading the JSON of a generate request; see generate_json.h. */
#include "api/generate_json.h"

#include "api/input_shape.h"

struct reader {
    struct infer_json_reader base;
    const struct schema *schema;
};

/* ---- keys ---- */

static bool read_input(struct reader *reader, const struct tensor_info *info)
{
    struct json *json = &reader->base.json;
    struct infer_json *request = reader->base.request;
    for (size_t i = 0; i < request->input_count; i++) {
        if (span_equal(request->inputs[i].name, info->name))
            return json_fail(json, "input '%.*s' is given twice", SPAN_ARGS(info->name));
    }
    if (!arena_grow(reader->base.arena, (void **)&request->inputs, request->input_count,
                    &request->input_capacity, sizeof *request->inputs))
        return json_fail(json, "out of memory");
    struct infer_json_input *input = &request->inputs[request->input_count];
    *input = (struct infer_json_input){.name = info->name, .datatype = info->datatype};
    input->alone = json_peek(json) != JSON_ARRAY;
    if (!input_shape_find(json, info, &input->shape) || !json_skip(json, &input->data))
        return false;
    request->input_count++;
    return true;
}

static bool read_parameter(struct reader *reader, struct span key)
{
    struct json *json = &reader->base.json;
    enum json_kind kind = json_peek(json);
    if (kind == JSON_NULL)
        return json_null(json);
    if (kind == JSON_OBJECT || kind == JSON_ARRAY)
        return json_fail(
            json,
            "'%.*s' is no input of the model, and a parameter is a string, a number or "
            "a bool",
            SPAN_ARGS(key));
    return infer_json_read_parameter(&reader->base, key);
}

static bool read_parameters(struct reader *reader)
{
    struct json *json = &reader->base.json;
    struct span key;
    json_enter_object(json);
    while (json_next_key(json, &key) && read_parameter(reader, key))
        continue;
    return json_ok(json);
}

static bool read_member(struct reader *reader, struct span key)
{
    struct json *json = &reader->base.json;
    int input = schema_input(reader->schema, key);
    if (json_peek(json) == JSON_NULL)
        return json_null(json);
    if (input >= 0)
        return read_input(reader, &reader->schema->inputs[input]);
    if (span_equal(key, SPAN("id")))
        return reader->base.request->id.data ? json_fail(json, "'id' is given twice")
                                             : infer_json_read_id(&reader->base);
    if (span_equal(key, SPAN("parameters")))
        return read_parameters(reader);
    return read_parameter(reader, key);
}

bool generate_json_read(struct span text, const struct schema *schema, struct arena *arena,
                        struct infer_json *ret_request, struct error *ret_error)
{
    struct infer_json request = {0};
    struct reader reader = {.base = {.arena = arena, .request = &request}, .schema = schema};
    struct json *json = &reader.base.json;
    struct span key;
    json_init(json, text, JSON_MAX_DEPTH, arena, ret_error);
    json_enter_object(json);
    while (json_next_key(json, &key) && read_member(&reader, key))
        continue;
    if (!json_end(json))
        return false;
    *ret_request = request;
    return true;
}
