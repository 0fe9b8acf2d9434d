/* The front's end of a channel on its loop; see channel.h.
 *
 * When the front needs to be woken:
 *
 *   idle    no request is with the worker: marked as sleeping all the time, so that whatever the
 *           worker writes rings the doorbell; costs the loop nothing.
 *   active  requests are with the worker: awake while the loop works, marked as sleeping from just
 *           before it polls (uv_prepare) until just after (uv_check). A busy loop hardly ever
 *           sleeps, so that hardly any doorbell is rung.
 *
 * What must not be lost (cancellations, credits, grants, answers) waits in `unsent` when the ring
 * is full; executions are refused then, and their owner tries again. */
#include "worker/channel.h"

#include "base/buf.h"
#include "worker/channel_inbox.h"
#include "worker/record.h"
#include "worker/ring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

enum {
    RECORDS_PER_TURN = 1024, /* then others get their turn */
    MAX_UNSENT_BYTES = 16 << 20,
    RETRY_MS = 5, /* a full ring: how soon to look again */
    HANDLES = 4,
};

struct channel {
    struct loop *loop;
    struct tensor_memory *memory;
    struct channel_table table;
    struct channel_inbox inbox;
    struct ring to_worker, to_front;
    struct channel_shared *shared; /* the mapped rings */
    struct channel_fds worker_fds;
    int ring_worker; /* our writing end of to_worker */
    int ring_front;  /* our reading end of to_front */
    uv_poll_t doorbell;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_idle_t stay_awake;
    int handles_open;
    bool active;
    bool deaf;                  /* the worker broke the rules, or the channel is closed */
    struct loop_task ring_task; /* rings the doorbell at the turn's end */
    struct timer retry;
    struct buf unsent;
    unsigned char *out; /* the record being written */
    unsigned char *in;  /* the record being read */
};

/* ---- opening and closing ---- */

static bool map_rings(struct channel *channel, struct error *ret_error)
{
    int fd = memfd_create("rings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    channel->worker_fds.rings = fd;
    if (fd < 0 || ftruncate(fd, CHANNEL_RINGS_SIZE) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "no descriptor for a channel");
    char *map = mmap(NULL, CHANNEL_RINGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return error_no_memory(ret_error);
    channel->shared = (struct channel_shared *)(void *)map;
    channel->shared->magic = CHANNEL_MAGIC;
    channel->shared->version = CHANNEL_VERSION;
    ring_init(&channel->to_worker, &channel->shared->to_worker, map + CHANNEL_TO_WORKER_OFFSET);
    ring_init(&channel->to_front, &channel->shared->to_front, map + CHANNEL_TO_FRONT_OFFSET);
    return ring_sleep(&channel->to_front);
}

/* Our ends never block; the worker's ends are its own to choose. */
static bool open_doorbells(struct channel *channel, struct error *ret_error)
{
    int to_worker[2], to_front[2];
    if (pipe2(to_worker, O_CLOEXEC) < 0)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "no descriptor for a channel");
    channel->worker_fds.to_worker = to_worker[0];
    channel->ring_worker = to_worker[1];
    if (pipe2(to_front, O_CLOEXEC) < 0)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "no descriptor for a channel");
    channel->ring_front = to_front[0];
    channel->worker_fds.to_front = to_front[1];
    return fcntl(channel->ring_worker, F_SETFL, O_NONBLOCK) == 0 &&
           fcntl(channel->ring_front, F_SETFL, O_NONBLOCK) == 0;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void destroy(struct channel *channel)
{
    channel_inbox_fini(&channel->inbox);
    channel_table_fini(&channel->table);
    buf_fini(&channel->unsent);
    if (channel->shared)
        munmap(channel->shared, CHANNEL_RINGS_SIZE);
    close_fd(channel->worker_fds.rings);
    close_fd(channel->worker_fds.to_worker);
    close_fd(channel->worker_fds.to_front);
    close_fd(channel->ring_worker);
    close_fd(channel->ring_front);
    free(channel->out);
    free(channel->in);
    free(channel);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct channel *channel = handle->data;
    if (--channel->handles_open == 0)
        destroy(channel);
}

static void close_handle(struct channel *channel, void *handle)
{
    uv_handle_t *base = handle;
    base->data = channel;
    uv_close(base, on_handle_closed);
}

void channel_close(struct channel *channel)
{
    if (!channel)
        return;
    channel->deaf = channel->inbox.closed = true;
    loop_undefer(&channel->ring_task);
    timer_stop(&channel->retry);
    close_handle(channel, &channel->doorbell);
    close_handle(channel, &channel->before_poll);
    close_handle(channel, &channel->after_poll);
    close_handle(channel, &channel->stay_awake);
}

struct channel_fds channel_fds(const struct channel *channel)
{
    return channel->worker_fds;
}

/* ---- sending ---- */

static void go_deaf(struct channel *channel, const char *reason)
{
    if (channel->deaf)
        return;
    channel->deaf = true;
    uv_poll_stop(&channel->doorbell);
    uv_prepare_stop(&channel->before_poll);
    uv_check_stop(&channel->after_poll);
    uv_idle_stop(&channel->stay_awake);
    timer_stop(&channel->retry);
    channel->inbox.events->broken(channel->inbox.owner, reason);
}

static void ring_doorbell(struct loop_task *task)
{
    struct channel *channel = list_entry(task, struct channel, ring_task);
    if (!ring_must_wake(&channel->to_worker))
        return;
    /* A full pipe has rung already; a closed one belongs to a dead worker, which its owner hears
     * about. */
    ssize_t written;
    do
        written = write(channel->ring_worker, "", 1);
    while (written < 0 && errno == EINTR);
    if (written < 0 && errno != EAGAIN && errno != EPIPE)
        go_deaf(channel, "it cannot be woken"); /* what was sent would wait for ever */
}

static enum ring_state write_record(struct channel *channel, const void *record)
{
    enum ring_state state = ring_write(&channel->to_worker, record);
    if (state == RING_RECORD)
        loop_defer(channel->loop, &channel->ring_task);
    return state;
}

static void retry_unsent(struct timer *timer)
{
    struct channel *channel = list_entry(timer, struct channel, retry);
    enum ring_state state = RING_RECORD;
    while (channel->unsent.size > 0) {
        const struct record_head *head = (const void *)channel->unsent.data;
        uint32_t size = head->size;
        state = write_record(channel, head);
        if (state != RING_RECORD)
            break;
        buf_consume(&channel->unsent, size);
    }
    if (state == RING_BROKEN)
        go_deaf(channel, "a reading position that cannot be");
    else if (channel->unsent.size > 0)
        timer_start(&channel->retry, channel->loop, RETRY_MS, retry_unsent);
}

/* Sends a record that must not be lost. record_end pads sizes to 8, so that heads in `unsent` are
 * aligned. */
static void send_surely(struct channel *channel, struct record_writer *writer)
{
    bool complete = record_end(writer);
    assert(complete);
    if (channel->deaf)
        return;
    enum ring_state state =
        channel->unsent.size > 0 ? RING_FULL : write_record(channel, writer->data);
    if (state == RING_BROKEN) {
        go_deaf(channel, "a reading position that cannot be");
    } else if (state == RING_FULL) {
        if (!buf_append(&channel->unsent, (struct span){(const char *)writer->data, writer->size}))
            go_deaf(channel, "it does not read its channel");
        else
            timer_start(&channel->retry, channel->loop, RETRY_MS, retry_unsent);
    }
}

/* What the worker is told of a client's name of a request. */
static struct span told_id(const struct channel_request *request)
{
    return request->id.size <= CHANNEL_MAX_ID ? request->id : (struct span){0};
}

static void put_request(struct record_writer *writer, const struct channel_request *request,
                        uint64_t id)
{
    const struct record_request head = {
        .request = id,
        .deadline_ns = request->deadline_ns,
        .grant_offset = request->grant.offset,
        .grant_size = request->grant.size,
        .wanted_outputs = request->wanted_outputs,
        .credits = request->credits,
        .input_count = (uint32_t)request->input_count,
        .parameter_count = (uint32_t)request->parameter_count,
        .id_size = (uint32_t)told_id(request).size,
    };
    record_put(writer, &head, sizeof head);
    for (size_t i = 0; i < request->input_count; i++)
        record_put_tensor(writer, &request->inputs[i], (struct span){0});
    for (size_t i = 0; i < request->parameter_count; i++) {
        const struct parameter *parameter = &request->parameters[i];
        const struct record_parameter head_of = {.key_size = (uint32_t)parameter->key.size,
                                                 .value_size = (uint32_t)parameter->value.size,
                                                 .literal = parameter->literal};
        record_put(writer, &head_of, sizeof head_of);
        record_put_string(writer, parameter->key);
        record_put_string(writer, parameter->value);
    }
    if (head.id_size)
        record_put_string(writer, told_id(request));
}

static size_t padded(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

/* Bytes of the request in a record; more than RING_RECORD_MAX when it cannot fit one. */
static size_t request_size(const struct channel_request *request)
{
    size_t size = sizeof(struct record_request);
    for (size_t i = 0; i < request->input_count && size <= RING_RECORD_MAX; i++)
        size += sizeof(struct record_tensor) + request->inputs[i].shape.ndim * sizeof(int64_t);
    for (size_t i = 0; i < request->parameter_count && size <= RING_RECORD_MAX; i++) {
        const struct parameter *parameter = &request->parameters[i];
        if (parameter->key.size > RING_RECORD_MAX || parameter->value.size > RING_RECORD_MAX)
            return SIZE_MAX / 2;
        size += sizeof(struct record_parameter) + padded(parameter->key.size + 1) +
                padded(parameter->value.size + 1);
    }
    return size + padded(told_id(request).size + 1);
}

size_t channel_fitting(struct channel_request *const *requests, size_t count)
{
    size_t size = sizeof(struct record_head) + sizeof(struct record_execute);
    for (size_t i = 0; i < count; i++) {
        size += request_size(requests[i]);
        if (size > RING_RECORD_MAX)
            return i;
    }
    return count;
}

static void forget_execution(struct channel *channel, struct execution_entry *execution,
                             struct channel_request *const *requests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        channel_table_remove(&channel->table, &channel->table.requests[requests[i]->slot]);
    channel_table_end(&channel->table, execution);
}

static void activate(struct channel *channel);

bool channel_execute(struct channel *channel, uint64_t execution, uint64_t needs_ns,
                     struct channel_request *const *requests, size_t count)
{
    struct execution_entry *entry;
    assert(count > 0);
    if (channel->deaf || channel->unsent.size > 0 ||
        !channel_table_add(&channel->table, execution, requests, count, &entry))
        return false;
    struct record_writer writer;
    record_begin(&writer, channel->out, RECORD_EXECUTE);
    uint64_t needs_us = needs_ns / 1000;
    const struct record_execute head = {
        .execution = entry->id,
        .request_count = (uint32_t)count,
        .needs_us = needs_us < UINT32_MAX ? (uint32_t)needs_us : UINT32_MAX,
    };
    record_put(&writer, &head, sizeof head);
    for (size_t i = 0; i < count; i++)
        put_request(&writer, requests[i], channel->table.requests[requests[i]->slot].id);
    enum ring_state state = record_end(&writer) ? write_record(channel, channel->out) : RING_FULL;
    if (state != RING_RECORD) {
        forget_execution(channel, entry, requests, count);
        if (state == RING_BROKEN)
            go_deaf(channel, "a reading position that cannot be");
        return false;
    }
    for (size_t i = 0; i < count; i++)
        requests[i]->channel = channel;
    activate(channel);
    return true;
}

/* The entry of a request that is with the worker, or NULL. */
static struct request_entry *entry_of(struct channel *channel,
                                      const struct channel_request *request)
{
    if (!channel || channel->deaf || request->channel != channel)
        return NULL;
    assert(request->slot < channel->table.request_capacity);
    struct request_entry *entry = &channel->table.requests[request->slot];
    assert(entry->request == request);
    return entry;
}

void channel_cancel(struct channel *channel, struct channel_request *request)
{
    const struct request_entry *entry = entry_of(channel, request);
    if (!entry)
        return;
    struct record_writer writer;
    record_begin(&writer, channel->out, RECORD_CANCEL);
    record_put(&writer, &(struct record_request_id){entry->id}, sizeof(struct record_request_id));
    send_surely(channel, &writer);
}

void channel_credit(struct channel *channel, struct channel_request *request, uint32_t count)
{
    struct request_entry *entry = entry_of(channel, request);
    if (!entry)
        return;
    entry->credits += count;
    struct record_writer writer;
    record_begin(&writer, channel->out, RECORD_CREDIT);
    record_put(&writer, &(struct record_credit){.request = entry->id, .count = count},
               sizeof(struct record_credit));
    send_surely(channel, &writer);
}

static void send_grant(struct channel_inbox *inbox, uint64_t request, struct extent extent,
                       const struct error *error)
{
    struct channel *channel = list_entry(inbox, struct channel, inbox);
    struct span message = extent.size ? SPAN("") : span_of(error->message);
    struct record_writer writer;
    record_begin(&writer, channel->out, RECORD_GRANT);
    const struct record_grant head = {.request = request,
                                      .offset = extent.offset,
                                      .size = extent.size,
                                      .message_size = (uint32_t)message.size};
    record_put(&writer, &head, sizeof head);
    record_put_string(&writer, message);
    send_surely(channel, &writer);
}

void channel_call_forget(struct channel *channel)
{
    assert(channel->inbox.open_calls > 0);
    channel->inbox.open_calls--;
}

void channel_call_answer(struct channel *channel, uint64_t call_id, const struct error *error,
                         const struct span *output_names, const struct channel_tensor *outputs,
                         size_t count)
{
    struct record_writer writer;
    bool failed = error && error->code != ERROR_OK;
    struct span message = failed ? span_of(error->message) : SPAN("");
    record_begin(&writer, channel->out, RECORD_CALL_ANSWER);
    const struct record_call_answer head = {.call = call_id,
                                            .failed = failed,
                                            .message_size = (uint32_t)message.size,
                                            .output_count = failed ? 0 : (uint32_t)count};
    record_put(&writer, &head, sizeof head);
    record_put_string(&writer, message);
    for (size_t i = 0; !failed && i < count; i++)
        record_put_tensor(&writer, &outputs[i], output_names[i]);
    if (writer.failed) {
        static const struct error too_many = {.code = ERROR_TOO_LARGE,
                                              .message = "too many outputs for one answer"};
        channel_call_answer(channel, call_id, &too_many, NULL, NULL, 0);
        return;
    }
    channel_call_forget(channel);
    send_surely(channel, &writer);
}

void channel_stop(struct channel *channel)
{
    struct record_writer writer;
    record_begin(&writer, channel->out, RECORD_STOP);
    send_surely(channel, &writer);
}

/* ---- receiving ---- */

/* Takes what the worker has written, up to a bound. */
static void drain(struct channel *channel)
{
    enum ring_state state = RING_RECORD;
    const char *broken = NULL;
    channel->inbox.now_ns = loop_now_ns(channel->loop);
    for (int i = 0; i < RECORDS_PER_TURN && state == RING_RECORD && !channel->deaf && !broken;
         i++) {
        uint32_t size;
        state = ring_read(&channel->to_front, channel->in, &size);
        if (state == RING_RECORD)
            broken = channel_inbox_take(&channel->inbox, channel->in);
        else if (state == RING_BROKEN)
            broken = "a ring whose positions or sizes cannot be";
    }
    if (broken)
        go_deaf(channel, broken);
    else if (!channel->deaf)
        ring_publish(&channel->to_front);
}

static void on_doorbell(uv_poll_t *handle, int status, int events)
{
    struct channel *channel = handle->data;
    char bytes[64];
    ssize_t got = read(channel->ring_front, bytes, sizeof bytes);
    (void)got; /* how often it rang says nothing */
    ring_awake(&channel->to_front);
    drain(channel);
    if (!channel->deaf)
        activate(channel); /* and so to sleep again, before the loop polls */
}

static void on_awake(uv_idle_t *handle)
{
    /* Its being active is its purpose: the loop then polls without sleeping. */
}

static void on_before_poll(uv_prepare_t *handle)
{
    struct channel *channel = handle->data;
    if (!ring_sleep(&channel->to_front)) {
        uv_idle_start(&channel->stay_awake, on_awake);
    } else if (channel->table.request_count == 0) {
        channel->active = false;
        uv_prepare_stop(&channel->before_poll);
        uv_check_stop(&channel->after_poll);
    }
}

static void on_after_poll(uv_check_t *handle)
{
    struct channel *channel = handle->data;
    uv_idle_stop(&channel->stay_awake);
    ring_awake(&channel->to_front);
    drain(channel);
}

static void activate(struct channel *channel)
{
    if (channel->active)
        return;
    channel->active = true;
    uv_prepare_start(&channel->before_poll, on_before_poll);
    uv_check_start(&channel->after_poll, on_after_poll);
}

/* Once the first handle is on the loop, the channel is freed by way of it. */
static bool start_listening(struct channel *channel, struct error *ret_error)
{
    struct uv_loop_s *uv = loop_uv(channel->loop);
    if (uv_poll_init(uv, &channel->doorbell, channel->ring_front) != 0)
        return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "the doorbell cannot be watched");
    uv_prepare_init(uv, &channel->before_poll);
    uv_check_init(uv, &channel->after_poll);
    uv_idle_init(uv, &channel->stay_awake);
    channel->doorbell.data = channel->before_poll.data = channel;
    channel->after_poll.data = channel->stay_awake.data = channel;
    channel->handles_open = HANDLES;
    if (uv_poll_start(&channel->doorbell, UV_READABLE, on_doorbell) == 0 &&
        loop_register(channel->loop, channel->ring_front))
        return true;
    channel_close(channel);
    return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "the doorbell cannot be watched");
}

struct channel *channel_open(struct loop *loop, struct tensor_memory *memory,
                             const struct channel_events *events, void *owner,
                             struct error *ret_error)
{
    struct channel *channel = calloc(1, sizeof *channel);
    if (!channel) {
        error_no_memory(ret_error);
        return NULL;
    }
    channel->loop = loop;
    channel->memory = memory;
    channel->worker_fds = (struct channel_fds){-1, tensor_memory_fd(memory), -1, -1};
    channel->ring_worker = channel->ring_front = -1;
    channel->ring_task.run = ring_doorbell;
    channel_table_init(&channel->table);
    channel_inbox_init(&channel->inbox, events, owner, &channel->table);
    channel->inbox.grant = send_grant;
    buf_init(&channel->unsent, MAX_UNSENT_BYTES);
    channel->out = malloc(RING_RECORD_MAX);
    channel->in = malloc(RING_RECORD_MAX);
    bool opened = channel->out && channel->in
                      ? map_rings(channel, ret_error) && open_doorbells(channel, ret_error)
                      : error_no_memory(ret_error);
    if (opened && start_listening(channel, ret_error))
        return channel;
    if (channel->handles_open == 0)
        destroy(channel);
    return NULL;
}

/* ---- looking ---- */

size_t channel_request_count(const struct channel *channel)
{
    return channel->table.request_count;
}

struct channel_request *channel_next_request(const struct channel *channel, size_t *position)
{
    while (*position < channel->table.request_capacity) {
        struct channel_request *request = channel->table.requests[(*position)++].request;
        if (request)
            return request;
    }
    return NULL;
}
