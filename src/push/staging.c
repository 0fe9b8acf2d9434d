/* Staging folders; see staging.h. */
#include "push/staging.h"

#include "base/span.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX ".push-"

/* What a file system without RENAME_EXCHANGE makes us remember: where `old` lay. */
static const char remembered[] = "target", taken_name[] = "old";

enum { WALK_FDS = 16 };

bool staging_failed(const char *what, struct error *ret_error)
{
    switch (errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return error_set(ret_error, ERROR_NO_SPACE, "%s: the server's disk is full", what);
    case EACCES:
    case EPERM:
    case EROFS:
        return error_set(ret_error, ERROR_PERMISSION_DENIED,
                         "%s: the server may not change its folder of models", what);
    default:
        return error_set(ret_error, ERROR_INTERNAL, "%s: %s", what, strerrordesc_np(errno));
    }
}

static void close_keeping_errno(int fd)
{
    int failure = errno;
    if (fd >= 0)
        close(fd);
    errno = failure;
}

static bool sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL); /* some cannot */
    close_keeping_errno(fd);
    return good;
}

static int sync_visited(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    return kind == FTW_D && !sync_folder(path) ? -1 : 0;
}

bool staging_sync(const char *path, struct error *ret_error)
{
    return nftw(path, sync_visited, WALK_FDS, FTW_PHYS) == 0 ||
           staging_failed("the files cannot be kept", ret_error);
}

static bool sync_parent(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    return sync_folder(folder);
}

/* ---- making and removing ---- */

bool staging_open(struct staging *staging, struct error *ret_error)
{
    uint64_t chance;
    *staging = (struct staging){.fd = -1};
    if (getrandom(&chance, sizeof chance, 0) != sizeof chance)
        return error_set(ret_error, ERROR_INTERNAL, "the kernel gives no random bytes");
    snprintf(staging->name, sizeof staging->name, PREFIX "%016llx", (unsigned long long)chance);
    if (mkdir(staging->name, 0700) != 0)
        return staging_failed("no staging folder", ret_error);
    staging->fd = open(staging->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (staging->fd >= 0 && flock(staging->fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    staging_failed("no staging folder", ret_error);
    staging_close(staging);
    return false;
}

/* A folder may lack the rights by which what is in it can be removed. */
static int remove_visited(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    if (kind == FTW_DP || kind == FTW_DNR)
        return rmdir(path) == 0 || errno == ENOENT ? 0 : -1;
    return unlink(path) == 0 || errno == ENOENT ? 0 : -1;
}

static int open_visited(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    if (kind == FTW_D || kind == FTW_DNR)
        chmod(path, 0700);
    return 0;
}

void staging_remove(const char *path)
{
    if (nftw(path, remove_visited, WALK_FDS, FTW_PHYS | FTW_DEPTH) == 0)
        return;
    nftw(path, open_visited, WALK_FDS, FTW_PHYS);
    nftw(path, remove_visited, WALK_FDS, FTW_PHYS | FTW_DEPTH);
}

void staging_close(struct staging *staging)
{
    staging_remove(staging->name);
    if (staging->fd >= 0)
        close(staging->fd);
    staging->fd = -1;
}

void staging_path(const struct staging *staging, const char *name, char ret_path[PATH_MAX])
{
    snprintf(ret_path, PATH_MAX, "%s/%s", staging->name, name);
}

/* ---- swapping ---- */

/* errno is what a write that is cut short means, unless something else fails. */
static bool remember(const struct staging *staging, const char *target)
{
    size_t size = strlen(target);
    int fd = openat(staging->fd, remembered, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = false;
    if (fd >= 0) {
        ssize_t written = write(fd, target, size);
        errno = written >= 0 ? ENOSPC : errno;
        good = written == (ssize_t)size && fsync(fd) == 0 && fsync(staging->fd) == 0;
        close_keeping_errno(fd);
    }
    return good;
}

bool staging_take(const struct staging *staging, const char *path, struct error *ret_error)
{
    struct stat status;
    if (lstat(path, &status) != 0 && errno == ENOENT)
        return error_set(ret_error, ERROR_NOT_FOUND, "there is no such version");
    char name[32];
    int count = 0;
    do /* several may be taken */
        snprintf(name, sizeof name, count ? "%s-%d" : "%s", taken_name, count);
    while (fstatat(staging->fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && ++count);
    return (renameat(AT_FDCWD, path, staging->fd, name) == 0 && sync_parent(path)) ||
           staging_failed("it cannot be removed", ret_error);
}

/* In two steps, between which nothing lies there; whoever comes after a crash puts it back. */
static bool replace_in_steps(const struct staging *staging, const char *made, const char *target)
{
    if (!remember(staging, target) || renameat(AT_FDCWD, target, staging->fd, taken_name) != 0)
        return false;
    if (rename(made, target) == 0)
        return true;
    int failure = errno;
    renameat(staging->fd, taken_name, AT_FDCWD, target);
    errno = failure;
    return false;
}

static bool replace(const struct staging *staging, const char *made, const char *target)
{
    struct stat status;
    if (lstat(target, &status) != 0)
        return errno == ENOENT &&
               renameat2(AT_FDCWD, made, AT_FDCWD, target, RENAME_NOREPLACE) == 0;
    if (renameat2(AT_FDCWD, made, AT_FDCWD, target, RENAME_EXCHANGE) == 0)
        return true;
    return (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) &&
           replace_in_steps(staging, made, target);
}

bool staging_swap(const struct staging *staging, const char *made, const char *target,
                  struct error *ret_error)
{
    return (replace(staging, made, target) && sync_parent(target)) ||
           staging_failed("the model cannot be put in its place", ret_error);
}

/* ---- after a crash ---- */

static void put_back(int staging)
{
    char target[PATH_MAX];
    struct stat status;
    int fd = openat(staging, remembered, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, target, sizeof target - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (size <= 0)
        return;
    target[size] = '\0';
    if (lstat(target, &status) != 0 && errno == ENOENT)
        renameat(staging, taken_name, AT_FDCWD, target);
}

static void tidy(const char *name)
{
    struct staging left = {.fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)};
    snprintf(left.name, sizeof left.name, "%s", name);
    if (left.fd >= 0 && flock(left.fd, LOCK_EX | LOCK_NB) == 0) {
        put_back(left.fd);
        staging_close(&left);
    } else if (left.fd >= 0) {
        close(left.fd); /* somebody is at work there */
    }
}

bool staging_tidy(struct error *ret_error)
{
    DIR *folder = opendir(".");
    if (!folder)
        return staging_failed("the folder of models cannot be read", ret_error);
    for (const struct dirent *entry; (entry = readdir(folder));) {
        struct span name = span_of(entry->d_name);
        if (span_starts_with(name, SPAN(PREFIX)) && name.size < sizeof((struct staging *)0)->name)
            tidy(entry->d_name);
    }
    closedir(folder);
    return true;
}
