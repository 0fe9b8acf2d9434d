/* The spawner's own process; see spawner.h.
 *
 * One thread and one poll(): the front's socket, and a signalfd that tells of dead children and of
 * signals to pass on. It never blocks on a child: what may block (opening a model's folder on a
 * network) is done by the child after the fork, and why it failed comes by a pipe of last words.
 *
 * Each worker has a slot from START until the front has been told of its end; what there is to
 * tell is a state of the slot, so that a front that does not read costs no memory. The front is not
 * trusted: what is not a proper message ends it, and with it everything. */
#include "worker/spawner.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/spawner_child.h"

enum { FRONT_OOM_SCORE = -500, REASON_BYTES = 256 };

struct slot {
    uint64_t id; /* 0: free */
    pid_t pid;   /* 0: there is no process */
    int last_words;
    bool tell_started;
    bool tell_ended;
    int status;
    char reason[REASON_BYTES]; /* why it was not started; empty: it was */
};

struct spawner {
    struct spawner_child child;
    sigset_t signals; /* blocked, and read from signal_fd */
    int signal_fd;
    int socket;
    pid_t front;
    bool front_ended;
    int front_status;
    bool congested; /* the socket has no room: wait for POLLOUT */
    struct slot slots[SPAWN_MAX_WORKERS];
};

static struct slot *find(struct spawner *spawner, uint64_t id)
{
    for (size_t i = 0; i < SPAWN_MAX_WORKERS; i++)
        if (spawner->slots[i].id == id)
            return &spawner->slots[i];
    return NULL;
}

/* ---- to the front ---- */

/* False when the socket has no room. A front that is gone is noticed elsewhere. */
static bool tell(struct spawner *spawner, const struct spawn_message *message)
{
    char packet[SPAWN_MESSAGE_MAX_BYTES];
    size_t size = spawn_message_write(message, packet);
    if (send(spawner->socket, packet, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
        (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
        spawner->congested = true;
    return !spawner->congested;
}

static bool tell_end(struct spawner *spawner, const struct slot *slot)
{
    if (slot->reason[0])
        return tell(spawner, &(struct spawn_message){.type = SPAWN_NOT_STARTED,
                                                     .id = slot->id,
                                                     .text = span_of(slot->reason)});
    return tell(spawner, &(struct spawn_message){
                             .type = SPAWN_ENDED, .id = slot->id, .number = slot->status});
}

static bool tell_slot(struct spawner *spawner, struct slot *slot)
{
    if (slot->tell_started) {
        if (!tell(spawner, &(struct spawn_message){
                               .type = SPAWN_STARTED, .id = slot->id, .number = slot->pid}))
            return false;
        slot->tell_started = false;
    }
    if (slot->tell_ended) {
        if (!tell_end(spawner, slot))
            return false;
        *slot = (struct slot){.id = 0};
    }
    return true;
}

static void tell_all(struct spawner *spawner)
{
    spawner->congested = false;
    for (size_t i = 0; i < SPAWN_MAX_WORKERS; i++)
        if (spawner->slots[i].id && !tell_slot(spawner, &spawner->slots[i]))
            return;
}

/* ---- children ---- */

static void not_started(struct slot *slot, const char *what)
{
    snprintf(slot->reason, sizeof slot->reason, "%s: %s", what, strerrordesc_np(errno));
    slot->tell_ended = true;
}

static void start_worker(struct spawner *spawner, uint64_t id, const char *root,
                         const int fds[SPAWN_FD_COUNT])
{
    int words[2];
    struct slot *slot = find(spawner, 0);
    *slot = (struct slot){.id = id};
    if (pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0) {
        not_started(slot, "cannot make a pipe");
        return;
    }
    pid_t pid = fork();
    if (pid == 0)
        spawner_child_worker(&spawner->child, root, fds, words[1]);
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

static void worker_ended(struct slot *slot, int status)
{
    ssize_t size = read(slot->last_words, slot->reason, sizeof slot->reason - 1);
    slot->reason[size > 0 ? size : 0] = '\0';
    close(slot->last_words);
    slot->pid = 0;
    slot->status = status;
    slot->tell_ended = true;
}

/* Children that are not ours come when this is process 1 of a container; they are reaped too. */
static void child_ended(struct spawner *spawner, pid_t pid, int status)
{
    if (pid == spawner->front) {
        spawner->front_ended = true;
        spawner->front_status = status;
        return;
    }
    for (size_t i = 0; i < SPAWN_MAX_WORKERS; i++)
        if (spawner->slots[i].id && spawner->slots[i].pid == pid)
            worker_ended(&spawner->slots[i], status);
}

static void reap(struct spawner *spawner)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        child_ended(spawner, pid, status);
}

/* A process id is not used again before it was reaped, which only this thread does. */
static void kill_workers(struct spawner *spawner)
{
    for (size_t i = 0; i < SPAWN_MAX_WORKERS; i++)
        if (spawner->slots[i].pid)
            kill(spawner->slots[i].pid, SIGKILL);
    for (size_t i = 0; i < SPAWN_MAX_WORKERS; i++)
        if (spawner->slots[i].pid)
            waitpid(spawner->slots[i].pid, NULL, 0);
}

/* ---- from the front ---- */

/* Takes the descriptors out of a control message. Returns how many there are; those beyond
 * SPAWN_FD_COUNT were never delivered (MSG_CTRUNC). */
static size_t take_fds(struct msghdr *head, int fds[SPAWN_FD_COUNT])
{
    size_t count = 0;
    for (struct cmsghdr *control = CMSG_FIRSTHDR(head); control;
         control = CMSG_NXTHDR(head, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
            continue;
        count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        assert(count <= SPAWN_FD_COUNT);
        memcpy(fds, CMSG_DATA(control), count * sizeof(int));
    }
    return count;
}

/* False when the front breaks the rules. */
static bool obey(struct spawner *spawner, const struct spawn_message *message, const int *fds,
                 size_t fd_count)
{
    struct slot *slot = find(spawner, message->id);
    if (message->type == SPAWN_KILL && fd_count == 0) {
        if (slot && slot->pid)
            kill(slot->pid, SIGKILL);
        return true; /* it may have ended by itself while the message was on its way */
    }
    if (message->type != SPAWN_START || fd_count != SPAWN_FD_COUNT || slot || !find(spawner, 0))
        return false;
    char root[SPAWN_TEXT_MAX_BYTES + 1];
    memcpy(root, message->text.data, message->text.size);
    root[message->text.size] = '\0';
    start_worker(spawner, message->id, root, fds);
    return true;
}

enum received { RECEIVED_MESSAGE, RECEIVED_NOTHING, RECEIVED_END, RECEIVED_NONSENSE };

/* Receives one message and acts on it. */
static enum received receive(struct spawner *spawner)
{
    char packet[SPAWN_MESSAGE_MAX_BYTES];
    union {
        char bytes[CMSG_SPACE(SPAWN_FD_COUNT * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec vector = {packet, sizeof packet};
    struct msghdr head = {.msg_iov = &vector,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof control.bytes};
    int fds[SPAWN_FD_COUNT];
    struct spawn_message message;
    ssize_t size = recvmsg(spawner->socket, &head, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? RECEIVED_NOTHING : RECEIVED_END;
    size_t count = take_fds(&head, fds);
    bool sound = !(head.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
                 spawn_message_read((struct span){packet, (size_t)size}, &message) &&
                 obey(spawner, &message, fds, count);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    if (sound)
        return RECEIVED_MESSAGE;
    return size == 0 ? RECEIVED_END : RECEIVED_NONSENSE;
}

/* Reads all there is. At the end of the line the front is about to exit, in its own time; nonsense
 * is answered by killing it. */
static void listen_to_front(struct spawner *spawner)
{
    enum received received;
    do {
        received = receive(spawner);
    } while (received == RECEIVED_MESSAGE);
    if (received == RECEIVED_NOTHING)
        return;
    if (received == RECEIVED_NONSENSE) {
        fprintf(stderr, "tensord: the front sent nonsense to the spawner and is killed\n");
        kill(spawner->front, SIGKILL);
    }
    close(spawner->socket);
    spawner->socket = -1;
}

/* ---- signals ---- */

static void handle_signals(struct spawner *spawner)
{
    struct signalfd_siginfo signal;
    while (read(spawner->signal_fd, &signal, sizeof signal) == sizeof signal) {
        if (signal.ssi_signo == SIGCHLD)
            reap(spawner); /* one signal may stand for several children */
        else if (!spawner->front_ended)
            kill(spawner->front, (int)signal.ssi_signo);
    }
}

static void take_turn(struct spawner *spawner)
{
    struct pollfd polled[] = {
        {.fd = spawner->signal_fd, .events = POLLIN},
        {.fd = spawner->socket, .events = (short)(spawner->congested ? POLLIN | POLLOUT : POLLIN)},
    };
    if (poll(polled, 2, -1) < 0)
        return; /* interrupted */
    if (polled[1].revents)
        listen_to_front(spawner);
    if (polled[0].revents)
        handle_signals(spawner);
    if (spawner->socket >= 0)
        tell_all(spawner);
}

/* ---- beginning and end ---- */

static bool fail(const char *what)
{
    fprintf(stderr, "tensord: %s: %s\n", what, strerrordesc_np(errno));
    return false;
}

/* Children of a process that ignores SIGCHLD, which may be inherited, are never waited for. */
static bool open_signals(struct spawner *spawner)
{
    static const int passed[] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&spawner->signals);
    sigaddset(&spawner->signals, SIGCHLD);
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        sigaddset(&spawner->signals, passed[i]);
    spawner->signal_fd = signalfd(-1, &spawner->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (spawner->signal_fd < 0 || sigprocmask(SIG_BLOCK, &spawner->signals, NULL) < 0)
        return fail("signals");
    return true;
}

static bool open_child(struct spawner *spawner, const struct spawner_options *options)
{
    struct error error;
    struct spawner_child *child = &spawner->child;
    child->options = options;
    child->spawner = getpid();
    const char *mode = options->sandbox ? options->sandbox : "auto";
    if (!sandbox_mode_of_name(span_of(mode), &child->sandbox)) {
        fprintf(stderr, "tensord: the sandbox is \"off\", \"auto\" or \"strict\", not \"%s\"\n",
                mode);
        return false;
    }
    if (!sandbox_check(child->sandbox, &error)) {
        fprintf(stderr, "tensord: --sandbox=strict: %s\n", error.message);
        return false;
    }
    child->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    child->program =
        open(options->program ? options->program : "/proc/self/exe", O_PATH | O_CLOEXEC);
    return (child->null >= 0 && child->program >= 0) || fail("cannot open its own program");
}

/* Root may make the kernel spare the spawner and the front when memory is short. */
static void avoid_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    dprintf(fd, "%d", FRONT_OOM_SCORE);
    close(fd);
}

static bool start_front(struct spawner *spawner)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return fail("socketpair");
    spawner->socket = pair[0];
    spawner->front = fork();
    if (spawner->front == 0)
        spawner_child_front(&spawner->child, pair[1]);
    close(pair[1]);
    return spawner->front > 0 || fail("cannot start the front");
}

static void close_all(struct spawner *spawner)
{
    const int fds[] = {spawner->signal_fd, spawner->socket, spawner->child.null,
                       spawner->child.program};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    for (size_t i = 0; i < SPAWN_MAX_WORKERS; i++)
        if (spawner->slots[i].pid)
            close(spawner->slots[i].last_words);
}

int spawner_run(const struct spawner_options *options)
{
    int status = EXIT_FAILURE;
    struct spawner *spawner = calloc(1, sizeof *spawner);
    if (!spawner)
        return EXIT_FAILURE;
    spawner->signal_fd = spawner->socket = spawner->child.null = spawner->child.program = -1;
    avoid_oom_killer();
    if (open_child(spawner, options) && open_signals(spawner) && start_front(spawner)) {
        while (!spawner->front_ended)
            take_turn(spawner);
        kill_workers(spawner);
        status = WIFEXITED(spawner->front_status) ? WEXITSTATUS(spawner->front_status)
                                                  : 128 + WTERMSIG(spawner->front_status);
    }
    close_all(spawner);
    sigprocmask(SIG_UNBLOCK, &spawner->signals, NULL);
    free(spawner);
    return status;
}
