/* What an engine calls to have another model run: the call goes to the front, and its thread waits
 * for the answer. */
#include "worker/host_private.h"

#include <stdio.h>
#include <stdlib.h>

static bool call_failed(struct tensord_call *call, const char *reason)
{
    snprintf(call->error, sizeof call->error, "%.*s", (int)sizeof call->error - 1, reason);
    return false;
}

/* Copies the inputs of a call to where the front can read them. */
static bool put_call_input(struct host_execution *execution, struct record_writer *writer,
                           const struct tensord_tensor *input, const char *name,
                           struct extent extent)
{
    struct channel_tensor tensor = {
        .datatype = input->datatype, .shape.ndim = input->ndim, .extent = extent};
    if (input->ndim > TENSOR_MAX_DIMS)
        return false;
    memcpy(tensor.shape.dims, input->shape, input->ndim * sizeof *input->shape);
    if (input->size_bytes)
        memcpy(execution->host->tensors + extent.offset, input->data, input->size_bytes);
    record_put_tensor(writer, &tensor, span_of(name));
    return true;
}

static bool send_call(struct host_execution *execution, const struct tensord_call *call,
                      uint64_t id, size_t *used)
{
    struct host *host = execution->host;
    struct host_request *parent = execution->requests;
    struct extent *extents = arena_calloc(&execution->arena, call->input_count, sizeof *extents);
    if (!extents)
        return false;
    for (size_t i = 0; i < call->input_count; i++) {
        if (!host_room_take(execution, parent, call->inputs[i].size_bytes, &extents[i]))
            return false;
        execution->requests->output_count++; /* the room is in use until the call is answered */
        ++*used;
    }
    struct record_writer writer;
    host_record(host, &writer, RECORD_CALL);
    const struct record_call head = {.call = id,
                                     .request = parent->id,
                                     .version = call->version,
                                     .model_size = (uint32_t)strlen(call->model),
                                     .input_count = (uint32_t)call->input_count};
    record_put(&writer, &head, sizeof head);
    record_put_string(&writer, span_of(call->model));
    bool ok = true;
    for (size_t i = 0; ok && i < call->input_count; i++)
        ok = put_call_input(execution, &writer, &call->inputs[i], call->input_names[i], extents[i]);
    writer.failed = writer.failed || !ok;
    ok = !writer.failed;
    host_send(host, &writer, true);
    return ok;
}

static bool take_answer(struct host_execution *execution, void *record, struct tensord_call *call)
{
    enum record_type type;
    struct record_reader reader = record_read(record, &type);
    const struct record_call_answer *head = record_take(&reader, sizeof *head);
    struct span message;
    if (!record_take_string(&reader, head->message_size, &message))
        return call_failed(call, "malformed answer");
    if (head->failed)
        return call_failed(call, message.data);
    if (head->output_count > call->output_capacity)
        return call_failed(call, "more outputs than there is room for");
    for (uint32_t i = 0; i < head->output_count; i++) {
        struct channel_tensor output;
        struct span name;
        if (!record_take_tensor(&reader, &output, &name) ||
            !host_in_tensors(execution->host, output.extent) ||
            !arena_copy(&execution->arena, name, &name))
            return call_failed(call, "malformed answer");
        struct tensord_tensor *tensor = &call->ret_outputs[i];
        *tensor = (struct tensord_tensor){.index = i,
                                          .datatype = output.datatype,
                                          .ndim = output.shape.ndim,
                                          .data = execution->host->tensors + output.extent.offset,
                                          .size_bytes = output.extent.size};
        memcpy(tensor->shape, output.shape.dims, sizeof tensor->shape);
        call->ret_output_names[i] = name.data;
    }
    call->ret_output_count = head->output_count;
    return true;
}

bool host_call_model(struct tensord_execution *tensord, struct tensord_call *call)
{
    struct host_execution *execution = host_execution_of(tensord);
    struct host *host = execution->host;
    struct host_call waiting = {0};
    if (execution->trial)
        return call_failed(call, "a model cannot call others while it is being tried");
    pthread_mutex_lock(&host->lock);
    waiting.id = ++host->next_call;
    list_add(&host->calls, &waiting.link);
    pthread_mutex_unlock(&host->lock);
    pthread_mutex_lock(&execution->lock);
    size_t used = 0;
    bool sent = send_call(execution, call, waiting.id, &used);
    pthread_mutex_unlock(&execution->lock);
    pthread_mutex_lock(&host->lock);
    while (sent && !waiting.answer && !host->stopping)
        host_wait(host);
    list_remove(&waiting.link);
    pthread_mutex_unlock(&host->lock);
    pthread_mutex_lock(&execution->lock);
    size_t in_use = execution->requests->output_count;
    execution->requests->output_count = in_use > used ? in_use - used : 0; /* an answer resets it */
    bool ok = waiting.answer
                  ? take_answer(execution, waiting.answer, call)
                  : call_failed(call, sent ? "the server stops" : host_reason(TENSORD_UNAVAILABLE));
    pthread_mutex_unlock(&execution->lock);
    free(waiting.answer);
    return ok;
}
