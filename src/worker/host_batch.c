/* Several requests as one execution: inputs are joined along the first dimension, outputs are split
 * by the rows that each request brought. The engine sees one execution; the requests' tensors are
 * equal in every other dimension.
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
    joined.shape.dims[0] = execution->rows;
    *ret_tensor = tensor_of(&joined, data);
    for (size_t i = 0; i < execution->request_count; i++) {
        struct extent extent = execution->requests[i].inputs[index].extent;
        memcpy(data, execution->host->tensors + extent.offset, extent.size);
        data += extent.size;
    }
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
    struct tensord_tensor *inputs =
        arena_calloc(&execution->arena, execution->input_count, sizeof *inputs);
    if (!inputs)
        return no_memory(execution);
    execution->tensord.inputs = inputs;
    execution->tensord.input_count = execution->input_count;
    if (execution->request_count == 1) {
        for (size_t i = 0; i < execution->input_count; i++) {
            const struct channel_tensor *input = &execution->requests[0].inputs[i];
            inputs[i] = tensor_of(input, execution->host->tensors + input->extent.offset);
        }
        return true;
    }
    execution->copies =
        arena_calloc(&execution->arena, execution->input_count, sizeof *execution->copies);
    if (!execution->copies)
        return no_memory(execution);
    if (!count_rows(execution))
        return false;
    for (size_t i = 0; i < execution->input_count; i++) {
        if (!join_input(execution, i, &inputs[i]))
            return false;
    }
    return true;
}

/* Bytes of the next `rows` rows of an output whose rest starts at data. For BYTES the elements say;
 * the engine has written them. False when it has written nonsense. */
static bool rows_size(const struct channel_tensor *output, int64_t total_rows, int64_t rows,
                      struct span rest, uint64_t *ret_size)
{
    uint64_t count = 0;
    if (total_rows == 0 || output->datatype != TENSORD_BYTES) {
        *ret_size = total_rows ? output->extent.size / (uint64_t)total_rows * (uint64_t)rows : 0;
        return *ret_size <= rest.size;
    }
    const char *start = rest.data;
    shape_count(&output->shape, &count);
    count = count / (uint64_t)total_rows * (uint64_t)rows;
    for (uint64_t i = 0; i < count; i++) {
        struct span element;
        if (!bytes_tensor_next(&rest, &element))
            return false;
    }
    *ret_size = (uint64_t)(rest.data - start);
    return true;
}

static void add_rows(struct host_execution *execution, struct host_request *request,
                     const struct host_output *output, const char *data, uint64_t size)
{
    struct channel_tensor rows = output->tensor;
    rows.shape.dims[0] = request->rows;
    if (request->status != TENSORD_OK)
        return;
    if (!host_room_take(execution, request, size, &rows.extent)) {
        request->status = TENSORD_UNAVAILABLE;
        return;
    }
    if (size)
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): what has a size has data */
        memcpy(execution->host->tensors + rows.extent.offset, data, size);
    request->outputs[request->output_count++] = rows;
}

static void fail_all(struct host_execution *execution, const char *reason)
{
    execution->host->tensord.reason(TENSORD_INTERNAL, "%s", reason);
    for (size_t i = 0; i < execution->request_count; i++)
        execution->requests[i].status = TENSORD_INTERNAL;
}

static void split_output(struct host_execution *execution, const struct host_output *output)
{
    static const char malformed[] = "the model gave a malformed BYTES output";
    const struct shape *shape = &output->tensor.shape;
    struct span rest = {output->data, output->tensor.extent.size};
    if (shape->ndim == 0 || shape->dims[0] != execution->rows) {
        fail_all(execution, "the model gave another number of rows than it was given, although its "
                            "requests may be joined");
        return;
    }
    for (size_t i = 0; i < execution->request_count; i++) {
        struct host_request *request = &execution->requests[i];
        uint64_t size;
        if (!rows_size(&output->tensor, execution->rows, request->rows, rest, &size)) {
            fail_all(execution, malformed);
            return;
        }
        add_rows(execution, request, output, rest.data, size);
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
