/* worker_spec as bytes; see worker_spec.h.
 *
 * A version byte, then the members in the order of the struct: numbers as 8 bytes little-endian,
 * strings as a length and their bytes. Both ends are the same program, so that nothing has to be
 * skipped or defaulted: whatever does not fit exactly is refused. */
#include "worker/worker_spec.h"

enum { VERSION = 1 };

static void put_number(struct buf *buf, uint64_t value)
{
    char bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(unsigned char)(value >> (8 * i));
    buf_append(buf, (struct span){bytes, sizeof bytes});
}

static void put_string(struct buf *buf, struct span string)
{
    put_number(buf, string.size);
    buf_append(buf, string);
}

static void put_tensors(struct buf *buf, const struct tensor_info *tensors, size_t count)
{
    put_number(buf, count);
    for (size_t i = 0; i < count; i++) {
        put_string(buf, tensors[i].name);
        put_number(buf, (uint64_t)tensors[i].datatype);
        put_number(buf, tensors[i].optional);
        put_number(buf, tensors[i].shape.ndim);
        for (uint32_t d = 0; d < tensors[i].shape.ndim; d++)
            put_number(buf, (uint64_t)tensors[i].shape.dims[d]);
    }
}

bool worker_spec_write(const struct worker_spec *spec, struct buf *buf)
{
    if (spec->input_count > TENSOR_MAX_PER_REQUEST || spec->output_count > TENSOR_MAX_PER_REQUEST ||
        spec->parameter_count > WORKER_SPEC_MAX_PARAMETERS)
        return false;
    put_number(buf, VERSION);
    put_string(buf, spec->path);
    put_string(buf, spec->root);
    put_string(buf, spec->name);
    put_number(buf, spec->version);
    put_string(buf, spec->engine);
    put_tensors(buf, spec->inputs, spec->input_count);
    put_tensors(buf, spec->outputs, spec->output_count);
    put_number(buf, spec->parameter_count);
    for (size_t i = 0; i < spec->parameter_count; i++) {
        put_string(buf, spec->parameters[i].key);
        put_string(buf, spec->parameters[i].value);
    }
    put_number(buf, (uint64_t)spec->max_batch_size);
    put_number(buf, spec->may_batch);
    put_number(buf, spec->threads);
    put_number(buf, spec->concurrency);
    put_string(buf, spec->device);
    put_number(buf, spec->probe);
    return buf_ok(buf);
}

/* Bytes that are being read. After a failure everything reads as zero, so that it is checked once.
 */
struct reader {
    struct span rest;
    struct arena *arena;
    bool failed;
};

/* A number that is at most `limit`. */
static uint64_t get_number(struct reader *reader, uint64_t limit)
{
    uint64_t value = 0;
    if (reader->failed || reader->rest.size < 8) {
        reader->failed = true;
        return 0;
    }
    for (size_t i = 0; i < 8; i++)
        value |= (uint64_t)(unsigned char)reader->rest.data[i] << (8 * i);
    reader->rest = span_after(reader->rest, 8);
    reader->failed = value > limit;
    return reader->failed ? 0 : value;
}

static bool get_bool(struct reader *reader)
{
    return get_number(reader, 1) != 0;
}

/* Strings become paths and C strings: a NUL inside is refused. */
static struct span get_string(struct reader *reader)
{
    size_t size = get_number(reader, WORKER_SPEC_MAX_BYTES);
    if (reader->failed || size > reader->rest.size || memchr(reader->rest.data, '\0', size)) {
        reader->failed = true;
        return (struct span){NULL, 0};
    }
    struct span string = {reader->rest.data, size};
    reader->rest = span_after(reader->rest, size);
    return string;
}

/* Cleared room for *ret_count elements. */
static void *get_array(struct reader *reader, uint64_t limit, size_t element_size,
                       size_t *ret_count)
{
    size_t count = get_number(reader, limit);
    void *array = count ? arena_calloc(reader->arena, count, element_size) : NULL;
    if (count && !array) {
        reader->failed = true;
        count = 0;
    }
    *ret_count = count;
    return array;
}

static void get_tensor(struct reader *reader, struct tensor_info *tensor)
{
    tensor->name = get_string(reader);
    tensor->datatype = (enum tensord_datatype)get_number(reader, TENSORD_DATATYPE_COUNT - 1);
    tensor->optional = get_bool(reader);
    tensor->shape.ndim = (uint32_t)get_number(reader, TENSOR_MAX_DIMS);
    for (uint32_t d = 0; d < tensor->shape.ndim; d++)
        tensor->shape.dims[d] = (int64_t)get_number(reader, UINT64_MAX);
}

static const struct tensor_info *get_tensors(struct reader *reader, size_t *ret_count)
{
    struct tensor_info *tensors =
        get_array(reader, TENSOR_MAX_PER_REQUEST, sizeof *tensors, ret_count);
    for (size_t i = 0; i < *ret_count && !reader->failed; i++)
        get_tensor(reader, &tensors[i]);
    return tensors;
}

static const struct parameter *get_parameters(struct reader *reader, size_t *ret_count)
{
    struct parameter *parameters =
        get_array(reader, WORKER_SPEC_MAX_PARAMETERS, sizeof *parameters, ret_count);
    for (size_t i = 0; i < *ret_count && !reader->failed; i++) {
        parameters[i].key = get_string(reader);
        parameters[i].value = get_string(reader);
    }
    return parameters;
}

bool worker_spec_read(struct span bytes, struct arena *arena, struct worker_spec *ret_spec,
                      struct error *ret_error)
{
    struct reader reader = {.rest = bytes, .arena = arena};
    struct worker_spec spec = {.version = 0};
    if (get_number(&reader, VERSION) != VERSION)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "not a worker's specification");
    spec.path = get_string(&reader);
    spec.root = get_string(&reader);
    spec.name = get_string(&reader);
    spec.version = get_number(&reader, UINT64_MAX);
    spec.engine = get_string(&reader);
    spec.inputs = get_tensors(&reader, &spec.input_count);
    spec.outputs = get_tensors(&reader, &spec.output_count);
    spec.parameters = get_parameters(&reader, &spec.parameter_count);
    spec.max_batch_size = (int64_t)get_number(&reader, UINT64_MAX);
    spec.may_batch = get_bool(&reader);
    spec.threads = (uint32_t)get_number(&reader, UINT32_MAX);
    spec.concurrency = (uint32_t)get_number(&reader, UINT32_MAX);
    spec.device = get_string(&reader);
    spec.probe = get_bool(&reader);
    if (reader.failed || reader.rest.size != 0)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "broken worker's specification");
    *ret_spec = spec;
    return true;
}
