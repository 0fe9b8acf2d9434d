/* Records that the front sends to a worker; see host_private.h.
 *
 * The front is trusted by its workers, yet a record that makes no sense ends the worker rather than
 * being acted upon. */
#include "worker/host_private.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

bool host_in_tensors(const struct host *host, struct extent extent)
{
    return extent.offset <= host->tensors_size && extent.size <= host->tensors_size - extent.offset;
}

static bool take_parameters(struct host_execution *execution, struct record_reader *reader,
                            uint32_t count)
{
    if (count > reader->size / sizeof(struct record_parameter))
        return false;
    struct tensord_parameter *parameters =
        arena_calloc(&execution->arena, count, sizeof *parameters);
    bool *literals = arena_calloc(&execution->arena, count, sizeof *literals);
    if (!parameters || !literals)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct record_parameter *head = record_take(reader, sizeof *head);
        struct span key, value;
        if (!head || !record_take_string(reader, head->key_size, &key) ||
            !record_take_string(reader, head->value_size, &value))
            return false;
        parameters[i] = (struct tensord_parameter){key.data, value.data};
        literals[i] = head->literal != 0;
    }
    execution->tensord.parameters = parameters; /* equal in all requests */
    execution->tensord.literal_parameters = literals;
    execution->tensord.parameter_count = count;
    return true;
}

static bool take_id(struct host_execution *execution, struct record_reader *reader, uint32_t size)
{
    struct span id = SPAN("");
    if (size && !record_take_string(reader, size, &id))
        return false;
    execution->tensord.id = execution->request_count == 1 ? id.data : "";
    return true;
}

static bool take_inputs(struct host_request *request, struct record_reader *reader, uint32_t count)
{
    struct host_execution *execution = request->execution;
    if (count > TENSOR_MAX_PER_REQUEST ||
        (request > execution->requests && count != execution->input_count))
        return false;
    execution->input_count = count;
    request->inputs = arena_calloc(&execution->arena, count, sizeof *request->inputs);
    if (!request->inputs)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct span no_name;
        struct channel_tensor *input = &request->inputs[i];
        if (!record_take_tensor(reader, input, &no_name) ||
            !host_in_tensors(execution->host, input->extent) ||
            input->index >= execution->host->description.input_count)
            return false;
    }
    return true;
}

static bool take_request(struct host_request *request, struct record_reader *reader)
{
    struct host_execution *execution = request->execution;
    const struct record_request *head = record_take(reader, sizeof *head);
    if (!head || (uint32_t)head->request >= CHANNEL_MAX_REQUESTS)
        return false;
    request->id = head->request;
    request->deadline_ns = head->deadline_ns;
    request->credits = head->credits;
    struct extent grant = {head->grant_offset, head->grant_size};
    if (!host_in_tensors(execution->host, grant) ||
        !arena_grow(&execution->arena, (void **)&request->rooms, 0, &request->room_capacity,
                    sizeof *request->rooms))
        return false;
    request->rooms[request->room_count++] = (struct host_room){.extent = grant};
    struct tensord_execution *tensord = &execution->tensord;
    tensord->wanted_outputs |= head->wanted_outputs;
    if (head->deadline_ns > tensord->deadline_ns)
        tensord->deadline_ns = head->deadline_ns;
    return take_inputs(request, reader, head->input_count) &&
           take_parameters(execution, reader, head->parameter_count) &&
           take_id(execution, reader, head->id_size);
}

/* The execution of a record, which it copies; NULL when it is malformed or there is no memory. */
static struct host_execution *take_execution(struct host *host, const void *record)
{
    const struct record_head *head = record;
    struct arena arena;
    arena_init(&arena, sizeof(struct host_execution) + head->size * (size_t)4, SIZE_MAX);
    void *copy = arena_alloc(&arena, head->size);
    struct host_execution *execution = arena_calloc(&arena, 1, sizeof *execution);
    if (!copy || !execution) {
        arena_fini(&arena);
        return NULL;
    }
    memcpy(copy, record, head->size);
    execution->arena = arena;
    execution->host = host;
    execution->tensord.host = &host->tensord;
    pthread_mutex_init(&execution->lock, NULL);
    enum record_type type;
    struct record_reader reader = record_read(copy, &type);
    const struct record_execute *execute = record_take(&reader, sizeof *execute);
    bool ok =
        execute && execute->request_count > 0 && execute->request_count <= CHANNEL_MAX_REQUESTS;
    if (ok) {
        execution->id = execute->execution;
        execution->needs_ns = execute->needs_us * (uint64_t)1000;
        execution->request_count = execute->request_count;
        execution->requests =
            arena_calloc(&execution->arena, execution->request_count, sizeof *execution->requests);
    }
    ok = ok && execution->requests;
    for (size_t i = 0; ok && i < execution->request_count; i++) {
        execution->requests[i].execution = execution;
        ok = take_request(&execution->requests[i], &reader);
    }
    if (ok)
        return execution;
    host_execution_free(execution);
    return NULL;
}

/* The front is gone, or what it says makes no sense. With host->lock held. */
static void stop(struct host *host)
{
    host->stopping = true;
    pthread_cond_broadcast(&host->may_read);
    pthread_cond_broadcast(&host->changed);
}

static bool handle_execute(struct host *host)
{
    struct host_execution *execution = take_execution(host, host->in_record);
    if (!execution)
        return false;
    pthread_mutex_lock(&host->lock);
    for (size_t i = 0; i < execution->request_count; i++)
        host->requests[(uint32_t)execution->requests[i].id] = &execution->requests[i];
    host->live++;
    list_add(&host->backlog, &execution->link);
    pthread_mutex_unlock(&host->lock);
    return true;
}

/* The running request of this id; NULL when it has ended meanwhile. With host->lock held. */
static struct host_request *find_request(struct host *host, uint64_t id)
{
    struct host_request *request =
        (uint32_t)id < CHANNEL_MAX_REQUESTS ? host->requests[(uint32_t)id] : NULL;
    return request && request->id == id ? request : NULL;
}

/* Once all requests of an execution are cancelled, it is given up where it waits for a slot, or the
 * engine is told. The execution stays in memory while engine->cancel runs, which may give the final
 * answer itself. With host->lock held. */
static void cancel_execution(struct host *host, struct host_execution *execution)
{
    for (size_t i = 0; i < execution->request_count; i++) {
        if (!execution->requests[i].cancelled)
            return;
    }
    if (list_linked(&execution->link)) {
        list_remove(&execution->link);
        pthread_mutex_unlock(&host->lock);
        host_give_up(execution);
        pthread_mutex_lock(&host->lock);
        return;
    }
    if (!execution->started || !host->engine->cancel)
        return;
    execution->cancelling = true;
    pthread_mutex_unlock(&host->lock);
    host->engine->cancel(host->model, &execution->tensord);
    pthread_mutex_lock(&host->lock);
    execution->cancelling = false;
    if (execution->finished)
        host_execution_free(execution);
}

static bool handle_cancel(struct host *host, struct record_reader *reader)
{
    const struct record_request_id *head = record_take(reader, sizeof *head);
    if (!head)
        return false;
    pthread_mutex_lock(&host->lock);
    struct host_request *request = find_request(host, head->request);
    if (request && !request->cancelled) {
        request->cancelled = true;
        cancel_execution(host, request->execution);
    }
    pthread_mutex_unlock(&host->lock);
    return true;
}

static bool handle_credit(struct host *host, struct record_reader *reader)
{
    const struct record_credit *head = record_take(reader, sizeof *head);
    if (!head)
        return false;
    pthread_mutex_lock(&host->lock);
    struct host_request *request = find_request(host, head->request);
    if (request) {
        request->credits += head->count;
        request->unreturned -=
            head->count < request->unreturned ? head->count : request->unreturned;
    }
    pthread_mutex_unlock(&host->lock);
    return true;
}

static bool handle_grant(struct host *host, struct record_reader *reader)
{
    const struct record_grant *head = record_take(reader, sizeof *head);
    struct span message;
    if (!head || !record_take_string(reader, head->message_size, &message) ||
        !host_in_tensors(host, (struct extent){head->offset, head->size}))
        return false;
    pthread_mutex_lock(&host->lock);
    struct host_request *request = find_request(host, head->request);
    if (request) {
        request->granted = true;
        request->grant = (struct extent){head->offset, head->size};
        size_t size = message.size < HOST_REASON_BYTES - 1 ? message.size : HOST_REASON_BYTES - 1;
        memcpy(request->grant_error, message.data, size);
        request->grant_error[size] = '\0';
    }
    pthread_mutex_unlock(&host->lock);
    return true;
}

static bool handle_call_answer(struct host *host, struct record_reader *reader)
{
    const struct record_call_answer *head = record_take(reader, sizeof *head);
    if (!head)
        return false;
    uint32_t size = ((const struct record_head *)(const void *)host->in_record)->size;
    pthread_mutex_lock(&host->lock);
    list_each(link, &host->calls)
    {
        struct host_call *call = list_entry(link, struct host_call, link);
        if (call->id != head->call || call->answer)
            continue;
        call->answer = malloc(size);
        if (call->answer)
            memcpy(call->answer, host->in_record, size);
        else
            stop(host); /* nothing can be told to the caller */
    }
    pthread_mutex_unlock(&host->lock);
    return true;
}

static bool handle(struct host *host)
{
    enum record_type type;
    struct record_reader reader = record_read(host->in_record, &type);
    switch (type) {
    case RECORD_EXECUTE:
        return handle_execute(host);
    case RECORD_CANCEL:
        return handle_cancel(host, &reader);
    case RECORD_CREDIT:
        return handle_credit(host, &reader);
    case RECORD_GRANT:
        return handle_grant(host, &reader);
    case RECORD_CALL_ANSWER:
        return handle_call_answer(host, &reader);
    default: /* RECORD_STOP, or what this worker is too old for */
        return false;
    }
}

/* Sleeps until the front rings. False when it is gone. */
static bool wait_for_doorbell(struct host *host)
{
    char bytes[64];
    ssize_t got = 1;
    if (ring_sleep(&host->in)) {
        do
            got = read(host->fds.to_worker, bytes, sizeof bytes);
        while (got < 0 && errno == EINTR);
        ring_awake(&host->in);
    }
    return got > 0;
}

void host_read(struct host *host)
{
    uint32_t size;
    enum ring_state state;
    bool ok = true;
    while ((state = ring_read(&host->in, host->in_record, &size)) == RING_EMPTY && ok) {
        /* An inline engine rings only now, once for all that it has answered. */
        pthread_mutex_lock(&host->out_lock);
        host_wake_front(host);
        pthread_mutex_unlock(&host->out_lock);
        ok = wait_for_doorbell(host);
    }
    ring_publish(&host->in);
    if (!ok || state != RING_RECORD || !handle(host)) {
        pthread_mutex_lock(&host->lock);
        stop(host);
        pthread_mutex_unlock(&host->lock);
    }
}

void host_pass_reading_on(struct host *host)
{
    host->reading = false;
    if (host->waiters > 0)
        pthread_cond_broadcast(&host->changed);
    if (host->followers > 0)
        pthread_cond_signal(&host->may_read);
}

void host_wait(struct host *host)
{
    if (host->reading) {
        host->waiters++;
        pthread_cond_wait(&host->changed, &host->lock);
        host->waiters--;
        return;
    }
    host->reading = true;
    pthread_mutex_unlock(&host->lock);
    host_read(host);
    pthread_mutex_lock(&host->lock);
    host_pass_reading_on(host);
}
