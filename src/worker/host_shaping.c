/* What clients have otherwise than the engine (base/shaping.h): between a request's tensors, as the
 * front sends and takes them, and an execution's. */
#include "worker/host_private.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- what belongs to which of the model's tensors ---- */

static int find(const struct tensord_tensor_info *infos, size_t count, struct span name)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal(span_of(infos[i].name), name))
            return (int)i;
    }
    return -1;
}

static bool missing(const char *what, struct span name, struct error *ret_error)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "the config has %s '%.*s', which the model has not", what, SPAN_ARGS(name));
}

static bool bind_tensor(struct host *host, const struct shaped_tensor *tensor,
                        struct error *ret_error)
{
    const struct tensord_description *description = &host->description;
    bool output = tensor->is_output;
    int at = find(output ? description->outputs : description->inputs,
                  output ? description->output_count : description->input_count, tensor->name);
    if (at < 0)
        return missing(output ? "output" : "input", tensor->name, ret_error);
    if (tensor->kind == SHAPED_RAGGED) {
        if (description->batching == TENSORD_BATCHING_OWN)
            return true; /* nothing is joined, and each request's is handed over as it is */
        if (description->inputs[at].ndim != 1 && !description->inputs[at].any_rank)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'allow_ragged_batch' of input '%.*s' leaves it one dimension, and "
                             "the model takes %" PRIu32,
                             SPAN_ARGS(tensor->name), description->inputs[at].ndim);
    }
    struct host_shaped *shaped = &(output ? host->shaped_outputs : host->shaped_inputs)[at];
    shaped->config = tensor;
    if (tensor->kind != SHAPED_SCATTERED)
        return true;
    at = find(description->inputs, description->input_count, tensor->source);
    shaped->source = (uint32_t)at;
    return at >= 0 || missing("input", tensor->source, ret_error);
}

/* In the order of the model's inputs, as engines are given them. */
static bool bind_batch_input(struct host *host, const struct batch_input *input,
                             struct error *ret_error)
{
    const struct tensord_description *description = &host->description;
    int at = find(description->inputs, description->input_count, input->name);
    int source = find(description->inputs, description->input_count, input->source);
    if (at < 0 || source < 0)
        return missing("input", at < 0 ? input->name : input->source, ret_error);
    if (description->inputs[at].datatype != input->datatype)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the batch_input '%.*s' is %s, and the model takes %s",
                         SPAN_ARGS(input->name), datatype_name(input->datatype),
                         datatype_name(description->inputs[at].datatype));
    struct host_made *made = host->made_inputs;
    size_t place = host->made_input_count++;
    for (; place > 0 && made[place - 1].index > (uint32_t)at; place--)
        made[place] = made[place - 1];
    made[place] = (struct host_made){input, (uint32_t)at, (uint32_t)source};
    return true;
}

static bool bind_padded(struct host *host, const struct padding *padding, bool output,
                        struct span name, struct error *ret_error)
{
    const struct tensord_description *description = &host->description;
    const struct tensord_tensor_info *infos = output ? description->outputs : description->inputs;
    int at = find(infos, output ? description->output_count : description->input_count, name);
    uint64_t element;
    if (at < 0)
        return missing(output ? "output" : "input", name, ret_error);
    const struct tensord_tensor_info *info = &infos[at];
    if (!info->any_rank && (padding->dim >= info->ndim || info->shape[padding->dim] >= 0))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'scheduling.padding' has '%.*s', which has no 'dim' %" PRIu32
                         " of any size behind its rows",
                         SPAN_ARGS(name), padding->dim - 1);
    if (output ? info->datatype == TENSORD_BYTES
               : !padding_element(padding, info->datatype, &element))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'scheduling.padding' has '%.*s' of datatype %s, which %s",
                         SPAN_ARGS(name), datatype_name(info->datatype),
                         output ? "is not cut back" : "is not padded, or not with such a value");
    (output ? host->shaped_outputs : host->shaped_inputs)[at].padding = padding;
    return true;
}

static bool bind_padding(struct host *host, const struct padding *padding, struct error *ret_error)
{
    for (size_t i = 0; i < padding->input_count; i++) {
        if (!bind_padded(host, padding, false, padding->inputs[i], ret_error))
            return false;
    }
    for (size_t i = 0; i < padding->output_count; i++) {
        if (!bind_padded(host, padding, true, padding->outputs[i], ret_error))
            return false;
    }
    return true;
}

bool host_shaping_bind(struct host *host, struct error *ret_error)
{
    const struct shaping *shaping = &host->spec->shaping;
    if (!shaping->tensor_count && !shaping->batch_input_count && !shaping->padding_count)
        return true;
    host->shaped_inputs = calloc(host->description.input_count + 1, sizeof *host->shaped_inputs);
    host->shaped_outputs = calloc(host->description.output_count + 1, sizeof *host->shaped_outputs);
    host->made_inputs = calloc(shaping->batch_input_count + 1, sizeof *host->made_inputs);
    if (!host->shaped_inputs || !host->shaped_outputs || !host->made_inputs)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < shaping->tensor_count; i++) {
        if (!bind_tensor(host, &shaping->tensors[i], ret_error))
            return false;
    }
    for (size_t i = 0; i < shaping->batch_input_count; i++) {
        if (!bind_batch_input(host, &shaping->batch_inputs[i], ret_error))
            return false;
    }
    for (size_t i = 0; i < shaping->padding_count; i++) {
        if (!bind_padding(host, &shaping->paddings[i], ret_error))
            return false;
    }
    return true;
}

void host_shaping_free(struct host *host)
{
    free(host->shaped_inputs);
    free(host->shaped_outputs);
    free(host->made_inputs);
}

const struct shaped_tensor *host_shaped_input(const struct host *host, uint32_t index)
{
    return host->shaped_inputs ? host->shaped_inputs[index].config : NULL;
}

const struct padding *host_input_padding(const struct host *host, uint32_t index)
{
    return host->shaped_inputs ? host->shaped_inputs[index].padding : NULL;
}

const struct padding *host_output_padding(const struct host *host, uint32_t index)
{
    return host->shaped_outputs ? host->shaped_outputs[index].padding : NULL;
}

/* ---- inputs ---- */

static bool fail(struct host *host, enum tensord_status status, const char *what)
{
    host->tensord.reason(status, "%s", what);
    return false;
}

bool host_input_shape(struct host *host, uint32_t index, const struct shape *shape,
                      struct shape *ret_shape)
{
    const struct shaped_tensor *shaped = host_shaped_input(host, index);
    *ret_shape = *shape;
    return !shaped || shaped->kind != SHAPED_RESHAPED ||
           reshape(&shaped->client, &shaped->model, shape, ret_shape) ||
           fail(host, TENSORD_INTERNAL, "an input's shape is not the one to be reshaped");
}

static const struct channel_tensor *input_of(const struct host_request *request, size_t count,
                                             uint32_t index)
{
    for (size_t i = 0; i < count; i++) {
        if (request->inputs[i].index == index)
            return &request->inputs[i];
    }
    return NULL;
}

bool host_padded_size(const struct host_request *request, const struct padding *padding,
                      int64_t *ret_size)
{
    struct host *host = request->execution->host;
    for (size_t i = 0; i < request->execution->input_count; i++) {
        const struct channel_tensor *input = &request->inputs[i];
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): an output that is cut has one */
        if (host_input_padding(host, input->index) != padding || padding->dim >= input->shape.ndim)
            continue;
        *ret_size = input->shape.dims[padding->dim];
        return true;
    }
    return fail(host, TENSORD_INVALID_ARGUMENT, "the input is missing by which an output is cut");
}

/* The shapes that an input has in all requests of an execution; NULL with the reason said. */
static struct shape *source_shapes(struct host_execution *execution, uint32_t source)
{
    struct host *host = execution->host;
    struct shape *shapes =
        arena_alloc(&execution->arena, execution->request_count * sizeof *shapes);
    if (!shapes)
        fail(host, TENSORD_UNAVAILABLE, "out of memory");
    for (size_t i = 0; shapes && i < execution->request_count; i++) {
        const struct channel_tensor *input =
            input_of(&execution->requests[i], execution->input_count, source);
        if (!input) {
            host->tensord.reason(TENSORD_INVALID_ARGUMENT,
                                 "input '%s' is missing, from which the server makes another",
                                 host->description.inputs[source].name);
            return NULL;
        }
        if (!host_input_shape(host, source, &input->shape, &shapes[i]))
            return NULL;
    }
    return shapes;
}

void *host_make_input(struct host *host, const struct host_made *made, const struct shape *shapes,
                      size_t count, struct tensord_tensor *ret_tensor)
{
    struct shape shape;
    uint64_t size;
    if (!batch_input_shape(made->config->kind, shapes, count, &shape) ||
        !shape_size_bytes(&shape, made->config->datatype, &size) ||
        size > SIZE_MAX - 2 * TENSOR_ALIGNMENT) {
        fail(host, TENSORD_INVALID_ARGUMENT, "there are more elements than can be counted");
        return NULL;
    }
    void *data = aligned_alloc(TENSOR_ALIGNMENT,
                               (size + TENSOR_ALIGNMENT) / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT);
    if (!data) {
        fail(host, TENSORD_UNAVAILABLE, "out of memory");
        return NULL;
    }
    if (!batch_input_fill(made->config, shapes, count, data)) {
        fail(host, TENSORD_INVALID_ARGUMENT, "there are more elements than an INT32 counts");
        free(data);
        return NULL;
    }
    *ret_tensor = (struct tensord_tensor){.index = made->index,
                                          .datatype = made->config->datatype,
                                          .ndim = shape.ndim,
                                          .data = data,
                                          .size_bytes = size};
    memcpy(ret_tensor->shape, shape.dims, sizeof ret_tensor->shape);
    return data;
}

bool host_make_inputs(struct host_execution *execution, struct tensord_tensor *inputs)
{
    struct host *host = execution->host;
    for (size_t i = 0; i < host->made_input_count; i++) {
        const struct host_made *made = &host->made_inputs[i];
        const struct shape *shapes = source_shapes(execution, made->source);
        size_t place = execution->tensord.input_count;
        struct tensord_tensor tensor;
        void *data =
            shapes ? host_make_input(host, made, shapes, execution->request_count, &tensor) : NULL;
        if (!data)
            return false;
        execution->copies[place] = data;
        for (; place > 0 && inputs[place - 1].index > tensor.index; place--)
            inputs[place] = inputs[place - 1];
        inputs[place] = tensor;
        execution->tensord.input_count++;
    }
    return true;
}

/* ---- outputs ---- */

bool host_output_shape(struct host *host, uint32_t index, struct shape *shape)
{
    const struct shaped_tensor *shaped =
        host->shaped_outputs ? host->shaped_outputs[index].config : NULL;
    const struct shape own = *shape;
    char text[160];
    if (!shaped || shaped->kind != SHAPED_RESHAPED ||
        reshape(&shaped->model, &shaped->client, &own, shape))
        return true;
    host->tensord.reason(TENSORD_INTERNAL,
                         "the model gave output '%s' the shape %s, which cannot be reshaped as the "
                         "config says",
                         host->description.outputs[index].name,
                         shape_format(&own, text, sizeof text));
    return false;
}

bool host_is_scattered(const struct host *host, uint32_t index)
{
    const struct shaped_tensor *shaped =
        host->shaped_outputs ? host->shaped_outputs[index].config : NULL;
    return shaped && shaped->kind == SHAPED_SCATTERED;
}

bool host_scattered_shape(const struct host_request *request, uint32_t index,
                          struct shape *ret_shape)
{
    struct host *host = request->execution->host;
    const struct host_shaped *shaped = &host->shaped_outputs[index];
    const struct channel_tensor *source =
        input_of(request, request->execution->input_count, shaped->source);
    struct shape shape;
    return (source && host_input_shape(host, shaped->source, &source->shape, &shape) &&
            shape_fill(&shaped->config->client, &shape, ret_shape)) ||
           fail(host, TENSORD_INTERNAL, "an output cannot be split by the shape of an input");
}
