/* The folder of blobs, and what is collected of it; see blobs.h. */
#include "push/blobs_private.h"

#include "base/clock.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SWEEP_MS = 10 * 60 * 1000 };

/* A look at all blobs, on a thread. */
struct blob_sweep {
    struct loop_work work;
    struct blobs *blobs;
    int folder;
    uint64_t keep_s;
    uint64_t bytes, count;               /* found */
    uint64_t bytes_before, count_before; /* as was known when it began */
};

/* Nobody is writing it. */
static bool is_left(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool left = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    return left;
}

static bool is_old(const struct blob_sweep *sweep, const struct stat *status)
{
    time_t now = time(NULL);
    return status->st_nlink == 1 && status->st_mtim.tv_sec < now &&
           (uint64_t)(now - status->st_mtim.tv_sec) > sweep->keep_s;
}

static void look_at(struct blob_sweep *sweep, const char *name)
{
    struct stat status;
    if (strlen(name) < DIGEST_CHARS ||
        fstatat(sweep->folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode))
        return;
    if (is_old(sweep, &status) && is_left(sweep->folder, name) &&
        unlinkat(sweep->folder, name, 0) == 0)
        return;
    sweep->bytes += (uint64_t)status.st_size;
    sweep->count++;
}

static void sweep_thread(struct loop_work *work)
{
    struct blob_sweep *sweep = list_entry(work, struct blob_sweep, work);
    int fd = openat(sweep->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        if (fd >= 0)
            close(fd);
        sweep->bytes = sweep->bytes_before;
        sweep->count = sweep->count_before;
        return;
    }
    for (const struct dirent *entry; (entry = readdir(folder));)
        look_at(sweep, entry->d_name);
    closedir(folder);
}

static void show(const struct blobs *blobs)
{
    metrics.blob_bytes = blobs->bytes;
    metrics.blobs = blobs->count;
}

static void sweep_done(struct loop_work *work)
{
    struct blob_sweep *sweep = list_entry(work, struct blob_sweep, work);
    struct blobs *blobs = sweep->blobs;
    /* What has come meanwhile may be counted twice until the next one; better than not at all. */
    blobs->bytes = sweep->bytes + (blobs->bytes - sweep->bytes_before);
    blobs->count = sweep->count + (blobs->count - sweep->count_before);
    blobs->sweep = NULL;
    free(sweep);
    show(blobs);
    if (blobs->sweep_again)
        blobs_sweep(blobs);
}

static void on_time(struct timer *timer)
{
    struct blobs *blobs = list_entry(timer, struct blobs, sweep_timer);
    blobs_sweep(blobs);
}

void blobs_sweep(struct blobs *blobs)
{
    if (blobs->folder < 0)
        return;
    timer_start(&blobs->sweep_timer, blobs->loop, SWEEP_MS, on_time);
    blobs->sweep_again = blobs->sweep != NULL;
    struct blob_sweep *sweep = blobs->sweep ? NULL : calloc(1, sizeof *sweep);
    if (!sweep)
        return;
    *sweep = (struct blob_sweep){.blobs = blobs,
                                 .folder = blobs->folder,
                                 .keep_s = blobs->limits.keep_s,
                                 .bytes_before = blobs->bytes,
                                 .count_before = blobs->count};
    if (loop_work_start(blobs->loop, &sweep->work, sweep_thread, sweep_done, NULL))
        blobs->sweep = sweep;
    else
        free(sweep);
}

void blobs_init(struct blobs *blobs, struct loop *loop, const struct blobs_limits *limits)
{
    *blobs = (struct blobs){.loop = loop, .folder = -1, .limits = *limits};
    list_init(&blobs->partials);
}

bool blobs_open(struct blobs *blobs, struct loop *loop, const char *path,
                const struct blobs_limits *limits, struct error *ret_error)
{
    blobs_init(blobs, loop, limits);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_set(ret_error, ERROR_INTERNAL, "cannot make the folder '%.300s': %s", path,
                         strerror(errno));
    blobs->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return blobs->folder >= 0 ||
           error_set(ret_error, ERROR_INTERNAL, "cannot open the folder '%.300s': %s", path,
                     strerror(errno));
}
