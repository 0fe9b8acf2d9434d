/* Fronts and their workers; see spawner_front.h. It never blocks on a child: what may block
 * (opening a model's folder on a network) is done by the child after the fork, and why it failed
 * comes by a pipe of last words. */
#include "worker/spawner_front.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/cage.h"
#include "worker/fd_pass.h"
#include "worker/scratch.h"

static struct spawner_slot *find(struct spawner_front *front, uint64_t id)
{
    for (size_t i = 0; i < SPAWN_MAX_WORKERS; i++)
        if (front->slots[i].id == id)
            return &front->slots[i];
    return NULL;
}

/* ---- to the front ---- */

/* False when the socket has no room. A front that is gone is noticed elsewhere. */
static bool tell(struct spawner_front *front, const struct spawn_message *message)
{
    char packet[SPAWN_MESSAGE_MAX_BYTES];
    size_t size = spawn_message_write(message, packet);
    ssize_t sent;
    do
        sent = send(front->socket, packet, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
        front->congested = true;
    return !front->congested;
}

static bool tell_end(struct spawner_front *front, const struct spawner_slot *slot)
{
    if (slot->reason[0] && !slot->passed_limit)
        return tell(front, &(struct spawn_message){.type = SPAWN_NOT_STARTED,
                                                   .id = slot->id,
                                                   .text = span_of(slot->reason)});
    return tell(front, &(struct spawn_message){.type = SPAWN_ENDED,
                                               .id = slot->id,
                                               .number = slot->status,
                                               .text = span_of(slot->reason)});
}

static bool tell_slot(struct spawner_front *front, struct spawner_slot *slot)
{
    if (slot->tell_started) {
        if (!tell(front, &(struct spawn_message){
                             .type = SPAWN_STARTED, .id = slot->id, .number = slot->pid}))
            return false;
        slot->tell_started = false;
    }
    if (slot->tell_ended) {
        if (!tell_end(front, slot))
            return false;
        *slot = (struct spawner_slot){.id = 0};
    }
    return true;
}

void spawner_front_tell(struct spawner_front *front)
{
    front->congested = false;
    if (front->socket < 0)
        return;
    if (front->tell_retire && !tell(front, &(struct spawn_message){.type = SPAWN_RETIRE}))
        return;
    front->tell_retire = false;
    for (size_t i = 0; i < SPAWN_MAX_WORKERS; i++)
        if (front->slots[i].id && !tell_slot(front, &front->slots[i]))
            return;
}

/* ---- workers ---- */

static void copy_text(struct span text, char to[SPAWN_TEXT_MAX_BYTES + 1])
{
    if (text.size)
        memcpy(to, text.data, text.size);
    to[text.size] = '\0';
}

/* A process and what it has started: each is in a session of its own, once it has come so far. */
static void end_group(pid_t pid)
{
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
}

static void not_started(struct spawner_slot *slot, const char *what)
{
    snprintf(slot->reason, sizeof slot->reason, "%s: %s", what, strerrordesc_np(errno));
    slot->tell_ended = true;
}

/* Its scratch folder, if it is to have one; in a root of its own that is one in memory. */
static bool find_scratch(const struct spawner_front *front, struct spawner_slot *slot,
                         const struct spawn_message *message, unsigned own,
                         char path[SCRATCH_PATH_BYTES])
{
    struct error error;
    bool serves = message->type == SPAWN_SERVER, fresh = !serves && own & SANDBOX_OWN_ROOT;
    bool wanted = message->interpreter.size > 0 || message->limits.gpus || serves;
    snprintf(path, SCRATCH_PATH_BYTES, "%s", wanted ? "/tmp" : "");
    slot->has_scratch = wanted && !fresh;
    if (!slot->has_scratch ||
        scratch_path(front->child->spawner, front->pid, slot->id, path, &error))
        return true;
    slot->has_scratch = false;
    snprintf(slot->reason, sizeof slot->reason, "%.*s", SPAWNER_REASON_BYTES - 1, error.message);
    slot->tell_ended = true;
    return false;
}

/* In the new process. */
static _Noreturn void become(const struct spawner_child *child, const struct spawn_message *message,
                             const struct spawner_worker *worker, const char *group,
                             const int fds[SPAWN_FD_MOST], int words)
{
    if (group[0] && !cgroup_enter(&child->cgroup, group))
        dprintf(words, "cannot enter its cgroup: %s", strerrordesc_np(errno));
    if (!spawner_child_place(&message->limits)) {
        dprintf(words, "cannot run on its processors: %s", strerrordesc_np(errno));
        _exit(EXIT_FAILURE);
    }
    if (message->type == SPAWN_TASK)
        spawner_child_task(child, &child->options->tasks[message->number], worker->root,
                           &worker->share, fds[0], words);
    if (message->type == SPAWN_EXPORT)
        spawner_child_exporter(child, fds[0], words);
    if (message->type == SPAWN_SERVER)
        spawner_child_server(child, worker, fds, words);
    spawner_child_worker(child, worker, fds, words);
}

/* A cgroup for what has limits; empty without. A process whose group cannot be made is watched. */
static void make_group(const struct spawner_front *front, struct spawner_slot *slot,
                       const struct process_limits *limits, char group[CGROUP_NAME_BYTES])
{
    group[0] = '\0';
    if (front->child->cgroup.base < 0 || !limits->memory_mib)
        return;
    cgroup_name(front->pid, slot->id, group);
    slot->has_group = cgroup_make(&front->child->cgroup, group, limits);
    slot->memory_mib = limits->memory_mib;
    if (!slot->has_group)
        group[0] = '\0';
}

/* Starts a worker that may read path, a task on it, or an exporter, which has no path. */
static void start(struct spawner_front *front, const struct spawn_message *message,
                  const int fds[SPAWN_FD_MOST])
{
    int words[2];
    char path[SPAWN_TEXT_MAX_BYTES + 1], interpreter[SPAWN_TEXT_MAX_BYTES + 1];
    char model[SPAWN_TEXT_MAX_BYTES + 1], scratch[SCRATCH_PATH_BYTES];
    char group[CGROUP_NAME_BYTES];
    struct spawner_worker worker = {path,
                                    model,
                                    interpreter,
                                    scratch,
                                    message->network,
                                    spawner_child_share(front->child, message)};
    struct spawner_slot *slot = find(front, 0);
    assert(slot); /* obey_start has looked */
    *slot = (struct spawner_slot){.id = message->id};
    if (!find_scratch(front, slot, message, worker.share.own, scratch))
        return;
    worker.share.scratch = slot->has_scratch ? scratch : NULL;
    if (slot->has_scratch && !worker.share.limits.scratch_mib)
        worker.share.limits.scratch_mib = scratch_usual_mib();
    copy_text(message->text, path);
    copy_text(message->interpreter, interpreter);
    copy_text(message->model, model);
    if (pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0) {
        not_started(slot, "cannot make a pipe");
        return;
    }
    make_group(front, slot, &worker.share.limits, group);
    pid_t pid = worker.share.own & SANDBOX_INIT ? cage_fork(&worker.share, words) : fork();
    if (pid == 0)
        become(front->child, message, &worker, group, fds, words[1]);
    close(words[1]);
    if (pid < 0) {
        close(words[0]);
        not_started(slot, "cannot start a process");
        return;
    }
    slot->pid = pid;
    slot->last_words = words[0];
    slot->tell_started = true;
}

/* The kernel may have ended it for its memory, without telling the init. */
static void leave_group(const struct spawner_front *front, struct spawner_slot *slot)
{
    char group[CGROUP_NAME_BYTES];
    if (!slot->has_group)
        return;
    cgroup_name(front->pid, slot->id, group);
    if (!cgroup_remove(&front->child->cgroup, group) || slot->reason[0])
        return;
    slot->passed_limit = true;
    snprintf(slot->reason, sizeof slot->reason,
             SPAWN_USED_MEMORY "more than the %u MiB of memory that it may: set sandbox.memory_mib "
                               "in its model.yaml, or --worker-memory-mib",
             slot->memory_mib);
}

static void worker_ended(struct spawner_front *front, struct spawner_slot *slot, int status)
{
    char scratch[SCRATCH_PATH_BYTES];
    if (slot->has_scratch &&
        scratch_path(front->child->spawner, front->pid, slot->id, scratch, NULL))
        scratch_remove(scratch);
    kill(-slot->pid, SIGKILL); /* what a script may have left behind */
    ssize_t size;
    do
        size = read(slot->last_words, slot->reason, sizeof slot->reason - 1);
    while (size < 0 && errno == EINTR);
    struct span words = {slot->reason, size > 0 ? (size_t)size : 0};
    slot->passed_limit = cage_words_read(&words, &status);
    if (words.size)
        memmove(slot->reason, words.data, words.size);
    slot->reason[words.size] = '\0';
    leave_group(front, slot);
    close(slot->last_words);
    slot->pid = 0;
    slot->status = status;
    slot->tell_ended = true;
}

bool spawner_front_reaped(struct spawner_front *front, pid_t pid, int status)
{
    if (!front->pid)
        return false;
    if (pid == front->pid && !front->ended) {
        front->ended = true;
        front->status = status;
        return true;
    }
    for (size_t i = 0; i < SPAWN_MAX_WORKERS; i++) {
        if (front->slots[i].id && front->slots[i].pid == pid) {
            worker_ended(front, &front->slots[i], status);
            return true;
        }
    }
    return false;
}

/* ---- from the front ---- */

/* Whether such a process may be asked for, with so many descriptors. */
static bool is_known(const struct spawner_options *options, const struct spawn_message *message,
                     size_t fd_count)
{
    if (message->type == SPAWN_START)
        return fd_count == SPAWN_FD_COUNT;
    if (message->type == SPAWN_SERVER)
        return fd_count == SPAWN_FD_MOST;
    if (message->type == SPAWN_TASK)
        return fd_count == 1 && message->number >= 0 &&
               (size_t)message->number < options->task_count;
    return fd_count == 1 && options->exporter_arguments != NULL;
}

/* Whether it asks for a process. */
static bool is_start(enum spawn_type type)
{
    return type == SPAWN_START || type == SPAWN_SERVER || type == SPAWN_TASK ||
           type == SPAWN_EXPORT;
}

/* Some of the message's descriptors found no place here: that start fails, nothing else. */
static bool refuse_start(struct spawner_front *front, const struct spawn_message *message)
{
    struct spawner_slot *slot = find(front, message->id) ? NULL : find(front, 0);
    if (!is_start(message->type) || !slot)
        return false;
    *slot = (struct spawner_slot){.id = message->id};
    errno = EMFILE;
    not_started(slot, "the spawner cannot take its descriptors");
    return true;
}

static bool obey_start(struct spawner_front *front, const struct spawn_message *message,
                       const int *fds, size_t fd_count)
{
    if (!is_known(front->child->options, message, fd_count) || find(front, message->id) ||
        !find(front, 0))
        return false;
    start(front, message, fds);
    return true;
}

/* It may have ended by itself while the message was on its way. */
static void obey_kill(struct spawner_front *front, uint64_t id)
{
    const struct spawner_slot *slot = find(front, id);
    if (slot && slot->pid)
        end_group(slot->pid);
}

/* False when the front breaks the rules. */
static bool obey(struct spawner_front *front, const struct spawn_message *message, const int *fds,
                 size_t fd_count)
{
    front->alive_ns = clock_now_ns();
    front->keeps_pace = !front->adopted;
    if (is_start(message->type))
        return obey_start(front, message, fds, fd_count);
    if (fd_count)
        return false;
    switch (message->type) {
    case SPAWN_KILL:
        obey_kill(front, message->id);
        return true;
    case SPAWN_READY:
        front->said_ready = true;
        return true;
    case SPAWN_SETTLED:
        front->settled = true;
        return true;
    case SPAWN_ALIVE:
        front->said_alive = true;
        return true;
    default:
        return false;
    }
}

enum received { RECEIVED_MESSAGE, RECEIVED_NOTHING, RECEIVED_END, RECEIVED_NONSENSE };

/* Receives one message and acts on it. */
static enum received receive(struct spawner_front *front)
{
    char packet[SPAWN_MESSAGE_MAX_BYTES];
    union {
        char bytes[CMSG_SPACE(SPAWN_FD_MOST * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec vector = {packet, sizeof packet};
    struct msghdr head = {.msg_iov = &vector,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof control.bytes};
    int fds[SPAWN_FD_MOST];
    struct spawn_message message;
    ssize_t size = recvmsg(front->socket, &head, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR || errno == ENOMEM || errno == ENOBUFS
                   ? RECEIVED_NOTHING /* it is still there in the next turn */
                   : RECEIVED_END;
    size_t count = fd_pass_take(&head, fds, SPAWN_FD_MOST);
    assert(count <= SPAWN_FD_MOST); /* more were never delivered (MSG_CTRUNC) */
    bool sound = !(head.msg_flags & MSG_TRUNC) &&
                 spawn_message_read((struct span){packet, (size_t)size}, &message) &&
                 (head.msg_flags & MSG_CTRUNC ? refuse_start(front, &message)
                                              : obey(front, &message, fds, count));
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    if (sound)
        return RECEIVED_MESSAGE;
    return size == 0 ? RECEIVED_END : RECEIVED_NONSENSE;
}

void spawner_front_listen(struct spawner_front *front)
{
    enum received received;
    front->said_ready = front->said_alive = false;
    do {
        received = receive(front);
    } while (received == RECEIVED_MESSAGE);
    if (received == RECEIVED_NOTHING)
        return;
    if (received == RECEIVED_NONSENSE) {
        fprintf(stderr, "tensord: the front sent nonsense to the spawner and is killed\n");
        kill(front->pid, SIGKILL);
    }
    close(front->socket);
    front->socket = -1;
}

/* ---- beginning and end ---- */

bool spawner_front_start(struct spawner_front *front, const struct spawner_child *child,
                         bool successor)
{
    int pair[2];
    struct spawner_slot *slots = calloc(SPAWN_MAX_WORKERS, sizeof *slots);
    if (!slots || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        free(slots);
        return false;
    }
    pid_t pid = fork();
    if (pid == 0)
        spawner_child_front(child, pair[1], successor);
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        free(slots);
        return false;
    }
    *front = (struct spawner_front){
        .child = child, .pid = pid, .socket = pair[0], .alive_ns = clock_now_ns(), .slots = slots};
    return true;
}

/* A process id is not used again before it was reaped, which only this thread does. */
static void end_process(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

void spawner_front_fini(struct spawner_front *front)
{
    if (!front->pid)
        return;
    if (!front->ended)
        kill(front->pid, SIGKILL);
    for (size_t i = 0; i < SPAWN_MAX_WORKERS; i++)
        if (front->slots[i].pid)
            end_group(front->slots[i].pid); /* all at once, then each is waited for */
    if (!front->ended)
        end_process(front->pid);
    for (size_t i = 0; i < SPAWN_MAX_WORKERS; i++) {
        if (!front->slots[i].pid)
            continue;
        end_process(front->slots[i].pid);
        close(front->slots[i].last_words);
    }
    if (front->socket >= 0)
        close(front->socket);
    free(front->slots);
    *front = (struct spawner_front){.socket = -1};
}
