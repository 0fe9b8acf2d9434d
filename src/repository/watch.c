/* Watching the repository: inotify says that something happened, a process looks at what, and its
 * answer is read on a thread.
 *
 * A look is had at once, again a moment after the last event (a copy makes many), again while
 * something is still being written, and by the clock, since inotify sees nothing of what another
 * machine does on a network file system.
 *
 * The path's own folder is watched for the path's name alone: a folder that is made again, or a
 * link that is pointed elsewhere, is noticed there. */
#include "repository/scan_bytes.h"

#include "base/clock.h"
#include "net/loop.h"
#include "net/loop_work.h"
#include "repository/overrides.h"
#include "telemetry/log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

enum {
    SETTLE_MS = 50,        /* after an event, before the look */
    SETTLE_MOST_MS = 1000, /* after the first one, however many follow */
    SLOW_MS = 10000,       /* of a look, after which that is said */
    INCOMPLETE_MS = 250,   /* between looks while something is being written */
    GONE_MS = 1000,        /* before it is believed that something has gone */
    RETRY_MS = 250,        /* after a first look that failed; then twice as long each time */
    EVENT_BYTES = 16384,
};

static const uint32_t event_mask = IN_CREATE | IN_DELETE | IN_CLOSE_WRITE | IN_MODIFY |
                                   IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF;
static const uint32_t name_mask = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MASK_ADD;

/* inotify's numbers. */
struct numbers {
    int path;   /* of what `path` leads to */
    int parent; /* of the folder where it lies */
};

struct repository_watch {
    struct loop *loop;
    struct overrides overrides; /* what was given with loads */
    char path[PATH_MAX];
    char parent[PATH_MAX]; /* the folder that holds `path` */
    const char *name;      /* of `path` there */
    uint64_t rescan_ms;
    uint64_t retry_ms; /* since a look failed, in whole or in part; 0: none has */
    struct repository_looker looker;
    void (*changed)(void *context, const struct repository_scan *scan);
    void *context;
    int inotify_fd;
    uv_poll_t poll;
    struct loop_work work;
    struct timer timer;
    struct timer slow; /* while a look runs */
    uint64_t event_ns; /* the first one after the last look; 0: there was none */
    bool looking, again, closing, poll_closed;
    /* Names that were moved in since the last look began. */
    char renamed[SCAN_MAX_RENAMED][NAME_MAX + 1 + 21]; /* with a version */
    size_t renamed_count;
    size_t version_count; /* of the last scan that was told of */
    bool holding_back;    /* the last look missed something */
    bool expects_fewer;   /* something was removed by whom we believe; known to the next look */
    bool believes;        /* the look that runs began with that */
    uint64_t looks;       /* begun */
    struct numbers numbers;
    /* While an answer is read, the thread's own: */
    int fd; /* question, then answer */
    struct repository_scan scan;
    struct error error;
    bool scan_good;
    bool moved;           /* what lies there was not watched while it was looked at */
    char root[PATH_MAX];  /* whose folders are watched */
    struct numbers found; /* as of this look */
    int first, last;      /* numbers that inotify gave since `root` is the root */
};

static void begin_look(struct repository_watch *watch);

static void timer_fired(struct timer *timer)
{
    begin_look(list_entry(timer, struct repository_watch, timer));
}

/* How long to wait after a look that failed: what was lacking may be back soon, or never. */
static uint64_t retry_ms(struct repository_watch *watch)
{
    watch->retry_ms = watch->retry_ms ? watch->retry_ms * 2 : RETRY_MS;
    if (watch->retry_ms > watch->rescan_ms)
        watch->retry_ms = watch->rescan_ms;
    return watch->retry_ms;
}

/* Nobody can say what lies there now: told in a turn of its own. */
static void tell_no_look(struct timer *timer)
{
    struct repository_watch *watch = list_entry(timer, struct repository_watch, timer);
    timer_start(timer, watch->loop, retry_ms(watch), timer_fired);
    watch->changed(watch->context, NULL);
}

static void free_when_idle(struct repository_watch *watch)
{
    if (!watch->closing || watch->looking || !watch->poll_closed)
        return;
    overrides_fini(&watch->overrides);
    close(watch->inotify_fd);
    free(watch);
}

/* ---- folders to watch ---- */

/* One that cannot be watched is looked at by the clock. */
static int watch_path(struct repository_watch *watch, const char *path, uint32_t mask)
{
    int number = inotify_add_watch(watch->inotify_fd, path, mask);
    if (number > watch->last)
        watch->last = number;
    return number;
}

static void watch_folder(struct repository_watch *watch, struct span path)
{
    char text[PATH_MAX];
    snprintf(text, sizeof text, "%.*s", SPAN_ARGS(path));
    watch_path(watch, text, event_mask);
}

/* The repository leads to another folder than before: what lay in that is watched no longer. */
static void forget_folders(struct repository_watch *watch)
{
    for (int number = watch->first; number <= watch->last; number++)
        inotify_rm_watch(watch->inotify_fd, number);
    watch->first = watch->last + 1; /* they only grow */
}

/* Watches every folder that holds something of a model. Doing it twice changes nothing. */
static void watch_found(struct repository_watch *watch)
{
    struct span last = {NULL, 0}, base = watch->scan.root;
    for (size_t i = 0; i < watch->scan.version_count; i++) {
        struct span root = watch->scan.versions[i].root;
        if (span_equal(root, last) || span_equal(root, base) || !root.size)
            continue;
        last = root;
        watch_folder(watch, root);
        const char *slash = memrchr(root.data, '/', root.size);
        if ((size_t)(slash - root.data) > base.size)
            watch_folder(watch, (struct span){root.data, (size_t)(slash - root.data)});
    }
}

static void watch_all(struct repository_watch *watch)
{
    watch->moved = watch->scan_good && !span_equal(watch->scan.root, span_of(watch->root));
    if (watch->moved) {
        forget_folders(watch);
        snprintf(watch->root, sizeof watch->root, "%.*s", SPAN_ARGS(watch->scan.root));
    }
    watch->found.parent = watch_path(watch, watch->parent, name_mask);
    watch->found.path = watch_path(watch, watch->path, event_mask);
    if (!watch->scan_good)
        return;
    watch_folder(watch, watch->scan.root);
    watch_found(watch);
}

/* ---- an answer, on a thread ---- */

static bool read_all(int fd, char *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t count = pread(fd, bytes + done, size - done, (off_t)done);
        if (count == 0 || (count < 0 && errno != EINTR))
            return false;
        done += count > 0 ? (size_t)count : 0;
    }
    return true;
}

static bool read_answer(int fd, struct repository_scan *scan, struct error *ret_error)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || status.st_size > SCAN_MAX_BYTES)
        return error_set(ret_error, ERROR_INTERNAL, "the look at the repository has failed");
    size_t size = (size_t)status.st_size;
    char *bytes = arena_alloc(&scan->arena, size);
    if (!bytes)
        return error_no_memory(ret_error);
    if (!read_all(fd, bytes, size))
        return error_set(ret_error, ERROR_INTERNAL, "the look at the repository has failed");
    return scan_answer_read((struct span){bytes, size}, scan, ret_error);
}

static void answer_thread(struct loop_work *work)
{
    struct repository_watch *watch = list_entry(work, struct repository_watch, work);
    watch->scan = (struct repository_scan){0};
    arena_init(&watch->scan.arena, 4096, (size_t)2 * SCAN_MAX_BYTES);
    watch->scan_good = read_answer(watch->fd, &watch->scan, &watch->error);
    watch_all(watch);
}

/* ---- a look, from beginning to end ---- */

static bool all_complete(const struct repository_scan *scan)
{
    for (size_t i = 0; i < scan->version_count; i++) {
        if (!scan->versions[i].complete)
            return false;
    }
    return true;
}

static bool any_unreadable(const struct repository_scan *scan)
{
    for (size_t i = 0; i < scan->version_count; i++) {
        if (scan->versions[i].unreadable)
            return true;
    }
    return false;
}

/* A file that is replaced may be missing for a moment: whether something has gone is looked at
 * twice. */
static bool is_believed(struct repository_watch *watch)
{
    bool fewer = watch->scan.version_count < watch->version_count && !watch->believes;
    watch->holding_back = fewer && !watch->holding_back;
    return !watch->holding_back;
}

/* Tells of the scan; how long to wait for the next one. */
static uint64_t tell(struct repository_watch *watch)
{
    if (!watch->scan_good) {
        log_error("repository", "%s", watch->error.message);
        watch->changed(watch->context, NULL);
        return retry_ms(watch);
    }
    if (!is_believed(watch))
        return GONE_MS;
    watch->version_count = watch->scan.version_count;
    watch->scan.number = watch->looks;
    watch->changed(watch->context, &watch->scan);
    if (!all_complete(&watch->scan))
        return INCOMPLETE_MS;
    if (any_unreadable(&watch->scan))
        return retry_ms(watch);
    watch->retry_ms = 0;
    return watch->rescan_ms;
}

/* Only the disk, or what it is reached by, can be so slow. */
static void say_slow(struct timer *timer)
{
    log_warning("repository",
                "a look at the folder of models has not ended for %d s; until it does, "
                "changes there are not noticed",
                SLOW_MS / 1000);
}

static void end_look(struct repository_watch *watch, uint64_t wait_ms)
{
    timer_stop(&watch->slow);
    close(watch->fd);
    watch->looking = false;
    overrides_free_dropped(&watch->overrides); /* it has read them */
    if ((watch->again || watch->moved) && !watch->holding_back)
        wait_ms = SETTLE_MS;
    watch->again = false;
    timer_start(&watch->timer, watch->loop, wait_ms, timer_fired);
}

static void answer_done(struct loop_work *work)
{
    struct repository_watch *watch = list_entry(work, struct repository_watch, work);
    watch->numbers = watch->found;
    uint64_t wait_ms = watch->closing ? 0 : tell(watch);
    repository_scan_fini(&watch->scan);
    end_look(watch, wait_ms);
    if (watch->closing)
        timer_stop(&watch->timer);
    free_when_idle(watch);
}

void repository_watch_looked(struct repository_watch *watch)
{
    assert(watch->looking);
    struct error error;
    if (loop_work_start(watch->loop, &watch->work, answer_thread, answer_done, &error))
        return;
    log_error("repository", "cannot read what the look has found: %s", error.message);
    end_look(watch, retry_ms(watch));
    watch->changed(watch->context, NULL);
}

/* The question in a memfd, or -1. */
static int question_fd(struct repository_watch *watch)
{
    static struct scan_question question; /* of one thread */
    struct buf buf;
    buf_init(&buf, SCAN_QUESTION_MAX_BYTES);
    question.renamed_count = watch->renamed_count;
    for (size_t i = 0; i < watch->renamed_count; i++)
        question.renamed_in[i] = span_of(watch->renamed[i]);
    question.override_count = overrides_list(&watch->overrides, question.overrides);
    scan_question_write(&question, &buf);
    int fd = memfd_create("scan", MFD_CLOEXEC);
    if (fd >= 0 && (!buf_ok(&buf) || write(fd, buf.data, buf.size) != (ssize_t)buf.size)) {
        close(fd);
        fd = -1;
    }
    buf_fini(&buf);
    return fd;
}

static void begin_look(struct repository_watch *watch)
{
    struct error error = {.message = "out of descriptors or memory"};
    if (watch->looking) {
        watch->again = true;
        return;
    }
    timer_stop(&watch->timer);
    watch->event_ns = 0;
    watch->fd = question_fd(watch);
    watch->looking = watch->fd >= 0 &&
                     watch->looker.start(watch->looker.context, watch->path, watch->fd, &error);
    if (watch->looking) {
        watch->renamed_count = 0;
        watch->believes = watch->expects_fewer;
        watch->expects_fewer = false;
        watch->looks++;
        timer_start(&watch->slow, watch->loop, SLOW_MS, say_slow);
        return;
    }
    log_error("repository", "cannot look at the repository: %s", error.message);
    if (watch->fd >= 0)
        close(watch->fd);
    timer_start(&watch->timer, watch->loop, 0, tell_no_look);
}

/* ---- what was given with loads ---- */

static void overrides_changed(struct repository_watch *watch)
{
    watch->expects_fewer = watch->expects_fewer || watch->overrides.fewer;
    watch->overrides.fewer = false;
    if (!watch->looking)
        overrides_free_dropped(&watch->overrides);
}

uint64_t repository_watch_override(struct repository_watch *watch,
                                   const struct repository_override *override,
                                   struct error *ret_error)
{
    uint64_t number = overrides_put(&watch->overrides, override, ret_error);
    overrides_changed(watch);
    return number;
}

void repository_watch_keep_override(struct repository_watch *watch, uint64_t number)
{
    overrides_keep(&watch->overrides, number);
    overrides_changed(watch);
}

void repository_watch_end_override(struct repository_watch *watch, uint64_t number)
{
    overrides_end(&watch->overrides, number);
    overrides_changed(watch);
}

void repository_watch_on_dropped(struct repository_watch *watch,
                                 void (*dropped)(void *context, struct span folder))
{
    watch->overrides.dropped_folder = dropped;
    watch->overrides.context = watch->context;
}

/* ---- events ---- */

/* Of the path's own folder, what has to do with the path counts: the path, and what lies beside a
 * model's file. */
static bool concerns_us(const struct repository_watch *watch, const struct inotify_event *event)
{
    return event->wd != watch->numbers.parent || !event->len ||
           strncmp(event->name, watch->name, strlen(watch->name)) == 0;
}

static void remember(struct repository_watch *watch, const struct inotify_event *event)
{
    if ((event->wd != watch->numbers.path && event->wd != watch->numbers.parent) ||
        !(event->mask & IN_MOVED_TO) || !event->len || watch->renamed_count == SCAN_MAX_RENAMED)
        return;
    snprintf(watch->renamed[watch->renamed_count++], sizeof *watch->renamed, "%s", event->name);
}

/* A look soon after the last event, and in any case a while after the first one: somebody may write
 * without end, a log say. */
static void settle(struct repository_watch *watch)
{
    uint64_t now_ns = loop_now_ns(watch->loop);
    if (!watch->event_ns)
        watch->event_ns = now_ns;
    if (now_ns - watch->event_ns < (SETTLE_MOST_MS - SETTLE_MS) * CLOCK_NS_PER_MS)
        timer_start(&watch->timer, watch->loop, SETTLE_MS, timer_fired);
}

static void on_events(uv_poll_t *poll, int status, int events)
{
    struct repository_watch *watch = list_entry(poll, struct repository_watch, poll);
    _Alignas(struct inotify_event) char bytes[EVENT_BYTES];
    bool happened = false;
    ssize_t got;
    while ((got = read(watch->inotify_fd, bytes, sizeof bytes)) > 0) {
        for (char *at = bytes; at < bytes + got;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
            at += sizeof *event + event->len;
            if (!concerns_us(watch, event))
                continue;
            happened = true;
            remember(watch, event);
        }
    }
    if (happened && watch->looking)
        watch->again = true;
    else if (happened && !watch->holding_back)
        settle(watch);
}

/* ---- life ---- */

static void poll_closed(uv_handle_t *handle)
{
    struct repository_watch *watch = list_entry(handle, struct repository_watch, poll);
    watch->poll_closed = true;
    free_when_idle(watch);
}

static void set_path(struct repository_watch *watch, const char *path)
{
    snprintf(watch->path, sizeof watch->path, "%s", path);
    size_t size = strlen(watch->path);
    while (size > 1 && watch->path[size - 1] == '/')
        watch->path[--size] = '\0';
    char *slash = strrchr(watch->path, '/');
    watch->name = slash + 1;
    snprintf(watch->parent, sizeof watch->parent, "%.*s",
             slash == watch->path ? 1 : (int)(slash - watch->path), watch->path);
}

struct repository_watch *
repository_watch_open(struct loop *loop, const char *path, uint64_t rescan_ms,
                      const struct repository_looker *looker,
                      void (*changed)(void *context, const struct repository_scan *scan),
                      void *context, struct error *ret_error)
{
    assert(path[0] == '/');
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
    watch->looker = *looker;
    watch->changed = changed;
    watch->context = context;
    watch->inotify_fd = fd;
    set_path(watch, path);
    watch_all(watch);
    watch->numbers = watch->found;
    uv_poll_start(&watch->poll, UV_READABLE, on_events);
    if (!loop_register(loop, fd)) {
        error_set(ret_error, ERROR_RESOURCE_EXHAUSTED, "cannot watch the repository");
        repository_watch_close(watch);
        return NULL;
    }
    begin_look(watch);
    return watch;
}

void repository_watch_close(struct repository_watch *watch)
{
    if (!watch)
        return;
    watch->closing = true;
    timer_stop(&watch->timer);
    timer_stop(&watch->slow);
    uv_close((uv_handle_t *)&watch->poll, poll_closed);
}

uint64_t repository_watch_rescan(struct repository_watch *watch)
{
    uint64_t number = watch->looks + 1; /* one that begins from now on */
    begin_look(watch);
    return number;
}

uint64_t repository_watch_changed(struct repository_watch *watch, struct span entry)
{
    if (entry.size && watch->renamed_count < SCAN_MAX_RENAMED)
        snprintf(watch->renamed[watch->renamed_count++], sizeof *watch->renamed, "%.*s",
                 SPAN_ARGS(entry));
    watch->expects_fewer = true;
    return repository_watch_rescan(watch);
}

uint64_t repository_watch_number(const struct repository_watch *watch)
{
    return watch->looks;
}
