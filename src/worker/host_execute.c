/* What an engine calls while it runs: outputs, answers, cancellation, calls to other models, logs;
 * and how an execution ends. */
#include "worker/host_private.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOG_LINE_BYTES = 4096, STATS_EVERY_S = 1 };

/* log, progress and reason are told without an execution: a process has one host at a time. */
static struct host *the_host;
static _Thread_local char last_reason[HOST_REASON_BYTES];

static struct host_execution *of(const struct tensord_execution *tensord)
{
    return (struct host_execution *)(uintptr_t)tensord;
}

/* ---- words ---- */

__attribute__((format(printf, 2, 3))) static enum tensord_status
on_reason(enum tensord_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_reason, sizeof last_reason, format, arguments);
    va_end(arguments);
    return status;
}

const char *host_reason(enum tensord_status status)
{
    static const char *const defaults[] = {
        [TENSORD_OK] = "",
        [TENSORD_INVALID_ARGUMENT] = "the model does not accept this",
        [TENSORD_UNAVAILABLE] = "a resource is missing now",
        [TENSORD_UNSUPPORTED] = "not supported",
        [TENSORD_INTERNAL] = "the engine failed without a reason",
        [TENSORD_CANCELLED] = "the request was cancelled",
    };
    if (last_reason[0])
        return last_reason;
    return defaults[status <= TENSORD_CANCELLED ? status : TENSORD_INTERNAL];
}

void host_log_line(struct host *host, enum tensord_log_level level, struct span line)
{
    struct record_writer writer;
    host_record(host, &writer, RECORD_LOG);
    record_put(&writer, &(struct record_log){level, (uint32_t)line.size},
               sizeof(struct record_log));
    record_put_string(&writer, line);
    host_send_or_drop(host, &writer); /* logging never blocks an engine */
}

__attribute__((format(printf, 2, 3))) static void on_log(enum tensord_log_level level,
                                                         const char *format, ...)
{
    char line[LOG_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (size >= 0 && level <= TENSORD_LOG_ERROR)
        host_log_line(the_host, level, span_of(line));
}

static void on_progress(double done)
{
    struct record_writer writer;
    if (!(done >= 0 && done <= 1))
        return;
    host_record(the_host, &writer, RECORD_LOADING);
    record_put(&writer, &(struct record_loading){.parts_per_million = (uint32_t)(done * 1e6)},
               sizeof(struct record_loading));
    host_send_or_drop(the_host, &writer);
}

/* ---- outputs ---- */

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
        on_reason(TENSORD_INTERNAL, "the engine made output %" PRIu32 " which the model has not",
                  tensor->index);
        return NULL;
    }
    if (!arena_grow(&execution->arena, (void **)&execution->outputs, execution->output_count,
                    &execution->output_capacity, sizeof *execution->outputs)) {
        on_reason(TENSORD_UNAVAILABLE, "out of memory");
        return NULL;
    }
    struct host_output *output = &execution->outputs[execution->output_count];
    *output = (struct host_output){.tensor = *tensor};
    return output;
}

static bool is_joined(const struct host_execution *execution)
{
    return execution->trial || execution->request_count > 1;
}

/* Memory for the output: the request's own, or a copy that is split later. */
static void *place_output(struct host_execution *execution, struct host_output *output)
{
    uint64_t size = output->tensor.extent.size;
    if (is_joined(execution)) {
        output->data = aligned_alloc(TENSOR_ALIGNMENT, (size + TENSOR_ALIGNMENT) /
                                                           TENSOR_ALIGNMENT * TENSOR_ALIGNMENT);
        output->is_copy = output->data != NULL;
        if (!output->data)
            on_reason(TENSORD_UNAVAILABLE, "out of memory");
    } else if (host_room_take(execution, execution->requests, size, &output->tensor.extent)) {
        output->data = execution->host->tensors + output->tensor.extent.offset;
    }
    return output->data;
}

/* The shape, and the size that follows from it; that of BYTES is as given. */
static bool fill_shape(struct channel_tensor *tensor, const int64_t *shape, uint32_t ndim,
                       uint64_t size)
{
    if (ndim > TENSOR_MAX_DIMS) {
        on_reason(TENSORD_INTERNAL, "an output has too many dimensions");
        return false;
    }
    if (ndim)
        memcpy(tensor->shape.dims, shape, ndim * sizeof *shape);
    if (!(tensor->datatype == TENSORD_BYTES
              ? shape_count(&tensor->shape, &(uint64_t){0})
              : shape_size_bytes(&tensor->shape, tensor->datatype, &size))) {
        on_reason(TENSORD_INTERNAL, "an output has an impossible shape");
        return false;
    }
    tensor->extent.size = size;
    return true;
}

static void *on_output(struct tensord_execution *tensord, uint32_t index,
                       enum tensord_datatype datatype, const int64_t *shape, uint32_t ndim,
                       size_t size_bytes)
{
    struct channel_tensor tensor = {.index = index, .datatype = datatype, .shape.ndim = ndim};
    if (!fill_shape(&tensor, shape, ndim, size_bytes))
        return NULL;
    struct host_output *output = add_output(of(tensord), &tensor);
    void *data = output ? place_output(of(tensord), output) : NULL;
    if (data)
        of(tensord)->output_count++;
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
    struct host_execution *execution = of(tensord);
    struct channel_tensor tensor = {.index = index, .datatype = datatype, .shape.ndim = ndim};
    bool split_later = execution->request_count > 1;
    if (!split_later && !is_shared(execution, data, size_bytes, &tensor.extent.offset)) {
        void *copy = on_output(tensord, index, datatype, shape, ndim, size_bytes);
        if (copy && size_bytes)
            memcpy(copy, data, size_bytes);
        return copy != NULL;
    }
    if (!fill_shape(&tensor, shape, ndim, size_bytes))
        return false;
    struct host_output *output = add_output(execution, &tensor);
    if (!output)
        return false;
    output->data = (void *)(uintptr_t)data;
    execution->output_count++;
    return true;
}

static bool on_output_bytes(struct tensord_execution *tensord, uint32_t index,
                            enum tensord_datatype datatype, const int64_t *shape, uint32_t ndim,
                            const void *data, size_t size_bytes)
{
    pthread_mutex_lock(&of(tensord)->lock);
    bool added = add_bytes(tensord, index, datatype, shape, ndim, data, size_bytes);
    pthread_mutex_unlock(&of(tensord)->lock);
    return added;
}

static void *on_room(struct tensord_execution *tensord, size_t size_bytes)
{
    struct host_execution *execution = of(tensord);
    struct extent extent;
    if (is_joined(execution) || !host_may_keep_more(execution, size_bytes))
        return NULL;
    pthread_mutex_lock(&execution->lock);
    bool taken = host_room_take(execution, execution->requests, size_bytes, &extent);
    execution->requests->output_count += taken; /* in use until the answer is sent */
    pthread_mutex_unlock(&execution->lock);
    return taken ? execution->host->tensors + extent.offset : NULL;
}

static bool on_output_input(struct tensord_execution *tensord, uint32_t index,
                            const struct tensord_tensor *input)
{
    struct host_execution *execution = of(tensord);
    if (is_joined(execution)) {
        void *copy = on_output(tensord, index, input->datatype, input->shape, input->ndim,
                               input->size_bytes);
        if (copy)
            memcpy(copy, input->data, input->size_bytes);
        return copy != NULL;
    }
    struct channel_tensor tensor = execution->requests->inputs[input - tensord->inputs];
    tensor.index = index;
    struct host_output *output = add_output(execution, &tensor);
    if (output)
        execution->output_count++;
    return output != NULL;
}

/* ---- answers ---- */

static void drop_outputs(struct host_execution *execution)
{
    for (size_t i = 0; i < execution->output_count; i++) {
        if (execution->outputs[i].is_copy)
            free(execution->outputs[i].data);
    }
    execution->output_count = 0;
}

void host_execution_free(struct host_execution *execution)
{
    drop_outputs(execution);
    for (size_t i = 0; execution->copies && i < execution->input_count; i++)
        free(execution->copies[i]);
    struct arena arena = execution->arena;
    arena_fini(&arena);
}

bool host_request_has_room(struct host_request *request, size_t count)
{
    if (count <= request->output_capacity)
        return true;
    struct channel_tensor *outputs =
        arena_alloc(&request->execution->arena, count * sizeof *outputs);
    if (!outputs)
        return false;
    request->outputs = outputs;
    request->output_capacity = count;
    return true;
}

/* Puts the outputs of the only request, or each request's rows, where send_response finds them. */
static void deal_outputs(struct host_execution *execution)
{
    if (is_joined(execution)) {
        host_batch_scatter(execution);
        return;
    }
    struct host_request *request = execution->requests;
    if (!host_request_has_room(request, execution->output_count)) {
        request->status = on_reason(TENSORD_UNAVAILABLE, "out of memory");
        return;
    }
    for (size_t i = 0; i < execution->output_count; i++)
        request->outputs[i] = execution->outputs[i].tensor;
    request->output_count = execution->output_count;
}

static void send_response(struct host_request *request, bool final, enum tensord_status status)
{
    const struct host_execution *execution = request->execution;
    struct host *host = execution->host;
    if (status == TENSORD_OK)
        status = request->status;
    struct span reason = status == TENSORD_OK ? SPAN("") : span_of(host_reason(status));
    size_t output_count = status == TENSORD_OK ? request->output_count : 0;
    struct record_writer writer;
    host_record(host, &writer, RECORD_RESPONSE);
    const struct record_response head = {.request = request->id,
                                         .final = final,
                                         .status = status,
                                         .message_size = (uint32_t)reason.size,
                                         .output_count = (uint32_t)output_count,
                                         .kept = final && host_keeps(execution),
                                         .input_ns = execution->input_ns,
                                         .compute_ns = execution->compute_ns,
                                         .output_ns = execution->output_ns};
    record_put(&writer, &head, sizeof head);
    record_put_string(&writer, reason);
    for (size_t i = 0; i < output_count; i++)
        record_put_tensor(&writer, &request->outputs[i], (struct span){0});
    host_send(host, &writer, !final);
    request->output_count = 0;
}

static void send_stats(struct host *host, uint64_t now_ns)
{
    if (!host->engine->device_memory_bytes || now_ns < host->stats_due_ns)
        return;
    host->stats_due_ns = now_ns + STATS_EVERY_S * CLOCK_NS_PER_S;
    struct record_writer writer;
    host_record(host, &writer, RECORD_STATS);
    record_put(&writer, &(struct record_stats){host->engine->device_memory_bytes(host->model)},
               sizeof(struct record_stats));
    host_send(host, &writer, false);
}

/* Nobody finds the requests any more: the front may use their ids again once it has the answer. */
static void forget(struct host_execution *execution)
{
    struct host *host = execution->host;
    pthread_mutex_lock(&host->lock);
    for (size_t i = 0; i < execution->request_count; i++)
        host->requests[(uint32_t)execution->requests[i].id] = NULL;
    pthread_mutex_unlock(&host->lock);
}

/* Gives up the execution, whose answers have been sent. A cancellation that still runs frees it. */
static void release(struct host_execution *execution)
{
    struct host *host = execution->host;
    pthread_mutex_lock(&host->lock);
    execution->finished = true;
    bool may_free = !execution->cancelling;
    if (--host->live == 0 && host->stopping)
        pthread_cond_broadcast(&host->changed);
    pthread_mutex_unlock(&host->lock);
    if (may_free)
        host_execution_free(execution);
}

/* Ends the execution with its final answers. An inline engine's reader rings the doorbell later,
 * for all that it has answered. */
static void finish(struct host_execution *execution, enum tensord_status status)
{
    struct host *host = execution->host;
    if (execution->ended)
        *execution->ended = true;
    if (execution->trial) {
        pthread_mutex_lock(&host->lock);
        execution->status = status;
        execution->finished = true;
        pthread_cond_broadcast(&host->changed);
        pthread_mutex_unlock(&host->lock);
        return;
    }
    uint64_t now_ns = clock_now_ns();
    if (execution->started_ns)
        execution->compute_ns = now_ns - execution->started_ns;
    if (status == TENSORD_OK)
        deal_outputs(execution);
    if (is_joined(execution))
        execution->output_ns = clock_now_ns() - now_ns;
    forget(execution);
    for (size_t i = 0; i < execution->request_count; i++)
        send_response(&execution->requests[i], true, status);
    send_stats(host, now_ns);
    struct record_writer writer;
    const struct record_executed executed = {execution->id, execution->compute_ns};
    host_record(host, &writer, RECORD_EXECUTED);
    record_put(&writer, &executed, sizeof executed);
    host_send(host, &writer, !(host->engine->flags & TENSORD_ENGINE_INLINE));
    host_kept_sent(execution);
    release(execution);
}

/* Waits for a credit and takes it. False: nobody wants more. */
static bool take_credit(struct host *host, struct host_request *request)
{
    pthread_mutex_lock(&host->lock);
    while (request->credits == 0 && !request->cancelled && !host->stopping)
        host_wait(host);
    bool taken = request->credits > 0 && !request->cancelled && !host->stopping;
    if (taken) {
        request->credits--;
        request->unreturned++;
    }
    pthread_mutex_unlock(&host->lock);
    return taken;
}

/* Sends an answer that is not the last to every request that still wants it. */
static bool respond_more(struct host_execution *execution)
{
    bool anybody = false;
    if (execution->trial)
        return true;
    pthread_mutex_lock(&execution->lock);
    deal_outputs(execution);
    pthread_mutex_unlock(&execution->lock);
    for (size_t i = 0; i < execution->request_count; i++) {
        struct host_request *request = &execution->requests[i];
        if (request->status != TENSORD_OK || !take_credit(execution->host, request))
            continue;
        send_response(request, false, TENSORD_OK);
        anybody = true;
    }
    drop_outputs(execution);
    return anybody;
}

static bool on_respond(struct tensord_execution *tensord, bool final)
{
    if (!final)
        return respond_more(of(tensord));
    finish(of(tensord), TENSORD_OK);
    return true;
}

static void on_fail(struct tensord_execution *tensord, enum tensord_status status)
{
    finish(of(tensord), status == TENSORD_OK ? TENSORD_INTERNAL : status);
}

static bool is_cancelled(struct host_execution *execution, uint64_t now_ns)
{
    struct host *host = execution->host;
    bool cancelled = true;
    if (execution->trial)
        return false;
    pthread_mutex_lock(&host->lock);
    for (size_t i = 0; i < execution->request_count; i++) {
        const struct host_request *request = &execution->requests[i];
        cancelled = cancelled && (request->cancelled || now_ns >= request->deadline_ns);
    }
    cancelled = cancelled || host->stopping;
    pthread_mutex_unlock(&host->lock);
    return cancelled;
}

static bool on_cancelled(const struct tensord_execution *tensord)
{
    return is_cancelled(of(tensord), clock_now_ns());
}

void host_execute(struct host *host, struct host_execution *execution)
{
    bool ended = false;
    uint64_t begun_ns = clock_now_ns();
    last_reason[0] = '\0';
    if (is_cancelled(execution, begun_ns)) {
        finish(execution, TENSORD_CANCELLED);
        return;
    }
    if (!host_batch_gather(execution)) {
        finish(execution, TENSORD_UNAVAILABLE);
        return;
    }
    pthread_mutex_lock(&host->lock);
    execution->started = true;
    pthread_mutex_unlock(&host->lock);
    execution->started_ns = is_joined(execution) ? clock_now_ns() : begun_ns;
    execution->input_ns = execution->started_ns - begun_ns;
    bool async = host->engine->flags & TENSORD_ENGINE_ASYNC;
    if (!async)
        /* cppcheck-suppress autoVariables ; it has ended before this returns, or is asked no more
         */
        execution->ended = &ended;
    host->engine->execute(host->model, &execution->tensord);
    if (!async && !ended) {
        on_reason(TENSORD_INTERNAL, "the engine gave no answer");
        finish(execution, TENSORD_INTERNAL);
    }
}

/* ---- calls to other models ---- */

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

static bool on_call(struct tensord_execution *tensord, struct tensord_call *call)
{
    struct host_execution *execution = of(tensord);
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

static bool on_may_keep(struct tensord_execution *tensord)
{
    return host_may_keep(of(tensord));
}

static struct tensord_kept *on_keep(struct tensord_execution *tensord)
{
    return host_keep(of(tensord));
}

void host_fill_calls(struct tensord_host *tensord)
{
    the_host = (struct host *)(void *)tensord;
    last_reason[0] = '\0';
    *tensord = (struct tensord_host){
        .size = sizeof *tensord,
        .log = on_log,
        .progress = on_progress,
        .reason = on_reason,
        .output = on_output,
        .output_input = on_output_input,
        .respond = on_respond,
        .fail = on_fail,
        .cancelled = on_cancelled,
        .call = on_call,
        .output_bytes = on_output_bytes,
        .room = on_room,
        .may_keep = on_may_keep,
        .keep = on_keep,
        .release = host_release,
    };
}
