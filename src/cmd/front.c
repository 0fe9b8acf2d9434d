/* The front's role: puts the modules together, listens, and says what it serves.
 *
 * The listening sockets come from the spawner. Order matters: serve them first (so that clients can
 * connect while models load), then drop every privilege, then scan. A front that takes over from
 * another serves them last, when its models are loaded. */
#include "api/access.h"
#include "cmd/absolute.h"
#include "cmd/announce.h"
#include "cmd/commands.h"
#include "cmd/drain.h"
#include "cmd/front_confine.h"
#include "cmd/front_limits.h"
#include "cmd/guard.h"
#include "cmd/heap_trim.h"
#include "cmd/learned_file.h"
#include "cmd/listeners.h"
#include "cmd/looking.h"
#include "cmd/observing.h"
#include "cmd/pushing.h"
#include "cmd/routing_file.h"
#include "cmd/short_slice.h"
#include "cmd/tasks.h"
#include "settings/settings.h"
#include "telemetry/log.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

struct front {
    struct settings settings; /* as at the start; for ever, so that texts in it may be pointed to */
    struct settings reloaded; /* what the last reload gave */
    bool has_reloaded;
    struct loop *loop;
    struct spawner_client *spawner;
    struct serving serving;
    struct api api;
    struct guard guard;
    struct http_server http;
    struct looking looking;
    struct pushing pushing;
    struct regions regions;
    struct listeners listeners;
    struct announcer announcer;
    struct drain drain;
    struct heap_trim heap_trim;
    struct learned_file learned;
    struct routing_file routing;
    uv_signal_t terminate, interrupt, hangup;
    bool successor;      /* another front serves until this one is settled */
    bool settled;        /* all that is to be loaded at the start has been, or has failed */
    char path[PATH_MAX]; /* of the repository, absolute */
    int status;          /* of the process */
};

static struct front front;

static int complain(const char *sentence)
{
    log_error("front", "%s", sentence);
    return 1;
}

/* ---- what is served at the start ---- */

static bool listen_all(struct error *ret_error)
{
    if (!listeners_open(&front.listeners, front.loop, &front.settings, &front.http, ret_error))
        return false;
    snprintf(front.announcer.address, sizeof front.announcer.address, "%s", front.listeners.url);
    return true;
}

/* A front that takes over from another lets clients in only now: its models answer at once. */
static void look_settled(void)
{
    struct error error;
    if (front.settled || serving_is_loading(&front.serving))
        return;
    if (front.successor && !listen_all(&error)) {
        front.status = complain(error.message);
        loop_stop(front.loop);
        return;
    }
    front.settled = true;
    spawner_tell_settled(front.spawner);
}

static void on_taken_in(bool first)
{
    api_tell_watches(&front.api);
    announcer_scanned(&front.announcer, &front.serving);
    if (first)
        spawner_tell_ready(front.spawner);
    if (!first || !front.settings.load_model.count) /* else another look will follow */
        look_settled();
}

static void on_settled(void *context, struct version *version)
{
    announcer_settled(&front.announcer, version);
    look_settled();
}

/* ---- the end ---- */

static void stop_listening(void)
{
    listeners_close(&front.listeners);
}

static void on_drained(void *context)
{
    drain_look(&front.drain);
}

static void on_emptied(struct http_server *server)
{
    drain_look(&front.drain);
}

static void on_exported(void *context)
{
    loop_stop(front.loop);
}

static void on_ended(void)
{
    observing_stop(on_exported, NULL);
}

/* The first one ends the front in good order, the second one at once. */
static void on_signal(uv_signal_t *handle, int number)
{
    if (front.drain.step > DRAIN_RETIRING)
        loop_stop(front.loop);
    else
        drain_begin(&front.drain);
}

static void on_retire(void *context)
{
    drain_retire(&front.drain);
}

static void on_spawner_lost(void *context)
{
    log_error("front", "the spawner is gone");
    front.status = 1;
    loop_stop(front.loop);
}

/* ---- putting it together ---- */

/* Stays open for the life of the process. */
static int open_trace(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        log_warning("front", "--residency-trace: cannot open the file: %s", strerrordesc_np(errno));
    return fd > 0 ? fd : 0;
}

static void make_serving(void)
{
    struct serving_options options;
    front_serving_options(&front.settings, &options);
    if (front.settings.residency_trace[0])
        options.residency_trace_fd = open_trace(front.settings.residency_trace);
    serving_init(&front.serving, front.loop, front.spawner, &options);
    front.serving.drained = front.serving.stopped = on_drained;
    front.serving.settled = on_settled;
}

static void apply_settings(const struct settings *settings)
{
    log_start(settings);
    observing_api(settings, &front.api);
    front_limits_apply(settings, &front.api, &front.serving, &front.http);
    pushing_apply(&front.pushing, settings);
}

static void on_changed(void *context, const struct setting_changed *change)
{
    log_write(change->applied ? LOG_INFO : LOG_WARNING, "settings", "%s", change->sentence);
}

/* Reads the settings and the certificate again, and looks at the models. */
static void reload(void)
{
    struct settings new;
    struct error error;
    log_info("front", "reloading the settings");
    if (!settings_reload(front.has_reloaded ? &front.reloaded : &front.settings, &new, on_changed,
                         NULL, &error)) {
        log_error("settings", "nothing has changed: %s", error.message);
        return;
    }
    apply_settings(&new);
    guard_reload(&front.guard, &new);
    if (front.has_reloaded)
        settings_fini(&front.reloaded);
    front.reloaded = new;
    front.has_reloaded = true;
    listeners_reload(&front.listeners);
    looking_again(&front.looking);
}

/* Who supervises the server waits for its end, however it went. */
static void on_hangup(uv_signal_t *handle, int number)
{
    reload();
    if (front.serving.scanned)
        spawner_tell_ready(front.spawner); /* else the first scan does */
}

static void make_http(void)
{
    regions_init(&front.regions, front.loop, front.spawner, TASK_REGION);
    front.api = (struct api){
        .serving = &front.serving,
        .gate = &front.guard.gate,
        .server_id = front.settings.server_id,
        .blobs = &front.pushing.blobs,
        .installer = &front.pushing.installer,
        .loads = &front.pushing.loads,
        .regions = &front.regions,
    };
    list_init(&front.api.streams);
    list_init(&front.api.watches);
    http_server_init(&front.http, api_request, &front.api);
    front.http.messages = &front.api.messages;
    front.http.on_closed = access_closed;
    front.http.emptied = on_emptied;
    apply_settings(&front.settings);
}

static void make_looking(void)
{
    front.looking = (struct looking){
        .loop = front.loop,
        .spawner = front.spawner,
        .serving = &front.serving,
        .pushing = &front.pushing,
        .settings = &front.settings,
        .taken_in = on_taken_in,
    };
    looking_init(&front.looking);
}

static void make_drain(void)
{
    front.drain = (struct drain){
        .loop = front.loop,
        .api = &front.api,
        .http = &front.http,
        .delay_ms = (uint64_t)front.settings.drain_delay_ms,
        .timeout_ms = (uint64_t)front.settings.drain_timeout_ms,
        .stop_listening = stop_listening,
        .ended = on_ended,
    };
    drain_init(&front.drain);
}

static void watch_signals(void)
{
    uv_loop_t *uv = loop_uv(front.loop);
    uv_signal_init(uv, &front.terminate);
    uv_signal_init(uv, &front.interrupt);
    uv_signal_init(uv, &front.hangup);
    uv_signal_start(&front.terminate, on_signal, SIGTERM);
    uv_signal_start(&front.interrupt, on_signal, SIGINT);
    uv_signal_start(&front.hangup, on_hangup, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN); /* it means nothing, and SIGUSR2 is the spawner's */
    signal(SIGUSR2, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is an error like a full disk */
    sigset_t none;            /* the spawner holds back what comes before */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool start(const char *path, struct error *ret_error)
{
    if (!absolute_path(path, front.path, ret_error)) /* links are followed at each look */
        return false;
    front.loop = loop_new(ret_error);
    if (!front.loop)
        return false;
    watch_signals();
    static const struct spawner_client_events events = {on_spawner_lost, on_retire};
    front.spawner =
        spawner_client_new(front.loop, SPAWNER_FRONT_FD, (uint64_t)front.settings.stuck_timeout_ms,
                           &events, NULL, ret_error);
    if (!front.spawner)
        return false;
    make_serving();
    if (!front_resources(&front.settings, &front.serving.limiter, ret_error))
        return false;
    make_http();
    observing_start(front.loop, front.spawner);
    make_drain();
    heap_trim_start(&front.heap_trim, front.loop);
    announcer_init(&front.announcer, front.settings.example);
    front.successor = getenv(SPAWNER_SUCCESSOR_VARIABLE) != NULL;
    if (!listeners_inherit(&front.listeners, ret_error) ||
        !guard_open(&front.guard, &front.settings, listening_is_exposed(&front.listeners.sockets),
                    ret_error) ||
        !guard_watch(&front.guard, front.loop, &front.settings, ret_error))
        return false;
    if (!front.successor &&
        !(listen_all(ret_error) &&
          guard_introduce(&front.guard, &front.settings, front.announcer.address, ret_error)))
        return false;
    short_slice_ask();
    pushing_open(&front.pushing, front.loop, front.spawner, &front.settings, front.path);
    make_looking();
    learned_file_open(&front.learned, &front.serving, &front.settings);
    routing_file_open(&front.routing, &front.serving, &front.learned);
    char loads[PATH_MAX];
    if (!front_confine(&front.settings, front.guard.folder, pushing_folder(&front.pushing),
                       pushing_loads_folder(&front.pushing, loads), front.learned.path, ret_error))
        return false;
    blobs_sweep(&front.pushing.blobs);
    installer_tidy(&front.pushing.installer);
    loads_tidy(&front.pushing.loads);
    learned_file_start(&front.learned);
    return looking_start(&front.looking, front.path, ret_error);
}

static void warn(void *context, const char *sentence)
{
    log_warning("settings", "%s", sentence);
}

int front_run(int count, char **arguments)
{
    struct error error;
    const char *path = NULL;
    if (!settings_read(&front.settings, count, arguments, &path, &error))
        return complain(error.message);
    if (!path)
        return complain("no path");
    if (!observing_init(&front.settings, &error))
        return complain(error.message);
    settings_check_environment(warn, NULL);
    if (!start(path, &error))
        return complain(error.message);
    loop_run(front.loop);
    loads_close(&front.pushing.loads);
    routing_file_close(&front.routing);
    learned_file_close(&front.learned);
    return front.status;
}
