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
    const struct padding *padding = host_input_padding(execution->host, first->index);
    if (padding && padding->dim < ret_shape->ndim)
        ret_shape->dims[padding->dim] = padding_size(padding, ret_shape->dims[padding->dim]);
    return true;
}

/* Copies an input to where it is joined. Returns where the copy ends. */
static char *copy_input(const struct host *host, const struct channel_tensor *input,
                        const struct shape *joined, char *to)
{
    const struct padding *padding = host_input_padding(host, input->index);
    const char *from = host->tensors + input->extent.offset;
    if (padding && padding->dim < joined->ndim)
        return padding_fill(padding, input->datatype, &input->shape, joined->dims[padding->dim],
                            from, to);
    if (input->extent.size)
        memcpy(to, from, input->extent.size);
    return to + input->extent.size;
}

/* Bytes of all requests' input `index` together. */
static bool joined_size(const struct host_execution *execution, size_t index,
                        const struct shape *joined, uint64_t *ret_size)
{
    const struct channel_tensor *first = &execution->requests[0].inputs[index];
    *ret_size = 0;
    if (host_input_padding(execution->host, first->index))
        return shape_size_bytes(joined, first->datatype, ret_size) &&
               *ret_size <= SIZE_MAX - 2 * TENSOR_ALIGNMENT;
    for (size_t i = 0; i < execution->request_count; i++)
        *ret_size += execution->requests[i].inputs[index].extent.size;
    return true;
}

/* Joins input `index` of all requests in memory of its own. */
static bool join_input(struct host_execution *execution, size_t index,
                       struct tensord_tensor *ret_tensor)
{
    struct channel_tensor joined = execution->requests[0].inputs[index];
    if (!shape_of_all(execution, index, &joined.shape))
        return false;
    if (!joined_size(execution, index, &joined.shape, &joined.extent.size))
        return no_memory(execution);
    char *data = aligned_alloc(TENSOR_ALIGNMENT, (joined.extent.size + TENSOR_ALIGNMENT) /
                                                     TENSOR_ALIGNMENT * TENSOR_ALIGNMENT);
    if (!data)
        return no_memory(execution);
    execution->copies[index] = data;
    *ret_tensor = tensor_of(&joined, data);
    for (size_t i = 0; i < execution->request_count; i++)
        data =
            copy_input(execution->host, &execution->requests[i].inputs[index], &joined.shape, data);
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

/* Looks which inputs are to be padded; in all requests of an execution they get the same size. */
static bool look_at_padding(struct host_execution *execution)
{
    const struct host *host = execution->host;
    for (size_t j = 0; host->shaped_inputs && j < execution->input_count; j++) {
        const struct channel_tensor *first = &execution->requests[0].inputs[j];
        const struct padding *padding = host_input_padding(host, first->index);
        if (!padding || padding->dim >= first->shape.ndim)
            continue;
        int64_t size = padding_size(padding, first->shape.dims[padding->dim]);
        for (size_t i = 0; i < execution->request_count; i++) {
            int64_t own = execution->requests[i].inputs[j].shape.dims[padding->dim];
            execution->padded |= own != size;
            if (padding_size(padding, own) != size) {
                host->tensord.reason(TENSORD_INTERNAL, "inputs cannot be joined");
                return false;
            }
        }
    }
    return true;
}

bool host_batch_gather(struct host_execution *execution)
{
    size_t made = execution->host->made_input_count, most = execution->input_count + made;
    if (!look_at_padding(execution))
        return false;
    bool joined = host_is_joined(execution);
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

/* A part of an output: how it lies in the whole, and how the request gets it. */
struct part {
    struct shape shape, cut;
    const struct padding *padding; /* that is cut away; NULL: none is */
    const char *data;
    uint64_t size;
};

static void add_part(struct host_execution *execution, struct host_request *request,
                     const struct host_output *output, const struct part *part)
{
    struct channel_tensor tensor = output->tensor;
    uint64_t size = part->size;
    tensor.shape = part->cut;
    if (request->status != TENSORD_OK)
        return;
    if (part->padding)
        shape_size_bytes(&part->cut, tensor.datatype, &size); /* less than that of the whole */
    if (!host_room_take(execution, request, size, &tensor.extent)) {
        request->status = TENSORD_UNAVAILABLE;
        return;
    }
    char *to = execution->host->tensors + tensor.extent.offset;
    if (part->padding)
        padding_cut(part->padding, tensor.datatype, &part->shape,
                    part->cut.dims[part->padding->dim], part->data, to);
    else if (size)
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): what has a size has data */
        memcpy(to, part->data, size);
    request->outputs[request->output_count++] = tensor;
}

static void fail_all(struct host_execution *execution, const char *reason)
{
    execution->host->tensord.reason(TENSORD_INTERNAL, "%s", reason);
    for (size_t i = 0; i < execution->request_count; i++)
        execution->requests[i].status = TENSORD_INTERNAL;
}

/* What a request gets of an output: its rows, or what the shape of an input says; without padding.
 */
static bool shape_part(const struct host_request *request, const struct host_output *output,
                       struct part *part)
{
    const struct host *host = request->execution->host;
    uint32_t index = output->tensor.index;
    const struct padding *padding = host_output_padding(host, index);
    *part = (struct part){.shape = output->tensor.shape};
    if (host_is_scattered(host, index)) {
        if (!host_scattered_shape(request, index, &part->shape))
            return false;
    } else {
        part->shape.dims[0] = request->rows;
    }
    part->cut = part->shape;
    if (!padding)
        return true;
    int64_t size;
    if (!host_padded_size(request, padding, &size) || padding->dim >= part->shape.ndim ||
        part->shape.dims[padding->dim] != padding_size(padding, size))
        return false;
    part->cut.dims[padding->dim] = size;
    part->padding = padding;
    return true;
}

static const char scattered_wrong[] =
    "the model gave another number of elements than the shapes of the input say by which the "
    "config has them split";

/* What it means that an output cannot be split. */
static const char *unsplit(const struct host *host, uint32_t index)
{
    if (host_is_scattered(host, index))
        return scattered_wrong;
    if (host_output_padding(host, index))
        return "the model gave an output that has not the size to which its input was padded, "
               "although the config has it cut back";
    return "the model gave a malformed BYTES output";
}

static void split_output(struct host_execution *execution, const struct host_output *output)
{
    const struct shape *whole = &output->tensor.shape;
    struct span rest = {output->data, output->tensor.extent.size};
    uint32_t index = output->tensor.index;
    if (!host_is_scattered(execution->host, index) &&
        (whole->ndim == 0 || whole->dims[0] != execution->rows)) {
        fail_all(execution, "the model gave another number of rows than it was given, although its "
                            "requests may be joined");
        return;
    }
    for (size_t i = 0; i < execution->request_count; i++) {
        struct host_request *request = &execution->requests[i];
        struct part part;
        if (!shape_part(request, output, &part) ||
            !next_size(&part.shape, output->tensor.datatype, rest, &part.size)) {
            fail_all(execution, unsplit(execution->host, index));
            return;
        }
        part.data = rest.data;
        add_part(execution, request, output, &part);
        rest = span_after(rest, part.size);
    }
    if (rest.size) /* so the lengths before it may be wrong as well */
        fail_all(execution, unsplit(execution->host, index));
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
