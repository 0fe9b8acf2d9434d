/* The warden; see warden.h. It is single-threaded and blocks: nobody waits for it but its keeper,
 * which polls. */
#include "worker/warden.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/gpu.h"
#include "worker/namespaces.h"
#include "worker/spawner_rows.h"
#include "worker/spec_map.h"

enum {
    USUAL_PORT = 8000, /* where nobody else can have it */
    LEFT_ROUNDS = 100, /* of looking for what the command has left behind */
    EXIT_NOT_EXECUTED = 127,
};

/* The numbers of its descriptors, when it has closed all others. */
enum { FD_CONTROL = 3, FD_OUTPUT, FD_SPEC, FD_READY, FD_COUNT };

struct warden {
    const struct spawner_child *child;
    const struct spawner_worker *worker;
    bool own_network, own_processes;
    struct arena arena;
    struct worker_spec spec;
    char **words;
    const char *home;
    uint16_t port; /* 0: it listens on the socket */
    pid_t command;
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

/* ---- what it is to start ---- */

static bool read_spec(struct warden *warden, struct error *ret_error)
{
    arena_init(&warden->arena, 4096, SPEC_ARENA_BYTES);
    return spec_map_read(FD_SPEC, &warden->arena, &warden->spec, ret_error);
}

/* A port that is free now. Another program may take it before the command does: then that one says
 * so and is started again. */
static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                 getsockname(fd, (struct sockaddr *)&address, &size) == 0;
    if (fd >= 0)
        close(fd);
    return bound ? ntohs(address.sin_port) : USUAL_PORT;
}

static bool choose_place(struct warden *warden, char socket[PATH_MAX], struct error *ret_error)
{
    const struct server_config *server = &warden->spec.server;
    warden_socket_path(warden->worker->scratch, socket, PATH_MAX);
    if (server_config_mentions(server, SPAN("{socket}")))
        return strlen(socket) < sizeof((struct sockaddr_un *)NULL)->sun_path ||
               error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the path for its unix socket is too long: start the server with a "
                         "shorter TMPDIR, or write {port}");
    warden->port = (uint16_t)server->port;
    if (!warden->port)
        warden->port = warden->own_network ? USUAL_PORT : free_port();
    return true;
}

static bool make_words(struct warden *warden, struct error *ret_error)
{
    const struct server_config *server = &warden->spec.server;
    char socket[PATH_MAX], port[16];
    if (!choose_place(warden, socket, ret_error))
        return false;
    snprintf(port, sizeof port, "%u", (unsigned)warden->port);
    warden->words = arena_calloc(&warden->arena, server->command_count + 1, sizeof(char *));
    for (size_t i = 0; warden->words && i < server->command_count; i++) {
        warden->words[i] = server_config_word(&warden->arena, server->command[i], span_of(port),
                                              span_of(socket), warden->spec.name);
        if (!warden->words[i])
            return error_no_memory(ret_error);
    }
    return warden->words || error_no_memory(ret_error);
}

/* ---- its home ---- */

/* Adds a model's name as a file's: letters, digits and a few others stay. */
static void put_name(struct buf *path, struct span name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool plain = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || (c == '.' && i > 0);
        buf_printf(path, plain ? "%c" : "%%%02X", (unsigned char)c);
    }
}

/* Its folder for scratch, or one that stays. */
static bool choose_home(struct warden *warden, struct error *ret_error)
{
    static struct buf path; /* for as long as this process lives */
    const char *homes = warden->child->options->homes;
    warden->home = warden->worker->scratch;
    if (!warden->spec.server.keep_home)
        return true;
    if (!homes)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "its home cannot be kept (keep_home): the server has no state folder");
    mkdir(homes, 0700); /* where that fails, the next one does too */
    buf_init(&path, PATH_MAX);
    buf_printf(&path, "%s/", homes);
    put_name(&path, warden->spec.name);
    if (!buf_append_char(&path, '\0') || (mkdir(path.data, 0700) < 0 && errno != EEXIST))
        return error_set(ret_error, ERROR_INTERNAL, "its home cannot be made: %s",
                         strerrordesc_np(errno));
    warden->home = path.data;
    return true;
}

/* ---- its environment ---- */

static const char *const kept[] = {"PATH",
                                   "LANG",
                                   "LC_ALL",
                                   "LC_CTYPE",
                                   "TZ",
                                   "LD_LIBRARY_PATH",
                                   "VIRTUAL_ENV",
                                   "CONDA_PREFIX",
                                   "CUDA_VISIBLE_DEVICES",
                                   "CUDA_DEVICE_ORDER"};
static const char *const kept_for_network[] = {
    "HTTP_PROXY",    "HTTPS_PROXY",  "ALL_PROXY",          "NO_PROXY",
    "http_proxy",    "https_proxy",  "all_proxy",          "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"};

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

/* Copies of what stays, taken before all is cleared. */
static void keep_variables(const char *const *names, size_t count, char **values)
{
    for (size_t i = 0; i < count; i++) {
        const char *value = getenv(names[i]);
        values[i] = value ? strdup(value) : NULL;
    }
}

static void restore_variables(const char *const *names, size_t count, char **values)
{
    for (size_t i = 0; i < count; i++)
        if (values[i])
            setenv(names[i], values[i], 1);
}

/* The programs of the model's Python come first. */
static void put_python_first(const char *interpreter)
{
    char path[PATH_MAX + 4096], folder[PATH_MAX];
    const char *before = getenv("PATH");
    snprintf(folder, sizeof folder, "%s", interpreter);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return;
    *slash = '\0';
    snprintf(path, sizeof path, "%s:%s", folder, before ? before : "/usr/bin:/bin");
    setenv("PATH", path, 1);
    slash = strrchr(folder, '/');
    if (slash && slash != folder) {
        *slash = '\0';
        setenv("VIRTUAL_ENV", folder, 1);
    }
}

static void make_environment(const struct warden *warden)
{
    const struct server_config *server = &warden->spec.server;
    char *values[COUNT(kept)], *network[COUNT(kept_for_network)], port[16];
    keep_variables(kept, COUNT(kept), values);
    keep_variables(kept_for_network, COUNT(kept_for_network), network);
    clearenv();
    restore_variables(kept, COUNT(kept), values);
    if (server->network)
        restore_variables(kept_for_network, COUNT(kept_for_network), network);
    if (warden->worker->interpreter[0])
        put_python_first(warden->worker->interpreter);
    setenv("HOME", warden->home, 1);
    setenv("TMPDIR", warden->worker->scratch, 1);
    setenv("PYTHONUNBUFFERED", "1", 1); /* so that its log is read as it is written */
    setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
    if (warden->port) {
        snprintf(port, sizeof port, "%u", (unsigned)warden->port);
        setenv("PORT", port, 1);
    }
    for (size_t i = 0; i < server->environment_count; i++) {
        char *key = arena_printf((struct arena *)(uintptr_t)&warden->arena, "%.*s",
                                 SPAN_ARGS(server->environment[i].key));
        char *value = arena_printf((struct arena *)(uintptr_t)&warden->arena, "%.*s",
                                   SPAN_ARGS(server->environment[i].value));
        if (key && value)
            setenv(key, value, 1);
    }
}

/* ---- its sandbox ---- */

/* Programs on PATH may be those of a virtual environment, which lies around them. */
static void add_environments(struct spawner_rows *rows)
{
    const size_t programs = rows->count;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the rows keep them */
    for (size_t i = 0; i < programs; i++) {
        char folder[PATH_MAX], file[PATH_MAX + 32];
        snprintf(folder, sizeof folder, "%s", rows->items[i].path);
        char *slash = strrchr(folder, '/');
        if (!slash || slash == folder || strcmp(slash, "/bin") != 0)
            continue;
        *slash = '\0';
        snprintf(file, sizeof file, "%s/pyvenv.cfg", folder);
        if (access(file, F_OK) == 0)
            spawner_rows_add(rows, strdup(folder), SANDBOX_READ | SANDBOX_EXECUTE);
    }
}

static bool add_pythons(const struct warden *warden, struct spawner_rows *rows,
                        struct error *ret_error)
{
    static struct spawner_python own, model;
    const struct spawner_options *options = warden->child->options;
    if (options->python && spawner_python_find(options->python, options, &own, NULL))
        spawner_rows_add_python(rows, options, &own);
    if (!warden->worker->interpreter[0])
        return true;
    if (!spawner_python_find(warden->worker->interpreter, options, &model, ret_error))
        return false;
    spawner_rows_add_python(rows, options, &model);
    return true;
}

static bool confine(const struct warden *warden, struct error *ret_error)
{
    static struct spawner_rows rows;
    static struct gpu_rows gpus;
    spawner_rows_add_programs(&rows);
    add_environments(&rows);
    if (!add_pythons(warden, &rows, ret_error))
        return false;
    spawner_rows_add(&rows, getenv("VIRTUAL_ENV"), SANDBOX_READ | SANDBOX_EXECUTE);
    spawner_rows_add(&rows, getenv("CONDA_PREFIX"), SANDBOX_READ | SANDBOX_EXECUTE);
    spawner_rows_add(&rows, warden->worker->root, SANDBOX_READ | SANDBOX_EXECUTE);
    spawner_rows_add(&rows, warden->worker->scratch,
                     SANDBOX_READ | SANDBOX_WRITE | SANDBOX_EXECUTE | SANDBOX_SOCKETS);
    spawner_rows_add(&rows, warden->home,
                     SANDBOX_READ | SANDBOX_WRITE | SANDBOX_EXECUTE | SANDBOX_SOCKETS);
    spawner_rows_add(&rows, "/dev/shm", SANDBOX_READ | SANDBOX_WRITE);
    gpu_find(warden->spec.limits.gpus, gpu_file_exists, &gpus);
    for (size_t i = 0; i < gpus.count; i++)
        spawner_rows_add(&rows, gpus.rows[i].path, gpus.rows[i].rights);
    if (warden->own_processes)
        spawner_rows_add(&rows, "/proc", SANDBOX_READ);
    struct sandbox_share share = warden->worker->share;
    if (warden->home != warden->worker->scratch)
        share.scratch = NULL; /* files there may be larger than what lies in its scratch folder */
    return sandbox_enter_server(warden->child->sandbox, rows.items, rows.count,
                                warden->worker->root, &share, ret_error);
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

static bool prepare(struct warden *warden, struct error *ret_error)
{
    return read_spec(warden, ret_error) && make_words(warden, ret_error) &&
           choose_home(warden, ret_error) && confine(warden, ret_error);
}

static _Noreturn void run(struct warden *warden)
{
    struct warden_message message;
    struct error error;
    sigset_t child;
    int status = 0;
    if (!hear(&message) || message.type != WARDEN_START)
        _exit(EXIT_SUCCESS); /* it was not wanted */
    if (!prepare(warden, &error)) {
        tell(WARDEN_FAILED, 0, error.message);
        _exit(EXIT_FAILURE);
    }
    make_environment(warden);
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
