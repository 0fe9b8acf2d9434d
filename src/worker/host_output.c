/* What an engine calls to give its outputs: where each lies until it is answered. */
#include "worker/host_private.h"

#include <inttypes.h>
#include <stdlib.h>

static bool has_output(const struct host_execution *execution, uint32_t index)
{
    for (size_t i = 0; i < execution->output_count; i++) {
        if (execution->outputs[i].tensor.index == index)
            return true;
    }
    return false;
}

/* Checks what the engine says of an output and makes a place for it in the list. */
static struct host_output *add_output(struct host_execution *execution,
                                      const struct channel_tensor *tensor)
{
    const struct tensord_description *description = &execution->host->description;
    if (tensor->index >= description->output_count || has_output(execution, tensor->index) ||
        tensor->datatype != description->outputs[tensor->index].datatype) {
        execution->host->tensord.reason(
            TENSORD_INTERNAL, "the engine made output %" PRIu32 " which the model has not",
            tensor->index);
        return NULL;
    }
    if (!arena_grow(&execution->arena, (void **)&execution->outputs, execution->output_count,
                    &execution->output_capacity, sizeof *execution->outputs)) {
        execution->host->tensord.reason(TENSORD_UNAVAILABLE, "out of memory");
        return NULL;
    }
    struct host_output *output = &execution->outputs[execution->output_count];
    *output = (struct host_output){.tensor = *tensor};
    return host_output_shape(execution->host, tensor->index, &output->tensor.shape) ? output : NULL;
}

/* Memory for the output: the request's own, or a copy that is split later. */
static void *place_output(struct host_execution *execution, struct host_output *output)
{
    uint64_t size = output->tensor.extent.size;
    if (host_is_joined(execution)) {
        output->data = aligned_alloc(TENSOR_ALIGNMENT, (size + TENSOR_ALIGNMENT) /
                                                           TENSOR_ALIGNMENT * TENSOR_ALIGNMENT);
        output->is_copy = output->data != NULL;
        if (!output->data)
            execution->host->tensord.reason(TENSORD_UNAVAILABLE, "out of memory");
    } else if (host_room_take(execution, execution->requests, size, &output->tensor.extent)) {
        output->data = execution->host->tensors + output->tensor.extent.offset;
    }
    return output->data;
}

/* The shape, and the size that follows from it; that of BYTES is as given. */
static bool fill_shape(const struct host_execution *execution, struct channel_tensor *tensor,
                       const int64_t *shape, uint32_t ndim, uint64_t size)
{
    if (ndim > TENSOR_MAX_DIMS) {
        execution->host->tensord.reason(TENSORD_INTERNAL, "an output has too many dimensions");
        return false;
    }
    if (ndim)
        memcpy(tensor->shape.dims, shape, ndim * sizeof *shape);
    if (!(tensor->datatype == TENSORD_BYTES
              ? shape_count(&tensor->shape, &(uint64_t){0})
              : shape_size_bytes(&tensor->shape, tensor->datatype, &size))) {
        execution->host->tensord.reason(TENSORD_INTERNAL, "an output has an impossible shape");
        return false;
    }
    tensor->extent.size = size;
    return true;
}

void *host_output(struct tensord_execution *tensord, uint32_t index, enum tensord_datatype datatype,
                  const int64_t *shape, uint32_t ndim, size_t size_bytes)
{
    struct host_execution *execution = host_execution_of(tensord);
    struct channel_tensor tensor = {.index = index, .datatype = datatype, .shape.ndim = ndim};
    if (!fill_shape(execution, &tensor, shape, ndim, size_bytes))
        return NULL;
    struct host_output *output = add_output(execution, &tensor);
    void *data = output ? place_output(execution, output) : NULL;
    if (data)
        execution->output_count++;
    return data;
}

static bool is_aligned(uint64_t offset)
{
    return offset % TENSOR_ALIGNMENT == 0;
}

static bool in_extent(uint64_t offset, uint64_t size, struct extent extent)
{
    return offset >= extent.offset && offset - extent.offset <= extent.size &&
           size <= extent.size - (offset - extent.offset);
}

/* Do the bytes lie where the front may read them as an answer to the request? Then *ret_offset is
 * where. */
static bool is_shared(const struct host_execution *execution, const void *data, uint64_t size,
                      uint64_t *ret_offset)
{
    const struct host *host = execution->host;
    const struct host_request *request = execution->requests;
    uintptr_t start = (uintptr_t)host->tensors, at = (uintptr_t)data;
    if (size == 0 || at < start || at - start >= host->tensors_size)
        return false;
    uint64_t offset = *ret_offset = at - start;
    for (size_t i = 0; i < execution->input_count; i++) {
        if (in_extent(offset, size, request->inputs[i].extent))
            return is_aligned(offset);
    }
    for (size_t i = 0; i < request->room_count; i++) {
        if (in_extent(offset, size, request->rooms[i].extent))
            return is_aligned(offset);
    }
    return false;
}

static bool add_bytes(struct tensord_execution *tensord, uint32_t index,
                      enum tensord_datatype datatype, const int64_t *shape, uint32_t ndim,
                      const void *data, size_t size_bytes)
{
    struct host_execution *execution = host_execution_of(tensord);
    struct channel_tensor tensor = {.index = index, .datatype = datatype, .shape.ndim = ndim};
    bool split_later = execution->request_count > 1 || execution->padded;
    if (!split_later && !is_shared(execution, data, size_bytes, &tensor.extent.offset)) {
        void *copy = host_output(tensord, index, datatype, shape, ndim, size_bytes);
        if (copy && size_bytes)
            memcpy(copy, data, size_bytes);
        return copy != NULL;
    }
    if (!fill_shape(execution, &tensor, shape, ndim, size_bytes))
        return false;
    struct host_output *output = add_output(execution, &tensor);
    if (!output)
        return false;
    output->data = (void *)(uintptr_t)data;
    execution->output_count++;
    return true;
}

bool host_output_bytes(struct tensord_execution *tensord, uint32_t index,
                       enum tensord_datatype datatype, const int64_t *shape, uint32_t ndim,
                       const void *data, size_t size_bytes)
{
    pthread_mutex_lock(&host_execution_of(tensord)->lock);
    bool added = add_bytes(tensord, index, datatype, shape, ndim, data, size_bytes);
    pthread_mutex_unlock(&host_execution_of(tensord)->lock);
    return added;
}

void *host_output_room(struct tensord_execution *tensord, size_t size_bytes)
{
    struct host_execution *execution = host_execution_of(tensord);
    struct extent extent;
    if (host_is_joined(execution) || !host_may_keep_more(execution, size_bytes))
        return NULL;
    pthread_mutex_lock(&execution->lock);
    bool taken = host_room_take(execution, execution->requests, size_bytes, &extent);
    execution->requests->output_count += taken; /* in use until the answer is sent */
    pthread_mutex_unlock(&execution->lock);
    return taken ? execution->host->tensors + extent.offset : NULL;
}

/* The request's own input that the engine was given; NULL: the host has made it. */
static const struct channel_tensor *own_input(const struct host_execution *execution,
                                              const struct tensord_tensor *input)
{
    const struct channel_tensor *inputs = execution->requests->inputs;
    for (size_t i = 0; i < execution->input_count; i++) {
        if (inputs[i].index == input->index)
            return &inputs[i];
    }
    return NULL;
}

bool host_output_input(struct tensord_execution *tensord, uint32_t index,
                       const struct tensord_tensor *input)
{
    struct host_execution *execution = host_execution_of(tensord);
    const struct channel_tensor *own =
        host_is_joined(execution) ? NULL : own_input(execution, input);
    if (!own) {
        void *copy = host_output(tensord, index, input->datatype, input->shape, input->ndim,
                                 input->size_bytes);
        if (copy)
            memcpy(copy, input->data, input->size_bytes);
        return copy != NULL;
    }
    struct channel_tensor tensor = *own;
    tensor.index = index;
    tensor.shape.ndim = input->ndim;
    memcpy(tensor.shape.dims, input->shape, sizeof tensor.shape.dims);
    struct host_output *output = add_output(execution, &tensor);
    if (output)
        execution->output_count++;
    return output != NULL;
}
