/* Reading the JSON of a generate request; see generate_json.h. */
#include "api/generate_json.h"

#include "api/named_input.h"

struct reader {
    struct infer_json_reader base;
    const struct schema *schema;
};

/* ---- keys ---- */

static bool read_parameter(void *context, struct span key)
{
    struct reader *reader = context;
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

static bool read_member(void *context, struct span key)
{
    struct reader *reader = context;
    struct json *json = &reader->base.json;
    int input = schema_input(reader->schema, key);
    if (json_peek(json) == JSON_NULL)
        return json_null(json);
    if (input >= 0)
        return named_input_read(&reader->base, &reader->schema->inputs[input]);
    if (span_equal(key, SPAN("id")))
        return reader->base.request->id.data ? json_fail(json, "'id' is given twice")
                                             : infer_json_read_id(&reader->base);
    if (span_equal(key, SPAN("parameters")))
        return json_members(json, read_parameter, reader);
    return read_parameter(reader, key);
}

bool generate_json_read(struct span text, const struct schema *schema, struct arena *arena,
                        struct infer_json *ret_request, struct error *ret_error)
{
    struct infer_json request = {0};
    struct reader reader = {.base = {.arena = arena, .request = &request}, .schema = schema};
    if (!json_read_object(&reader.base.json, text, arena, ret_error, read_member, &reader))
        return false;
    *ret_request = request;
    return true;
}
