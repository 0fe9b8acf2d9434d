/* Watching the repository: inotify says that something happened, a scan on a thread says what.
 *
 * A scan runs at once, again a moment after the last event (a copy makes many), again while
 * something is still being written, and by the clock, since inotify sees nothing of what another
 * machine does on a network file system. */
#include "repository/repository.h"

#include "base/clock.h"
#include "net/loop.h"
#include "telemetry/log.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum {
    SETTLE_MS = 50,      /* after an event, before the scan */
    INCOMPLETE_MS = 250, /* between scans while something is being written */
    MAX_RENAMED = 64,    /* names remembered between two scans */
    EVENT_BYTES = 16384,
};

static const uint32_t event_mask = IN_CREATE | IN_DELETE | IN_CLOSE_WRITE | IN_MODIFY |
                                   IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF;

struct repository_watch {
    struct loop *loop;
    char path[PATH_MAX];
    uint64_t rescan_ms;
    void (*changed)(void *context, const struct repository_scan *scan);
    void *context;
    int inotify_fd;
    int folder_watch; /* inotify's number of `path` itself */
    uv_poll_t poll;
    uv_work_t work;
    struct timer timer;
    bool scanning, again, closing, poll_closed;
    /* Names that were moved into `path` since the last scan began. */
    char renamed[MAX_RENAMED][NAME_MAX + 1];
    size_t renamed_count;
    /* The scan's own, while it runs. */
    struct span scan_renamed[MAX_RENAMED];
    char scan_names[MAX_RENAMED][NAME_MAX + 1];
    size_t scan_renamed_count;
    struct repository_scan scan;
    struct error error;
    bool scan_good;
};

static void begin_scan(struct repository_watch *watch);

static void timer_fired(struct timer *timer)
{
    begin_scan(list_entry(timer, struct repository_watch, timer));
}

static void free_when_idle(struct repository_watch *watch)
{
    if (!watch->closing || watch->scanning || !watch->poll_closed)
        return;
    close(watch->inotify_fd);
    free(watch);
}

/* ---- the scan, on a thread ---- */

static void scan_thread(uv_work_t *work)
{
    struct repository_watch *watch = list_entry(work, struct repository_watch, work);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
    watch->scan_good = repository_scan(watch->path, now_ns, watch->scan_renamed,
                                       watch->scan_renamed_count, &watch->scan, &watch->error);
}

static void watch_folder(struct repository_watch *watch, struct span path)
{
    char text[PATH_MAX];
    snprintf(text, sizeof text, "%.*s", SPAN_ARGS(path));
    inotify_add_watch(watch->inotify_fd, text,
                      event_mask); /* one that fails is found by the clock */
}

/* Watches every folder that holds something of a model. Doing it twice changes nothing. */
static void watch_found(struct repository_watch *watch)
{
    for (size_t i = 0; i < watch->scan.version_count; i++) {
        struct span root = watch->scan.versions[i].root;
        const char *slash = memrchr(root.data, '/', root.size);
        watch_folder(watch, root);
        if (slash && (size_t)(slash - root.data) > strlen(watch->path))
            watch_folder(watch, (struct span){root.data, (size_t)(slash - root.data)});
    }
}

static bool all_complete(const struct repository_scan *scan)
{
    for (size_t i = 0; i < scan->version_count; i++) {
        if (!scan->versions[i].complete)
            return false;
    }
    return true;
}

static void scan_done(uv_work_t *work, int status)
{
    struct repository_watch *watch = list_entry(work, struct repository_watch, work);
    uint64_t wait_ms = watch->rescan_ms;
    watch->scanning = false;
    if (watch->closing) {
        repository_scan_fini(watch->scan_good ? &watch->scan : NULL);
        free_when_idle(watch);
        return;
    }
    if (watch->scan_good) {
        watch_found(watch);
        if (!all_complete(&watch->scan))
            wait_ms = INCOMPLETE_MS;
        watch->changed(watch->context, &watch->scan);
        repository_scan_fini(&watch->scan);
    } else {
        log_error("repository", "%s", watch->error.message);
        watch->changed(watch->context, NULL);
    }
    if (watch->again)
        wait_ms = SETTLE_MS;
    watch->again = false;
    timer_start(&watch->timer, watch->loop, wait_ms, timer_fired);
}

static void begin_scan(struct repository_watch *watch)
{
    if (watch->scanning) {
        watch->again = true;
        return;
    }
    timer_stop(&watch->timer);
    memcpy(watch->scan_names, watch->renamed, sizeof watch->renamed);
    for (size_t i = 0; i < watch->renamed_count; i++)
        watch->scan_renamed[i] = span_of(watch->scan_names[i]);
    watch->scan_renamed_count = watch->renamed_count;
    watch->renamed_count = 0;
    watch->scanning =
        uv_queue_work(loop_uv(watch->loop), &watch->work, scan_thread, scan_done) == 0;
    if (!watch->scanning)
        timer_start(&watch->timer, watch->loop, watch->rescan_ms, timer_fired);
}

/* ---- events ---- */

static void remember(struct repository_watch *watch, const struct inotify_event *event)
{
    if (event->wd != watch->folder_watch || !(event->mask & IN_MOVED_TO) || !event->len ||
        watch->renamed_count == MAX_RENAMED)
        return;
    snprintf(watch->renamed[watch->renamed_count++], NAME_MAX + 1, "%s", event->name);
}

static void on_events(uv_poll_t *poll, int status, int events)
{
    struct repository_watch *watch = list_entry(poll, struct repository_watch, poll);
    _Alignas(struct inotify_event) char bytes[EVENT_BYTES];
    ssize_t got;
    while ((got = read(watch->inotify_fd, bytes, sizeof bytes)) > 0) {
        for (char *at = bytes; at < bytes + got;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
            remember(watch, event);
            at += sizeof *event + event->len;
        }
    }
    if (watch->scanning)
        watch->again = true;
    else
        timer_start(&watch->timer, watch->loop, SETTLE_MS, timer_fired);
}

/* ---- life ---- */

static void poll_closed(uv_handle_t *handle)
{
    struct repository_watch *watch = list_entry(handle, struct repository_watch, poll);
    watch->poll_closed = true;
    free_when_idle(watch);
}

struct repository_watch *
repository_watch_open(struct loop *loop, const char *path, uint64_t rescan_ms,
                      void (*changed)(void *context, const struct repository_scan *scan),
                      void *context, struct error *ret_error)
{
    struct repository_watch *watch = calloc(1, sizeof *watch);
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (!watch || fd < 0 || uv_poll_init(loop_uv(loop), &watch->poll, fd) != 0) {
        error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "cannot watch the repository");
        if (fd >= 0)
            close(fd);
        free(watch);
        return NULL;
    }
    watch->loop = loop;
    watch->rescan_ms = rescan_ms;
    watch->changed = changed;
    watch->context = context;
    watch->inotify_fd = fd;
    snprintf(watch->path, sizeof watch->path, "%s", path);
    watch->folder_watch = inotify_add_watch(fd, path, event_mask);
    uv_poll_start(&watch->poll, UV_READABLE, on_events);
    begin_scan(watch);
    return watch;
}

void repository_watch_close(struct repository_watch *watch)
{
    if (!watch)
        return;
    watch->closing = true;
    timer_stop(&watch->timer);
    uv_close((uv_handle_t *)&watch->poll, poll_closed);
}

void repository_watch_rescan(struct repository_watch *watch)
{
    begin_scan(watch);
}
