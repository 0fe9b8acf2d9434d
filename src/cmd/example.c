/* An example request made from a schema: every free dimension is 1, every number 0, every string
 * "text". */
#include "cmd/announce.h"
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

static void put_input(struct json_writer *json, const struct tensor_info *info)
{
    uint64_t count = 1;
    json_put_object(json);
    json_put_key(json, SPAN("name"));
    json_put_string(json, info->name);
    json_put_key(json, SPAN("datatype"));
    json_put_string(json, span_of(datatype_name(info->datatype)));
    json_put_key(json, SPAN("shape"));
    json_put_array(json);
    for (uint32_t i = 0; i < info->shape.ndim; i++) {
        int64_t dim = info->shape.dims[i] < 0 ? 1 : info->shape.dims[i];
        json_put_i64(json, dim);
        if (__builtin_mul_overflow(count, (uint64_t)dim, &count) || count > MAX_ELEMENTS)
            json->buf->failed = true;
    }
    json_put_array_end(json);
    json_put_key(json, SPAN("data"));
    json_put_array(json);
    for (uint64_t i = 0; i < count && buf_ok(json->buf); i++)
        put_element(json, info->datatype);
    json_put_array_end(json);
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
    json_put_object_end(&json);
}
