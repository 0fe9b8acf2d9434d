/* The keeper; see keeper.h. The host's own thread loads (waits for health) and unloads (waits for
 * the end); another one, from the start on, polls the warden, the output and the front's line. */
#include "worker/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/host.h"
#include "worker/keeper_connect.h"
#include "worker/spawn_message.h"
#include "worker/warden.h"

enum {
    LINE_BYTES = 2000,   /* of the server's output that are one line of the log */
    FIRST_PAUSE_MS = 20, /* between two looks whether it serves; grows */
    LONGEST_PAUSE_MS = 500,
    TOLD_EVERY_MS = 1000,
};

/* One for the process. */
struct keeper {
    const struct worker_spec *spec;
    const struct tensord_host *host;
    struct keeper_place place;
    struct keeper_connects connects; /* the thread's */
    char line[LINE_BYTES];           /* the thread's: of the output, so far */
    size_t line_size;

    pthread_mutex_t lock; /* of these: */
    pthread_cond_t changed;
    bool over; /* the host is about to go: nothing more is said */
    bool loaded;
    bool started;               /* the command has been told where to listen */
    bool ended;                 /* the command has ended, or could not be started */
    bool stopping;              /* the host has asked for the end */
    bool refused;               /* another try would come to the same */
    int status;                 /* the command's wait status; 0: it has not told */
    char reason[256];           /* how it ended */
    char last_line[LINE_BYTES]; /* of its output */
};

static struct keeper keeper = {.lock = PTHREAD_MUTEX_INITIALIZER,
                               .changed = PTHREAD_COND_INITIALIZER};

/* From the thread, which may outlive the host for a moment. */
static void say(enum tensord_log_level level, const char *line, int size)
{
    pthread_mutex_lock(&keeper.lock);
    if (!keeper.over)
        keeper.host->log(level, "%.*s", size, line);
    pthread_mutex_unlock(&keeper.lock);
}

/* ---- what the server writes ---- */

static void end_line(void)
{
    if (keeper.line_size == 0)
        return;
    pthread_mutex_lock(&keeper.lock);
    memcpy(keeper.last_line, keeper.line, keeper.line_size);
    keeper.last_line[keeper.line_size] = '\0';
    pthread_mutex_unlock(&keeper.lock);
    say(TENSORD_LOG_INFO, keeper.line, (int)keeper.line_size);
    keeper.line_size = 0;
}

static void take_output(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n' || text[i] == '\r') {
            end_line();
            continue;
        }
        keeper.line[keeper.line_size++] = text[i] ? text[i] : ' ';
        if (keeper.line_size == LINE_BYTES - 1)
            end_line();
    }
}

/* Some of what is there, so that a server which writes without end keeps nobody from the rest.
 * False at the end. */
static bool read_output(void)
{
    char text[16384];
    ssize_t size = read(WORKER_FD_OUTPUT, text, sizeof text);
    if (size > 0)
        take_output(text, (size_t)size);
    return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
}

/* The last words of a command that has ended: a bounded rest. */
static void read_rest_of_output(void)
{
    enum { MOST_READS = 64 };
    char text[4096];
    for (int i = 0; i < MOST_READS; i++) {
        ssize_t size = read(WORKER_FD_OUTPUT, text, sizeof text);
        if (size <= 0)
            break;
        take_output(text, (size_t)size);
    }
    end_line();
}

/* ---- what the warden says ---- */

static void started(int32_t port, const char *lacks)
{
    if (lacks[0])
        say(TENSORD_LOG_WARNING, lacks, (int)strlen(lacks));
    pthread_mutex_lock(&keeper.lock);
    keeper.place.port = (uint16_t)port;
    keeper.started = true;
    pthread_cond_broadcast(&keeper.changed);
    pthread_mutex_unlock(&keeper.lock);
}

static void ended(bool refused, const char *reason)
{
    read_rest_of_output();
    pthread_mutex_lock(&keeper.lock);
    keeper.ended = true;
    keeper.refused = refused;
    snprintf(keeper.reason, sizeof keeper.reason, "%s", reason);
    if (keeper.loaded && !keeper.over)
        keeper.host->log(TENSORD_LOG_ERROR, "the server %s", reason);
    pthread_cond_broadcast(&keeper.changed);
    pthread_mutex_unlock(&keeper.lock);
}

/* False when nothing more comes. */
static bool hear_warden(void)
{
    struct warden_message message;
    char text[128];
    ssize_t size = recv(WORKER_FD_CONTROL, &message, sizeof message, 0);
    if (size < 0 && errno == EINTR)
        return true;
    if (size != (ssize_t)sizeof message) {
        ended(false, "was lost with its warden");
        return false;
    }
    message.text[sizeof message.text - 1] = '\0';
    switch (message.type) {
    case WARDEN_STARTED:
        started(message.number, message.text);
        return true;
    case WARDEN_FAILED:
        ended(true, message.text);
        return false;
    default:
        keeper.status = message.number; /* the thread's own until it ends */
        ended(WIFEXITED(message.number) && WEXITSTATUS(message.number) == 127,
              spawn_status_text(message.number, text, sizeof text));
        return false;
    }
}

/* ---- the thread ---- */

/* A server that has ended takes its keeper with it, which ends in the same way, unless that is
 * about to end anyway. */
static void end_with_server(void)
{
    pthread_mutex_lock(&keeper.lock);
    bool unasked = keeper.loaded && !keeper.stopping;
    pthread_mutex_unlock(&keeper.lock);
    if (!unasked)
        return;
    if (WIFSIGNALED(keeper.status)) {
        signal(WTERMSIG(keeper.status), SIG_DFL);
        raise(WTERMSIG(keeper.status));
    }
    _exit(WIFEXITED(keeper.status) ? WEXITSTATUS(keeper.status) : EXIT_FAILURE);
}

static void *serve(void *unused)
{
    bool control = true, output = true;
    while (control) {
        struct pollfd polls[2 + KEEPER_MOST_POLLS] = {
            {.fd = control ? WORKER_FD_CONTROL : -1, .events = POLLIN},
            {.fd = output ? WORKER_FD_OUTPUT : -1, .events = POLLIN}};
        size_t count = keeper_connects_polls(&keeper.connects, polls + 2);
        poll(polls, 2 + count, -1);
        if (polls[1].revents)
            output = read_output();
        keeper_connects_polled(&keeper.connects, &keeper.place, polls + 2, count);
        if (polls[0].revents)
            control = hear_warden();
    }
    end_with_server();
    return NULL;
}

/* ---- the engine ---- */

static int match(const struct tensord_source *source)
{
    return 0; /* it is named by the spec, never found */
}

static void wait_a_while(uint64_t pause_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + pause_ms * CLOCK_NS_PER_MS;
    until.tv_sec += (time_t)(ns / CLOCK_NS_PER_S);
    until.tv_nsec = (long)(ns % CLOCK_NS_PER_S);
    pthread_mutex_lock(&keeper.lock);
    if (!keeper.ended)
        pthread_cond_timedwait(&keeper.changed, &keeper.lock, &until);
    pthread_mutex_unlock(&keeper.lock);
}

static enum tensord_status fail_ended(void)
{
    pthread_mutex_lock(&keeper.lock);
    enum tensord_status status =
        keeper.host->reason(keeper.refused ? TENSORD_INVALID_ARGUMENT : TENSORD_INTERNAL,
                            keeper.last_line[0] ? "the server %s before it served: %.200s"
                                                : "the server %s before it served%.200s",
                            keeper.reason, keeper.last_line);
    pthread_mutex_unlock(&keeper.lock);
    return status;
}

/* What there is to be known under the lock. */
static void look(bool *ret_started, bool *ret_ended)
{
    pthread_mutex_lock(&keeper.lock);
    *ret_started = keeper.started;
    *ret_ended = keeper.ended;
    pthread_mutex_unlock(&keeper.lock);
}

static enum tensord_status fail_late(const char *what)
{
    const struct server_config *server = &keeper.spec->server;
    return keeper.host->reason(TENSORD_INVALID_ARGUMENT,
                               "the server did not serve within start_timeout_s, %llu s: %s",
                               (unsigned long long)server->start_timeout_s, what);
}

/* Waits until the server serves. */
static enum tensord_status wait_until_healthy(void)
{
    const struct server_config *server = &keeper.spec->server;
    uint64_t begun_ns = clock_now_ns(), told_ns = begun_ns, pause_ms = FIRST_PAUSE_MS;
    char what[256] = "it was not started";
    for (;;) {
        bool has_started, has_ended;
        look(&has_started, &has_ended);
        if (has_ended)
            return fail_ended();
        if (has_started && keeper_is_healthy(&keeper.place, server->health, what, sizeof what))
            return TENSORD_OK;
        uint64_t now_ns = clock_now_ns();
        uint64_t limit_ns = server->start_timeout_s * CLOCK_NS_PER_S;
        if (now_ns - begun_ns > limit_ns)
            return fail_late(what);
        if (now_ns - told_ns > TOLD_EVERY_MS * CLOCK_NS_PER_MS) {
            keeper.host->progress((double)(now_ns - begun_ns) / (double)limit_ns);
            told_ns = now_ns;
        }
        wait_a_while(pause_ms);
        pause_ms = pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
    }
}

static void tell_warden(enum warden_type type)
{
    const struct warden_message message = {.type = type};
    send(WORKER_FD_CONTROL, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Nobody waits for the thread: it lives as long as the warden, longer than the host may. */
static bool start_thread(void)
{
    fcntl(WORKER_FD_OUTPUT, F_SETFL, O_NONBLOCK);
    pthread_t thread;
    return pthread_create(&thread, NULL, serve, NULL) == 0 && pthread_detach(thread) == 0;
}

static enum tensord_status load(const struct tensord_host *host,
                                const struct tensord_source *source,
                                struct tensord_description *ret_description, void **ret_model)
{
    ret_description->platform = "server";
    ret_description->batching = TENSORD_BATCHING_OWN;
    ret_description->concurrency = 1;
    *ret_model = &keeper;
    keeper.host = host;
    if (keeper.spec->probe)
        return TENSORD_OK;
    if (!start_thread())
        return host->reason(TENSORD_INTERNAL, "no thread can be started");
    tell_warden(WARDEN_START);
    enum tensord_status status = wait_until_healthy();
    pthread_mutex_lock(&keeper.lock);
    bool gone = status == TENSORD_OK && keeper.ended;
    keeper.loaded = status == TENSORD_OK && !gone;
    keeper.over = !keeper.loaded;
    pthread_mutex_unlock(&keeper.lock);
    return gone ? fail_ended() : status;
}

static void execute(void *model, struct tensord_execution *execution)
{
    execution->host->reason(TENSORD_UNSUPPORTED, "the model is a server");
    execution->host->fail(execution, TENSORD_UNSUPPORTED);
}

/* Who asked for this ends the process if it takes too long. */
static void unload(void *model)
{
    if (keeper.spec->probe)
        return;
    pthread_mutex_lock(&keeper.lock);
    keeper.stopping = true;
    pthread_mutex_unlock(&keeper.lock);
    tell_warden(WARDEN_STOP);
    pthread_mutex_lock(&keeper.lock);
    while (!keeper.ended)
        pthread_cond_wait(&keeper.changed, &keeper.lock);
    keeper.over = true;
    pthread_mutex_unlock(&keeper.lock);
}

static const struct tensord_engine engine = {
    .abi = TENSORD_ENGINE_ABI,
    .size = sizeof engine,
    .name = "server",
    .flags = TENSORD_ENGINE_INLINE,
    .match = match,
    .load = load,
    .execute = execute,
    .unload = unload,
};

int keeper_run(const struct worker_context *context)
{
    const char *scratch = getenv("TMPDIR");
    keeper.spec = context->spec;
    keeper_connects_init(&keeper.connects);
    warden_socket_path(scratch ? scratch : "/nonexistent", keeper.place.socket,
                       sizeof keeper.place.socket);
    return host_run_engine(context->spec, context->fds, &engine, context->files);
}
