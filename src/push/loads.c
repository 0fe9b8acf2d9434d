/* The folders of files that loads bring; see loads.h. load_put.c fills them. */
#include "push/loads.h"

#include "push/staging.h"
#include "telemetry/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

void loads_init(struct loads *loads)
{
    *loads = (struct loads){.fd = -1};
    list_init(&loads->folders);
}

/* ---- this server's folder ---- */

/* Opens and locks a folder that nobody holds: its descriptor, else -1. */
static int lock_folder(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &status) == 0 && status.st_nlink)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* False when somebody who tidies has come between the making and the locking, say. */
static bool make_folder(struct loads *loads, const char *parent)
{
    uint64_t chance;
    if (getrandom(&chance, sizeof chance, 0) != sizeof chance ||
        (size_t)snprintf(loads->path, sizeof loads->path, "%s/%016llx", parent,
                         (unsigned long long)chance) >= sizeof loads->path - 64 ||
        mkdir(loads->path, 0700) != 0)
        return false;
    loads->fd = lock_folder(loads->path);
    return loads->fd >= 0;
}

bool loads_open(struct loads *loads, struct loop *loop, struct blobs *blobs,
                struct installer *installer, unsigned task, const char *path,
                struct error *ret_error)
{
    enum { TRIES = 3 };
    loads_init(loads);
    loads->loop = loop;
    loads->blobs = blobs;
    loads->installer = installer;
    loads->task = task;
    char real[PATH_MAX]; /* as files are known by when they are found there */
    if ((mkdir(path, 0700) == 0 || errno == EEXIST) && realpath(path, real)) {
        for (int i = 0; i < TRIES; i++) {
            if (make_folder(loads, real))
                return true;
        }
    }
    loads->path[0] = '\0';
    return error_set(ret_error, ERROR_INTERNAL, "cannot make a folder in '%.300s': %s", path,
                     strerrordesc_np(errno));
}

void loads_close(struct loads *loads)
{
    if (loads->fd < 0)
        return;
    staging_remove(loads->path);
    close(loads->fd);
    loads->fd = -1;
}

/* ---- what others have left ---- */

static void tidy_thread(struct loop_work *work)
{
    const struct loads *loads = list_entry(work, struct loads, tidying);
    char parent[PATH_MAX], path[PATH_MAX + NAME_MAX + 2];
    snprintf(parent, sizeof parent, "%s", loads->path);
    *strrchr(parent, '/') = '\0';
    DIR *folder = opendir(parent);
    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", parent, entry->d_name);
        int fd = lock_folder(path);
        if (fd < 0)
            continue; /* somebody's who lives, ours among them */
        staging_remove(path);
        close(fd);
    }
    if (folder)
        closedir(folder);
}

static void tidied(struct loop_work *work)
{
}

void loads_tidy(struct loads *loads)
{
    struct error error;
    if (loads->fd >= 0 &&
        !loop_work_start(loads->loop, &loads->tidying, tidy_thread, tidied, &error))
        log_warning("push", "what loads may have left stays there: %s", error.message);
}

/* ---- a load's folder ---- */

struct load_folder *loads_hold(struct loads *loads, struct span path)
{
    list_each(link, &loads->folders)
    {
        struct load_folder *folder = list_entry(link, struct load_folder, link);
        struct span own = span_of(folder->path);
        if (!span_starts_with(path, own) || path.size == own.size || path.data[own.size] != '/')
            continue;
        folder->references++;
        return folder;
    }
    return NULL;
}

static void remove_thread(struct loop_work *work)
{
    staging_remove(list_entry(work, struct load_folder, work)->path);
}

static void removed(struct loop_work *work)
{
    struct load_folder *folder = list_entry(work, struct load_folder, work);
    folder->loads->blobs->reserved_bytes -= folder->bytes;
    free(folder);
}

void load_folder_unref(struct load_folder *folder)
{
    if (!folder || --folder->references)
        return;
    list_remove(&folder->link);
    if (!loop_work_start(folder->loads->loop, &folder->work, remove_thread, removed, NULL)) {
        log_warning("push", "the files of a load stay until the server ends: no thread");
        free(folder); /* and their bytes stay counted */
    }
}
