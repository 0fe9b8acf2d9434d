/* The warden; see warden.h. It is single-threaded and blocks: nobody waits for it but its keeper,
 * which polls. */
#include "worker/warden_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/namespaces.h"

enum {
    LEFT_ROUNDS = 100, /* of looking for what the command has left behind */
    EXIT_NOT_EXECUTED = 127,
};

void warden_socket_path(const char *scratch, char *path, size_t size)
{
    snprintf(path, size, "%s/server.sock", scratch);
}

/* ---- to the keeper ---- */

static void tell(enum warden_type type, int32_t number, const char *text)
{
    struct warden_message message = {.type = type, .number = number};
    snprintf(message.text, sizeof message.text, "%s", text);
    send(FD_CONTROL, &message, sizeof message, MSG_NOSIGNAL);
}

/* Waits for the next word. False when the keeper is gone. */
static bool hear(struct warden_message *ret_message)
{
    ssize_t size;
    do
        size = recv(FD_CONTROL, ret_message, sizeof *ret_message, 0);
    while (size < 0 && errno == EINTR);
    return size == (ssize_t)sizeof *ret_message;
}

/* ---- the command ---- */

static _Noreturn void execute(const struct warden *warden)
{
    sigset_t none;
    struct rlimit limit;
    sigemptyset(&none);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (int signal = 1; signal < NSIG; signal++)
        sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    dup2(FD_OUTPUT, STDOUT_FILENO);
    dup2(FD_OUTPUT, STDERR_FILENO);
    close_range(FD_CONTROL, ~0U, 0);
    execvp(warden->words[0], warden->words);
    dprintf(STDERR_FILENO, "cannot execute '%s': %s\n", warden->words[0], strerrordesc_np(errno));
    _exit(EXIT_NOT_EXECUTED);
}

/* SIGTERM is for the command itself, which knows what it has started. */
static void obey(const struct warden *warden, bool *gone)
{
    struct warden_message message;
    if (!hear(&message))
        *gone = true;
    else if (message.type == WARDEN_STOP)
        kill(warden->command, SIGTERM);
}

/* Reaps what has ended. True when the command has, with its status. */
static bool reap(const struct warden *warden, int *ret_status)
{
    int status;
    bool ended = false;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid != warden->command)
            continue;
        *ret_status = status;
        ended = true;
    }
    return ended;
}

/* Waits for the end of the command, or of the keeper. True with the command's status. */
static bool watch(const struct warden *warden, int signals, int *ret_status)
{
    bool gone = false;
    while (!gone) {
        struct pollfd polls[] = {{.fd = FD_CONTROL, .events = POLLIN},
                                 {.fd = signals, .events = POLLIN}};
        struct signalfd_siginfo information;
        poll(polls, 2, -1);
        if (polls[1].revents && read(signals, &information, sizeof information) > 0 &&
            reap(warden, ret_status))
            return true;
        if (polls[0].revents)
            obey(warden, &gone);
    }
    return false;
}

/* Children of this process, by the kernel's own list: without a namespace, what the command has
 * left behind becomes a child of the warden. */
static bool kill_children(void)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    bool any = false;
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    for (char *at = text, *end; *at; at = end) {
        long pid = strtol(at, &end, 10);
        if (end == at)
            break;
        any = any || pid > 0;
        if (pid > 0)
            kill((pid_t)pid, SIGKILL);
    }
    return any;
}

static void end_all(const struct warden *warden)
{
    if (warden->own_processes) {
        kill(-1, SIGKILL); /* of this namespace, whose first process is spared */
        return;
    }
    kill(-warden->command, SIGKILL);
    for (int round = 0; round < LEFT_ROUNDS && kill_children(); round++)
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
}

static const char *what_it_lacks(const struct warden *warden)
{
    if (warden->child->sandbox == SANDBOX_OFF)
        return "";
    if (!warden->own_network && !warden->worker->network)
        return "there are no namespaces here for this user: the server shares this machine's "
               "network, and sees its processes";
    return warden->own_processes ? ""
                                 : "there are no namespaces here for this user: the server "
                                   "sees this machine's processes";
}

static _Noreturn void run(struct warden *warden)
{
    struct warden_message message;
    struct error error;
    sigset_t child;
    int status = 0;
    if (!hear(&message) || message.type != WARDEN_START)
        _exit(EXIT_SUCCESS); /* it was not wanted */
    if (!warden_prepare(warden, &error)) {
        tell(WARDEN_FAILED, 0, error.message);
        _exit(EXIT_FAILURE);
    }
    warden_make_environment(warden);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    int signals = signalfd(-1, &child, SFD_CLOEXEC);
    tell(WARDEN_STARTED, warden->port, what_it_lacks(warden));
    warden->command = fork();
    if (warden->command == 0)
        execute(warden);
    if (warden->command < 0 || signals < 0) {
        tell(WARDEN_FAILED, 0, "no process can be started");
        _exit(EXIT_FAILURE);
    }
    close(FD_OUTPUT); /* its end is the end of what writes to it */
    bool ended = watch(warden, signals, &status);
    end_all(warden);
    if (ended)
        tell(WARDEN_ENDED, status, "");
    _exit(EXIT_SUCCESS);
}

/* ---- starting it ---- */

void warden_note_sockets(struct warden_order *order, const struct spawner_options *options)
{
    for (size_t i = 0; i < options->socket_count; i++) {
        struct sockaddr_un address = {.sun_path = ""};
        socklen_t size = sizeof address;
        if (getsockname(options->sockets[i].fd, (struct sockaddr *)&address, &size) < 0 ||
            address.sun_family != AF_UNIX)
            continue;
        char *path = order->sockets[order->socket_count++];
        memcpy(path, address.sun_path, sizeof address.sun_path);
        path[sizeof address.sun_path] = '\0';
    }
}

/* There the command would be taken for the server's own user. Abstract ones lie in the network, and
 * are kept from it by Landlock, too. */
static bool cover_own_sockets(const struct warden_order *order)
{
    for (size_t i = 0; i < order->socket_count; i++)
        if (order->sockets[i][0] && !namespaces_cover(order->sockets[i]))
            return false;
    return true;
}

/* The descriptors that are not the warden's close. */
static bool take_descriptors(const struct warden_order *order, int ready)
{
    const int own[FD_COUNT - FD_CONTROL] = {order->control, order->output, order->spec, ready};
    int moved[FD_COUNT - FD_CONTROL];
    for (int i = 0; i < FD_COUNT - FD_CONTROL; i++)
        if ((moved[i] = fcntl(own[i], F_DUPFD_CLOEXEC, FD_COUNT)) < 0)
            return false;
    for (int i = 0; i < FD_COUNT - FD_CONTROL; i++)
        if (dup2(moved[i], FD_CONTROL + i) < 0)
            return false;
    return close_range(FD_COUNT, ~0U, 0) == 0;
}

/* In the child that is the warden. What fails before it is ready is tried again with less. */
static _Noreturn void become(struct warden *warden, const struct warden_order *order, int ready)
{
    prctl(PR_SET_NAME, "tensord-warden", 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (warden->own_processes &&
        (!namespaces_mount(order->worker->share.limits.memory_mib) || !cover_own_sockets(order)))
        _exit(EXIT_FAILURE);
    if (!warden->own_processes)
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (!take_descriptors(order, ready) || write(FD_READY, "", 1) != 1)
        _exit(EXIT_FAILURE);
    close(FD_READY);
    run(warden);
}

/* The process between: it alone may have the first process of a namespace as its child, since the
 * keeper has threads. It ends with the warden, and the warden with it. */
static _Noreturn void stand_between(struct warden *warden, const struct warden_order *order,
                                    int ready)
{
    prctl(PR_SET_NAME, "tensord-warden", 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (!namespaces_enter_processes())
        _exit(EXIT_FAILURE);
    pid_t pid = fork();
    if (pid == 0)
        become(warden, order, ready);
    close_range(FD_CONTROL, ~0U, 0);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    _exit(EXIT_SUCCESS);
}

/* Starts the warden and waits until it is ready. */
static bool start(struct warden *warden, const struct warden_order *order)
{
    int ready[2];
    char byte;
    if (pipe2(ready, O_CLOEXEC) < 0)
        return false;
    pid_t pid = fork();
    if (pid == 0 && warden->own_processes)
        stand_between(warden, order, ready[1]);
    if (pid == 0)
        become(warden, order, ready[1]);
    close(ready[1]);
    ssize_t size;
    do
        size = pid > 0 ? read(ready[0], &byte, 1) : -1;
    while (size < 0 && errno == EINTR && pid > 0);
    close(ready[0]);
    if (size != 1 && pid > 0)
        waitpid(pid, NULL, 0);
    return size == 1;
}

bool warden_start(const struct warden_order *order, struct error *ret_error)
{
    bool caged = order->child->sandbox != SANDBOX_OFF;
    bool strict = order->child->sandbox == SANDBOX_STRICT;
    struct warden warden = {.child = order->child, .worker = order->worker};
    warden.own_network = caged && !order->worker->network && namespaces_enter_network();
    if (strict && !order->worker->network && !warden.own_network)
        return error_set(ret_error, ERROR_UNAVAILABLE,
                         "the network cannot be kept from it: this machine has no namespaces for "
                         "this user (--sandbox=strict)");
    warden.own_processes = caged;
    if (caged && start(&warden, order))
        return true;
    warden.own_processes = false;
    if (strict)
        return error_set(ret_error, ERROR_UNAVAILABLE,
                         "it cannot have processes of its own: this machine has no namespaces for "
                         "this user (--sandbox=strict)");
    if (caged && order->socket_count)
        return error_set(ret_error, ERROR_UNAVAILABLE,
                         "this machine has no namespaces for this user, without which a managed "
                         "server could reach the unix socket that this server listens on, as its "
                         "own user");
    return start(&warden, order) ||
           error_set(ret_error, ERROR_INTERNAL, "no process can be started: %s",
                     strerrordesc_np(errno));
}
