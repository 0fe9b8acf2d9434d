/* Writing example requests; see example.h. */
#include "api/example.h"

#include "codec/json_writer.h"

enum { MAX_ELEMENTS = 1 << 18 }; /* of one input; larger ones get no example */

static void put_element(struct json_writer *json, enum tensord_datatype datatype)
{
    if (datatype == TENSORD_BYTES)
        json_put_string(json, SPAN("text"));
    else if (datatype == TENSORD_BOOL)
        json_put_bool(json, false);
    else
        json_put_i64(json, 0);
}

/* The size of a dimension in the example. */
static int64_t size_of(const struct tensor_info *info, uint32_t d)
{
    return info->shape.dims[d] < 0 ? 1 : info->shape.dims[d];
}

/* How many elements the dimensions from d on have; fails the buffer when there are too many. */
static uint64_t count_from(struct json_writer *json, const struct tensor_info *info, uint32_t d)
{
    uint64_t count = 1;
    for (; d < info->shape.ndim; d++) {
        if (__builtin_mul_overflow(count, (uint64_t)size_of(info, d), &count) ||
            count > MAX_ELEMENTS)
            json->buf->failed = true;
    }
    return count;
}

/* The values of the dimensions from d on, nested. */
static void put_nested(struct json_writer *json, const struct tensor_info *info, uint32_t d)
{
    if (d == info->shape.ndim) {
        put_element(json, info->datatype);
        return;
    }
    json_put_array(json);
    for (int64_t i = 0; i < size_of(info, d) && buf_ok(json->buf); i++)
        put_nested(json, info, d + 1);
    json_put_array_end(json);
}

static void put_values(struct json_writer *json, const struct tensor_info *info, uint32_t d)
{
    count_from(json, info, d);
    if (buf_ok(json->buf))
        put_nested(json, info, d);
}

/* ---- infer ---- */

static void put_input(struct json_writer *json, const struct tensor_info *info)
{
    uint64_t count = count_from(json, info, 0);
    json_put_object(json);
    json_put_member_string(json, SPAN("name"), info->name);
    json_put_member_string(json, SPAN("datatype"), span_of(datatype_name(info->datatype)));
    json_put_key(json, SPAN("shape"));
    json_put_array(json);
    for (uint32_t i = 0; i < info->shape.ndim; i++)
        json_put_i64(json, size_of(info, i));
    json_put_array_end(json);
    json_put_key(json, SPAN("data"));
    json_put_array(json);
    for (uint64_t i = 0; i < count && buf_ok(json->buf); i++)
        put_element(json, info->datatype);
    json_put_array_end(json);
    json_put_object_end(json);
}

/* One of a single request. */
static void put_sequence(struct json_writer *json)
{
    json_put_key(json, SPAN("parameters"));
    json_put_object(json);
    json_put_member_u64(json, SPAN("sequence_id"), 1);
    json_put_member_bool(json, SPAN("sequence_start"), true);
    json_put_member_bool(json, SPAN("sequence_end"), true);
    json_put_object_end(json);
}

void example_write(struct buf *to, const struct schema *schema)
{
    struct json_writer json;
    json_writer_init(&json, to);
    json_put_object(&json);
    json_put_key(&json, SPAN("inputs"));
    json_put_array(&json);
    for (size_t i = 0; i < schema->input_count; i++) {
        if (!schema->inputs[i].optional)
            put_input(&json, &schema->inputs[i]);
    }
    json_put_array_end(&json);
    if (schema->sequences)
        put_sequence(&json);
    json_put_object_end(&json);
}

/* ---- generate and predict ---- */

/* An object with the inputs' values, each from its dimension d on. */
static void put_object(struct json_writer *json, const struct schema *schema, uint32_t d)
{
    json_put_object(json);
    for (size_t i = 0; i < schema->input_count; i++) {
        const struct tensor_info *info = &schema->inputs[i];
        if (info->optional || !json_put_name(json, info->name))
            continue;
        put_values(json, info, d < info->shape.ndim ? d : info->shape.ndim);
    }
    json_put_object_end(json);
}

void example_write_generate(struct buf *to, const struct schema *schema)
{
    struct json_writer json;
    json_writer_init(&json, to);
    put_object(&json, schema, 0);
}

static bool has_one_row(const struct tensor_info *info)
{
    return info->shape.ndim && size_of(info, 0) == 1;
}

/* Without rows, columns are what such a model takes. */
static bool has_rows(const struct schema *schema)
{
    for (size_t i = 0; schema->output_count > 1 && i < schema->output_count; i++) {
        if (!has_one_row(&schema->outputs[i]))
            return false;
    }
    for (size_t i = 0; i < schema->input_count; i++) {
        if (!schema->inputs[i].optional && !has_one_row(&schema->inputs[i]))
            return false;
    }
    return true;
}

void example_write_predict(struct buf *to, const struct schema *schema)
{
    struct json_writer json;
    bool rows = has_rows(schema);
    json_writer_init(&json, to);
    json_put_object(&json);
    json_put_key(&json, rows ? SPAN("instances") : SPAN("inputs"));
    if (rows) {
        json_put_array(&json);
        put_object(&json, schema, 1);
        json_put_array_end(&json);
    } else {
        put_object(&json, schema, 0);
    }
    json_put_object_end(&json);
}
