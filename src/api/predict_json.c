/* Reading the JSON of a predict request; see predict_json.h. */
#include "api/predict_json.h"

#include "api/input_shape.h"
#include "api/named_input.h"
#include "base/map.h"
#include "protocol/message_memory.h"

#include <stdlib.h>

struct reader {
    struct infer_json_reader base;
    const struct schema *schema;
    struct predict_json *predict;
    struct budget *budget;
    size_t text_bytes;
    bool given; /* instances or inputs have come */
};

/* ---- columns ---- */

static bool fail_unknown(struct json *json, struct span key)
{
    return json_fail(json, "'%.*s' is no input of the model", SPAN_ARGS(key));
}

static bool read_column(void *context, struct span key)
{
    struct reader *reader = context;
    int input = schema_input(reader->schema, key);
    return input < 0 ? fail_unknown(&reader->base.json, key)
                     : named_input_read(&reader->base, &reader->schema->inputs[input]);
}

/* ---- rows of values ---- */

/* The one input that rows without names are for, or NULL. */
static const struct tensor_info *only_input(const struct schema *schema)
{
    const struct tensor_info *only = NULL;
    if (schema->input_count == 1)
        return schema->inputs;
    for (size_t i = 0; i < schema->input_count; i++) {
        if (schema->inputs[i].optional)
            continue;
        if (only)
            return NULL;
        only = &schema->inputs[i];
    }
    return only;
}

static bool read_plain_rows(struct reader *reader)
{
    struct json *json = &reader->base.json;
    const struct tensor_info *info = only_input(reader->schema);
    if (!info)
        return json_fail(json,
                         "the model has %zu inputs: write each instance as an object with their "
                         "names",
                         reader->schema->input_count);
    struct infer_json_input *input = named_input_add(&reader->base, info);
    return input && input_shape_of_rows(json, info, &input->shape) && json_skip(json, &input->data);
}

/* ---- rows of objects: a text like a column's is made of the values of each input ---- */

struct rows {
    struct reader *reader;
    struct map columns; /* name → struct buf */
    size_t *counts;     /* of values, for each input of the schema */
    size_t count;       /* of rows that are complete */
    size_t width;       /* how many inputs each has */
};

static bool start_rows(struct rows *rows)
{
    struct reader *reader = rows->reader;
    const struct schema *schema = reader->schema;
    struct predict_json *predict = reader->predict;
    rows->counts = arena_calloc(reader->base.arena, schema->input_count, sizeof *rows->counts);
    predict->inputs = calloc(schema->input_count, sizeof *predict->inputs);
    if (!rows->counts || !predict->inputs)
        return json_fail(&reader->base.json, "out of memory");
    predict->input_count = schema->input_count;
    for (size_t i = 0; i < schema->input_count;
         i++) { /* what each value is followed by fits, too */
        buf_init_within(&predict->inputs[i], reader->text_bytes + 2, reader->budget);
        if (!map_set(&rows->columns, schema->inputs[i].name, &predict->inputs[i]))
            return json_fail(&reader->base.json, "out of memory");
    }
    return true;
}

static bool fail_memory(struct json *json, const struct buf *column)
{
    json->failed = true;
    return message_no_memory(column, json->error);
}

static bool read_value(struct rows *rows, struct span key)
{
    struct json *json = &rows->reader->base.json;
    struct buf *column = map_get(&rows->columns, key);
    struct span value;
    if (!column && span_equal(key, SPAN("b64")))
        return json_fail(json, "base64 is not read: send bytes as strings, or as binary by v2");
    if (!column)
        return fail_unknown(json, key);
    size_t *count = &rows->counts[column - rows->reader->predict->inputs];
    if (*count != rows->count)
        return json_fail(json,
                         *count > rows->count
                             ? "input '%.*s' is given twice"
                             : "input '%.*s' is in this instance, but not in one before it",
                         SPAN_ARGS(key));
    if (json_peek(json) == JSON_OBJECT)
        return json_fail(json, "input '%.*s': an object is no value; base64 is not read",
                         SPAN_ARGS(key));
    if (!json_skip(json, &value))
        return false;
    ++*count;
    buf_append_char(column, rows->count ? ',' : '[');
    return buf_append(column, value) || fail_memory(json, column);
}

static bool read_row(struct rows *rows)
{
    struct json *json = &rows->reader->base.json;
    struct span key;
    size_t width = 0;
    json_enter_object(json);
    while (json_next_key(json, &key) && read_value(rows, key))
        width++;
    if (!json_ok(json))
        return false;
    if (rows->count && width != rows->width)
        return json_fail(json, "instance %zu has %zu inputs, those before it have %zu", rows->count,
                         width, rows->width);
    rows->width = width;
    rows->count++;
    return true;
}

/* Makes inputs of the texts. */
static bool take_columns(struct rows *rows)
{
    struct reader *reader = rows->reader;
    for (size_t i = 0; i < reader->schema->input_count; i++) {
        const struct tensor_info *info = &reader->schema->inputs[i];
        struct buf *column = &reader->predict->inputs[i];
        struct json json;
        if (!column->size)
            continue;
        struct infer_json_input *input = named_input_add(&reader->base, info);
        if (!input)
            return false;
        if (!buf_append_char(column, ']'))
            return fail_memory(&reader->base.json, column);
        input->data = buf_span(column);
        json_init(&json, input->data, JSON_MAX_DEPTH, reader->base.arena, reader->base.json.error);
        if (!input_shape_of_rows(&json, info, &input->shape)) {
            reader->base.json.failed = true;
            return false;
        }
    }
    return true;
}

static bool read_object_rows(struct reader *reader)
{
    struct json *json = &reader->base.json;
    struct rows rows = {.reader = reader};
    map_init(&rows.columns);
    bool good = start_rows(&rows);
    if (good)
        json_enter_array(json);
    while (good && json_next_element(json))
        good = read_row(&rows);
    good = good && json_ok(json) && take_columns(&rows);
    map_fini(&rows.columns);
    return good;
}

/* Rows come next: of objects if the first one is. */
static bool read_rows(struct reader *reader, struct span key)
{
    struct json *json = &reader->base.json;
    struct json look = *json;
    if (json_peek(json) != JSON_ARRAY)
        return json_fail(json, "'%.*s' is to be an array of rows", SPAN_ARGS(key));
    json_enter_array(&look);
    if (!json_next_element(&look))
        return json_fail(json, "'%.*s' has no rows", SPAN_ARGS(key));
    return json_peek(&look) == JSON_OBJECT ? read_object_rows(reader) : read_plain_rows(reader);
}

/* ---- the whole ---- */

static bool read_parameter(void *context, struct span key)
{
    return infer_json_read_parameter(context, key);
}

static bool read_member(void *context, struct span key)
{
    struct reader *reader = context;
    struct json *json = &reader->base.json;
    bool inputs = span_equal(key, SPAN("inputs"));
    if (span_equal(key, SPAN("parameters")))
        return json_members(json, read_parameter, &reader->base);
    if (!inputs && !span_equal(key, SPAN("instances")))
        return json_skip(json, NULL);
    if (reader->given)
        return json_fail(json, "'instances' or 'inputs' is given once");
    reader->given = true;
    if (!inputs || json_peek(json) != JSON_OBJECT)
        return read_rows(reader, key);
    reader->predict->by_columns = true;
    return json_members(json, read_column, reader);
}

bool predict_json_read(struct span text, const struct schema *schema, struct arena *arena,
                       struct budget *budget, struct infer_json *ret_request,
                       struct predict_json *ret_predict, struct error *ret_error)
{
    struct infer_json request = {0};
    struct reader reader = {.base = {.arena = arena, .request = &request},
                            .schema = schema,
                            .predict = ret_predict,
                            .budget = budget,
                            .text_bytes = text.size};
    *ret_predict = (struct predict_json){0};
    if (!json_read_object(&reader.base.json, text, arena, ret_error, read_member, &reader))
        return false;
    if (!reader.given)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the request has neither 'instances' nor 'inputs'");
    *ret_request = request;
    return true;
}

void predict_json_fini(struct predict_json *predict)
{
    for (size_t i = 0; i < predict->input_count; i++)
        buf_fini(&predict->inputs[i]);
    free(predict->inputs);
    *predict = (struct predict_json){0};
}
