/* The front's line to the spawner; see spawner.h.
 *
 * Messages wait until the socket has room, which is looked for by the clock: to be told of it, the
 * socket would have to be watched anew, which can fail. A waiting START holds copies of the
 * channel's descriptors, because the channel may close its own before the message leaves; a waiting
 * KILL is a link in its process, so that killing cannot fail for want of memory. All STARTs go
 * before any KILL, so that none is killed before it was asked for. */
#include "worker/spawner.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/map.h"
#include "telemetry/metrics.h"
#include "worker/fd_pass.h"
#include "worker/spawn_message.h"
#include "worker/worker_spec.h"

enum { HEARTBEAT_MS = 2000, HEARTBEATS_PER_TIMEOUT = 4, RETRY_MS = 10 };

struct start {
    struct list_link link;
    enum spawn_type type; /* SPAWN_START, SPAWN_SERVER, SPAWN_TASK or SPAWN_EXPORT */
    unsigned task;
    bool network;
    int fds[SPAWN_FD_MOST];
    size_t fd_count;
    uint64_t id;
    struct process_limits limits;
    size_t path_size, interpreter_size, model_size;
    char path[]; /* and then the interpreter's and the model's */
};

struct spawner_client {
    uv_poll_t poll;
    int fd;
    bool closing;
    bool tell_ready, tell_settled; /* are owed */
    struct loop *loop;
    struct timer heartbeat;
    uint64_t heartbeat_ms;
    struct timer retry; /* runs: messages wait for room */
    const struct spawner_client_events *events;
    void *context;
    uint64_t last_id;
    struct map processes; /* by the bytes of worker_process.id */
    struct list starts;   /* struct start, oldest first */
    struct list kills;    /* struct worker_process */
};

static struct span key_of(const uint64_t *id)
{
    return (struct span){(const char *)id, sizeof *id};
}

static void start_free(struct start *start)
{
    for (size_t i = 0; i < start->fd_count; i++)
        close(start->fds[i]);
    free(start);
}

/* ---- sending ---- */

/* 0, or an errno. */
static int send_packet(int fd, const struct spawn_message *message, const int *fds, size_t count)
{
    char packet[SPAWN_MESSAGE_MAX_BYTES];
    return fd_pass_send(fd, packet, spawn_message_write(message, packet), fds, count, MSG_DONTWAIT);
}

static int send_start(struct spawner_client *client, struct start *start)
{
    const struct spawn_message message = {
        .type = start->type,
        .number = (int32_t)start->task,
        .id = start->id,
        .text = {start->path, start->path_size},
        .interpreter = {start->path + start->path_size, start->interpreter_size},
        .model = {start->path + start->path_size + start->interpreter_size, start->model_size},
        .limits = start->limits,
        .network = start->network};
    int failure = send_packet(client->fd, &message, start->fds, start->fd_count);
    if (!failure) {
        assert(list_linked(&start->link));
        list_remove(&start->link);
        start_free(start);
    }
    return failure;
}

static int send_kill(struct spawner_client *client, struct worker_process *process)
{
    const struct spawn_message message = {.type = SPAWN_KILL, .id = process->id};
    int failure = send_packet(client->fd, &message, NULL, 0);
    if (!failure)
        list_remove(&process->kill_link);
    return failure;
}

/* A message about the front itself, when it is owed. */
static int send_owed(struct spawner_client *client, enum spawn_type type, bool *owed)
{
    int failure =
        *owed ? send_packet(client->fd, &(struct spawn_message){.type = type}, NULL, 0) : 0;
    *owed = *owed && failure != 0;
    return failure;
}

static void lose(struct spawner_client *client)
{
    if (client->closing)
        return;
    uv_poll_stop(&client->poll);
    timer_stop(&client->heartbeat);
    timer_stop(&client->retry);
    client->closing = true; /* nothing is sent or told any more */
    client->events->lost(client->context);
}

static void retry_later(struct timer *timer);

/* Sends what the socket has room for. Losing the spawner is left to the reading side, so that no
 * call of the owner's is answered from within it. */
static void flush(struct spawner_client *client)
{
    int failure = 0;
    while (!failure && !list_empty(&client->starts))
        failure = send_start(client, list_entry(list_first(&client->starts), struct start, link));
    while (!failure && !list_empty(&client->kills))
        failure = send_kill(
            client, list_entry(list_first(&client->kills), struct worker_process, kill_link));
    if (!failure)
        failure = send_owed(client, SPAWN_READY, &client->tell_ready);
    if (!failure)
        failure = send_owed(client, SPAWN_SETTLED, &client->tell_settled);
    bool wait = failure == EAGAIN || failure == ENOBUFS || failure == ENOMEM ||
                failure == ETOOMANYREFS; /* too many descriptors on their way */
    if (wait)
        timer_start(&client->retry, client->loop, RETRY_MS, retry_later);
}

static void retry_later(struct timer *timer)
{
    flush(list_entry(timer, struct spawner_client, retry));
}

/* ---- receiving ---- */

static void end_process(struct spawner_client *client, struct worker_process *process, bool started,
                        const char *reason)
{
    map_remove(&client->processes, key_of(&process->id));
    list_remove(&process->kill_link);
    process->ended(process, started, reason);
}

/* Which limit a process had passed, if any. */
static void count_limit(struct span text)
{
    if (span_starts_with(text, SPAN(SPAWN_USED_MEMORY)))
        limit_hit(LIMIT_worker_memory_mib);
    else if (span_starts_with(text, SPAN(SPAWN_USED_SCRATCH)))
        limit_hit(LIMIT_worker_scratch_mib);
    else if (span_starts_with(text, SPAN(SPAWN_USED_PIDS)))
        limit_hit(LIMIT_worker_pids);
}

static void handle(struct spawner_client *client, const struct spawn_message *message)
{
    char reason[SPAWN_TEXT_MAX_BYTES + 1];
    if (message->type == SPAWN_RETIRE) {
        client->events->retire(client->context);
        return;
    }
    struct worker_process *process = map_get(&client->processes, key_of(&message->id));
    if (!process)
        return;
    switch (message->type) {
    case SPAWN_STARTED:
        process->pid = message->number;
        break;
    case SPAWN_NOT_STARTED:
        snprintf(reason, sizeof reason, "%.*s", SPAN_ARGS(message->text));
        end_process(client, process, false, reason);
        break;
    case SPAWN_ENDED:
        if (message->text.size)
            snprintf(reason, sizeof reason, "%.*s", SPAN_ARGS(message->text));
        else
            spawn_status_text(message->number, reason, sizeof reason);
        count_limit(message->text);
        end_process(client, process, true, reason);
        break;
    default:
        break; /* not for the front */
    }
}

/* Reads until there is nothing more. False when the spawner is gone. */
static bool receive(struct spawner_client *client)
{
    char packet[SPAWN_MESSAGE_MAX_BYTES];
    struct spawn_message message;
    while (!client->closing) {
        ssize_t size = recv(client->fd, packet, sizeof packet, MSG_DONTWAIT);
        if (size < 0)
            return errno == EAGAIN || errno == EINTR || errno == ENOMEM || errno == ENOBUFS;
        if (size == 0)
            return false;
        if (spawn_message_read((struct span){packet, (size_t)size}, &message))
            handle(client, &message);
    }
    return true;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct spawner_client *client = poll->data;
    if (status < 0 || !receive(client))
        lose(client);
}

/* ---- the owner's calls ---- */

/* One that finds no room is not sent later: the spawner has enough to read as it is. */
static void beat(struct timer *timer)
{
    struct spawner_client *client = list_entry(timer, struct spawner_client, heartbeat);
    send_packet(client->fd, &(struct spawn_message){.type = SPAWN_ALIVE}, NULL, 0);
    timer_start(timer, client->loop, client->heartbeat_ms, beat);
}

/* Often enough that a late one or two are no sign of anything. */
static uint64_t heartbeat_ms(uint64_t stuck_timeout_ms)
{
    uint64_t period_ms = stuck_timeout_ms / HEARTBEATS_PER_TIMEOUT;
    return period_ms && period_ms < HEARTBEAT_MS ? period_ms : HEARTBEAT_MS;
}

struct spawner_client *spawner_client_new(struct loop *loop, int fd, uint64_t stuck_timeout_ms,
                                          const struct spawner_client_events *events, void *context,
                                          struct error *ret_error)
{
    struct spawner_client *client = calloc(1, sizeof *client);
    if (!client) {
        error_no_memory(ret_error);
        return NULL;
    }
    *client = (struct spawner_client){.fd = fd,
                                      .loop = loop,
                                      .heartbeat_ms = heartbeat_ms(stuck_timeout_ms),
                                      .events = events,
                                      .context = context};
    map_init(&client->processes);
    list_init(&client->starts);
    list_init(&client->kills);
    client->poll.data = client;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    int failure = uv_poll_init(loop_uv(loop), &client->poll, fd);
    if (failure < 0) {
        error_set(ret_error, ERROR_INTERNAL, "the spawner's socket: %s", uv_strerror(failure));
        free(client);
        return NULL;
    }
    uv_poll_start(&client->poll, UV_READABLE, on_ready);
    if (!loop_register(loop, fd)) {
        error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "the spawner's socket cannot be watched");
        spawner_client_free(client);
        return NULL;
    }
    timer_start(&client->heartbeat, loop, client->heartbeat_ms, beat);
    return client;
}

static void on_closed(uv_handle_t *handle)
{
    struct spawner_client *client = handle->data;
    close(client->fd);
    free(client);
}

void spawner_client_free(struct spawner_client *client)
{
    if (!client)
        return;
    client->closing = true;
    timer_stop(&client->heartbeat);
    timer_stop(&client->retry);
    list_each(link, &client->starts)
    {
        list_remove(link);
        start_free(list_entry(link, struct start, link));
    }
    list_each(kill, &client->kills)
    {
        list_remove(kill);
    }
    map_fini(&client->processes);
    uv_close((uv_handle_t *)&client->poll, on_closed);
}

static bool fill_sealed(int fd, struct span bytes)
{
    size_t written = 0;
    while (written < bytes.size) {
        ssize_t size = write(fd, bytes.data + written, bytes.size - written);
        if (size < 0 && errno != EINTR)
            return false;
        written += size > 0 ? (size_t)size : 0;
    }
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0;
}

/* The spec in a sealed memfd, or -1. */
static int spec_fd(const struct worker_spec *spec, struct error *ret_error)
{
    struct buf buf;
    buf_init(&buf, WORKER_SPEC_MAX_BYTES);
    int fd = -1;
    if (!worker_spec_write(spec, &buf)) {
        error_set(ret_error, ERROR_TOO_LARGE, "the model's configuration is too large");
    } else {
        fd = memfd_create("spec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0 || !fill_sealed(fd, buf_span(&buf))) {
            error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "memfd: %s", strerrordesc_np(errno));
            if (fd >= 0)
                close(fd);
            fd = -1;
        }
    }
    buf_fini(&buf);
    return fd;
}

/* Whether it can be sent as a path. */
static bool is_sound(struct span path)
{
    return path.size <= SPAWN_TEXT_MAX_BYTES && (!path.size || !memchr(path.data, '\0', path.size));
}

static char *append(char *to, struct span text)
{
    if (text.size)
        memcpy(to, text.data, text.size);
    return to + text.size;
}

/* A message for a new process; NULL when there is no memory, or a path cannot be sent. */
static struct start *start_new(enum spawn_type type, struct span path, struct span interpreter,
                               struct span model, struct error *ret_error)
{
    if ((path.size == 0) != (type == SPAWN_EXPORT) || !is_sound(path) || !is_sound(model)) {
        error_set(ret_error, ERROR_INVALID_ARGUMENT, "the model's folder has no sound path");
        return NULL;
    }
    if (!is_sound(interpreter)) {
        error_set(ret_error, ERROR_INVALID_ARGUMENT, "the interpreter has no sound path");
        return NULL;
    }
    struct start *start = malloc(sizeof *start + path.size + interpreter.size + model.size);
    if (!start) {
        error_no_memory(ret_error);
        return NULL;
    }
    *start = (struct start){.type = type,
                            .path_size = path.size,
                            .interpreter_size = interpreter.size,
                            .model_size = model.size};
    append(append(append(start->path, path), interpreter), model);
    return start;
}

/* Gives the message its own copies. */
static bool attach_copies(struct start *start, const int *fds, size_t count,
                          struct error *ret_error)
{
    for (size_t i = 0; i < count; i++) {
        int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
            return error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "descriptors: %s",
                             strerrordesc_np(errno));
        start->fds[start->fd_count++] = copy;
    }
    return true;
}

static bool attach_channel(struct start *start, struct channel_fds fds,
                           const struct worker_spec *spec, struct error *ret_error)
{
    const int own[] = {fds.rings, fds.tensors, fds.to_worker, fds.to_front};
    if (!attach_copies(start, own, sizeof own / sizeof *own, ret_error))
        return false;
    int fd = spec_fd(spec, ret_error);
    if (fd < 0)
        return false;
    start->fds[start->fd_count++] = fd;
    return true;
}

/* Sends the message, or lets it wait; takes it in any case. `most`: with so many processes there is
 * no other. */
static bool send_or_wait(struct spawner_client *client, struct worker_process *process,
                         struct start *start, size_t most, struct error *ret_error)
{
    *process = (struct worker_process){.id = ++client->last_id, .ended = process->ended};
    start->id = process->id;
    bool room = !client->closing && client->processes.count < most;
    if (!room || !map_set(&client->processes, key_of(&process->id), process)) {
        start_free(start);
        return room ? error_no_memory(ret_error)
                    : error_set(ret_error, ERROR_UNAVAILABLE, "no more workers can be started");
    }
    list_add(&client->starts, &start->link);
    flush(client);
    return true;
}

void spawner_tell_ready(struct spawner_client *client)
{
    client->tell_ready = true;
    if (!client->closing)
        flush(client);
}

void spawner_tell_settled(struct spawner_client *client)
{
    client->tell_settled = true;
    if (!client->closing)
        flush(client);
}

bool spawner_start(struct spawner_client *client, struct worker_process *process,
                   const struct worker_spec *spec, struct channel_fds fds, struct error *ret_error)
{
    struct start *start =
        start_new(SPAWN_START, spec->root, spec->interpreter, spec->path, ret_error);
    if (start)
        start->limits = spec->limits;
    if (start && !attach_channel(start, fds, spec, ret_error)) {
        start_free(start);
        return false;
    }
    /* The last places are those of tasks. */
    return start && send_or_wait(client, process, start, SPAWN_MAX_WORKERS - SPAWN_PLACES_FOR_TASKS,
                                 ret_error);
}

bool spawner_start_server(struct spawner_client *client, struct worker_process *process,
                          const struct worker_spec *spec, struct channel_fds fds, int line,
                          struct error *ret_error)
{
    struct start *start =
        start_new(SPAWN_SERVER, spec->root, spec->interpreter, spec->path, ret_error);
    if (start && (!attach_channel(start, fds, spec, ret_error) ||
                  !attach_copies(start, &line, 1, ret_error))) {
        start_free(start);
        return false;
    }
    if (start) {
        start->limits = spec->limits;
        start->network = spec->server.network;
    }
    return start && send_or_wait(client, process, start, SPAWN_MAX_WORKERS - SPAWN_PLACES_FOR_TASKS,
                                 ret_error);
}

bool spawner_run_task(struct spawner_client *client, struct worker_process *process, unsigned task,
                      const char *path, int fd, struct error *ret_error)
{
    struct start *start = start_new(SPAWN_TASK, span_of(path), SPAN(""), SPAN(""), ret_error);
    if (start)
        start->task = task;
    if (start && !attach_copies(start, &fd, 1, ret_error)) {
        start_free(start);
        return false;
    }
    return start && send_or_wait(client, process, start, SPAWN_MAX_WORKERS, ret_error);
}

bool spawner_start_exporter(struct spawner_client *client, struct worker_process *process, int line,
                            struct error *ret_error)
{
    struct start *start = start_new(SPAWN_EXPORT, SPAN(""), SPAN(""), SPAN(""), ret_error);
    if (start && !attach_copies(start, &line, 1, ret_error)) {
        start_free(start);
        return false;
    }
    return start && send_or_wait(client, process, start, SPAWN_MAX_WORKERS - SPAWN_PLACES_FOR_TASKS,
                                 ret_error);
}

void spawner_kill(struct spawner_client *client, struct worker_process *process)
{
    if (client->closing || list_linked(&process->kill_link))
        return;
    list_add(&client->kills, &process->kill_link);
    flush(client);
}
