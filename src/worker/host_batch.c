/* Several requests as one execution: inputs are joined along the first dimension, outputs are split
 * by the rows that each request brought. The engine sees one execution; the requests' tensors are
 * equal in every other dimension, but for ragged ones, which are joined element after element.
 *
 *     request 0: (2, 3) ─┐            ┌─ (2, 5)
 *     request 1: (1, 3) ─┼─► (4, 3) ──┼─ (1, 5)
 *     request 2: (1, 3) ─┘   engine   └─ (1, 5) */
#include "worker/host_private.h"

#include <stdlib.h>

static struct tensord_tensor tensor_of(const struct channel_tensor *from, void *data)
{
    struct tensord_tensor tensor = {.index = from->index,
                                    .datatype = from->datatype,
                                    .ndim = from->shape.ndim,
                                    .data = data,
                                    .size_bytes = from->extent.size};
    memcpy(tensor.shape, from->shape.dims, sizeof tensor.shape);
    return tensor;
}

static bool no_memory(struct host_execution *execution)
{
    execution->host->tensord.reason(TENSORD_UNAVAILABLE, "out of memory");
    return false;
}

/* All elements that the requests have of an input, in one dimension. */
static bool ragged_shape(struct host_execution *execution, size_t index, struct shape *ret_shape)
{
    uint64_t total = 0;
    for (size_t i = 0; i < execution->request_count; i++) {
        uint64_t count;
        if (!shape_count(&execution->requests[i].inputs[index].shape, &count) ||
            __builtin_add_overflow(total, count, &total) || total > INT64_MAX) {
            execution->host->tensord.reason(TENSORD_INVALID_ARGUMENT,
                                            "there are more elements than can be counted");
            return false;
        }
    }
    *ret_shape = (struct shape){1, {(int64_t)total}};
    return true;
}

/* The shape that the engine sees of input `index` of all requests together. */
static bool shape_of_all(struct host_execution *execution, size_t index, struct shape *ret_shape)
{
    const struct channel_tensor *first = &execution->requests[0].inputs[index];
    const struct shaped_tensor *shaped = host_shaped_input(execution->host, first->index);
    if (shaped && shaped->kind == SHAPED_RAGGED)
        return ragged_shape(execution, index, ret_shape);
    if (!host_input_shape(execution->host, first->index, &first->shape, ret_shape))
        return false;
    if (execution->request_count > 1)
        ret_shape->dims[0] = execution->rows;
    return true;
}

/* Joins input `index` of all requests in memory of its own. */
static bool join_input(struct host_execution *execution, size_t index,
                       struct tensord_tensor *ret_tensor)
{
    struct channel_tensor joined = execution->requests[0].inputs[index];
    joined.extent.size = 0;
    for (size_t i = 0; i < execution->request_count; i++)
        joined.extent.size += execution->requests[i].inputs[index].extent.size;
    char *data = aligned_alloc(TENSOR_ALIGNMENT, (joined.extent.size + TENSOR_ALIGNMENT) /
                                                     TENSOR_ALIGNMENT * TENSOR_ALIGNMENT);
    if (!data)
        return no_memory(execution);
    execution->copies[index] = data;
    if (!shape_of_all(execution, index, &joined.shape))
        return false;
    *ret_tensor = tensor_of(&joined, data);
    for (size_t i = 0; i < execution->request_count; i++) {
        struct extent extent = execution->requests[i].inputs[index].extent;
        memcpy(data, execution->host->tensors + extent.offset, extent.size);
        data += extent.size;
    }
    return true;
}

static bool pass_input(struct host_execution *execution, size_t index,
                       struct tensord_tensor *ret_tensor)
{
    struct channel_tensor input = execution->requests[0].inputs[index];
    if (execution->host->shaped_inputs && !shape_of_all(execution, index, &input.shape))
        return false;
    *ret_tensor = tensor_of(&input, execution->host->tensors + input.extent.offset);
    return true;
}

/* Every input of a request has as many rows as its first one. */
static bool count_rows(struct host_execution *execution)
{
    execution->rows = 0;
    for (size_t i = 0; i < execution->request_count; i++) {
        struct host_request *request = &execution->requests[i];
        for (size_t j = 0; j < execution->input_count; j++) {
            const struct shape *shape = &request->inputs[j].shape;
            if (shape->ndim == 0 || shape->dims[0] != request->inputs[0].shape.dims[0]) {
                execution->host->tensord.reason(TENSORD_INTERNAL, "inputs cannot be joined");
                return false;
            }
            request->rows = shape->dims[0];
        }
        execution->rows += request->rows;
    }
    return true;
}

bool host_batch_gather(struct host_execution *execution)
{
    size_t made = execution->host->made_input_count, most = execution->input_count + made;
    bool joined = execution->request_count > 1;
    struct tensord_tensor *inputs = arena_calloc(&execution->arena, most, sizeof *inputs);
    if (!inputs)
        return no_memory(execution);
    execution->tensord.inputs = inputs;
    execution->tensord.input_count = execution->input_count;
    if (joined || made) {
        execution->copies = arena_calloc(&execution->arena, most, sizeof *execution->copies);
        if (!execution->copies)
            return no_memory(execution);
    }
    if (joined && !count_rows(execution))
        return false;
    for (size_t i = 0; i < execution->input_count; i++) {
        if (!(joined ? join_input : pass_input)(execution, i, &inputs[i]))
            return false;
    }
    return !made || host_make_inputs(execution, inputs);
}

/* Bytes of the next tensor of this shape, when the rest of an output starts with it. For BYTES the
 * elements say; the engine has written them. False when it has written nonsense. */
static bool next_size(const struct shape *shape, enum tensord_datatype datatype, struct span rest,
                      uint64_t *ret_size)
{
    uint64_t count;
    const char *start = rest.data;
    if (datatype != TENSORD_BYTES)
        return shape_size_bytes(shape, datatype, ret_size) && *ret_size <= rest.size;
    if (!shape_count(shape, &count))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        struct span element;
        if (!bytes_tensor_next(&rest, &element))
            return false;
    }
    *ret_size = (uint64_t)(rest.data - start);
    return true;
}

static void add_part(struct host_execution *execution, struct host_request *request,
                     const struct host_output *output, const struct shape *shape, const char *data,
                     uint64_t size)
{
    struct channel_tensor part = output->tensor;
    part.shape = *shape;
    if (request->status != TENSORD_OK)
        return;
    if (!host_room_take(execution, request, size, &part.extent)) {
        request->status = TENSORD_UNAVAILABLE;
        return;
    }
    if (size)
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): what has a size has data */
        memcpy(execution->host->tensors + part.extent.offset, data, size);
    request->outputs[request->output_count++] = part;
}

static void fail_all(struct host_execution *execution, const char *reason)
{
    execution->host->tensord.reason(TENSORD_INTERNAL, "%s", reason);
    for (size_t i = 0; i < execution->request_count; i++)
        execution->requests[i].status = TENSORD_INTERNAL;
}

/* What a request gets of an output: its rows, or what the shape of an input says. */
static bool shape_of_part(const struct host_request *request, const struct host_output *output,
                          struct shape *ret_shape)
{
    if (host_is_scattered(request->execution->host, output->tensor.index))
        return host_scattered_shape(request, output->tensor.index, ret_shape);
    *ret_shape = output->tensor.shape;
    ret_shape->dims[0] = request->rows;
    return true;
}

static const char scattered_wrong[] =
    "the model gave another number of elements than the shapes of the input say by which the "
    "config has them split";

static void split_output(struct host_execution *execution, const struct host_output *output)
{
    const struct shape *whole = &output->tensor.shape;
    struct span rest = {output->data, output->tensor.extent.size};
    bool scattered = host_is_scattered(execution->host, output->tensor.index);
    const char *malformed = scattered ? scattered_wrong : "the model gave a malformed BYTES output";
    if (!scattered && (whole->ndim == 0 || whole->dims[0] != execution->rows)) {
        fail_all(execution, "the model gave another number of rows than it was given, although its "
                            "requests may be joined");
        return;
    }
    for (size_t i = 0; i < execution->request_count; i++) {
        struct host_request *request = &execution->requests[i];
        struct shape shape;
        uint64_t size;
        if (!shape_of_part(request, output, &shape) ||
            !next_size(&shape, output->tensor.datatype, rest, &size)) {
            fail_all(execution, malformed);
            return;
        }
        add_part(execution, request, output, &shape, rest.data, size);
        rest = span_after(rest, size);
    }
    if (rest.size) /* so the lengths before it may be wrong as well */
        fail_all(execution, malformed);
}

void host_batch_scatter(struct host_execution *execution)
{
    for (size_t i = 0; i < execution->request_count; i++) {
        struct host_request *request = &execution->requests[i];
        request->output_count = 0;
        if (!host_request_has_room(request, execution->output_count))
            request->status = TENSORD_UNAVAILABLE;
    }
    for (size_t i = 0; i < execution->output_count; i++)
        split_output(execution, &execution->outputs[i]);
}

void host_batch_pass_on(struct host_execution *execution)
{
    struct host *host = execution->host;
    struct host_request *request = execution->requests;
    if (!host_request_has_room(request, execution->output_count)) {
        host->tensord.reason(TENSORD_UNAVAILABLE, "out of memory");
        request->status = TENSORD_UNAVAILABLE;
        return;
    }
    for (size_t i = 0; i < execution->output_count; i++) {
        struct channel_tensor *output = &request->outputs[i];
        uint64_t whole, part;
        *output = execution->outputs[i].tensor;
        if (!host_is_scattered(host, output->index))
            continue;
        shape_count(&output->shape, &whole);
        if (!host_scattered_shape(request, output->index, &output->shape) ||
            !shape_count(&output->shape, &part) || part != whole) {
            fail_all(execution, scattered_wrong);
            return;
        }
    }
    request->output_count = execution->output_count;
}
