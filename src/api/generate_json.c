/* Reading the JSON of a generate request; see generate_json.h. */
#include "api/generate_json.h"

#include "codec/tensor_json.h"

struct reader {
    struct infer_json_reader base;
    const struct schema *schema;
};

/* ---- shapes ---- */

/* The schema's shape with so many elements: its last free dimension takes what the fixed ones
 * leave. */
static bool fill_shape(struct json *json, const struct tensor_info *info, uint64_t count,
                       struct shape *ret_shape)
{
    struct shape shape = info->shape;
    int64_t *free_dim = NULL;
    uint64_t fixed;
    for (uint32_t i = 0; i < shape.ndim; i++) {
        if (shape.dims[i] >= 0)
            continue;
        free_dim = &shape.dims[i];
        *free_dim = 1;
    }
    if (!shape_count(&shape, &fixed) || count > INT64_MAX ||
        (fixed ? count % fixed != 0 || (!free_dim && count != fixed) : count != 0))
        return json_fail(json, "input '%.*s' does not take %llu elements", SPAN_ARGS(info->name),
                         (unsigned long long)count);
    if (free_dim && fixed)
        *free_dim = (int64_t)(count / fixed);
    *ret_shape = shape;
    return true;
}

/* The shape of a value that comes next. */
static bool find_shape(struct json *json, const struct tensor_info *info, struct shape *ret_shape)
{
    struct shape found;
    uint64_t count;
    if (!tensor_json_shape(json, &found))
        return false;
    bool as_it_is = info->any_rank || (found.ndim > 0 && found.ndim == info->shape.ndim);
    if (!shape_count(&found, &count))
        return json_fail(json, "input '%.*s' has too many elements", SPAN_ARGS(info->name));
    if (!as_it_is)
        return fill_shape(json, info, count, ret_shape);
    *ret_shape = found;
    return true;
}

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
    if (!find_shape(json, info, &input->shape) || !json_skip(json, &input->data))
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
