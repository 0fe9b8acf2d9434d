/* Reading the JSON of an inference request; see infer_json.h. Each nested object has a function of
 * its own. */
#include "api/infer_json.h"

#include "codec/json.h"

#include <stdio.h>

enum { PARAMETER_LIMIT = 256, NUMBER_BYTES = 32 };

bool infer_json_output_is_binary(const struct infer_json *request, size_t output)
{
    return request->output_count ? request->outputs[output].binary : request->binary_output;
}

bool infer_json_wants_binary(const struct infer_json *request)
{
    for (size_t i = 0; i < request->output_count; i++) {
        if (request->outputs[i].binary)
            return true;
    }
    return !request->output_count && request->binary_output;
}

static bool no_memory(struct infer_json_reader *reader)
{
    return json_fail(&reader->json, "out of memory");
}

/* A null, which counts as left out, as programs write what they have not set. */
static bool is_null(struct json *json)
{
    return json_peek(json) == JSON_NULL && json_null(json);
}

/* A key that means something to us comes once: of two, other readers may take the other. */
static bool once(struct json *json, unsigned *seen, struct span key)
{
    static const struct span known[] = {
        SPAN("name"),
        SPAN("datatype"),
        SPAN("shape"),
        SPAN("data"),
        SPAN("id"),
        SPAN("inputs"),
        SPAN("outputs"),
        SPAN("parameters"),
        SPAN("timeout"),
        SPAN("priority"),
        SPAN("binary_data"),
        SPAN("binary_data_size"),
        SPAN("binary_data_output"),
        SPAN("classification"),
        SPAN("shared_memory_region"),
        SPAN("shared_memory_offset"),
        SPAN("shared_memory_byte_size"),
    };
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
        if (!span_equal(key, known[i]))
            continue;
        if (*seen & 1u << i)
            return json_fail(json, "'%.*s' is given twice", SPAN_ARGS(key));
        *seen |= 1u << i;
    }
    return true;
}

/* A parameter that says where in shared memory a tensor lies. */
static bool read_region(struct infer_json_reader *reader, struct span key,
                        struct region_words *words)
{
    struct json *json = &reader->json;
    if (span_equal(key, SPAN("shared_memory_region")))
        return json_string(json, &words->region);
    if (span_equal(key, SPAN("shared_memory_offset")))
        words->has_offset = json_u64(json, &words->offset);
    else if (span_equal(key, SPAN("shared_memory_byte_size")))
        words->has_size = json_u64(json, &words->size_bytes);
    else
        return json_fail(json, "there is no parameter '%.*s'", SPAN_ARGS(key));
    return json_ok(json);
}

/* Offset and size are nothing without a region. */
static bool check_region(struct infer_json_reader *reader, struct span tensor,
                         const struct region_words *words)
{
    if (words->region.data || (!words->has_offset && !words->has_size))
        return true;
    return json_fail(&reader->json,
                     "'shared_memory_%s' can not be specified without 'shared_memory_region' "
                     "parameter for tensor '%.*s'",
                     words->has_offset ? "offset" : "byte_size", SPAN_ARGS(tensor));
}

/* ---- inputs ---- */

static bool read_shape(struct infer_json_reader *reader, struct shape *shape)
{
    struct json *json = &reader->json;
    uint64_t dim;
    shape->ndim = 0;
    json_enter_array(json);
    while (json_next_element(json)) {
        if (shape->ndim == TENSOR_MAX_DIMS)
            return json_fail(json, "a shape has at most %d dimensions", TENSOR_MAX_DIMS);
        if (json_u64(json, &dim)) {
            if (dim > INT64_MAX)
                return json_fail(json, "a dimension is too large");
            shape->dims[shape->ndim++] = (int64_t)dim;
        }
    }
    return json_ok(json);
}

static bool read_datatype(struct infer_json_reader *reader, enum tensord_datatype *ret_datatype)
{
    struct span name;
    if (!json_string(&reader->json, &name))
        return false;
    *ret_datatype = datatype_of_name(name);
    return *ret_datatype != TENSORD_INVALID ||
           json_fail(&reader->json, "'%.*s' is no datatype", SPAN_ARGS(name));
}

static bool read_input_parameters(struct infer_json_reader *reader, struct infer_json_input *input,
                                  bool *ret_binary)
{
    struct json *json = &reader->json;
    struct span key;
    unsigned seen = 0;
    json_enter_object(json);
    while (json_next_key(json, &key) && once(json, &seen, key)) {
        if (is_null(json))
            continue;
        if (span_equal(key, SPAN("binary_data_size")))
            *ret_binary = json_u64(json, &input->size_bytes);
        else if (span_starts_with(key, SPAN("shared_memory_")))
            read_region(reader, key, &input->region);
        else
            json_skip(json, NULL);
    }
    return json_ok(json);
}

/* Its values come in one way. */
static bool check_source(struct infer_json_reader *reader, const struct infer_json_input *input,
                         bool binary)
{
    bool shared = input->region.region.data != NULL, data = input->data.data != NULL;
    int sources = data + binary + shared;
    if (sources == 1)
        return true;
    return json_fail(&reader->json,
                     "Input must set only one of the following fields: 'data', 'binary_data_size' "
                     "in 'parameters', 'shared_memory_region' in 'parameters'. But %s%s%s%s for "
                     "input '%.*s'",
                     sources ? "set" : "no field is set", data ? " 'data'" : "",
                     binary ? " 'binary_data_size'" : "", shared ? " 'shared_memory_region'" : "",
                     SPAN_ARGS(input->name));
}

static bool check_input(struct infer_json_reader *reader, const struct infer_json_input *input,
                        bool shaped, bool binary)
{
    struct json *json = &reader->json;
    if (!input->name.size)
        return json_fail(json, "an input has no name");
    if (input->datatype == TENSORD_INVALID)
        return json_fail(json, "input '%.*s' has no datatype", SPAN_ARGS(input->name));
    if (!shaped)
        return json_fail(json, "input '%.*s' has no shape", SPAN_ARGS(input->name));
    return check_region(reader, input->name, &input->region) && check_source(reader, input, binary);
}

static bool read_input(struct infer_json_reader *reader)
{
    struct json *json = &reader->json;
    struct infer_json *request = reader->request;
    struct span key;
    unsigned seen = 0;
    bool binary = false, shaped = false;
    if (request->input_count == TENSOR_MAX_PER_REQUEST)
        return json_fail(json, "a request may have at most %d inputs", TENSOR_MAX_PER_REQUEST);
    if (!arena_grow(reader->arena, (void **)&request->inputs, request->input_count,
                    &request->input_capacity, sizeof *request->inputs))
        return no_memory(reader);
    struct infer_json_input *input = &request->inputs[request->input_count++];
    *input = (struct infer_json_input){0};
    json_enter_object(json);
    while (json_next_key(json, &key) && once(json, &seen, key)) {
        if (is_null(json))
            continue;
        if (span_equal(key, SPAN("name")))
            json_string(json, &input->name);
        else if (span_equal(key, SPAN("datatype")))
            read_datatype(reader, &input->datatype);
        else if (span_equal(key, SPAN("shape")))
            shaped = read_shape(reader, &input->shape);
        else if (span_equal(key, SPAN("data")))
            json_skip_unread(json, &input->data);
        else if (span_equal(key, SPAN("parameters")))
            read_input_parameters(reader, input, &binary);
        else
            json_skip(json, NULL);
    }
    return json_ok(json) && check_input(reader, input, shaped, binary);
}

/* ---- outputs ---- */

static bool read_classes(struct json *json, struct infer_json_output *output)
{
    uint64_t count;
    if (!json_u64(json, &count))
        return false;
    if (count == 0 || count > INT32_MAX)
        return json_fail(json, "'classification' is how many classes are wanted, 1 or above");
    output->classes = (uint32_t)count;
    return true;
}

static bool read_output_parameters(struct infer_json_reader *reader,
                                   struct infer_json_output *output)
{
    struct json *json = &reader->json;
    struct span key;
    unsigned seen = 0;
    json_enter_object(json);
    while (json_next_key(json, &key) && once(json, &seen, key)) {
        if (is_null(json))
            continue;
        if (span_equal(key, SPAN("binary_data")))
            json_bool(json, &output->binary);
        else if (span_starts_with(key, SPAN("shared_memory_")))
            read_region(reader, key, &output->region);
        else if (span_equal(key, SPAN("classification")))
            read_classes(json, output);
        else
            json_skip(json, NULL);
    }
    return json_ok(json);
}

static bool check_output(struct infer_json_reader *reader, const struct infer_json_output *output)
{
    struct json *json = &reader->json;
    if (!output->name.size)
        return json_fail(json, "an output has no name");
    if (output->region.region.data && (output->classes || output->binary))
        return json_fail(json, "Output can't set both 'shared_memory_region' and '%s'",
                         output->classes ? "classification" : "binary_data");
    return check_region(reader, output->name, &output->region);
}

static bool read_output(struct infer_json_reader *reader)
{
    struct json *json = &reader->json;
    struct infer_json *request = reader->request;
    struct span key;
    unsigned seen = 0;
    if (request->output_count == TENSOR_MAX_PER_REQUEST)
        return json_fail(json, "a request may ask for at most %d outputs", TENSOR_MAX_PER_REQUEST);
    if (!arena_grow(reader->arena, (void **)&request->outputs, request->output_count,
                    &request->output_capacity, sizeof *request->outputs))
        return no_memory(reader);
    struct infer_json_output *output = &request->outputs[request->output_count++];
    *output = (struct infer_json_output){0};
    json_enter_object(json);
    while (json_next_key(json, &key) && once(json, &seen, key)) {
        if (is_null(json))
            continue;
        if (span_equal(key, SPAN("name")))
            json_string(json, &output->name);
        else if (span_equal(key, SPAN("parameters")))
            read_output_parameters(reader, output);
        else
            json_skip(json, NULL);
    }
    return json_ok(json) && check_output(reader, output);
}

/* ---- parameters of the request ---- */

/* What a parameter says of a sequence, if it does. */
static bool read_mark(struct infer_json_reader *reader, struct span key, struct span value,
                      enum json_kind kind)
{
    struct sequence_mark *mark = &reader->request->sequence;
    bool starts = span_equal(key, SPAN("sequence_start"));
    if (starts || span_equal(key, SPAN("sequence_end"))) {
        *(starts ? &mark->starts : &mark->ends) = span_equal(span_trim(value), SPAN("true"));
        return kind == JSON_BOOL ||
               json_fail(&reader->json, "'%.*s' is true or false", SPAN_ARGS(key));
    }
    if (!span_equal(key, SPAN("sequence_id")))
        return true;
    if (kind == JSON_STRING)
        mark->id.text = value;
    return kind == JSON_STRING ||
           (kind == JSON_NUMBER && span_to_u64(span_trim(value), &mark->id.number)) ||
           json_fail(&reader->json, "'sequence_id' is text, or a whole number of 64 bits");
}

/* A parameter that is for the model: its value as text. */
static bool read_model_parameter(struct infer_json_reader *reader, struct span key)
{
    struct json *json = &reader->json;
    struct infer_json *request = reader->request;
    struct span value;
    if (span_starts_with(key, SPAN("triton_")))
        return json_fail(json,
                         "parameter keys starting with 'triton_' are reserved for Triton usage "
                         "and should not be specified.");
    for (size_t i = 0; i < request->parameter_count; i++) {
        if (span_equal(request->parameters[i].key, key))
            return json_fail(json, "'%.*s' is given twice", SPAN_ARGS(key));
    }
    if (request->parameter_count == PARAMETER_LIMIT)
        return json_fail(json, "a request may have at most %d parameters", PARAMETER_LIMIT);
    enum json_kind kind = json_peek(json);
    if (kind == JSON_OBJECT || kind == JSON_ARRAY)
        return json_fail(json, "parameter '%.*s' is no string, number or bool", SPAN_ARGS(key));
    if (!(kind == JSON_STRING ? json_string(json, &value) : json_skip(json, &value)))
        return false;
    if (!arena_grow(reader->arena, (void **)&request->parameters, request->parameter_count,
                    &request->parameter_capacity, sizeof *request->parameters))
        return no_memory(reader);
    request->parameters[request->parameter_count++] = (struct parameter){
        .key = key,
        .value = kind == JSON_STRING ? value : span_trim(value),
        .literal = kind != JSON_STRING,
    };
    return read_mark(reader, key, value, kind);
}

bool infer_json_read_parameter(struct infer_json_reader *reader, struct span key)
{
    if (!once(&reader->json, &reader->seen_parameters, key))
        return false;
    if (span_equal(key, SPAN("timeout")))
        return json_u64(&reader->json, &reader->request->timeout_us);
    if (span_equal(key, SPAN("priority")))
        return json_u64(&reader->json, &reader->request->priority);
    return read_model_parameter(reader, key);
}

static bool read_parameters(struct infer_json_reader *reader)
{
    struct json *json = &reader->json;
    struct span key;
    json_enter_object(json);
    while (json_next_key(json, &key)) {
        if (is_null(json))
            continue;
        if (!span_equal(key, SPAN("binary_data_output")))
            infer_json_read_parameter(reader, key);
        else if (once(json, &reader->seen_parameters, key))
            json_bool(json, &reader->request->binary_output);
    }
    return json_ok(json);
}

/* ---- the whole ---- */

bool infer_json_read_id(struct infer_json_reader *reader)
{
    uint64_t number;
    char text[NUMBER_BYTES];
    if (json_peek(&reader->json) != JSON_NUMBER)
        return json_string(&reader->json, &reader->request->id);
    if (!json_u64(&reader->json, &number))
        return false;
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return arena_copy(reader->arena, span_of(text), &reader->request->id) || no_memory(reader);
}

static void read_list(struct infer_json_reader *reader,
                      bool (*read_one)(struct infer_json_reader *))
{
    json_enter_array(&reader->json);
    while (json_next_element(&reader->json) && read_one(reader))
        continue;
}

bool infer_json_read(struct span text, struct arena *arena, struct infer_json *ret_request,
                     struct error *ret_error)
{
    struct infer_json request = {0};
    struct infer_json_reader reader = {.arena = arena, .request = &request};
    struct json *json = &reader.json;
    struct span key;
    bool inputs = false;
    unsigned seen = 0;
    json_init(json, text, JSON_MAX_DEPTH, arena, ret_error);
    json_enter_object(json);
    while (json_next_key(json, &key) && once(json, &seen, key)) {
        if (is_null(json)) {
            continue;
        } else if (span_equal(key, SPAN("id"))) {
            infer_json_read_id(&reader);
        } else if (span_equal(key, SPAN("inputs"))) {
            inputs = true;
            read_list(&reader, read_input);
        } else if (span_equal(key, SPAN("outputs"))) {
            read_list(&reader, read_output);
        } else if (span_equal(key, SPAN("parameters"))) {
            read_parameters(&reader);
        } else {
            json_skip(json, NULL);
        }
    }
    if (!json_end(json))
        return false;
    if (!inputs)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "the request has no 'inputs'");
    *ret_request = request;
    return true;
}
